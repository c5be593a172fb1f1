/* The products with 8-bit activations over the words of an instruction set: blocking below, tiles on top. A tile keeps
 * rows x panels sums in registers and walks the blocks, whose integer dots live in registers beside them. Bytes and
 * nibbles are used where they lie in the panels; 7-bit codes as well for few rows, and for many are unpacked to bytes
 * once, 20 blocks of some panels at a time. Storing the sums to C between parts of the depth rounds nothing.
 *
 * Words of the including file, beside vector_*.h: `vw`, VECTOR columns x 4 weights; `vdot`, their sums; `vtable`; how
 * weights are loaded (v_bytes, v_nibbles, v_codes, v_pairs, ...), multiplied (v_dot_*) and made from floats. */

enum {
    PANEL_VECTORS = MOTE_PANEL / VECTOR,
    MOST_VECTORS = 8,
    BUFFER_BLOCKS = 20, /* 640 deep: 23 KiB of two panels, of a 32 KiB L1 */
};

/* How weights lie in memory. WIDE is the buffer and what training packs: bytes, and a float for each scale. */
typedef enum { BYTES, NIBBLES, PAIRS, ONE_SCALE, WIDE, N_KINDS } kind;

/* One tile: c = start + a b over whole panels; start may equal c, and NULL is zero. */
typedef struct {
    int blocks;
    const mote_block8 *a;
    size_t a_row;         /* in blocks */
    const uint8_t *codes; /* of the first panel; `panel` bytes further lies the next one's */
    const uint8_t *rest;  /* the fourth vectors of pairs */
    const uint8_t *scales;
    size_t panel;
    const mote_pair_table *pairs;
    float *c;
    size_t c_row;
    const float *start;
    size_t start_row;
} tile;

INLINE size_t code_bytes_of(kind type) {
    return type == NIBBLES ? 4 * MOTE_BLOCK_VECTOR : type == PAIRS ? MOTE_PAIR_PANEL_CODES : 8 * MOTE_BLOCK_VECTOR;
}
INLINE size_t scale_bytes_of(kind type) {
    return type == ONE_SCALE ? 0 : type == PAIRS ? MOTE_PANEL : type == WIDE ? MOTE_PANEL * sizeof(float)
                                                                            : MOTE_PANEL * sizeof(uint16_t);
}

/* Vectors g and g + 4 of a block: column vector v of a panel. */
INLINE void load_weights(kind type, const uint8_t *codes, const uint8_t *rest, const vtable *table, int g, int v,
                         vw *even, vw *odd) {
    const uint8_t *at = codes + g * MOTE_BLOCK_VECTOR + v * 4 * VECTOR;
    if (type == NIBBLES) {
        v_nibbles(at, even, odd);
    } else if (type == PAIRS) {
        v_pairs(table, g < 3 ? v_codes(at) : v_last_codes(codes + v * 4 * VECTOR, rest, v), even, odd);
    } else {
        *even = v_bytes(at);
        *odd = v_bytes(at + 4 * MOTE_BLOCK_VECTOR);
    }
}

INLINE vf load_scales(kind type, const uint8_t *scales, int v) {
    if (type == PAIRS) return v_pair_scales(scales + v * VECTOR);
    if (type == ONE_SCALE || type == WIDE) return v_load_bytes(scales + v * 4 * VECTOR);
    return v_load_f16((const uint16_t *)(const void *)(scales + v * VECTOR * 2));
}

