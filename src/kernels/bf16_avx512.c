/* Training in bf16 with AVX-512 BF16: a vector is a pair of 16 columns, and vdpbf16ps adds both products of a pair to a
 * sum in f32, twice as many as fused multiply-adds do. */
#include "kernels/instruction_sets.h"

#ifdef MOTE_HAS_X86_KERNELS
#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"))), \
                             apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
#endif

#include "kernels/unroll.h"
#include "kernels/vector_avx512.h"

/* (rows, panels): 24 sums, 3 weights and a broadcast of 32 registers. 8 rows are half a panel of A. */
#define MOST_ROWS 8
#define MOST_PANELS 3
#define BF16_TILES(X) \
    X(1, 1) X(1, 2) X(1, 3) X(2, 1) X(2, 2) X(2, 3) X(3, 1) X(3, 2) X(3, 3) X(4, 1) X(4, 2) X(4, 3) \
    X(5, 1) X(5, 2) X(5, 3) X(6, 1) X(6, 2) X(6, 3) X(7, 1) X(7, 2) X(7, 3) X(8, 1) X(8, 2) X(8, 3)

typedef __m512i vp;

INLINE vp v_load_pairs(const uint32_t *p) { return _mm512_loadu_si512(p); }
INLINE void v_store_pairs(uint32_t *p, vp x, int count) {
    if (count >= VECTOR) _mm512_storeu_si512(p, x);
    else _mm512_mask_storeu_epi32(p, v_mask(count), x);
}
INLINE vp v_vp(vf x) { return _mm512_castps_si512(x); }
INLINE vf v_vf(vp x) { return _mm512_castsi512_ps(x); }
INLINE vp v_pairs(vf x, vf y) { return (vp)_mm512_cvtne2ps_pbh(y, x); }
INLINE vp v_join(vf x, vf y) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, v_pairs(x, y));
}
INLINE vf v_dot(vf sum, vp w, uint32_t a) {
    return _mm512_dpbf16_ps(sum, (__m512bh)w, (__m512bh)_mm512_set1_epi32((int)a));
}

#include "kernels/bf16.inc.h"

void mote_kernels_fill_bf16(mote_kernels *table) {
    table->name = "bf16";
    table->fast_bf16 = true;
    fill_bf16(table);
}

#ifdef __clang__
#pragma clang attribute pop
#endif
#else
void mote_kernels_fill_bf16(mote_kernels *table) { (void)table; }
#endif
