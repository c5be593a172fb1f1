/* One thread or all of them: which decodes faster, found while decoding. Any number of threads gives the same bits, so
 * it may change between two tokens. Nothing else can know: it depends on the model's size, the caches and where the
 * cores lie, and threads that meet thirty times a token fall to a tenth when another process takes one of the cores. */
#ifndef MOTE_RUN_PACE_H
#define MOTE_RUN_PACE_H

#include <stdbool.h>

typedef struct {
    bool alone;       /* the present choice */
    bool trying;      /* it is on trial: `last` is of the other */
    double sum, last; /* seconds of the present window; seconds a token of the window before */
    int runs;         /* in the window */
    int tokens, position; /* of the last run; position: of its first token */
    int wait;         /* windows until the other choice is tried again */
    int stalls;       /* trials in a row that another process decided */
} mote_pace;

/* A run of `tokens` tokens, the first at `position`, took `seconds` with the present choice; makes the next. Runs that
 * were neither, as when a pool went on alone by itself, are left out. */
void mote_pace_add(mote_pace *pace, int tokens, int position, double seconds);

#endif
