/* SmolLM3 (Bakouch et al. 2025): Llama with every fourth layer left without rotary positions. Rows of q and k are in
 * the order of adjacent pairs. */
#include "models/decoder.h"

static const mote_decoder_style style = {
    .gate = MOTE_ACTIVATION_SILU,
    .bias = MOTE_MAY,
    .no_rope_period = 4, /* files have no key for another */
    .scalings = MOTE_SCALING(PLAIN) | MOTE_SCALING(LINEAR) | MOTE_SCALING(YARN),
};

static void complete(mote_config *c) { mote_decoder_complete(&style, c); }

static mote_status check(const mote_config *c, mote_error *error) { return mote_decoder_check(&style, c, error); }

static void build(const mote_config *c, float dropout, mote_builder *b) { mote_decoder_build(&style, c, dropout, b); }

const mote_family_info mote_family_smollm3 = {"smollm3", complete, check, build, true};
