/* Climbs the ladder: memory for one shape, the integers of every rung against those of the first, then the median time
 * of each against the peaks of the machine. Weights and inputs are random: each block of a matrix is a random stretch
 * of 65536 normal values, since drawing every weight would take longer than all rungs together. */
#include "measure/ladder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/random.h"

enum { MOST_SIDE = 1 << 17, MOST_KEPT = 1 << 22, REPEATS = 9, LEAST_REPEATS = 3, RANDOM_VALUES = 1 << 16 };

/* ---- memory */

typedef struct {
    mote_ladder_job job;
    uint8_t *weights, *panels;
    mote_real *vectors; /* x, gain, normed, y, and the first rung's y */
    mote_real *first_y;
    int32_t *first_kept, *kept;
    float *random;
} climb;

static void release(climb *l) {
    mote_pool_destroy(l->job.pool);
    mote_release(l->weights);
    mote_release(l->panels);
    mote_release(l->vectors);
    mote_release(l->job.codes);
    mote_release(l->job.plain);
    mote_release(l->job.wide);
    mote_release(l->job.dots);
    mote_release(l->first_kept);
    mote_release(l->kept);
    mote_release(l->random);
    mote_release(l);
}

static mote_status allocate(climb *l, int rows, int cols, mote_error *error) {
    mote_ladder_job *job = &l->job;
    const size_t n = (size_t)rows, k = (size_t)cols;
    job->kernels = mote_kernels_get();
    job->rows = rows;
    job->cols = cols;
    job->blocks = mote_blocks_of(cols);
    job->row_bytes = mote_row_bytes(MOTE_TYPE_Q4_0, k);
    job->kept_rows = MOST_KEPT / job->blocks < rows ? MOST_KEPT / job->blocks : rows;
    const size_t blocks = (size_t)job->blocks, kept = (size_t)job->kept_rows * blocks;
    const size_t panels = (n + MOTE_PANEL - 1) / MOTE_PANEL * mote_ladder_panel_bytes(job->blocks);
    l->weights = mote_allocate(n * job->row_bytes);
    l->panels = mote_allocate(panels);
    l->vectors = mote_allocate((3 * k + 2 * n) * sizeof *l->vectors);
    job->codes = mote_allocate(blocks * sizeof *job->codes);
    job->plain = mote_allocate(blocks * MOTE_BLOCK_VALUES);
    job->wide = mote_allocate(blocks * MOTE_BLOCK_VALUES * sizeof *job->wide);
    job->dots = mote_allocate(blocks * sizeof *job->dots);
    l->first_kept = mote_allocate(kept * sizeof *l->first_kept);
    l->kept = mote_allocate(kept * sizeof *l->kept);
    l->random = mote_allocate((RANDOM_VALUES + MOTE_BLOCK_VALUES) * sizeof *l->random);
    if (!l->weights || !l->panels || !l->vectors || !job->codes || !job->plain || !job->wide || !job->dots ||
        !l->first_kept || !l->kept || !l->random)
        return mote_fail_memory(error, "the ladder", n * job->row_bytes + panels);
    job->weights = l->weights;
    job->panels = l->panels;
    job->x = l->vectors;
    job->gain = l->vectors + k;
    job->normed = l->vectors + 2 * k;
    job->y = l->vectors + 3 * k;
    l->first_y = l->vectors + 3 * k + n;
    return MOTE_OK;
}

/* Values from the list, in an order that differs from row to row. */
static void fill(climb *l) {
    mote_ladder_job *job = &l->job;
    mote_random random;
    mote_random_seed(&random, 1);
    for (int i = 0; i < RANDOM_VALUES; i++) l->random[i] = (float)mote_random_normal(&random);
    for (int i = 0; i < MOTE_BLOCK_VALUES; i++) l->random[RANDOM_VALUES + i] = l->random[i];
    for (int i = 0; i < job->cols; i++) {
        l->vectors[i] = (mote_real)mote_random_normal(&random);
        l->vectors[job->cols + i] = (mote_real)(1 + 0.1 * mote_random_normal(&random));
    }
    const mote_type_info *type = mote_type_get(MOTE_TYPE_Q4_0);
    for (int r = 0; r < job->rows; r++) {
        for (int b = 0; b < job->blocks; b++) {
            const int left = job->cols - b * MOTE_BLOCK_VALUES;
            type->from_f32(l->random + mote_random_below(&random, RANDOM_VALUES),
                           l->weights + (size_t)r * job->row_bytes + (size_t)b * (size_t)type->block_bytes,
                           (size_t)(left < MOTE_BLOCK_VALUES ? left : MOTE_BLOCK_VALUES));
        }
    }
    mote_blocks_pack(MOTE_TYPE_Q4_0, l->weights, job->row_bytes, job->rows, job->cols, l->panels);
}

