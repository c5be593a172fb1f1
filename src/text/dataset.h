/* Inside a dataset, for training and evaluation. */
#ifndef MOTE_TEXT_DATASET_H
#define MOTE_TEXT_DATASET_H

#include "base/status.h"

/* Copies tokens [begin, begin + n) of a split, and for each whether it may be a target (1) or is only context (0). */
void mote_dataset_read(const mote_dataset *dataset, mote_split split, size_t begin, size_t n, int32_t *tokens,
                       uint8_t *is_target);
int mote_dataset_vocab(const mote_dataset *dataset);
/* Checksum of all tokens: two datasets with the same are the same (a checkpoint remembers it). */
uint64_t mote_dataset_hash(const mote_dataset *dataset);

#endif
