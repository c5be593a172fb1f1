/* The rungs of mote_ladder_run: y = W (x / rms(x) * gain) with W in q4_0, done in ever faster ways. Every rung makes
 * the same integers: dot products of 32 weights and 32 activations of 8 bits, whose scales are applied afterwards. */
#ifndef MOTE_MEASURE_LADDER_H
#define MOTE_MEASURE_LADDER_H

#include "base/threads.h"
#include "kernels/panels.h"

typedef struct {
    const mote_kernels *kernels;
    mote_pool *pool; /* of the last rung */
    int rows, cols, blocks;
    size_t row_bytes;
    const uint8_t *weights; /* [rows], as in a file */
    const uint8_t *panels;  /* the same, packed */
    const mote_real *x, *gain; /* [cols] */
    mote_real *y;              /* [rows] */
    /* what the passes of a rung hand to each other */
    mote_real *normed;  /* [cols] */
    mote_block8 *codes; /* [blocks] */
    int8_t *plain;      /* [blocks][32]: the codes in the order of the weights */
    int16_t *wide;      /* [blocks][32]: the codes in 16 bits, in the order of mote_block8 */
    int32_t *dots;      /* [blocks], of one row; */
    int32_t *kept;      /* [kept_rows][blocks]: those of the first rows stay here; NULL: nothing is kept */
    int kept_rows;
} mote_ladder_job;

typedef struct {
    const char *name, *what;
    void (*run)(mote_ladder_job *job);
    bool packed, threads; /* reads the panels; runs on all threads */
} mote_ladder_step;

extern const mote_ladder_step mote_ladder_steps[MOTE_LADDER_RUNGS];
/* Bytes that the panels of these columns take. */
size_t mote_ladder_panel_bytes(int blocks);

#endif
