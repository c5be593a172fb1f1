/* Block types: golden blocks (tools/make_goldens_quant.py), rows of every length, what each type loses, the search for
 * scales, and encoding value by value. */
#include "base/random.h"
#include "quant/pairs.h"
#include "quant/types.h"
#include "test.h"

enum { MOST = 600, ROOM = 4 * MOST + 512, CANARY = 0x5a };

/* Bounds of one error in units of the largest value that shares its scale, by the plain rule; per cent of the norm of
 * Gaussian rows that are lost by the plain rule and by the searched one, at most (less than 0.9 of it is wrong too). */
static const struct {
    mote_type type;
    double most, plain, searched;
} kinds[] = {
    {MOTE_TYPE_Q8_0, 0.0045, 0.56, 0.50},  {MOTE_TYPE_Q4_0, 0.13, 8.8, 8.3},    {MOTE_TYPE_Q3H, 1, 12.9, 10.9},
    {MOTE_TYPE_Q43, 1, 15.3, 13.7},      {MOTE_TYPE_I8, 0.0045, 0.78, 0.78},  {MOTE_TYPE_Q4_1, 0.07, 8.0, 7.6},
    {MOTE_TYPE_Q5_0, 0.07, 4.4, 4.2},      {MOTE_TYPE_Q5_1, 0.035, 3.9, 3.6},   {MOTE_TYPE_Q2_K, 0.5, 34, 27.5},
    {MOTE_TYPE_Q3_K, 0.3, 15.9, 14.8},     {MOTE_TYPE_Q4_K, 0.11, 8.1, 7.4},    {MOTE_TYPE_Q5_K, 0.06, 4.0, 3.6},
    {MOTE_TYPE_Q6_K, 0.04, 1.95, 1.75},    {MOTE_TYPE_IQ4_NL, 0.13, 8.3, 7.6},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };
_Static_assert(N_KINDS == MOTE_N_TYPES - MOTE_N_FLOAT_TYPES, "every block type is tested");

static mote_random dice;
static void fill(float *values, size_t n, double scale) {
    for (size_t i = 0; i < n; i++) values[i] = (float)(scale * mote_random_normal(&dice));
}

static double lost(const float *a, const float *b, const float *importance, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (importance ? importance[i] : 1) * ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sum;
}

static void goldens(void) {
    FILE *file = fopen("tests/data/golden_quant.bin", "rb");
    uint32_t head[4];
    int decoded = 0, encoded = 0;
    CHECK(file, "tests/data/golden_quant.bin");
    while (file && fread(head, sizeof head, 1, file) == 1) {
        uint8_t bytes[256], made[256];
        float values[256], back[256];
        const size_t n_bytes = head[2], n = head[3];
        mote_type type = MOTE_N_TYPES;
        const mote_type_info *info = mote_type_from_ggml((int)head[0], &type);
        CHECK(info && n_bytes == mote_row_bytes(type, n) && n <= 256, "type %u", head[0]);
        if (!info || fread(bytes, 1, n_bytes, file) != n_bytes || fread(values, 4, n, file) != n) break;
        if (head[1]) {
            info->from_f32(values, made, n);
            CHECK(memcmp(bytes, made, n_bytes) == 0, "%s: the row of another program differs", info->name);
            encoded++;
        } else {
            info->to_f32(bytes, back, n);
            CHECK(memcmp(values, back, n * 4) == 0, "%s: values differ", info->name);
            decoded++;
        }
    }
    CHECK(decoded == 22 && encoded == 15, "%d and %d", decoded, encoded);
    if (file) fclose(file);
}

/* Writes no byte beside the row, reads none beside the values (the buffers are exact: a sanitizer's business), and a
 * row of part of a block has the values of the whole one. */
