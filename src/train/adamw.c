/* AdamW (Loshchilov, Hutter 2019): two moments for each weight, decay apart from the gradient. */
#include <math.h>

#include "train/optimizer.h"

static int states(const mote_learned *learned) {
    (void)learned;
    return 2;
}

void mote_adamw_chunk(const mote_updater *updater, const mote_update *update, double lr, const mote_chunk *chunk) {
    const mote_learned *learned = &updater->learned[chunk->learned];
    const mote_train_options *options = &updater->options;
    mote_adamw adamw = {
        .lr = (mote_real)lr,
        .beta1 = (mote_real)options->beta1,
        .beta2 = (mote_real)options->beta2,
        .epsilon = (mote_real)options->epsilon,
        .weight_decay = learned->decays ? (mote_real)options->weight_decay : 0,
        .correction1 = (mote_real)(1.0 / (1.0 - pow(options->beta1, (double)update->step))),
        .correction2 = (mote_real)(1.0 / (1.0 - pow(options->beta2, (double)update->step))),
        .gradient_scale = (mote_real)update->gradient_scale,
    };
    size_t at = chunk->begin;
    updater->kernels->adamw(&adamw, learned->gradient + at, learned->state[0] + at, learned->state[1] + at,
                            learned->value + at, chunk->n);
}

static void update_weights(mote_updater *updater, const mote_update *update, atomic_int *next, int thread,
                           int n_threads) {
    (void)thread;
    (void)n_threads;
    for (int part; (part = mote_take(&next[0])) < updater->n_chunks;)
        mote_adamw_chunk(updater, update, update->lr, &updater->chunks[part]);
}

const mote_optimizer_info mote_optimizer_adamw = {
    .name = "adamw",
    .state_prefix = {"m", "v"},
    .states = states,
    .update = update_weights,
};
