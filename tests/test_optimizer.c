/* Schedules, the order of the data, and optimizers against formulas in double; bits for any number of threads. */
#include <stdint.h>

#include "test.h"

#include "base/random.h"
#include "models/model.h"
#include "orthogonal.h"
#include "train/data_order.h"
#include "train/optimizer.h"
#include "train/options.h"
#include "train/schedule.h"

/* ---- schedules */

static mote_train_options plan(mote_schedule schedule, int64_t steps, int64_t warmup) {
    mote_train_options o = mote_train_options_default();
    o.schedule = schedule;
    o.steps = steps;
    o.warmup = warmup;
    o.lr = 0.3;
    o.min_lr = 0.01;
    o.restarts = 3;
    o.decay_part = 0.25;
    return o;
}

static void near(double got, double want, const char *what, int64_t step) {
    CHECK(fabs(got - want) <= 1e-12, "%s step %lld: %.17g, not %.17g", what, (long long)step, got, want);
}

static void warmup_is_linear_and_reaches_lr(void) {
    for (int s = 0; s <= MOTE_SCHEDULE_WSD; s++) {
        mote_train_options o = plan((mote_schedule)s, 100, 9);
        for (int64_t i = 0; i < 9; i++) near(mote_schedule_lr(&o, i), 0.3 * (double)(i + 1) / 10, "warm-up", i);
        CHECK(mote_schedule_lr(&o, 9) == 0.3, "schedule %d", s);
    }
}

static void schedules_match_their_formulas(void) {
    for (int64_t i = 10; i < 110; i++) {
        double t = (double)(i - 10) / 99;
        mote_train_options o = plan(MOTE_SCHEDULE_CONSTANT, 110, 10);
        near(mote_schedule_lr(&o, i), 0.3, "constant", i);
        o.schedule = MOTE_SCHEDULE_LINEAR;
        near(mote_schedule_lr(&o, i), 0.01 + 0.29 * (1 - t), "linear", i);
        o.schedule = MOTE_SCHEDULE_COSINE;
        near(mote_schedule_lr(&o, i), 0.01 + 0.29 * 0.5 * (1 + cos(M_PI * t)), "cosine", i);
    }
    mote_train_options wsd = plan(MOTE_SCHEDULE_WSD, 100, 10); /* decays over steps 75 to 99 */
    for (int64_t i = 10; i < 100; i++)
        near(mote_schedule_lr(&wsd, i), i < 75 ? 0.3 : 0.01 + 0.29 * (1 - sqrt((double)(i - 74) / 25)), "wsd", i);
    mote_train_options cycles = plan(MOTE_SCHEDULE_COSINE_RESTARTS, 100, 10); /* three cycles of 30 */
    for (int64_t i = 10; i < 100; i++)
        near(mote_schedule_lr(&cycles, i), 0.01 + 0.29 * 0.5 * (1 + cos(M_PI * (double)((i - 10) % 30) / 29)),
             "restarts", i);
    CHECK(mote_schedule_lr(&cycles, 39) == 0.01 && mote_schedule_lr(&cycles, 40) == 0.3, "restart");
}

static void schedules_end_exactly_at_min_lr(void) {
    for (int64_t steps = 2; steps < 300; steps++) {
        for (int s = MOTE_SCHEDULE_LINEAR; s <= MOTE_SCHEDULE_WSD; s++) {
            mote_train_options o = plan((mote_schedule)s, steps, steps / 7);
            if (s == MOTE_SCHEDULE_WSD && steps * 0.25 < 1) continue; /* no step decays */
            if (steps - steps / 7 < 2 * (s == MOTE_SCHEDULE_COSINE_RESTARTS ? 3 : 1)) continue;
            CHECK(mote_schedule_lr(&o, steps - 1) == 0.01, "%s %lld: %g", mote_schedule_name(o.schedule),
                  (long long)steps, mote_schedule_lr(&o, steps - 1));
            CHECK(mote_schedule_lr(&o, steps + 5) == 0.01, "after the end");
            for (int64_t i = steps / 7; i < steps; i++)
                CHECK(mote_schedule_lr(&o, i) >= 0.01 - 1e-15 && mote_schedule_lr(&o, i) <= 0.3, "range");
        }
    }
}

