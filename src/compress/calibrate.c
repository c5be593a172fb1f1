/* Runs a model over a calibration text and sums up, for every activation that a product reads, x x^T (or only the
 * squares). The executor shows each tile before the first product that reads it; its rows are copied aside, because the
 * memory of an activation serves others later, and summed after the batch by a product over its rows. Work is split
 * over the entries of the sums and never over tokens: the same bits for any number of threads. What does not fit into
 * the memory allowed at once is left to further passes over the text. */
#include <stdint.h>
#include <string.h>

#include "compress/compress.h"
#include "run/session.h"
#include "text/dataset.h"

enum { BATCH_ROWS = 1024, LEAST_ROWS = 64, PART = 96 };
static const size_t most_copied_bytes = 256u << 20;

typedef struct {
    mote_calibration *calibration;
    mote_exec *exec;
    int *of_op; /* by op: the moments that begin to be read there, or -1 */
    const mote_calibration_request *request;
    atomic_int next;
    /* the batch */
    int32_t *token, *position;
    uint8_t *is_target;
    mote_sequence *sequence;
    int rows, window;
} collection;

static mote_tensor_id product_input(const mote_op *op) {
    return op->kind == MOTE_OP_LINEAR || op->kind == MOTE_OP_HEAD ? op->in[0] : MOTE_NONE;
}

/* Finds what is to be summed; its memory comes later. */
static mote_status find_moments(const mote_program *p, mote_calibration *c, mote_error *error) {
    c->moments = mote_allocate_zero((size_t)p->n_ops + 1, sizeof *c->moments);
    c->of_weight = mote_allocate((size_t)p->n_tensors * sizeof *c->of_weight + 1);
    if (!c->moments || !c->of_weight) return mote_fail_memory(error, "calibration", (size_t)p->n_ops * 64);
    for (int i = 0; i < p->n_tensors; i++) c->of_weight[i] = -1;
    for (int i = 0; i < p->n_ops; i++) {
        mote_tensor_id x = product_input(&p->ops[i]);
        int j = 0;
        if (x == MOTE_NONE) continue;
        while (j < c->n && c->moments[j].activation != x) j++;
        if (j == c->n) c->moments[c->n++] = (mote_moments){.activation = x, .first_op = i, .cols = p->tensors[x].cols};
        c->of_weight[p->ops[i].in[1]] = j;
    }
    return MOTE_OK;
}

/* Rows of a batch and of a window. They follow from the model alone, so that the sums do not depend on the passes. */
static void settle_rows(const mote_program *p, const mote_calibration *c, int *rows, int *window) {
    size_t row = 1, most;
    for (int j = 0; j < c->n; j++) row += (size_t)c->moments[j].cols * sizeof(mote_real);
    most = most_copied_bytes / row;
    most = most < LEAST_ROWS ? LEAST_ROWS : most > BATCH_ROWS ? BATCH_ROWS : most;
    *window = p->context < (int)most ? p->context : (int)most;
    *rows = (int)most / *window * *window;
}

/* What one activation takes; SIZE_MAX: it does not fit a number. */
static size_t bytes_of(const mote_calibration_request *request, const mote_moments *m, int rows) {
    const size_t cols = (size_t)m->cols, value = sizeof(mote_real);
    size_t gram = 0, batch, bytes;
    if (request->grams && (!mote_multiply(cols, cols, &gram) || !mote_multiply(gram, value, &gram))) return SIZE_MAX;
    if (!mote_multiply((size_t)rows * value, cols, &batch) || !mote_add(gram, batch, &bytes) ||
        !mote_add(bytes, 2 * cols * sizeof(float) + 4 * 128, &bytes))
        return SIZE_MAX;
    if (request->ranges && !mote_add(bytes, MOTE_RANGE_BINS * sizeof(mote_range_bin), &bytes)) return SIZE_MAX;
    return bytes;
}

/* How many activations this pass takes. */
static mote_status settle_pass(collection *k, const mote_program *p, mote_error *error) {
    mote_calibration *c = k->calibration;
    const size_t most = k->request->most_bytes ? k->request->most_bytes : SIZE_MAX - 1;
    c->first = c->end = k->request->first;
    c->bytes = 0;
    for (; c->end < c->n; c->end++) {
        size_t bytes;
        if (!mote_add(c->bytes, bytes_of(k->request, &c->moments[c->end], k->rows), &bytes)) bytes = SIZE_MAX;
        if (bytes > most) break;
        c->bytes = bytes;
    }
    if (c->end > c->first || c->first >= c->n) return MOTE_OK;
    mote_fail(error, MOTE_MEMORY, "calibrating '%s', an activation of %d values, takes %zu bytes, and %zu are allowed",
              p->tensors[c->moments[c->first].activation].name, c->moments[c->first].cols,
              bytes_of(k->request, &c->moments[c->first], k->rows), most);
    return mote_hint(error, MOTE_MEMORY, "allow more, or use the method search, which takes few");
}

