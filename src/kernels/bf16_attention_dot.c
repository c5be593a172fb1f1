/* Attention over bf16 in AVX-512 with vdpbf16ps, which multiplies as many pairs as an FMA does floats. It takes
 * denormals for zero and rounds inside a pair as it likes, the same way every time. */
#include "kernels/instruction_sets.h"

#ifdef MOTE_HAS_X86_KERNELS
#include <immintrin.h>
#include <math.h>

#ifdef __clang__
#pragma clang attribute push( \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
#endif

#include "kernels/unroll.h"
#include "kernels/vector_avx512.h"

#include "kernels/pairs_avx512.h"

typedef __m512bh vpair;

INLINE vpair v_pairs(const uint32_t *p) { return (__m512bh)_mm512_loadu_si512(p); }
INLINE vpair v_pair(const uint32_t *p) { return (__m512bh)_mm512_set1_epi32((int32_t)*p); }
INLINE vf v_dot2(vf sum, vpair a, vpair b) { return _mm512_dpbf16_ps(sum, a, b); }
INLINE vw v_halves(vf sooner, vf later) { return (__m512i)_mm512_cvtne2ps_pbh(later, sooner); }

#include "kernels/bf16_attention.inc.h"

void mote_kernels_fill_bf16_attention_dot(mote_kernels *table) {
    table->name = "bf16";
    fill_attention(table);
}

#ifdef __clang__
#pragma clang attribute pop
#endif
#else
void mote_kernels_fill_bf16_attention_dot(mote_kernels *table) { (void)table; }
#endif
