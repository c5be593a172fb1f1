/* Opening what a command works on: a model of any form, with the tokenizer and the adapters that its options name, and
 * texts. What is given in the place of the other is named as what it is. */
#ifndef MOTE_CLI_SOURCE_H
#define MOTE_CLI_SOURCE_H

#include "command.h"

extern const struct option_group group_source;   /* --lora, --lora-scale */
extern const struct option_group group_source_text; /* and --tokenizer: commands that read or write text */
/* Training that begins with a model: --from, --tokenizer-file and the adapters. */
extern const struct option_group group_source_from;
extern const char *source_from; /* --from; NULL: not given */
mote_status source_open(const char *path, mote_model **model, mote_error *error);
bool source_has_adapters(void);
/* Refuses an output that is the tokenizer or an adapter of these options. */
mote_status source_spare(const char *output, mote_error *error);
/* Refuses a file or a folder that is a model; the hint is what to do with one. */
mote_status source_no_model(const char *path, const char *hint, mote_error *error);
/* Opens texts; says the hint where one of them is a model. */
mote_status source_texts(const char *const *paths, int n, const mote_corpus_options *options, const char *hint,
                         mote_corpus **corpus, mote_error *error);

#endif
