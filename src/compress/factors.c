/* Sums of a calibration -> what rounding reads: damped diagonals, and the factors of gptq. */
#include <math.h>

#include "compress/compress.h"

typedef struct {
    mote_calibration *calibration;
    const double *damping; /* by moments: a part of the mean diagonal; 0: no factor is wanted */
    mote_real *room; /* by thread */
    size_t widest;
    atomic_int next, failed; /* failed: moments + 1 */
} factoring;

static void factor_task(void *context, int thread, int threads) {
    (void)threads;
    factoring *f = context;
    for (int j; (j = mote_take(&f->next)) < f->calibration->end;) {
        mote_moments *m = &f->calibration->moments[j];
        const size_t n = (size_t)m->cols;
        mote_real *room = f->room + (size_t)thread * f->widest;
        if (f->damping[j] == 0) continue;
        if (!mote_gptq_factor(m->gram, m->diagonal, m->cols, f->damping[j], room)) atomic_store(&f->failed, j + 1);
        for (size_t i = 0; i < n; i++) m->paid[i] = (float)(1 / (m->gram[i * n + i] * m->gram[i * n + i]));
    }
}

mote_status mote_calibration_factor(mote_calibration *c, const mote_program *p, const double *damping, mote_pool *pool,
                                    mote_error *error) {
    factoring f = {.calibration = c, .damping = damping, .widest = 1, .next = c->first};
    for (int j = c->first; j < c->end; j++)
        if ((size_t)c->moments[j].cols > f.widest) f.widest = (size_t)c->moments[j].cols;
    f.room = mote_allocate((size_t)mote_pool_threads(pool) * f.widest * sizeof *f.room);
    if (!f.room) return mote_fail_memory(error, "calibration", f.widest * sizeof *f.room);
    mote_pool_run(pool, factor_task, &f);
    mote_release(f.room);
    if (!f.failed) return MOTE_OK;
    return mote_fail(error, MOTE_FAILED, "the activation '%s' is not finite on the calibration text",
                     p->tensors[c->moments[f.failed - 1].activation].name);
}

mote_status mote_calibration_damp(mote_calibration *c, const mote_program *p, mote_error *error) {
    for (int j = c->first; j < c->end; j++) {
        mote_moments *m = &c->moments[j];
        double mean = 0;
        for (int i = 0; i < m->cols; i++) mean += (double)m->diagonal[i] / m->cols;
        if (!isfinite(mean))
            return mote_fail(error, MOTE_FAILED, "the activation '%s' is not finite on the calibration text",
                             p->tensors[m->activation].name);
        for (int i = 0; i < m->cols; i++) m->diagonal[i] += mean > 0 ? (float)(0.01 * mean) : 1;
    }
    return MOTE_OK;
}