/* ---- comparing */

static mote_status compare(climb *l, int rung, mote_ladder *out, mote_error *error) {
    mote_ladder_job *job = &l->job;
    const size_t kept = (size_t)job->kept_rows * (size_t)job->blocks;
    job->kept = rung ? l->kept : l->first_kept;
    memset(job->kept, 0x55, kept * sizeof *job->kept); /* what a rung does not write is no dot product */
    for (int r = 0; r < job->rows; r++) job->y[r] = (mote_real)NAN;
    mote_ladder_steps[rung].run(job);
    if (rung == 0) memcpy(l->first_y, job->y, (size_t)job->rows * sizeof *job->y);
    for (size_t i = 0; i < kept; i++) {
        if (job->kept[i] == l->first_kept[i]) continue;
        return mote_fail(error, MOTE_FAILED, "rung '%s' has %d where '%s' has %d: block %zu of row %zu",
                         mote_ladder_steps[rung].name, job->kept[i], mote_ladder_steps[0].name, l->first_kept[i],
                         i % (size_t)job->blocks, i / (size_t)job->blocks);
    }
    job->kept = NULL;
    double largest = 0, difference = 0;
    for (int r = 0; r < job->rows; r++) {
        const double off = fabs((double)(job->y[r] - l->first_y[r]));
        largest = fmax(largest, fabs((double)l->first_y[r]));
        if (!(off <= difference)) difference = off; /* a NaN stays */
    }
    if (!(difference <= 1e-4 * largest))
        return mote_fail(error, MOTE_FAILED, "rung '%s' is off by %g where the largest output is %g",
                         mote_ladder_steps[rung].name, difference, largest);
    out->integers = kept;
    if (largest > 0) out->largest_error = fmax(out->largest_error, difference / largest);
    return MOTE_OK;
}

/* ---- timing */

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_seconds(mote_ladder_job *job, const mote_ladder_step *step, double seconds) {
    double took[REPEATS];
    const double begin = mote_seconds();
    step->run(job); /* weights into the caches */
    int calls = (int)fmin(1e6, fmax(1, seconds / REPEATS / fmax(mote_seconds() - begin, 1e-9))), n = 0;
    while (n < REPEATS && (n < LEAST_REPEATS || mote_seconds() - begin < seconds)) {
        const double start = mote_seconds();
        for (int i = 0; i < calls; i++) step->run(job);
        took[n++] = fmax(mote_seconds() - start, 1e-9) / calls;
    }
    qsort(took, (size_t)n, sizeof *took, ascending);
    return took[n / 2];
}

/* The nearest memory that the weights lie in between two products. */
static mote_memory_level level_of(const mote_roof *roof, double bytes, int threads) {
    for (int level = MOTE_MEMORY_L1; level < MOTE_MEMORY_DRAM; level++) {
        const int caches = level == MOTE_MEMORY_L3 ? (threads + roof->l3_cores - 1) / roof->l3_cores : threads;
        if (roof->read_bandwidth[level][0] > 0 && bytes <= (double)caches * (double)roof->cache_bytes[level])
            return (mote_memory_level)level;
    }
    return MOTE_MEMORY_DRAM;
}

