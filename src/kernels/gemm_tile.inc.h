/* One tile of the products: TILE_ROWS x some panels of C in registers, down the whole depth of a block. A tile of many
 * rows and some depth reads its start and writes C between multiplications, and fetches meanwhile what the tiles after
 * it will read; one may copy B on the way. */

#include "kernels/unroll.h"

enum {
    PANEL_VECTORS = MOTE_PANEL / VECTOR,
    MOST_VECTORS = 8,
    FEW_ROWS = 4, /* up to here a 16-bit B is converted as it is loaded */
};

/* One tile: c = start + a b over whole panels; start may equal c, and NULL is zero. */
typedef struct {
    int depth;
    const float *a;
    size_t a_row, a_depth;
    const void *b;
    size_t b_panel, b_depth;
    float *c;
    size_t c_row;
    const float *start;
    size_t start_row;
    const char *ahead; /* fetched into L2 meanwhile: a line for each k, the next `ahead_depth` bytes on */
    size_t ahead_depth;
    float *copy; /* NULL, or where a copying tile puts B's whole panels: [depth][panels * 16] */
} tile;

INLINE vf load_weights(mote_type type, const void *b, size_t at) {
    if (type == MOTE_TYPE_F16) return v_load_f16((const uint16_t *)b + at);
    if (type == MOTE_TYPE_BF16) return v_load_bf16((const uint16_t *)b + at);
    return v_load((const float *)b + at, VECTOR);
}

/* Where vector v of a strip begins in B. */
INLINE size_t offset_of(int v, size_t b_panel) {
    return (size_t)(v / PANEL_VECTORS) * b_panel + (size_t)(v % PANEL_VECTORS) * VECTOR;
}

/* rows, vectors and type are constants after inlining, so `sum` is rows * vectors registers. Rows of A are reached from
 * every third row by an index register scaled by 1 and 2, which saves two of three pointers. */
INLINE void tile_body(const tile *t, int rows, int vectors, mote_type type) {
    vf sum[TILE_ROWS][MOST_VECTORS];
    const float *group[(TILE_ROWS + 2) / 3];
    UNROLL_BY(16)
    for (int r = 0; r < rows; r++) {
        if (r % 3 == 0) group[r / 3] = t->a + (size_t)r * t->a_row;
        UNROLL_BY(16)
        for (int v = 0; v < vectors; v++)
            sum[r][v] = t->start ? v_load(t->start + (size_t)r * t->start_row + v * VECTOR, VECTOR) : v_set(0);
    }
    const size_t a_row = t->a_row, a_depth = t->a_depth, b_panel = t->b_panel, b_depth = t->b_depth;
    const void *b = t->b;
    size_t at = 0;
    for (int k = t->depth; k > 0; k--, at += b_depth) {
        /* bf16 takes a register more to convert: 8 vectors at once would spill in AVX2 and halve the speed of one row.
         * The others are up to a third faster with all weights loaded first. */
        if (type == MOTE_TYPE_BF16 && rows < vectors) {
            vf x[FEW_ROWS];
            UNROLL_BY(16)
            for (int r = 0; r < rows; r++) x[r] = v_set(group[r / 3][(size_t)(r % 3) * a_row]);
            UNROLL_BY(16)
            for (int v = 0; v < vectors; v++) {
                vf weights = load_weights(type, b, at + offset_of(v, b_panel));
                UNROLL_BY(16)
                for (int r = 0; r < rows; r++) sum[r][v] = v_fma(x[r], weights, sum[r][v]);
            }
        } else {
            vf weights[MOST_VECTORS];
            UNROLL_BY(16)
            for (int v = 0; v < vectors; v++) weights[v] = load_weights(type, b, at + offset_of(v, b_panel));
            UNROLL_BY(16)
            for (int r = 0; r < rows; r++) {
                vf x = v_set(group[r / 3][(size_t)(r % 3) * a_row]);
                UNROLL_BY(16)
                for (int v = 0; v < vectors; v++) sum[r][v] = v_fma(x, weights[v], sum[r][v]);
            }
        }
        UNROLL_BY(16)
        for (int g = 0; g < (rows + 2) / 3; g++) group[g] += a_depth;
    }
    float *c = t->c;
    const size_t c_row = t->c_row;
    UNROLL_BY(16)
    for (int r = 0; r < rows; r++) {
        UNROLL_BY(16)
        for (int v = 0; v < vectors; v++) v_store(c + (size_t)r * c_row + v * VECTOR, sum[r][v], VECTOR);
    }
}

enum { FIRST_STEPS, LAST_STEPS };

/* What was worked out from *t is worked out anew, so that it takes no register from the loop between. */
#define FORGET(t) __asm__("" : "+r"(t))

/* The first or last steps of a long depth, row after row instead of step after step, so that the loads of `start` and
 * the stores to C lie among multiplications. In one burst those of 12 x 2 vectors take 50 and 85 cycles more. */
