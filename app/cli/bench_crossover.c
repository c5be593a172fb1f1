/* mote bench crossover: mote's products beside those of a BLAS library, and both beside the peak of the machine. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "blas_option.h"
#include "console.h"

static double seconds = 8;
static const char *library, *only;
static const struct option rows[] = {
    {"blas", 0, OPTION_STRING, &library, "FILE", 0, 0, "auto: the first that is installed",
     "the BLAS library; off: none"},
    {"only", 0, OPTION_STRING, &only, "TEXT", 0, 0, "all", "classes of products with TEXT in their name"},
    {"seconds", 0, OPTION_NUMBER, &seconds, "X", 0.01, 600, "8", "time to spend, about"},
    {0},
};
static const struct option_group group = {"Measurement", rows};
static const struct option_group *const groups[] = {&group, &group_threads, &group_json, &group_common, NULL};

/* Speeds in GFLOP/s; ratio 0: there is no library. */
struct figures {
    double mote, packing, blas, ratio, part;
};

static void print_figures(const char *name, const struct figures *f) {
    out_print("%-38s %8.1f %9.1f", name, f->mote, f->packing);
    if (f->ratio > 0)
        out_print(" %8.1f %6.2f  %-4s", f->blas, f->ratio,
                  f->ratio > 1.05       ? "mote"
                  : f->ratio < 1 / 1.05 ? "BLAS"
                                        : "even");
    else out_print(" %8s %6s  %-4s", "-", "-", "");
    out_print(" %5.0f %%\n", f->part);
}

static struct figures figures_of(const mote_crossover *c, const mote_crossover_row *r) {
    double speed = r->operations * 1e-9;
    struct figures f = {speed / r->seconds, speed / r->seconds_packing, 0, 0, 0};
    if (r->blas_seconds > 0) f.blas = speed / r->blas_seconds, f.ratio = r->blas_seconds / r->seconds;
    f.part = c->peak_flops > 0 ? 100e9 * f.mote / c->peak_flops : 0;
    return f;
}

/* Geometric means of the rows from `begin` on that share a group; where the next one begins. */
static int print_means(const mote_crossover *c, int begin) {
    struct figures sum = {0};
    int i = begin;
    for (; i < c->n_rows && !strcmp(c->rows[i].group, c->rows[begin].group); i++) {
        struct figures f = figures_of(c, &c->rows[i]);
        sum.mote += log(f.mote), sum.packing += log(f.packing), sum.part += log(f.part);
        sum.blas += log(f.blas), sum.ratio += log(f.ratio);
    }
    double n = i - begin;
    sum = (struct figures){exp(sum.mote / n), exp(sum.packing / n), exp(sum.blas / n), exp(sum.ratio / n),
                           exp(sum.part / n)};
    print_figures(c->rows[begin].group, &sum);
    return i;
}

static void print_table(const mote_crossover *c) {
    static const char *const forms[] = {"forward", "input gradient", "weight gradient"};
    double most = 0;
    out_print("%-38s %8s %9s %8s %6s  %-4s %7s\n", "GFLOP/s: tokens x outputs x inputs", "mote", "packing", "BLAS",
              "ratio", "best", "of peak");
    for (int i = 0; i < c->n_rows; i++) {
        const mote_crossover_row *r = &c->rows[i];
        char name[64], count[16] = "";
        if (r->count > 1) snprintf(count, sizeof count, " x%d", r->count);
        snprintf(name, sizeof name, "%-15s %4d x %5d x %4d%s", forms[r->form], r->tokens, r->outputs, r->inputs, count);
        struct figures f = figures_of(c, r);
        print_figures(name, &f);
        most = fmax(most, f.part);
    }
    out_print("\ngeometric means\n");
    for (int i = 0; i < c->n_rows;) i = print_means(c, i);
    note_past_peak(most);
    out_print(
        "\n%d thread%s, peak %.0f GFLOP/s; packing: mote with the weight packed each time, which training does once a "
        "step\n",
        c->threads, c->threads > 1 ? "s" : "", c->peak_flops * 1e-9);
}

static mote_status run_bench_crossover(int n_arguments, const char *const *arguments, mote_error *error) {
    (void)n_arguments, (void)arguments;
    mote_blas *blas = NULL;
    static mote_crossover crossover;
    bool off = library && !strcmp(library, "off"), chosen = !library || !strcmp(library, "auto");
    mote_status status = off ? MOTE_OK : blas_open(library ? library : "auto", &blas, error);
    if (status && !chosen) return status;
    if (status) warn("%s; %s", error->message, error->hint);
    status = mote_crossover_measure(blas, (int)option_threads, seconds, only, &crossover, error);
    char *json = NULL;
    if (!status && option_json) status = mote_crossover_json(&crossover, blas, &json, error);
    if (!status && option_json) out_print("%s\n", json);
    else if (!status) {
        if (blas) out_print("BLAS: %s, one thread a call\n", mote_blas_name(blas));
        print_table(&crossover);
    }
    mote_free(json);
    mote_blas_close(blas);
    return status;
}

const struct command command_bench_crossover = {
    .name = "bench crossover",
    .arguments = "",
    .summary = "mote's matrix products beside those of a BLAS library",
    .details =
        "42 products of tiny transformers, forward, input and weight gradient, by mote and by a BLAS library that is "
        "found at run time, in turns on the same threads; medians, the ratio, and the part of the measured peak. "
        "Without a library mote's are printed alone. mote train --blas auto decides by the same measurement.",
    .example = "mote bench crossover --blas auto --threads 1",
    .least = 0,
    .most = 0,
    .groups = groups,
    .run = run_bench_crossover,
};
