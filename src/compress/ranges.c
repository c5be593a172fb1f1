/* One scale for all values of an activation: 8-bit codes of a scale that stands cost a device no search for the largest
 * value. The largest ever seen wastes codes on what is rare, so the scale is the one with the least squared error over
 * the calibration's values: what is cut off beyond 127 steps, and the rounding of the rest. Values are kept as counts,
 * sums and squares by magnitude, from 2^-40 to 2^24 (smaller: as zeros; larger: in the last bin, with their sums). */
#include <math.h>
#include <string.h>

#include "compress/compress.h"

enum { BINS_AN_OCTAVE = 16, LOWEST = -40 };

void mote_range_add(mote_range_bin *bins, const mote_real *values, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const float magnitude = fabsf((float)values[i]);
        uint32_t bits;
        memcpy(&bits, &magnitude, sizeof bits);
        /* exponent and four bits of the mantissa, as a number */
        int bin = (int)(bits >> 19) - (127 + LOWEST) * BINS_AN_OCTAVE;
        bin = bin < 0 ? 0 : bin >= MOTE_RANGE_BINS ? MOTE_RANGE_BINS - 1 : bin;
        bins[bin].n++;
        bins[bin].sum += (double)magnitude;
        bins[bin].squares += (double)magnitude * (double)magnitude;
    }
}

/* Over the end: (x - 127 scale)^2. Within: a step's twelfth of a square, or x^2 where that is less than half a step. */
static double error_of(const mote_range_bin *bins, double scale) {
    const double end = 127 * scale;
    double error = 0;
    for (int i = 0; i < MOTE_RANGE_BINS; i++) {
        const mote_range_bin *b = &bins[i];
        if (!b->n) continue;
        const double n = (double)b->n, mean = b->sum / n;
        if (mean > end) error += b->squares - 2 * end * b->sum + n * end * end;
        else error += mean < scale / 2 ? b->squares : n * scale * scale / 12;
    }
    return error;
}

float mote_range_scale(const mote_range_bin *bins) {
    double best = 0, least = INFINITY;
    for (int i = MOTE_RANGE_BINS - 1; i > 0; i--) {
        if (!bins[i].n) continue;
        if (!isfinite(bins[i].squares)) return 0;
        /* ends from the largest bin seen down to an eighth of it */
        const double top = ldexp(1 + (i % BINS_AN_OCTAVE + 1) / (double)BINS_AN_OCTAVE, i / BINS_AN_OCTAVE + LOWEST);
        for (int step = 0; step <= 3 * BINS_AN_OCTAVE; step++) {
            const double scale = top / 127 * exp2(-step / (double)BINS_AN_OCTAVE), error = error_of(bins, scale);
            if (error < least) least = error, best = scale;
        }
        break;
    }
    return (float)best;
}
