/* One shape of a product, made ready and run again and again. Operands are small numbers, and what a product adds to is
 * cleared by nobody: dy is zero in the weight gradient, so that its sums stay where they are. */
#include "kernels/crossover.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/matrix_product.h"

enum { ROUNDS = 7, LEAST_ROUNDS = 3 };

/* Attention by heads of 32 and 48 columns; q, k, v, output and both feed-forward matrices of models 64 to 384 wide;
 * heads of 16000 tokens, as many rows as its chunks have and few. */
const mote_layer mote_layers[MOTE_N_LAYERS] = {
    {"attention tiles", 64, 64, 32, 16},      {"attention tiles", 64, 64, 48, 16},
    {"64 to 128 wide", 1024, 192, 64, 1},     {"64 to 128 wide", 1024, 64, 256, 1},
    {"64 to 128 wide", 2048, 128, 128, 1},    {"64 to 128 wide", 768, 512, 128, 1},
    {"256 to 384 wide", 2048, 768, 256, 1},   {"256 to 384 wide", 1024, 256, 1024, 1},
    {"256 to 384 wide", 1024, 384, 384, 1},   {"256 to 384 wide", 64, 384, 384, 1},
    {"1536 wide or deep", 2048, 1536, 384, 1}, {"1536 wide or deep", 1024, 384, 1536, 1},
    {"head of 16000", 512, 16000, 384, 1},    {"head of 16000", 96, 16000, 256, 1},
};

/* The product number i, of matrices as they lie. */
static mote_matrix_product whole(const mote_rehearsal *r, int i) {
    const mote_shape *s = &r->shape;
    size_t in = (size_t)s->inputs, out = (size_t)s->outputs, tokens = (size_t)s->tokens, at = (size_t)i;
    mote_real *x = r->x + at * tokens * in, *w = r->w + at * out * in, *y = r->y + at * tokens * out;
    if (s->form == MOTE_PRODUCT_FORWARD)
        return (mote_matrix_product){.rows = s->tokens, .columns = s->outputs, .depth = s->inputs, .a = x, .a_row = in,
                                     .a_depth = 1, .b = w, .b_row = in, .b_transposed = true, .c = y, .c_row = out};
    if (s->form == MOTE_PRODUCT_INPUT)
        return (mote_matrix_product){.rows = s->tokens, .columns = s->inputs, .depth = s->outputs, .a = y, .a_row = out,
                                     .a_depth = 1, .b = w, .b_row = in, .c = x, .c_row = in};
    return (mote_matrix_product){.rows = s->outputs, .columns = s->inputs, .depth = s->tokens, .a = y, .a_row = 1,
                                 .a_depth = out, .b = x, .b_row = in, .c = w, .c_row = in, .adds = true};
}

/* Its rows [begin, begin + rows), of a weight packed before where the form wants that. */
static mote_gemm describe(const mote_rehearsal *r, int i, int begin, int rows, mote_blas_matrix *b) {
    const mote_matrix_product p = whole(r, i);
    mote_gemm g = {.rows = rows, .columns = p.columns, .depth = p.depth, .a = p.a + (size_t)begin * p.a_row,
                   .a_row = p.a_row, .a_depth = p.a_depth, .b = p.b, .b_panel = MOTE_PANEL, .b_depth = p.b_row,
                   .c = p.c + (size_t)begin * p.c_row, .c_row = p.c_row, .start_row = p.c_row};
    if (p.adds) g.start = g.c;
    if (r->panels || r->strips) {
        g.b = r->panels ? r->panels + (size_t)i * mote_packed_values(p.columns, p.depth) : r->strips;
        g.b_panel = (size_t)p.depth * MOTE_PANEL;
        g.b_depth = MOTE_PANEL;
        g.b_padded = true;
    }
    *b = (mote_blas_matrix){p.b, p.b_row, p.b_transposed};
    return g;
}

static void run_parts(void *context, int thread, int n_threads) {
    (void)n_threads;
    mote_rehearsal *r = context;
    const mote_shape *s = &r->shape;
    const int parts = s->tiling.tiles;
    for (int i; (i = mote_take(&r->next)) < parts * s->count;) {
        const int begin = mote_row_of_tile(&s->tiling, i % parts), end = mote_row_of_tile(&s->tiling, i % parts + 1);
        mote_blas_matrix b;
        mote_gemm g = describe(r, i / parts, begin, end - begin, &b);
        g.copy = r->scratch + (size_t)thread * MOTE_MATRIX_PRODUCT_SCRATCH;
        if (r->blas) mote_blas_product(r->blas, &g, &b);
        else r->kernels->gemm[MOTE_TYPE_F32](&g);
    }
}

void mote_rehearsal_run(mote_rehearsal *r, const mote_blas *blas) {
    r->blas = blas;
    atomic_store_explicit(&r->next, 0, memory_order_relaxed);
    mote_pool_run(r->pool, run_parts, r);
}