static void options_are_checked(void) {
    mote_train_options o = mote_train_options_default(), complete;
    mote_error error;
    CHECK(mote_train_options_complete(&o, &complete, &error) == MOTE_OK, "%s", error.message);
    CHECK(complete.lr == 1e-3 && complete.adam_lr == 1e-3 && complete.clip == 1 && complete.min_lr == 0, "defaults");
    o.min_lr = 0;
    o.beta2 = 1;
    CHECK(mote_train_options_complete(&o, &complete, &error) == MOTE_USAGE && strstr(error.message, "beta2"), "%s",
          error.message);
    o.beta2 = 0.9;
    o.lr = -1;
    CHECK(mote_train_options_complete(&o, &complete, &error) == MOTE_USAGE && strstr(error.message, "lr"), "%s",
          error.message);
    o.lr = (double)NAN;
    CHECK(mote_train_options_complete(&o, &complete, &error) == MOTE_USAGE, "NaN");
    o.lr = 1;
    o.optimizer = (mote_optimizer)7;
    CHECK(mote_train_options_complete(&o, &complete, &error) == MOTE_USAGE && strstr(error.message, "optimizer"), "%s",
          error.message);
    mote_train_options none = {0};
    CHECK(mote_train_options_complete(&none, &complete, &error) == MOTE_USAGE, "no struct_bytes");
}

/* ---- data order */

static void epochs_visit_every_window_once(void) {
    const size_t sizes[] = {9, 10, 17, 100, 1000, 4321};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        mote_data_order order;
        CHECK(mote_data_order_init(&order, sizes[s], 8, 42, NULL) == MOTE_OK, "init");
        int different = 0;
        size_t first = 0;
        for (uint64_t epoch = 0; epoch < 5; epoch++) {
            uint64_t n = mote_data_order_windows(&order, epoch);
            char *seen = calloc(n, 1);
            size_t offset = SIZE_MAX;
            for (uint64_t i = 0; i < n; i++) {
                size_t begin = mote_data_order_next(&order);
                if (i == 0 && epoch == 0) first = begin;
                if (i == 0 && begin != first) different = 1;
                CHECK(begin + 9 <= sizes[s], "window at %zu of %zu", begin, sizes[s]);
                CHECK(order.epoch == epoch && order.index == i + 1, "position");
                if (offset == SIZE_MAX) offset = begin % 8;
                CHECK(begin % 8 == offset && begin / 8 < n && !seen[begin / 8], "window %zu twice", begin);
                if (begin / 8 < n) seen[begin / 8] = 1;
            }
            free(seen);
        }
        if (sizes[s] >= 100) CHECK(different, "every epoch began with the same window");
    }
}

static void order_resumes_and_refuses(void) {
    mote_data_order a, b;
    mote_error error;
    mote_data_order_init(&a, 777, 16, 5, NULL);
    for (int i = 0; i < 61; i++) mote_data_order_next(&a);
    mote_data_order_init(&b, 777, 16, 5, NULL);
    b.epoch = a.epoch;
    b.index = a.index;
    for (int i = 0; i < 200; i++) CHECK(mote_data_order_next(&a) == mote_data_order_next(&b), "window %d", i);
    CHECK(mote_data_order_init(&a, 16, 16, 5, &error) == MOTE_USAGE && strstr(error.message, "17"), "%s",
          error.message);
    CHECK(mote_data_order_init(&a, 0, 16, 5, &error) == MOTE_USAGE, "empty");
}

/* ---- optimizers on the weights of a small model, with random gradients */

typedef struct {
    mote_program *program;
    mote_real **weight, **gradient;
    mote_pool *pool;
    mote_updater *updater;
} bench;

static void fill(bench *b, uint64_t seed, bool weights) {
    mote_random random;
    mote_random_seed(&random, seed);
    for (int i = 0; i < b->program->n_tensors; i++) {
        const mote_tensor *t = &b->program->tensors[i];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        mote_real *values = weights ? b->weight[i] : b->gradient[i];
        for (size_t k = 0; k < (size_t)t->rows * (size_t)t->cols; k++)
            values[k] = (mote_real)mote_random_normal(&random);
    }
}

static mote_config small_config(mote_family family, int dim, int hidden) {
    mote_config c = mote_config_default(family);
    c.vocab = 50;
    c.context = 16;
    c.dim = dim;
    c.hidden = hidden;
    c.layers = 2;
    c.heads = 4;
    c.kv_heads = family == MOTE_FAMILY_LLAMA ? 2 : 4;
    c.tied = false;
    return c;
}

