/* llama2.c's files: all versions read back value by value, models written and read, what is bad refused with the
 * reason, every prefix and every flipped bit of a small file, and the text of a real model to the byte. */
#include <sys/stat.h>
#include <unistd.h>

#include "failing_memory.h"
#include "formats/formats.h"
#include "llama2c_bytes.h"
#include "test.h"

#define PATH "build/test_llama2c.bin"
#define GGUF "build/test_llama2c.gguf"
#define DATA "../shared/data/"

static llama2c_bytes file;
static const llama2c_shape shape = {8, 12, 2, 2, 1, 10, 4}, untied = {8, 12, 2, 2, 2, -10, 4};

static void write_file(const char *path, const void *bytes, size_t n) {
    FILE *out = fopen(path, "wb");
    CHECK(out && fwrite(bytes, 1, n, out) == n && fclose(out) == 0, "%s", path);
}

static const float *weight_of(const mote_model *model, int kind, int layer) {
    char name[64];
    if (llama2c_is_layered(kind)) snprintf(name, sizeof name, "blk.%d.%s.weight", layer, llama2c_names[kind]);
    else snprintf(name, sizeof name, "%s.weight", llama2c_names[kind]);
    mote_tensor_id id = mote_program_find(model->program, name);
    CHECK(id != MOTE_NONE && model->program->tensors[id].type == MOTE_TYPE_F32, "%s", name);
    return id == MOTE_NONE ? NULL : model->weight[id];
}

/* Values that differ from those that were written; group 0: f32. */
static int wrong_values(const mote_model *model, const llama2c_shape *s, int group) {
    int wrong = 0;
    for (int kind = 0; kind < (s->vocab < 0 ? L2_KINDS : L2_HEAD); kind++)
        for (int layer = 0; layer < (llama2c_is_layered(kind) ? s->layers : 1); layer++) {
            const float *w = weight_of(model, kind, layer);
            for (size_t i = 0; w && i < llama2c_count(s, kind); i++) {
                float wanted = llama2c_value(kind, layer, i);
                if (group && llama2c_is_matrix(kind))
                    wanted = (float)llama2c_code(kind, layer, i) * llama2c_scale(i / (size_t)group);
                wrong += w[i] != wanted;
            }
        }
    return wrong;
}

static void all_versions_are_read_value_by_value(void) {
    for (int version = 0; version <= 2; version++)
        for (int k = 0; k < 2; k++) {
            const llama2c_shape *s = k ? &untied : &shape;
            mote_model *model = NULL;
            mote_error error = {0};
            llama2c_write(&file, s, version, 4);
            CHECK(mote_llama2c_parse(file.bytes, file.size, "file", &model, &error) == MOTE_OK, "version %d: %s",
                  version, error.message);
            if (!model) continue;
            mote_config c = mote_model_config(model);
            CHECK(c.dim == 8 && c.hidden == 12 && c.layers == 2 && c.heads == 2 && c.kv_heads == s->kv_heads &&
                      c.vocab == 10 && c.context == 4 && c.tied == !k && c.rope_base == 10000 &&
                      c.norm_epsilon == 1e-5f,
                  "the config of version %d", version);
            CHECK(wrong_values(model, s, version == 2 ? 4 : 0) == 0, "version %d, %s", version, k ? "untied" : "tied");
            bool inside = (const uint8_t *)weight_of(model, L2_Q, 1) > file.bytes &&
                          (const uint8_t *)weight_of(model, L2_Q, 1) < file.bytes + file.size;
            CHECK(inside == (version < 2), "floats are used as they lie in the file");
            mote_model_close(model);
        }
}

static void models_go_out_and_come_back(void) {
    for (int k = 0; k < 2; k++) {
        mote_model *model = NULL, *again = NULL;
        mote_error error = {0};
        llama2c_write(&file, k ? &untied : &shape, 0, 0);
        write_file(PATH, file.bytes, file.size);
        CHECK(mote_model_open(PATH, &model, &error) == MOTE_OK, "%s", error.message);
        CHECK(!strcmp(mote_model_describe(model).form, "llama2.c"), "the form");
        CHECK(mote_model_export(model, GGUF, MOTE_TYPE_KEEP, &error) == MOTE_OK, "%s", error.message);
        mote_model_close(model);
        CHECK(mote_model_open(GGUF, &model, &error) == MOTE_OK, "%s", error.message);
        CHECK(mote_model_export(model, PATH, MOTE_TYPE_F32, &error) == MOTE_OK, "%s", error.message);
        mote_model_close(model);
        CHECK(mote_model_open(PATH, &again, &error) == MOTE_OK, "%s", error.message);
        CHECK(again && wrong_values(again, k ? &untied : &shape, 0) == 0, "values");
        CHECK(again && again->map.size == file.size && !memcmp(again->map.bytes, file.bytes, 28), "header and size");
        mote_model_close(again);
    }
    unlink(PATH);
    unlink(GGUF);
}

