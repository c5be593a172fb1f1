/* What a command writes and where: one rule for all of them. The ending says the form. What the run reads is never
 * replaced; a model that is there already only with --force; a file that is no model, or a folder of files without one,
 * not at all; a page or a report always. Everything is found out before any work is done. */
#ifndef MOTE_CLI_OUTPUT_H
#define MOTE_CLI_OUTPUT_H

#include "command.h"

extern int output_force;
#define OUTPUT_FORCE_ROW(help) {"force", 0, OPTION_FLAG, &output_force, NULL, 0, 0, NULL, help}

/* Refuses a path that `command` cannot write a model to: GGUF, or of any_form. *there: something is there that only
 * --force may replace. */
mote_status output_look(const struct command *command, const char *path, bool any_form, bool *there,
                        mote_error *error);
/* The refusal of what is there. */
mote_status output_keep(const char *path, mote_error *error);
/* Both, in all that a command with one output needs. */
mote_status output_check(const struct command *command, const char *path, bool any_form, mote_error *error);
/* The same for a page that ends with .html. */
mote_status output_check_page(const struct command *command, const char *path, mote_error *error);
/* Refuses an output that is the same file or folder as the input, or a folder with it inside, links followed; `what`
 * the input is. An input "-" is standard input. */
mote_status output_spare(const char *input, const char *output, const char *what, mote_error *error);
/* Bytes of the path without its ".gguf", in letters of any case. */
size_t output_stem(const char *path);

#endif
