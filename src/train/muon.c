/* Muon (Jordan 2024): momentum on hidden matrices, made nearly orthogonal by five Newton-Schulz iterations, so that
 * every direction moves equally far; AdamW with adam_lr for embeddings, head, gains and biases. The update is scaled by
 * 0.2 sqrt(max(rows, cols)), which gives it the root mean square of a typical AdamW update (Liu et al. 2025, "Muon is
 * scalable"): so lr and weight_decay mean for Muon what they mean for AdamW. Large matrices are shared by all threads
 * by blocks of rows, small ones go to one thread each. Products sum their depth in one order however their rows are
 * shared out, so both ways give the same bits. */
#include <math.h>

#include "train/optimizer.h"

enum { ITERATIONS = 5, BLOCK_ROWS = 48 }; /* whole panels, and whole tiles of the 12-row micro-kernel */

/* The threads that share a matrix: all of the pool, or one by itself. */
typedef struct {
    mote_pool *pool; /* NULL: alone */
    int thread, n_threads;
} team;

static void meet(const team *t) {
    if (t->pool) mote_pool_barrier(t->pool);
}

/* Memory for one matrix of `rows` x `cols`, held as x [small, large] with small = min(rows, cols). */
typedef struct {
    int small, large;
    mote_real *x, *y;       /* [small, large]; each iteration goes from one to the other */
    mote_real *panels;      /* x packed: the second factor of x x^T */
    mote_real *gram, *poly; /* [small, small] */
    double *row_sums;       /* [rows] */
} workspace;

static size_t align(size_t bytes) {
    return (bytes + 63) & ~(size_t)63;
}

static size_t workspace_lay(workspace *w, int rows, int cols, uint8_t *memory) {
    size_t small = (size_t)(rows < cols ? rows : cols), large = (size_t)(rows < cols ? cols : rows);
    size_t matrix = align(small * large * sizeof(mote_real)), square = align(small * small * sizeof(mote_real));
    size_t panels = align(mote_packed_values((int)small, (int)large) * sizeof(mote_real));
    *w = (workspace){.small = (int)small, .large = (int)large};
    if (memory) {
        w->x = (mote_real *)(void *)memory;
        w->y = (mote_real *)(void *)(memory + matrix);
        w->panels = (mote_real *)(void *)(memory + 2 * matrix);
        w->gram = (mote_real *)(void *)(memory + 2 * matrix + panels);
        w->poly = (mote_real *)(void *)(memory + 2 * matrix + panels + square);
        w->row_sums = (double *)(void *)(memory + 2 * matrix + panels + 2 * square);
    }
    return 2 * matrix + panels + 2 * square + align((size_t)rows * sizeof(double));
}

static size_t own_scratch(const mote_block *blocks, int n_blocks, bool shared) {
    size_t most = 0;
    for (int i = 0; i < n_blocks; i++) {
        workspace w;
        size_t bytes = blocks[i].shared == shared ? workspace_lay(&w, blocks[i].rows, blocks[i].cols, NULL) : 0;
        if (bytes > most) most = bytes;
    }
    return most;
}

static size_t scratch(const mote_block *blocks, int n_blocks, int threads) {
    return own_scratch(blocks, n_blocks, true) + own_scratch(blocks, n_blocks, false) * (size_t)threads;
}

/* momentum = beta momentum + g; x = beta momentum + g (Nesterov), transposed when the matrix is tall. Row sums of
 * squares. */
static void start(const mote_updater *updater, const mote_update *update, const mote_block *block, const workspace *w,
                  const team *t) {
    const mote_learned *learned = &updater->learned[block->learned];
    mote_real beta = (mote_real)updater->options.beta1, scale = (mote_real)update->gradient_scale;
    bool tall = block->rows > block->cols;
    for (int begin = t->thread * BLOCK_ROWS; begin < block->rows; begin += t->n_threads * BLOCK_ROWS) {
        int end = begin + BLOCK_ROWS < block->rows ? begin + BLOCK_ROWS : block->rows;
        for (int r = begin; r < end; r++) {
            size_t at = (size_t)(block->row + r) * (size_t)block->cols;
            const mote_real *gradient = learned->gradient + at;
            mote_real *momentum = learned->state[0] + at;
            mote_real *x = tall ? w->x + r : w->x + (size_t)r * (size_t)block->cols;
            size_t stride = tall ? (size_t)w->large : 1;
            double sum = 0;
            for (int c = 0; c < block->cols; c++) {
                mote_real g = scale * gradient[c];
                momentum[c] = beta * momentum[c] + g;
                mote_real direction = beta * momentum[c] + g;
                x[(size_t)c * stride] = direction;
                sum += (double)direction * (double)direction;
            }
            w->row_sums[r] = sum;
        }
    }
}

