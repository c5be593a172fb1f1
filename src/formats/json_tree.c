/* JSON as a tree, in bounded memory: a file has at most 65536 values in trees (8 MB), and strings without escapes stay
 * where they are in the file. */
#include "formats/json_tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK_BYTES = 1 << 16, PATH_BYTES = 200, PATH_DEPTH = 66, SHOWN_KEY = 40 };

void mote_tree_init(mote_tree *tree, const uint8_t *bytes, size_t size, const char *name, mote_error *error) {
    *tree = (mote_tree){.name = name, .error = error};
    mote_json_init(&tree->json, (const char *)bytes, size);
}

void mote_tree_deinit(mote_tree *tree) {
    mote_json_deinit(&tree->json);
    mote_arena_deinit(&tree->arena);
}

/* Where in the text: lines are counted only here. */
static void fail_json(mote_tree *tree) {
    size_t line = 1, start = 0;
    for (size_t i = 0; i < tree->json.at; i++)
        if (tree->json.text[i] == '\n') line++, start = i + 1;
    tree->status = mote_fail(tree->error, MOTE_BAD_FILE, "%s:%zu:%zu: %s", tree->name, line, tree->json.at - start + 1,
                             tree->json.problem);
}

mote_json_kind mote_tree_next(mote_tree *tree) {
    mote_json_kind kind = mote_json_next(&tree->json);
    if (kind != MOTE_JSON_ERROR || tree->status) return kind;
    if (tree->json.string.failed) tree->status = mote_fail_memory(tree->error, tree->name, tree->json.size);
    else fail_json(tree);
    return kind;
}

const char *mote_tree_keep(mote_tree *tree, const char *bytes, size_t n) {
    if (n == 0) return "";
    if (n >= BLOCK_BYTES / 4) {
        const char *own = mote_arena_string(&tree->arena, bytes, n);
        if (!own && !tree->status) tree->status = mote_fail_memory(tree->error, tree->name, n);
        return own;
    }
    if (tree->block_left < n) {
        tree->block = mote_arena_allocate(&tree->arena, BLOCK_BYTES);
        tree->block_left = tree->block ? BLOCK_BYTES : 0;
        if (!tree->block) {
            if (!tree->status) tree->status = mote_fail_memory(tree->error, tree->name, BLOCK_BYTES);
            return NULL;
        }
    }
    char *copy = tree->block;
    memcpy(copy, bytes, n);
    tree->block += n;
    tree->block_left -= n;
    return copy;
}

