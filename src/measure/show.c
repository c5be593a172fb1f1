/* A model's program as a listing: one line an op, with the weights it reads and what one token costs at a position.
 * The numbers come from the op table's cost functions; weights that two ops read are counted as parameters once. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "models/model.h"
#include "ops/ops.h"

typedef struct {
    uint64_t parameters;
    double flops, weight_bytes, state_bytes;
} totals;

/* What is listed. reader: by tensor, the first op that reads it. */
typedef struct {
    const mote_model *model;
    const mote_program *program;
    int position;
    int *reader;
} listing;

static mote_status find_readers(listing *l, mote_error *error) {
    const mote_program *p = l->program;
    l->reader = mote_allocate((size_t)p->n_tensors * sizeof *l->reader);
    if (!l->reader) return mote_fail_memory(error, "a listing", (size_t)p->n_tensors * sizeof *l->reader);
    for (int o = p->n_ops - 1; o >= 0; o--)
        for (int i = 0; i < MOTE_OP_INPUTS; i++)
            if (p->ops[o].in[i] != MOTE_NONE) l->reader[p->ops[o].in[i]] = o;
    return MOTE_OK;
}

static const mote_tensor *first_weight(const mote_program *p, const mote_op *op) {
    for (int i = 0; i < MOTE_OP_INPUTS; i++)
        if (op->in[i] != MOTE_NONE && p->tensors[op->in[i]].role == MOTE_ROLE_WEIGHT) return &p->tensors[op->in[i]];
    return NULL;
}

static totals op_totals(const listing *l, int index) {
    const mote_program *p = l->program;
    const mote_op *op = &p->ops[index];
    mote_cost cost = mote_op_get(op->kind)->cost(p, op, l->position);
    totals t = {0, cost.flops, cost.weight_bytes, cost.state_bytes};
    for (int i = 0; i < MOTE_OP_INPUTS; i++) {
        const mote_tensor *in = op->in[i] == MOTE_NONE ? NULL : &p->tensors[op->in[i]];
        if (in && in->role == MOTE_ROLE_WEIGHT && l->reader[op->in[i]] == index)
            t.parameters += (uint64_t)in->rows * (uint64_t)in->cols;
    }
    return t;
}

static void add(totals *sum, const totals *t) {
    sum->parameters += t->parameters;
    sum->flops += t->flops;
    sum->weight_bytes += t->weight_bytes;
    sum->state_bytes += t->state_bytes;
}

/* ---- text */

typedef struct {
    size_t layer, op, flow, shape, type, parameters, flops, bytes; /* widths */
} widths;

/* Without "blk.N." where that is the op's own layer, which has a column of its own. */
static const char *short_name(const mote_program *p, const mote_op *op, mote_tensor_id id) {
    const char *name = p->tensors[id].name;
    char prefix[24];
    int n = snprintf(prefix, sizeof prefix, "blk.%d.", op->layer);
    return op->layer >= 0 && !strncmp(name, prefix, (size_t)n) ? name + n : name;
}

/* Of the outputs only the first: the others are what backward needs. Of the settings those in which layers differ. */
static void print_flow(mote_buffer *out, const mote_program *p, const mote_op *op) {
    bool first = true;
    for (int i = 0; i < MOTE_OP_INPUTS; i++)
        if (op->in[i] != MOTE_NONE) {
            mote_buffer_print(out, first ? "%s" : ", %s", short_name(p, op, op->in[i]));
            first = false;
        }
    mote_buffer_print(out, " -> %s", op->out[0] == MOTE_NONE ? "logits" : short_name(p, op, op->out[0]));
    if (op->kind == MOTE_OP_ATTENTION && op->as.attention.window > 0)
        mote_buffer_print(out, ", window %d", (int)op->as.attention.window);
    if (op->kind != MOTE_OP_ROPE) return;
    const mote_turns *turns = &op->as.rope.turns;
    if (turns->base != 10000) mote_buffer_print(out, ", base %g", (double)turns->base); /* what nearly all have */
    if (turns->scaling != MOTE_ROPE_PLAIN)
        mote_buffer_print(out, ", %s %g", mote_rope_scaling_name((mote_rope_scaling)turns->scaling),
                          (double)turns->factor);
}

static int output_columns(const mote_program *p, const mote_op *op) {
    if (op->kind == MOTE_OP_HEAD) return p->vocab;
    return op->out[0] == MOTE_NONE ? 0 : p->tensors[op->out[0]].cols;
}

