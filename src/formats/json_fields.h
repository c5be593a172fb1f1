/* A small JSON document (config.json and its like) as a sorted list of its values, each under the path of its keys:
 * "rope_scaling.factor", "layer_types.0". Paths that occur twice are refused; keys longer than any that is asked for,
 * and those with a '.', are passed over with what they hold. */
#ifndef MOTE_FORMATS_JSON_FIELDS_H
#define MOTE_FORMATS_JSON_FIELDS_H

#include "base/json.h"
#include "base/memory.h"
#include "text/tokenizer.h"

typedef struct {
    const char *path;
    mote_json_kind kind; /* OBJECT, ARRAY, STRING, NUMBER, TRUE, FALSE, NULL */
    double number;
    int64_t integer; /* of a whole number; of an array or object how many values it has */
    bool is_integer;
    mote_string text; /* of a STRING; NUL-terminated */
} mote_json_field;

typedef struct {
    const char *name; /* of the file, for messages; must live as long */
    mote_json_field *fields;
    size_t n_fields;
    mote_arena arena;
    mote_status status; /* of the typed reads: the first failure makes later ones do nothing */
    mote_error *error;
} mote_json_fields;

mote_status mote_json_fields_parse(const uint8_t *bytes, size_t size, const char *name, mote_json_fields *fields,
                                   mote_error *error);
/* Of a file, whose path `name` is. */
mote_status mote_json_fields_open(const char *name, mote_json_fields *fields, mote_error *error);
void mote_json_fields_close(mote_json_fields *fields); /* also after a failure */

/* NULL: not there, or null. */
const mote_json_field *mote_json_field_find(const mote_json_fields *fields, const char *path);
/* Typed reads: false with nothing written where the value is not there, or is a failure (fields->status). */
bool mote_json_field_integer(mote_json_fields *fields, const char *path, int64_t low, int64_t high, int64_t *value);
bool mote_json_field_number(mote_json_fields *fields, const char *path, double low, double high, double *value);
bool mote_json_field_bool(mote_json_fields *fields, const char *path, bool *value);
/* NUL-terminated; lives as long as `fields`. */
bool mote_json_field_string(mote_json_fields *fields, const char *path, mote_string *value);

#endif
