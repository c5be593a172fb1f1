/* q2_k to q6_k (ggml): how their 256 codes and their parts' scales lie in the bytes. Elements come in rows of 32: 2-bit
 * fields of byte l of 32 bytes hold elements l, l + 32, l + 64, l + 96 of a half, nibbles l and l + 32 of a quarter,
 * and bit r of a mask's byte l belongs to element 32 r + l. */
#include "quant/k_quants.h"

enum { VALUES = MOTE_K_VALUES, BYTES_2 = 84, BYTES_3 = 110, BYTES_4 = 144, BYTES_5 = 176, BYTES_6 = 210 };

static const mote_k_form form_2 = {16, 0, 3, 0, 15, true}, form_3 = {16, -4, 3, -32, 31, false},
                         form_4 = {32, 0, 15, 0, 63, true}, form_5 = {32, 0, 31, 0, 63, true},
                         form_6 = {16, -32, 31, -128, 127, false};

/* ---- fields of codes, for element e */

static int load_two_bits(const uint8_t *at, int e) { return at[e / 128 * 32 + e % 32] >> e % 128 / 32 * 2 & 3; }
static int load_nibble(const uint8_t *at, int e) { return at[e / 64 * 32 + e % 32] >> e % 64 / 32 * 4 & 15; }
static int load_bit(const uint8_t *at, int e) { return at[e % 32] >> e / 32 & 1; }
/* q6_k's lower bits: a half's rows 0 and 1 lie in low nibbles, 2 and 3 in high ones. */
static int load_nibble_6(const uint8_t *at, int e) { return at[e / 128 * 64 + e % 64] >> e % 128 / 64 * 4 & 15; }

static void put(uint8_t *byte, int shift, int mask, int value) {
    *byte = (uint8_t)((*byte & ~(mask << shift)) | value << shift);
}
static void put_two_bits(uint8_t *at, int e, int v) { put(at + e / 128 * 32 + e % 32, e % 128 / 32 * 2, 3, v); }
static void put_nibble(uint8_t *at, int e, int v) { put(at + e / 64 * 32 + e % 32, e % 64 / 32 * 4, 15, v); }
static void put_bit(uint8_t *at, int e, int v) { put(at + e % 32, e / 32, 1, v); }
static void put_nibble_6(uint8_t *at, int e, int v) { put(at + e / 128 * 64 + e % 64, e % 128 / 64 * 4, 15, v); }

/* ---- scales of parts */

/* q4_k, q5_k: eight scales and eight offsets of 6 bits in 12 bytes; the upper two bits of the last four of each lie
 * above the first four. */
static void load_pair(const uint8_t *at, int p, int *scale, int *offset) {
    *scale = p < 4 ? at[p] & 63 : (at[p + 4] & 15) | at[p - 4] >> 6 << 4;
    *offset = p < 4 ? at[p + 4] & 63 : at[p + 4] >> 4 | at[p] >> 6 << 4;
}
static void put_pair(uint8_t *at, int p, int scale, int offset) {
    if (p < 4) {
        put(at + p, 0, 63, scale);
        put(at + p + 4, 0, 63, offset);
    } else {
        at[p + 4] = (uint8_t)((scale & 15) | (offset & 15) << 4);
        put(at + p - 4, 6, 3, scale >> 4);
        put(at + p, 6, 3, offset >> 4);
    }
}
/* q3_k: sixteen of 6 bits less 32: nibbles in 8 bytes, the upper two bits in 4 more. */
static int load_scale_3(const uint8_t *at, int p) {
    return ((at[p % 8] >> p / 8 * 4 & 15) | (at[8 + p % 4] >> p / 4 * 2 & 3) << 4) - 32;
}
static void put_scale_3(uint8_t *at, int p, int scale) {
    put(at + p % 8, p / 8 * 4, 15, (scale + 32) & 15);
    put(at + 8 + p % 4, p / 4 * 2, 3, (scale + 32) >> 4);
}