static void pack_rows(const mote_kernels *k, const mote_real *x, const workspace *w, int begin, int end) {
    size_t large = (size_t)w->large;
    k->pack[MOTE_TYPE_F32](x + (size_t)begin * large, large, end - begin, w->large,
                           w->panels + (size_t)begin * large); /* begin is a multiple of the panel */
}

/* A symmetric matrix of which the rows [begin, end) were computed up to column `end`: what lies above the diagonal in
 * the rows before is the same numbers, bit for bit, since a product sums in one order. */
static void mirror(mote_real *m, size_t size, int begin, int end) {
    for (int r = begin; r < end; r++)
        for (int c = 0; c < begin; c++) m[(size_t)c * size + (size_t)r] = m[(size_t)r * size + (size_t)c];
}

/* Rows of gram = x x^T. */
static void gram_rows(const mote_kernels *k, const workspace *w, int begin, int end) {
    size_t small = (size_t)w->small, large = (size_t)w->large;
    mote_gemm product = {.rows = end - begin, .columns = end, .depth = w->large, .a = w->x + (size_t)begin * large,
                         .a_row = large, .a_depth = 1, .b = w->panels, .b_panel = large * MOTE_PANEL,
                         .b_depth = MOTE_PANEL, .b_padded = true, .c = w->gram + (size_t)begin * small, .c_row = small};
    k->gemm[MOTE_TYPE_F32](&product);
    mirror(w->gram, small, begin, end);
}

/* Rows of poly = b gram + c gram gram. */
static void polynomial_rows(const mote_kernels *k, const workspace *w, int begin, int end) {
    static const mote_real b = (mote_real)-4.7750, c = (mote_real)2.0315;
    size_t small = (size_t)w->small;
    mote_real *gram = w->gram + (size_t)begin * small, *poly = w->poly + (size_t)begin * small;
    mote_gemm square = {.rows = end - begin, .columns = end, .depth = w->small, .a = gram, .a_row = small, .a_depth = 1,
                        .b = w->gram, .b_panel = MOTE_PANEL, .b_depth = small, .c = poly, .c_row = small};
    k->gemm[MOTE_TYPE_F32](&square);
    for (int r = begin; r < end; r++, poly += small, gram += small) {
        k->scale(c, poly, (size_t)end);
        k->add_scaled(b, gram, poly, (size_t)end);
    }
    mirror(w->poly, small, begin, end);
}

/* Rows of y = a x + poly x. */
static void apply_rows(const mote_kernels *k, const workspace *w, int begin, int end) {
    static const mote_real a = (mote_real)3.4445;
    size_t small = (size_t)w->small, large = (size_t)w->large;
    mote_real *y = w->y + (size_t)begin * large;
    mote_gemm product = {.rows = end - begin, .columns = w->large, .depth = w->small,
                         .a = w->poly + (size_t)begin * small, .a_row = small, .a_depth = 1, .b = w->x,
                         .b_panel = MOTE_PANEL, .b_depth = large, .c = y, .c_row = large};
    k->gemm[MOTE_TYPE_F32](&product);
    k->add_scaled(a, w->x + (size_t)begin * large, y, (size_t)(end - begin) * large);
}

