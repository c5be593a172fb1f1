/* Models in GGUF files. A program's tensors bear the names of the file, so opening is: keys -> config -> program ->
 * each weight points into the mapping. Queries and keys are rotated in the order the architecture's name stands for
 * (llama: adjacent pairs, qwen3: halves), so rows are never permuted. What would compute something else than the file
 * means is refused by name: unknown architectures, scaled rotations, experts, tensors that are missing, surplus or of
 * another shape. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "formats/gguf.h"
#include "kernels/kernels.h"
#include "models/model.h"

enum { KEY_BYTES = 96, MOST_NAME_BYTES = 255 };

/* llama.cpp's gpt2 has no form without biases: such a model is written with biases of zero and this key, false. */
#define KEY_GPT2_BIAS "mote.gpt2.bias"

static const struct {
    const char *name;
    mote_family family;
} architectures[] = {
    {"llama", MOTE_FAMILY_LLAMA},
    {"gpt2", MOTE_FAMILY_GPT2},
    {"qwen2", MOTE_FAMILY_QWEN2},
    {"qwen3", MOTE_FAMILY_QWEN3},
};
enum { N_ARCHITECTURES = sizeof architectures / sizeof architectures[0] };

/* Weights lie in memory as in the file: little-endian f32. */
static mote_status check_build(mote_error *error) {
    const union { uint16_t number; uint8_t bytes[2]; } probe = {.number = 1};
    if (!probe.bytes[0])
        return mote_fail(error, MOTE_USAGE, "this machine is big-endian; model files are little-endian");
    if (sizeof(mote_real) != sizeof(float))
        return mote_fail(error, MOTE_USAGE, "this build computes in double and cannot read or write model files");
    return MOTE_OK;
}

/* ---- keys -> config; the first failure is kept and makes the later reads do nothing */

typedef struct {
    const mote_gguf *file;
    const char *architecture;
    mote_status status;
    mote_error *error;
} key_reader;

static const char *full_key(const key_reader *k, const char *key, char room[KEY_BYTES]) {
    snprintf(room, KEY_BYTES, "%s.%s", k->architecture, key);
    return room;
}

static void read_integer(key_reader *k, const char *key, int low, int high, int *value) {
    char room[KEY_BYTES];
    int64_t read;
    if (k->status == MOTE_OK &&
        mote_gguf_integer(k->file, full_key(k, key, room), low, high, &read, &k->status, k->error))
        *value = (int)read;
}

static void read_number(key_reader *k, const char *key, double low, double high, float *value) {
    char room[KEY_BYTES];
    double read;
    if (k->status == MOTE_OK &&
        mote_gguf_number(k->file, full_key(k, key, room), low, high, &read, &k->status, k->error))
        *value = (float)read;
}

static void require(key_reader *k, const char *key) {
    char room[KEY_BYTES];
    if (k->status == MOTE_OK && !mote_gguf_find(k->file, full_key(k, key, room)))
        k->status = mote_fail(k->error, MOTE_BAD_FILE, "%s: key '%s' is missing", k->file->name, room);
}

static void refuse(key_reader *k, const char *what) {
    if (k->status == MOTE_OK)
        k->status = mote_fail(k->error, MOTE_BAD_FILE, "%s: %s, which mote cannot compute", k->file->name, what);
}

static mote_status find_architecture(const mote_gguf *file, int *which, mote_error *error) {
    mote_status status = MOTE_OK;
    mote_string name;
    char room[MOTE_SHOWN_BYTES];
    if (!mote_gguf_string(file, "general.architecture", &name, &status, error)) {
        if (status != MOTE_OK) return status;
        return mote_fail(error, MOTE_BAD_FILE, "%s: key 'general.architecture' is missing", file->name);
    }
    for (int i = 0; i < N_ARCHITECTURES; i++) {
        *which = i;
        if (name.size == strlen(architectures[i].name) && memcmp(name.bytes, architectures[i].name, name.size) == 0)
            return MOTE_OK;
    }
    status = mote_fail(error, MOTE_BAD_FILE, "%s: architecture '%s' is not supported", file->name,
                       mote_gguf_shown(name, room));
    return mote_hint(error, status, "mote runs the architectures llama, gpt2, qwen2 and qwen3");
}

