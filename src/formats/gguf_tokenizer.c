/* A tokenizer's keys in GGUF, both ways. Ids and counts are checked here, what the strings mean in text/. */
#include <string.h>

#include "formats/gguf.h"
#include "models/model.h"

/* How GGUF says that there is none; readers of others refuse a file without the key. */
static const char *const no_tokenizer[] = {"none", "no_vocab"};

static bool is_no_tokenizer(mote_string model) {
    for (size_t i = 0; i < sizeof no_tokenizer / sizeof *no_tokenizer; i++)
        if (model.size == strlen(no_tokenizer[i]) && memcmp(model.bytes, no_tokenizer[i], model.size) == 0) return true;
    return false;
}

/* How programs that run chats write turns as text: ChatML's usual template in Jinja. Here it is never run. */
static const char chat_template[] =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
    "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

mote_status mote_gguf_put_tokenizer(mote_gguf_writer *w, const mote_tokenizer *tokenizer, mote_error *error) {
    if (!tokenizer) {
        mote_gguf_put_string(w, "tokenizer.ggml.model", no_tokenizer[0], strlen(no_tokenizer[0]));
        return MOTE_OK;
    }
    mote_arena arena = {0};
    mote_tokenizer_parts parts;
    mote_status status = mote_tokenizer_to_parts(tokenizer, &arena, &parts, error);
    if (status == MOTE_OK) {
        mote_gguf_put_string(w, "tokenizer.ggml.model", parts.model.bytes, parts.model.size);
        mote_gguf_put_string(w, "tokenizer.ggml.pre", parts.pre.bytes, parts.pre.size);
        mote_gguf_put_strings(w, "tokenizer.ggml.tokens", parts.tokens, parts.n_tokens);
        if (parts.types) mote_gguf_put_i32s(w, "tokenizer.ggml.token_type", parts.types, parts.n_tokens);
        mote_gguf_put_strings(w, "tokenizer.ggml.merges", parts.merges, parts.n_merges);
        if (parts.end >= 0) { /* documents begin where the one before ended: one token is both */
            mote_gguf_put_u32(w, "tokenizer.ggml.bos_token_id", (uint32_t)parts.end);
            mote_gguf_put_u32(w, "tokenizer.ggml.eos_token_id", (uint32_t)parts.end);
        }
        if (parts.unknown >= 0) mote_gguf_put_u32(w, "tokenizer.ggml.unknown_token_id", (uint32_t)parts.unknown);
        int32_t turn_end = mote_tokenizer_control(tokenizer, MOTE_TURN_END);
        if (turn_end >= 0 && mote_tokenizer_control(tokenizer, MOTE_TURN_START) >= 0) {
            mote_gguf_put_u32(w, "tokenizer.ggml.eot_token_id", (uint32_t)turn_end);
            mote_gguf_put_string(w, "tokenizer.chat_template", chat_template, sizeof chat_template - 1);
        }
        mote_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", false);
        mote_gguf_put_bool(w, "tokenizer.ggml.add_eos_token", false);
        mote_gguf_put_string(w, "mote.tokenizer.kind", parts.kind.bytes, parts.kind.size);
    }
    mote_arena_deinit(&arena);
    return status;
}

/* *strings (to be released) points into the file; NULL and 0 where there is no such key. */
static mote_status read_strings(const mote_gguf *file, const char *key, mote_string **strings, size_t *n,
                                mote_error *error) {
    mote_status status = MOTE_OK;
    *strings = NULL;
    *n = 0;
    const mote_gguf_entry *entry = mote_gguf_array(file, key, MOTE_GGUF_STRING, &status, error);
    if (!entry) return status;
    if (entry->count > MOTE_MOST_VOCAB)
        return mote_fail(error, MOTE_BAD_FILE, "%s: key '%s' has %llu strings; up to %d are possible", file->name, key,
                         (unsigned long long)entry->count, MOTE_MOST_VOCAB);
    *strings = mote_allocate((size_t)entry->count * sizeof **strings);
    if (!*strings) return mote_fail_memory(error, key, (size_t)entry->count * sizeof **strings);
    *n = (size_t)entry->count;
    const uint8_t *at = entry->data;
    for (size_t i = 0; i < *n; i++) (*strings)[i] = mote_gguf_next_string(&at);
    return MOTE_OK;
}

static mote_status read_types(const mote_gguf *file, size_t n_tokens, int32_t **types, mote_error *error) {
    static const char key[] = "tokenizer.ggml.token_type";
    mote_status status = MOTE_OK;
    const mote_gguf_entry *entry = mote_gguf_find(file, key);
    if (!entry) return MOTE_OK;
    if (entry->kind != MOTE_GGUF_ARRAY || entry->element != MOTE_GGUF_U32)
        entry = mote_gguf_array(file, key, MOTE_GGUF_I32, &status, error);
    if (!entry) return status;
    if (entry->count != n_tokens)
        return mote_fail(error, MOTE_BAD_FILE, "%s: %llu token types for %zu tokens", file->name,
                         (unsigned long long)entry->count, n_tokens);
    *types = mote_allocate(n_tokens * sizeof **types);
    if (!*types) return mote_fail_memory(error, key, n_tokens * sizeof **types);
    for (size_t i = 0; i < n_tokens; i++) (*types)[i] = (int32_t)(uint32_t)mote_gguf_load(entry->data + 4 * i, 4);
    return MOTE_OK;
}

static int32_t read_id(const mote_gguf *file, const char *key, size_t n_tokens, mote_status *status,
                       mote_error *error) {
    int64_t id = -1;
    if (*status == MOTE_OK) mote_gguf_integer(file, key, 0, (int64_t)n_tokens - 1, &id, status, error);
    return (int32_t)id;
}

mote_status mote_gguf_get_tokenizer(const mote_gguf *file, mote_tokenizer **tokenizer, mote_error *error) {
    *tokenizer = NULL;
    mote_status status = MOTE_OK;
    mote_tokenizer_parts parts = mote_tokenizer_parts_none();
    mote_string *tokens = NULL, *merges = NULL;
    int32_t *types = NULL;
    if (!mote_gguf_string(file, "tokenizer.ggml.model", &parts.model, &status, error)) return status;
    if (is_no_tokenizer(parts.model)) return MOTE_OK;
    mote_gguf_string(file, "mote.tokenizer.kind", &parts.kind, &status, error);
    if (status == MOTE_OK) mote_gguf_string(file, "tokenizer.ggml.pre", &parts.pre, &status, error);
    if (status != MOTE_OK) goto done;
    if ((status = read_strings(file, "tokenizer.ggml.tokens", &tokens, &parts.n_tokens, error)) != MOTE_OK) goto done;
    if (parts.n_tokens == 0) {
        status = mote_fail(error, MOTE_BAD_FILE, "%s: names a tokenizer and has no tokens for it", file->name);
        goto done;
    }
    if ((status = read_strings(file, "tokenizer.ggml.merges", &merges, &parts.n_merges, error)) != MOTE_OK) goto done;
    if ((status = read_types(file, parts.n_tokens, &types, error)) != MOTE_OK) goto done;
    parts.end = read_id(file, "tokenizer.ggml.eos_token_id", parts.n_tokens, &status, error);
    parts.unknown = read_id(file, "tokenizer.ggml.unknown_token_id", parts.n_tokens, &status, error);
    if (status != MOTE_OK) goto done;
    parts.tokens = tokens;
    parts.merges = merges;
    parts.types = types;
    status = mote_tokenizer_from_parts(&parts, file->name, tokenizer, error);
done:
    mote_release(tokens);
    mote_release(merges);
    mote_release(types);
    return status;
}
