/* The driver of quantization: a type for each tensor (asked for, kept by a rule, or chosen for a number of bits), the
 * calibration's sums, then every matrix by its method, into a new model. Nothing is stored in a type that was not asked
 * for unless the caller allows it and the report says so. */
#include <fnmatch.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "compress/compress.h"
#include "text/tokenizer.h"

typedef struct {
    const mote_model *model;
    mote_quantize_options o;
    mote_pool *pool;
    mote_calibration calibration; /* of the present pass */
    size_t most_bytes;            /* of a pass */
    bool calibrated;
    bool *factored; /* by tensor: a factor was made for it; NULL: not yet */
    mote_type *types; /* by tensor id */
    bool *open;       /* by tensor id: for mixed types to choose */
    mote_model *out;
    mote_quantize_report *report;
    mote_quantize_row *rows;
    mote_real *values; /* of one tensor */
    float *row;
    float *scales; /* by tensor id: of activations; NULL: not asked for */
} quantization;

mote_quantize_options mote_quantize_options_default(void) {
    return (mote_quantize_options){.struct_bytes = sizeof(mote_quantize_options), .type = MOTE_TYPE_Q8_0,
                                   .calibration_tokens = 65536};
}

const char *mote_quantize_method_name(mote_quantize_method method) {
    static const char *const names[] = {"best", "rtn", "search", "gptq"};
    return (unsigned)method < sizeof names / sizeof *names ? names[method] : "unknown";
}

mote_status mote_pool_for(int threads, mote_pool **pool, mote_error *error) {
    *pool = NULL;
    if (threads < 0 || threads > 256)
        return mote_fail(error, MOTE_USAGE, "threads is %d; it must be from 1 to 256, or 0 for all cores", threads);
    const int cores = mote_cpu_cores();
    if (threads == 0) threads = cores < 1 ? 1 : cores > 256 ? 256 : cores;
    return mote_pool_create(threads, pool, error);
}

void mote_weight_to_real(const mote_model *model, int id, mote_real *values, float *row) {
    const mote_tensor *t = &model->program->tensors[id];
    const mote_stored stored = mote_model_stored(model, id);
    const size_t cols = (size_t)t->cols, row_bytes = mote_row_bytes(stored.type, cols);
    for (int r = 0; r < t->rows; r++, values += cols) {
        mote_type_get(stored.type)->to_f32((const char *)stored.rows + (size_t)r * row_bytes, row, cols);
        for (size_t c = 0; c < cols; c++) values[c] = (mote_real)row[c];
    }
}

double mote_file_bits(const mote_program *p, const mote_type *types, double *weights) {
    double bits = 0;
    *weights = 0;
    for (int id = 0; id < p->n_tensors; id++) {
        const mote_tensor *t = &p->tensors[id];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        bits += 8.0 * (double)t->rows * (double)mote_row_bytes(types[id], (size_t)t->cols);
        *weights += (double)t->rows * (double)t->cols;
    }
    return bits;
}

/* ---- what was asked for */

static mote_status check_options(const mote_quantize_options *o, mote_error *error) {
    if (sizeof(mote_real) != sizeof(float))
        return mote_fail(error, MOTE_USAGE, "this build computes in double and cannot quantize");
    if ((unsigned)o->type >= MOTE_N_TYPES) return mote_fail(error, MOTE_USAGE, "no such weight type: %d", (int)o->type);
    if ((unsigned)o->method > MOTE_QUANTIZE_GPTQ)
        return mote_fail(error, MOTE_USAGE, "no such method of quantization: %d", (int)o->method);
    if (o->method == MOTE_QUANTIZE_GPTQ && !o->calibration)
        return mote_fail(error, MOTE_USAGE, "the method gptq needs a calibration text");
    if (o->static_activations && (o->type != MOTE_TYPE_I8 || o->target_bits > 0))
        return mote_hint(error, mote_fail(error, MOTE_USAGE, "static activations are for i8, whose products need no "
                                          "other scale of an input; %s is asked for",
                                          o->target_bits > 0 ? "a number of bits" : mote_type_name(o->type)),
                         "use the type i8, or leave them out: other types find a scale for each 32 values");
    if (o->static_activations && !o->calibration)
        return mote_fail(error, MOTE_USAGE, "static activations need a calibration text to find their scales in");
    if (!(o->target_bits >= 0 && o->target_bits <= 32))
        return mote_fail(error, MOTE_USAGE, "%g bits a weight are asked for; up to 32 are possible", o->target_bits);
    if (o->n_rules < 0 || (o->n_rules > 0 && !o->rules))
        return mote_fail(error, MOTE_USAGE, "%d rules and none given", o->n_rules);
    for (int i = 0; i < o->n_rules; i++)
        if (!o->rules[i].pattern || (unsigned)o->rules[i].type >= MOTE_N_TYPES)
            return mote_fail(error, MOTE_USAGE, "rule %d has no pattern, or no type that there is", i);
    return MOTE_OK;
}

