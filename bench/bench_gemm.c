/* The 42 products of tiny transformers by mote, oneDNN and OpenBLAS, which are looked for at run time: in rounds of
 * turns, medians (or with -m minima), geometric means by class. One thread is timed by its own clock, two by the
 * wall's, after some time at work in which the others' threads stop spinning. "Packed" is what counts: mote's time
 * with packing the weight for each product, as the others do inside. Usage: bench_gemm [-m] [-t THREADS] [TEXT of a
 * class] */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/crossover.h"

enum { ROUNDS = 7, CLASSES = 5 };
enum { MOTE, PACKED, DNNL, OPENBLAS, CONTESTANTS };
static const double round_seconds = 0.006;
/* Of two threads, before each turn: the others' threads stop spinning, and the scheduler spreads ours. */
static const double settling_seconds = 0.04;
static const char *const contestant_names[CONTESTANTS] = {"mote", "packed", "oneDNN", "OpenBLAS"};

/* Both take ints for flags and char for transposition in their own ways. */
static int (*dnnl_sgemm)(char, char, int64_t, int64_t, int64_t, float, const float *, int64_t, const float *, int64_t,
                         float, float *, int64_t);
static void (*cblas_sgemm)(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *,
                           int);
static void (*set_openblas_threads)(int), (*set_omp_threads)(int);

static void find(void *library, const char *name, void *function) {
    void *symbol = library ? dlsym(library, name) : NULL;
    memcpy(function, &symbol, sizeof symbol);
}

/* Their settings must stand in the environment before they are loaded. Debian's OpenBLAS takes new processors for old
 * ones; its threads and OpenMP's spin for long, which would slow whoever comes next. */
static void load_libraries(void) {
    if (mote_cpu_detect() & MOTE_CPU_AVX512) setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
    else if (mote_cpu_detect() & MOTE_CPU_AVX2) setenv("OPENBLAS_CORETYPE", "Haswell", 0);
    setenv("OPENBLAS_THREAD_TIMEOUT", "20", 0);
    setenv("OMP_NUM_THREADS", "2", 0);
    void *dnnl = dlopen("libdnnl.so.2", RTLD_NOW), *blas = dlopen("libopenblas.so.0", RTLD_NOW);
    if (!dnnl) dnnl = dlopen("libdnnl.so.3", RTLD_NOW);
    if (!dnnl) dnnl = dlopen("libdnnl.so", RTLD_NOW);
    find(dnnl, "dnnl_sgemm", &dnnl_sgemm);
    find(blas, "cblas_sgemm", &cblas_sgemm);
    find(blas, "openblas_set_num_threads", &set_openblas_threads);
    find(RTLD_DEFAULT, "omp_set_num_threads", &set_omp_threads);
    if (!set_omp_threads) find(dlopen("libgomp.so.1", RTLD_NOW), "omp_set_num_threads", &set_omp_threads);
    printf("oneDNN: %s, OpenBLAS: %s\n", dnnl_sgemm ? "found" : "not found (apt install libdnnl2)",
           cblas_sgemm ? "found" : "not found (apt install libopenblas0-pthread)");
}

static void multiply(int contestant, bool at, bool bt, int m, int n, int k, const float *a, int a_row, const float *b,
                     int b_row, float beta, float *c) {
    if (contestant == DNNL)
        dnnl_sgemm(at ? 'T' : 'N', bt ? 'T' : 'N', m, n, k, 1, a, a_row, b, b_row, beta, c, n);
    else cblas_sgemm(101, at ? 112 : 111, bt ? 112 : 111, m, n, k, 1, a, a_row, b, b_row, beta, c, n);
}

static void run_other(const mote_rehearsal *r, int contestant) {
    const mote_shape *s = &r->shape;
    const size_t in = (size_t)s->inputs, out = (size_t)s->outputs, tokens = (size_t)s->tokens;
    for (size_t i = 0; i < (size_t)s->count; i++) {
        float *x = r->x + i * tokens * in, *w = r->w + i * out * in, *y = r->y + i * tokens * out;
        if (s->form == MOTE_PRODUCT_FORWARD)
            multiply(contestant, false, true, s->tokens, s->outputs, s->inputs, x, s->inputs, w, s->inputs, 0, y);
        else if (s->form == MOTE_PRODUCT_INPUT)
            multiply(contestant, false, false, s->tokens, s->inputs, s->outputs, y, s->outputs, w, s->inputs, 0, x);
        else multiply(contestant, true, false, s->outputs, s->inputs, s->tokens, y, s->outputs, x, s->inputs, 1, w);
    }
}

static void run(mote_rehearsal *r, int contestant) {
    if (contestant == MOTE) mote_rehearsal_run(r, NULL);
    else if (contestant == PACKED) mote_rehearsal_multiply(r);
    else run_other(r, contestant);
}

