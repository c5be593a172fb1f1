/* Panels of bytes from floats, for every instruction set alike: around the table's quantize and quantize_tile, which do
 * the arithmetic, this only moves words of four codes. */
#include "kernels/bytes.h"

#include <string.h>

static const uint32_t zero_point = 0x80808080u; /* of four codes */

void mote_bytes_pack_rows(const mote_kernels *k, const mote_real *w, size_t w_row, int n, int depth, void *panels) {
    enum { AT_ONCE = 8 };
    const int n_blocks = mote_blocks_of(depth), whole = (n + MOTE_PANEL - 1) / MOTE_PANEL * MOTE_PANEL;
    const size_t panel = mote_bytes_panel((size_t)n_blocks);
    for (int i = 0; i < whole; i++) {
        uint8_t *codes = (uint8_t *)panels + (size_t)(i / MOTE_PANEL) * panel + (size_t)(i % MOTE_PANEL) * 4;
        uint8_t *scales = codes + (size_t)n_blocks * MOTE_BYTES_CODES;
        for (int begin = 0; begin < n_blocks; begin += AT_ONCE) {
            mote_block8 blocks[AT_ONCE] = {0};
            int end = begin + AT_ONCE < n_blocks ? begin + AT_ONCE : n_blocks;
            int values = end < n_blocks ? AT_ONCE * MOTE_BLOCK_VALUES : depth - begin * MOTE_BLOCK_VALUES;
            if (i < n) k->quantize(w + (size_t)i * w_row + (size_t)begin * MOTE_BLOCK_VALUES, values, blocks);
            for (int b = begin; b < end; b++, codes += MOTE_BYTES_CODES, scales += MOTE_BYTES_SCALES) {
                for (int g = 0; g < 8; g++) {
                    uint32_t four;
                    memcpy(&four, blocks[b - begin].code + 4 * g, sizeof four);
                    four ^= zero_point;
                    memcpy(codes + g * MOTE_BLOCK_VECTOR, &four, sizeof four);
                }
                memcpy(scales, &blocks[b - begin].scale, sizeof(float));
            }
        }
    }
}

/* Rows `from` .. of 16 columns: in place where there are 32 x 16 values, else a copy filled up with zeros. */
static const mote_real *whole_tile(const mote_real *x, size_t *x_row, int rows, int columns, mote_real *copy) {
    if (rows >= MOTE_BLOCK_VALUES && columns >= MOTE_PANEL) return x;
    if (columns > MOTE_PANEL) columns = MOTE_PANEL;
    memset(copy, 0, MOTE_BLOCK_VALUES * MOTE_PANEL * sizeof *copy);
    for (int r = 0; r < rows && r < MOTE_BLOCK_VALUES; r++)
        memcpy(copy + r * MOTE_PANEL, x + (size_t)r * *x_row, (size_t)columns * sizeof *copy);
    *x_row = MOTE_PANEL;
    return copy;
}

void mote_bytes_pack_columns(const mote_kernels *k, const mote_real *x, size_t x_row, int rows, int columns, int first,
                             int n_blocks, void *panels) {
    const size_t panel = mote_bytes_panel((size_t)n_blocks);
    for (int r = 0; r < rows; r += MOTE_BLOCK_VALUES, first++) {
        for (int c = 0; c < columns; c += MOTE_PANEL) {
            mote_real copy[MOTE_BLOCK_VALUES * MOTE_PANEL];
            int32_t sums[MOTE_PANEL];
            float scales[MOTE_PANEL];
            size_t row = x_row;
            const mote_real *tile = whole_tile(x + (size_t)r * x_row + c, &row, rows - r, columns - c, copy);
            uint8_t *to = (uint8_t *)panels + (size_t)(c / MOTE_PANEL) * panel;
            k->quantize_tile(tile, row, to + (size_t)first * MOTE_BYTES_CODES, scales, sums);
            memcpy(to + (size_t)n_blocks * MOTE_BYTES_CODES + (size_t)first * MOTE_BYTES_SCALES, scales, sizeof scales);
        }
    }
}

void mote_bytes_turn(const mote_kernels *k, const mote_real *x, size_t x_row, int rows, int columns,
                     mote_block8 *blocks) {
    const int n_blocks = mote_blocks_of(rows);
    for (int b = 0; b < n_blocks; b++) {
        for (int c = 0; c < columns; c += MOTE_PANEL) {
            mote_real copy[MOTE_BLOCK_VALUES * MOTE_PANEL];
            uint8_t codes[MOTE_BYTES_CODES];
            int32_t sums[MOTE_PANEL];
            float scales[MOTE_PANEL];
            size_t row = x_row;
            int begin = b * MOTE_BLOCK_VALUES;
            const mote_real *tile = whole_tile(x + (size_t)begin * x_row + c, &row, rows - begin, columns - c, copy);
            k->quantize_tile(tile, row, codes, scales, sums);
            for (int i = 0; i < MOTE_PANEL && i < columns - c; i++) {
                mote_block8 *to = &blocks[(size_t)(c + i) * (size_t)n_blocks + (size_t)b];
                for (int g = 0; g < 8; g++) {
                    uint32_t four;
                    memcpy(&four, codes + g * MOTE_BLOCK_VECTOR + 4 * i, sizeof four);
                    four ^= zero_point;
                    memcpy(to->code + 4 * g, &four, sizeof four);
                }
                to->scale = scales[i];
                to->sum = sums[i];
            }
        }
    }
}
