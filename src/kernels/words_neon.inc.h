/* The words of the 8-bit products in NEON, with its dot products of 4 bytes (DOTPROD 1) or without. Weights are signed
 * in registers. Without, a product of bytes is at most 128 * 127 and two neighbours are added into 32 bits at once. */

#define MOST_PANELS 1
#define FEW_ROWS 2

typedef int8x16_t vw;
typedef struct { int8x16x4_t even[2], odd[2]; } vtable;

INLINE vf v_load_bytes(const uint8_t *p) { return vreinterpretq_f32_u8(vld1q_u8(p)); }
INLINE vw v_bytes(const uint8_t *p) { return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8(0x80))); }
INLINE void v_store_bytes(uint8_t *p, vw w) { vst1q_u8(p, veorq_u8(vreinterpretq_u8_s8(w), vdupq_n_u8(0x80))); }
INLINE void v_nibbles(const uint8_t *p, vw *even, vw *odd) {
    uint8x16_t both = vld1q_u8(p);
    *even = vsubq_s8(vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15))), vdupq_n_s8(8));
    *odd = vsubq_s8(vreinterpretq_s8_u8(vshrq_n_u8(both, 4)), vdupq_n_s8(8));
}
INLINE vtable v_table(const mote_pair_table *pairs) {
    vtable t;
    for (int i = 0; i < 8; i++) {
        t.even[i / 4].val[i % 4] = vld1q_s8(pairs->even + 16 * i);
        t.odd[i / 4].val[i % 4] = vld1q_s8(pairs->odd + 16 * i);
    }
    return t;
}
INLINE uint8x16_t v_codes(const uint8_t *p) { return vandq_u8(vld1q_u8(p), vdupq_n_u8(127)); }
INLINE uint8x16_t v_last_codes(const uint8_t *codes, const uint8_t *rest, int v) {
    uint8x16_t low = vld1q_u8(rest + v % 2 * 16);
    low = v < 2 ? vandq_u8(low, vdupq_n_u8(15)) : vshrq_n_u8(low, 4);
    low = vorrq_u8(low, vshlq_n_u8(vshrq_n_u8(vld1q_u8(codes), 7), 4));
    low = vorrq_u8(low, vshlq_n_u8(vshrq_n_u8(vld1q_u8(codes + MOTE_BLOCK_VECTOR), 7), 5));
    return vorrq_u8(low, vshlq_n_u8(vshrq_n_u8(vld1q_u8(codes + 2 * MOTE_BLOCK_VECTOR), 7), 6));
}
/* Codes beyond a table of 64 leave what is there. */
INLINE void v_pairs(const vtable *t, uint8x16_t codes, vw *even, vw *odd) {
    uint8x16_t upper = vsubq_u8(codes, vdupq_n_u8(64));
    *even = vqtbx4q_s8(vqtbl4q_s8(t->even[0], codes), t->even[1], upper);
    *odd = vqtbx4q_s8(vqtbl4q_s8(t->odd[0], codes), t->odd[1], upper);
}
INLINE vf v_pair_scales(const uint8_t *p) {
    uint32_t four;
    memcpy(&four, p, sizeof four);
    uint32x4_t wide = vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four))));
    wide = vaddq_u32(vshlq_n_u32(wide, MOTE_PAIR_SCALE_SHIFT), vdupq_n_u32(MOTE_PAIR_SCALE_BITS));
    return vsubq_f32(vreinterpretq_f32_u32(wide), vdupq_n_f32(0x1p-18f));
}

INLINE int8x16_t four_times(const int8_t *a) {
    int32_t four;
    memcpy(&four, a, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}
#define HIGH_NIBBLES_FIRST 0
#if DOTPROD
#define MOST_ROWS 4
#define FEW_PANELS {2, 1, 1, 1}
#define BLOCK_TILES_FEW(X, type) X(type, 1, 1) X(type, 1, 2) X(type, 2, 1)
#define BLOCK_TILES_MANY(X, type) X(type, 3, 1) X(type, 4, 1)
typedef int32x4_t vdot;
INLINE vdot v_dot_begin(bool nibbles, const mote_block8 *a) {
    (void)nibbles, (void)a;
    return vdupq_n_s32(0);
}
INLINE vdot v_dot(bool nibbles, vdot sum, vw w, const int8_t *a) {
    (void)nibbles;
    return vdotq_s32(sum, w, four_times(a));
}
INLINE vf v_dot_end(bool nibbles, vdot sum, const mote_block8 *a) {
    (void)nibbles, (void)a;
    return vcvtq_f32_s32(sum);
}
#else
#define MOST_ROWS 2
#define FEW_PANELS {1, 1}
#define BLOCK_TILES_FEW(X, type) X(type, 1, 1) X(type, 2, 1)
#define BLOCK_TILES_MANY(X, type)
typedef struct { int32x4_t low, high; } vdot; /* two sums for each column */
INLINE vdot v_dot_begin(bool nibbles, const mote_block8 *a) {
    (void)nibbles, (void)a;
    return (vdot){vdupq_n_s32(0), vdupq_n_s32(0)};
}
INLINE vdot v_dot(bool nibbles, vdot sum, vw w, const int8_t *a) {
    (void)nibbles;
    int8x16_t four = four_times(a);
    return (vdot){vpadalq_s16(sum.low, vmull_s8(vget_low_s8(w), vget_low_s8(four))),
                  vpadalq_s16(sum.high, vmull_high_s8(w, four))};
}
INLINE vf v_dot_end(bool nibbles, vdot sum, const mote_block8 *a) {
    (void)nibbles, (void)a;
    return vcvtq_f32_s32(vpaddq_s32(sum.low, sum.high));
}
#endif

INLINE uint32_t v_largest_bits(const float *x) {
    uint32x4_t largest = vdupq_n_u32(0);
    for (int i = 0; i < MOTE_BLOCK_VALUES; i += VECTOR)
        largest = vmaxq_u32(largest, vandq_u32(vreinterpretq_u32_f32(vld1q_f32(x + i)), vdupq_n_u32(0x7fffffff)));
    return vmaxvq_u32(largest);
}
INLINE int32_t v_quantize(const float *x, float inverse, int8_t *code) {
    int16x8_t q[4];
    for (int i = 0; i < 4; i++) {
        int32x4_t low = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 8 * i), inverse)),
                  high = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 8 * i + 4), inverse));
        q[i] = vmovn_high_s32(vmovn_s32(low), high);
    }
    int8x16_t first = vmovn_high_s16(vmovn_s16(q[0]), q[1]), second = vmovn_high_s16(vmovn_s16(q[2]), q[3]);
    vst1q_s8(code, vuzp1q_s8(first, second));
    vst1q_s8(code + 16, vuzp2q_s8(first, second));
    return vaddlvq_s8(first) + vaddlvq_s8(second);
}
