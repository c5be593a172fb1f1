/* One product of matrices as they lie in memory, cut once over all threads, as BLAS libraries offer it: what they are
 * measured against (mote bench crossover, bench/bench_gemm.c). Training and running keep their weights packed and go by
 * tiles of rows through several products instead (ops/). */
#ifndef MOTE_KERNELS_MATRIX_PRODUCT_H
#define MOTE_KERNELS_MATRIX_PRODUCT_H

#include "kernels/kernels.h"

/* C [rows, columns] = A B, or C += A B. */
typedef struct {
    int rows, columns, depth;
    const mote_real *a; /* element (r, k): a[r * a_row + k * a_depth] */
    size_t a_row, a_depth;
    const mote_real *b; /* row-major, [depth, columns], or transposed: [columns, depth] */
    size_t b_row;
    bool b_transposed;
    mote_real *c; /* row-major */
    size_t c_row;
    bool adds;
} mote_matrix_product;

/* Values of scratch for each thread, aligned to 64 bytes: packed rows of B, or a copy of A. */
enum { MOTE_MATRIX_PRODUCT_SCRATCH = MOTE_GEMM_COPY };

/* The part of `thread` of `threads`; all of them together do the whole, in any order and with the same bits whatever
 * their number. */
void mote_matrix_product_part(const mote_kernels *kernels, const mote_matrix_product *product, int thread, int threads,
                              mote_real *scratch);

#endif
