/* The roof's loops in NEON. Streaming writes are stnp: a pair of registers with a hint that it is not read soon. */
#include "measure/roof_kernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>

/* Two chains in each step, 24 in all: four pipes of a latency of four need 16. */
static float f32(long rounds) {
    float32x4_t factor = vdupq_n_f32(0.5f), addend = vdupq_n_f32(0.25f), sum[2 * MOTE_ROOF_CHAINS];
    for (int i = 0; i < 2 * MOTE_ROOF_CHAINS; i++) sum[i] = vdupq_n_f32(0);
    for (long r = 0; r < rounds; r++) {
#define STEP(i)                                                                                                        \
    sum[i] = vfmaq_f32(sum[i], factor, addend);                                                                        \
    sum[i + MOTE_ROOF_CHAINS] = vfmaq_f32(sum[i + MOTE_ROOF_CHAINS], factor, addend);
        MOTE_ROOF_ROUND(STEP)
#undef STEP
    }
    for (int i = 1; i < 2 * MOTE_ROOF_CHAINS; i++) sum[0] = vaddq_f32(sum[0], sum[i]);
    return vgetq_lane_f32(sum[0], 0);
}

MOTE_ROOF_MEMORY_BODIES(, neon, 128)

static void stream(void *to, size_t bytes, int value) {
    int32x4_t v = vdupq_n_s32(value);
    for (char *p = to, *end = p + bytes; p < end; p += 64)
        __asm__ volatile("stnp %q0, %q0, [%1]\n\tstnp %q0, %q0, [%1, #32]" ::"w"(v), "r"(p) : "memory");
}

void mote_roof_fill_neon(mote_roof_kernels *table) {
    table->name = "neon";
    table->f32 = f32;
    table->f32_round = 2 * MOTE_ROOF_CHAINS * 4 * 2.0;
    table->read = read_neon;
    table->write = write_neon;
    table->stream = stream;
}
#else
void mote_roof_fill_neon(mote_roof_kernels *table) { (void)table; }
#endif