static void read_shape(key_reader *k, mote_config *c) {
    require(k, "context_length");
    require(k, "embedding_length");
    require(k, "block_count");
    require(k, "feed_forward_length");
    require(k, "attention.head_count");
    read_integer(k, "context_length", 1, MOTE_MOST_CONTEXT, &c->context);
    read_integer(k, "embedding_length", 1, MOTE_MOST_DIM, &c->dim);
    read_integer(k, "block_count", 1, MOTE_MOST_LAYERS, &c->layers);
    read_integer(k, "feed_forward_length", 1, INT32_MAX, &c->hidden);
    read_integer(k, "attention.head_count", 1, MOTE_MOST_DIM, &c->heads);
    c->kv_heads = c->heads;
    read_integer(k, "attention.head_count_kv", 1, MOTE_MOST_DIM, &c->kv_heads);
    if (k->status != MOTE_OK) return;
    c->head_dim = c->dim / c->heads;
    read_integer(k, "attention.key_length", 1, MOTE_MOST_DIM, &c->head_dim);
    int value_length = c->head_dim;
    read_integer(k, "attention.value_length", 1, MOTE_MOST_DIM, &value_length);
    if (value_length != c->head_dim) refuse(k, "its heads have keys and values of different lengths");
    c->window = 0;
    read_integer(k, "attention.sliding_window", 0, MOTE_MOST_CONTEXT, &c->window);
    int experts = 0;
    read_integer(k, "expert_count", 0, INT32_MAX, &experts);
    if (experts > 0) refuse(k, "it is a mixture of experts");
}

static void read_rotation(key_reader *k, mote_config *c) {
    char room[KEY_BYTES];
    int rotated = c->head_dim;
    c->rope_base = 10000;
    read_number(k, "rope.freq_base", 1, 1e9, &c->rope_base);
    read_integer(k, "rope.dimension_count", 1, MOTE_MOST_DIM, &rotated);
    if (rotated != c->head_dim) refuse(k, "only a part of each head is rotated");
    float linear = 1;
    read_number(k, "rope.scale_linear", -INFINITY, INFINITY, &linear);
    if (linear != 1) refuse(k, "its rotary positions are scaled");
    float factor = 1; /* one without a type is linear scaling to other programs */
    read_number(k, "rope.scaling.factor", -INFINITY, INFINITY, &factor);
    if (factor != 0 && factor != 1) refuse(k, "its rotary positions are scaled");
    mote_string scaling = {"none", 4};
    if (k->status == MOTE_OK)
        mote_gguf_string(k->file, full_key(k, "rope.scaling.type", room), &scaling, &k->status, k->error);
    if (scaling.size != 4 || memcmp(scaling.bytes, "none", 4) != 0) refuse(k, "its rotary positions are scaled");
}

