/* Progress: at most ten redraws a second, about twenty plain lines a run. The time left counts evaluations and saves
 * in, since it is wall time over steps. */
#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "console.h"

void progress_begin(struct progress *progress, int64_t first, int64_t steps, bool quiet) {
    double deadline = progress->deadline;
    *progress = (struct progress){.terminal = console_is_terminal(), .quiet = quiet, .first = first, .steps = steps,
                                  .start = now_seconds(), .validation = NAN, .deadline = deadline};
    int64_t every = steps / 20 > 0 ? steps / 20 : 1, early = steps < 20 ? 1 : 5;
    /* The first line comes before step 10: it tells how long the rest will take. */
    progress->next_line = first + (every < early ? every : early);
}

static double seconds_left(const struct progress *progress, int64_t step) {
    double now = now_seconds();
    if (step <= progress->first) return NAN;
    double left = (now - progress->start) / (double)(step - progress->first) * (double)(progress->steps - step);
    if (progress->deadline > 0 && progress->deadline - now < left) left = fmax(0, progress->deadline - now);
    return left;
}

static void draw_bar(double part, int width, bool color) {
    static const char *const eighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    int filled = (int)(part * width * 8 + 0.5);
    if (color) fputs("\033[36m", stderr);
    for (int i = 0; i < width; i++) {
        int here = filled - 8 * i;
        fputs(here >= 8 ? "█" : eighths[here > 0 ? here : 0], stderr);
    }
    if (color) fputs("\033[0m", stderr);
}

static void draw(struct progress *progress, const struct progress_state *state) {
    char tail[160], speed[SHORT_TEXT], left[SHORT_TEXT], head[48], validation[24] = "";
    if (isfinite(progress->validation)) snprintf(validation, sizeof validation, "  val %.4f", progress->validation);
    int head_size = snprintf(head, sizeof head, "%lld/%lld ", (long long)state->step, (long long)progress->steps);
    int tail_size = snprintf(tail, sizeof tail, " loss %.4f%s  lr %.2e  %s tok/s  %s left", state->loss, validation,
                             state->lr, text_count(floor(state->tokens_per_second + 0.5), speed),
                             text_seconds(seconds_left(progress, state->step), left));
    int width = console_width() - 1, bar = width - head_size - tail_size;
    if (bar > 40) bar = 40;
    fprintf(stderr, "\r\033[K%.*s", width, head);
    if (bar >= 4) draw_bar((double)state->step / (double)progress->steps, bar, console_color());
    if (head_size < width) fprintf(stderr, "%.*s", width - head_size, tail);
    fflush(stderr);
    progress->drawn = true;
}

void progress_show(struct progress *progress, const struct progress_state *state, bool always) {
    if (progress->quiet) return;
    if (progress->terminal) {
        double now = now_seconds();
        if (!always && state->step < progress->steps && now - progress->last_draw < 0.1) return;
        progress->last_draw = now;
        draw(progress, state);
        return;
    }
    if (!always && state->step < progress->next_line) return;
    int64_t every = progress->steps / 20 > 0 ? progress->steps / 20 : 1;
    while (progress->next_line <= state->step)
        progress->next_line += progress->next_line < every ? every - progress->next_line : every;
    char speed[SHORT_TEXT], left[SHORT_TEXT], validation[24] = "";
    if (isfinite(progress->validation)) snprintf(validation, sizeof validation, "  val %.4f", progress->validation);
    note("step %lld/%lld  loss %.4f%s  lr %.3e  %s tokens/s  %s left", (long long)state->step,
         (long long)progress->steps, state->loss, validation, state->lr,
         text_count(floor(state->tokens_per_second + 0.5), speed),
         text_seconds(seconds_left(progress, state->step), left));
}

void progress_clear(struct progress *progress) {
    if (!progress->drawn) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    progress->drawn = false;
}
