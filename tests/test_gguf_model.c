/* Models in GGUF: every family comes back bit for bit, saved twice it is the same file, files as others write them
 * open, and what contradicts itself is refused by name. */
#include <math.h>
#include <unistd.h>

#include "failing_memory.h"
#include "gguf_bytes.h"
#include "kernels/kernels.h"
#include "models/model.h"
#include "test.h"
#include "text/learner.h"
#include "train/options.h"

#define PATH "build/test_gguf_model.gguf"
static const char text[] = "Once upon a time there was a speck of dust. It saw the sea, and the sea saw it.\n";

static uint8_t *read_whole(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    uint8_t *bytes = malloc(1 << 22);
    *size = fread(bytes, 1, 1 << 22, f);
    fclose(f);
    return bytes;
}

enum { PLAIN, VARIANT, NO_BIAS }; /* NO_BIAS: the variant, without biases */

static mote_model *create(mote_family family, mote_tokenizer_kind kind, int variant) {
    mote_error error = {0};
    mote_tokenizer *tokenizer = NULL;
    CHECK(mote_tokenizer_train(kind, 300, text, sizeof text - 1, &tokenizer, &error) == MOTE_OK, "%s", error.message);
    mote_config config = mote_config_default(family);
    config.dim = 24, config.layers = 2, config.heads = 4, config.context = 16, config.hidden = 40;
    config.tied = variant == PLAIN;
    if (variant == NO_BIAS) config.bias = false;
    if (family != MOTE_FAMILY_GPT2) config.kv_heads = 2;
    if (family != MOTE_FAMILY_GPT2 && variant) {
        if (family != MOTE_FAMILY_QWEN2) config.head_dim = 8;
        config.window = 5, config.norm_epsilon = 1e-6f, config.rope_base = 500000;
        config.rope_factor = 4, config.rope_original_context = 9;
    }
    if (family == MOTE_FAMILY_LLAMA && variant) config.qk_norm = true;
    if (family == MOTE_FAMILY_QWEN2 && variant) config.rope_scaling = MOTE_ROPE_LINEAR;
    if (family == MOTE_FAMILY_QWEN3 && variant) config.rope_scaling = MOTE_ROPE_YARN, config.rope_high = 16;
    if (family == MOTE_FAMILY_GEMMA3 && variant) {
        config.layers = 4, config.full_attention_period = 3, config.rope_base_window = 500, config.query_scale = 0.4f;
        config.rope_scaling = MOTE_ROPE_LINEAR;
    }
    if (family == MOTE_FAMILY_SMOLLM3) config.layers = 5, config.rope_scaling = variant ? MOTE_ROPE_YARN : 0;
    mote_model *model = NULL;
    CHECK(mote_model_create(&config, tokenizer, 7, &model, &error) == MOTE_OK, "%s", error.message);
    if (model) CHECK(mote_model_set_name(model, "a test", &error) == MOTE_OK);
    mote_tokenizer_destroy(tokenizer);
    return model;
}

static bool same_config(const mote_config *a, const mote_config *b) {
    for (size_t i = 0; i < mote_n_config_fields; i++)
        if (mote_field_bits(&mote_config_fields[i], a) != mote_field_bits(&mote_config_fields[i], b)) {
            printf("     %s differs\n", mote_config_fields[i].name);
            return false;
        }
    return true;
}

/* The bits of the last logits of a few tokens. */
static float *logits_of(const mote_model *model, int vocab) {
    static const int32_t tokens[] = {3, 1, 4, 1, 5, 2, 6, 5, 3, 5, 0, 2}, positions[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
        10, 11};
    mote_error error = {0};
    mote_session_options options = mote_session_options_default();
    mote_session *session = NULL;
    options.threads = 1;
    CHECK(mote_session_create(model, &options, &session, &error) == MOTE_OK, "%s", error.message);
    mote_batch batch = {12, tokens, positions, NULL, NULL};
    CHECK(mote_session_run(session, &batch, &error) == MOTE_OK, "%s", error.message);
    float *logits = malloc((size_t)vocab * sizeof *logits);
    memcpy(logits, mote_session_logits(session, 0), (size_t)vocab * sizeof *logits);
    mote_session_destroy(session);
    return logits;
}

/* Every weight of `opened` is that of `saved` as the type keeps it; blocks that no kernel runs on are f32. */
static void compare_weights(const mote_model *saved, const mote_model *opened, mote_type type) {
    for (int id = 0; id < saved->program->n_tensors; id++) {
        const mote_tensor *a = &saved->program->tensors[id], *b = &opened->program->tensors[id];
        if (a->role != MOTE_ROLE_WEIGHT) continue;
        const bool kept = a->rows == 1 || strcmp(a->name, "position_embd.weight") == 0;
        const mote_type stored = kept ? MOTE_TYPE_F32 : type;
        const mote_type wanted = mote_kernels_run_type(stored) ? stored : MOTE_TYPE_F32;
        const size_t cols = (size_t)a->cols, bytes = mote_row_bytes(stored, cols),
                     opened_bytes = mote_row_bytes(wanted, cols);
        CHECK(strcmp(a->name, b->name) == 0 && b->type == wanted, "%s", a->name);
        uint8_t *row = malloc(bytes);
        float *values = malloc(cols * sizeof *values);
        int differ = 0;
        for (int r = 0; r < a->rows; r++) {
            const char *from = (const char *)saved->weight[id] + (size_t)r * cols * sizeof(float),
                       *to = (const char *)opened->weight[id] + (size_t)r * opened_bytes;
            mote_type_get(stored)->from_f32((const float *)(const void *)from, row, cols);
            mote_type_get(stored)->to_f32(row, values, cols);
            differ += memcmp(wanted == stored ? (const void *)row : values, to, opened_bytes) != 0;
        }
        CHECK(!differ, "%s of %s: %d of %d rows differ", a->name, mote_type_name(type), differ, a->rows);
        free(row);
        free(values);
    }
}

