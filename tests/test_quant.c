/* Weight types: every 16-bit pattern, and the neighbourhood of each of them, against conversions done in double. */
#include "quant/types.h"
#include "test.h"

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The value of a binary16 pattern by its definition. */
static double half_value(uint16_t half) {
    int exponent = half >> 10 & 31, mantissa = half & 1023;
    double magnitude = exponent == 31 ? (mantissa ? NAN : INFINITY)
                                      : exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
    return half & 0x8000 ? -magnitude : magnitude;
}

static void f16_to_f32_is_exact(void) {
    for (uint32_t half = 0; half < 65536; half++) {
        float value = mote_f16_to_f32((uint16_t)half);
        double wanted = half_value((uint16_t)half);
        bool same = wanted != wanted ? value != value && (bits_of(value) & 0x400000) : (double)value == wanted;
        CHECK(same && bits_of(value) >> 31 == half >> 15, "pattern %04x gives %g", half, (double)value);
        if (!same) return;
    }
}

static void f16_round_trip(void) {
    for (uint32_t half = 0; half < 65536; half++) {
        uint16_t again = mote_f32_to_f16(mote_f16_to_f32((uint16_t)half));
        uint32_t wanted = (half & 0x7fff) > 0x7c00 ? half | 0x200 : half; /* NaN becomes quiet */
        CHECK(again == wanted, "pattern %04x comes back as %04x", half, again);
        if (again != wanted) return;
    }
}

/* Between two neighbours: below the middle, the middle (to even), above it. */
static void f16_rounds_to_nearest_even(void) {
    for (uint32_t half = 0; half < 0x7c00; half++) {
        double low = half_value((uint16_t)half), high = half == 0x7bff ? 65536 : half_value((uint16_t)(half + 1));
        float middle = (float)((low + high) / 2);
        uint16_t even = (uint16_t)(half & 1 ? half + 1 : half);
        uint16_t below = mote_f32_to_f16(nextafterf(middle, 0)), at = mote_f32_to_f16(middle);
        uint16_t above = mote_f32_to_f16(nextafterf(middle, 1e9f)), negative = mote_f32_to_f16(-middle);
        bool right = below == half && at == even && above == half + 1 && negative == (even | 0x8000);
        CHECK(right, "around %04x: %04x %04x %04x, negative %04x", half, below, at, above, negative);
        if (!right) return;
    }
    CHECK(mote_f32_to_f16(1e30f) == 0x7c00 && mote_f32_to_f16(-INFINITY) == 0xfc00, "large values");
    CHECK(mote_f32_to_f16(1e-30f) == 0 && mote_f32_to_f16(-1e-45f) == 0x8000, "small values");
    CHECK(mote_f32_to_f16(float_of(0xff800001)) == 0xfe00, "a NaN with a low payload");
}

static void bf16_rounds_to_nearest_even(void) {
    for (uint32_t half = 0; half < 0x7f80; half++) {
        uint32_t middle = half << 16 | 0x8000;
        uint16_t even = (uint16_t)(half & 1 ? half + 1 : half);
        uint16_t below = mote_f32_to_bf16(float_of(middle - 1)), at = mote_f32_to_bf16(float_of(middle));
        uint16_t above = mote_f32_to_bf16(float_of(middle + 1)),
                 negative = mote_f32_to_bf16(float_of(middle | 0x80000000u));
        bool right = below == half && at == even && above == half + 1 && negative == (even | 0x8000) &&
                     bits_of(mote_bf16_to_f32((uint16_t)half)) == half << 16;
        CHECK(right, "around %04x: %04x %04x %04x, negative %04x", half, below, at, above, negative);
        if (!right) return;
    }
    CHECK(mote_f32_to_bf16(INFINITY) == 0x7f80 && mote_f32_to_bf16(-INFINITY) == 0xff80, "infinities");
    CHECK(mote_f32_to_bf16(float_of(0x7f800001)) == 0x7fc0, "a NaN with a low payload");
}

