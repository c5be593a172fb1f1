/* The peaks of this machine, measured: multiply-adds in registers, reads at the size of each cache, writes to DRAM, the
 * meeting of threads. A figure is the best of repeats that each take a share of the time asked for: what other
 * processes take is not the machine's. A repeat is long against waking the threads. Sizes of caches come from sysfs,
 * else sysconf: behind a hypervisor sysconf may count every L3 of the host. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/threads.h"
#include "measure/roof_kernels.h"
#include "mote/mote.h"

enum { CHECKS = 2, REPEATS = 7, LEAST_REPEATS = 3, FIGURES = 21, MOST_THREADS = 256 };
static const size_t least_dram_bytes = (size_t)64 << 20, most_dram_bytes = (size_t)512 << 20;

/* ---- caches */

static void read_text(const char *path, char *text, size_t size) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = file < 0 ? 0 : read(file, text, size - 1);
    text[n > 0 ? n : 0] = '\0';
    if (file >= 0) close(file);
}

/* "0-3,8" names five. */
static int count_cores(const char *list) {
    int n = 0;
    for (char *end; *list; list = *end ? end + 1 : end) {
        long first = strtol(list, &end, 10), last = first;
        if (end == list) break;
        if (*end == '-') last = strtol(end + 1, &end, 10);
        if (last >= first && last - first < 65536) n += (int)(last - first) + 1;
    }
    return n;
}

static void find_caches(mote_roof *roof) {
    for (int i = 0; i < 8; i++) {
        char path[96], level[16], type[32], size[32], cores[256];
        const char *folder = "/sys/devices/system/cpu/cpu0/cache/index";
        snprintf(path, sizeof path, "%s%d/level", folder, i);
        read_text(path, level, sizeof level);
        snprintf(path, sizeof path, "%s%d/type", folder, i);
        read_text(path, type, sizeof type);
        snprintf(path, sizeof path, "%s%d/size", folder, i);
        read_text(path, size, sizeof size);
        char *unit = size;
        unsigned long long bytes = strtoull(size, &unit, 10);
        bytes <<= *unit == 'K' ? 10 : *unit == 'M' ? 20 : 0;
        int at = level[0] - '1';
        if (at < 0 || at > 2 || type[0] == 'I' || bytes == 0 || bytes > (1ull << 32)) continue;
        roof->cache_bytes[at] = (size_t)bytes;
        snprintf(path, sizeof path, "%s%d/shared_cpu_list", folder, i);
        read_text(path, cores, sizeof cores);
        if (at == 2) roof->l3_cores = count_cores(cores);
    }
#ifdef _SC_LEVEL1_DCACHE_SIZE
    const int names[3] = {_SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE};
    for (int i = 0; i < 3; i++) {
        long bytes = roof->cache_bytes[i] ? 0 : sysconf(names[i]);
        if (bytes > 0) roof->cache_bytes[i] = (size_t)bytes;
    }
#endif
    if (!roof->cache_bytes[0]) roof->cache_bytes[0] = 32 << 10; /* nobody says: the smallest that is common */
    if (roof->l3_cores < 1) roof->l3_cores = mote_cpu_cores();
}

/* ---- measuring */

typedef enum { SUM, READ, WRITE, STREAM, BARRIER } work_kind;

/* One figure: what every thread of the pool does. */
typedef struct {
    const mote_roof_kernels *kernels;
    mote_pool *pool;
    char *buffer;
    size_t slice; /* bytes of the buffer that are one thread's */
    double seconds; /* of a repeat */
    work_kind kind;
    mote_roof_sum sum;
    size_t bytes; /* of each thread */
    long rounds;
    float result[MOST_THREADS];
} work;

static void do_work(void *context, int thread, int n_threads) {
    (void)n_threads;
    work *w = context;
    char *mine = w->buffer + (size_t)thread * w->slice;
    switch (w->kind) {
    case SUM: w->result[thread] = w->sum(w->rounds); break;
    case READ: w->result[thread] = (float)w->kernels->read(mine, w->bytes, w->rounds); break;
    case WRITE:
        for (long r = 0; r < w->rounds; r++) w->kernels->write(mine, w->bytes, (int)r);
        break;
    case STREAM:
        for (long r = 0; r < w->rounds; r++) w->kernels->stream(mine, w->bytes, (int)r);
        break;
    case BARRIER:
        for (long r = 0; r < w->rounds; r++) mote_pool_barrier(w->pool);
        break;
    }
}

static double run_once(work *w, long rounds) {
    w->rounds = rounds;
    double start = mote_seconds();
    mote_pool_run(w->pool, do_work, w);
    double seconds = mote_seconds() - start;
    return seconds > 1e-9 ? seconds : 1e-9;
}

