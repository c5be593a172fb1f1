/* XXH64 (Yann Collet): the checksum of tensors, headers and checkpoints. It finds accidents, not attackers. */
#ifndef MOTE_BASE_HASH_H
#define MOTE_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t mote_hash_bytes(const void *bytes, size_t n, uint64_t seed);

/* The same over bytes that come in pieces. */
typedef struct {
    uint64_t lane[4], total, seed;
    uint8_t held[32]; /* the last total % 32 bytes */
} mote_hash_state;
void mote_hash_init(mote_hash_state *state, uint64_t seed);
void mote_hash_update(mote_hash_state *state, const void *bytes, size_t n);
uint64_t mote_hash_value(const mote_hash_state *state); /* of all so far; more may follow */

#endif
