/* Unigram (Kudo 2018): the split of a piece whose tokens have the largest sum of scores, by Viterbi from the left. What
 * no token covers costs ten more than the worst token. And WordPiece (Schuster and Nakajima 2012): again and again the
 * longest token that the rest of a word begins with. */
#include <float.h>

#include "text/staged.h"

static bool grow_best(mote_encoder *e, size_t n) {
    return mote_grow((void **)&e->best, &e->best_capacity, n, sizeof *e->best) &&
           mote_grow((void **)&e->best_id, &e->best_id_capacity, n, sizeof *e->best_id) &&
           mote_grow((void **)&e->best_from, &e->best_from_capacity, n, sizeof *e->best_from);
}

static void offer(mote_encoder *e, size_t from, size_t to, double score, uint32_t id) {
    if (e->best[to] >= score) return;
    e->best[to] = score;
    e->best_id[to] = id;
    e->best_from[to] = (uint32_t)from;
}

bool mote_unigram_encode(mote_encoder *e, const char *text, size_t n) {
    const mote_tokenizer *t = e->tokenizer;
    const mote_token_index *index = &e->staged->vocabulary;
    if (!grow_best(e, n + 1)) return false;
    for (size_t i = 1; i <= n; i++) e->best[i] = -DBL_MAX;
    e->best[0] = 0;
    for (size_t at = 0; at < n;) {
        uint32_t point;
        size_t character = mote_character(text, n, at, &point);
        bool whole = false;
        mote_index_walk walk = mote_index_begin(index);
        for (size_t end = at; end < n && mote_index_step(index, &walk, (unsigned char)text[end]);) {
            uint32_t id = mote_index_id(index, &walk);
            if (++end - at == character && id != UINT32_MAX) whole = true;
            if (id == UINT32_MAX) continue;
            double score = t->types[id] == MOTE_TOKEN_USER_DEFINED ? 0 : (double)e->staged->scores[id];
            offer(e, at, end, e->best[at] + score, id);
        }
        if (!whole) offer(e, at, at + character, e->best[at] + e->staged->unknown_score, MOTE_NO_INDEX);
        at += character;
    }
    /* back along the best way, turning it around in best_from */
    uint32_t next = MOTE_NO_INDEX;
    for (uint32_t at = (uint32_t)n;;) {
        uint32_t from = at ? e->best_from[at] : 0;
        e->best_from[at] = next;
        next = at;
        if (at == 0) break;
        at = from;
    }
    for (uint32_t at = 0, to; (to = e->best_from[at]) != MOTE_NO_INDEX; at = to) {
        if (e->best_id[to] == MOTE_NO_INDEX) mote_emit_unknown(e, text + at, to - at);
        else mote_emit(e, e->best_id[to]);
    }
    return true;
}

/* The longest token that is `mark` and then a beginning of the text: bytes of the text, 0 for none. */
static size_t longest(const mote_token_index *index, mote_string mark, const char *text, size_t n, uint32_t *id) {
    mote_index_walk walk = mote_index_begin(index);
    for (size_t i = 0; i < mark.size; i++)
        if (!mote_index_step(index, &walk, (unsigned char)mark.bytes[i])) return 0;
    size_t found = 0;
    for (size_t i = 0; i < n && mote_index_step(index, &walk, (unsigned char)text[i]); i++) {
        uint32_t here = mote_index_id(index, &walk);
        if (here == UINT32_MAX) continue;
        *id = here;
        found = i + 1;
    }
    return found;
}

bool mote_wordpiece_encode(mote_encoder *e, const char *text, size_t n) {
    const mote_pipeline *p = &e->staged->pipeline;
    size_t start = e->list->n, most = p->most_word_characters;
    for (size_t at = 0, count = 0; most && at < n; count++) {
        uint32_t point;
        at += mote_character(text, n, at, &point);
        if (count >= most) goto unknown;
    }
    for (size_t at = 0; at < n;) {
        uint32_t id = 0;
        size_t size =
            longest(&e->staged->vocabulary, at ? p->continuing_prefix : p->word_prefix, text + at, n - at, &id);
        if (size == 0) goto unknown;
        mote_emit(e, id);
        at += size;
    }
    return true;
unknown:
    e->list->n = start;
    if (e->tokenizer->unknown >= 0) mote_emit(e, (uint32_t)e->tokenizer->unknown);
    return true;
}
