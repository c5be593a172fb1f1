/* Every slot of the kernel table x every instruction set of this processor against the scalar reference: random shapes
 * with tails, pointers of any alignment, inputs and outputs that end or begin at a page without access, canaries beside
 * them. Products must agree bit for bit, and a row alone with the same row in a batch; so must everything without exp,
 * roots of sums or a different order of summing. A slot that has no row in the table below is a failure.
 * Usage: check_kernels [seed [percent of the cases]] */
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernels/bytes.h"
#include "test.h"

/* ---- memory: regions between pages without access */

enum { REGIONS = 24, CANARY_BYTES = 64 };
static int percent = 100; /* of the cases: emulators are 10 to 1000 times slower */
static const size_t region_bytes = 2u << 20;
static struct {
    char *first, *from;
    size_t bytes;
    bool end;
} regions[REGIONS];
static int n_used;
static uint64_t state;

static uint32_t draw(uint32_t below) { /* splitmix64: neighbouring seeds give unrelated cases */
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) >> 32) % below;
}
static mote_real draw_value(void) {
    return (mote_real)((double)draw(1u << 24) * 0x1p-23 - 1) * (mote_real)(draw(8) ? 2 : 0.01);
}

static bool map_regions(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < REGIONS; i++) {
        char *all = mmap(NULL, region_bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED || mprotect(all + page, region_bytes, PROT_READ | PROT_WRITE)) return false;
        regions[i].first = all + page;
    }
    return true;
}

/* A block that ends, or begins, at a page without access; the other side has canaries. */
static void *take(size_t bytes) {
    int i = n_used++;
    regions[i].bytes = bytes;
    regions[i].end = draw(3) != 0;
    regions[i].from = regions[i].end ? regions[i].first + region_bytes - bytes : regions[i].first;
    memset(regions[i].end ? regions[i].from - CANARY_BYTES : regions[i].from + bytes, 0xa5, CANARY_BYTES);
    return regions[i].from;
}

static bool canaries_alive(void) {
    for (int i = 0; i < n_used; i++) {
        const char *canary = regions[i].end ? regions[i].from - CANARY_BYTES : regions[i].from + regions[i].bytes;
        for (int j = 0; j < CANARY_BYTES; j++) {
            if (canary[j] != (char)0xa5) return false;
        }
    }
    return true;
}

static mote_real *take_values(size_t n) {
    mote_real *v = take(n * sizeof *v);
    for (size_t i = 0; i < n; i++) v[i] = draw_value();
    return v;
}
static mote_real *take_copy(const mote_real *from, size_t n) {
    mote_real *v = take(n * sizeof *v);
    memcpy(v, from, n * sizeof *v);
    return v;
}

/* ---- comparing */

typedef struct {
    const mote_kernels *tested, *reference;
    int index; /* of an array slot: type or activation */
    bool scalar;
    char problem[256];
} check;

/* |difference| <= relative |expected| + absolute; both 0: the same bits (0 and -0 differ). */
static bool agree(check *c, const char *what, const mote_real *expected, const mote_real *got, size_t n,
                  double relative, double absolute) {
    for (size_t i = 0; i < n; i++) {
        if (!memcmp(expected + i, got + i, sizeof *got)) continue;
        double difference = fabs((double)expected[i] - (double)got[i]);
        if ((relative > 0 || absolute > 0) && difference <= relative * fabs((double)expected[i]) + absolute) continue;
        snprintf(c->problem, sizeof c->problem, "%s[%zu of %zu]: expected %.9g, got %.9g", what, i, n,
                 (double)expected[i], (double)got[i]);
        return false;
    }
    return true;
}

static bool agree_one(check *c, const char *what, double expected, double got, double relative, double absolute) {
    if (fabs(expected - got) <= relative * fabs(expected) + absolute) return true;
    snprintf(c->problem, sizeof c->problem, "%s: expected %.12g, got %.12g", what, expected, got);
    return false;
}

static int draw_length(void) {
    switch (draw(8)) {
    case 0: return 1 + (int)draw(4);
    case 1: return 16 * (1 + (int)draw(8));
    case 2: return 100 + (int)draw(1500);
    default: return 1 + (int)draw(70);
    }
}

/* ---- products */

/* Writes n weights of a type. */
static void fill_weights(mote_type type, void *weights, size_t n) {
    for (size_t i = 0; i < n; i++) {
        mote_real value = draw_value();
        if (type == MOTE_TYPE_F32) ((mote_real *)weights)[i] = value;
        else if (type == MOTE_TYPE_F16)
            ((uint16_t *)weights)[i] = mote_f32_to_f16((float)value * (draw(16) ? 1.0f : 1e-5f));
        else ((uint16_t *)weights)[i] = mote_f32_to_bf16((float)value);
    }
}
static size_t weight_bytes(mote_type type) { return type == MOTE_TYPE_F32 ? sizeof(mote_real) : sizeof(uint16_t); }
static mote_real weight_at(mote_type type, const void *b, size_t at) {
    if (type == MOTE_TYPE_F32) return ((const mote_real *)b)[at];
    uint16_t half = ((const uint16_t *)b)[at];
    return type == MOTE_TYPE_F16 ? mote_f16_to_f32(half) : mote_bf16_to_f32(half);
}

