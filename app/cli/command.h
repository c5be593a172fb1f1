/* The skeleton of the command: what an option is and what a command is. Options stand in groups; a command names the
 * groups it reads. The parser, the config file, help, the man page and shell completion are loops over these tables, so
 * an option that is not in a table does not exist, and one that is in a table is documented everywhere. */
#ifndef MOTE_CLI_COMMAND_H
#define MOTE_CLI_COMMAND_H

#include "base/buffer.h"
#include "mote/mote.h"

enum option_kind {
    OPTION_FLAG,     /* int: 1 */
    OPTION_FLAG_OFF, /* int: 0; the negative form of a flag that shares its value */
    OPTION_INTEGER,  /* int64_t */
    OPTION_NUMBER,   /* double */
    OPTION_STRING,   /* const char * */
    OPTION_LIST,     /* struct string_list; may be given several times */
    OPTION_CHOICE    /* int: index into the choices */
};

/* What a value holds until somebody gives one. */
#define UNSET (-1)
#define UNSET_INTEGER INT64_MIN
#define UNSET_NUMBER ((double)NAN)

enum { LIST_LIMIT = 64 };
struct string_list {
    const char *items[LIST_LIMIT];
    int n;
};

struct option {
    const char *name; /* without the dashes; the key of a config file too. NULL ends a group */
    char letter;      /* one-letter form, or 0 */
    enum option_kind kind;
    void *value;
    const char *argument; /* what stands in usage: "N", "FILE"; the choices of a choice: "a|b|c" */
    double low, high;     /* range of integers and numbers, both ends allowed */
    const char *shown;    /* default, as text; NULL: none */
    const char *help;
};

struct option_group {
    const char *title;
    const struct option *rows;
};

struct command {
    const char *name;      /* one or two words */
    const char *arguments; /* as in usage: "MODEL TEXT..." */
    const char *summary;   /* one line */
    const char *details;   /* paragraphs of help, or NULL */
    const char *example;   /* one command line */
    int least, most;       /* number of arguments; most < 0: any */
    const struct option_group *const *groups; /* ends with NULL */
    mote_status (*run)(int n_arguments, const char *const *arguments, mote_error *error);
};

/* Every command: adding one is a file and a line here. */
#define COMMAND_LIST(X)                                                                                                \
    X(train) X(generate) X(chat) X(eval) X(quantize) X(init) X(show) X(inspect) X(convert) X(tokenize) X(plan)         \
    X(bench) X(bench_train) X(bench_roof) X(bench_crossover) X(bench_ladder) X(bench_layers) X(profile_train)          \
    X(profile_prefill) X(profile_decode) X(doctor) X(help)
#define X(name) extern const struct command command_##name;
COMMAND_LIST(X)
#undef X
extern const struct command *const commands[]; /* ends with NULL */

/* ---- options.c */

extern const struct option_group group_common, group_threads, group_json;
extern int64_t option_threads; /* 0: chosen */
extern int option_json;

/* Reads the words after the command's name. Arguments that are no options go to `arguments` (room for n_words). */
mote_status options_parse(const struct command *command, int n_words, char *const *words, const char **arguments,
                          int *n_arguments, bool *help, mote_error *error);
/* Sets one value from text, checking kind, range and choices; `name` is what the message calls the option. */
mote_status option_set(const struct option *row, const char *name, const char *text, mote_error *error);
/* True when the option (or the other form of it) was given already; the first to give it wins. */
bool option_given(const struct option *row);
/* True when it was given on the command line and not by a config file. */
bool option_typed(const struct option *row);
void option_mark(const struct option *row);
/* As if it had not been given: its value is what it was before. */
void option_forget(const struct option *row);
const struct option *option_find(const struct command *command, const char *name, size_t length);
/* The i-th of "a|b|c"; its length in *length, 0 past the end. */
const char *option_choice(const char *choices, int i, size_t *length);
/* The candidate with the fewest edits, when that is few enough to be a slip of the hand; else NULL. */
struct nearest {
    const char *best;
    int distance;
};
void nearest_try(struct nearest *nearest, const char *wanted, const char *candidate);
/* Applies the mote_cpu_restrict() that --cpu asks for. */
mote_status options_apply_cpu(mote_error *error);

/* ---- configfile.c */

/* Sets what the JSON object in `path` names and nobody has given yet. Keys are the long option names of the command's
 * groups, with - or _; unknown keys and wrong values are refused by name. Relative paths begin at its folder. Applies
 * "cpu": no kernel has run before. */
mote_status config_read(const struct command *command, const char *path, mote_error *error);
/* A number that the JSON object in `path` holds; false: there is none of this key, or no such file. */
bool config_number(const char *path, const char *key, double *value);
/* Appends the option's value as JSON; false, and nothing appended, when it has none. Paths are told from `folder`, by
 * path_from; NULL: as they were given. */
bool config_value(const struct option *row, const char *folder, mote_buffer *buffer);
/* The same with paths by path_absolute: two values that are equal mean the same files. */
bool config_value_absolute(const struct option *row, mote_buffer *buffer);
/* {"dim":64,...}: every option of these groups that has a value. */
void config_print(const struct option_group *const *groups, const char *folder, mote_buffer *buffer);

/* ---- help.c */

const struct command *command_find(const char *name);
void help_overview(void);
void help_command(const struct command *command);
void help_man(void);
mote_status help_completion(int shell);

#endif
