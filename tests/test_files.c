/* Files: mapping, atomic replacement under failures and kills, scratch space, folders. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"
#include "failing_memory.h"

static char folder[64], target[128];

static void put(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0, "%s", path);
}

static bool holds(const char *path, const void *bytes, size_t n) {
    mote_map map;
    if (mote_map_open(path, &map, NULL) != MOTE_OK) return false;
    bool same = map.size == n && memcmp(map.bytes, bytes, n) == 0;
    mote_map_close(&map);
    return same;
}

static size_t files_in_folder(void) {
    char **names;
    size_t n = 0;
    CHECK(mote_folder_list(folder, &names, &n, NULL) == MOTE_OK);
    mote_release(names);
    return n;
}

static void clear_folder(void) {
    char **names, path[512];
    size_t n = 0;
    CHECK(mote_folder_list(folder, &names, &n, NULL) == MOTE_OK);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    mote_release(names);
}

static void map_opens(void) {
    mote_map map;
    mote_error error;
    put(target, "");
    CHECK(mote_map_open(target, &map, NULL) == MOTE_OK && map.bytes && map.size == 0 && !map.mapped);
    mote_map_close(&map);
    CHECK(!map.bytes && !map.path);
    put(target, "hello");
    CHECK(mote_map_open(target, &map, NULL) == MOTE_OK && map.size == 5 && map.mapped);
    CHECK(memcmp(map.bytes, "hello", 5) == 0 && strcmp(map.path, target) == 0);
    mote_map_close(&map);
    CHECK(mote_map_open("/proc/self/status", &map, NULL) == MOTE_OK && map.size > 100); /* says it has 0 bytes */
    mote_map_close(&map);

    CHECK(mote_map_open(folder, &map, &error) == MOTE_BAD_FILE && strstr(error.message, "folder"), "%s", error.message);
    CHECK(mote_map_open("/nowhere/x", &map, &error) == MOTE_BAD_FILE && !map.bytes);
    CHECK(strcmp(error.message, "cannot open /nowhere/x: No such file or directory") == 0, "%s", error.message);
    CHECK(mote_map_open("", &map, &error) == MOTE_BAD_FILE);
    CHECK(mote_map_open("/proc/self/status/x", &map, &error) == MOTE_BAD_FILE);
    CHECK(mote_map_open("/proc/self/mem", &map, &error) == MOTE_IO, "%s", error.message); /* read fails with EIO */
    clear_folder();
}

static void map_reads_pipes(void) {
    enum { N = 300000 };
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < N; i++) {
            char c = (char)(i % 251);
            if (write(ends[1], &c, 1) != 1) _exit(1);
        }
        _exit(0);
    }
    close(ends[1]);
    char path[64];
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    mote_map map;
    CHECK(mote_map_open(path, &map, NULL) == MOTE_OK && map.size == N && !map.mapped, "%zu", map.size);
    for (size_t i = 0; i < map.size; i++) CHECK(map.bytes[i] == i % 251);
    mote_map_close(&map);
    close(ends[0]);
    waitpid(child, NULL, 0);
}

static mode_t mode_of(const char *path) {
    struct stat about = {0};
    stat(path, &about);
    return about.st_mode & 07777;
}

static void writer_replaces(void) {
    mote_writer *writer;
    mode_t mask = umask(027);
    CHECK(mote_writer_open(target, &writer, NULL) == MOTE_OK);
    mote_writer_write(writer, "new", 3);
    CHECK(mote_writer_position(writer) == 3 && access(target, F_OK) != 0); /* not there before commit */
    CHECK(mote_writer_commit(writer, NULL) == MOTE_OK && holds(target, "new", 3));
    CHECK(mode_of(target) == 0640, "%o", (unsigned)mode_of(target));
    chmod(target, 0604);
    CHECK(mote_writer_open(target, &writer, NULL) == MOTE_OK);
    CHECK(mote_writer_commit(writer, NULL) == MOTE_OK && holds(target, "", 0) && mode_of(target) == 0604);
    umask(mask);

    mote_writer *first = NULL, *second = NULL; /* two at once: the last commit stands, neither sees the other's bytes */
    CHECK(mote_writer_open(target, &first, NULL) == MOTE_OK && mote_writer_open(target, &second, NULL) == MOTE_OK);
    mote_writer_write(second, "second", 6);
    mote_writer_write(first, "first", 5);
    CHECK(mote_writer_commit(second, NULL) == MOTE_OK && holds(target, "second", 6));
    CHECK(mote_writer_commit(first, NULL) == MOTE_OK && holds(target, "first", 5));

    char link[160]; /* a link stays a link */
    snprintf(link, sizeof link, "%s/link", folder);
    CHECK(symlink(target, link) == 0 && mote_writer_open(link, &writer, NULL) == MOTE_OK);
    mote_writer_write(writer, "linked", 6);
    CHECK(mote_writer_commit(writer, NULL) == MOTE_OK && holds(target, "linked", 6));
    struct stat about;
    CHECK(lstat(link, &about) == 0 && S_ISLNK(about.st_mode));
    CHECK(files_in_folder() == 2);
    clear_folder();
}

