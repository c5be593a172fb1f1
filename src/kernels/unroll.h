/* Loops over registers: an array is registers only where each of its indices is a constant. */
#ifndef MOTE_KERNELS_UNROLL_H
#define MOTE_KERNELS_UNROLL_H

#define STRINGS(x) #x
#define UNROLL_BY(n) _Pragma(STRINGS(GCC unroll n))

#endif
