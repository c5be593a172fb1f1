/* Norms, attention rows and the loss in plain C. Sums along a row are kept in double: the reference should be nearer to
 * the truth than what is tested against it. */
#include "kernels/formulas.h"
#include "kernels/scalar.h"

static mote_real rms_norm_scalar(const mote_real *x, const mote_real *gain, int n, mote_real epsilon, mote_real *y) {
    double squares = 0;
    for (int i = 0; i < n; i++) squares += (double)x[i] * (double)x[i];
    mote_real inverse = (mote_real)(1 / sqrt(squares / n + (double)epsilon));
    for (int i = 0; i < n; i++) y[i] = x[i] * inverse * gain[i];
    return inverse;
}

/* y_i = x_i r g_i with r = (mean x^2 + eps)^-1/2, so dx_i = r (g_i dy_i - x_i r^2 mean(g dy x)). */
static void rms_norm_backward_scalar(const mote_real *dy, const mote_real *x, const mote_real *gain,
                                     mote_real rms_inverse, int n, mote_real *dx, bool add) {
    double along = 0;
    for (int i = 0; i < n; i++) along += (double)dy[i] * (double)gain[i] * (double)x[i];
    mote_real shift = (mote_real)((double)rms_inverse * (double)rms_inverse * along / n);
    for (int i = 0; i < n; i++) {
        mote_real gradient = rms_inverse * (dy[i] * gain[i] - x[i] * shift);
        dx[i] = add ? dx[i] + gradient : gradient;
    }
}

static void layer_norm_scalar(const mote_real *x, const mote_real *gain, const mote_real *bias, int n,
                              mote_real epsilon, mote_real *y, mote_real stats[2]) {
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++) sum += (double)x[i];
    double mean = sum / n;
    for (int i = 0; i < n; i++) squares += ((double)x[i] - mean) * ((double)x[i] - mean);
    stats[0] = (mote_real)mean;
    stats[1] = (mote_real)(1 / sqrt(squares / n + (double)epsilon));
    for (int i = 0; i < n; i++) {
        mote_real normal = (x[i] - stats[0]) * stats[1];
        y[i] = bias ? mote_fused(normal, gain[i], bias[i]) : normal * gain[i];
    }
}

/* With h = (x - mean) / deviation: dx = (g dy - mean(g dy) - h mean(g dy h)) / deviation. */
static void layer_norm_backward_scalar(const mote_real *dy, const mote_real *x, const mote_real *gain,
                                       const mote_real stats[2], int n, mote_real *dx, bool add) {
    double sum = 0, along = 0;
    for (int i = 0; i < n; i++) {
        double gradient = (double)dy[i] * (double)gain[i];
        sum += gradient;
        along += gradient * ((double)x[i] - (double)stats[0]) * (double)stats[1];
    }
    mote_real mean = (mote_real)(sum / n), slope = (mote_real)(along / n);
    for (int i = 0; i < n; i++) {
        mote_real normal = (x[i] - stats[0]) * stats[1];
        mote_real gradient = stats[1] * (dy[i] * gain[i] - mean - normal * slope);
        dx[i] = add ? dx[i] + gradient : gradient;
    }
}

static void norm_gain_backward_scalar(const mote_real *dy, const mote_real *x, mote_real mean, mote_real inverse, int n,
                                      mote_real *dgain) {
    for (int i = 0; i < n; i++) dgain[i] = mote_fused(dy[i], (x[i] - mean) * inverse, dgain[i]);
}

/* The keys of row r: where they begin, from `*low` on; the rest of the row becomes zero. */
static mote_real *keys_of(const mote_softmax *s, mote_real *rows, int r, int *n) {
    mote_real *x = rows + (size_t)r * s->scores_row;
    int low = s->low + r * s->step > 0 ? s->low + r * s->step : 0, high = s->high + r * s->step;
    for (int i = 0; i < s->width; i++) x[i] = i < low || i >= high ? 0 : x[i];
    *n = high - low;
    return x + low;
}

static void softmax_scalar(const mote_softmax *s) {
    for (int r = 0, n; r < s->rows; r++) {
        mote_real *x = keys_of(s, s->scores, r, &n), largest = s->scale * x[0];
        for (int i = 1; i < n; i++) largest = s->scale * x[i] > largest ? s->scale * x[i] : largest;
        double sum = 0;
        for (int i = 0; i < n; i++) {
            x[i] = mote_exp(mote_fused(s->scale, x[i], -largest));
            sum += (double)x[i];
        }
        mote_real inverse = (mote_real)(1 / sum);
        for (int i = 0; i < n; i++) x[i] *= inverse;
        if (s->log_sum) s->log_sum[(size_t)r * s->log_sum_row] = (mote_real)((double)largest + log(sum));
    }
}

