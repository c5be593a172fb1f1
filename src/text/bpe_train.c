/* Learns BPE merges: the most frequent pair of symbols becomes a symbol, again and again; of equally frequent pairs the
 * one with the lowest ids. Each pair has a list of the pieces it occurs in, so a merge touches only those, and a heap
 * with counts that may be too old: an entry is checked when it comes up. 10 MB of English take about a second. */
#include "text/learner.h"

typedef struct {
    uint32_t left, right;
    int64_t count, queued; /* occurrences; as the newest heap entry says (0: none) */
    uint32_t pieces;       /* first occurrence, or MOTE_NO_INDEX */
    uint32_t changed;      /* the merge that last added to it */
    bool merged;
} pair;

typedef struct {
    uint32_t piece, next;
} occurrence;

typedef struct {
    int64_t count;
    uint32_t pair;
} queued;

typedef struct {
    const mote_learner *learner;
    uint32_t *symbols; /* of all pieces, one after the other */
    size_t *begin;     /* [pieces] */
    uint32_t *length;  /* [pieces] now */
    pair *pairs;
    size_t n_pairs, pairs_capacity;
    mote_pair_map pair_of;
    occurrence *occurrences;
    size_t n_occurrences, occurrences_capacity;
    uint32_t free_occurrence;
    queued *heap;
    size_t n_heap, heap_capacity;
    uint32_t *changed; /* pairs the current merge added to */
    size_t n_changed, changed_capacity;
    uint32_t n_merges;
} trainer;

/* ---- heap ----------------------------------------------------------------------------------------------------- */

static bool comes_first(const trainer *t, queued a, queued b) {
    if (a.count != b.count) return a.count > b.count;
    const pair *x = &t->pairs[a.pair], *y = &t->pairs[b.pair];
    return x->left != y->left ? x->left < y->left : x->right < y->right;
}

static bool heap_push(trainer *t, uint32_t index) {
    if (!mote_grow((void **)&t->heap, &t->heap_capacity, t->n_heap + 1, sizeof *t->heap)) return false;
    queued item = {t->pairs[index].count, index};
    t->pairs[index].queued = item.count;
    size_t i = t->n_heap++;
    while (i > 0 && comes_first(t, item, t->heap[(i - 1) / 2])) {
        t->heap[i] = t->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    t->heap[i] = item;
    return true;
}

static queued heap_pop(trainer *t) {
    queued top = t->heap[0], item = t->heap[--t->n_heap];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= t->n_heap) break;
        if (child + 1 < t->n_heap && comes_first(t, t->heap[child + 1], t->heap[child])) child++;
        if (!comes_first(t, t->heap[child], item)) break;
        t->heap[i] = t->heap[child];
        i = child;
    }
    if (t->n_heap) t->heap[i] = item;
    return top;
}

/* The most frequent pair, or MOTE_NO_INDEX when none occurs twice. */
static bool best_pair(trainer *t, uint32_t *best) {
    *best = MOTE_NO_INDEX;
    while (t->n_heap) {
        queued top = heap_pop(t);
        pair *p = &t->pairs[top.pair];
        if (p->merged || top.count != p->queued) continue;
        if (p->count == top.count) {
            *best = top.pair;
            return true;
        }
        p->queued = 0;
        if (p->count >= 2 && !heap_push(t, top.pair)) return false;
    }
    return true;
}

/* ---- pairs ---------------------------------------------------------------------------------------------------- */

static bool add_occurrence(trainer *t, pair *p, uint32_t piece) {
    if (p->pieces != MOTE_NO_INDEX && t->occurrences[p->pieces].piece == piece) return true;
    uint32_t node = t->free_occurrence;
    if (node != MOTE_NO_INDEX) {
        t->free_occurrence = t->occurrences[node].next;
    } else {
        if (t->n_occurrences >= MOTE_NO_INDEX - 1) return false;
        if (!mote_grow((void **)&t->occurrences, &t->occurrences_capacity, t->n_occurrences + 1,
                       sizeof *t->occurrences))
            return false;
        node = (uint32_t)t->n_occurrences++;
    }
    t->occurrences[node] = (occurrence){piece, p->pieces};
    p->pieces = node;
    return true;
}

static bool add_pair(trainer *t, uint32_t left, uint32_t right, uint32_t piece) {
    uint32_t index = mote_pair_map_add(&t->pair_of, left, right, (uint32_t)t->n_pairs);
    if (index == MOTE_NO_INDEX) return false;
    if (index == t->n_pairs) {
        if (!mote_grow((void **)&t->pairs, &t->pairs_capacity, t->n_pairs + 1, sizeof *t->pairs)) return false;
        t->pairs[t->n_pairs++] =
            (pair){.left = left, .right = right, .pieces = MOTE_NO_INDEX, .changed = MOTE_NO_INDEX};
    }
    pair *p = &t->pairs[index];
    if (p->merged) return true;
    p->count += t->learner->counts[piece];
    if (p->changed != t->n_merges) {
        if (!mote_grow((void **)&t->changed, &t->changed_capacity, t->n_changed + 1, sizeof *t->changed)) return false;
        t->changed[t->n_changed++] = index;
        p->changed = t->n_merges;
    }
    return add_occurrence(t, p, piece);
}

