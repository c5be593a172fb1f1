/* A tokenizer's keys in GGUF, both ways. Ids and counts are checked here, what the strings mean in text/. */
#include <string.h>

#include "formats/gguf.h"
#include "models/model.h"

/* How GGUF says that there is none; readers of others refuse a file without the key. */
static const char *const no_tokenizer[] = {"none", "no_vocab"};

static bool is_no_tokenizer(mote_string model) {
    for (size_t i = 0; i < sizeof no_tokenizer / sizeof *no_tokenizer; i++)
        if (mote_string_is(model, no_tokenizer[i])) return true;
    return false;
}

/* How programs that run chats write turns as text: ChatML's usual template in Jinja. Here it is never run. */
static const char chat_template[] =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
    "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

static const char *const special_keys[MOTE_N_SPECIALS] = {
#define X(id, name) "tokenizer.ggml." name "_token_id",
    MOTE_SPECIAL_LIST(X)
#undef X
};

/* Of mote's own: documents begin where the one before ended, so one token is both. */
static void put_own(mote_gguf_writer *w, const mote_tokenizer *tokenizer, const mote_tokenizer_parts *parts) {
    if (parts->end >= 0 && parts->special[MOTE_SPECIAL_BEGIN] < 0)
        mote_gguf_put_u32(w, special_keys[MOTE_SPECIAL_BEGIN], (uint32_t)parts->end);
    int32_t turn_end = mote_tokenizer_control(tokenizer, MOTE_TURN_END);
    if (turn_end >= 0 && mote_tokenizer_control(tokenizer, MOTE_TURN_START) >= 0 &&
        parts->special[MOTE_SPECIAL_TURN_END] < 0)
        mote_gguf_put_u32(w, special_keys[MOTE_SPECIAL_TURN_END], (uint32_t)turn_end);
    mote_gguf_put_string(w, "mote.tokenizer.kind", parts->kind.bytes, parts->kind.size);
}

/* Of others: the flags of their models, and the steps where those do not say all. */
static mote_status put_staged(mote_gguf_writer *w, const mote_tokenizer_parts *parts, mote_arena *arena,
                              mote_error *error) {
    bool spaces = !parts->pipeline->byte_level;
    if (spaces) mote_gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", parts->add_space_prefix);
    if (parts->remove_extra_whitespaces) mote_gguf_put_bool(w, "tokenizer.ggml.remove_extra_whitespaces", true);
    if (parts->treat_whitespace_as_suffix) mote_gguf_put_bool(w, "tokenizer.ggml.treat_whitespace_as_suffix", true);
    if (!parts->escape_whitespaces) mote_gguf_put_bool(w, "tokenizer.ggml.escape_whitespaces", false);
    if (parts->charsmap.size)
        mote_gguf_put_u8s(w, "tokenizer.ggml.precompiled_charsmap", (const uint8_t *)parts->charsmap.bytes,
                          parts->charsmap.size);
    if (parts->added) mote_gguf_put_u8s(w, "mote.tokenizer.added", parts->added, parts->n_tokens);
    if (parts->pipeline_derived) return MOTE_OK;
    mote_string *strings;
    size_t n;
    if (!mote_pipeline_to_strings(parts->pipeline, arena, &strings, &n))
        return mote_fail_memory(error, "the steps of a tokenizer", arena->total);
    mote_gguf_put_strings(w, "mote.tokenizer.steps", strings, n);
    return MOTE_OK;
}

/* What readers that know nothing of steps take for the pre-tokenizer; a name they refuse where they lack it. */
static mote_string pre_name(const mote_tokenizer_parts *parts) {
    const char *name = parts->pipeline ? mote_pre_tokenizer_name(parts->pipeline) : "";
    if (parts->pre.size || parts->pipeline_derived || !parts->pipeline) return parts->pre;
    if (!parts->pipeline->byte_level) name = "default";
    return *name ? (mote_string){name, strlen(name)} : (mote_string){"mote", 4};
}