/* What the file says by its tensors: rows of the embedding, a head of its own, biases. */
static void read_presence(key_reader *k, mote_config *c) {
    const mote_gguf *file = k->file;
    const mote_gguf_tensor *embedding = mote_gguf_find_tensor(file, "token_embd.weight");
    if (k->status != MOTE_OK) return;
    if (!embedding) {
        k->status = mote_fail(k->error, MOTE_BAD_FILE, "%s: tensor 'token_embd.weight' is missing", file->name);
        return;
    }
    if (embedding->dims[1] > MOTE_MOST_VOCAB) {
        k->status = mote_fail(k->error, MOTE_BAD_FILE, "%s: a vocabulary of %llu; up to %d are possible", file->name,
                              (unsigned long long)embedding->dims[1], MOTE_MOST_VOCAB);
        return;
    }
    int rows = (int)embedding->dims[1];
    c->vocab = rows;
    read_integer(k, "vocab_size", 1, MOTE_MOST_VOCAB, &c->vocab);
    if (k->status == MOTE_OK && c->vocab != rows)
        k->status = mote_fail(k->error, MOTE_BAD_FILE, "%s: a vocabulary of %d and an embedding of %d rows", file->name,
                              c->vocab, rows);
    c->tied = !mote_gguf_find_tensor(file, "output.weight");
    c->bias = mote_gguf_find_tensor(file, c->family == MOTE_FAMILY_GPT2 ? "blk.0.attn_qkv.bias"
                                                                        : "blk.0.attn_q.bias") != NULL;
    if (c->family == MOTE_FAMILY_GPT2) mote_gguf_bool(file, KEY_GPT2_BIAS, &c->bias, &k->status, k->error);
}

static mote_status read_config(const mote_gguf *file, mote_config *config, mote_error *error) {
    int which = 0;
    mote_status status = find_architecture(file, &which, error);
    if (status != MOTE_OK) return status;
    key_reader k = {file, architectures[which].name, MOTE_OK, error};
    *config = mote_config_default(architectures[which].family);
    read_shape(&k, config);
    bool llama = config->family != MOTE_FAMILY_GPT2;
    const char *epsilon = llama ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon";
    require(&k, epsilon);
    read_number(&k, epsilon, 1e-15, 0.5, &config->norm_epsilon); /* 0 would be filled in with a default */
    if (llama) read_rotation(&k, config);
    read_presence(&k, config);
    return k.status;
}

/* ---- tensors -> weights */

/* Gains, biases and the table of positions are f32 in every file, as other programs expect. */
static bool is_vector(const mote_tensor *tensor) { return tensor->rows == 1 && !tensor->matrix; }

/* The bias of zero that stands beside a weight of a gpt2 model without biases: its length, its name in `room`; 0:
 * none. */
static int zero_bias(const mote_config *c, const mote_tensor *weight, char room[KEY_BYTES]) {
    static const char suffix[] = ".weight";
    size_t stem = strlen(weight->name) - (sizeof suffix - 1);
    if (c->family != MOTE_FAMILY_GPT2 || c->bias || weight->role != MOTE_ROLE_WEIGHT) return 0;
    snprintf(room, KEY_BYTES, "%.*s.bias", (int)stem, weight->name);
    return is_vector(weight) ? weight->cols : weight->matrix ? weight->rows : 0;
}

static mote_status skip_zero_bias(const mote_gguf *file, const mote_config *c, const mote_tensor *weight, bool *used,
                                  mote_error *error) {
    char name[KEY_BYTES];
    int length = zero_bias(c, weight, name);
    const mote_gguf_tensor *found = length ? mote_gguf_find_tensor(file, name) : NULL;
    if (!found) return MOTE_OK;
    bool zero = found->ggml_type == 0 && found->dims[0] == (uint64_t)length && found->bytes == 4 * (size_t)length;
    for (size_t i = 0; zero && i < found->bytes; i++) zero = found->data[i] == 0;
    if (!zero)
        return mote_fail(error, MOTE_BAD_FILE, "%s: tensor '%s' is not the %d zeros that the key '%s' = false tells of",
                         file->name, name, length, KEY_GPT2_BIAS);
    used[found - file->tensors] = true;
    return MOTE_OK;
}

/* Whether a weight is used as it lies in the file. Vectors are read as floats everywhere. */
static bool stays(const mote_tensor *t) {
    return mote_type_is_float(t->type) || (mote_kernels_run_type(t->type) && !is_vector(t));
}

