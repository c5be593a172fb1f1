/* mote's own word and char tokenizers in tokenizer.json: BPE without merges, over GPT-2's pieces that stand for
 * themselves where the vocabulary has them, or over characters. */
#ifndef MOTE_FORMATS_OWN_KINDS_H
#define MOTE_FORMATS_OWN_KINDS_H

#include "formats/json_tree.h"
#include "text/pipeline.h"

/* What GPT-2 splits text with (its encoder.py). */
#define MOTE_GPT2_PATTERN "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/* Where parts of the model "mote.bpe" work as a word or char tokenizer does, makes them the parts of one. */
mote_status mote_own_kind_parts(mote_tree *tree, mote_tokenizer_parts *parts);

#endif
