/* Weight types: one row each in a table, one file each for the arithmetic. The public enum (mote_type) indexes the
 * table; the float types come first. A row of n values is its header (i8 and pairs), then whole blocks, the last one
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
    int half_block_bytes; /* of a last block of which half or less is used; 0: it is whole */
    int row_header_bytes; /* before a row's blocks: i8's f32 scale, the range of the scales of pairs */
    bool integer;         /* runs against 8-bit activations; other block types are made f32 when a model is opened */
    int n_half_scales;    /* f16 scales in a block: what a damaged file could make NaN or infinite */
    int half_scale_at[2]; /* where they lie in it */
    float largest;        /* magnitude that a row can hold; 0: its scales say, see mote_row_is_finite */
    void (*to_f32)(const void *row, float *values, size_t n);
    /* Floats: to nearest even. Blocks: scales by a plain rule, that of ggml's reference in q8_0 to q5_1; then nearest.
     */
    void (*from_f32)(const float *values, void *row, size_t n);
    /* The same row with scales searched so that sum_i importance[i] (values[i] - dequantized[i])^2 is small;
     * importance NULL: all 1. NULL: no better rule than from_f32 is known here. */
    void (*quantize)(const float *values, const float *importance, void *row, size_t n);
    /* Stores the code nearest to values[0 .. code_values - 1] at value `at` of a row whose scales stand, and says what
     * it means; see mote_row_choose_scale. `at` is a multiple of code_values. Where codes stand for pairs, nearest is
     * by (e0 e1) M (e0 e1)^T with M = {m00, m01, m11}, positive (metric NULL: the identity); a pair that reaches past
     * the row takes 0 for the value that is not there. NULL: the type has no such form. */
    int code_values;
    void (*encode_group)(void *row, size_t at, const float *values, const float metric[3], float *dequantized);
    /* Of types whose blocks are no rows by themselves, see mote_row_choose_scale: what stands before the blocks, and
     * the scale of those of values at .. at + n - 1. */
    void (*begin_row)(const float *values, const float *importance, void *row, size_t n);
    void (*choose_scale)(const float *values, const float *importance, size_t n, void *row, size_t at);
} mote_type_info;

const mote_type_info *mote_type_get(mote_type type); /* NULL: no such type */
const mote_type_info *mote_type_from_ggml(int ggml_id, mote_type *type); /* NULL: not known */
static inline bool mote_type_is_float(mote_type type) { return (unsigned)type < MOTE_N_FLOAT_TYPES; }
/* Rows of a multiple of so many values are not padded. */
static inline size_t mote_row_unit(mote_type type) {
    const mote_type_info *info = mote_type_get(type);
    return (size_t)(info->half_block_bytes ? info->block_values / 2 : info->block_values);
}
static inline size_t mote_row_bytes(mote_type type, size_t n) {
    const mote_type_info *info = mote_type_get(type);
    const size_t values = (size_t)info->block_values, rest = n % values;
    const bool half = info->half_block_bytes && 2 * rest <= values;
    return (size_t)info->row_header_bytes + n / values * (size_t)info->block_bytes +
           (rest ? (size_t)(half ? info->half_block_bytes : info->block_bytes) : 0);
}
/* Error-compensated rounding (GPTQ, Frantar 2022) encodes a row from left to right and moves the error of each code
 * onto the values to come, so that the scale of a block must stand before its values are final. First begin_row, where
 * the type has it, with the values as they are; then for at = 0, span, 2 span, ... with span = mote_scale_span:
 * choose_scale with the values from there to the end of the span or of the row, then encode_group for each of their
 * groups. It is quantize for these values alone, and needs quantize. */
static inline size_t mote_scale_span(mote_type type, size_t n) {
    const mote_type_info *info = mote_type_get(type);
    return info->row_header_bytes && !info->choose_scale ? n : mote_row_unit(type);
}
static inline void mote_row_choose_scale(mote_type type, const float *values, const float *importance, size_t n,
                                         void *row, size_t at) {
    const mote_type_info *info = mote_type_get(type);
    size_t skipped = at / (size_t)info->block_values * (size_t)info->block_bytes;
    if (info->choose_scale) info->choose_scale(values, importance, n, row, at);
    else info->quantize(values, importance, (char *)row + skipped, n);
}

/* Whether values can be stored as rows of a block type: finite, and not beyond its largest. Scales of f16 may still
 * overflow: rows that were made are held against mote_row_is_finite. */
bool mote_values_fit(mote_type type, const float *values, size_t n);
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
