/* Pre-tokenizers. Steps are not lists of pieces but callers of the next step, so that a text of any size needs memory
 * only for a step that changes it. What a step finds goes through a splitter, which knows the behaviours of
 * tokenizer.json: a match is thrown away, stands alone, or joins what is before or after it. */
#include <string.h>

#include "text/staged.h"
#include "text/char_kinds.h"

typedef struct {
    mote_encoder *encoder;
    size_t step; /* the one after the split */
    const char *text;
    bool first;
    mote_split_behavior behavior;
    size_t begin, end; /* what waits for the next item; begin == end: nothing */
    bool held_match;
} splitter;

static bool emit(splitter *s, size_t begin, size_t end) {
    if (begin == end) return true;
    return mote_split_piece(s->encoder, s->step, s->text + begin, end - begin, s->first && begin == 0);
}

static bool flush(splitter *s) {
    size_t begin = s->begin, end = s->end;
    s->begin = s->end = 0;
    return emit(s, begin, end);
}

static bool hold(splitter *s, size_t begin, size_t end, bool match) {
    if (!flush(s)) return false;
    s->begin = begin;
    s->end = end;
    s->held_match = match;
    return true;
}

static bool item(splitter *s, size_t begin, size_t end, bool match) {
    bool held = s->begin < s->end;
    switch (s->behavior) {
    case MOTE_SPLIT_REMOVED: return match || emit(s, begin, end);
    case MOTE_SPLIT_ISOLATED: return emit(s, begin, end);
    case MOTE_SPLIT_CONTIGUOUS:
        if (!held || s->held_match != match || begin == end) return hold(s, begin, end, match);
        s->end = end;
        return true;
    case MOTE_SPLIT_WITH_PREVIOUS: /* one match joins what is before it; the next stands by itself */
        if (!held || !match || s->held_match) return hold(s, begin, end, match);
        s->end = end;
        s->held_match = true;
        return true;
    default:
        if (!held || match || !s->held_match) return hold(s, begin, end, match);
        s->end = end;
        s->held_match = false;
        return flush(s);
    }
}

/* Every match, and what is between them, as items. */
static bool split_by_matches(splitter *s, size_t n, size_t step, bool invert) {
    size_t last = 0, from = 0, begin, end;
    while (from <= n) {
        int found = mote_match_next(s->encoder, step, s->text, n, from, &begin, &end);
        if (found < 0) return false;
        if (!found) break;
        if (begin > last && !item(s, last, begin, invert)) return false;
        if (!item(s, begin, end, !invert)) return false;
        last = end;
        uint32_t point;
        from = end;
        if (begin == end) from += end < n ? mote_character(s->text, n, end, &point) : 1;
    }
    return (last == n || item(s, last, n, invert)) && flush(s);
}

typedef bool (*character_test)(uint32_t point);

static bool is_number(uint32_t point) { return mote_char_kind_of(point) == MOTE_CHAR_NUMBER; }

/* Every character that the test takes is a match. */
static bool split_by_characters(splitter *s, size_t n, character_test test) {
    size_t last = 0;
    for (size_t at = 0, size; at < n; at += size) {
        uint32_t point;
        size = mote_character(s->text, n, at, &point);
        if (!test(point)) continue;
        if (at > last && !item(s, last, at, false)) return false;
        if (!item(s, at, at + size, true)) return false;
        last = at + size;
    }
    return (last == n || item(s, last, n, false)) && flush(s);
}

/* \w+ and [^\w\s]+ are pieces, white space is thrown away. */
static bool split_words(splitter *s, size_t n) {
    int kind = 0; /* 1: space, 2: word, 3: other */
    size_t begin = 0;
    for (size_t at = 0, size; at < n; at += size) {
        uint32_t point;
        size = mote_character(s->text, n, at, &point);
        int here = mote_is_space(point) ? 1 : mote_is_word(point) ? 2 : 3;
        if (here == kind) continue;
        if (kind > 1 && !emit(s, begin, at)) return false;
        begin = at;
        kind = here;
    }
    return kind <= 1 || emit(s, begin, n);
}

