/* The blocks that architectures are made of. Weights are declared before any op is added, so that their ids do not
 * depend on the ops (dropout); activations are named after the weights' GGUF names. */
#include "models/blocks.h"

#include <math.h>
#include <stdio.h>

#include "ops/attention.h"

mote_weights mote_block_matrix(mote_builder *b, int rows, int cols, float deviation, bool bias, const char *name,
                               int layer) {
    mote_weights w = {MOTE_NONE, MOTE_NONE};
    w.weight = mote_builder_weight(b, rows, cols, (mote_start){0, deviation}, true, "blk.%d.%s.weight", layer, name);
    if (bias) w.bias = mote_builder_weight(b, 1, rows, (mote_start){0, 0}, false, "blk.%d.%s.bias", layer, name);
    return w;
}

mote_weights mote_block_gain(mote_builder *b, int cols, bool bias, const char *name, int layer) {
    mote_weights w = {MOTE_NONE, MOTE_NONE};
    mote_start one = {1, 0}, zero = {0, 0};
    if (layer < 0) {
        w.weight = mote_builder_weight(b, 1, cols, one, false, "%s.weight", name);
        if (bias) w.bias = mote_builder_weight(b, 1, cols, zero, false, "%s.bias", name);
    } else {
        w.weight = mote_builder_weight(b, 1, cols, one, false, "blk.%d.%s.weight", layer, name);
        if (bias) w.bias = mote_builder_weight(b, 1, cols, zero, false, "blk.%d.%s.bias", layer, name);
    }
    return w;
}

static int cols_of(const mote_builder *b, mote_tensor_id id) {
    return b->status == MOTE_OK && id >= 0 ? b->program->tensors[id].cols : 1;
}

static int rows_of(const mote_builder *b, mote_tensor_id id) {
    return b->status == MOTE_OK && id >= 0 ? b->program->tensors[id].rows : 1;
}

/* An activation named "blk.3.name", or "name" outside the layers. */
static mote_tensor_id activation(mote_builder *b, int cols, const char *name) {
    return b->layer < 0 ? mote_builder_activation(b, cols, "%s", name)
                        : mote_builder_activation(b, cols, "blk.%d.%s", b->layer, name);
}

mote_tensor_id mote_block_norm(mote_builder *b, mote_tensor_id x, mote_weights w, mote_tensor_id residual,
                               float epsilon, int group, bool center, const char *name) {
    int cols = cols_of(b, x);
    char statistics[MOTE_NAME_BYTES];
    snprintf(statistics, sizeof statistics, "%s.statistics", name);
    mote_tensor_id y = activation(b, cols, name), s = activation(b, 2 * (cols / group), statistics);
    mote_op *op = mote_builder_op(b, MOTE_OP_NORM);
    op->in[0] = x;
    op->in[1] = w.weight;
    op->in[2] = w.bias;
    op->in[3] = residual;
    op->out[0] = y;
    op->out[1] = s;
    op->as.norm.epsilon = epsilon;
    op->as.norm.group = group;
    op->as.norm.center = center;
    return y;
}

mote_tensor_id mote_block_linear(mote_builder *b, mote_tensor_id x, mote_weights w, mote_tensor_id residual,
                                 const char *name) {
    mote_tensor_id y = activation(b, rows_of(b, w.weight), name);
    mote_op *op = mote_builder_op(b, MOTE_OP_LINEAR);
    op->in[0] = x;
    op->in[1] = w.weight;
    op->in[2] = w.bias;
    op->in[3] = residual;
    op->out[0] = y;
    return y;
}

mote_tensor_id mote_block_dropout(mote_builder *b, mote_tensor_id x, mote_tensor_id residual, float dropout,
                                  const char *name) {
    mote_tensor_id y = activation(b, cols_of(b, x), name);
    mote_op *op = mote_builder_op(b, MOTE_OP_DROPOUT);
    op->in[0] = x;
    op->in[1] = residual;
    op->out[0] = y;
    op->as.dropout.probability = dropout;
    return y;
}

mote_tensor_id mote_block_residual(mote_builder *b, mote_tensor_id x, mote_weights w, mote_tensor_id residual,
                                   float dropout, const char *name) {
    if (dropout <= 0) return mote_block_linear(b, x, w, residual, name);
    char branch[MOTE_NAME_BYTES];
    snprintf(branch, sizeof branch, "%s.branch", name);
    return mote_block_dropout(b, mote_block_linear(b, x, w, MOTE_NONE, branch), residual, dropout, name);
}

