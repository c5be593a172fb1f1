/* Evaluation with an executor that exists already (a trainer's). */
#ifndef MOTE_RUN_EVALUATE_H
#define MOTE_RUN_EVALUATE_H

#include "ops/ops.h"
#include "text/dataset.h"

/* As mote_evaluate, in windows of `context` tokens; `x` was created with `loss`, for max_rows / context (at least 1)
 * sequences of that length. Its batch and its training flag are put back as they were; `seconds` is filled. */
mote_status mote_evaluate_exec(mote_exec *x, const mote_dataset *dataset, mote_split split, uint64_t max_tokens,
                               int context, mote_evaluation *out, mote_error *error);

#endif