static bool is_read_by(const mote_program *p, int id, mote_op_kind kind, int input) {
    for (int i = 0; i < p->n_ops; i++)
        if (p->ops[i].kind == kind && p->ops[i].in[input] == id) return true;
    return false;
}

static bool matches(const mote_program *p, int id, const char *pattern) {
    const mote_tensor *t = &p->tensors[id];
    if (strcmp(pattern, "head") == 0) return is_read_by(p, id, MOTE_OP_HEAD, 1);
    if (strcmp(pattern, "embedding") == 0) return is_read_by(p, id, MOTE_OP_EMBEDDING, 0);
    if (strcmp(pattern, "attention") == 0) return t->matrix && strstr(t->name, "attn");
    if (strcmp(pattern, "feed_forward") == 0) return t->matrix && strstr(t->name, "ffn");
    return fnmatch(pattern, t->name, 0) == 0;
}

static bool takes_rule(const mote_program *p, int id, const mote_quantize_rule *rule) {
    const mote_tensor *t = &p->tensors[id];
    return t->role == MOTE_ROLE_WEIGHT && !mote_weight_stays_f32(t) && matches(p, id, rule->pattern);
}

/* Refuses a rule of which later ones left nothing. Where the head is the embedding, two that speak of different things
 * mean one tensor, and nobody who wrote both would expect that the last one is all that counts. */
static mote_status check_rule_counts(const quantization *q, const mote_quantize_rule *rule, mote_error *error) {
    const mote_program *p = q->model->program;
    int first = -1, last = q->o.n_rules - 1;
    for (int id = 0; id < p->n_tensors; id++) {
        if (!takes_rule(p, id, rule)) continue;
        if (q->types[id] == rule->type) return MOTE_OK;
        if (first < 0) first = id;
    }
    while (!takes_rule(p, first, &q->o.rules[last])) last--;
    const mote_quantize_rule *other = &q->o.rules[last];
    mote_status status =
        mote_fail(error, MOTE_USAGE, "the rule %.80s=%s is in vain: what it names is given %s by %.80s=%s behind it",
                  rule->pattern, mote_type_name(rule->type), mote_type_name(other->type), other->pattern,
                  mote_type_name(other->type));
    if (is_read_by(p, first, MOTE_OP_HEAD, 1) && is_read_by(p, first, MOTE_OP_EMBEDDING, 0))
        return mote_hint(error, status, "head and embedding of this model are one tensor, '%.64s': give it one type",
                         p->tensors[first].name);
    return mote_hint(error, status, "leave one of the two out, or put the one that names fewer tensors last");
}

/* The types that are settled before anything is measured. */
static mote_status settle_types(quantization *q, mote_error *error) {
    const mote_program *p = q->model->program;
    for (int id = 0; id < p->n_tensors; id++) {
        const mote_tensor *t = &p->tensors[id];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        const bool stays = mote_weight_stays_f32(t);
        q->types[id] = stays ? MOTE_TYPE_F32 : q->o.type;
        q->open[id] = !stays && q->o.target_bits > 0;
    }
    for (int i = 0; i < q->o.n_rules; i++) {
        const mote_quantize_rule *rule = &q->o.rules[i];
        int found = 0;
        for (int id = 0; id < p->n_tensors; id++) {
            if (!takes_rule(p, id, rule)) continue;
            q->types[id] = rule->type;
            q->open[id] = false;
            found++;
        }
        if (found) continue;
        mote_status status = mote_fail(error, MOTE_USAGE, "no matrix or table of this model is named like '%.80s'",
                                       rule->pattern);
        return mote_hint(error, status, "mote inspect lists the tensors; gains, biases and positions are f32 always");
    }
    mote_status status = MOTE_OK;
    for (int i = 0; i < q->o.n_rules && !status; i++) status = check_rule_counts(q, &q->o.rules[i], error);
    return status;
}

