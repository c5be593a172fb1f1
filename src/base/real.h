/* The number type of activations, gradients and scalar kernels: float; double in the build that proves gradients. */
#ifndef MOTE_BASE_REAL_H
#define MOTE_BASE_REAL_H

#ifdef MOTE_REAL_DOUBLE
typedef double mote_real;
#else
typedef float mote_real;
#endif

#endif
