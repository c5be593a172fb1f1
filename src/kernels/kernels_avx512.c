/* The AVX-512 table. Where the instruction set does not exist the scalar slots stay. */
#include "kernels/instruction_sets.h"

void mote_kernels_fill_avx512(mote_kernels *table) {
#ifdef MOTE_HAS_X86_KERNELS
    table->name = "avx512";
    mote_kernels_fill_gemm_avx512(table);
    mote_kernels_fill_rows_avx512(table);
    mote_kernels_fill_bf16_attention_avx512(table);
#else
    (void)table;
#endif
}
