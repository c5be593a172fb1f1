/* The list of optimizers and the updater: which weights there are and how they are treated, their state, and the parts
 * a step is cut into. What the updater allocates is laid out by the same function that measures it. */
#include "train/optimizer.h"

#include <math.h>
#include <string.h>

static const mote_optimizer_info *const optimizers[] = {
    [MOTE_OPTIMIZER_ADAMW] = &mote_optimizer_adamw,
    [MOTE_OPTIMIZER_MUON] = &mote_optimizer_muon,
    [MOTE_OPTIMIZER_SGD] = &mote_optimizer_sgd,
};

const mote_optimizer_info *mote_optimizer_get(mote_optimizer optimizer) {
    return (unsigned)optimizer < sizeof optimizers / sizeof *optimizers ? optimizers[optimizer] : NULL;
}

/* A hidden matrix belongs to linear ops alone; a tied or separate output head, and tables, do not. */
static bool is_hidden(const mote_program *program, mote_tensor_id id) {
    const mote_tensor *t = &program->tensors[id];
    if (!t->matrix || t->rows <= 1 || t->cols <= 1) return false;
    for (int i = 0; i < program->n_ops; i++) {
        const mote_op *op = &program->ops[i];
        for (int k = 0; k < MOTE_OP_INPUTS; k++)
            if (op->in[k] == id && op->kind != MOTE_OP_LINEAR) return false;
    }
    return true;
}

/* Rows where the parts of a fused q, k, v product begin: three where an attention op reads them from one linear op. */
static int fused_rows(const mote_program *program, mote_tensor_id weight, int begin[3]) {
    begin[0] = 0;
    for (int i = 0; i < program->n_ops; i++) {
        const mote_op *attention = &program->ops[i];
        if (attention->kind != MOTE_OP_ATTENTION || attention->in[0] != attention->in[1] ||
            attention->in[0] != attention->in[2])
            continue;
        for (int j = 0; j < i; j++) {
            const mote_op *linear = &program->ops[j];
            if (linear->kind != MOTE_OP_LINEAR || linear->in[1] != weight || linear->out[0] != attention->in[0])
                continue;
            int q = attention->as.attention.q_column, k = attention->as.attention.k_column,
                v = attention->as.attention.v_column;
            if (q != 0 || k <= q || v <= k || v >= program->tensors[weight].rows) continue;
            begin[1] = k;
            begin[2] = v;
            return 3;
        }
    }
    return 1;
}

static void count_parts(const mote_program *program, const mote_optimizer_info *info, int *n_learned, size_t *n_chunks,
                        size_t *n_blocks, size_t *n_state, uint64_t *parameters) {
    *n_learned = 0;
    *n_chunks = *n_blocks = *n_state = 0;
    *parameters = 0;
    for (int id = 0; id < program->n_tensors; id++) {
        const mote_tensor *t = &program->tensors[id];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        int begin[3];
        mote_learned learned = {.tensor = t, .n = (size_t)t->rows * (size_t)t->cols};
        learned.hidden = is_hidden(program, (mote_tensor_id)id);
        ++*n_learned;
        *n_chunks += (learned.n + MOTE_UPDATE_CHUNK - 1) / MOTE_UPDATE_CHUNK;
        if (learned.hidden && info->scratch) *n_blocks += (size_t)fused_rows(program, (mote_tensor_id)id, begin);
        *n_state += (size_t)info->states(&learned) * learned.n;
        *parameters += learned.n;
    }
}

enum {
    SHARED_VALUES = 65536
}; /* from 256 x 256 on, a dozen barriers cost less than threads that wait for the last matrix */

static int list_blocks(const mote_program *program, int threads, mote_block *blocks) {
    int n = 0, learned = 0;
    for (int id = 0; id < program->n_tensors; id++) {
        const mote_tensor *t = &program->tensors[id];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        if (is_hidden(program, (mote_tensor_id)id)) {
            int begin[3], parts = fused_rows(program, (mote_tensor_id)id, begin);
            for (int i = 0; i < parts; i++) {
                int end = i + 1 < parts ? begin[i + 1] : t->rows;
                blocks[n++] = (mote_block){learned, begin[i], end - begin[i], t->cols, false};
                blocks[n - 1].shared = threads > 1 && (size_t)(end - begin[i]) * (size_t)t->cols >= SHARED_VALUES;
            }
        }
        learned++;
    }
    return n;
}

