/* Rotary frequencies, plain and scaled, for the op's tables and for the file formats that state them. */
#ifndef MOTE_OPS_ROPE_H
#define MOTE_OPS_ROPE_H

#include "program/program.h"

/* Radians a position adds to pair `pair` of a head: base^(-2 pair / head_dim), scaled. */
double mote_turns_frequency(const mote_turns *turns, int pair);
/* By what scaling divides the plain frequency of a pair. */
double mote_turns_divisor(const mote_turns *turns, int pair);

#endif
