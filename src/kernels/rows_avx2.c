/* Rows, elementwise kernels and optimizers in AVX2 (with FMA and F16C): the shared bodies over its vector words. */
#include "kernels/instruction_sets.h"

#ifdef MOTE_HAS_X86_KERNELS
#include <immintrin.h>

#include "kernels/formulas.h"

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#endif

#include "kernels/vector_avx2.h"

#include "kernels/vector_math.inc.h"

#include "kernels/elementwise.inc.h"
#include "kernels/rows.inc.h"

#include "kernels/attend.inc.h"

void mote_attend_values_avx2(const mote_attend_tile *t) { sum_values(t); }

void mote_kernels_fill_rows_avx2(mote_kernels *table) {
    fill_rows(table);
    fill_elementwise(table);
    table->attend = attend;
}

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
