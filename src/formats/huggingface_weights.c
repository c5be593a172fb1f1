/* A model's weights in safetensors, both ways. What lies there as the program wants it is used from the mapping; the
 * rest (rows in halves, transposed matrices, gains without their 1, data that is not aligned) is copied, bits kept, but
 * for the gains: those get their 1 in f32, as the reference adds it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "formats/gguf.h"
#include "formats/huggingface.h"

static const mote_safetensors_dtype dtypes[] = {
    [MOTE_TYPE_F32] = MOTE_SAFETENSORS_F32, [MOTE_TYPE_F16] = MOTE_SAFETENSORS_F16,
    [MOTE_TYPE_BF16] = MOTE_SAFETENSORS_BF16};
enum { N_TYPES = sizeof dtypes / sizeof dtypes[0], ALIGNMENT = 64 };

static size_t value_bytes(mote_type type) { return type == MOTE_TYPE_F32 ? 4 : 2; }

/* ---- reading */

typedef struct {
    const mote_safetensors_set *set;
    const mote_huggingface_shape *shape;
    const char *folder;
    mote_model *model;
    const char *prefix; /* that the names of this file lack */
    bool **used;        /* by file, tensor */
    struct change {
        const mote_safetensor *tensor;
        mote_huggingface_change change;
        bool copied;
    } *changes; /* by tensor id */
    size_t copied_bytes;
    mote_error *error;
} binder;

static const mote_safetensor *find(binder *b, const char *name) {
    const mote_safetensors *file = NULL;
    size_t n = strlen(b->prefix);
    if (strncmp(name, b->prefix, n) == 0) name += n;
    const mote_safetensor *found = mote_safetensors_set_find(b->set, name, &file);
    if (found) b->used[file - b->set->files][found - file->tensors] = true;
    return found;
}

static void describe(const mote_safetensor *t, char text[80]) {
    size_t at = (size_t)snprintf(text, 80, "[");
    for (int i = 0; i < t->n_dims && at < 60; i++)
        at += (size_t)snprintf(text + at, 80 - at, "%s%llu", i ? ", " : "", (unsigned long long)t->dims[i]);
    snprintf(text + (at < 78 ? at : 78), 80 - (at < 78 ? at : 78), "]");
}

static mote_status wrong_shape(binder *b, const char *name, const mote_safetensor *found, int rows, int cols) {
    char shape[80];
    describe(found, shape);
    if (rows)
        return mote_fail(b->error, MOTE_BAD_FILE,
                         "%s: tensor '%s' has shape %s where [%d, %d] follows from config.json", b->folder, name, shape,
                         rows, cols);
    return mote_fail(b->error, MOTE_BAD_FILE, "%s: tensor '%s' has shape %s where [%d] follows from config.json",
                     b->folder, name, shape, cols);
}

