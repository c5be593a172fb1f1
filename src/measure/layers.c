/* Decoding with many layers in the memory of one: a model whose layers all point to the same packed weights. Only the
 * pointers are shared; program, keys and values, activations and the walk are those of any model. The bytes of a matrix
 * are 16 random rows over and over: how fast a panel is read does not depend on what is in it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "base/threads.h"
#include "kernels/panels.h"
#include "models/model.h"
#include "ops/ops.h"

enum { MOST_TOKENS = 4096 };

/* ---- one layer's weights for all */

/* The tensor whose bytes this one has: the same part of layer 0, or itself. */
static mote_tensor_id twin_of(const mote_program *p, mote_tensor_id id) {
    char name[MOTE_NAME_BYTES + 8];
    int layer = 0, used = 0;
    if (sscanf(p->tensors[id].name, "blk.%d.%n", &layer, &used) != 1 || !used || layer == 0) return id;
    snprintf(name, sizeof name, "blk.0.%s", p->tensors[id].name + used);
    mote_tensor_id twin = mote_program_find(p, name);
    return twin == MOTE_NONE ? id : twin;
}

/* `rows` random rows of a type, with a deviation that keeps activations near 1. */
static mote_status random_rows(mote_type type, int rows, int cols, float *values, void *bytes) {
    mote_random random;
    mote_random_seed(&random, (uint64_t)cols);
    const size_t n = (size_t)cols;
    for (int r = 0; r < rows; r++) {
        for (size_t i = 0; i < n; i++) values[i] = (float)(mote_random_normal(&random) / sqrt((double)cols));
        mote_type_get(type)->from_f32(values, (char *)bytes + (size_t)r * mote_row_bytes(type, n), n);
    }
    return MOTE_OK;
}

static mote_status make_matrix(const mote_tensor *t, bool packed, void **out, mote_error *error) {
    const size_t cols = (size_t)t->cols, row = mote_row_bytes(t->type, cols), rows = (size_t)t->rows;
    const size_t unit = packed ? mote_packed_bytes(t->type, MOTE_PANEL, t->cols) : MOTE_PANEL * row;
    const size_t panels = (rows + MOTE_PANEL - 1) / MOTE_PANEL;
    float *values = mote_allocate(cols * sizeof *values);
    char *some = mote_allocate(MOTE_PANEL * row), *all = mote_allocate(panels * unit);
    mote_status status = MOTE_OK;
    if (!values || !some || !all) {
        status = mote_fail_memory(error, t->name, panels * unit);
    } else {
        random_rows(t->type, MOTE_PANEL, t->cols, values, some);
        if (!packed) memcpy(all, some, unit);
        else if (t->type == MOTE_TYPE_F32) mote_kernels_get()->pack[t->type](some, cols, MOTE_PANEL, t->cols, all);
        else mote_blocks_pack(t->type, some, row, MOTE_PANEL, t->cols, all);
        for (size_t i = 1; i < panels; i++) memcpy(all + i * unit, all, unit);
        *out = all;
        all = NULL;
    }
    mote_release(values);
    mote_release(some);
    mote_release(all);
    return status;
}

static mote_status make_vector(const mote_tensor *t, void **out, mote_error *error) {
    mote_real *values = mote_allocate((size_t)t->cols * sizeof *values);
    if (!values) return mote_fail_memory(error, t->name, (size_t)t->cols * sizeof *values);
    for (int i = 0; i < t->cols; i++) values[i] = t->start.mean;
    *out = values;
    return MOTE_OK;
}

static bool is_product(const mote_op *op) { return op->kind == MOTE_OP_LINEAR || op->kind == MOTE_OP_HEAD; }

static mote_status fill(mote_model *m, mote_type type, mote_layers_report *report, mote_error *error) {
    mote_program *p = m->program;
    mote_status status = MOTE_OK;
    for (int i = 0; i < p->n_tensors; i++)
        if (p->tensors[i].role == MOTE_ROLE_WEIGHT && p->tensors[i].rows > 1) p->tensors[i].type = type;
    for (int i = 0; i < p->n_ops && !status; i++) {
        const mote_op *op = &p->ops[i];
        for (int j = 0; j < MOTE_OP_INPUTS && !status; j++) {
            const mote_tensor_id id = op->in[j];
            if (id == MOTE_NONE || p->tensors[id].role != MOTE_ROLE_WEIGHT || twin_of(p, id) != id) continue;
            const mote_tensor *t = &p->tensors[id];
            const bool packed = is_product(op) && j == 1;
            void **place = packed ? &m->packed[id] : &m->weight[id];
            if (*place) continue;
            status = t->rows == 1 ? make_vector(t, place, error) : make_matrix(t, packed, place, error);
            size_t bytes = packed ? mote_packed_bytes(t->type, t->rows, t->cols)
                                  : (size_t)t->rows * mote_row_bytes(t->type, (size_t)t->cols);
            if (op->kind == MOTE_OP_HEAD) report->head_bytes += bytes;
            else if (op->kind == MOTE_OP_EMBEDDING) report->table_bytes += bytes;
            else if (op->layer == 0) report->layer_bytes += bytes;
        }
    }
    for (int i = 0; i < p->n_tensors && !status; i++) {
        if (p->tensors[i].role != MOTE_ROLE_WEIGHT) continue;
        m->weight[i] = m->weight[twin_of(p, (mote_tensor_id)i)];
        m->packed[i] = m->packed[twin_of(p, (mote_tensor_id)i)];
    }
    return status;
}

