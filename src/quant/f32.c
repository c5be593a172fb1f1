/* f32: IEEE 754 binary32, stored as it is computed with. */
#include "quant/rows.h"

#include <string.h>

void mote_f32_row_to_f32(const void *row, float *values, size_t n) {
    if (n) memmove(values, row, n * sizeof *values);
}

void mote_f32_row_from_f32(const float *values, void *row, size_t n) {
    if (n) memmove(row, values, n * sizeof *values);
}