static void an_ending_says_the_form(void) {
    static const struct {
        const char *path, *form;
    } cases[] = {{"a.gguf", "GGUF"},          {"a/b.GgUf", "GGUF"},
                 {"a.bin", "llama2.c"},       {"a.gguf.BIN", "llama2.c"},
                 {"a", "Hugging Face"},       {"a.txt/", "Hugging Face"},
                 {"a.gguf/b", "Hugging Face"}, {"llama-3.2-1B", "Hugging Face"},
                 {".gguf", "Hugging Face"},   {"..", "Hugging Face"},
                 {"a.", "Hugging Face"},      {"a.txt", NULL},
                 {"a.q4_0", NULL},            {"a.gguf2", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *form = "?";
        mote_error error = {0};
        mote_status status = mote_model_form_of(cases[i].path, &form, &error);
        CHECK(status == (cases[i].form ? MOTE_OK : MOTE_USAGE) && !form == !cases[i].form &&
                  (!form || !strcmp(form, cases[i].form)),
              "%s: %s", cases[i].path, form ? form : error.message);
        CHECK(form || (strstr(error.message, cases[i].path) &&
                       strstr(error.hint, ".gguf (GGUF), .bin (llama2.c) and none")),
              "%s: %s", error.message, error.hint);
    }
}

static void what_the_form_cannot_say_is_refused(void) {
    static const char *const wanted[] = {"architecture", "biases", "the width", "rotary base", "scaled rotary",
                                         "sliding window", "epsilon", "f32 weights"};
    for (int i = 0; i < 8; i++) {
        mote_config c = mote_config_default(i == 0 ? MOTE_FAMILY_GPT2 : MOTE_FAMILY_LLAMA);
        mote_model *model = NULL;
        mote_error error = {0};
        c.vocab = 10, c.dim = 8, c.layers = 1, c.heads = 2, c.context = 8, c.hidden = 16;
        if (i == 1) c.bias = true;
        if (i == 2) c.head_dim = 8;
        if (i == 3) c.rope_base = 500000;
        if (i == 4) c.rope_scaling = MOTE_ROPE_LINEAR, c.rope_factor = 2;
        if (i == 5) c.window = 4;
        if (i == 6) c.norm_epsilon = 1e-6f;
        CHECK(mote_model_create(&c, NULL, 1, &model, &error) == MOTE_OK, "%s", error.message);
        mote_status status = mote_model_export(model, PATH, i == 7 ? MOTE_TYPE_F16 : MOTE_TYPE_KEEP, &error);
        CHECK(status == MOTE_USAGE && strstr(error.message, wanted[i]) && access(PATH, F_OK), "case %d: %s", i,
              error.message);
        mote_model_close(model);
    }
}

/* ---- bad files */

enum { NEW_FIELD, CUT, LONGER, BYTE, FLOAT };
static const struct {
    const char *message;
    int version, what;
    long at, value;
} bad[] = {
    {"no file of llama2.c", 0, CUT, 0, 0},
    {"no file of llama2.c", 0, CUT, 27, 0},
    {"bytes where its header tells of", 0, CUT, 28, 0},
    {"bytes where its header tells of", 0, CUT, -1, 0},
    {"bytes where its header tells of", 0, CUT, -4, 0},
    {"bytes where its header tells of", 0, LONGER, 1, 0},
    {"bytes where its header tells of", 0, LONGER, 4, 0},
    {"no file of llama2.c", 0, NEW_FIELD, 0, 0},
    {"no file of llama2.c", 0, NEW_FIELD, 0, -8},
    {"no file of llama2.c", 0, NEW_FIELD, 1, 0},
    {"no file of llama2.c", 0, NEW_FIELD, 1, INT32_MAX},
    {"no file of llama2.c", 0, NEW_FIELD, 2, 0},     /* CVE-2025-0317: a block count of zero */
    {"no file of llama2.c", 0, NEW_FIELD, 2, 513},   /* llama.cpp PR 25821: more layers than any array */
    {"no file of llama2.c", 0, NEW_FIELD, 3, 0},     /* llama.cpp 18586: a head count of zero */
    {"no file of llama2.c", 0, NEW_FIELD, 4, 0},
    {"no file of llama2.c", 0, NEW_FIELD, 5, 0},
    {"no file of llama2.c", 0, NEW_FIELD, 5, INT32_MIN}, /* whose negative does not exist */
    {"no file of llama2.c", 0, NEW_FIELD, 6, 0},
    {"no file of llama2.c", 0, NEW_FIELD, 6, -1},
    {"a width of 8 for 3 heads", 0, NEW_FIELD, 3, 3},
    {"between 1 and 2", 0, NEW_FIELD, 4, 3},
    {"between 1 and 2", 0, NEW_FIELD, 4, INT32_MAX / 65536},
    {"must be even", 0, NEW_FIELD, 3, 8},
    {"bytes where its header tells of", 0, NEW_FIELD, 5, 4194304}, /* CVE-2025-53630: sums that wrap must not fit */
    {"bytes where its header tells of", 0, NEW_FIELD, 1, 524288},
    {"bytes where its header tells of", 0, NEW_FIELD, 2, 512},
    {"bytes where its header tells of", 0, NEW_FIELD, 5, -10},
    {"version 3 of llama2.c", 1, BYTE, 4, 3},
    {"version 4294967295 of llama2.c", 1, NEW_FIELD, -1, -1},
    {"ends inside the header", 1, CUT, 7, 0},
    {"less than the header's 256", 1, CUT, 255, 0},
    {"less than the header's 256", 2, CUT, 8, 0},
    {"bytes where its header tells of", 1, CUT, 256, 0},
    {"bytes where its header tells of", 1, LONGER, 4, 0},
    {"are no shape of a model", 1, NEW_FIELD, 0, 0},
    {"a vocabulary of -10", 1, NEW_FIELD, 5, -10},
    {"not 0 or 1", 1, BYTE, 36, 2},
    {"byte 37 of the header", 1, BYTE, 37, 1},
    {"byte 255 of the header", 2, BYTE, 255, 1},
    {"groups of 0 values", 2, BYTE, 37, 0},
    {"groups of 3 values", 2, BYTE, 37, 3},
    {"groups of 16 values", 2, BYTE, 37, 16},
    {"reach over the ends", 2, BYTE, 37, 8}, /* llama2.c PR 532: 8 divides the width, not 12 */
    {"groups of 2147483652 values", 2, BYTE, 40, 128},
    {"bytes where its header tells of", 2, BYTE, 37, 2},
    {"bytes where its header tells of", 2, BYTE, 36, 0},
    {"not finite", 2, FLOAT, -4, 0x7f800000},
    {"not finite", 2, FLOAT, -4, 0x7fc00000},
};

static void bad_files_are_refused_with_the_reason(void) {
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mote_model *model = NULL;
        mote_error error = {0};
        llama2c_write(&file, &shape, bad[i].version, 4);
        long at = bad[i].at, fields = bad[i].version ? 8 : 0;
        int32_t value = (int32_t)bad[i].value;
        switch (bad[i].what) {
        case NEW_FIELD: memcpy(file.bytes + fields + 4 * at, &value, 4); break;
        case CUT: file.size = at < 0 ? file.size - (size_t)-at : (size_t)at; break;
        case LONGER: llama2c_zeros(&file, (size_t)at); break;
        case BYTE: file.bytes[at] = (uint8_t)value; break;
        default: memcpy(file.bytes + file.size + at, &value, 4);
        }
        mote_status status = mote_llama2c_parse(file.bytes, file.size, "file", &model, &error);
        CHECK(status == MOTE_BAD_FILE && !model && strstr(error.message, bad[i].message), "case %zu: %d \"%s\"", i,
              (int)status, error.message);
        mote_model_close(model);
    }
}

