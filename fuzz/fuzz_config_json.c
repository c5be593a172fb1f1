/* config.json and generation_config.json: any bytes end in a status; a shape that is read is in range, and if a model
 * can be built from it, what is written for that model is read as the same shape. */
#include <string.h>

#include "formats/huggingface.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) __builtin_trap();
}

static mote_status read(const uint8_t *data, size_t size, mote_huggingface_shape *shape, mote_generation_hints *hints,
                        mote_error *error) {
    mote_json_fields fields;
    *hints = MOTE_NO_HINTS;
    mote_status status = mote_json_fields_parse(data, size, "input", &fields, error);
    for (size_t i = 1; status == MOTE_OK && i < fields.n_fields; i++)
        require(strcmp(fields.fields[i - 1].path, fields.fields[i].path) < 0);
    if (status == MOTE_OK) status = mote_huggingface_read_shape(&fields, shape, error);
    if (status == MOTE_OK) mote_huggingface_read_hints(&fields, hints);
    if (status == MOTE_OK) status = fields.status;
    mote_json_fields_close(&fields);
    return status;
}

static void check_again(const mote_huggingface_shape *shape, const mote_generation_hints *hints) {
    const mote_config *c = &shape->config;
    mote_model *model;
    mote_huggingface_shape out, back;
    mote_generation_hints hints_back;
    mote_error error = {0};
    mote_buffer json = {0};
    if (c->layers > 8 || mote_model_allocate(c, false, &model, NULL) != MOTE_OK) return;
    model->hints = *hints;
    if (mote_huggingface_shape_of(model, &out, &error) == MOTE_OK) {
        mote_huggingface_put_config(&out, model, MOTE_TYPE_F32, &json);
        require(!json.failed);
        require(read((const uint8_t *)json.bytes, json.size, &back, &hints_back, &error) == MOTE_OK);
        mote_config a = model->config, b = back.config;
        require(mote_config_complete(&b, &error) == MOTE_OK);
        require(a.family == b.family && a.vocab == b.vocab && a.context == b.context && a.dim == b.dim);
        require(a.layers == b.layers && a.heads == b.heads && a.kv_heads == b.kv_heads && a.head_dim == b.head_dim);
        require(a.hidden == b.hidden && a.window == b.window && a.tied == b.tied && a.bias == b.bias);
        require(a.norm_epsilon == b.norm_epsilon && a.rope_base == b.rope_base && a.rope_scaling == b.rope_scaling);
        require(a.rope_factor == b.rope_factor && a.rope_low == b.rope_low && a.rope_high == b.rope_high);
        require(a.rope_base_window == b.rope_base_window && a.rope_attention_factor == b.rope_attention_factor);
        require(hints_back.n_end == hints->n_end);
    }
    mote_buffer_deinit(&json);
    mote_model_close(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mote_huggingface_shape shape;
    mote_generation_hints hints;
    mote_error error = {0};
    mote_status status = read(data, size, &shape, &hints, &error);
    require(status == MOTE_OK || status == MOTE_BAD_FILE || status == MOTE_MEMORY);
    require(status == MOTE_OK || (error.status == status && error.message[0]));
    if (status != MOTE_OK) return 0;
    require(shape.kind && shape.config.layers >= 1 && shape.config.layers <= MOTE_MOST_LAYERS);
    require(shape.config.dim >= 1 && shape.config.dim <= MOTE_MOST_DIM && shape.config.heads >= 1);
    require(hints.n_end >= 0 && hints.n_end <= MOTE_MOST_ENDS);
    check_again(&shape, &hints);
    return 0;
}
