/* LoRA adapters: the first two bytes say how long adapter_config.json is, the rest is adapter_model.safetensors; or, if
 * it begins with GGUF, a GGUF adapter. Any bytes end in a status; what is merged leaves every weight in place. */
#include <stdint.h>
#include <string.h>

#include "formats/lora.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) __builtin_trap();
}

static mote_model *make_model(void) {
    mote_config c = mote_config_default(MOTE_FAMILY_LLAMA);
    mote_model *model = NULL;
    c.vocab = 10, c.dim = 8, c.layers = 1, c.heads = 2, c.kv_heads = 1, c.hidden = 12, c.context = 4, c.tied = false;
    require(mote_model_create(&c, NULL, 1, &model, NULL) == MOTE_OK);
    return model;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mote_error error = {0};
    mote_status status;
    mote_model *model = make_model();
    if (size >= 4 && !memcmp(data, "GGUF", 4)) {
        mote_gguf file;
        status = mote_gguf_parse(data, size, "input", &file, &error);
        if (status == MOTE_OK) status = mote_lora_merge_gguf(model, &file, 1, &error);
        mote_gguf_close(&file);
    } else {
        size_t n = size < 2 ? 0 : data[0] | (size_t)data[1] << 8, skip = size < 2 ? size : 2;
        if (n > size - skip) n = size - skip;
        char name[] = "input";
        mote_map config = {.bytes = data + skip, .size = n, .path = name},
                 weights = {.bytes = data + skip + n, .size = size - skip - n, .path = name};
        status = mote_peft_merge_bytes(model, &config, &weights, 1, &error);
    }
    require(status == MOTE_OK || status == MOTE_BAD_FILE || status == MOTE_MEMORY);
    require(status == MOTE_OK || (error.status == status && error.message[0]));
    for (int id = 0; id < model->program->n_tensors; id++)
        require(model->program->tensors[id].role != MOTE_ROLE_WEIGHT || model->weight[id]);
    mote_model_close(model);
    return 0;
}
