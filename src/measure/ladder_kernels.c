/* The rungs of the ladder. The first five read q4_0 rows as they lie in a file and are plain C (the fourth and fifth
 * with vectors of the compiler, 128 bits wide as the nibbles of a block, which every machine has); the others call the
 * project's own kernels. A rung does all of its work each time: norm, quantizing, integers, scales. */
#include "measure/ladder.h"

#include <math.h>
#include <string.h>

#include "kernels/unroll.h"

enum { BLOCK = MOTE_BLOCK_VALUES, BLOCK_BYTES = 18, SCALE_BYTES = 2, HALF = BLOCK / 2, TILE_ROWS = 16 };
static const mote_real epsilon = (mote_real)1e-5;

/* A finite f16: its exponent and mantissa where those of a float stand, and the bias made up for. A call of the exact
 * conversion would cost as much as the dot product of a block. */
static inline float scale_of(const uint8_t *block) {
    uint16_t half;
    uint32_t bits;
    float value;
    memcpy(&half, block, sizeof half);
    bits = (uint32_t)(half & 0x7fff) << 13;
    memcpy(&value, &bits, sizeof value);
    value *= 0x1p112f;
    return half & 0x8000 ? -value : value;
}

static mote_real inverse_rms(const mote_ladder_job *job) {
    double squares = job->kernels->dot(job->x, job->x, (size_t)job->cols);
    return (mote_real)(1 / sqrt(squares / job->cols + (double)epsilon));
}

/* ---- the passes of the first rungs */

static void normalise(mote_ladder_job *job) {
    const mote_real inverse = inverse_rms(job);
    for (int i = 0; i < job->cols; i++) job->normed[i] = job->x[i] * inverse * job->gain[i];
}

static void quantize(mote_ladder_job *job) {
    job->kernels->quantize(job->normed, job->cols, job->codes);
    for (int b = 0; b < job->blocks; b++) {
        const int8_t *code = job->codes[b].code;
        for (int i = 0; i < HALF; i++) {
            job->plain[b * BLOCK + 2 * i] = code[i];
            job->plain[b * BLOCK + 2 * i + 1] = code[HALF + i];
        }
        for (int i = 0; i < BLOCK; i++) job->wide[b * BLOCK + i] = code[i];
    }
}

static mote_real dequantize(const mote_ladder_job *job, const uint8_t *row, const int32_t *dots) {
    float sum = 0;
    for (int b = 0; b < job->blocks; b++)
        sum += (float)dots[b] * (scale_of(row + (size_t)b * BLOCK_BYTES) * job->codes[b].scale);
    return (mote_real)sum;
}

/* The integers of a row. */
typedef void (*dots_function)(const mote_ladder_job *job, const uint8_t *row, int32_t *dots);

static inline void in_passes(mote_ladder_job *job, dots_function dots_of) {
    normalise(job);
    quantize(job);
    for (int r = 0; r < job->rows; r++) {
        const uint8_t *row = job->weights + (size_t)r * job->row_bytes;
        int32_t *dots = job->kept && r < job->kept_rows ? job->kept + (size_t)r * (size_t)job->blocks : job->dots;
        dots_of(job, row, dots);
        job->y[r] = dequantize(job, row, dots);
    }
}

/* ---- one weight at a time */

/* The upper half of the 16 codes stands for negative numbers once the zero point is taken off as two's complement. The
 * empty statement keeps the branch from becoming a conditional move, and the loop from becoming vectors. */
static inline int32_t extend_by_branch(int nibble) {
    int32_t value = nibble ^ 8;
    if (value & 8) {
        value -= 16;
        __asm__("" : "+r"(value));
    }
    return value;
}

static void dots_by_branch(const mote_ladder_job *job, const uint8_t *row, int32_t *dots) {
    for (int b = 0; b < job->blocks; b++) {
        const uint8_t *nibbles = row + (size_t)b * BLOCK_BYTES + SCALE_BYTES;
        const int8_t *codes = job->plain + (size_t)b * BLOCK;
        int32_t sum = 0;
        for (int i = 0; i < HALF; i++) sum += extend_by_branch(nibbles[i] & 15) * codes[i];
        for (int i = 0; i < HALF; i++) sum += extend_by_branch(nibbles[i] >> 4) * codes[HALF + i];
        dots[b] = sum;
    }
}

static const int8_t meaning[16] = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};

static void dots_by_table(const mote_ladder_job *job, const uint8_t *row, int32_t *dots) {
    for (int b = 0; b < job->blocks; b++) {
        const uint8_t *nibbles = row + (size_t)b * BLOCK_BYTES + SCALE_BYTES;
        const int8_t *codes = job->plain + (size_t)b * BLOCK;
        int32_t sum = 0;
        UNROLL_BY(1)
        for (int i = 0; i < HALF; i++) {
            sum += meaning[nibbles[i] & 15] * codes[i];
            sum += meaning[nibbles[i] >> 4] * codes[HALF + i];
        }
        dots[b] = sum;
    }
}

