/* A profile in the forms that people read: rows of the same kind or name brought together, text, a page. */
#ifndef MOTE_CLI_PROFILE_H
#define MOTE_CLI_PROFILE_H

#include "command.h"

/* Several rows of a profile as one. */
struct profile_sum {
    const char *op, *name; /* name: NULL for all of one kind */
    int first_layer, last_layer;
    uint64_t calls;
    double seconds, waiting_seconds, flops, bytes, roof_seconds;
    double bound_seconds; /* roof_seconds of the row that gave `bound` */
    const char *bound;
};

enum profile_by { BY_KIND, BY_NAME, BY_OP };
/* In the order of the program, kinds with the longest first; n sums, freed with free(). NULL: no memory. */
struct profile_sum *profile_sums(const mote_profile *profile, enum profile_by by, int *n);
/* The largest part of its roof that one of them comes to, in percent. */
double profile_most(const struct profile_sum *sums, int n);
/* Time that is no op's: a title and seconds each; how many of the six are shown. */
struct profile_rest {
    const char *title;
    double seconds;
};
enum { PROFILE_RESTS = 6 };
int profile_rests(const mote_profile *profile, struct profile_rest rests[PROFILE_RESTS]);
/* The peaks of arithmetic that ops are held against: f32, and what else some of them multiply in. */
struct profile_peak {
    const char *name, *unit;
    double speed; /* a second */
};
enum { PROFILE_PEAKS = 3 };
int profile_peaks(const mote_profile *profile, struct profile_peak peaks[PROFILE_PEAKS]);
const char *profile_title(const mote_profile *profile, char *text, size_t size);

mote_status profile_print(const mote_profile *profile, const char *model, bool all_layers, mote_error *error);
mote_status profile_report(const mote_profile *profile, const char *model, const char *path, mote_error *error);

#endif
