/* The orthogonal factor of a matrix, nearly: its singular vectors stay, its singular values go to about 1. One matrix
 * is done by one thread or by a team that shares it strip by strip; both leave the same bits. */
#ifndef MOTE_TRAIN_ORTHOGONALIZE_H
#define MOTE_TRAIN_ORTHOGONALIZE_H

#include "base/threads.h"
#include "kernels/kernels.h"

/* The threads that share a matrix: all of the pool, or one by itself. */
typedef struct {
    mote_pool *pool; /* NULL: alone */
    int thread, n_threads;
} mote_team;

static inline void mote_team_meet(const mote_team *team) {
    if (team->pool) mote_pool_barrier(team->pool);
}

/* Rows of x that a thread of a team takes at a time: whole tiles of the 12-row micro-kernel. */
enum { MOTE_ORTHOGONAL_ROWS = 48, MOTE_ORTHOGONAL_SQUARES = 5 };

/* A matrix x [rows, cols] at work; small = min(rows, cols). Rows of x, of squares and of `part` are whole panels wide
 * in memory. */
typedef struct {
    int rows, cols, small;
    size_t x_row, square_row; /* values from one row to the next */
    mote_real *x;
    double *sums; /* [rows], the sum of squares of each row of x; later of other things */
    mote_real *square[MOTE_ORTHOGONAL_SQUARES]; /* [small, small] */
    mote_real *part;         /* this thread's own: MOTE_ORTHOGONAL_ROWS rows of the result, or a panel of x^T */
    const mote_real *factor; /* [small, small]: scale factor x is the result, of a tall matrix scale x factor */
    double scale;
} mote_orthogonal;

/* Lays out a matrix in `memory` as `team`'s thread sees it; returns its bytes. memory NULL: bytes only. */
size_t mote_orthogonal_lay(mote_orthogonal *o, int rows, int cols, const mote_team *team, uint8_t *memory);
/* From x and its sums to factor and scale. Every thread of the team calls it when its own rows of x are filled. A
 * matrix of norm 1e-10 or less goes to about nothing, zero to zero. */
void mote_orthogonal_solve(const mote_kernels *k, mote_orthogonal *o, const mote_team *team);
/* Rows [begin, end) of the result without `scale`, in o->part. */
void mote_orthogonal_rows(const mote_kernels *k, const mote_orthogonal *o, int begin, int end);

#endif
