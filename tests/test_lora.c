/* LoRA adapters: merged weights against numpy's, for every form an adapter comes in, and what is bad refused with the
 * reason while the model stays closed. */
#include <sys/stat.h>
#include <unistd.h>

#include "failing_memory.h"
#include "formats/formats.h"
#include "formats/lora.h"
#include "gguf_bytes.h"
#include "lora_bytes.h"
#include "test.h"

#define BASE "build/test_lora_base.gguf"
#define FOLDER "build/test_lora"
#define CONFIG FOLDER "/adapter_config.json"
#define WEIGHTS FOLDER "/adapter_model.safetensors"
#define ADAPTER "build/test_lora.gguf"
enum { VOCAB = 10, DIM = 16, HEADS = 4, KV_HEADS = 2, HIDDEN = 24, LAYERS = 2, KV = 8 };

static const char *const kinds[] = {"token_embd", "attn_q", "attn_k", "attn_v", "attn_output",
                                    "ffn_gate",   "ffn_up", "ffn_down", "output", "attn_qkv"};
enum { N_KINDS = 10 };
static const char plain[] = "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"target_modules\":"
                            "[\"q_proj\",\"k_proj\",\"v_proj\",\"o_proj\",\"gate_proj\",\"lm_head\","
                            "\"embed_tokens\",\"c_attn\",\"c_proj\"]";
static lora_file file;

static int kind_of(const char *name, int *layer) {
    char kind[64];
    *layer = 0;
    if (sscanf(name, "blk.%d.%63[^.].weight", layer, kind) != 2 && sscanf(name, "%63[^.].weight", kind) != 1) return -1;
    for (int k = 0; k < N_KINDS; k++)
        if (!strcmp(kind, kinds[k])) return k;
    return -1;
}

static void write_base(mote_family family, bool tied, mote_type type) {
    mote_config c = mote_config_default(family);
    mote_model *model = NULL;
    mote_error error = {0};
    c.vocab = VOCAB, c.dim = DIM, c.layers = LAYERS, c.heads = HEADS, c.context = 8, c.hidden = HIDDEN, c.tied = tied;
    if (family == MOTE_FAMILY_LLAMA) c.kv_heads = KV_HEADS;
    CHECK(mote_model_create(&c, NULL, 1, &model, &error) == MOTE_OK, "%s", error.message);
    for (int id = 0; model && id < model->program->n_tensors; id++) {
        const mote_tensor *t = &model->program->tensors[id];
        int layer = 0, k = t->role == MOTE_ROLE_WEIGHT ? kind_of(t->name, &layer) : -1;
        if (k < 0 || t->rows == 1) continue;
        for (int r = 0; r < t->rows; r++)
            for (int col = 0; col < t->cols; col++)
                ((mote_real *)model->weight[id])[r * t->cols + col] = (mote_real)lora_base(k + 3 * layer, r, col);
    }
    CHECK(mote_model_save(model, BASE, type, &error) == MOTE_OK, "%s", error.message);
    mote_model_close(model);
}

static void put_text_file(const char *path, const char *text) {
    FILE *out = fopen(path, "wb");
    CHECK(out && fwrite(text, 1, strlen(text), out) == strlen(text) && !fclose(out), "%s", path);
}

static void add_pair(const char *module, int rows, int cols, int k, int rank) {
    char name[160];
    snprintf(name, sizeof name, "base_model.model.%s.lora_A.weight", module);
    lora_matrix(&file, name, rank, cols, k, 0);
    snprintf(name, sizeof name, "base_model.model.%s.lora_B.weight", module);
    lora_matrix(&file, name, rows, rank, k, 1);
}

