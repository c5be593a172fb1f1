/* Generation: what is passed on, when it stops, and that it is what decoding token by token gives. The model is one
 * whose next byte is known: its layers add nothing and its output row for the byte after t is t's embedding. */
#include "failing_memory.h"
#include "run/session.h"
#include "test.h"

#include "base/random.h"
#include "text/learner.h"

typedef struct {
    char text[4096];
    size_t size;
    int calls, stop_after; /* calls; 0: never */
    bool whole;            /* every call but those with broken bytes was whole characters */
} sink;

static bool take(void *context, const char *text, size_t bytes) {
    sink *s = context;
    memcpy(s->text + s->size, text, bytes);
    s->size += bytes;
    s->text[s->size] = 0;
    s->whole &= mote_utf8_valid(text, bytes);
    return ++s->calls != s->stop_after;
}

static mote_tokenizer *byte_tokenizer(void) {
    mote_tokenizer *t = NULL;
    mote_error error = {0};
    CHECK(mote_tokenizer_train(MOTE_TOKENIZER_BYTE, 0, "a", 1, &t, &error) == MOTE_OK, "%s", error.message);
    return t;
}

static int32_t id_of(const mote_tokenizer *t, char byte) {
    int32_t *tokens = NULL;
    size_t n = 0;
    CHECK(mote_tokenizer_encode(t, &byte, 1, &tokens, &n, NULL) == MOTE_OK && n == 1, "a byte is a token");
    int32_t id = tokens[0];
    mote_free(tokens);
    return id;
}

static mote_tokenizer *turns_tokenizer(void) {
    mote_tokenizer *t = NULL;
    mote_learner learner;
    CHECK(mote_learner_init(&learner, MOTE_TOKENIZER_BYTE, 0, true, NULL) == MOTE_OK, "a learner");
    CHECK(mote_learner_finish(&learner, &t, NULL) == MOTE_OK, "a tokenizer");
    mote_learner_deinit(&learner);
    return t;
}

/* After the last byte of `chain` (no byte twice) comes the end token (that of a turn if there is one), or the first
 * byte again when `cyclic`; after the end token and after "?" comes the first byte. */
static mote_model *chain_model(const mote_tokenizer *t, const char *chain, size_t n, bool cyclic, int context) {
    mote_config c = mote_config_default(MOTE_FAMILY_LLAMA);
    mote_error error = {0};
    mote_model *model = NULL;
    mote_random random;
    c.vocab = mote_tokenizer_vocab(t);
    c.context = context;
    c.dim = 128;
    c.layers = 1;
    c.heads = c.kv_heads = 2;
    c.hidden = 16;
    c.tied = false;
    CHECK(mote_model_allocate(&c, true, &model, &error) == MOTE_OK, "%s", error.message);
    mote_real *table = model->weight[mote_program_find(model->program, "token_embd.weight")];
    mote_real *output = model->weight[mote_program_find(model->program, "output.weight")];
    mote_real *gain = model->weight[mote_program_find(model->program, "output_norm.weight")];
    mote_random_seed(&random, 4);
    for (int i = 0; i < c.vocab * c.dim; i++) table[i] = (mote_real)mote_random_normal(&random);
    for (int i = 0; i < c.dim; i++) gain[i] = 1;
    int32_t last = mote_tokenizer_control(t, "<|im_end|>");
    if (last < 0) last = mote_tokenizer_end(t);
    for (int token = 0; token < c.vocab; token++) {
        int32_t first = id_of(t, chain[0]),
                next = token == id_of(t, '?') || token == mote_tokenizer_end(t) ? first : -1;
        for (size_t i = 0; i < n; i++)
            if (token == id_of(t, chain[i]))
                next = i + 1 < n ? id_of(t, chain[i + 1]) : cyclic ? first : last;
        for (int i = 0; i < c.dim && next >= 0; i++) output[next * c.dim + i] += table[token * c.dim + i];
    }
    return model;
}