/* The scalar slot has no other table to be held against: a sum in double is its witness. */
static bool agree_with_sum(check *c, const mote_gemm *g, const mote_real *start, mote_type type) {
    for (int row = 0; row < g->rows; row++) {
        for (int column = 0; column < g->columns; column++) {
            double sum = 0, size = 1;
            if (start) sum += (double)start[(size_t)row * g->start_row + (size_t)column];
            if (g->bias) sum += (double)g->bias[column];
            for (int k = 0; k < g->depth; k++) {
                size_t at =
                    (size_t)(column / MOTE_PANEL) * g->b_panel + (size_t)k * g->b_depth + (size_t)(column % MOTE_PANEL);
                double term =
                    (double)g->a[(size_t)row * g->a_row + (size_t)k * g->a_depth] * (double)weight_at(type, g->b, at);
                sum += term, size += fabs(term);
            }
            if (!agree_one(c, "sum", sum, (double)g->c[(size_t)row * g->c_row + (size_t)column], 0, 1e-6 * size))
                return false;
        }
    }
    return true;
}

static bool check_gemm(check *c) {
    mote_type type = (mote_type)c->index;
    mote_gemm g = {.rows = draw(4) ? 1 + (int)draw(40) : 1 + (int)draw(260),
                   .columns = draw(8) ? 1 + (int)draw(70) : 1 + (int)draw(330)};
    g.depth = draw(8) ? (int)draw(100) : (int)draw(900);
    if (g.rows > 40) g.columns = g.columns % 100 + 1;
    if (g.columns > 100) g.depth = g.depth % 300;
    size_t rows = (size_t)g.rows, columns = (size_t)g.columns, depth = (size_t)g.depth, gap = draw(3);
    if (draw(2)) g.a_row = depth + gap, g.a_depth = 1;
    else g.a_row = 1, g.a_depth = rows + (draw(3) ? gap : MOTE_GEMM_FAR);
    if (draw(4)) g.copy = take(MOTE_GEMM_COPY * sizeof *g.copy);
    if (draw(2)) g.b_panel = depth * MOTE_PANEL, g.b_depth = MOTE_PANEL;
    else g.b_panel = MOTE_PANEL, g.b_depth = columns + gap;
    g.b_padded = g.b_depth == MOTE_PANEL && draw(2);
    g.c_row = columns + draw(3);
    g.start_row = columns + draw(3);
    /* Nothing lies behind the last element that exists. */
    size_t a_values = depth ? (rows - 1) * g.a_row + (depth - 1) * g.a_depth + 1 : 0;
    size_t b_values =
        depth ? (columns - 1) / MOTE_PANEL * g.b_panel + (depth - 1) * g.b_depth + (columns - 1) % MOTE_PANEL + 1 : 0;
    if (g.b_padded && depth) b_values += MOTE_PANEL - 1 - (columns - 1) % MOTE_PANEL;
    size_t c_values = (rows - 1) * g.c_row + columns, start_values = (rows - 1) * g.start_row + columns;
    g.a = take_values(a_values);
    void *weights = take(b_values * weight_bytes(type));
    fill_weights(type, weights, b_values);
    g.b = weights;
    const mote_real *start = draw(2) ? take_values(start_values) : NULL, *bias = draw(2) ? take_values(columns) : NULL;
    bool in_place = draw(3) == 0;
    mote_real *initial = take_values(c_values), *expected = take_copy(initial, c_values),
              *got = take_copy(initial, c_values);
    if (in_place) g.start_row = g.c_row;
    g.bias = bias;
    g.c = got;
    g.start = in_place ? got : start;
    c->tested->gemm[type](&g);
    if (c->scalar && !agree_with_sum(c, &g, in_place ? initial : start, type)) return false;
    g.c = expected;
    g.start = in_place ? expected : start;
    c->reference->gemm[type](&g);
    if (!agree(c, "c", expected, got, c_values, 0, 0)) {
        snprintf(c->problem + strlen(c->problem), sizeof c->problem - strlen(c->problem),
                 " (%d x %d x %d, a %zu %zu, b %zu %zu, c %zu, start %d, bias %d)", g.rows, g.columns, g.depth, g.a_row,
                 g.a_depth, g.b_panel, g.b_depth, g.c_row, g.start != NULL, g.bias != NULL);
        return false;
    }
    /* One row by itself. */
    size_t row = draw((uint32_t)rows);
    mote_gemm alone = g;
    mote_real *single = take_copy(initial + row * g.c_row, columns);
    alone.rows = 1;
    alone.a += row * g.a_row;
    alone.c = single;
    alone.start = in_place ? single : start ? start + row * g.start_row : NULL;
    c->tested->gemm[type](&alone);
    return agree(c, "a row alone", got + row * g.c_row, single, columns, 0, 0);
}

static bool check_pack(check *c) {
    mote_type type = (mote_type)c->index;
    int n = 1 + (int)draw(70), k = 1 + (int)draw(90);
    size_t row = (size_t)k + draw(3), values = ((size_t)n - 1) * row + (size_t)k, packed = mote_packed_values(n, k);
    size_t bytes = packed * weight_bytes(type);
    void *w = take(values * weight_bytes(type));
    char *expected = take(bytes), *got = take(bytes);
    fill_weights(type, w, values);
    memset(expected, 1, bytes);
    memset(got, 2, bytes);
    c->reference->pack[type](w, row, n, k, expected);
    c->tested->pack[type](w, row, n, k, got);
    for (size_t i = 0; i < packed && c->scalar; i++) {
        size_t panel = i / ((size_t)k * MOTE_PANEL), column = panel * MOTE_PANEL + i % MOTE_PANEL;
        size_t depth = i / MOTE_PANEL % (size_t)k;
        mote_real wanted = column < (size_t)n ? weight_at(type, w, column * row + depth) : 0;
        if (!agree_one(c, "element", (double)wanted, (double)weight_at(type, got, i), 0, 0)) return false;
    }
    if (!memcmp(expected, got, bytes)) return true;
    snprintf(c->problem, sizeof c->problem, "%d x %d packed differently", n, k);
    return false;
}