mote_status mote_updater_measure(const mote_program *program, const mote_train_options *options, int threads,
                                 mote_updater_bytes *bytes, mote_error *error) {
    memset(bytes, 0, sizeof *bytes);
    const mote_optimizer_info *info = mote_optimizer_get(options->optimizer);
    if (!info) return mote_fail(error, MOTE_USAGE, "there is no optimizer %d", (int)options->optimizer);
    int n_learned;
    size_t n_chunks, n_blocks, n_state;
    count_parts(program, info, &n_learned, &n_chunks, &n_blocks, &n_state, &bytes->parameters);
    if (n_chunks > INT32_MAX || n_blocks > INT32_MAX)
        return mote_fail(error, MOTE_USAGE, "a model of %llu parameters is too large to train",
                         (unsigned long long)bytes->parameters);
    if (n_blocks) {
        mote_block *blocks = mote_allocate_zero(n_blocks, sizeof *blocks);
        if (!blocks) return mote_fail_memory(error, "the list of matrices", n_blocks * sizeof *blocks);
        int n = list_blocks(program, threads, blocks);
        bytes->scratch = info->scratch(blocks, n, threads);
        mote_release(blocks);
    }
    bytes->state = n_state * sizeof(mote_real);
    bytes->average = options->average > 0 ? (size_t)bytes->parameters * sizeof(mote_real) : 0;
    bytes->tables = sizeof(mote_updater) + (size_t)n_learned * sizeof(mote_learned) +
                    n_chunks * (sizeof(mote_chunk) + sizeof(double)) + n_blocks * sizeof(mote_block);
    bytes->total = bytes->state + bytes->average + bytes->scratch + bytes->tables;
    return MOTE_OK;
}

static void lay_out(mote_updater *u, const mote_program *program, void *const *weight, mote_real *const *gradient) {
    mote_real *state = u->state, *average = u->average;
    int n = 0, chunk = 0;
    for (int id = 0; id < program->n_tensors; id++) {
        const mote_tensor *t = &program->tensors[id];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        mote_learned *learned = &u->learned[n];
        *learned = (mote_learned){
            .tensor = t,
            .id = (mote_tensor_id)id,
            .n = (size_t)t->rows * (size_t)t->cols,
            .decays = t->rows > 1 && t->cols > 1,
            .hidden = is_hidden(program, (mote_tensor_id)id),
            .value = weight[id],
            .gradient = gradient[id],
        };
        learned->n_states = u->info->states(learned);
        for (int k = 0; k < learned->n_states; k++, state += learned->n) learned->state[k] = state;
        if (average) {
            learned->average = average;
            memcpy(average, learned->value, learned->n * sizeof(mote_real));
            average += learned->n;
        }
        for (size_t at = 0; at < learned->n; at += MOTE_UPDATE_CHUNK) {
            size_t left = learned->n - at;
            u->chunks[chunk++] = (mote_chunk){n, at, left < MOTE_UPDATE_CHUNK ? left : MOTE_UPDATE_CHUNK};
        }
        n++;
    }
}

