/* Adapters: merging, and those in GGUF files (general.type "adapter"; llama.cpp's convert_lora_to_gguf.py), whose rows
 * are in the order of the weights already. Weights change when all of an adapter is checked and merged. */
#include "formats/lora.h"

#include <math.h>
#include <string.h>

#include "formats/formats.h"
#include "formats/gguf.h"
#include "formats/huggingface.h"

/* ---- merging */

/* The matrix as f32 [rows, cols], or its transpose. */
static mote_status load(const mote_lora_matrix *m, bool transposed, const char *path, float **values,
                        mote_error *error) {
    size_t rows = (size_t)m->rows, cols = (size_t)m->cols, bytes = mote_row_bytes(m->type, cols);
    float *row = mote_allocate(cols * sizeof *row);
    *values = mote_allocate(rows * cols * sizeof **values);
    if (!row || !*values) {
        mote_release(row);
        return mote_fail_memory(error, "an adapter's matrix", rows * cols * sizeof **values);
    }
    bool finite = true;
    for (size_t r = 0; r < rows; r++) {
        mote_type_get(m->type)->to_f32(m->data + r * bytes, row, cols);
        for (size_t c = 0; c < cols; c++) {
            finite = finite && isfinite(row[c]);
            (*values)[transposed ? c * rows + r : r * cols + c] = row[c];
        }
    }
    mote_release(row);
    return finite ? MOTE_OK
                  : mote_fail(error, MOTE_BAD_FILE, "%s: tensor '%s' has a value that is not finite", path, m->name);
}

static mote_status check_shapes(const mote_tensor *t, const mote_lora_pair *p, uint64_t *rank, const char *path,
                                mote_error *error) {
    uint64_t up_rows = p->up_transposed ? p->up.cols : p->up.rows, up_rank = p->up_transposed ? p->up.rows : p->up.cols;
    uint64_t down_cols = p->down_transposed ? p->down.rows : p->down.cols;
    *rank = p->down_transposed ? p->down.cols : p->down.rows;
    if (up_rows != (uint64_t)t->rows || down_cols != (uint64_t)t->cols || up_rank != *rank)
        return mote_fail(error, MOTE_BAD_FILE,
                         "%s: tensors '%.120s' [%llu, %llu] and '%.120s' [%llu, %llu] do not fit '%s' [%d, %d]", path,
                         p->up.name, (unsigned long long)p->up.rows, (unsigned long long)p->up.cols, p->down.name,
                         (unsigned long long)p->down.rows, (unsigned long long)p->down.cols, t->name, t->rows, t->cols);
    if (*rank < 1 || *rank > MOTE_LORA_MOST_RANK)
        return mote_fail(error, MOTE_BAD_FILE, "%s: tensor '%.120s' is of rank %llu; 1 to %d are possible", path,
                         p->down.name, (unsigned long long)*rank, MOTE_LORA_MOST_RANK);
    if (!isfinite(p->scale))
        return mote_fail(error, MOTE_BAD_FILE, "%s: the scale of '%.120s' is not finite", path, p->down.name);
    return MOTE_OK;
}

mote_status mote_lora_begin(mote_lora_merger *m, mote_model *model, const char *path, mote_error *error) {
    const size_t n = (size_t)model->program->n_tensors + 1;
    *m = (mote_lora_merger){.model = model, .path = path, .made = mote_allocate_zero(n, sizeof *m->made)};
    if (m->made && !model->merged) model->merged = mote_allocate_zero(n, sizeof *model->merged);
    return m->made && model->merged ? MOTE_OK : mote_fail_memory(error, "a list of weights", n * sizeof *m->made);
}

void mote_lora_end(mote_lora_merger *m, mote_status status) {
    mote_model *model = m->model;
    if (status == MOTE_OK) { /* of the activations without the adapter */
        mote_release(model->activation_scale);
        model->activation_scale = NULL;
    }
    for (int id = 0; m->made && id < model->program->n_tensors; id++) {
        if (status != MOTE_OK || !m->made[id]) {
            mote_release(m->made[id]);
            continue;
        }
        mote_release(model->merged[id]); /* what an adapter before this one made */
        model->weight[id] = model->merged[id] = m->made[id];
        model->stored[id].rows = NULL;
        model->program->tensors[id].type = MOTE_TYPE_F32;
    }
    mote_release(m->made);
    m->made = NULL;
}

/* The weight as f32 in memory of its own. */
static mote_status make_own(mote_lora_merger *m, mote_tensor_id id, mote_error *error) {
    const mote_tensor *t = &m->model->program->tensors[id];
    const size_t cols = (size_t)t->cols, row_bytes = mote_row_bytes(t->type, cols);
    size_t bytes;
    mote_status status = mote_model_check_weight(m->model, id, error);
    if (status != MOTE_OK || m->made[id]) return status;
    if (!mote_multiply((size_t)t->rows * sizeof(float), cols, &bytes)) bytes = SIZE_MAX;
    float *values = m->made[id] = mote_allocate(bytes);
    if (!values) return mote_fail_memory(error, t->name, bytes);
    for (size_t r = 0; r < (size_t)t->rows; r++)
        mote_type_get(t->type)->to_f32((const char *)m->model->weight[id] + r * row_bytes, values + r * cols, cols);
    return MOTE_OK;
}

