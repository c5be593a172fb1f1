/* Where the time of training, reading or decoding goes. The executor's laps give the seconds of each op, the op table's
 * costs its work, and the measured roof what the machine could have done: an op is no faster than its FLOPs at the
 * peak, its weights and states out of the memory that holds them, or its activations out of the cache that the rows of
 * a call fit in, whichever takes longest. Seconds of all threads are divided by their number, so that they add up to
 * the wall time of the run. */
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "run/session.h"
#include "train/trainer.h"

enum { DEFAULT_STEPS = 10, DEFAULT_PREFILL = 512, DEFAULT_DECODE = 128, WARM_STEPS = 2, MOST_N = 10000000 };
static const double default_roof_seconds = 0.5;

/* What an op did in the whole run. */
typedef struct {
    double flops, weight_bytes, state_bytes, rows;
} work_done;

typedef struct {
    const mote_program *program;
    const mote_exec *exec; /* that runs it */
    mote_profile *profile; /* being filled */
    mote_profile_row *rows;
    work_done *done; /* by op */
    mote_timing *timing;
    bool training;
    double run_seconds; /* wall time inside the executor (training), or of session runs */
    uint64_t first_ticks;
    double first_seconds;
} profiling;

mote_profile_options mote_profile_options_default(mote_profile_kind kind) {
    return (mote_profile_options){.struct_bytes = sizeof(mote_profile_options), .kind = kind};
}

/* ---- work */

/* How often an op's work is done. Backward is twice forward: input gradients and weight gradients cost a forward each;
 * and what runs again is a forward once more. */
static double passes_of(const profiling *p, int op) {
    if (!p->training) return 1;
    return p->exec->plan.again[op] != MOTE_AGAIN_NOT ? 4 : 3;
}

/* `times` runs of `sequences` sequences, each with `rows` rows from `position` on; `wanted` rows of each get logits. */
static void count_work(profiling *p, int position, int rows, int wanted, double sequences, double times) {
    for (int i = 0; i < p->program->n_ops; i++) {
        const mote_op *op = &p->program->ops[i];
        const mote_op_info *info = mote_op_get(op->kind);
        mote_cost cost = {0};
        double flops = 0, passes = passes_of(p, i);
        int n = op->kind == MOTE_OP_HEAD ? wanted : rows;
        for (int r = 0; r < rows; r++) {
            cost = info->cost(p->program, op, position + r);
            if (r < n) flops += cost.flops;
        }
        double reads = op->kind == MOTE_OP_EMBEDDING ? rows * sequences : 1; /* its cost is the row of one token */
        work_done *d = &p->done[i];
        d->flops += times * passes * sequences * flops;
        d->weight_bytes += times * passes * reads * cost.weight_bytes;
        d->state_bytes += times * passes * sequences * cost.state_bytes; /* of the last row: it sees all keys */
        d->rows += times * sequences * n;
    }
}

/* Values of one row that an op reads and writes. */
static double row_values(const mote_program *p, const mote_op *op) {
    double values = op->kind == MOTE_OP_HEAD ? p->vocab : 0;
    for (int i = 0; i < MOTE_OP_INPUTS; i++) {
        bool again = op->in[i] == MOTE_NONE;
        for (int j = 0; j < i && !again; j++) again = op->in[j] == op->in[i]; /* fused q, k and v are one */
        if (again) continue;
        const mote_tensor *t = &p->tensors[op->in[i]];
        if (t->role == MOTE_ROLE_ACTIVATION || t->role == MOTE_ROLE_INPUT) values += t->cols;
    }
    for (int i = 0; i < MOTE_OP_OUTPUTS; i++)
        if (op->out[i] != MOTE_NONE) values += p->tensors[op->out[i]].cols;
    return values;
}