mote_status mote_updater_create(const mote_program *program, void *const *weight, mote_real *const *gradient,
                                const mote_train_options *options, mote_pool *pool, mote_updater **updater,
                                mote_error *error) {
    *updater = NULL;
    mote_updater_bytes bytes;
    int threads = mote_pool_threads(pool);
    mote_status status = mote_updater_measure(program, options, threads, &bytes, error);
    if (status != MOTE_OK) return status;
    mote_updater *u = mote_allocate_zero(1, sizeof *u);
    if (!u) return mote_fail_memory(error, "an optimizer", sizeof *u);
    u->info = mote_optimizer_get(options->optimizer);
    u->kernels = mote_kernels_get();
    u->pool = pool;
    u->options = *options;
    size_t n_chunks, n_blocks, n_state;
    uint64_t parameters;
    count_parts(program, u->info, &u->n_learned, &n_chunks, &n_blocks, &n_state, &parameters);
    u->n_chunks = (int)n_chunks;
    u->n_blocks = (int)n_blocks;
    u->learned = mote_allocate_zero((size_t)u->n_learned, sizeof *u->learned);
    u->chunks = mote_allocate_zero(n_chunks, sizeof *u->chunks);
    u->sums = mote_allocate_zero(n_chunks, sizeof *u->sums);
    u->state = mote_allocate_zero(n_state, sizeof *u->state);
    bool ok = u->learned && u->chunks && u->sums && u->state;
    if (ok && bytes.average) ok = (u->average = mote_allocate(bytes.average)) != NULL;
    if (ok && n_blocks) ok = (u->blocks = mote_allocate_zero(n_blocks, sizeof *u->blocks)) != NULL;
    if (ok && bytes.scratch) ok = (u->scratch = mote_allocate(bytes.scratch)) != NULL;
    if (!ok) {
        mote_updater_destroy(u);
        return mote_fail_memory(error, "the optimizer's state", bytes.total);
    }
    lay_out(u, program, weight, gradient);
    if (n_blocks) list_blocks(program, threads, u->blocks);
    *updater = u;
    return MOTE_OK;
}

void mote_updater_destroy(mote_updater *u) {
    if (!u) return;
    mote_release(u->learned);
    mote_release(u->chunks);
    mote_release(u->sums);
    mote_release(u->blocks);
    mote_release(u->state);
    mote_release(u->average);
    mote_release(u->scratch);
    mote_release(u);
}

/* ---- one step */

typedef struct {
    mote_updater *updater;
    const mote_update *update;
    double average;
    atomic_int next[MOTE_UPDATE_PHASES + 1];
} step_task;

static void task_init(step_task *task, mote_updater *updater, const mote_update *update) {
    task->updater = updater;
    task->update = update;
    task->average = 0;
    for (int i = 0; i <= MOTE_UPDATE_PHASES; i++) atomic_init(&task->next[i], 0);
}

static void sum_chunks(void *context, int thread, int n_threads) {
    (void)thread;
    (void)n_threads;
    step_task *task = context;
    mote_updater *u = task->updater;
    for (int part; (part = mote_take(&task->next[0])) < u->n_chunks;) {
        const mote_real *gradient = u->learned[u->chunks[part].learned].gradient + u->chunks[part].begin;
        u->sums[part] = u->kernels->dot(gradient, gradient, u->chunks[part].n);
    }
}

double mote_updater_gradient_norm(mote_updater *updater) {
    step_task task;
    task_init(&task, updater, NULL);
    mote_pool_run(updater->pool, sum_chunks, &task);
    double sum = 0;
    for (int i = 0; i < updater->n_chunks; i++) sum += updater->sums[i];
    return sqrt(sum);
}

static void average_chunk(const mote_updater *u, const mote_chunk *chunk, double decay) {
    const mote_learned *learned = &u->learned[chunk->learned];
    mote_real *average = learned->average + chunk->begin;
    u->kernels->scale((mote_real)decay, average, chunk->n);
    u->kernels->add_scaled((mote_real)(1.0 - decay), learned->value + chunk->begin, average, chunk->n);
}

static void run_step(void *context, int thread, int n_threads) {
    step_task *task = context;
    mote_updater *u = task->updater;
    u->info->update(u, task->update, task->next, thread, n_threads);
    if (!u->average) return;
    mote_pool_barrier(u->pool);
    for (int part; (part = mote_take(&task->next[MOTE_UPDATE_PHASES])) < u->n_chunks;)
        average_chunk(u, &u->chunks[part], task->average);
}

void mote_updater_step(mote_updater *updater, const mote_update *update) {
    step_task task;
    task_init(&task, updater, update);
    /* Early steps average over what there is: (1 + t) / (10 + t), as in TensorFlow's ExponentialMovingAverage. */
    double young = (1.0 + (double)update->step) / (10.0 + (double)update->step);
    task.average = young < updater->options.average ? young : updater->options.average;
    mote_pool_run(updater->pool, run_step, &task);
}
