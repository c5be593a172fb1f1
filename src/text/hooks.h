/* The hooks of mote_text_use as the tokenizers use them: what is missing is refused by name, with a hint. */
#ifndef MOTE_TEXT_HOOKS_H
#define MOTE_TEXT_HOOKS_H

#include "base/status.h"

const mote_text_hooks *mote_text_hooks_now(void); /* NULL: none */
/* MOTE_BAD_FILE: `name` needs `what` (a regular expression, a normal form), which is not here. */
mote_status mote_text_hooks_missing(mote_error *error, const char *name, const char *what);

#endif
