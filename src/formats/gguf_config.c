/* Keys of GGUF files <-> config, one table for both ways and for all architectures. What would compute something else
 * than the file means is refused by name: unknown architectures, and keys of computations that mote does not have. */
#include "formats/gguf_config.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "models/model.h"

enum { GPT2 = 1 << MOTE_FAMILY_GPT2, GEMMA3 = 1 << MOTE_FAMILY_GEMMA3, ALL = -1, ROTARY = ALL & ~GPT2 };

/* Fields that are 0 are not written. */
static const struct {
    const char *key;
    size_t place;
    bool real, required;
    int families;
    double low, high;
} fields[] = {
#define INTEGER(key, field, required, families, low, high)                                                             \
    {key, offsetof(mote_config, field), false, required, families, low, high}
#define NUMBER(key, field, required, families, low, high)                                                              \
    {key, offsetof(mote_config, field), true, required, families, low, high}
    INTEGER("context_length", context, true, ALL, 1, MOTE_MOST_CONTEXT),
    INTEGER("embedding_length", dim, true, ALL, 1, MOTE_MOST_DIM),
    INTEGER("block_count", layers, true, ALL, 1, MOTE_MOST_LAYERS),
    INTEGER("feed_forward_length", hidden, true, ALL, 1, INT32_MAX),
    INTEGER("attention.head_count", heads, true, ALL, 1, MOTE_MOST_DIM),
    INTEGER("attention.head_count_kv", kv_heads, false, ALL, 1, MOTE_MOST_DIM),
    INTEGER("attention.key_length", head_dim, false, ALL, 1, MOTE_MOST_DIM),
    INTEGER("attention.sliding_window", window, false, ALL, 0, MOTE_MOST_CONTEXT),
    INTEGER("attention.sliding_window_pattern", full_attention_period, false, GEMMA3, 1, MOTE_MOST_LAYERS),
    NUMBER("attention.scale", query_scale, false, GEMMA3, 0, 1e6),
    NUMBER("attention.layer_norm_rms_epsilon", norm_epsilon, true, ROTARY, 1e-15, 0.5), /* 0 would get a default */
    NUMBER("attention.layer_norm_epsilon", norm_epsilon, true, GPT2, 1e-15, 0.5),
    NUMBER("rope.freq_base", rope_base, false, ROTARY, 1, 1e9),
    NUMBER("rope.freq_base_swa", rope_base_window, false, GEMMA3, 1, 1e9),
#undef NUMBER
#undef INTEGER
};
enum { N_FIELDS = sizeof fields / sizeof fields[0] };

/* Computations that these architectures do not have here: any value but 0 and `neutral` is refused. */
static const struct {
    const char *key;
    double neutral;
    int families;
} foreign[] = {
    {"expert_count", 0, ALL},
    {"attn_logit_softcapping", 0, ALL},
    {"final_logit_softcapping", 0, ALL},
    {"logit_scale", 1, ALL},
    {"residual_scale", 1, ALL},
    {"embedding_scale", 1, ALL},
    {"use_parallel_residual", 0, ALL},
    {"attention.scale", 0, ALL & ~GEMMA3},
    {"attention.output_scale", 1, ALL},
    {"attention.clamp_kqv", 0, ALL},
    {"attention.max_alibi_bias", 0, ALL},
    {"attention.temperature_length", 0, ALL},
    {"attention.temperature_scale", 0, ALL},
    {"attention.sliding_window_pattern", 0, ALL & ~GEMMA3},
    {"rope.freq_base_swa", 0, ALL & ~GEMMA3},
    {"rope.dimension_sections", 0, ALL},
    {"rope.scaling.yarn_log_multiplier", 0, ALL},
    {"rope.scaling.yarn_ext_factor", 1, ALL},
    {"rope.scaling.yarn_attn_factor", 1, ALL},
};

const char *mote_gguf_full_key(const char *architecture, const char *key, char room[MOTE_KEY_BYTES]) {
    snprintf(room, MOTE_KEY_BYTES, "%s.%s", architecture, key);
    return room;
}

void mote_gguf_read_integer(mote_gguf_keys *k, const char *key, int low, int high, int *value) {
    char room[MOTE_KEY_BYTES];
    int64_t read;
    mote_gguf_full_key(k->architecture, key, room);
    if (k->status == MOTE_OK && mote_gguf_integer(k->file, room, low, high, &read, &k->status, k->error))
        *value = (int)read;
}

