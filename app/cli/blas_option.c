/* The option --blas. A BLAS library reads the environment when it is loaded, and the library of mote never does, so
 * what has to stand there is set here. */
#include "blas_option.h"

#include <stdlib.h>
#include <string.h>

const char *blas_choice;
static const struct option rows[] = {
    {"blas", 0, OPTION_STRING, &blas_choice, "auto|FILE", 0, 0, "off",
     "auto: what an installed BLAS library was measured to multiply 5 % faster, by it; FILE: all by this one; the bits "
     "are others than without"},
    {0},
};
const struct option_group group_blas = {"Products by others", rows};

/* Distributions' OpenBLAS takes processors newer than itself for old ones, some ten times slower; what the user said
 * comes first. Its own threads would take the cores from ours. */
mote_status blas_open(const char *choice, mote_blas **blas, mote_error *error) {
    unsigned cpu = mote_cpu_detect();
    const char *core = cpu & MOTE_CPU_AVX512 ? "SkylakeX" : cpu & MOTE_CPU_AVX2 ? "Haswell" : NULL;
    if (core) setenv("OPENBLAS_CORETYPE", core, 0);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    return mote_blas_open(strcmp(choice, "auto") ? choice : NULL, blas, error);
}
