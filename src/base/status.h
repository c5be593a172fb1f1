/* The two ends of a public call: options structs are read with mote_options_read, and every failing function ends in
 * `return mote_fail(error, ...)`. */
#ifndef MOTE_BASE_STATUS_H
#define MOTE_BASE_STATUS_H

#include "mote/mote.h"

/* Fills *error (may be NULL) with the formatted sentence, clears its hint, and returns status. */
mote_status mote_fail(mote_error *error, mote_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));
/* Adds what to do next; returns error->status, or `status` where error is NULL. */
mote_status mote_hint(mote_error *error, mote_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));
/* MOTE_MEMORY with "out of memory: <what> needs <bytes> bytes". */
mote_status mote_fail_memory(mote_error *error, const char *what, size_t bytes) __attribute__((cold));
/* A name for a sentence: one of `size` bytes or more is cut in its middle, between characters, so that the beginning,
 * the file's own name and what stands behind it are read; a shorter one is returned itself. size: at least 16. */
const char *mote_short_path(const char *path, char *out, size_t size);
/* status with "<what> <path>: <strerror(errno)>", the path cut where that would be too long. */
mote_status mote_fail_path(mote_error *error, mote_status status, const char *what, const char *path)
    __attribute__((cold));
/* The same as MOTE_IO, with a hint for a full disk. */
mote_status mote_fail_io(mote_error *error, const char *what, const char *path) __attribute__((cold));

/* Lays what the caller's options struct holds over the defaults in `options`; a caller compiled against an older header
 * has a shorter struct, one against a newer header a longer one. False: struct_bytes was never set. */
bool mote_options_read(void *options, size_t bytes, const void *given);

#endif
