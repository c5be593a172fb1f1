/* Normalizers: each reads one buffer and writes the other. Normal forms come from the hooks, which take valid UTF-8;
 * bytes that are none pass between the calls. */
#include <string.h>

#include "text/hooks.h"
#include "text/staged.h"

static bool put(void *to, const char *text, size_t n) {
    mote_buffer *out = to;
    mote_buffer_append(out, text, n);
    return !out->failed;
}

static bool normal_form(mote_text_form form, const char *text, size_t n, mote_buffer *out) {
    const mote_text_hooks *hooks = mote_text_hooks_now();
    for (size_t at = 0, end; at < n; at = end) {
        uint32_t point;
        bool ascii = true;
        for (end = at; end < n; end++) {
            if ((signed char)text[end] >= 0) continue;
            size_t size = mote_character(text, n, end, &point);
            if (point == UINT32_MAX) break;
            ascii = false;
            end += size - 1;
        }
        if (ascii || !hooks) mote_buffer_append(out, text + at, end - at);
        else if (!hooks->normalize(hooks->context, form, text + at, end - at, put, out)) return false;
        if (end < n) mote_buffer_append(out, text + end++, 1);
    }
    return !out->failed;
}

static void append_point(mote_buffer *out, uint32_t point) {
    char bytes[4];
    mote_buffer_append(out, bytes, (size_t)mote_utf8_encode(point, bytes));
}

/* What the category of a character and its lower case are good for: whole texts in one loop. */
static bool by_character(const mote_step *step, const char *text, size_t n, mote_buffer *out) {
    const mote_text_hooks *hooks = mote_text_hooks_now();
    bool lower = step->kind == MOTE_STEP_LOWERCASE || (step->kind == MOTE_STEP_BERT && step->lowercase);
    bool strip = step->kind == MOTE_STEP_STRIP_ACCENTS || (step->kind == MOTE_STEP_BERT && step->strip_accents);
    for (size_t at = 0, size; at < n; at += size) {
        uint32_t point, lower_case;
        size = mote_character(text, n, at, &point);
        if (point == UINT32_MAX || !hooks) {
            mote_buffer_append(out, text + at, size);
            continue;
        }
        lower_case = point;
        const char *category = hooks->category(hooks->context, point, &lower_case);
        if (strip && strcmp(category, "Mn") == 0) continue;
        if (lower && point == 0x130) mote_buffer_append(out, "i\xCC\x87", 3); /* the one that becomes two */
        else append_point(out, lower ? lower_case : point);
    }
    return !out->failed;
}

static bool is_chinese(uint32_t point) {
    static const uint32_t ranges[][2] = {{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF},
                                         {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF},
                                         {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (point >= ranges[i][0] && point <= ranges[i][1]) return true;
    return false;
}

/* Cleaning and Chinese characters apart; accents and case follow in further passes. */
static bool bert_clean(const mote_step *step, const char *text, size_t n, mote_buffer *out) {
    const mote_text_hooks *hooks = mote_text_hooks_now();
    for (size_t at = 0, size; at < n; at += size) {
        uint32_t point, lower_case;
        size = mote_character(text, n, at, &point);
        if (point == UINT32_MAX) { /* no character is as U+FFFD, which is cleaned away */
            if (!step->clean_text) mote_buffer_append(out, "\xEF\xBF\xBD", 3);
            continue;
        }
        if (step->clean_text) {
            /* controls go first, U+000B and U+0085 with them; what Unicode has not assigned stays */
            bool kept = point == '\t' || point == '\n' || point == '\r';
            const char *category = hooks ? hooks->category(hooks->context, point, &lower_case) : "";
            bool control = *category == 'C' && category[1] != 'n';
            if (!kept && (point == 0 || point == 0xFFFD || control)) continue;
            if (mote_is_space(point)) {
                mote_buffer_append(out, " ", 1);
                continue;
            }
        }
        bool apart = step->chinese && is_chinese(point);
        if (apart) mote_buffer_append(out, " ", 1);
        mote_buffer_append(out, text + at, size);
        if (apart) mote_buffer_append(out, " ", 1);
    }
    return !out->failed;
}

static void strip_ends(const mote_step *step, const char *text, size_t n, mote_buffer *out) {
    size_t begin = 0, end = n, kept = 0;
    uint32_t point;
    for (size_t at = 0, size; at < n; at += size) {
        size = mote_character(text, n, at, &point);
        if (mote_is_space(point)) {
            if (begin == at) begin = at + size;
        } else kept = at + size;
    }
    if (!step->left) begin = 0;
    if (step->right) end = kept;
    if (end > begin) mote_buffer_append(out, text + begin, end - begin);
}

static bool replace(mote_encoder *e, size_t index, const char *text, size_t n, mote_buffer *out) {
    const mote_step *step = &e->staged->pipeline.steps[index];
    size_t last = 0, from = 0, begin, end;
    while (from <= n && out->size <= e->most_normalized) {
        int found = mote_match_next(e, index, text, n, from, &begin, &end);
        if (found < 0) return false;
        if (!found) break;
        mote_buffer_append(out, text + last, begin - last);
        mote_buffer_append(out, step->content.bytes, step->content.size);
        last = from = end;
        uint32_t point;
        if (begin == end) from += end < n ? mote_character(text, n, end, &point) : 1;
    }
    mote_buffer_append(out, text + last, n - last);
    return !out->failed;
}

/* SentencePiece's handling of spaces, as llama.cpp has it for unigram models. */
static bool spaces(const mote_step *step, const char *text, size_t n, mote_buffer *out) {
    const char *space = step->escape ? MOTE_SPACE_MARK : " ";
    size_t space_bytes = strlen(space);
    bool prepended = false, in_word = false;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == ' ') {
            in_word = false;
            if (!step->join) mote_buffer_append(out, space, space_bytes);
            continue;
        }
        if (!in_word && ((step->prefix && !prepended) || step->join)) {
            mote_buffer_append(out, space, space_bytes);
            prepended = true;
        }
        in_word = true;
        mote_buffer_append(out, text + i, 1);
    }
    if (step->suffix) mote_buffer_append(out, space, space_bytes);
    return !out->failed;
}

