/* The self-test of an installed library: each slot in use against the scalar reference, on one small piece of random
 * data with tails. It finds a miscompiled or misdetected instruction set in milliseconds; tests/check_kernels.c is the
 * thorough version. Products must agree bit for bit, the rest within 1e-4 of the values' size. */
#include <math.h>
#include <string.h>

#include "base/buffer.h"
#include "kernels/bytes.h"

enum { VALUES = 333, ROWS = 7, COLUMNS = 21, DEPTH = 15, HEAD = 22, TARGET = 5, BLOCKS_DEPTH = 70 };

/* What a slot works on: every run changes some of it, and all of it is compared. */
typedef struct {
    mote_real x[VALUES], y[VALUES], z[VALUES], w[VALUES];
    mote_real panels[2 * MOTE_PANEL * DEPTH];
    double number;
} work;

static const mote_real tenth = (mote_real)0.1;

static void gemm_with(const mote_kernels *k, work *v, mote_type type) {
    uint16_t halves[VALUES];
    for (int i = 0; i < VALUES; i++) {
        float weight = (float)v->y[i];
        halves[i] = type == MOTE_TYPE_F16 ? mote_f32_to_f16(weight) : mote_f32_to_bf16(weight);
    }
    mote_gemm g = {.rows = ROWS,
                   .columns = COLUMNS,
                   .depth = DEPTH,
                   .a = v->x,
                   .a_row = DEPTH,
                   .a_depth = 1,
                   .b = halves,
                   .b_panel = MOTE_PANEL,
                   .b_depth = COLUMNS,
                   .c = v->z,
                   .c_row = COLUMNS,
                   .bias = v->w};
    if (type == MOTE_TYPE_F32) g.b = v->y;
    k->gemm[type](&g);
}
static void run_gemm_f32(const mote_kernels *k, work *v) { gemm_with(k, v, MOTE_TYPE_F32); }
static void run_gemm_f16(const mote_kernels *k, work *v) { gemm_with(k, v, MOTE_TYPE_F16); }
static void run_gemm_bf16(const mote_kernels *k, work *v) { gemm_with(k, v, MOTE_TYPE_BF16); }
static void run_pack_f32(const mote_kernels *k, work *v) {
    k->pack[MOTE_TYPE_F32](v->x, DEPTH, COLUMNS, DEPTH, v->panels);
}
static void pack_halves(const mote_kernels *k, work *v, mote_type type) {
    uint16_t rows[COLUMNS * DEPTH], packed[2 * MOTE_PANEL * DEPTH];
    for (int i = 0; i < COLUMNS * DEPTH; i++) rows[i] = (uint16_t)i;
    k->pack[type](rows, DEPTH, COLUMNS, DEPTH, packed);
    for (int i = 0; i < 2 * MOTE_PANEL * DEPTH; i++) v->panels[i] = packed[i];
}
static void run_pack_f16(const mote_kernels *k, work *v) { pack_halves(k, v, MOTE_TYPE_F16); }
static void run_pack_bf16(const mote_kernels *k, work *v) { pack_halves(k, v, MOTE_TYPE_BF16); }

