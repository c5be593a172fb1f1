/* Which ops of a training program run again in the backward pass, so that their outputs need not be kept from the
 * forward one. An op computes the same bits from the same inputs, so nothing but time and memory depends on it.
 *
 * Only row-wise ops do, whose outputs stay in their group or go to the attention behind it: a tile of rows runs again
 * where its gradients come next, in the cache. The last group is left out, since its backward follows its forward. */
#include "ops/ops.h"

typedef struct {
    const mote_program *program;
    const mote_plan *plan;
    mote_recompute how;
    int *group; /* by op */
} marking;

/* By one group: of the op, or attention's behind it. */
static bool is_candidate(const marking *m, int i) {
    const mote_op *op = &m->program->ops[i];
    const mote_group *groups = m->plan->groups;
    const int g = m->group[i];
    if (!groups[g].row_wise || g + 1 == m->plan->n_groups) return false;
    if (m->program->ops[groups[g + 1].begin].kind != MOTE_OP_ATTENTION) return false;
    if (m->how == MOTE_RECOMPUTE_LAYER) return true;
    return op->kind == MOTE_OP_NORM || op->kind == MOTE_OP_ACTIVATE;
}

/* Inputs (bit j) of an op that are outputs of another. */
static int slots_of(const mote_op *reader, const mote_op *op) {
    int slots = 0;
    for (int j = 0; j < MOTE_OP_INPUTS; j++)
        for (int k = 0; k < MOTE_OP_OUTPUTS; k++)
            if (reader->in[j] == op->out[k] && op->out[k] != MOTE_NONE) slots |= 1 << j;
    return slots;
}

/* When outputs of op i are needed again by others; MOTE_AGAIN_NOT where none is, or where one must be kept. What only
 * the op's own backward reads is made again with the others, or kept with them. */
static mote_again find_need(const marking *m, int i) {
    const int g = m->group[i];
    mote_again need = MOTE_AGAIN_NOT;
    for (int r = i + 1; r < m->program->n_ops; r++) {
        const mote_op *reader = &m->program->ops[r];
        const int slots = slots_of(reader, &m->program->ops[i]);
        if (!slots) continue;
        const bool next = m->group[r] == g + 1 && m->how == MOTE_RECOMPUTE_LAYER;
        if (m->group[r] != g && !next) return MOTE_AGAIN_NOT;
        if (m->plan->again[r] > need) need = m->plan->again[r]; /* it runs again, so its inputs must be there */
        mote_again read = next ? MOTE_AGAIN_BEFORE : MOTE_AGAIN_HERE;
        if (mote_op_get(reader->kind)->backward_in & slots && read > need) need = read;
    }
    return need;
}

mote_status mote_plan_recompute(const mote_program *program, mote_recompute how, mote_plan *plan, mote_error *error) {
    if (how == MOTE_RECOMPUTE_NONE) return MOTE_OK;
    marking m = {program, plan, how, mote_allocate_zero((size_t)program->n_ops + 1, sizeof *m.group)};
    if (!m.group) return mote_fail_memory(error, "planning a program", (size_t)program->n_ops * sizeof *m.group);
    for (int g = 0; g < plan->n_groups; g++)
        for (int i = plan->groups[g].begin; i < plan->groups[g].end; i++) m.group[i] = g;
    for (int i = program->n_ops - 1; i >= 0; i--) {
        if (!is_candidate(&m, i)) continue;
        plan->again[i] = find_need(&m, i);
        if (plan->again[i] == MOTE_AGAIN_BEFORE) plan->groups[m.group[i]].again_before = true;
    }
    mote_release(m.group);
    return MOTE_OK;
}
