/* GPT-2-like: LayerNorm, learned positions, one matrix for q, k and v, GELU (Radford et al. 2019). */
#include <math.h>

#include "models/blocks.h"

typedef struct {
    mote_weights attention_norm, qkv, output, feed_norm, up, down;
} layer_weights;

static void complete(mote_config *c) {
    if (c->hidden <= 0) c->hidden = 4 * c->dim;
}

static mote_status check(const mote_config *c, mote_error *error) {
    if (c->kv_heads != c->heads)
        return mote_fail(error, MOTE_USAGE, "the gpt2 family has as many key-value heads (%d) as heads (%d)",
                         c->kv_heads, c->heads);
    if (c->qk_norm) return mote_fail(error, MOTE_USAGE, "the gpt2 family has no query and key norms");
    if (c->rope_scaling != MOTE_ROPE_PLAIN || c->rope_base_window > 0 || c->full_attention_period ||
        c->no_rope_period || c->query_scale > 0)
        return mote_fail(error, MOTE_USAGE, "the gpt2 family has learned positions and one kind of layer");
    return MOTE_OK;
}

/* GPT-2's 0.02 at its width of 768; narrower models need larger weights for outputs of the same size. */
static float deviation(const mote_config *c) { return 0.02f * sqrtf(768.0f / (float)c->dim); }

static layer_weights declare(const mote_config *c, mote_builder *b, int layer) {
    float in = deviation(c), residual = in / sqrtf(2.0f * (float)c->layers);
    layer_weights w = {
        .attention_norm = mote_block_gain(b, c->dim, c->bias, "attn_norm", layer),
        .qkv = mote_block_matrix(b, 3 * c->dim, c->dim, in, c->bias, "attn_qkv", layer),
        .output = mote_block_matrix(b, c->dim, c->dim, residual, c->bias, "attn_output", layer),
        .feed_norm = mote_block_gain(b, c->dim, c->bias, "ffn_norm", layer),
        .up = mote_block_matrix(b, c->hidden, c->dim, in, c->bias, "ffn_up", layer),
        .down = mote_block_matrix(b, c->dim, c->hidden, residual, c->bias, "ffn_down", layer),
    };
    return w;
}

static mote_tensor_id add_layer(const mote_config *c, float dropout, mote_builder *b, const layer_weights *w,
                                mote_tensor_id x) {
    mote_tensor_id n = mote_block_norm(b, x, w->attention_norm, MOTE_NONE, c->norm_epsilon, c->dim, true, "attn_norm");
    mote_tensor_id qkv = mote_block_linear(b, n, w->qkv, MOTE_NONE, "qkv");
    mote_tensor_id y = mote_block_attention(b, c, qkv, qkv, qkv, c->window);
    x = mote_block_residual(b, y, w->output, x, dropout, "attn_output");
    n = mote_block_norm(b, x, w->feed_norm, MOTE_NONE, c->norm_epsilon, c->dim, true, "ffn_norm");
    mote_tensor_id up = mote_block_linear(b, n, w->up, MOTE_NONE, "up");
    mote_tensor_id active = mote_block_activate(b, up, MOTE_NONE, MOTE_ACTIVATION_GELU, "active");
    return mote_block_residual(b, active, w->down, x, dropout, "ffn_down");
}

static void build(const mote_config *c, float dropout, mote_builder *b) {
    layer_weights w[MOTE_MOST_LAYERS];
    mote_start table = {0, 0.02f};
    mote_tensor_id embedding = mote_builder_weight(b, c->vocab, c->dim, table, false, "token_embd.weight");
    mote_tensor_id positions = mote_builder_weight(b, c->context, c->dim, table, false, "position_embd.weight");
    for (int i = 0; i < c->layers; i++) w[i] = declare(c, b, i);
    mote_weights norm = mote_block_gain(b, c->dim, c->bias, "output_norm", -1);
    mote_tensor_id output =
        c->tied ? embedding : mote_builder_weight(b, c->vocab, c->dim, table, false, "output.weight");
    mote_tensor_id x = mote_block_embedding(b, embedding, positions, c->dim, 1);
    if (dropout > 0) x = mote_block_dropout(b, x, MOTE_NONE, dropout, "embedding.dropout");
    for (b->layer = 0; b->layer < c->layers; b->layer++) x = add_layer(c, dropout, b, &w[b->layer], x);
    b->layer = -1;
    mote_block_head(b, mote_block_norm(b, x, norm, MOTE_NONE, c->norm_epsilon, c->dim, true, "output_norm"), output);
}

const mote_family_info mote_family_gpt2 = {"gpt2", complete, check, build, false};
