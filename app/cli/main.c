/* mote COMMAND [OPTION...] [ARGUMENT...]: finds the command, reads its options, runs it. The exit code is the
 * mote_status it returns. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../text/libraries.h"
#include "command.h"
#include "console.h"
#include "hints.h"

static int finish(mote_status status, mote_error *error) {
    mote_error late = {0};
    mote_status written = out_finish(&late);
    if (!status && written) {
        status = written;
        *error = late;
    }
    error->status = status;
    if (status) print_error(error);
    return (int)status;
}

static mote_status fail_command(const char *word, mote_error *error) {
    struct nearest nearest = {0};
    for (int i = 0; commands[i]; i++) nearest_try(&nearest, word, commands[i]->name);
    mote_fail(error, MOTE_USAGE, "mote has no command \"%.60s\"", word);
    if (nearest.best) return mote_hint(error, MOTE_USAGE, "did you mean mote %s?", nearest.best);
    return mote_hint(error, MOTE_USAGE, "mote help lists the commands");
}

/* "bench trian": the second word is nearly that of a command of two, and no file. NULL: it is not. */
static const char *nearest_second(const char *first, const char *second) {
    size_t length = strlen(first);
    struct nearest nearest = {0};
    for (int i = 0; commands[i]; i++)
        if (!strncmp(commands[i]->name, first, length) && commands[i]->name[length] == ' ')
            nearest_try(&nearest, second, commands[i]->name + length + 1);
    return nearest.best && access(second, F_OK) ? nearest.best : NULL;
}

static mote_status run_command(const struct command *command, int n_words, char *const *words, mote_error *error) {
    const char **arguments = calloc((size_t)n_words + 1, sizeof *arguments);
    if (!arguments) return mote_fail(error, MOTE_MEMORY, "no memory for the command line");
    int n_arguments = 0;
    bool help = false;
    mote_status status = options_parse(command, n_words, words, arguments, &n_arguments, &help, error);
    if (!status && help) help_command(command);
    else if (!status && !(status = options_apply_cpu(error)))
        status = command->run(n_arguments, arguments, error);
    if (status) hint_complete(command, n_words, words, error);
    free(arguments);
    return status;
}

int main(int n_words, char **words) {
    mote_error error = {0};
    text_libraries_use();
    signal(SIGPIPE, SIG_IGN); /* console.c ends the command when standard output is gone */
    if (n_words < 2) {
        mote_fail(&error, MOTE_USAGE, "a command is missing: mote COMMAND [OPTION...] [ARGUMENT...]");
        return finish(mote_hint(&error, MOTE_USAGE, "mote help lists the commands"), &error);
    }
    const char *first = words[1];
    if (!strcmp(first, "--help") || !strcmp(first, "-h")) {
        help_overview();
        return finish(MOTE_OK, &error);
    }
    if (!strcmp(first, "--version") || !strcmp(first, "-V")) {
        out_print("mote %s\n", mote_version());
        return finish(MOTE_OK, &error);
    }
    int used = 2;
    const struct command *command = command_find(first);
    if (n_words > 2 && strlen(first) < 30 && strlen(words[2]) < 30) {
        char two[64];
        snprintf(two, sizeof two, "%s %s", first, words[2]);
        const struct command *longer = command_find(two);
        if (longer) {
            command = longer;
            used = 3;
        }
    }
    const char *second = used == 2 && n_words > 2 && words[2][0] != '-' ? nearest_second(first, words[2]) : NULL;
    if (second) {
        mote_fail(&error, MOTE_USAGE, "mote has no command \"%.30s %.60s\"", first, words[2]);
        return finish(mote_hint(&error, MOTE_USAGE, "did you mean mote %.30s %s?", first, second), &error);
    }
    if (!command) return finish(fail_command(first, &error), &error);
    return finish(run_command(command, n_words - used, words + used, &error), &error);
}