static mote_status allocate(collection *k, const mote_program *p, mote_error *error) {
    mote_calibration *c = k->calibration;
    const size_t rows = (size_t)k->rows;
    k->of_op = mote_allocate((size_t)p->n_ops * sizeof *k->of_op + 1);
    k->token = mote_allocate_zero(rows, sizeof *k->token);
    k->position = mote_allocate_zero(rows, sizeof *k->position);
    k->is_target = mote_allocate_zero(rows, 1);
    k->sequence = mote_allocate_zero(rows, sizeof *k->sequence);
    bool ok = k->of_op && k->token && k->position && k->is_target && k->sequence;
    for (int j = c->first; j < c->end && ok; j++) {
        mote_moments *m = &c->moments[j];
        size_t cols = (size_t)m->cols;
        m->rows = mote_allocate_zero(rows * cols, sizeof *m->rows);
        m->diagonal = mote_allocate_zero(cols, sizeof *m->diagonal);
        m->paid = mote_allocate_zero(cols, sizeof *m->paid);
        if (k->request->grams) m->gram = mote_allocate_zero(cols * cols, sizeof *m->gram);
        if (k->request->ranges) m->bins = mote_allocate_zero(MOTE_RANGE_BINS, sizeof *m->bins);
        ok = m->rows && m->diagonal && m->paid && (m->gram || !k->request->grams) && (m->bins || !k->request->ranges);
    }
    if (!ok) return mote_fail_memory(error, "calibration", c->bytes);
    for (int i = 0; i < p->n_ops; i++) k->of_op[i] = -1;
    for (int j = c->first; j < c->end; j++) k->of_op[c->moments[j].first_op] = j;
    return MOTE_OK;
}

static void copy_rows(const collection *k, const mote_exec *x, int j, int begin, int end) {
    const mote_moments *m = &k->calibration->moments[j];
    size_t cols = (size_t)m->cols;
    memcpy(m->rows + (size_t)begin * cols, mote_value(x, m->activation, begin),
           (size_t)(end - begin) * cols * sizeof *m->rows);
}

static void observe(const mote_exec *x, int op, int begin, int end) {
    const collection *k = x->observer;
    if (k->of_op[op] >= 0) copy_rows(k, x, k->of_op[op], begin, end);
}

/* Adds the batch to rows [begin, end) of one sum; of a gram, to what stands on and above the diagonal. */
static void add_part(const collection *k, const mote_moments *m, int begin, int end) {
    const size_t cols = (size_t)m->cols;
    const mote_real *x = m->rows;
    if (!m->gram) {
        for (int r = 0; r < k->exec->n_rows; r++)
            for (int i = begin; i < end; i++)
                m->diagonal[i] += (float)(x[(size_t)r * cols + (size_t)i] * x[(size_t)r * cols + (size_t)i]);
        return;
    }
    mote_real *c = m->gram + (size_t)begin * cols + begin;
    mote_gemm g = {
        .rows = end - begin,
        .columns = m->cols - begin,
        .depth = k->exec->n_rows,
        .a = x + begin,
        .a_row = 1,
        .a_depth = cols,
        .b = x + begin,
        .b_panel = MOTE_PANEL,
        .b_depth = cols,
        .c = c,
        .c_row = cols,
        .start = c,
        .start_row = cols,
    };
    k->exec->kernels->gemm[MOTE_TYPE_F32](&g);
}

/* Parts of all sums of the pass, one after the other; a first one of each that looks at its range. */
static void add_task(void *context, int thread, int threads) {
    (void)thread, (void)threads;
    collection *k = context;
    const mote_calibration *c = k->calibration;
    int j = c->first, before = 0;
    for (int part; part = mote_take(&k->next), true;) {
        while (j < c->end && part > before + (c->moments[j].cols + PART - 1) / PART)
            before += 1 + (c->moments[j++].cols + PART - 1) / PART;
        if (j == c->end) return;
        const mote_moments *m = &c->moments[j];
        if (part == before) {
            if (m->bins) mote_range_add(m->bins, m->rows, (size_t)k->exec->n_rows * (size_t)m->cols);
            continue;
        }
        int begin = (part - before - 1) * PART;
        add_part(k, m, begin, begin + PART < m->cols ? begin + PART : m->cols);
    }
}

static void run_batch(collection *k, mote_pool *pool) {
    mote_exec *x = k->exec;
    const mote_calibration *c = k->calibration;
    mote_exec_forward(x);
    for (int j = c->first; j < c->end; j++) /* the head reads its input last of all, so it is still there */
        if (!mote_op_get(x->program->ops[c->moments[j].first_op].kind)->row_wise) copy_rows(k, x, j, 0, x->n_rows);
    atomic_store(&k->next, 0);
    mote_pool_run(pool, add_task, k);
    k->calibration->tokens += (uint64_t)x->n_rows;
}

