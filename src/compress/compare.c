/* What compression cost: two models over one text, token by token, and their speeds in turns. Windows are those of
 * mote_evaluate: they do not overlap, and each token after the first is predicted once. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compress/compress.h"
#include "run/session.h"
#include "text/dataset.h"

enum { MOST_ROWS = 512, LEAST_ROWS = 16, MOST_WINDOW = 8192 };
static const size_t most_logits_bytes = 32u << 20;

typedef struct {
    double kl, loss_before, loss_after;
    bool same;
} token_result;

typedef struct {
    const mote_model *model[2];
    mote_session *session[2];
    const mote_dataset *dataset;
    mote_split split;
    uint64_t n_tokens, n_windows, n_chosen, most_last;
    int window, rows, slots; /* a batch: whole windows of `slots` sequences, or a part of one window */
    /* the batch */
    int n;
    int32_t *token, *position, *sequence, *target;
    uint8_t *wanted, *is_target;
    mote_real *logits[2]; /* by thread: a row of each */
    token_result *result;
    atomic_int next;
    /* sums */
    float *kl;
    double loss_before, loss_after, kl_sum;
    uint64_t counted, agreed;
} comparison;

static int first_of_largest(const mote_real *values, int n) {
    int best = 0;
    for (int i = 1; i < n; i++)
        if (values[i] > values[best]) best = i;
    return best;
}

/* KL(p || q) = sum p (log p - log q), where log p = logit - log sum of exponentials. */
static void compare_token(const comparison *k, int i, int thread, token_result *out) {
    const mote_kernels *kernels = mote_kernels_get();
    const int vocab = k->model[0]->program->vocab;
    const float *logits[2] = {mote_session_logits(k->session[0], i), mote_session_logits(k->session[1], i)};
    mote_real *p[2], log_sum[2];
    int best[2];
    for (int m = 0; m < 2; m++) {
        p[m] = k->logits[m] + (size_t)thread * (size_t)vocab;
        for (int v = 0; v < vocab; v++) p[m][v] = (mote_real)logits[m][v];
        best[m] = first_of_largest(p[m], vocab);
        kernels->softmax(&(mote_softmax){.scores = p[m], .scores_row = (size_t)vocab, .rows = 1, .width = vocab,
                                         .high = vocab, .scale = 1, .log_sum = &log_sum[m], .log_sum_row = 1});
    }
    double sum = 0, shift = (double)log_sum[1] - (double)log_sum[0];
    for (int v = 0; v < vocab; v++) sum += (double)p[0][v] * ((double)logits[0][v] - (double)logits[1][v] + shift);
    const int target = k->target[i];
    *out = (token_result){.kl = sum < 0 ? 0 : sum, .same = best[0] == best[1]}; /* rounding can make it -1e-9 */
    out->loss_before = (double)log_sum[0] - (double)logits[0][target];
    out->loss_after = (double)log_sum[1] - (double)logits[1][target];
}

static void compare_task(void *context, int thread, int threads) {
    (void)threads;
    comparison *k = context;
    for (int i; (i = mote_take(&k->next)) < k->n;)
        if (k->target[i] >= 0) compare_token(k, i, thread, &k->result[i]);
}

static mote_status run_batch(comparison *k, mote_pool *pool, mote_error *error) {
    const mote_batch batch = {k->n, k->token, k->position, k->sequence, k->wanted};
    for (int m = 0; m < 2; m++) {
        mote_status status = mote_session_run(k->session[m], &batch, error);
        if (status != MOTE_OK) return status;
    }
    atomic_store(&k->next, 0);
    mote_pool_run(pool, compare_task, k);
    for (int i = 0; i < k->n; i++) {
        if (k->target[i] < 0) continue;
        k->kl[k->counted++] = (float)k->result[i].kl;
        k->kl_sum += k->result[i].kl;
        k->loss_before += k->result[i].loss_before;
        k->loss_after += k->result[i].loss_after;
        k->agreed += k->result[i].same;
    }
    k->n = 0;
    return MOTE_OK;
}

/* The windows of mote_evaluate: all, or the middles of n_chosen equal parts of the text. */
static mote_status run_windows(comparison *k, mote_pool *pool, mote_error *error) {
    mote_status status = MOTE_OK;
    for (uint64_t i = 0; i < k->n_chosen && status == MOTE_OK; i++) {
        uint64_t begin = (uint64_t)(((unsigned __int128)(2 * i + 1) * k->n_windows) /
                                    (2 * (unsigned __int128)k->n_chosen)) * (uint64_t)k->window;
        uint64_t length = k->n_tokens - 1 - begin;
        if (length > k->most_last) length = k->most_last;
        const int slot = (int)(i % (uint64_t)k->slots);
        for (int m = 0; m < 2 && slot == 0; m++)
            for (int s = 0; s < k->slots; s++) mote_session_truncate(k->session[m], s, 0);
        for (int at = 0, part; at < (int)length && status == MOTE_OK; at += part) {
            part = (int)length - at < k->rows ? (int)length - at : k->rows;
            int32_t *token = k->token + k->n;
            mote_dataset_read(k->dataset, k->split, (size_t)begin + (size_t)at, (size_t)part + 1, token, k->is_target);
            for (int t = 0; t < part; t++) {
                k->position[k->n + t] = at + t;
                k->sequence[k->n + t] = slot;
                k->target[k->n + t] = k->is_target[t + 1] ? token[t + 1] : -1;
            }
            k->n += part;
            if (slot + 1 == k->slots || i + 1 == k->n_chosen || k->slots == 1) status = run_batch(k, pool, error);
        }
    }
    return status;
}

