/* Each node of tokenizer.json that mote has, with the keys it may have; all others are refused by name and path. */
#include "formats/tokenizer_steps.h"

#include <string.h>

static const char *const behavior_names[MOTE_N_SPLITS] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext",
                                                          "Contiguous"};
static const char *const prepend_names[MOTE_N_PREPENDS] = {"always", "never", "first"};

/* The place of the string among n names; `missing` where the key is absent. */
static int choice(mote_tree *tree, const mote_value *node, const char *key, const char *const *names, int n,
                  int missing) {
    mote_string word = mote_value_string(tree, node, key);
    if (!word.bytes) {
        if (missing < 0) mote_tree_fail(tree, node, "the key \"%s\" is missing", key);
        return missing < 0 ? 0 : missing;
    }
    for (int i = 0; i < n; i++)
        if (mote_string_is(word, names[i])) return i;
    mote_tree_fail(tree, mote_value_get(node, key), "\"%.*s\" is not understood",
                   word.size > 40 ? 40 : (int)word.size, word.bytes);
    return 0;
}

static mote_string needed_string(mote_tree *tree, const mote_value *node, const char *key) {
    mote_string string = mote_value_string(tree, node, key);
    if (!string.bytes) mote_tree_fail(tree, node, "the key \"%s\" is missing", key);
    return string.bytes ? string : (mote_string){"", 0};
}

/* A key that holds exactly one character; `missing` (NULL: none) where it is absent. */
static mote_string one_character(mote_tree *tree, const mote_value *node, const char *key, const char *missing) {
    if (missing && mote_value_missing(mote_value_get(node, key))) return (mote_string){missing, strlen(missing)};
    mote_string string = needed_string(tree, node, key);
    if (!tree->status && (string.size == 0 || (size_t)mote_utf8_length(string.bytes, string.size) != string.size))
        mote_tree_fail(tree, mote_value_get(node, key), "one character was expected");
    return string;
}

/* {"String": "..."} or {"Regex": "..."}. */
static void read_pattern(mote_tree *tree, const mote_value *node, mote_step *step) {
    const mote_value *pattern = mote_value_get(node, "pattern");
    if (mote_value_missing(pattern) || pattern->kind != MOTE_JSON_OBJECT || pattern->n != 1) {
        mote_tree_fail(tree, pattern ? pattern : node, "a pattern was expected: {\"String\": ...} or {\"Regex\": ...}");
        return;
    }
    mote_value_only(tree, pattern, (const char *const[]){"String", "Regex", NULL});
    step->regex = mote_value_get(pattern, "Regex") != NULL;
    step->text = needed_string(tree, pattern, step->regex ? "Regex" : "String");
    if (!tree->status && step->text.size == 0) mote_tree_fail(tree, pattern, "an empty pattern");
}

static uint32_t small_count(mote_tree *tree, const mote_value *node, const char *key) {
    const mote_value *value = mote_value_get(node, key);
    if (mote_value_missing(value)) return 0;
    if (value->kind != MOTE_JSON_NUMBER || !value->is_integer || value->integer < 0 || value->integer > 1000000)
        mote_tree_fail(tree, value, "a number from 0 to 1000000 was expected");
    return (uint32_t)value->integer;
}

/* Base64 (RFC 4648) with its padding, of SentencePiece's charsmap. */
static mote_string decode_base64(mote_tree *tree, const mote_value *node, const char *key) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    mote_string text = needed_string(tree, node, key), out = {"", 0};
    char *bytes = tree->status ? NULL : mote_arena_allocate(&tree->arena, text.size / 4 * 3 + 4);
    if (!bytes) {
        if (!tree->status) tree->status = mote_fail_memory(tree->error, tree->name, text.size);
        return out;
    }
    uint32_t held = 0;
    size_t n = 0, i = 0;
    for (; i < text.size && text.bytes[i] != '='; i++) {
        const char *digit = text.bytes[i] ? strchr(digits, text.bytes[i]) : NULL;
        if (!digit) break;
        held = held << 6 | (uint32_t)(digit - digits);
        if (i % 4) bytes[n++] = (char)(held >> (6 - 2 * (i % 4)));
    }
    size_t padding = text.size - i;
    bool padded = padding <= 2 && (padding == 0 || text.bytes[text.size - 1] == '=');
    if (text.size % 4 || !padded || text.size == 0)
        mote_tree_fail(tree, mote_value_get(node, key), "this is not base64");
    return (mote_string){bytes, n};
}

