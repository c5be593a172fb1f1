/* Around the output of a training run: how a text begins, and what is told at the end. */
#ifndef MOTE_CLI_TRAIN_OUTPUT_H
#define MOTE_CLI_TRAIN_OUTPUT_H

#include "train_loop.h"

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
