/* Inside sessions and samplers, for generation and tests. */
#ifndef MOTE_RUN_SESSION_H
#define MOTE_RUN_SESSION_H

#include "models/model.h"
#include "ops/ops.h"

const mote_model *mote_session_model(const mote_session *session);
mote_exec *mote_session_exec(mote_session *session); /* to time its runs */
int mote_session_context(const mote_session *session); /* positions a sequence can hold */
/* What mote_session_create would allocate: the executor's memory, the session's own lists; and how many threads it
 * takes. */
mote_status mote_session_measure(const mote_program *program, const mote_session_options *options,
                                 mote_exec_bytes *exec, size_t *lists, int *threads, mote_error *error);
int mote_sampler_vocab(const mote_sampler *sampler);

/* The model's panels, made at most once, by whichever session or evaluation of whichever thread comes first. */
mote_status mote_model_pack_shared(const mote_model *model, mote_error *error);

#endif
