/* x[r] = scale * table[token[r]] (+ positions[position[r]]). Tables may be of any weight type. */
#include <string.h>

#include "ops/ops.h"

enum { WIDTH_PART = 16 };

static mote_status check(const mote_program *p, const mote_op *op, mote_error *error) {
    bool ok = mote_is_weight(p, op->in[0], -1, -1) && op->out[0] >= 0;
    if (ok) {
        int cols = p->tensors[op->out[0]].cols;
        ok = p->tensors[op->in[0]].cols == cols && p->tensors[op->in[0]].rows >= p->vocab;
        if (op->in[1] != MOTE_NONE)
            ok = ok && mote_is_weight(p, op->in[1], -1, cols) && p->tensors[op->in[1]].rows >= p->context;
    }
    return mote_op_expect(p, op, ok, "tables must be [vocabulary, width] and [context, width]", error);
}

/* y = or += one row of a table, converted. */
static void read_row(const mote_exec *x, mote_tensor_id id, int row, bool add, mote_real *y) {
    const mote_tensor *t = mote_tensor_of(x->program, id);
    size_t cols = (size_t)t->cols;
    if (mote_is_rounded(x, id)) {
        for (size_t i = 0; i < cols; i += MOTE_BLOCK_VALUES) {
            float values[MOTE_BLOCK_VALUES];
            mote_rounded_block(x, id, row, (int)i / MOTE_BLOCK_VALUES, values);
            const size_t n = cols - i < MOTE_BLOCK_VALUES ? cols - i : MOTE_BLOCK_VALUES;
            for (size_t j = 0; j < n; j++) y[i + j] = add ? y[i + j] + values[j] : values[j];
        }
        return;
    }
    if (t->type == MOTE_TYPE_F32) {
        const mote_real *source = (const mote_real *)x->weight[id] + (size_t)row * cols;
        if (add) x->kernels->add(source, y, cols);
        else memcpy(y, source, cols * sizeof *y);
        return;
    }
    /* In parts, each of which is a row by itself: the header, where the type has one, and whole blocks. */
    enum { PART = MOTE_MOST_BLOCK_VALUES, HEADER = sizeof(float) };
    const mote_type_info *type = mote_type_get(t->type);
    const char *source = (const char *)x->weight[id] + (size_t)row * mote_row_bytes(t->type, cols);
    const size_t header = (size_t)type->row_header_bytes;
    char part[HEADER + PART * sizeof(float)];
    float values[PART];
    memcpy(part, source, header);
    for (size_t i = 0; i < cols; i += PART) {
        size_t n = cols - i < PART ? cols - i : PART, begin = mote_row_bytes(t->type, i);
        memcpy(part + header, source + begin, mote_row_bytes(t->type, n) - header);
        type->to_f32(part, values, n);
        for (size_t j = 0; j < n; j++) y[i + j] = add ? y[i + j] + values[j] : values[j];
    }
}

static void forward(const mote_exec *x, const mote_op *op, const mote_slice *s, mote_worker *w) {
    (void)w;
    size_t cols = (size_t)mote_cols(x, op->out[0]);
    for (int r = s->row_begin; r < s->row_end; r++) {
        mote_real *y = mote_value(x, op->out[0], r);
        read_row(x, op->in[0], x->token[r], false, y);
        if (op->as.embedding.scale != 1) x->kernels->scale(op->as.embedding.scale, y, cols);
        if (op->in[1] != MOTE_NONE) read_row(x, op->in[1], x->position[r], true, y);
    }
}

static void backward(const mote_exec *x, const mote_op *op, uint8_t adds, const mote_slice *s, mote_worker *w) {
    (void)x, (void)op, (void)adds, (void)s, (void)w; /* no activation goes in */
}

/* Where the head adds to the same table, it does so for all rows before the first of them is added here: of a
 * micro-batch in parts, the last one brings the rows of all. */
static bool is_late(const mote_exec *x, const mote_op *op) { return op->out[0] == x->late; }

/* Parts are blocks of columns: every part walks all rows in order, so the sums do not depend on the threads. */
static int weight_parts(const mote_exec *x, const mote_op *op) {
    if (is_late(x, op) && x->first_row + x->n_rows < x->all_rows) return 0;
    return (mote_cols(x, op->out[0]) + WIDTH_PART - 1) / WIDTH_PART;
}

static void backward_weights(const mote_exec *x, const mote_op *op, int part, mote_worker *w) {
    (void)w;
    int cols = mote_cols(x, op->out[0]), begin = part * WIDTH_PART;
    int end = begin + WIDTH_PART < cols ? begin + WIDTH_PART : cols;
    int before = is_late(x, op) ? x->first_row : 0, rows = before + x->n_rows;
    const int32_t *token = x->token - before, *position = x->position - before;
    const mote_real *gradient = is_late(x, op) ? x->late_gradient : x->gradient[op->out[0]];
    mote_real scale = op->as.embedding.scale;
    for (int r = 0; r < rows; r++) {
        const mote_real *dy = gradient + (size_t)r * (size_t)cols;
        mote_real *table = x->gradient[op->in[0]] + (size_t)token[r] * (size_t)cols;
        for (int i = begin; i < end; i++) table[i] += scale * dy[i];
    }
    if (op->in[1] == MOTE_NONE) return;
    for (int r = 0; r < rows; r++) {
        const mote_real *dy = gradient + (size_t)r * (size_t)cols;
        mote_real *table = x->gradient[op->in[1]] + (size_t)position[r] * (size_t)cols;
        for (int i = begin; i < end; i++) table[i] += dy[i];
    }
}

static size_t scratch(const mote_exec *x, const mote_op *op) { return mote_rounding_scratch(x, op->in[0]); }

static mote_cost cost(const mote_program *p, const mote_op *op, int position) {
    (void)position;
    mote_cost c = {0};
    for (int i = 0; i < 2; i++) {
        if (op->in[i] == MOTE_NONE) continue;
        const mote_tensor *t = mote_tensor_of(p, op->in[i]);
        c.weight_bytes += (double)mote_row_bytes(t->type, (size_t)t->cols);
        if (i == 1) c.flops = t->cols;
    }
    return c;
}

static void example(mote_builder *b, int n) {
    mote_start random = {0, 0.5f};
    b->program->vocab = 11;
    b->program->context = 16;
    mote_tensor_id table = mote_builder_weight(b, 11, 21, random, false, "table");
    mote_tensor_id positions = n == 1 ? mote_builder_weight(b, 16, 21, random, false, "positions") : MOTE_NONE;
    mote_tensor_id y = mote_builder_activation(b, 21, "y");
    mote_op *op = mote_builder_op(b, MOTE_OP_EMBEDDING);
    op->in[0] = table;
    op->in[1] = positions;
    op->out[0] = y;
    op->as.embedding.scale = n == 0 ? 1.5f : 1;
}

const mote_op_info mote_op_embedding = {
    .name = "embedding",
    .row_wise = true,
    .check = check,
    .forward = forward,
    .backward = backward,
    .weight_parts = weight_parts,
    .backward_weights = backward_weights,
    .cost = cost,
    .scratch = scratch,
    .n_examples = 2,
    .example = example,
};
