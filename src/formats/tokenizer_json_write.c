/* Tokenizer -> tokenizer.json. What GGUF keeps in another shape is put into Hugging Face's: the scores of
 * SentencePiece's pairs become merges, WordPiece's marks of word beginnings become marks of what goes on, and mote's
 * words and characters a BPE without merges. */
#include <stdlib.h>
#include <string.h>

#include "formats/json_tree.h"
#include "formats/tokenizer_json.h"
#include "formats/tokenizer_steps.h"
#include "formats/own_kinds.h"
#include "text/byte_form.h"
#include "text/string_set.h"

typedef struct {
    mote_tokenizer_parts parts;
    const mote_pipeline *pipeline;
    mote_byte_form byte_form;
    mote_buffer *out;
    mote_error *error;
} sink;

static void put(sink *s, const char *text) { mote_buffer_append(s->out, text, strlen(text)); }
static void put_string(sink *s, mote_string string) {
    mote_buffer_json_string(s->out, string.size ? string.bytes : "", string.size);
}
static void put_flag(sink *s, const char *key, bool value) {
    mote_buffer_print(s->out, ",\"%s\":%s", key, value ? "true" : "false");
}
/* A string, null where it is empty. */
static void put_or_null(sink *s, const char *key, mote_string string) {
    mote_buffer_print(s->out, ",\"%s\":", key);
    if (string.size) put_string(s, string);
    else put(s, "null");
}

static int type_of(const mote_tokenizer_parts *parts, size_t id) {
    return parts->types ? parts->types[id] : MOTE_TOKEN_NORMAL;
}

/* The token as Hugging Face spells it; *scratch holds what had to be built. */
static mote_string spelled(const sink *s, size_t id, mote_buffer *scratch) {
    const mote_tokenizer_parts *parts = &s->parts;
    mote_string token = parts->tokens[id];
    int type = type_of(parts, id);
    if (type != MOTE_TOKEN_NORMAL && type != MOTE_TOKEN_BYTE) return token;
    scratch->size = 0;
    if (mote_string_is(parts->kind, "char") && type == MOTE_TOKEN_NORMAL) {
        mote_byte_form_read(&s->byte_form, token.bytes, token.size, scratch);
        return (mote_string){scratch->bytes, scratch->size};
    }
    mote_string prefix = s->pipeline ? s->pipeline->word_prefix : (mote_string){"", 0};
    if (prefix.size == 0) return token;
    if (token.size > prefix.size && memcmp(token.bytes, prefix.bytes, prefix.size) == 0)
        return (mote_string){token.bytes + prefix.size, token.size - prefix.size};
    mote_buffer_append(scratch, "##", 2);
    mote_buffer_append(scratch, token.bytes, token.size);
    return (mote_string){scratch->bytes, scratch->size};
}

static void put_vocab(sink *s) {
    mote_buffer scratch = {0};
    put(s, ",\"vocab\":{");
    for (size_t id = 0; id < s->parts.n_tokens; id++) {
        if (id) put(s, ",");
        put_string(s, spelled(s, id, &scratch));
        mote_buffer_print(s->out, ":%zu", id);
    }
    put(s, "}");
    if (scratch.failed) s->out->failed = true;
    mote_buffer_deinit(&scratch);
}

static void put_scores(sink *s) {
    put(s, ",\"vocab\":[");
    for (size_t id = 0; id < s->parts.n_tokens; id++) {
        put(s, id ? ",[" : "[");
        put_string(s, s->parts.tokens[id]);
        put(s, ",");
        mote_buffer_json_number(s->out, s->parts.scores ? (double)s->parts.scores[id] : 0);
        put(s, "]");
    }
    put(s, "]");
}

/* ---- merges ------------------------------------------------------------------------------------------------------ */

static void put_merges(sink *s) {
    const mote_tokenizer_parts *parts = &s->parts;
    put(s, ",\"merges\":[");
    for (size_t i = 0; i < parts->n_merges; i++) {
        mote_string merge = parts->merges[i];
        if (i) put(s, ",");
        if (!parts->merge_splits) { /* the form that every version reads */
            put_string(s, merge);
            continue;
        }
        size_t left = parts->merge_splits[i];
        put(s, "[");
        put_string(s, (mote_string){merge.bytes, left});
        put(s, ",");
        put_string(s, (mote_string){merge.bytes + left + 1, merge.size - left - 1});
        put(s, "]");
    }
    put(s, "]");
}

