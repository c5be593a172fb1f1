/* Runs one fuzz target without libFuzzer: every file of the given folders as it is, cut short, and with bits flipped.
 * What a fuzzer once found stays found, with any compiler. The mutations depend on the file only, so a failure repeats:
 * the last line printed before a crash names the file and the mutation. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { MUTATIONS = 200, LARGEST = 1 << 24 };
static const double seconds_each = 1.0; /* then a file's mutations stop: a slow target keeps its place in the tests */
static int passed, failed;

static uint64_t next_random(uint64_t *state) { /* splitmix64 */
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Gives the target a block of exactly `size` bytes, so that a sanitizer sees a read past its end. */
static void run_exact(const uint8_t *bytes, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) {
        printf("FAIL out of memory for %zu bytes\n", size);
        failed++;
        return;
    }
    memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* Cuts, or changes one to four bytes: a bit, a byte, or a little-endian number to 0 or its largest. */
static size_t mutate(uint8_t *bytes, size_t size, uint64_t *state) {
    if (next_random(state) % 4 == 0) return (size_t)(next_random(state) % size);
    for (int n = 1 + (int)(next_random(state) % 4); n > 0; n--) {
        size_t at = (size_t)(next_random(state) % size), width = (size_t)1 << next_random(state) % 4;
        if (at + width > size) width = size - at;
        switch (next_random(state) % 4) {
        case 0: memset(bytes + at, 0xff, width); break;
        case 1: memset(bytes + at, 0, width); break;
        case 2: bytes[at] = (uint8_t)next_random(state); break;
        default: bytes[at] ^= (uint8_t)(1u << next_random(state) % 8); break;
        }
    }
    return size;
}

static void replay_bytes(const char *name, const uint8_t *bytes, size_t size) {
    printf("     %s\n", name);
    fflush(stdout);
    run_exact(bytes, size);
    uint8_t *changed = size ? malloc(size) : NULL;
    uint64_t state = size;
    double begin = seconds_now();
    for (int i = 0; changed && i < MUTATIONS && seconds_now() - begin < seconds_each; i++) {
        memcpy(changed, bytes, size);
        printf("     %s, mutation %d\n", name, i);
        fflush(stdout);
        run_exact(changed, mutate(changed, size, &state));
    }
    free(changed);
    passed++;
}

static void replay_file(const char *path) {
    uint8_t *bytes = malloc(LARGEST);
    FILE *file = fopen(path, "rb");
    if (bytes && file) {
        size_t size = fread(bytes, 1, LARGEST, file);
        replay_bytes(path, bytes, size);
    } else {
        printf("FAIL %s cannot be read\n", path);
        failed++;
    }
    if (file) fclose(file);
    free(bytes);
}

static int is_visible(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static void replay_path(const char *path) {
    struct stat status;
    if (stat(path, &status) || !S_ISDIR(status.st_mode)) {
        replay_file(path);
        return;
    }
    struct dirent **entries;
    int n = scandir(path, &entries, is_visible, alphasort);
    for (int i = 0; i < n; i++) {
        char *name = malloc(strlen(path) + strlen(entries[i]->d_name) + 2);
        if (name) {
            sprintf(name, "%s/%s", path, entries[i]->d_name);
            replay_path(name);
        }
        free(name);
        free(entries[i]);
    }
    if (n >= 0) free(entries);
}

int main(int n_arguments, char **arguments) {
    replay_bytes("(nothing)", (const uint8_t *)"", 0);
    for (int i = 1; i < n_arguments; i++) {
        struct stat status;
        if (stat(arguments[i], &status)) printf("note %s is not there\n", arguments[i]);
        else replay_path(arguments[i]);
    }
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed ? 1 : 0;
}
