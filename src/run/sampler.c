/* Chooses the next token. The order is llama.cpp's default: repetition penalty, top-k, top-p, min-p, temperature; so
 * the cuts look at the model's own probabilities, and a high temperature cannot bring back what they cut off.
 *
 * Every cut keeps a beginning of the candidates in descending order (equal logits: lower token first), so the
 * vocabulary is never sorted: top-k is a bounded heap filled in one pass, top-p pops a heap until the mass is reached,
 * min-p is a threshold. Candidates are allocated once. A logit that is NaN counts as minus infinity. */
#include "run/session.h"

#include <float.h>
#include <math.h>

#include "base/random.h"

enum { MOST_WINDOW = 1048576 };

typedef struct {
    float logit;
    int32_t token;
} candidate;

struct mote_sampler {
    mote_sampler_options options;
    int vocab;
    mote_random random;
    int32_t *recent;   /* ring of the last tokens; NULL without a penalty */
    int n_recent, at;
    int32_t *count;    /* by token: how often it stands in `recent`; NULL without a penalty */
    candidate *candidates;
};

mote_sampler_options mote_sampler_options_default(void) {
    return (mote_sampler_options){
        .struct_bytes = sizeof(mote_sampler_options),
        .temperature = 0.8f,
        .top_k = 40,
        .top_p = 0.95f,
        .min_p = 0.05f,
        .repetition_penalty = 1,
        .repetition_window = 64,
    };
}

/* Written so that a NaN fails every test. */
static mote_status check_options(const mote_sampler_options *o, int vocab, mote_error *error) {
    if (vocab < 1 || vocab > MOTE_MOST_VOCAB)
        return mote_fail(error, MOTE_USAGE, "a sampler's vocabulary is %d; it must be from 1 to %d", vocab,
                         MOTE_MOST_VOCAB);
    if (!(o->temperature >= 0 && o->temperature <= 1000))
        return mote_fail(error, MOTE_USAGE, "temperature is %g; it must be from 0 to 1000", (double)o->temperature);
    if (o->top_k < 0) return mote_fail(error, MOTE_USAGE, "top_k is %d; it must be 0 (off) or more", o->top_k);
    if (!(o->top_p > 0 && o->top_p <= 1))
        return mote_fail(error, MOTE_USAGE, "top_p is %g; it must be above 0 and at most 1 (off)", (double)o->top_p);
    if (!(o->min_p >= 0 && o->min_p <= 1))
        return mote_fail(error, MOTE_USAGE, "min_p is %g; it must be from 0 (off) to 1", (double)o->min_p);
    if (!(o->repetition_penalty > 0 && o->repetition_penalty <= 1000))
        return mote_fail(error, MOTE_USAGE, "repetition_penalty is %g; it must be above 0 (1: off) and at most 1000",
                         (double)o->repetition_penalty);
    if (o->repetition_window < 0 || o->repetition_window > MOST_WINDOW)
        return mote_fail(error, MOTE_USAGE, "repetition_window is %d; it must be from 0 to %d", o->repetition_window,
                         MOST_WINDOW);
    return MOTE_OK;
}

mote_status mote_sampler_create(const mote_sampler_options *options, int vocab, mote_sampler **sampler,
                                mote_error *error) {
    if (!sampler) return mote_fail(error, MOTE_USAGE, "a sampler needs a place for its handle");
    *sampler = NULL;
    mote_sampler_options o = mote_sampler_options_default();
    if (!mote_options_read(&o, sizeof o, options))
        return mote_fail(error, MOTE_USAGE,
                         "sampler options have no struct_bytes: start from mote_sampler_options_default");
    mote_status status = check_options(&o, vocab, error);
    if (status) return status;
    mote_sampler *s = mote_allocate_zero(1, sizeof *s);
    if (!s) return mote_fail_memory(error, "a sampler", sizeof *s);
    s->options = o;
    s->vocab = vocab;
    mote_random_seed(&s->random, o.seed);
    bool penalty = o.repetition_penalty != 1 && o.repetition_window > 0;
    if (penalty) {
        s->recent = mote_allocate_zero((size_t)o.repetition_window, sizeof *s->recent);
        s->count = mote_allocate_zero((size_t)vocab, sizeof *s->count);
    }
    s->candidates = mote_allocate_zero((size_t)vocab, sizeof *s->candidates);
    if (!s->candidates || (penalty && (!s->recent || !s->count))) {
        mote_sampler_destroy(s);
        return mote_fail_memory(error, "a sampler", (size_t)vocab * (sizeof *s->candidates + sizeof *s->count));
    }
    *sampler = s;
    return MOTE_OK;
}

void mote_sampler_destroy(mote_sampler *s) {
    if (!s) return;
    mote_release(s->recent);
    mote_release(s->count);
    mote_release(s->candidates);
    mote_release(s);
}

int mote_sampler_vocab(const mote_sampler *s) { return s->vocab; }

