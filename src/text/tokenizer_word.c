/* Words: the pieces of GPT-2's pre-tokenizer, so a word carries the space before it and pieces join without rules. A
 * piece that is not in the vocabulary is spelled in characters, and a character that is not there either is <unk>. */
#include <stdlib.h>
#include <string.h>

#include "text/learner.h"

void mote_word_encode_piece(const mote_tokenizer *tokenizer, const char *piece, size_t n, mote_token_list *list) {
    uint32_t symbol = mote_string_set_find(&tokenizer->symbols, piece, n);
    if (mote_token_is_text(tokenizer, symbol)) list->tokens[list->n++] = (int32_t)symbol;
    else mote_char_encode(tokenizer, piece, n, list);
}

typedef struct {
    int64_t count;
    const char *bytes;
    size_t size;
} ranked;

/* More frequent first, then by bytes: the same on every machine. */
static int compare_ranked(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    int order = memcmp(x->bytes, y->bytes, x->size < y->size ? x->size : y->size);
    return order ? order : x->size < y->size ? -1 : x->size > y->size;
}

static ranked *rank_pieces(const mote_string_set *pieces, const int64_t *counts) {
    size_t bytes;
    ranked *list = mote_multiply(pieces->n + 1, sizeof *list, &bytes) ? mote_allocate(bytes) : NULL;
    if (!list) return NULL;
    for (size_t i = 0; i < pieces->n; i++) {
        list[i].bytes = mote_string_set_get(pieces, (uint32_t)i, &list[i].size);
        list[i].count = counts[i];
    }
    qsort(list, pieces->n, sizeof *list, compare_ranked);
    return list;
}

/* Counts the characters in the counted pieces. */
static bool count_characters(const mote_learner *learner, mote_string_set *characters, int64_t **counts) {
    size_t capacity = 0;
    for (size_t i = 0, n; i < learner->pieces.n; i++) {
        const char *piece = mote_string_set_get(&learner->pieces, (uint32_t)i, &n);
        for (size_t at = 0; at < n;) {
            uint32_t point;
            size_t length = (size_t)mote_utf8_decode(piece + at, n - at, &point);
            if (length) {
                uint32_t index = mote_string_set_add(characters, piece + at, length, NULL);
                size_t before = capacity;
                if (index == MOTE_NO_INDEX ||
                    !mote_grow((void **)counts, &capacity, (size_t)index + 1, sizeof **counts))
                    return false;
                if (capacity > before) memset(*counts + before, 0, (capacity - before) * sizeof **counts);
                (*counts)[index] += learner->counts[i];
            }
            at += length ? length : 1;
        }
    }
    return true;
}

/* A quarter of the vocabulary at most is for spelling, in the most frequent characters; the rest is for pieces that
 * occur at least twice: a word seen once teaches a model nothing about itself. */
mote_status mote_word_learn(const mote_learner *learner, mote_tokenizer *tokenizer, mote_error *error) {
    size_t limit = (size_t)learner->vocab_limit,
           for_spelling = tokenizer->n_tokens + (limit - tokenizer->n_tokens + 3) / 4;
    mote_string_set characters = {0};
    int64_t *counts = NULL;
    ranked *words = NULL, *spelling = NULL;
    mote_status status = MOTE_OK;
    if (!count_characters(learner, &characters, &counts) || !(spelling = rank_pieces(&characters, counts)) ||
        !(words = rank_pieces(&learner->pieces, learner->counts)))
        goto no_memory;
    for (size_t i = 0; i < characters.n && tokenizer->n_tokens < for_spelling; i++)
        if (mote_tokenizer_add(tokenizer, spelling[i].bytes, spelling[i].size, MOTE_TOKEN_NORMAL) < 0) goto no_memory;
    for (size_t i = 0; i < learner->pieces.n && words[i].count >= 2 && tokenizer->n_tokens < limit; i++) {
        if (!mote_utf8_valid(words[i].bytes, words[i].size)) continue;
        if (mote_tokenizer_add(tokenizer, words[i].bytes, words[i].size, MOTE_TOKEN_NORMAL) < 0) goto no_memory;
    }
    for (size_t i = 0; i < characters.n && tokenizer->n_tokens < limit; i++) /* what is left: more characters */
        if (mote_tokenizer_add(tokenizer, spelling[i].bytes, spelling[i].size, MOTE_TOKEN_NORMAL) < 0) goto no_memory;
    goto done;
no_memory:
    status = mote_fail_memory(error, "the ranked words of the text", learner->pieces.n * sizeof(ranked));
done:
    mote_string_set_deinit(&characters);
    mote_release(counts);
    mote_release(words);
    mote_release(spelling);
    return status;
}
