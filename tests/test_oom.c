/* The k-th allocation of each part of a model's life fails, for every k (in the ordinary tests only some k above 400;
 * `--oom` tries all): a clean error, no block that is not released, no file that is not whole. The same work without a
 * failure succeeds, so nothing is passed over. */
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failing_memory.h"
#include "test.h"

enum { EVERY_BELOW = 400, MOST_ALLOCATIONS = 200000 };

static char folder[64];
static char text_path[128], lines_path[128], model_path[128], output[128];
static bool every;
static int wanted; /* the allocation to fail, counted from arm() on */

/* Ends what a scenario needs before the part that is tested. */
static void arm(void) { failing_memory_fail_at(wanted); }

/* What a scenario holds; all of it is released by close_all. */
typedef struct {
    mote_corpus *corpus;
    mote_tokenizer *tokenizer;
    mote_dataset *dataset;
    mote_model *model, *opened;
    mote_session *session;
    mote_sampler *sampler;
    mote_trainer *trainer, *resumed;
    char *text;
} holdings;

static void close_all(holdings *h) {
    mote_trainer_destroy(h->resumed);
    mote_trainer_destroy(h->trainer);
    mote_sampler_destroy(h->sampler);
    mote_session_destroy(h->session);
    mote_model_close(h->opened);
    mote_model_close(h->model);
    mote_dataset_destroy(h->dataset);
    mote_tokenizer_destroy(h->tokenizer);
    mote_corpus_close(h->corpus);
    mote_free(h->text);
}

/* ---- scenarios: the first failure ends them */

static mote_status open_corpus(holdings *h, const char *path, size_t memory_bytes, mote_error *error) {
    mote_corpus_options options = mote_corpus_options_default();
    options.validation = 0.2;
    if (memory_bytes) options.memory_bytes = memory_bytes;
    return mote_corpus_open(&path, 1, &options, &h->corpus, error);
}

static mote_status read_text(holdings *h, const char *path, mote_tokenizer_kind kind, size_t memory_bytes,
                             mote_error *error) {
    arm();
    mote_status status = open_corpus(h, path, memory_bytes, error);
    if (!status) status = mote_corpus_train_tokenizer(h->corpus, kind, 280, &h->tokenizer, error);
    if (!status) status = mote_dataset_create(h->corpus, h->tokenizer, &h->dataset, error);
    return status;
}

static mote_status read_bpe(holdings *h, mote_error *error) {
    return read_text(h, text_path, MOTE_TOKENIZER_BPE, 0, error);
}
static mote_status read_char(holdings *h, mote_error *error) {
    return read_text(h, text_path, MOTE_TOKENIZER_CHAR, 0, error);
}
static mote_status read_word(holdings *h, mote_error *error) {
    return read_text(h, text_path, MOTE_TOKENIZER_WORD, 0, error);
}
static mote_status read_lines(holdings *h, mote_error *error) {
    return read_text(h, lines_path, MOTE_TOKENIZER_CHAR, 0, error);
}
static mote_status read_folder_to_disk(holdings *h, mote_error *error) {
    return read_text(h, folder, MOTE_TOKENIZER_BYTE, 1, error);
}

static mote_config tiny(mote_family family) {
    mote_config c = mote_config_default(family);
    c.dim = 8, c.layers = 1, c.heads = 2, c.hidden = 12, c.context = 8, c.vocab = 257;
    return c;
}

static mote_status create(holdings *h, mote_family family, mote_error *error) {
    mote_config c = tiny(family);
    mote_status status = mote_tokenizer_train(MOTE_TOKENIZER_BYTE, 0, "", 0, &h->tokenizer, error);
    if (!status) status = mote_model_create(&c, h->tokenizer, 1, &h->model, error);
    return status;
}

static mote_status create_model(holdings *h, mote_error *error) {
    arm();
    mote_status status = create(h, MOTE_FAMILY_LLAMA, error);
    if (!status) status = mote_model_set_name(h->model, "speck", error);
    if (!status) status = mote_model_show(h->model, 3, true, &h->text, error);
    return status;
}

