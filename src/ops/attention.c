/* Causal attention with grouped queries (Vaswani et al. 2017; Ainslie et al. 2023), optionally in a sliding window.
 *
 * Keys and values first go to the state: keys in panels of 16 positions [position / 16][head_dim][16], values in rows
 * of whole panels, each (slot, kv head) by itself. So scores and their weighted sum are plain products, and a query
 * sums over the keys in ascending order whether it comes alone or in a tile. In bf16 (attention.h) both lie in pairs,
 * and one kernel does a tile. */
#include "ops/attention.h"

#include <string.h>

enum {
    QUERIES = 24, /* rows of a tile of queries beside a cache: two tiles of the 12-row micro-kernel */
    TILE = 16,    /* rows of a tile of training: the least keys beyond the diagonal */
    BLOCK = 64,   /* queries whose probabilities backward holds at a time: the depth of its sums over queries */
};

_Static_assert((int)QUERIES >= (int)MOTE_ATTEND_ROWS, "attention_rows.c finds its rows of scores in the scratch");

static mote_status check(const mote_program *p, const mote_op *op, mote_error *error) {
    int heads = op->as.attention.heads, kv_heads = op->as.attention.kv_heads, n = op->as.attention.head_dim;
    bool ok = heads > 0 && kv_heads > 0 && heads % kv_heads == 0 && n > 0 && op->as.attention.window >= 0;
    for (int i = 0; i < 3; i++) ok = ok && mote_is_activation(p, op->in[i]);
    for (int i = 0; i < 2; i++) ok = ok && op->out[i] >= 0;
    for (int i = 3; i < 5; i++) ok = ok && op->in[i] >= 0 && p->tensors[op->in[i]].role == MOTE_ROLE_STATE;
    if (ok) {
        ok = op->as.attention.q_column + heads * n <= p->tensors[op->in[0]].cols &&
             op->as.attention.k_column + kv_heads * n <= p->tensors[op->in[1]].cols &&
             op->as.attention.v_column + kv_heads * n <= p->tensors[op->in[2]].cols &&
             p->tensors[op->in[3]].cols == kv_heads * n &&
             p->tensors[op->in[4]].cols == kv_heads * mote_attention_value_width(n) &&
             p->tensors[op->out[0]].cols == heads * n && p->tensors[op->out[1]].cols == heads;
    }
    return mote_op_expect(p, op, ok, "queries, keys, values, states and heads do not fit each other", error);
}

bool mote_attends_in_bf16(const mote_program *program, mote_type rounded) {
    for (int i = 0; i < program->n_ops; i++) {
        const mote_op *op = &program->ops[i];
        if (op->kind == MOTE_OP_LINEAR && !mote_type_is_float(program->tensors[op->in[1]].type)) return true;
    }
    return rounded != MOTE_TYPE_F32;
}

/* Evaluation borrows the executor of a trainer. */
static inline bool in_bf16(const mote_exec *x) { return x->bf16_attention && !x->training; }

/* Bytes of the keys and of the values of one kv head in so many positions, a multiple of MOTE_PANEL. */
static size_t key_bytes(const mote_exec *x, int n, int positions) {
    return (size_t)positions * (in_bf16(x) ? (size_t)((n + 1) / 2) * sizeof(uint32_t)
                                                  : (size_t)n * sizeof(mote_real));
}
static size_t value_bytes(const mote_exec *x, int n, int positions) {
    return (size_t)positions * (size_t)mote_attention_value_width(n) *
           (in_bf16(x) ? sizeof(uint16_t) : sizeof(mote_real));
}

size_t mote_attention_state_bytes(const mote_exec *x, mote_tensor_id state) {
    for (int i = 0; i < x->program->n_ops; i++) {
        const mote_op *op = &x->program->ops[i];
        if (op->kind != MOTE_OP_ATTENTION || (op->in[3] != state && op->in[4] != state)) continue;
        int n = op->as.attention.head_dim;
        return (size_t)op->as.attention.kv_heads *
               (op->in[3] == state ? key_bytes(x, n, x->state_context) : value_bytes(x, n, x->state_context));
    }
    return 0;
}

