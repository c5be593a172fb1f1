/* Inside a tokenizer, for the file formats: what is stored in GGUF and how it comes back. */
#ifndef MOTE_TEXT_TOKENIZER_H
#define MOTE_TEXT_TOKENIZER_H

#include "base/buffer.h"
#include "base/memory.h"

/* GGUF's tokenizer.ggml.token_type */
typedef enum { MOTE_TOKEN_NORMAL = 1, MOTE_TOKEN_UNKNOWN = 2, MOTE_TOKEN_CONTROL = 3 } mote_token_type;

/* The markup of turns, ChatML: control tokens of a tokenizer that was trained on messages, and never text of it. */
#define MOTE_TURN_START "<|im_start|>"
#define MOTE_TURN_END "<|im_end|>"

/* What a tokenizer is made of, in the form of the GGUF keys. Strings are not NUL-terminated. */
typedef struct {
    const char *bytes;
    size_t size;
} mote_string;

typedef struct {
    mote_string model; /* tokenizer.ggml.model: "gpt2" for byte, char, bpe (their tokens in GPT-2's byte-to-unicode form
                          and merges, so that other programs read them), "mote.word" for word */
    mote_string kind;  /* mote.tokenizer.kind: "byte", "char", "word", "bpe"; empty in files of others */
    mote_string pre;   /* tokenizer.ggml.pre: "gpt-2" */
    const mote_string *tokens;
    const int32_t *types; /* NULL: all normal */
    size_t n_tokens;
    const mote_string *merges; /* "a b", in GPT-2's form */
    size_t n_merges;
    int32_t end, unknown; /* -1: none */
} mote_tokenizer_parts;

/* Checks everything (ids in range, no duplicate tokens, every merge's halves joined to something the vocabulary or a
 * later merge knows, UTF-8, byte-to-unicode form valid) and builds. `name` is the file, for messages. */
mote_status mote_tokenizer_from_parts(const mote_tokenizer_parts *parts, const char *name, mote_tokenizer **tokenizer,
                                      mote_error *error);
/* The parts of a tokenizer; everything they point to lives in `arena`. */
mote_status mote_tokenizer_to_parts(const mote_tokenizer *tokenizer, mote_arena *arena, mote_tokenizer_parts *parts,
                                    mote_error *error);
mote_status mote_tokenizer_copy(const mote_tokenizer *tokenizer, mote_tokenizer **copy, mote_error *error);

#endif