/* Of a llama: q, k, v, output and gate of all layers; with `ends` the embedding and the head too. */
static void write_llama(bool ends, int rank_of_last_q) {
    static const struct {
        const char *name;
        int rows, k;
    } modules[] = {{"self_attn.q_proj", DIM, 1}, {"self_attn.k_proj", KV, 2}, {"self_attn.v_proj", KV, 3},
                   {"self_attn.o_proj", DIM, 4}, {"mlp.gate_proj", HIDDEN, 5}};
    lora_begin(&file);
    for (int layer = 0; layer < LAYERS; layer++)
        for (int i = 0; i < 5; i++) {
            char module[80];
            snprintf(module, sizeof module, "model.layers.%d.%s", layer, modules[i].name);
            add_pair(module, modules[i].rows, DIM, modules[i].k + 3 * layer, i == 0 && layer == 1 ? rank_of_last_q : 4);
        }
    if (ends) {
        add_pair("lm_head", VOCAB, DIM, 8, 4);
        lora_matrix(&file, "base_model.model.model.embed_tokens.lora_embedding_A", 4, VOCAB, 0, 0);
        lora_matrix(&file, "base_model.model.model.embed_tokens.lora_embedding_B", DIM, 4, 0, 1);
    }
    CHECK(lora_write(&file, WEIGHTS), "%s", WEIGHTS);
}

static mote_model *open_with(const char *const *adapters, int n, float scale) {
    mote_model *model = NULL;
    mote_error error = {0};
    mote_open_options options = mote_open_options_default();
    options.lora = adapters;
    options.n_lora = n;
    options.lora_scale = scale;
    CHECK(mote_model_open_with(BASE, &options, &model, &error) == MOTE_OK, "%s %s", error.message, error.hint);
    return model;
}

/* Every weight against the golden sums of a case; those the case does not name against the base. */
static void expect(mote_model *model, const char *wanted_case) {
    FILE *golden = fopen("tests/data/golden_lora.txt", "r");
    char line[160], name[48], kind[24];
    int layer, n = 0;
    double sum, by_place;
    CHECK(golden && model, "golden numbers and a model");
    if (!golden || !model) {
        if (golden) fclose(golden);
        return;
    }
    bool named[1024] = {false};
    while (fgets(line, sizeof line, golden)) {
        if (sscanf(line, "%47s %23s %d %lf %lf", name, kind, &layer, &sum, &by_place) != 5 || strcmp(name, wanted_case))
            continue;
        bool layered = strcmp(kind, "token_embd") && strcmp(kind, "output");
        if (layered) snprintf(name, sizeof name, "blk.%d.%s.weight", layer, kind);
        else snprintf(name, sizeof name, "%s.weight", kind);
        mote_tensor_id id = mote_program_find(model->program, name);
        CHECK(id != MOTE_NONE && model->program->tensors[id].type == MOTE_TYPE_F32, "%s", name);
        if (id == MOTE_NONE) continue;
        const mote_tensor *t = &model->program->tensors[id];
        const float *w = model->weight[id];
        double got = 0, got_by_place = 0;
        for (int i = 0; i < t->rows * t->cols; i++) got += (double)w[i], got_by_place += (double)w[i] * (i % 97 + 1);
        CHECK(got == sum && got_by_place == by_place, "%s: %s is %.10g, %.10g; numpy has %.10g, %.10g", wanted_case,
              name, got, got_by_place, sum, by_place);
        named[id] = true;
        n++;
    }
    fclose(golden);
    CHECK(n >= 4, "%d weights of case %s", n, wanted_case);
    for (int id = 0; id < model->program->n_tensors; id++) {
        const mote_tensor *t = &model->program->tensors[id];
        int k = t->role == MOTE_ROLE_WEIGHT ? kind_of(t->name, &layer) : -1, wrong = 0;
        if (k < 0 || t->rows == 1 || named[id]) continue;
        for (int i = 0; i < t->rows * t->cols && t->type == MOTE_TYPE_F32; i++)
            wrong += ((const float *)model->weight[id])[i] != lora_base(k + 3 * layer, i / t->cols, i % t->cols);
        CHECK(!wrong && (!model->merged || !model->merged[id]), "%s: %s changed", wanted_case, t->name);
    }
}

static void write_config(const char *more) {
    char text[2048];
    snprintf(text, sizeof text, "%s%s}", plain, more);
    put_text_file(CONFIG, text);
}

