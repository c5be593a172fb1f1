/* A test program is a main() that runs TEST(name) blocks; each prints one line and the program ends with test_finish().
 */
#ifndef MOTE_TESTS_TEST_H
#define MOTE_TESTS_TEST_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int test_passed, test_failed, test_skipped, test_ok;
static const char *test_name;

#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            if (test_ok) printf("FAIL %s\n", test_name);                                                               \
            test_ok = 0;                                                                                               \
            printf("  %s:%d: %s: ", __FILE__, __LINE__, #condition);                                                   \
            printf(" " __VA_ARGS__);                                                                                   \
            printf("\n");                                                                                              \
        }                                                                                                              \
    } while (0)

/* Runs a void function as one test. */
#define RUN(function) test_run(#function, function)
static inline void test_run(const char *name, void (*function)(void)) {
    test_name = name;
    test_ok = 1;
    function();
    if (test_ok == 1) test_passed++, printf("ok   %s\n", name);
    else if (test_ok == 0) test_failed++;
    else test_skipped++;
    fflush(stdout);
}
/* Inside a test: says why it cannot run here, and is counted as skipped. */
static inline void test_skip(const char *why) {
    printf("skip %s: %s\n", test_name, why);
    test_ok = 2;
}
static inline int test_finish(void) {
    printf("%d passed, %d failed, %d skipped\n", test_passed, test_failed, test_skipped);
    return test_failed ? 1 : 0;
}

#endif
