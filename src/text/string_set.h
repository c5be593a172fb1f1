/* The two hash tables of the tokenizers, open addressing at most half full: strings numbered in the order they came,
 * and pairs of numbers with a value. */
#ifndef MOTE_TEXT_STRING_SET_H
#define MOTE_TEXT_STRING_SET_H

#include <stdint.h>

#include "base/memory.h"
#include "base/random.h"

#define MOTE_NO_INDEX UINT32_MAX

typedef struct {
    size_t at, size; /* in the pool, where a NUL byte follows */
    uint64_t hash;
} mote_string_entry;

typedef struct { /* zeroed: empty */
    char *pool;
    size_t pool_size, pool_capacity;
    mote_string_entry *entries;
    size_t n, capacity;
    uint32_t *slots;
    size_t n_slots;
} mote_string_set;

/* The number of the string, which is added if it is new (*added may be NULL); MOTE_NO_INDEX: out of memory. */
uint32_t mote_string_set_add(mote_string_set *set, const char *bytes, size_t n, bool *added);
/* Numbers a string that mote_string_set_find shall not find; it may be there already. MOTE_NO_INDEX: out of memory. */
uint32_t mote_string_set_hide(mote_string_set *set, const char *bytes, size_t n);
uint32_t mote_string_set_find(const mote_string_set *set, const char *bytes, size_t n); /* MOTE_NO_INDEX: not there */
void mote_string_set_deinit(mote_string_set *set);

static inline const char *mote_string_set_get(const mote_string_set *set, uint32_t index, size_t *n) {
    *n = set->entries[index].size;
    return set->pool + set->entries[index].at;
}

typedef struct {
    uint64_t key;
    uint32_t value; /* MOTE_NO_INDEX: an empty slot */
} mote_pair_slot;

typedef struct { /* zeroed: empty */
    mote_pair_slot *slots;
    size_t n, n_slots;
} mote_pair_map;

/* The value of the pair, which becomes `value` if it is new; MOTE_NO_INDEX: out of memory. */
uint32_t mote_pair_map_add(mote_pair_map *map, uint32_t left, uint32_t right, uint32_t value);
void mote_pair_map_deinit(mote_pair_map *map);

static inline uint32_t mote_pair_map_find(const mote_pair_map *map, uint32_t left, uint32_t right) {
    if (map->n_slots == 0) return MOTE_NO_INDEX;
    uint64_t key = (uint64_t)left << 32 | right;
    size_t mask = map->n_slots - 1, slot = (size_t)mote_hash64(key) & mask;
    while (map->slots[slot].value != MOTE_NO_INDEX && map->slots[slot].key != key) slot = (slot + 1) & mask;
    return map->slots[slot].value;
}

#endif
