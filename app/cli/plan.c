/* mote plan: what a training run would look like and what memory it and the finished model need. Nothing of that size
 * is allocated: the text is tokenized, or stands as --tokens. */
#include <string.h>

#include "command.h"
#include "conflicts.h"
#include "console.h"
#include "fine_tune.h"
#include "prepare.h"
#include "setup.h"
#include "source.h"

static int64_t n_tokens = 1000000;
static const struct option rows[] = {
    {"tokens", 0, OPTION_INTEGER, &n_tokens, "N", 1, 1e15, "1000000",
     "plan for this many tokens, when no TEXT is given"},
    {0},
};
static const struct option_group group = {"Without a text", rows};
static const struct option_group *const groups[] = {
    &group_source_from, &group_tokenizer, &group_shape, &group_batch,  &group_length,  &group_optimizer, &group_numbers,
    &group_seed,        &group,           &group_corpus, &group_threads, &group_memory, &group_json,      &group_common,
    NULL};

/* What a weight is in memory. */
static const char *forms(const mote_train_options *training) {
    if (!training) return "weights: f32, and the same packed into panels";
    if (training->qat != MOTE_TYPE_F32) return "weights: f32, rounded in panels, and in strips for the backward pass";
    if (training->precision == MOTE_PRECISION_INT8) return "weights: f32, and twice in bytes, for both passes";
    if (training->precision == MOTE_PRECISION_BF16) return "weights: f32, and twice in bf16, for both passes";
    return "weights: f32, the same packed into panels, and in strips for the backward pass";
}

static void print_plan(const char *title, const mote_train_options *training, const mote_memory_plan *plan,
                       mote_buffer *buffer) {
    const uint64_t parts = plan->weights_bytes + plan->gradients_bytes + plan->optimizer_bytes +
                           plan->activations_bytes + plan->scratch_bytes + plan->data_bytes;
    const struct {
        const char *key, *label;
        uint64_t bytes;
    } lines[] = {{"weights_bytes", "weights", plan->weights_bytes},
                 {"gradients_bytes", "gradients", plan->gradients_bytes},
                 {"optimizer_bytes", "optimizer", plan->optimizer_bytes},
                 {"activations_bytes", "activations", plan->activations_bytes},
                 {"scratch_bytes", "scratch", plan->scratch_bytes},
                 {"data_bytes", "data", plan->data_bytes},
                 {"process_bytes", "process", plan->total_bytes - parts}, /* code, stacks, what pages leave unused */
                 {"total_bytes", "total", plan->total_bytes}};
    if (option_json) mote_buffer_print(buffer, "\"%s\":{", title);
    else mote_buffer_print(buffer, "\n%s\n", title);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char text[SHORT_TEXT];
        if (option_json)
            mote_buffer_print(buffer, "\"%s\":%llu,", lines[i].key, (unsigned long long)lines[i].bytes);
        else if (lines[i].bytes)
            mote_buffer_print(buffer, "  %-12s %14llu  %s\n", lines[i].label, (unsigned long long)lines[i].bytes,
                              text_bytes((double)lines[i].bytes, text));
    }
    if (!option_json)
        mote_buffer_print(buffer, "  %-12s %s\n", "", forms(training));
    if (option_json) mote_buffer_print(buffer, "\"flops_per_token\":%.0f}", plan->flops_per_token);
    else mote_buffer_print(buffer, "  %-12s %14.0f  FLOPs per token\n", "work", plan->flops_per_token);
}

