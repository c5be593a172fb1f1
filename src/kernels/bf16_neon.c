/* Training in bf16 in NEON of the base ARMv8-A, which has no product of it: operands are rounded by whole numbers and
 * multiplied in f32, as the reference does, bit for bit. */
#include "kernels/instruction_sets.h"

#ifdef MOTE_HAS_NEON_KERNELS
#include <arm_neon.h>

#include "kernels/unroll.h"
#include "kernels/vector_neon.h"

/* 4 rows of one panel are 16 sums, 8 weights and 2 broadcasts of 32 registers. */
#define MOST_ROWS 4
#define MOST_PANELS 1
#define BF16_TILES(X) X(1, 1) X(2, 1) X(3, 1) X(4, 1)

typedef uint32x4_t vp;

INLINE vp v_load_pairs(const uint32_t *p) { return vld1q_u32(p); }
INLINE void v_store_pairs(uint32_t *p, vp x, int count) {
    if (count >= VECTOR) {
        vst1q_u32(p, x);
        return;
    }
    uint32_t part[VECTOR];
    vst1q_u32(part, x);
    for (int i = 0; i < count; i++) p[i] = part[i];
}
INLINE vp v_vp(vf x) { return vreinterpretq_u32_f32(x); }
INLINE vf v_vf(vp x) { return vreinterpretq_f32_u32(x); }
/* To nearest even in the upper half; the lower half is anything. */
INLINE vp v_rounded(vf x) {
    uint32x4_t bits = v_vp(x), odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    uint32x4_t near = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
    uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000)), zero = vandq_u32(bits, vdupq_n_u32(0x80000000u));
    uint32x4_t is_tiny = vceqq_u32(vandq_u32(bits, vdupq_n_u32(0x7f800000)), vdupq_n_u32(0));
    return vbslq_u32(is_tiny, zero, vbslq_u32(vceqq_f32(x, x), near, quiet));
}
INLINE vp v_join(vf x, vf y) {
    return vbslq_u32(vdupq_n_u32(0xffff), vshrq_n_u32(v_rounded(x), 16), v_rounded(y));
}
INLINE vp v_pairs(vf x, vf y) {
    vf even, odd;
    v_split_pairs(x, y, &even, &odd);
    return v_join(even, odd);
}
INLINE vf v_dot(vf sum, vp w, uint32_t a) {
    vf even = v_vf(vshlq_n_u32(w, 16)), odd = v_vf(vandq_u32(w, vdupq_n_u32(0xffff0000u)));
    sum = v_fma(v_vf(vdupq_n_u32(a << 16)), even, sum);
    return v_fma(v_vf(vdupq_n_u32(a & 0xffff0000u)), odd, sum);
}

#include "kernels/bf16.inc.h"

void mote_kernels_fill_bf16_neon(mote_kernels *table) { fill_bf16(table); }
#endif
