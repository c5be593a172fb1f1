/* Reads tokenizer.json. The vocabulary, the merges and the added tokens are taken as they come, their strings left in
 * the file; all else goes through a tree, as "type" may come after what it explains. */
#include <string.h>

#include "formats/tokenizer_source.h"
#include "formats/own_kinds.h"
#include "models/model.h"

typedef mote_token_source source;

static bool grow(source *s, void **array, size_t *capacity, size_t needed, size_t bytes) {
    if (mote_grow(array, capacity, needed, bytes)) return true;
    if (!s->tree.status) s->tree.status = mote_fail_memory(s->tree.error, s->tree.name, 2 * needed * bytes);
    return false;
}

/* ---- the vocabulary and the merges, as they come ----------------------------------------------------------------- */

static bool add_piece(source *s, mote_string piece, int64_t id) {
    if (id < 0 || id >= MOTE_MOST_VOCAB) {
        mote_tree_fail(&s->tree, s->model, "vocab: the id %lld of \"%.*s\" is out of range", (long long)id,
                       MOTE_SHOWN(piece));
        return false;
    }
    if (!grow(s, (void **)&s->vocab, &s->vocab_capacity, s->n_vocab + 1, sizeof *s->vocab)) return false;
    s->vocab[s->n_vocab++] = (mote_vocab_entry){piece, (int32_t)id};
    return true;
}

/* {"piece": id, ...} */
static void read_vocab_object(source *s) {
    mote_tree *tree = &s->tree;
    while (mote_tree_next(tree) == MOTE_JSON_KEY) {
        mote_string piece = mote_tree_string(tree);
        mote_json_kind kind = mote_tree_next(tree);
        if (tree->status) return;
        if (kind != MOTE_JSON_NUMBER || !tree->json.is_integer) {
            mote_tree_fail(tree, s->model, "vocab: \"%.*s\" has no id", MOTE_SHOWN(piece));
            return;
        }
        if (!add_piece(s, piece, tree->json.integer)) return;
    }
}

/* [["piece", score], ...] */
static void read_vocab_list(source *s) {
    mote_tree *tree = &s->tree;
    s->vocab_is_list = true;
    for (mote_json_kind kind; (kind = mote_tree_next(tree)) != MOTE_JSON_ARRAY_END && !tree->status;) {
        mote_string piece = {"", 0};
        bool ok = kind == MOTE_JSON_ARRAY && mote_tree_next(tree) == MOTE_JSON_STRING;
        if (ok) piece = mote_tree_string(tree);
        ok = ok && mote_tree_next(tree) == MOTE_JSON_NUMBER;
        float score = ok ? (float)tree->json.number : 0;
        ok = ok && mote_tree_next(tree) == MOTE_JSON_ARRAY_END && score - score == 0;
        if (tree->status) return;
        if (!ok) {
            mote_tree_fail(tree, s->model, "vocab[%zu] is not [piece, score]", s->n_vocab);
            return;
        }
        if (!grow(s, (void **)&s->scores, &s->scores_capacity, s->n_vocab + 1, sizeof *s->scores)) return;
        s->scores[s->n_vocab] = score;
        if (!add_piece(s, piece, (int64_t)s->n_vocab)) return;
    }
}

static bool add_merge(source *s, mote_string merge, size_t left) {
    if (left == 0 || left + 1 >= merge.size) {
        mote_tree_fail(&s->tree, s->model, "merges[%zu] \"%.*s\" is not two pieces", s->n_merges, MOTE_SHOWN(merge));
        return false;
    }
    size_t needed = s->n_merges + 1;
    if (!grow(s, (void **)&s->merges, &s->merges_capacity, needed, sizeof *s->merges) ||
        !grow(s, (void **)&s->merge_splits, &s->splits_capacity, needed, sizeof *s->merge_splits))
        return false;
    s->merges[s->n_merges] = merge;
    s->merge_splits[s->n_merges++] = (uint32_t)left;
    return true;
}

/* "a b": exactly one space, as Hugging Face's reader has it. */
static bool add_merge_text(source *s, mote_string merge) {
    const char *space = merge.size ? memchr(merge.bytes, ' ', merge.size) : NULL;
    size_t left = space ? (size_t)(space - merge.bytes) : 0;
    bool more = space && memchr(space + 1, ' ', merge.size - left - 1);
    return add_merge(s, merge, more ? 0 : left);
}