/* The integer dots of one block: of rows x vectors, all constants after inlining. */
INLINE void dots_of_block(kind type, const uint8_t *codes, const uint8_t *rest, size_t panel, const vtable *table,
                          const mote_block8 *const *row, int rows, int vectors, vdot (*dot)[MOST_VECTORS]) {
    UNROLL_BY(16)
    for (int r = 0; r < rows; r++) {
        UNROLL_BY(16)
        for (int v = 0; v < vectors; v++) dot[r][v] = v_dot_begin(type == NIBBLES, row[r]);
    }
    UNROLL_BY(4)
    for (int g = 0; g < 4; g++) {
        UNROLL_BY(16)
        for (int v = 0; v < vectors; v++) {
            const size_t at = (size_t)(v / PANEL_VECTORS) * panel;
            vw even, odd;
            load_weights(type, codes + at, rest + at, table, g, v % PANEL_VECTORS, &even, &odd);
            UNROLL_BY(16)
            for (int r = 0; r < rows; r++)
                dot[r][v] = v_dot(type == NIBBLES, dot[r][v], even, row[r]->code + 4 * g);
            UNROLL_BY(16)
            for (int r = 0; r < rows; r++)
                dot[r][v] = v_dot(type == NIBBLES, dot[r][v], odd, row[r]->code + 16 + 4 * g);
        }
    }
}

#if HIGH_NIBBLES_FIRST
/* The same for few rows of nibbles, where taking them apart costs as much as multiplying: high ones stay where they
 * are, 16 times too large, and one shift of their dot makes up for four of the weights. 16 * 15 * 127 * 16 fits. */
INLINE void dots_of_nibbles(const uint8_t *codes, size_t panel, const mote_block8 *const *row, int rows, int vectors,
                            vdot (*dot)[MOST_VECTORS]) {
    vw both[MOST_VECTORS][4];
    UNROLL_BY(16)
    for (int v = 0; v < vectors; v++) {
        UNROLL_BY(4)
        for (int g = 0; g < 4; g++)
            both[v][g] = v_bytes(codes + (size_t)(v / PANEL_VECTORS) * panel + g * MOTE_BLOCK_VECTOR +
                                 v % PANEL_VECTORS * 4 * VECTOR);
        UNROLL_BY(16)
        for (int r = 0; r < rows; r++) {
            dot[r][v] = v_dot_begin_high(row[r]);
            UNROLL_BY(4)
            for (int g = 0; g < 4; g++)
                dot[r][v] = v_dot(true, dot[r][v], v_high_nibbles(both[v][g]), row[r]->code + 16 + 4 * g);
            dot[r][v] = v_dot_high_done(dot[r][v]);
            UNROLL_BY(4)
            for (int g = 0; g < 4; g++)
                dot[r][v] = v_dot(true, dot[r][v], v_low_nibbles(both[v][g]), row[r]->code + 4 * g);
        }
    }
}
#else
#define dots_of_nibbles(codes, panel, row, rows, vectors, dot)
#endif

/* rows, panels and type are constants after inlining, so sums and dots are registers. */
INLINE void tile_body(const tile *t, int rows, int panels, kind type) {
    const int vectors = panels * PANEL_VECTORS;
    vf sum[MOST_ROWS][MOST_VECTORS];
    const mote_block8 *row[MOST_ROWS];
    vtable table;
    if (type == PAIRS) table = v_table(t->pairs);
    UNROLL_BY(16)
    for (int r = 0; r < rows; r++) {
        row[r] = t->a + (size_t)r * t->a_row;
        UNROLL_BY(16)
        for (int v = 0; v < vectors; v++)
            sum[r][v] = t->start ? v_load(t->start + (size_t)r * t->start_row + v * VECTOR, VECTOR) : v_set(0);
    }
    const uint8_t *codes = t->codes, *rest = t->rest, *scales = t->scales;
    const size_t panel = t->panel;
    for (int block = t->blocks; block > 0; block--) {
        vdot dot[MOST_ROWS][MOST_VECTORS];
        if (HIGH_NIBBLES_FIRST && type == NIBBLES && rows <= 2) dots_of_nibbles(codes, panel, row, rows, vectors, dot);
        else dots_of_block(type, codes, rest, panel, &table, row, rows, vectors, dot);
        UNROLL_BY(16)
        for (int v = 0; v < vectors; v++) {
            vf scale = load_scales(type, scales + (size_t)(v / PANEL_VECTORS) * panel, v % PANEL_VECTORS);
            UNROLL_BY(16)
            for (int r = 0; r < rows; r++)
                sum[r][v] = v_fma(v_dot_end(type == NIBBLES, dot[r][v], row[r]), v_mul(scale, v_set(row[r]->scale)),
                                  sum[r][v]);
        }
        codes += code_bytes_of(type);
        rest += MOTE_PAIR_PANEL_REST;
        scales += scale_bytes_of(type);
        UNROLL_BY(16)
        for (int r = 0; r < rows; r++) row[r]++;
    }
    UNROLL_BY(16)
    for (int r = 0; r < rows; r++) {
        UNROLL_BY(16)
        for (int v = 0; v < vectors; v++) v_store(t->c + (size_t)r * t->c_row + v * VECTOR, sum[r][v], VECTOR);
    }
}

