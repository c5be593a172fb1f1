/* Finding what a SPLIT or REPLACE looks for: a literal, one of the famous expressions written by hand (they need no
 * hooks and are faster), or a regular expression of the hooks. */
#include <string.h>

#include "text/hooks.h"
#include "text/staged.h"
#include "text/char_kinds.h"

/* An expression sees this much of a long run, more only where a match reaches the end of it: else one that looks ahead
 * over all digits takes quadratic time for a text of digits. */
enum { WINDOW_BYTES = 1 << 16 };

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define CONTRACTIONS_SPELLED "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define MODERN(digits)                                                                                                 \
    "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"

static const struct {
    const char *pattern;
    mote_match match;
    uint32_t digits;
} known[] = {
    {GPT2, MOTE_MATCH_GPT2, 0},
    {GPT2 "|\\s+", MOTE_MATCH_GPT2, 0},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", MOTE_MATCH_GPT2, 0},
    {CONTRACTIONS MODERN("{1,3}"), MOTE_MATCH_MODERN, 3},
    {CONTRACTIONS_SPELLED MODERN("{1,3}"), MOTE_MATCH_MODERN, 3},
    {CONTRACTIONS MODERN(""), MOTE_MATCH_MODERN, 1},
    {CONTRACTIONS_SPELLED MODERN(""), MOTE_MATCH_MODERN, 1},
    {"\\p{N}", MOTE_MATCH_NUMBERS, 1},
    {"\\p{N}{1,3}", MOTE_MATCH_NUMBERS, 3},
    {"\\p{N}+", MOTE_MATCH_NUMBERS, 0},
};

bool mote_match_native(const char *pattern, size_t n, mote_matcher *matcher) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (mote_string_is((mote_string){pattern, n}, known[i].pattern)) {
            *matcher = (mote_matcher){known[i].match, known[i].digits, NULL};
            return true;
        }
    return false;
}

static mote_char_kind kind_at(const char *text, size_t n, size_t at, size_t *size) {
    uint32_t point;
    *size = mote_character(text, n, at, &point);
    return point == UINT32_MAX ? MOTE_CHAR_OTHER : mote_char_kind_of(point);
}

