/* Opening and writing models of any form. */
#include "formats/formats.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "formats/gguf.h"
#include "formats/huggingface.h"

static bool is_gguf(const mote_source *s) { return !s->folder && s->map.size >= 4 && !memcmp(s->map.bytes, "GGUF", 4); }
static mote_status open_gguf(mote_source *s, mote_model **model, mote_error *error) {
    return mote_gguf_open_model(&s->map, model, error);
}
static bool is_llama2c(const mote_source *s) { return !s->folder && mote_llama2c_matches(s->map.bytes, s->map.size); }
static mote_status open_llama2c(mote_source *s, mote_model **model, mote_error *error) {
    return mote_llama2c_open(&s->map, model, error);
}
static bool is_huggingface(const mote_source *s) { return s->folder && mote_huggingface_matches(s->path); }
static mote_status open_huggingface(mote_source *s, mote_model **model, mote_error *error) {
    return mote_huggingface_open(s->path, model, error);
}

/* Whether every value of a weight is one of the type's. */
static bool holds_exactly(const mote_model *model, int id, mote_type type, float *row, uint8_t *packed) {
    const mote_tensor *t = &model->program->tensors[id];
    const char *data = model->weight[id];
    size_t cols = (size_t)t->cols, row_bytes = mote_row_bytes(t->type, cols);
    for (int r = 0; r < t->rows; r++, data += row_bytes) {
        mote_type_get(t->type)->to_f32(data, row, cols);
        mote_type_get(type)->from_f32(row, packed, cols);
        for (size_t i = 0; i < cols; i++) {
            float back;
            mote_type_get(type)->to_f32(packed + i * mote_row_bytes(type, 1), &back, 1);
            if (memcmp(&back, &row[i], sizeof back) != 0) return false;
        }
    }
    return true;
}

/* Such a folder has one type: that of the matrices where the few vectors, which GGUF has in f32, lose nothing by it. */
static mote_status type_to_keep(const mote_model *model, mote_type *type, mote_error *error) {
    const mote_program *p = model->program;
    *type = mote_model_describe(model).type;
    if (*type != MOTE_TYPE_F16 && *type != MOTE_TYPE_BF16) *type = MOTE_TYPE_F32;
    if (*type == MOTE_TYPE_F32) return MOTE_OK;
    for (int id = 0; id < p->n_tensors; id++) {
        const mote_tensor *t = &p->tensors[id];
        if (t->role != MOTE_ROLE_WEIGHT || t->type == *type) continue;
        mote_status status = mote_model_check_weight(model, (mote_tensor_id)id, error);
        if (status != MOTE_OK) return status;
        size_t cols = (size_t)t->cols;
        float *row = mote_allocate(cols * sizeof *row);
        uint8_t *packed = mote_allocate(mote_row_bytes(*type, cols));
        bool there = row && packed, exact = there && holds_exactly(model, id, *type, row, packed);
        mote_release(row);
        mote_release(packed);
        if (!there) return mote_fail_memory(error, "a row of weights", cols * sizeof *row);
        if (!exact) *type = MOTE_TYPE_F32;
        if (!exact) break;
    }
    return MOTE_OK;
}

static mote_status save_huggingface(const mote_model *model, const char *path, mote_type type, mote_error *error) {
    mote_status status = type == MOTE_TYPE_KEEP ? type_to_keep(model, &type, error) : MOTE_OK;
    for (int id = 0; id < model->program->n_tensors && status == MOTE_OK; id++)
        if (model->program->tensors[id].role == MOTE_ROLE_WEIGHT)
            status = mote_model_check_weight(model, (mote_tensor_id)id, error);
    return status == MOTE_OK ? mote_huggingface_save(model, path, type, error) : status;
}

static const mote_format formats[] = {
    {"GGUF", ".gguf", is_gguf, open_gguf, mote_model_save},
    {"llama2.c", ".bin", is_llama2c, open_llama2c, mote_llama2c_save},
    {"Hugging Face", "", is_huggingface, open_huggingface, save_huggingface},
};
enum { N_FORMATS = sizeof formats / sizeof *formats };

