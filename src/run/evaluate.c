/* The loss of a model over a text. Windows of the context do not overlap, and window w predicts tokens w T + 1 to w T +
 * T: each token after the first exactly once, with less context at the beginning of a window than at its end.
 *
 * Losses are added in the order of the tokens, in double, and a row's loss does not depend on the other rows of its
 * batch: the result has the same bits for every batch size and number of threads. */
#include "run/evaluate.h"

#include <math.h>

#include "base/memory.h"
#include "run/session.h"

/* Rows of a batch: enough to use a weight panel for many rows, few enough for the caches. A window is read in one
 * batch, so its activations bound the memory: models with a longer context than MOST_WINDOW are evaluated in windows of
 * that. */
enum { BATCH_ROWS = 1024, MOST_WINDOW = 8192 };

typedef struct {
    mote_exec *exec;
    const mote_dataset *dataset;
    mote_split split;
    uint64_t n_tokens;                      /* of the split */
    uint64_t n_windows, n_chosen, most_last; /* of the split; evaluated; targets of a window at most */
    int context, slots;
    int window_tokens; /* of the text: all of the context but for the begin token */
    int32_t begin; /* stands before each window, as before a text; -1: none */
    uint64_t next; /* window to be read */
    /* the batch */
    int32_t *token, *position, *target; /* [rows] */
    int32_t *window;                    /* [context + 1] tokens, and whether they may be targets */
    uint8_t *is_target;
    mote_sequence *sequence;
    /* sums */
    double loss;
    uint64_t counted, correct;
} evaluation;

/* Evenly spread: the middle ones of n_chosen equal parts of the text. */
static uint64_t window_begin(const evaluation *e, uint64_t i) {
    uint64_t window = i;
    if (e->n_chosen < e->n_windows)
        window = (uint64_t)(((unsigned __int128)(2 * i + 1) * e->n_windows) / (2 * (unsigned __int128)e->n_chosen));
    return window * (uint64_t)e->window_tokens;
}

static int window_length(const evaluation *e, uint64_t begin) {
    uint64_t length = e->n_tokens - 1 - begin;
    if (length > (uint64_t)e->window_tokens) length = (uint64_t)e->window_tokens;
    return (int)(length < e->most_last ? length : e->most_last);
}

/* Sets the next batch in the executor. */
static void fill_batch(evaluation *e) {
    mote_exec *x = e->exec;
    x->n_rows = x->n_sequences = 0;
    for (; e->next < e->n_chosen && x->n_sequences < e->slots; e->next++) {
        uint64_t begin = window_begin(e, e->next);
        int row = x->n_rows, n = window_length(e, begin);
        mote_dataset_read(e->dataset, e->split, (size_t)begin, (size_t)n + 1, e->window, e->is_target);
        if (e->begin >= 0) { /* a row of its own, whose next token is no target: the window before had it */
            e->token[row] = e->begin;
            e->position[row] = 0;
            e->target[row] = -1;
            row++;
        }
        for (int i = 0; i < n; i++) {
            e->token[row + i] = e->window[i];
            e->position[row + i] = i + (e->begin >= 0);
            e->target[row + i] = e->is_target[i + 1] ? e->window[i + 1] : -1;
        }
        e->sequence[x->n_sequences] = (mote_sequence){.begin = x->n_rows, .end = row + n, .slot = x->n_sequences};
        x->n_sequences++;
        x->n_rows = row + n;
    }
}

static void run(evaluation *e) {
    mote_exec *x = e->exec;
    const mote_exec before = *x;
    x->token = e->token;
    x->position = e->position;
    x->target = e->target;
    x->sequence = e->sequence;
    x->wanted = NULL;
    x->n_wanted = 0;
    x->training = false;
    while (e->next < e->n_chosen) {
        fill_batch(e);
        mote_exec_forward(x);
        for (int i = 0; i < x->n_rows; i++) {
            if (e->target[i] < 0) continue;
            e->loss += x->row_loss[i];
            e->correct += x->row_correct[i];
            e->counted++;
        }
    }
    x->n_rows = before.n_rows;
    x->token = before.token;
    x->position = before.position;
    x->target = before.target;
    x->sequence = before.sequence;
    x->n_sequences = before.n_sequences;
    x->wanted = before.wanted;
    x->n_wanted = before.n_wanted;
    x->training = before.training;
}