static bool compensates(const quantization *q) {
    return q->o.method == MOTE_QUANTIZE_GPTQ || q->o.method == MOTE_QUANTIZE_BEST;
}

/* How a tensor is rounded, given what there is. */
static mote_quantize_method method_for(const quantization *q, int id, mote_type type) {
    const mote_type_info *info = mote_type_get(type);
    mote_quantize_method method = q->o.method;
    if (mote_type_is_float(type)) return MOTE_QUANTIZE_RTN;
    if (method == MOTE_QUANTIZE_BEST) method = q->calibrated ? MOTE_QUANTIZE_GPTQ : MOTE_QUANTIZE_SEARCH;
    /* a type that was not asked for, but that a misfit falls back to, has no factor */
    const bool possible = info->encode_group && info->quantize && mote_moments_of(&q->calibration, id) &&
                          (!q->factored || q->factored[id]);
    if (method == MOTE_QUANTIZE_GPTQ && !possible) method = MOTE_QUANTIZE_SEARCH;
    return method == MOTE_QUANTIZE_SEARCH && !info->quantize ? MOTE_QUANTIZE_RTN : method;
}

/* ---- calibration */

/* Of the mean diagonal. The paper's 1 % gives the same KL as 10 % (0.031 at q4_0, 0.5 M weights), but bends the outputs
 * one way: perplexity rose by 1.7 % and not by 0.8 %. A head that is the embedding, too, is read where no gram tells
 * what counts, so its errors may not grow much: with 0.01 KL was 13 % larger at q4_0 and 18 % at q3h. */
static double damping_for(const mote_program *p, int id) {
    return is_read_by(p, id, MOTE_OP_EMBEDDING, 0) ? 0.5 : 0.1;
}

/* Factors where a tensor of this pass will be rounded with one. */
static mote_status factor(quantization *q, mote_error *error) {
    const mote_program *p = q->model->program;
    mote_calibration *c = &q->calibration;
    double *damping = mote_allocate_zero((size_t)c->n + 1, sizeof *damping);
    bool *factored = mote_allocate_zero((size_t)p->n_tensors + 1, sizeof *factored);
    if (!damping || !factored) {
        mote_release(damping);
        mote_release(factored);
        return mote_fail_memory(error, "calibration", (size_t)p->n_tensors);
    }
    for (int id = 0; id < p->n_tensors; id++)
        if (p->tensors[id].role == MOTE_ROLE_WEIGHT && method_for(q, id, q->types[id]) == MOTE_QUANTIZE_GPTQ) {
            damping[c->of_weight[id]] = damping_for(p, id);
            factored[id] = true;
        }
    q->factored = factored;
    mote_status status = mote_calibration_factor(c, p, damping, q->pool, error);
    mote_release(damping);
    return status;
}

/* Tokens below which a calibration tells little. A sum of x x^T over fewer than the widest input has values leaves
 * directions that were never seen, for which gptq has its damping alone: with 336 of them KL at q4_0 was 0.0131 with 9
 * tokens (search: 0.0125), 0.0091 with 128, 0.0067 with 256 and 0.0058 with 65536. Squares and ranges settle at once:
 * 0.0018 at i8 with 33 tokens, 0.0015 with any more. What mixed types lose is measured on 512. */
static uint64_t least_tokens(const quantization *q, bool grams) {
    const mote_calibration *c = &q->calibration;
    uint64_t least = q->o.target_bits > 0 ? MOTE_MIXED_TOKENS : 64;
    for (int j = 0; j < c->n && grams; j++)
        if ((uint64_t)c->moments[j].cols > least) least = (uint64_t)c->moments[j].cols;
    return least;
}

