/* Runs a program: every thread walks the list and takes its share. A group of row-wise ops is done tile by tile, one
 * tile through the whole group by one thread, so that what passes between the ops stays in its cache. With fewer rows
 * than threads could share, the threads split the columns of the products instead. The results are the same bits either
 * way. */
#include <string.h>

#include "ops/ops.h"

/* In units that the products like: pairs of bf16 along the tokens, or their blocks in 8 bits, begin and end in one
 * tile. */
static mote_tiling tiles_of(const mote_exec *x, int threads) {
    if (x->bytes) return mote_tile_tokens(x->n_rows, threads, MOTE_BLOCK_VALUES, MOTE_BLOCK_VALUES);
    return mote_tile_tokens(x->n_rows, threads, MOTE_TOKEN_UNIT, MOTE_COARSE_UNIT);
}

static inline mote_slice whole(const mote_exec *x, int i, int begin, int end) {
    return (mote_slice){begin, end, 0, x->calls[i].cols};
}

/* Few rows: each thread its columns of each op, or thread 0 all of them (columns.c). */
static void forward_columns(const mote_exec *x, const mote_group *g, mote_worker *w) {
    for (int i = g->begin; i < g->end; i++) {
        const mote_op *op = &x->program->ops[i];
        const mote_share *share = &x->shares[i];
        mote_slice s = whole(x, i, 0, x->n_rows);
        if (share->meet) mote_barrier(x, w);
        if (share->units) {
            int end = mote_share_begin(share, w->thread + 1, w->threads) * share->unit;
            s.column_begin = mote_share_begin(share, w->thread, w->threads) * share->unit;
            if (end < s.column_end) s.column_end = end;
        } else if (w->thread > 0) {
            continue;
        }
        if (s.column_begin < s.column_end) x->calls[i].forward(x, op, &s, w);
        mote_lap(x, w, i, MOTE_PASS_FORWARD);
    }
}

static void forward_rows(const mote_exec *x, const mote_group *g, mote_worker *w) {
    for (int tile; (tile = mote_tile(x, w, w->tiling.tiles)) >= 0;) {
        int begin = mote_row_of_tile(&w->tiling, tile), end = mote_row_of_tile(&w->tiling, tile + 1);
        for (int i = g->begin; i < g->end; i++) {
            const mote_op *op = &x->program->ops[i];
            mote_slice s = whole(x, i, begin, end);
            if (x->observe) x->observe(x, i, begin, end);
            x->calls[i].forward(x, op, &s, w);
            mote_lap(x, w, i, MOTE_PASS_FORWARD);
        }
    }
    mote_phase_end(x, w);
}

/* Ops of a group whose outputs were not kept, and are needed now. */
static void run_again(const mote_exec *x, const mote_group *g, mote_again when, int begin, int end, mote_worker *w) {
    for (int i = g->begin; i < g->end; i++) {
        if (x->plan.again[i] != when) continue;
        mote_slice s = whole(x, i, begin, end);
        x->calls[i].forward(x, &x->program->ops[i], &s, w);
        mote_lap(x, w, i, MOTE_PASS_AGAIN);
    }
}

static void rows_again(const mote_exec *x, const mote_group *g, mote_worker *w) {
    for (int tile; (tile = mote_tile(x, w, w->tiling.tiles)) >= 0;) {
        run_again(x, g, MOTE_AGAIN_BEFORE, mote_row_of_tile(&w->tiling, tile), mote_row_of_tile(&w->tiling, tile + 1),
                  w);
    }
    mote_phase_end(x, w);
}

