/* Adapters written by hand: PEFT folders and GGUF files with the matrices of tools/make_goldens_lora.py. */
#ifndef MOTE_TESTS_LORA_BYTES_H
#define MOTE_TESTS_LORA_BYTES_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The grid of tools/make_goldens_lora.py. */
static inline float lora_grid(int r, int c, int by_row, int by_col, int plus, int modulus, int divisor) {
    return (float)((r * by_row + c * by_col + plus) % modulus - modulus / 2) / (float)divisor;
}
static inline float lora_base(int k, int r, int c) { return lora_grid(r, c, 7, 3, k, 23, 16); }
static inline float lora_down(int k, int r, int c) { return lora_grid(r, c, 5, 3, k, 7, 8); }
static inline float lora_up(int k, int r, int c) { return lora_grid(r, c, 3, 11, 2 * k, 5, 4); }

/* A safetensors file that grows tensor by tensor. */
typedef struct {
    char header[1 << 15];
    size_t header_size;
    uint8_t data[1 << 16];
    size_t size;
} lora_file;

static inline void lora_begin(lora_file *f) { f->header_size = f->size = 0; }
static inline void lora_tensor(lora_file *f, const char *name, const char *dtype, int rows, int cols,
                               const void *bytes, size_t n) {
    f->header_size += (size_t)snprintf(f->header + f->header_size, sizeof f->header - f->header_size,
                                       "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%d,%d],\"data_offsets\":[%zu,%zu]}",
                                       f->header_size ? "," : "{", name, dtype, rows, cols, f->size, f->size + n);
    memcpy(f->data + f->size, bytes, n);
    f->size += n;
}
/* up: B, else A, of kind k. */
static inline void lora_matrix(lora_file *f, const char *name, int rows, int cols, int k, int up) {
    static float values[4096];
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++) values[r * cols + c] = up ? lora_up(k, r, c) : lora_down(k, r, c);
    lora_tensor(f, name, "F32", rows, cols, values, (size_t)rows * (size_t)cols * sizeof *values);
}
static inline int lora_write(const lora_file *f, const char *path) {
    FILE *out = fopen(path, "wb");
    uint64_t n = f->header_size + 1;
    int ok = out && fwrite(&n, 8, 1, out) == 1 && fwrite(f->header, 1, f->header_size, out) == f->header_size &&
             fputc('}', out) == '}' && fwrite(f->data, 1, f->size, out) == f->size;
    if (out) ok = !fclose(out) && ok;
    return ok;
}

#endif
