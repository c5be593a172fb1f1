/* tokenizer.json: ids of Hugging Face's own library for every kind of model and node (tests/data/tokenizers, made by
 * tools/make_tokenizers.py and tools/check_tokenizers.sh), files that must be refused and why, writing and reading
 * back. */
#include <malloc.h>
#include <time.h>

#include "../app/text/libraries.h"
#include "base/files.h"
#include "base/json.h"
#include "base/memory.h"
#include "failing_memory.h"
#include "formats/tokenizer_json.h"
#include "test.h"

#define FOLDER "tests/data/tokenizers/"

static bool libraries; /* PCRE2 and utf8proc are there */

/* ---- texts and their ids ----------------------------------------------------------------------------------------- */

typedef struct {
    char *text;
    size_t size;
} text_line;
enum { MOST_TEXTS = 400 };
static text_line texts[MOST_TEXTS];
static int n_texts;

static void read_texts(void) {
    mote_map map;
    if (mote_map_open(FOLDER "texts.list", &map, NULL)) return;
    for (size_t at = 0; at < map.size && n_texts < MOST_TEXTS;) {
        const uint8_t *newline = memchr(map.bytes + at, '\n', map.size - at);
        size_t end = newline ? (size_t)(newline - map.bytes) : map.size;
        mote_json json;
        mote_json_init(&json, (const char *)map.bytes + at, end - at);
        if (mote_json_next(&json) == MOTE_JSON_STRING) {
            texts[n_texts].size = json.string.size;
            texts[n_texts++].text = mote_copy_bytes(json.string.bytes, json.string.size);
        }
        mote_json_deinit(&json);
        at = end + 1;
    }
    mote_map_close(&map);
}

/* As tools/tokenizer_ids.mjs writes them. */
static void print_ids(const int32_t *ids, size_t n, mote_buffer *line) {
    line->size = 0;
    mote_buffer_append(line, "", 0);
    uint32_t hash = 0x811c9dc5;
    for (size_t i = 0; i < n; i++) {
        if (n <= 24) mote_buffer_print(line, "%s%d", i ? " " : "", ids[i]);
        for (int shift = 0; shift < 32; shift += 8) hash = (hash ^ ((uint32_t)ids[i] >> shift & 255)) * 0x01000193;
    }
    if (n > 24) mote_buffer_print(line, "# %zu %08x", n, hash);
}

static mote_tokenizer *read_file(const char *path, mote_error *error) {
    mote_map map;
    mote_tokenizer *t = NULL;
    if (mote_map_open(path, &map, error)) return NULL;
    mote_tokenizer_json_read(map.bytes, map.size, path, &t, error);
    mote_map_close(&map);
    return t;
}

/* Written and read again: what the tokenizer becomes for others, and ourselves. */
static mote_tokenizer *again(const mote_tokenizer *t, mote_error *error) {
    mote_buffer out = {0};
    mote_tokenizer *copy = NULL;
    if (!mote_tokenizer_json_write(t, &out, error))
        mote_tokenizer_json_read((const uint8_t *)out.bytes, out.size, "again", &copy, error);
    mote_buffer_deinit(&out);
    return copy;
}

static bool same_ids(const mote_tokenizer *a, const mote_tokenizer *b, const char *text, size_t n) {
    int32_t *x = NULL, *y = NULL;
    size_t n_x = 0, n_y = 0;
    bool same =
        !mote_tokenizer_encode(a, text, n, &x, &n_x, NULL) && !mote_tokenizer_encode(b, text, n, &y, &n_y, NULL);
    same = same && n_x == n_y && (n_x == 0 || memcmp(x, y, n_x * sizeof *x) == 0);
    mote_free(x);
    mote_free(y);
    return same;
}

/* What mote means to do otherwise: names of tokens in text are text, and a byte's name never comes out of text. */
static bool excepted(const char *name, const char *text) {
    return !strcmp(name, "unigram_bytes") && strstr(text, "<0x");
}

static void check_golden(const char *name) {
    char path[200];
    mote_error error = {0};
    mote_map ids;
    snprintf(path, sizeof path, FOLDER "%s.json", name);
    mote_tokenizer *t = read_file(path, &error);
    CHECK(t, "%s", error.message);
    mote_tokenizer *copy = t ? again(t, &error) : NULL;
    CHECK(copy, "%s: %s", name, error.message);
    snprintf(path, sizeof path, FOLDER "%s.ids", name);
    if (t && copy && !mote_map_open(path, &ids, NULL)) {
        mote_buffer line = {0};
        size_t at = 0;
        int wrong = 0;
        for (int i = 0; i < n_texts; i++) {
            const uint8_t *newline = at < ids.size ? memchr(ids.bytes + at, '\n', ids.size - at) : NULL;
            size_t end = newline ? (size_t)(newline - ids.bytes) : ids.size;
            int32_t *got = NULL;
            size_t n = 0;
            CHECK(!mote_tokenizer_encode(t, texts[i].text, texts[i].size, &got, &n, &error), "%s", error.message);
            print_ids(got, n, &line);
            bool same = line.size == end - at && memcmp(line.bytes, ids.bytes + at, end - at) == 0;
            if (!same && !excepted(name, texts[i].text) && wrong++ < 3)
                CHECK(same, "%s, text %d \"%.60s\": %s, not %.*s", name, i + 1, texts[i].text, line.bytes,
                      (int)(end - at), (const char *)ids.bytes + at);
            CHECK(same_ids(t, copy, texts[i].text, texts[i].size), "%s, text %d: other ids when read back", name,
                  i + 1);
            mote_free(got);
            at = end + 1;
        }
        CHECK(wrong == 0 && at >= ids.size, "%s: %d of %d texts", name, wrong, n_texts);
        mote_buffer_deinit(&line);
        mote_map_close(&ids);
    }
    mote_tokenizer_destroy(t);
    mote_tokenizer_destroy(copy);
}

