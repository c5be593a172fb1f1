/* iq4_nl (ggml): the nibbles of q4_0 look up 16 levels that lie denser around zero; value = d levels[q]. */
#include "quant/block_codec.h"

enum { VALUES = 32, HALF = 16, BYTES = 18, STEPS = 24 };

static const int8_t levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

static void decode(const uint8_t *block, float *values) {
    const float d = mote_load_half(block);
    for (int i = 0; i < HALF; i++) {
        values[i] = (float)levels[block[2 + i] & 15] * d;
        values[i + HALF] = (float)levels[block[2 + i] >> 4] * d;
    }
}

/* The index of the nearest level: how many middles between neighbours lie below. */
static int nearest(float value) {
    int q = 0;
    for (int i = 0; i < 15; i++) q += 2 * value > (float)(levels[i] + levels[i + 1]);
    return q;
}

static void store(const float *values, uint8_t *block, float d) {
    const float inverse = mote_inverse(mote_store_half(block, d));
    for (int i = 0; i < HALF; i++)
        block[2 + i] = (uint8_t)(nearest(values[i] * inverse) | nearest(values[i + HALF] * inverse) << 4);
}

static void encode_plain(const float *values, const float *importance, uint8_t *block) {
    (void)importance;
    store(values, block, mote_extreme(values, VALUES) / levels[0]);
}

/* Least-squares scales of the codings by 24 scales of either sign, as in mote_search_scale. */
static void encode_best(const float *values, const float *importance, uint8_t *block) {
    const float extreme = mote_extreme(values, VALUES), plain = extreme / levels[0];
    float best = plain, best_worth = 0;
    for (int trial = 0; trial < STEPS && plain != 0; trial++) {
        float scale = fabsf(plain) * (0.72f + 0.06f * (float)(trial / 2)), products = 0, squares = 0;
        float inverse = mote_inverse(trial % 2 ? -scale : scale);
        for (int i = 0; i < VALUES; i++) {
            float level = (float)levels[nearest(values[i] * inverse)], w = importance ? importance[i] : 1;
            products += w * level * values[i];
            squares += w * level * level;
        }
        if (squares > 0 && products * products > best_worth * squares) {
            best_worth = products * products / squares;
            best = products / squares;
        }
    }
    store(values, block, best);
}

MOTE_BLOCK_ROWS(iq4_nl, VALUES, BYTES, decode, encode_plain, encode_best)

static void encode_group(void *row, size_t at, const float *values, const float metric[3], float *dequantized) {
    (void)metric;
    uint8_t *block = (uint8_t *)row + at / VALUES * BYTES;
    const float d = mote_load_half(block);
    const int q = nearest(*values * mote_inverse(d));
    mote_put_nibble(block + 2, at % VALUES, q);
    *dequantized = (float)levels[q] * d;
}

const mote_type_info mote_type_iq4_nl = {
    .name = "iq4_nl", .ggml_id = 20, .file_type = 25, .block_values = VALUES, .block_bytes = BYTES, .n_half_scales = 1,
    MOTE_ROWS_OF(iq4_nl), .code_values = 1, .encode_group = encode_group,
};
