/* The options that go with a model wherever one is opened. */
#include "source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"
#include "paths.h"

const char *source_from;
static const char *tokenizer;
static struct string_list lora;
static double lora_scale = 1;

#define ADAPTER_ROWS                                                                                                   \
    {"lora", 0, OPTION_LIST, &lora, "ADAPTER", 0, 0, NULL,                                                             \
     "merge this LoRA adapter into the weights: a PEFT folder or a GGUF adapter; may be given several times"},         \
        {"lora-scale", 0, OPTION_NUMBER, &lora_scale, "X", -1000, 1000, "1", "times what the adapters add"},           \
    {                                                                                                                  \
        0                                                                                                              \
    }

static const struct option rows[] = {ADAPTER_ROWS};
static const struct option text_rows[] = {
    {"tokenizer", 0, OPTION_STRING, &tokenizer, "FILE", 0, 0, "the model's own",
     "use this tokenizer: tokenizer.bin of llama2.c, tokenizer.json or a Hugging Face folder with it, GGUF"},
    ADAPTER_ROWS,
};
static const struct option from_rows[] = {
    {"from", 0, OPTION_STRING, &source_from, "MODEL", 0, 0, NULL,
     "train this finished model further instead of a new one: any form that mote opens"},
    {"tokenizer-file", 0, OPTION_STRING, &tokenizer, "FILE", 0, 0, "the model's own",
     "the tokenizer of this file or Hugging Face folder: for a .bin of llama2.c, which holds none"},
    ADAPTER_ROWS,
};
const struct option_group group_source_from = {"Fine-tuning", from_rows};
const struct option_group group_source = {"Model", rows}, group_source_text = {"Model", text_rows};

bool source_has_adapters(void) { return lora.n > 0; }

mote_status source_spare(const char *output, mote_error *error) {
    mote_status status = tokenizer ? output_spare(tokenizer, output, "tokenizer", error) : MOTE_OK;
    for (int i = 0; i < lora.n && !status; i++) status = output_spare(lora.items[i], output, "adapter", error);
    return status;
}

/* A training run leaves a folder and checkpoints that are taken for its model. */
static mote_status fail_run(const char *path, mote_status status, mote_error *error) {
    char file[1024], model[1024];
    int length = (int)strlen(path);
    if (!length) return status;
    const bool checkpoint = length > 11 && !strcmp(path + length - 11, ".checkpoint");
    while (checkpoint && length && path[length - 1] != '/') length--;
    snprintf(file, sizeof file, "%.*s%srun.jsonl", length, path, length && path[length - 1] != '/' ? "/" : "");
    if (access(file, F_OK)) return status;
    while (length > 1 && path[length - 1] == '/') length--;
    const bool named = length > 4 && !strncmp(path + length - 4, ".run", 4);
    snprintf(model, sizeof model, "%.*s.gguf", named ? length - 4 : length, path);
    mote_fail(error, MOTE_BAD_FILE, "%s is %s of a training run, and no model", path,
              checkpoint ? "a checkpoint" : "the folder");
    if (named && !access(model, R_OK)) return mote_hint(error, MOTE_BAD_FILE, "the model of the run is %s", model);
    return mote_hint(error, MOTE_BAD_FILE, "the model of a run lies beside its folder: m.gguf beside m.run");
}

mote_status source_open(const char *path, mote_model **model, mote_error *error) {
    mote_open_options options = mote_open_options_default();
    options.tokenizer = tokenizer;
    options.lora = lora.items;
    options.n_lora = lora.n;
    options.lora_scale = (float)lora_scale;
    if (!lora.n && lora_scale != 1) {
        mote_fail(error, MOTE_USAGE, "--lora-scale needs a --lora ADAPTER");
        return mote_hint(error, MOTE_USAGE, "add --lora ADAPTER, or leave --lora-scale out");
    }
    mote_status status = mote_model_open_with(path, &options, model, error);
    return status == MOTE_BAD_FILE ? fail_run(path, status, error) : status;
}

mote_status source_no_model(const char *path, const char *hint, mote_error *error) {
    struct stat info;
    mote_model *model = NULL;
    const char *form = NULL;
    if (stat(path, &info)) return MOTE_OK;
    if (S_ISDIR(info.st_mode) && path_is_model_folder(path)) form = "Hugging Face";
    if (S_ISREG(info.st_mode) && !mote_model_open(path, &model, NULL)) form = mote_model_describe(model).form;
    mote_model_close(model);
    if (!form) return MOTE_OK;
    mote_fail(error, MOTE_BAD_FILE, "%s is a model (%s), where a text is needed", path, form);
    return mote_hint(error, MOTE_BAD_FILE, "%s", hint);
}

mote_status source_texts(const char *const *paths, int n, const mote_corpus_options *options, const char *hint,
                         mote_corpus **corpus, mote_error *error) {
    mote_status status = MOTE_OK;
    /* A folder of a model has texts in it that nobody means: config.json, vocab.json. */
    for (int i = 0; i < n && !status; i++)
        if (path_is_model_folder(paths[i])) status = source_no_model(paths[i], hint, error);
    if (status) return status;
    status = mote_corpus_open(paths, n, options, corpus, error);
    for (int i = 0; i < n && status == MOTE_BAD_FILE; i++)
        if (source_no_model(paths[i], hint, error)) return status;
    bool named = true; /* as something that is there: hints.c tells what is wrong with another name */
    static const int reasons[] = {ENOENT, ENOTDIR, ENAMETOOLONG};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        named &= !strstr(error->message, strerror(reasons[i]));
    if (status == MOTE_BAD_FILE && !error->hint[0] && named)
        mote_hint(error, status, "a text is a file in UTF-8, JSONL, or a folder of them");
    return status;
}
