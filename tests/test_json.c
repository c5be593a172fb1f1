/* The JSON reader: documents to take and to refuse, the tokens they give, numbers against strtod, strings there and
 * back, skipping, and allocations that fail. */
#include "test.h"

#include <locale.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/random.h"
#include "failing_memory.h"

/* Pulls everything; the last kind is END or ERROR. */
static mote_json_kind read_whole(const char *text, size_t n, int *tokens, const char **problem) {
    char *copy = malloc(n ? n : 1); /* exactly as long, so that sanitizers see a read beyond */
    if (n) memcpy(copy, text, n);
    mote_json reader;
    mote_json_init(&reader, copy, n);
    mote_json_kind kind;
    int count = 0;
    do kind = mote_json_next(&reader), count++;
    while (kind != MOTE_JSON_END && kind != MOTE_JSON_ERROR);
    CHECK(mote_json_next(&reader) == kind, "a second call says something else");
    CHECK((kind == MOTE_JSON_ERROR) == (reader.problem != NULL) && reader.at <= n);
    if (tokens) *tokens = count;
    if (problem) *problem = reader.problem;
    mote_json_deinit(&reader);
    free(copy);
    return kind;
}

typedef struct {
    const char *text;
    size_t size;
} document;
#define DOCUMENT(text) {text, sizeof text - 1}

static const document good[] = {
    DOCUMENT("{}"), DOCUMENT("[]"), DOCUMENT("0"), DOCUMENT("-0"), DOCUMENT("1"), DOCUMENT("-1"), DOCUMENT("1.5"),
    DOCUMENT("1e5"), DOCUMENT("1E+5"), DOCUMENT("1e-5"), DOCUMENT("0.0"), DOCUMENT("0e0"), DOCUMENT("-0.5e-0"),
    DOCUMENT("10"), DOCUMENT("1e-999"), DOCUMENT("0e99999999999999999999"), DOCUMENT("123456789012345678901234567890"),
    DOCUMENT("true"), DOCUMENT("false"), DOCUMENT("null"), DOCUMENT("\"\""), DOCUMENT(" \t\r\n1 \t\r\n"),
    DOCUMENT("[1,2,3]"), DOCUMENT("[ 1 , [ ] , { } ]"), DOCUMENT("{\"a\":1,\"b\":[true,{\"c\":null}]}"),
    DOCUMENT("{\"a\":1,\"a\":2}"), DOCUMENT("{\"\":0}"), DOCUMENT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    DOCUMENT("\"\\u0000\\u00e9\\u20AC\\ud83d\\uDE00\""), DOCUMENT("\"\x7f\""), DOCUMENT("\"\xc3\xa9\""),
    DOCUMENT("\"\xe2\x82\xac\""), DOCUMENT("\"\xf0\x9f\x98\x80\""), DOCUMENT("\"\xef\xbf\xbf\""),
    DOCUMENT("\"\xf4\x8f\xbf\xbf\""), DOCUMENT("\"\xed\x9f\xbf\xee\x80\x80\""), DOCUMENT("[[[[]]],[[]]]"),
};

