#!/usr/bin/env python3
"""Writes src/text/unicode_ranges.h: which code points are letters (\\p{L}), numbers (\\p{N}) and white space (\\s).

Usage: tools/make_unicode_tables.py > src/text/unicode_ranges.h
The table is committed, so that a build needs no Python; run this again for a newer Unicode.
"""
import sys
import unicodedata


def class_of(point):
    category = unicodedata.category(chr(point))
    if category[0] == "L":
        return "LETTER"
    if category[0] == "N":
        return "NUMBER"
    # the property White_Space: all separators and the ASCII and Latin-1 controls that move the cursor
    if category[0] == "Z" or 0x09 <= point <= 0x0D or point == 0x85:
        return "SPACE"
    return None


def ranges():
    first, current = 0, None
    for point in range(0x110001):
        found = class_of(point) if point < 0x110000 else None
        if found != current:
            if current:
                yield first, point - 1, current
            first, current = point, found


def main():
    rows = list(ranges())
    out = sys.stdout
    out.write("/* Letters, numbers and white space of Unicode %s, sorted.\n" % unicodedata.unidata_version)
    out.write(" * Written by tools/make_unicode_tables.py. */\n")
    out.write("#ifndef MOTE_TEXT_UNICODE_RANGES_H\n#define MOTE_TEXT_UNICODE_RANGES_H\n\n")
    out.write('#include "text/char_kinds.h"\n\n')
    out.write("enum { N_UNICODE_RANGES = %d };\n" % len(rows))
    out.write("static const struct {\n    uint32_t first, last;\n    uint8_t kind; /* mote_char_kind */\n")
    out.write("} unicode_ranges[N_UNICODE_RANGES] = {\n")
    line = "   "
    for first, last, kind in rows:
        cell = " {0x%X, 0x%X, MOTE_CHAR_%s}," % (first, last, kind)
        if len(line) + len(cell) > 118:
            out.write(line + "\n")
            line = "   "
        line += cell
    out.write(line + "\n};\n\n#endif\n")


if __name__ == "__main__":
    main()
