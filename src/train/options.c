/* Training options as a table. Unset is 0, or a negative value where 0 means something; mote_train_options_default
 * leaves nearly everything unset, so that the recipe, or else the trainer, can tell what the caller chose. */
#include "train/options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "run/session.h"

#define ROW(name, kind, low, high, zero_is_unset, free)                                                                \
    { #name, MOTE_FIELD_##kind, offsetof(mote_train_options, name), low, high, zero_is_unset, free, false }
#define LATER(name, kind, low, high)                                                                                   \
    { #name, MOTE_FIELD_##kind, offsetof(mote_train_options, name), low, high, false, false, true }
#define FREE(name, kind, low, high)                                                                                    \
    { #name, MOTE_FIELD_##kind, offsetof(mote_train_options, name), low, high, false, true, true }
const mote_field mote_train_fields[] = {
    /*  name          kind    low     high    zero: unset, free */
    ROW(batch,        INT,    1,      65536,    true,  false),
    ROW(accumulate,   INT,    1,      65536,    true,  false),
    ROW(steps,        INT64,  1,      1e12,     true,  false),
    ROW(optimizer,    INT,    0,      2,        false, false),
    ROW(lr,           DOUBLE, 1e-30,  1e38,     true,  false),
    ROW(min_lr,       DOUBLE, 0,      1e38,     false, false),
    ROW(adam_lr,      DOUBLE, 1e-30,  1e38,     true,  false),
    ROW(beta1,        DOUBLE, 0,      0.999999, false, false),
    ROW(beta2,        DOUBLE, 0,      0.999999, false, false),
    ROW(epsilon,      DOUBLE, 1e-30,  1,        true,  false),
    ROW(weight_decay, DOUBLE, 0,      100,      false, false),
    ROW(schedule,     INT,    0,      4,        false, false),
    ROW(warmup,       INT64,  0,      1e12,     false, false),
    ROW(restarts,     INT,    1,      1000000,  true,  false),
    ROW(decay_part,   DOUBLE, 0,      1,        false, false),
    ROW(clip,         DOUBLE, 0,      1e30,     false, false),
    ROW(dropout,      DOUBLE, 0,      0.95,     false, false),
    ROW(average,      DOUBLE, 0,      0.999999, false, false),
    ROW(seed,         UINT64, 0,      0,        false, false),
    ROW(threads,      INT,    0,      256,      false, true),
    LATER(precision,  INT,    0,      MOTE_PRECISION_INT8),
    LATER(qat,        INT,    0,      MOTE_N_TYPES - 1),
    FREE(recompute,   INT,    0,      MOTE_RECOMPUTE_LAYER),
};
#undef FREE
#undef LATER
#undef ROW
const size_t mote_n_train_fields = sizeof mote_train_fields / sizeof *mote_train_fields;

#define ROW(name, kind) { #name, MOTE_FIELD_##kind, offsetof(mote_config, name), 0, 0, false, false, false }
#define LATER(name, kind) { #name, MOTE_FIELD_##kind, offsetof(mote_config, name), 0, 0, false, false, true }
const mote_field mote_config_fields[] = {
    ROW(family, INT),   ROW(vocab, INT),    ROW(context, INT), ROW(dim, INT),    ROW(layers, INT),
    ROW(heads, INT),    ROW(kv_heads, INT), ROW(head_dim, INT), ROW(hidden, INT), ROW(window, INT),
    ROW(tied, BOOL),    ROW(bias, BOOL),    ROW(qk_norm, BOOL), ROW(norm_epsilon, FLOAT), ROW(rope_base, FLOAT),
    LATER(full_attention_period, INT), LATER(no_rope_period, INT), LATER(rope_base_window, FLOAT),
    LATER(query_scale, FLOAT), LATER(rope_scaling, INT), LATER(rope_factor, FLOAT), LATER(rope_original_context, INT),
    LATER(rope_low, FLOAT), LATER(rope_high, FLOAT), LATER(rope_attention_factor, FLOAT),
};
#undef LATER
#undef ROW
const size_t mote_n_config_fields = sizeof mote_config_fields / sizeof *mote_config_fields;

bool mote_field_is_real(const mote_field *field) {
    return field->kind == MOTE_FIELD_DOUBLE || field->kind == MOTE_FIELD_FLOAT;
}

static uint64_t double_bits(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double bits_double(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Enums have the size of int. */
uint64_t mote_field_bits(const mote_field *field, const void *object) {
    const char *at = (const char *)object + field->offset;
    int i;
    int64_t i64;
    uint64_t u64;
    double d;
    float f;
    bool b;
    switch (field->kind) {
    case MOTE_FIELD_INT: return memcpy(&i, at, sizeof i), (uint64_t)(int64_t)i;
    case MOTE_FIELD_INT64: return memcpy(&i64, at, sizeof i64), (uint64_t)i64;
    case MOTE_FIELD_UINT64: return memcpy(&u64, at, sizeof u64), u64;
    case MOTE_FIELD_DOUBLE: return memcpy(&d, at, sizeof d), double_bits(d);
    case MOTE_FIELD_FLOAT: return memcpy(&f, at, sizeof f), double_bits((double)f);
    case MOTE_FIELD_BOOL: return memcpy(&b, at, sizeof b), (uint64_t)b;
    }
    return 0;
}

void mote_field_set(const mote_field *field, void *object, uint64_t bits) {
    char *at = (char *)object + field->offset;
    int i = (int)(int64_t)bits;
    double d = bits_double(bits);
    float f = (float)d;
    bool b = bits != 0;
    switch (field->kind) {
    case MOTE_FIELD_INT: memcpy(at, &i, sizeof i); break;
    case MOTE_FIELD_INT64:
    case MOTE_FIELD_UINT64: memcpy(at, &bits, sizeof bits); break;
    case MOTE_FIELD_DOUBLE: memcpy(at, &d, sizeof d); break;
    case MOTE_FIELD_FLOAT: memcpy(at, &f, sizeof f); break;
    case MOTE_FIELD_BOOL: memcpy(at, &b, sizeof b); break;
    }
}

static double field_value(const mote_field *field, const void *object) {
    uint64_t bits = mote_field_bits(field, object);
    if (mote_field_is_real(field)) return bits_double(bits);
    return field->kind == MOTE_FIELD_UINT64 ? (double)bits : (double)(int64_t)bits;
}

void mote_field_print(const mote_field *field, uint64_t bits, char *text, size_t bytes) {
    if (mote_field_is_real(field)) snprintf(text, bytes, "%.17g", bits_double(bits));
    else if (field->kind == MOTE_FIELD_UINT64) snprintf(text, bytes, "%llu", (unsigned long long)bits);
    else snprintf(text, bytes, "%lld", (long long)(int64_t)bits);
    if (mote_field_is_real(field)) { /* the shortest form that reads back the same */
        for (int digits = 1; digits < 17; digits++) {
            double back;
            snprintf(text, bytes, "%.*g", digits, bits_double(bits));
            if (sscanf(text, "%lf", &back) == 1 && double_bits(back) == bits) break;
            if (digits == 16) snprintf(text, bytes, "%.17g", bits_double(bits));
        }
    }
}

static void set_value(const mote_field *field, void *object, double value) {
    mote_field_set(field, object, mote_field_is_real(field) ? double_bits(value) : (uint64_t)(int64_t)value);
}

static bool is_unset(const mote_field *field, const void *object) {
    double value = field_value(field, object);
    return field->zero_is_unset ? value == 0 : value < 0;
}

bool mote_train_options_fill(mote_train_options *options, const char *name, double value) {
    for (size_t i = 0; i < mote_n_train_fields; i++) {
        const mote_field *field = &mote_train_fields[i];
        if (strcmp(field->name, name) != 0) continue;
        if (!is_unset(field, options)) return false;
        set_value(field, options, value);
        return true;
    }
    return false;
}

/* AdamW's and Muon's rates have one unit (muon.c), but Muon bears more; sgd needs far more. */
double mote_train_default_lr(mote_optimizer optimizer) {
    return optimizer == MOTE_OPTIMIZER_ADAMW ? 1e-3 : optimizer == MOTE_OPTIMIZER_MUON ? 5e-3 : 0.1;
}

mote_train_options mote_train_options_default(void) {
    mote_train_options options = {.struct_bytes = sizeof options};
    for (size_t i = 0; i < mote_n_train_fields; i++) {
        const mote_field *field = &mote_train_fields[i];
        if (!field->zero_is_unset && !field->free && field->kind != MOTE_FIELD_UINT64) set_value(field, &options, -1);
    }
    return options;
}

/* What this processor, and the products, can do. */
static mote_status check_numbers(const mote_train_options *o, mote_error *error) {
    if (o->precision == MOTE_PRECISION_F16) {
        mote_fail(error, MOTE_USAGE, "training in f16 is not possible: there is no product of two f16 matrices");
        return mote_hint(error, MOTE_USAGE, "bf16 and int8 are the precisions that are faster than f32");
    }
    if (o->qat != MOTE_TYPE_F32 && !mote_type_get(o->qat)->integer) {
        mote_fail(error, MOTE_USAGE, "quantization-aware training rounds to types that products run on, not to %s",
                  mote_type_name(o->qat));
        return mote_hint(error, MOTE_USAGE, "q8_0, q4_0, q3h, q43 or i8");
    }
    return MOTE_OK;
}

mote_status mote_train_options_complete(const mote_train_options *given, mote_train_options *options,
                                        mote_error *error) {
    *options = mote_train_options_default();
    if (!mote_options_read(options, sizeof *options, given))
        return mote_fail(error, MOTE_USAGE,
                         "training options have no struct_bytes: start from mote_train_options_default");
    mote_train_options *o = options;
    mote_train_options_fill(o, "batch", 16);
    mote_train_options_fill(o, "accumulate", 1);
    mote_train_options_fill(o, "steps", 1000);
    mote_train_options_fill(o, "optimizer", MOTE_OPTIMIZER_ADAMW);
    mote_train_options_fill(o, "lr", mote_train_default_lr(o->optimizer));
    mote_train_options_fill(o, "min_lr", 0);
    mote_train_options_fill(o, "adam_lr", o->lr);
    mote_train_options_fill(o, "beta1", 0.9);
    mote_train_options_fill(o, "beta2", 0.95);
    mote_train_options_fill(o, "epsilon", 1e-8);
    mote_train_options_fill(o, "weight_decay", 0.1);
    mote_train_options_fill(o, "schedule", MOTE_SCHEDULE_COSINE);
    mote_train_options_fill(o, "warmup", (double)(o->steps / 20 < 100 ? o->steps / 20 : 100));
    mote_train_options_fill(o, "restarts", 1);
    mote_train_options_fill(o, "decay_part", 0.2);
    mote_train_options_fill(o, "clip", 1);
    mote_train_options_fill(o, "dropout", 0);
    mote_train_options_fill(o, "average", 0);
    mote_train_options_fill(o, "precision", MOTE_PRECISION_F32);
    mote_train_options_fill(o, "qat", MOTE_TYPE_F32);
    for (size_t i = 0; i < mote_n_train_fields; i++) {
        const mote_field *field = &mote_train_fields[i];
        double value = field_value(field, o);
        if (field->kind != MOTE_FIELD_UINT64 && !(value >= field->low && value <= field->high))
            return mote_fail(error, MOTE_USAGE, "training option %s is %.17g; it must be from %.9g to %.9g",
                             field->name, value, field->low, field->high);
    }
    return check_numbers(o, error);
}
