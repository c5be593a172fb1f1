/* Models in GGUF files. A program's tensors bear the names of the file, so opening is: keys -> config (gguf_config.c)
 * -> program -> each weight points into the mapping. Queries and keys are rotated in the order the architecture's name
 * stands for (llama: adjacent pairs, qwen: halves), so rows are never permuted; gains are the file's too (gemma3's are
 * 1 + w there already). Tensors that are missing, surplus or of another shape are refused by name. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "formats/gguf_config.h"
#include "kernels/kernels.h"
#include "models/model.h"

enum { MOST_NAME_BYTES = 255 };
#define KEY_CHAT_TEMPLATE "tokenizer.chat_template"

mote_status mote_weights_are_of_files(mote_error *error) {
    const union { uint16_t number; uint8_t bytes[2]; } probe = {.number = 1};
    if (!probe.bytes[0])
        return mote_fail(error, MOTE_USAGE, "this machine is big-endian; model files are little-endian");
    if (sizeof(mote_real) != sizeof(float))
        return mote_fail(error, MOTE_USAGE, "this build computes in double and cannot read or write model files");
    return MOTE_OK;
}

/* ---- tensors -> weights */

/* The bias of zero that stands beside a weight of a gpt2 model without biases: its length, its name in `room`; 0:
 * none. */
static int zero_bias(const mote_config *c, const mote_tensor *weight, char room[MOTE_KEY_BYTES]) {
    static const char suffix[] = ".weight";
    size_t stem = strlen(weight->name) - (sizeof suffix - 1);
    if (c->family != MOTE_FAMILY_GPT2 || c->bias || weight->role != MOTE_ROLE_WEIGHT) return 0;
    snprintf(room, MOTE_KEY_BYTES, "%.*s.bias", (int)stem, weight->name);
    return mote_weight_is_vector(weight) ? weight->cols : weight->matrix ? weight->rows : 0;
}

static mote_status skip_zero_bias(const mote_gguf *file, const mote_config *c, const mote_tensor *weight, bool *used,
                                  mote_error *error) {
    char name[MOTE_KEY_BYTES];
    int length = zero_bias(c, weight, name);
    const mote_gguf_tensor *found = length ? mote_gguf_find_tensor(file, name) : NULL;
    if (!found) return MOTE_OK;
    bool zero = found->ggml_type == 0 && found->dims[0] == (uint64_t)length && found->bytes == 4 * (size_t)length;
    for (size_t i = 0; zero && i < found->bytes; i++) zero = found->data[i] == 0;
    if (!zero)
        return mote_fail(error, MOTE_BAD_FILE, "%s: tensor '%s' is not the %d zeros that the key '%s' = false tells of",
                         file->name, name, length, MOTE_KEY_GPT2_BIAS);
    used[found - file->tensors] = true;
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
    size_t place = (size_t)(found - file->tensors);
    used[place] = true;
    if (!file->checks_put_off) return mote_weight_check_scales(wanted, found->data, file->name, error);
    model->unchecked[id] = true;
    if (file->sums) model->sum[id] = mote_load_bytes(file->sums + 8 * place, 8);
    return MOTE_OK;
}

/* Tensors that no weight is bound to: what divides rotary frequencies is in the config, mote's own are not computed
 * with. */
static bool is_no_weight(const mote_gguf_tensor *tensor) {
    if (tensor->name.size >= 5 && memcmp(tensor->name.bytes, "mote.", 5) == 0) return true;
    return mote_string_is(tensor->name, MOTE_ROPE_DIVISORS);
}

