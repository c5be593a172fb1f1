/* The blocks of ggml with 256 values in 8 or 16 parts, each with a small whole scale (and offset) that multiplies the
 * block's f16 one. Symmetric (q3_k, q6_k): value = d scale q. With offsets (q2_k, q4_k, q5_k): value = d scale q -
 * dmin offset. Unpacked, all five are this struct, so that searching is written twice and not five times. */
#ifndef MOTE_QUANT_K_QUANTS_H
#define MOTE_QUANT_K_QUANTS_H

#include "quant/block_codec.h"

enum { MOTE_K_VALUES = 256, MOTE_K_MOST_PARTS = 16 };

typedef struct {
    float d, dmin; /* as f16 keeps them */
    int16_t scale[MOTE_K_MOST_PARTS], offset[MOTE_K_MOST_PARTS];
    int8_t code[MOTE_K_VALUES];
} mote_k_block;

/* What a type's parts can hold. */
typedef struct {
    int part_values, low, high, scale_low, scale_high; /* of codes and of scales */
    bool offsets;                                      /* these run from 0 to scale_high, too */
} mote_k_form;

/* Codes for a block. search: scales by least squares, and of each part the scale and offset among their neighbours
 * that lose least; else by the largest value, or the range, of each part. */
void mote_k_encode(const mote_k_form *form, const float *values, const float *importance, bool search,
                   mote_k_block *k);

#endif
