/* JSON: any bytes end in END or ERROR after at most one token a byte; skipping any container and pulling its tokens
 * leave the reader at the same place; a string that was read is UTF-8 and comes back through the writer. */
#include <string.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) __builtin_trap();
}

static void check_string(const mote_buffer *string) {
    for (size_t at = 0; at < string->size;) {
        int length = mote_utf8_length(string->bytes + at, string->size - at);
        require(length > 0);
        at += (size_t)length;
    }
    mote_buffer written = {0};
    mote_json again;
    mote_buffer_json_string(&written, string->bytes, string->size);
    mote_json_init(&again, written.bytes, written.size);
    require(mote_json_next(&again) == MOTE_JSON_STRING && again.string.size == string->size);
    require(memcmp(again.string.bytes, string->bytes, string->size) == 0 && mote_json_next(&again) == MOTE_JSON_END);
    mote_json_deinit(&again);
    mote_buffer_deinit(&written);
}

/* Pulls all tokens; where `skip_at` is the number of a token, what it opens is skipped. */
static mote_json_kind pull(const char *text, size_t size, size_t skip_at, size_t *n_tokens) {
    mote_json reader;
    mote_json_kind kind;
    size_t count = 0;
    mote_json_init(&reader, text, size);
    do {
        kind = mote_json_next(&reader);
        require(reader.at <= size && reader.depth >= 0 && reader.depth <= 64);
        if (kind == MOTE_JSON_KEY || kind == MOTE_JSON_STRING) check_string(&reader.string);
        if (kind == MOTE_JSON_NUMBER) {
            require(reader.number - reader.number == 0); /* finite */
            require(!reader.is_integer || (double)reader.integer == reader.number);
        }
        if (count++ == skip_at && !mote_json_skip(&reader, kind)) kind = MOTE_JSON_ERROR;
    } while (kind != MOTE_JSON_END && kind != MOTE_JSON_ERROR);
    require((kind == MOTE_JSON_ERROR) == (reader.problem != NULL));
    require(mote_json_next(&reader) == kind);
    mote_json_deinit(&reader);
    *n_tokens = count;
    return kind;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data;
    size_t n_tokens, fewer;
    mote_json_kind kind = pull(text, size, SIZE_MAX, &n_tokens);
    require(n_tokens <= size + 2);
    size_t tries = n_tokens < 8 ? n_tokens : 8;
    for (size_t i = 0; i < tries; i++) {
        require(pull(text, size, i * n_tokens / tries, &fewer) == kind);
        require(fewer <= n_tokens);
    }
    return 0;
}
