/* Tokenizers from the form of GGUF's keys. Everything is checked: the file may be anybody's. */
#include <string.h>

#include "text/byte_form.h"
#include "text/staged.h"

/* For messages: at most 40 bytes of a string of the file. */
static int shown(mote_string string) { return string.size < 40 ? (int)string.size : 40; }
#define SHOW(string) shown(string), (string).size ? (string).bytes : ""

mote_tokenizer_parts mote_tokenizer_parts_none(void) {
    mote_tokenizer_parts parts = {.end = -1, .unknown = -1, .add_space_prefix = true, .escape_whitespaces = true};
    for (int i = 0; i < MOTE_N_SPECIALS; i++) parts.special[i] = -1;
    return parts;
}

/* ---- coming in ------------------------------------------------------------------------------------------------ */

typedef struct {
    const mote_tokenizer_parts *parts;
    const char *name;
    mote_byte_form form;
    mote_buffer scratch;
    mote_error *error;
    bool literal; /* tokens are text, not GPT-2's byte-to-unicode form */
    mote_staged *staged;
} reader;

/* Of mote's own tokenizers; others have no kind. */
static mote_status find_own_kind(reader *r, mote_tokenizer_kind *kind) {
    static const char *const names[] = {"byte", "char", "word", "bpe"};
    const mote_tokenizer_parts *p = r->parts;
    bool gpt2 = mote_string_is(p->model, "gpt2");
    if (!gpt2 && !mote_string_is(p->model, "mote.word"))
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: a tokenizer of kind '%.*s' in the model '%.*s'", r->name,
                         SHOW(p->kind), SHOW(p->model));
    if (p->pre.size && !mote_string_is(p->pre, "gpt-2"))
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: a tokenizer of kind '%.*s' with the pre-tokenizer '%.*s'",
                         r->name, SHOW(p->kind), SHOW(p->pre));
    *kind = gpt2 ? MOTE_TOKENIZER_BPE : MOTE_TOKENIZER_WORD;
    for (int i = 0; i < 4; i++)
        if (mote_string_is(p->kind, names[i]) && (i == MOTE_TOKENIZER_WORD) != gpt2) {
            *kind = (mote_tokenizer_kind)i;
            return MOTE_OK;
        }
    return mote_fail(r->error, MOTE_BAD_FILE, "%s: there is no tokenizer of kind '%.*s' in the model '%.*s'", r->name,
                     SHOW(p->kind), SHOW(p->model));
}

/* GPT-2's own tokenizer needs no stages: the road of mote's BPE, which takes a text in parts. */
static bool is_plain(const mote_tokenizer_parts *p) {
    if (p->pipeline || !mote_string_is(p->model, "gpt2")) return false;
    if (p->pre.size && !mote_string_is(p->pre, "gpt-2")) return false;
    for (size_t i = 0; p->types && i < p->n_tokens; i++)
        if (p->types[i] == MOTE_TOKEN_USER_DEFINED) return false;
    return true;
}

static mote_status find_kind(reader *r, mote_tokenizer_kind *kind) {
    static const struct {
        const char *model;
        mote_tokenizer_kind kind;
    } models[] = {{"gpt2", MOTE_TOKENIZER_BPE},       {"mote.bpe", MOTE_TOKENIZER_BPE},
                  {"mote.word", MOTE_TOKENIZER_WORD}, {"llama", MOTE_TOKENIZER_SENTENCEPIECE},
                  {"t5", MOTE_TOKENIZER_UNIGRAM},     {"bert", MOTE_TOKENIZER_WORDPIECE}};
    const mote_tokenizer_parts *p = r->parts;
    if (p->kind.size) return find_own_kind(r, kind);
    size_t i = 0, n = sizeof models / sizeof *models;
    while (i < n && !mote_string_is(p->model, models[i].model)) i++;
    if (i == n)
        return mote_fail(r->error, MOTE_BAD_FILE,
                         "%s: the tokenizer model '%.*s' is not supported (gpt2, llama, bert and t5 are)", r->name,
                         SHOW(p->model));
    *kind = models[i].kind;
    if (*kind == MOTE_TOKENIZER_WORD || is_plain(p)) return MOTE_OK;
    mote_status status = mote_staged_create(p, r->name, &r->staged, r->error);
    if (status) return status;
    r->literal = !r->staged->pipeline.byte_level;
    if (!r->literal && (*kind != MOTE_TOKENIZER_BPE || r->staged->pipeline.continuing_prefix.size ||
                        r->staged->pipeline.end_of_word.size))
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: the pre-tokenizer ByteLevel before a model it does not fit",
                         r->name);
    return MOTE_OK;
}

