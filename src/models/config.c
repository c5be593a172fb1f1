/* The shape of a model: defaults, and every range and divisibility that a program relies on. */
#include <string.h>

#include "models/model.h"

static const mote_family_info *const families[] = {
    [MOTE_FAMILY_LLAMA] = &mote_family_llama,
    [MOTE_FAMILY_GPT2] = &mote_family_gpt2,
    [MOTE_FAMILY_QWEN2] = &mote_family_qwen2,
    [MOTE_FAMILY_QWEN3] = &mote_family_qwen3,
    [MOTE_FAMILY_GEMMA3] = &mote_family_gemma3,
    [MOTE_FAMILY_SMOLLM3] = &mote_family_smollm3,
};
enum { N_FAMILIES = sizeof families / sizeof *families, N_SCALINGS = MOTE_ROPE_YARN + 1 };

const mote_family_info *mote_family_get(mote_family family) {
    return (unsigned)family < N_FAMILIES ? families[family] : NULL;
}

const char *mote_family_name(mote_family family) {
    const mote_family_info *info = mote_family_get(family);
    return info ? info->name : "unknown";
}

const char *mote_rope_scaling_name(mote_rope_scaling scaling) {
    static const char *const names[] = {"plain", "linear", "llama3", "yarn"};
    return (unsigned)scaling < N_SCALINGS ? names[scaling] : "unknown";
}

mote_config mote_config_default(mote_family family) {
    mote_config c = {.struct_bytes = sizeof c, .family = family, .tied = true};
    c.bias = family == MOTE_FAMILY_GPT2 || family == MOTE_FAMILY_QWEN2;
    c.qk_norm = family == MOTE_FAMILY_QWEN3 || family == MOTE_FAMILY_GEMMA3;
    c.window = family == MOTE_FAMILY_GEMMA3 ? -1 : 0;
    return c;
}

/* Heads of about 32 columns: the smallest that keep attention's products at full width. */
static int default_heads(int dim, int kv_heads) {
    int step = kv_heads > 0 ? kv_heads : 1;
    for (int heads = dim / 32; heads > 1; heads--)
        if (heads % step == 0 && dim % heads == 0 && dim / heads % 2 == 0) return heads;
    return step;
}

int mote_config_fit_dim(const mote_config *c, int dim) {
    int heads = c->heads > 0 ? c->heads : c->kv_heads > 0 && c->head_dim <= 0 ? c->kv_heads : 1;
    int64_t part = c->head_dim > 0 ? c->head_dim : c->heads > 0 || c->kv_heads > 0 ? 2 : 1;
    if (c->heads > 0 && c->head_dim > 0 && mote_family_get(c->family)->free_heads) return dim; /* fits any width */
    part *= heads;
    if (part > MOTE_MOST_DIM) return dim; /* mote_config_check names what is too large */
    if (c->heads > 0 && c->head_dim > 0) return (int)part;
    int64_t times = (dim + part / 2) / part;
    return (int)(times < 1 ? part : times * part);
}

/* What the kind of scaling does not use is 0, so that equal computations have equal configs. */
static void complete_scaling(mote_config *c) {
    if (c->rope_factor == 1 && !(c->rope_attention_factor > 0)) c->rope_scaling = MOTE_ROPE_PLAIN;
    bool plain = c->rope_scaling == MOTE_ROPE_PLAIN, linear = c->rope_scaling == MOTE_ROPE_LINEAR;
    bool llama3 = c->rope_scaling == MOTE_ROPE_LLAMA3, yarn = c->rope_scaling == MOTE_ROPE_YARN;
    if (plain) c->rope_factor = 0;
    if (plain || linear) c->rope_original_context = 0, c->rope_low = c->rope_high = 0;
    if (!yarn) c->rope_attention_factor = 0;
    if (!llama3 && !yarn) return;
    if (c->rope_original_context <= 0 && c->rope_factor >= 1)
        c->rope_original_context = (float)c->context > c->rope_factor ? (int)((float)c->context / c->rope_factor) : 1;
    if (!(c->rope_low > 0)) c->rope_low = 1;
    if (!(c->rope_high > 0)) c->rope_high = llama3 ? 4 : 32;
}