static void test_goldens(void) {
    char **names;
    size_t n, seen = 0;
    if (!libraries) {
        test_skip("built without PCRE2 and utf8proc");
        return;
    }
    CHECK(n_texts > 200, "%d texts", n_texts);
    CHECK(!mote_folder_list(FOLDER, &names, &n, NULL));
    for (size_t i = 0; i < n; i++) {
        char *dot = strrchr(names[i], '.');
        if (!dot || strcmp(dot, ".json")) continue;
        *dot = 0;
        check_golden(names[i]);
        seen++;
    }
    CHECK(seen >= 15, "%zu tokenizers", seen);
    mote_free(names);
}

/* ---- files that must be refused ---------------------------------------------------------------------------------- */

#define FLAGS "\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,"
static const char good[] =
    "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":["
    "{\"id\":0,\"content\":\"<unk>\"," FLAGS "\"special\":true},"
    "{\"id\":1,\"content\":\"<s>\"," FLAGS "\"special\":true},"
    "{\"id\":7,\"content\":\"[x]\"," FLAGS "\"special\":false}],"
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\u2581\"},"
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\u2581\"}]},"
    "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"\u2581\"},\"behavior\":\"MergedWithNext\","
    "\"invert\":false},"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},"
    "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[],\"special_tokens\":"
    "{\"<s>\":{\"id\":\"<s>\",\"ids\":[1],\"tokens\":[\"<s>\"]}}},"
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\u2581\"},"
    "\"content\":\" \"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]},"
    "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":\"<unk>\",\"continuing_subword_prefix\":null,"
    "\"end_of_word_suffix\":null,\"fuse_unk\":true,\"byte_fallback\":false,\"ignore_merges\":false,"
    "\"vocab\":{\"<unk>\":0,\"<s>\":1,\"\u2581\":2,\"a\":3,\"b\":4,\"ab\":5,\"\u2581ab\":6},"
    "\"merges\":[\"a b\",\"\u2581 ab\"]}}";

#define BERT "{\"type\":\"BertNormalizer\","
#define SPLIT "\"pre_tokenizer\":{\"type\":\"Split\","
#define VOCAB "{\"<unk>\":0,\"<s>\":1,\"\u2581\":2,\"a\":3,\"b\":4,\"ab\":5,\"\u2581ab\":6}"
#define PREPEND "{\"type\":\"Prepend\",\"prepend\":\"\u2581\"}"
#define PRE_TOKENIZER                                                                                                  \
    "{\"type\":\"Split\",\"pattern\":{\"String\":\"\u2581\"},\"behavior\":\"MergedWithNext\",\"invert\":false}"
#define STRIP "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}"
#define SINGLE                                                                                                         \
    "[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}]"
#define MERGES "[\"a b\",\"\u2581 ab\"]"

