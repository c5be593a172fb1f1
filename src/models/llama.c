/* Llama (Touvron et al. 2023): the plain decoder. Rows of q and k are in the order of adjacent pairs. */
#include "models/decoder.h"

static const mote_decoder_style style = {
    .gate = MOTE_ACTIVATION_SILU,
    .bias = MOTE_MAY,
    .scalings = MOTE_SCALING(PLAIN) | MOTE_SCALING(LINEAR) | MOTE_SCALING(LLAMA3) | MOTE_SCALING(YARN),
};

static void complete(mote_config *c) { mote_decoder_complete(&style, c); }

static mote_status check(const mote_config *c, mote_error *error) { return mote_decoder_check(&style, c, error); }

static void build(const mote_config *c, float dropout, mote_builder *b) { mote_decoder_build(&style, c, dropout, b); }

const mote_family_info mote_family_llama = {"llama", complete, check, build, true};