static void dots_unrolled(const mote_ladder_job *job, const uint8_t *row, int32_t *dots) {
    for (int b = 0; b < job->blocks; b++) {
        const uint8_t *n = row + (size_t)b * BLOCK_BYTES + SCALE_BYTES;
        const int8_t *low = job->plain + (size_t)b * BLOCK, *high = low + HALF;
        int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
        UNROLL_BY(1)
        for (int i = 0; i < HALF; i += 4, n += 4, low += 4, high += 4) {
            sum0 += meaning[n[0] & 15] * low[0] + meaning[n[0] >> 4] * high[0];
            sum1 += meaning[n[1] & 15] * low[1] + meaning[n[1] >> 4] * high[1];
            sum2 += meaning[n[2] & 15] * low[2] + meaning[n[2] >> 4] * high[2];
            sum3 += meaning[n[3] & 15] * low[3] + meaning[n[3] >> 4] * high[3];
        }
        dots[b] = sum0 + sum1 + (sum2 + sum3);
    }
}

/* ---- vectors */

typedef int16_t lanes16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint16_t ulanes16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef int32_t lanes32 __attribute__((vector_size(16)));
typedef float lanesf __attribute__((vector_size(16)));

/* A lane of 16 bits holds two bytes, so four nibbles: the even and odd weights of the first half of a block, and of the
 * second. Its codes stand in that order. Four products of at most 8 * 127 stay in 16 bits. */
static inline __attribute__((always_inline)) lanes32 lanes_of_block(const uint8_t *nibbles, const int16_t *codes) {
    const lanes16 *c = (const lanes16 *)codes;
    const ulanes16 all = *(const ulanes16 *)nibbles;
    lanes16 sum = ((lanes16)(all & 15) - 8) * c[0];
    sum += ((lanes16)(all >> 8 & 15) - 8) * c[2];
    sum += ((lanes16)(all >> 4 & 15) - 8) * c[1];
    sum += ((lanes16)(all >> 12) - 8) * c[3];
    const lanes32 pairs = (lanes32)sum;
    return (pairs << 16 >> 16) + (pairs >> 16);
}

static void dots_by_vectors(const mote_ladder_job *job, const uint8_t *row, int32_t *dots) {
    for (int b = 0; b < job->blocks; b++) {
        lanes32 sum = lanes_of_block(row + (size_t)b * BLOCK_BYTES + SCALE_BYTES, job->wide + (size_t)b * BLOCK);
        dots[b] = sum[0] + sum[1] + (sum[2] + sum[3]);
    }
}

/* Rows r to r + n of the product in one pass over x: a block of it is normalised and quantized, multiplied with that
 * block of n rows, and scaled, and only the sums of a row leave the registers. */
static inline __attribute__((always_inline)) void fused_rows(mote_ladder_job *job, int r, int n, mote_real inverse,
                                                             bool keep) {
    const uint8_t *row = job->weights + (size_t)r * job->row_bytes;
    lanesf sum[TILE_ROWS] = {{0}};
    for (int b = 0; b < job->blocks; b++) {
        const int begin = b * BLOCK, values = job->cols - begin < BLOCK ? job->cols - begin : BLOCK;
        mote_real normed[BLOCK];
        mote_block8 block;
        int16_t wide[BLOCK];
        for (int i = 0; i < values; i++) normed[i] = job->x[begin + i] * inverse * job->gain[begin + i];
        job->kernels->quantize(normed, values, &block);
        for (int i = 0; i < BLOCK; i++) wide[i] = block.code[i];
        UNROLL_BY(16)
        for (int i = 0; i < n; i++) {
            const uint8_t *weights = row + (size_t)i * job->row_bytes + (size_t)b * BLOCK_BYTES;
            const float scale = scale_of(weights) * block.scale;
            const lanes32 dots = lanes_of_block(weights + SCALE_BYTES, wide);
            sum[i] += __builtin_convertvector(dots, lanesf) * scale;
            if (keep)
                job->kept[(size_t)(r + i) * (size_t)job->blocks + (size_t)b] = dots[0] + dots[1] + dots[2] + dots[3];
        }
    }
    for (int i = 0; i < n; i++) job->y[r + i] = (mote_real)(sum[i][0] + sum[i][1] + (sum[i][2] + sum[i][3]));
}

static void run_fused(mote_ladder_job *job) {
    const mote_real inverse = inverse_rms(job);
    int r = 0;
    for (; job->kept && r < job->kept_rows; r++) fused_rows(job, r, 1, inverse, true);
    for (; r + TILE_ROWS <= job->rows; r += TILE_ROWS) fused_rows(job, r, TILE_ROWS, inverse, false);
    for (; r < job->rows; r++) fused_rows(job, r, 1, inverse, false);
}

static void run_branch(mote_ladder_job *job) { in_passes(job, dots_by_branch); }
static void run_table(mote_ladder_job *job) { in_passes(job, dots_by_table); }
static void run_unrolled(mote_ladder_job *job) { in_passes(job, dots_unrolled); }
static void run_vectors(mote_ladder_job *job) { in_passes(job, dots_by_vectors); }

/* ---- the project's kernels */

size_t mote_ladder_panel_bytes(int blocks) { return mote_panel_bytes(MOTE_TYPE_Q4_0, (size_t)blocks); }