/* In the good file the first text is replaced by the second; the message has the third. */
static const struct {
    const char *from, *to, *fragment;
} bad[] = {
    /* the file */
    {"{\"version\":\"1.0\"", "[\"version\",\"1.0\"", "an object was expected"},
    {"\"version\":\"1.0\"", "\"version\":\"2.0\"", "version: only \"1.0\""},
    {"\"version\":\"1.0\"", "\"version\":1", "version: a string was expected"},
    {"\"version\":\"1.0\"", "\"version\":\"1.0\",\"version\":\"1.0\"", "version: the key is there twice"},
    {"\"version\":\"1.0\"", "\"other\":\"1.0\"", "other: this key is not understood"},
    {"\"truncation\":null", "\"truncation\":{\"max_length\":128}", "truncation: texts would be cut"},
    {"\"truncation\":null", "\"truncation\":false", "truncation: texts would be cut"},
    {"\"padding\":null", "\"padding\":{\"strategy\":{\"Fixed\":128}}", "padding"},
    {"\"padding\":null", "\"padding\":{\"strategy\":\"BatchLongest\",\"pad_to_multiple_of\":8}",
     "padding: texts would"},
    {"\"padding\":null", "\"padding\":true", "padding: texts would"},
    {"\"model\":{", "\"models\":{", "the key \"model\" is missing"},
    {"\"merges\":" MERGES "}}", "\"merges\":" MERGES "}}}", "there is more after"},
    {"\"merges\":" MERGES "}}", "\"merges\":" MERGES "}", "was expected"},
    {"\"merges\":" MERGES "}}", "\"merges\":" MERGES "},\"model\":{}}", "model: the key is there twice"},
    {"\"added_tokens\":[", "\"added_tokens\":[],\"added_tokens\":[", "added_tokens: the key is there twice"},
    {"null,\"added_tokens\":[", "null,\"a\":\"\xff\",\"added_tokens\":[", "not UTF-8"},
    /* added tokens */
    {"\"added_tokens\":[{\"id\":0,", "\"added_tokens\":[3,{\"id\":0,", "added_tokens[0]: an object"},
    {"{\"id\":0,", "{", "added_tokens[0]: \"id\" or \"content\""},
    {"\"content\":\"<unk>\",", "", "added_tokens[0]: \"id\" or \"content\""},
    {"{\"id\":0,", "{\"id\":-1,", "added_tokens[0].id"},
    {"{\"id\":0,", "{\"id\":0.5,", "added_tokens[0].id"},
    {"{\"id\":0,", "{\"id\":9999999,", "added_tokens[0].id"},
    {"{\"id\":0,", "{\"id\":\"0\",", "added_tokens[0].id"},
    {"{\"id\":0,", "{\"id\":0,\"id\":0,", "added_tokens[0].id: this key is there twice"},
    {"{\"id\":0,", "{\"id\":0,\"colour\":1,", "added_tokens[0].colour: this key is not understood"},
    {"\"content\":\"<unk>\"", "\"content\":\"\"", "added_tokens[0].content"},
    {"\"content\":\"<unk>\"", "\"content\":null", "added_tokens[0].content"},
    {"\"single_word\":false", "\"single_word\":0", "added_tokens[0].single_word"},
    {"{\"id\":0,", "{\"id\":2,", "added_tokens[0]: \"<unk>\" has the id 2, as another piece"},
    {"{\"id\":7,\"content\":\"[x]\"", "{\"id\":1,\"content\":\"<s>\"", "the id 1, for the second time"},
    {"{\"id\":7,", "{\"id\":8,", "no token has the id 7"},
    {"{\"id\":7,", "{\"id\":70,", "the id 70, and the ids below have holes"},
    {"\"content\":\"[x]\"", "\"content\":\"a\"", "the same"},
    /* steps */
    {"\"normalizer\":{", "\"normalizer\":3,\"other\":{", "other"},
    {PREPEND, "3", "normalizer.normalizers[0]: an object"},
    {PREPEND, "null", "normalizer.normalizers[0]: an object"},
    {PREPEND, "{}", "normalizer.normalizers[0]: the key \"type\""},
    {PREPEND, "{\"type\":3}", "normalizer.normalizers[0].type: a string"},
    {PREPEND, "{\"type\":\"Nmt\"}", "normalizer.normalizers[0]: mote has no normalizer \"Nmt\""},
    {PREPEND, "{\"type\":\"mote.Spaces\"}", "mote has no normalizer \"mote.Spaces\""},
    {PREPEND, "{\"type\":\"Digits\"}", "mote has no normalizer \"Digits\""},
    {PREPEND, "{\"type\":\"NFC\",\"form\":1}", "normalizers[0].form: this key is not understood"},
    {PREPEND, "{\"type\":\"NFC\",\"type\":\"NFC\"}", "normalizers[0].type: the key is there twice"},
    {PREPEND, "{\"type\":\"Prepend\"}", "normalizers[0]: the key \"prepend\""},
    {PREPEND, "{\"type\":\"Prepend\",\"prepend\":[]}", "normalizers[0].prepend: a string"},
    {PREPEND, "{\"type\":\"Strip\",\"strip_left\":1}", "normalizers[0].strip_left: true or false"},
    {PREPEND, BERT "\"lowercase\":\"yes\"}", "normalizers[0].lowercase: true or false"},
    {PREPEND, BERT "\"other\":true}", "normalizers[0].other: this key"},
    {PREPEND, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"A\"}", "precompiled_charsmap: this is not base64"},
    {PREPEND, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AA=A\"}", "this is not base64"},
    {PREPEND, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"A*AA\"}", "this is not base64"},
    {PREPEND, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"\"}", "this is not base64"},
    {PREPEND, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":null}", "the key \"precompiled_charsmap\""},
    {PREPEND, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"////\"}", "charsmap"},
    {PREPEND, "{\"type\":\"Sequence\"}", "normalizers[0]: the list \"normalizers\""},
    {PREPEND, "{\"type\":\"Sequence\",\"normalizers\":{}}", "the list \"normalizers\""},
    {PREPEND, "{\"type\":\"Replace\",\"content\":\"\"}", "normalizers[0]: a pattern"},
    {PREPEND, "{\"type\":\"Replace\",\"pattern\":\"a\",\"content\":\"\"}", "normalizers[0].pattern: a pattern"},
    {PREPEND, "{\"type\":\"Replace\",\"pattern\":{},\"content\":\"\"}", "pattern: a pattern"},
    {PREPEND, "{\"type\":\"Replace\",\"pattern\":{\"Other\":\"a\"},\"content\":\"\"}", "pattern.Other: this key"},
    {PREPEND, "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"\"}", "an empty pattern"},
    {PREPEND, "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"}}", "the key \"content\""},
    {PREPEND, "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(a\"},\"content\":\"\"}", "expression"},
    {PRE_TOKENIZER, "{\"type\":\"UnicodeScripts\"}", "pre_tokenizer: mote has no pre-tokenizer \"UnicodeScripts\""},
    {PRE_TOKENIZER, "{\"type\":\"Lowercase\"}", "mote has no pre-tokenizer \"Lowercase\""},
    {PRE_TOKENIZER, "[]", "pre_tokenizer: an object"},
    {PRE_TOKENIZER, "{\"type\":\"Sequence\",\"normalizers\":[]}", "pre_tokenizer.normalizers: this key"},
    {PRE_TOKENIZER, "{\"type\":\"Digits\",\"individual_digits\":2}", "individual_digits: true or false"},
    {PRE_TOKENIZER, "{\"type\":\"Punctuation\",\"behavior\":\"Gone\"}", "behavior: \"Gone\" is not understood"},
    {PRE_TOKENIZER, "{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"ab\"}", "delimiter: one character"},
    {PRE_TOKENIZER, "{\"type\":\"CharDelimiterSplit\"}", "the key \"delimiter\""},
    {PRE_TOKENIZER, "{\"type\":\"Metaspace\",\"replacement\":\"__\"}", "replacement: one character"},
    {PRE_TOKENIZER, "{\"type\":\"Metaspace\",\"replacement\":\"\"}", "replacement: one character"},
    {PRE_TOKENIZER, "{\"type\":\"Metaspace\",\"prepend_scheme\":\"last\"}", "prepend_scheme: \"last\""},
    {PRE_TOKENIZER, "{\"type\":\"Metaspace\",\"prepend_scheme\":\"first\",\"add_prefix_space\":false}", "contradicts"},
    {PRE_TOKENIZER, "{\"type\":\"Whitespace\",\"pattern\":1}", "pre_tokenizer.pattern: this key"},
    {PRE_TOKENIZER, "{\"type\":\"ByteLevel\",\"use_regex\":null,\"other\":null}", "pre_tokenizer.other: this key"},
    {"\"behavior\":\"MergedWithNext\",", "", "pre_tokenizer: the key \"behavior\""},
    {"\"behavior\":\"MergedWithNext\"", "\"behavior\":\"mergedWithNext\"", "behavior: \"mergedWithNext\""},
    {"\"invert\":false", "\"invert\":\"\"", "pre_tokenizer.invert: true or false"},
    {STRIP, "{\"type\":\"CTC\"}", "decoder.decoders[2]: mote has no decoder \"CTC\""},
    {STRIP, "{\"type\":\"Strip\",\"content\":\"\"}", "decoders[2].content: one character"},
    {STRIP, "{\"type\":\"Strip\",\"content\":\" \",\"start\":-1}", "start: a number"},
    {STRIP, "{\"type\":\"Strip\",\"content\":\" \",\"stop\":1.5}", "stop: a number"},
    {STRIP, "{\"type\":\"Strip\",\"content\":\" \",\"stop\":\"1\"}", "stop: a number"},
    {STRIP, "{\"type\":\"WordPiece\",\"cleanup\":3}", "cleanup: true or false"},
    {STRIP, "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a\"},\"content\":\"\"}", "a decoder with a regular"},
    {STRIP, "{\"type\":\"BPEDecoder\",\"suffix\":3}", "suffix: a string"},
    /* post-processors */
    {"\"post_processor\":{\"type\":\"TemplateProcessing\"", "\"post_processor\":{\"type\":\"Other\"",
     "post_processor: mote has no post-processor \"Other\""},
    {"\"post_processor\":{\"type\":\"TemplateProcessing\"", "\"post_processor\":{\"kind\":1", "the key \"type\""},
    {"\"post_processor\":{", "\"post_processor\":[],\"x\":{", "x"},
    {SINGLE, "{}", "the list \"single\""},
    {SINGLE, "[]", "single: the text A is missing"},
    {SINGLE, "[{\"Sequence\":{\"id\":\"B\"}}]", "single[0]: the text A was expected"},
    {SINGLE, "[{\"Sequence\":{\"id\":\"A\"}},{\"Sequence\":{\"id\":\"A\"}}]", "single[1]: the text A"},
    {SINGLE, "[{\"Other\":1}]", "single[0]: a part of a template"},
    {SINGLE, "[{\"SpecialToken\":{\"id\":\"<s>\"}},{\"SpecialToken\":{\"id\":\"<s>\"}}]", "a second token before"},
    {SINGLE, "[{\"SpecialToken\":{\"id\":\"</s>\"}}]", "special_tokens does not have it"},
    {"\"ids\":[1]", "\"ids\":[1,2]", "special_tokens.<s>: one id"},
    {"\"ids\":[1]", "\"ids\":[\"1\"]", "ids[0]: a token's id"},
    {"\"ids\":[1]", "\"ids\":[100]", "post_processor: the id 100 is no token's"},
    {"\"pair\":[]", "\"other\":[]", "post_processor.other: this key"},
    {"\"post_processor\":{\"type\":\"TemplateProcessing\"",
     "\"post_processor\":{\"type\":\"Sequence\",\"processors\":[3]},\"x\":{\"type\":\"TemplateProcessing\"", "x"},
    /* the model */
    {"\"type\":\"BPE\"", "\"type\":\"Other\"", "model"},
    {"\"type\":\"BPE\"", "\"type\":3", "model.type: a string"},
    {"\"type\":\"BPE\"", "\"type\":\"WordPiece\"", "model: merges of a model that has none"},
    {"\"type\":\"BPE\"", "\"type\":\"Unigram\"", "model: merges of a model that has none"},
    {"\"type\":\"BPE\"", "\"type\":\"BPE\",\"colour\":1", "model.colour: this key"},
    {"\"type\":\"BPE\"", "\"type\":\"BPE\",\"type\":\"BPE\"", "type: the key is there twice"},
    {"\"dropout\":null", "\"dropout\":0.1", "model.dropout: merges would be left out"},
    {"\"dropout\":null", "\"dropout\":true", "model.dropout: merges would be left out"},
    {"\"unk_token\":\"<unk>\"", "\"unk_token\":\"<no>\"", "model.unk_token: no token is \"<no>\""},
    {"\"unk_token\":\"<unk>\"", "\"unk_token\":0", "model.unk_token: a string"},
    {"\"fuse_unk\":true", "\"fuse_unk\":1", "model.fuse_unk: true or false"},
    {"\"byte_fallback\":false", "\"byte_fallback\":\"no\"", "model.byte_fallback: true or false"},
    {"\"end_of_word_suffix\":null", "\"end_of_word_suffix\":0", "model.end_of_word_suffix: a string"},
    {"\"vocab\":" VOCAB, "\"vocab\":3", "model: vocab: an object or a list"},
    {"\"vocab\":" VOCAB, "\"vocab\":" VOCAB ",\"vocab\":{}", "model: the key \"vocab\" is there twice"},
    {"\"vocab\":" VOCAB ",", "", "model: the key \"vocab\" is missing"},
    {VOCAB, "[[\"<unk>\",0],[\"<s>\",0],[\"\u2581\",-1],[\"a\",-1],[\"b\",-1],[\"ab\",-1],[\"c\",-1]]",
     "vocab: an object was expected"},
    {VOCAB, "[[\"<unk>\"]]", "vocab[0] is not [piece, score]"},
    {VOCAB, "[[\"<unk>\",0,1]]", "vocab[0] is not [piece, score]"},
    {VOCAB, "[\"<unk>\"]", "vocab[0] is not [piece, score]"},
    {VOCAB, "[[\"<unk>\",1e300]]", "vocab[0] is not [piece, score]"},
    {"\"a\":3", "\"a\":\"3\"", "vocab: \"a\" has no id"},
    {"\"a\":3", "\"a\":{}", "vocab: \"a\" has no id"},
    {"\"a\":3", "\"a\":-3", "the id -3 of \"a\" is out of range"},
    {"\"a\":3", "\"a\":5000000", "the id 5000000 of \"a\" is out of range"},
    {"\"a\":3", "\"a\":4", "vocab: \"b\" has the id 4, as another piece"},
    {"\"a\":3", "\"a\":300", "vocab: \"a\" has the id 300, and the ids below have holes"},
    {"\"a\":3,", "", "no token has the id 3"},
    {"\"a\":3", "\"b\":3", "the same"},
    {",\"merges\":" MERGES, "", "model: the key \"merges\" is missing"},
    {MERGES, "{}", "merges"},
    {MERGES, MERGES ",\"merges\":[]", "model: the key \"merges\" is there twice"},
    {MERGES, "[\"ab\"]", "merges[0] \"ab\" is not two pieces"},
    {MERGES, "[\"a b c\"]", "merges[0] \"a b c\" is not two pieces"},
    {MERGES, "[\" b\"]", "is not two pieces"},
    {MERGES, "[\"a \"]", "is not two pieces"},
    {MERGES, "[\"\"]", "is not two pieces"},
    {MERGES, "[3]", "merges[0] is not two pieces"},
    {MERGES, "[[\"a\"]]", "merges[0] is not two pieces"},
    {MERGES, "[[\"a\",\"b\",\"c\"]]", "merges[0] is not two pieces"},
    {MERGES, "[[\"a\",3]]", "merges[0] is not two pieces"},
    {MERGES, "[[\"\",\"a\"]]", "is not two pieces"},
    {MERGES, "[\"a b\",\"a b\"]", "the same"},
    {MERGES, "[\"b a\"]", "merge"},
    {"\"type\":\"BPE\"",
     "\"type\":\"BPE\",\"x\":"
     "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
     "nested deeper"},
};
enum { N_BAD = sizeof bad / sizeof *bad };

