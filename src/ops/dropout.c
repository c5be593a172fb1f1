/* y = residual + mask x / (1 - p), in training; y = residual + x otherwise. The mask is a hash of (micro-batch, op,
 * element): backward makes it again, and no order of threads can change it. */
#include <string.h>

#include "base/random.h"
#include "ops/ops.h"

static mote_status check(const mote_program *p, const mote_op *op, mote_error *error) {
    bool ok = mote_is_activation(p, op->in[0]) && op->out[0] >= 0 && op->as.dropout.probability >= 0 &&
              op->as.dropout.probability < 1;
    if (ok) {
        int cols = p->tensors[op->in[0]].cols;
        ok = p->tensors[op->out[0]].cols == cols &&
             (op->in[1] == MOTE_NONE || (mote_is_activation(p, op->in[1]) && p->tensors[op->in[1]].cols == cols));
    }
    return mote_op_expect(p, op, ok, "x, residual and y must have one width, and 0 <= p < 1", error);
}

/* y (+)= mask x / (1 - p); a hash of 64 bits decides for two elements. */
static void mask_row(const mote_exec *x, const mote_op *op, int row, const mote_real *in, mote_real *y, int n,
                     bool add) {
    uint32_t threshold = (uint32_t)((double)op->as.dropout.probability * 4294967296.0);
    mote_real keep = 1 / (1 - (mote_real)op->as.dropout.probability);
    uint64_t place = (uint64_t)(op - x->program->ops) << 32 | (uint32_t)(x->first_row + row);
    uint64_t base = mote_hash64(x->dropout_seed ^ mote_hash64(place));
    for (int i = 0; i < n; i += 2) {
        uint64_t bits = mote_hash64(base + (uint64_t)i);
        for (int j = i; j < n && j < i + 2; j++, bits >>= 32) {
            mote_real value = (uint32_t)bits >= threshold ? in[j] * keep : 0;
            y[j] = add ? y[j] + value : value;
        }
    }
}

static void forward(const mote_exec *x, const mote_op *op, const mote_slice *s, mote_worker *w) {
    (void)w;
    int n = mote_cols(x, op->in[0]);
    for (int r = s->row_begin; r < s->row_end; r++) {
        const mote_real *in = mote_value(x, op->in[0], r);
        mote_real *y = mote_value(x, op->out[0], r);
        const mote_real *residual = op->in[1] == MOTE_NONE ? NULL : mote_value(x, op->in[1], r);
        if (residual) memcpy(y, residual, (size_t)n * sizeof *y);
        if (x->training) mask_row(x, op, r, in, y, n, residual != NULL);
        else if (residual) x->kernels->add(in, y, (size_t)n);
        else memcpy(y, in, (size_t)n * sizeof *y);
    }
}

static void backward(const mote_exec *x, const mote_op *op, uint8_t adds, const mote_slice *s, mote_worker *w) {
    (void)w;
    int n = mote_cols(x, op->in[0]);
    for (int r = s->row_begin; r < s->row_end; r++) {
        const mote_real *dy = mote_gradient(x, op->out[0], r);
        mask_row(x, op, r, dy, mote_gradient(x, op->in[0], r), n, adds & 1);
        if (op->in[1] == MOTE_NONE) continue;
        mote_pass_gradient(x, dy, mote_gradient(x, op->in[1], r), (size_t)n, adds & 2);
    }
}

static mote_cost cost(const mote_program *p, const mote_op *op, int position) {
    (void)position;
    return (mote_cost){.flops = 2.0 * p->tensors[op->in[0]].cols};
}

static void example(mote_builder *b, int n) {
    mote_tensor_id x = mote_builder_input(b, 25, "x");
    mote_tensor_id residual = n == 1 ? mote_builder_input(b, 25, "residual") : MOTE_NONE;
    mote_tensor_id y = mote_builder_activation(b, 25, "y");
    mote_op *op = mote_builder_op(b, MOTE_OP_DROPOUT);
    op->in[0] = x;
    op->in[1] = residual;
    op->out[0] = y;
    op->as.dropout.probability = 0.3f;
}

const mote_op_info mote_op_dropout = {
    .name = "dropout", .row_wise = true, .can_add = 1 | 2, .check = check, .forward = forward, .backward = backward,
    .cost = cost, .n_examples = 2, .example = example,
};