/* ---- 8-bit activations */

static mote_block8 *take_blocks(size_t n) { return take(n * sizeof(mote_block8)); }

/* Ordinary rows; and all that a block can meet: zeros, values too small for a scale, infinities, NaN, halves. */
static bool check_quantize(check *c) {
    int n = draw(4) ? 1 + (int)draw(700) : MOTE_BLOCK_VALUES * (1 + (int)draw(20));
    size_t blocks = (size_t)mote_blocks_of(n);
    mote_real *x = take_values((size_t)n), scale = (mote_real)ldexp(1, (int)draw(200) - 120);
    int kind = (int)draw(8);
    for (int i = 0; i < n; i++) {
        if (kind == 0) x[i] *= scale;
        if (kind == 1) x[i] = (mote_real)((int)draw(509) - 254) * (mote_real)0.25; /* codes of a half to round */
        if (kind == 2 && draw(3)) x[i] = draw(2) ? 0 : (mote_real)-0.0;
    }
    if (kind == 3) x[draw((uint32_t)n)] = (mote_real)(draw(2) ? -INFINITY : draw(2) ? NAN : INFINITY);
    mote_block8 *expected = take_blocks(blocks), *got = take_blocks(blocks);
    c->reference->quantize(x, n, expected);
    c->tested->quantize(x, n, got);
    for (size_t i = 0; i < blocks; i++) {
        if (memcmp(&expected[i], &got[i], sizeof *got) != 0) {
            snprintf(c->problem, sizeof c->problem, "block %zu of %zu: scale %g and %g, sum %d and %d", i, blocks,
                     (double)expected[i].scale, (double)got[i].scale, expected[i].sum, got[i].sum);
            return false;
        }
        int32_t sum = 0;
        double largest = 0;
        for (int j = 0; j < MOTE_BLOCK_VALUES; j++) sum += got[i].code[j];
        for (int j = 0; j < MOTE_BLOCK_VALUES && (int)i * MOTE_BLOCK_VALUES + j < n; j++)
            largest = fmax(largest, fabs((double)x[i * MOTE_BLOCK_VALUES + (size_t)j]));
        if (sum != got[i].sum) {
            snprintf(c->problem, sizeof c->problem, "block %zu: the sum is %d, not %d", i, got[i].sum, sum);
            return false;
        }
        for (int j = 0; j < MOTE_BLOCK_VALUES && kind != 3 && largest > 1e-29; j++) {
            size_t at = i * MOTE_BLOCK_VALUES + (size_t)(j % 16 * 2 + j / 16);
            double value = at < (size_t)n ? (double)x[at] : 0;
            if (!agree_one(c, "value", value, (double)got[i].scale * got[i].code[j], 0, largest / 253)) return false;
        }
    }
    return true;
}

/* The same by a scale from outside, which most values exceed, or none. */
static bool check_quantize_by(check *c) {
    int n = draw(4) ? 1 + (int)draw(700) : MOTE_BLOCK_VALUES * (1 + (int)draw(20));
    size_t blocks = (size_t)mote_blocks_of(n);
    mote_real *x = take_values((size_t)n);
    const float scale = (float)ldexp(1 + draw_value() * 0.1, (int)draw(20) - 14);
    if (draw(6) == 0) x[draw((uint32_t)n)] = (mote_real)(draw(2) ? -INFINITY : draw(2) ? NAN : INFINITY);
    mote_block8 *expected = take_blocks(blocks), *got = take_blocks(blocks);
    c->reference->quantize_by(x, n, scale, expected);
    c->tested->quantize_by(x, n, scale, got);
    for (size_t i = 0; i < blocks; i++) {
        int32_t sum = 0;
        if (memcmp(&expected[i], &got[i], sizeof *got) != 0) {
            snprintf(c->problem, sizeof c->problem, "block %zu of %zu: scale %g and %g, sum %d and %d", i, blocks,
                     (double)expected[i].scale, (double)got[i].scale, expected[i].sum, got[i].sum);
            return false;
        }
        for (int j = 0; j < MOTE_BLOCK_VALUES; j++) {
            size_t at = i * MOTE_BLOCK_VALUES + (size_t)(j % 16 * 2 + j / 16);
            double value = at < (size_t)n ? (double)x[at] : 0, most = 127 * (double)scale;
            sum += got[i].code[j];
            value = value > most ? most : value < -most ? -most : value;
            if (isnan(got[i].scale)) continue;
            if (!agree_one(c, "value", value, (double)scale * got[i].code[j], 0, 0.501 * (double)scale)) return false;
        }
        if (sum != got[i].sum) return false;
    }
    return true;
}

/* Random bytes with ordinary scales: every code of a type occurs. */
static void fill_rows(mote_type type, char *rows, size_t n, size_t row_bytes, int k) {
    const mote_type_info *info = mote_type_get(type);
    for (size_t i = 0; i < n; i++, rows += row_bytes) {
        for (size_t j = 0; j < row_bytes; j++) rows[j] = (char)draw(256);
        float scale = (float)draw_value() * 0.01f;
        if (type == MOTE_TYPE_I8) memcpy(rows, &scale, sizeof scale);
        for (int j = 0; j < mote_blocks_of(k) && info->n_half_scales; j++) {
            uint16_t half = mote_f32_to_f16((float)draw_value() * 0.01f);
            memcpy(rows + j * info->block_bytes, &half, sizeof half);
        }
    }
}

