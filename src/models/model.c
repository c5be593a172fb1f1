/* A model's life: its program from its config, its weights, their panels. */
#include <string.h>

#include "base/hash.h"
#include "base/random.h"
#include "models/model.h"
#include "ops/ops.h"
#include "text/tokenizer.h"

mote_status mote_program_build_training(const mote_config *config, float dropout, mote_program **program,
                                        mote_error *error) {
    *program = NULL;
    mote_status status = mote_config_check(config, error);
    if (status != MOTE_OK) return status;
    mote_builder b;
    mote_builder_init(&b);
    if (b.status == MOTE_OK) {
        b.program->vocab = config->vocab;
        b.program->context = config->context;
        mote_family_get(config->family)->build(config, dropout, &b);
    }
    status = mote_builder_finish(&b, program, error);
    if (status == MOTE_OK) status = mote_program_check(*program, error);
    if (status != MOTE_OK) {
        mote_program_destroy(*program);
        *program = NULL;
    }
    return status;
}

mote_status mote_program_build(const mote_config *config, mote_program **program, mote_error *error) {
    return mote_program_build_training(config, 0, program, error);
}

mote_status mote_weights_allocate(const mote_program *p, void **arena, void **weight, mote_error *error) {
    size_t total = 64;
    for (int i = 0; i < p->n_tensors; i++) {
        size_t bytes, rows = (size_t)p->tensors[i].rows;
        if (p->tensors[i].role != MOTE_ROLE_WEIGHT) continue;
        if (!mote_multiply(rows * sizeof(mote_real), (size_t)p->tensors[i].cols, &bytes) ||
            !mote_add(total, bytes + 64, &total))
            return mote_fail_memory(error, "the weights of this model", SIZE_MAX);
    }
    char *at = *arena = mote_allocate_zero(1, total);
    if (!at) return mote_fail_memory(error, "the weights of this model", total);
    for (int i = 0; i < p->n_tensors; i++) {
        if (p->tensors[i].role != MOTE_ROLE_WEIGHT) continue;
        weight[i] = at;
        at += ((size_t)p->tensors[i].rows * (size_t)p->tensors[i].cols * sizeof(mote_real) + 63) / 64 * 64;
    }
    return MOTE_OK;
}

mote_status mote_model_allocate(const mote_config *config, bool own, mote_model **model, mote_error *error) {
    *model = NULL;
    mote_model *m = mote_allocate_zero(1, sizeof *m);
    if (!m) return mote_fail_memory(error, "a model", sizeof *m);
    m->config = *config;
    m->hints = MOTE_NO_HINTS;
    mote_status status = mote_config_complete(&m->config, error);
    if (status == MOTE_OK) status = mote_program_build(&m->config, &m->program, error);
    if (status != MOTE_OK) goto done;
    size_t n = (size_t)m->program->n_tensors + 1;
    m->weight = mote_allocate_zero(n, sizeof *m->weight);
    m->packed = mote_allocate_zero(n, sizeof *m->packed);
    m->stored = mote_allocate_zero(n, sizeof *m->stored);
    if (!m->weight || !m->packed || !m->stored) status = mote_fail_memory(error, "a model", n * sizeof *m->weight);
    else if (own) status = mote_weights_allocate(m->program, &m->arena, m->weight, error);
done:
    if (status == MOTE_OK) *model = m;
    else mote_model_close(m);
    return status;
}