static void rate(const mote_ladder_job *job, const mote_roof *roof, mote_ladder_rung *rung) {
    static const char *const names[MOTE_N_MEMORIES] = {"L1", "L2", "L3", "DRAM"};
    const int many = rung->threads > 1;
    const mote_memory_level level = level_of(roof, rung->weight_bytes, rung->threads);
    const double speed = roof->read_bandwidth[level][many], integers = roof->int8_ops[many];
    double least = speed > 0 ? rung->weight_bytes / speed : 0;
    rung->bound = names[level];
    if (integers > 0 && 2.0 * job->rows * job->cols / integers > least) {
        least = 2.0 * job->rows * job->cols / integers;
        rung->bound = "integers";
    }
    rung->roof_share = least / rung->seconds;
}

mote_status mote_ladder_run(int rows, int cols, const mote_roof *roof, double seconds, mote_ladder *out,
                            mote_error *error) {
    if (!roof || !out) return mote_fail(error, MOTE_USAGE, "a ladder needs the roof and a place for its figures");
    if (rows < 1 || cols < 1 || rows > MOST_SIDE || cols > MOST_SIDE)
        return mote_fail(error, MOTE_USAGE, "a ladder of %d x %d was asked for; 1 to %d are possible", rows, cols,
                         MOST_SIDE);
    if (!(seconds >= 0 && seconds <= 60))
        return mote_fail(error, MOTE_USAGE, "%g seconds a rung were asked for; 0 to 60 are possible", seconds);
    if (seconds == 0) seconds = 0.3;
    *out = (mote_ladder){.rows = rows, .cols = cols};
    climb *l = mote_allocate_zero(1, sizeof *l);
    if (!l) return mote_fail_memory(error, "the ladder", sizeof *l);
    mote_status status = allocate(l, rows, cols, error);
    if (!status) status = mote_pool_create(roof->threads, &l->job.pool, error);
    if (!status) fill(l);
    for (int i = 0; i < MOTE_LADDER_RUNGS && !status; i++) status = compare(l, i, out, error);
    const double panels = (rows + MOTE_PANEL - 1) / MOTE_PANEL * (double)mote_ladder_panel_bytes(mote_blocks_of(cols));
    for (int i = 0; i < MOTE_LADDER_RUNGS && !status; i++) {
        const mote_ladder_step *step = &mote_ladder_steps[i];
        mote_ladder_rung *rung = &out->rung[i];
        *rung = (mote_ladder_rung){.name = step->name, .what = step->what};
        rung->threads = step->threads ? roof->threads : 1;
        rung->weight_bytes = step->packed ? panels : (double)rows * (double)l->job.row_bytes;
        rung->seconds = median_seconds(&l->job, step, seconds);
        rate(&l->job, roof, rung);
    }
    release(l);
    return status;
}

/* ---- JSON */

static void put_number(mote_buffer *out, const char *key, double value) {
    mote_buffer_print(out, ",\"%s\":", key);
    mote_buffer_json_number(out, value);
}

mote_status mote_ladder_json(const mote_ladder *ladder, char **json, mote_error *error) {
    if (!ladder || !json) return mote_fail(error, MOTE_USAGE, "JSON of a ladder needs its figures and a place");
    *json = NULL;
    mote_buffer out = {0};
    mote_buffer_print(&out, "{\"rows\":%d,\"cols\":%d,\"integers_compared\":%llu", ladder->rows, ladder->cols,
                      (unsigned long long)ladder->integers);
    put_number(&out, "largest_error", ladder->largest_error);
    mote_buffer_print(&out, ",\"rungs\":[");
    for (int i = 0; i < MOTE_LADDER_RUNGS; i++) {
        const mote_ladder_rung *r = &ladder->rung[i];
        mote_buffer_print(&out, "%s{\"name\":\"%s\",\"threads\":%d,\"bound\":\"%s\"", i ? "," : "", r->name, r->threads,
                          r->bound);
        put_number(&out, "seconds", r->seconds);
        put_number(&out, "speed_up", ladder->rung[0].seconds / r->seconds);
        put_number(&out, "bytes_per_second", r->weight_bytes / r->seconds);
        put_number(&out, "roof_share", r->roof_share);
        mote_buffer_print(&out, "}");
    }
    mote_buffer_print(&out, "]}");
    return mote_buffer_finish(&out, json, error);
}
