/* i8 (mote): one f32 scale before a row and a signed byte for each value, in blocks of 32; value = scale q. The form
 * that costs least to run: one multiplication an output. */
#include "quant/block_codec.h"

enum { BLOCK = 32, HEADER = sizeof(float) };

static void to_f32(const void *row, float *values, size_t n) {
    const int8_t *codes = (const int8_t *)row + HEADER;
    float scale;
    memcpy(&scale, row, sizeof scale);
    for (size_t i = 0; i < n; i++) values[i] = (float)codes[i] * scale;
}

static void store(const float *values, void *row, size_t n, float scale) {
    int8_t *codes = (int8_t *)row + HEADER;
    const float inverse = mote_inverse(scale);
    memcpy(row, &scale, sizeof scale);
    for (size_t i = 0; i < n; i++) codes[i] = (int8_t)mote_nearest(values[i] * inverse, -127, 127);
    for (size_t i = n; i % BLOCK; i++) codes[i] = 0;
}

static void from_f32(const float *values, void *row, size_t n) { store(values, row, n, mote_largest(values, n) / 127); }

/* A row's largest value may stand far out, so scales down to half of the plain one are tried: what is cut off is paid
 * for by finer steps for all others. */
static void quantize(const float *values, const float *importance, void *row, size_t n) {
    const float plain = mote_largest(values, n) / 127;
    float best = plain;
    double least = INFINITY;
    for (int trial = 0; trial < 26 && plain > 0; trial++) {
        const float scale = plain * (1 - 0.02f * (float)trial), inverse = mote_inverse(scale);
        double error = 0;
        for (size_t from = 0; from < n; from += BLOCK) {
            float part = 0;
            for (size_t i = from; i < n && i < from + BLOCK; i++) {
                float difference = values[i] - scale * (float)mote_nearest(values[i] * inverse, -127, 127);
                part += (importance ? importance[i] : 1) * difference * difference;
            }
            error += (double)part;
        }
        if (error < least) least = error, best = scale;
    }
    store(values, row, n, best);
}

static void encode_group(void *row, size_t at, const float *values, const float metric[3], float *dequantized) {
    (void)metric;
    float scale;
    memcpy(&scale, row, sizeof scale);
    const int q = mote_nearest(*values * mote_inverse(scale), -127, 127);
    ((int8_t *)row)[HEADER + at] = (int8_t)q;
    *dequantized = (float)q * scale;
}

const mote_type_info mote_type_i8 = {
    .name = "i8", .ggml_id = MOTE_FIRST_OWN_TYPE_ID, .file_type = MOTE_FIRST_OWN_TYPE_ID, .block_values = BLOCK,
    .block_bytes = BLOCK, .row_header_bytes = HEADER, .integer = true, .to_f32 = to_f32, .from_f32 = from_f32,
    .quantize = quantize, .code_values = 1, .encode_group = encode_group,
};
