/* Which instruction sets this processor has, and the kernel table that follows from it. The table in use is filled
 * once, at the first mote_kernels_get or at each mote_cpu_restrict; afterwards it is only read. */
#include "kernels/kernels.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

/* The register files the operating system saves: a processor's flag alone does not make them usable. */
static uint64_t saved_state(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static unsigned detect(void) {
    unsigned a, b, c, d, mask = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    const unsigned needed = 1u << 27 /* OSXSAVE */ | 1u << 28 /* AVX */ | 1u << 12 /* FMA */ | 1u << 29 /* F16C */;
    if ((c & needed) != needed) return 0;
    uint64_t state = saved_state();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    if ((state & 6) == 6 && b >> 5 & 1) mask |= MOTE_CPU_AVX2; /* SSE and AVX state; AVX2 */
    const unsigned wide = 1u << 16 /* F */ | 1u << 17 /* DQ */ | 1u << 30 /* BW */ | 1u << 31 /* VL */;
    /* Bits 5 to 7: mask registers and both halves of the 512-bit file. */
    if (mask && (state & 0xe6) == 0xe6 && (b & wide) == wide) mask |= MOTE_CPU_AVX512;
    const unsigned integer = 1u << 1 /* VBMI */ | 1u << 11 /* VNNI */;
    if (mask & MOTE_CPU_AVX512 && (c & integer) == integer) mask |= MOTE_CPU_VNNI;
    if (mask & MOTE_CPU_AVX512 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 5 & 1) mask |= MOTE_CPU_BF16;
    return mask;
}
#elif defined(__aarch64__)
#ifdef __linux__
#include <sys/auxv.h>
static unsigned detect(void) { /* NEON is part of the base architecture */
    return MOTE_CPU_NEON | (getauxval(AT_HWCAP) >> 20 & 1 /* ASIMDDP */ ? MOTE_CPU_DOTPROD : 0);
}
#elif defined(__APPLE__)
static unsigned detect(void) { return MOTE_CPU_NEON | MOTE_CPU_DOTPROD; } /* every Apple processor with macOS has it */
#else
static unsigned detect(void) { return MOTE_CPU_NEON; }
#endif
#else
static unsigned detect(void) { return 0; }
#endif

unsigned mote_cpu_detect(void) { return detect(); }

void mote_kernels_fill(mote_kernels *table, unsigned mask) {
    mask &= detect();
    memset(table, 0, sizeof *table);
    mote_kernels_fill_scalar(table);
    if (mask & MOTE_CPU_AVX2) mote_kernels_fill_avx2(table);
    /* AVX-512 code leans on the AVX2 slots it does not overwrite. */
    const unsigned wide = MOTE_CPU_AVX2 | MOTE_CPU_AVX512;
    if ((mask & wide) == wide) mote_kernels_fill_avx512(table);
    if ((mask & wide) == wide && mask & MOTE_CPU_VNNI) mote_kernels_fill_vnni(table);
    if ((mask & wide) == wide && mask & MOTE_CPU_BF16) {
        mote_kernels_fill_bf16(table);
        mote_kernels_fill_bf16_attention_dot(table);
    }
    if (mask & MOTE_CPU_NEON) mote_kernels_fill_neon(table);
    if (mask & MOTE_CPU_NEON && mask & MOTE_CPU_DOTPROD) mote_kernels_fill_dotprod(table);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool ready;
static mote_kernels in_use;

const mote_kernels *mote_kernels_get(void) {
    if (atomic_load_explicit(&ready, memory_order_acquire)) return &in_use;
    pthread_mutex_lock(&lock);
    if (!atomic_load_explicit(&ready, memory_order_relaxed)) {
        mote_kernels_fill(&in_use, (unsigned)MOTE_CPU_ALL);
        atomic_store_explicit(&ready, true, memory_order_release);
    }
    pthread_mutex_unlock(&lock);
    return &in_use;
}

void mote_cpu_restrict(unsigned mask) {
    pthread_mutex_lock(&lock);
    mote_kernels_fill(&in_use, mask);
    atomic_store_explicit(&ready, true, memory_order_release);
    pthread_mutex_unlock(&lock);
}
