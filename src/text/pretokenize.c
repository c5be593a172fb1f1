/* GPT-2's pre-tokenizer over code points, written by hand:
 *   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * Bytes that are not UTF-8 count as one character each that is neither letter, number nor space. */
#include "text/tokenizer_core.h"
#include "text/char_kinds.h"

/* Kind and bytes of the character at `at` < size. */
static mote_char_kind kind_at(const char *text, size_t size, size_t at, size_t *length) {
    uint32_t point = (unsigned char)text[at];
    *length = 1;
    if (point >= 0x80) {
        int n = mote_utf8_decode(text + at, size - at, &point);
        if (n == 0) return MOTE_CHAR_OTHER;
        *length = (size_t)n;
    }
    return mote_char_kind_of(point);
}

/* Bytes of 's 't 're 've 'm 'll 'd at `at`, where text has an apostrophe; 0: none. */
static size_t contraction(const char *text, size_t size, size_t at) {
    char a = at + 1 < size ? text[at + 1] : 0, b = at + 2 < size ? text[at + 2] : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if ((a == 'r' || a == 'v') && b == 'e') return 3;
    return a == 'l' && b == 'l' ? 3 : 0;
}

size_t mote_piece_end(const char *text, size_t size, size_t at) {
    size_t limit = size - at > MOTE_PIECE_BYTES ? at + MOTE_PIECE_BYTES : size;
    size_t length, end = at, last = at;
    if (text[at] == '\'') {
        length = contraction(text, size, at);
        if (length) return at + length;
    }
    mote_char_kind kind = kind_at(text, size, at, &length);
    if (text[at] == ' ' && at + 1 < size) {
        kind = kind_at(text, size, at + 1, &length);
        if (kind != MOTE_CHAR_SPACE) end = at + 1;
    }
    if (kind != MOTE_CHAR_SPACE) {
        do { end += length; } while (end < limit && kind_at(text, size, end, &length) == kind);
        return end;
    }
    while (end < limit && kind_at(text, size, end, &length) == MOTE_CHAR_SPACE) {
        last = end;
        end += length;
    }
    /* the last space of a run belongs to what follows it, if anything does */
    return end < limit && last > at ? last : end;
}
