/* Reads the command line by the option tables: --name value, --name=value, -n value, -nvalue, and -- which ends the
 * options. Numbers are read whole or refused: "12x", "1e999" and "" are mistakes, not 12, infinity and 0. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

int64_t option_threads;
int option_json;
static int option_cpu = 4;
static int option_help;

static const struct option common_rows[] = {
    {"cpu", 0, OPTION_CHOICE, &option_cpu, "scalar|avx2|avx512|neon|all", 0, 0, "all",
     "use at most this instruction set; scalar is the plain C reference"},
    {"help", 'h', OPTION_FLAG, &option_help, NULL, 0, 0, NULL, "say what the command does and which options it has"},
    {0},
};
const struct option_group group_common = {"Everywhere", common_rows};

static const struct option threads_rows[] = {
    {"threads", 't', OPTION_INTEGER, &option_threads, "N", 0, 256, "0: chosen for this machine",
     "threads at most: fewer run while another process has a core; the result has the same bits with any number"},
    {0},
};
const struct option_group group_threads = {"Running", threads_rows};

static const struct option json_rows[] = {
    {"json", 0, OPTION_FLAG, &option_json, NULL, 0, 0, NULL, "print one JSON object on standard output"},
    {0},
};
const struct option_group group_json = {"Output", json_rows};

enum { MOST_GIVEN = 160 };
static const void *given[MOST_GIVEN];
static int n_given, n_typed; /* the command line is read first, so its options come first */

static bool is_among(const struct option *row, int n) {
    for (int i = 0; i < n; i++)
        if (given[i] == row->value) return true;
    return false;
}

bool option_given(const struct option *row) { return is_among(row, n_given); }
bool option_typed(const struct option *row) { return is_among(row, n_typed); }

void option_mark(const struct option *row) {
    if (!option_given(row) && n_given < MOST_GIVEN) given[n_given++] = row->value;
}

/* What values held before anybody gave one. */
union held {
    int choice;
    int64_t integer;
    double number;
    const char *string;
};
static struct {
    const void *value;
    union held held;
} untouched[MOST_GIVEN];
static int n_untouched;

static size_t value_bytes(const struct option *row) {
    switch (row->kind) {
    case OPTION_FLAG: case OPTION_FLAG_OFF: case OPTION_CHOICE: return sizeof(int);
    case OPTION_INTEGER: return sizeof(int64_t);
    case OPTION_NUMBER: return sizeof(double);
    case OPTION_STRING: return sizeof(const char *);
    case OPTION_LIST: break; /* was empty */
    }
    return 0;
}

static void remember(const struct option *row) {
    for (int i = 0; i < n_untouched; i++)
        if (untouched[i].value == row->value) return;
    if (n_untouched == MOST_GIVEN) return;
    untouched[n_untouched].value = row->value;
    memcpy(&untouched[n_untouched++].held, row->value, value_bytes(row));
}

void option_forget(const struct option *row) {
    for (int i = 0; i < n_given; i++) {
        if (given[i] != row->value) continue;
        memmove(given + i, given + i + 1, (size_t)(n_given - i - 1) * sizeof *given);
        n_given--;
        if (i < n_typed) n_typed--;
        break;
    }
    for (int i = 0; i < n_untouched; i++)
        if (untouched[i].value == row->value) memcpy(row->value, &untouched[i].held, value_bytes(row));
    if (row->kind == OPTION_LIST) ((struct string_list *)row->value)->n = 0;
}

const char *option_choice(const char *choices, int i, size_t *length) {
    while (i-- > 0) {
        choices = strchr(choices, '|');
        if (!choices) return *length = 0, "";
        choices++;
    }
    *length = strcspn(choices, "|");
    return choices;
}

const struct option *option_find(const struct command *command, const char *name, size_t length) {
    for (const struct option_group *const *group = command->groups; *group; group++)
        for (const struct option *row = (*group)->rows; row->name; row++) {
            if (strlen(row->name) != length) continue;
            size_t i = 0;
            while (i < length && (row->name[i] == name[i] || (row->name[i] == '-' && name[i] == '_'))) i++;
            if (i == length) return row;
        }
    return NULL;
}

static const struct option *find_letter(const struct command *command, char letter) {
    for (const struct option_group *const *group = command->groups; *group; group++)
        for (const struct option *row = (*group)->rows; row->name; row++)
            if (row->letter == letter) return row;
    return NULL;
}

