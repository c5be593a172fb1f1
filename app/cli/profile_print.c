/* A profile on the terminal: a bar for each kind of op and for the time between them, then a line for each op. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"
#include "profile.h"

enum { BAR_CELLS = 32, MOST_PLAIN_LAYERS = 4 };

/* ---- bringing rows together */

static void add_row(struct profile_sum *sum, const mote_profile_row *row) {
    if (row->layer < sum->first_layer) sum->first_layer = row->layer;
    if (row->layer > sum->last_layer) sum->last_layer = row->layer;
    sum->calls += row->calls;
    sum->seconds += row->seconds;
    sum->waiting_seconds += row->waiting_seconds;
    sum->flops += row->flops;
    sum->bytes += row->weight_bytes + row->state_bytes + row->activation_bytes;
    sum->roof_seconds += row->roof_seconds;
    if (row->roof_seconds > sum->bound_seconds || !sum->bound) {
        sum->bound_seconds = row->roof_seconds;
        sum->bound = row->bound;
    }
}

static int longest_first(const void *a, const void *b) {
    double x = ((const struct profile_sum *)a)->seconds, y = ((const struct profile_sum *)b)->seconds;
    return (x < y) - (x > y);
}

struct profile_sum *profile_sums(const mote_profile *profile, enum profile_by by, int *n) {
    struct profile_sum *sums = calloc((size_t)profile->n_rows + 1, sizeof *sums);
    *n = 0;
    for (int i = 0; sums && i < profile->n_rows; i++) {
        const mote_profile_row *row = &profile->rows[i];
        int at = by == BY_OP ? *n : 0;
        while (at < *n && (strcmp(sums[at].op, row->op) || (by == BY_NAME && strcmp(sums[at].name, row->name)))) at++;
        if (at == *n)
            sums[(*n)++] = (struct profile_sum){.op = row->op, .name = by == BY_KIND ? NULL : row->name,
                                                .first_layer = row->layer, .last_layer = row->layer};
        add_row(&sums[at], row);
    }
    if (sums && by == BY_KIND) qsort(sums, (size_t)*n, sizeof *sums, longest_first);
    return sums;
}

double profile_most(const struct profile_sum *sums, int n) {
    double most = 0;
    for (int i = 0; i < n; i++)
        if (sums[i].seconds > 0) most = fmax(most, 100 * sums[i].roof_seconds / sums[i].seconds);
    return most;
}

int profile_peaks(const mote_profile *p, struct profile_peak peaks[PROFILE_PEAKS]) {
    const mote_roof *r = &p->roof;
    const int all = p->threads > 1;
    bool bf16 = false, int8 = false;
    int n = 0;
    for (int i = 0; i < p->n_rows; i++) {
        if (p->rows[i].bf16_part > 0) bf16 = true;
        if (p->rows[i].int8_part > 0) int8 = true;
    }
    peaks[n++] = (struct profile_peak){"f32", "GFLOP/s", r->f32_flops[all]};
    if (bf16) peaks[n++] = (struct profile_peak){"bf16", "GFLOP/s", r->bf16_flops[all]};
    if (int8) peaks[n++] = (struct profile_peak){"int8", "Gop/s", r->int8_ops[all]};
    return n;
}

int profile_rests(const mote_profile *p, struct profile_rest rests[PROFILE_RESTS]) {
    int n = 0;
    if (p->kind == MOTE_PROFILE_TRAIN) {
        rests[n++] = (struct profile_rest){"optimizer", p->optimizer_seconds};
        rests[n++] = (struct profile_rest){"packing", p->packing_seconds};
        rests[n++] = (struct profile_rest){"data, zeroing", p->data_seconds};
    }
    rests[n++] = (struct profile_rest){"barriers", p->barrier_seconds};
    rests[n++] = (struct profile_rest){"walking", p->walking_seconds};
    rests[n++] = (struct profile_rest){"start and end", p->starting_seconds > 0 ? p->starting_seconds : 0};
    return n;
}

