/* Config files: a JSON object whose keys are long option names. The command line wins, then --config, then what a run
 * folder remembers: a value is set once, by the first who gives it. What config_print writes, config_read reads back to
 * the same bits. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "command.h"
#include "console.h"
#include "paths.h"

static bool in_config(const struct option *row) {
    return strcmp(row->name, "config") && strcmp(row->name, "help");
}

static mote_status fail_key(const struct command *command, const char *path, const char *key, mote_error *error) {
    struct nearest nearest = {0};
    for (const struct option_group *const *group = command->groups; *group; group++)
        for (const struct option *row = (*group)->rows; row->name; row++)
            if (in_config(row)) nearest_try(&nearest, key, row->name);
    mote_fail(error, MOTE_BAD_FILE, "%s: unknown key \"%.60s\"", path, key);
    if (nearest.best) return mote_hint(error, MOTE_BAD_FILE, "did you mean \"%s\"?", nearest.best);
    return mote_hint(error, MOTE_BAD_FILE, "keys are the long options of mote %s without the dashes", command->name);
}

/* By what the value is called in usage. A library's name without a slash is looked for by the system. */
static bool is_path(const struct option *row, const char *text) {
    static const char *const arguments[] = {"FILE", "MODEL", "ADAPTER"};
    if (row->kind != OPTION_STRING && row->kind != OPTION_LIST) return false;
    for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++)
        if (!strcmp(row->argument, arguments[i])) return *text != 0;
    return strstr(row->argument, "|FILE") && strchr(text, '/');
}

/* Strings that become values live as long as the process. */
static char *keep_string(const mote_json *json) {
    char *copy = malloc(json->string.size + 1);
    if (copy && json->string.size) memcpy(copy, json->string.bytes, json->string.size);
    if (copy) copy[json->string.size] = 0;
    return copy;
}

/* A string that was kept as the value that it means: a path begins at the folder of the config file. */
static char *keep_value(const struct option *row, char *text, const char *path) {
    if (!text || !is_path(row, text)) return text;
    char *meant = path_beside(path, text);
    free(text);
    return meant;
}

/* The strings of a list, each as if it stood on the command line. */
static mote_status read_list(const struct option *row, mote_json *json, const char *path, const char *name, bool skip,
                             mote_error *error) {
    mote_json_kind kind;
    while ((kind = mote_json_next(json)) == MOTE_JSON_STRING) {
        char *text = keep_string(json);
        if (!text) return mote_fail(error, MOTE_MEMORY, "%s does not fit in memory", path);
        mote_status status = MOTE_OK;
        if (strlen(text) != json->string.size)
            status = mote_fail(error, MOTE_BAD_FILE, "%s holds a zero byte", name);
        else if (!skip) {
            text = keep_value(row, text, path);
            status = text ? option_set(row, name, text, error)
                          : mote_fail(error, MOTE_MEMORY, "%s does not fit in memory", path);
        }
        if (status || skip) free(text);
        if (status) return status;
    }
    if (kind == MOTE_JSON_ARRAY_END || kind == MOTE_JSON_ERROR) return MOTE_OK;
    return mote_fail(error, MOTE_BAD_FILE, "%s must be a list of strings", name);
}