static mote_status save_model(holdings *h, mote_error *error) {
    mote_status status = create(h, MOTE_FAMILY_GPT2, error);
    arm();
    return status ? status : mote_model_save(h->model, output, MOTE_TYPE_F16, error);
}

static mote_status open_model(holdings *h, mote_error *error) {
    arm();
    mote_status status = mote_model_open(model_path, &h->opened, error);
    return status ? status : mote_gguf_inspect(model_path, false, &h->text, error);
}

static mote_status generate(holdings *h, mote_error *error) {
    mote_status status = mote_model_open(model_path, &h->opened, error);
    arm();
    mote_session_options options = mote_session_options_default();
    options.threads = 2, options.sequences = 2;
    if (!status) status = mote_session_create(h->opened, &options, &h->session, error);
    const int32_t token[] = {72, 102, 109}, position[] = {0, 1, 2}, sequence[] = {1, 1, 1};
    mote_batch batch = {.n_tokens = 3, .token = token, .position = position, .sequence = sequence};
    if (!status) status = mote_session_run(h->session, &batch, error);
    mote_sampler_options sampling = mote_sampler_options_default();
    sampling.top_k = 5, sampling.repetition_penalty = 1.1f;
    if (!status) status = mote_sampler_create(&sampling, 257, &h->sampler, error);
    const char *stop[] = {"zq"};
    mote_generate_options how = mote_generate_options_default();
    how.n_tokens = 20, how.ignore_end = true, how.stop = stop, how.n_stop = 1;
    const mote_tokenizer *tokenizer = h->opened ? mote_model_tokenizer(h->opened) : NULL;
    if (!status) status = mote_generate(h->session, h->sampler, tokenizer, "A speck", 7, &how, NULL, error);
    return status;
}

static mote_status prepare_training(holdings *h, mote_error *error) {
    mote_status status = open_corpus(h, text_path, 0, error);
    if (!status) status = create(h, MOTE_FAMILY_LLAMA, error);
    if (!status) status = mote_dataset_create(h->corpus, h->tokenizer, &h->dataset, error);
    return status;
}

static mote_train_options brief(mote_optimizer optimizer) {
    mote_train_options o = mote_train_options_default();
    o.batch = 2, o.accumulate = 2, o.steps = 4, o.warmup = 1, o.threads = 1, o.average = 0.9, o.dropout = 0.1;
    o.optimizer = optimizer;
    return o;
}

static mote_status train(holdings *h, mote_optimizer optimizer, mote_error *error) {
    mote_status status = prepare_training(h, error);
    mote_train_options options = brief(optimizer);
    mote_evaluation evaluation;
    arm();
    if (!status) status = mote_trainer_create(h->model, h->dataset, &options, &h->trainer, error);
    for (int i = 0; i < 2 && !status; i++) status = mote_trainer_step(h->trainer, NULL, error);
    if (!status) status = mote_trainer_evaluate(h->trainer, 100, &evaluation, error);
    return status;
}

static mote_status train_adamw(holdings *h, mote_error *error) { return train(h, MOTE_OPTIMIZER_ADAMW, error); }
static mote_status train_muon(holdings *h, mote_error *error) { return train(h, MOTE_OPTIMIZER_MUON, error); }

static mote_status start_trainer(holdings *h, mote_error *error) {
    mote_train_options options = brief(MOTE_OPTIMIZER_MUON);
    mote_status status = prepare_training(h, error);
    if (!status) status = mote_trainer_create(h->model, h->dataset, &options, &h->trainer, error);
    for (int i = 0; i < 2 && !status; i++) status = mote_trainer_step(h->trainer, NULL, error);
    return status;
}

static mote_status save_checkpoint(holdings *h, mote_error *error) {
    mote_status status = start_trainer(h, error);
    arm();
    return status ? status : mote_trainer_save(h->trainer, output, error);
}

static mote_status save_from_trainer(holdings *h, mote_error *error) {
    mote_status status = start_trainer(h, error);
    arm();
    return status ? status : mote_trainer_save_model(h->trainer, output, MOTE_TYPE_BF16, error);
}

