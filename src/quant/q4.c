/* q4_0 and q4_1 (ggml): 32 values in 16 bytes, element j in the low nibble of byte j, element j + 16 in the high one,
 * behind one or two f16 scales; value = d (q - 8), or d q + m. The plain rules are those of ggml's reference: the
 * largest value by magnitude becomes -8, or the range is divided by 15. */
#include "quant/block_codec.h"

enum { VALUES = 32, HALF = 16, BYTES_0 = 18, BYTES_1 = 20 };

static void decode_0(const uint8_t *block, float *values) {
    const float d = mote_load_half(block);
    for (int i = 0; i < HALF; i++) {
        values[i] = (float)((block[2 + i] & 15) - 8) * d;
        values[i + HALF] = (float)((block[2 + i] >> 4) - 8) * d;
    }
}

static void decode_1(const uint8_t *block, float *values) {
    const float d = mote_load_half(block), m = mote_load_half(block + 2);
    for (int i = 0; i < HALF; i++) {
        values[i] = (float)(block[4 + i] & 15) * d + m;
        values[i + HALF] = (float)(block[4 + i] >> 4) * d + m;
    }
}

/* min(15, the integer part): what ggml's reference computes for every value it can be given, and 0 for NaN. */
static int part(float value) { return value >= 0 ? (value < 15 ? (int)value : 15) : 0; }

static void encode_plain_0(const float *values, const float *importance, uint8_t *block) {
    (void)importance;
    float most = 0, extreme = 0;
    for (int i = 0; i < VALUES; i++)
        if (fabsf(values[i]) > most) most = fabsf(values[i]), extreme = values[i];
    const float d = extreme / -8, inverse = mote_inverse(d);
    mote_store_half(block, d);
    for (int i = 0; i < HALF; i++)
        block[2 + i] =
            (uint8_t)(part(values[i] * inverse + 8.5f) | part(values[i + HALF] * inverse + 8.5f) << 4);
}

static void encode_plain_1(const float *values, const float *importance, uint8_t *block) {
    (void)importance;
    float low = values[0], high = values[0];
    for (int i = 1; i < VALUES; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    const float d = (high - low) / 15, inverse = mote_inverse(d);
    mote_store_half(block, d);
    mote_store_half(block + 2, low);
    for (int i = 0; i < HALF; i++)
        block[4 + i] = (uint8_t)(part((values[i] - low) * inverse + 0.5f) |
                                 part((values[i + HALF] - low) * inverse + 0.5f) << 4);
}

static void encode_best_0(const float *values, const float *importance, uint8_t *block) {
    const float inverse = mote_inverse(mote_store_half(block, mote_search_scale(values, importance, VALUES, -8, 7)));
    for (int i = 0; i < HALF; i++)
        block[2 + i] = (uint8_t)((mote_nearest(values[i] * inverse, -8, 7) + 8) |
                                 (mote_nearest(values[i + HALF] * inverse, -8, 7) + 8) << 4);
}

static void encode_best_1(const float *values, const float *importance, uint8_t *block) {
    float d, m;
    mote_search_affine(values, importance, VALUES, 15, INFINITY, &d, &m);
    const float inverse = mote_inverse(mote_store_half(block, d));
    m = mote_store_half(block + 2, m);
    for (int i = 0; i < HALF; i++)
        block[4 + i] = (uint8_t)(mote_nearest((values[i] - m) * inverse, 0, 15) |
                                 mote_nearest((values[i + HALF] - m) * inverse, 0, 15) << 4);
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

static void put_nibble(uint8_t *codes, size_t i, int code) {
    uint8_t *at = codes + i % HALF;
    *at = (uint8_t)(i < HALF ? (*at & 0xf0) | code : (*at & 0x0f) | code << 4);
}

static void encode_group_0(void *row, size_t at, const float *values, const float metric[3], float *dequantized) {
    (void)metric;
    uint8_t *block = (uint8_t *)row + at / VALUES * BYTES_0;
    const float d = mote_load_half(block);
    const int q = mote_nearest(*values * mote_inverse(d), -8, 7);
    put_nibble(block + 2, at % VALUES, q + 8);
    *dequantized = (float)q * d;
}

static void encode_group_1(void *row, size_t at, const float *values, const float metric[3], float *dequantized) {
    (void)metric;
    uint8_t *block = (uint8_t *)row + at / VALUES * BYTES_1;
    const float d = mote_load_half(block), m = mote_load_half(block + 2);
    const int q = mote_nearest((*values - m) * mote_inverse(d), 0, 15);
    put_nibble(block + 4, at % VALUES, q);
    *dequantized = (float)q * d + m;
}

const mote_type_info mote_type_q4_0 = {
    .name = "q4_0", .ggml_id = 2, .file_type = 2, .block_values = VALUES, .block_bytes = BYTES_0, .integer = true,
    .n_half_scales = 1, .to_f32 = to_f32_0, .from_f32 = from_f32_0, .quantize = quantize_0, .code_values = 1,
    .encode_group = encode_group_0,
};
const mote_type_info mote_type_q4_1 = {
    .name = "q4_1", .ggml_id = 3, .file_type = 3, .block_values = VALUES, .block_bytes = BYTES_1, .n_half_scales = 2,
    .half_scale_at = {0, 2}, .to_f32 = to_f32_1, .from_f32 = from_f32_1, .quantize = quantize_1, .code_values = 1,
    .encode_group = encode_group_1,
};
