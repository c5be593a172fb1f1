/* Reads JSON (RFC 8259) by pulling tokens, without building a tree: memory is bounded by the depth, where a tree takes
 * 16 to 40 times the text. Strict: UTF-8 only, no trailing commas, no duplicate check (the caller's), depth <= 64. */
#ifndef MOTE_BASE_JSON_H
#define MOTE_BASE_JSON_H

#include "base/buffer.h"

typedef enum {
    MOTE_JSON_END, /* of the text, reached without error */
    MOTE_JSON_OBJECT, MOTE_JSON_OBJECT_END,
    MOTE_JSON_ARRAY, MOTE_JSON_ARRAY_END,
    MOTE_JSON_KEY,    /* reader->string holds it */
    MOTE_JSON_STRING, /* reader->string, escapes resolved, NUL-terminated (may hold NUL bytes: use .size) */
    MOTE_JSON_NUMBER, /* reader->number; reader->integer when is_integer */
    MOTE_JSON_TRUE, MOTE_JSON_FALSE, MOTE_JSON_NULL,
    MOTE_JSON_ERROR   /* reader->problem says what; every further call answers the same */
} mote_json_kind;

typedef struct {
    const char *text;
    size_t size, at;      /* `at`: bytes read, for the column of a message */
    mote_buffer string;   /* of the last KEY or STRING; reused */
    double number;
    int64_t integer;
    bool is_integer;
    const char *problem;
    /* private */
    uint8_t stack[64];
    int depth, state;
} mote_json;

void mote_json_init(mote_json *reader, const char *text, size_t size);
void mote_json_deinit(mote_json *reader);
mote_json_kind mote_json_next(mote_json *reader);
/* Reads past the value whose first token was `first` (an OBJECT or ARRAY up to its end, else nothing). */
bool mote_json_skip(mote_json *reader, mote_json_kind first);

#endif
