/* tokenizer_config.json: of its many keys those that say something about ids or chats. */
#include <string.h>

#include "formats/json_tree.h"
#include "formats/tokenizer_json.h"

mote_tokenizer_config mote_tokenizer_config_none(void) {
    mote_string empty = {"", 0};
    return (mote_tokenizer_config){empty, empty, empty, empty, -1, -1, empty, 0};
}

/* "<s>", {"content": "<s>", ...} or null. */
static mote_string token_content(mote_tree *tree, const mote_value *value) {
    mote_string none = {"", 0};
    if (mote_value_missing(value)) return none;
    if (value->kind == MOTE_JSON_OBJECT) value = mote_value_get(value, "content");
    if (value && value->kind == MOTE_JSON_STRING) return value->string;
    mote_tree_fail(tree, value, "a token was expected");
    return none;
}

/* A template, or a list of {"name", "template"} of which the default counts. */
static mote_string chat_template(mote_tree *tree, const mote_value *value) {
    mote_string none = {"", 0};
    if (mote_value_missing(value)) return none;
    if (value->kind == MOTE_JSON_STRING) return value->string;
    if (value->kind != MOTE_JSON_ARRAY) mote_tree_fail(tree, value, "a string or a list was expected");
    for (const mote_value *row = value->child; row && !tree->status; row = row->next) {
        mote_string name = mote_value_string(tree, row, "name"), text = mote_value_string(tree, row, "template");
        if (name.bytes && text.bytes && mote_string_is(name, "default")) return text;
    }
    return none;
}

static int flag(mote_tree *tree, const mote_value *value) {
    if (mote_value_missing(value)) return -1;
    if (value->kind != MOTE_JSON_TRUE && value->kind != MOTE_JSON_FALSE)
        mote_tree_fail(tree, value, "true or false was expected");
    return value->kind == MOTE_JSON_TRUE;
}

static void take_key(mote_tree *tree, int key, const mote_value *value, mote_tokenizer_config *config) {
    switch (key) {
    case 0: config->begin = token_content(tree, value); break;
    case 1: config->end = token_content(tree, value); break;
    case 2: config->unknown = token_content(tree, value); break;
    case 3: config->padding = token_content(tree, value); break;
    case 4: config->adds_begin = flag(tree, value); break;
    case 5: config->adds_end = flag(tree, value); break;
    case 6: config->chat_template = chat_template(tree, value); break;
    default: /* Hugging Face writes 1e30 for "no limit" */
        if (value->kind == MOTE_JSON_NUMBER && value->is_integer && value->integer > 0 && value->integer < INT32_MAX)
            config->most_tokens = value->integer;
    }
}

mote_status mote_tokenizer_config_read(const uint8_t *bytes, size_t size, const char *name, mote_arena *arena,
                                       mote_tokenizer_config *config, mote_error *error) {
    static const char *const keys[] = {"bos_token",     "eos_token",     "unk_token",     "pad_token",
                                       "add_bos_token", "add_eos_token", "chat_template", "model_max_length"};
    enum { N = sizeof keys / sizeof *keys };
    mote_tree tree;
    unsigned seen = 0;
    *config = mote_tokenizer_config_none();
    mote_tree_init(&tree, bytes, size, name, error);
    mote_json_kind kind = mote_tree_next(&tree);
    if (!tree.status && kind != MOTE_JSON_OBJECT) mote_tree_fail(&tree, NULL, "an object was expected");
    while (!tree.status && mote_tree_next(&tree) == MOTE_JSON_KEY) {
        int i = 0;
        while (i < N && (strlen(keys[i]) != tree.json.string.size ||
                         memcmp(keys[i], tree.json.string.bytes, tree.json.string.size) != 0))
            i++;
        kind = mote_tree_next(&tree);
        if (tree.status) break;
        if (i == N) {
            mote_json_skip(&tree.json, kind);
            continue;
        }
        if (seen & 1u << i) mote_tree_fail(&tree, NULL, "%s: the key is there twice", keys[i]);
        seen |= 1u << i;
        const mote_value *value = tree.status ? NULL : mote_tree_read(&tree, kind, keys[i]);
        if (value) take_key(&tree, i, value, config);
    }
    if (!tree.status) mote_tree_next(&tree);
    mote_string *strings[] = {&config->begin, &config->end, &config->unknown, &config->padding, &config->chat_template};
    for (size_t i = 0; i < 5 && !tree.status; i++) {
        if (strings[i]->size == 0) continue;
        strings[i]->bytes = mote_arena_string(arena, strings[i]->bytes, strings[i]->size);
        if (!strings[i]->bytes) tree.status = mote_fail_memory(error, name, strings[i]->size);
    }
    mote_status status = tree.status;
    mote_tree_deinit(&tree);
    if (status) *config = mote_tokenizer_config_none();
    return status;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void put_token(mote_buffer *out, const char *key, const mote_tokenizer_parts *parts, int32_t id) {
    if (id < 0) return;
    mote_buffer_print(out, "  \"%s\": ", key);
    mote_buffer_json_string(out, parts->tokens[id].bytes, parts->tokens[id].size);
    mote_buffer_append(out, ",\n", 2);
}

mote_status mote_tokenizer_config_write(const mote_tokenizer *tokenizer, const char *chat_template_text, int context,
                                        mote_buffer *out, mote_error *error) {
    mote_arena arena = {0};
    mote_tokenizer_parts parts;
    mote_status status = mote_tokenizer_to_parts(tokenizer, &arena, &parts, error);
    if (!status) {
        mote_buffer_append(out, "{\n", 2);
        put_token(out, "bos_token", &parts, parts.special[MOTE_SPECIAL_BEGIN]);
        put_token(out, "eos_token", &parts, parts.end);
        put_token(out, "unk_token", &parts, parts.unknown);
        put_token(out, "pad_token", &parts, parts.special[MOTE_SPECIAL_PADDING]);
        mote_buffer_print(out, "  \"add_bos_token\": %s,\n", parts.adds_begin ? "true" : "false");
        mote_buffer_print(out, "  \"add_eos_token\": %s,\n", parts.adds_end ? "true" : "false");
        if (chat_template_text) {
            mote_buffer_print(out, "  \"chat_template\": ");
            mote_buffer_json_string(out, chat_template_text, strlen(chat_template_text));
            mote_buffer_append(out, ",\n", 2);
        }
        if (context > 0) mote_buffer_print(out, "  \"model_max_length\": %d,\n", context);
        mote_buffer_print(out, "  \"clean_up_tokenization_spaces\": false,\n"
                               "  \"tokenizer_class\": \"PreTrainedTokenizerFast\"\n}\n");
        if (out->failed) status = mote_fail_memory(error, "tokenizer_config.json", out->size);
    }
    mote_arena_deinit(&arena);
    return status;
}
