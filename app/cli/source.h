/* Opening the model a command works on, of any form, with the tokenizer and the adapters that its options name. */
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
/* Refuses an output that is the same file or folder as the input, links followed; `what` the input is. */
mote_status source_spare(const char *input, const char *output, const char *what, mote_error *error);
/* The ending of a name that promises a form in which no model is written, ".txt" for one; NULL: none. */
const char *source_foreign_ending(const char *path);

#endif