/* The fastest memory that holds `all` bytes, of which each thread uses its `share`. */
static mote_memory_level level_of(const mote_roof *roof, double all, double share, int threads) {
    double caches = (threads + roof->l3_cores - 1) / roof->l3_cores;
    if (share <= (double)roof->cache_bytes[0]) return MOTE_MEMORY_L1;
    if (share <= (double)roof->cache_bytes[1]) return MOTE_MEMORY_L2;
    if (all <= caches * (double)roof->cache_bytes[2]) return MOTE_MEMORY_L3;
    return MOTE_MEMORY_DRAM;
}

static double bandwidth(const profiling *p, mote_memory_level level) {
    double speed = p->profile->roof.read_bandwidth[level][p->profile->threads > 1];
    return speed > 0 ? speed : 1e9;
}

/* What part of an op's work is against the peaks of 8 and of 16 bits, of all its passes together. Where a peak is no
 * higher than that of f32, because no instruction multiplies such operands, that work is against f32. */
static void find_parts(const profiling *p, int i, mote_profile_row *row) {
    const mote_op *op = &p->program->ops[i];
    const mote_roof *roof = &p->profile->roof;
    const int all = p->profile->threads > 1;
    double integers, pairs;
    mote_rounded_parts(p->exec, op, p->training, &integers, &pairs);
    if (p->training && p->exec->plan.again[i] != MOTE_AGAIN_NOT) {
        double again_integers, again_pairs;
        mote_rounded_parts(p->exec, op, false, &again_integers, &again_pairs);
        integers = (3 * integers + again_integers) / 4;
        pairs = (3 * pairs + again_pairs) / 4;
    }
    row->int8_part = roof->int8_ops[all] > roof->f32_flops[all] ? integers : 0;
    row->bf16_part = roof->bf16_flops[all] > roof->f32_flops[all] ? pairs : 0;
}

/* The least seconds that the arithmetic takes, and the peaks that this is at: those of a tenth of it or more. */
static double find_compute(const profiling *p, const mote_profile_row *row, char *peaks, size_t bytes) {
    static const char *const names[] = {"int8", "bf16", "f32"};
    const mote_roof *roof = &p->profile->roof;
    const int all = p->profile->threads > 1;
    const double part[] = {row->int8_part, row->bf16_part, 1 - row->int8_part - row->bf16_part};
    const double speed[] = {roof->int8_ops[all], roof->bf16_flops[all], roof->f32_flops[all]};
    double seconds[3], sum = 0;
    size_t used = 0;
    for (int i = 0; i < 3; i++) sum += seconds[i] = part[i] > 0 ? row->flops * part[i] / speed[i] : 0;
    snprintf(peaks, bytes, "f32"); /* where there is no arithmetic */
    for (int i = 0; i < 3; i++)
        if (seconds[i] > 0.1 * sum)
            used += (size_t)snprintf(peaks + used, bytes - used, "%s%s", used ? "+" : "", names[i]);
    return sum;
}

/* The least seconds of a row, and what sets them. */
static void find_bound(const profiling *p, int i, const work_done *d, double calls, mote_profile_row *row) {
    static const char *const names[MOTE_N_MEMORIES] = {"L1", "L2", "L3", "DRAM"};
    const mote_profile *profile = p->profile;
    int threads = profile->threads;
    double passes = passes_of(p, i), rows = calls > 0 && d->rows > calls ? d->rows / calls : 1;
    double tile = row->activation_bytes / passes / (d->rows > 0 ? d->rows : 1) * rows;
    mote_memory_level near = level_of(&profile->roof, tile * threads, tile, threads);
    char peaks[sizeof row->bound];
    find_parts(p, i, row);
    double compute = find_compute(p, row, peaks, sizeof peaks);
    double held = (row->weight_bytes + row->state_bytes) / bandwidth(p, profile->held_level);
    double activations = row->activation_bytes / bandwidth(p, near);
    const char *bound = peaks;
    row->roof_seconds = compute;
    if (held > row->roof_seconds) row->roof_seconds = held, bound = names[profile->held_level];
    if (activations > row->roof_seconds) row->roof_seconds = activations, bound = names[near];
    snprintf(row->bound, sizeof row->bound, "%s", bound);
}