static const document bad[] = {
    DOCUMENT("\"\\ud800\\ue000\""), DOCUMENT("\"\\udbff\\uffff\""),
    DOCUMENT(""), DOCUMENT(" "), DOCUMENT("{"), DOCUMENT("}"), DOCUMENT("["), DOCUMENT("]"), DOCUMENT("[}"),
    DOCUMENT("{]"), DOCUMENT("[1"), DOCUMENT("[1,"), DOCUMENT("[1,]"), DOCUMENT("[,1]"), DOCUMENT("[1 2]"),
    DOCUMENT("[1,,2]"), DOCUMENT("{\"a\"}"), DOCUMENT("{\"a\":}"), DOCUMENT("{\"a\" 1}"), DOCUMENT("{\"a\":1,}"),
    DOCUMENT("{,}"), DOCUMENT("{a:1}"), DOCUMENT("{'a':1}"), DOCUMENT("{1:1}"), DOCUMENT("{\"a\":1 \"b\":2}"),
    DOCUMENT("{\"a\":1]"), DOCUMENT("{\"a\"::1}"), DOCUMENT("{\"a\":1"), DOCUMENT("{\"a\":1}}"), DOCUMENT("[]]"),
    DOCUMENT("1 2"), DOCUMENT("1,"), DOCUMENT("{}{}"), DOCUMENT("01"), DOCUMENT("-01"), DOCUMENT("00"), DOCUMENT("1."),
    DOCUMENT("-"), DOCUMENT("-."), DOCUMENT(".5"), DOCUMENT("+1"), DOCUMENT("1.e5"), DOCUMENT("1e"), DOCUMENT("1e+"),
    DOCUMENT("1e5.5"), DOCUMENT("0x10"), DOCUMENT("1_000"), DOCUMENT("--1"), DOCUMENT("1e999"), DOCUMENT("-1e309"),
    DOCUMENT("1e99999999999999999999999"), DOCUMENT("NaN"), DOCUMENT("Infinity"), DOCUMENT("-Infinity"),
    DOCUMENT("tru"), DOCUMENT("truex"), DOCUMENT("True"), DOCUMENT("nul"), DOCUMENT("nulll"), DOCUMENT("undefined"),
    DOCUMENT("'a'"), DOCUMENT("\""), DOCUMENT("\"a"), DOCUMENT("\"\\\""), DOCUMENT("\"\\"), DOCUMENT("\"\\x41\""),
    DOCUMENT("\"\\0\""), DOCUMENT("\"\\\0\""), DOCUMENT("\"\\u\""), DOCUMENT("\"\\u12\""), DOCUMENT("\"\\u123g\""),
    DOCUMENT("\"\\u+123\""), DOCUMENT("\"\\U0041\""), DOCUMENT("\"\\ud800\""), DOCUMENT("\"\\udc00\""),
    DOCUMENT("\"\\ud800\\u0041\""), DOCUMENT("\"\\ud800\\ud800\""), DOCUMENT("\"\\ud800x\""),
    DOCUMENT("\"\\ud800\\n\""), DOCUMENT("\"\\ud83d\\ude0\""), DOCUMENT("\"\n\""), DOCUMENT("\"\t\""),
    DOCUMENT("\"\0\""), DOCUMENT("\"\x1f\""), DOCUMENT("\"\x80\""), DOCUMENT("\"\xc3\""), DOCUMENT("\"\xc0\x80\""),
    DOCUMENT("\"\xc1\xbf\""), DOCUMENT("\"\xe0\x80\x80\""), DOCUMENT("\"\xe2\x82\""), DOCUMENT("\"\xed\xa0\x80\""),
    DOCUMENT("\"\xf0\x80\x80\x80\""), DOCUMENT("\"\xf4\x90\x80\x80\""), DOCUMENT("\"\xf5\x80\x80\x80\""),
    DOCUMENT("\"\xff\""), DOCUMENT("\xef\xbb\xbf{}"), DOCUMENT("{}\0"), DOCUMENT("[1]// x"), DOCUMENT("/* x */1"),
    DOCUMENT("\xc2\xa0[]"), DOCUMENT("[\x0b]"), DOCUMENT("[\x0c]"), DOCUMENT("{\"a\xff\":1}"),
    DOCUMENT("\xff\xfe[\0]\0"),
};

static void documents(void) {
    const char *problem;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK(read_whole(good[i].text, good[i].size, NULL, &problem) == MOTE_JSON_END, "%s: %s", good[i].text, problem);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(read_whole(bad[i].text, bad[i].size, NULL, NULL) == MOTE_JSON_ERROR, "%s", bad[i].text);
    CHECK(sizeof good / sizeof *good + sizeof bad / sizeof *bad >= 130);
}

