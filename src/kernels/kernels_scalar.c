/* The scalar table: the reference that fills every slot, in plain C and in the number type of the build. */
#include "kernels/scalar.h"

void mote_kernels_fill_scalar(mote_kernels *table) {
    table->name = "scalar";
    mote_kernels_fill_gemm_scalar(table);
    mote_kernels_fill_blocks_scalar(table);
    mote_kernels_fill_bf16_scalar(table);
    mote_kernels_fill_rows_scalar(table);
    mote_kernels_fill_bf16_attention_scalar(table);
    mote_kernels_fill_elementwise_scalar(table);
}