static void peft_folders_are_merged_as_numpy_does(void) {
    static const char *const once[] = {FOLDER}, *const twice[] = {FOLDER, FOLDER};
    mote_model *model;
    write_base(MOTE_FAMILY_LLAMA, false, MOTE_TYPE_F32);
    write_llama(true, 4);
    write_config(",\"lora_dropout\":0.1,\"bias\":\"none\",\"task_type\":\"CAUSAL_LM\",\"use_dora\":false,"
                 "\"init_lora_weights\":true,\"modules_to_save\":null,\"fan_in_fan_out\":false,\"eva_config\":null,"
                 "\"some_new_feature\":null,\"another\":[],\"base_model_name_or_path\":\"base\"");
    expect(model = open_with(once, 1, 1), "plain");
    mote_model_close(model);
    write_llama(false, 4);
    write_config(",\"use_rslora\":true");
    expect(model = open_with(once, 1, 1), "stable");
    mote_model_close(model);
    write_config("");
    expect(model = open_with(twice, 2, 0.5f), "twice");
    mote_model_close(model);
    write_llama(false, 2);
    write_config(",\"rank_pattern\":{\"layers.1.self_attn.q_proj\":2},\"alpha_pattern\":{\"^v_proj\":16}");
    expect(model = open_with(once, 1, 1), "patterns");
    mote_model_close(model);
}

static void transposed_layers_of_gpt2_are_merged(void) {
    static const char *const once[] = {FOLDER};
    write_base(MOTE_FAMILY_GPT2, true, MOTE_TYPE_F32);
    lora_begin(&file);
    for (int layer = 0; layer < LAYERS; layer++) {
        char module[80];
        snprintf(module, sizeof module, "transformer.h.%d.attn.c_attn", layer);
        add_pair(module, 3 * DIM, DIM, 9 + 3 * layer, 4);
        snprintf(module, sizeof module, "transformer.h.%d.attn.c_proj", layer);
        add_pair(module, DIM, DIM, 4 + 3 * layer, 4);
    }
    CHECK(lora_write(&file, WEIGHTS), "%s", WEIGHTS);
    write_config(",\"fan_in_fan_out\":true");
    mote_model *model = open_with(once, 1, 1);
    expect(model, "gpt2");
    mote_model_close(model);
}

static void weights_of_16_bits_become_f32_of_the_model(void) {
    static const char *const once[] = {FOLDER};
    write_base(MOTE_FAMILY_LLAMA, false, MOTE_TYPE_F16); /* the base's values are exact in f16 */
    write_llama(true, 4);
    write_config("");
    mote_model *model = open_with(once, 1, 1), *saved = NULL;
    mote_session *session = NULL;
    mote_error error = {0};
    expect(model, "plain");
    CHECK(mote_session_create(model, NULL, &session, &error) == MOTE_OK, "it runs: %s", error.message);
    mote_session_destroy(session);
    CHECK(mote_model_export(model, ADAPTER, MOTE_TYPE_KEEP, &error) == MOTE_OK, "%s", error.message);
    mote_model_close(model);
    CHECK(mote_model_open(ADAPTER, &saved, &error) == MOTE_OK, "%s", error.message);
    expect(saved, "plain");
    mote_model_close(saved);
}

/* ---- GGUF adapters, which have the rows of B in GGUF's order */

static int there(int row, int head_dim) {
    int in = row % head_dim;
    return row - in + in / 2 + in % 2 * (head_dim / 2);
}

static void gguf_tensor(gguf_bytes *b, const char *name, int rows, int cols, uint64_t *offset) {
    put_tensor(b, name, 2, (uint64_t[]){(uint64_t)cols, (uint64_t)rows}, 0, *offset);
    *offset += ((uint64_t)rows * (uint64_t)cols * 4 + 31) / 32 * 32;
}

static void gguf_floats(gguf_bytes *b, int rows, int cols, int k, int what, int head_dim) {
    while (b->size % 32) put_le(b, 0, 1);
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++) { /* what: 0 A, 1 B, 2 the transpose of A, 3 B in pairs */
            int from = what == 3 ? there(r, head_dim) : r;
            union { float value; uint32_t bits; } u = {
                .value = what == 0 ? lora_down(k, r, c) : what == 2 ? lora_down(k, c, r) : lora_up(k, from, c)};
            put_le(b, u.bits, 4);
        }
}

