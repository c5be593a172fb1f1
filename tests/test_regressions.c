/* Faults that befell other readers of models: one file each in tests/regressions/, written by tools/make_regressions.py
 * and kept for ever. Each ends in success or in the error that says what is wrong, at once, by the public calls alone.
 * A number names the thread where the fault was described. */
#include <dirent.h>
#include <time.h>

#include "../app/text/libraries.h"
#include "mote/mote.h"
#include "test.h"

#define FOLDER "tests/regressions/"

typedef enum { OPEN, TOKENIZER, ENCODE, NOWHERE } stage; /* where the error comes up */

static const struct {
    const char *file;
    stage stage;
    const char *message; /* a part of the error's */
} cases[] = {
    {"whole.gguf", NOWHERE, ""},
    {"cve-2024-21802-five-dimensions.gguf", OPEN, "5 dimensions"},
    {"cve-2024-21802-dimension-count.gguf", OPEN, "4294967295 dimensions"},
    {"cve-2024-21825-array-count.gguf", OPEN, "claims an array of 2305843009213693953"},
    {"cve-2024-21825-array-of-arrays.gguf", OPEN, "array of arrays"},
    {"cve-2024-21836-tensor-count.gguf", OPEN, "claims 384307168202282327 tensors"},
    {"cve-2024-23496-string-length.gguf", OPEN, "longer than the file"},
    {"cve-2024-23496-key-length.gguf", OPEN, "ends inside a key"},
    {"cve-2024-23605-key-count.gguf", OPEN, "claims 18446744073709551615 keys"},
    {"cve-2024-32878-error-at-second-tensor.gguf", OPEN, "tensor 'b'"},
    {"cve-2024-41130-no-architecture.gguf", OPEN, "'general.architecture' is missing"},
    {"cve-2024-41130-empty-architecture.gguf", OPEN, "architecture ''"},
    {"cve-2025-49847-token-length.gguf", OPEN, "string 0 of 16"},
    {"llama.cpp-14145-fewer-tokens-than-rows.gguf", OPEN, "a tokenizer of 3 tokens"},
    {"llama.cpp-25969-token-of-byte-minus-one.gguf", TOKENIZER, "'<0x-1>' is no byte"},
    {"llama.cpp-25258-charsmap-shorter-than-its-head.gguf", TOKENIZER, "precompiled_charsmap of 3 bytes"},
    {"llama.cpp-25258-charsmap-longer-than-itself.gguf", TOKENIZER, "a trie of 2147483648"},
    {"llama.cpp-7592-special-token-beyond-vocabulary.gguf", TOKENIZER, "eos_token_id' is 16"},
    {"cve-2025-53630-sizes-wrap-in-sum.gguf", OPEN, "past the end"},
    {"cve-2026-27940-sum-wraps-to-little.gguf", OPEN, "past the end"},
    {"cve-2026-33298-elements-wrap-to-zero.gguf", OPEN, "more than 2^63 elements"},
    {"llama.cpp-27200-bytes-wrap-elements-do-not.gguf", OPEN, "larger than any file"},
    {"llama.cpp-27203-multiplied-before-divided.gguf", OPEN, "past the end"},
    {"mlx-4244-product-is-zero-in-32-bits.gguf", OPEN, "past the end"},
    {"cve-2026-53923-dimension-in-32-bits.gguf", OPEN, "past the end"},
    {"llama.cpp-18586-dimension-zero.gguf", OPEN, "a dimension of 0"},
    {"llama.cpp-20716-no-layers.gguf", OPEN, "block_count' is 0"},
    {"ollama-7802-no-heads.gguf", OPEN, "head_count' is 0"},
    {"cve-2025-0317-no-kv-heads.gguf", OPEN, "head_count_kv' is 0"},
    {"cve-2024-8063-alignment-zero.gguf", OPEN, "alignment is 0"},
    {"ggml-1517-width-zero.gguf", OPEN, "embedding_length' is 0"},
    {"llama.cpp-24997-alignment-2-30.gguf", OPEN, "alignment is 1073741824"},
    {"llama.cpp-26318-alignment-2-31.gguf", OPEN, "alignment is 2147483648"},
    {"ggml-1516-alignment-of-another-kind.gguf", OPEN, "kind u64"},
    {"llama.cpp-25821-a-million-layers.gguf", OPEN, "block_count' is 1000000"},
    {"gguf-tools-25-name-past-the-end.gguf", OPEN, "name of a tensor"},
    {"cve-2026-7482-data-past-the-end.gguf", OPEN, "past the end"},
    {"ollama-16183-offset-wraps.gguf", OPEN, "where 0 follows"},
    {"cve-2024-39720-four-bytes.gguf", OPEN, "ends inside the header"},
    {"cve-2024-12055-cut-in-a-key.gguf", OPEN, "ends inside a key"},
    {"ollama-17042-array-of-gigabytes.gguf", OPEN, "claims an array of 8589934592"},
    {"gguf-py-27188-43-bytes.gguf", OPEN, "head of an array"},
    {"cve-2024-34359-chat-template-of-code.gguf", NOWHERE, ""},
    {"llama.cpp-26600-nested-expression.json", OPEN, "nested too deep"},
    {"llama.cpp-27427-backtracking-expression.json", ENCODE, "too much time or memory"},
    {"llama.cpp-13825-deep-json.json", OPEN, "an object was expected"},
    {"llama.cpp-10380-merge-without-token.json", OPEN, "merge 0"},
    {"tflite-micro-3071-index-9999.json", OPEN, "id 9999"},
    {"tensorflow-115308-eight-bytes.safetensors", OPEN, "of 8 bytes is no model"},
    {"tensorflow-115308-header-of-2-63.safetensors", OPEN, "safetensors"},
    {"cve-2026-33298-shape-wraps.safetensors", OPEN, "safetensors"},
    {"cve-2025-53630-sizes-of-llama2c.bin", OPEN, "28 bytes where its header tells of"},
    {"llama.cpp-18586-zeros-of-llama2c.bin", OPEN, "of 64 bytes is no model"},
};
enum { N_CASES = sizeof cases / sizeof *cases };

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Encodes text in which a pattern of nested repetition backtracks for ever. */
static bool encodes(const mote_tokenizer *tokenizer, mote_error *error) {
    static const char text[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
    int32_t *tokens;
    size_t n;
    if (mote_tokenizer_encode(tokenizer, text, sizeof text - 1, &tokens, &n, error) != MOTE_OK) return false;
    mote_free(tokens);
    return true;
}

/* The stage that the file reaches without an error. */
static stage walk(const char *path, mote_error *error) {
    mote_model *model = NULL;
    mote_tokenizer *own = NULL;
    stage reached = NOWHERE;
    const mote_tokenizer *tokenizer;
    if (strstr(path, ".json")) {
        if (mote_tokenizer_open(path, &own, error) != MOTE_OK) return OPEN;
        tokenizer = own;
    } else {
        if (mote_model_open(path, &model, error) != MOTE_OK) return OPEN;
        tokenizer = mote_model_tokenizer(model);
        const char *problem = mote_model_tokenizer_problem(model);
        if (problem) snprintf(error->message, sizeof error->message, "%s", problem);
    }
    if (!tokenizer) reached = TOKENIZER;
    else if (!encodes(tokenizer, error)) reached = ENCODE;
    mote_tokenizer_destroy(own);
    mote_model_close(model);
    return reached;
}

#ifdef MOTE_SANITIZED
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

static void each_file(void) {
    for (int i = 0; i < N_CASES; i++) {
        char path[256];
        mote_error error = {0};
        const double start = cpu_seconds(), most = sanitized ? 60 : 1;
        snprintf(path, sizeof path, FOLDER "%s", cases[i].file);
        if (strstr(path, "-expression.json") && !text_libraries_name()[0]) continue; /* PCRE2 is needed */
        stage reached = walk(path, &error);
        CHECK(reached == cases[i].stage, "%s: stage %d, '%s'", cases[i].file, (int)reached, error.message);
        CHECK(strstr(error.message, cases[i].message), "%s: '%s' lacks '%s'", cases[i].file, error.message,
              cases[i].message);
        CHECK(reached != OPEN || error.status == MOTE_BAD_FILE, "%s: status %d", cases[i].file, (int)error.status);
        CHECK(cpu_seconds() - start < most, "%s: %.2f s", cases[i].file, cpu_seconds() - start);
    }
}

/* A file that nobody lists would be tested by nobody. */
static void none_is_forgotten(void) {
    DIR *folder = opendir(FOLDER);
    CHECK(folder, FOLDER);
    int n = 0;
    for (const struct dirent *entry; folder && (entry = readdir(folder));) n += entry->d_name[0] != '.';
    if (folder) closedir(folder);
    CHECK(n == N_CASES, "%d files, %d cases", n, (int)N_CASES);
}

/* GHSA-7rxv-5jhh-j6xx, llama.cpp #27427: lengths of prompts compared as signed, 50 KB on a stack. */
static void long_prompt(void) {
    enum { BYTES = 1 << 20 };
    mote_model *model = NULL;
    mote_error error = {0};
    int32_t *tokens = NULL;
    size_t n = 0;
    char *text = malloc(BYTES);
    memset(text, 'a', BYTES);
    CHECK(mote_model_open(FOLDER "whole.gguf", &model, &error) == MOTE_OK, "%s", error.message);
    const mote_tokenizer *tokenizer = mote_model_tokenizer(model);
    CHECK(mote_tokenizer_encode(tokenizer, text, BYTES, &tokens, &n, &error) == MOTE_OK && n >= BYTES / 2, "%zu: %s", n,
          error.message);
    mote_free(tokens);
    mote_model_close(model);
    free(text);
}

int main(void) {
    text_libraries_use();
    RUN(each_file);
    RUN(none_is_forgotten);
    RUN(long_prompt);
    return test_finish();
}
