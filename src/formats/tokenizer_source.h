/* A tokenizer.json between reading and building: what was found in it. */
#ifndef MOTE_FORMATS_TOKENIZER_SOURCE_H
#define MOTE_FORMATS_TOKENIZER_SOURCE_H

#include "formats/tokenizer_json.h"
#include "formats/tokenizer_steps.h"

typedef struct {
    mote_string piece;
    int32_t id;
} mote_vocab_entry;

typedef struct {
    mote_string content;
    int32_t id;
    uint8_t bits; /* MOTE_ADDED_ */
    bool special;
} mote_added_token;

typedef struct {
    mote_tree tree;
    mote_value *root, *model; /* what is small of them */
    mote_step_list normalizers, pretokenizers, decoders, steps;
    mote_surround surround;
    mote_vocab_entry *vocab;
    float *scores; /* of a list: Unigram */
    size_t n_vocab, vocab_capacity, scores_capacity;
    bool has_vocab, has_merges, vocab_is_list;
    mote_string *merges; /* "a b" */
    uint32_t *merge_splits;
    size_t n_merges, merges_capacity, splits_capacity;
    bool halves_with_spaces;
    mote_buffer joined;
    mote_added_token *added;
    size_t n_added, added_capacity;
    /* by id */
    mote_string *tokens;
    int32_t *types;
    uint8_t *bits;
    float *token_scores;
    size_t n_tokens;
} mote_token_source;

/* For messages: at most 40 bytes of a string of the file. */
#define MOTE_SHOWN(string) (string).size < 40 ? (int)(string).size : 40, (string).bytes

/* Places the tokens by their ids and fills the parts from the model and from what has a part of its own; the parts
 * point into the source. Failures are the tree's. */
void mote_token_source_build(mote_token_source *source, const mote_tokenizer_config *config,
                             mote_tokenizer_parts *parts, mote_pipeline *pipeline);

#endif