void mote_gguf_read_number(mote_gguf_keys *k, const char *key, double low, double high, float *value) {
    char room[MOTE_KEY_BYTES];
    double read;
    mote_gguf_full_key(k->architecture, key, room);
    if (k->status == MOTE_OK && mote_gguf_number(k->file, room, low, high, &read, &k->status, k->error))
        *value = (float)read;
}

void mote_gguf_refuse(mote_gguf_keys *k, const char *what, ...) {
    if (k->status != MOTE_OK) return;
    char text[256];
    va_list arguments;
    va_start(arguments, what);
    vsnprintf(text, sizeof text, what, arguments);
    va_end(arguments);
    k->status = mote_fail(k->error, MOTE_BAD_FILE, "%s: %s, which mote cannot compute", k->file->name, text);
}

static mote_status find_family(const mote_gguf *file, mote_family *family, mote_error *error) {
    mote_status status = MOTE_OK;
    mote_string name;
    char room[MOTE_SHOWN_BYTES];
    if (!mote_gguf_string(file, "general.architecture", &name, &status, error)) {
        if (status != MOTE_OK) return status;
        return mote_fail(error, MOTE_BAD_FILE, "%s: key 'general.architecture' is missing", file->name);
    }
    for (int i = 0; mote_family_get((mote_family)i); i++) {
        const char *known = mote_family_name((mote_family)i);
        *family = (mote_family)i;
        if (mote_string_is(name, known)) return MOTE_OK;
    }
    status = mote_fail(error, MOTE_BAD_FILE, "%s: architecture '%s' is not supported", file->name,
                       mote_gguf_shown(name, room));
    return mote_hint(error, status, "mote runs the architectures llama, gpt2, qwen2, qwen3, gemma3 and smollm3");
}

static void read_fields(mote_gguf_keys *k, mote_config *c) {
    char room[MOTE_KEY_BYTES];
    for (int i = 0; i < N_FIELDS && k->status == MOTE_OK; i++) {
        if (!(fields[i].families >> c->family & 1)) continue;
        char *place = (char *)c + fields[i].place;
        if (fields[i].real)
            mote_gguf_read_number(k, fields[i].key, fields[i].low, fields[i].high, (float *)(void *)place);
        else
            mote_gguf_read_integer(k, fields[i].key, (int)fields[i].low, (int)fields[i].high, (int *)(void *)place);
        if (k->status == MOTE_OK && fields[i].required &&
            !mote_gguf_find(k->file, mote_gguf_full_key(k->architecture, fields[i].key, room)))
            k->status = mote_fail(k->error, MOTE_BAD_FILE, "%s: key '%s' is missing", k->file->name, room);
    }
}

static void refuse_foreign(mote_gguf_keys *k, const mote_config *c) {
    char room[MOTE_KEY_BYTES];
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        if (!(foreign[i].families >> c->family & 1)) continue;
        const mote_gguf_entry *entry =
            mote_gguf_find(k->file, mote_gguf_full_key(k->architecture, foreign[i].key, room));
        if (!entry) continue;
        if (!mote_gguf_kind_bytes(entry->kind)) {
            mote_gguf_refuse(k, "it has the key '%s'", room);
            continue;
        }
        double value = mote_gguf_load_number(entry->data, entry->kind);
        if (value != 0 && value != foreign[i].neutral) mote_gguf_refuse(k, "key '%s' is %g", room, value);
    }
    bool causal = true;
    if (k->status == MOTE_OK)
        mote_gguf_bool(k->file, mote_gguf_full_key(k->architecture, "attention.causal", room), &causal, &k->status,
                       k->error);
    if (!causal) mote_gguf_refuse(k, "its tokens see those behind them");
}

/* What other programs take where a key is absent. */
static void read_shape(mote_gguf_keys *k, mote_config *c) {
    c->window = 0;
    if (c->family != MOTE_FAMILY_GPT2) c->rope_base = 10000;
    if (c->family == MOTE_FAMILY_GEMMA3) c->full_attention_period = 6;
    read_fields(k, c);
    if (k->status != MOTE_OK) return;
    if (c->kv_heads == 0) c->kv_heads = c->heads;
    if (c->head_dim == 0) c->head_dim = c->dim / c->heads;
    /* of Gemma 3's sizes the largest alone has another scale, and files do not say it */
    if (c->family == MOTE_FAMILY_GEMMA3 && c->query_scale == 0 && c->layers == 62 && c->dim >= c->heads)
        c->query_scale = 1 / sqrtf((float)(c->dim / c->heads));
    int value_length = c->head_dim, rotated = c->head_dim;
    mote_gguf_read_integer(k, "attention.value_length", 1, MOTE_MOST_DIM, &value_length);
    if (value_length != c->head_dim) mote_gguf_refuse(k, "its heads have keys and values of different lengths");
    if (c->family != MOTE_FAMILY_GPT2)
        mote_gguf_read_integer(k, "rope.dimension_count", 1, MOTE_MOST_DIM, &rotated);
    if (rotated != c->head_dim) mote_gguf_refuse(k, "only a part of each head is rotated");
    refuse_foreign(k, c);
}