/* ---- reading one node -------------------------------------------------------------------------------------------- */

static void read_strip_ends(mote_tree *tree, const mote_value *node, mote_step *step) {
    step->left = mote_value_bool(tree, node, "strip_left", true);
    step->right = mote_value_bool(tree, node, "strip_right", true);
}

static void read_replace(mote_tree *tree, const mote_value *node, mote_step *step) {
    read_pattern(tree, node, step);
    step->content = needed_string(tree, node, "content");
    if (step->kind == MOTE_STEP_REPLACE_TEXT && step->regex)
        mote_tree_fail(tree, mote_value_get(node, "pattern"), "a decoder with a regular expression");
}

static void read_prepend(mote_tree *tree, const mote_value *node, mote_step *step) {
    step->text = needed_string(tree, node, "prepend");
}

static void read_bert(mote_tree *tree, const mote_value *node, mote_step *step) {
    step->clean_text = mote_value_bool(tree, node, "clean_text", true);
    step->chinese = mote_value_bool(tree, node, "handle_chinese_chars", true);
    step->lowercase = mote_value_bool(tree, node, "lowercase", true);
    step->strip_accents = mote_value_bool(tree, node, "strip_accents", step->lowercase);
}

static void read_precompiled(mote_tree *tree, const mote_value *node, mote_step *step) {
    step->text = decode_base64(tree, node, "precompiled_charsmap");
}

static void read_byte_level(mote_tree *tree, const mote_value *node, mote_step *step) {
    step->add_prefix_space = mote_value_bool(tree, node, "add_prefix_space", true);
    step->use_regex = mote_value_bool(tree, node, "use_regex", true);
}

static void read_split(mote_tree *tree, const mote_value *node, mote_step *step) {
    read_pattern(tree, node, step);
    step->behavior = (uint8_t)choice(tree, node, "behavior", behavior_names, MOTE_N_SPLITS, -1);
    step->invert = mote_value_bool(tree, node, "invert", false);
}

/* Files from before prepend_scheme only have add_prefix_space. */
static void read_metaspace(mote_tree *tree, const mote_value *node, mote_step *step) {
    const mote_value *scheme = mote_value_get(node, "prepend_scheme");
    bool add = mote_value_bool(tree, node, "add_prefix_space", true);
    step->text = one_character(tree, node, "replacement", "\xe2\x96\x81");
    step->prepend = (uint8_t)choice(tree, node, "prepend_scheme", prepend_names, MOTE_N_PREPENDS,
                                    add ? MOTE_PREPEND_ALWAYS : MOTE_PREPEND_NEVER);
    if (!add && !mote_value_missing(scheme) && step->prepend != MOTE_PREPEND_NEVER)
        mote_tree_fail(tree, scheme, "it contradicts add_prefix_space");
    bool split = mote_value_bool(tree, node, "split", true);
    if (step->kind == MOTE_STEP_METASPACE) step->split = split;
}

static void read_digits(mote_tree *tree, const mote_value *node, mote_step *step) {
    step->individual = mote_value_bool(tree, node, "individual_digits", false);
}

static void read_punctuation(mote_tree *tree, const mote_value *node, mote_step *step) {
    step->behavior =
        (uint8_t)choice(tree, node, "behavior", behavior_names, MOTE_N_SPLITS, MOTE_SPLIT_ISOLATED);
}