/* One line; with `measure` only the widths grow. `flow` is a buffer to reuse. */
static void print_op(mote_buffer *out, const listing *l, int index, bool measure, widths *w, mote_buffer *flow) {
    const mote_program *p = l->program;
    const mote_op *op = &p->ops[index];
    const mote_tensor *weight = first_weight(p, op);
    totals t = op_totals(l, index);
    char layer[16] = "", shape[40], parameters[24] = "", flops[32], bytes[32];
    if (op->layer >= 0) snprintf(layer, sizeof layer, "%d", op->layer);
    if (weight && weight->rows > 1) snprintf(shape, sizeof shape, "%d x %d", (int)weight->rows, (int)weight->cols);
    else snprintf(shape, sizeof shape, "%d", output_columns(p, op));
    if (t.parameters) snprintf(parameters, sizeof parameters, "%" PRIu64, t.parameters);
    snprintf(flops, sizeof flops, "%.0f", t.flops);
    snprintf(bytes, sizeof bytes, "%.0f", t.weight_bytes + t.state_bytes);
    flow->size = 0;
    print_flow(flow, p, op);
    if (flow->failed) return;
    const char *name = mote_op_get(op->kind)->name, *type = weight ? mote_type_name(weight->type) : "";
    if (measure) {
#define WIDEN(column, text) w->column = strlen(text) > w->column ? strlen(text) : w->column
        WIDEN(layer, layer);
        WIDEN(op, name);
        WIDEN(flow, flow->bytes);
        WIDEN(shape, shape);
        WIDEN(type, type);
        WIDEN(parameters, parameters);
        WIDEN(flops, flops);
        WIDEN(bytes, bytes);
#undef WIDEN
    } else {
        mote_buffer_print(out, "%*s  %-*s  %-*s  %*s  %-*s  %*s  %*s  %*s\n", (int)w->layer, layer, (int)w->op, name,
                          (int)w->flow, flow->bytes, (int)w->shape, shape, (int)w->type, type, (int)w->parameters,
                          parameters, (int)w->flops, flops, (int)w->bytes, bytes);
    }
}

static void print_text(mote_buffer *out, const listing *l) {
    const mote_program *p = l->program;
    const mote_config *c = &l->model->config;
    totals sum = {0};
    mote_buffer flow = {0};
    for (int i = 0; i < p->n_ops; i++) {
        totals t = op_totals(l, i);
        add(&sum, &t);
    }
    widths w = {5, 2, 7, 5, 4, 10, 5, 5}; /* of the titles */
    char number[64];
    size_t n = (size_t)snprintf(number, sizeof number, "%" PRIu64, sum.parameters);
    if (n > w.parameters) w.parameters = n;
    n = (size_t)snprintf(number, sizeof number, "%.0f", sum.flops);
    if (n > w.flops) w.flops = n;
    n = (size_t)snprintf(number, sizeof number, "%.0f", sum.weight_bytes + sum.state_bytes);
    if (n > w.bytes) w.bytes = n;
    for (int i = 0; i < p->n_ops; i++) print_op(out, l, i, true, &w, &flow);
    mote_buffer_print(
        out,
        "%s: %s, vocabulary %d, context %d, width %d, %d layer%s, %d head%s (%d for keys and values) of %d, "
        "feed-forward %d\n",
        l->model->name ? l->model->name : "model", mote_family_name(c->family), c->vocab, c->context, c->dim, c->layers,
        c->layers == 1 ? "" : "s", c->heads, c->heads == 1 ? "" : "s", c->kv_heads, c->head_dim, c->hidden);
    mote_buffer_print(out, "one token at position %d: FLOPs, and bytes of weights and of keys and values read\n\n",
                      l->position);
    mote_buffer_print(out, "%*s  %-*s  %-*s  %*s  %-*s  %*s  %*s  %*s\n", (int)w.layer, "layer", (int)w.op, "op",
                      (int)w.flow, "program", (int)w.shape, "shape", (int)w.type, "type", (int)w.parameters,
                      "parameters", (int)w.flops, "FLOPs", (int)w.bytes, "bytes");
    for (int i = 0; i < p->n_ops; i++) print_op(out, l, i, false, &w, &flow);
    snprintf(number, sizeof number, "total of %d ops", p->n_ops);
    int left = (int)(w.layer + w.op + w.flow + w.shape + w.type) + 8;
    mote_buffer_print(out, "%-*s  %*" PRIu64 "  %*.0f  %*.0f\n", left, number, (int)w.parameters, sum.parameters,
                      (int)w.flops, sum.flops, (int)w.bytes, sum.weight_bytes + sum.state_bytes);
    out->failed |= flow.failed;
    mote_buffer_deinit(&flow);
}

