/* Training in bf16 over the words of a vector_*.h and, from the file that includes this: vp, a vector of pairs;
 * v_load_pairs, v_store_pairs; v_pairs(x, y), 2 VECTOR neighbours; v_join(x, y), lower and upper halves; v_dot(sum, w,
 * a), a pair of A against those of 16 columns; v_vp, v_vf, the same bits; MOST_ROWS x MOST_PANELS, the tile. Invariant:
 * one chain per output, pairs ascending; a block of the depth ends by storing the sums, which rounds nothing. */

enum {
    PANEL_VECTORS = MOTE_PANEL / VECTOR,
    PAIRS_DEPTH = 512, /* pairs: a tile of A in L1, a strip of B of 96 KiB in L2, which gives a vector for 8 dots */
    ROW_BLOCK = 240,   /* with PAIRS_DEPTH 480 KiB of A, in L2 */
};

typedef struct {
    int depth, columns; /* columns: of those in whole panels, that exist */
    const uint32_t *a;
    size_t a_row, a_step;
    const uint32_t *b;
    size_t b_panel;
    float *c;
    size_t c_row;
    const float *start; /* NULL: zero */
    size_t start_row;
    const float *bias;
} tile;

INLINE void tile_body(const tile *t, int rows, int vectors) {
    vf sum[MOST_ROWS][MOST_PANELS * PANEL_VECTORS];
    const uint32_t *group[(MOST_ROWS + 2) / 3];
    UNROLL_BY(16)
    for (int r = 0; r < rows; r++) {
        if (r % 3 == 0) group[r / 3] = t->a + (size_t)r * t->a_row;
        UNROLL_BY(16)
        for (int v = 0; v < vectors; v++) {
            int left = t->columns - v * VECTOR;
            if (left < 0) left = 0;
            sum[r][v] = t->start ? v_load(t->start + (size_t)r * t->start_row + v * VECTOR, left) : v_set(0);
            if (t->bias) sum[r][v] = v_add(sum[r][v], v_load(t->bias + v * VECTOR, left));
        }
    }
    const size_t a_row = t->a_row, a_step = t->a_step, b_panel = t->b_panel;
    const uint32_t *b = t->b;
    for (int k = t->depth; k > 0; k--, b += MOTE_PANEL) {
        vp w[MOST_PANELS * PANEL_VECTORS];
        UNROLL_BY(16)
        for (int v = 0; v < vectors; v++)
            w[v] = v_load_pairs(b + (size_t)(v / PANEL_VECTORS) * b_panel + (size_t)(v % PANEL_VECTORS) * VECTOR);
        UNROLL_BY(16)
        for (int r = 0; r < rows; r++) {
            uint32_t a = group[r / 3][(size_t)(r % 3) * a_row];
            UNROLL_BY(16)
            for (int v = 0; v < vectors; v++) sum[r][v] = v_dot(sum[r][v], w[v], a);
        }
        UNROLL_BY(16)
        for (int g = 0; g < (rows + 2) / 3; g++) group[g] += a_step;
    }
    UNROLL_BY(16)
    for (int r = 0; r < rows; r++) {
        UNROLL_BY(16)
        for (int v = 0; v < vectors; v++) {
            int left = t->columns - v * VECTOR;
            if (left > 0) v_store(t->c + (size_t)r * t->c_row + v * VECTOR, sum[r][v], left);
        }
    }
}

#define DEFINE_TILE(rows, panels)                                                                                      \
    static void tile_##rows##_##panels(const tile *t) { tile_body(t, rows, panels * PANEL_VECTORS); }
#define TILE_ENTRY(rows, panels) [rows][panels] = tile_##rows##_##panels,

BF16_TILES(DEFINE_TILE)

typedef void (*tile_function)(const tile *t);
static const tile_function tiles[MOST_ROWS + 1][MOST_PANELS + 1] = {BF16_TILES(TILE_ENTRY)};

