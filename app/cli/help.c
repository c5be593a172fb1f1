/* Help, the man page and shell completion: three printings of the command and option tables. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "console.h"

static int want_man, want_completion = UNSET;
static const struct option help_rows[] = {
    {"man", 0, OPTION_FLAG, &want_man, NULL, 0, 0, NULL, "print the manual page in troff: mote help --man | man -l -"},
    {"completion", 0, OPTION_CHOICE, &want_completion, "bash|zsh|fish", 0, 0, NULL,
     "print a completion script: source <(mote help --completion bash)"},
    {0},
};
static const struct option_group group_help = {"Output", help_rows};
static const struct option_group *const help_groups[] = {&group_help, &group_common, NULL};

const struct command *const commands[] = {
#define X(name) &command_##name,
    COMMAND_LIST(X)
#undef X
    NULL};

const struct command *command_find(const char *name) {
    for (int i = 0; commands[i]; i++)
        if (!strcmp(commands[i]->name, name)) return commands[i];
    return NULL;
}

static const struct {
    int code;
    const char *text;
} exit_codes[] = {
#define X(name, code, text) {code, text},
    MOTE_STATUS_LIST(X)
#undef X
};
enum { N_EXIT_CODES = (int)(sizeof exit_codes / sizeof exit_codes[0]) };

/* Prints text in lines of at most `width` characters, each begun with `indent` spaces; the first is begun already. */
static void print_wrapped(const char *text, int indent, int width) {
    int column = indent;
    while (*text) {
        int length = (int)strcspn(text, " \n");
        if (column > indent && column + 1 + length > width) {
            out_print("\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            out_print(" ");
            column++;
        }
        out_write(text, (size_t)length);
        column += length;
        text += length;
        if (*text == '\n') {
            out_print(text[1] == '\n' || !text[1] ? "\n" : "\n%*s", indent, "");
            column = indent;
        }
        if (*text) text++;
    }
    out_print("\n");
}

void help_overview(void) {
    out_print("mote %s: train, measure and run tiny transformers on a CPU\n\n", mote_version());
    out_print("usage: mote COMMAND [OPTION...] [ARGUMENT...]\n\n");
    for (int i = 0; commands[i]; i++) out_print("  %-16s %s\n", commands[i]->name, commands[i]->summary);
    out_print("\nmote help COMMAND shows its options. A first run:\n\n");
    for (int i = 0; i < 2; i++) out_print("  %s\n", commands[i]->example);
    out_print("\nexit codes:");
    for (int i = 0; i < N_EXIT_CODES; i++)
        out_print("%s %d %s", i ? "," : "", exit_codes[i].code, exit_codes[i].text);
    out_print(", 128+n signal n\n");
}

/* "-o, --output FILE" */
static void option_usage(const struct option *row, char *out, size_t size) {
    char letter[8] = "    ";
    if (row->letter) snprintf(letter, sizeof letter, "-%c, ", row->letter);
    snprintf(out, size, "%s--%s%s%s", letter, row->name, row->argument ? " " : "", row->argument ? row->argument : "");
}

static void option_help_text(const struct option *row, char *out, size_t size) {
    snprintf(out, size, "%s%s%s%s", row->help, row->shown ? " (default " : "", row->shown ? row->shown : "",
             row->shown ? ")" : "");
}

void help_command(const struct command *command) {
    char usage[128], help[512];
    out_print("usage: mote %s [OPTION...]%s%s\n\n", command->name, *command->arguments ? " " : "", command->arguments);
    out_print("%c%s.\n", toupper((unsigned char)command->summary[0]), command->summary + 1);
    if (command->details) {
        out_print("\n");
        print_wrapped(command->details, 0, 96);
    }
    for (const struct option_group *const *group = command->groups; *group; group++) {
        out_print("\n%s:\n", (*group)->title);
        for (const struct option *row = (*group)->rows; row->name; row++) {
            option_usage(row, usage, sizeof usage);
            option_help_text(row, help, sizeof help);
            if (strlen(usage) > 28) out_print("  %s\n%*s", usage, 32, "");
            else out_print("  %-28s  ", usage);
            print_wrapped(help, 32, 100);
        }
    }
    if (command->example) out_print("\nExample:\n  %s\n", command->example);
}

/* ---- manual page */

static void man_text(const char *text) {
    bool line_start = true;
    for (; *text; text++) {
        if (*text == '\n' && text[1] == '\n') {
            out_print("\n.PP\n");
            text++;
            line_start = true;
            continue;
        }
        if (line_start && (*text == '.' || *text == '\'')) out_print("\\&");
        if (*text == '-') out_print("\\-");
        else if (*text == '\\') out_print("\\e");
        else out_write(text, 1);
        line_start = *text == '\n';
    }
}

static void man_option(const struct option *row) {
    char help[512];
    out_print(".TP\n.B ");
    if (row->letter) out_print("\\-%c, ", row->letter);
    out_print("\\-\\-");
    man_text(row->name);
    if (row->argument) {
        out_print(" \\fI");
        man_text(row->argument);
        out_print("\\fR");
    }
    out_print("\n");
    option_help_text(row, help, sizeof help);
    man_text(help);
    out_print(".\n");
}

void help_man(void) {
    out_print(".TH MOTE 1 \"\" \"mote %s\" \"User Commands\"\n", mote_version());
    out_print(".SH NAME\nmote \\- train, measure and run tiny transformers on a CPU\n");
    out_print(".SH SYNOPSIS\n");
    for (int i = 0; commands[i]; i++) {
        out_print(".B mote %s\n[\\fIoption\\fR...] \\fI", commands[i]->name);
        man_text(commands[i]->arguments);
        out_print("\\fR\n.br\n");
    }
    out_print(".SH DESCRIPTION\n");
    man_text("mote trains a small language model from a text file, measures it, and runs it. A model is one GGUF file "
             "that other programs open too. Data goes to standard output, everything else to standard error.");
    out_print("\n.SH COMMANDS\n");
    for (int i = 0; commands[i]; i++) {
        const struct command *command = commands[i];
        out_print(".SS mote %s ", command->name);
        man_text(command->arguments);
        out_print("\n");
        out_print("%c", toupper((unsigned char)command->summary[0]));
        man_text(command->summary + 1);
        out_print(".\n");
        if (command->details) {
            out_print(".PP\n");
            man_text(command->details);
            out_print("\n");
        }
        for (const struct option_group *const *group = command->groups; *group; group++) {
            if (*group == &group_common) continue; /* once for all, below */
            for (const struct option *row = (*group)->rows; row->name; row++) man_option(row);
        }
        if (command->example) {
            out_print(".PP\nExample:\n.PP\n.nf\n.RS\n");
            man_text(command->example);
            out_print("\n.RE\n.fi\n");
        }
    }
    out_print(".SH OPTIONS OF EVERY COMMAND\n");
    for (const struct option *row = group_common.rows; row->name; row++) man_option(row);
    out_print(".SH EXIT STATUS\n");
    for (int i = 0; i < N_EXIT_CODES; i++)
        out_print(".TP\n.B %d\n%s\n", exit_codes[i].code, exit_codes[i].text);
    out_print(".TP\n.B 128+n\nended by signal n\n");
    out_print(".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nwhen set and not empty, nothing is coloured\n");
}

/* ---- completion */

/* Letters, digits and _ of a command's name. */
static const char *identifier(const char *name, char out[32]) {
    int n = 0;
    for (; *name && n < 31; name++) out[n++] = isalnum((unsigned char)*name) ? *name : '_';
    out[n] = 0;
    return out;
}

/* The first word of a name; 0 where an earlier command begins with the same. */
static int first_word(int i) {
    size_t n = strcspn(commands[i]->name, " ");
    for (int j = 0; j < i; j++)
        if (strcspn(commands[j]->name, " ") == n && !strncmp(commands[j]->name, commands[i]->name, n)) return 0;
    return (int)n;
}

static void print_choices(const char *choices) {
    for (; *choices; choices++) out_write(*choices == '|' ? " " : choices, 1);
}

static void completion_bash(void) {
    char id[32];
    out_print("# bash completion of mote; source <(mote help --completion bash)\n_mote() {\n");
    out_print("    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}\n");
    out_print("    local options=\n");
    for (int i = 0; commands[i]; i++)
        if (strchr(commands[i]->name, ' '))
            out_print("    [[ \"$command ${COMP_WORDS[2]}\" == \"%s\" ]] && command=%s\n", commands[i]->name,
                      identifier(commands[i]->name, id));
    out_print("    if (( COMP_CWORD == 1 )); then\n        COMPREPLY=($(compgen -W \"");
    for (int i = 0; commands[i]; i++)
        if (first_word(i)) out_print("%s%.*s", i ? " " : "", first_word(i), commands[i]->name);
    out_print("\" -- \"$word\"))\n        return\n    fi\n    case $command,$before in\n");
    for (int i = 0; commands[i]; i++)
        for (const struct option_group *const *group = commands[i]->groups; *group; group++)
            for (const struct option *row = (*group)->rows; row->name; row++)
                if (row->kind == OPTION_CHOICE) {
                    out_print("    %s,--%s) COMPREPLY=($(compgen -W \"", identifier(commands[i]->name, id), row->name);
                    print_choices(row->argument);
                    out_print("\" -- \"$word\")); return ;;\n");
                }
    out_print("    esac\n    case $command in\n");
    for (int i = 0; commands[i]; i++) {
        out_print("    %s) options=\"", identifier(commands[i]->name, id));
        for (const struct option_group *const *group = commands[i]->groups; *group; group++)
            for (const struct option *row = (*group)->rows; row->name; row++) out_print(" --%s", row->name);
        out_print("\" ;;\n");
    }
    out_print("    esac\n    if [[ $word == -* ]]; then COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n");
    out_print("    elif [[ $command == help ]]; then COMPREPLY=($(compgen -W \"");
    for (int i = 0; commands[i]; i++)
        if (first_word(i)) out_print("%s%.*s", i ? " " : "", first_word(i), commands[i]->name);
    out_print("\" -- \"$word\"))\n    else COMPREPLY=($(compgen -f -- \"$word\")); fi\n}\n");
    out_print("complete -o filenames -F _mote mote\n");
}

/* Text inside '...' of a zsh _arguments specification: no quotes, and [ ] : escaped. */
static void zsh_text(const char *text) {
    for (; *text; text++) {
        if (*text == '\'') continue;
        if (strchr("[]:\\", *text)) out_print("\\");
        out_write(text, 1);
    }
}

static void completion_zsh(void) {
    char id[32];
    out_print("#compdef mote\n# zsh completion of mote; mote help --completion zsh > ~/.zfunc/_mote\n_mote() {\n");
    out_print("    local command=$words[2]\n");
    for (int i = 0; commands[i]; i++)
        if (strchr(commands[i]->name, ' '))
            out_print("    [[ \"$command $words[3]\" == \"%s\" ]] && command=%s\n", commands[i]->name,
                      identifier(commands[i]->name, id));
    out_print("    if (( CURRENT == 2 )); then\n        local -a list=(\n");
    for (int i = 0; commands[i]; i++) {
        if (!first_word(i)) continue;
        out_print("            '%.*s:", first_word(i), commands[i]->name);
        zsh_text(commands[i]->summary);
        out_print("'\n");
    }
    out_print("        )\n        _describe command list\n        return\n    fi\n    case $command in\n");
    for (int i = 0; commands[i]; i++) {
        out_print("    %s) _arguments", identifier(commands[i]->name, id));
        for (const struct option_group *const *group = commands[i]->groups; *group; group++)
            for (const struct option *row = (*group)->rows; row->name; row++) {
                out_print(" \\\n        '--%s[", row->name);
                zsh_text(row->help);
                out_print("]");
                if (row->kind == OPTION_CHOICE) {
                    out_print(":%s:(", row->name);
                    print_choices(row->argument);
                    out_print(")");
                } else if (row->argument) {
                    out_print(":%s:%s", row->argument, !strcmp(row->argument, "FILE") ? "_files" : "");
                }
                out_print("'");
            }
        out_print(" \\\n        '*:file:_files' ;;\n");
    }
    out_print("    esac\n}\ncompdef _mote mote\n");
}

static void fish_text(const char *text) {
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\') out_print("\\");
        out_write(text, 1);
    }
}