typedef mote_attention_memory memory;

mote_attention_memory mote_attention_state(const mote_exec *x, const mote_op *op, const mote_sequence *s, int kv_head) {
    int n = op->as.attention.head_dim;
    size_t at = (size_t)s->slot * (size_t)op->as.attention.kv_heads + (size_t)kv_head;
    return (memory){(char *)x->value[op->in[3]] + at * key_bytes(x, n, x->state_context),
                    (char *)x->value[op->in[4]] + at * value_bytes(x, n, x->state_context), s->position - s->begin};
}

/* Rows of n values to rows of whole panels. */
static void copy_rows(const mote_real *from, size_t from_row, int rows, int n, mote_real *to) {
    size_t width = (size_t)mote_attention_value_width(n);
    for (int r = 0; r < rows; r++) memcpy(to + (size_t)r * width, from + (size_t)r * from_row, (size_t)n * sizeof *to);
}

/* Copies the rows of one sequence and kv head to their memory. */
static void store(const mote_exec *x, const mote_op *op, const mote_sequence *s, int kv_head, const memory *m) {
    int n = op->as.attention.head_dim, width = mote_attention_value_width(n);
    const mote_real *k = mote_value(x, op->in[1], s->begin) + op->as.attention.k_column + kv_head * n;
    const mote_real *v = mote_value(x, op->in[2], s->begin) + op->as.attention.v_column + kv_head * n;
    size_t k_row = (size_t)mote_cols(x, op->in[1]), v_row = (size_t)mote_cols(x, op->in[2]);
    if (in_bf16(x)) {
        mote_bf16_store b = {.k = k, .v = v, .k_row = k_row, .v_row = v_row, .rows = s->end - s->begin,
                             .position = m->first + s->begin, .head_dim = n, .keys = m->keys, .values = m->values};
        x->kernels->bf16_store(&b);
        return;
    }
    for (int r = s->begin, rows; r < s->end; r += rows, k += (size_t)rows * k_row) {
        int position = m->first + r;
        mote_real *panel = (mote_real *)m->keys + (size_t)(position / MOTE_PANEL) * (size_t)n * MOTE_PANEL;
        rows = position % MOTE_PANEL ? 1 : (s->end - r) / MOTE_PANEL * MOTE_PANEL;
        if (rows > 1) {
            x->kernels->pack[MOTE_TYPE_F32](k, k_row, rows, n, panel);
            continue;
        }
        rows = 1;
        for (int i = 0; i < n; i++) panel[i * MOTE_PANEL + position % MOTE_PANEL] = k[i];
    }
    copy_rows(v, v_row, s->end - s->begin, n, (mote_real *)m->values + (size_t)(m->first + s->begin) * (size_t)width);
}

/* Scores of a tile of queries against keys [k0, k1), k0 a multiple of MOTE_PANEL, into scores [rows, width]. */
static void score(const mote_exec *x, const mote_real *q, size_t q_row, int rows, const mote_real *keys, int k0, int k1,
                  int n, mote_real *scores, int width) {
    mote_gemm g = {
        .rows = rows,
        .columns = k1 - k0,
        .depth = n,
        .a = q,
        .a_row = q_row,
        .a_depth = 1,
        .b = keys + (size_t)k0 * (size_t)n,
        .b_panel = (size_t)n * MOTE_PANEL,
        .b_depth = MOTE_PANEL,
        .b_padded = true,
        .c = scores,
        .c_row = (size_t)width,
    };
    x->kernels->gemm[MOTE_TYPE_F32](&g);
}

static inline int whole_panels(int n) { return (n + MOTE_PANEL - 1) / MOTE_PANEL * MOTE_PANEL; }

/* Scores of `rows` queries from `position` on, `step` positions further each row, against keys from k0 on. */
static mote_softmax softmax_of(const mote_op *op, mote_real *scores, int width, int rows, int position, int k0,
                               int step) {
    int window = op->as.attention.window;
    return (mote_softmax){
        .scores = scores, .scores_row = (size_t)width, .rows = rows, .width = width, .step = step,
        .low = window > 0 ? position - window + 1 - k0 : -rows, .high = position + 1 - k0,
        .scale = op->as.attention.scale, .log_sum_row = (size_t)op->as.attention.heads,
    };
}