static double now(int threads) {
    struct timespec t;
    clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(mote_rehearsal *r, int threads, bool minima, double took[CONTESTANTS]) {
    bool there[CONTESTANTS] = {true, true, dnnl_sgemm != NULL, cblas_sgemm != NULL};
    double all[CONTESTANTS][ROUNDS];
    int calls[CONTESTANTS];
    for (int round = -1; round < ROUNDS; round++) {
        for (int i = 0; i < CONTESTANTS; i++) {
            if (!there[i]) continue;
            for (double until = now(2) + (threads > 1 ? settling_seconds : 0); now(2) < until;) run(r, i);
            run(r, i);
            double start = now(threads);
            if (round < 0) {
                run(r, i);
                double one = now(threads) - start;
                calls[i] = one < round_seconds ? 1 + (int)(round_seconds / one) : 1;
                continue;
            }
            for (int j = 0; j < calls[i]; j++) run(r, i);
            all[i][round] = (now(threads) - start) / calls[i];
        }
    }
    for (int i = 0; i < CONTESTANTS; i++) {
        took[i] = 0;
        if (!there[i]) continue;
        qsort(all[i], ROUNDS, sizeof *all[i], ascending);
        took[i] = all[i][minima ? 0 : ROUNDS / 2];
    }
}

/* Sums of logarithms of one class. */
typedef struct {
    const char *name;
    int n;
    double speed[CONTESTANTS], against_best;
} class_sums;

static void report(const mote_rehearsal *r, const double took[CONTESTANTS], class_sums *sums) {
    static const char *const forms[] = {"forward", "input gradient", "weight gradient"};
    const mote_shape *s = &r->shape;
    double operations = mote_shape_operations(s), best = 0;
    printf("%-15s %4d x %5d x %4d%s ", forms[s->form], s->tokens, s->outputs, s->inputs,
           s->count > 1 ? " x16" : "    ");
    sums->n++;
    for (int i = 0; i < CONTESTANTS; i++) {
        double speed = took[i] > 0 ? operations / took[i] * 1e-9 : NAN;
        printf(" %8.1f", speed);
        sums->speed[i] += log(speed);
        if (i > PACKED && speed > best) best = speed;
    }
    double ratio = best > 0 ? operations / took[PACKED] * 1e-9 / best : NAN;
    sums->against_best += log(ratio);
    printf("   %5.2f\n", ratio);
    fflush(stdout);
}

static int compare(int threads, bool minima, const char *only) {
    mote_pool *pool;
    mote_kernels kernels;
    class_sums classes[CLASSES] = {{0}};
    int n_classes = 0;
    mote_kernels_fill(&kernels, mote_cpu_detect());
    if (mote_pool_create(threads, &pool, NULL)) return 6;
    if (set_openblas_threads) set_openblas_threads(threads);
    if (set_omp_threads) set_omp_threads(threads);
    printf("\n%d thread%s, GFLOP/s%18s", threads, threads > 1 ? "s" : " ", "");
    for (int i = 0; i < CONTESTANTS; i++) printf(" %8s", contestant_names[i]);
    printf("   packed / best of the others\n");
    for (int i = 0; i < MOTE_N_LAYERS; i++) {
        const mote_layer *layer = &mote_layers[i];
        if (only && !strstr(layer->group, only)) continue;
        if (!n_classes || strcmp(classes[n_classes - 1].name, layer->group)) classes[n_classes++].name = layer->group;
        for (int form = 0; form < 3; form++) {
            mote_shape shape = mote_shape_of(layer, (mote_product_form)form, threads);
            mote_rehearsal *r;
            double took[CONTESTANTS];
            if (mote_rehearsal_create(&kernels, pool, &shape, &r, NULL)) return 6;
            measure(r, threads, minima, took);
            report(r, took, &classes[n_classes - 1]);
            mote_rehearsal_destroy(r);
        }
    }
    printf("geometric means\n");
    for (int i = 0; i < n_classes; i++) {
        const class_sums *c = &classes[i];
        printf("%-35s", c->name);
        for (int j = 0; j < CONTESTANTS; j++) printf(" %8.1f", exp(c->speed[j] / c->n));
        printf("   %5.2f\n", exp(c->against_best / c->n));
    }
    mote_pool_destroy(pool);
    return 0;
}

int main(int argc, char **argv) {
    bool minima = false;
    int threads = 0;
    const char *only = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "-m")) minima = true;
        else if (!strcmp(argv[i], "-t") && i + 1 < argc) threads = atoi(argv[++i]);
        else only = argv[i];
    }
    load_libraries();
    if (threads > 0) return compare(threads > 256 ? 256 : threads, minima, only);
    int code = compare(1, minima, only);
    return code || mote_cpu_cores() == 1 ? code : compare(2, minima, only);
}