static mote_status resume(holdings *h, mote_error *error) {
    mote_train_options options = brief(MOTE_OPTIMIZER_MUON);
    mote_status status = start_trainer(h, error);
    if (!status) status = mote_trainer_save(h->trainer, output, error);
    mote_trainer_destroy(h->trainer);
    h->trainer = NULL;
    arm();
    if (!status) status = mote_trainer_create(h->model, h->dataset, &options, &h->resumed, error);
    if (!status) status = mote_trainer_resume(h->resumed, output, error);
    if (!status) status = mote_trainer_step(h->resumed, NULL, error);
    remove(output);
    return status;
}

static mote_status evaluate(holdings *h, mote_error *error) {
    mote_status status = prepare_training(h, error);
    mote_evaluation evaluation;
    arm();
    return status ? status : mote_evaluate(h->model, h->dataset, MOTE_SPLIT_VALIDATION, 0, 2, &evaluation, error);
}

static mote_status quantize_as(holdings *h, double target_bits, mote_error *error) {
    mote_status status = prepare_training(h, error);
    mote_quantize_options o = mote_quantize_options_default();
    mote_quantize_report *report = NULL;
    mote_comparison lost;
    uint64_t bytes;
    o.type = MOTE_TYPE_Q3_K, o.target_bits = target_bits, o.calibration = h->dataset, o.threads = 2;
    o.calibration_tokens = 64;
    arm();
    if (!status) status = mote_model_quantize(h->model, &o, &h->opened, &report, error);
    mote_quantize_report_destroy(report);
    if (!status)
        status = mote_model_compare(h->model, h->opened, h->dataset, MOTE_SPLIT_VALIDATION, 64, 2, &lost, error);
    if (!status) status = mote_model_file_bytes(h->opened, &bytes, error);
    return status ? status : mote_model_save(h->opened, output, MOTE_TYPE_KEEP, error);
}

static mote_status quantize(holdings *h, mote_error *error) { return quantize_as(h, 0, error); }
static mote_status quantize_mixed(holdings *h, mote_error *error) { return quantize_as(h, 20, error); }

static mote_status plan(holdings *h, mote_error *error) {
    mote_config c = tiny(MOTE_FAMILY_LLAMA);
    mote_train_options o = brief(MOTE_OPTIMIZER_ADAMW);
    mote_memory_plan result;
    const mote_recipe_facts facts = {.train_tokens = 100000, .validation_tokens = 10000, .train_bytes = 100000,
                                     .vocab = 257};
    arm();
    mote_status status = mote_plan_memory(&c, &o, NULL, &result, error);
    if (!status) status = mote_plan_memory(&c, NULL, NULL, &result, error);
    c.dim = 0, o.lr = 0;
    return status ? status : mote_recipe_complete(&facts, &c, &o, &h->text, error);
}

static mote_status test_kernels(holdings *h, mote_error *error) {
    arm();
    return mote_kernels_selftest(&h->text, error);
}

/* ---- driving them */

/* Names in the folder beside the inputs; hidden ones too, as temporary files may be. */
static int count_extra(char name[256]) {
    int n = 0;
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory && (entry = readdir(directory)) != NULL;) {
        const char *const known[] = {".", "..", "text.txt", "lines.jsonl", "model.gguf"};
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            found = found || strcmp(entry->d_name, known[i]) == 0;
        if (!found) n++, snprintf(name, 256, "%s", entry->d_name);
    }
    if (directory) closedir(directory);
    return n;
}

/* One run with the k-th allocation failing. False: there were fewer, and all went well. */
static bool run_once(const char *name, mote_status (*scenario)(holdings *, mote_error *), int k) {
    holdings h = {0};
    mote_error error = {0};
    char extra[256] = "";
    failing_memory_begin();
    wanted = k;
    mote_status status = scenario(&h, &error);
    bool failed = failing_memory_failed();
    failing_memory_fail_at(-1);
    close_all(&h);
    int live = failing_memory_live();
    failing_memory_end();
    if (failed) {
        CHECK(status == MOTE_MEMORY, "%s, allocation %d: status %d '%s'", name, k, (int)status, error.message);
        CHECK(error.status == status && error.message[0], "%s, allocation %d: no message", name, k);
        CHECK(count_extra(extra) == 0, "%s, allocation %d leaves %s", name, k, extra);
    } else {
        CHECK(status == MOTE_OK, "%s: status %d '%s'", name, (int)status, error.message);
        remove(output);
    }
    CHECK(live == 0, "%s, allocation %d leaks %d blocks", name, k, live);
    return failed;
}