/* A tile of queries of one head, or one query of several heads that share their keys: rows of one product either way.
 */
typedef struct {
    int begin, end;      /* rows of the batch */
    int head, n_heads;   /* n_heads > 1 only for one query */
} queries;

static void attend_in_bf16(const mote_exec *x, const mote_op *op, const memory *m, queries t, mote_real *scratch) {
    int n = op->as.attention.head_dim, position = m->first + t.begin, window = op->as.attention.window;
    mote_bf16_attend a = {
        .q = mote_value(x, op->in[0], t.begin) + op->as.attention.q_column + t.head * n,
        .q_row = (size_t)(t.n_heads > 1 ? n : mote_cols(x, op->in[0])), .rows = (t.end - t.begin) * t.n_heads,
        .head_dim = n, .low = window > 0 ? position - window + 1 : -x->state_context, .high = position + 1,
        .step = t.n_heads == 1, .keys = m->keys, .values = m->values, .scale = op->as.attention.scale,
        .y = mote_value(x, op->out[0], t.begin) + t.head * n,
        .y_row = (size_t)(t.n_heads > 1 ? n : mote_cols(x, op->out[0])), .scratch = scratch,
    };
    x->kernels->bf16_attend(&a);
}

static bool all_finite(const mote_real *y, int n) {
    int other = 0;
    for (int i = 0; i < n; i++) other |= y[i] * 0 != 0;
    return !other;
}

/* The sums of `g` again, each row over the keys it sees and no other: 0 times an infinite value of a key that is hidden
 * from it is not 0. Zeros left out of a chain do not change its bits. */
static void sum_apart(const mote_exec *x, const mote_softmax *s, const mote_gemm *g) {
    for (int r = 0; r < s->rows; r++) {
        const int high = s->high + r * s->step, low = s->low + r * s->step > 0 ? s->low + r * s->step : 0;
        mote_gemm row = *g;
        row.rows = 1;
        row.depth = high - low;
        row.a += (size_t)r * g->a_row + (size_t)low;
        row.b = (const mote_real *)g->b + (size_t)low * g->b_depth;
        row.c += (size_t)r * g->c_row;
        x->kernels->gemm[MOTE_TYPE_F32](&row);
    }
}

static void attend(const mote_exec *x, const mote_op *op, const memory *m, queries t, mote_real *scores) {
    if (in_bf16(x)) {
        attend_in_bf16(x, op, m, t, scores);
        return;
    }
    int n = op->as.attention.head_dim, position = m->first + t.begin;
    int k1 = m->first + t.end, k0 = mote_first_key(op, position) / MOTE_PANEL * MOTE_PANEL;
    int width = whole_panels(k1 - k0); /* scores of whole panels: no narrow products */
    int rows = (t.end - t.begin) * t.n_heads, value_width = mote_attention_value_width(n);
    size_t q_row = (size_t)(t.n_heads > 1 ? n : mote_cols(x, op->in[0])),
           y_row = (size_t)(t.n_heads > 1 ? n : mote_cols(x, op->out[0]));
    score(x, mote_value(x, op->in[0], t.begin) + op->as.attention.q_column + t.head * n, q_row, rows, m->keys, k0,
          k0 + width, n, scores, width);
    mote_softmax s = softmax_of(op, scores, width, rows, position, k0, t.n_heads == 1);
    if (x->training) s.log_sum = mote_value(x, op->out[1], t.begin) + t.head;
    x->kernels->softmax(&s);
    mote_gemm g = {
        .rows = rows,
        .columns = n,
        .depth = k1 - k0,
        .a = scores,
        .a_row = (size_t)width,
        .a_depth = 1,
        .b = (const mote_real *)m->values + (size_t)k0 * (size_t)value_width,
        .b_panel = MOTE_PANEL,
        .b_depth = (size_t)value_width,
        .b_padded = true,
        .c = mote_value(x, op->out[0], t.begin) + t.head * n,
        .c_row = y_row,
    };
    x->kernels->gemm[MOTE_TYPE_F32](&g);
    /* Row 0 has a factor, be it 0, for every key of the tile: what is not finite shows in it. */
    if (!all_finite(g.c, n)) sum_apart(x, &s, &g);
}