static void softmax_backward_scalar(const mote_softmax_backward *b) {
    const mote_softmax *s = &b->of;
    for (int r = 0, n; r < s->rows; r++) {
        mote_real *p = keys_of(s, s->scores, r, &n), *dp = keys_of(s, b->dp, r, &n);
        const mote_real *y = b->y + (size_t)r * b->y_row, *dy = b->dy + (size_t)r * b->y_row;
        double delta = 0;
        for (int i = 0; i < b->columns; i++) delta += (double)y[i] * (double)dy[i];
        for (int i = 0; i < n; i++) {
            p[i] = mote_exp(mote_fused(s->scale, p[i], -s->log_sum[(size_t)r * s->log_sum_row]));
            dp[i] = s->scale * p[i] * (dp[i] - (mote_real)delta);
        }
    }
}

/* One query: scores, probabilities, and the sum of values weighed by them. */
static void attend_one(const mote_attend *a, const mote_real *q, const mote_real *keys, const mote_real *values,
                       mote_real *y) {
    for (int j = a->low; j < a->high; j++) {
        const mote_real *key = keys + (size_t)(j / MOTE_PANEL * a->columns) * MOTE_PANEL + j % MOTE_PANEL;
        mote_real sum = 0;
        for (int i = 0; i < a->columns; i++) sum = mote_fused(q[i], key[i * MOTE_PANEL], sum);
        a->scores[j] = sum;
    }
    mote_softmax s = {.scores = a->scores, .rows = 1, .width = a->high, .low = a->low, .high = a->high,
                      .scale = a->scale};
    softmax_scalar(&s);
    for (int i = 0; i < a->columns; i++) {
        mote_real sum = 0;
        for (int j = a->low; j < a->high; j++)
            sum = mote_fused(a->scores[j], values[(size_t)j * a->value_row + (size_t)i], sum);
        y[i] = sum;
    }
}

static void attend_scalar(const mote_attend *a) {
    for (int r = 0; r < a->heads * a->group; r++) {
        size_t head = (size_t)(r / a->group), at = (size_t)r * (size_t)a->columns;
        attend_one(a, a->q + at, a->keys + head * a->keys_head, a->values + head * a->values_head, a->y + at);
    }
}

static void rope_scalar(const mote_real *x, const mote_real *cosine_sine, int head_dim, bool halves, bool backward,
                        bool add, mote_real *y) {
    for (int i = 0; i < head_dim / 2; i++) {
        int first = halves ? i : 2 * i, second = halves ? i + head_dim / 2 : 2 * i + 1;
        mote_real cosine = cosine_sine[2 * i], sine = backward ? -cosine_sine[2 * i + 1] : cosine_sine[2 * i + 1];
        mote_real a = mote_fused(x[first], cosine, x[second] * -sine);
        mote_real b = mote_fused(x[second], cosine, x[first] * sine);
        y[first] = add ? y[first] + a : a;
        y[second] = add ? y[second] + b : b;
    }
}

static double cross_entropy_scalar(mote_real *logits, int n, int target, mote_real scale, bool gradient,
                                   bool *correct) {
    int best = 0;
    for (int i = 1; i < n; i++) best = logits[i] > logits[best] ? i : best;
    mote_real largest = logits[best], wanted = logits[target];
    *correct = best == target && wanted == wanted;
    double sum = 0;
    for (int i = 0; i < n; i++) {
        mote_real e = mote_exp(logits[i] - largest);
        if (gradient) logits[i] = e;
        sum += (double)e;
    }
    if (gradient) {
        mote_real share = (mote_real)((double)scale / sum);
        for (int i = 0; i < n; i++) logits[i] *= share;
        logits[target] -= scale;
    }
    return log(sum) + (double)largest - (double)wanted;
}

void mote_kernels_fill_rows_scalar(mote_kernels *table) {
    table->rms_norm = rms_norm_scalar;
    table->rms_norm_backward = rms_norm_backward_scalar;
    table->layer_norm = layer_norm_scalar;
    table->layer_norm_backward = layer_norm_backward_scalar;
    table->norm_gain_backward = norm_gain_backward_scalar;
    table->softmax = softmax_scalar;
    table->softmax_backward = softmax_backward_scalar;
    table->attend = attend_scalar;
    table->rope = rope_scalar;
    table->cross_entropy = cross_entropy_scalar;
}
