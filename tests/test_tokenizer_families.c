/* Tokenizers of others: the vocabularies of llama.cpp against the ids it expects, small ones made here for every model
 * and step, the way to GGUF and back, and files that are wrong. */
#include <unistd.h>

#include "base/files.h"
#include "base/random.h"
#include "base/threads.h"
#include "formats/gguf.h"
#include "text/staged.h"
#include "text/char_kinds.h"

#include "failing_memory.h"
#include "test.h"

#define STRING MOTE_STRING
#define MARK MOTE_SPACE_MARK
enum { MOST = 700 };

/* ---- hooks that know ASCII and a little Latin: what the steps do with them is tested, not Unicode ---------------- */

static void *fake_compile(void *context, const char *pattern, size_t n, char problem[256]) {
    (void)context;
    if (n == 0 || pattern[0] != '[') {
        snprintf(problem, 256, "only sets are known here");
        return NULL;
    }
    char *copy = mote_copy_bytes(pattern, n);
    return copy;
}
/* "[abc]" finds a run of these bytes, "[|abc]" the empty place before one of them. */
static int fake_match(void *context, const void *regex, void **scratch, const char *text, size_t n, size_t from,
                      size_t *begin, size_t *end) {
    (void)context;
    const char *set = regex;
    if (!*scratch) *scratch = mote_copy_string("working memory");
    bool empty = set[1] == '|';
    for (size_t i = from; i < n; i++) {
        if (!text[i] || !strchr(set + 1 + empty, text[i]) || text[i] == ']') continue;
        *begin = *end = i;
        while (!empty && *end < n && text[*end] && strchr(set + 1, text[*end])) ++*end;
        if (strchr(set, '!')) return -1;
        return 1;
    }
    return 0;
}
static void fake_release(void *context, void *block) {
    (void)context;
    mote_release(block);
}
/* Decomposes and composes e with an acute accent, nothing else. */
static bool fake_normalize(void *context, mote_text_form form, const char *text, size_t n,
                           bool (*put)(void *to, const char *text, size_t bytes), void *to) {
    (void)context;
    static const char composed[] = "\u00E9", apart[] = "e\u0301";
    bool decompose = form == MOTE_FORM_NFD || form == MOTE_FORM_NFKD;
    const char *from = decompose ? composed : apart, *with = decompose ? apart : composed;
    for (size_t at = 0; at < n;) {
        bool here = n - at >= strlen(from) && memcmp(text + at, from, strlen(from)) == 0;
        if (!put(to, here ? with : text + at, here ? strlen(with) : 1)) return false;
        at += here ? strlen(from) : 1;
    }
    return true;
}
static const char *fake_category(void *context, uint32_t point, uint32_t *lower) {
    (void)context;
    *lower = point < 0x80 && point >= 'A' && point <= 'Z' ? point + 32 : point;
    if (point < 0x20 || point == 0x7F) return "Cc";
    if (point >= 0x300 && point < 0x370) return "Mn";
    if (point == 0xBF || point == 0x3002) return "Po";
    return mote_char_kind_of(point) == MOTE_CHAR_LETTER ? "Ll" : "So";
}
static void use_fakes(bool use) {
    mote_text_hooks hooks = {NULL, fake_compile, fake_match, fake_release, fake_release, fake_normalize, fake_category};
    mote_text_use(use ? &hooks : NULL);
}

/* ---- making tokenizers ------------------------------------------------------------------------------------------ */

static mote_tokenizer_parts made;
static mote_string made_tokens[MOST], made_merges[MOST];
static int32_t made_types[MOST];
static float made_scores[MOST];
static uint8_t made_added[MOST];
static mote_step made_steps[MOTE_MOST_STEPS + 2];
static mote_pipeline made_pipeline;
static char byte_names[256][7];

