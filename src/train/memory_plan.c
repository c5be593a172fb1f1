/* Memory before anything is allocated: the same functions that lay out the executor, the optimizer's state and the
 * trainer measure them here. What is left is the process itself, a measured constant. The text's own token stream is
 * not in it: its size is the corpus', 2 or 4 bytes a token. */
#include <string.h>

#include "run/session.h"
#include "train/options.h"
#include "train/trainer.h"

/* Code, libc, stacks and tables of a process that holds a model of a few kilobytes, by VmHWM on x86-64 Linux with
 * glibc; and what one more thread adds. */
enum { PROCESS_BYTES = 3360 << 10, THREAD_BYTES = 48 << 10 };

static size_t page_aligned(size_t bytes) {
    return (bytes + 4095) & ~(size_t)4095;
}

/* Weights as f32 and, where the model has them, the panels of those that products read. */
static uint64_t count_weights(const mote_program *program, bool packed, uint64_t *parameters) {
    uint64_t bytes = 0;
    *parameters = 0;
    for (int id = 0; id < program->n_tensors; id++) {
        const mote_tensor *t = &program->tensors[id];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        uint64_t values = (uint64_t)t->rows * (uint64_t)t->cols;
        *parameters += values;
        bytes += values * sizeof(mote_real);
        bool panels = false;
        for (int i = 0; i < program->n_ops && packed && !panels; i++) {
            const mote_op *op = &program->ops[i];
            panels = (op->kind == MOTE_OP_LINEAR || op->kind == MOTE_OP_HEAD) && op->in[1] == id;
        }
        if (panels) bytes += mote_packed_values(t->rows, t->cols) * sizeof(mote_real);
    }
    return bytes;
}

static mote_status plan_training(const mote_config *config, const mote_train_options *given, const mote_program *plain,
                                 mote_memory_plan *plan, mote_error *error) {
    mote_train_options options;
    mote_exec_options how;
    mote_exec_bytes exec = {0};
    mote_updater_bytes updater = {0};
    mote_program *program = NULL;
    mote_status status = mote_train_options_complete(given, &options, error);
    if (status) return status;
    if (!mote_trainer_exec_options(config, &options, &how))
        return mote_fail(error, MOTE_USAGE, "%d micro-batches of %d windows of %d tokens are too many for one step",
                         options.accumulate, options.batch, config->context);
    int threads = mote_trainer_threads(&options);
    status = mote_program_build_training(config, (float)options.dropout, &program, error);
    if (status) return status;
    status = mote_exec_measure(program, &how, threads, &exec, error);
    if (status) goto done;
    status = mote_updater_measure(program, &options, threads, &updater, error);
    if (status) goto done;
    size_t rows = (size_t)how.max_rows;
    plan->gradients_bytes = exec.gradients_of_weights;
    plan->optimizer_bytes = updater.state + updater.average;
    plan->activations_bytes = exec.activations;
    const bool own_panels = how.bytes || how.pairs || how.rounded != MOTE_TYPE_F32;
    plan->weights_bytes = count_weights(program, !own_panels, &plan->parameters) + exec.strips;
    plan->scratch_bytes =
        exec.total - exec.gradients_of_weights - exec.strips - exec.activations + updater.scratch + updater.tables;
    /* an evaluation between steps has a batch of its own */
    plan->data_bytes = mote_trainer_data_bytes(config, &options) + rows * (4 * sizeof(int32_t) + 1);
    plan->flops_per_token = 3 * mote_program_cost(plain, config->context / 2).flops; /* backward is twice the forward */
    plan->total_bytes = (uint64_t)THREAD_BYTES * (uint64_t)(threads - 1);
done:
    mote_program_destroy(program);
    return status;
}

static mote_status plan_session(const mote_config *config, const mote_session_options *given,
                                const mote_program *program, mote_memory_plan *plan, mote_error *error) {
    int threads = 1;
    mote_exec_bytes exec = {0};
    size_t lists = 0;
    mote_status status = mote_session_measure(program, given, &exec, &lists, &threads, error);
    if (status) return status;
    plan->activations_bytes = exec.activations;
    plan->scratch_bytes = exec.total - exec.activations;
    plan->data_bytes = lists;
    plan->flops_per_token = mote_program_cost(program, config->context / 2).flops;
    plan->total_bytes = (uint64_t)THREAD_BYTES * (uint64_t)(threads - 1);
    return MOTE_OK;
}

mote_status mote_plan_memory(const mote_config *config, const mote_train_options *options,
                             const mote_session_options *session, mote_memory_plan *plan, mote_error *error) {
    if (!config || !plan) return mote_fail(error, MOTE_USAGE, "a memory plan needs a model's shape and a result");
    memset(plan, 0, sizeof *plan);
    mote_config complete = *config;
    mote_program *program = NULL;
    mote_status status = mote_config_complete(&complete, error);
    if (status) return status;
    status = mote_program_build(&complete, &program, error);
    if (status) return status;
    plan->weights_bytes = count_weights(program, true, &plan->parameters);
    if (options) status = plan_training(&complete, options, program, plan, error);
    else status = plan_session(&complete, session, program, plan, error);
    mote_program_destroy(program);
    if (status) return status;
    plan->total_bytes += PROCESS_BYTES + page_aligned(plan->weights_bytes) + page_aligned(plan->gradients_bytes) +
                         page_aligned(plan->optimizer_bytes) + page_aligned(plan->activations_bytes) +
                         page_aligned(plan->scratch_bytes) + page_aligned(plan->data_bytes);
    return MOTE_OK;
}
