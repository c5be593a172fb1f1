/* Each thread has one block of the result. Packed parts of B are its own and stay in its L2, so no thread waits for
 * another; what several threads pack of the same B is weighed against what they would read of the same A. */
#include "kernels/matrix_product.h"

#include "kernels/tiling.h"

enum {
    UNIT_ROWS = MOTE_COARSE_UNIT,
    UNIT_COLUMNS = 32, /* two panels, as a strip of it has */
    /* What it costs to bring a value into place, in multiply-adds of the micro-kernel: packing a transposed B, copying
     * a row-major B or a transposed A on the way, reading A. */
    PACK_COST = 16,
    COPY_COST = 2,
    READ_COST = 1,
    CHUNK = 64 * 1024, /* packed values at a time, 256 KiB: a quarter of a thread's L2, half of a small one */
};

_Static_assert((int)CHUNK <= (int)MOTE_MATRIX_PRODUCT_SCRATCH, "the caller's memory for packed rows");

typedef struct {
    int begin, end;
} range;

/* Part `part` of n in whole units; the last part is never the smallest in units. */
static range cut(int n, int unit, int part, int parts) {
    const mote_tiling t = {.rows = n, .unit = unit, .units = mote_parts_of(n, unit), .tiles = parts};
    return (range){mote_row_of_tile(&t, part), mote_row_of_tile(&t, part + 1)};
}

/* Into how many parts the rows are cut when `threads` divide the result in a grid: the least work of the thread that
 * has most. */
static int row_parts(const mote_matrix_product *p, int threads) {
    int best = 1;
    double least = 0;
    for (int parts = 1; parts <= threads; parts++) {
        if (threads % parts) continue;
        const range r = cut(p->rows, UNIT_ROWS, parts - 1, parts),
                    c = cut(p->columns, UNIT_COLUMNS, threads / parts - 1, threads / parts);
        const double rows = mote_parts_of(r.end - r.begin, UNIT_ROWS) * UNIT_ROWS,
                     columns = mote_parts_of(c.end - c.begin, UNIT_COLUMNS) * UNIT_COLUMNS;
        const double cost = rows * columns + (p->b_transposed ? PACK_COST : COPY_COST) * columns +
                            (p->a_row == 1 ? COPY_COST : READ_COST) * rows;
        if (parts == 1 || cost < least) least = cost, best = parts;
    }
    return best;
}

/* Rows of a transposed B packed and multiplied in chunks that fit the scratch; the next chunk is fetched meanwhile. */
static void multiply_transposed(const mote_kernels *kernels, const mote_matrix_product *p, mote_gemm *g, range columns,
                                mote_real *scratch) {
    const int deepest = CHUNK / UNIT_COLUMNS, n = columns.end - columns.begin;
    const mote_real *a = g->a;
    mote_real *c = g->c;
    int from = 0;
    g->b = scratch;
    g->b_depth = MOTE_PANEL;
    g->b_padded = true;
    do {
        g->depth = p->depth - from < deepest ? p->depth - from : deepest;
        g->b_panel = (size_t)g->depth * MOTE_PANEL;
        g->a = a + (size_t)from * p->a_depth;
        const int chunks = mote_parts_of(mote_parts_of(n, UNIT_COLUMNS), g->depth ? deepest / g->depth : deepest);
        for (int i = 0; i < chunks; i++) {
            const range chunk = cut(n, UNIT_COLUMNS, i, chunks), next = cut(n, UNIT_COLUMNS, i + 1, chunks);
            const mote_real *b = p->b + (size_t)columns.begin * p->b_row;
            g->columns = chunk.end - chunk.begin;
            g->c = c + columns.begin + chunk.begin;
            g->start = p->adds || from ? g->c : NULL;
            g->next = b + (size_t)chunk.end * p->b_row;
            g->next_floats = i + 1 < chunks && g->depth == p->depth ? (size_t)(next.end - next.begin) * p->b_row : 0;
            kernels->pack[MOTE_TYPE_F32](b + (size_t)chunk.begin * p->b_row + from, p->b_row, g->columns, g->depth,
                                         scratch);
            kernels->gemm[MOTE_TYPE_F32](g);
        }
        from += deepest;
    } while (from < p->depth);
}

void mote_matrix_product_part(const mote_kernels *kernels, const mote_matrix_product *p, int thread, int threads,
                              mote_real *scratch) {
    const int parts = row_parts(p, threads);
    const range rows = cut(p->rows, UNIT_ROWS, thread % parts, parts),
                columns = cut(p->columns, UNIT_COLUMNS, thread / parts, threads / parts);
    if (rows.begin == rows.end || columns.begin == columns.end) return;
    mote_gemm g = {.rows = rows.end - rows.begin,
                   .columns = columns.end - columns.begin,
                   .depth = p->depth,
                   .a = p->a + (size_t)rows.begin * p->a_row,
                   .a_row = p->a_row,
                   .a_depth = p->a_depth,
                   .c = p->c + (size_t)rows.begin * p->c_row,
                   .c_row = p->c_row,
                   .start_row = p->c_row};
    if (p->b_transposed) {
        multiply_transposed(kernels, p, &g, columns, scratch);
        return;
    }
    g.c += columns.begin;
    g.start = p->adds ? g.c : NULL;
    g.copy = scratch;
    g.b = p->b + columns.begin;
    g.b_panel = MOTE_PANEL;
    g.b_depth = p->b_row;
    kernels->gemm[MOTE_TYPE_F32](&g);
}
