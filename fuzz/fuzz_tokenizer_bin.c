/* llama2.c's tokenizer.bin: any bytes end in a status; what opens encodes any text to ids of its vocabulary, whose
 * pieces are there, and goes through the form of GGUF's keys unchanged. */
#include <stdint.h>
#include <string.h>

#include "formats/formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) __builtin_trap();
}

static void check_text(const mote_tokenizer *tokenizer, const mote_tokenizer *again, const char *text, size_t size) {
    int32_t *tokens = NULL, *other = NULL;
    size_t n = 0, m = 0;
    if (mote_tokenizer_encode(tokenizer, text, size, &tokens, &n, NULL) != MOTE_OK) return;
    for (size_t i = 0; i < n; i++) {
        size_t bytes;
        require(tokens[i] >= 0 && tokens[i] < mote_tokenizer_vocab(tokenizer));
        require(mote_tokenizer_piece(tokenizer, tokens[i], &bytes) != NULL);
    }
    require(mote_tokenizer_encode(again, text, size, &other, &m, NULL) == MOTE_OK);
    require(n == m && (n == 0 || !memcmp(tokens, other, n * sizeof *tokens)));
    mote_free(tokens);
    mote_free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mote_tokenizer *tokenizer = NULL, *again = NULL;
    mote_error error = {0};
    mote_status status = mote_tokenizer_bin_parse(data, size, "input", &tokenizer, &error);
    require(status == MOTE_OK || status == MOTE_BAD_FILE || status == MOTE_MEMORY);
    require((status == MOTE_OK) == (tokenizer != NULL));
    require(status == MOTE_OK || (error.status == status && error.message[0]));
    if (!tokenizer) return 0;
    mote_arena arena = {0};
    mote_tokenizer_parts parts;
    require(mote_tokenizer_to_parts(tokenizer, &arena, &parts, NULL) == MOTE_OK);
    require(mote_tokenizer_from_parts(&parts, "again", &again, &error) == MOTE_OK);
    check_text(tokenizer, again, "Once upon a time\n\xff \xc3\xa9", 20);
    check_text(tokenizer, again, (const char *)data + (size - size % 64), size % 64);
    mote_tokenizer_destroy(tokenizer);
    mote_tokenizer_destroy(again);
    mote_arena_deinit(&arena);
    return 0;
}
