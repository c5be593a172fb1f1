/* Plans a program's memory before anything is allocated: groups, the life of every activation and gradient counted in
 * groups (forward 0 .. G-1, backward G .. 2G-1), and an offset for each, the largest first at the lowest free place. */
#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"

enum { ALIGNMENT = 64 };

typedef struct {
    size_t bytes, offset;
    int begin, end; /* first and last group of its life */
    int second_begin, second_end; /* of a second one, in backward, where it is not kept but computed again */
    int owner;      /* tensor, + n_tensors for a gradient */
    int readers;    /* ops that read it */
} block;

static int make_groups(const mote_program *program, mote_group *groups) {
    int n = 0;
    for (int i = 0; i < program->n_ops; i++) {
        bool row_wise = mote_op_get(program->ops[i].kind)->row_wise;
        if (n > 0 && row_wise && groups[n - 1].row_wise) groups[n - 1].end = i + 1;
        else groups[n++] = (mote_group){.begin = i, .end = i + 1, .row_wise = row_wise};
    }
    return n;
}

static bool has_gradient(const mote_program *program, mote_tensor_id id) {
    return id != MOTE_NONE && mote_is_activation(program, id);
}

/* Which op reads an input last is the first to write its gradient; the others, before it, add. */
static mote_status find_adds(const mote_program *program, uint8_t *adds, mote_error *error) {
    bool *seen = mote_allocate_zero((size_t)program->n_tensors + 1, sizeof *seen);
    if (!seen) return mote_fail_memory(error, "planning a program", (size_t)program->n_tensors);
    mote_status status = MOTE_OK;
    for (int i = program->n_ops - 1; i >= 0 && status == MOTE_OK; i--) {
        const mote_op *op = &program->ops[i];
        for (int j = 0; j < MOTE_OP_INPUTS; j++)
            if (has_gradient(program, op->in[j]) && seen[op->in[j]]) adds[i] |= (uint8_t)(1 << j);
        for (int j = 0; j < MOTE_OP_INPUTS; j++)
            if (has_gradient(program, op->in[j])) seen[op->in[j]] = true;
        if (adds[i] & ~mote_op_get(op->kind)->can_add)
            status = mote_op_expect(program, op, false, "it must be the only reader of its inputs", error);
    }
    mote_release(seen);
    return status;
}

static const block unborn = {.begin = 1 << 30, .end = -1, .second_begin = 1 << 30, .second_end = -1};

static void extend(block *b, int time) {
    if (time < b->begin) b->begin = time;
    if (time > b->end) b->end = time;
}

/* A value that is read or written again in backward. */
static void extend_backward(block *b, int time, bool has_second) {
    if (!has_second) {
        extend(b, time);
        return;
    }
    if (time < b->second_begin) b->second_begin = time;
    if (time > b->second_end) b->second_end = time;
}

static bool meet(const block *a, const block *b) {
    return (a->begin <= b->end && b->begin <= a->end) || (a->begin <= b->second_end && b->second_begin <= a->end) ||
           (a->second_begin <= b->end && b->begin <= a->second_end) ||
           (a->second_begin <= b->second_end && b->second_begin <= a->second_end);
}

/* Where an op runs again its inputs must be there, and its outputs begin a second life. second[id]: has one. */
static void find_second_lives(const mote_program *program, const mote_plan *plan, bool *second, block *life) {
    for (int i = 0; i < program->n_ops; i++)
        for (int j = 0; j < MOTE_OP_OUTPUTS && plan->again[i]; j++)
            if (program->ops[i].out[j] != MOTE_NONE) second[program->ops[i].out[j]] = true;
    for (int g = 0; g < plan->n_groups; g++) {
        for (int i = plan->groups[g].begin; i < plan->groups[g].end; i++) {
            const mote_op *op = &program->ops[i];
            const int time = 2 * plan->n_groups - 1 - g - (plan->again[i] == MOTE_AGAIN_BEFORE);
            if (!plan->again[i]) continue;
            for (int j = 0; j < MOTE_OP_INPUTS; j++)
                if (has_gradient(program, op->in[j])) extend_backward(&life[op->in[j]], time, second[op->in[j]]);
            for (int j = 0; j < MOTE_OP_OUTPUTS; j++)
                if (op->out[j] != MOTE_NONE) extend_backward(&life[op->out[j]], time, true);
        }
    }
}

