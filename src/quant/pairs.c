/* The arithmetic of q3h and q43. A pair's nearest point is found by walking away from its even coordinate until that
 * axis alone is worse than the best so far: about a dozen of the 128 points are looked at, and the result is exact for
 * any positive metric. */
#include "quant/pairs.h"

#include "quant/block_codec.h"
#include "quant/pair_tables.h"

enum { VALUES = MOTE_PAIR_BLOCK_VALUES, BYTES = MOTE_PAIR_BLOCK_BYTES, PAIRS = VALUES / 2, CODES = MOTE_PAIR_CODES };

/* What the plain rule takes for a block: a standard deviation is this many steps of the tables (32 lose 1 % more). */
static const float usual_steps = 31;
/* 62 steps of the largest scale: what both tables reach along both axes. */
#define LARGEST 15.0f

typedef struct {
    const int8_t *even, *odd;
    const uint8_t *first; /* [v + 128]: points whose even coordinate lies below v */
} book;
static const book q3h = {q3h_even, q3h_odd, q3h_first}, q43 = {q43_even, q43_odd, q43_first};

static void put_code(uint8_t *block, int i, int code) {
    int bit = 7 * i, at = 1 + bit / 8, shift = bit & 7;
    unsigned mask = 127u << shift, bits = (unsigned)code << shift;
    block[at] = (uint8_t)((block[at] & ~mask) | bits);
    if (shift > 1) block[at + 1] = (uint8_t)((block[at + 1] & ~(mask >> 8)) | bits >> 8);
}

/* ---- the nearest point; e M e^T with M = {m00, m01, m11} is m00 e0^2 + 2 m01 e0 e1 + m11 e1^2 */

static int start_of(const book *b, float x) {
    x = x > -128 ? x : -128;
    x = x < 127 ? x : 127;
    return b->first[(int)(x + 128)];
}

static float distance_of(const book *b, int i, float x, float y, const float m[3]) {
    const float e0 = x - (float)b->even[i], e1 = y - (float)b->odd[i];
    return m[0] * e0 * e0 + 2 * m[1] * e0 * e1 + m[2] * e1 * e1;
}

/* `guess`: any code; a near one makes the walk short. */
static int nearest(const book *b, float x, float y, const float m[3], int guess, float *distance) {
    /* The least an error e0 can cost, whatever e1 is. */
    const float alone = m[2] > 0 ? m[0] - m[1] * m[1] / m[2] : m[0];
    const int start = start_of(b, x);
    int best = guess;
    float least = distance_of(b, guess, x, y, m);
    for (int i = start; i < CODES; i++) {
        const float e0 = x - (float)b->even[i], d = distance_of(b, i, x, y, m);
        if (e0 <= 0 && alone * e0 * e0 >= least) break;
        if (d < least) least = d, best = i;
    }
    for (int i = start - 1; i >= 0; i--) {
        const float e0 = x - (float)b->even[i], d = distance_of(b, i, x, y, m);
        if (alone * e0 * e0 >= least) break;
        if (d < least) least = d, best = i;
    }
    *distance = least;
    return best;
}

/* ---- blocks */

static void decode(const book *b, const uint8_t *block, float *values) {
    const float scale = mote_pair_scale(block[0]);
    for (int i = 0; i < PAIRS; i++) {
        int code = mote_pair_code(block, i);
        values[2 * i] = scale * (float)b->even[code];
        values[2 * i + 1] = scale * (float)b->odd[code];
    }
}

/* Writes the codes for the scale of this byte, with the block's codes so far as guesses; returns the weighted squared
 * error, or gives up where it reaches `limit`. */
static float try_scale(const book *b, const float *values, const float *importance, int byte, float limit,
                       uint8_t *block) {
    const float scale = mote_pair_scale((uint8_t)byte), inverse = mote_inverse(scale), square = scale * scale;
    float error = 0;
    block[0] = (uint8_t)byte;
    for (int i = 0; i < PAIRS && error < limit; i++) {
        const float x = values[2 * i], y = values[2 * i + 1];
        float m[3] = {1, 0, 1}, distance;
        if (importance) m[0] = importance[2 * i], m[2] = importance[2 * i + 1];
        put_code(block, i, nearest(b, x * inverse, y * inverse, m, mote_pair_code(block, i), &distance));
        error += inverse != 0 ? square * distance : m[0] * x * x + m[2] * y * y;
    }
    return error;
}

