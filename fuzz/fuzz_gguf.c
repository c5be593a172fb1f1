/* GGUF: any bytes end in a status; what parses can be shown, read by type and walked to its last byte; a model built
 * from it has all its weights inside the file, and its tokenizer encodes and decodes. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "formats/gguf.h"
#include "models/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) __builtin_trap();
}

static bool inside(const mote_gguf *file, const void *at, size_t n) {
    const uint8_t *begin = at;
    return begin >= file->map.bytes && begin <= file->map.bytes + file->map.size &&
           n <= file->map.size - (size_t)(begin - file->map.bytes);
}

static void check_entry(const mote_gguf *file, const mote_gguf_entry *entry) {
    mote_status status = MOTE_OK;
    mote_error error;
    int64_t integer;
    double number;
    bool flag;
    mote_string string;
    char key[256];
    require(inside(file, entry->key.bytes, entry->key.size) && inside(file, entry->data, entry->data_bytes));
    if (entry->kind == MOTE_GGUF_ARRAY && entry->element == MOTE_GGUF_STRING) {
        const uint8_t *at = entry->data;
        for (uint64_t i = 0; i < entry->count; i++) {
            string = mote_gguf_next_string(&at);
            require(inside(file, string.bytes, string.size));
        }
        require(at == entry->data + entry->data_bytes);
    }
    if (entry->key.size >= sizeof key || memchr(entry->key.bytes, 0, entry->key.size)) return;
    memcpy(key, entry->key.bytes, entry->key.size);
    key[entry->key.size] = '\0';
    require(mote_gguf_find(file, key) == entry);
    if (mote_gguf_integer(file, key, -5, 1000, &integer, &status, &error)) require(integer >= -5 && integer <= 1000);
    if (mote_gguf_number(file, key, -5, 1000, &number, &status, &error)) require(number >= -5 && number <= 1000);
    if (mote_gguf_bool(file, key, &flag, &status, &error)) require(entry->kind == MOTE_GGUF_BOOL);
    if (mote_gguf_string(file, key, &string, &status, &error)) require(entry->kind == MOTE_GGUF_STRING);
}

static void check_text(const mote_tokenizer *tokenizer, const uint8_t *data, size_t size) {
    int32_t *tokens;
    size_t n;
    char *text;
    if (!tokenizer ||
        mote_tokenizer_encode(tokenizer, (const char *)data, size < 64 ? size : 64, &tokens, &n, NULL) != MOTE_OK)
        return;
    for (size_t i = 0; i < n; i++) require(tokens[i] >= 0 && tokens[i] < mote_tokenizer_vocab(tokenizer));
    require(mote_tokenizer_decode(tokenizer, tokens, n, &text, &n, NULL) == MOTE_OK);
    mote_free(text);
    mote_free(tokens);
}

static void check_model(mote_gguf *file, const uint8_t *data, size_t size) {
    mote_model *model;
    if (mote_gguf_build_model(file, &model, NULL) != MOTE_OK) return;
    for (int id = 0; id < model->program->n_tensors; id++) {
        const mote_tensor *tensor = &model->program->tensors[id];
        if (tensor->role != MOTE_ROLE_WEIGHT) continue;
        if (model->stored[id].rows) {
            const float *values = model->weight[id]; /* made from blocks: touched to its end, and never NaN */
            for (size_t i = 0; i < (size_t)tensor->rows * (size_t)tensor->cols; i++) require(!isnan(values[i]));
        } else
            require(inside(file, model->weight[id],
                           (size_t)tensor->rows * mote_row_bytes(tensor->type, (size_t)tensor->cols)));
    }
    check_text(mote_model_tokenizer(model), data, size);
    mote_model_close(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mote_gguf file;
    mote_error error = {0};
    mote_status status = mote_gguf_parse(data, size, "input", &file, &error);
    require(status == MOTE_OK || status == MOTE_BAD_FILE || status == MOTE_MEMORY);
    require(status == MOTE_OK || (error.status == status && error.message[0]));
    if (status == MOTE_OK) {
        for (size_t i = 0; i < file.n_entries; i++) check_entry(&file, &file.entries[i]);
        for (size_t i = 0; i < file.n_tensors; i++) require(inside(&file, file.tensors[i].data, file.tensors[i].bytes));
        for (int json = 0; json < 2; json++) {
            char *text;
            if (mote_gguf_show(&file, json, &text, NULL) == MOTE_OK) mote_free(text);
        }
        mote_tokenizer *tokenizer;
        if (mote_gguf_get_tokenizer(&file, &tokenizer, NULL) == MOTE_OK) {
            check_text(tokenizer, data, size);
            mote_tokenizer_destroy(tokenizer);
        }
        check_model(&file, data, size);
    }
    mote_gguf_close(&file);
    return 0;
}