mote_string mote_tree_string(mote_tree *tree) {
    const mote_json *json = &tree->json;
    mote_string string = {json->string.bytes, json->string.size};
    size_t end = json->at;
    if (end > 0 && json->text[end - 1] == ':') { /* behind a key: back over the colon and spaces before it */
        const char *quote = memrchr(json->text, '"', end - 1);
        end = quote ? (size_t)(quote - json->text) + 1 : 0;
    }
    if (end >= string.size + 2 && json->text[end - 1] == '"' && json->text[end - 2 - string.size] == '"' &&
        memcmp(json->text + end - 1 - string.size, string.bytes, string.size) == 0)
        string.bytes = json->text + end - 1 - string.size;
    else string.bytes = mote_tree_keep(tree, string.bytes, string.size);
    return string;
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

static mote_value *new_value(mote_tree *tree, mote_json_kind kind, mote_value *parent) {
    if (tree->n_values++ == MOTE_TREE_VALUES) {
        mote_tree_fail(tree, parent, "more than %d values are not expected here", MOTE_TREE_VALUES);
        return NULL;
    }
    mote_value *value = mote_arena_allocate(&tree->arena, sizeof *value);
    if (!value) {
        if (!tree->status) tree->status = mote_fail_memory(tree->error, tree->name, sizeof *value);
        return NULL;
    }
    *value = (mote_value){.kind = kind, .parent = parent};
    if (kind == MOTE_JSON_STRING) value->string = mote_tree_string(tree);
    value->number = tree->json.number;
    value->integer = tree->json.integer;
    value->is_integer = kind == MOTE_JSON_NUMBER && tree->json.is_integer;
    return tree->status ? NULL : value;
}

/* Appends to the parent behind its last child; no key twice. */
static bool append(mote_tree *tree, mote_value *parent, mote_value *last, mote_value *value) {
    value->index = parent->n++;
    if (last) last->next = value;
    else parent->child = value;
    if (parent->kind != MOTE_JSON_OBJECT) return true;
    if (parent->n > 256) return mote_tree_fail(tree, parent, "it has more than 256 keys") == MOTE_OK;
    for (const mote_value *other = parent->child; other != value; other = other->next)
        if (mote_string_equal(other->key, value->key))
            return mote_tree_fail(tree, value, "the key is there twice") == MOTE_OK;
    return true;
}

mote_value *mote_tree_read(mote_tree *tree, mote_json_kind first, const char *key) {
    mote_value *last[64]; /* child of each container that is open; the reader goes no deeper */
    int depth = 0;
    mote_value *top = new_value(tree, first, NULL), *parent = top;
    if (!top) return NULL;
    top->key = (mote_string){key, strlen(key)};
    if (first != MOTE_JSON_OBJECT && first != MOTE_JSON_ARRAY) return top;
    last[0] = NULL;
    while (parent) {
        mote_json_kind kind = mote_tree_next(tree);
        mote_string own = {"", 0};
        if (kind == MOTE_JSON_OBJECT_END || kind == MOTE_JSON_ARRAY_END) {
            parent = parent->parent;
            depth--;
            continue;
        }
        if (kind == MOTE_JSON_KEY) {
            own = mote_tree_string(tree);
            kind = mote_tree_next(tree);
        }
        if (tree->status) return NULL;
        mote_value *value = new_value(tree, kind, parent);
        if (!value) return NULL;
        value->key = own;
        if (!append(tree, parent, last[depth], value)) return NULL;
        last[depth] = value;
        if (kind == MOTE_JSON_OBJECT || kind == MOTE_JSON_ARRAY) {
            parent = value;
            last[++depth] = NULL;
        }
    }
    return top;
}

mote_status mote_tree_fail(mote_tree *tree, const mote_value *at, const char *format, ...) {
    if (tree->status) return tree->status;
    const mote_value *way[PATH_DEPTH];
    int n = 0;
    for (; at && n < PATH_DEPTH; at = at->parent) way[n++] = at;
    char path[PATH_BYTES] = "", what[300];
    size_t length = 0;
    while (n-- > 0 && length + SHOWN_KEY + 30 < sizeof path) {
        const mote_value *value = way[n];
        int size = value->key.size > SHOWN_KEY ? SHOWN_KEY : (int)value->key.size;
        bool in_array = value->parent && value->parent->kind == MOTE_JSON_ARRAY;
        length += (size_t)(in_array ? snprintf(path + length, sizeof path - length, "[%zu]", value->index)
                                    : snprintf(path + length, sizeof path - length, "%s%.*s", length ? "." : "", size,
                                               value->key.bytes));
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    tree->status = mote_fail(tree->error, MOTE_BAD_FILE, "%s: %s%s%s", tree->name, path, length ? ": " : "", what);
    return tree->status;
}

const mote_value *mote_value_get(const mote_value *object, const char *key) {
    if (!object || object->kind != MOTE_JSON_OBJECT) return NULL;
    for (const mote_value *child = object->child; child; child = child->next)
        if (mote_string_is(child->key, key)) return child;
    return NULL;
}

bool mote_value_bool(mote_tree *tree, const mote_value *object, const char *key, bool missing) {
    const mote_value *value = mote_value_get(object, key);
    if (mote_value_missing(value)) return missing;
    if (value->kind != MOTE_JSON_TRUE && value->kind != MOTE_JSON_FALSE)
        mote_tree_fail(tree, value, "true or false was expected");
    return value->kind == MOTE_JSON_TRUE;
}

mote_string mote_value_string(mote_tree *tree, const mote_value *object, const char *key) {
    const mote_value *value = mote_value_get(object, key);
    if (mote_value_missing(value)) return (mote_string){NULL, 0};
    if (value->kind != MOTE_JSON_STRING) mote_tree_fail(tree, value, "a string was expected");
    return value->string;
}

void mote_value_only(mote_tree *tree, const mote_value *object, const char *const *keys) {
    for (const mote_value *child = object->child; child; child = child->next) {
        size_t i = 0;
        while (keys[i] && !mote_string_is(child->key, keys[i])) i++;
        if (!keys[i]) mote_tree_fail(tree, child, "this key is not understood");
    }
}
