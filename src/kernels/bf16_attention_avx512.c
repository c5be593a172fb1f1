/* Attention over bf16 in AVX-512 without its bf16 instructions: a pair is two floats, made as it is loaded. */
#include "kernels/instruction_sets.h"

#ifdef MOTE_HAS_X86_KERNELS
#include <immintrin.h>
#include <math.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"))), \
                             apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")
#endif

#include "kernels/unroll.h"
#include "kernels/vector_avx512.h"

#include "kernels/pairs_avx512.h"

typedef struct { vf first, second; } vpair;

INLINE vpair v_split(__m512i pairs) {
    return (vpair){_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)),
                   _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(-65536)))};
}
INLINE vpair v_pairs(const uint32_t *p) { return v_split(_mm512_loadu_si512(p)); }
INLINE vpair v_pair(const uint32_t *p) { return v_split(_mm512_set1_epi32((int32_t)*p)); }
INLINE vf v_dot2(vf sum, vpair a, vpair b) { return v_fma(a.second, b.second, v_fma(a.first, b.first, sum)); }
INLINE vw v_halves(vf sooner, vf later) {
    const __m512i odd = _mm512_add_epi16(_mm512_set1_epi16(1), _mm512_set_epi16(
        62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32, 30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8,
        6, 4, 2, 0));
    return _mm512_permutex2var_epi16(v_rounded(sooner), odd, v_rounded(later));
}

#include "kernels/bf16_attention.inc.h"

void mote_kernels_fill_bf16_attention_avx512(mote_kernels *table) { fill_attention(table); }

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
