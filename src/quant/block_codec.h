/* What the block types share: walking a row of blocks with a padded tail, f16 scales, and the search for scales. A
 * block codec sees whole blocks only. */
#ifndef MOTE_QUANT_BLOCK_CODEC_H
#define MOTE_QUANT_BLOCK_CODEC_H

#include <math.h>
#include <string.h>

#include "quant/types.h"

typedef void (*mote_block_decode)(const uint8_t *block, float *values);
/* importance may be NULL: all 1. */
typedef void (*mote_block_encode)(const float *values, const float *importance, uint8_t *block);

static inline float mote_load_half(const uint8_t *at) {
    uint16_t half;
    memcpy(&half, at, sizeof half);
    return mote_f16_to_f32(half);
}

/* Stores the value as f16 and returns what was stored. */
static inline float mote_store_half(uint8_t *at, float value) {
    uint16_t half = mote_f32_to_f16(value);
    memcpy(at, &half, sizeof half);
    return mote_f16_to_f32(half);
}

static inline void mote_decode_blocks(const void *row, float *values, size_t n, size_t block_values, size_t block_bytes,
                                      mote_block_decode decode) {
    const uint8_t *block = row;
    for (; n >= block_values; n -= block_values, values += block_values, block += block_bytes) decode(block, values);
    if (n) {
        float last[MOTE_MOST_BLOCK_VALUES];
        decode(block, last);
        memcpy(values, last, n * sizeof *values);
    }
}

/* The zeros that pad the last block do not count in the search for its scale. */
static inline void mote_encode_blocks(const float *values, const float *importance, void *row, size_t n,
                                      size_t block_values, size_t block_bytes, mote_block_encode encode) {
    uint8_t *block = row;
    for (; n >= block_values; n -= block_values, values += block_values, block += block_bytes) {
        encode(values, importance, block);
        if (importance) importance += block_values;
    }
    if (n) {
        float last[MOTE_MOST_BLOCK_VALUES] = {0}, weight[MOTE_MOST_BLOCK_VALUES] = {0};
        memcpy(last, values, n * sizeof *last);
        for (size_t i = 0; i < n; i++) weight[i] = importance ? importance[i] : 1;
        encode(last, weight, block);
    }
}

/* The three conversions of a type's rows, made of those of its blocks, which they inline. */
#define MOTE_BLOCK_ROWS(type, block_values, block_bytes, decode, plain, best)                                          \
    static void type##_to_f32(const void *row, float *values, size_t n) {                                              \
        mote_decode_blocks(row, values, n, block_values, block_bytes, decode);                                         \
    }                                                                                                                  \
    static void type##_from_f32(const float *values, void *row, size_t n) {                                            \
        mote_encode_blocks(values, NULL, row, n, block_values, block_bytes, plain);                                    \
    }                                                                                                                  \
    static void type##_quantize(const float *values, const float *importance, void *row, size_t n) {                   \
        mote_encode_blocks(values, importance, row, n, block_values, block_bytes, best);                               \
    }
#define MOTE_ROWS_OF(type) .to_f32 = type##_to_f32, .from_f32 = type##_from_f32, .quantize = type##_quantize

/* The value of the largest magnitude; 0 where all are 0 or NaN. */
static inline float mote_extreme(const float *values, size_t n) {
    float most = 0, extreme = 0;
    for (size_t i = 0; i < n; i++)
        if (fabsf(values[i]) > most) most = fabsf(values[i]), extreme = values[i];
    return extreme;
}
static inline float mote_largest(const float *values, size_t n) {
    float most = 0;
    for (size_t i = 0; i < n; i++) most = fabsf(values[i]) > most ? fabsf(values[i]) : most;
    return most;
}

/* Of 32 nibbles: element i in the low one of byte i, element i + 16 in the high one. */
static inline void mote_put_nibble(uint8_t codes[16], size_t i, int code) {
    uint8_t *at = codes + i % 16;
    *at = (uint8_t)(i < 16 ? (*at & 0xf0) | code : (*at & 0x0f) | code << 4);
}

/* The whole number nearest to value in [low, high], by the rounding of an addition (ties to even), which vectorises;
 * NaN gives low. |low|, |high| < 2^22. */
static inline int mote_nearest(float value, int low, int high) {
    value = value > (float)low ? value : (float)low;
    value = value < (float)high ? value : (float)high;
    union { float value; int32_t bits; } u = {.value = value + 12582912.0f};
    return (u.bits & 0x7fffff) - 0x400000;
}

/* 1/d, or 0 where d is 0 (or so small that 1/d is not finite), as ggml has it. */
static inline float mote_inverse(float d) {
    float inverse = d != 0 ? 1 / d : 0;
    return isfinite(inverse) ? inverse : 0;
}

/* The scale d for which sum_i importance[i] (values[i] - d code_i)^2 is least with codes nearest in [low, high], among
 * least-squares scales of some dozen codings; negative where that serves an uneven range. n <= 256. */
float mote_search_scale(const float *values, const float *importance, int n, int low, int high);
/* The same for values[i] ~ d code_i + m, codes 0 to high, m at most `most_m`. */
void mote_search_affine(const float *values, const float *importance, int n, int high, float most_m, float *d,
                        float *m);

extern const mote_type_info mote_type_q8_0, mote_type_q4_0, mote_type_q3h, mote_type_q43, mote_type_i8, mote_type_q4_1,
    mote_type_q5_0, mote_type_q5_1, mote_type_q2_k, mote_type_q3_k, mote_type_q4_k, mote_type_q5_k, mote_type_q6_k,
    mote_type_iq4_nl;

#endif
