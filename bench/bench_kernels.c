/* Speed of the products against the measured multiply-add peak of one thread, at the shapes of tiny transformers, in
 * the three forms of training and in decoding. A figure is the median of several timed batches of calls. Usage:
 * bench_kernels [mask of MOTE_CPU_ bits, default all] [only shapes whose line contains this text] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/panels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { BATCHES = 9 };
static const double batch_seconds = 0.008;
static double peak; /* GFLOP/s */
static double integer_peak; /* Gop/s of 8-bit products; 0: not known here */
static const char *only;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* what other processes take does not count */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median seconds of one call. */
static double measure(void (*call)(void *), void *context) {
    call(context);
    double start = now();
    int n = 0;
    do call(context), n++;
    while (now() - start < batch_seconds);
    double seconds[BATCHES];
    for (int i = 0; i < BATCHES; i++) {
        start = now();
        for (int j = 0; j < n; j++) call(context);
        seconds[i] = (now() - start) / n;
    }
    qsort(seconds, BATCHES, sizeof *seconds, ascending);
    return seconds[BATCHES / 2];
}

/* Independent chains of multiply-adds in registers: nothing else in the loop, so this is the roof. */
enum { PEAK_ROUNDS = 1 << 20 };
static volatile float peak_result;
#define PEAK_BODY(vector, set, fused)                                                                                  \
    vector sum[12], factor = set(0.999f), addend = set(0.001f);                                                        \
    for (int j = 0; j < 12; j++) sum[j] = set((float)j);                                                               \
    for (int i = 0; i < PEAK_ROUNDS; i++) {                                                                            \
        sum[0] = fused(sum[0], factor, addend), sum[1] = fused(sum[1], factor, addend);                                \
        sum[2] = fused(sum[2], factor, addend), sum[3] = fused(sum[3], factor, addend);                                \
        sum[4] = fused(sum[4], factor, addend), sum[5] = fused(sum[5], factor, addend);                                \
        sum[6] = fused(sum[6], factor, addend), sum[7] = fused(sum[7], factor, addend);                                \
        sum[8] = fused(sum[8], factor, addend), sum[9] = fused(sum[9], factor, addend);                                \
        sum[10] = fused(sum[10], factor, addend), sum[11] = fused(sum[11], factor, addend);                            \
    }                                                                                                                  \
    float total = 0;                                                                                                   \
    for (int j = 0; j < 12; j++) total += sum[j][0];                                                                   \
    peak_result = total;

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static void peak_avx512(void *unused) {
    (void)unused;
    PEAK_BODY(__m512, _mm512_set1_ps, _mm512_fmadd_ps)
}
__attribute__((target("avx2,fma"))) static void peak_avx2(void *unused) {
    (void)unused;
    PEAK_BODY(__m256, _mm256_set1_ps, _mm256_fmadd_ps)
}
#define set_plain _mm_set1_ps
#define fused_plain(a, b, c) _mm_add_ps(_mm_mul_ps(a, b), c)
typedef __m128 vector_plain;
#elif defined(__aarch64__)
#define set_plain vdupq_n_f32
#define fused_plain(a, b, c) vfmaq_f32(c, a, b)
typedef float32x4_t vector_plain;
#else
typedef float vector_plain __attribute__((vector_size(16)));
#define set_plain(x) ((vector_plain){x, x, x, x})
#define fused_plain(a, b, c) ((a) * (b) + (c))
#endif
static void peak_plain(void *unused) {
    (void)unused;
    PEAK_BODY(vector_plain, set_plain, fused_plain)
}

static void measure_peak(unsigned mask) {
    int width = 4;
    void (*body)(void *) = peak_plain;
#if defined(__x86_64__)
    if (mask & MOTE_CPU_AVX2) body = peak_avx2, width = 8;
    if (mask & MOTE_CPU_AVX512) body = peak_avx512, width = 16;
#else
    (void)mask;
#endif
    peak = 2.0 * 12 * width * PEAK_ROUNDS / measure(body, NULL) * 1e-9;
    printf("one thread, %d floats wide: %.1f GFLOP/s of multiply-adds in registers\n", width, peak);
}

