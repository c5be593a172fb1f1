/* f16: IEEE 754 binary16. Both directions are exact in the sense of the standard: denormals kept, rounding to nearest
 * even, overflow to infinity, NaN stays NaN with its sign and upper payload and becomes quiet, as the F16C instructions
 * do. */
#include "quant/rows.h"
#include "quant/types.h"

#include <string.h>

static float from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t to_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

float mote_f16_to_f32(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 31, mantissa = half & 0x3ffu;
    if (exponent == 31) return from_bits(sign | 0x7f800000u | (mantissa ? 0x400000u | mantissa << 13 : 0));
    if (exponent) return from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
    /* Zero or denormal: mantissa * 2^-24. The integer has at most 10 bits, so the product is exact and normal. */
    float magnitude = (float)mantissa * 0x1p-24f;
    return from_bits(sign | to_bits(magnitude));
}

uint16_t mote_f32_to_f16(float value) {
    uint32_t bits = to_bits(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x1ffu));
    if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and above round to infinity */
    if (magnitude < 0x33000000u) return (uint16_t)sign;              /* below 2^-25: nearest is zero */
    uint32_t exponent = magnitude >> 23, mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    /* A normal half keeps the upper 11 of 24 bits, a denormal one bit less for each step below 2^-14. */
    uint32_t shift = exponent >= 113 ? 13 : 126 - exponent;
    uint32_t kept = mantissa >> shift, lost = mantissa & ((1u << shift) - 1), middle = 1u << (shift - 1);
    if (lost > middle || (lost == middle && (kept & 1))) kept++;
    /* `kept` carries the hidden bit, which adds one to the exponent; so does a mantissa that rounded up to 2^11. */
    return (uint16_t)(sign | (exponent >= 113 ? ((exponent - 113) << 10) + kept : kept));
}

void mote_f16_row_to_f32(const void *row, float *values, size_t n) {
    const char *bytes = row;
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, bytes + i * sizeof half, sizeof half);
        values[i] = mote_f16_to_f32(half);
    }
}

void mote_f16_row_from_f32(const float *values, void *row, size_t n) {
    char *bytes = row;
    for (size_t i = 0; i < n; i++) {
        uint16_t half = mote_f32_to_f16(values[i]);
        memcpy(bytes + i * sizeof half, &half, sizeof half);
    }
}