/* Packing against the type's own reading of a row. */
static bool panels_hold_rows(check *c, mote_type type, const char *rows, size_t row_bytes, int n, int k,
                             const char *panels) {
    float values[1024];
    int blocks = mote_blocks_of(k);
    size_t panel = mote_panel_bytes(type, (size_t)blocks);
    for (int column = 0; column < n; column++) {
        int8_t weights[MOTE_BLOCK_VALUES];
        mote_type_get(type)->to_f32(rows + (size_t)column * row_bytes, values, (size_t)k);
        for (int i = 0; i < k; i++) {
            float scale = mote_blocks_unpack(type, panels + (size_t)(column / MOTE_PANEL) * panel, blocks,
                                             i / MOTE_BLOCK_VALUES, column % MOTE_PANEL, weights);
            float got = scale * (float)weights[i % 2 * 16 + i % MOTE_BLOCK_VALUES / 2];
            if (!agree_one(c, "packed weight", (double)values[i], (double)got, 1e-6, 0)) return false;
        }
    }
    return true;
}

/* The scalar slot's witness: dequantized weights and activations, summed in double. */
static bool agree_with_values(check *c, const mote_gemm_blocks *g, mote_type type, const mote_real *start) {
    size_t panel = mote_panel_bytes(type, (size_t)g->blocks);
    for (int column = 0; column < g->columns; column++) {
        for (int row = 0; row < g->rows; row++) {
            double sum = g->bias ? (double)g->bias[column] : 0, size = 1;
            if (start) sum += (double)start[(size_t)row * g->start_row + (size_t)column];
            for (int i = 0; i < g->blocks; i++) {
                int8_t weights[MOTE_BLOCK_VALUES];
                const mote_block8 *a = g->a + (size_t)row * g->a_row + i;
                const char *from = (const char *)g->b + (size_t)(column / MOTE_PANEL) * panel;
                double scale = (double)mote_blocks_unpack(type, from, g->blocks, i, column % MOTE_PANEL, weights);
                for (int j = 0; j < MOTE_BLOCK_VALUES; j++) {
                    double term = scale * weights[j] * (double)a->scale * a->code[j];
                    sum += term, size += fabs(term);
                }
            }
            if (!agree_one(c, "sum", sum, (double)g->c[(size_t)row * g->c_row + (size_t)column], 0, 1e-6 * size))
                return false;
        }
    }
    return true;
}

static bool check_gemm_blocks(check *c) {
    mote_type type = (mote_type)(MOTE_N_FLOAT_TYPES + c->index);
    mote_gemm_blocks g = {.rows = draw(4) ? 1 + (int)draw(14) : 1 + (int)draw(130),
                          .columns = draw(8) ? 1 + (int)draw(70) : 1 + (int)draw(200)};
    int k = draw(16) ? 1 + (int)draw(600) : 1 + (int)draw(1000);
    if (draw(32) == 0) k = 0;
    if (g.rows > 14) g.columns = g.columns % 50 + 1, k %= 700;
    g.blocks = mote_blocks_of(k);
    size_t rows = (size_t)g.rows, columns = (size_t)g.columns, blocks = (size_t)g.blocks;
    size_t row_bytes = mote_row_bytes(type, (size_t)k), panels = (columns + MOTE_PANEL - 1) / MOTE_PANEL;
    char *w = take(columns * row_bytes), *b = take(panels * mote_panel_bytes(type, blocks));
    fill_rows(type, w, columns, row_bytes, k);
    mote_blocks_pack(type, w, row_bytes, g.columns, k, b);
    if (c->scalar && !panels_hold_rows(c, type, w, row_bytes, g.columns, k, b)) return false;
    g.a_row = blocks + draw(3);
    mote_block8 *a = take_blocks((rows - 1) * g.a_row + blocks);
    for (size_t r = 0; r < rows; r++) {
        mote_real *x = take_values((size_t)k); /* its region serves the next row again */
        if (draw(16) == 0) memset(x, 0, (size_t)k * sizeof *x);
        c->reference->quantize(x, k, a + r * g.a_row);
        for (size_t i = 0; i < blocks && draw(32) == 0; i++) { /* the most extreme dots there are */
            memset(a[r * g.a_row + i].code, draw(2) ? 127 : -127, MOTE_BLOCK_VALUES);
            a[r * g.a_row + i].sum = 32 * a[r * g.a_row + i].code[0];
        }
        n_used--;
    }
    g.a = a;
    g.b = b;
    g.c_row = columns + draw(3);
    g.start_row = columns + draw(3);
    size_t c_values = (rows - 1) * g.c_row + columns, start_values = (rows - 1) * g.start_row + columns;
    const mote_real *start = draw(2) ? take_values(start_values) : NULL;
    g.bias = draw(2) ? take_values(columns) : NULL;
    bool in_place = draw(3) == 0;
    if (in_place) g.start_row = g.c_row;
    mote_real *initial = take_values(c_values), *expected = take_copy(initial, c_values),
              *got = take_copy(initial, c_values);
    g.c = got;
    g.start = in_place ? got : start;
    c->tested->gemm_blocks[c->index](&g);
    if (c->scalar && !agree_with_values(c, &g, type, in_place ? initial : start)) return false;
    g.c = expected;
    g.start = in_place ? expected : start;
    c->reference->gemm_blocks[c->index](&g);
    if (!agree(c, "c", expected, got, c_values, 0, 0)) {
        snprintf(c->problem + strlen(c->problem), sizeof c->problem - strlen(c->problem),
                 " (%d x %d x %d, start %d, bias %d)", g.rows, g.columns, k, g.start != NULL, g.bias != NULL);
        return false;
    }
    size_t row = draw((uint32_t)rows); /* one row by itself */
    mote_gemm_blocks alone = g;
    mote_real *single = take_copy(initial + row * g.c_row, columns);
    alone.rows = 1;
    alone.a += row * g.a_row;
    alone.c = single;
    alone.start = in_place ? single : start ? start + row * g.start_row : NULL;
    c->tested->gemm_blocks[c->index](&alone);
    return agree(c, "a row alone", got + row * g.c_row, single, columns, 0, 0);
}

