/* llama2.c's tokenizer.bin: the length of the longest token, then for each token a score, a length and bytes, to the
 * end of the file; there is no magic and no count. It is SentencePiece's vocabulary, with spaces for its U+2581: token
 * 0 is <unk>, 1 and 2 begin and end a text, 3 to 258 are the bytes. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "formats/formats.h"

enum {
    HEAD_BYTES = 4,
    ENTRY_BYTES = 8,
    MOST_TOKEN_BYTES = 4096,
    UNKNOWN = 0,
    BEGIN = 1,
    FINISH = 2,
    FIRST_BYTE = 3,
    FIRST_PIECE = FIRST_BYTE + 256
};
#define SPACE "\xe2\x96\x81"

bool mote_tokenizer_bin_matches(const uint8_t *bytes, size_t size) {
    if (size < HEAD_BYTES + ENTRY_BYTES) return false;
    uint32_t most = mote_load_u32(bytes), first = mote_load_u32(bytes + HEAD_BYTES + 4);
    return most >= 1 && most <= MOST_TOKEN_BYTES && first <= most && first <= size - HEAD_BYTES - ENTRY_BYTES;
}

/* The entry at *at, which moves behind it. */
static mote_status read_entry(const uint8_t *bytes, size_t size, const char *name, size_t place, size_t *at,
                              float *score, mote_string *token, mote_error *error) {
    if (size - *at < ENTRY_BYTES)
        return mote_fail(error, MOTE_BAD_FILE, "%s: ends inside the head of token %zu", name, place);
    union { uint32_t bits; float value; } u = {.bits = mote_load_u32(bytes + *at)};
    uint32_t length = mote_load_u32(bytes + *at + 4), most = mote_load_u32(bytes);
    *at += ENTRY_BYTES;
    if (!isfinite(u.value))
        return mote_fail(error, MOTE_BAD_FILE, "%s: the score of token %zu is not finite", name, place);
    if (length > most)
        return mote_fail(error, MOTE_BAD_FILE, "%s: token %zu has %lld bytes; its longest is said to have %u", name,
                         place, (long long)(int32_t)length, most);
    if (length > size - *at)
        return mote_fail(error, MOTE_BAD_FILE, "%s: ends inside token %zu of %u bytes", name, place, length);
    if (length == 0) return mote_fail(error, MOTE_BAD_FILE, "%s: token %zu is empty", name, place);
    *score = u.value;
    *token = (mote_string){(const char *)bytes + *at, length};
    *at += length;
    return MOTE_OK;
}

/* The first 259 have fixed places, which llama2.c relies on. */
static mote_status name_special(size_t place, mote_string *token, int32_t *type, const char *name, mote_error *error) {
    char byte[8];
    snprintf(byte, sizeof byte, "<0x%02X>", (unsigned)(place - FIRST_BYTE) & 0xff);
    const char *wanted = place == UNKNOWN ? "<unk>" : place == BEGIN ? "<s>" : place == FINISH ? "</s>" : byte;
    mote_string bare = *token; /* the exporter puts 1 and 2 between line feeds */
    if (bare.size > 2 && bare.bytes[0] == '\n' && bare.bytes[bare.size - 1] == '\n') bare.bytes++, bare.size -= 2;
    if (!mote_string_is(bare, wanted))
        return mote_fail(error, MOTE_BAD_FILE, "%s: token %zu is not %s", name, place, wanted);
    *token = bare;
    *type = place == UNKNOWN ? MOTE_TOKEN_UNKNOWN : place < FIRST_BYTE ? MOTE_TOKEN_CONTROL : MOTE_TOKEN_BYTE;
    return MOTE_OK;
}

static bool put_marks(mote_arena *arena, mote_string *token) {
    size_t spaces = 0, n = 0;
    for (size_t i = 0; i < token->size; i++) spaces += token->bytes[i] == ' ';
    if (!spaces) return true;
    char *marked = mote_arena_allocate(arena, token->size + 2 * spaces);
    for (size_t i = 0; i < token->size && marked; i++) {
        if (token->bytes[i] != ' ') marked[n++] = token->bytes[i];
        else memcpy(marked + n, SPACE, 3), n += 3;
    }
    *token = (mote_string){marked, n};
    return marked != NULL;
}

static mote_status read_tokens(const uint8_t *bytes, size_t size, const char *name, mote_arena *arena,
                               mote_tokenizer_parts *parts, mote_error *error) {
    size_t most = (size - HEAD_BYTES) / (ENTRY_BYTES + 1), n = 0;
    if (most > MOTE_MOST_VOCAB) most = MOTE_MOST_VOCAB;
    mote_string *tokens = mote_arena_allocate(arena, most * sizeof *tokens);
    float *scores = mote_arena_allocate(arena, most * sizeof *scores);
    int32_t *types = mote_arena_allocate(arena, most * sizeof *types);
    if (!tokens || !scores || !types) return mote_fail_memory(error, "a vocabulary", most * sizeof *tokens);
    mote_status status = MOTE_OK;
    for (size_t at = HEAD_BYTES; at < size && status == MOTE_OK; n++) {
        if (n == most) return mote_fail(error, MOTE_BAD_FILE, "%s: ends inside token %zu, or has too many", name, n);
        status = read_entry(bytes, size, name, n, &at, &scores[n], &tokens[n], error);
        if (status != MOTE_OK) break;
        types[n] = MOTE_TOKEN_NORMAL;
        if (n < FIRST_PIECE) status = name_special(n, &tokens[n], &types[n], name, error);
        else if (!put_marks(arena, &tokens[n])) status = mote_fail_memory(error, "a token", 3 * MOST_TOKEN_BYTES);
    }
    if (status == MOTE_OK && n < FIRST_PIECE)
        status = mote_fail(error, MOTE_BAD_FILE, "%s: has %zu tokens; %d are the least, for all bytes", name, n,
                           FIRST_PIECE);
    parts->tokens = tokens;
    parts->scores = scores;
    parts->types = types;
    parts->n_tokens = n;
    return status;
}

mote_status mote_tokenizer_bin_parse(const uint8_t *bytes, size_t size, const char *name, mote_tokenizer **tokenizer,
                                     mote_error *error) {
    *tokenizer = NULL;
    if (!mote_tokenizer_bin_matches(bytes, size))
        return mote_fail(error, MOTE_BAD_FILE, "%s: no tokenizer.bin of llama2.c", name);
    mote_arena arena = {0};
    mote_tokenizer_parts parts = mote_tokenizer_parts_none();
    parts.model = (mote_string){"llama", 5};
    parts.pre = (mote_string){"default", 7};
    parts.end = FINISH;
    parts.unknown = UNKNOWN;
    parts.special[MOTE_SPECIAL_BEGIN] = BEGIN;
    parts.adds_begin = true;
    mote_status status = read_tokens(bytes, size, name, &arena, &parts, error);
    if (status == MOTE_OK) status = mote_tokenizer_from_parts(&parts, name, tokenizer, error);
    mote_arena_deinit(&arena);
    return status;
}
