/* y = residual + bias + x W^T, W [out, in]. Forward reads W packed in panels of 16 outputs, the input gradient in
 * strips of 16 inputs; the weight gradient reads x row-major, where 16 neighbouring columns are a panel already. */
#include "ops/ops.h"

static mote_tiling parts_of(const mote_exec *x, const mote_op *op) {
    return mote_tile_weight(mote_tensor_of(x->program, op->in[1])->rows, mote_pool_threads(x->pool));
}

static mote_status check(const mote_program *p, const mote_op *op, mote_error *error) {
    bool ok = mote_is_activation(p, op->in[0]) && op->out[0] >= 0;
    if (ok) {
        int cols = p->tensors[op->out[0]].cols;
        ok = mote_is_weight(p, op->in[1], cols, p->tensors[op->in[0]].cols) &&
             (op->in[2] == MOTE_NONE || mote_is_weight(p, op->in[2], 1, cols)) &&
             (op->in[3] == MOTE_NONE || (mote_is_activation(p, op->in[3]) && p->tensors[op->in[3]].cols == cols));
    }
    return mote_op_expect(p, op, ok, "x, weight, bias, residual and y do not fit each other", error);
}

/* Decoding spends as long on finding out what to multiply as on small products, so all that is needed stands in the
 * call: 3.5 -> 1 to 2 % over a loop by hand. */
static void multiply(const mote_call *call, const mote_slice *s, size_t panel_bytes) {
    const size_t cols = (size_t)call->cols, depth = (size_t)call->depth, row = (size_t)s->row_begin,
                 first = (size_t)s->column_begin;
    mote_gemm g = {
        .rows = s->row_end - s->row_begin,
        .columns = s->column_end - s->column_begin,
        .depth = call->depth,
        .a = call->x + row * depth,
        .a_row = depth,
        .a_depth = 1,
        .b = (const char *)call->weight + first / MOTE_PANEL * panel_bytes,
        .b_panel = depth * MOTE_PANEL,
        .b_depth = MOTE_PANEL,
        .b_padded = true,
        .c = call->y + row * cols + first,
        .c_row = cols,
        .start = call->residual ? call->residual + row * cols + first : NULL,
        .start_row = cols,
        .bias = call->bias ? call->bias + first : NULL,
    };
    call->multiply(&g);
}

static void forward(const mote_exec *x, const mote_op *op, const mote_slice *s, mote_worker *w) {
    const mote_call *call = mote_call_of(x, op);
    if (call->multiply && !x->blas) {
        multiply(call, s, s->column_begin == 0 ? 0 : mote_panels_bytes(x, op->in[1], MOTE_PANEL));
        return;
    }
    const mote_tensor *weight = mote_tensor_of(x->program, op->in[1]);
    int first = s->column_begin;
    const mote_real *bias = mote_vector(x, op->in[2]);
    mote_gemm g = {
        .rows = s->row_end - s->row_begin,
        .columns = s->column_end - first,
        .b = (const char *)x->packed[op->in[1]] + mote_panels_bytes(x, op->in[1], first),
        .c = mote_value(x, op->out[0], s->row_begin) + first,
        .c_row = (size_t)weight->rows,
        .start = op->in[3] == MOTE_NONE ? NULL : mote_value(x, op->in[3], s->row_begin) + first,
        .start_row = (size_t)weight->rows,
        .bias = bias ? bias + first : NULL,
    };
    mote_product(x, w, op->in[0], s->row_begin, op->in[1], &g);
}

static void backward(const mote_exec *x, const mote_op *op, uint8_t adds, const mote_slice *s, mote_worker *w) {
    const mote_tensor *weight = mote_tensor_of(x->program, op->in[1]);
    int rows = s->row_end - s->row_begin;
    const mote_real *dy = mote_gradient(x, op->out[0], s->row_begin);
    mote_product_input(x, w, op->in[1], dy, rows, mote_gradient(x, op->in[0], s->row_begin), adds & 1);
    mote_product_columns(x, op, s->row_begin, rows, s->row_begin, x->n_rows);
    if (op->in[3] == MOTE_NONE) return;
    mote_pass_gradient(x, dy, mote_gradient(x, op->in[3], s->row_begin), (size_t)rows * (size_t)weight->rows, adds & 8);
}

static int weight_parts(const mote_exec *x, const mote_op *op) { return parts_of(x, op).tiles; }

static void backward_weights(const mote_exec *x, const mote_op *op, int part, mote_worker *w) {
    const mote_tiling parts = parts_of(x, op);
    const int begin = mote_row_of_tile(&parts, part), rows = mote_row_of_tile(&parts, part + 1) - begin;
    mote_product_weights(x, w, op, mote_gradient(x, op->out[0], 0), 0, x->n_rows, begin, rows);
    if (op->in[2] == MOTE_NONE) return;
    mote_real *dbias = x->gradient[op->in[2]] + begin;
    for (int r = 0; r < x->n_rows; r++) x->kernels->add(mote_gradient(x, op->out[0], r) + begin, dbias, (size_t)rows);
}

static mote_cost cost(const mote_program *p, const mote_op *op, int position) {
    (void)position;
    const mote_tensor *weight = mote_tensor_of(p, op->in[1]);
    double rows = weight->rows;
    mote_cost c = {0};
    c.flops = 2 * rows * weight->cols + (op->in[2] == MOTE_NONE ? 0 : rows) + (op->in[3] == MOTE_NONE ? 0 : rows);
    c.weight_bytes =
        rows * (double)mote_row_bytes(weight->type, (size_t)weight->cols) + (op->in[2] == MOTE_NONE ? 0 : 4 * rows);
    return c;
}

static size_t scratch(const mote_exec *x, const mote_op *op) {
    size_t forward = mote_product_scratch(x, op->in[1]), training = mote_training_scratch(x, op->in[1], x->max_rows);
    return forward > training ? forward : training;
}

static void example(mote_builder *b, int n) {
    static const int shape[3][2] = {{19, 35}, {48, 16}, {1, 7}}; /* in, out */
    int in = shape[n][0], out = shape[n][1];
    mote_tensor_id x = mote_builder_input(b, in, "x");
    mote_tensor_id residual = n == 1 ? mote_builder_input(b, out, "residual") : MOTE_NONE;
    mote_tensor_id weight = mote_builder_weight(b, out, in, (mote_start){0, 0.3f}, true, "weight");
    mote_tensor_id bias = n != 1 ? mote_builder_weight(b, 1, out, (mote_start){0, 0.3f}, false, "bias") : MOTE_NONE;
    mote_tensor_id y = mote_builder_activation(b, out, "y");
    mote_op *op = mote_builder_op(b, MOTE_OP_LINEAR);
    op->in[0] = x;
    op->in[1] = weight;
    op->in[2] = bias;
    op->in[3] = residual;
    op->out[0] = y;
}

const mote_op_info mote_op_linear = {
    .name = "linear", .row_wise = true, .backward_in = 1, .can_add = 1 | 8, .check = check,
    .forward = forward, .backward = backward, .weight_parts = weight_parts, .backward_weights = backward_weights,
    .cost = cost, .scratch = scratch, .n_examples = 3, .example = example,
};
