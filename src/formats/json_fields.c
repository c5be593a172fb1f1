/* Small JSON documents as lists of paths. Bounded: a file of at most 64 MiB and 262144 values, each under a path of at
 * most 127 bytes. (The largest in use, Gemma's tokenizer_config.json, has 38000 values in 1.2 MB.) */
#include "formats/json_fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "formats/gguf.h"

enum { PATH_BYTES = 128, MOST_BYTES = 64 << 20, MOST_FIELDS = 262144, LEVELS = 64 };

typedef struct {
    mote_json_fields *fields;
    mote_json json;
    size_t capacity;
    char path[PATH_BYTES];
    size_t length;
    int depth;
    struct {
        size_t field, length; /* of the container; the length of its path */
        bool array;
    } level[LEVELS];
    mote_error *error;
} reader;

static mote_status not_json(reader *r) {
    const char *name = r->fields->name;
    if (r->json.string.failed) return mote_fail_memory(r->error, name, r->json.size);
    return mote_fail(r->error, MOTE_BAD_FILE, "%s: not JSON: %s (byte %zu)", name, r->json.problem, r->json.at);
}

/* Puts a step behind the path of the container; false: none that is asked for is so long. */
static bool step(reader *r, const char *text, size_t n) {
    size_t length = r->depth ? r->level[r->depth - 1].length : 0, dot = length > 0;
    if (length + dot + n >= PATH_BYTES || n == 0) return false;
    if (dot) r->path[length] = '.';
    memcpy(r->path + length + dot, text, n);
    r->length = length + dot + n;
    r->path[r->length] = '\0';
    return true;
}

static mote_status add_field(reader *r, mote_json_kind kind) {
    mote_json_fields *f = r->fields;
    void *grown = f->fields;
    if (f->n_fields == MOST_FIELDS)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: it has more than %d values", f->name, MOST_FIELDS);
    if (!mote_grow(&grown, &r->capacity, f->n_fields + 1, sizeof *f->fields))
        return mote_fail_memory(r->error, f->name, (f->n_fields + 1) * sizeof *f->fields);
    f->fields = grown;
    mote_json_field field = {.kind = kind};
    if (kind == MOTE_JSON_NUMBER) {
        field.number = r->json.number;
        field.is_integer = r->json.is_integer;
        field.integer = r->json.integer;
    }
    field.path = mote_arena_string(&f->arena, r->path, r->length);
    if (kind == MOTE_JSON_STRING) {
        field.text.size = r->json.string.size;
        field.text.bytes = mote_arena_string(&f->arena, r->json.string.bytes, r->json.string.size);
    }
    if (!field.path || (kind == MOTE_JSON_STRING && !field.text.bytes))
        return mote_fail_memory(r->error, f->name, r->json.string.size);
    if (r->depth) f->fields[r->level[r->depth - 1].field].integer++;
    f->fields[f->n_fields++] = field;
    return MOTE_OK;
}

/* One value, whose first token was `kind`, under r->path. */
static mote_status read_value(reader *r, mote_json_kind kind) {
    if (kind == MOTE_JSON_ERROR) return not_json(r);
    size_t field = r->fields->n_fields;
    mote_status status = add_field(r, kind);
    if (status != MOTE_OK || (kind != MOTE_JSON_OBJECT && kind != MOTE_JSON_ARRAY)) return status;
    r->level[r->depth].field = field;
    r->level[r->depth].length = r->length;
    r->level[r->depth].array = kind == MOTE_JSON_ARRAY;
    r->depth++; /* at most 64: the JSON reader refuses more */
    return MOTE_OK;
}

static mote_status read_all(reader *r) {
    mote_json_kind kind = mote_json_next(&r->json);
    if (kind == MOTE_JSON_ERROR) return not_json(r);
    if (kind != MOTE_JSON_OBJECT)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: it is not a JSON object", r->fields->name);
    mote_status status = read_value(r, kind);
    while (status == MOTE_OK && r->depth > 0) {
        char number[24];
        bool known;
        kind = mote_json_next(&r->json);
        if (kind == MOTE_JSON_ERROR) return not_json(r);
        if (kind == MOTE_JSON_OBJECT_END || kind == MOTE_JSON_ARRAY_END) {
            r->depth--;
            continue;
        }
        if (r->level[r->depth - 1].array) {
            int n = snprintf(number, sizeof number, "%lld",
                             (long long)r->fields->fields[r->level[r->depth - 1].field].integer);
            known = step(r, number, (size_t)n);
        } else {
            const mote_buffer *key = &r->json.string;
            known = !memchr(key->bytes, '.', key->size) && !memchr(key->bytes, '\0', key->size) &&
                    step(r, key->bytes, key->size);
            kind = mote_json_next(&r->json);
        }
        if (known) status = read_value(r, kind);
        else if (!mote_json_skip(&r->json, kind)) return not_json(r);
    }
    if (status == MOTE_OK && mote_json_next(&r->json) != MOTE_JSON_END) return not_json(r);
    return status;
}

