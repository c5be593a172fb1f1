/* The two dialects differ in what tokenizers use: \s of PCRE2 has U+180E, \w lacks marks, \h means another thing, Ruby
 * has sets in sets with &&, {1,3}+ repeats a repeat there, ^ and $ are of lines, and (?i) reaches over the next |.
 * Characters are written as letters, digits or numbers, so nothing of the source means something new by accident. */
#include "pattern.h"

#include <ctype.h>
#include <string.h>

enum { GROUP_DEPTH = 100, /* the whole is group 0 */
       SET_DEPTH = 20, NAME_BYTES = 40, MOST_REPEATS = 65535, MOST_OUTPUT = 1 << 20 };

typedef struct {
    const char *pattern;
    size_t size, at;
    mote_buffer *out;
    mote_error *error;
    mote_status status;
    size_t group_start[GROUP_DEPTH]; /* in the output */
    int group_extra[GROUP_DEPTH];    /* groups opened by an (?i) in it, which close with it */
    int depth;
    size_t atom; /* in the output, of what a quantifier would repeat; NO_ATOM */
} translation;

#define NO_ATOM SIZE_MAX

/* The sets that the dialects see differently, as members of a bracket. Oniguruma's words are Alphabetic, marks, decimal
 * digits and connectors; its space is White_Space. */
#define SPACE_SET                                                                                                      \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define ALPHA_SET                                                                                                      \
    "\\p{L}\\p{Nl}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}\\p{Alphabetic}"
#define WORD_SET ALPHA_SET "\\p{M}\\p{Nd}\\p{Pc}"
#define HEX_SET "0-9A-Fa-f"

static const struct {
    const char *name, *set;
} named_sets[] = {
    {"alpha", ALPHA_SET}, {"alphabetic", ALPHA_SET}, {"space", SPACE_SET}, {"whitespace", SPACE_SET},
    {"word", WORD_SET}, {"alnum", ALPHA_SET "\\p{Nd}"}, {"digit", "\\p{Nd}"}, {"xdigit", HEX_SET},
    {"upper", "\\p{Uppercase}"}, {"lower", "\\p{Lowercase}"}, {"cntrl", "\\p{Cc}"}, {"blank", "\\p{Zs}\\x{9}"},
    {"punct", "\\p{P}$+<=>\\x{5e}\\x{60}|~"}, {"ascii", "\\x{0}-\\x{7f}"},
    {"letter", "\\p{L}"}, {"mark", "\\p{M}"}, {"number", "\\p{N}"}, {"punctuation", "\\p{P}"}, {"symbol", "\\p{S}"},
    {"separator", "\\p{Z}"}, {"other", "\\p{C}"}, {"uppercaseletter", "\\p{Lu}"}, {"lowercaseletter", "\\p{Ll}"},
    {"titlecaseletter", "\\p{Lt}"}, {"modifierletter", "\\p{Lm}"}, {"otherletter", "\\p{Lo}"},
    {"nonspacingmark", "\\p{Mn}"}, {"spacingmark", "\\p{Mc}"}, {"enclosingmark", "\\p{Me}"},
    {"decimalnumber", "\\p{Nd}"}, {"letternumber", "\\p{Nl}"}, {"othernumber", "\\p{No}"},
    {"spaceseparator", "\\p{Zs}"}, {"control", "\\p{Cc}"}, {"format", "\\p{Cf}"},
};

static bool fail(translation *t, const char *what) {
    if (!t->status)
        t->status = mote_fail(t->error, MOTE_BAD_FILE, "the pattern %.*s%s: %s at byte %zu",
                              t->size > 120 ? 120 : (int)t->size, t->pattern, t->size > 120 ? "..." : "", what, t->at);
    return false;
}

static int peek(const translation *t, size_t ahead) {
    return t->at + ahead < t->size ? (unsigned char)t->pattern[t->at + ahead] : -1;
}
static bool begins(const translation *t, const char *text) {
    size_t n = strlen(text);
    return t->size - t->at >= n && memcmp(t->pattern + t->at, text, n) == 0;
}
static bool take(translation *t, const char *text) {
    if (!begins(t, text)) return false;
    t->at += strlen(text);
    return true;
}
static void emit(mote_buffer *out, const char *text) { mote_buffer_append(out, text, strlen(text)); }

