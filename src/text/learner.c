/* Counts what a vocabulary is made of, and makes the vocabularies of bytes and characters. */
#include "text/learner.h"

#include <string.h>


enum { N_POINTS = 0x110000, MOST_TOKENS = 1 << 24 };

mote_status mote_learner_init(mote_learner *learner, mote_tokenizer_kind kind, int vocab_limit, bool messages,
                              mote_error *error) {
    *learner = (mote_learner){.kind = kind, .vocab_limit = vocab_limit, .messages = messages};
    if (kind == MOTE_TOKENIZER_CHAR) {
        learner->seen = mote_allocate_zero(N_POINTS / 8, 1);
        if (!learner->seen) return mote_fail_memory(error, "the set of characters", N_POINTS / 8);
        return MOTE_OK;
    }
    if (kind == MOTE_TOKENIZER_BYTE) return MOTE_OK;
    if (kind != MOTE_TOKENIZER_WORD && kind != MOTE_TOKENIZER_BPE)
        return mote_fail(error, MOTE_USAGE, "there is no tokenizer of kind %d", (int)kind);
    int least = (kind == MOTE_TOKENIZER_BPE ? 257 : 3) + (messages ? 2 : 0);
    if (vocab_limit < least || vocab_limit > MOST_TOKENS)
        return mote_fail(error, MOTE_USAGE, "a vocabulary of %d tokens was asked for; a %s tokenizer has %d to %d",
                         vocab_limit, kind == MOTE_TOKENIZER_BPE ? "bpe" : "word", least, MOST_TOKENS);
    return MOTE_OK;
}

void mote_learner_deinit(mote_learner *learner) {
    mote_string_set_deinit(&learner->pieces);
    mote_release(learner->counts);
    mote_release(learner->seen);
    *learner = (mote_learner){0};
}

static bool count(mote_learner *learner, const char *piece, size_t n) {
    bool added;
    uint32_t index = mote_string_set_add(&learner->pieces, piece, n, &added);
    if (index == MOTE_NO_INDEX) return false;
    if (added) {
        if (!mote_grow((void **)&learner->counts, &learner->counts_capacity, learner->pieces.n,
                       sizeof *learner->counts))
            return false;
        learner->counts[index] = 0;
    }
    learner->counts[index]++;
    return true;
}

static void see(mote_learner *learner, const char *text, size_t bytes) {
    for (size_t at = 0; at < bytes;) {
        uint32_t point;
        int length = mote_utf8_decode(text + at, bytes - at, &point);
        if (length) learner->seen[point / 8] |= (uint8_t)(1u << point % 8);
        at += length ? (size_t)length : 1;
    }
}

mote_status mote_learner_add(mote_learner *learner, const char *text, size_t bytes, mote_error *error) {
    if (learner->kind == MOTE_TOKENIZER_CHAR) see(learner, text, bytes);
    if (learner->kind == MOTE_TOKENIZER_CHAR || learner->kind == MOTE_TOKENIZER_BYTE) return MOTE_OK;
    for (size_t at = 0; at < bytes;) {
        size_t end = mote_piece_end(text, bytes, at);
        while (at < end) {
            size_t stop = end - at > MOTE_LEARN_BYTES ? mote_utf8_ceiling(text, end, at + MOTE_LEARN_BYTES) : end;
            if (!count(learner, text + at, stop - at))
                return mote_fail_memory(error, "the distinct words of the text", 2 * learner->pieces.pool_capacity);
            at = stop;
        }
    }
    return MOTE_OK;
}

static bool add_bytes(mote_tokenizer *tokenizer) {
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        if (mote_tokenizer_add(tokenizer, &byte, 1, MOTE_TOKEN_NORMAL) < 0) return false;
    }
    return true;
}

/* Merges that compose each character from its bytes, from the left. Pairs cannot be confused: a prefix of a character
 * is known by its lead byte, and nothing begins with a continuation byte. */
static bool add_character_merges(mote_tokenizer *tokenizer, const char *bytes, int n, uint32_t character) {
    uint32_t left = mote_string_set_add(&tokenizer->symbols, bytes, 1, NULL);
    for (int i = 1; i < n; i++) {
        bool is_new = true;
        uint32_t right = mote_string_set_add(&tokenizer->symbols, bytes + i, 1, NULL), result = character;
        if (i + 1 < n) result = mote_string_set_add(&tokenizer->symbols, bytes, (size_t)i + 1, &is_new);
        if (left == MOTE_NO_INDEX || right == MOTE_NO_INDEX || result == MOTE_NO_INDEX) return false;
        if (is_new && !mote_tokenizer_add_merge(tokenizer, left, right, result)) return false;
        left = result;
    }
    return true;
}

static bool add_characters(mote_tokenizer *tokenizer, const uint8_t *seen) {
    char bytes[4];
    for (uint32_t point = 0; point < N_POINTS; point++) {
        if (seen[point / 8] == 0) point |= 7;
        if (!(seen[point / 8] >> point % 8 & 1)) continue;
        int n = mote_utf8_encode(point, bytes);
        if (mote_tokenizer_add(tokenizer, bytes, (size_t)n, MOTE_TOKEN_NORMAL) < 0) return false;
    }
    size_t n_tokens = tokenizer->n_tokens;
    for (size_t i = 0; i < n_tokens; i++) { /* after all tokens: symbols that are none are numbered after them */
        size_t n;
        const char *piece = mote_string_set_get(&tokenizer->symbols, (uint32_t)i, &n);
        if (tokenizer->types[i] != MOTE_TOKEN_NORMAL || n == 1) continue;
        memcpy(bytes, piece, n);
        if (!add_character_merges(tokenizer, bytes, (int)n, (uint32_t)i)) return false;
    }
    return true;
}

mote_status mote_learner_finish(const mote_learner *learner, mote_tokenizer **tokenizer, mote_error *error) {
    mote_tokenizer *t = NULL;
    *tokenizer = NULL;
    mote_status status = mote_tokenizer_create(learner->kind, &t, error);
    if (!status) status = mote_tokenizer_add_special(t, learner->messages, error);
    if (status) goto done;
    bool ok = true;
    if (learner->kind == MOTE_TOKENIZER_BYTE) ok = add_bytes(t);
    else if (learner->kind == MOTE_TOKENIZER_CHAR) ok = add_characters(t, learner->seen);
    else if (learner->kind == MOTE_TOKENIZER_WORD) status = mote_word_learn(learner, t, error);
    else if ((ok = add_bytes(t))) status = mote_bpe_learn(learner, t, error);
    if (!ok) status = mote_fail_memory(error, "a tokenizer's vocabulary", 2 * t->symbols.pool_capacity);
    if (!status) status = mote_tokenizer_index(t, error);
done:
    if (status) mote_tokenizer_destroy(t);
    else *tokenizer = t;
    return status;
}

mote_status mote_tokenizer_train(mote_tokenizer_kind kind, int vocab_limit, const char *text, size_t bytes,
                                 mote_tokenizer **tokenizer, mote_error *error) {
    mote_learner learner;
    *tokenizer = NULL;
    mote_status status = mote_learner_init(&learner, kind, vocab_limit, false, error);
    if (!status) status = mote_learner_add(&learner, text, bytes, error);
    if (!status) status = mote_learner_finish(&learner, tokenizer, error);
    mote_learner_deinit(&learner);
    return status;
}
