/* Weights of a file lie in its read-only mapping, often in 16 bits; training changes them in place, in f32. */
#include "train/trainable.h"

#include <string.h>

static bool is_trainable(const mote_model *model) {
    if (!model->arena) return false;
    for (int i = 0; i < model->program->n_tensors; i++) {
        const mote_tensor *t = &model->program->tensors[i];
        if (t->role == MOTE_ROLE_WEIGHT && t->type != MOTE_TYPE_F32) return false;
    }
    return true;
}

static size_t tensor_bytes(const mote_tensor *t) {
    return ((size_t)t->rows * (size_t)t->cols * sizeof(mote_real) + 63) & ~(size_t)63;
}

static void convert(const mote_tensor *t, const void *from, mote_real *to, float *row) {
    const mote_type_info *info = mote_type_get(t->type);
    size_t cols = (size_t)t->cols, row_bytes = mote_row_bytes(t->type, cols);
    for (int r = 0; r < t->rows; r++) {
        info->to_f32((const char *)from + (size_t)r * row_bytes, row, cols);
        for (size_t c = 0; c < cols; c++) to[(size_t)r * cols + c] = (mote_real)row[c];
    }
}

mote_status mote_model_make_trainable(mote_model *model, mote_error *error) {
    if (is_trainable(model)) return MOTE_OK;
    size_t bytes = 0, widest = 0;
    for (int i = 0; i < model->program->n_tensors; i++) {
        const mote_tensor *t = &model->program->tensors[i];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        if (model->packed[i] && t->type != MOTE_TYPE_F32)
            return mote_fail(error, MOTE_USAGE,
                             "the %s model has been run by a session and cannot be trained; open it anew",
                             mote_type_name(t->type));
        bytes += tensor_bytes(t);
        if ((size_t)t->cols > widest) widest = (size_t)t->cols;
    }
    char *arena = mote_allocate(bytes);
    float *row = mote_allocate(widest * sizeof *row);
    if (!arena || !row) {
        mote_release(arena);
        mote_release(row);
        return mote_fail_memory(error, "the weights as f32", bytes);
    }
    size_t at = 0;
    for (int i = 0; i < model->program->n_tensors; i++) {
        mote_tensor *t = &model->program->tensors[i];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        convert(t, model->weight[i], (mote_real *)(void *)(arena + at), row);
        model->weight[i] = arena + at;
        t->type = MOTE_TYPE_F32;
        at += tensor_bytes(t);
    }
    mote_release(row);
    mote_release(model->arena);
    model->arena = arena;
    return MOTE_OK;
}
