/* Sessions: what they refuse, that a token has the same bits however it is run, and a real model against llama2.c. */
#include <sched.h>

#include "base/threads.h"
#include "failing_memory.h"
#include "ops/ops.h"
#include "run/session.h"
#include "test.h"

static mote_config small_config(void) {
    mote_config c = mote_config_default(MOTE_FAMILY_LLAMA);
    c.vocab = 50;
    c.context = 32;
    c.dim = 32;
    c.layers = 2;
    c.heads = 4;
    c.kv_heads = 2;
    c.hidden = 48;
    return c;
}

static mote_model *random_model(mote_config config) {
    mote_model *model = NULL;
    mote_error error = {0};
    CHECK(mote_model_create(&config, NULL, 1, &model, &error) == MOTE_OK, "%s", error.message);
    return model;
}

static mote_session *open_session(const mote_model *model, int context, int sequences, int batch_tokens, int threads) {
    mote_session_options o = mote_session_options_default();
    o.context = context;
    o.sequences = sequences;
    o.batch_tokens = batch_tokens;
    o.threads = threads;
    mote_session *session = NULL;
    mote_error error = {0};
    CHECK(mote_session_create(model, &o, &session, &error) == MOTE_OK, "%s", error.message);
    return session;
}

/* Runs n tokens of one sequence from `position` on, all logits wanted. */
static void run_all(mote_session *session, int sequence, int position, const int32_t *tokens, int n) {
    int32_t positions[64], sequences[64];
    uint8_t all[64];
    for (int i = 0; i < n; i++) positions[i] = position + i, sequences[i] = sequence, all[i] = 1;
    mote_batch batch = {n, tokens, positions, sequences, all};
    mote_error error = {0};
    CHECK(mote_session_run(session, &batch, &error) == MOTE_OK, "%s", error.message);
}

static void wrong_batches_are_refused(void) {
    static const struct {
        int n;
        int32_t token[4], position[4], sequence[4];
        const char *message;
    } wrong[] = {
        {0, {0}, {0}, {0}, "has 0 tokens"},
        {9, {0}, {0}, {0}, "has 9 tokens"},
        {-1, {0}, {0}, {0}, "has -1 tokens"},
        {1, {50}, {2}, {0}, "token 0 is 50"},
        {2, {1, -1}, {2, 3}, {0, 0}, "token 1 is -1"},
        {1, {1}, {2}, {2}, "sequence 2"},
        {1, {1}, {2}, {-1}, "sequence -1"},
        {1, {1}, {3}, {0}, "position 3; sequence 0 continues at 2"},
        {1, {1}, {0}, {0}, "position 0; sequence 0 continues at 2"},
        {2, {1, 1}, {2, 4}, {0, 0}, "position 4; sequence 0 continues at 3"},
        {3, {1, 1, 1}, {2, 0, 3}, {0, 1, 0}, "do not stand together"},
        {1, {1}, {1}, {1}, "position 1; sequence 1 continues at 0"},
    };
    mote_model *model = random_model(small_config());
    mote_session *session = open_session(model, 6, 2, 8, 1);
    mote_error error;
    run_all(session, 0, 0, (int32_t[]){7, 8}, 2);
    float before = mote_session_logits(session, 1)[3];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        mote_batch batch = {wrong[i].n, wrong[i].token, wrong[i].position, wrong[i].sequence, NULL};
        mote_status status = mote_session_run(session, &batch, &error);
        CHECK(status == MOTE_USAGE && strstr(error.message, wrong[i].message), "case %zu: %d %s", i, (int)status,
              error.message);
        CHECK(mote_session_run(session, &batch, NULL) == MOTE_USAGE, "without a place for the error");
    }
    CHECK(mote_session_logits(session, 1)[3] == before, "refused batches change nothing");
    run_all(session, 0, 2, (int32_t[]){1, 2, 3, 4}, 4);
    mote_batch full = {1, (int32_t[]){1}, (int32_t[]){6}, NULL, NULL};
    CHECK(mote_session_run(session, &full, &error) == MOTE_USAGE && strstr(error.message, "6 positions"), "%s",
          error.message);
    CHECK(mote_session_logits(session, -1) == NULL && mote_session_logits(session, 4) == NULL,
          "rows that are not there");
    mote_session_destroy(session);
    mote_model_close(model);
}

