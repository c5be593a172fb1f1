/* tokenizer.json and tokenizer_config.json of anybody: refused with a sentence, or a tokenizer that encodes and
 * decodes, and that gives the same ids after it was written and read again. */
#include <stdlib.h>
#include <string.h>

#include "../app/text/libraries.h"
#include "formats/tokenizer_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int condition) {
    if (!condition) abort();
}

static const char text[] = "ab [x] a\u2581 b  The quick brown fox's 12345\r\n"
                           " caf\u00e9 e\u0301 \u4f60\u597d \U0001F642 <s>\xff##";

/* The statuses that bytes of a file may end in: a limit on steps or memory is one of them. */
static int is_expected(mote_status status, const mote_error *error) {
    return (status == MOTE_BAD_FILE || status == MOTE_FAILED || status == MOTE_MEMORY) && error->message[0];
}

static void check_tokenizer(const mote_tokenizer *t) {
    mote_error error = {0};
    mote_tokenizer *again = NULL;
    mote_buffer out = {0};
    int32_t *ids = NULL, *same = NULL;
    size_t n = 0, n_same = 0, bytes;
    char *back = NULL;
    mote_status status = mote_tokenizer_encode(t, text, sizeof text - 1, &ids, &n, &error);
    check(!status || is_expected(status, &error));
    for (size_t i = 0; i < n; i++) check(ids[i] >= 0 && ids[i] < mote_tokenizer_vocab(t));
    check(!mote_tokenizer_decode(t, ids, n, &back, &bytes, &error) || is_expected(error.status, &error));
    mote_status written = mote_tokenizer_json_write(t, &out, &error);
    check(!written || is_expected(written, &error));
    if (!written) {
        check(!mote_tokenizer_json_read((const uint8_t *)out.bytes, out.size, "again", &again, &error));
        check(mote_tokenizer_encode(again, text, sizeof text - 1, &same, &n_same, &error) == status);
        check(n == n_same && (n == 0 || memcmp(ids, same, n * sizeof *ids) == 0));
    }
    mote_free(ids);
    mote_free(same);
    mote_free(back);
    mote_buffer_deinit(&out);
    mote_tokenizer_destroy(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int ready;
    mote_tokenizer *t = NULL;
    mote_error error = {0};
    mote_arena arena = {0};
    mote_tokenizer_config config;
    if (!ready) text_libraries_use();
    ready = 1;
    mote_status status = mote_tokenizer_config_read(data, size, "fuzz", &arena, &config, &error);
    check(!status || is_expected(status, &error));
    mote_arena_deinit(&arena);
    status = mote_tokenizer_json_read(data, size, "fuzz", &t, &error);
    check(status ? !t && is_expected(status, &error) : t != NULL);
    if (t) check_tokenizer(t);
    mote_tokenizer_destroy(t);
    return 0;
}
