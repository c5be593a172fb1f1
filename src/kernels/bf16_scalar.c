/* The reference of training in bf16: operands rounded one by one, then the two terms of a pair added in their order by
 * fused multiply-adds in f32. */
#include "kernels/formulas.h"
#include "kernels/scalar.h"

static uint32_t rounded(mote_real value) {
    float single = (float)value;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    if (!(bits & 0x7f800000u)) return bits >> 31 << 15; /* as vcvtne2ps2bf16 does */
    return mote_f32_to_bf16(single);
}

static void row(const mote_real *x, int n, uint32_t *pairs) {
    for (int i = 0; i < n; i += 2) pairs[i / 2] = rounded(x[i]) | (i + 1 < n ? rounded(x[i + 1]) << 16 : 0);
}

static void pack(const mote_real *w, size_t w_row, int n, int depth, uint32_t *panels) {
    const size_t panel = (size_t)((depth + 1) / 2) * MOTE_PANEL;
    for (int i = 0; i < (n + MOTE_PANEL - 1) / MOTE_PANEL * MOTE_PANEL; i++) {
        uint32_t *to = panels + (size_t)(i / MOTE_PANEL) * panel + i % MOTE_PANEL;
        const mote_real *from = w + (size_t)i * w_row;
        for (int k = 0; k < depth; k += 2, to += MOTE_PANEL) {
            if (i < n) row(from + k, depth - k < 2 ? depth - k : 2, to);
            else *to = 0;
        }
    }
}

static void turn(const mote_real *x, size_t x_row, int rows, int columns, uint32_t *panels, size_t panel) {
    for (int c = 0; c < (columns + MOTE_PANEL - 1) / MOTE_PANEL * MOTE_PANEL; c++) {
        uint32_t *to = panels + (size_t)(c / MOTE_PANEL) * panel + c % MOTE_PANEL;
        for (int r = 0; r < rows; r += 2, to += MOTE_PANEL) {
            mote_real two[2] = {0, 0};
            if (c < columns) two[0] = x[(size_t)r * x_row + (size_t)c];
            if (c < columns && r + 1 < rows) two[1] = x[(size_t)(r + 1) * x_row + (size_t)c];
            row(two, 2, to);
        }
    }
}

static void gemm(const mote_gemm_bf16 *g) {
    for (int i = 0; i < g->rows; i++) {
        const size_t step = g->a_row ? 1 : MOTE_PANEL;
        const uint32_t *a = g->a_row ? g->a + (size_t)i * g->a_row
                                     : g->a + (size_t)(i / MOTE_PANEL) * g->a_panel + i % MOTE_PANEL;
        for (int j = 0; j < g->columns; j++) {
            const uint32_t *b = g->b + (size_t)(j / MOTE_PANEL) * g->b_panel + j % MOTE_PANEL;
            mote_real sum = g->start ? g->start[(size_t)i * g->start_row + (size_t)j] : 0;
            if (g->bias) sum += g->bias[j];
            for (int k = 0; k < g->depth; k++) {
                uint32_t x = a[(size_t)k * step], y = b[(size_t)k * MOTE_PANEL];
                sum = mote_fused(mote_bf16_to_f32((uint16_t)x), mote_bf16_to_f32((uint16_t)y), sum);
                sum = mote_fused(mote_bf16_to_f32((uint16_t)(x >> 16)), mote_bf16_to_f32((uint16_t)(y >> 16)), sum);
            }
            g->c[(size_t)i * g->c_row + (size_t)j] = sum;
        }
    }
}

void mote_kernels_fill_bf16_scalar(mote_kernels *table) {
    table->bf16_gemm = gemm;
    table->bf16_row = row;
    table->bf16_pack = pack;
    table->bf16_turn = turn;
}
