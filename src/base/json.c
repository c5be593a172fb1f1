/* The JSON reader: a state machine over the text with a stack of one byte a level, so no recursion and no way to make
 * it slower than linear. Numbers go to strtod rewritten as digits and an exponent, without a point: the process' locale
 * cannot change them, and a number of a million digits costs a copy of at most 800, which is more than a double's exact
 * decision needs (768). */
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_LIMIT = 64, DIGITS_KEPT = 800 };
_Static_assert(DEPTH_LIMIT == sizeof(((mote_json *)0)->stack), "one byte a level");

/* What may come next. */
enum { WANT_VALUE, WANT_VALUE_OR_END, WANT_KEY, WANT_KEY_OR_END, AFTER_VALUE, AT_END, FAILED };
enum { IN_OBJECT, IN_ARRAY };

void mote_json_init(mote_json *reader, const char *text, size_t size) {
    *reader = (mote_json){.text = text, .size = size, .state = WANT_VALUE};
}

void mote_json_deinit(mote_json *reader) {
    mote_buffer_deinit(&reader->string);
    reader->state = FAILED;
    if (!reader->problem) reader->problem = "the reader is closed";
}

static mote_json_kind fail(mote_json *reader, const char *problem) {
    reader->problem = problem;
    reader->state = FAILED;
    return MOTE_JSON_ERROR;
}

/* The byte at the read position, or -1 at the end of the text. */
static int peek(const mote_json *reader) {
    return reader->at < reader->size ? (unsigned char)reader->text[reader->at] : -1;
}

static int peek_after_space(mote_json *reader) {
    int c;
    while ((c = peek(reader)) == ' ' || c == '\n' || c == '\r' || c == '\t') reader->at++;
    return c;
}

static bool is_digit(int c) { return c >= '0' && c <= '9'; }

/* ---- strings ---------------------------------------------------------------------------------------------------- */

/* Four hexadecimal digits at the read position, or -1. */
static int32_t read_hex(mote_json *reader) {
    int32_t value = 0;
    for (int i = 0; i < 4; i++, reader->at++) {
        int c = peek(reader), lower = c | 0x20;
        if (is_digit(c)) value = value * 16 + (c - '0');
        else if (c > 0 && lower >= 'a' && lower <= 'f') value = value * 16 + (lower - 'a' + 10);
        else return -1;
    }
    return value;
}