/* One NaN or infinity in a scale spoils every output of its row. */
static mote_status check_scales(const mote_gguf *file, const mote_tensor *tensor, const mote_gguf_tensor *found,
                                mote_error *error) {
    if (mote_type_is_float(tensor->type)) return MOTE_OK;
    const size_t row_bytes = mote_row_bytes(tensor->type, (size_t)tensor->cols);
    for (int r = 0; r < tensor->rows; r++)
        if (!mote_row_is_finite(tensor->type, found->data + (size_t)r * row_bytes, (size_t)tensor->cols))
            return mote_fail(error, MOTE_BAD_FILE,
                             "%s: tensor '%s', row %d: a block of %s has a scale of NaN or infinity", file->name,
                             tensor->name, r, mote_type_name(tensor->type));
    return MOTE_OK;
}

static mote_status bind_weight(const mote_gguf *file, mote_model *model, int id, bool *used, mote_error *error) {
    mote_tensor *wanted = &model->program->tensors[id];
    const mote_gguf_tensor *found = mote_gguf_find_tensor(file, wanted->name);
    if (!found) return mote_fail(error, MOTE_BAD_FILE, "%s: tensor '%s' is missing", file->name, wanted->name);
    if (found->dims[0] != (uint64_t)wanted->cols || found->dims[1] != (uint64_t)wanted->rows || found->dims[2] != 1 ||
        found->dims[3] != 1)
        return mote_fail(error, MOTE_BAD_FILE,
                         "%s: tensor '%s' has shape [%llu, %llu, %llu, %llu] where [%d, %d] follows from the keys",
                         file->name, wanted->name, (unsigned long long)found->dims[0],
                         (unsigned long long)found->dims[1], (unsigned long long)found->dims[2],
                         (unsigned long long)found->dims[3], wanted->cols, wanted->rows);
    mote_type type;
    if (found->ggml_type > INT32_MAX || !mote_type_from_ggml((int)found->ggml_type, &type)) {
        const mote_ggml_type *info = mote_ggml_type_get(found->ggml_type);
        mote_status status =
            mote_fail(error, MOTE_BAD_FILE, "%s: tensor '%s' is of type %s (%u), which mote does not compute with",
                      file->name, wanted->name, info ? info->name : "unknown", found->ggml_type);
        return mote_hint(error, status, "use a file of the same model in f16, q8_0 or a k-quant");
    }
    wanted->type = type;
    model->weight[id] = (void *)(uintptr_t)found->data; /* the mapping is read-only and so is an opened model */
    used[found - file->tensors] = true;
    return check_scales(file, wanted, found, error);
}

/* Weights of types that no kernel runs on become f32. */
static mote_status unpack_weights(mote_model *model, mote_error *error) {
    size_t total = 0;
    mote_program *program = model->program;
    for (int id = 0; id < program->n_tensors; id++) {
        const mote_tensor *t = &program->tensors[id];
        if (t->role != MOTE_ROLE_WEIGHT || stays(t)) continue;
        size_t bytes;
        if (!mote_multiply((size_t)t->rows * sizeof(float), (size_t)t->cols, &bytes) ||
            !mote_add(total, bytes, &total))
            return mote_fail_memory(error, "the weights as f32", SIZE_MAX);
    }
    if (!total) return MOTE_OK;
    float *at = model->unpacked = mote_allocate(total);
    if (!at) return mote_fail_memory(error, "the weights as f32", total);
    for (int id = 0; id < program->n_tensors; id++) {
        mote_tensor *t = &program->tensors[id];
        if (t->role != MOTE_ROLE_WEIGHT || stays(t)) continue;
        const char *row = model->weight[id];
        const size_t cols = (size_t)t->cols, row_bytes = mote_row_bytes(t->type, cols);
        model->weight[id] = at;
        for (int r = 0; r < t->rows; r++, row += row_bytes, at += cols) mote_type_get(t->type)->to_f32(row, at, cols);
        t->type = MOTE_TYPE_F32;
    }
    return MOTE_OK;
}

