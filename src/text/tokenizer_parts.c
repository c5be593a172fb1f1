/* Tokenizers in the form of GGUF's keys, both ways. Coming in, everything is checked: the file may be anybody's. Text
 * is in GPT-2's byte-to-unicode form, where each byte is a printable character: itself, or U+0100 and up for the 68
 * that are not. */
#include <string.h>

#include "text/tokenizer_core.h"
#include "text/utf8.h"

enum { N_BYTE_POINTS = 256 + 68 };

static bool is_printable(int byte) {
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

typedef struct {
    uint16_t point[256];         /* of each byte */
    int16_t byte[N_BYTE_POINTS]; /* of each point, or -1 */
} byte_form;

static void make_byte_form(byte_form *form) {
    for (int i = 0; i < N_BYTE_POINTS; i++) form->byte[i] = -1;
    for (int i = 0, next = 256; i < 256; i++) {
        form->point[i] = (uint16_t)(is_printable(i) ? i : next++);
        form->byte[form->point[i]] = (int16_t)i;
    }
}

/* Appends the bytes that `text` is the byte form of. False: it is none. Check buffer->failed at the end. */
static bool from_byte_form(const byte_form *form, const char *text, size_t n, mote_buffer *bytes) {
    for (size_t at = 0; at < n;) {
        uint32_t point;
        int length = mote_utf8_decode(text + at, n - at, &point);
        if (length == 0 || point >= N_BYTE_POINTS || form->byte[point] < 0) return false;
        char byte = (char)form->byte[point];
        mote_buffer_append(bytes, &byte, 1);
        at += (size_t)length;
    }
    return true;
}

static void to_byte_form(const byte_form *form, const char *bytes, size_t n, mote_buffer *text) {
    char out[4];
    for (size_t i = 0; i < n; i++)
        mote_buffer_append(text, out, (size_t)mote_utf8_encode(form->point[(unsigned char)bytes[i]], out));
}

static bool string_is(mote_string string, const char *text) {
    return string.size == strlen(text) && memcmp(string.bytes, text, string.size) == 0;
}

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
    byte_form form;
    mote_buffer scratch;
    mote_error *error;
} reader;

static mote_status find_kind(reader *r, mote_tokenizer_kind *kind) {
    static const char *const names[] = {"byte", "char", "word", "bpe"};
    const mote_tokenizer_parts *p = r->parts;
    bool gpt2 = string_is(p->model, "gpt2");
    if (!gpt2 && !string_is(p->model, "mote.word"))
        return mote_fail(r->error, MOTE_BAD_FILE,
                         "%s: the tokenizer model '%.*s' is not supported (gpt2 and mote.word are)", r->name,
                         SHOW(p->model));
    if (p->pre.size && !string_is(p->pre, "gpt-2"))
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: the pre-tokenizer '%.*s' is not supported (gpt-2 is)", r->name,
                         SHOW(p->pre));
    *kind = gpt2 ? MOTE_TOKENIZER_BPE : MOTE_TOKENIZER_WORD;
    if (p->kind.size == 0) return MOTE_OK;
    for (int i = 0; i < 4; i++)
        if (string_is(p->kind, names[i]) && (i == MOTE_TOKENIZER_WORD) != gpt2) {
            *kind = (mote_tokenizer_kind)i;
            return MOTE_OK;
        }
    return mote_fail(r->error, MOTE_BAD_FILE, "%s: there is no tokenizer of kind '%.*s' in the model '%.*s'", r->name,
                     SHOW(p->kind), SHOW(p->model));
}