/* ["a", "b"] */
static bool add_merge_pair(source *s) {
    mote_tree *tree = &s->tree;
    mote_string half[2] = {{"", 0}, {"", 0}};
    for (int i = 0; i < 2; i++) {
        if (mote_tree_next(tree) == MOTE_JSON_STRING) half[i] = mote_tree_string(tree);
        else mote_tree_fail(tree, s->model, "merges[%zu] is not two pieces", s->n_merges);
        if (tree->status) return false;
    }
    if (mote_tree_next(tree) != MOTE_JSON_ARRAY_END)
        mote_tree_fail(tree, s->model, "merges[%zu] is not two pieces", s->n_merges);
    if (tree->status) return false;
    s->joined.size = 0;
    mote_buffer_append(&s->joined, half[0].bytes, half[0].size);
    mote_buffer_append(&s->joined, " ", 1);
    mote_buffer_append(&s->joined, half[1].bytes, half[1].size);
    mote_string merge = {s->joined.failed ? NULL : mote_tree_keep(tree, s->joined.bytes, s->joined.size),
                         s->joined.size};
    if (s->joined.failed) tree->status = mote_fail_memory(tree->error, tree->name, s->joined.size);
    if (tree->status) return false;
    if (half[0].size && memchr(half[0].bytes, ' ', half[0].size)) s->halves_with_spaces = true;
    return add_merge(s, merge, half[0].size);
}

static void read_merges(source *s) {
    mote_tree *tree = &s->tree;
    for (mote_json_kind kind; (kind = mote_tree_next(tree)) != MOTE_JSON_ARRAY_END && !tree->status;) {
        bool ok;
        if (kind == MOTE_JSON_STRING) {
            mote_string merge = mote_tree_string(tree);
            ok = !tree->status && add_merge_text(s, merge);
        } else if (kind == MOTE_JSON_ARRAY) {
            ok = add_merge_pair(s);
        } else {
            ok = mote_tree_fail(tree, s->model, "merges[%zu] is not two pieces", s->n_merges) == MOTE_OK;
        }
        if (!ok) return;
    }
}

/* Puts a small value under its key into `object`; no key twice. */
static void attach(mote_tree *tree, mote_value *object, mote_value *value, mote_string key) {
    if (!value) return;
    value->key = key;
    value->parent = object;
    for (const mote_value *other = object->child; other; other = other->next)
        if (mote_string_equal(other->key, key))
            mote_tree_fail(tree, value, "the key is there twice");
    if (object->n++ > 64) mote_tree_fail(tree, object, "it has more than 64 keys");
    value->next = object->child;
    object->child = value;
}

static void read_model(source *s) {
    mote_tree *tree = &s->tree;
    while (mote_tree_next(tree) == MOTE_JSON_KEY) {
        mote_string key = mote_tree_string(tree);
        bool vocab = mote_string_is(key, "vocab"), merges = mote_string_is(key, "merges");
        mote_json_kind kind = mote_tree_next(tree);
        if (tree->status) return;
        if ((vocab && s->has_vocab) || (merges && s->has_merges)) {
            mote_tree_fail(tree, s->model, "the key \"%.*s\" is there twice", MOTE_SHOWN(key));
        } else if (vocab) {
            s->has_vocab = true;
            if (kind == MOTE_JSON_OBJECT) read_vocab_object(s);
            else if (kind == MOTE_JSON_ARRAY) read_vocab_list(s);
            else mote_tree_fail(tree, s->model, "vocab: an object or a list was expected");
        } else if (merges && kind == MOTE_JSON_ARRAY) {
            s->has_merges = true;
            read_merges(s);
        } else {
            attach(tree, s->model, mote_tree_read(tree, kind, "model"), key);
        }
        if (tree->status) return;
    }
}

/* ---- added tokens ------------------------------------------------------------------------------------------------ */

