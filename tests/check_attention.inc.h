/* Attention for tests/check_kernels.c: softmax, one position of every head in one call, and tiles of queries over keys
 * and values in bf16. */

/* ---- attention rows */

/* exp itself, seen through softmax_backward: at most 2 units in the last place between the thresholds. */
static void exp_of(check *c, mote_real *x, mote_real *dp, int n) {
    mote_real zero = 0;
    mote_softmax_backward s = {{x, (size_t)n, 1, n, 0, n, 1, 1, &zero, 1}, dp, x, dp, 0, 0};
    c->tested->softmax_backward(&s);
}

static bool sweep_exp(check *c) {
    enum { N = 1024 };
    mote_real *x = take_values(N), *e = take_values(N), *dp = take_values(N);
    for (int part = 0; part < 300; part += 100 / percent) {
        for (int i = 0; i < N; i++) e[i] = x[i] = (mote_real)(-87.3 + 176 * ((part * N + i) / (300.0 * N)));
        exp_of(c, e, dp, N);
        for (int i = 0; i < N; i++) {
            if (!agree_one(c, "exp", exp((double)x[i]), (double)e[i], 2 * 1.2e-7, 0)) return false;
        }
    }
    static const double edges[][2] = {{0, 1},         {-0.0, 1},       {-104, 0},           {-1e30, 0},
                                      {-INFINITY, 0}, {800, INFINITY}, {INFINITY, INFINITY}};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        e[0] = (mote_real)edges[i][0];
        exp_of(c, e, dp, 1);
        if ((double)e[0] == edges[i][1] || (edges[i][1] == 0 && (double)e[0] < 1e-44)) continue;
        snprintf(c->problem, sizeof c->problem, "exp(%g) is %g", edges[i][0], (double)e[0]);
        return false;
    }
    e[0] = (mote_real)NAN;
    exp_of(c, e, dp, 1);
    if (e[0] != e[0]) return true;
    snprintf(c->problem, sizeof c->problem, "exp(NaN) is %g", (double)e[0]);
    return false;
}

/* A tile of queries: causal, in a window or with the same keys for all rows; values past a row's width stay. */
static mote_softmax draw_softmax(size_t *size) {
    mote_softmax s = {.rows = 1 + (int)draw(draw(2) ? 4 : 40), .step = (int)draw(2), .log_sum_row = 1 + draw(3)};
    int last = draw_length();
    s.high = s.step && last > s.rows ? last - s.rows + 1 : 1 + (s.step ? 0 : last - 1);
    s.low = draw(2) ? -s.rows : s.high - 1 - (int)draw((uint32_t)s.high + 5);
    s.width = s.high + (s.rows - 1) * s.step + (int)draw(20);
    s.scores_row = (size_t)s.width + draw(9);
    s.scale = (mote_real)(draw(2) ? 0.125 : 20);
    *size = (size_t)(s.rows - 1) * s.scores_row + (size_t)s.width;
    return s;
}

static bool check_softmax(check *c) {
    size_t size, n_sums;
    mote_softmax s = draw_softmax(&size), t = s;
    n_sums = (size_t)(s.rows - 1) * s.log_sum_row + 1;
    s.scores = take_values(size);
    if (draw(2)) s.scores[0] = (mote_real)(draw(2) ? 5 : s.high > 1 && s.low < 0 ? -INFINITY : 0);
    t.scores = take_copy(s.scores, size);
    if (draw(4)) s.log_sum = take_values(n_sums), t.log_sum = take_copy(s.log_sum, n_sums);
    c->reference->softmax(&s);
    c->tested->softmax(&t);
    for (int r = 0; r < s.rows; r++) {
        double sum = 0;
        for (int i = 0; i < s.width; i++) sum += (double)t.scores[(size_t)r * s.scores_row + (size_t)i];
        if (!agree_one(c, "sum", 1, sum, 0, 2e-6)) return false;
    }
    return agree(c, "p", s.scores, t.scores, size, 6e-6, 1e-37) &&
           (!s.log_sum || agree(c, "log sum", s.log_sum, t.log_sum, n_sums, 2e-7, 2e-6));
}

static bool check_softmax_backward(check *c) {
    size_t size, n_sums;
    mote_softmax_backward s = {.of = draw_softmax(&size), .columns = 1 + (int)draw(70)}, t;
    s.y_row = (size_t)s.columns + draw(5);
    size_t n_y = (size_t)(s.of.rows - 1) * s.y_row + (size_t)s.columns;
    n_sums = (size_t)(s.of.rows - 1) * s.of.log_sum_row + 1;
    s.of.scale = 3;
    s.y = take_values(n_y), s.dy = take_values(n_y), s.of.log_sum = take_values(n_sums);
    for (size_t i = 0; i < n_sums; i++) s.of.log_sum[i] += 6; /* probabilities are below exp(2) */
    t = s;
    s.of.scores = take_values(size), s.dp = take_values(size);
    t.of.scores = take_copy(s.of.scores, size), t.dp = take_copy(s.dp, size);
    c->reference->softmax_backward(&s);
    c->tested->softmax_backward(&t);
    /* dp - dy y cancels: what is left of the error of a sum of 70 products, times scale p */
    return agree(c, "p", s.of.scores, t.of.scores, size, 3e-7, 0) && agree(c, "ds", s.dp, t.dp, size, 1e-6, 3e-4) &&
           (draw(16) || sweep_exp(c));
}

