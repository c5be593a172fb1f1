/* What the parts of attention share: where keys and values lie in the state, and whether they are bf16. Models declare
 * the state and need the width of its values. */
#ifndef MOTE_OPS_ATTENTION_H
#define MOTE_OPS_ATTENTION_H

#include "ops/ops.h"

/* A row of values in the state is whole panels: the product reads it in place. */
static inline int mote_attention_value_width(int head_dim) {
    return (head_dim + MOTE_PANEL - 1) / MOTE_PANEL * MOTE_PANEL;
}

/* Keys [position / 16][head_dim][16] and values [position][value width] of one sequence and kv head; in bf16 as in
 * mote_bf16_store. */
typedef struct {
    void *keys, *values;
    int first; /* position of batch row r: first + r */
} mote_attention_memory;
/* Where a sequence's lie in the state. */
mote_attention_memory mote_attention_state(const mote_exec *x, const mote_op *op, const mote_sequence *s, int kv_head);

/* First key that the query at `position` sees. */
static inline int mote_first_key(const mote_op *op, int position) {
    int window = op->as.attention.window;
    return window > 0 && position >= window ? position - window + 1 : 0;
}

/* Forward of a batch of which each sequence has one row, in f32 (attention_rows.c). */
void mote_attend_rows(const mote_exec *x, const mote_op *op, mote_worker *w);
/* Where weights are integers, products read activations in 8 bits, beside which bf16's 8 for what attention multiplies
 * cost little: sessions and evaluation then keep keys and values in bf16. Training keeps f32. `rounded`: as in
 * mote_exec. */
bool mote_attends_in_bf16(const mote_program *program, mote_type rounded);
/* Bytes of a state of one sequence of x->state_context positions. */
size_t mote_attention_state_bytes(const mote_exec *x, mote_tensor_id state);

#endif
