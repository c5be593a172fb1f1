/* The products with 8-bit activations in NEON with the dot products of ARMv8.2-A. */
#include "kernels/instruction_sets.h"

/* clang before 15 hides the instructions from files that are not built for them as a whole. */
#if defined(MOTE_HAS_NEON_KERNELS) && \
    (!defined(__clang__) || __clang_major__ >= 15 || defined(__ARM_FEATURE_DOTPROD))
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif
#include <arm_neon.h>
#include <string.h>

#include "kernels/bytes.h"
#include "kernels/formulas.h"
#include "kernels/unroll.h"
#include "kernels/vector_neon.h"

#define DOTPROD 1
#include "kernels/words_neon.inc.h"

#include "kernels/blocks.inc.h"

void mote_kernels_fill_dotprod(mote_kernels *table) {
    table->name = "dotprod";
    fill_blocks(table);
}

#ifdef __clang__
#pragma clang attribute pop
#endif
#else
void mote_kernels_fill_dotprod(mote_kernels *table) { (void)table; }
#endif
