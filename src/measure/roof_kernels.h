/* The loops that the roof is measured with: nothing but multiply-adds in registers, reads, or writes. One filler of the
 * table for each instruction set; a slot that this processor cannot fill stays NULL. Loops return what they summed, so
 * that no compiler leaves them out. Buffers are 64-byte aligned and a multiple of MOTE_ROOF_BLOCK long. */
#ifndef MOTE_MEASURE_ROOF_KERNELS_H
#define MOTE_MEASURE_ROOF_KERNELS_H

#include <stddef.h>

enum { MOTE_ROOF_BLOCK = 1024, MOTE_ROOF_CHAINS = 12 }; /* chains: more than latency times pipes of any processor */

typedef float (*mote_roof_sum)(long rounds);

typedef struct {
    const char *name;
    mote_roof_sum f32, f16, bf16, int8;
    double f32_round, f16_round, bf16_round, int8_round; /* operations in a round */
    int (*read)(const void *from, size_t bytes, long rounds);
    void (*write)(void *to, size_t bytes, int value);
    void (*stream)(void *to, size_t bytes, int value); /* past the caches; NULL: as write */
} mote_roof_kernels;

/* Each overwrites the slots it has, where this processor can run them. */
void mote_roof_fill_plain(mote_roof_kernels *table);
void mote_roof_fill_avx2(mote_roof_kernels *table);
void mote_roof_fill_avx512(mote_roof_kernels *table);
void mote_roof_fill_neon(mote_roof_kernels *table);

/* The next words are for the files that fill a table. One round: every chain once; `step` is one multiply-add. */
#define MOTE_ROOF_ROUND(step)                                                                                          \
    step(0) step(1) step(2) step(3) step(4) step(5) step(6) step(7) step(8) step(9) step(10) step(11)

/* Reads and writes by vectors of the compiler, `bits` wide: the body is the same for every width. The empty statement
 * that may change memory keeps the rounds apart, and the writes from becoming a call of memset. */
#define MOTE_ROOF_MEMORY_BODIES(attribute, suffix, bits)                                                               \
    typedef int lanes_##suffix __attribute__((vector_size(bits / 8), may_alias));                                      \
    attribute static int read_##suffix(const void *from, size_t bytes, long rounds) {                                  \
        lanes_##suffix s0 = {0}, s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;                        \
        for (long r = 0; r < rounds; r++) {                                                                            \
            const lanes_##suffix *p = from, *end = p + bytes / sizeof *p;                                              \
            for (; p < end; p += 8) {                                                                                  \
                s0 += p[0], s1 += p[1], s2 += p[2], s3 += p[3];                                                        \
                s4 += p[4], s5 += p[5], s6 += p[6], s7 += p[7];                                                        \
            }                                                                                                          \
            __asm__ volatile("" ::: "memory");                                                                         \
        }                                                                                                              \
        s0 ^= s1 ^ s2 ^ s3 ^ s4 ^ s5 ^ s6 ^ s7;                                                                        \
        return s0[0] ^ s0[1] ^ s0[2] ^ s0[3];                                                                          \
    }                                                                                                                  \
    attribute static void write_##suffix(void *to, size_t bytes, int value) {                                          \
        lanes_##suffix *p = to, *end = p + bytes / sizeof *p, v = (lanes_##suffix){0} + value;                         \
        for (; p < end; p += 4) {                                                                                      \
            p[0] = v, p[1] = v, p[2] = v, p[3] = v;                                                                    \
            __asm__ volatile("" ::: "memory");                                                                         \
        }                                                                                                              \
    }

#endif
