/* Training in bf16 where no instruction multiplies it: operands are rounded by whole numbers and multiplied in f32, as
 * the reference does, bit for bit. */
#include "kernels/instruction_sets.h"

#ifdef MOTE_HAS_X86_KERNELS
#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#endif

#include "kernels/unroll.h"
#include "kernels/vector_avx2.h"

/* 4 rows of one panel are 8 sums, 4 weights and 2 broadcasts of 16 registers. */
#define MOST_ROWS 4
#define MOST_PANELS 1
#define BF16_TILES(X) X(1, 1) X(2, 1) X(3, 1) X(4, 1)

typedef __m256i vp;

INLINE vp v_load_pairs(const uint32_t *p) { return _mm256_loadu_si256((const __m256i_u *)p); }
INLINE void v_store_pairs(uint32_t *p, vp x, int count) {
    if (count >= VECTOR) _mm256_storeu_si256((__m256i_u *)p, x);
    else _mm256_maskstore_epi32((int *)p, v_mask(count), x);
}
INLINE vp v_vp(vf x) { return _mm256_castps_si256(x); }
INLINE vf v_vf(vp x) { return _mm256_castsi256_ps(x); }
/* To nearest even in the upper half; the lower half is anything. */
INLINE vp v_rounded(vf x) {
    const __m256i infinity = _mm256_set1_epi32(0x7f800000);
    __m256i bits = _mm256_castps_si256(x), odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i near = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    __m256i zero = _mm256_and_si256(bits, _mm256_set1_epi32(INT32_MIN));
    __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    __m256i is_tiny = _mm256_cmpeq_epi32(_mm256_and_si256(bits, infinity), _mm256_setzero_si256());
    return _mm256_blendv_epi8(_mm256_blendv_epi8(near, quiet, is_nan), zero, is_tiny);
}
INLINE vp v_join(vf x, vf y) {
    return _mm256_blend_epi16(_mm256_srli_epi32(v_rounded(x), 16), v_rounded(y), 0xaa);
}
INLINE vp v_pairs(vf x, vf y) {
    vf even, odd;
    v_split_pairs(x, y, &even, &odd);
    return v_join(even, odd);
}
INLINE vf v_dot(vf sum, vp w, uint32_t a) {
    vf even = v_vf(_mm256_slli_epi32(w, 16)), odd = v_vf(_mm256_and_si256(w, _mm256_set1_epi32((int)0xffff0000u)));
    sum = v_fma(v_vf(_mm256_set1_epi32((int)(a << 16))), even, sum);
    return v_fma(v_vf(_mm256_set1_epi32((int)(a & 0xffff0000u))), odd, sum);
}

#include "kernels/bf16.inc.h"

void mote_kernels_fill_bf16_avx2(mote_kernels *table) { fill_bf16(table); }

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
