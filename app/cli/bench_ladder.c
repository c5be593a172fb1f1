/* mote bench ladder: what each step of an integer kernel is worth on this machine. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "console.h"

static int64_t n_rows = UNSET_INTEGER, n_cols = UNSET_INTEGER;
static double seconds = 0.3;
static const struct option rows[] = {
    {"rows", 0, OPTION_INTEGER, &n_rows, "N", 1, 131072, NULL, "outputs of the matrix, instead of the usual shapes"},
    {"cols", 0, OPTION_INTEGER, &n_cols, "N", 1, 131072, NULL, "inputs of the matrix (default as many as --rows)"},
    {"seconds", 0, OPTION_NUMBER, &seconds, "X", 0.001, 60, "0.3", "time to spend on a rung, about"},
    {0},
};
static const struct option_group group = {"Measurement", rows};
static const struct option_group *const groups[] = {&group, &group_threads, &group_json, &group_common, NULL};

static void print_ladder(const mote_ladder *ladder) {
    out_print("%d x %d, q4_0, %.1f MB\n", ladder->rows, ladder->cols, ladder->rung[0].weight_bytes * 1e-6);
    out_print("%-14s %8s %9s %7s %8s %7s  %-16s %s\n", "rung", "threads", "ms", "step", "in all", "GB/s", "of the roof",
              "what it does");
    for (int i = 0; i < MOTE_LADDER_RUNGS; i++) {
        const mote_ladder_rung *r = &ladder->rung[i];
        char share[32];
        snprintf(share, sizeof share, "%.0f %% (%s)", 100 * r->roof_share, r->bound);
        out_print("%-14s %8d %9.4f %6.2fx %7.2fx %7.1f  %-16s %s\n", r->name, r->threads, 1e3 * r->seconds,
                  ladder->rung[i ? i - 1 : 0].seconds / r->seconds, ladder->rung[0].seconds / r->seconds,
                  r->weight_bytes / r->seconds * 1e-9, share, r->what);
    }
    double most = 0;
    for (int i = 0; i < MOTE_LADDER_RUNGS; i++) most = fmax(most, 100 * ladder->rung[i].roof_share);
    note_past_peak(most);
    out_print("%llu dot products of 32 weights are the same integers on every rung; outputs differ by %.1e of the "
              "largest\n\n", (unsigned long long)ladder->integers, ladder->largest_error);
}

static mote_status run_bench_ladder(int n_arguments, const char *const *arguments, mote_error *error) {
    (void)n_arguments, (void)arguments;
    static const int usual[][2] = {{512, 512}, {4096, 4096}, {8192, 8192}, {8192, 28672}};
    int own[1][2] = {{(int)n_rows, (int)n_cols}}, n = 4;
    const int(*shape)[2] = usual;
    if (n_rows != UNSET_INTEGER || n_cols != UNSET_INTEGER) {
        if (n_rows == UNSET_INTEGER) own[0][0] = (int)n_cols;
        if (n_cols == UNSET_INTEGER) own[0][1] = (int)n_rows;
        shape = (const int(*)[2])own;
        n = 1;
    }
    mote_roof roof;
    mote_status status = mote_roof_measure((int)option_threads, 1, &roof, error);
    mote_buffer buffer = {0}; /* JSON is printed when it is whole */
    mote_buffer_print(&buffer, "{\"ladders\":[");
    for (int i = 0, done = 0; i < n && !status; i++) {
        mote_ladder ladder;
        char *json = NULL;
        const double needed = 1.3 * shape[i][0] * shape[i][1], free_bytes = (double)memory_available_bytes();
        if (n > 1 && free_bytes > 0 && free_bytes < needed) {
            note("%d x %d is left out: it needs %.0f MB of memory", shape[i][0], shape[i][1], 1e-6 * needed);
            continue;
        }
        status = mote_ladder_run(shape[i][0], shape[i][1], &roof, seconds, &ladder, error);
        if (status == MOTE_MEMORY && n > 1) {
            note("%d x %d is left out: %s", shape[i][0], shape[i][1], error->message);
            status = MOTE_OK;
            continue;
        }
        if (status) break;
        if (!option_json) print_ladder(&ladder);
        else status = mote_ladder_json(&ladder, &json, error);
        if (json) mote_buffer_print(&buffer, "%s%s", done++ ? "," : "", json);
        mote_free(json);
    }
    mote_buffer_print(&buffer, "]}\n");
    if (!status && option_json) return out_buffer(&buffer, error);
    mote_buffer_deinit(&buffer);
    return status;
}

const struct command command_bench_ladder = {
    .name = "bench ladder",
    .arguments = "",
    .summary = "measure what each step of an integer kernel is worth",
    .details = "A matrix in q4_0 times a normalised vector, from a branch for each weight up to packed panels on all "
               "threads. Every rung does the whole work, and its integers are compared with those of the first. Shapes "
               "without --rows and --cols: 512 x 512, 4096 x 4096, 8192 x 8192, 8192 x 28672.",
    .example = "mote bench ladder --rows 4096 --cols 4096",
    .least = 0,
    .most = 0,
    .groups = groups,
    .run = run_bench_ladder,
};
