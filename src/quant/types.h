/* Weight types: one row each in a table, one file each for the arithmetic. The public enum (mote_type) indexes the
 * table; the float types come first. A row of n values is its header (i8 only), then whole blocks: the last block is
 * padded with zeros, whatever n is. Rows need no alignment: they are read with memcpy and may lie in a mapped file. */
#ifndef MOTE_QUANT_TYPES_H
#define MOTE_QUANT_TYPES_H

#include "base/real.h"
#include "base/status.h"

enum {
    MOTE_N_FLOAT_TYPES = MOTE_TYPE_BF16 + 1,
    MOTE_FIRST_OWN_TYPE_ID = 1000, /* ids in files from here on are mote's own, not ggml's */
    MOTE_MOST_BLOCK_VALUES = 256,
};

typedef struct {
    const char *name;     /* "f32" */
    int ggml_id;          /* the id in GGUF files */
    int file_type;        /* general.file_type of a model stored so */
    int block_values;     /* values in a block; rows are padded to whole blocks */
    int block_bytes;
    int row_header_bytes; /* before a row's blocks: i8's f32 scale */
    bool integer;         /* runs against 8-bit activations; other block types are made f32 when a model is opened */
    int n_half_scales;    /* f16 scales in a block: what a damaged file could make NaN or infinite */
    int half_scale_at[2]; /* where they lie in it */
    void (*to_f32)(const void *row, float *values, size_t n);
    /* Floats: to nearest even. Blocks: the plain rule of the type's scale, as ggml's reference has it, then to nearest.
     * NULL: a type that is only read. */
    void (*from_f32)(const float *values, void *row, size_t n);
    /* The same row with scales searched so that sum_i importance[i] (values[i] - dequantized[i])^2 is small;
     * importance NULL: all 1. NULL: no better rule than from_f32 is known here. */
    void (*quantize)(const float *values, const float *importance, void *row, size_t n);
    /* Error-compensated rounding (GPTQ, Frantar 2022) encodes a row from left to right and moves the error of each
     * code onto the values to come, so the scale is fixed before its values are final. For every `at` = 0,
     * scale_values, 2 scale_values, ... (scale_values 0: only at = 0, for the whole row) call choose_scale with the n
     * values from there to the end of the block or the row: it stores the scale and clears the codes. Then call
     * encode_group for each multiple of code_values in the block: it stores the code nearest to values[0 ..
     * code_values - 1] and says what the code stands for. Nearest is by (e0 e1) M (e0 e1)^T with M = {m00, m01, m11}
     * where codes stand for pairs (metric NULL: the identity); single values need none. A pair that reaches past n
     * takes 0 for the value that is not there and m01 = m11 = 0. NULL: the type has no such form. */
    int scale_values, code_values;
    void (*choose_scale)(const float *values, const float *importance, size_t n, void *row, size_t at);
    void (*encode_group)(void *row, size_t at, const float *values, const float metric[3], float *dequantized);
} mote_type_info;

const mote_type_info *mote_type_get(mote_type type); /* NULL: no such type */
const mote_type_info *mote_type_from_ggml(int ggml_id, mote_type *type); /* NULL: not known */
static inline bool mote_type_is_float(mote_type type) { return (unsigned)type < MOTE_N_FLOAT_TYPES; }
static inline size_t mote_row_bytes(mote_type type, size_t n) {
    const mote_type_info *info = mote_type_get(type);
    return (size_t)info->row_header_bytes +
           (n + (size_t)info->block_values - 1) / (size_t)info->block_values * (size_t)info->block_bytes;
}
/* Every scale of a row of a block type is finite. Any other byte of a block is a valid code. */
bool mote_row_is_finite(mote_type type, const void *row, size_t n);

float mote_f16_to_f32(uint16_t half);
uint16_t mote_f32_to_f16(float value);
static inline float mote_bf16_to_f32(uint16_t half) {
    union { uint32_t bits; float value; } u = {.bits = (uint32_t)half << 16};
    return u.value;
}
uint16_t mote_f32_to_bf16(float value);

#endif