mote_status mote_model_create(const mote_config *config, const mote_tokenizer *tokenizer, uint64_t seed,
                              mote_model **model, mote_error *error) {
    mote_config c = *config;
    *model = NULL;
    if (tokenizer && c.vocab <= 0) c.vocab = mote_tokenizer_vocab(tokenizer);
    if (tokenizer && c.vocab != mote_tokenizer_vocab(tokenizer))
        return mote_fail(error, MOTE_USAGE, "the vocabulary %d is not the tokenizer's %d", c.vocab,
                         mote_tokenizer_vocab(tokenizer));
    mote_model *m;
    mote_status status = mote_model_allocate(&c, true, &m, error);
    if (status != MOTE_OK) return status;
    for (int i = 0; i < m->program->n_tensors; i++) {
        const mote_tensor *t = &m->program->tensors[i];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        mote_random random; /* a stream of its own, so that a tensor's start does not depend on those before it */
        mote_random_seed(&random, mote_hash64(seed + (uint64_t)i));
        mote_real *w = m->weight[i];
        size_t values = (size_t)t->rows * (size_t)t->cols;
        for (size_t j = 0; j < values; j++)
            w[j] = (mote_real)(t->start.mean +
                               (t->start.deviation > 0 ? t->start.deviation * mote_random_normal(&random) : 0));
    }
    if (tokenizer) status = mote_tokenizer_copy(tokenizer, &m->tokenizer, error);
    if (status == MOTE_OK) *model = m;
    else mote_model_close(m);
    return status;
}

void mote_model_close(mote_model *m) {
    if (!m) return;
    for (int i = 0; m->program && m->packed && i < m->program->n_tensors; i++) mote_release(m->packed[i]);
    for (int i = 0; m->program && m->merged && i < m->program->n_tensors; i++) mote_release(m->merged[i]);
    mote_release(m->merged);
    mote_release(m->activation_scale);
    mote_release(m->packed);
    mote_release(m->weight);
    mote_release(m->sum);
    mote_release(m->unchecked);
    mote_release(m->arena);
    mote_arena_deinit(&m->made);
    mote_release(m->copies);
    mote_release(m->stored);
    mote_map_close(&m->map);
    for (size_t i = 0; i < m->n_shards; i++) mote_map_close(&m->shards[i]);
    mote_release(m->shards);
    mote_program_destroy(m->program);
    mote_tokenizer_destroy(m->tokenizer);
    mote_release(m->tokenizer_problem);
    mote_release(m->name);
    mote_release(m->chat_template);
    mote_release(m);
}

/* One NaN or infinity in a scale spoils every output of its row. */
mote_status mote_weight_check_scales(const mote_tensor *t, const void *data, const char *path, mote_error *error) {
    if (mote_type_is_float(t->type)) return MOTE_OK;
    const size_t row_bytes = mote_row_bytes(t->type, (size_t)t->cols);
    for (int r = 0; r < t->rows; r++)
        if (!mote_row_is_finite(t->type, (const char *)data + (size_t)r * row_bytes, (size_t)t->cols))
            return mote_fail(error, MOTE_BAD_FILE,
                             "%s: tensor '%s', row %d: a block of %s has a scale of NaN or infinity", path, t->name, r,
                             mote_type_name(t->type));
    return MOTE_OK;
}

mote_status mote_model_put_off_checks(mote_model *m, bool sums, mote_error *error) {
    size_t n = (size_t)m->program->n_tensors;
    m->unchecked = mote_allocate_zero(n, sizeof *m->unchecked);
    if (sums) m->sum = mote_allocate_zero(n, sizeof *m->sum);
    return m->unchecked && (m->sum || !sums) ? MOTE_OK : mote_fail_memory(error, "checksums", n * sizeof *m->sum);
}

/* Two threads may find the same weight unchecked and both check it, which does no harm. */
mote_status mote_model_check_weight(const mote_model *m, mote_tensor_id id, mote_error *error) {
    if (!m->unchecked || !__atomic_load_n(&m->unchecked[id], __ATOMIC_RELAXED)) return MOTE_OK;
    const mote_tensor *t = &m->program->tensors[id];
    const char *path = m->map.path ? m->map.path : "the model";
    size_t bytes = (size_t)t->rows * mote_row_bytes(t->type, (size_t)t->cols);
    if (m->sum && mote_hash_bytes(m->weight[id], bytes, 0) != m->sum[id])
        return mote_fail(error, MOTE_BAD_FILE, "%s: the checksum of tensor '%s' is wrong: the file is damaged", path,
                         t->name);
    mote_status status = mote_weight_check_scales(t, m->weight[id], path, error);
    if (status == MOTE_OK) __atomic_store_n(&m->unchecked[id], false, __ATOMIC_RELAXED);
    return status;
}