static const char sample[] =
    " {\"model\": {\"type\":\"BPE\",\"vocab\":{\"a\\u00e9\":0,\"\\n\":1},\"merges\":[[\"a\",\"b\"],"
    "\"c d\"]},\n\"x\":[1,-2.5e3,true,false,null,[],{}],\"end\":\"\\ud83d\\ude00\"} ";

static void no_prefix_is_whole(void) {
    for (size_t n = 0; n < sizeof sample - 2; n++)
        CHECK(read_whole(sample, n, NULL, NULL) == MOTE_JSON_ERROR, "the first %zu bytes", n);
    CHECK(read_whole(sample, sizeof sample - 2, NULL, NULL) == MOTE_JSON_END);
}

static void tokens(void) {
    static const char expected[] = "{k(model){k(type)s(BPE)k(vocab){k(a\xc3\xa9)i0k(\n)i1}k(merges)[[s(a)s(b)]s(c d)]}"
                                   "k(x)[i1n-2500TFN[]{}]k(end)s(\xf0\x9f\x98\x80)}";
    mote_buffer out = {0};
    mote_json reader;
    mote_json_init(&reader, sample, sizeof sample - 1);
    for (mote_json_kind kind; (kind = mote_json_next(&reader)) != MOTE_JSON_END;) {
        CHECK(kind != MOTE_JSON_ERROR, "%s at %zu", reader.problem, reader.at);
        if (kind == MOTE_JSON_ERROR) break;
        if (kind == MOTE_JSON_KEY || kind == MOTE_JSON_STRING)
            mote_buffer_print(&out, "%c(%s)", kind == MOTE_JSON_KEY ? 'k' : 's', reader.string.bytes);
        else if (kind == MOTE_JSON_NUMBER && reader.is_integer) mote_buffer_print(&out, "i%d", (int)reader.integer);
        else if (kind == MOTE_JSON_NUMBER) mote_buffer_print(&out, "n%g", reader.number);
        else mote_buffer_append(&out, &"_{}[]ks_TFN"[kind], 1);
    }
    CHECK(strcmp(out.bytes, expected) == 0, "%s", out.bytes);
    CHECK(reader.at == sizeof sample - 1);
    mote_buffer_deinit(&out);
    mote_json_deinit(&reader);
    CHECK(mote_json_next(&reader) == MOTE_JSON_ERROR); /* closed */
}

static void depth(void) {
    char text[140];
    for (int n = 63; n <= 66; n++) {
        for (int i = 0; i < n; i++) text[i] = '[', text[n + i] = ']';
        const char *problem;
        mote_json_kind kind = read_whole(text, (size_t)(2 * n), NULL, &problem);
        CHECK(kind == (n <= 64 ? MOTE_JSON_END : MOTE_JSON_ERROR), "%d", n);
        CHECK(n <= 64 || strstr(problem, "64"), "%s", problem);
    }
    size_t n = 1000000;
    char *deep = malloc(n);
    memset(deep, '[', n);
    CHECK(read_whole(deep, n, NULL, NULL) == MOTE_JSON_ERROR);
    free(deep);
}

static void check_number(const char *text, size_t n) {
    mote_json reader;
    mote_json_init(&reader, text, n);
    CHECK(mote_json_next(&reader) == MOTE_JSON_NUMBER, "%.60s: %s", text, reader.problem);
    double expected = strtod(text, NULL);
    CHECK(memcmp(&expected, &reader.number, sizeof expected) == 0, "%.60s: %a, not %a", text, reader.number, expected);
    CHECK(mote_json_next(&reader) == MOTE_JSON_END);
    mote_json_deinit(&reader);
}