/* Edits (insert, delete, replace, swap of neighbours) between two short words: optimal string alignment. */
static int edit_distance(const char *a, const char *b) {
    enum { LONGEST = 40 };
    int n = (int)strlen(a), m = (int)strlen(b), row[3][LONGEST + 1];
    if (n > LONGEST || m > LONGEST) return LONGEST;
    for (int j = 0; j <= m; j++) row[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *now = row[i % 3], *before = row[(i + 2) % 3], *earlier = row[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= m; j++) {
            int best = before[j - 1] + (a[i - 1] != b[j - 1]);
            if (before[j] + 1 < best) best = before[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && earlier[j - 2] + 1 < best)
                best = earlier[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[n % 3][m];
}

void nearest_try(struct nearest *nearest, const char *wanted, const char *candidate) {
    int distance = edit_distance(wanted, candidate), length = (int)strlen(wanted);
    /* "--val" for "--validation" is no slip but a habit: a beginning counts as near. */
    if (length >= 2 && !strncmp(wanted, candidate, (size_t)length)) distance = 1;
    int allowed = length < 4 ? 1 : length < 8 ? 2 : 3;
    if (distance <= allowed && (!nearest->best || distance < nearest->distance))
        *nearest = (struct nearest){candidate, distance};
}

static mote_status fail_unknown(const struct command *command, const char *word, mote_error *error) {
    const char *name = word;
    while (*name == '-') name++;
    char wanted[64];
    size_t length = strcspn(name, "=");
    if (length >= sizeof wanted) length = sizeof wanted - 1;
    memcpy(wanted, name, length);
    wanted[length] = 0;
    struct nearest nearest = {0};
    for (const struct option_group *const *group = command->groups; *group; group++)
        for (const struct option *row = (*group)->rows; row->name; row++) nearest_try(&nearest, wanted, row->name);
    mote_fail(error, MOTE_USAGE, "mote %s has no option %s%.*s", command->name, word[1] == '-' ? "--" : "-",
              (int)length, wanted);
    if (nearest.best) return mote_hint(error, MOTE_USAGE, "did you mean --%s?", nearest.best);
    return mote_hint(error, MOTE_USAGE, "mote help %s lists its options", command->name);
}

static mote_status set_integer(const struct option *row, const char *name, const char *text, mote_error *error) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || text[0] == ' ')
        return mote_fail(error, MOTE_USAGE, "%s needs a whole number, not \"%s\"", name, text);
    if (errno || (double)value < row->low || (double)value > row->high)
        return mote_fail(error, MOTE_USAGE, "%s is %s, but must be from %.0f to %.0f", name, text, row->low, row->high);
    *(int64_t *)row->value = value;
    return MOTE_OK;
}

static mote_status set_number(const struct option *row, const char *name, const char *text, mote_error *error) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || text[0] == ' ' || !isfinite(value) || strpbrk(text, "xX"))
        return mote_fail(error, MOTE_USAGE, "%s needs a number, not \"%s\"", name, text);
    if (value < row->low || value > row->high)
        return mote_fail(error, MOTE_USAGE, "%s is %s, but must be from %g to %g", name, text, row->low, row->high);
    *(double *)row->value = value;
    return MOTE_OK;
}

/* Words that stand to reason and are no choice. */
static const struct {
    const char *option, *text, *why;
} not_chosen[] = {
    {"precision", "f16", "f16 is for files (--type f16): gradients leave its range; int8 is faster than f32"},
};

static mote_status set_choice(const struct option *row, const char *name, const char *text, mote_error *error) {
    size_t length;
    struct nearest nearest = {0};
    enum { MOST = 16 };
    char candidates[MOST][24];
    for (int i = 0; i < MOST; i++) {
        const char *choice = option_choice(row->argument, i, &length);
        if (!length) break;
        if (strlen(text) == length && !memcmp(choice, text, length)) {
            *(int *)row->value = i;
            return MOTE_OK;
        }
        if (length >= sizeof candidates[0]) continue;
        memcpy(candidates[i], choice, length);
        candidates[i][length] = 0;
        nearest_try(&nearest, text, candidates[i]);
    }
    mote_fail(error, MOTE_USAGE, "%s is \"%s\", but must be one of %s", name, text, row->argument);
    for (size_t i = 0; i < sizeof not_chosen / sizeof *not_chosen; i++)
        if (!strcmp(row->name, not_chosen[i].option) && !strcmp(text, not_chosen[i].text))
            return mote_hint(error, MOTE_USAGE, "%s", not_chosen[i].why);
    return nearest.best ? mote_hint(error, MOTE_USAGE, "did you mean %s?", nearest.best) : MOTE_USAGE;
}

static mote_status set(const struct option *row, const char *name, const char *text, mote_error *error) {
    struct string_list *list;
    remember(row);
    switch (row->kind) {
    case OPTION_FLAG: *(int *)row->value = 1; return MOTE_OK;
    case OPTION_FLAG_OFF: *(int *)row->value = 0; return MOTE_OK;
    case OPTION_INTEGER: return set_integer(row, name, text, error);
    case OPTION_NUMBER: return set_number(row, name, text, error);
    case OPTION_CHOICE: return set_choice(row, name, text, error);
    case OPTION_STRING: *(const char **)row->value = text; return MOTE_OK;
    case OPTION_LIST:
        list = row->value;
        if (list->n == LIST_LIMIT)
            return mote_fail(error, MOTE_USAGE, "%s is given more than %d times", name, LIST_LIMIT);
        list->items[list->n++] = text;
        return MOTE_OK;
    }
    return MOTE_OK;
}

