/* Tokenizers, from any bytes. Property 1: learning from text and encoding text never fails but for memory, decoding
 * gives the text back (byte, bpe) and encoding in parts the same as at once. Property 2: a vocabulary of anybody is
 * refused or works, and comes back the same from its own parts. */
#include <stdlib.h>
#include <string.h>

#include "text/staged.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int condition) {
    if (!condition) abort();
}

static void check_encoding(const mote_tokenizer *t, const char *text, size_t n, size_t step) {
    int32_t *ids;
    size_t n_ids, n_back, at = 0;
    char *back;
    check(mote_tokenizer_encode(t, text, n, &ids, &n_ids, NULL) == MOTE_OK && (n_ids <= n || t->staged));
    for (size_t i = 0; i < n_ids; i++)
        check(ids[i] >= 0 && ids[i] < mote_tokenizer_vocab(t) && ids[i] != mote_tokenizer_end(t) &&
              t->types[ids[i]] != MOTE_TOKEN_CONTROL);
    check(mote_tokenizer_decode(t, ids, n_ids, &back, &n_back, NULL) == MOTE_OK);
    bool exact = t->kind == MOTE_TOKENIZER_BYTE || (t->kind == MOTE_TOKENIZER_BPE && !t->staged);
    for (size_t i = 0; i < n_ids; i++) exact = exact && t->types[ids[i]] == MOTE_TOKEN_NORMAL;
    if (exact) check(n_back == n && memcmp(back, text, n) == 0);
    mote_token_list list = {0};
    while (at < n) check(mote_tokenizer_encode_part(t, text, n, &at, step, &list, NULL) == MOTE_OK);
    check(list.n == n_ids && (n_ids == 0 || memcmp(list.tokens, ids, n_ids * sizeof *ids) == 0));
    mote_release(list.tokens);
    mote_free(ids);
    mote_free(back);
}

static void check_parts(const mote_tokenizer *t, const char *text, size_t n) {
    mote_arena arena = {0};
    mote_tokenizer_parts parts;
    mote_tokenizer *again, *copy;
    int32_t *ids, *same;
    size_t n_ids, n_same;
    check(mote_tokenizer_to_parts(t, &arena, &parts, NULL) == MOTE_OK);
    check(mote_tokenizer_from_parts(&parts, "fuzz", &again, NULL) == MOTE_OK);
    check(mote_tokenizer_copy(again, &copy, NULL) == MOTE_OK);
    check(mote_tokenizer_encode(t, text, n, &ids, &n_ids, NULL) == MOTE_OK);
    check(mote_tokenizer_encode(copy, text, n, &same, &n_same, NULL) == MOTE_OK);
    check(n_ids == n_same && (n_ids == 0 || memcmp(ids, same, n_ids * sizeof *ids) == 0));
    mote_free(ids);
    mote_free(same);
    mote_tokenizer_destroy(again);
    mote_tokenizer_destroy(copy);
    mote_arena_deinit(&arena);
}

static void fuzz_training(uint8_t choice, const char *text, size_t n) {
    mote_tokenizer *t;
    size_t half = n / 2;
    check(mote_tokenizer_train((mote_tokenizer_kind)(choice & 3), 257 + (choice >> 2), text, half, &t, NULL) ==
          MOTE_OK);
    check_encoding(t, text, n, 1 + (choice >> 4));
    check_parts(t, text, n);
    mote_tokenizer_destroy(t);
}

