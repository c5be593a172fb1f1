/* The hooks by PCRE2 and utf8proc, in bounded time and memory: one match takes at most 20 million steps (a second or
 * two) and 64 MiB. The just-in-time compiler is used where it works, 3 to 10 times faster than the interpreter, which
 * takes over when its stack of 1 MiB is too small. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "libraries.h"

#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "pattern.h"

enum { STEPS = 20000000, HEAP_KIB = 64 << 10, JIT_STACK_BYTES = 1 << 20, PATTERN_NESTING = 250, PUT_BYTES = 4096 };

/* ---- regular expressions ---------------------------------------------------------------------------------------- */

/* What a match works in: the caller's scratch. */
typedef struct {
    pcre2_match_data *data;
    pcre2_match_context *limits;
    pcre2_jit_stack *stack; /* NULL: the code was not compiled for the processor */
} workspace;

static void workspace_release(void *context, void *scratch) {
    workspace *w = scratch;
    (void)context;
    if (!w) return;
    if (w->stack) pcre2_jit_stack_free(w->stack);
    pcre2_match_data_free(w->data);
    pcre2_match_context_free(w->limits);
    free(w);
}

static workspace *workspace_create(const pcre2_code *code) {
    workspace *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    size_t compiled = 0;
    w->data = pcre2_match_data_create(1, NULL);
    w->limits = pcre2_match_context_create(NULL);
    if (!w->data || !w->limits) {
        workspace_release(NULL, w);
        return NULL;
    }
    pcre2_set_match_limit(w->limits, STEPS);
    pcre2_set_depth_limit(w->limits, STEPS);
    pcre2_set_heap_limit(w->limits, HEAP_KIB);
    if (pcre2_pattern_info(code, PCRE2_INFO_JITSIZE, &compiled) == 0 && compiled > 0)
        w->stack = pcre2_jit_stack_create(32 << 10, JIT_STACK_BYTES, NULL);
    if (w->stack) pcre2_jit_stack_assign(w->limits, NULL, w->stack);
    return w;
}

static void *regex_compile(void *context, const char *pattern, size_t bytes, char problem[256]) {
    static const char no_memory[] = "out of memory";
    mote_buffer translated = {0};
    mote_error error;
    (void)context;
    snprintf(problem, 256, "%s", no_memory);
    pcre2_code *code = NULL;
    pcre2_compile_context *settings = pcre2_compile_context_create(NULL);
    if (pattern_translate(pattern, bytes, &translated, &error)) {
        snprintf(problem, 256, "%.255s", error.message);
    } else if (settings) {
        int number = 0;
        PCRE2_SIZE place = 0;
        uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
        pcre2_set_newline(settings, PCRE2_NEWLINE_LF);
        pcre2_set_parens_nest_limit(settings, PATTERN_NESTING);
        code = pcre2_compile((PCRE2_SPTR)(translated.bytes ? translated.bytes : ""), translated.size, options, &number,
                             &place, settings);
        if (code) pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* else the interpreter matches */
        else pcre2_get_error_message(number, (PCRE2_UCHAR *)problem, 256);
    }
    pcre2_compile_context_free(settings);
    mote_buffer_deinit(&translated);
    return code;
}

static void regex_release(void *context, void *regex) {
    (void)context;
    pcre2_code_free(regex);
}

static int regex_match(void *context, const void *regex, void **scratch, const char *text, size_t bytes, size_t from,
                       size_t *begin, size_t *end) {
    (void)context;
    if (!*scratch && !(*scratch = workspace_create(regex))) return -1;
    const workspace *w = *scratch;
    PCRE2_SPTR subject = (PCRE2_SPTR)text;
    int n = PCRE2_ERROR_JIT_STACKLIMIT;
    if (w->stack) n = pcre2_match(regex, subject, bytes, from, PCRE2_NO_UTF_CHECK, w->data, w->limits);
    if (n == PCRE2_ERROR_JIT_STACKLIMIT)
        n = pcre2_match(regex, subject, bytes, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, w->data, w->limits);
    if (n < 0) return n == PCRE2_ERROR_NOMATCH ? 0 : -1;
    const PCRE2_SIZE *found = pcre2_get_ovector_pointer(w->data);
    *begin = found[0];
    *end = found[1] < found[0] ? found[0] : found[1]; /* \K in a look-ahead puts the start behind the end */
    return 1;
}

/* ---- Unicode ---------------------------------------------------------------------------------------------------- */

/* ASCII is the same in every form. */
static bool is_ascii(const char *text, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)text[i] >= 0x80) return false;
    return true;
}

static bool put_points(const utf8proc_int32_t *points, utf8proc_ssize_t n,
                       bool (*put)(void *to, const char *text, size_t bytes), void *to) {
    utf8proc_uint8_t part[PUT_BYTES];
    utf8proc_ssize_t used = 0;
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        used += utf8proc_encode_char(points[i], part + used);
        if (used <= PUT_BYTES - 4 && i + 1 < n) continue;
        if (!put(to, (const char *)part, (size_t)used)) return false;
        used = 0;
    }
    return true;
}

static bool normalize(void *context, mote_text_form form, const char *text, size_t bytes,
                      bool (*put)(void *to, const char *text, size_t bytes), void *to) {
    static const utf8proc_option_t options[] = {
        [MOTE_FORM_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [MOTE_FORM_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [MOTE_FORM_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [MOTE_FORM_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    (void)context;
    if (is_ascii(text, bytes)) return put(to, text, bytes);
    const utf8proc_uint8_t *source = (const utf8proc_uint8_t *)text;
    utf8proc_option_t option = options[form];
    if (bytes > SIZE_MAX / 128) return false; /* a character becomes 18 of 4 bytes at most */
    utf8proc_ssize_t n = utf8proc_decompose(source, (utf8proc_ssize_t)bytes, NULL, 0, option);
    utf8proc_int32_t *points = n < 0 ? NULL : malloc(((size_t)n + 1) * sizeof *points);
    if (!points) return false;
    bool ok = utf8proc_decompose(source, (utf8proc_ssize_t)bytes, points, n, option) == n &&
              (n = utf8proc_normalize_utf32(points, n, option)) >= 0 && put_points(points, n, put, to);
    free(points);
    return ok;
}

static const char *category(void *context, uint32_t point, uint32_t *lower) {
    (void)context;
    *lower = (uint32_t)utf8proc_tolower((utf8proc_int32_t)point);
    return utf8proc_category_string((utf8proc_int32_t)point);
}

/* ---- both ------------------------------------------------------------------------------------------------------- */

void text_libraries_use(void) {
    mote_text_use(&(mote_text_hooks){.compile = regex_compile,
                                     .match = regex_match,
                                     .release_scratch = workspace_release,
                                     .release = regex_release,
                                     .normalize = normalize,
                                     .category = category});
}

const char *text_libraries_name(void) {
    static char name[80];
    PCRE2_UCHAR version[40] = "";
    pcre2_config(PCRE2_CONFIG_VERSION, version);
    snprintf(name, sizeof name, "PCRE2 %.*s, utf8proc %s", (int)strcspn((const char *)version, " "),
             (const char *)version, utf8proc_version());
    return name;
}