static int ascending(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return isnan(x) || isnan(y) ? isnan(x) - isnan(y) : (x > y) - (x < y); /* NaN last: it meets no gate */
}

static mote_status check_models(const mote_model *before, const mote_model *after, mote_error *error) {
    if (before->program->vocab != after->program->vocab)
        return mote_fail(error, MOTE_USAGE, "models of %d and of %d tokens cannot be compared", before->program->vocab,
                         after->program->vocab);
    return MOTE_OK;
}

static mote_status prepare(comparison *k, uint64_t max_tokens, int threads, mote_error *error) {
    const int contexts[2] = {k->model[0]->program->context, k->model[1]->program->context};
    const size_t row = (size_t)k->model[0]->program->vocab * sizeof(float);
    k->n_tokens = mote_dataset_tokens(k->dataset, k->split);
    if (k->n_tokens < 2)
        return mote_fail(error, MOTE_USAGE, "this part of the text has %llu token%s; a comparison needs 2 at least",
                         (unsigned long long)k->n_tokens, k->n_tokens == 1 ? "" : "s");
    if (mote_dataset_vocab(k->dataset) > k->model[0]->program->vocab)
        return mote_fail(error, MOTE_USAGE, "the text was encoded with %d tokens, the models have only %d",
                         mote_dataset_vocab(k->dataset), k->model[0]->program->vocab);
    k->window = contexts[0] < contexts[1] ? contexts[0] : contexts[1];
    if (k->window > MOST_WINDOW) k->window = MOST_WINDOW;
    k->most_last = (uint64_t)k->window;
    k->n_windows = k->n_chosen = (k->n_tokens - 2) / (uint64_t)k->window + 1;
    if (max_tokens > 0 && max_tokens < k->n_tokens - 1) {
        k->n_chosen = max_tokens / (uint64_t)k->window;
        if (k->n_chosen == 0) k->n_chosen = 1, k->most_last = max_tokens;
    }
    size_t most = most_logits_bytes / row;
    k->rows = most > MOST_ROWS ? MOST_ROWS : most < LEAST_ROWS ? LEAST_ROWS : (int)most;
    k->slots = k->rows > k->window ? k->rows / k->window : 1;
    k->rows = k->slots > 1 || k->rows > k->window ? k->window : k->rows; /* of one window at a time */
    const size_t rows = (size_t)k->rows * (size_t)k->slots, tokens = (size_t)k->n_chosen * (size_t)k->window;
    k->token = mote_allocate_zero(rows + 1, sizeof *k->token);
    k->position = mote_allocate_zero(rows, sizeof *k->position);
    k->sequence = mote_allocate_zero(rows, sizeof *k->sequence);
    k->target = mote_allocate_zero(rows, sizeof *k->target);
    k->is_target = mote_allocate_zero((size_t)k->rows + 1, 1);
    k->wanted = mote_allocate(rows);
    k->result = mote_allocate_zero(rows, sizeof *k->result);
    k->kl = mote_allocate_zero(tokens, sizeof *k->kl);
    for (int m = 0; m < 2; m++)
        k->logits[m] = mote_allocate_zero((size_t)threads * row, sizeof(mote_real) / sizeof(float));
    if (!k->token || !k->position || !k->sequence || !k->target || !k->is_target || !k->wanted || !k->result ||
        !k->kl || !k->logits[0] || !k->logits[1])
        return mote_fail_memory(error, "comparing two models", tokens * sizeof *k->kl + (size_t)threads * row * 4);
    memset(k->wanted, 1, rows);
    mote_session_options options = mote_session_options_default();
    options.context = k->window;
    options.sequences = k->slots;
    options.batch_tokens = (int)rows;
    options.threads = threads;
    mote_status status = mote_session_create(k->model[0], &options, &k->session[0], error);
    return status == MOTE_OK ? mote_session_create(k->model[1], &options, &k->session[1], error) : status;
}

