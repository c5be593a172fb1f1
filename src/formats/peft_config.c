/* adapter_config.json of PEFT: what changes the result is heeded, what only trained is passed over, and all that is not
 * known is refused by name unless it is null, false or empty. */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "formats/lora.h"

enum { MOST_EXCEPTIONS = 4096, MOST_CONFIG_BYTES = 1 << 20, SHOWN = 60 };

typedef enum {
    KEY_TYPE, KEY_RANK, KEY_ALPHA, KEY_STABILIZED, KEY_RANKS, KEY_ALPHAS, KEY_TARGETS, KEY_TASK, KEY_START, KEY_BIAS,
    KEY_FLIPPED, KEY_PASSED
} key_kind;
static const struct {
    const char *name;
    key_kind kind;
} keys[] = {
    {"peft_type", KEY_TYPE},
    {"r", KEY_RANK},
    {"lora_alpha", KEY_ALPHA},
    {"use_rslora", KEY_STABILIZED},
    {"rank_pattern", KEY_RANKS},
    {"alpha_pattern", KEY_ALPHAS},
    {"target_modules", KEY_TARGETS},
    {"task_type", KEY_TASK},
    {"init_lora_weights", KEY_START},
    {"bias", KEY_BIAS},
    {"fan_in_fan_out", KEY_FLIPPED}, /* how the base stores its weight, which is known here */
    {"base_model_name_or_path", KEY_PASSED},
    {"lora_dropout", KEY_PASSED},
    {"inference_mode", KEY_PASSED},
    {"revision", KEY_PASSED},
    {"auto_mapping", KEY_PASSED},
    {"layers_to_transform", KEY_PASSED}, /* as target_modules: the tensors say which layers */
    {"layers_pattern", KEY_PASSED},
    {"exclude_modules", KEY_PASSED},
    {"peft_version", KEY_PASSED},
    {"loftq_config", KEY_PASSED}, /* of the start, where init_lora_weights asks for it */
    {"eva_config", KEY_PASSED},
    {"corda_config", KEY_PASSED},
    {"qalora_group_size", KEY_PASSED}, /* in vain without use_qalora */
    {"megatron_core", KEY_PASSED},     /* in vain without megatron_config */
    {"runtime_config", KEY_PASSED},
};
enum { N_KEYS = sizeof keys / sizeof keys[0] };

typedef struct {
    mote_json json;
    const char *name;
    mote_peft_config *config;
    bool seen[N_KEYS], typed;
    mote_error *error;
} reader;

static mote_status fail_json(reader *r) {
    if (r->json.string.failed) return mote_fail_memory(r->error, "an adapter's config", r->json.size);
    return mote_fail(r->error, MOTE_BAD_FILE, "%s: byte %zu: %s", r->name, r->json.at,
                     r->json.problem ? r->json.problem : "the text ends too early");
}

static mote_status fail_value(reader *r, const char *key, const char *wanted) {
    return mote_fail(r->error, MOTE_BAD_FILE, "%s: '%.*s' is not %s", r->name, SHOWN, key, wanted);
}

static const char *text_of(const reader *r) { return r->json.string.bytes ? r->json.string.bytes : ""; }

static mote_status keep_string(reader *r, mote_string *out) {
    size_t n = r->json.string.size;
    char *copy = mote_arena_string(&r->config->arena, text_of(r), n);
    if (!copy) return mote_fail_memory(r->error, "an adapter's config", n + 1);
    *out = (mote_string){copy, n};
    return MOTE_OK;
}

static mote_status read_number(reader *r, mote_json_kind kind, const char *key, double low, double high, bool whole,
                               double *value) {
    if (kind != MOTE_JSON_NUMBER || !(r->json.number >= low && r->json.number <= high) ||
        (whole && !r->json.is_integer))
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: '%.*s' is not a %snumber from %g to %g", r->name, SHOWN, key,
                         whole ? "whole " : "", low, high);
    *value = r->json.number;
    return MOTE_OK;
}

/* PEFT takes the keys for regular expressions that end a module's name; the letters of names are all they have. */
static bool is_plain(mote_string pattern) {
    for (size_t i = 0; i < pattern.size; i++) {
        char c = pattern.bytes[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '_' && c != '.') return false;
    }
    return pattern.size > 0;
}