static void rows_of_every_length(void) {
    static uint8_t storage[ROOM];
    for (int k = 0; k < N_KINDS; k++) {
        const mote_type_info *info = mote_type_get(kinds[k].type);
        double plain = 0, searched = 0;
        int beyond = 0, beside = 0;
        for (size_t n = 0; n <= MOST; n++) {
            const size_t bytes = mote_row_bytes(kinds[k].type, n);
            float *values = malloc(n * 4 + 4), *back = malloc(n * 4 + 4);
            const size_t span = mote_scale_span(kinds[k].type, n);
            fill(values, n, 0.05);
            for (int rule = 0; rule < 2; rule++) {
                memset(storage, CANARY, sizeof storage);
                if (rule) info->quantize(values, NULL, storage + 1, n);
                else info->from_f32(values, storage + 1, n);
                for (size_t i = bytes + 1; i < sizeof storage; i++) beside += storage[i] != CANARY;
                beside += storage[0] != CANARY;
                back[n] = 77;
                info->to_f32(storage + 1, back, n);
                beside += back[n] != 77;
                *(rule ? &searched : &plain) += lost(values, back, NULL, n);
                for (size_t at = 0; !rule && at < n; at += span) {
                    float most = 0;
                    const size_t end = at + span < n ? at + span : n;
                    for (size_t i = at; i < end; i++) most = fmaxf(most, fabsf(values[i]));
                    for (size_t i = at; i < end; i++)
                        beyond += fabs((double)values[i] - back[i]) > kinds[k].most * most + 1e-9;
                }
            }
            free(values);
            free(back);
        }
        CHECK(!beside, "%s: %d bytes beside its row were written", info->name, beside);
        CHECK(!beyond, "%s: %d errors beyond %g of the largest value", info->name, beyond, kinds[k].most);
        CHECK(searched <= plain, "%s: searching loses %g, the plain rule %g", info->name, searched, plain);
    }
}

static void losses_of_gaussian_rows(void) {
    enum { N = 256 * 64 };
    static float values[N], back[N];
    static uint8_t row[N * 2];
    double share[MOTE_N_TYPES][2];
    fill(values, N, 0.02);
    const double norm = lost(values, (const float[N]){0}, NULL, N);
    for (int k = 0; k < N_KINDS; k++) {
        const mote_type type = kinds[k].type;
        const mote_type_info *info = mote_type_get(type);
        const size_t part = type == MOTE_TYPE_I8 ? 512 : N;
        for (int rule = 0; rule < 2; rule++) {
            for (size_t at = 0; at < N; at += part) {
                if (rule) info->quantize(values + at, NULL, row, part);
                else info->from_f32(values + at, row, part);
                info->to_f32(row, back + at, part);
            }
            const double percent = share[type][rule] = 100 * sqrt(lost(values, back, NULL, N) / norm);
            const double wanted = rule ? kinds[k].searched : kinds[k].plain;
            CHECK(percent <= wanted && percent >= 0.9 * wanted, "%s, rule %d: %.3f %%", info->name, rule, percent);
        }
    }
    const double ratio = share[MOTE_TYPE_Q3H][1] / share[MOTE_TYPE_Q43][1];
    CHECK(ratio < 0.83, "q3h loses %.3f of what q43 loses", ratio);
}

/* The weights that count lose less where the search knows them. */
static void importance_counts(void) {
    enum { N = 4096 };
    static float values[N], importance[N], back[N];
    static uint8_t row[N * 2];
    fill(values, N, 1);
    for (int i = 0; i < N; i++) importance[i] = i % 5 ? 0.02f : 4;
    for (int k = 0; k < N_KINDS; k++) {
        const mote_type_info *info = mote_type_get(kinds[k].type);
        double error[2];
        for (int known = 0; known < 2; known++) {
            info->quantize(values, known ? importance : NULL, row, N);
            info->to_f32(row, back, N);
            error[known] = lost(values, back, importance, N);
        }
        /* With 8 bits there is little to choose. */
        const double least = kinds[k].searched < 1 ? 1.0001 : kinds[k].searched < 2 ? 1 : 0.97;
        CHECK(error[1] <= least * error[0], "%s: %g where %g is possible without", info->name, error[1], error[0]);
    }
}

/* Scale first, then code by code: the same bytes as at once, and what a code stands for is what the row then holds. */
static void value_by_value(void) {
    enum { N = 333 };
    float values[N + 1] = {0}, importance[N], back[N], meant[N + 1];
    uint8_t whole[2 * N + 512], grown[2 * N + 512];
    int types = 0;
    fill(values, N, 0.3);
    for (int i = 0; i < N; i++) importance[i] = (float)(1 + i % 7);
    for (int k = 0; k < N_KINDS; k++) {
        const mote_type type = kinds[k].type;
        const mote_type_info *info = mote_type_get(type);
        if (!info->encode_group) continue;
        types++;
        const size_t span = mote_scale_span(type, N), step = (size_t)info->code_values;
        const size_t bytes = mote_row_bytes(type, N);
        memset(grown, 0xff, sizeof grown);
        info->quantize(values, importance, whole, N);
        if (info->begin_row) info->begin_row(values, importance, grown, N);
        for (size_t at = 0; at < N; at += span) {
            const size_t n = N - at < span ? N - at : span;
            mote_row_choose_scale(type, values + at, importance + at, n, grown, at);
            /* The codes of a row's last scale are not what is tested here. */
            const float zeros[2] = {0};
            float unused[2];
            for (size_t i = at; i < at + n; i += step) info->encode_group(grown, i, zeros, NULL, unused);
            for (size_t i = at; i < at + n; i += step) {
                float metric[3] = {importance[i], 0, i + 1 < N ? importance[i + 1] : 0};
                info->encode_group(grown, i, values + i, metric, meant + i);
            }
        }
        CHECK(memcmp(whole, grown, bytes) == 0, "%s: not the same row", info->name);
        info->to_f32(grown, back, N);
        CHECK(memcmp(back, meant, sizeof back) == 0, "%s: codes mean something else than their row", info->name);
    }
    CHECK(types == 9, "%d types", types);
}

