/* Where the keys and values of a sequence lie: for the op and for what else reads the state. */
#ifndef MOTE_OPS_ATTENTION_H
#define MOTE_OPS_ATTENTION_H

#include <string.h>

#include "ops/ops.h"

/* input 3: keys, 4: values; [state_context, head_dim] values of one (slot, kv head). */
mote_real *mote_attention_state(const mote_exec *x, const mote_op *op, int input, int slot, int kv_head);
/* Copies the rows of one sequence and kv head to the state. */
void mote_attention_store(const mote_exec *x, const mote_op *op, const mote_sequence *s, int kv_head);

#endif
