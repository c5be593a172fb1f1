/* Training that begins with a finished model: mote train --from and mote plan --from. */
#ifndef MOTE_CLI_FINE_TUNE_H
#define MOTE_CLI_FINE_TUNE_H

#include "prepare.h"

/* Whether this run begins, or began, with a finished model. */
bool fine_tune_asked(void);
/* Refuses options that go with --from where there is none, and an output (NULL: none) that it reads. */
mote_status fine_tune_check(const char *output, mote_error *error);
/* Reads the config.json of a run that goes on. What of --from and its options was typed must be what stands there. */
mote_status fine_tune_resume(const char *config, mote_error *error);
/* Opens the model into prepared->source: `saved`, the model of the run that goes on, or where that is NULL --from.
 * What the options say of shape and tokenizer must be true of it; a shorter --context is given to it. Without
 * `reads_text` it may hold no tokenizer. */
mote_status fine_tune_open(const char *saved, bool reads_text, struct prepared *prepared, mote_error *error);

#endif
