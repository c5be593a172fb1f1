/* Searching the scale of a block. For given codes the best scale is a quotient of sums (least squares), so a search
 * tries codings: those of scales near the one that maps the largest value to the end of the range. Each coding is worth
 * (sum w x q)^2 / sum w q^2, what it takes off the error. */
#include "quant/block_codec.h"

enum { STEPS = 12 };

static float weight_of(const float *importance, int i) { return importance ? importance[i] : 1; }

float mote_search_scale(const float *values, const float *importance, int n, int low, int high) {
    const float most = mote_largest(values, (size_t)n), end = (float)(-low > high ? -low : high);
    /* From 0.55 (a few codes: outliers are cut) or 0.92 (many codes) of the range's end to a step beyond it. */
    const float first = end > 16 ? 0.92f * end : 0.55f * end, step = (end + 0.6f - first) / (STEPS - 1);
    const int signs = -low == high ? 1 : 2;
    float best = 0, best_worth = 0;
    for (int trial = 0; trial < STEPS * signs; trial++) {
        float inverse = (first + step * (float)(trial / signs)) * mote_inverse(most);
        if (trial % signs) inverse = -inverse;
        float products = 0, squares = 0;
        for (int i = 0; i < n; i++) {
            const float code = (float)mote_nearest(values[i] * inverse, low, high);
            const float weighted = weight_of(importance, i) * code;
            products += weighted * values[i];
            squares += weighted * code;
        }
        if (squares > 0 && products * products > best_worth * squares) {
            best_worth = products * products / squares;
            best = products / squares;
        }
    }
    return best != 0 ? best : most / end; /* nothing that counts is left: a scale that covers the values */
}

typedef struct {
    float w, x, q, qq, xq; /* weighted sums */
} sums;

static float affine_error(const float *values, const float *importance, int n, int high, float d, float m) {
    float error = 0, inverse = mote_inverse(d);
    for (int i = 0; i < n; i++) {
        float difference = values[i] - m - d * (float)mote_nearest((values[i] - m) * inverse, 0, high);
        error += weight_of(importance, i) * difference * difference;
    }
    return error;
}

void mote_search_affine(const float *values, const float *importance, int n, int high, float most_m, float *d,
                        float *m) {
    float low = most_m, top = values[0];
    for (int i = 0; i < n; i++) {
        low = values[i] < low ? values[i] : low;
        top = values[i] > top ? values[i] : top;
    }
    if (!isfinite(low)) low = 0;
    float range = top > low ? top - low : 0;
    *m = low;
    *d = range / (float)high;
    float best = affine_error(values, importance, n, high, *d, *m);
    for (int trial = 0; trial < STEPS && range > 0; trial++) {
        float inverse = ((float)high - 1 + 0.18f * (float)trial * (float)(high > 7 ? 1 : high) / 7) / range;
        sums s = {0};
        for (int i = 0; i < n; i++) {
            float w = weight_of(importance, i), q = (float)mote_nearest((values[i] - low) * inverse, 0, high);
            s.w += w, s.x += w * values[i], s.q += w * q, s.qq += w * q * q, s.xq += w * values[i] * q;
        }
        float determinant = s.w * s.qq - s.q * s.q;
        if (!(determinant > 0)) continue;
        float slope = (s.w * s.xq - s.x * s.q) / determinant, offset = (s.qq * s.x - s.q * s.xq) / determinant;
        if (offset > most_m) {
            offset = most_m;
            slope = s.qq > 0 ? (s.xq - most_m * s.q) / s.qq : 0;
        }
        float error = affine_error(values, importance, n, high, slope, offset);
        if (slope > 0 && error < best) best = error, *d = slope, *m = offset;
    }
}
