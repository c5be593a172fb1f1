/* llama2.c's tokenizer.bin: what it becomes, what is bad, prefixes and flipped bits, a real one. */
#include <sys/stat.h>
#include <unistd.h>

#include "failing_memory.h"
#include "formats/formats.h"
#include "llama2c_bytes.h"
#include "test.h"
#include "text/dataset.h"

#define PATH "build/test_tokenizer.bin"
static llama2c_bytes file;

static mote_status parse(const uint8_t *bytes, size_t n, mote_tokenizer **tokenizer, mote_error *error) {
    return mote_tokenizer_bin_parse(bytes, n, "file", tokenizer, error);
}

static void expect(const mote_tokenizer *tokenizer, const char *text, const int32_t *ids, size_t n) {
    int32_t *tokens = NULL;
    size_t count = 0, bytes = 0;
    char *back = NULL;
    mote_error error = {0};
    CHECK(mote_tokenizer_encode(tokenizer, text, strlen(text), &tokens, &count, &error) == MOTE_OK, "%s",
          error.message);
    CHECK(count == n && !memcmp(tokens, ids, n * sizeof *ids), "\"%s\": %zu tokens, the first %d", text, count,
          count ? tokens[0] : -1);
    CHECK(mote_tokenizer_decode(tokenizer, tokens, count, &back, &bytes, &error) == MOTE_OK && !strcmp(back, text),
          "\"%s\" comes back as \"%s\"", text, back ? back : "");
    mote_free(tokens);
    mote_free(back);
}

static void a_tokenizer_is_sentencepiece(void) {
    mote_tokenizer *t = NULL;
    mote_error error = {0};
    size_t n;
    llama2c_write_tokenizer(&file);
    CHECK(parse(file.bytes, file.size, &t, &error) == MOTE_OK, "%s", error.message);
    if (!t) return;
    CHECK(!strcmp(mote_tokenizer_name(t), "sentencepiece") && mote_tokenizer_vocab(t) == 266, "%s",
          mote_tokenizer_name(t));
    CHECK(mote_tokenizer_begin(t) == 1 && mote_tokenizer_adds_begin(t) && mote_tokenizer_end(t) == 2 &&
              mote_tokenizer_unknown(t) == 0,
          "special tokens");
    CHECK(mote_tokenizer_control(t, "<s>") == 1 && mote_tokenizer_control(t, "</s>") == 2, "control tokens");
    /* 259 " ", 260 a, 261 b, 262 ab, 263 " a", 264 " ab", 265 é; bytes from 3 */
    expect(t, "ab", (int32_t[]){264}, 1);
    expect(t, "a a", (int32_t[]){263, 263}, 2);
    expect(t, "b\n", (int32_t[]){259, 261, 3 + '\n'}, 3);
    expect(t, "\xc3\xa9\xc3\xa8", (int32_t[]){259, 265, 3 + 0xc3, 3 + 0xa8}, 4);
    const char *piece = mote_tokenizer_piece(t, 263, &n);
    CHECK(n == 2 && !memcmp(piece, " a", 2), "a piece has its space");
    mote_tokenizer_destroy(t);
}

/* What stands at token k: its score at `at`, its length 4 further, its bytes 8 further. */
static size_t token_at(int k) {
    size_t at = 4;
    for (int i = 0; i < k; i++) {
        uint32_t length;
        memcpy(&length, file.bytes + at + 4, 4);
        at += 8 + length;
    }
    return at;
}

static void bad_files_are_refused_with_the_reason(void) {
    static const struct {
        const char *message;
        int token, field; /* field -1: the head; -2: cut there */
        uint32_t value;
    } bad[] = {
        {"no tokenizer.bin", 0, -1, 0},
        {"no tokenizer.bin", 0, -1, 0xffffffff},
        {"no tokenizer.bin", 0, -1, 4097},
        {"no tokenizer.bin", 0, -1, 2}, /* its first token is longer */
        {"no tokenizer.bin", 0, -2, 0},
        {"no tokenizer.bin", 0, 4, 0x80000000}, /* CVE-2025-49847: a length that is negative as an int */
        {"is not <s>", 1, 8, 0},
        {"longest is said to have 6", 5, 4, 7},
        {"has -1 bytes", 259, 4, 0xffffffff},
        {"has -2147483648 bytes", 20, 4, 0x80000000},
        {"is empty", 264, 4, 0},
        {"not finite", 261, 0, 0x7fc00000},
        {"not finite", 3, 0, 0xff800000},
        {"is not <0x00>", 3, 8, 0x31303c3c}, /* llama.cpp PR 25969: bytes are found by place, never by parsing */
        {"is not <0x41>", 3 + 0x41, 8, 0},
        {"ends inside the head", 265, -2, 3},
        {"ends inside token 265", 265, -2, 9},
        {"are the least", 100, -2, 0},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mote_tokenizer *t = NULL;
        mote_error error = {0};
        llama2c_write_tokenizer(&file);
        size_t at = token_at(bad[i].token);
        if (bad[i].field == -1) memcpy(file.bytes, &bad[i].value, 4);
        else if (bad[i].field == -2) file.size = at + bad[i].value;
        else memcpy(file.bytes + at + bad[i].field, &bad[i].value, 4);
        mote_status status = parse(file.bytes, file.size, &t, &error);
        CHECK(status == MOTE_BAD_FILE && !t && strstr(error.message, bad[i].message), "case %zu: %d \"%s\"", i,
              (int)status, error.message);
        mote_tokenizer_destroy(t);
    }
    llama2c_write_tokenizer(&file);
    llama2c_token(&file, -9, "ab");
    mote_error error = {0};
    mote_tokenizer *t = NULL;
    CHECK(parse(file.bytes, file.size, &t, &error) == MOTE_BAD_FILE && error.message[0], "a token that is there twice");
    mote_tokenizer_destroy(t);
}