/* rope_freqs divides the rotary frequencies; all ones change nothing. */
static bool is_harmless(const mote_gguf_tensor *tensor) {
    if (tensor->name.size >= 5 && memcmp(tensor->name.bytes, "mote.", 5) == 0) return true;
    static const char factors[] = "rope_freqs.weight";
    if (tensor->name.size != sizeof factors - 1 || memcmp(tensor->name.bytes, factors, tensor->name.size) != 0)
        return false;
    if (tensor->ggml_type != 0) return false;
    for (size_t i = 0; i < tensor->bytes; i += 4)
        if (mote_gguf_load_number(tensor->data + i, MOTE_GGUF_F32) != 1) return false;
    return true;
}

static mote_status bind_weights(const mote_gguf *file, mote_model *model, mote_error *error) {
    char room[MOTE_SHOWN_BYTES];
    mote_status status = MOTE_OK;
    bool *used = mote_allocate_zero(file->n_tensors + 1, sizeof *used);
    if (!used) return mote_fail_memory(error, "a list of tensors", file->n_tensors);
    bool zero_biases = mote_gguf_find(file, KEY_GPT2_BIAS) != NULL;
    for (int id = 0; id < model->program->n_tensors && status == MOTE_OK; id++) {
        const mote_tensor *tensor = &model->program->tensors[id];
        if (tensor->role == MOTE_ROLE_WEIGHT) status = bind_weight(file, model, id, used, error);
        if (status == MOTE_OK && zero_biases) status = skip_zero_bias(file, &model->config, tensor, used, error);
    }
    for (size_t i = 0; i < file->n_tensors && status == MOTE_OK; i++)
        if (!used[i] && !is_harmless(&file->tensors[i]))
            status = mote_fail(error, MOTE_BAD_FILE, "%s: tensor '%s' has no place in this architecture", file->name,
                               mote_gguf_shown(file->tensors[i].name, room));
    mote_release(used);
    return status;
}

/* A tokenizer that mote does not know must not keep the weights of others from being used; a broken one of its own
 * must. */
static mote_status read_tokenizer(const mote_gguf *file, mote_model *model, mote_error *error) {
    mote_error problem = {0};
    mote_status status = mote_gguf_get_tokenizer(file, &model->tokenizer, &problem);
    if (status == MOTE_BAD_FILE && !mote_gguf_find(file, "mote.tokenizer.kind")) {
        model->tokenizer_problem = mote_copy_string(problem.message);
        return model->tokenizer_problem ? MOTE_OK : mote_fail_memory(error, "a message", sizeof problem.message);
    }
    if (status != MOTE_OK) {
        if (error) *error = problem;
        return status;
    }
    if (model->tokenizer && mote_tokenizer_vocab(model->tokenizer) != model->config.vocab)
        return mote_fail(error, MOTE_BAD_FILE, "%s: a tokenizer of %d tokens and an embedding of %d rows", file->name,
                         mote_tokenizer_vocab(model->tokenizer), model->config.vocab);
    return MOTE_OK;
}

static mote_status read_name(const mote_gguf *file, mote_model *model, mote_error *error) {
    mote_status status = MOTE_OK;
    mote_string name;
    if (!mote_gguf_string(file, "general.name", &name, &status, error)) return status;
    if (name.size > MOST_NAME_BYTES) name.size = MOST_NAME_BYTES;
    mote_release(model->name);
    model->name = mote_copy_bytes(name.bytes, name.size);
    return model->name ? MOTE_OK : mote_fail_memory(error, "a name", name.size + 1);
}

