/* The thread pool. Whoever waits spins about 20 µs (iterations, calibrated at creation: a pause takes 10 to 140
 * cycles), then sleeps on a futex, or a condition variable where there is none. A gate is a counter that only grows;
 * waiting means waiting for it to leave a known value. Sleepers are counted so that opening costs no system call while
 * all spin. Counter and sleepers are sequentially consistent: either the waiter sees the new value or the opener sees
 * the sleeper. A barrier of two running threads takes 0.07 µs, 0.3 µs when another process has one of the cores. */
#include "base/threads.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

#if defined(__linux__) && !defined(MOTE_NO_FUTEX)
#include <linux/futex.h>
#include <sys/syscall.h>
#define HAVE_FUTEX 1
#else
#define HAVE_FUTEX 0
#endif

enum { LARGEST_POOL = 256, STACK_BYTES = 1 << 20 };
#define SPIN_SECONDS 20e-6

/* A run has stalled where the caller slept so long that it would have done all the work sooner by itself: with less
 * than one core at work, or less than the caller has when it is alone, as others may want its core too. A thread that
 * is kept from its core comes back after a slice of the scheduler's, 1 to 4 ms. After a stall the caller runs alone, so
 * much longer than the stalled run took that a trial that fails costs a fifth of the time at first, 1/129 in the end.
 */
enum { FIRST_WAIT = 4, MOST_STALLS = 5 };
static const double least_stall = 200e-6;    /* sleeping threads wake in less */
static const double forgetting = 1.0 / 16; /* of the speed alone, by a run that is slower than a core alone would be */

typedef struct {
    _Alignas(64) _Atomic uint32_t value; /* 64: gates do not share cache lines */
    _Atomic uint32_t sleepers;
#if !HAVE_FUTEX
    pthread_mutex_t mutex;
    pthread_cond_t changed;
#endif
} gate;

typedef struct {
    mote_pool *pool;
    int index;
    pthread_t thread;
} worker;

struct mote_pool {
    gate start, finished, phase;         /* a run begins, a run ended, a barrier opened */
    _Alignas(64) atomic_int n_unfinished; /* workers still in the task */
    _Alignas(64) atomic_int n_arrived;    /* threads at the barrier */
    _Alignas(64) mote_task task;          /* written before start opens, read after */
    void *context;
    bool quit;
    bool may_run_alone, alone;            /* alone: in the present run */
    pthread_t caller;                     /* of the present run */
    double slept;                         /* seconds that it slept in the run */
    double debt;                          /* seconds that the caller is still to run alone */
    int stalls;                           /* runs of late that another process decided, at most MOST_STALLS */
    double alone_wall, alone_busy;        /* wall and CPU seconds of the runs alone since the last together */
    double alone_speed;                   /* what part of the time the caller had a core in those before */
    int n_threads, n_started, spins;
    worker *workers;
};

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* yield does nothing on most cores */
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

static void gate_init(gate *g) {
#if HAVE_FUTEX
    (void)g;
#else
    pthread_mutex_init(&g->mutex, NULL);
    pthread_cond_init(&g->changed, NULL);
#endif
}

static void gate_deinit(gate *g) {
#if HAVE_FUTEX
    (void)g;
#else
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->mutex);
#endif
}

static void gate_open(gate *g) {
    atomic_fetch_add(&g->value, 1);
    if (atomic_load(&g->sleepers) == 0) return;
#if HAVE_FUTEX
    syscall(SYS_futex, &g->value, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
#else
    pthread_mutex_lock(&g->mutex);
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->mutex);
#endif
}

