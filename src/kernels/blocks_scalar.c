/* The reference of the products with 8-bit activations: integer dots of a block, one chain of fused multiply-adds. */
#include "kernels/bytes.h"
#include "kernels/formulas.h"
#include "kernels/scalar.h"

#include <string.h>

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* To nearest even for |x| < 2^22: the sum's lowest bit is 1. */
static int32_t round_even(float x) { return (int32_t)(bits_of(x + 0x1.8p23f) - bits_of(0x1.8p23f)); }

static void quantize_scalar(const mote_real *x, int n, mote_block8 *blocks) {
    for (int begin = 0; begin < n; begin += MOTE_BLOCK_VALUES, x += MOTE_BLOCK_VALUES, blocks++) {
        float values[MOTE_BLOCK_VALUES] = {0};
        uint32_t bits = 0; /* of magnitudes: ordered as they are, infinities and NaN on top */
        for (int i = 0; i < MOTE_BLOCK_VALUES && i < n - begin; i++) {
            values[i] = (float)x[i];
            uint32_t magnitude = bits_of(values[i]) & 0x7fffffffu;
            if (magnitude > bits) bits = magnitude;
        }
        memset(blocks, 0, sizeof *blocks);
        if (bits >= MOTE_INFINITE_BITS) memcpy(&blocks->scale, &(uint32_t){MOTE_NAN_BITS}, sizeof(float));
        float largest;
        memcpy(&largest, &bits, sizeof largest);
        if (bits >= MOTE_INFINITE_BITS || largest < MOTE_SMALLEST_LARGEST) continue;
        float inverse = 127 / largest;
        blocks->scale = largest / 127;
        for (int i = 0; i < MOTE_BLOCK_VALUES; i++) {
            int32_t code = round_even(values[i] * inverse);
            blocks->code[i % 2 * 16 + i / 2] = (int8_t)code;
            blocks->sum += code;
        }
    }
}

static void quantize_by_scalar(const mote_real *x, int n, float scale, mote_block8 *blocks) {
    const float inverse = 1 / scale, most = 127 * scale;
    for (int begin = 0; begin < n; begin += MOTE_BLOCK_VALUES, blocks++) {
        bool finite = true;
        memset(blocks, 0, sizeof *blocks);
        for (int i = 0; i < MOTE_BLOCK_VALUES && begin + i < n; i++)
            finite = finite && (bits_of((float)x[begin + i]) & 0x7fffffffu) < MOTE_INFINITE_BITS;
        blocks->scale = scale;
        if (!finite) memcpy(&blocks->scale, &(uint32_t){MOTE_NAN_BITS}, sizeof(float));
        for (int i = 0; i < MOTE_BLOCK_VALUES && begin + i < n && finite; i++) {
            float value = (float)x[begin + i];
            value = value < most ? value : most;
            value = value > -most ? value : -most;
            int32_t code = round_even(value * inverse);
            blocks->code[i % 2 * 16 + i / 2] = (int8_t)code;
            blocks->sum += code;
        }
    }
}

static float unpack_bytes(const void *panel, int n_blocks, int block, int column, int8_t weights[MOTE_BLOCK_VALUES]) {
    const uint8_t *codes = (const uint8_t *)panel + (size_t)block * MOTE_BYTES_CODES, *scales =
        (const uint8_t *)panel + (size_t)n_blocks * MOTE_BYTES_CODES + (size_t)block * MOTE_BYTES_SCALES;
    float scale;
    for (int p = 0; p < MOTE_BLOCK_VALUES; p++)
        weights[p] = (int8_t)(codes[p / 4 * MOTE_BLOCK_VECTOR + column * 4 + p % 4] - 128);
    memcpy(&scale, scales + (size_t)column * sizeof scale, sizeof scale);
    return scale;
}

/* bytes: panels of bytes with f32 scales, and no type. */
static void gemm_scalar(const mote_gemm_blocks *g, mote_type type, bool bytes) {
    const size_t n = (size_t)g->blocks, panel_bytes = bytes ? mote_bytes_panel(n) : mote_panel_bytes(type, n);
    for (int column = 0; column < g->columns; column++) {
        const char *panel = (const char *)g->b + (size_t)(column / MOTE_PANEL) * panel_bytes;
        mote_real *c = g->c + column, bias = g->bias ? g->bias[column] : 0;
        for (int row = 0; row < g->rows; row++) {
            mote_real start = g->start ? g->start[(size_t)row * g->start_row + (size_t)column] : 0;
            c[(size_t)row * g->c_row] = !g->start ? bias : g->bias ? start + bias : start;
        }
        for (int block = 0; block < g->blocks; block++) {
            int8_t weights[MOTE_BLOCK_VALUES];
            float scale = bytes ? unpack_bytes(panel, g->blocks, block, column % MOTE_PANEL, weights)
                                : mote_blocks_unpack(type, panel, g->blocks, block, column % MOTE_PANEL, weights);
            for (int row = 0; row < g->rows; row++) {
                const mote_block8 *a = g->a + (size_t)row * g->a_row + block;
                int32_t dot = 0;
                for (int p = 0; p < MOTE_BLOCK_VALUES; p++) dot += weights[p] * a->code[p];
                mote_real *sum = &c[(size_t)row * g->c_row];
                *sum = mote_fused((mote_real)dot, (mote_real)(scale * a->scale), *sum);
            }
        }
    }
}

static void gemm_q8_0_scalar(const mote_gemm_blocks *g) { gemm_scalar(g, MOTE_TYPE_Q8_0, false); }
static void gemm_q4_0_scalar(const mote_gemm_blocks *g) { gemm_scalar(g, MOTE_TYPE_Q4_0, false); }
static void gemm_q3h_scalar(const mote_gemm_blocks *g) { gemm_scalar(g, MOTE_TYPE_Q3H, false); }
static void gemm_q43_scalar(const mote_gemm_blocks *g) { gemm_scalar(g, MOTE_TYPE_Q43, false); }
static void gemm_i8_scalar(const mote_gemm_blocks *g) { gemm_scalar(g, MOTE_TYPE_I8, false); }

static void gemm_bytes_scalar(const mote_gemm_blocks *g) { gemm_scalar(g, MOTE_TYPE_Q8_0, true); }

#include "kernels/quantize_tile.inc.h"

void mote_kernels_fill_blocks_scalar(mote_kernels *table) {
    table->gemm_bytes = gemm_bytes_scalar;
    table->quantize_tile = quantize_tile;
    table->quantize = quantize_scalar;
    table->quantize_by = quantize_by_scalar;
    table->gemm_blocks[mote_integer_slot(MOTE_TYPE_Q8_0)] = gemm_q8_0_scalar;
    table->gemm_blocks[mote_integer_slot(MOTE_TYPE_Q4_0)] = gemm_q4_0_scalar;
    table->gemm_blocks[mote_integer_slot(MOTE_TYPE_Q3H)] = gemm_q3h_scalar;
    table->gemm_blocks[mote_integer_slot(MOTE_TYPE_Q43)] = gemm_q43_scalar;
    table->gemm_blocks[mote_integer_slot(MOTE_TYPE_I8)] = gemm_i8_scalar;
}
