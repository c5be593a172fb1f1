/* The products with 8-bit activations in AVX-512 with VNNI and VBMI: a vector is a whole panel, 16 columns x 4 weights
 * against 4 broadcast activations in one instruction. Weights are unsigned there, so a dot begins at minus their zero
 * point times the sum of the activations. */
#include "kernels/instruction_sets.h"

#ifdef MOTE_HAS_X86_KERNELS
#include <immintrin.h>
#include <string.h>

#ifdef __clang__
#pragma clang attribute push( \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi"))), \
    apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi")
#endif

#include "kernels/bytes.h"
#include "kernels/formulas.h"
#include "kernels/unroll.h"
#include "kernels/vector_avx512.h"

/* (rows, panels): 6 x 2 are 12 dots, 12 sums, 2 weights and what the scales need of 32 registers. */
#define MOST_ROWS 6
#define MOST_PANELS 2
#define FEW_ROWS 6
#define FEW_PANELS {4, 4, 2, 2, 2, 2}
#define BLOCK_TILES_FEW(X, type) \
    X(type, 1, 1) X(type, 1, 2) X(type, 1, 3) X(type, 1, 4) X(type, 2, 1) X(type, 2, 2) X(type, 2, 3) X(type, 2, 4) \
    X(type, 3, 1) X(type, 3, 2) X(type, 4, 1) X(type, 4, 2) X(type, 5, 1) X(type, 5, 2) X(type, 6, 1) X(type, 6, 2)
#define BLOCK_TILES_MANY(X, type)
#define HIGH_NIBBLES_FIRST 1

typedef __m512i vw, vdot;
typedef struct { __m512i even[2], odd[2]; } vtable; /* + 128 */

INLINE vf v_load_bytes(const uint8_t *p) { return _mm512_loadu_ps(p); }
INLINE vw v_bytes(const uint8_t *p) { return _mm512_loadu_si512(p); }
INLINE void v_store_bytes(uint8_t *p, vw w) { _mm512_storeu_si512(p, w); }
INLINE void v_nibbles(const uint8_t *p, vw *even, vw *odd) {
    const __m512i mask = _mm512_set1_epi8(15);
    __m512i both = _mm512_loadu_si512(p);
    *even = _mm512_and_si512(both, mask);
    *odd = _mm512_and_si512(_mm512_srli_epi16(both, 4), mask);
}
INLINE vw v_low_nibbles(vw both) { return _mm512_and_si512(both, _mm512_set1_epi8(15)); }
INLINE vw v_high_nibbles(vw both) { return _mm512_and_si512(both, _mm512_set1_epi8(-16)); } /* times 16 */
INLINE vtable v_table(const mote_pair_table *pairs) {
    const __m512i zero_point = _mm512_set1_epi8(-128);
    vtable t;
    for (int i = 0; i < 2; i++) {
        t.even[i] = _mm512_xor_si512(_mm512_loadu_si512(pairs->even + 64 * i), zero_point);
        t.odd[i] = _mm512_xor_si512(_mm512_loadu_si512(pairs->odd + 64 * i), zero_point);
    }
    return t;
}
/* The look-up reads the lowest 7 bits of a byte, so the highest may be anything. */
INLINE __m512i v_codes(const uint8_t *p) { return _mm512_loadu_si512(p); }
INLINE __m512i v_last_codes(const uint8_t *codes, const uint8_t *rest, int v) {
    (void)v;
    const __m512i shift = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(4), 1);
    __m512i low = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i_u *)rest));
    low = _mm512_srlv_epi16(low, shift);
    __m512i bit4 = _mm512_srli_epi16(_mm512_loadu_si512(codes), 3);
    __m512i bit5 = _mm512_srli_epi16(_mm512_loadu_si512(codes + MOTE_BLOCK_VECTOR), 2);
    __m512i bit6 = _mm512_srli_epi16(_mm512_loadu_si512(codes + 2 * MOTE_BLOCK_VECTOR), 1);
    /* 0xca: the first operand chooses between the other two */
    low = _mm512_ternarylogic_epi32(_mm512_set1_epi8(16), bit4, low, 0xca);
    low = _mm512_ternarylogic_epi32(_mm512_set1_epi8(32), bit5, low, 0xca);
    return _mm512_ternarylogic_epi32(_mm512_set1_epi8(64), bit6, low, 0xca);
}
INLINE void v_pairs(const vtable *t, __m512i codes, vw *even, vw *odd) {
    *even = _mm512_permutex2var_epi8(t->even[0], codes, t->even[1]);
    *odd = _mm512_permutex2var_epi8(t->odd[0], codes, t->odd[1]);
}
INLINE vf v_pair_scales(const uint8_t *p) {
    __m512i wide = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i_u *)p));
    wide = _mm512_add_epi32(_mm512_slli_epi32(wide, MOTE_PAIR_SCALE_SHIFT), _mm512_set1_epi32(MOTE_PAIR_SCALE_BITS));
    return _mm512_sub_ps(_mm512_castsi512_ps(wide), _mm512_set1_ps(0x1p-18f));
}

INLINE vdot v_dot_begin(bool nibbles, const mote_block8 *a) {
    return _mm512_slli_epi32(_mm512_set1_epi32(-a->sum), nibbles ? 3 : 7);
}
INLINE vdot v_dot_begin_high(const mote_block8 *a) { return v_dot_begin(false, a); }
INLINE vdot v_dot_high_done(vdot sum) { return _mm512_srai_epi32(sum, 4); }
INLINE vdot v_dot(bool nibbles, vdot sum, vw w, const int8_t *a) {
    (void)nibbles;
    int32_t four;
    memcpy(&four, a, sizeof four);
    return _mm512_dpbusd_epi32(sum, w, _mm512_set1_epi32(four));
}
INLINE vf v_dot_end(bool nibbles, vdot sum, const mote_block8 *a) {
    (void)nibbles, (void)a;
    return _mm512_cvtepi32_ps(sum);
}

INLINE uint32_t v_largest_bits(const float *x) {
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    __m512i low = _mm512_and_si512(_mm512_loadu_si512(x), magnitude),
            high = _mm512_and_si512(_mm512_loadu_si512(x + 16), magnitude);
    return _mm512_reduce_max_epu32(_mm512_max_epu32(low, high));
}
INLINE int32_t v_quantize(const float *x, float inverse, int8_t *code) {
    const __m512i lowest = _mm512_setr_epi64(0x3830282018100800, 0x7870686058504840, 0x3c342c241c140c04,
                                             0x7c746c645c544c44, 0, 0, 0, 0); /* bytes of the even dwords, of the odd */
    vf factor = v_set(inverse);
    __m512i low = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), factor)),
            high = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + 16), factor));
    _mm256_storeu_si256((__m256i_u *)code, _mm512_castsi512_si256(_mm512_permutex2var_epi8(low, lowest, high)));
    return _mm512_reduce_add_epi32(_mm512_add_epi32(low, high));
}

#include "kernels/blocks.inc.h"

void mote_kernels_fill_vnni(mote_kernels *table) {
    table->name = "vnni";
    fill_blocks(table);
}

#ifdef __clang__
#pragma clang attribute pop
#endif
#else
void mote_kernels_fill_vnni(mote_kernels *table) { (void)table; }
#endif
