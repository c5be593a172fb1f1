/* Line charts. The vertical range is that of the smooth lines: raw values may be clipped, so that one wild step does
 * not flatten the curve one came to read. */
#include "chart.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "console.h"

void html_text(mote_buffer *out, const char *text, size_t bytes) {
    for (size_t i = 0; i < bytes;) {
        unsigned char c = (unsigned char)text[i];
        size_t more = c < 0x80                ? 0
                      : c >= 0xc2 && c < 0xe0 ? 1
                      : c >= 0xe0 && c < 0xf0 ? 2
                      : c >= 0xf0 && c < 0xf5 ? 3
                                              : 9;
        bool ok = more < 9 && i + more < bytes;
        for (size_t k = 1; ok && k <= more; k++) ok = ((unsigned char)text[i + k] & 0xc0) == 0x80;
        if (!ok || (c < 0x20 && c != '\n' && c != '\t')) {
            mote_buffer_print(out, "\xef\xbf\xbd");
            i++;
            continue;
        }
        switch (c) {
        case '&': mote_buffer_print(out, "&amp;"); break;
        case '<': mote_buffer_print(out, "&lt;"); break;
        case '>': mote_buffer_print(out, "&gt;"); break;
        case '"': mote_buffer_print(out, "&quot;"); break;
        case '\'': mote_buffer_print(out, "&#39;"); break;
        default: mote_buffer_append(out, text + i, more + 1);
        }
        i += more + 1;
    }
}

const char *chart_number(double value, char out[24]) {
    double size = fabs(value);
    if (!isfinite(value)) snprintf(out, 24, "–");
    else if (size >= 10000) text_count(value, out);
    else if (size >= 100 || size == 0) snprintf(out, 24, "%.0f", value);
    else if (size >= 10) snprintf(out, 24, "%.1f", value);
    else if (size >= 0.01) snprintf(out, 24, "%.3f", value);
    else snprintf(out, 24, "%.1e", value);
    return out;
}