/* ---- one code of each type, as k->code has it */

static int load_3(const uint8_t *b, int e) { return load_two_bits(b + 32, e) - (load_bit(b, e) ? 0 : 4); }
static void put_3(uint8_t *b, int e, int q) {
    put_two_bits(b + 32, e, (q + 4) & 3);
    put_bit(b, e, (q + 4) >> 2);
}
static int load_5(const uint8_t *b, int e) { return load_nibble(b + 48, e) | load_bit(b + 16, e) << 4; }
static void put_5(uint8_t *b, int e, int q) {
    put_nibble(b + 48, e, q & 15);
    put_bit(b + 16, e, q >> 4);
}
static int load_6(const uint8_t *b, int e) { return (load_nibble_6(b, e) | load_two_bits(b + 128, e) << 4) - 32; }
static void put_6(uint8_t *b, int e, int q) {
    put_nibble_6(b, e, (q + 32) & 15);
    put_two_bits(b + 128, e, (q + 32) >> 4);
}

/* ---- blocks; products in ggml's order: (d scale) q - dmin offset */

static void decode_2(const uint8_t *b, float *values) {
    const float d = mote_load_half(b + 80), dmin = mote_load_half(b + 82);
    for (int e = 0; e < VALUES; e++)
        values[e] = d * (float)(b[e / 16] & 15) * (float)load_two_bits(b + 16, e) - dmin * (float)(b[e / 16] >> 4);
}
static void decode_3(const uint8_t *b, float *values) {
    const float d = mote_load_half(b + 108);
    for (int e = 0; e < VALUES; e++) values[e] = d * (float)load_scale_3(b + 96, e / 16) * (float)load_3(b, e);
}
static void decode_4(const uint8_t *b, float *values) {
    const float d = mote_load_half(b), dmin = mote_load_half(b + 2);
    for (int e = 0, scale, offset; e < VALUES; e++) {
        load_pair(b + 4, e / 32, &scale, &offset);
        values[e] = d * (float)scale * (float)load_nibble(b + 16, e) - dmin * (float)offset;
    }
}
static void decode_5(const uint8_t *b, float *values) {
    const float d = mote_load_half(b), dmin = mote_load_half(b + 2);
    for (int e = 0, scale, offset; e < VALUES; e++) {
        load_pair(b + 4, e / 32, &scale, &offset);
        values[e] = d * (float)scale * (float)load_5(b, e) - dmin * (float)offset;
    }
}
static void decode_6(const uint8_t *b, float *values) {
    const float d = mote_load_half(b + 208);
    for (int e = 0; e < VALUES; e++) values[e] = d * (float)(int8_t)b[192 + e / 16] * (float)load_6(b, e);
}

static void store_2(const mote_k_block *k, uint8_t *b) {
    for (int p = 0; p < 16; p++) b[p] = (uint8_t)(k->scale[p] | k->offset[p] << 4);
    for (int e = 0; e < VALUES; e++) put_two_bits(b + 16, e, k->code[e]);
    mote_store_half(b + 80, k->d);
    mote_store_half(b + 82, k->dmin);
}
static void store_3(const mote_k_block *k, uint8_t *b) {
    for (int p = 0; p < 16; p++) put_scale_3(b + 96, p, k->scale[p]);
    for (int e = 0; e < VALUES; e++) put_3(b, e, k->code[e]);
    mote_store_half(b + 108, k->d);
}
static void store_45(const mote_k_block *k, uint8_t *b) {
    for (int p = 0; p < 8; p++) put_pair(b + 4, p, k->scale[p], k->offset[p]);
    mote_store_half(b, k->d);
    mote_store_half(b + 2, k->dmin);
}
static void store_4(const mote_k_block *k, uint8_t *b) {
    store_45(k, b);
    for (int e = 0; e < VALUES; e++) put_nibble(b + 16, e, k->code[e]);
}
static void store_5(const mote_k_block *k, uint8_t *b) {
    store_45(k, b);
    for (int e = 0; e < VALUES; e++) put_5(b, e, k->code[e]);
}
static void store_6(const mote_k_block *k, uint8_t *b) {
    for (int p = 0; p < 16; p++) b[192 + p] = (uint8_t)k->scale[p];
    for (int e = 0; e < VALUES; e++) put_6(b, e, k->code[e]);
    mote_store_half(b + 208, k->d);
}

