/* Patterns of tokenizers, which are written for Oniguruma with Ruby's syntax, rewritten for PCRE2. */
#ifndef MOTE_APP_PATTERN_H
#define MOTE_APP_PATTERN_H

#include "base/buffer.h"

/* Appends to *out a pattern that PCRE2 (UTF, UCP, MULTILINE) matches as Oniguruma matches `pattern`. What has no
 * counterpart is refused: MOTE_BAD_FILE with the place in *error. */
mote_status pattern_translate(const char *pattern, size_t bytes, mote_buffer *out, mote_error *error);

#endif
