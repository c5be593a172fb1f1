/* Attention over bf16 in NEON of the base ARMv8-A: a pair is two floats, made as it is loaded. */
#include "kernels/instruction_sets.h"

#ifdef MOTE_HAS_NEON_KERNELS
#include <arm_neon.h>
#include <math.h>

#include "kernels/unroll.h"
#include "kernels/vector_neon.h"

/* 4 rows of one panel are 16 sums, 8 halves of keys and 2 of a query of 32 registers. */
#define ATTEND_MOST_ROWS {0, 4, 1}
#define ATTEND_WIDEST_FEW 2
#define ATTEND_WIDEST_SCORES 1
#define ATTEND_WIDEST_SUMS 1
#define ATTEND_TILES(X) X(1, 1) X(2, 1) X(3, 1) X(4, 1) X(1, 2)

typedef uint32x4_t vw;
typedef struct { vf first, second; } vpair;

INLINE void v_store_pairs(uint32_t *p, vw pairs) { vst1q_u32(p, pairs); }
INLINE vf v_as_floats(vw pairs) { return vreinterpretq_f32_u32(pairs); }
INLINE vw v_as_pairs(vf x) { return vreinterpretq_u32_f32(x); }
INLINE vpair v_split(uint32x4_t pairs) {
    return (vpair){vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16)),
                   vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xffff0000)))};
}
INLINE vpair v_pairs(const uint32_t *p) { return v_split(vld1q_u32(p)); }
INLINE vpair v_pair(const uint32_t *p) { return v_split(vdupq_n_u32(*p)); }
INLINE vf v_dot2(vf sum, vpair a, vpair b) { return v_fma(a.second, b.second, v_fma(a.first, b.first, sum)); }
/* To bf16 in the upper halves; what stands in the lower ones does not matter. */
INLINE uint32x4_t v_rounded(vf x) {
    const uint32x4_t bits = vreinterpretq_u32_f32(x), even = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1)),
                     near = vaddq_u32(vaddq_u32(bits, even), vdupq_n_u32(0x7fff));
    return vbslq_u32(vceqq_f32(x, x), near, vorrq_u32(bits, vdupq_n_u32(0x400000)));
}
INLINE vw v_halves(vf sooner, vf later) {
    return vreinterpretq_u32_u16(
        vuzp2q_u16(vreinterpretq_u16_u32(v_rounded(sooner)), vreinterpretq_u16_u32(v_rounded(later))));
}
INLINE vw v_beside(vf low, vf high) {
    return vorrq_u32(vshrq_n_u32(v_rounded(low), 16), vandq_u32(v_rounded(high), vdupq_n_u32(0xffff0000)));
}

#include "kernels/bf16_attention.inc.h"

void mote_kernels_fill_bf16_attention_neon(mote_kernels *table) { fill_attention(table); }
#endif
