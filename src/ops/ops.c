/* The op table, and what is checked of a program before it is planned or run. */
#include "ops/ops.h"

#include <string.h>

const mote_op_info *const mote_op_table[MOTE_N_OPS] = {
#define X(upper, lower) [MOTE_OP_##upper] = &mote_op_##lower,
    MOTE_OP_LIST(X)
#undef X
};

static const char *tensor_name(const mote_program *program, mote_tensor_id id) {
    return id >= 0 && id < program->n_tensors ? program->tensors[id].name : "nothing";
}

mote_status mote_op_expect(const mote_program *program, const mote_op *op, bool condition, const char *what,
                           mote_error *error) {
    if (condition) return MOTE_OK;
    return mote_fail(error, MOTE_USAGE, "op '%s' that writes '%s': %s", mote_op_table[op->kind]->name,
                     tensor_name(program, op->out[0]), what);
}

bool mote_is_activation(const mote_program *program, mote_tensor_id id) {
    if (id < 0 || id >= program->n_tensors) return false;
    mote_role role = program->tensors[id].role;
    return role == MOTE_ROLE_ACTIVATION || role == MOTE_ROLE_INPUT;
}

bool mote_is_weight(const mote_program *program, mote_tensor_id id, int rows, int cols) {
    if (id < 0 || id >= program->n_tensors) return false;
    const mote_tensor *t = &program->tensors[id];
    return t->role == MOTE_ROLE_WEIGHT && (rows < 0 || t->rows == rows) && (cols < 0 || t->cols == cols);
}

static mote_status check_order(const mote_program *program, const mote_op *op, bool *written, mote_error *error) {
    for (int i = 0; i < MOTE_OP_INPUTS; i++) {
        mote_tensor_id id = op->in[i];
        if (id == MOTE_NONE) continue;
        if (id < 0 || id >= program->n_tensors)
            return mote_op_expect(program, op, false, "an input id is out of range", error);
        if (program->tensors[id].role == MOTE_ROLE_ACTIVATION && !written[id])
            return mote_op_expect(program, op, false, "an input is read before it is written", error);
    }
    for (int i = 0; i < MOTE_OP_OUTPUTS; i++) {
        mote_tensor_id id = op->out[i];
        if (id == MOTE_NONE) continue;
        if (id < 0 || id >= program->n_tensors || program->tensors[id].role != MOTE_ROLE_ACTIVATION)
            return mote_op_expect(program, op, false, "an output is no activation", error);
        if (written[id]) return mote_op_expect(program, op, false, "its output is written twice", error);
        written[id] = true;
    }
    return MOTE_OK;
}

mote_status mote_program_check(const mote_program *program, mote_error *error) {
    for (int i = 0; i < program->n_tensors; i++) {
        const mote_tensor *t = &program->tensors[i];
        size_t values;
        if (t->cols < 1 || (t->rows < 1 && t->rows != MOTE_PER_TOKEN) ||
            !mote_multiply((size_t)(t->rows < 1 ? 1 : t->rows), (size_t)t->cols * 16, &values))
            return mote_fail(error, MOTE_USAGE, "tensor '%s' has the impossible shape %d x %d", t->name, t->rows,
                             t->cols);
    }
    bool *written = mote_allocate_zero((size_t)program->n_tensors + 1, sizeof *written);
    if (!written) return mote_fail_memory(error, "checking a program", (size_t)program->n_tensors);
    mote_status status = MOTE_OK;
    for (int i = 0; i < program->n_ops && status == MOTE_OK; i++) {
        const mote_op *op = &program->ops[i];
        if ((unsigned)op->kind >= MOTE_N_OPS) {
            status = mote_fail(error, MOTE_USAGE, "op %d is of an unknown kind %d", i, (int)op->kind);
            break;
        }
        status = check_order(program, op, written, error);
        if (status == MOTE_OK) status = mote_op_table[op->kind]->check(program, op, error);
    }
    mote_release(written);
    return status;
}

mote_cost mote_program_cost(const mote_program *program, int position) {
    mote_cost sum = {0};
    for (int i = 0; i < program->n_ops; i++) {
        mote_cost cost = mote_op_table[program->ops[i].kind]->cost(program, &program->ops[i], position);
        sum.flops += cost.flops;
        sum.weight_bytes += cost.weight_bytes;
        sum.state_bytes += cost.state_bytes;
    }
    return sum;
}
