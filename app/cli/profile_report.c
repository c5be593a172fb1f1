/* A profile as a page: figures, the roofline plot (Williams, Waterman, Patterson 2009), a table. The plot is
 * logarithmic in both directions: FLOPs for each byte to the right, GFLOP/s upwards; slanted lines are what each memory
 * can feed, the level one is the peak. The area of a dot is its share of the time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"
#include "console.h"
#include "history.h"
#include "profile.h"
#include "report.h"

static const char own_style[] =
    ".roof{stroke:var(--faint);stroke-width:1.5;fill:none}.bubble{fill:var(--main);fill-opacity:.55;"
    "stroke:var(--main)}.lead{stroke:var(--main);stroke-width:.7}"
    ".name{font-size:11.5px;fill:var(--ink)}.line{font-size:11.5px;fill:var(--soft)}"
    "td,th{text-align:right;padding:5px 10px;white-space:nowrap}td:nth-child(-n+2),th:nth-child(-n+2){text-align:left}"
    "th{font-weight:600;font-size:13px;color:var(--soft)}.bar{height:8px;background:var(--main);border-radius:2px;"
    "display:inline-block;margin-right:8px;vertical-align:middle}.scroll{overflow-x:auto}\n";

enum { WIDTH = 1040, HEIGHT = 460, LEFT = 60, RIGHT = 20, TOP = 16, BOTTOM = 44 };

/* Powers of ten at the edges; and the labels that stand already, so that none is written over another. */
struct axes {
    double x_low, x_high, y_low, y_high;
    struct {
        double x, y, width;
    } labels[64];
    int n_labels;
};

/* The first place at (x, y) or below it where so much text is free. */
static double free_place(struct axes *a, double x, double y, size_t letters) {
    double width = 6.4 * (double)letters;
    for (int i = 0; i < a->n_labels; i++) {
        bool beside = x > a->labels[i].x + a->labels[i].width || x + width < a->labels[i].x;
        if (beside || fabs(a->labels[i].y - y) >= 13) continue;
        y = a->labels[i].y + 13.5; /* downwards only, so this ends */
        i = -1;
    }
    if (a->n_labels < 64) {
        a->labels[a->n_labels].x = x;
        a->labels[a->n_labels].width = width;
        a->labels[a->n_labels++].y = y;
    }
    return y;
}

static double at_x(const struct axes *a, double x) {
    return LEFT + (WIDTH - LEFT - RIGHT) * (log10(x) - a->x_low) / (a->x_high - a->x_low);
}
static double at_y(const struct axes *a, double y) {
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (log10(y) - a->y_low) / (a->y_high - a->y_low));
}

static bool place(const struct profile_sum *sum, double *x, double *y) {
    if (!(sum->flops > 0 && sum->bytes > 0 && sum->seconds > 0)) return false;
    *x = sum->flops / sum->bytes;
    *y = sum->flops / sum->seconds * 1e-9;
    return true;
}

static double highest_peak(const mote_profile *p) {
    struct profile_peak peaks[PROFILE_PEAKS];
    double highest = 0;
    for (int i = profile_peaks(p, peaks) - 1; i >= 0; i--) highest = fmax(highest, peaks[i].speed * 1e-9);
    return highest;
}

static struct axes find_axes(const struct profile_sum *sums, int n, double peak) {
    struct axes a = {.x_low = -1, .x_high = 2, .y_high = ceil(log10(peak * 1.2))};
    for (int i = 0; i < n; i++) {
        double x, y;
        if (!place(&sums[i], &x, &y)) continue;
        a.x_low = fmin(a.x_low, floor(log10(x)));
        a.x_high = fmax(a.x_high, ceil(log10(x)));
        a.y_low = fmin(a.y_low, floor(log10(y)));
    }
    a.x_low = fmax(a.x_low, -4);
    a.y_low = fmax(a.y_low, a.y_high - 6);
    a.y_high = fmax(a.y_high, a.y_low + 1); /* a machine so busy that its peak is below 1 GFLOP/s */
    return a;
}