static mote_status read_exceptions(reader *r, mote_json_kind kind, const char *key, bool ranks) {
    mote_peft_config *c = r->config;
    if (kind == MOTE_JSON_NULL) return MOTE_OK;
    if (kind != MOTE_JSON_OBJECT) return fail_value(r, key, "an object");
    mote_peft_exception **list = ranks ? &c->ranks : &c->alphas;
    size_t *n = ranks ? &c->n_ranks : &c->n_alphas, *capacity = ranks ? &c->ranks_capacity : &c->alphas_capacity;
    for (mote_status status;;) {
        kind = mote_json_next(&r->json);
        if (kind == MOTE_JSON_OBJECT_END) return MOTE_OK;
        if (kind != MOTE_JSON_KEY) return fail_json(r);
        if (*n == MOST_EXCEPTIONS)
            return mote_fail(r->error, MOTE_BAD_FILE, "%s: '%s' has more than %d entries", r->name, key,
                             MOST_EXCEPTIONS);
        if (!mote_grow((void **)list, capacity, *n + 1, sizeof **list))
            return mote_fail_memory(r->error, "an adapter's config", (*n + 1) * sizeof **list);
        mote_peft_exception *e = &(*list)[*n];
        if ((status = keep_string(r, &e->pattern)) != MOTE_OK) return status;
        if (e->pattern.size && e->pattern.bytes[0] == '^') e->pattern.bytes++, e->pattern.size--;
        if (!is_plain(e->pattern))
            return mote_fail(r->error, MOTE_BAD_FILE, "%s: '%s' has the regular expression \"%.*s\", which mote does "
                             "not take", r->name, key, SHOWN, e->pattern.bytes);
        status = read_number(r, mote_json_next(&r->json), key, ranks ? 1 : -1e6, ranks ? MOTE_LORA_MOST_RANK : 1e6,
                             ranks, &e->value);
        if (status != MOTE_OK) return status;
        ++*n;
    }
}

static mote_status read_targets(reader *r, mote_json_kind kind, const char *key) {
    mote_peft_config *c = r->config;
    if (kind == MOTE_JSON_NULL || kind == MOTE_JSON_STRING) return MOTE_OK; /* a pattern: the tensors say what it hit */
    if (kind != MOTE_JSON_ARRAY) return fail_value(r, key, "a list of names");
    for (;;) {
        kind = mote_json_next(&r->json);
        if (kind == MOTE_JSON_ARRAY_END) return MOTE_OK;
        if (kind == MOTE_JSON_ERROR) return fail_json(r);
        if (kind != MOTE_JSON_STRING || c->n_targets == MOST_EXCEPTIONS) return fail_value(r, key, "a list of names");
        if (!mote_grow((void **)&c->targets, &c->targets_capacity, c->n_targets + 1, sizeof *c->targets))
            return mote_fail_memory(r->error, "an adapter's config", (c->n_targets + 1) * sizeof *c->targets);
        mote_status status = keep_string(r, &c->targets[c->n_targets]);
        if (status != MOTE_OK) return status;
        c->n_targets++;
    }
}

/* Starts that took something off the base's weights: the adapter goes with what is left of them. */
static mote_status check_start(reader *r, mote_json_kind kind) {
    static const char *const changing[] = {"pissa", "olora", "corda", "loftq", "lora_ga"};
    for (size_t i = 0; kind == MOTE_JSON_STRING && i < sizeof changing / sizeof *changing; i++)
        if (!strncmp(text_of(r), changing[i], strlen(changing[i])))
            return mote_fail(r->error, MOTE_BAD_FILE,
                             "%s: init_lora_weights \"%.*s\" changed the weights of the base, which are not here",
                             r->name, SHOWN, text_of(r));
    return kind == MOTE_JSON_STRING || kind == MOTE_JSON_TRUE || kind == MOTE_JSON_FALSE || kind == MOTE_JSON_NULL
               ? MOTE_OK
               : fail_value(r, "init_lora_weights", "a name or a yes or no");
}

static mote_status refuse_unknown(reader *r, const char *key, mote_json_kind kind) {
    bool empty = kind == MOTE_JSON_NULL || kind == MOTE_JSON_FALSE;
    if (kind == MOTE_JSON_ARRAY || kind == MOTE_JSON_OBJECT) {
        mote_json_kind end = kind == MOTE_JSON_ARRAY ? MOTE_JSON_ARRAY_END : MOTE_JSON_OBJECT_END;
        empty = mote_json_next(&r->json) == end;
    }
    if (kind == MOTE_JSON_ERROR) return fail_json(r);
    return empty ? MOTE_OK
                 : mote_fail(r->error, MOTE_BAD_FILE, "%s: '%.*s' asks for what mote does not compute", r->name, SHOWN,
                             key);
}

