/* mote generate: prompt in, prompt and its continuation out, flushed as it comes; nothing else on standard output. */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "console.h"
#include "sampling.h"
#include "source.h"

static const char *prompt;
static int64_t n_tokens = 128;
static const struct option rows[] = {
    {"prompt", 'p', OPTION_STRING, &prompt, "TEXT", 0, 0, NULL, "the beginning; - reads it from standard input"},
    {"tokens", 'n', OPTION_INTEGER, &n_tokens, "N", 0, 1e9, "128", "most tokens to generate"},
    {0},
};
static const struct option_group group = {"What to generate", rows};
static const struct option_group *const groups[] = {&group,         &group_source_text, &group_sampling,
                                                    &group_threads, &group_json,        &group_common, NULL};

static bool take_text(void *context, const char *text, size_t bytes) {
    if (context) {
        mote_buffer_append(context, text, bytes);
        return true;
    }
    out_write(text, bytes);
    out_flush();
    return true;
}

static mote_status print_json(const char *text, size_t bytes, const mote_buffer *made,
                              const mote_generate_report *report, mote_error *error) {
    mote_buffer buffer = {0};
    if (made->failed) return mote_fail(error, MOTE_MEMORY, "no memory for the text");
    mote_buffer_print(&buffer, "{\"prompt\":");
    mote_buffer_json_string(&buffer, text, bytes);
    mote_buffer_print(&buffer, ",\"text\":");
    mote_buffer_json_string(&buffer, made->bytes ? made->bytes : "", made->size);
    mote_buffer_print(&buffer, ",\"tokens\":%d,\"stopped_by\":\"%s\",\"tokens_per_second\":%.1f}\n",
                      report->generated_tokens, report->stopped_by,
                      report->generate_seconds > 0 ? report->generated_tokens / report->generate_seconds : 0);
    return out_buffer(&buffer, error);
}

static mote_status run_generate(int n_arguments, const char *const *arguments, mote_error *error) {
    (void)n_arguments;
    struct speaker speaker = {0};
    char *input = NULL;
    mote_buffer made = {0};
    size_t size = prompt ? strlen(prompt) : 0;
    mote_status status = speaker_open(arguments[0], &speaker, error);
    if (!status && prompt && !strcmp(prompt, "-")) status = read_whole(NULL, &input, &size, error);
    if (!status) {
        const char *text = input ? input : prompt ? prompt : "";
        mote_generate_options options = mote_generate_options_default();
        mote_generate_report report = {0};
        options.n_tokens = (int)n_tokens;
        options.stop = sampling_stop.items;
        options.n_stop = sampling_stop.n;
        options.ignore_end = sampling_ignore_end;
        options.on_text = take_text;
        if (option_json) options.context = &made;
        else out_write(text, size);
        out_flush();
        status =
            mote_generate(speaker.session, speaker.sampler, speaker.tokenizer, text, size, &options, &report, error);
        if (!status && option_json) status = print_json(text, size, &made, &report, error);
        if (!status && console_is_terminal())
            note("\n[%d prompt tokens at %.0f tokens/s, %d generated at %.0f tokens/s, stopped by %s]",
                 report.prompt_tokens,
                 report.prompt_seconds > 0 ? report.prompt_tokens / report.prompt_seconds : 0, report.generated_tokens,
                 report.generate_seconds > 0 ? report.generated_tokens / report.generate_seconds : 0,
                 report.stopped_by ? report.stopped_by : "?");
    }
    free(input);
    mote_buffer_deinit(&made);
    speaker_close(&speaker);
    return status;
}

const struct command command_generate = {
    .name = "generate",
    .arguments = "MODEL",
    .summary = "continue a text",
    .details =
        "Prints the prompt and its continuation on standard output, as it comes, and nothing else. With --json it is "
        "one object when all is done: prompt, text (what came after it), tokens, stopped_by (length, end or stop) "
        "and tokens_per_second.",
    .example = "mote generate model.gguf -p \"Once upon a time\" -n 200",
    .least = 1,
    .most = 1,
    .groups = groups,
    .run = run_generate,
};
