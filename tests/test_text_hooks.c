/* The hooks of app/text: patterns of real tokenizers, what Oniguruma and PCRE2 see differently, limits, normal forms
 * (expected values: Unicode's NormalizationTest.txt and Oniguruma's documentation, RE). */
#include <time.h>

#include "../app/text/libraries.h"
#include "../app/text/pattern.h"
#include "base/memory.h"
#include "test.h"
#include "text/hooks.h"

static const mote_text_hooks *hooks;

/* All matches of the pattern in the text as "[a][b]"; "?" where the pattern is refused, "!" where a limit was hit. */
static const char *matches(const char *pattern, const char *text) {
    static char out[4096];
    char problem[256];
    void *scratch = NULL;
    size_t n = strlen(text), at = 0, begin, end, used = 0;
    void *regex = hooks->compile(hooks->context, pattern, strlen(pattern), problem);
    snprintf(out, sizeof out, "%s", regex ? "" : "?");
    if (!regex) return out;
    int found;
    while (at <= n && (found = hooks->match(hooks->context, regex, &scratch, text, n, at, &begin, &end)) != 0) {
        if (found < 0) {
            snprintf(out, sizeof out, "!");
            break;
        }
        used += (size_t)snprintf(out + used, sizeof out - used, "[%.*s]", (int)(end - begin), text + begin);
        at = end > begin ? end : end + 1;
    }
    hooks->release_scratch(hooks->context, scratch);
    hooks->release(hooks->context, regex);
    return out;
}

typedef struct {
    const char *pattern, *text, *wanted;
} match_case;

static void check_cases(const match_case *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const char *got = matches(cases[i].pattern, cases[i].text);
        CHECK(!strcmp(got, cases[i].wanted), "%s on \"%s\": %s, not %s", cases[i].pattern, cases[i].text, got,
              cases[i].wanted);
    }
}

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA3                                                                                                         \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*"       \
    "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static void test_real_patterns(void) {
    static const match_case cases[] = {
        {GPT2, "Hello world's  12\n x", "[Hello][ world]['s][ ][ 12][\n][ x]"},
        {LLAMA3, "I'LL pay 12345!!\r\n\r\n  ok", "[I]['LL][ pay][ ][123][45][!!\r\n\r\n][ ][ ok]"},
        {LLAMA3, "caf\u00e9 \u4f60\u597d \U0001F642", "[caf\u00e9][ \u4f60\u597d][ \U0001F642]"},
        {"\\p{N}{1,3}(?=(?:\\p{N}{3})*(?!\\p{N}))", "1234567", "[1][234][567]"},
        {"[\\p{Han}&&[^\u4f60]]+|\\p{L}", "\u4f60\u597d\u4e16a", "[\u4f60][\u597d\u4e16][a]"},
        {"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t)?",
         "camelCase's", "[camel][Case's]"},
        {"[\u4e00-\u9fa5\u3040-\u309f]+", "a\u4f60\u3042b", "[\u4f60\u3042]"},
        {"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+", "a/b ]c \\d", "[/b][]c][\\d]"},
    };
    check_cases(cases, sizeof cases / sizeof *cases);
}