static void begin(const char *model) {
    made = mote_tokenizer_parts_none();
    made.model = (mote_string){model, strlen(model)};
    made.tokens = made_tokens;
    made.types = made_types;
    made.scores = made_scores;
    made.merges = made_merges;
    memset(made_added, 0, sizeof made_added);
    memset(made_steps, 0, sizeof made_steps);
    made_pipeline = (mote_pipeline){.steps = made_steps};
}
static void token(const char *text, int type, float score) {
    made_tokens[made.n_tokens] = (mote_string){text, strlen(text)};
    made_types[made.n_tokens] = type;
    made_scores[made.n_tokens++] = score;
}
static void words(const char *const *list, int n) {
    for (int i = 0; i < n; i++) token(list[i], MOTE_TOKEN_NORMAL, -(float)i);
}
#define WORDS(...)                                                                                                     \
    words((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
static void bytes_as_names(void) {
    for (int i = 0; i < 256; i++) {
        snprintf(byte_names[i], sizeof byte_names[i], "<0x%02X>", (unsigned)i);
        token(byte_names[i], MOTE_TOKEN_BYTE, 0);
    }
}
static void merge(const char *text) { made_merges[made.n_merges++] = (mote_string){text, strlen(text)}; }
static mote_step *step(mote_step_kind kind) {
    mote_step *new = &made_steps[made_pipeline.n_steps++];
    new->kind = kind;
    made.pipeline = &made_pipeline;
    return new;
}
static mote_tokenizer *build(void) {
    mote_tokenizer *t = NULL;
    mote_error error = {0};
    mote_status status = mote_tokenizer_from_parts(&made, "made", &t, &error);
    CHECK(status == MOTE_OK, "%s", error.message);
    return t;
}

/* The tokens of a text as their names, joined by '|'. */
static void gives(const mote_tokenizer *t, const char *text, size_t n, const char *expected) {
    char joined[4096] = "";
    size_t out = 0, n_ids = 0, size;
    int32_t *ids = NULL;
    mote_error error = {0};
    if (!t) return;
    mote_status status = mote_tokenizer_encode(t, text, n, &ids, &n_ids, &error);
    CHECK(status == MOTE_OK, "%s", error.message);
    for (size_t i = 0; i < n_ids && out < 4000; i++) {
        const char *name = mote_string_set_get(&t->symbols, (uint32_t)ids[i], &size);
        out += (size_t)snprintf(joined + out, sizeof joined - out, "%s%.*s", i ? "|" : "", (int)size, name);
    }
    CHECK(strcmp(joined, expected) == 0, "'%.*s' became %s, not %s", (int)n, text, joined, expected);
    mote_free(ids);
}
#define GIVES(t, text, expected) gives(t, text, sizeof(text) - 1, expected)

static bool returns(const mote_tokenizer *t, const char *text, size_t n) {
    int32_t *ids = NULL;
    char *back = NULL;
    size_t n_ids = 0, size = 0;
    bool ok = mote_tokenizer_encode(t, text, n, &ids, &n_ids, NULL) == MOTE_OK &&
              mote_tokenizer_decode(t, ids, n_ids, &back, &size, NULL) == MOTE_OK && size == n &&
              memcmp(back, text, n) == 0;
    mote_free(ids);
    mote_free(back);
    return ok;
}

#define RETURNS(t, text) returns(t, text, sizeof(text) - 1)

/* ---- the vocabularies of llama.cpp ------------------------------------------------------------------------------ */

static int check_vocabulary(const mote_tokenizer *t, const char *path) {
    static const char split[] = "\n__ggml_vocab_test__\n";
    char name[256];
    mote_map inputs, outputs;
    int n_texts = 0;
    snprintf(name, sizeof name, "%s.inp", path);
    if (mote_map_open(name, &inputs, NULL)) return 0;
    snprintf(name, sizeof name, "%s.out", path);
    if (mote_map_open(name, &outputs, NULL)) {
        mote_map_close(&inputs);
        return 0;
    }
    char *lines = calloc(outputs.size + 1, 1), *line = lines;
    memcpy(lines, outputs.bytes, outputs.size);
    const char *text = (const char *)inputs.bytes, *end = text + inputs.size;
    for (;;) {
        const char *stop = memmem(text, (size_t)(end - text), split, strlen(split));
        size_t n = (size_t)((stop ? stop : end) - text), n_ids = 0;
        int32_t *ids = NULL;
        mote_tokenizer_encode(t, text, n, &ids, &n_ids, NULL);
        char *line_end = strchr(line, '\n');
        bool ok = true;
        for (size_t i = 0; i < n_ids; i++) ok = ok && strtol(line, &line, 10) == ids[i];
        while (*line == ' ') line++;
        CHECK(ok && (line_end ? line == line_end : !*line), "%s: text %d '%.*s'", path, n_texts, (int)n, text);
        CHECK(returns(t, text, n), "%s: text %d", path, n_texts);
        mote_free(ids);
        n_texts++;
        if (!stop || !line_end) break;
        text = stop + strlen(split);
        line = line_end + 1;
    }
    free(lines);
    mote_map_close(&inputs);
    mote_map_close(&outputs);
    return n_texts;
}

static mote_tokenizer *through_gguf(const mote_tokenizer *t) {
    static const char path[] = "build/test_tokenizer_families.gguf";
    mote_gguf_writer *w;
    mote_tokenizer *back = NULL;
    mote_error error = {0};
    mote_status status = mote_gguf_writer_open(path, &w, &error);
    if (!status) {
        mote_gguf_put_string(w, "general.architecture", "llama", 5);
        status = mote_gguf_put_tokenizer(w, t, &error);
        mote_gguf_begin_data(w);
        mote_status finished = mote_gguf_finish(w, &error);
        if (!status) status = finished;
    }
    if (!status) status = mote_tokenizer_open(path, &back, &error);
    CHECK(status == MOTE_OK, "%s", error.message);
    unlink(path);
    return back;
}

static void llama_cpp_vocabularies(void) {
    static const struct {
        const char *path;
        int vocab, begin;
        bool adds;
    } files[] = {{"../shared/data/ggml-vocab-llama-spm.gguf", 32000, 1, true},
                 {"../shared/data/ggml-vocab-gpt-2.gguf", 50257, -1, false}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (access(files[i].path, R_OK) != 0) {
            test_skip("no ../shared/data here: an optional folder of extra texts");
            return;
        }
        mote_tokenizer *t = NULL, *copy = NULL;
        mote_error error = {0};
        CHECK(mote_tokenizer_open(files[i].path, &t, &error) == MOTE_OK, "%s", error.message);
        if (!t) return;
        CHECK(mote_tokenizer_vocab(t) == files[i].vocab && mote_tokenizer_begin(t) == files[i].begin, "");
        CHECK(mote_tokenizer_adds_begin(t) == files[i].adds, "");
        CHECK(check_vocabulary(t, files[i].path) == 47, "%s", files[i].path);
        mote_tokenizer *back = through_gguf(t);
        CHECK(mote_tokenizer_copy(t, &copy, &error) == MOTE_OK, "%s", error.message);
        CHECK(back && check_vocabulary(back, files[i].path) == 47, "after GGUF: %s", files[i].path);
        CHECK(copy && check_vocabulary(copy, files[i].path) == 47, "a copy: %s", files[i].path);
        CHECK(back && back->end == t->end && back->unknown == t->unknown && !memcmp(back->types, t->types, t->n_tokens),
              "");
        mote_tokenizer_destroy(t);
        mote_tokenizer_destroy(back);
        mote_tokenizer_destroy(copy);
    }
}

/* ---- models ----------------------------------------------------------------------------------------------------- */

static void make_spm(void) {
    begin("llama");
    token("<unk>", MOTE_TOKEN_UNKNOWN, 0);
    token("<s>", MOTE_TOKEN_CONTROL, 0);
    token("</s>", MOTE_TOKEN_CONTROL, 0);
    bytes_as_names();
    WORDS(MARK, "a", "b", "c", MARK "a", "ab", "abc", MARK "ab", "bc", MARK MARK, "<", "s", ">", "<s", "\u00E9");
    token("<think>", MOTE_TOKEN_USER_DEFINED, 0);
    made.end = 2;
    made.unknown = 0;
    made.special[MOTE_SPECIAL_BEGIN] = 1;
    made.adds_begin = true;
}

static void sentencepiece(void) {
    make_spm();
    mote_tokenizer *t = build(), *back = t ? through_gguf(t) : NULL;
    mote_tokenizer *both[] = {t, back};
    for (int i = 0; i < 2 && both[i]; i++) {
        t = both[i];
        CHECK(strcmp(mote_tokenizer_name(t), "sentencepiece") == 0 && mote_tokenizer_adds_begin(t), "");
        GIVES(t, "abc", MARK "ab|c"); /* the pair of the best score, and not the longest, joins first */
        GIVES(t, "bc", MARK "|bc");
        GIVES(t, " abc", MARK "|" MARK "ab|c");
        GIVES(t, "x", MARK "|<0x78>");
        GIVES(t, "\u00E9\u00E8", MARK "|\u00E9|<0xC3>|<0xA8>");
        GIVES(t, "a\xFF", MARK "a|<0xFF>");
        GIVES(t, "", "");
        GIVES(t, "<s>", MARK "|<s|>"); /* never the control token */
        GIVES(t, "a<think>b", MARK "a|<think>|" MARK "|b");
        CHECK(RETURNS(t, "a b \xFF\xC3 <s> \n<think>"), "");
        CHECK(mote_tokenizer_control(t, "</s>") == 2 && mote_tokenizer_control(t, "abc") == -1, "");
    }
    for (int i = 0; i < 2; i++) mote_tokenizer_destroy(both[i]);
    make_spm();
    made.add_space_prefix = false;
    t = build();
    GIVES(t, "ab c", "ab|" MARK "|c");
    mote_tokenizer_destroy(t);
}

static void unigram(void) {
    begin("t5");
    token("<pad>", MOTE_TOKEN_CONTROL, 0);
    token("</s>", MOTE_TOKEN_CONTROL, 0);
    token("<unk>", MOTE_TOKEN_UNKNOWN, 0);
    token(MARK, MOTE_TOKEN_NORMAL, -2);
    token("a", MOTE_TOKEN_NORMAL, -3);
    token("b", MOTE_TOKEN_NORMAL, -3.5f);
    token("ab", MOTE_TOKEN_NORMAL, -7);
    token("ba", MOTE_TOKEN_NORMAL, -4);
    token(MARK "ab", MOTE_TOKEN_NORMAL, -5);
    token("un", MOTE_TOKEN_UNUSED, -1);
    made.end = 1;
    made.unknown = 2;
    made.remove_extra_whitespaces = true;
    mote_tokenizer *t = build(), *back = t ? through_gguf(t) : NULL;
    mote_tokenizer *both[] = {t, back};
    for (int i = 0; i < 2 && both[i]; i++) {
        t = both[i];
        GIVES(t, "ab", MARK "ab");
        GIVES(t, "aba", MARK "ab|a");
        GIVES(t, "bab", MARK "|ba|b");
        GIVES(t, "  ab   ab ", MARK "ab|" MARK "ab");
        GIVES(t, "a\u65E5\u672Cun", MARK "|a|<unk>"); /* a run of unknown characters is one */
        GIVES(t, "a\u65E5a\u672C", MARK "|a|<unk>|a|<unk>");
        CHECK(RETURNS(t, "ab aba"), "");
    }
    for (int i = 0; i < 2; i++) mote_tokenizer_destroy(both[i]);
}

static void make_wordpiece(void) {
    begin("bert");
    made.scores = NULL;
    token("[PAD]", MOTE_TOKEN_CONTROL, 0);
    token("[UNK]", MOTE_TOKEN_UNKNOWN, 0);
    token("[CLS]", MOTE_TOKEN_CONTROL, 0);
    token("[SEP]", MOTE_TOKEN_CONTROL, 0);
    made.unknown = 1;
    made.special[MOTE_SPECIAL_BEGIN] = 2;
}

static void wordpiece(void) {
    use_fakes(true);
    make_wordpiece();
    WORDS(MARK "un", "aff", "able", MARK "cafe", MARK "!", MARK "\u65E5", MARK "a");
    mote_tokenizer *t = build();
    GIVES(t, "Unaffable caf\u00E9!", MARK "un|aff|able|" MARK "cafe|" MARK "!");
    GIVES(t, "a\u65E5a", MARK "a|" MARK "\u65E5|" MARK "a");
    GIVES(t, "a unx\ta", MARK "a|[UNK]|" MARK "a");
    GIVES(t, "[CLS]", "[UNK]|[UNK]|[UNK]");
    mote_tokenizer_destroy(t);
    /* tokenizer.json's form, and the same after GGUF */
    make_wordpiece();
    WORDS("un", "##aff", "##able", "!", "a");
    made_pipeline.continuing_prefix = STRING("##");
    made_pipeline.most_word_characters = 10;
    mote_step *bert = step(MOTE_STEP_BERT);
    bert->clean_text = bert->chinese = bert->strip_accents = bert->lowercase = true;
    step(MOTE_STEP_BERT_SPLIT);
    mote_step *text = step(MOTE_STEP_WORDPIECE_TEXT);
    text->text = STRING("##");
    text->cleanup = true;
    t = build();
    mote_tokenizer *back = t ? through_gguf(t) : NULL;
    GIVES(t, "Unaffable!", "un|##aff|##able|!");
    GIVES(t, "unaffaffable", "[UNK]");
    GIVES(back, "Unaffable!", MARK "un|aff|able|" MARK "!");
    GIVES(back, "unaffaffable", "[UNK]");
    CHECK(RETURNS(t, "unaffable! a") && RETURNS(back, "unaffable! a"), "");
    mote_tokenizer_destroy(t);
    mote_tokenizer_destroy(back);
    use_fakes(false);
}

/* BPE of characters with merges, as tokenizer.json has Llama's: the same ids as by scores after GGUF. */
static void merges_of_characters(void) {
    begin("mote.bpe");
    token("<unk>", MOTE_TOKEN_UNKNOWN, 0);
    made.scores = NULL;
    bytes_as_names();
    WORDS(MARK, "a", "b", "c", "ab", MARK "ab", "bc", MARK "abc");
    merge("a b");
    merge(MARK " ab");
    merge("b c");
    merge(MARK "ab c");
    made.unknown = 0;
    made_pipeline.byte_fallback = made_pipeline.fuse_unknown = true;
    step(MOTE_STEP_PREPEND)->text = STRING(MARK);
    mote_step *replace = step(MOTE_STEP_REPLACE);
    replace->text = STRING(" ");
    replace->content = STRING(MARK);
    replace = step(MOTE_STEP_REPLACE_TEXT);
    replace->text = STRING(MARK);
    replace->content = STRING(" ");
    step(MOTE_STEP_BYTE_FALLBACK_TEXT);
    step(MOTE_STEP_FUSE);
    mote_step *strip = step(MOTE_STEP_STRIP_TEXT);
    strip->text = STRING(" ");
    strip->start = 1;
    mote_tokenizer *t = build(), *back = t ? through_gguf(t) : NULL;
    GIVES(t, "abc bc", MARK "abc|" MARK "|bc");
    GIVES(back, "abc bc", MARK "abc|" MARK "|bc");
    CHECK(back && back->kind == MOTE_TOKENIZER_SENTENCEPIECE, "");
    mote_random random;
    mote_random_seed(&random, 9);
    for (int i = 0; i < 300 && t && back; i++) {
        char text[40];
        size_t n = mote_random_below(&random, 40), n_a = 0, n_b = 0;
        int32_t *a = NULL, *b = NULL;
        for (size_t k = 0; k < n; k++) text[k] = "abc \xC3\xA9"[mote_random_below(&random, 6)];
        CHECK(mote_tokenizer_encode(t, text, n, &a, &n_a, NULL) == MOTE_OK, "");
        CHECK(mote_tokenizer_encode(back, text, n, &b, &n_b, NULL) == MOTE_OK, "");
        CHECK(n_a == n_b && !memcmp(a, b, n_a * sizeof *a), "text %d '%.*s'", i, (int)n, text);
        CHECK(returns(t, text, n) && returns(back, text, n), "text %d", i);
        mote_free(a);
        mote_free(b);
    }
    mote_tokenizer_destroy(t);
    mote_tokenizer_destroy(back);
    begin("mote.bpe"); /* marked parts of words */
    made.scores = NULL;
    WORDS("a", "##b", "##c", "b</w>", "##c</w>", "##bc</w>", "abc</w>", "a</w>");
    merge("##b ##c</w>");
    merge("a ##bc</w>");
    made_pipeline.continuing_prefix = STRING("##");
    made_pipeline.end_of_word = STRING("</w>");
    step(MOTE_STEP_WHITESPACE_SPLIT);
    step(MOTE_STEP_SUFFIX_TEXT)->text = STRING("</w>");
    t = build();
    GIVES(t, "abc a  b", "abc</w>|a</w>|b</w>");
    mote_tokenizer_destroy(t);
}

/* ---- byte-level BPE --------------------------------------------------------------------------------------------- */

static char byte_form[256][4];

static void make_byte_level(const char *pre) {
    begin("gpt2");
    made.scores = NULL;
    made.pre = (mote_string){pre, strlen(pre)};
    for (int i = 0, next = 256; i < 256; i++) {
        bool printable = (i >= 33 && i <= 126) || (i >= 161 && i <= 172) || i >= 174;
        byte_form[i][mote_utf8_encode((uint32_t)(printable ? i : next++), byte_form[i])] = 0;
        token(byte_form[i], MOTE_TOKEN_NORMAL, 0);
    }
    WORDS("th", "\u0120th", "the", "\u0120the", "12", "123", "whole");
    token("<|im_end|>", MOTE_TOKEN_USER_DEFINED, 0); /* markup, whatever the file says */
    token("<tool>", MOTE_TOKEN_USER_DEFINED, 0);
    token("  ", MOTE_TOKEN_USER_DEFINED, 0);
    merge("t h");
    merge("\u0120 th");
    merge("th e");
    merge("\u0120th e");
    merge("1 2");
    merge("12 3");
}

static void byte_levels(void) {
    use_fakes(true);
    static const char *const names[] = {"", "gpt-2", "llama-bpe", "qwen2", "smaug-bpe", "starcoder", "phi-2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        make_byte_level(names[i]);
        mote_tokenizer *t = build(), *back = t ? through_gguf(t) : NULL;
        if (!t || !back) continue;
        int n_wrong = 0;
        for (int pair = 0; pair < 65536 + 256; pair++) {
            char text[2] = {(char)pair, (char)(pair >> 8)};
            n_wrong += !returns(t, text, pair < 65536 ? 2 : 1);
        }
        CHECK(n_wrong == 0, "%s: %d strings of one or two bytes", names[i], n_wrong);
        CHECK(RETURNS(back, "the\xFF 1234 \u65E5<tool>  x"), "%s", names[i]);
        GIVES(t, "a<|im_end|>", "a|<|\x7C|i|m|_|e|n|d|\x7C|>");
        GIVES(t, "a<tool>b   ", "a|<tool>|b|  | ");
        bool threes = i == 2 || i == 4, ones = i == 3 || i == 5;
        GIVES(back, "1234 the", threes ? "123|4| the" : ones ? "1|2|3|4| the" : "123|4| the");
        GIVES(t, "whole", i == 2 ? "whole" : "w|h|o|l|e");
        CHECK(mote_tokenizer_control(t, "<|im_end|>") == 263, "%s", names[i]);
        mote_tokenizer_destroy(t);
        mote_tokenizer_destroy(back);
    }
    use_fakes(false);
}

/* Every name of GGUF's is taken where expressions are, and one that needs them is refused without. */
static void pre_tokenizers(void) {
    make_byte_level("falcon");
    mote_tokenizer *t = NULL;
    mote_error error = {0};
    CHECK(mote_tokenizer_from_parts(&made, "made", &t, &error) == MOTE_BAD_FILE && error.hint[0] &&
              strstr(error.message, "regular expressions"), "%s", error.message);
    make_byte_level("nonsense");
    CHECK(mote_tokenizer_from_parts(&made, "made", &t, &error) == MOTE_BAD_FILE && strstr(error.message, "'nonsense'"),
          "%s", error.message);
    static const char *const known[] = {"default", "deepseek-llm", "gpt-4o", "tekken", "viking", "kimi-k2", "bloom"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        CHECK(mote_pre_tokenizer_find((mote_string){known[i], strlen(known[i])}) != NULL, "%s", known[i]);
}

/* ---- steps: pieces of one token each ---------------------------------------------------------------------------- */

/* A unigram model that knows any ASCII character and joins nothing; pieces are told apart by the marks that a last
 * step puts before each. */
static void make_steps(void) {
    static char letters[128][2];
    begin("mote.bpe");
    made.scores = NULL;
    for (int i = 33; i < 127; i++) {
        letters[i][0] = (char)i;
        token(letters[i], MOTE_TOKEN_NORMAL, 0);
    }
    WORDS(" ", "\u00E9", "\u0301", "#");
    made.n_tokens--; /* '#' is there already */
}
static void pieces(const char *text, const char *expected) {
    mote_step *mark = step(MOTE_STEP_METASPACE);
    mark->text = STRING("_");
    mark->prepend = MOTE_PREPEND_ALWAYS;
    mote_tokenizer *t = build();
    int32_t *ids = NULL;
    size_t n = 0, out = 0, size;
    char joined[256] = "";
    if (!t) return;
    CHECK(mote_tokenizer_encode(t, text, strlen(text), &ids, &n, NULL) == MOTE_OK, "");
    for (size_t i = 0; i < n; i++) {
        const char *name = mote_string_set_get(&t->symbols, (uint32_t)ids[i], &size);
        memcpy(joined + out, name, size);
        out += size;
    }
    CHECK(strcmp(joined, expected) == 0, "'%s' became '%s', not '%s'", text, joined, expected);
    mote_free(ids);
    mote_tokenizer_destroy(t);
}

static void splits(void) {
    static const char *const expected[] = {"_a_b_c", "_a_-_-_b_-_c", "_a-_-_b-_c", "_a_-_-b_-c", "_a_--_b_-_c"};
    for (int behavior = 0; behavior < MOTE_N_SPLITS; behavior++) {
        make_steps();
        mote_step *split = step(MOTE_STEP_SPLIT);
        split->text = STRING("-");
        split->behavior = (uint8_t)behavior;
        pieces("a--b-c", expected[behavior]);
        make_steps();
        split = step(MOTE_STEP_PUNCTUATION);
        split->behavior = (uint8_t)behavior;
        use_fakes(true);
        pieces("a--b-c", expected[behavior]);
        use_fakes(false);
    }
    use_fakes(true);
    make_steps();
    mote_step *split = step(MOTE_STEP_SPLIT);
    split->text = STRING("[xy]");
    split->regex = true;
    split->behavior = MOTE_SPLIT_REMOVED;
    split->invert = true;
    pieces("axbxyc", "_x_xy");
    make_steps();
    split = step(MOTE_STEP_SPLIT);
    split->text = STRING("[|x]");
    split->regex = true;
    split->behavior = MOTE_SPLIT_ISOLATED;
    pieces("axbxxc", "_a_xb_x_xc");
    make_steps();
    step(MOTE_STEP_DIGITS)->individual = true;
    pieces("a12b3", "_a_1_2_b_3");
    make_steps();
    step(MOTE_STEP_DIGITS);
    pieces("a12b3", "_a_12_b_3");
    make_steps();
    step(MOTE_STEP_WHITESPACE);
    pieces(" ab-- c_1\n-", "_ab_--_c_1_-");
    make_steps();
    step(MOTE_STEP_WHITESPACE_SPLIT);
    pieces(" ab--  c\n", "_ab--_c");
    make_steps();
    step(MOTE_STEP_BERT_SPLIT);
    pieces(" ab--  c.d\n", "_ab_-_-_c_._d");
    use_fakes(false);
    make_steps();
    mote_step *space = step(MOTE_STEP_METASPACE);
    space->text = STRING("=");
    space->split = true;
    space->prepend = MOTE_PREPEND_FIRST;
    pieces("a b  c", "_=a_=b_=_=c");
}

static void normalizers(void) {
    use_fakes(true);
    make_steps();
    step(MOTE_STEP_NFD);
    pieces("\u00E9A", "_e\u0301A");
    make_steps();
    step(MOTE_STEP_NFC);
    pieces("e\u0301", "_\u00E9");
    make_steps();
    step(MOTE_STEP_LOWERCASE);
    pieces("AbC", "_abc");
    make_steps();
    step(MOTE_STEP_NFD);
    step(MOTE_STEP_STRIP_ACCENTS);
    pieces("\u00E9", "_e");
    make_steps();
    mote_step *strip = step(MOTE_STEP_STRIP_ENDS);
    strip->left = strip->right = true;
    pieces(" \na b\t ", "_a_b");
    make_steps();
    step(MOTE_STEP_STRIP_ENDS)->left = true;
    pieces("  ", "");
    make_steps();
    mote_step *replace = step(MOTE_STEP_REPLACE);
    replace->text = STRING("ab");
    replace->content = STRING("z");
    pieces("cabab", "_czz");
    make_steps();
    replace = step(MOTE_STEP_REPLACE);
    replace->text = STRING("[ab]");
    replace->content = STRING("z");
    replace->regex = true;
    pieces("cabad", "_czd");
    make_steps();
    step(MOTE_STEP_PREPEND)->text = STRING("x");
    pieces("a", "_xa");
    use_fakes(false);
}

/* A map with one rule, "A" to "bc": units are root, child 'A' and its value. */
static void charsmap(void) {
    enum { ROOT_OFFSET = 1, A_NODE = ROOT_OFFSET ^ 'A', A_OFFSET = 3, UNITS = 128 };
    uint32_t units[UNITS] = {0};
    char map[4 + 4 * UNITS + 4] = {0};
    uint32_t size = 4 * UNITS;
    units[0] = ROOT_OFFSET << 10;
    units[A_NODE] = (uint32_t)A_OFFSET << 10 | 1u << 8 | 'A';
    units[A_NODE ^ A_OFFSET] = 1u << 31 | 0;
    memcpy(map, &size, 4);
    memcpy(map + 4, units, sizeof units);
    memcpy(map + 4 + size, "bc", 3);
    make_steps();
    step(MOTE_STEP_PRECOMPILED)->text = (mote_string){map, sizeof map};
    pieces("xAAy", "_xbcbcy");
    mote_error error;
    for (size_t n = 0; n < sizeof map; n++) {
        bool whole = n >= 4 + size && (n == 4 + size || map[n - 1] == 0);
        mote_status status = mote_charsmap_check((mote_string){map, n}, "map", &error);
        CHECK((status == MOTE_OK) == (whole && n > 4 + size), "%zu bytes: %d", n, (int)status);
    }
    units[A_NODE ^ A_OFFSET] = 1u << 31 | 77;
    memcpy(map + 4, units, sizeof units);
    CHECK(mote_charsmap_check((mote_string){map, sizeof map}, "map", &error) == MOTE_BAD_FILE, "a value outside");
    units[A_NODE] = 100000u << 10 | 1u << 8 | 'A';
    memcpy(map + 4, units, sizeof units);
    CHECK(mote_charsmap_check((mote_string){map, sizeof map}, "map", &error) == MOTE_BAD_FILE, "a child outside");
    mote_random random; /* any map, checked or not, is read within its bounds */
    mote_random_seed(&random, 3);
    for (int i = 0; i < 3000; i++) {
        mote_buffer out = {0};
        for (size_t k = 4; k < 4 + size; k++)
            map[k] = (char)(mote_random_below(&random, 4) ? 'A' : mote_random_next(&random));
        mote_charsmap_apply((mote_string){map, sizeof map}, "AAbcA\xFF", 6, 1000, &out);
        mote_buffer_deinit(&out);
    }
}

static void added_tokens(void) {
    make_spm();
    made.added = made_added;
    token("[L]", MOTE_TOKEN_USER_DEFINED, 0);
    token("[R]", MOTE_TOKEN_USER_DEFINED, 0);
    token("word", MOTE_TOKEN_USER_DEFINED, 0);
    token("ab cd", MOTE_TOKEN_USER_DEFINED, 0);
    token("ab", MOTE_TOKEN_USER_DEFINED, 0);
    made.n_tokens--; /* the same as a token: refused, see below */
    made_added[made.n_tokens - 4] = MOTE_ADDED_LEFT;
    made_added[made.n_tokens - 3] = MOTE_ADDED_RIGHT;
    made_added[made.n_tokens - 2] = MOTE_ADDED_WORD;
    made_added[made.n_tokens - 1] = MOTE_ADDED_NORMALIZED;
    mote_tokenizer *t = build();
    GIVES(t, "a  [L] a", MARK "a|[L]|" MARK "|" MARK "a");
    GIVES(t, "a [R]  a", MARK "a|" MARK "|[R]|" MARK "a");
    GIVES(t, "word swords \u00E9word",
          "word|" MARK MARK "|s|<0x77>|<0x6F>|<0x72>|<0x64>|s|" MARK "|\u00E9|<0x77>|<0x6F>|<0x72>|<0x64>");
    GIVES(t, "ab cd", "ab cd"); /* its own text is normalized as the text is */
    mote_tokenizer *back = t ? through_gguf(t) : NULL;
    GIVES(back, "a  [L] a", MARK "a|[L]|" MARK "|" MARK "a");
    mote_tokenizer_destroy(t);
    mote_tokenizer_destroy(back);
}

/* ---- hostile texts and files ------------------------------------------------------------------------------------ */

static void long_texts(void) {
    enum { N = 1000000 };
    char *text = malloc(N);
    for (int which = 0; which < 4; which++) {
        for (int i = 0; i < N; i++)
            text[i] = which == 0 ? 'a' : which == 1 ? ' ' : which == 2 ? '\xFF' : "abc "[i * 7 % 4];
        for (int kind = 0; kind < 2; kind++) {
            make_spm();
            if (kind == 1) made.model = STRING("t5");
            mote_tokenizer *t = build();
            double start = mote_seconds();
            /* a unigram text of spaces only gets no space before it, but loses one when it is decoded */
            CHECK(t && (returns(t, text, N) || (kind == 1 && which == 1)), "text %d, model %d", which, kind);
            printf("     %s, text %d: there and back in %.2f s\n", t ? mote_tokenizer_name(t) : "", which,
                   mote_seconds() - start);
            CHECK(mote_seconds() - start < 30, "not in linear time");
            mote_tokenizer_destroy(t);
        }
    }
    free(text);
}

static int n_refused;
static void refused(const char *what, const char *expected) {
    mote_tokenizer *t = NULL;
    mote_error error = {0};
    mote_status status = mote_tokenizer_from_parts(&made, "bad.gguf", &t, &error);
    CHECK(status == MOTE_BAD_FILE && !t, "%s is taken", what);
    CHECK(strstr(error.message, expected) && strstr(error.message, "bad.gguf"), "%s: %s", what, error.message);
    mote_tokenizer_destroy(t);
    n_refused++;
    make_spm();
}
#define REFUSED(change, expected)                                                                                      \
    do {                                                                                                               \
        change;                                                                                                        \
        refused(#change, expected);                                                                                    \
    } while (0)

static void bad_vocabularies(void) {
    static char long_token[2000];
    memset(long_token, 'x', sizeof long_token - 1);
    make_spm();
    REFUSED(made.model = STRING("rwkv"), "'rwkv'");
    REFUSED(made.model = STRING(""), "''");
    REFUSED(made.scores = NULL, "without scores");
    REFUSED(made.model = STRING("t5"); made.scores = NULL, "without scores");
    REFUSED(made.model = STRING("t5"); made.unknown = -1, "without an unknown token");
    REFUSED(made_scores[5] = NAN, "score of token 5");
    REFUSED(made_scores[5] = INFINITY, "score of token 5");
    REFUSED(made.n_tokens = 0, "0 tokens");
    REFUSED(made.end = 100000, "end token 100000");
    REFUSED(made.unknown = -7, "unknown token -7");
    REFUSED(made.special[MOTE_SPECIAL_BEGIN] = 100000, "special token 100000");
    REFUSED(made.special[MOTE_SPECIAL_PADDING] = -2, "special token -2");
    REFUSED(made_types[5] = 7, "type 7");
    REFUSED(made_types[5] = 0, "type 0");
    REFUSED(made_types[5] = -1, "type -1");
    REFUSED(made_tokens[9] = STRING("<0x-1>"), "is no byte");
    REFUSED(made_tokens[9] = STRING("<0xGG>"), "is no byte");
    REFUSED(made_tokens[9] = STRING("<0x100>"), "is no byte");
    REFUSED(made_tokens[9] = STRING("0x41"), "is no byte");
    REFUSED(made_tokens[9] = STRING("<0xff>"), "is no byte"); /* printed and looked up in upper case everywhere */
    REFUSED(made_tokens[9] = STRING("<0x07>"), "are the same");
    REFUSED(made_tokens[261] = STRING("a"), "the same");
    REFUSED(made_tokens[261] = STRING("</s>"), "the same");
    REFUSED(made_tokens[1] = STRING("</s>"), "the same");
    REFUSED(made_tokens[261] = STRING("\xFF"), "not UTF-8");
    REFUSED(made_tokens[2] = STRING("\xC3"), "not UTF-8");
    REFUSED(token("ab", MOTE_TOKEN_USER_DEFINED, 0), "the same");
    REFUSED(token(long_token, MOTE_TOKEN_NORMAL, 0), "1999 bytes");
    REFUSED(token(long_token, MOTE_TOKEN_USER_DEFINED, 0), "1999 bytes");
    REFUSED(made.model = STRING("t5"); merge("a b"), "merges");
    REFUSED(made.model = STRING("mote.bpe"); merge("ab"), "'mote.bpe'");
    REFUSED(made.model = STRING("mote.bpe"); step(MOTE_STEP_FUSE); merge("ab"), "two parts");
    REFUSED(made.model = STRING("mote.bpe"); step(MOTE_STEP_FUSE); merge("a zz"), "neither a token");
    REFUSED(made.model = STRING("mote.bpe"); step(MOTE_STEP_FUSE); merge("a b"); merge("a b"), "are the same");
    REFUSED(made.model = STRING("gpt2"), "byte-to-unicode");
    REFUSED(made.model = STRING("gpt2"); made.pre = STRING("qwen9"), "'qwen9'");
    REFUSED(made.model = STRING("gpt2"); made.pre = STRING("viking"), "regular expressions");
    REFUSED(made.kind = STRING("bpe"), "kind 'bpe'");
    REFUSED(made.kind = STRING("zip"), "kind 'zip'");
    REFUSED(made.charsmap = STRING("short"); made.model = STRING("t5"), "precompiled_charsmap");
}

static void bad_pipelines(void) {
    make_spm();
    REFUSED(step(MOTE_STEP_NFC), "normal forms");
    REFUSED(step(MOTE_STEP_LOWERCASE), "normal forms");
    REFUSED(step(MOTE_STEP_BERT), "normal forms");
    REFUSED(step(MOTE_STEP_PUNCTUATION), "normal forms");
    REFUSED(made.model = STRING("bert"); made.scores = NULL, "normal forms");
    REFUSED(step(MOTE_STEP_SPLIT)->regex = true, "regular expressions");
    REFUSED(step(MOTE_STEP_SPLIT)->behavior = 9, "behavior 9");
    REFUSED(step(MOTE_STEP_METASPACE), "replaces nothing");
    REFUSED(step(MOTE_STEP_METASPACE)->text = STRING("_"); made_steps[0].prepend = 5, "is not known");
    REFUSED(for (int i = 0; i < 3; i++) step(MOTE_STEP_METASPACE)->text = STRING("  "), "3 times");
    REFUSED(step(MOTE_STEP_METASPACE)->text = STRING("     "), "more than one character");
    REFUSED(step(MOTE_STEP_REPLACE_TEXT)->regex = true, "replaces");
    REFUSED(step(MOTE_STEP_STRIP_TEXT), "not one byte");
    REFUSED(step(MOTE_STEP_STRIP_TEXT)->text = STRING("\u00E9"), "not one byte");
    REFUSED(step(MOTE_STEP_FUSE); step(MOTE_STEP_DIGITS), "out of order");
    REFUSED(step(MOTE_STEP_DIGITS); step(MOTE_STEP_PREPEND), "out of order");
    REFUSED(step(MOTE_N_STEPS), "out of order");
    REFUSED(step((mote_step_kind)-1), "out of order");
    REFUSED(step(MOTE_STEP_BYTE_LEVEL), "ByteLevel");
    REFUSED(made_pipeline.byte_level = true; step(MOTE_STEP_BYTE_LEVEL); step(MOTE_STEP_DIGITS), "not the last");
    REFUSED(made_pipeline.byte_level = true; step(MOTE_STEP_BYTE_LEVEL), "does not fit");
    REFUSED(for (int i = 0; i <= MOTE_MOST_STEPS; i++) step(MOTE_STEP_DIGITS), "65 steps");
    REFUSED(step(MOTE_STEP_PRECOMPILED), "precompiled_charsmap");
    static char long_mark[1100];
    memset(long_mark, '#', sizeof long_mark);
    REFUSED(step(MOTE_STEP_FUSE); made_pipeline.continuing_prefix = ((mote_string){long_mark, sizeof long_mark}),
            "more than");
    REFUSED(step(MOTE_STEP_METASPACE_TEXT)->text = ((mote_string){long_mark, 65}), "more than 64");
    use_fakes(true);
    REFUSED(step(MOTE_STEP_SPLIT)->regex = true; made_steps[0].text = STRING("(bad"), "only sets");
    use_fakes(false);
    CHECK(n_refused >= 60, "%d bad tokenizers", n_refused);
    /* steps as strings of a file */
    mote_string good[] = {STRING("byte_fallback most_word_characters=100"), STRING(""), STRING(""), STRING(""),
                          STRING("pretokenizer Split"), STRING("regex behavior=1"), STRING("x"), STRING("")};
    mote_arena arena = {0};
    mote_pipeline pipeline;
    mote_error error;
    CHECK(!mote_pipeline_from_strings(good, 8, STRING(""), "f", &arena, &pipeline, &error) && pipeline.n_steps == 1 &&
              pipeline.steps[0].regex && pipeline.steps[0].behavior == 1 && pipeline.most_word_characters == 100, "");
    static const char *const wrong[] = {"flag", "behavior=5", "behavior=", "start=99999999999", "regex,invert", "=1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        good[5] = (mote_string){wrong[i], strlen(wrong[i])};
        bool taken = !mote_pipeline_from_strings(good, 8, STRING(""), "f", &arena, &pipeline, &error);
        CHECK(taken == (i == 2), "%s", wrong[i]); /* an empty number is 0 */
    }
    for (size_t n = 0; n < 8; n++)
        CHECK((mote_pipeline_from_strings(good, n, STRING(""), "f", &arena, &pipeline, &error) == MOTE_OK) == (n == 4),
              "");
    mote_arena_deinit(&arena);
}

/* A limit of an expression, and normalizers that would fill the memory, fail the call and leave nothing behind. */
static void limits(void) {
    use_fakes(true);
    make_steps();
    mote_step *split = step(MOTE_STEP_SPLIT);
    split->text = STRING("[x!]");
    split->regex = true;
    mote_tokenizer *t = build();
    int32_t *ids;
    size_t n;
    mote_error error = {0};
    CHECK(t && mote_tokenizer_encode(t, "axa", 3, &ids, &n, &error) == MOTE_FAILED &&
              strstr(error.message, "expression"),
          "%s", error.message);
    mote_tokenizer_destroy(t);
    make_steps();
    for (int i = 0; i < 40; i++) {
        mote_step *replace = step(MOTE_STEP_REPLACE);
        replace->text = STRING("a");
        replace->content = STRING("aaaaaaaaaaaaaaaa");
    }
    t = build();
    CHECK(t && mote_tokenizer_encode(t, "a", 1, &ids, &n, &error) == MOTE_FAILED && strstr(error.message, "too much"),
          "%s", error.message);
    mote_tokenizer_destroy(t);
    use_fakes(false);
}

static mote_status whole_life(mote_error *error) {
    mote_tokenizer *t = NULL, *copy = NULL;
    int32_t *ids = NULL;
    char *text = NULL;
    size_t n, size;
    mote_status status = mote_tokenizer_from_parts(&made, "made", &t, error);
    if (!status) status = mote_tokenizer_copy(t, &copy, error);
    if (!status) status = mote_tokenizer_encode(copy, "the abc x<tool>", strlen("the abc x<tool>"), &ids, &n, error);
    if (!status) status = mote_tokenizer_decode(copy, ids, n, &text, &size, error);
    mote_free(text);
    mote_free(ids);
    mote_tokenizer_destroy(t);
    mote_tokenizer_destroy(copy);
    return status;
}

static void memory_that_fails(void) {
    for (int which = 0; which < 4; which++) {
        if (which == 0) make_spm();
        else if (which == 1) make_byte_level("qwen2");
        else if (which == 2) {
            make_spm();
            made.model = STRING("t5");
        } else {
            use_fakes(true);
            make_wordpiece();
            WORDS(MARK "the", MARK "abc");
        }
        bool failed = true;
        int k = 0;
        for (; k < 3000 && failed; k++) {
            mote_error error = {0};
            failing_memory_begin();
            failing_memory_fail_at(k);
            mote_status status = whole_life(&error);
            failed = failing_memory_failed();
            CHECK(status == (failed ? MOTE_MEMORY : MOTE_OK), "model %d, allocation %d: status %d %s", which, k,
                  (int)status, error.message);
            CHECK(failing_memory_live() == 0, "model %d, allocation %d: %d blocks leak", which, k,
                  failing_memory_live());
            failing_memory_end();
        }
        CHECK(!failed && k > 20, "%d allocations", k);
    }
    use_fakes(false);
}

int main(void) {
    RUN(llama_cpp_vocabularies);
    RUN(sentencepiece);
    RUN(unigram);
    RUN(wordpiece);
    RUN(merges_of_characters);
    RUN(byte_levels);
    RUN(pre_tokenizers);
    RUN(splits);
    RUN(normalizers);
    RUN(charsmap);
    RUN(added_tokens);
    RUN(long_texts);
    RUN(bad_vocabularies);
    RUN(bad_pipelines);
    RUN(limits);
    RUN(memory_that_fails);
    return test_finish();
}
