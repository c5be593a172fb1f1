/* mote tokenize: text to ids and back with the tokenizer of a model. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "console.h"
#include "sampling.h"
#include "source.h"

static int want_ids, want_text;
static const struct option rows[] = {
    {"ids", 0, OPTION_FLAG, &want_ids, NULL, 0, 0, NULL, "text in, one line of ids out"},
    {"text", 0, OPTION_FLAG, &want_text, NULL, 0, 0, NULL, "ids in, text out; with --json their pieces"},
    {0},
};
static const struct option_group group = {"Form", rows};
static const struct option_group *const groups[] = {&group, &group_source_text, &group_json, &group_common, NULL};

enum { SHOWN_BYTES = 20 };
static const char between[] = " \t\r\n,";

/* The word at the start of some input, for a message: cut, and what is not printable ASCII as '?'. */
static const char *shown_word(const char *text, size_t size, char out[SHOWN_BYTES + 1]) {
    size_t n = 0;
    for (; n < size && n < SHOWN_BYTES && !(text[n] && strchr(between, text[n])); n++)
        out[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
    out[n] = 0;
    return out;
}

/* Whole numbers between spaces; every one must be an id of the vocabulary. */
static mote_status read_ids(const char *text, size_t size, int vocab, int32_t **ids, size_t *n, mote_error *error) {
    int32_t *list = malloc((size / 2 + 2) * sizeof *list);
    if (!list) return mote_fail(error, MOTE_MEMORY, "the ids do not fit in memory");
    *n = 0;
    char word[SHOWN_BYTES + 1];
    mote_status status = MOTE_OK;
    for (size_t at = 0; !status;) {
        while (at < size && text[at] && strchr(between, text[at])) at++;
        if (at == size) break;
        char *end;
        errno = 0;
        long long id = strtoll(text + at, &end, 10);
        if (end == text + at || (*end && !strchr(between, *end)) || (!*end && end != text + size))
            status = mote_fail(error, MOTE_BAD_FILE, "at byte %zu of the input is no id but \"%s\"", at + 1,
                               shown_word(text + at, size - at, word));
        else if (errno || id < 0 || id >= vocab)
            status = mote_fail(error, MOTE_BAD_FILE, "id %s is not one of the vocabulary, 0 to %d",
                               shown_word(text + at, size - at, word), vocab - 1);
        else list[(*n)++] = (int32_t)id;
        at = (size_t)(end - text);
    }
    if (status) {
        mote_hint(error, status, "--text reads ids as --ids prints them: whole numbers below %d", vocab);
        free(list);
        list = NULL;
    }
    *ids = list;
    return status;
}

static void print_table(const mote_tokenizer *tokenizer, const int32_t *tokens, size_t n, mote_buffer *buffer) {
    mote_buffer_print(buffer, "%8s %8s  %s\n", "place", "id", "piece");
    for (size_t i = 0; i < n; i++) {
        size_t bytes;
        const char *piece = mote_tokenizer_piece(tokenizer, tokens[i], &bytes);
        mote_buffer_print(buffer, "%8zu %8d  ", i, (int)tokens[i]);
        mote_buffer_json_string(buffer, piece, bytes);
        mote_buffer_print(buffer, "\n");
    }
}

static void print_json(const mote_tokenizer *tokenizer, const int32_t *tokens, size_t n, mote_buffer *buffer) {
    mote_buffer_print(buffer, "{\"ids\":[");
    for (size_t i = 0; i < n; i++) mote_buffer_print(buffer, "%s%d", i ? "," : "", (int)tokens[i]);
    mote_buffer_print(buffer, "],\"pieces\":[");
    for (size_t i = 0; i < n; i++) {
        size_t bytes;
        const char *piece = mote_tokenizer_piece(tokenizer, tokens[i], &bytes);
        if (i) mote_buffer_print(buffer, ",");
        mote_buffer_json_string(buffer, piece, bytes);
    }
    mote_buffer_print(buffer, "]}\n");
}

static mote_status to_tokens(const mote_tokenizer *tokenizer, const char *text, size_t size, mote_error *error) {
    int32_t *tokens = NULL;
    size_t n;
    mote_status status = mote_tokenizer_encode(tokenizer, text, size, &tokens, &n, error);
    if (status) return status;
    mote_buffer buffer = {0};
    uint64_t unknown = 0;
    for (size_t i = 0; i < n; i++) unknown += tokens[i] == mote_tokenizer_unknown(tokenizer);
    warn_unknown(unknown, n);
    if (option_json) {
        print_json(tokenizer, tokens, n, &buffer);
    } else if (want_ids) {
        for (size_t i = 0; i < n; i++) mote_buffer_print(&buffer, "%s%d", i ? " " : "", (int)tokens[i]);
        mote_buffer_print(&buffer, "\n");
    } else {
        print_table(tokenizer, tokens, n, &buffer);
        mote_buffer_print(&buffer, "%zu token%s for %zu byte%s, %.2f bytes per token\n", n, plural(n), size,
                          plural(size), n ? (double)size / (double)n : 0.0);
    }
    mote_free(tokens);
    return out_buffer(&buffer, error);
}

static mote_status to_text(const mote_tokenizer *tokenizer, const char *ids, size_t size, mote_error *error) {
    int32_t *tokens = NULL;
    char *text = NULL;
    size_t n = 0, bytes = 0;
    mote_status status = read_ids(ids, size, mote_tokenizer_vocab(tokenizer), &tokens, &n, error);
    if (!status && option_json) {
        mote_buffer buffer = {0};
        print_json(tokenizer, tokens, n, &buffer);
        status = out_buffer(&buffer, error);
    } else if (!status) {
        status = mote_tokenizer_decode(tokenizer, tokens, n, &text, &bytes, error);
        if (!status) out_write(text, bytes);
    }
    mote_free(text);
    free(tokens);
    return status;
}

/* What is no model may hold a tokenizer and nothing else. *error keeps why it is no model, but for tokenizer.json. */
static mote_status open_alone(const char *path, mote_tokenizer **tokenizer, mote_error *error) {
    mote_error problem = {0};
    mote_status status = mote_tokenizer_open(path, tokenizer, &problem);
    const char *ending = strrchr(path, '.');
    if (status && error && ending && strcmp(ending, ".json") == 0) *error = problem;
    return status;
}

static mote_status run_tokenize(int n_arguments, const char *const *arguments, mote_error *error) {
    if (want_ids && want_text) return mote_fail(error, MOTE_USAGE, "--ids and --text are opposites: give one");
    mote_model *model = NULL;
    char *input = NULL;
    size_t size;
    mote_tokenizer *alone = NULL;
    const mote_tokenizer *tokenizer = NULL;
    mote_status status = source_open(arguments[0], &model, error);
    if (!status) status = model_tokenizer(model, arguments[0], &tokenizer, error);
    else if (status == MOTE_BAD_FILE) status = open_alone(arguments[0], &alone, error);
    if (alone) tokenizer = alone;
    if (!status && n_arguments > 1)
        status = source_no_model(arguments[1], "the model comes first, and one is enough: mote tokenize MODEL [FILE]",
                                 error);
    if (!status) status = read_whole(n_arguments > 1 ? arguments[1] : NULL, &input, &size, error);
    if (!status) status = (want_text ? to_text : to_tokens)(tokenizer, input, size, error);
    free(input);
    mote_model_close(model);
    mote_tokenizer_destroy(alone);
    return status;
}

const struct command command_tokenize = {
    .name = "tokenize",
    .arguments = "MODEL [FILE]",
    .summary = "turn text into the tokens of a model, or back",
    .details =
        "MODEL may also be what holds a tokenizer alone: GGUF without weights, tokenizer.json or its folder. Reads "
        "FILE or standard input. Without options it prints a table of the pieces. A piece may be a part "
        "of a character; in JSON what is not UTF-8 becomes U+FFFD.",
    .example = "echo 'Once upon a time' | mote tokenize model.gguf --ids",
    .least = 1,
    .most = 2,
    .groups = groups,
    .run = run_tokenize,
};