static void parse_exact(size_t n) {
    uint8_t *copy = malloc(n ? n : 1);
    mote_tokenizer *t = NULL;
    mote_error error = {0};
    memcpy(copy, file.bytes, n);
    mote_status status = parse(copy, n, &t, &error);
    CHECK((status == MOTE_OK) == !!t && (status == MOTE_OK || (status == MOTE_BAD_FILE && error.message[0])), "%d",
          (int)status);
    mote_tokenizer_destroy(t);
    free(copy);
}

static void prefixes_and_flipped_bits_end_in_a_status(void) {
    llama2c_write_tokenizer(&file);
    for (size_t n = 0; n < file.size; n += n < 200 || n > file.size - 120 ? 1 : 7) parse_exact(n);
    for (size_t bit = 0; bit < 8 * file.size; bit += bit < 4000 || bit > 8 * file.size - 1200 ? 1 : 11) {
        file.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        parse_exact(file.size);
        file.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void a_tokenizer_must_be_the_model_s(void) {
    static const llama2c_shape fits = {8, 8, 1, 2, 2, 266, 4}, other = {8, 8, 1, 2, 2, 265, 4};
    mote_error error = {0};
    mote_open_options options = mote_open_options_default();
    options.tokenizer = PATH;
    for (int k = 0; k < 2; k++) {
        mote_model *model = NULL;
        llama2c_write(&file, k ? &other : &fits, 0, 0);
        FILE *out = fopen("build/test_tokenizer_model.bin", "wb");
        CHECK(out && fwrite(file.bytes, 1, file.size, out) == file.size && !fclose(out), "write");
        llama2c_write_tokenizer(&file);
        out = fopen(PATH, "wb");
        CHECK(out && fwrite(file.bytes, 1, file.size, out) == file.size && !fclose(out), "write");
        mote_status status = mote_model_open_with("build/test_tokenizer_model.bin", &options, &model, &error);
        if (k) CHECK(status == MOTE_BAD_FILE && strstr(error.message, "266 tokens, but the model has 265"), "%s",
                     error.message);
        else CHECK(status == MOTE_OK && mote_model_tokenizer(model), "%s", error.message);
        mote_model_close(model);
    }
    options.struct_bytes = 0;
    mote_model *model = NULL;
    CHECK(mote_model_open_with("build/test_tokenizer_model.bin", &options, &model, &error) == MOTE_USAGE, "options");
    unlink(PATH);
    unlink("build/test_tokenizer_model.bin");
}

/* Token by token through a session: the begin token, then a window of one token less than the context. */
static double loss_by_hand(const mote_model *model, const int32_t *tokens, size_t n, int context, int *counted) {
    mote_session *session = NULL;
    double loss = 0;
    CHECK(mote_session_create(model, NULL, &session, NULL) == MOTE_OK, "session");
    for (size_t begin = 0; begin + 1 < n; begin += (size_t)context - 1) {
        mote_session_truncate(session, 0, 0);
        for (int i = 0; i < context && begin + (size_t)i < n; i++) {
            int32_t token = i == 0 ? mote_tokenizer_begin(mote_model_tokenizer(model)) : tokens[begin + (size_t)i - 1];
            mote_batch batch = {.n_tokens = 1, .token = &token, .position = &i};
            CHECK(mote_session_run(session, &batch, NULL) == MOTE_OK, "run");
            if (i == 0) continue;
            const float *logits = mote_session_logits(session, 0);
            double sum = 0;
            for (int j = 0; j < 266; j++) sum += exp((double)logits[j]);
            loss += log(sum) - (double)logits[tokens[begin + (size_t)i]];
            ++*counted;
        }
    }
    mote_session_destroy(session);
    return loss / *counted;
}

static void evaluation_gives_each_window_the_begin_token(void) {
    static const char text[] = "ab a b abab a aab b ba ab";
    enum { CONTEXT = 8 };
    mote_tokenizer *t = NULL;
    mote_model *model = NULL;
    mote_corpus *corpus = NULL;
    mote_dataset *dataset = NULL;
    mote_evaluation result = {0};
    mote_error error = {0};
    llama2c_write_tokenizer(&file);
    mote_config c = mote_config_default(MOTE_FAMILY_LLAMA);
    c.dim = 16, c.layers = 1, c.heads = 2, c.context = CONTEXT, c.hidden = 16;
    FILE *out = fopen(PATH ".txt", "wb");
    CHECK(out && fputs(text, out) >= 0 && !fclose(out), "write");
    mote_corpus_options options = mote_corpus_options_default();
    options.validation = 0;
    const char *path = PATH ".txt";
    bool ok = parse(file.bytes, file.size, &t, &error) == MOTE_OK &&
              mote_model_create(&c, t, 3, &model, &error) == MOTE_OK &&
              mote_corpus_open(&path, 1, &options, &corpus, &error) == MOTE_OK &&
              mote_dataset_create(corpus, t, &dataset, &error) == MOTE_OK &&
              mote_evaluate(model, dataset, MOTE_SPLIT_TRAIN, 0, 1, &result, &error) == MOTE_OK;
    CHECK(ok, "%s", error.message);
    if (ok) {
        int counted = 0;
        int32_t tokens[64];
        uint8_t is_target[64];
        size_t n = mote_dataset_tokens(dataset, MOTE_SPLIT_TRAIN);
        CHECK(n > 2 * CONTEXT - 2 && n <= 64, "%zu tokens are more than two windows", n);
        if (n > 64) n = 64;
        mote_dataset_read(dataset, MOTE_SPLIT_TRAIN, 0, n, tokens, is_target);
        double loss = loss_by_hand(model, tokens, n, CONTEXT, &counted);
        CHECK(result.tokens == n - 1 && (size_t)counted == n - 1, "each token after the first once: %d", counted);
        CHECK(fabs(loss - result.loss) < 1e-5, "%.7f, by hand %.7f", result.loss, loss);
    }
    mote_dataset_destroy(dataset);
    mote_corpus_close(corpus);
    mote_model_close(model);
    mote_tokenizer_destroy(t);
    unlink(PATH ".txt");
}

static void a_failed_allocation_leaves_nothing(void) {
    int failures = 0;
    llama2c_write_tokenizer(&file);
    for (int k = 0; k < 500; k++) {
        mote_tokenizer *t = NULL;
        failing_memory_begin();
        failing_memory_fail_at(k);
        mote_status status = parse(file.bytes, file.size, &t, NULL);
        bool failed = failing_memory_failed();
        failures += failed;
        CHECK(status == (failed ? MOTE_MEMORY : MOTE_OK), "allocation %d: %d", k, (int)status);
        mote_tokenizer_destroy(t);
        CHECK(failing_memory_live() == 0, "%d blocks are left", failing_memory_live());
        failing_memory_end();
        if (!failed) break;
    }
    CHECK(failures > 5, "%d", failures);
}

static void a_real_one_gives_llama2c_s_tokens(void) {
    mote_tokenizer *t = NULL;
    mote_error error = {0};
    if (access("../shared/data/tok512.bin", R_OK)) {
        test_skip("no ../shared/data here: an optional folder of extra texts and models");
        return;
    }
    CHECK(mote_tokenizer_open("../shared/data/tok512.bin", &t, &error) == MOTE_OK, "%s", error.message);
    if (!t) return;
    CHECK(mote_tokenizer_vocab(t) == 512, "%d", mote_tokenizer_vocab(t));
    expect(t, "Once upon a time", (int32_t[]){403, 407, 261, 378}, 4);
    mote_tokenizer_destroy(t);
}

int main(void) {
    mkdir("build", 0777);
    RUN(a_tokenizer_is_sentencepiece);
    RUN(bad_files_are_refused_with_the_reason);
    RUN(prefixes_and_flipped_bits_end_in_a_status);
    RUN(a_tokenizer_must_be_the_model_s);
    RUN(evaluation_gives_each_window_the_begin_token);
    RUN(a_failed_allocation_leaves_nothing);
    RUN(a_real_one_gives_llama2c_s_tokens);
    return test_finish();
}
