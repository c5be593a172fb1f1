/* Constants and small formulas that the scalar reference and the vector kernels share. */
#ifndef MOTE_KERNELS_FORMULAS_H
#define MOTE_KERNELS_FORMULAS_H

#include "base/real.h"

#include <math.h>

/* GELU's tanh form (Hendrycks, Gimpel 2016): x/2 (1 + tanh(u)) with u = sqrt(2/pi) (x + 0.044715 x^3). Since
 * (1 + tanh(u)) / 2 = sigmoid(2u), both activations are x sigmoid(z): z = x for SiLU, z = 2u for GELU. That needs one
 * exp, and keeps the relative precision of the left tail, which 1 + tanh loses. */
#define MOTE_GELU_LINEAR ((mote_real)1.5957691216057308)  /* 2 sqrt(2/pi) */
#define MOTE_GELU_CUBIC ((mote_real)0.07135481282562646)  /* 0.044715 * 2 sqrt(2/pi) */

/* 8-bit activations: the bits of infinity and of the NaN that stands for a block without finite scale, and the largest
 * magnitude below which a block is zero (127 / it must be finite). */
#define MOTE_INFINITE_BITS 0x7f800000u
#define MOTE_NAN_BITS 0x7fc00000u
#define MOTE_SMALLEST_LARGEST 1e-30f

/* a * b + c, rounded once: the only multiply-add of the products, so that every instruction set agrees. */
static inline mote_real mote_fused(mote_real a, mote_real b, mote_real c) {
#ifdef MOTE_REAL_DOUBLE
    return fma(a, b, c);
#else
    return fmaf(a, b, c);
#endif
}

static inline mote_real mote_exp(mote_real x) {
#ifdef MOTE_REAL_DOUBLE
    return exp(x);
#else
    return expf(x);
#endif
}

static inline mote_real mote_sqrt(mote_real x) {
#ifdef MOTE_REAL_DOUBLE
    return sqrt(x);
#else
    return sqrtf(x);
#endif
}

#endif
