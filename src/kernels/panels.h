/* Panels of the integer weight types: 16 columns, the depth in blocks of 32, the same bytes for every instruction set.
 * How one looks is said at mote_panel_bytes. */
#ifndef MOTE_KERNELS_PANELS_H
#define MOTE_KERNELS_PANELS_H

#include "kernels/kernels.h"
#include "quant/pairs.h"

enum {
    MOTE_BLOCK_VECTOR = 64,
    MOTE_PAIR_PANEL_CODES = 3 * MOTE_BLOCK_VECTOR, /* of a block */
    MOTE_PAIR_PANEL_REST = 32,
};

static inline size_t mote_panel_code_bytes(mote_type type) { /* of a block */
    switch (type) {
    case MOTE_TYPE_Q4_0: return 4 * MOTE_BLOCK_VECTOR;
    case MOTE_TYPE_Q3H:
    case MOTE_TYPE_Q43: return MOTE_PAIR_PANEL_CODES + MOTE_PAIR_PANEL_REST;
    default: return 8 * MOTE_BLOCK_VECTOR;
    }
}
static inline size_t mote_panel_scale_bytes(mote_type type) { /* of a block; i8: none */
    switch (type) {
    case MOTE_TYPE_I8: return 0;
    case MOTE_TYPE_Q3H:
    case MOTE_TYPE_Q43: return MOTE_PANEL;
    default: return MOTE_PANEL * sizeof(uint16_t);
    }
}
/* Of one panel, n blocks deep. The unit is a vector of 64 bytes: byte 4c + j is column c at depth position 4g + j,
 * where positions are those of mote_block8's codes (even weights first) and g = 0 .. 7 is its place in the block:
 *   q8_0, i8   [n][8 vectors] of weight + 128
 *   q4_0       [n][4 vectors]: low nibbles are vector g, high ones vector g + 4, of weight + 8
 *   q3h, q43   [n][3 vectors] of 7-bit codes, each of which is the weights of vectors g and g + 4; then [n][32 bytes]:
 *              the fourth vector's codes, bits 0..3 here (bytes 0..31 in the low nibbles), bits 4..6 as the highest
 *              bits of the other three. 224 bytes for 256 codes, all aligned, and three of four need no unpacking.
 * The scales follow: [n][16] f16, or [n][16] bytes (pairs), or [16] f32 (i8). A panel is padded to whole vectors. */
static inline size_t mote_panel_bytes(mote_type type, size_t n) {
    size_t bytes = n * (mote_panel_code_bytes(type) + mote_panel_scale_bytes(type)) +
                   (type == MOTE_TYPE_I8 ? MOTE_PANEL * sizeof(float) : 0);
    return (bytes + MOTE_BLOCK_VECTOR - 1) / MOTE_BLOCK_VECTOR * MOTE_BLOCK_VECTOR;
}

/* Rows [0, n) of a matrix (n_columns of the product), each of mote_row_bytes(type, k) bytes at a distance of
 * w_row_bytes, -> ceil(n / 16) panels. Columns that are missing are zero. */
void mote_blocks_pack(mote_type type, const void *w, size_t w_row_bytes, int n, int k, void *panels);
/* The same from floats: each row is quantized by the type's from_f32 into `row` (mote_row_bytes(type, k) bytes), then
 * packed. Rows of one matrix may be packed by several threads, in multiples of 16. */
void mote_blocks_pack_f32(mote_type type, const float *w, size_t w_row, int n, int k, void *row, void *panels);
/* One row of those, as column `column` of one panel that mote_blocks_clear has emptied. */
void mote_blocks_clear(mote_type type, int k, void *panel);
void mote_blocks_pack_row(mote_type type, const float *w, int k, int column, void *row, void *panel);
/* A column's block as to_f32 would make it. */
void mote_blocks_values(mote_type type, const void *panel, int n_blocks, int block, int column,
                        float values[MOTE_BLOCK_VALUES]);
/* The 32 weights of a column's block in the order of mote_block8's codes, and their scale: how a panel is read back. */
float mote_blocks_unpack(mote_type type, const void *panel, int n_blocks, int block, int column,
                         int8_t weights[MOTE_BLOCK_VALUES]);

#endif
