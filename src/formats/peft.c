/* LoRA adapters as PEFT saves them: base_model.model.<module>.lora_A.weight [rank, in] and .lora_B.weight [out, rank],
 * for embeddings .lora_embedding_A [rank, tokens] and .lora_embedding_B [width, rank]. Modules have transformers'
 * names; the table of huggingface_names.c says which weight each is. */
#include <stdio.h>
#include <string.h>

#include "formats/huggingface.h"
#include "formats/lora.h"

#define PREFIX "base_model.model."
#define CONFIG_NAME "adapter_config.json"
#define WEIGHTS_NAME "adapter_model.safetensors"
enum { NAME_BYTES = MOTE_NAME_BYTES + 64 };

typedef struct {
    mote_model *model;
    mote_peft_config config;
    mote_safetensors file;
    mote_lora_merger merger;
    bool *used; /* by tensor of the file */
    float scale;
    mote_error *error;
} merger;

/* data NULL: there is no such tensor. */
static mote_status find_matrix(merger *m, const char *module, const char *suffix, char name[NAME_BYTES],
                               mote_lora_matrix *matrix) {
    snprintf(name, NAME_BYTES, PREFIX "%s.%s", module, suffix);
    *matrix = (mote_lora_matrix){.name = name};
    const mote_safetensor *t = mote_safetensors_find(&m->file, name);
    if (!t) return MOTE_OK;
    switch (t->dtype) {
    case MOTE_SAFETENSORS_F32: matrix->type = MOTE_TYPE_F32; break;
    case MOTE_SAFETENSORS_F16: matrix->type = MOTE_TYPE_F16; break;
    case MOTE_SAFETENSORS_BF16: matrix->type = MOTE_TYPE_BF16; break;
    default:
        return mote_fail(m->error, MOTE_BAD_FILE, "%s: tensor '%s' is of type %s; F32, F16 and BF16 are merged",
                         m->file.name, name, mote_safetensors_dtype_name(t->dtype));
    }
    if (t->n_dims != 2)
        return mote_fail(m->error, MOTE_BAD_FILE, "%s: tensor '%s' has %d dimensions, not 2", m->file.name, name,
                         t->n_dims);
    matrix->data = t->data;
    matrix->rows = t->dims[0];
    matrix->cols = t->dims[1];
    m->used[t - m->file.tensors] = true;
    return MOTE_OK;
}

static mote_status merge_pair(merger *m, mote_tensor_id id, const char *module, mote_huggingface_change change,
                              bool embedding, bool *found) {
    static const char *const suffixes[2][2] = {{"lora_A.weight", "lora_B.weight"},
                                               {"lora_embedding_A", "lora_embedding_B"}};
    char names[2][NAME_BYTES];
    mote_lora_matrix a, b;
    mote_status status = find_matrix(m, module, suffixes[embedding][0], names[0], &a);
    if (status == MOTE_OK) status = find_matrix(m, module, suffixes[embedding][1], names[1], &b);
    if (status != MOTE_OK || (!a.data && !b.data)) return status;
    *found = true;
    if (!a.data || !b.data)
        return mote_fail(m->error, MOTE_BAD_FILE, "%s: tensor '%s' is there without '%s'", m->file.name,
                         names[a.data ? 0 : 1], names[a.data ? 1 : 0]);
    double rank, scale;
    if (!mote_peft_config_module(&m->config, module, &rank, &scale))
        return mote_fail(m->error, MOTE_BAD_FILE, "%s: tensor '%s' is of a module that target_modules does not name",
                         m->file.name, names[0]);
    if ((double)a.rows != rank)
        return mote_fail(m->error, MOTE_BAD_FILE, "%s: tensor '%s' is of rank %llu, but %s says %.0f", m->file.name,
                         names[0], (unsigned long long)a.rows, CONFIG_NAME, rank);
    mote_lora_pair pair = {.up = embedding ? a : b,
                           .down = embedding ? b : a,
                           .up_transposed = embedding,
                           .down_transposed = embedding,
                           .halves = change == MOTE_CHANGE_PAIRS,
                           .head_dim = m->model->config.head_dim,
                           .scale = (float)(scale * (double)m->scale)};
    return mote_lora_add(&m->merger, id, &pair, m->error);
}