static void write_gguf(const char *type, const char *architecture, const char *form, bool alpha, const char *extra) {
    static gguf_bytes b;
    static const struct { int k, rows, what; } parts[] = {{1, DIM, 3}, {2, KV, 3}, {3, KV, 1}, {4, DIM, 1},
                                                          {5, HIDDEN, 1}};
    char name[64];
    uint64_t offset = 0;
    int n = LAYERS * 10 + 4 + (extra && extra[0] == 't');
    begin(&b, 3, (uint64_t)n, 3 + (uint64_t)alpha + (uint64_t)(extra && extra[0] == 'a'));
    key_text(&b, "general.type", type);
    key_text(&b, "general.architecture", architecture);
    key_text(&b, "adapter.type", form);
    if (alpha) key_f32(&b, "adapter.lora.alpha", 8);
    if (extra && extra[0] == 'a') key_u32(&b, extra, 1);
    for (int pass = 0; pass < 2; pass++) {
        for (int layer = 0; layer < LAYERS; layer++)
            for (int i = 0; i < 5; i++) {
                int k = parts[i].k + 3 * layer;
                snprintf(name, sizeof name, "blk.%d.%s.weight.lora_a", layer, kinds[parts[i].k]);
                if (pass) gguf_floats(&b, 4, DIM, k, 0, 0);
                else gguf_tensor(&b, name, 4, DIM, &offset);
                name[strlen(name) - 1] = 'b';
                if (pass) gguf_floats(&b, parts[i].rows, 4, k, parts[i].what, DIM / HEADS);
                else gguf_tensor(&b, name, parts[i].rows, 4, &offset);
            }
        static const struct { const char *name; int rows, cols, k, what; } ends[] = {
            {"output.weight.lora_a", 4, DIM, 8, 0},
            {"output.weight.lora_b", VOCAB, 4, 8, 1},
            {"token_embd.weight.lora_a", VOCAB, 4, 0, 2},
            {"token_embd.weight.lora_b", DIM, 4, 0, 1}};
        for (int i = 0; i < 4; i++)
            if (pass) gguf_floats(&b, ends[i].rows, ends[i].cols, ends[i].k, ends[i].what, 0);
            else gguf_tensor(&b, ends[i].name, ends[i].rows, ends[i].cols, &offset);
        if (extra && extra[0] == 't') {
            if (pass) gguf_floats(&b, 4, 4, 0, 0, 0);
            else gguf_tensor(&b, extra, 4, 4, &offset);
        }
    }
    while (b.size % 32) put_le(&b, 0, 1);
    FILE *out = fopen(ADAPTER, "wb");
    CHECK(out && fwrite(b.bytes, 1, b.size, out) == b.size && !fclose(out), "%s", ADAPTER);
}

static void gguf_adapters_are_merged(void) {
    static const char *const once[] = {ADAPTER};
    write_base(MOTE_FAMILY_LLAMA, false, MOTE_TYPE_F32);
    write_gguf("adapter", "llama", "lora", true, NULL);
    mote_model *model = open_with(once, 1, 1);
    expect(model, "gguf");
    mote_model_close(model);
}

static void refuse(const char *path, const char *message, int number) {
    mote_model *model = NULL;
    mote_error error = {0};
    mote_open_options options = mote_open_options_default();
    options.lora = &path;
    options.n_lora = 1;
    mote_status status = mote_model_open_with(BASE, &options, &model, &error);
    CHECK(status == MOTE_BAD_FILE && !model && strstr(error.message, message), "case %d: %d \"%s\"", number,
          (int)status, error.message);
    mote_model_close(model);
}

