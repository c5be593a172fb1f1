/* mote train: from a text to a model. Prepares (prepare.c), looks after the run folder and resuming, runs the loop
 * (train_loop.c) and prints what came out. config.json in the run folder holds every setting of the run, so that
 * --resume needs none repeated and --config starts the same run again. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "console.h"
#include "setup.h"
#include "train_loop.h"

static const char *output, *config_file, *sample_prompt;
static int resume, force, quiet;
static int64_t save_every, evaluate_every, sample_every = UNSET_INTEGER, keep = 2;

static const struct option file_rows[] = {
    {"output", 'o', OPTION_STRING, &output, "FILE", 0, 0, NULL, "the model to write; FILE.run beside it holds the run"},
    {"config", 0, OPTION_STRING, &config_file, "FILE", 0, 0, NULL, "a JSON object with long option names as keys"},
    {"resume", 0, OPTION_FLAG, &resume, NULL, 0, 0, NULL, "go on from the newest checkpoint that can be read"},
    {"force", 0, OPTION_FLAG, &force, NULL, 0, 0, NULL, "start anew although an unfinished run is there"},
    {0},
};
static const struct option run_rows[] = {
    {"save-every", 0, OPTION_INTEGER, &save_every, "N", 0, 1e12, "0: ten times a run and every 10 minutes",
     "steps between checkpoints"},
    {"keep", 0, OPTION_INTEGER, &keep, "K", 1, 1000, "2", "checkpoints to keep"},
    {"evaluate-every", 0, OPTION_INTEGER, &evaluate_every, "N", 0, 1e12, "0: twenty times a run",
     "steps between evaluations"},
    {"sample-every", 0, OPTION_INTEGER, &sample_every, "N", 0, 1e12, "five times a run",
     "steps between samples of generated text; 0: none"},
    {"sample-prompt", 0, OPTION_STRING, &sample_prompt, "TEXT", 0, 0, "the first words of TEXT",
     "how these samples begin"},
    {"quiet", 'q', OPTION_FLAG, &quiet, NULL, 0, 0, NULL, "print warnings and errors only"},
    {0},
};
static const struct option_group file_group = {"Files", file_rows}, run_group = {"During the run", run_rows};
static const struct option_group *const groups[] = {
    &file_group, &group_tokenizer, &group_shape,  &group_batch,   &group_length, &group_optimizer, &group_seed,
    &group_type, &run_group,       &group_corpus, &group_threads, &group_json,   &group_common,    NULL};
/* What config.json remembers: what the result depends on, and not where or how it is run. */
static const struct option_group *const stored[] = {&group_tokenizer, &group_shape, &group_batch,  &group_length,
                                                    &group_optimizer, &group_seed,  &group_type,   NULL};

static mote_status begin_folder(struct training *training, int64_t *checkpoints, int *n, int limit, mote_error *error) {
    mote_status status = run_open(output, (int)keep, &training->run, error);
    if (status) return status;
    struct stat info;
    const char *log = run_path(&training->run, "run.jsonl"), *config = run_path(&training->run, "config.json");
    *n = run_checkpoints(&training->run, checkpoints, limit);
    if (resume) {
        if (*n && !stat(config, &info)) return config_read(&command_train, config, error);
        note("resume     no checkpoint in %s: starting from the beginning", training->run.path);
        *n = 0;
        return MOTE_OK;
    }
    struct history *before = calloc(1, sizeof *before);
    bool finished = !*n || force;
    if (before && !finished && !stat(log, &info) && !history_load(log, INT64_MAX, before, NULL))
        finished = before->finished;
    if (before) history_deinit(before);
    free(before);
    *n = 0;
    if (finished) return MOTE_OK;
    mote_fail(error, MOTE_FAILED, "%s holds a run that did not end", training->run.path);
    return mote_hint(error, MOTE_FAILED, "--resume goes on with it, --force starts anew and removes it");
}

static mote_status write_config(struct training *training, mote_error *error) {
    mote_buffer buffer = {0};
    config_print(stored, &buffer);
    mote_buffer_print(&buffer, "\n");
    return run_write(run_path(&training->run, "config.json"), &buffer, error);
}

