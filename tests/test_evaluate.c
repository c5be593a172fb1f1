/* Evaluation against the definition by single tokens; and the listing of a program. */
#include <unistd.h>

#include "base/json.h"
#include "failing_memory.h"
#include "run/evaluate.h"
#include "run/session.h"
#include "test.h"

typedef struct {
    mote_corpus *corpus;
    mote_tokenizer *tokenizer;
    mote_dataset *dataset;
    mote_model *model;
} fixture;

static mote_dataset *open_text(const char *text, const char *ending, mote_corpus **corpus,
                               const mote_tokenizer *tokenizer) {
    char path[64] = "/tmp/mote_evaluate_XXXXXX.", *end = path + strlen(path);
    snprintf(end, sizeof path - strlen(path), "%s", ending);
    int file = mkstemps(path, (int)strlen(ending) + 1);
    CHECK(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text), "%s", path);
    close(file);
    mote_corpus_options o = mote_corpus_options_default();
    o.validation = 0;
    mote_error error = {0};
    mote_dataset *dataset = NULL;
    const char *paths[] = {path};
    CHECK(mote_corpus_open(paths, 1, &o, corpus, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_dataset_create(*corpus, tokenizer, &dataset, &error) == MOTE_OK, "%s", error.message);
    unlink(path);
    return dataset;
}

static mote_model *open_model(const mote_tokenizer *tokenizer, int context) {
    mote_config c = mote_config_default(MOTE_FAMILY_LLAMA);
    mote_model *model = NULL;
    mote_error error = {0};
    c.context = context;
    c.dim = 32;
    c.layers = 2;
    c.heads = 2;
    CHECK(mote_model_create(&c, tokenizer, 9, &model, &error) == MOTE_OK, "%s", error.message);
    return model;
}

static fixture open_fixture(const char *text, const char *ending, int context) {
    fixture f = {0};
    mote_error error = {0};
    CHECK(mote_tokenizer_train(MOTE_TOKENIZER_BYTE, 0, "a", 1, &f.tokenizer, &error) == MOTE_OK, "%s", error.message);
    f.dataset = open_text(text, ending, &f.corpus, f.tokenizer);
    f.model = open_model(f.tokenizer, context);
    return f;
}
static void close_fixture(fixture *f) {
    mote_model_close(f->model);
    mote_dataset_destroy(f->dataset);
    mote_corpus_close(f->corpus);
    mote_tokenizer_destroy(f->tokenizer);
}

static char *long_text(size_t n) {
    char *text = malloc(n + 1);
    for (size_t i = 0; i < n; i++) text[i] = (char)(i % 61 == 60 ? '\n' : 'a' + (int)((i * i + i / 7) % 26));
    text[n] = 0;
    return text;
}

/* Loss, hits and targets of windows [begin, begin + length] of the training split, token by token. */
static void by_definition(const fixture *f, size_t begin, int length, double *loss, uint64_t *hits, uint64_t *targets) {
    int vocab = mote_tokenizer_vocab(f->tokenizer);
    int32_t *tokens = malloc(((size_t)length + 1) * sizeof *tokens);
    uint8_t *is_target = malloc((size_t)length + 1);
    mote_session *session = NULL;
    mote_dataset_read(f->dataset, MOTE_SPLIT_TRAIN, begin, (size_t)length + 1, tokens, is_target);
    CHECK(mote_session_create(f->model, NULL, &session, NULL) == MOTE_OK, "a session");
    for (int i = 0; i < length; i++) {
        CHECK(mote_session_run(session, &(mote_batch){1, tokens + i, &i, NULL, NULL}, NULL) == MOTE_OK, "position %d",
              i);
        const float *logits = mote_session_logits(session, 0);
        double sum = 0;
        int best = 0;
        for (int j = 0; j < vocab; j++) {
            sum += exp((double)logits[j]);
            if (logits[j] > logits[best]) best = j;
        }
        if (!is_target[i + 1]) continue;
        *loss += log(sum) - (double)logits[tokens[i + 1]];
        *hits += best == tokens[i + 1];
        ++*targets;
    }
    mote_session_destroy(session);
    free(tokens);
    free(is_target);
}