/* ---- rows */

static void name_row(const mote_program *program, const mote_op *op, mote_profile_row *row) {
    mote_tensor_id id = op->out[0] != MOTE_NONE ? op->out[0] : op->in[1];
    const char *name = program->tensors[id].name;
    char prefix[24];
    int n = snprintf(prefix, sizeof prefix, "blk.%d.", op->layer);
    if (op->layer >= 0 && !strncmp(name, prefix, (size_t)n)) name += n;
    snprintf(row->op, sizeof row->op, "%s", mote_op_get(op->kind)->name);
    snprintf(row->name, sizeof row->name, "%s", name);
    row->layer = op->layer;
}

static void fill_rows(profiling *p) {
    mote_profile *profile = p->profile;
    int n_ops = p->program->n_ops, threads = profile->threads;
    double ticks = (double)(mote_ticks() - p->first_ticks), seconds = mote_seconds() - p->first_seconds;
    double scale = ticks > 0 ? seconds / ticks / threads : 0, timed = 0;
    for (int i = 0; i <= n_ops; i++) {
        double of[MOTE_N_PASSES] = {0}, forward_calls = 0, calls = 0;
        for (int t = 0; t < threads; t++) {
            const mote_op_ticks *entry = &p->timing->entry[(size_t)t * (size_t)(n_ops + 1) + (size_t)i];
            for (int k = 0; k < MOTE_N_PASSES; k++) {
                of[k] += (double)entry->ticks[k] * scale;
                calls += (double)entry->calls[k];
            }
            forward_calls += (double)entry->calls[MOTE_PASS_FORWARD];
        }
        double sum = 0;
        for (int k = 0; k < MOTE_N_PASSES; k++) sum += of[k];
        timed += sum;
        if (i == n_ops) {
            profile->barrier_seconds = of[MOTE_PASS_WAITING];
            profile->walking_seconds = sum - of[MOTE_PASS_WAITING];
            break;
        }
        mote_profile_row *row = &p->rows[i];
        const work_done *d = &p->done[i];
        name_row(p->program, &p->program->ops[i], row);
        row->calls = (uint64_t)calls;
        row->forward_seconds = of[MOTE_PASS_FORWARD];
        row->backward_seconds = of[MOTE_PASS_BACKWARD];
        row->weights_seconds = of[MOTE_PASS_WEIGHTS];
        row->again_seconds = of[MOTE_PASS_AGAIN];
        row->waiting_seconds = of[MOTE_PASS_WAITING];
        row->seconds = sum;
        row->flops = d->flops;
        row->weight_bytes = d->weight_bytes;
        row->state_bytes = d->state_bytes;
        row->activation_bytes =
            passes_of(p, i) * d->rows * row_values(p->program, &p->program->ops[i]) * sizeof(mote_real);
        find_bound(p, i, d, forward_calls, row);
    }
    profile->starting_seconds = p->run_seconds - timed;
}

static size_t weights_bytes(const mote_program *program) {
    size_t bytes = 0;
    for (int i = 0; i < program->n_tensors; i++) {
        const mote_tensor *t = &program->tensors[i];
        if (t->role == MOTE_ROLE_WEIGHT) bytes += (size_t)t->rows * mote_row_bytes(t->type, (size_t)t->cols);
    }
    return bytes;
}

/* Rows and timing for a program; the roof, measured before the run so that it does not cool the run's caches. */
static mote_status begin(profiling *p, const mote_program *program, int threads, size_t held, double roof_seconds,
                         mote_error *error) {
    mote_profile *profile = p->profile;
    size_t n = (size_t)program->n_ops;
    p->program = program;
    p->rows = mote_allocate_zero(n, sizeof *p->rows);
    p->done = mote_allocate_zero(n, sizeof *p->done);
    profile->rows = p->rows;
    profile->n_rows = program->n_ops;
    profile->threads = threads;
    if (!p->rows || !p->done) return mote_fail_memory(error, "a profile", n * sizeof *p->rows);
    mote_status status = mote_timing_create(program->n_ops, threads, &p->timing, error);
    if (!status) status = mote_roof_measure(threads, roof_seconds, &profile->roof, error);
    if (status) return status;
    double share = p->training ? (double)held : (double)held / threads; /* of a weight's columns, when decoding */
    profile->held_bytes = held;
    profile->held_level = level_of(&profile->roof, (double)held, share, threads);
    return MOTE_OK;
}