static void read_added_token(source *s) {
    static const char *const names[] = {"lstrip", "rstrip", "single_word", "normalized", "special", "id", "content"};
    enum { SPECIAL = 4, ID = 5, CONTENT = 6, N = 7, NORMALIZED = 3 };
    mote_tree *tree = &s->tree;
    mote_added_token token = {.content = {"", 0}};
    unsigned seen = 0;
    bool flags[N] = {false};
    while (mote_tree_next(tree) == MOTE_JSON_KEY) {
        int i = 0;
        while (i < N && (strlen(names[i]) != tree->json.string.size ||
                         memcmp(names[i], tree->json.string.bytes, tree->json.string.size) != 0))
            i++;
        if (i == N || (seen & 1u << i)) {
            mote_tree_fail(tree, NULL, "added_tokens[%zu].%.40s: this key is %s", s->n_added, tree->json.string.bytes,
                           i == N ? "not understood" : "there twice");
            return;
        }
        seen |= 1u << i;
        mote_json_kind kind = mote_tree_next(tree);
        bool ok = i == ID        ? kind == MOTE_JSON_NUMBER && tree->json.is_integer && tree->json.integer >= 0 &&
                                   tree->json.integer < MOTE_MOST_VOCAB
                  : i == CONTENT ? kind == MOTE_JSON_STRING && tree->json.string.size > 0
                                 : kind == MOTE_JSON_TRUE || kind == MOTE_JSON_FALSE;
        if (ok && i == ID) token.id = (int32_t)tree->json.integer;
        else if (ok && i == CONTENT) token.content = mote_tree_string(tree);
        else flags[i] = kind == MOTE_JSON_TRUE;
        if (!ok) mote_tree_fail(tree, NULL, "added_tokens[%zu].%s: not what was expected", s->n_added, names[i]);
        if (tree->status) return;
    }
    if (!(seen & 1u << ID) || !(seen & 1u << CONTENT)) {
        mote_tree_fail(tree, NULL, "added_tokens[%zu]: \"id\" or \"content\" is missing", s->n_added);
        return;
    }
    if (!(seen & 1u << NORMALIZED)) flags[NORMALIZED] = !flags[SPECIAL];
    for (int i = 0; i < SPECIAL; i++) token.bits |= (uint8_t)(flags[i] << i);
    token.special = flags[SPECIAL];
    if (grow(s, (void **)&s->added, &s->added_capacity, s->n_added + 1, sizeof *s->added))
        s->added[s->n_added++] = token;
}
_Static_assert(MOTE_ADDED_LEFT == 1 && MOTE_ADDED_RIGHT == 2 && MOTE_ADDED_WORD == 4 && MOTE_ADDED_NORMALIZED == 8,
               "the order of the names above");

