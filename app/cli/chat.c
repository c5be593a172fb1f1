/* mote chat: reads lines, streams replies. A model trained on plain text continues the conversation as a text; one
 * trained on messages gets them in the form its training had. What was said is kept and read again each turn, the
 * oldest part dropped where the context ends. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "console.h"
#include "sampling.h"

static int64_t n_tokens = 256;
enum { FORM_AUTO, FORM_PLAIN, FORM_CHATML };
static int form;
static const char *system_text;
static const struct option rows[] = {
    {"tokens", 'n', OPTION_INTEGER, &n_tokens, "N", 1, 1e9, "256", "most tokens of a reply"},
    {"form", 0, OPTION_CHOICE, &form, "auto|plain|chatml", 0, 0, "auto", "how turns are written for the model"},
    {"system", 0, OPTION_STRING, &system_text, "TEXT", 0, 0, NULL, "what stands before the conversation"},
    {0},
};
static const struct option_group group = {"Conversation", rows};
static const struct option_group *const groups[] = {&group, &group_sampling, &group_threads, &group_common, NULL};

static volatile sig_atomic_t stop_reply;
static void on_interrupt(int number) {
    (void)number;
    stop_reply = 1;
}

static bool take_text(void *context, const char *text, size_t bytes) {
    mote_buffer *reply = context;
    mote_buffer_append(reply, text, bytes);
    out_write(text, bytes);
    out_flush();
    return !stop_reply;
}

/* ChatML when its markup is a word of the vocabulary: a tokenizer learns that only from text full of it. */
static int find_form(const mote_tokenizer *tokenizer) {
    static const char markup[] = "<|im_start|>";
    int32_t *tokens;
    size_t n;
    if (mote_tokenizer_encode(tokenizer, markup, sizeof markup - 1, &tokens, &n, NULL)) return FORM_PLAIN;
    bool learnt = n <= 3 && n > 0;
    size_t bytes = 0, piece;
    for (size_t i = 0; i < n; i++) {
        mote_tokenizer_piece(tokenizer, tokens[i], &piece);
        bytes += piece;
    }
    mote_free(tokens);
    return learnt && bytes == sizeof markup - 1 ? FORM_CHATML : FORM_PLAIN;
}

static void add_turn(mote_buffer *history, const char *who, const char *text, size_t bytes) {
    if (form == FORM_CHATML) mote_buffer_print(history, "<|im_start|>%s\n", who);
    mote_buffer_append(history, text, bytes);
    mote_buffer_print(history, form == FORM_CHATML ? "<|im_end|>\n" : "\n");
}

/* Drops the oldest half at a line's end until the tokens of the rest leave room for a reply. */
static mote_status fit_context(const struct speaker *speaker, mote_buffer *history, mote_error *error) {
    size_t room = (size_t)mote_model_config(speaker->model).context * 3 / 4;
    for (;;) {
        int32_t *tokens;
        size_t n;
        mote_status status =
            mote_tokenizer_encode(speaker->tokenizer, history->bytes, history->size, &tokens, &n, error);
        if (status) return status;
        mote_free(tokens);
        if (n <= room || history->size < 64) return MOTE_OK;
        size_t cut = history->size / 2;
        const char *line = memchr(history->bytes + cut, '\n', history->size - cut - 1);
        if (line) cut = (size_t)(line - history->bytes) + 1;
        while (cut < history->size && (history->bytes[cut] & 0xc0) == 0x80) cut++;
        memmove(history->bytes, history->bytes + cut, history->size - cut + 1);
        history->size -= cut;
    }
}

static mote_status reply_to(struct speaker *speaker, mote_buffer *history, uint64_t turn, mote_error *error) {
    mote_buffer reply = {0};
    const char *stops[LIST_LIMIT + 1];
    mote_generate_options options = mote_generate_options_default();
    mote_generate_report report = {0};
    for (int i = 0; i < sampling_stop.n; i++) stops[i] = sampling_stop.items[i];
    options.n_stop = sampling_stop.n;
    if (form == FORM_CHATML) {
        mote_buffer_print(history, "<|im_start|>assistant\n");
        stops[options.n_stop++] = "<|im_end|>";
    }
    options.stop = stops;
    options.n_tokens = (int)n_tokens;
    options.ignore_end = sampling_ignore_end;
    options.on_text = take_text;
    options.context = &reply;
    mote_status status = history->failed ? mote_fail(error, MOTE_MEMORY, "no memory for the conversation") : MOTE_OK;
    if (!status) status = fit_context(speaker, history, error);
    if (!status) status = speaker_sampler(speaker, turn, error);
    stop_reply = 0;
    if (!status)
        status = mote_generate(speaker->session, speaker->sampler, speaker->tokenizer, history->bytes, history->size,
                               &options, &report, error);
    mote_buffer_append(history, reply.bytes ? reply.bytes : "", reply.size);
    mote_buffer_print(history, form == FORM_CHATML ? "<|im_end|>\n" : "\n");
    mote_buffer_deinit(&reply);
    out_print("\n");
    out_flush();
    return status;
}

static mote_status run_chat(int n_arguments, const char *const *arguments, mote_error *error) {
    (void)n_arguments;
    struct speaker speaker = {0};
    mote_buffer history = {0};
    char *line = NULL;
    size_t capacity = 0;
    bool person = isatty(STDIN_FILENO) && console_is_terminal();
    mote_status status = speaker_open(arguments[0], &speaker, error);
    if (!status && form == FORM_AUTO) form = find_form(speaker.tokenizer);
    if (!status && system_text) add_turn(&history, "system", system_text, strlen(system_text));
    if (!status && person) note("A line is sent with return; control-C stops a reply, control-D ends.");
    for (uint64_t turn = 0; !status; turn++) {
        struct sigaction interrupt = {.sa_handler = SIG_DFL};
        sigaction(SIGINT, &interrupt, NULL);
        if (person) fputs("> ", stderr);
        ssize_t size = getline(&line, &capacity, stdin);
        if (size < 0) break;
        while (size && (line[size - 1] == '\n' || line[size - 1] == '\r')) size--;
        if (!size) continue;
        add_turn(&history, "user", line, (size_t)size);
        interrupt.sa_handler = on_interrupt;
        sigaction(SIGINT, &interrupt, NULL);
        status = reply_to(&speaker, &history, turn, error);
    }
    if (person) fputc('\n', stderr);
    free(line);
    mote_buffer_deinit(&history);
    speaker_close(&speaker);
    return status;
}

const struct command command_chat = {
    .name = "chat",
    .arguments = "MODEL",
    .summary = "talk with a model, line by line",
    .details =
        "Reads lines from standard input and streams a reply to each. Most small models know only how to continue "
        "a text: the plain form gives them what was said so far and lets them go on. The form chatml is that of "
        "training on messages; auto takes it when the tokenizer knows its markup as words.",
    .example = "mote chat model.gguf --temperature 0.7",
    .least = 1,
    .most = 1,
    .groups = groups,
    .run = run_chat,
};
