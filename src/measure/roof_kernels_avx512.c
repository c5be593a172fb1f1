/* The roof's loops in AVX-512: F, and where the processor has them FP16, BF16 (vdpbf16ps) and VNNI (vpdpbusd). Each
 * function names the set it needs: a compiler given all of them for the file would be free to use any anywhere. */
#include "measure/roof_kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#include "mote/mote.h"

#define WIDE __attribute__((target("avx512f,avx512bw")))
#define WIDE_VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))
#define WIDE_FP16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512fp16")))
#define WIDE_BF16 __attribute__((target("avx512f,avx512bw,avx512bf16")))

/* Chains of 64 bytes; `sum` starts at `zero`, every round makes `step` of it. */
#define CHAINS(vector, zero, step)                                                                                     \
    vector sum[MOTE_ROOF_CHAINS];                                                                                      \
    for (int i = 0; i < MOTE_ROOF_CHAINS; i++) sum[i] = zero;                                                          \
    for (long r = 0; r < rounds; r++) {                                                                                \
        MOTE_ROOF_ROUND(step)                                                                                          \
    }

WIDE static float f32(long rounds) {
    __m512 factor = _mm512_set1_ps(0.5f), addend = _mm512_set1_ps(1);
#define STEP(i) sum[i] = _mm512_fmadd_ps(sum[i], factor, addend);
    CHAINS(__m512, _mm512_setzero_ps(), STEP)
#undef STEP
    for (int i = 1; i < MOTE_ROOF_CHAINS; i++) sum[0] = _mm512_add_ps(sum[0], sum[i]);
    return _mm512_cvtss_f32(sum[0]);
}

/* Written out: clang 14 has the instruction, but its header only for programs that demand it of every processor. */
WIDE_FP16 static float f16(long rounds) {
    __m512i factor = _mm512_set1_epi16(0x3800), addend = _mm512_set1_epi16(0x3c00); /* 0.5 and 1 */
#define STEP(i) __asm__("vfmadd213ph %2, %1, %0" : "+v"(sum[i]) : "v"(factor), "v"(addend));
    CHAINS(__m512i, _mm512_setzero_si512(), STEP)
#undef STEP
    for (int i = 1; i < MOTE_ROOF_CHAINS; i++) sum[0] = _mm512_xor_si512(sum[0], sum[i]);
    return (float)_mm_cvtsi128_si32(_mm512_castsi512_si128(sum[0]));
}

WIDE_BF16 static float bf16(long rounds) {
    union {
        __m512i bits;
        __m512bh pairs;
    } ones = {_mm512_set1_epi16(0x3f80)}, signs = {_mm512_set1_epi32((int)0xbf803f80)}; /* 1, 1 and 1, -1 */
#define STEP(i) sum[i] = _mm512_dpbf16_ps(sum[i], ones.pairs, signs.pairs);
    CHAINS(__m512, _mm512_setzero_ps(), STEP)
#undef STEP
    for (int i = 1; i < MOTE_ROOF_CHAINS; i++) sum[0] = _mm512_add_ps(sum[0], sum[i]);
    return _mm512_cvtss_f32(sum[0]);
}

WIDE_VNNI static float int8(long rounds) {
    __m512i a = _mm512_set1_epi8(1), b = _mm512_set1_epi8(2);
#define STEP(i) sum[i] = _mm512_dpbusd_epi32(sum[i], a, b);
    CHAINS(__m512i, _mm512_setzero_si512(), STEP)
#undef STEP
    for (int i = 1; i < MOTE_ROOF_CHAINS; i++) sum[0] = _mm512_add_epi32(sum[0], sum[i]);
    return (float)_mm_cvtsi128_si32(_mm512_castsi512_si128(sum[0]));
}

MOTE_ROOF_MEMORY_BODIES(WIDE, avx512, 512)

WIDE static void stream(void *to, size_t bytes, int value) {
    __m512i v = _mm512_set1_epi32(value), *p = to, *end = p + bytes / sizeof *p;
    for (; p < end; p += 4) {
        _mm512_stream_si512(p, v);
        _mm512_stream_si512(p + 1, v);
        _mm512_stream_si512(p + 2, v);
        _mm512_stream_si512(p + 3, v);
    }
    _mm_sfence();
}

void mote_roof_fill_avx512(mote_roof_kernels *table) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!(mote_cpu_detect() & MOTE_CPU_AVX512) || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    unsigned leaves = a;
    table->name = "avx512";
    table->f32 = f32;
    table->f32_round = MOTE_ROOF_CHAINS * 16 * 2.0;
    table->read = read_avx512;
    table->write = write_avx512;
    table->stream = stream;
    if (c >> 11 & 1) {
        table->int8 = int8;
        table->int8_round = MOTE_ROOF_CHAINS * 64 * 2.0;
    }
    if (d >> 23 & 1) {
        table->f16 = f16;
        table->f16_round = MOTE_ROOF_CHAINS * 32 * 2.0;
    }
    if (leaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1)) {
        table->bf16 = bf16;
        table->bf16_round = MOTE_ROOF_CHAINS * 32 * 2.0;
    }
}
#else
void mote_roof_fill_avx512(mote_roof_kernels *table) { (void)table; }
#endif
