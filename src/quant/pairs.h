/* q3h and q43: 3.625 bits a weight and a byte a row. Byte 0 of a row is the range of its scales: the first in its
 * upper six bits (times 4), the logarithm of the step between them in the lower two. Then for each 64 weights, two
 * blocks: a byte with a nibble for the scale of either, the first in the low one, and twice 14 bytes of 16 codes of 7
 * bits, lowest bit first: code i is bits 7i .. 7i + 6 and stands for weights 2i and 2i + 1, scale * even[code] and
 * scale * odd[code]. A last block alone has a byte and 14. The types differ in their tables only: q3h's 128 points are
 * fitted in the plane (tools/fit_codebook.py), q43's are 16 even levels times 8; both sorted by the even coordinate. */
#ifndef MOTE_QUANT_PAIRS_H
#define MOTE_QUANT_PAIRS_H

#include "quant/types.h"

enum {
    MOTE_PAIR_CODES = 128,
    MOTE_PAIR_BLOCK_VALUES = 32,
    MOTE_PAIR_CODE_BYTES = 14,    /* of a block */
    MOTE_PAIR_DOUBLE_BYTES = 29,  /* of two blocks and their scales */
    MOTE_PAIR_HEADER_BYTES = 1,
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

/* The scale of nibble n in a row with this byte 0: none, or n - 1 steps above the first. */
static inline uint8_t mote_pair_scale_byte(uint8_t range, int nibble) {
    if (nibble == 0) return 0;
    const int byte = (range & 0xfc) + ((nibble - 1) << (range & 3));
    return (uint8_t)(byte < 255 ? byte : 255);
}
static inline size_t mote_pair_scale_at(size_t block) {
    return MOTE_PAIR_HEADER_BYTES + block / 2 * MOTE_PAIR_DOUBLE_BYTES;
}
static inline size_t mote_pair_codes_at(size_t block) {
    return mote_pair_scale_at(block) + 1 + block % 2 * MOTE_PAIR_CODE_BYTES;
}
static inline uint8_t mote_pair_scale_of(const uint8_t *row, size_t block) {
    return mote_pair_scale_byte(row[0], row[mote_pair_scale_at(block)] >> (block % 2 ? 4 : 0) & 15);
}

static inline int mote_pair_code(const uint8_t *codes, int i) {
    int bit = 7 * i, at = bit / 8;
    unsigned two = codes[at] | (at + 1 < MOTE_PAIR_CODE_BYTES ? (unsigned)codes[at + 1] << 8 : 0);
    return (int)(two >> (bit & 7) & 127);
}

#endif
