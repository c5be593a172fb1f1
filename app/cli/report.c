/* The page: figures, curves, samples, and every setting of the run. Self-contained: styles and charts are inline, the
 * script at the end only reads values under the pointer, and nothing is fetched. */
#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chart.h"
#include "console.h"

const char report_style[] =
    ":root{--page:#f6f6f3;--card:#fff;--ink:#16181d;--soft:#5d636e;--faint:#8b919c;--line:#e4e4de;--main:#2563c9;"
    "--second:#d1600a;--raw:#b9cdf0;--good:#18794e;--bad:#b42318}\n"
    "@media(prefers-color-scheme:dark){:root{--page:#111317;--card:#191c22;--ink:#eceef2;--soft:#a3a9b5;--faint:#"
    "7a818d;"
    "--line:#2b3038;--main:#6ea3f5;--second:#f2994a;--raw:#2f4468;--good:#5cc38f;--bad:#f28b82}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);"
    "font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',sans-serif}\n"
    "main{max-width:1080px;margin:0 auto;padding:40px 20px "
    "64px}header{display:flex;flex-wrap:wrap;align-items:baseline;"
    "gap:4px 14px}h1{font-size:28px;line-height:1.2;margin:0;letter-spacing:-.01em;overflow-wrap:anywhere}"
    "h2{font-size:17px;margin:36px 0 12px}.over{width:100%;font-size:13px;color:var(--soft)}\n"
    ".state{font-size:13px;font-weight:600;padding:2px 10px;border-radius:99px;border:1px solid currentColor;"
    "color:var(--main)}.finished{color:var(--good)}.diverged{color:var(--bad)}.interrupted{color:var(--second)}\n"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:1px;margin:24px 0 20px;"
    "background:var(--line);border:1px solid var(--line);border-radius:10px;overflow:hidden}"
    ".tile{background:var(--card);padding:14px 14px}.tile "
    "b{display:block;font-size:20px;font-weight:650;line-height:1.25;"
    "letter-spacing:-.01em;white-space:nowrap}.tile span{font-size:13px;color:var(--soft)}\n"
    "figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 10px 6px 8px}"
    "figcaption{padding:0 8px 2px;font-size:14px;display:flex;align-items:center;gap:7px;flex-wrap:wrap}"
    "figcaption span{color:var(--soft);font-size:13px}svg{display:block;width:100%;height:auto;overflow:visible}\n"
    ".key{width:16px;height:0;border-top:2.5px solid var(--main);margin-left:10px}.key0{border-color:var(--raw)}"
    ".key2{border-color:var(--second)}\n"
    ".row{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:14px;margin-top:14px}\n"
    ".grid{stroke:var(--line)}.axis{stroke:var(--faint)}.tick{fill:var(--faint);font-size:11.5px}polyline{fill:none;"
    "stroke-linejoin:round;stroke-linecap:round}.raw{stroke:var(--raw);stroke-width:1}.main{stroke:var(--main);"
    "stroke-width:2}.second{stroke:var(--second);stroke-width:2}.dot{fill:var(--second);stroke:var(--card);"
    "stroke-width:1.5}.end{font-size:13px;font-weight:650}.main-text{fill:var(--main)}.second-text{fill:var(--second)}"
    ".hover{fill:var(--main);stroke:var(--card);stroke-width:2}.read{fill:var(--ink);font-size:12px;font-weight:600;"
    "paint-order:stroke;stroke:var(--card);stroke-width:4px}.tick,.end,.read,td:last-child{font-variant-numeric:"
    "tabular-nums}\n"
    ".samples{display:grid;gap:12px}.sample{background:var(--card);border:1px solid var(--line);border-radius:10px;"
    "padding:12px 16px;display:grid;grid-template-columns:110px 1fr;gap:14px}.sample "
    "span{color:var(--soft);font-size:13px}"
    ".sample p{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;font:13.5px/1.5 ui-monospace,Menlo,Consolas,"
    "monospace}@media(max-width:600px){.sample{grid-template-columns:1fr;gap:2px}}\n"
    ".tables{display:grid;grid-template-columns:repeat(auto-fit,minmax(290px,1fr));gap:14px;align-items:start}"
    "table{width:100%;border-collapse:collapse;background:var(--card);border:1px solid var(--line);border-radius:10px;"
    "border-spacing:0;font-size:14px;overflow:hidden}caption{text-align:left;font-weight:600;padding:0 2px 6px}"
    "td{padding:5px 14px;border-top:1px solid var(--line)}tr:first-child "
    "td{border-top:0}td:first-child{color:var(--soft)}"
    "td:last-child{text-align:right;overflow-wrap:anywhere}.why{white-space:pre-wrap;color:var(--soft);font-size:14px;"
    "margin:0}footer{margin-top:40px;color:var(--faint);font-size:13px}\n";

