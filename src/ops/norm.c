/* y = residual + norm(x): RMSNorm (Zhang, Sennrich 2019) or LayerNorm (Ba, Kiros, Hinton 2016), over the whole row or
 * over groups of columns (the heads of q and k). statistics hold (mean, 1/deviation) for each group: for RMSNorm
 * (0, 1/rms). */
#include "ops/ops.h"

enum { WIDTH_PART = 64 };

static mote_status check(const mote_program *p, const mote_op *op, mote_error *error) {
    bool ok = mote_is_activation(p, op->in[0]) && op->out[0] >= 0 && op->out[1] >= 0 && op->as.norm.group > 0;
    if (ok) {
        int cols = p->tensors[op->in[0]].cols, group = op->as.norm.group;
        ok = p->tensors[op->out[0]].cols == cols && cols % group == 0 &&
             p->tensors[op->out[1]].cols == 2 * (cols / group) && mote_is_weight(p, op->in[1], 1, group) &&
             (op->in[2] == MOTE_NONE || mote_is_weight(p, op->in[2], 1, group)) &&
             (op->as.norm.center || op->in[2] == MOTE_NONE) &&
             (op->in[3] == MOTE_NONE ||
              (mote_is_activation(p, op->in[3]) && p->tensors[op->in[3]].cols == cols && op->in[3] != op->in[0]));
    }
    return mote_op_expect(p, op, ok, "x, y, gain, bias, residual and statistics do not fit each other", error);
}

static void forward(const mote_exec *x, const mote_op *op, const mote_slice *s, mote_worker *w) {
    (void)w;
    const mote_call *call = mote_call_of(x, op);
    int n = op->as.norm.group, first = s->column_begin / n, end = s->column_end / n;
    const mote_real *gain = call->weight ? call->weight : mote_vector(x, op->in[1]);
    const mote_real *bias = call->weight ? call->bias : mote_vector(x, op->in[2]);
    const bool adds = op->in[3] != MOTE_NONE;
    for (int r = s->row_begin; r < s->row_end; r++) {
        size_t at = (size_t)r * (size_t)call->cols + (size_t)s->column_begin;
        const mote_real *in = call->x + at;
        mote_real *y = call->y + at;
        mote_real *statistics = mote_value(x, op->out[1], r) + 2 * first;
        for (int g = first; g < end; g++, in += n, y += n, statistics += 2) {
            if (op->as.norm.center) {
                x->kernels->layer_norm(in, gain, bias, n, op->as.norm.epsilon, y, statistics);
            } else {
                statistics[0] = 0;
                statistics[1] = x->kernels->rms_norm(in, gain, n, op->as.norm.epsilon, y);
            }
        }
        if (adds)
            x->kernels->add(mote_value(x, op->in[3], r) + s->column_begin, call->y + at,
                            (size_t)(s->column_end - s->column_begin));
    }
}

static void backward(const mote_exec *x, const mote_op *op, uint8_t adds, const mote_slice *s, mote_worker *w) {
    (void)w;
    int n = op->as.norm.group, groups = mote_cols(x, op->in[0]) / n;
    const mote_real *gain = mote_vector(x, op->in[1]);
    for (int r = s->row_begin; r < s->row_end; r++) {
        const mote_real *in = mote_value(x, op->in[0], r), *dy = mote_gradient(x, op->out[0], r);
        const mote_real *statistics = mote_value(x, op->out[1], r);
        mote_real *dx = mote_gradient(x, op->in[0], r);
        for (int g = 0; g < groups; g++, in += n, dy += n, dx += n, statistics += 2) {
            if (op->as.norm.center) x->kernels->layer_norm_backward(dy, in, gain, statistics, n, dx, adds & 1);
            else x->kernels->rms_norm_backward(dy, in, gain, statistics[1], n, dx, adds & 1);
        }
        if (op->in[3] == MOTE_NONE) continue;
        mote_pass_gradient(x, mote_gradient(x, op->out[0], r), mote_gradient(x, op->in[3], r),
                           (size_t)mote_cols(x, op->in[0]), adds & 8);
    }
}

static int weight_parts(const mote_exec *x, const mote_op *op) {
    (void)x;
    return (op->as.norm.group + WIDTH_PART - 1) / WIDTH_PART;
}

static void backward_weights(const mote_exec *x, const mote_op *op, int part, mote_worker *w) {
    (void)w;
    int n = op->as.norm.group, groups = mote_cols(x, op->in[0]) / n;
    int begin = part * WIDTH_PART, width = n - begin < WIDTH_PART ? n - begin : WIDTH_PART;
    mote_real *dgain = x->gradient[op->in[1]] + begin;
    mote_real *dbias = op->in[2] == MOTE_NONE ? NULL : x->gradient[op->in[2]] + begin;
    for (int r = 0; r < x->n_rows; r++) {
        const mote_real *in = mote_value(x, op->in[0], r) + begin, *dy = mote_gradient(x, op->out[0], r) + begin;
        const mote_real *statistics = mote_value(x, op->out[1], r);
        for (int g = 0; g < groups; g++, in += n, dy += n, statistics += 2) {
            x->kernels->norm_gain_backward(dy, in, statistics[0], statistics[1], width, dgain);
            if (dbias) x->kernels->add(dy, dbias, (size_t)width);
        }
    }
}

static mote_cost cost(const mote_program *p, const mote_op *op, int position) {
    (void)position;
    mote_cost c = {0};
    double cols = p->tensors[op->in[0]].cols;
    c.flops = ((op->as.norm.center ? 7 : 4) + (op->in[3] != MOTE_NONE)) * cols;
    c.weight_bytes = 4.0 * op->as.norm.group * (op->in[2] == MOTE_NONE ? 1 : 2);
    return c;
}

static void example(mote_builder *b, int n) {
    int cols = n == 2 ? 24 : 37, group = n == 2 ? 8 : 37;
    bool center = n == 1;
    mote_tensor_id in = mote_builder_input(b, cols, "x");
    mote_tensor_id gain = mote_builder_weight(b, 1, group, (mote_start){1, 0.3f}, false, "gain");
    mote_tensor_id bias = center ? mote_builder_weight(b, 1, group, (mote_start){0, 0.3f}, false, "bias") : MOTE_NONE;
    mote_tensor_id residual = n == 3 ? mote_builder_input(b, cols, "residual") : MOTE_NONE;
    mote_tensor_id y = mote_builder_activation(b, cols, "y");
    mote_tensor_id statistics = mote_builder_activation(b, 2 * (cols / group), "statistics");
    mote_op *op = mote_builder_op(b, MOTE_OP_NORM);
    op->in[0] = in;
    op->in[1] = gain;
    op->in[2] = bias;
    op->in[3] = residual;
    op->out[0] = y;
    op->out[1] = statistics;
    op->as.norm.epsilon = 1e-5f;
    op->as.norm.group = group;
    op->as.norm.center = center;
}

const mote_op_info mote_op_norm = {
    .name = "norm", .row_wise = true, .backward_in = 1, .backward_out = 2, .can_add = 1 | 8, .check = check,
    .forward = forward, .backward = backward, .weight_parts = weight_parts, .backward_weights = backward_weights,
    .cost = cost, .n_examples = 4, .example = example,
};
