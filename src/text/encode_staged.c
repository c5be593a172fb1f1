/* Encoding with a pipeline: text is cut at added tokens, normalized, split, and pieces are encoded by the model, with a
 * cache in front of it: a text has the same words again and again. Nothing is allocated for a piece; what the stages
 * need belongs to the encoder and grows to the largest piece. */
#include <string.h>

#include "base/hash.h"
#include "text/hooks.h"
#include "text/staged.h"

bool mote_tokens_reserve(mote_token_list *list, size_t n) {
    size_t needed;
    return mote_add(list->n, n, &needed) &&
           mote_grow((void **)&list->tokens, &list->capacity, needed, sizeof *list->tokens);
}

void mote_emit_unknown(mote_encoder *e, const char *text, size_t n) {
    const mote_staged *s = e->staged;
    if (s->pipeline.byte_fallback) {
        size_t i = 0;
        while (i < n && s->byte_token[(unsigned char)text[i]] != MOTE_NO_INDEX) i++;
        if (i == n) {
            for (i = 0; i < n; i++) mote_emit(e, s->byte_token[(unsigned char)text[i]]);
            return;
        }
    }
    if (e->tokenizer->unknown < 0) return; /* as Hugging Face's: what cannot be said is left out */
    bool same = e->unknown_open && s->pipeline.fuse_unknown;
    if (!same) mote_emit(e, (uint32_t)e->tokenizer->unknown);
    e->unknown_open = true;
}

/* ---- pieces --------------------------------------------------------------------------------------------------- */

static bool encode_by_model(mote_encoder *e, const char *text, size_t n) {
    const mote_tokenizer *t = e->tokenizer;
    if (!mote_tokens_reserve(e->list, n)) return false;
    switch (t->kind) {
    case MOTE_TOKENIZER_UNIGRAM: return mote_unigram_encode(e, text, n);
    case MOTE_TOKENIZER_WORDPIECE: return mote_wordpiece_encode(e, text, n);
    case MOTE_TOKENIZER_BPE:
        if (e->staged->pipeline.ignore_merges) {
            uint32_t whole = mote_string_set_find(&t->symbols, text, n);
            if (mote_token_is_text(t, whole)) {
                mote_emit(e, whole);
                return true;
            }
        }
        if (e->staged->pipeline.byte_level) return mote_bpe_encode_piece(t, text, n, e->list);
        return mote_merge_encode(e, text, n);
    default: return mote_merge_encode(e, text, n);
    }
}

/* Unknown tokens may join what was before the piece and what comes after it, so such pieces are not kept. */
static bool encode_cached(mote_encoder *e, const char *text, size_t n) {
    if (!e->cache || n > MOTE_CACHED_BYTES) return encode_by_model(e, text, n);
    mote_cached_piece *slot = &e->cache[mote_hash_bytes(text, n, 0) & (MOTE_CACHE_SLOTS - 1)];
    if (slot->size == n && memcmp(slot->bytes, text, n) == 0) {
        if (!mote_tokens_reserve(e->list, MOTE_CACHED_TOKENS)) return false;
        memcpy(e->list->tokens + e->list->n, slot->tokens, slot->n_tokens * sizeof *slot->tokens);
        e->list->n += slot->n_tokens;
        e->unknown_open = false;
        return true;
    }
    size_t start = e->list->n;
    if (!encode_by_model(e, text, n)) return false;
    size_t count = e->list->n - start;
    bool keep = count > 0 && count <= MOTE_CACHED_TOKENS;
    for (size_t i = start; i < e->list->n && keep; i++) keep = e->list->tokens[i] != e->tokenizer->unknown;
    if (keep) {
        slot->size = (uint8_t)n;
        slot->n_tokens = (uint8_t)count;
        memcpy(slot->bytes, text, n);
        memcpy(slot->tokens, e->list->tokens + start, count * sizeof *slot->tokens);
    }
    return true;
}

/* Where the word that begins at `at` ends: before the next mark of a space that follows something else. */
static size_t word_end(const char *text, size_t n, size_t at) {
    const char mark[] = MOTE_SPACE_MARK;
    size_t end = at;
    while (n - end >= MOTE_SPACE_MARK_BYTES && memcmp(text + end, mark, MOTE_SPACE_MARK_BYTES) == 0)
        end += MOTE_SPACE_MARK_BYTES;
    for (;;) {
        const char *next = end < n ? memchr(text + end, mark[0], n - end) : NULL;
        if (!next) return n;
        end = (size_t)(next - text);
        if (n - end >= MOTE_SPACE_MARK_BYTES && memcmp(next, mark, MOTE_SPACE_MARK_BYTES) == 0) return end;
        end++;
    }
}

/* Words of a tokenizer whose tokens never reach over their beginnings are encoded one by one: the same tokens, and a
 * text of any length takes the time and memory of its longest word. What is longer than a piece may be is cut there. */