mote_turns mote_config_turns(const mote_config *c, bool windowed) {
    mote_turns t = {.base = windowed ? c->rope_base_window : c->rope_base, .head_dim = c->head_dim};
    if (windowed || c->rope_scaling == MOTE_ROPE_PLAIN) return t;
    t.scaling = (int32_t)c->rope_scaling;
    t.factor = c->rope_factor;
    if (c->rope_scaling == MOTE_ROPE_LINEAR) return t;
    t.low = c->rope_low;
    t.high = c->rope_high;
    t.original_context = c->rope_original_context;
    if (c->rope_scaling == MOTE_ROPE_YARN)
        t.attention = c->rope_attention_factor > 0 ? c->rope_attention_factor
                                                   : (float)(0.1 * log((double)c->rope_factor) + 1);
    return t;
}

mote_tensor_id mote_block_rope(mote_builder *b, mote_tensor_id x, const mote_turns *turns, bool halves,
                               const char *name) {
    mote_tensor_id y = activation(b, cols_of(b, x), name);
    if (b->status == MOTE_OK) b->program->tensors[y].in_place = true;
    mote_op *op = mote_builder_op(b, MOTE_OP_ROPE);
    op->in[0] = x;
    op->out[0] = y;
    op->as.rope.turns = *turns;
    op->as.rope.halves = halves;
    return y;
}

mote_tensor_id mote_block_attention(mote_builder *b, const mote_config *c, mote_tensor_id q, mote_tensor_id k,
                                    mote_tensor_id v, int window) {
    bool fused = q == k && k == v; /* one matrix: its columns are q, k, v */
    int q_columns = c->heads * c->head_dim, kv_columns = c->kv_heads * c->head_dim;
    mote_tensor_id keys = mote_builder_state(b, kv_columns, "blk.%d.keys", b->layer);
    mote_tensor_id values =
        mote_builder_state(b, c->kv_heads * mote_attention_value_width(c->head_dim), "blk.%d.values", b->layer);
    mote_tensor_id y = activation(b, q_columns, "attention"),
                   sums = activation(b, c->heads, "attention.log_sums");
    mote_op *op = mote_builder_op(b, MOTE_OP_ATTENTION);
    op->in[0] = q;
    op->in[1] = k;
    op->in[2] = v;
    op->in[3] = keys;
    op->in[4] = values;
    op->out[0] = y;
    op->out[1] = sums;
    op->as.attention.heads = c->heads;
    op->as.attention.kv_heads = c->kv_heads;
    op->as.attention.head_dim = c->head_dim;
    op->as.attention.window = window;
    op->as.attention.k_column = fused ? q_columns : 0;
    op->as.attention.v_column = fused ? q_columns + kv_columns : 0;
    op->as.attention.scale = c->query_scale > 0 ? c->query_scale : 1 / sqrtf((float)c->head_dim);
    return y;
}

mote_tensor_id mote_block_activate(mote_builder *b, mote_tensor_id x, mote_tensor_id up, mote_activation function,
                                   const char *name) {
    mote_tensor_id y = activation(b, cols_of(b, x), name);
    mote_op *op = mote_builder_op(b, MOTE_OP_ACTIVATE);
    op->in[0] = x;
    op->in[1] = up;
    op->out[0] = y;
    op->as.activate.function = (int32_t)function;
    return y;
}

mote_tensor_id mote_block_embedding(mote_builder *b, mote_tensor_id table, mote_tensor_id positions, int dim,
                                    float scale) {
    mote_tensor_id y = activation(b, dim, "embedding");
    mote_op *op = mote_builder_op(b, MOTE_OP_EMBEDDING);
    op->in[0] = table;
    op->in[1] = positions;
    op->out[0] = y;
    op->as.embedding.scale = scale;
    return y;
}

void mote_block_head(mote_builder *b, mote_tensor_id x, mote_tensor_id weight) {
    mote_op *op = mote_builder_op(b, MOTE_OP_HEAD);
    op->in[0] = x;
    op->in[1] = weight;
}
