/* Rotary positions (Su et al. 2021): pairs of each head turn by position * frequency, base^(-2i / head_dim). Longer
 * contexts than those of training turn slower: all pairs (linear, Chen et al. 2023), those that made few turns within
 * the context of training (Llama 3.1), or these with a ramp over the pairs, and longer vectors (YaRN, Peng et al. 2023;
 * edges as llama.cpp has them). */
#include "ops/rope.h"

#include <math.h>

#include "ops/ops.h"

#define TWO_PI 6.283185307179586

static double plain_frequency(const mote_turns *t, int pair) {
    return pow((double)t->base, -2.0 * pair / t->head_dim);
}

/* From 0, slow pairs, to 1, fast ones, by how often they turn within the context of training. */
static double llama3_part(const mote_turns *t, int pair) {
    double turns = t->original_context * plain_frequency(t, pair) / TWO_PI;
    return fmin(fmax((turns - (double)t->low) / ((double)t->high - (double)t->low), 0), 1);
}

/* The pair, as a real number, that turns so often within the context of training. */
static double yarn_pair(const mote_turns *t, double turns) {
    return t->head_dim * log(t->original_context / (turns * TWO_PI)) / (2 * log((double)t->base));
}

static double yarn_part(const mote_turns *t, int pair) {
    double first = fmax(floor(yarn_pair(t, (double)t->high)), 0);
    double last = fmin(ceil(yarn_pair(t, (double)t->low)), t->head_dim - 1);
    if (last <= first) last = first + 0.001;
    return 1 - fmin(fmax((pair - first) / (last - first), 0), 1);
}

double mote_turns_divisor(const mote_turns *t, int pair) {
    double kept = 0, factor = (double)t->factor; /* kept: part of the plain frequency that stays */
    switch ((mote_rope_scaling)t->scaling) {
    case MOTE_ROPE_PLAIN: return 1;
    case MOTE_ROPE_LINEAR: return factor;
    case MOTE_ROPE_LLAMA3: kept = llama3_part(t, pair); break;
    case MOTE_ROPE_YARN: kept = yarn_part(t, pair); break;
    }
    return 1 / (kept + (1 - kept) / factor);
}

double mote_turns_frequency(const mote_turns *t, int pair) {
    return plain_frequency(t, pair) / mote_turns_divisor(t, pair);
}

static mote_status check(const mote_program *p, const mote_op *op, mote_error *error) {
    const mote_turns *t = &op->as.rope.turns;
    bool ok = mote_is_activation(p, op->in[0]) && op->out[0] >= 0 && t->head_dim > 0 && t->head_dim % 2 == 0 &&
              t->base > 0;
    if (ok) {
        int cols = p->tensors[op->in[0]].cols;
        ok = p->tensors[op->out[0]].cols == cols && cols % t->head_dim == 0;
    }
    if (ok && t->scaling != MOTE_ROPE_PLAIN)
        ok = (unsigned)t->scaling <= MOTE_ROPE_YARN && t->factor > 0 &&
             (t->scaling == MOTE_ROPE_LINEAR ||
              (t->base > 1 && t->original_context > 0 && t->low > 0 && t->high > t->low));
    return mote_op_expect(p, op, ok, "the width must be whole heads of an even size, their scaling known", error);
}

/* Columns [begin, end) of a row: whole heads. */
static void rotate(const mote_exec *x, const mote_op *op, const mote_real *in, mote_real *out, int row, int begin,
                   int end, bool backward, bool add) {
    int n = op->as.rope.turns.head_dim;
    const mote_real *cosine_sine = x->rope[op - x->program->ops] + (size_t)x->position[row] * (size_t)n;
    for (int i = begin; i < end; i += n)
        x->kernels->rope(in + i, cosine_sine, n, op->as.rope.halves, backward, add, out + i);
}

static void forward(const mote_exec *x, const mote_op *op, const mote_slice *s, mote_worker *w) {
    (void)w;
    const mote_call *call = mote_call_of(x, op);
    for (int r = s->row_begin; r < s->row_end; r++) {
        size_t at = (size_t)r * (size_t)call->cols;
        rotate(x, op, call->x + at, call->y + at, r, s->column_begin, s->column_end, false, false);
    }
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
    op->as.rope.turns = (mote_turns){.base = 10000, .head_dim = 10};
    op->as.rope.halves = n == 1;
    if (n == 2) /* the one scaling whose turns are not of length 1 */
        op->as.rope.turns = (mote_turns){.base = 10000, .head_dim = 10, .scaling = MOTE_ROPE_YARN, .factor = 4,
                                         .low = 1, .high = 32, .original_context = 64, .attention = 1.3f};
}

const mote_op_info mote_op_rope = {
    .name = "rope", .row_wise = true, .can_add = 1, .check = check, .forward = forward, .backward = backward,
    .cost = cost, .n_examples = 3, .example = example,
};
