#!/usr/bin/env python3
"""Writes tests/data/golden_quant.bin: blocks of ggml's types and what they stand for, computed here from the format's
description with numpy's binary32, one value at a time, and rows as ggml's reference quantizers make them.

Records, little-endian: u32 id of the type, u32 kind (0: bytes -> values, 1: values -> bytes), u32 n_bytes,
u32 n_values, the bytes, the values as f32.

usage: tools/make_goldens_quant.py            (needs numpy)
"""
import struct

import numpy as np

f32, rng = np.float32, np.random.default_rng(11)


def half(raw, at):
    return f32(np.frombuffer(raw[at : at + 2], np.float16)[0])


def nibbles_32(raw):
    return [b & 15 for b in raw] + [b >> 4 for b in raw]


def fifth_bits(raw):
    word = int.from_bytes(raw, "little")
    return [(word >> j & 1) << 4 for j in range(32)]


def q8_0(b):
    return [f32(np.int8(q)) * half(b, 0) for q in np.frombuffer(b[2:], np.int8)]


def q4_0(b):
    return [f32(q - 8) * half(b, 0) for q in nibbles_32(b[2:])]


def q4_1(b):
    return [f32(q) * half(b, 0) + half(b, 2) for q in nibbles_32(b[4:])]


def q5_0(b):
    return [f32((q | h) - 16) * half(b, 0) for q, h in zip(nibbles_32(b[6:]), fifth_bits(b[2:6]))]


def q5_1(b):
    return [f32(q | h) * half(b, 0) + half(b, 2) for q, h in zip(nibbles_32(b[8:]), fifth_bits(b[4:8]))]


def iq4_nl(b):
    levels = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]
    return [f32(levels[q]) * half(b, 0) for q in nibbles_32(b[2:])]


def two_bits(raw):
    """64 bytes: two halves of 128; in each, four planes of 32."""
    out = []
    for part in (raw[:32], raw[32:64]):
        for plane in range(4):
            out += [byte >> 2 * plane & 3 for byte in part]
    return out


def planes(raw):
    return [byte >> plane & 1 for plane in range(8) for byte in raw]


def nibbles_256(raw):
    out = []
    for quarter in range(4):
        out += nibbles_32(raw[32 * quarter : 32 * quarter + 32])
    return out


