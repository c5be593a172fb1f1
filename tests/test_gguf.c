/* GGUF: what is written comes back; every value kind; checksums find every flipped bit and every cut; hostile files
 * cost bounded time and memory; files of others open. Bad files one by one: test_gguf_bad.c; models: test_gguf_model.c.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/threads.h"
#include "failing_memory.h"
#include "gguf_bytes.h"
#include "test.h"

#define SAMPLE "build/test_gguf_sample.gguf"

static gguf_bytes file_bytes;
#define B (&file_bytes)

static uint8_t *read_whole(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    uint8_t *bytes = malloc(1 << 20);
    *size = fread(bytes, 1, 1 << 20, f);
    fclose(f);
    return bytes;
}

static float vector_values[5] = {1, -2.5f, 3e-20f, 4, 65504};
static uint16_t matrix_values[6] = {0x3c00, 0xc000, 1, 2, 3, 4};

static void put_sample(mote_gguf_writer *w) {
    const mote_string words[3] = {{"one", 3}, {"", 0}, {"a\0b", 3}};
    mote_gguf_put_string(w, "general.architecture", "sample", 6);
    mote_gguf_put_u32(w, "u32", UINT32_MAX);
    mote_gguf_put_u64(w, "u64", UINT64_MAX);
    mote_gguf_put_f32(w, "f32", 0.1f);
    mote_gguf_put_f64(w, "f64", -1e300);
    mote_gguf_put_bool(w, "yes", true);
    mote_gguf_put_bool(w, "no", false);
    mote_gguf_put_strings(w, "words", words, 3);
    mote_gguf_put_i32s(w, "i32s", (const int32_t[]){-1, INT32_MIN, 7}, 3);
    mote_gguf_put_u64s(w, "u64s", (const uint64_t[]){1, UINT64_MAX}, 2);
    char key[32];
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "filler.key.%d", i);
        mote_gguf_put_string(w, key, "some bytes to flip", 18);
    }
    mote_gguf_put_tensor(w, "vector", MOTE_TYPE_F32, 0, 5);
    mote_gguf_put_tensor(w, "matrix", MOTE_TYPE_F16, 2, 3);
    mote_gguf_put_tensor(w, "brain", MOTE_TYPE_BF16, 1, 3);
    mote_gguf_begin_data(w);
    mote_gguf_write_tensor(w, vector_values, sizeof vector_values);
    for (int i = 0; i < 3; i++) mote_gguf_write_tensor(w, &matrix_values[2 * i], 4); /* in pieces */
    mote_gguf_write_tensor(w, matrix_values, 6);
}

static mote_status write_sample(const char *path, mote_error *error) {
    mote_gguf_writer *w;
    mote_status status = mote_gguf_writer_open(path, &w, error);
    if (status != MOTE_OK) return status;
    put_sample(w);
    return mote_gguf_finish(w, error);
}