static mote_status check_ids(const reader *r) {
    const mote_tokenizer_parts *p = r->parts;
    if (p->n_tokens == 0 || p->n_tokens > INT32_MAX)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: a tokenizer of %zu tokens", r->name, p->n_tokens);
    if (p->end < -1 || p->end >= (int64_t)p->n_tokens || p->unknown < -1 || p->unknown >= (int64_t)p->n_tokens)
        return mote_fail(r->error, MOTE_BAD_FILE,
                         "%s: the end token %d or the unknown token %d is outside the %zu tokens", r->name, p->end,
                         p->unknown, p->n_tokens);
    for (int i = 0; i < MOTE_N_SPECIALS; i++)
        if (p->special[i] < -1 || p->special[i] >= (int64_t)p->n_tokens)
            return mote_fail(r->error, MOTE_BAD_FILE, "%s: the special token %d is outside the %zu tokens", r->name,
                             p->special[i], p->n_tokens);
    for (size_t i = 0; p->types && i < p->n_tokens; i++)
        if (p->types[i] < MOTE_TOKEN_NORMAL || p->types[i] > MOTE_TOKEN_BYTE ||
            (!r->staged && (p->types[i] == MOTE_TOKEN_USER_DEFINED || p->types[i] == MOTE_TOKEN_BYTE)))
            return mote_fail(r->error, MOTE_BAD_FILE, "%s: token %zu '%.*s' has the type %d, which is not supported",
                             r->name, i, SHOW(p->tokens[i]), p->types[i]);
    return MOTE_OK;
}

/* Markup of turns that some files call text; what can be written by anybody must not end a turn. */
static bool is_markup(mote_string token) {
    static const char *const names[] = {"<|im_start|>",     "<|im_end|>",        "<|eot_id|>",       "<|eom_id|>",
                                        "<|end|>",          "<end_of_turn>",     "<start_of_turn>",  "<|endoftext|>",
                                        "<|end_of_text|>",  "<|start_header_id|>", "<|end_header_id|>"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (mote_string_is(token, names[i])) return true;
    return false;
}

/* What the file calls the end (or another special token) is never text, whatever type it gives it. */
static int type_of(const reader *r, size_t i) {
    const mote_tokenizer_parts *parts = r->parts;
    if ((int64_t)i == parts->end) return MOTE_TOKEN_CONTROL;
    if ((int64_t)i == parts->unknown) return MOTE_TOKEN_UNKNOWN;
    static const mote_special marks[] = {MOTE_SPECIAL_BEGIN, MOTE_SPECIAL_TURN_END, MOTE_SPECIAL_MESSAGE_END,
                                         MOTE_SPECIAL_CLASS, MOTE_SPECIAL_SEPARATOR};
    /* files that name any token for want of one name token 0, which is "!" in GPT-2's order: no single character */
    uint32_t point;
    bool longer = parts->tokens[i].size && (size_t)mote_utf8_decode(parts->tokens[i].bytes, parts->tokens[i].size,
                                                                    &point) < parts->tokens[i].size;
    for (size_t k = 0; r->staged && longer && k < sizeof marks / sizeof *marks; k++)
        if ((int64_t)i == parts->special[marks[k]]) return MOTE_TOKEN_CONTROL;
    int type = parts->types ? parts->types[i] : MOTE_TOKEN_NORMAL;
    if (!r->staged || type == MOTE_TOKEN_UNKNOWN) return type;
    if (is_markup(parts->tokens[i])) return MOTE_TOKEN_CONTROL;
    if (type == MOTE_TOKEN_NORMAL && parts->tokens[i].size == 0) return MOTE_TOKEN_UNUSED;
    bool spells = r->literal && r->staged->pipeline.byte_fallback && type == MOTE_TOKEN_NORMAL;
    if (spells && mote_byte_of_name(parts->tokens[i]) >= 0) return MOTE_TOKEN_BYTE;
    return type;
}

/* A token of another's that the model does not make of text by itself: it keeps its number and has a name. User-defined
 * ones it does, where their text is as it was written. */
static mote_status add_literal(reader *r, mote_tokenizer *t, size_t i, int type) {
    mote_staged *s = r->staged;
    mote_string token = r->parts->tokens[i];
    size_t n = s->literals.n;
    bool added;
    if (!mote_grow((void **)&s->literal_ids, &s->literal_capacity, n + 1, sizeof *s->literal_ids)) goto no_memory;
    uint32_t literal = mote_string_set_add(&s->literals, token.bytes, token.size, &added);
    if (literal == MOTE_NO_INDEX) goto no_memory;
    if (!added && token.size)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: tokens %u and %zu are the same: '%.*s'", r->name,
                         s->literal_ids[literal], i, SHOW(token));
    if (added) s->literal_ids[n] = (uint32_t)i;
    bool plain = r->literal;
    if (!plain) {
        plain = true;
        for (size_t k = 0; k < token.size && plain; k++) plain = token.bytes[k] > ' ' && token.bytes[k] <= '~';
    }
    bool findable = type == MOTE_TOKEN_USER_DEFINED && plain && token.size;
    if (mote_string_set_find(&t->symbols, token.bytes, token.size) != MOTE_NO_INDEX && (findable || r->literal))
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: token %zu is the same as another: '%.*s'", r->name, i,
                         SHOW(token));
    if (!mote_grow((void **)&t->types, &t->types_capacity, t->n_tokens + 1, 1)) goto no_memory;
    uint32_t id = findable ? mote_string_set_add(&t->symbols, token.bytes, token.size, NULL)
                           : mote_string_set_hide(&t->symbols, token.bytes, token.size);
    if (id == MOTE_NO_INDEX) goto no_memory;
    t->types[t->n_tokens++] = (uint8_t)type;
    return MOTE_OK;