mote_status mote_model_compare(const mote_model *before, const mote_model *after, const mote_dataset *dataset,
                               mote_split split, uint64_t max_tokens, int threads, mote_comparison *result,
                               mote_error *error) {
    if (!before || !after || !dataset || !result)
        return mote_fail(error, MOTE_USAGE, "a comparison needs two models, a dataset and a result");
    comparison k = {.model = {before, after}, .dataset = dataset, .split = split};
    mote_pool *pool = NULL;
    *result = (mote_comparison){0};
    mote_status status = check_models(before, after, error);
    if (status == MOTE_OK) status = mote_pool_for(threads, &pool, error);
    if (status == MOTE_OK) status = prepare(&k, max_tokens, pool ? mote_pool_threads(pool) : 1, error);
    if (status == MOTE_OK) status = run_windows(&k, pool, error);
    if (status == MOTE_OK && k.counted == 0)
        status = mote_fail(error, MOTE_BAD_FILE, "none of the tokens compared is a target: nothing to measure");
    if (status == MOTE_OK) {
        const double n = (double)k.counted;
        qsort(k.kl, (size_t)k.counted, sizeof *k.kl, ascending);
        *result = (mote_comparison){
            .perplexity_before = exp(k.loss_before / n),
            .perplexity_after = exp(k.loss_after / n),
            .kl_mean = k.kl_sum / n,
            .kl_p99 = (double)k.kl[(k.counted - 1) * 99 / 100],
            .top1_agreement = (double)k.agreed / n,
            .tokens = k.counted,
        };
    }
    for (int m = 0; m < 2; m++) {
        mote_session_destroy(k.session[m]);
        mote_release(k.logits[m]);
    }
    mote_pool_destroy(pool);
    mote_release(k.token);
    mote_release(k.position);
    mote_release(k.sequence);
    mote_release(k.target);
    mote_release(k.is_target);
    mote_release(k.wanted);
    mote_release(k.result);
    mote_release(k.kl);
    return status;
}

/* ---- speed */

/* Weights as they run (rows for the table, panels for products, f32 where no kernel reads the type) and a session of
 * the whole context. */
static mote_status ram_of(const mote_model *model, int threads, uint64_t *bytes, mote_error *error) {
    const mote_program *p = model->program;
    mote_session_options options = mote_session_options_default();
    mote_exec_bytes exec;
    size_t lists;
    options.threads = threads;
    mote_status status = mote_session_measure(p, &options, &exec, &lists, &threads, error);
    if (status != MOTE_OK) return status;
    *bytes = exec.total + lists;
    for (int id = 0; id < p->n_tensors; id++) {
        const mote_tensor *t = &p->tensors[id];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        *bytes += (uint64_t)t->rows * mote_row_bytes(t->type, (size_t)t->cols);
        if (model->packed[id]) *bytes += mote_packed_bytes(t->type, t->rows, t->cols);
    }
    return MOTE_OK;
}

/* Tokens a second of decoding n tokens, from an empty context on. The tokens do not matter, so they are fixed. */
static mote_status decode(const mote_model *model, mote_session *session, int n, double *speed, mote_error *error) {
    mote_status status = MOTE_OK;
    mote_session_truncate(session, 0, 0);
    const double begin = mote_seconds();
    for (int i = 0; i < n && status == MOTE_OK; i++) {
        const int32_t token = (int32_t)((unsigned)i * 7919u % (unsigned)model->program->vocab), position = i;
        status = mote_session_run(session, &(mote_batch){1, &token, &position, NULL, NULL}, error);
    }
    const double seconds = mote_seconds() - begin;
    if (seconds > 0 && n / seconds > *speed) *speed = n / seconds;
    return status;
}

mote_status mote_model_compare_speed(const mote_model *before, const mote_model *after, int threads,
                                     mote_speed_comparison *result, mote_error *error) {
    enum { TOKENS = 64, LEAST_TURNS = 3, MOST_TURNS = 40 };
    const double most_seconds = 1;
    if (!before || !after || !result) return mote_fail(error, MOTE_USAGE, "a comparison needs two models and a result");
    const mote_model *model[2] = {before, after};
    mote_session *session[2] = {NULL, NULL};
    double speed[2] = {0, 0};
    mote_session_options options = mote_session_options_default();
    options.threads = threads;
    options.batch_tokens = 1;
    mote_status status = MOTE_OK;
    *result = (mote_speed_comparison){0};
    for (int m = 0; m < 2 && status == MOTE_OK; m++) {
        options.context = model[m]->program->context < TOKENS ? model[m]->program->context : TOKENS;
        status = mote_session_create(model[m], &options, &session[m], error);
    }
    /* In turns, so that what else the machine does meets both alike. */
    const double begin = mote_seconds();
    for (int turn = 0; turn < MOST_TURNS && status == MOTE_OK; turn++) {
        for (int m = 0; m < 2 && status == MOTE_OK; m++) {
            int context = model[m]->program->context;
            status = decode(model[m], session[m], context < TOKENS ? context : TOKENS, &speed[m], error);
        }
        if (turn + 1 >= LEAST_TURNS && mote_seconds() - begin > most_seconds) break;
    }
    result->tokens_per_second_before = speed[0];
    result->tokens_per_second_after = speed[1];
    if (status == MOTE_OK) status = ram_of(before, threads, &result->ram_bytes_before, error);
    if (status == MOTE_OK) status = ram_of(after, threads, &result->ram_bytes_after, error);
    mote_session_destroy(session[0]);
    mote_session_destroy(session[1]);
    return status;
}