/* Lives of values (life[id]) and gradients (life[n_tensors + id]). */
static void find_lives(const mote_program *program, const mote_plan *plan, bool training, const bool *second,
                       block *life) {
    int n = program->n_tensors, last = 2 * plan->n_groups - 1;
    for (int g = 0; g < plan->n_groups; g++) {
        for (int i = plan->groups[g].begin; i < plan->groups[g].end; i++) {
            const mote_op *op = &program->ops[i];
            const mote_op_info *info = mote_op_get(op->kind);
            for (int j = 0; j < MOTE_OP_INPUTS; j++) {
                if (!has_gradient(program, op->in[j])) continue;
                extend(&life[op->in[j]], g);
                life[op->in[j]].readers++;
                if (training && (info->backward_in >> j & 1))
                    extend_backward(&life[op->in[j]], last - g, second[op->in[j]]);
                extend(&life[n + op->in[j]], last - g);
            }
            for (int j = 0; j < MOTE_OP_OUTPUTS; j++) {
                if (op->out[j] == MOTE_NONE) continue;
                extend(&life[op->out[j]], g);
                if (training && (info->backward_out >> j & 1))
                    extend_backward(&life[op->out[j]], last - g, second[op->out[j]]);
                if (j == 0) extend(&life[n + op->out[j]], last - g);
            }
        }
    }
    for (int id = 0; id < n; id++) { /* what is given from outside, or is a result, lives from end to end */
        bool input = program->tensors[id].role == MOTE_ROLE_INPUT, result = !life[id].readers && life[n + id].end >= 0;
        if (!input && !result) continue;
        extend(&life[id], 0);
        extend(&life[id], last);
        extend(&life[n + id], plan->n_groups);
        extend(&life[n + id], last);
    }
}

static void share(block *life, int *root, int in, int out) {
    root[out] = root[in];
    block *b = &life[root[in]];
    extend(b, life[out].begin);
    extend(b, life[out].end);
    if (life[out].second_end < 0) return;
    extend_backward(b, life[out].second_begin, true);
    extend_backward(b, life[out].second_end, true);
}

/* Tensors of one width and op, read by nothing else: an in_place one shares the block of its op's first input where the
 * input's value is not needed after; so do gradients where the op lets them. root[i]: whose block life[i] shares. */
static void share_in_place(const mote_program *program, const bool *second, block *life, int *root) {
    int n = program->n_tensors;
    for (int i = 0; i < 2 * n; i++) root[i] = i;
    for (int i = 0; i < program->n_ops; i++) {
        const mote_op *op = &program->ops[i];
        mote_tensor_id out = op->out[0], in = op->in[0];
        if (out == MOTE_NONE || program->tensors[in].role != MOTE_ROLE_ACTIVATION || life[in].readers > 1 ||
            program->tensors[in].cols != program->tensors[out].cols)
            continue;
        bool values = program->tensors[out].in_place && life[in].end <= life[out].begin && second[in] == second[out] &&
                      (!second[in] || life[in].second_end <= life[out].second_begin);
        if (values) share(life, root, in, out);
        if ((values || mote_op_get(op->kind)->gradient_in_place) && life[n + out].end >= 0 && life[n + in].end >= 0)
            share(life, root, n + in, n + out);
    }
}

/* Few rows: a thread may begin with attention while another still works on the group before it (columns.c). */
static void outlive_group(const mote_plan *plan, int n_tensors, block *life) {
    for (int id = 0; id < n_tensors; id++)
        if (life[id].end >= 0 && life[id].end + 1 < plan->n_groups && !plan->groups[life[id].end + 1].row_wise)
            life[id].end++;
}

static int larger_first(const void *a, const void *b) {
    const block *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return (x->owner > y->owner) - (x->owner < y->owner);
}

