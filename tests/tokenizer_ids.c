/* Not a test by itself: what tools/check_tokenizers.sh asks mote. tokenizer_ids TOKENIZER TEXTS prints the ids of each
 * text, a line each; TEXTS has a JSON string in each line. tokenizer_ids --write TOKENIZER prints it as tokenizer.json.
 */
#include <stdio.h>
#include <string.h>

#include "../app/text/libraries.h"
#include "base/files.h"
#include "base/json.h"
#include "formats/tokenizer_json.h"

static mote_status print_line(const mote_tokenizer *t, const char *line, size_t n, mote_error *error) {
    mote_json json;
    int32_t *ids = NULL;
    size_t n_ids = 0;
    mote_status status = MOTE_BAD_FILE;
    mote_json_init(&json, line, n);
    if (mote_json_next(&json) == MOTE_JSON_STRING)
        status = mote_tokenizer_encode(t, json.string.bytes, json.string.size, &ids, &n_ids, error);
    else mote_fail(error, status, "a line is no JSON string");
    for (size_t i = 0; i < n_ids; i++) printf("%s%d", i ? " " : "", ids[i]);
    if (!status) printf("\n");
    mote_free(ids);
    mote_json_deinit(&json);
    return status;
}

static mote_status train(const char *name, const char *path, mote_tokenizer **t, mote_error *error) {
    static const char *const kinds[] = {"byte", "char", "word", "bpe"};
    mote_map text;
    mote_status status = mote_map_open(path, &text, error);
    if (status) return status;
    status = mote_fail(error, MOTE_USAGE, "there is no kind %s", name);
    for (int i = 0; i < 4; i++)
        if (!strcmp(name, kinds[i]))
            status = mote_tokenizer_train((mote_tokenizer_kind)i, 600, (const char *)text.bytes, text.size, t, error);
    mote_map_close(&text);
    return status;
}

int main(int n_words, char **words) {
    mote_error error = {0};
    mote_tokenizer *t = NULL;
    mote_map texts = {0};
    mote_buffer out = {0};
    if (n_words != 3) {
        fprintf(stderr, "usage: tokenizer_ids TOKENIZER TEXTS | --write TOKENIZER | --write-KIND TEXT\n");
        return 2;
    }
    bool trains = !strncmp(words[1], "--write-", 8), writes = trains || !strcmp(words[1], "--write");
    text_libraries_use();
    mote_status status = trains ? train(words[1] + 8, words[2], &t, &error)
                                : mote_tokenizer_open(words[writes ? 2 : 1], &t, &error);
    if (!status && writes) {
        status = mote_tokenizer_json_write(t, &out, &error);
        if (!status) fwrite(out.bytes, 1, out.size, stdout);
    } else if (!status && !(status = mote_map_open(words[2], &texts, &error))) {
        for (size_t at = 0; at < texts.size && !status;) {
            const uint8_t *newline = memchr(texts.bytes + at, '\n', texts.size - at);
            size_t end = newline ? (size_t)(newline - texts.bytes) : texts.size;
            status = print_line(t, (const char *)texts.bytes + at, end - at, &error);
            at = end + 1;
        }
        mote_map_close(&texts);
    }
    if (status) fprintf(stderr, "error: %s\n", error.message);
    mote_buffer_deinit(&out);
    mote_tokenizer_destroy(t);
    return (int)status;
}
