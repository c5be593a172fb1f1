/* report.html: a training run on one page that needs nothing else. */
#ifndef MOTE_CLI_REPORT_H
#define MOTE_CLI_REPORT_H

#include "command.h"
#include "history.h"

struct report {
    const char *model_path, *status; /* status: "running", "finished", "interrupted", "diverged" */
    const struct history *history;
    const struct option_group *const *groups; /* whose values are tabled */
    const char *reasons;                      /* why the recipe chose so, one line a choice; may be NULL */
    const mote_evaluation *final;             /* over the whole validation part; NULL: not yet */
    int64_t steps;
    uint64_t parameters, train_tokens, validation_tokens, text_bytes, memory_bytes;
    const char *tokenizer;
    int vocab, threads;
    double tokens_per_second;
};
extern const char report_style[]; /* of every page mote writes */
mote_status report_write(const char *path, const struct report *report, mote_error *error);

#endif
