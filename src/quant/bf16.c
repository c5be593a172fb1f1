/* bf16: the upper half of binary32. Rounding to nearest even, which may carry into infinity; NaN becomes quiet. */
#include "quant/rows.h"
#include "quant/types.h"

#include <string.h>

uint16_t mote_f32_to_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    /* A NaN whose payload is all in the lower half would otherwise become infinity. */
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

void mote_bf16_row_to_f32(const void *row, float *values, size_t n) {
    const char *bytes = row;
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, bytes + i * sizeof half, sizeof half);
        values[i] = mote_bf16_to_f32(half);
    }
}

void mote_bf16_row_from_f32(const float *values, void *row, size_t n) {
    char *bytes = row;
    for (size_t i = 0; i < n; i++) {
        uint16_t half = mote_f32_to_bf16(values[i]);
        memcpy(bytes + i * sizeof half, &half, sizeof half);
    }
}
