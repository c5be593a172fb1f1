/* What the tests of training share: a text to train on, and a model with its trainer. */
#ifndef TRAINING_H
#define TRAINING_H

#include "test.h"

#include "train/trainer.h"

static inline void write_text(const char *path, unsigned seed, int n_words) {
    static const char *const words[] = {"the ", "mote ",  "in ",      "a ",  "beam ",
                                        "of ",  "light ", "drifts. ", "it ", "was\n"};
    FILE *f = fopen(path, "w");
    for (int i = 0; f && i < n_words; i++) {
        seed = seed * 1664525u + 1013904223u;
        fputs(words[(seed >> 16) % 10], f);
    }
    if (f) fclose(f);
}

/* The corpus of such a text, a fifth of it for validation, its letters as tokens. false: it was said why not. */
static inline bool open_text(const char *path, mote_corpus **corpus, mote_tokenizer **tokenizer,
                             mote_dataset **dataset) {
    mote_error error = {0};
    mote_corpus_options o = mote_corpus_options_default();
    o.validation = 0.2;
    bool ok = mote_corpus_open(&path, 1, &o, corpus, &error) == MOTE_OK &&
              mote_corpus_train_tokenizer(*corpus, MOTE_TOKENIZER_CHAR, 256, tokenizer, &error) == MOTE_OK &&
              mote_dataset_create(*corpus, *tokenizer, dataset, &error) == MOTE_OK;
    if (!ok) printf("%s\n", error.message);
    return ok;
}

typedef struct {
    mote_model *model;
    mote_trainer *trainer;
} run;

/* tokenizer: of the model, may be NULL. */
static inline bool run_create(run *r, const mote_config *config, const mote_tokenizer *tokenizer,
                              const mote_dataset *data, const mote_train_options *options) {
    mote_error error = {0};
    memset(r, 0, sizeof *r);
    bool ok = mote_model_create(config, tokenizer, 7, &r->model, &error) == MOTE_OK &&
              mote_trainer_create(r->model, data, options, &r->trainer, &error) == MOTE_OK;
    CHECK(ok, "%s", error.message);
    return ok;
}

static inline void run_destroy(run *r) {
    mote_trainer_destroy(r->trainer);
    mote_model_close(r->model);
}

static inline double run_steps(run *r, int steps) {
    mote_step_report report = {0};
    for (int i = 0; i < steps; i++) {
        mote_error error = {0};
        CHECK(mote_trainer_step(r->trainer, &report, &error) == MOTE_OK, "%s", error.message);
    }
    return report.loss;
}

#endif
