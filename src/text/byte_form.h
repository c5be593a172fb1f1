/* GPT-2's byte-to-unicode form, where each byte is a printable character: itself, or U+0100 and up for the 68 that are
 * not. */
#ifndef MOTE_TEXT_BYTE_FORM_H
#define MOTE_TEXT_BYTE_FORM_H

#include "base/buffer.h"

enum { MOTE_BYTE_POINTS = 256 + 68 };

typedef struct {
    uint16_t point[256];            /* of each byte */
    int16_t byte[MOTE_BYTE_POINTS]; /* of each point, or -1 */
} mote_byte_form;

void mote_byte_form_init(mote_byte_form *form);
/* Appends the bytes that `text` is the form of. False: it is none. Check buffer->failed at the end. */
bool mote_byte_form_read(const mote_byte_form *form, const char *text, size_t n, mote_buffer *bytes);
void mote_byte_form_write(const mote_byte_form *form, const char *bytes, size_t n, mote_buffer *text);

#endif