void mote_sampler_accept(mote_sampler *s, int32_t token) {
    if (!s->count || token < 0 || token >= s->vocab) return;
    int window = s->options.repetition_window;
    if (s->n_recent == window) s->count[s->recent[s->at]]--;
    else s->n_recent++;
    s->recent[s->at] = token;
    s->count[token]++;
    s->at = s->at + 1 == window ? 0 : s->at + 1;
}

/* The logit after the penalty of CTRL (Keskar et al. 2019), always finite: sums and differences of it cannot become
 * NaN. */
static inline float logit_of(const mote_sampler *s, const float *logits, int i) {
    float logit = logits[i];
    if (s->count && s->count[i]) {
        float penalty = s->options.repetition_penalty;
        logit = logit > 0 ? logit / penalty : logit * penalty;
    }
    return logit >= -FLT_MAX ? (logit <= FLT_MAX ? logit : FLT_MAX) : -FLT_MAX;
}

static int32_t greedy(const mote_sampler *s, const float *logits, float *largest) {
    int32_t best = 0;
    float best_logit = logit_of(s, logits, 0);
    for (int i = 1; i < s->vocab; i++) {
        float logit = logit_of(s, logits, i);
        if (logit > best_logit) best = i, best_logit = logit;
    }
    *largest = best_logit;
    return best;
}

static inline bool before(candidate a, candidate b) {
    return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

/* Heaps of n candidates; `first` at the top is the one that comes before (best) or after (worst) all others. */
static void sift_down(candidate *heap, int n, int i, bool best_first) {
    candidate moved = heap[i];
    for (;;) {
        int child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && before(heap[child + 1], heap[child]) == best_first) child++;
        if (before(heap[child], moved) != best_first) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moved;
}
static void make_heap(candidate *heap, int n, bool best_first) {
    for (int i = n / 2 - 1; i >= 0; i--) sift_down(heap, n, i, best_first);
}

/* The candidates that top-k leaves, in no order, leaving out those below `floor`. Returns their number, at least 1. */
static int collect(mote_sampler *s, const float *logits, float floor) {
    int limit = s->options.top_k > 0 && s->options.top_k < s->vocab ? s->options.top_k : s->vocab, n = 0;
    candidate *c = s->candidates;
    for (int i = 0; i < s->vocab; i++) {
        candidate next = {logit_of(s, logits, i), i};
        if (next.logit < floor) continue;
        if (n < limit) {
            c[n++] = next;
            if (n == limit && limit < s->vocab) make_heap(c, n, false);
        } else if (before(next, c[0])) {
            c[0] = next;
            sift_down(c, n, 0, false);
        }
    }
    return n;
}

/* Keeps, of n candidates, the fewest best ones that hold top_p of the probability, less those below `floor`. They come
 * to stand at the end of the n; returns their number, at least 1. */
static int keep_mass(candidate *c, int n, float top_p, float largest, float floor) {
    double total = 0, mass = 0;
    for (int i = 0; i < n; i++) total += exp((double)c[i].logit - (double)largest);
    make_heap(c, n, true);
    int left = n;
    do {
        candidate best = c[0];
        if (left < n && best.logit < floor) break;
        mass += exp((double)best.logit - (double)largest);
        left--;
        c[0] = c[left];
        sift_down(c, left, 0, true);
        c[left] = best;
    } while (left > 0 && mass < (double)top_p * total);
    return n - left;
}

/* Draws in proportion to exp(logit / temperature). */
static int32_t draw(mote_sampler *s, candidate *c, int n, float largest) {
    double scale = 1 / (double)s->options.temperature, total = 0;
    if (!(scale <= 1e30)) scale = 1e30; /* a denormal temperature: infinity times zero would be NaN */
    for (int i = 0; i < n; i++) {
        c[i].logit = (float)exp(((double)c[i].logit - (double)largest) * scale);
        total += (double)c[i].logit;
    }
    double at = mote_random_uniform(&s->random) * total;
    int32_t last = c[0].token;
    for (int i = 0; i < n; i++) {
        if (c[i].logit > 0) last = c[i].token; /* rounding may leave `at` above 0 at the end */
        at -= (double)c[i].logit;
        if (at < 0) break;
    }
    return last;
}

int32_t mote_sampler_next(mote_sampler *s, const float *logits) {
    const mote_sampler_options *o = &s->options;
    float largest;
    int32_t token = greedy(s, logits, &largest);
    if (o->temperature > 0) {
        float floor = o->min_p > 0 ? largest + logf(o->min_p) : -INFINITY;
        bool cut = o->top_p < 1;
        int n = collect(s, logits, cut ? -INFINITY : floor);
        int kept = cut ? keep_mass(s->candidates, n, o->top_p, largest, floor) : n;
        token = draw(s, s->candidates + (n - kept), kept, largest);
    }
    mote_sampler_accept(s, token);
    return token;
}
