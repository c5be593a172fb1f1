/* How the rows of a product are cut for threads: by the executor, and by who rehearses its products. */
#ifndef MOTE_KERNELS_TILING_H
#define MOTE_KERNELS_TILING_H

#include <stdint.h>

static inline int mote_parts_of(int n, int part) { return (n + part - 1) / part; }

/* Tiles of nearly the same height in whole units, of which the last may be short. Where there are as many tiles as
 * threads or more, every thread has as many as the others. */
typedef struct {
    int rows, unit, units, tiles;
} mote_tiling;

static inline int mote_row_of_tile(const mote_tiling *t, int tile) {
    const int64_t row = t->units * (int64_t)tile / t->tiles * t->unit;
    return row < t->rows ? (int)row : t->rows;
}

enum {
    MOTE_TILE_ROWS = 96,   /* of tokens, at most */
    MOTE_TOKEN_UNIT = 4,   /* of them: pairs of bf16 along the tokens begin and end in one tile */
    MOTE_COARSE_UNIT = 12, /* the rows of the micro-kernel */
};

/* Rows of tokens that go through many products, in units of `unit`; in units of `coarse` where there are fewer tiles
 * than threads. */
mote_tiling mote_tile_tokens(int rows, int threads, int unit, int coarse);
/* Rows of tokens of a head, each tile of which reads a whole weight. */
mote_tiling mote_tile_head(int rows, int threads, int unit);
/* Rows of a weight whose gradient is made. */
mote_tiling mote_tile_weight(int rows, int threads);

#endif