static void log_start(struct training *training, int n_texts, const char *const *texts, int64_t step) {
    const struct prepared *prepared = training->prepared;
    mote_buffer buffer = {0};
    mote_buffer_print(&buffer,
                      "{\"event\":\"%s\",\"step\":%lld,\"version\":\"%s\",\"model\":", step ? "resume" : "start",
                      (long long)step, mote_version());
    mote_buffer_json_string(&buffer, output, strlen(output));
    mote_buffer_print(&buffer, ",\"text\":[");
    for (int i = 0; i < n_texts; i++) {
        if (i) mote_buffer_print(&buffer, ",");
        mote_buffer_json_string(&buffer, texts[i], strlen(texts[i]));
    }
    mote_buffer_print(&buffer, "],\"tokenizer\":\"%s\",\"vocab\":%d,\"train_tokens\":%llu,\"validation_tokens\":%llu,"
                               "\"parameters\":%llu,\"planned_bytes\":%llu,\"threads\":%d,\"cpu_bits\":%u,\"config\":",
                      mote_tokenizer_name(prepared->tokenizer), prepared->config.vocab,
                      (unsigned long long)prepared->facts.train_tokens,
                      (unsigned long long)prepared->facts.validation_tokens,
                      (unsigned long long)prepared->plan.parameters, (unsigned long long)prepared->plan.total_bytes,
                      prepared->options.threads ? prepared->options.threads : mote_cpu_cores(), mote_cpu_detect());
    config_print(stored, &buffer);
    mote_buffer_print(&buffer, "}");
    run_event(&training->run, &buffer);
}

/* Newest checkpoint first; one that cannot be read is reported and the one before is taken. */
static mote_status load_checkpoint(struct training *training, const int64_t *steps, int n, mote_error *error) {
    mote_status status = MOTE_OK;
    for (int i = 0; i < n; i++) {
        const char *path = run_checkpoint_path(&training->run, steps[i]);
        status = mote_trainer_resume(training->trainer, path, error);
        if (!status) {
            training->saved_step = mote_trainer_steps_done(training->trainer);
            note("resume     from %s", path);
            history_load(run_path(&training->run, "run.jsonl"), training->saved_step, &training->history, NULL);
            return MOTE_OK;
        }
        bool damaged = status == MOTE_BAD_FILE || status == MOTE_IO;
        if (!damaged || i + 1 == n) break;
        warn("%s", error->message);
    }
    if (status && !error->hint[0])
        mote_hint(error, status, "--resume needs the text and settings of the first call; --force starts anew");
    return status;
}

/* The first words of a plain text. A text that is one document never shows the model what follows the token between
 * documents, so starting from that token would show noise. JSONL and folders have documents: for them it is right. */
static void find_prompt(const char *path, char out[33]) {
    size_t length = strlen(path);
    struct stat info;
    *out = 0;
    if (stat(path, &info) || !S_ISREG(info.st_mode) || (length > 6 && !strcmp(path + length - 6, ".jsonl"))) return;
    FILE *file = fopen(path, "rb");
    if (!file) return;
    size_t n = fread(out, 1, 32, file), end = 0, word = 0;
    fclose(file);
    /* Plain characters only, so that the line at the end can be pasted into a shell. */
    while (end < n && (unsigned char)out[end] >= 0x20 && (unsigned char)out[end] < 0x7f &&
           !strchr("\"\\$`!", out[end])) {
        if (end && out[end] == ' ' && out[end - 1] != ' ') word = end;
        end++;
    }
    out[end == n && word ? word : end] = 0;
}

static void set_intervals(struct training *training, const char *text) {
    int64_t steps = training->prepared->options.steps;
    struct {
        int64_t *to, given;
        int times;
    } intervals[] = {{&training->save_every, save_every, 10},
                     {&training->evaluate_every, evaluate_every, 20},
                     {&training->sample_every, sample_every == UNSET_INTEGER ? 0 : sample_every, 5}};
    for (int i = 0; i < 3; i++) {
        int64_t every = intervals[i].given ? intervals[i].given : steps / intervals[i].times;
        *intervals[i].to = every > 0 ? every : 1;
    }
    if (sample_every == 0) training->sample_every = 0;
    training->log_every = 1 + steps / 20000; /* run.jsonl stays below about 5 MB */
    training->output = output;
    training->type = setup_type();
    static char first_words[33];
    if (!sample_prompt) find_prompt(text, first_words);
    training->sample_prompt = sample_prompt ? sample_prompt : first_words;
    training->quiet = quiet;
}

