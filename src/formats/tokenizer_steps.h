/* The nodes of tokenizer.json as steps of a pipeline, both ways. */
#ifndef MOTE_FORMATS_TOKENIZER_STEPS_H
#define MOTE_FORMATS_TOKENIZER_STEPS_H

#include "formats/json_tree.h"
#include "text/pipeline.h"


typedef struct {
    mote_step steps[MOTE_MOST_STEPS];
    size_t n;
} mote_step_list;

/* Appends the steps of a normalizer, pre_tokenizer or decoder; null has none. Failures are the tree's. */
void mote_steps_read(mote_tree *tree, const mote_value *node, mote_stage stage, mote_step_list *list);
/* Writes the steps of one stage as such a value: null, one node, or a Sequence. False: a step that Hugging Face's
 * library does not have, *lacks names it. */
bool mote_steps_write(const mote_step *steps, size_t n, mote_stage stage, mote_buffer *out, const char **lacks);

/* What a post_processor adds to a text. */
typedef struct {
    bool seen;          /* it adds something */
    int64_t begin, end; /* ids; -1: none */
} mote_surround;
void mote_surround_read(mote_tree *tree, const mote_value *node, mote_surround *surround);

#endif