static void run_quantize(const mote_kernels *k, work *v) {
    mote_block8 blocks[(VALUES + MOTE_BLOCK_VALUES - 1) / MOTE_BLOCK_VALUES];
    k->quantize(v->x, VALUES, blocks);
    for (int i = 0; i < VALUES; i++) {
        const mote_block8 *block = &blocks[i / MOTE_BLOCK_VALUES];
        v->z[i] = (mote_real)block->scale * block->code[i % MOTE_BLOCK_VALUES] + (mote_real)block->sum;
    }
}
static void run_quantize_by(const mote_kernels *k, work *v) {
    mote_block8 blocks[(VALUES + MOTE_BLOCK_VALUES - 1) / MOTE_BLOCK_VALUES];
    k->quantize_by(v->x, VALUES, 0.01f, blocks);
    for (int i = 0; i < VALUES; i++) {
        const mote_block8 *block = &blocks[i / MOTE_BLOCK_VALUES];
        v->z[i] = (mote_real)block->scale * block->code[i % MOTE_BLOCK_VALUES] + (mote_real)block->sum;
    }
}
/* Rows of v->x overlap, and so do the weights: what matters is that each byte of a panel is read once and right. */
static void blocks_with(const mote_kernels *k, work *v, mote_type type) {
    enum { BLOCKS = (BLOCKS_DEPTH + MOTE_BLOCK_VALUES - 1) / MOTE_BLOCK_VALUES, STEP = 12 };
    mote_block8 a[ROWS * BLOCKS];
    float weights[VALUES];
    char row[BLOCKS * 34 + sizeof(float)] = {0}, panels[2 * MOTE_PANEL * BLOCKS * 40];
    for (int i = 0; i < VALUES; i++) weights[i] = (float)v->y[i];
    for (int r = 0; r < ROWS; r++) k->quantize(v->x + r * STEP, BLOCKS_DEPTH, a + r * BLOCKS);
    mote_blocks_pack_f32(type, weights, STEP, COLUMNS, BLOCKS_DEPTH, row, panels);
    mote_gemm_blocks g = {.rows = ROWS, .columns = COLUMNS, .blocks = BLOCKS, .a = a, .a_row = BLOCKS, .b = panels,
                          .c = v->z, .c_row = COLUMNS, .bias = v->w};
    k->gemm_blocks[mote_integer_slot(type)](&g);
}
static void run_gemm_q8_0(const mote_kernels *k, work *v) { blocks_with(k, v, MOTE_TYPE_Q8_0); }
static void run_gemm_q4_0(const mote_kernels *k, work *v) { blocks_with(k, v, MOTE_TYPE_Q4_0); }
static void run_gemm_q3h(const mote_kernels *k, work *v) { blocks_with(k, v, MOTE_TYPE_Q3H); }
static void run_gemm_q43(const mote_kernels *k, work *v) { blocks_with(k, v, MOTE_TYPE_Q43); }
static void run_gemm_i8(const mote_kernels *k, work *v) { blocks_with(k, v, MOTE_TYPE_I8); }

static void run_quantize_tile(const mote_kernels *k, work *v) {
    uint8_t codes[MOTE_BYTES_CODES];
    float scales[MOTE_PANEL];
    int32_t sums[MOTE_PANEL];
    k->quantize_tile(v->x, 5, codes, scales, sums); /* rows overlap */
    for (int i = 0; i < VALUES; i++) v->z[i] = (mote_real)codes[i];
    for (int i = 0; i < MOTE_PANEL; i++) v->y[i] = (mote_real)scales[i] + (mote_real)sums[i];
}
static void run_gemm_bytes(const mote_kernels *k, work *v) {
    enum { BLOCKS = (BLOCKS_DEPTH + MOTE_BLOCK_VALUES - 1) / MOTE_BLOCK_VALUES, STEP = 12 };
    mote_block8 a[ROWS * BLOCKS];
    char panels[2 * BLOCKS * (MOTE_BYTES_CODES + MOTE_BYTES_SCALES)];
    for (int r = 0; r < ROWS; r++) k->quantize(v->x + r * STEP, BLOCKS_DEPTH, a + r * BLOCKS);
    mote_bytes_pack_rows(k, v->y, STEP, COLUMNS, BLOCKS_DEPTH, panels);
    mote_gemm_blocks g = {.rows = ROWS, .columns = COLUMNS, .blocks = BLOCKS, .a = a, .a_row = BLOCKS, .b = panels,
                          .c = v->z, .c_row = COLUMNS, .bias = v->w};
    k->gemm_bytes(&g);
}

static void show_pairs(work *v, const uint32_t *pairs, int n) {
    for (int i = 0; i < n; i++) v->z[i] = (mote_real)(int)(pairs[i] >> 16) - (mote_real)(int)(pairs[i] & 0xffff);
}
static void run_bf16_row(const mote_kernels *k, work *v) {
    uint32_t pairs[(VALUES + 1) / 2];
    k->bf16_row(v->x, VALUES, pairs);
    show_pairs(v, pairs, (VALUES + 1) / 2);
}
enum { PAIRS = (DEPTH + 1) / 2 };
static void run_bf16_pack(const mote_kernels *k, work *v) {
    uint32_t panels[2 * MOTE_PANEL * PAIRS];
    k->bf16_pack(v->x, DEPTH, COLUMNS, DEPTH, panels);
    show_pairs(v, panels, 2 * MOTE_PANEL * PAIRS);
}
static void run_bf16_turn(const mote_kernels *k, work *v) {
    uint32_t panels[2 * MOTE_PANEL * PAIRS];
    k->bf16_turn(v->x, COLUMNS, DEPTH, COLUMNS, panels, MOTE_PANEL * PAIRS);
    show_pairs(v, panels, 2 * MOTE_PANEL * PAIRS);
}
static void run_bf16_gemm(const mote_kernels *k, work *v) {
    uint32_t rows[ROWS * PAIRS], panels[2 * MOTE_PANEL * PAIRS];
    for (int r = 0; r < ROWS; r++) k->bf16_row(v->x + r * DEPTH, DEPTH, rows + r * PAIRS);
    k->bf16_pack(v->y, DEPTH, COLUMNS, DEPTH, panels);
    mote_gemm_bf16 g = {.rows = ROWS, .columns = COLUMNS, .depth = PAIRS, .a = rows, .a_row = PAIRS, .b = panels,
                        .b_panel = MOTE_PANEL * PAIRS, .c = v->z, .c_row = COLUMNS, .bias = v->w};
    k->bf16_gemm(&g);
}