static mote_status hint_option(const struct option *row, mote_status status, mote_error *error) {
    return mote_hint(error, status, "--%s is: %s%s%s%s", row->name, row->help, row->shown ? " (default " : "",
                     row->shown ? row->shown : "", row->shown ? ")" : "");
}

mote_status option_set(const struct option *row, const char *name, const char *text, mote_error *error) {
    mote_status status = set(row, name, text, error);
    return status && !error->hint[0] ? hint_option(row, status, error) : status;
}

static bool takes_value(const struct option *row) { return row->kind != OPTION_FLAG && row->kind != OPTION_FLAG_OFF; }

/* Reads the option that starts at words[*at]; leaves *at on its last word. */
static mote_status parse_option(const struct command *command, int n_words, char *const *words, int *at,
                                mote_error *error) {
    const char *word = words[*at], *value = NULL;
    const struct option *row;
    char name[72];
    if (word[1] == '-') {
        size_t length = strcspn(word + 2, "=");
        row = option_find(command, word + 2, length);
        if (row) snprintf(name, sizeof name, "--%s", row->name);
        if (word[2 + length]) value = word + 2 + length + 1;
    } else {
        row = find_letter(command, word[1]);
        snprintf(name, sizeof name, "-%c", word[1]);
        if (word[2]) value = word + 2;
    }
    if (!row) return fail_unknown(command, word, error);
    if (!takes_value(row) && value) {
        mote_fail(error, MOTE_USAGE, "%s takes no value, but is given \"%s\"", name, value);
        return mote_hint(error, MOTE_USAGE, "%s alone sets it", name);
    }
    if (takes_value(row) && !value) {
        if (*at + 1 >= n_words) {
            mote_fail(error, MOTE_USAGE, "%s needs a value: %s", name, row->argument);
            return hint_option(row, MOTE_USAGE, error);
        }
        value = words[++*at];
    }
    bool again = (row->kind == OPTION_FLAG || row->kind == OPTION_FLAG_OFF) && option_given(row) &&
                 *(int *)row->value == (row->kind == OPTION_FLAG); /* the same flag twice says nothing else */
    if (row->kind != OPTION_LIST && !again && option_given(row)) {
        mote_fail(error, MOTE_USAGE, "%s is given twice, or together with its opposite", name);
        return mote_hint(error, MOTE_USAGE, "leave one of them out");
    }
    option_mark(row);
    return option_set(row, name, value, error);
}

mote_status options_parse(const struct command *command, int n_words, char *const *words, const char **arguments,
                          int *n_arguments, bool *help, mote_error *error) {
    bool only_arguments = false;
    *n_arguments = 0;
    for (int i = 0; i < n_words; i++) {
        const char *word = words[i];
        if (only_arguments || word[0] != '-' || !word[1]) {
            arguments[(*n_arguments)++] = word;
        } else if (!strcmp(word, "--")) {
            only_arguments = true;
        } else {
            mote_status status = parse_option(command, n_words, words, &i, error);
            if (status) return status;
        }
    }
    n_typed = n_given;
    *help = option_help;
    if (*help) return MOTE_OK;
    mote_status status = MOTE_OK;
    if (*n_arguments < command->least)
        status = mote_fail(error, MOTE_USAGE, "mote %s needs %s", command->name, command->arguments);
    else if (command->most >= 0 && *n_arguments > command->most)
        status = mote_fail(error, MOTE_USAGE, "mote %s: \"%s\" is one argument too many", command->name,
                           arguments[command->most]);
    if (status) mote_hint(error, status, "for example: %s", command->example);
    return status;
}

mote_status options_apply_cpu(mote_error *error) {
    /* an instruction set with the additions to it that are there */
    static const unsigned bits[] = {0, MOTE_CPU_AVX2, MOTE_CPU_AVX512 | MOTE_CPU_AVX2 | MOTE_CPU_VNNI | MOTE_CPU_BF16,
                                    MOTE_CPU_NEON | MOTE_CPU_DOTPROD, (unsigned)MOTE_CPU_ALL};
    static const unsigned needed[] = {0, MOTE_CPU_AVX2, MOTE_CPU_AVX512, MOTE_CPU_NEON, 0};
    unsigned has = mote_cpu_detect();
    if ((has & needed[option_cpu]) != needed[option_cpu]) {
        size_t length;
        const char *choice = option_choice("scalar|avx2|avx512|neon|all", option_cpu, &length);
        mote_fail(error, MOTE_USAGE, "--cpu %.*s: this processor does not have it", (int)length, choice);
        return mote_hint(error, MOTE_USAGE, "mote doctor shows what it has");
    }
    if (option_cpu != 4) mote_cpu_restrict(bits[option_cpu]);
    return MOTE_OK;
}