static void run_scenario(const char *name, mote_status (*scenario)(holdings *, mote_error *)) {
    int k = 0, runs = 0;
    while (test_ok && k < MOST_ALLOCATIONS && run_once(name, scenario, k)) {
        runs++;
        k += every || k < EVERY_BELOW ? 1 : k / 20;
    }
    CHECK(runs > 0 && k < MOST_ALLOCATIONS, "%s: %d allocations", name, k);
    if (test_ok) printf("     %-20s %d allocations failed one at a time\n", name, runs);
}

#define SCENARIO(function) run_scenario(#function, function)

static void texts(void) {
    SCENARIO(read_bpe);
    SCENARIO(read_char);
    SCENARIO(read_word);
    SCENARIO(read_lines);
    SCENARIO(read_folder_to_disk);
}

static void models(void) {
    SCENARIO(create_model);
    SCENARIO(save_model);
    SCENARIO(open_model);
}

static void running(void) {
    SCENARIO(generate);
    SCENARIO(evaluate);
    SCENARIO(quantize);
    SCENARIO(quantize_mixed);
    SCENARIO(test_kernels);
}

static void training(void) {
    SCENARIO(plan);
    SCENARIO(train_adamw);
    SCENARIO(train_muon);
    SCENARIO(save_checkpoint);
    SCENARIO(save_from_trainer);
    SCENARIO(resume);
}

/* A save that fails leaves the file of that name as it was. */
static void the_old_file_stays(void) {
    static const char old[] = "what was there";
    char found[sizeof old] = "";
    FILE *f = fopen(output, "wb");
    CHECK(f && fputs(old, f) >= 0);
    if (f) fclose(f);
    holdings h = {0};
    failing_memory_begin();
    wanted = 5;
    CHECK(save_model(&h, NULL) == MOTE_MEMORY);
    close_all(&h);
    failing_memory_end();
    f = fopen(output, "rb");
    CHECK(f && fread(found, 1, sizeof found, f) == sizeof old - 1 && strcmp(found, old) == 0);
    if (f) fclose(f);
    remove(output);
}

static bool prepare(void) {
    snprintf(folder, sizeof folder, "build/test_oom.%d", (int)getpid());
    if (mkdir(folder, 0777)) return false;
    snprintf(text_path, sizeof text_path, "%s/text.txt", folder);
    snprintf(lines_path, sizeof lines_path, "%s/lines.jsonl", folder);
    snprintf(model_path, sizeof model_path, "%s/model.gguf", folder);
    snprintf(output, sizeof output, "%s/output", folder);
    FILE *text = fopen(text_path, "w"), *lines = fopen(lines_path, "w");
    for (int i = 0; text && lines && i < 12; i++) {
        fprintf(text, "The %d. speck saw the sea, and the sea saw the speck.\n", i);
        fprintf(lines, "{\"text\": \"The %d. speck\\n\"}\n", i);
        fprintf(lines, "{\"messages\": [{\"role\": \"user\", \"content\": \"where?\"}, "
                       "{\"role\": \"assistant\", \"content\": \"at \\u00e9 %d\"}]}\n", i);
    }
    bool ok = text && lines;
    if (text) fclose(text);
    if (lines) fclose(lines);
    holdings h = {0};
    ok = ok && create(&h, MOTE_FAMILY_LLAMA, NULL) == MOTE_OK &&
         mote_model_save(h.model, model_path, MOTE_TYPE_BF16, NULL) == MOTE_OK;
    close_all(&h);
    return ok;
}

int main(int n_arguments, char **arguments) {
    every = n_arguments > 1 && strcmp(arguments[1], "--oom") == 0;
    if (!prepare()) {
        printf("FAIL cannot write into %s\n", folder);
        test_failed++;
    } else {
        RUN(texts);
        RUN(models);
        RUN(running);
        RUN(training);
        RUN(the_old_file_stays);
    }
    remove(text_path), remove(lines_path), remove(model_path);
    rmdir(folder);
    return test_finish();
}
