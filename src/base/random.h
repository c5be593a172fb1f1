/* Random numbers that are the same everywhere: xoshiro256++ (Blackman, Vigna 2019) seeded by splitmix64, and a hash of
 * a counter for what must not depend on the order of threads (dropout). */
#ifndef MOTE_BASE_RANDOM_H
#define MOTE_BASE_RANDOM_H

#include <stdint.h>

typedef struct {
    uint64_t state[4];
} mote_random;

void mote_random_seed(mote_random *random, uint64_t seed);
uint64_t mote_random_next(mote_random *random);
uint64_t mote_random_below(mote_random *random, uint64_t n); /* unbiased, n > 0 */
double mote_random_uniform(mote_random *random);             /* [0, 1) */
/* Mean 0, deviation 1; polar method, no state beyond `random`. */
double mote_random_normal(mote_random *random);

static inline uint64_t mote_hash64(uint64_t x) { /* splitmix64's finalizer */
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

#endif
