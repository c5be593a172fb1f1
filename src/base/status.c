/* Options structs and error sentences. The sentences are formatted into a local array first, so that a caller may wrap
 * error->message into its own sentence, and are cut between characters, so that what is shown or written as JSON stays
 * UTF-8. */
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void __attribute__((format(printf, 3, 0))) format_sentence(char *out, size_t size, const char *format,
                                                                  va_list arguments) {
    char text[sizeof(((mote_error *)0)->message) + 4]; /* shows whether the cut is within a character */
    int length = vsnprintf(text, sizeof text, format, arguments);
    size_t n = length < 0 ? 0 : (size_t)length;
    if (n >= size) {
        n = size - 1;
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80) n--;
    }
    for (size_t i = 0; i < n; i++) /* a name from a file must not command the terminal */
        out[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i];
    out[n] = '\0';
}

mote_status mote_fail(mote_error *error, mote_status status, const char *format, ...) {
    if (!error) return status;
    va_list arguments;
    va_start(arguments, format);
    format_sentence(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    error->status = status;
    error->hint[0] = '\0';
    return status;
}

mote_status mote_hint(mote_error *error, mote_status status, const char *format, ...) {
    if (!error) return status;
    va_list arguments;
    va_start(arguments, format);
    format_sentence(error->hint, sizeof error->hint, format, arguments);
    va_end(arguments);
    return error->status;
}

mote_status mote_fail_memory(mote_error *error, const char *what, size_t bytes) {
    return mote_fail(error, MOTE_MEMORY, "out of memory: %s needs %zu bytes", what, bytes);
}

const char *mote_short_path(const char *path, char *out, size_t size) {
    static const char gap[] = "...";
    const size_t n = strlen(path), room = size - sizeof gap;
    if (n < size) return path;
    size_t head = room / 3, tail = n - (room - head);
    while (head > 0 && ((unsigned char)path[head] & 0xc0) == 0x80) head--;
    while (((unsigned char)path[tail] & 0xc0) == 0x80) tail++;
    snprintf(out, size, "%.*s%s%s", (int)head, path, gap, path + tail);
    return out;
}

mote_status mote_fail_path(mote_error *error, mote_status status, const char *what, const char *path) {
    char name[320]; /* of 512: the longest reason takes 50, and what was done as much */
    const char *reason = strerror(errno);
    const bool empty = !*path;
    mote_fail(error, status, "%s %s: %s", what, empty ? "\"\"" : mote_short_path(path, name, sizeof name), reason);
    if (empty) mote_hint(error, status, "the name is empty: a variable of the shell may have no value");
    return status;
}

mote_status mote_fail_io(mote_error *error, const char *what, const char *path) {
    int code = errno;
    mote_fail_path(error, MOTE_IO, what, path);
    if (code == ENOSPC || code == EDQUOT) mote_hint(error, MOTE_IO, "free some space there or use another folder");
    return MOTE_IO;
}

const char *mote_status_text(mote_status status) {
    switch (status) {
#define X(name, code, text)                                                                                            \
    case MOTE_##name: return text;
        MOTE_STATUS_LIST(X)
#undef X
    }
    return "unknown status";
}

bool mote_options_read(void *options, size_t bytes, const void *given) {
    if (!given) return true;
    size_t given_bytes;
    memcpy(&given_bytes, given, sizeof given_bytes);
    if (given_bytes < sizeof given_bytes) return false;
    memcpy(options, given, given_bytes < bytes ? given_bytes : bytes);
    memcpy(options, &bytes, sizeof bytes);
    return true;
}

const char *mote_version(void) { return MOTE_VERSION; }
