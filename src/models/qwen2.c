/* Qwen2 and 2.5 (Yang et al. 2024): biases on queries, keys and values. */
#include "models/decoder.h"

static const mote_decoder_style style = {
    .halves = true,
    .gate = MOTE_ACTIVATION_SILU,
    .bias = MOTE_MUST,
    .scalings = MOTE_SCALING(PLAIN) | MOTE_SCALING(LINEAR) | MOTE_SCALING(YARN),
};

static void complete(mote_config *c) { mote_decoder_complete(&style, c); }

static mote_status check(const mote_config *c, mote_error *error) { return mote_decoder_check(&style, c, error); }

static void build(const mote_config *c, float dropout, mote_builder *b) { mote_decoder_build(&style, c, dropout, b); }

const mote_family_info mote_family_qwen2 = {"qwen2", complete, check, build, false};
