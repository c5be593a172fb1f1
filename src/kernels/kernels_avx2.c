/* The AVX2 table. Where the instruction set does not exist the scalar slots stay. */
#include "kernels/instruction_sets.h"

void mote_kernels_fill_avx2(mote_kernels *table) {
#ifdef MOTE_HAS_X86_KERNELS
    table->name = "avx2";
    mote_kernels_fill_gemm_avx2(table);
    mote_kernels_fill_blocks_avx2(table);
    mote_kernels_fill_bf16_avx2(table);
    mote_kernels_fill_rows_avx2(table);
    mote_kernels_fill_bf16_attention_avx2(table);
#else
    (void)table;
#endif
}
