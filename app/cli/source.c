/* The options that go with a model wherever one is opened. */
#include "source.h"

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

mote_status source_open(const char *path, mote_model **model, mote_error *error) {
    mote_open_options options = mote_open_options_default();
    options.tokenizer = tokenizer;
    options.lora = lora.items;
    options.n_lora = lora.n;
    options.lora_scale = (float)lora_scale;
    if (!lora.n && lora_scale != 1) return mote_fail(error, MOTE_USAGE, "--lora-scale needs a --lora ADAPTER");
    return mote_model_open_with(path, &options, model, error);
}