static mote_status find_weight(binder *b, int id) {
    mote_tensor *wanted = &b->model->program->tensors[id];
    struct change *c = &b->changes[id];
    char name[MOTE_NAME_BYTES];
    if (!mote_huggingface_name(b->model->program, &b->model->config, id, name, &c->change))
        return mote_fail(b->error, MOTE_FAILED, "tensor '%s' has no name in safetensors", wanted->name);
    const mote_safetensor *found = c->tensor = find(b, name);
    if (!found) return mote_fail(b->error, MOTE_BAD_FILE, "%s: tensor '%s' is missing", b->folder, name);
    bool vector = mote_weight_is_vector(wanted), turned = c->change == MOTE_CHANGE_TRANSPOSE;
    int rows = vector ? 0 : turned ? wanted->cols : wanted->rows, cols = turned ? wanted->rows : wanted->cols;
    bool fits = vector ? found->n_dims == 1 && found->dims[0] == (uint64_t)cols
                       : found->n_dims == 2 && found->dims[0] == (uint64_t)rows && found->dims[1] == (uint64_t)cols;
    if (!fits) return wrong_shape(b, name, found, rows, cols);
    int type = 0;
    while (type < N_TYPES && dtypes[type] != found->dtype) type++;
    if (type == N_TYPES) {
        mote_status status = mote_fail(b->error, MOTE_BAD_FILE, "%s: tensor '%s' is of dtype %s", b->folder, name,
                                       mote_safetensors_dtype_name(found->dtype));
        return mote_hint(b->error, status, "weights are read as F32, F16 and BF16");
    }
    wanted->type = (mote_type)type;
    c->copied = c->change != MOTE_CHANGE_NONE || (uintptr_t)found->data % value_bytes(wanted->type) != 0;
    if (!c->copied) {
        b->model->weight[id] = (void *)(uintptr_t)found->data; /* the mapping is read-only and so is an opened model */
        return MOTE_OK;
    }
    if (c->change == MOTE_CHANGE_ONE) wanted->type = MOTE_TYPE_F32;
    size_t bytes = (size_t)wanted->rows * (size_t)wanted->cols * value_bytes(wanted->type);
    b->copied_bytes += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; /* no overflow: about the file's own size */
    return MOTE_OK;
}

static void copy_transposed(const uint8_t *from, uint8_t *to, size_t rows, size_t cols, size_t bytes) {
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            memcpy(to + (r * cols + c) * bytes, from + (c * rows + r) * bytes, bytes);
}

static void copy_weight(binder *b, int id, uint8_t *to) {
    const mote_tensor *t = &b->model->program->tensors[id];
    const struct change *c = &b->changes[id];
    const uint8_t *from = c->tensor->data;
    size_t rows = (size_t)t->rows, cols = (size_t)t->cols, bytes = value_bytes(t->type);
    if (mote_weight_is_vector(t)) rows = cols, cols = 1; /* a row for each value */
    if (c->change == MOTE_CHANGE_TRANSPOSE) {
        copy_transposed(from, to, rows, cols, bytes);
    } else if (c->change == MOTE_CHANGE_PAIRS) {
        size_t n = (size_t)b->model->config.head_dim;
        for (size_t r = 0; r < rows; r++)
            memcpy(to + r * cols * bytes, from + mote_row_in_halves(r, n) * cols * bytes, cols * bytes);
    } else if (c->change == MOTE_CHANGE_ONE) {
        int type = 0;
        while (dtypes[type] != c->tensor->dtype) type++;
        float *values = (float *)(void *)to;
        mote_type_get((mote_type)type)->to_f32(from, values, rows);
        for (size_t r = 0; r < rows; r++) values[r] += 1;
    } else {
        memcpy(to, from, rows * cols * bytes);
    }
}