/* Bytes of 's 't 'm 'd 're 've 'll in any case; 0: none. */
static size_t contraction(const char *text, size_t n, size_t at) {
    if (text[at] != '\'' || at + 1 >= n) return 0;
    int a = text[at + 1] | 0x20, b = at + 2 < n ? text[at + 2] | 0x20 : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    return ((a == 'r' || a == 'v') && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

static bool is_newline(char c) { return c == '\n' || c == '\r'; }

/* Where a run of characters of one kind ends. */
static size_t run_end(const char *text, size_t n, size_t at, size_t limit, mote_char_kind kind) {
    size_t size;
    while (at < n && at < limit && kind_at(text, n, at, &size) == kind) at += size;
    return at;
}

static size_t space_end(const char *text, size_t n, size_t at, size_t limit) {
    size_t end = at, last = at, newline = 0, size;
    while (end < n && end < limit && kind_at(text, n, end, &size) == MOTE_CHAR_SPACE) {
        if (is_newline(text[end])) newline = end + 1;
        last = end;
        end += size;
    }
    if (newline) return newline; /* \s*[\r\n]+ goes to the last of them */
    return end < n && end < limit && last > at ? last : end;
}

/* The expression of cl100k, llama 3 and qwen 2: contraction, letters with one other character before them, some
 * digits, others with a space before and newlines after them, white space. Everything belongs to some match. */
static size_t modern_end(const char *text, size_t n, size_t at, uint32_t digits) {
    size_t limit = n - at > MOTE_PIECE_BYTES ? at + MOTE_PIECE_BYTES : n, size, next_size;
    size_t end = contraction(text, n, at);
    if (end) return at + end;
    mote_char_kind kind = kind_at(text, n, at, &size), next = MOTE_CHAR_SPACE;
    if (kind == MOTE_CHAR_LETTER) return run_end(text, n, at + size, limit, kind);
    if (kind == MOTE_CHAR_NUMBER) {
        end = at + size;
        for (uint32_t i = 1; i < digits && end < n && kind_at(text, n, end, &size) == kind; i++) end += size;
        return end;
    }
    if (at + size < n) next = kind_at(text, n, at + size, &next_size);
    if (!is_newline(text[at]) && next == MOTE_CHAR_LETTER) return run_end(text, n, at + size, limit, next);
    if (kind == MOTE_CHAR_SPACE && !(text[at] == ' ' && next == MOTE_CHAR_OTHER)) return space_end(text, n, at, limit);
    end = run_end(text, n, at + size, limit, MOTE_CHAR_OTHER);
    while (end < n && is_newline(text[end])) end++;
    return end;
}

static int match_numbers(const char *text, size_t n, size_t from, uint32_t digits, size_t *begin, size_t *end) {
    size_t size;
    for (size_t at = from; at < n; at += size) {
        if (kind_at(text, n, at, &size) != MOTE_CHAR_NUMBER) continue;
        *begin = at;
        at += size;
        for (uint32_t i = 1; i != digits && at < n && kind_at(text, n, at, &size) == MOTE_CHAR_NUMBER; i++) at += size;
        *end = at;
        return 1;
    }
    return 0;
}

static int match_literal(mote_string what, const char *text, size_t n, size_t from, size_t *begin, size_t *end) {
    const char *found = what.size && from < n ? memmem(text + from, n - from, what.bytes, what.size) : NULL;
    if (!found) return 0;
    *begin = (size_t)(found - text);
    *end = *begin + what.size;
    return 1;
}

/* In a text that is valid UTF-8. */
static int match_in_run(mote_encoder *e, size_t step, const char *text, size_t n, size_t from, size_t *begin,
                        size_t *end) {
    const mote_text_hooks *hooks = mote_text_hooks_now();
    for (size_t window = WINDOW_BYTES;;) {
        size_t stop = n - from > window ? mote_utf8_ceiling(text, n, from + window) : n;
        int found = hooks ? hooks->match(hooks->context, e->staged->matchers[step].regex, &e->regex_scratch[step], text,
                                         stop, from, begin, end)
                          : -1;
        if (found < 0) {
            e->what = "a regular expression of the tokenizer takes too much time or memory for it";
            return -1;
        }
        if (found && (*begin > *end || *begin < from || *end > stop)) found = 0;
        if (stop == n) return found;
        /* not the end of the text, so what depends on it is tried again, up to the longest piece */
        if (found && (*end + 8 < stop || window >= MOTE_PIECE_BYTES)) return 1;
        if (!found && window >= MOTE_PIECE_BYTES) {
            from = mote_utf8_ceiling(text, n, from + window / 2);
            continue;
        }
        window *= 4;
    }
}

/* Bytes that are no character part runs, in which the expression looks for itself: a match is in one run. */
static int match_regex(mote_encoder *e, size_t step, const char *text, size_t n, size_t from, size_t *begin,
                       size_t *end) {
    while (from <= n) {
        mote_valid_run *run = &e->runs[step];
        if (from == 0 || from > run->end) { /* a piece begins, or bytes that are no character end the run */
            uint32_t point;
            size_t stop = from;
            while (stop < n) {
                size_t size = mote_character(text, n, stop, &point);
                if (point == UINT32_MAX) break;
                stop += size;
            }
            *run = (mote_valid_run){from, stop};
        }
        int found = match_in_run(e, step, text + run->begin, run->end - run->begin, from - run->begin, begin, end);
        if (found < 0) return found;
        if (found) {
            *begin += run->begin;
            *end += run->begin;
            return 1;
        }
        from = run->end + 1;
    }
    return 0;
}

int mote_match_next(mote_encoder *e, size_t step, const char *text, size_t n, size_t from, size_t *begin, size_t *end) {
    const mote_matcher *matcher = &e->staged->matchers[step];
    switch (matcher->match) {
    case MOTE_MATCH_LITERAL: return match_literal(e->staged->pipeline.steps[step].text, text, n, from, begin, end);
    case MOTE_MATCH_REGEX: return match_regex(e, step, text, n, from, begin, end);
    case MOTE_MATCH_NUMBERS: return match_numbers(text, n, from, matcher->digits, begin, end);
    default: break;
    }
    if (from >= n) return 0;
    *begin = from;
    *end =
        matcher->match == MOTE_MATCH_GPT2 ? mote_piece_end(text, n, from) : modern_end(text, n, from, matcher->digits);
    return 1;
}