/* One pass over the text, for activations from `first` on; grams: what gptq needs. */
static mote_status calibrate(quantization *q, int first, bool grams, mote_error *error) {
    const mote_calibration_request request = {.dataset = q->o.calibration, .split = q->o.calibration_split,
                                              .max_tokens = q->o.calibration_tokens, .grams = grams,
                                              .ranges = q->o.static_activations && grams == compensates(q),
                                              .first = first, .most_bytes = grams ? q->most_bytes : 0};
    mote_calibration_deinit(&q->calibration);
    mote_release(q->factored);
    q->factored = NULL;
    mote_status status = mote_calibrate(q->model, &request, q->pool, &q->calibration, error);
    if (status == MOTE_OK) status = mote_calibration_damp(&q->calibration, q->model->program, error);
    q->calibrated = status == MOTE_OK;
    if (status != MOTE_OK) return status;
    mote_quantize_report *report = q->report;
    report->calibration_tokens = q->calibration.tokens;
    report->calibration_passes++;
    report->calibration_least = least_tokens(q, compensates(q));
    if (q->calibration.bytes > report->calibration_bytes) report->calibration_bytes = q->calibration.bytes;
    return MOTE_OK;
}

/* ---- rounding */

static mote_status try_type(quantization *q, int id, mote_type type, mote_quantize_row *row, bool *fits,
                            mote_error *error) {
    const mote_tensor *t = &q->model->program->tensors[id];
    const mote_moments *m = mote_moments_of(&q->calibration, id);
    const size_t bytes = (size_t)t->rows * mote_row_bytes(type, (size_t)t->cols);
    mote_rounding r = {.name = t->name, .values = q->values, .rows = t->rows, .cols = t->cols, .type = type,
                       .method = method_for(q, id, type), .importance = m ? m->diagonal : NULL,
                       .factor = m ? m->gram : NULL, .paid = m ? m->paid : NULL,
                       .out = mote_allocate(bytes)};
    void *kept = NULL;
    if (!r.out) return mote_fail_memory(error, t->name, bytes);
    mote_status status = mote_round_matrix(&r, q->pool, error);
    *fits = status == MOTE_OK && (r.misfit < 0 || type == MOTE_TYPE_F32);
    if (*fits && (kept = mote_arena_allocate(&q->out->made, bytes))) memcpy(kept, r.out, bytes);
    mote_release(r.out); /* the new model holds what it is made of, and no tries */
    if (status != MOTE_OK) return status;
    if (*fits && !kept) return mote_fail_memory(error, t->name, bytes);
    if (!*fits) {
        status = mote_fail(error, MOTE_FAILED, "tensor '%s', row %d: a weight is not finite or does not fit %s",
                           t->name, r.misfit, mote_type_name(type));
        mote_hint(error, status, "keep that tensor in a larger type, or allow a fallback");
        return MOTE_OK;
    }
    q->out->weight[id] = kept;
    q->out->program->tensors[id].type = type;
    q->types[id] = type;
    row->type = type;
    row->method = r.method;
    row->padded = (size_t)t->cols % mote_row_unit(type) != 0;
    row->bits = 8.0 * (double)bytes / ((double)t->rows * (double)t->cols);
    row->error = r.squared_values > 0 ? sqrt(r.squared_error / r.squared_values) : 0;
    return MOTE_OK;
}

/* As asked for; else, where that is allowed, in q8_0, and at last in f32. */
static mote_status round_tensor(quantization *q, int id, mote_quantize_row *row, mote_error *error) {
    const mote_tensor *t = &q->model->program->tensors[id];
    const mote_type asked = q->types[id], tries[] = {asked, MOTE_TYPE_Q8_0, MOTE_TYPE_F32};
    memcpy(row->name, t->name, sizeof row->name);
    row->weights = (uint64_t)t->rows * (uint64_t)t->cols;
    row->fixed = mote_weight_stays_f32(t);
    mote_weight_to_real(q->model, id, q->values, q->row);
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        mote_error problem = {0};
        bool fits = false;
        mote_status status = try_type(q, id, tries[i], row, &fits, &problem);
        if (status == MOTE_OK && fits) {
            row->fallback = tries[i] != asked;
            return MOTE_OK;
        }
        if (status == MOTE_OK && q->o.allow_fallback) continue;
        if (error) *error = problem;
        return problem.status;
    }
    return mote_fail(error, MOTE_FAILED, "tensor '%s' fits no type", t->name); /* f32 takes everything */
}