static bool bench_create(bench *b, const mote_config *config, const mote_train_options *options, int threads) {
    memset(b, 0, sizeof *b);
    mote_error error = {0};
    mote_config c = *config;
    mote_train_options complete;
    bool ok = mote_config_complete(&c, &error) == MOTE_OK && mote_program_build(&c, &b->program, &error) == MOTE_OK &&
              mote_train_options_complete(options, &complete, &error) == MOTE_OK &&
              mote_pool_create(threads, &b->pool, &error) == MOTE_OK;
    CHECK(ok, "%s", error.message);
    if (!ok) return false;
    b->weight = calloc((size_t)b->program->n_tensors, sizeof *b->weight);
    b->gradient = calloc((size_t)b->program->n_tensors, sizeof *b->gradient);
    for (int i = 0; i < b->program->n_tensors; i++) {
        const mote_tensor *t = &b->program->tensors[i];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        b->weight[i] = calloc((size_t)t->rows * (size_t)t->cols, sizeof(mote_real));
        b->gradient[i] = calloc((size_t)t->rows * (size_t)t->cols, sizeof(mote_real));
    }
    fill(b, 1, true);
    ok = mote_updater_create(b->program, (void *const *)b->weight, b->gradient, &complete, b->pool, &b->updater,
                             &error) == MOTE_OK;
    CHECK(ok, "%s", error.message);
    return ok;
}

static void bench_destroy(bench *b) {
    mote_updater_destroy(b->updater);
    mote_pool_destroy(b->pool);
    for (int i = 0; b->weight && i < b->program->n_tensors; i++) {
        free(b->weight[i]);
        free(b->gradient[i]);
    }
    free(b->weight);
    free(b->gradient);
    mote_program_destroy(b->program);
}

static void run_steps_from(bench *b, int first, int last) {
    for (int i = first; i <= last; i++) {
        fill(b, 100 + (uint64_t)i, false);
        mote_update update = {.lr = 0.01, .adam_lr = 0.003, .step = i, .gradient_scale = 0.5};
        mote_updater_step(b->updater, &update);
    }
}

/* What a weight should be, in double. */
typedef struct {
    double *w, *m, *v, *average;
} twin;

static twin twin_create(const mote_learned *l) {
    twin t = {calloc(l->n, 8), calloc(l->n, 8), calloc(l->n, 8), calloc(l->n, 8)};
    for (size_t i = 0; i < l->n; i++) t.w[i] = t.average[i] = (double)l->value[i];
    return t;
}

static void twin_adamw(twin *t, const mote_learned *l, const mote_train_options *o, double lr, int step) {
    for (size_t i = 0; i < l->n; i++) {
        double g = 0.5 * (double)l->gradient[i];
        t->m[i] = o->beta1 * t->m[i] + (1 - o->beta1) * g;
        t->v[i] = o->beta2 * t->v[i] + (1 - o->beta2) * g * g;
        if (l->tensor->rows > 1) t->w[i] -= lr * o->weight_decay * t->w[i];
        t->w[i] -=
            lr * (t->m[i] / (1 - pow(o->beta1, step))) / (sqrt(t->v[i] / (1 - pow(o->beta2, step))) + o->epsilon);
    }
}

static void twin_sgd(twin *t, const mote_learned *l, const mote_train_options *o, double lr) {
    for (size_t i = 0; i < l->n; i++) {
        t->m[i] = o->beta1 * t->m[i] + 0.5 * (double)l->gradient[i];
        t->w[i] -= lr * (t->m[i] + (l->tensor->rows > 1 ? o->weight_decay : 0) * t->w[i]);
    }
}

static void twin_muon(twin *t, const mote_learned *l, const mote_train_options *o, double lr) {
    int parts = strstr(l->tensor->name, "qkv") ? 3 : 1, rows = l->tensor->rows / parts, cols = l->tensor->cols;
    double *x = calloc(l->n, 8);
    for (size_t i = 0; i < l->n; i++) {
        double g = 0.5 * (double)l->gradient[i];
        t->m[i] = o->beta1 * t->m[i] + g;
        x[i] = o->beta1 * t->m[i] + g;
    }
    for (int p = 0; p < parts; p++) orthogonal_reference(x + p * rows * cols, rows, cols);
    for (size_t i = 0; i < l->n; i++)
        t->w[i] = t->w[i] * (1 - lr * o->weight_decay) - lr * 0.2 * sqrt(rows > cols ? rows : cols) * x[i];
    free(x);
}