static void completion_fish(void) {
    out_print("# fish completion of mote; mote help --completion fish > ~/.config/fish/completions/mote.fish\n");
    for (int i = 0; commands[i]; i++) {
        if (!first_word(i)) continue;
        out_print("complete -c mote -n __fish_use_subcommand -f -a %.*s -d '", first_word(i), commands[i]->name);
        fish_text(commands[i]->summary);
        out_print("'\n");
    }
    for (int i = 0; commands[i]; i++) {
        const char *second = strchr(commands[i]->name, ' ');
        char first[32];
        snprintf(first, sizeof first, "%.*s", (int)strcspn(commands[i]->name, " "), commands[i]->name);
        for (const struct option_group *const *group = commands[i]->groups; *group; group++)
            for (const struct option *row = (*group)->rows; row->name; row++) {
                out_print("complete -c mote -n '__fish_seen_subcommand_from %s", first);
                if (second) out_print("; and __fish_seen_subcommand_from%s", second);
                out_print("' -l %s", row->name);
                if (row->letter) out_print(" -s %c", row->letter);
                if (row->kind == OPTION_CHOICE) {
                    out_print(" -x -a '");
                    print_choices(row->argument);
                    out_print("'");
                } else if (row->argument) {
                    out_print(" -r");
                }
                out_print(" -d '");
                fish_text(row->help);
                out_print("'\n");
            }
    }
}

