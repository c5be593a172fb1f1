/* Training whose products run on integers. The weights stay f32; after each step they are packed anew in the form that
 * products read (mote_exec_options): bytes, or the codes of a type that the finished model will be stored in. Gradients
 * pass through the rounding as if it were not there.
 *
 * In 8 bits a block is 32 values along what is summed: x and W along the inputs (forward), dy and W along the outputs
 * (the gradient of x), dy and x along the tokens (that of W). No block depends on tiles and threads. x along the tokens
 * is packed by the backward of the last op of a group that reads it, and lies until its weight gradients are done. */
#include <string.h>

#include "kernels/bytes.h"
#include "ops/ops.h"

enum { FEW = 48 }; /* rows whose blocks are in scratch at a time */

/* Whether QAT rounds this weight: those that mote_model_save stores in the type asked for. */
bool mote_is_rounded(const mote_exec *x, mote_tensor_id id) {
    if (x->rounded == MOTE_TYPE_F32 || !mote_is_weight(x->program, id, -1, -1)) return false;
    const mote_tensor *t = mote_tensor_of(x->program, id);
    if (t->rows < 2) return false;
    for (int i = 0; i < x->program->n_ops; i++) {
        const mote_op *op = &x->program->ops[i];
        bool matrix = op->kind == MOTE_OP_LINEAR || op->kind == MOTE_OP_HEAD;
        if ((matrix && op->in[1] == id) || (op->kind == MOTE_OP_EMBEDDING && op->in[0] == id)) return true;
    }
    return false;
}

size_t mote_panels_bytes(const mote_exec *x, mote_tensor_id id, int n) {
    const mote_tensor *t = mote_tensor_of(x->program, id);
    if (x->rounded != MOTE_TYPE_F32) return mote_packed_bytes(x->rounded, n, t->cols);
    if (mote_in_pairs(x, id)) return mote_bf16_bytes(n, t->cols);
    return mote_in_bytes(x, id) ? mote_bytes_size(n, t->cols) : mote_packed_bytes(t->type, n, t->cols);
}

size_t mote_strips_bytes(const mote_exec *x, mote_tensor_id id) {
    const mote_tensor *t = mote_tensor_of(x->program, id);
    if (mote_backward_in_pairs(x, id)) return mote_bf16_bytes(t->cols, t->rows);
    return mote_backward_in_bytes(x, id) ? mote_bytes_size(t->cols, t->rows)
                                : mote_packed_values(t->cols, t->rows) * sizeof(mote_real);
}

static size_t values_of(size_t bytes) { return (bytes + sizeof(mote_real) - 1) / sizeof(mote_real); }

/* One row as floats and in the type, while it is packed. */
static size_t row_bytes(const mote_exec *x, int cols) {
    return ((size_t)cols * sizeof(float) + mote_row_bytes(x->rounded, (size_t)cols) + 63) / 64 * 64;
}

size_t mote_rounding_scratch(const mote_exec *x, mote_tensor_id weight) {
    return mote_is_rounded(x, weight) ? values_of(row_bytes(x, mote_cols(x, weight))) : 0;
}

size_t mote_training_scratch(const mote_exec *x, mote_tensor_id weight, int tokens) {
    const mote_tensor *t = mote_tensor_of(x->program, weight);
    size_t scratch = mote_rounding_scratch(x, weight), other = 0;
    if (x->pairs) other = mote_pairs_backward_scratch(x, weight, tokens);
    else if (x->training && !mote_weights_in_bytes(x, weight)) other = mote_gemm_copy((size_t)t->rows);
    if (other > scratch) scratch = other;
    int depth = t->rows > tokens ? t->rows : tokens;
    size_t blocks = values_of((size_t)FEW * (size_t)mote_blocks_of(depth) * sizeof(mote_block8));
    return mote_backward_in_bytes(x, weight) && blocks > scratch ? blocks : scratch;
}

/* ---- packing */

static void pack_rounded(const mote_exec *x, mote_tensor_id id, int row, int rows, void *scratch) {
    const size_t cols = (size_t)mote_cols(x, id), panel = mote_panels_bytes(x, id, MOTE_PANEL);
    const mote_real *w = (const mote_real *)x->weight[id] + (size_t)row * cols;
    float *values = scratch;
    for (int i = 0; i < rows; i += MOTE_PANEL) {
        int n = rows - i < MOTE_PANEL ? rows - i : MOTE_PANEL;
        char *to = (char *)x->packed[id] + (size_t)((row + i) / MOTE_PANEL) * panel;
        mote_blocks_clear(x->rounded, (int)cols, to);
        for (int r = 0; r < n; r++, w += cols) {
            for (size_t j = 0; j < cols; j++) values[j] = (float)w[j];
            mote_blocks_pack_row(x->rounded, values, (int)cols, r, values + cols, to);
        }
    }
}