/* What a file says of what only mote reads. */
static void check_own_forms(mote_type type) {
    mote_gguf file = {0};
    mote_error error = {0};
    CHECK(mote_gguf_open(PATH, &file, &error) == MOTE_OK, "%s", error.message);
    const mote_gguf_entry *types = mote_gguf_find(&file, MOTE_KEY_TYPES);
    const bool own = type == MOTE_TYPE_Q3H || type == MOTE_TYPE_Q43 || type == MOTE_TYPE_I8;
    CHECK(own == (types != NULL), "%s", mote_type_name(type));
    if (own && types) {
        const uint8_t *at = types->data;
        mote_string name = mote_gguf_next_string(&at);
        CHECK(types->count == 1 && name.size == strlen(mote_type_name(type)) &&
                  memcmp(name.bytes, mote_type_name(type), name.size) == 0,
              "%.*s", (int)name.size, name.bytes);
    }
    CHECK(file.padded_rows == !mote_type_is_float(type), "%s", mote_type_name(type)); /* rows of 24 and 40 */
    mote_gguf_close(&file);
}

static void round_trip(mote_family family, mote_tokenizer_kind kind, int variant, mote_type type) {
    mote_error error = {0};
    mote_model *model = create(family, kind, variant), *opened = NULL;
    if (!model) return;
    CHECK(mote_model_save(model, PATH, type, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_model_open(PATH, &opened, &error) == MOTE_OK, "%s", error.message);
    if (opened) {
        mote_config a = mote_model_config(model), b = mote_model_config(opened);
        CHECK(same_config(&a, &b));
        CHECK(strcmp(opened->name, "a test") == 0 && !opened->tokenizer_problem);
        compare_weights(model, opened, type);
        check_own_forms(type);
        if (type == MOTE_TYPE_F32) {
            float *x = logits_of(model, a.vocab), *y = logits_of(opened, a.vocab);
            CHECK(memcmp(x, y, (size_t)a.vocab * sizeof *x) == 0, "the logits changed");
            free(x), free(y);
        }
        const mote_tokenizer *before = mote_model_tokenizer(model), *after = mote_model_tokenizer(opened);
        int32_t *x = NULL, *y = NULL;
        size_t n = 0, m = 0;
        CHECK(after && strcmp(mote_tokenizer_name(before), mote_tokenizer_name(after)) == 0);
        CHECK(mote_tokenizer_encode(before, text, sizeof text - 1, &x, &n, NULL) == MOTE_OK && n > 0);
        CHECK(after && mote_tokenizer_encode(after, text, sizeof text - 1, &y, &m, NULL) == MOTE_OK);
        CHECK(n == m && memcmp(x, y, n * sizeof *x) == 0, "the tokenizer changed");
        mote_free(x), mote_free(y);
        size_t first_size = 0, second_size = 0;
        CHECK(mote_model_save(opened, PATH ".again", type, &error) == MOTE_OK, "%s", error.message);
        uint8_t *first = read_whole(PATH, &first_size), *second = read_whole(PATH ".again", &second_size);
        bool same = first && second && first_size == second_size && memcmp(first, second, first_size) == 0;
        CHECK(same || !mote_kernels_run_type(type), "saved again, it differs"); /* else it was rounded twice */
        free(first), free(second);
        remove(PATH ".again");
    }
    mote_model_close(opened);
    mote_model_close(model);
    remove(PATH);
}

static void llama_round_trips(void) {
    for (int type = 0; type < MOTE_N_TYPES; type++)
        for (int variant = 0; variant < 2; variant++)
            round_trip(MOTE_FAMILY_LLAMA, MOTE_TOKENIZER_BYTE, variant, (mote_type)type);
}

static void gpt2_round_trips(void) {
    for (int type = 0; type < MOTE_N_TYPES; type++)
        for (int variant = 0; variant < 3; variant++)
            round_trip(MOTE_FAMILY_GPT2, MOTE_TOKENIZER_BPE, variant, (mote_type)type);
}

/* A scale of NaN or infinity is refused with the tensor's name and the row; so are weights that a type cannot hold. */
static void bad_scales_are_refused(void) {
    mote_error error = {0};
    for (int t = MOTE_N_FLOAT_TYPES; t < MOTE_N_TYPES; t++) {
        const mote_type_info *info = mote_type_get((mote_type)t);
        mote_model *model = create(MOTE_FAMILY_LLAMA, MOTE_TOKENIZER_BYTE, false), *opened = NULL;
        if (!model) return;
        const int id = mote_program_find(model->program, "blk.1.ffn_up.weight");
        mote_tensor *tensor = &model->program->tensors[id];
        float *weights = model->weight[id];
        const size_t row_bytes = mote_row_bytes((mote_type)t, 24);
        uint8_t *rows = calloc((size_t)tensor->rows, row_bytes);
        CHECK(tensor->cols == 24 && mote_row_is_finite((mote_type)t, rows, 24), "%s", info->name);
        tensor->type = (mote_type)t;
        model->weight[id] = rows;
        for (int i = 0; i < (t == MOTE_TYPE_I8 ? 1 : info->n_half_scales); i++) {
            uint8_t *scale = rows + 2 * row_bytes + (t == MOTE_TYPE_I8 ? 0 : info->half_scale_at[i]);
            const float infinite = -INFINITY;
            if (t == MOTE_TYPE_I8) memcpy(scale, &infinite, sizeof infinite);
            else scale[0] = (uint8_t)i, scale[1] = 0x7c; /* infinity, or NaN */
            CHECK(mote_model_save(model, PATH, (mote_type)t, &error) == MOTE_OK, "%s", error.message);
            CHECK(mote_model_open(PATH, &opened, &error) == MOTE_BAD_FILE && !opened &&
                      strstr(error.message, "'blk.1.ffn_up.weight', row 2") && strstr(error.message, info->name),
                  "%s: %s", info->name, error.message);
            memset(scale, 0, t == MOTE_TYPE_I8 ? 4 : 2);
        }
        tensor->type = MOTE_TYPE_F32;
        model->weight[id] = weights;
        for (int i = 0; i < 2; i++) {
            weights[24 * 3 + 1] = i ? INFINITY : NAN;
            CHECK(mote_model_save(model, PATH, (mote_type)t, &error) == MOTE_USAGE &&
                      strstr(error.message, "'blk.1.ffn_up.weight', row 3"),
                  "%s: %s", info->name, error.message);
        }
        weights[24 * 3 + 1] = 3e38f; /* beyond f16 scales and those of pairs */
        const mote_status status = mote_model_save(model, PATH, (mote_type)t, &error);
        CHECK(status == (t == MOTE_TYPE_I8 ? MOTE_OK : MOTE_USAGE), "%s: %s", info->name, error.message);
        free(rows);
        mote_model_close(model);
    }
}

static void others_round_trip(void) {
    for (int family = MOTE_FAMILY_QWEN2; mote_family_get((mote_family)family); family++)
        for (int variant = 0; variant < 2; variant++) {
            round_trip((mote_family)family, MOTE_TOKENIZER_BYTE, variant, MOTE_TYPE_F32);
            round_trip((mote_family)family, MOTE_TOKENIZER_BYTE, variant, MOTE_TYPE_F16);
        }
}

static mote_model *create_llama3(float factor, float low, float high, int context, int head_dim, float base) {
    mote_error error = {0};
    mote_config c = mote_config_default(MOTE_FAMILY_LLAMA);
    c.vocab = 11, c.dim = 8, c.layers = 1, c.heads = 1, c.head_dim = head_dim, c.hidden = 12, c.context = 40;
    c.rope_scaling = MOTE_ROPE_LLAMA3, c.rope_factor = factor, c.rope_low = low, c.rope_high = high;
    c.rope_original_context = context, c.rope_base = base;
    mote_model *model = NULL;
    CHECK(mote_model_create(&c, NULL, 1, &model, &error) == MOTE_OK, "%s", error.message);
    return model;
}

/* Without the keys of mote, as other programs write it: the parameters are found again. With one divisor changed the
 * file is refused. */
static void copy_without_keys(const char *from, const char *to, float times) {
    mote_error error = {0};
    mote_gguf file = {0};
    mote_gguf_writer *w = NULL;
    CHECK(mote_gguf_open(from, &file, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_gguf_writer_open(to, &w, &error) == MOTE_OK, "%s", error.message);
    for (size_t i = 0; i < file.n_entries; i++) {
        const mote_gguf_entry *e = &file.entries[i];
        char key[96];
        snprintf(key, sizeof key, "%.*s", (int)e->key.size, e->key.bytes);
        if (strncmp(key, "mote.", 5) == 0) continue;
        if (e->kind == MOTE_GGUF_STRING) mote_gguf_put_string(w, key, (const char *)e->data, e->data_bytes);
        if (e->kind == MOTE_GGUF_U32) mote_gguf_put_u32(w, key, (uint32_t)mote_load_bytes(e->data, 4));
        if (e->kind == MOTE_GGUF_F32) mote_gguf_put_f32(w, key, (float)mote_gguf_load_number(e->data, e->kind));
    }
    for (size_t i = 0; i < file.n_tensors; i++) {
        const mote_gguf_tensor *t = &file.tensors[i];
        char name[96];
        snprintf(name, sizeof name, "%.*s", (int)t->name.size, t->name.bytes);
        mote_gguf_put_tensor(w, name, MOTE_TYPE_F32, t->n_dims == 1 ? 0 : t->dims[1], t->dims[0]);
    }
    mote_gguf_begin_data(w);
    for (size_t i = 0; i < file.n_tensors; i++) {
        const mote_gguf_tensor *t = &file.tensors[i];
        if (!strncmp(t->name.bytes, "rope_freqs", 10)) {
            float first = times * (float)mote_gguf_load_number(t->data, MOTE_GGUF_F32);
            mote_gguf_write_tensor(w, &first, 4);
            mote_gguf_write_tensor(w, t->data + 4, t->bytes - 4);
        } else {
            mote_gguf_write_tensor(w, t->data, t->bytes);
        }
    }
    CHECK(mote_gguf_finish(w, &error) == MOTE_OK, "%s", error.message);
    mote_gguf_close(&file);
}

static void divisors_of_llama3(void) {
    static const struct { float factor, low, high; int context, head_dim; float base; bool standard; } cases[] = {
        {32, 1, 4, 8192, 64, 500000, true}, /* Llama 3.2 1B */
        {8, 1, 4, 8192, 128, 500000, true}, /* Llama 3.1 8B */
        {8, 1, 3, 24, 16, 100, false},
        {4, 2, 7, 4000, 32, 10000, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mote_error error = {0};
        mote_model *model = create_llama3(cases[i].factor, cases[i].low, cases[i].high, cases[i].context,
                                          cases[i].head_dim, cases[i].base);
        mote_model *opened = NULL, *found = NULL, *refused = NULL;
        CHECK(mote_model_save(model, PATH, MOTE_TYPE_F32, &error) == MOTE_OK, "%s", error.message);
        CHECK(mote_model_open(PATH, &opened, &error) == MOTE_OK, "%s", error.message);
        mote_config a = mote_model_config(model), b = mote_model_config(opened), c;
        CHECK(same_config(&a, &b));
        copy_without_keys(PATH, PATH ".others", 1);
        CHECK(mote_model_open(PATH ".others", &found, &error) == MOTE_OK, "case %zu: %s", i, error.message);
        c = mote_model_config(found);
        CHECK(!cases[i].standard || same_config(&a, &c), "case %zu", i);
        float *x = logits_of(model, 11), *y = logits_of(opened, 11), *z = logits_of(found, 11);
        CHECK(memcmp(x, y, 11 * sizeof *x) == 0, "case %zu: opened, the logits differ", i);
        for (int j = 0; j < 11; j++)
            CHECK(fabsf(x[j] - z[j]) <= (cases[i].standard ? 0 : 1e-5f), "case %zu: %g, found again %g", i,
                  (double)x[j], (double)z[j]);
        free(x), free(y), free(z);
        copy_without_keys(PATH, PATH ".others", 1.5f);
        CHECK(mote_model_open(PATH ".others", &refused, &error) == MOTE_BAD_FILE &&
              strstr(error.message, "rope_freqs.weight"), "case %zu: %s", i, error.message);
        mote_model_close(model), mote_model_close(opened), mote_model_close(found), mote_model_close(refused);
        remove(PATH ".others");
    }
    remove(PATH);
}

/* llama.cpp's gpt2 asks for every bias. */
static void gpt2_without_biases_has_zeros_in_the_file(void) {
    static const struct { const char *name; uint64_t length; } biases[] = {
        {"blk.1.attn_norm.bias", 24},   {"blk.1.attn_qkv.bias", 72}, {"blk.1.attn_output.bias", 24},
        {"blk.1.ffn_norm.bias", 24},    {"blk.1.ffn_up.bias", 40},   {"blk.1.ffn_down.bias", 24},
        {"output_norm.bias", 24},
    };
    mote_error error = {0};
    mote_model *model = create(MOTE_FAMILY_GPT2, MOTE_TOKENIZER_BYTE, NO_BIAS);
    mote_gguf file = {0};
    CHECK(mote_model_save(model, PATH, MOTE_TYPE_F16, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_gguf_open(PATH, &file, &error) == MOTE_OK, "%s", error.message);
    CHECK(file.n_tensors == 4 + 2 * 12 + 1, "%zu tensors", file.n_tensors);
    for (size_t i = 0; i < sizeof biases / sizeof biases[0]; i++) {
        const mote_gguf_tensor *tensor = mote_gguf_find_tensor(&file, biases[i].name);
        CHECK(tensor && tensor->n_dims == 1 && tensor->dims[0] == biases[i].length && tensor->ggml_type == 0, "%s",
              biases[i].name);
    }
    CHECK(!mote_gguf_find_tensor(&file, "output.bias") && !mote_gguf_find_tensor(&file, "token_embd.bias"));
    mote_gguf_close(&file);
    mote_model_close(model);
    remove(PATH);
}

static void tokenizer_round_trips(void) {
    round_trip(MOTE_FAMILY_LLAMA, MOTE_TOKENIZER_CHAR, false, MOTE_TYPE_F32);
    round_trip(MOTE_FAMILY_LLAMA, MOTE_TOKENIZER_WORD, false, MOTE_TYPE_F32);
}

/* Control tokens of turns come back, with what tells other programs of them; without messages there is neither. */
static void turns_round_trip(void) {
    for (int kind = MOTE_TOKENIZER_BYTE; kind <= MOTE_TOKENIZER_BPE; kind++)
        for (int messages = 0; messages < 2; messages++) {
            mote_error error = {0};
            mote_learner learner;
            mote_tokenizer *tokenizer = NULL;
            mote_model *model = NULL, *opened = NULL;
            mote_config config = mote_config_default(MOTE_FAMILY_LLAMA);
            config.dim = 8, config.layers = 1, config.heads = 1, config.context = 16;
            CHECK(mote_learner_init(&learner, (mote_tokenizer_kind)kind, 300, messages, &error) == MOTE_OK);
            CHECK(mote_learner_add(&learner, text, sizeof text - 1, &error) == MOTE_OK);
            CHECK(mote_learner_finish(&learner, &tokenizer, &error) == MOTE_OK, "%s", error.message);
            CHECK(mote_model_create(&config, tokenizer, 1, &model, &error) == MOTE_OK, "%s", error.message);
            CHECK(mote_model_save(model, PATH, MOTE_TYPE_F32, &error) == MOTE_OK, "%s", error.message);
            CHECK(mote_model_open(PATH, &opened, &error) == MOTE_OK, "%s", error.message);
            int32_t first = kind == MOTE_TOKENIZER_CHAR || kind == MOTE_TOKENIZER_WORD ? 2 : 1,
                    end = messages ? first + 1 : -1;
            const mote_tokenizer *back = opened ? mote_model_tokenizer(opened) : NULL;
            CHECK(back && mote_tokenizer_control(back, "<|im_start|>") == (messages ? first : -1), "kind %d", kind);
            CHECK(back && mote_tokenizer_control(back, "<|im_end|>") == end, "kind %d", kind);
            CHECK(back && mote_tokenizer_control(back, "<|endoftext|>") == 0 &&
                  mote_tokenizer_control(back, "a") == -1 && mote_tokenizer_control(back, "<unk>") == -1);
            mote_gguf file;
            CHECK(mote_gguf_open(PATH, &file, &error) == MOTE_OK, "%s", error.message);
            int64_t turn_end = -1;
            mote_status status = MOTE_OK;
            mote_string template = {0};
            mote_gguf_integer(&file, "tokenizer.ggml.eot_token_id", 0, 1000, &turn_end, &status, &error);
            mote_gguf_string(&file, "tokenizer.chat_template", &template, &status, &error);
            CHECK(status == MOTE_OK && turn_end == end, "%d", (int)turn_end);
            static const char literal[] = "'<|im_end|>' + '\\n'}}{% endfor %}"; /* the escape is Jinja's to read */
            CHECK((template.size > 0) == messages);
            CHECK(!messages || memmem(template.bytes, template.size, literal, sizeof literal - 1));
            mote_gguf_close(&file);
            mote_model_close(opened), mote_model_close(model);
            mote_tokenizer_destroy(tokenizer);
            mote_learner_deinit(&learner);
        }
    remove(PATH);
}

static void llama_with_biases_and_no_tokenizer(void) {
    mote_error error = {0};
    mote_config config = mote_config_default(MOTE_FAMILY_LLAMA);
    config.vocab = 11, config.dim = 8, config.layers = 1, config.heads = 2, config.hidden = 12, config.context = 4,
    config.bias = true;
    mote_model *model = NULL, *opened = NULL;
    CHECK(mote_model_create(&config, NULL, 1, &model, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_model_save(model, PATH, MOTE_TYPE_F32, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_model_open(PATH, &opened, &error) == MOTE_OK, "%s", error.message);
    CHECK(opened && opened->config.bias && !mote_model_tokenizer(opened) && !opened->tokenizer_problem);
    char *listing = NULL; /* without this key llama.cpp does not open the file */
    CHECK(mote_gguf_inspect(PATH, false, &listing, &error) == MOTE_OK, "%s", error.message);
    const char *key = listing ? strstr(listing, "tokenizer.ggml.model") : NULL;
    const char *none = key ? strstr(key, "none") : NULL;
    CHECK(none && none < key + strcspn(key, "\n"), "the tokenizer is not called none: %s", listing);
    mote_free(listing);
    if (opened) compare_weights(model, opened, MOTE_TYPE_F32);
    mote_model_close(opened), mote_model_close(model);
    remove(PATH);
}

static void save_refuses(void) {
    mote_error error = {0};
    mote_model *model = create(MOTE_FAMILY_LLAMA, MOTE_TOKENIZER_BYTE, false);
    CHECK(mote_model_save(model, PATH, MOTE_N_TYPES, &error) == MOTE_USAGE, "%s", error.message);
    CHECK(mote_model_save(model, "build/no/such/folder/x.gguf", MOTE_TYPE_F32, &error) == MOTE_IO, "%s", error.message);
    float *weights = model->weight[mote_program_find(model->program, "blk.1.ffn_up.weight")];
    weights[24 * 3 + 1] = 65520;
    CHECK(mote_model_save(model, PATH, MOTE_TYPE_F16, &error) == MOTE_USAGE &&
              strstr(error.message, "'blk.1.ffn_up.weight', row 3"),
          "%s", error.message);
    CHECK(access(PATH, F_OK) != 0, "a file was left");
    CHECK(mote_model_save(model, PATH, MOTE_TYPE_BF16, &error) == MOTE_OK, "%s", error.message);
    mote_model_close(model);
    remove(PATH);
}

/* ---- files as others write them, and bad ones: a small model, byte by byte, with one thing changed */

typedef struct {
    const char *omit;       /* a key or tensor that is left out */
    const char *key;        /* a u32 key that gets `value`, or is added */
    uint32_t value;
    const char *text_key, *text;
    const char *tensor;     /* gets these dims and type */
    uint64_t dims[3];
    uint32_t type;
    const char *extra;      /* a tensor [extra_values, or 3] more, of `fill` values */
    int extra_values;
    const char *off;        /* a bool key, false */
    float fill;
    bool gpt2;
    const char *const *tokens; /* of a gpt2 tokenizer, n_tokens of them */
    int n_tokens;
} twist;

static gguf_bytes body, whole;

typedef struct {
    const twist *t;
    int n_keys, n_tensors;
    uint64_t offset;
} assembly;

static bool is(const char *a, const char *b) { return a && b && strcmp(a, b) == 0; }

static void add_key(assembly *a, const char *key, uint32_t value) {
    if (is(a->t->omit, key)) return;
    key_u32(&body, key, is(a->t->key, key) ? a->t->value : value);
    a->n_keys++;
}

static void add_tensor(assembly *a, const char *name, uint64_t cols, uint64_t rows) {
    if (is(a->t->omit, name)) return;
    uint64_t dims[3] = {cols, rows, 1};
    uint32_t type = 0;
    bool twisted = is(a->t->tensor, name);
    if (twisted) memcpy(dims, a->t->dims, sizeof dims), type = a->t->type;
    put_tensor(&body, name, twisted ? 3 : rows == 1 ? 1 : 2, dims, type, a->offset);
    const mote_ggml_type *info = mote_ggml_type_get(type);
    uint64_t bytes = info ? dims[0] * dims[1] * dims[2] / info->block_values * info->block_bytes : 1;
    a->offset += (bytes + 31) / 32 * 32;
    a->n_tensors++;
}

static void add_keys(assembly *a) {
    const twist *t = a->t;
    static const char *const llama_keys[] = {"llama.context_length", "llama.embedding_length", "llama.block_count",
        "llama.feed_forward_length", "llama.attention.head_count"};
    static const char *const gpt2_keys[] = {"gpt2.context_length", "gpt2.embedding_length", "gpt2.block_count",
        "gpt2.feed_forward_length", "gpt2.attention.head_count"};
    static const uint32_t values[] = {4, 8, 1, 12, 2};
    bool known = false;
    if (!is(t->omit, "general.architecture")) {
        key_text(&body, "general.architecture",
                 is(t->text_key, "general.architecture") ? t->text
                 : t->gpt2                               ? "gpt2"
                                                         : "llama");
        a->n_keys++;
    }
    for (int i = 0; i < 5; i++) {
        const char *key = (t->gpt2 ? gpt2_keys : llama_keys)[i];
        add_key(a, key, values[i]);
        known = known || is(t->key, key);
    }
    const char *epsilon = t->gpt2 ? "gpt2.attention.layer_norm_epsilon" : "llama.attention.layer_norm_rms_epsilon";
    if (!is(t->omit, epsilon)) {
        key_f32(&body, epsilon, is(t->text_key, epsilon) ? NAN : 1e-5f);
        a->n_keys++;
    }
    if (t->key && !known) key_u32(&body, t->key, t->value), a->n_keys++;
    if (t->text_key && !is(t->text_key, "general.architecture") && !is(t->text_key, epsilon))
        key_text(&body, t->text_key, t->text), a->n_keys++;
    if (t->off) put_key(&body, t->off, MOTE_GGUF_BOOL), put_le(&body, 0, 1), a->n_keys++;
    if (!t->tokens) return;
    key_text(&body, "tokenizer.ggml.model", "gpt2");
    key_texts(&body, "tokenizer.ggml.tokens", t->tokens, (size_t)t->n_tokens);
    a->n_keys += 2;
}

static void assemble(const twist *t) {
    assembly a = {.t = t};
    body.size = 0;
    add_keys(&a);
    add_tensor(&a, "token_embd.weight", 8, 5);
    if (t->gpt2) add_tensor(&a, "position_embd.weight", 8, 4);
    add_tensor(&a, "blk.0.attn_norm.weight", 8, 1);
    if (t->gpt2) {
        add_tensor(&a, "blk.0.attn_qkv.weight", 8, 24);
    } else {
        add_tensor(&a, "blk.0.attn_q.weight", 8, 8);
        add_tensor(&a, "blk.0.attn_k.weight", 8, 8);
        add_tensor(&a, "blk.0.attn_v.weight", 8, 8);
        add_tensor(&a, "blk.0.ffn_gate.weight", 8, 12);
    }
    add_tensor(&a, "blk.0.attn_output.weight", 8, 8);
    add_tensor(&a, "blk.0.ffn_norm.weight", 8, 1);
    add_tensor(&a, "blk.0.ffn_up.weight", 8, 12);
    add_tensor(&a, "blk.0.ffn_down.weight", 12, 8);
    add_tensor(&a, "output_norm.weight", 8, 1);
    uint64_t extra_offset = a.offset;
    int n_extra = t->extra_values ? t->extra_values : 3;
    if (t->extra) add_tensor(&a, t->extra, (uint64_t)n_extra, 1);
    begin(&whole, 3, (uint64_t)a.n_tensors, (uint64_t)a.n_keys);
    put_raw(&whole, body.bytes, body.size);
    put_data(&whole, 32, (size_t)a.offset);
    if (t->extra)
        for (int i = 0; i < n_extra; i++)
            memcpy(whole.bytes + whole.size - a.offset + extra_offset + 4 * i, &t->fill, 4);
}

static mote_status build(const twist *t, mote_model **model, mote_error *error) {
    assemble(t);
    mote_gguf file;
    mote_status status = mote_gguf_parse(whole.bytes, whole.size, "case.gguf", &file, error);
    CHECK(status == MOTE_OK, "%s", error->message);
    if (status == MOTE_OK) status = mote_gguf_build_model(&file, model, error);
    mote_gguf_close(&file);
    return status;
}

static void good(const char *name, twist t) {
    mote_error error = {0};
    mote_model *model = NULL;
    CHECK(build(&t, &model, &error) == MOTE_OK, "%s: %s", name, error.message);
    mote_model_close(model);
}

static void bad(const char *name, const char *word, twist t) {
    mote_error error = {0};
    mote_model *model = NULL;
    CHECK(build(&t, &model, &error) == MOTE_BAD_FILE && !model, "%s", name);
    CHECK(strstr(error.message, word) && strstr(error.message, "case.gguf"), "%s: '%s' lacks '%s'", name, error.message,
          word);
    mote_model_close(model);
}

static void contradictory_keys(void) {
    good("as it is", (twist){0});
    static const char *const needed[] = {"general.architecture",
                                         "llama.context_length",
                                         "llama.embedding_length",
                                         "llama.block_count",
                                         "llama.feed_forward_length",
                                         "llama.attention.head_count",
                                         "llama.attention.layer_norm_rms_epsilon"};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        bad(needed[i], "is missing", (twist){.omit = needed[i]});
    bad("unknown architecture", "'falcon' is not supported",
        (twist){.text_key = "general.architecture", .text = "falcon"});
    bad("no heads: division by zero (ollama #7802)", "head_count",
        (twist){.key = "llama.attention.head_count", .value = 0});
    bad("no blocks (L.cpp #20716)", "block_count", (twist){.key = "llama.block_count", .value = 0});
    bad("513 layers (L.cpp PR #25821)", "block_count", (twist){.key = "llama.block_count", .value = 513});
    bad("2^32 - 1 layers", "block_count", (twist){.key = "llama.block_count", .value = UINT32_MAX});
    bad("512 layers, weights for one", "blk.1.attn_norm.weight", (twist){.key = "llama.block_count", .value = 512});
    bad("context of 2^31", "context_length", (twist){.key = "llama.context_length", .value = 1u << 31});
    bad("hidden width of 2^31 - 1", "keys contradict", (twist){.key = "llama.feed_forward_length", .value = INT32_MAX});
    bad("hidden width that the tensors have not", "ffn_gate", (twist){.key = "llama.feed_forward_length", .value = 13});
    bad("width that the tensors have not", "token_embd.weight", (twist){.key = "llama.embedding_length", .value = 16});
    bad("heads that do not share out", "keys contradict", (twist){.key = "llama.attention.head_count_kv", .value = 3});
    bad("odd head", "keys contradict", (twist){.key = "llama.attention.head_count", .value = 8});
    bad("head of 65536", "case.gguf", (twist){.key = "llama.attention.key_length", .value = 65536});
    bad("keys and values differ", "different lengths", (twist){.key = "llama.attention.value_length", .value = 2});
    bad("a part of each head rotated", "only a part", (twist){.key = "llama.rope.dimension_count", .value = 2});
    bad("rotation scaled in an unknown way", "'longrope'",
        (twist){.text_key = "llama.rope.scaling.type", .text = "longrope"});
    good("rotation not scaled", (twist){.text_key = "llama.rope.scaling.type", .text = "none"});
    bad("not scaled, with a factor", "kind none",
        (twist){.text_key = "llama.rope.scaling.type", .text = "none", .key = "llama.rope.scaling.factor", .value = 4});
    good("a factor of scaling without a type", (twist){.key = "llama.rope.scaling.factor", .value = 4});
    bad("a factor of 2^32 - 1", "rope.scaling.factor",
        (twist){.key = "llama.rope.scaling.factor", .value = UINT32_MAX});
    good("a factor of one", (twist){.key = "llama.rope.scaling.factor", .value = 1});
    good("scaled rotation of old files", (twist){.key = "llama.rope.scale_linear", .value = 2});
    bad("longer vectors without yarn", "length of vectors",
        (twist){.key = "llama.rope.scaling.attn_factor", .value = 2});
    bad("experts", "'llama.expert_count' is 8", (twist){.key = "llama.expert_count", .value = 8});
    bad("capped logits", "'llama.final_logit_softcapping' is 30",
        (twist){.key = "llama.final_logit_softcapping", .value = 30});
    bad("scaled logits", "logit_scale", (twist){.key = "llama.logit_scale", .value = 8});
    good("logits scaled by one", (twist){.key = "llama.logit_scale", .value = 1});
    bad("layers of two kinds", "sliding_window_pattern",
        (twist){.key = "llama.attention.sliding_window_pattern", .value = 6});
    bad("not causal", "behind them", (twist){.off = "llama.attention.causal"});
    bad("vocabulary that the embedding has not", "embedding of 5 rows", (twist){.key = "llama.vocab_size", .value = 6});
    bad("epsilon is not a number", "layer_norm_rms_epsilon",
        (twist){.text_key = "llama.attention.layer_norm_rms_epsilon"});
    bad("a string for a number", "kind string", (twist){.text_key = "llama.attention.head_count_kv", .text = "2"});
}

static void contradictory_tensors(void) {
    bad("tensor missing", "'blk.0.attn_k.weight' is missing", (twist){.omit = "blk.0.attn_k.weight"});
    bad("embedding missing", "'token_embd.weight' is missing", (twist){.omit = "token_embd.weight"});
    bad("tensor surplus", "'blk.7.attn_k.weight' has no place", (twist){.extra = "blk.7.attn_k.weight"});
    bad("matrix transposed", "shape [12, 8", (twist){.tensor = "blk.0.ffn_up.weight", .dims = {12, 8, 1}});
    bad("a third dimension", "shape [8, 12, 2", (twist){.tensor = "blk.0.ffn_up.weight", .dims = {8, 12, 2}});
    bad("gain too short (CVE-2026-33298)", "shape [7", (twist){.tensor = "output_norm.weight", .dims = {7, 1, 1}});
    bad("vocabulary over the most", "vocabulary of 5000000",
        (twist){.tensor = "token_embd.weight", .dims = {1, 5000000, 1}, .type = 999});
    bad("integer type", "type i32 (26)", (twist){.tensor = "blk.0.ffn_up.weight", .dims = {8, 12, 1}, .type = 26});
    bad("type not known", "type unknown (999)",
        (twist){.tensor = "blk.0.ffn_up.weight", .dims = {8, 12, 1}, .type = 999});
    bad("type of 2^32 - 1", "type unknown",
        (twist){.tensor = "blk.0.ffn_up.weight", .dims = {8, 12, 1}, .type = UINT32_MAX});
    good("f16 among f32", (twist){.tensor = "blk.0.ffn_up.weight", .dims = {8, 12, 1}, .type = 1});
    good("gain in bf16", (twist){.tensor = "output_norm.weight", .dims = {8, 1, 1}, .type = 30});
    bad("rotation factors that change something", "rope_freqs.weight",
        (twist){.extra = "rope_freqs.weight", .fill = 8});
    good("rotation factors of one", (twist){.extra = "rope_freqs.weight", .fill = 1});
    good("mote's own tensors", (twist){.extra = "mote.mask", .fill = 8});
    good("gpt2 without biases", (twist){.gpt2 = true});
    good("gpt2 without biases, one of them zero",
         (twist){.gpt2 = true, .off = "mote.gpt2.bias", .extra = "blk.0.attn_qkv.bias", .extra_values = 24});
    bad("gpt2 without biases, one of them not zero", "'blk.0.attn_qkv.bias' is not the 24 zeros",
        (twist){.gpt2 = true, .off = "mote.gpt2.bias", .extra = "blk.0.attn_qkv.bias", .extra_values = 24, .fill = 1});
    bad("gpt2 without biases, a zero bias too short", "'blk.0.ffn_up.bias' is not the 12 zeros",
        (twist){.gpt2 = true, .off = "mote.gpt2.bias", .extra = "blk.0.ffn_up.bias"});
    bad("gpt2 without biases, a zero bias that has no weight", "'blk.1.ffn_up.bias' has no place",
        (twist){.gpt2 = true, .off = "mote.gpt2.bias", .extra = "blk.1.ffn_up.bias", .extra_values = 12});
    bad("zero biases without the key", "'blk.0.ffn_up.bias' has no place",
        (twist){.gpt2 = true, .extra = "blk.0.ffn_up.bias", .extra_values = 12});
    bad("the key of zero biases is no bool", "mote.gpt2.bias", (twist){.gpt2 = true, .key = "mote.gpt2.bias"});
    bad("positions missing", "'position_embd.weight' is missing",
        (twist){.gpt2 = true, .omit = "position_embd.weight"});
    bad("fewer positions than the context", "position_embd.weight",
        (twist){.gpt2 = true, .key = "gpt2.context_length", .value = 5});
}

static void tokenizers_of_others(void) {
    static const char *const ids[] = {"a", "b", "c", "d", "e", "f"};
    mote_error error = {0};
    mote_model *model = NULL;
    CHECK(build(&(twist){.text_key = "tokenizer.ggml.model", .text = "t5"}, &model, &error) == MOTE_OK, "%s",
          error.message);
    CHECK(model && !mote_model_tokenizer(model) && model->tokenizer_problem &&
          strstr(mote_model_tokenizer_problem(model), "case.gguf"));
    mote_model_close(model);
    static const char *const none[] = {"none", "no_vocab"};
    for (int i = 0; i < 2; i++) {
        CHECK(build(&(twist){.text_key = "tokenizer.ggml.model", .text = none[i]}, &model, &error) == MOTE_OK, "%s",
              error.message);
        CHECK(model && !mote_model_tokenizer(model) && !model->tokenizer_problem, "%s is no problem", none[i]);
        mote_model_close(model);
    }
    bad("own tokenizer broken", "case.gguf",
        (twist){.text_key = "mote.tokenizer.kind",
                .text = "bpe",
                .tokens = (const char *const[]){"a", "a"},
                .n_tokens = 2});
    CHECK(build(&(twist){.tokens = ids, .n_tokens = 5, .key = "tokenizer.ggml.eos_token_id", .value = 5}, &model,
                &error) == MOTE_OK);
    CHECK(model && !mote_model_tokenizer(model) && model->tokenizer_problem,
          "an id past the vocabulary was taken (L.cpp #7592)");
    mote_model_close(model);
}

static void tokenizer_of_another_model(void) {
    mote_error error = {0};
    mote_model *model = create(MOTE_FAMILY_LLAMA, MOTE_TOKENIZER_BYTE, false), *opened = NULL;
    mote_tokenizer_destroy(model->tokenizer);
    model->tokenizer = NULL;
    CHECK(mote_tokenizer_train(MOTE_TOKENIZER_CHAR, 300, text, sizeof text - 1, &model->tokenizer, &error) == MOTE_OK);
    CHECK(mote_model_save(model, PATH, MOTE_TYPE_F32, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_model_open(PATH, &opened, &error) == MOTE_BAD_FILE && strstr(error.message, "a tokenizer of"), "%s",
          error.message);
    mote_model_close(model);
    remove(PATH);
}

static void every_allocation_fails(void) {
    mote_model *model = create(MOTE_FAMILY_LLAMA, MOTE_TOKENIZER_BYTE, false);
    CHECK(mote_model_save(model, PATH, MOTE_TYPE_Q4_K, NULL) == MOTE_OK); /* made f32: one allocation more */
    mote_model_close(model);
    failing_memory_begin();
    int k = 0;
    for (bool failed = true; failed && k < 5000; k++) {
        mote_error error = {0};
        failing_memory_fail_at(k);
        mote_status status = mote_model_open(PATH, &model, &error);
        failed = failing_memory_failed();
        CHECK(status == (failed ? MOTE_MEMORY : MOTE_OK), "allocation %d: status %d %s", k, (int)status, error.message);
        mote_model_close(model);
        CHECK(failing_memory_live() == 0, "allocation %d leaks %d blocks", k, failing_memory_live());
    }
    CHECK(k > 10 && k < 5000, "%d allocations", k);
    failing_memory_end();
    remove(PATH);
}

int main(void) {
    RUN(llama_round_trips);
    RUN(gpt2_round_trips);
    RUN(bad_scales_are_refused);
    RUN(others_round_trip);
    RUN(divisors_of_llama3);
    RUN(gpt2_without_biases_has_zeros_in_the_file);
    RUN(tokenizer_round_trips);
    RUN(turns_round_trip);
    RUN(llama_with_biases_and_no_tokenizer);
    RUN(save_refuses);
    RUN(contradictory_keys);
    RUN(contradictory_tensors);
    RUN(tokenizers_of_others);
    RUN(tokenizer_of_another_model);
    RUN(every_allocation_fails);
    return test_finish();
}
