/* mote quantize: a model in smaller weights, and what that lost, measured before anything is written. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "console.h"
#include "gates.h"
#include "output.h"
#include "quantize_print.h"
#include "source.h"
#include "sampling.h"

#define TYPES "q8_0|q4_0|q3h|q43|i8|q3_k|q4_k|iq4_nl|f16|bf16|f32"
enum { TYPE_I8 = 4, TYPE_MIXED = 11, MOST_RULES = 64, RULE_BYTES = 128 };

static int type = UNSET, method = UNSET, allow_fallback, skip_bad, static_activations;
static double target_bits = UNSET_NUMBER;
static int64_t calibrate_tokens = 65536, calibrate_memory, evaluate_tokens;
static struct string_list calibrate, evaluate, keep, gate_texts;

static const struct option type_rows[] = {
    {"type", 0, OPTION_CHOICE, &type, TYPES "|mixed", 0, 0, "q8_0",
     "what every matrix and table becomes; q3h, q43 and i8 are mote's own. mixed: for each its own, for --target-bits"},
    {"method", 0, OPTION_CHOICE, &method, "rtn|search|gptq", 0, 0, "gptq with --calibrate, else search",
     "rtn: to nearest; search: the scales that lose least; gptq: each error moved onto the weights to come"},
    {"target-bits", 0, OPTION_NUMBER, &target_bits, "X", 1, 32, NULL,
     "bits a weight at most, of q3h, q4_0, q8_0 and f16 where each costs least; implies --type mixed"},
    {"keep", 0, OPTION_LIST, &keep, "PATTERN=TYPE,...", 0, 0, NULL,
     "tensors whose names match (*attn*), or head, embedding, attention, feed_forward, in another type; of several "
     "that match a tensor the last counts"},
    {"allow-fallback", 0, OPTION_FLAG, &allow_fallback, NULL, 0, 0, NULL,
     "what does not fit its type goes to q8_0 or f32 and is named; else nothing is written"},
    {"static-activations", 0, OPTION_FLAG, &static_activations, NULL, 0, 0, NULL,
     "i8: a scale for each input of the products, found in the text of --calibrate and saved with the model"},
    OUTPUT_FORCE_ROW("replace a model that is there already"),
    {0},
};
static const struct option text_rows[] = {
    {"calibrate", 0, OPTION_LIST, &calibrate, "TEXT", 0, 0, NULL,
     "text whose activations say which weights matter, as mote train takes it; may be given several times. Without "
     "--evaluate its last tenth is kept to measure the loss"},
    {"calibrate-tokens", 0, OPTION_INTEGER, &calibrate_tokens, "N", 1, 1e12, "65536",
     "most that are read, in whole windows of the context, spread"},
    {"calibrate-memory", 0, OPTION_INTEGER, &calibrate_memory, "MIB", 0, 1e9, "0: half of the memory",
     "most that the sums over it take; a larger model is calibrated in several passes"},
    {"evaluate", 0, OPTION_LIST, &evaluate, "TEXT", 0, 0, NULL,
     "text to measure the loss on; may be given several times"},
    {"evaluate-tokens", 0, OPTION_INTEGER, &evaluate_tokens, "N", 0, 1e12, "0: all", "most that are measured, spread"},
    {"skip-bad", 0, OPTION_FLAG, &skip_bad, NULL, 0, 0, NULL, "skip bad lines of JSONL and count them"},
    {0},
};
static const struct option gate_rows[] = {
    {"gate", 0, OPTION_LIST, &gate_texts, "GATE,...", 0, 0, NULL,
     "ppl=X%, kl=X, top1=X% or bytes=X: growth of perplexity, mean KL, size at most, agreement at least; where one is "
     "not met nothing is written and the exit code is 4"},
    {0},
};
static const struct option_group type_group = {"Weights", type_rows}, text_group = {"Texts", text_rows},
                                 gate_group = {"Gates", gate_rows};
static const struct option_group *const groups[] = {&type_group,    &text_group, &gate_group,   &group_source_text,
                                                    &group_threads, &group_json, &group_common, NULL};

/* All that one run holds. */
struct run {
    const char *input, *output;
    struct gates gates;
    mote_quantize_rule rules[MOST_RULES];
    char patterns[MOST_RULES][RULE_BYTES];
    int n_rules;
    mote_corpus *corpus[2];   /* calibration, evaluation */
    mote_dataset *dataset[2];
    mote_split measured;      /* of the dataset that the loss is measured on */
    mote_model *model, *quantized;
    struct quantize_result result;
};