/* The same for products of bytes: 12 chains of the instruction that the integer kernels are made of. */
#define INTEGER_BODY(vector, step)                                                                                     \
    vector sum[12] = {0}, a = {0}, b = {0};                                                                            \
    a[0] = b[0] = PEAK_ROUNDS;                                                                                         \
    for (int j = 0; j < 12; j++) sum[j][0] = j;                                                                        \
    for (int i = 0; i < PEAK_ROUNDS; i++) {                                                                            \
        sum[0] = step(sum[0], a, b), sum[1] = step(sum[1], a, b), sum[2] = step(sum[2], a, b);                         \
        sum[3] = step(sum[3], a, b), sum[4] = step(sum[4], a, b), sum[5] = step(sum[5], a, b);                         \
        sum[6] = step(sum[6], a, b), sum[7] = step(sum[7], a, b), sum[8] = step(sum[8], a, b);                         \
        sum[9] = step(sum[9], a, b), sum[10] = step(sum[10], a, b), sum[11] = step(sum[11], a, b);                     \
    }                                                                                                                  \
    long long total = 0;                                                                                               \
    for (int j = 0; j < 12; j++) total += sum[j][0];                                                                   \
    peak_result = (float)total;

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512vnni"))) static void integer_peak_vnni(void *unused) {
    (void)unused;
    INTEGER_BODY(__m512i, _mm512_dpbusd_epi32)
}
/* vpmaddubsw, vpmaddwd and an addition for 64 operations: what exact products of any bytes take at least. */
__attribute__((target("avx2"))) static __m256i add_products(__m256i sum, __m256i a, __m256i b) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, sum), b));
}
__attribute__((target("avx2"))) static void integer_peak_avx2(void *unused) {
    (void)unused;
    INTEGER_BODY(__m256i, add_products)
}
#endif

static void measure_integer_peak(unsigned mask) {
    int operations = 0;
    void (*body)(void *) = NULL;
#if defined(__x86_64__)
    if (mask & MOTE_CPU_AVX2) body = integer_peak_avx2, operations = 64;
    if (mask & MOTE_CPU_VNNI) body = integer_peak_vnni, operations = 128;
#else
    (void)mask;
#endif
    if (!body) return;
    integer_peak = 12.0 * operations * PEAK_ROUNDS / measure(body, NULL) * 1e-9;
    printf("one thread, 8-bit products: %.1f Gop/s in registers\n", integer_peak);
}

static float *values(size_t n) {
    float *v = aligned_alloc(64, (n * sizeof *v + 63) / 64 * 64);
    if (!v) exit(6);
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        v[i] = (float)(state >> 8) * 0x1p-24f - 0.5f;
    }
    return v;
}

typedef struct {
    const mote_kernels *k;
    mote_gemm g;
    mote_type type;
} product;

static void call_product(void *context) {
    product *p = context;
    p->k->gemm[p->type](&p->g);
}

static void report(const char *form, product *p) {
    char line[160];
    snprintf(line, sizeof line, "%-16s %-5s %4d x %5d x %5d", form, mote_type_get(p->type)->name, p->g.rows,
             p->g.columns, p->g.depth);
    if (only && !strstr(line, only)) return;
    double seconds = measure(call_product, p), flops = 2.0 * p->g.rows * p->g.columns * p->g.depth / seconds * 1e-9;
    double bytes = (double)p->g.columns * p->g.depth * mote_type_get(p->type)->block_bytes / seconds * 1e-9;
    printf("%s %9.2f us %8.1f GFLOP/s %5.1f %%", line, seconds * 1e6, flops, 100 * flops / peak);
    if (p->g.rows == 1) printf(" %7.1f GB/s of weights", bytes);
    printf("\n");
    fflush(stdout);
}

/* y = x W^T, W packed. */
static void forward(const mote_kernels *k, mote_type type, int rows, int n, int depth) {
    float *x = values((size_t)rows * (size_t)depth), *w = values((size_t)n * (size_t)depth),
          *y = values((size_t)rows * (size_t)n);
    char *row_major = (char *)values((size_t)n * (size_t)depth), *packed = (char *)values(mote_packed_values(n, depth));
    mote_type_get(type)->from_f32(w, row_major, (size_t)n * (size_t)depth);
    k->pack[type](row_major, (size_t)depth, n, depth, packed);
    product p = {.k = k, .type = type};
    p.g = (mote_gemm){.rows = rows,
                      .columns = n,
                      .depth = depth,
                      .a = x,
                      .a_row = (size_t)depth,
                      .a_depth = 1,
                      .b = packed,
                      .b_panel = (size_t)depth * MOTE_PANEL,
                      .b_depth = MOTE_PANEL,
                      .c = y,
                      .c_row = (size_t)n};
    report("forward", &p);
    free(x), free(w), free(y), free(row_major), free(packed);
}

/* The same with integer weights against 8-bit activations. */
typedef struct {
    const mote_kernels *k;
    mote_gemm_blocks g;
    int slot;
} blocks_product;

static void call_blocks(void *context) {
    blocks_product *p = context;
    p->k->gemm_blocks[p->slot](&p->g);
}

