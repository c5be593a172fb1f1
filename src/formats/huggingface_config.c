/* config.json -> mote_config. Keys are those of transformers 4 and 5 (rope_parameters). Whatever would compute
 * something else than transformers does is refused by name: kinds, activations, scalings and quantizations that mote
 * lacks. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "formats/gguf.h"
#include "formats/huggingface.h"

static const mote_huggingface_kind kinds[] = {
    {"llama", "LlamaForCausalLM", MOTE_FAMILY_LLAMA},
    {"mistral", "MistralForCausalLM", MOTE_FAMILY_LLAMA},
    {"gpt2", "GPT2LMHeadModel", MOTE_FAMILY_GPT2},
    {"qwen2", "Qwen2ForCausalLM", MOTE_FAMILY_QWEN2},
    {"qwen3", "Qwen3ForCausalLM", MOTE_FAMILY_QWEN3},
    {"gemma3_text", "Gemma3ForCausalLM", MOTE_FAMILY_GEMMA3},
    {"smollm3", "SmolLM3ForCausalLM", MOTE_FAMILY_SMOLLM3},
};
enum { N_KINDS = sizeof kinds / sizeof kinds[0], USUAL_NO_ROPE = 4 };

const mote_huggingface_kind *mote_huggingface_kind_named(const char *model_type) {
    for (int i = 0; i < N_KINDS; i++)
        if (strcmp(kinds[i].model_type, model_type) == 0) return &kinds[i];
    return NULL;
}

static void refuse(mote_json_fields *f, const char *what) {
    if (f->status == MOTE_OK)
        f->status = mote_fail(f->error, MOTE_BAD_FILE, "%s: %s, which mote cannot compute", f->name, what);
}

static void refuse_value(mote_json_fields *f, const char *key, mote_string value) {
    char room[MOTE_SHOWN_BYTES];
    if (f->status == MOTE_OK)
        f->status = mote_fail(f->error, MOTE_BAD_FILE, "%s: '%s' is '%s', which mote cannot compute", f->name, key,
                              mote_gguf_shown(value, room));
}

static void read_integer(mote_json_fields *f, const char *key, int low, int high, int *value) {
    int64_t read;
    if (mote_json_field_integer(f, key, low, high, &read)) *value = (int)read;
}

static void read_float(mote_json_fields *f, const char *key, double low, double high, float *value) {
    double read;
    if (mote_json_field_number(f, key, low, high, &read)) *value = (float)read;
}

static bool read_flag(mote_json_fields *f, const char *key, bool otherwise) {
    bool value = otherwise;
    mote_json_field_bool(f, key, &value);
    return value;
}

static void require(mote_json_fields *f, const char *key) {
    if (f->status == MOTE_OK && !mote_json_field_find(f, key))
        f->status = mote_fail(f->error, MOTE_BAD_FILE, "%s: '%s' is missing", f->name, key);
}

/* ---- the kind */

static mote_status unknown_kind(mote_json_fields *f, const char *key, mote_string name) {
    char room[MOTE_SHOWN_BYTES];
    f->status = mote_fail(f->error, MOTE_BAD_FILE, "%s: %s '%s' is not supported", f->name, key,
                          mote_gguf_shown(name, room));
    return f->status = mote_hint(f->error, f->status,
                                 "mote runs llama, mistral, gpt2, qwen2, qwen3, gemma3_text and smollm3");
}

static const mote_huggingface_kind *find_kind(mote_json_fields *f) {
    const mote_huggingface_kind *kind = NULL;
    mote_string type, architecture;
    if (mote_json_field_string(f, "model_type", &type)) {
        for (int i = 0; i < N_KINDS && !kind; i++)
            if (mote_string_is(type, kinds[i].model_type)) kind = &kinds[i];
        if (!kind) unknown_kind(f, "model_type", type);
    }
    if (f->status == MOTE_OK && mote_json_field_string(f, "architectures.0", &architecture)) {
        const mote_huggingface_kind *named = NULL;
        for (int i = 0; i < N_KINDS && !named; i++)
            if (mote_string_is(architecture, kinds[i].architecture)) named = &kinds[i];
        if (!named || (kind && named != kind)) unknown_kind(f, "architecture", architecture);
        kind = named;
    }
    if (f->status == MOTE_OK && !kind)
        f->status = mote_fail(f->error, MOTE_BAD_FILE, "%s: it has neither 'model_type' nor 'architectures'", f->name);
    return kind;
}