static void numbers_as_strtod(void) {
    static const char *const texts[] = {
        "0", "-0", "0.1", "1e22", "1e23", "9007199254740993", "9007199254740992.999", "1.7976931348623157e308",
        "2.2250738585072011e-308", "4.9e-324", "2.4703282292062327e-324", "2.4703282292062328e-324", "1e-400",
        "123456789.123456789e-9", "0.000000000000000000000000001e27", "100000000000000000000000e-23", "5e-1",
        "-1.25E+2", "8.41e21", "9.5e-5", "0.0000001", "1797693134862315700000000000000e278", "0e400", "0.0e-400"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) check_number(texts[i], strlen(texts[i]));
    mote_random random;
    mote_random_seed(&random, 3);
    char text[64];
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = mote_random_next(&random);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) continue;
        snprintf(text, sizeof text, "%.*e", 1 + i % 20, value);
        if (isfinite(strtod(text, NULL))) check_number(text, strlen(text));
    }
}

/* Midpoints between doubles need up to 767 digits; what stands behind any number of digits still decides. */
static void numbers_of_many_digits(void) {
    static char text[3000];
    size_t n = (size_t)snprintf(text, sizeof text, "%.1100f", 0x1.8p-1074 * 0.5 + 0x1p-1074); /* many digits */
    check_number(text, n);
    snprintf(text, sizeof text, "1.00000000000000011102230246251565404236316680908203125"); /* 1 + 2^-53: a tie */
    size_t tie = strlen(text);
    check_number(text, tie);
    for (size_t zeros = 0; zeros < 2000; zeros += 37) {
        memset(text + tie, '0', zeros);
        text[tie + zeros] = '1';
        text[tie + zeros + 1] = '\0';
        check_number(text, tie + zeros + 1);
    }
    memset(text, '9', 300);
    strcpy(text + 300, ".5");
    check_number(text, strlen(text));
    strcpy(text, "0.");
    memset(text + 2, '0', 2000);
    strcpy(text + 2002, "1e2001");
    check_number(text, strlen(text));
    size_t million = 1000000;
    char *digits = malloc(million);
    memset(digits, '7', million);
    digits[1] = '.';
    mote_json reader;
    mote_json_init(&reader, digits, million);
    CHECK(mote_json_next(&reader) == MOTE_JSON_NUMBER && reader.number == 70.0 / 9);
    mote_json_deinit(&reader);
    digits[1] = '7';
    CHECK(read_whole(digits, million, NULL, NULL) == MOTE_JSON_ERROR); /* above 1e308 */
    free(digits);
}

static void check_integer(const char *text, bool is_integer, int64_t expected) {
    mote_json reader;
    mote_json_init(&reader, text, strlen(text));
    CHECK(mote_json_next(&reader) == MOTE_JSON_NUMBER, "%s", text);
    CHECK(reader.is_integer == is_integer && reader.integer == expected, "%s: %lld", text, (long long)reader.integer);
    mote_json_deinit(&reader);
}

static void integers(void) {
    check_integer("0", true, 0);
    check_integer("-0", true, 0);
    check_integer("-17", true, -17);
    check_integer("9007199254740993", true, 9007199254740993);
    check_integer("9223372036854775807", true, INT64_MAX);
    check_integer("-9223372036854775808", true, INT64_MIN);
    check_integer("9223372036854775808", false, 0);
    check_integer("-9223372036854775809", false, 0);
    check_integer("18446744073709551617", false, 0); /* 2^64 + 1 */
    check_integer("1.0", false, 0);
    check_integer("1e2", false, 0);
}

static void locale_changes_nothing(void) {
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    int i = 0;
    while (i < 4 && !setlocale(LC_NUMERIC, names[i])) i++;
    if (i == 4) {
        test_skip("no locale with a decimal comma here");
        return;
    }
    mote_json reader;
    mote_json_init(&reader, "1.5", 3);
    CHECK(mote_json_next(&reader) == MOTE_JSON_NUMBER && reader.number == 1.5, "%g", reader.number);
    mote_json_deinit(&reader);
    CHECK(read_whole("1,5", 3, NULL, NULL) == MOTE_JSON_ERROR);
    setlocale(LC_NUMERIC, "C");
}