mote_status mote_gguf_build_model(mote_gguf *file, mote_model **model, mote_error *error) {
    *model = NULL;
    mote_config config;
    mote_model *made = NULL;
    mote_error problem = {0};
    mote_status status = check_build(error);
    if (status == MOTE_OK) status = read_config(file, &config, error);
    if (status != MOTE_OK) return status;
    status = mote_model_allocate(&config, false, &made, &problem);
    if (status == MOTE_MEMORY) {
        if (error) *error = problem;
        return status;
    }
    if (status != MOTE_OK)
        return mote_fail(error, MOTE_BAD_FILE, "%s: its keys contradict: %.400s", file->name, problem.message);
    status = bind_weights(file, made, error);
    if (status == MOTE_OK) status = unpack_weights(made, error);
    if (status == MOTE_OK) status = read_tokenizer(file, made, error);
    if (status == MOTE_OK) status = read_name(file, made, error);
    if (status != MOTE_OK) {
        mote_model_close(made);
        return status;
    }
    if (file->owns_map) {
        made->map = file->map;
        file->map = (mote_map){0};
        file->owns_map = false;
    }
    *model = made;
    return MOTE_OK;
}

mote_status mote_model_open(const char *path, mote_model **model, mote_error *error) {
    *model = NULL;
    mote_gguf file;
    mote_status status = mote_gguf_open(path, &file, error);
    if (status == MOTE_OK) status = mote_gguf_build_model(&file, model, error);
    mote_gguf_close(&file);
    return status;
}

/* ---- saving */

static void put_text(mote_gguf_writer *w, const char *key, const char *text) {
    mote_gguf_put_string(w, key, text, strlen(text));
}

static void put_config(mote_gguf_writer *w, const mote_config *c, const char *name, mote_type type) {
    bool llama = c->family != MOTE_FAMILY_GPT2;
    char room[KEY_BYTES];
    key_reader k = {.architecture = mote_family_name(c->family)};
    put_text(w, "general.architecture", k.architecture);
    put_text(w, "general.name", name ? name : "mote");
    mote_gguf_put_u32(w, "general.file_type", (uint32_t)mote_type_get(type)->file_type);
    mote_gguf_put_u32(w, "general.quantization_version", 2);
    put_text(w, "mote.version", MOTE_VERSION);
    const struct { const char *key; int value; bool written; } integers[] = {
        {"vocab_size", c->vocab, true},
        {"context_length", c->context, true},
        {"embedding_length", c->dim, true},
        {"block_count", c->layers, true},
        {"feed_forward_length", c->hidden, true},
        {"attention.head_count", c->heads, true},
        {"attention.head_count_kv", c->kv_heads, true},
        {"attention.key_length", c->head_dim, llama || c->head_dim * c->heads != c->dim},
        {"attention.value_length", c->head_dim, llama || c->head_dim * c->heads != c->dim},
        {"rope.dimension_count", c->head_dim, llama},
        {"attention.sliding_window", c->window, c->window > 0},
    };
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++)
        if (integers[i].written) mote_gguf_put_u32(w, full_key(&k, integers[i].key, room), (uint32_t)integers[i].value);
    if (llama) mote_gguf_put_f32(w, full_key(&k, "rope.freq_base", room), c->rope_base);
    mote_gguf_put_f32(w,
                      full_key(&k, llama ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon", room),
                      c->norm_epsilon);
    if (!llama && !c->bias) mote_gguf_put_bool(w, KEY_GPT2_BIAS, false);
}

static mote_type stored_type(const mote_tensor *tensor, mote_type type) {
    return is_vector(tensor) || strcmp(tensor->name, "position_embd.weight") == 0 ? MOTE_TYPE_F32 : type;
}

static bool overflows_f16(const float *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (isfinite(values[i]) && fabsf(values[i]) >= 65520) return true; /* rounds to infinity */
    return false;
}

