/* A session: the mutable half of a running model. It owns the keys and values of its sequences, the scratch memory and
 * the threads; all of it is allocated in create and none after.
 *
 * A batch is checked whole before anything runs, so a refused batch leaves the session as it was. Because every sum has
 * one order, a token's logits have the same bits however the tokens before it were split over runs. */
#include "run/session.h"

#include <pthread.h>
#include <string.h>

#include "ops/ops.h"
#include "run/pace.h"

enum { MOST_SEQUENCES = 65536, MOST_BATCH_TOKENS = 1048576, DEFAULT_BATCH_TOKENS = 512, LEAST_LOGITS = 32 };

/* A token of a model with less than this many bytes of weights takes a few microseconds: less than its threads take to
 * meet. */
static const uint64_t single_thread_bytes = 128u << 10;
/* Runs of so few tokens find out for themselves how many threads serve them best. */
enum { PACED_TOKENS = 8 };
/* Where neither is given, a batch is large, so that a tile of it reads the weights seldom, but logits are of fewer of
 * its tokens if they would take more than this. */
static const size_t most_default_logits_bytes = 16u << 20;

struct mote_session {
    const mote_model *model;
    mote_pool *pool;
    mote_exec *exec;
    int context, sequences, batch_tokens, most_logits, vocab;
    int n_logits;             /* rows of the last run */
    float *logits;            /* a copy in the build whose mote_real is double; NULL otherwise */
    int *held;                /* by sequence: positions it holds */
    uint32_t *seen, batch;    /* by sequence: the last batch it stood in; the number of this batch */
    mote_sequence *parts;     /* of a batch */
    int32_t *wanted;          /* rows */
    size_t bytes;
    bool choosing;            /* there is more than one thread */
    mote_pace pace;
};

static pthread_mutex_t pack_lock = PTHREAD_MUTEX_INITIALIZER;

mote_status mote_model_pack_shared(const mote_model *model, mote_error *error) {
    /* Panels are a cache inside a model that is otherwise immutable. This is the one place that takes const off, and
     * the lock orders the panels of the thread that made them before the reads of all that come after. */
    union {
        const mote_model *shared;
        mote_model *own;
    } access = {.shared = model};
    pthread_mutex_lock(&pack_lock);
    mote_status status = mote_model_pack(access.own, error);
    pthread_mutex_unlock(&pack_lock);
    return status;
}

mote_session_options mote_session_options_default(void) {
    return (mote_session_options){.struct_bytes = sizeof(mote_session_options)};
}

static uint64_t weight_bytes(const mote_program *program) {
    uint64_t bytes = 0;
    for (int i = 0; i < program->n_tensors; i++) {
        const mote_tensor *t = &program->tensors[i];
        if (t->role == MOTE_ROLE_WEIGHT) bytes += (uint64_t)t->rows * mote_row_bytes(t->type, (size_t)t->cols);
    }
    return bytes;
}

static int choose_threads(const mote_program *program) {
    if (weight_bytes(program) < single_thread_bytes) return 1;
    int cores = mote_cpu_cores();
    return cores < 1 ? 1 : cores > 256 ? 256 : cores;
}

static int choose_logits(const mote_program *program) {
    size_t rows = most_default_logits_bytes / ((size_t)program->vocab * sizeof(float) + 1);
    return rows < LEAST_LOGITS ? LEAST_LOGITS : rows > DEFAULT_BATCH_TOKENS ? DEFAULT_BATCH_TOKENS : (int)rows;
}

static mote_status check_options(const mote_session_options *o, int model_context, mote_error *error) {
    if (o->context < 0 || o->context > model_context)
        return mote_fail(error, MOTE_USAGE, "session context is %d but the model was built for 1 to %d positions",
                         o->context, model_context);
    if (o->sequences < 0 || o->sequences > MOST_SEQUENCES)
        return mote_fail(error, MOTE_USAGE, "session sequences is %d; it must be from 1 to %d", o->sequences,
                         MOST_SEQUENCES);
    if (o->batch_tokens < 0 || o->batch_tokens > MOST_BATCH_TOKENS)
        return mote_fail(error, MOTE_USAGE, "session batch_tokens is %d; it must be from 1 to %d", o->batch_tokens,
                         MOST_BATCH_TOKENS);
    if (o->logits < 0 || o->logits > MOST_BATCH_TOKENS)
        return mote_fail(error, MOTE_USAGE, "session logits is %d; it must be from 1 to %d, or 0 to choose", o->logits,
                         MOST_BATCH_TOKENS);
    if (o->threads < 0 || o->threads > 256)
        return mote_fail(error, MOTE_USAGE, "session threads is %d; it must be from 1 to 256, or 0 to choose",
                         o->threads);
    return MOTE_OK;
}