/* The nearest point by any metric, against all 128. */
static void pairs_are_nearest(void) {
    for (int second = 0; second < 2; second++) {
        const mote_type type = second ? MOTE_TYPE_Q43 : MOTE_TYPE_Q3H;
        const mote_pair_table *table = mote_pair_tables(type);
        uint8_t block[MOTE_PAIR_HEADER_BYTES + 1 + MOTE_PAIR_CODE_BYTES];
        int wrong = 0;
        for (int trial = 0; trial < 4000; trial++) {
            float x[2], meant[2], all[MOTE_PAIR_BLOCK_VALUES];
            double c = 1.6 * (mote_random_uniform(&dice) - 0.5), least = INFINITY;
            const float m[3] = {(float)exp(mote_random_normal(&dice)), (float)c, (float)exp(mote_random_normal(&dice))};
            const float metric[3] = {m[0], m[1] * sqrtf(m[0] * m[2]), m[2]};
            for (size_t i = 0; i < sizeof block; i++) block[i] = (uint8_t)mote_random_below(&dice, 256);
            block[0] = (uint8_t)(100 + trial % 60);
            block[1] |= 1;
            const float scale = mote_pair_scale(mote_pair_scale_of(block, 0));
            fill(x, 2, 45 * scale);
            const size_t pair = (size_t)trial % 16;
            mote_type_get(type)->encode_group(block, 2 * pair, x, metric, meant);
            for (int i = 0; i < MOTE_PAIR_CODES; i++) {
                double e0 = x[0] - (double)scale * table->even[i], e1 = x[1] - (double)scale * table->odd[i];
                least = fmin(least, metric[0] * e0 * e0 + 2.0 * metric[1] * e0 * e1 + metric[2] * e1 * e1);
            }
            double e0 = x[0] - (double)meant[0], e1 = x[1] - (double)meant[1];
            double got = metric[0] * e0 * e0 + 2.0 * metric[1] * e0 * e1 + metric[2] * e1 * e1;
            mote_type_get(type)->to_f32(block, all, MOTE_PAIR_BLOCK_VALUES);
            wrong += got > least * (1 + 1e-4) + 1e-12 || all[2 * pair] != meant[0] || all[2 * pair + 1] != meant[1];
        }
        CHECK(!wrong, "%s: %d of 4000", mote_type_name(type), wrong);
    }
    CHECK(mote_pair_scale(0) == 0 && mote_pair_scale(1) == 0x1p-22f, "the smallest scales");
    for (int byte = 1; byte < 256; byte++)
        CHECK((double)mote_pair_scale((uint8_t)byte) == ldexp(16 + byte % 16, byte / 16 - 22) - ldexp(1, -18), "%d",
              byte);
}

/* The scales of a row of pairs: blocks that differ by much, blocks of zeros between others, and rows of an odd number
 * of blocks take no more bytes than they need. */
