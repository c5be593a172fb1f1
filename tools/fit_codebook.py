#!/usr/bin/env python3
"""Fits the 128 points of q3h and the level ratio of q43, and prints src/quant/pair_tables.h.

A block of 32 weights has one scale (src/quant/pairs.h, here of 8 bits) and 16 codes of 7 bits, each two weights. The points
are fitted as the encoder uses them: every round searches each block's scale among the codes around a guess, assigns
each pair to its nearest point, and moves the points to the weighted means (Lloyd 1982, with the scale in the loop).
first[v + 128] counts the points whose even coordinate lies below v.
Data: Gaussian blocks and, for the heavier tails of trained weights, Student-t ones with 6 degrees of freedom, half as
many. Seeds are fixed: the same numpy writes the same file. Takes a minute.

usage: tools/fit_codebook.py > src/quant/pair_tables.h       (figures go to stderr)
       tools/fit_codebook.py --measure FILE [SKIP_BYTES]     what raw f32 weights lose in the committed tables
"""
import re
import sys

import numpy as np

POINTS, PAIRS, UNIT = 128, 16, 34.0  # a standard deviation is about UNIT steps of the integer tables
OFFSETS = np.arange(-10, 11)         # scale codes tried around the guess
rng = np.random.default_rng(20240229)


def scale_of(code):
    code = np.asarray(code)
    return ((1 + (code & 15) / 16) * 2.0 ** ((code >> 4) - 18) - 2.0**-18).astype(np.float32)


SCALES = scale_of(np.arange(256))


def blocks(kind, n):
    if kind == "gauss":
        x = rng.standard_normal((n, PAIRS, 2))
    else:
        x = rng.standard_t(6, (n, PAIRS, 2)) / np.sqrt(1.5)
    return (x * 0.05).astype(np.float32)


def guess(x, unit):
    rms = np.sqrt((x**2).mean(axis=(1, 2)))
    return np.clip(np.searchsorted(SCALES, rms / unit), 11, 244)


def encode(x, points, unit, offsets=OFFSETS):
    """Best scale of each block and the index of the nearest point of each pair."""
    n = len(x)
    dots = (x.reshape(-1, 2) @ points.T).reshape(n, PAIRS, -1)
    norms = (points**2).sum(1) / 2
    energy = (x**2).sum(axis=(1, 2))
    best = np.full(n, np.inf, np.float32)
    scale = np.zeros(n, np.float32)
    index = np.zeros((n, PAIRS), np.int64)
    center = guess(x, unit)
    for offset in offsets:
        s = SCALES[center + offset][:, None, None]
        cost = s * norms - dots
        arg = cost.argmin(axis=2)
        least = np.take_along_axis(cost, arg[:, :, None], 2)[:, :, 0].sum(axis=1)
        error = energy + 2 * s[:, 0, 0] * least
        better = error < best
        best[better], scale[better], index[better] = error[better], s[better, 0, 0], arg[better]
    return best, scale, index


def nrmse(x, points, unit):
    error = sum(encode(part, points, unit)[0].sum(dtype=np.float64) for part in np.array_split(x, len(x) // 2000 + 1))
    return np.sqrt(error / (x.astype(np.float64) ** 2).sum())


def fit():
    train = np.concatenate([blocks("gauss", 8000), blocks("t", 4000)])
    flat = train[:8000].reshape(-1, 2)
    points = flat[rng.permutation(len(flat))[:POINTS]] / 0.05 * UNIT
    for round_number in range(60):
        sums, weights = np.zeros((POINTS, 2)), np.zeros(POINTS)
        offsets = OFFSETS if round_number >= 12 else OFFSETS[::4]
        for part in np.array_split(train, 6):
            _, scale, index = encode(part, points.astype(np.float32), UNIT, offsets)
            s = np.repeat(scale[:, None], PAIRS, 1).ravel().astype(np.float64)
            np.add.at(sums, index.ravel(), part.reshape(-1, 2) * s[:, None])
            np.add.at(weights, index.ravel(), s * s)
        used = weights > 0
        points[used] = sums[used] / weights[used, None]
        points[~used] = points[rng.permutation(np.flatnonzero(used))[: (~used).sum()]] + 0.5
        points *= min(1, 127 / np.abs(points).max())
    return np.rint(points).astype(np.int64)


def order(points):
    """By the even coordinate: the encoder walks from where a value belongs and stops where that axis alone is worse."""
    return points[np.lexsort((points[:, 1], points[:, 0]))]


def product(even_step, odd_step):
    even, odd = even_step * (2 * np.arange(16) - 15), odd_step * (2 * np.arange(8) - 7)
    return np.stack([np.tile(even, 8), np.repeat(odd, 16)], 1)


def print_array(name, values):
    print(f"static const {name}[{len(values)}] = {{")
    line = "   "
    for v in values:
        if len(line) + len(f" {v},") > 118:
            print(line)
            line = "   "
        line += f" {v},"
    print(line + "\n};")


def print_table(name, points):
    print_array(f"int8_t {name}_even", points[:, 0])
    print_array(f"int8_t {name}_odd", points[:, 1])
    print_array(f"uint8_t {name}_first", [int((points[:, 0] < v).sum()) for v in range(-128, 128)])


def read_table(name, text):
    axes = [re.search(rf"{name}_{label}\[128\] = {{(.*?)}}", text, re.S).group(1) for label in ("even", "odd")]
    return np.stack([np.array([int(v) for v in a.replace("\n", " ").split(",") if v.strip()]) for a in axes], 1)


def measure(path, skip):
    text = open("src/quant/pair_tables.h").read()
    w = np.fromfile(path, np.float32, offset=skip)
    x = w[: len(w) // 32 * 32].reshape(-1, PAIRS, 2)
    for name in ("q3h", "q43"):
        points = read_table(name, text).astype(np.float32)
        print(f"{name}: NRMSE {100 * nrmse(x, points, UNIT if name == 'q3h' else Q43_UNIT):.3f} %")


Q43_UNIT = 34.0


def main():
    if len(sys.argv) > 2 and sys.argv[1] == "--measure":
        measure(sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0)
        return
    test = {kind: blocks(kind, 6000) for kind in ("gauss", "t")}
    q43 = min((order(product(p, q)) for p in (5, 6, 7, 8) for q in range(p, 2 * p + 1)),
              key=lambda points: nrmse(test["gauss"][:1500], points.astype(np.float32), Q43_UNIT))
    q3h = order(fit())
    print("/* The points of q3h and q43, sorted by their even coordinate; written by tools/fit_codebook.py. */")
    for name, points in (("q3h", q3h), ("q43", q43)):
        print_table(name, points)
        for kind, x in test.items():
            unit = UNIT if name == "q3h" else Q43_UNIT
            print(f"{name} {kind}: {100 * nrmse(x, points.astype(np.float32), unit):.3f} %", file=sys.stderr)


main()
