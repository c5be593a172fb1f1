/* Classes of characters, by binary search in a generated table and directly for ASCII. */
#include "text/char_kinds.h"

#include "text/unicode_ranges.h"

mote_char_kind mote_char_kind_of(uint32_t point) {
    if (point < 0x80) {
        if ((point | 0x20) - 'a' < 26) return MOTE_CHAR_LETTER;
        if (point - '0' < 10) return MOTE_CHAR_NUMBER;
        return point == ' ' || point - '\t' < 5 ? MOTE_CHAR_SPACE : MOTE_CHAR_OTHER;
    }
    int low = 0, high = N_UNICODE_RANGES; /* the first range whose last is >= point lies in [low, high] */
    while (low < high) {
        int middle = (low + high) / 2;
        if (unicode_ranges[middle].last < point) low = middle + 1;
        else high = middle;
    }
    if (low == N_UNICODE_RANGES || unicode_ranges[low].first > point) return MOTE_CHAR_OTHER;
    return (mote_char_kind)unicode_ranges[low].kind;
}
