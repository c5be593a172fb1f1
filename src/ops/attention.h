/* The width of the values in attention's state, for the op and for the models that declare the state. */
#ifndef MOTE_OPS_ATTENTION_H
#define MOTE_OPS_ATTENTION_H

#include "kernels/kernels.h"

/* A row of values in the state is whole panels: the product reads it in place. */
static inline int mote_attention_value_width(int head_dim) {
    return (head_dim + MOTE_PANEL - 1) / MOTE_PANEL * MOTE_PANEL;
}

#endif
