/* Hash tables for strings and pairs. Numbers given to strings never change; pointers into the pool do when it grows. */
#include "text/string_set.h"

#include <string.h>

#include "base/hash.h"

#define HIDDEN UINT64_MAX /* the hash of what is not to be found */

static uint64_t hash_of(const char *bytes, size_t n) {
    uint64_t hash = mote_hash_bytes(bytes, n, 0);
    return hash == HIDDEN ? 0 : hash;
}

static size_t slot_of(const mote_string_set *set, const char *bytes, size_t n, uint64_t hash) {
    size_t mask = set->n_slots - 1, slot = (size_t)hash & mask;
    for (;; slot = (slot + 1) & mask) {
        uint32_t index = set->slots[slot];
        if (index == MOTE_NO_INDEX) return slot;
        const mote_string_entry *entry = &set->entries[index];
        if (entry->hash == hash && entry->size == n && memcmp(set->pool + entry->at, bytes, n) == 0) return slot;
    }
}

static bool grow_slots(mote_string_set *set) {
    size_t n_slots = set->n_slots ? 2 * set->n_slots : 64, bytes;
    if (!mote_multiply(n_slots, sizeof *set->slots, &bytes)) return false;
    uint32_t *slots = mote_allocate(bytes);
    if (!slots) return false;
    memset(slots, 0xFF, bytes);
    for (size_t i = 0; i < set->n; i++) {
        if (set->entries[i].hash == HIDDEN) continue;
        size_t slot = (size_t)set->entries[i].hash & (n_slots - 1);
        while (slots[slot] != MOTE_NO_INDEX) slot = (slot + 1) & (n_slots - 1);
        slots[slot] = (uint32_t)i;
    }
    mote_release(set->slots);
    set->slots = slots;
    set->n_slots = n_slots;
    return true;
}

/* The new string in the pool and among the entries; it gets its slot from the caller. */
static uint32_t append(mote_string_set *set, const char *bytes, size_t n, uint64_t hash) {
    size_t needed;
    if (set->n >= MOTE_NO_INDEX - 1) return MOTE_NO_INDEX;
    if (!mote_grow((void **)&set->entries, &set->capacity, set->n + 1, sizeof *set->entries)) return MOTE_NO_INDEX;
    if (!mote_add(set->pool_size, n, &needed) || !mote_add(needed, 1, &needed)) return MOTE_NO_INDEX;
    if (!mote_grow((void **)&set->pool, &set->pool_capacity, needed, 1)) return MOTE_NO_INDEX;
    if (n) memcpy(set->pool + set->pool_size, bytes, n);
    set->pool[needed - 1] = 0;
    set->entries[set->n] = (mote_string_entry){set->pool_size, n, hash};
    set->pool_size = needed;
    return (uint32_t)set->n++;
}

uint32_t mote_string_set_add(mote_string_set *set, const char *bytes, size_t n, bool *added) {
    uint64_t hash = hash_of(bytes, n);
    if (added) *added = false;
    if (set->n_slots) {
        size_t slot = slot_of(set, bytes, n, hash);
        if (set->slots[slot] != MOTE_NO_INDEX) return set->slots[slot];
    }
    if (2 * (set->n + 1) > set->n_slots && !grow_slots(set)) return MOTE_NO_INDEX;
    size_t slot = slot_of(set, bytes, n, hash);
    uint32_t index = append(set, bytes, n, hash);
    if (index == MOTE_NO_INDEX) return index;
    set->slots[slot] = index;
    if (added) *added = true;
    return index;
}

uint32_t mote_string_set_hide(mote_string_set *set, const char *bytes, size_t n) {
    /* room in the slots is for all entries, so that growing keeps to half full */
    if (2 * (set->n + 1) > set->n_slots && !grow_slots(set)) return MOTE_NO_INDEX;
    return append(set, bytes, n, HIDDEN);
}

uint32_t mote_string_set_find(const mote_string_set *set, const char *bytes, size_t n) {
    if (set->n_slots == 0) return MOTE_NO_INDEX;
    return set->slots[slot_of(set, bytes, n, hash_of(bytes, n))];
}

void mote_string_set_deinit(mote_string_set *set) {
    mote_release(set->pool);
    mote_release(set->entries);
    mote_release(set->slots);
    memset(set, 0, sizeof *set);
}

static void place(mote_pair_slot *slots, size_t n_slots, uint64_t key, uint32_t value) {
    size_t slot = (size_t)mote_hash64(key) & (n_slots - 1);
    while (slots[slot].value != MOTE_NO_INDEX) slot = (slot + 1) & (n_slots - 1);
    slots[slot] = (mote_pair_slot){key, value};
}

uint32_t mote_pair_map_add(mote_pair_map *map, uint32_t left, uint32_t right, uint32_t value) {
    uint32_t found = mote_pair_map_find(map, left, right);
    if (found != MOTE_NO_INDEX) return found;
    if (2 * (map->n + 1) > map->n_slots) {
        size_t n_slots = map->n_slots ? 2 * map->n_slots : 64, bytes;
        if (!mote_multiply(n_slots, sizeof *map->slots, &bytes)) return MOTE_NO_INDEX;
        mote_pair_slot *slots = mote_allocate(bytes);
        if (!slots) return MOTE_NO_INDEX;
        for (size_t i = 0; i < n_slots; i++) slots[i] = (mote_pair_slot){0, MOTE_NO_INDEX};
        for (size_t i = 0; i < map->n_slots; i++)
            if (map->slots[i].value != MOTE_NO_INDEX) place(slots, n_slots, map->slots[i].key, map->slots[i].value);
        mote_release(map->slots);
        map->slots = slots;
        map->n_slots = n_slots;
    }
    place(map->slots, map->n_slots, (uint64_t)left << 32 | right, value);
    map->n++;
    return value;
}

void mote_pair_map_deinit(mote_pair_map *map) {
    mote_release(map->slots);
    memset(map, 0, sizeof *map);
}
