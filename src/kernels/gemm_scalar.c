/* The reference of all products: one chain of fused multiply-adds per output, depth ascending. Nothing here is fast,
 * and where the processor has no fused multiply-add the C library computes it exactly, in some 20 times the time. */
#include "kernels/formulas.h"
#include "kernels/scalar.h"

static mote_real as_real(const mote_real *b) { return *b; }
static mote_real f16_as_real(const uint16_t *b) { return mote_f16_to_f32(*b); }
static mote_real bf16_as_real(const uint16_t *b) { return mote_bf16_to_f32(*b); }

/* The chain's first value. Without start and bias it is +0. */
static mote_real first_value(const mote_gemm *g, int row, int column) {
    if (!g->start) return g->bias ? g->bias[column] : 0;
    mote_real start = g->start[(size_t)row * g->start_row + (size_t)column];
    return g->bias ? start + g->bias[column] : start;
}

#define DEFINE_GEMM(name, type, load)                                                                                  \
    static void name(const mote_gemm *g) {                                                                             \
        for (int row = 0; row < g->rows; row++) {                                                                      \
            for (int column = 0; column < g->columns; column++) {                                                      \
                const mote_real *a = g->a + (size_t)row * g->a_row;                                                    \
                const type *b = (const type *)g->b + (size_t)(column / MOTE_PANEL) * g->b_panel + column % MOTE_PANEL; \
                mote_real sum = first_value(g, row, column);                                                           \
                for (size_t k = 0; k < (size_t)g->depth; k++)                                                          \
                    sum = mote_fused(a[k * g->a_depth], load(b + k * g->b_depth), sum);                                \
                g->c[(size_t)row * g->c_row + (size_t)column] = sum;                                                   \
            }                                                                                                          \
        }                                                                                                              \
    }

DEFINE_GEMM(gemm_f32_scalar, mote_real, as_real)
DEFINE_GEMM(gemm_f16_scalar, uint16_t, f16_as_real)
DEFINE_GEMM(gemm_bf16_scalar, uint16_t, bf16_as_real)

#define DEFINE_PACK(name, type)                                                                                        \
    static void name(const void *w, size_t w_row, int n, int k, void *panels) {                                        \
        type *out = panels;                                                                                            \
        for (int panel = 0; panel < n; panel += MOTE_PANEL) {                                                          \
            const type *from = (const type *)w + (size_t)panel * w_row;                                                \
            int present = n - panel < MOTE_PANEL ? n - panel : MOTE_PANEL;                                             \
            for (int depth = 0; depth < k; depth++, out += MOTE_PANEL) {                                               \
                for (int row = 0; row < present; row++) out[row] = from[(size_t)row * w_row + (size_t)depth];          \
                for (int row = present; row < MOTE_PANEL; row++) out[row] = 0;                                         \
            }                                                                                                          \
        }                                                                                                              \
    }

DEFINE_PACK(pack_f32_scalar, mote_real)
DEFINE_PACK(pack_u16_scalar, uint16_t)

void mote_kernels_fill_gemm_scalar(mote_kernels *table) {
    table->gemm[MOTE_TYPE_F32] = gemm_f32_scalar;
    table->gemm[MOTE_TYPE_F16] = gemm_f16_scalar;
    table->gemm[MOTE_TYPE_BF16] = gemm_bf16_scalar;
    table->pack[MOTE_TYPE_F32] = pack_f32_scalar;
    table->pack[MOTE_TYPE_F16] = pack_u16_scalar;
    table->pack[MOTE_TYPE_BF16] = pack_u16_scalar;
}