/* ---- what is no model */

static bool is_text(const uint8_t *bytes, size_t size) {
    size_t n = size < 256 ? size : 256;
    for (size_t i = 0; i < n; i++)
        if (bytes[i] == 0x7f || (bytes[i] < ' ' && !strchr("\t\n\r\f", bytes[i])) || !bytes[i]) return false;
    return n > 0;
}

/* What the first bytes of files that are often taken for models say; NULL: nothing. */
static const char *looks_like(const uint8_t *bytes, size_t size) {
    static const struct {
        const char *bytes;
        size_t size, at;
        const char *what;
    } signs[] = {
        {"PK\3\4", 4, 0, "a ZIP archive, as PyTorch's .pt and .bin are"},
        {"\x80\x02", 2, 0, "a Python pickle, as PyTorch's .pt and .bin are"},
        {"tjgg", 4, 0, "a GGJT file, which is older than GGUF"},
        {"fmgg", 4, 0, "a GGMF file, which is older than GGUF"},
        {"lmgg", 4, 0, "a GGML file, which is older than GGUF"},
        {"TFL3", 4, 4, "a TensorFlow Lite model"},
        {"\x89HDF", 4, 0, "an HDF5 file"},
        {"\x1f\x8b", 2, 0, "a gzip archive"},
        {"{\"", 2, 8, "a safetensors file, which needs the folder it lies in, with config.json"},
        {"version https://git-lfs", 23, 0, "a Git LFS pointer, not the file it stands for"},
    };
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (size >= signs[i].at + signs[i].size && !memcmp(bytes + signs[i].at, signs[i].bytes, signs[i].size))
            return signs[i].what;
    if (mote_tokenizer_bin_matches(bytes, size)) return "llama2.c's tokenizer.bin, which goes with a model";
    return is_text(bytes, size) ? "a text" : NULL;
}

static mote_status fail_unknown(const mote_source *s, mote_error *error) {
    const char *like = s->folder ? NULL : looks_like(s->map.bytes, s->map.size);
    mote_status status =
        s->folder ? mote_fail(error, MOTE_BAD_FILE, "%s is a folder without config.json, and no model", s->path)
        : like    ? mote_fail(error, MOTE_BAD_FILE, "%s is no model that mote knows; it looks like %s", s->path, like)
                  : mote_fail(error, MOTE_BAD_FILE, "%s of %zu bytes is no model that mote knows", s->path,
                              s->map.size);
    return mote_hint(error, status, "a GGUF file, a .bin file of llama2.c or a Hugging Face folder is needed");
}

/* ---- opening */

mote_open_options mote_open_options_default(void) {
    return (mote_open_options){.struct_bytes = sizeof(mote_open_options), .lora_scale = 1};
}

static mote_status open_any(const char *path, mote_model **model, mote_error *error) {
    mote_source source = {.path = path, .folder = mote_is_folder(path)};
    mote_status status = source.folder ? MOTE_OK : mote_map_open(path, &source.map, error);
    if (status != MOTE_OK) return status;
    int i = 0;
    while (i < N_FORMATS && !formats[i].matches(&source)) i++;
    if (i == N_FORMATS) status = fail_unknown(&source, error);
    else status = formats[i].open(&source, model, error);
    if (status == MOTE_OK) (*model)->form = formats[i].name;
    mote_map_close(&source.map);
    return status;
}

static mote_status use_tokenizer(mote_model *model, const char *path, mote_error *error) {
    mote_tokenizer *tokenizer;
    mote_status status = mote_tokenizer_open(path, &tokenizer, error);
    if (status != MOTE_OK) return status;
    int vocab = mote_tokenizer_vocab(tokenizer);
    if (vocab != model->config.vocab) {
        mote_tokenizer_destroy(tokenizer);
        return mote_fail(error, MOTE_BAD_FILE, "%s has %d tokens, but the model has %d", path, vocab,
                         model->config.vocab);
    }
    mote_tokenizer_destroy(model->tokenizer);
    mote_release(model->tokenizer_problem);
    model->tokenizer = tokenizer;
    model->tokenizer_problem = NULL;
    return MOTE_OK;
}