static mote_status merge_weight(merger *m, mote_tensor_id id, bool *found) {
    static const char suffix[] = ".weight";
    char module[MOTE_NAME_BYTES];
    mote_huggingface_change change;
    if (!mote_huggingface_name(m->model->program, &m->model->config, id, module, &change)) return MOTE_OK;
    size_t n = strlen(module), end = sizeof suffix - 1;
    if (n <= end || strcmp(module + n - end, suffix) != 0) return MOTE_OK;
    module[n - end] = '\0';
    mote_status status = merge_pair(m, id, module, change, false, found);
    return status == MOTE_OK ? merge_pair(m, id, module, change, true, found) : status;
}

static mote_status refuse_rest(const merger *m) {
    for (size_t i = 0; i < m->file.n_tensors; i++) {
        mote_string name = m->file.tensors[i].name;
        if (m->used[i]) continue;
        const char *what = "has no place in this model";
        if (memmem(name.bytes, name.size, "lora_magnitude", 14)) what = "is of DoRA, which mote does not merge";
        else if (memmem(name.bytes, name.size, "lora_B.bias", 11)) what = "is a bias, which mote does not merge";
        else if (!memmem(name.bytes, name.size, ".lora_", 6)) what = "is no part of a LoRA adapter";
        return mote_fail(m->error, MOTE_BAD_FILE, "%s: tensor '%.*s' %s", m->file.name,
                         name.size < 160 ? (int)name.size : 160, name.bytes, what);
    }
    return MOTE_OK;
}

mote_status mote_peft_merge_bytes(mote_model *model, const mote_map *config, const mote_map *weights, float scale,
                                  mote_error *error) {
    merger m = {.model = model, .scale = scale, .merger = {.model = model}, .error = error};
    bool found = false;
    mote_status status = mote_peft_config_parse(config->bytes, config->size, config->path, &m.config, error);
    if (status == MOTE_OK)
        status = mote_safetensors_parse(weights->bytes, weights->size, weights->path, &m.file, error);
    if (status != MOTE_OK) goto done;
    m.used = mote_allocate_zero(m.file.n_tensors + 1, sizeof *m.used);
    if (!m.used) status = mote_fail_memory(error, "a list of tensors", m.file.n_tensors);
    if (status == MOTE_OK) status = mote_lora_begin(&m.merger, model, m.file.name, error);
    for (int id = 0; id < model->program->n_tensors && status == MOTE_OK; id++)
        if (model->program->tensors[id].role == MOTE_ROLE_WEIGHT) status = merge_weight(&m, (mote_tensor_id)id, &found);
    if (status == MOTE_OK) status = refuse_rest(&m);
    if (status == MOTE_OK && !found)
        status = mote_fail(error, MOTE_BAD_FILE, "%s: an adapter without tensors", weights->path);
done:
    mote_lora_end(&m.merger, status);
    mote_release(m.used);
    mote_safetensors_close(&m.file);
    mote_peft_config_close(&m.config);
    return status;
}

static mote_status open_part(const char *folder, const char *name, mote_map *map, mote_error *error) {
    char *path = NULL;
    mote_status status = mote_huggingface_path(folder, name, &path, error);
    if (status == MOTE_OK) status = mote_map_open(path, map, error);
    mote_release(path);
    return status;
}

mote_status mote_peft_merge(mote_model *model, const char *folder, float scale, mote_error *error) {
    mote_map config = {0}, weights = {0};
    mote_status status = open_part(folder, CONFIG_NAME, &config, error);
    if (status != MOTE_OK && error && !*error->hint)
        mote_hint(error, status, "an adapter is a PEFT folder with " CONFIG_NAME ", or a GGUF file");
    if (status == MOTE_OK) status = open_part(folder, WEIGHTS_NAME, &weights, error);
    if (status == MOTE_OK) status = mote_peft_merge_bytes(model, &config, &weights, scale, error);
    mote_map_close(&config);
    mote_map_close(&weights);
    return status;
}
