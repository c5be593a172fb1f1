/* Attention of one position over the words of a vector_*.h and the softmax of rows.inc.h. Each output is what gemm
 * makes of it: a chain over the columns for each score, a chain over the keys for each column of the sum. Heads go side
 * by side so that MOST_CHAINS chains are in flight, since each addition waits 4 cycles for the one before: 8 heads of 8
 * columns are one tile. */
#include "kernels/attend.h"
#include "kernels/unroll.h"

enum {
    PANEL_VECTORS = MOTE_PANEL / VECTOR,
    MOST_CHAINS = 8,
    SCORE_TILE = VECTOR == 16 ? 8 : 4, /* rows times panels */
    VALUES_BYTES = 16 << 10, /* half an L1: values at a time, where queries of a head read them one after the other */
};

/* Tiles: rows times panels of keys; heads times rows of each times vectors of columns. */
#define SCORE_TILES(X) X(4, 2) X(4, 1) X(2, 4) X(2, 2) X(2, 1) X(1, 8) X(1, 4) X(1, 2) X(1, 1)
#define VALUE_TILES(X) \
    X(8, 1, 1) X(4, 2, 1) X(4, 1, 1) X(2, 4, 1) X(2, 2, 1) X(2, 1, 1) X(1, 8, 1) X(1, 4, 1) X(1, 2, 1) X(1, 1, 1) \
    X(4, 1, 2) X(2, 2, 2) X(2, 1, 2) X(1, 4, 2) X(1, 2, 2) X(1, 1, 2) X(2, 1, 4) X(1, 2, 4) X(1, 1, 4) X(1, 1, 8)

INLINE void score_body(const mote_attend_tile *t, const float *keys, int row, int panel, int rows, int panels) {
    const int vectors = panels * PANEL_VECTORS, columns = t->a->columns;
    const size_t q_row = (size_t)columns, b_panel = (size_t)columns * MOTE_PANEL;
    const float *q = t->q + (size_t)row * q_row, *key = keys + (size_t)panel * b_panel;
    vf sum[MOST_CHAINS / 2][MOST_CHAINS * PANEL_VECTORS];
    UNROLL_BY(16)
    for (int r = 0; r < rows; r++) {
        UNROLL_BY(16)
        for (int v = 0; v < vectors; v++) sum[r][v] = v_set(0);
    }
    for (int k = 0; k < columns; k++, key += MOTE_PANEL) {
        vf weights[MOST_CHAINS * PANEL_VECTORS];
        UNROLL_BY(16)
        for (int v = 0; v < vectors; v++)
            weights[v] = v_load(key + (size_t)(v / PANEL_VECTORS) * b_panel + v % PANEL_VECTORS * VECTOR, VECTOR);
        UNROLL_BY(16)
        for (int r = 0; r < rows; r++) {
            vf x = v_set(q[(size_t)r * q_row + (size_t)k]);
            UNROLL_BY(16)
            for (int v = 0; v < vectors; v++) sum[r][v] = v_fma(x, weights[v], sum[r][v]);
        }
    }
    float *to = t->scores + (size_t)row * t->width + (size_t)panel * MOTE_PANEL;
    UNROLL_BY(16)
    for (int r = 0; r < rows; r++) {
        UNROLL_BY(16)
        for (int v = 0; v < vectors; v++) v_store(to + (size_t)r * t->width + v * VECTOR, sum[r][v], VECTOR);
    }
}

/* Keys [from, to) of all rows of some heads, or some of one head, from column `column` on. Values beyond the last
 * column are read, as rows are whole panels, and not stored. */
INLINE void value_body(const mote_attend_tile *t, int row, int column, int from, int to, int heads, int group,
                       int vectors) {
    const int columns = t->a->columns, last = columns - column - (vectors - 1) * VECTOR, rows = heads * group;
    const size_t y_row = (size_t)columns, p_row = t->width, values_head = t->a->values_head;
    const size_t value_row = t->a->value_row;
    float *y = t->y + (size_t)row * y_row + column;
    vf sum[MOST_CHAINS][MOST_CHAINS];
    /* of every third row or head: two more are reached from there by an index register scaled by 1 and 2 */
    const float *p[(MOST_CHAINS + 2) / 3], *values[(MOST_CHAINS + 2) / 3];
    UNROLL_BY(16)
    for (int h = 0; h < heads; h += 3)
        values[h / 3] = t->values + (size_t)(row / t->group + h) * values_head + (size_t)from * value_row + column;
    UNROLL_BY(16)
    for (int r = 0; r < rows; r++) {
        if (r % 3 == 0) p[r / 3] = t->scores + (size_t)(row + r) * p_row + from;
        UNROLL_BY(16)
        for (int v = 0; v < vectors; v++)
            sum[r][v] = from > t->a->low ? v_load(y + (size_t)r * y_row + v * VECTOR, v < vectors - 1 ? VECTOR : last)
                                         : v_set(0);
    }
    for (int k = to - from; k > 0; k--) {
        UNROLL_BY(16)
        for (int h = 0; h < heads; h++) {
            vf value[MOST_CHAINS];
            UNROLL_BY(16)
            for (int v = 0; v < vectors; v++)
                value[v] = v_load(values[h / 3] + (size_t)(h % 3) * values_head + v * VECTOR, VECTOR);
            UNROLL_BY(16)
            for (int v = 0; v < vectors && group > 1; v++) value[v] = v_hold(value[v]);
            UNROLL_BY(16)
            for (int r = h * group; r < (h + 1) * group; r++) {
                vf x = v_set(p[r / 3][(size_t)(r % 3) * p_row]);
                UNROLL_BY(16)
                for (int v = 0; v < vectors; v++) sum[r][v] = v_fma(x, value[v], sum[r][v]);
            }
        }
        UNROLL_BY(16)
        for (int i = 0; i < (rows + 2) / 3; i++) p[i]++;
        UNROLL_BY(16)
        for (int i = 0; i < (heads + 2) / 3; i++) values[i] += value_row;
    }
    UNROLL_BY(16)
    for (int r = 0; r < rows; r++) {
        UNROLL_BY(16)
        for (int v = 0; v < vectors; v++)
            v_store(y + (size_t)r * y_row + v * VECTOR, sum[r][v], v < vectors - 1 ? VECTOR : last);
    }
}

