/* The output head. Inference: logits = x W^T of the wanted rows. With targets: the cross-entropy of each row and, in
 * training, its gradient at once, for chunk_rows rows at a time, so that the logits of a batch are never whole in
 * memory. In training this runs in backward: forward does nothing. */
#include <string.h>

#include "ops/ops.h"

enum {
    COLUMNS_PART = 256, /* columns of the logits in one part */
};

static mote_status check(const mote_program *p, const mote_op *op, mote_error *error) {
    bool ok = mote_is_activation(p, op->in[0]) && mote_is_weight(p, op->in[1], p->vocab, p->tensors[op->in[0]].cols);
    return mote_op_expect(p, op, ok, "the weight must be [vocabulary, width]", error);
}

/* c [rows, columns from `first` on] = rows of x from `begin` on times the weight. */
static void logits_of(const mote_exec *x, const mote_op *op, mote_worker *w, int begin, int rows, int first,
                      int columns, mote_real *c) {
    const mote_tensor *weight = mote_tensor_of(x->program, op->in[1]);
    mote_gemm g = {
        .rows = rows,
        .columns = columns,
        .b = (const char *)x->packed[op->in[1]] + mote_panels_bytes(x, op->in[1], first),
        .c = c + first,
        .c_row = (size_t)weight->rows,
    };
    mote_product(x, w, op->in[0], begin, op->in[1], &g);
}

static void infer(const mote_exec *x, const mote_op *op, mote_worker *w) {
    int vocab = mote_tensor_of(x->program, op->in[1])->rows, parts = (vocab + COLUMNS_PART - 1) / COLUMNS_PART;
    for (int part; (part = mote_part(x, w, parts)) >= 0;) {
        int first = part * COLUMNS_PART, columns = vocab - first < COLUMNS_PART ? vocab - first : COLUMNS_PART;
        for (int i = 0; i < x->n_wanted;) { /* wanted rows that stand together go together */
            int n = 1;
            while (i + n < x->n_wanted && x->wanted[i + n] == x->wanted[i] + n) n++;
            logits_of(x, op, w, x->wanted[i], n, first, columns, x->logits + (size_t)i * (size_t)vocab);
            i += n;
        }
    }
    mote_phase_end(x, w);
}

/* Loss of rows [begin, end) of the chunk that starts at row `chunk`, and the gradient of x. */
static void lose(const mote_exec *x, const mote_op *op, mote_worker *w, int chunk, int begin, int end) {
    const mote_tensor *weight = mote_tensor_of(x->program, op->in[1]);
    size_t vocab = (size_t)weight->rows;
    mote_real *logits = x->chunk + (size_t)(begin - chunk) * vocab;
    logits_of(x, op, w, begin, end - begin, 0, weight->rows, logits);
    for (int r = begin; r < end; r++) {
        mote_real *row = logits + (size_t)(r - begin) * vocab;
        x->row_loss[r] = 0;
        x->row_correct[r] = false;
        if (x->target[r] >= 0)
            x->row_loss[r] = x->kernels->cross_entropy(row, weight->rows, x->target[r], x->gradient_scale, x->training,
                                                       &x->row_correct[r]);
        else if (x->training)
            memset(row, 0, vocab * sizeof *row);
    }
    if (!x->training) return;
    mote_product_input(x, w, op->in[1], logits, end - begin, mote_gradient(x, op->in[0], begin), false);
    int tokens = x->n_rows - chunk < x->chunk_rows ? x->n_rows - chunk : x->chunk_rows;
    mote_product_columns(x, op, begin, end - begin, begin - chunk, tokens);
}

static void loss(const mote_exec *x, const mote_op *op, mote_worker *w) {
    const int unit = x->bytes ? MOTE_BLOCK_VALUES : MOTE_TOKEN_UNIT;
    const mote_tiling parts = mote_tile_weight(mote_tensor_of(x->program, op->in[1])->rows, w->threads);
    for (int chunk = 0; chunk < x->n_rows; chunk += x->chunk_rows) {
        int rows = x->n_rows - chunk < x->chunk_rows ? x->n_rows - chunk : x->chunk_rows;
        const mote_tiling tiling = mote_tile_head(rows, w->threads, unit);
        for (int tile; (tile = mote_tile(x, w, tiling.tiles)) >= 0;)
            lose(x, op, w, chunk, chunk + mote_row_of_tile(&tiling, tile), chunk + mote_row_of_tile(&tiling, tile + 1));
        mote_phase_end(x, w);
        if (!x->training) continue; /* the next chunk overwrites logits that nobody reads any more */
        for (int part; (part = mote_part(x, w, parts.tiles)) >= 0;) {
            const int begin = mote_row_of_tile(&parts, part), end = mote_row_of_tile(&parts, part + 1);
            mote_product_weights(x, w, op, x->chunk, chunk, rows, begin, end - begin);
        }
        mote_phase_end(x, w);
    }
}

static void forward(const mote_exec *x, const mote_op *op, const mote_slice *slice, mote_worker *w) {
    (void)slice;
    if (!x->target) infer(x, op, w);
    else if (!x->training) loss(x, op, w);
}

static void backward(const mote_exec *x, const mote_op *op, uint8_t adds, const mote_slice *slice, mote_worker *w) {
    (void)adds, (void)slice;
    loss(x, op, w);
}

static mote_cost cost(const mote_program *p, const mote_op *op, int position) {
    (void)position;
    const mote_tensor *weight = mote_tensor_of(p, op->in[1]);
    return (mote_cost){.flops = 2.0 * weight->rows * weight->cols,
                       .weight_bytes =
                           (double)weight->rows * (double)mote_row_bytes(weight->type, (size_t)weight->cols)};
}

static size_t scratch(const mote_exec *x, const mote_op *op) {
    size_t forward = mote_product_scratch(x, op->in[1]), training = mote_training_scratch(x, op->in[1], x->chunk_rows);
    return forward > training ? forward : training;
}

static void example(mote_builder *b, int n) {
    (void)n;
    b->program->vocab = 29;
    mote_tensor_id x = mote_builder_input(b, 18, "x");
    mote_tensor_id weight = mote_builder_weight(b, 29, 18, (mote_start){0, 0.5f}, false, "weight");
    mote_op *op = mote_builder_op(b, MOTE_OP_HEAD);
    op->in[0] = x;
    op->in[1] = weight;
}

const mote_op_info mote_op_head = {
    .name = "head", .backward_in = 1, .check = check, .forward = forward, .backward = backward, .cost = cost,
    .scratch = scratch, .n_examples = 1, .example = example,
};