static void wrong_options_are_refused(void) {
    mote_model *model = random_model(small_config());
    for (int i = 0; i < 10; i++) {
        mote_session_options o = mote_session_options_default();
        mote_session *session = (mote_session *)&o;
        mote_error error = {0};
        switch (i) {
        case 0: o.context = -1; break;
        case 1: o.context = 33; break;
        case 2: o.sequences = -1; break;
        case 3: o.sequences = INT32_MAX; break;
        case 4: o.batch_tokens = -1; break;
        case 5: o.batch_tokens = INT32_MAX; break;
        case 6: o.threads = -1; break;
        case 7: o.threads = 257; break;
        case 8: o.logits = -1; break;
        default: o.struct_bytes = 0; break;
        }
        mote_status status = mote_session_create(model, &o, &session, &error);
        CHECK(status == MOTE_USAGE && !session && error.message[0], "case %d: %d", i, (int)status);
    }
    mote_session *session = NULL;
    CHECK(mote_session_create(model, NULL, &session, NULL) == MOTE_OK, "no options are the defaults");
    CHECK(mote_session_batch_tokens(session) == 32 && mote_session_context(session) == 32, "the model's context");
    CHECK(mote_session_threads(session) == 1, "a tiny model decodes on one thread");
    CHECK(mote_session_bytes(session) > 32 * 32 * 2 * sizeof(float), "bytes");
    mote_session_destroy(session);
    mote_session_destroy(NULL);
    mote_model_close(model);
}

static void more_logits_than_there_is_room_for_are_refused(void) {
    mote_model *model = random_model(small_config());
    mote_session_options o = mote_session_options_default();
    mote_session *session = NULL;
    CHECK(mote_session_create(model, &o, &session, NULL) == MOTE_OK, "create");
    CHECK(mote_session_most_logits(session) == 32, "all of a small batch");
    mote_session_destroy(session);
    o.logits = 2;
    CHECK(mote_session_create(model, &o, &session, NULL) == MOTE_OK, "create");
    CHECK(mote_session_batch_tokens(session) == 32 && mote_session_most_logits(session) == 2, "as asked for");
    const int32_t token[4] = {1, 2, 3, 4}, position[4] = {0, 1, 2, 3};
    const uint8_t three[4] = {1, 0, 1, 1}, two[4] = {1, 0, 0, 1};
    mote_batch batch = {.n_tokens = 4, .token = token, .position = position, .want_logits = three};
    mote_error error = {0};
    CHECK(mote_session_run(session, &batch, &error) == MOTE_USAGE && strstr(error.message, "3 tokens"), "%s",
          error.message);
    batch.want_logits = two;
    CHECK(mote_session_run(session, &batch, &error) == MOTE_OK, "the refused batch left nothing: %s", error.message);
    CHECK(mote_session_logits(session, 1) && !mote_session_logits(session, 2), "two rows");
    mote_session_destroy(session);
    mote_model_close(model);
}

static void truncated_sequences_continue_with_the_same_bits(void) {
    mote_model *model = random_model(small_config());
    mote_session *session = open_session(model, 0, 2, 0, 1);
    int32_t tokens[30];
    float expected[50];
    for (int i = 0; i < 30; i++) tokens[i] = (i * 17 + 3) % 50;
    run_all(session, 1, 0, tokens, 30);
    memcpy(expected, mote_session_logits(session, 29), sizeof expected);
    for (int at = 0; at < 30; at += 7) {
        mote_session_truncate(session, 1, at);
        run_all(session, 1, at, (int32_t[]){49, 48}, at + 2 <= 32 ? 2 : 1); /* something else first */
        mote_session_truncate(session, 1, at);
        run_all(session, 1, at, tokens + at, 30 - at);
        CHECK(!memcmp(expected, mote_session_logits(session, 29 - at), sizeof expected), "again from %d", at);
    }
    mote_session_truncate(session, 1, 1000); /* nothing is there */
    mote_session_truncate(session, 7, 0);
    mote_session_truncate(session, 0, -5);
    mote_session_destroy(session);
    mote_model_close(model);
}

