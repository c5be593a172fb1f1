/* Attention over bf16 in AVX2: a pair is two floats, made as it is loaded. */
#include "kernels/instruction_sets.h"

#ifdef MOTE_HAS_X86_KERNELS
#include <immintrin.h>
#include <math.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#endif

#include "kernels/unroll.h"
#include "kernels/vector_avx2.h"

/* 4 rows of one panel are 8 sums, 4 halves of keys and 2 of a query of 16 registers. */
#define ATTEND_MOST_ROWS {0, 4, 2, 1, 1}
#define ATTEND_WIDEST_FEW 2
#define ATTEND_WIDEST_SCORES 1
#define ATTEND_WIDEST_SUMS 1
#define ATTEND_TILES(X) X(1, 1) X(2, 1) X(3, 1) X(4, 1) X(1, 2) X(2, 2)

typedef __m256i vw;
typedef struct { vf first, second; } vpair;

INLINE void v_store_pairs(uint32_t *p, vw pairs) { _mm256_storeu_si256((__m256i_u *)(void *)p, pairs); }
INLINE vf v_as_floats(vw pairs) { return _mm256_castsi256_ps(pairs); }
INLINE vw v_as_pairs(vf x) { return _mm256_castps_si256(x); }
INLINE vpair v_split(__m256i pairs) {
    return (vpair){_mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)),
                   _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(-65536)))};
}
INLINE vpair v_pairs(const uint32_t *p) { return v_split(_mm256_loadu_si256((const __m256i_u *)(const void *)p)); }
INLINE vpair v_pair(const uint32_t *p) { return v_split(_mm256_set1_epi32((int32_t)*p)); }
INLINE vf v_dot2(vf sum, vpair a, vpair b) { return v_fma(a.second, b.second, v_fma(a.first, b.first, sum)); }
/* To bf16 in the lower halves, the upper ones zero. */
INLINE __m256i v_rounded(vf x) {
    const __m256i bits = _mm256_castps_si256(x),
                  even = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1)),
                  near = _mm256_add_epi32(_mm256_add_epi32(bits, even), _mm256_set1_epi32(0x7fff)),
                  quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const vf nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    return _mm256_srli_epi32(
        _mm256_castps_si256(_mm256_blendv_ps(_mm256_castsi256_ps(near), _mm256_castsi256_ps(quiet), nan)), 16);
}
INLINE vw v_halves(vf sooner, vf later) { /* the packing works in each half alone */
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(v_rounded(sooner), v_rounded(later)), 0xd8);
}
INLINE vw v_beside(vf low, vf high) {
    return _mm256_or_si256(v_rounded(low), _mm256_slli_epi32(v_rounded(high), 16));
}

#include "kernels/bf16_attention.inc.h"

void mote_kernels_fill_bf16_attention_avx2(mote_kernels *table) { fill_attention(table); }

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
