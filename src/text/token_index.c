/* An index of tokens: sorted by bytes, a shorter one before those it begins. */
#include "text/token_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

bool mote_token_index_add(mote_token_index *index, const char *bytes, size_t n, uint32_t id) {
    if (!mote_grow((void **)&index->entries, &index->capacity, index->n + 1, sizeof *index->entries)) return false;
    index->entries[index->n++] = (mote_index_entry){bytes, (uint32_t)n, id};
    return true;
}

static int compare(const void *a, const void *b) {
    const mote_index_entry *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->size < y->size ? x->size : y->size);
    if (order) return order;
    if (x->size != y->size) return x->size < y->size ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

void mote_token_index_sort(mote_token_index *index) {
    if (index->n) qsort(index->entries, index->n, sizeof *index->entries, compare);
    size_t at = 0;
    for (int byte = 0; byte < 256; byte++) {
        index->first[byte] = (uint32_t)at;
        while (at < index->n && (unsigned char)index->entries[at].bytes[0] == byte) at++;
    }
    index->first[256] = (uint32_t)index->n;
}

void mote_token_index_deinit(mote_token_index *index) {
    mote_release(index->entries);
    memset(index, 0, sizeof *index);
}

/* The first entry in [low, high) whose byte at `depth` is at least `byte`; entries that end there come first. */
static uint32_t lower(const mote_index_entry *entries, uint32_t low, uint32_t high, uint32_t depth, int byte) {
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int here = entries[middle].size > depth ? (unsigned char)entries[middle].bytes[depth] : -1;
        if (here < byte) low = middle + 1;
        else high = middle;
    }
    return low;
}

bool mote_index_step(const mote_token_index *index, mote_index_walk *walk, unsigned char byte) {
    if (walk->depth == 0) {
        if (index->n == 0) return false;
        walk->low = index->first[byte];
        walk->high = index->first[byte + 1];
    } else {
        walk->low = lower(index->entries, walk->low, walk->high, walk->depth, byte);
        walk->high = lower(index->entries, walk->low, walk->high, walk->depth, byte + 1);
    }
    walk->depth++;
    return walk->low < walk->high;
}

size_t mote_index_longest(const mote_token_index *index, const char *text, size_t n, uint32_t *id) {
    mote_index_walk walk = mote_index_begin(index);
    size_t longest = 0;
    for (size_t i = 0; i < n && mote_index_step(index, &walk, (unsigned char)text[i]); i++) {
        uint32_t here = mote_index_id(index, &walk);
        if (here == UINT32_MAX) continue;
        *id = here;
        longest = i + 1;
    }
    return longest;
}
