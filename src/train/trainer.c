/* The trainer: reads a step's windows, runs forward and backward for each micro-batch, then the optimizer, then packs
 * the weights again. All memory is allocated in create and none in a step.
 *
 * A step looks at loss and gradient before it touches a weight, so a run that diverges leaves the model of the step
 * before. Nothing depends on the number of threads: not the order of the data, nor any sum. */
#include "train/trainer.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "run/evaluate.h"
#include "run/session.h"
#include "text/dataset.h"
#include "train/options.h"
#include "train/schedule.h"
#include "train/trainable.h"

int mote_trainer_threads(const mote_train_options *options) {
    int threads = options->threads > 0 ? options->threads : mote_cpu_cores();
    return threads < 1 ? 1 : threads > 256 ? 256 : threads;
}

/* Windows of a micro-batch that go through the model at once: fewer need less memory, and more than these make a step
 * no faster. The bits are those of the whole in any case, integer products included: they sum over blocks of tokens,
 * of which a part has whole ones. */
static int64_t windows_of_part(const mote_config *config, const mote_train_options *options) {
    enum { LEAST = 1024, LEAST_OF_THREAD = 384 }; /* rows: products slow down below; four tiles for each thread */
    int64_t threads = mote_trainer_threads(options), context = config->context, batch = options->batch;
    int64_t least = LEAST_OF_THREAD * threads > LEAST ? LEAST_OF_THREAD * threads : LEAST;
    int64_t parts = batch * context / least, unit = MOTE_BLOCK_VALUES;
    while (unit > 1 && context * (unit / 2) % MOTE_BLOCK_VALUES == 0) unit /= 2;
    if (parts < 2) return batch;
    int64_t windows = ((batch + parts - 1) / parts + unit - 1) / unit * unit;
    return windows < batch ? windows : batch;
}

bool mote_trainer_exec_options(const mote_config *config, const mote_train_options *options, mote_exec_options *how) {
    int64_t rows = (int64_t)options->batch * config->context, windows = windows_of_part(config, options);
    *how = (mote_exec_options){
        .max_rows = (int)(windows * config->context),
        .max_sequences = (int)windows,
        .all_rows = (int)rows,
        .slots = (int)windows,
        .context = config->context,
        .training = true,
        .recompute = options->recompute,
        .loss = true,
        .bytes = options->precision == MOTE_PRECISION_INT8,
        .pairs = options->precision == MOTE_PRECISION_BF16 ||
                 (options->precision == MOTE_PRECISION_INT8 && mote_kernels_get()->fast_bf16),
        .rounded = options->qat,
    };
    return rows <= INT_MAX / 4 && rows * options->accumulate <= INT_MAX;
}

static size_t step_rows(const mote_config *config, const mote_train_options *options) {
    return (size_t)options->accumulate * (size_t)options->batch * (size_t)config->context;
}

size_t mote_trainer_data_bytes(const mote_config *config, const mote_train_options *options) {
    size_t rows = step_rows(config, options), batch = (size_t)options->batch, context = (size_t)config->context;
    return sizeof(struct mote_trainer) + 2 * rows * sizeof(int32_t) + batch * context * sizeof(int32_t) +
           batch * sizeof(mote_sequence) + (context + 1) * (sizeof(int32_t) + 1);
}

/* ---- creation */

static mote_status allocate_data(mote_trainer *t, mote_error *error) {
    const mote_config *config = &t->model->config;
    size_t rows = step_rows(config, &t->options), batch = (size_t)t->options.batch, context = (size_t)config->context;
    t->token = mote_allocate_zero(rows, sizeof *t->token);
    t->target = mote_allocate_zero(rows, sizeof *t->target);
    t->position = mote_allocate_zero(batch * context, sizeof *t->position);
    t->sequence = mote_allocate_zero(batch, sizeof *t->sequence);
    t->window = mote_allocate_zero(context + 1, sizeof *t->window);
    t->is_target = mote_allocate_zero(context + 1, sizeof *t->is_target);
    if (!t->token || !t->target || !t->position || !t->sequence || !t->window || !t->is_target)
        return mote_fail_memory(error, "a step's tokens", mote_trainer_data_bytes(config, &t->options));
    for (size_t b = 0; b < batch; b++) {
        t->sequence[b] = (mote_sequence){.begin = (int)(b * context), .end = (int)((b + 1) * context), .slot = (int)b};
        for (size_t i = 0; i < context; i++) t->position[b * context + i] = (int32_t)i;
    }
    return MOTE_OK;
}

