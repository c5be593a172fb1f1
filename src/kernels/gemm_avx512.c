/* The products in AVX-512 (F, BW, DQ, VL): the shared bodies over its vector words. */
#include "kernels/instruction_sets.h"

#ifdef MOTE_HAS_X86_KERNELS
#include <immintrin.h>
#include <string.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"))), \
                             apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")
#endif

#include "kernels/vector_avx512.h"

#include "kernels/gemm.inc.h"

void mote_kernels_fill_gemm_avx512(mote_kernels *table) { fill_gemm(table); }

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
