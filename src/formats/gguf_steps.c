/* Tokenizers that GGUF's own keys cannot describe: their pipeline as an array of strings (mote.tokenizer.steps), and
 * their vocabulary in the form of the nearest model that other readers know. */
#include <stddef.h>
#include <string.h>

#include "base/hash.h"
#include "formats/gguf.h"

#define FLAG(name)                                                                                                     \
    { #name, offsetof(mote_step, name) }
static const struct {
    const char *name;
    size_t offset;
} step_flags[] = {FLAG(regex),         FLAG(invert),     FLAG(left),
                  FLAG(right),         FLAG(clean_text), FLAG(chinese),
                  FLAG(strip_accents), FLAG(lowercase),  FLAG(add_prefix_space),
                  FLAG(use_regex),     FLAG(individual), FLAG(split),
                  FLAG(cleanup),       FLAG(prefix),     FLAG(suffix),
                  FLAG(join),          FLAG(escape)};
#undef FLAG
#define FLAG(name)                                                                                                     \
    { #name, offsetof(mote_pipeline, name) }
static const struct {
    const char *name;
    size_t offset;
} model_flags[] = {FLAG(byte_level), FLAG(byte_fallback), FLAG(fuse_unknown), FLAG(ignore_merges)};
#undef FLAG
enum {
    N_STEP_FLAGS = sizeof step_flags / sizeof *step_flags,
    N_MODEL_FLAGS = sizeof model_flags / sizeof *model_flags
};
static const char *const stages[] = {"normalizer ", "pretokenizer ", "decoder "};

static bool flag_at(const void *object, size_t offset) { return ((const bool *)object)[offset]; }

static mote_string keep(mote_arena *arena, mote_buffer *text, bool *ok) {
    mote_string string = {mote_arena_string(arena, text->bytes ? text->bytes : "", text->size), text->size};
    *ok = *ok && !text->failed && string.bytes;
    text->size = 0;
    return string;
}

bool mote_pipeline_to_strings(const mote_pipeline *p, mote_arena *arena, mote_string **strings, size_t *n) {
    mote_buffer text = {0};
    mote_string *out = mote_arena_allocate(arena, 4 * (p->n_steps + 1) * sizeof *out);
    bool ok = out != NULL;
    *strings = out;
    *n = 4 * (p->n_steps + 1);
    if (!ok) return false;
    for (int i = 0; i < N_MODEL_FLAGS; i++)
        if (flag_at(p, model_flags[i].offset)) mote_buffer_print(&text, "%s ", model_flags[i].name);
    mote_buffer_print(&text, "most_word_characters=%u", p->most_word_characters);
    out[0] = keep(arena, &text, &ok);
    out[1] = p->continuing_prefix;
    out[2] = p->word_prefix;
    out[3] = p->end_of_word;
    for (size_t i = 0; i < p->n_steps && ok; i++) {
        const mote_step *step = &p->steps[i];
        mote_string *row = &out[4 * (i + 1)];
        mote_buffer_print(&text, "%s%s", stages[mote_step_stage(step->kind)], mote_step_name(step->kind));
        row[0] = keep(arena, &text, &ok);
        for (int k = 0; k < N_STEP_FLAGS; k++)
            if (flag_at(step, step_flags[k].offset)) mote_buffer_print(&text, "%s ", step_flags[k].name);
        mote_buffer_print(&text, "behavior=%d prepend=%d start=%u stop=%u", step->behavior, step->prepend, step->start,
                          step->stop);
        row[1] = keep(arena, &text, &ok);
        /* the map has a key of its own */
        row[2] = step->kind == MOTE_STEP_PRECOMPILED ? (mote_string){"", 0} : step->text;
        row[3] = step->content;
    }
    mote_buffer_deinit(&text);
    return ok;
}

/* Takes "name" or "name=number" from the front of a list. False: it is at its end. *number is -1 without one. */
static bool next_word(mote_string *list, mote_string *name, int64_t *number) {
    while (list->size && *list->bytes == ' ') list->bytes++, list->size--;
    *name = (mote_string){list->bytes, 0};
    *number = -1;
    while (list->size && *list->bytes != ' ' && *list->bytes != '=') list->bytes++, list->size--, name->size++;
    if (name->size && list->size && *list->bytes == '=') {
        list->bytes++, list->size--;
        for (*number = 0; list->size && *list->bytes >= '0' && *list->bytes <= '9'; list->bytes++, list->size--)
            if (*number < UINT32_MAX) *number = 10 * *number + (*list->bytes - '0');
    }
    return name->size > 0;
}

static bool read_step_flags(mote_string list, mote_step *step) {
    mote_string name;
    int64_t number;
    while (next_word(&list, &name, &number)) {
        int k = 0;
        while (k < N_STEP_FLAGS && !mote_string_is(name, step_flags[k].name)) k++;
        if (number > UINT32_MAX) return false;
        if (k < N_STEP_FLAGS) ((bool *)step)[step_flags[k].offset] = true;
        else if (mote_string_is(name, "behavior") && number >= 0 && number < MOTE_N_SPLITS)
            step->behavior = (uint8_t)number;
        else if (mote_string_is(name, "prepend") && number >= 0 && number < MOTE_N_PREPENDS)
            step->prepend = (uint8_t)number;
        else if (mote_string_is(name, "start") && number >= 0) step->start = (uint32_t)number;
        else if (mote_string_is(name, "stop") && number >= 0) step->stop = (uint32_t)number;
        else return false;
    }
    return list.size == 0;
}

static bool read_model_flags(mote_string list, mote_pipeline *pipeline) {
    mote_string name;
    int64_t number;
    while (next_word(&list, &name, &number)) {
        int k = 0;
        while (k < N_MODEL_FLAGS && !mote_string_is(name, model_flags[k].name)) k++;
        if (k < N_MODEL_FLAGS) ((bool *)pipeline)[model_flags[k].offset] = true;
        else if (mote_string_is(name, "most_word_characters") && number >= 0 && number <= UINT32_MAX)
            pipeline->most_word_characters = (uint32_t)number;
        else return false;
    }
    return list.size == 0;
}

mote_status mote_pipeline_from_strings(const mote_string *strings, size_t n, mote_string charsmap, const char *name,
                                       mote_arena *arena, mote_pipeline *pipeline, mote_error *error) {
    *pipeline = (mote_pipeline){.n_steps = n / 4 - (n >= 4)};
    if (n < 4 || n % 4 || pipeline->n_steps > 1000 || !read_model_flags(strings[0], pipeline))
        return mote_fail(error, MOTE_BAD_FILE, "%s: mote.tokenizer.steps has %zu strings that say nothing", name, n);
    pipeline->continuing_prefix = strings[1];
    pipeline->word_prefix = strings[2];
    pipeline->end_of_word = strings[3];
    mote_step *steps = mote_arena_allocate(arena, (pipeline->n_steps + 1) * sizeof *steps);
    if (!steps) return mote_fail_memory(error, "the steps of a tokenizer", n * sizeof *steps);
    pipeline->steps = steps;
    for (size_t i = 0; i < pipeline->n_steps; i++) {
        const mote_string *row = &strings[4 * (i + 1)];
        steps[i].kind = MOTE_N_STEPS;
        for (int stage = 0; stage < 3; stage++) {
            size_t skip = strlen(stages[stage]);
            if (row[0].size > skip && memcmp(row[0].bytes, stages[stage], skip) == 0)
                steps[i].kind =
                    mote_step_find((mote_stage)stage, (mote_string){row[0].bytes + skip, row[0].size - skip});
        }
        if (steps[i].kind == MOTE_N_STEPS || !read_step_flags(row[1], &steps[i]))
            return mote_fail(error, MOTE_BAD_FILE, "%s: step %zu of mote.tokenizer.steps, '%.*s', is not known", name,
                             i, row[0].size < 40 ? (int)row[0].size : 40, row[0].size ? row[0].bytes : "");
        steps[i].text = steps[i].kind == MOTE_STEP_PRECOMPILED ? charsmap : row[2];
        steps[i].content = row[3];
    }
    return MOTE_OK;
}

/* ---- vocabularies --------------------------------------------------------------------------------------------- */

#define MARK "\xE2\x96\x81"

static bool copy_steps(const mote_pipeline *pipeline, mote_arena *arena, mote_pipeline **copy, mote_step **steps) {
    *copy = mote_arena_allocate(arena, sizeof **copy);
    *steps = mote_arena_allocate(arena, (pipeline->n_steps + 1) * sizeof **steps);
    if (!*copy || !*steps) return false;
    **copy = *pipeline;
    if (pipeline->n_steps) memcpy(*steps, pipeline->steps, pipeline->n_steps * sizeof **steps);
    (*copy)->steps = *steps;
    return true;
}

/* WordPiece: "##ing" is "ing" in GGUF, and what begins a word has U+2581 before it. */
static bool fit_wordpiece(mote_tokenizer_parts *parts, mote_arena *arena) {
    mote_string mark = parts->pipeline->continuing_prefix;
    mote_string *tokens = mote_arena_allocate(arena, parts->n_tokens * sizeof *tokens);
    mote_pipeline *pipeline;
    mote_step *steps;
    mote_buffer text = {0};
    bool ok = tokens && copy_steps(parts->pipeline, arena, &pipeline, &steps);
    for (size_t i = 0; ok && i < parts->n_tokens; i++) {
        mote_string token = parts->tokens[i];
        tokens[i] = token;
        if (parts->types && parts->types[i] != MOTE_TOKEN_NORMAL) continue;
        if (mark.size && token.size > mark.size && memcmp(token.bytes, mark.bytes, mark.size) == 0) {
            tokens[i] = (mote_string){token.bytes + mark.size, token.size - mark.size};
            continue;
        }
        mote_buffer_append(&text, MARK, strlen(MARK));
        mote_buffer_append(&text, token.bytes, token.size);
        tokens[i] = keep(arena, &text, &ok);
    }
    mote_buffer_deinit(&text);
    if (!ok) return false;
    pipeline->word_prefix = (mote_string){MARK, strlen(MARK)};
    pipeline->continuing_prefix = (mote_string){"", 0};
    for (size_t i = 0; i < pipeline->n_steps; i++)
        if (steps[i].kind == MOTE_STEP_WORDPIECE_TEXT) {
            steps[i].kind = MOTE_STEP_METASPACE_TEXT;
            steps[i].text = pipeline->word_prefix;
        }
    parts->tokens = tokens;
    parts->pipeline = pipeline;
    return true;
}

/* BPE over characters that marks no word parts is SentencePiece's, when what a merge makes has the merge's place as its
 * score: the lower the rank, the better. */
static bool fit_merges(mote_tokenizer_parts *parts, mote_arena *arena) {
    float *scores = mote_arena_allocate(arena, parts->n_tokens * sizeof *scores);
    size_t n_slots = 64, n = parts->n_tokens;
    while (n_slots < 2 * n) n_slots *= 2;
    mote_gguf_index index = {mote_allocate_zero(n_slots, sizeof(uint32_t)), n_slots};
    mote_buffer text = {0};
    bool ok = scores && index.slots;
    for (size_t i = 0; ok && i < n; i++) {
        scores[i] = -(float)(parts->n_merges + 1);
        size_t slot = mote_hash_bytes(parts->tokens[i].bytes, parts->tokens[i].size, 0) & (n_slots - 1);
        while (index.slots[slot]) slot = (slot + 1) & (n_slots - 1);
        index.slots[slot] = (uint32_t)i + 1;
    }
    for (size_t i = parts->n_merges; ok && i-- > 0;) {
        mote_string merge = parts->merges[i];
        size_t left = parts->merge_splits[i];
        text.size = 0;
        mote_buffer_append(&text, merge.bytes, left);
        mote_buffer_append(&text, merge.bytes + left + 1, merge.size - left - 1);
        if (text.failed) ok = false;
        size_t slot = ok ? mote_hash_bytes(text.bytes, text.size, 0) & (n_slots - 1) : 0;
        for (; ok && index.slots[slot]; slot = (slot + 1) & (n_slots - 1)) {
            mote_string token = parts->tokens[index.slots[slot] - 1];
            if (token.size != text.size || memcmp(token.bytes, text.bytes, text.size) != 0) continue;
            scores[index.slots[slot] - 1] = -(float)i;
            break;
        }
    }
    mote_buffer_deinit(&text);
    mote_release(index.slots);
    parts->scores = scores;
    parts->model = (mote_string){"llama", 5};
    return ok;
}

bool mote_gguf_fit_tokenizer(mote_tokenizer_parts *parts, mote_arena *arena) {
    const mote_pipeline *p = parts->pipeline;
    if (!p || parts->pipeline_derived) return true;
    if (mote_string_is(parts->model, "bert") && p->word_prefix.size == 0) return fit_wordpiece(parts, arena);
    bool exact = parts->n_merges < 1 << 24; /* floats count that far */
    if (mote_string_is(parts->model, "mote.bpe") && exact && !p->ignore_merges && !p->continuing_prefix.size &&
        !p->end_of_word.size)
        return fit_merges(parts, arena);
    return true;
}