INLINE void edge_of_tile(const tile *t, const float *const group[], const float *b, float *copy, int rows, int vectors,
                         int edge, vf sum[TILE_ROWS][MOST_VECTORS]) {
    const size_t a_row = t->a_row, a_depth = t->a_depth, b_panel = t->b_panel, b_depth = t->b_depth;
    vf weights[EDGE_DEPTH][MOST_VECTORS];
    UNROLL_BY(16)
    for (int k = 0; k < EDGE_DEPTH; k++) {
        UNROLL_BY(16)
        for (int v = 0; v < vectors; v++) {
            weights[k][v] = v_load(b + offset_of(v, b_panel), VECTOR);
            if (copy) v_store(copy + (k * vectors + v) * VECTOR, weights[k][v], VECTOR);
        }
        b += b_depth;
    }
    UNROLL_BY(16)
    for (int r = 0; r < rows; r++) {
        UNROLL_BY(16)
        for (int v = 0; v < vectors; v++)
            if (edge == FIRST_STEPS) sum[r][v] = v_load(t->start + (size_t)r * t->start_row + v * VECTOR, VECTOR);
        UNROLL_BY(16)
        for (int k = 0; k < EDGE_DEPTH; k++) {
            vf x = v_set(group[r / 3][(size_t)(r % 3) * a_row + (size_t)k * a_depth]);
            UNROLL_BY(16)
            for (int v = 0; v < vectors; v++) sum[r][v] = v_fma(x, weights[k][v], sum[r][v]);
        }
        UNROLL_BY(16)
        for (int v = 0; v < vectors; v++)
            if (edge == LAST_STEPS) v_store(t->c + (size_t)r * t->c_row + v * VECTOR, sum[r][v], VECTOR);
    }
}

/* The same of f32 weights for at least 2 EDGE_DEPTH of depth. `start` is not NULL. */
INLINE void long_body(const tile *t, int rows, int vectors, bool copying) {
    vf sum[TILE_ROWS][MOST_VECTORS];
    const float *group[(TILE_ROWS + 2) / 3], *b = t->b;
    float *copy = copying ? t->copy : NULL;
    UNROLL_BY(16)
    for (int r = 0; r < rows; r += 3) group[r / 3] = t->a + (size_t)r * t->a_row;
    edge_of_tile(t, group, b, copy, rows, vectors, FIRST_STEPS, sum);
    FORGET(t);
    const size_t a_row = t->a_row, a_depth = t->a_depth, b_panel = t->b_panel, b_depth = t->b_depth;
    b += EDGE_DEPTH * b_depth;
    if (copying) copy += EDGE_DEPTH * vectors * VECTOR;
    UNROLL_BY(16)
    for (int g = 0; g < (rows + 2) / 3; g++) group[g] += EDGE_DEPTH * a_depth;
    const char *ahead = t->ahead;
    for (int k = t->depth - 2 * EDGE_DEPTH; k > 0; k--) {
        vf weights[MOST_VECTORS];
        __builtin_prefetch(ahead, 0, 2);
        ahead += *(const volatile size_t *)&t->ahead_depth; /* in a register it would turn out another */
        UNROLL_BY(16)
        for (int v = 0; v < vectors; v++) {
            weights[v] = v_load(b + offset_of(v, b_panel), VECTOR);
            if (copying) v_store(copy + v * VECTOR, weights[v], VECTOR);
        }
        UNROLL_BY(16)
        for (int r = 0; r < rows; r++) {
            vf x = v_set(group[r / 3][(size_t)(r % 3) * a_row]);
            UNROLL_BY(16)
            for (int v = 0; v < vectors; v++) sum[r][v] = v_fma(x, weights[v], sum[r][v]);
        }
        UNROLL_BY(16)
        for (int g = 0; g < (rows + 2) / 3; g++) group[g] += a_depth;
        b += b_depth;
        if (copying) copy += vectors * VECTOR;
    }
    FORGET(t);
    edge_of_tile(t, group, b, copy, rows, vectors, LAST_STEPS, sum);
}

#define DEFINE_TILE(type, rows, panels)                                                                                \
    static void tile_##type##_##rows##_##panels(const tile *t) {                                                       \
        tile_body(t, rows, panels * PANEL_VECTORS, MOTE_TYPE_##type);                                                  \
    }
#define DEFINE_LONG(type, rows, panels)                                                                                \
    static void long_tile_##rows##_##panels(const tile *t) { long_body(t, rows, panels * PANEL_VECTORS, false); }      \
    static void copying_tile_##rows##_##panels(const tile *t) { long_body(t, rows, panels * PANEL_VECTORS, true); }
#define LONG_ENTRY(type, rows, panels) [rows][panels] = long_tile_##rows##_##panels,
#define COPYING_ENTRY(type, rows, panels) [rows][panels] = copying_tile_##rows##_##panels,
#define TILE_ENTRY(type, rows, panels) [MOTE_TYPE_##type][rows][panels] = tile_##type##_##rows##_##panels,

TILES_FEW(DEFINE_TILE, F32)
TILES_FEW(DEFINE_TILE, F16)
TILES_FEW(DEFINE_TILE, BF16)
TILES_MANY(DEFINE_TILE)
TILES_MANY(DEFINE_LONG)

typedef void (*tile_function)(const tile *t);
static const tile_function tiles[MOTE_N_FLOAT_TYPES][TILE_ROWS + 1][MOST_VECTORS / PANEL_VECTORS + 1] = {
    TILES_FEW(TILE_ENTRY, F32) TILES_FEW(TILE_ENTRY, F16) TILES_FEW(TILE_ENTRY, BF16) TILES_MANY(TILE_ENTRY)};
static const tile_function long_tiles[TILE_ROWS + 1][TILE_PANELS + 1] = {TILES_MANY(LONG_ENTRY)},
                           copying_tiles[TILE_ROWS + 1][TILE_PANELS + 1] = {TILES_MANY(COPYING_ENTRY)};
static const float zeros[TILE_PANELS * MOTE_PANEL] = {0}; /* a start of long tiles, with rows of 0 values */

enum {
    NARROW_VALUES = TILE_ROWS * TILE_PANELS * MOTE_PANEL > MOST_VECTORS * VECTOR * FEW_ROWS
                        ? TILE_ROWS * TILE_PANELS * MOTE_PANEL
                        : MOST_VECTORS * VECTOR * FEW_ROWS,
};
#include "kernels/narrow_tile.inc.h"
