/* Products by a BLAS library: what is none is refused; the bridge against a plain loop in its place; a training run
 * with every product by it stays close to one without. The last also with OpenBLAS where it is installed. */
#include "kernels/crossover.h"
#include "mote/mote.h"
#include "test.h"
#include "train/trainer.h"

static int calls;

/* What cblas_sgemm is asked for here, done plainly: row-major, alpha 1, beta 0 or 1. */
static void plain_gemm(int order, int ta, int tb, int m, int n, int k, mote_real alpha, const mote_real *a, int a_row,
                       const mote_real *b, int b_row, mote_real beta, mote_real *c, int c_row) {
    __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
    if (order != 101 || alpha != 1) return;
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
            double sum = beta == 0 ? 0 : (double)c[(size_t)i * (size_t)c_row + (size_t)j];
            for (int l = k - 1; l >= 0; l--) { /* another order than mote's */
                size_t ai = ta == 112 ? (size_t)l * (size_t)a_row + (size_t)i : (size_t)i * (size_t)a_row + (size_t)l;
                size_t bi = tb == 112 ? (size_t)j * (size_t)b_row + (size_t)l : (size_t)l * (size_t)b_row + (size_t)j;
                sum += (double)a[ai] * (double)b[bi];
            }
            c[(size_t)i * (size_t)c_row + (size_t)j] = (mote_real)sum;
        }
    }
}
static const mote_blas plain = {.gemm = plain_gemm, .name = "a plain loop"};

static void what_is_no_blas_is_refused(void) {
    mote_blas *blas = NULL;
    mote_error error = {0};
    CHECK(mote_blas_open("tests/data/no-such-library.so", &blas, &error) == MOTE_IO);
    CHECK(!blas && strstr(error.message, "no-such-library.so") && error.hint[0], "%s", error.message);
    mote_status status = mote_blas_open("libm.so.6", &blas, &error);
    CHECK(status != MOTE_OK && !blas && strstr(error.message, "libm.so.6"), "%s", error.message);
    CHECK(mote_blas_open("tests/test_blas.c", &blas, &error) == MOTE_IO && !blas, "%s", error.message);
    CHECK(mote_blas_open(NULL, NULL, &error) == MOTE_USAGE);
    mote_blas_close(NULL);
}

static void check_form(mote_product_form form, mote_pool *pool) {
    mote_kernels kernels;
    mote_kernels_fill(&kernels, mote_cpu_detect());
    const int rows = form == MOTE_PRODUCT_WEIGHT ? 29 : 37, units = (rows + 11) / 12;
    const mote_shape shape = {form, 37, 29, 21, 1, {rows, 12, units, units}};
    mote_rehearsal *r = NULL;
    CHECK(mote_rehearsal_create(&kernels, pool, &shape, &r, NULL) == MOTE_OK);
    if (!r) return;
    size_t n = form == MOTE_PRODUCT_FORWARD ? 37 * 29 : form == MOTE_PRODUCT_INPUT ? 37 * 21 : 29 * 21;
    mote_real *result = form == MOTE_PRODUCT_FORWARD ? r->y : form == MOTE_PRODUCT_INPUT ? r->x : r->w, before[37 * 29];
    for (size_t i = 0; form == MOTE_PRODUCT_WEIGHT && i < 37 * 29; i++) r->y[i] = (mote_real)(i % 7) - 3;
    memcpy(before, result, n * sizeof *before);
    mote_rehearsal_run(r, NULL);
    mote_real ours[37 * 29];
    memcpy(ours, result, n * sizeof *ours);
    memcpy(result, before, n * sizeof *before);
    calls = 0;
    mote_rehearsal_run(r, &plain);
    CHECK(calls == (form == MOTE_PRODUCT_WEIGHT ? 3 : 4), "%d calls", calls);
    double worst = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)(ours[i] - result[i])));
        largest = fmax(largest, fabs((double)(ours[i] - before[i])));
    }
    CHECK(worst < 1e-4 && largest > 0.1, "form %d: differs by %g, changed by %g", form, worst, largest);
    mote_rehearsal_destroy(r);
}

static void the_bridge_multiplies_all_forms(void) {
    mote_pool *pool;
    CHECK(mote_pool_create(2, &pool, NULL) == MOTE_OK);
    for (int form = 0; form < 3; form++) check_form((mote_product_form)form, pool);
    mote_pool_destroy(pool);
}

/* Start and bias, apart and together, before the sum. */
static void the_bridge_starts_where_gemm_does(void) {
    const mote_real a[2] = {2, 3}, b[2] = {5, 7}, start[4] = {100, 200, 300, 400}, bias[2] = {10, 20};
    mote_real c[4];
    mote_gemm g = {.rows = 2, .columns = 2, .depth = 1, .a = a, .a_row = 1, .a_depth = 1, .c = c, .c_row = 2};
    const mote_blas_matrix whole = {b, 2, false};
    for (int i = 0; i < 4; i++) {
        g.start = i & 1 ? start : NULL;
        g.start_row = 2;
        g.bias = i & 2 ? bias : NULL;
        for (int j = 0; j < 4; j++) c[j] = 1e6f;
        mote_blas_product(&plain, &g, &whole);
        for (int j = 0; j < 4; j++) {
            mote_real wanted = a[j / 2] * b[j % 2] + (g.start ? start[j] : 0) + (g.bias ? bias[j % 2] : 0);
            CHECK(c[j] == wanted, "start and bias %d, value %d: %g, not %g", i, j, (double)c[j], (double)wanted);
        }
    }
}