bool mote_weight_is_vector(const mote_tensor *tensor) { return tensor->rows == 1 && !tensor->matrix; }
bool mote_weight_stays_f32(const mote_tensor *tensor) {
    return mote_weight_is_vector(tensor) || strcmp(tensor->name, "position_embd.weight") == 0;
}

/* Whether a weight is used as it is. Vectors are read as floats everywhere. */
static bool runs(const mote_tensor *t) {
    return mote_type_is_float(t->type) || (mote_kernels_run_type(t->type) && !mote_weight_is_vector(t));
}

mote_status mote_model_unpack(mote_model *model, mote_error *error) {
    size_t total = 0;
    mote_program *program = model->program;
    for (int id = 0; id < program->n_tensors; id++) {
        const mote_tensor *t = &program->tensors[id];
        if (t->role != MOTE_ROLE_WEIGHT || runs(t)) continue;
        size_t bytes;
        if (!mote_multiply((size_t)t->rows * sizeof(float), (size_t)t->cols, &bytes) ||
            !mote_add(total, bytes, &total))
            return mote_fail_memory(error, "the weights as f32", SIZE_MAX);
    }
    if (!total) return MOTE_OK;
    float *at = model->copies = mote_allocate(total);
    if (!at) return mote_fail_memory(error, "the weights as f32", total);
    for (int id = 0; id < program->n_tensors; id++) {
        mote_tensor *t = &program->tensors[id];
        if (t->role != MOTE_ROLE_WEIGHT || runs(t)) continue;
        mote_status status = mote_model_check_weight(model, (mote_tensor_id)id, error);
        if (status != MOTE_OK) return status;
        const char *row = model->weight[id];
        const size_t cols = (size_t)t->cols, row_bytes = mote_row_bytes(t->type, cols);
        model->stored[id] = (mote_stored){row, t->type};
        model->weight[id] = at;
        for (int r = 0; r < t->rows; r++, row += row_bytes, at += cols) mote_type_get(t->type)->to_f32(row, at, cols);
        t->type = MOTE_TYPE_F32;
    }
    return MOTE_OK;
}

/* Panels for the weight of a product. */
static mote_status pack_matrix(mote_model *m, mote_tensor_id id, mote_error *error) {
    const mote_tensor *t = &m->program->tensors[id];
    if (m->packed[id]) return MOTE_OK;
    size_t bytes = mote_packed_bytes(t->type, t->rows, t->cols);
    mote_status status = mote_model_check_weight(m, id, error);
    if (status != MOTE_OK) return status;
    m->packed[id] = mote_allocate(bytes);
    if (!m->packed[id]) return mote_fail_memory(error, "the packed weights", bytes);
    const size_t cols = (size_t)t->cols;
    if (mote_type_is_float(t->type))
        mote_kernels_get()->pack[t->type](m->weight[id], cols, t->rows, t->cols, m->packed[id]);
    else mote_blocks_pack(t->type, m->weight[id], mote_row_bytes(t->type, cols), t->rows, t->cols, m->packed[id]);
    return MOTE_OK;
}

/* Gains and biases are read as f32, whatever the file has. */
static mote_status convert_vector(mote_model *m, mote_tensor_id id, mote_error *error) {
    const mote_tensor *t = id == MOTE_NONE ? NULL : &m->program->tensors[id];
    if (!t || t->role != MOTE_ROLE_WEIGHT || t->rows != 1 || t->type == MOTE_TYPE_F32 || m->packed[id]) return MOTE_OK;
    mote_status status = mote_model_check_weight(m, id, error);
    if (status != MOTE_OK) return status;
    size_t cols = (size_t)t->cols;
    float *values = mote_allocate(cols * sizeof *values);
    mote_real *copy = m->packed[id] = mote_allocate(cols * sizeof *copy);
    if (values && copy) {
        mote_type_get(t->type)->to_f32(m->weight[id], values, cols);
        for (size_t i = 0; i < cols; i++) copy[i] = values[i];
    }
    mote_release(values);
    return values && copy ? MOTE_OK : mote_fail_memory(error, t->name, cols * sizeof *values);
}