static int by_offset(const void *a, const void *b) {
    const block *x = *(block *const *)a, *y = *(block *const *)b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Lowest offset where a block meets no placed block of an overlapping life. `meets` has room for all of them. */
static size_t place(const block *placed, int n_placed, const block *b, const block **meets) {
    int n = 0;
    for (int i = 0; i < n_placed; i++)
        if (meet(&placed[i], b)) meets[n++] = &placed[i];
    qsort(meets, (size_t)n, sizeof *meets, by_offset);
    size_t offset = 0;
    for (int i = 0; i < n; i++) {
        if (meets[i]->offset >= offset + b->bytes) break;
        if (meets[i]->offset + meets[i]->bytes > offset) offset = meets[i]->offset + meets[i]->bytes;
    }
    return offset;
}

static mote_status place_all(const mote_program *program, int max_rows, bool training, mote_plan *plan, block *life,
                             const int *root, const block **meets, mote_error *error) {
    int n = program->n_tensors, n_blocks = 0;
    for (int i = 0; i < 2 * n; i++) { /* life[] is packed into the blocks to place: n_blocks never passes i */
        int id = i % n;
        if (life[i].end < 0 || root[i] != i || (i >= n && !training)) continue;
        block b = life[i];
        size_t values;
        if (!mote_multiply((size_t)max_rows, (size_t)program->tensors[id].cols, &values) ||
            !mote_multiply(values, sizeof(mote_real), &b.bytes) || b.bytes > SIZE_MAX / 4)
            return mote_fail_memory(error, program->tensors[id].name, SIZE_MAX);
        b.bytes = (b.bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        b.owner = i;
        life[n_blocks++] = b;
    }
    qsort(life, (size_t)n_blocks, sizeof *life, larger_first);
    plan->bytes = 0;
    for (int i = 0; i < n_blocks; i++) {
        block *b = &life[i];
        b->offset = place(life, i, b, meets);
        if (!mote_add(b->offset, b->bytes, &b->offset)) return mote_fail_memory(error, "activations", SIZE_MAX);
        b->offset -= b->bytes;
        if (b->offset + b->bytes > plan->bytes) plan->bytes = b->offset + b->bytes;
        if (b->owner < n) plan->value[b->owner] = b->offset;
        else plan->gradient[b->owner - n] = b->offset;
    }
    for (int id = 0; id < n; id++) {
        plan->value[id] = plan->value[root[id]];
        if (training) plan->gradient[id] = plan->gradient[root[n + id] - n];
    }
    return MOTE_OK;
}

mote_status mote_plan_create(const mote_program *program, int max_rows, bool training, mote_recompute recompute,
                             mote_tensor_id elsewhere, mote_plan *plan, mote_error *error) {
    size_t n = (size_t)program->n_tensors, n_ops = (size_t)program->n_ops;
    memset(plan, 0, sizeof *plan);
    block *life = mote_allocate_zero(2 * n + 1, sizeof *life);
    const block **meets = mote_allocate_zero(2 * n + 1, sizeof *meets);
    int *root = mote_allocate_zero(2 * n + 1, sizeof *root);
    bool *second = mote_allocate_zero(n + 1, sizeof *second);
    plan->value = mote_allocate_zero(n + 1, sizeof *plan->value);
    plan->gradient = training ? mote_allocate_zero(n + 1, sizeof *plan->gradient) : NULL;
    plan->groups = mote_allocate_zero(n_ops + 1, sizeof *plan->groups);
    plan->adds = mote_allocate_zero(n_ops + 1, sizeof *plan->adds);
    plan->again = mote_allocate_zero(n_ops + 1, sizeof *plan->again);
    mote_status status = MOTE_OK;
    if (!life || !meets || !root || !second || !plan->value || (training && !plan->gradient) || !plan->groups ||
        !plan->adds || !plan->again) {
        status = mote_fail_memory(error, "a memory plan", n * 64);
        goto done;
    }
    for (size_t i = 0; i < n; i++) plan->value[i] = SIZE_MAX;
    for (size_t i = 0; i < n && training; i++) plan->gradient[i] = SIZE_MAX;
    for (size_t i = 0; i < 2 * n; i++) life[i] = unborn;
    plan->n_groups = make_groups(program, plan->groups);
    if (training) status = find_adds(program, plan->adds, error);
    if (status == MOTE_OK && training) status = mote_plan_recompute(program, recompute, plan, error);
    if (status != MOTE_OK) goto done;
    find_second_lives(program, plan, second, life);
    find_lives(program, plan, training, second, life);
    if (elsewhere != MOTE_NONE) life[n + (size_t)elsewhere] = unborn;
    share_in_place(program, second, life, root);
    outlive_group(plan, program->n_tensors, life);
    status = place_all(program, max_rows, training, plan, life, root, meets, error);
done:
    mote_release(life);
    mote_release(meets);
    mote_release(root);
    mote_release(second);
    if (status != MOTE_OK) mote_plan_deinit(plan);
    return status;
}

void mote_plan_deinit(mote_plan *plan) {
    mote_release(plan->value);
    mote_release(plan->gradient);
    mote_release(plan->groups);
    mote_release(plan->adds);
    mote_release(plan->again);
    memset(plan, 0, sizeof *plan);
}