static void bad_configs_are_refused_with_the_reason(void) {
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"", "adapter_config.json: byte"},
        {"[]", "adapter_config.json: byte"},
        {"{}", "'peft_type' is missing"},
        {"{\"peft_type\":\"IA3\"}", "peft_type is \"IA3\""},
        {"{\"peft_type\":1}", "peft_type is"},
        {"+,\"r\":4", "'r' occurs twice"},
        {"{\"peft_type\":\"LORA\",\"r\":0}", "'r' is not a whole number from 1 to 4096"},
        {"{\"peft_type\":\"LORA\",\"r\":2.5}", "'r' is not a whole number"},
        {"{\"peft_type\":\"LORA\",\"r\":-4}", "'r' is not a whole number"},
        {"{\"peft_type\":\"LORA\",\"r\":1e300}", "'r' is not a whole number"},
        {"{\"peft_type\":\"LORA\",\"lora_alpha\":\"8\"}", "'lora_alpha' is not a number"},
        {"{\"peft_type\":\"LORA\",\"r\":3}", "of rank 4, but adapter_config.json says 3"},
        {"+,\"use_dora\":true", "'use_dora' asks for what"},
        {"+,\"modules_to_save\":[\"lm_head\"]", "'modules_to_save' asks for what"},
        {"+,\"layer_replication\":[[0,1]]", "'layer_replication' asks for what"},
        {"+,\"some_new_feature\":{\"a\":1}", "'some_new_feature' asks for what"},
        {"+,\"bias\":\"all\"", "biases are trained too"},
        {"+,\"init_lora_weights\":\"pissa_niter_4\"", "changed the weights of the base"},
        {"+,\"task_type\":\"SEQ_CLS\"", "'task_type' is not CAUSAL_LM"},
        {"+,\"use_rslora\":1", "'use_rslora' is not true or false"},
        {"+,\"rank_pattern\":[]", "'rank_pattern' is not an object"},
        {"+,\"rank_pattern\":{\"q_proj\":0}", "'rank_pattern' is not a whole number"},
        {"+,\"rank_pattern\":{\"q_proj\":8}", "of rank 4, but adapter_config.json says 8"},
        {"+,\"alpha_pattern\":{\".*q_proj\":8}", "the regular expression \".*q_proj\""},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"target_modules\":[\"v_proj\"]}", "that target_modules does not name"},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"target_modules\":[4]}", "'target_modules' is not a list"},
        {"+,\"r\"", "adapter_config.json: byte"},
    };
    write_base(MOTE_FAMILY_LLAMA, false, MOTE_TYPE_F32);
    write_llama(false, 4);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (bad[i].text[0] == '+') write_config(bad[i].text + 1);
        else put_text_file(CONFIG, bad[i].text);
        refuse(FOLDER, bad[i].message, (int)i);
    }
    unlink(CONFIG);
    refuse(FOLDER, "adapter_config.json: No such file", 100);
}

