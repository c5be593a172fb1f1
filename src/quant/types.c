/* The table of weight types: a row each, found by the public enum or by the id in a GGUF file. */
#include "quant/types.h"

#include "quant/pairs.h"
#include "quant/rows.h"

#define FLOAT_ROWS(type) .to_f32 = mote_##type##_row_to_f32, .from_f32 = mote_##type##_row_from_f32

static const mote_type_info types[MOTE_N_TYPES] = {
    [MOTE_TYPE_F32] = {"f32", 0, 0, 1, 4, FLOAT_ROWS(f32)},
    [MOTE_TYPE_F16] = {"f16", 1, 1, 1, 2, FLOAT_ROWS(f16)},
    [MOTE_TYPE_BF16] = {"bf16", 30, 32, 1, 2, FLOAT_ROWS(bf16)},
    [MOTE_TYPE_Q8_0] = {"q8_0", 8, 7, 32, 34, .integer = true, .n_half_scales = 1},
    [MOTE_TYPE_Q4_0] = {"q4_0", 2, 2, 32, 18, .integer = true, .n_half_scales = 1},
    [MOTE_TYPE_Q3H] = {"q3h", 1001, 1001, MOTE_PAIR_BLOCK_VALUES, MOTE_PAIR_BLOCK_BYTES, .integer = true},
    [MOTE_TYPE_Q43] = {"q43", 1002, 1002, MOTE_PAIR_BLOCK_VALUES, MOTE_PAIR_BLOCK_BYTES, .integer = true},
    [MOTE_TYPE_I8] = {"i8", 1000, 1000, 32, 32, .row_header_bytes = 4, .integer = true},
    [MOTE_TYPE_Q4_1] = {"q4_1", 3, 3, 32, 20, .n_half_scales = 2, .half_scale_at = {0, 2}},
    [MOTE_TYPE_Q5_0] = {"q5_0", 6, 8, 32, 22, .n_half_scales = 1},
    [MOTE_TYPE_Q5_1] = {"q5_1", 7, 9, 32, 24, .n_half_scales = 2, .half_scale_at = {0, 2}},
    [MOTE_TYPE_Q2_K] = {"q2_k", 10, 10, 256, 84, .n_half_scales = 2, .half_scale_at = {80, 82}},
    [MOTE_TYPE_Q3_K] = {"q3_k", 11, 12, 256, 110, .n_half_scales = 1, .half_scale_at = {108}},
    [MOTE_TYPE_Q4_K] = {"q4_k", 12, 15, 256, 144, .n_half_scales = 2, .half_scale_at = {0, 2}},
    [MOTE_TYPE_Q5_K] = {"q5_k", 13, 17, 256, 176, .n_half_scales = 2, .half_scale_at = {0, 2}},
    [MOTE_TYPE_Q6_K] = {"q6_k", 14, 18, 256, 210, .n_half_scales = 1, .half_scale_at = {208}},
    [MOTE_TYPE_IQ4_NL] = {"iq4_nl", 20, 25, 32, 18, .n_half_scales = 1},
};

const mote_type_info *mote_type_get(mote_type type) { return (unsigned)type < MOTE_N_TYPES ? &types[type] : NULL; }

const mote_type_info *mote_type_from_ggml(int ggml_id, mote_type *type) {
    for (int i = 0; i < MOTE_N_TYPES; i++) {
        if (types[i].ggml_id != ggml_id) continue;
        if (type) *type = (mote_type)i;
        return &types[i];
    }
    return NULL;
}