typedef struct {
    float score;
    uint32_t left_points, right_points, result, left, right; /* ids */
} scored_merge;

/* The order of Hugging Face's converter: by the score of the whole, then by the lengths of left and right in
 * characters, all descending; then by id. */
static int compare_merges(const void *a, const void *b) {
    const scored_merge *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    if (x->left_points != y->left_points) return x->left_points > y->left_points ? -1 : 1;
    if (x->right_points != y->right_points) return x->right_points > y->right_points ? -1 : 1;
    if (x->result != y->result) return x->result < y->result ? -1 : 1;
    if (x->left != y->left) return x->left < y->left ? -1 : 1;
    return x->right < y->right ? -1 : x->right > y->right;
}

static uint32_t count_points(const char *bytes, size_t n) {
    uint32_t points = 0;
    for (size_t i = 0; i < n; i++) points += ((unsigned char)bytes[i] & 0xc0) != 0x80;
    return points;
}

/* Every way to make a piece of two others. */
static bool find_scored_merges(const sink *s, const mote_string_set *pieces, scored_merge **merges, size_t *n) {
    const mote_tokenizer_parts *parts = &s->parts;
    size_t capacity = 0;
    for (size_t id = 0; id < parts->n_tokens; id++) {
        mote_string piece = parts->tokens[id];
        if (type_of(parts, id) != MOTE_TOKEN_NORMAL) continue;
        for (size_t left = 1; left < piece.size; left++) {
            if (((unsigned char)piece.bytes[left] & 0xc0) == 0x80) continue;
            uint32_t a = mote_string_set_find(pieces, piece.bytes, left);
            if (a == MOTE_NO_INDEX || type_of(parts, a) != MOTE_TOKEN_NORMAL) continue;
            uint32_t b = mote_string_set_find(pieces, piece.bytes + left, piece.size - left);
            if (b == MOTE_NO_INDEX || type_of(parts, b) != MOTE_TOKEN_NORMAL) continue;
            if (!mote_grow((void **)merges, &capacity, *n + 1, sizeof **merges)) return false;
            (*merges)[(*n)++] =
                (scored_merge){parts->scores ? parts->scores[id] : 0, count_points(piece.bytes, left),
                               count_points(piece.bytes + left, piece.size - left), (uint32_t)id, a, b};
        }
    }
    return true;
}

