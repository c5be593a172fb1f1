/* Line charts as inline SVG, and escaping for HTML. Colours are classes of the page, so charts follow light and dark.
 */
#ifndef MOTE_CLI_CHART_H
#define MOTE_CLI_CHART_H

#include "base/buffer.h"

enum chart_line {
    CHART_RAW,      /* thin and pale, may leave the chart */
    CHART_MAIN,     /* the reading: labelled at its end, followed by the pointer */
    CHART_SECOND    /* another colour, with dots when there are few */
};

struct chart_series {
    enum chart_line line;
    const char *name;
    const double *x, *y;
    int n;
};

struct chart {
    const char *title, *unit;
    int width, height;
    double x_end; /* right end of the x axis, 0 is the left */
    bool from_zero;
    const struct chart_series *series;
    int n_series;
};

void chart_print(const struct chart *chart, mote_buffer *out);
/* Text for HTML: & < > " ' escaped, bytes that are not UTF-8 and control characters replaced. */
void html_text(mote_buffer *out, const char *text, size_t bytes);
/* Three or four significant digits: 2.418, 3e-4, 12.3 k. */
const char *chart_number(double value, char out[24]);

#endif
