/* Products of matrices as they lie, cut over threads: every element is the ascending chain of fused multiply-adds that
 * a plain loop makes of it, bit for bit, with any number of threads and of chunks; nothing beside the result changes.
 */
#include "kernels/matrix_product.h"

#include "base/memory.h"
#include "test.h"

typedef struct {
    int rows, columns, depth;
    bool a_transposed, b_transposed, adds;
} shape;

enum { PAD = 3 }; /* values beyond each row of C that must stay */

static mote_real *numbers(size_t n, uint32_t state) {
    mote_real *values = mote_allocate_zero(n + 1, sizeof *values);
    for (size_t i = 0; values && i < n; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (mote_real)((double)(state >> 8) * 0x1p-23 - 1);
    }
    return values;
}

static mote_real fused(mote_real a, mote_real b, mote_real c) {
    return sizeof(mote_real) == sizeof(float) ? (mote_real)fmaf((float)a, (float)b, (float)c)
                                              : (mote_real)fma((double)a, (double)b, (double)c);
}

static void check_shape(const mote_kernels *kernels, const shape *s) {
    const size_t m = (size_t)s->rows, n = (size_t)s->columns, k = (size_t)s->depth, c_row = n + PAD;
    mote_real *a = numbers(m * k, 1), *b = numbers(k * n, 2), *before = numbers(m * c_row, 3),
              *expected = numbers(m * c_row, 3),
              *c = numbers(m * c_row, 3), *scratch = mote_allocate_zero(MOTE_MATRIX_PRODUCT_SCRATCH, sizeof *scratch);
    CHECK(a && b && before && expected && c && scratch);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            mote_real sum = s->adds ? before[i * c_row + j] : 0;
            for (size_t l = 0; l < k; l++)
                sum =
                    fused(a[s->a_transposed ? l * m + i : i * k + l], b[s->b_transposed ? j * k + l : l * n + j], sum);
            expected[i * c_row + j] = sum;
        }
    }
    for (int threads = 1; threads <= 6; threads++) {
        const mote_matrix_product product = {.rows = s->rows, .columns = s->columns, .depth = s->depth, .a = a,
                                             .a_row = s->a_transposed ? 1 : k, .a_depth = s->a_transposed ? m : 1,
                                             .b = b, .b_row = s->b_transposed ? k : n, .b_transposed = s->b_transposed,
                                             .c = c, .c_row = c_row, .adds = s->adds};
        memcpy(c, before, m * c_row * sizeof *c);
        for (int thread = threads - 1; thread >= 0; thread--)
            mote_matrix_product_part(kernels, &product, thread, threads, scratch);
        size_t wrong = 0;
        for (size_t i = 0; i < m * c_row; i++) wrong += memcmp(&c[i], &expected[i], sizeof *c) != 0;
        CHECK(wrong == 0, "%d x %d x %d, %d threads: %zu values", s->rows, s->columns, s->depth, threads, wrong);
    }
    mote_release(a), mote_release(b), mote_release(before), mote_release(expected), mote_release(c);
    mote_release(scratch);
}

static void every_form_and_cut(void) {
    static const int sizes[][3] = {{1, 1, 1},    {5, 17, 3},    {12, 32, 16},  {64, 48, 33},
                                   {97, 131, 70}, {40, 700, 130}, {700, 67, 60}, {13, 35, 2500}};
    mote_kernels kernels;
    mote_kernels_fill(&kernels, mote_cpu_detect());
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int form = 0; form < 8; form++) {
            const shape s = {sizes[i][0], sizes[i][1], sizes[i][2], form & 1, form & 2, form & 4};
            check_shape(&kernels, &s);
        }
    }
}

static void nothing_to_multiply_is_zero(void) {
    mote_kernels kernels;
    mote_kernels_fill(&kernels, mote_cpu_detect());
    const shape s = {7, 40, 0, false, true, false}, empty = {0, 0, 4, false, true, false};
    check_shape(&kernels, &s);
    check_shape(&kernels, &empty);
}

int main(void) {
    RUN(every_form_and_cut);
    RUN(nothing_to_multiply_is_zero);
    return test_finish();
}
