/* What happens before the first step. The steps for --minutes come from a measurement with a throw-away trainer on
 * random tokens, so that the schedule still ends where the time does. */
#include "prepare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blas_option.h"
#include "console.h"
#include "fine_tune.h"
#include "sampling.h"
#include "setup.h"
#include "source.h"

static int skip_bad;
static const struct option rows[] = {
    {"skip-bad", 0, OPTION_FLAG, &skip_bad, NULL, 0, 0, NULL, "skip bad lines of JSONL and count them"},
    {0},
};
const struct option_group group_corpus = {"Text", rows};

const struct option_group *const *prepare_stored(void) {
    static const struct option_group *const stored[] = {
        &group_source_from, &group_tokenizer, &group_shape, &group_batch, &group_length, &group_optimizer,
        &group_numbers,     &group_seed,      &group_type,  &group_blas,  &group_corpus, NULL};
    return fine_tune_asked() ? stored : &stored[1];
}

mote_status prepare_check(bool shape, mote_error *error) {
    const mote_recipe_facts facts = {.train_tokens = 1000000, .validation_tokens = 100000, .train_bytes = 1000000,
                                     .vocab = setup.vocab == UNSET_INTEGER ? 256 : (int)setup.vocab};
    mote_config config = shape ? setup_config() : mote_config_default(MOTE_FAMILY_LLAMA);
    mote_train_options options = setup_train_options();
    mote_error problem = {0};
    if (mote_recipe_complete(&facts, &config, &options, NULL, &problem) != MOTE_USAGE) return MOTE_OK;
    *error = problem;
    return MOTE_USAGE;
}

mote_status prepare_corpus(int n_texts, const char *const *texts, struct prepared *prepared, mote_error *error) {
    mote_corpus_options options = mote_corpus_options_default();
    if (isnan(setup.validation)) setup.validation = options.validation;
    options.validation = setup.validation;
    options.skip_bad = skip_bad;
    const char **paths = malloc((size_t)n_texts * sizeof *paths);
    if (!paths) return mote_fail(error, MOTE_MEMORY, "no memory for the names of %d texts", n_texts);
    mote_status status = MOTE_OK;
    bool from_input = false;
    for (int i = 0; i < n_texts; i++) {
        bool here = !strcmp(texts[i], "-");
        if (here && from_input) status = mote_fail(error, MOTE_USAGE, "standard input (-) can be read only once");
        from_input = from_input || here;
        paths[i] = here ? "/dev/stdin" : texts[i];
    }
    if (from_input) options.temporary = "."; /* beside the text would be in /dev */
    if (!status)
        status = source_texts(paths, n_texts, &options,
                              "a model to train further is given as --from MODEL, and beside it a TEXT",
                              &prepared->corpus, error);
    free(paths);
    if (status) return status;
    mote_corpus_info info = mote_corpus_describe(prepared->corpus);
    char size[SHORT_TEXT], skipped[64] = "";
    if (info.skipped_files)
        snprintf(skipped, sizeof skipped, "; %d file%s that %s no text skipped", info.skipped_files,
                 info.skipped_files == 1 ? "" : "s", info.skipped_files == 1 ? "is" : "are");
    note("text       %s in %d file%s, %llu document%s%s", text_bytes((double)info.bytes, size), info.files,
         info.files == 1 ? "" : "s", (unsigned long long)info.documents, info.documents == 1 ? "" : "s", skipped);
    if (info.skipped_lines) warn("%llu bad line%s skipped", (unsigned long long)info.skipped_lines,
                                 info.skipped_lines == 1 ? " was" : "s were");
    return MOTE_OK;
}

