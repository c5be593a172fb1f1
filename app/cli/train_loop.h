/* A training run in progress: what the loop, its evaluations, samples and saves share. */
#ifndef MOTE_CLI_TRAIN_LOOP_H
#define MOTE_CLI_TRAIN_LOOP_H

#include "history.h"
#include "prepare.h"
#include "progress.h"
#include "report.h"

struct training {
    const char *output;
    mote_type type;
    int64_t save_every, evaluate_every, sample_every; /* steps; 0 for sample_every: no samples */
    const char *sample_prompt;
    bool quiet;
    double deadline; /* on now_seconds()' clock; 0: none */
    struct prepared *prepared;
    mote_model *model;
    mote_trainer *trainer;
    mote_blas *blas;     /* --blas; NULL: off */
    char blas_used[256]; /* what it does of the products; "": it was not asked for */
    struct run_folder run;
    struct history history;
    struct progress progress;
    struct report report;
    mote_evaluation final;
    bool have_final;
    double last_part_loss;   /* at the end, but measured as on the way */
    bool keeps_model;        /* a model of an earlier run is still there: the first save leaves it */
    int64_t saved_step;      /* of the newest checkpoint; -1: none */
    double saved_at, speed;  /* clock of the last save; smoothed tokens per second */
    int64_t log_every;
    bool out_of_time, warned_nothing; /* warned that an evaluation had nothing to measure */
};

/* Installs the handlers: the first SIGINT, SIGTERM or (where it is not ignored: nohup) SIGHUP asks the loop to end,
 * the second ends the process at once. */
void train_catch_signals(void);
/* Before the first step of a model that can do something already: its loss on the way, to compare with. */
mote_status train_evaluate_first(struct training *training, mote_error *error);
/* Trains to the last step or deadline. MOTE_INTERRUPTED: ended by a signal, everything saved. MOTE_DIVERGED: stopped,
 * the last good checkpoint and model are on disk. */
mote_status train_loop(struct training *training, mote_error *error);
/* Saves the model, then the checkpoint: a checkpoint on disk always has a model beside it. */
mote_status train_save(struct training *training, mote_error *error);
/* Before the first step: a disk that cannot hold a checkpoint is found now and not after hours. Then those of an
 * earlier run go; its model stays until there is a trained one to replace it. */
mote_status train_save_first(struct training *training, mote_error *error);
/* Of the validation tokens, how many an evaluation on the way reads. */
uint64_t train_evaluation_tokens(const struct training *training);
/* Final sample, and evaluation over the whole validation part; all is saved before. MOTE_INTERRUPTED as above. */
mote_status train_evaluate_all(struct training *training, mote_error *error);
/* Logs the end and writes the report; status: "finished", "interrupted", "diverged", "failed". */
void train_end(struct training *training, const char *status, const char *message);

#endif
