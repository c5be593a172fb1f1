/* Errors inside the library: every failing function ends in `return mote_fail(error, ...)`. */
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
/* MOTE_IO with "<what> <path>: <strerror(errno)>". */
mote_status mote_fail_io(mote_error *error, const char *what, const char *path) __attribute__((cold));

#endif
