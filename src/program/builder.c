/* Builds a program step by step. A failed step is remembered and makes the later ones do nothing, so that the builders
 * of architectures read as a list of ops and check once, at the end. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "program/program.h"

/* Ids are 16 bits; more tensors than this is a broken config. */
enum { MOST_TENSORS = 32000 };

void mote_builder_init(mote_builder *b) {
    memset(b, 0, sizeof *b);
    b->layer = -1;
    b->program = mote_allocate_zero(1, sizeof *b->program);
    if (!b->program) b->status = mote_fail_memory(&b->error, "a program", sizeof *b->program);
}

void mote_builder_fail(mote_builder *b, mote_status status, const char *format, ...) {
    if (b->status != MOTE_OK) return;
    char message[sizeof b->error.message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    b->status = mote_fail(&b->error, status, "%s", message);
}

static mote_tensor_id add_tensor(mote_builder *b, mote_role role, int rows, int cols, const char *format,
                                 va_list arguments) {
    if (b->status != MOTE_OK) return 0;
    mote_program *p = b->program;
    if (p->n_tensors >= MOST_TENSORS) {
        mote_builder_fail(b, MOTE_USAGE, "the model has more than %d tensors", MOST_TENSORS);
        return 0;
    }
    void *tensors = p->tensors;
    if (!mote_grow(&tensors, &b->tensor_capacity, (size_t)p->n_tensors + 1, sizeof *p->tensors)) {
        b->status = mote_fail_memory(&b->error, "a program's tensors", sizeof *p->tensors);
        return 0;
    }
    p->tensors = tensors;
    mote_tensor *t = &p->tensors[p->n_tensors];
    memset(t, 0, sizeof *t);
    t->role = role;
    t->type = MOTE_TYPE_F32;
    t->rows = rows;
    t->cols = cols;
    int length = vsnprintf(t->name, sizeof t->name, format, arguments);
    if (length < 0 || length >= (int)sizeof t->name) {
        mote_builder_fail(b, MOTE_USAGE, "the tensor name '%s...' is longer than %zu bytes", t->name,
                          sizeof t->name - 1);
        return 0;
    }
    return (mote_tensor_id)p->n_tensors++;
}

mote_tensor_id mote_builder_weight(mote_builder *b, int rows, int cols, mote_start start, bool matrix, const char *name,
                                   ...) {
    va_list arguments;
    va_start(arguments, name);
    mote_tensor_id id = add_tensor(b, MOTE_ROLE_WEIGHT, rows, cols, name, arguments);
    va_end(arguments);
    if (b->status == MOTE_OK) {
        b->program->tensors[id].start = start;
        b->program->tensors[id].matrix = matrix;
    }
    return id;
}

#define ADD_PER_TOKEN(function, role)                                                                                  \
    mote_tensor_id function(mote_builder *b, int cols, const char *name, ...) {                                        \
        va_list arguments;                                                                                             \
        va_start(arguments, name);                                                                                     \
        mote_tensor_id id = add_tensor(b, role, MOTE_PER_TOKEN, cols, name, arguments);                                \
        va_end(arguments);                                                                                             \
        return id;                                                                                                     \
    }
ADD_PER_TOKEN(mote_builder_activation, MOTE_ROLE_ACTIVATION)
ADD_PER_TOKEN(mote_builder_state, MOTE_ROLE_STATE)
ADD_PER_TOKEN(mote_builder_input, MOTE_ROLE_INPUT)

mote_op *mote_builder_op(mote_builder *b, mote_op_kind kind) {
    static _Thread_local mote_op dummy; /* what a failed builder lets its caller write to */
    mote_op *op = &dummy;
    if (b->status == MOTE_OK) {
        mote_program *p = b->program;
        void *ops = p->ops;
        if (mote_grow(&ops, &b->op_capacity, (size_t)p->n_ops + 1, sizeof *p->ops)) {
            p->ops = ops;
            op = &p->ops[p->n_ops++];
        } else {
            b->status = mote_fail_memory(&b->error, "a program's ops", sizeof *p->ops);
        }
    }
    memset(op, 0, sizeof *op);
    op->kind = kind;
    op->layer = b->layer;
    for (int i = 0; i < MOTE_OP_INPUTS; i++) op->in[i] = MOTE_NONE;
    for (int i = 0; i < MOTE_OP_OUTPUTS; i++) op->out[i] = MOTE_NONE;
    return op;
}

mote_status mote_builder_finish(mote_builder *b, mote_program **program, mote_error *error) {
    *program = NULL;
    if (b->status == MOTE_OK) {
        *program = b->program;
    } else {
        mote_program_destroy(b->program);
        if (error) *error = b->error;
    }
    b->program = NULL;
    return b->status;
}

void mote_program_destroy(mote_program *program) {
    if (!program) return;
    mote_release(program->tensors);
    mote_release(program->ops);
    mote_release(program);
}

mote_tensor_id mote_program_find(const mote_program *program, const char *name) {
    for (int i = 0; i < program->n_tensors; i++)
        if (strcmp(program->tensors[i].name, name) == 0) return (mote_tensor_id)i;
    return MOTE_NONE;
}
