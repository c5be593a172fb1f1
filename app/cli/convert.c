/* mote convert: a model of any form to another form, another weight type, with another tokenizer, adapters merged. What
 * was written is opened again, so that the summary tells of the file and not of the wish. */
#include <string.h>

#include "command.h"
#include "console.h"
#include "output.h"
#include "source.h"

enum { KEEP = -1 };
static int type = KEEP;
static const struct option rows[] = {
    {"type", 0, OPTION_CHOICE, &type, "f32|f16|bf16|q8_0|q4_0", 0, 0, "each tensor keeps its own",
     "type of the weights"},
    OUTPUT_FORCE_ROW("replace a model that is there already"),
    {0},
};
static const struct option_group group = {"Result", rows};
static const struct option_group *const groups[] = {&group, &group_source_text, &group_json, &group_common,
                                                    NULL};

static void print_side(mote_buffer *buffer, const char *key, const char *path, const mote_model_info *info) {
    mote_buffer_print(buffer, "\"%s\":{\"path\":", key);
    mote_buffer_json_string(buffer, path, strlen(path));
    mote_buffer_print(buffer, ",\"form\":\"%s\",\"type\":\"%s\",\"tensors\":%d,\"weight_bytes\":%llu}", info->form,
                      mote_type_name(info->type), info->tensors, (unsigned long long)info->bytes);
}

/* What became of the weights where nobody asked for it. */
static void explain(const mote_model_info *from, const mote_model_info *to) {
    if (type != KEEP || from->type == to->type) return;
    note("weights are now %s: %s holds no %s, and %s holds all its values", mote_type_name(to->type), to->form,
         mote_type_name(from->type), mote_type_name(to->type));
}

static mote_status print_result(const char *const *paths, const mote_model *from, const mote_model *to,
                                mote_error *error) {
    mote_model_info before = mote_model_describe(from), after = mote_model_describe(to);
    const mote_tokenizer *tokenizer = mote_model_tokenizer(to);
    mote_buffer buffer = {0};
    explain(&before, &after);
    if (option_json) {
        mote_buffer_print(&buffer, "{");
        print_side(&buffer, "from", paths[0], &before);
        mote_buffer_print(&buffer, ",");
        print_side(&buffer, "to", paths[1], &after);
        mote_buffer_print(&buffer, ",\"parameters\":%llu,\"tokenizer\":", (unsigned long long)after.parameters);
        if (tokenizer) mote_buffer_print(&buffer, "\"%s\"}\n", mote_tokenizer_name(tokenizer));
        else mote_buffer_print(&buffer, "null}\n");
    } else {
        char sizes[2][SHORT_TEXT], count[SHORT_TEXT];
        mote_buffer_print(&buffer, "%s %s -> %s %s\n", before.form, mote_type_name(before.type), after.form,
                          mote_type_name(after.type));
        mote_buffer_print(&buffer, "%d tensors, %s parameters, %s -> %s, %s%s\n", after.tensors,
                          text_count((double)after.parameters, count), text_bytes((double)before.bytes, sizes[0]),
                          text_bytes((double)after.bytes, sizes[1]),
                          tokenizer ? "tokenizer " : "no tokenizer", tokenizer ? mote_tokenizer_name(tokenizer) : "");
    }
    return out_buffer(&buffer, error);
}

static mote_status run_convert(int n_arguments, const char *const *arguments, mote_error *error) {
    (void)n_arguments;
    static const mote_type types[] = {MOTE_TYPE_F32, MOTE_TYPE_F16, MOTE_TYPE_BF16, MOTE_TYPE_Q8_0, MOTE_TYPE_Q4_0};
    mote_model *from = NULL, *to = NULL;
    mote_status status = output_spare(arguments[0], arguments[1], "model to convert", error);
    if (!status) status = source_spare(arguments[1], error);
    if (!status) status = output_check(&command_convert, arguments[1], true, error);
    if (!status) status = source_open(arguments[0], &from, error);
    /* Again: while a large model was opened, another run may have written one of this name. */
    if (!status) status = output_check(&command_convert, arguments[1], true, error);
    if (!status) status = mote_model_export(from, arguments[1], type == KEEP ? MOTE_TYPE_KEEP : types[type], error);
    if (!status) status = mote_model_open(arguments[1], &to, error);
    if (!status) {
        const char *problem = mote_model_tokenizer_problem(from);
        if (problem) warn("the tokenizer was not written: %.450s", problem);
        else if (mote_model_tokenizer(from) && !mote_model_tokenizer(to))
            warn("%s files have no place for a tokenizer: give %s as --tokenizer where text is read or written",
                 mote_model_describe(to).form, arguments[0]);
        status = print_result(arguments, from, to, error);
    }
    mote_model_close(from);
    mote_model_close(to);
    return status;
}

const struct command command_convert = {
    .name = "convert",
    .arguments = "IN OUT",
    .summary = "write a model in another form",
    .details =
        "IN is a model of any form, told by its content: GGUF, a .bin file of llama2.c (versions 0, 1 and 2), a folder "
        "of Hugging Face. The ending of OUT says what is written: .gguf, .bin (llama2.c, version 0, f32), none or a / "
        "at the end (a Hugging Face folder). Without --type each tensor keeps its type where the form has it, else "
        "takes one that holds all its values. Adapters of --lora are merged into the weights.",
    .example = "mote convert stories15M.bin stories15M.gguf --tokenizer tokenizer.bin",
    .least = 2,
    .most = 2,
    .groups = groups,
    .run = run_convert,
};
