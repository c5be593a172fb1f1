/* The decoder that all families but gpt2 are: RMSNorm, rotary positions, grouped queries, gated feed-forward part
 * (Touvron et al. 2023). A family is a style; its file says what differs and what its files can hold. */
#ifndef MOTE_MODELS_DECODER_H
#define MOTE_MODELS_DECODER_H

#include "models/blocks.h"

typedef enum { MOTE_NEVER, MOTE_MAY, MOTE_MUST } mote_need;

typedef struct {
    bool halves;                /* rotary pairs are (i, i + n / 2), not (2i, 2i + 1) */
    bool post_norms;            /* a norm behind attention and behind the feed-forward part too */
    bool embedding_by_width;    /* embeddings times sqrt(dim) */
    bool local_layers;          /* windows have a period, a rotary base of their own, and scores a scale */
    mote_activation gate;
    mote_need bias, qk_norm;    /* biases of q, k and v; norms of each head of q and k */
    int no_rope_period;         /* 0: every layer turns */
    unsigned scalings;          /* rotary scalings there are, bits 1 << mote_rope_scaling */
} mote_decoder_style;

#define MOTE_SCALING(kind) (1u << MOTE_ROPE_##kind)

/* The default width of the feed-forward part. */
void mote_decoder_complete(const mote_decoder_style *style, mote_config *config);
mote_status mote_decoder_check(const mote_decoder_style *style, const mote_config *config, mote_error *error);
void mote_decoder_build(const mote_decoder_style *style, const mote_config *config, float dropout, mote_builder *b);

#endif