/* ---- JSON */

static void json_string(mote_buffer *out, const char *key, const char *value) {
    mote_buffer_print(out, "\"%s\":", key);
    if (value) mote_buffer_json_string(out, value, strlen(value));
    else mote_buffer_print(out, "null");
}
static void json_number(mote_buffer *out, const char *key, double value) {
    mote_buffer_print(out, "\"%s\":", key);
    mote_buffer_json_number(out, value);
}
static void json_totals(mote_buffer *out, const totals *t) {
    mote_buffer_print(out, "\"parameters\":%" PRIu64, t->parameters);
    mote_buffer_print(out, ",\"flops\":%.0f,\"weight_bytes\":%.0f,\"state_bytes\":%.0f", t->flops, t->weight_bytes,
                      t->state_bytes);
}
static void json_names(mote_buffer *out, const char *key, const mote_program *p, const mote_tensor_id *ids, int n) {
    bool first = true;
    mote_buffer_print(out, "\"%s\":[", key);
    for (int i = 0; i < n; i++) {
        if (ids[i] == MOTE_NONE) continue;
        if (!first) mote_buffer_print(out, ",");
        mote_buffer_json_string(out, p->tensors[ids[i]].name, strlen(p->tensors[ids[i]].name));
        first = false;
    }
    mote_buffer_print(out, "]");
}

static void json_config(mote_buffer *out, const mote_config *c) {
    mote_buffer_print(out, "\"config\":{");
    json_string(out, "family", mote_family_name(c->family));
    mote_buffer_print(out, ",\"vocab\":%d,\"context\":%d,\"dim\":%d,\"layers\":%d,\"heads\":%d,\"kv_heads\":%d",
                      c->vocab, c->context, c->dim, c->layers, c->heads, c->kv_heads);
    mote_buffer_print(out, ",\"head_dim\":%d,\"hidden\":%d,\"window\":%d,\"tied\":%s,\"bias\":%s,\"qk_norm\":%s,",
                      c->head_dim, c->hidden, c->window, c->tied ? "true" : "false", c->bias ? "true" : "false",
                      c->qk_norm ? "true" : "false");
    json_number(out, "norm_epsilon", (double)c->norm_epsilon);
    mote_buffer_print(out, ",");
    json_number(out, "rope_base", (double)c->rope_base);
    mote_buffer_print(out, ",\"full_attention_period\":%d,\"no_rope_period\":%d,", c->full_attention_period,
                      c->no_rope_period);
    json_number(out, "rope_base_window", (double)c->rope_base_window);
    mote_buffer_print(out, ",");
    json_number(out, "query_scale", (double)c->query_scale);
    mote_buffer_print(out, ",\"rope_scaling\":\"%s\",", mote_rope_scaling_name(c->rope_scaling));
    json_number(out, "rope_factor", (double)c->rope_factor);
    mote_buffer_print(out, ",\"rope_original_context\":%d,", c->rope_original_context);
    json_number(out, "rope_low", (double)c->rope_low);
    mote_buffer_print(out, ",");
    json_number(out, "rope_high", (double)c->rope_high);
    mote_buffer_print(out, ",");
    json_number(out, "rope_attention_factor", (double)c->rope_attention_factor);
    mote_buffer_print(out, "}");
}

static void json_turns(mote_buffer *out, const mote_turns *t) {
    json_number(out, "base", (double)t->base);
    mote_buffer_print(out, ",\"head_dim\":%d", t->head_dim);
    if (t->scaling == MOTE_ROPE_PLAIN) return;
    mote_buffer_print(out, ",\"scaling\":\"%s\",", mote_rope_scaling_name((mote_rope_scaling)t->scaling));
    json_number(out, "factor", (double)t->factor);
    if (t->scaling == MOTE_ROPE_LINEAR) return;
    mote_buffer_print(out, ",\"original_context\":%d,", t->original_context);
    json_number(out, "low", (double)t->low);
    mote_buffer_print(out, ",");
    json_number(out, "high", (double)t->high);
    if (t->scaling == MOTE_ROPE_LLAMA3) return;
    mote_buffer_print(out, ",");
    json_number(out, "attention", (double)t->attention);
}