static void fill_report(struct training *training) {
    const struct prepared *prepared = training->prepared;
    mote_corpus_info info = mote_corpus_describe(prepared->corpus);
    training->report = (struct report){
        .model_path = output,
        .history = &training->history,
        .groups = stored,
        .reasons = prepared->reasons,
        .steps = prepared->options.steps,
        .parameters = prepared->plan.parameters,
        .train_tokens = prepared->facts.train_tokens,
        .validation_tokens = prepared->facts.validation_tokens,
        .text_bytes = info.bytes,
        .memory_bytes = prepared->plan.total_bytes,
        .tokenizer = mote_tokenizer_name(prepared->tokenizer),
        .vocab = prepared->config.vocab,
        .threads = prepared->options.threads ? prepared->options.threads : mote_cpu_cores(),
    };
}

static void print_prepared(const struct prepared *prepared) {
    char count[SHORT_TEXT], bytes[SHORT_TEXT], available[SHORT_TEXT];
    if (prepared->reasons)
        for (const char *line = prepared->reasons; *line;) {
            int length = (int)strcspn(line, "\n");
            note("choice     %.*s", length, line);
            line += length + (line[length] == '\n');
        }
    note("model      %s, %d layers of %d, context %d, %s parameters", mote_family_name(prepared->config.family),
         prepared->config.layers, prepared->config.dim, prepared->config.context,
         text_count((double)prepared->plan.parameters, count));
    uint64_t there = memory_available_bytes();
    note("memory     %s planned%s%s%s", text_bytes((double)prepared->plan.total_bytes, bytes), there ? ", " : "",
         there ? text_bytes((double)there, available) : "", there ? " available" : "");
}

static mote_status print_summary(struct training *training, mote_error *error) {
    const struct history *history = &training->history;
    const mote_evaluation *final = &training->final;
    double speed = history->seconds > 0 ? (double)history->tokens / history->seconds : 0;
    char time[SHORT_TEXT], count[SHORT_TEXT];
    if (training->have_final)
        note("result     validation loss %.4f, perplexity %.3f, %.4f bits per byte, top-1 %.1f %%", final->loss,
             final->perplexity, final->bits_per_byte, 100 * final->top1);
    else note("result     training loss %.4f (no part of the text was kept for validation)", history->smoothed_loss);
    if (training->out_of_time)
        note("time       was over at step %lld of %lld: this machine was busier than when it was measured",
             (long long)mote_trainer_steps_done(training->trainer), (long long)training->prepared->options.steps);
    note("speed      %s tokens in %s, %.0f tokens/s", text_count((double)history->tokens, count),
         text_seconds(history->seconds, time), speed);
    note("files      %s, %s", output, run_path(&training->run, "report.html"));
    note("next: mote generate %s -p \"%s\" -n 200", output, training->sample_prompt);
    if (!option_json) return MOTE_OK;
    mote_buffer buffer = {0};
    mote_buffer_print(&buffer, "{\"status\":\"finished\",\"model\":");
    mote_buffer_json_string(&buffer, output, strlen(output));
    mote_buffer_print(&buffer, ",\"run_folder\":");
    mote_buffer_json_string(&buffer, training->run.path, strlen(training->run.path));
    const struct {
        const char *key;
        double value;
    } numbers[] = {{"loss", training->have_final ? final->loss : NAN},
                   {"perplexity", training->have_final ? final->perplexity : NAN},
                   {"bits_per_byte", training->have_final ? final->bits_per_byte : NAN},
                   {"top1", training->have_final ? final->top1 : NAN},
                   {"train_loss", history->smoothed_loss},
                   {"seconds", history->seconds},
                   {"tokens_per_second", speed}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        mote_buffer_print(&buffer, ",\"%s\":", numbers[i].key);
        mote_buffer_json_number(&buffer, numbers[i].value);
    }
    mote_buffer_print(&buffer,
                      ",\"steps\":%lld,\"tokens\":%llu,\"validation_tokens\":%llu,\"parameters\":%llu,"
                      "\"out_of_time\":%s}\n",
                      (long long)mote_trainer_steps_done(training->trainer), (unsigned long long)history->tokens,
                      (unsigned long long)training->prepared->facts.validation_tokens,
                      (unsigned long long)training->prepared->plan.parameters,
                      training->out_of_time ? "true" : "false");
    return out_buffer(&buffer, error);
}

