/* A program built where PCRE2 or utf8proc is missing: the hooks stay unset. */
#include "libraries.h"

#include <mote/mote.h>

void text_libraries_use(void) { mote_text_use(NULL); }
const char *text_libraries_name(void) { return ""; }
