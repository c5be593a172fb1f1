/* Byte-level BPE encoding of one piece: again and again the pair of lowest rank is merged, the leftmost first. Pieces
 * up to 64 bytes (nearly all) by searching an array, longer ones with a linked list and a heap: n log n, so that a
 * megabyte of one letter takes a fraction of a second. Both give the same tokens. */
#include "text/tokenizer_core.h"

enum { SHORT_PIECE = 64 };

static void emit(const mote_tokenizer *tokenizer, uint32_t symbol, mote_token_list *list) {
    if (mote_token_is_text(tokenizer, symbol)) {
        list->tokens[list->n++] = (int32_t)symbol;
        return;
    }
    size_t n; /* merges led to something that is no token: its bytes */
    const char *bytes = mote_string_set_get(&tokenizer->symbols, symbol, &n);
    for (size_t i = 0; i < n; i++) {
        uint32_t byte = tokenizer->byte_symbol[(unsigned char)bytes[i]];
        list->tokens[list->n++] = mote_token_is_text(tokenizer, byte) ? (int32_t)byte : tokenizer->unknown;
    }
}

static void encode_short(const mote_tokenizer *tokenizer, const unsigned char *piece, size_t n, mote_token_list *list) {
    uint32_t symbol[SHORT_PIECE], rank[SHORT_PIECE];
    const mote_pair_map *ranks = &tokenizer->ranks;
    for (size_t i = 0; i < n; i++) symbol[i] = tokenizer->byte_symbol[piece[i]];
    for (size_t i = 0; i + 1 < n; i++) rank[i] = mote_pair_map_find(ranks, symbol[i], symbol[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best]) best = i;
        if (rank[best] == MOTE_NO_INDEX) break;
        symbol[best] = tokenizer->merges[rank[best]].result;
        n--;
        for (size_t i = best + 1; i < n; i++) {
            symbol[i] = symbol[i + 1];
            rank[i - 1] = rank[i];
        }
        if (best > 0) rank[best - 1] = mote_pair_map_find(ranks, symbol[best - 1], symbol[best]);
        if (best + 1 < n) rank[best] = mote_pair_map_find(ranks, symbol[best], symbol[best + 1]);
    }
    for (size_t i = 0; i < n; i++) emit(tokenizer, symbol[i], list);
}

typedef struct {
    uint32_t symbol, previous, next; /* MOTE_NO_INDEX: none; a merged-away link has symbol MOTE_NO_INDEX */
} link;

typedef struct {
    uint32_t rank, at; /* valid while the pair at `at` still has this rank */
} candidate;

typedef struct {
    candidate *items;
    size_t n;
} heap;

static uint64_t order(candidate c) { return (uint64_t)c.rank << 32 | c.at; }

static void heap_push(heap *h, candidate item) {
    size_t i = h->n++;
    while (i > 0 && order(h->items[(i - 1) / 2]) > order(item)) {
        h->items[i] = h->items[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->items[i] = item;
}

static candidate heap_pop(heap *h) {
    candidate top = h->items[0], item = h->items[--h->n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->n) break;
        if (child + 1 < h->n && order(h->items[child + 1]) < order(h->items[child])) child++;
        if (order(h->items[child]) >= order(item)) break;
        h->items[i] = h->items[child];
        i = child;
    }
    if (h->n) h->items[i] = item;
    return top;
}

static uint32_t rank_at(const mote_tokenizer *tokenizer, const link *links, uint32_t at) {
    if (links[at].symbol == MOTE_NO_INDEX || links[at].next == MOTE_NO_INDEX) return MOTE_NO_INDEX;
    return mote_pair_map_find(&tokenizer->ranks, links[at].symbol, links[links[at].next].symbol);
}

static void push_pair(const mote_tokenizer *tokenizer, const link *links, heap *h, uint32_t at) {
    uint32_t rank = rank_at(tokenizer, links, at);
    if (rank != MOTE_NO_INDEX) heap_push(h, (candidate){rank, at});
}

static bool encode_long(const mote_tokenizer *tokenizer, const unsigned char *piece, size_t n, mote_token_list *list) {
    /* n - 1 candidates at first; each of at most n - 1 merges takes one and adds up to two */
    link *links = mote_allocate(n * sizeof *links);
    heap h = {mote_allocate(2 * n * sizeof(candidate)), 0};
    if (!links || !h.items) {
        mote_release(links);
        mote_release(h.items);
        return false;
    }
    for (size_t i = 0; i < n; i++)
        links[i] = (link){tokenizer->byte_symbol[piece[i]], i ? (uint32_t)i - 1 : MOTE_NO_INDEX,
                          i + 1 < n ? (uint32_t)i + 1 : MOTE_NO_INDEX};
    for (size_t i = 0; i < n; i++) push_pair(tokenizer, links, &h, (uint32_t)i);
    while (h.n) {
        candidate best = heap_pop(&h);
        if (rank_at(tokenizer, links, best.at) != best.rank) continue;
        link *left = &links[best.at], *right = &links[left->next];
        left->symbol = tokenizer->merges[best.rank].result;
        left->next = right->next;
        right->symbol = MOTE_NO_INDEX;
        if (left->next != MOTE_NO_INDEX) links[left->next].previous = best.at;
        if (left->previous != MOTE_NO_INDEX) push_pair(tokenizer, links, &h, left->previous);
        push_pair(tokenizer, links, &h, best.at);
    }
    for (uint32_t i = 0; i != MOTE_NO_INDEX; i = links[i].next) emit(tokenizer, links[i].symbol, list);
    mote_release(links);
    mote_release(h.items);
    return true;
}

bool mote_bpe_encode_piece(const mote_tokenizer *tokenizer, const char *piece, size_t n, mote_token_list *list) {
    if (n > SHORT_PIECE) return encode_long(tokenizer, (const unsigned char *)piece, n, list);
    encode_short(tokenizer, (const unsigned char *)piece, n, list);
    return true;
}
