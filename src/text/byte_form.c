/* Bytes as printable characters, both ways. */
#include "text/byte_form.h"


static bool is_printable(int byte) {
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

void mote_byte_form_init(mote_byte_form *form) {
    for (int i = 0; i < MOTE_BYTE_POINTS; i++) form->byte[i] = -1;
    for (int i = 0, next = 256; i < 256; i++) {
        form->point[i] = (uint16_t)(is_printable(i) ? i : next++);
        form->byte[form->point[i]] = (int16_t)i;
    }
}

bool mote_byte_form_read(const mote_byte_form *form, const char *text, size_t n, mote_buffer *bytes) {
    for (size_t at = 0; at < n;) {
        uint32_t point;
        int length = mote_utf8_decode(text + at, n - at, &point);
        if (length == 0 || point >= MOTE_BYTE_POINTS || form->byte[point] < 0) return false;
        char byte = (char)form->byte[point];
        mote_buffer_append(bytes, &byte, 1);
        at += (size_t)length;
    }
    return true;
}

void mote_byte_form_write(const mote_byte_form *form, const char *bytes, size_t n, mote_buffer *text) {
    char out[4];
    for (size_t i = 0; i < n; i++)
        mote_buffer_append(text, out, (size_t)mote_utf8_encode(form->point[(unsigned char)bytes[i]], out));
}
