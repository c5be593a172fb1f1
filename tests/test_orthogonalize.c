/* Muon's orthogonalization against the direct form in double: shapes of all kinds, bad spectra, teams of threads. */
#include "test.h"

#include "base/memory.h"
#include "base/random.h"
#include "orthogonal.h"
#include "train/orthogonalize.h"

static mote_random randomness;

static double *random_matrix(int rows, int cols) {
    double *x = malloc(sizeof(double) * (size_t)rows * (size_t)cols);
    for (int i = 0; i < rows * cols; i++) x[i] = mote_random_normal(&randomness);
    return x;
}

/* Orthonormal rows, at most as many as columns. */
static double *orthonormal(int rows, int cols) {
    double *q = random_matrix(rows, cols);
    for (int r = 0; r < rows; r++)
        for (int pass = 0; pass < 2; pass++) {
            for (int s = 0; s < r; s++) {
                double dot = 0;
                for (int i = 0; i < cols; i++) dot += q[r * cols + i] * q[s * cols + i];
                for (int i = 0; i < cols; i++) q[r * cols + i] -= dot * q[s * cols + i];
            }
            double norm = sqrt(sum_of_squares(q + r * cols, cols));
            for (int i = 0; i < cols; i++) q[r * cols + i] /= norm;
        }
    return q;
}

typedef struct {
    double *x, *u, *v; /* [rows, cols]; singular vectors as rows */
    double *sigma;
    int rows, cols, n;
} spectrum;

static spectrum with_spectrum(int rows, int cols, double (*sigma)(int i, int n)) {
    int n = rows < cols ? rows : cols;
    spectrum s = {calloc((size_t)rows * (size_t)cols, 8), orthonormal(n, rows), orthonormal(n, cols),
                  calloc((size_t)n, 8), rows, cols, n};
    for (int k = 0; k < n; k++) {
        s.sigma[k] = sigma(k, n);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < cols; j++) s.x[i * cols + j] += s.sigma[k] * s.u[k * rows + i] * s.v[k * cols + j];
    }
    return s;
}

static void spectrum_free(spectrum *s) {
    free(s->x), free(s->u), free(s->v), free(s->sigma);
}

/* ---- the code under test, by some threads */

typedef struct {
    const double *x;
    mote_real *y;
    int rows, cols;
    uint8_t *memory;
    mote_pool *pool;
} task;

static void work(void *context, int thread, int n_threads) {
    const task *t = context;
    const mote_kernels *k = mote_kernels_get();
    const mote_team team = {t->pool, thread, n_threads};
    mote_orthogonal o;
    mote_orthogonal_lay(&o, t->rows, t->cols, &team, t->memory);
    const int first = thread * MOTE_ORTHOGONAL_ROWS, stride = n_threads * MOTE_ORTHOGONAL_ROWS;
    for (int begin = first; begin < t->rows; begin += stride)
        for (int r = begin; r < t->rows && r < begin + MOTE_ORTHOGONAL_ROWS; r++) {
            mote_real *row = o.x + (size_t)r * o.x_row;
            for (int c = 0; c < t->cols; c++) row[c] = (mote_real)t->x[r * t->cols + c];
            o.sums[r] = k->dot(row, row, (size_t)t->cols);
        }
    mote_orthogonal_solve(k, &o, &team);
    for (int begin = first; begin < t->rows; begin += stride) {
        int end = begin + MOTE_ORTHOGONAL_ROWS < t->rows ? begin + MOTE_ORTHOGONAL_ROWS : t->rows;
        mote_orthogonal_rows(k, &o, begin, end);
        for (int r = begin; r < end; r++)
            for (int c = 0; c < t->cols; c++)
                t->y[r * t->cols + c] = (mote_real)o.scale * o.part[(size_t)(r - begin) * o.x_row + (size_t)c];
    }
}

/* Memory begins as NaN and ends at a guard: nothing that was not written may count, and nothing outside be touched. */
static mote_real *orthogonal(const double *x, int rows, int cols, int threads) {
    enum { GUARD = 256 };
    mote_orthogonal o;
    const mote_team team = {NULL, 0, threads};
    size_t bytes = mote_orthogonal_lay(&o, rows, cols, &team, NULL);
    task t = {.x = x, .y = calloc((size_t)rows * (size_t)cols, sizeof(mote_real)), .rows = rows, .cols = cols};
    uint8_t *memory = mote_allocate(bytes + GUARD);
    t.memory = memory;
    memset(t.memory, 0xff, bytes + GUARD);
    mote_error error = {0};
    CHECK(mote_pool_create(threads, &t.pool, &error) == MOTE_OK, "%s", error.message);
    mote_pool_run(t.pool, work, &t);
    mote_pool_destroy(t.pool);
    for (int i = 0; i < GUARD; i++) CHECK(memory[bytes + (size_t)i] == 0xff, "%d x %d: byte %d behind", rows, cols, i);
    mote_release(memory);
    return t.y;
}

/* -> the largest difference from the reference, over the root mean square of the reference */
static double difference(const double *x, int rows, int cols) {
    int n = rows * cols;
    double *want = malloc(sizeof(double) * (size_t)n), worst = 0;
    for (int i = 0; i < n; i++) want[i] = (double)(mote_real)x[i];
    orthogonal_reference(want, rows, cols);
    mote_real *got = orthogonal(x, rows, cols, 1);
    double rms = sqrt(sum_of_squares(want, n) / n);
    for (int i = 0; i < n; i++) {
        double off = fabs((double)got[i] - want[i]);
        if (!(off <= worst)) worst = off;
    }
    free(want), free(got);
    return worst / rms;
}

/* ---- spectra */