static int tiles_of(const mote_sequence *s) { return (s->end - s->begin + QUERIES - 1) / QUERIES; }

/* Few rows: each thread has its heads of keys and the queries that go with them, from storing to the sums, so that the
 * threads need not meet in between. */
static void forward_few(const mote_exec *x, const mote_op *op, mote_worker *w) {
    const mote_share *share = &x->shares[op - x->program->ops];
    int group = op->as.attention.heads / op->as.attention.kv_heads, most = group < QUERIES ? group : QUERIES;
    int first = mote_share_begin(share, w->thread, w->threads),
        end = mote_share_begin(share, w->thread + 1, w->threads);
    for (int i = 0; i < x->n_sequences; i++) {
        const mote_sequence *s = &x->sequence[i];
        for (int kv_head = first; kv_head < end; kv_head++) {
            memory m = mote_attention_state(x, op, s, kv_head);
            store(x, op, s, kv_head, &m);
            if (s->end - s->begin == 1) {
                for (int h = 0; h < group; h += most) {
                    queries t = {s->begin, s->end, kv_head * group + h, group - h < most ? group - h : most};
                    attend(x, op, &m, t, mote_take_scratch(x, w));
                }
                continue;
            }
            for (int h = kv_head * group; h < (kv_head + 1) * group; h++)
                for (int begin = s->begin; begin < s->end; begin += QUERIES)
                    attend(x, op, &m, (queries){begin, begin + QUERIES < s->end ? begin + QUERIES : s->end, h, 1},
                           mote_take_scratch(x, w));
        }
    }
    mote_phase_end(x, w);
}

/* Training and evaluation, where sequences begin at their first token and their keys serve this op alone: each kv head
 * of a sequence by itself, all of its heads and tiles. */
static void forward_whole(const mote_exec *x, const mote_op *op, mote_worker *w) {
    int n = op->as.attention.head_dim, kv_heads = op->as.attention.kv_heads, group = op->as.attention.heads / kv_heads;
    mote_real *scratch = mote_take_scratch(x, w);
    for (int part; (part = mote_part(x, w, x->n_sequences * kv_heads)) >= 0;) {
        const mote_sequence *s = &x->sequence[part / kv_heads];
        int kv_head = part % kv_heads, length = s->end - s->begin, whole = whole_panels(length);
        memory m = {.keys = scratch, .values = (char *)scratch + key_bytes(x, n, whole), .first = -s->begin};
        mote_real *scores = (mote_real *)(void *)((char *)m.values + value_bytes(x, n, whole));
        if (in_bf16(x)) {
            store(x, op, s, kv_head, &m);
        } else {
            x->kernels->pack[MOTE_TYPE_F32](
                mote_value(x, op->in[1], s->begin) + op->as.attention.k_column + kv_head * n,
                (size_t)mote_cols(x, op->in[1]), length, n, m.keys);
            copy_rows(mote_value(x, op->in[2], s->begin) + op->as.attention.v_column + kv_head * n,
                      (size_t)mote_cols(x, op->in[2]), length, n, m.values);
        }
        const int tile = in_bf16(x) ? QUERIES : TILE;
        for (int head = kv_head * group; head < (kv_head + 1) * group; head++)
            for (int begin = s->begin; begin < s->end; begin += tile)
                attend(x, op, &m, (queries){begin, begin + tile < s->end ? begin + tile : s->end, head, 1}, scores);
    }
    mote_phase_end(x, w);
}

