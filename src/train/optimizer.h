/* Optimizers: one file each, one row each in the list (optimizer.c). The updater owns everything a step changes besides
 * the weights: optimizer state and averaged weights, laid out once.
 *
 * Work is cut into parts of fixed size that do not depend on the number of threads, so any number gives the same bits.
 */
#ifndef MOTE_TRAIN_OPTIMIZER_H
#define MOTE_TRAIN_OPTIMIZER_H

#include "base/threads.h"
#include "kernels/kernels.h"
#include "program/program.h"

enum { MOTE_OPTIMIZER_STATES = 2, MOTE_UPDATE_CHUNK = 16384, MOTE_UPDATE_PHASES = 4 };

/* A weight in training. */
typedef struct {
    const mote_tensor *tensor;
    mote_tensor_id id;
    size_t n;
    bool decays;  /* more than one row and column, tables too, as in nanoGPT; gains and biases do not */
    bool hidden;  /* a matrix of linear ops only: neither the token table nor the output head */
    int n_states; /* arrays of n values that the optimizer keeps */
    mote_real *value, *gradient, *average, *state[MOTE_OPTIMIZER_STATES]; /* average: NULL when off */
} mote_learned;

typedef struct {
    int learned;
    size_t begin, n;
} mote_chunk;

/* Rows of a hidden matrix that are orthogonalised together: q, k and v of a fused product are three. */
typedef struct {
    int learned, row, rows, cols;
    bool shared; /* large: all threads work on it together */
} mote_block;

/* This step's numbers. */
typedef struct {
    double lr, adam_lr;
    int64_t step; /* 1 for the first */
    double gradient_scale;
} mote_update;

typedef struct mote_updater mote_updater;

typedef struct {
    const char *name;
    const char *state_prefix[MOTE_OPTIMIZER_STATES]; /* of its tensors in a checkpoint: "m" makes "m.<weight>" */
    int (*states)(const mote_learned *learned);
    /* Scratch bytes for this list of blocks; NULL: none. */
    size_t (*scratch)(const mote_block *blocks, int n_blocks, int threads);
    /* Run by every thread at once. `next` holds MOTE_UPDATE_PHASES counters at 0. Must leave equal bits for any
     * n_threads. */
    void (*update)(mote_updater *updater, const mote_update *update, atomic_int *next, int thread, int n_threads);
} mote_optimizer_info;

extern const mote_optimizer_info mote_optimizer_adamw, mote_optimizer_muon, mote_optimizer_sgd;
const mote_optimizer_info *mote_optimizer_get(mote_optimizer optimizer); /* NULL: no such optimizer */

struct mote_updater {
    const mote_optimizer_info *info;
    const mote_kernels *kernels;
    mote_pool *pool;
    mote_train_options options;
    mote_learned *learned;
    int n_learned;
    mote_chunk *chunks;
    int n_chunks;
    double *sums; /* one for each chunk */
    mote_block *blocks;
    int n_blocks;
    mote_real *state, *average; /* the memory of learned[].state and .average */
    uint8_t *scratch;
};

typedef struct {
    size_t state, average, scratch, tables, total;
    uint64_t parameters;
} mote_updater_bytes;

/* Exactly what mote_updater_create allocates. */
mote_status mote_updater_measure(const mote_program *program, const mote_train_options *options, int threads,
                                 mote_updater_bytes *bytes, mote_error *error);
/* weight and gradient are arrays by tensor id. State begins at zero, the average as a copy of the weights. */
mote_status mote_updater_create(const mote_program *program, void *const *weight, mote_real *const *gradient,
                                const mote_train_options *options, mote_pool *pool, mote_updater **updater,
                                mote_error *error);
void mote_updater_destroy(mote_updater *updater);
/* Euclidean norm of all gradients; the squares of each chunk are summed in double, the chunks in order. */
double mote_updater_gradient_norm(mote_updater *updater);
/* Changes the weights, the state and the average. */
void mote_updater_step(mote_updater *updater, const mote_update *update);

/* AdamW on one chunk: the optimizer itself, and Muon's for what is not a hidden matrix. */
void mote_adamw_chunk(const mote_updater *updater, const mote_update *update, double lr, const mote_chunk *chunk);

#endif