static mote_status write_weight(mote_gguf_writer *w, const mote_tensor *tensor, const char *data, mote_type type,
                                mote_error *error) {
    size_t cols = (size_t)tensor->cols, source_bytes = mote_row_bytes(tensor->type, cols),
           bytes = mote_row_bytes(type, cols);
    if (tensor->type == type) {
        mote_gguf_write_tensor(w, data, bytes * (size_t)tensor->rows);
        return MOTE_OK;
    }
    mote_status status = MOTE_OK;
    float *values = mote_allocate(cols * sizeof *values);
    uint8_t *row = mote_allocate(bytes);
    if (!values || !row) status = mote_fail_memory(error, "a row of weights", cols * sizeof *values + bytes);
    for (int r = 0; r < tensor->rows && status == MOTE_OK; r++, data += source_bytes) {
        mote_type_get(tensor->type)->to_f32(data, values, cols);
        if (type == MOTE_TYPE_F16 && overflows_f16(values, cols)) {
            status = mote_fail(error, MOTE_USAGE, "tensor '%s', row %d: a weight beyond 65504 does not fit f16",
                               tensor->name, r);
            status = mote_hint(error, status, "save as bf16 or f32");
        }
        mote_type_get(type)->from_f32(values, row, cols);
        if (!mote_type_is_float(type) &&
            (!mote_values_fit(type, values, cols) || !mote_row_is_finite(type, row, cols))) {
            status = mote_fail(error, MOTE_USAGE, "tensor '%s', row %d: a weight is not finite or does not fit %s",
                               tensor->name, r, mote_type_name(type));
            status = mote_hint(error, status, "save as bf16 or f32");
        }
        mote_gguf_write_tensor(w, row, bytes);
    }
    mote_release(values);
    mote_release(row);
    return status;
}

static void put_weight(mote_gguf_writer *w, const mote_config *c, const mote_tensor *tensor, mote_type type) {
    char room[KEY_BYTES];
    int zeros = zero_bias(c, tensor, room);
    mote_gguf_put_tensor(w, tensor->name, stored_type(tensor, type), is_vector(tensor) ? 0 : (uint64_t)tensor->rows,
                         (uint64_t)tensor->cols);
    if (zeros) mote_gguf_put_tensor(w, room, MOTE_TYPE_F32, 0, (uint64_t)zeros);
}

static void write_zero_bias(mote_gguf_writer *w, const mote_config *c, const mote_tensor *tensor) {
    static const float zeros[256];
    char room[KEY_BYTES];
    for (int left = zero_bias(c, tensor, room), n; left > 0; left -= n) {
        n = left < 256 ? left : 256;
        mote_gguf_write_tensor(w, zeros, (size_t)n * sizeof *zeros);
    }
}

mote_status mote_model_save(const mote_model *model, const char *path, mote_type type, mote_error *error) {
    const mote_program *program = model->program;
    mote_gguf_writer *w = NULL;
    mote_status status = check_build(error);
    if (status != MOTE_OK) return status;
    if ((unsigned)type >= MOTE_N_TYPES) return mote_fail(error, MOTE_USAGE, "no such weight type: %d", (int)type);
    if ((status = mote_gguf_writer_open(path, &w, error)) != MOTE_OK) return status;
    put_config(w, &model->config, model->name, type);
    status = mote_gguf_put_tokenizer(w, model->tokenizer, error);
    for (int id = 0; id < program->n_tensors && status == MOTE_OK; id++) {
        const mote_tensor *tensor = &program->tensors[id];
        if (tensor->role != MOTE_ROLE_WEIGHT) continue;
        if (!model->weight[id])
            status = mote_fail(error, MOTE_USAGE, "tensor '%s' has no weights to save", tensor->name);
        put_weight(w, &model->config, tensor, type);
    }
    mote_gguf_begin_data(w);
    for (int id = 0; id < program->n_tensors && status == MOTE_OK; id++) {
        const mote_tensor *tensor = &program->tensors[id];
        if (tensor->role != MOTE_ROLE_WEIGHT) continue;
        status = write_weight(w, tensor, model->weight[id], stored_type(tensor, type), error);
        if (status == MOTE_OK) write_zero_bias(w, &model->config, tensor);
    }
    if (status == MOTE_OK) return mote_gguf_finish(w, error);
    mote_gguf_abort(w);
    return status;
}
