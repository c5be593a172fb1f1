/* The vector words of the shared kernel bodies (*.inc.h), spelled in AVX-512. Included inside the target pragma of an
 * ISA file; every word is one to a few instructions. `count` is how many of a vector's values exist: bodies pass VECTOR
 * for whole vectors, which folds to a plain access. Values beyond `count` are read as zero and never touched in memory.
 */
#ifndef MOTE_KERNELS_VECTOR_AVX512_H
#define MOTE_KERNELS_VECTOR_AVX512_H

#define INLINE static inline __attribute__((always_inline, unused))
enum { VECTOR = 16 };

/* Tiles of the products: (type, rows, panels). 12 x 2 vectors are 24 sums, 2 weights and 1 broadcast of 32 registers;
 * few rows take more panels beside each other, since each sum waits 4 cycles for itself. */
#define TILE_ROWS 12
#define TILE_PANELS 2
#define BLOCK_DEPTH 512 /* of a block */
#define EDGE_DEPTH 4    /* its first and last steps, which go row after row */
#define FEW_ROWS_PANELS {8, 4, 4, 4}
#define TILES_FEW(X, type) \
    X(type, 1, 1) X(type, 1, 2) X(type, 1, 3) X(type, 1, 4) X(type, 1, 5) X(type, 1, 6) X(type, 1, 7) X(type, 1, 8) \
    X(type, 2, 1) X(type, 2, 2) X(type, 2, 3) X(type, 2, 4) X(type, 3, 1) X(type, 3, 2) X(type, 3, 3) X(type, 3, 4) \
    X(type, 4, 1) X(type, 4, 2) X(type, 4, 3) X(type, 4, 4)
#define TILES_MANY(X) \
    X(F32, 5, 1) X(F32, 5, 2) X(F32, 6, 1) X(F32, 6, 2) X(F32, 7, 1) X(F32, 7, 2) X(F32, 8, 1) X(F32, 8, 2) \
    X(F32, 9, 1) X(F32, 9, 2) X(F32, 10, 1) X(F32, 10, 2) X(F32, 11, 1) X(F32, 11, 2) X(F32, 12, 1) X(F32, 12, 2)

typedef __m512 vf;
typedef struct { __m512d low, high; } vd; /* the same values in double */

INLINE __mmask16 v_mask(int count) { return (__mmask16)((1u << count) - 1); }
INLINE vf v_load(const float *p, int count) {
    return count >= VECTOR ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(v_mask(count), p);
}
INLINE void v_store(float *p, vf x, int count) {
    if (count >= VECTOR) _mm512_storeu_ps(p, x);
    else _mm512_mask_storeu_ps(p, v_mask(count), x);
}
/* Stays in its register: gcc would load it again for each use, and a cycle has one load of 64 bytes. */
INLINE vf v_hold(vf x) {
    __asm__("" : "+v"(x));
    return x;
}
INLINE vf v_set(float x) { return _mm512_set1_ps(x); }
INLINE vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
INLINE vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
INLINE vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
INLINE vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
INLINE vf v_sqrt(vf a) { return _mm512_sqrt_ps(a); }
INLINE vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); } /* with a NaN: not specified */
/* x where the lane exists, else `fill`. */
INLINE vf v_keep(vf x, float fill, int count) {
    return count >= VECTOR ? x : _mm512_mask_blend_ps(v_mask(count), v_set(fill), x);
}
/* x where a < b, else y. */
INLINE vf v_choose_less(vf a, vf b, vf x, vf y) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
INLINE vf v_round(vf x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/* x * 2^n for an integer n that keeps the result normal. */
INLINE vf v_scale_exponent(vf x, vf n) {
    __m512i shift = _mm512_slli_epi32(_mm512_cvtps_epi32(n), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), shift));
}
INLINE float v_sum(vf x) {
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    quarter = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_movehdup_ps(quarter)));
}
INLINE float v_largest(vf x) {
    __m256 half = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 quarter = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    quarter = _mm_max_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_max_ss(quarter, _mm_movehdup_ps(quarter)));
}

