/* The vector words of the shared kernel bodies (*.inc.h), spelled in AVX2 with FMA and F16C. See vector_avx512.h for
 * what they mean; `count` is how many of a vector's values exist. */
#ifndef MOTE_KERNELS_VECTOR_AVX2_H
#define MOTE_KERNELS_VECTOR_AVX2_H

#define INLINE static inline __attribute__((always_inline, unused))
enum { VECTOR = 8 };

/* Tiles of the products: (type, rows, panels). 6 rows of one panel are 12 sums, 2 weights and 1 broadcast of 16
 * registers. */
#define TILE_ROWS 6
#define TILE_PANELS 1
#define BLOCK_DEPTH 384 /* of a block */
#define EDGE_DEPTH 2    /* its first and last steps, which go row after row */
#define FEW_ROWS_PANELS {4, 2, 1, 1}
#define TILES_FEW(X, type) \
    X(type, 1, 1) X(type, 1, 2) X(type, 1, 3) X(type, 1, 4) X(type, 2, 1) X(type, 2, 2) X(type, 3, 1) X(type, 4, 1)
#define TILES_MANY(X) X(F32, 5, 1) X(F32, 6, 1)

typedef __m256 vf;
typedef struct { __m256d low, high; } vd;

INLINE __m256i v_mask(int count) {
    static const int32_t window[2 * VECTOR] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
    return _mm256_loadu_si256((const __m256i_u *)(window + VECTOR - count));
}
INLINE vf v_load(const float *p, int count) {
    return count >= VECTOR ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, v_mask(count));
}
INLINE void v_store(float *p, vf x, int count) {
    if (count >= VECTOR) _mm256_storeu_ps(p, x);
    else _mm256_maskstore_ps(p, v_mask(count), x);
}
INLINE vf v_hold(vf x) {
    __asm__("" : "+x"(x));
    return x;
}
INLINE vf v_set(float x) { return _mm256_set1_ps(x); }
INLINE vf v_add(vf a, vf b) { return _mm256_add_ps(a, b); }
INLINE vf v_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
INLINE vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
INLINE vf v_div(vf a, vf b) { return _mm256_div_ps(a, b); }
INLINE vf v_sqrt(vf a) { return _mm256_sqrt_ps(a); }
INLINE vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
INLINE vf v_keep(vf x, float fill, int count) {
    return count >= VECTOR ? x : _mm256_blendv_ps(v_set(fill), x, _mm256_castsi256_ps(v_mask(count)));
}
INLINE vf v_choose_less(vf a, vf b, vf x, vf y) { return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
INLINE vf v_round(vf x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE vf v_scale_exponent(vf x, vf n) {
    __m256i shift = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), shift));
}
INLINE float v_sum(vf x) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
INLINE float v_largest(vf x) {
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

INLINE vf v_evens_twice(vf x) { return _mm256_moveldup_ps(x); }
INLINE vf v_odds_twice(vf x) { return _mm256_movehdup_ps(x); }
INLINE vf v_swap_pairs(vf x) { return _mm256_permute_ps(x, 0xb1); }
INLINE vf v_set_pair(float even, float odd) { return _mm256_blend_ps(v_set(even), v_set(odd), 0xaa); }
INLINE void v_split_pairs(vf low, vf high, vf *evens, vf *odds) {
    __m256d even = _mm256_castps_pd(_mm256_shuffle_ps(low, high, 0x88)),
            odd = _mm256_castps_pd(_mm256_shuffle_ps(low, high, 0xdd));
    *evens = _mm256_castpd_ps(_mm256_permute4x64_pd(even, 0xd8)); /* the shuffles work in each half alone */
    *odds = _mm256_castpd_ps(_mm256_permute4x64_pd(odd, 0xd8));
}

INLINE vd d_zero(void) { return (vd){_mm256_setzero_pd(), _mm256_setzero_pd()}; }
INLINE vd d_fma(vf a, vf b, vd c) {
    __m256d low =
        _mm256_fmadd_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(a)), _mm256_cvtps_pd(_mm256_castps256_ps128(b)), c.low);
    __m256d high = _mm256_fmadd_pd(_mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)),
                                   _mm256_cvtps_pd(_mm256_extractf128_ps(b, 1)), c.high);
    return (vd){low, high};
}
INLINE vd d_add(vd a, vd b) { return (vd){_mm256_add_pd(a.low, b.low), _mm256_add_pd(a.high, b.high)}; }
INLINE double d_sum(vd x) {
    __m256d both = _mm256_add_pd(x.low, x.high);
    __m128d half = _mm_add_pd(_mm256_castpd256_pd128(both), _mm256_extractf128_pd(both, 1));
    return _mm_cvtsd_f64(_mm_add_sd(half, _mm_unpackhi_pd(half, half)));
}

INLINE vf v_load_f16(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i_u *)p)); }
INLINE vf v_load_bf16(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i_u *)p)), 16));
}

/* VECTOR columns of VECTOR rows, rows to columns. Halves of two rows are put together as they are loaded. */
INLINE void v_load_transposed(const float *rows, size_t row, vf out[8]) {
    for (int j = 0; j < 2; j++) {
        vf t[4];
        for (int i = 0; i < 4; i++) {
            const float *from = rows + (size_t)i * row + 4 * j;
            t[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from)), _mm_loadu_ps(from + 4 * row), 1);
        }
        vf a = _mm256_unpacklo_ps(t[0], t[1]), b = _mm256_unpackhi_ps(t[0], t[1]), c = _mm256_unpacklo_ps(t[2], t[3]),
           d = _mm256_unpackhi_ps(t[2], t[3]);
        out[4 * j] = _mm256_shuffle_ps(a, c, 0x44);
        out[4 * j + 1] = _mm256_shuffle_ps(a, c, 0xee);
        out[4 * j + 2] = _mm256_shuffle_ps(b, d, 0x44);
        out[4 * j + 3] = _mm256_shuffle_ps(b, d, 0xee);
    }
}

INLINE void v_transpose(vf r[8]) {
    vf t[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int j = 0; j < 4; j++) {
        vf low = _mm256_permute2f128_ps(r[j], r[j + 4], 0x20);
        r[j + 4] = _mm256_permute2f128_ps(r[j], r[j + 4], 0x31);
        r[j] = low;
    }
}

#endif
