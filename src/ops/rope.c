/* Rotary positions (Su et al. 2021): pairs of each head turn by position * base^(-2i / head_dim). */
#include "ops/ops.h"

static mote_status check(const mote_program *p, const mote_op *op, mote_error *error) {
    bool ok = mote_is_activation(p, op->in[0]) && op->out[0] >= 0 && op->as.rope.head_dim > 0 &&
              op->as.rope.head_dim % 2 == 0 && op->as.rope.base > 0;
    if (ok) {
        int cols = p->tensors[op->in[0]].cols;
        ok = p->tensors[op->out[0]].cols == cols && cols % op->as.rope.head_dim == 0;
    }
    return mote_op_expect(p, op, ok, "the width must be whole heads of an even size", error);
}

/* Columns [begin, end) of a row: whole heads. */
static void rotate(const mote_exec *x, const mote_op *op, const mote_real *in, mote_real *out, int row, int begin,
                   int end, bool backward, bool add) {
    int n = op->as.rope.head_dim;
    const mote_real *cosine_sine = x->rope[op - x->program->ops] + (size_t)x->position[row] * (size_t)n;
    for (int i = begin; i < end; i += n)
        x->kernels->rope(in + i, cosine_sine, n, op->as.rope.halves, backward, add, out + i);
}

static void forward(const mote_exec *x, const mote_op *op, const mote_slice *s, mote_worker *w) {
    (void)w;
    for (int r = s->row_begin; r < s->row_end; r++)
        rotate(x, op, mote_value(x, op->in[0], r), mote_value(x, op->out[0], r), r, s->column_begin,
               s->column_end, false, false);
}

static void backward(const mote_exec *x, const mote_op *op, uint8_t adds, const mote_slice *s, mote_worker *w) {
    (void)w;
    for (int r = s->row_begin; r < s->row_end; r++)
        rotate(x, op, mote_gradient(x, op->out[0], r), mote_gradient(x, op->in[0], r), r, 0,
               mote_cols(x, op->in[0]), true, adds & 1);
}

static mote_cost cost(const mote_program *p, const mote_op *op, int position) {
    (void)position;
    return (mote_cost){.flops = 3.0 * p->tensors[op->in[0]].cols};
}

static void example(mote_builder *b, int n) {
    b->program->context = 16;
    mote_tensor_id x = mote_builder_input(b, 30, "x");
    mote_tensor_id y = mote_builder_activation(b, 30, "y");
    mote_op *op = mote_builder_op(b, MOTE_OP_ROPE);
    op->in[0] = x;
    op->out[0] = y;
    op->as.rope.base = 10000;
    op->as.rope.head_dim = 10;
    op->as.rope.halves = n == 1;
}

const mote_op_info mote_op_rope = {
    .name = "rope", .row_wise = true, .can_add = 1, .check = check, .forward = forward, .backward = backward,
    .cost = cost, .n_examples = 2, .example = example,
};