static const char script[] =
    "for(const s of document.querySelectorAll('svg[data-frame]')){const[l,t,w,h,X,a,b]=s.dataset.frame.split(' ').map("
    "Number),m=s.querySelector('.main');if(!m)continue;const "
    "n=k=>document.createElementNS(s.namespaceURI,k),c=n('circle'),"
    "r=n('text');c.setAttribute('class','hover');c.setAttribute('r',4);r.setAttribute('class','read');const hide=()=>{"
    "c.remove();r.remove()};s.onpointerleave=hide;s.onpointermove=e=>{const p=new DOMPoint(e.clientX,e.clientY)."
    "matrixTransform(s.getScreenCTM().inverse());let q=null;for(const o of m.points)if(!q||Math.abs(o.x-p.x)<Math.abs("
    "q.x-p.x))q=o;if(!q)return;const y=a+(b-a)*(1-(q.y-t)/h);c.setAttribute('cx',q.x);c.setAttribute('cy',q.y);"
    "r.textContent='step '+Math.round((q.x-l)/w*X)+': '+(Math.abs(y)>=1000?Math.round(y).toLocaleString():"
    "y.toPrecision(4));const "
    "right=q.x>l+w*.7;r.setAttribute('text-anchor',right?'end':'start');r.setAttribute('x',q.x+("
    "right?-9:9));r.setAttribute('y',Math.max(t+10,q.y-10));s.append(c,r)}}";

static void print_tile(mote_buffer *out, const char *label, const char *value) {
    mote_buffer_print(out, "<div class=\"tile\"><b>%s</b><span>%s</span></div>\n", value, label);
}

static void print_tiles(const struct report *report, mote_buffer *out) {
    const struct history *history = report->history;
    char text[24];
    mote_buffer_print(out, "<div class=\"tiles\">\n");
    double loss = NAN, bits = NAN;
    if (report->final) {
        loss = report->final->loss;
        bits = report->final->bits_per_byte;
    } else if (history->n_evaluations) {
        loss = history->evaluations[history->n_evaluations - 1].loss;
        bits = history->evaluations[history->n_evaluations - 1].bits_per_byte;
    }
    if (isfinite(loss)) {
        print_tile(out, "validation loss", chart_number(loss, text));
        print_tile(out, "perplexity", chart_number(exp(loss), text));
        print_tile(out, "bits per byte", chart_number(bits, text));
    } else {
        print_tile(out, "training loss", chart_number(history->n_points ? history->smoothed_loss : NAN, text));
    }
    print_tile(out, "parameters", text_count((double)report->parameters, text));
    print_tile(out, "tokens trained on", text_count((double)history->tokens, text));
    print_tile(out, "tokens per second", text_count(floor(report->tokens_per_second + 0.5), text));
    print_tile(out, "training time", text_seconds(history->seconds, text));
    mote_buffer_print(out, "</div>\n");
}

/* A line fitted to the neighbours of each point, near ones counting more (local regression, triangular weights): unlike
 * a running mean it neither lags behind a falling curve nor bends at the ends. */