typedef void (*tile_function)(const tile *t);
#define DEFINE_TILE(type, rows, panels)                                                                                \
    static void tile_##type##_##rows##_##panels(const tile *t) { tile_body(t, rows, panels, type); }
#define TILE_ENTRY(type, rows, panels) [type][rows][panels] = tile_##type##_##rows##_##panels,
#define TILES_ALL(X)                                                                                                   \
    BLOCK_TILES_FEW(X, BYTES) BLOCK_TILES_FEW(X, NIBBLES) BLOCK_TILES_FEW(X, PAIRS) BLOCK_TILES_FEW(X, ONE_SCALE)      \
    BLOCK_TILES_FEW(X, WIDE) BLOCK_TILES_MANY(X, BYTES) BLOCK_TILES_MANY(X, NIBBLES) BLOCK_TILES_MANY(X, ONE_SCALE)    \
    BLOCK_TILES_MANY(X, WIDE)
TILES_ALL(DEFINE_TILE)
static const tile_function tiles[N_KINDS][MOST_ROWS + 1][MOST_VECTORS / PANEL_VECTORS + 1] = {TILES_ALL(TILE_ENTRY)};

/* A part of the depth of one product. */
typedef struct {
    const mote_gemm_blocks *g;
    kind type;
    int from, blocks;
    const float *start;
    size_t start_row;
} part;

enum { NARROW_VALUES = MOST_ROWS * MOST_VECTORS * VECTOR };
#include "kernels/narrow_tile.inc.h"

/* The strip that comes after the one at work: codes and scales of its panels, `panel` bytes apart. */
typedef struct {
    const uint8_t *codes, *scales; /* NULL: none */
    size_t code_bytes, scale_bytes, panel;
    int panels;
} strip;

static void fetch_share(const uint8_t *from, size_t bytes, int i, int n) {
    for (size_t at = bytes * (size_t)i / (size_t)n; at < bytes * (size_t)(i + 1) / (size_t)n; at += MOTE_BLOCK_VECTOR)
        __builtin_prefetch(from + at, 0, 2);
}

/* Strip i + 1 of a product whose strip i is at work; after the last one of a part of the depth comes the first of the
 * next part. */
static strip strip_after(const part *p, mote_type type, size_t panel, int i, int strips, int panels) {
    const mote_gemm_blocks *g = p->g;
    const bool last = i + 1 == strips;
    const int next = last ? 0 : i + 1, from = last ? p->from + p->blocks : p->from;
    if (from >= g->blocks) return (strip){0};
    const int first = (int)((int64_t)panels * next / strips), end = (int)((int64_t)panels * (next + 1) / strips);
    const int blocks = g->blocks - from < p->blocks ? g->blocks - from : p->blocks;
    const uint8_t *b = (const uint8_t *)g->b + (size_t)first * panel;
    return (strip){.codes = b + (size_t)from * code_bytes_of(p->type),
                   .scales =
                       b + (size_t)g->blocks * mote_panel_code_bytes(type) + (size_t)from * scale_bytes_of(p->type),
                   .code_bytes = (size_t)blocks * code_bytes_of(p->type),
                   .scale_bytes = (size_t)blocks * scale_bytes_of(p->type),
                   .panel = panel,
                   .panels = end - first};
}