/* Reads and checks the options, and settles what they leave open: the numbers of `s`, what its executor is made for. */
static mote_status settle(const mote_program *program, const mote_session_options *options, mote_session *s,
                          mote_exec_options *how, int *threads, mote_error *error) {
    mote_session_options o = mote_session_options_default();
    if (!mote_options_read(&o, sizeof o, options))
        return mote_fail(error, MOTE_USAGE,
                         "session options have no struct_bytes: start from mote_session_options_default");
    mote_status status = check_options(&o, program->context, error);
    if (status) return status;
    s->vocab = program->vocab;
    s->context = o.context ? o.context : program->context;
    s->sequences = o.sequences ? o.sequences : 1;
    s->batch_tokens = o.batch_tokens ? o.batch_tokens : DEFAULT_BATCH_TOKENS;
    int64_t most = (int64_t)s->context * s->sequences;
    if (s->batch_tokens > most) s->batch_tokens = (int)most;
    s->most_logits = o.logits ? o.logits : o.batch_tokens ? s->batch_tokens : choose_logits(program);
    if (s->most_logits > s->batch_tokens) s->most_logits = s->batch_tokens;
    *how = (mote_exec_options){
        .max_rows = s->batch_tokens,
        .max_sequences = s->sequences < s->batch_tokens ? s->sequences : s->batch_tokens,
        .slots = s->sequences,
        .context = s->context,
        .max_wanted = s->most_logits,
    };
    *threads = o.threads ? o.threads : choose_threads(program);
    s->choosing = *threads > 1;
    return MOTE_OK;
}

static size_t list_bytes(const mote_session *s) {
    size_t sequences = (size_t)s->sequences, tokens = (size_t)s->most_logits;
    size_t logits = sizeof(mote_real) == sizeof(float) ? 0 : tokens * (size_t)s->vocab;
    return sequences * (sizeof *s->held + sizeof *s->seen + sizeof *s->parts) + tokens * sizeof *s->wanted +
           logits * sizeof *s->logits;
}

mote_status mote_session_measure(const mote_program *program, const mote_session_options *options,
                                 mote_exec_bytes *exec, size_t *lists, int *threads, mote_error *error) {
    mote_session s = {0};
    mote_exec_options how;
    mote_status status = settle(program, options, &s, &how, threads, error);
    if (status) return status;
    *lists = sizeof s + list_bytes(&s);
    return mote_exec_measure(program, &how, *threads, exec, error);
}

static mote_status allocate_lists(mote_session *s, mote_error *error) {
    size_t sequences = (size_t)s->sequences, tokens = (size_t)s->most_logits;
    size_t logits = sizeof(mote_real) == sizeof(float) ? 0 : tokens * (size_t)s->vocab;
    s->held = mote_allocate_zero(sequences, sizeof *s->held);
    s->seen = mote_allocate_zero(sequences, sizeof *s->seen);
    s->parts = mote_allocate_zero(sequences, sizeof *s->parts);
    s->wanted = mote_allocate_zero(tokens, sizeof *s->wanted);
    if (logits) s->logits = mote_allocate_zero(logits, sizeof *s->logits);
    s->bytes += sizeof *s + list_bytes(s);
    if (!s->held || !s->seen || !s->parts || !s->wanted || (logits && !s->logits))
        return mote_fail_memory(error, "a session's lists", list_bytes(s));
    return MOTE_OK;
}

mote_status mote_session_create(const mote_model *model, const mote_session_options *options, mote_session **session,
                                mote_error *error) {
    if (session) *session = NULL;
    if (!model || !session) return mote_fail(error, MOTE_USAGE, "a session needs a model and a place for its handle");
    const mote_program *program = model->program;
    mote_session *s = mote_allocate_zero(1, sizeof *s);
    if (!s) return mote_fail_memory(error, "a session", sizeof *s);
    s->model = model;
    mote_exec_options how;
    int threads = 1;
    mote_status status = settle(program, options, s, &how, &threads, error);
    if (status) goto done;
    mote_exec_bytes bytes = {0};
    status = mote_pool_create(threads, &s->pool, error);
    if (status) goto done;
    mote_pool_may_run_alone(s->pool, true);
    status = mote_exec_measure(program, &how, mote_pool_threads(s->pool), &bytes, error);
    if (status) goto done;
    s->bytes = bytes.total;
    status = allocate_lists(s, error);
    if (status) goto done;
    status = mote_model_pack_shared(model, error);
    if (status) goto done;
    how.activation_scale = model->activation_scale;
    status = mote_exec_create(program, model->weight, model->packed, s->pool, &how, &s->exec, error);
done:
    if (status) {
        mote_session_destroy(s);
        return status;
    }
    *session = s;
    return MOTE_OK;
}

void mote_session_destroy(mote_session *s) {
    if (!s) return;
    mote_exec_destroy(s->exec);
    mote_pool_destroy(s->pool);
    mote_release(s->held);
    mote_release(s->seen);
    mote_release(s->parts);
    mote_release(s->wanted);
    mote_release(s->logits);
    mote_release(s);
}