mote_status prepare_tokenizer(const char *path, struct prepared *prepared, mote_error *error) {
    mote_status status;
    mote_corpus_info info = mote_corpus_describe(prepared->corpus);
    if (path || prepared->source) {
        status = prepared->source ? MOTE_OK : mote_model_open(path, &prepared->source, error);
        if (status) return status;
        status = model_tokenizer(prepared->source, path, &prepared->tokenizer, error);
        if (status) return status;
    } else {
        mote_tokenizer_kind kind = MOTE_TOKENIZER_BYTE;
        int limit = 0;
        mote_recipe_tokenizer(&info, &kind, &limit);
        static const mote_tokenizer_kind kinds[] = {MOTE_TOKENIZER_BYTE, MOTE_TOKENIZER_CHAR, MOTE_TOKENIZER_WORD,
                                                    MOTE_TOKENIZER_BPE};
        if (setup.tokenizer != UNSET) {
            if (kinds[setup.tokenizer] != kind) limit = 4096; /* the recipe's limit was for another kind */
            kind = kinds[setup.tokenizer];
        }
        if (setup.vocab != UNSET_INTEGER) limit = (int)setup.vocab;
        if (setup.vocab != UNSET_INTEGER && setup.tokenizer == UNSET && kind == MOTE_TOKENIZER_CHAR)
            warn("--vocab has no effect: this text is read by character; --tokenizer bpe or word would heed it");
        status = mote_corpus_train_tokenizer(prepared->corpus, kind, limit, &prepared->own_tokenizer, error);
        if (status) return status;
        prepared->tokenizer = prepared->own_tokenizer;
        for (int i = 0; i < 4; i++)
            if (kinds[i] == kind) setup.tokenizer = i;
        bool bounded = kind == MOTE_TOKENIZER_WORD || kind == MOTE_TOKENIZER_BPE;
        setup.vocab = bounded ? limit : UNSET_INTEGER;
    }
    if (info.invalid_bytes && mote_tokenizer_unknown(prepared->tokenizer) >= 0)
        warn("%s: byte %llu is not UTF-8, the first of %llu such bytes; this tokenizer makes each of them <unk>",
             info.invalid_file, (unsigned long long)info.invalid_at, (unsigned long long)info.invalid_bytes);
    note("tokenizer  %s, %d tokens", mote_tokenizer_name(prepared->tokenizer),
         mote_tokenizer_vocab(prepared->tokenizer));
    return MOTE_OK;
}

mote_status prepare_dataset(struct prepared *prepared, mote_error *error) {
    mote_status status = mote_dataset_create(prepared->corpus, prepared->tokenizer, &prepared->dataset, error);
    if (status) return status;
    mote_recipe_facts *facts = &prepared->facts;
    facts->train_tokens = mote_dataset_tokens(prepared->dataset, MOTE_SPLIT_TRAIN);
    facts->validation_tokens = mote_dataset_tokens(prepared->dataset, MOTE_SPLIT_VALIDATION);
    facts->train_bytes = mote_dataset_bytes(prepared->dataset, MOTE_SPLIT_TRAIN);
    facts->vocab = mote_tokenizer_vocab(prepared->tokenizer);
    note("data       %llu token%s to train on, %llu for validation", (unsigned long long)facts->train_tokens,
         plural(facts->train_tokens), (unsigned long long)facts->validation_tokens);
    if (prepared->fine_tuning) /* a vocabulary that was not made for this text */
        warn_unknown(mote_dataset_unknown(prepared->dataset, MOTE_SPLIT_TRAIN) +
                         mote_dataset_unknown(prepared->dataset, MOTE_SPLIT_VALIDATION),
                     facts->train_tokens + facts->validation_tokens);
    /* The smallest context the recipe chooses is 16: two windows of 8, and the target of the last. */
    enum { LEAST_TOKENS = 17, FEW_TOKENS = 1000 };
    unsigned long long there = facts->train_tokens, needed = LEAST_TOKENS;
    if (setup.context != UNSET_INTEGER && setup.context + 1 > LEAST_TOKENS)
        needed = (unsigned long long)setup.context + 1;
    if (there < needed) {
        mote_fail(error, MOTE_BAD_FILE, "the text has %llu token%s to train on; at least %llu are needed", there,
                  plural(there), needed);
        return mote_hint(error, MOTE_BAD_FILE, needed > LEAST_TOKENS ? "use more text or a smaller --context"
                                                                     : "use more text: a book is a good start");
    }
    if (there < FEW_TOKENS)
        warn("%llu tokens are little to train on: the model will learn them by heart and nothing else", there);
    return MOTE_OK;
}

/* Seconds of one step: the mean over two seconds, or of one step that takes longer. A machine's speed comes and goes,
 * and steps that turn out too many cost more than a few too few: the learning rate would not reach its end. */
static mote_status measure_step(const mote_config *config, const mote_train_options *options, double *seconds,
                                mote_error *error) {
    mote_model *model = NULL;
    mote_trainer *trainer = NULL;
    double sum = 0;
    int counted = 0;
    mote_status status = mote_model_create(config, NULL, options->seed, &model, error);
    if (!status) status = mote_trainer_create(model, NULL, options, &trainer, error);
    for (int i = 0; !status && sum < 2; i++) {
        mote_step_report report;
        double begin = now_seconds();
        status = mote_trainer_step(trainer, &report, error);
        if (status == MOTE_DIVERGED) status = MOTE_OK; /* its time counts all the same */
        if (i) sum += now_seconds() - begin, counted++; /* the first one also touches new memory */
    }
    *seconds = counted ? fmax(sum / counted, 1e-9) : 1;
    mote_trainer_destroy(trainer);
    mote_model_close(model);
    return status;
}

