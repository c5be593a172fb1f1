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

#endif
