/* The arithmetic of q3h and q43. A pair's nearest point is found by walking away from its even coordinate until that
 * axis alone is worse than the best so far: about a dozen of the 128 points are looked at, and the result is exact for
 * any positive metric. */
#include "quant/pairs.h"

#include "quant/block_codec.h"
#include "quant/pair_tables.h"

enum { VALUES = MOTE_PAIR_BLOCK_VALUES, BYTES = MOTE_PAIR_CODE_BYTES, PAIRS = VALUES / 2, CODES = MOTE_PAIR_CODES };

/* What the plain rule takes for a block: a standard deviation is this many steps of the tables (32 lose 1 % more). */
static const float usual_steps = 31;
/* 62 steps of the largest scale: what both tables reach along both axes. */
#define LARGEST 15.0f

typedef struct {
    const int8_t *even, *odd;
    const uint8_t *first; /* [v + 128]: points whose even coordinate lies below v */
} book;
static const book q3h = {q3h_even, q3h_odd, q3h_first}, q43 = {q43_even, q43_odd, q43_first};

static void put_code(uint8_t *codes, int i, int code) {
    int bit = 7 * i, at = bit / 8, shift = bit & 7;
    unsigned mask = 127u << shift, bits = (unsigned)code << shift;
    codes[at] = (uint8_t)((codes[at] & ~mask) | bits);
    if (shift > 1) codes[at + 1] = (uint8_t)((codes[at + 1] & ~(mask >> 8)) | bits >> 8);
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

/* Writes the codes for the scale of this byte, with the block's codes so far as guesses; returns the weighted squared
 * error, or gives up where it reaches `limit`. */
static float try_scale(const book *b, const float *values, const float *importance, int byte, float limit,
                       uint8_t *codes) {
    const float scale = mote_pair_scale((uint8_t)byte), inverse = mote_inverse(scale), square = scale * scale;
    float error = 0;
    for (int i = 0; i < PAIRS && error < limit; i++) {
        const float x = values[2 * i], y = values[2 * i + 1];
        float m[3] = {1, 0, 1}, distance;
        if (importance) m[0] = importance[2 * i], m[2] = importance[2 * i + 1];
        put_code(codes, i, nearest(b, x * inverse, y * inverse, m, mote_pair_code(codes, i), &distance));
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

/* The scale of a block by the plain rule; *worth: the sum of its weighed squares. */
static int usual_byte(const float *values, const float *importance, int n, float *worth) {
    float squares = 0, weights = 0;
    *worth = 0;
    for (int i = 0; i < n; i++) {
        float w = !importance || importance[i] > 0, square = values[i] * values[i];
        squares += w * square;
        weights += w;
        *worth += importance ? importance[i] * square : square;
    }
    return byte_of(weights > 0 ? sqrtf(squares / weights) / usual_steps : 0);
}

/* ---- the scales of a row */

/* What it costs a block, in parts of its squares, that its usual scale is so many steps below the first of a row's, or
 * above the last. A scale too small cuts off the largest values; below, there is room for a search. */
static float cost_of_range(int byte, int first, int last) {
    const float above = (float)(byte + 6 - last), below = (float)(first - (byte - 4));
    float cost = 0;
    if (above > 0) cost += 0.0002f * above * above * above;
    if (below > 0) cost += 0.0001f * below * below;
    return cost < 1 ? cost : 1;
}

static uint8_t choose_range(const float *values, const float *importance, size_t n) {
    /* By the step's logarithm: what is lost by searching among fewer scales. */
    static const float coarse[4] = {0, 0.0004f, 0.0015f, 0.006f};
    float worth[256] = {0}, all = 0, least = INFINITY;
    int lowest = 255, highest = 0;
    uint8_t best = 0;
    for (size_t at = 0; at < n; at += VALUES) {
        const int count = n - at < VALUES ? (int)(n - at) : VALUES;
        float squares;
        const int byte = usual_byte(values + at, importance ? importance + at : NULL, count, &squares);
        if (byte == 0) continue;
        worth[byte] += squares;
        all += squares;
        lowest = byte < lowest ? byte : lowest;
        highest = byte > highest ? byte : highest;
    }
    for (int range = 0; range < 256 && highest; range++) {
        const int first = range & 0xfc, last = first + (14 << (range & 3));
        if (first > highest || (last < highest && last < 255)) continue;
        float cost = coarse[range & 3] * all;
        for (int byte = lowest; byte <= highest && cost < least; byte++)
            if (worth[byte] > 0) cost += worth[byte] * cost_of_range(byte, first, last);
        if (cost < least) least = cost, best = (uint8_t)range;
    }
    return best;
}

static void put_scale(uint8_t *row, size_t block, int nibble) {
    uint8_t *byte = row + mote_pair_scale_at(block);
    *byte = (uint8_t)(block % 2 ? (*byte & 15) | nibble << 4 : nibble); /* the first clears the second's */
}

static int nibble_near(uint8_t range, int byte) {
    const int step = 1 << (range & 3), above = byte - (range & 0xfc) + step / 2;
    const int nibble = above < 0 ? 1 : 1 + above / step;
    return byte == 0 ? 0 : nibble > 15 ? 15 : nibble;
}

/* Block `block` of a row whose range stands, by the plain rule or by a search among the scales from some 15 % below
 * that to a third above it. */
static void encode(const book *b, const float *values, const float *importance, int n, bool search, uint8_t *row,
                   size_t block) {
    float padded[VALUES] = {0}, weights[VALUES] = {0}, squares;
    if (n < VALUES) { /* zeros that pad do not count */
        memcpy(padded, values, (size_t)n * sizeof *padded);
        for (int i = 0; i < n; i++) weights[i] = importance ? importance[i] : 1;
        values = padded, importance = weights;
    }
    uint8_t *codes = row + mote_pair_codes_at(block), trial[BYTES] = {0};
    const int usual = usual_byte(values, importance, VALUES, &squares), middle = nibble_near(row[0], usual);
    memset(codes, 0, BYTES);
    put_scale(row, block, middle);
    float least = try_scale(b, values, importance, mote_pair_scale_byte(row[0], middle), INFINITY, codes);
    for (int i = 1; i < 28 && search && middle > 0; i++) { /* outwards, so that most trials give up early */
        const int nibble = middle + (i % 2 ? (i + 1) / 2 : -i / 2), away = (nibble - middle) * (1 << (row[0] & 3));
        if (nibble < 1 || nibble > 15 || away < -8 || away > 12) continue;
        memcpy(trial, codes, BYTES);
        float error = try_scale(b, values, importance, mote_pair_scale_byte(row[0], nibble), least, trial);
        if (!(error < least)) continue;
        least = error;
        put_scale(row, block, nibble);
        memcpy(codes, trial, BYTES);
    }
    if (least > squares) { /* far below the others of its row: nothing is nearer than the first scale's codes */
        put_scale(row, block, 0);
        memset(codes, 0, BYTES);
    }
}

/* ---- rows */

static void decode_row(const book *b, const uint8_t *row, float *values, size_t n) {
    for (size_t block = 0; block * VALUES < n; block++) {
        const uint8_t *codes = row + mote_pair_codes_at(block);
        const float scale = mote_pair_scale(mote_pair_scale_of(row, block));
        const size_t at = block * VALUES, count = n - at < VALUES ? n - at : VALUES;
        for (size_t i = 0; i < count; i += 2) {
            const int code = mote_pair_code(codes, (int)i / 2);
            values[at + i] = scale * (float)b->even[code];
            if (i + 1 < count) values[at + i + 1] = scale * (float)b->odd[code];
        }
    }
}

static void encode_row(const book *b, const float *values, const float *importance, size_t n, bool search,
                       uint8_t *row) {
    row[0] = choose_range(values, importance, n);
    for (size_t at = 0; at < n; at += VALUES)
        encode(b, values + at, importance ? importance + at : NULL, n - at < VALUES ? (int)(n - at) : VALUES, search,
               row, at / VALUES);
}

static void begin_row(const float *values, const float *importance, void *row, size_t n) {
    *(uint8_t *)row = choose_range(values, importance, n);
}

static void put_pair(const book *b, void *row, size_t at, const float *values, const float metric[3],
                     float *dequantized) {
    static const float identity[3] = {1, 0, 1};
    uint8_t *codes = (uint8_t *)row + mote_pair_codes_at(at / VALUES);
    const float scale = mote_pair_scale(mote_pair_scale_of(row, at / VALUES)), inverse = mote_inverse(scale);
    const int i = (int)(at % VALUES / 2);
    float distance;
    const int code = nearest(b, values[0] * inverse, values[1] * inverse, metric ? metric : identity,
                             mote_pair_code(codes, i), &distance);
    put_code(codes, i, code);
    dequantized[0] = scale * (float)b->even[code];
    dequantized[1] = scale * (float)b->odd[code];
}

/* ---- the two types */

#define DEFINE_TYPE(type, place)                                                                                       \
    static void type##_to_f32(const void *row, float *values, size_t n) { decode_row(&type, row, values, n); }         \
    static void type##_from_f32(const float *values, void *row, size_t n) {                                            \
        encode_row(&type, values, NULL, n, false, row);                                                                \
    }                                                                                                                  \
    static void type##_quantize(const float *values, const float *importance, void *row, size_t n) {                   \
        encode_row(&type, values, importance, n, true, row);                                                           \
    }                                                                                                                  \
    static void type##_scale(const float *values, const float *importance, size_t n, void *row, size_t at) {           \
        encode(&type, values, importance, (int)n, true, row, at / VALUES);                                             \
    }                                                                                                                  \
    static void type##_group(void *row, size_t at, const float *values, const float metric[3], float *dequantized) {   \
        put_pair(&type, row, at, values, metric, dequantized);                                                         \
    }                                                                                                                  \
    const mote_type_info mote_type_##type = {                                                                          \
        .name = #type, .ggml_id = MOTE_FIRST_OWN_TYPE_ID + (place), .file_type = MOTE_FIRST_OWN_TYPE_ID + (place),     \
        .block_values = 2 * VALUES, .block_bytes = MOTE_PAIR_DOUBLE_BYTES, .half_block_bytes = 1 + BYTES,              \
        .row_header_bytes = MOTE_PAIR_HEADER_BYTES, .largest = LARGEST, .integer = true, .to_f32 = type##_to_f32,      \
        .from_f32 = type##_from_f32, .quantize = type##_quantize, .code_values = 2, .encode_group = type##_group,      \
        .begin_row = begin_row, .choose_scale = type##_scale}
DEFINE_TYPE(q3h, 3);
DEFINE_TYPE(q43, 4);

const mote_pair_table *mote_pair_tables(mote_type type) {
    static const mote_pair_table tables[2] = {{q3h_even, q3h_odd}, {q43_even, q43_odd}};
    return &tables[type == MOTE_TYPE_Q43];
}