static void round_trip(void) {
    mote_error error = {0};
    mote_gguf file;
    CHECK(write_sample(SAMPLE, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_gguf_open(SAMPLE, &file, &error) == MOTE_OK, "%s", error.message);
    if (!file.entries) return;
    mote_status status = MOTE_OK;
    int64_t integer = 0;
    double number = 0;
    bool yes = false, no = true;
    mote_string string;
    CHECK(file.checksums && file.version == 3 && file.n_tensors == 3 && file.n_entries == 32);
    CHECK(mote_gguf_integer(&file, "u32", 0, INT64_MAX, &integer, &status, &error) && integer == UINT32_MAX);
    CHECK(mote_gguf_number(&file, "f32", 0, 1, &number, &status, &error) && number == (double)0.1f);
    CHECK(mote_gguf_number(&file, "f64", -INFINITY, 0, &number, &status, &error) && number == -1e300);
    CHECK(mote_gguf_number(&file, "u32", 0, 1e10, &number, &status, &error) && number == UINT32_MAX);
    CHECK(mote_gguf_bool(&file, "yes", &yes, &status, &error) && yes);
    CHECK(mote_gguf_bool(&file, "no", &no, &status, &error) && !no);
    CHECK(mote_gguf_string(&file, "general.architecture", &string, &status, &error) && string.size == 6);
    CHECK(!mote_gguf_integer(&file, "not there", 0, 1, &integer, &status, &error) && status == MOTE_OK);
    const mote_gguf_entry *words = mote_gguf_array(&file, "words", MOTE_GGUF_STRING, &status, &error);
    CHECK(words && words->count == 3);
    const uint8_t *at = words->data;
    mote_gguf_next_string(&at), mote_gguf_next_string(&at);
    string = mote_gguf_next_string(&at);
    CHECK(string.size == 3 && memcmp(string.bytes, "a\0b", 3) == 0 && at == words->data + words->data_bytes);
    const mote_gguf_entry *i32s = mote_gguf_array(&file, "i32s", MOTE_GGUF_I32, &status, &error);
    CHECK(i32s && mote_gguf_load_number(i32s->data + 4, MOTE_GGUF_I32) == INT32_MIN);
    CHECK(status == MOTE_OK);

    const mote_gguf_tensor *vector = mote_gguf_find_tensor(&file, "vector"),
                           *matrix = mote_gguf_find_tensor(&file, "matrix");
    CHECK(vector && vector->n_dims == 1 && vector->dims[0] == 5 && vector->dims[1] == 1 && vector->ggml_type == 0);
    CHECK(vector && vector->bytes == sizeof vector_values && memcmp(vector->data, vector_values, vector->bytes) == 0);
    CHECK(matrix && matrix->n_dims == 2 && matrix->dims[0] == 3 && matrix->dims[1] == 2 && matrix->ggml_type == 1);
    CHECK(matrix && memcmp(matrix->data, matrix_values, sizeof matrix_values) == 0);
    CHECK(!mote_gguf_find_tensor(&file, "vecto") && !mote_gguf_find_tensor(&file, "vectors"));
    mote_gguf_close(&file);
}

static void typed_reads_refuse(void) {
    mote_gguf file;
    mote_error error = {0};
    int64_t integer = 42;
    double number = 42;
    bool flag;
    mote_string string;
    CHECK(mote_gguf_open(SAMPLE, &file, &error) == MOTE_OK, "%s", error.message);
#define REFUSED(call, word)                                                                                            \
    do {                                                                                                               \
        mote_status status = MOTE_OK;                                                                                  \
        CHECK(!(call) && status == MOTE_BAD_FILE && strstr(error.message, word), "%s", error.message);                 \
    } while (0)
    REFUSED(mote_gguf_integer(&file, "u32", 0, 1000, &integer, &status, &error), "from 0 to 1000");
    REFUSED(mote_gguf_integer(&file, "u64", INT64_MIN, INT64_MAX, &integer, &status, &error), "18446744073709551615");
    REFUSED(mote_gguf_integer(&file, "f32", 0, 1, &integer, &status, &error), "kind f32");
    REFUSED(mote_gguf_integer(&file, "yes", 0, 1, &integer, &status, &error), "kind bool");
    REFUSED(mote_gguf_integer(&file, "i32s", 0, 1, &integer, &status, &error), "kind array");
    REFUSED(mote_gguf_number(&file, "words", 0, 1, &number, &status, &error), "kind array");
    REFUSED(mote_gguf_number(&file, "f64", 0, 1, &number, &status, &error), "-1e+300");
    REFUSED(mote_gguf_bool(&file, "u32", &flag, &status, &error), "kind u32");
    REFUSED(mote_gguf_string(&file, "u32", &string, &status, &error), "kind u32");
    REFUSED(mote_gguf_array(&file, "words", MOTE_GGUF_I32, &status, &error), "array of string");
    REFUSED(mote_gguf_array(&file, "u32", MOTE_GGUF_I32, &status, &error), "kind u32");
    CHECK(integer == 42 && number == 42);
    mote_gguf_close(&file);
}

static void integer_kinds(void) {
    static const struct { mote_gguf_kind kind; uint64_t bits; size_t bytes; int64_t value;
    } kinds[] = {
        {MOTE_GGUF_U8, 0xff, 1, 255},
        {MOTE_GGUF_I8, 0xff, 1, -1},
        {MOTE_GGUF_U16, 0x8000, 2, 32768},
        {MOTE_GGUF_I16, 0x8000, 2, -32768},
        {MOTE_GGUF_U32, 0xfffffffe, 4, 4294967294},
        {MOTE_GGUF_I32, 0xfffffffe, 4, -2},
        {MOTE_GGUF_U64, INT64_MAX, 8, INT64_MAX},
        {MOTE_GGUF_I64, (uint64_t)INT64_MIN, 8, INT64_MIN},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        begin(B, 2, 0, 1);
        put_key(B, "k", kinds[i].kind), put_le(B, kinds[i].bits, kinds[i].bytes);
        mote_gguf file;
        mote_error error = {0};
        mote_status status = MOTE_OK;
        int64_t value = 0;
        double number = 0;
        CHECK(mote_gguf_parse(B->bytes, B->size, "kinds", &file, &error) == MOTE_OK, "%s", error.message);
        CHECK(mote_gguf_integer(&file, "k", INT64_MIN, INT64_MAX, &value, &status, &error) && value == kinds[i].value);
        CHECK(mote_gguf_number(&file, "k", -INFINITY, INFINITY, &number, &status, &error) &&
              number == (double)kinds[i].value);
        if (value < 0 && value > INT64_MIN)
            CHECK(!mote_gguf_integer(&file, "k", 0, 1, &value, &status, &error) && strstr(error.message, " is -"));
        mote_gguf_close(&file);
    }
    begin(B, 3, 0, 1);
    key_f32(B, "nan", NAN);
    mote_gguf file;
    mote_status status = MOTE_OK;
    double number;
    CHECK(mote_gguf_parse(B->bytes, B->size, "nan", &file, NULL) == MOTE_OK);
    CHECK(!mote_gguf_number(&file, "nan", -INFINITY, INFINITY, &number, &status, NULL) && status == MOTE_BAD_FILE);
    mote_gguf_close(&file);
}

static void same_bytes_twice(void) {
    mote_error error = {0};
    size_t first_size = 0, second_size = 0;
    CHECK(write_sample(SAMPLE, &error) == MOTE_OK && write_sample(SAMPLE ".again", &error) == MOTE_OK, "%s",
          error.message);
    uint8_t *first = read_whole(SAMPLE, &first_size), *second = read_whole(SAMPLE ".again", &second_size);
    CHECK(first && second && first_size == second_size && memcmp(first, second, first_size) == 0);
    free(first), free(second);
    remove(SAMPLE ".again");
}

/* A pipe cannot be patched; what comes out of it must be the same file. */
static void through_a_pipe(void) {
    int ends[2];
    char path[32];
    mote_error error = {0};
    size_t size = 0;
    uint8_t *expected = read_whole(SAMPLE, &size), *got = malloc(1 << 16);
    CHECK(pipe(ends) == 0);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
    CHECK(write_sample(path, &error) == MOTE_OK, "%s", error.message);
    close(ends[1]);
    size_t n = 0;
    for (ssize_t part; (part = read(ends[0], got + n, (1 << 16) - n)) > 0;) n += (size_t)part;
    CHECK(n == size && memcmp(got, expected, n) == 0, "%zu of %zu bytes", n, size);
    close(ends[0]);
    free(expected), free(got);
}

static void writer_refuses(void) {
    static const struct { const char *what, *word;
    } cases[] = {
        {"key after data", "in order"},
        {"too much data", "more tensor data"},
        {"too little data", "was not written"},
        {"long name", "names have 1 to 63"},
        {"no columns", "cannot be stored"},
        {"overflow", "cannot be stored"},
        {"no begin", "in order"},
    };
    for (int i = 0; i < (int)(sizeof cases / sizeof cases[0]); i++) {
        mote_gguf_writer *w;
        mote_error error = {0};
        CHECK(mote_gguf_writer_open(SAMPLE ".refused", &w, &error) == MOTE_OK, "%s", error.message);
        if (i == 3)
            mote_gguf_put_tensor(w, "0123456789012345678901234567890123456789012345678901234567890123", MOTE_TYPE_F32,
                                 0, 1);
        else mote_gguf_put_tensor(w, "t", MOTE_TYPE_F32, i == 5 ? UINT64_MAX : 0, i == 4 ? 0 : 1);
        if (i != 6) mote_gguf_begin_data(w);
        if (i == 0) mote_gguf_put_u32(w, "late", 1);
        if (i != 2) mote_gguf_write_tensor(w, vector_values, i == 1 ? 8 : 4);
        CHECK(mote_gguf_finish(w, &error) == MOTE_USAGE && strstr(error.message, cases[i].word), "%s: %s",
              cases[i].what, error.message);
        CHECK(access(SAMPLE ".refused", F_OK) != 0, "a file was left");
    }
}

/* ---- damage */

static mote_status parse_copy(const uint8_t *bytes, size_t size, mote_error *error) {
    uint8_t *copy = malloc(size ? size : 1);
    if (size) memcpy(copy, bytes, size);
    mote_gguf file;
    mote_status status = mote_gguf_parse(copy, size, "damaged", &file, error);
    mote_gguf_close(&file);
    free(copy);
    return status;
}

static void every_prefix(void) {
    size_t size = 0;
    uint8_t *bytes = read_whole(SAMPLE, &size);
    mote_error error = {0};
    size_t data_end = size - 32 + 6; /* the last tensor has 6 bytes; the padding behind it may be missing */
    for (size_t n = 0; n < size; n++) {
        mote_status status = parse_copy(bytes, n, &error);
        CHECK(status == (n < data_end ? MOTE_BAD_FILE : MOTE_OK), "%zu of %zu bytes: status %d", n, size, (int)status);
    }
    free(bytes);
}

static void every_flipped_bit(void) {
    size_t size = 0, missed = 0;
    uint8_t *bytes = read_whole(SAMPLE, &size);
    CHECK(size > 1500 && size < 3000, "%zu bytes", size);
    for (size_t i = 0; i < 8 * size; i++) {
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        missed += parse_copy(bytes, size, NULL) != MOTE_BAD_FILE;
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    CHECK(missed == 0, "%zu of %zu flips were not detected", missed, 8 * size);
    CHECK(parse_copy(bytes, size, NULL) == MOTE_OK);
    free(bytes);
}

static void damage_is_named(void) {
    size_t size = 0;
    uint8_t *bytes = read_whole(SAMPLE, &size);
    mote_error error = {0};
    bytes[size - 64 + 3] ^= 1; /* in "matrix", the last tensor but one */
    CHECK(parse_copy(bytes, size, &error) == MOTE_BAD_FILE && strstr(error.message, "'matrix'"), "%s", error.message);
    bytes[size - 64 + 3] ^= 1;
    bytes[64] ^= 1; /* in the value of the first key */
    CHECK(parse_copy(bytes, size, &error) == MOTE_BAD_FILE && strstr(error.message, "header's checksum"), "%s",
          error.message);
    free(bytes);
}

/* Without checksums flips cannot all be found, but none may do harm. */
static void every_flip_without_checksums(void) {
    begin(B, 3, 2, 3);
    key_u32(B, "general.alignment", 16);
    key_array(B, "a", MOTE_GGUF_U16, 3), put_data(B, 1, 6);
    key_texts(B, "s", (const char *const[]){"x", "yy"}, 2);
    put_tensor(B, "one", 2, (const uint64_t[]){32, 2}, 8, 0);
    put_tensor(B, "two", 1, (const uint64_t[]){4}, 0, 80);
    put_data(B, 16, 80), put_data(B, 16, 16);
    CHECK(parse_copy(B->bytes, B->size, NULL) == MOTE_OK);
    size_t refused = 0;
    for (size_t i = 0; i < 8 * B->size; i++) {
        B->bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        mote_status status = parse_copy(B->bytes, B->size, NULL);
        CHECK(status == MOTE_OK || status == MOTE_BAD_FILE);
        refused += status != MOTE_OK;
        B->bytes[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    CHECK(refused > 0);
    for (size_t n = 0; n < B->size; n++) CHECK(parse_copy(B->bytes, n, NULL) == MOTE_BAD_FILE, "%zu bytes", n);
}

/* ---- hostile sizes */

static size_t live_bytes, peak_bytes;

static void *counting_allocate(void *context, size_t bytes) {
    (void)context;
    size_t *block = malloc(bytes + 16);
    if (!block) return NULL;
    block[0] = bytes;
    live_bytes += bytes;
    if (live_bytes > peak_bytes) peak_bytes = live_bytes;
    return block + 2;
}

static void counting_release(void *context, void *pointer) {
    (void)context;
    if (!pointer) return;
    size_t *block = (size_t *)pointer - 2;
    live_bytes -= block[0];
    free(block);
}

static void measure(const char *what, const uint8_t *bytes, size_t size, mote_status expected, const char *word) {
    mote_error error = {0};
    mote_gguf file;
    live_bytes = peak_bytes = 0;
    mote_memory_use(&(mote_memory_hooks){.allocate = counting_allocate, .release = counting_release});
    double start = mote_seconds();
    mote_status status = mote_gguf_parse(bytes, size, "hostile", &file, &error);
    double seconds = mote_seconds() - start;
    mote_gguf_close(&file);
    mote_memory_use(NULL);
    CHECK(status == expected && strstr(error.message, word), "%s: status %d, %s", what, (int)status, error.message);
    CHECK(peak_bytes <= ((size_t)64 << 20) + 2 * size, "%s: %zu bytes for a file of %zu", what, peak_bytes, size);
    CHECK(live_bytes == 0, "%s: %zu bytes leak", what, live_bytes);
    CHECK(seconds < 2, "%s: %.2f seconds", what, seconds);
}

static size_t append_le(uint8_t *at, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) at[i] = (uint8_t)(value >> (8 * i));
    return bytes;
}

static void bounded_cost(void) {
    size_t room = (size_t)12 << 20, n;
    uint8_t *bytes = calloc(1, room);
    memcpy(bytes, "GGUF\3", 5);
    /* 65536 keys of 3 bytes: quadratic search took others minutes */
    append_le(bytes + 16, 65536, 8);
    n = 24;
    for (uint32_t i = 0; i < 65536; i++)
        n += append_le(bytes + n, 3, 8), n += append_le(bytes + n, i | 0x40000000, 3), n += 5;
    measure("65536 small keys", bytes, n, MOTE_OK, "");
    /* 262144 tensors */
    append_le(bytes + 16, 0, 8);
    append_le(bytes + 8, 262144, 8);
    n = 24;
    for (uint32_t i = 0; i < 262144; i++) {
        n += append_le(bytes + n, 4, 8), n += append_le(bytes + n, i, 4), n += append_le(bytes + n, 1, 4);
        n += append_le(bytes + n, 1, 8), n += append_le(bytes + n, 24, 4),
            n += append_le(bytes + n, 32 * (uint64_t)i, 8);
    }
    measure("262144 tensors without data", bytes, n, MOTE_BAD_FILE, "past the end");
    append_le(bytes + 8, 262145, 8);
    measure("262145 tensors", bytes, n, MOTE_BAD_FILE, "claims");
    /* one array of 4 MiB of bools, one of half a million empty strings */
    append_le(bytes + 8, 0, 8), append_le(bytes + 16, 2, 8);
    n = 24;
    memset(bytes + n, 0, room - n);
    n += append_le(bytes + n, 1, 8), bytes[n++] = 'a', n += append_le(bytes + n, 9, 4);
    n += append_le(bytes + n, 7, 4), n += append_le(bytes + n, 4 << 20, 8) + (4 << 20);
    n += append_le(bytes + n, 1, 8), bytes[n++] = 'b', n += append_le(bytes + n, 9, 4);
    n += append_le(bytes + n, 8, 4), n += append_le(bytes + n, 1 << 19, 8) + (8 << 19);
    measure("large arrays", bytes, n, MOTE_OK, "");
    free(bytes);
}

/* Names chosen to share a slot of the hash table. */
static void colliding_names(void) {
    enum { KEYS = 200, SLOTS = 1024 };
    begin(B, 3, 0, KEYS);
    uint64_t candidate = 0;
    for (int i = 0; i < KEYS; i++) {
        uint8_t key[8];
        do append_le(key, ++candidate, 8);
        while (mote_hash_bytes(key, 8, SLOTS) % SLOTS != 5);
        put_le(B, 8, 8), put_raw(B, key, 8), put_le(B, MOTE_GGUF_U8, 4), put_le(B, 0, 1);
    }
    measure("colliding names", B->bytes, B->size, MOTE_BAD_FILE, "made to collide");
}

static void every_allocation_fails(void) {
    size_t size = 0;
    uint8_t *bytes = read_whole(SAMPLE, &size);
    failing_memory_begin();
    int k = 0;
    for (bool failed = true; failed && k < 100; k++) {
        mote_gguf file;
        mote_error error = {0};
        failing_memory_fail_at(k);
        mote_status status = mote_gguf_parse(bytes, size, "memory", &file, &error);
        mote_gguf_close(&file);
        failed = failing_memory_failed();
        CHECK(status == (failed ? MOTE_MEMORY : MOTE_OK), "allocation %d: %s", k, error.message);
        CHECK(failing_memory_live() == 0, "allocation %d leaks %d blocks", k, failing_memory_live());
    }
    CHECK(k >= 3 && k < 100, "%d allocations to open", k);
    bool failed = true;
    for (k = 0; failed && k < 500; k++) {
        mote_error error = {0};
        failing_memory_fail_at(k);
        mote_status status = write_sample(SAMPLE ".memory", &error);
        failed = failing_memory_failed();
        CHECK(status == (failed ? MOTE_MEMORY : MOTE_OK), "write, allocation %d: %s", k, error.message);
        CHECK(failing_memory_live() == 0, "write, allocation %d leaks", k);
        CHECK((access(SAMPLE ".memory", F_OK) == 0) == !failed, "write, allocation %d: a file was left", k);
    }
    CHECK(k > 5 && k < 500, "%d allocations to write", k);
    failing_memory_end();
    remove(SAMPLE ".memory");
    free(bytes);
}

/* ---- files of others, and showing */

static void files_of_others(void) {
    static const struct { const char *path; const char *model; uint64_t tokens;
    } files[] = {{"../shared/data/ggml-vocab-gpt-2.gguf", "gpt2", 50257},
                 {"../shared/data/ggml-vocab-llama-spm.gguf", "llama", 32000}};
    for (int i = 0; i < 2; i++) {
        if (access(files[i].path, R_OK) != 0) {
            test_skip("no ../shared/data here: an optional folder of extra texts");
            return;
        }
        mote_gguf file;
        mote_error error = {0};
        mote_status status = MOTE_OK;
        mote_string model = {0};
        CHECK(mote_gguf_open(files[i].path, &file, &error) == MOTE_OK, "%s", error.message);
        CHECK(mote_gguf_string(&file, "tokenizer.ggml.model", &model, &status, &error) &&
              model.size == strlen(files[i].model));
        const mote_gguf_entry *tokens =
            mote_gguf_array(&file, "tokenizer.ggml.tokens", MOTE_GGUF_STRING, &status, &error);
        CHECK(tokens && tokens->count == files[i].tokens && !file.checksums);
        mote_gguf_close(&file);
        for (int json = 0; json < 2; json++) {
            char *text = NULL;
            CHECK(mote_gguf_inspect(files[i].path, json, &text, &error) == MOTE_OK, "%s", error.message);
            CHECK(text && strstr(text, "tokenizer.ggml.tokens") && (strlen(text) > 300000) == (json == 1));
            mote_free(text);
        }
    }
}

static void shown_safely(void) {
    begin(B, 3, 2, 4);
    key_text(B, "general.name", "evil\x1b[2J\xc2\x9b" "31m \xff ok \xc3\xa9");
    key_array(B, "many", MOTE_GGUF_I16, 9), put_data(B, 1, 18);
    put_key(B, "flag", MOTE_GGUF_BOOL), put_le(B, 1, 1);
    key_f32(B, "rate", 0.25f);
    put_tensor(B, "quantized", 2, (const uint64_t[]){256, 1}, 12, 0);
    put_tensor(B, "foreign", 1, (const uint64_t[]){7}, 777, 160);
    put_data(B, 32, 160), put_data(B, 32, 32);
    mote_gguf file;
    mote_error error = {0};
    char *text = NULL, *json = NULL;
    CHECK(mote_gguf_parse(B->bytes, B->size, "shown.gguf", &file, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_gguf_show(&file, false, &text, &error) == MOTE_OK &&
          mote_gguf_show(&file, true, &json, &error) == MOTE_OK);
    CHECK(strstr(text, "'evil\\x1b[2J\\xc2\\x9b31m \\xff ok \xc3\xa9'") && !strchr(text, 0x1b), "%s", text);
    CHECK(strstr(text, "[0, 0, 0, 0, 0, 0, ...]") && strstr(text, "i16[9]") && strstr(text, "checksums none"), "%s",
          text);
    CHECK(strstr(text, "q4_k") && strstr(text, "[256, 1]") && strstr(text, "144 bytes at 0"), "%s", text);
    CHECK(strstr(text, "unknown-777") && strstr(text, "1 tensors of unknown types"), "%s", text);
    CHECK(strstr(json, "\"value\": [0, 0, 0, 0, 0, 0, 0, 0, 0]") && strstr(json, "\"value\": true"), "%s", json);
    CHECK(strstr(json, "\"type\": \"q4_k\", \"dims\": [256, 1], \"bytes\": 144, \"offset\": 0"), "%s", json);
    CHECK(strstr(json, "\"value\": 0.25"), "%s", json);
    mote_free(text), mote_free(json);
    mote_gguf_close(&file);
    CHECK(mote_gguf_inspect("build/not_there.gguf", false, &text, &error) == MOTE_BAD_FILE && text == NULL);
}

/* Block sizes as ggml's own static asserts give them. */
static void type_table(void) {
    static const struct {
        uint32_t id, values, bytes;
    } known[] = {{0, 1, 4},      {1, 1, 2},      {2, 32, 18},   {3, 32, 20},    {6, 32, 22},
                 {7, 32, 24},    {8, 32, 34},    {10, 256, 84}, {11, 256, 110}, {12, 256, 144},
                 {13, 256, 176}, {14, 256, 210}, {20, 32, 18},  {30, 1, 2}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const mote_ggml_type *type = mote_ggml_type_get(known[i].id);
        CHECK(type && type->block_values == known[i].values && type->block_bytes == known[i].bytes, "type %u",
              known[i].id);
    }
    for (int i = 0; i < MOTE_N_TYPES; i++) {
        const mote_type_info *own = mote_type_get((mote_type)i);
        const mote_ggml_type *type = mote_ggml_type_get((uint32_t)own->ggml_id);
        CHECK(type && strcmp(type->name, own->name) == 0 && (int)type->block_bytes == own->block_bytes, "%s",
              own->name);
    }
    CHECK(!mote_ggml_type_get(4) && !mote_ggml_type_get(UINT32_MAX));
}

static void hash_in_pieces(void) {
    uint8_t bytes[200];
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 7);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        for (size_t piece = 1; piece < 70; piece++) {
            mote_hash_state state;
            mote_hash_init(&state, n);
            for (size_t i = 0; i < n; i += piece) mote_hash_update(&state, bytes + i, n - i < piece ? n - i : piece);
            wrong += mote_hash_value(&state) != mote_hash_bytes(bytes, n, n);
        }
    }
    CHECK(wrong == 0, "%zu", wrong);
}

int main(void) {
    RUN(hash_in_pieces);
    RUN(round_trip);
    RUN(typed_reads_refuse);
    RUN(integer_kinds);
    RUN(same_bytes_twice);
    RUN(through_a_pipe);
    RUN(writer_refuses);
    RUN(every_prefix);
    RUN(every_flipped_bit);
    RUN(damage_is_named);
    RUN(every_flip_without_checksums);
    RUN(bounded_cost);
    RUN(colliding_names);
    RUN(every_allocation_fails);
    RUN(files_of_others);
    RUN(shown_safely);
    RUN(type_table);
    remove(SAMPLE);
    return test_finish();
}
