/* The option tables of a model's shape and of its training, and the way between them and the library's structs. One
 * list of fields is expanded in both directions. */
#include "setup.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FAMILIES "llama|gpt2|qwen2|qwen3|gemma3|smollm3" /* in the order of mote_family */
#define SCALINGS "plain|linear|llama3|yarn" /* in the order of mote_rope_scaling */
#define TOKENIZERS "byte|char|word|bpe"
#define OPTIMIZERS "adamw|muon|sgd"
#define SCHEDULES "constant|linear|cosine|cosine-restarts|wsd"
#define TYPES "f32|f16|bf16"
#define PRECISIONS "f32|bf16|int8" /* in the order of precisions[] */
#define RECOMPUTED "cheap|none|layer" /* in the order of mote_recompute */
#define QAT_TYPES "off|q8_0|q4_0|q3h"
#define MOST_VOCAB 1048576

#define CONFIG_INTEGERS(X)                                                                                             \
    X(dim) X(layers) X(heads) X(kv_heads) X(head_dim) X(hidden) X(context) X(window) X(rope_original_context)
#define CONFIG_NUMBERS(X) X(norm_epsilon) X(rope_base) X(rope_factor)
#define CONFIG_FLAGS(X) X(tied) X(bias) X(qk_norm)
#define TRAIN_INTEGERS(X) X(batch) X(accumulate) X(steps) X(warmup) X(restarts) X(seed)
#define TRAIN_NUMBERS(X)                                                                                               \
    X(lr) X(min_lr) X(adam_lr) X(beta1) X(beta2) X(epsilon) X(weight_decay) X(decay_part) X(clip) X(dropout) X(average)

struct setup setup = {
    .family = UNSET,
    .tokenizer = UNSET,
    .rope_scaling = UNSET,
    .optimizer = UNSET,
    .schedule = UNSET,
    .type = UNSET,
    .precision = UNSET,
    .qat = UNSET,
    .recompute = UNSET,
    .vocab = UNSET_INTEGER,
    .epochs = UNSET_NUMBER,
    .minutes = UNSET_NUMBER,
    .validation = UNSET_NUMBER,
#define X(field) .field = UNSET,
    CONFIG_FLAGS(X)
#undef X
#define X(field) .field = UNSET_INTEGER,
    CONFIG_INTEGERS(X) TRAIN_INTEGERS(X)
#undef X
#define X(field) .field = UNSET_NUMBER,
    CONFIG_NUMBERS(X) TRAIN_NUMBERS(X)
#undef X
};

#define INTEGER(name, field, low, high, shown, help)                                                                   \
    {name, 0, OPTION_INTEGER, &setup.field, "N", low, high, shown, help}
#define NUMBER(name, field, low, high, shown, help) {name, 0, OPTION_NUMBER, &setup.field, "X", low, high, shown, help}
#define CHOICE(name, field, choices, shown, help) {name, 0, OPTION_CHOICE, &setup.field, choices, 0, 0, shown, help}
#define ON(name, field, help) {name, 0, OPTION_FLAG, &setup.field, NULL, 0, 0, NULL, help}
#define OFF(name, field, help) {name, 0, OPTION_FLAG_OFF, &setup.field, NULL, 0, 0, NULL, help}

static const struct option vocab_rows[] = {
    INTEGER("vocab", vocab, 2, MOST_VOCAB, "256", "tokens in the vocabulary"),
    {0},
};
const struct option_group group_vocab = {"Vocabulary", vocab_rows};

static const struct option tokenizer_rows[] = {
    CHOICE("tokenizer", tokenizer, TOKENIZERS, "chosen for the text", "what a token is"),
    INTEGER("vocab", vocab, 2, MOST_VOCAB, "chosen for the text", "largest vocabulary of word and bpe"),
    {0},
};
const struct option_group group_tokenizer = {"Tokenizer", tokenizer_rows};