/* NULL, or what is wrong. Surrogates must come in pairs. */
static const char *read_code_point(mote_json *reader) {
    static const char bad[] = "\\u needs four hexadecimal digits", lone[] = "half of a surrogate pair";
    int32_t code = read_hex(reader);
    if (code < 0) return bad;
    if (code >= 0xdc00 && code <= 0xdfff) return lone;
    if (code >= 0xd800 && code <= 0xdbff) {
        if (reader->size - reader->at < 2 || memcmp(reader->text + reader->at, "\\u", 2) != 0) return lone;
        reader->at += 2;
        int32_t low = read_hex(reader);
        if (low < 0) return bad;
        if (low < 0xdc00 || low > 0xdfff) return lone;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    char bytes[4];
    mote_buffer_append(&reader->string, bytes, (size_t)mote_utf8_encode((uint32_t)code, bytes));
    return NULL;
}

static const char *read_escape(mote_json *reader) {
    static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    int c = peek(reader);
    if (c < 0) return "the text ends in a string";
    reader->at++;
    if (c == 'u') return read_code_point(reader);
    const char *found = c ? strchr(names, c) : NULL;
    if (!found) return "unknown escape in a string";
    mote_buffer_append(&reader->string, bytes + (found - names), 1);
    return NULL;
}

/* Reads from behind the opening quote to behind the closing one. */
static bool read_string(mote_json *reader) {
    reader->string.size = 0;
    mote_buffer_append(&reader->string, "", 0);
    const char *problem = NULL;
    for (size_t run = reader->at; !problem; run = reader->at) {
        int c = -1;
        while (reader->at < reader->size) {
            c = (unsigned char)reader->text[reader->at];
            if (c == '"' || c == '\\' || c < 0x20) break;
            int length = c < 0x80 ? 1 : mote_utf8_length(reader->text + reader->at, reader->size - reader->at);
            if (length == 0) break;
            reader->at += (size_t)length;
        }
        mote_buffer_append(&reader->string, reader->text + run, reader->at - run);
        if (reader->at >= reader->size) {
            problem = "the text ends in a string";
        } else if (c == '"') {
            reader->at++;
            break;
        } else if (c == '\\') {
            reader->at++;
            problem = read_escape(reader);
        } else {
            problem = c < 0x20 ? "a control character in a string must be escaped" : "a string is not UTF-8";
        }
    }
    if (!problem && reader->string.failed) problem = "out of memory";
    if (problem) fail(reader, problem);
    return !problem;
}

/* ---- numbers ---------------------------------------------------------------------------------------------------- */

/* A number as it is scanned: digits without point and leading zeros, times 10^scale. */
typedef struct {
    char text[DIGITS_KEPT + 32]; /* as strtod reads it; room for sign, sticky digit, exponent */
    int length, n_digits;
    int64_t scale;
    uint64_t magnitude; /* of an integer, while it fits */
    bool negative, fits;
} scanned;

static void take_digit(scanned *number, int digit, bool fraction) {
    if (fraction) number->scale--;
    if (__builtin_mul_overflow(number->magnitude, 10u, &number->magnitude) ||
        __builtin_add_overflow(number->magnitude, (unsigned)digit, &number->magnitude))
        number->fits = false;
    if (digit == 0 && number->n_digits == 0) return;
    number->n_digits += number->n_digits <= DIGITS_KEPT;
    if (number->n_digits <= DIGITS_KEPT) {
        number->text[number->length++] = (char)('0' + digit);
    } else {
        /* What is beyond only says whether the rest is zero. */
        if (digit) number->text[number->length - 1] |= 1;
        number->scale++;
    }
}

static mote_json_kind finish_number(mote_json *reader, scanned *number, bool whole) {
    static const char too_large[] = "a number does not fit a double";
    reader->number = 0;
    if (number->n_digits > 0) {
        int64_t scale = number->scale;
        scale = scale > 99999 ? 99999 : scale < -99999 ? -99999 : scale;
        snprintf(number->text + number->length, sizeof number->text - (size_t)number->length, "e%d", (int)scale);
        reader->number = strtod(number->text, NULL);
    }
    if (!isfinite(reader->number)) return fail(reader, too_large);
    if (number->negative) reader->number = -reader->number;
    uint64_t limit = (uint64_t)INT64_MAX + number->negative;
    reader->is_integer = whole && number->fits && number->magnitude <= limit;
    reader->integer = 0;
    if (reader->is_integer)
        reader->integer = (int64_t)(number->negative ? 0 - number->magnitude : number->magnitude);
    reader->state = reader->depth ? AFTER_VALUE : AT_END;
    return MOTE_JSON_NUMBER;
}

static mote_json_kind read_number(mote_json *reader) {
    scanned number;
    number.length = number.n_digits = 0;
    number.scale = 0;
    number.magnitude = 0;
    number.fits = true;
    number.negative = peek(reader) == '-';
    bool whole = true;
    if (number.negative) reader->at++;
    if (!is_digit(peek(reader))) return fail(reader, "a number needs a digit after '-'");
    if (peek(reader) == '0') {
        reader->at++;
        if (is_digit(peek(reader))) return fail(reader, "a number must not begin with 0");
    }
    for (; is_digit(peek(reader)); reader->at++) take_digit(&number, peek(reader) - '0', false);
    if (peek(reader) == '.') {
        whole = false;
        reader->at++;
        if (!is_digit(peek(reader))) return fail(reader, "a number needs a digit after '.'");
        for (; is_digit(peek(reader)); reader->at++) take_digit(&number, peek(reader) - '0', true);
    }
    if (peek(reader) == 'e' || peek(reader) == 'E') {
        whole = false;
        reader->at++;
        bool down = peek(reader) == '-';
        if (down || peek(reader) == '+') reader->at++;
        if (!is_digit(peek(reader))) return fail(reader, "a number needs a digit in its exponent");
        int64_t exponent = 0;
        for (; is_digit(peek(reader)); reader->at++)
            if (exponent < INT64_MAX / 100) exponent = exponent * 10 + (peek(reader) - '0');
        number.scale += down ? -exponent : exponent;
    }
    return finish_number(reader, &number, whole);
}

/* ---- structure -------------------------------------------------------------------------------------------------- */

static mote_json_kind after_value(mote_json *reader, mote_json_kind kind) {
    reader->state = reader->depth ? AFTER_VALUE : AT_END;
    return kind;
}

static mote_json_kind open_container(mote_json *reader, int container) {
    if (reader->depth == DEPTH_LIMIT) return fail(reader, "nested deeper than 64 levels");
    reader->stack[reader->depth++] = (uint8_t)container;
    reader->at++;
    reader->state = container == IN_OBJECT ? WANT_KEY_OR_END : WANT_VALUE_OR_END;
    return container == IN_OBJECT ? MOTE_JSON_OBJECT : MOTE_JSON_ARRAY;
}

static mote_json_kind close_container(mote_json *reader) {
    reader->at++;
    int container = reader->stack[--reader->depth];
    return after_value(reader, container == IN_OBJECT ? MOTE_JSON_OBJECT_END : MOTE_JSON_ARRAY_END);
}

static mote_json_kind read_word(mote_json *reader, const char *word, mote_json_kind kind) {
    size_t n = strlen(word);
    if (reader->size - reader->at < n || memcmp(reader->text + reader->at, word, n) != 0)
        return fail(reader, "a value was expected");
    reader->at += n;
    return after_value(reader, kind);
}

static mote_json_kind read_value(mote_json *reader, int c) {
    switch (c) {
    case '{': return open_container(reader, IN_OBJECT);
    case '[': return open_container(reader, IN_ARRAY);
    case '"':
        reader->at++;
        return read_string(reader) ? after_value(reader, MOTE_JSON_STRING) : MOTE_JSON_ERROR;
    case 't': return read_word(reader, "true", MOTE_JSON_TRUE);
    case 'f': return read_word(reader, "false", MOTE_JSON_FALSE);
    case 'n': return read_word(reader, "null", MOTE_JSON_NULL);
    case -1: return fail(reader, reader->depth ? "the text ends within a value" : "the text is empty");
    default:
        if (c == '-' || is_digit(c)) return read_number(reader);
        return fail(reader, "a value was expected");
    }
}

static mote_json_kind read_key(mote_json *reader, int c) {
    if (c != '"') return fail(reader, "a key in quotes was expected");
    reader->at++;
    if (!read_string(reader)) return MOTE_JSON_ERROR;
    if (peek_after_space(reader) != ':') return fail(reader, "':' was expected after a key");
    reader->at++;
    reader->state = WANT_VALUE;
    return MOTE_JSON_KEY;
}

mote_json_kind mote_json_next(mote_json *reader) {
    if (reader->state == FAILED) return MOTE_JSON_ERROR;
    int c = peek_after_space(reader);
    if (reader->state == AT_END) return c < 0 ? MOTE_JSON_END : fail(reader, "there is more after the value");
    if (reader->state == AFTER_VALUE) {
        bool in_object = reader->stack[reader->depth - 1] == IN_OBJECT;
        if (c == (in_object ? '}' : ']')) return close_container(reader);
        if (c != ',') return fail(reader, in_object ? "',' or '}' was expected" : "',' or ']' was expected");
        reader->at++;
        reader->state = in_object ? WANT_KEY : WANT_VALUE;
        c = peek_after_space(reader);
    }
    switch (reader->state) {
    case WANT_KEY_OR_END: return c == '}' ? close_container(reader) : read_key(reader, c);
    case WANT_KEY: return read_key(reader, c);
    case WANT_VALUE_OR_END: return c == ']' ? close_container(reader) : read_value(reader, c);
    default: return read_value(reader, c);
    }
}

bool mote_json_skip(mote_json *reader, mote_json_kind first) {
    if (first == MOTE_JSON_OBJECT || first == MOTE_JSON_ARRAY) {
        int outside = reader->depth - 1;
        while (reader->state != FAILED && reader->depth > outside) mote_json_next(reader);
    }
    return reader->state != FAILED;
}