static void remove_pair(trainer *t, uint32_t left, uint32_t right, uint32_t piece) {
    uint32_t index = mote_pair_map_find(&t->pair_of, left, right);
    if (index != MOTE_NO_INDEX) t->pairs[index].count -= t->learner->counts[piece];
}

/* Queues the pairs the last merge added to. */
static bool queue_changed(trainer *t) {
    for (size_t i = 0; i < t->n_changed; i++) {
        const pair *p = &t->pairs[t->changed[i]];
        if (p->count >= 2 && p->count > p->queued && !heap_push(t, t->changed[i])) return false;
    }
    t->n_changed = 0;
    return true;
}

/* ---- merging -------------------------------------------------------------------------------------------------- */

static bool merge_in_piece(trainer *t, uint32_t piece, uint32_t left, uint32_t right, uint32_t result) {
    uint32_t *s = t->symbols + t->begin[piece], n = t->length[piece], kept = 0;
    for (uint32_t i = 0; i < n;) {
        if (i + 1 == n || s[i] != left || s[i + 1] != right) {
            s[kept++] = s[i++];
            continue;
        }
        if (kept > 0) {
            remove_pair(t, s[kept - 1], left, piece);
            if (!add_pair(t, s[kept - 1], result, piece)) return false;
        }
        if (i + 2 < n) {
            remove_pair(t, right, s[i + 2], piece);
            if (!add_pair(t, result, s[i + 2], piece)) return false;
        }
        s[kept++] = result;
        i += 2;
    }
    t->length[piece] = kept;
    return true;
}

static bool merge(trainer *t, uint32_t index, uint32_t result) {
    uint32_t left = t->pairs[index].left, right = t->pairs[index].right, node = t->pairs[index].pieces;
    t->pairs[index].merged = true;
    t->pairs[index].pieces = MOTE_NO_INDEX;
    while (node != MOTE_NO_INDEX) {
        occurrence at = t->occurrences[node];
        t->occurrences[node].next = t->free_occurrence;
        t->free_occurrence = node;
        if (!merge_in_piece(t, at.piece, left, right, result)) return false;
        node = at.next;
    }
    t->n_merges++;
    return queue_changed(t);
}

/* Takes over the counted pieces as symbols and counts their pairs. */
static bool prepare(trainer *t, const mote_tokenizer *tokenizer) {
    const mote_string_set *pieces = &t->learner->pieces;
    uint32_t symbol_of[256];
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        symbol_of[i] = mote_string_set_find(&tokenizer->symbols, &byte, 1);
    }
    t->symbols = mote_allocate_zero(pieces->pool_size + 1, sizeof *t->symbols);
    t->begin = mote_allocate_zero(pieces->n + 1, sizeof *t->begin);
    t->length = mote_allocate_zero(pieces->n + 1, sizeof *t->length);
    if (!t->symbols || !t->begin || !t->length) return false;
    for (size_t i = 0, at = 0, n; i < pieces->n; i++) {
        const char *bytes = mote_string_set_get(pieces, (uint32_t)i, &n);
        uint32_t *s = t->symbols + at;
        t->begin[i] = at;
        t->length[i] = (uint32_t)n;
        at += n;
        for (size_t j = 0; j < n; j++) {
            s[j] = symbol_of[(unsigned char)bytes[j]];
            if (j > 0 && !add_pair(t, s[j - 1], s[j], (uint32_t)i)) return false;
        }
    }
    t->n_merges++; /* so that `changed` tells the first merge from the counting */
    return queue_changed(t);
}

/* The symbol that left and right make: a new token, or one of the same text that was made of other halves. */
static bool join(mote_tokenizer *tokenizer, mote_buffer *text, uint32_t left, uint32_t right, uint32_t *result) {
    size_t n;
    const char *bytes = mote_string_set_get(&tokenizer->symbols, left, &n);
    text->size = 0;
    mote_buffer_append(text, bytes, n);
    bytes = mote_string_set_get(&tokenizer->symbols, right, &n);
    mote_buffer_append(text, bytes, n);
    if (text->failed) return false;
    int32_t id = mote_tokenizer_add(tokenizer, text->bytes, text->size, MOTE_TOKEN_NORMAL);
    *result = (uint32_t)id;
    return id >= 0 && mote_tokenizer_add_merge(tokenizer, left, right, *result);
}

mote_status mote_bpe_learn(const mote_learner *learner, mote_tokenizer *tokenizer, mote_error *error) {
    trainer t = {.learner = learner, .free_occurrence = MOTE_NO_INDEX};
    mote_buffer text = {0};
    bool ok = prepare(&t, tokenizer);
    while (ok && tokenizer->n_tokens < (size_t)learner->vocab_limit) {
        uint32_t best, result;
        ok = best_pair(&t, &best);
        if (!ok || best == MOTE_NO_INDEX) break;
        ok = join(tokenizer, &text, t.pairs[best].left, t.pairs[best].right, &result) && merge(&t, best, result);
    }
    mote_buffer_deinit(&text);
    mote_release(t.symbols);
    mote_release(t.begin);
    mote_release(t.length);
    mote_release(t.pairs);
    mote_pair_map_deinit(&t.pair_of);
    mote_release(t.occurrences);
    mote_release(t.heap);
    mote_release(t.changed);
    return ok ? MOTE_OK : mote_fail_memory(error, "learning BPE merges", 16 * learner->pieces.pool_capacity);
}