static mote_status check_scaling(const mote_config *c, mote_error *error) {
    if ((unsigned)c->rope_scaling >= N_SCALINGS)
        return mote_fail(error, MOTE_USAGE, "unknown rotary scaling %d", (int)c->rope_scaling);
    if (c->rope_scaling == MOTE_ROPE_PLAIN) return MOTE_OK;
    const char *kind = mote_rope_scaling_name(c->rope_scaling);
    if (!(c->rope_factor > 1 && c->rope_factor <= 1e6f))
        return mote_fail(error, MOTE_USAGE, "the factor %g of the %s rotary scaling must be above 1, up to 1e6",
                         (double)c->rope_factor, kind);
    if (c->rope_scaling == MOTE_ROPE_LINEAR) return MOTE_OK;
    if (!(c->rope_low > 0 && c->rope_high > c->rope_low && c->rope_high <= 1e6f))
        return mote_fail(error, MOTE_USAGE, "the %s rotary scaling needs 0 < %g < %g <= 1e6", kind,
                         (double)c->rope_low, (double)c->rope_high);
    if (c->rope_original_context < 1)
        return mote_fail(error, MOTE_USAGE, "the %s rotary scaling needs the context of training, not %d", kind,
                         c->rope_original_context);
    if (!(c->rope_base > 1))
        return mote_fail(error, MOTE_USAGE, "the rotary base %g must be above 1 for the %s scaling",
                         (double)c->rope_base, kind);
    if (!(c->rope_attention_factor >= 0 && c->rope_attention_factor <= 1e3f))
        return mote_fail(error, MOTE_USAGE, "yarn's attention factor %g must be from 0 to 1000",
                         (double)c->rope_attention_factor);
    return MOTE_OK;
}

mote_status mote_config_complete(mote_config *c, mote_error *error) {
    if (c->family == MOTE_FAMILY_LLAMA && c->qk_norm) c->family = MOTE_FAMILY_QWEN3; /* see models/qwen3.c */
    const mote_family_info *family = mote_family_get(c->family);
    if (!family) return mote_fail(error, MOTE_USAGE, "unknown model family %d", (int)c->family);
    if (c->struct_bytes && c->struct_bytes != sizeof *c)
        return mote_fail(error, MOTE_USAGE, "the config has %zu bytes, not %zu: it is of another version of mote.h",
                         c->struct_bytes, sizeof *c);
    if (c->dim <= 0) c->dim = mote_config_fit_dim(c, 128);
    if (c->dim > MOTE_MOST_DIM) return mote_fail(error, MOTE_USAGE, "the width %d is over %d", c->dim, MOTE_MOST_DIM);
    if (c->layers <= 0) c->layers = 4;
    if (c->context <= 0) c->context = 256;
    if (c->heads <= 0)
        c->heads = c->head_dim > 0 ? (c->dim / c->head_dim > 0 ? c->dim / c->head_dim : 1)
                                   : default_heads(c->dim, c->kv_heads);
    if (c->kv_heads <= 0) c->kv_heads = c->heads;
    if (c->head_dim <= 0) {
        if (c->dim % c->heads) {
            mote_fail(error, MOTE_USAGE, "the width %d cannot be shared out to %d heads", c->dim, c->heads);
            return mote_hint(error, MOTE_USAGE, "take a width that is a multiple of the heads");
        }
        c->head_dim = c->dim / c->heads;
    }
    family->complete(c);
    if (c->window < 0) c->window = 0;
    if (!(c->norm_epsilon > 0)) c->norm_epsilon = 1e-5f;
    if (!(c->rope_base > 0)) c->rope_base = 10000;
    complete_scaling(c);
    return mote_config_check(c, error);
}

static mote_status check_range(const char *what, int value, int low, int high, mote_error *error) {
    if (value >= low && value <= high) return MOTE_OK;
    return mote_fail(error, MOTE_USAGE, "%s is %d, but must be between %d and %d", what, value, low, high);
}