static mote_status read_value(const struct option *row, mote_json *json, const char *path, mote_error *error) {
    mote_json_kind kind = mote_json_next(json);
    bool flag = row->kind == OPTION_FLAG || row->kind == OPTION_FLAG_OFF, skip = option_given(row);
    char name[256], number[40];
    snprintf(name, sizeof name, "%.160s: \"%s\"", path, row->name);
    mote_status status = MOTE_OK;
    if (flag && (kind == MOTE_JSON_TRUE || kind == MOTE_JSON_FALSE)) {
        if (!skip) *(int *)row->value = (row->kind == OPTION_FLAG) == (kind == MOTE_JSON_TRUE);
    } else if (row->kind == OPTION_INTEGER && kind == MOTE_JSON_NUMBER && json->is_integer) {
        snprintf(number, sizeof number, "%lld", (long long)json->integer);
        if (!skip) status = option_set(row, name, number, error);
    } else if (row->kind == OPTION_NUMBER && kind == MOTE_JSON_NUMBER) {
        snprintf(number, sizeof number, "%.17g", json->number);
        if (!skip) status = option_set(row, name, number, error);
    } else if ((row->kind == OPTION_CHOICE || row->kind == OPTION_STRING) && kind == MOTE_JSON_STRING) {
        char *text = keep_string(json);
        if (!text) return mote_fail(error, MOTE_MEMORY, "%s does not fit in memory", path);
        if (strlen(text) != json->string.size)
            status = mote_fail(error, MOTE_BAD_FILE, "%s holds a zero byte", name);
        else if (!skip) {
            text = keep_value(row, text, path);
            status = text ? option_set(row, name, text, error)
                          : mote_fail(error, MOTE_MEMORY, "%s does not fit in memory", path);
        }
        if (status || skip || row->kind == OPTION_CHOICE) free(text);
    } else if (row->kind == OPTION_LIST && kind == MOTE_JSON_ARRAY) {
        status = read_list(row, json, path, name, skip, error);
    } else if (kind == MOTE_JSON_ERROR) {
        return MOTE_OK; /* reported by the caller, with its place */
    } else {
        static const char *const wanted[] = {"true or false", "true or false", "a whole number", "a number",
                                             "a string",      "a list",        "one of these strings: "};
        status = mote_fail(error, MOTE_BAD_FILE, "%s must be %s%s", name, wanted[row->kind],
                           row->kind == OPTION_CHOICE ? row->argument : "");
    }
    if (status && error) error->status = MOTE_BAD_FILE;
    return status ? MOTE_BAD_FILE : MOTE_OK;
}

mote_status config_read(const struct command *command, const char *path, mote_error *error) {
    enum { MOST_KEYS = 128 };
    const struct option *seen[MOST_KEYS];
    int n_seen = 0;
    char *text;
    size_t size;
    mote_status status = read_whole(path, &text, &size, error);
    if (status) return status;
    mote_json json;
    mote_json_init(&json, text, size);
    mote_json_kind kind = mote_json_next(&json);
    if (kind != MOTE_JSON_OBJECT && kind != MOTE_JSON_ERROR)
        status = mote_fail(error, MOTE_BAD_FILE, "%s: the file must hold one JSON object", path);
    while (!status && kind != MOTE_JSON_ERROR && (kind = mote_json_next(&json)) == MOTE_JSON_KEY) {
        const char *key = json.string.bytes ? json.string.bytes : "";
        const struct option *row = option_find(command, key, json.string.size);
        if (!row || !in_config(row)) {
            status = fail_key(command, path, key, error);
            break;
        }
        for (int i = 0; i < n_seen; i++)
            if (seen[i]->value == row->value)
                status = mote_fail(error, MOTE_BAD_FILE, "%s: \"%s\" is given twice, or together with its opposite",
                                   path, row->name);
        if (!status) status = read_value(row, &json, path, error);
        if (n_seen < MOST_KEYS) seen[n_seen++] = row;
    }
    if (!status && kind != MOTE_JSON_ERROR) kind = mote_json_next(&json); /* nothing may follow */
    if (!status && kind != MOTE_JSON_END)
        status = mote_fail(error, MOTE_BAD_FILE, "%s: not JSON at byte %zu: %s", path, json.at,
                           json.problem ? json.problem : "text after the object");
    if (status && error && !error->hint[0])
        mote_hint(error, status, "a config file is one JSON object of long options, as {\"dim\": 128, \"lr\": 0.01}");
    for (int i = 0; !status && i < n_seen; i++) option_mark(seen[i]);
    mote_json_deinit(&json);
    free(text);
    return status ? status : options_apply_cpu(error); /* "cpu" may stand in it */
}