static mote_status read_value(reader *r, key_kind key, const char *name, mote_json_kind kind) {
    mote_peft_config *c = r->config;
    const char *text = kind == MOTE_JSON_STRING ? text_of(r) : NULL;
    switch (key) {
    case KEY_TYPE:
        r->typed = true;
        if (text && !strcmp(text, "LORA")) return MOTE_OK;
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: peft_type is \"%.*s\"; LORA is what mote merges", r->name, SHOWN,
                         text ? text : "");
    case KEY_RANK: return read_number(r, kind, name, 1, MOTE_LORA_MOST_RANK, true, &c->rank);
    case KEY_ALPHA: return read_number(r, kind, name, -1e6, 1e6, false, &c->alpha);
    case KEY_STABILIZED: case KEY_FLIPPED:
        if (kind != MOTE_JSON_TRUE && kind != MOTE_JSON_FALSE) return fail_value(r, name, "true or false");
        if (key == KEY_STABILIZED) c->rank_stabilized = kind == MOTE_JSON_TRUE;
        return MOTE_OK;
    case KEY_RANKS: return read_exceptions(r, kind, name, true);
    case KEY_ALPHAS: return read_exceptions(r, kind, name, false);
    case KEY_TARGETS: return read_targets(r, kind, name);
    case KEY_TASK:
        if (kind == MOTE_JSON_NULL || (text && !strcmp(text, "CAUSAL_LM"))) return MOTE_OK;
        return fail_value(r, name, "CAUSAL_LM");
    case KEY_START: return check_start(r, kind);
    case KEY_BIAS:
        if (text && !strcmp(text, "none")) return MOTE_OK;
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: biases are trained too (bias is not \"none\"), which mote does "
                         "not merge", r->name);
    case KEY_PASSED: return mote_json_skip(&r->json, kind) ? MOTE_OK : fail_json(r);
    }
    return MOTE_OK;
}

static mote_status read_pair(reader *r) {
    char name[SHOWN + 1] = "";
    size_t n = r->json.string.size;
    int known = 0;
    while (known < N_KEYS && !mote_string_is(mote_buffer_string(&r->json.string), keys[known].name)) known++;
    memcpy(name, text_of(r), n < SHOWN ? n : SHOWN);
    mote_json_kind kind = mote_json_next(&r->json);
    if (kind == MOTE_JSON_ERROR) return fail_json(r);
    if (known == N_KEYS) return refuse_unknown(r, name, kind);
    if (r->seen[known]) return mote_fail(r->error, MOTE_BAD_FILE, "%s: '%s' occurs twice", r->name, name);
    r->seen[known] = true;
    return read_value(r, keys[known].kind, keys[known].name, kind);
}

mote_status mote_peft_config_parse(const uint8_t *bytes, size_t size, const char *name, mote_peft_config *config,
                                   mote_error *error) {
    *config = (mote_peft_config){.rank = 8, .alpha = 8}; /* PEFT's defaults */
    if (size > MOST_CONFIG_BYTES)
        return mote_fail(error, MOTE_BAD_FILE, "%s: %zu bytes; a config has up to %d", name, size, MOST_CONFIG_BYTES);
    reader r = {.name = name, .config = config, .error = error};
    mote_json_init(&r.json, (const char *)bytes, size);
    mote_status status = MOTE_OK;
    if (mote_json_next(&r.json) != MOTE_JSON_OBJECT) status = fail_json(&r);
    while (status == MOTE_OK) {
        mote_json_kind kind = mote_json_next(&r.json);
        if (kind == MOTE_JSON_OBJECT_END) break;
        status = kind == MOTE_JSON_KEY ? read_pair(&r) : fail_json(&r);
    }
    if (status == MOTE_OK && mote_json_next(&r.json) != MOTE_JSON_END) status = fail_json(&r);
    if (status == MOTE_OK && !r.typed)
        status = mote_fail(error, MOTE_BAD_FILE, "%s: 'peft_type' is missing", name);
    mote_json_deinit(&r.json);
    return status;
}

void mote_peft_config_close(mote_peft_config *config) {
    mote_release(config->ranks);
    mote_release(config->alphas);
    mote_release(config->targets);
    mote_arena_deinit(&config->arena);
    *config = (mote_peft_config){0};
}

/* Whether the module is the pattern or ends with '.' and it; a '.' in the pattern is any character. */
static bool ends_with(const char *module, mote_string pattern) {
    size_t n = strlen(module);
    if (n < pattern.size || (n > pattern.size && module[n - pattern.size - 1] != '.')) return false;
    for (size_t i = 0; i < pattern.size; i++)
        if (pattern.bytes[i] != '.' && pattern.bytes[i] != module[n - pattern.size + i]) return false;
    return true;
}

static double value_for(const mote_peft_exception *list, size_t n, const char *module, double usual) {
    for (size_t i = 0; i < n; i++)
        if (ends_with(module, list[i].pattern)) return list[i].value;
    return usual;
}

bool mote_peft_config_module(const mote_peft_config *c, const char *module, double *rank, double *scale) {
    *rank = value_for(c->ranks, c->n_ranks, module, c->rank);
    *scale = value_for(c->alphas, c->n_alphas, module, c->alpha) / (c->rank_stabilized ? sqrt(*rank) : *rank);
    bool named = c->n_targets == 0;
    for (size_t i = 0; i < c->n_targets && !named; i++) named = ends_with(module, c->targets[i]);
    return named;
}
