/* mote_config -> config.json, with every key that transformers' class of the kind reads, and generation_config.json.
 * A model is written as the kind that computes the same; where there is none, that is said and nothing is written. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/huggingface.h"

/* The shortest that reads back the same, with a point: transformers asks for floats in places. */
static void put_number(mote_buffer *json, float value) {
    double shortest = (double)value;
    size_t begin = json->size;
    for (int digits = 0; digits < 9; digits++) {
        char text[40];
        snprintf(text, sizeof text, "%.*e", digits, (double)value);
        double read = strtod(text, NULL); /* the same locale wrote it */
        if ((float)read != value) continue;
        shortest = read;
        break;
    }
    mote_buffer_json_number(json, shortest);
    if (!json->failed && !strpbrk(json->bytes + begin, ".e")) mote_buffer_append(json, ".0", 2);
}

static void put_key(mote_buffer *json, const char *key) {
    mote_buffer_print(json, "%s\n  \"%s\": ", json->size > 1 ? "," : "", key);
}

static void put_integer(mote_buffer *json, const char *key, int value) {
    put_key(json, key);
    mote_buffer_print(json, "%d", value);
}

static void put_float(mote_buffer *json, const char *key, float value) {
    put_key(json, key);
    put_number(json, value);
}

static void put_bool(mote_buffer *json, const char *key, bool value) {
    put_key(json, key);
    mote_buffer_print(json, "%s", value ? "true" : "false");
}

static void put_text(mote_buffer *json, const char *key, const char *value) {
    put_key(json, key);
    mote_buffer_json_string(json, value, strlen(value));
}

/* ---- the kind */

static const char *kind_of(const mote_config *c, const char **lacks) {
    if (c->family == MOTE_FAMILY_GPT2 && c->window > 0) *lacks = "gpt2 with a sliding window";
    else if (c->family == MOTE_FAMILY_LLAMA && c->window > 0 && c->bias)
        *lacks = "biases together with a sliding window";
    if (*lacks) return NULL;
    switch (c->family) {
    case MOTE_FAMILY_LLAMA: return c->window > 0 ? "mistral" : "llama";
    case MOTE_FAMILY_GPT2: return "gpt2";
    case MOTE_FAMILY_QWEN2: return "qwen2";
    case MOTE_FAMILY_QWEN3: return "qwen3";
    case MOTE_FAMILY_GEMMA3: return "gemma3_text";
    case MOTE_FAMILY_SMOLLM3: return "smollm3";
    }
    *lacks = "this family";
    return NULL;
}

mote_status mote_huggingface_shape_of(const mote_model *model, mote_huggingface_shape *shape, mote_error *error) {
    const char *lacks = NULL, *name = kind_of(&model->config, &lacks);
    if (!name) {
        mote_status status = mote_fail(error, MOTE_USAGE, "transformers has no model that computes %s", lacks);
        return mote_hint(error, status, "save as GGUF, which keeps everything");
    }
    *shape = (mote_huggingface_shape){.kind = mote_huggingface_kind_named(name), .config = model->config};
    bool qwen2 = model->config.family == MOTE_FAMILY_QWEN2, gpt2 = model->config.family == MOTE_FAMILY_GPT2;
    shape->zero_biases = gpt2 ? !model->config.bias : !qwen2 && model->config.bias;
    return MOTE_OK;
}

/* ---- config.json */

static void put_part(mote_buffer *json, const char *key, float value) {
    mote_buffer_print(json, ", \"%s\": ", key);
    put_number(json, value);
}

static void put_rope(const mote_config *c, mote_buffer *json) {
    static const char *const types[] = {
        [MOTE_ROPE_PLAIN] = "default", [MOTE_ROPE_LINEAR] = "linear", [MOTE_ROPE_LLAMA3] = "llama3",
        [MOTE_ROPE_YARN] = "yarn"};
    put_key(json, "rope_scaling");
    if (c->rope_scaling == MOTE_ROPE_PLAIN) {
        mote_buffer_print(json, "null");
        return;
    }
    mote_buffer_print(json, "{\"rope_type\": \"%s\"", types[c->rope_scaling]);
    put_part(json, "factor", c->rope_factor);
    bool yarn = c->rope_scaling == MOTE_ROPE_YARN;
    if (c->rope_scaling != MOTE_ROPE_LINEAR) {
        put_part(json, yarn ? "beta_slow" : "low_freq_factor", c->rope_low);
        put_part(json, yarn ? "beta_fast" : "high_freq_factor", c->rope_high);
        mote_buffer_print(json, ", \"original_max_position_embeddings\": %d", c->rope_original_context);
    }
    if (yarn && c->rope_attention_factor > 0) put_part(json, "attention_factor", c->rope_attention_factor);
    mote_buffer_print(json, "}");
}

static bool has_window(const mote_config *c, int layer) {
    return c->window > 0 && !(c->full_attention_period > 0 && (layer + 1) % c->full_attention_period == 0);
}

static void put_windows(const mote_huggingface_shape *shape, mote_buffer *json) {
    const mote_config *c = &shape->config;
    bool gemma = c->family == MOTE_FAMILY_GEMMA3, mistral = strcmp(shape->kind->model_type, "mistral") == 0;
    put_key(json, "sliding_window");
    if (c->window > 0) mote_buffer_print(json, "%d", c->window);
    else mote_buffer_print(json, "null");
    if (mistral) return;
    if (gemma) {
        put_integer(json, "sliding_window_pattern", c->full_attention_period);
    } else {
        put_bool(json, "use_sliding_window", c->window > 0);
        put_integer(json, "max_window_layers", c->window > 0 ? 0 : c->layers);
    }
    put_key(json, "layer_types");
    for (int i = 0; i < c->layers; i++)
        mote_buffer_print(json, "%s\"%s\"", i ? ", " : "[", has_window(c, i) ? "sliding_attention" : "full_attention");
    mote_buffer_print(json, "]");
}