static mote_status prepare(evaluation *e, uint64_t max_tokens, mote_error *error) {
    const char *split = e->split == MOTE_SPLIT_TRAIN ? "training" : "validation";
    e->n_tokens = mote_dataset_tokens(e->dataset, e->split);
    if (e->n_tokens < 2)
        return mote_fail(error, MOTE_USAGE, "the %s part of the text has %llu token%s; evaluation needs 2 at least",
                         split, (unsigned long long)e->n_tokens, e->n_tokens == 1 ? "" : "s");
    if (mote_dataset_vocab(e->dataset) > e->exec->program->vocab)
        return mote_fail(error, MOTE_USAGE, "the text was encoded with %d tokens, the model has only %d",
                         mote_dataset_vocab(e->dataset), e->exec->program->vocab);
    int most = e->exec->program->context < e->exec->max_rows ? e->exec->program->context : e->exec->max_rows;
    if (e->context < 1 || e->context > most)
        return mote_fail(error, MOTE_USAGE, "evaluation in windows of %d tokens; here they can have 1 to %d",
                         e->context, most);
    if (e->context == 1) e->begin = -1; /* there is no place for it */
    e->window_tokens = e->begin >= 0 ? e->context - 1 : e->context;
    uint64_t context = (uint64_t)e->context, window = (uint64_t)e->window_tokens;
    e->n_windows = e->n_chosen = (e->n_tokens - 2) / window + 1;
    e->most_last = window;
    if (max_tokens > 0 && max_tokens < e->n_tokens - 1) {
        e->n_chosen = max_tokens / window;
        if (e->n_chosen == 0) e->n_chosen = 1, e->most_last = max_tokens;
    }
    e->slots = e->exec->max_rows / e->context;
    size_t rows = (size_t)e->slots * context;
    e->token = mote_allocate_zero(rows, sizeof *e->token);
    e->position = mote_allocate_zero(rows, sizeof *e->position);
    e->target = mote_allocate_zero(rows, sizeof *e->target);
    e->window = mote_allocate_zero(context + 1, sizeof *e->window);
    e->is_target = mote_allocate_zero(context + 1, 1);
    e->sequence = mote_allocate_zero((size_t)e->slots, sizeof *e->sequence);
    if (!e->token || !e->position || !e->target || !e->window || !e->is_target || !e->sequence)
        return mote_fail_memory(error, "an evaluation's batch", 4 * rows * sizeof *e->token);
    return MOTE_OK;
}

static mote_status evaluate(mote_exec *x, const mote_dataset *dataset, mote_split split, uint64_t max_tokens,
                            int context, int32_t begin, mote_evaluation *out, mote_error *error) {
    evaluation e = {.exec = x, .dataset = dataset, .split = split, .context = context, .begin = begin};
    double start = mote_seconds();
    *out = (mote_evaluation){0};
    mote_status status = prepare(&e, max_tokens, error);
    if (status) goto done;
    run(&e);
    if (e.counted == 0) {
        status = mote_fail(error, MOTE_BAD_FILE, "none of the tokens evaluated is a target: nothing to measure");
        goto done;
    }
    /* The share of the text is that of its tokens: completions have about as many bytes a token as prompts. */
    double part = (double)e.counted / (double)(e.n_tokens - 1);
    double bytes = (double)mote_dataset_bytes(dataset, split) * part;
    out->tokens = e.counted;
    out->bytes = (uint64_t)(bytes + 0.5);
    out->loss = e.loss / (double)e.counted;
    out->perplexity = exp(out->loss);
    out->bits_per_byte = bytes > 0 ? e.loss / (M_LN2 * bytes) : 0;
    out->top1 = (double)e.correct / (double)e.counted;
    out->seconds = mote_seconds() - start;
done:
    mote_release(e.token);
    mote_release(e.position);
    mote_release(e.target);
    mote_release(e.window);
    mote_release(e.is_target);
    mote_release(e.sequence);
    return status;
}

mote_status mote_evaluate_exec(mote_exec *x, const mote_dataset *dataset, mote_split split, uint64_t max_tokens,
                               int context, mote_evaluation *out, mote_error *error) {
    return evaluate(x, dataset, split, max_tokens, context, -1, out, error); /* windows as in training */
}

mote_status mote_evaluate(const mote_model *model, const mote_dataset *dataset, mote_split split, uint64_t max_tokens,
                          int threads, mote_evaluation *result, mote_error *error) {
    if (!model || !dataset || !result)
        return mote_fail(error, MOTE_USAGE, "evaluation needs a model, a dataset and a result");
    if (threads < 0 || threads > 256)
        return mote_fail(error, MOTE_USAGE, "threads is %d; it must be from 1 to 256, or 0 for all cores", threads);
    int cores = mote_cpu_cores(), context = model->program->context;
    if (threads == 0) threads = cores < 1 ? 1 : cores > 256 ? 256 : cores;
    mote_pool *pool = NULL;
    mote_exec *x = NULL;
    if (context > MOST_WINDOW) context = MOST_WINDOW;
    int slots = context < BATCH_ROWS ? BATCH_ROWS / context : 1;
    mote_exec_options how = {
        .max_rows = slots * context,
        .max_sequences = slots,
        .slots = slots,
        .context = context,
        .loss = true,
        .activation_scale = model->activation_scale,
    };
    mote_status status = mote_pool_create(threads, &pool, error);
    if (status) goto done;
    mote_pool_may_run_alone(pool, true);
    status = mote_model_pack_shared(model, error);
    if (status) goto done;
    status = mote_exec_create(model->program, model->weight, model->packed, pool, &how, &x, error);
    if (status) goto done;
    const mote_tokenizer *tokenizer = model->tokenizer;
    int32_t begin = tokenizer && mote_tokenizer_adds_begin(tokenizer) ? mote_tokenizer_begin(tokenizer) : -1;
    status = evaluate(x, dataset, split, max_tokens, context, begin, result, error);
done:
    mote_exec_destroy(x);
    mote_pool_destroy(pool);
    return status;
}