/* White space is thrown away; what is between is split at punctuation. */
static bool split_bert(splitter *s, size_t n) {
    size_t begin = 0;
    for (size_t at = 0, size; at < n; at += size) {
        uint32_t point;
        size = mote_character(s->text, n, at, &point);
        bool space = mote_is_space(point);
        if (!space && !mote_is_punctuation(point)) continue;
        if (!emit(s, begin, at) || (!space && !emit(s, at, at + size))) return false;
        begin = at + size;
    }
    return emit(s, begin, n);
}

static bool split_byte_level(splitter *s, const mote_step *step, size_t n) {
    mote_buffer *scratch = &s->encoder->scratch[s->step - 1];
    if (step->add_prefix_space && s->text[0] != ' ') {
        scratch->size = 0;
        mote_buffer_append(scratch, " ", 1);
        mote_buffer_append(scratch, s->text, n);
        if (scratch->failed) return false;
        s->text = scratch->bytes;
        n++;
    }
    if (!step->use_regex) return emit(s, 0, n);
    for (size_t at = 0, end; at < n; at = end) {
        end = mote_piece_end(s->text, n, at);
        if (!emit(s, at, end)) return false;
    }
    return true;
}

static bool split_metaspace(splitter *s, const mote_step *step, size_t n) {
    mote_buffer *scratch = &s->encoder->scratch[s->step - 1];
    mote_string mark = step->text;
    scratch->size = 0;
    bool has = *s->text == ' ' || (n >= mark.size && memcmp(s->text, mark.bytes, mark.size) == 0);
    bool prepend = step->prepend == MOTE_PREPEND_ALWAYS || (step->prepend == MOTE_PREPEND_FIRST && s->first);
    if (prepend && !has) mote_buffer_append(scratch, mark.bytes, mark.size);
    for (size_t at = 0; at < n;) {
        const char *space = memchr(s->text + at, ' ', n - at);
        size_t end = space ? (size_t)(space - s->text) : n;
        mote_buffer_append(scratch, s->text + at, end - at);
        if (space) mote_buffer_append(scratch, mark.bytes, mark.size);
        at = end + (space != NULL);
    }
    if (scratch->failed) return false;
    s->text = scratch->bytes;
    n = scratch->size;
    if (!step->split) return emit(s, 0, n);
    size_t begin = 0;
    for (size_t at = 1; at < n; at++) {
        if (n - at < mark.size || memcmp(s->text + at, mark.bytes, mark.size) != 0) continue;
        if (!emit(s, begin, at)) return false;
        begin = at;
        at += mark.size - 1;
    }
    return emit(s, begin, n);
}

bool mote_split_piece(mote_encoder *e, size_t index, const char *text, size_t n, bool first) {
    const mote_staged *staged = e->staged;
    if (n == 0) return true;
    if (index == staged->n_normalizers + staged->n_pretokenizers) return mote_encode_piece(e, text, n);
    const mote_step *step = &staged->pipeline.steps[index];
    splitter s = {
        .encoder = e, .step = index + 1, .text = text, .first = first, .behavior = (mote_split_behavior)step->behavior};
    switch (step->kind) {
    case MOTE_STEP_BYTE_LEVEL: return split_byte_level(&s, step, n);
    case MOTE_STEP_SPLIT: return split_by_matches(&s, n, index, step->invert);
    case MOTE_STEP_METASPACE: return split_metaspace(&s, step, n);
    case MOTE_STEP_DIGITS:
        s.behavior = step->individual ? MOTE_SPLIT_ISOLATED : MOTE_SPLIT_CONTIGUOUS;
        return split_by_characters(&s, n, is_number);
    case MOTE_STEP_WHITESPACE: return split_words(&s, n);
    case MOTE_STEP_WHITESPACE_SPLIT: s.behavior = MOTE_SPLIT_REMOVED; return split_by_characters(&s, n, mote_is_space);
    case MOTE_STEP_PUNCTUATION: return split_by_characters(&s, n, mote_is_punctuation);
    default: return split_bert(&s, n);
    }
}
