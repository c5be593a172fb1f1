/* mote init: a model file with random weights, for benchmarks and tests. */
#include "command.h"
#include "console.h"
#include "output.h"
#include "setup.h"

static const char *output;
static const struct option rows[] = {
    {"output", 'o', OPTION_STRING, &output, "FILE", 0, 0, NULL, "the model file to write"},
    OUTPUT_FORCE_ROW("replace a model that is there already"),
    {0},
};
static const struct option_group group = {"Files", rows};
static const struct option_group *const groups[] = {&group,      &group_vocab, &group_shape,  &group_seed,
                                                    &group_type, &group_json,  &group_common, NULL};

static mote_status run_init(int n_arguments, const char *const *arguments, mote_error *error) {
    (void)n_arguments, (void)arguments;
    if (!output) {
        mote_fail(error, MOTE_USAGE, "mote init needs -o FILE, the model to write");
        return mote_hint(error, MOTE_USAGE, "%s", command_init.example);
    }
    mote_status status = output_check(&command_init, output, false, error);
    if (status) return status;
    mote_config config = setup_config();
    config.vocab = setup.vocab == UNSET_INTEGER ? 256 : (int)setup.vocab;
    status = mote_config_complete(&config, error);
    if (status) return status;
    mote_model *model = NULL;
    status = mote_model_create(&config, NULL, setup_seed(), &model, error);
    if (!status) status = mote_model_save(model, output, setup_type(), error);
    mote_model_close(model);
    if (status) return status;
    char count[SHORT_TEXT];
    unsigned long long parameters = mote_config_parameters(&config);
    note("%s: %s, %d layer%s of %d, %s parameters, random weights", output, mote_family_name(config.family),
         config.layers, plural((uint64_t)config.layers), config.dim, text_count((double)parameters, count));
    if (!option_json) return MOTE_OK;
    mote_buffer buffer = {0};
    mote_buffer_print(&buffer, "{\"model\":");
    mote_buffer_json_string(&buffer, output, __builtin_strlen(output));
    mote_buffer_print(&buffer, ",\"parameters\":%llu}\n", parameters);
    return out_buffer(&buffer, error);
}

const struct command command_init = {
    .name = "init",
    .arguments = "",
    .summary = "write a model with random weights",
    .details = "For benchmarks and tests. The model has no tokenizer. What is not given is chosen for the family.",
    .example = "mote init -o random.gguf --dim 256 --layers 6 --vocab 4096",
    .least = 0,
    .most = 0,
    .groups = groups,
    .run = run_init,
};