mote_status help_completion(int shell) {
    static void (*const print[])(void) = {completion_bash, completion_zsh, completion_fish};
    print[shell]();
    return MOTE_OK;
}

static mote_status run_help(int n_arguments, const char *const *arguments, mote_error *error) {
    if (want_man && want_completion != UNSET)
        return mote_fail(error, MOTE_USAGE, "--man and --completion print different files: give one");
    if (want_man) return help_man(), MOTE_OK;
    if (want_completion != UNSET) return help_completion(want_completion);
    if (!n_arguments) return help_overview(), MOTE_OK;
    char name[64];
    snprintf(name, sizeof name, "%.30s%s%.30s", arguments[0], n_arguments > 1 ? " " : "",
             n_arguments > 1 ? arguments[1] : "");
    const struct command *command = command_find(name);
    if (command) return help_command(command), MOTE_OK;
    struct nearest nearest = {0};
    for (int i = 0; commands[i]; i++) nearest_try(&nearest, name, commands[i]->name);
    mote_fail(error, MOTE_USAGE, "mote has no command \"%s\"", name);
    if (nearest.best) return mote_hint(error, MOTE_USAGE, "did you mean %s?", nearest.best);
    return mote_hint(error, MOTE_USAGE, "mote help lists the commands");
}

const struct command command_help = {
    .name = "help",
    .arguments = "[COMMAND]",
    .summary = "explain the command or one of its verbs",
    .example = "mote help train",
    .least = 0,
    .most = 2,
    .groups = help_groups,
    .run = run_help,
};