static void run_rms_norm(const mote_kernels *k, work *v) {
    v->number = (double)k->rms_norm(v->x, v->y, VALUES, tenth, v->z);
}
static void run_rms_norm_backward(const mote_kernels *k, work *v) {
    k->rms_norm_backward(v->w, v->x, v->y, 2, VALUES, v->z, true);
}
static void run_layer_norm(const mote_kernels *k, work *v) {
    mote_real stats[2];
    k->layer_norm(v->x, v->y, v->w, VALUES, tenth, v->z, stats);
    v->number = (double)stats[0] + (double)stats[1];
}
static void run_layer_norm_backward(const mote_kernels *k, work *v) {
    const mote_real stats[2] = {tenth, 2};
    k->layer_norm_backward(v->w, v->x, v->y, stats, VALUES, v->z, false);
}
static void run_norm_gain_backward(const mote_kernels *k, work *v) {
    k->norm_gain_backward(v->x, v->y, tenth, 2, VALUES, v->z);
}
static mote_softmax all_keys(work *v, mote_real *log_sum) {
    return (mote_softmax){v->x, VALUES, 1, VALUES, 0, VALUES, 1, 3, log_sum, 1};
}
static void run_softmax(const mote_kernels *k, work *v) {
    mote_real log_sum;
    mote_softmax s = all_keys(v, &log_sum);
    k->softmax(&s);
    v->number = (double)log_sum;
}
static void run_softmax_backward(const mote_kernels *k, work *v) {
    mote_real log_sum = 2;
    mote_softmax_backward s = {all_keys(v, &log_sum), v->y, v->z, v->w, VALUES, VALUES};
    k->softmax_backward(&s);
}
/* v->y as keys and as values: one head, then two that overlap, of three queries of 6 columns; 19 keys */
static void run_attend(const mote_kernels *k, work *v) {
    enum { KEYS = 19, COLUMNS_OF_HEAD = 6, HEAD_VALUES = 2 * MOTE_PANEL * COLUMNS_OF_HEAD };
    mote_real scores[MOTE_ATTEND_ROWS * 2 * MOTE_PANEL], values[2 * KEYS * MOTE_PANEL];
    for (int i = 0; i < 2 * KEYS * MOTE_PANEL; i++) values[i] = v->w[i % VALUES];
    mote_attend a = {.heads = 1, .group = 3, .columns = COLUMNS_OF_HEAD, .low = 2, .high = KEYS, .scale = 1,
                     .q = v->x, .keys = v->y, .values = values, .keys_head = HEAD_VALUES,
                     .values_head = KEYS * MOTE_PANEL, .value_row = MOTE_PANEL, .scores = scores, .y = v->z};
    k->attend(&a);
    a.heads = 2;
    a.keys_head = MOTE_PANEL * 3;
    a.low = 0;
    a.y = v->z + VALUES / 2;
    k->attend(&a);
}
static void run_rope(const mote_kernels *k, work *v) {
    k->rope(v->x, v->y, HEAD, false, false, true, v->z);
    k->rope(v->x, v->y, HEAD, true, true, false, v->w);
}

