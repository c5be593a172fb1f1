/* Tokenizers: the object, encoding and decoding. What differs between the kinds stands in tokenizer_{byte,bpe,word}.c.
 */
#include <string.h>

#include "text/staged.h"

mote_status mote_tokenizer_create(mote_tokenizer_kind kind, mote_tokenizer **tokenizer, mote_error *error) {
    *tokenizer = mote_allocate_zero(1, sizeof **tokenizer);
    if (!*tokenizer) return mote_fail_memory(error, "a tokenizer", sizeof **tokenizer);
    (*tokenizer)->kind = kind;
    (*tokenizer)->end = (*tokenizer)->unknown = -1;
    for (int i = 0; i < MOTE_N_SPECIALS; i++) (*tokenizer)->special[i] = -1;
    return MOTE_OK;
}

void mote_tokenizer_destroy(mote_tokenizer *tokenizer) {
    if (!tokenizer) return;
    mote_release(tokenizer->types);
    mote_string_set_deinit(&tokenizer->symbols);
    mote_release(tokenizer->merges);
    mote_pair_map_deinit(&tokenizer->ranks);
    mote_staged_destroy(tokenizer->staged);
    mote_release(tokenizer);
}

int32_t mote_tokenizer_add(mote_tokenizer *tokenizer, const char *bytes, size_t n, int type) {
    if (!mote_grow((void **)&tokenizer->types, &tokenizer->types_capacity, tokenizer->n_tokens + 1, 1)) return -1;
    bool added;
    uint32_t id = mote_string_set_add(&tokenizer->symbols, bytes, n, &added);
    if (id == MOTE_NO_INDEX) return -1;
    if (added) tokenizer->types[tokenizer->n_tokens++] = (uint8_t)type;
    return (int32_t)id;
}

mote_status mote_tokenizer_add_special(mote_tokenizer *tokenizer, bool messages, mote_error *error) {
    bool unknown = tokenizer->kind == MOTE_TOKENIZER_CHAR || tokenizer->kind == MOTE_TOKENIZER_WORD;
    tokenizer->end = mote_tokenizer_add(tokenizer, MOTE_END_TEXT, strlen(MOTE_END_TEXT), MOTE_TOKEN_CONTROL);
    if (unknown)
        tokenizer->unknown =
            mote_tokenizer_add(tokenizer, MOTE_UNKNOWN_TEXT, strlen(MOTE_UNKNOWN_TEXT), MOTE_TOKEN_UNKNOWN);
    bool ok = tokenizer->end >= 0 && (!unknown || tokenizer->unknown >= 0);
    if (ok && messages)
        ok = mote_tokenizer_add(tokenizer, MOTE_TURN_START, strlen(MOTE_TURN_START), MOTE_TOKEN_CONTROL) >= 0 &&
             mote_tokenizer_add(tokenizer, MOTE_TURN_END, strlen(MOTE_TURN_END), MOTE_TOKEN_CONTROL) >= 0;
    if (!ok)
        return mote_fail_memory(error, "a tokenizer's vocabulary", tokenizer->symbols.pool_capacity);
    return MOTE_OK;
}

bool mote_tokenizer_add_merge(mote_tokenizer *tokenizer, uint32_t left, uint32_t right, uint32_t result) {
    if (!mote_grow((void **)&tokenizer->merges, &tokenizer->merges_capacity, tokenizer->n_merges + 1,
                   sizeof *tokenizer->merges))
        return false;
    tokenizer->merges[tokenizer->n_merges++] = (mote_merge){left, right, result};
    return true;
}

mote_status mote_tokenizer_index(mote_tokenizer *tokenizer, mote_error *error) {
    bool bpe = tokenizer->kind == MOTE_TOKENIZER_BPE;
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        uint32_t symbol = mote_string_set_find(&tokenizer->symbols, &byte, 1);
        if (bpe && symbol == MOTE_NO_INDEX) {
            symbol = mote_string_set_add(&tokenizer->symbols, &byte, 1, NULL);
            if (symbol == MOTE_NO_INDEX) goto no_memory;
        }
        tokenizer->byte_symbol[i] = symbol;
    }
    for (size_t i = 0; bpe && i < tokenizer->n_merges; i++)
        if (mote_pair_map_add(&tokenizer->ranks, tokenizer->merges[i].left, tokenizer->merges[i].right, (uint32_t)i) ==
            MOTE_NO_INDEX)
            goto no_memory;
    return MOTE_OK;
