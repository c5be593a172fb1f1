/* What to do next, for errors that do not say it themselves. */
#ifndef MOTE_CLI_HINTS_H
#define MOTE_CLI_HINTS_H

#include "command.h"

/* Fills error->hint where it is empty and something useful is known: the nearest name of a file that is not there, else
 * what fits the kind of error. `words` are those after the command's name. */
void hint_complete(const struct command *command, int n_words, char *const *words, mote_error *error);

#endif