static char *replaced(const char *from, const char *to) {
    const char *at = strstr(good, from);
    if (!at) return NULL;
    size_t before = (size_t)(at - good), after = strlen(at + strlen(from));
    char *text = malloc(before + strlen(to) + after + 1);
    if (!text) return NULL;
    memcpy(text, good, before);
    memcpy(text + before, to, strlen(to));
    memcpy(text + before + strlen(to), at + strlen(from), after + 1);
    return text;
}

static mote_status read_text(const char *text, size_t n, mote_tokenizer **t, mote_error *error) {
    uint8_t *exact = malloc(n ? n : 1); /* so that a sanitizer sees a read past the end */
    if (!exact) return MOTE_MEMORY;
    memcpy(exact, text, n);
    mote_status status = mote_tokenizer_json_read(exact, n, "bad.json", t, error);
    free(exact);
    return status;
}

static void test_bad_files(void) {
    for (int i = 0; i < N_BAD; i++) {
        mote_tokenizer *t = NULL;
        mote_error error = {0};
        char *text = replaced(bad[i].from, bad[i].to);
        CHECK(text, "%d: %s is not in the good file", i, bad[i].from);
        if (!text) continue;
        mote_status status = read_text(text, strlen(text), &t, &error);
        CHECK(status == MOTE_BAD_FILE && !t && strstr(error.message, bad[i].fragment) &&
                  strstr(error.message, "bad.json"),
              "%d: %s -> %s: %s (\"%s\" was expected)", i, bad[i].from, bad[i].to, status ? error.message : "accepted",
              bad[i].fragment);
        mote_tokenizer_destroy(t);
        free(text);
    }
    CHECK(N_BAD >= 100, "%d", N_BAD);
}

