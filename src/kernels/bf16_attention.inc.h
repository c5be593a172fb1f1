/* Attention over keys and values in bf16, over the words of a vector_*.h and of the including file. 12 queries go
 * through three passes while their scores lie in L1 and L2: scores, exponentials, sums of values; the 1 / sum comes
 * last. Scores and sums are one kind of tile, rows x panels of sums in registers over a depth of pairs, and every
 * output is one ascending chain, so that a row has the same bits in any tile and a key it does not see adds 0.
 *
 * Words of the including file: `vw`, VECTOR pairs; `vpair`, what v_dot2(sum, a, b) = sum + a.first b.first + a.second
 * b.second multiplies; v_pairs and v_pair load and spread those; v_halves rounds 2 VECTOR neighbours to VECTOR pairs,
 * v_beside two vectors to the pairs of their lanes. */

enum {
    PANEL_VECTORS = MOTE_PANEL / VECTOR,
    MOST_PANELS = 8,
    MOST_VECTORS = MOST_PANELS * PANEL_VECTORS,
};
_Static_assert((int)MOTE_BF16_ATTEND_KEYS >= 2 * VECTOR, "keys are taken by two vectors");

static const float log2_of_e = 1.44269504088896341f;

/* 2^t for t <= 0 and a little above: a polynomial of degree 5 for the fraction, fitted to a relative error of 7e-8. */
INLINE vf exp2_of(vf t) {
    vf n = v_round(t), f = v_sub(t, n);
    vf p = v_fma(v_set(1.3276472026e-03f), f, v_set(9.6755414798e-03f));
    p = v_fma(p, f, v_set(5.5507132747e-02f));
    p = v_fma(p, f, v_set(2.4022119721e-01f));
    p = v_fma(p, f, v_set(6.9314696706e-01f));
    p = v_fma(p, f, v_set(1));
    return v_choose_less(t, v_set(-126), v_set(0), v_scale_exponent(p, n));
}

/* The next 2 VECTOR of n values in pairs, zeros after them. */
INLINE vw v_values(const float *x, int n) {
    if (n >= 2 * VECTOR) return v_halves(v_load(x, VECTOR), v_load(x + VECTOR, VECTOR));
    if (n > VECTOR) return v_halves(v_load(x, VECTOR), v_load(x + VECTOR, n - VECTOR));
    return v_halves(v_load(x, n), v_set(0));
}

/* ---- tiles */

/* c[rows, columns] = a b, times scale[row] if there is one. Pair k of column n is b[n / 16 * b_panel + k * b_depth +
 * n % 16]. */
typedef struct {
    int depth, columns; /* columns: of c that exist */
    const uint32_t *a, *b;
    size_t a_row, b_panel, b_depth;
    float *c;
    size_t c_row;
    const float *scale;
} tile;

/* rows and vectors are constants after inlining, so that sums are registers. */
INLINE void tile_body(const tile *t, int rows, int vectors) {
    vf sum[MOTE_BF16_ATTEND_ROWS][MOST_VECTORS];
    UNROLL_BY(16)
    for (int r = 0; r < rows; r++) {
        UNROLL_BY(32)
        for (int v = 0; v < vectors; v++) sum[r][v] = v_set(0);
    }
    const uint32_t *b = t->b;
    const uint32_t *group[(MOTE_BF16_ATTEND_ROWS + 2) / 3];
    UNROLL_BY(16)
    for (int r = 0; r < rows; r += 3) group[r / 3] = t->a + (size_t)r * t->a_row;
    const size_t a_row = t->a_row, b_depth = t->b_depth, b_panel = t->b_panel;
    for (int k = t->depth; k > 0; k--, b += b_depth) {
        if (rows <= 2) { /* few rows: more vectors of b than registers */
            vpair x[2];
            UNROLL_BY(2)
            for (int r = 0; r < rows; r++) x[r] = v_pair(group[0] + (size_t)r * a_row);
            UNROLL_BY(32)
            for (int v = 0; v < vectors; v++) {
                vpair y = v_pairs(b + (size_t)(v / PANEL_VECTORS) * b_panel + v % PANEL_VECTORS * VECTOR);
                UNROLL_BY(2)
                for (int r = 0; r < rows; r++) sum[r][v] = v_dot2(sum[r][v], x[r], y);
            }
        } else {
            vpair y[MOST_VECTORS];
            UNROLL_BY(32)
            for (int v = 0; v < vectors; v++)
                y[v] = v_pairs(b + (size_t)(v / PANEL_VECTORS) * b_panel + v % PANEL_VECTORS * VECTOR);
            UNROLL_BY(16)
            for (int r = 0; r < rows; r++) {
                vpair x = v_pair(group[r / 3] + (size_t)(r % 3) * a_row);
                UNROLL_BY(32)
                for (int v = 0; v < vectors; v++) sum[r][v] = v_dot2(sum[r][v], x, y[v]);
            }
        }
        UNROLL_BY(16)
        for (int g = 0; g < (rows + 2) / 3; g++) group[g]++;
    }
    const bool whole = t->columns >= vectors * VECTOR;
    UNROLL_BY(16)
    for (int r = 0; r < rows; r++) {
        const vf scale = v_set(t->scale ? t->scale[r] : 1);
        UNROLL_BY(32)
        for (int v = 0; v < vectors; v++) {
            float *c = t->c + (size_t)r * t->c_row + v * VECTOR;
            const int left = t->columns - v * VECTOR;
            if (whole || left >= VECTOR) v_store(c, v_mul(sum[r][v], scale), VECTOR);
            else if (left > 0) v_store(c, v_mul(sum[r][v], scale), left);
        }
    }
}

