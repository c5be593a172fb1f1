/* A tile of queries on its way through attend (attend.inc.h), and the part of it that one instruction set does for
 * another. */
#ifndef MOTE_KERNELS_ATTEND_H
#define MOTE_KERNELS_ATTEND_H

#include "kernels/kernels.h"

typedef struct {
    const mote_attend *a;
    const mote_real *q;      /* of the first row */
    mote_real *scores, *y;
    size_t width;            /* of a row of scores */
    const mote_real *values; /* of the first head, at the first key */
    int heads, group;        /* rows are `group` of each of so many heads */
} mote_attend_tile;

/* y of the tile from its probabilities: the same bits in every instruction set. */
void mote_attend_values_avx2(const mote_attend_tile *t);

#endif