mote_status mote_config_check(const mote_config *c, mote_error *error) {
    const mote_family_info *family = mote_family_get(c->family);
    if (!family) return mote_fail(error, MOTE_USAGE, "unknown model family %d", (int)c->family);
    const struct { const char *what; int value, low, high; } range[] = {
        {"the vocabulary", c->vocab, 1, MOTE_MOST_VOCAB},
        {"the context", c->context, 1, MOTE_MOST_CONTEXT},
        {"the width", c->dim, 1, MOTE_MOST_DIM},
        {"the number of layers", c->layers, 1, MOTE_MOST_LAYERS},
        {"the number of heads", c->heads, 1, MOTE_MOST_DIM},
        {"the number of key-value heads", c->kv_heads, 1, c->heads > 0 ? c->heads : 1},
        {"the head size", c->head_dim, 1, MOTE_MOST_DIM},
        {"the hidden width", c->hidden, 1, 8 * MOTE_MOST_DIM},
        {"the sliding window", c->window, 0, MOTE_MOST_CONTEXT},
        {"the period of full attention", c->full_attention_period, 0, MOTE_MOST_LAYERS},
        {"the period of layers without rotary positions", c->no_rope_period, 0, MOTE_MOST_LAYERS},
        {"the context of training", c->rope_original_context, 0, INT32_MAX},
    };
    for (size_t i = 0; i < sizeof range / sizeof *range; i++) {
        mote_status status = check_range(range[i].what, range[i].value, range[i].low, range[i].high, error);
        if (status != MOTE_OK) return status;
    }
    if (c->heads % c->kv_heads)
        return mote_fail(error, MOTE_USAGE, "the %d heads cannot share %d key-value heads evenly", c->heads,
                         c->kv_heads);
    if ((int64_t)c->heads * c->head_dim > MOTE_MOST_DIM)
        return mote_fail(error, MOTE_USAGE, "%d heads of %d columns are over %d", c->heads, c->head_dim, MOTE_MOST_DIM);
    if (!family->free_heads && c->heads * c->head_dim != c->dim)
        return mote_fail(error, MOTE_USAGE, "the %s family needs heads x head size = width, not %d x %d = %d",
                         family->name, c->heads, c->head_dim, c->dim);
    if (!(c->norm_epsilon > 0 && c->norm_epsilon < 1))
        return mote_fail(error, MOTE_USAGE, "the norm's epsilon %g must be between 0 and 1", (double)c->norm_epsilon);
    if (!(c->rope_base >= 1 && c->rope_base <= 1e9f))
        return mote_fail(error, MOTE_USAGE, "the rotary base %g must be between 1 and 1e9", (double)c->rope_base);
    if (!(c->rope_base_window == 0 || (c->rope_base_window >= 1 && c->rope_base_window <= 1e9f)))
        return mote_fail(error, MOTE_USAGE, "the rotary base %g of windows must be between 1 and 1e9",
                         (double)c->rope_base_window);
    if (!(c->query_scale >= 0 && c->query_scale <= 1e6f))
        return mote_fail(error, MOTE_USAGE, "the scale %g of the scores must be from 0 to 1e6", (double)c->query_scale);
    mote_status status = check_scaling(c, error);
    return status == MOTE_OK ? family->check(c, error) : status;
}

mote_status mote_config_count(const mote_config *config, uint64_t *parameters, mote_error *error) {
    mote_config c = *config;
    mote_program *program = NULL;
    *parameters = 0;
    mote_status status = mote_config_complete(&c, error);
    if (status == MOTE_OK) status = mote_program_build(&c, &program, error);
    if (status != MOTE_OK) return status;
    for (int i = 0; i < program->n_tensors; i++) {
        const mote_tensor *t = &program->tensors[i];
        if (t->role == MOTE_ROLE_WEIGHT) *parameters += (uint64_t)t->rows * (uint64_t)t->cols;
    }
    mote_program_destroy(program);
    return MOTE_OK;
}

uint64_t mote_config_parameters(const mote_config *config) {
    uint64_t parameters;
    mote_config_count(config, &parameters, NULL);
    return parameters;
}

const char *mote_type_name(mote_type type) {
    const mote_type_info *info = mote_type_get(type);
    return info ? info->name : "unknown";
}

int mote_type_block(mote_type type) {
    return mote_type_get(type) ? (int)mote_row_unit(type) : 0; /* the half of a block that ends a row counts */
}

double mote_type_bits(mote_type type) {
    const mote_type_info *info = mote_type_get(type);
    return info ? 8.0 * info->block_bytes / info->block_values : 0;
}