static void rows_follow_the_scalars(void) {
    enum { N = 77 };
    float values[N], back[N];
    char storage[N * 4 + 1];
    for (int i = 0; i < N; i++) values[i] = (float)(i - 30) * 0.37f;
    for (int type = 0; type < MOTE_N_FLOAT_TYPES; type++) {
        const mote_type_info *info = mote_type_get((mote_type)type);
        memset(storage, 0x5a, sizeof storage);
        size_t bytes = mote_row_bytes((mote_type)type, N - 1);
        info->from_f32(values, storage + 1, N - 1); /* rows in a file need not be aligned */
        CHECK(storage[0] == 0x5a && (bytes + 1 >= sizeof storage || storage[bytes + 1] == 0x5a),
              "%s wrote beside its row", info->name);
        info->to_f32(storage + 1, back, N - 1);
        for (int i = 0; i < N - 1; i++) {
            float wanted = type == MOTE_TYPE_F16    ? mote_f16_to_f32(mote_f32_to_f16(values[i]))
                           : type == MOTE_TYPE_BF16 ? mote_bf16_to_f32(mote_f32_to_bf16(values[i]))
                                                    : values[i];
            CHECK(back[i] == wanted, "%s[%d] is %g, not %g", info->name, i, (double)back[i], (double)wanted);
        }
        info->from_f32(values, storage, 0); /* an empty row is a row */
    }
}

static void types_are_found_by_id(void) {
    static const struct {
        int id;
        mote_type type;
        const char *name;
    } known[] = {{0, MOTE_TYPE_F32, "f32"}, {1, MOTE_TYPE_F16, "f16"}, {30, MOTE_TYPE_BF16, "bf16"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        mote_type type = MOTE_N_TYPES;
        const mote_type_info *info = mote_type_from_ggml(known[i].id, &type);
        CHECK(info && type == known[i].type && !strcmp(info->name, known[i].name), "id %d", known[i].id);
        CHECK(info == mote_type_get(type) && mote_type_from_ggml(known[i].id, NULL) == info, "id %d", known[i].id);
    }
    CHECK(!mote_type_from_ggml(-1, NULL) && !mote_type_from_ggml(9, NULL) && !mote_type_from_ggml(1 << 30, NULL),
          "unknown ids");
    CHECK(!mote_type_get(MOTE_N_TYPES) && !mote_type_get((mote_type)99) && !mote_type_get((mote_type)-1),
          "unknown types");
    CHECK(!strcmp(mote_type_name((mote_type)99), "unknown") && !strcmp(mote_type_name(MOTE_TYPE_F16), "f16"), "names");
    CHECK(mote_type_bits((mote_type)99) == 0 && mote_type_block((mote_type)99) == 0, "no such type");
    CHECK(mote_type_bits(MOTE_TYPE_Q4_0) == 4.5 && mote_type_bits(MOTE_TYPE_Q3_K) == 3.4375 &&
              mote_type_bits(MOTE_TYPE_Q3H) == 3.625 && mote_type_bits(MOTE_TYPE_I8) == 8 &&
              mote_type_bits(MOTE_TYPE_BF16) == 16, "bits a weight");
    CHECK(mote_type_block(MOTE_TYPE_Q6_K) == 256 && mote_type_block(MOTE_TYPE_Q5_1) == 32 &&
              mote_type_block(MOTE_TYPE_F32) == 1 && mote_type_block(MOTE_TYPE_Q3H) == 32, "weights in a block");
}

int main(void) {
    RUN(f16_to_f32_is_exact);
    RUN(f16_round_trip);
    RUN(f16_rounds_to_nearest_even);
    RUN(bf16_rounds_to_nearest_even);
    RUN(rows_follow_the_scalars);
    RUN(types_are_found_by_id);
    return test_finish();
}