static void forward_blocks(const mote_kernels *k, mote_type type, int rows, int n, int depth) {
    char line[160];
    snprintf(line, sizeof line, "%-16s %-5s %4d x %5d x %5d", "forward", mote_type_get(type)->name, rows, n, depth);
    if (only && !strstr(line, only)) return;
    const int blocks = mote_blocks_of(depth);
    const size_t panels = (size_t)((n + MOTE_PANEL - 1) / MOTE_PANEL) * mote_panel_bytes(type, (size_t)blocks);
    float *x = values((size_t)rows * (size_t)depth), *w = values((size_t)n * (size_t)depth),
          *y = values((size_t)rows * (size_t)n), *packed = values(panels / sizeof(float)), *row = values((size_t)depth);
    mote_block8 *a = (mote_block8 *)(void *)values((size_t)rows * (size_t)blocks * sizeof *a / sizeof(float));
    for (int i = 0; i < rows; i++) k->quantize(x + (size_t)i * (size_t)depth, depth, a + (size_t)i * (size_t)blocks);
    mote_blocks_pack_f32(type, w, (size_t)depth, n, depth, row, packed);
    blocks_product p = {.k = k, .slot = mote_integer_slot(type)};
    p.g = (mote_gemm_blocks){.rows = rows, .columns = n, .blocks = blocks, .a = a, .a_row = (size_t)blocks, .b = packed,
                             .c = y, .c_row = (size_t)n};
    double seconds = measure(call_blocks, &p), operations = 2.0 * rows * n * depth / seconds * 1e-9;
    printf("%s %9.2f us %8.1f Gop/s  ", line, seconds * 1e6, operations);
    if (integer_peak > 0) printf(" %5.1f %%", 100 * operations / integer_peak);
    if (rows == 1) printf(" %7.1f GB/s of weights", (double)panels / seconds * 1e-9);
    printf("\n");
    fflush(stdout);
    free(x), free(w), free(y), free(packed), free(row), free(a);
}

/* dx = dy W and dW = dy^T x: B is row-major in both. */
static void backward(const mote_kernels *k, int rows, int n, int depth) {
    float *x = values((size_t)rows * (size_t)depth), *w = values((size_t)n * (size_t)depth),
          *dy = values((size_t)rows * (size_t)n), *copy = values(MOTE_GEMM_COPY);
    product p = {.k = k, .type = MOTE_TYPE_F32};
    p.g = (mote_gemm){.rows = rows, .columns = depth, .depth = n, .a = dy, .a_row = (size_t)n, .a_depth = 1, .b = w,
                      .b_panel = MOTE_PANEL, .b_depth = (size_t)depth, .c = x, .c_row = (size_t)depth};
    report("input gradient", &p);
    p.g = (mote_gemm){.rows = n, .columns = depth, .depth = rows, .a = dy, .a_row = 1, .a_depth = (size_t)n, .b = x,
                      .b_panel = MOTE_PANEL, .b_depth = (size_t)depth, .c = w, .c_row = (size_t)depth, .start = w,
                      .start_row = (size_t)depth, .copy = copy};
    memset(dy, 0, (size_t)rows * (size_t)n * sizeof *dy); /* sums would grow over the repeats */
    report("weight gradient", &p);
    free(x), free(w), free(dy), free(copy);
}

/* The three products of training in bf16, each with the rounding that goes with it: of x or dy where they lie in rows,
 * of both where a weight gradient sums over them. Weights are packed once a step, which is not in here. */
typedef struct {
    const mote_kernels *k;
    int rows, n, depth, form;
    const float *x, *dy;
    uint32_t *a, *panels;
    float *c;
} bf16_product;

static void call_bf16(void *context) {
    const bf16_product *p = context;
    const bool weight = p->form == 2;
    const int depth = weight ? p->rows : p->form ? p->n : p->depth, pairs = (depth + 1) / 2;
    mote_gemm_bf16 g = {.rows = weight ? p->n : p->rows, .columns = p->form ? p->depth : p->n, .depth = pairs,
                        .a = p->a, .b = p->panels, .b_panel = (size_t)pairs * MOTE_PANEL, .c = p->c};
    g.c_row = (size_t)g.columns;
    if (weight) {
        g.a_panel = g.b_panel;
        p->k->bf16_turn(p->x, (size_t)p->depth, p->rows, p->depth, p->panels, g.b_panel);
        p->k->bf16_turn(p->dy, (size_t)p->n, p->rows, p->n, p->a, g.b_panel);
    } else {
        g.a_row = (size_t)pairs;
        for (int r = 0; r < p->rows; r++)
            p->k->bf16_row((p->form ? p->dy : p->x) + (size_t)r * (size_t)depth, depth, p->a + (size_t)r * g.a_row);
    }
    p->k->bf16_gemm(&g);
}