static void put_gpt2(const mote_config *c, mote_buffer *json) {
    put_integer(json, "n_embd", c->dim);
    put_integer(json, "n_layer", c->layers);
    put_integer(json, "n_head", c->heads);
    put_integer(json, "n_inner", c->hidden);
    put_integer(json, "n_positions", c->context);
    put_integer(json, "n_ctx", c->context);
    put_float(json, "layer_norm_epsilon", c->norm_epsilon);
    put_text(json, "activation_function", "gelu_new");
    put_bool(json, "scale_attn_weights", true);
    if (!c->bias) put_bool(json, "mote_bias", false); /* the file's biases are zeros, which mote need not add */
}

static void put_llama_like(const mote_huggingface_shape *shape, mote_buffer *json) {
    const mote_config *c = &shape->config;
    bool gemma = c->family == MOTE_FAMILY_GEMMA3, qwen = strncmp(shape->kind->model_type, "qwen", 4) == 0;
    put_integer(json, "hidden_size", c->dim);
    put_integer(json, "intermediate_size", c->hidden);
    put_integer(json, "num_hidden_layers", c->layers);
    put_integer(json, "num_attention_heads", c->heads);
    put_integer(json, "num_key_value_heads", c->kv_heads);
    put_integer(json, "head_dim", c->head_dim);
    put_integer(json, "max_position_embeddings", c->context);
    put_float(json, "rms_norm_eps", c->norm_epsilon);
    put_text(json, gemma ? "hidden_activation" : "hidden_act", gemma ? "gelu_pytorch_tanh" : "silu");
    put_float(json, "rope_theta", c->rope_base);
    put_rope(c, json);
    if (c->family != MOTE_FAMILY_QWEN2) put_bool(json, "attention_bias", c->bias);
    if (gemma || qwen || strcmp(shape->kind->model_type, "llama") != 0) put_windows(shape, json);
    else put_bool(json, "mlp_bias", false);
    if (gemma) {
        if (c->rope_base_window > 0) put_float(json, "rope_local_base_freq", c->rope_base_window);
        float exact = 1 / (c->query_scale * c->query_scale), whole = roundf(exact);
        if (1 / sqrtf(whole) == c->query_scale) exact = whole;
        put_float(json, "query_pre_attn_scalar", c->query_scale > 0 ? exact : (float)c->head_dim);
    }
    if (c->family == MOTE_FAMILY_SMOLLM3) {
        put_bool(json, "mlp_bias", false);
        put_integer(json, "no_rope_layer_interval", c->no_rope_period);
        put_key(json, "no_rope_layers");
        for (int i = 0; i < c->layers; i++)
            mote_buffer_print(json, "%s%d", i ? ", " : "[",
                              !(c->no_rope_period > 0 && (i + 1) % c->no_rope_period == 0));
        mote_buffer_print(json, "]");
    }
}

static void put_ends(const mote_model *model, mote_buffer *json) {
    const mote_generation_hints *h = &model->hints;
    int32_t end = model->tokenizer ? mote_tokenizer_end(model->tokenizer) : -1;
    if (h->n_end > 1) {
        put_key(json, "eos_token_id");
        for (int i = 0; i < h->n_end; i++) mote_buffer_print(json, "%s%d", i ? ", " : "[", h->end[i]);
        mote_buffer_print(json, "]");
    } else if (h->n_end == 1 || end >= 0) {
        put_integer(json, "eos_token_id", h->n_end == 1 ? h->end[0] : end);
    }
}

void mote_huggingface_put_config(const mote_huggingface_shape *shape, const mote_model *model, mote_type type,
                                 mote_buffer *json) {
    static const char *const types[] = {"float32", "float16", "bfloat16"};
    int32_t end = model->tokenizer ? mote_tokenizer_end(model->tokenizer) : -1;
    mote_buffer_print(json, "{");
    put_key(json, "architectures");
    mote_buffer_print(json, "[\"%s\"]", shape->kind->architecture);
    put_text(json, "model_type", shape->kind->model_type);
    put_text(json, "torch_dtype", types[type]);
    put_integer(json, "vocab_size", shape->config.vocab);
    put_bool(json, "tie_word_embeddings", shape->config.tied);
    if (shape->config.family == MOTE_FAMILY_GPT2) put_gpt2(&shape->config, json);
    else put_llama_like(shape, json);
    if (end >= 0) put_integer(json, "bos_token_id", end); /* documents begin where the one before ended */
    put_ends(model, json);
    put_bool(json, "use_cache", true);
    mote_buffer_print(json, "\n}\n");
}

void mote_huggingface_put_hints(const mote_model *model, mote_buffer *json) {
    const mote_generation_hints *h = &model->hints;
    int32_t end = model->tokenizer ? mote_tokenizer_end(model->tokenizer) : -1;
    mote_buffer_print(json, "{");
    put_bool(json, "_from_model_config", false);
    if (end >= 0) put_integer(json, "bos_token_id", end);
    put_ends(model, json);
    if (h->sample >= 0) put_bool(json, "do_sample", h->sample);
    if (h->temperature >= 0) put_float(json, "temperature", h->temperature);
    if (h->top_k >= 0) put_integer(json, "top_k", h->top_k);
    if (h->top_p >= 0) put_float(json, "top_p", h->top_p);
    if (h->repetition_penalty >= 0) put_float(json, "repetition_penalty", h->repetition_penalty);
    mote_buffer_print(json, "\n}\n");
}