/* ---- training in 8 bits: the same blocks, whichever way a matrix is read */

static mote_real *take_matrix(int rows, int columns, size_t row) {
    size_t n = (size_t)(rows - 1) * row + (size_t)columns;
    mote_real *x = take_values(n), scale = (mote_real)ldexp(1, (int)draw(200) - 120);
    int kind = (int)draw(8);
    for (size_t i = 0; i < n; i++) {
        if (kind == 0) x[i] *= scale;
        if (kind == 1) x[i] = (mote_real)((int)draw(509) - 254) * (mote_real)0.25; /* codes of a half to round */
        if (kind == 2 && draw(3)) x[i] = draw(2) ? 0 : (mote_real)-0.0;
    }
    if (kind == 3) x[draw((uint32_t)n)] = (mote_real)(draw(2) ? -INFINITY : draw(2) ? NAN : INFINITY);
    return x;
}

/* quantize_tile through what uses it: down the columns as quantize along the rows of the matrix turned over. */
static bool check_quantize_tile(check *c) {
    int rows = 1 + (int)draw(100), columns = 1 + (int)draw(50), blocks = mote_blocks_of(rows);
    size_t row = (size_t)columns + draw(3), n_blocks = (size_t)columns * (size_t)blocks,
           bytes = mote_bytes_size(columns, rows);
    mote_real *x = take_matrix(rows, columns, row), *turned = take_values((size_t)rows * (size_t)columns);
    mote_block8 *expected = take_blocks(n_blocks), *got = take_blocks(n_blocks);
    char *by_rows = take(bytes), *by_columns = take(bytes);
    for (int i = 0; i < columns; i++) {
        mote_real *column = turned + (size_t)i * (size_t)rows;
        for (int r = 0; r < rows; r++) column[r] = x[(size_t)r * row + (size_t)i];
        c->reference->quantize(column, rows, expected + (size_t)i * (size_t)blocks);
    }
    mote_bytes_turn(c->tested, x, row, rows, columns, got);
    for (size_t i = 0; i < n_blocks; i++) {
        if (!memcmp(&expected[i], &got[i], sizeof *got)) continue;
        snprintf(c->problem, sizeof c->problem, "block %zu of %zu: scale %g and %g, sum %d and %d", i, n_blocks,
                 (double)expected[i].scale, (double)got[i].scale, expected[i].sum, got[i].sum);
        return false;
    }
    int half = (rows / 2 + 31) / 32 * 32; /* in two parts, as two tiles do */
    mote_bytes_pack_rows(c->reference, turned, (size_t)rows, columns, rows, by_rows);
    mote_bytes_pack_columns(c->tested, x, row, half < rows ? half : rows, columns, 0, blocks, by_columns);
    if (half < rows)
        mote_bytes_pack_columns(c->tested, x + (size_t)half * row, row, rows - half, columns, half / 32, blocks,
                                by_columns);
    if (!memcmp(by_rows, by_columns, bytes)) return true;
    snprintf(c->problem, sizeof c->problem, "%d x %d packed differently by rows and by columns", rows, columns);
    return false;
}

static bool check_gemm_bytes(check *c) {
    mote_gemm_blocks g = {.rows = 1 + (int)draw(draw(4) ? 14 : 130), .columns = 1 + (int)draw(70)};
    int k = 1 + (int)draw(draw(4) ? 100 : 900);
    g.blocks = mote_blocks_of(k);
    size_t rows = (size_t)g.rows, columns = (size_t)g.columns, blocks = (size_t)g.blocks;
    mote_real *w = take_values(columns * (size_t)k), *x = take_values(rows * (size_t)k), *bias = take_values(columns);
    char *panels = take(mote_bytes_size(g.columns, k));
    mote_block8 *a = take_blocks(rows * blocks);
    for (size_t r = 0; r < rows; r++) c->reference->quantize(x + r * (size_t)k, k, a + r * blocks);
    mote_bytes_pack_rows(c->reference, w, (size_t)k, g.columns, k, panels);
    mote_real *expected = take_values(rows * columns), *got = take_copy(expected, rows * columns),
              *initial = take_copy(expected, rows * columns);
    g.a = a;
    g.a_row = blocks;
    g.b = panels;
    g.c_row = g.start_row = columns;
    g.bias = draw(2) ? bias : NULL;
    bool add = draw(2);
    g.c = expected;
    g.start = add ? expected : NULL;
    c->reference->gemm_bytes(&g);
    g.c = got;
    g.start = add ? got : NULL;
    c->tested->gemm_bytes(&g);
    for (size_t i = 0; i < rows * columns && c->scalar; i++) { /* the witness: the values before they were rounded */
        double sum = (add ? (double)initial[i] : 0) + (g.bias ? (double)bias[i % columns] : 0), size = 0;
        for (size_t j = 0; j < (size_t)k; j++) {
            double term = (double)x[i / columns * (size_t)k + j] * (double)w[i % columns * (size_t)k + j];
            sum += term, size += 2.0 / 127;
        }
        if (!agree_one(c, "sum", sum, (double)got[i], 1e-5, size * 2)) return false;
    }
    return agree(c, "c", expected, got, rows * columns, 0, 0);
}

#include "check_bf16.inc.h"

/* ---- norms */