static void compare_with_twins(mote_family family, mote_optimizer optimizer, int threads) {
    mote_train_options o = mote_train_options_default();
    o.optimizer = optimizer;
    o.weight_decay = 0.1;
    o.average = 0.2;
    mote_config c = small_config(family, 48, 104);
    bench b;
    if (!bench_create(&b, &c, &o, threads)) return;
    const mote_train_options *used = &b.updater->options;
    twin *twins = calloc((size_t)b.updater->n_learned, sizeof *twins);
    for (int k = 0; k < b.updater->n_learned; k++) twins[k] = twin_create(&b.updater->learned[k]);
    int hidden = 0;
    for (int step = 1; step <= 3; step++) {
        run_steps_from(&b, step, step);
        for (int k = 0; k < b.updater->n_learned; k++) {
            const mote_learned *l = &b.updater->learned[k];
            bool matrix = strncmp(l->tensor->name, "blk.", 4) == 0 && l->tensor->rows > 1;
            CHECK(matrix == l->hidden, "%s", l->tensor->name);
            hidden += matrix;
            if (optimizer == MOTE_OPTIMIZER_SGD) twin_sgd(&twins[k], l, used, 0.01);
            else if (optimizer == MOTE_OPTIMIZER_MUON && matrix) twin_muon(&twins[k], l, used, 0.01);
            else twin_adamw(&twins[k], l, used, optimizer == MOTE_OPTIMIZER_MUON ? 0.003 : 0.01, step);
            double worst = 0, worst_average = 0, d = (1.0 + step) / (10.0 + step);
            if (d > 0.2) d = 0.2;
            for (size_t i = 0; i < l->n; i++) {
                twins[k].average[i] = d * twins[k].average[i] + (1 - d) * twins[k].w[i];
                worst = fmax(worst, fabs(twins[k].w[i] - (double)l->value[i]));
                worst_average = fmax(worst_average, fabs(twins[k].average[i] - (double)l->average[i]));
            }
            CHECK(worst < 5e-6 && worst_average < 5e-6, "%s %s step %d: off by %g, average %g", b.updater->info->name,
                  l->tensor->name, step, worst, worst_average);
        }
    }
    CHECK(hidden == 3 * 2 * (family == MOTE_FAMILY_LLAMA ? 7 : 4), "%d hidden matrices", hidden);
    for (int k = 0; k < b.updater->n_learned; k++)
        free(twins[k].w), free(twins[k].m), free(twins[k].v), free(twins[k].average);
    free(twins);
    bench_destroy(&b);
}

static void adamw_matches_its_formula(void) { compare_with_twins(MOTE_FAMILY_LLAMA, MOTE_OPTIMIZER_ADAMW, 2); }
static void sgd_matches_its_formula(void) { compare_with_twins(MOTE_FAMILY_LLAMA, MOTE_OPTIMIZER_SGD, 2); }
static void muon_matches_its_formula(void) { compare_with_twins(MOTE_FAMILY_LLAMA, MOTE_OPTIMIZER_MUON, 2); }
static void muon_takes_fused_qkv_apart(void) { compare_with_twins(MOTE_FAMILY_GPT2, MOTE_OPTIMIZER_MUON, 1); }

/* Eigenvalues of a symmetric matrix by Jacobi rotations; they end on its diagonal. */
static void jacobi(double *a, int n) {
    for (int sweep = 0; sweep < 12; sweep++)
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) {
                if (fabs(a[p * n + q]) < 1e-14) continue;
                double theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
                double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1)), c = 1 / sqrt(t * t + 1),
                       s = t * c;
                for (int k = 0; k < n; k++) {
                    double x = a[k * n + p], y = a[k * n + q];
                    a[k * n + p] = c * x - s * y, a[k * n + q] = s * x + c * y;
                }
                for (int k = 0; k < n; k++) {
                    double x = a[p * n + k], y = a[q * n + k];
                    a[p * n + k] = c * x - s * y, a[q * n + k] = s * x + c * y;
                }
            }
}

