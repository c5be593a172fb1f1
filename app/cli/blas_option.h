/* Loading a BLAS library as --blas asks for it. */
#ifndef MOTE_CLI_BLAS_H
#define MOTE_CLI_BLAS_H

#include "command.h"

/* choice: "auto" or a file. */
mote_status blas_open(const char *choice, mote_blas **blas, mote_error *error);

#endif