static void read_delimiter(mote_tree *tree, const mote_value *node, mote_step *step) {
    step->text = one_character(tree, node, "delimiter", NULL);
    step->behavior = MOTE_SPLIT_REMOVED;
}

static void read_strip_text(mote_tree *tree, const mote_value *node, mote_step *step) {
    step->text = one_character(tree, node, "content", " ");
    step->start = small_count(tree, node, "start");
    step->stop = small_count(tree, node, "stop");
}

static void read_wordpiece(mote_tree *tree, const mote_value *node, mote_step *step) {
    mote_string prefix = mote_value_string(tree, node, "prefix");
    step->text = prefix.bytes ? prefix : (mote_string){"##", 2};
    step->cleanup = mote_value_bool(tree, node, "cleanup", true);
}

static void read_suffix(mote_tree *tree, const mote_value *node, mote_step *step) {
    mote_string suffix = mote_value_string(tree, node, "suffix");
    step->text = suffix.bytes ? suffix : (mote_string){"</w>", 4};
}

/* The nodes with keys, beside "type"; ByteLevel as a decoder has those of its pre-tokenizer, which do nothing there. */
static const struct {
    mote_step_kind kind;
    const char *name; /* NULL: as mote_step_name */
    void (*read)(mote_tree *tree, const mote_value *node, mote_step *step);
    const char *keys[5];
} nodes[] = {
    {MOTE_STEP_STRIP_ENDS, NULL, read_strip_ends, {"strip_left", "strip_right"}},
    {MOTE_STEP_REPLACE, NULL, read_replace, {"pattern", "content"}},
    {MOTE_STEP_PREPEND, NULL, read_prepend, {"prepend"}},
    {MOTE_STEP_BERT, NULL, read_bert, {"clean_text", "handle_chinese_chars", "strip_accents", "lowercase"}},
    {MOTE_STEP_PRECOMPILED, NULL, read_precompiled, {"precompiled_charsmap"}},
    {MOTE_STEP_BYTE_LEVEL, NULL, read_byte_level, {"add_prefix_space", "use_regex", "trim_offsets"}},
    {MOTE_STEP_SPLIT, NULL, read_split, {"pattern", "behavior", "invert"}},
    {MOTE_STEP_SPLIT, "CharDelimiterSplit", read_delimiter, {"delimiter"}},
    {MOTE_STEP_METASPACE, NULL, read_metaspace,
     {"replacement", "prepend_scheme", "add_prefix_space", "split", "str_rep"}},
    {MOTE_STEP_DIGITS, NULL, read_digits, {"individual_digits"}},
    {MOTE_STEP_PUNCTUATION, NULL, read_punctuation, {"behavior"}},
    {MOTE_STEP_BYTE_LEVEL_TEXT, NULL, NULL, {"add_prefix_space", "use_regex", "trim_offsets"}},
    {MOTE_STEP_REPLACE_TEXT, NULL, read_replace, {"pattern", "content"}},
    {MOTE_STEP_STRIP_TEXT, NULL, read_strip_text, {"content", "start", "stop"}},
    {MOTE_STEP_METASPACE_TEXT, NULL, read_metaspace,
     {"replacement", "prepend_scheme", "add_prefix_space", "split", "str_rep"}},
    {MOTE_STEP_WORDPIECE_TEXT, NULL, read_wordpiece, {"prefix", "cleanup"}},
    {MOTE_STEP_SUFFIX_TEXT, NULL, read_suffix, {"suffix"}},
};
enum { N_NODES = sizeof nodes / sizeof *nodes };

static const char *stage_name(mote_stage stage) {
    static const char *const names[] = {"normalizer", "pre-tokenizer", "decoder"};
    return names[stage];
}