/* What an op is told beyond its tensors. */
static void json_settings(mote_buffer *out, const mote_op *op) {
    mote_buffer_print(out, ",\"settings\":{");
    switch (op->kind) {
    case MOTE_OP_EMBEDDING: json_number(out, "scale", (double)op->as.embedding.scale); break;
    case MOTE_OP_NORM:
        json_number(out, "epsilon", (double)op->as.norm.epsilon);
        mote_buffer_print(out, ",\"group\":%d,\"center\":%s", op->as.norm.group, op->as.norm.center ? "true" : "false");
        break;
    case MOTE_OP_ROPE:
        json_turns(out, &op->as.rope.turns);
        mote_buffer_print(out, ",\"halves\":%s", op->as.rope.halves ? "true" : "false");
        break;
    case MOTE_OP_ATTENTION:
        mote_buffer_print(out, "\"heads\":%d,\"kv_heads\":%d,\"head_dim\":%d,\"window\":%d,", op->as.attention.heads,
                          op->as.attention.kv_heads, op->as.attention.head_dim, (int)op->as.attention.window);
        mote_buffer_print(out, "\"q_column\":%d,\"k_column\":%d,\"v_column\":%d,", op->as.attention.q_column,
                          op->as.attention.k_column, op->as.attention.v_column);
        json_number(out, "scale", (double)op->as.attention.scale);
        break;
    case MOTE_OP_ACTIVATE:
        json_string(out, "function", op->as.activate.function == MOTE_ACTIVATION_SILU ? "silu" : "gelu");
        break;
    case MOTE_OP_DROPOUT: json_number(out, "probability", (double)op->as.dropout.probability); break;
    default: break;
    }
    mote_buffer_print(out, "}");
}

static void print_json(mote_buffer *out, const listing *l) {
    static const char *const roles[] = {"weight", "activation", "state", "input"};
    const mote_program *p = l->program;
    totals sum = {0};
    mote_buffer_print(out, "{");
    json_string(out, "name", l->model->name);
    mote_buffer_print(out, ",");
    json_config(out, &l->model->config);
    mote_buffer_print(out, ",\"position\":%d,\"tensors\":[", l->position);
    for (int i = 0; i < p->n_tensors; i++) {
        const mote_tensor *t = &p->tensors[i];
        mote_buffer_print(out, i ? ",\n{" : "\n{");
        json_string(out, "name", t->name);
        mote_buffer_print(out, ",\"role\":\"%s\",\"type\":\"%s\",", roles[t->role], mote_type_name(t->type));
        if (t->rows == MOTE_PER_TOKEN) mote_buffer_print(out, "\"rows\":null");
        else mote_buffer_print(out, "\"rows\":%d", (int)t->rows);
        mote_buffer_print(out, ",\"cols\":%d}", (int)t->cols);
    }
    mote_buffer_print(out, "],\"ops\":[");
    for (int i = 0; i < p->n_ops; i++) {
        const mote_op *op = &p->ops[i];
        totals t = op_totals(l, i);
        add(&sum, &t);
        mote_buffer_print(out, i ? ",\n{" : "\n{");
        mote_buffer_print(out, "\"index\":%d,", i);
        if (op->layer < 0) mote_buffer_print(out, "\"layer\":null,");
        else mote_buffer_print(out, "\"layer\":%d,", op->layer);
        json_string(out, "op", mote_op_get(op->kind)->name);
        mote_buffer_print(out, ",");
        json_names(out, "inputs", p, op->in, MOTE_OP_INPUTS);
        mote_buffer_print(out, ",");
        json_names(out, "outputs", p, op->out, MOTE_OP_OUTPUTS);
        mote_buffer_print(out, ",\"columns\":%d", output_columns(p, op));
        json_settings(out, op);
        mote_buffer_print(out, ",");
        json_totals(out, &t);
        mote_buffer_print(out, "}");
    }
    mote_buffer_print(out, "],\"total\":{\"ops\":%d,", p->n_ops);
    json_totals(out, &sum);
    mote_buffer_print(out, "}}\n");
}

mote_status mote_model_show(const mote_model *model, int position, bool json, char **text, mote_error *error) {
    if (!model || !text) return mote_fail(error, MOTE_USAGE, "showing needs a model and a place for the text");
    *text = NULL;
    if (position < 0 || position >= model->program->context)
        return mote_fail(error, MOTE_USAGE, "position is %d; the model has positions 0 to %d", position,
                         model->program->context - 1);
    listing l = {.model = model, .program = model->program, .position = position};
    mote_status status = find_readers(&l, error);
    if (status) return status;
    mote_buffer out = {0};
    if (json) print_json(&out, &l);
    else print_text(&out, &l);
    mote_release(l.reader);
    return mote_buffer_finish(&out, text, error);
}
