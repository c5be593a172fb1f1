/* Weights of a file lie in its read-only mapping, often in 16 bits or in blocks; training changes them in place, in
 * f32. */
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
    size_t widest = 0, n = (size_t)model->program->n_tensors;
    for (size_t i = 0; i < n; i++) {
        const mote_tensor *t = &model->program->tensors[i];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        if (model->packed[i] && t->type != MOTE_TYPE_F32)
            return mote_fail(error, MOTE_USAGE,
                             "the %s model has been run by a session and cannot be trained; open it anew",
                             mote_type_name(t->type));
        mote_status checked = mote_model_check_weight(model, (mote_tensor_id)i, error);
        if (checked) return checked;
        if ((size_t)t->cols > widest) widest = (size_t)t->cols;
    }
    void *arena = NULL, **weight = mote_allocate_zero(n + 1, sizeof *weight);
    float *row = mote_allocate(widest * sizeof *row);
    mote_status status = weight && row ? mote_weights_allocate(model->program, &arena, weight, error)
                                       : mote_fail_memory(error, "the weights as f32", widest * sizeof *row);
    if (status) goto done;
    for (size_t i = 0; i < n; i++) {
        mote_tensor *t = &model->program->tensors[i];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        convert(t, model->weight[i], weight[i], row);
        model->weight[i] = weight[i];
        t->type = MOTE_TYPE_F32;
    }
    mote_release(model->arena);
    mote_arena_deinit(&model->made);
    for (size_t i = 0; model->merged && i < n; i++) mote_release(model->merged[i]);
    mote_release(model->merged);
    model->merged = NULL;
    mote_release(model->activation_scale); /* of the activations before training */
    model->activation_scale = NULL;
    mote_release(model->copies);
    memset(model->stored, 0, n * sizeof *model->stored);
    model->arena = arena;
    model->copies = NULL;
done:
    mote_release(weight);
    mote_release(row);
    return status;
}