static void muon_updates_are_nearly_orthogonal(void) {
    mote_train_options o = mote_train_options_default();
    o.optimizer = MOTE_OPTIMIZER_MUON;
    o.weight_decay = 0;
    mote_config c = small_config(MOTE_FAMILY_LLAMA, 48, 104);
    bench b;
    if (!bench_create(&b, &c, &o, 2)) return;
    for (int k = 0; k < b.updater->n_learned; k++)
        memset(b.updater->learned[k].value, 0, b.updater->learned[k].n * sizeof(mote_real));
    fill(&b, 9, false);
    mote_updater_step(b.updater, &(mote_update){.lr = 1, .adam_lr = 1, .step = 1, .gradient_scale = 1});
    for (int k = 0; k < b.updater->n_learned; k++) {
        const mote_learned *l = &b.updater->learned[k];
        int rows = l->tensor->rows, cols = l->tensor->cols, n = rows < cols ? rows : cols;
        if (!l->hidden) continue;
        double scale = 0.2 * sqrt(rows > cols ? rows : cols), *x = calloc(l->n, 8);
        for (int r = 0; r < rows; r++)
            for (int j = 0; j < cols; j++)
                x[rows < cols ? r * cols + j : j * rows + r] = -(double)l->value[r * cols + j] / scale;
        double *gram = product(x, x, n, rows < cols ? cols : rows, n, true);
        jacobi(gram, n);
        int low = 0;
        for (int i = 0; i < n; i++) {
            double singular = sqrt(fmax(gram[i * n + i], 0));
            CHECK(singular < 1.3, "%s: singular value %g", l->tensor->name, singular);
            low += singular < 0.6;
        }
        /* a random square matrix has a few singular values so near zero that the iterations cannot lift them */
        CHECK(low <= (rows == cols ? n / 12 : 0), "%s: %d of %d singular values below 0.6", l->tensor->name, low, n);
        free(x), free(gram);
    }
    bench_destroy(&b);
}

/* Weights, state and average after three steps are the same bits for 1 to 4 threads; the wide model has matrices that
 * all threads share. */
static void threads_do_not_change_bits(void) {
    for (int optimizer = 0; optimizer <= MOTE_OPTIMIZER_SGD; optimizer++) {
        mote_train_options o = mote_train_options_default();
        o.optimizer = (mote_optimizer)optimizer;
        o.average = 0.9;
        mote_config c = small_config(MOTE_FAMILY_LLAMA, 240, 304);
        bench one;
        if (!bench_create(&one, &c, &o, 1)) return;
        run_steps_from(&one, 1, 2);
        for (int threads = 2; threads <= 4; threads++) {
            bench many;
            if (!bench_create(&many, &c, &o, threads)) return;
            int shared = 0;
            for (int i = 0; i < many.updater->n_blocks; i++) shared += many.updater->blocks[i].shared;
            CHECK(optimizer != MOTE_OPTIMIZER_MUON || (shared > 0 && shared < many.updater->n_blocks), "shared %d",
                  shared);
            run_steps_from(&many, 1, 2);
            CHECK(mote_updater_gradient_norm(one.updater) == mote_updater_gradient_norm(many.updater), "norm");
            for (int k = 0; k < one.updater->n_learned; k++) {
                const mote_learned *a = &one.updater->learned[k], *z = &many.updater->learned[k];
                size_t bytes = a->n * sizeof(mote_real);
                bool same = !memcmp(a->value, z->value, bytes) && !memcmp(a->average, z->average, bytes);
                for (int s = 0; s < a->n_states; s++) same = same && !memcmp(a->state[s], z->state[s], bytes);
                CHECK(same, "%s %s with %d threads", one.updater->info->name, a->tensor->name, threads);
            }
            bench_destroy(&many);
        }
        bench_destroy(&one);
    }
}

static void gradient_norm_is_euclidean(void) {
    mote_train_options o = mote_train_options_default();
    mote_config c = small_config(MOTE_FAMILY_GPT2, 64, 144);
    bench b;
    if (!bench_create(&b, &c, &o, 3)) return;
    fill(&b, 77, false);
    double sum = 0;
    for (int k = 0; k < b.updater->n_learned; k++)
        for (size_t i = 0; i < b.updater->learned[k].n; i++)
            sum += (double)b.updater->learned[k].gradient[i] * (double)b.updater->learned[k].gradient[i];
    double norm = mote_updater_gradient_norm(b.updater);
    CHECK(fabs(norm - sqrt(sum)) < 1e-9 * norm, "%.17g, not %.17g", norm, sqrt(sum));
    bench_destroy(&b);
}

int main(void) {
    RUN(warmup_is_linear_and_reaches_lr);
    RUN(schedules_match_their_formulas);
    RUN(schedules_end_exactly_at_min_lr);
    RUN(options_are_checked);
    RUN(epochs_visit_every_window_once);
    RUN(order_resumes_and_refuses);
    RUN(adamw_matches_its_formula);
    RUN(sgd_matches_its_formula);
    RUN(muon_matches_its_formula);
    RUN(muon_takes_fused_qkv_apart);
    RUN(muon_updates_are_nearly_orthogonal);
    RUN(threads_do_not_change_bits);
    RUN(gradient_norm_is_euclidean);
    return test_finish();
}
