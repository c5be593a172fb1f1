/* What tokenizer.json says becomes the parts of a tokenizer: every id once and none missing, each kind of model with
 * the keys that it may have. */
#include <string.h>

#include "formats/tokenizer_source.h"
#include "text/staged.h"

typedef mote_token_source source;

static void *allocate(source *s, size_t count, size_t bytes) {
    void *block = mote_allocate_zero(count ? count : 1, bytes);
    if (!block && !s->tree.status) s->tree.status = mote_fail_memory(s->tree.error, s->tree.name, count * bytes);
    return block;
}

/* ---- ids --------------------------------------------------------------------------------------------------------- */


/* Puts every token at its id: no id twice, and none missing. */
static void place_tokens(source *s) {
    mote_tree *tree = &s->tree;
    size_t most = s->n_vocab + s->n_added;
    s->tokens = allocate(s, most, sizeof *s->tokens);
    s->types = allocate(s, most, sizeof *s->types);
    s->bits = allocate(s, most, 1);
    if (tree->status) return;
    for (size_t i = 0; i < s->n_vocab; i++) {
        const mote_vocab_entry *entry = &s->vocab[i];
        size_t id = (size_t)entry->id;
        if (id >= most || s->types[id]) {
            mote_tree_fail(tree, s->model, "vocab: \"%.*s\" has the id %zu, %s", MOTE_SHOWN(entry->piece), id,
                           id < most ? "as another piece" : "and the ids below have holes");
            return;
        }
        s->tokens[id] = entry->piece;
        s->types[id] = MOTE_TOKEN_NORMAL;
        s->n_tokens = id >= s->n_tokens ? id + 1 : s->n_tokens;
    }
    for (size_t i = 0; i < s->n_added; i++) {
        const mote_added_token *token = &s->added[i];
        size_t id = (size_t)token->id;
        const char *problem = NULL;
        if (id >= most) problem = "and the ids below have holes";
        else if (s->types[id] && !mote_string_equal(s->tokens[id], token->content)) problem = "as another piece";
        else if (s->types[id] && s->types[id] != MOTE_TOKEN_NORMAL) problem = "for the second time";
        if (problem) {
            mote_tree_fail(tree, NULL, "added_tokens[%zu]: \"%.*s\" has the id %zu, %s", i, MOTE_SHOWN(token->content),
                           id, problem);
            return;
        }
        s->tokens[id] = token->content;
        s->types[id] = token->special ? MOTE_TOKEN_CONTROL : MOTE_TOKEN_USER_DEFINED;
        s->bits[id] = token->bits;
        s->n_tokens = id >= s->n_tokens ? id + 1 : s->n_tokens;
    }
    for (size_t id = 0; id < s->n_tokens; id++)
        if (!s->types[id]) {
            mote_tree_fail(tree, NULL, "no token has the id %zu, and one has the id %zu", id, s->n_tokens - 1);
            return;
        }
    if (s->n_tokens == 0) mote_tree_fail(tree, s->model, "there are no tokens");
}

static int32_t find_token(const source *s, mote_string content) {
    for (size_t id = 0; id < s->n_tokens; id++)
        if (mote_string_equal(s->tokens[id], content)) return (int32_t)id;
    return -1;
}

/* The first control token with one of these names, which NULL ends. */
static int32_t find_control(const source *s, const char *const *names) {
    for (size_t i = 0; names[i]; i++)
        for (size_t id = 0; id < s->n_tokens; id++)
            if (s->types[id] == MOTE_TOKEN_CONTROL && mote_string_is(s->tokens[id], names[i])) return (int32_t)id;
    return -1;
}

