/* SentencePiece's precompiled_charsmap: u32 bytes of the trie, the trie (darts-clone's double array of u32: bits 0-7
 * and 31 the label, 8 has a value, 9 and 10-31 the offset of the children; a value node has bit 31 and the value), then
 * NUL-terminated replacements that values point to. Every index is checked when it is used: nothing else bounds it. */
#include <string.h>

#include "base/status.h"
#include "text/staged.h"

mote_status mote_charsmap_check(mote_string map, const char *name, mote_error *error) {
    uint32_t trie_bytes = map.size >= 4 ? mote_load_u32(map.bytes) : 0;
    if (map.size < 8 || trie_bytes < 4 || trie_bytes % 4 || trie_bytes > map.size - 4)
        return mote_fail(error, MOTE_BAD_FILE, "%s: the precompiled_charsmap of %zu bytes has a trie of %u", name,
                         map.size, trie_bytes);
    if (map.size - 4 > trie_bytes && map.bytes[map.size - 1] != 0)
        return mote_fail(error, MOTE_BAD_FILE, "%s: the last replacement of the precompiled_charsmap has no end", name);
    uint32_t n = trie_bytes / 4;
    size_t n_texts = map.size - 4 - trie_bytes;
    /* a node with a value has it at its offset; where it leads out of the replacements the map was damaged */
    for (uint32_t i = 0; i < n; i++) {
        uint32_t unit = mote_load_u32(map.bytes + 4 + 4 * (size_t)i);
        if (!(unit >> 8 & 1) || unit >> 31) continue;
        uint32_t leaf = i ^ (unit >> 10 << ((unit & 1u << 9) >> 6));
        if (leaf >= n)
            return mote_fail(error, MOTE_BAD_FILE, "%s: unit %u of the precompiled_charsmap leads out of it", name, i);
        uint32_t value = mote_load_u32(map.bytes + 4 + 4 * (size_t)leaf) & 0x7FFFFFFF;
        if (value >= n_texts)
            return mote_fail(error, MOTE_BAD_FILE, "%s: replacement %u of the precompiled_charsmap is outside its %zu",
                             name, value, n_texts);
    }
    return MOTE_OK;
}

/* The longest beginning of the text that has a replacement: its bytes, 0 for none. */
static size_t longest(mote_string map, const char *text, size_t n, const char **replacement) {
    const char *units = map.bytes + 4, *texts = units + mote_load_u32(map.bytes);
    uint32_t n_units = mote_load_u32(map.bytes) / 4, unit = mote_load_u32(units);
    uint32_t node = unit >> 10 << ((unit & 1u << 9) >> 6);
    size_t found = 0;
    for (size_t i = 0; i < n && text[i]; i++) {
        node ^= (unsigned char)text[i];
        if (node >= n_units) break;
        unit = mote_load_u32(units + 4 * (size_t)node);
        if ((unit & (1u << 31 | 0xFF)) != (unsigned char)text[i]) break;
        node ^= unit >> 10 << ((unit & 1u << 9) >> 6);
        if (!(unit >> 8 & 1)) continue;
        if (node >= n_units) break;
        uint32_t value = mote_load_u32(units + 4 * (size_t)node) & 0x7FFFFFFF;
        if (value >= map.size - 4 - 4 * (size_t)n_units) break;
        *replacement = texts + value;
        found = i + 1;
    }
    return found;
}

/* Bytes that are no character become U+FFFD. */
bool mote_charsmap_apply(mote_string map, const char *text, size_t n, size_t most, mote_buffer *out) {
    for (size_t at = 0; at < n;) {
        if (out->size > most) return false;
        const char *replacement;
        uint32_t point;
        size_t size = longest(map, text + at, n - at, &replacement);
        if (size) mote_buffer_append(out, replacement, strlen(replacement));
        else {
            size = mote_character(text, n, at, &point);
            if (point == UINT32_MAX) mote_buffer_append(out, "\xEF\xBF\xBD", 3);
            else mote_buffer_append(out, text + at, size);
        }
        at += size;
    }
    return !out->failed;
}