static void measure_bf16(const mote_kernels *k, int rows, int n, int depth) {
    static const char *const forms[] = {"forward", "input gradient", "weight gradient"};
    const size_t R = (size_t)rows + 16, N = (size_t)n + 16, D = (size_t)depth + 16; /* rounded up to panels */
    float *x = values(R * D), *dy = values(R * N), *w = values(N * D), *c = values(R * N + R * D + N * D);
    float *a = values(R * (N > D ? N : D)), *panels = values(D * (R > N ? R : N));
    for (int form = 0; form < 3; form++) {
        char line[160];
        snprintf(line, sizeof line, "%-16s pairs %4d x %5d x %5d", forms[form], rows, n, depth);
        if (only && !strstr(line, only)) continue;
        bf16_product p = {k, rows, n, depth, form, x, dy, (uint32_t *)(void *)a, (uint32_t *)(void *)panels, c};
        if (form == 0) k->bf16_pack(w, (size_t)depth, n, depth, p.panels);
        if (form == 1) k->bf16_turn(w, (size_t)depth, n, depth, p.panels, (size_t)((n + 1) / 2) * MOTE_PANEL);
        double seconds = measure(call_bf16, &p), flops = 2.0 * rows * n * depth / seconds * 1e-9;
        printf("%s %9.2f us %8.1f GFLOP/s %5.1f %%\n", line, seconds * 1e6, flops, 100 * flops / peak);
        fflush(stdout);
    }
    free(x), free(dy), free(w), free(c), free(a), free(panels);
}

/* Pack, as after each optimizer step, against the memory it moves. */
typedef struct {
    const mote_kernels *k;
    int n, depth;
    const float *w;
    float *panels;
} packing;
static void call_pack(void *context) {
    packing *p = context;
    p->k->pack[MOTE_TYPE_F32](p->w, (size_t)p->depth, p->n, p->depth, p->panels);
}

static void measure_pack(const mote_kernels *k, int n, int depth) {
    packing p = {k, n, depth, values((size_t)n * (size_t)depth), values(mote_packed_values(n, depth))};
    double seconds = measure(call_pack, &p);
    printf("pack             f32   %d x %d: %.2f us, %.1f GB/s read\n", n, depth, seconds * 1e6,
           4.0 * n * depth / seconds * 1e-9);
    free((void *)(uintptr_t)p.w), free(p.panels);
}

/* One row kernel, named by the slot. */
enum { ROW = 384, SCORES = 256, VOCABULARY = 16000 };
typedef struct {
    const mote_kernels *k;
    float *a, *b, *c, *d;
} row_work;
static void call_rms_norm(void *w) { row_work *r = w; r->k->rms_norm(r->a, r->b, ROW, 1e-5f, r->c); }
static void call_rms_norm_backward(void *w) {
    row_work *r = w;
    r->k->rms_norm_backward(r->d, r->a, r->b, 1, ROW, r->c, false);
}
static void call_softmax(void *w) {
    row_work *r = w;
    mote_softmax s = {r->a, SCORES, 1, SCORES, 0, SCORES, 1, 0.01f, NULL, 0};
    r->k->softmax(&s);
}
static void call_softmax_backward(void *w) {
    row_work *r = w;
    float log_sum = 5;
    mote_softmax_backward s = {{r->a, SCORES, 1, SCORES, 0, SCORES, 1, 0.01f, &log_sum, 1}, r->b, r->c, r->d, 64, 64};
    r->k->softmax_backward(&s);
}
static void call_silu_gate(void *w) { row_work *r = w; r->k->gate[MOTE_ACTIVATION_SILU](r->a, r->b, r->c, ROW); }
static void call_gelu(void *w) { row_work *r = w; r->k->activate[MOTE_ACTIVATION_GELU](r->a, r->c, ROW); }
static void call_gate_backward(void *w) {
    row_work *r = w;
    r->k->gate_backward[MOTE_ACTIVATION_SILU](r->a, r->b, r->d, r->c, r->c + ROW, ROW);
}
static void call_cross_entropy(void *w) {
    row_work *r = w;
    bool correct;
    r->k->cross_entropy(r->a, VOCABULARY, 3, 0.01f, true, &correct);
}
static void call_adamw(void *w) {
    row_work *r = w;
    const mote_adamw o = {0.001f, 0.9f, 0.99f, 1e-8f, 0.1f, 1, 1, 1};
    r->k->adamw(&o, r->a, r->b, r->c, r->d, VOCABULARY);
}
static void call_quantize(void *w) { row_work *r = w; r->k->quantize(r->a, ROW, (mote_block8 *)(void *)r->c); }
static void call_dot(void *w) { row_work *r = w; r->k->dot(r->a, r->b, VOCABULARY); }
static void call_rope(void *w) { row_work *r = w; r->k->rope(r->a, r->b, 64, true, false, false, r->c); }

