/* Attention over keys and values in bf16, in plain C: what the vector kernels are tested against. The rounding is that
 * of quant/bf16.c. */
#include <math.h>

#include "kernels/formulas.h"
#include "kernels/scalar.h"

static uint32_t pair_of(mote_real first, mote_real second) {
    return mote_f32_to_bf16((float)first) | (uint32_t)mote_f32_to_bf16((float)second) << 16;
}
static mote_real first_of(uint32_t pair) { return (mote_real)mote_bf16_to_f32((uint16_t)pair); }
static mote_real second_of(uint32_t pair) { return (mote_real)mote_bf16_to_f32((uint16_t)(pair >> 16)); }
static mote_real rounded(mote_real x) { return (mote_real)mote_bf16_to_f32(mote_f32_to_bf16((float)x)); }

static void store(const mote_bf16_store *s) {
    const int n = s->head_dim, pairs = (n + 1) / 2;
    const size_t width = (size_t)(n + MOTE_PANEL - 1) / MOTE_PANEL * MOTE_PANEL;
    for (int r = 0; r < s->rows; r++) {
        const mote_real *k = s->k + (size_t)r * s->k_row, *v = s->v + (size_t)r * s->v_row;
        const int position = s->position + r;
        uint32_t *key = s->keys + (size_t)(position / MOTE_PANEL * pairs) * MOTE_PANEL + position % MOTE_PANEL;
        uint32_t *value = s->values + (size_t)(position / 2) * width;
        for (int i = 0; i < pairs; i++) key[i * MOTE_PANEL] = pair_of(k[2 * i], 2 * i + 1 < n ? k[2 * i + 1] : 0);
        for (int i = 0; i < n; i++)
            value[i] = position % 2 ? pair_of(first_of(value[i]), v[i]) : pair_of(v[i], 0);
    }
}

static void attend_row(const mote_bf16_attend *a, int r, mote_real *score) {
    const int n = a->head_dim, pairs = (n + 1) / 2, high = a->high + r * a->step;
    const int low = a->low + r * a->step > 0 ? a->low + r * a->step : 0;
    const size_t width = (size_t)(n + MOTE_PANEL - 1) / MOTE_PANEL * MOTE_PANEL;
    const mote_real *q = a->q + (size_t)r * a->q_row;
    mote_real *y = a->y + (size_t)r * a->y_row, largest = (mote_real)-INFINITY;
    for (int j = low; j < high; j++) {
        const uint32_t *key = a->keys + (size_t)(j / MOTE_PANEL * pairs) * MOTE_PANEL + j % MOTE_PANEL;
        mote_real sum = 0;
        for (int i = 0; i < n; i++) {
            uint32_t pair = key[i / 2 * MOTE_PANEL];
            sum = mote_fused(rounded(q[i]), i % 2 ? second_of(pair) : first_of(pair), sum);
        }
        score[j - low] = sum;
        largest = a->scale * sum > largest ? a->scale * sum : largest;
    }
    double total = 0;
    for (int j = low; j < high; j++) {
        mote_real e = mote_exp(mote_fused(a->scale, score[j - low], -largest));
        total += (double)e;
        score[j - low] = rounded(e);
    }
    for (int i = 0; i < n; i++) {
        mote_real sum = 0;
        for (int j = low; j < high; j++) {
            uint32_t pair = a->values[(size_t)(j / 2) * width + (size_t)i];
            sum = mote_fused(score[j - low], j % 2 ? second_of(pair) : first_of(pair), sum);
        }
        y[i] = sum * (mote_real)(1 / total);
    }
}

static void attend(const mote_bf16_attend *a) {
    for (int r = 0; r < a->rows; r++) attend_row(a, r, a->scratch);
}

void mote_kernels_fill_bf16_attention_scalar(mote_kernels *table) {
    table->bf16_store = store;
    table->bf16_attend = attend;
}
