/* The roof's loops in AVX2 with FMA. */
#include "measure/roof_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "mote/mote.h"

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif

static float f32(long rounds) {
    __m256 factor = _mm256_set1_ps(0.5f), addend = _mm256_set1_ps(1), sum[MOTE_ROOF_CHAINS];
    for (int i = 0; i < MOTE_ROOF_CHAINS; i++) sum[i] = _mm256_setzero_ps();
    for (long r = 0; r < rounds; r++) {
#define STEP(i) sum[i] = _mm256_fmadd_ps(sum[i], factor, addend);
        MOTE_ROOF_ROUND(STEP)
#undef STEP
    }
    for (int i = 1; i < MOTE_ROOF_CHAINS; i++) sum[0] = _mm256_add_ps(sum[0], sum[i]);
    return _mm256_cvtss_f32(sum[0]);
}

MOTE_ROOF_MEMORY_BODIES(, avx2, 256)

static void stream(void *to, size_t bytes, int value) {
    __m256i v = _mm256_set1_epi32(value), *p = to, *end = p + bytes / sizeof *p;
    for (; p < end; p += 4) {
        _mm256_stream_si256(p, v);
        _mm256_stream_si256(p + 1, v);
        _mm256_stream_si256(p + 2, v);
        _mm256_stream_si256(p + 3, v);
    }
    _mm_sfence();
}

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC reset_options
#endif

void mote_roof_fill_avx2(mote_roof_kernels *table) {
    if (!(mote_cpu_detect() & MOTE_CPU_AVX2)) return;
    table->name = "avx2";
    table->f32 = f32;
    table->f32_round = MOTE_ROOF_CHAINS * 8 * 2.0;
    table->read = read_avx2;
    table->write = write_avx2;
    table->stream = stream;
}
#else
void mote_roof_fill_avx2(mote_roof_kernels *table) { (void)table; }
#endif
