/* Heights are multiples of the 12-row micro-kernel where the unit allows it. */
#include "kernels/tiling.h"

enum { KERNEL_ROWS = 12 };

static int parts_of(int n, int part) { return (n + part - 1) / part; }

static mote_tiling cut(int rows, int height, int threads, int unit) {
    mote_tiling t = {.rows = rows, .unit = unit, .units = parts_of(rows, unit), .tiles = parts_of(rows, height)};
    if (t.tiles >= threads) t.tiles = parts_of(t.tiles, threads) * threads;
    if (t.tiles > t.units) t.tiles = t.units;
    return t;
}

/* At most 8 of the micro-kernel, four tiles a thread to even out what another process takes, but not below 4 of it
 * while every thread has a tile: each tile reads all weights. */
mote_tiling mote_tile_tokens(int rows, int threads, int unit, int coarse) {
    enum { LEAST = 48 };
    const int even = parts_of(rows, threads), least = even < LEAST ? even : LEAST, wanted = rows / (threads * 4);
    int height = parts_of(wanted > least ? wanted : least, coarse) * coarse;
    height = height < coarse ? coarse : height > MOTE_TILE_ROWS ? MOTE_TILE_ROWS : height;
    return cut(rows, height, threads, parts_of(rows, height) < threads ? height : unit);
}

mote_tiling mote_tile_head(int rows, int threads, int unit) { return cut(rows, MOTE_TILE_ROWS, threads, unit); }

/* A part copies all of x strip by strip, so tall parts cost less; low ones keep the threads evenly busy, of which one
 * alone has no need: it leaves the blocks to the product. */
mote_tiling mote_tile_weight(int rows, int threads) {
    const int height = threads == 1 ? rows : rows >= 1024 ? 192 : rows >= 192 ? 96 : 48;
    return cut(rows, height > 0 ? height : 1, threads, KERNEL_ROWS);
}
