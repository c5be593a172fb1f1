/* The strings of some tokens in order, walked byte by byte: all tokens that text begins with, shortest first, and the
 * longest of them. A step narrows a range by binary search; memory is 16 bytes a token whatever the tokens are. */
#ifndef MOTE_TEXT_TOKEN_INDEX_H
#define MOTE_TEXT_TOKEN_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where tokens are looked for from every byte of a text, longer ones are refused: text times length is the work. */
enum { MOTE_TOKEN_BYTES = 1024 };

typedef struct {
    const char *bytes; /* live as long as the index */
    uint32_t size, id;
} mote_index_entry;

typedef struct { /* zeroed: empty */
    mote_index_entry *entries;
    size_t n, capacity;
    uint32_t first[257]; /* entries that begin with byte b: [first[b], first[b + 1]) */
} mote_token_index;

bool mote_token_index_add(mote_token_index *index, const char *bytes, size_t n, uint32_t id); /* n: 1 ... */
void mote_token_index_sort(mote_token_index *index); /* after the last add */
void mote_token_index_deinit(mote_token_index *index);

typedef struct {
    uint32_t low, high, depth; /* entries that begin with the `depth` bytes walked so far */
} mote_index_walk;

static inline mote_index_walk mote_index_begin(const mote_token_index *index) {
    return (mote_index_walk){0, (uint32_t)index->n, 0};
}
/* False: no entry goes on with this byte, and the walk has ended. */
bool mote_index_step(const mote_token_index *index, mote_index_walk *walk, unsigned char byte);
/* The id of the entry that is what was walked; UINT32_MAX: none. */
static inline uint32_t mote_index_id(const mote_token_index *index, const mote_index_walk *walk) {
    if (walk->low >= walk->high || index->entries[walk->low].size != walk->depth) return UINT32_MAX;
    return index->entries[walk->low].id;
}
/* The longest entry that text begins with: its bytes, 0 for none. */
size_t mote_index_longest(const mote_token_index *index, const char *text, size_t n, uint32_t *id);

#endif
