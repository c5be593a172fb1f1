/* A tokenizer of others at work: its pipeline with everything that was compiled from it, and the encoder that one call
 * of encoding owns. Symbols are as in tokenizer_core.h; where the model is not byte-level they are literal text. Tokens
 * that no text may become are in `literals` only, so that neither a merge nor a match can find them. */
#ifndef MOTE_TEXT_STAGED_H
#define MOTE_TEXT_STAGED_H

#include "text/pipeline.h"
#include "text/token_index.h"
#include "text/tokenizer_core.h"

#define MOTE_SPACE_MARK "\xE2\x96\x81" /* U+2581, a space in SentencePiece's tokens */
enum { MOTE_SPACE_MARK_BYTES = 3 };

/* How a SPLIT (or a REPLACE with an expression) finds its matches: the famous expressions are written by hand. */
typedef enum {
    MOTE_MATCH_LITERAL,
    MOTE_MATCH_REGEX,
    MOTE_MATCH_GPT2,
    MOTE_MATCH_MODERN,
    MOTE_MATCH_NUMBERS
} mote_match;

typedef struct {
    mote_match match;
    uint32_t digits; /* MODERN, NUMBERS: most in one match; 0: any number */
    void *regex;
} mote_matcher;

typedef struct mote_staged {
    mote_arena arena; /* what the pipeline and the strings below point to */
    mote_pipeline pipeline;
    bool derived; /* the pipeline follows from model, pre and the flags */
    size_t n_normalizers, n_pretokenizers;
    mote_matcher matchers[MOTE_MOST_STEPS];
    mote_string model, pre, charsmap;
    bool add_space_prefix, remove_extra_whitespaces, treat_whitespace_as_suffix, escape_whitespaces;
    float *scores;  /* [n_tokens] or NULL */
    uint8_t *added; /* [n_tokens] or NULL */
    mote_string_set literals; /* names of tokens that are not found by the model */
    uint32_t *literal_ids;    /* of each */
    size_t literal_capacity;
    uint32_t *order;          /* SentencePiece: rank of each token by score, the best first */
    uint32_t byte_token[256]; /* MOTE_NO_INDEX: none */
    bool words_apart; /* no token goes on over the beginning of a word (U+2581 after another character) */
    size_t longest;   /* bytes of a token that is text */
    double unknown_score;
    mote_token_index vocabulary; /* unigram, WordPiece */
    mote_token_index added_raw, added_normalized;
    bool added_first[2][256]; /* whether an added token begins with the byte */
    char *texts;      /* of all tokens, as decoded */
    size_t *text_at;  /* [n_tokens + 1] */
    char end_byte;    /* decoding takes at most begin_strip (end_strip) of it from the beginning (end) of a text */
    uint32_t begin_strip, end_strip;
} mote_staged;

/* Reads the pipeline of parts, or derives it, and compiles it; types and scores too. Tokens are added after this. */
mote_status mote_staged_create(const mote_tokenizer_parts *parts, const char *name, mote_staged **staged,
                               mote_error *error);
void mote_staged_destroy(mote_staged *staged);
/* After the tokens and merges are in. */
mote_status mote_staged_finish(mote_tokenizer *tokenizer, const char *name, mote_error *error);

/* What model, pre and flags mean (derive.c). Steps in the arena. */
mote_status mote_pipeline_derive(const mote_tokenizer_parts *parts, const char *name, mote_arena *arena,
                                 mote_pipeline *pipeline, mote_error *error);

bool mote_match_native(const char *pattern, size_t n, mote_matcher *matcher);

/* ---- encoding */

typedef struct {
    uint32_t symbol, begin, size, previous, next;
} mote_link;
typedef struct {
    uint32_t order, at, size;
} mote_candidate;

typedef struct {
    size_t begin, end;
} mote_valid_run;

enum { MOTE_CACHED_BYTES = 30, MOTE_CACHED_TOKENS = 8, MOTE_CACHE_SLOTS = 1 << 14, MOTE_CACHE_FROM = 1 << 14 };
typedef struct {
    uint8_t size, n_tokens; /* size 0: empty */
    char bytes[MOTE_CACHED_BYTES];
    int32_t tokens[MOTE_CACHED_TOKENS];
} mote_cached_piece;