/* W += scale B A, row by row; a row that is not finite is none of a model's. */
static mote_status merge(mote_lora_merger *m, mote_tensor_id id, const mote_lora_pair *p, const float *up,
                         const float *down, size_t rank, mote_error *error) {
    const mote_tensor *t = &m->model->program->tensors[id];
    const size_t cols = (size_t)t->cols;
    float *sum = mote_allocate(cols * sizeof *sum);
    mote_status status = sum ? MOTE_OK : mote_fail_memory(error, "a row of weights", cols * sizeof *sum);
    for (size_t r = 0; r < (size_t)t->rows && status == MOTE_OK; r++) {
        const float *factor = up + (p->halves ? mote_row_in_halves(r, (size_t)p->head_dim) : r) * rank;
        float *row = m->made[id] + r * cols;
        bool finite = true;
        memset(sum, 0, cols * sizeof *sum);
        for (size_t k = 0; k < rank; k++)
            for (size_t c = 0; c < cols; c++) sum[c] += factor[k] * down[k * cols + c];
        for (size_t c = 0; c < cols; c++) {
            row[c] += p->scale * sum[c];
            finite = finite && isfinite(row[c]);
        }
        if (!finite)
            status = mote_fail(error, MOTE_BAD_FILE, "%s: with '%.120s', row %zu of tensor '%s' is not finite", m->path,
                               p->down.name, r, t->name);
    }
    mote_release(sum);
    return status;
}

mote_status mote_lora_add(mote_lora_merger *m, mote_tensor_id id, const mote_lora_pair *p, mote_error *error) {
    const mote_tensor *t = &m->model->program->tensors[id];
    float *up = NULL, *down = NULL;
    uint64_t rank = 0;
    mote_status status = check_shapes(t, p, &rank, m->path, error);
    if (status == MOTE_OK && strcmp(t->name, "token_embd.weight") == 0 && m->model->config.tied)
        status = mote_fail(error, MOTE_BAD_FILE,
                           "%s: tensor '%.120s' changes the embedding, which the output head of this model shares",
                           m->path, p->down.name);
    if (status == MOTE_OK) status = load(&p->up, p->up_transposed, m->path, &up, error);
    if (status == MOTE_OK) status = load(&p->down, p->down_transposed, m->path, &down, error);
    if (status == MOTE_OK) status = make_own(m, id, error);
    if (status == MOTE_OK) status = merge(m, id, p, up, down, (size_t)rank, error);
    mote_release(up);
    mote_release(down);
    return status;
}

/* ---- GGUF adapters */

static mote_status check_string(const mote_gguf *file, const char *key, const char *wanted, mote_error *error) {
    mote_status status = MOTE_OK;
    mote_string found;
    char room[MOTE_SHOWN_BYTES];
    if (!mote_gguf_string(file, key, &found, &status, error))
        return status != MOTE_OK ? status : mote_fail(error, MOTE_BAD_FILE, "%s: key '%s' is missing", file->name, key);
    if (mote_string_is(found, wanted)) return MOTE_OK;
    return mote_fail(error, MOTE_BAD_FILE, "%s: '%s' is '%s'; an adapter for this model has '%s'", file->name, key,
                     mote_gguf_shown(found, room), wanted);
}

/* Models say "model", or nothing. */
static mote_status check_kind(const mote_gguf *file, mote_error *error) {
    mote_status status = MOTE_OK;
    mote_string found;
    if (mote_gguf_string(file, "general.type", &found, &status, error) ? !mote_string_is(found, "model")
                                                                       : status != MOTE_OK)
        return status;
    mote_fail(error, MOTE_BAD_FILE, "%s is a model and no adapter: its general.type is not 'adapter'", file->name);
    return mote_hint(error, MOTE_BAD_FILE, "an adapter is what LoRA training wrote beside its model: a PEFT folder, or "
                                           "GGUF by convert_lora_to_gguf.py");
}

