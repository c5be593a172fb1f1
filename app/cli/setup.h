/* The options that describe a model and its training, shared by train, plan, init and bench train. */
#ifndef MOTE_CLI_SETUP_H
#define MOTE_CLI_SETUP_H

#include "command.h"

extern const struct option_group group_vocab;     /* --vocab alone, for models without a text */
extern const struct option_group group_tokenizer; /* --tokenizer and --vocab */
extern const struct option_group group_shape, group_batch, group_length, group_optimizer, group_numbers, group_seed,
    group_type, group_memory;

struct setup {
    int family, tokenizer, tied, bias, qk_norm, rope_scaling, optimizer, schedule, type, precision, qat, recompute;
    int64_t vocab, dim, layers, heads, kv_heads, head_dim, hidden, context, window, rope_original_context;
    double norm_epsilon, rope_base, rope_factor;
    int64_t batch, accumulate, steps, warmup, restarts, seed;
    double epochs, minutes, validation;
    double lr, min_lr, adam_lr, beta1, beta2, epsilon, weight_decay, decay_part, clip, dropout, average;
};
extern struct setup setup;

/* The library's structs with what was given; the rest keeps its "unset" mark. */
mote_config setup_config(void);
mote_train_options setup_train_options(void);
/* The other way, after the library has completed them: so config.json holds every value of the run. */
void setup_store_config(const mote_config *config);
void setup_store(const mote_config *config, const mote_train_options *options);
mote_type setup_type(void);
const char *setup_precision_name(mote_precision precision);
uint64_t setup_seed(void);

/* mote_plan_memory, with what the command itself takes. */
mote_status setup_plan_memory(const mote_config *config, const mote_train_options *options,
                              const mote_session_options *session, mote_memory_plan *plan, mote_error *error);

#endif
