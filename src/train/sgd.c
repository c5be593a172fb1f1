/* Stochastic gradient descent with momentum (beta1) and decay in the gradient: the yardstick for the others. */
#include "train/optimizer.h"

static int states(const mote_learned *learned) {
    (void)learned;
    return 1;
}

static void update_weights(mote_updater *updater, const mote_update *update, atomic_int *next, int thread,
                           int n_threads) {
    (void)thread;
    (void)n_threads;
    const mote_train_options *options = &updater->options;
    for (int part; (part = mote_take(&next[0])) < updater->n_chunks;) {
        const mote_chunk *chunk = &updater->chunks[part];
        const mote_learned *learned = &updater->learned[chunk->learned];
        size_t at = chunk->begin;
        updater->kernels->sgd((mote_real)update->lr, (mote_real)options->beta1, (mote_real)update->gradient_scale,
                              learned->decays ? (mote_real)options->weight_decay : 0, learned->gradient + at,
                              learned->state[0] + at, learned->value + at, chunk->n);
    }
}

const mote_optimizer_info mote_optimizer_sgd = {
    .name = "sgd",
    .state_prefix = {"m", NULL},
    .states = states,
    .update = update_weights,
};
