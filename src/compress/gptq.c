/* Error-compensated rounding (GPTQ, Frantar 2022). What a matrix loses is tr(E H E^T) with H the mean of x x^T of its
 * inputs. Columns are rounded in order; what the rounding of one does to the outputs is taken up by those to come, by
 * the rows of U with U^T U = H^-1. Rows of the matrix are independent, so that a thread takes some of them through all
 * columns: inside a block at once, beyond it by one product a block. */
#include <math.h>
#include <string.h>

#include "compress/compress.h"
#include "kernels/kernels.h"

/* H + damping = R R^T with R upper triangular, made from the last column to the first: then U = R^-1. R takes the upper
 * triangle of r; H is read from the lower one and from its diagonal apart, so that it can be tried again. */
static bool reverse_cholesky(mote_real *r, const float *diagonal, int n, double damping) {
    const mote_kernels *kernels = mote_kernels_get();
    const size_t row = (size_t)n;
    for (int j = n - 1; j >= 0; j--) {
        mote_real *rj = r + (size_t)j * row;
        const size_t rest = (size_t)(n - 1 - j);
        double pivot = (double)diagonal[j] + damping - kernels->dot(rj + j + 1, rj + j + 1, rest);
        if (!(pivot > 0) || !isfinite(pivot)) return false;
        pivot = sqrt(pivot);
        rj[j] = (mote_real)pivot;
        for (int i = 0; i < j; i++) {
            mote_real *ri = r + (size_t)i * row;
            double sum = (double)rj[i] - kernels->dot(ri + j + 1, rj + j + 1, rest);
            ri[j] = (mote_real)(sum / pivot);
        }
    }
    return true;
}

/* r -> r^-1 in place, row by row: row i of the inverse needs rows i and below of r. `sums`: n values. */
static void invert_upper(mote_real *r, int n, mote_real *sums) {
    const mote_kernels *kernels = mote_kernels_get();
    const size_t row = (size_t)n;
    for (int i = 0; i < n; i++) {
        mote_real *out = r + (size_t)i * row;
        for (int m = i; m < n; m++) sums[m] = m == i ? -1 : 0;
        for (int m = i; m < n; m++) {
            const mote_real *rm = r + (size_t)m * row;
            const mote_real u = -sums[m] / rm[m];
            kernels->add_scaled(u, rm + m + 1, sums + m + 1, (size_t)(n - 1 - m));
            sums[m] = u;
        }
        memset(out, 0, (size_t)i * sizeof *out);
        memcpy(out + i, sums + i, (size_t)(n - i) * sizeof *out);
    }
}

bool mote_gptq_factor(mote_real *gram, const float *diagonal, int n, double damping, mote_real *room) {
    double mean = 0;
    for (int i = 0; i < n; i++) mean += (double)diagonal[i] / n;
    if (!isfinite(mean)) return false;
    /* More where the rounding of the sums leaves a negative direction. */
    for (double part = damping; part <= 100; part *= 10) {
        if (!reverse_cholesky(gram, diagonal, n, mean > 0 ? part * mean : 1)) continue;
        invert_upper(gram, n, room);
        return true;
    }
    return false;
}

/* Row r of a tile: values w, the block [begin, end) of its columns; e takes the errors over U's diagonal, negated. */
static void round_block(const mote_rounding *k, int begin, int end, mote_real *w, mote_real *e, char *out) {
    const mote_kernels *kernels = mote_kernels_get();
    const mote_type_info *info = mote_type_get(k->type);
    const size_t cols = (size_t)k->cols, span = mote_scale_span(k->type, cols);
    float values[MOTE_GPTQ_BLOCK];
    for (int at = begin; at < end; at += info->code_values) {
        const mote_real *u0 = k->factor + (size_t)at * cols, *u1 = u0 + cols;
        if ((size_t)at % span == 0 && span <= MOTE_GPTQ_BLOCK) {
            size_t n = cols - (size_t)at < span ? cols - (size_t)at : span;
            for (size_t i = 0; i < n; i++) values[i] = (float)w[(size_t)at + i];
            mote_row_choose_scale(k->type, values, k->paid + at, n, out, (size_t)at);
        }
        const bool pair = info->code_values == 2 && at + 1 < k->cols;
        float v[2] = {(float)w[at], pair ? (float)w[at + 1] : 0}, metric[3] = {1, 0, 1}, dequantized[2] = {0, 0};
        if (pair) { /* e S e^T with S the inverse of the 2 x 2 block of U^T U, times u00^2 */
            const float ratio = (float)(u0[at + 1] / u1[at + 1]), size = (float)(u0[at] / u1[at + 1]);
            metric[0] = 1 + ratio * ratio, metric[1] = -ratio * size, metric[2] = size * size;
        }
        info->encode_group(out, (size_t)at, v, metric, dequantized);
        const mote_real z0 = -((mote_real)v[0] - (mote_real)dequantized[0]) / u0[at];
        e[at - begin] = z0;
        kernels->add_scaled(z0, u0 + at + 1, w + at + 1, (size_t)(end - at - 1));
        if (!pair) continue;
        const mote_real z1 = -(w[at + 1] - (mote_real)dequantized[1]) / u1[at + 1];
        e[at + 1 - begin] = z1;
        kernels->add_scaled(z1, u1 + at + 2, w + at + 2, (size_t)(end - at - 2));
    }
}

void mote_gptq_rows(const mote_rounding *k, int begin, int n, mote_real *room) {
    const size_t cols = (size_t)k->cols, row_bytes = mote_row_bytes(k->type, cols);
    const int block = mote_scale_span(k->type, cols) == MOTE_GPTQ_BLOCK ? MOTE_GPTQ_BLOCK : MOTE_GPTQ_BLOCK / 2;
    mote_real *w = room, *e = room + (size_t)n * cols;
    memcpy(w, k->values + (size_t)begin * cols, (size_t)n * cols * sizeof *w);
    for (int from = 0; from < k->cols; from += block) {
        const int end = from + block < k->cols ? from + block : k->cols;
        for (int r = 0; r < n; r++)
            round_block(k, from, end, w + (size_t)r * cols, e + (size_t)r * MOTE_GPTQ_BLOCK,
                        k->out + (size_t)(begin + r) * row_bytes);
        if (end == k->cols) break;
        mote_gemm g = {
            .rows = n,
            .columns = k->cols - end,
            .depth = end - from,
            .a = e,
            .a_row = MOTE_GPTQ_BLOCK,
            .a_depth = 1,
            .b = k->factor + (size_t)from * cols + end,
            .b_panel = MOTE_PANEL,
            .b_depth = cols,
            .c = w + end,
            .c_row = cols,
            .start = w + end,
            .start_row = cols,
        };
        mote_kernels_get()->gemm[MOTE_TYPE_F32](&g);
    }
}
