/* q4_0, q4_1, q5_0, q5_1 (ggml): 32 codes in nibbles, element j in the low one of byte j, element j + 16 in the high
 * one, behind one or two f16 scales; value = d (q - 8), or d q + m. A fifth bit of element j is bit j of a
 * little-endian u32 before the nibbles. The plain rules are those of ggml's reference: the largest value by magnitude
 * becomes -8 or -16, or the range is divided by 15 or 31. All is inlined into the types, where bits and offset are
 * constants. */
#include "quant/block_codec.h"

#define INLINE static inline __attribute__((always_inline))
enum { VALUES = 32, HALF = 16 };

INLINE size_t scale_bytes(bool offset) { return offset ? 4 : 2; }
INLINE size_t block_bytes(int bits, bool offset) { return scale_bytes(offset) + (size_t)bits * VALUES / 8; }
/* The code that stands for 0 where there is no offset. */
INLINE int zero_of(int bits, bool offset) { return offset ? 0 : 1 << (bits - 1); }

INLINE void decode(const uint8_t *block, float *values, int bits, bool offset) {
    const float d = mote_load_half(block), m = offset ? mote_load_half(block + 2) : 0;
    const uint8_t *high = block + scale_bytes(offset), *low = high + (bits == 5 ? 4 : 0);
    const int zero = zero_of(bits, offset);
    uint8_t codes[VALUES];
    for (int i = 0; i < HALF; i++) {
        codes[i] = low[i] & 15;
        codes[i + HALF] = low[i] >> 4;
    }
    for (int i = 0; bits == 5 && i < VALUES; i++) codes[i] |= (uint8_t)((high[i / 8] >> i % 8 & 1) << 4);
    for (int i = 0; i < VALUES; i++) values[i] = offset ? (float)codes[i] * d + m : (float)(codes[i] - zero) * d;
}

INLINE void store_codes(uint8_t *at, const uint8_t codes[VALUES], int bits) {
    if (bits == 5) {
        memset(at, 0, 4);
        for (int i = 0; i < VALUES; i++) at[i / 8] = (uint8_t)(at[i / 8] | (codes[i] >> 4) << i % 8);
        at += 4;
    }
    for (int i = 0; i < HALF; i++) at[i] = (uint8_t)((codes[i] & 15) | (codes[i + HALF] & 15) << 4);
}

/* min(most, the integer part): what ggml's reference computes for every value it can be given, and 0 for NaN. */
INLINE uint8_t part(float value, int most) {
    return (uint8_t)(value >= 0 ? (value < (float)most ? (int)value : most) : 0);
}

INLINE void encode_plain(const float *values, uint8_t *block, int bits, bool offset) {
    const int most = (1 << bits) - 1, zero = zero_of(bits, offset);
    float low = values[0], high = values[0];
    for (int i = 1; offset && i < VALUES; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    const float d = offset ? (high - low) / (float)most : mote_extreme(values, VALUES) / (float)-zero;
    const float inverse = mote_inverse(d), m = offset ? low : 0;
    uint8_t codes[VALUES];
    mote_store_half(block, d);
    if (offset) mote_store_half(block + 2, m);
    for (int i = 0; i < VALUES; i++) codes[i] = part((values[i] - m) * inverse + ((float)zero + 0.5f), most);
    store_codes(block + scale_bytes(offset), codes, bits);
}

INLINE void encode_best(const float *values, const float *importance, uint8_t *block, int bits, bool offset) {
    const int most = (1 << bits) - 1, zero = zero_of(bits, offset);
    float d, m = 0;
    if (offset) mote_search_affine(values, importance, VALUES, most, INFINITY, &d, &m);
    else d = mote_search_scale(values, importance, VALUES, -zero, most - zero);
    const float inverse = mote_inverse(mote_store_half(block, d));
    if (offset) m = mote_store_half(block + 2, m);
    uint8_t codes[VALUES];
    for (int i = 0; i < VALUES; i++)
        codes[i] = (uint8_t)(mote_nearest((values[i] - m) * inverse, -zero, most - zero) + zero);
    store_codes(block + scale_bytes(offset), codes, bits);
}

/* Of 4 bits. */
INLINE void encode_group(void *row, size_t at, const float *values, float *dequantized, bool offset) {
    uint8_t *block = (uint8_t *)row + at / VALUES * block_bytes(4, offset);
    const float d = mote_load_half(block), m = offset ? mote_load_half(block + 2) : 0;
    const int zero = zero_of(4, offset), q = mote_nearest((*values - m) * mote_inverse(d), -zero, 15 - zero);
    mote_put_nibble(block + scale_bytes(offset), at % VALUES, q + zero);
    *dequantized = offset ? (float)q * d + m : (float)q * d;
}

#define TYPE(name, bits, offset)                                                                                       \
    static void decode_##name(const uint8_t *block, float *values) { decode(block, values, bits, offset); }            \
    static void plain_##name(const float *values, const float *importance, uint8_t *block) {                           \
        (void)importance;                                                                                              \
        encode_plain(values, block, bits, offset);                                                                     \
    }                                                                                                                  \
    static void best_##name(const float *values, const float *importance, uint8_t *block) {                            \
        encode_best(values, importance, block, bits, offset);                                                          \
    }                                                                                                                  \
    MOTE_BLOCK_ROWS(name, VALUES, block_bytes(bits, offset), decode_##name, plain_##name, best_##name)
TYPE(q4_0, 4, false)
TYPE(q4_1, 4, true)
TYPE(q5_0, 5, false)
TYPE(q5_1, 5, true)

static void group_0(void *row, size_t at, const float *values, const float metric[3], float *dequantized) {
    (void)metric;
    encode_group(row, at, values, dequantized, false);
}
static void group_1(void *row, size_t at, const float *values, const float metric[3], float *dequantized) {
    (void)metric;
    encode_group(row, at, values, dequantized, true);
}

const mote_type_info mote_type_q4_0 = {
    .name = "q4_0", .ggml_id = 2, .file_type = 2, .block_values = VALUES, .block_bytes = 18, .integer = true,
    .n_half_scales = 1, MOTE_ROWS_OF(q4_0), .code_values = 1, .encode_group = group_0,
};
const mote_type_info mote_type_q4_1 = {
    .name = "q4_1", .ggml_id = 3, .file_type = 3, .block_values = VALUES, .block_bytes = 20, .n_half_scales = 2,
    .half_scale_at = {0, 2}, MOTE_ROWS_OF(q4_1), .code_values = 1, .encode_group = group_1,
};
const mote_type_info mote_type_q5_0 = {
    .name = "q5_0", .ggml_id = 6, .file_type = 8, .block_values = VALUES, .block_bytes = 22, .n_half_scales = 1,
    MOTE_ROWS_OF(q5_0),
};
const mote_type_info mote_type_q5_1 = {
    .name = "q5_1", .ggml_id = 7, .file_type = 9, .block_values = VALUES, .block_bytes = 24, .n_half_scales = 2,
    .half_scale_at = {0, 2}, MOTE_ROWS_OF(q5_1),
};