static mote_status copy_weights(binder *b) {
    if (b->copied_bytes == 0) return MOTE_OK;
    uint8_t *at = b->model->copies = mote_allocate(b->copied_bytes);
    if (!at) return mote_fail_memory(b->error, "weights in mote's order", b->copied_bytes);
    for (int id = 0; id < b->model->program->n_tensors; id++) {
        const mote_tensor *t = &b->model->program->tensors[id];
        if (t->role != MOTE_ROLE_WEIGHT || !b->changes[id].copied) continue;
        copy_weight(b, id, at);
        b->model->weight[id] = at;
        size_t bytes = (size_t)t->rows * (size_t)t->cols * value_bytes(t->type);
        at += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    return MOTE_OK;
}

static mote_status check_zero_bias(binder *b, int id) {
    char name[MOTE_NAME_BYTES];
    int length = mote_huggingface_zero_bias(b->shape, b->model->program, id, name);
    const mote_safetensor *found = length ? find(b, name) : NULL;
    if (!found) return MOTE_OK;
    if (found->n_dims != 1 || found->dims[0] != (uint64_t)length) return wrong_shape(b, name, found, 0, length);
    for (uint64_t i = 0; i < found->end - found->begin; i++)
        if (found->data[i])
            return mote_fail(b->error, MOTE_BAD_FILE, "%s: tensor '%s' is not all zeros; mote computes no bias there",
                             b->folder, name);
    return MOTE_OK;
}

/* A head that the config ties may stand in the file: then it must be the embedding. */
static mote_status check_tied_head(binder *b) {
    if (!b->model->config.tied) return MOTE_OK;
    const mote_safetensor *head = find(b, "lm_head.weight"),
                          *table = find(b, b->shape->config.family == MOTE_FAMILY_GPT2 ? "transformer.wte.weight"
                                                                                      : "model.embed_tokens.weight");
    if (!head || !table) return MOTE_OK;
    uint64_t bytes = head->end - head->begin;
    if (head->dtype == table->dtype && bytes == table->end - table->begin &&
        memcmp(head->data, table->data, bytes) == 0)
        return MOTE_OK;
    return mote_fail(b->error, MOTE_BAD_FILE,
                     "%s: config.json ties the head to the embedding, but lm_head.weight differs", b->folder);
}

static mote_status check_surplus(const binder *b) {
    char room[MOTE_SHOWN_BYTES];
    for (size_t i = 0; i < b->set->n_files; i++) {
        const mote_safetensors *file = &b->set->files[i];
        for (size_t j = 0; j < file->n_tensors; j++)
            if (!b->used[i][j] && !mote_huggingface_ignores(b->model->config.family, file->tensors[j].name))
                return mote_fail(b->error, MOTE_BAD_FILE, "%s: tensor '%s' has no place in this architecture",
                                 file->name, mote_gguf_shown(file->tensors[j].name, room));
    }
    return MOTE_OK;
}

mote_status mote_huggingface_bind(const mote_safetensors_set *set, const mote_huggingface_shape *shape,
                                  const char *folder, mote_model *model, mote_error *error) {
    binder b = {.set = set, .shape = shape, .folder = folder, .model = model, .prefix = "", .error = error};
    const mote_program *program = model->program;
    mote_status status = MOTE_OK;
    /* saved from the bare model, GPT-2's names have no prefix */
    if (model->config.family == MOTE_FAMILY_GPT2 && !mote_safetensors_set_find(set, "transformer.wte.weight", NULL))
        b.prefix = "transformer.";
    b.used = mote_allocate_zero(set->n_files + 1, sizeof *b.used);
    b.changes = mote_allocate_zero((size_t)program->n_tensors + 1, sizeof *b.changes);
    if (!b.used || !b.changes) status = mote_fail_memory(error, "a list of tensors", set->n_files);
    for (size_t i = 0; i < set->n_files && status == MOTE_OK; i++)
        if (!(b.used[i] = mote_allocate_zero(set->files[i].n_tensors + 1, sizeof **b.used)))
            status = mote_fail_memory(error, "a list of tensors", set->files[i].n_tensors);
    for (int id = 0; id < program->n_tensors && status == MOTE_OK; id++) {
        if (program->tensors[id].role == MOTE_ROLE_WEIGHT) status = find_weight(&b, id);
        if (status == MOTE_OK) status = check_zero_bias(&b, id);
    }
    if (status == MOTE_OK) status = check_tied_head(&b);
    if (status == MOTE_OK) status = check_surplus(&b);
    if (status == MOTE_OK) status = copy_weights(&b);
    for (size_t i = 0; b.used && i < set->n_files; i++) mote_release(b.used[i]);
    mote_release(b.used);
    mote_release(b.changes);
    return status;
}

/* ---- writing */

typedef struct {
    const mote_model *model;
    const mote_huggingface_shape *shape;
    mote_type type;
    float *values; /* the matrix that is being written; of the widest */
    uint8_t *row;
} source;

static mote_status put_values(const source *s, const mote_safetensors_item *item, const float *values, size_t n,
                              mote_writer *w, mote_error *error) {
    for (size_t i = 0; s->type == MOTE_TYPE_F16 && i < n; i++) {
        if (!isfinite(values[i]) || fabsf(values[i]) < 65520) continue;
        mote_status status = mote_fail(error, MOTE_USAGE, "tensor '%s': a weight beyond 65504 does not fit f16",
                                       item->name);
        return mote_hint(error, status, "save as bf16 or f32");
    }
    mote_type_get(s->type)->from_f32(values, s->row, n);
    mote_writer_write(w, s->row, n * value_bytes(s->type));
    return MOTE_OK;
}

static void put_zeros(mote_writer *w, size_t bytes) {
    static const uint8_t zeros[256];
    for (size_t n; bytes > 0; bytes -= n) {
        n = bytes < sizeof zeros ? bytes : sizeof zeros;
        mote_writer_write(w, zeros, n);
    }
}

/* Row r of the file, as f32. */
static const float *file_row(const source *s, int id, mote_huggingface_change change, size_t r, float *out) {
    const mote_tensor *t = &s->model->program->tensors[id];
    size_t cols = (size_t)t->cols, rows = (size_t)t->rows;
    const mote_type_info *info = mote_type_get(t->type);
    const char *data = s->model->weight[id];
    if (change == MOTE_CHANGE_TRANSPOSE) { /* s->values holds all of it */
        for (size_t i = 0; i < rows; i++) out[i] = s->values[i * cols + r];
        return out;
    }
    if (change == MOTE_CHANGE_PAIRS) {
        size_t n = (size_t)s->model->config.head_dim, within = r % n; /* the inverse of mote_row_in_halves */
        r = r - within + within % (n / 2) * 2 + within / (n / 2);
    }
    info->to_f32(data + r * mote_row_bytes(t->type, cols), out, cols);
    return out;
}

static mote_status put_vector(source *s, const mote_safetensors_item *item, mote_huggingface_change change,
                              mote_writer *w, mote_error *error) {
    const mote_tensor *t = &s->model->program->tensors[item->id];
    size_t n = (size_t)t->cols;
    float *ordered = s->values + n;
    mote_type_get(t->type)->to_f32(s->model->weight[item->id], s->values, n);
    if (change == MOTE_CHANGE_PAIRS)
        for (size_t i = 0; i < n; i++) ordered[mote_row_in_halves(i, (size_t)s->model->config.head_dim)] = s->values[i];
    else
        for (size_t i = 0; i < n; i++) ordered[i] = s->values[i] - (change == MOTE_CHANGE_ONE ? 1 : 0);
    return put_values(s, item, ordered, n, w, error);
}

static mote_status put_item(void *context, const mote_safetensors_item *item, mote_writer *w, mote_error *error) {
    source *s = context;
    if (item->id < 0) {
        put_zeros(w, item->dims[0] * value_bytes(s->type));
        return MOTE_OK;
    }
    const mote_tensor *t = &s->model->program->tensors[item->id];
    char name[MOTE_NAME_BYTES];
    mote_huggingface_change change;
    mote_huggingface_name(s->model->program, &s->model->config, item->id, name, &change);
    size_t rows = (size_t)t->rows, cols = (size_t)t->cols;
    if (t->type == s->type && change == MOTE_CHANGE_NONE) {
        mote_writer_write(w, s->model->weight[item->id], rows * mote_row_bytes(t->type, cols));
        return MOTE_OK;
    }
    if (mote_weight_is_vector(t)) return put_vector(s, item, change, w, error);
    float *row = s->values;
    if (change == MOTE_CHANGE_TRANSPOSE) {
        for (size_t r = 0; r < rows; r++)
            file_row(s, item->id, MOTE_CHANGE_NONE, r, s->values + r * cols);
        row = s->values + rows * cols;
    }
    mote_status status = MOTE_OK;
    for (size_t r = 0; r < item->dims[0] && status == MOTE_OK; r++)
        status = put_values(s, item, file_row(s, item->id, change, r, row), (size_t)item->dims[1], w, error);
    return status;
}

/* Values that put_item needs room for: a whole matrix where it is transposed, else two rows. */
static bool room_for(const mote_tensor *t, mote_huggingface_change change, size_t *values, size_t *widest) {
    size_t rows = (size_t)t->rows, cols = (size_t)t->cols, room = 2 * cols;
    size_t wide = rows > cols && change == MOTE_CHANGE_TRANSPOSE ? rows : cols;
    if (change == MOTE_CHANGE_TRANSPOSE && (!mote_multiply(rows, cols, &room) || !mote_add(room, wide, &room)))
        return false;
    if (room > *values) *values = room;
    if (wide > *widest) *widest = wide;
    return true;
}

static mote_status list_items(source *s, mote_safetensors_item *items, char (*names)[MOTE_NAME_BYTES], size_t *n,
                              mote_error *error) {
    const mote_program *program = s->model->program;
    size_t values = 0, widest = 0, bytes = 0;
    for (int id = 0; id < program->n_tensors; id++) {
        const mote_tensor *t = &program->tensors[id];
        mote_huggingface_change change;
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        if (!s->model->weight[id])
            return mote_fail(error, MOTE_USAGE, "tensor '%s' has no weights to save", t->name);
        if (!mote_huggingface_name(program, &s->model->config, id, names[*n], &change))
            return mote_fail(error, MOTE_USAGE, "tensor '%s' has no name in safetensors", t->name);
        if (!room_for(t, change, &values, &widest)) return mote_fail_memory(error, t->name, SIZE_MAX);
        bool turned = change == MOTE_CHANGE_TRANSPOSE, vector = mote_weight_is_vector(t);
        mote_safetensors_item item = {.name = names[*n], .dtype = dtypes[s->type], .n_dims = vector ? 1 : 2,
                                      .dims = {(uint64_t)(turned ? t->cols : t->rows),
                                               (uint64_t)(turned ? t->rows : t->cols)}, .id = id};
        if (vector) item.dims[0] = (uint64_t)t->cols;
        items[(*n)++] = item;
        int zeros = mote_huggingface_zero_bias(s->shape, program, id, names[*n]);
        if (!zeros) continue;
        item = (mote_safetensors_item){.name = names[*n], .dtype = dtypes[s->type], .n_dims = 1, .id = -1};
        item.dims[0] = (uint64_t)zeros;
        items[(*n)++] = item;
    }
    if (!mote_multiply(values, sizeof *s->values, &bytes))
        return mote_fail_memory(error, "a matrix of weights", SIZE_MAX);
    s->values = mote_allocate(bytes);
    s->row = mote_allocate(widest * sizeof *s->values);
    return s->values && s->row ? MOTE_OK : mote_fail_memory(error, "a matrix of weights", bytes);
}

mote_status mote_huggingface_write_weights(const mote_model *model, const mote_huggingface_shape *shape,
                                           const char *path, mote_type type, mote_writer **writer, mote_error *error) {
    source s = {.model = model, .shape = shape, .type = type};
    size_t n = 0, most = 2 * (size_t)model->program->n_tensors + 1;
    mote_safetensors_item *items = mote_allocate_zero(most, sizeof *items);
    char(*names)[MOTE_NAME_BYTES] = mote_allocate_zero(most, sizeof *names);
    mote_status status = items && names ? list_items(&s, items, names, &n, error)
                                        : mote_fail_memory(error, "a list of tensors", most * sizeof *items);
    *writer = NULL;
    if (status == MOTE_OK) status = mote_safetensors_prepare(path, items, n, put_item, &s, writer, error);
    mote_release(s.values);
    mote_release(s.row);
    mote_release(items);
    mote_release(names);
    return status;
}