const char *profile_title(const mote_profile *p, char *text, size_t size) {
    static const char *const kinds[] = {"training steps", "tokens read", "tokens decoded"};
    snprintf(text, size, "%d %s", p->n, kinds[p->kind]);
    return text;
}

/* ---- text */

struct look {
    const mote_profile *profile;
    mote_buffer *out;
    bool color;
    double scale; /* from seconds of the run to what is shown */
    const char *unit;
};

static const char *bound_color(const char *bound) {
    return !strcmp(bound, "DRAM") ? "35" : !strcmp(bound, "rest") ? "2" : *bound == 'L' ? "36" : "32";
}

/* Eighths of a cell, so that 0.4 % can still be seen. */
static void print_bar(const struct look *look, double share, const char *color) {
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    int n = (int)(share * BAR_CELLS * 8 + 0.5), cells;
    if (n > BAR_CELLS * 8) n = BAR_CELLS * 8;
    if (look->color) mote_buffer_print(look->out, "\033[%sm", color);
    for (int i = 0; i < n / 8; i++) mote_buffer_print(look->out, "█");
    mote_buffer_print(look->out, "%s", eighths[n % 8]);
    if (look->color) mote_buffer_print(look->out, "\033[0m");
    cells = n / 8 + (n % 8 != 0);
    mote_buffer_print(look->out, "%*s", BAR_CELLS - cells, "");
}

static void print_figures(const struct look *look, const struct profile_sum *sum) {
    double seconds = sum->seconds > 0 ? sum->seconds : 1e-12, part = 100 * sum->roof_seconds / seconds;
    mote_buffer_print(look->out, " %9.2f %9.1f %9.1f", seconds * look->scale, sum->flops / seconds * 1e-9,
                      sum->bytes / seconds * 1e-9);
    if (sum->seconds <= 0) mote_buffer_print(look->out, "        -");
    else mote_buffer_print(look->out, "    %3.0f %% of %s", part, sum->bound);
    if (sum->waiting_seconds > 0.005 * seconds)
        mote_buffer_print(look->out, ", waiting %.0f %%", 100 * sum->waiting_seconds / seconds);
    mote_buffer_print(look->out, "\n");
}

static void print_kinds(const struct look *look, const struct profile_sum *sums, int n) {
    const mote_profile *p = look->profile;
    struct profile_rest rests[PROFILE_RESTS];
    int n_rests = profile_rests(p, rests);
    mote_buffer_print(look->out, "%-13s %*s %7s %9s %9s %9s    %s\n", "", BAR_CELLS, "", "share", look->unit, "GFLOP/s",
                      "GB/s", "roof");
    for (int i = 0; i < n; i++) {
        double share = sums[i].seconds / p->seconds;
        mote_buffer_print(look->out, "%-13s ", sums[i].op);
        print_bar(look, share, bound_color(sums[i].bound));
        mote_buffer_print(look->out, " %5.1f %%", 100 * share);
        print_figures(look, &sums[i]);
    }
    for (int i = 0; i < n_rests; i++) {
        double share = rests[i].seconds / p->seconds;
        if (share < 0.0005) continue;
        mote_buffer_print(look->out, "%-13s ", rests[i].title);
        print_bar(look, share, bound_color("rest"));
        mote_buffer_print(look->out, " %5.1f %% %9.2f\n", 100 * share, rests[i].seconds * look->scale);
    }
}

static void print_table(const struct look *look, const struct profile_sum *sums, int n) {
    mote_buffer_print(look->out, "\n%-6s %-10s %-20s %9s %8s %9s %9s %9s    %s\n", "layer", "op", "name", "calls",
                      "share", look->unit, "GFLOP/s", "GB/s", "roof");
    for (int i = 0; i < n; i++) {
        const struct profile_sum *sum = &sums[i];
        char layer[32] = "";
        if (sum->first_layer >= 0 && sum->last_layer > sum->first_layer)
            snprintf(layer, sizeof layer, "%d-%d", sum->first_layer, sum->last_layer);
        else if (sum->first_layer >= 0) snprintf(layer, sizeof layer, "%d", sum->first_layer);
        mote_buffer_print(look->out, "%-6s %-10s %-20.20s %9llu %6.1f %%", layer, sum->op, sum->name,
                          (unsigned long long)sum->calls, 100 * sum->seconds / look->profile->seconds);
        print_figures(look, sum);
    }
}