static mote_status check_ids(const reader *r) {
    const mote_tokenizer_parts *p = r->parts;
    if (p->n_tokens == 0 || p->n_tokens > INT32_MAX)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: a tokenizer of %zu tokens", r->name, p->n_tokens);
    if (p->end < -1 || p->end >= (int64_t)p->n_tokens || p->unknown < -1 || p->unknown >= (int64_t)p->n_tokens)
        return mote_fail(r->error, MOTE_BAD_FILE,
                         "%s: the end token %d or the unknown token %d is outside the %zu tokens", r->name, p->end,
                         p->unknown, p->n_tokens);
    for (size_t i = 0; p->types && i < p->n_tokens; i++)
        if (p->types[i] != MOTE_TOKEN_NORMAL && p->types[i] != MOTE_TOKEN_UNKNOWN &&
            p->types[i] != MOTE_TOKEN_CONTROL && p->types[i] != MOTE_TOKEN_UNUSED)
            return mote_fail(r->error, MOTE_BAD_FILE, "%s: token %zu '%.*s' has the type %d, which is not supported",
                             r->name, i, SHOW(p->tokens[i]), p->types[i]);
    return MOTE_OK;
}

/* What the file calls the end is never text, whatever type it gives it. */
static int type_of(const mote_tokenizer_parts *parts, size_t i) {
    if ((int64_t)i == parts->end) return MOTE_TOKEN_CONTROL;
    if ((int64_t)i == parts->unknown) return MOTE_TOKEN_UNKNOWN;
    return parts->types ? parts->types[i] : MOTE_TOKEN_NORMAL;
}

static mote_status add_token(reader *r, mote_tokenizer *t, size_t i) {
    mote_string token = r->parts->tokens[i];
    int type = type_of(r->parts, i);
    const char *bytes = token.bytes;
    size_t n = token.size;
    if (!mote_utf8_valid(bytes, n)) return mote_fail(r->error, MOTE_BAD_FILE, "%s: token %zu is not UTF-8", r->name, i);
    if (type == MOTE_TOKEN_NORMAL && n == 0)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: token %zu is empty", r->name, i);
    if (type == MOTE_TOKEN_NORMAL && t->kind != MOTE_TOKENIZER_WORD) {
        r->scratch.size = 0;
        if (!from_byte_form(&r->form, bytes, n, &r->scratch))
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
    if ((size_t)id != i)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: tokens %d and %zu are the same: '%.*s'", r->name, id, i,
                         SHOW(token));
    return MOTE_OK;
}

/* What the kinds need to be able to encode any bytes. */
static mote_status check_complete(const reader *r, const mote_tokenizer *t) {
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

static mote_status add_merge(reader *r, mote_tokenizer *t, size_t i) {
    mote_string text = r->parts->merges[i];
    const char *space = text.size ? memchr(text.bytes, ' ', text.size) : NULL;
    size_t left_size = space ? (size_t)(space - text.bytes) : 0, right_size = space ? text.size - left_size - 1 : 0,
           middle;
    uint32_t left, right, result;
    mote_status status;
    if (left_size == 0 || right_size == 0)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: merge %zu '%.*s' is not two parts with a space between", r->name,
                         i, SHOW(text));
    r->scratch.size = 0;
    if (!from_byte_form(&r->form, text.bytes, left_size, &r->scratch)) goto bad_form;
    middle = r->scratch.size;
    if (r->scratch.failed) return mote_fail_memory(r->error, "a merge", text.size);
    if ((status = merge_symbol(r, t, i, 0, &left))) return status;
    if (!from_byte_form(&r->form, space + 1, right_size, &r->scratch)) goto bad_form;
    if (r->scratch.failed) return mote_fail_memory(r->error, "a merge", text.size);
    if ((status = merge_symbol(r, t, i, middle, &right))) return status;
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
    make_byte_form(&r.form);
    mote_status status = find_kind(&r, &kind);
    if (!status) status = check_ids(&r);
    if (!status && kind != MOTE_TOKENIZER_BPE && kind != MOTE_TOKENIZER_CHAR && parts->n_merges)
        status =
            mote_fail(error, MOTE_BAD_FILE, "%s: a tokenizer of words or bytes with %zu merges", name, parts->n_merges);
    if (!status && parts->n_merges >= UINT32_MAX)
        status = mote_fail(error, MOTE_BAD_FILE, "%s: a tokenizer with %zu merges", name, parts->n_merges);
    if (!status) status = mote_tokenizer_create(kind, &t, error);
    if (status) goto done;
    t->end = parts->end;
    t->unknown = parts->unknown == parts->end ? -1 : parts->unknown; /* GPT-2's files name one token for both */
    for (size_t i = 0; i < parts->n_tokens && !status; i++) status = add_token(&r, t, i);
    if (!status) status = check_complete(&r, t);
    for (size_t i = 0; i < parts->n_merges && !status; i++) status = add_merge(&r, t, i);
    if (!status && parts->n_merges) status = check_merges(&r, t);
    if (!status) status = mote_tokenizer_index(t, error);
done:
    mote_buffer_deinit(&r.scratch);
    if (status) mote_tokenizer_destroy(t);
    else *tokenizer = t;
    return status;
}