static double all_equal(int i, int n) { return (void)i, (void)n, 1; }
static double down_to_a_millionth(int i, int n) { return pow(10, -6.0 * i / (n > 1 ? n - 1 : 1)); }
static double a_third_of_the_rank(int i, int n) { return 3 * i < n ? 1 + i % 3 : 0; }
static double one_alone(int i, int n) { return (void)n, i == 0; }
static double one_far_above(int i, int n) { return (void)n, i == 0 ? 1 : 0.02; }

static const struct {
    const char *name;
    double (*sigma)(int i, int n);
} spectra[] = {{"all equal", all_equal},
               {"down to a millionth", down_to_a_millionth},
               {"a third of the rank", a_third_of_the_rank},
               {"one alone", one_alone},
               {"one far above", one_far_above}};
enum { N_SPECTRA = sizeof spectra / sizeof *spectra };

static const int shapes[][2] = {{1, 1},    {1, 9},   {9, 1},   {2, 2},    {2, 5},    {5, 2},   {3, 70},
                                {70, 3},   {16, 16}, {17, 33}, {33, 17},  {48, 48},  {47, 50}, {64, 256},
                                {256, 64}, {65, 97}, {97, 65}, {100, 99}, {128, 40}, {40, 531}};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

/* In f32 the worst of these are off by 3e-4 (random, square) and 5e-3 of the root mean square (one singular value
 * alone: 40 x 531 values of 0.007, off by 4e-5 where the largest singular value of the result is 1). */
static void random_matrices_match_the_direct_form(void) {
    for (int i = 0; i < N_SHAPES; i++) {
        double *x = random_matrix(shapes[i][0], shapes[i][1]), off = difference(x, shapes[i][0], shapes[i][1]);
        CHECK(off < 1e-3, "%d x %d: off by %g", shapes[i][0], shapes[i][1], off);
        free(x);
    }
}

static void bad_spectra_match_the_direct_form(void) {
    for (int k = 0; k < N_SPECTRA; k++)
        for (int i = 0; i < N_SHAPES; i++) {
            spectrum s = with_spectrum(shapes[i][0], shapes[i][1], spectra[k].sigma);
            double off = difference(s.x, s.rows, s.cols);
            CHECK(off < 1e-2, "%s, %d x %d: off by %g", spectra[k].name, s.rows, s.cols, off);
            spectrum_free(&s);
        }
}

/* Singular values above 2 % of the largest end at 0.62 to 1.16, smaller ones do not pass that, none changes its sign,
 * and what was nothing stays nothing. */
static void singular_values_go_to_one(void) {
    for (int k = 0; k < N_SPECTRA; k++)
        for (int i = 0; i < N_SHAPES; i++) {
            spectrum s = with_spectrum(shapes[i][0], shapes[i][1], spectra[k].sigma);
            mote_real *y = orthogonal(s.x, s.rows, s.cols, 1);
            for (int n = 0; n < s.n; n++) {
                double got = 0;
                for (int r = 0; r < s.rows; r++)
                    for (int c = 0; c < s.cols; c++)
                        got += s.u[n * s.rows + r] * (double)y[r * s.cols + c] * s.v[n * s.cols + c];
                CHECK(got < 1.16 && got > (s.sigma[n] < 0.02 * s.sigma[0] ? -1e-4 : 0.62) &&
                          got < 110 * s.sigma[n] + 1e-4,
                      "%s, %d x %d: %g became %g", spectra[k].name, s.rows, s.cols, s.sigma[n], got);
            }
            free(y);
            spectrum_free(&s);
        }
}

/* Gradients may be of any size; what is next to nothing gives next to nothing, zero gives zero. */
static void size_does_not_matter_until_it_vanishes(void) {
    const int rows = 40, cols = 72, n = rows * cols;
    double *x = random_matrix(rows, cols), *scaled = malloc(sizeof(double) * (size_t)n);
    mote_real *usual = orthogonal(x, rows, cols, 1);
    const double sizes[] = {1e15, 1e4, 1e-4, 1e-12, 0};
    for (int k = 0; k < 5; k++) {
        for (int i = 0; i < n; i++) scaled[i] = sizes[k] * x[i];
        mote_real *y = orthogonal(scaled, rows, cols, 1);
        double off = 0, most = 0;
        for (int i = 0; i < n; i++) {
            off = fmax(off, fabs((double)y[i] - (double)usual[i]));
            most = fmax(most, fabs((double)y[i]));
            CHECK(isfinite((double)y[i]), "%g", sizes[k]);
        }
        if (sizes[k] > 1e-5) CHECK(off < 1e-2, "%g: off by %g", sizes[k], off); /* 1e-7 of the norm is added to it */
        else if (sizes[k] > 0) CHECK(most < 0.05, "%g: %g", sizes[k], most);
        else CHECK(most == 0, "%g", most);
        free(y);
    }
    free(x), free(scaled), free(usual);
}

static void threads_do_not_change_bits(void) {
    for (int i = 0; i < N_SHAPES; i++) {
        int rows = shapes[i][0], cols = shapes[i][1];
        double *x = random_matrix(rows, cols);
        mote_real *alone = orthogonal(x, rows, cols, 1);
        for (int threads = 2; threads <= 4; threads++) {
            mote_real *together = orthogonal(x, rows, cols, threads);
            CHECK(!memcmp(alone, together, (size_t)rows * (size_t)cols * sizeof *alone), "%d x %d, %d threads", rows,
                  cols, threads);
            free(together);
        }
        free(x), free(alone);
    }
}

int main(void) {
    mote_random_seed(&randomness, 11);
    RUN(random_matrices_match_the_direct_form);
    RUN(bad_spectra_match_the_direct_form);
    RUN(singular_values_go_to_one);
    RUN(size_does_not_matter_until_it_vanishes);
    RUN(threads_do_not_change_bits);
    return test_finish();
}
