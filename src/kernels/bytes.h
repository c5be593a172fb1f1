/* What training in 8 bits multiplies: matrices that change every step, so that packing them must cost little. Panels of
 * bytes like q8_0's, whose scales are f32 because gradients and activations leave the range of f16. A block of 32
 * values is always rounded by the rule of the table's quantize, whichever way through a matrix it runs. */
#ifndef MOTE_KERNELS_BYTES_H
#define MOTE_KERNELS_BYTES_H

#include "kernels/panels.h"

enum { MOTE_BYTES_CODES = 8 * MOTE_BLOCK_VECTOR, MOTE_BYTES_SCALES = MOTE_PANEL * sizeof(float) };

/* Of one panel, n blocks deep: [n][8 vectors] of code + 128, laid as q8_0's, then [n][16] scales. */
static inline size_t mote_bytes_panel(size_t n) { return n * (MOTE_BYTES_CODES + MOTE_BYTES_SCALES); }
static inline size_t mote_bytes_size(int columns, int depth) {
    return (size_t)((columns + MOTE_PANEL - 1) / MOTE_PANEL) * mote_bytes_panel((size_t)mote_blocks_of(depth));
}

/* Rows [0, n) of W[n, depth] -> the columns of ceil(n / 16) panels; those that are missing are zero. */
void mote_bytes_pack_rows(const mote_kernels *k, const mote_real *w, size_t w_row, int n, int depth, void *panels);
/* X[rows, columns], whose rows are the depth from block `first` on, into panels that are n_blocks deep. */
void mote_bytes_pack_columns(const mote_kernels *k, const mote_real *x, size_t x_row, int rows, int columns, int first,
                             int n_blocks, void *panels);
/* The columns of X[rows, columns] as rows of mote_blocks_of(rows) blocks each. */
void mote_bytes_turn(const mote_kernels *k, const mote_real *x, size_t x_row, int rows, int columns,
                     mote_block8 *blocks);

#endif