static mote_status print_all(const struct prepared *prepared, mote_error *error) {
    mote_memory_plan training, inference;
    mote_session_options session = mote_session_options_default();
    session.threads = (int)option_threads;
    mote_status status = setup_plan_memory(&prepared->config, &prepared->options, NULL, &training, error);
    if (!status) status = setup_plan_memory(&prepared->config, NULL, &session, &inference, error);
    if (status) return status;
    mote_buffer buffer = {0};
    setup_store(&prepared->config, &prepared->options);
    setup.vocab = prepared->config.vocab;
    if (option_json) {
        mote_buffer_print(&buffer, "{\"parameters\":%llu,\"train_tokens\":%llu,\"config\":",
                          (unsigned long long)training.parameters, (unsigned long long)prepared->facts.train_tokens);
        config_print(prepare_stored(), NULL, &buffer);
        mote_buffer_print(&buffer, ",");
    } else {
        char text[SHORT_TEXT];
        if (!prepared->corpus)
            mote_buffer_print(&buffer, "text       none: %lld tokens of a vocabulary of %d are assumed%s\n",
                              (long long)n_tokens, prepared->config.vocab,
                              option_typed(&rows[0])  ? ""
                              : prepared->fine_tuning ? " (--tokens)"
                                                      : " (--tokens, --vocab)");
        mote_buffer_print(&buffer, "%s", prepared->reasons ? prepared->reasons : "");
        mote_buffer_print(&buffer, "\nparameters     %14llu  %s\n", (unsigned long long)training.parameters,
                          text_count((double)training.parameters, text));
    }
    print_plan("training", &prepared->options, &training, &buffer);
    if (option_json) mote_buffer_print(&buffer, ",");
    print_plan("inference", NULL, &inference, &buffer);
    uint64_t available = memory_available_bytes();
    bool fits = !available || training.total_bytes <= available;
    if (option_json) {
        mote_buffer_print(&buffer, ",\"available_bytes\":%llu,\"fits\":%s}\n", (unsigned long long)available,
                          fits ? "true" : "false");
    } else if (available) {
        char text[SHORT_TEXT];
        mote_buffer_print(&buffer, "\navailable      %14llu  %s: training %s\n", (unsigned long long)available,
                          text_bytes((double)available, text), fits ? "fits" : "does NOT fit");
    }
    return out_buffer(&buffer, error);
}

static mote_status run_plan(int n_arguments, const char *const *arguments, mote_error *error) {
    struct prepared prepared = {0};
    mote_status status = conflicts_check(&command_plan, n_arguments, error);
    if (!status) status = fine_tune_check(NULL, error);
    if (!status && fine_tune_asked()) status = fine_tune_open(NULL, n_arguments > 0, &prepared, error);
    if (status) {
        prepared_deinit(&prepared);
        return status;
    }
    if (n_arguments) {
        status = prepare_corpus(n_arguments, arguments, &prepared, error);
        if (!status) status = prepare_tokenizer(NULL, &prepared, error);
        if (!status) status = prepare_dataset(&prepared, error);
    } else {
        double validation = setup.validation >= 0 ? setup.validation : 0.1; /* NAN: not given */
        prepared.facts.vocab = prepared.source                 ? mote_model_config(prepared.source).vocab
                               : setup.vocab == UNSET_INTEGER ? 256
                                                              : (int)setup.vocab;
        prepared.facts.validation_tokens = (uint64_t)(validation * (double)n_tokens);
        prepared.facts.train_tokens = (uint64_t)n_tokens - prepared.facts.validation_tokens;
        prepared.facts.train_bytes = prepared.facts.train_tokens * 4;
    }
    if (!status) status = prepare_recipe(&prepared, error);
    if (!status) status = print_all(&prepared, error);
    prepared_deinit(&prepared);
    return status;
}

const struct command command_plan = {
    .name = "plan",
    .arguments = "[TEXT...]",
    .summary = "say what a training run would choose and the memory it needs",
    .details = "Takes the options of mote train that say what is trained and how: a new model, or with --from a "
               "finished one further. With TEXT the choices are made for that text; without, for --tokens and --vocab. "
               "No model is built.",
    .example = "mote plan corpus.txt --dim 256 --layers 8",
    .least = 0,
    .most = -1,
    .groups = groups,
    .run = run_plan,
};