static void writer_sizes(void) {
    enum { N = 5000000 };
    uint8_t *bytes = malloc(N);
    for (size_t i = 0; i < N; i++) bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    const size_t steps[] = {1, 4093, 1048575, 1048576, 1048577, 2500000, N};
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        size_t total = steps[s] == 1 ? 1100000 : N;
        mote_writer *writer;
        CHECK(mote_writer_open(target, &writer, NULL) == MOTE_OK);
        for (size_t at = 0, n; at < total; at += n) {
            n = total - at < steps[s] ? total - at : steps[s];
            mote_writer_write(writer, bytes + at, n);
            CHECK(mote_writer_position(writer) == at + n);
        }
        CHECK(mote_writer_commit(writer, NULL) == MOTE_OK && holds(target, bytes, total), "step %zu", steps[s]);
    }
    free(bytes);
    clear_folder();
}

static void writer_leaves_the_old_file(void) {
    mote_writer *writer;
    mote_error error;
    static char large[3 << 20];
    put(target, "old");
    CHECK(mote_writer_open(target, &writer, NULL) == MOTE_OK);
    mote_writer_write(writer, large, sizeof large);
    mote_writer_abort(writer);
    mote_writer_abort(NULL);
    CHECK(holds(target, "old", 3) && files_in_folder() == 1);

    pid_t child = fork(); /* killed while it writes */
    if (child == 0) {
        if (mote_writer_open(target, &writer, NULL) != MOTE_OK) _exit(1);
        mote_writer_write(writer, large, sizeof large);
        raise(SIGKILL);
    }
    int result = 0;
    waitpid(child, &result, 0);
    CHECK(WIFSIGNALED(result) && holds(target, "old", 3));
    clear_folder();
    put(target, "old");

    child = fork(); /* a disk that is full after 2 MB, played by a limit on files */
    if (child == 0) {
        struct rlimit limit = {2000000, 2000000};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        if (mote_writer_open(target, &writer, NULL) != MOTE_OK) _exit(1);
        mote_writer_write(writer, large, sizeof large);
        mote_writer_write(writer, "more", 4);
        if (mote_writer_commit(writer, &error) != MOTE_IO) _exit(2);
        _exit(strstr(error.message, "File too large") && strstr(error.message, target) ? 0 : 3);
    }
    waitpid(child, &result, 0);
    CHECK(WIFEXITED(result) && WEXITSTATUS(result) == 0, "%x", result);
    CHECK(holds(target, "old", 3) && files_in_folder() == 1);
    clear_folder();
}

static void writer_patches(void) {
    mote_writer *writer;
    mote_error error;
    static char large[(1 << 20) + 100];
    memset(large, 'a', sizeof large);
    CHECK(mote_writer_open(target, &writer, NULL) == MOTE_OK && mote_writer_can_patch(writer));
    mote_writer_write(writer, large, sizeof large);
    mote_writer_write(writer, "tail", 4);
    mote_writer_patch(writer, 0, "first", 5);
    mote_writer_patch(writer, sizeof large, "TAIL", 4); /* what still stood in the buffer, up to the last byte */
    CHECK(mote_writer_position(writer) == sizeof large + 4);
    mote_writer_write(writer, "!", 1); /* writing goes on at the end */
    CHECK(mote_writer_commit(writer, NULL) == MOTE_OK);
    mote_map map;
    CHECK(mote_map_open(target, &map, NULL) == MOTE_OK && map.size == sizeof large + 5);
    CHECK(memcmp(map.bytes, "firsta", 6) == 0 && memcmp(map.bytes + sizeof large - 1, "aTAIL!", 6) == 0);
    mote_map_close(&map);
    const uint64_t offsets[] = {1, UINT64_MAX, 5};
    for (int i = 0; i < 3; i++) { /* beyond what is written: refused, and the old file stays */
        CHECK(mote_writer_open(target, &writer, NULL) == MOTE_OK);
        mote_writer_write(writer, "abcd", 4);
        mote_writer_patch(writer, offsets[i], "wxyz", 4);
        CHECK(mote_writer_commit(writer, &error) == MOTE_IO && files_in_folder() == 1);
    }
    CHECK(mote_writer_open("/dev/null", &writer, NULL) == MOTE_OK && !mote_writer_can_patch(writer));
    mote_writer_abort(writer);
    clear_folder();
}