static void check_against_definition(const fixture *f, int context, const char *what) {
    mote_evaluation e;
    mote_error error = {0};
    size_t n = mote_dataset_tokens(f->dataset, MOTE_SPLIT_TRAIN);
    double loss = 0;
    uint64_t hits = 0, targets = 0;
    CHECK(mote_evaluate(f->model, f->dataset, MOTE_SPLIT_TRAIN, 0, 1, &e, &error) == MOTE_OK, "%s", error.message);
    for (size_t at = 0; at + 1 < n; at += (size_t)context)
        by_definition(f, at, n - 1 - at < (size_t)context ? (int)(n - 1 - at) : context, &loss, &hits, &targets);
    double mean = loss / (double)targets;
    CHECK(e.tokens == targets && targets > 0, "%s: %llu targets, not %llu", what, (unsigned long long)e.tokens,
          (unsigned long long)targets);
    CHECK(fabs(e.loss - mean) <= 1e-5 * mean, "%s: loss %.8f, not %.8f", what, e.loss, mean);
    CHECK(fabs(e.perplexity - exp(e.loss)) <= 1e-9 * e.perplexity, "perplexity %.6f", e.perplexity);
    CHECK(fabs(e.top1 - (double)hits / (double)targets) <= 1e-12, "%s: top1 %.6f", what, e.top1);
    double bits = e.loss * (double)e.tokens / log(2) / (double)e.bytes;
    CHECK(e.bytes > 0 && fabs(e.bits_per_byte - bits) <= 1e-2 * bits, "%s: %.5f bits a byte, not %.5f", what,
          e.bits_per_byte, bits);
    CHECK(e.seconds > 0, "seconds");
}

static void evaluation_is_its_definition(void) {
    static const int contexts[] = {1, 2, 16, 200, 5000};
    char *text = long_text(1000);
    for (size_t i = 0; i < sizeof contexts / sizeof *contexts; i++) {
        fixture f = open_fixture(text, "txt", contexts[i]);
        check_against_definition(&f, contexts[i], "text");
        mote_evaluation e;
        CHECK(mote_evaluate(f.model, f.dataset, MOTE_SPLIT_TRAIN, 0, 1, &e, NULL) == MOTE_OK && e.bytes == 1000,
              "%llu bytes", (unsigned long long)e.bytes);
        close_fixture(&f);
    }
    free(text);
    fixture f =
        open_fixture("{\"prompt\":\"how many legs has a fly\",\"completion\":\"six, as all insects\"}\n"
                     "{\"prompt\":\"and a spider\",\"completion\":\"eight\"}\n{\"text\":\"all of this counts\"}\n",
                     "jsonl", 16);
    check_against_definition(&f, 16, "completions");
    mote_evaluation e;
    CHECK(mote_evaluate(f.model, f.dataset, MOTE_SPLIT_TRAIN, 0, 1, &e, NULL) == MOTE_OK, "runs");
    CHECK(e.tokens < mote_dataset_tokens(f.dataset, MOTE_SPLIT_TRAIN) - 20, "prompts are no targets: %llu",
          (unsigned long long)e.tokens);
    close_fixture(&f);
}

/* The same bits for all threads and batch sizes, and in a trainer's executor, which is put back as it was. */
static void results_do_not_depend_on_batches_and_threads(void) {
    char *text = long_text(3000);
    fixture f = open_fixture(text, "txt", 64);
    mote_evaluation first, e;
    mote_error error = {0};
    CHECK(mote_evaluate(f.model, f.dataset, MOTE_SPLIT_TRAIN, 0, 1, &first, &error) == MOTE_OK, "%s", error.message);
    for (int threads = 0; threads <= 3; threads++) {
        CHECK(mote_evaluate(f.model, f.dataset, MOTE_SPLIT_TRAIN, 0, threads, &e, &error) == MOTE_OK, "%s",
              error.message);
        CHECK(e.loss == first.loss && e.top1 == first.top1, "%d threads: %.17g and %.17g", threads, e.loss, first.loss);
    }
    for (int slots = 1; slots <= 5; slots += 2) {
        mote_pool *pool = NULL;
        mote_exec *x = NULL;
        mote_exec_options how = {.max_rows = slots * 64 + 3,
                                 .max_sequences = slots,
                                 .slots = slots,
                                 .context = 64,
                                 .loss = true,
                                 .training = slots == 3};
        CHECK(mote_pool_create(2, &pool, &error) == MOTE_OK, "%s", error.message);
        CHECK(mote_exec_create(f.model->program, f.model->weight, f.model->packed, pool, &how, &x, &error) == MOTE_OK,
              "%s", error.message);
        int32_t mark = 0;
        x->token = &mark;
        x->n_rows = 1;
        CHECK(mote_evaluate_exec(x, f.dataset, MOTE_SPLIT_TRAIN, 0, 64, &e, &error) == MOTE_OK, "%s", error.message);
        CHECK(e.loss == first.loss && e.top1 == first.top1, "%d windows at a time", slots);
        CHECK(x->token == &mark && x->n_rows == 1 && !x->target && x->training == (slots == 3),
              "the executor is as it was");
        CHECK(mote_evaluate_exec(x, f.dataset, MOTE_SPLIT_TRAIN, 0, 65, &e, &error) == MOTE_USAGE, "a window too long");
        mote_exec_destroy(x);
        mote_pool_destroy(pool);
    }
    close_fixture(&f);
    free(text);
}