static void smooth(const double *y, int n, double *out) {
    int reach = n / 40 > 2 ? n / 40 : 2;
    for (int i = 0; i < n; i++) {
        double w0 = 0, w1 = 0, w2 = 0, s0 = 0, s1 = 0;
        for (int k = i > reach ? i - reach : 0; k < n && k <= i + reach; k++) {
            if (!isfinite(y[k])) continue;
            double d = k - i, w = reach + 1 - fabs(d);
            w0 += w, w1 += w * d, w2 += w * d * d;
            s0 += w * y[k], s1 += w * d * y[k];
        }
        double determinant = w0 * w2 - w1 * w1;
        out[i] = w0 <= 0 ? NAN : determinant > 1e-9 * w0 * w2 ? (w2 * s0 - w1 * s1) / determinant : s0 / w0;
    }
}

struct curves {
    double x[HISTORY_POINTS], loss[HISTORY_POINTS], norm[HISTORY_POINTS], lr[HISTORY_POINTS], speed[HISTORY_POINTS],
        smooth_loss[HISTORY_POINTS], smooth_norm[HISTORY_POINTS], smooth_speed[HISTORY_POINTS];
    double evaluation_x[HISTORY_EVALUATIONS], evaluation[HISTORY_EVALUATIONS];
};

static void print_charts(const struct report *report, struct curves *curves, mote_buffer *out) {
    const struct history *history = report->history;
    int n = history->n_points, n_evaluations = history->n_evaluations;
    for (int i = 0; i < n; i++) {
        const struct history_point *point = &history->points[i];
        curves->x[i] = point->step;
        curves->loss[i] = point->loss;
        curves->norm[i] = point->gradient_norm;
        curves->lr[i] = point->lr;
        curves->speed[i] = point->tokens_per_second;
    }
    for (int i = 0; i < n_evaluations; i++) {
        curves->evaluation_x[i] = (double)history->evaluations[i].step;
        curves->evaluation[i] = history->evaluations[i].loss;
    }
    smooth(curves->loss, n, curves->smooth_loss);
    smooth(curves->norm, n, curves->smooth_norm);
    smooth(curves->speed, n, curves->smooth_speed);
    bool over = !strcmp(report->status, "finished") || !strcmp(report->status, "diverged");
    double x_end = (double)(over ? history->last_step : report->steps);
    const struct chart_series loss[] = {
        {CHART_RAW, "training, each point", curves->x, curves->loss, n},
        {CHART_MAIN, "training, smoothed", curves->x, curves->smooth_loss, n},
        {CHART_SECOND, "validation", curves->evaluation_x, curves->evaluation, n_evaluations}};
    const struct chart_series norm[] = {{CHART_RAW, "", curves->x, curves->norm, n},
                                        {CHART_MAIN, "", curves->x, curves->smooth_norm, n}};
    const struct chart_series speed[] = {{CHART_RAW, "", curves->x, curves->speed, n},
                                         {CHART_MAIN, "", curves->x, curves->smooth_speed, n}};
    const struct chart_series lr[] = {{CHART_MAIN, "", curves->x, curves->lr, n}};
    const struct chart charts[] = {{"Loss", "nats per token, by step", 1040, 360, x_end, false, loss, 3},
                                   {"Learning rate", "", 420, 210, x_end, true, lr, 1},
                                   {"Gradient norm", "before clipping", 420, 210, x_end, true, norm, 2},
                                   {"Speed", "tokens per second", 420, 210, x_end, true, speed, 2}};
    chart_print(&charts[0], out);
    mote_buffer_print(out, "<div class=\"row\">\n");
    for (int i = 1; i < 4; i++) chart_print(&charts[i], out);
    mote_buffer_print(out, "</div>\n");
}

static void print_samples(const struct history *history, mote_buffer *out) {
    if (!history->n_samples) return;
    mote_buffer_print(out, "<h2>What the model wrote along the way</h2>\n<div class=\"samples\">\n");
    for (int i = history->n_samples - 1; i >= 0; i--) {
        mote_buffer_print(out, "<div class=\"sample\"><span>step %lld</span><p>", (long long)history->samples[i].step);
        html_text(out, history->samples[i].text, strlen(history->samples[i].text));
        mote_buffer_print(out, "</p></div>\n");
    }
    mote_buffer_print(out, "</div>\n");
}

