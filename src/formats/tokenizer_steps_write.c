/* Steps as nodes of tokenizer.json. */
#include <string.h>

#include "formats/tokenizer_steps.h"

#define SPACE_MARK "\xe2\x96\x81" /* U+2581 */

static void put_string(mote_buffer *out, const char *key, mote_string string) {
    mote_buffer_print(out, ",\"%s\":", key);
    mote_buffer_json_string(out, string.size ? string.bytes : "", string.size);
}

static void put_bool(mote_buffer *out, const char *key, bool value) {
    mote_buffer_print(out, ",\"%s\":%s", key, value ? "true" : "false");
}

static void put_pattern(mote_buffer *out, bool regex, mote_string text) {
    mote_buffer_print(out, ",\"pattern\":{\"%s\":", regex ? "Regex" : "String");
    mote_buffer_json_string(out, text.size ? text.bytes : "", text.size);
    mote_buffer_print(out, "}");
}

static void put_base64(mote_buffer *out, mote_string bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    mote_buffer_print(out, ",\"precompiled_charsmap\":\"");
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t n = bytes.size - i < 3 ? bytes.size - i : 3;
        uint32_t held = 0;
        for (size_t j = 0; j < 3; j++) held = held << 8 | (j < n ? (unsigned char)bytes.bytes[i + j] : 0);
        char four[4] = {digits[held >> 18], digits[held >> 12 & 63], digits[held >> 6 & 63], digits[held & 63]};
        for (size_t j = n + 1; j < 4; j++) four[j] = '=';
        mote_buffer_append(out, four, 4);
    }
    mote_buffer_print(out, "\"");
}

static void put_replace(mote_buffer *out, bool regex, const char *what, const char *content) {
    mote_buffer_print(out, "{\"type\":\"Replace\"");
    put_pattern(out, regex, (mote_string){what, strlen(what)});
    put_string(out, "content", (mote_string){content, strlen(content)});
    mote_buffer_print(out, "}");
}

/* SentencePiece's handling of spaces in the nodes that there are. False: a space behind the text has none. */
static bool put_spaces(mote_buffer *out, const mote_step *step) {
    bool first = true;
    if (step->suffix) return false;
    if (step->join) {
        put_replace(out, true, "\\A +| +\\z", "");
        mote_buffer_print(out, ",");
        put_replace(out, true, " {2,}", " ");
        first = false;
    }
    if (step->prefix) mote_buffer_print(out, "%s{\"type\":\"Prepend\",\"prepend\":\" \"}", first ? "" : ",");
    first = first && !step->prefix;
    if (!step->escape) return !first; /* a Sequence must not be empty in the middle */
    if (!first) mote_buffer_print(out, ",");
    put_replace(out, false, " ", SPACE_MARK);
    return true;
}

static void put_keys(mote_buffer *out, const mote_step *step) {
    static const char *const behaviors[MOTE_N_SPLITS] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext",
                                                         "Contiguous"};
    static const char *const prepends[MOTE_N_PREPENDS] = {"always", "never", "first"};
    switch (step->kind) {
    case MOTE_STEP_STRIP_ENDS:
        put_bool(out, "strip_left", step->left);
        put_bool(out, "strip_right", step->right);
        break;
    case MOTE_STEP_REPLACE:
    case MOTE_STEP_REPLACE_TEXT:
        put_pattern(out, step->regex, step->text);
        put_string(out, "content", step->content);
        break;
    case MOTE_STEP_PREPEND: put_string(out, "prepend", step->text); break;
    case MOTE_STEP_BERT:
        put_bool(out, "clean_text", step->clean_text);
        put_bool(out, "handle_chinese_chars", step->chinese);
        put_bool(out, "strip_accents", step->strip_accents);
        put_bool(out, "lowercase", step->lowercase);
        break;
    case MOTE_STEP_PRECOMPILED: put_base64(out, step->text); break;
    case MOTE_STEP_BYTE_LEVEL:
        put_bool(out, "add_prefix_space", step->add_prefix_space);
        put_bool(out, "trim_offsets", true);
        put_bool(out, "use_regex", step->use_regex);
        break;
    case MOTE_STEP_BYTE_LEVEL_TEXT: /* its reader wants all keys */
        mote_buffer_print(out, ",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true");
        break;
    case MOTE_STEP_SPLIT:
        put_pattern(out, step->regex, step->text);
        mote_buffer_print(out, ",\"behavior\":\"%s\"", behaviors[step->behavior]);
        put_bool(out, "invert", step->invert);
        break;
    case MOTE_STEP_METASPACE:
    case MOTE_STEP_METASPACE_TEXT:
        put_string(out, "replacement", step->text);
        mote_buffer_print(out, ",\"prepend_scheme\":\"%s\"", prepends[step->prepend]);
        put_bool(out, "split", step->kind == MOTE_STEP_METASPACE_TEXT || step->split);
        break;
    case MOTE_STEP_DIGITS: put_bool(out, "individual_digits", step->individual); break;
    case MOTE_STEP_PUNCTUATION: mote_buffer_print(out, ",\"behavior\":\"%s\"", behaviors[step->behavior]); break;
    case MOTE_STEP_STRIP_TEXT:
        put_string(out, "content", step->text);
        mote_buffer_print(out, ",\"start\":%u,\"stop\":%u", (unsigned)step->start, (unsigned)step->stop);
        break;
    case MOTE_STEP_WORDPIECE_TEXT:
        put_string(out, "prefix", step->text);
        put_bool(out, "cleanup", step->cleanup);
        break;
    case MOTE_STEP_SUFFIX_TEXT: put_string(out, "suffix", step->text); break;
    default: break; /* the others have no keys */
    }
}

bool mote_steps_write(const mote_step *steps, size_t n, mote_stage stage, mote_buffer *out, const char **lacks) {
    static const char *const lists[] = {"normalizers", "pretokenizers", "decoders"};
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (mote_step_stage(steps[i].kind) == stage)
            count += steps[i].kind == MOTE_STEP_SPACES && (steps[i].prefix || steps[i].join) ? 2 : 1;
    if (count == 0) mote_buffer_print(out, "null");
    if (count > 1) mote_buffer_print(out, "{\"type\":\"Sequence\",\"%s\":[", lists[stage]);
    bool first = true;
    for (size_t i = 0; i < n; i++) {
        const mote_step *step = &steps[i];
        if (mote_step_stage(step->kind) != stage) continue;
        if (!first) mote_buffer_print(out, ",");
        first = false;
        if (step->kind == MOTE_STEP_SPACES) {
            *lacks = mote_step_name(step->kind);
            if (!put_spaces(out, step)) return false;
            continue;
        }
        mote_buffer_print(out, "{\"type\":\"%s\"", mote_step_name(step->kind));
        put_keys(out, step);
        mote_buffer_print(out, "}");
    }
    if (count > 1) mote_buffer_print(out, "]}");
    return true;
}