/* Everything up to the first step. */
static mote_status prepare_training(struct training *training, int n_texts, const char *const *texts,
                                    mote_error *error) {
    enum { LIMIT = 4096 };
    struct prepared *prepared = training->prepared;
    int64_t *checkpoints = malloc(LIMIT * sizeof *checkpoints);
    int n = 0;
    mote_status status = checkpoints ? MOTE_OK : mote_fail(error, MOTE_MEMORY, "no memory for a list of checkpoints");
    if (!status) status = begin_folder(training, checkpoints, &n, LIMIT, error);
    if (!status) status = prepare_corpus(n_texts, texts, prepared, error);
    if (!status) status = prepare_tokenizer(n ? output : NULL, prepared, error);
    if (!status) status = prepare_dataset(prepared, error);
    if (!status) status = prepare_recipe(prepared, error);
    if (!status) status = prepare_memory(prepared, error);
    if (!status) {
        setup_store(&prepared->config, &prepared->options);
        set_intervals(training, texts[0]);
        fill_report(training);
        print_prepared(prepared);
        status =
            mote_model_create(&prepared->config, prepared->tokenizer, prepared->options.seed, &training->model, error);
    }
    if (!status) {
        const char *slash = strrchr(output, '/');
        char name[128];
        snprintf(name, sizeof name, "%.120s", slash ? slash + 1 : output);
        if (strlen(name) > 5 && !strcmp(name + strlen(name) - 5, ".gguf")) name[strlen(name) - 5] = 0;
        status = mote_model_set_name(training->model, name, error);
    }
    if (!status)
        status = mote_trainer_create(training->model, prepared->dataset, &prepared->options, &training->trainer, error);
    if (!status && n) status = load_checkpoint(training, checkpoints, n, error);
    if (!status) status = run_begin(&training->run, n > 0, error);
    if (!status) status = write_config(training, error);
    if (!status) log_start(training, n_texts, texts, mote_trainer_steps_done(training->trainer));
    free(checkpoints);
    return status;
}

static mote_status run_train(int n_texts, const char *const *texts, mote_error *error) {
    if (config_file) {
        mote_status status = config_read(&command_train, config_file, error);
        if (status) return status;
    }
    if (!output) {
        mote_fail(error, MOTE_USAGE, "mote train needs -o FILE, the model to write");
        return mote_hint(error, MOTE_USAGE, "%s", command_train.example);
    }
    if (resume && force) return mote_fail(error, MOTE_USAGE, "--resume goes on and --force starts anew: give one");
    console_quiet(quiet);
    static struct prepared prepared;
    static struct training training = {.prepared = &prepared, .run = {.lock = -1}, .saved_step = -1};
    train_catch_signals();
    mote_status status = prepare_training(&training, n_texts, texts, error);
    struct stat info;
    /* A first checkpoint: a disk that cannot hold it is found now and not after hours. A model that is there already
     * stays until there is a trained one to replace it. */
    if (!status && training.saved_step < 0 && stat(output, &info)) status = train_save(&training, error);
    if (!status) {
        if (!isnan(setup.minutes)) training.deadline = now_seconds() + 60 * setup.minutes;
        status = train_loop(&training, error);
        if (!status) status = train_evaluate_all(&training, error);
        if (!status && training.saved_step < mote_trainer_steps_done(training.trainer))
            status = train_save(&training, error);
        train_end(&training,
                  status == MOTE_OK            ? "finished"
                  : status == MOTE_INTERRUPTED ? "interrupted"
                  : status == MOTE_DIVERGED    ? "diverged"
                                               : "failed",
                  status ? error->message : NULL);
    }
    if (!status) status = print_summary(&training, error);
    mote_trainer_destroy(training.trainer);
    mote_model_close(training.model);
    prepared_deinit(&prepared);
    history_deinit(&training.history);
    run_close(&training.run);
    return status;
}

const struct command command_train = {
    .name = "train",
    .arguments = "TEXT...",
    .summary = "train a model from text",
    .details =
        "TEXT is a UTF-8 file, a folder of files, or JSONL with \"text\", \"prompt\" and \"completion\", or "
        "\"messages\". Everything that is not given is chosen for the amount of text, and the reasons are "
        "printed.\n\nBeside the model a folder with .run for .gguf holds run.jsonl (one object per event), "
        "report.html, config.json and checkpoints. Control-C finishes the step, saves, and --resume goes on with "
        "the same bits as if nothing had happened.",
    .example = "mote train corpus.txt -o model.gguf --minutes 10",
    .least = 1,
    .most = -1,
    .groups = groups,
    .run = run_train,
};
