/* The sampler against a reference that sorts the whole vocabulary: the same candidates, and draws in
 * their proportions. */
#include "mote/mote.h"
#include "test.h"

#include <float.h>

enum { VOCAB = 60, DRAWS = 20000 };

static uint64_t allocations;

static void *counting_allocate(void *context, size_t bytes) {
    ++*(uint64_t *)context;
    return malloc(bytes);
}
static void plain_release(void *context, void *pointer) {
    (void)context;
    free(pointer);
}

static mote_sampler *make(mote_sampler_options options, int vocab) {
    mote_sampler *sampler = NULL;
    mote_error error;
    mote_status status = mote_sampler_create(&options, vocab, &sampler, &error);
    CHECK(status == MOTE_OK, "%s", error.message);
    return sampler;
}

static mote_sampler_options off(void) {
    mote_sampler_options o = mote_sampler_options_default();
    o.temperature = 1;
    o.top_k = 0;
    o.top_p = 1;
    o.min_p = 0;
    o.repetition_penalty = 1;
    return o;
}

/* Logits of about -4 to 4 with some ties, so that the order of equal ones matters. */
static void fill_logits(float *logits, int n, unsigned seed) {
    uint64_t state = seed * 2654435761u + 1;
    for (int i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        logits[i] = (float)((int)(state >> 33) % 33 - 16) * 0.25f;
    }
}

typedef struct {
    double logit;
    int token;
} entry;
static int by_logit(const void *a, const void *b) {
    const entry *x = a, *y = b;
    return x->logit != y->logit ? (x->logit > y->logit ? -1 : 1) : x->token - y->token;
}

/* Probabilities by the definition: sort, cut to top-k, cut to the mass, cut by min-p, temper. */
static void reference(const mote_sampler_options *o, const float *logits, int n, double *probability) {
    entry e[VOCAB];
    for (int i = 0; i < n; i++) e[i] = (entry){(double)logits[i], i};
    qsort(e, (size_t)n, sizeof *e, by_logit);
    int kept = o->top_k > 0 && o->top_k < n ? o->top_k : n;
    double total = 0, mass = 0, tempered = 0;
    for (int i = 0; i < kept; i++) total += exp(e[i].logit - e[0].logit);
    int last = 0;
    while (last < kept && (last == 0 || mass < (double)o->top_p * total)) mass += exp(e[last++].logit - e[0].logit);
    if (o->top_p < 1) kept = last;
    while (kept > 1 && exp(e[kept - 1].logit - e[0].logit) < (double)o->min_p * (1 - 1e-6)) kept--;
    memset(probability, 0, (size_t)n * sizeof *probability);
    for (int i = 0; i < kept; i++) tempered += exp((e[i].logit - e[0].logit) / (double)o->temperature);
    for (int i = 0; i < kept; i++)
        probability[e[i].token] = exp((e[i].logit - e[0].logit) / (double)o->temperature) / tempered;
}

/* Draws and compares counts with the reference: nothing outside the candidates, and chi-square within 6 deviations. */
static void compare(mote_sampler_options o, unsigned seed) {
    float logits[VOCAB];
    double probability[VOCAB], chi = 0, largest = 0;
    int count[VOCAB] = {0}, cells = 0;
    fill_logits(logits, VOCAB, seed);
    reference(&o, logits, VOCAB, probability);
    o.seed = seed;
    mote_sampler *sampler = make(o, VOCAB);
    for (int i = 0; i < DRAWS; i++) count[mote_sampler_next(sampler, logits)]++;
    mote_sampler_destroy(sampler);
    double rare = 0, rare_count = 0;
    for (int i = 0; i < VOCAB; i++) {
        double expected = probability[i] * DRAWS;
        CHECK(probability[i] > 0 || count[i] == 0, "token %d is no candidate but was drawn %d times", i, count[i]);
        if (probability[i] > largest) largest = probability[i];
        if (expected < 10) rare += expected, rare_count += count[i];
        else chi += (count[i] - expected) * (count[i] - expected) / expected, cells++;
    }
    if (rare >= 1) chi += (rare_count - rare) * (rare_count - rare) / rare, cells++;
    double limit = cells + 6 * sqrt(2.0 * cells) + 10;
    CHECK(chi < limit, "chi-square %.1f of %d cells, top_k %d top_p %g min_p %g temperature %g", chi, cells, o.top_k,
          (double)o.top_p, (double)o.min_p, (double)o.temperature);
}

