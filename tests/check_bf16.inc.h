/* The slots of training in bf16, part of check_kernels.c: rounding bit for bit, products within the bound that their
 * rounding has. */

static bool agree_pairs(check *c, const char *what, const uint32_t *expected, const uint32_t *got, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (expected[i] == got[i]) continue;
        snprintf(c->problem, sizeof c->problem, "%s[%zu of %zu]: expected %08x, got %08x", what, i, n, expected[i],
                 got[i]);
        return false;
    }
    return true;
}

/* Numbers of all sizes: denormals, infinities and NaN of any payload among them. */
static void draw_bits(mote_real *x, size_t n) {
    for (size_t i = 0; i < n && draw(2); i++) {
        uint32_t bits = draw(UINT32_MAX), kind = draw(16);
        float value;
        if (kind == 0) bits &= 0x807fffffu;
        if (kind == 1) bits |= 0x7f800000u;
        if (kind == 2) bits = (bits & 0xffff0000u) | 0x8000u; /* a half to round */
        memcpy(&value, &bits, sizeof value);
        x[i] = (mote_real)value;
    }
}

static bool check_bf16_row(check *c) {
    int n = 1 + (int)draw(120);
    size_t pairs = (size_t)(n + 1) / 2;
    mote_real *x = take_values((size_t)n);
    draw_bits(x, (size_t)n);
    uint32_t *expected = take(pairs * sizeof *expected), *got = take(pairs * sizeof *got);
    c->reference->bf16_row(x, n, expected);
    c->tested->bf16_row(x, n, got);
    for (int i = 0; i < n && c->scalar; i++) { /* the witness: the type's own rounding, but for denormals */
        float single = (float)x[i];
        uint16_t half = (uint16_t)(got[i / 2] >> i % 2 * 16);
        bool right = half == (fabsf(single) < 0x1p-126f ? (signbit(single) ? 0x8000 : 0) : mote_f32_to_bf16(single));
        if (right) continue;
        snprintf(c->problem, sizeof c->problem, "%g became %04x", (double)single, half);
        return false;
    }
    return agree_pairs(c, "pair", expected, got, pairs);
}

static bool check_bf16_pack(check *c) {
    int n = 1 + (int)draw(50), depth = 1 + (int)draw(100);
    size_t w_row = (size_t)depth + draw(3), values = (size_t)(n - 1) * w_row + (size_t)depth;
    size_t bytes = mote_bf16_bytes(n, depth);
    mote_real *w = take_values(values);
    draw_bits(w, values);
    uint32_t *expected = take(bytes), *got = take(bytes);
    c->reference->bf16_pack(w, w_row, n, depth, expected);
    c->tested->bf16_pack(w, w_row, n, depth, got);
    return agree_pairs(c, "panel", expected, got, bytes / sizeof *got);
}

/* Turned in two parts, as two tiles do, against the rows of the turned matrix packed. */
static bool check_bf16_turn(check *c) {
    int rows = 1 + (int)draw(100), columns = 1 + (int)draw(60), half = rows / 4 * 2;
    size_t x_row = (size_t)columns + draw(3), values = (size_t)(rows - 1) * x_row + (size_t)columns;
    size_t bytes = mote_bf16_bytes(columns, rows), panel = (size_t)(rows + 1) / 2 * MOTE_PANEL;
    mote_real *x = take_values(values), *turned = take_values((size_t)rows * (size_t)columns);
    draw_bits(x, values);
    for (size_t i = 0; i < (size_t)rows * (size_t)columns; i++)
        turned[i] = x[i % (size_t)rows * x_row + i / (size_t)rows];
    uint32_t *expected = take(bytes), *got = take(bytes);
    c->reference->bf16_pack(turned, (size_t)rows, columns, rows, expected);
    c->tested->bf16_turn(x, x_row, half, columns, got, panel);
    c->tested->bf16_turn(x + (size_t)half * x_row, x_row, rows - half, columns, got + half / 2 * MOTE_PANEL, panel);
    return agree_pairs(c, "panel", expected, got, bytes / sizeof *got);
}

