/* The base module: status, memory, buffers, random numbers, hashes, threads. Files are in test_files.c, JSON in
 * test_json.c. */
#include "test.h"

#include <errno.h>
#include <locale.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/threads.h"
#include "failing_memory.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* ---- status ------------------------------------------------------------------------------------------------------ */

static void status_sentences(void) {
    mote_error error;
    CHECK(mote_fail(&error, MOTE_BAD_FILE, "%s has %d tensors", "a.gguf", 7) == MOTE_BAD_FILE);
    CHECK(strcmp(error.message, "a.gguf has 7 tensors") == 0 && error.status == MOTE_BAD_FILE && !error.hint[0]);
    CHECK(mote_hint(&error, MOTE_FAILED, "use %s", "b.gguf") == MOTE_BAD_FILE);
    CHECK(strcmp(error.hint, "use b.gguf") == 0);
    mote_fail(&error, MOTE_FAILED, "outer: %s", error.message); /* its own message as an argument */
    CHECK(strcmp(error.message, "outer: a.gguf has 7 tensors") == 0 && !error.hint[0], "%s", error.message);
    CHECK(mote_fail(NULL, MOTE_IO, "nobody %d", 1) == MOTE_IO && mote_hint(NULL, MOTE_GATE, "x") == MOTE_GATE);
    CHECK(mote_fail_memory(&error, "the plan", 123) == MOTE_MEMORY);
    CHECK(strcmp(error.message, "out of memory: the plan needs 123 bytes") == 0, "%s", error.message);
    errno = ENOSPC;
    CHECK(mote_fail_io(&error, "cannot write", "/x") == MOTE_IO);
    CHECK(strcmp(error.message, "cannot write /x: No space left on device") == 0 && error.hint[0], "%s", error.message);
    char path[900], shown[64];
    for (int shift = 0; shift < 4; shift++) { /* a long name is cut in the middle, between characters */
        size_t n = (size_t)sprintf(path, "/begin/%.*s", shift, "xxx");
        while (n < 800) n += (size_t)sprintf(path + n, "\xf0\x9f\x98\x80");
        strcpy(path + n, "/end.gguf");
        errno = ENOENT;
        CHECK(mote_fail_path(&error, MOTE_BAD_FILE, "cannot open", path) == MOTE_BAD_FILE);
        CHECK(strncmp(error.message, "cannot open /begin/", 19) == 0, "%s", error.message);
        CHECK(strstr(error.message, "...") && strstr(error.message, "/end.gguf: No such file or directory"), "%s",
              error.message);
        CHECK(mote_utf8_valid(error.message, strlen(error.message)), "%s", error.message);
        CHECK(strlen(mote_short_path(path, shown, sizeof shown)) < sizeof shown && strstr(shown, "/end.gguf"));
    }
    memset(path, 'x', 64), path[64] = 0;
    CHECK(strcmp(mote_short_path(path + 1, shown, sizeof shown), path + 1) == 0, "%s", shown);
    CHECK(strlen(mote_short_path(path, shown, sizeof shown)) == 63 && strstr(shown, "x...x"), "%s", shown);
    CHECK(strcmp(mote_status_text(MOTE_DIVERGED), "training diverged") == 0);
    CHECK(strcmp(mote_status_text((mote_status)99), "unknown status") == 0);
    CHECK(strcmp(mote_version(), MOTE_VERSION) == 0);
}

