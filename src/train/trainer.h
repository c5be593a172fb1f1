/* Inside a trainer, for checkpoints, the memory plan and tests. */
#ifndef MOTE_TRAIN_TRAINER_H
#define MOTE_TRAIN_TRAINER_H

#include "models/model.h"
#include "ops/ops.h"
#include "train/data_order.h"
#include "train/optimizer.h"

/* Panels of one weight that are packed together. */
typedef struct {
    mote_tensor_id id;
    int row, rows; /* row: a multiple of MOTE_PANEL */
} mote_pack_part;

/* Wall time of the parts of the last step: windows, zeroed gradients and losses; forward and backward; the gradient's
 * norm and the optimizer; packing the new weights. */
typedef struct {
    double data_seconds, run_seconds, optimizer_seconds, packing_seconds;
} mote_step_times;

struct mote_trainer {
    mote_model *model;
    const mote_dataset *dataset; /* NULL: random tokens */
    mote_train_options options;  /* complete */
    mote_program *program;       /* the model's, with dropout; weights have the same ids */
    void **weight, **packed;     /* by tensor of `program`; the memory is the model's (or, swapped, the averages) */
    mote_pool *pool;
    mote_exec *exec;
    mote_updater *updater;
    mote_pack_part *parts;
    int n_parts;
    /* one step's data: accumulate * batch windows */
    int32_t *token, *target, *position; /* position: of one micro-batch */
    mote_sequence *sequence;
    int32_t *window;    /* context + 1 */
    uint8_t *is_target; /* context + 1 */
    /* what a checkpoint remembers, besides the arrays */
    mote_data_order order;
    int64_t step; /* done */
    uint64_t total_tokens;
    mote_step_times times;
};

/* Bytes of the arrays of one step's data and of the trainer itself. */
size_t mote_trainer_data_bytes(const mote_config *config, const mote_train_options *options);
/* What the executor of a trainer is made for. False: the numbers of a step do not fit. */
bool mote_trainer_exec_options(const mote_config *config, const mote_train_options *options, mote_exec_options *how);
int mote_trainer_threads(const mote_train_options *options);
/* The panels of all weights, made again from the weights. */
void mote_trainer_repack(mote_trainer *trainer);
uint64_t mote_trainer_data_hash(const mote_trainer *trainer); /* 0 for random tokens */

#endif