/* Both chains round at most 2 depth times, by 2^-24 of what the sum has become, so they are at most depth * 2^-22 of
 * the sum of |terms| apart; each term that vdpbf16ps takes for a denormal is less than 2^-126. */
static bool check_bf16_gemm(check *c) {
    mote_gemm_bf16 g = {.rows = 1 + (int)draw(draw(4) ? 20 : 300), .columns = 1 + (int)draw(120)};
    int k = draw(8) ? 1 + (int)draw(150) : 1 + (int)draw(2500);
    if (g.rows > 20) g.columns = g.columns % 70 + 1, k = k % 400 + 1;
    g.depth = draw(64) ? (k + 1) / 2 : 0;
    size_t rows = (size_t)g.rows, columns = (size_t)g.columns, depth = (size_t)k, pairs = (depth + 1) / 2;
    mote_real *w = take_values(columns * depth), *x = take_values(rows * depth), *bias = take_values(columns);
    uint32_t *b = take(mote_bf16_bytes(g.columns, k));
    c->reference->bf16_pack(w, depth, g.columns, k, b);
    g.b = b, g.b_panel = pairs * MOTE_PANEL;
    if (draw(2)) { /* A in panels */
        uint32_t *a = take(mote_bf16_bytes(g.rows, k));
        c->reference->bf16_pack(x, depth, g.rows, k, a);
        g.a = a, g.a_panel = pairs * MOTE_PANEL;
    } else {
        uint32_t *a = take(rows * pairs * sizeof *a);
        for (size_t r = 0; r < rows; r++) c->reference->bf16_row(x + r * depth, k, a + r * pairs);
        g.a = a, g.a_row = pairs;
    }
    g.c_row = columns + draw(3), g.start_row = columns + draw(3);
    size_t values = (rows - 1) * g.c_row + columns;
    mote_real *start = draw(3) ? take_values((rows - 1) * g.start_row + columns) : NULL;
    mote_real *initial = take_values(values), *expected = take_copy(initial, values), *got = take_copy(initial, values);
    bool in_place = draw(3) == 0;
    if (in_place) g.start_row = g.c_row;
    if (draw(2)) g.bias = bias;
    g.c = expected, g.start = in_place ? expected : start;
    c->reference->bf16_gemm(&g);
    g.c = got, g.start = in_place ? got : start;
    c->tested->bf16_gemm(&g);
    const mote_real *from = in_place ? initial : start;
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < columns; i++) {
            double sum = from ? (double)from[r * g.start_row + i] : 0, size = 0, here = (double)got[r * g.c_row + i];
            if (g.bias) sum += (double)bias[i];
            size = fabs(sum);
            for (size_t j = 0; j < (g.depth ? depth : 0); j++) {
                double term = (double)mote_bf16_to_f32(mote_f32_to_bf16((float)x[r * depth + j])) *
                              (double)mote_bf16_to_f32(mote_f32_to_bf16((float)w[i * depth + j]));
                sum += term, size += fabs(term);
            }
            double bound = ((double)g.depth + 1) * 0x1p-22 * size + (double)g.depth * 0x1p-125;
            if (!agree_one(c, "sum", sum, here, 0, bound / 2)) return false;
            if (!agree_one(c, "c", (double)expected[r * g.c_row + i], here, 0, c->tested->fast_bf16 ? bound : 0))
                return false;
        }
    }
    for (size_t i = 0; i < values; i++) { /* between the rows of C nothing is written */
        if (i % g.c_row < columns || !memcmp(initial + i, got + i, sizeof *got)) continue;
        snprintf(c->problem, sizeof c->problem, "wrote behind column %zu of a row", columns);
        return false;
    }
    return true;
}