static void test_good_file(void) {
    mote_tokenizer *t = NULL;
    mote_error error = {0};
    int32_t *ids = NULL;
    size_t n = 0;
    CHECK(!read_text(good, strlen(good), &t, &error), "%s", error.message);
    if (!t) return;
    CHECK(!mote_tokenizer_encode(t, "ab [x]b z", 9, &ids, &n, &error), "%s", error.message);
    static const int32_t wanted[] = {6, 2, 7, 2, 4, 2, 0};
    CHECK(n == 7 && memcmp(ids, wanted, sizeof wanted) == 0);
    for (size_t i = 0; i < n && i < 7; i++) CHECK(ids[i] == wanted[i], "%zu: %d", i, ids[i]);
    CHECK(mote_tokenizer_begin(t) == 1 && mote_tokenizer_adds_begin(t) && mote_tokenizer_unknown(t) == 0);
    CHECK(mote_tokenizer_control(t, "<s>") == 1 && mote_tokenizer_vocab(t) == 8);
    mote_free(ids);
    mote_tokenizer_destroy(t);
}

/* Every prefix fails, every flipped bit fails or gives a tokenizer that can be used and written. */
static void test_prefixes_and_flips(void) {
    size_t n = strlen(good), accepted = 0;
    char *text = malloc(n + 1);
    CHECK(text && n <= 2048, "%zu", n);
    if (!text) return;
    memcpy(text, good, n + 1);
    mote_error error;
    for (size_t i = 0; i < n; i++) {
        mote_tokenizer *t = NULL;
        CHECK(read_text(text, i, &t, &error) == MOTE_BAD_FILE && !t, "the first %zu bytes", i);
    }
    for (size_t i = 0; i < 8 * n; i++) {
        mote_tokenizer *t = NULL;
        text[i / 8] ^= (char)(1 << i % 8);
        mote_status status = read_text(text, n, &t, &error);
        CHECK(status == MOTE_OK || (status == MOTE_BAD_FILE && error.message[0]), "bit %zu: %d", i, status);
        if (t) {
            mote_tokenizer *copy = again(t, &error);
            accepted++;
            CHECK(copy && same_ids(t, copy, "ab [x] a\u2581 b", 12), "bit %zu: %s", i,
                  copy ? "other ids" : error.message);
            mote_tokenizer_destroy(copy);
        }
        mote_tokenizer_destroy(t);
        text[i / 8] ^= (char)(1 << i % 8);
    }
    CHECK(accepted > 20 && accepted < 8 * n / 2, "%zu", accepted);
    free(text);
}