static mote_status check_keys(const mote_gguf *file, const mote_model *model, double *alpha, mote_error *error) {
    mote_status status = check_kind(file, error);
    if (status == MOTE_OK) status = check_string(file, "general.type", "adapter", error);
    if (status == MOTE_OK) status = check_string(file, "adapter.type", "lora", error);
    if (status == MOTE_OK)
        status = check_string(file, "general.architecture", mote_family_name(model->config.family), error);
    if (status == MOTE_OK && !mote_gguf_number(file, "adapter.lora.alpha", -1e6, 1e6, alpha, &status, error) &&
        status == MOTE_OK)
        status = mote_fail(error, MOTE_BAD_FILE, "%s: key 'adapter.lora.alpha' is missing", file->name);
    for (size_t i = 0; i < file->n_entries && status == MOTE_OK; i++) {
        mote_string key = file->entries[i].key;
        char room[MOTE_SHOWN_BYTES];
        if (key.size > 8 && !memcmp(key.bytes, "adapter.", 8) && !mote_string_is(key, "adapter.type") &&
            !mote_string_is(key, "adapter.lora.alpha"))
            status = mote_fail(error, MOTE_BAD_FILE, "%s: key '%s' asks for what mote does not compute", file->name,
                               mote_gguf_shown(key, room));
    }
    return status;
}

/* A tensor "<weight><suffix>"; data NULL: there is none. */
static mote_status find_matrix(const mote_gguf *file, const char *weight, const char *suffix,
                               char name[MOTE_NAME_BYTES + 8], mote_lora_matrix *m, bool *used, mote_error *error) {
    size_t n = strlen(weight);
    memcpy(name, weight, n);
    memcpy(name + n, suffix, strlen(suffix) + 1);
    *m = (mote_lora_matrix){.name = name};
    const mote_gguf_tensor *t = mote_gguf_find_tensor(file, name);
    if (!t) return MOTE_OK;
    if (t->dims[2] != 1 || t->dims[3] != 1 || t->ggml_type > INT32_MAX ||
        !mote_type_from_ggml((int)t->ggml_type, &m->type))
        return mote_fail(error, MOTE_BAD_FILE, "%s: tensor '%s' is no matrix of a type that mote reads", file->name,
                         name);
    m->data = t->data;
    m->cols = t->dims[0];
    m->rows = t->dims[1];
    used[t - file->tensors] = true;
    return MOTE_OK;
}

mote_status mote_lora_merge_gguf(mote_model *model, const mote_gguf *file, float scale, mote_error *error) {
    double alpha = 0;
    mote_status status = check_keys(file, model, &alpha, error);
    if (status != MOTE_OK) return status;
    mote_lora_merger merger;
    bool *used = mote_allocate_zero(file->n_tensors + 1, sizeof *used);
    if (!used) return mote_fail_memory(error, "a list of tensors", file->n_tensors);
    size_t n_found = 0;
    status = mote_lora_begin(&merger, model, file->name, error);
    for (int id = 0; id < model->program->n_tensors && status == MOTE_OK; id++) {
        const mote_tensor *t = &model->program->tensors[id];
        char names[2][MOTE_NAME_BYTES + 8];
        mote_lora_pair pair = {.scale = scale};
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        status = find_matrix(file, t->name, ".lora_a", names[0], &pair.down, used, error);
        if (status == MOTE_OK) status = find_matrix(file, t->name, ".lora_b", names[1], &pair.up, used, error);
        if (status != MOTE_OK || (!pair.down.data && !pair.up.data)) continue;
        n_found++;
        if (!pair.down.data || !pair.up.data) {
            status = mote_fail(error, MOTE_BAD_FILE, "%s: '%s' has one of lora_a and lora_b without the other",
                               file->name, t->name);
            continue;
        }
        uint64_t rank = pair.up.cols; /* of both: a row of B */
        if (strcmp(t->name, "token_embd.weight") == 0) { /* A by token, looked up like the table */
            mote_lora_matrix by_token = pair.down;
            pair.down = pair.up;
            pair.up = by_token;
            pair.down_transposed = true;
        }
        if (alpha != 0 && rank) pair.scale = (float)((double)scale * alpha / (double)rank);
        status = mote_lora_add(&merger, (mote_tensor_id)id, &pair, error);
    }
    for (size_t i = 0; i < file->n_tensors && status == MOTE_OK; i++) {
        char room[MOTE_SHOWN_BYTES];
        if (!used[i])
            status = mote_fail(error, MOTE_BAD_FILE, "%s: tensor '%s' has no place in this model", file->name,
                               mote_gguf_shown(file->tensors[i].name, room));
    }
    if (status == MOTE_OK && !n_found)
        status = mote_fail(error, MOTE_BAD_FILE, "%s: an adapter without tensors", file->name);
    mote_lora_end(&merger, status);
    mote_release(used);
    return status;
}

mote_status mote_lora_merge(mote_model *model, const char *path, float scale, mote_error *error) {
    if (mote_is_folder(path)) return mote_peft_merge(model, path, scale, error);
    mote_gguf file;
    mote_status status = mote_gguf_open(path, &file, error);
    if (status != MOTE_OK)
        return mote_hint(error, status, "an adapter is a PEFT folder with adapter_config.json, or a GGUF file");
    status = mote_lora_merge_gguf(model, &file, scale, error);
    mote_gguf_close(&file);
    return status;
}