/* Pairs of neighbours: (x0, x0, x2, x2, ...), (x1, x1, x3, x3, ...), (x1, x0, x3, x2, ...). */
INLINE vf v_evens_twice(vf x) { return _mm512_moveldup_ps(x); }
INLINE vf v_odds_twice(vf x) { return _mm512_movehdup_ps(x); }
INLINE vf v_swap_pairs(vf x) { return _mm512_permute_ps(x, 0xb1); }
INLINE vf v_set_pair(float even, float odd) { return _mm512_mask_blend_ps(0xaaaa, v_set(even), v_set(odd)); }
INLINE void v_split_pairs(vf low, vf high, vf *evens, vf *odds) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    *evens = _mm512_permutex2var_ps(low, even, high);
    *odds = _mm512_permutex2var_ps(low, _mm512_add_epi32(even, _mm512_set1_epi32(1)), high);
}

INLINE vd d_zero(void) { return (vd){_mm512_setzero_pd(), _mm512_setzero_pd()}; }
INLINE vd d_fma(vf a, vf b, vd c) { /* products of floats are exact in double */
    __m512d low =
        _mm512_fmadd_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(a)), _mm512_cvtps_pd(_mm512_castps512_ps256(b)), c.low);
    __m512d high = _mm512_fmadd_pd(_mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1)),
                                   _mm512_cvtps_pd(_mm512_extractf32x8_ps(b, 1)), c.high);
    return (vd){low, high};
}
INLINE vd d_add(vd a, vd b) { return (vd){_mm512_add_pd(a.low, b.low), _mm512_add_pd(a.high, b.high)}; }
INLINE double d_sum(vd x) {
    __m512d both = _mm512_add_pd(x.low, x.high);
    __m256d half = _mm256_add_pd(_mm512_castpd512_pd256(both), _mm512_extractf64x4_pd(both, 1));
    __m128d quarter = _mm_add_pd(_mm256_castpd256_pd128(half), _mm256_extractf128_pd(half, 1));
    return _mm_cvtsd_f64(_mm_add_sd(quarter, _mm_unpackhi_pd(quarter, quarter)));
}

/* VECTOR 16-bit weights as floats. */
INLINE vf v_load_f16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i_u *)p)); }
INLINE vf v_load_bf16(const uint16_t *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i_u *)p)), 16));
}

/* VECTOR columns of VECTOR rows, rows to columns. Quarters of four rows are put together as they are loaded, which
 * leaves two rounds of shuffles of four: packing 0.12 -> 0.10 ns a value. */
INLINE void v_load_transposed(const float *rows, size_t row, vf out[16]) {
    for (int j = 0; j < 4; j++) {
        vf t[4];
        for (int i = 0; i < 4; i++) {
            const float *from = rows + (size_t)i * row + 4 * j;
            t[i] = _mm512_castps128_ps512(_mm_loadu_ps(from));
            t[i] = _mm512_mask_broadcast_f32x4(t[i], 0x00f0, _mm_loadu_ps(from + 4 * row));
            t[i] = _mm512_mask_broadcast_f32x4(t[i], 0x0f00, _mm_loadu_ps(from + 8 * row));
            t[i] = _mm512_mask_broadcast_f32x4(t[i], 0xf000, _mm_loadu_ps(from + 12 * row));
        }
        vf a = _mm512_unpacklo_ps(t[0], t[1]), b = _mm512_unpackhi_ps(t[0], t[1]), c = _mm512_unpacklo_ps(t[2], t[3]),
           d = _mm512_unpackhi_ps(t[2], t[3]);
        out[4 * j] = _mm512_shuffle_ps(a, c, 0x44);
        out[4 * j + 1] = _mm512_shuffle_ps(a, c, 0xee);
        out[4 * j + 2] = _mm512_shuffle_ps(b, d, 0x44);
        out[4 * j + 3] = _mm512_shuffle_ps(b, d, 0xee);
    }
}

/* Rows to columns, in place: four rounds that exchange 1, 2, 4 and 8 neighbours. */
INLINE void v_transpose(vf r[16]) {
    vf t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 16; i += 8) {
        for (int j = 0; j < 4; j++) {
            t[i + j] = _mm512_shuffle_f32x4(r[i + j], r[i + j + 4], 0x88);
            t[i + j + 4] = _mm512_shuffle_f32x4(r[i + j], r[i + j + 4], 0xdd);
        }
    }
    for (int j = 0; j < 8; j++) {
        r[j] = _mm512_shuffle_f32x4(t[j], t[j + 8], 0x88);
        r[j + 8] = _mm512_shuffle_f32x4(t[j], t[j + 8], 0xdd);
    }
}

#endif
