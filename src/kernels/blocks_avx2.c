/* The products with 8-bit activations in AVX2. Its multiply of bytes (vpmaddubsw) adds pairs with saturation to 16
 * bits: magnitudes of weights (up to 128) times signed activations (up to 127) reach 2 * 128 * 127 = 32512 and never
 * saturate, and nibbles stay in 16 bits for a whole block: 16 * 15 * 127 = 30480. So every dot is exact. */
#include "kernels/instruction_sets.h"

#ifdef MOTE_HAS_X86_KERNELS
#include <immintrin.h>
#include <string.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#endif

#include "kernels/bytes.h"
#include "kernels/formulas.h"
#include "kernels/unroll.h"
#include "kernels/vector_avx2.h"

/* 4 rows of one panel are 8 dots; the sums are in memory between blocks. */
#define MOST_ROWS 4
#define MOST_PANELS 1
#define FEW_ROWS 2
#define FEW_PANELS {2, 1, 1, 1}
#define BLOCK_TILES_FEW(X, type) X(type, 1, 1) X(type, 1, 2) X(type, 2, 1)
#define BLOCK_TILES_MANY(X, type) X(type, 3, 1) X(type, 4, 1)
#define HIGH_NIBBLES_FIRST 0

typedef struct { __m256i value, magnitude; } vw; /* nibbles: the magnitude alone, + 8 */
typedef __m256i vdot; /* of nibbles: pairs in 16 bits */
typedef struct { __m256i even[8], odd[8]; } vtable; /* 16 values each, in both halves */

INLINE vf v_load_bytes(const uint8_t *p) { return _mm256_loadu_ps((const float *)(const void *)p); }
INLINE __m256i load_256(const void *p) { return _mm256_loadu_si256((const __m256i_u *)p); }
INLINE vw v_signed(__m256i value) { return (vw){value, _mm256_abs_epi8(value)}; }
INLINE vw v_bytes(const uint8_t *p) { return v_signed(_mm256_xor_si256(load_256(p), _mm256_set1_epi8(-128))); }
INLINE void v_store_bytes(uint8_t *p, vw w) {
    _mm256_storeu_si256((__m256i_u *)p, _mm256_xor_si256(w.value, _mm256_set1_epi8(-128)));
}
INLINE void v_nibbles(const uint8_t *p, vw *even, vw *odd) {
    const __m256i mask = _mm256_set1_epi8(15);
    __m256i both = load_256(p);
    even->value = even->magnitude = _mm256_and_si256(both, mask);
    odd->value = odd->magnitude = _mm256_and_si256(_mm256_srli_epi16(both, 4), mask);
}
INLINE vtable v_table(const mote_pair_table *pairs) {
    vtable t;
    for (int i = 0; i < 8; i++) {
        t.even[i] = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i_u *)(pairs->even + 16 * i)));
        t.odd[i] = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i_u *)(pairs->odd + 16 * i)));
    }
    return t;
}
INLINE __m256i v_codes(const uint8_t *p) { return load_256(p); } /* the highest bit may be anything */
INLINE __m256i v_last_codes(const uint8_t *codes, const uint8_t *rest, int v) {
    __m256i low = load_256(rest);
    if (v) low = _mm256_srli_epi16(low, 4);
    __m256i bit4 = _mm256_and_si256(_mm256_srli_epi16(load_256(codes), 3), _mm256_set1_epi8(16));
    __m256i bit5 =
        _mm256_and_si256(_mm256_srli_epi16(load_256(codes + MOTE_BLOCK_VECTOR), 2), _mm256_set1_epi8(32));
    __m256i bit6 =
        _mm256_and_si256(_mm256_srli_epi16(load_256(codes + 2 * MOTE_BLOCK_VECTOR), 1), _mm256_set1_epi8(64));
    low = _mm256_and_si256(low, _mm256_set1_epi8(15));
    return _mm256_or_si256(_mm256_or_si256(low, bit4), _mm256_or_si256(bit5, bit6));
}
/* 128 values in 8 look-ups of 16, chosen from by bits 4, 5 and 6 of the codes. */
INLINE __m256i look_up(const __m256i table[8], __m256i codes) {
    __m256i low = _mm256_and_si256(codes, _mm256_set1_epi8(15)), of16[8];
    __m256i bit4 = _mm256_slli_epi16(codes, 3), bit5 = _mm256_slli_epi16(codes, 2), bit6 = _mm256_slli_epi16(codes, 1);
    UNROLL_BY(8)
    for (int i = 0; i < 8; i++) of16[i] = _mm256_shuffle_epi8(table[i], low);
    UNROLL_BY(4)
    for (int i = 0; i < 4; i++) of16[i] = _mm256_blendv_epi8(of16[2 * i], of16[2 * i + 1], bit4);
    __m256i first = _mm256_blendv_epi8(of16[0], of16[1], bit5), second = _mm256_blendv_epi8(of16[2], of16[3], bit5);
    return _mm256_blendv_epi8(first, second, bit6);
}
INLINE void v_pairs(const vtable *t, __m256i codes, vw *even, vw *odd) {
    *even = v_signed(look_up(t->even, codes));
    *odd = v_signed(look_up(t->odd, codes));
}
INLINE vf v_pair_scales(const uint8_t *p) {
    __m256i wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i_u *)p));
    wide = _mm256_add_epi32(_mm256_slli_epi32(wide, MOTE_PAIR_SCALE_SHIFT), _mm256_set1_epi32(MOTE_PAIR_SCALE_BITS));
    return _mm256_sub_ps(_mm256_castsi256_ps(wide), _mm256_set1_ps(0x1p-18f));
}