/* ---- going out ------------------------------------------------------------------------------------------------ */

static bool keep(mote_arena *arena, const mote_buffer *text, mote_string *string) {
    if (text->failed) return false;
    string->size = text->size;
    string->bytes = mote_arena_string(arena, text->size ? text->bytes : "", text->size);
    return string->bytes != NULL;
}

static void append_symbol(const mote_tokenizer *t, const byte_form *form, uint32_t symbol, mote_buffer *text) {
    size_t n;
    const char *bytes = mote_string_set_get(&t->symbols, symbol, &n);
    bool literal = t->kind == MOTE_TOKENIZER_WORD || (symbol < t->n_tokens && !mote_token_is_text(t, symbol));
    if (literal) mote_buffer_append(text, bytes, n);
    else to_byte_form(form, bytes, n, text);
}

mote_status mote_tokenizer_to_parts(const mote_tokenizer *tokenizer, mote_arena *arena, mote_tokenizer_parts *parts,
                                    mote_error *error) {
    const mote_tokenizer *t = tokenizer;
    const char *kind = mote_tokenizer_name(t), *model = t->kind == MOTE_TOKENIZER_WORD ? "mote.word" : "gpt2";
    size_t token_bytes = t->n_tokens * sizeof(mote_string), merge_bytes = t->n_merges * sizeof(mote_string);
    mote_string *tokens = mote_arena_allocate(arena, token_bytes), *merges = mote_arena_allocate(arena, merge_bytes);
    int32_t *types = mote_arena_allocate(arena, t->n_tokens * sizeof *types);
    bool ok = tokens && merges && types;
    mote_buffer text = {0};
    byte_form form;
    make_byte_form(&form);
    for (size_t i = 0; ok && i < t->n_tokens; i++) {
        text.size = 0;
        append_symbol(t, &form, (uint32_t)i, &text);
        ok = keep(arena, &text, &tokens[i]);
        types[i] = t->types[i];
    }
    for (size_t i = 0; ok && i < t->n_merges; i++) {
        text.size = 0;
        append_symbol(t, &form, t->merges[i].left, &text);
        mote_buffer_append(&text, " ", 1);
        append_symbol(t, &form, t->merges[i].right, &text);
        ok = keep(arena, &text, &merges[i]);
    }
    mote_buffer_deinit(&text);
    if (!ok) return mote_fail_memory(error, "a tokenizer's strings", token_bytes + merge_bytes + t->symbols.pool_size);
    *parts = mote_tokenizer_parts_none();
    parts->model = (mote_string){model, strlen(model)};
    parts->kind = (mote_string){kind, strlen(kind)};
    parts->pre = (mote_string){"gpt-2", 5};
    parts->tokens = tokens;
    parts->types = types;
    parts->n_tokens = t->n_tokens;
    parts->merges = merges;
    parts->n_merges = t->n_merges;
    parts->end = t->end;
    parts->unknown = t->unknown;
    return MOTE_OK;
}