static void the_work_can_be_bounded(void) {
    char *text = long_text(10000);
    fixture f = open_fixture(text, "txt", 100);
    size_t n = mote_dataset_tokens(f.dataset, MOTE_SPLIT_TRAIN);
    static const uint64_t bounds[] = {1, 7, 99, 100, 250, 1000, 5000, 9900, 9999, 100000};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        mote_evaluation e;
        mote_error error = {0};
        CHECK(mote_evaluate(f.model, f.dataset, MOTE_SPLIT_TRAIN, bounds[i], 1, &e, &error) == MOTE_OK, "%s",
              error.message);
        uint64_t expected = bounds[i] >= n - 1 ? n - 1 : bounds[i] < 100 ? bounds[i] : bounds[i] / 100 * 100;
        CHECK(e.tokens <= expected && e.tokens + 100 >= expected && e.tokens > 0, "%llu tokens of at most %llu",
              (unsigned long long)e.tokens, (unsigned long long)bounds[i]);
        double bytes = 10000.0 * (double)e.tokens / (double)(n - 1);
        CHECK(fabs((double)e.bytes - bytes) <= 1, "%llu bytes, not %.1f", (unsigned long long)e.bytes, bytes);
    }
    mote_evaluation e;
    double loss = 0;
    uint64_t hits = 0, targets = 0;
    mote_evaluate(f.model, f.dataset, MOTE_SPLIT_TRAIN, 250, 1, &e,
                  NULL); /* the middles of two halves of 100 windows */
    by_definition(&f, 2500, 100, &loss, &hits, &targets);
    by_definition(&f, 7500, 100, &loss, &hits, &targets);
    CHECK(fabs(e.loss - loss / 200) <= 1e-5 * e.loss && e.tokens == 200, "spread over the text: %.7f, not %.7f", e.loss,
          loss / 200);
    close_fixture(&f);
    free(text);
}