/* What buffer.c writes, json.c reads: random strings of well-formed characters, NUL and controls too. */
static void strings_there_and_back(void) {
    mote_random random;
    mote_random_seed(&random, 11);
    mote_buffer text = {0}, written = {0};
    mote_json reader;
    for (int round = 0; round < 3000; round++) {
        text.size = written.size = 0;
        for (uint64_t i = mote_random_below(&random, 40); i > 0; i--) {
            static const char *const pieces[] = {"a",    "\"",        "\\",           "/",
                                                 "\n",   "\x1f",      "\x7f",         "\xc2\x80",
                                                 "\xe2\x82\xac", "\xf4\x8f\xbf\xbf", "plain text", "\\u0041"};
            uint64_t pick = mote_random_below(&random, 13);
            if (pick == 12) mote_buffer_append(&text, "", 1);
            else mote_buffer_append(&text, pieces[pick], strlen(pieces[pick]));
        }
        mote_buffer_json_string(&written, text.bytes ? text.bytes : "", text.size);
        mote_json_init(&reader, written.bytes, written.size);
        CHECK(mote_json_next(&reader) == MOTE_JSON_STRING, "%s", reader.problem);
        CHECK(reader.string.size == text.size && (!text.size || !memcmp(reader.string.bytes, text.bytes, text.size)));
        CHECK(reader.string.bytes && reader.string.bytes[reader.string.size] == '\0');
        CHECK(mote_json_next(&reader) == MOTE_JSON_END);
        mote_json_deinit(&reader);
    }
    mote_buffer_deinit(&text);
    mote_buffer_deinit(&written);
}

static void skipping(void) {
    mote_json reader;
    mote_json_init(&reader, sample, sizeof sample - 1);
    CHECK(mote_json_next(&reader) == MOTE_JSON_OBJECT);
    int keys = 0;
    for (mote_json_kind kind; (kind = mote_json_next(&reader)) == MOTE_JSON_KEY; keys++) {
        CHECK(strcmp(reader.string.bytes, keys == 0 ? "model" : keys == 1 ? "x" : "end") == 0);
        CHECK(mote_json_skip(&reader, mote_json_next(&reader)));
    }
    CHECK(keys == 3 && mote_json_next(&reader) == MOTE_JSON_END);
    mote_json_deinit(&reader);
    mote_json_init(&reader, "[[1,}", 5);
    CHECK(mote_json_next(&reader) == MOTE_JSON_ARRAY && !mote_json_skip(&reader, MOTE_JSON_ARRAY));
    CHECK(mote_json_next(&reader) == MOTE_JSON_ERROR && reader.problem && reader.at == 4, "%zu", reader.at);
    mote_json_deinit(&reader);
}

static void allocations_that_fail(void) {
    failing_memory_begin();
    char text[600] = "{\"key\":\"";
    memset(text + 8, 'x', 500);
    strcpy(text + 508, "\"}");
    int k = 0;
    for (mote_json_kind kind = MOTE_JSON_ERROR; kind != MOTE_JSON_END; k++) {
        const char *problem;
        failing_memory_fail_at(k);
        kind = read_whole(text, strlen(text), NULL, &problem);
        CHECK(kind == MOTE_JSON_END || strcmp(problem, "out of memory") == 0, "%s", problem);
        CHECK(failing_memory_live() == 0 && k < 50);
    }
    CHECK(k >= 3, "%d", k);
    failing_memory_end();
}

int main(void) {
    RUN(documents);
    RUN(no_prefix_is_whole);
    RUN(tokens);
    RUN(depth);
    RUN(numbers_as_strtod);
    RUN(numbers_of_many_digits);
    RUN(integers);
    RUN(locale_changes_nothing);
    RUN(strings_there_and_back);
    RUN(skipping);
    RUN(allocations_that_fail);
    return test_finish();
}
