/* The names of the steps. */
#include "text/pipeline.h"

#include <string.h>

static const struct {
    const char *name;
    mote_stage stage;
} steps[MOTE_N_STEPS] = {
#define X(id, text, at) {text, MOTE_STAGE_##at},
    MOTE_STEP_LIST(X)
#undef X
};

const char *mote_step_name(mote_step_kind kind) { return steps[kind].name; }
mote_stage mote_step_stage(mote_step_kind kind) { return steps[kind].stage; }

mote_step_kind mote_step_find(mote_stage stage, mote_string name) {
    for (int i = 0; i < MOTE_N_STEPS; i++)
        if (steps[i].stage == stage && strlen(steps[i].name) == name.size &&
            memcmp(steps[i].name, name.bytes, name.size) == 0)
            return (mote_step_kind)i;
    return MOTE_N_STEPS;
}
