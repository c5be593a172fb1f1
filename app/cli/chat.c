/* mote chat: reads lines, streams replies. A model trained on plain text continues the conversation as a text; one
 * trained on messages gets them in the form its training had, markup as control tokens. What was said is kept as
 * tokens and read again each turn, the oldest turns dropped where the context ends. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "console.h"
#include "sampling.h"
#include "source.h"

static int64_t n_tokens = 256;
enum { FORM_AUTO, FORM_PLAIN, FORM_CHATML };
static int form;
#define TURN_START "<|im_start|>"
#define TURN_END "<|im_end|>"
static const char *system_text;
static const struct option rows[] = {
    {"tokens", 'n', OPTION_INTEGER, &n_tokens, "N", 1, 1e9, "256", "most tokens of a reply"},
    {"form", 0, OPTION_CHOICE, &form, "auto|plain|chatml", 0, 0, "auto", "how turns are written for the model"},
    {"system", 0, OPTION_STRING, &system_text, "TEXT", 0, 0, NULL, "what stands before the conversation"},
    {0},
};
static const struct option_group group = {"Conversation", rows};
static const struct option_group *const groups[] = {&group,         &group_source_text, &group_sampling,
                                                    &group_threads, &group_common,      NULL};

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

/* What was said, as tokens. A turn is a line and its reply. */
struct conversation {
    const mote_tokenizer *tokenizer;
    int32_t turn_start, turn_end; /* the control tokens of ChatML, or -1: then its markup is text */
    int32_t *tokens;
    size_t n, capacity, n_system; /* n_system: at the beginning, never dropped */
    size_t *turns;                /* where they begin */
    size_t n_turns, turns_capacity;
};

static bool grow(void **list, size_t *capacity, size_t n, size_t item_bytes) {
    if (n <= *capacity) return true;
    void *larger = realloc(*list, 2 * n * item_bytes);
    if (!larger) return false;
    *list = larger;
    *capacity = 2 * n;
    return true;
}

static mote_status push(struct conversation *c, const int32_t *tokens, size_t n, mote_error *error) {
    if (!grow((void **)&c->tokens, &c->capacity, c->n + n, sizeof *c->tokens))
        return mote_fail(error, MOTE_MEMORY, "no memory for the conversation");
    if (n) memcpy(c->tokens + c->n, tokens, n * sizeof *tokens);
    c->n += n;
    return MOTE_OK;
}

/* Text is encoded by itself, as in training, and never becomes markup. */
static mote_status say(struct conversation *c, const char *text, size_t bytes, mote_error *error) {
    int32_t *tokens;
    size_t n;
    mote_status status = mote_tokenizer_encode(c->tokenizer, text, bytes, &tokens, &n, error);
    if (status) return status;
    status = push(c, tokens, n, error);
    mote_free(tokens);
    return status;
}

static mote_status say_markup(struct conversation *c, int32_t control, const char *text, mote_error *error) {
    return control >= 0 ? push(c, &control, 1, error) : say(c, text, strlen(text), error);
}

static mote_status begin_part(struct conversation *c, const char *who, mote_error *error) {
    if (form != FORM_CHATML) return MOTE_OK;
    mote_status status = say_markup(c, c->turn_start, TURN_START, error);
    return status ? status : say(c, who, strlen(who), error);
}

/* The text of a part and its end. */
static mote_status end_part(struct conversation *c, const char *text, size_t bytes, mote_error *error) {
    mote_status status = say(c, text, bytes, error);
    if (!status && form == FORM_CHATML) status = say_markup(c, c->turn_end, TURN_END, error);
    return status ? status : say(c, "\n", 1, error);
}

static mote_status add_line(struct conversation *c, const char *line, size_t bytes, mote_error *error) {
    if (!grow((void **)&c->turns, &c->turns_capacity, c->n_turns + 1, sizeof *c->turns))
        return mote_fail(error, MOTE_MEMORY, "no memory for the conversation");
    c->turns[c->n_turns++] = c->n;
    mote_status status = begin_part(c, "user\n", error);
    if (!status) status = end_part(c, line, bytes, error);
    return status ? status : begin_part(c, "assistant\n", error);
}

/* Drops the oldest turns until a quarter of the context is free for a reply; of one turn that is too long, its
 * beginning. A system text stays, unless it takes more than half of the room. */
