/* The vector words of the shared kernel bodies (*.inc.h), spelled in NEON of the base ARMv8-A. See vector_avx512.h for
 * what they mean; `count` is how many of a vector's values exist. */
#ifndef MOTE_KERNELS_VECTOR_NEON_H
#define MOTE_KERNELS_VECTOR_NEON_H

#define INLINE static inline __attribute__((always_inline, unused))
enum { VECTOR = 4 };

/* Tiles of the products: (type, rows, panels). 6 rows of one panel are 24 sums, 4 weights and 1 broadcast of 32
 * registers. */
#define TILE_ROWS 6
#define TILE_PANELS 1
#define BLOCK_DEPTH 384 /* of a block */
#define EDGE_DEPTH 2    /* its first and last steps, which go row after row */
#define FEW_ROWS_PANELS {2, 2, 1, 1}
#define TILES_FEW(X, type) X(type, 1, 1) X(type, 1, 2) X(type, 2, 1) X(type, 2, 2) X(type, 3, 1) X(type, 4, 1)
#define TILES_MANY(X) X(F32, 5, 1) X(F32, 6, 1)

typedef float32x4_t vf;
typedef struct { float64x2_t low, high; } vd;

INLINE vf v_load(const float *p, int count) {
    if (count >= VECTOR) return vld1q_f32(p);
    float part[VECTOR] = {0};
    for (int i = 0; i < count; i++) part[i] = p[i];
    return vld1q_f32(part);
}
INLINE void v_store(float *p, vf x, int count) {
    if (count >= VECTOR) {
        vst1q_f32(p, x);
        return;
    }
    float part[VECTOR];
    vst1q_f32(part, x);
    for (int i = 0; i < count; i++) p[i] = part[i];
}
INLINE vf v_hold(vf x) {
    __asm__("" : "+w"(x));
    return x;
}
INLINE vf v_set(float x) { return vdupq_n_f32(x); }
INLINE vf v_add(vf a, vf b) { return vaddq_f32(a, b); }
INLINE vf v_sub(vf a, vf b) { return vsubq_f32(a, b); }
INLINE vf v_mul(vf a, vf b) { return vmulq_f32(a, b); }
INLINE vf v_div(vf a, vf b) { return vdivq_f32(a, b); }
INLINE vf v_sqrt(vf a) { return vsqrtq_f32(a); }
INLINE vf v_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
INLINE vf v_max(vf a, vf b) { return vmaxq_f32(a, b); }
INLINE vf v_keep(vf x, float fill, int count) {
    if (count >= VECTOR) return x;
    static const uint32_t window[2 * VECTOR] = {~0u, ~0u, ~0u, ~0u, 0, 0, 0, 0};
    return vbslq_f32(vld1q_u32(window + VECTOR - count), x, v_set(fill));
}
INLINE vf v_choose_less(vf a, vf b, vf x, vf y) { return vbslq_f32(vcltq_f32(a, b), x, y); }
INLINE vf v_round(vf x) { return vrndnq_f32(x); }
INLINE vf v_scale_exponent(vf x, vf n) {
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(x), vshlq_n_s32(vcvtnq_s32_f32(n), 23)));
}
INLINE float v_sum(vf x) { return vaddvq_f32(x); }
INLINE float v_largest(vf x) { return vmaxvq_f32(x); }

INLINE vf v_evens_twice(vf x) { return vtrn1q_f32(x, x); }
INLINE vf v_odds_twice(vf x) { return vtrn2q_f32(x, x); }
INLINE vf v_swap_pairs(vf x) { return vrev64q_f32(x); }
INLINE vf v_set_pair(float even, float odd) { return vtrn1q_f32(v_set(even), v_set(odd)); }
INLINE void v_split_pairs(vf low, vf high, vf *evens, vf *odds) {
    *evens = vuzp1q_f32(low, high);
    *odds = vuzp2q_f32(low, high);
}

INLINE vd d_zero(void) { return (vd){vdupq_n_f64(0), vdupq_n_f64(0)}; }
INLINE vd d_fma(vf a, vf b, vd c) {
    float64x2_t low = vfmaq_f64(c.low, vcvt_f64_f32(vget_low_f32(a)), vcvt_f64_f32(vget_low_f32(b)));
    return (vd){low, vfmaq_f64(c.high, vcvt_high_f64_f32(a), vcvt_high_f64_f32(b))};
}
INLINE vd d_add(vd a, vd b) { return (vd){vaddq_f64(a.low, b.low), vaddq_f64(a.high, b.high)}; }
INLINE double d_sum(vd x) { return vaddvq_f64(vaddq_f64(x.low, x.high)); }

INLINE vf v_load_f16(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
INLINE vf v_load_bf16(const uint16_t *p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }

INLINE void v_transpose(vf r[4]) {
    vf a = vtrn1q_f32(r[0], r[1]), b = vtrn2q_f32(r[0], r[1]), c = vtrn1q_f32(r[2], r[3]), d = vtrn2q_f32(r[2], r[3]);
    r[0] = vcombine_f32(vget_low_f32(a), vget_low_f32(c));
    r[1] = vcombine_f32(vget_low_f32(b), vget_low_f32(d));
    r[2] = vcombine_f32(vget_high_f32(a), vget_high_f32(c));
    r[3] = vcombine_f32(vget_high_f32(b), vget_high_f32(d));
}

/* VECTOR columns of VECTOR rows, rows to columns. */
INLINE void v_load_transposed(const float *rows, size_t row, vf out[4]) {
    for (int i = 0; i < 4; i++) out[i] = vld1q_f32(rows + (size_t)i * row);
    v_transpose(out);
}

#endif
