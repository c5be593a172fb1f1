/* The product of an activation and a packed weight of any type, for linear and head. Integer weights run against 8-bit
 * activations: they are made once for each input and tile of rows, and lie in the thread's scratch until another op of
 * that thread takes it (q, k and v read them; gate and up do). */
#include "ops/ops.h"

enum { MOST_ROWS = MOTE_TILE_ROWS }; /* in blocks at a time */

static bool on_blocks(const mote_exec *x, mote_tensor_id weight) {
    return !mote_type_is_float(mote_tensor_of(x->program, weight)->type) || mote_in_bytes(x, weight) ||
           x->rounded != MOTE_TYPE_F32;
}

size_t mote_product_scratch(const mote_exec *x, mote_tensor_id weight) {
    const mote_tensor *t = mote_tensor_of(x->program, weight);
    if (mote_in_pairs(x, weight)) return mote_pairs_forward_scratch(x, weight);
    if (!on_blocks(x, weight)) return 0;
    size_t rows = (size_t)(x->max_rows < MOST_ROWS ? x->max_rows : MOST_ROWS);
    size_t bytes = rows * (size_t)mote_blocks_of(t->cols) * sizeof(mote_block8);
    return (bytes + sizeof(mote_real) - 1) / sizeof(mote_real);
}

void mote_rounded_parts(const mote_exec *x, const mote_op *op, bool training, double *integers, double *pairs) {
    *integers = *pairs = 0;
    if (op->kind == MOTE_OP_ATTENTION && x->bf16_attention && !training) {
        double n = op->as.attention.head_dim; /* its cost: 4 n of products and 5 of softmax for each key */
        *pairs = 4 * n / (4 * n + 5);
    }
    if (op->kind != MOTE_OP_LINEAR && op->kind != MOTE_OP_HEAD) return;
    const mote_tensor_id weight = op->in[1];
    *integers = on_blocks(x, weight);
    *pairs = mote_in_pairs(x, weight);
    if (!training) return;
    const bool columns = mote_weights_in_bytes(x, weight);
    *integers = (*integers + mote_backward_in_bytes(x, weight) + columns) / 3;
    *pairs = (*pairs + mote_backward_in_pairs(x, weight) + (x->pairs && !columns)) / 3;
}

/* Rows [begin, begin + rows) of an activation in 8 bits. Its values do not change while a program runs forward. */
static const mote_block8 *blocks_of(const mote_exec *x, mote_worker *w, mote_tensor_id input, int begin, int rows) {
    mote_block8 *blocks = (mote_block8 *)(void *)x->scratch[w->thread];
    if (w->blocks_of == input && !w->blocks_in_pairs && w->blocks_begin == begin && w->blocks_rows >= rows)
        return blocks;
    const int cols = mote_cols(x, input);
    const size_t row = (size_t)mote_blocks_of(cols);
    const float scale = x->activation_scale ? x->activation_scale[input] : 0;
    for (int r = 0; r < rows; r++) {
        mote_block8 *to = blocks + (size_t)r * row;
        if (scale > 0) x->kernels->quantize_by(mote_value(x, input, begin + r), cols, scale, to);
        else x->kernels->quantize(mote_value(x, input, begin + r), cols, to);
    }
    w->blocks_of = input;
    w->blocks_in_pairs = false;
    w->blocks_begin = begin;
    w->blocks_rows = rows;
    return blocks;
}

void mote_run_product(const mote_exec *x, mote_tensor_id weight, mote_product_form form, const mote_gemm *g,
                      const mote_blas_matrix *b) {
    if (x->blas && (x->by_blas[weight] >> form & 1)) mote_blas_product(x->blas, g, b);
    else x->kernels->gemm[MOTE_TYPE_F32](g);
}

void mote_product(const mote_exec *x, mote_worker *w, mote_tensor_id input, int begin, mote_tensor_id weight,
                  mote_gemm *g) {
    const mote_tensor *t = mote_tensor_of(x->program, weight);
    if (mote_in_pairs(x, weight)) {
        mote_pairs_product(x, w, input, begin, g);
        return;
    }
    g->depth = t->cols;
    g->a = mote_value(x, input, begin);
    g->a_row = (size_t)t->cols;
    g->a_depth = 1;
    g->b_panel = (size_t)t->cols * MOTE_PANEL;
    g->b_depth = MOTE_PANEL;
    g->b_padded = true;
    if (!on_blocks(x, weight) && t->type == MOTE_TYPE_F32) {
        /* its panels begin where its rows do: both hold as many values */
        const mote_real *panels = x->packed[weight], *rows = x->weight[weight];
        const mote_blas_matrix b = {rows + ((const mote_real *)g->b - panels), (size_t)t->cols, true};
        mote_run_product(x, weight, MOTE_PRODUCT_FORWARD, g, &b);
        return;
    }
    if (!on_blocks(x, weight)) {
        x->kernels->gemm[t->type](g);
        return;
    }
    mote_gemm_blocks b = {.columns = g->columns, .blocks = mote_blocks_of(t->cols), .b = g->b, .c_row = g->c_row,
                          .start_row = g->start_row, .bias = g->bias};
    b.a_row = (size_t)b.blocks;
    const mote_type type = x->rounded != MOTE_TYPE_F32 ? x->rounded : t->type;
    void (*multiply)(const mote_gemm_blocks *) =
        mote_type_is_float(type) ? x->kernels->gemm_bytes : x->kernels->gemm_blocks[mote_integer_slot(type)];
    for (int row = 0; row < g->rows; row += MOST_ROWS) {
        b.rows = g->rows - row < MOST_ROWS ? g->rows - row : MOST_ROWS;
        b.a = blocks_of(x, w, input, begin + row, b.rows);
        b.c = g->c + (size_t)row * g->c_row;
        b.start = g->start ? g->start + (size_t)row * g->start_row : NULL;
        multiply(&b);
    }
}
