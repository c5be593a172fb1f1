/* q3h and q43: 32 weights in 15 bytes, 3.75 bits each. Byte 0 is the scale; the 14 bytes behind it are 16 codes of 7
 * bits, lowest bit first: code i is bits 7i .. 7i + 6 and stands for weights 2i and 2i + 1, which are scale *
 * even[code] and scale * odd[code]. The two types differ in their tables only: q3h's 128 points are fitted in the
 * plane (tools/fit_codebook.py), q43's are 16 even levels times 8. Both are sorted by their even coordinate. */
#ifndef MOTE_QUANT_PAIRS_H
#define MOTE_QUANT_PAIRS_H

#include "quant/types.h"

enum {
    MOTE_PAIR_CODES = 128,
    MOTE_PAIR_BLOCK_VALUES = 32,
    MOTE_PAIR_BLOCK_BYTES = 15,
    MOTE_PAIR_SCALE_SHIFT = 19,
    MOTE_PAIR_SCALE_BITS = (127 - 18) << 23 /* of 2^-18 */
};

typedef struct {
    const int8_t *even, *odd; /* [128] each, by code */
} mote_pair_table;
const mote_pair_table *mote_pair_tables(mote_type type); /* of q3h or q43 */

/* An unsigned float of 4 bits of exponent and 4 of mantissa, less its smallest value so that 0 is zero: steps of 2^-22
 * up to 2^-18, of 1/16 to 1/32 of the value above, 0.242 at most. In a vector: shift, add, subtract. */
static inline float mote_pair_scale(uint8_t byte) {
    union { uint32_t bits; float value; } u;
    u.bits = ((uint32_t)byte << MOTE_PAIR_SCALE_SHIFT) + MOTE_PAIR_SCALE_BITS;
    return u.value - 0x1p-18f;
}

static inline int mote_pair_code(const uint8_t *block, int i) {
    int bit = 7 * i, at = 1 + bit / 8;
    unsigned two = block[at] | (at + 1 < MOTE_PAIR_BLOCK_BYTES ? (unsigned)block[at + 1] << 8 : 0);
    return (int)(two >> (bit & 7) & 127);
}

#endif
