/* Classes of characters beyond letters and numbers. */
#include <string.h>

#include "text/hooks.h"
#include "text/staged.h"
#include "text/char_kinds.h"

size_t mote_character(const char *text, size_t n, size_t at, uint32_t *point) {
    *point = (unsigned char)text[at];
    if (*point < 0x80) return 1;
    int size = mote_utf8_decode(text + at, n - at, point);
    if (size == 0) *point = UINT32_MAX;
    return size ? (size_t)size : 1;
}

bool mote_is_space(uint32_t point) { return mote_char_kind_of(point) == MOTE_CHAR_SPACE; }

/* "" where nobody says; steps that ask are refused then, so only bytes that are no character get there. */
static const char *category_of(uint32_t point) {
    const mote_text_hooks *hooks = mote_text_hooks_now();
    uint32_t lower_case;
    const char *category = hooks && point <= 0x10FFFF ? hooks->category(hooks->context, point, &lower_case) : NULL;
    return category ? category : "";
}

bool mote_is_punctuation(uint32_t point) {
    if (point < 0x80)
        return (point >= 33 && point <= 47) || (point >= 58 && point <= 64) || (point >= 91 && point <= 96) ||
               (point >= 123 && point <= 126);
    return *category_of(point) == 'P';
}

/* Letters, marks, decimal digits, connectors and joiners: UTS 18's \w, and its circled letters. */
bool mote_is_word(uint32_t point) {
    if (point < 0x80) return point == '_' || mote_char_kind_of(point) - MOTE_CHAR_LETTER <= 1u;
    if (mote_char_kind_of(point) == MOTE_CHAR_LETTER || point == 0x200C || point == 0x200D ||
        (point >= 0x24B6 && point <= 0x24E9))
        return true;
    const char *category = category_of(point);
    return *category == 'M' || strcmp(category, "Nd") == 0 || strcmp(category, "Nl") == 0 ||
           strcmp(category, "Pc") == 0;
}
