/* Training whose products run on bf16: with precision bf16 all, with int8 those that 8 bits would spoil. Weights are
 * rounded once a step, into panels along the inputs for the forward product and along the outputs for the gradient of
 * x; activations and gradients on their way into a product. x along the tokens is packed once for all weight
 * gradients that read it, as eight_bits.c does. No rounding depends on tiles and threads. */
#include "ops/ops.h"

enum {
    ROWS = MOTE_TILE_ROWS, /* whose pairs are in scratch at a time */
    PIECE = 1024,          /* values of a backward product's depth at a time: 192 KiB with ROWS, which stay in L2 */
};

static size_t pairs_of(int n) { return (size_t)(n + 1) / 2; }
static int least(int a, int b) { return a < b ? a : b; }

static size_t values_of(size_t pairs) {
    return (pairs * sizeof(uint32_t) + sizeof(mote_real) - 1) / sizeof(mote_real);
}

size_t mote_pairs_forward_scratch(const mote_exec *x, mote_tensor_id weight) {
    return values_of((size_t)least(x->max_rows, ROWS) * pairs_of(mote_cols(x, weight)));
}

size_t mote_pairs_backward_scratch(const mote_exec *x, mote_tensor_id weight, int tokens) {
    const int outputs = mote_tensor_of(x->program, weight)->rows;
    return values_of(ROWS * pairs_of(least(PIECE, outputs > tokens ? outputs : tokens)));
}

/* Rows [begin, begin + rows) of an activation, which lie in scratch until another op takes it: q, k and v read them. */
static const uint32_t *rounded_rows(const mote_exec *x, mote_worker *w, mote_tensor_id input, int begin, int rows) {
    uint32_t *pairs = (uint32_t *)(void *)x->scratch[w->thread];
    if (w->blocks_of == input && w->blocks_in_pairs && w->blocks_begin == begin && w->blocks_rows >= rows) return pairs;
    const int cols = mote_cols(x, input);
    for (int r = 0; r < rows; r++)
        x->kernels->bf16_row(mote_value(x, input, begin + r), cols, pairs + (size_t)r * pairs_of(cols));
    w->blocks_of = input;
    w->blocks_in_pairs = true;
    w->blocks_begin = begin;
    w->blocks_rows = rows;
    return pairs;
}

void mote_pairs_product(const mote_exec *x, mote_worker *w, mote_tensor_id input, int begin, const mote_gemm *g) {
    const int cols = mote_cols(x, input);
    mote_gemm_bf16 b = {.columns = g->columns, .depth = (int)pairs_of(cols), .a_row = pairs_of(cols), .b = g->b,
                        .b_panel = pairs_of(cols) * MOTE_PANEL, .c_row = g->c_row, .start_row = g->start_row,
                        .bias = g->bias};
    for (int row = 0; row < g->rows; row += ROWS) {
        b.rows = least(g->rows - row, ROWS);
        b.a = rounded_rows(x, w, input, begin + row, b.rows);
        b.c = g->c + (size_t)row * g->c_row;
        b.start = g->start ? g->start + (size_t)row * g->start_row : NULL;
        x->kernels->bf16_gemm(&b);
    }
}

void mote_pairs_input(const mote_exec *x, mote_worker *w, mote_tensor_id weight, const mote_real *dy, int rows,
                      mote_real *dx, bool add) {
    const mote_tensor *t = mote_tensor_of(x->program, weight);
    const size_t outputs = (size_t)t->rows, inputs = (size_t)t->cols;
    uint32_t *a = (uint32_t *)(void *)mote_take_scratch(x, w);
    mote_gemm_bf16 g = {.columns = t->cols, .a = a, .b_panel = pairs_of(t->rows) * MOTE_PANEL, .c_row = inputs,
                        .start_row = inputs};
    for (int done = 0; done < rows; done += ROWS) {
        g.rows = least(rows - done, ROWS);
        g.c = dx + (size_t)done * inputs;
        for (int from = 0; from < t->rows; from += PIECE) {
            const int depth = least(t->rows - from, PIECE);
            g.a_row = pairs_of(depth);
            g.depth = (int)g.a_row;
            for (int r = 0; r < g.rows; r++)
                x->kernels->bf16_row(dy + (size_t)(done + r) * outputs + from, depth, a + (size_t)r * g.a_row);
            g.b = (const uint32_t *)x->strips[weight] + (size_t)from / 2 * MOTE_PANEL;
            g.start = from || add ? g.c : NULL;
            x->kernels->bf16_gemm(&g);
        }
    }
}

void mote_pairs_columns(const mote_exec *x, const mote_op *op, int begin, int rows, int at, int tokens) {
    uint32_t *to = (uint32_t *)x->columns[op - x->program->ops] + (size_t)at / 2 * MOTE_PANEL;
    const int cols = mote_cols(x, op->in[0]);
    x->kernels->bf16_turn(mote_value(x, op->in[0], begin), (size_t)cols, rows, cols, to, pairs_of(tokens) * MOTE_PANEL);
}

void mote_pairs_weights(const mote_exec *x, mote_worker *w, const mote_op *op, const mote_real *dy, int tokens,
                        int begin, int rows) {
    const mote_tensor *t = mote_tensor_of(x->program, op->in[1]);
    const size_t outputs = (size_t)t->rows, inputs = (size_t)t->cols;
    uint32_t *a = (uint32_t *)(void *)mote_take_scratch(x, w);
    mote_gemm_bf16 g = {.columns = t->cols, .a = a, .b_panel = pairs_of(tokens) * MOTE_PANEL, .c_row = inputs,
                        .start_row = inputs};
    for (int done = 0; done < rows; done += ROWS) {
        g.rows = least(rows - done, ROWS);
        g.c = x->gradient[op->in[1]] + (size_t)(begin + done) * inputs;
        g.start = g.c;
        for (int from = 0; from < tokens; from += PIECE) {
            const int depth = least(tokens - from, PIECE);
            g.depth = (int)pairs_of(depth);
            g.a_panel = (size_t)g.depth * MOTE_PANEL;
            x->kernels->bf16_turn(dy + (size_t)from * outputs + begin + done, outputs, depth, g.rows, a, g.a_panel);
            g.b = (const uint32_t *)x->columns[op - x->program->ops] + (size_t)from / 2 * MOTE_PANEL;
            x->kernels->bf16_gemm(&g);
        }
    }
}
