/* The list of weight types: found by the public enum or by the id in a GGUF file. */
#include "quant/types.h"

#include "quant/block_codec.h"
#include "quant/rows.h"

#define FLOAT_ROWS(type) .to_f32 = mote_##type##_row_to_f32, .from_f32 = mote_##type##_row_from_f32
static const mote_type_info f32 = {"f32", 0, 0, 1, 4, FLOAT_ROWS(f32)};
static const mote_type_info f16 = {"f16", 1, 1, 1, 2, FLOAT_ROWS(f16)};
static const mote_type_info bf16 = {"bf16", 30, 32, 1, 2, FLOAT_ROWS(bf16)};

static const mote_type_info *const types[MOTE_N_TYPES] = {
    [MOTE_TYPE_F32] = &f32,
    [MOTE_TYPE_F16] = &f16,
    [MOTE_TYPE_BF16] = &bf16,
    [MOTE_TYPE_Q8_0] = &mote_type_q8_0,
    [MOTE_TYPE_Q4_0] = &mote_type_q4_0,
    [MOTE_TYPE_Q3H] = &mote_type_q3h,
    [MOTE_TYPE_Q43] = &mote_type_q43,
    [MOTE_TYPE_I8] = &mote_type_i8,
    [MOTE_TYPE_Q4_1] = &mote_type_q4_1,
    [MOTE_TYPE_Q5_0] = &mote_type_q5_0,
    [MOTE_TYPE_Q5_1] = &mote_type_q5_1,
    [MOTE_TYPE_Q2_K] = &mote_type_q2_k,
    [MOTE_TYPE_Q3_K] = &mote_type_q3_k,
    [MOTE_TYPE_Q4_K] = &mote_type_q4_k,
    [MOTE_TYPE_Q5_K] = &mote_type_q5_k,
    [MOTE_TYPE_Q6_K] = &mote_type_q6_k,
    [MOTE_TYPE_IQ4_NL] = &mote_type_iq4_nl,
};

const mote_type_info *mote_type_get(mote_type type) { return (unsigned)type < MOTE_N_TYPES ? types[type] : NULL; }

const mote_type_info *mote_type_from_ggml(int ggml_id, mote_type *type) {
    for (int i = 0; i < MOTE_N_TYPES; i++) {
        if (types[i]->ggml_id != ggml_id) continue;
        if (type) *type = (mote_type)i;
        return types[i];
    }
    return NULL;
}

bool mote_values_fit(mote_type type, const float *values, size_t n) {
    const float limit = mote_type_get(type)->largest;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]) || (limit > 0 && fabsf(values[i]) > limit)) return false;
    return true;
}

bool mote_row_is_finite(mote_type type, const void *row, size_t n) {
    const mote_type_info *info = mote_type_get(type);
    if (info->row_header_bytes == (int)sizeof(float)) {
        float scale;
        memcpy(&scale, row, sizeof scale);
        if (!isfinite(scale * 127)) return false;
    }
    if (!info->n_half_scales) return true;
    const uint8_t *block = (const uint8_t *)row + info->row_header_bytes;
    for (size_t at = 0; at < n; at += (size_t)info->block_values, block += info->block_bytes) {
        for (int i = 0; i < info->n_half_scales; i++) {
            const uint8_t *half = block + info->half_scale_at[i];
            if ((half[1] & 0x7c) == 0x7c) return false; /* all bits of the exponent */
        }
    }
    return true;
}