/* Panels from `begin` to `end`. */
static void run_panels(const mote_ladder_job *job, int begin, int end) {
    const int first = begin * MOTE_PANEL, last = end * MOTE_PANEL < job->rows ? end * MOTE_PANEL : job->rows;
    const mote_gemm_blocks g = {.rows = 1, .columns = last - first, .blocks = job->blocks, .a = job->codes,
                                .a_row = (size_t)job->blocks, .c = job->y + first, .c_row = (size_t)job->rows,
                                .b = job->panels + (size_t)begin * mote_ladder_panel_bytes(job->blocks)};
    job->kernels->gemm_blocks[mote_integer_slot(MOTE_TYPE_Q4_0)](&g);
}

/* The integers of whole products do not leave the kernels: a product with one block and scales of 1 has them as they
 * are, and a copy of each block's nibbles is packed for it. */
static void keep_dots(const mote_ladder_job *job) {
    enum { MOST_ROWS = 4 * MOTE_PANEL };
    uint8_t rows[MOST_ROWS * BLOCK_BYTES], panels[MOST_ROWS / MOTE_PANEL * (4 * MOTE_BLOCK_VECTOR + 64)];
    const uint16_t one = mote_f32_to_f16(1);
    for (int r = 0; r < job->kept_rows; r += MOST_ROWS) {
        const int n = job->kept_rows - r < MOST_ROWS ? job->kept_rows - r : MOST_ROWS;
        for (int b = 0; b < job->blocks; b++) {
            mote_real dots[MOST_ROWS];
            mote_block8 code = job->codes[b];
            code.scale = 1;
            for (int i = 0; i < n; i++) {
                uint8_t *to = rows + i * BLOCK_BYTES;
                memcpy(to, job->weights + (size_t)(r + i) * job->row_bytes + (size_t)b * BLOCK_BYTES, BLOCK_BYTES);
                memcpy(to, &one, sizeof one);
            }
            mote_blocks_pack(MOTE_TYPE_Q4_0, rows, BLOCK_BYTES, n, BLOCK, panels);
            const mote_gemm_blocks g = {.rows = 1, .columns = n, .blocks = 1, .a = &code, .a_row = 1, .b = panels,
                                        .c = dots, .c_row = (size_t)n};
            job->kernels->gemm_blocks[mote_integer_slot(MOTE_TYPE_Q4_0)](&g);
            for (int i = 0; i < n; i++)
                job->kept[(size_t)(r + i) * (size_t)job->blocks + (size_t)b] = (int32_t)dots[i];
        }
    }
}

static void quantize_once(mote_ladder_job *job) {
    normalise(job);
    job->kernels->quantize(job->normed, job->cols, job->codes);
    if (job->kept) keep_dots(job);
}

static void run_once_quantized(mote_ladder_job *job) {
    quantize_once(job);
    run_panels(job, 0, (job->rows + MOTE_PANEL - 1) / MOTE_PANEL);
}

/* A few panels at a time, and the first lines of the next ones asked for: the machine sees where a stream goes only
 * after some lines of it. */
static void run_prefetch(mote_ladder_job *job) {
    enum { STEP = 4, LINES = 4, LINE_BYTES = 64 };
    const int panels = (job->rows + MOTE_PANEL - 1) / MOTE_PANEL;
    const size_t panel_bytes = mote_ladder_panel_bytes(job->blocks);
    quantize_once(job);
    for (int begin = 0; begin < panels; begin += STEP) {
        const int end = begin + STEP < panels ? begin + STEP : panels;
        for (int i = end; i < end + STEP && i < panels; i++) {
            const uint8_t *next = job->panels + (size_t)i * panel_bytes;
            for (size_t at = 0; at < LINES * LINE_BYTES && at < panel_bytes; at += LINE_BYTES)
                __builtin_prefetch(next + at, 0, 3);
        }
        run_panels(job, begin, end);
    }
}

static void share_panels(void *context, int thread, int n_threads) {
    const mote_ladder_job *job = context;
    const int64_t panels = (job->rows + MOTE_PANEL - 1) / MOTE_PANEL;
    const int begin = (int)(panels * thread / n_threads), end = (int)(panels * (thread + 1) / n_threads);
    if (begin < end) run_panels(job, begin, end);
}

static void run_threads(mote_ladder_job *job) {
    quantize_once(job);
    mote_pool_run(job->pool, share_panels, job);
}

const mote_ladder_step mote_ladder_steps[MOTE_LADDER_RUNGS] = {
    {"branch", "a weight at a time, signs by a branch", run_branch, false, false},
    {"table", "signs by a table of 16", run_table, false, false},
    {"unrolled", "8 weights at a time, 4 sums", run_unrolled, false, false},
    {"vectors", "128 bits: shifts, multiply-adds in 16 bits", run_vectors, false, false},
    {"fused", "norm, 8-bit codes, scales in one pass, 16 rows", run_fused, false, false},
    {"integer dots", "8-bit codes made once; packed panels", run_once_quantized, true, false},
    {"prefetch", "the next panels' first lines asked for", run_prefetch, true, false},
    {"threads", "panels shared out", run_threads, true, true},
};