#define DEFINE_TILE(rows, panels)                                                                                      \
    static void tile_##rows##_##panels(const tile *t) { tile_body(t, rows, panels * PANEL_VECTORS); }
#define TILE_ENTRY(rows, panels) [rows][panels] = tile_##rows##_##panels,
ATTEND_TILES(DEFINE_TILE)
typedef void (*tile_function)(const tile *t);
static const tile_function tiles[MOTE_BF16_ATTEND_ROWS + 1][MOST_PANELS + 1] = {ATTEND_TILES(TILE_ENTRY)};

/* The product of at most MOTE_BF16_ATTEND_ROWS rows: strips of at most `widest` panels, in tiles of rows of nearly
 * equal height. */
static void product(const tile *all, int rows, int widest) {
    static const int most_rows[MOST_PANELS + 1] = ATTEND_MOST_ROWS;
    const int panels = (all->columns + MOTE_PANEL - 1) / MOTE_PANEL, strips = (panels + widest - 1) / widest;
    for (int i = 0; i < strips; i++) {
        const int panel = panels * i / strips, width = panels * (i + 1) / strips - panel;
        const int n_tiles = (rows + most_rows[width] - 1) / most_rows[width];
        tile t = *all;
        t.b += (size_t)panel * all->b_panel;
        t.columns -= panel * MOTE_PANEL;
        for (int j = 0; j < n_tiles; j++) {
            const int row = rows * j / n_tiles, height = rows * (j + 1) / n_tiles - row;
            t.a = all->a + (size_t)row * all->a_row;
            t.c = all->c + (size_t)row * all->c_row + panel * MOTE_PANEL;
            t.scale = all->scale ? all->scale + row : NULL;
            tiles[height][width](&t);
        }
    }
}

/* ---- the passes */

INLINE vf lanes_from(int first) {
    static const float lane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return v_add(v_load(lane, VECTOR), v_set((float)first));
}
/* x in the lanes low <= first + lane < high, else `other`. */
INLINE vf between(vf x, int first, int low, int high, float other) {
    vf at = lanes_from(first), else_ = v_set(other);
    return v_choose_less(at, v_set((float)low), else_, v_choose_less(at, v_set((float)high), x, else_));
}

/* The largest of the scores low <= i < high, times the factor. */
INLINE float largest_of(const float *score, vf factor, int low, int high) {
    vf most = v_set(-INFINITY);
    for (int i = low / VECTOR * VECTOR; i < high; i += VECTOR) {
        vf x = v_mul(factor, v_load(score + i, VECTOR));
        if (i < low || i + VECTOR > high) x = between(x, i, low, high, -INFINITY);
        most = v_max(most, x);
    }
    return v_largest(most);
}

/* Scores 0 <= i < end, a multiple of 32, to exponentials in pairs, zeros but for low <= i < high; their sum. */
INLINE float exponentials_of(const float *score, vf factor, float largest, int low, int high, int end,
                             uint32_t *pairs) {
    const vf shift = v_set(-largest);
    vf even = v_set(0), odd = v_set(0);
    for (int i = 0; i < end; i += 2 * VECTOR, pairs += VECTOR) {
        vf x = v_set(0), y = v_set(0);
        if (i + 2 * VECTOR > low && i < high) {
            x = exp2_of(v_fma(factor, v_load(score + i, VECTOR), shift));
            y = exp2_of(v_fma(factor, v_load(score + i + VECTOR, VECTOR), shift));
            if (i < low || i + 2 * VECTOR > high) {
                x = between(x, i, low, high, 0);
                y = between(y, i + VECTOR, low, high, 0);
            }
            even = v_add(even, x);
            odd = v_add(odd, y);
        }
        v_store_pairs(pairs, v_halves(x, y));
    }
    return v_sum(v_add(even, odd));
}