static void wrong_use_is_refused(void) {
    fixture f = open_fixture("a", "txt", 16);
    mote_evaluation e;
    mote_error error;
    size_t n = mote_dataset_tokens(f.dataset, MOTE_SPLIT_TRAIN);
    if (n < 2)
        CHECK(mote_evaluate(f.model, f.dataset, MOTE_SPLIT_TRAIN, 0, 1, &e, &error) == MOTE_USAGE, "%zu tokens", n);
    CHECK(mote_evaluate(f.model, f.dataset, MOTE_SPLIT_VALIDATION, 0, 1, &e, &error) == MOTE_USAGE,
          "no validation part");
    CHECK(strstr(error.message, "validation"), "%s", error.message);
    CHECK(mote_evaluate(f.model, f.dataset, MOTE_SPLIT_TRAIN, 0, 1000, &e, &error) == MOTE_USAGE, "1000 threads");
    CHECK(mote_evaluate(NULL, f.dataset, MOTE_SPLIT_TRAIN, 0, 1, &e, &error) == MOTE_USAGE, "no model");
    close_fixture(&f);
    f = open_fixture("some text", "txt", 16);
    mote_config small = f.model->config;
    mote_model_close(f.model);
    small.vocab = 20;
    CHECK(mote_model_create(&small, NULL, 1, &f.model, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_evaluate(f.model, f.dataset, MOTE_SPLIT_TRAIN, 0, 1, &e, &error) == MOTE_USAGE,
          "tokens the model has not");
    close_fixture(&f);
    f = open_fixture("{\"prompt\":\"a prompt longer than what is evaluated\",\"completion\":\"b\"}\n", "jsonl", 16);
    error = (mote_error){0};
    CHECK(mote_evaluate(f.model, f.dataset, MOTE_SPLIT_TRAIN, 8, 1, &e, &error) == MOTE_BAD_FILE, "no target");
    CHECK(strstr(error.message, "none of the tokens"), "%s", error.message);
    close_fixture(&f);
}

static void a_failed_allocation_leaves_nothing(void) {
    int failures = 0;
    for (int k = 0; k < 500; k++) {
        failing_memory_begin();
        fixture f = open_fixture("a text of some length for this", "txt", 8);
        mote_evaluation e;
        mote_error error = {0};
        failing_memory_fail_at(k);
        mote_status status = mote_evaluate(f.model, f.dataset, MOTE_SPLIT_TRAIN, 0, 1, &e, &error);
        bool failed = failing_memory_failed();
        failing_memory_fail_at(-1);
        failures += failed;
        CHECK(status == (failed ? MOTE_MEMORY : MOTE_OK), "allocation %d: %d", k, (int)status);
        close_fixture(&f);
        CHECK(failing_memory_live() == 0, "%d blocks are left after allocation %d", failing_memory_live(), k);
        failing_memory_end();
        if (!failed) break;
    }
    CHECK(failures > 10, "%d allocations failed", failures);
}

/* ---- show */

static mote_config config_of(int kind) {
    mote_config c = mote_config_default(kind == 2 ? MOTE_FAMILY_GPT2 : MOTE_FAMILY_LLAMA);
    c.vocab = 70;
    c.context = 20;
    c.dim = 32;
    c.layers = 3;
    c.heads = 4;
    c.kv_heads = kind == 2 ? 4 : 2;
    c.tied = kind != 1;
    c.bias = kind == 2;
    c.qk_norm = kind == 1;
    return c;
}

/* The number of a key of the "total" object, which ends the JSON text. */
static double total_of(const char *json, const char *key) {
    mote_json reader;
    double value = -1;
    bool in_total = false;
    mote_json_init(&reader, json, strlen(json));
    for (mote_json_kind kind; (kind = mote_json_next(&reader)) != MOTE_JSON_END;) {
        CHECK(kind != MOTE_JSON_ERROR, "%s", reader.problem);
        if (kind == MOTE_JSON_ERROR) break;
        if (kind != MOTE_JSON_KEY) continue;
        in_total |= !strcmp(reader.string.bytes, "total");
        if (in_total && !strcmp(reader.string.bytes, key) && mote_json_next(&reader) == MOTE_JSON_NUMBER)
            value = reader.number;
    }
    mote_json_deinit(&reader);
    return value;
}

static void programs_are_listed(void) {
    for (int kind = 0; kind < 3; kind++) {
        mote_config c = config_of(kind);
        mote_model *model = NULL;
        mote_error error = {0};
        char *text = NULL, *json = NULL;
        CHECK(mote_model_create(&c, NULL, 1, &model, &error) == MOTE_OK, "%s", error.message);
        CHECK(mote_model_show(model, 7, false, &text, &error) == MOTE_OK, "%s", error.message);
        CHECK(mote_model_show(model, 7, true, &json, &error) == MOTE_OK, "%s", error.message);
        c = mote_model_config(model);
        CHECK(total_of(json, "parameters") == (double)mote_config_parameters(&c), "%.0f parameters",
              total_of(json, "parameters"));
        mote_cost cost = mote_program_cost(model->program, 7);
        CHECK(total_of(json, "flops") == cost.flops && cost.flops > 2.0 * 32 * 70, "%.0f FLOPs",
              total_of(json, "flops"));
        CHECK(total_of(json, "weight_bytes") == cost.weight_bytes && total_of(json, "state_bytes") == cost.state_bytes,
              "bytes");
        CHECK(total_of(json, "ops") == model->program->n_ops, "ops");
        int lines = 0;
        size_t width = 0;
        for (const char *line = strstr(text, "\n\n") + 2; *line; line = strchr(line, '\n') + 1, lines++) {
            size_t n = strcspn(line, "\n");
            if (!lines) width = n;
            CHECK(n == width, "line %d has %zu columns, not %zu: %.*s", lines, n, width, (int)n, line);
        }
        CHECK(lines == model->program->n_ops + 2, "%d lines of %d ops", lines, model->program->n_ops);
        CHECK(strstr(text, kind == 2 ? " attn_norm, attn_qkv.weight, attn_qkv.bias -> qkv "
                                     : " ffn_norm, ffn_gate.weight -> gate "),
              "%s", text);
        mote_free(text);
        CHECK(mote_model_show(model, 20, false, &text, &error) == MOTE_USAGE, "a position outside the context");
        CHECK(mote_model_show(model, -1, false, &text, &error) == MOTE_USAGE && !text, "a negative position");
        mote_free(json);
        mote_model_close(model);
    }
}

int main(void) {
    RUN(evaluation_is_its_definition);
    RUN(results_do_not_depend_on_batches_and_threads);
    RUN(the_work_can_be_bounded);
    RUN(wrong_use_is_refused);
    RUN(a_failed_allocation_leaves_nothing);
    RUN(programs_are_listed);
    return test_finish();
}