/* The byte of the scale next to the wanted one. */
static int byte_of(float scale) {
    int low = 0, high = 255;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (mote_pair_scale((uint8_t)middle) <= scale) low = middle;
        else high = middle;
    }
    return scale - mote_pair_scale((uint8_t)low) <= mote_pair_scale((uint8_t)high) - scale ? low : high;
}

static int usual_byte(const float *values, const float *importance) {
    float squares = 0, weights = 0;
    for (int i = 0; i < VALUES; i++) {
        float w = !importance || importance[i] > 0;
        squares += w * values[i] * values[i];
        weights += w;
    }
    return byte_of(weights > 0 ? sqrtf(squares / weights) / usual_steps : 0);
}

/* Steps of about 15 % first, then those between: what a search over all bytes finds, in a quarter of the trials. */
static void encode_best(const book *b, const float *values, const float *importance, uint8_t *block) {
    static const int8_t coarse[] = {0, -3, 3, -6, 6, 9}, fine[] = {-1, 1, -2, 2};
    uint8_t trial[BYTES] = {0};
    const int middle = usual_byte(values, importance);
    float least = INFINITY;
    int best = middle;
    memset(block, 0, BYTES);
    for (size_t pass = 0; pass < 2; pass++) {
        const int8_t *steps = pass ? fine : coarse;
        const int center = best, n = pass ? (int)sizeof fine : (int)sizeof coarse;
        for (int i = 0; i < n; i++) {
            int byte = center + steps[i];
            if (byte < 0 || byte > 255) continue;
            float error = try_scale(b, values, importance, byte, least, trial);
            if (!(error < least)) continue;
            least = error;
            best = byte;
            memcpy(block, trial, BYTES);
        }
    }
}

static void encode_plain(const book *b, const float *values, const float *importance, uint8_t *block) {
    memset(block, 0, BYTES);
    try_scale(b, values, importance, usual_byte(values, importance), INFINITY, block);
}

static void put_pair(const book *b, void *row, size_t at, const float *values, const float metric[3],
                     float *dequantized) {
    static const float identity[3] = {1, 0, 1};
    uint8_t *block = (uint8_t *)row + at / VALUES * BYTES;
    const float scale = mote_pair_scale(block[0]), inverse = mote_inverse(scale);
    float distance;
    const int code = nearest(b, values[0] * inverse, values[1] * inverse, metric ? metric : identity,
                             mote_pair_code(block, (int)(at % VALUES / 2)), &distance);
    put_code(block, (int)(at % VALUES / 2), code);
    dequantized[0] = scale * (float)b->even[code];
    dequantized[1] = scale * (float)b->odd[code];
}

/* ---- the two types */

#define TYPE(type, id)                                                                                                 \
    static void type##_decode(const uint8_t *block, float *values) { decode(&type, block, values); }                   \
    static void type##_plain(const float *values, const float *importance, uint8_t *block) {                           \
        encode_plain(&type, values, importance, block);                                                                \
    }                                                                                                                  \
    static void type##_best(const float *values, const float *importance, uint8_t *block) {                            \
        encode_best(&type, values, importance, block);                                                                 \
    }                                                                                                                  \
    static void type##_group(void *row, size_t at, const float *values, const float metric[3], float *dequantized) {   \
        put_pair(&type, row, at, values, metric, dequantized);                                                         \
    }                                                                                                                  \
    MOTE_BLOCK_ROWS(type, VALUES, BYTES, type##_decode, type##_plain, type##_best)                                     \
    const mote_type_info mote_type_##type = {                                                                          \
        .name = #type, .ggml_id = MOTE_FIRST_OWN_TYPE_ID + id, .file_type = MOTE_FIRST_OWN_TYPE_ID + id,               \
        .block_values = VALUES, .block_bytes = BYTES, .largest = LARGEST, .integer = true, MOTE_ROWS_OF(type),         \
        .code_values = 2, .encode_group = type##_group,                                                                \
    };
TYPE(q3h, 1)
TYPE(q43, 2)

const mote_pair_table *mote_pair_tables(mote_type type) {
    static const mote_pair_table tables[2] = {{q3h_even, q3h_odd}, {q43_even, q43_odd}};
    return &tables[type == MOTE_TYPE_Q43];
}
