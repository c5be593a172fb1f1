/* Inside a tokenizer, for the file formats: what is stored in GGUF and how it comes back. */
#ifndef MOTE_TEXT_TOKENIZER_H
#define MOTE_TEXT_TOKENIZER_H

#include "base/buffer.h"
#include "base/memory.h"

/* GGUF's tokenizer.ggml.token_type */
typedef enum {
    MOTE_TOKEN_NORMAL = 1,
    MOTE_TOKEN_UNKNOWN = 2,
    MOTE_TOKEN_CONTROL = 3,      /* never comes out of text and gives none */
    MOTE_TOKEN_USER_DEFINED = 4, /* found in text first (tokenizer.json: added, not special) */
    MOTE_TOKEN_UNUSED = 5,       /* fills a vocabulary up */
    MOTE_TOKEN_BYTE = 6          /* "<0x0A>" */
} mote_token_type;

/* How an added token is found in text (tokenizer.json's added_tokens). */
enum {
    MOTE_ADDED_LEFT = 1,       /* takes the white space before it along */
    MOTE_ADDED_RIGHT = 2,      /* and after it */
    MOTE_ADDED_WORD = 4,       /* only where no letter or digit stands beside it */
    MOTE_ADDED_NORMALIZED = 8, /* looked for in normalized text, itself normalized */
};

/* The markup of turns, ChatML: control tokens of a tokenizer that was trained on messages, and never text of it. */
#define MOTE_TURN_START "<|im_start|>"
#define MOTE_TURN_END "<|im_end|>"

/* The tokens with a part of their own: tokenizer.ggml.<name>_token_id */
#define MOTE_SPECIAL_LIST(X)                                                                                           \
    X(BEGIN, "bos")                                                                                                    \
    X(END, "eos")                                                                                                      \
    X(TURN_END, "eot")                                                                                                 \
    X(MESSAGE_END, "eom")                                                                                              \
    X(UNKNOWN, "unknown")                                                                                              \
    X(SEPARATOR, "seperator")                                                                                          \
    X(PADDING, "padding")                                                                                              \
    X(CLASS, "cls")                                                                                                    \
    X(MASK, "mask")
typedef enum {
#define X(id, name) MOTE_SPECIAL_##id,
    MOTE_SPECIAL_LIST(X)
#undef X
    MOTE_N_SPECIALS
} mote_special;

struct mote_pipeline; /* text/pipeline.h */

/* What a tokenizer is made of, in the form of the GGUF keys. Start from mote_tokenizer_parts_none(). */
typedef struct {
    mote_string model; /* tokenizer.ggml.model: "gpt2" (byte-level BPE; also byte, char), "llama" (SentencePiece by
                          scores), "t5" (unigram), "bert" (WordPiece), "mote.word", "mote.bpe" (BPE that GGUF lacks:
                          characters and merges) */
    mote_string kind;  /* mote.tokenizer.kind: "byte", "char", "word", "bpe"; empty in files of others */
    mote_string pre;   /* tokenizer.ggml.pre: "gpt-2"; with a pipeline: whatever others call it, or empty */
    const mote_string *tokens;
    const int32_t *types; /* NULL: all normal */
    const float *scores;  /* llama, t5; NULL: none */
    const uint8_t *added; /* MOTE_ADDED_ bits of USER_DEFINED and CONTROL tokens; NULL: all 0 */
    size_t n_tokens;
    const mote_string *merges;    /* "a b"; gpt2: in GPT-2's byte-to-unicode form */
    const uint32_t *merge_splits; /* bytes of each merge's left half (a space follows), where halves may hold spaces;
                                     NULL: the first space parts them */
    size_t n_merges;
    int32_t end, unknown;             /* -1: none */
    int32_t special[MOTE_N_SPECIALS]; /* -1: none; END and UNKNOWN are `end` and `unknown` above and stay -1 here */
    bool adds_begin, adds_end;        /* a prompt starts (ends) with the token */
    /* The steps and flags of the model. NULL: what model, pre and these say, as GGUF's readers take them. What
     * mote_tokenizer_to_parts gives always has one, but for mote's own word tokenizers. */
    const struct mote_pipeline *pipeline;
    bool pipeline_derived; /* going out: model, pre and the flags below say all that the pipeline does */
    bool add_space_prefix, remove_extra_whitespaces, treat_whitespace_as_suffix, escape_whitespaces;
    mote_string charsmap; /* tokenizer.ggml.precompiled_charsmap */
} mote_tokenizer_parts;

/* Ids none, add_space_prefix and escape_whitespaces on. */
mote_tokenizer_parts mote_tokenizer_parts_none(void);

/* Checks everything (ids in range, no duplicate tokens, every merge's halves joined to something the vocabulary or a
 * later merge knows, UTF-8, byte-to-unicode form valid) and builds. `name` is the file, for messages. */
mote_status mote_tokenizer_from_parts(const mote_tokenizer_parts *parts, const char *name, mote_tokenizer **tokenizer,
                                      mote_error *error);
/* The parts of a tokenizer; what they point to lives in `arena`, the pipeline as long as the tokenizer. */
mote_status mote_tokenizer_to_parts(const mote_tokenizer *tokenizer, mote_arena *arena, mote_tokenizer_parts *parts,
                                    mote_error *error);
mote_status mote_tokenizer_copy(const mote_tokenizer *tokenizer, mote_tokenizer **copy, mote_error *error);

#endif
