/* mote eval: loss of a model on a text, over the whole text in windows of the context. */
#include "command.h"
#include "console.h"
#include "sampling.h"
#include "source.h"

static const struct option_group *const groups[] = {&group_source_text, &group_threads, &group_json, &group_common,
                                                    NULL};

static mote_status print_result(const mote_evaluation *result, uint64_t unknown, mote_error *error) {
    double speed = result->seconds > 0 ? (double)result->tokens / result->seconds : 0;
    mote_buffer buffer = {0};
    if (option_json) {
        const struct {
            const char *key;
            double value;
        } fields[] = {{"loss", result->loss},
                      {"perplexity", result->perplexity},
                      {"bits_per_byte", result->bits_per_byte},
                      {"top1", result->top1}};
        for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
            mote_buffer_print(&buffer, "%c\"%s\":", i ? ',' : '{', fields[i].key);
            mote_buffer_json_number(&buffer, fields[i].value);
        }
        mote_buffer_print(&buffer, ",\"tokens\":%llu,\"unknown_tokens\":%llu,\"bytes\":%llu,\"seconds\":%.6f",
                          (unsigned long long)result->tokens, (unsigned long long)unknown,
                          (unsigned long long)result->bytes, result->seconds);
        mote_buffer_print(&buffer, ",\"tokens_per_second\":%.1f}\n", speed);
    } else {
        mote_buffer_print(&buffer, "loss           %.4f nats per token\n", result->loss);
        mote_buffer_print(&buffer, "perplexity     %.3f\n", result->perplexity);
        mote_buffer_print(&buffer, "bits per byte  %.4f\n", result->bits_per_byte);
        mote_buffer_print(&buffer, "top-1          %.2f %%\n", 100 * result->top1);
        mote_buffer_print(&buffer, "tokens         %llu\n", (unsigned long long)result->tokens);
        mote_buffer_print(&buffer, "tokens/s       %.0f\n", speed);
    }
    return out_buffer(&buffer, error);
}

static mote_status run_eval(int n_arguments, const char *const *arguments, mote_error *error) {
    mote_model *model = NULL;
    mote_corpus *corpus = NULL;
    mote_dataset *dataset = NULL;
    mote_evaluation result;
    mote_corpus_options options = mote_corpus_options_default();
    options.validation = 0; /* the whole text */
    mote_status status = source_open(arguments[0], &model, error);
    const mote_tokenizer *tokenizer = NULL;
    if (!status) status = model_tokenizer(model, arguments[0], &tokenizer, error);
    if (!status)
        status = source_texts(arguments + 1, n_arguments - 1, &options,
                              "one model is measured at a time: mote eval MODEL TEXT...", &corpus, error);
    if (!status) status = mote_dataset_create(corpus, tokenizer, &dataset, error);
    if (!status) status = mote_evaluate(model, dataset, MOTE_SPLIT_TRAIN, 0, (int)option_threads, &result, error);
    if (!status) {
        uint64_t unknown = mote_dataset_unknown(dataset, MOTE_SPLIT_TRAIN);
        warn_unknown(unknown, mote_dataset_tokens(dataset, MOTE_SPLIT_TRAIN));
        status = print_result(&result, unknown, error);
    }
    mote_dataset_destroy(dataset);
    mote_corpus_close(corpus);
    mote_model_close(model);
    return status;
}

const struct command command_eval = {
    .name = "eval",
    .arguments = "MODEL TEXT...",
    .summary = "measure loss, perplexity and bits per byte of a model on a text",
    .details =
        "TEXT is a UTF-8 file, a folder, or JSONL. The whole text is read in windows of the model's context. Bits "
        "per byte compare models with different tokenizers; loss and perplexity do not.",
    .example = "mote eval model.gguf held-out.txt --json",
    .least = 2,
    .most = -1,
    .groups = groups,
    .run = run_eval,
};