/* The model frees the panels of every tensor; here many have the same, and row-major weights are this file's too. */
static void close_model(mote_model *m) {
    if (!m) return;
    for (int i = 0; i < m->program->n_tensors; i++) {
        if (twin_of(m->program, (mote_tensor_id)i) == i) mote_release(m->weight[i]);
        else m->packed[i] = NULL;
        m->weight[i] = NULL;
    }
    mote_model_close(m);
}

/* ---- timing */

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median seconds of a token, after one that is not counted; `logits`: with the head. */
static mote_status decode(mote_session *session, int tokens, bool logits, double *median, mote_error *error) {
    double *took = mote_allocate((size_t)tokens * sizeof *took);
    if (!took) return mote_fail_memory(error, "timings", (size_t)tokens * sizeof *took);
    mote_status status = MOTE_OK;
    mote_session_truncate(session, 0, 0);
    for (int i = 0; i <= tokens && !status; i++) {
        const int32_t token = i % 2, position = i;
        const uint8_t wanted = logits;
        const mote_batch batch = {.n_tokens = 1, .token = &token, .position = &position, .want_logits = &wanted};
        const double start = mote_seconds();
        status = mote_session_run(session, &batch, error);
        if (i > 0) took[i - 1] = mote_seconds() - start;
    }
    qsort(took, (size_t)tokens, sizeof *took, ascending);
    *median = took[tokens / 2];
    mote_release(took);
    return status;
}

mote_status mote_layers_run(const mote_config *config, mote_type type, int tokens, int threads,
                            mote_layers_report *report, mote_error *error) {
    if (!config || !report) return mote_fail(error, MOTE_USAGE, "a config and a place for the report are needed");
    const mote_type_info *info = mote_type_get(type);
    if (!info || (type != MOTE_TYPE_F32 && !info->integer) || (type == MOTE_TYPE_F32 && sizeof(mote_real) > 4))
        return mote_fail(error, MOTE_USAGE, "layers run in f32, q8_0, q4_0, q3h, q43 and i8, not in %s",
                         info ? info->name : "an unknown type");
    if (tokens < 1 || tokens > MOST_TOKENS)
        return mote_fail(error, MOTE_USAGE, "%d tokens were asked for; 1 to %d are possible", tokens, MOST_TOKENS);
    *report = (mote_layers_report){.tokens = tokens};
    mote_config c = *config;
    mote_model *model = NULL;
    mote_session *session = NULL;
    if (c.family != MOTE_FAMILY_LLAMA) return mote_fail(error, MOTE_USAGE, "shared layers are those of a llama");
    if (c.context <= tokens) c.context = tokens + 1;
    mote_status status = mote_model_allocate(&c, false, &model, error);
    if (!status) status = fill(model, type, report, error);
    if (status) goto done;
    mote_session_options options = mote_session_options_default();
    options.threads = threads;
    options.batch_tokens = 1;
    status = mote_session_create(model, &options, &session, error);
    if (status) goto done;
    report->threads = mote_session_threads(session);
    report->session_bytes = mote_session_bytes(session);
    double layers = 0;
    status = decode(session, tokens, false, &layers, error);
    if (!status) status = decode(session, tokens, true, &report->token_seconds, error);
    report->layer_seconds = layers / c.layers;
    report->bytes_per_second = ((double)report->layer_bytes * c.layers + (double)report->head_bytes) /
                               fmax(report->token_seconds, 1e-9);
    for (int i = 0; !status && i < model->config.vocab; i++)
        if (!isfinite(mote_session_logits(session, 0)[i]))
            status = mote_fail(error, MOTE_FAILED, "logit %d of %d layers is not finite", i, c.layers);
done:
    mote_session_destroy(session);
    close_model(model);
    return status;
}
