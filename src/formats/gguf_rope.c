/* Scaled rotations in GGUF files. Linear scaling and YaRN are keys. Llama 3.1's is a tensor of what divides the
 * frequencies, which does not say how they came about: mote's files have that under mote.rope.*, and of others' the
 * parameters are found again from the divisors; divisors of another form are refused. */
#include <math.h>
#include <string.h>

#include "formats/gguf_config.h"
#include "models/blocks.h"
#include "ops/rope.h"

#define KEY_FACTOR "mote.rope.factor"
#define KEY_CONTEXT "mote.rope.original_context_length"
#define KEY_LOW "mote.rope.low_freq_factor"
#define KEY_HIGH "mote.rope.high_freq_factor"
#define TWO_PI 6.283185307179586

/* Divisors are f32 computed in f32: 1e-7 of themselves off, and more where small differences are taken. */
static const double tolerance = 1e-5;

static double usual_attention(double factor) { return 0.1 * log(factor) + 1; }

static void read_kind(mote_gguf_keys *k, mote_config *c) {
    char room[MOTE_KEY_BYTES], shown[MOTE_SHOWN_BYTES];
    mote_string kind = {"linear", 6}; /* where it is not said, a factor means this */
    float factor = 1;
    bool said = false;
    mote_gguf_read_number(k, "rope.scale_linear", 0, 1e6, &factor); /* the key of old files */
    mote_gguf_read_number(k, "rope.scaling.factor", 0, 1e6, &factor);
    mote_gguf_full_key(k->architecture, "rope.scaling.type", room);
    if (k->status == MOTE_OK) said = mote_gguf_string(k->file, room, &kind, &k->status, k->error);
    if (k->status != MOTE_OK) return;
    bool plain = factor == 0 || factor == 1;
    if (said && mote_string_is(kind, "none")) {
        if (!plain) mote_gguf_refuse(k, "its rotary positions are scaled by %g and of the kind none", (double)factor);
    } else if (mote_string_is(kind, "linear") || mote_string_is(kind, "yarn")) {
        if (plain) return;
        c->rope_scaling = mote_string_is(kind, "yarn") ? MOTE_ROPE_YARN : MOTE_ROPE_LINEAR;
        c->rope_factor = factor;
    } else {
        mote_gguf_refuse(k, "its rotary positions are scaled by '%s'", mote_gguf_shown(kind, shown));
    }
}

static void read_yarn(mote_gguf_keys *k, mote_config *c) {
    float attention = 1;
    mote_gguf_read_number(k, "rope.scaling.attn_factor", 0, 1e3, &attention);
    if (c->rope_scaling != MOTE_ROPE_YARN) {
        if (attention != 1 && attention != 0) mote_gguf_refuse(k, "its rotary positions change the length of vectors");
        return;
    }
    c->rope_original_context = c->context;
    mote_gguf_read_integer(k, "rope.scaling.original_context_length", 1, INT32_MAX, &c->rope_original_context);
    mote_gguf_read_number(k, "rope.scaling.yarn_beta_slow", 1e-6, 1e6, &c->rope_low);
    mote_gguf_read_number(k, "rope.scaling.yarn_beta_fast", 1e-6, 1e6, &c->rope_high);
    if (attention != 1 && attention != 0)
        c->rope_attention_factor = (float)((double)attention * usual_attention((double)c->rope_factor));
}

/* ---- divisors */

static double divisor(const mote_gguf_tensor *tensor, int pair) {
    return mote_gguf_load_number(tensor->data + 4 * (size_t)pair, MOTE_GGUF_F32);
}

static bool all_ones(const mote_gguf_tensor *tensor) {
    for (size_t i = 0; i < tensor->bytes / 4; i++)
        if (divisor(tensor, (int)i) != 1) return false;
    return true;
}

static bool reproduces(const mote_config *c, const mote_gguf_tensor *tensor) {
    if (!(c->rope_factor >= 1 && c->rope_low > 0 && c->rope_high > c->rope_low && c->rope_original_context > 0))
        return false;
    mote_turns turns = mote_config_turns(c, false);
    for (int i = 0; i < c->head_dim / 2; i++) {
        double ours = mote_turns_divisor(&turns, i), theirs = divisor(tensor, i);
        if (!(fabs(ours - theirs) <= tolerance * ours)) return false;
    }
    return true;
}

/* Two pairs between the fast ones and the slow ones give the line on which the part of the frequency lies that stays.
 * Only ratios matter: `low` is taken as 1. */
static bool fit(mote_config *c, const mote_gguf_tensor *tensor) {
    double factor = (double)c->rope_factor, turns[2] = {0}, kept[2] = {0};
    int found = 0;
    for (int i = 0; i < c->head_dim / 2; i++) {
        double part = (1 / divisor(tensor, i) - 1 / factor) / (1 - 1 / factor);
        if (!(part > 1e-3 && part < 1 - 1e-3)) continue;
        int at = found == 0 ? 0 : 1; /* the first and the last */
        turns[at] = pow((double)c->rope_base, -2.0 * i / c->head_dim) / TWO_PI;
        kept[at] = part;
        found++;
    }
    if (found < 2 || turns[0] == turns[1]) return false;
    double slope = (kept[0] - kept[1]) / (turns[0] - turns[1]), start = kept[0] - slope * turns[0];
    if (!(slope > 0 && start < -1e-6)) return false;
    double high = round((1 - 1 / start) * 1000) / 1000, context = round(slope * (high - 1));
    if (!(high > 1 && high <= 1e6 && context >= 1 && context <= INT32_MAX)) return false;
    c->rope_low = 1;
    c->rope_high = (float)high;
    c->rope_original_context = (int)context;
    return reproduces(c, tensor);
}