bool mote_encode_piece(mote_encoder *e, const char *text, size_t n) {
    bool apart = e->staged->words_apart && e->tokenizer->kind != MOTE_TOKENIZER_WORDPIECE;
    e->unknown_open = false;
    for (size_t at = 0, end; at < n; at = end) {
        end = apart ? word_end(text, n, at) : n;
        if (end - at > MOTE_PIECE_BYTES) end = mote_utf8_ceiling(text, n, at + MOTE_PIECE_BYTES);
        if (!encode_cached(e, text + at, end - at)) return false;
    }
    return true;
}

/* ---- added tokens --------------------------------------------------------------------------------------------- */

typedef struct {
    size_t begin, end;
    uint32_t id;
} found_token;

static bool stands_alone(const char *text, size_t n, size_t begin, size_t end) {
    uint32_t point;
    size_t back = 1;
    if (end < n && (mote_character(text, n, end, &point), mote_is_word(point))) return false;
    if (begin == 0) return true;
    while (back < 4 && back < begin && ((unsigned char)text[begin - back] & 0xC0) == 0x80) back++;
    mote_character(text, n, begin - back, &point);
    return !mote_is_word(point);
}

/* The first added token at or after `from`, the longest that begins there, with the white space that it takes. */
static bool next_added(const mote_encoder *e, bool normalized, const char *text, size_t n, size_t from,
                       found_token *found) {
    const mote_staged *s = e->staged;
    const mote_token_index *index = normalized ? &s->added_normalized : &s->added_raw;
    if (index->n == 0) return false;
    for (size_t at = from; at < n; at++) {
        if (!s->added_first[normalized][(unsigned char)text[at]]) continue;
        size_t size = mote_index_longest(index, text + at, n - at, &found->id);
        if (size == 0) continue;
        int flags = s->added ? s->added[found->id] : 0;
        if ((flags & MOTE_ADDED_WORD) && !stands_alone(text, n, at, at + size)) continue;
        found->begin = at;
        found->end = at + size;
        uint32_t point;
        while ((flags & MOTE_ADDED_RIGHT) && found->end < n) {
            size_t next = mote_character(text, n, found->end, &point);
            if (!mote_is_space(point)) break;
            found->end += next;
        }
        while ((flags & MOTE_ADDED_LEFT) && found->begin > from) {
            size_t back = 1;
            while (back < 4 && back < found->begin - from && ((unsigned char)text[found->begin - back] & 0xC0) == 0x80)
                back++;
            mote_character(text, n, found->begin - back, &point);
            if (!mote_is_space(point)) break;
            found->begin -= back;
        }
        return true;
    }
    return false;
}

static bool emit_added(mote_encoder *e, uint32_t id) {
    if (!mote_tokens_reserve(e->list, 1)) return false;
    mote_emit(e, id);
    return true;
}

static bool encode_segment(mote_encoder *e, const char *text, size_t n) {
    bool first = e->at_start;
    e->at_start = false;
    if (n == 0) return true;
    if (!mote_normalize(e, &text, &n)) return false;
    size_t at = 0;
    found_token found;
    for (; next_added(e, true, text, n, at, &found); at = found.end) {
        if (found.begin > at &&
            !mote_split_piece(e, e->staged->n_normalizers, text + at, found.begin - at, first && at == 0))
            return false;
        if (!emit_added(e, found.id)) return false;
    }
    return at == n || mote_split_piece(e, e->staged->n_normalizers, text + at, n - at, first && at == 0);
}

static bool encode_text(mote_encoder *e, const char *text, size_t n) {
    size_t at = 0;
    found_token found;
    for (; next_added(e, false, text, n, at, &found); at = found.end)
        if (!encode_segment(e, text + at, found.begin - at) || !emit_added(e, found.id)) return false;
    return encode_segment(e, text + at, n - at);
}

void mote_encoder_close(mote_encoder *e) {
    const mote_text_hooks *hooks = mote_text_hooks_now();
    for (int i = 0; i < 2; i++) mote_buffer_deinit(&e->normalized[i]);
    for (int i = 0; i < MOTE_MOST_STEPS; i++) {
        mote_buffer_deinit(&e->scratch[i]);
        if (hooks && e->regex_scratch[i]) hooks->release_scratch(hooks->context, e->regex_scratch[i]);
    }
    mote_release(e->cache);
    mote_release(e->links);
    mote_release(e->heap);
    mote_release(e->best);
    mote_release(e->best_id);
    mote_release(e->best_from);
}

mote_status mote_staged_encode(const mote_tokenizer *tokenizer, const char *text, size_t n, mote_token_list *list,
                               mote_error *error) {
    mote_encoder e = {.tokenizer = tokenizer, .staged = tokenizer->staged, .list = list, .at_start = true};
    if (n >= MOTE_CACHE_FROM) e.cache = mote_allocate_zero(MOTE_CACHE_SLOTS, sizeof *e.cache); /* fine without */
    bool ok = encode_text(&e, text, n);
    mote_encoder_close(&e);
    if (ok) return MOTE_OK;
    if (!e.what) return mote_fail_memory(error, "the stages of a tokenizer", n);
    return mote_fail(error, MOTE_FAILED, "a text of %zu bytes: %s", n, e.what);
}
