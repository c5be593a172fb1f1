/* What the tokenizers of others do to text before and after their model, as short lists of steps: those that Hugging
 * Face's tokenizer.json names. Text is cut at added tokens; each part goes through the normalizers, the pre-tokenizers
 * split it, the model makes tokens of every piece, and the decoders make text of tokens again. */
#ifndef MOTE_TEXT_PIPELINE_H
#define MOTE_TEXT_PIPELINE_H

#include "text/tokenizer.h"

enum { MOTE_MOST_STEPS = 64 };

/* name in tokenizer.json, stage */
#define MOTE_STEP_LIST(X)                                                                                              \
    /* normalizers: text -> text */                                                                                    \
    X(NFC, "NFC", NORMALIZER)                                                                                          \
    X(NFD, "NFD", NORMALIZER)                                                                                          \
    X(NFKC, "NFKC", NORMALIZER)                                                                                        \
    X(NFKD, "NFKD", NORMALIZER)                                                                                        \
    X(LOWERCASE, "Lowercase", NORMALIZER)                                                                              \
    X(STRIP_ENDS, "Strip", NORMALIZER) /* left, right */                                                               \
    X(STRIP_ACCENTS, "StripAccents", NORMALIZER)                                                                       \
    X(REPLACE, "Replace", NORMALIZER)         /* text (regex), content */                                              \
    X(PREPEND, "Prepend", NORMALIZER)         /* text */                                                               \
    X(BERT, "BertNormalizer", NORMALIZER)     /* clean_text, chinese, strip_accents, lowercase */                      \
    X(PRECOMPILED, "Precompiled", NORMALIZER) /* text: SentencePiece's charsmap, not base64 */                         \
    X(SPACES, "mote.Spaces", NORMALIZER)      /* SentencePiece's: prefix, join runs, escape; see below */              \
    /* pre-tokenizers: piece -> pieces */                                                                              \
    X(BYTE_LEVEL, "ByteLevel", PRETOKENIZER)  /* add_prefix_space, use_regex; must be the last */                      \
    X(SPLIT, "Split", PRETOKENIZER)           /* text (regex), behavior, invert */                                     \
    X(METASPACE, "Metaspace", PRETOKENIZER)   /* text: replacement; prepend, split */                                  \
    X(DIGITS, "Digits", PRETOKENIZER)         /* individual */                                                         \
    X(WHITESPACE, "Whitespace", PRETOKENIZER) /* \w+|[^\w\s]+ */                                                       \
    X(WHITESPACE_SPLIT, "WhitespaceSplit", PRETOKENIZER)                                                               \
    X(PUNCTUATION, "Punctuation", PRETOKENIZER) /* behavior */                                                         \
    X(BERT_SPLIT, "BertPreTokenizer", PRETOKENIZER)                                                                    \
    /* decoders: tokens -> text */                                                                                     \
    X(BYTE_LEVEL_TEXT, "ByteLevel", DECODER)                                                                           \
    X(BYTE_FALLBACK_TEXT, "ByteFallback", DECODER)                                                                     \
    X(FUSE, "Fuse", DECODER)                                                                                           \
    X(REPLACE_TEXT, "Replace", DECODER)     /* text (no regex), content */                                             \
    X(STRIP_TEXT, "Strip", DECODER)         /* text: one character; start, stop */                                     \
    X(METASPACE_TEXT, "Metaspace", DECODER) /* text: replacement; prepend, cleanup */                                  \
    X(WORDPIECE_TEXT, "WordPiece", DECODER) /* text: prefix; cleanup */                                                \
    X(SUFFIX_TEXT, "BPEDecoder", DECODER)   /* text: suffix that ends a word */

typedef enum { MOTE_STAGE_NORMALIZER, MOTE_STAGE_PRETOKENIZER, MOTE_STAGE_DECODER } mote_stage;

typedef enum {
#define X(id, name, stage) MOTE_STEP_##id,
    MOTE_STEP_LIST(X)
#undef X
    MOTE_N_STEPS
} mote_step_kind;

typedef enum {
    MOTE_SPLIT_REMOVED,
    MOTE_SPLIT_ISOLATED,
    MOTE_SPLIT_WITH_PREVIOUS,
    MOTE_SPLIT_WITH_NEXT,
    MOTE_SPLIT_CONTIGUOUS,
    MOTE_N_SPLITS
} mote_split_behavior;

typedef enum { MOTE_PREPEND_ALWAYS, MOTE_PREPEND_NEVER, MOTE_PREPEND_FIRST, MOTE_N_PREPENDS } mote_prepend;

/* One step. What its kind does not use stays zero (steps are compared byte for byte, strings by content). */
typedef struct {
    mote_step_kind kind;
    mote_string text, content;
    bool regex;    /* `text` is a regular expression, else it is meant literally */
    bool invert;   /* SPLIT: the matches are the pieces, the rest separates them */
    bool left, right;                                      /* STRIP_ENDS */
    bool clean_text, chinese, strip_accents, lowercase;    /* BERT */
    bool add_prefix_space, use_regex;                      /* BYTE_LEVEL */
    bool individual;                                       /* DIGITS */
    bool split;                                            /* METASPACE: also cut before each replacement */
    bool cleanup;                                          /* WORDPIECE_TEXT */
    bool prefix, suffix, join, escape;                     /* SPACES: a space before (after) the text, runs of spaces
                                                              joined and those at the ends dropped, ' ' -> U+2581 */
    uint8_t behavior;                                      /* mote_split_behavior */
    uint8_t prepend;                                       /* mote_prepend */
    uint32_t start, stop;                                  /* STRIP_TEXT: at most so many at each end */
} mote_step;

typedef struct mote_pipeline {
    const mote_step *steps; /* normalizers first, then pre-tokenizers, then decoders, each in their order */
    size_t n_steps;
    /* of the model */
    bool byte_level;    /* BPE over bytes: tokens are in GPT-2's byte-to-unicode form (BYTE_LEVEL among the steps) */
    bool byte_fallback; /* what the vocabulary lacks is spelled in tokens <0x00> to <0xFF> */
    bool fuse_unknown;  /* a run of unknown characters is one unknown token */
    bool ignore_merges; /* a piece that is a token is not split */
    mote_string continuing_prefix; /* BPE, WordPiece: before parts that do not begin a word: "##" */
    mote_string word_prefix;       /* WordPiece: before parts that do: U+2581 in GGUF, else "" */
    mote_string end_of_word;       /* BPE: after the last part of a word: "</w>" */
    uint32_t most_word_characters; /* WordPiece: a longer word is unknown (100); 0: no limit */
} mote_pipeline;

const char *mote_step_name(mote_step_kind kind);
mote_stage mote_step_stage(mote_step_kind kind);
/* The step of this name in a stage; MOTE_N_STEPS: there is none. */
mote_step_kind mote_step_find(mote_stage stage, mote_string name);

/* GGUF's tokenizer.ggml.pre (pre_tokenizers.c). */
typedef struct {
    const char *name;
    const char *const *patterns; /* NULL-terminated; each is applied to the pieces that the one before left */
    bool ignore_merges, adds_begin;
} mote_pre_tokenizer;
const mote_pre_tokenizer *mote_pre_tokenizer_find(mote_string name); /* NULL: not known */
/* The name of a row with these steps; "" where GGUF has none. */
const char *mote_pre_tokenizer_name(const mote_pipeline *pipeline);

#endif