/* The program of training may have more tensors than the model's; its weights must be the same. */
static mote_status link_weights(mote_trainer *t, mote_error *error) {
    const mote_program *own = t->program, *plain = t->model->program;
    t->weight = mote_allocate_zero((size_t)own->n_tensors, sizeof *t->weight);
    t->packed = mote_allocate_zero((size_t)own->n_tensors, sizeof *t->packed);
    if (!t->weight || !t->packed)
        return mote_fail_memory(error, "a trainer", (size_t)own->n_tensors * 2 * sizeof(void *));
    for (int id = 0; id < own->n_tensors; id++) {
        const mote_tensor *a = &own->tensors[id];
        if (a->role != MOTE_ROLE_WEIGHT) continue;
        const mote_tensor *b = id < plain->n_tensors ? &plain->tensors[id] : NULL;
        if (!b || b->role != MOTE_ROLE_WEIGHT || a->rows != b->rows || a->cols != b->cols ||
            strcmp(a->name, b->name) != 0)
            return mote_fail(error, MOTE_FAILED, "the training program's weight '%s' is not the model's", a->name);
        t->weight[id] = t->model->weight[id];
        t->packed[id] = t->model->packed[id];
    }
    return MOTE_OK;
}

enum { PACK_VALUES = 65536 }; /* of a part: 256 KiB, a few microseconds of work */

static mote_status list_pack_parts(mote_trainer *t, mote_error *error) {
    for (int pass = 0; pass < 2; pass++) {
        int n = 0;
        for (int id = 0; id < t->program->n_tensors; id++) {
            const mote_tensor *tensor = &t->program->tensors[id];
            if (!t->exec->packed[id]) continue;
            int rows = PACK_VALUES / tensor->cols / MOTE_BLOCK_VALUES * MOTE_BLOCK_VALUES;
            if (rows < MOTE_BLOCK_VALUES) rows = MOTE_BLOCK_VALUES;
            for (int row = 0; row < tensor->rows; row += rows, n++) {
                int left = tensor->rows - row;
                if (pass == 1) t->parts[n] = (mote_pack_part){(mote_tensor_id)id, row, left < rows ? left : rows};
            }
        }
        if (pass == 1) break;
        t->n_parts = n;
        t->parts = mote_allocate_zero((size_t)n + 1, sizeof *t->parts);
        if (!t->parts) return mote_fail_memory(error, "a trainer", (size_t)n * sizeof *t->parts);
    }
    return MOTE_OK;
}

/* Products read panels of the executor's own, beside the model's. */
static bool has_own_panels(const mote_trainer *t) {
    return t->options.precision != MOTE_PRECISION_F32 || t->options.qat != MOTE_TYPE_F32;
}

/* The model's own panels, where a session has made them, are of before. */
static void refresh_model(mote_trainer *t) {
    if (!t->exec || !has_own_panels(t)) return;
    for (int id = 0; id < t->program->n_tensors; id++)
        if (t->exec->packed[id] && t->model->packed[id])
            mote_exec_unpack(t->exec, (mote_tensor_id)id, t->model->packed[id]);
}

static mote_status check_data(mote_trainer *t, mote_error *error) {
    const mote_config *config = &t->model->config;
    size_t n_tokens = t->dataset ? mote_dataset_tokens(t->dataset, MOTE_SPLIT_TRAIN) : (size_t)1 << 30;
    if (t->dataset && mote_dataset_vocab(t->dataset) > config->vocab)
        return mote_fail(error, MOTE_USAGE, "the text was encoded with %d tokens, the model has only %d",
                         mote_dataset_vocab(t->dataset), config->vocab);
    return mote_data_order_init(&t->order, n_tokens, config->context, t->options.seed, error);
}

mote_status mote_trainer_create(mote_model *model, const mote_dataset *dataset, const mote_train_options *options,
                                mote_trainer **trainer, mote_error *error) {
    if (trainer) *trainer = NULL;
    if (!model || !trainer) return mote_fail(error, MOTE_USAGE, "a trainer needs a model and a place for its handle");
    mote_trainer *t = mote_allocate_zero(1, sizeof *t);
    if (!t) return mote_fail_memory(error, "a trainer", sizeof *t);
    mote_exec_options how;
    t->model = model;
    t->dataset = dataset;
    mote_status status = mote_train_options_complete(options, &t->options, error);
    if (status) goto done;
    if (!mote_trainer_exec_options(&model->config, &t->options, &how)) {
        status = mote_fail(error, MOTE_USAGE, "%d micro-batches of %d windows of %d tokens are too many for one step",
                           t->options.accumulate, t->options.batch, model->config.context);
        goto done;
    }
    status = check_data(t, error);
    if (status) goto done;
    status = mote_model_make_trainable(model, error);
    if (status) goto done;
    if (!has_own_panels(t)) status = mote_model_pack_shared(model, error);
    if (status) goto done;
    status = mote_program_build_training(&model->config, (float)t->options.dropout, &t->program, error);
    if (status) goto done;
    status = link_weights(t, error);
    if (status) goto done;
    status = allocate_data(t, error);
    if (status) goto done;
    status = mote_pool_create(mote_trainer_threads(&t->options), &t->pool, error);
    if (status) goto done;
    mote_pool_may_run_alone(t->pool, true);
    status = mote_exec_create(t->program, t->weight, t->packed, t->pool, &how, &t->exec, error);
    if (status) goto done;
    status = list_pack_parts(t, error);
    if (status) goto done;
    mote_trainer_repack(t);
    status = mote_updater_create(t->program, t->weight, t->exec->gradient, &t->options, t->pool, &t->updater, error);
done:
    if (status) {
        mote_trainer_destroy(t);
        return status;
    }
    *trainer = t;
    return MOTE_OK;
}