/* Losses of a few steps; gpt2 has biases, a residual and a tied head. */
static void train(const mote_blas *blas, double least_gain, int threads, double losses[4], char line[256]) {
    mote_config config = mote_config_default(MOTE_FAMILY_GPT2);
    config.vocab = 67, config.dim = 32, config.layers = 2, config.heads = 2, config.context = 24, config.tied = true;
    mote_train_options options = mote_train_options_default();
    options.batch = 5, options.steps = 4, options.threads = threads, options.seed = 3;
    mote_model *model = NULL;
    mote_trainer *trainer = NULL;
    mote_error error = {0};
    mote_status status = mote_config_complete(&config, &error);
    if (!status) status = mote_model_create(&config, NULL, 3, &model, &error);
    if (!status) status = mote_trainer_create(model, NULL, &options, &trainer, &error);
    char *report = NULL;
    if (!status && blas) status = mote_trainer_use_blas(trainer, blas, least_gain, &report, &error);
    CHECK(!status, "%s", error.message);
    *line = 0;
    if (report) { /* the last line */
        size_t end = strlen(report) - 1;
        report[end] = 0;
        const char *last = strrchr(report, '\n');
        snprintf(line, 256, "%s", last ? last + 1 : report);
    }
    mote_free(report);
    for (int i = 0; i < 4; i++) {
        mote_step_report step = {0};
        CHECK(!status && mote_trainer_step(trainer, &step, &error) == MOTE_OK, "%s", error.message);
        losses[i] = step.loss;
    }
    mote_trainer_destroy(trainer);
    mote_model_close(model);
}

static void check_training(const mote_blas *blas, double least_gain) {
    double ours[4], theirs[4], again[4];
    char line[256];
    train(NULL, 0, 2, ours, line);
    CHECK(!*line);
    train(blas, least_gain, 2, theirs, line);
    CHECK(strstr(line, mote_blas_name(blas)) != NULL, "%s", line);
    for (int i = 0; i < 4; i++)
        CHECK(fabs(ours[i] - theirs[i]) < 1e-4, "step %d: %.9g and %.9g", i, ours[i], theirs[i]);
    if (least_gain > 0) return; /* what is faster by a hair may differ from one measurement to the next */
    CHECK(strstr(line, "27 of 27 products") != NULL, "%s", line);
    train(blas, least_gain, 2, again, line);
    CHECK(memcmp(theirs, again, sizeof again) == 0, "a second run has other losses");
}

static void training_stays_close(void) {
    calls = 0;
    check_training(&plain, 0);
    CHECK(calls > 27, "%d calls", calls);
}

static void what_is_slower_is_not_used(void) {
    double losses[4], ours[4];
    char line[256];
    train(NULL, 0, 1, ours, line);
    train(&plain, 1.05, 1, losses, line);
    CHECK(strncmp(line, "0 of 27 products", 16) == 0, "%s", line);
    CHECK(memcmp(losses, ours, sizeof ours) == 0, "unused, and yet the losses differ");
}

static void products_in_8_bits_are_not_handed_over(void) {
    mote_config config = mote_config_default(MOTE_FAMILY_LLAMA);
    config.vocab = 40, config.dim = 32, config.layers = 1, config.heads = 2, config.context = 32;
    mote_train_options options = mote_train_options_default();
    options.batch = 2, options.steps = 1, options.threads = 1, options.precision = MOTE_PRECISION_INT8;
    mote_model *model = NULL;
    mote_trainer *trainer = NULL;
    mote_error error = {0};
    char *report = NULL;
    CHECK(!mote_config_complete(&config, &error) && !mote_model_create(&config, NULL, 1, &model, &error) &&
              !mote_trainer_create(model, NULL, &options, &trainer, &error),
          "%s", error.message);
    CHECK(trainer && mote_trainer_use_blas(trainer, &plain, 0, &report, &error) == MOTE_USAGE && !report);
    CHECK(error.hint[0] && strstr(error.message, "int8"), "%s", error.message);
    mote_trainer_destroy(trainer);
    mote_model_close(model);
}

static void openblas_trains_too(void) {
    mote_blas *blas;
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    if (mote_blas_open(NULL, &blas, NULL)) {
        test_skip("no BLAS library is installed");
        return;
    }
    check_training(blas, 0);
    check_training(blas, 1.05);
    mote_blas_close(blas);
}

static void the_table_has_its_rows(void) {
    static mote_crossover c;
    mote_error error = {0};
    char *json = NULL;
    CHECK(mote_crossover_measure(&plain, 1, 0.01, "attention", &c, &error) == MOTE_OK, "%s", error.message);
    CHECK(c.n_rows == 6 && c.threads == 1, "%d rows", c.n_rows);
    for (int i = 0; i < c.n_rows; i++)
        CHECK(c.rows[i].seconds > 0 && c.rows[i].seconds_packing > 0 && c.rows[i].blas_seconds > 0, "row %d", i);
    CHECK(mote_crossover_json(&c, NULL, &json, &error) == MOTE_OK && strstr(json, "\"blas\":null"), "%s",
          error.message);
    mote_free(json);
    CHECK(mote_crossover_measure(NULL, 1, 0.01, "no such class", &c, &error) == MOTE_USAGE && error.hint[0]);
    CHECK(mote_crossover_measure(NULL, 1, -1, NULL, &c, &error) == MOTE_USAGE);
}

int main(void) {
    RUN(what_is_no_blas_is_refused);
    RUN(the_bridge_multiplies_all_forms);
    RUN(the_bridge_starts_where_gemm_does);
    RUN(training_stays_close);
    RUN(what_is_slower_is_not_used);
    RUN(products_in_8_bits_are_not_handed_over);
    RUN(openblas_trains_too);
    RUN(the_table_has_its_rows);
    return test_finish();
}
