/* The course of a training run in bounded memory, and the run folder it is written to: run.jsonl (one object per event,
 * only ever appended to), config.json, report.html, checkpoints, and a lock. */
#ifndef MOTE_CLI_HISTORY_H
#define MOTE_CLI_HISTORY_H

#include <stdio.h>

#include "base/buffer.h"
#include "mote/mote.h"

struct history_point {
    double step, loss, gradient_norm, lr, tokens_per_second;
};
struct history_evaluation {
    int64_t step;
    double loss, bits_per_byte, top1;
};
struct history_sample {
    int64_t step;
    char *text;
};
enum { HISTORY_POINTS = 2048, HISTORY_EVALUATIONS = 1024, HISTORY_SAMPLES = 24 };

struct history {
    struct history_point points[HISTORY_POINTS];
    int n_points, stride, pending; /* a point is the mean of `stride` steps; `pending` of them are in `sum` */
    struct history_point sum;
    struct history_evaluation evaluations[HISTORY_EVALUATIONS];
    int n_evaluations;
    struct history_sample samples[HISTORY_SAMPLES];
    int n_samples;
    int64_t last_step;
    double smoothed_loss; /* mean of about the last 50 steps */
    double seconds;       /* spent in steps */
    uint64_t tokens;
    bool finished;        /* the last run in this log came to its end */
    bool diverged;        /* or could not go on after step end_step */
    int64_t end_step;
};

void history_add_step(struct history *history, const mote_step_report *report);
void history_add_evaluation(struct history *history, int64_t step, const mote_evaluation *evaluation);
void history_add_sample(struct history *history, int64_t step, const char *text, size_t bytes);
/* Reads run.jsonl up to `last_step`; lines that are no events (a torn last line) are passed over. */
mote_status history_load(const char *path, int64_t last_step, struct history *history, mote_error *error);
void history_deinit(struct history *history);

struct run_folder {
    char path[1024]; /* the folder; files in it by run_path() */
    int lock;
    FILE *log;
    int keep;
    bool log_warned, made; /* made: the folder was not there before */
};

/* Creates and locks the folder of a model file: its name without .gguf, with .run. */
mote_status run_open(const char *model_path, int keep, struct run_folder *run, mote_error *error);
void run_close(struct run_folder *run);
/* Path of a file of the folder; lives until the fourth call after it. */
const char *run_path(const struct run_folder *run, const char *name);
/* Starts the log anew or opens it for appending. A folder that run_open made and no run began in is removed again. */
mote_status run_begin(struct run_folder *run, bool append, mote_error *error);
/* Appends one line; a failure is reported once and training goes on. Frees the buffer. */
void run_event(struct run_folder *run, mote_buffer *event);
const char *run_checkpoint_path(const struct run_folder *run, int64_t step);
/* Steps of the checkpoints that are there, newest first; returns how many. */
int run_checkpoints(const struct run_folder *run, int64_t *steps, int limit);
/* Removes all but the newest `keep` checkpoints. */
void run_prune(const struct run_folder *run);
/* Removes all but that of one step: those of an earlier run. */
void run_prune_others(const struct run_folder *run, int64_t step);
/* Replaces a small file atomically and frees the buffer. */
mote_status run_write(const char *path, mote_buffer *buffer, mote_error *error);

#endif