/* ---- rotary positions */

static bool read_part(mote_json_fields *f, const char *object, const char *key, double low, double high, float *value) {
    char path[128];
    double read;
    snprintf(path, sizeof path, "%s.%s", object, key);
    if (!mote_json_field_number(f, path, low, high, &read)) return false;
    *value = (float)read;
    return true;
}

static const mote_json_field *find_part(const mote_json_fields *f, const char *object, const char *key) {
    char path[128];
    snprintf(path, sizeof path, "%s.%s", object, key);
    return mote_json_field_find(f, path);
}

static void require_part(mote_json_fields *f, const char *object, const char *key) {
    char path[128];
    snprintf(path, sizeof path, "%s.%s", object, key);
    require(f, path);
}

static void read_original_context(mote_json_fields *f, const char *object, mote_config *c) {
    char path[128];
    snprintf(path, sizeof path, "%s.original_max_position_embeddings", object);
    read_integer(f, path, 1, MOTE_MOST_CONTEXT, &c->rope_original_context);
}

static void read_yarn(mote_json_fields *f, const char *object, mote_config *c) {
    static const char *const unknown[] = {"mscale", "mscale_all_dim"};
    c->rope_scaling = MOTE_ROPE_YARN;
    c->rope_original_context = c->context;
    c->rope_low = 1;
    c->rope_high = 32;
    read_original_context(f, object, c);
    read_part(f, object, "beta_slow", 1e-3, 1e6, &c->rope_low);
    read_part(f, object, "beta_fast", 1e-3, 1e6, &c->rope_high);
    read_part(f, object, "attention_factor", 1e-3, 1e3, &c->rope_attention_factor);
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        if (find_part(f, object, unknown[i])) refuse(f, "its yarn scaling has an 'mscale'");
    const mote_json_field *truncate = find_part(f, object, "truncate");
    if (truncate && truncate->kind != MOTE_JSON_TRUE) refuse(f, "its yarn scaling does not round its range");
}

static void read_rope(mote_json_fields *f, const char *object, mote_config *c) {
    mote_string type = {"default", 7};
    char path[128];
    float part = 1;
    if (!mote_json_field_find(f, object)) return;
    snprintf(path, sizeof path, "%s.type", object);
    bool said = mote_json_field_string(f, path, &type);
    snprintf(path, sizeof path, "%s.rope_type", object);
    said = mote_json_field_string(f, path, &type) || said;
    read_part(f, object, "rope_theta", 1, 1e9, &c->rope_base);
    read_part(f, object, "partial_rotary_factor", 0, 1, &part);
    if (part != 1) refuse(f, "only a part of each head is rotated");
    if (!said && find_part(f, object, "factor")) refuse(f, "its rotary scaling has a factor and no type");
    if (mote_string_is(type, "default")) return;
    if (f->status == MOTE_OK) require_part(f, object, "factor");
    read_part(f, object, "factor", 1e-3, 1e6, &c->rope_factor);
    if (mote_string_is(type, "linear")) {
        c->rope_scaling = MOTE_ROPE_LINEAR;
    } else if (mote_string_is(type, "llama3")) {
        c->rope_scaling = MOTE_ROPE_LLAMA3;
        require_part(f, object, "low_freq_factor");
        require_part(f, object, "high_freq_factor");
        require_part(f, object, "original_max_position_embeddings");
        read_part(f, object, "low_freq_factor", 1e-3, 1e6, &c->rope_low);
        read_part(f, object, "high_freq_factor", 1e-3, 1e6, &c->rope_high);
        read_original_context(f, object, c);
    } else if (mote_string_is(type, "yarn")) {
        read_yarn(f, object, c);
    } else {
        refuse_value(f, path, type);
    }
}

static void read_rotation(mote_json_fields *f, mote_config *c) {
    float part = 1;
    bool gemma = c->family == MOTE_FAMILY_GEMMA3;
    c->rope_base = gemma ? 1e6f : c->family == MOTE_FAMILY_SMOLLM3 ? 2e6f : 1e4f;
    if (gemma) c->rope_base_window = 1e4f;
    read_float(f, "rope_theta", 1, 1e9, &c->rope_base);
    read_float(f, "partial_rotary_factor", 0, 1, &part);
    if (part != 1) refuse(f, "only a part of each head is rotated");
    if (gemma) read_float(f, "rope_local_base_freq", 1, 1e9, &c->rope_base_window);
    if (!gemma || !mote_json_field_find(f, "rope_parameters.full_attention")) {
        read_rope(f, "rope_scaling", c);
        read_rope(f, "rope_parameters", c);
        return;
    }
    mote_config window = {.rope_base = c->rope_base_window, .context = c->context};
    read_rope(f, "rope_parameters.full_attention", c);
    read_rope(f, "rope_parameters.sliding_attention", &window);
    if (window.rope_scaling != MOTE_ROPE_PLAIN) refuse(f, "the positions of its layers with a window are scaled");
    c->rope_base_window = window.rope_base;
}