static const struct option shape_rows[] = {
    CHOICE("family", family, FAMILIES, "llama", "kind of model"),
    INTEGER("dim", dim, 1, 65536, "chosen", "width of the model"),
    INTEGER("layers", layers, 1, 512, "chosen", "number of layers"),
    INTEGER("heads", heads, 1, 1024, "chosen", "attention heads"),
    INTEGER("kv-heads", kv_heads, 1, 1024, "the heads", "heads of keys and values; divides the heads"),
    INTEGER("head-dim", head_dim, 1, 4096, "dim / heads", "width of a head"),
    INTEGER("hidden", hidden, 1, 1048576, "chosen", "width of the feed-forward part"),
    INTEGER("context", context, 1, 1048576, "chosen", "most tokens the model sees at once"),
    INTEGER("window", window, 0, 1048576, "0: the whole context; gemma3: a quarter of it",
            "sliding attention window in tokens"),
    ON("tied", tied, "the output head shares the token embedding"),
    OFF("untied", tied, "the output head has weights of its own"),
    ON("qk-norm", qk_norm, "normalise each head of queries and keys: makes llama qwen3"),
    OFF("no-qk-norm", qk_norm, "do not; qwen3 and gemma3 always do"),
    ON("bias", bias, "biases: gpt2 everywhere, others on queries, keys and values; not gemma3"),
    OFF("no-bias", bias, "no biases; qwen2 always has them"),
    NUMBER("norm-epsilon", norm_epsilon, 1e-12, 1, "1e-5, gemma3: 1e-6", "added inside the root of the norms"),
    NUMBER("rope-base", rope_base, 1, 1e9, "10000, gemma3: 1e6", "base of the rotary positions; not gpt2"),
    CHOICE("rope-scaling", rope_scaling, SCALINGS, "plain", "how rotary positions are stretched for a longer context"),
    NUMBER("rope-factor", rope_factor, 0, 1e6, "none", "the context over that of the model's first training"),
    INTEGER("rope-original-context", rope_original_context, 0, 1048576, "context / factor",
            "llama3, yarn: context of the model's first training"),
    {0},
};
const struct option_group group_shape = {"Model", shape_rows};

static const struct option batch_rows[] = {
    INTEGER("batch", batch, 1, 65536, "chosen", "sequences of the context's length in a micro-batch"),
    INTEGER("accumulate", accumulate, 1, 65536, "1", "micro-batches in a step"),
    INTEGER("steps", steps, 1, 1e12, "chosen", "optimizer steps"),
    {0},
};
const struct option_group group_batch = {"Batch and steps", batch_rows};

static const struct option length_rows[] = {
    NUMBER("epochs", epochs, 1e-6, 1e6, "chosen", "passes over the text, when --steps is not given"),
    NUMBER("minutes", minutes, 0.01, 1e6, "no limit", "time to spend: the steps are chosen by a short measurement"),
    NUMBER("validation", validation, 0, 0.5, "0.1", "the last part of the text is kept for validation"),
    {0},
};
const struct option_group group_length = {"Length and data", length_rows};

static const struct option optimizer_rows[] = {
    CHOICE("optimizer", optimizer, OPTIMIZERS, "muon", "how the weights are updated"),
    NUMBER("lr", lr, 1e-12, 1e38, "chosen", "peak learning rate (muon: of the hidden matrices)"),
    NUMBER("adam-lr", adam_lr, 0, 1e38, "0: from --lr", "muon: learning rate of everything else"),
    NUMBER("min-lr", min_lr, 0, 1e38, "0", "learning rate at the end"),
    NUMBER("beta1", beta1, 0, 0.999999, "0.9", "decay of the mean of the gradient; momentum of muon and sgd"),
    NUMBER("beta2", beta2, 0, 0.999999, "chosen", "decay of the mean of its square"),
    NUMBER("epsilon", epsilon, 1e-20, 1, "1e-8", "added to the root of that mean"),
    NUMBER("weight-decay", weight_decay, 0, 100, "chosen", "pull of the matrices towards zero"),
    CHOICE("schedule", schedule, SCHEDULES, "linear", "course of the learning rate"),
    INTEGER("warmup", warmup, 0, 1e12, "chosen", "steps in which the learning rate rises from 0"),
    INTEGER("restarts", restarts, 1, 10000, "1", "cosine-restarts: number of cycles"),
    NUMBER("decay-part", decay_part, 0, 1, "0.2", "wsd: the last part of the steps, which decays"),
    NUMBER("clip", clip, 0, 1e9, "1", "largest norm of the gradient; 0: no limit"),
    NUMBER("dropout", dropout, 0, 0.95, "chosen", "part of the activations set to zero in training"),
    NUMBER("average", average, 0, 0.999999, "0: off", "decay of averaged weights, used to evaluate and to save"),
    {0},
};
const struct option_group group_optimizer = {"Optimizer", optimizer_rows};

static const struct option numbers_rows[] = {
    CHOICE("precision", precision, PRECISIONS, "f32",
           "numbers that products multiply: bf16 is up to twice as fast, its gradients 1 % off; int8 is the fastest"),
    CHOICE("qat", qat, QAT_TYPES, "off", "train for weights of this type, and store them so"),
    {0},
};
const struct option_group group_numbers = {"Numbers", numbers_rows};

static const struct option memory_rows[] = {
    CHOICE("recompute", recompute, RECOMPUTED, "cheap",
           "what the backward pass computes again to need less memory, with the same bits"),
    {0},
};
const struct option_group group_memory = {"Memory", memory_rows};

static const struct option seed_rows[] = {
    INTEGER("seed", seed, 0, 9007199254740992, "0", "start of all random numbers"),
    {0},
};
const struct option_group group_seed = {"Chance", seed_rows};