static void test_flavours(void) {
    static const match_case cases[] = {
        {"\\s", "a\u180eb\xc2\x85" "c\u2028d\u00a0", "[\xc2\x85][\u2028][\u00a0]"}, /* not U+180E */
        {"[^\\S\\n]+", " \n\u3000", "[ ][\u3000]"},
        {"\\w+", "nai\u0308ve_a-\u24d0 \u00b2", "[nai\u0308ve_a][\u24d0]"}, /* marks, connectors; not No */
        {"\\W", "a\u0308-", "[-]"},
        {"\\bi\u0308\\b", "i\u0308", "[i\u0308]"},
        {"\\Bb", "ab b", "[b]"},
        {"\\h+", "12 fg", "[12][f]"}, /* Ruby: hexadecimal digits */
        {"\\d+", "\u0663\u0664 \u00bd", "[\u0663\u0664]"},
        {"^.$", "a\nb", "[a][b]"}, /* Ruby: of lines; the dot is any but a newline */
        {".", "\r\u2028\n", "[\r][\u2028]"},
        {"(?m:.)", "\na", "[\n][a]"},
        {"a(?i)b|c", "aC AB aB", "[aC][aB]"}, /* Ruby: to the end of the group, over its alternatives */
        {"(?i:k)s", "\u212as kS", "[\u212as]"},
        {"a{,2}b", "aaab", "[aab]"},
        {"(?:a{1,2}+)b", "aaab", "[aaab]"}, /* Ruby: repeats the repetition, is not possessive */
        {"a{2}?b", "aab b", "[aab][b]"},    /* Ruby: either two or none */
        {"a{1,2}?", "aaa", "[a][a][a]"},
        {"a{x} {", "a{x} {", "[a{x} {]"},
        {"[a-c&&[^b]]+", "abcab", "[a][ca]"},
        {"[^a-c&&[b-z]]", "abd", "[a][d]"},
        {"[ab[0-9]]+", "a1b-", "[a1b]"},
        {"[^a[^0-9]]+", "ab12", "[12]"},
        {"[[:alpha:]_]+[[:^digit:]]", "ab_\u00e9! 1", "[ab_\u00e9!]"},
        {"[]a]+", "a]b", "[a]]"},
        {"[a\\-z]+|[+--]", "a-z,", "[a-z][,]"},
        {"\\u4f60|\\x{597d}|\\x41", "\u4f60\u597dA", "[\u4f60][\u597d][A]"},
        {"\\p{^L}|\\PL", "a1", "[1]"},
        {"\\p{Letter}\\p{Script_Extensions}", "ab", "?"},
        {"\\p{Uppercase_Letter}+|\\p{Alnum}", "ABc", "[AB][c]"},
        {"(?<word>b)(?#note)+c", "bbc", "[bbc]"},
        {"(?>a+)b|(?<=b)c(?<!d)", "aab c bc", "[aab][c]"},
        {"", "ab", "[][][]"},
        {"a**", "aaa", "[aaa][]"},
    };
    check_cases(cases, sizeof cases / sizeof *cases);
}

static void test_refused(void) {
    static const char *const patterns[] = {
        "(", ")", "(a", "a)", "[", "[a", "[]", "[^]", "[a&&]", "[&&a]", "\\", "a\\", "[\\", "*", "+a", "?", "|*",
        "(*FAIL)",
        "(?", "(?<n", "(?P<n>a)", "(?x)a b", "(?s:.)", "(?~ab)", "\\1", "\\k<n>", "\\C", "\\Q", "\\y", "\\p", "\\p{",
        "\\p{}", "\\p{No Such}", "\\p{L)}",
        "\\x{110000}", "\\x{d800}", "\\u12", "\\xg", "[b-a]", "[a-\\d]", "[[:foo:]]",
        "a{2,1}", "a{99999}", "a{1,70000}", "\xff", "[\xff]", "(?i-m-i:a)", "(?#", "a?{2}*+?+?+?+?+?+?+?",
    };
    char problem[256];
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        void *regex = hooks->compile(hooks->context, patterns[i], strlen(patterns[i]), problem);
        CHECK(!regex && strlen(problem) > 8, "%s: %s", patterns[i], regex ? "accepted" : problem);
        if (regex) hooks->release(hooks->context, regex);
    }
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Exponential patterns end by their limit; deep nesting and long patterns are refused. */
static void test_limits(void) {
    char text[64], problem[256];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    double start = seconds_now();
    CHECK(!strcmp(matches("(?:a|aa)+[bc]", text), "!"));
    CHECK(!strcmp(matches("(?:a|a?)+(?<=[bc])", text), "!"));
    CHECK(seconds_now() - start < 30, "%g s", seconds_now() - start);
    size_t n = 200000;
    char *long_one = malloc(n);
    CHECK(long_one != NULL);
    if (!long_one) return;
    memset(long_one, '(', n);
    CHECK(!hooks->compile(hooks->context, long_one, n, problem));
    memset(long_one, '[', n);
    CHECK(!hooks->compile(hooks->context, long_one, n, problem));
    for (size_t i = 0; i + 1 < n; i += 2) memcpy(long_one + i, "a?", 2);
    void *regex = hooks->compile(hooks->context, long_one, n, problem);
    if (regex) hooks->release(hooks->context, regex);
    memset(long_one, ' ', n); /* a megabyte of blanks is one match, found without the stack of compiled code */
    void *scratch = NULL;
    size_t begin, end;
    regex = hooks->compile(hooks->context, LLAMA3, strlen(LLAMA3), problem);
    CHECK(regex && hooks->match(hooks->context, regex, &scratch, long_one, n, 0, &begin, &end) == 1 && end == n);
    hooks->release_scratch(hooks->context, scratch);
    hooks->release(hooks->context, regex);
    free(long_one);
}

