/* Folders of transformers: models of every family go out and come back with the same weights and logits, folders that
 * PyTorch-side code wrote (tools/make_huggingface.py) give its logits, shards and what others leave in their files are
 * read, and what mote cannot compute is refused by name. */
#include <sys/stat.h>
#include <unistd.h>

#include "failing_memory.h"
#include "formats/gguf.h"
#include "formats/huggingface.h"
#include "formats/tokenizer_json.h"
#include "run/session.h"
#include "test.h"

#define FOLDER "build/test_huggingface"
enum { N = 12 };

static const char *at(const char *folder, const char *name) {
    static char path[4][512];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void clear(const char *folder) {
    char **names = NULL;
    size_t n = 0;
    if (mote_folder_list(folder, &names, &n, NULL) == MOTE_OK)
        for (size_t i = 0; i < n; i++) unlink(at(folder, names[i]));
    mote_release(names);
    rmdir(folder);
}

static char *slurp(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    char *bytes = calloc(1, 1 << 20);
    *size = file ? fread(bytes, 1, (1 << 20) - 1, file) : 0;
    CHECK(file != NULL, "%s", path);
    if (file) fclose(file);
    return bytes;
}

static void put(const char *path, const void *bytes, size_t n) {
    FILE *file = fopen(path, "wb");
    CHECK(file && fwrite(bytes, 1, n, file) == n && fclose(file) == 0, "%s", path);
}

static void copy_file(const char *from, const char *to, const char *name) {
    size_t n;
    char *bytes = slurp(at(from, name), &n);
    put(at(to, name), bytes, n);
    free(bytes);
}

/* Logits [n, vocab] of n tokens; NULL where that fails. */
static float *logits_of(const mote_model *model, const int32_t *tokens, int n) {
    int vocab = mote_model_config(model).vocab;
    int32_t positions[64];
    uint8_t wanted[64];
    mote_session *session = NULL;
    mote_error error = {0};
    mote_session_options options = mote_session_options_default();
    options.threads = 1;
    for (int i = 0; i < n; i++) positions[i] = i, wanted[i] = 1;
    mote_batch batch = {.n_tokens = n, .token = tokens, .position = positions, .want_logits = wanted};
    float *out = calloc((size_t)n * (size_t)vocab, sizeof *out);
    bool ok = mote_session_create(model, &options, &session, &error) == MOTE_OK &&
              mote_session_run(session, &batch, &error) == MOTE_OK;
    CHECK(ok, "%s", error.message);
    for (int i = 0; ok && i < n; i++)
        memcpy(out + i * vocab, mote_session_logits(session, i), (size_t)vocab * sizeof *out);
    mote_session_destroy(session);
    return out;
}

/* ---- out and back */

static mote_config small(mote_family family) {
    mote_config c = mote_config_default(family);
    c.vocab = 50, c.dim = 24, c.layers = 4, c.heads = 4, c.context = 32, c.hidden = 40;
    if (family != MOTE_FAMILY_GPT2) c.kv_heads = 2;
    return c;
}

static mote_model *create(const mote_config *config) {
    mote_model *model = NULL;
    mote_error error = {0};
    CHECK(mote_model_create(config, NULL, 11, &model, &error) == MOTE_OK, "%s", error.message);
    for (int id = 0; model && id < model->program->n_tensors; id++) { /* nothing stays at its even start */
        const mote_tensor *t = &model->program->tensors[id];
        float *w = model->weight[id];
        for (int i = 0; t->role == MOTE_ROLE_WEIGHT && t->rows == 1 && i < t->cols; i++)
            w[i] += 0.125f * (float)((i * 7 + id) % 11 - 5) / 8;
    }
    return model;
}

static void compare(const mote_model *a, const mote_model *b, mote_type type) {
    for (int id = 0; id < a->program->n_tensors; id++) {
        const mote_tensor *t = &a->program->tensors[id], *u = &b->program->tensors[id];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        CHECK(strcmp(t->name, u->name) == 0 && t->rows == u->rows && t->cols == u->cols, "%s, %s", t->name, u->name);
        float *x = malloc((size_t)t->cols * 4), *y = malloc((size_t)t->cols * 4);
        uint8_t *packed = malloc((size_t)t->cols * 4);
        bool same = true, gain = strstr(t->name, "norm.weight") && a->config.family == MOTE_FAMILY_GEMMA3;
        for (int r = 0; r < t->rows; r++) {
            size_t n = (size_t)t->cols;
            memcpy(x, (const float *)a->weight[id] + (size_t)r * n, n * 4);
            for (size_t i = 0; gain && i < n; i++) x[i] -= 1;
            mote_type_get(type)->from_f32(x, packed, n);
            mote_type_get(type)->to_f32(packed, x, n);
            for (size_t i = 0; gain && i < n; i++) x[i] += 1;
            mote_type_get(u->type)->to_f32((const char *)b->weight[id] + (size_t)r * mote_row_bytes(u->type, n), y, n);
            same = same && memcmp(x, y, n * 4) == 0;
        }
        CHECK(same, "%s differs", t->name);
        free(x), free(y), free(packed);
    }
}

static bool same_config(const mote_config *a, const mote_config *b) {
    return a->family == b->family && a->vocab == b->vocab && a->context == b->context && a->dim == b->dim &&
           a->layers == b->layers && a->heads == b->heads && a->kv_heads == b->kv_heads && a->head_dim == b->head_dim &&
           a->hidden == b->hidden && a->window == b->window && a->tied == b->tied && a->bias == b->bias &&
           a->qk_norm == b->qk_norm && a->norm_epsilon == b->norm_epsilon && a->rope_base == b->rope_base &&
           a->full_attention_period == b->full_attention_period && a->no_rope_period == b->no_rope_period &&
           a->rope_base_window == b->rope_base_window && a->query_scale == b->query_scale &&
           a->rope_scaling == b->rope_scaling && a->rope_factor == b->rope_factor &&
           a->rope_original_context == b->rope_original_context && a->rope_low == b->rope_low &&
           a->rope_high == b->rope_high && a->rope_attention_factor == b->rope_attention_factor;
}

static void round_trip(const mote_config *config, mote_type type) {
    mote_model *model = create(config), *back = NULL;
    mote_error error = {0};
    if (!model) return;
    clear(FOLDER);
    CHECK(!mote_huggingface_matches(FOLDER));
    CHECK(mote_huggingface_save(model, FOLDER, type, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_huggingface_matches(FOLDER));
    CHECK(mote_huggingface_open(FOLDER, &back, &error) == MOTE_OK, "%s", error.message);
    if (back) {
        mote_config a = mote_model_config(model), b = mote_model_config(back);
        CHECK(same_config(&a, &b), "%s: the config changed", mote_family_name(a.family));
        CHECK(strcmp(back->name, "test_huggingface") == 0);
        compare(model, back, type);
        int32_t tokens[N];
        for (int i = 0; i < N; i++) tokens[i] = i * 17 % config->vocab;
        float *x = logits_of(model, tokens, N), *y = logits_of(back, tokens, N);
        if (type == MOTE_TYPE_F32)
            CHECK(memcmp(x, y, (size_t)(N * config->vocab) * 4) == 0, "%s: logits", mote_family_name(config->family));
        free(x), free(y);
        /* and once more: the same file */
        size_t n, m;
        char *first = slurp(at(FOLDER, "model.safetensors"), &n);
        CHECK(mote_huggingface_save(back, FOLDER "2", type, &error) == MOTE_OK, "%s", error.message);
        char *second = slurp(at(FOLDER "2", "model.safetensors"), &m);
        CHECK(n == m && memcmp(first, second, n) == 0, "%s: saved again, it differs", mote_family_name(config->family));
        free(first), free(second);
        clear(FOLDER "2");
    }
    mote_model_close(back);
    mote_model_close(model);
    clear(FOLDER);
}

static void families_go_out_and_come_back(void) {
    static const mote_family families[] = {MOTE_FAMILY_LLAMA, MOTE_FAMILY_GPT2,   MOTE_FAMILY_QWEN2,
                                           MOTE_FAMILY_QWEN3, MOTE_FAMILY_GEMMA3, MOTE_FAMILY_SMOLLM3};
    static const mote_type types[] = {MOTE_TYPE_F32, MOTE_TYPE_F16, MOTE_TYPE_BF16};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (int j = 0; j < 3; j++)
            for (int tied = 0; tied < 2; tied++) {
                mote_config c = small(families[i]);
                c.tied = tied;
                round_trip(&c, types[j]);
            }
}

static void variants_go_out_and_come_back(void) {
    mote_config c = small(MOTE_FAMILY_LLAMA);
    c.bias = true;
    round_trip(&c, MOTE_TYPE_F32);
    c = small(MOTE_FAMILY_LLAMA);
    c.window = 5, c.head_dim = 10; /* a mistral */
    round_trip(&c, MOTE_TYPE_F32);
    c = small(MOTE_FAMILY_LLAMA);
    c.rope_scaling = MOTE_ROPE_LLAMA3, c.rope_factor = 8, c.rope_original_context = 16, c.rope_base = 500000;
    round_trip(&c, MOTE_TYPE_F32);
    c.rope_scaling = MOTE_ROPE_YARN, c.rope_attention_factor = 1.25f;
    round_trip(&c, MOTE_TYPE_F32);
    c.rope_scaling = MOTE_ROPE_LINEAR;
    round_trip(&c, MOTE_TYPE_F32);
    c = small(MOTE_FAMILY_QWEN3);
    c.bias = true, c.window = 5, c.norm_epsilon = 1e-6f;
    round_trip(&c, MOTE_TYPE_F32);
    c = small(MOTE_FAMILY_GPT2);
    c.bias = false;
    round_trip(&c, MOTE_TYPE_F32);
    c = small(MOTE_FAMILY_GEMMA3);
    c.layers = 7, c.query_scale = 0.0625f, c.rope_scaling = MOTE_ROPE_LINEAR, c.rope_factor = 2;
    round_trip(&c, MOTE_TYPE_F32);
}

/* ---- what PyTorch computes */

static void golden(const char *name) {
    char folder[128];
    snprintf(folder, sizeof folder, "tests/data/huggingface_%s", name);
    mote_model *model = NULL;
    mote_error error = {0};
    CHECK(mote_huggingface_open(folder, &model, &error) == MOTE_OK, "%s", error.message);
    if (!model) return;
    size_t size;
    char *bytes = slurp(at(folder, "golden.bin"), &size);
    int32_t n, tokens[64];
    int vocab = mote_model_config(model).vocab;
    memcpy(&n, bytes, 4);
    CHECK(n > 0 && n < 64 && size == 4 + (size_t)n * 4 + (size_t)n * (size_t)vocab * 4, "%s", name);
    memcpy(tokens, bytes + 4, (size_t)n * 4);
    float *logits = logits_of(model, tokens, n);
    double worst = 0, largest = 0;
    for (int i = 0; i < n * vocab; i++) {
        float expected;
        memcpy(&expected, bytes + 4 + n * 4 + i * 4, 4);
        worst = fmax(worst, fabs((double)expected - (double)logits[i]));
        largest = fmax(largest, fabs((double)expected));
    }
    CHECK(worst <= 1e-4 * largest, "%s: off by %g of %g", name, worst, largest);
    CHECK(model->hints.n_end == 2 && model->hints.end[0] == 2 && model->hints.end[1] == 5 && model->hints.sample == 1 &&
              model->hints.temperature == 0.6f && model->hints.top_p == 0.9f && model->hints.top_k == -1,
          "%s: generation_config.json", name);
    free(logits);
    /* an independent writer gives the same bytes, where mote's names and order are the file's */
    CHECK(mote_huggingface_save(model, FOLDER, model->program->tensors[0].type, &error) == MOTE_OK, "%s",
          error.message);
    if (strcmp(name, "gpt2") != 0) {
        size_t a, b;
        char *theirs = slurp(at(folder, "model.safetensors"), &a), *ours = slurp(at(FOLDER, "model.safetensors"), &b);
        CHECK(a == b && memcmp(theirs, ours, a) == 0, "%s: the file is not the reference's", name);
        free(theirs), free(ours);
    }
    clear(FOLDER);
    free(bytes);
    mote_model_close(model);
}

static void logits_are_pytorchs(void) {
    static const char *const names[] = {"llama", "llama_scaled", "qwen2", "qwen3", "gemma3", "smollm3", "gpt2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) golden(names[i]);
}

/* ---- what others leave in their files, and what is refused */

#define LLAMA "tests/data/huggingface_llama"

/* FOLDER becomes a copy of `folder` with `from` in its config.json replaced (NULL: nothing is). */
static void prepare(const char *folder, const char *from, const char *to) {
    clear(FOLDER);
    mkdir(FOLDER, 0777);
    copy_file(folder, FOLDER, "model.safetensors");
    size_t n;
    char *config = slurp(at(folder, "config.json"), &n), *changed = calloc(1, n + 4096);
    char *found = from ? strstr(config, from) : config;
    CHECK(found != NULL, "%s is not in config.json", from);
    if (found && from) sprintf(changed, "%.*s%s%s", (int)(found - config), config, to, found + strlen(from));
    else memcpy(changed, config, n);
    put(at(FOLDER, "config.json"), changed, strlen(changed));
    free(config), free(changed);
}

static void refused(const char *folder, const char *from, const char *to, const char *word) {
    mote_model *model = NULL;
    mote_error error = {0};
    prepare(folder, from, to);
    mote_status status = mote_huggingface_open(FOLDER, &model, &error);
    CHECK(status == MOTE_BAD_FILE && !model && strstr(error.message, word) && strstr(error.message, FOLDER),
          "%s: %d '%s' lacks '%s'", to, (int)status, error.message, word);
    mote_model_close(model);
}

static void accepted(const char *folder, const char *from, const char *to) {
    mote_model *model = NULL;
    mote_error error = {0};
    prepare(folder, from, to);
    CHECK(mote_huggingface_open(FOLDER, &model, &error) == MOTE_OK, "%s: %s", to, error.message);
    mote_model_close(model);
}

static void configs_of_others_are_refused_by_name(void) {
    static const struct { const char *from, *to, *word;
    } cases[] = {
        {"\"llama\"", "\"mamba\"", "model_type 'mamba'"},
        {"\"llama\"", "\"qwen2\"", "LlamaForCausalLM"},
        {"LlamaForCausalLM", "LlamaForSequenceClassification", "LlamaForSequenceClassification"},
        {"\"silu\"", "\"relu\"", "'relu'"},
        {"\"silu\"", "1", "not a string"},
        {"\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2}", "'dynamic'"},
        {"\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"longrope\", \"factor\": 2}", "'longrope'"},
        {"\"rope_scaling\": null", "\"rope_scaling\": {\"factor\": 2}", "no type"},
        {"\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 2}", "low_freq_factor"},
        {"\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 2, \"mscale\": 1}",
         "mscale"},
        {"\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 1e99}", "factor"},
        {"\"rope_scaling\": null", "\"partial_rotary_factor\": 0.5", "part of each head"},
        {"\"mlp_bias\": false", "\"mlp_bias\": true", "feed-forward"},
        {"\"mlp_bias\": false", "\"quantization_config\": {\"bits\": 4}", "quantization_config"},
        {"\"mlp_bias\": false", "\"hidden_size\": 24", "occurs twice"},
        {"\"hidden_size\": 24", "\"hidden\": 24", "'hidden_size' is missing"},
        {"\"hidden_size\": 24", "\"hidden_size\": 24.5", "not a whole number"},
        {"\"hidden_size\": 24", "\"hidden_size\": 0", "hidden_size"},
        {"\"hidden_size\": 24", "\"hidden_size\": -24", "hidden_size"},
        {"\"hidden_size\": 24", "\"hidden_size\": 1e9", "hidden_size"},
        {"\"hidden_size\": 24", "\"hidden_size\": 28", "has shape"},
        {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 0", "num_hidden_layers"},
        {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 513", "num_hidden_layers"},
        {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "model.layers.2"},
        {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", "no place"},
        {"\"num_attention_heads\": 4", "\"num_attention_heads\": 0", "num_attention_heads"},
        {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "contradicts itself"},
        {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 4", "has shape"},
        {"\"head_dim\": 6", "\"head_dim\": 5", "contradicts itself"},
        {"\"vocab_size\": 40", "\"vocab_size\": 41", "has shape"},
        {"\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": 0", "rms_norm_eps"},
        {"\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true", "lm_head.weight differs"},
        {"\"attention_bias\": false", "\"attention_bias\": true", "q_proj.bias"},
        {"\"eos_token_id\": 2", "\"eos_token_id\": \"x\"", "eos_token_id"},
        {"\"eos_token_id\": 2", "\"eos_token_id\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", "16 tokens"},
        {"{", "[", "config.json"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(LLAMA, cases[i].from, cases[i].to, cases[i].word);
    refused("tests/data/huggingface_gpt2", "\"gelu_new\"", "\"gelu\"", "'gelu'");
    refused("tests/data/huggingface_gpt2", "\"n_ctx\": 32", "\"scale_attn_by_inverse_layer_idx\": true",
            "by the layer");
    refused("tests/data/huggingface_qwen2", "\"use_sliding_window\": false,",
            "\"use_sliding_window\": true, \"layer_types\": [\"full_attention\", \"sliding_attention\"],",
            "no period");
    refused("tests/data/huggingface_qwen2", "\"use_sliding_window\": false,",
            "\"use_sliding_window\": true, \"layer_types\": [\"chunked_attention\", \"full_attention\"],",
            "other types");
    refused("tests/data/huggingface_gemma3", "\"sliding_window\": 5", "\"final_logit_softcapping\": 30", "capped");
    refused("tests/data/huggingface_gemma3", "\"full_attention\"", "\"chunked_attention\"", "other types");
    refused("tests/data/huggingface_gemma3", "\"full_attention\",", "", "each of 3 layers");
    refused("tests/data/huggingface_smollm3", "    1,\n    0", "    0,\n    1", "not every fourth");
    clear(FOLDER);
}

static void configs_in_other_words_are_accepted(void) {
    accepted(LLAMA, NULL, "");
    accepted(LLAMA, "\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"default\"}");
    accepted(LLAMA, "\"rope_theta\": 10000.0,\n  \"rope_scaling\": null",
             "\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 10000.0}");
    accepted(LLAMA, "\"silu\"", "\"swish\"");
    accepted(LLAMA, "\"tie_word_embeddings\": false,", "");
    accepted(LLAMA, "\"model_type\": \"llama\",", "");
    accepted(LLAMA, "\"torch_dtype\": \"float32\",", "\"dtype\": \"float32\", \"pretraining_tp\": 1,");
    accepted("tests/data/huggingface_gemma3", "\"rope_scaling\": null",
             "\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"default\", \"rope_theta\": 1000000.0}, "
             "\"sliding_attention\": {\"rope_type\": \"default\", \"rope_theta\": 10000.0}}");
    clear(FOLDER);
}

/* Replaces a part of the header of FOLDER's safetensors; where the length changes, a padding that is not of 8 bytes. */
static void change_header(const char *from, const char *to) {
    size_t n;
    char *bytes = slurp(at(FOLDER, "model.safetensors"), &n);
    size_t header = 0;
    for (int i = 0; i < 8; i++) header |= (size_t)(unsigned char)bytes[i] << (8 * i);
    char *text = calloc(1, header + 4096), *found;
    memcpy(text, bytes + 8, header);
    found = strstr(text, from);
    CHECK(found != NULL, "%s is not in the header", from);
    if (found) {
        char *rest = strdup(found + strlen(from));
        sprintf(found, "%s%s", to, rest);
        free(rest);
    }
    size_t length = strlen(text);
    FILE *file = fopen(at(FOLDER, "model.safetensors"), "wb");
    for (int i = 0; i < 8; i++) fputc((int)(length >> (8 * i) & 255), file);
    fwrite(text, 1, length, file);
    fwrite(bytes + 8 + header, 1, n - 8 - header, file);
    CHECK(fclose(file) == 0);
    free(text), free(bytes);
}

static void tensors_must_fit(void) {
    static const struct { const char *from, *to, *word;
    } cases[] = {
        {"\"model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[24]",
         "\"model.norm.weight\":{\"dtype\":\"I32\",\"shape\":[24]", "dtype I32"},
        {"\"model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[24]",
         "\"model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[24,1]", "[24, 1]"},
        {"\"model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[24]",
         "\"model.norm.weight\":{\"dtype\":\"I8\",\"shape\":[96]", "has shape [96]"},
        {"\"model.embed_tokens.weight\":{\"dtype\":\"F32\",\"shape\":[40,24]",
         "\"model.embed_tokens.weight\":{\"dtype\":\"F32\",\"shape\":[24,40]", "[24, 40]"},
        {"\"model.norm.weight\"", "\"model.norm.weights\"", "'model.norm.weight' is missing"},
        {"\"model.layers.1.mlp.up_proj.weight\"", "\"model.layers.01.mlp.up_proj.weight\"",
         "up_proj.weight' is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mote_model *model = NULL;
        mote_error error = {0};
        prepare(LLAMA, NULL, NULL);
        change_header(cases[i].from, cases[i].to);
        mote_status status = mote_huggingface_open(FOLDER, &model, &error);
        CHECK(status == MOTE_BAD_FILE && strstr(error.message, cases[i].word), "%d '%s' lacks '%s'", (int)status,
              error.message, cases[i].word);
        mote_model_close(model);
    }
    clear(FOLDER);
}

/* An old writer did not pad the header: data that is not aligned is copied, and the rest stays as it is. */
static void unaligned_data_is_read(void) {
    mote_model *even = NULL, *odd = NULL;
    mote_error error = {0};
    int32_t tokens[N] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8};
    prepare(LLAMA, NULL, NULL);
    change_header("\"format\":\"pt\"", "\"format\":\"pt_\"");
    CHECK(mote_huggingface_open(LLAMA, &even, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_huggingface_open(FOLDER, &odd, &error) == MOTE_OK, "%s", error.message);
    if (even && odd) {
        const uint8_t *norm = odd->weight[mote_program_find(odd->program, "output_norm.weight")];
        CHECK(norm < odd->map.bytes || norm >= odd->map.bytes + odd->map.size, "it is not copied");
        norm = even->weight[mote_program_find(even->program, "output_norm.weight")];
        CHECK(norm >= even->map.bytes && norm < even->map.bytes + even->map.size, "it need not be copied");
        float *x = logits_of(even, tokens, N), *y = logits_of(odd, tokens, N);
        CHECK(memcmp(x, y, N * 40 * 4) == 0);
        free(x), free(y);
    }
    mote_model_close(even);
    mote_model_close(odd);
    clear(FOLDER);
}

static void buffers_of_older_versions_are_ignored(void) {
    mote_model *model = NULL;
    mote_error error = {0};
    prepare(LLAMA, NULL, NULL);
    change_header(
        "\"__metadata__\":{\"format\":\"pt\"}",
        "\"model.layers.0.self_attn.rotary_emb.inv_freq\":{\"dtype\":\"F64\",\"shape\":[0],\"data_offsets\":[0,0]}");
    CHECK(mote_huggingface_open(FOLDER, &model, &error) == MOTE_OK, "%s", error.message);
    mote_model_close(model);
    clear(FOLDER);
}

/* The tensors of LLAMA in two files: those of layer 1, and the others. */
static mote_status half_source(void *context, const mote_safetensors_item *item, mote_writer *w, mote_error *error) {
    const mote_safetensor *t = mote_safetensors_find(context, item->name);
    (void)error;
    mote_writer_write(w, t->data, t->end - t->begin);
    return MOTE_OK;
}

static void shards_are_one_model(void) {
    mote_safetensors whole;
    mote_error error = {0};
    prepare(LLAMA, NULL, NULL);
    CHECK(mote_safetensors_open(at(LLAMA, "model.safetensors"), &whole, &error) == MOTE_OK, "%s", error.message);
    FILE *index = fopen(at(FOLDER, "model.safetensors.index.json"), "w");
    fprintf(index, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {");
    char names[64][96];
    for (int half = 0; half < 2; half++) {
        mote_safetensors_item items[64];
        size_t n = 0;
        char file[64];
        snprintf(file, sizeof file, "model-0000%d-of-00002.safetensors", half + 1);
        for (size_t i = 0; i < whole.n_tensors; i++) {
            const mote_safetensor *t = &whole.tensors[i];
            snprintf(names[i], sizeof names[i], "%.*s", (int)t->name.size, t->name.bytes);
            if ((strstr(names[i], "layers.1") != NULL) != (half == 0)) continue;
            items[n] = (mote_safetensors_item){.name = names[i], .dtype = t->dtype, .n_dims = t->n_dims};
            memcpy(items[n++].dims, t->dims, sizeof t->dims);
            fprintf(index, "%s\"%s\": \"%s\"", half == 0 && n == 1 ? "" : ", ", names[i], file);
        }
        CHECK(mote_safetensors_write(at(FOLDER, file), items, n, half_source, &whole, &error) == MOTE_OK, "%s",
              error.message);
    }
    fprintf(index, "}}\n");
    fclose(index);
    mote_safetensors_close(&whole);
    unlink(at(FOLDER, "model.safetensors"));
    mote_model *one = NULL, *two = NULL;
    int32_t tokens[N] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8};
    CHECK(mote_huggingface_open(LLAMA, &one, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_huggingface_open(FOLDER, &two, &error) == MOTE_OK, "%s", error.message);
    if (one && two) {
        CHECK(two->n_shards == 1 && two->shards[0].size > 0);
        float *x = logits_of(one, tokens, N), *y = logits_of(two, tokens, N);
        CHECK(memcmp(x, y, N * 40 * 4) == 0);
        free(x), free(y);
        /* saved over it, the shards are no longer what the folder says */
        CHECK(mote_huggingface_save(two, FOLDER, MOTE_TYPE_F32, &error) == MOTE_OK, "%s", error.message);
        CHECK(access(at(FOLDER, "model.safetensors.index.json"), F_OK) != 0);
    }
    mote_model_close(one);
    mote_model_close(two);
    clear(FOLDER);
}

/* ---- saving */

static void a_failed_save_leaves_the_folder_as_it_was(void) {
    mote_config c = small(MOTE_FAMILY_LLAMA);
    mote_model *model = create(&c), *back = NULL;
    mote_error error = {0};
    clear(FOLDER);
    CHECK(mote_huggingface_save(model, FOLDER, MOTE_TYPE_F32, &error) == MOTE_OK, "%s", error.message);
    char **before, **after;
    size_t n, m;
    mote_folder_list(FOLDER, &before, &n, NULL);
    ((float *)model->weight[mote_program_find(model->program, "blk.3.ffn_up.weight")])[5] = 1e6f;
    CHECK(mote_huggingface_save(model, FOLDER, MOTE_TYPE_F16, &error) == MOTE_USAGE &&
              strstr(error.message, "model.layers.3.mlp.up_proj.weight") && error.hint[0],
          "%s", error.message);
    mote_folder_list(FOLDER, &after, &m, NULL);
    CHECK(n == m, "files are left or gone: %zu, then %zu", n, m);
    CHECK(mote_huggingface_open(FOLDER, &back, &error) == MOTE_OK && back->program->tensors[0].type == MOTE_TYPE_F32,
          "%s", error.message);
    mote_release(before), mote_release(after);
    mote_model_close(back);
    CHECK(mote_huggingface_save(model, at(FOLDER, "config.json"), MOTE_TYPE_F32, &error) == MOTE_IO &&
              strstr(error.message, "not a folder"), "%s", error.message);
    CHECK(mote_huggingface_save(model, "build/no/such/folder", MOTE_TYPE_F32, &error) == MOTE_IO, "%s", error.message);
    CHECK(mote_huggingface_save(model, FOLDER, MOTE_N_TYPES, &error) == MOTE_USAGE, "%s", error.message);
    mote_model_close(model);
    c.window = 4, c.bias = true;
    model = create(&c);
    CHECK(mote_huggingface_save(model, FOLDER, MOTE_TYPE_F32, &error) == MOTE_USAGE && strstr(error.message, "biases"),
          "%s", error.message);
    mote_model_close(model);
    clear(FOLDER);
}

static const char text[] = "Once upon a time there was a speck of dust. It saw the sea, and the sea saw it.\n";

static mote_tokenizer *train(mote_tokenizer_kind kind, int limit) {
    mote_tokenizer *tokenizer = NULL;
    mote_error error = {0};
    CHECK(mote_tokenizer_train(kind, limit, text, sizeof text - 1, &tokenizer, &error) == MOTE_OK, "%s", error.message);
    return tokenizer;
}

static void memory_runs_out(void) {
    mote_tokenizer *tokenizer = train(MOTE_TOKENIZER_CHAR, 0);
    mote_config c = small(MOTE_FAMILY_GPT2);
    c.layers = 1, c.vocab = mote_tokenizer_vocab(tokenizer);
    mote_model *model = NULL;
    mote_error error = {0};
    clear(FOLDER);
    CHECK(mote_model_create(&c, tokenizer, 3, &model, &error) == MOTE_OK, "%s", error.message);
    mote_tokenizer_destroy(tokenizer);
    CHECK(mote_huggingface_save(model, FOLDER, MOTE_TYPE_BF16, &error) == MOTE_OK, "%s", error.message);
    mote_model_close(model);
    failing_memory_begin();
    bool failed = true;
    for (int k = 0; failed && k < 5000; k++) {
        mote_model *back = NULL;
        failing_memory_fail_at(k);
        mote_status status = mote_huggingface_open(FOLDER, &back, &error);
        failed = failing_memory_failed();
        CHECK(status == (failed ? MOTE_MEMORY : MOTE_OK), "opening, allocation %d: %d %s", k, (int)status,
              error.message);
        failing_memory_fail_at(-1);
        mote_model_close(back);
        CHECK(failing_memory_live() == 0, "opening, allocation %d leaks", k);
    }
    mote_model *back = NULL;
    failing_memory_fail_at(-1);
    CHECK(mote_huggingface_open(FOLDER, &back, &error) == MOTE_OK, "%s", error.message);
    int live = failing_memory_live();
    failed = true;
    for (int k = 0; back && failed && k < 5000; k++) {
        failing_memory_fail_at(k);
        mote_status status = mote_huggingface_save(back, FOLDER "2", MOTE_TYPE_F32, &error);
        failed = failing_memory_failed();
        CHECK(status == (failed ? MOTE_MEMORY : MOTE_OK), "saving, allocation %d: %d %s", k, (int)status,
              error.message);
        CHECK(failing_memory_live() == live, "saving, allocation %d leaks", k);
        CHECK(!failed || !mote_huggingface_matches(FOLDER "2"), "half a folder is taken for a model");
    }
    mote_model_close(back);
    failing_memory_end();
    clear(FOLDER);
    clear(FOLDER "2");
}

/* The weights of a folder are in GGUF what they were, and can be trained: they are no part of the mapping then. */
static void models_go_on_to_gguf(void) {
    mote_model *model = NULL, *again = NULL;
    mote_error error = {0};
    int32_t tokens[N] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8};
    CHECK(mote_huggingface_open(LLAMA, &model, &error) == MOTE_OK, "%s", error.message);
    if (!model) return;
    model->chat_template = mote_copy_string("{{ messages }}");
    CHECK(mote_model_save(model, FOLDER ".gguf", MOTE_TYPE_F32, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_model_open(FOLDER ".gguf", &again, &error) == MOTE_OK, "%s", error.message);
    if (again) {
        float *x = logits_of(model, tokens, N), *y = logits_of(again, tokens, N);
        CHECK(memcmp(x, y, N * 40 * 4) == 0);
        CHECK(again->chat_template && strcmp(again->chat_template, "{{ messages }}") == 0);
        CHECK(strcmp(again->name, "huggingface_llama") == 0);
        free(x), free(y);
    }
    mote_model_close(again);
    unlink(FOLDER ".gguf");
    mote_train_options options = mote_train_options_default();
    mote_trainer *trainer = NULL;
    mote_step_report report;
    options.batch = 1, options.steps = 2, options.threads = 1, options.lr = 1e-3;
    CHECK(mote_trainer_create(model, NULL, &options, &trainer, &error) == MOTE_OK, "%s", error.message);
    if (trainer) CHECK(mote_trainer_step(trainer, &report, &error) == MOTE_OK, "%s", error.message);
    mote_trainer_destroy(trainer);
    mote_model_close(model);
}

/* ---- the tokenizer */

static bool same_ids(const mote_tokenizer *a, const mote_tokenizer *b) {
    int32_t *x = NULL, *y = NULL;
    size_t n = 0, m = 0;
    bool same = a && b && mote_tokenizer_encode(a, text, sizeof text - 1, &x, &n, NULL) == MOTE_OK &&
                mote_tokenizer_encode(b, text, sizeof text - 1, &y, &m, NULL) == MOTE_OK && n > 0 && n == m &&
                memcmp(x, y, n * sizeof *x) == 0;
    mote_free(x), mote_free(y);
    return same;
}

static void tokenizers_go_out_and_come_back(void) {
    static const mote_tokenizer_kind kinds[] = {MOTE_TOKENIZER_BYTE, MOTE_TOKENIZER_CHAR, MOTE_TOKENIZER_BPE};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        mote_tokenizer *tokenizer = train(kinds[i], 290);
        mote_config c = small(MOTE_FAMILY_LLAMA);
        mote_model *model = NULL, *back = NULL;
        mote_error error = {0};
        c.vocab = mote_tokenizer_vocab(tokenizer);
        CHECK(mote_model_create(&c, tokenizer, 3, &model, &error) == MOTE_OK, "%s", error.message);
        model->chat_template = mote_copy_string("{{ \"turns\" }}\n");
        CHECK(mote_huggingface_save(model, FOLDER, MOTE_TYPE_F32, &error) == MOTE_OK, "%s", error.message);
        CHECK(mote_huggingface_open(FOLDER, &back, &error) == MOTE_OK, "%s", error.message);
        CHECK(back && !back->tokenizer_problem && same_ids(tokenizer, mote_model_tokenizer(back)), "%s: %s",
              mote_tokenizer_name(tokenizer), back && back->tokenizer_problem ? back->tokenizer_problem : "other ids");
        if (back && back->tokenizer)
            CHECK(mote_tokenizer_end(back->tokenizer) == mote_tokenizer_end(tokenizer) &&
                      mote_tokenizer_vocab(back->tokenizer) == c.vocab);
        CHECK(back && back->chat_template && strcmp(back->chat_template, "{{ \"turns\" }}\n") == 0);
        CHECK(back && back->hints.n_end == (mote_tokenizer_end(tokenizer) >= 0));
        mote_model_close(back);
        mote_model_close(model);
        mote_tokenizer_destroy(tokenizer);
        clear(FOLDER);
    }
}

/* LLAMA, of 40 rows, with this tokenizer. */
static mote_model *llama_with(const mote_tokenizer *tokenizer, const char *template, const char *end) {
    mote_buffer json = {0};
    mote_model *model = NULL;
    mote_error error = {0};
    prepare(LLAMA, "\"eos_token_id\": 2", end);
    CHECK(mote_tokenizer_json_write(tokenizer, &json, &error) == MOTE_OK, "%s", error.message);
    put(at(FOLDER, "tokenizer.json"), json.bytes, json.size);
    put(at(FOLDER, "tokenizer_config.json"), "{\"chat_template\": \"other\"}", 26);
    if (template) put(at(FOLDER, "chat_template.jinja"), template, strlen(template));
    CHECK(mote_huggingface_open(FOLDER, &model, &error) == MOTE_OK, "%s", error.message);
    mote_buffer_deinit(&json);
    return model;
}

static void tokenizers_fit_the_embedding(void) {
    mote_tokenizer *few = train(MOTE_TOKENIZER_CHAR, 0), *many = train(MOTE_TOKENIZER_BPE, 290);
    int n = mote_tokenizer_vocab(few);
    CHECK(n < 40);
    mote_model *model = llama_with(few, "from jinja", "\"eos_token_id\": null");
    if (model) {
        CHECK(model->tokenizer && mote_tokenizer_vocab(model->tokenizer) == 40, "%s", model->tokenizer_problem);
        CHECK(model->tokenizer && same_ids(few, model->tokenizer));
        CHECK(model->tokenizer && mote_tokenizer_end(model->tokenizer) == mote_tokenizer_end(few));
        CHECK(model->chat_template && strcmp(model->chat_template, "from jinja") == 0);
        mote_model *again = NULL;
        mote_error error = {0};
        CHECK(mote_model_save(model, FOLDER ".gguf", MOTE_TYPE_F32, &error) == MOTE_OK, "%s", error.message);
        CHECK(mote_model_open(FOLDER ".gguf", &again, &error) == MOTE_OK, "%s", error.message);
        CHECK(again && same_ids(few, mote_model_tokenizer(again)), "%s",
              again && again->tokenizer_problem ? again->tokenizer_problem : "");
        mote_model_close(again);
        unlink(FOLDER ".gguf");
    }
    mote_model_close(model);
    model = llama_with(few, NULL, "\"eos_token_id\": [5, 3]"); /* the authors' word counts */
    CHECK(model && model->tokenizer && mote_tokenizer_end(model->tokenizer) == 5 && model->hints.n_end == 2,
          "%s", model && model->tokenizer_problem ? model->tokenizer_problem : "");
    mote_model_close(model);
    model = llama_with(many, NULL, "\"x\": 1");
    CHECK(model && !model->tokenizer && model->tokenizer_problem && strstr(model->tokenizer_problem, "of 40 rows"));
    CHECK(model && model->chat_template && strcmp(model->chat_template, "other") == 0);
    mote_model_close(model);
    model = llama_with(few, "not \xff text", "\"x\": 1");
    CHECK(model && !model->tokenizer && model->tokenizer_problem && strstr(model->tokenizer_problem, "UTF-8"));
    mote_model_close(model);
    mote_error error = {0};
    put(at(FOLDER, "tokenizer.json"), "{", 1);
    unlink(at(FOLDER, "chat_template.jinja"));
    CHECK(mote_huggingface_open(FOLDER, &model, &error) == MOTE_OK, "%s", error.message);
    CHECK(model && !model->tokenizer && strstr(model->tokenizer_problem, "tokenizer.json"));
    mote_model_close(model);
    mote_tokenizer_destroy(few);
    mote_tokenizer_destroy(many);
    clear(FOLDER);
}

int main(void) {
    mkdir("build", 0777);
    RUN(families_go_out_and_come_back);
    RUN(variants_go_out_and_come_back);
    RUN(logits_are_pytorchs);
    RUN(configs_of_others_are_refused_by_name);
    RUN(configs_in_other_words_are_accepted);
    RUN(tensors_must_fit);
    RUN(unaligned_data_is_read);
    RUN(buffers_of_older_versions_are_ignored);
    RUN(shards_are_one_model);
    RUN(a_failed_save_leaves_the_folder_as_it_was);
    RUN(memory_runs_out);
    RUN(models_go_on_to_gguf);
    RUN(tokenizers_go_out_and_come_back);
    RUN(tokenizers_fit_the_embedding);
    return test_finish();
}