static void forward(const mote_exec *x, const mote_op *op, const mote_slice *slice, mote_worker *w) {
    (void)slice;
    if (x->private_state) {
        forward_whole(x, op, w);
        return;
    }
    if (x->n_sequences == x->n_rows && !in_bf16(x)) {
        mote_attend_rows(x, op, w);
        return;
    }
    if (w->few && x->shares[op - x->program->ops].units) {
        forward_few(x, op, w);
        return;
    }
    int heads = op->as.attention.heads, kv_heads = op->as.attention.kv_heads, tiles = 0;
    for (int part; (part = mote_part(x, w, x->n_sequences * kv_heads)) >= 0;) {
        const mote_sequence *s = &x->sequence[part / kv_heads];
        memory m = mote_attention_state(x, op, s, part % kv_heads);
        store(x, op, s, part % kv_heads, &m);
    }
    mote_phase_end(x, w);
    for (int i = 0; i < x->n_sequences; i++) tiles += tiles_of(&x->sequence[i]);
    /* From the end, where queries see most keys: the parts that the threads finish with are small ones. */
    int i = x->n_sequences, before = tiles;
    for (int part; (part = mote_part(x, w, tiles * heads)) >= 0;) {
        int tile = tiles - 1 - part / heads;
        while (tile < before) before -= tiles_of(&x->sequence[--i]);
        const mote_sequence *s = &x->sequence[i];
        int begin = s->begin + (tile - before) * QUERIES, end = begin + QUERIES < s->end ? begin + QUERIES : s->end;
        queries t = {begin, end, part % heads, 1};
        memory m = mote_attention_state(x, op, s, t.head / (heads / kv_heads));
        if (end - begin == 1) { /* the last of a prompt: the heads of one group read its keys and values once */
            int group = heads / kv_heads < QUERIES ? heads / kv_heads : QUERIES, within = t.head % (heads / kv_heads);
            if (within % group) continue;
            t.n_heads = heads / kv_heads - within < group ? heads / kv_heads - within : group;
        }
        attend(x, op, &m, t, mote_take_scratch(x, w));
    }
    mote_phase_end(x, w);
}

typedef struct {
    const mote_exec *x;
    const mote_op *op;
    const mote_sequence *s;
    int n;
    mote_real *keys, *values;  /* panels: [position / 16][head_dim][16] */
    mote_real *key_rows;       /* [position][value width] */
    mote_real *p, *ds;         /* [BLOCK, width] */
    mote_real *dk, *dv;        /* into the gradients of the activations */
    size_t k_row, v_row;       /* their row lengths */
} backward_part;

/* c[rows, columns] (+)= a b, a with any strides. */
static void product(const mote_exec *x, int rows, int columns, int depth, const mote_real *a, size_t a_row,
                    size_t a_depth, const mote_real *b, size_t b_row, mote_real *c, size_t c_row, bool add) {
    mote_gemm g = {
        .rows = rows, .columns = columns, .depth = depth, .a = a, .a_row = a_row, .a_depth = a_depth, .b = b,
        .b_panel = MOTE_PANEL, .b_depth = b_row, .c = c, .c_row = c_row, .start = add ? c : NULL, .start_row = c_row,
    };
    x->kernels->gemm[MOTE_TYPE_F32](&g);
}

/* Probabilities and gradients of the scores of queries [from, to) of a block that begins at `begin` and looks at keys
 * from k0 on, and dq. */
static void backward_tile(const backward_part *b, int head, int begin, int from, int to, int k0, int width) {
    const mote_exec *x = b->x;
    const mote_op *op = b->op;
    int n = b->n, rows = to - from, position = from - b->s->begin, end = to - b->s->begin;
    int j0 = mote_first_key(op, position) / MOTE_PANEL * MOTE_PANEL, j1 = whole_panels(end);
    size_t q_row = (size_t)mote_cols(x, op->in[0]), y_row = (size_t)mote_cols(x, op->out[0]),
           at = (size_t)(from - begin) * (size_t)width, value_width = (size_t)mote_attention_value_width(n);
    const mote_real *dy = mote_gradient(x, op->out[0], from) + head * n;
    score(x, mote_value(x, op->in[0], from) + op->as.attention.q_column + head * n, q_row, rows, b->keys, j0, j1, n,
          b->p + at + (j0 - k0), width);
    score(x, dy, y_row, rows, b->values, j0, j1, n, b->ds + at + (j0 - k0), width);
    mote_softmax_backward s = {
        .of = softmax_of(op, b->p + at, width, rows, position, k0, 1), .dp = b->ds + at,
        .y = mote_value(x, op->out[0], from) + head * n, .dy = dy, .y_row = y_row, .columns = n,
    };
    s.of.width = j1 - k0;
    s.of.log_sum = mote_value(x, op->out[1], from) + head;
    x->kernels->softmax_backward(&s);
    product(x, rows, n, end - j0, b->ds + at + (j0 - k0), (size_t)width, 1, b->key_rows + (size_t)j0 * value_width,
            value_width, mote_gradient(x, op->in[0], from) + op->as.attention.q_column + head * n, q_row, false);
}