static bool recover(mote_config *c, const mote_gguf_tensor *tensor) {
    double factor = 1;
    for (int i = 0; i < c->head_dim / 2; i++) factor = fmax(factor, divisor(tensor, i));
    if (!(factor > 1 && factor <= 1e6)) return false;
    c->rope_factor = (float)factor;
    c->rope_low = 1, c->rope_high = 4, c->rope_original_context = 8192; /* of all models that Meta made */
    return reproduces(c, tensor) || fit(c, tensor);
}

static bool read_own(mote_gguf_keys *k, mote_config *c) {
    const struct { const char *key; float *value; } numbers[] = {
        {KEY_FACTOR, &c->rope_factor}, {KEY_LOW, &c->rope_low}, {KEY_HIGH, &c->rope_high}};
    int64_t context = 0;
    double number;
    if (!mote_gguf_integer(k->file, KEY_CONTEXT, 1, INT32_MAX, &context, &k->status, k->error)) return false;
    c->rope_original_context = (int)context;
    for (int i = 0; i < 3 && k->status == MOTE_OK; i++)
        if (mote_gguf_number(k->file, numbers[i].key, 1e-6, 1e6, &number, &k->status, k->error))
            *numbers[i].value = (float)number;
    return k->status == MOTE_OK;
}

static void read_divisors(mote_gguf_keys *k, mote_config *c) {
    const mote_gguf_tensor *tensor = mote_gguf_find_tensor(k->file, MOTE_ROPE_DIVISORS);
    bool scaled = c->rope_scaling != MOTE_ROPE_PLAIN;
    if (k->status != MOTE_OK) return;
    if (!tensor) {
        if (mote_gguf_find(k->file, KEY_CONTEXT))
            k->status = mote_fail(k->error, MOTE_BAD_FILE, "%s: tensor '%s' is missing, which the key '%s' tells of",
                                  k->file->name, MOTE_ROPE_DIVISORS, KEY_CONTEXT);
        return;
    }
    bool f32 = tensor->ggml_type == 0 && tensor->bytes % 4 == 0;
    if (f32 && all_ones(tensor) && !mote_gguf_find(k->file, KEY_CONTEXT)) return; /* they change nothing */
    if (c->family != MOTE_FAMILY_LLAMA || scaled || !f32 || tensor->bytes / 4 != (size_t)c->head_dim / 2) {
        mote_gguf_refuse(k, "tensor '%s' does not fit its keys", MOTE_ROPE_DIVISORS);
        return;
    }
    c->rope_scaling = MOTE_ROPE_LLAMA3;
    bool own = read_own(k, c);
    if (k->status != MOTE_OK || (own && reproduces(c, tensor)) || (!own && recover(c, tensor))) return;
    mote_gguf_refuse(k, "tensor '%s' scales rotary positions in a way that is not Llama 3.1's%s", MOTE_ROPE_DIVISORS,
                     own ? " with the parameters in the keys" : "");
}

void mote_gguf_read_scaling(mote_gguf_keys *k, mote_config *c) {
    if (c->family != MOTE_FAMILY_GPT2) {
        read_kind(k, c);
        read_yarn(k, c);
    }
    read_divisors(k, c);
}

/* ---- writing */

void mote_gguf_put_scaling(mote_gguf_writer *w, const mote_config *c) {
    char room[MOTE_KEY_BYTES];
    const char *architecture = mote_family_name(c->family);
    bool linear = c->rope_scaling == MOTE_ROPE_LINEAR, yarn = c->rope_scaling == MOTE_ROPE_YARN;
    if (c->rope_scaling == MOTE_ROPE_LLAMA3) {
        mote_gguf_put_f32(w, KEY_FACTOR, c->rope_factor);
        mote_gguf_put_u32(w, KEY_CONTEXT, (uint32_t)c->rope_original_context);
        mote_gguf_put_f32(w, KEY_LOW, c->rope_low);
        mote_gguf_put_f32(w, KEY_HIGH, c->rope_high);
    }
    if (!linear && !yarn) return;
    const char *kind = linear ? "linear" : "yarn";
    mote_gguf_put_string(w, mote_gguf_full_key(architecture, "rope.scaling.type", room), kind, strlen(kind));
    mote_gguf_put_f32(w, mote_gguf_full_key(architecture, "rope.scaling.factor", room), c->rope_factor);
    if (!yarn) return;
    mote_gguf_put_u32(w, mote_gguf_full_key(architecture, "rope.scaling.original_context_length", room),
                      (uint32_t)c->rope_original_context);
    mote_gguf_put_f32(w, mote_gguf_full_key(architecture, "rope.scaling.yarn_beta_slow", room), c->rope_low);
    mote_gguf_put_f32(w, mote_gguf_full_key(architecture, "rope.scaling.yarn_beta_fast", room), c->rope_high);
    if (c->rope_attention_factor > 0) /* other programs multiply the usual factor by it */
        mote_gguf_put_f32(w, mote_gguf_full_key(architecture, "rope.scaling.attn_factor", room),
                          (float)((double)c->rope_attention_factor / usual_attention((double)c->rope_factor)));
}

int mote_gguf_divisors(const mote_config *c) { return c->rope_scaling == MOTE_ROPE_LLAMA3 ? c->head_dim / 2 : 0; }

void mote_gguf_write_divisors(mote_gguf_writer *w, const mote_config *c) {
    mote_turns turns = mote_config_turns(c, false);
    for (int i = 0; i < mote_gguf_divisors(c); i++) {
        float value = (float)mote_turns_divisor(&turns, i);
        mote_gguf_write_tensor(w, &value, sizeof value);
    }
}
