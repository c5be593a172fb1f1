/* mote profile train, prefill, decode: where the time goes, op by op, against the measured roof of this machine. The
 * model is a file, or random weights of a shape given by options. */
#include <stdio.h>
#include <string.h>

#include "console.h"
#include "output.h"
#include "profile.h"
#include "setup.h"
#include "source.h"

static int64_t n_tokens;
static int all_layers;
static const char *report_path;

#define OUTPUT_ROWS                                                                                                    \
    {"all-layers", 0, OPTION_FLAG, &all_layers, NULL, 0, 0, NULL, "a line for each op, not one for all layers"},       \
        {"output", 'o', OPTION_STRING, &report_path, "FILE", 0, 0, NULL, "write a page with a roofline plot too"},     \
        {0}
static const struct option token_rows[] = {
    {"tokens", 'n', OPTION_INTEGER, &n_tokens, "N", 1, 1e7, "512 to read, 128 to decode",
     "tokens to run; a context that is full starts anew"},
    OUTPUT_ROWS,
};
static const struct option step_rows[] = {OUTPUT_ROWS};
static const struct option_group group_tokens = {"Profile", token_rows}, group_steps = {"Profile", step_rows};
static const struct option_group *const session_groups[] = {
    &group_tokens,  &group_source, &group_vocab,  &group_shape, &group_seed,
    &group_threads, &group_json,   &group_common, NULL};
static const struct option_group *const train_groups[] = {
    &group_steps, &group_source,  &group_vocab, &group_shape,  &group_batch, &group_optimizer,
    &group_numbers, &group_seed,  &group_threads, &group_memory, &group_json,  &group_common, NULL};

static mote_status refuse_shape(const char *path, mote_error *error) {
    const struct option_group *const both[] = {&group_shape, &group_vocab};
    for (int i = 0; i < 2; i++)
        for (const struct option *row = both[i]->rows; row->name; row++)
            if (option_given(row))
                return mote_fail(error, MOTE_USAGE, "--%s describes a model of random weights, but %s is given",
                                 row->name, path);
    return MOTE_OK;
}

/* The model, and for training what the recipe chooses for its shape. */
static mote_status make_model(int n_arguments, const char *const *arguments, mote_train_options *train,
                              mote_model **model, mote_error *error) {
    char *reasons = NULL;
    mote_config config;
    mote_status status = MOTE_OK;
    if (n_arguments) {
        status = refuse_shape(arguments[0], error);
        if (!status) status = source_open(arguments[0], model, error);
        if (status) return status;
        config = mote_model_config(*model);
    } else if (source_has_adapters()) {
        return mote_fail(error, MOTE_USAGE, "--lora needs a MODEL that the adapter was trained for");
    } else {
        if (setup.context == UNSET_INTEGER) setup.context = 256;
        if (setup.batch == UNSET_INTEGER) setup.batch = 8;
        config = setup_config();
        config.vocab = setup.vocab == UNSET_INTEGER ? 256 : (int)setup.vocab;
        status = mote_config_complete(&config, error);
    }
    *train = setup_train_options();
    mote_recipe_facts facts = {.train_tokens = 10000000, .validation_tokens = 1000000, .train_bytes = 10000000,
                               .vocab = config.vocab};
    if (!status) status = mote_recipe_complete(&facts, &config, train, &reasons, error);
    if (!status && !n_arguments) status = mote_model_create(&config, NULL, setup_seed(), model, error);
    mote_free(reasons);
    return status;
}

static mote_status run_profile(const struct command *command, mote_profile_kind kind, int n_arguments,
                               const char *const *arguments, mote_error *error) {
    mote_model *model = NULL;
    mote_profile *profile = NULL;
    mote_train_options train;
    int64_t steps = setup.steps == UNSET_INTEGER ? 0 : setup.steps < 1000000 ? setup.steps : 1000000;
    const char *name = n_arguments ? arguments[0] : "random weights";
    char *json = NULL;
    mote_status status = report_path ? output_check_page(command, report_path, error) : MOTE_OK;
    if (!status && report_path && n_arguments) status = output_spare(arguments[0], report_path, "model", error);
    if (!status) status = make_model(n_arguments, arguments, &train, &model, error);
    mote_profile_options options = mote_profile_options_default(kind);
    options.n = (int)(kind == MOTE_PROFILE_TRAIN ? steps : n_tokens);
    options.threads = (int)option_threads;
    options.train = &train;
    if (!status) status = mote_profile_run(model, &options, &profile, error);
    if (!status && report_path) status = profile_report(profile, name, report_path, error);
    if (!status && option_json) status = mote_profile_json(profile, &json, error);
    else if (!status) status = profile_print(profile, name, all_layers, error);
    if (json) out_print("%s\n", json);
    if (!status && report_path) note("wrote %s", report_path);
    mote_free(json);
    mote_profile_destroy(profile);
    mote_model_close(model);
    return status;
}

static mote_status run_train(int n, const char *const *arguments, mote_error *error) {
    return run_profile(&command_profile_train, MOTE_PROFILE_TRAIN, n, arguments, error);
}
static mote_status run_prefill(int n, const char *const *arguments, mote_error *error) {
    return run_profile(&command_profile_prefill, MOTE_PROFILE_PREFILL, n, arguments, error);
}
static mote_status run_decode(int n, const char *const *arguments, mote_error *error) {
    return run_profile(&command_profile_decode, MOTE_PROFILE_DECODE, n, arguments, error);
}

#define DETAILS                                                                                                        \
    "Seconds, FLOPs and bytes of every op, and how near each comes to what binds it: the peak of multiply-adds in "    \
    "f32, bf16 or int8, whichever it uses, or the memory its weights, keys or activations come from, all measured "    \
    "first. Time of all threads is divided by their number, so that the lines add up to the whole."

const struct command command_profile_train = {
    .name = "profile train",
    .arguments = "[MODEL]",
    .summary = "where the time of training goes, op by op",
    .details = DETAILS " Runs --steps optimizer steps (10 when not given) on random tokens, after two unmeasured ones. "
                       "Backward counts twice the work of forward, and what --recompute runs again counts once "
                       "more. MODEL is not changed.",
    .example = "mote profile train --dim 128 --layers 4 --vocab 512 -o profile.html",
    .least = 0,
    .most = 1,
    .groups = train_groups,
    .run = run_train,
};
const struct command command_profile_prefill = {
    .name = "profile prefill",
    .arguments = "[MODEL]",
    .summary = "where the time of reading a prompt goes, op by op",
    .details = DETAILS,
    .example = "mote profile prefill model.gguf -n 512",
    .least = 0,
    .most = 1,
    .groups = session_groups,
    .run = run_prefill,
};
const struct command command_profile_decode = {
    .name = "profile decode",
    .arguments = "[MODEL]",
    .summary = "where the time of generating goes, op by op",
    .details = DETAILS,
    .example = "mote profile decode model.gguf -n 128 --json",
    .least = 0,
    .most = 1,
    .groups = session_groups,
    .run = run_decode,
};