void mote_rounded_block(const mote_exec *x, mote_tensor_id id, int row, int block, float values[MOTE_BLOCK_VALUES]) {
    const char *panel = (const char *)x->packed[id] +
                        (size_t)(row / MOTE_PANEL) * mote_panels_bytes(x, id, MOTE_PANEL);
    mote_blocks_values(x->rounded, panel, mote_blocks_of(mote_cols(x, id)), block, row % MOTE_PANEL, values);
}

/* 32 rows (as many as there are) of 32 columns of the weights that products read; the rest zero. */
static void load_square(const mote_exec *x, mote_tensor_id id, int row, int rows, int block,
                        mote_real square[MOTE_BLOCK_VALUES][MOTE_BLOCK_VALUES]) {
    float values[MOTE_BLOCK_VALUES];
    memset(square, 0, MOTE_BLOCK_VALUES * sizeof *square);
    for (int r = 0; r < rows && r < MOTE_BLOCK_VALUES; r++) {
        mote_rounded_block(x, id, row + r, block, values);
        for (int i = 0; i < MOTE_BLOCK_VALUES; i++) square[r][i] = (mote_real)values[i];
    }
}

static void put_strips(const mote_exec *x, mote_tensor_id id, const mote_real *w, size_t w_row, int row, int rows,
                       int column, int columns) {
    const int all = mote_tensor_of(x->program, id)->rows;
    if (mote_backward_in_bytes(x, id)) {
        char *to = (char *)x->strips[id] +
                   (size_t)(column / MOTE_PANEL) * mote_bytes_panel((size_t)mote_blocks_of(all));
        mote_bytes_pack_columns(x->kernels, w, w_row, rows, columns, row / MOTE_BLOCK_VALUES, mote_blocks_of(all), to);
        return;
    }
    if (mote_backward_in_pairs(x, id)) {
        const size_t panel = (size_t)(all + 1) / 2 * MOTE_PANEL;
        uint32_t *to = (uint32_t *)x->strips[id] + (size_t)(column / MOTE_PANEL) * panel + (size_t)row / 2 * MOTE_PANEL;
        x->kernels->bf16_turn(w, w_row, rows, columns, to, panel);
        return;
    }
    mote_real *strips = (mote_real *)x->strips[id] + (size_t)column * (size_t)all + (size_t)row * MOTE_PANEL;
    mote_pack_strips(w, w_row, rows, columns, strips, (size_t)all * MOTE_PANEL);
}

void mote_exec_pack(const mote_exec *x, mote_tensor_id id, int row, int rows, int thread) {
    const mote_tensor *t = mote_tensor_of(x->program, id);
    const size_t cols = (size_t)t->cols;
    const mote_real *w = (const mote_real *)x->weight[id] + (size_t)row * cols;
    if (x->rounded == MOTE_TYPE_F32) {
        char *to = (char *)x->packed[id] + mote_panels_bytes(x, id, row);
        if (mote_in_bytes(x, id)) mote_bytes_pack_rows(x->kernels, w, cols, rows, t->cols, to);
        else if (mote_in_pairs(x, id)) x->kernels->bf16_pack(w, cols, rows, t->cols, (uint32_t *)(void *)to);
        else x->kernels->pack[MOTE_TYPE_F32](w, cols, rows, t->cols, to);
        put_strips(x, id, w, cols, row, rows, 0, t->cols);
        return;
    }
    pack_rounded(x, id, row, rows, x->scratch[thread]);
    for (int r = 0; r < rows && x->strips[id]; r += MOTE_BLOCK_VALUES) {
        mote_real square[MOTE_BLOCK_VALUES][MOTE_BLOCK_VALUES];
        int n = rows - r < MOTE_BLOCK_VALUES ? rows - r : MOTE_BLOCK_VALUES;
        for (int block = 0; block < mote_blocks_of(t->cols); block++) {
            int column = block * MOTE_BLOCK_VALUES, width = t->cols - column;
            load_square(x, id, row + r, n, block, square);
            put_strips(x, id, &square[0][0], MOTE_BLOCK_VALUES, row + r, n, column,
                       width < MOTE_BLOCK_VALUES ? width : MOTE_BLOCK_VALUES);
        }
    }
}

void mote_exec_unpack(const mote_exec *x, mote_tensor_id id, mote_real *panels) {
    const mote_tensor *t = mote_tensor_of(x->program, id);
    const size_t cols = (size_t)t->cols;
    if (x->rounded == MOTE_TYPE_F32) {
        x->kernels->pack[MOTE_TYPE_F32](x->weight[id], cols, t->rows, t->cols, panels);
        return;
    }
    for (int row = 0; row < t->rows; row++) {
        mote_real *to = panels + (size_t)(row / MOTE_PANEL) * cols * MOTE_PANEL + row % MOTE_PANEL;
        for (size_t begin = 0; begin < cols; begin += MOTE_BLOCK_VALUES) {
            float values[MOTE_BLOCK_VALUES];
            mote_rounded_block(x, id, row, (int)begin / MOTE_BLOCK_VALUES, values);
            for (size_t i = begin; i < cols && i < begin + MOTE_BLOCK_VALUES; i++)
                to[i * MOTE_PANEL] = (mote_real)values[i - begin];
        }
    }
}