static bool type_named(const char *name, size_t length, mote_type *found) {
    for (int i = 0; i < MOTE_N_TYPES; i++) {
        const char *known = mote_type_name((mote_type)i);
        if (strlen(known) != length || strncmp(known, name, length)) continue;
        *found = (mote_type)i;
        return true;
    }
    return false;
}

static mote_status hint_types(mote_error *error) {
    char list[200] = "";
    for (int i = 0; i < MOTE_N_TYPES; i++) {
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", !i ? "" : i + 1 < MOTE_N_TYPES ? ", " : " and ",
                 mote_type_name((mote_type)i));
    }
    return mote_hint(error, MOTE_USAGE, "types are %s", list);
}

/* "PATTERN=TYPE,..." */
static mote_status parse_keep(const char *text, struct run *run, mote_error *error) {
    do {
        const size_t length = strcspn(text, ",");
        const char *equals = memchr(text, '=', length);
        const size_t pattern = equals ? (size_t)(equals - text) : 0;
        if (!pattern || pattern >= RULE_BYTES || run->n_rules == MOST_RULES) {
            mote_fail(error, MOTE_USAGE, "--keep %.80s: a pattern and a type are needed, of up to %d", text,
                      MOST_RULES);
            return mote_hint(error, MOTE_USAGE, "for example --keep 'head=q8_0,*attn_v*=f16'");
        }
        mote_quantize_rule *rule = &run->rules[run->n_rules];
        if (!type_named(equals + 1, length - pattern - 1, &rule->type)) {
            mote_fail(error, MOTE_USAGE, "--keep %.80s: there is no type \"%.*s\"", text, (int)(length - pattern - 1),
                      equals + 1);
            return hint_types(error);
        }
        snprintf(run->patterns[run->n_rules], RULE_BYTES, "%.*s", (int)pattern, text);
        rule->pattern = run->patterns[run->n_rules++];
        text += length;
    } while (*text++ == ',');
    return MOTE_OK;
}

/* What contradicts itself, before anything is opened. */
static mote_status check_options(struct run *run, mote_error *error) {
    const bool aimed = !isnan(target_bits);
    if (aimed && type != UNSET && type != TYPE_MIXED) {
        mote_fail(error, MOTE_USAGE, "--target-bits chooses the types and --type names one");
        return mote_hint(error, MOTE_USAGE, "leave one of them out, or --type mixed");
    }
    if (type == TYPE_MIXED && !aimed) {
        mote_fail(error, MOTE_USAGE, "--type mixed needs to know how large the model may be");
        return mote_hint(error, MOTE_USAGE, "add --target-bits, as in --target-bits 4.25");
    }
    if (static_activations && (type != TYPE_I8 || !calibrate.n)) {
        mote_fail(error, MOTE_USAGE, "--static-activations is for --type i8, with a text to calibrate with");
        return mote_hint(error, MOTE_USAGE, "add --type i8 --calibrate TEXT");
    }
    if (method == 2 && !calibrate.n) {
        mote_fail(error, MOTE_USAGE, "--method gptq needs a text to calibrate with");
        return mote_hint(error, MOTE_USAGE, "add --calibrate TEXT: a part of the training text serves well");
    }
    if (method == 0 && calibrate.n && evaluate.n && !aimed)
        warn("--calibrate has no effect with --method rtn and --evaluate");
    if (option_given(&text_rows[1]) && !calibrate.n) warn("--calibrate-tokens has no effect without --calibrate");
    if (option_given(&text_rows[2]) && !calibrate.n) warn("--calibrate-memory has no effect without --calibrate");
    if (option_given(&text_rows[4]) && !calibrate.n && !evaluate.n)
        warn("--evaluate-tokens has no effect without a text");
    mote_status status = gates_parse(&gate_texts, &run->gates, error);
    for (int i = 0; i < keep.n && !status; i++) status = parse_keep(keep.items[i], run, error);
    if (status) return status;
    if (gates_need_text(&run->gates) && !evaluate.n && !calibrate.n) {
        mote_fail(error, MOTE_USAGE, "a gate on ppl, kl or top1 needs a text to measure the loss on");
        return mote_hint(error, MOTE_USAGE, "add --evaluate TEXT, a text that the model was not trained on");
    }
    status = output_spare(run->input, run->output, "model to quantize", error);
    if (!status) status = source_spare(run->output, error);
    return status ? status : output_check(&command_quantize, run->output, false, error);
}

