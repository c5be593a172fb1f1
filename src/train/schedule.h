/* Learning-rate schedules: pure functions of the step, so that resuming needs no state. */
#ifndef MOTE_TRAIN_SCHEDULE_H
#define MOTE_TRAIN_SCHEDULE_H

#include "base/status.h"

/* The learning rate of step `step`, counted from 0, for options whose steps, warmup, restarts and decay_part are
 * checked. Steps 0 .. warmup - 1 rise as lr (step + 1) / (warmup + 1); step `warmup` has exactly lr; the last step,
 * steps - 1, has exactly min_lr (unless it is also the first after the warm-up, which trains at lr). Later steps stay
 * at the last rate. */
double mote_schedule_lr(const mote_train_options *options, int64_t step);

/* The first step whose rate depends on how many steps there are in all: runs of different length agree before it. */
int64_t mote_schedule_common_steps(const mote_train_options *options);

const char *mote_schedule_name(mote_schedule schedule); /* "wsd" */

#endif