/* ---- layers that differ */

/* Each how manieth layer is marked; layers + 1: none; 0: they follow no such rule. */
static int period_of(const bool *marked, int layers) {
    int first = 0;
    while (first < layers && !marked[first]) first++;
    for (int i = 0; i < layers; i++)
        if (marked[i] != ((i + 1) % (first + 1) == 0)) return 0;
    return first + 1;
}

/* The i-th element of an array that has one for each layer. */
static const mote_json_field *layer_element(mote_json_fields *f, const char *array, int layers, int i) {
    char path[64];
    const mote_json_field *whole = mote_json_field_find(f, array);
    snprintf(path, sizeof path, "%s.%d", array, i);
    const mote_json_field *element = mote_json_field_find(f, path);
    if (f->status == MOTE_OK && (whole->kind != MOTE_JSON_ARRAY || whole->integer != layers || !element))
        f->status = mote_fail(f->error, MOTE_BAD_FILE, "%s: '%s' does not have a value for each of %d layers", f->name,
                              array, layers);
    return f->status == MOTE_OK ? element : NULL;
}

/* Which layers look at the whole context; the others have the window. */
static void read_layer_types(mote_json_fields *f, mote_config *c) {
    bool full[MOTE_MOST_LAYERS];
    for (int i = 0; i < c->layers && f->status == MOTE_OK; i++) {
        const mote_json_field *element = layer_element(f, "layer_types", c->layers, i);
        if (!element) return;
        bool known = element->kind == MOTE_JSON_STRING;
        full[i] = known && mote_string_is(element->text, "full_attention");
        if (!full[i] && !(known && mote_string_is(element->text, "sliding_attention")))
            refuse(f, "it has layers of other types than full_attention and sliding_attention");
    }
    if (f->status != MOTE_OK) return;
    c->full_attention_period = period_of(full, c->layers);
    if (c->full_attention_period == 0) refuse(f, "its layers with and without a window follow no period");
}

static void read_window(mote_json_fields *f, const mote_huggingface_kind *kind, mote_config *c) {
    bool gemma = c->family == MOTE_FAMILY_GEMMA3, mistral = strcmp(kind->model_type, "mistral") == 0;
    c->window = 0;
    if (!gemma && !mistral && (c->family == MOTE_FAMILY_LLAMA || !read_flag(f, "use_sliding_window", false))) return;
    read_integer(f, "sliding_window", 0, MOTE_MOST_CONTEXT, &c->window);
    if (gemma && c->window == 0) c->window = 4096;
    if (c->window == 0) return;
    int first = c->layers; /* qwen: the layers from here on have the window */
    if (mistral) return;
    if (mote_json_field_find(f, "layer_types")) {
        read_layer_types(f, c);
    } else if (gemma) {
        c->full_attention_period = 6;
        read_integer(f, "sliding_window_pattern", 1, MOTE_MOST_LAYERS + 1, &c->full_attention_period);
    } else {
        first = 28;
        read_integer(f, "max_window_layers", 0, INT32_MAX, &first);
        if (first >= c->layers) c->window = 0;
        else if (first > 0) refuse(f, "only its upper layers have a window");
        c->full_attention_period = 0;
        return;
    }
    if (c->full_attention_period == 1) c->window = 0, c->rope_base_window = 0;
    if (c->full_attention_period == 1 || (!gemma && c->full_attention_period > c->layers)) c->full_attention_period = 0;
    if (!gemma && c->full_attention_period) refuse(f, "only some of its layers have a window");
}

