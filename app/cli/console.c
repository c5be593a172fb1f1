/* Terminal and pipe handling, and the short forms in which people read numbers. SIGPIPE is ignored for the process, so
 * a closed standard error never ends a training run; a closed standard output ends the command as the signal would. */
#include "console.h"

#include <errno.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static bool is_quiet;
static int out_errno; /* first failure of standard output */

static void out_failed(void) {
    if (errno == EPIPE) _exit(128 + SIGPIPE);
    if (!out_errno) out_errno = errno ? errno : EIO;
    clearerr(stdout);
}

void out_write(const char *bytes, size_t n) {
    if (out_errno) return;
    errno = 0;
    if (fwrite(bytes, 1, n, stdout) != n) out_failed();
}

void out_print(const char *format, ...) {
    if (out_errno) return;
    va_list arguments;
    va_start(arguments, format);
    errno = 0;
    if (vfprintf(stdout, format, arguments) < 0) out_failed();
    va_end(arguments);
}

void out_flush(void) {
    if (out_errno) return;
    errno = 0;
    if (fflush(stdout)) out_failed();
}

mote_status out_finish(mote_error *error) {
    out_flush();
    if (!out_errno) return MOTE_OK;
    return mote_fail(error, MOTE_IO, "cannot write to standard output: %s", strerror(out_errno));
}

mote_status out_buffer(mote_buffer *buffer, mote_error *error) {
    char *text;
    size_t size = buffer->size;
    mote_status status = mote_buffer_finish(buffer, &text, error);
    if (status) return status;
    out_write(text, size);
    mote_free(text);
    return MOTE_OK;
}

void console_quiet(bool quiet) { is_quiet = quiet; }
bool console_is_terminal(void) { return isatty(STDERR_FILENO); }

static bool wants_color(int file) {
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(file) && !(none && *none) && !(term && !strcmp(term, "dumb"));
}
bool console_color(void) { return wants_color(STDERR_FILENO); }
bool out_color(void) { return wants_color(STDOUT_FILENO); }

int console_width(void) {
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col == 0) return 80;
    return size.ws_col;
}

