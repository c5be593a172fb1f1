/* q5_0 and q5_1 (ggml): as q4_0 and q4_1 with a fifth bit: bit j of a little-endian u32 behind the scales is the upper
 * bit of element j. */
#include "quant/block_codec.h"

enum { VALUES = 32, HALF = 16, BYTES_0 = 22, BYTES_1 = 24 };

static void load_codes(const uint8_t *at, uint8_t codes[VALUES]) {
    for (int i = 0; i < VALUES; i++) {
        int low = i < HALF ? at[4 + i] & 15 : at[4 + i - HALF] >> 4;
        codes[i] = (uint8_t)(low | (at[i / 8] >> i % 8 & 1) << 4);
    }
}

static void store_codes(uint8_t *at, const uint8_t codes[VALUES]) {
    memset(at, 0, 4);
    for (int i = 0; i < VALUES; i++) at[i / 8] = (uint8_t)(at[i / 8] | (codes[i] >> 4) << i % 8);
    for (int i = 0; i < HALF; i++) at[4 + i] = (uint8_t)((codes[i] & 15) | (codes[i + HALF] & 15) << 4);
}

static void decode_0(const uint8_t *block, float *values) {
    const float d = mote_load_half(block);
    uint8_t codes[VALUES];
    load_codes(block + 2, codes);
    for (int i = 0; i < VALUES; i++) values[i] = (float)(codes[i] - 16) * d;
}

static void decode_1(const uint8_t *block, float *values) {
    const float d = mote_load_half(block), m = mote_load_half(block + 2);
    uint8_t codes[VALUES];
    load_codes(block + 4, codes);
    for (int i = 0; i < VALUES; i++) values[i] = (float)codes[i] * d + m;
}

static uint8_t part(float value) { return (uint8_t)(value >= 0 ? (value < 31 ? (int)value : 31) : 0); }

static void encode_plain_0(const float *values, const float *importance, uint8_t *block) {
    (void)importance;
    float most = 0, extreme = 0;
    for (int i = 0; i < VALUES; i++)
        if (fabsf(values[i]) > most) most = fabsf(values[i]), extreme = values[i];
    const float d = extreme / -16, inverse = mote_inverse(d);
    uint8_t codes[VALUES];
    mote_store_half(block, d);
    for (int i = 0; i < VALUES; i++) codes[i] = part(values[i] * inverse + 16.5f);
    store_codes(block + 2, codes);
}

static void encode_plain_1(const float *values, const float *importance, uint8_t *block) {
    (void)importance;
    float low = values[0], high = values[0];
    for (int i = 1; i < VALUES; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    const float d = (high - low) / 31, inverse = mote_inverse(d);
    uint8_t codes[VALUES];
    mote_store_half(block, d);
    mote_store_half(block + 2, low);
    for (int i = 0; i < VALUES; i++) codes[i] = part((values[i] - low) * inverse + 0.5f);
    store_codes(block + 4, codes);
}

static void encode_best_0(const float *values, const float *importance, uint8_t *block) {
    const float inverse = mote_inverse(mote_store_half(block, mote_search_scale(values, importance, VALUES, -16, 15)));
    uint8_t codes[VALUES];
    for (int i = 0; i < VALUES; i++) codes[i] = (uint8_t)(mote_nearest(values[i] * inverse, -16, 15) + 16);
    store_codes(block + 2, codes);
}

static void encode_best_1(const float *values, const float *importance, uint8_t *block) {
    float d, m;
    mote_search_affine(values, importance, VALUES, 31, INFINITY, &d, &m);
    const float inverse = mote_inverse(mote_store_half(block, d));
    m = mote_store_half(block + 2, m);
    uint8_t codes[VALUES];
    for (int i = 0; i < VALUES; i++) codes[i] = (uint8_t)mote_nearest((values[i] - m) * inverse, 0, 31);
    store_codes(block + 4, codes);
}

static void to_f32_0(const void *row, float *values, size_t n) {
    mote_decode_blocks(row, values, n, VALUES, BYTES_0, decode_0);
}
static void to_f32_1(const void *row, float *values, size_t n) {
    mote_decode_blocks(row, values, n, VALUES, BYTES_1, decode_1);
}
static void from_f32_0(const float *values, void *row, size_t n) {
    mote_encode_blocks(values, NULL, row, n, VALUES, BYTES_0, encode_plain_0);
}
static void from_f32_1(const float *values, void *row, size_t n) {
    mote_encode_blocks(values, NULL, row, n, VALUES, BYTES_1, encode_plain_1);
}
static void quantize_0(const float *values, const float *importance, void *row, size_t n) {
    mote_encode_blocks(values, importance, row, n, VALUES, BYTES_0, encode_best_0);
}
static void quantize_1(const float *values, const float *importance, void *row, size_t n) {
    mote_encode_blocks(values, importance, row, n, VALUES, BYTES_1, encode_best_1);
}

const mote_type_info mote_type_q5_0 = {
    .name = "q5_0", .ggml_id = 6, .file_type = 8, .block_values = VALUES, .block_bytes = BYTES_0, .n_half_scales = 1,
    .to_f32 = to_f32_0, .from_f32 = from_f32_0, .quantize = quantize_0,
};
const mote_type_info mote_type_q5_1 = {
    .name = "q5_1", .ggml_id = 7, .file_type = 9, .block_values = VALUES, .block_bytes = BYTES_1, .n_half_scales = 2,
    .half_scale_at = {0, 2}, .to_f32 = to_f32_1, .from_f32 = from_f32_1, .quantize = quantize_1,
};
