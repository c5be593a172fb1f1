/* Loading a BLAS library as --blas asks for it. */
#ifndef MOTE_CLI_BLAS_H
#define MOTE_CLI_BLAS_H

#include "command.h"

extern const struct option_group group_blas; /* --blas of a training run */
extern const char *blas_choice;              /* NULL: not given */
/* choice: "auto" or a file. */
mote_status blas_open(const char *choice, mote_blas **blas, mote_error *error);

#endif