static void scales_of_pairs(void) {
    enum { N = 32 * 12 };
    static const double spread[] = {1, 2, 8, 60};
    float values[N], back[N];
    uint8_t row[512];
    CHECK(mote_row_bytes(MOTE_TYPE_Q3H, 384) == 175 && mote_row_bytes(MOTE_TYPE_Q3H, 288) == 132 &&
              mote_row_bytes(MOTE_TYPE_Q3H, 32) == 16 && mote_row_bytes(MOTE_TYPE_Q3H, 33) == 30 &&
              mote_row_unit(MOTE_TYPE_Q3H) == 32 && mote_scale_span(MOTE_TYPE_Q3H, 384) == 32, "bytes");
    for (int nibble = 0; nibble < 16; nibble++)
        for (int range = 0; range < 256; range++) {
            const int byte = range / 4 * 4 + (nibble - 1) * (1 << range % 4);
            CHECK(mote_pair_scale_byte((uint8_t)range, nibble) == (nibble == 0 ? 0 : byte > 255 ? 255 : byte), "%d, %d",
                  range, nibble);
        }
    for (int s = 0; s < 4; s++) {
        for (int second = 0; second < 2; second++) {
            const mote_type_info *info = mote_type_get(second ? MOTE_TYPE_Q43 : MOTE_TYPE_Q3H);
            double error = 0, squares = 0;
            int kept = 0;
            for (int trial = 0; trial < 60; trial++) {
                fill(values, N, 0.02);
                for (int i = 0; i < N; i++)
                    values[i] *= i / 32 % 5 == 3 ? 0 : i / 32 % 3 == trial % 3 ? (float)spread[s] : 1;
                info->quantize(values, NULL, row, N);
                info->to_f32(row, back, N);
                for (int i = 0; i < N; i++) kept += values[i] == 0 && back[i] != 0;
                error += lost(values, back, NULL, N);
                squares += lost(values, (const float[N]){0}, NULL, N);
            }
            /* 10.7 and 13.4 where all blocks are alike; a fixed scale would lose 12.4 and 15. */
            CHECK(!kept && 100 * sqrt(error / squares) < (second ? 14 : 11.4), "%s, %g: %.2f %%, %d zeros lost",
                  info->name, spread[s], 100 * sqrt(error / squares), kept);
        }
    }
}

/* Zeros stay zeros; values that are no weights end in some row, without undefined behaviour. */
static void odd_values(void) {
    enum { N = 288 };
    static const float odd[] = {0, NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-30f, 1e-45f, -1e-9f, 70000, 1};
    float values[N], importance[N], back[N];
    uint8_t row[ROOM];
    for (int k = 0; k < N_KINDS; k++) {
        const mote_type_info *info = mote_type_get(kinds[k].type);
        for (int rule = 0; rule < 3; rule++) {
            for (size_t o = 0; o < sizeof odd / sizeof *odd; o++) {
                for (int mixed = 0; mixed < 2; mixed++) {
                    for (int i = 0; i < N; i++) values[i] = mixed && i % 9 ? 0.1f * (float)(i % 5) : odd[o];
                    for (int i = 0; i < N; i++) importance[i] = rule == 2 && i % 3 ? 0 : 1;
                    if (rule) info->quantize(values, rule == 2 ? importance : NULL, row, N);
                    else info->from_f32(values, row, N);
                    info->to_f32(row, back, N);
                    if (odd[o] != 0 || mixed) continue;
                    int nonzero = !mote_row_is_finite(kinds[k].type, row, N);
                    for (int i = 0; i < N; i++) nonzero += back[i] != 0;
                    CHECK(!nonzero, "%s, rule %d: zeros became something else", info->name, rule);
                }
            }
        }
    }
}

static void scales_are_checked(void) {
    const float values[2] = {1, 15}, large[2] = {1, -15.1f}, none[2] = {NAN, 1};
    CHECK(mote_values_fit(MOTE_TYPE_Q3H, values, 2) && !mote_values_fit(MOTE_TYPE_Q3H, large, 2), "limit");
    CHECK(mote_values_fit(MOTE_TYPE_Q8_0, large, 2) && !mote_values_fit(MOTE_TYPE_Q8_0, none, 2), "no limit");
    for (int k = 0; k < N_KINDS; k++) {
        const mote_type type = kinds[k].type;
        const mote_type_info *info = mote_type_get(type);
        uint8_t row[1024] = {0};
        const size_t n = 2 * mote_row_unit(type);
        CHECK(info->n_half_scales || info->row_header_bytes || info->largest > 0, "%s has no scale?", info->name);
        for (int i = 0; i < info->n_half_scales; i++) {
            uint8_t *scale = row + info->block_bytes + info->half_scale_at[i];
            scale[1] = 0xfb; /* -65504 and a little less are finite */
            CHECK(mote_row_is_finite(type, row, n), "%s", info->name);
            scale[1] = 0xfc;
            CHECK(!mote_row_is_finite(type, row, n) && mote_row_is_finite(type, row, n / 2), "%s", info->name);
            scale[1] = 0;
        }
    }
}

int main(void) {
    mote_random_seed(&dice, 7);
    RUN(goldens);
    RUN(rows_of_every_length);
    RUN(losses_of_gaussian_rows);
    RUN(importance_counts);
    RUN(value_by_value);
    RUN(pairs_are_nearest);
    RUN(scales_of_pairs);
    RUN(odd_values);
    RUN(scales_are_checked);
    return test_finish();
}