bool config_number(const char *path, const char *key, double *value) {
    char *text;
    size_t size;
    mote_json json;
    mote_json_kind kind;
    bool found = false;
    if (read_whole(path, &text, &size, NULL)) return false;
    mote_json_init(&json, text, size);
    bool ok = mote_json_next(&json) == MOTE_JSON_OBJECT;
    while (ok && !found && mote_json_next(&json) == MOTE_JSON_KEY) {
        const bool wanted = json.string.bytes && !strcmp(json.string.bytes, key);
        kind = mote_json_next(&json);
        found = wanted && kind == MOTE_JSON_NUMBER;
        if (found) *value = json.number;
        else ok = mote_json_skip(&json, kind);
    }
    mote_json_deinit(&json);
    free(text);
    return found;
}

static bool is_set(const struct option *row) {
    switch (row->kind) {
    case OPTION_FLAG: return *(int *)row->value != UNSET;
    case OPTION_FLAG_OFF: return false; /* its positive form says it */
    case OPTION_INTEGER: return *(int64_t *)row->value != UNSET_INTEGER;
    case OPTION_NUMBER: return !isnan(*(double *)row->value);
    case OPTION_CHOICE: return *(int *)row->value != UNSET;
    case OPTION_STRING: return *(const char **)row->value != NULL;
    case OPTION_LIST: return ((struct string_list *)row->value)->n > 0;
    }
    return false;
}

/* How paths are told. */
struct told {
    bool absolute;
    const char *folder; /* from which, else; NULL: as they are */
};

static void print_string(const struct option *row, const char *text, struct told told, mote_buffer *buffer) {
    char *name = NULL;
    if (is_path(row, text) && told.absolute) name = path_absolute(text);
    else if (is_path(row, text) && told.folder) name = path_from(told.folder, text);
    mote_buffer_json_string(buffer, name ? name : text, strlen(name ? name : text));
    free(name);
}

static bool print_value(const struct option *row, struct told told, mote_buffer *buffer) {
    if (!in_config(row) || !is_set(row)) return false;
    size_t length;
    const char *text;
    const struct string_list *list;
    char number[40];
    switch (row->kind) {
    case OPTION_FLAG: mote_buffer_print(buffer, *(int *)row->value ? "true" : "false"); break;
    case OPTION_INTEGER: mote_buffer_print(buffer, "%lld", (long long)*(int64_t *)row->value); break;
    case OPTION_NUMBER: /* the shortest form that reads back to the same bits */
        for (int digits = 6; digits <= 17; digits++) {
            snprintf(number, sizeof number, "%.*g", digits, *(double *)row->value);
            if (strtod(number, NULL) == *(double *)row->value) break;
        }
        mote_buffer_print(buffer, "%s", number);
        break;
    case OPTION_CHOICE:
        text = option_choice(row->argument, *(int *)row->value, &length);
        mote_buffer_json_string(buffer, text, length);
        break;
    case OPTION_STRING:
        print_string(row, *(const char **)row->value, told, buffer);
        break;
    case OPTION_LIST:
        list = row->value;
        for (int i = 0; i < list->n; i++) {
            mote_buffer_print(buffer, i ? "," : "[");
            print_string(row, list->items[i], told, buffer);
        }
        mote_buffer_print(buffer, "]");
        break;
    default: return false;
    }
    return true;
}

bool config_value(const struct option *row, const char *folder, mote_buffer *buffer) {
    return print_value(row, (struct told){.folder = folder}, buffer);
}

bool config_value_absolute(const struct option *row, mote_buffer *buffer) {
    return print_value(row, (struct told){.absolute = true}, buffer);
}

void config_print(const struct option_group *const *groups, const char *folder, mote_buffer *buffer) {
    const char *separator = "{";
    for (; *groups; groups++)
        for (const struct option *row = (*groups)->rows; row->name; row++) {
            mote_buffer value = {0};
            if (config_value(row, folder, &value)) {
                mote_buffer_print(buffer, "%s\"%s\":%s", separator, row->name, value.bytes ? value.bytes : "null");
                separator = ",";
            }
            buffer->failed |= value.failed;
            mote_buffer_deinit(&value);
        }
    mote_buffer_print(buffer, "%s}", *separator == '{' ? "{" : "");
}