/* A block of rows and depth: strips of equal width, each read from L2 by all tiles of rows. */
static void run_block(const mote_gemm_bf16 *g, int row, int rows, int from, int depth) {
    const int panels = (g->columns + MOTE_PANEL - 1) / MOTE_PANEL, strips = (panels + MOST_PANELS - 1) / MOST_PANELS;
    const bool first = from == 0;
    tile t = {.depth = depth, .a_row = g->a_row ? g->a_row : 1, .a_step = g->a_row ? 1 : MOTE_PANEL,
              .b_panel = g->b_panel, .c_row = g->c_row, .start_row = first ? g->start_row : g->c_row};
    for (int i = 0; i < strips; i++) {
        const int panel = panels * i / strips, width = panels * (i + 1) / strips - panel, column = panel * MOTE_PANEL;
        t.b = g->b + (size_t)panel * g->b_panel + (size_t)from * MOTE_PANEL;
        t.columns = g->columns - column < width * MOTE_PANEL ? g->columns - column : width * MOTE_PANEL;
        t.bias = first && g->bias ? g->bias + column : NULL;
        for (int done = row; done < row + rows; done += MOST_ROWS) {
            const float *start = first ? g->start : g->c;
            const size_t r = (size_t)done;
            t.a = g->a_row ? g->a + r * g->a_row + from
                           : g->a + r / MOTE_PANEL * g->a_panel + (size_t)from * MOTE_PANEL + r % MOTE_PANEL;
            t.c = g->c + r * g->c_row + column;
            t.start = start ? start + r * t.start_row + column : NULL;
            tiles[row + rows - done < MOST_ROWS ? row + rows - done : MOST_ROWS][width](&t);
        }
    }
}

static void bf16_gemm(const mote_gemm_bf16 *g) {
    for (int row = 0; row < g->rows; row += ROW_BLOCK) {
        int rows = g->rows - row < ROW_BLOCK ? g->rows - row : ROW_BLOCK, from = 0;
        do {
            int depth = g->depth - from < PAIRS_DEPTH ? g->depth - from : PAIRS_DEPTH;
            run_block(g, row, rows, from, depth);
            from += depth;
        } while (from < g->depth);
    }
}

/* ---- rounding */

/* Pairs of 2 VECTOR neighbours, of which `left` exist. */
INLINE vp pairs_of(const float *x, int left) {
    if (left >= 2 * VECTOR) return v_pairs(v_load(x, VECTOR), v_load(x + VECTOR, VECTOR));
    return left > VECTOR ? v_pairs(v_load(x, VECTOR), v_load(x + VECTOR, left - VECTOR))
                         : v_pairs(v_load(x, left > 0 ? left : 0), v_set(0));
}

static void bf16_row(const float *x, int n, uint32_t *pairs) {
    for (int i = 0; i < n; i += 2 * VECTOR) v_store_pairs(pairs + i / 2, pairs_of(x + i, n - i), (n - i + 1) / 2);
}

static void bf16_pack(const float *w, size_t w_row, int n, int depth, uint32_t *panels) {
    const int pairs = (depth + 1) / 2;
    for (int panel = 0; panel < n; panel += MOTE_PANEL, panels += (size_t)pairs * MOTE_PANEL) {
        for (int from = 0; from < MOTE_PANEL; from += VECTOR) {
            const float *rows = w + (size_t)(panel + from) * w_row;
            const int present = n - panel - from;
            for (int pair = 0; pair < pairs; pair += VECTOR) {
                const int left = depth - 2 * pair, count = pairs - pair < VECTOR ? pairs - pair : VECTOR;
                vf square[VECTOR];
                UNROLL_BY(16)
                for (int r = 0; r < VECTOR; r++)
                    square[r] = r < present ? v_vf(pairs_of(rows + (size_t)r * w_row + 2 * pair, left)) : v_set(0);
                v_transpose(square);
                for (int i = 0; i < count; i++)
                    v_store_pairs(panels + (size_t)(pair + i) * MOTE_PANEL + from, v_vp(square[i]), VECTOR);
            }
        }
    }
}

static void bf16_turn(const float *x, size_t x_row, int rows, int columns, uint32_t *panels, size_t panel) {
    for (int r = 0; r < rows; r += 2, panels += MOTE_PANEL) {
        const float *low = x + (size_t)r * x_row, *high = low + x_row;
        const bool both = r + 1 < rows;
        for (int c = 0; c < (columns + MOTE_PANEL - 1) / MOTE_PANEL * MOTE_PANEL; c += VECTOR) {
            int left = columns - c < VECTOR ? columns - c : VECTOR;
            if (left < 0) left = 0;
            vf x0 = v_load(low + c, left), x1 = both ? v_load(high + c, left) : v_set(0);
            v_store_pairs(panels + (size_t)(c / MOTE_PANEL) * panel + c % MOTE_PANEL, v_join(x0, x1), VECTOR);
        }
    }
}

static void fill_bf16(mote_kernels *table) {
    table->bf16_gemm = bf16_gemm;
    table->bf16_row = bf16_row;
    table->bf16_pack = bf16_pack;
    table->bf16_turn = bf16_turn;
}