static bool check_rms_norm(check *c) {
    int n = draw_length();
    size_t size = (size_t)n;
    mote_real *x = take_values(size), *gain = take_values(size), *expected = take_values(size),
              *got = take_copy(x, size);
    double r = (double)c->reference->rms_norm(x, gain, n, (mote_real)1e-5, expected);
    double t = (double)c->tested->rms_norm(got, gain, n, (mote_real)1e-5, got); /* in place */
    return agree_one(c, "inverse", r, t, 1e-6, 0) && agree(c, "y", expected, got, size, 2e-6, 0);
}

static bool check_rms_norm_backward(check *c) {
    int n = draw_length();
    size_t size = (size_t)n;
    bool add = draw(2);
    mote_real *x = take_values(size), *gain = take_values(size), *dy = take_values(size);
    mote_real *expected = take_values(size), *got = take_copy(expected, size), inverse = (mote_real)0.7;
    c->reference->rms_norm_backward(dy, x, gain, inverse, n, expected, add);
    c->tested->rms_norm_backward(dy, x, gain, inverse, n, got, add);
    return agree(c, "dx", expected, got, size, 1e-6, 4e-6);
}

static bool check_layer_norm(check *c) {
    int n = draw_length();
    size_t size = (size_t)n;
    mote_real *x = take_values(size), *gain = take_values(size), *bias = draw(2) ? take_values(size) : NULL;
    mote_real *expected = take_values(size), *got = take_copy(x, size), r[2], t[2];
    if (n == 1) x[0] = got[0] = 1; /* no deviation: the root of epsilon divides a rounding error */
    c->reference->layer_norm(x, gain, bias, n, (mote_real)1e-3, expected, r);
    c->tested->layer_norm(got, gain, bias, n, (mote_real)1e-3, got, t);
    return agree_one(c, "mean", (double)r[0], (double)t[0], 0, 1e-6) &&
           agree_one(c, "inverse", (double)r[1], (double)t[1], 2e-5, 0) &&
           agree(c, "y", expected, got, size, 2e-5, 2e-5);
}

static bool check_layer_norm_backward(check *c) {
    int n = draw_length();
    size_t size = (size_t)n;
    bool add = draw(2);
    mote_real *x = take_values(size), *gain = take_values(size), *dy = take_values(size);
    mote_real *expected = take_values(size), *got = take_copy(expected, size);
    const mote_real stats[2] = {(mote_real)0.1, (mote_real)0.8};
    c->reference->layer_norm_backward(dy, x, gain, stats, n, expected, add);
    c->tested->layer_norm_backward(dy, x, gain, stats, n, got, add);
    return agree(c, "dx", expected, got, size, 1e-6, 4e-6);
}

static bool check_norm_gain_backward(check *c) {
    int n = draw_length();
    size_t size = (size_t)n;
    mote_real *x = take_values(size), *dy = take_values(size), *expected = take_values(size),
              *got = take_copy(expected, size);
    c->reference->norm_gain_backward(dy, x, (mote_real)0.3, (mote_real)1.7, n, expected);
    c->tested->norm_gain_backward(dy, x, (mote_real)0.3, (mote_real)1.7, n, got);
    return agree(c, "dgain", expected, got, size, 0, 0);
}

#include "check_attention.inc.h"

/* ---- elementwise */

static bool check_rope(check *c) {
    int dim = 2 * (1 + (int)draw(draw(2) ? 20 : 70));
    size_t size = (size_t)dim;
    bool halves = draw(2), backward = draw(2), add = draw(2), in_place = draw(2);
    mote_real *x = take_values(size), *turn = take_values(size),
              *expected = take_copy(in_place ? x : take_values(size), size);
    mote_real *got = take_copy(expected, size);
    c->reference->rope(in_place ? expected : x, turn, dim, halves, backward, add, expected);
    c->tested->rope(in_place ? got : x, turn, dim, halves, backward, add, got);
    return agree(c, "y", expected, got, size, 0, 0);
}

static bool check_activate(check *c) {
    size_t n = (size_t)draw_length();
    mote_real *x = take_values(n), *expected = take_values(n), *got = take_values(n),
              spread = (mote_real)(draw(2) ? 1 : 15);
    for (size_t i = 0; i < n; i++) x[i] *= spread;
    c->reference->activate[c->index](x, expected, n);
    c->tested->activate[c->index](x, got, n);
    /* the argument of exp is rounded: |z| ulps, and z reaches 110 here */
    return agree(c, "y", expected, got, n, 2e-5, 1e-36);
}

static bool check_activate_backward(check *c) {
    size_t n = (size_t)draw_length();
    bool add = draw(2);
    mote_real *x = take_values(n), *dy = take_values(n), *expected = take_values(n), *got = take_copy(expected, n);
    c->reference->activate_backward[c->index](x, dy, expected, n, add);
    c->tested->activate_backward[c->index](x, dy, got, n, add);
    return agree(c, "dx", expected, got, n, 2e-6, 2e-6);
}

static bool check_gate(check *c) {
    size_t n = (size_t)draw_length();
    mote_real *gate = take_values(n), *up = take_values(n), *expected = take_values(n), *got = take_copy(gate, n);
    c->reference->gate[c->index](gate, up, expected, n);
    c->tested->gate[c->index](got, up, got, n);
    return agree(c, "y", expected, got, n, 2e-6, 0);
}

static bool check_gate_backward(check *c) {
    size_t n = (size_t)draw_length();
    mote_real *gate = take_values(n), *up = take_values(n), *dy = take_values(n);
    mote_real *dgate = take_values(n), *dup = take_values(n), *dgate2 = take_copy(gate, n), *dup2 = take_copy(up, n);
    c->reference->gate_backward[c->index](gate, up, dy, dgate, dup, n);
    c->tested->gate_backward[c->index](dgate2, dup2, dy, dgate2, dup2, n);
    return agree(c, "dgate", dgate, dgate2, n, 2e-6, 4e-6) && agree(c, "dup", dup, dup2, n, 2e-6, 0);
}