static mote_status put_parts(mote_gguf_writer *w, const mote_tokenizer *tokenizer, const mote_tokenizer_parts *parts,
                             mote_arena *arena, mote_error *error) {
    mote_string pre = pre_name(parts);
    mote_gguf_put_string(w, "tokenizer.ggml.model", parts->model.bytes, parts->model.size);
    if (pre.size) mote_gguf_put_string(w, "tokenizer.ggml.pre", pre.bytes, pre.size);
    mote_gguf_put_strings(w, "tokenizer.ggml.tokens", parts->tokens, parts->n_tokens);
    if (parts->scores) mote_gguf_put_f32s(w, "tokenizer.ggml.scores", parts->scores, parts->n_tokens);
    if (parts->types) mote_gguf_put_i32s(w, "tokenizer.ggml.token_type", parts->types, parts->n_tokens);
    if (parts->n_merges || parts->kind.size)
        mote_gguf_put_strings(w, "tokenizer.ggml.merges", parts->merges, parts->n_merges);
    if (parts->end >= 0) mote_gguf_put_u32(w, special_keys[MOTE_SPECIAL_END], (uint32_t)parts->end);
    if (parts->unknown >= 0) mote_gguf_put_u32(w, special_keys[MOTE_SPECIAL_UNKNOWN], (uint32_t)parts->unknown);
    for (int i = 0; i < MOTE_N_SPECIALS; i++)
        if (parts->special[i] >= 0) mote_gguf_put_u32(w, special_keys[i], (uint32_t)parts->special[i]);
    mote_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", parts->adds_begin);
    mote_gguf_put_bool(w, "tokenizer.ggml.add_eos_token", parts->adds_end);
    if (parts->kind.size == 0) return put_staged(w, parts, arena, error);
    put_own(w, tokenizer, parts);
    return MOTE_OK;
}

const char *mote_chat_template_of(const mote_model *model) {
    if (model->chat_template) return model->chat_template;
    bool turns = model->tokenizer && mote_tokenizer_control(model->tokenizer, MOTE_TURN_START) >= 0 &&
                 mote_tokenizer_control(model->tokenizer, MOTE_TURN_END) >= 0;
    return turns ? chat_template : NULL;
}

mote_status mote_gguf_put_tokenizer(mote_gguf_writer *w, const mote_tokenizer *tokenizer, mote_error *error) {
    if (!tokenizer) {
        mote_gguf_put_string(w, "tokenizer.ggml.model", no_tokenizer[0], strlen(no_tokenizer[0]));
        return MOTE_OK;
    }
    mote_arena arena = {0};
    mote_tokenizer_parts parts;
    mote_status status = mote_tokenizer_to_parts(tokenizer, &arena, &parts, error);
    if (status == MOTE_OK && !mote_gguf_fit_tokenizer(&parts, &arena))
        status = mote_fail_memory(error, "a tokenizer's strings", parts.n_tokens * sizeof(mote_string));
    if (status == MOTE_OK) status = put_parts(w, tokenizer, &parts, &arena, error);
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
    for (size_t i = 0; i < n_tokens; i++) (*types)[i] = (int32_t)(uint32_t)mote_load_bytes(entry->data + 4 * i, 4);
    return MOTE_OK;
}

static int32_t read_id(const mote_gguf *file, const char *key, size_t n_tokens, mote_status *status,
                       mote_error *error) {
    int64_t id = -1;
    if (*status == MOTE_OK) mote_gguf_integer(file, key, 0, (int64_t)n_tokens - 1, &id, status, error);
    return (int32_t)id;
}

static mote_status read_scores(const mote_gguf *file, size_t n_tokens, float **scores, mote_error *error) {
    static const char key[] = "tokenizer.ggml.scores";
    mote_status status = MOTE_OK;
    const mote_gguf_entry *entry = mote_gguf_array(file, key, MOTE_GGUF_F32, &status, error);
    if (!entry) return status;
    if (entry->count != n_tokens)
        return mote_fail(error, MOTE_BAD_FILE, "%s: %llu scores for %zu tokens", file->name,
                         (unsigned long long)entry->count, n_tokens);
    *scores = mote_allocate(n_tokens * sizeof **scores);
    if (!*scores) return mote_fail_memory(error, key, n_tokens * sizeof **scores);
    for (size_t i = 0; i < n_tokens; i++)
        (*scores)[i] = (float)mote_gguf_load_number(entry->data + 4 * i, MOTE_GGUF_F32);
    return MOTE_OK;
}

/* Bytes, of either kind; they stay in the file. */
static mote_string read_bytes(const mote_gguf *file, const char *key, mote_status *status, mote_error *error) {
    const mote_gguf_entry *entry = mote_gguf_find(file, key);
    if (*status || !entry) return (mote_string){"", 0};
    if (entry->kind != MOTE_GGUF_ARRAY || entry->element != MOTE_GGUF_I8)
        entry = mote_gguf_array(file, key, MOTE_GGUF_U8, status, error);
    if (!entry) return (mote_string){"", 0};
    return (mote_string){(const char *)entry->data, (size_t)entry->count};
}