no_memory:
    return mote_fail_memory(r->error, "a tokenizer's vocabulary", 2 * t->symbols.pool_capacity);
}

static mote_status add_token(reader *r, mote_tokenizer *t, size_t i) {
    mote_string token = r->parts->tokens[i];
    int type = type_of(r, i);
    const char *bytes = token.bytes;
    size_t n = token.size;
    if (!mote_utf8_valid(bytes, n)) return mote_fail(r->error, MOTE_BAD_FILE, "%s: token %zu is not UTF-8", r->name, i);
    if (r->staged && type != MOTE_TOKEN_NORMAL) return add_literal(r, t, i, type);
    if (type == MOTE_TOKEN_NORMAL && n == 0)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: token %zu is empty", r->name, i);
    if (type == MOTE_TOKEN_NORMAL && t->kind != MOTE_TOKENIZER_WORD && !r->literal) {
        r->scratch.size = 0;
        if (!mote_byte_form_read(&r->form, bytes, n, &r->scratch))
            return mote_fail(r->error, MOTE_BAD_FILE, "%s: token %zu '%.*s' is not in GPT-2's byte-to-unicode form",
                             r->name, i, SHOW(token));
        if (r->scratch.failed) return mote_fail_memory(r->error, "a token", n);
        bytes = r->scratch.bytes;
        n = r->scratch.size;
        uint32_t point;
        if (t->kind == MOTE_TOKENIZER_CHAR && (size_t)mote_utf8_decode(bytes, n, &point) != n)
            return mote_fail(r->error, MOTE_BAD_FILE, "%s: token %zu '%.*s' of a char tokenizer is not one character",
                             r->name, i, SHOW(token));
    }
    int32_t id = mote_tokenizer_add(t, bytes, n, type);
    if (id < 0) return mote_fail_memory(r->error, "a tokenizer's vocabulary", 2 * t->symbols.pool_capacity);
    bool taken = r->staged && r->literal &&
                 mote_string_set_find(&r->staged->literals, bytes, n) != MOTE_NO_INDEX;
    if ((size_t)id != i || taken)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: tokens %d and %zu are the same: '%.*s'", r->name, id, i,
                         SHOW(token));
    return MOTE_OK;
}

