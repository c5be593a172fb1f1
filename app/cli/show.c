/* mote show: the op list of a model, with shapes, types, FLOPs and bytes. */
#include <string.h>

#include "command.h"
#include "console.h"
#include "source.h"

static int64_t position;
static const struct option rows[] = {
    {"position", 0, OPTION_INTEGER, &position, "N", 0, 1048575, "0", "count the cost of a token at this position"},
    {0},
};
static const struct option_group group = {"What to show", rows};
static const struct option_group *const groups[] = {&group, &group_json, &group_common, NULL};

static mote_status run_show(int n_arguments, const char *const *arguments, mote_error *error) {
    (void)n_arguments;
    mote_model *model = NULL;
    char *text = NULL;
    mote_status status = source_open(arguments[0], &model, error);
    if (!status && position >= mote_model_config(model).context)
        status = mote_fail(error, MOTE_USAGE, "--position is %lld, but the context of %s is %d", (long long)position,
                           arguments[0], mote_model_config(model).context);
    if (!status) status = mote_model_show(model, (int)position, option_json, &text, error);
    if (!status) {
        out_write(text, strlen(text));
        if (*text && text[strlen(text) - 1] != '\n') out_print("\n");
    }
    mote_free(text);
    mote_model_close(model);
    return status;
}

const struct command command_show = {
    .name = "show",
    .arguments = "MODEL",
    .summary = "print the program of a model: its ops with shapes, FLOPs and bytes",
    .example = "mote show model.gguf --position 100",
    .least = 1,
    .most = 1,
    .groups = groups,
    .run = run_show,
};
