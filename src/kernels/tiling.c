/* Heights are multiples of the 12-row micro-kernel where the unit allows it. */
#include "kernels/tiling.h"

#include <stdbool.h>

/* Into at least `tiles`; `each`: as many for each thread. */
static mote_tiling cut(int rows, int tiles, int threads, bool each, int unit) {
    mote_tiling t = {.rows = rows, .unit = unit, .units = mote_parts_of(rows, unit), .tiles = tiles};
    if (each) t.tiles = mote_parts_of(tiles, threads) * threads;
    if (t.tiles > t.units) t.tiles = t.units;
    return t;
}

/* At most 8 of the micro-kernel, four tiles a thread to even out what another process takes, but not below 4 of it
 * while every thread has a tile: each tile reads all weights. */
mote_tiling mote_tile_tokens(int rows, int threads, int unit, int coarse) {
    enum { LEAST = 48 };
    const int even = mote_parts_of(rows, threads), least = even < LEAST ? even : LEAST, wanted = rows / (threads * 4);
    int height = mote_parts_of(wanted > least ? wanted : least, coarse) * coarse;
    height = height < coarse ? coarse : height > MOTE_TILE_ROWS ? MOTE_TILE_ROWS : height;
    const int tiles = mote_parts_of(rows, height);
    return cut(rows, tiles, threads, tiles >= threads, tiles < threads ? height : unit);
}

mote_tiling mote_tile_head(int rows, int threads, int unit) {
    return cut(rows, mote_parts_of(rows, MOTE_TILE_ROWS), threads, true, unit);
}

/* A part copies all of x strip by strip, so tall parts cost less; low ones keep the threads evenly busy, of which one
 * alone has no need: it leaves the blocks to the product. */
mote_tiling mote_tile_weight(int rows, int threads) {
    const int height = threads == 1 ? rows : rows >= 1024 ? 192 : rows >= 192 ? 96 : 48;
    const int parts = mote_parts_of(rows, height > 0 ? height : 1);
    return cut(rows, parts, threads, parts >= threads, MOTE_COARSE_UNIT);
}