/* What attend must equal, bit for bit: products and softmax of one head's queries. */
static void attend_by_parts(const mote_kernels *k, const mote_attend *a, int head, mote_real *y) {
    int width = (a->high + MOTE_PANEL - 1) / MOTE_PANEL * MOTE_PANEL, n = a->columns;
    size_t first = (size_t)head * (size_t)a->group * (size_t)n;
    mote_gemm scores = {
        .rows = a->group, .columns = width, .depth = n, .a = a->q + first, .a_row = (size_t)n, .a_depth = 1,
        .b = a->keys + (size_t)head * a->keys_head, .b_panel = (size_t)n * MOTE_PANEL, .b_depth = MOTE_PANEL,
        .b_padded = true, .c = a->scores, .c_row = (size_t)width,
    };
    k->gemm[MOTE_TYPE_F32](&scores);
    k->softmax(&(mote_softmax){.scores = a->scores, .scores_row = (size_t)width, .rows = a->group, .width = width,
                               .low = a->low, .high = a->high, .scale = a->scale});
    mote_gemm sums = {
        .rows = a->group, .columns = n, .depth = a->high, .a = a->scores, .a_row = (size_t)width, .a_depth = 1,
        .b = a->values + (size_t)head * a->values_head, .b_panel = MOTE_PANEL, .b_depth = a->value_row,
        .b_padded = true, .c = y + first, .c_row = (size_t)n,
    };
    k->gemm[MOTE_TYPE_F32](&sums);
}

static bool check_attend(check *c) {
    static const int sizes[] = {8, 16, 32, 48, 64, 96, 128};
    mote_attend a = {.heads = 1 + (int)draw(10), .group = 1 + (int)draw(draw(2) ? 4 : 11), .scale = (mote_real)0.2};
    a.columns = draw(3) ? sizes[draw(7)] : 1 + (int)draw(70);
    a.high = draw(4) ? 1 + (int)draw(70) : 1 + (int)draw(400);
    a.low = draw(3) ? 0 : (int)draw((uint32_t)(a.high < MOTE_PANEL ? a.high : MOTE_PANEL));
    size_t n = (size_t)a.columns, panels = (size_t)(a.high + MOTE_PANEL - 1) / MOTE_PANEL, heads = (size_t)a.heads,
           size = heads * (size_t)a.group * n;
    a.value_row = (n + MOTE_PANEL - 1) / MOTE_PANEL * MOTE_PANEL;
    a.keys_head = panels * MOTE_PANEL * n + draw(40);
    a.values_head = (size_t)a.high * a.value_row + draw(40);
    a.q = take_values(size);
    a.keys = take_values((heads - 1) * a.keys_head + panels * MOTE_PANEL * n);
    a.values = take_values((heads - 1) * a.values_head + (size_t)a.high * a.value_row);
    a.scores = take_values((size_t)(a.group > MOTE_ATTEND_ROWS ? a.group : MOTE_ATTEND_ROWS) * panels * MOTE_PANEL);
    a.y = take_values(size);
    mote_real *expected = take_values(size);
    mote_attend reference = a;
    reference.y = expected;
    c->reference->attend(&reference);
    c->tested->attend(&a);
    if (!agree(c, "y", expected, a.y, size, 2e-5, 1e-5)) return false;
    for (int head = 0; head < a.heads; head++) attend_by_parts(c->tested, &a, head, expected);
    return agree(c, "y, by parts", expected, a.y, size, 0, 0);
}

/* ---- attention over bf16 */

static uint32_t *take_pairs(size_t n) {
    uint32_t *pairs = take(n * sizeof *pairs);
    for (size_t i = 0; i < n; i++)
        pairs[i] = mote_f32_to_bf16((float)draw_value()) | (uint32_t)mote_f32_to_bf16((float)draw_value()) << 16;
    return pairs;
}
static int draw_head(void) { return draw(3) ? 1 + (int)draw(70) : 16 * (1 + (int)draw(9)); }