/* What readers take where a file does not say it, as llama.cpp has it for each model. */
static void set_defaults(mote_tokenizer_parts *parts) {
    if (mote_string_is(parts->model, "llama")) {
        parts->adds_begin = true;
        if (parts->unknown < 0) parts->unknown = 0;
        if (parts->n_tokens > 2) parts->special[MOTE_SPECIAL_BEGIN] = 1, parts->end = 2;
    } else if (mote_string_is(parts->model, "bert")) {
        parts->adds_begin = parts->adds_end = true;
        parts->add_space_prefix = false;
        if (parts->n_tokens > 102) {
            parts->unknown = 100;
            parts->special[MOTE_SPECIAL_BEGIN] = parts->special[MOTE_SPECIAL_CLASS] = 101;
            parts->special[MOTE_SPECIAL_SEPARATOR] = 102;
        }
    } else if (mote_string_is(parts->model, "t5")) {
        parts->adds_end = true;
        if (parts->n_tokens > 2) parts->end = 1, parts->unknown = 2;
    } else {
        const mote_pre_tokenizer *row = mote_pre_tokenizer_find(parts->pre);
        parts->adds_begin = row && row->adds_begin;
        parts->add_space_prefix = false;
    }
}

static mote_status read_flags(const mote_gguf *file, mote_tokenizer_parts *parts, mote_error *error) {
    mote_status status = MOTE_OK;
    set_defaults(parts);
    for (int i = 0; i < MOTE_N_SPECIALS && status == MOTE_OK; i++) {
        int32_t *id = i == MOTE_SPECIAL_END       ? &parts->end
                      : i == MOTE_SPECIAL_UNKNOWN ? &parts->unknown
                                                  : &parts->special[i];
        int32_t given = read_id(file, special_keys[i], parts->n_tokens, &status, error);
        if (given >= 0) *id = given;
    }
    const struct {
        const char *key;
        bool *flag;
    } flags[] = {{"tokenizer.ggml.add_bos_token", &parts->adds_begin},
                 {"tokenizer.ggml.add_eos_token", &parts->adds_end},
                 {"tokenizer.ggml.add_space_prefix", &parts->add_space_prefix},
                 {"tokenizer.ggml.remove_extra_whitespaces", &parts->remove_extra_whitespaces},
                 {"tokenizer.ggml.treat_whitespace_as_suffix", &parts->treat_whitespace_as_suffix},
                 {"tokenizer.ggml.escape_whitespaces", &parts->escape_whitespaces}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags && status == MOTE_OK; i++)
        mote_gguf_bool(file, flags[i].key, flags[i].flag, &status, error);
    parts->charsmap = read_bytes(file, "tokenizer.ggml.precompiled_charsmap", &status, error);
    mote_string added = read_bytes(file, "mote.tokenizer.added", &status, error);
    if (status == MOTE_OK && added.size && added.size != parts->n_tokens)
        status = mote_fail(error, MOTE_BAD_FILE, "%s: flags of %zu added tokens for %zu tokens", file->name, added.size,
                           parts->n_tokens);
    if (added.size) parts->added = (const uint8_t *)added.bytes;
    return status;
}

static mote_status read_steps(const mote_gguf *file, mote_tokenizer_parts *parts, mote_pipeline *pipeline,
                              mote_arena *arena, mote_error *error) {
    mote_string *strings;
    size_t n;
    mote_status status = read_strings(file, "mote.tokenizer.steps", &strings, &n, error);
    if (status == MOTE_OK && strings) {
        status = mote_pipeline_from_strings(strings, n, parts->charsmap, file->name, arena, pipeline, error);
        parts->pipeline = pipeline;
    }
    mote_release(strings);
    return status;
}

mote_status mote_gguf_get_tokenizer(const mote_gguf *file, mote_tokenizer **tokenizer, mote_error *error) {
    *tokenizer = NULL;
    mote_status status = MOTE_OK;
    mote_tokenizer_parts parts = mote_tokenizer_parts_none();
    mote_string *tokens = NULL, *merges = NULL;
    int32_t *types = NULL;
    float *scores = NULL;
    mote_arena arena = {0};
    mote_pipeline pipeline;
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
    if ((status = read_scores(file, parts.n_tokens, &scores, error)) != MOTE_OK) goto done;
    if ((status = read_flags(file, &parts, error)) != MOTE_OK) goto done;
    if ((status = read_steps(file, &parts, &pipeline, &arena, error)) != MOTE_OK) goto done;
    parts.tokens = tokens;
    parts.merges = merges;
    parts.types = types;
    parts.scores = scores;
    status = mote_tokenizer_from_parts(&parts, file->name, tokenizer, error);
done:
    mote_release(tokens);
    mote_release(merges);
    mote_release(types);
    mote_release(scores);
    mote_arena_deinit(&arena);
    return status;
}
