/* Where the keys and values of a sequence lie: for the op and for what else reads the state. */
#ifndef MOTE_OPS_ATTENTION_H
#define MOTE_OPS_ATTENTION_H

#include <string.h>

#include "ops/ops.h"

/* A row of values in the state is whole panels: the product reads it in place. */
static inline int mote_attention_value_width(int head_dim) {
    return (head_dim + MOTE_PANEL - 1) / MOTE_PANEL * MOTE_PANEL;
}
/* The state of one (slot, kv head): keys [state_context / 16][head_dim][16], values [state_context][value width]. */
mote_real *mote_attention_keys(const mote_exec *x, const mote_op *op, int slot, int kv_head);
mote_real *mote_attention_values(const mote_exec *x, const mote_op *op, int slot, int kv_head);

#endif
