/* Which window of the training split comes next: a pure function of (seed, epoch, index), so resuming is exact and
 * threads have no say. Every epoch cuts the split at another offset and visits its windows once, in a shuffled order.
 */
#ifndef MOTE_TRAIN_DATA_ORDER_H
#define MOTE_TRAIN_DATA_ORDER_H

#include "base/status.h"

typedef struct {
    uint64_t seed;
    size_t n_tokens; /* of the split */
    int context;     /* a window has context + 1 tokens: inputs and, one later, their targets */
    uint64_t epoch, index; /* the next window */
} mote_data_order;

/* Fails, with the number of tokens needed, where the split has no window. */
mote_status mote_data_order_init(mote_data_order *order, size_t n_tokens, int context, uint64_t seed,
                                 mote_error *error);
/* The token at which the next window begins. */
size_t mote_data_order_next(mote_data_order *order);
/* Windows of an epoch. */
uint64_t mote_data_order_windows(const mote_data_order *order, uint64_t epoch);

#endif