/* A block of queries of one head: dq, and its share of dk and dv. Keys before the block are summed over all of its
 * queries, those inside by tiles, from the tile's own queries on. `adds`: another head has written dk and dv. */
static void backward_block(const backward_part *b, int head, int begin, int end, bool adds) {
    const mote_exec *x = b->x;
    const mote_op *op = b->op;
    int n = b->n, offset = b->s->begin, k0 = mote_first_key(op, begin - offset) / MOTE_PANEL * MOTE_PANEL;
    int width = whole_panels(end - offset - k0), past = begin - offset - k0;
    size_t w = (size_t)width, q_row = (size_t)mote_cols(x, op->in[0]), y_row = (size_t)mote_cols(x, op->out[0]);
    for (int from = begin; from < end; from += TILE)
        backward_tile(b, head, begin, from, from + TILE < end ? from + TILE : end, k0, width);
    const mote_real *q = mote_value(x, op->in[0], begin) + op->as.attention.q_column + head * n,
                    *dy = mote_gradient(x, op->out[0], begin) + head * n;
    mote_real *dv = b->dv + (size_t)k0 * b->v_row, *dk = b->dk + (size_t)k0 * b->k_row;
    if (past > 0) {
        product(x, past, n, end - begin, b->p, 1, w, dy, y_row, dv, b->v_row, true);
        product(x, past, n, end - begin, b->ds, 1, w, q, q_row, dk, b->k_row, true);
    }
    for (int t = 0; t < end - begin; t += TILE) {
        int keys = end - begin - t < TILE ? end - begin - t : TILE, depth = end - begin - t;
        size_t at = (size_t)t * w + (size_t)(past + t), key = (size_t)(past + t);
        product(x, keys, n, depth, b->p + at, 1, w, dy + (size_t)t * y_row, y_row, dv + key * b->v_row, b->v_row, adds);
        product(x, keys, n, depth, b->ds + at, 1, w, q + (size_t)t * q_row, q_row, dk + key * b->k_row, b->k_row, adds);
    }
}

/* One (sequence, kv head): all its heads and blocks in order, so that dk and dv sum in one order. */
static void backward_one(const mote_exec *x, const mote_op *op, int part, mote_real *scratch) {
    int n = op->as.attention.head_dim, kv_heads = op->as.attention.kv_heads, group = op->as.attention.heads / kv_heads;
    const mote_sequence *s = &x->sequence[part / kv_heads];
    int kv_head = part % kv_heads, length = s->end - s->begin;
    int k_column = op->as.attention.k_column + kv_head * n, v_column = op->as.attention.v_column + kv_head * n;
    size_t packed = mote_packed_values(length, n), rows = (size_t)length * (size_t)mote_attention_value_width(n);
    backward_part b = {
        .x = x, .op = op, .s = s, .n = n, .keys = scratch, .values = scratch + packed, .key_rows = scratch + 2 * packed,
        .p = scratch + 2 * packed + rows,
        .ds = scratch + 2 * packed + rows + (size_t)BLOCK * (size_t)whole_panels(length),
        .dk = mote_gradient(x, op->in[1], s->begin) + k_column, .dv = mote_gradient(x, op->in[2], s->begin) + v_column,
        .k_row = (size_t)mote_cols(x, op->in[1]), .v_row = (size_t)mote_cols(x, op->in[2]),
    };
    const mote_real *k = mote_value(x, op->in[1], s->begin) + k_column;
    x->kernels->pack[MOTE_TYPE_F32](k, b.k_row, length, n, b.keys);
    copy_rows(k, b.k_row, length, n, b.key_rows);
    x->kernels->pack[MOTE_TYPE_F32](mote_value(x, op->in[2], s->begin) + v_column, b.v_row, length, n, b.values);
    for (int head = kv_head * group; head < (kv_head + 1) * group; head++)
        for (int begin = s->begin; begin < s->end; begin += BLOCK)
            backward_block(&b, head, begin, begin + BLOCK < s->end ? begin + BLOCK : s->end, head > kv_head * group);
}