/* x -> nearly orthogonal: x = a x + (b x x^T + c (x x^T)^2) x, five times, from x of norm 1. */
static void orthogonalize(const mote_kernels *k, workspace *w, double norm, const team *t) {
    size_t large = (size_t)w->large;
    int step = t->n_threads * BLOCK_ROWS;
    mote_real inverse = (mote_real)(1.0 / (norm + 1e-7));
    for (int begin = t->thread * BLOCK_ROWS; begin < w->small; begin += step) {
        int end = begin + BLOCK_ROWS < w->small ? begin + BLOCK_ROWS : w->small;
        k->scale(inverse, w->x + (size_t)begin * large, (size_t)(end - begin) * large);
        pack_rows(k, w->x, w, begin, end);
    }
    for (int i = 0; i < ITERATIONS; i++) {
        meet(t); /* x and its panels are whole */
        for (int begin = t->thread * BLOCK_ROWS; begin < w->small; begin += step)
            gram_rows(k, w, begin, begin + BLOCK_ROWS < w->small ? begin + BLOCK_ROWS : w->small);
        meet(t); /* gram is whole, and nobody reads the panels any more */
        for (int begin = t->thread * BLOCK_ROWS; begin < w->small; begin += step)
            polynomial_rows(k, w, begin, begin + BLOCK_ROWS < w->small ? begin + BLOCK_ROWS : w->small);
        meet(t); /* poly is whole */
        for (int begin = t->thread * BLOCK_ROWS; begin < w->small; begin += step) {
            int end = begin + BLOCK_ROWS < w->small ? begin + BLOCK_ROWS : w->small;
            apply_rows(k, w, begin, end);
            if (i + 1 < ITERATIONS) pack_rows(k, w->y, w, begin, end);
        }
        mote_real *x = w->x;
        w->x = w->y;
        w->y = x;
    }
    meet(t);
}

static void update_block(const mote_updater *updater, const mote_update *update, const mote_block *block,
                         uint8_t *memory, const team *t) {
    const mote_kernels *k = updater->kernels;
    const mote_learned *learned = &updater->learned[block->learned];
    workspace w;
    workspace_lay(&w, block->rows, block->cols, memory);
    start(updater, update, block, &w, t);
    meet(t);
    double sum = 0;
    for (int r = 0; r < block->rows; r++) sum += w.row_sums[r];
    orthogonalize(k, &w, sqrt(sum), t);
    mote_real keep = (mote_real)(1.0 - update->lr * updater->options.weight_decay);
    mote_real step = (mote_real)(-update->lr * 0.2 * sqrt((double)w.large));
    size_t cols = (size_t)block->cols;
    for (int begin = t->thread * BLOCK_ROWS; begin < block->rows; begin += t->n_threads * BLOCK_ROWS) {
        int end = begin + BLOCK_ROWS < block->rows ? begin + BLOCK_ROWS : block->rows;
        for (int r = begin; r < end; r++) {
            mote_real *weight = learned->value + (size_t)(block->row + r) * cols;
            k->scale(keep, weight, cols);
            if (block->rows <= block->cols) {
                k->add_scaled(step, w.x + (size_t)r * cols, weight, cols);
            } else {
                for (size_t c = 0; c < cols; c++) weight[c] += step * w.x[c * (size_t)w.large + (size_t)r];
            }
        }
    }
    meet(t); /* the next shared matrix uses the same memory */
}

static int states(const mote_learned *learned) {
    return learned->hidden ? 1 : 2;
}

static void update_weights(mote_updater *updater, const mote_update *update, atomic_int *next, int thread,
                           int n_threads) {
    team all = {updater->pool, thread, n_threads}, alone = {NULL, 0, 1};
    for (int i = 0; i < updater->n_blocks; i++)
        if (updater->blocks[i].shared) update_block(updater, update, &updater->blocks[i], updater->scratch, &all);
    uint8_t *own = updater->scratch ? updater->scratch + own_scratch(updater->blocks, updater->n_blocks, true) +
                                          own_scratch(updater->blocks, updater->n_blocks, false) * (size_t)thread
                                    : NULL;
    for (int i; (i = mote_take(&next[0])) < updater->n_blocks;)
        if (!updater->blocks[i].shared) update_block(updater, update, &updater->blocks[i], own, &alone);
    for (int i; (i = mote_take(&next[1])) < updater->n_chunks;)
        if (!updater->learned[updater->chunks[i].learned].hidden)
            mote_adamw_chunk(updater, update, update->adam_lr, &updater->chunks[i]);
}

const mote_optimizer_info mote_optimizer_muon = {
    .name = "muon",
    .state_prefix = {"m", "v"},
    .states = states,
    .scratch = scratch,
    .update = update_weights,
};