static mote_status put_scored_merges(sink *s) {
    mote_string_set pieces = {0};
    scored_merge *merges = NULL;
    size_t n = 0;
    bool ok = true;
    for (size_t id = 0; id < s->parts.n_tokens && ok; id++) { /* ids are distinct strings, so numbers are ids */
        mote_string piece = s->parts.tokens[id];
        ok = mote_string_set_add(&pieces, piece.bytes, piece.size, NULL) == (uint32_t)id;
    }
    ok = ok && find_scored_merges(s, &pieces, &merges, &n);
    if (ok) {
        if (n) qsort(merges, n, sizeof *merges, compare_merges);
        put(s, ",\"merges\":[");
        for (size_t i = 0; i < n; i++) {
            put(s, i ? ",[" : "[");
            put_string(s, s->parts.tokens[merges[i].left]);
            put(s, ",");
            put_string(s, s->parts.tokens[merges[i].right]);
            put(s, "]");
        }
        put(s, "]");
    }
    mote_string_set_deinit(&pieces);
    mote_release(merges);
    return ok ? MOTE_OK : mote_fail_memory(s->error, "merges of a tokenizer", n * sizeof *merges);
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

static void put_unknown_token(sink *s) {
    mote_string none = {"", 0};
    put_or_null(s, "unk_token", s->parts.unknown >= 0 ? s->parts.tokens[s->parts.unknown] : none);
}

static mote_status put_bpe(sink *s, bool scores) {
    const mote_pipeline *pipeline = s->pipeline;
    bool bytes = pipeline->byte_level; /* then all bytes are tokens, and the flags of others say nothing */
    put(s, "{\"type\":\"BPE\",\"dropout\":null");
    put_unknown_token(s);
    put_or_null(s, "continuing_subword_prefix", pipeline->continuing_prefix);
    put_or_null(s, "end_of_word_suffix", pipeline->end_of_word);
    put_flag(s, "fuse_unk", !bytes && pipeline->fuse_unknown);
    put_flag(s, "byte_fallback", !bytes && pipeline->byte_fallback);
    put_flag(s, "ignore_merges", pipeline->ignore_merges);
    put_vocab(s);
    mote_status status = MOTE_OK;
    if (scores) status = put_scored_merges(s);
    else put_merges(s);
    put(s, "}");
    return status;
}

static void put_unigram(sink *s) {
    put(s, "{\"type\":\"Unigram\",\"unk_id\":");
    if (s->parts.unknown >= 0) mote_buffer_print(s->out, "%d", s->parts.unknown);
    else put(s, "null");
    put_flag(s, "byte_fallback", s->pipeline->byte_fallback);
    put_scores(s);
    put(s, "}");
}

static void put_wordpiece(sink *s) {
    bool marked = s->pipeline->word_prefix.size > 0;
    put(s, "{\"type\":\"WordPiece\"");
    put_unknown_token(s);
    put(s, ",\"continuing_subword_prefix\":");
    put_string(s, marked ? (mote_string){"##", 2} : s->pipeline->continuing_prefix);
    uint32_t most = s->pipeline->most_word_characters;
    mote_buffer_print(s->out, ",\"max_input_chars_per_word\":%u", most ? (unsigned)most : 1000000u);
    put_vocab(s);
    put(s, "}");
}

static mote_status put_model(sink *s) {
    mote_string model = s->parts.model;
    if (mote_string_is(model, "gpt2") || mote_string_is(model, "mote.bpe") ||
        mote_string_is(model, "mote.word")) return put_bpe(s, false);
    else if (mote_string_is(model, "llama")) return put_bpe(s, true);
    else if (mote_string_is(model, "t5")) put_unigram(s);
    else if (mote_string_is(model, "bert")) put_wordpiece(s);
    else
        return mote_fail(s->error, MOTE_FAILED, "a tokenizer of the model '%.*s' has no form in tokenizer.json",
                         model.size < 40 ? (int)model.size : 40, model.bytes);
    return MOTE_OK;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static void put_added(sink *s) {
    const mote_tokenizer_parts *parts = &s->parts;
    bool first = true;
    put(s, "\"added_tokens\":[");
    for (size_t id = 0; id < parts->n_tokens; id++) {
        int type = type_of(parts, id);
        bool special = type == MOTE_TOKEN_CONTROL || type == MOTE_TOKEN_UNKNOWN;
        if (!special && type != MOTE_TOKEN_USER_DEFINED) continue;
        unsigned bits = parts->added ? parts->added[id] : 0;
        mote_buffer_print(s->out, "%s\n{\"id\":%zu,\"content\":", first ? "" : ",", id);
        put_string(s, parts->tokens[id]);
        put_flag(s, "single_word", bits & MOTE_ADDED_WORD);
        put_flag(s, "lstrip", bits & MOTE_ADDED_LEFT);
        put_flag(s, "rstrip", bits & MOTE_ADDED_RIGHT);
        put_flag(s, "normalized", bits & MOTE_ADDED_NORMALIZED);
        put_flag(s, "special", special);
        put(s, "}");
        first = false;
    }
    put(s, "]");
}

static void put_template_part(sink *s, mote_string token, bool text, bool first) {
    if (!first) put(s, ",");
    if (text) {
        put(s, "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}");
        return;
    }
    put(s, "{\"SpecialToken\":{\"id\":");
    put_string(s, token);
    put(s, ",\"type_id\":0}}");
}

/* Begin and end token around a text, and around a pair the same. */
static void put_post_processor(sink *s) {
    const mote_tokenizer_parts *parts = &s->parts;
    int32_t ids[] = {parts->adds_begin ? parts->special[MOTE_SPECIAL_BEGIN] : -1, parts->adds_end ? parts->end : -1};
    mote_string none = {"", 0}, begin = ids[0] >= 0 ? parts->tokens[ids[0]] : none;
    mote_string end = ids[1] >= 0 ? parts->tokens[ids[1]] : none;
    if (ids[0] < 0 && ids[1] < 0) {
        put(s, "null");
        return;
    }
    put(s, "{\"type\":\"TemplateProcessing\"");
    for (int pair = 0; pair < 2; pair++) {
        mote_buffer_print(s->out, ",\"%s\":[", pair ? "pair" : "single");
        if (begin.size) put_template_part(s, begin, false, true);
        put_template_part(s, none, true, begin.size == 0);
        if (end.size) put_template_part(s, end, false, false);
        if (pair) put(s, ",{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}");
        if (pair && end.size) put_template_part(s, end, false, false);
        put(s, "]");
    }
    put(s, ",\"special_tokens\":{");
    for (int i = 0; i < 2; i++) {
        if (ids[i] < 0 || (i == 1 && ids[1] == ids[0])) continue;
        if (i == 1 && ids[0] >= 0) put(s, ",");
        put_string(s, parts->tokens[ids[i]]);
        put(s, ":{\"id\":");
        put_string(s, parts->tokens[ids[i]]);
        mote_buffer_print(s->out, ",\"ids\":[%d],\"tokens\":[", ids[i]);
        put_string(s, parts->tokens[ids[i]]);
        put(s, "]}");
    }
    put(s, "}}");
}

static mote_status put_file(sink *s) {
    const mote_tokenizer_parts *parts = &s->parts;
    bool chars = mote_string_is(parts->kind, "char"), words = mote_string_is(parts->kind, "word");
    const char *lacks = NULL;
    static const char pattern[] = MOTE_GPT2_PATTERN;
    const mote_step own[] = {{.kind = MOTE_STEP_SPLIT,
                              .text = {pattern, sizeof pattern - 1},
                              .regex = true,
                              .behavior = MOTE_SPLIT_ISOLATED},
                             {.kind = MOTE_STEP_FUSE}};
    const mote_pipeline of_words = {.steps = own, .n_steps = 2, .ignore_merges = true};
    const mote_pipeline of_chars = {.steps = own + 1, .n_steps = 1};
    if (words || chars) s->pipeline = words ? &of_words : &of_chars;
    if (chars) s->parts.n_merges = 0; /* those make characters of bytes, and are not needed here */
    if (!s->pipeline)
        return mote_fail(s->error, MOTE_FAILED, "a tokenizer of kind '%.*s' has no form in tokenizer.json",
                         (int)parts->kind.size, parts->kind.bytes);
    const mote_step *steps = s->pipeline->steps;
    size_t n_steps = s->pipeline->n_steps;
    put(s, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n");
    put_added(s);
    put(s, ",\n\"normalizer\":");
    bool ok = mote_steps_write(steps, n_steps, MOTE_STAGE_NORMALIZER, s->out, &lacks);
    put(s, ",\n\"pre_tokenizer\":");
    ok = ok && mote_steps_write(steps, n_steps, MOTE_STAGE_PRETOKENIZER, s->out, &lacks);
    put(s, ",\n\"post_processor\":");
    put_post_processor(s);
    put(s, ",\n\"decoder\":");
    if (s->pipeline->word_prefix.size) put(s, "{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":false}");
    else ok = ok && mote_steps_write(steps, n_steps, MOTE_STAGE_DECODER, s->out, &lacks);
    if (!ok)
        return mote_fail(s->error, MOTE_FAILED, "the tokenizer's step '%s' has no form in tokenizer.json", lacks);
    put(s, ",\n\"model\":");
    mote_status status = put_model(s);
    put(s, "}\n");
    return status;
}

mote_status mote_tokenizer_json_write(const mote_tokenizer *tokenizer, mote_buffer *out, mote_error *error) {
    mote_arena arena = {0};
    sink s = {.out = out, .error = error};
    mote_status status = mote_tokenizer_to_parts(tokenizer, &arena, &s.parts, error);
    if (!status) {
        s.pipeline = s.parts.pipeline;
        mote_byte_form_init(&s.byte_form);
        status = put_file(&s);
    }
    if (!status && out->failed) status = mote_fail_memory(error, "tokenizer.json", out->size);
    mote_arena_deinit(&arena);
    return status;
}