static mote_status read_text(struct run *run, int which, const struct string_list *texts, double validation,
                             mote_error *error) {
    const mote_tokenizer *tokenizer = NULL;
    mote_corpus_options options = mote_corpus_options_default();
    options.validation = validation;
    options.skip_bad = skip_bad;
    mote_status status = model_tokenizer(run->model, run->input, &tokenizer, error);
    if (!status)
        status = source_texts(texts->items, texts->n, &options,
                              "the losses are told on a text: --calibrate TEXT, --evaluate TEXT", &run->corpus[which],
                              error);
    if (!status) status = mote_dataset_create(run->corpus[which], tokenizer, &run->dataset[which], error);
    if (status) return status;
    const mote_dataset *dataset = run->dataset[which];
    warn_unknown(mote_dataset_unknown(dataset, MOTE_SPLIT_TRAIN) + mote_dataset_unknown(dataset, MOTE_SPLIT_VALIDATION),
                 mote_dataset_tokens(dataset, MOTE_SPLIT_TRAIN) + mote_dataset_tokens(dataset, MOTE_SPLIT_VALIDATION));
    return MOTE_OK;
}

/* Opens what is asked for; the loss is measured on --evaluate, else on the last tenth of --calibrate. */
static mote_status open_all(struct run *run, mote_error *error) {
    mote_status status = source_open(run->input, &run->model, error);
    if (!status && calibrate.n) status = read_text(run, 0, &calibrate, evaluate.n ? 0 : 0.1, error);
    if (!status && evaluate.n) status = read_text(run, 1, &evaluate, 0, error);
    if (status) return status;
    run->measured = evaluate.n ? MOTE_SPLIT_TRAIN : MOTE_SPLIT_VALIDATION;
    const mote_dataset *dataset = run->dataset[evaluate.n ? 1 : 0];
    run->result.own_text = evaluate.n > 0;
    run->result.has_loss = dataset && mote_dataset_tokens(dataset, run->measured) >= 2;
    if (run->result.has_loss) return MOTE_OK;
    if (gates_need_text(&run->gates)) {
        mote_fail(error, MOTE_USAGE, "the last tenth of %s is too short to measure the loss on", calibrate.items[0]);
        return mote_hint(error, MOTE_USAGE, "add --evaluate TEXT");
    }
    note("no text to measure the loss on: only the error of the weights is told (--evaluate TEXT)");
    return MOTE_OK;
}

static mote_status quantize(struct run *run, mote_error *error) {
    mote_quantize_options options = mote_quantize_options_default();
    const double start = now_seconds();
    size_t length;
    if (!isnan(target_bits)) options.target_bits = target_bits;
    else if (type != UNSET) {
        const char *name = option_choice(TYPES, type, &length);
        type_named(name, length, &options.type);
    }
    if (method != UNSET) options.method = (mote_quantize_method)(MOTE_QUANTIZE_RTN + method);
    options.rules = run->rules;
    options.n_rules = run->n_rules;
    options.calibration = run->dataset[0];
    options.calibration_tokens = (uint64_t)calibrate_tokens;
    options.calibration_bytes = (uint64_t)calibrate_memory << 20;
    options.allow_fallback = allow_fallback;
    options.static_activations = static_activations;
    options.threads = (int)option_threads;
    mote_status status = mote_model_quantize(run->model, &options, &run->quantized, &run->result.report, error);
    run->result.quantize_seconds = now_seconds() - start;
    run->result.type = options.target_bits > 0 ? "mixed" : mote_type_name(options.type);
    run->result.method = mote_quantize_method_name(
        options.method ? options.method : options.calibration ? MOTE_QUANTIZE_GPTQ : MOTE_QUANTIZE_SEARCH);
    return status;
}