static void distributions(void) {
    static const int top_k[] = {0, 1, 2, 7, 40, VOCAB - 1, VOCAB, 1000};
    static const float top_p[] = {1, 0.95f, 0.5f, 0.001f}, min_p[] = {0, 0.05f, 1}, temperature[] = {1, 0.6f, 2.5f};
    unsigned seed = 1;
    for (size_t k = 0; k < sizeof top_k / sizeof *top_k; k++)
        for (size_t p = 0; p < 4; p++)
            for (size_t m = 0; m < 3; m++) {
                mote_sampler_options o = off();
                o.top_k = top_k[k];
                o.top_p = top_p[p];
                o.min_p = min_p[m];
                o.temperature = temperature[seed % 3];
                compare(o, seed++);
            }
}

static void greedy_takes_the_first_of_the_largest(void) {
    mote_sampler_options o = off();
    o.temperature = 0;
    mote_sampler *sampler = make(o, 5);
    CHECK(mote_sampler_next(sampler, (float[]){1, 3, 2, 3, -1}) == 1, "first of two equal");
    CHECK(mote_sampler_next(sampler, (float[]){-1, -3, -2, -3, -0.5f}) == 4, "the last one");
    CHECK(mote_sampler_next(sampler, (float[]){0, 0, 0, 0, 0}) == 0, "all equal");
    CHECK(mote_sampler_next(sampler, (float[]){1, INFINITY, 2, INFINITY, 3}) == 1, "infinities");
    CHECK(mote_sampler_next(sampler, (float[]){NAN, -5, NAN, -4, NAN}) == 3, "not a number is never the largest");
    mote_sampler_destroy(sampler);
    o.temperature = 3;
    o.top_k = 1;
    sampler = make(o, 5);
    for (int i = 0; i < 100; i++)
        CHECK(mote_sampler_next(sampler, (float[]){1, 3, 2, 3, -1}) == 1, "top-k 1 is greedy");
    mote_sampler_destroy(sampler);
    o.top_k = 0;
    o.temperature = 1e-40f;
    sampler = make(o, 5);
    for (int i = 0; i < 100; i++)
        CHECK(mote_sampler_next(sampler, (float[]){1, 3, 2, 2.9f, -1}) == 1, "a tiny temperature is greedy");
    mote_sampler_destroy(sampler);
}

static void strange_logits_give_a_token(void) {
    const float strange[][4] = {{NAN, NAN, NAN, NAN},
                                {-INFINITY, -INFINITY, -INFINITY, -INFINITY},
                                {INFINITY, INFINITY, NAN, -INFINITY},
                                {FLT_MAX, -FLT_MAX, FLT_MAX, 0},
                                {NAN, 1, -INFINITY, INFINITY}};
    for (int kind = 0; kind < 16; kind++) {
        mote_sampler_options o = off();
        o.temperature = kind & 8 ? 1e-40f : 1;
        o.top_k = kind & 1 ? 2 : 0;
        o.top_p = kind & 2 ? 0.9f : 1;
        o.min_p = kind & 4 ? 0.1f : 0;
        o.repetition_penalty = 1.5f;
        mote_sampler *sampler = make(o, 4);
        for (int i = 0; i < 5; i++)
            for (int j = 0; j < 20; j++) {
                int32_t token = mote_sampler_next(sampler, strange[i]);
                CHECK(token >= 0 && token < 4, "token %d", token);
                if (i == 4) CHECK(token == 3, "the only infinite one, got %d", token);
            }
        mote_sampler_destroy(sampler);
    }
}

