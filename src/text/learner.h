/* Learning a vocabulary from text that comes in parts, each a document or a part of one. Only distinct pieces and their
 * counts are kept, so memory follows the variety of the text and not its length. */
#ifndef MOTE_TEXT_LEARNER_H
#define MOTE_TEXT_LEARNER_H

#include "text/tokenizer_core.h"

typedef struct {
    mote_tokenizer_kind kind;
    int vocab_limit;
    bool messages;          /* the vocabulary has the control tokens of turns */
    mote_string_set pieces; /* word, bpe: of the pre-tokenizer, each cut to MOTE_LEARN_BYTES */
    int64_t *counts;        /* [pieces.n] */
    size_t counts_capacity;
    uint8_t *seen; /* char: a bit for each code point */
} mote_learner;

/* Longer pieces are counted in parts of this many bytes: it bounds the work of a merge in one piece. */
enum { MOTE_LEARN_BYTES = 256 };

mote_status mote_learner_init(mote_learner *learner, mote_tokenizer_kind kind, int vocab_limit, bool messages,
                              mote_error *error);
mote_status mote_learner_add(mote_learner *learner, const char *text, size_t bytes, mote_error *error);
mote_status mote_learner_finish(const mote_learner *learner, mote_tokenizer **tokenizer, mote_error *error);
void mote_learner_deinit(mote_learner *learner);

/* Add tokens and merges to a tokenizer that has its special tokens. */
mote_status mote_bpe_learn(const mote_learner *learner, mote_tokenizer *tokenizer, mote_error *error);
mote_status mote_word_learn(const mote_learner *learner, mote_tokenizer *tokenizer, mote_error *error);

#endif