static void read_no_rope(mote_json_fields *f, mote_config *c) {
    bool none[MOTE_MOST_LAYERS];
    c->no_rope_period = USUAL_NO_ROPE;
    read_integer(f, "no_rope_layer_interval", 1, MOTE_MOST_LAYERS + 1, &c->no_rope_period);
    if (!mote_json_field_find(f, "no_rope_layers")) return;
    for (int i = 0; i < c->layers; i++) {
        const mote_json_field *element = layer_element(f, "no_rope_layers", c->layers, i);
        if (!element) return;
        none[i] = element->is_integer && element->integer == 0;
        if (!none[i] && !(element->is_integer && element->integer == 1))
            refuse(f, "its 'no_rope_layers' has other values than 0 and 1");
    }
    c->no_rope_period = period_of(none, c->layers);
    if (c->no_rope_period > c->layers && c->layers < USUAL_NO_ROPE) c->no_rope_period = USUAL_NO_ROPE;
    if (c->no_rope_period != USUAL_NO_ROPE)
        refuse(f, "its layers without rotary positions are not every fourth");
}

/* ---- shapes */

static void check_activation(mote_json_fields *f, const char *key, const char *const known[2], const char *otherwise) {
    mote_string name = {otherwise, strlen(otherwise)};
    mote_json_field_string(f, key, &name);
    if (!mote_string_is(name, known[0]) && !mote_string_is(name, known[1])) refuse_value(f, key, name);
}

static void read_gpt2(mote_json_fields *f, mote_huggingface_shape *shape) {
    static const char *const required[] = {"n_embd", "n_layer", "n_head", "vocab_size"};
    static const char *const tanh_forms[2] = {"gelu_new", "gelu_pytorch_tanh"};
    mote_config *c = &shape->config;
    for (size_t i = 0; i < sizeof required / sizeof *required; i++) require(f, required[i]);
    c->context = 1024;
    read_integer(f, "n_ctx", 1, MOTE_MOST_CONTEXT, &c->context);
    read_integer(f, "n_positions", 1, MOTE_MOST_CONTEXT, &c->context);
    read_integer(f, "n_embd", 1, MOTE_MOST_DIM, &c->dim);
    read_integer(f, "n_layer", 1, MOTE_MOST_LAYERS, &c->layers);
    read_integer(f, "n_head", 1, MOTE_MOST_DIM, &c->heads);
    read_integer(f, "vocab_size", 1, MOTE_MOST_VOCAB, &c->vocab);
    if (f->status != MOTE_OK) return;
    c->kv_heads = c->heads;
    c->head_dim = c->dim / c->heads;
    c->hidden = 4 * c->dim;
    read_integer(f, "n_inner", 1, INT32_MAX, &c->hidden);
    c->norm_epsilon = 1e-5f;
    read_float(f, "layer_norm_epsilon", 1e-15, 0.5, &c->norm_epsilon);
    check_activation(f, "activation_function", tanh_forms, tanh_forms[0]);
    if (!read_flag(f, "scale_attn_weights", true)) refuse(f, "its attention is not scaled");
    if (read_flag(f, "scale_attn_by_inverse_layer_idx", false)) refuse(f, "its attention is scaled by the layer");
    if (read_flag(f, "add_cross_attention", false)) refuse(f, "it has cross attention");
    c->bias = read_flag(f, "mote_bias", true);
    shape->zero_biases = !c->bias;
}

static void read_biases(mote_json_fields *f, mote_huggingface_shape *shape) {
    mote_config *c = &shape->config;
    c->bias = read_flag(f, "attention_bias", false);
    shape->zero_biases = c->bias; /* on the output of attention too, where mote has none */
    if (c->family == MOTE_FAMILY_QWEN2) {
        c->bias = true;
        shape->zero_biases = false;
    }
    if (read_flag(f, "mlp_bias", false)) refuse(f, "its feed-forward part has biases");
}

static void read_gemma(mote_json_fields *f, mote_config *c) {
    float scalar = 256;
    read_float(f, "query_pre_attn_scalar", 1e-3, 1e6, &scalar);
    c->query_scale = 1 / sqrtf(scalar);
    if (mote_json_field_find(f, "final_logit_softcapping")) refuse(f, "its logits are capped");
    if (mote_json_field_find(f, "attn_logit_softcapping")) refuse(f, "its attention's scores are capped");
    if (read_flag(f, "use_bidirectional_attention", false)) refuse(f, "its attention looks ahead");
}

