/* Opens a model's folder: config.json says the shape, the safetensors have the weights, generation_config.json and the
 * tokenizer's files are optional. The files' mappings go over to the model. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "formats/gguf.h"
#include "formats/huggingface.h"

enum { MOST_NAME_BYTES = 255 };

mote_status mote_huggingface_path(const char *folder, const char *name, char **path, mote_error *error) {
    mote_buffer buffer = {0};
    size_t n = strlen(folder);
    mote_buffer_print(&buffer, "%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/", name);
    return mote_buffer_finish(&buffer, path, error);
}

bool mote_huggingface_matches(const char *path) {
    struct stat about;
    char *config = NULL;
    if (stat(path, &about) != 0 || !S_ISDIR(about.st_mode)) return false;
    bool there = mote_huggingface_path(path, "config.json", &config, NULL) == MOTE_OK && stat(config, &about) == 0 &&
                 S_ISREG(about.st_mode);
    mote_release(config);
    return there;
}

/* The model's config from its description and, where that does not say it, from whether there is a head. */
static mote_status allocate(const char *folder, const mote_safetensors_set *set, mote_huggingface_shape *shape,
                            mote_model **model, mote_error *error) {
    mote_error problem = {0};
    if (!shape->tied_said) shape->config.tied = !mote_safetensors_set_find(set, "lm_head.weight", NULL);
    mote_status status = mote_model_allocate(&shape->config, false, model, &problem);
    if (status == MOTE_MEMORY) {
        if (error) *error = problem;
        return status;
    }
    if (status != MOTE_OK)
        return mote_fail(error, MOTE_BAD_FILE, "%s/config.json contradicts itself: %.400s", folder, problem.message);
    return status;
}

static mote_status read_shape(const char *folder, mote_huggingface_shape *shape, mote_generation_hints *hints,
                              mote_error *error) {
    char *path = NULL;
    mote_json_fields fields = {0};
    mote_status status = mote_huggingface_path(folder, "config.json", &path, error);
    if (status == MOTE_OK) status = mote_json_fields_open(path, &fields, error);
    if (status == MOTE_OK) status = mote_huggingface_read_shape(&fields, shape, error);
    if (status == MOTE_OK) mote_huggingface_read_hints(&fields, hints);
    if (status == MOTE_OK) status = fields.status;
    mote_json_fields_close(&fields);
    mote_release(path);
    return status;
}

static mote_status read_generation(const char *folder, mote_generation_hints *hints, mote_error *error) {
    char *path = NULL;
    struct stat about;
    mote_json_fields fields = {0};
    mote_status status = mote_huggingface_path(folder, "generation_config.json", &path, error);
    if (status == MOTE_OK && stat(path, &about) == 0) {
        status = mote_json_fields_open(path, &fields, error);
        if (status == MOTE_OK) mote_huggingface_read_hints(&fields, hints);
        if (status == MOTE_OK) status = fields.status;
    }
    mote_json_fields_close(&fields);
    mote_release(path);
    return status;
}

/* The mappings of the set become the model's. */
static mote_status take_maps(mote_safetensors_set *set, mote_model *model, mote_error *error) {
    if (set->n_files > 1) {
        model->shards = mote_allocate_zero(set->n_files - 1, sizeof *model->shards);
        if (!model->shards) return mote_fail_memory(error, "a list of shards", set->n_files * sizeof *model->shards);
    }
    for (size_t i = 0; i < set->n_files; i++) {
        *(i == 0 ? &model->map : &model->shards[model->n_shards++]) = set->files[i].map;
        set->files[i].map = (mote_map){0};
        set->files[i].owns_map = false;
    }
    return MOTE_OK;
}

/* The folder's own name stands for the model's. */
static mote_status take_name(const char *folder, mote_model *model, mote_error *error) {
    size_t end = strlen(folder);
    while (end > 1 && folder[end - 1] == '/') end--;
    size_t begin = end;
    while (begin > 0 && folder[begin - 1] != '/') begin--;
    size_t n = end - begin < MOST_NAME_BYTES ? end - begin : MOST_NAME_BYTES;
    model->name = mote_copy_bytes(folder + begin, n);
    return model->name ? MOTE_OK : mote_fail_memory(error, "a name", n);
}

mote_status mote_huggingface_open(const char *folder, mote_model **model, mote_error *error) {
    mote_huggingface_shape shape;
    mote_safetensors_set set = {0};
    mote_generation_hints hints = MOTE_NO_HINTS;
    mote_model *made = NULL;
    *model = NULL;
    mote_status status = mote_weights_are_of_files(error);
    if (status == MOTE_OK) status = read_shape(folder, &shape, &hints, error);
    if (status == MOTE_OK) status = read_generation(folder, &hints, error);
    if (status == MOTE_OK) status = mote_safetensors_set_open(folder, &set, error);
    if (status == MOTE_OK) status = allocate(folder, &set, &shape, &made, error);
    if (status == MOTE_OK) status = mote_huggingface_bind(&set, &shape, folder, made, error);
    if (status == MOTE_OK) status = take_maps(&set, made, error);
    if (status == MOTE_OK) status = take_name(folder, made, error);
    if (status == MOTE_OK) {
        made->hints = hints;
        status = mote_huggingface_read_tokenizer(folder, made, error);
    }
    if (status == MOTE_OK) *model = made;
    else mote_model_close(made);
    mote_safetensors_set_close(&set);
    return status;
}
