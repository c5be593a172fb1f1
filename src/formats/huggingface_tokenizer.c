/* The text side of a model's folder: tokenizer.json, tokenizer_config.json and the chat template, which is kept as text
 * and never run. A tokenizer that mote cannot read must not keep the weights from being used: the model says why. What
 * the model has more rows than tokens for is filled with unused ones, as GGUF wants it. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "formats/gguf.h"
#include "formats/huggingface.h"
#include "formats/tokenizer_json.h"

enum { MOST_TEMPLATE_BYTES = 1 << 20, PAD_BYTES = 24 };

/* A file that may not be there: then status is MOTE_OK and map->bytes NULL. */
static mote_status open_optional(const char *folder, const char *name, mote_map *map, mote_error *error) {
    char *path = NULL;
    struct stat about;
    *map = (mote_map){0};
    mote_status status = mote_huggingface_path(folder, name, &path, error);
    if (status == MOTE_OK && stat(path, &about) == 0) status = mote_map_open(path, map, error);
    mote_release(path);
    return status;
}

static mote_status keep_template(mote_model *model, const char *path, const char *bytes, size_t size,
                                 mote_error *error) {
    if (size > MOST_TEMPLATE_BYTES)
        return mote_fail(error, MOTE_BAD_FILE, "%s: a chat template of %zu bytes; up to %d are read", path, size,
                         MOST_TEMPLATE_BYTES);
    for (size_t at = 0, n; at < size; at += n)
        if ((n = (size_t)mote_utf8_length(bytes + at, size - at)) == 0 || bytes[at] == '\0')
            return mote_fail(error, MOTE_BAD_FILE, "%s: its chat template is not UTF-8 text (byte %zu)", path, at);
    model->chat_template = mote_copy_bytes(bytes, size);
    return model->chat_template ? MOTE_OK : mote_fail_memory(error, "a chat template", size);
}

/* The same tokenizer with tokens for every row of the embedding, and the end token that the model's authors name. */
static mote_status fit(mote_model *model, const char *path, mote_error *error) {
    mote_arena arena = {0};
    mote_tokenizer_parts parts;
    mote_tokenizer *fitted = NULL;
    size_t vocab = (size_t)model->config.vocab;
    int32_t end = model->hints.n_end > 0 ? model->hints.end[0] : -1;
    mote_status status = mote_tokenizer_to_parts(model->tokenizer, &arena, &parts, error);
    if (status != MOTE_OK) goto done;
    size_t n = parts.n_tokens;
    if (end >= 0 && (size_t)end < n) parts.end = end;
    if (n == vocab && parts.end == mote_tokenizer_end(model->tokenizer)) goto done;
    mote_string *tokens = mote_arena_allocate(&arena, vocab * sizeof *tokens);
    int32_t *types = mote_arena_allocate(&arena, vocab * sizeof *types);
    float *scores = mote_arena_allocate(&arena, vocab * sizeof *scores);
    uint8_t *added = mote_arena_allocate(&arena, vocab);
    char *names = mote_arena_allocate(&arena, (vocab - n) * PAD_BYTES + 1);
    if (!tokens || !types || !scores || !added || !names) {
        status = mote_fail_memory(error, "the tokens that fill a vocabulary up", vocab * sizeof *tokens);
        goto done;
    }
    memcpy(tokens, parts.tokens, n * sizeof *tokens);
    for (size_t i = 0; i < vocab; i++) {
        types[i] = i >= n ? MOTE_TOKEN_UNUSED : parts.types ? parts.types[i] : MOTE_TOKEN_NORMAL;
        if (i < n && parts.scores) scores[i] = parts.scores[i];
        if (i < n && parts.added) added[i] = parts.added[i];
        if (i < n) continue;
        char *name = names + (i - n) * PAD_BYTES;
        tokens[i] = (mote_string){name, (size_t)snprintf(name, PAD_BYTES, "[PAD%zu]", i)};
    }
    parts.tokens = tokens;
    parts.types = types;
    if (parts.scores) parts.scores = scores;
    if (parts.added) parts.added = added;
    parts.n_tokens = vocab;
    status = mote_tokenizer_from_parts(&parts, path, &fitted, error);
    if (status != MOTE_OK) goto done;
    mote_tokenizer_destroy(model->tokenizer);
    model->tokenizer = fitted;
done:
    mote_arena_deinit(&arena);
    return status;
}

static mote_status read_json(const mote_map *map, const mote_tokenizer_config *config, mote_model *model,
                             mote_error *error) {
    mote_status status =
        mote_tokenizer_json_read_with(map->bytes, map->size, map->path, config, &model->tokenizer, error);
    if (status != MOTE_OK) return status;
    int n = mote_tokenizer_vocab(model->tokenizer);
    if (n > model->config.vocab)
        return mote_fail(error, MOTE_BAD_FILE, "%s: a tokenizer of %d tokens and an embedding of %d rows", map->path, n,
                         model->config.vocab);
    return fit(model, map->path, error);
}

static mote_status read_text(const mote_map *json, const mote_map *config_map, const mote_map *jinja,
                             mote_model *model, mote_error *error) {
    mote_arena arena = {0};
    mote_status status = MOTE_OK;
    mote_tokenizer_config config = mote_tokenizer_config_none();
    if (config_map->bytes)
        status =
            mote_tokenizer_config_read(config_map->bytes, config_map->size, config_map->path, &arena, &config, error);
    if (status == MOTE_OK && jinja->bytes)
        status = keep_template(model, jinja->path, (const char *)jinja->bytes, jinja->size, error);
    else if (status == MOTE_OK && config.chat_template.size)
        status = keep_template(model, config_map->path, config.chat_template.bytes, config.chat_template.size, error);
    if (status == MOTE_OK && json->bytes) status = read_json(json, config_map->bytes ? &config : NULL, model, error);
    mote_arena_deinit(&arena);
    return status;
}

mote_status mote_huggingface_read_tokenizer(const char *folder, mote_model *model, mote_error *error) {
    mote_map json = {0}, config = {0}, jinja = {0};
    mote_error problem = {0};
    mote_status status = open_optional(folder, "tokenizer_config.json", &config, error);
    if (status == MOTE_OK) status = open_optional(folder, "chat_template.jinja", &jinja, error);
    if (status == MOTE_OK) status = open_optional(folder, "tokenizer.json", &json, error);
    if (status != MOTE_OK) goto done;
    status = read_text(&json, &config, &jinja, model, &problem);
    if (status == MOTE_BAD_FILE) {
        mote_tokenizer_destroy(model->tokenizer);
        model->tokenizer = NULL;
        model->tokenizer_problem = mote_copy_string(problem.message);
        status = model->tokenizer_problem ? MOTE_OK : mote_fail_memory(error, "a message", sizeof problem.message);
    } else if (status != MOTE_OK && error) {
        *error = problem;
    }
done:
    mote_map_close(&json);
    mote_map_close(&config);
    mote_map_close(&jinja);
    return status;
}

mote_status mote_huggingface_put_tokenizer(const mote_model *model, mote_buffer *json, mote_buffer *config,
                                           mote_error *error) {
    if (!model->tokenizer) return MOTE_OK;
    mote_status status = mote_tokenizer_json_write(model->tokenizer, json, error);
    if (status != MOTE_OK) return status;
    return mote_tokenizer_config_write(model->tokenizer, mote_chat_template_of(model), model->config.context, config,
                                       error);
}