typedef struct {
    mote_tokenizer *tokenizer;
    mote_model *model;
    mote_session *session;
    mote_sampler *sampler;
} fixture;

static fixture open_with(mote_tokenizer *tokenizer, const char *chain, bool cyclic, int context, int batch_tokens) {
    fixture f = {.tokenizer = tokenizer};
    mote_error error = {0};
    f.model = chain_model(f.tokenizer, chain, strlen(chain), cyclic, context);
    mote_session_options o = mote_session_options_default();
    o.batch_tokens = batch_tokens;
    CHECK(mote_session_create(f.model, &o, &f.session, &error) == MOTE_OK, "%s", error.message);
    mote_sampler_options greedy = mote_sampler_options_default();
    greedy.temperature = 0;
    CHECK(mote_sampler_create(&greedy, mote_tokenizer_vocab(f.tokenizer), &f.sampler, &error) == MOTE_OK, "%s",
          error.message);
    return f;
}
static fixture open_fixture(const char *chain, bool cyclic, int context, int batch_tokens) {
    return open_with(byte_tokenizer(), chain, cyclic, context, batch_tokens);
}
static void close_fixture(fixture *f) {
    mote_sampler_destroy(f->sampler);
    mote_session_destroy(f->session);
    mote_model_close(f->model);
    mote_tokenizer_destroy(f->tokenizer);
}

static mote_generate_report generate(fixture *f, const char *prompt, int n, const char *const *stop, int n_stop,
                                     sink *s) {
    mote_generate_options o = mote_generate_options_default();
    mote_generate_report r;
    mote_error error = {0};
    int stop_after = s->stop_after;
    *s = (sink){.whole = true, .stop_after = stop_after};
    o.n_tokens = n;
    o.stop = stop;
    o.n_stop = n_stop;
    o.on_text = take;
    o.context = s;
    mote_status status = mote_generate(f->session, f->sampler, f->tokenizer, prompt, strlen(prompt), &o, &r, &error);
    CHECK(status == MOTE_OK, "%s", error.message);
    return r;
}

static void characters_are_passed_on_whole(void) {
    const char *chain = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"; /* a, e acute, euro, a face, z; each byte once */
    fixture f = open_fixture(chain, false, 64, 0);
    sink s = {0};
    mote_generate_report r = generate(&f, "?", 100, NULL, 0, &s);
    CHECK(!strcmp(s.text, chain) && s.whole && s.calls == 5, "%s in %d calls", s.text, s.calls);
    CHECK(!strcmp(r.stopped_by, "end") && r.prompt_tokens == 1 && r.generated_tokens == 11, "%s after %d", r.stopped_by,
          r.generated_tokens);
    CHECK(r.prompt_seconds > 0 && r.generate_seconds > 0, "times");
    r = generate(&f, "?", 5, NULL, 0, &s);
    CHECK(!strcmp(s.text, "a\xc3\xa9\xe2\x82") && !strcmp(r.stopped_by, "length"),
          "what is left at the end comes as it is");
    r = generate(&f, "?", 0, NULL, 0, &s);
    CHECK(s.calls == 0 && r.generated_tokens == 0 && !strcmp(r.stopped_by, "length"), "no tokens");
    r = generate(&f, "", 3, NULL, 0, &s);
    CHECK(!strcmp(s.text, "a\xc3\xa9") && r.prompt_tokens == 0, "an empty prompt starts from the end token: %s",
          s.text);
    s.stop_after = 2;
    r = generate(&f, "?", 100, NULL, 0, &s);
    CHECK(!strcmp(s.text, "a\xc3\xa9") && !strcmp(r.stopped_by, "caller"), "the caller stops it: %s", s.text);
    close_fixture(&f);
}