/* A block of exactly the size, so that a sanitizer sees a read past its end. */
static void parse_exact(const uint8_t *bytes, size_t n, bool must_fail) {
    uint8_t *copy = malloc(n ? n : 1);
    mote_model *model = NULL;
    mote_error error = {0};
    memcpy(copy, bytes, n);
    mote_status status = mote_llama2c_parse(copy, n, "file", &model, &error);
    CHECK((status == MOTE_OK) == !!model && (status == MOTE_OK || (status == MOTE_BAD_FILE && error.message[0])),
          "status %d", (int)status);
    CHECK(!must_fail || status != MOTE_OK, "%zu bytes are enough", n);
    mote_model_close(model);
    free(copy);
}

static void prefixes_and_flipped_bits_end_in_a_status(void) {
    static const llama2c_shape tiny = {4, 6, 1, 2, 1, 6, 2};
    for (int version = 0; version <= 2; version++) {
        llama2c_write(&file, &tiny, version, 2);
        CHECK(file.size < 2048, "%zu bytes", file.size);
        for (size_t n = 0; n < file.size; n++) parse_exact(file.bytes, n, true);
        for (size_t bit = 0; bit < 8 * file.size; bit++) {
            file.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            parse_exact(file.bytes, file.size, false);
            file.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

static void files_that_are_no_models_are_named(void) {
    static const struct {
        const char *bytes, *message;
        size_t size;
    } other[] = {
        {"", "of 0 bytes is no model", 0},
        {"PK\3\4................................", "a ZIP archive", 36},
        {"\x80\x02}q\x01.................................", "a Python pickle", 36},
        {"tjgg\3\0\0\0............................", "older than GGUF", 32},
        {"\x1c\0\0\0TFL3............................", "TensorFlow Lite", 36},
        {"\x40\0\0\0\0\0\0\0{\"__metadata__\":{}...........................", "safetensors", 48},
        {"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer", 43},
        {"short", "a text", 5},
        {"Once upon a time there was a model.\n", "a text", 36},
        {"\1\2\3\xff\xfe................................\0\0\0", "of 40 bytes is no model", 40},
    };
    mote_model *model = NULL;
    mote_error error;
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        write_file(PATH, other[i].bytes, other[i].size);
        CHECK(mote_model_open(PATH, &model, &error) == MOTE_BAD_FILE && strstr(error.message, other[i].message) &&
                  strstr(error.hint, "GGUF"),
              "case %zu: %s", i, error.message);
    }
    llama2c_write_tokenizer(&file);
    write_file(PATH, file.bytes, file.size);
    CHECK(mote_model_open(PATH, &model, &error) == MOTE_BAD_FILE && strstr(error.message, "tokenizer.bin"), "%s",
          error.message);
    unlink(PATH);
    CHECK(mote_model_open("tests", &model, &error) == MOTE_BAD_FILE && strstr(error.message, "without config.json"),
          "%s", error.message);
    CHECK(mote_model_open(PATH, &model, &error) == MOTE_BAD_FILE && strstr(error.message, "cannot open"), "%s",
          error.message);
}

static void a_failed_allocation_leaves_nothing(void) {
    int failures = 0;
    for (int version = 0; version <= 2; version += 2)
        for (int k = 0; k < 500; k++) {
            mote_model *model = NULL;
            llama2c_write(&file, &untied, version, 4);
            failing_memory_begin();
            failing_memory_fail_at(k);
            mote_status status = mote_llama2c_parse(file.bytes, file.size, "file", &model, NULL);
            bool failed = failing_memory_failed();
            failures += failed;
            CHECK(status == (failed ? MOTE_MEMORY : MOTE_OK), "allocation %d: %d", k, (int)status);
            mote_model_close(model);
            CHECK(failing_memory_live() == 0, "%d blocks are left", failing_memory_live());
            failing_memory_end();
            if (!failed) break;
        }
    CHECK(failures > 10, "%d", failures);
}

/* ---- a real model */

typedef struct {
    char bytes[4096];
    size_t n;
} text;

static bool take(void *context, const char *bytes, size_t n) {
    text *t = context;
    if (n > sizeof t->bytes - t->n) return false;
    memcpy(t->bytes + t->n, bytes, n);
    t->n += n;
    return true;
}

/* llama2.c counts its steps from the begin token: what is left of 256 after the prompt's tokens is made up. */
static void tell(const char *path, const char *tokenizer, const char *prompt, text *t) {
    mote_model *model = NULL;
    mote_session *session = NULL;
    mote_sampler *sampler = NULL;
    mote_error error = {0};
    mote_open_options open = mote_open_options_default();
    mote_sampler_options greedy = mote_sampler_options_default();
    mote_generate_options options = mote_generate_options_default();
    int32_t *tokens;
    size_t n = 0;
    t->n = 0;
    open.tokenizer = tokenizer;
    greedy.temperature = 0;
    bool ok = mote_model_open_with(path, &open, &model, &error) == MOTE_OK;
    CHECK(ok && mote_model_tokenizer(model), "%s: %s", path, error.message);
    if (!ok || !mote_model_tokenizer(model)) return;
    ok = mote_session_create(model, NULL, &session, &error) == MOTE_OK &&
         mote_sampler_create(&greedy, 512, &sampler, &error) == MOTE_OK &&
         mote_tokenizer_encode(mote_model_tokenizer(model), prompt, strlen(prompt), &tokens, &n, &error) == MOTE_OK;
    CHECK(ok, "%s", error.message);
    if (ok) mote_free(tokens);
    options.n_tokens = 256 - (int)n;
    options.on_text = take;
    options.context = t;
    take(t, prompt, strlen(prompt));
    ok = ok && mote_generate(session, sampler, mote_model_tokenizer(model), prompt, strlen(prompt), &options, NULL,
                             &error) == MOTE_OK;
    CHECK(ok, "%s", error.message);
    take(t, "\n", 1); /* llama2.c ends its last line */
    mote_sampler_destroy(sampler);
    mote_session_destroy(session);
    mote_model_close(model);
}

static void convert(const char *from, const char *tokenizer, const char *to) {
    mote_model *model = NULL;
    mote_error error = {0};
    mote_open_options open = mote_open_options_default();
    open.tokenizer = tokenizer;
    CHECK(mote_model_open_with(from, &open, &model, &error) == MOTE_OK &&
              mote_model_export(model, to, MOTE_TYPE_KEEP, &error) == MOTE_OK,
          "%s -> %s: %s", from, to, error.message);
    mote_model_close(model);
}

static int different_weights(const char *a, const char *b) {
    mote_model *models[2] = {NULL, NULL};
    CHECK(mote_model_open(a, &models[0], NULL) == MOTE_OK && mote_model_open(b, &models[1], NULL) == MOTE_OK, "%s %s",
          a, b);
    int different = !models[0] || !models[1];
    for (int i = 0; !different && i < models[0]->program->n_tensors; i++) {
        const mote_tensor *t = &models[0]->program->tensors[i];
        if (t->role == MOTE_ROLE_WEIGHT)
            different += memcmp(models[0]->weight[i], models[1]->weight[i],
                                (size_t)t->rows * (size_t)t->cols * sizeof(float)) != 0;
    }
    mote_model_close(models[0]);
    mote_model_close(models[1]);
    return different;
}

static void a_story_is_llama2c_s_to_the_byte_in_every_form(void) {
    static const char bin[] = DATA "stories260K.bin", words[] = DATA "tok512.bin";
    static text wanted, told;
    FILE *in = fopen(DATA "stories260K.greedy256.txt", "rb");
    if (!in || access(bin, R_OK) || access(words, R_OK)) {
        if (in) fclose(in);
        test_skip("no ../shared/data here: an optional folder of extra texts and models");
        return;
    }
    wanted.n = fread(wanted.bytes, 1, sizeof wanted.bytes, in);
    fclose(in);
    static const char folder[] = "build/test_llama2c_folder", back[] = "build/test_llama2c_back.bin";
    convert(bin, words, GGUF);
    convert(GGUF, NULL, folder);
    convert(folder, NULL, "build/test_llama2c_again.gguf");
    convert("build/test_llama2c_again.gguf", NULL, back);
    const char *const forms[][2] = {{bin, words}, {GGUF, NULL}, {folder, NULL}, {back, GGUF},
                                    {"build/test_llama2c_again.gguf", NULL}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        tell(forms[i][0], forms[i][1], "Once upon a time", &told);
        CHECK(told.n == wanted.n && !memcmp(told.bytes, wanted.bytes, wanted.n), "%s: %.*s", forms[i][0], (int)told.n,
              told.bytes);
        CHECK(i == 0 || different_weights(bin, forms[i][0]) == 0, "weights of %s", forms[i][0]);
        tell(forms[i][0], forms[i][1], "", &told);
        CHECK(told.n > 100 && !strncmp(told.bytes, "Once upon a time", 16), "without a prompt: %.40s", told.bytes);
    }
    mote_map a, b; /* the tables that nobody reads are those of the exporter, but for the last bit of a cosine */
    CHECK(mote_map_open(bin, &a, NULL) == MOTE_OK && mote_map_open(back, &b, NULL) == MOTE_OK && a.size == b.size,
          "sizes");
    double worst = 0;
    for (size_t i = 28; i + 4 <= a.size && a.size == b.size; i += 4) {
        float x, y;
        memcpy(&x, a.bytes + i, 4);
        memcpy(&y, b.bytes + i, 4);
        worst = fmax(worst, fabs((double)x - (double)y));
    }
    CHECK(worst < 1e-6, "tables differ by %g", worst);
    mote_map_close(&a);
    mote_map_close(&b);
}

int main(void) {
    mkdir("build", 0777);
    RUN(all_versions_are_read_value_by_value);
    RUN(models_go_out_and_come_back);
    RUN(an_ending_says_the_form);
    RUN(what_the_form_cannot_say_is_refused);
    RUN(bad_files_are_refused_with_the_reason);
    RUN(prefixes_and_flipped_bits_end_in_a_status);
    RUN(files_that_are_no_models_are_named);
    RUN(a_failed_allocation_leaves_nothing);
    RUN(a_story_is_llama2c_s_to_the_byte_in_every_form);
    return test_finish();
}