INLINE vdot v_dot_begin(bool nibbles, const mote_block8 *a) {
    (void)nibbles, (void)a;
    return _mm256_setzero_si256();
}
INLINE vdot v_dot(bool nibbles, vdot sum, vw w, const int8_t *a) {
    int32_t bytes;
    memcpy(&bytes, a, sizeof bytes);
    __m256i four = _mm256_set1_epi32(bytes);
    if (nibbles) {
        sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(w.magnitude, four));
    } else {
        __m256i pairs = _mm256_maddubs_epi16(w.magnitude, _mm256_sign_epi8(four, w.value));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
    /* gcc would add as a tree, with every product of a block in memory: twice the time. */
    __asm__("" : "+x"(sum));
    return sum;
}
INLINE vf v_dot_end(bool nibbles, vdot sum, const mote_block8 *a) {
    if (nibbles) sum = _mm256_sub_epi32(_mm256_madd_epi16(sum, _mm256_set1_epi16(1)), _mm256_set1_epi32(8 * a->sum));
    return _mm256_cvtepi32_ps(sum);
}

INLINE uint32_t v_largest_bits(const float *x) {
    __m256i largest = _mm256_setzero_si256();
    for (int i = 0; i < MOTE_BLOCK_VALUES; i += VECTOR)
        largest = _mm256_max_epu32(largest, _mm256_and_si256(load_256(x + i), _mm256_set1_epi32(0x7fffffff)));
    __m128i half = _mm_max_epu32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
    half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0x4e));
    return (uint32_t)_mm_cvtsi128_si32(_mm_max_epu32(half, _mm_shuffle_epi32(half, 0xb1)));
}
INLINE int32_t v_quantize(const float *x, float inverse, int8_t *code) {
    __m256i q[4];
    for (int i = 0; i < 4; i++)
        q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i * VECTOR), _mm256_set1_ps(inverse)));
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)); /* in order */
    bytes = _mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7,
                                                                                 9, 11, 13, 15)));
    _mm256_storeu_si256((__m256i_u *)code, _mm256_permute4x64_epi64(bytes, 0xd8));
    __m256i sum = _mm256_add_epi32(_mm256_add_epi32(q[0], q[1]), _mm256_add_epi32(q[2], q[3]));
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
}

#include "kernels/blocks.inc.h"

void mote_kernels_fill_blocks_avx2(mote_kernels *table) { fill_blocks(table); }

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
