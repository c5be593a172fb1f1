/* The three classes of characters that GPT-2's pre-tokenizer tells apart, and the rest. */
#ifndef MOTE_TEXT_CHAR_KINDS_H
#define MOTE_TEXT_CHAR_KINDS_H

#include <stdint.h>

typedef enum { MOTE_CHAR_OTHER, MOTE_CHAR_LETTER, MOTE_CHAR_NUMBER, MOTE_CHAR_SPACE } mote_char_kind;

mote_char_kind mote_char_kind_of(uint32_t point);

#endif