/* The k-th allocation fails, for every k, while it is read, written and read again. */
static void test_out_of_memory(void) {
    mote_error error = {0};
    int k = 0;
    failing_memory_begin();
    for (bool failed = true; failed && k < 2000; k++) {
        mote_tokenizer *t = NULL, *copy = NULL;
        failing_memory_fail_at(k);
        mote_status status = mote_tokenizer_json_read((const uint8_t *)good, strlen(good), "good", &t, &error);
        if (!status) copy = again(t, &error);
        failed = failing_memory_failed();
        CHECK(failed ? !copy && error.status == MOTE_MEMORY : copy != NULL, "allocation %d: %d %s", k, error.status,
              error.message);
        mote_tokenizer_destroy(t);
        mote_tokenizer_destroy(copy);
        CHECK(failing_memory_live() == 0, "allocation %d: %d blocks are left", k, failing_memory_live());
    }
    CHECK(k > 50 && k < 2000, "%d allocations", k);
    failing_memory_end();
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void test_own_kinds(void) {
    static const char text[] = "the cat sat on the mat; th\u00e9 caf\u00e9 \u4f60\u597d \U0001F642 "
                               "it's 12 o'clock\r\n the the the cat";
    if (!libraries) {
        test_skip("built without PCRE2 and utf8proc");
        return;
    }
    for (int kind = MOTE_TOKENIZER_BYTE; kind <= MOTE_TOKENIZER_BPE; kind++) {
        mote_tokenizer *t = NULL, *copy = NULL;
        mote_error error = {0};
        CHECK(!mote_tokenizer_train((mote_tokenizer_kind)kind, 300, text, strlen(text), &t, &error), "%s",
              error.message);
        copy = t ? again(t, &error) : NULL;
        CHECK(copy, "kind %d: %s", kind, error.message);
        for (int i = 0; t && copy && i < n_texts; i++)
            CHECK(same_ids(t, copy, texts[i].text, texts[i].size), "kind %d: text %d", kind, i + 1);
        if (copy) CHECK(mote_tokenizer_end(copy) == mote_tokenizer_end(t) &&
                        mote_tokenizer_unknown(copy) == mote_tokenizer_unknown(t));
        mote_tokenizer_destroy(t);
        mote_tokenizer_destroy(copy);
    }
}

static void check_gguf(const char *path, int most_different) {
    mote_tokenizer *t = NULL, *copy = NULL;
    mote_error error = {0};
    mote_status status = mote_tokenizer_open(path, &t, &error);
    if (status == MOTE_IO) {
        test_skip("../shared/data is not there");
        return;
    }
    CHECK(!status, "%s", error.message);
    copy = t ? again(t, &error) : NULL;
    CHECK(copy, "%s", error.message);
    int different = 0;
    for (int i = 0; copy && i < n_texts; i++) different += !same_ids(t, copy, texts[i].text, texts[i].size);
    CHECK(different <= most_different, "%s: %d of %d texts have other ids", path, different, n_texts);
    mote_tokenizer_destroy(t);
    mote_tokenizer_destroy(copy);
}

static void test_gguf_gpt2(void) {
    if (!libraries) test_skip("built without PCRE2 and utf8proc");
    else check_gguf("../shared/data/ggml-vocab-gpt-2.gguf", 0);
}
static void test_gguf_llama(void) { check_gguf("../shared/data/ggml-vocab-llama-spm.gguf", 0); }

/* ---- tokenizer_config.json --------------------------------------------------------------------------------------- */

static void test_config(void) {
    static const char text[] =
        "{\"bos_token\":{\"content\":\"<s>\",\"lstrip\":false},\"eos_token\":\"[x\\u005d\",\"unk_token\":null,"
        "\"add_bos_token\":true,\"add_eos_token\":false,\"model_max_length\":2048,\"other\":{\"a\":[1,2,{}]},"
        "\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"no\"},{\"name\":\"default\",\"template\":\"{{x}}\"}]"
        "}";
    static const struct {
        const char *text, *fragment;
    } wrong[] = {
        {"", "empty"}, {"[]", "an object"}, {"{\"bos_token\":3}", "bos_token: a token"},
        {"{\"eos_token\":{\"id\":3}}", "a token"}, {"{\"eos_token\":\"a\",\"eos_token\":\"a\"}", "there twice"},
        {"{\"add_bos_token\":1}", "add_bos_token: true or false"}, {"{\"chat_template\":1}", "chat_template: a string"},
        {"{\"chat_template\":[{\"name\":1}]}", "name: a string"}, {"{\"x\":[}", "expected"}, {"{}x", "more after"},
    };
    mote_arena arena = {0};
    mote_tokenizer_config config;
    mote_error error = {0};
    CHECK(!mote_tokenizer_config_read((const uint8_t *)text, strlen(text), "c", &arena, &config, &error), "%s",
          error.message);
    CHECK(config.begin.size == 3 && config.end.size == 3 && !memcmp(config.end.bytes, "[x]", 3));
    CHECK(config.unknown.size == 0 && config.adds_begin == 1 && config.adds_end == 0 && config.most_tokens == 2048);
    CHECK(config.chat_template.size == 5 && !memcmp(config.chat_template.bytes, "{{x}}", 5));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        mote_tokenizer_config none;
        mote_status status = mote_tokenizer_config_read((const uint8_t *)wrong[i].text, strlen(wrong[i].text), "c.json",
                                                        &arena, &none, &error);
        CHECK(status == MOTE_BAD_FILE && strstr(error.message, wrong[i].fragment), "%s: %s", wrong[i].text,
              error.message);
    }
    /* It names what tokenizer.json does not: the end, and that prompts begin with a token. */
    mote_tokenizer *t = NULL;
    CHECK(!mote_tokenizer_json_read_with((const uint8_t *)good, strlen(good), "t", &config, &t, &error), "%s",
          error.message);
    if (t) CHECK(mote_tokenizer_end(t) == 7 && mote_tokenizer_begin(t) == 1);
    mote_buffer out = {0};
    if (t) CHECK(!mote_tokenizer_config_write(t, "{{ \"x\" }}", 512, &out, &error), "%s", error.message);
    if (out.bytes) {
        CHECK(!mote_tokenizer_config_read((const uint8_t *)out.bytes, out.size, "out", &arena, &config, &error), "%s",
              error.message);
        CHECK(config.begin.size == 3 && config.end.size == 3 && config.unknown.size == 5 && config.adds_begin == 1);
        CHECK(config.most_tokens == 512 && config.chat_template.size == 9);
    }
    mote_buffer_deinit(&out);
    mote_tokenizer_destroy(t);
    mote_arena_deinit(&arena);
}