mote_status mote_model_open_with(const char *path, const mote_open_options *options, mote_model **model,
                                 mote_error *error) {
    mote_open_options o = mote_open_options_default();
    if (model) *model = NULL;
    if (!path || !model) return mote_fail(error, MOTE_USAGE, "opening a model needs a path and a place for its handle");
    if (!mote_options_read(&o, sizeof o, options))
        return mote_fail(error, MOTE_USAGE, "open options have no struct_bytes: start from mote_open_options_default");
    if (o.n_lora < 0 || (o.n_lora > 0 && !o.lora))
        return mote_fail(error, MOTE_USAGE, "n_lora is %d but there are no adapters", o.n_lora);
    if (!isfinite(o.lora_scale))
        return mote_fail(error, MOTE_USAGE, "lora_scale is %g; it must be finite", (double)o.lora_scale);
    mote_model *opened = NULL;
    mote_status status = open_any(path, &opened, error);
    if (status == MOTE_OK && o.tokenizer) status = use_tokenizer(opened, o.tokenizer, error);
    for (int i = 0; i < o.n_lora && status == MOTE_OK; i++)
        status = mote_lora_merge(opened, o.lora[i], o.lora_scale, error);
    if (status == MOTE_OK) *model = opened;
    else mote_model_close(opened);
    return status;
}

mote_status mote_model_open(const char *path, mote_model **model, mote_error *error) {
    return mote_model_open_with(path, NULL, model, error);
}

/* ---- writing */

/* Where the ending of a path begins, ".gguf" for one; "" where its last name has none. A folder ends with a slash. What
 * follows the dot begins with a letter and goes on with letters, digits and _: "llama-3.2-1B" has no ending. */
static const char *ending_of(const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    if (!dot || dot == name || !isalpha((unsigned char)dot[1])) return "";
    for (const char *at = dot + 1; *at; at++)
        if (!isalnum((unsigned char)*at) && *at != '_') return "";
    return dot;
}

static const mote_format *format_of(const char *path, mote_error *error) {
    const char *ending = ending_of(path);
    char known[160] = "";
    for (int i = 0; i < N_FORMATS; i++)
        if (!strcasecmp(ending, formats[i].ending)) return &formats[i];
    for (int i = 0; i < N_FORMATS; i++) {
        const size_t n = strlen(known);
        const bool folder = !*formats[i].ending;
        const char *between = !i ? "" : i + 1 < N_FORMATS ? ", " : " and ";
        snprintf(known + n, sizeof known - n, "%s%s (%s)", between,
                 folder ? "none or a / at the end" : formats[i].ending,
                 folder ? "a Hugging Face folder" : formats[i].name);
    }
    mote_fail(error, MOTE_USAGE, "%s: no model is written in a form that ends with %s", path, ending);
    mote_hint(error, MOTE_USAGE, "the endings are %s", known);
    return NULL;
}

mote_status mote_model_form_of(const char *path, const char **form, mote_error *error) {
    if (form) *form = NULL;
    if (!path || !form)
        return mote_fail(error, MOTE_USAGE, "the form of a path needs the path and a place for its name");
    const mote_format *format = format_of(path, error);
    if (format) *form = format->name;
    return format ? MOTE_OK : MOTE_USAGE;
}

mote_status mote_model_export(const mote_model *model, const char *path, mote_type type, mote_error *error) {
    if (!model || !path) return mote_fail(error, MOTE_USAGE, "writing a model needs a model and a path");
    const mote_format *format = format_of(path, error);
    return format ? format->save(model, path, type, error) : MOTE_USAGE;
}