/* What the file says by its tensors: rows of the embedding, a head of its own, biases. */
static void read_presence(mote_gguf_keys *k, mote_config *c) {
    const mote_gguf *file = k->file;
    const mote_gguf_tensor *embedding = mote_gguf_find_tensor(file, "token_embd.weight");
    if (k->status != MOTE_OK) return;
    if (!embedding) {
        k->status = mote_fail(k->error, MOTE_BAD_FILE, "%s: tensor 'token_embd.weight' is missing", file->name);
        return;
    }
    if (embedding->dims[1] > MOTE_MOST_VOCAB) {
        k->status = mote_fail(k->error, MOTE_BAD_FILE, "%s: a vocabulary of %llu; up to %d are possible", file->name,
                              (unsigned long long)embedding->dims[1], MOTE_MOST_VOCAB);
        return;
    }
    int rows = (int)embedding->dims[1];
    c->vocab = rows;
    mote_gguf_read_integer(k, "vocab_size", 1, MOTE_MOST_VOCAB, &c->vocab);
    if (k->status == MOTE_OK && c->vocab != rows)
        k->status = mote_fail(k->error, MOTE_BAD_FILE, "%s: a vocabulary of %d and an embedding of %d rows", file->name,
                              c->vocab, rows);
    c->tied = !mote_gguf_find_tensor(file, "output.weight");
    c->bias = mote_gguf_find_tensor(file, c->family == MOTE_FAMILY_GPT2 ? "blk.0.attn_qkv.bias"
                                                                        : "blk.0.attn_q.bias") != NULL;
    if (c->family == MOTE_FAMILY_GPT2) mote_gguf_bool(file, MOTE_KEY_GPT2_BIAS, &c->bias, &k->status, k->error);
}

mote_status mote_gguf_get_config(const mote_gguf *file, mote_config *config, mote_error *error) {
    mote_family family = MOTE_FAMILY_LLAMA;
    mote_status status = find_family(file, &family, error);
    if (status != MOTE_OK) return status;
    mote_gguf_keys k = {file, mote_family_name(family), MOTE_OK, error};
    *config = mote_config_default(family);
    read_shape(&k, config);
    mote_gguf_read_scaling(&k, config);
    read_presence(&k, config);
    return k.status;
}

void mote_gguf_put_config(mote_gguf_writer *w, const mote_config *config) {
    char room[MOTE_KEY_BYTES];
    mote_config c = *config;
    const char *architecture = mote_family_name(c.family);
    if (c.family == MOTE_FAMILY_GEMMA3 && c.query_scale == 0) /* said, so that it does not hang on the layers */
        c.query_scale = 1 / sqrtf((float)c.head_dim);
    mote_gguf_put_u32(w, mote_gguf_full_key(architecture, "vocab_size", room), (uint32_t)c.vocab);
    for (int i = 0; i < N_FIELDS; i++) {
        if (!(fields[i].families >> c.family & 1)) continue;
        const char *place = (const char *)&c + fields[i].place, *key = room;
        mote_gguf_full_key(architecture, fields[i].key, room);
        float number = fields[i].real ? *(const float *)(const void *)place : 0;
        int integer = fields[i].real ? 0 : *(const int *)(const void *)place;
        if (number > 0) mote_gguf_put_f32(w, key, number);
        if (integer > 0) mote_gguf_put_u32(w, key, (uint32_t)integer);
    }
    mote_gguf_put_u32(w, mote_gguf_full_key(architecture, "attention.value_length", room), (uint32_t)c.head_dim);
    if (c.family == MOTE_FAMILY_GPT2) {
        if (!c.bias) mote_gguf_put_bool(w, MOTE_KEY_GPT2_BIAS, false);
    } else {
        mote_gguf_put_u32(w, mote_gguf_full_key(architecture, "rope.dimension_count", room), (uint32_t)c.head_dim);
    }
    mote_gguf_put_scaling(w, &c);
}
