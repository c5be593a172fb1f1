/* What people and pipes see: data goes to standard output through out_*, everything else to standard error. */
#ifndef MOTE_CLI_CONSOLE_H
#define MOTE_CLI_CONSOLE_H

#include "base/buffer.h"
#include "mote/mote.h"

/* Standard output. A reader that went away ends the process at once and quietly, with 128 + SIGPIPE; any other failure
 * is kept and reported by out_finish. */
void out_write(const char *bytes, size_t n);
void out_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void out_flush(void);
mote_status out_finish(mote_error *error);
bool out_color(void); /* standard output is a terminal that may be coloured */
/* Prints what the buffer holds and frees it. */
mote_status out_buffer(mote_buffer *buffer, mote_error *error);

/* Standard error; note() is silent after console_quiet(true). */
void console_quiet(bool quiet);
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Says why a part of a measured peak is printed that is more than 100 %; silent below. */
void note_past_peak(double percent);
void print_error(const mote_error *error);
bool console_is_terminal(void); /* of standard error */
bool console_color(void);       /* a terminal, and neither NO_COLOR nor TERM=dumb */
int console_width(void);

/* One word of a shell: bare where that is safe, else in quotes. A path never begins with a dash. */
void shell_word(mote_buffer *out, const char *word);
void shell_path(mote_buffer *out, const char *path);
/* "command PATH" for a hint, in a place that the next call takes again; NULL: it would be cut, or cannot be shown. */
const char *shell_command(const char *command, const char *path);

/* "s", or "" after one. */
const char *plural(uint64_t count);
/* "12.3 MB", "1.24 M", "1 h 02 min"; 24 bytes always suffice. */
enum { SHORT_TEXT = 24 };
const char *text_bytes(double bytes, char out[SHORT_TEXT]);
const char *text_count(double count, char out[SHORT_TEXT]);
const char *text_seconds(double seconds, char out[SHORT_TEXT]);

/* A whole file or, where path is NULL, standard input; NUL-terminated, freed by the caller with free(). */
mote_status read_whole(const char *path, char **bytes, size_t *n, mote_error *error);
double now_seconds(void);               /* monotonic */
uint64_t memory_available_bytes(void);  /* 0: not known */
uint64_t memory_total_bytes(void);      /* 0: not known */

#endif