static void writer_cannot(void) {
    mote_writer *writer;
    mote_error error;
    CHECK(mote_writer_open("/nowhere/x", &writer, &error) == MOTE_IO && !writer);
    CHECK(strcmp(error.message, "cannot write /nowhere/x: No such file or directory") == 0, "%s", error.message);
    CHECK(mote_writer_open(folder, &writer, &error) == MOTE_IO && strstr(error.message, "folder"), "%s", error.message);
    CHECK(mote_writer_open("/dev/full", &writer, &error) == MOTE_OK);
    mote_writer_write(writer, "x", 1);
    CHECK(mote_writer_commit(writer, &error) == MOTE_IO);
    CHECK(strcmp(error.message, "cannot write /dev/full: No space left on device") == 0 && error.hint[0]);
    static char large[3 << 20];
    CHECK(mote_writer_open("/dev/full", &writer, &error) == MOTE_OK);
    mote_writer_write(writer, large, sizeof large);
    mote_writer_write(writer, large, sizeof large); /* does nothing */
    CHECK(mote_writer_commit(writer, &error) == MOTE_IO);
    struct stat about;
    CHECK(stat("/dev/full", &about) == 0 && S_ISCHR(about.st_mode));
}

static void writer_straight(void) {
    mote_writer *writer;
    struct stat about;
    CHECK(mote_writer_open("/dev/null", &writer, NULL) == MOTE_OK);
    mote_writer_write(writer, "x", 1);
    CHECK(mote_writer_commit(writer, NULL) == MOTE_OK && stat("/dev/null", &about) == 0 && S_ISCHR(about.st_mode));

    put(target, "before ");
    fflush(stdout);
    pid_t child = fork(); /* standard output appended to a file goes on where it stands */
    if (child == 0) {
        int file = open(target, O_WRONLY | O_APPEND);
        if (file < 0 || dup2(file, 1) < 0) _exit(1);
        if (mote_writer_open("/dev/stdout", &writer, NULL) != MOTE_OK) _exit(2);
        mote_writer_write(writer, "after", 5);
        if (mote_writer_commit(writer, NULL) != MOTE_OK || write(1, "!", 1) != 1) _exit(3);
        _exit(0);
    }
    int result = -1;
    waitpid(child, &result, 0);
    CHECK(result == 0 && holds(target, "before after!", 13), "%x", result);

    /* A pipe that does not block and is read slowly takes everything. */
    enum { N = 3000000 };
    int ends[2];
    CHECK(pipe(ends) == 0);
    child = fork();
    if (child == 0) {
        static char bytes[N];
        char path[32];
        close(ends[0]);
        fcntl(ends[1], F_SETFL, O_NONBLOCK);
        snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
        if (mote_writer_open(path, &writer, NULL) != MOTE_OK) _exit(1);
        mote_writer_write(writer, bytes, N / 3);
        mote_writer_write(writer, bytes, N - N / 3);
        _exit(mote_writer_commit(writer, NULL) != MOTE_OK);
    }
    close(ends[1]);
    static char got[65536];
    size_t total = 0;
    for (ssize_t n; (n = read(ends[0], got, sizeof got)) > 0; total += (size_t)n)
        if (total < 500000) usleep(1000);
    close(ends[0]);
    waitpid(child, &result, 0);
    CHECK(result == 0 && total == N, "%x %zu", result, total);
    clear_folder();
}