static bool check_bf16_store(check *c) {
    int n = draw_head(), position = (int)draw(40), rows = 1 + (int)draw(draw(2) ? 3 : 50);
    size_t panels = (size_t)(position + rows + 15) / 16, keys = panels * 16 * (size_t)((n + 1) / 2),
           values = panels * 8 * (size_t)(n + 15) / 16 * 16;
    mote_bf16_store s = {.k_row = (size_t)n + draw(5), .v_row = (size_t)n + draw(5), .rows = rows,
                         .position = position, .head_dim = n}, t;
    mote_real *k = take_values((size_t)(rows - 1) * s.k_row + (size_t)n),
              *v = take_values((size_t)(rows - 1) * s.v_row + (size_t)n);
    if (!draw(4)) k[0] = (mote_real)(draw(2) ? NAN : INFINITY), v[0] = (mote_real)(draw(2) ? NAN : -INFINITY);
    s.k = k, s.v = v;
    t = s;
    s.keys = take_pairs(keys), s.values = take_pairs(values);
    t.keys = take(keys * sizeof *t.keys), t.values = take(values * sizeof *t.values);
    memcpy(t.keys, s.keys, keys * sizeof *t.keys);
    memcpy(t.values, s.values, values * sizeof *t.values);
    c->reference->bf16_store(&s);
    c->tested->bf16_store(&t);
    if (!memcmp(s.keys, t.keys, keys * sizeof *t.keys) && !memcmp(s.values, t.values, values * sizeof *t.values))
        return true;
    snprintf(c->problem, sizeof c->problem, "%d rows of %d from %d on differ", rows, n, position);
    return false;
}

/* NaNs have many bits, and their distance from each other is none. */
static void name_nans(mote_real *y, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (y[i] != y[i]) y[i] = 1000;
}

/* A tile of queries: causal, in a window or of several heads that share their keys. An exponential on the edge between
 * two roundings may go either way, which moves a sum by 2^-8 of its share. */
static bool check_bf16_attend(check *c) {
    int n = draw_head();
    mote_bf16_attend a = {.rows = 1 + (int)draw(draw(2) ? 4 : 60), .head_dim = n, .step = (int)draw(2)};
    a.high = 1 + (int)draw(draw(2) ? 40 : 600);
    a.low = draw(2) ? -(int)draw(30) - a.rows : a.high - 1 - (int)draw((uint32_t)a.high + 5);
    a.q_row = (size_t)n + draw(5);
    a.y_row = (size_t)n + draw(5);
    a.scale = (mote_real)(draw(2) ? 0.125 : 1);
    int last = a.high + (a.rows - 1) * a.step;
    size_t panels = (size_t)(last + 15) / 16, n_q = (size_t)(a.rows - 1) * a.q_row + (size_t)n,
           n_y = (size_t)(a.rows - 1) * a.y_row + (size_t)n;
    uint32_t *keys = take_pairs(panels * 16 * (size_t)((n + 1) / 2)),
             *values = take_pairs(panels * 8 * (size_t)((n + 15) / 16 * 16));
    if (n % 2) /* the last pair of a head has a zero */
        for (size_t p = 0; p < panels; p++)
            for (size_t i = 0; i < 16; i++) keys[(p * (size_t)(n / 2 + 1) + (size_t)(n / 2)) * 16 + i] &= 0xffff;
    if (last % 2)
        for (size_t i = 0; i < (size_t)((n + 15) / 16 * 16); i++)
            values[(size_t)(last / 2) * (size_t)((n + 15) / 16 * 16) + i] &= 0xffff;
    if (!draw(4)) { /* only rows that see its position may notice */
        const uint32_t at = draw((uint32_t)last);
        values[(size_t)(at / 2) * (size_t)((n + 15) / 16 * 16) + draw((uint32_t)n)] |= at % 2 ? 0x7fc00000u : 0x7fc0u;
    }
    a.keys = keys, a.values = values;
    a.q = take_values(n_q);
    a.scratch = take(mote_bf16_attend_bytes(n, last));
    mote_bf16_attend b = a, alone = a;
    a.y = take_values(n_y);
    b.y = take_copy(a.y, n_y);
    c->reference->bf16_attend(&a);
    c->tested->bf16_attend(&b);
    name_nans(a.y, n_y);
    name_nans(b.y, n_y);
    if (!agree(c, "y", a.y, b.y, n_y, 0, c->scalar ? 0 : 4e-3)) return false;
    double apart = 0;
    for (size_t i = 0; i < n_y; i++) apart += fabs((double)a.y[i] - (double)b.y[i]);
    if (!agree_one(c, "mean difference", 0, apart / (double)n_y, 0, 2e-4)) return false;
    int r = (int)draw((uint32_t)a.rows);
    alone.rows = 1;
    alone.low += r * a.step;
    alone.high += r * a.step;
    alone.q += (size_t)r * a.q_row;
    alone.y = take_values((size_t)n);
    c->tested->bf16_attend(&alone);
    name_nans(alone.y, (size_t)n);
    return agree(c, "a row alone", b.y + (size_t)r * b.y_row, alone.y, (size_t)n, 0, 0);
}
