/* The products with 8-bit activations in NEON of the base ARMv8-A. */
#include "kernels/instruction_sets.h"

#ifdef MOTE_HAS_NEON_KERNELS
#include <arm_neon.h>
#include <string.h>

#include "kernels/bytes.h"
#include "kernels/formulas.h"
#include "kernels/unroll.h"
#include "kernels/vector_neon.h"

#define DOTPROD 0
#include "kernels/words_neon.inc.h"

#include "kernels/blocks.inc.h"

void mote_kernels_fill_blocks_neon(mote_kernels *table) { fill_blocks(table); }
#endif