static void print_row(mote_buffer *out, const char *name, const char *value) {
    mote_buffer_print(out, "<tr><td>%s</td><td>", name);
    html_text(out, value, strlen(value));
    mote_buffer_print(out, "</td></tr>\n");
}

static void print_tables(const struct report *report, mote_buffer *out) {
    char text[64];
    mote_buffer_print(out, "<h2>Settings</h2>\n<div class=\"tables\">\n<table><caption>Data and machine</caption>\n");
    print_row(out, "text", text_bytes((double)report->text_bytes, text));
    snprintf(text, sizeof text, "%s, %d tokens", report->tokenizer, report->vocab);
    print_row(out, "tokenizer", text);
    snprintf(text, sizeof text, "%llu", (unsigned long long)report->train_tokens);
    print_row(out, "training tokens", text);
    snprintf(text, sizeof text, "%llu", (unsigned long long)report->validation_tokens);
    print_row(out, "validation tokens", text);
    snprintf(text, sizeof text, "%d", report->threads);
    print_row(out, "threads", text);
    print_row(out, "memory planned", text_bytes((double)report->memory_bytes, text));
    mote_buffer_print(out, "</table>\n");
    for (const struct option_group *const *group = report->groups; *group; group++) {
        bool any = false;
        for (const struct option *row = (*group)->rows; row->name; row++) {
            mote_buffer value = {0};
            if (config_value(row, NULL, &value)) {
                if (!any) mote_buffer_print(out, "<table><caption>%s</caption>\n", (*group)->title);
                any = true;
                size_t size = value.size;
                bool quoted = size > 1 && value.bytes[0] == '"';
                mote_buffer_print(out, "<tr><td>%s</td><td>", row->name);
                html_text(out, value.bytes + quoted, size - 2 * quoted);
                mote_buffer_print(out, "</td></tr>\n");
            }
            mote_buffer_deinit(&value);
        }
        if (any) mote_buffer_print(out, "</table>\n");
    }
    mote_buffer_print(out, "</div>\n");
}

mote_status report_write(const char *path, const struct report *report, mote_error *error) {
    struct curves *curves = malloc(sizeof *curves);
    if (!curves) return mote_fail(error, MOTE_MEMORY, "no memory for %s", path);
    mote_buffer out = {0};
    const char *slash = strrchr(report->model_path, '/'), *name = slash ? slash + 1 : report->model_path;
    char date[64];
    time_t now = time(NULL);
    struct tm local;
    strftime(date, sizeof date, "%Y-%m-%d %H:%M", localtime_r(&now, &local));
    mote_buffer_print(&out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                            "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>");
    html_text(&out, name, strlen(name));
    mote_buffer_print(&out, " – training</title>\n<style>\n%s</style></head>\n<body><main>\n<header>", report_style);
    mote_buffer_print(&out, "<div class=\"over\">mote training report, %s</div><h1>", date);
    html_text(&out, name, strlen(name));
    mote_buffer_print(&out, "</h1><span class=\"state %s\">%s, step %lld of %lld</span></header>\n", report->status,
                      report->status, (long long)report->history->last_step, (long long)report->steps);
    print_tiles(report, &out);
    print_charts(report, curves, &out);
    print_samples(report->history, &out);
    print_tables(report, &out);
    if (report->reasons && *report->reasons) {
        mote_buffer_print(&out, "<h2>Why these values</h2>\n<p class=\"why\">");
        html_text(&out, report->reasons, strlen(report->reasons));
        mote_buffer_print(&out, "</p>\n");
    }
    mote_buffer_print(&out, "<footer>mote %s. The same data, one object per event: run.jsonl beside this file. "
                            "config.json there starts the same run again.</footer>\n</main>\n<script>%s</script>\n"
                            "</body></html>\n", mote_version(), script);
    free(curves);
    return run_write(path, &out, error);
}
