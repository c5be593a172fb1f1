/* Bytes of a file and strings in it, read in place: a string has a length and no NUL, a number any alignment and the
 * order of a file, which is little-endian. */
#ifndef MOTE_BASE_STRINGS_H
#define MOTE_BASE_STRINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const char *bytes;
    size_t size;
} mote_string;
#define MOTE_STRING(literal) ((mote_string){literal, sizeof(literal) - 1})

static inline bool mote_string_equal(mote_string a, mote_string b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0);
}
static inline bool mote_string_is(mote_string string, const char *text) {
    return mote_string_equal(string, (mote_string){text, strlen(text)});
}
/* By bytes, a beginning before what it begins: for qsort. */
static inline int mote_string_compare(const void *a, const void *b) {
    const mote_string *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->size < y->size ? x->size : y->size);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* `bytes` of them, at most 8, zero-extended. */
static inline uint64_t mote_load_bytes(const void *from, size_t bytes) {
    const uint8_t *at = from;
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) value |= (uint64_t)at[i] << (8 * i);
    return value;
}
static inline uint32_t mote_load_u32(const void *from) {
    const uint8_t *at = from;
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

#endif