enum { KEYS = 37, KEY_PANELS = (KEYS + MOTE_PANEL - 1) / MOTE_PANEL };
typedef struct {
    uint32_t keys[KEY_PANELS * MOTE_PANEL * HEAD / 2], values[KEY_PANELS * MOTE_PANEL / 2 * 2 * MOTE_PANEL];
} halves;
/* Rows of keys and values overlap. */
static void store_halves(const mote_kernels *k, const work *v, halves *h) {
    memset(h, 0, sizeof *h);
    mote_bf16_store s = {.k = v->x, .v = v->y, .k_row = 8, .v_row = 8, .rows = KEYS, .head_dim = HEAD, .keys = h->keys,
                         .values = h->values};
    k->bf16_store(&s);
}
static void run_bf16_store(const mote_kernels *k, work *v) {
    halves h;
    store_halves(k, v, &h);
    for (int i = 0; i < VALUES; i++)
        v->z[i] = (mote_real)(h.keys[i] & 0xffff) + (mote_real)(h.values[i] >> 16),
        v->w[i] = (mote_real)(h.keys[i] >> 16) + (mote_real)(h.values[i] & 0xffff);
}
static void run_bf16_attend(const mote_kernels *k, work *v) {
    halves h;
    _Alignas(64) char scratch[16384];
    if (mote_bf16_attend_bytes(HEAD, KEYS) > sizeof scratch) return;
    store_halves(k, v, &h);
    mote_bf16_attend a = {.q = v->w, .q_row = HEAD, .rows = 4, .head_dim = HEAD, .low = 3, .high = KEYS - 3, .step = 1,
                          .keys = h.keys, .values = h.values, .scale = tenth, .y = v->z, .y_row = HEAD,
                          .scratch = scratch};
    k->bf16_attend(&a);
}

static void run_silu(const mote_kernels *k, work *v) { k->activate[MOTE_ACTIVATION_SILU](v->x, v->z, VALUES); }
static void run_gelu(const mote_kernels *k, work *v) { k->activate[MOTE_ACTIVATION_GELU](v->x, v->z, VALUES); }
static void run_silu_backward(const mote_kernels *k, work *v) {
    k->activate_backward[MOTE_ACTIVATION_SILU](v->x, v->y, v->z, VALUES, true);
}
static void run_gelu_backward(const mote_kernels *k, work *v) {
    k->activate_backward[MOTE_ACTIVATION_GELU](v->x, v->y, v->z, VALUES, false);
}
static void run_gate_silu(const mote_kernels *k, work *v) { k->gate[MOTE_ACTIVATION_SILU](v->x, v->y, v->z, VALUES); }
static void run_gate_gelu(const mote_kernels *k, work *v) { k->gate[MOTE_ACTIVATION_GELU](v->x, v->y, v->z, VALUES); }
static void run_gate_backward_silu(const mote_kernels *k, work *v) {
    k->gate_backward[MOTE_ACTIVATION_SILU](v->x, v->y, v->z, v->z, v->w, VALUES);
}
static void run_gate_backward_gelu(const mote_kernels *k, work *v) {
    k->gate_backward[MOTE_ACTIVATION_GELU](v->x, v->y, v->z, v->z, v->w, VALUES);
}
static void run_add(const mote_kernels *k, work *v) { k->add(v->x, v->y, VALUES); }
static void run_add_scaled(const mote_kernels *k, work *v) { k->add_scaled(3, v->x, v->y, VALUES); }
static void run_scale(const mote_kernels *k, work *v) { k->scale(3, v->x, VALUES); }
static void run_dot(const mote_kernels *k, work *v) { v->number = k->dot(v->x, v->y, VALUES); }

static void run_cross_entropy(const mote_kernels *k, work *v) {
    bool correct;
    v->number = k->cross_entropy(v->x, VALUES, TARGET, tenth, true, &correct) + (correct ? 100 : 0);
}
static void run_adamw(const mote_kernels *k, work *v) {
    const mote_adamw o = {tenth, 1 - tenth, 1 - tenth, tenth, tenth, 2, 2, 1};
    for (int i = 0; i < VALUES; i++) v->z[i] *= v->z[i]; /* second moments */
    k->adamw(&o, v->x, v->y, v->z, v->w, VALUES);
}
static void run_sgd(const mote_kernels *k, work *v) { k->sgd(tenth, 1 - tenth, 2, tenth, v->x, v->y, v->z, VALUES); }