/* The windows of the text, or as many as max_tokens allows, from the middles of equal parts of it. */
static void run_windows(collection *k, const mote_dataset *dataset, mote_split split, uint64_t max_tokens,
                        mote_pool *pool) {
    const uint64_t n_tokens = mote_dataset_tokens(dataset, split), window = (uint64_t)k->window;
    const uint64_t n_windows = (n_tokens + window - 1) / window;
    uint64_t chosen = max_tokens ? (max_tokens + window - 1) / window : n_windows;
    if (chosen > n_windows) chosen = n_windows;
    mote_exec *x = k->exec;
    x->n_rows = x->n_sequences = 0;
    for (uint64_t i = 0; i < chosen; i++) {
        uint64_t begin = (uint64_t)(((unsigned __int128)(2 * i + 1) * n_windows) / (2 * (unsigned __int128)chosen));
        begin *= window;
        int row = x->n_rows, n = (int)(n_tokens - begin < window ? n_tokens - begin : window);
        mote_dataset_read(dataset, split, (size_t)begin, (size_t)n, k->token + row, k->is_target + row);
        for (int t = 0; t < n; t++) k->position[row + t] = t;
        k->sequence[x->n_sequences] = (mote_sequence){.begin = row, .end = row + n, .slot = x->n_sequences};
        x->n_sequences++;
        x->n_rows += n;
        if (x->n_rows + k->window > k->rows || i + 1 == chosen) {
            run_batch(k, pool);
            x->n_rows = x->n_sequences = 0;
        }
    }
}

/* Sums -> means, both triangles, the diagonal apart. */
static void finish(mote_calibration *c) {
    for (int j = c->first; j < c->end; j++) {
        mote_moments *m = &c->moments[j];
        const size_t n = (size_t)m->cols;
        const mote_real scale = 1 / (mote_real)c->tokens;
        for (size_t i = 0; i < n && m->gram; i++) {
            for (size_t l = i; l < n; l++) m->gram[l * n + i] = m->gram[i * n + l] *= scale;
            m->diagonal[i] = (float)m->gram[i * n + i];
        }
        for (size_t i = 0; i < n && !m->gram; i++) m->diagonal[i] *= (float)scale;
        mote_release(m->rows);
        m->rows = NULL;
    }
}

mote_status mote_calibrate(const mote_model *model, const mote_calibration_request *request, mote_pool *pool,
                           mote_calibration *calibration, mote_error *error) {
    const mote_program *p = model->program;
    const mote_dataset *dataset = request->dataset;
    collection k = {.calibration = calibration, .request = request};
    *calibration = (mote_calibration){0};
    if (mote_dataset_vocab(dataset) > p->vocab)
        return mote_fail(error, MOTE_USAGE, "the text was encoded with %d tokens, the model has only %d",
                         mote_dataset_vocab(dataset), p->vocab);
    if (mote_dataset_tokens(dataset, request->split) < 1)
        return mote_fail(error, MOTE_USAGE, "there are no tokens in this part of the text to calibrate with");
    mote_status status = find_moments(p, calibration, error);
    if (status == MOTE_OK) {
        settle_rows(p, calibration, &k.rows, &k.window);
        status = settle_pass(&k, p, error);
    }
    if (status == MOTE_OK) status = allocate(&k, p, error);
    if (status == MOTE_OK) status = mote_model_pack_shared(model, error);
    if (status != MOTE_OK) goto done;
    const mote_exec_options how = {.max_rows = k.rows, .max_sequences = k.rows / k.window,
                                   .slots = k.rows / k.window, .context = k.window};
    status = mote_exec_create(p, model->weight, model->packed, pool, &how, &k.exec, error);
    if (status != MOTE_OK) goto done;
    k.exec->token = k.token;
    k.exec->position = k.position;
    k.exec->sequence = k.sequence;
    k.exec->observe = observe;
    k.exec->observer = &k;
    run_windows(&k, dataset, request->split, request->max_tokens, pool);
    finish(calibration);
done:
    mote_exec_destroy(k.exec);
    mote_release(k.of_op);
    mote_release(k.token);
    mote_release(k.position);
    mote_release(k.is_target);
    mote_release(k.sequence);
    if (status != MOTE_OK) mote_calibration_deinit(calibration);
    return status;
}

mote_status mote_calibration_bytes(const mote_model *model, const mote_calibration_request *request, size_t *bytes,
                                   mote_error *error) {
    mote_calibration c = {0};
    mote_status status = find_moments(model->program, &c, error);
    int rows, window;
    *bytes = 0;
    if (status == MOTE_OK) settle_rows(model->program, &c, &rows, &window);
    for (int j = 0; j < c.n && status == MOTE_OK; j++)
        if (!mote_add(*bytes, bytes_of(request, &c.moments[j], rows), bytes)) {
            *bytes = SIZE_MAX;
            break;
        }
    mote_calibration_deinit(&c);
    return status;
}

void mote_calibration_deinit(mote_calibration *c) {
    for (int j = 0; j < c->n; j++) {
        mote_release(c->moments[j].rows);
        mote_release(c->moments[j].gram);
        mote_release(c->moments[j].diagonal);
        mote_release(c->moments[j].paid);
        mote_release(c->moments[j].bins);
    }
    mote_release(c->moments);
    mote_release(c->of_weight);
    *c = (mote_calibration){0};
}
