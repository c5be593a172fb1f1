/* The parts of each instruction set's table, one filler a file, and where they exist: the vector kernels are written
 * for float, so the double build runs the scalar reference alone. */
#ifndef MOTE_KERNELS_INSTRUCTION_SETS_H
#define MOTE_KERNELS_INSTRUCTION_SETS_H

#include "kernels/kernels.h"

#ifndef MOTE_REAL_DOUBLE
#if defined(__x86_64__)
#define MOTE_HAS_X86_KERNELS 1
#elif defined(__aarch64__)
#define MOTE_HAS_NEON_KERNELS 1
#endif
#endif

void mote_kernels_fill_gemm_avx2(mote_kernels *table);
void mote_kernels_fill_rows_avx2(mote_kernels *table);
void mote_kernels_fill_bf16_attention_avx2(mote_kernels *table);
void mote_kernels_fill_blocks_avx2(mote_kernels *table);
void mote_kernels_fill_bf16_avx2(mote_kernels *table);
void mote_kernels_fill_gemm_avx512(mote_kernels *table);
void mote_kernels_fill_rows_avx512(mote_kernels *table);
void mote_kernels_fill_bf16_attention_avx512(mote_kernels *table);
void mote_kernels_fill_blocks_neon(mote_kernels *table);
void mote_kernels_fill_gemm_neon(mote_kernels *table);
void mote_kernels_fill_rows_neon(mote_kernels *table);
void mote_kernels_fill_bf16_attention_neon(mote_kernels *table);
void mote_kernels_fill_bf16_neon(mote_kernels *table);

#endif
