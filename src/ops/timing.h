/* Where the time of a run goes: by thread, op and what was done. A thread has one mark; a lap adds the ticks since the
 * mark to one entry and moves the mark, so every tick of a thread inside a run is in exactly one entry. The entry after
 * the last op is "between ops": waiting at barriers, and (as forward) taking tiles and finding ops. An executor without
 * one pays a branch for each op of a tile. */
#ifndef MOTE_OPS_TIMING_H
#define MOTE_OPS_TIMING_H

#include <time.h>

#include "base/status.h"

typedef enum {
    MOTE_PASS_FORWARD,
    MOTE_PASS_BACKWARD,
    MOTE_PASS_WEIGHTS,
    MOTE_PASS_AGAIN, /* forward once more, in the backward pass */
    MOTE_PASS_WAITING,
    MOTE_N_PASSES
} mote_pass;

typedef struct {
    uint64_t ticks[MOTE_N_PASSES], calls[MOTE_N_PASSES];
} mote_op_ticks;

typedef struct {
    int n_ops, n_threads;
    mote_op_ticks *entry; /* [n_threads][n_ops + 1] */
    uint64_t *mark;       /* [n_threads][8]: each in a cache line of its own */
} mote_timing;

/* The cheapest clock there is, in ticks of its own: 10 ns instead of the 25 to 50 of clock_gettime. It is calibrated
 * against the real one over the run that it measured. */
static inline uint64_t mote_ticks(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
#endif
}

mote_status mote_timing_create(int n_ops, int n_threads, mote_timing **timing, mote_error *error); /* all zero */
void mote_timing_destroy(mote_timing *timing);

static inline void mote_timing_lap(mote_timing *t, int thread, int op, mote_pass pass, int calls) {
    uint64_t now = mote_ticks(), *mark = &t->mark[8 * thread];
    mote_op_ticks *entry = &t->entry[(size_t)thread * (size_t)(t->n_ops + 1) + (size_t)op];
    if (now > *mark) entry->ticks[pass] += now - *mark; /* a thread may move to a core whose clock is behind */
    entry->calls[pass] += (uint64_t)calls;
    *mark = now;
}

#endif
