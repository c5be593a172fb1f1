/* What a model's folder says of its text: the chat template, kept as text and never run, from chat_template.jinja or
 * tokenizer_config.json (a string, or the one named "default" of a list). */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "formats/gguf.h"
#include "formats/huggingface.h"

enum { MOST_TEMPLATE_BYTES = 1 << 20, MOST_TEMPLATES = 64 };

static mote_status keep_template(mote_model *model, const char *path, const char *bytes, size_t size,
                                 mote_error *error) {
    if (size > MOST_TEMPLATE_BYTES)
        return mote_fail(error, MOTE_BAD_FILE, "%s: a chat template of %zu bytes; up to %d are read", path, size,
                         MOST_TEMPLATE_BYTES);
    for (size_t at = 0, n; at < size; at += n)
        if ((n = (size_t)mote_utf8_length(bytes + at, size - at)) == 0 || bytes[at] == '\0')
            return mote_fail(error, MOTE_BAD_FILE, "%s: its chat template is not UTF-8 text (byte %zu)", path, at);
    model->chat_template = mote_copy_bytes(bytes, size);
    return model->chat_template ? MOTE_OK : mote_fail_memory(error, "a chat template", size);
}

static mote_status find_template(mote_json_fields *fields, mote_model *model, mote_error *error) {
    const mote_json_field *field = mote_json_field_find(fields, "chat_template");
    char path[64];
    mote_string name, text = {0};
    if (!field) return MOTE_OK;
    if (field->kind != MOTE_JSON_ARRAY) mote_json_field_string(fields, "chat_template", &text);
    for (int i = 0; field->kind == MOTE_JSON_ARRAY && i < field->integer && i < MOST_TEMPLATES && !text.bytes; i++) {
        snprintf(path, sizeof path, "chat_template.%d.name", i);
        if (!mote_json_field_string(fields, path, &name) || strcmp(name.bytes, "default") != 0) continue;
        snprintf(path, sizeof path, "chat_template.%d.template", i);
        mote_json_field_string(fields, path, &text);
    }
    if (fields->status != MOTE_OK || !text.bytes) return fields->status;
    return keep_template(model, fields->name, text.bytes, text.size, error);
}

mote_status mote_huggingface_read_tokenizer(const char *folder, mote_model *model, mote_error *error) {
    char *jinja = NULL, *config = NULL;
    struct stat about;
    mote_map map = {0};
    mote_json_fields fields = {0};
    mote_status status = mote_huggingface_path(folder, "chat_template.jinja", &jinja, error);
    if (status == MOTE_OK) status = mote_huggingface_path(folder, "tokenizer_config.json", &config, error);
    if (status != MOTE_OK) goto done;
    if (stat(jinja, &about) == 0) {
        status = mote_map_open(jinja, &map, error);
        if (status == MOTE_OK) status = keep_template(model, jinja, (const char *)map.bytes, map.size, error);
    } else if (stat(config, &about) == 0) {
        status = mote_json_fields_open(config, &fields, error);
        if (status == MOTE_OK) status = find_template(&fields, model, error);
    }
done:
    mote_map_close(&map);
    mote_json_fields_close(&fields);
    mote_release(jinja);
    mote_release(config);
    return status;
}

mote_status mote_huggingface_put_tokenizer(const mote_model *model, mote_buffer *json, mote_buffer *config,
                                           mote_error *error) {
    const char *text = mote_chat_template_of(model);
    (void)json;
    if (!text) return MOTE_OK;
    mote_buffer_print(config, "{\n  \"chat_template\": ");
    mote_buffer_json_string(config, text, strlen(text));
    mote_buffer_print(config, "\n}\n");
    return config->failed ? mote_fail_memory(error, "a chat template", strlen(text)) : MOTE_OK;
}
