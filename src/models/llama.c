/* Llama-like: RMSNorm, rotary positions, grouped queries, SwiGLU (Touvron et al. 2023). With qk_norm it is Qwen3's
 * block: RMSNorm on each head of q and k, and rotary pairs in halves, as files of that architecture have them. */
#include <math.h>

#include "models/blocks.h"

typedef struct {
    mote_weights attention_norm, q, k, v, q_norm, k_norm, output, feed_norm, gate, up, down;
} layer_weights;

static void complete(mote_config *c) {
    /* three matrices as large as two of 4 dim, in whole panels */
    if (c->hidden <= 0) c->hidden = c->dim < 6 ? 16 : c->dim * 8 / 3 / 16 * 16;
}

static mote_status check(const mote_config *c, mote_error *error) {
    if (c->head_dim % 2)
        return mote_fail(error, MOTE_USAGE, "the head size %d must be even for rotary positions", c->head_dim);
    return MOTE_OK;
}

static layer_weights declare(const mote_config *c, mote_builder *b, int layer) {
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
    w.feed_norm = mote_block_gain(b, c->dim, false, "ffn_norm", layer);
    w.gate = mote_block_matrix(b, c->hidden, c->dim, in, false, "ffn_gate", layer);
    w.up = mote_block_matrix(b, c->hidden, c->dim, in, false, "ffn_up", layer);
    w.down = mote_block_matrix(b, c->dim, c->hidden, residual / sqrtf((float)c->hidden), false, "ffn_down", layer);
    return w;
}

static mote_tensor_id add_layer(const mote_config *c, float dropout, mote_builder *b, const layer_weights *w,
                                mote_tensor_id x) {
    mote_tensor_id n = mote_block_norm(b, x, w->attention_norm, c->norm_epsilon, c->dim, false, "attn_norm");
    mote_tensor_id q = mote_block_linear(b, n, w->q, MOTE_NONE, "q");
    mote_tensor_id k = mote_block_linear(b, n, w->k, MOTE_NONE, "k");
    mote_tensor_id v = mote_block_linear(b, n, w->v, MOTE_NONE, "v");
    if (c->qk_norm) {
        q = mote_block_norm(b, q, w->q_norm, c->norm_epsilon, c->head_dim, false, "q_norm");
        k = mote_block_norm(b, k, w->k_norm, c->norm_epsilon, c->head_dim, false, "k_norm");
    }
    q = mote_block_rope(b, q, c->rope_base, c->head_dim, c->qk_norm, "q_rope");
    k = mote_block_rope(b, k, c->rope_base, c->head_dim, c->qk_norm, "k_rope");
    mote_tensor_id y = mote_block_attention(b, c, q, k, v, 0, 0, 0);
    x = mote_block_residual(b, y, w->output, x, dropout, "attn_output");
    n = mote_block_norm(b, x, w->feed_norm, c->norm_epsilon, c->dim, false, "ffn_norm");
    mote_tensor_id gate = mote_block_linear(b, n, w->gate, MOTE_NONE, "gate");
    mote_tensor_id up = mote_block_linear(b, n, w->up, MOTE_NONE, "up");
    mote_tensor_id product = mote_block_activate(b, gate, up, MOTE_ACTIVATION_SILU, "product");
    return mote_block_residual(b, product, w->down, x, dropout, "ffn_down");
}

static void build(const mote_config *c, float dropout, mote_builder *b) {
    layer_weights w[MOTE_MOST_LAYERS];
    mote_start table = {0, 1 / sqrtf((float)c->dim)}; /* so that a tied head starts with logits of one size */
    mote_tensor_id embedding = mote_builder_weight(b, c->vocab, c->dim, table, false, "token_embd.weight");
    for (int i = 0; i < c->layers; i++) w[i] = declare(c, b, i);
    mote_weights norm = mote_block_gain(b, c->dim, false, "output_norm", -1);
    mote_tensor_id output =
        c->tied ? embedding : mote_builder_weight(b, c->vocab, c->dim, table, false, "output.weight");
    mote_tensor_id x = mote_block_embedding(b, embedding, MOTE_NONE, c->dim);
    if (dropout > 0) x = mote_block_dropout(b, x, MOTE_NONE, dropout, "embedding.dropout");
    for (b->layer = 0; b->layer < c->layers; b->layer++) x = add_layer(c, dropout, b, &w[b->layer], x);
    b->layer = -1;
    mote_block_head(b, mote_block_norm(b, x, norm, c->norm_epsilon, c->dim, false, "output_norm"), output);
}

const mote_family_info mote_family_llama = {"llama", complete, check, build};