static mote_status measure(struct run *run, mote_error *error) {
    struct quantize_result *result = &run->result;
    const mote_dataset *dataset = run->dataset[evaluate.n ? 1 : 0];
    mote_status status = MOTE_OK;
    struct stat info;
    if (!stat(run->input, &info) && S_ISREG(info.st_mode)) result->file_bytes_before = (uint64_t)info.st_size;
    else status = mote_model_file_bytes(run->model, &result->file_bytes_before, error);
    if (!status && result->has_loss)
        status = mote_model_compare(run->model, run->quantized, dataset, run->measured, (uint64_t)evaluate_tokens,
                                    (int)option_threads, &result->lost, error);
    if (!status)
        status = mote_model_compare_speed(run->model, run->quantized, (int)option_threads, &result->speed, error);
    if (!status) status = mote_model_file_bytes(run->quantized, &result->file_bytes, error);
    return status;
}

static mote_status run_quantize(int n_arguments, const char *const *arguments, mote_error *error) {
    (void)n_arguments;
    struct run run = {.input = arguments[0], .output = arguments[1]};
    mote_status status = check_options(&run, error), gate = MOTE_OK;
    if (!status) status = open_all(&run, error);
    if (!status) status = quantize(&run, error);
    if (!status) quantize_note_padding(run.result.report);
    if (!status) status = measure(&run, error);
    if (!status) {
        quantize_warn_short(&run.result);
        gate = gates_check(&run.gates, &run.result.lost, run.result.file_bytes, error);
        /* Again: hours may have gone by, in which another run wrote a model of this name. */
        if (!gate) status = output_check(&command_quantize, run.output, false, error);
        if (!gate && !status) status = mote_model_save(run.quantized, run.output, MOTE_TYPE_KEEP, error);
        run.result.written = !gate && !status;
    }
    if (!status) {
        mote_error late = {0};
        mote_buffer buffer = {0};
        quantize_print(&run.result, &run.gates, run.input, run.output, &buffer);
        status = out_buffer(&buffer, &late);
        if (status) *error = late;
    }
    mote_quantize_report_destroy(run.result.report);
    mote_model_close(run.quantized);
    mote_model_close(run.model);
    for (int i = 0; i < 2; i++) {
        mote_dataset_destroy(run.dataset[i]);
        mote_corpus_close(run.corpus[i]);
    }
    return status ? status : gate;
}

const struct command command_quantize = {
    .name = "quantize",
    .arguments = "MODEL OUTPUT",
    .summary = "write a model in smaller weights and measure what it lost",
    .details =
        "Every matrix and table goes to --type; gains, biases and tables of positions stay f32, which is part of "
        "the format. A tied embedding and head are one tensor. With a text, both models run over it: perplexity "
        "before and after, KL divergence of the smaller model from the other (mean, 99th percentile, nats a token) "
        "and how often their likeliest tokens agree. Bits a weight count all that is in the file. The error of a "
        "tensor is that of its weights, root mean square and relative to theirs; gptq makes it larger to have less "
        "in what the products give, so KL and perplexity tell more. RAM is the weights as they run and a session "
        "of the whole context; quantize_seconds of --json are the rounding with its calibration, without the "
        "measuring.\n\n"
        "Rows whose length is no multiple of a type's block (32, or 256 of q3_k and q4_k) are padded; other programs "
        "do not read such files. OUTPUT is GGUF, and its name ends with .gguf.",
    .example = "mote quantize model.gguf small.gguf --type q4_0 --calibrate text.txt --gate ppl=1%",
    .least = 2,
    .most = 2,
    .groups = groups,
    .run = run_quantize,
};
