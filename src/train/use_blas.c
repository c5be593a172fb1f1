/* Which products of a trainer a BLAS library does: those it was measured to do faster, on the threads and in the parts
 * of this very trainer. Layers share shapes, so few are measured. */
#include <string.h>

#include "base/buffer.h"
#include "kernels/crossover.h"
#include "train/trainer.h"

/* More tokens change no speed, only the time that measuring takes. */
enum { MOST_TOKENS = 2048, N_FORMS = 3, CONFIRMATIONS = 3 };
static const double round_seconds = 0.001;

static mote_shape shape_of(const mote_trainer *t, const mote_op *op, mote_product_form form) {
    const mote_tensor *weight = mote_tensor_of(t->program, op->in[1]);
    bool head = op->kind == MOTE_OP_HEAD;
    int threads = mote_pool_threads(t->pool), rows = t->exec->max_rows;
    if (rows > MOST_TOKENS) rows = MOST_TOKENS;
    if (head && rows > t->exec->chunk_rows) rows = t->exec->chunk_rows;
    const int cut = form == MOTE_PRODUCT_WEIGHT ? weight->rows : rows;
    return (mote_shape){form, rows, weight->rows, weight->cols, 1, mote_shape_tiling(form, cut, threads, head)};
}

static bool is_product(const mote_op *op) { return op->kind == MOTE_OP_LINEAR || op->kind == MOTE_OP_HEAD; }

/* An earlier op with the same shape, or this one. */
static int first_like(const mote_trainer *t, int i) {
    mote_shape wanted = shape_of(t, &t->program->ops[i], MOTE_PRODUCT_FORWARD), other;
    for (int j = 0; j < i; j++) {
        if (!is_product(&t->program->ops[j])) continue;
        other = shape_of(t, &t->program->ops[j], MOTE_PRODUCT_FORWARD);
        if (memcmp(&wanted, &other, sizeof wanted) == 0) return j;
    }
    return i;
}

static mote_status measure(mote_trainer *t, int i, const mote_blas *blas, double least_gain, mote_buffer *report,
                           mote_error *error) {
    static const char *const forms[N_FORMS] = {"forward", "input gradient", "weight gradient"};
    for (int form = 0; form < N_FORMS; form++) {
        mote_shape shape = shape_of(t, &t->program->ops[i], (mote_product_form)form);
        mote_rehearsal *rehearsal;
        double took[MOTE_CONTESTANTS];
        mote_status status = mote_rehearsal_create(t->exec->kernels, t->pool, &shape, &rehearsal, error);
        if (status) return status;
        bool faster = true; /* as often as asked: another process that comes or goes makes a winner of anybody, once */
        for (int time = 0; time < CONFIRMATIONS && faster; time++) {
            mote_rehearsal_time(rehearsal, blas, round_seconds, took);
            faster = took[0] > least_gain * took[2];
        }
        mote_rehearsal_destroy(rehearsal);
        double operations = mote_shape_operations(&shape) * 1e-9;
        if (faster) t->exec->by_blas[t->program->ops[i].in[1]] |= (uint8_t)(1 << form);
        mote_buffer_print(report, "%s, %d x %d: %.0f GFLOP/s by it, %.0f by mote: %s\n", forms[form], shape.outputs,
                          shape.inputs, operations / took[2], operations / took[0], faster ? "used" : "not used");
    }
    return MOTE_OK;
}

mote_status mote_trainer_use_blas(mote_trainer *t, const mote_blas *blas, double least_gain, char **report,
                                  mote_error *error) {
    if (report) *report = NULL;
    if (!t || !blas || !report || !(least_gain >= 0))
        return mote_fail(error, MOTE_USAGE, "using BLAS needs a trainer, a library, a gain and a place for the report");
    mote_exec *x = t->exec;
    mote_buffer buffer = {0};
    mote_status status = MOTE_OK;
    int used = 0, all = 0;
    if (t->options.precision != MOTE_PRECISION_F32 || t->options.qat != MOTE_TYPE_F32) {
        mote_fail(error, MOTE_USAGE, "BLAS multiplies f32 weights as they are, and not what int8 or qat make of them");
        return mote_hint(error, MOTE_USAGE, "leave --blas out, or --precision and --qat");
    }
    for (int i = 0; i < t->program->n_ops && !status; i++) {
        const mote_op *op = &t->program->ops[i];
        if (!is_product(op)) continue;
        const int like = first_like(t, i);
        uint8_t *by_blas = &x->by_blas[op->in[1]];
        *by_blas = least_gain > 0 ? 0 : (1 << N_FORMS) - 1;
        if (like < i) *by_blas = x->by_blas[t->program->ops[like].in[1]];
        else if (least_gain > 0) status = measure(t, i, blas, least_gain, &buffer, error);
        used += __builtin_popcount(*by_blas);
        all += N_FORMS;
    }
    x->blas = used && !status ? blas : NULL;
    mote_pool_may_run_alone(t->pool, !x->blas); /* its sums may depend on how the rows are divided */
    mote_buffer_print(&buffer, "%d of %d products by %s%s\n", used, all, mote_blas_name(blas),
                      used ? "" : ": mote is as fast or faster");
    if (status) mote_buffer_deinit(&buffer);
    else status = mote_buffer_finish(&buffer, report, error);
    return status;
}