static void multiply_parts(void *context, int thread, int n_threads) {
    mote_rehearsal *r = context;
    mote_real *scratch = r->scratch + (size_t)thread * MOTE_MATRIX_PRODUCT_SCRATCH;
    if (r->shape.count == 1) {
        const mote_matrix_product product = whole(r, 0);
        mote_matrix_product_part(r->kernels, &product, thread, n_threads, scratch);
        return;
    }
    for (int i; (i = mote_take(&r->next)) < r->shape.count;) {
        const mote_matrix_product product = whole(r, i);
        mote_matrix_product_part(r->kernels, &product, 0, 1, scratch);
    }
}

void mote_rehearsal_multiply(mote_rehearsal *r) {
    atomic_store_explicit(&r->next, 0, memory_order_relaxed);
    mote_pool_run(r->pool, multiply_parts, r);
}

static mote_real *numbers(size_t n, bool zero) {
    mote_real *values = mote_allocate_zero(n, sizeof *values);
    uint32_t state = 1;
    for (size_t i = 0; values && !zero && i < n; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (mote_real)(state >> 8) * (mote_real)0x1p-24 - (mote_real)0.5;
    }
    return values;
}

mote_status mote_rehearsal_create(const mote_kernels *kernels, mote_pool *pool, const mote_shape *s,
                                  mote_rehearsal **out, mote_error *error) {
    *out = NULL;
    mote_rehearsal *r = mote_allocate_zero(1, sizeof *r);
    if (!r) return mote_fail_memory(error, "a rehearsal of a product", sizeof *r);
    r->kernels = kernels;
    r->pool = pool;
    r->shape = *s;
    size_t n = (size_t)s->count, tokens = (size_t)s->tokens, outputs = (size_t)s->outputs, inputs = (size_t)s->inputs;
    size_t packed = s->form == MOTE_PRODUCT_FORWARD ? mote_packed_values(s->outputs, s->inputs) : 0;
    size_t strips = s->form == MOTE_PRODUCT_INPUT && s->count == 1 ? mote_packed_values(s->inputs, s->outputs) : 0;
    r->x = numbers(n * tokens * inputs, false);
    r->w = numbers(n * outputs * inputs, false);
    r->y = numbers(n * tokens * outputs, s->form == MOTE_PRODUCT_WEIGHT);
    size_t scratch = (size_t)mote_pool_threads(pool) * MOTE_MATRIX_PRODUCT_SCRATCH;
    r->scratch = numbers(scratch, true);
    if (packed) r->panels = numbers(n * packed, true);
    if (strips) r->strips = numbers(strips, true);
    if (!r->x || !r->w || !r->y || !r->scratch || (packed && !r->panels) || (strips && !r->strips)) {
        mote_rehearsal_destroy(r);
        return mote_fail_memory(error, "a rehearsal of a product",
                                n * (tokens * inputs + outputs * inputs + tokens * outputs) * sizeof(mote_real));
    }
    for (size_t i = 0; i < n && packed; i++)
        kernels->pack[MOTE_TYPE_F32](r->w + i * outputs * inputs, inputs, s->outputs, s->inputs,
                                     r->panels + i * packed);
    if (strips) mote_pack_strips(r->w, inputs, s->outputs, s->inputs, r->strips, outputs * MOTE_PANEL);
    *out = r;
    return MOTE_OK;
}

void mote_rehearsal_destroy(mote_rehearsal *r) {
    if (!r) return;
    mote_release(r->x);
    mote_release(r->w);
    mote_release(r->y);
    mote_release(r->panels);
    mote_release(r->strips);
    mote_release(r->scratch);
    mote_release(r);
}

static void run_contestant(mote_rehearsal *r, int contestant, const mote_blas *blas) {
    if (contestant == 1) mote_rehearsal_multiply(r);
    else mote_rehearsal_run(r, contestant == 2 ? blas : NULL);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void mote_rehearsal_time(mote_rehearsal *r, const mote_blas *blas, double seconds, double took[MOTE_CONTESTANTS]) {
    double all[MOTE_CONTESTANTS][ROUNDS];
    const int n = blas ? 3 : 2;
    int calls[MOTE_CONTESTANTS], rounds = 0;
    double begin = mote_seconds();
    took[2] = 0;
    for (int i = 0; i < n; i++) { /* warm, and how many calls fill a round */
        run_contestant(r, i, blas);
        double start = mote_seconds();
        run_contestant(r, i, blas);
        double one = mote_seconds() - start;
        calls[i] = one * 1e5 < seconds ? 100000 : one < seconds ? (int)(seconds / one) : 1;
    }
    for (; rounds < ROUNDS && (rounds < LEAST_ROUNDS || mote_seconds() - begin < 2 * ROUNDS * n * seconds); rounds++) {
        for (int i = 0; i < n; i++) {
            double start = mote_seconds();
            for (int j = 0; j < calls[i]; j++) run_contestant(r, i, blas);
            all[i][rounds] = (mote_seconds() - start) / calls[i];
        }
    }
    for (int i = 0; i < n; i++) {
        qsort(all[i], (size_t)rounds, sizeof *all[i], ascending);
        took[i] = all[i][rounds / 2];
    }
}
