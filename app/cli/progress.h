/* The one line that shows where a training run stands: redrawn on a terminal, now and then a plain line elsewhere. */
#ifndef MOTE_CLI_PROGRESS_H
#define MOTE_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool terminal, quiet, drawn;
    int64_t first, steps;  /* steps done when this process began; steps of the run */
    double start, last_draw;
    int64_t next_line;     /* the step of the next plain line */
    double validation;     /* last validation loss; NaN: none yet */
    double deadline;       /* of --minutes on now_seconds()' clock; 0: none */
};

struct progress_state {
    int64_t step;
    double loss, lr, tokens_per_second;
};

void progress_begin(struct progress *progress, int64_t first, int64_t steps, bool quiet);
/* `always`: after an evaluation, also where it is not yet time for a line; on a terminal a line above the bar. */
void progress_show(struct progress *progress, const struct progress_state *state, bool always);
/* Takes the line away so that something else can be printed. */
void progress_clear(struct progress *progress);
/* Leaves the line where it is, and what the terminal wrote into it (^C), and goes to the next. */
void progress_leave(struct progress *progress);

#endif