/* The distance of ticks: 1, 2 or 5 times a power of ten, about `wanted` of them. */
static double tick_step(double range, int wanted) {
    double rough = range / wanted, power = pow(10, floor(log10(rough))), part = rough / power;
    return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

static const char *tick_label(double value, double step, char out[24]) {
    if (fabs(value) < step * 1e-6) return snprintf(out, 24, "0"), out;
    if (fabs(value) >= 1e9) return text_count(value, out);
    if (fabs(value) >= 1e6) return snprintf(out, 24, "%.4g M", value / 1e6), out;
    if (fabs(value) >= 10000) return snprintf(out, 24, "%.4g k", value / 1e3), out;
    if (step < 1e-3) return snprintf(out, 24, "%.3g", value), out;
    int digits = step >= 1 ? 0 : (int)ceil(-log10(step) - 1e-9);
    snprintf(out, 24, "%.*f", digits, value);
    return out;
}

struct frame {
    double left, top, width, height, low, high, x_end;
};

static double place_x(const struct frame *f, double x) { return f->left + f->width * x / f->x_end; }
static double place_y(const struct frame *f, double y) {
    double part = (y - f->low) / (f->high - f->low);
    if (part > 1.5) part = 1.5; /* clipped anyway; keeps numbers short */
    if (part < -0.5) part = -0.5;
    return f->top + f->height * (1 - part);
}

static void find_range(const struct chart *chart, struct frame *f) {
    f->low = INFINITY;
    f->high = -INFINITY;
    for (int pass = 0; pass < 2 && f->low > f->high; pass++) /* raw lines only when there is nothing else */
        for (int s = 0; s < chart->n_series; s++)
            for (int i = 0; i < chart->series[s].n && (pass || chart->series[s].line != CHART_RAW); i++) {
                double y = chart->series[s].y[i];
                if (!isfinite(y)) continue;
                f->low = fmin(f->low, y);
                f->high = fmax(f->high, y);
            }
    if (f->low > f->high) f->low = 0, f->high = 1;
    if (chart->from_zero) f->low = fmin(0, f->low);
    double pad = 0.05 * (f->high - f->low);
    if (!(pad > 0)) pad = f->high != 0 ? 0.1 * fabs(f->high) : 1;
    f->high += pad;
    if (!chart->from_zero || f->low < 0) f->low -= pad;
}

static void print_axes(const struct chart *chart, const struct frame *f, mote_buffer *out) {
    char label[24];
    double step = tick_step(f->high - f->low, chart->height > 260 ? 6 : 4);
    for (double y = ceil(f->low / step) * step; y <= f->high; y += step)
        mote_buffer_print(out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
                               "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                          f->left, f->left + f->width, place_y(f, y), place_y(f, y), f->left - 8, place_y(f, y) + 4,
                          tick_label(y, step, label));
    step = fmax(1, tick_step(f->x_end, chart->width > 500 ? 8 : 4));
    for (double x = 0; x <= f->x_end * 1.0001; x += step)
        mote_buffer_print(out, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
                          place_x(f, x), f->top + f->height + 18, tick_label(x, step, label));
    mote_buffer_print(out, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", f->left,
                      f->left + f->width, f->top + f->height, f->top + f->height);
}

static void print_series(const struct chart_series *series, const struct frame *f, int clip, mote_buffer *out) {
    static const char *const classes[] = {"raw", "main", "second"};
    const char *class = classes[series->line];
    bool open = false;
    for (int i = 0; i < series->n; i++) {
        if (!isfinite(series->y[i])) continue;
        if (!open) mote_buffer_print(out, "<polyline class=\"%s\" clip-path=\"url(#clip%d)\" points=\"", class, clip);
        mote_buffer_print(out, "%s%.1f,%.1f", open ? " " : "", place_x(f, series->x[i]), place_y(f, series->y[i]));
        open = true;
    }
    if (open) mote_buffer_print(out, "\"/>\n");
    if (series->line != CHART_SECOND || series->n > 60) return;
    char label[24];
    for (int i = 0; i < series->n; i++)
        if (isfinite(series->y[i]))
            mote_buffer_print(out,
                              "<circle class=\"dot\" r=\"3.5\" cx=\"%.1f\" cy=\"%.1f\"><title>step %.0f: %s</title>"
                              "</circle>\n",
                              place_x(f, series->x[i]), place_y(f, series->y[i]), series->x[i],
                              chart_number(series->y[i], label));
}

/* The last value of each line that is not raw, at the right edge; two labels keep 15 units apart. */
static void print_ends(const struct chart *chart, const struct frame *f, mote_buffer *out) {
    double taken = -100;
    for (int s = 0; s < chart->n_series; s++) {
        const struct chart_series *series = &chart->series[s];
        if (series->line == CHART_RAW || !series->n || !isfinite(series->y[series->n - 1])) continue;
        double y = place_y(f, series->y[series->n - 1]) + 4;
        if (fabs(y - taken) < 15) y = y < taken && taken - 15 > f->top + 8 ? taken - 15 : taken + 15;
        taken = y;
        char label[24];
        mote_buffer_print(out, "<text class=\"end %s-text\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
                          series->line == CHART_MAIN ? "main" : "second", f->left + f->width + 8, y,
                          chart_number(series->y[series->n - 1], label));
    }
}

void chart_print(const struct chart *chart, mote_buffer *out) {
    static int clip;
    struct frame f = {.left = 56, .top = 14, .x_end = chart->x_end > 0 ? chart->x_end : 1};
    f.width = chart->width - f.left - 64;
    f.height = chart->height - f.top - 28;
    find_range(chart, &f);
    clip++;
    mote_buffer_print(out, "<figure><figcaption><b>%s</b> <span>%s</span>", chart->title, chart->unit);
    for (int s = 0; chart->n_series > 2 && s < chart->n_series; s++)
        mote_buffer_print(out, "<i class=\"key key%d\"></i><span>%s</span>", (int)chart->series[s].line,
                          chart->series[s].name);
    mote_buffer_print(out,
                      "</figcaption>\n<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" "
                      "aria-label=\"%s\" data-frame=\"%.1f %.1f %.1f %.1f %.9g %.9g %.9g\">\n",
                      chart->width, chart->height, chart->title, f.left, f.top, f.width, f.height, f.x_end, f.low,
                      f.high);
    mote_buffer_print(
        out, "<clipPath id=\"clip%d\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/></clipPath>\n", clip,
        f.left, f.top - 4, f.width + 4, f.height + 4);
    print_axes(chart, &f, out);
    for (int s = 0; s < chart->n_series; s++) print_series(&chart->series[s], &f, clip, out);
    print_ends(chart, &f, out);
    mote_buffer_print(out, "</svg></figure>\n");
}
