/* The options of sampling, shared by generate and chat, and opening what speaks. */
#ifndef MOTE_CLI_SAMPLING_H
#define MOTE_CLI_SAMPLING_H

#include "command.h"

extern const struct option_group group_sampling;
/* A model with its tokenizer, a session and a sampler made from the options. */
struct speaker {
    mote_model *model;
    const mote_tokenizer *tokenizer;
    mote_session *session;
    mote_sampler *sampler;
};
/* The model's tokenizer; where it has none that can be used, a failure that says why. */
mote_status model_tokenizer(const mote_model *model, const char *path, const mote_tokenizer **tokenizer,
                            mote_error *error);
/* Says so when some tokens of a text stand for what the vocabulary lacks. */
void warn_unknown(uint64_t unknown, size_t n_tokens);
mote_status speaker_open(const char *path, struct speaker *speaker, mote_error *error);
/* A sampler of the options; `seed_step` makes the draws of later replies differ. */
mote_status speaker_sampler(struct speaker *speaker, uint64_t seed_step, mote_error *error);
void speaker_close(struct speaker *speaker);
extern struct string_list sampling_stop;
extern int sampling_ignore_end;

#endif