static void fit_context(struct conversation *c, int context) {
    size_t room = (size_t)context * 3 / 4, dropped = 0;
    if (c->n_system > room / 2) c->n_system = 0;
    size_t from = c->n_system, to = from;
    while (c->n - (to - from) > room && dropped + 1 < c->n_turns) to = c->turns[++dropped];
    if (c->n - (to - from) > room) to = from + (c->n - room);
    memmove(c->tokens + from, c->tokens + to, (c->n - to) * sizeof *c->tokens);
    c->n -= to - from;
    c->n_turns -= dropped;
    for (size_t i = 0; i < c->n_turns; i++) {
        size_t begin = c->turns[i + dropped];
        c->turns[i] = begin > to ? begin - (to - from) : from;
    }
}

static mote_status reply_to(struct speaker *speaker, struct conversation *c, uint64_t turn, mote_error *error) {
    mote_buffer reply = {0};
    const char *stops[LIST_LIMIT + 1];
    mote_generate_options options = mote_generate_options_default();
    for (int i = 0; i < sampling_stop.n; i++) stops[i] = sampling_stop.items[i];
    options.n_stop = sampling_stop.n;
    if (form == FORM_CHATML && c->turn_end < 0) stops[options.n_stop++] = TURN_END;
    options.stop = stops;
    options.n_tokens = (int)n_tokens;
    options.ignore_end = sampling_ignore_end;
    options.on_text = take_text;
    options.context = &reply;
    fit_context(c, mote_model_config(speaker->model).context);
    mote_status status = speaker_sampler(speaker, turn, error);
    stop_reply = 0;
    if (!status)
        status = mote_generate_tokens(speaker->session, speaker->sampler, speaker->tokenizer, c->tokens, c->n, &options,
                                      NULL, error);
    if (!status && reply.failed) status = mote_fail(error, MOTE_MEMORY, "no memory for the reply");
    if (!status) status = end_part(c, reply.bytes ? reply.bytes : "", reply.size, error);
    mote_buffer_deinit(&reply);
    out_print("\n");
    out_flush();
    return status;
}

static mote_status run_chat(int n_arguments, const char *const *arguments, mote_error *error) {
    (void)n_arguments;
    struct speaker speaker = {0};
    struct conversation talk = {0};
    char *line = NULL;
    size_t capacity = 0;
    bool person = isatty(STDIN_FILENO) && console_is_terminal();
    mote_status status = speaker_open(arguments[0], &speaker, error);
    if (!status) {
        talk.tokenizer = speaker.tokenizer;
        talk.turn_start = mote_tokenizer_control(speaker.tokenizer, TURN_START);
        talk.turn_end = mote_tokenizer_control(speaker.tokenizer, TURN_END);
        if (form == FORM_AUTO) form = talk.turn_start >= 0 && talk.turn_end >= 0 ? FORM_CHATML : FORM_PLAIN;
    }
    if (!status && mote_tokenizer_adds_begin(speaker.tokenizer)) {
        int32_t begin = mote_tokenizer_begin(speaker.tokenizer);
        status = push(&talk, &begin, 1, error);
        talk.n_system = talk.n;
    }
    if (!status && system_text) {
        status = begin_part(&talk, "system\n", error);
        if (!status) status = end_part(&talk, system_text, strlen(system_text), error);
        talk.n_system = talk.n;
    }
    if (!status && person) note("A line is sent with return; control-C stops a reply, control-D ends.");
    for (uint64_t turn = 0; !status; turn++) {
        struct sigaction interrupt = {.sa_handler = SIG_DFL};
        sigaction(SIGINT, &interrupt, NULL);
        if (person) fputs("> ", stderr);
        ssize_t size = getline(&line, &capacity, stdin);
        if (size < 0) break;
        while (size && (line[size - 1] == '\n' || line[size - 1] == '\r')) size--;
        if (!size) continue;
        status = add_line(&talk, line, (size_t)size, error);
        if (status) break;
        interrupt.sa_handler = on_interrupt;
        sigaction(SIGINT, &interrupt, NULL);
        status = reply_to(&speaker, &talk, turn, error);
    }
    if (person) fputc('\n', stderr);
    free(line);
    free(talk.tokens);
    free(talk.turns);
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
        "training on messages; auto takes it when the vocabulary has its markup as control tokens, and a reply then "
        "ends where the model ends its turn. There is no --json: a program reads the replies as they come, or uses "
        "mote generate --json.",
    .example = "mote chat model.gguf --temperature 0.7",
    .least = 1,
    .most = 1,
    .groups = groups,
    .run = run_chat,
};