static void __attribute__((noinline)) gate_sleep(gate *g, uint32_t old) {
    atomic_fetch_add(&g->sleepers, 1);
#if HAVE_FUTEX
    while (atomic_load(&g->value) == old) syscall(SYS_futex, &g->value, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
#else
    pthread_mutex_lock(&g->mutex);
    while (atomic_load(&g->value) == old) pthread_cond_wait(&g->changed, &g->mutex);
    pthread_mutex_unlock(&g->mutex);
#endif
    atomic_fetch_sub(&g->sleepers, 1);
}

static bool gate_spin(const gate *g, uint32_t old, int spins) {
    for (int i = 0; i < spins; i++) {
        if (atomic_load_explicit(&g->value, memory_order_acquire) != old) return true;
        relax();
    }
    return false;
}

/* Inside a run: what its caller sleeps is counted. */
static void __attribute__((noinline)) sleep_in_run(mote_pool *pool, gate *g, uint32_t old) {
    bool counts = pool->may_run_alone && pthread_equal(pthread_self(), pool->caller);
    double begin = counts ? mote_seconds() : 0;
    gate_sleep(g, old);
    if (counts) pool->slept += mote_seconds() - begin;
}

static void wait_in_run(mote_pool *pool, gate *g, uint32_t old) {
    if (!gate_spin(g, old, pool->spins)) sleep_in_run(pool, g, old);
}

/* Iterations of gate_spin in SPIN_SECONDS; the fastest of four tries, as another process may cut into one. */
static int calibrate_spins(void) {
    enum { TRIES = 4, ITERATIONS = 256 };
    gate g = {.value = 0};
    double best = 1;
    for (int try = 0; try < TRIES; try++) {
        double begin = mote_seconds();
        for (int i = 0; i < ITERATIONS; i++) {
            if (atomic_load_explicit(&g.value, memory_order_acquire) != 0) break;
            relax();
        }
        double seconds = mote_seconds() - begin;
        if (seconds < best) best = seconds;
    }
    double spins = best > 0 ? SPIN_SECONDS * ITERATIONS / best : 1e4;
    return spins < 50 ? 50 : spins > 1e5 ? 100000 : (int)spins;
}

static void *worker_main(void *argument) {
    const worker *self = argument;
    mote_pool *pool = self->pool;
    for (uint32_t seen = 0;; seen++) {
        if (!gate_spin(&pool->start, seen, pool->spins)) gate_sleep(&pool->start, seen);
        if (pool->quit) return NULL;
        pool->task(pool->context, self->index, pool->n_threads);
        if (atomic_fetch_sub_explicit(&pool->n_unfinished, 1, memory_order_acq_rel) == 1) gate_open(&pool->finished);
    }
}

/* Returns 0 or an errno. Workers take no signals: a handler runs on one of the caller's threads. */
static int start_workers(mote_pool *pool) {
    pthread_attr_t attributes;
    sigset_t all, before;
    int code = pthread_attr_init(&attributes);
    if (code) return code;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (!code && pool->n_started < pool->n_threads - 1) {
        worker *w = &pool->workers[pool->n_started];
        *w = (worker){.pool = pool, .index = pool->n_started + 1};
        code = pthread_create(&w->thread, &attributes, worker_main, w);
        if (!code) pool->n_started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return code;
}

mote_status mote_pool_create(int n_threads, mote_pool **pool, mote_error *error) {
    *pool = NULL;
    if (n_threads < 1 || n_threads > LARGEST_POOL)
        return mote_fail(error, MOTE_USAGE, "%d threads asked for, 1 to %d can be had", n_threads, LARGEST_POOL);
    mote_pool *made = mote_allocate_zero(1, sizeof *made);
    if (!made) return mote_fail_memory(error, "the thread pool", sizeof *made);
    gate_init(&made->start);
    gate_init(&made->finished);
    gate_init(&made->phase);
    made->n_threads = n_threads;
    if (n_threads > 1) {
        int cores = mote_cpu_cores();
        made->spins = calibrate_spins();
        if (n_threads > cores) made->spins /= 20; /* who is waited for may need this core */
        size_t bytes = (size_t)(n_threads - 1) * sizeof *made->workers;
        made->workers = mote_allocate(bytes);
        if (!made->workers) {
            mote_pool_destroy(made);
            return mote_fail_memory(error, "the thread pool", bytes);
        }
        int code = start_workers(made);
        if (code) {
            int started = made->n_started;
            mote_pool_destroy(made);
            mote_fail(error, MOTE_FAILED, "cannot start thread %d of %d: %s", started + 2, n_threads, strerror(code));
            return mote_hint(error, MOTE_FAILED, "use fewer threads, or raise the limit of processes or memory");
        }
    }
    *pool = made;
    return MOTE_OK;
}

void mote_pool_destroy(mote_pool *pool) {
    if (!pool) return;
    pool->quit = true;
    gate_open(&pool->start);
    for (int i = 0; i < pool->n_started; i++) pthread_join(pool->workers[i].thread, NULL);
    gate_deinit(&pool->start);
    gate_deinit(&pool->finished);
    gate_deinit(&pool->phase);
    mote_release(pool->workers);
    mote_release(pool);
}

int mote_pool_threads(const mote_pool *pool) { return pool->n_threads; }

/* CPU time of this thread. */
static double thread_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void mote_pool_may_run_alone(mote_pool *pool, bool may) {
    pool->may_run_alone = may;
    pool->debt = pool->alone_wall = pool->alone_busy = 0;
    pool->alone_speed = 1;
    pool->stalls = 0;
}

bool mote_pool_runs_alone(const mote_pool *pool) { return pool->debt > 0; }

static void run_together(mote_pool *pool, mote_task task, void *context) {
    uint32_t finished = atomic_load_explicit(&pool->finished.value, memory_order_relaxed);
    pool->task = task;
    pool->context = context;
    pool->caller = pthread_self();
    atomic_store_explicit(&pool->n_unfinished, pool->n_threads - 1, memory_order_relaxed);
    gate_open(&pool->start);
    task(context, 0, pool->n_threads);
    wait_in_run(pool, &pool->finished, finished);
}

static void run_alone(mote_pool *pool, mote_task task, void *context) {
    double begin = mote_seconds(), busy = thread_seconds();
    pool->alone = true;
    task(context, 0, 1);
    pool->alone = false;
    double took = mote_seconds() - begin;
    pool->debt -= took;
    pool->alone_wall += took;
    pool->alone_busy += thread_seconds() - busy;
    if (pool->debt > 0) return;
    pool->alone_speed = pool->alone_wall > 0 ? pool->alone_busy / pool->alone_wall : 1;
    pool->alone_wall = pool->alone_busy = 0;
}

/* After a run of all threads that took so many seconds. */
static void judge(mote_pool *pool, double took) {
    /* at work, at most: the caller may have waited for a core without sleeping */
    double cores = pool->n_threads * (took - pool->slept) / took;
    if (pool->slept > least_stall && cores < pool->alone_speed) {
        pool->debt = took * (FIRST_WAIT << pool->stalls);
        if (pool->stalls < MOST_STALLS) pool->stalls++;
        return;
    }
    if (pool->stalls > 0) pool->stalls--;
    if (pool->slept > least_stall && cores < 1) pool->alone_speed += (1 - pool->alone_speed) * forgetting;
}

void mote_pool_run(mote_pool *pool, mote_task task, void *context) {
    if (pool->n_threads == 1) {
        task(context, 0, 1);
        return;
    }
    if (!pool->may_run_alone) {
        run_together(pool, task, context);
        return;
    }
    if (pool->debt > 0) {
        run_alone(pool, task, context);
        return;
    }
    double begin = mote_seconds();
    pool->slept = 0;
    run_together(pool, task, context);
    judge(pool, mote_seconds() - begin);
}

void mote_pool_barrier(mote_pool *pool) {
    if (pool->n_threads == 1 || pool->alone) return;
    uint32_t phase = atomic_load_explicit(&pool->phase.value, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&pool->n_arrived, 1, memory_order_acq_rel) == pool->n_threads - 1) {
        atomic_store_explicit(&pool->n_arrived, 0, memory_order_relaxed);
        gate_open(&pool->phase);
    } else {
        wait_in_run(pool, &pool->phase, phase);
    }
}

double mote_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#ifdef __linux__
/* The start of a small file as a string, "" when it cannot be read. */
static void read_small(const char *path, char *text, size_t size) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = file < 0 ? 0 : read(file, text, size - 1);
    text[n > 0 ? n : 0] = '\0';
    if (file >= 0) close(file);
}