def q2_k(b):
    d, dmin, out = half(b, 80), half(b, 82), []
    for e, q in enumerate(two_bits(b[16:80])):
        out.append((d * f32(b[e // 16] & 15)) * f32(q) - dmin * f32(b[e // 16] >> 4))
    return out


def q3_k(b):
    low = [b[96 + j] & 15 for j in range(8)] + [b[96 + j] >> 4 for j in range(8)]
    high = [b[104 + j % 4] >> 2 * (j // 4) & 3 for j in range(16)]
    scales = [(lo | hi << 4) - 32 for lo, hi in zip(low, high)]
    d, out = half(b, 108), []
    for e, (q, h) in enumerate(zip(two_bits(b[32:96]), planes(b[:32]))):
        out.append((d * f32(scales[e // 16])) * f32(q - (0 if h else 4)))
    return out


def scales_45(s):
    scale = [s[j] & 63 for j in range(4)] + [(s[8 + j] & 15) | (s[j] >> 6) << 4 for j in range(4)]
    least = [s[4 + j] & 63 for j in range(4)] + [s[8 + j] >> 4 | (s[4 + j] >> 6) << 4 for j in range(4)]
    return scale, least


def q4_k(b):
    scale, least = scales_45(b[4:16])
    d, dmin = half(b, 0), half(b, 2)
    return [(d * f32(scale[e // 32])) * f32(q) - dmin * f32(least[e // 32]) for e, q in enumerate(nibbles_256(b[16:]))]


def q5_k(b):
    scale, least = scales_45(b[4:16])
    d, dmin = half(b, 0), half(b, 2)
    codes = [q | h << 4 for q, h in zip(nibbles_256(b[48:]), planes(b[16:48]))]
    return [(d * f32(scale[e // 32])) * f32(q) - dmin * f32(least[e // 32]) for e, q in enumerate(codes)]


def q6_k(b):
    out, scales, d = [], np.frombuffer(b[192:208], np.int8), half(b, 208)
    for n in range(2):
        ql, qh = b[64 * n : 64 * n + 64], b[128 + 32 * n : 160 + 32 * n]
        low = [v & 15 for v in ql] + [v >> 4 for v in ql]
        out += [(low[r] | (qh[r % 32] >> 2 * (r // 32) & 3) << 4) - 32 for r in range(128)]
    return [(d * f32(scales[e // 16])) * f32(q) for e, q in enumerate(out)]


# name: id, bytes, decoder, offsets of f16 scales
TYPES = {
    "q8_0": (8, 34, q8_0, [0]), "q4_0": (2, 18, q4_0, [0]), "q4_1": (3, 20, q4_1, [0, 2]),
    "q5_0": (6, 22, q5_0, [0]), "q5_1": (7, 24, q5_1, [0, 2]), "iq4_nl": (20, 18, iq4_nl, [0]),
    "q2_k": (10, 84, q2_k, [80, 82]), "q3_k": (11, 110, q3_k, [108]), "q4_k": (12, 144, q4_k, [0, 2]),
    "q5_k": (13, 176, q5_k, [0, 2]), "q6_k": (14, 210, q6_k, [208]),
}


def h16(value):
    return np.float16(value).tobytes()


def round_half_away(v):
    return int(np.sign(v)) * int(np.floor(abs(float(v)) + 0.5))


def ref_symmetric(x, n):
    """q4_0 (n = 8), q5_0 (n = 16): the codes and the scale."""
    extreme = max(x, key=abs)
    d = f32(extreme) / f32(-n)
    inverse = f32(1) / d if d else f32(0)
    return d, [min(2 * n - 1, int(v * inverse + f32(n + 0.5))) for v in x]


def ref_affine(x, n):
    """q4_1 (n = 15), q5_1 (n = 31)."""
    low, high = min(x), max(x)
    d = (high - low) / f32(n)
    inverse = f32(1) / d if d else f32(0)
    return d, low, [int((v - low) * inverse + f32(0.5)) for v in x]


def pack_nibbles(q):
    return bytes((q[j] & 15) | (q[j + 16] & 15) << 4 for j in range(16))


def pack_fifth(q):
    return sum((q[j] >> 4) << j for j in range(32)).to_bytes(4, "little")


def reference(name, x):
    if name == "q8_0":
        d = max(abs(v) for v in x) / f32(127)
        inverse = f32(1) / d if d else f32(0)
        return h16(d) + np.array([round_half_away(v * inverse) for v in x], np.int8).tobytes()
    if name in ("q4_0", "q5_0"):
        d, q = ref_symmetric(x, 8 if name == "q4_0" else 16)
        return h16(d) + (pack_fifth(q) if name == "q5_0" else b"") + pack_nibbles(q)
    d, low, q = ref_affine(x, 15 if name == "q4_1" else 31)
    return h16(d) + h16(low) + (pack_fifth(q) if name == "q5_1" else b"") + pack_nibbles(q)


def main():
    with open("tests/data/golden_quant.bin", "wb") as out:
        def record(type_id, kind, raw, values):
            values = np.array(values, np.float32)
            out.write(struct.pack("<4I", type_id, kind, len(raw), len(values)) + raw + values.tobytes())

        for type_id, size, decode, halves in TYPES.values():
            for case in range(2):
                raw = bytearray(rng.integers(0, 256, size, np.uint8).tobytes())
                for at in halves:
                    raw[at : at + 2] = h16(rng.standard_normal() * (0.01 if case else 1e-6))
                record(type_id, 0, bytes(raw), decode(bytes(raw)))
        for name in ("q8_0", "q4_0", "q4_1", "q5_0", "q5_1"):
            for case in range(3):
                x = (rng.standard_normal(32) * (0.05, 3, 1e-5)[case]).astype(np.float32)
                if case == 1:
                    x[7], x[20] = x[3], -x[3]  # ties
                record(TYPES[name][0], 1, reference(name, x), x)


main()
