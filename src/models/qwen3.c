/* Qwen3 (Yang et al. 2025): norms on each head of q and k. A llama config that asks for these norms is one of these:
 * files have no other architecture for it. */
#include "models/decoder.h"

static const mote_decoder_style style = {
    .halves = true,
    .gate = MOTE_ACTIVATION_SILU,
    .bias = MOTE_MAY,
    .qk_norm = MOTE_MUST,
    .scalings = MOTE_SCALING(PLAIN) | MOTE_SCALING(LINEAR) | MOTE_SCALING(YARN),
};

static void complete(mote_config *c) { mote_decoder_complete(&style, c); }

static mote_status check(const mote_config *c, mote_error *error) { return mote_decoder_check(&style, c, error); }

static void build(const mote_config *c, float dropout, mote_builder *b) { mote_decoder_build(&style, c, dropout, b); }

const mote_family_info mote_family_qwen3 = {"qwen3", complete, check, build, true};