static int by_path(const void *a, const void *b) {
    return strcmp(((const mote_json_field *)a)->path, ((const mote_json_field *)b)->path);
}

mote_status mote_json_fields_parse(const uint8_t *bytes, size_t size, const char *name, mote_json_fields *fields,
                                   mote_error *error) {
    *fields = (mote_json_fields){.name = name, .error = error};
    char room[MOTE_SHOWN_BYTES];
    if (size > MOST_BYTES)
        return mote_fail(error, MOTE_BAD_FILE, "%s: %zu bytes; up to %d are read", name, size, MOST_BYTES);
    reader r = {.fields = fields, .error = error};
    mote_json_init(&r.json, (const char *)bytes, size);
    mote_status status = read_all(&r);
    mote_json_deinit(&r.json);
    if (status != MOTE_OK) return status;
    qsort(fields->fields, fields->n_fields, sizeof *fields->fields, by_path);
    for (size_t i = 1; i < fields->n_fields; i++) {
        const char *path = fields->fields[i].path;
        if (strcmp(fields->fields[i - 1].path, path) == 0)
            return mote_fail(error, MOTE_BAD_FILE, "%s: '%s' occurs twice", name,
                             mote_gguf_shown((mote_string){path, strlen(path)}, room));
    }
    return MOTE_OK;
}

mote_status mote_json_fields_open(const char *name, mote_json_fields *fields, mote_error *error) {
    mote_map map;
    *fields = (mote_json_fields){0};
    mote_status status = mote_map_open(name, &map, error);
    if (status != MOTE_OK) return status;
    status = mote_json_fields_parse(map.bytes, map.size, name, fields, error);
    mote_map_close(&map);
    return status;
}

void mote_json_fields_close(mote_json_fields *fields) {
    mote_release(fields->fields);
    mote_arena_deinit(&fields->arena);
    fields->fields = NULL;
    fields->n_fields = 0;
}

const mote_json_field *mote_json_field_find(const mote_json_fields *fields, const char *path) {
    mote_json_field wanted = {.path = path};
    if (fields->n_fields == 0) return NULL;
    const mote_json_field *found = bsearch(&wanted, fields->fields, fields->n_fields, sizeof wanted, by_path);
    return found && found->kind != MOTE_JSON_NULL ? found : NULL;
}

/* The value to read, or NULL: an earlier failure, not there, or (a failure) of another kind. */
static const mote_json_field *typed(mote_json_fields *fields, const char *path, bool (*fits)(const mote_json_field *),
                                    const char *wanted) {
    if (fields->status != MOTE_OK) return NULL;
    const mote_json_field *field = mote_json_field_find(fields, path);
    if (!field || fits(field)) return field;
    fields->status = mote_fail(fields->error, MOTE_BAD_FILE, "%s: '%s' is not %s", fields->name, path, wanted);
    return NULL;
}

static bool out_of_range(mote_json_fields *fields, const mote_json_field *field, double low, double high) {
    if (field->number >= low && field->number <= high) return false;
    fields->status = mote_fail(fields->error, MOTE_BAD_FILE, "%s: '%s' is %g; from %g to %g are possible",
                               fields->name, field->path, field->number, low, high);
    return true;
}

static bool is_integer(const mote_json_field *field) { return field->kind == MOTE_JSON_NUMBER && field->is_integer; }
static bool is_number(const mote_json_field *field) { return field->kind == MOTE_JSON_NUMBER; }
static bool is_string(const mote_json_field *field) { return field->kind == MOTE_JSON_STRING; }
static bool is_bool(const mote_json_field *field) {
    return field->kind == MOTE_JSON_TRUE || field->kind == MOTE_JSON_FALSE;
}

bool mote_json_field_integer(mote_json_fields *fields, const char *path, int64_t low, int64_t high, int64_t *value) {
    const mote_json_field *field = typed(fields, path, is_integer, "a whole number");
    if (!field || out_of_range(fields, field, (double)low, (double)high)) return false;
    *value = field->integer;
    return true;
}

bool mote_json_field_number(mote_json_fields *fields, const char *path, double low, double high, double *value) {
    const mote_json_field *field = typed(fields, path, is_number, "a number");
    if (!field || out_of_range(fields, field, low, high)) return false;
    *value = field->number;
    return true;
}

bool mote_json_field_bool(mote_json_fields *fields, const char *path, bool *value) {
    const mote_json_field *field = typed(fields, path, is_bool, "true or false");
    if (!field) return false;
    *value = field->kind == MOTE_JSON_TRUE;
    return true;
}

bool mote_json_field_string(mote_json_fields *fields, const char *path, mote_string *value) {
    const mote_json_field *field = typed(fields, path, is_string, "a string");
    if (!field) return false;
    *value = field->text;
    return true;
}
