/* What texts of others' tokenizers need and the library leaves to its caller: regular expressions by PCRE2, normal
 * forms and categories of Unicode by utf8proc. The build links them where they are installed. */
#ifndef MOTE_APP_LIBRARIES_H
#define MOTE_APP_LIBRARIES_H

/* Hands both to the library (mote_text_use); without them it refuses such tokenizers and says what to install. Call
 * before the first tokenizer is opened. */
void text_libraries_use(void);
/* "PCRE2 10.42, utf8proc 2.8.0"; "" where the program was built without them. */
const char *text_libraries_name(void);

#endif