static void backward(const mote_exec *x, const mote_op *op, uint8_t adds, const mote_slice *slice, mote_worker *w) {
    (void)adds, (void)slice;
    int kv_heads = op->as.attention.kv_heads;
    for (int part; (part = mote_part(x, w, x->n_sequences * kv_heads)) >= 0;)
        backward_one(x, op, part, mote_take_scratch(x, w));
    mote_phase_end(x, w);
}

static size_t scratch(const mote_exec *x, const mote_op *op) {
    size_t context = (size_t)x->state_context, n = (size_t)op->as.attention.head_dim,
           width = (size_t)mote_attention_value_width(op->as.attention.head_dim), least = 0;
    if (x->bf16_attention)
        least = mote_bf16_attend_bytes((int)n, x->state_context) / sizeof(mote_real) + 1 +
                (x->private_state ? context * ((n + 1) / 2 + width / 2) : 0);
    size_t floats = x->training ? context * (2 * n + width + 2 * BLOCK)
                                : context * (x->private_state ? n + width + TILE : QUERIES);
    return in_bf16(x) || floats < least ? least : floats;
}

static mote_cost cost(const mote_program *p, const mote_op *op, int position) {
    double keys = position + 1 - mote_first_key(op, position), n = op->as.attention.head_dim;
    double bytes = mote_attends_in_bf16(p, MOTE_TYPE_F32) ? 2 : 4;
    return (mote_cost){.flops = op->as.attention.heads * keys * (4 * n + 5),
                       .state_bytes = 2 * bytes * op->as.attention.kv_heads * keys * n};
}

static void example(mote_builder *b, int example) {
    static const struct { int32_t heads, kv_heads, head_dim, window; } shape[] = {
        {2, 2, 5, 0}, {4, 2, 16, 0}, {3, 1, 7, 4}, {2, 2, 6, 0}, {3, 1, 7, 4}, {2, 1, 3, 40}};
    int heads = shape[example].heads, kv_heads = shape[example].kv_heads, n = shape[example].head_dim;
    bool fused = example == 3; /* q, k, v in one activation, as GPT-2 has them */
    b->program->context = 64;
    mote_tensor_id q, k, v;
    if (fused) q = k = v = mote_builder_input(b, (heads + 2 * kv_heads) * n, "qkv");
    else
        q = mote_builder_input(b, heads * n, "q"), k = mote_builder_input(b, kv_heads * n, "k"),
        v = mote_builder_input(b, kv_heads * n, "v");
    mote_tensor_id keys = mote_builder_state(b, kv_heads * n, "keys"),
                   values = mote_builder_state(b, kv_heads * mote_attention_value_width(n), "values");
    mote_tensor_id y = mote_builder_activation(b, heads * n, "y"),
                   log_sums = mote_builder_activation(b, heads, "log_sums");
    mote_op *op = mote_builder_op(b, MOTE_OP_ATTENTION);
    op->in[0] = q;
    op->in[1] = k;
    op->in[2] = v;
    op->in[3] = keys;
    op->in[4] = values;
    op->out[0] = y;
    op->out[1] = log_sums;
    op->as.attention.heads = heads;
    op->as.attention.kv_heads = kv_heads;
    op->as.attention.head_dim = n;
    op->as.attention.window = shape[example].window;
    op->as.attention.k_column = (fused ? heads * n : 0);
    op->as.attention.v_column = (fused ? (heads + kv_heads) * n : 0);
    op->as.attention.scale = 0.7f;
}

const mote_op_info mote_op_attention = {
    .name = "attention", .backward_in = 1 | 2 | 4, .backward_out = 1 | 2, .check = check, .forward = forward,
    .backward = backward, .cost = cost, .scratch = scratch, .n_examples = 6, .example = example,
};