static bool apply(mote_encoder *e, size_t index, const char *text, size_t n, mote_buffer *out) {
    const mote_step *step = &e->staged->pipeline.steps[index];
    switch (step->kind) {
    case MOTE_STEP_NFC: return normal_form(MOTE_FORM_NFC, text, n, out);
    case MOTE_STEP_NFD: return normal_form(MOTE_FORM_NFD, text, n, out);
    case MOTE_STEP_NFKC: return normal_form(MOTE_FORM_NFKC, text, n, out);
    case MOTE_STEP_NFKD: return normal_form(MOTE_FORM_NFKD, text, n, out);
    case MOTE_STEP_LOWERCASE:
    case MOTE_STEP_STRIP_ACCENTS: return by_character(step, text, n, out);
    case MOTE_STEP_STRIP_ENDS: strip_ends(step, text, n, out); return !out->failed;
    case MOTE_STEP_REPLACE: return replace(e, index, text, n, out);
    case MOTE_STEP_PREPEND:
        if (n) mote_buffer_append(out, step->text.bytes, step->text.size);
        mote_buffer_append(out, text, n);
        return !out->failed;
    case MOTE_STEP_PRECOMPILED: return mote_charsmap_apply(step->text, text, n, e->most_normalized, out);
    case MOTE_STEP_SPACES: return spaces(step, text, n, out);
    default: return bert_clean(step, text, n, out);
    }
}

bool mote_normalize(mote_encoder *e, const char **text, size_t *n) {
    enum { GROWTH = 64 }; /* U+FDFA becomes 18 characters in NFKC; what makes more of everything means no good */
    int turn = 0;
    size_t room = MOTE_PIECE_BYTES;
    if (!mote_multiply(*n, GROWTH, &e->most_normalized) || !mote_add(e->most_normalized, room, &e->most_normalized))
        return false;
    for (size_t i = 0; i < e->staged->n_normalizers; i++) {
        const mote_step *step = &e->staged->pipeline.steps[i];
        mote_buffer *out = &e->normalized[turn];
        out->size = 0;
        if (!apply(e, i, *text, *n, out) || out->size > e->most_normalized) {
            if (out->size > e->most_normalized && !e->what) e->what = "its normalizers make too much of it";
            return false;
        }
        turn ^= 1;
        for (int pass = 0; pass < 2 && step->kind == MOTE_STEP_BERT; pass++) { /* NFD, then marks and case */
            mote_buffer *next = &e->normalized[turn];
            if (pass == 0 && !step->strip_accents) continue;
            if (pass == 1 && !step->strip_accents && !step->lowercase) continue;
            next->size = 0;
            const char *from = out->bytes ? out->bytes : "";
            bool ok = pass == 0 ? normal_form(MOTE_FORM_NFD, from, out->size, next)
                                : by_character(step, from, out->size, next);
            if (!ok) return false;
            out = next;
            turn ^= 1;
        }
        *text = out->bytes ? out->bytes : "";
        *n = out->size;
    }
    return true;
}