static void start_clock(profiling *p) {
    p->first_ticks = mote_ticks();
    p->first_seconds = mote_seconds();
}

/* ---- the three runs */

static mote_status run_tokens(profiling *p, mote_session *session, int n, int step, int32_t *token, int32_t *position,
                              bool counted, mote_error *error) {
    int held = 0, context = mote_session_context(session);
    mote_random random;
    mote_random_seed(&random, 1);
    mote_session_truncate(session, 0, 0);
    for (int done = 0; done < n;) {
        if (held == context) mote_session_truncate(session, 0, held = 0);
        int count = step < n - done ? step : n - done;
        if (count > context - held) count = context - held;
        for (int i = 0; i < count; i++) {
            token[i] = (int32_t)mote_random_below(&random, (uint64_t)p->program->vocab);
            position[i] = held + i;
        }
        mote_batch batch = {.n_tokens = count, .token = token, .position = position};
        double start = mote_seconds();
        mote_status status = mote_session_run(session, &batch, error);
        p->run_seconds += mote_seconds() - start;
        if (status) return status;
        if (counted) count_work(p, held, count, 1, 1, 1);
        held += count;
        done += count;
    }
    return MOTE_OK;
}

static mote_status profile_session(profiling *p, const mote_model *model, const mote_profile_options *o,
                                   mote_error *error) {
    mote_profile *profile = p->profile;
    mote_session_options how = mote_session_options_default();
    mote_session *session = NULL;
    mote_exec_bytes exec = {0};
    size_t lists;
    int threads = 1;
    int32_t *token = NULL;
    how.threads = o->threads;
    profile->n = o->n ? o->n : o->kind == MOTE_PROFILE_PREFILL ? DEFAULT_PREFILL : DEFAULT_DECODE;
    profile->tokens = (uint64_t)profile->n;
    mote_status status = mote_session_create(model, &how, &session, error);
    if (!status) status = mote_session_measure(model->program, &how, &exec, &lists, &threads, error);
    if (status) goto done;
    int batch = mote_session_batch_tokens(session), step = o->kind == MOTE_PROFILE_PREFILL ? batch : 1;
    token = mote_allocate_zero((size_t)batch * 2, sizeof *token);
    if (!token) {
        status = mote_fail_memory(error, "a profile", (size_t)batch * 2 * sizeof *token);
        goto done;
    }
    status = begin(p, model->program, threads, weights_bytes(model->program) + exec.states, o->roof_seconds, error);
    if (status) goto done;
    int warm = profile->n < 2 * batch ? profile->n : 2 * batch;
    status = run_tokens(p, session, warm, step, token, token + batch, false, error);
    if (status) goto done;
    p->run_seconds = 0;
    mote_session_exec(session)->timing = p->timing; /* from here on all threads run, so that their times add up */
    mote_pool_may_run_alone(mote_session_exec(session)->pool, false);
    start_clock(p);
    status = run_tokens(p, session, profile->n, step, token, token + batch, true, error);
    if (status) goto done;
    p->exec = mote_session_exec(session);
    fill_rows(p);
    profile->seconds = p->run_seconds;
done:
    mote_release(token);
    mote_session_destroy(session);
    return status;
}