/* What the kinds need to be able to encode any bytes. */
static mote_status check_complete(const reader *r, const mote_tokenizer *t) {
    if (r->literal) return MOTE_OK; /* mote_staged_finish checks */
    bool characters = t->kind == MOTE_TOKENIZER_CHAR || t->kind == MOTE_TOKENIZER_WORD;
    if (characters && t->unknown < 0)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: a %s tokenizer without an unknown token", r->name,
                         mote_tokenizer_name(t));
    for (int i = 0; i < 256 && !characters; i++) {
        char byte = (char)i;
        uint32_t id = mote_string_set_find(&t->symbols, &byte, 1);
        if (!mote_token_is_text(t, id) && (t->kind == MOTE_TOKENIZER_BYTE || t->unknown < 0))
            return mote_fail(r->error, MOTE_BAD_FILE, "%s: no token for the byte 0x%02X%s", r->name, i,
                             t->kind == MOTE_TOKENIZER_BYTE ? "" : " and no unknown token");
    }
    return MOTE_OK;
}

/* The symbol of a part of a merge; it may be new, but it cannot be a token that is no text. */
static mote_status merge_symbol(reader *r, mote_tokenizer *t, size_t i, size_t from, uint32_t *symbol) {
    *symbol = mote_string_set_add(&t->symbols, r->scratch.bytes + from, r->scratch.size - from, NULL);
    if (*symbol == MOTE_NO_INDEX)
        return mote_fail_memory(r->error, "a tokenizer's merges", 2 * t->symbols.pool_capacity);
    if (*symbol < t->n_tokens && !mote_token_is_text(t, *symbol))
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: merge %zu '%.*s' makes or uses token %u, which is not text",
                         r->name, i, SHOW(r->parts->merges[i]), *symbol);
    return MOTE_OK;
}

/* Appends a half of a merge as the symbols have it. False: it is in no such form. */
static bool append_half(reader *r, const char *text, size_t n) {
    if (!r->literal) return mote_byte_form_read(&r->form, text, n, &r->scratch);
    mote_buffer_append(&r->scratch, text, n);
    return mote_utf8_valid(text, n);
}

static mote_status add_merge(reader *r, mote_tokenizer *t, size_t i) {
    mote_string text = r->parts->merges[i], mark = r->staged ? r->staged->pipeline.continuing_prefix : (mote_string){0};
    const char *space = text.size ? memchr(text.bytes, ' ', text.size) : NULL;
    if (r->parts->merge_splits) {
        size_t split = r->parts->merge_splits[i];
        space = split < text.size && text.bytes[split] == ' ' ? text.bytes + split : NULL;
    }
    size_t left_size = space ? (size_t)(space - text.bytes) : 0, right_size = space ? text.size - left_size - 1 : 0,
           middle;
    uint32_t left, right, result;
    mote_status status;
    if (left_size == 0 || right_size == 0)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: merge %zu '%.*s' is not two parts with a space between", r->name,
                         i, SHOW(text));
    r->scratch.size = 0;
    if (!append_half(r, text.bytes, left_size)) goto bad_form;
    middle = r->scratch.size;
    if (r->scratch.failed) return mote_fail_memory(r->error, "a merge", text.size);
    if ((status = merge_symbol(r, t, i, 0, &left))) return status;
    if (!append_half(r, space + 1, right_size)) goto bad_form;
    if (r->scratch.failed) return mote_fail_memory(r->error, "a merge", text.size);
    if ((status = merge_symbol(r, t, i, middle, &right))) return status;
    if (mark.size && r->scratch.size - middle > mark.size &&
        !memcmp(r->scratch.bytes + middle, mark.bytes, mark.size)) {
        memmove(r->scratch.bytes + middle, r->scratch.bytes + middle + mark.size, r->scratch.size - middle - mark.size);
        r->scratch.size -= mark.size;
    }
    if ((status = merge_symbol(r, t, i, 0, &result))) return status;
    if (!mote_tokenizer_add_merge(t, left, right, result))
        return mote_fail_memory(r->error, "a tokenizer's merges", 2 * t->merges_capacity * sizeof(mote_merge));
    return MOTE_OK;
bad_form:
    return mote_fail(r->error, MOTE_BAD_FILE, "%s: merge %zu '%.*s' is not in GPT-2's byte-to-unicode form", r->name, i,
                     SHOW(text));
}