static void scratch_space(void) {
    void *mapping;
    mote_error error;
    size_t n = 3 << 20;
    CHECK(mote_scratch_map(folder, n, &mapping, &error) == MOTE_OK, "%s", error.message);
    uint8_t *bytes = mapping;
    for (size_t i = 0; i < n; i++) CHECK(bytes[i] == 0);
    memset(bytes, 7, n);
    CHECK(files_in_folder() == 0);
    mote_scratch_unmap(mapping, n);
    mote_scratch_unmap(NULL, 5);
    CHECK(mote_scratch_map(folder, 0, &mapping, NULL) == MOTE_OK && mapping);
    mote_scratch_unmap(mapping, 0);
    CHECK(mote_scratch_map("/nowhere", 5, &mapping, &error) == MOTE_IO && !mapping);
    CHECK(strstr(error.message, "/nowhere: No such file"), "%s", error.message);
    CHECK(mote_scratch_map(folder, (size_t)1 << 60, &mapping, &error) == MOTE_IO && !mapping);
    CHECK(strstr(error.message, folder) && error.hint[0], "%s", error.message);
    CHECK(mote_scratch_map(folder, SIZE_MAX, &mapping, &error) == MOTE_MEMORY && !mapping);
}

static void folder_lists(void) {
    char path[160];
    char **names;
    size_t n;
    mote_error error;
    CHECK(mote_folder_list(folder, &names, &n, NULL) == MOTE_OK && n == 0 && names);
    mote_release(names);
    const char *made[] = {"b.txt", "a", ".hidden", "\xc3\xa9", "Z"};
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, made[i]);
        put(path, "");
    }
    CHECK(mote_folder_list(folder, &names, &n, NULL) == MOTE_OK && n == 4);
    CHECK(strcmp(names[0], "Z") == 0 && strcmp(names[1], "a") == 0 && strcmp(names[2], "b.txt") == 0);
    CHECK(strcmp(names[3], "\xc3\xa9") == 0);
    mote_release(names);
    CHECK(mote_folder_list("/nowhere", &names, &n, &error) == MOTE_BAD_FILE && !names && n == 0);
    CHECK(mote_folder_list("/dev/null", &names, &n, &error) == MOTE_BAD_FILE, "%s", error.message);
    clear_folder();
    snprintf(path, sizeof path, "%s/.hidden", folder);
    unlink(path);
}

/* Each allocation fails once: an error, no block and no file left. */
static void allocations_that_fail(void) {
    put(target, "old");
    failing_memory_begin();
    bool done = false;
    int k = 0;
    for (; !done && k < 100; k++) {
        mote_map map = {0};
        mote_writer *writer = NULL;
        char **names = NULL;
        size_t n;
        void *scratch = NULL;
        failing_memory_fail_at(k);
        mote_error error = {0};
        mote_status status = mote_map_open(target, &map, &error);
        if (status == MOTE_OK) mote_map_close(&map);
        if (status == MOTE_OK) status = mote_map_open("/proc/self/status", &map, &error);
        if (status == MOTE_OK) status = mote_folder_list(folder, &names, &n, &error);
        if (status == MOTE_OK) status = mote_scratch_map(folder, 100, &scratch, &error);
        if (status == MOTE_OK) status = mote_writer_open(target, &writer, &error);
        if (status == MOTE_OK) status = mote_writer_commit(writer, &error);
        done = status == MOTE_OK;
        CHECK(done || (status == MOTE_MEMORY && failing_memory_failed()), "%d: %s", k, error.message);
        mote_map_close(&map);
        mote_release(names);
        mote_scratch_unmap(scratch, 100);
        CHECK(failing_memory_live() == 0, "%d blocks left after failing allocation %d", failing_memory_live(), k);
        failing_memory_fail_at(-1);
        CHECK(files_in_folder() == 1 && holds(target, done ? "" : "old", done ? 0 : 3));
    }
    CHECK(done && k > 8, "%d", k);
    failing_memory_end();
    clear_folder();
}

int main(void) {
    snprintf(folder, sizeof folder, "/tmp/mote-test-files-XXXXXX");
    if (!mkdtemp(folder)) return 1;
    snprintf(target, sizeof target, "%s/target", folder);
    RUN(map_opens);
    RUN(map_reads_pipes);
    RUN(writer_replaces);
    RUN(writer_sizes);
    RUN(writer_leaves_the_old_file);
    RUN(writer_patches);
    RUN(writer_cannot);
    RUN(writer_straight);
    RUN(scratch_space);
    RUN(folder_lists);
    RUN(allocations_that_fail);
    CHECK(rmdir(folder) == 0, "%s is not empty", folder);
    return test_finish();
}