static void penalty_counts_the_window(void) {
    mote_sampler_options o = off();
    o.temperature = 0;
    o.repetition_penalty = 2;
    o.repetition_window = 2;
    const float logits[4] = {4, 3, 1.9f, -1};
    mote_sampler *sampler = make(o, 4);
    int expected[] = {0, 1, 0, 0, 1}; /* the largest of 4 3 1.9; 2 3 1.9; 2 1.5 1.9; 2 1.5 1.9; 2 3 1.9 */
    for (int i = 0; i < 5; i++) {
        int32_t token = mote_sampler_next(sampler, logits);
        CHECK(token == expected[i], "step %d gave %d", i, token);
    }
    mote_sampler_accept(sampler, 2);
    mote_sampler_accept(sampler, 2); /* the window now holds only token 2 */
    mote_sampler_accept(sampler, -1);
    mote_sampler_accept(sampler, 4); /* outside the vocabulary: ignored */
    CHECK(mote_sampler_next(sampler, logits) == 0, "what left the window is no longer punished");
    mote_sampler_destroy(sampler);
    sampler = make(o, 2);
    mote_sampler_accept(sampler, 0);
    CHECK(mote_sampler_next(sampler, (float[]){-1, -1.5f}) == 1, "negative logits are multiplied");
    mote_sampler_destroy(sampler);
}

static void same_seed_same_tokens(void) {
    float logits[VOCAB];
    int32_t first[200];
    int different = 0;
    fill_logits(logits, VOCAB, 7);
    for (int round = 0; round < 3; round++) {
        mote_sampler_options o = off();
        o.seed = round == 2 ? 6 : 5;
        mote_sampler *sampler = make(o, VOCAB);
        for (int i = 0; i < 200; i++) {
            int32_t token = mote_sampler_next(sampler, logits);
            if (round == 0) first[i] = token;
            else if (round == 1) CHECK(token == first[i], "draw %d", i);
            else different += token != first[i];
        }
        mote_sampler_destroy(sampler);
    }
    CHECK(different > 50, "another seed gave %d other tokens of 200", different);
}

static void nothing_is_allocated_per_token(void) {
    static float logits[5000];
    fill_logits(logits, 5000, 3);
    mote_sampler_options o = mote_sampler_options_default();
    o.repetition_penalty = 1.1f;
    mote_sampler *sampler = make(o, 5000);
    uint64_t before = allocations;
    CHECK(before > 0, "the hooks count");
    for (int i = 0; i < 1000; i++) mote_sampler_next(sampler, logits);
    CHECK(allocations == before, "%llu allocations", (unsigned long long)(allocations - before));
    mote_sampler_destroy(sampler);
}

static void bad_options_are_refused(void) {
    for (int i = 0; i < 16; i++) {
        mote_sampler_options o = mote_sampler_options_default();
        mote_sampler *sampler = (mote_sampler *)&o;
        mote_error error;
        int vocab = 10;
        switch (i) {
        case 0: o.temperature = -1; break;
        case 1: o.temperature = NAN; break;
        case 2: o.temperature = INFINITY; break;
        case 3: o.top_k = -1; break;
        case 4: o.top_p = 0; break;
        case 5: o.top_p = 1.01f; break;
        case 6: o.top_p = NAN; break;
        case 7: o.min_p = -0.1f; break;
        case 8: o.min_p = NAN; break;
        case 9: o.repetition_penalty = 0; break;
        case 10: o.repetition_penalty = NAN; break;
        case 11: o.repetition_window = -1; break;
        case 12: o.repetition_window = INT32_MAX; break;
        case 13: vocab = 0; break;
        case 14: vocab = INT32_MAX; break;
        default: o.struct_bytes = 0; break;
        }
        mote_status status = mote_sampler_create(&o, vocab, &sampler, &error);
        CHECK(status == MOTE_USAGE && !sampler && error.message[0], "case %d: status %d", i, (int)status);
    }
}

int main(void) {
    mote_memory_use(&(mote_memory_hooks){counting_allocate, plain_release, &allocations});
    RUN(greedy_takes_the_first_of_the_largest);
    RUN(distributions);
    RUN(penalty_counts_the_window);
    RUN(same_seed_same_tokens);
    RUN(strange_logits_give_a_token);
    RUN(nothing_is_allocated_per_token);
    RUN(bad_options_are_refused);
    return test_finish();
}
