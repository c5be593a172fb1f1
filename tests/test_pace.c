/* The choice between one thread and all while decoding, on made-up times. */
#include "run/pace.h"

#include "test.h"

enum { RUNS = 20000 };

/* Part of `RUNS` runs that all threads did, when a token takes `all` and `alone` seconds and every `period`-th run of
 * all threads stalls for `stall`. Tokens get slower with their position, as attention makes them. */
static double part_of_all(double all, double alone, int period, double stall, int context) {
    mote_pace pace = {0};
    int n = 0;
    for (int i = 0; i < RUNS; i++) {
        double seconds = (pace.alone ? alone : all) * (1 + (double)(i % context) / context);
        if (!pace.alone && period && i % period == 0) seconds += stall;
        n += !pace.alone;
        mote_pace_add(&pace, 1, i % context, seconds);
    }
    return (double)n / RUNS;
}

static void the_faster_is_kept(void) {
    double all = part_of_all(20e-6, 30e-6, 0, 0, 256), alone = part_of_all(30e-6, 20e-6, 0, 0, 256),
           near = part_of_all(30e-6, 29e-6, 0, 0, 256);
    CHECK(all > 0.9, "all threads are faster, yet they do %.0f %% of the runs", 100 * all);
    CHECK(alone < 0.1, "one thread is faster, yet all do %.0f %% of the runs", 100 * alone);
    CHECK(near < 0.7, "one thread is a little faster, yet all do %.0f %% of the runs", 100 * near);
}

/* All threads would be faster but for stalls of another process, which cost more than they save. */
static void stalls(void) {
    double often = part_of_all(20e-6, 30e-6, 20, 2e-3, 4096), never = part_of_all(20e-6, 30e-6, 0, 0, 4096);
    CHECK(often < 0.1, "with stalls all threads do %.0f %% of the runs", 100 * often);
    CHECK(never > 0.9, "without stalls all threads do %.0f %% of the runs", 100 * never);
    /* one bad moment is forgotten */
    double once = part_of_all(20e-6, 30e-6, RUNS - 1, 2e-3, 4096);
    CHECK(once > 0.8, "after one stall all threads do %.0f %% of the runs", 100 * once);
}

/* Another size of batch starts anew, and a trial that it cuts short decides nothing. */
static void another_batch(void) {
    mote_pace pace = {0};
    int changes = 0;
    for (int i = 0; i < 1000; i++) {
        bool before = pace.alone;
        mote_pace_add(&pace, 1 + i % 2, i, 1e-5);
        changes += before != pace.alone;
    }
    CHECK(changes == 0 && !pace.alone, "%d changes without a whole window", changes);
}

int main(void) {
    RUN(the_faster_is_kept);
    RUN(stalls);
    RUN(another_batch);
    return test_finish();
}