/* The reasons of the first choice up to its steps, then those of the second, which chose what comes after. */
static char *merge_reasons(const char *first, const char *second, const char *steps) {
    const char *end = strstr(first, "\nsteps ");
    mote_buffer merged = {0};
    if (end) mote_buffer_print(&merged, "%.*s\n", (int)(end - first), first);
    mote_buffer_print(&merged, "%s%s", steps, second ? second : "");
    char *text = NULL;
    mote_buffer_finish(&merged, &text, NULL);
    return text;
}

mote_status prepare_recipe(struct prepared *prepared, mote_error *error) {
    mote_recipe_facts *facts = &prepared->facts;
    facts->epochs = isnan(setup.epochs) ? 0 : setup.epochs;
    facts->minutes = isnan(setup.minutes) ? 0 : setup.minutes;
    facts->fine_tuning = prepared->fine_tuning;
    prepared->config = prepared->fine_tuning ? mote_model_config(prepared->source) : setup_config();
    if (!prepared->fine_tuning) prepared->config.vocab = facts->vocab;
    prepared->options = setup_train_options();
    mote_status status =
        mote_recipe_complete(facts, &prepared->config, &prepared->options, &prepared->reasons, error);
    if (status || !facts->minutes || setup.steps != UNSET_INTEGER) return status;

    /* Shape and batch stay; the steps are what fits the time, less a fifth for evaluations, samples and saves. What
     * depends on the steps (warmup, learning rate) is chosen again. */
    double seconds;
    status = prepare_memory(prepared, error);
    if (!status) status = measure_step(&prepared->config, &prepared->options, &seconds, error);
    if (status) return status;
    mote_train_options again = setup_train_options();
    again.batch = prepared->options.batch;
    again.accumulate = prepared->options.accumulate;
    double steps = floor(0.8 * 60 * facts->minutes / seconds);
    again.steps = steps < 1 ? 1 : steps > 1e12 ? (int64_t)1e12 : (int64_t)steps;
    prepared->options = again;
    char *first = prepared->reasons, *second = NULL;
    prepared->reasons = NULL;
    prepared->tokens_per_second =
        (double)prepared->config.context * again.batch * again.accumulate / seconds;
    char time[SHORT_TEXT];
    note("measured   %.1f ms a step, %.0f tokens/s: %lld steps fit %s", 1e3 * seconds, prepared->tokens_per_second,
         (long long)again.steps, text_seconds(60 * facts->minutes, time));
    status = mote_recipe_complete(facts, &prepared->config, &prepared->options, &second, error);
    char chosen[128];
    snprintf(chosen, sizeof chosen, "steps %lld: %.1f epochs, what fits the time as measured\n", (long long)again.steps,
             (double)again.steps * prepared->config.context * again.batch * again.accumulate /
                 (double)facts->train_tokens);
    if (!status) prepared->reasons = merge_reasons(first, second, chosen);
    mote_free(first);
    mote_free(second);
    return status;
}

mote_status prepare_memory(struct prepared *prepared, mote_error *error) {
    mote_status status = setup_plan_memory(&prepared->config, &prepared->options, NULL, &prepared->plan, error);
    if (status) return status;
    uint64_t available = memory_available_bytes();
    if (!available || prepared->plan.total_bytes <= available) return MOTE_OK;
    char needed[SHORT_TEXT], there[SHORT_TEXT], part[SHORT_TEXT];
    mote_fail(error, MOTE_MEMORY, "training needs %s of memory (%s of it activations), but %s is available",
              text_bytes((double)prepared->plan.total_bytes, needed),
              text_bytes((double)prepared->plan.activations_bytes, part), text_bytes((double)available, there));
    uint64_t fixed = prepared->plan.weights_bytes + prepared->plan.gradients_bytes + prepared->plan.optimizer_bytes;
    if (fixed > available)
        return mote_hint(error, MOTE_MEMORY,
                         "the weights, their gradients and the optimizer alone need %s: take a smaller --dim (now %d) "
                         "or fewer --layers (now %d)",
                         text_bytes((double)fixed, needed), prepared->config.dim, prepared->config.layers);
    return mote_hint(error, MOTE_MEMORY,
                     "a smaller --batch (now %d) with more --accumulate gives the same steps in less",
                     prepared->options.batch);
}

void prepared_deinit(struct prepared *prepared) {
    mote_free(prepared->reasons);
    mote_dataset_destroy(prepared->dataset);
    mote_tokenizer_destroy(prepared->own_tokenizer);
    mote_model_close(prepared->source);
    mote_corpus_close(prepared->corpus);
    *prepared = (struct prepared){0};
}