static void read_node(mote_tree *tree, const mote_value *node, mote_stage stage, mote_string type,
                      mote_step_list *list) {
    const char *keys[8] = {"type"};
    mote_step step = {.kind = MOTE_N_STEPS};
    int found = -1;
    for (int i = 0; i < N_NODES && found < 0; i++) {
        const char *name = nodes[i].name ? nodes[i].name : mote_step_name(nodes[i].kind);
        if (mote_step_stage(nodes[i].kind) == stage && mote_string_is(type, name)) found = i;
    }
    step.kind = found >= 0 ? nodes[found].kind : mote_step_find(stage, type);
    bool own = type.size > 5 && memcmp(type.bytes, "mote.", 5) == 0;
    if (step.kind == MOTE_N_STEPS || own) {
        mote_tree_fail(tree, node, "mote has no %s \"%.*s\"", stage_name(stage), type.size > 40 ? 40 : (int)type.size,
                       type.bytes);
        return;
    }
    for (int i = 0; found >= 0 && i < 5; i++) keys[i + 1] = nodes[found].keys[i];
    mote_value_only(tree, node, keys);
    if (found >= 0 && nodes[found].read && !tree->status) nodes[found].read(tree, node, &step);
    if (tree->status) return;
    if (list->n == MOTE_MOST_STEPS) mote_tree_fail(tree, node, "more than %d steps", MOTE_MOST_STEPS);
    else list->steps[list->n++] = step;
}

void mote_steps_read(mote_tree *tree, const mote_value *node, mote_stage stage, mote_step_list *list) {
    static const char *const lists[] = {"normalizers", "pretokenizers", "decoders"};
    if (tree->status || mote_value_missing(node)) return;
    if (node->kind != MOTE_JSON_OBJECT) {
        mote_tree_fail(tree, node, "an object was expected");
        return;
    }
    mote_string type = needed_string(tree, node, "type");
    if (tree->status) return;
    if (!mote_string_is(type, "Sequence")) {
        read_node(tree, node, stage, type, list);
        return;
    }
    const mote_value *children = mote_value_get(node, lists[stage]);
    mote_value_only(tree, node, (const char *const[]){"type", lists[stage], NULL});
    if (!children || children->kind != MOTE_JSON_ARRAY) {
        mote_tree_fail(tree, node, "the list \"%s\" is missing", lists[stage]);
        return;
    }
    for (const mote_value *child = children->child; child; child = child->next) {
        if (mote_value_missing(child)) mote_tree_fail(tree, child, "an object was expected");
        mote_steps_read(tree, child, stage, list); /* as deep as JSON goes, 64 levels */
    }
}

/* ---- post-processors --------------------------------------------------------------------------------------------- */

static int64_t token_id(mote_tree *tree, const mote_value *value) {
    if (value && value->kind == MOTE_JSON_NUMBER && value->is_integer && value->integer >= 0 &&
        value->integer <= INT32_MAX)
        return value->integer;
    mote_tree_fail(tree, value, "a token's id was expected");
    return -1;
}

/* The id of a special token in a template: special_tokens.<name>.ids, which must be one. */
static int64_t template_id(mote_tree *tree, const mote_value *node, const mote_value *part) {
    const mote_value *special = mote_value_get(part, "SpecialToken"), *name = mote_value_get(special, "id");
    if (!name || name->kind != MOTE_JSON_STRING) {
        mote_tree_fail(tree, part, "a part of a template that is not understood");
        return -1;
    }
    const mote_value *table = mote_value_get(node, "special_tokens");
    for (const mote_value *row = table ? table->child : NULL; row; row = row->next) {
        if (row->key.size != name->string.size || memcmp(row->key.bytes, name->string.bytes, row->key.size)) continue;
        const mote_value *ids = mote_value_get(row, "ids");
        if (ids && ids->kind == MOTE_JSON_ARRAY && ids->n == 1) return token_id(tree, ids->child);
        mote_tree_fail(tree, row, "one id was expected");
        return -1;
    }
    mote_tree_fail(tree, part, "special_tokens does not have it");
    return -1;
}

