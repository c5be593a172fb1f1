/* Rounds the rows of one matrix to a type, by any method, on all threads, and measures what that lost. A row comes out
 * the same whichever thread takes it, and the sums are added in the order of the tiles. */
#include <math.h>
#include <string.h>

#include "compress/compress.h"
#include "kernels/kernels.h"

enum { TILE = MOTE_GPTQ_ROWS };

typedef struct {
    double squared_error, squared_values, weighted_error;
    int misfit;
} tile_sums;

typedef struct {
    mote_rounding *k;
    atomic_int next;
    mote_real *room; /* by thread: gptq's */
    size_t room_values;
    float *rows; /* by thread: two rows */
    tile_sums *sums;
    int n_tiles;
} work;

static bool fits(mote_type type, const float *values, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(values[i])) return false;
        if (type == MOTE_TYPE_F16 && fabsf(values[i]) >= 65520) return false; /* rounds to infinity */
    }
    return mote_type_is_float(type) || mote_values_fit(type, values, n);
}

static void round_row(const mote_rounding *k, const float *values, char *row) {
    const mote_type_info *info = mote_type_get(k->type);
    const size_t cols = (size_t)k->cols;
    if (k->method == MOTE_QUANTIZE_RTN || !info->quantize) info->from_f32(values, row, cols);
    else info->quantize(values, k->importance, row, cols); /* gptq: for a scale of the whole row */
}

static void measure_row(const mote_rounding *k, const float *values, const float *rounded, tile_sums *s) {
    for (int i = 0; i < k->cols; i++) {
        const double difference = (double)values[i] - (double)rounded[i], square = difference * difference;
        s->squared_error += square;
        s->weighted_error += k->importance ? square * (double)k->importance[i] : square;
        s->squared_values += (double)values[i] * (double)values[i];
    }
}

static void round_tile(work *w, int tile, int thread) {
    const mote_rounding *k = w->k;
    const size_t cols = (size_t)k->cols, row_bytes = mote_row_bytes(k->type, cols);
    const int begin = tile * TILE, end = begin + TILE < k->rows ? begin + TILE : k->rows;
    const mote_type_info *info = mote_type_get(k->type);
    float *values = w->rows + (size_t)thread * 2 * cols, *rounded = values + cols;
    tile_sums *s = &w->sums[tile];
    const bool gptq = k->method == MOTE_QUANTIZE_GPTQ;
    const bool before = !gptq || mote_scale_span(k->type, cols) > MOTE_GPTQ_BLOCK;
    *s = (tile_sums){.misfit = -1};
    for (int r = begin; r < end; r++) {
        const mote_real *from = k->values + (size_t)r * cols;
        for (size_t i = 0; i < cols; i++) values[i] = (float)from[i];
        if (s->misfit < 0 && !fits(k->type, values, cols)) s->misfit = r;
        char *row = k->out + (size_t)r * row_bytes;
        if (before) round_row(k, values, row);
        else if (info->begin_row) info->begin_row(values, k->paid, row, cols);
    }
    if (s->misfit >= 0) return;
    if (gptq) mote_gptq_rows(k, begin, end - begin, w->room + (size_t)thread * w->room_values);
    for (int r = begin; r < end; r++) {
        const mote_real *from = k->values + (size_t)r * cols;
        const char *row = k->out + (size_t)r * row_bytes;
        for (size_t i = 0; i < cols; i++) values[i] = (float)from[i];
        info->to_f32(row, rounded, cols);
        if (s->misfit < 0 && !mote_type_is_float(k->type) && !mote_row_is_finite(k->type, row, cols)) s->misfit = r;
        measure_row(k, values, rounded, s);
    }
}

static void round_task(void *context, int thread, int threads) {
    (void)threads;
    work *w = context;
    for (int tile; (tile = mote_take(&w->next)) < w->n_tiles;) round_tile(w, tile, thread);
}

mote_status mote_round_matrix(mote_rounding *k, mote_pool *pool, mote_error *error) {
    const size_t threads = (size_t)mote_pool_threads(pool), cols = (size_t)k->cols;
    work w = {.k = k, .n_tiles = (k->rows + TILE - 1) / TILE, .room_values = TILE * (cols + MOTE_GPTQ_BLOCK)};
    mote_status status = MOTE_OK;
    memset(k->out, 0, mote_row_bytes(k->type, cols) * (size_t)k->rows); /* codes beyond a row's end, too */
    w.rows = mote_allocate_zero(threads * 2 * cols, sizeof *w.rows);
    w.sums = mote_allocate_zero((size_t)w.n_tiles, sizeof *w.sums);
    if (k->method == MOTE_QUANTIZE_GPTQ) w.room = mote_allocate_zero(threads * w.room_values, sizeof *w.room);
    if (!w.rows || !w.sums || (!w.room && k->method == MOTE_QUANTIZE_GPTQ)) {
        status = mote_fail_memory(error, k->name, threads * w.room_values * sizeof *w.room);
        goto done;
    }
    mote_pool_run(pool, round_task, &w);
    k->squared_error = k->squared_values = k->weighted_error = 0;
    k->misfit = -1;
    for (int i = 0; i < w.n_tiles; i++) {
        k->squared_error += w.sums[i].squared_error;
        k->squared_values += w.sums[i].squared_values;
        k->weighted_error += w.sums[i].weighted_error;
        if (k->misfit < 0) k->misfit = w.sums[i].misfit;
    }
done:
    mote_release(w.room);
    mote_release(w.rows);
    mote_release(w.sums);
    return status;
}
