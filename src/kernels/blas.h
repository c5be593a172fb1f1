/* Products by a BLAS library found at run time, where a trainer is told to use one. It sums in an order of its own, so
 * nothing that promises the same bits everywhere holds for its results; mote needs none and takes none by itself. */
#ifndef MOTE_KERNELS_BLAS_H
#define MOTE_KERNELS_BLAS_H

#include "kernels/kernels.h"

/* cblas_sgemm, of a library whose integers are of 32 bits (cblas_dgemm where mote_real is double). */
typedef void (*mote_blas_function)(int order, int transpose_a, int transpose_b, int m, int n, int k, mote_real alpha,
                                   const mote_real *a, int a_row, const mote_real *b, int b_row, mote_real beta,
                                   mote_real *c, int c_row);

struct mote_blas {
    void *library; /* of dlopen; NULL in tests */
    mote_blas_function gemm;
    char name[160]; /* as it was found, and what it says of itself */
};

/* A matrix as it lies in memory, row-major. */
typedef struct {
    const mote_real *values;
    size_t row;
    bool transposed; /* its transpose is what takes part */
} mote_blas_matrix;

/* The product g describes, with b [depth, columns] instead of g's panels. g->a has depths or rows side by side. */
void mote_blas_product(const mote_blas *blas, const mote_gemm *g, const mote_blas_matrix *b);

#endif
