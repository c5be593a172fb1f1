/* GGUF files written byte by byte, so that tests can write what the library's writer never would. */
#ifndef MOTE_TESTS_GGUF_BYTES_H
#define MOTE_TESTS_GGUF_BYTES_H

#include <stdint.h>
#include <string.h>

#include "formats/gguf.h"

typedef struct {
    uint8_t bytes[1 << 18];
    size_t size;
} gguf_bytes;

static inline void put_raw(gguf_bytes *b, const void *bytes, size_t n) {
    if (n > sizeof b->bytes - b->size) n = sizeof b->bytes - b->size;
    memcpy(b->bytes + b->size, bytes, n);
    b->size += n;
}
static inline void put_le(gguf_bytes *b, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) put_raw(b, &(uint8_t){(uint8_t)(value >> (8 * i))}, 1);
}
static inline void put_text(gguf_bytes *b, const char *text) {
    put_le(b, strlen(text), 8);
    put_raw(b, text, strlen(text));
}
static inline void begin(gguf_bytes *b, uint32_t version, uint64_t n_tensors, uint64_t n_keys) {
    b->size = 0;
    put_raw(b, "GGUF", 4);
    put_le(b, version, 4);
    put_le(b, n_tensors, 8);
    put_le(b, n_keys, 8);
}
static inline void put_key(gguf_bytes *b, const char *key, uint32_t kind) {
    put_text(b, key);
    put_le(b, kind, 4);
}
static inline void key_u32(gguf_bytes *b, const char *key, uint32_t value) {
    put_key(b, key, MOTE_GGUF_U32);
    put_le(b, value, 4);
}
static inline void key_f32(gguf_bytes *b, const char *key, float value) {
    union { float value; uint32_t bits; } u = {.value = value};
    put_key(b, key, MOTE_GGUF_F32);
    put_le(b, u.bits, 4);
}
static inline void key_text(gguf_bytes *b, const char *key, const char *value) {
    put_key(b, key, MOTE_GGUF_STRING);
    put_text(b, value);
}
static inline void key_array(gguf_bytes *b, const char *key, uint32_t element, uint64_t n) {
    put_key(b, key, MOTE_GGUF_ARRAY);
    put_le(b, element, 4);
    put_le(b, n, 8);
}
static inline void key_texts(gguf_bytes *b, const char *key, const char *const *texts, size_t n) {
    key_array(b, key, MOTE_GGUF_STRING, n);
    for (size_t i = 0; i < n; i++) put_text(b, texts[i]);
}
/* dims: n_dims of them */
static inline void put_tensor(gguf_bytes *b, const char *name, uint32_t n_dims, const uint64_t *dims, uint32_t type,
                              uint64_t offset) {
    put_text(b, name);
    put_le(b, n_dims, 4);
    for (uint32_t i = 0; i < n_dims && i < 8; i++) put_le(b, dims[i], 8);
    put_le(b, type, 4);
    put_le(b, offset, 8);
}
static inline void put_data(gguf_bytes *b, size_t alignment, size_t n) {
    while (b->size % alignment) put_le(b, 0, 1);
    for (size_t i = 0; i < n; i++) put_le(b, 0, 1);
}

#endif