mote_status mote_model_pack(mote_model *m, mote_error *error) {
    mote_status status = MOTE_OK;
    for (int i = 0; i < m->program->n_ops && status == MOTE_OK; i++) {
        const mote_op *op = &m->program->ops[i];
        if (op->kind == MOTE_OP_LINEAR || op->kind == MOTE_OP_HEAD) status = pack_matrix(m, op->in[1], error);
        if (op->kind == MOTE_OP_LINEAR && status == MOTE_OK) status = convert_vector(m, op->in[2], error);
        for (int j = 1; j < 3 && op->kind == MOTE_OP_NORM && status == MOTE_OK; j++)
            status = convert_vector(m, op->in[j], error);
    }
    /* What is read as it lies: vectors of f32, tables of embeddings. */
    for (int i = 0; i < m->program->n_tensors && status == MOTE_OK; i++)
        if (m->program->tensors[i].role == MOTE_ROLE_WEIGHT) status = mote_model_check_weight(m, i, error);
    return status;
}

mote_model_info mote_model_describe(const mote_model *model) {
    mote_model_info info = {.form = model->form ? model->form : "memory"};
    uint64_t of_type[MOTE_N_TYPES] = {0};
    for (int i = 0; i < model->program->n_tensors; i++) {
        const mote_tensor *t = &model->program->tensors[i];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        uint64_t values = (uint64_t)t->rows * (uint64_t)t->cols;
        info.tensors++;
        info.parameters += values;
        mote_type type = mote_model_stored(model, i).type;
        info.bytes += (uint64_t)t->rows * mote_row_bytes(type, (size_t)t->cols);
        of_type[type] += values;
        if (of_type[type] > of_type[info.type]) info.type = type;
    }
    return info;
}

/* The same tensors in the same order; only a table of positions may have fewer rows, and its first rows stay where they
 * are. */
static bool same_but_shorter(const mote_program *a, const mote_program *b) {
    if (a->n_tensors != b->n_tensors) return false;
    for (int id = 0; id < a->n_tensors; id++) {
        const mote_tensor *old = &a->tensors[id], *t = &b->tensors[id];
        if (old->role != t->role || strcmp(old->name, t->name) != 0) return false;
        if (t->role == MOTE_ROLE_WEIGHT && (t->cols != old->cols || t->rows > old->rows)) return false;
    }
    return true;
}

mote_status mote_model_shorten(mote_model *model, int context, mote_error *error) {
    if (!model) return mote_fail(error, MOTE_USAGE, "no model was given");
    if (context == model->config.context) return MOTE_OK;
    if (context < 1 || context > model->config.context)
        return mote_fail(error, MOTE_USAGE, "the model's context of %d cannot become %d: it can only be shortened",
                         model->config.context, context);
    mote_config config = model->config;
    config.context = context;
    mote_program *program = NULL;
    mote_status status = mote_program_build(&config, &program, error);
    if (status == MOTE_OK && !same_but_shorter(model->program, program))
        status = mote_fail(error, MOTE_FAILED, "the model is another one with a context of %d", context);
    for (int id = 0; status == MOTE_OK && id < program->n_tensors; id++) {
        if (program->tensors[id].role != MOTE_ROLE_WEIGHT) continue;
        if (model->packed[id])
            status = mote_fail(error, MOTE_USAGE, "the model is in use: its context cannot be shortened any more");
        else status = mote_model_check_weight(model, id, error); /* a checksum is of all rows */
        program->tensors[id].type = model->program->tensors[id].type;
    }
    if (status != MOTE_OK) {
        mote_program_destroy(program);
        return status;
    }
    mote_program_destroy(model->program);
    model->program = program;
    model->config = config;
    return MOTE_OK;
}

mote_config mote_model_config(const mote_model *model) { return model->config; }
const mote_tokenizer *mote_model_tokenizer(const mote_model *model) { return model->tokenizer; }
const char *mote_model_tokenizer_problem(const mote_model *model) { return model->tokenizer_problem; }

mote_status mote_model_set_name(mote_model *model, const char *name, mote_error *error) {
    char *copy = mote_copy_string(name);
    if (!copy) return mote_fail_memory(error, "the model's name", strlen(name));
    mote_release(model->name);
    model->name = copy;
    return MOTE_OK;
}