void mote_trainer_destroy(mote_trainer *t) {
    if (!t) return;
    refresh_model(t);
    mote_updater_destroy(t->updater);
    mote_exec_destroy(t->exec);
    mote_pool_destroy(t->pool);
    mote_program_destroy(t->program);
    mote_release(t->weight);
    mote_release(t->packed);
    mote_release(t->parts);
    mote_release(t->token);
    mote_release(t->target);
    mote_release(t->position);
    mote_release(t->sequence);
    mote_release(t->window);
    mote_release(t->is_target);
    mote_release(t);
}

/* ---- packing */

typedef struct {
    mote_trainer *trainer;
    atomic_int next;
} pack_task;

static void pack_parts(void *context, int thread, int n_threads) {
    (void)n_threads;
    pack_task *task = context;
    mote_trainer *t = task->trainer;
    for (int i; (i = mote_take(&task->next)) < t->n_parts;) {
        const mote_pack_part *part = &t->parts[i];
        mote_exec_pack(t->exec, part->id, part->row, part->rows, thread);
    }
}

void mote_trainer_repack(mote_trainer *trainer) {
    pack_task task = {.trainer = trainer};
    atomic_init(&task.next, 0);
    mote_pool_run(trainer->pool, pack_parts, &task);
}

/* ---- a step */

/* One window of context + 1 tokens into context rows; the number of rows that have a target. */
static int64_t read_window(mote_trainer *t, int32_t *token, int32_t *target) {
    int context = t->model->config.context;
    size_t begin = mote_data_order_next(&t->order);
    if (t->dataset) {
        mote_dataset_read(t->dataset, MOTE_SPLIT_TRAIN, begin, (size_t)context + 1, t->window, t->is_target);
    } else {
        mote_random random;
        mote_random_seed(&random, t->options.seed ^ mote_hash64(begin));
        for (int i = 0; i <= context; i++) {
            t->window[i] = (int32_t)mote_random_below(&random, (uint64_t)t->model->config.vocab);
            t->is_target[i] = 1;
        }
    }
    int64_t targets = 0;
    for (int i = 0; i < context; i++) {
        token[i] = t->window[i];
        target[i] = t->is_target[i + 1] ? t->window[i + 1] : -1;
        targets += target[i] >= 0;
    }
    return targets;
}

/* Forward and backward over one micro-batch; the sum of its losses, in the order of its rows. */
static double run_micro_batch(mote_trainer *t, int micro, int64_t targets) {
    mote_exec *x = t->exec;
    const int context = t->model->config.context, rows = t->options.batch * context;
    x->sequence = t->sequence;
    x->training = true;
    x->gradient_scale = targets > 0 ? (mote_real)(1.0 / (double)targets) : 0;
    x->dropout_seed = mote_hash64(mote_hash64(t->options.seed + 1) ^
                                  (uint64_t)(t->step * t->options.accumulate + micro));
    double loss = 0;
    for (int first = 0; first < rows; first += x->max_rows) {
        double start = mote_seconds();
        size_t at = (size_t)micro * (size_t)rows + (size_t)first;
        mote_exec_part(x, first, rows - first < x->max_rows ? rows - first : x->max_rows, rows);
        x->n_sequences = x->n_rows / context;
        x->token = t->token + at;
        x->target = t->target + at;
        x->position = t->position + first;
        mote_exec_forward(x);
        mote_exec_backward(x);
        t->times.run_seconds += mote_seconds() - start;
        for (int i = 0; i < x->n_rows; i++)
            if (x->target[i] >= 0) loss += x->row_loss[i];
    }
    return loss;
}

