/* The NEON table. Where the instruction set does not exist the scalar slots stay. */
#include "kernels/instruction_sets.h"

void mote_kernels_fill_neon(mote_kernels *table) {
#ifdef MOTE_HAS_NEON_KERNELS
    table->name = "neon";
    mote_kernels_fill_gemm_neon(table);
    mote_kernels_fill_blocks_neon(table);
    mote_kernels_fill_bf16_neon(table);
    mote_kernels_fill_rows_neon(table);
    mote_kernels_fill_bf16_attention_neon(table);
#else
    (void)table;
#endif
}
