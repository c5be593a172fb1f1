/* BPE over characters, with the pairs in the order of merges, and SentencePiece's, where any two neighbours that are a
 * token together may join, the best score first: llama.cpp's llm_tokenizer_spm. Both with a heap, n log n. */
#include <string.h>

#include "text/staged.h"

static uint64_t rank_of(mote_candidate c) { return (uint64_t)c.order << 32 | c.at; }

static void push(mote_encoder *e, mote_candidate item) {
    size_t i = e->heap_n++;
    while (i > 0 && rank_of(e->heap[(i - 1) / 2]) > rank_of(item)) {
        e->heap[i] = e->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    e->heap[i] = item;
}

static mote_candidate pop(mote_encoder *e) {
    mote_candidate top = e->heap[0], item = e->heap[--e->heap_n];
    size_t i = 0, n = e->heap_n;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && rank_of(e->heap[child + 1]) < rank_of(e->heap[child])) child++;
        if (rank_of(e->heap[child]) >= rank_of(item)) break;
        e->heap[i] = e->heap[child];
        i = child;
    }
    if (n) e->heap[i] = item;
    return top;
}

/* The token that the link and the one after it become, and in which order; false: they stay apart. */
static bool joined(const mote_encoder *e, const char *text, const mote_link *left, uint32_t *order, uint32_t *result) {
    const mote_tokenizer *t = e->tokenizer;
    if (left->next == MOTE_NO_INDEX) return false;
    const mote_link *right = &e->links[left->next];
    if (t->kind == MOTE_TOKENIZER_BPE) {
        if (left->symbol == MOTE_NO_INDEX || right->symbol == MOTE_NO_INDEX) return false;
        *order = mote_pair_map_find(&t->ranks, left->symbol, right->symbol);
        if (*order == MOTE_NO_INDEX) return false;
        *result = t->merges[*order].result;
        return true;
    }
    size_t size = (size_t)left->size + right->size;
    if (size > e->staged->longest) return false;
    *result = mote_string_set_find(&t->symbols, text + left->begin, size);
    if (!mote_token_is_text(t, *result)) return false;
    *order = e->staged->order[*result];
    return true;
}

static void push_pair(mote_encoder *e, const char *text, uint32_t at) {
    uint32_t order, result;
    if (joined(e, text, &e->links[at], &order, &result))
        push(e, (mote_candidate){order, at, e->links[at].size + e->links[e->links[at].next].size});
}

/* The symbol of one character; merges that mark the parts of words have it with its mark. */
static uint32_t first_symbol(const mote_encoder *e, const char *text, size_t n, bool begins, bool ends) {
    const mote_tokenizer *t = e->tokenizer;
    mote_string before = e->staged->pipeline.continuing_prefix, after = e->staged->pipeline.end_of_word;
    if (begins) before.size = 0;
    if (!ends) after.size = 0;
    if (before.size + after.size == 0)
        return n == 1 ? t->byte_symbol[(unsigned char)*text] : mote_string_set_find(&t->symbols, text, n);
    char marked[2 * MOTE_TOKEN_BYTES + 4]; /* the marks are checked to be no longer */
    memcpy(marked, before.bytes ? before.bytes : "", before.size);
    memcpy(marked + before.size, text, n);
    memcpy(marked + before.size + n, after.bytes ? after.bytes : "", after.size);
    return mote_string_set_find(&t->symbols, marked, before.size + n + after.size);
}

static size_t make_links(mote_encoder *e, const char *text, size_t n) {
    size_t count = 0;
    for (size_t at = 0; at < n; count++) {
        uint32_t point;
        size_t size = mote_character(text, n, at, &point);
        e->links[count] = (mote_link){.symbol = first_symbol(e, text + at, size, at == 0, at + size == n),
                                      .begin = (uint32_t)at,
                                      .size = (uint32_t)size,
                                      .previous = (uint32_t)count - 1, /* the first: MOTE_NO_INDEX */
                                      .next = at + size < n ? (uint32_t)count + 1 : MOTE_NO_INDEX};
        at += size;
    }
    return count;
}

bool mote_merge_encode(mote_encoder *e, const char *text, size_t n) {
    /* n - 1 candidates at first; each of at most n - 1 merges takes one and adds up to two */
    if (!mote_grow((void **)&e->links, &e->links_capacity, n, sizeof *e->links) ||
        !mote_grow((void **)&e->heap, &e->heap_capacity, 2 * n, sizeof *e->heap))
        return false;
    e->heap_n = 0;
    size_t count = make_links(e, text, n);
    for (size_t i = 0; i + 1 < count; i++) push_pair(e, text, (uint32_t)i);
    while (e->heap_n) {
        mote_candidate best = pop(e);
        mote_link *left = &e->links[best.at];
        uint32_t order, result;
        /* the pair may be gone: the link was joined to the one before (size 0) or has grown */
        if (left->size == 0 || left->next == MOTE_NO_INDEX || left->size + e->links[left->next].size != best.size ||
            !joined(e, text, left, &order, &result) || order != best.order)
            continue;
        mote_link *right = &e->links[left->next];
        left->symbol = result;
        left->size += right->size;
        left->next = right->next;
        right->size = 0;
        if (left->next != MOTE_NO_INDEX) e->links[left->next].previous = best.at;
        if (left->previous != MOTE_NO_INDEX) push_pair(e, text, left->previous);
        push_pair(e, text, best.at);
    }
    for (uint32_t i = 0; i != MOTE_NO_INDEX; i = e->links[i].next) {
        if (mote_token_is_text(e->tokenizer, e->links[i].symbol)) mote_emit(e, e->links[i].symbol);
        else mote_emit_unknown(e, text + e->links[i].begin, e->links[i].size);
    }
    return true;
}