static mote_status profile_training(profiling *p, mote_model *model, const mote_profile_options *o,
                                    mote_error *error) {
    mote_profile *profile = p->profile;
    mote_trainer *t = NULL;
    mote_exec_options how;
    mote_exec_bytes exec = {0};
    mote_train_options train = mote_train_options_default();
    if (!mote_options_read(&train, sizeof train, o->train))
        return mote_fail(error, MOTE_USAGE, "training options have no struct_bytes: start from "
                                            "mote_train_options_default");
    if (o->threads) train.threads = o->threads;
    profile->n = o->n ? o->n : DEFAULT_STEPS;
    train.steps = profile->n + WARM_STEPS;
    p->training = true;
    mote_status status = mote_trainer_create(model, NULL, &train, &t, error);
    if (status) return status;
    int threads = mote_pool_threads(t->pool), context = model->config.context;
    mote_trainer_exec_options(&model->config, &t->options, &how);
    status = mote_exec_measure(t->program, &how, threads, &exec, error);
    if (!status)
        status = begin(p, t->program, threads, weights_bytes(t->program) + exec.total, o->roof_seconds, error);
    for (int i = 0; !status && i < WARM_STEPS; i++) status = mote_trainer_step(t, NULL, error);
    t->exec->timing = p->timing;
    mote_pool_may_run_alone(t->pool, false);
    start_clock(p);
    for (int i = 0; !status && i < profile->n; i++) {
        mote_step_report report;
        status = mote_trainer_step(t, &report, error);
        if (status) break;
        profile->seconds += report.seconds;
        profile->tokens += report.tokens;
        profile->data_seconds += t->times.data_seconds;
        profile->optimizer_seconds += t->times.optimizer_seconds;
        profile->packing_seconds += t->times.packing_seconds;
        p->run_seconds += t->times.run_seconds;
    }
    if (!status) {
        p->exec = t->exec;
        count_work(p, 0, context, context, t->options.batch, (double)t->options.accumulate * profile->n);
        fill_rows(p);
    }
    mote_trainer_destroy(t);
    return status;
}

/* ---- the profile */

static mote_status check_options(const mote_profile_options *o, mote_error *error) {
    if ((int)o->kind < MOTE_PROFILE_TRAIN || o->kind > MOTE_PROFILE_DECODE)
        return mote_fail(error, MOTE_USAGE, "a profile of kind %d was asked for; there are 0 to %d", (int)o->kind,
                         MOTE_PROFILE_DECODE);
    if (o->n < 0 || o->n > MOST_N)
        return mote_fail(error, MOTE_USAGE, "a profile of %d steps or tokens was asked for; 1 to %d are possible", o->n,
                         MOST_N);
    return MOTE_OK;
}

mote_status mote_profile_run(mote_model *model, const mote_profile_options *options, mote_profile **profile,
                             mote_error *error) {
    if (profile) *profile = NULL;
    if (!model || !options || !profile)
        return mote_fail(error, MOTE_USAGE, "a profile needs a model, options and a place for the result");
    mote_profile_options o = mote_profile_options_default(MOTE_PROFILE_TRAIN);
    if (!mote_options_read(&o, sizeof o, options))
        return mote_fail(error, MOTE_USAGE,
                         "profile options have no struct_bytes: start from mote_profile_options_default");
    mote_status status = check_options(&o, error);
    if (status) return status;
    if (!(o.roof_seconds > 0)) o.roof_seconds = default_roof_seconds;
    profiling p = {.profile = mote_allocate_zero(1, sizeof *p.profile)};
    if (!p.profile) return mote_fail_memory(error, "a profile", sizeof *p.profile);
    p.profile->kind = o.kind;
    if (o.kind == MOTE_PROFILE_TRAIN) status = profile_training(&p, model, &o, error);
    else status = profile_session(&p, model, &o, error);
    mote_timing_destroy(p.timing);
    mote_release(p.done);
    if (status) {
        mote_release(p.rows);
        mote_release(p.profile);
        return status;
    }
    *profile = p.profile;
    return MOTE_OK;
}

void mote_profile_destroy(mote_profile *profile) {
    if (!profile) return;
    union {
        const mote_profile_row *given;
        mote_profile_row *own;
    } rows = {profile->rows};
    mote_release(rows.own);
    mote_release(profile);
}