/* Shows `take` a limit of this process' cgroup and of those above it. */
static void each_limit(const char *name, void (*take)(const char *limit, void *context), void *context) {
    char groups[4096], path[4096 + 64], limit[64];
    read_small("/proc/self/cgroup", groups, sizeof groups);
    char *group = strncmp(groups, "0::", 3) == 0 ? groups : strstr(groups, "\n0::");
    if (!group) return;
    group = strstr(group, "0::") + 3;
    group[strcspn(group, "\n")] = '\0';
    for (;;) {
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/%s", group, name);
        read_small(path, limit, sizeof limit);
        take(limit, context);
        char *slash = strrchr(group, '/');
        if (!slash) return;
        *slash = '\0';
    }
}

/* cpu.max: "<quota or max> <period>" */
static void take_cores(const char *limit, void *context) {
    int *cores = context;
    char *end;
    long long quota = strtoll(limit, &end, 10), period = strtoll(end, NULL, 10);
    if (quota > 0 && period > 0 && (quota - 1) / period + 1 < *cores) *cores = (int)((quota - 1) / period + 1);
}

/* memory.max: "<bytes or max>" */
static void take_memory(const char *limit, void *context) {
    size_t *bytes = context;
    unsigned long long most = strtoull(limit, NULL, 10);
    if (most > 0 && most < *bytes) *bytes = (size_t)most;
}
#endif

int mote_cpu_cores(void) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
#ifdef __linux__
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) cores = CPU_COUNT(&allowed);
#endif
    cores = cores < 1 ? 1 : cores > LARGEST_POOL ? LARGEST_POOL : cores;
#ifdef __linux__
    int most = (int)cores;
    each_limit("cpu.max", take_cores, &most);
    cores = most;
#endif
    return (int)cores;
}

size_t mote_machine_memory(void) {
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t bytes = SIZE_MAX;
    if (pages <= 0 || page <= 0 || !mote_multiply((size_t)pages, (size_t)page, &bytes)) bytes = SIZE_MAX;
#ifdef __linux__
    each_limit("memory.max", take_memory, &bytes);
#endif
    return bytes;
}