/* All row tiles for one strip of panels; t comes with B filled in. Meanwhile the next strip is fetched into L2: its
 * first tile would wait for most of it, 4 to 9 % of the time where the weights come from L3. */
static void run_rows(const part *p, tile *t, kind type, int column, int panels, const strip *ahead) {
    const mote_gemm_blocks *g = p->g;
    const int columns = g->columns - column < panels * MOTE_PANEL ? g->columns - column : panels * MOTE_PANEL;
    const int n_tiles = (g->rows + MOST_ROWS - 1) / MOST_ROWS;
    t->blocks = p->blocks;
    t->a_row = g->a_row;
    t->c_row = g->c_row;
    t->start_row = p->start_row;
    for (int i = 0, done = 0; i < n_tiles; i++) {
        int next = (int)((int64_t)g->rows * (i + 1) / n_tiles), rows = next - done;
        t->a = g->a + (size_t)done * g->a_row + p->from;
        t->c = g->c + (size_t)done * g->c_row + column;
        t->start = p->start ? p->start + (size_t)done * p->start_row + column : NULL;
        tile_function run = tiles[type][rows][panels];
        for (int j = 0; j < ahead->panels; j++) {
            fetch_share(ahead->codes + (size_t)j * ahead->panel, ahead->code_bytes, i, n_tiles);
            fetch_share(ahead->scales + (size_t)j * ahead->panel, ahead->scale_bytes, i, n_tiles);
        }
        if (columns == panels * MOTE_PANEL) run(t);
        else run_narrow_tile(t, run, rows, panels, columns);
        done = next;
    }
}

/* The codes of a strip's panels as bytes with 128 for zero, its scales as floats. */
static void unpack_pairs(const tile *t, int blocks, int panels, uint8_t *codes, uint8_t *scales, size_t panel) {
    const vtable table = v_table(t->pairs);
    for (int i = 0; i < panels; i++) {
        const uint8_t *from = t->codes + (size_t)i * t->panel, *rest = t->rest + (size_t)i * t->panel,
                      *scale = t->scales + (size_t)i * t->panel;
        uint8_t *to = codes + (size_t)i * panel, *floats = scales + (size_t)i * panel;
        for (int block = 0; block < blocks; block++) {
            UNROLL_BY(4)
            for (int g = 0; g < 4; g++) {
                UNROLL_BY(4)
                for (int v = 0; v < PANEL_VECTORS; v++) {
                    vw even, odd;
                    load_weights(PAIRS, from, rest, &table, g, v, &even, &odd);
                    v_store_bytes(to + g * MOTE_BLOCK_VECTOR + v * 4 * VECTOR, even);
                    v_store_bytes(to + (4 + g) * MOTE_BLOCK_VECTOR + v * 4 * VECTOR, odd);
                }
            }
            UNROLL_BY(4)
            for (int v = 0; v < PANEL_VECTORS; v++)
                v_store((float *)(void *)floats + v * VECTOR, v_pair_scales(scale + v * VECTOR), VECTOR);
            from += MOTE_PAIR_PANEL_CODES;
            rest += MOTE_PAIR_PANEL_REST;
            scale += MOTE_PANEL;
            to += 8 * MOTE_BLOCK_VECTOR;
            floats += MOTE_PANEL * sizeof(float);
        }
    }
}