/* The tensors whose inputs were summed in this pass; in the last one, those too that no product reads. */
static mote_status round_pass(quantization *q, bool last, mote_error *error) {
    const mote_program *p = q->model->program;
    const mote_calibration *c = &q->calibration;
    mote_status status = MOTE_OK;
    int row = 0;
    for (int id = 0; id < p->n_tensors && status == MOTE_OK; id++) {
        if (p->tensors[id].role != MOTE_ROLE_WEIGHT) continue;
        const int which = c->of_weight ? c->of_weight[id] : -1;
        if (which < 0 ? last : which >= c->first && which < c->end) status = round_tensor(q, id, &q->rows[row], error);
        row++;
    }
    q->report->n_rows = row;
    return status;
}

/* What a file of the result has, and had. */
static void count_bits(quantization *q) {
    const mote_program *p = q->model->program;
    double weights, bits;
    for (int id = 0; id < p->n_tensors; id++)
        q->types[id] = p->tensors[id].role == MOTE_ROLE_WEIGHT ? q->types[id] : MOTE_TYPE_F32;
    bits = mote_file_bits(p, q->types, &weights);
    q->report->bits_per_weight = bits / weights;
    q->report->weights = (uint64_t)weights;
    for (int id = 0; id < p->n_tensors; id++)
        q->types[id] = p->tensors[id].role == MOTE_ROLE_WEIGHT && !mote_weight_stays_f32(&p->tensors[id])
                           ? mote_model_stored(q->model, id).type : MOTE_TYPE_F32;
    q->report->bits_per_weight_before = mote_file_bits(p, q->types, &weights) / weights;
}

static mote_status choose_types(quantization *q, mote_error *error) {
    return mote_choose_types(q->model, &q->o, q->calibrated ? &q->calibration : NULL, q->pool, q->open, q->types,
                             error);
}

/* Scales of the activations of this pass that products of i8, and no others, read. */
static void take_scales(quantization *q) {
    const mote_program *p = q->model->program;
    const mote_calibration *c = &q->calibration;
    for (int j = c->first; j < c->end && q->scales; j++) {
        bool all = c->moments[j].bins != NULL;
        for (int id = 0; id < p->n_tensors; id++)
            if (c->of_weight[id] == j && q->types[id] != MOTE_TYPE_I8) all = false;
        const float scale = all ? mote_range_scale(c->moments[j].bins) : 0;
        q->scales[c->moments[j].activation] = mote_activation_scale_is_usable(scale) ? scale : 0;
    }
}

/* All tensors, in as many passes over the calibration's text as its sums need. Types are chosen before the first is
 * rounded: by sums of squares alone where the others do not fit at once. */
static mote_status quantize_passes(quantization *q, mote_error *error) {
    const bool chooses = q->o.target_bits > 0, grams = compensates(q);
    const bool calibrates = q->o.calibration && (q->o.method != MOTE_QUANTIZE_RTN || chooses || q->scales);
    const mote_calibration_request all = {.grams = grams, .ranges = q->scales != NULL};
    size_t bytes = 0;
    mote_status status = calibrates ? mote_calibration_bytes(q->model, &all, &bytes, error) : MOTE_OK;
    const bool whole = !grams || bytes <= q->most_bytes;
    if (status == MOTE_OK && chooses && calibrates && !whole) status = calibrate(q, 0, false, error);
    if (status == MOTE_OK && chooses && !(calibrates && whole)) status = choose_types(q, error);
    for (int first = 0; status == MOTE_OK; first = q->calibration.end) {
        if (calibrates) status = calibrate(q, first, grams, error);
        if (status == MOTE_OK && chooses && calibrates && whole) status = choose_types(q, error);
        if (status == MOTE_OK && calibrates && grams) status = factor(q, error);
        const bool last = q->calibration.end >= q->calibration.n;
        if (status == MOTE_OK) status = round_pass(q, last, error);
        if (status == MOTE_OK) take_scales(q);
        if (last) break;
    }
    return status;
}

/* ---- the whole */

