/* mote train: from a text to a model. Prepares (prepare.c), looks after the run folder and resuming, runs the loop
 * (train_loop.c) and prints what came out. config.json in the run folder holds every setting of the run, so that
 * --resume needs none repeated and --config starts the same run again. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "blas_option.h"
#include "command.h"
#include "conflicts.h"
#include "console.h"
#include "fine_tune.h"
#include "output.h"
#include "setup.h"
#include "source.h"
#include "train_output.h"

static const char *output, *config_file, *sample_prompt;
static int resume, quiet;
static int64_t save_every, evaluate_every, sample_every = UNSET_INTEGER, keep = 2;

static const struct option file_rows[] = {
    {"output", 'o', OPTION_STRING, &output, "FILE", 0, 0, "model.gguf",
     "the model to write; m.gguf has its run beside it in m.run"},
    {"config", 0, OPTION_STRING, &config_file, "FILE", 0, 0, NULL,
     "a JSON object with long option names as keys; paths in it begin at its folder"},
    {"resume", 0, OPTION_FLAG, &resume, NULL, 0, 0, NULL, "go on from the newest checkpoint that can be read"},
    OUTPUT_FORCE_ROW("start anew, and replace the model and the run that are there already"),
    {0},
};
static const struct option run_rows[] = {
    {"save-every", 0, OPTION_INTEGER, &save_every, "N", 0, 1e12, "0: ten times a run and every 10 minutes",
     "steps between checkpoints"},
    {"keep", 0, OPTION_INTEGER, &keep, "K", 1, 1000, "2", "checkpoints to keep"},
    {"evaluate-every", 0, OPTION_INTEGER, &evaluate_every, "N", 0, 1e12,
     "0: twenty times a run, fewer where it is short", "steps between evaluations"},
    {"sample-every", 0, OPTION_INTEGER, &sample_every, "N", 0, 1e12, "five times a run",
     "steps between samples of generated text; 0: none"},
    {"sample-prompt", 0, OPTION_STRING, &sample_prompt, "TEXT", 0, 0, "the first words of TEXT",
     "how these samples begin"},
    {"quiet", 'q', OPTION_FLAG, &quiet, NULL, 0, 0, NULL, "print warnings and errors only"},
    {0},
};
static const struct option_group file_group = {"Files", file_rows}, run_group = {"During the run", run_rows};
static const struct option_group *const groups[] = {
    &file_group,    &group_source_from, &group_tokenizer, &group_shape, &group_batch,  &group_length,  &group_optimizer,
    &group_numbers, &group_seed,        &group_type,      &run_group,   &group_corpus, &group_threads, &group_memory,
    &group_blas,    &group_json,        &group_common,    NULL};
/* The same settings from a checkpoint end at the same step, on any number of threads: only another start helps. */
static mote_status fail_diverged_before(const struct run_folder *run, const struct history *before, mote_error *error) {
    double lr;
    mote_status status = resume ? MOTE_DIVERGED : MOTE_FAILED;
    mote_fail(error, status, "%s holds a run that diverged at step %lld", run->path, (long long)before->end_step + 1);
    if (!config_number(run_path(run, "config.json"), "lr", &lr))
        return mote_hint(error, status, "start anew with --force and a lower --lr");
    return mote_hint(error, status, "start anew with --force and a --lr lower than its %.6g", lr);
}

