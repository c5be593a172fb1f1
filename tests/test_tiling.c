/* Rows cut for threads: every row is in one tile, tiles differ by one unit at most, and no thread is left without. */
#include "kernels/tiling.h"
#include "test.h"

static void check(const char *what, const mote_tiling *t, int rows, int threads) {
    int least = rows, most = 0, whole = t->unit > 0 && t->tiles > 0;
    CHECK(whole && mote_row_of_tile(t, 0) == 0 && mote_row_of_tile(t, t->tiles) == rows, "%s: %d rows", what, rows);
    for (int i = 0; i < t->tiles && whole; i++) {
        const int begin = mote_row_of_tile(t, i), height = mote_row_of_tile(t, i + 1) - begin;
        const int units = (height + t->unit - 1) / t->unit;
        CHECK(height > 0 && begin % t->unit == 0, "%s: %d rows, %d threads, tile %d", what, rows, threads, i);
        if (units < least) least = units;
        if (units > most) most = units;
    }
    CHECK(most - least <= 1, "%s: %d rows, %d threads: %d to %d units", what, rows, threads, least, most);
    CHECK(t->tiles < threads || t->tiles % threads == 0 || t->tiles == t->units, "%s: %d rows, %d threads, %d tiles",
          what, rows, threads, t->tiles);
}

static void rows_are_cut_evenly(void) {
    for (int rows = 1; rows <= 2100; rows += rows < 200 ? 1 : 61) {
        for (int threads = 1; threads <= 9; threads++) {
            const mote_tiling tokens = mote_tile_tokens(rows, threads, 4, 12),
                              blocks = mote_tile_tokens(rows, threads, 32, 32), head = mote_tile_head(rows, threads, 4),
                              weight = mote_tile_weight(rows, threads);
            check("tokens", &tokens, rows, threads);
            check("tokens in blocks", &blocks, rows, threads);
            check("head", &head, rows, threads);
            check("weight", &weight, rows, threads);
            CHECK(head.tiles >= (threads < head.units ? threads : head.units),
                  "%d rows of a head, %d threads: %d tiles", rows, threads, head.tiles);
            const int tall = mote_row_of_tile(&tokens, 1), of_head = mote_row_of_tile(&head, 1);
            CHECK(tall <= MOTE_TILE_ROWS && of_head <= MOTE_TILE_ROWS, "%d rows, %d threads: tiles of %d, %d", rows,
                  threads, tall, of_head);
            CHECK(threads > 1 || weight.tiles == 1, "one thread makes a weight in %d parts", weight.tiles);
        }
    }
}

static void no_rows_are_no_tiles(void) {
    const mote_tiling tokens = mote_tile_tokens(0, 4, 4, 12), head = mote_tile_head(0, 4, 4),
                      weight = mote_tile_weight(0, 4);
    CHECK(tokens.tiles == 0 && head.tiles == 0 && weight.tiles == 0, "%d %d %d", tokens.tiles, head.tiles,
          weight.tiles);
}

int main(void) {
    RUN(rows_are_cut_evenly);
    RUN(no_rows_are_no_tiles);
    return test_finish();
}