static void status_cut_between_characters(void) {
    char text[1200];
    for (int shift = 0; shift < 4; shift++) {
        size_t n = (size_t)shift;
        memset(text, 'x', n);
        while (n + 4 < sizeof text) memcpy(text + n, "\xf0\x9f\x98\x80", 4), n += 4;
        text[n] = '\0';
        mote_error error;
        mote_fail(&error, MOTE_FAILED, "%s", text);
        mote_hint(&error, MOTE_FAILED, "%s", text);
        size_t message = strlen(error.message), hint = strlen(error.hint);
        CHECK(message >= 508 && message <= 511 && (message - (size_t)shift) % 4 == 0, "%zu", message);
        CHECK(hint >= 252 && hint <= 255 && (hint - (size_t)shift) % 4 == 0, "%zu", hint);
    }
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void memory_blocks(void) {
    for (size_t n = 0; n < 300; n++) {
        uint8_t *a = mote_allocate(n), *zero = mote_allocate_zero(n, 3);
        CHECK(a && (uintptr_t)a % 64 == 0 && zero && (uintptr_t)zero % 64 == 0);
        memset(a, 0x5a, n);
        for (size_t i = 0; i < 3 * n; i++) CHECK(zero[i] == 0);
        a = mote_resize(a, n * 7 + 1);
        CHECK(a && (uintptr_t)a % 64 == 0);
        for (size_t i = 0; i < n; i++) CHECK(a[i] == 0x5a, "byte %zu of %zu", i, n);
        a = mote_resize(a, n / 2);
        for (size_t i = 0; i < n / 2; i++) CHECK(a[i] == 0x5a, "byte %zu of %zu", i, n);
        mote_release(a);
        mote_free(zero);
    }
    CHECK(!mote_allocate(SIZE_MAX) && !mote_allocate(SIZE_MAX - 70) && !mote_allocate((size_t)PTRDIFF_MAX));
    CHECK(!mote_allocate_zero(SIZE_MAX / 2, 3) && !mote_allocate_zero((size_t)1 << 32, (size_t)1 << 32));
    CHECK(!mote_copy_bytes("", SIZE_MAX));
    char *keep = mote_copy_string("kept");
    CHECK(!mote_resize(keep, SIZE_MAX) && strcmp(keep, "kept") == 0);
    mote_release(keep);
    char *part = mote_copy_bytes("a\0bc", 3);
    CHECK(memcmp(part, "a\0b", 4) == 0);
    mote_release(part);
    mote_release(NULL);
}

static void memory_large_blocks_move(void) {
    size_t n = 1000003;
    uint32_t *p = mote_allocate(n * 4);
    for (size_t i = 0; i < n; i++) p[i] = (uint32_t)i * 2654435761u;
    for (int round = 0; round < 5; round++) {
        p = mote_resize(p, (n + (size_t)round * 1234567) * 4);
        CHECK((uintptr_t)p % 64 == 0);
    }
    for (size_t i = 0; i < n; i++)
        if (p[i] != (uint32_t)i * 2654435761u) {
            CHECK(false, "word %zu", i);
            break;
        }
    mote_release(p);
}

static void memory_zeroed_is_lazy(void) {
    if (SANITIZED) {
        test_skip("sanitizers fill memory");
        return;
    }
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    char *large = mote_allocate_zero((size_t)1 << 30, 1);
    if (!large) {
        test_skip("1 GiB cannot be had");
        return;
    }
    large[12345678] = 1;
    getrusage(RUSAGE_SELF, &after);
    CHECK(after.ru_maxrss - before.ru_maxrss < 8192, "%ld KiB", after.ru_maxrss - before.ru_maxrss);
    mote_release(large);
}

static void memory_grow(void) {
    int *list = NULL;
    size_t capacity = 0;
    for (size_t i = 0; i < 10000; i++) {
        CHECK(mote_grow((void **)&list, &capacity, i + 1, sizeof *list) && capacity >= i + 1);
        list[i] = (int)i;
    }
    for (int i = 0; i < 10000; i++) CHECK(list[i] == i);
    CHECK(capacity == 16384, "%zu", capacity);
    int *before = list;
    CHECK(!mote_grow((void **)&list, &capacity, SIZE_MAX, sizeof *list) && list == before && capacity == 16384);
    CHECK(!mote_grow((void **)&list, &capacity, SIZE_MAX / 2, sizeof *list) && list == before && capacity == 16384);
    mote_release(list);
}

static void memory_arena(void) {
    mote_arena arena = {0};
    enum { N = 2000 };
    static char *at[N];
    size_t sizes[N];
    for (size_t i = 0; i < N; i++) {
        sizes[i] = i % 97 == 0 ? i * 100 : i % 50;
        at[i] = mote_arena_allocate(&arena, sizes[i]);
        CHECK(at[i] && (uintptr_t)at[i] % 16 == 0);
        for (size_t k = 0; k < sizes[i]; k++) CHECK(at[i][k] == 0, "block %zu byte %zu", i, k);
        memset(at[i], (int)(i & 127) + 1, sizes[i]);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < sizes[i]; k++) CHECK(at[i][k] == (char)((i & 127) + 1), "block %zu byte %zu", i, k);
    CHECK(strcmp(mote_arena_string(&arena, "speck of dust", 5), "speck") == 0);
    CHECK(*mote_arena_string(&arena, NULL, 0) == '\0');
    CHECK(!mote_arena_allocate(&arena, SIZE_MAX) && !mote_arena_allocate(&arena, SIZE_MAX - 40));
    CHECK(arena.total > 0);
    mote_arena_deinit(&arena);
    CHECK(!arena.last && arena.total == 0);
}

/* ---- buffers ---------------------------------------------------------------------------------------------------- */

static void buffer_text(void) {
    mote_buffer buffer = {0};
    char *text;
    mote_buffer_print(&buffer, "%d-%s|", 42, "abc");
    mote_buffer_append(&buffer, "x\0y", 3);
    CHECK(buffer.size == 10 && memcmp(buffer.bytes, "42-abc|x\0y", 11) == 0);
    mote_buffer_print(&buffer, "%*d", 100000, 7);
    CHECK(buffer.size == 100010 && buffer.bytes[100009] == '7' && buffer.bytes[100010] == '\0');
    for (int n = 0; n < 300; n++) { /* each fill level of the buffer */
        mote_buffer b = {0};
        for (int i = 0; i < n; i++) mote_buffer_append(&b, "a", 1);
        mote_buffer_print(&b, "%s", "0123456789");
        CHECK(b.size == (size_t)n + 10 && strcmp(b.bytes + n, "0123456789") == 0, "%d", n);
        mote_buffer_deinit(&b);
    }
    CHECK(mote_buffer_finish(&buffer, &text, NULL) == MOTE_OK && !buffer.bytes && text[3] == 'a');
    mote_free(text);
    CHECK(mote_buffer_finish(&buffer, &text, NULL) == MOTE_OK && text[0] == '\0'); /* an empty one is "" */
    mote_free(text);
}

static void check_json_string(const char *bytes, size_t n, const char *expected) {
    mote_buffer buffer = {0};
    mote_buffer_json_string(&buffer, bytes, n);
    CHECK(strcmp(buffer.bytes, expected) == 0, "%s, not %s", buffer.bytes, expected);
    mote_buffer_deinit(&buffer);
}

static void buffer_json_strings(void) {
    check_json_string("", 0, "\"\"");
    check_json_string("a\"b\\c\n\t\r\b\f\x01\x1f\x7f", 13, "\"a\\\"b\\\\c\\n\\t\\r\\b\\f\\u0001\\u001f\x7f\"");
    check_json_string("\0z", 2, "\"\\u0000z\"");
    check_json_string("h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 12, "\"h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
#define BAD "\xef\xbf\xbd"
    check_json_string("\xff.\xc3", 3, "\"" BAD "." BAD "\"");
    check_json_string("\xed\xa0\x80", 3, "\"" BAD BAD BAD "\"");         /* a surrogate */
    check_json_string("\xc0\x80", 2, "\"" BAD BAD "\"");                 /* too long a form */
    check_json_string("\xf4\x90\x80\x80", 4, "\"" BAD BAD BAD BAD "\""); /* above U+10FFFF */
}

static void check_json_number(double value, const char *expected) {
    mote_buffer buffer = {0};
    mote_buffer_json_number(&buffer, value);
    CHECK(strcmp(buffer.bytes, expected) == 0, "%s, not %s", buffer.bytes, expected);
    mote_buffer_deinit(&buffer);
}

static void check_json_numbers(void) {
    check_json_number(0, "0");
    check_json_number(-0.0, "-0");
    check_json_number(1, "1");
    check_json_number(-17, "-17");
    check_json_number(1e15, "1000000000000000");
    check_json_number(9007199254740991.0, "9007199254740991");
    check_json_number(1e300, "1e+300");
    check_json_number(0.1, "0.1");
    check_json_number(0.1f, "0.1");
    check_json_number(0.30000001192092896, "0.3"); /* 0.3f */
    check_json_number(1.0 / 3, "0.333333333");
    check_json_number(1.5e-7f, "1.5e-07");
    check_json_number(3.14159274f, "3.1415927");
    check_json_number(1e-300, "1e-300");
    check_json_number(NAN, "null");
    check_json_number(-INFINITY, "null");
}

static void buffer_json_numbers(void) {
    check_json_numbers();
    mote_random random;
    mote_random_seed(&random, 5);
    for (int i = 0; i < 20000; i++) { /* every float comes back */
        uint32_t bits = (uint32_t)mote_random_next(&random);
        float value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) continue;
        mote_buffer buffer = {0};
        mote_buffer_json_number(&buffer, (double)value);
        CHECK(strtof(buffer.bytes, NULL) == value, "%a gave %s", (double)value, buffer.bytes);
        mote_buffer_deinit(&buffer);
    }
    /* A locale with a decimal comma changes nothing. */
    const char *names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    for (int i = 0; i < 4; i++)
        if (setlocale(LC_NUMERIC, names[i])) check_json_numbers();
    setlocale(LC_NUMERIC, "C");
}

/* Every allocation of every kind of append fails once; nothing leaks, nothing is half there. */
static void allocations_that_fail(void) {
    failing_memory_begin();
    int k = 0;
    for (bool all = false; !all; k++) {
        failing_memory_fail_at(k);
        mote_buffer buffer = {0};
        mote_arena arena = {0};
        int64_t *list = NULL;
        size_t capacity = 0;
        char *text = NULL;
        bool ok = true;
        for (size_t i = 0; i < 300; i++) {
            mote_buffer_print(&buffer, "%zu,", i);
            mote_buffer_json_string(&buffer, "a\nb", 3);
            mote_buffer_json_number(&buffer, 0.25);
            ok = ok && mote_arena_allocate(&arena, 100) && mote_arena_string(&arena, "text", 4);
            ok = ok && mote_grow((void **)&list, &capacity, i + 1, sizeof *list);
            if (list && i < capacity) list[i] = 1;
        }
        mote_error error;
        mote_status status = mote_buffer_finish(&buffer, &text, &error);
        CHECK((status == MOTE_OK) == (text != NULL) && (status == MOTE_OK || status == MOTE_MEMORY));
        all = ok && status == MOTE_OK;
        CHECK(all || failing_memory_failed(), "allocation %d", k);
        mote_free(text);
        mote_arena_deinit(&arena);
        mote_release(list);
        CHECK(failing_memory_live() == 0, "%d blocks left after failing allocation %d", failing_memory_live(), k);
    }
    CHECK(k > 15, "%d", k);
    failing_memory_end();
}

/* ---- random numbers and hashes ---------------------------------------------------------------------------------- */

static void random_streams_never_change(void) {
    /* Published values of splitmix64 (seed 1234567) and xoshiro256++ (state 1, 2, 3, 4). */
    CHECK(mote_hash64(1234567) == 6457827717110365317u);
    mote_random random = {{1, 2, 3, 4}};
    const uint64_t published[] = {41943041, 58720359, 3588806011781223, 3591011842654386, 9228616714210784205u};
    for (int i = 0; i < 5; i++) {
        uint64_t x = mote_random_next(&random);
        CHECK(x == published[i], "%d: %llu", i, (unsigned long long)x);
    }
    mote_random_seed(&random, 1234567);
    CHECK(random.state[0] == 6457827717110365317u && random.state[1] == 3203168211198807973u);
    CHECK(random.state[2] == 9817491932198370423u);
    mote_random_seed(&random, 42);
    uint64_t hash = 0;
    for (int i = 0; i < 1000; i++) {
        struct {
            uint64_t next, below;
            double uniform, normal;
        } drawn = {mote_random_next(&random), mote_random_below(&random, 1000003), mote_random_uniform(&random),
                   mote_random_normal(&random)};
        hash = mote_hash_bytes(&drawn, sizeof drawn, hash);
    }
    CHECK(hash == 0x31173a420fa590acu, "0x%016llx", (unsigned long long)hash);
}

static void random_distributions(void) {
    enum { N = 400000 };
    mote_random random;
    mote_random_seed(&random, 7);
    double sum = 0, squares = 0, cubes = 0, fourths = 0, uniform = 0;
    int within = 0, counts[7] = {0};
    for (int i = 0; i < N; i++) {
        double x = mote_random_normal(&random), u = mote_random_uniform(&random);
        sum += x, squares += x * x, cubes += x * x * x, fourths += x * x * x * x, uniform += u;
        within += fabs(x) < 1;
        CHECK(u >= 0 && u < 1);
        counts[mote_random_below(&random, 7)]++;
    }
    /* Bounds are five standard errors. */
    CHECK(fabs(sum / N) < 5 / sqrt(N) && fabs(squares / N - 1) < 5 * sqrt(2.0 / N), "%g %g", sum / N, squares / N);
    CHECK(fabs(cubes / N) < 5 * sqrt(15.0 / N) && fabs(fourths / N - 3) < 5 * sqrt(96.0 / N));
    CHECK(fabs(within / (double)N - 0.682689) < 5 * sqrt(0.2166 / N), "%d", within);
    CHECK(fabs(uniform / N - 0.5) < 5 * sqrt(1.0 / 12 / N));
    for (int i = 0; i < 7; i++) CHECK(fabs(counts[i] - N / 7.0) < 5 * sqrt(N / 7.0), "%d: %d", i, counts[i]);
    for (int i = 0; i < 100; i++) CHECK(mote_random_below(&random, 1) == 0);
    CHECK(mote_random_below(&random, UINT64_MAX) < UINT64_MAX);
}

static void hash_known_values(void) {
    /* Of the reference implementation's own check: bytes from a multiplicative generator. */
    uint8_t bytes[256];
    uint64_t generator = 2654435761u;
    for (size_t i = 0; i < sizeof bytes; i++, generator *= 11400714785074694797u) bytes[i] = (uint8_t)(generator >> 56);
    static const struct {
        size_t n;
        uint64_t plain, seeded; /* seed 0, seed 2654435761 */
    } known[] = {{0, 0xef46db3751d8e999u, 0xac75fda2929b17efu},
                 {1, 0xe934a84adb052768u, 0x5014607643a9b4c3u},
                 {14, 0x8282dcc4994e35c8u, 0xc3bd6bf63deb6df0u},
                 {222, 0xb641ae8cb691c174u, 0x20cb8ab7ae10c14au}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        CHECK(mote_hash_bytes(bytes, known[i].n, 0) == known[i].plain, "%zu bytes", known[i].n);
        CHECK(mote_hash_bytes(bytes, known[i].n, 2654435761u) == known[i].seeded, "%zu bytes", known[i].n);
    }
    CHECK(mote_hash_bytes(NULL, 0, 0) == 0xef46db3751d8e999u);
    CHECK(mote_hash_bytes("a", 1, 0) == 0xd24ec4f1a98c6e5bu && mote_hash_bytes("abc", 3, 0) == 0x44bc2cf5ad770999u);
    uint8_t moved[264]; /* any alignment */
    for (size_t shift = 0; shift < 8; shift++) {
        memcpy(moved + shift, bytes, 222);
        CHECK(mote_hash_bytes(moved + shift, 222, 0) == 0xb641ae8cb691c174u);
    }
}

/* ---- threads ---------------------------------------------------------------------------------------------------- */

typedef struct {
    mote_pool *pool;
    atomic_int next, wrong, runs;
    int rounds, slow_thread;
    int marks[8];
    char taken[1000];
} work;

static void count_task(void *context, int thread, int n_threads) {
    work *w = context;
    w->marks[thread]++;
    if (n_threads != mote_pool_threads(w->pool)) atomic_fetch_add(&w->wrong, 1);
    for (int i; (i = mote_take(&w->next)) < 1000;) w->taken[i]++;
    atomic_fetch_add(&w->runs, 1);
}

static void barrier_task(void *context, int thread, int n_threads) {
    work *w = context;
    for (int round = 1; round <= w->rounds; round++) {
        if (thread == w->slow_thread) usleep(1000);
        w->marks[thread] = round;
        mote_pool_barrier(w->pool);
        for (int i = 0; i < n_threads; i++)
            if (w->marks[i] != round) atomic_fetch_add(&w->wrong, 1);
        mote_pool_barrier(w->pool);
    }
}

static void pool_runs_and_barriers(void) {
    static work w;
    for (int n = 1; n <= 8; n++) {
        w = (work){.slow_thread = -1};
        CHECK(mote_pool_create(n, &w.pool, NULL) == MOTE_OK && mote_pool_threads(w.pool) == n);
        for (int run = 0; run < 300; run++) {
            atomic_store(&w.next, 0);
            memset(w.taken, 0, sizeof w.taken);
            mote_pool_run(w.pool, count_task, &w);
            CHECK(atomic_load(&w.runs) == n * (run + 1), "%d", run);
            for (int i = 0; i < 1000; i++) CHECK(w.taken[i] == 1, "%d threads, run %d, item %d", n, run, i);
        }
        for (int i = 0; i < n; i++) CHECK(w.marks[i] == 300);
        w.rounds = 500;
        mote_pool_run(w.pool, barrier_task, &w);
        w.rounds = 10;
        for (w.slow_thread = 0; w.slow_thread < n; w.slow_thread++) /* the others sleep */
            mote_pool_run(w.pool, barrier_task, &w);
        CHECK(atomic_load(&w.wrong) == 0, "%d threads: %d", n, atomic_load(&w.wrong));
        usleep(2000);
        mote_pool_run(w.pool, count_task, &w); /* wakes sleeping workers */
        CHECK(atomic_load(&w.runs) == n * 301);
        mote_pool_destroy(w.pool);
    }
}

static void lagging_task(void *context, int thread, int n_threads) {
    work *w = context;
    if (thread == 0) w->rounds += n_threads == 1;
    if (thread == 1 && w->slow_thread == 1) usleep(2000);
    mote_pool_barrier(w->pool);
    mote_pool_barrier(w->pool);
    if (w->slow_thread < 0) usleep(100); /* so that a debt of seconds is soon paid */
}

/* A thread that always comes late is done without, for ever longer; when it no longer does, it is soon used again. */
static void pool_runs_alone_for_a_while(void) {
    static work w;
    enum { RUNS_LATE = 3000, RUNS_AFTER = 20000 };
    for (int may = 0; may <= 1; may++) {
        w = (work){.slow_thread = 1};
        CHECK(mote_pool_create(2, &w.pool, NULL) == MOTE_OK);
        mote_pool_may_run_alone(w.pool, may);
        int runs = may ? RUNS_LATE : 20;
        for (int i = 0; i < runs; i++) mote_pool_run(w.pool, lagging_task, &w);
        CHECK(may ? w.rounds > runs * 9 / 10 : w.rounds == 0, "%d of %d runs alone beside a late thread", w.rounds,
              runs);
        w.slow_thread = -1;
        int before = 0, i = 0;
        do before = w.rounds, mote_pool_run(w.pool, lagging_task, &w);
        while (w.rounds > before && ++i < RUNS_AFTER);
        CHECK(i < RUNS_AFTER, "alone for %d runs after the thread was on time", i);
        mote_pool_destroy(w.pool);
    }
}

/* Wall seconds of a stalled run, and of the runs alone that follow it. */
static double alone_after_stall(work *w, double *stalled) {
    w->slow_thread = 1;
    do *stalled = mote_seconds(), mote_pool_run(w->pool, lagging_task, w), *stalled = mote_seconds() - *stalled;
    while (!mote_pool_runs_alone(w->pool));
    w->slow_thread = -1;
    double begin = mote_seconds();
    while (mote_pool_runs_alone(w->pool)) mote_pool_run(w->pool, lagging_task, w);
    return mote_seconds() - begin;
}

static void pool_forgets_what_it_learned(void) {
    static work w;
    double stalled, alone;
    CHECK(mote_pool_create(2, &w.pool, NULL) == MOTE_OK);
    mote_pool_may_run_alone(w.pool, true);
    for (int i = 0; i < 5; i++) alone_after_stall(&w, &stalled); /* the sixth would cost 128 times itself */
    mote_pool_may_run_alone(w.pool, true);
    alone = alone_after_stall(&w, &stalled);
    CHECK(alone < 40 * stalled, "a first stall of %g s: alone for %g s", stalled, alone);
    mote_pool_destroy(w.pool);
}

static void pool_that_cannot_be(void) {
    mote_pool *pool;
    mote_error error;
    CHECK(mote_pool_create(0, &pool, &error) == MOTE_USAGE && !pool);
    CHECK(mote_pool_create(257, &pool, &error) == MOTE_USAGE && strstr(error.message, "257"), "%s", error.message);
    mote_pool_destroy(NULL);
    failing_memory_begin();
    for (int k = 0; k < 2; k++) {
        failing_memory_fail_at(k);
        CHECK(mote_pool_create(3, &pool, &error) == MOTE_MEMORY && !pool && failing_memory_live() == 0);
    }
    failing_memory_end();
    CHECK(mote_cpu_cores() >= 1 && mote_cpu_cores() <= 256);
    if (SANITIZED) return; /* their shadow needs the address space */
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {100 << 20, 100 << 20};
        setrlimit(RLIMIT_AS, &limit);
        mote_status status = mote_pool_create(256, &pool, &error);
        _exit(status == MOTE_FAILED && !pool && strstr(error.message, "cannot start thread") ? 0 : 10 + (int)status);
    }
    int result = -1;
    waitpid(child, &result, 0);
    CHECK(WIFEXITED(result) && WEXITSTATUS(result) == 0, "%x", result);
}

int main(void) {
    RUN(status_sentences);
    RUN(status_cut_between_characters);
    RUN(memory_blocks);
    RUN(memory_large_blocks_move);
    RUN(memory_zeroed_is_lazy);
    RUN(memory_grow);
    RUN(memory_arena);
    RUN(buffer_text);
    RUN(buffer_json_strings);
    RUN(buffer_json_numbers);
    RUN(allocations_that_fail);
    RUN(random_streams_never_change);
    RUN(random_distributions);
    RUN(hash_known_values);
    RUN(pool_runs_and_barriers);
    RUN(pool_runs_alone_for_a_while);
    RUN(pool_forgets_what_it_learned);
    RUN(pool_that_cannot_be);
    return test_finish();
}
