/* The products in NEON: the shared bodies over its vector words. */
#include "kernels/instruction_sets.h"

#ifdef MOTE_HAS_NEON_KERNELS
#include <arm_neon.h>
#include <string.h>

#include "kernels/vector_neon.h"

#include "kernels/gemm.inc.h"

void mote_kernels_fill_gemm_neon(mote_kernels *table) { fill_gemm(table); }
#endif