static const struct option type_rows[] = {
    CHOICE("type", type, TYPES, "f32", "how weights are stored in the file"),
    {0},
};
const struct option_group group_type = {"File", type_rows};

mote_config setup_config(void) {
    mote_config config = mote_config_default(setup.family == UNSET ? MOTE_FAMILY_LLAMA : (mote_family)setup.family);
#define X(field)                                                                                                       \
    if (setup.field != UNSET_INTEGER) config.field = (int)setup.field;
    CONFIG_INTEGERS(X)
#undef X
#define X(field)                                                                                                       \
    if (!isnan(setup.field)) config.field = (float)setup.field;
    CONFIG_NUMBERS(X)
#undef X
#define X(field)                                                                                                       \
    if (setup.field != UNSET) config.field = setup.field != 0;
    CONFIG_FLAGS(X)
#undef X
    if (setup.rope_scaling != UNSET) config.rope_scaling = (mote_rope_scaling)setup.rope_scaling;
    return config;
}

static const mote_precision precisions[] = {MOTE_PRECISION_F32, MOTE_PRECISION_BF16, MOTE_PRECISION_INT8};
/* In the order of QAT_TYPES. */
static const mote_type qat_types[] = {MOTE_TYPE_F32, MOTE_TYPE_Q8_0, MOTE_TYPE_Q4_0, MOTE_TYPE_Q3H};

mote_train_options setup_train_options(void) {
    mote_train_options options = mote_train_options_default();
#define X(field)                                                                                                       \
    if (setup.field != UNSET_INTEGER) options.field = (__typeof__(options.field))setup.field;
    TRAIN_INTEGERS(X)
#undef X
#define X(field)                                                                                                       \
    if (!isnan(setup.field)) options.field = setup.field;
    TRAIN_NUMBERS(X)
#undef X
    if (setup.optimizer != UNSET) options.optimizer = (mote_optimizer)setup.optimizer;
    if (setup.schedule != UNSET) options.schedule = (mote_schedule)setup.schedule;
    if (setup.precision != UNSET) options.precision = precisions[setup.precision];
    if (setup.qat != UNSET) options.qat = qat_types[setup.qat];
    if (setup.recompute != UNSET) options.recompute = (mote_recompute)setup.recompute;
    options.threads = (int)option_threads;
    return options;
}

/* The shortest decimal that is this float: 1e-05, not 9.9999997e-06. */
static double short_decimal(float value) {
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) return strtod(text, NULL);
    }
    return value;
}

void setup_store_config(const mote_config *config) {
    setup.family = (int)config->family;
    setup.rope_scaling = (int)config->rope_scaling;
#define X(field) setup.field = config->field;
    CONFIG_INTEGERS(X) CONFIG_FLAGS(X)
#undef X
#define X(field) setup.field = short_decimal(config->field);
    CONFIG_NUMBERS(X)
#undef X
}

void setup_store(const mote_config *config, const mote_train_options *options) {
    setup_store_config(config);
#define X(field) setup.field = (__typeof__(setup.field))options->field;
    TRAIN_INTEGERS(X) TRAIN_NUMBERS(X)
#undef X
    setup.optimizer = (int)options->optimizer;
    setup.schedule = (int)options->schedule;
    for (int i = 0; i < (int)(sizeof precisions / sizeof *precisions); i++)
        if (precisions[i] == options->precision) setup.precision = i;
    for (int i = 0; i < (int)(sizeof qat_types / sizeof *qat_types); i++)
        if (qat_types[i] == options->qat) setup.qat = i;
}

mote_type setup_type(void) {
    static const mote_type types[] = {MOTE_TYPE_F32, MOTE_TYPE_F16, MOTE_TYPE_BF16};
    if (setup.qat > 0) return qat_types[setup.qat];
    return setup.type == UNSET ? MOTE_TYPE_F32 : types[setup.type];
}

uint64_t setup_seed(void) {
    return setup.seed == UNSET_INTEGER ? mote_train_options_default().seed : (uint64_t)setup.seed;
}

const char *setup_precision_name(mote_precision precision) {
    static const char *const names[] = {"f32", "f16", "bf16", "int8"};
    return names[precision];
}

/* Its code beside the library's, its libraries (PCRE2 and utf8proc take 230 KiB of it) and what it has read: by VmHWM
 * of mote bench train on one thread, less that of a program that does the same. */
enum { COMMAND_BYTES = 448 << 10 };

mote_status setup_plan_memory(const mote_config *config, const mote_train_options *options,
                              const mote_session_options *session, mote_memory_plan *plan, mote_error *error) {
    mote_status status = mote_plan_memory(config, options, session, plan, error);
    if (!status) plan->total_bytes += COMMAND_BYTES;
    return status;
}