static bool check_add(check *c) {
    size_t n = (size_t)draw_length();
    mote_real *x = take_values(n), *expected = take_values(n), *got = take_copy(expected, n);
    c->reference->add(x, expected, n);
    c->tested->add(x, got, n);
    return agree(c, "y", expected, got, n, 0, 0);
}

static bool check_add_scaled(check *c) {
    size_t n = (size_t)draw_length();
    mote_real *x = take_values(n), *expected = take_values(n), *got = take_copy(expected, n);
    c->reference->add_scaled((mote_real)0.3, x, expected, n);
    c->tested->add_scaled((mote_real)0.3, x, got, n);
    return agree(c, "y", expected, got, n, 0, 0);
}

static bool check_scale(check *c) {
    size_t n = (size_t)draw_length();
    mote_real *expected = take_values(n), *got = take_copy(expected, n);
    c->reference->scale((mote_real)0.3, expected, n);
    c->tested->scale((mote_real)0.3, got, n);
    return agree(c, "x", expected, got, n, 0, 0);
}

static bool check_dot(check *c) {
    size_t n = (size_t)draw_length();
    mote_real *x = take_values(n), *y = take_values(n);
    double r = c->reference->dot(x, y, n), t = c->tested->dot(x, y, n),
           again = c->tested->dot(take_copy(x, n), take_copy(y, n), n);
    return agree_one(c, "dot", r, t, 0, 1e-14 * (double)n * 4) && agree_one(c, "dot elsewhere", t, again, 0, 0);
}

/* ---- loss and optimizers */

static bool check_cross_entropy(check *c) {
    int n = draw_length(), target = (int)draw((uint32_t)n);
    size_t size = (size_t)n;
    bool gradient = draw(2), r_correct, t_correct;
    mote_real *expected = take_values(size);
    int kind = (int)draw(4);
    if (kind == 0) expected[target] = 7;
    if (kind == 1) expected[target] = expected[draw((uint32_t)n)] = 7; /* a tie: the first counts */
    if (kind == 2 && n > 1) expected[(target + 1) % n] = -INFINITY;
    mote_real *got = take_copy(expected, size), scale = (mote_real)0.25;
    double r = c->reference->cross_entropy(expected, n, target, scale, gradient, &r_correct);
    double t = c->tested->cross_entropy(got, n, target, scale, gradient, &t_correct);
    if (r_correct != t_correct) {
        snprintf(c->problem, sizeof c->problem, "correct is %d, not %d", t_correct, r_correct);
        return false;
    }
    return agree_one(c, "loss", r, t, 1e-6, 2e-6) && agree(c, "logits", expected, got, size, 4e-6, gradient ? 1e-6 : 0);
}

static bool check_adamw(check *c) {
    size_t n = (size_t)draw_length();
    mote_real *g = take_values(n), *m = take_values(n), *v = take_values(n), *w = take_values(n);
    for (size_t i = 0; i < n; i++) v[i] *= v[i];
    mote_real *m2 = take_copy(m, n), *v2 = take_copy(v, n), *w2 = take_copy(w, n);
    const mote_adamw o = {(mote_real)0.01, (mote_real)0.9, (mote_real)0.99, (mote_real)1e-8,
                          (mote_real)0.1,  (mote_real)1.5, (mote_real)1.7,  (mote_real)0.4};
    c->reference->adamw(&o, g, m, v, w, n);
    c->tested->adamw(&o, g, m2, v2, w2, n);
    return agree(c, "m", m, m2, n, 0, 0) && agree(c, "v", v, v2, n, 0, 0) && agree(c, "weight", w, w2, n, 0, 0);
}

static bool check_sgd(check *c) {
    size_t n = (size_t)draw_length();
    mote_real *g = take_values(n), *m = take_values(n), *w = take_values(n), *m2 = take_copy(m, n),
              *w2 = take_copy(w, n);
    c->reference->sgd((mote_real)0.01, (mote_real)0.9, (mote_real)0.5, (mote_real)0.1, g, m, w, n);
    c->tested->sgd((mote_real)0.01, (mote_real)0.9, (mote_real)0.5, (mote_real)0.1, g, m2, w2, n);
    return agree(c, "momentum", m, m2, n, 0, 0) && agree(c, "weight", w, w2, n, 0, 0);
}

/* ---- the slots */

