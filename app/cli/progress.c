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

/* What does not fit is left out whole, the least telling first: learning rate, speed, steps, validation, bar. */
static void draw(struct progress *progress, const struct progress_state *state) {
    enum { LOSS, VALIDATION, RATE, SPEED, LEFT, PARTS, LEAST_BAR = 6, MOST_BAR = 40 };
    char part[PARTS][48], head[48], speed[SHORT_TEXT], left[SHORT_TEXT];
    snprintf(head, sizeof head, "%lld/%lld ", (long long)state->step, (long long)progress->steps);
    snprintf(part[LOSS], sizeof part[0], " loss %.4f", state->loss);
    part[VALIDATION][0] = 0;
    if (isfinite(progress->validation))
        snprintf(part[VALIDATION], sizeof part[0], "  val %.4f", progress->validation);
    snprintf(part[RATE], sizeof part[0], "  lr %.2e", state->lr);
    snprintf(part[SPEED], sizeof part[0], "  %s tok/s", text_count(floor(state->tokens_per_second + 0.5), speed));
    snprintf(part[LEFT], sizeof part[0], "  %s left", text_seconds(seconds_left(progress, state->step), left));
    static const int leave[] = {RATE, SPEED, -1, VALIDATION, -2, LEFT, LOSS};
    enum { N_LEAVE = sizeof leave / sizeof *leave };
    int width = console_width() - 1, least = LEAST_BAR, room = 0;
    for (int i = 0; i <= N_LEAVE; i++) {
        room = width - (int)strlen(head);
        for (int p = 0; p < PARTS; p++) room -= (int)strlen(part[p]);
        if (room >= least || i == N_LEAVE) break;
        if (leave[i] >= 0) part[leave[i]][0] = 0;
        else if (leave[i] == -1) head[0] = 0;
        else least = 0;
    }
    fputs("\r\033[K", stderr);
    fputs(head, stderr);
    if (room > MOST_BAR) room = MOST_BAR;
    if (least) draw_bar((double)state->step / (double)progress->steps, room, console_color());
    for (int p = 0; p < PARTS; p++) fputs(part[p] + (p == LOSS && !least && !head[0]), stderr);
    fflush(stderr);
    progress->drawn = true;
}

/* `measured` at this step: a line with the loss of an earlier one would be read as this one's. */
static void print_line(const struct progress *progress, const struct progress_state *state, bool measured) {
    char speed[SHORT_TEXT], left[SHORT_TEXT], validation[24] = "";
    if (measured && isfinite(progress->validation))
        snprintf(validation, sizeof validation, "  val %.4f", progress->validation);
    if (progress->terminal) { /* the bar below it has the rest */
        note("step %lld/%lld  loss %.4f%s", (long long)state->step, (long long)progress->steps, state->loss,
             validation);
        return;
    }
    note("step %lld/%lld  loss %.4f%s  lr %.3e  %s tokens/s  %s left", (long long)state->step,
         (long long)progress->steps, state->loss, validation, state->lr,
         text_count(floor(state->tokens_per_second + 0.5), speed),
         text_seconds(seconds_left(progress, state->step), left));
}

void progress_show(struct progress *progress, const struct progress_state *state, bool always) {
    if (progress->quiet) return;
    if (progress->terminal) {
        double now = now_seconds();
        if (always) {
            progress_clear(progress);
            print_line(progress, state, true);
        } else if (state->step < progress->steps && now - progress->last_draw < 0.1) return;
        progress->last_draw = now;
        draw(progress, state);
        return;
    }
    if (!always && state->step < progress->next_line) return;
    int64_t every = progress->steps / 20 > 0 ? progress->steps / 20 : 1;
    while (progress->next_line <= state->step)
        progress->next_line += progress->next_line < every ? every - progress->next_line : every;
    print_line(progress, state, always);
}

void progress_leave(struct progress *progress) {
    if (!progress->drawn) return;
    fputc('\n', stderr);
    progress->drawn = false;
}

void progress_clear(struct progress *progress) {
    if (!progress->drawn) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    progress->drawn = false;
}
