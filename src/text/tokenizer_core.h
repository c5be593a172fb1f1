/* What the tokenizers share: the object, how it is built, and encoding piece by piece.
 * A symbol is a token or, numbered after the tokens, a string that only merges pass through (the first two bytes of a
 * character of three). Only NORMAL tokens ever come out of text. */
#ifndef MOTE_TEXT_TOKENIZER_CORE_H
#define MOTE_TEXT_TOKENIZER_CORE_H

#include "text/string_set.h"
#include "text/tokenizer.h"

#define MOTE_END_TEXT "<|endoftext|>"
#define MOTE_UNKNOWN_TEXT "<unk>"
#define MOTE_REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD, the text of <unk> */

/* No piece of the pre-tokenizer is longer (by more than a character), which bounds the memory of encoding: a longer run
 * of letters, say, is cut there. */
enum { MOTE_PIECE_BYTES = 1 << 20 };

typedef struct {
    uint32_t left, right, result; /* symbols; the rank is the place in the list */
} mote_merge;

struct mote_tokenizer {
    mote_tokenizer_kind kind;
    int32_t end, unknown; /* -1: none */
    int32_t special[MOTE_N_SPECIALS]; /* -1: none */
    bool adds_begin, adds_end;
    struct mote_staged *staged; /* of a tokenizer with a pipeline; NULL: mote's own kinds and plain GPT-2 */
    size_t n_tokens;
    uint8_t *types; /* [n_tokens] mote_token_type */
    size_t types_capacity;
    mote_string_set symbols; /* tokens first, by id; the bytes they stand for, of control tokens their name */
    mote_merge *merges;
    size_t n_merges, merges_capacity;
    mote_pair_map ranks;       /* symbols -> place in merges */
    uint32_t byte_symbol[256]; /* byte, bpe: always one; char: of ASCII; else or where missing MOTE_NO_INDEX */
};

typedef struct {
    int32_t *tokens;
    size_t n, capacity;
} mote_token_list;

/* Building: create, add all tokens, add merges, then index. Destroy it when any of them fails. */
mote_status mote_tokenizer_create(mote_tokenizer_kind kind, mote_tokenizer **tokenizer, mote_error *error);
/* Returns the new token's id or that of the token that is the same, or -1 when memory ran out. */
int32_t mote_tokenizer_add(mote_tokenizer *tokenizer, const char *bytes, size_t n, int type);
/* Adds <|endoftext|> as token 0, for char and word <unk> as token 1; for messages MOTE_TURN_START and _END next. */
mote_status mote_tokenizer_add_special(mote_tokenizer *tokenizer, bool messages, mote_error *error);
bool mote_tokenizer_add_merge(mote_tokenizer *tokenizer, uint32_t left, uint32_t right, uint32_t result);
mote_status mote_tokenizer_index(mote_tokenizer *tokenizer, mote_error *error);

static inline bool mote_token_is_text(const mote_tokenizer *tokenizer, uint32_t symbol) {
    return symbol < tokenizer->n_tokens && (tokenizer->types[symbol] == MOTE_TOKEN_NORMAL ||
                                            tokenizer->types[symbol] == MOTE_TOKEN_USER_DEFINED);
}

/* Appends the tokens of text[*at ...], whole pieces until at least `at_most` bytes are done or the text ends, and moves
 * *at. Doing this in parts gives the same as at once: the pre-tokenizer always sees the whole text. */
mote_status mote_tokenizer_encode_part(const mote_tokenizer *tokenizer, const char *text, size_t size, size_t *at,
                                       size_t at_most, mote_token_list *list, mote_error *error);

/* Where the piece of GPT-2's pre-tokenizer that starts at `at` < size ends. */
size_t mote_piece_end(const char *text, size_t size, size_t at);

/* Appends the tokens of one piece; room for n more tokens must be in the list. False: out of memory. */
bool mote_bpe_encode_piece(const mote_tokenizer *tokenizer, const char *piece, size_t n, mote_token_list *list);
void mote_word_encode_piece(const mote_tokenizer *tokenizer, const char *piece, size_t n, mote_token_list *list);
void mote_char_encode(const mote_tokenizer *tokenizer, const char *text, size_t n, mote_token_list *list);
void mote_byte_encode(const mote_tokenizer *tokenizer, const char *text, size_t n, mote_token_list *list);

#endif