#define Q "base_model.model.model.layers.0.self_attn.q_proj."
static void bad_tensors_are_refused_with_the_reason(void) {
    static const struct {
        const char *name, *dtype;
        int rows, cols;
        const char *message;
    } bad[] = {
        {Q "lora_B.weight", "F32", 12, 4, "do not fit 'blk.0.attn_q.weight' [16, 16]"},
        {Q "lora_B.weight", "F32", 16, 3, "do not fit"},
        {Q "lora_B.weight", "F32", 4, 16, "do not fit"},
        {Q "lora_B.weight", "F32", 0, 4, "do not fit"},
        {Q "lora_B.weight", "I32", 16, 4, "is of type I32"},
        {Q "lora_B.weight", "F16", 16, 4, "not finite"},
        {Q "lora_magnitude_vector", "F32", 16, 1, "is of DoRA"},
        {Q "lora_B.bias", "F32", 16, 1, "is a bias"},
        {Q "lora_B.default.weight", "F32", 16, 4, "has no place in this model"},
        {"base_model.model.model.layers.7.self_attn.q_proj.lora_B.weight", "F32", 16, 4, "has no place in this model"},
        {"base_model.model.lm_head.weight", "F32", 10, 16, "is no part of a LoRA adapter"},
        {"base_model.model.score.modules_to_save.weight", "F32", 2, 16, "is no part of a LoRA adapter"},
        {NULL, NULL, 0, 0, "is there without"},
    };
    static uint8_t values[4096];
    write_base(MOTE_FAMILY_LLAMA, false, MOTE_TYPE_F32);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_config("");
        lora_begin(&file);
        lora_matrix(&file, Q "lora_A.weight", 4, DIM, 1, 0);
        bool other = bad[i].name && !strstr(bad[i].name, Q "lora_B.weight");
        if (other) lora_matrix(&file, Q "lora_B.weight", DIM, 4, 1, 1);
        bool half = bad[i].dtype && !strcmp(bad[i].dtype, "F16");
        memset(values, half ? 0x7f : 0, sizeof values); /* 0x7f7f is no number in f16 */
        if (bad[i].name)
            lora_tensor(&file, bad[i].name, bad[i].dtype, bad[i].rows, bad[i].cols, values,
                        (size_t)bad[i].rows * (size_t)bad[i].cols * (half ? 2 : 4));
        CHECK(lora_write(&file, WEIGHTS), "write");
        refuse(FOLDER, bad[i].message, (int)i);
    }
    lora_begin(&file);
    lora_matrix(&file, Q "lora_A.weight", 0, DIM, 1, 0);
    lora_matrix(&file, Q "lora_B.weight", DIM, 0, 1, 1);
    CHECK(lora_write(&file, WEIGHTS), "write");
    refuse(FOLDER, "of rank 0", 200);
    write_base(MOTE_FAMILY_LLAMA, true, MOTE_TYPE_F32);
    write_llama(true, 4);
    refuse(FOLDER, "which the output head of this model shares", 201);
    unlink(WEIGHTS);
    refuse(FOLDER, "adapter_model.safetensors", 202);
}

static void bad_gguf_adapters_are_refused_with_the_reason(void) {
    write_base(MOTE_FAMILY_LLAMA, false, MOTE_TYPE_F32);
    write_gguf("model", "llama", "lora", true, NULL);
    refuse(ADAPTER, "is a model and no adapter", 1);
    write_gguf("adapter", "qwen2", "lora", true, NULL);
    refuse(ADAPTER, "'general.architecture' is 'qwen2'", 2);
    write_gguf("adapter", "llama", "control_vector", true, NULL);
    refuse(ADAPTER, "'adapter.type' is 'control_vector'", 3);
    write_gguf("adapter", "llama", "lora", false, NULL);
    refuse(ADAPTER, "'adapter.lora.alpha' is missing", 4);
    write_gguf("adapter", "llama", "lora", true, "adapter.alora.invocation_tokens");
    refuse(ADAPTER, "asks for what mote does not compute", 5);
    write_gguf("adapter", "llama", "lora", true, "token_types.weight");
    refuse(ADAPTER, "'token_types.weight' has no place", 6);
    refuse(BASE, "is a model and no adapter", 7);
    write_gguf("imatrix", "llama", "lora", true, NULL);
    refuse(ADAPTER, "'general.type' is 'imatrix'", 10);
    refuse("tests/test.h", "not a GGUF file", 8);
    refuse("build/nothing-is-here", "cannot open", 9);
}

/* An adapter whose last tensor is refused, and one whose sums overflow when it is merged again: the model stays what
 * it was. */
