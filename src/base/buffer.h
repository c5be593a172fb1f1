/* A growing string: everything that is printed is first built here. After an allocation fails it stays failed, so that
 * only the end needs a check. */
#ifndef MOTE_BASE_BUFFER_H
#define MOTE_BASE_BUFFER_H

#include "base/strings.h"
#include "base/status.h"
#include "base/utf8.h"

typedef struct {
    char *bytes; /* NUL-terminated when not NULL */
    size_t size, capacity;
    bool failed;
} mote_buffer;

static inline mote_string mote_buffer_string(const mote_buffer *buffer) {
    return (mote_string){buffer->bytes, buffer->size};
}
void mote_buffer_append(mote_buffer *buffer, const void *bytes, size_t n);
void mote_buffer_print(mote_buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string with quotes; bytes that are not UTF-8 become U+FFFD. */
void mote_buffer_json_string(mote_buffer *buffer, const char *bytes, size_t n);
/* A JSON number with the digits a double (9 significant: enough for float) needs; null when not finite. */
void mote_buffer_json_number(mote_buffer *buffer, double value);
void mote_buffer_deinit(mote_buffer *buffer);
/* Hands the string over in *text, or reports that memory ran out. */
mote_status mote_buffer_finish(mote_buffer *buffer, char **text, mote_error *error);

#endif