static bool put_text(void *to, const char *text, size_t bytes) {
    mote_buffer_append(to, text, bytes);
    return true;
}
static bool put_nothing(void *to, const char *text, size_t bytes) {
    (void)to, (void)text, (void)bytes;
    return false;
}

static void check_form(mote_text_form form, const char *text, const char *wanted) {
    mote_buffer out = {0};
    mote_buffer_append(&out, "", 0);
    CHECK(hooks->normalize(hooks->context, form, text, strlen(text), put_text, &out) && !strcmp(out.bytes, wanted),
          "form %d of %s: %s, not %s", form, text, out.bytes, wanted);
    mote_buffer_deinit(&out);
}

static void test_forms(void) {
    check_form(MOTE_FORM_NFC, "plain", "plain");
    check_form(MOTE_FORM_NFC, "cafe\u0301", "caf\u00e9");
    check_form(MOTE_FORM_NFD, "caf\u00e9", "cafe\u0301");
    check_form(MOTE_FORM_NFC, "\u212b", "\u00c5");
    check_form(MOTE_FORM_NFC, "\u0958", "\u0915\u093c"); /* excluded from composition */
    check_form(MOTE_FORM_NFC, "\ufb01", "\ufb01");
    check_form(MOTE_FORM_NFKC, "\ufb01\u00b2\uff21", "fi2A");
    check_form(MOTE_FORM_NFKD, "\u1e9b\u0323", "s\u0323\u0307");
    check_form(MOTE_FORM_NFKC, "\u1e9b\u0323", "\u1e69");
    check_form(MOTE_FORM_NFC, "\u1100\u1161\u11a8", "\uac01");
    check_form(MOTE_FORM_NFD, "\uac01", "\u1100\u1161\u11a8");
    check_form(MOTE_FORM_NFD, "a\u0315\u0300\u05ae" "b", "a\u05ae\u0300\u0315" "b"); /* marks in their order */
    mote_buffer text = {0}, out = {0};
    for (int i = 0; i < 5000; i++) mote_buffer_append(&text, "\ufdfa", 3); /* the character that grows most: 18 times */
    CHECK(hooks->normalize(hooks->context, MOTE_FORM_NFKC, text.bytes, text.size, put_text, &out) &&
          out.size == 5000 * 33, "%zu", out.size);
    CHECK(!hooks->normalize(hooks->context, MOTE_FORM_NFKC, text.bytes, text.size, put_nothing, NULL));
    mote_buffer_deinit(&text);
    mote_buffer_deinit(&out);
}

static void test_categories(void) {
    static const struct {
        uint32_t point, lower;
        const char *category;
    } cases[] = {{'A', 'a', "Lu"}, {'a', 'a', "Ll"}, {0x301, 0x301, "Mn"}, {0x3a3, 0x3c3, "Lu"}, {0x1c5, 0x1c6, "Lt"},
                 {0x4f60, 0x4f60, "Lo"}, {'1', '1', "Nd"}, {' ', ' ', "Zs"}, {0xad, 0xad, "Cf"}, {'$', '$', "Sc"},
                 {0x378, 0x378, "Cn"}, {0xe000, 0xe000, "Co"}, {0x1e9e, 0xdf, "Lu"}, {0x10ffff, 0x10ffff, "Cn"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t lower = 0;
        const char *category = hooks->category(hooks->context, cases[i].point, &lower);
        CHECK(!strcmp(category, cases[i].category) && lower == cases[i].lower, "U+%04X: %s, U+%04X",
              (unsigned)cases[i].point, category, (unsigned)lower);
    }
}

int main(void) {
    text_libraries_use();
    hooks = mote_text_hooks_now();
    if (!hooks) {
        printf("skip: built without PCRE2 and utf8proc\n");
        test_skipped++;
        return test_finish();
    }
    printf("%s\n", text_libraries_name());
    RUN(test_real_patterns);
    RUN(test_flavours);
    RUN(test_refused);
    RUN(test_limits);
    RUN(test_forms);
    RUN(test_categories);
    return test_finish();
}
