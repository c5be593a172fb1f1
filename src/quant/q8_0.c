/* q8_0 (ggml): 32 values in 34 bytes, f16 scale d and 32 signed bytes; value = d q. The plain rule is ggml's reference:
 * d = largest / 127, rounded half away from zero by the scale before it is made f16. */
#include "quant/block_codec.h"

enum { VALUES = 32, BYTES = 34 };

static void decode(const uint8_t *block, float *values) {
    const float d = mote_load_half(block);
    for (int i = 0; i < VALUES; i++) values[i] = (float)(int8_t)block[2 + i] * d;
}

static void encode_plain(const float *values, const float *importance, uint8_t *block) {
    (void)importance;
    const float d = mote_largest(values, VALUES) / 127, inverse = mote_inverse(d);
    mote_store_half(block, d);
    for (int i = 0; i < VALUES; i++) block[2 + i] = (uint8_t)mote_nearest(roundf(values[i] * inverse), -127, 127);
}

static void encode_best(const float *values, const float *importance, uint8_t *block) {
    const float d = mote_search_scale(values, importance, VALUES, -127, 127);
    const float inverse = mote_inverse(mote_store_half(block, d));
    for (int i = 0; i < VALUES; i++) block[2 + i] = (uint8_t)mote_nearest(values[i] * inverse, -127, 127);
}

MOTE_BLOCK_ROWS(q8_0, VALUES, BYTES, decode, encode_plain, encode_best)

static void encode_group(void *row, size_t at, const float *values, const float metric[3], float *dequantized) {
    (void)metric;
    uint8_t *block = (uint8_t *)row + at / VALUES * BYTES;
    const float d = mote_load_half(block);
    const int q = mote_nearest(*values * mote_inverse(d), -127, 127);
    block[2 + at % VALUES] = (uint8_t)q;
    *dequantized = (float)q * d;
}

const mote_type_info mote_type_q8_0 = {
    .name = "q8_0", .ggml_id = 8, .file_type = 7, .block_values = VALUES, .block_bytes = BYTES, .integer = true,
    .n_half_scales = 1, MOTE_ROWS_OF(q8_0), .code_values = 1, .encode_group = encode_group,
};