/* ---- products of the backward pass */

void mote_product_input(const mote_exec *x, mote_worker *w, mote_tensor_id weight, const mote_real *dy, int rows,
                        mote_real *dx, bool add) {
    const mote_tensor *t = mote_tensor_of(x->program, weight);
    const size_t outputs = (size_t)t->rows, inputs = (size_t)t->cols;
    if (mote_backward_in_pairs(x, weight)) {
        mote_pairs_input(x, w, weight, dy, rows, dx, add);
        return;
    }
    if (!mote_backward_in_bytes(x, weight)) {
        mote_gemm g = {
            .rows = rows,
            .columns = t->cols,
            .depth = t->rows,
            .a = dy,
            .a_row = outputs,
            .a_depth = 1,
            .b = x->strips[weight],
            .b_panel = outputs * MOTE_PANEL,
            .b_depth = MOTE_PANEL,
            .b_padded = true,
            .c = dx,
            .c_row = inputs,
            .start = add ? dx : NULL,
            .start_row = inputs,
        };
        mote_run_product(x, weight, MOTE_PRODUCT_INPUT, &g, &(mote_blas_matrix){x->weight[weight], inputs, false});
        return;
    }
    mote_block8 *blocks = (mote_block8 *)(void *)mote_take_scratch(x, w);
    mote_gemm_blocks g = {.columns = t->cols, .blocks = mote_blocks_of(t->rows), .a = blocks, .b = x->strips[weight],
                          .c_row = inputs, .start_row = inputs};
    g.a_row = (size_t)g.blocks;
    for (int done = 0; done < rows; done += FEW) {
        g.rows = rows - done < FEW ? rows - done : FEW;
        for (int r = 0; r < g.rows; r++)
            x->kernels->quantize(dy + (size_t)(done + r) * outputs, t->rows, blocks + (size_t)r * g.a_row);
        g.c = dx + (size_t)done * inputs;
        g.start = add ? g.c : NULL;
        x->kernels->gemm_bytes(&g);
    }
}

void mote_product_columns(const mote_exec *x, const mote_op *op, int begin, int rows, int at, int tokens) {
    const int i = (int)(op - x->program->ops);
    if (!x->makes_columns[i]) return;
    if (!mote_weights_in_bytes(x, op->in[1])) {
        mote_pairs_columns(x, op, begin, rows, at, tokens);
        return;
    }
    mote_bytes_pack_columns(x->kernels, mote_value(x, op->in[0], begin), (size_t)mote_cols(x, op->in[0]), rows,
                            mote_cols(x, op->in[0]), at / MOTE_BLOCK_VALUES, mote_blocks_of(tokens),
                            x->columns[i]);
}

void mote_product_weights(const mote_exec *x, mote_worker *w, const mote_op *op, const mote_real *dy, int chunk,
                          int tokens, int begin, int rows) {
    const mote_tensor *t = mote_tensor_of(x->program, op->in[1]);
    const size_t outputs = (size_t)t->rows, inputs = (size_t)t->cols;
    mote_real *dw = x->gradient[op->in[1]] + (size_t)begin * inputs;
    if (mote_backward_in_pairs(x, op->in[1])) {
        mote_pairs_weights(x, w, op, dy, tokens, begin, rows);
        return;
    }
    if (!mote_weights_in_bytes(x, op->in[1])) {
        mote_gemm g = {
            .rows = rows,
            .columns = t->cols,
            .depth = tokens,
            .a = dy + begin,
            .a_row = 1,
            .a_depth = outputs,
            .b = mote_value(x, op->in[0], chunk),
            .b_panel = MOTE_PANEL,
            .b_depth = inputs,
            .c = dw,
            .c_row = inputs,
            .start = dw,
            .start_row = inputs,
            .copy = mote_gemm_copy(outputs) ? mote_take_scratch(x, w) : NULL,
        };
        mote_run_product(x, op->in[1], MOTE_PRODUCT_WEIGHT, &g, &(mote_blas_matrix){g.b, inputs, false});
        return;
    }
    mote_block8 *blocks = (mote_block8 *)(void *)mote_take_scratch(x, w);
    mote_gemm_blocks g = {.columns = t->cols, .blocks = mote_blocks_of(tokens), .a = blocks,
                          .b = x->columns[op - x->program->ops], .c_row = inputs, .start_row = inputs};
    g.a_row = (size_t)g.blocks;
    for (int done = 0; done < rows; done += FEW) {
        g.rows = rows - done < FEW ? rows - done : FEW;
        mote_bytes_turn(x->kernels, dy + begin + done, outputs, tokens, g.rows, blocks);
        g.c = dw + (size_t)done * inputs;
        g.start = g.c;
        x->kernels->gemm_bytes(&g);
    }
}