static void read_added(source *s) {
    for (mote_json_kind kind; (kind = mote_tree_next(&s->tree)) != MOTE_JSON_ARRAY_END && !s->tree.status;) {
        if (kind != MOTE_JSON_OBJECT)
            mote_tree_fail(&s->tree, NULL, "added_tokens[%zu]: an object was expected", s->n_added);
        else read_added_token(s);
        if (s->tree.status) return;
    }
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static void read_file(source *s) {
    mote_tree *tree = &s->tree;
    bool has_added = false, has_model = false;
    mote_json_kind kind = mote_tree_next(tree);
    if (!tree->status && kind != MOTE_JSON_OBJECT) mote_tree_fail(tree, NULL, "an object was expected");
    while (!tree->status && mote_tree_next(tree) == MOTE_JSON_KEY) {
        mote_string key = mote_tree_string(tree);
        bool model = mote_string_is(key, "model"), added = mote_string_is(key, "added_tokens");
        kind = mote_tree_next(tree);
        if (tree->status) return;
        if ((model && has_model) || (added && has_added)) {
            mote_tree_fail(tree, NULL, "%.*s: the key is there twice", MOTE_SHOWN(key));
        } else if (model && kind == MOTE_JSON_OBJECT) {
            has_model = true;
            read_model(s);
        } else if (added && kind == MOTE_JSON_ARRAY) {
            has_added = true;
            read_added(s);
        } else if (model || (added && kind != MOTE_JSON_NULL)) {
            mote_tree_fail(tree, NULL, "%.*s: %s was expected", MOTE_SHOWN(key), model ? "an object" : "a list");
        } else {
            attach(tree, s->root, mote_tree_read(tree, kind, ""), key);
        }
    }
    if (!tree->status) mote_tree_next(tree); /* behind the end there is nothing */
    if (!tree->status && !has_model) mote_tree_fail(tree, NULL, "the key \"model\" is missing");
}

/* Cutting and filling up belong to a batch for training, not to the ids of a text; those that would change what a text
 * becomes are refused. */
static void check_root(source *s) {
    static const char *const keys[] = {"version", "truncation", "padding", "added_tokens", "normalizer",
                                       "pre_tokenizer", "post_processor", "decoder", NULL};
    mote_tree *tree = &s->tree;
    mote_value_only(tree, s->root, keys);
    mote_string version = mote_value_string(tree, s->root, "version");
    if (version.bytes && !mote_string_is(version, "1.0"))
        mote_tree_fail(tree, mote_value_get(s->root, "version"), "only \"1.0\" is known");
    const mote_value *truncation = mote_value_get(s->root, "truncation");
    const mote_value *padding = mote_value_get(s->root, "padding");
    if (tree->status) return;
    if (!mote_value_missing(truncation)) {
        mote_tree_fail(tree, truncation, "texts would be cut");
        mote_hint(tree->error, tree->status, "set \"truncation\" to null: whoever uses the ids cuts them");
        return;
    }
    if (mote_value_missing(padding)) return;
    bool batch = mote_string_is(mote_value_string(tree, padding, "strategy"), "BatchLongest");
    if (!batch || !mote_value_missing(mote_value_get(padding, "pad_to_multiple_of"))) {
        mote_tree_fail(tree, padding, "texts would be filled up");
        mote_hint(tree->error, tree->status, "set \"padding\" to null");
    }
}

static void read_steps(source *s) {
    mote_tree *tree = &s->tree;
    mote_steps_read(tree, mote_value_get(s->root, "normalizer"), MOTE_STAGE_NORMALIZER, &s->normalizers);
    mote_steps_read(tree, mote_value_get(s->root, "pre_tokenizer"), MOTE_STAGE_PRETOKENIZER, &s->pretokenizers);
    mote_steps_read(tree, mote_value_get(s->root, "decoder"), MOTE_STAGE_DECODER, &s->decoders);
    mote_surround_read(tree, mote_value_get(s->root, "post_processor"), &s->surround);
    const mote_step_list *lists[] = {&s->normalizers, &s->pretokenizers, &s->decoders};
    for (size_t i = 0; i < 3 && !tree->status; i++) {
        if (s->steps.n + lists[i]->n > MOTE_MOST_STEPS) {
            mote_tree_fail(tree, NULL, "more than %d steps", MOTE_MOST_STEPS);
            return;
        }
        memcpy(s->steps.steps + s->steps.n, lists[i]->steps, lists[i]->n * sizeof *s->steps.steps);
        s->steps.n += lists[i]->n;
    }
}

/* ---- together ---------------------------------------------------------------------------------------------------- */

static void deinit(source *s) {
    mote_tree_deinit(&s->tree);
    mote_buffer_deinit(&s->joined);
    mote_release(s->vocab);
    mote_release(s->scores);
    mote_release(s->merges);
    mote_release(s->merge_splits);
    mote_release(s->added);
    mote_release(s->tokens);
    mote_release(s->types);
    mote_release(s->bits);
    mote_release(s->token_scores);
    mote_release(s);
}

mote_status mote_tokenizer_json_read_with(const uint8_t *bytes, size_t size, const char *name,
                                          const mote_tokenizer_config *config, mote_tokenizer **tokenizer,
                                          mote_error *error) {
    mote_tokenizer_config nothing = mote_tokenizer_config_none();
    mote_value root = {.kind = MOTE_JSON_OBJECT}, model = {.kind = MOTE_JSON_OBJECT, .key = {"model", 5}};
    mote_tokenizer_parts parts = mote_tokenizer_parts_none();
    mote_pipeline pipeline = {.continuing_prefix = {"", 0}, .word_prefix = {"", 0}, .end_of_word = {"", 0}};
    *tokenizer = NULL;
    source *s = mote_allocate_zero(1, sizeof *s);
    if (!s) return mote_fail_memory(error, name, sizeof *s);
    mote_tree_init(&s->tree, bytes, size, name, error);
    s->root = &root;
    s->model = &model;
    s->surround = (mote_surround){false, -1, -1};
    read_file(s);
    if (!s->tree.status) check_root(s);
    if (!s->tree.status) read_steps(s);
    if (!s->tree.status) mote_token_source_build(s, config ? config : &nothing, &parts, &pipeline);
    mote_release(s->vocab); /* their place is in tokens now; building needs the room */
    s->vocab = NULL;
    mote_status status = s->tree.status;
    pipeline.steps = s->steps.steps;
    pipeline.n_steps = s->steps.n;
    parts.pipeline = &pipeline;
    if (!status) status = mote_own_kind_parts(&s->tree, &parts);
    if (!status) status = mote_tokenizer_from_parts(&parts, name, tokenizer, error);
    deinit(s);
    return status;
}

mote_status mote_tokenizer_json_read(const uint8_t *bytes, size_t size, const char *name, mote_tokenizer **tokenizer,
                                     mote_error *error) {
    return mote_tokenizer_json_read_with(bytes, size, name, NULL, tokenizer, error);
}