static void broken_bytes_are_passed_on_as_they_are(void) {
    const char *chain = "a\xff""b\xe4""c\xe0\x81""d\xed\xa1""e\xf4\x92""f\xc1g\xf0\x90\x82h\x85i\xf5";
    fixture f = open_fixture(chain, false, 64, 0);
    sink s = {0};
    generate(&f, "?", 100, NULL, 0, &s);
    CHECK(!strcmp(s.text, chain), "%s", s.text);
    CHECK(s.calls >= 12, "bytes that cannot become a character do not wait: %d calls", s.calls);
    close_fixture(&f);
}

static void stop_texts_cross_tokens(void) {
    fixture f = open_fixture("abcdefgh", true, 64, 0);
    sink s = {0};
    const struct {
        const char *stop[3];
        int n;
        const char *text, *stopped_by;
    } cases[] = {
        {{"cde"}, 1, "ab", "stop"},
        {{"xyz", "gha", "gx"}, 3, "abcdef", "stop"},
        {{"habcdefghab"}, 1, "abcdefg", "stop"},  /* a stop text longer than the chain */
        {{"cdx", "ce"}, 2, "abcdefghabcdefghabcd", "length"}, /* begun, never finished: nothing is lost */
        {{"cdex", "d"}, 2, "abc", "stop"},        /* a short one inside the beginning of a long one */
        {{"a"}, 1, "", "stop"},
        {{"\xc3\xa9"}, 1, "abcdefghabcdefghabcd", "length"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mote_generate_report r = generate(&f, "?", 20, cases[i].stop, cases[i].n, &s);
        CHECK(!strcmp(s.text, cases[i].text) && !strcmp(r.stopped_by, cases[i].stopped_by), "case %zu: \"%s\" by %s", i,
              s.text, r.stopped_by);
    }
    mote_generate_report r = generate(&f, "abc", 20, (const char *const[]){"cd"}, 1, &s);
    CHECK(!strcmp(s.text, "defghab") && !strcmp(r.stopped_by, "stop"), "the prompt is no part of a stop text: %s",
          s.text);
    close_fixture(&f);
    f = open_fixture("a\xc3\xa9z", true, 64, 0);
    r = generate(&f, "?", 20, (const char *const[]){"\xc3\xa9za\xc3\xa9z"}, 1, &s);
    CHECK(!strcmp(s.text, "a") && !strcmp(r.stopped_by, "stop"), "a stop text of several characters: %s", s.text);
    close_fixture(&f);
}

static void the_end_token_can_be_ignored(void) {
    fixture f = open_fixture("abc", false, 64, 0);
    sink s = {.whole = true};
    mote_generate_options o = mote_generate_options_default();
    mote_generate_report r;
    o.n_tokens = 9;
    o.ignore_end = true;
    o.on_text = take;
    o.context = &s;
    CHECK(mote_generate(f.session, f.sampler, f.tokenizer, "?", 1, &o, &r, NULL) == MOTE_OK, "runs");
    CHECK(!strcmp(s.text, "abcabca") && r.generated_tokens == 9, "%s, %d tokens", s.text, r.generated_tokens);
    close_fixture(&f);
}

/* A random model looks at its whole context, so a wrong shift or split shows. */
static void long_runs_reread_the_second_half(void) {
    enum { PROMPT = 45, NEW = 60 };
    for (int context = 1; context <= 33; context += context < 9 ? 1 : 8) {
        fixture f = {.tokenizer = byte_tokenizer()};
        mote_config c = mote_config_default(MOTE_FAMILY_LLAMA);
        mote_error error = {0};
        c.context = context;
        c.dim = 32;
        c.layers = 2;
        c.heads = 2;
        CHECK(mote_model_create(&c, f.tokenizer, 3, &f.model, &error) == MOTE_OK, "%s", error.message);
        mote_session_options so = mote_session_options_default();
        mote_sampler_options greedy = mote_sampler_options_default();
        greedy.temperature = 0;
        char prompt[PROMPT + 1] = "", expected[NEW * 8] = "";
        for (int i = 0; i < PROMPT; i++) prompt[i] = (char)('a' + i * i % 26);
        for (int length = 1; length <= PROMPT; length += 11) {
            /* the definition: a window that loses its first half whenever it is full */
            int32_t history[PROMPT + NEW], held = 0;
            size_t size = 0;
            int vocab = mote_tokenizer_vocab(f.tokenizer);
            CHECK(mote_session_create(f.model, &so, &f.session, &error) == MOTE_OK, "%s", error.message);
            CHECK(mote_sampler_create(&greedy, vocab, &f.sampler, &error) == MOTE_OK, "%s", error.message);
            for (int i = 0, generated = 0; generated < NEW; i++) {
                int32_t token = i < length ? id_of(f.tokenizer, prompt[i])
                                           : mote_sampler_next(f.sampler, mote_session_logits(f.session, 0));
                if (i >= length) {
                    size_t bytes;
                    const char *piece = mote_tokenizer_piece(f.tokenizer, token, &bytes);
                    memcpy(expected + size, piece, bytes);
                    size += bytes;
                    generated++;
                }
                if (held == context) {
                    int keep = context / 2;
                    memmove(history, history + (held - keep), (size_t)keep * sizeof *history);
                    held = 0;
                    mote_session_truncate(f.session, 0, 0);
                    for (; held < keep; held++)
                        CHECK(!mote_session_run(f.session, &(mote_batch){1, history + held, &held, NULL, NULL}, NULL),
                              "run");
                }
                history[held] = token;
                CHECK(!mote_session_run(f.session, &(mote_batch){1, history + held, &held, NULL, NULL}, NULL), "run");
                held++;
            }
            mote_session_destroy(f.session);
            for (int batch = 0; batch < 8; batch += 3) {
                sink s = {.whole = true};
                mote_generate_options o = mote_generate_options_default();
                mote_generate_report r;
                so.batch_tokens = batch;
                o.n_tokens = NEW;
                o.ignore_end = true;
                o.on_text = take;
                o.context = &s;
                CHECK(mote_session_create(f.model, &so, &f.session, &error) == MOTE_OK, "%s", error.message);
                mote_status status =
                    mote_generate(f.session, f.sampler, f.tokenizer, prompt, (size_t)length, &o, &r, &error);
                CHECK(status == MOTE_OK, "%s", error.message);
                CHECK(s.size == size && !memcmp(s.text, expected, size), "context %d, prompt %d, batch %d", context,
                      length, batch);
                CHECK(r.prompt_tokens == length && r.generated_tokens == NEW, "%d, %d", r.prompt_tokens,
                      r.generated_tokens);
                mote_session_destroy(f.session);
            }
            so.batch_tokens = 0;
            mote_sampler_destroy(f.sampler);
        }
        mote_model_close(f.model);
        mote_tokenizer_destroy(f.tokenizer);
    }
}

static void wrong_use_is_refused(void) {
    fixture f = open_fixture("abc", true, 16, 0);
    mote_error error;
    for (int i = 0; i < 8; i++) {
        mote_generate_options o = mote_generate_options_default();
        mote_sampler *sampler = f.sampler;
        const char *stop[] = {"x", ""}, *prompt = "a";
        size_t bytes = 1;
        switch (i) {
        case 0: o.n_tokens = -1; break;
        case 1: o.stop = stop, o.n_stop = 2; break;
        case 2: o.n_stop = 1; break;
        case 3: o.n_stop = -1; break;
        case 4: o.struct_bytes = 0; break;
        case 5: prompt = NULL; break;
        case 6:
            CHECK(mote_sampler_create(NULL, 1000000, &sampler, NULL) == MOTE_OK, "a sampler of another vocabulary");
            break;
        default: sampler = NULL; break;
        }
        mote_generate_report r;
        mote_status status = mote_generate(f.session, sampler, f.tokenizer, prompt, bytes, &o, &r, &error);
        CHECK(status == MOTE_USAGE && error.message[0], "case %d: %d", i, (int)status);
        if (sampler != f.sampler) mote_sampler_destroy(sampler);
    }
    close_fixture(&f);
}

/* A prompt of tokens may hold control tokens, and the end of a turn ends a reply. */
static void turns_end_and_begin_with_tokens(void) {
    fixture f = open_with(turns_tokenizer(), "abc", false, 16, 0);
    mote_generate_options o = mote_generate_options_default();
    mote_generate_report r, same;
    mote_error error = {0};
    sink s = {.whole = true}, other = {.whole = true};
    int32_t start = mote_tokenizer_control(f.tokenizer, "<|im_start|>"), question = id_of(f.tokenizer, '?');
    o.n_tokens = 12;
    o.on_text = take;
    o.context = &s;
    CHECK(start == 1 && mote_tokenizer_control(f.tokenizer, "<|im_end|>") == 2, "%d", (int)start);
    CHECK(mote_generate_tokens(f.session, f.sampler, f.tokenizer, (int32_t[]){start, question}, 2, &o, &r, &error) ==
              MOTE_OK,
          "%s", error.message);
    CHECK(!strcmp(s.text, "abc") && !strcmp(r.stopped_by, "end") && r.generated_tokens == 3 && r.prompt_tokens == 2,
          "'%s' %s", s.text, r.stopped_by);
    o.context = &other;
    CHECK(mote_generate(f.session, f.sampler, f.tokenizer, "?", 1, &o, &same, &error) == MOTE_OK, "%s", error.message);
    CHECK(!strcmp(other.text, "abc") && !strcmp(same.stopped_by, "end") && same.prompt_tokens == 1, "%s", other.text);
    o.ignore_end = true;
    CHECK(mote_generate(f.session, f.sampler, f.tokenizer, "?", 1, &o, &r, &error) == MOTE_OK, "%s", error.message);
    CHECK(!strcmp(r.stopped_by, "length") && r.generated_tokens == 12, "%s", r.stopped_by);
    static const int32_t wrong[] = {-1, 259, INT32_MAX, INT32_MIN};
    for (int i = 0; i < 4; i++) {
        int32_t tokens[] = {question, wrong[i]};
        CHECK(mote_generate_tokens(f.session, f.sampler, f.tokenizer, tokens, 2, &o, &r, &error) == MOTE_USAGE &&
                  strstr(error.message, "place 1"),
              "token %d: %s", (int)wrong[i], error.message);
    }
    CHECK(mote_generate_tokens(f.session, f.sampler, f.tokenizer, NULL, 1, &o, &r, &error) == MOTE_USAGE, "no tokens");
    close_fixture(&f);
}

static void a_failed_allocation_leaves_nothing(void) {
    int failures = 0;
    for (int k = 0; k < 200; k++) {
        failing_memory_begin();
        fixture f = open_fixture("abc", true, 16, 0);
        mote_error error = {0};
        int before = failing_memory_live();
        failing_memory_fail_at(k);
        mote_status status = mote_generate(f.session, f.sampler, f.tokenizer, "ab", 2, NULL, NULL, &error);
        bool failed = failing_memory_failed();
        failing_memory_fail_at(-1);
        failures += failed;
        CHECK(status == (failed ? MOTE_MEMORY : MOTE_OK), "allocation %d: %d", k, (int)status);
        CHECK(failing_memory_live() == before, "%d blocks are left after allocation %d", failing_memory_live() - before,
              k);
        close_fixture(&f);
        failing_memory_end();
        if (!failed) break;
    }
    CHECK(failures >= 4, "%d allocations failed", failures);
}

int main(void) {
    RUN(characters_are_passed_on_whole);
    RUN(broken_bytes_are_passed_on_as_they_are);
    RUN(stop_texts_cross_tokens);
    RUN(the_end_token_can_be_ignored);
    RUN(long_runs_reread_the_second_half);
    RUN(wrong_use_is_refused);
    RUN(turns_end_and_begin_with_tokens);
    RUN(a_failed_allocation_leaves_nothing);
    return test_finish();
}