/* What is already printed goes out first: where both streams are one pipe, a message would land inside a table. */
static void say(const char *label, const char *color, const char *format, va_list arguments) {
    out_flush();
    if (label && console_color()) fprintf(stderr, "\033[1;%sm%s:\033[0m ", color, label);
    else if (label) fprintf(stderr, "%s: ", label);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void note(const char *format, ...) {
    if (is_quiet) return;
    va_list arguments;
    va_start(arguments, format);
    say(NULL, NULL, format, arguments);
    va_end(arguments);
}

void warn(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say("warning", "33", format, arguments);
    va_end(arguments);
}

static void __attribute__((format(printf, 3, 4)))
say_labelled(const char *label, const char *color, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(label, color, format, arguments);
    va_end(arguments);
}

void note_past_peak(double percent) {
    if (percent < 100.5) return; /* printed as 100 */
    note("note       %.0f %% of a peak: this machine was busier while the peak was measured than later; measure again "
         "when it is quiet", percent);
}

void print_error(const mote_error *error) {
    const bool ended = error->status == MOTE_INTERRUPTED;
    say_labelled(ended ? "interrupted" : "error", ended ? "33" : "31", "%s",
                 error->message[0] ? error->message : mote_status_text(error->status));
    if (error->hint[0]) say_labelled("hint", "36", "%s", error->hint);
}

void shell_word(mote_buffer *out, const char *word) {
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+:,@%=";
    if (*word && !word[strspn(word, safe)]) {
        mote_buffer_print(out, "%s", word);
    } else if (!word[strcspn(word, "\"$`\\!")]) {
        mote_buffer_print(out, "\"%s\"", word);
    } else {
        mote_buffer_print(out, "'");
        for (; *word; word++) mote_buffer_print(out, *word == '\'' ? "'\\''" : "%c", *word);
        mote_buffer_print(out, "'");
    }
}

void shell_path(mote_buffer *out, const char *path) {
    mote_buffer name = {0};
    mote_buffer_print(&name, "%s%s", *path == '-' ? "./" : "", path);
    if (name.failed) out->failed = true;
    else shell_word(out, name.bytes);
    mote_buffer_deinit(&name);
}

const char *shell_command(const char *command, const char *path) {
    static char text[200]; /* of a hint's 256 */
    mote_buffer word = {0};
    for (const char *at = path; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f) return NULL;
    shell_path(&word, path);
    const bool fits = !word.failed && snprintf(text, sizeof text, "%s %s", command, word.bytes) < (int)sizeof text;
    mote_buffer_deinit(&word);
    return fits ? text : NULL;
}

const char *plural(uint64_t count) { return count == 1 ? "" : "s"; }

const char *text_bytes(double bytes, char out[SHORT_TEXT]) {
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    int unit = 0;
    while (bytes >= 999.5 && unit < 4) bytes /= 1000, unit++;
    snprintf(out, SHORT_TEXT, unit && bytes < 99.95 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return out;
}

const char *text_count(double count, char out[SHORT_TEXT]) {
    static const char *const units[] = {"", " k", " M", " G", " T"};
    int unit = 0;
    while (count >= 9999.5 && unit < 4) count /= 1000, unit++;
    int digits = !unit || count >= 999.5 ? 0 : count >= 99.95 ? 1 : 2;
    snprintf(out, SHORT_TEXT, "%.*f%s", digits, count, units[unit]);
    return out;
}

const char *text_seconds(double seconds, char out[SHORT_TEXT]) {
    if (!(seconds >= 0) || seconds > 3.15e9) snprintf(out, SHORT_TEXT, "?");
    else if (seconds < 9.95) snprintf(out, SHORT_TEXT, "%.1f s", seconds);
    else if (seconds < 59.5) snprintf(out, SHORT_TEXT, "%.0f s", seconds);
    else if (seconds < 3570) snprintf(out, SHORT_TEXT, "%d min %02d s", (int)(seconds / 60), (int)seconds % 60);
    else if (seconds < 172800)
        snprintf(out, SHORT_TEXT, "%d h %02d min", (int)((seconds + 30) / 3600), (int)((seconds + 30) / 60) % 60);
    else snprintf(out, SHORT_TEXT, "%.1f days", seconds / 86400);
    return out;
}

mote_status read_whole(const char *path, char **bytes, size_t *n, mote_error *error) {
    const char *name = path ? path : "standard input";
    FILE *file = path ? fopen(path, "rb") : stdin;
    struct stat info;
    if (!file) return mote_fail_path(error, MOTE_BAD_FILE, "cannot open", name);
    if (path && !fstat(fileno(file), &info) && S_ISDIR(info.st_mode)) {
        fclose(file);
        mote_fail(error, MOTE_BAD_FILE, "%s is a folder, where a file is needed", path);
        const char *list = shell_command("ls", path);
        return mote_hint(error, MOTE_BAD_FILE, "name a file in it%s%s", list ? ": " : "", list ? list : "");
    }
    size_t capacity = 1 << 16;
    char *text = malloc(capacity + 1);
    mote_status status = MOTE_OK;
    *n = 0;
    while (text) {
        size_t got = fread(text + *n, 1, capacity - *n, file);
        *n += got;
        if (*n < capacity) break;
        char *larger = capacity < (size_t)1 << 40 ? realloc(text, capacity * 2 + 1) : NULL;
        if (!larger) free(text);
        text = larger;
        capacity *= 2;
    }
    if (!text) status = mote_fail(error, MOTE_MEMORY, "%s does not fit in memory", name);
    else if (ferror(file)) status = mote_fail_io(error, "cannot read", name);
    if (path) fclose(file);
    if (status) {
        free(text);
        return status;
    }
    text[*n] = 0;
    *bytes = text;
    return MOTE_OK;
}

double now_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static uint64_t meminfo(const char *key) {
    FILE *file = fopen("/proc/meminfo", "r");
    if (!file) return 0;
    char line[128];
    unsigned long long kilobytes = 0;
    size_t length = strlen(key);
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, key, length) && line[length] == ':') {
            kilobytes = strtoull(line + length + 1, NULL, 10);
            break;
        }
    fclose(file);
    return (uint64_t)kilobytes * 1024;
}

uint64_t memory_available_bytes(void) { return meminfo("MemAvailable"); }
uint64_t memory_total_bytes(void) { return meminfo("MemTotal"); }