/* The least of several runs: a thread that waited for its core in one says nothing of what a run takes. */
static double run_best(work *w, long rounds, int least, int most, double until) {
    double best = run_once(w, rounds);
    for (int n = 1; n < most && (n < least || mote_seconds() < until); n++) {
        const double seconds = run_once(w, rounds);
        if (seconds < best) best = seconds;
    }
    return best;
}

/* Least seconds of one round. */
static double seconds_of_round(work *w) {
    const double until = mote_seconds() + 12 * w->seconds;
    long rounds = 1;
    for (double seconds; (seconds = run_best(w, rounds, CHECKS, CHECKS, 0)) < w->seconds / 2 && rounds < 1L << 40;) {
        double more = 0.9 * w->seconds / seconds;
        rounds *= more < 2 ? 2 : more > 64 ? 64 : (long)more;
    }
    return run_best(w, rounds, LEAST_REPEATS, REPEATS, until) / (double)rounds;
}

static double sum_speed(work *w, mote_roof_sum sum, double operations) {
    if (!sum) return 0;
    w->kind = SUM;
    w->sum = sum;
    return operations * mote_pool_threads(w->pool) / seconds_of_round(w);
}

static double memory_speed(work *w, work_kind kind, size_t bytes) {
    w->kind = kind;
    w->bytes = bytes / MOTE_ROOF_BLOCK * MOTE_ROOF_BLOCK;
    if (!w->bytes) return 0;
    return (double)w->bytes * mote_pool_threads(w->pool) / seconds_of_round(w);
}

/* Bytes for each of n threads that lie in this memory and in none that is faster; 0: there is no such memory. */
static size_t level_bytes(const mote_roof *roof, mote_memory_level level, int n, size_t dram_bytes) {
    const size_t *cache = roof->cache_bytes;
    int sharing = n < roof->l3_cores ? n : roof->l3_cores;
    size_t share = cache[2] / (size_t)(4 * sharing); /* a quarter: neighbours of a virtual machine use it too */
    switch (level) {
    case MOTE_MEMORY_L1: return cache[0] / 2;
    case MOTE_MEMORY_L2: return cache[1] / 2;
    case MOTE_MEMORY_L3: return !cache[2] ? 0 : share > 2 * cache[1] ? share : 2 * cache[1];
    default: return dram_bytes / (size_t)n;
    }
}

/* The figures of one pool: i is 0 for one thread, 1 for all. */
static void measure_pool(work *w, int i, size_t dram_bytes, mote_roof *roof) {
    const mote_roof_kernels *k = w->kernels;
    int n = mote_pool_threads(w->pool);
    roof->f32_flops[i] = sum_speed(w, k->f32, k->f32_round);
    roof->f16_flops[i] = sum_speed(w, k->f16, k->f16_round);
    roof->bf16_flops[i] = sum_speed(w, k->bf16, k->bf16_round);
    roof->int8_ops[i] = sum_speed(w, k->int8, k->int8_round);
    w->slice = dram_bytes / (size_t)n / MOTE_ROOF_BLOCK * MOTE_ROOF_BLOCK;
    w->kind = WRITE; /* touches all of it: the system hands out pages on the first write, near the thread that writes */
    w->bytes = w->slice;
    run_once(w, 1);
    for (int level = 0; level < MOTE_N_MEMORIES; level++) {
        size_t bytes = level_bytes(roof, (mote_memory_level)level, n, dram_bytes);
        if (bytes > w->slice) bytes = w->slice;
        roof->read_bandwidth[level][i] = memory_speed(w, READ, bytes);
        roof->read_bytes[level][i] = bytes ? w->bytes * (size_t)n : 0;
    }
    roof->write_bandwidth[i] = memory_speed(w, WRITE, w->slice);
    roof->stream_write_bandwidth[i] = k->stream ? memory_speed(w, STREAM, w->slice) : 0;
    if (i == 0 || n == 1) return;
    w->kind = BARRIER;
    roof->barrier_seconds = seconds_of_round(w);
}

/* Four times every L3 in use, so that at most a quarter of what is read can still lie there. */
static size_t choose_dram_bytes(const mote_roof *roof) {
    size_t caches = (size_t)((roof->threads + roof->l3_cores - 1) / roof->l3_cores), bytes = 4 * roof->cache_bytes[2];
    bytes = bytes > most_dram_bytes / caches ? most_dram_bytes : bytes * caches;
    return bytes < least_dram_bytes ? least_dram_bytes : bytes;
}

