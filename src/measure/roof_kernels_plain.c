/* The roof's loops in plain C and the compiler's own vectors of 16 bytes: what is measured where there is neither
 * AVX2 nor NEON. Multiplication and addition are two instructions here. */
#include "measure/roof_kernels.h"

typedef float lanes __attribute__((vector_size(16)));

static float f32(long rounds) {
    lanes factor = {0.5f, 0.5f, 0.5f, 0.5f}, addend = {1, 1, 1, 1}, sum[MOTE_ROOF_CHAINS] = {{0}};
    for (long r = 0; r < rounds; r++) {
#define STEP(i) sum[i] = sum[i] * factor + addend;
        MOTE_ROOF_ROUND(STEP)
#undef STEP
    }
    for (int i = 1; i < MOTE_ROOF_CHAINS; i++) sum[0] += sum[i];
    return sum[0][0] + sum[0][3];
}

MOTE_ROOF_MEMORY_BODIES(, plain, 128)

void mote_roof_fill_plain(mote_roof_kernels *table) {
    table->name = "plain";
    table->f32 = f32;
    table->f32_round = MOTE_ROOF_CHAINS * 4 * 2.0;
    table->read = read_plain;
    table->write = write_plain;
}
