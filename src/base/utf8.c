/* Strict UTF-8. */
#include "base/utf8.h"

int mote_utf8_decode(const char *text, size_t n, uint32_t *point) {
    const unsigned char *b = (const unsigned char *)text;
    if (b[0] < 0x80) {
        *point = b[0];
        return 1;
    }
    if (b[0] < 0xC2 || b[0] > 0xF4) return 0;
    int length = b[0] < 0xE0 ? 2 : b[0] < 0xF0 ? 3 : 4;
    if (n < (size_t)length) return 0;
    uint32_t value = b[0] & (0xFFu >> (length + 1));
    for (int i = 1; i < length; i++) {
        if ((b[i] & 0xC0) != 0x80) return 0;
        value = value << 6 | (b[i] & 0x3F);
    }
    if (length == 3 && (value < 0x800 || (value >= 0xD800 && value <= 0xDFFF))) return 0;
    if (length == 4 && (value < 0x10000 || value > 0x10FFFF)) return 0;
    *point = value;
    return length;
}

int mote_utf8_encode(uint32_t point, char out[4]) {
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) return 0;
    int length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (int i = length - 1; i > 0; i--, point >>= 6) out[i] = (char)(0x80 | (point & 0x3F));
    out[0] = (char)((0xF00 >> length & 0xFF) | point);
    return length;
}

bool mote_utf8_valid(const char *text, size_t n) {
    uint32_t point;
    for (size_t at = 0; at < n;) {
        int length = mote_utf8_decode(text + at, n - at, &point);
        if (length == 0) return false;
        at += (size_t)length;
    }
    return true;
}

uint64_t mote_utf8_count_invalid(const char *text, size_t n, size_t *first) {
    uint64_t count = 0;
    uint32_t point;
    *first = n;
    for (size_t at = 0; at < n;) {
        int length = (signed char)text[at] >= 0 ? 1 : mote_utf8_decode(text + at, n - at, &point);
        if (length == 0 && count++ == 0) *first = at;
        at += length ? (size_t)length : 1;
    }
    return count;
}

size_t mote_utf8_ceiling(const char *text, size_t n, size_t at) {
    if (at >= n) return n;
    uint32_t point;
    for (size_t back = 1; back < 4 && back <= at; back++) {
        size_t length = (size_t)mote_utf8_decode(text + at - back, n - (at - back), &point);
        if (length > back) return at - back + length;
    }
    return at;
}
