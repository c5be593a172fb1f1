/* The memory of a timing. */
#include "ops/timing.h"

#include "base/memory.h"

mote_status mote_timing_create(int n_ops, int n_threads, mote_timing **timing, mote_error *error) {
    *timing = NULL;
    mote_timing *t = mote_allocate_zero(1, sizeof *t);
    if (!t) return mote_fail_memory(error, "timing a run", sizeof *t);
    size_t n = (size_t)n_threads * (size_t)(n_ops + 1);
    t->n_ops = n_ops;
    t->n_threads = n_threads;
    t->entry = mote_allocate_zero(n, sizeof *t->entry);
    t->mark = mote_allocate_zero((size_t)n_threads * 8, sizeof *t->mark);
    if (!t->entry || !t->mark) {
        mote_timing_destroy(t);
        return mote_fail_memory(error, "timing a run", n * sizeof *t->entry);
    }
    *timing = t;
    return MOTE_OK;
}

void mote_timing_destroy(mote_timing *t) {
    if (!t) return;
    mote_release(t->entry);
    mote_release(t->mark);
    mote_release(t);
}
