/* y = f(x), or f(x) * up (the gated product of SwiGLU and GeGLU, Shazeer 2020). */
#include "ops/ops.h"

static mote_status check(const mote_program *p, const mote_op *op, mote_error *error) {
    bool ok = mote_is_activation(p, op->in[0]) && op->out[0] >= 0 &&
              (unsigned)op->as.activate.function < MOTE_N_ACTIVATIONS && op->in[0] != op->in[1];
    if (ok) {
        int cols = p->tensors[op->in[0]].cols;
        ok = p->tensors[op->out[0]].cols == cols &&
             (op->in[1] == MOTE_NONE || (mote_is_activation(p, op->in[1]) && p->tensors[op->in[1]].cols == cols));
    }
    return mote_op_expect(p, op, ok, "x, up and y must have one width, and the function be known", error);
}

static void forward(const mote_exec *x, const mote_op *op, const mote_slice *s, mote_worker *w) {
    (void)w;
    const mote_call *call = mote_call_of(x, op);
    int cols = call->cols, first = s->column_begin, rows = s->row_end - s->row_begin;
    size_t n = (size_t)(s->column_end - first);
    int function = op->as.activate.function;
    if (n == (size_t)cols) n *= (size_t)rows, rows = 1; /* whole rows are one run */
    for (int r = s->row_begin; r < s->row_begin + rows; r++) {
        const size_t at = (size_t)r * (size_t)cols + (size_t)first;
        if (!call->weight) x->kernels->activate[function](call->x + at, call->y + at, n);
        else x->kernels->gate[function](call->x + at, (const mote_real *)call->weight + at, call->y + at, n);
    }
}

static void backward(const mote_exec *x, const mote_op *op, uint8_t adds, const mote_slice *s, mote_worker *w) {
    (void)adds, (void)w; /* can_add is 0: the op is its inputs' only reader */
    size_t n = (size_t)(s->row_end - s->row_begin) * (size_t)mote_cols(x, op->in[0]);
    int function = op->as.activate.function;
    const mote_real *in = mote_value(x, op->in[0], s->row_begin), *dy = mote_gradient(x, op->out[0], s->row_begin);
    mote_real *dx = mote_gradient(x, op->in[0], s->row_begin);
    if (op->in[1] == MOTE_NONE) {
        x->kernels->activate_backward[function](in, dy, dx, n, false);
    } else {
        const mote_real *up = mote_value(x, op->in[1], s->row_begin);
        x->kernels->gate_backward[function](in, up, dy, dx, mote_gradient(x, op->in[1], s->row_begin), n);
    }
}

static mote_cost cost(const mote_program *p, const mote_op *op, int position) {
    (void)position;
    return (mote_cost){.flops = (op->in[1] == MOTE_NONE ? 8.0 : 9.0) * p->tensors[op->in[0]].cols};
}

static void example(mote_builder *b, int n) {
    mote_tensor_id x = mote_builder_input(b, 23, "x");
    mote_tensor_id up = n >= MOTE_N_ACTIVATIONS ? mote_builder_input(b, 23, "up") : MOTE_NONE;
    mote_tensor_id y = mote_builder_activation(b, 23, "y");
    mote_op *op = mote_builder_op(b, MOTE_OP_ACTIVATE);
    op->in[0] = x;
    op->in[1] = up;
    op->out[0] = y;
    op->as.activate.function = (n % MOTE_N_ACTIVATIONS);
}

const mote_op_info mote_op_activate = {
    .name = "activate", .row_wise = true, .backward_in = 1 | 2, .can_add = 0, .gradient_in_place = true,
    .check = check, .forward = forward, .backward = backward, .cost = cost,
    .n_examples = 2 * MOTE_N_ACTIVATIONS, .example = example,
};
