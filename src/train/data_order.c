/* The order of windows is a permutation that is computed, not stored: a Feistel network over the next power of four
 * above the number of windows, walked until it lands inside (Black, Rogaway 2002); on average less than four walks. A
 * billion windows cost no memory, and any position of any epoch is found at once. */
#include "train/data_order.h"

#include "base/random.h"

enum { ROUNDS = 6 };

static uint64_t epoch_key(const mote_data_order *order, uint64_t epoch) {
    return mote_hash64(mote_hash64(order->seed) ^ mote_hash64(epoch + 0x6d6f7465u));
}

/* Offsets go up to one context, so that over the epochs every token is seen at every place of a window. */
static size_t epoch_offset(const mote_data_order *order, uint64_t epoch) {
    size_t context = (size_t)order->context, spare = order->n_tokens - 1 - context;
    size_t most = spare < context - 1 ? spare : context - 1;
    return (size_t)(epoch_key(order, epoch) % (most + 1));
}

uint64_t mote_data_order_windows(const mote_data_order *order, uint64_t epoch) {
    return (order->n_tokens - 1 - epoch_offset(order, epoch)) / (size_t)order->context;
}

static uint64_t permute(uint64_t index, uint64_t n, uint64_t key) {
    int half = 1;
    while (half < 32 && (uint64_t)1 << (2 * half) < n) half++;
    uint64_t mask = ((uint64_t)1 << half) - 1;
    do {
        uint64_t left = index >> half, right = index & mask;
        for (int round = 0; round < ROUNDS; round++) {
            uint64_t next = left ^ (mote_hash64(right ^ mote_hash64(key + (uint64_t)round)) & mask);
            left = right;
            right = next;
        }
        index = left << half | right;
    } while (index >= n);
    return index;
}

mote_status mote_data_order_init(mote_data_order *order, size_t n_tokens, int context, uint64_t seed,
                                 mote_error *error) {
    *order = (mote_data_order){.seed = seed, .n_tokens = n_tokens, .context = context};
    if (context < 1) return mote_fail(error, MOTE_USAGE, "the context is %d; it must be at least 1", context);
    if (n_tokens < (size_t)context + 1) {
        mote_fail(error, MOTE_USAGE,
                  "the training text has %zu tokens, but one window of context %d needs at least %zu tokens", n_tokens,
                  context, (size_t)context + 1);
        return mote_hint(error, MOTE_USAGE, "use more text, or a model with a context of at most %zu",
                         n_tokens > 1 ? n_tokens - 1 : 1);
    }
    return MOTE_OK;
}

size_t mote_data_order_next(mote_data_order *order) {
    uint64_t n = mote_data_order_windows(order, order->epoch);
    if (order->index >= n) {
        order->epoch++;
        order->index = 0;
        n = mote_data_order_windows(order, order->epoch);
    }
    uint64_t window = permute(order->index++, n, epoch_key(order, order->epoch) + 1);
    return epoch_offset(order, order->epoch) + (size_t)window * (size_t)order->context;
}
