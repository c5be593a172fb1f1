/* Gemma 3, text only (Gemma Team 2025): norms on both sides of each part, GELU gate, embeddings by the root of the
 * width, and five layers with a window to one that sees the whole context. Rotary scaling is for that one only. */
#include <math.h>

#include "models/decoder.h"

static const mote_decoder_style style = {
    .halves = true,
    .post_norms = true,
    .embedding_by_width = true,
    .local_layers = true,
    .gate = MOTE_ACTIVATION_GELU,
    .qk_norm = MOTE_MUST,
    .scalings = MOTE_SCALING(PLAIN) | MOTE_SCALING(LINEAR),
};

enum { PERIOD = 6 };

static void complete(mote_config *c) {
    mote_decoder_complete(&style, c);
    if (c->window < 0) c->window = c->context >= 4 ? c->context / 4 : 1;
    if (c->window == 0) { /* every layer sees the whole context: there is nothing local */
        c->full_attention_period = 0;
        c->rope_base_window = 0;
    } else {
        /* fewer layers: the last one sees all */
        if (c->full_attention_period <= 0) c->full_attention_period = c->layers < PERIOD ? c->layers : PERIOD;
        if (!(c->rope_base_window > 0)) c->rope_base_window = 10000;
    }
    if (!(c->rope_base > 0)) c->rope_base = 1e6f;
    if (!(c->norm_epsilon > 0)) c->norm_epsilon = 1e-6f;
    float usual = 1 / sqrtf((float)c->head_dim);
    if (!(fabsf(c->query_scale - usual) > 1e-6f * usual)) c->query_scale = 0;
}

static mote_status check(const mote_config *c, mote_error *error) { return mote_decoder_check(&style, c, error); }

static void build(const mote_config *c, float dropout, mote_builder *b) { mote_decoder_build(&style, c, dropout, b); }

const mote_family_info mote_family_gemma3 = {"gemma3", complete, check, build, true};