static void backward_rows(const mote_exec *x, const mote_group *g, mote_worker *w) {
    int parts = 0;
    for (int tile; (tile = mote_tile(x, w, w->tiling.tiles)) >= 0;) {
        int begin = mote_row_of_tile(&w->tiling, tile), end = mote_row_of_tile(&w->tiling, tile + 1);
        run_again(x, g, MOTE_AGAIN_HERE, begin, end, w);
        for (int i = g->end - 1; i >= g->begin; i--) {
            const mote_op *op = &x->program->ops[i];
            mote_slice s = whole(x, i, begin, end);
            mote_op_get(op->kind)->backward(x, op, x->plan.adds[i], &s, w);
            mote_lap(x, w, i, MOTE_PASS_BACKWARD);
        }
    }
    mote_phase_end(x, w);
    for (int i = g->begin; i < g->end; i++) {
        const mote_op_info *info = mote_op_get(x->program->ops[i].kind);
        if (info->weight_parts) parts += info->weight_parts(x, &x->program->ops[i]);
    }
    int i = g->begin - 1, before = 0, size = 0; /* op i has parts [before, before + size) */
    for (int part; (part = mote_part(x, w, parts)) >= 0;) {
        while (part >= before + size) {
            before += size;
            i++;
            const mote_op_info *info = mote_op_get(x->program->ops[i].kind);
            size = info->weight_parts ? info->weight_parts(x, &x->program->ops[i]) : 0;
        }
        const mote_op *op = &x->program->ops[i];
        mote_op_get(op->kind)->backward_weights(x, op, part - before, w);
        mote_lap(x, w, i, MOTE_PASS_WEIGHTS);
    }
    mote_phase_end(x, w);
}

/* All threads do one op together; its own barriers tell its waiting from its work. */
static void run_collective(const mote_exec *x, const mote_group *g, mote_worker *w, mote_pass pass) {
    const mote_op *op = &x->program->ops[g->begin];
    const mote_op_info *info = mote_op_get(op->kind);
    w->op = g->begin;
    w->pass = pass;
    if (w->few && x->shares[g->begin].meet) mote_barrier(x, w);
    if (pass == MOTE_PASS_FORWARD) info->forward(x, op, NULL, w);
    else info->backward(x, op, x->plan.adds[g->begin], NULL, w);
    mote_lap(x, w, g->begin, pass);
    w->op = x->program->n_ops;
    w->pass = MOTE_PASS_FORWARD;
}

static mote_worker start(const mote_exec *x, int thread, int threads) {
    if (x->timing) x->timing->mark[8 * thread] = mote_ticks();
    mote_worker w = {.thread = thread, .threads = threads, .op = x->program->n_ops, .pass = MOTE_PASS_FORWARD,
                     .blocks_of = MOTE_NONE};
    w.tiling = tiles_of(x, threads);
    return w;
}

static void forward_task(void *context, int thread, int threads) {
    const mote_exec *x = context;
    mote_worker w = start(x, thread, threads);
    w.few = w.tiling.tiles < threads && !x->observe; /* who observes is shown whole rows */
    for (int i = 0; i < x->plan.n_groups; i++) {
        const mote_group *g = &x->plan.groups[i];
        if (!g->row_wise) run_collective(x, g, &w, MOTE_PASS_FORWARD);
        else if (w.few) forward_columns(x, g, &w);
        else forward_rows(x, g, &w);
    }
}

static void backward_task(void *context, int thread, int threads) {
    const mote_exec *x = context;
    mote_worker w = start(x, thread, threads);
    for (int i = x->plan.n_groups - 1; i >= 0; i--) {
        const mote_group *g = &x->plan.groups[i];
        if (i > 0 && g[-1].again_before) rows_again(x, g - 1, &w);
        if (g->row_wise) backward_rows(x, g, &w);
        else run_collective(x, g, &w, MOTE_PASS_BACKWARD);
    }
}

static void run(mote_exec *x, mote_task task) {
    if (x->alone) task(x, 0, 1);
    else mote_pool_run(x->pool, task, x);
}

void mote_exec_forward(mote_exec *x) { run(x, forward_task); }
void mote_exec_backward(mote_exec *x) { run(x, backward_task); }

void mote_exec_part(mote_exec *x, int first_row, int n_rows, int all_rows) {
    x->first_row = first_row;
    x->n_rows = n_rows;
    x->all_rows = all_rows;
    if (x->late != MOTE_NONE)
        x->gradient[x->late] = x->late_gradient + (size_t)first_row * (size_t)mote_cols(x, x->late);
}

void mote_exec_zero_gradients(mote_exec *x) {
    for (int i = 0; i < x->program->n_tensors; i++) {
        const mote_tensor *t = &x->program->tensors[i];
        if (t->role == MOTE_ROLE_WEIGHT)
            memset(x->gradient[i], 0, (size_t)t->rows * (size_t)t->cols * sizeof(mote_real));
    }
}
