/* The decoder of decoder.h. What differs from layer to layer (window, rotary positions) is decided once for each. */
#include "models/decoder.h"

#include <math.h>

typedef struct {
    mote_weights attention_norm, q, k, v, q_norm, k_norm, output, attention_post, feed_norm, gate, up, down, feed_post;
} layer_weights;

void mote_decoder_complete(const mote_decoder_style *style, mote_config *c) {
    /* three matrices as large as two of 4 dim, in whole panels */
    if (c->hidden <= 0) c->hidden = c->dim < 6 ? 16 : c->dim * 8 / 3 / 16 * 16;
    if (c->no_rope_period <= 0) c->no_rope_period = style->no_rope_period;
}

static mote_status check_need(mote_need need, bool has, const char *family, const char *what, mote_error *error) {
    if (need == MOTE_NEVER && has) return mote_fail(error, MOTE_USAGE, "the %s family has no %s", family, what);
    if (need == MOTE_MUST && !has) return mote_fail(error, MOTE_USAGE, "the %s family always has %s", family, what);
    return MOTE_OK;
}

mote_status mote_decoder_check(const mote_decoder_style *style, const mote_config *c, mote_error *error) {
    const char *family = mote_family_name(c->family);
    if (c->head_dim % 2) {
        mote_fail(error, MOTE_USAGE, "the head size %d must be even for rotary positions", c->head_dim);
        return mote_hint(error, MOTE_USAGE, "it is the width %d shared out to %d heads, where it is not given", c->dim,
                         c->heads);
    }
    mote_status status = check_need(style->bias, c->bias, family, "biases on queries, keys and values", error);
    if (status == MOTE_OK) status = check_need(style->qk_norm, c->qk_norm, family, "query and key norms", error);
    if (status != MOTE_OK) return status;
    if (c->no_rope_period != style->no_rope_period)
        return mote_fail(error, MOTE_USAGE,
                         "the period of layers without rotary positions is %d in the %s family, not %d",
                         style->no_rope_period, family, c->no_rope_period);
    if (!style->local_layers && (c->full_attention_period || c->rope_base_window > 0 || c->query_scale > 0))
        return mote_fail(error, MOTE_USAGE,
                         "the %s family has no period of full attention, no second rotary base and no scale of queries",
                         family);
    if (!(style->scalings >> c->rope_scaling & 1))
        return mote_fail(error, MOTE_USAGE, "the %s family has no rotary scaling of the kind %s", family,
                         mote_rope_scaling_name(c->rope_scaling));
    return MOTE_OK;
}

static layer_weights declare(const mote_decoder_style *style, const mote_config *c, mote_builder *b, int layer) {
    int q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    /* normal with 1/sqrt(fan in), so that every width starts with outputs of one size; what is added to the residual
     * stream is smaller by sqrt(2 layers) (Radford et al. 2019) */
    float in = 1 / sqrtf((float)c->dim), residual = 1 / sqrtf(2.0f * (float)c->layers);
    layer_weights w = {
        .attention_norm = mote_block_gain(b, c->dim, false, "attn_norm", layer),
        .q = mote_block_matrix(b, q, c->dim, in, c->bias, "attn_q", layer),
        .k = mote_block_matrix(b, kv, c->dim, in, c->bias, "attn_k", layer),
        .v = mote_block_matrix(b, kv, c->dim, in, c->bias, "attn_v", layer),
    };
    if (c->qk_norm) {
        w.q_norm = mote_block_gain(b, c->head_dim, false, "attn_q_norm", layer);
        w.k_norm = mote_block_gain(b, c->head_dim, false, "attn_k_norm", layer);
    }
    w.output = mote_block_matrix(b, c->dim, q, residual / sqrtf((float)q), false, "attn_output", layer);
    if (style->post_norms) w.attention_post = mote_block_gain(b, c->dim, false, "post_attention_norm", layer);
    w.feed_norm = mote_block_gain(b, c->dim, false, "ffn_norm", layer);
    w.gate = mote_block_matrix(b, c->hidden, c->dim, in, false, "ffn_gate", layer);
    w.up = mote_block_matrix(b, c->hidden, c->dim, in, false, "ffn_up", layer);
    w.down = mote_block_matrix(b, c->dim, c->hidden, residual / sqrtf((float)c->hidden), false, "ffn_down", layer);
    if (style->post_norms) w.feed_post = mote_block_gain(b, c->dim, false, "post_ffw_norm", layer);
    return w;
}