typedef struct {
    const char *name;
    size_t offset;
    int count;
    bool (*run)(check *c);
    int cases;
} slot;
#define SLOT(name, count, cases) {#name, offsetof(mote_kernels, name), count, check_##name, cases}
static const slot slots[] = {
    SLOT(gemm, MOTE_N_FLOAT_TYPES, 250),
    SLOT(pack, MOTE_N_FLOAT_TYPES, 100),
    SLOT(quantize, 1, 300),
    SLOT(quantize_by, 1, 300),
    SLOT(gemm_blocks, MOTE_N_INTEGER_TYPES, 250),
    SLOT(gemm_bytes, 1, 250),
    SLOT(quantize_tile, 1, 300),
    SLOT(bf16_gemm, 1, 300),
    SLOT(bf16_row, 1, 300),
    SLOT(bf16_pack, 1, 200),
    SLOT(bf16_turn, 1, 200),
    SLOT(rms_norm, 1, 200),
    SLOT(rms_norm_backward, 1, 200),
    SLOT(layer_norm, 1, 200),
    SLOT(layer_norm_backward, 1, 200),
    SLOT(norm_gain_backward, 1, 200),
    SLOT(softmax, 1, 300),
    SLOT(softmax_backward, 1, 200),
    SLOT(attend, 1, 300),
    SLOT(rope, 1, 400),
    SLOT(bf16_store, 1, 300),
    SLOT(bf16_attend, 1, 300),
    SLOT(activate, MOTE_N_ACTIVATIONS, 300),
    SLOT(activate_backward, MOTE_N_ACTIVATIONS, 200),
    SLOT(gate, MOTE_N_ACTIVATIONS, 200),
    SLOT(gate_backward, MOTE_N_ACTIVATIONS, 200),
    SLOT(add, 1, 100),
    SLOT(add_scaled, 1, 100),
    SLOT(scale, 1, 100),
    SLOT(dot, 1, 200),
    SLOT(cross_entropy, 1, 400),
    SLOT(adamw, 1, 200),
    SLOT(sgd, 1, 200),
};
enum { N_SLOTS = sizeof slots / sizeof *slots };

static void result(bool ok, const char *name, const char *why) {
    if (ok) test_passed++;
    else test_failed++;
    printf("%s %s%s%s\n", ok ? "ok  " : "FAIL", name, ok ? "" : ": ", ok ? "" : why);
    fflush(stdout);
}

/* Each function pointer of the table belongs to one row above. */
static void check_coverage(void) {
    static char seen[sizeof(mote_kernels)];
    memset(seen, 0, offsetof(mote_kernels, gemm));
    size_t covered = 0;
    for (int i = 0; i < N_SLOTS; i++) covered += (size_t)slots[i].count;
    size_t present = (sizeof(mote_kernels) - offsetof(mote_kernels, gemm)) / sizeof(void (*)(void));
    char why[128];
    snprintf(why, sizeof why, "the table has %zu slots, %zu are checked", present, covered);
    result(covered == present, "every slot has a check", why);
}

static char running[96];

/* A read or write beyond an input ends here, and an instruction that the processor lacks does. */
static void on_signal(int number) {
    static const char memory[] = "FAIL touched memory outside its arrays: ",
                      instruction[] = "FAIL illegal instruction: ";
    ssize_t written =
        number == SIGILL ? write(1, instruction, sizeof instruction - 1) : write(1, memory, sizeof memory - 1);
    written += write(1, running, strlen(running));
    written += write(1, "\n", 1);
    _exit(written > 0 ? 1 : 2);
}

static void check_table(const mote_kernels *tested, const mote_kernels *reference, const char *set, uint64_t seed) {
    for (int i = 0; i < N_SLOTS; i++) {
        for (int j = 0; j < slots[i].count; j++) {
            check c = {.tested = tested, .reference = reference, .index = j, .scalar = !strcmp(set, "scalar")};
            snprintf(running, sizeof running, slots[i].count > 1 ? "%-7s %s[%d]" : "%-7s %s", set, slots[i].name, j);
            void *pointer;
            memcpy(&pointer, (const char *)tested + slots[i].offset + (size_t)j * sizeof pointer, sizeof pointer);
            bool ok = pointer != NULL;
            if (!ok) snprintf(c.problem, sizeof c.problem, "the slot is empty");
            for (int k = 0; ok && k * 100 < slots[i].cases * percent; k++) {
                state = seed ^ ((uint64_t)i << 40) ^ ((uint64_t)k << 8); /* the same cases in every set */
                n_used = 0;
                ok = slots[i].run(&c);
                if (ok && !canaries_alive()) {
                    snprintf(c.problem, sizeof c.problem, "wrote beside its output");
                    ok = false;
                }
            }
            result(ok, running, c.problem);
        }
    }
}

/* The library's own test, on the table in use. */
static void check_selftest(void) {
    char *report = NULL;
    mote_error error = {0};
    mote_status status = mote_kernels_selftest(&report, &error);
    result(status == MOTE_OK && report && strstr(report, "gemm f32"), "selftest", error.message);
    mote_free(report);
}

int main(int argc, char **argv) {
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 20240607;
    if (argc > 2) percent = atoi(argv[2]);
    if (percent < 1 || percent > 100) percent = 100;
    printf("seed %llu (repeat with: check_kernels %llu)\n", (unsigned long long)seed, (unsigned long long)seed);
    if (!map_regions()) {
        printf("FAIL no memory for the test\n");
        return 1;
    }
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    static const struct {
        const char *name;
        unsigned mask;
    } sets[] = {
        {"scalar", 0}, {"avx2", MOTE_CPU_AVX2}, {"avx512", MOTE_CPU_AVX2 | MOTE_CPU_AVX512},
        {"vnni", MOTE_CPU_AVX2 | MOTE_CPU_AVX512 | MOTE_CPU_VNNI},
        {"bf16", MOTE_CPU_AVX2 | MOTE_CPU_AVX512 | MOTE_CPU_BF16}, {"neon", MOTE_CPU_NEON},
        {"dotprod", MOTE_CPU_NEON | MOTE_CPU_DOTPROD}};
    mote_kernels reference, tested;
    mote_kernels_fill(&reference, 0);
    check_coverage();
    check_selftest();
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        mote_kernels_fill(&tested, sets[i].mask);
        if ((mote_cpu_detect() & sets[i].mask) != sets[i].mask || strcmp(tested.name, sets[i].name) != 0) {
            printf("skip %s: not on this processor or not in this build\n", sets[i].name);
            test_skipped++;
            continue;
        }
        check_table(&tested, &reference, sets[i].name, seed);
    }
    return test_finish();
}