static void set_surround(mote_tree *tree, const mote_value *node, mote_surround *surround, int64_t begin, int64_t end) {
    if (begin < 0 && end < 0) return;
    if (surround->seen) {
        mote_tree_fail(tree, node, "a second post-processor that adds tokens");
        return;
    }
    *surround = (mote_surround){true, begin, end};
}

/* [begin] $A [end]; what is done to pairs of texts does not matter here. */
static void read_template(mote_tree *tree, const mote_value *node, mote_surround *surround) {
    mote_value_only(tree, node, (const char *const[]){"type", "single", "pair", "special_tokens", NULL});
    const mote_value *single = mote_value_get(node, "single");
    if (!single || single->kind != MOTE_JSON_ARRAY) {
        mote_tree_fail(tree, node, "the list \"single\" is missing");
        return;
    }
    int64_t begin = -1, end = -1;
    bool text = false;
    for (const mote_value *part = single->child; part && !tree->status; part = part->next) {
        const mote_value *sequence = mote_value_get(part, "Sequence");
        if (sequence) {
            if (text || !mote_string_is(mote_value_string(tree, sequence, "id"), "A"))
                mote_tree_fail(tree, part, "the text A was expected, once");
            text = true;
            continue;
        }
        int64_t *id = text ? &end : &begin;
        if (*id >= 0) mote_tree_fail(tree, part, "a second token %s the text", text ? "after" : "before");
        else *id = template_id(tree, node, part);
    }
    if (!tree->status && !text) mote_tree_fail(tree, single, "the text A is missing");
    set_surround(tree, node, surround, begin, end);
}

/* ["[SEP]", 102] */
static int64_t pair_id(mote_tree *tree, const mote_value *node, const char *key) {
    const mote_value *pair = mote_value_get(node, key);
    if (pair && pair->kind == MOTE_JSON_ARRAY && pair->n == 2 && pair->child->kind == MOTE_JSON_STRING)
        return token_id(tree, pair->child->next);
    mote_tree_fail(tree, pair ? pair : node, "[token, id] was expected for \"%s\"", key);
    return -1;
}

void mote_surround_read(mote_tree *tree, const mote_value *node, mote_surround *surround) {
    if (tree->status || mote_value_missing(node)) return;
    mote_string type = {"", 0};
    if (node->kind != MOTE_JSON_OBJECT) mote_tree_fail(tree, node, "an object was expected");
    else type = needed_string(tree, node, "type");
    if (tree->status) return;
    if (mote_string_is(type, "ByteLevel")) { /* only moves offsets */
        mote_value_only(tree, node,
                        (const char *const[]){"type", "add_prefix_space", "trim_offsets", "use_regex", NULL});
    } else if (mote_string_is(type, "TemplateProcessing")) {
        read_template(tree, node, surround);
    } else if (mote_string_is(type, "BertProcessing") || mote_string_is(type, "RobertaProcessing")) {
        mote_value_only(tree, node,
                        (const char *const[]){"type", "sep", "cls", "trim_offsets", "add_prefix_space", NULL});
        int64_t begin = pair_id(tree, node, "cls");
        set_surround(tree, node, surround, begin, pair_id(tree, node, "sep"));
    } else if (mote_string_is(type, "Sequence")) {
        const mote_value *list = mote_value_get(node, "processors");
        mote_value_only(tree, node, (const char *const[]){"type", "processors", NULL});
        if (!list || list->kind != MOTE_JSON_ARRAY) mote_tree_fail(tree, node, "the list \"processors\" is missing");
        for (const mote_value *child = list ? list->child : NULL; child; child = child->next)
            mote_surround_read(tree, child, surround);
    } else {
        mote_tree_fail(tree, node, "mote has no post-processor \"%.*s\"", type.size > 40 ? 40 : (int)type.size,
                       type.bytes);
    }
}