static void print_head(const struct look *look, const char *model) {
    static const char *const levels[MOTE_N_MEMORIES] = {"L1", "L2", "L3", "DRAM"};
    const mote_profile *p = look->profile;
    const mote_roof *r = &p->roof;
    char title[64], text[SHORT_TEXT];
    int all = p->threads > 1;
    double flops = 0;
    for (int i = 0; i < p->n_rows; i++) flops += p->rows[i].flops;
    mote_buffer_print(look->out, "%s: %s in ", model, profile_title(p, title, sizeof title));
    if (p->seconds < 1) mote_buffer_print(look->out, "%.1f ms", p->seconds * 1e3);
    else mote_buffer_print(look->out, "%s", text_seconds(p->seconds, text));
    mote_buffer_print(look->out, ", %.0f tokens/s, ", (double)p->tokens / p->seconds);
    mote_buffer_print(look->out, "%.1f GFLOP/s on %d thread%s\n", flops / p->seconds * 1e-9, p->threads,
                      all ? "s" : "");
    struct profile_peak peaks[PROFILE_PEAKS];
    const int n_peaks = profile_peaks(p, peaks);
    for (int i = 0; i < n_peaks; i++)
        mote_buffer_print(look->out, "%s%.0f %s of %s%s%s%s", i ? ", " : "roof: ", peaks[i].speed * 1e-9, peaks[i].unit,
                          peaks[i].name, i ? "" : " (", i ? "" : r->instruction_set, i ? "" : ")");
    mote_buffer_print(look->out, "; reads in GB/s:");
    for (int i = 0; i < MOTE_N_MEMORIES; i++)
        if (r->read_bandwidth[i][all] > 0)
            mote_buffer_print(look->out, " %s %.0f", levels[i], r->read_bandwidth[i][all] * 1e-9);
    mote_buffer_print(look->out, "; %s of %s lie in %s\n\n", text_bytes((double)p->held_bytes, text),
                      p->kind == MOTE_PROFILE_TRAIN ? "weights, gradients and activations" : "weights and keys",
                      levels[p->held_level]);
}

mote_status profile_print(const mote_profile *profile, const char *model, bool all_layers, mote_error *error) {
    mote_buffer out = {0};
    int n_kinds, n_ops, layers = 0;
    for (int i = 0; i < profile->n_rows; i++)
        if (profile->rows[i].layer >= layers) layers = profile->rows[i].layer + 1;
    all_layers |= layers <= MOST_PLAIN_LAYERS;
    struct profile_sum *kinds = profile_sums(profile, BY_KIND, &n_kinds);
    struct profile_sum *ops = profile_sums(profile, all_layers ? BY_OP : BY_NAME, &n_ops);
    mote_status status = kinds && ops ? MOTE_OK : mote_fail(error, MOTE_MEMORY, "no memory for a table");
    bool train = profile->kind == MOTE_PROFILE_TRAIN;
    struct look look = {profile, &out, out_color(), (train ? 1e3 : 1e6) / profile->n, train ? "ms/step" : "us/token"};
    if (!status) {
        print_head(&look, model);
        print_kinds(&look, kinds, n_kinds);
        print_table(&look, ops, n_ops);
        if (!all_layers)
            mote_buffer_print(&out, "\nan op of all %d layers is one line; --all-layers tells them apart\n", layers);
        status = out_buffer(&out, error);
        note_past_peak(fmax(profile_most(kinds, n_kinds), profile_most(ops, n_ops)));
    }
    free(kinds);
    free(ops);
    return status;
}
