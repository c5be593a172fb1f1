/* The row conversions behind the type table, one pair a type. Rows and values need no alignment beyond their element's
 * and may lie in a mapped file: they are read with memcpy. */
#ifndef MOTE_QUANT_ROWS_H
#define MOTE_QUANT_ROWS_H

#include <stddef.h>

void mote_f32_row_to_f32(const void *row, float *values, size_t n);
void mote_f32_row_from_f32(const float *values, void *row, size_t n);
void mote_f16_row_to_f32(const void *row, float *values, size_t n);
void mote_f16_row_from_f32(const float *values, void *row, size_t n);
void mote_bf16_row_to_f32(const void *row, float *values, size_t n);
void mote_bf16_row_from_f32(const float *values, void *row, size_t n);

#endif
