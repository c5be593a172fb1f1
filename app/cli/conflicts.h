/* Options that contradict each other or are in vain. */
#ifndef MOTE_CLI_CONFLICTS_H
#define MOTE_CLI_CONFLICTS_H

#include "command.h"

/* After the command line and config files are read, before anything is chosen: refuses what contradicts and warns of
 * what cannot have an effect. */
mote_status conflicts_check(const struct command *command, int n_texts, mote_error *error);

#endif
