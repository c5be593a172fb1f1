/* The parts of the scalar table, one filler a file. */
#ifndef MOTE_KERNELS_SCALAR_H
#define MOTE_KERNELS_SCALAR_H

#include "kernels/kernels.h"

void mote_kernels_fill_gemm_scalar(mote_kernels *table);
void mote_kernels_fill_blocks_scalar(mote_kernels *table);
void mote_kernels_fill_bf16_scalar(mote_kernels *table);
void mote_kernels_fill_rows_scalar(mote_kernels *table);
void mote_kernels_fill_bf16_attention_scalar(mote_kernels *table);
void mote_kernels_fill_elementwise_scalar(mote_kernels *table);

#endif
