/* Learning-rate schedules. Every decay ends exactly at min_lr: the last step is where a linear-to-zero run gains most,
 * and a test can compare with the closed form. WSD decays by 1 - sqrt(t), which Haegele et al. (2024) found better than
 * linear. */
#include "train/schedule.h"

#include <math.h>

static double between(double low, double high, double part) {
    return low + (high - low) * part;
}

/* Position of `step` in [begin, end): 0 at the first, 1 at the last. */
static double progress(int64_t step, int64_t begin, int64_t end) {
    return end - begin <= 1 ? 0.0 : (double)(step - begin) / (double)(end - begin - 1);
}

static double cosine(double t) {
    return t >= 1.0 ? 0.0 : 0.5 * (1.0 + cos(M_PI * t)); /* cos(pi) is not exactly -1 everywhere */
}

static int64_t wsd_decay_start(const mote_train_options *options) {
    int64_t decay = (int64_t)(options->decay_part * (double)options->steps + 0.5);
    int64_t start = options->steps - decay;
    return start < options->warmup ? options->warmup : start;
}

/* Cycles of equal length to within one step; each falls from lr to min_lr (Loshchilov, Hutter 2017). */
static double restarts_part(const mote_train_options *options, int64_t step) {
    int64_t n = options->steps - options->warmup, cycles = options->restarts < 1 ? 1 : options->restarts;
    if (cycles > n) cycles = n;
    int64_t k = step - options->warmup;
    int64_t cycle = (int64_t)((double)k / (double)n * (double)cycles);
    while (cycle > 0 && k < cycle * n / cycles) cycle--;
    while (cycle < cycles - 1 && k >= (cycle + 1) * n / cycles) cycle++;
    return cosine(progress(k, cycle * n / cycles, (cycle + 1) * n / cycles));
}

double mote_schedule_lr(const mote_train_options *options, int64_t step) {
    double lr = options->lr, min_lr = options->min_lr;
    if (step >= options->steps) step = options->steps - 1;
    if (step < 0) step = 0;
    if (step < options->warmup) return lr * (double)(step + 1) / (double)(options->warmup + 1);
    double t = progress(step, options->warmup, options->steps);
    switch (options->schedule) {
    case MOTE_SCHEDULE_CONSTANT: return lr;
    case MOTE_SCHEDULE_LINEAR: return t <= 0.0 ? lr : between(min_lr, lr, 1.0 - t);
    case MOTE_SCHEDULE_COSINE: return t <= 0.0 ? lr : between(min_lr, lr, cosine(t));
    case MOTE_SCHEDULE_COSINE_RESTARTS: {
        double part = restarts_part(options, step);
        return part >= 1.0 ? lr : between(min_lr, lr, part);
    }
    case MOTE_SCHEDULE_WSD: {
        int64_t start = wsd_decay_start(options);
        if (step < start || options->steps - options->warmup <= 1) return lr;
        double done = (double)(step - start + 1) / (double)(options->steps - start);
        return between(min_lr, lr, 1.0 - sqrt(done));
    }
    }
    return lr;
}

int64_t mote_schedule_common_steps(const mote_train_options *options) {
    switch (options->schedule) {
    case MOTE_SCHEDULE_CONSTANT: return INT64_MAX;
    case MOTE_SCHEDULE_WSD: return wsd_decay_start(options);
    default: return options->warmup < options->steps ? options->warmup : options->steps;
    }
}

const char *mote_schedule_name(mote_schedule schedule) {
    static const char *const names[] = {"constant", "linear", "cosine", "cosine-restarts", "wsd"};
    return (unsigned)schedule < sizeof names / sizeof *names ? names[schedule] : "unknown";
}