typedef struct mote_encoder {
    const mote_tokenizer *tokenizer;
    const mote_staged *staged;
    mote_token_list *list;
    const char *what;          /* the limit that was hit or NULL: memory ran out, when a function says false */
    mote_cached_piece *cache;  /* MOTE_CACHE_SLOTS or NULL */
    size_t most_normalized;    /* bytes that normalizers may make of the segment */
    mote_buffer normalized[2]; /* input and output of a normalizer, in turns */
    mote_buffer scratch[MOTE_MOST_STEPS]; /* the text that a pre-tokenizer changed */
    void *regex_scratch[MOTE_MOST_STEPS];
    mote_valid_run runs[MOTE_MOST_STEPS]; /* of a piece: valid UTF-8, as far as an expression has come */
    bool at_start;             /* of the whole text */
    bool unknown_open;         /* the last token of this piece is unknown, and more of it would be the same one */
    mote_link *links;
    size_t links_capacity;
    mote_candidate *heap;
    size_t heap_n, heap_capacity;
    double *best;              /* unigram */
    uint32_t *best_id, *best_from;
    size_t best_capacity, best_id_capacity, best_from_capacity;
} mote_encoder;

mote_status mote_staged_encode(const mote_tokenizer *tokenizer, const char *text, size_t n, mote_token_list *list,
                               mote_error *error);
void mote_encoder_close(mote_encoder *encoder); /* its memory, not the list */
/* All of a segment's normalizers: *text and *n become the result, which lives until the next call. */
bool mote_normalize(mote_encoder *encoder, const char **text, size_t *n);
/* The pre-tokenizers from `step` on, then the model, for a piece. */
bool mote_split_piece(mote_encoder *encoder, size_t step, const char *text, size_t n, bool first);
/* The next match in text[from ... n): 1, 0, -1 (encoder->what). */
int mote_match_next(mote_encoder *encoder, size_t step, const char *text, size_t n, size_t from, size_t *begin,
                    size_t *end);
/* The model: tokens of a piece that was split off. */
bool mote_encode_piece(mote_encoder *encoder, const char *text, size_t n);
bool mote_merge_encode(mote_encoder *encoder, const char *text, size_t n); /* BPE over characters, SentencePiece */
bool mote_unigram_encode(mote_encoder *encoder, const char *text, size_t n);
bool mote_wordpiece_encode(mote_encoder *encoder, const char *text, size_t n);
/* Tokens for bytes the vocabulary lacks: of the bytes, or one unknown token. Room must be in the list. */
void mote_emit_unknown(mote_encoder *encoder, const char *text, size_t n);
static inline void mote_emit(mote_encoder *encoder, uint32_t id) {
    encoder->list->tokens[encoder->list->n++] = (int32_t)id;
    encoder->unknown_open = false;
}

bool mote_tokens_reserve(mote_token_list *list, size_t n); /* room for n more */

/* ---- characters (characters.c): categories come from the hooks, ASCII needs none */
bool mote_is_space(uint32_t point);
bool mote_is_punctuation(uint32_t point); /* ASCII's symbols too */
bool mote_is_word(uint32_t point);        /* \w */
/* The character at text[at], or a byte of none: its bytes, and U+FFFFFFFF for the latter. */
size_t mote_character(const char *text, size_t n, size_t at, uint32_t *point);

/* ---- SentencePiece's precompiled_charsmap (charsmap.c) */
mote_status mote_charsmap_check(mote_string map, const char *name, mote_error *error);
/* False: out of memory, or more than `most` bytes. */
bool mote_charsmap_apply(mote_string map, const char *text, size_t n, size_t most, mote_buffer *out);

int mote_byte_of_name(mote_string name); /* the byte of "<0x0A>"; -1: it names none */

/* ---- decoding (decode.c): the texts of all tokens. */
mote_status mote_staged_texts(mote_tokenizer *tokenizer, mote_error *error);

#endif