/* ---- time and memory --------------------------------------------------------------------------------------------- */

static size_t live_bytes, peak_bytes;
static void *counting_allocate(void *context, size_t bytes) {
    (void)context;
    void *block = malloc(bytes);
    live_bytes += block ? malloc_usable_size(block) : 0;
    if (live_bytes > peak_bytes) peak_bytes = live_bytes;
    return block;
}
static void counting_release(void *context, void *block) {
    (void)context;
    live_bytes -= block ? malloc_usable_size(block) : 0;
    free(block);
}

/* As many pieces and merges as Gemma has: all strings of one to three of 64 letters, made in both ways. */
static void large_text(mote_buffer *text) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    enum { PAIRS = 64 * 64, TRIPLES = 257983 };
    int id = 1;
    mote_buffer_print(text, "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"<u>\",\"vocab\":{\"<u>\":0");
    for (int i = 0; i < 64; i++) mote_buffer_print(text, ",\"%c\":%d", letters[i], id++);
    for (int i = 0; i < PAIRS; i++) mote_buffer_print(text, ",\"%c%c\":%d", letters[i >> 6], letters[i & 63], id++);
    for (int i = 0; i < TRIPLES; i++)
        mote_buffer_print(text, ",\n      \"%c%c%c\": %d", letters[i >> 12], letters[i >> 6 & 63], letters[i & 63],
                          id++);
    mote_buffer_print(text, "},\"merges\":[[\"A\",\"A\"]");
    for (int i = 1; i < PAIRS; i++) mote_buffer_print(text, ",[\"%c\",\"%c\"]", letters[i >> 6], letters[i & 63]);
    for (int i = 0; i < TRIPLES; i++) {
        char a = letters[i >> 12], b = letters[i >> 6 & 63], c = letters[i & 63];
        mote_buffer_print(text, ",\n    [\"%c%c\", \"%c\"],\n    [\"%c\", \"%c%c\"]", a, b, c, a, b, c);
    }
    mote_buffer_print(text, "]}}");
}

