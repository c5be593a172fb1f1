/* UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef MOTE_BASE_UTF8_H
#define MOTE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes (1 to 4) of the character at the start of text, n > 0; 0: these bytes are no character. */
int mote_utf8_decode(const char *text, size_t n, uint32_t *point);
static inline int mote_utf8_length(const char *text, size_t n) {
    uint32_t point;
    return n ? mote_utf8_decode(text, n, &point) : 0;
}
/* Bytes written (1 to 4); 0: not a character. */
int mote_utf8_encode(uint32_t point, char out[4]);
bool mote_utf8_valid(const char *text, size_t n);
/* How many bytes belong to no character; *first is where the first of them is. */
uint64_t mote_utf8_count_invalid(const char *text, size_t n, size_t *first);
/* The nearest boundary of characters that is >= at: n at most. Bytes that are not UTF-8 are a character each. */
size_t mote_utf8_ceiling(const char *text, size_t n, size_t at);

#endif
