/* The options of sampling, and opening what speaks: model, session, sampler. */
#include "sampling.h"

#include <math.h>

#include "console.h"
#include "source.h"

static double temperature = UNSET_NUMBER, top_p = UNSET_NUMBER, min_p = UNSET_NUMBER, penalty = UNSET_NUMBER;
static int64_t top_k = UNSET_INTEGER, window = UNSET_INTEGER, seed = UNSET_INTEGER;
struct string_list sampling_stop;
int sampling_ignore_end;

static const struct option rows[] = {
    {"temperature", 0, OPTION_NUMBER, &temperature, "X", 0, 100, "0.8", "0: always the likeliest token"},
    {"top-k", 0, OPTION_INTEGER, &top_k, "N", 0, 1048576, "40", "draw from the N likeliest tokens; 0: from all"},
    {"top-p", 0, OPTION_NUMBER, &top_p, "X", 1e-6, 1, "0.95",
     "draw from the likeliest that make up this probability; 1: from all"},
    {"min-p", 0, OPTION_NUMBER, &min_p, "X", 0, 1, "0.05",
     "drop tokens below this part of the likeliest; 0: none"},
    {"repetition-penalty", 0, OPTION_NUMBER, &penalty, "X", 0.01, 100, "1: off", "divides the logit of recent tokens"},
    {"repetition-window", 0, OPTION_INTEGER, &window, "N", 0, 1048576, "64", "how many tokens are recent"},
    {"seed", 0, OPTION_INTEGER, &seed, "N", 0, 9007199254740992, "0", "start of the random numbers"},
    {"stop", 0, OPTION_LIST, &sampling_stop, "TEXT", 0, 0, NULL, "stop before this text; may be given several times"},
    {"ignore-end", 0, OPTION_FLAG, &sampling_ignore_end, NULL, 0, 0, NULL, "go on after the end token"},
    {0},
};
const struct option_group group_sampling = {"Sampling", rows};

mote_status speaker_sampler(struct speaker *speaker, uint64_t seed_step, mote_error *error) {
    mote_sampler_options options = mote_sampler_options_default();
    if (!isnan(temperature)) options.temperature = (float)temperature;
    if (!isnan(top_p)) options.top_p = (float)top_p;
    if (!isnan(min_p)) options.min_p = (float)min_p;
    if (!isnan(penalty)) options.repetition_penalty = (float)penalty;
    if (top_k != UNSET_INTEGER) options.top_k = (int)top_k;
    if (window != UNSET_INTEGER) options.repetition_window = (int)window;
    if (seed != UNSET_INTEGER) options.seed = (uint64_t)seed;
    options.seed += seed_step;
    mote_sampler_destroy(speaker->sampler);
    speaker->sampler = NULL;
    return mote_sampler_create(&options, mote_model_config(speaker->model).vocab, &speaker->sampler, error);
}

mote_status model_tokenizer(const mote_model *model, const char *path, const mote_tokenizer **tokenizer,
                            mote_error *error) {
    *tokenizer = mote_model_tokenizer(model);
    if (*tokenizer) return MOTE_OK;
    const char *problem = mote_model_tokenizer_problem(model);
    if (problem) {
        mote_fail(error, MOTE_BAD_FILE, "the tokenizer of this model cannot be used: %.450s", problem);
        return mote_hint(error, MOTE_BAD_FILE, "mote show and mote bench run it, which need no tokenizer");
    }
    mote_fail(error, MOTE_BAD_FILE, "%s holds no tokenizer, so it can neither read nor write text", path);
    return mote_hint(
        error, MOTE_BAD_FILE,
        "give one with --tokenizer FILE: llama2.c's tokenizer.bin, tokenizer.json or its folder, or a GGUF file");
}

void warn_unknown(uint64_t unknown, size_t n_tokens) {
    if (unknown)
        warn("unknown tokens: %llu of %zu, each <unk> for a character that the vocabulary lacks",
             (unsigned long long)unknown, n_tokens);
}

mote_status speaker_open(const char *path, struct speaker *speaker, mote_error *error) {
    for (int i = 0; i < sampling_stop.n; i++)
        if (!*sampling_stop.items[i])
            return mote_fail(error, MOTE_USAGE, "--stop needs a text of at least one character");
    mote_status status = source_open(path, &speaker->model, error);
    if (status) return status;
    status = model_tokenizer(speaker->model, path, &speaker->tokenizer, error);
    if (status) return status;
    mote_session_options options = mote_session_options_default();
    options.threads = (int)option_threads;
    status = mote_session_create(speaker->model, &options, &speaker->session, error);
    return status ? status : speaker_sampler(speaker, 0, error);
}

void speaker_close(struct speaker *speaker) {
    mote_sampler_destroy(speaker->sampler);
    mote_session_destroy(speaker->session);
    mote_model_close(speaker->model);
    *speaker = (struct speaker){0};
}