static void test_large(void) {
    mote_buffer text = {0};
    mote_error error = {0};
    mote_tokenizer *t = NULL;
    mote_memory_use(&(mote_memory_hooks){counting_allocate, counting_release, NULL});
    large_text(&text);
    size_t before = live_bytes;
    peak_bytes = live_bytes;
    struct timespec begin, end;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    mote_status status = mote_tokenizer_json_read((const uint8_t *)text.bytes, text.size, "large", &t, &error);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    double seconds = (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
    double mib = (double)(peak_bytes - before) / (1 << 20), most = 64 + 2 * (double)text.size / (1 << 20);
    printf("  %.1f MB in %.2f s and %.0f MiB\n", (double)text.size * 1e-6, seconds, mib);
    CHECK(!status && mote_tokenizer_vocab(t) == 262144, "%s", error.message);
    CHECK(mib < most, "%g MiB for %zu bytes", mib, text.size);
#ifndef MOTE_SANITIZED
    CHECK(seconds < 5, "%g s", seconds); /* 0.4 s where nothing else runs */
#endif
    mote_tokenizer_destroy(t);
    mote_buffer_deinit(&text);
    CHECK(live_bytes == 0, "%zu bytes are left", live_bytes);
    mote_memory_use(NULL);
}

int main(void) {
    text_libraries_use();
    libraries = text_libraries_name()[0] != 0;
    read_texts();
    RUN(test_good_file);
    RUN(test_goldens);
    RUN(test_bad_files);
    RUN(test_prefixes_and_flips);
    RUN(test_own_kinds);
    RUN(test_gguf_gpt2);
    RUN(test_gguf_llama);
    RUN(test_config);
    for (int i = 0; i < n_texts; i++) mote_free(texts[i].text);
    RUN(test_out_of_memory);
    RUN(test_large);
    return test_finish();
}