static void run_part(const part *p, mote_type type) {
    static const int few_rows_panels[MOST_ROWS] = FEW_PANELS;
    enum {
        WIDE_CODES = BUFFER_BLOCKS * 8 * MOTE_BLOCK_VECTOR,
        WIDE_SCALES = BUFFER_BLOCKS * MOTE_PANEL * sizeof(float)
    };
    const mote_gemm_blocks *g = p->g;
    const size_t n = (size_t)g->blocks, from = (size_t)p->from;
    const size_t panel = p->type == WIDE ? mote_bytes_panel(n) : mote_panel_bytes(type, n);
    const bool copy = p->type == PAIRS && g->rows > FEW_ROWS;
    const int panels = (g->columns + MOTE_PANEL - 1) / MOTE_PANEL;
    const int widest = g->rows <= FEW_ROWS ? few_rows_panels[g->rows - 1] : MOST_PANELS;
    const int strips = (panels + widest - 1) / widest;
    for (int i = 0, at = 0; i < strips; i++) {
        int next = (int)((int64_t)panels * (i + 1) / strips);
        const uint8_t *b = (const uint8_t *)g->b + (size_t)at * panel;
        tile t = {.codes = b + from * code_bytes_of(p->type),
                  .rest = b + n * MOTE_PAIR_PANEL_CODES + from * MOTE_PAIR_PANEL_REST,
                  .scales = b + n * mote_panel_code_bytes(type) + from * scale_bytes_of(p->type),
                  .panel = panel,
                  .pairs = p->type == PAIRS ? mote_pair_tables(type) : NULL};
        strip ahead = {0}; /* few rows stream the weights, which the hardware foresees */
        if (!copy) {
            if (g->rows > FEW_ROWS) ahead = strip_after(p, type, panel, i, strips, panels);
            run_rows(p, &t, p->type, at * MOTE_PANEL, next - at, &ahead);
        } else {
            uint8_t buffer[MOST_PANELS * (WIDE_CODES + WIDE_SCALES)] __attribute__((aligned(64)));
            unpack_pairs(&t, p->blocks, next - at, buffer, buffer + WIDE_CODES, WIDE_CODES + WIDE_SCALES);
            tile wide = {.codes = buffer, .rest = buffer, .scales = buffer + WIDE_CODES,
                         .panel = WIDE_CODES + WIDE_SCALES};
            run_rows(p, &wide, WIDE, at * MOTE_PANEL, next - at, &ahead);
        }
        at = next;
    }
}

static void gemm_blocks(const mote_gemm_blocks *g, mote_type type, kind how) {
    if (g->rows <= 0 || g->columns <= 0) return;
    part p = {.g = g, .type = how, .start = g->start, .start_row = g->start_row};
    if (g->bias && !g->start) {
        p.start = g->bias;
        p.start_row = 0;
    } else if (g->bias) {
        for (int row = 0; row < g->rows; row++) {
            for (int column = 0; column < g->columns; column++)
                g->c[(size_t)row * g->c_row + (size_t)column] =
                    g->start[(size_t)row * g->start_row + (size_t)column] + g->bias[column];
        }
        p.start = g->c;
        p.start_row = g->c_row;
    }
    /* One tile of rows reads B once: parts of its depth would gain nothing. */
    int parts = g->rows <= FEW_ROWS || g->blocks == 0 ? 1 : (g->blocks + BUFFER_BLOCKS - 1) / BUFFER_BLOCKS;
    for (int i = 0; i < parts; i++) {
        p.from = (int)((int64_t)g->blocks * i / parts);
        p.blocks = (int)((int64_t)g->blocks * (i + 1) / parts) - p.from;
        run_part(&p, type);
        p.start = g->c;
        p.start_row = g->c_row;
    }
}

