/* From options and texts to all that a training run needs, in the order in which each part depends on the one before:
 * corpus, tokenizer, dataset, recipe, memory. Shared by train and plan. */
#ifndef MOTE_CLI_PREPARE_H
#define MOTE_CLI_PREPARE_H

#include "command.h"

extern const struct option_group group_corpus; /* --skip-bad */

/* What config.json remembers of a run and a plan tells of it: what the result depends on, and not where or how it is
 * run. The model of --from and what goes with it only where there is one. */
const struct option_group *const *prepare_stored(void);

struct prepared {
    mote_corpus *corpus;
    mote_tokenizer *own_tokenizer;
    mote_model *source; /* the model whose tokenizer is used: when resuming, and that of --from */
    bool fine_tuning;   /* source is the model to train, and says the shape */
    const mote_tokenizer *tokenizer;
    mote_dataset *dataset;
    mote_recipe_facts facts;
    mote_config config;
    mote_train_options options;
    char *reasons;
    mote_memory_plan plan;
    double tokens_per_second; /* of the measurement for --minutes; 0: none was made */
};

/* What the options contradict themselves in, whatever the text is: to be told before anything else. */
mote_status prepare_check(bool shape, mote_error *error); /* shape: that of a new model */
mote_status prepare_corpus(int n_texts, const char *const *texts, struct prepared *prepared, mote_error *error);
/* The tokenizer of prepared->source, or of the model in `path`; where both are NULL one trained as the options say. */
mote_status prepare_tokenizer(const char *path, struct prepared *prepared, mote_error *error);
mote_status prepare_dataset(struct prepared *prepared, mote_error *error);
/* Completes config and options. With --minutes and no --steps, measures this machine to choose the steps. */
mote_status prepare_recipe(struct prepared *prepared, mote_error *error);
/* Fails with MOTE_MEMORY when the plan exceeds the memory that is available. */
mote_status prepare_memory(struct prepared *prepared, mote_error *error);
void prepared_deinit(struct prepared *prepared);

#endif
