/* Products of training rehearsed on memory of their own: ours, with and without the packing before, and those of a BLAS
 * library, split over the threads of a pool as training splits them. What `mote bench crossover` prints, what a trainer
 * decides by, and what bench/bench_gemm.c lays beside other libraries. */
#ifndef MOTE_KERNELS_CROSSOVER_H
#define MOTE_KERNELS_CROSSOVER_H

#include "base/threads.h"
#include "kernels/blas.h"
#include "kernels/tiling.h"

/* y [tokens, outputs] = x [tokens, inputs] w^T with w [outputs, inputs], or one of its gradients: dx = dy w,
 * dw += dy^T x. */
typedef struct {
    mote_product_form form;
    int tokens, outputs, inputs;
    int count; /* products of the same shape, each on one thread: tiles of attention; 1: one, split over the threads */
    mote_tiling tiling; /* of the rows of each result: one tile where a product is not split */
} mote_shape;

typedef struct {
    const mote_kernels *kernels;
    mote_pool *pool;
    mote_shape shape;
    mote_real *x, *w, *y;       /* `count` matrices each */
    mote_real *panels, *strips; /* of w, where the form wants them; NULL: w is read as it lies */
    mote_real *scratch;         /* of mote_matrix_product_part and mote_gemm.copy, for each thread */
    const mote_blas *blas;      /* of the call in progress */
    atomic_int next;
} mote_rehearsal;

mote_status mote_rehearsal_create(const mote_kernels *kernels, mote_pool *pool, const mote_shape *shape,
                                  mote_rehearsal **rehearsal, mote_error *error);
void mote_rehearsal_destroy(mote_rehearsal *rehearsal);
void mote_rehearsal_run(mote_rehearsal *rehearsal, const mote_blas *blas); /* NULL: ours, w packed before */
void mote_rehearsal_multiply(mote_rehearsal *rehearsal); /* from w as it lies, mote_matrix_product_part */

/* Medians of seven rounds in turns (three where calls are long), each of about `seconds` a contestant: ours, ours with
 * packing, blas (0: none). */
enum { MOTE_CONTESTANTS = 3 };
void mote_rehearsal_time(mote_rehearsal *rehearsal, const mote_blas *blas, double seconds,
                         double took[MOTE_CONTESTANTS]);

/* As the executor splits: a weight gradient over its weights, others over the tokens. */
static inline mote_tiling mote_shape_tiling(mote_product_form form, int rows, int threads, bool head) {
    if (form == MOTE_PRODUCT_WEIGHT) return mote_tile_weight(rows, threads);
    return head ? mote_tile_head(rows, threads, MOTE_TOKEN_UNIT)
                : mote_tile_tokens(rows, threads, MOTE_TOKEN_UNIT, MOTE_COARSE_UNIT);
}

/* What is measured of a machine: three forms each of 14 layers, in classes. */
enum { MOTE_N_LAYERS = MOTE_CROSSOVER_ROWS / 3 };
typedef struct {
    const char *group;
    int tokens, outputs, inputs, count;
} mote_layer;
extern const mote_layer mote_layers[MOTE_N_LAYERS];
static inline mote_shape mote_shape_of(const mote_layer *l, mote_product_form form, int threads) {
    int rows = form == MOTE_PRODUCT_WEIGHT ? l->outputs : l->tokens;
    const mote_tiling one = {rows, rows, 1, 1};
    return (mote_shape){form, l->tokens, l->outputs, l->inputs, l->count,
                        l->count > 1 ? one : mote_shape_tiling(form, rows, threads, l->outputs >= 10000)};
}

static inline double mote_shape_operations(const mote_shape *s) {
    return 2.0 * s->tokens * s->outputs * s->inputs * s->count;
}

#endif
