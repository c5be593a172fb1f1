/* Tokenizers to the form of GGUF's keys. */
#include <string.h>

#include "text/byte_form.h"
#include "text/staged.h"

static bool keep(mote_arena *arena, const mote_buffer *text, mote_string *string) {
    if (text->failed) return false;
    string->size = text->size;
    string->bytes = mote_arena_string(arena, text->size ? text->bytes : "", text->size);
    return string->bytes != NULL;
}

static void append_symbol(const mote_tokenizer *t, const mote_byte_form *form, uint32_t symbol, mote_buffer *text) {
    size_t n;
    const char *bytes = mote_string_set_get(&t->symbols, symbol, &n);
    bool literal = t->kind == MOTE_TOKENIZER_WORD || (t->staged && !t->staged->pipeline.byte_level) ||
                   (symbol < t->n_tokens && t->types[symbol] != MOTE_TOKEN_NORMAL);
    if (literal) mote_buffer_append(text, bytes, n);
    else mote_byte_form_write(form, bytes, n, text);
}

static const mote_step gpt2_steps[] = {{.kind = MOTE_STEP_BYTE_LEVEL, .use_regex = true},
                                       {.kind = MOTE_STEP_BYTE_LEVEL_TEXT}};
static const mote_pipeline gpt2_pipeline = {.steps = gpt2_steps, .n_steps = 2, .byte_level = true};

static void put_staged(const mote_staged *s, mote_tokenizer_parts *parts) {
    parts->model = s->model;
    parts->kind = (mote_string){"", 0};
    parts->pre = s->pre;
    parts->scores = s->scores;
    parts->added = s->added;
    parts->pipeline = &s->pipeline;
    parts->pipeline_derived = s->derived;
    parts->add_space_prefix = s->add_space_prefix;
    parts->remove_extra_whitespaces = s->remove_extra_whitespaces;
    parts->treat_whitespace_as_suffix = s->treat_whitespace_as_suffix;
    parts->escape_whitespaces = s->escape_whitespaces;
    parts->charsmap = s->charsmap;
}

mote_status mote_tokenizer_to_parts(const mote_tokenizer *tokenizer, mote_arena *arena, mote_tokenizer_parts *parts,
                                    mote_error *error) {
    const mote_tokenizer *t = tokenizer;
    const char *kind = mote_tokenizer_name(t), *model = t->kind == MOTE_TOKENIZER_WORD ? "mote.word" : "gpt2";
    size_t token_bytes = t->n_tokens * sizeof(mote_string), merge_bytes = t->n_merges * sizeof(mote_string);
    mote_string *tokens = mote_arena_allocate(arena, token_bytes), *merges = mote_arena_allocate(arena, merge_bytes);
    int32_t *types = mote_arena_allocate(arena, t->n_tokens * sizeof *types);
    uint32_t *splits = mote_arena_allocate(arena, t->n_merges * sizeof *splits);
    bool ok = tokens && merges && types && splits;
    mote_buffer text = {0};
    mote_byte_form form;
    mote_byte_form_init(&form);
    for (size_t i = 0; ok && i < t->n_tokens; i++) {
        text.size = 0;
        append_symbol(t, &form, (uint32_t)i, &text);
        ok = keep(arena, &text, &tokens[i]);
        types[i] = t->types[i];
    }
    for (size_t i = 0; ok && i < t->n_merges; i++) {
        text.size = 0;
        append_symbol(t, &form, t->merges[i].left, &text);
        splits[i] = (uint32_t)text.size;
        mote_buffer_append(&text, " ", 1);
        append_symbol(t, &form, t->merges[i].right, &text);
        ok = keep(arena, &text, &merges[i]);
    }
    mote_buffer_deinit(&text);
    if (!ok) return mote_fail_memory(error, "a tokenizer's strings", token_bytes + merge_bytes + t->symbols.pool_size);
    *parts = mote_tokenizer_parts_none();
    parts->model = (mote_string){model, strlen(model)};
    parts->kind = (mote_string){kind, strlen(kind)};
    parts->pre = (mote_string){"gpt-2", 5};
    parts->tokens = tokens;
    parts->types = types;
    parts->n_tokens = t->n_tokens;
    parts->merges = merges;
    parts->n_merges = t->n_merges;
    parts->end = t->end;
    parts->unknown = t->unknown;
    memcpy(parts->special, t->special, sizeof parts->special);
    parts->adds_begin = t->adds_begin;
    parts->adds_end = t->adds_end;
    parts->merge_splits = splits;
    parts->pipeline = t->kind == MOTE_TOKENIZER_WORD ? NULL : &gpt2_pipeline;
    parts->pipeline_derived = true;
    if (t->staged) put_staged(t->staged, parts);
    return MOTE_OK;
}