INLINE bool all_finite(const float *y, int n) {
    vf zeros = v_set(0);
    for (int i = 0; i < n; i += VECTOR)
        zeros = v_fma(v_load(y + i, n - i < VECTOR ? n - i : VECTOR), v_set(0), zeros);
    return v_sum(zeros) == 0;
}

/* The sums of `all` again, each row over the keys low <= i < high that it sees and no other: 0 times an infinite value
 * of a key that is hidden from it is not 0. Zeros left out of a chain, or put in, do not change its bits. `values`:
 * memory for a panel of them. */
static __attribute__((noinline)) void sum_apart(const tile *all, int rows, int low, int high, int step,
                                                uint32_t *values) {
    for (int r = 0; r < rows; r++, low += step, high += step) {
        const int begin = low > 0 ? low : 0, first = begin / 2, end = (high + 1) / 2;
        for (int column = 0; column < all->columns; column += MOTE_PANEL) {
            for (int k = first; k < end; k++) {
                const uint32_t seen = (2 * k >= begin ? 0xffffu : 0) | (2 * k + 1 < high ? 0xffff0000u : 0),
                               *from = all->b + (size_t)k * all->b_depth + column;
                for (int i = 0; i < MOTE_PANEL; i++) values[(k - first) * MOTE_PANEL + i] = from[i] & seen;
            }
            const tile t = {.depth = end - first, .columns = all->columns - column,
                            .a = all->a + (size_t)r * all->a_row + first, .b = values, .b_depth = MOTE_PANEL,
                            .c = all->c + (size_t)r * all->c_row + column, .scale = all->scale + r};
            tiles[1][1](&t);
        }
    }
}

/* Rows [from, from + rows) of a, at most MOTE_BF16_ATTEND_ROWS. Positions below count from `first` on. */
static void attend_group(const mote_bf16_attend *a, int from, int rows) {
    const int n = a->head_dim, depth = (n + 1) / 2;
    const size_t pairs = (size_t)(n + 2 * MOTE_PANEL - 1) / (2 * MOTE_PANEL) * MOTE_PANEL,
                 width = (size_t)(n + MOTE_PANEL - 1) / MOTE_PANEL * MOTE_PANEL;
    int low = a->low + from * a->step, high = a->high + from * a->step;
    const int first = (low > 0 ? low : 0) / MOTE_BF16_ATTEND_KEYS * MOTE_BF16_ATTEND_KEYS;
    low -= first;
    high -= first;
    const int last = high + (rows - 1) * a->step,
              end = (last + MOTE_BF16_ATTEND_KEYS - 1) / MOTE_BF16_ATTEND_KEYS * MOTE_BF16_ATTEND_KEYS;
    float *scores = a->scratch, inverse[MOTE_BF16_ATTEND_ROWS], largest[MOTE_BF16_ATTEND_ROWS];
    uint32_t *p = (uint32_t *)(void *)(scores + MOTE_BF16_ATTEND_ROWS * (size_t)end),
             *q = p + MOTE_BF16_ATTEND_ROWS * (size_t)(end / 2);
    for (int r = 0; r < rows; r++) {
        const float *x = a->q + (size_t)(from + r) * a->q_row;
        for (int i = 0; i < n; i += 2 * VECTOR) {
            v_store_pairs(q + (size_t)r * pairs + i / 2, v_values(x + i, n - i));
        }
    }
    const tile score = {.depth = depth,
                        .columns = (last + MOTE_PANEL - 1) / MOTE_PANEL * MOTE_PANEL,
                        .a = q,
                        .a_row = pairs,
                        .b = a->keys + (size_t)first * (size_t)depth,
                        .b_panel = (size_t)depth * MOTE_PANEL,
                        .b_depth = MOTE_PANEL,
                        .c = scores,
                        .c_row = (size_t)end};
    product(&score, rows, rows <= 2 ? ATTEND_WIDEST_FEW : ATTEND_WIDEST_SCORES);
    const vf factor = v_set(a->scale * log2_of_e);
    for (int r = 0; r < rows; r++) {
        const int l = low + r * a->step > 0 ? low + r * a->step : 0;
        largest[r] = largest_of(scores + (size_t)r * (size_t)end, factor, l, high + r * a->step);
    }
    for (int r = 0; r < rows; r++) {
        const int l = low + r * a->step > 0 ? low + r * a->step : 0;
        inverse[r] = 1 / exponentials_of(scores + (size_t)r * (size_t)end, factor, largest[r], l, high + r * a->step,
                                         end, p + (size_t)r * (size_t)(end / 2));
    }
    const tile sums = {.depth = (last + 1) / 2, .columns = n, .a = p, .a_row = (size_t)(end / 2),
                       .b = a->values + (size_t)(first / 2) * width, .b_panel = MOTE_PANEL, .b_depth = width,
                       .c = a->y + (size_t)from * a->y_row, .c_row = a->y_row, .scale = inverse};
    product(&sums, rows, rows <= 2 ? ATTEND_WIDEST_FEW : ATTEND_WIDEST_SUMS);
    /* Row 0 has a factor, be it 0, for every key: what is not finite shows in it. The scores are done with. */
    if (!all_finite(sums.c, n)) sum_apart(&sums, rows, low, high, a->step, (uint32_t *)(void *)scores);
}

