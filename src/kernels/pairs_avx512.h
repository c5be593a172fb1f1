/* Words for pairs of bf16 that AVX-512 with and without its bf16 instructions share (bf16_attention.inc.h), and the
 * tiles: 12 x 2 panels are 24 sums of 32 registers. */
#ifndef MOTE_KERNELS_PAIRS_AVX512_H
#define MOTE_KERNELS_PAIRS_AVX512_H

#define ATTEND_MOST_ROWS {0, 12, 12, 8, 6, 2, 2, 2, 2}
#define ATTEND_WIDEST_FEW 8
#define ATTEND_WIDEST_SCORES 2
#define ATTEND_WIDEST_SUMS 4
#define ATTEND_TILES(X) \
    X(1, 1) X(2, 1) X(3, 1) X(4, 1) X(5, 1) X(6, 1) X(7, 1) X(8, 1) X(9, 1) X(10, 1) X(11, 1) X(12, 1) \
    X(1, 2) X(2, 2) X(3, 2) X(4, 2) X(5, 2) X(6, 2) X(7, 2) X(8, 2) X(9, 2) X(10, 2) X(11, 2) X(12, 2) \
    X(1, 3) X(2, 3) X(3, 3) X(4, 3) X(5, 3) X(6, 3) X(7, 3) X(8, 3) \
    X(1, 4) X(2, 4) X(3, 4) X(4, 4) X(5, 4) X(6, 4) \
    X(1, 5) X(2, 5) X(1, 6) X(2, 6) X(1, 7) X(2, 7) X(1, 8) X(2, 8)

typedef __m512i vw;

INLINE void v_store_pairs(uint32_t *p, vw pairs) { _mm512_storeu_si512(p, pairs); }
INLINE vf v_as_floats(vw pairs) { return _mm512_castsi512_ps(pairs); }
INLINE vw v_as_pairs(vf x) { return _mm512_castps_si512(x); }
/* To bf16 in the upper halves; what stands in the lower ones does not matter. */
INLINE __m512i v_rounded(vf x) {
    const __m512i bits = _mm512_castps_si512(x),
                  even = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1)),
                  near = _mm512_add_epi32(_mm512_add_epi32(bits, even), _mm512_set1_epi32(0x7fff));
    return _mm512_mask_or_epi32(near, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), bits, _mm512_set1_epi32(0x400000));
}
INLINE vw v_beside(vf low, vf high) {
    return _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(v_rounded(low), 16), v_rounded(high));
}

#endif