static void read_llama_like(mote_json_fields *f, mote_huggingface_shape *shape) {
    static const char *const required[] = {"hidden_size", "intermediate_size", "num_hidden_layers",
                                           "num_attention_heads", "max_position_embeddings", "vocab_size"};
    static const char *const silu[2] = {"silu", "swish"}, *const gelu[2] = {"gelu_pytorch_tanh", "gelu_pytorch_tanh"};
    mote_config *c = &shape->config;
    bool gemma = c->family == MOTE_FAMILY_GEMMA3;
    for (size_t i = 0; i < sizeof required / sizeof *required; i++) require(f, required[i]);
    read_integer(f, "hidden_size", 1, MOTE_MOST_DIM, &c->dim);
    read_integer(f, "intermediate_size", 1, INT32_MAX, &c->hidden);
    read_integer(f, "num_hidden_layers", 1, MOTE_MOST_LAYERS, &c->layers);
    read_integer(f, "num_attention_heads", 1, MOTE_MOST_DIM, &c->heads);
    read_integer(f, "max_position_embeddings", 1, MOTE_MOST_CONTEXT, &c->context);
    read_integer(f, "vocab_size", 1, MOTE_MOST_VOCAB, &c->vocab);
    if (f->status != MOTE_OK) return;
    c->kv_heads = c->heads;
    read_integer(f, "num_key_value_heads", 1, MOTE_MOST_DIM, &c->kv_heads);
    c->head_dim = 0;
    read_integer(f, "head_dim", 1, MOTE_MOST_DIM, &c->head_dim);
    bool said = c->head_dim > 0;
    if (!said) c->head_dim = gemma ? 256 : c->family == MOTE_FAMILY_QWEN3 ? 128 : c->dim / c->heads;
    if (!said && !gemma && c->family != MOTE_FAMILY_QWEN3 && c->dim % c->heads)
        refuse(f, "its heads do not divide its width");
    c->norm_epsilon = 1e-6f;
    read_float(f, "rms_norm_eps", 1e-15, 0.5, &c->norm_epsilon);
    c->qk_norm = gemma || c->family == MOTE_FAMILY_QWEN3;
    if (gemma) check_activation(f, "hidden_activation", gelu, gelu[0]);
    else check_activation(f, "hidden_act", silu, silu[0]);
    read_biases(f, shape);
    read_rotation(f, c);
    read_window(f, shape->kind, c);
    if (gemma) read_gemma(f, c);
    if (c->family == MOTE_FAMILY_SMOLLM3) read_no_rope(f, c);
}

mote_status mote_huggingface_read_shape(mote_json_fields *f, mote_huggingface_shape *shape, mote_error *error) {
    *shape = (mote_huggingface_shape){0};
    f->status = MOTE_OK;
    f->error = error;
    if (mote_json_field_find(f, "quantization_config"))
        refuse(f, "its weights are quantized ('quantization_config')");
    if (f->status != MOTE_OK || !(shape->kind = find_kind(f))) return f->status;
    shape->config = mote_config_default(shape->kind->family);
    if (shape->kind->family == MOTE_FAMILY_GPT2) read_gpt2(f, shape);
    else read_llama_like(f, shape);
    shape->tied_said = mote_json_field_bool(f, "tie_word_embeddings", &shape->config.tied);
    return f->status;
}

/* ---- generation */

void mote_huggingface_read_hints(mote_json_fields *f, mote_generation_hints *hints) {
    const mote_json_field *end = mote_json_field_find(f, "eos_token_id");
    bool sample;
    int64_t id;
    if (end && end->kind == MOTE_JSON_ARRAY) {
        hints->n_end = 0;
        for (int i = 0; i < end->integer && f->status == MOTE_OK; i++) {
            char path[32];
            snprintf(path, sizeof path, "eos_token_id.%d", i);
            if (!mote_json_field_integer(f, path, 0, MOTE_MOST_VOCAB - 1, &id)) continue;
            if (hints->n_end < MOTE_MOST_ENDS) hints->end[hints->n_end++] = (int32_t)id;
            else refuse(f, "it ends at more than 16 tokens");
        }
    } else if (end && mote_json_field_integer(f, "eos_token_id", 0, MOTE_MOST_VOCAB - 1, &id)) {
        hints->end[0] = (int32_t)id;
        hints->n_end = 1;
    }
    if (mote_json_field_bool(f, "do_sample", &sample)) hints->sample = sample;
    read_integer(f, "top_k", 0, INT32_MAX, &hints->top_k);
    read_float(f, "temperature", 0, 1e6, &hints->temperature);
    read_float(f, "top_p", 0, 1, &hints->top_p);
    read_float(f, "repetition_penalty", 0, 1e6, &hints->repetition_penalty);
}