static void attend(const mote_bf16_attend *a) {
    const int groups = (a->rows + MOTE_BF16_ATTEND_ROWS - 1) / MOTE_BF16_ATTEND_ROWS;
    for (int i = 0, from = 0; i < groups; i++) {
        const int next = a->rows * (i + 1) / groups;
        attend_group(a, from, next - from);
        from = next;
    }
}

/* ---- storing */

/* `rows` keys, neighbours in one panel from column `column` on. */
static void store_keys(const float *k, size_t k_row, int rows, int column, int n, uint32_t *panel) {
    const int pairs = (n + 1) / 2;
    for (int i = 0; i < pairs; i += VECTOR) {
        const int count = pairs - i < VECTOR ? pairs - i : VECTOR;
        for (int from = 0; from < rows; from += VECTOR) {
            vf square[VECTOR];
            UNROLL_BY(16)
            for (int r = 0; r < VECTOR; r++) {
                square[r] = from + r < rows ? v_as_floats(v_values(k + (size_t)(from + r) * k_row + 2 * i, n - 2 * i))
                                            : v_set(0);
            }
            v_transpose(square);
            const int present = rows - from < VECTOR ? rows - from : VECTOR;
            for (int j = 0; j < count; j++) {
                uint32_t lane[VECTOR], *to = panel + (size_t)(i + j) * MOTE_PANEL + column + from;
                if (present == VECTOR) {
                    v_store_pairs(to, v_as_pairs(square[j]));
                } else {
                    v_store_pairs(lane, v_as_pairs(square[j]));
                    for (int r = 0; r < present; r++) to[r] = lane[r];
                }
            }
        }
    }
}

static void store(const mote_bf16_store *s) {
    const int n = s->head_dim;
    const size_t width = (size_t)(n + MOTE_PANEL - 1) / MOTE_PANEL * MOTE_PANEL;
    for (int r = 0, rows; r < s->rows; r += rows) {
        const int column = (s->position + r) % MOTE_PANEL;
        rows = s->rows - r < MOTE_PANEL - column ? s->rows - r : MOTE_PANEL - column;
        store_keys(s->k + (size_t)r * s->k_row, s->k_row, rows, column, n,
                   s->keys + (size_t)((s->position + r) / MOTE_PANEL * ((n + 1) / 2)) * MOTE_PANEL);
    }
    for (int r = 0; r < s->rows;) {
        const int position = s->position + r;
        const bool both = position % 2 == 0 && r + 1 < s->rows;
        const float *v = s->v + (size_t)r * s->v_row, *next = both ? v + s->v_row : v;
        uint32_t *to = s->values + (size_t)(position / 2) * width;
        if (position % 2) {
            for (int i = 0; i < n; i++) to[i] = (to[i] & 0xffff) | (uint32_t)mote_f32_to_bf16(v[i]) << 16;
        } else if (!both) {
            for (int i = 0; i < n; i++) to[i] = mote_f32_to_bf16(v[i]);
        } else {
            int i = 0;
            for (; i + VECTOR <= n; i += VECTOR)
                v_store_pairs(to + i, v_beside(v_load(v + i, VECTOR), v_load(next + i, VECTOR)));
            for (; i < n; i++) to[i] = mote_f32_to_bf16(v[i]) | (uint32_t)mote_f32_to_bf16(next[i]) << 16;
        }
        r += both ? 2 : 1;
    }
}

static void fill_attention(mote_kernels *table) {
    table->bf16_store = store;
    table->bf16_attend = attend;
}
