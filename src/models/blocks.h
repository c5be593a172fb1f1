/* The blocks that architectures are made of: each adds ops and gives the tensor it writes. */
#ifndef MOTE_MODELS_BLOCKS_H
#define MOTE_MODELS_BLOCKS_H

#include "kernels/kernels.h"
#include "models/model.h"

typedef struct {
    mote_tensor_id weight, bias; /* bias may be MOTE_NONE */
} mote_weights;

/* Declares name.weight [rows, cols] and, if asked, name.bias [1, rows]; a gain has rows 1 and a bias of cols values. */
mote_weights mote_block_matrix(mote_builder *b, int rows, int cols, float deviation, bool bias, const char *name,
                               int layer);
mote_weights mote_block_gain(mote_builder *b, int cols, bool bias, const char *name, int layer);

/* residual (may be MOTE_NONE) + norm(x) */
mote_tensor_id mote_block_norm(mote_builder *b, mote_tensor_id x, mote_weights w, mote_tensor_id residual,
                               float epsilon, int group, bool center, const char *name);
mote_tensor_id mote_block_linear(mote_builder *b, mote_tensor_id x, mote_weights w, mote_tensor_id residual,
                                 const char *name);
/* residual + dropout(linear): one op when dropout is 0. */
mote_tensor_id mote_block_residual(mote_builder *b, mote_tensor_id x, mote_weights w, mote_tensor_id residual,
                                   float dropout, const char *name);
mote_tensor_id mote_block_dropout(mote_builder *b, mote_tensor_id x, mote_tensor_id residual, float dropout,
                                  const char *name);
/* Of the layers with a window, where the family turns these otherwise, or of the others. */
mote_turns mote_config_turns(const mote_config *config, bool windowed);
mote_tensor_id mote_block_rope(mote_builder *b, mote_tensor_id x, const mote_turns *turns, bool halves,
                               const char *name);
/* q, k and v are three tensors, or one with the columns of all. */
mote_tensor_id mote_block_attention(mote_builder *b, const mote_config *c, mote_tensor_id q, mote_tensor_id k,
                                    mote_tensor_id v, int window);
mote_tensor_id mote_block_activate(mote_builder *b, mote_tensor_id x, mote_tensor_id up, mote_activation function,
                                   const char *name);
mote_tensor_id mote_block_embedding(mote_builder *b, mote_tensor_id table, mote_tensor_id positions, int dim,
                                    float scale);
void mote_block_head(mote_builder *b, mote_tensor_id x, mote_tensor_id weight);

#endif