/* ---- error-compensated rounding, for the two that serve as yardsticks */

static void group_3(void *row, size_t at, const float *values, const float metric[3], float *dequantized) {
    (void)metric;
    uint8_t *b = (uint8_t *)row + at / VALUES * BYTES_3;
    const int e = (int)(at % VALUES);
    const float d = mote_load_half(b + 108) * (float)load_scale_3(b + 96, e / 16);
    const int q = mote_nearest(*values * mote_inverse(d), form_3.low, form_3.high);
    put_3(b, e, q);
    *dequantized = d * (float)q;
}
static void group_4(void *row, size_t at, const float *values, const float metric[3], float *dequantized) {
    (void)metric;
    uint8_t *b = (uint8_t *)row + at / VALUES * BYTES_4;
    const int e = (int)(at % VALUES);
    int scale, offset;
    load_pair(b + 4, e / 32, &scale, &offset);
    const float d = mote_load_half(b) * (float)scale, m = mote_load_half(b + 2) * (float)offset;
    const int q = mote_nearest((*values + m) * mote_inverse(d), form_4.low, form_4.high);
    put_nibble(b + 16, e, q);
    *dequantized = d * (float)q - m;
}

/* ---- rows */

#define K_ENCODE(name, bits, searched)                                                                                 \
    static void name(const float *values, const float *importance, uint8_t *block) {                                   \
        mote_k_block k;                                                                                                \
        mote_k_encode(&form_##bits, values, importance, searched, &k);                                                 \
        memset(block, 0, BYTES_##bits);                                                                                \
        store_##bits(&k, block);                                                                                       \
    }
#define K_QUANT(bits)                                                                                                  \
    K_ENCODE(plain_##bits, bits, false)                                                                                \
    K_ENCODE(best_##bits, bits, true)                                                                                  \
    MOTE_BLOCK_ROWS(q##bits##_k, VALUES, BYTES_##bits, decode_##bits, plain_##bits, best_##bits)
K_QUANT(2)
K_QUANT(3)
K_QUANT(4)
K_QUANT(5)
K_QUANT(6)

#define K_ROW(bits) .block_values = VALUES, .block_bytes = BYTES_##bits, MOTE_ROWS_OF(q##bits##_k)

const mote_type_info mote_type_q2_k = {
    .name = "q2_k", .ggml_id = 10, .file_type = 10, .n_half_scales = 2, .half_scale_at = {80, 82}, K_ROW(2)};
const mote_type_info mote_type_q3_k = {
    .name = "q3_k", .ggml_id = 11, .file_type = 12, .n_half_scales = 1, .half_scale_at = {108}, K_ROW(3),
    .code_values = 1, .encode_group = group_3};
const mote_type_info mote_type_q4_k = {
    .name = "q4_k", .ggml_id = 12, .file_type = 15, .n_half_scales = 2, .half_scale_at = {0, 2}, K_ROW(4),
    .code_values = 1, .encode_group = group_4};
const mote_type_info mote_type_q5_k = {
    .name = "q5_k", .ggml_id = 13, .file_type = 17, .n_half_scales = 2, .half_scale_at = {0, 2}, K_ROW(5)};
const mote_type_info mote_type_q6_k = {
    .name = "q6_k", .ggml_id = 14, .file_type = 18, .n_half_scales = 1, .half_scale_at = {208}, K_ROW(6)};