static const struct {
    const char *name;
    void (*run)(const mote_kernels *k, work *v);
    bool exact;
} slots[] = {
    {"gemm f32", run_gemm_f32, true},
    {"gemm f16", run_gemm_f16, true},
    {"gemm bf16", run_gemm_bf16, true},
    {"pack f32", run_pack_f32, true},
    {"pack f16", run_pack_f16, true},
    {"pack bf16", run_pack_bf16, true},
    {"quantize", run_quantize, true},
    {"quantize by a scale", run_quantize_by, true},
    {"gemm q8_0", run_gemm_q8_0, true},
    {"gemm q4_0", run_gemm_q4_0, true},
    {"gemm q3h", run_gemm_q3h, true},
    {"gemm q43", run_gemm_q43, true},
    {"gemm i8", run_gemm_i8, true},
    {"gemm_bytes", run_gemm_bytes, true},
    {"quantize_tile", run_quantize_tile, true},
    {"bf16_gemm", run_bf16_gemm, false},
    {"bf16_row", run_bf16_row, true},
    {"bf16_pack", run_bf16_pack, true},
    {"bf16_turn", run_bf16_turn, true},
    {"rms_norm", run_rms_norm, false},
    {"rms_norm_backward", run_rms_norm_backward, false},
    {"layer_norm", run_layer_norm, false},
    {"layer_norm_backward", run_layer_norm_backward, false},
    {"norm_gain_backward", run_norm_gain_backward, true},
    {"softmax", run_softmax, false},
    {"softmax_backward", run_softmax_backward, false},
    {"attend", run_attend, false},
    {"rope", run_rope, true},
    {"bf16_store", run_bf16_store, true},
    {"bf16_attend", run_bf16_attend, false},
    {"activate silu", run_silu, false},
    {"activate gelu", run_gelu, false},
    {"activate_backward silu", run_silu_backward, false},
    {"activate_backward gelu", run_gelu_backward, false},
    {"gate silu", run_gate_silu, false},
    {"gate gelu", run_gate_gelu, false},
    {"gate_backward silu", run_gate_backward_silu, false},
    {"gate_backward gelu", run_gate_backward_gelu, false},
    {"add", run_add, true},
    {"add_scaled", run_add_scaled, true},
    {"scale", run_scale, true},
    {"dot", run_dot, false},
    {"cross_entropy", run_cross_entropy, false},
    {"adamw", run_adamw, true},
    {"sgd", run_sgd, true},
};
_Static_assert(sizeof slots / sizeof *slots ==
                   (sizeof(mote_kernels) - offsetof(mote_kernels, gemm)) / sizeof(void (*)(void)),
               "each slot has a self-test");

static void fill_values(work *v) {
    memset(v, 0, sizeof *v);
    uint32_t state = 12345;
    mote_real *arrays[] = {v->x, v->y, v->z, v->w};
    for (int i = 0; i < 4 * VALUES; i++) {
        state = state * 1664525u + 1013904223u;
        arrays[i / VALUES][i % VALUES] = (mote_real)(state >> 8) * (mote_real)0x1p-22 - 2;
    }
}

/* The largest difference, relative to the value or to 1; infinite where one is NaN and the other is not. */
static double difference(const mote_real *expected, const mote_real *got, size_t n, double largest) {
    for (size_t i = 0; i < n; i++) {
        if (memcmp(expected + i, got + i, sizeof *got) == 0) continue;
        double size = fabs((double)expected[i]),
               apart = fabs((double)expected[i] - (double)got[i]) / (size > 1 ? size : 1);
        largest = apart <= largest ? largest : apart == apart ? apart : INFINITY;
    }
    return largest;
}

mote_status mote_kernels_selftest(char **report, mote_error *error) {
    mote_kernels reference;
    const mote_kernels *used = mote_kernels_get();
    mote_kernels_fill(&reference, 0);
    mote_buffer text = {0};
    const char *first_wrong = NULL;
    mote_buffer_print(&text, "%-24s %-8s %s\n", "kernel", "set", "largest difference from scalar");
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        work expected, got;
        fill_values(&expected);
        fill_values(&got);
        slots[i].run(&reference, &expected);
        slots[i].run(used, &got);
        double apart = difference(expected.panels, got.panels, 2 * MOTE_PANEL * DEPTH, 0);
        apart = difference(expected.x, got.x, VALUES, apart);
        apart = difference(expected.y, got.y, VALUES, apart);
        apart = difference(expected.z, got.z, VALUES, apart);
        apart = difference(expected.w, got.w, VALUES, apart);
        double numbers = fabs(expected.number - got.number);
        if (!(numbers <= apart)) apart = numbers == numbers ? numbers : INFINITY;
        bool right = apart <= (slots[i].exact ? 0 : 1e-4);
        if (!right && !first_wrong) first_wrong = slots[i].name;
        mote_buffer_print(&text, "%-24s %-8s %.1e %s\n", slots[i].name, used->name, apart, right ? "ok" : "WRONG");
    }
    mote_status status = mote_buffer_finish(&text, report, error);
    if (status || !first_wrong) return status;
    mote_fail(error, MOTE_FAILED, "kernel %s of the %s set differs from the scalar reference", first_wrong, used->name);
    return mote_hint(error, MOTE_FAILED,
                     "restrict the instruction sets with mote_cpu_restrict, and report this processor");
}