typedef struct {
    const mote_decoder_style *style;
    const mote_config *c;
    float dropout;
    mote_builder *b;
} construction;

static mote_tensor_id norm(const construction *k, mote_tensor_id x, mote_weights w, mote_tensor_id residual, int group,
                           const char *name) {
    return mote_block_norm(k->b, x, w, residual, k->c->norm_epsilon, group, false, name);
}

/* x + y weight^T, with dropout, or with a norm before both. */
static mote_tensor_id join(const construction *k, mote_tensor_id y, mote_weights w, mote_weights post, mote_tensor_id x,
                           const char *name, const char *post_name) {
    if (!k->style->post_norms) return mote_block_residual(k->b, y, w, x, k->dropout, name);
    y = mote_block_linear(k->b, y, w, MOTE_NONE, name);
    if (k->dropout <= 0) return norm(k, y, post, x, k->c->dim, post_name);
    y = norm(k, y, post, MOTE_NONE, k->c->dim, post_name);
    return mote_block_dropout(k->b, y, x, k->dropout, name[0] == 'a' ? "attn_dropout" : "ffn_dropout");
}

static mote_tensor_id add_layer(const construction *k, const layer_weights *w, mote_tensor_id x) {
    const mote_config *c = k->c;
    mote_builder *b = k->b;
    int nth = b->layer + 1;
    bool whole = c->full_attention_period > 0 && nth % c->full_attention_period == 0;
    bool turned = c->no_rope_period == 0 || nth % c->no_rope_period != 0;
    mote_turns turns = mote_config_turns(c, !whole && c->window > 0 && c->rope_base_window > 0);
    mote_tensor_id n = norm(k, x, w->attention_norm, MOTE_NONE, c->dim, "attn_norm");
    mote_tensor_id q = mote_block_linear(b, n, w->q, MOTE_NONE, "q");
    mote_tensor_id key = mote_block_linear(b, n, w->k, MOTE_NONE, "k");
    mote_tensor_id v = mote_block_linear(b, n, w->v, MOTE_NONE, "v");
    if (c->qk_norm) {
        q = norm(k, q, w->q_norm, MOTE_NONE, c->head_dim, "q_norm");
        key = norm(k, key, w->k_norm, MOTE_NONE, c->head_dim, "k_norm");
    }
    if (turned) {
        q = mote_block_rope(b, q, &turns, k->style->halves, "q_rope");
        key = mote_block_rope(b, key, &turns, k->style->halves, "k_rope");
    }
    mote_tensor_id y = mote_block_attention(b, c, q, key, v, whole ? 0 : c->window);
    x = join(k, y, w->output, w->attention_post, x, "attn_output", "post_attention_norm");
    n = norm(k, x, w->feed_norm, MOTE_NONE, c->dim, "ffn_norm");
    mote_tensor_id gate = mote_block_linear(b, n, w->gate, MOTE_NONE, "gate");
    mote_tensor_id up = mote_block_linear(b, n, w->up, MOTE_NONE, "up");
    mote_tensor_id product = mote_block_activate(b, gate, up, k->style->gate, "product");
    return join(k, product, w->down, w->feed_post, x, "ffn_down", "post_ffw_norm");
}

void mote_decoder_build(const mote_decoder_style *style, const mote_config *c, float dropout, mote_builder *b) {
    construction k = {style, c, dropout, b};
    layer_weights w[MOTE_MOST_LAYERS];
    mote_start table = {0, 1 / sqrtf((float)c->dim)}; /* so that a tied head starts with logits of one size */
    mote_tensor_id embedding = mote_builder_weight(b, c->vocab, c->dim, table, false, "token_embd.weight");
    for (int i = 0; i < c->layers; i++) w[i] = declare(style, c, b, i);
    mote_weights last = mote_block_gain(b, c->dim, false, "output_norm", -1);
    mote_tensor_id output =
        c->tied ? embedding : mote_builder_weight(b, c->vocab, c->dim, table, false, "output.weight");
    float scale = style->embedding_by_width ? sqrtf((float)c->dim) : 1;
    mote_tensor_id x = mote_block_embedding(b, embedding, MOTE_NONE, c->dim, scale);
    if (dropout > 0) x = mote_block_dropout(b, x, MOTE_NONE, dropout, "embedding.dropout");
    for (b->layer = 0; b->layer < c->layers; b->layer++) x = add_layer(&k, &w[b->layer], x);
    b->layer = -1;
    mote_block_head(b, norm(&k, x, last, MOTE_NONE, c->dim, "output_norm"), output);
}
