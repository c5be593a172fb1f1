/* Runs are judged in windows of eight, and only windows that follow each other are compared, because a token costs more
 * the longer its sequence is. The choice that lost is tried again after so many windows that trials cost a hundredth of
 * the time. A run of all threads that stalls, because another process has a core, ends its window at once. */
#include "run/pace.h"

enum { WINDOW = 8, WAKING = 2, LEAST_WAIT = 8, STALL_WAIT = 16, STALL = 8, MOST_STALLS = 8 };
/* WAKING: runs that wake the threads, not counted, in which a stall must be longer than this */
static const double waking_seconds = 200e-6;

static void change(mote_pace *p, bool trying) {
    p->alone = !p->alone;
    p->trying = trying;
}

/* Another kind of run follows: what was measured does not compare with it. */
static void start_again(mote_pace *p) {
    if (p->trying || p->wait < 1) p->wait = 1;
    if (p->trying) change(p, false);
    p->last = 0;
    p->sum = 0;
    p->runs = 0;
}

void mote_pace_add(mote_pace *p, int tokens, int position, double seconds) {
    if (tokens != p->tokens || position < p->position) start_again(p);
    p->tokens = tokens;
    p->position = position;
    bool stalled = !p->alone && p->last > 0 && seconds > STALL * p->last + waking_seconds;
    if (p->runs++ >= WAKING) p->sum += seconds;
    if (p->runs < WINDOW && !stalled) return;
    double now = stalled ? seconds : p->sum / (WINDOW - WAKING), before = p->last;
    p->last = now;
    p->sum = 0;
    p->runs = 0;
    if (p->trying) {
        double loss = now > before ? now / before - 1 : now > 0 ? before / now - 1 : 0; /* a coarse clock may say 0 */
        bool far = loss > 4; /* a stall, or after one: rare for now, and rarer each time */
        if (far && p->stalls < MOST_STALLS) p->stalls++;
        if (!far) p->stalls = 0;
        p->wait = far ? STALL_WAIT << p->stalls : LEAST_WAIT + (int)(loss * 100);
        p->trying = false;
        if (now > before) {
            change(p, false);
            p->last = 0;
        }
    } else if (before > 0 && (--p->wait <= 0 || stalled)) {
        change(p, true);
    }
}