/* Splits a checked-as-it-goes batch into its sequences. On failure nothing but the lists of this call has changed. */
static mote_status split_batch(mote_session *s, const mote_batch *b, int *n_parts, mote_error *error) {
    int n = 0;
    if (++s->batch == 0) { /* after 2^32 batches the old stamps would look new */
        memset(s->seen, 0, (size_t)s->sequences * sizeof *s->seen);
        s->batch = 1;
    }
    for (int i = 0; i < b->n_tokens; i++) {
        int slot = b->sequence ? b->sequence[i] : 0;
        if (b->token[i] < 0 || b->token[i] >= s->vocab)
            return mote_fail(error, MOTE_USAGE, "batch token %d is %d; the vocabulary has 0 to %d", i, b->token[i],
                             s->vocab - 1);
        if (slot < 0 || slot >= s->sequences)
            return mote_fail(error, MOTE_USAGE, "batch token %d is of sequence %d; the session has 0 to %d", i, slot,
                             s->sequences - 1);
        if (n == 0 || s->parts[n - 1].slot != slot) {
            if (s->seen[slot] == s->batch)
                return mote_fail(error, MOTE_USAGE,
                                 "batch token %d is of sequence %d, whose tokens do not stand together in the batch", i,
                                 slot);
            s->seen[slot] = s->batch;
            s->parts[n++] = (mote_sequence){.begin = i, .end = i, .slot = slot, .position = s->held[slot]};
        }
        mote_sequence *part = &s->parts[n - 1];
        int expected = part->position + (i - part->begin);
        if (expected >= s->context)
            return mote_fail(error, MOTE_USAGE,
                             "batch token %d does not fit: sequence %d already has the %d positions of its context", i,
                             slot, s->context);
        if (b->position[i] != expected)
            return mote_fail(error, MOTE_USAGE, "batch token %d has position %d; sequence %d continues at %d", i,
                             b->position[i], slot, expected);
        part->end = i + 1;
    }
    *n_parts = n;
    return MOTE_OK;
}

mote_status mote_session_run(mote_session *s, const mote_batch *b, mote_error *error) {
    if (!s || !b || !b->token || !b->position)
        return mote_fail(error, MOTE_USAGE, "a run needs a session, tokens and positions");
    if (b->n_tokens < 1 || b->n_tokens > s->batch_tokens)
        return mote_fail(error, MOTE_USAGE, "the batch has %d tokens; this session takes 1 to %d at a time",
                         b->n_tokens, s->batch_tokens);
    int n_parts = 0, n_wanted = 0;
    for (int i = 0; b->want_logits && i < b->n_tokens; i++) n_wanted += b->want_logits[i] != 0;
    if (n_wanted > s->most_logits) {
        mote_fail(error, MOTE_USAGE, "the batch wants logits of %d tokens; this session has room for %d at a time",
                  n_wanted, s->most_logits);
        return mote_hint(error, MOTE_USAGE, "give batch_tokens, or logits, in the session's options");
    }
    mote_status status = split_batch(s, b, &n_parts, error);
    if (status) return status;

    n_wanted = 0;
    if (!b->want_logits) s->wanted[n_wanted++] = b->n_tokens - 1;
    else
        for (int i = 0; i < b->n_tokens; i++)
            if (b->want_logits[i]) s->wanted[n_wanted++] = i;

    mote_exec *x = s->exec;
    x->n_rows = b->n_tokens;
    x->token = b->token;
    x->position = b->position;
    x->sequence = s->parts;
    x->n_sequences = n_parts;
    x->wanted = s->wanted;
    x->n_wanted = n_wanted;
    x->target = NULL;
    bool paced = s->choosing && b->n_tokens <= PACED_TOKENS && !x->timing;
    double begin = paced ? mote_seconds() : 0;
    x->alone = paced && s->pace.alone;
    /* A run of all threads that the pool gives to one says nothing of either choice. */
    bool judged = paced && (x->alone || !mote_pool_runs_alone(s->pool));
    mote_exec_forward(x);
    if (judged) mote_pace_add(&s->pace, b->n_tokens, b->position[0], mote_seconds() - begin);
    for (int i = 0; i < n_parts; i++)
        s->held[s->parts[i].slot] = s->parts[i].position + s->parts[i].end - s->parts[i].begin;
    s->n_logits = n_wanted;
    if (s->logits)
        for (size_t i = 0; i < (size_t)n_wanted * (size_t)s->vocab; i++) s->logits[i] = (float)x->logits[i];
    return MOTE_OK;
}

const float *mote_session_logits(const mote_session *s, int i) {
    if (!s || i < 0 || i >= s->n_logits) return NULL;
    const float *logits = s->logits ? s->logits : (const float *)(const void *)s->exec->logits;
    return logits + (size_t)i * (size_t)s->vocab;
}

void mote_session_truncate(mote_session *s, int sequence, int position) {
    if (!s || sequence < 0 || sequence >= s->sequences) return;
    if (position < 0) position = 0;
    if (position < s->held[sequence]) s->held[sequence] = position;
}

size_t mote_session_bytes(const mote_session *s) { return s->bytes; }
int mote_session_batch_tokens(const mote_session *s) { return s->batch_tokens; }
int mote_session_most_logits(const mote_session *s) { return s->most_logits; }
int mote_session_threads(const mote_session *s) { return mote_pool_threads(s->pool); }
const mote_model *mote_session_model(const mote_session *s) { return s->model; }
mote_exec *mote_session_exec(mote_session *s) { return s->exec; }
int mote_session_context(const mote_session *s) { return s->context; }