/* Sequences of all lengths together in batches of many shapes, against each alone. */
static void sequences_do_not_see_each_other(void) {
    enum { SEQUENCES = 5, LENGTH = 20, VOCAB = 50 };
    mote_config config = small_config();
    for (int family = 0; family <= MOTE_FAMILY_SMOLLM3; family++) {
        if (family) { /* heads for three threads; layers of every kind that a family has */
            config = mote_config_default((mote_family)family);
            config.vocab = VOCAB, config.context = 32, config.dim = 96, config.heads = 6, config.layers = 5;
            if (family != MOTE_FAMILY_GPT2) config.kv_heads = 3;
            if (family == MOTE_FAMILY_GEMMA3) config.full_attention_period = 2, config.window = 6;
        }
        mote_model *model = random_model(config);
        static float alone[SEQUENCES][LENGTH][VOCAB];
        int32_t tokens[SEQUENCES][LENGTH];
        for (int s = 0; s < SEQUENCES; s++) {
            mote_session *session = open_session(model, 0, 1, 0, 1);
            for (int i = 0; i < LENGTH; i++) tokens[s][i] = (s * 31 + i * i * 7) % VOCAB;
            run_all(session, 0, 0, tokens[s], LENGTH);
            memcpy(alone[s], mote_session_logits(session, 0), sizeof alone[s]);
            mote_session_destroy(session);
        }
        for (int threads = 1; threads <= 3; threads++) {
            mote_session *session = open_session(model, LENGTH, SEQUENCES, 64, threads);
            int held[SEQUENCES] = {0}, left = SEQUENCES * LENGTH;
            for (unsigned round = 1; left > 0; round++) {
                int32_t token[64], position[64], sequence[64];
                uint8_t want[64];
                int n = 0;
                for (int k = 0; k < SEQUENCES; k++) { /* the order of the sequences and their shares change */
                    int s = (int)((unsigned)k * 3 + round) % SEQUENCES,
                        share = (int)(round * 5 + (unsigned)s * 3) % (round % 2 ? 9 : 2);
                    for (int i = 0; i < share && held[s] < LENGTH; i++, n++, held[s]++, left--)
                        token[n] = tokens[s][held[s]], position[n] = held[s], sequence[n] = s,
                        want[n] = (uint8_t)(n % 3 != 1);
                }
                if (!n) continue;
                mote_batch batch = {n, token, position, sequence, want};
                mote_error error = {0};
                CHECK(mote_session_run(session, &batch, &error) == MOTE_OK, "%s", error.message);
                for (int i = 0, row = 0; i < n; i++)
                    if (want[i])
                        CHECK(!memcmp(mote_session_logits(session, row++), alone[sequence[i]][position[i]],
                                      sizeof alone[0][0]),
                              "%s: sequence %d position %d with %d threads", mote_family_name(config.family),
                              sequence[i], position[i], threads);
            }
            mote_session_destroy(session);
        }
        mote_model_close(model);
    }
}

/* Two threads that share one core stand in each other's way, as beside another process: whoever asks for two threads
 * gets one for most of the tokens, and the same logits. */
static void threads_without_cores_stay_away(void) {
#ifdef __linux__
    enum { ROUNDS = 40 };
    cpu_set_t all, one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof all, &all)) return;
    for (int cpu = 0; cpu < CPU_SETSIZE && !CPU_COUNT(&one); cpu++)
        if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
    mote_config config = small_config();
    mote_model *model = random_model(config);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    mote_session *session[2];
    for (int i = 0; i < 2; i++) session[i] = open_session(model, config.context, 1, 1, 1 + i);
    int alone = 0;
    for (int i = 0; i < ROUNDS * config.context; i++) {
        int32_t token = i * 37 % config.vocab, position = i % config.context;
        mote_batch batch = {.n_tokens = 1, .token = &token, .position = &position};
        for (int j = 0; j < 2; j++) {
            if (position == 0) mote_session_truncate(session[j], 0, 0);
            CHECK(mote_session_run(session[j], &batch, NULL) == MOTE_OK);
        }
        mote_exec *x = mote_session_exec(session[1]);
        alone += x->alone || mote_pool_runs_alone(x->pool);
        CHECK(!memcmp(mote_session_logits(session[0], 0), mote_session_logits(session[1], 0),
                      (size_t)config.vocab * sizeof(float)), "token %d", i);
    }
    CHECK(alone > ROUNDS * config.context * 2 / 3, "alone for %d of %d tokens", alone, ROUNDS * config.context);
    for (int i = 0; i < 2; i++) mote_session_destroy(session[i]);
    mote_model_close(model);
    sched_setaffinity(0, sizeof all, &all);
#endif
}

static void a_failed_allocation_leaves_nothing(void) {
    int failures = 0;
    mote_config config = small_config();
    for (int k = 0; k < 500; k++) {
        failing_memory_begin();
        mote_model *model = NULL;
        mote_session *session = NULL;
        mote_error error = {0};
        CHECK(mote_model_create(&config, NULL, 1, &model, &error) == MOTE_OK, "%s", error.message);
        failing_memory_fail_at(k);
        mote_status status = mote_session_create(model, NULL, &session, &error);
        bool failed = failing_memory_failed();
        failures += failed;
        CHECK(status == (failed ? MOTE_MEMORY : MOTE_OK) && !!session == !failed, "allocation %d: %d", k, (int)status);
        mote_session_destroy(session);
        mote_model_close(model);
        CHECK(failing_memory_live() == 0, "%d blocks are left after allocation %d", failing_memory_live(), k);
        failing_memory_end();
        if (!failed) break;
    }
    CHECK(failures > 10, "%d allocations failed", failures);
}