no_memory:
    return mote_fail_memory(error, "a tokenizer's tables", 2 * tokenizer->ranks.n_slots * sizeof(mote_pair_slot));
}

/* Expressions cannot be copied, so everything is built again. */
static mote_status copy_staged(const mote_tokenizer *tokenizer, mote_tokenizer **copy, mote_error *error) {
    mote_arena arena = {0};
    mote_tokenizer_parts parts;
    mote_status status = mote_tokenizer_to_parts(tokenizer, &arena, &parts, error);
    if (!status && tokenizer->staged->derived) parts.pipeline = NULL;
    if (!status) status = mote_tokenizer_from_parts(&parts, "a copy of a tokenizer", copy, error);
    mote_arena_deinit(&arena);
    return status;
}

mote_status mote_tokenizer_copy(const mote_tokenizer *tokenizer, mote_tokenizer **copy, mote_error *error) {
    *copy = NULL;
    if (tokenizer->staged) return copy_staged(tokenizer, copy, error);
    mote_tokenizer *t;
    mote_status status = mote_tokenizer_create(tokenizer->kind, &t, error);
    if (status) return status;
    t->end = tokenizer->end;
    t->unknown = tokenizer->unknown;
    memcpy(t->special, tokenizer->special, sizeof t->special);
    t->adds_begin = tokenizer->adds_begin;
    t->adds_end = tokenizer->adds_end;
    bool ok = true;
    for (size_t i = 0, n; ok && i < tokenizer->symbols.n; i++) {
        const char *bytes = mote_string_set_get(&tokenizer->symbols, (uint32_t)i, &n);
        ok = i < tokenizer->n_tokens ? mote_tokenizer_add(t, bytes, n, tokenizer->types[i]) >= 0
                                     : mote_string_set_add(&t->symbols, bytes, n, NULL) != MOTE_NO_INDEX;
    }
    for (size_t i = 0; ok && i < tokenizer->n_merges; i++) {
        const mote_merge *merge = &tokenizer->merges[i];
        ok = mote_tokenizer_add_merge(t, merge->left, merge->right, merge->result);
    }
    if (!ok) status = mote_fail_memory(error, "a copy of a tokenizer", tokenizer->symbols.pool_size);
    else status = mote_tokenizer_index(t, error);
    if (status) mote_tokenizer_destroy(t);
    else *copy = t;
    return status;
}

const char *mote_tokenizer_name(const mote_tokenizer *tokenizer) {
    static const char *const names[] = {"byte", "char", "word", "bpe", "sentencepiece", "unigram", "wordpiece"};
    return names[tokenizer->kind];
}

int mote_tokenizer_vocab(const mote_tokenizer *tokenizer) { return (int)tokenizer->n_tokens; }
int32_t mote_tokenizer_end(const mote_tokenizer *tokenizer) { return tokenizer->end; }
int32_t mote_tokenizer_unknown(const mote_tokenizer *tokenizer) { return tokenizer->unknown; }
int32_t mote_tokenizer_begin(const mote_tokenizer *tokenizer) { return tokenizer->special[MOTE_SPECIAL_BEGIN]; }
bool mote_tokenizer_adds_begin(const mote_tokenizer *tokenizer) {
    return tokenizer->adds_begin && mote_tokenizer_begin(tokenizer) >= 0;
}

int32_t mote_tokenizer_control(const mote_tokenizer *tokenizer, const char *name) {
    const mote_staged *s = tokenizer->staged;
    uint32_t id = mote_string_set_find(s ? &s->literals : &tokenizer->symbols, name, strlen(name));
    if (s && id != MOTE_NO_INDEX) id = s->literal_ids[id];
    return id < tokenizer->n_tokens && tokenizer->types[id] == MOTE_TOKEN_CONTROL ? (int32_t)id : -1;
}