static void print_grid(const struct axes *a, mote_buffer *out) {
    for (double e = a->x_low; e <= a->x_high; e++) {
        double x = at_x(a, pow(10, e));
        mote_buffer_print(out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>"
                               "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n",
                          x, x, TOP, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 18, pow(10, e));
    }
    for (double e = a->y_low; e <= a->y_high; e++) {
        double y = at_y(a, pow(10, e));
        mote_buffer_print(out, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                               "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
                          LEFT, WIDTH - RIGHT, y, y, LEFT - 8, y + 4, pow(10, e));
    }
    mote_buffer_print(out, "<text class=\"tick\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">FLOPs for each byte</text>\n",
                      (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6);
}

static void print_roofs(const mote_profile *p, struct axes *a, mote_buffer *out) {
    static const char *const names[MOTE_N_MEMORIES] = {"L1", "L2", "L3", "DRAM"};
    struct profile_peak peaks[PROFILE_PEAKS];
    const int all = p->threads > 1, n_peaks = profile_peaks(p, peaks);
    double left = pow(10, a->x_low), right = pow(10, a->x_high), corner = right;
    const double highest = highest_peak(p);
    for (int i = 0; i < MOTE_N_MEMORIES; i++) {
        double speed = p->roof.read_bandwidth[i][all] * 1e-9;
        if (!(speed > 0)) continue;
        double from = fmax(left, pow(10, a->y_low) / speed), to = highest / speed;
        corner = fmin(corner, to);
        if (to <= from) continue;
        mote_buffer_print(out, "<line class=\"roof\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>"
                               "<text class=\"line\" x=\"%.1f\" y=\"%.1f\">%s %.0f GB/s</text>\n",
                          at_x(a, from), at_y(a, from * speed), at_x(a, to), at_y(a, highest), at_x(a, from) + 14,
                          free_place(a, at_x(a, from) + 14, at_y(a, from * speed) + 5, 14), names[i], speed);
    }
    for (int i = 0; i < n_peaks; i++) {
        const double peak = peaks[i].speed * 1e-9, from = fmax(corner * peak / highest, left);
        mote_buffer_print(out, "<line class=\"roof\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>"
                               "<text class=\"line\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.0f %s, %s%s%s%s"
                               "</text>\n",
                          at_x(a, from), at_y(a, peak), at_x(a, right), at_y(a, peak), at_x(a, right) - 6,
                          at_y(a, peak) - 6, peak, peaks[i].unit, peaks[i].name, i ? "" : " (",
                          i ? "" : p->roof.instruction_set, i ? "" : ")");
    }
}

static void print_plot(const mote_profile *p, const struct profile_sum *sums, int n, mote_buffer *out) {
    struct axes a = find_axes(sums, n, highest_peak(p));
    mote_buffer_print(out, "<figure><figcaption><b>Roofline</b> <span>GFLOP/s by FLOPs for each byte; the area of a "
                           "dot is its share of the time</span></figcaption>\n<svg xmlns=\"http://www.w3.org/2000/svg\""
                           " viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"Roofline\">\n", WIDTH, HEIGHT);
    print_grid(&a, out);
    print_roofs(p, &a, out);
    for (int i = 0; i < n; i++) {
        double x, y, share = sums[i].seconds / p->seconds;
        if (!place(&sums[i], &x, &y)) continue;
        x = at_x(&a, fmax(x, pow(10, a.x_low)));
        y = at_y(&a, fmax(y, pow(10, a.y_low)));
        mote_buffer_print(out, "<circle class=\"bubble\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"><title>", x, y,
                          3 + 40 * sqrt(share > 0 ? share : 0));
        html_text(out, sums[i].name, strlen(sums[i].name));
        mote_buffer_print(out, ": %.1f %% of the time, %.0f %% of %s</title></circle>", 100 * share,
                          100 * sums[i].roof_seconds / sums[i].seconds, sums[i].bound);
        if (share < 0.02) continue; /* small ones have their name under the pointer only */
        size_t letters = strlen(sums[i].name);
        double beside = fmin(x + 10 + 40 * sqrt(share), WIDTH - 6.4 * (double)letters);
        double below = free_place(&a, beside, y + 4, letters);
        mote_buffer_print(out, "<line class=\"lead\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>"
                               "<text class=\"name\" x=\"%.1f\" y=\"%.1f\">",
                          x, y, beside - 2, below - 4, beside, below);
        html_text(out, sums[i].name, strlen(sums[i].name));
        mote_buffer_print(out, "</text>\n");
    }
    mote_buffer_print(out, "</svg></figure>\n");
}

static void print_share(const mote_profile *p, double seconds, mote_buffer *out) {
    double share = 100 * seconds / p->seconds;
    mote_buffer_print(out, "<td><i class=\"bar\" style=\"width:%.0fpx\"></i>%.1f %%</td><td>%.3f</td>", share, share,
                      seconds * 1e3 / p->n);
}

static void print_rows(const mote_profile *p, const struct profile_sum *sums, int n, mote_buffer *out) {
    mote_buffer_print(out, "<h2>Ops</h2>\n<div class=\"scroll\"><table><tr><th>op</th><th>name</th><th>calls</th>"
                           "<th>share</th><th>ms/%s</th><th>GFLOP/s</th><th>GB/s</th><th>of its roof</th></tr>\n",
                      p->kind == MOTE_PROFILE_TRAIN ? "step" : "token");
    for (int i = 0; i < n; i++) {
        double seconds = sums[i].seconds > 0 ? sums[i].seconds : 1e-12;
        mote_buffer_print(out, "<tr><td>%s</td><td>", sums[i].op);
        html_text(out, sums[i].name, strlen(sums[i].name));
        mote_buffer_print(out, "</td><td>%llu</td>", (unsigned long long)sums[i].calls);
        print_share(p, sums[i].seconds, out);
        mote_buffer_print(out, "<td>%.1f</td><td>%.1f</td><td>%.0f %% of %s</td></tr>\n",
                          sums[i].flops / seconds * 1e-9, sums[i].bytes / seconds * 1e-9,
                          100 * sums[i].roof_seconds / seconds, sums[i].bound);
    }
    struct profile_rest rests[PROFILE_RESTS];
    int n_rests = profile_rests(p, rests);
    for (int i = 0; i < n_rests; i++) {
        mote_buffer_print(out, "<tr><td></td><td>%s</td><td></td>", rests[i].title);
        print_share(p, rests[i].seconds, out);
        mote_buffer_print(out, "<td></td><td></td><td></td></tr>\n");
    }
    mote_buffer_print(out, "</table></div>\n");
}

static void print_tile(mote_buffer *out, const char *label, double value) {
    char text[24];
    mote_buffer_print(out, "<div class=\"tile\"><b>%s</b><span>%s</span></div>\n", chart_number(value, text), label);
}

mote_status profile_report(const mote_profile *p, const char *model, const char *path, mote_error *error) {
    int n;
    struct profile_sum *sums = profile_sums(p, BY_NAME, &n);
    if (!sums) return mote_fail(error, MOTE_MEMORY, "no memory for %s", path);
    mote_buffer out = {0};
    char title[64];
    double flops = 0, roof = 0;
    for (int i = 0; i < n; i++) {
        flops += sums[i].flops;
        roof += sums[i].roof_seconds;
    }
    profile_title(p, title, sizeof title);
    mote_buffer_print(&out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                            "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                            "<title>profile: %s</title>\n<style>\n%s%s</style></head>\n<body><main>\n<header>"
                            "<div class=\"over\">mote profile</div><h1>", title, report_style, own_style);
    html_text(&out, model, strlen(model));
    mote_buffer_print(&out, "</h1><span class=\"state\">%s, %d thread%s</span></header>\n<div class=\"tiles\">\n",
                      title, p->threads, p->threads > 1 ? "s" : "");
    print_tile(&out, "tokens per second", (double)p->tokens / p->seconds);
    print_tile(&out, "ms in all", p->seconds * 1e3);
    print_tile(&out, "GFLOP/s", flops / p->seconds * 1e-9);
    print_tile(&out, "% of what the roof allows", 100 * roof / p->seconds);
    mote_buffer_print(&out, "</div>\n");
    print_plot(p, sums, n, &out);
    print_rows(p, sums, n, &out);
    if (profile_most(sums, n) >= 100.5)
        mote_buffer_print(&out, "<p>More than 100 %% of a roof: this machine was busier while the roof was measured "
                                "than later. Measure again when it is quiet.</p>\n");
    mote_buffer_print(&out, "<footer>mote %s. The same figures for machines: mote profile --json.</footer>\n</main>"
                            "</body></html>\n", mote_version());
    free(sums);
    return run_write(path, &out, error);
}