static mote_status fail_diverged(int64_t step, double loss, double norm, double lr, mote_error *error) {
    if (isnan(loss)) loss = NAN; /* without the sign, which means nothing: nan, not -nan */
    if (isnan(norm)) norm = NAN;
    mote_fail(error, MOTE_DIVERGED, "step %lld diverged: loss %g, gradient norm %g at learning rate %g",
              (long long)step, loss, norm, lr);
    return mote_hint(error, MOTE_DIVERGED, "lower the learning rate, lengthen the warm-up, or clip the gradient");
}

mote_status mote_trainer_step(mote_trainer *t, mote_step_report *report, mote_error *error) {
    if (!t) return mote_fail(error, MOTE_USAGE, "no trainer was given");
    double start = mote_seconds(), loss = 0;
    mote_data_order before = t->order;
    t->times = (mote_step_times){0};
    int windows = t->options.accumulate * t->options.batch, context = t->model->config.context;
    int64_t targets = 0;
    for (int i = 0; i < windows; i++)
        targets += read_window(t, t->token + (size_t)i * (size_t)context, t->target + (size_t)i * (size_t)context);
    mote_exec_zero_gradients(t->exec);
    for (int i = 0; i < t->options.accumulate; i++) loss += run_micro_batch(t, i, targets);
    if (targets > 0) loss /= (double)targets;
    double after_runs = mote_seconds();
    double norm = mote_updater_gradient_norm(t->updater), lr = mote_schedule_lr(&t->options, t->step);
    if (!isfinite(loss) || !isfinite(norm)) {
        t->order = before;
        return fail_diverged(t->step + 1, loss, norm, lr, error);
    }
    double clip = t->options.clip;
    mote_update update = {
        .lr = lr,
        .adam_lr = lr * (t->options.adam_lr / t->options.lr),
        .step = t->step + 1,
        .gradient_scale = clip > 0 && norm > clip ? clip / norm : 1,
    };
    mote_updater_step(t->updater, &update);
    double after_update = mote_seconds();
    mote_trainer_repack(t);
    t->times.data_seconds = after_runs - start - t->times.run_seconds;
    t->times.optimizer_seconds = after_update - after_runs;
    t->times.packing_seconds = mote_seconds() - after_update;
    t->step++;
    t->total_tokens += (uint64_t)windows * (uint64_t)context;
    if (report) {
        *report = (mote_step_report){
            .step = t->step,
            .loss = loss,
            .gradient_norm = norm,
            .lr = lr,
            .seconds = mote_seconds() - start,
            .tokens = (uint64_t)windows * (uint64_t)context,
            .total_tokens = t->total_tokens,
        };
    }
    return MOTE_OK;
}

/* ---- between steps */

/* Exchanges the weights with their averages: pointers only, so the panels are those of before. */
static void swap_average(mote_trainer *t) {
    for (int i = 0; i < t->updater->n_learned; i++) {
        mote_learned *learned = &t->updater->learned[i];
        void *average = learned->average;
        learned->average = t->weight[learned->id];
        t->weight[learned->id] = t->model->weight[learned->id] = average;
    }
}

mote_status mote_trainer_evaluate(mote_trainer *t, uint64_t max_tokens, mote_evaluation *result, mote_error *error) {
    if (!t || !result) return mote_fail(error, MOTE_USAGE, "evaluation needs a trainer and a result");
    if (!t->dataset) return mote_fail(error, MOTE_USAGE, "a trainer on random tokens has no validation text");
    bool averaged = t->updater->average != NULL;
    if (averaged) {
        swap_average(t);
        mote_trainer_repack(t);
    }
    mote_status status = mote_evaluate_exec(t->exec, t->dataset, MOTE_SPLIT_VALIDATION, max_tokens,
                                            t->model->config.context, result, error);
    if (averaged) {
        swap_average(t);
        mote_trainer_repack(t);
    }
    return status;
}

mote_status mote_trainer_save_model(mote_trainer *t, const char *path, mote_type type, mote_error *error) {
    if (!t || !path) return mote_fail(error, MOTE_USAGE, "saving needs a trainer and a path");
    bool averaged = t->updater->average != NULL;
    if (averaged) swap_average(t);
    mote_status status = mote_model_save(t->model, path, type, error);
    if (averaged) swap_average(t);
    return status;
}

int64_t mote_trainer_steps_done(const mote_trainer *t) {
    return t->step;
}

const mote_model *mote_trainer_model(mote_trainer *t) {
    refresh_model(t);
    return t->model;
}

uint64_t mote_trainer_data_hash(const mote_trainer *t) {
    return t->dataset ? mote_dataset_hash(t->dataset) : 0;
}
