/* The table of weight types: a row each, found by the public enum or by the id in a GGUF file. */
#include "quant/types.h"

#include "quant/rows.h"

static const mote_type_info types[MOTE_N_TYPES] = {
    [MOTE_TYPE_F32] = {"f32", 0, 0, 1, 4, mote_f32_row_to_f32, mote_f32_row_from_f32},
    [MOTE_TYPE_F16] = {"f16", 1, 1, 1, 2, mote_f16_row_to_f32, mote_f16_row_from_f32},
    [MOTE_TYPE_BF16] = {"bf16", 30, 32, 1, 2, mote_bf16_row_to_f32, mote_bf16_row_from_f32},
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