static mote_status begin_folder(struct training *training, int64_t *checkpoints, int *n, int limit, mote_error *error) {
    mote_status status = run_open(output, (int)keep, &training->run, error);
    if (status) return status;
    struct stat info;
    const char *log = run_path(&training->run, "run.jsonl"), *config = run_path(&training->run, "config.json");
    *n = run_checkpoints(&training->run, checkpoints, limit);
    if (resume && !*n) {
        mote_fail(error, MOTE_USAGE, "--resume: there is no checkpoint in %s", training->run.path);
        return mote_hint(error, MOTE_USAGE, "leave --resume out to start from the beginning");
    }
    struct history *before = calloc(1, sizeof *before);
    if (!before) return mote_fail(error, MOTE_MEMORY, "no memory for the history of the run");
    if (*n && !output_force && !stat(log, &info)) history_load(log, INT64_MAX, before, NULL);
    if (*n && !output_force && before->diverged) {
        status = fail_diverged_before(&training->run, before, error);
    } else if (resume) {
        if (!stat(config, &info)) status = fine_tune_resume(config, error);
    } else if (*n && !output_force && !before->finished) {
        mote_fail(error, MOTE_FAILED, "%s holds a run that did not end", training->run.path);
        status = mote_hint(error, MOTE_FAILED, "--resume goes on with it, --force starts anew and removes it");
    } else if (training->keeps_model && !output_force) {
        status = output_keep(output, error);
    }
    if (!resume) *n = 0;
    history_deinit(before);
    free(before);
    return status;
}

