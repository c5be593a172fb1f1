/* Words are tokens as they stand. Characters are kept in GPT-2's byte-to-unicode form, with the merges that make each
 * of its bytes, as in GGUF: mote_tokenizer_from_parts takes no other form of them. */
#include "formats/own_kinds.h"

#include <string.h>

#include "text/byte_form.h"
#include "text/string_set.h"

/* Keeps the buffer's text in the arena and empties the buffer. */
static mote_string take(mote_tree *tree, mote_buffer *text) {
    mote_string string = {text->failed ? NULL : mote_tree_keep(tree, text->bytes, text->size), text->size};
    if (text->failed && !tree->status) tree->status = mote_fail_memory(tree->error, tree->name, text->size);
    text->size = 0;
    return string;
}

static mote_status char_parts(mote_tree *tree, mote_tokenizer_parts *parts) {
    size_t n = parts->n_tokens, n_merges = 0;
    mote_string *tokens = mote_arena_allocate(&tree->arena, n * sizeof *tokens);
    mote_string *merges = mote_arena_allocate(&tree->arena, 3 * n * sizeof *merges);
    mote_buffer text = {0};
    mote_string_set set = {0};
    mote_byte_form form;
    mote_byte_form_init(&form);
    if (!tokens || !merges) return tree->status = mote_fail_memory(tree->error, tree->name, 4 * n * sizeof *tokens);
    for (size_t i = 0; i < n && !tree->status; i++) {
        tokens[i] = parts->tokens[i];
        if (parts->types[i] != MOTE_TOKEN_NORMAL) continue;
        mote_buffer_append(&text, "", 0);
        mote_byte_form_write(&form, tokens[i].bytes, tokens[i].size, &text);
        mote_string whole = parts->tokens[i];
        tokens[i] = take(tree, &text);
        for (size_t size = 2; size <= whole.size && size <= 4 && !tree->status; size++) {
            mote_byte_form_write(&form, whole.bytes, size - 1, &text);
            mote_buffer_append(&text, " ", 1);
            mote_byte_form_write(&form, whole.bytes + size - 1, 1, &text);
            bool added = false; /* characters with the same first bytes share their merges */
            if (text.failed || mote_string_set_add(&set, text.bytes, text.size, &added) == MOTE_NO_INDEX)
                tree->status = mote_fail_memory(tree->error, tree->name, set.pool_capacity);
            if (added) merges[n_merges++] = take(tree, &text);
            text.size = 0;
        }
    }
    mote_string_set_deinit(&set);
    mote_buffer_deinit(&text);
    parts->tokens = tokens;
    parts->merges = merges;
    parts->n_merges = n_merges;
    return tree->status;
}

/* Every token that text can become is one character. */
static bool all_characters(const mote_tokenizer_parts *parts) {
    for (size_t i = 0; i < parts->n_tokens; i++) {
        mote_string token = parts->tokens[i];
        if (parts->types[i] == MOTE_TOKEN_NORMAL &&
            (token.size == 0 || (size_t)mote_utf8_length(token.bytes, token.size) != token.size))
            return false;
    }
    return true;
}

mote_status mote_own_kind_parts(mote_tree *tree, mote_tokenizer_parts *parts) {
    const mote_pipeline *p = parts->pipeline;
    bool plain = mote_string_is(parts->model, "mote.bpe") && parts->n_merges == 0 && parts->unknown >= 0 &&
                 !p->byte_fallback && !p->fuse_unknown && !p->continuing_prefix.size && !p->end_of_word.size &&
                 !parts->adds_begin && !parts->adds_end;
    if (!plain || p->n_steps == 0 || p->n_steps > 2 || p->steps[p->n_steps - 1].kind != MOTE_STEP_FUSE) return MOTE_OK;
    const mote_step *split = &p->steps[0];
    bool words = p->n_steps == 2 && p->ignore_merges && split->kind == MOTE_STEP_SPLIT && split->regex &&
                 !split->invert && split->behavior == MOTE_SPLIT_ISOLATED &&
                 mote_string_is(split->text, MOTE_GPT2_PATTERN);
    bool chars = p->n_steps == 1 && !p->ignore_merges && all_characters(parts);
    if (!words && !chars) return MOTE_OK;
    for (size_t i = 0; i < parts->n_tokens; i++)
        if (parts->types[i] == MOTE_TOKEN_USER_DEFINED || parts->types[i] == MOTE_TOKEN_BYTE) return MOTE_OK;
    if (parts->types[parts->unknown] != MOTE_TOKEN_UNKNOWN) return MOTE_OK;
    parts->pipeline = NULL;
    parts->added = NULL;
    parts->model = words ? (mote_string){"mote.word", 9} : (mote_string){"gpt2", 4};
    parts->kind = words ? (mote_string){"word", 4} : (mote_string){"char", 4};
    parts->pre = (mote_string){"gpt-2", 5};
    return words ? MOTE_OK : char_parts(tree, parts);
}