static void a_refused_adapter_changes_nothing(void) {
    mote_model *model = NULL;
    mote_error error = {0};
    void *before[64];
    int merged = 0;
    write_base(MOTE_FAMILY_LLAMA, false, MOTE_TYPE_F16);
    CHECK(mote_model_open(BASE, &model, &error) == MOTE_OK, "%s", error.message);
    if (!model) return;
    const int n = model->program->n_tensors < 64 ? model->program->n_tensors : 64;
    write_gguf("adapter", "llama", "lora", true, "token_types.weight");
    memcpy(before, model->weight, (size_t)n * sizeof *before);
    CHECK(mote_lora_merge(model, ADAPTER, 1, &error) == MOTE_BAD_FILE &&
              strstr(error.message, "'token_types.weight' has no place"), "%s", error.message);
    CHECK(memcmp(before, model->weight, (size_t)n * sizeof *before) == 0, "weights changed");
    write_gguf("adapter", "llama", "lora", true, NULL);
    while (merged < 20 && mote_lora_merge(model, ADAPTER, 1.6e38f, &error) == MOTE_OK) {
        memcpy(before, model->weight, (size_t)n * sizeof *before);
        merged++;
    }
    CHECK(merged > 0 && merged < 20 && error.status == MOTE_BAD_FILE && strstr(error.message, "row ") &&
              strstr(error.message, ".weight' is not finite"), "%d: %s", merged, error.message);
    CHECK(memcmp(before, model->weight, (size_t)n * sizeof *before) == 0, "weights changed");
    mote_model_close(model);
}

static void a_failed_allocation_leaves_nothing(void) {
    int failures = 0;
    write_base(MOTE_FAMILY_LLAMA, false, MOTE_TYPE_F32);
    write_llama(true, 4);
    write_config(",\"rank_pattern\":{\"x\":2},\"alpha_pattern\":{\"y\":16}");
    const char *folder = FOLDER;
    for (int k = 0; k < 2000; k++) {
        mote_model *model = NULL;
        mote_open_options options = mote_open_options_default();
        options.lora = &folder;
        options.n_lora = 1;
        failing_memory_begin();
        failing_memory_fail_at(k);
        mote_error error = {0};
        mote_status status = mote_model_open_with(BASE, &options, &model, &error);
        bool failed = failing_memory_failed();
        failures += failed;
        CHECK(status == (failed ? MOTE_MEMORY : MOTE_OK), "allocation %d: %d %s", k, (int)status, error.message);
        mote_model_close(model);
        CHECK(failing_memory_live() == 0, "%d blocks are left after %d", failing_memory_live(), k);
        failing_memory_end();
        if (!failed) break;
    }
    CHECK(failures > 50, "%d", failures);
}

static void prefixes_and_flipped_bits_of_a_config_end_in_a_status(void) {
    static char text[2048];
    int n = snprintf(text, sizeof text, "%s,\"rank_pattern\":{\"q_proj\":2},\"alpha_pattern\":{\"v\":1.5},\"x\":[]}",
                     plain);
    for (int bit = -n - 1; bit < 8 * n; bit++) {
        mote_peft_config config;
        mote_error error = {0};
        size_t size = bit < 0 ? (size_t)(-bit - 1) : (size_t)n;
        char *copy = malloc(size ? size : 1);
        memcpy(copy, text, size);
        if (bit >= 0) copy[bit / 8] = (char)(copy[bit / 8] ^ (1 << bit % 8));
        mote_status status = mote_peft_config_parse((uint8_t *)copy, size, "config", &config, &error);
        CHECK(status == MOTE_OK || (status == MOTE_BAD_FILE && error.message[0]), "bit %d: %d", bit, (int)status);
        CHECK(bit >= 0 || (status == MOTE_OK) == (size == (size_t)n), "%zu bytes", size);
        mote_peft_config_close(&config);
        free(copy);
    }
}

int main(void) {
    mkdir("build", 0777);
    mkdir(FOLDER, 0777);
    RUN(peft_folders_are_merged_as_numpy_does);
    RUN(transposed_layers_of_gpt2_are_merged);
    RUN(weights_of_16_bits_become_f32_of_the_model);
    RUN(gguf_adapters_are_merged);
    RUN(bad_configs_are_refused_with_the_reason);
    RUN(bad_tensors_are_refused_with_the_reason);
    RUN(bad_gguf_adapters_are_refused_with_the_reason);
    RUN(prefixes_and_flipped_bits_of_a_config_end_in_a_status);
    RUN(a_refused_adapter_changes_nothing);
    RUN(a_failed_allocation_leaves_nothing);
    unlink(CONFIG);
    unlink(WEIGHTS);
    rmdir(FOLDER);
    unlink(BASE);
    unlink(ADAPTER);
    return test_finish();
}