static void gemm_q8_0(const mote_gemm_blocks *g) { gemm_blocks(g, MOTE_TYPE_Q8_0, BYTES); }
static void gemm_q4_0(const mote_gemm_blocks *g) { gemm_blocks(g, MOTE_TYPE_Q4_0, NIBBLES); }
static void gemm_q3h(const mote_gemm_blocks *g) { gemm_blocks(g, MOTE_TYPE_Q3H, PAIRS); }
static void gemm_q43(const mote_gemm_blocks *g) { gemm_blocks(g, MOTE_TYPE_Q43, PAIRS); }
static void gemm_i8(const mote_gemm_blocks *g) { gemm_blocks(g, MOTE_TYPE_I8, ONE_SCALE); }
/* The codes lie as q8_0's do. */
static void gemm_bytes(const mote_gemm_blocks *g) { gemm_blocks(g, MOTE_TYPE_Q8_0, WIDE); }

/* 32 activations that exist in memory. */
INLINE void quantize_whole(const float *x, mote_block8 *block) {
    uint32_t bits = v_largest_bits(x);
    float largest, inverse, scale;
    memcpy(&largest, &bits, sizeof largest);
    if (bits >= MOTE_INFINITE_BITS || largest < MOTE_SMALLEST_LARGEST) {
        memset(block, 0, sizeof *block);
        bits = MOTE_NAN_BITS;
        if (!(largest < MOTE_SMALLEST_LARGEST)) memcpy(&block->scale, &bits, sizeof block->scale);
        return;
    }
    inverse = 127 / largest;
    scale = largest / 127;
    block->sum = v_quantize(x, inverse, block->code);
    block->scale = scale;
}

static void quantize(const float *x, int n, mote_block8 *blocks) {
    for (; n >= MOTE_BLOCK_VALUES; n -= MOTE_BLOCK_VALUES, x += MOTE_BLOCK_VALUES) quantize_whole(x, blocks++);
    if (n <= 0) return;
    float padded[MOTE_BLOCK_VALUES] = {0};
    memcpy(padded, x, (size_t)n * sizeof *x);
    quantize_whole(padded, blocks);
}

INLINE void quantize_whole_by(const float *x, float scale, float inverse, mote_block8 *block) {
    const float most = 127 * scale;
    float inside[MOTE_BLOCK_VALUES];
    if (v_largest_bits(x) >= MOTE_INFINITE_BITS) {
        const uint32_t bits = MOTE_NAN_BITS;
        memset(block, 0, sizeof *block);
        memcpy(&block->scale, &bits, sizeof block->scale);
        return;
    }
    for (int i = 0; i < MOTE_BLOCK_VALUES; i++) {
        const float high = x[i] < most ? x[i] : most;
        inside[i] = high > -most ? high : -most;
    }
    block->sum = v_quantize(inside, inverse, block->code);
    block->scale = scale;
}

static void quantize_by(const float *x, int n, float scale, mote_block8 *blocks) {
    const float inverse = 1 / scale;
    for (; n >= MOTE_BLOCK_VALUES; n -= MOTE_BLOCK_VALUES, x += MOTE_BLOCK_VALUES)
        quantize_whole_by(x, scale, inverse, blocks++);
    if (n <= 0) return;
    float padded[MOTE_BLOCK_VALUES] = {0};
    memcpy(padded, x, (size_t)n * sizeof *x);
    quantize_whole_by(padded, scale, inverse, blocks);
}

#include "kernels/quantize_tile.inc.h"

static void fill_blocks(mote_kernels *table) {
    table->gemm_bytes = gemm_bytes;
    table->quantize_tile = quantize_tile;
    table->quantize = quantize;
    table->quantize_by = quantize_by;
    table->gemm_blocks[mote_integer_slot(MOTE_TYPE_Q8_0)] = gemm_q8_0;
    table->gemm_blocks[mote_integer_slot(MOTE_TYPE_Q4_0)] = gemm_q4_0;
    table->gemm_blocks[mote_integer_slot(MOTE_TYPE_Q3H)] = gemm_q3h;
    table->gemm_blocks[mote_integer_slot(MOTE_TYPE_Q43)] = gemm_q43;
    table->gemm_blocks[mote_integer_slot(MOTE_TYPE_I8)] = gemm_i8;
}