/* What a merge makes is a token or a part of a later merge, and no merge comes twice. */
static mote_status check_merges(const reader *r, const mote_tokenizer *t) {
    mote_status status = MOTE_OK;
    mote_pair_map seen = {0};
    uint32_t *last_use = mote_allocate_zero(t->symbols.n, sizeof *last_use); /* 1 + the last merge that uses a symbol */
    if (!last_use) return mote_fail_memory(r->error, "a check of merges", t->symbols.n * sizeof *last_use);
    for (size_t i = 0; i < t->n_merges && !status; i++) {
        const mote_merge *merge = &t->merges[i];
        last_use[merge->left] = last_use[merge->right] = (uint32_t)i + 1;
        uint32_t first = mote_pair_map_add(&seen, merge->left, merge->right, (uint32_t)i);
        if (first == MOTE_NO_INDEX) status = mote_fail_memory(r->error, "a check of merges", t->n_merges * 32);
        else if (first != i)
            status = mote_fail(r->error, MOTE_BAD_FILE, "%s: merges %u and %zu are the same: '%.*s'", r->name, first, i,
                               SHOW(r->parts->merges[i]));
    }
    for (size_t i = 0; i < t->n_merges && !status; i++)
        if (t->merges[i].result >= t->n_tokens && last_use[t->merges[i].result] <= i + 1)
            status = mote_fail(r->error, MOTE_BAD_FILE,
                               "%s: merge %zu '%.*s' makes what is neither a token nor merged later", r->name, i,
                               SHOW(r->parts->merges[i]));
    mote_pair_map_deinit(&seen);
    mote_release(last_use);
    return status;
}

mote_status mote_tokenizer_from_parts(const mote_tokenizer_parts *parts, const char *name, mote_tokenizer **tokenizer,
                                      mote_error *error) {
    reader r = {.parts = parts, .name = name, .error = error};
    mote_tokenizer *t = NULL;
    mote_tokenizer_kind kind = MOTE_TOKENIZER_BPE;
    *tokenizer = NULL;
    mote_byte_form_init(&r.form);
    mote_status status = find_kind(&r, &kind);
    bool merges = kind == MOTE_TOKENIZER_BPE || kind == MOTE_TOKENIZER_CHAR;
    if (!status) status = check_ids(&r);
    /* SentencePiece's files of others may carry merges, which say what their scores say */
    size_t n_merges = kind == MOTE_TOKENIZER_SENTENCEPIECE ? 0 : parts->n_merges;
    if (!status && !merges && n_merges)
        status = mote_fail(error, MOTE_BAD_FILE, "%s: a tokenizer of words or bytes with %zu merges", name, n_merges);
    if (!status && n_merges >= UINT32_MAX)
        status = mote_fail(error, MOTE_BAD_FILE, "%s: a tokenizer with %zu merges", name, n_merges);
    if (!status) status = mote_tokenizer_create(kind, &t, error);
    if (status) goto done;
    t->staged = r.staged;
    t->end = parts->end;
    t->unknown = parts->unknown == parts->end ? -1 : parts->unknown; /* GPT-2's files name one token for both */
    memcpy(t->special, parts->special, sizeof t->special);
    t->special[MOTE_SPECIAL_END] = t->special[MOTE_SPECIAL_UNKNOWN] = -1;
    if (!t->staged) t->special[MOTE_SPECIAL_BEGIN] = -1; /* the end of the document before is enough */
    t->adds_begin = parts->adds_begin;
    t->adds_end = parts->adds_end;
    for (size_t i = 0; i < parts->n_tokens && !status; i++) status = add_token(&r, t, i);
    if (!status) status = check_complete(&r, t);
    for (size_t i = 0; i < n_merges && !status; i++) status = add_merge(&r, t, i);
    if (!status && n_merges) status = check_merges(&r, t);
    if (!status) status = mote_tokenizer_index(t, error);
    if (!status && t->staged) status = mote_staged_finish(t, name, error);
done:
    mote_buffer_deinit(&r.scratch);
    if (!t) mote_staged_destroy(r.staged);
    if (status) mote_tokenizer_destroy(t);
    else *tokenizer = t;
    return status;
}
