/* Random numbers with the same bits on every machine. The C library's log is not used: glibc picks variants with and
 * without fused multiply-add at run time, whose last bits differ. */
#include "base/random.h"

#include <math.h>

static uint64_t rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

void mote_random_seed(mote_random *random, uint64_t seed) {
    for (int i = 0; i < 4; i++) random->state[i] = mote_hash64(seed + (uint64_t)i * 0x9e3779b97f4a7c15u);
}

uint64_t mote_random_next(mote_random *random) {
    uint64_t *s = random->state;
    uint64_t result = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t mote_random_below(mote_random *random, uint64_t n) {
    /* The lowest 2^64 mod n values are refused, so that what is left is a multiple of n. */
    uint64_t refused = (0 - n) % n, x;
    do x = mote_random_next(random);
    while (x < refused);
    return x % n;
}

double mote_random_uniform(mote_random *random) { return (double)(mote_random_next(random) >> 11) * 0x1p-53; }

/* ln x for normal x > 0: x = 2^e m with m in [sqrt(1/2), sqrt(2)), ln m = 2 artanh((m - 1) / (m + 1)). The argument of
 * the series is at most 0.1716, so what follows its 11th term is below 2^-57. */
static double natural_log(double x) {
    int exponent;
    double m = frexp(x, &exponent);
    if (m < 0.70710678118654752) m *= 2, exponent--;
    double s = (m - 1) / (m + 1), z = s * s, sum = 0;
    for (int k = 21; k >= 1; k -= 2) sum = sum * z + 1.0 / k;
    return 2 * s * sum + exponent * 0.69314718055994531;
}

double mote_random_normal(mote_random *random) {
    double u, v, r;
    do {
        u = 2 * mote_random_uniform(random) - 1;
        v = 2 * mote_random_uniform(random) - 1;
        r = u * u + v * v;
    } while (r >= 1 || r == 0);
    return u * sqrt(-2 * natural_log(r) / r);
}
