/* A growing string. Invariant: after any append that did not fail, bytes[size] is NUL. mote_buffer_json_number writes
 * '.' whatever the locale of the process; mote_buffer_print formats as printf does, so no fraction for JSON goes
 * through it. */
#include "base/buffer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Room for n more bytes and the NUL. */
static bool reserve(mote_buffer *buffer, size_t n) {
    size_t needed;
    if (buffer->failed) return false;
    void *grown = buffer->bytes;
    bool ok = mote_add(buffer->size, n, &needed) && mote_add(needed, 1, &needed) &&
              mote_grow(&grown, &buffer->capacity, needed < 64 ? 64 : needed, 1);
    if (ok) buffer->bytes = grown;
    else buffer->failed = true;
    return ok;
}

void mote_buffer_append(mote_buffer *buffer, const void *bytes, size_t n) {
    if (!reserve(buffer, n)) return;
    if (n) memcpy(buffer->bytes + buffer->size, bytes, n);
    buffer->size += n;
    buffer->bytes[buffer->size] = '\0';
}

void mote_buffer_print(mote_buffer *buffer, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    if (reserve(buffer, 0)) {
        size_t room = buffer->capacity - buffer->size;
        int length = vsnprintf(buffer->bytes + buffer->size, room, format, arguments);
        if (length < 0) {
            buffer->bytes[buffer->size] = '\0';
            buffer->failed = true;
        } else {
            if ((size_t)length >= room) {
                buffer->bytes[buffer->size] = '\0';
                if (reserve(buffer, (size_t)length))
                    vsnprintf(buffer->bytes + buffer->size, (size_t)length + 1, format, again);
            }
            if (!buffer->failed) buffer->size += (size_t)length;
        }
    }
    va_end(again);
    va_end(arguments);
}

static void append_escape(mote_buffer *buffer, unsigned char c) {
    static const char letters[] = "\b\f\n\r\t\"\\", names[] = "bfnrt\"\\";
    const char *found = c ? strchr(letters, c) : NULL;
    if (found) mote_buffer_append(buffer, (char[]){'\\', names[found - letters]}, 2);
    else mote_buffer_print(buffer, "\\u%04x", c);
}

void mote_buffer_json_string(mote_buffer *buffer, const char *bytes, size_t n) {
    mote_buffer_append(buffer, "\"", 1);
    size_t run = 0; /* start of what needs no change */
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)bytes[i];
        int length = c < 0x80 ? 1 : mote_utf8_length(bytes + i, n - i);
        if (c >= 0x20 && c != '"' && c != '\\' && length > 0) {
            i += (size_t)length;
            continue;
        }
        if (i > run) mote_buffer_append(buffer, bytes + run, i - run);
        if (length == 0) mote_buffer_append(buffer, "\xef\xbf\xbd", 3);
        else append_escape(buffer, c);
        run = ++i;
    }
    if (n > run) mote_buffer_append(buffer, bytes + run, n - run);
    mote_buffer_append(buffer, "\"", 1);
}

void mote_buffer_json_number(mote_buffer *buffer, double value) {
    char text[40];
    if (!isfinite(value)) {
        mote_buffer_append(buffer, "null", 4);
        return;
    }
    if (fabs(value) < 0x1p53 && value == trunc(value) && !(value == 0 && signbit(value))) {
        mote_buffer_print(buffer, "%lld", (long long)value);
        return;
    }
    /* What is a float gets the fewest digits that give the float back: 0.1 for 0.1f, not 0.100000001. */
    bool is_float = fabs(value) <= 0x1.fffffep127 && (double)(float)value == value;
    for (int digits = is_float ? 1 : 9; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (is_float && strtof(text, NULL) == (float)value) break;
    }
    size_t n = 0;
    for (const char *p = text; *p; p++) {
        bool plain = (*p >= '0' && *p <= '9') || *p == 'e' || *p == '-' || *p == '+';
        if (plain) text[n++] = *p;
        else if (n == 0 || text[n - 1] != '.') text[n++] = '.';
    }
    mote_buffer_append(buffer, text, n);
}

void mote_buffer_deinit(mote_buffer *buffer) {
    mote_release(buffer->bytes);
    *buffer = (mote_buffer){0};
}

mote_status mote_buffer_finish(mote_buffer *buffer, char **text, mote_error *error) {
    *text = NULL;
    mote_buffer_append(buffer, "", 0);
    if (buffer->failed) {
        size_t bytes = buffer->capacity;
        mote_buffer_deinit(buffer);
        return mote_fail_memory(error, "a text longer than this", bytes);
    }
    *text = buffer->bytes;
    *buffer = (mote_buffer){0};
    return MOTE_OK;
}