static mote_status prepare(quantization *q, mote_error *error) {
    const mote_program *p = q->model->program;
    const size_t n = (size_t)p->n_tensors + 1;
    size_t most = 1, widest = 1;
    for (int id = 0; id < p->n_tensors; id++) {
        const mote_tensor *t = &p->tensors[id];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        if (!q->model->weight[id])
            return mote_fail(error, MOTE_USAGE, "tensor '%s' has no weights to quantize", t->name);
        mote_status checked = mote_model_check_weight(q->model, (mote_tensor_id)id, error);
        if (checked != MOTE_OK) return checked;
        if ((size_t)t->rows * (size_t)t->cols > most) most = (size_t)t->rows * (size_t)t->cols;
        if ((size_t)t->cols > widest) widest = (size_t)t->cols;
    }
    q->types = mote_allocate_zero(n, sizeof *q->types);
    q->open = mote_allocate_zero(n, sizeof *q->open);
    q->values = mote_allocate(most * sizeof *q->values);
    q->row = mote_allocate(widest * sizeof *q->row);
    q->report = mote_allocate_zero(1, sizeof *q->report);
    q->rows = mote_allocate_zero(n, sizeof *q->rows);
    if (q->o.static_activations && !(q->scales = mote_allocate_zero(n, sizeof *q->scales)))
        return mote_fail_memory(error, "quantization", n * sizeof *q->scales);
    q->most_bytes = q->o.calibration_bytes < SIZE_MAX ? (size_t)q->o.calibration_bytes : SIZE_MAX;
    if (!q->most_bytes) q->most_bytes = mote_machine_memory() / 2;
    if (!q->types || !q->open || !q->values || !q->row || !q->report || !q->rows)
        return mote_fail_memory(error, "quantization", most * sizeof *q->values);
    mote_status status = mote_model_allocate(&q->model->config, false, &q->out, error);
    if (status == MOTE_OK && q->model->tokenizer)
        status = mote_tokenizer_copy(q->model->tokenizer, &q->out->tokenizer, error);
    if (status == MOTE_OK && q->model->name) status = mote_model_set_name(q->out, q->model->name, error);
    if (status != MOTE_OK) return status;
    const char *problem = q->model->tokenizer_problem, *template = q->model->chat_template;
    if (problem && !(q->out->tokenizer_problem = mote_copy_string(problem)))
        return mote_fail_memory(error, "a message", strlen(problem));
    q->out->hints = q->model->hints;
    if (template) q->out->chat_template = mote_copy_string(template);
    return !template || q->out->chat_template ? MOTE_OK : mote_fail_memory(error, "a chat template", strlen(template));
}

mote_status mote_model_quantize(const mote_model *model, const mote_quantize_options *options, mote_model **quantized,
                                mote_quantize_report **report, mote_error *error) {
    if (!model || !quantized) return mote_fail(error, MOTE_USAGE, "quantization needs a model and a place for the new");
    *quantized = NULL;
    if (report) *report = NULL;
    quantization q = {.model = model, .o = mote_quantize_options_default()};
    if (!mote_options_read(&q.o, sizeof q.o, options))
        return mote_fail(error, MOTE_USAGE,
                         "quantization options have no struct_bytes: start from mote_quantize_options_default");
    mote_status status = check_options(&q.o, error);
    if (status == MOTE_OK) status = mote_pool_for(q.o.threads, &q.pool, error);
    if (status == MOTE_OK) status = prepare(&q, error);
    if (status == MOTE_OK) status = settle_types(&q, error);
    if (status == MOTE_OK) status = quantize_passes(&q, error);
    if (status == MOTE_OK) count_bits(&q);
    if (status == MOTE_OK) status = mote_model_unpack(q.out, error);
    if (status == MOTE_OK) {
        q.out->activation_scale = q.scales;
        q.scales = NULL;
        *quantized = q.out;
        q.out = NULL;
        q.report->rows = q.rows;
        if (report) *report = q.report, q.report = NULL, q.rows = NULL;
    }
    mote_calibration_deinit(&q.calibration);
    mote_model_close(q.out);
    mote_pool_destroy(q.pool);
    mote_release(q.factored);
    mote_release(q.scales);
    mote_release(q.types);
    mote_release(q.open);
    mote_release(q.values);
    mote_release(q.row);
    mote_release(q.rows);
    mote_release(q.report);
    return status;
}

void mote_quantize_report_destroy(mote_quantize_report *report) {
    if (!report) return;
    union { const mote_quantize_row *shown; void *own; } rows = {.shown = report->rows};
    mote_release(rows.own);
    mote_release(report);
}
