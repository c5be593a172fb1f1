/* Rows, elementwise kernels and optimizers in AVX-512 (F, BW, DQ, VL): the shared bodies over its vector words. */
#include "kernels/instruction_sets.h"

#ifdef MOTE_HAS_X86_KERNELS
#include <immintrin.h>

#include "kernels/formulas.h"

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"))), \
                             apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")
#endif

#include "kernels/vector_avx512.h"

#include "kernels/vector_math.inc.h"

#include "kernels/elementwise.inc.h"
#include "kernels/rows.inc.h"

/* Heads of up to 8 columns would fill half of a vector, and a broadcast to all of it takes the place of two loads: 18
 * cycles a key for 4 x 2 queries instead of 7. */
#define ATTEND_VALUES(t) ((t)->a->columns <= VECTOR / 2 ? mote_attend_values_avx2 : sum_values)(t)

#include "kernels/attend.inc.h"

void mote_kernels_fill_rows_avx512(mote_kernels *table) {
    fill_rows(table);
    fill_elementwise(table);
    table->attend = attend;
}

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
