/* safetensors files written by hand: any header, any data. */
#ifndef MOTE_TESTS_SAFETENSORS_BYTES_H
#define MOTE_TESTS_SAFETENSORS_BYTES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "formats/safetensors.h"

typedef struct {
    uint8_t *bytes;
    size_t size;
} file_bytes;

/* A length of `length`, then the header, then data_bytes bytes 1, 2, 3, ... Release .bytes. */
static inline file_bytes raw_file(uint64_t length, const char *header, size_t header_bytes, size_t data_bytes) {
    file_bytes b = {.size = 8 + header_bytes + data_bytes};
    b.bytes = malloc(b.size);
    for (int i = 0; i < 8; i++) b.bytes[i] = (uint8_t)(length >> (8 * i));
    memcpy(b.bytes + 8, header, header_bytes);
    for (size_t i = 0; i < data_bytes; i++) b.bytes[8 + header_bytes + i] = (uint8_t)(i + 1);
    return b;
}

static inline file_bytes file_of(const char *header, size_t data_bytes) {
    return raw_file(strlen(header), header, strlen(header), data_bytes);
}

#endif