static mote_status write_config(struct training *training, mote_error *error) {
    mote_buffer buffer = {0};
    config_print(prepare_stored(), training->run.path, &buffer);
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
    config_print(prepare_stored(), NULL, &buffer);
    if (*training->blas_used) {
        mote_buffer_print(&buffer, ",\"blas\":");
        mote_buffer_json_string(&buffer, training->blas_used, strlen(training->blas_used));
    }
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
            training->keeps_model = training->keeps_model && training->saved_step == 0;
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

/* Of a short run: an evaluation costs as much as a step or two of a tiny model, whatever it reads, and the least that
 * it reads may be more than a step does. Forward is a third of a step; a twentieth of the run may go there. */
static int64_t evaluation_interval(const struct training *training) {
    enum { LEAST = 5 };
    const mote_train_options *options = &training->prepared->options;
    const double step = (double)options->batch * options->accumulate * training->prepared->config.context;
    const int64_t every = training->evaluate_every < LEAST ? LEAST : training->evaluate_every;
    const double affordable = ceil((double)train_evaluation_tokens(training) / 3 / (0.05 * step));
    return affordable > (double)every ? (int64_t)affordable : every;
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
    if (!evaluate_every) training->evaluate_every = evaluation_interval(training);
    training->log_every = 1 + steps / 20000; /* run.jsonl stays below about 5 MB */
    training->output = output;
    training->type = setup_type();
    /* A text that is one document never shows the model what follows the token between documents, so starting from
     * that token would show noise. JSONL and folders have documents: for them it is right. */
    static char first_words[FIRST_WORDS];
    if (find_first_words(text, first_words) != TEXT_PLAIN) *first_words = 0;
    training->sample_prompt = sample_prompt ? sample_prompt : first_words;
    training->quiet = quiet;
}

static void fill_report(struct training *training) {
    const struct prepared *prepared = training->prepared;
    mote_corpus_info info = mote_corpus_describe(prepared->corpus);
    training->report = (struct report){
        .model_path = output,
        .history = &training->history,
        .groups = prepare_stored(),
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

/* Every line of the report is printed; run.jsonl and --json have the last one, which sums up. */
static mote_status use_blas(struct training *training, mote_error *error) {
    enum { PERCENT = 5 };
    if (!blas_choice || !strcmp(blas_choice, "off")) return MOTE_OK;
    bool measured = !strcmp(blas_choice, "auto");
    char *report = NULL;
    mote_status status = blas_open(blas_choice, &training->blas, error);
    if (!status)
        status = mote_trainer_use_blas(training->trainer, training->blas, measured ? 1 + PERCENT / 100.0 : 0, &report,
                                       error);
    for (const char *line = report; line && *line;) {
        int length = (int)strcspn(line, "\n");
        note("blas       %.*s", length, line);
        snprintf(training->blas_used, sizeof training->blas_used, "%.*s", length, line);
        line += length + (line[length] == '\n');
    }
    mote_free(report);
    return status;
}

static void print_prepared(const struct training *training) {
    const struct prepared *prepared = training->prepared;
    char count[SHORT_TEXT], bytes[SHORT_TEXT], available[SHORT_TEXT];
    if (prepared->reasons)
        for (const char *line = prepared->reasons; *line;) {
            int length = (int)strcspn(line, "\n");
            note("choice     %.*s", length, line);
            line += length + (line[length] == '\n');
        }
    note("model      %s, %d layer%s of %d, context %d, %s parameters", mote_family_name(prepared->config.family),
         prepared->config.layers, plural((uint64_t)prepared->config.layers), prepared->config.dim,
         prepared->config.context, text_count((double)prepared->plan.parameters, count));
    if (prepared->options.precision != MOTE_PRECISION_F32 || prepared->options.qat != MOTE_TYPE_F32)
        note("numbers    products in %s, weights %s%s", setup_precision_name(prepared->options.precision),
             prepared->options.qat == MOTE_TYPE_F32 ? "as they are" : "rounded to and saved as ",
             prepared->options.qat == MOTE_TYPE_F32 ? "" : mote_type_name(prepared->options.qat));
    if (prepared->options.precision == MOTE_PRECISION_BF16 && !(mote_cpu_detect() & MOTE_CPU_BF16))
        note("           this processor has no products of bf16 (AVX512-BF16): a step is not faster than in f32");
    uint64_t there = memory_available_bytes();
    note("memory     %s planned%s%s%s", text_bytes((double)prepared->plan.total_bytes, bytes), there ? ", " : "",
         there ? text_bytes((double)there, available) : "", there ? " available" : "");
    unsigned long long part = train_evaluation_tokens(training), whole = prepared->facts.validation_tokens;
    const long long every = training->evaluate_every;
    if (whole && prepared->options.steps - every <= every / 2)
        note("evaluate   at the end, val over all %llu validation tokens", whole);
    else if (whole && part < whole)
        note("evaluate   every %lld step%s, val over %llu of the %llu validation tokens, evenly spread; at the end "
             "over all",
             every, plural((uint64_t)every), part, whole);
    else if (whole)
        note("evaluate   every %lld step%s, val over all %llu validation tokens", every, plural((uint64_t)every),
             whole);
}

/* A new model, or that of --from. */
static mote_status take_model(struct training *training, mote_error *error) {
    struct prepared *prepared = training->prepared;
    if (!prepared->fine_tuning)
        return mote_model_create(&prepared->config, prepared->tokenizer, prepared->options.seed, &training->model,
                                 error);
    training->model = prepared->source;
    prepared->source = NULL;
    return MOTE_OK;
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
    const bool replaces = !n && training->keeps_model;
    /* A model of --from is a trained one already, so it is saved at once. */
    if (fine_tune_asked() && !n) training->keeps_model = false;
    if (!status && fine_tune_asked()) status = fine_tune_open(n ? output : NULL, true, prepared, error);
    if (!status) status = prepare_corpus(n_texts, texts, prepared, error);
    /* Beside a checkpoint of step 0 the model may still be that of an earlier run, with another tokenizer. */
    if (!status) status = prepare_tokenizer(n && checkpoints[0] > 0 ? output : NULL, prepared, error);
    if (!status) status = prepare_dataset(prepared, error);
    if (!status) status = prepare_recipe(prepared, error);
    if (!status) status = prepare_memory(prepared, error);
    if (!status) {
        setup_store(&prepared->config, &prepared->options);
        set_intervals(training, texts[0]);
        fill_report(training);
        print_prepared(training);
        status = take_model(training, error);
    }
    if (!status) {
        const char *slash = strrchr(output, '/');
        char name[128];
        const char *base = slash ? slash + 1 : output;
        snprintf(name, sizeof name, "%.*s", (int)output_stem(base), base);
        status = mote_model_set_name(training->model, name, error);
    }
    if (!status)
        status = mote_trainer_create(training->model, prepared->dataset, &prepared->options, &training->trainer, error);
    if (!status) status = use_blas(training, error);
    if (!status && n) status = load_checkpoint(training, checkpoints, n, error);
    if (!status && replaces) /* told when nothing but the disk can stand in the way */
        note("replaces   %s, with the first save %s step 0", output, fine_tune_asked() ? "at" : "after");
    if (!status && !n) status = train_save_first(training, error);
    if (!status) status = run_begin(&training->run, n > 0, error);
    if (!status) status = write_config(training, error);
    if (!status) log_start(training, n_texts, texts, mote_trainer_steps_done(training->trainer));
    free(checkpoints);
    return status;
}

/* Saved first: the evaluation of a large validation part takes long, and whatever happens in it costs no step. */
static mote_status train_to_end(struct training *training, mote_error *error) {
    int64_t done = mote_trainer_steps_done(training->trainer), steps = training->prepared->options.steps;
    if (resume && done >= steps)
        note("finished   already at step %lld; --steps M trains longer only with a constant or wsd schedule, else "
             "start anew with more steps",
             (long long)done);
    if (!isnan(setup.minutes)) training->deadline = now_seconds() + 60 * setup.minutes;
    mote_status status = done || !fine_tune_asked() ? MOTE_OK : train_evaluate_first(training, error);
    if (!status) status = train_loop(training, error);
    if (!status && (training->keeps_model || training->saved_step < mote_trainer_steps_done(training->trainer)))
        status = train_save(training, error);
    if (!status) status = train_evaluate_all(training, error);
    return status;
}

static mote_status run_train(int n_texts, const char *const *texts, mote_error *error) {
    mote_status status = config_file ? config_read(&command_train, config_file, error) : MOTE_OK;
    if (status) return status;
    if (!output) output = "model.gguf";
    if (resume && output_force) {
        mote_fail(error, MOTE_USAGE, "--resume goes on and --force starts anew: give one");
        return mote_hint(error, MOTE_USAGE, "leave the other out");
    }
    /* A resumed run takes what it was begun with and refuses anything else. */
    if (!resume && (status = conflicts_check(&command_train, n_texts, error))) return status;
    if (!resume && (status = fine_tune_check(output, error))) return status;
    if (!resume && (status = prepare_check(!fine_tune_asked(), error))) return status;
    console_quiet(quiet);
    static struct prepared prepared;
    static struct training training = {.prepared = &prepared, .run = {.lock = -1}, .saved_step = -1};
    for (int i = 0; i < n_texts && !status; i++) status = output_spare(texts[i], output, "text", error);
    if (!status) status = output_look(&command_train, output, false, &training.keeps_model, error);
    if (status) return status;
    train_catch_signals();
    status = prepare_training(&training, n_texts, texts, error);
    if (!status) {
        status = train_to_end(&training, error);
        const char *name = status == MOTE_OK            ? "finished"
                           : status == MOTE_INTERRUPTED ? "interrupted"
                           : status == MOTE_DIVERGED    ? "diverged"
                                                        : "failed";
        train_end(&training, name, status ? error->message : NULL);
        if (!status) train_print_summary(&training, texts[0]);
        /* A failure to print must not hide why the run ended. */
        if (option_json && (status == MOTE_INTERRUPTED || status == MOTE_DIVERGED))
            train_print_json(&training, name, NULL);
        else if (option_json && !status) status = train_print_json(&training, name, error);
    }
    mote_trainer_destroy(training.trainer);
    mote_blas_close(training.blas);
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
        "TEXT is a UTF-8 file, - for standard input, a folder of files, or JSONL with \"text\", \"prompt\" and "
        "\"completion\", or \"messages\". Everything that is not given is chosen for the amount of text, and the "
        "reasons are printed. On the way the validation loss (val) is measured over an evenly spread part of what "
        "was kept for validation, where all of it would cost too much; at the end always over all of it.\n\nBeside "
        "the model a folder with .run for .gguf holds run.jsonl (one object per event), report.html, config.json "
        "and checkpoints. Control-C finishes the step, saves, and --resume goes on with the same bits as if nothing "
        "had happened.",
    .example = "mote train corpus.txt -o model.gguf --minutes 10",
    .least = 1,
    .most = -1,
    .groups = groups,
    .run = run_train,
};