#define DEFINE_SCORE(rows, panels)                                                                                     \
    static void score_##rows##_##panels(const mote_attend_tile *t, const float *keys, int row, int panel) {            \
        score_body(t, keys, row, panel, rows, panels);                                                                 \
    }
#define DEFINE_VALUE(heads, group, vectors)                                                                            \
    static void value_##heads##_##group##_##vectors(const mote_attend_tile *t, int row, int column, int from,          \
                                                    int to) {                                                          \
        value_body(t, row, column, from, to, heads, group, vectors);                                                   \
    }
SCORE_TILES(DEFINE_SCORE)
VALUE_TILES(DEFINE_VALUE)

#define SCORE_ENTRY(rows, panels) [rows][panels] = score_##rows##_##panels,
#define VALUE_ENTRY(heads, group, vectors) [heads][group][vectors] = value_##heads##_##group##_##vectors,
static void (*const score_tiles[5][9])(const mote_attend_tile *, const float *, int, int) = {SCORE_TILES(SCORE_ENTRY)};
static void (*const value_tiles[9][9][9])(const mote_attend_tile *, int, int, int, int) = {VALUE_TILES(VALUE_ENTRY)};

/* The largest power of two that is no more than either. */
INLINE int piece(int left, int most) {
    int n = 8;
    while (n > left || n > most) n /= 2;
    return n;
}

/* Scores of the queries of one head: rows [row, end). Panels outside, so that they are in L1 for all of the queries. */
static void score_head(const mote_attend_tile *t, const float *keys, int row, int end) {
    int panels = (int)(t->width / MOTE_PANEL), widest = SCORE_TILE / piece(end - row, 4);
    for (int panel = 0, n; panel < panels; panel += n) {
        n = piece(panels - panel, widest);
        for (int r = row, rows; r < end; r += rows) {
            rows = piece(end - r, SCORE_TILE / n < 4 ? SCORE_TILE / n : 4);
            score_tiles[rows][n](t, keys, r, panel);
        }
    }
}

/* Columns from vector v on, n vectors of them. */
static void sum_columns(const mote_attend_tile *t, int v, int n, int from, int to) {
    int most = MOST_CHAINS / n, group = piece(t->group, most), heads_most = group == t->group ? most / group : 1;
    for (int head = 0, heads; head < t->heads; head += heads) {
        heads = piece(t->heads - head, heads_most);
        for (int i = 0, rows; i < t->group; i += rows) {
            rows = piece(t->group - i, group);
            value_tiles[heads][rows][n](t, head * t->group + i, v * VECTOR, from, to);
        }
    }
}

static void sum_values(const mote_attend_tile *t) {
    const mote_attend *a = t->a;
    int vectors = (a->columns + VECTOR - 1) / VECTOR, step = a->high - a->low;
    if (a->group * vectors > MOST_CHAINS) step = VALUES_BYTES / (int)(a->value_row * sizeof(float)) + 1;
    for (int from = a->low; from < a->high; from += step) {
        int to = a->high - from < step ? a->high : from + step;
        for (int v = 0, n; v < vectors; v += n) {
            n = piece(vectors - v, MOST_CHAINS);
            sum_columns(t, v, n, from, to);
        }
    }
}

/* Who sums up the values, where vectors half as wide may do better. */
#ifndef ATTEND_VALUES
#define ATTEND_VALUES sum_values
#endif

/* Whole heads at a time where they fit, else part of one head's queries. */
static void attend(const mote_attend *a) {
    int heads_at_once = a->group < MOTE_ATTEND_ROWS ? MOTE_ATTEND_ROWS / a->group : 1;
    int most = a->group < MOTE_ATTEND_ROWS ? a->group : MOTE_ATTEND_ROWS;
    mote_attend_tile t = {.a = a, .scores = a->scores,
                     .width = (size_t)((a->high + MOTE_PANEL - 1) / MOTE_PANEL * MOTE_PANEL)};
    for (int head = 0; head < a->heads; head += heads_at_once) {
        int heads = a->heads - head < heads_at_once ? a->heads - head : heads_at_once;
        for (int first = 0, n; first < a->group; first += n) {
            size_t at = ((size_t)head * (size_t)a->group + (size_t)first) * (size_t)a->columns;
            n = a->group - first < most ? a->group - first : most;
            t.q = a->q + at;
            t.y = a->y + at;
            t.values = a->values + (size_t)head * a->values_head;
            t.heads = heads, t.group = n;
            for (int h = 0; h < heads; h++)
                score_head(&t, a->keys + (size_t)(head + h) * a->keys_head, h * n, (h + 1) * n);
            softmax(&(mote_softmax){.scores = a->scores, .scores_row = t.width, .rows = heads * n, .width = a->high,
                                    .low = a->low, .high = a->high, .scale = a->scale});
            ATTEND_VALUES(&t);
        }
    }
}
