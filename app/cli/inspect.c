/* mote inspect: keys and tensors of any GGUF file. */
#include <string.h>

#include "command.h"
#include "console.h"

static const struct option_group *const groups[] = {&group_json, &group_common, NULL};

static mote_status run_inspect(int n_arguments, const char *const *arguments, mote_error *error) {
    (void)n_arguments;
    char *text = NULL;
    mote_status status = mote_gguf_inspect(arguments[0], option_json, &text, error);
    if (status) return status;
    out_write(text, strlen(text));
    if (*text && text[strlen(text) - 1] != '\n') out_print("\n");
    mote_free(text);
    return MOTE_OK;
}

const struct command command_inspect = {
    .name = "inspect",
    .arguments = "FILE.gguf",
    .summary = "list the keys and tensors of any GGUF file",
    .details = "The file need not be a model that mote runs; everything in it is checked before it is shown.",
    .example = "mote inspect model.gguf",
    .least = 1,
    .most = 1,
    .groups = groups,
    .run = run_inspect,
};
