/* The course of a run. Steps are averaged into at most 2048 points: when they are full, neighbours merge and each point
 * stands for twice as many steps, so a run of any length costs the same memory and the same report. */
#include "history.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "console.h"

static struct history_point mean_of(struct history_point sum, double n) {
    return (struct history_point){sum.step / n, sum.loss / n, sum.gradient_norm / n, sum.lr / n,
                                  sum.tokens_per_second / n};
}

static struct history_point add_points(struct history_point a, struct history_point b) {
    return (struct history_point){a.step + b.step, a.loss + b.loss, a.gradient_norm + b.gradient_norm, a.lr + b.lr,
                                  a.tokens_per_second + b.tokens_per_second};
}

void history_add_step(struct history *history, const mote_step_report *report) {
    enum { SMOOTH = 50 };
    struct history_point point = {(double)report->step, report->loss, report->gradient_norm, report->lr,
                                  report->seconds > 0 ? (double)report->tokens / report->seconds : 0};
    int64_t reach = 1 + history->last_step / 4; /* a young run falls too fast for a long mean */
    history->smoothed_loss += (report->loss - history->smoothed_loss) / (double)(reach < SMOOTH ? reach : SMOOTH);
    history->last_step = report->step;
    history->seconds += report->seconds;
    history->tokens += report->tokens;
    if (!history->stride) history->stride = 1;
    history->sum = add_points(history->sum, point);
    if (++history->pending < history->stride) return;
    if (history->n_points == HISTORY_POINTS) {
        for (int i = 0; i < HISTORY_POINTS / 2; i++)
            history->points[i] = mean_of(add_points(history->points[2 * i], history->points[2 * i + 1]), 2);
        history->n_points = HISTORY_POINTS / 2;
        history->stride *= 2;
        if (history->pending < history->stride) return;
    }
    history->points[history->n_points++] = mean_of(history->sum, history->pending);
    history->sum = (struct history_point){0};
    history->pending = 0;
}

void history_add_evaluation(struct history *history, int64_t step, const mote_evaluation *evaluation) {
    if (history->n_evaluations == HISTORY_EVALUATIONS) { /* every second one goes */
        for (int i = 0; i < HISTORY_EVALUATIONS / 2; i++) history->evaluations[i] = history->evaluations[2 * i + 1];
        history->n_evaluations /= 2;
    }
    history->evaluations[history->n_evaluations++] =
        (struct history_evaluation){step, evaluation->loss, evaluation->bits_per_byte, evaluation->top1};
}

void history_add_sample(struct history *history, int64_t step, const char *text, size_t bytes) {
    char *copy = malloc(bytes + 1);
    if (!copy) return;
    memcpy(copy, text, bytes);
    copy[bytes] = 0;
    if (history->n_samples == HISTORY_SAMPLES) { /* the first and the last ones tell most */
        free(history->samples[1].text);
        memmove(history->samples + 1, history->samples + 2, (HISTORY_SAMPLES - 2) * sizeof history->samples[0]);
        history->n_samples--;
    }
    history->samples[history->n_samples++] = (struct history_sample){step, copy};
}

void history_deinit(struct history *history) {
    for (int i = 0; i < history->n_samples; i++) free(history->samples[i].text);
    history->n_samples = 0;
}

/* ---- reading run.jsonl */

struct event {
    char name[16], status[16];
    mote_step_report step;
    mote_evaluation evaluation;
    double total_seconds; /* of all steps so far; 0: not said */
    mote_buffer text;
};

static void read_number(struct event *event, const char *key, double value) {
    const struct {
        const char *key;
        double *to;
    } numbers[] = {{"gradient_norm", &event->step.gradient_norm}, {"lr", &event->step.lr},
                   {"seconds", &event->step.seconds},             {"bits_per_byte", &event->evaluation.bits_per_byte},
                   {"top1", &event->evaluation.top1},             {"loss", &event->step.loss},
                   {"total_seconds", &event->total_seconds}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (!strcmp(key, numbers[i].key)) *numbers[i].to = value;
    if (!strcmp(key, "step") && fabs(value) < 9e15) event->step.step = (int64_t)value;
    if (!strcmp(key, "tokens") && value >= 0 && value < 9e15) event->step.tokens = (uint64_t)value;
    if (!strcmp(key, "total_tokens") && value >= 0 && value < 9e15) event->step.total_tokens = (uint64_t)value;
}

/* One line; false when it is not an event. */
static bool read_event(const char *line, size_t size, struct event *event) {
    mote_json json;
    mote_json_kind kind;
    char key[24];
    mote_json_init(&json, line, size);
    bool ok = mote_json_next(&json) == MOTE_JSON_OBJECT;
    while (ok && (kind = mote_json_next(&json)) == MOTE_JSON_KEY) {
        snprintf(key, sizeof key, "%s", json.string.bytes ? json.string.bytes : "");
        kind = mote_json_next(&json);
        if (kind == MOTE_JSON_NUMBER) read_number(event, key, json.number);
        else if (kind == MOTE_JSON_STRING && !strcmp(key, "text")) {
            event->text.size = 0;
            mote_buffer_append(&event->text, json.string.bytes, json.string.size);
        } else if (kind == MOTE_JSON_STRING && (!strcmp(key, "event") || !strcmp(key, "status")))
            snprintf(*key == 'e' ? event->name : event->status, sizeof event->name, "%s", json.string.bytes);
        else ok = mote_json_skip(&json, kind);
    }
    ok = ok && kind == MOTE_JSON_OBJECT_END;
    mote_json_deinit(&json);
    return ok && event->name[0];
}

mote_status history_load(const char *path, int64_t last_step, struct history *history, mote_error *error) {
    char *text;
    size_t size;
    mote_status status = read_whole(path, &text, &size, error);
    if (status) return status;
    struct event event = {0};
    for (const char *line = text; line < text + size;) {
        const char *end = memchr(line, '\n', (size_t)(text + size - line));
        if (!end) end = text + size;
        mote_buffer kept = event.text;
        kept.size = 0;
        event = (struct event){.text = kept};
        bool known = end > line && read_event(line, (size_t)(end - line), &event);
        line = end + 1;
        if (!known) continue;
        event.evaluation.loss = event.step.loss;
        if (!strcmp(event.name, "start") || !strcmp(event.name, "resume"))
            history->finished = history->diverged = false;
        if (!strcmp(event.name, "end")) {
            history->finished = !strcmp(event.status, "finished");
            history->diverged = !strcmp(event.status, "diverged");
            history->end_step = event.step.step;
        }
        /* After a crash the log runs ahead of the checkpoint; what is trained again is logged again. */
        if (event.step.step > last_step) continue;
        if (!strcmp(event.name, "step") && event.step.step > history->last_step) history_add_step(history, &event.step);
        if (event.total_seconds > 0) { /* a long run logs only some of its steps: their sum would be too little */
            history->seconds = event.total_seconds;
            history->tokens = event.step.total_tokens;
        }
        if (!strcmp(event.name, "evaluation") &&
            (!history->n_evaluations || event.step.step > history->evaluations[history->n_evaluations - 1].step))
            history_add_evaluation(history, event.step.step, &event.evaluation);
        if (!strcmp(event.name, "sample") && event.text.size &&
            (!history->n_samples || event.step.step > history->samples[history->n_samples - 1].step))
            history_add_sample(history, event.step.step, event.text.bytes, event.text.size);
    }
    mote_buffer_deinit(&event.text);
    free(text);
    return MOTE_OK;
}