/* A model of others, and a pipeline for it that needs no hooks. */
static void choose_model(uint8_t choice, mote_tokenizer_parts *parts) {
    static const char *const models[] = {"llama", "t5", "mote.bpe", "bert", "gpt2", "llama", "t5"};
    static const char *const names[] = {"", "llama-bpe", "qwen2", "smollm"};
    static const mote_string mark = {MOTE_SPACE_MARK, 3}, space = {" ", 1}, dash = {"-", 1};
    static mote_step steps[8];
    static mote_pipeline pipeline;
    size_t n = 0;
    int model = (choice >> 1 & 7) - 1;
    parts->model = (mote_string){models[model], strlen(models[model])};
    parts->pre = (mote_string){names[choice >> 4 & 3], strlen(names[choice >> 4 & 3])};
    parts->remove_extra_whitespaces = choice & 16;
    parts->add_space_prefix = choice & 32;
    if (model < 2 || model == 4) return;
    memset(steps, 0, sizeof steps);
    if (choice & 16) steps[n++] = (mote_step){.kind = MOTE_STEP_STRIP_ENDS, .left = true, .right = choice & 32};
    if (choice & 32) steps[n++] = (mote_step){.kind = MOTE_STEP_PREPEND, .text = mark};
    if (choice & 64) steps[n++] = (mote_step){.kind = MOTE_STEP_REPLACE, .text = space, .content = mark};
    steps[n++] = (mote_step){.kind = MOTE_STEP_DIGITS, .individual = choice & 64};
    steps[n++] = (mote_step){.kind = MOTE_STEP_SPLIT, .text = dash, .behavior = (uint8_t)(choice >> 5) % MOTE_N_SPLITS};
    if (choice & 128) steps[n++] = (mote_step){.kind = MOTE_STEP_METASPACE, .text = mark, .split = choice & 16};
    steps[n++] = (mote_step){.kind = MOTE_STEP_REPLACE_TEXT, .text = mark, .content = space};
    steps[n++] = (mote_step){.kind = MOTE_STEP_BYTE_FALLBACK_TEXT};
    pipeline = (mote_pipeline){.steps = steps, .n_steps = n, .byte_fallback = choice & 16, .fuse_unknown = choice & 32};
    pipeline.ignore_merges = choice & 64;
    if (choice & 128) pipeline.continuing_prefix = (mote_string){"##", 2};
    parts->pipeline = &pipeline;
}

/* Lines of the input: tokens, and those that begin with a tab merges. Bytes 0 to 255 come first if choice says so. */
static void fuzz_parts(uint8_t other, uint8_t choice, const char *text, size_t n) {
    enum { MOST = 600 };
    static const char *const kinds[] = {"", "byte", "char", "word", "bpe"};
    static mote_string tokens[MOST], merges[MOST];
    static int32_t types[MOST];
    static float scores[MOST];
    static uint8_t added[MOST];
    static char bytes[256][4];
    size_t n_tokens = 0, n_merges = 0;
    for (int i = 0, next = 256; (choice & 1) && i < 256; i++) {
        bool printable = (i >= 33 && i <= 126) || (i >= 161 && i <= 172) || i >= 174;
        int point = printable ? i : next++, size = point < 0x80 ? 1 : 2;
        bytes[i][0] = (char)(size == 1 ? point : 0xC0 | point >> 6);
        bytes[i][1] = (char)(0x80 | (point & 63));
        types[n_tokens] = MOTE_TOKEN_NORMAL;
        tokens[n_tokens++] = (mote_string){bytes[i], (size_t)size};
    }
    for (size_t at = 0, end; at < n && n_tokens < MOST && n_merges < MOST; at = end + 1) {
        const char *newline = memchr(text + at, '\n', n - at);
        end = newline ? (size_t)(newline - text) : n;
        if (text[at] == '\t') merges[n_merges++] = (mote_string){text + at + 1, end - at - 1};
        else {
            bool typed = end > at && text[at] >= 1 && text[at] <= 6;
            types[n_tokens] = typed ? text[at] : MOTE_TOKEN_NORMAL;
            scores[n_tokens] = -(float)((end - at) * 7 % 11);
            added[n_tokens] = (uint8_t)(end - at) & 15;
            tokens[n_tokens++] = (mote_string){text + at + typed, end - at - typed};
        }
    }
    const char *kind = kinds[(choice >> 1) % 5], *model = choice & 16 ? "mote.word" : "gpt2";
    mote_tokenizer_parts parts = mote_tokenizer_parts_none();
    parts.model = (mote_string){model, strlen(model)};
    parts.kind = (mote_string){kind, strlen(kind)};
    parts.tokens = tokens;
    parts.types = choice & 32 ? NULL : types;
    parts.n_tokens = n_tokens;
    parts.merges = merges;
    parts.n_merges = n_merges;
    parts.end = choice & 64 ? (int32_t)n_tokens - 1 : -1;
    parts.unknown = choice & 128 ? (int32_t)n_tokens - 2 : -1;
    if (other >> 1 & 7) {
        choose_model(other, &parts);
        parts.kind.size = 0;
        parts.scores = scores;
        if (choice & 8) parts.added = added;
    }
    mote_tokenizer *t;
    mote_error error;
    mote_status status = mote_tokenizer_from_parts(&parts, "fuzz", &t, &error);
    check(status == MOTE_OK || status == MOTE_BAD_FILE);
    if (status) return;
    check_encoding(t, text, n, 7);
    check_parts(t, text, n);
    mote_tokenizer_destroy(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    const char *text = (const char *)data + 2;
    if (data[0] & 1) fuzz_training(data[1], text, size - 2);
    else fuzz_parts(data[0], data[1], text, size - 2);
    return 0;
}