static mote_status bind_weights(const mote_gguf *file, mote_model *model, mote_error *error) {
    char room[MOTE_SHOWN_BYTES];
    mote_status status = MOTE_OK;
    bool *used = mote_allocate_zero(file->n_tensors + 1, sizeof *used);
    if (!used) return mote_fail_memory(error, "a list of tensors", file->n_tensors);
    if (file->checks_put_off) status = mote_model_put_off_checks(model, file->sums != NULL, error);
    bool zero_biases = mote_gguf_find(file, MOTE_KEY_GPT2_BIAS) != NULL;
    for (int id = 0; id < model->program->n_tensors && status == MOTE_OK; id++) {
        const mote_tensor *tensor = &model->program->tensors[id];
        if (tensor->role == MOTE_ROLE_WEIGHT) status = bind_weight(file, model, id, used, error);
        if (status == MOTE_OK && zero_biases) status = skip_zero_bias(file, &model->config, tensor, used, error);
    }
    for (size_t i = 0; i < file->n_tensors && status == MOTE_OK; i++)
        if (!used[i] && !is_no_weight(&file->tensors[i]))
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

static mote_status read_chat_template(const mote_gguf *file, mote_model *model, mote_error *error) {
    mote_status status = MOTE_OK;
    mote_string text;
    if (!mote_gguf_string(file, KEY_CHAT_TEMPLATE, &text, &status, error)) return status;
    model->chat_template = mote_copy_bytes(text.bytes, text.size);
    return model->chat_template ? MOTE_OK : mote_fail_memory(error, "a chat template", text.size + 1);
}

mote_status mote_gguf_build_model(mote_gguf *file, mote_model **model, mote_error *error) {
    *model = NULL;
    mote_config config;
    mote_model *made = NULL;
    mote_error problem = {0};
    mote_status status = mote_weights_are_of_files(error);
    if (status == MOTE_OK) status = mote_gguf_get_config(file, &config, error);
    if (status != MOTE_OK) return status;
    status = mote_model_allocate(&config, false, &made, &problem);
    if (status == MOTE_MEMORY) {
        if (error) *error = problem;
        return status;
    }
    if (status != MOTE_OK)
        return mote_fail(error, MOTE_BAD_FILE, "%s: its keys contradict: %.400s", file->name, problem.message);
    if (file->owns_map) made->map = file->map; /* from here on the model closes it; `file` goes on reading it */
    file->owns_map = false;
    status = bind_weights(file, made, error);
    if (status == MOTE_OK) status = mote_gguf_get_activation_scales(file, made, error);
    if (status == MOTE_OK) status = mote_model_unpack(made, error);
    if (status == MOTE_OK) status = read_tokenizer(file, made, error);
    if (status == MOTE_OK) status = read_name(file, made, error);
    if (status == MOTE_OK) status = read_chat_template(file, made, error);
    if (status != MOTE_OK) {
        mote_model_close(made);
        return status;
    }
    *model = made;
    return MOTE_OK;
}

mote_status mote_gguf_open_model(mote_map *map, mote_model **model, mote_error *error) {
    *model = NULL;
    mote_gguf file;
    mote_status status = mote_gguf_take(map, &file, error);
    if (status == MOTE_OK) status = mote_gguf_build_model(&file, model, error);
    mote_gguf_close(&file);
    return status;
}

/* ---- saving */

static void put_text(mote_gguf_writer *w, const char *key, const char *text) {
    mote_gguf_put_string(w, key, text, strlen(text));
}

static void put_keys(mote_gguf_writer *w, const mote_config *c, const char *name, mote_type type) {
    put_text(w, "general.architecture", mote_family_name(c->family));
    put_text(w, "general.name", name ? name : "mote");
    mote_gguf_put_u32(w, "general.file_type", (uint32_t)mote_type_get(type)->file_type);
    mote_gguf_put_u32(w, "general.quantization_version", 2);
    put_text(w, "mote.version", MOTE_VERSION);
    mote_gguf_put_config(w, c);
}

/* The type a weight is saved in: `type`, or where that is MOTE_TYPE_KEEP its own. */
static mote_type stored_type(const mote_model *model, int id, mote_type type) {
    if (mote_weight_stays_f32(&model->program->tensors[id])) return MOTE_TYPE_F32;
    return type == MOTE_TYPE_KEEP ? mote_model_stored(model, id).type : type;
}

/* The type that most weights have. */
static mote_type main_type(const mote_model *model, mote_type type) {
    uint64_t weights[MOTE_N_TYPES] = {0};
    int most = MOTE_TYPE_F32;
    for (int id = 0; id < model->program->n_tensors; id++) {
        const mote_tensor *t = &model->program->tensors[id];
        if (t->role == MOTE_ROLE_WEIGHT && !mote_weight_stays_f32(t))
            weights[stored_type(model, id, type)] += (uint64_t)t->rows * (uint64_t)t->cols;
    }
    for (int i = 0; i < MOTE_N_TYPES; i++)
        if (weights[i] > weights[most]) most = i;
    return (mote_type)most;
}

static bool overflows_f16(const float *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (isfinite(values[i]) && fabsf(values[i]) >= 65520) return true; /* rounds to infinity */
    return false;
}

static mote_status write_weight(mote_gguf_writer *w, const mote_tensor *tensor, mote_stored stored, mote_type type,
                                mote_error *error) {
    const char *data = stored.rows;
    size_t cols = (size_t)tensor->cols, source_bytes = mote_row_bytes(stored.type, cols),
           bytes = mote_row_bytes(type, cols);
    if (stored.type == type) {
        mote_gguf_write_tensor(w, data, bytes * (size_t)tensor->rows);
        return MOTE_OK;
    }
    mote_status status = MOTE_OK;
    float *values = mote_allocate(cols * sizeof *values);
    uint8_t *row = mote_allocate(bytes);
    if (!values || !row) status = mote_fail_memory(error, "a row of weights", cols * sizeof *values + bytes);
    for (int r = 0; r < tensor->rows && status == MOTE_OK; r++, data += source_bytes) {
        mote_type_get(stored.type)->to_f32(data, values, cols);
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
    char room[MOTE_KEY_BYTES];
    int zeros = zero_bias(c, tensor, room);
    mote_gguf_put_tensor(w, tensor->name, type, mote_weight_is_vector(tensor) ? 0 : (uint64_t)tensor->rows,
                         (uint64_t)tensor->cols);
    if (zeros) mote_gguf_put_tensor(w, room, MOTE_TYPE_F32, 0, (uint64_t)zeros);
}

static void write_zero_bias(mote_gguf_writer *w, const mote_config *c, const mote_tensor *tensor) {
    static const float zeros[256];
    char room[MOTE_KEY_BYTES];
    for (int left = zero_bias(c, tensor, room), n; left > 0; left -= n) {
        n = left < 256 ? left : 256;
        mote_gguf_write_tensor(w, zeros, (size_t)n * sizeof *zeros);
    }
}

/* Keys and descriptions of all tensors, up to where their data begins. */
static mote_status put_header(mote_gguf_writer *w, const mote_model *model, mote_type type, mote_error *error) {
    const mote_program *program = model->program;
    put_keys(w, &model->config, model->name, main_type(model, type));
    mote_status status = mote_gguf_put_tokenizer(w, model->tokenizer, error);
    if (status == MOTE_OK) status = mote_gguf_put_activation_scales(w, model, type, error);
    if (mote_chat_template_of(model)) put_text(w, KEY_CHAT_TEMPLATE, mote_chat_template_of(model));
    for (int id = 0; id < program->n_tensors && status == MOTE_OK; id++) {
        const mote_tensor *tensor = &program->tensors[id];
        if (tensor->role != MOTE_ROLE_WEIGHT) continue;
        if (!model->weight[id])
            status = mote_fail(error, MOTE_USAGE, "tensor '%s' has no weights to save", tensor->name);
        put_weight(w, &model->config, tensor, stored_type(model, id, type));
    }
    int divisors = mote_gguf_divisors(&model->config);
    if (divisors) mote_gguf_put_tensor(w, MOTE_ROPE_DIVISORS, MOTE_TYPE_F32, 0, (uint64_t)divisors);
    mote_gguf_begin_data(w);
    return status;
}

mote_status mote_model_save(const mote_model *model, const char *path, mote_type type, mote_error *error) {
    const mote_program *program = model->program;
    mote_gguf_writer *w = NULL;
    if ((unsigned)type >= MOTE_N_TYPES && type != MOTE_TYPE_KEEP)
        return mote_fail(error, MOTE_USAGE, "no such weight type: %d", (int)type);
    mote_status status = mote_weights_are_of_files(error);
    if (status != MOTE_OK) return status;
    if ((status = mote_gguf_writer_open(path, &w, error)) != MOTE_OK) return status;
    status = put_header(w, model, type, error);
    for (int id = 0; id < program->n_tensors && status == MOTE_OK; id++) {
        const mote_tensor *tensor = &program->tensors[id];
        if (tensor->role != MOTE_ROLE_WEIGHT) continue;
        status = mote_model_check_weight(model, (mote_tensor_id)id, error);
        if (status == MOTE_OK)
            status = write_weight(w, tensor, mote_model_stored(model, id), stored_type(model, id, type), error);
        if (status == MOTE_OK) write_zero_bias(w, &model->config, tensor);
    }
    if (status == MOTE_OK) mote_gguf_write_divisors(w, &model->config);
    if (status == MOTE_OK) return mote_gguf_finish(w, error);
    mote_gguf_abort(w);
    return status;
}

mote_status mote_model_file_bytes(const mote_model *model, uint64_t *bytes, mote_error *error) {
    mote_gguf_writer *w = NULL;
    mote_status status = mote_gguf_writer_open(NULL, &w, error);
    if (status != MOTE_OK) return status;
    status = put_header(w, model, MOTE_TYPE_KEEP, error);
    if (status == MOTE_OK) status = mote_gguf_measure(w, bytes, error);
    mote_gguf_abort(w);
    return status;
}