/* ---- stories260K, a model of llama2.c */

typedef struct {
    int n, in[600], next[600], forced[600];
    float logit[600];
    float first[8][512];
} story;

static bool read_story(story *s) {
    FILE *logits = fopen("../shared/data/stories260K_once.logits8.f32", "rb");
    FILE *tokens = fopen("../shared/data/stories260K_once.tokens.tsv", "r");
    bool ok = logits && tokens && fread(s->first, sizeof s->first, 1, logits) == 1;
    char line[256];
    s->n = 0;
    while (ok && s->n < 600 && fgets(line, sizeof line, tokens)) {
        int at;
        if (sscanf(line, "%d %d %d %d %f", &at, &s->in[s->n], &s->next[s->n], &s->forced[s->n], &s->logit[s->n]) == 5)
            s->n++;
    }
    if (logits) fclose(logits);
    if (tokens) fclose(tokens);
    return ok;
}

static void stories260k_is_what_llama2c_computes(void) {
    static story s;
    static float decoded[600][512];
    mote_model *model = NULL;
    mote_error problem = {0};
    if (!read_story(&s)) {
        test_skip("no ../shared/data here: an optional folder of extra texts and models");
        return;
    }
    CHECK(mote_model_open("../shared/data/stories260K.bin", &model, &problem) == MOTE_OK, "%s", problem.message);
    if (!model) return;
    CHECK(s.n == 256, "%d lines of tokens", s.n);
    double worst = 0, largest = 0, worst_later = 0;
    int wrong = 0;
    mote_session *session = open_session(model, 0, 1, 0, 1);
    for (int i = 0; i < s.n; i++) {
        run_all(session, 0, i, (int32_t[]){s.in[i]}, 1);
        const float *logits = memcpy(decoded[i], mote_session_logits(session, 0), sizeof decoded[i]);
        int best = 0;
        for (int j = 1; j < 512; j++)
            if (logits[j] > logits[best]) best = j;
        wrong += !s.forced[i] && best != s.next[i];
        worst_later = fmax(worst_later, fabs((double)logits[s.next[i]] - (double)s.logit[i]));
        for (int j = 0; j < 512 && i < 8; j++) {
            worst = fmax(worst, fabs((double)logits[j] - (double)s.first[i][j]));
            largest = fmax(largest, fabs((double)s.first[i][j]));
        }
    }
    CHECK(worst <= 1e-5 * largest, "the first 8 rows differ by %.2e of %.1f", worst, largest);
    CHECK(worst_later <= 1e-4, "logits of the next token differ by %.2e", worst_later);
    CHECK(wrong == 0, "%d of %d greedy tokens differ", wrong, s.n);
    mote_session_destroy(session);

    static const int shapes[][3] = {{1, 1, 64}, {2, 1, 64}, {3, 1, 17},
                                    {2, 3, 64}, {1, 2, 5},  {2, 1, 1}}; /* threads, slots, step */
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        int slots = shapes[k][1], step = shapes[k][2];
        session = open_session(model, 300, slots, 64 * slots, shapes[k][0]);
        for (int begin = 0; begin < s.n; begin += step) { /* every slot reads the story, in one batch */
            int32_t token[192], position[192], sequence[192];
            uint8_t all[192];
            int n = 0, count = s.n - begin < step ? s.n - begin : step;
            for (int slot = slots - 1; slot >= 0; slot--)
                for (int i = 0; i < count; i++, n++)
                    token[n] = s.in[begin + i], position[n] = begin + i, sequence[n] = slot, all[n] = 1;
            mote_batch batch = {n, token, position, sequence, all};
            mote_error error = {0};
            CHECK(mote_session_run(session, &batch, &error) == MOTE_OK, "%s", error.message);
            for (int i = 0; i < n; i++)
                CHECK(!memcmp(mote_session_logits(session, i), decoded[position[i]], sizeof decoded[0]),
                      "position %d, %d threads, %d slots, %d at a time", position[i], shapes[k][0], slots, step);
        }
        mote_session_destroy(session);
    }
    mote_model_close(model);
}

int main(void) {
    RUN(wrong_batches_are_refused);
    RUN(wrong_options_are_refused);
    RUN(more_logits_than_there_is_room_for_are_refused);
    RUN(truncated_sequences_continue_with_the_same_bits);
    RUN(sequences_do_not_see_each_other);
    RUN(threads_without_cores_stay_away);
    RUN(a_failed_allocation_leaves_nothing);
    RUN(stories260k_is_what_llama2c_computes);
    return test_finish();
}