static void measure_rows(const mote_kernels *k) {
    static const struct {
        const char *name;
        void (*call)(void *);
        int n;
    } rows[] = {{"rms_norm", call_rms_norm, ROW},
                {"rms_norm_backward", call_rms_norm_backward, ROW},
                {"softmax", call_softmax, SCORES},
                {"softmax_backward", call_softmax_backward, SCORES},
                {"rope", call_rope, 64},
                {"gate silu", call_silu_gate, ROW},
                {"gate_backward", call_gate_backward, ROW},
                {"activate gelu", call_gelu, ROW},
                {"cross_entropy", call_cross_entropy, VOCABULARY},
                {"adamw", call_adamw, VOCABULARY},
                {"quantize", call_quantize, ROW},
                {"dot", call_dot, VOCABULARY}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (only && !strstr(rows[i].name, only)) continue;
        row_work work = {k, values(VOCABULARY), values(VOCABULARY), values(VOCABULARY), values(VOCABULARY)};
        for (int j = 0; j < VOCABULARY; j++) work.c[j] += 0.5f; /* AdamW: second moments are not negative */
        double seconds = measure(rows[i].call, &work);
        printf("%-20s n %5d %9.3f us %6.2f ns a value\n", rows[i].name, rows[i].n, seconds * 1e6,
               seconds * 1e9 / rows[i].n);
        free(work.a), free(work.b), free(work.c), free(work.d);
    }
}

int main(int argc, char **argv) {
    unsigned mask = argc > 1 ? (unsigned)strtol(argv[1], NULL, 0) & mote_cpu_detect() : mote_cpu_detect();
    only = argc > 2 ? argv[2] : NULL;
    mote_kernels k;
    mote_kernels_fill(&k, mask);
    printf("kernels: %s\n", k.name);
    measure_peak(mask);
    measure_integer_peak(mask);
    static const int shapes[][2] = {{64, 64},   {128, 128},  {384, 128},  {128, 512},
                                    {384, 384}, {1536, 384}, {384, 1536}, {65, 128}};
    static const int token_counts[] = {64, 256, 768};
    printf("form             type  rows x columns x depth\n");
    for (size_t t = 0; t < 3; t++) {
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            forward(&k, MOTE_TYPE_F32, token_counts[t], shapes[s][0], shapes[s][1]);
            backward(&k, token_counts[t], shapes[s][0], shapes[s][1]);
            measure_bf16(&k, token_counts[t], shapes[s][0], shapes[s][1]);
        }
    }
    forward(&k, MOTE_TYPE_F32, 96, 16000, 384);
    backward(&k, 96, 16000, 384);
    measure_bf16(&k, 96, 16000, 384);
    forward(&k, MOTE_TYPE_F32, 64, 64, 32); /* attention: scores, and their sum over values */
    forward(&k, MOTE_TYPE_F32, 64, 32, 64);
    forward(&k, MOTE_TYPE_BF16, 64, 384, 384);
    forward(&k, MOTE_TYPE_F16, 64, 384, 384);
    for (int type = 0; type < MOTE_N_FLOAT_TYPES; type++) {
        forward(&k, (mote_type)type, 1, 128, 128);
        forward(&k, (mote_type)type, 1, 384, 384);
        forward(&k, (mote_type)type, 1, 16000, 384);
        forward(&k, (mote_type)type, 4, 384, 384);
    }
    static const int block_rows[] = {1, 4, 16, 64, 256};
    for (int type = MOTE_N_FLOAT_TYPES; type < MOTE_N_FLOAT_TYPES + MOTE_N_INTEGER_TYPES; type++) {
        for (size_t r = 0; r < sizeof block_rows / sizeof *block_rows; r++)
            forward_blocks(&k, (mote_type)type, block_rows[r], 768, 768);
        forward_blocks(&k, (mote_type)type, 1, 2048, 768);
        forward_blocks(&k, (mote_type)type, 1, 16000, 384);
        forward_blocks(&k, (mote_type)type, 1, 128, 128);
    }
    if (!only || strstr("pack", only)) measure_pack(&k, 384, 384), measure_pack(&k, 16000, 384);
    measure_rows(&k);
    return 0;
}
