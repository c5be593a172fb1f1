/* The pipelines that GGUF files mean without saying so: what llama.cpp does for tokenizer.ggml.model and .pre. */
#include <string.h>

#include "text/staged.h"

typedef struct {
    mote_step steps[MOTE_MOST_STEPS];
    size_t n;
} step_list;

static mote_step *add(step_list *list, mote_step_kind kind) {
    mote_step *step = &list->steps[list->n++];
    step->kind = kind;
    return step;
}

static void replace(step_list *list, mote_step_kind kind, mote_string what, mote_string content) {
    mote_step *step = add(list, kind);
    step->text = what;
    step->content = content;
}

static void decode_spaces(step_list *list, bool prefix) {
    replace(list, MOTE_STEP_REPLACE_TEXT, MOTE_STRING(MOTE_SPACE_MARK), MOTE_STRING(" "));
    add(list, MOTE_STEP_BYTE_FALLBACK_TEXT);
    add(list, MOTE_STEP_FUSE);
    if (!prefix) return;
    mote_step *strip = add(list, MOTE_STEP_STRIP_TEXT);
    strip->text = MOTE_STRING(" ");
    strip->start = 1;
}

static mote_status derive_bpe(const mote_tokenizer_parts *parts, const char *name, step_list *list,
                              mote_pipeline *pipeline, mote_error *error) {
    mote_string wanted = parts->pre.size ? parts->pre : MOTE_STRING("gpt-2");
    const mote_pre_tokenizer *row = mote_pre_tokenizer_find(wanted);
    if (!row)
        return mote_fail(error, MOTE_BAD_FILE, "%s: the pre-tokenizer '%.*s' is not supported", name,
                         wanted.size < 40 ? (int)wanted.size : 40, wanted.bytes);
    for (const char *const *pattern = row->patterns; *pattern; pattern++) {
        mote_step *split = add(list, MOTE_STEP_SPLIT);
        split->text = (mote_string){*pattern, strlen(*pattern)};
        split->regex = true;
        split->behavior = MOTE_SPLIT_ISOLATED;
    }
    add(list, MOTE_STEP_BYTE_LEVEL);
    add(list, MOTE_STEP_BYTE_LEVEL_TEXT);
    pipeline->byte_level = true;
    pipeline->ignore_merges = row->ignore_merges;
    return MOTE_OK;
}

static void derive_unigram(const mote_tokenizer_parts *parts, step_list *list) {
    if (parts->charsmap.size) add(list, MOTE_STEP_PRECOMPILED)->text = parts->charsmap;
    mote_step *spaces = add(list, MOTE_STEP_SPACES);
    spaces->prefix = parts->add_space_prefix && !parts->treat_whitespace_as_suffix;
    spaces->suffix = parts->add_space_prefix && parts->treat_whitespace_as_suffix;
    spaces->join = parts->remove_extra_whitespaces;
    spaces->escape = parts->escape_whitespaces;
    decode_spaces(list, spaces->prefix || spaces->join);
}

static void derive_wordpiece(step_list *list, mote_pipeline *pipeline) {
    mote_step *bert = add(list, MOTE_STEP_BERT);
    bert->clean_text = bert->chinese = bert->strip_accents = bert->lowercase = true;
    add(list, MOTE_STEP_BERT_SPLIT);
    mote_step *text = add(list, MOTE_STEP_METASPACE_TEXT);
    text->text = MOTE_STRING(MOTE_SPACE_MARK);
    pipeline->word_prefix = MOTE_STRING(MOTE_SPACE_MARK);
}

mote_status mote_pipeline_derive(const mote_tokenizer_parts *parts, const char *name, mote_arena *arena,
                                 mote_pipeline *pipeline, mote_error *error) {
    step_list list = {.n = 0};
    *pipeline = (mote_pipeline){.fuse_unknown = true, .byte_fallback = true};
    if (mote_string_is(parts->model, "gpt2")) {
        mote_status status = derive_bpe(parts, name, &list, pipeline, error);
        if (status) return status;
    } else if (mote_string_is(parts->model, "llama")) {
        if (parts->add_space_prefix) add(&list, MOTE_STEP_PREPEND)->text = MOTE_STRING(" ");
        replace(&list, MOTE_STEP_REPLACE, MOTE_STRING(" "), MOTE_STRING(MOTE_SPACE_MARK));
        decode_spaces(&list, parts->add_space_prefix);
    } else if (mote_string_is(parts->model, "t5")) derive_unigram(parts, &list);
    else if (mote_string_is(parts->model, "bert")) derive_wordpiece(&list, pipeline);
    else
        return mote_fail(error, MOTE_BAD_FILE, "%s: the tokenizer model '%.*s' is not supported", name,
                         parts->model.size < 40 ? (int)parts->model.size : 40, parts->model.bytes);
    mote_step *steps = mote_arena_allocate(arena, list.n * sizeof *steps);
    if (!steps) return mote_fail_memory(error, "the steps of a tokenizer", list.n * sizeof *steps);
    memcpy(steps, list.steps, list.n * sizeof *steps);
    pipeline->steps = steps;
    pipeline->n_steps = list.n;
    return MOTE_OK;
}
