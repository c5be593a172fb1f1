/* Hugging Face's tokenizer.json and tokenizer_config.json, both ways. Read by their structure: what is not understood
 * is refused by its JSON path, for a step left out would give other ids without a word. */
#ifndef MOTE_FORMATS_TOKENIZER_JSON_H
#define MOTE_FORMATS_TOKENIZER_JSON_H

#include "base/buffer.h"
#include "text/tokenizer.h"

/* What tokenizer_config.json says beside tokenizer.json. Strings lie in the arena it was read with, or are empty. */
typedef struct {
    mote_string begin, end, unknown, padding; /* contents of bos_token, eos_token, unk_token, pad_token */
    int adds_begin, adds_end;                 /* add_bos_token, add_eos_token; -1: not said */
    mote_string chat_template;                /* the default one; empty: none */
    int64_t most_tokens;                      /* model_max_length; 0: none */
} mote_tokenizer_config;

mote_tokenizer_config mote_tokenizer_config_none(void);
mote_status mote_tokenizer_config_read(const uint8_t *bytes, size_t size, const char *name, mote_arena *arena,
                                       mote_tokenizer_config *config, mote_error *error);

/* Models BPE, Unigram and WordPiece. The begin and end tokens are those of the post_processor, else of `config` (NULL:
 * none given), else the special token with a name that is usual for them. Needs at most twice the size of the
 * file beside what the tokenizer itself takes. */
mote_status mote_tokenizer_json_read_with(const uint8_t *bytes, size_t size, const char *name,
                                          const mote_tokenizer_config *config, mote_tokenizer **tokenizer,
                                          mote_error *error);
mote_status mote_tokenizer_json_read(const uint8_t *bytes, size_t size, const char *name, mote_tokenizer **tokenizer,
                                     mote_error *error);

/* The tokenizer in a form from which Hugging Face's library gives the same ids. */
mote_status mote_tokenizer_json_write(const mote_tokenizer *tokenizer, mote_buffer *out, mote_error *error);
/* tokenizer_config.json for it; chat_template may be NULL, context 0: not known. */
mote_status mote_tokenizer_config_write(const mote_tokenizer *tokenizer, const char *chat_template, int context,
                                        mote_buffer *out, mote_error *error);

#endif
