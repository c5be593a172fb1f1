/* Weight types: one row each in a table, one file each for the arithmetic. The public enum (mote_type) indexes the
 * table. */
#ifndef MOTE_QUANT_TYPES_H
#define MOTE_QUANT_TYPES_H

#include "base/real.h"
#include "base/status.h"

typedef struct {
    const char *name;    /* "f32" */
    int ggml_id;         /* the id in GGUF files */
    int file_type;       /* general.file_type of a model stored so */
    int block_values;    /* values in a block; rows are padded to whole blocks */
    int block_bytes;
    void (*to_f32)(const void *row, float *values, size_t n);
    void (*from_f32)(const float *values, void *row, size_t n); /* round to nearest even */
} mote_type_info;

const mote_type_info *mote_type_get(mote_type type); /* NULL: no such type */
const mote_type_info *mote_type_from_ggml(int ggml_id, mote_type *type); /* NULL: not known */
static inline size_t mote_row_bytes(mote_type type, size_t n) {
    const mote_type_info *info = mote_type_get(type);
    return (n + (size_t)info->block_values - 1) / (size_t)info->block_values * (size_t)info->block_bytes;
}

float mote_f16_to_f32(uint16_t half);
uint16_t mote_f32_to_f16(float value);
static inline float mote_bf16_to_f32(uint16_t half) {
    union { uint32_t bits; float value; } u = {.bits = (uint32_t)half << 16};
    return u.value;
}
uint16_t mote_f32_to_bf16(float value);

#endif