mote_status mote_tokenizer_encode_part(const mote_tokenizer *tokenizer, const char *text, size_t size, size_t *at,
                                       size_t at_most, mote_token_list *list, mote_error *error) {
    mote_tokenizer_kind kind = tokenizer->kind;
    if (tokenizer->staged && *at < size) { /* normalizers see the whole text, so it cannot come in parts */
        mote_status status = mote_staged_encode(tokenizer, text + *at, size - *at, list, error);
        *at = size;
        return status;
    }
    size_t stop = size - *at > at_most ? *at + at_most : size;
    while (*at < stop) {
        size_t end;
        if (kind == MOTE_TOKENIZER_BYTE) end = stop;
        else if (kind == MOTE_TOKENIZER_CHAR) end = mote_utf8_ceiling(text, size, stop);
        else end = mote_piece_end(text, size, *at);
        size_t n = end - *at;
        if (!mote_tokens_reserve(list, n))
            return mote_fail_memory(error, "tokens of a text", (list->n + n) * sizeof(int32_t));
        if (kind == MOTE_TOKENIZER_BYTE) mote_byte_encode(tokenizer, text + *at, n, list);
        else if (kind == MOTE_TOKENIZER_CHAR) mote_char_encode(tokenizer, text + *at, n, list);
        else if (kind == MOTE_TOKENIZER_WORD) mote_word_encode_piece(tokenizer, text + *at, n, list);
        else if (!mote_bpe_encode_piece(tokenizer, text + *at, n, list))
            return mote_fail_memory(error, "one long word of a text", n * 28);
        *at = end;
    }
    return MOTE_OK;
}

mote_status mote_tokenizer_encode(const mote_tokenizer *tokenizer, const char *text, size_t bytes, int32_t **tokens,
                                  size_t *n_tokens, mote_error *error) {
    mote_token_list list = {0};
    size_t at = 0;
    *tokens = NULL;
    *n_tokens = 0;
    mote_status status =
        mote_tokens_reserve(&list, 1) ? MOTE_OK : mote_fail_memory(error, "tokens of a text", sizeof(int32_t));
    if (!status) status = mote_tokenizer_encode_part(tokenizer, text, bytes, &at, bytes, &list, error);
    if (status) {
        mote_release(list.tokens);
        return status;
    }
    *tokens = list.tokens;
    *n_tokens = list.n;
    return MOTE_OK;
}

const char *mote_tokenizer_piece(const mote_tokenizer *tokenizer, int32_t token, size_t *bytes) {
    *bytes = 0;
    if (token < 0 || (size_t)token >= tokenizer->n_tokens) return "";
    const mote_staged *s = tokenizer->staged;
    if (s && !s->pipeline.byte_level) {
        *bytes = s->text_at[token + 1] - s->text_at[token];
        return s->texts + s->text_at[token];
    }
    if (mote_token_is_text(tokenizer, (uint32_t)token))
        return mote_string_set_get(&tokenizer->symbols, (uint32_t)token, bytes);
    if (tokenizer->types[token] != MOTE_TOKEN_UNKNOWN) return "";
    *bytes = strlen(MOTE_REPLACEMENT);
    return MOTE_REPLACEMENT;
}

/* What decoders take from the ends of a text; its new size. */
static size_t strip_ends(const mote_staged *s, char *text, size_t n) {
    size_t begin = 0;
    while (begin < s->begin_strip && begin < n && text[begin] == s->end_byte) begin++;
    for (uint32_t i = 0; i < s->end_strip && n > begin && text[n - 1] == s->end_byte; i++) n--;
    memmove(text, text + begin, n - begin);
    return n - begin;
}

mote_status mote_tokenizer_decode(const mote_tokenizer *tokenizer, const int32_t *tokens, size_t n_tokens, char **text,
                                  size_t *bytes, mote_error *error) {
    size_t total = 1, n;
    *text = NULL;
    *bytes = 0;
    for (size_t i = 0; i < n_tokens; i++) {
        if (tokens[i] < 0 || (size_t)tokens[i] >= tokenizer->n_tokens)
            return mote_fail(error, MOTE_USAGE, "token %d at place %zu is outside the vocabulary of %zu", tokens[i], i,
                             tokenizer->n_tokens);
        mote_tokenizer_piece(tokenizer, tokens[i], &n);
        if (!mote_add(total, n, &total)) return mote_fail_memory(error, "decoded text", SIZE_MAX);
    }
    char *out = mote_allocate(total);
    if (!out) return mote_fail_memory(error, "decoded text", total);
    size_t at = 0;
    for (size_t i = 0; i < n_tokens; i++) {
        const char *piece = mote_tokenizer_piece(tokenizer, tokens[i], &n);
        memcpy(out + at, piece, n);
        at += n;
    }
    if (tokenizer->staged) at = strip_ends(tokenizer->staged, out, at);
    out[at] = 0;
    *text = out;
    *bytes = at;
    return MOTE_OK;
}