static void mark_bytes(source *s) {
    for (size_t id = 0; id < s->n_tokens; id++)
        if (s->types[id] == MOTE_TOKEN_NORMAL && mote_byte_of_name(s->tokens[id]) >= 0) s->types[id] = MOTE_TOKEN_BYTE;
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

/* unk_token, a piece. */
static int32_t unknown_token(source *s) {
    mote_string name = mote_value_string(&s->tree, s->model, "unk_token");
    if (!name.bytes || s->tree.status) return -1;
    int32_t id = find_token(s, name);
    if (id < 0)
        mote_tree_fail(&s->tree, mote_value_get(s->model, "unk_token"), "no token is \"%.*s\"", MOTE_SHOWN(name));
    return id;
}

/* The keys of the model, of which the ones that null has no meaning for are absent. */
static void check_model_keys(source *s, const char *const *keys) {
    mote_tree *tree = &s->tree;
    for (const mote_value *value = s->model->child; value; value = value->next) {
        size_t i = 0;
        while (keys[i] && !mote_string_is(value->key, keys[i])) i++;
        if (!keys[i] && value->kind != MOTE_JSON_NULL) mote_tree_fail(tree, value, "this key is not understood");
    }
}

static mote_string optional(mote_string string) { return string.bytes ? string : (mote_string){"", 0}; }

static void finish_bpe(source *s, mote_tokenizer_parts *parts, mote_pipeline *pipeline) {
    static const char *const keys[] = {"type", "dropout", "unk_token", "continuing_subword_prefix",
                                       "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges", NULL};
    mote_tree *tree = &s->tree;
    check_model_keys(s, keys);
    const mote_value *dropout = mote_value_get(s->model, "dropout");
    if (!mote_value_missing(dropout) && (dropout->kind != MOTE_JSON_NUMBER || dropout->number != 0))
        mote_tree_fail(tree, dropout, "merges would be left out at random");
    if (s->vocab_is_list) mote_tree_fail(tree, s->model, "vocab: an object was expected");
    pipeline->continuing_prefix = optional(mote_value_string(tree, s->model, "continuing_subword_prefix"));
    pipeline->end_of_word = optional(mote_value_string(tree, s->model, "end_of_word_suffix"));
    pipeline->fuse_unknown = mote_value_bool(tree, s->model, "fuse_unk", false);
    pipeline->byte_fallback = mote_value_bool(tree, s->model, "byte_fallback", false);
    pipeline->ignore_merges = mote_value_bool(tree, s->model, "ignore_merges", false);
    for (size_t i = 0; i < s->pretokenizers.n; i++)
        if (s->pretokenizers.steps[i].kind == MOTE_STEP_BYTE_LEVEL) pipeline->byte_level = true;
    parts->model = pipeline->byte_level ? (mote_string){"gpt2", 4} : (mote_string){"mote.bpe", 8};
    parts->unknown = unknown_token(s);
    parts->merges = s->merges;
    parts->n_merges = s->n_merges;
    parts->merge_splits = s->halves_with_spaces ? s->merge_splits : NULL;
    if (pipeline->byte_fallback) mark_bytes(s);
}

static void finish_unigram(source *s, mote_tokenizer_parts *parts, mote_pipeline *pipeline) {
    static const char *const keys[] = {"type", "unk_id", "byte_fallback", NULL};
    mote_tree *tree = &s->tree;
    check_model_keys(s, keys);
    if (!s->vocab_is_list) mote_tree_fail(tree, s->model, "vocab: a list of [piece, score] was expected");
    const mote_value *unknown = mote_value_get(s->model, "unk_id");
    if (!mote_value_missing(unknown)) {
        if (unknown->kind != MOTE_JSON_NUMBER || !unknown->is_integer || unknown->integer < 0 ||
            unknown->integer >= (int64_t)s->n_vocab)
            mote_tree_fail(tree, unknown, "it is no id of the vocabulary");
        parts->unknown = (int32_t)unknown->integer;
    }
    pipeline->byte_fallback = mote_value_bool(tree, s->model, "byte_fallback", false);
    pipeline->fuse_unknown = true; /* the model always does */
    s->token_scores = tree->status ? NULL : allocate(s, s->n_tokens, sizeof *s->token_scores);
    if (tree->status) return;
    memcpy(s->token_scores, s->scores, s->n_vocab * sizeof *s->scores);
    parts->model = (mote_string){"t5", 2};
    parts->scores = s->token_scores;
    if (pipeline->byte_fallback) mark_bytes(s);
}

static void finish_wordpiece(source *s, mote_tokenizer_parts *parts, mote_pipeline *pipeline) {
    static const char *const keys[] = {"type", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word",
                                       NULL};
    mote_tree *tree = &s->tree;
    check_model_keys(s, keys);
    if (s->vocab_is_list) mote_tree_fail(tree, s->model, "vocab: an object was expected");
    mote_string prefix = mote_value_string(tree, s->model, "continuing_subword_prefix");
    pipeline->continuing_prefix = prefix.bytes ? prefix : (mote_string){"##", 2};
    const mote_value *most = mote_value_get(s->model, "max_input_chars_per_word");
    pipeline->most_word_characters = 100;
    if (!mote_value_missing(most)) {
        if (most->kind != MOTE_JSON_NUMBER || !most->is_integer || most->integer < 1 || most->integer > 1000000)
            mote_tree_fail(tree, most, "a number from 1 to 1000000 was expected");
        else pipeline->most_word_characters = (uint32_t)most->integer;
    }
    parts->model = (mote_string){"bert", 4};
    parts->unknown = unknown_token(s);
    if (!tree->status && parts->unknown < 0) mote_tree_fail(tree, s->model, "the key \"unk_token\" is missing");
}

/* Files from before models had a "type" are told apart by their keys. */
static mote_string model_type(source *s) {
    mote_string type = mote_value_string(&s->tree, s->model, "type");
    if (type.bytes) return type;
    if (s->has_merges) return (mote_string){"BPE", 3};
    if (s->vocab_is_list) return (mote_string){"Unigram", 7};
    if (mote_value_get(s->model, "max_input_chars_per_word")) return (mote_string){"WordPiece", 9};
    mote_tree_fail(&s->tree, s->model, "the key \"type\" is missing");
    return (mote_string){"", 0};
}

static void finish_model(source *s, mote_tokenizer_parts *parts, mote_pipeline *pipeline) {
    mote_tree *tree = &s->tree;
    mote_string type = model_type(s);
    if (!tree->status && !s->has_vocab) mote_tree_fail(tree, s->model, "the key \"vocab\" is missing");
    if (!tree->status) place_tokens(s);
    if (tree->status) return;
    bool bpe = mote_string_is(type, "BPE");
    if (s->has_merges && !bpe) mote_tree_fail(tree, s->model, "merges of a model that has none");
    else if (bpe && !s->has_merges) mote_tree_fail(tree, s->model, "the key \"merges\" is missing");
    else if (bpe) finish_bpe(s, parts, pipeline);
    else if (mote_string_is(type, "Unigram")) finish_unigram(s, parts, pipeline);
    else if (mote_string_is(type, "WordPiece")) finish_wordpiece(s, parts, pipeline);
    else mote_tree_fail(tree, s->model, "mote has no model \"%.*s\"", MOTE_SHOWN(type));
    parts->tokens = s->tokens;
    parts->types = s->types;
    parts->added = s->bits;
    parts->n_tokens = s->n_tokens;
}

/* ---- tokens with a part of their own ----------------------------------------------------------------------------- */

static int32_t named(const source *s, mote_string content, const char *const *usual) {
    if (content.size) return find_token(s, content);
    return find_control(s, usual);
}

static void find_specials(source *s, const mote_tokenizer_config *config, mote_tokenizer_parts *parts) {
    static const char *const none[] = {NULL};
    static const char *const begins[] = {"<s>", "<|begin_of_text|>", "<bos>", NULL};
    static const char *const ends[] = {"</s>", "<|endoftext|>", "<|end_of_text|>", "<eos>", NULL};
    static const char *const turns[] = {"<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", NULL};
    static const char *const pads[] = {"<pad>", "[PAD]", NULL};
    static const char *const classes[] = {"[CLS]", NULL}, *const separators[] = {"[SEP]", NULL};
    static const char *const masks[] = {"[MASK]", NULL};
    mote_tree *tree = &s->tree;
    mote_surround *around = &s->surround;
    if (around->begin >= (int64_t)s->n_tokens || around->end >= (int64_t)s->n_tokens) {
        mote_tree_fail(tree, mote_value_get(s->root, "post_processor"), "the id %lld is no token's",
                       (long long)(around->begin >= (int64_t)s->n_tokens ? around->begin : around->end));
        return;
    }
    int32_t *special = parts->special;
    special[MOTE_SPECIAL_BEGIN] = around->begin >= 0 ? (int32_t)around->begin : named(s, config->begin, begins);
    parts->end = around->end >= 0 ? (int32_t)around->end : named(s, config->end, ends);
    special[MOTE_SPECIAL_TURN_END] = find_control(s, turns);
    special[MOTE_SPECIAL_PADDING] = named(s, config->padding, pads);
    special[MOTE_SPECIAL_CLASS] = find_control(s, classes);
    special[MOTE_SPECIAL_SEPARATOR] = find_control(s, separators);
    special[MOTE_SPECIAL_MASK] = find_control(s, masks);
    if (parts->unknown < 0 && config->unknown.size) parts->unknown = named(s, config->unknown, none);
    parts->adds_begin = around->seen ? around->begin >= 0 : config->adds_begin == 1;
    parts->adds_end = around->seen ? around->end >= 0 : config->adds_end == 1;
    if (special[MOTE_SPECIAL_BEGIN] < 0) parts->adds_begin = false;
    if (parts->end < 0) parts->adds_end = false;
    if (parts->unknown >= 0 && parts->unknown != parts->end && parts->unknown != special[MOTE_SPECIAL_BEGIN])
        s->types[parts->unknown] = MOTE_TOKEN_UNKNOWN;
}

void mote_token_source_build(source *s, const mote_tokenizer_config *config, mote_tokenizer_parts *parts,
                             mote_pipeline *pipeline) {
    finish_model(s, parts, pipeline);
    if (!s->tree.status) find_specials(s, config, parts);
}