static void emit_point(mote_buffer *out, uint32_t point) {
    if (point < 0x80 && isalnum((int)point)) mote_buffer_print(out, "%c", (int)point);
    else mote_buffer_print(out, "\\x{%x}", (unsigned)point);
}

/* One character of the source as it stands. */
static bool take_character(translation *t, uint32_t *point) {
    const unsigned char *p = (const unsigned char *)t->pattern + t->at;
    int n = mote_utf8_length(t->pattern + t->at, t->size - t->at);
    if (n == 0) return fail(t, "it is not UTF-8");
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    *point = p[0] & masks[n];
    for (int i = 1; i < n; i++) *point = *point << 6 | (p[i] & 0x3f);
    t->at += (size_t)n;
    return true;
}

static int hex_value(int c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Digits behind \x or \u, in braces or not: at most `most` of them, at least `least`. */
static bool take_hex(translation *t, int least, int most, uint32_t *point) {
    bool braces = take(t, "{");
    int n = 0;
    if (braces) most = 8;
    for (*point = 0; n < most && t->at < t->size && hex_value(peek(t, 0)) >= 0; n++, t->at++)
        *point = *point << 4 | (uint32_t)hex_value(peek(t, 0));
    if (n < (braces ? 1 : least) || (braces && !take(t, "}"))) return fail(t, "a character's number is malformed");
    if (*point > 0x10ffff || (*point >= 0xd800 && *point <= 0xdfff)) return fail(t, "there is no such character");
    return true;
}

/* What an escape stands for: one character, or a set (members for a bracket, perhaps negated). */
typedef struct {
    uint32_t point;
    const char *set; /* NULL: a character */
    char own[NAME_BYTES + 8];
    bool negated;
} escape;

static bool take_property(translation *t, bool negated, escape *e) {
    char name[NAME_BYTES], plain[NAME_BYTES];
    size_t n = 0, n_plain = 0;
    e->negated = negated;
    if (take(t, "{")) {
        if (take(t, "^")) e->negated = !negated;
        for (; peek(t, 0) >= 0 && peek(t, 0) != '}' && n + 1 < sizeof name; t->at++) name[n++] = t->pattern[t->at];
        if (!take(t, "}")) return fail(t, "a property's name has no end");
    } else if (peek(t, 0) >= 0) {
        name[n++] = t->pattern[t->at++];
    }
    name[n] = 0;
    for (size_t i = 0; i < n; i++) {
        bool alnum = isalnum((unsigned char)name[i]) != 0;
        if (!alnum && !strchr("_ -&", name[i])) return fail(t, "a property's name is malformed");
        if (alnum) plain[n_plain++] = (char)tolower((unsigned char)name[i]);
    }
    plain[n_plain] = 0;
    if (n_plain == 0) return fail(t, "a property has no name");
    for (size_t i = 0; i < sizeof named_sets / sizeof *named_sets; i++)
        if (strcmp(named_sets[i].name, plain) == 0) return e->set = named_sets[i].set, true;
    mote_buffer text = {0}; /* a category or a script: PCRE2 knows them, or says that it does not */
    mote_buffer_print(&text, "\\p{%s}", name);
    if (text.failed) return mote_buffer_deinit(&text), fail(t, "there is no memory for it");
    memcpy(e->own, text.bytes, text.size + 1);
    mote_buffer_deinit(&text);
    e->set = e->own;
    return true;
}

/* Reads an escape that is a character or a set, from behind the backslash. */
static bool take_escape(translation *t, escape *e) {
    static const char letters[] = "tnrfvae", points[] = "\t\n\r\f\v\a\x1b";
    int c = peek(t, 0);
    *e = (escape){0};
    if (c < 0) return fail(t, "it ends with a backslash");
    if (c >= 0x80 || ispunct(c) || c == ' ') return take_character(t, &e->point);
    t->at++;
    const char *found = strchr(letters, c);
    if (found) return e->point = (unsigned char)points[found - letters], true;
    switch (c) {
    case 'x': return take_hex(t, 1, 2, &e->point);
    case 'u': return take_hex(t, 4, 4, &e->point);
    case '0': return true;
    case 's': case 'S': e->set = SPACE_SET; break;
    case 'w': case 'W': e->set = WORD_SET; break;
    case 'd': case 'D': e->set = "\\p{Nd}"; break;
    case 'h': case 'H': e->set = HEX_SET; break;
    case 'p': case 'P': return take_property(t, c == 'P', e);
    default: t->at--; return fail(t, "an escape that is not understood");
    }
    e->negated = isupper(c) != 0;
    return true;
}

/* ---- sets ------------------------------------------------------------------------------------------------------- */

/* A union in the making: members that stand in one bracket, and what needs an expression of its own. */
typedef struct {
    mote_buffer members, others; /* others: "|..." */
} set_parts;

static void set_add(set_parts *parts, const escape *e) {
    if (!e->set) emit_point(&parts->members, e->point);
    else if (!e->negated) emit(&parts->members, e->set);
    else mote_buffer_print(&parts->others, "|[^%s]", e->set);
}

/* Writes the union as an expression for one character and empties it. */
static void set_finish(set_parts *parts, mote_buffer *out) {
    size_t n = parts->members.size, others = parts->others.size;
    if (others == 0) {
        mote_buffer_print(out, "[%s]", parts->members.bytes);
    } else {
        emit(out, "(?:");
        if (n) mote_buffer_print(out, "[%s]", parts->members.bytes);
        emit(out, parts->others.bytes + (n == 0));
        emit(out, ")");
    }
    parts->members.size = parts->others.size = 0;
}

static bool take_posix(translation *t, set_parts *parts) {
    char name[NAME_BYTES];
    size_t n = 0;
    escape e = {0};
    t->at += 2;
    e.negated = take(t, "^");
    for (; isalpha(peek(t, 0)) && n + 1 < sizeof name; t->at++) name[n++] = t->pattern[t->at];
    name[n] = 0;
    if (!take(t, ":]")) return fail(t, "a set's name has no end");
    for (size_t i = 0; i < sizeof named_sets / sizeof *named_sets; i++)
        if (strcmp(named_sets[i].name, name) == 0) e.set = named_sets[i].set;
    if (!e.set) return fail(t, "a set of this name is not known");
    set_add(parts, &e);
    return true;
}

static bool take_set(translation *t, int depth, mote_buffer *out);

/* One member of a bracket: a set in it, a character or a range. */
static bool take_member(translation *t, int depth, set_parts *parts) {
    escape first = {0}, last = {0};
    if (begins(t, "[:")) return take_posix(t, parts);
    if (take(t, "[")) {
        emit(&parts->others, "|");
        return take_set(t, depth + 1, &parts->others);
    }
    if (take(t, "\\")) {
        if (take(t, "b")) first.point = '\b';
        else if (!take_escape(t, &first)) return false;
    } else if (!take_character(t, &first.point)) {
        return false;
    }
    bool range = !first.set && peek(t, 0) == '-' && peek(t, 1) >= 0 && peek(t, 1) != ']' && peek(t, 1) != '[';
    if (!range) return set_add(parts, &first), true;
    t->at++;
    if (take(t, "\\")) {
        if (!take_escape(t, &last)) return false;
    } else if (!take_character(t, &last.point)) {
        return false;
    }
    if (last.set) return fail(t, "a range ends with a set");
    if (last.point < first.point) return fail(t, "a range is upside down");
    emit_point(&parts->members, first.point);
    emit(&parts->members, "-");
    emit_point(&parts->members, last.point);
    return true;
}

/* From behind '[' to behind ']'. Intersections become look-aheads: [a&&b] is (?:(?=a)b). */
static bool take_set(translation *t, int depth, mote_buffer *out) {
    set_parts parts = {0};
    mote_buffer whole = {0};
    bool negated = take(t, "^"), intersection = false, first = true, ok = depth < SET_DEPTH;
    if (!ok) fail(t, "sets are nested too deep");
    for (; ok; first = false) {
        if (peek(t, 0) < 0) ok = fail(t, "a set has no end");
        else if (peek(t, 0) == ']' && !first) break;
        else if (!take(t, "&&")) ok = take_member(t, depth, &parts);
        else if (parts.members.size + parts.others.size == 0) ok = fail(t, "nothing stands before &&");
        else {
            intersection = true;
            emit(&whole, "(?=");
            set_finish(&parts, &whole);
            emit(&whole, ")");
        }
        if (ok && out->size + whole.size + parts.members.size + parts.others.size > MOST_OUTPUT)
            ok = fail(t, "it is too long");
    }
    if (ok && parts.members.size + parts.others.size == 0) ok = fail(t, "a set ends with &&");
    if (ok) {
        t->at++;
        bool simple = !intersection && parts.others.size == 0;
        if (simple) {
            mote_buffer_print(out, "[%s%s]", negated ? "^" : "", parts.members.bytes);
        } else {
            set_finish(&parts, &whole);
            mote_buffer_print(out, negated ? "(?:(?!%s)(?s:.))" : "(?:%s)", whole.bytes);
        }
        if (parts.members.failed || parts.others.failed || whole.failed) out->failed = true;
    }
    mote_buffer_deinit(&parts.members);
    mote_buffer_deinit(&parts.others);
    mote_buffer_deinit(&whole);
    return ok;
}

/* ---- the rest --------------------------------------------------------------------------------------------------- */

static bool take_number(translation *t, unsigned *value) {
    size_t start = t->at;
    for (*value = 0; isdigit(peek(t, 0)) && *value <= MOST_REPEATS; t->at++)
        *value = *value * 10 + (unsigned)(peek(t, 0) - '0');
    return t->at > start;
}

/* {n} {n,} {,m} {n,m}: false, and nothing taken, where the brace is only a character. */
static bool take_counts(translation *t, unsigned *least, unsigned *most, bool *exact) {
    size_t start = t->at++;
    bool low = take_number(t, least), comma = take(t, ","), high = comma && take_number(t, most);
    *exact = !comma;
    if (!low) *least = 0;
    if (comma && !high) *most = UINT32_MAX;
    if (!comma) *most = *least;
    if ((low || high) && take(t, "}")) return true;
    t->at = start;
    return false;
}

/* Puts the last atom in a group, so that a further quantifier repeats the repetition. */
static void wrap_atom(translation *t) {
    mote_buffer copy = {0};
    mote_buffer_append(&copy, t->out->bytes + t->atom, t->out->size - t->atom);
    if (copy.failed || t->out->failed) {
        t->out->failed = true;
    } else {
        t->out->size = t->atom;
        mote_buffer_print(t->out, "(?:%s)", copy.bytes);
    }
    mote_buffer_deinit(&copy);
}

/* All quantifiers behind an atom. False only where one is wrong. */
static bool take_quantifiers(translation *t) {
    for (int n = 0;; n++) {
        int c = peek(t, 0);
        unsigned least = 0, most = 0;
        bool exact = true;
        if (c != '*' && c != '+' && c != '?' && c != '{') return true;
        if (c == '{' && !take_counts(t, &least, &most, &exact)) return true;
        if (t->atom == NO_ATOM) return fail(t, "nothing stands before a quantifier");
        if (n == 8) return fail(t, "too many quantifiers");
        if (n > 0) wrap_atom(t);
        if (c == '{') {
            if (least > MOST_REPEATS || (most != UINT32_MAX && (most > MOST_REPEATS || least > most)))
                return fail(t, "a quantifier's numbers are wrong");
            if (most == UINT32_MAX) mote_buffer_print(t->out, "{%u,}", least);
            else mote_buffer_print(t->out, "{%u,%u}", least, most);
            if (!exact && take(t, "?")) emit(t->out, "?");
        } else {
            mote_buffer_print(t->out, "%c", c);
            t->at++;
            if (take(t, "?")) emit(t->out, "?");
            else if (take(t, "+")) emit(t->out, "+");
        }
        if (t->out->size > MOST_OUTPUT) return fail(t, "it is too long");
    }
}

/* (?i) and (?i:...), from behind "(?". Ruby's m is the dot that matches newlines, PCRE2's s. */
static bool take_options(translation *t) {
    bool off = false;
    size_t start = t->out->size;
    emit(t->out, "(?");
    for (; peek(t, 0) != ':' && peek(t, 0) != ')'; t->at++) {
        int c = peek(t, 0);
        if (c == 'i') emit(t->out, "i");
        else if (c == 'm') emit(t->out, "s");
        else if (c == '-' && !off) off = true, emit(t->out, "-");
        else return fail(t, "a kind of group or an option that is not understood");
    }
    emit(t->out, ":");
    if (peek(t, 0) == ')') { /* goes on to the end of the group around it, over its alternatives */
        t->group_extra[t->depth]++;
    } else {
        t->group_start[++t->depth] = start;
        t->group_extra[t->depth] = 0;
    }
    t->at++;
    return true;
}

static bool open_group(translation *t) {
    static const char *const kinds[] = {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"};
    if (take(t, "(?#")) {
        while (peek(t, 0) >= 0 && peek(t, 0) != ')') t->at++;
        return take(t, ")") ? take_quantifiers(t) : fail(t, "a comment has no end");
    }
    if (begins(t, "(*")) return fail(t, "a verb");
    if (t->depth + 1 == GROUP_DEPTH) return fail(t, "groups are nested too deep");
    t->atom = NO_ATOM;
    size_t start = t->out->size;
    const char *kind = NULL;
    for (size_t i = 0; !kind && i < sizeof kinds / sizeof *kinds; i++)
        if (take(t, kinds[i])) kind = kinds[i];
    if (!kind && take(t, "(?<")) { /* a name, which nothing refers to: back references are refused */
        kind = "(";
        while (isalnum(peek(t, 0)) || peek(t, 0) == '_') t->at++;
        if (!take(t, ">")) return fail(t, "a group's name is malformed");
    }
    if (!kind && take(t, "(?")) return take_options(t);
    if (!kind && take(t, "(")) kind = "(";
    emit(t->out, kind);
    t->group_start[++t->depth] = start;
    t->group_extra[t->depth] = 0;
    return true;
}

static void close_options(translation *t) {
    for (; t->group_extra[t->depth] > 0; t->group_extra[t->depth]--) emit(t->out, ")");
}

static bool close_group(translation *t) {
    if (t->depth == 0) return fail(t, "a ')' without its '('");
    close_options(t);
    emit(t->out, ")");
    t->at++;
    t->atom = t->group_start[t->depth--];
    return take_quantifiers(t);
}

/* What a backslash begins outside of sets: an anchor, or an atom. */
static bool take_backslash(translation *t) {
    static const char before[] = "(?<=[" WORD_SET "])", after[] = "(?=[" WORD_SET "])";
    static const char not_before[] = "(?<![" WORD_SET "])", not_after[] = "(?![" WORD_SET "])";
    int c = peek(t, 1);
    t->at++;
    if (c == 'b' || c == 'B') {
        t->at++;
        mote_buffer_print(t->out, "(?:%s%s|%s%s)", before, c == 'b' ? not_after : after, not_before,
                          c == 'b' ? after : not_after);
        t->atom = NO_ATOM;
        return true;
    }
    size_t start = t->out->size;
    if (c > 0 && c < 0x80 && strchr("AzZGKRXN", c)) {
        mote_buffer_print(t->out, "\\%c", c);
        t->at++;
        t->atom = strchr("RXN", c) ? start : NO_ATOM;
    } else {
        escape e;
        if (!take_escape(t, &e)) return false;
        if (e.set) mote_buffer_print(t->out, "[%s%s]", e.negated ? "^" : "", e.set);
        else emit_point(t->out, e.point);
        t->atom = start;
    }
    return take_quantifiers(t);
}

static bool take_atom(translation *t) {
    uint32_t point;
    size_t start = t->out->size;
    int c = peek(t, 0);
    if (take(t, "[")) {
        if (!take_set(t, 0, t->out)) return false;
    } else if (take(t, ".")) {
        emit(t->out, ".");
    } else {
        if (c == '*' || c == '+' || c == '?') return fail(t, "nothing stands before a quantifier");
        if (!take_character(t, &point)) return false;
        emit_point(t->out, point);
    }
    t->atom = start;
    return take_quantifiers(t);
}

mote_status pattern_translate(const char *pattern, size_t bytes, mote_buffer *out, mote_error *error) {
    translation t = {.pattern = pattern, .size = bytes, .out = out, .error = error, .atom = NO_ATOM};
    bool ok = true;
    while (ok && t.at < t.size) {
        int c = peek(&t, 0);
        if (out->size > MOST_OUTPUT) ok = fail(&t, "it is too long");
        else if (c == '(') ok = open_group(&t);
        else if (c == ')') ok = close_group(&t);
        else if (c == '\\') ok = take_backslash(&t);
        else if (c == '|' || c == '^' || c == '$') {
            mote_buffer_print(out, "%c", c);
            t.at++;
            t.atom = NO_ATOM;
        } else ok = take_atom(&t);
    }
    if (ok && t.depth > 0) fail(&t, "a group has no end");
    close_options(&t);
    if (!t.status && out->failed) return mote_fail(error, MOTE_MEMORY, "out of memory: a pattern of %zu bytes", bytes);
    return t.status;
}