static mote_status check_request(int *threads, double *seconds, mote_error *error) {
    if (*threads == 0) *threads = mote_cpu_cores();
    if (*seconds == 0) *seconds = 2;
    if (*threads < 1 || *threads > MOST_THREADS)
        return mote_fail(error, MOTE_USAGE, "the roof of %d threads was asked for; 1 to %d can be had", *threads,
                         MOST_THREADS);
    if (!(*seconds >= 0.01 && *seconds <= 60))
        return mote_fail(error, MOTE_USAGE, "measuring the roof for %g seconds was asked for; 0.01 to 60 are possible",
                         *seconds);
    return MOTE_OK;
}

mote_status mote_roof_measure(int threads, double seconds, mote_roof *roof, mote_error *error) {
    if (!roof) return mote_fail(error, MOTE_USAGE, "measuring the roof needs a place for the figures");
    mote_status status = check_request(&threads, &seconds, error);
    if (status) return status;
    double begin = mote_seconds();
    mote_roof_kernels kernels = {0};
    work *w = NULL;
    char *buffer = NULL;
    mote_pool *pools[2] = {NULL, NULL};
    mote_roof_fill_plain(&kernels);
    mote_roof_fill_neon(&kernels);
    mote_roof_fill_avx2(&kernels);
    mote_roof_fill_avx512(&kernels);
    *roof = (mote_roof){.threads = threads};
    snprintf(roof->instruction_set, sizeof roof->instruction_set, "%s", kernels.name);
    find_caches(roof);
    size_t dram_bytes = choose_dram_bytes(roof);
    while (!(buffer = mote_allocate(dram_bytes)) && dram_bytes > least_dram_bytes) dram_bytes /= 2;
    w = mote_allocate_zero(1, sizeof *w);
    if (!buffer || !w) {
        status = mote_fail_memory(error, "measuring the roof", dram_bytes);
        goto done;
    }
    status = mote_pool_create(1, &pools[0], error);
    if (!status) status = mote_pool_create(threads, &pools[1], error);
    if (status) goto done;
    *w = (work){.kernels = &kernels, .buffer = buffer, .seconds = seconds / (FIGURES * (REPEATS + 1.5))};
    for (int i = 0; i < 2; i++) {
        w->pool = pools[i];
        measure_pool(w, i, dram_bytes, roof);
    }
    roof->seconds = mote_seconds() - begin;
done:
    mote_pool_destroy(pools[0]);
    mote_pool_destroy(pools[1]);
    mote_release(w);
    mote_release(buffer);
    return status;
}

/* ---- JSON */

static void print_number(mote_buffer *out, const char *key, double value) {
    mote_buffer_print(out, ",\"%s\":", key);
    mote_buffer_json_number(out, value);
}

static void print_pair(mote_buffer *out, const char *key, const double pair[2]) {
    mote_buffer_print(out, ",\"%s\":", key);
    if (pair[0] > 0) {
        mote_buffer_print(out, "[");
        mote_buffer_json_number(out, pair[0]);
        mote_buffer_print(out, ",");
        mote_buffer_json_number(out, pair[1]);
        mote_buffer_print(out, "]");
    } else mote_buffer_print(out, "null");
}

mote_status mote_roof_json(const mote_roof *roof, char **json, mote_error *error) {
    static const char *const levels[MOTE_N_MEMORIES] = {"l1", "l2", "l3", "dram"};
    if (!roof || !json) return mote_fail(error, MOTE_USAGE, "JSON of the roof needs its figures and a place");
    *json = NULL;
    mote_buffer out = {0};
    mote_buffer_print(&out, "{\"threads\":[1,%d],\"instruction_set\":\"%.15s\"", roof->threads, roof->instruction_set);
    print_pair(&out, "f32_flops", roof->f32_flops);
    print_pair(&out, "f16_flops", roof->f16_flops);
    print_pair(&out, "bf16_flops", roof->bf16_flops);
    print_pair(&out, "int8_ops", roof->int8_ops);
    for (int i = 0; i < 3; i++)
        mote_buffer_print(&out, ",\"%s_bytes\":%zu", levels[i], roof->cache_bytes[i]);
    mote_buffer_print(&out, ",\"l3_cores\":%d", roof->l3_cores);
    for (int i = 0; i < MOTE_N_MEMORIES; i++) {
        char key[32];
        snprintf(key, sizeof key, "%s_read_bandwidth", levels[i]);
        print_pair(&out, key, roof->read_bandwidth[i]);
        mote_buffer_print(&out, ",\"%s_read_bytes\":[%zu,%zu]", levels[i], roof->read_bytes[i][0],
                          roof->read_bytes[i][1]);
    }
    print_pair(&out, "dram_write_bandwidth", roof->write_bandwidth);
    print_pair(&out, "dram_stream_write_bandwidth", roof->stream_write_bandwidth);
    print_number(&out, "barrier_seconds", roof->barrier_seconds);
    print_number(&out, "seconds", roof->seconds);
    mote_buffer_print(&out, "}");
    return mote_buffer_finish(&out, json, error);
}
