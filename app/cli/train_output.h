/* Around the output of a training run: whether it may be written, how it is named in a shell, and how a text begins. */
#ifndef MOTE_CLI_TRAIN_OUTPUT_H
#define MOTE_CLI_TRAIN_OUTPUT_H

#include "train_loop.h"

/* Refuses, before anything is done, an output that would destroy something or cannot be written. *replaces: there is a
 * model already. */
mote_status output_check(const char *output, int n_texts, const char *const *texts, bool *replaces, mote_error *error);

/* How a text begins, in at most 20 characters of its first line that is not blank, cut between words. A folder begins
 * as its first file; JSONL as its first "text" or "prompt". */
enum text_kind { TEXT_PLAIN, TEXT_DOCUMENTS, TEXT_CHAT };
enum { FIRST_WORDS = 96 };
enum text_kind find_first_words(const char *path, char words[FIRST_WORDS]);

/* What was reached, for people: the loss, overfitting, speed, files, and what to type next. */
void train_print_summary(const struct training *training, const char *text);
/* The same as one JSON object on standard output; status: "finished", "interrupted", "diverged". */
mote_status train_print_json(const struct training *training, const char *status, mote_error *error);

#endif
