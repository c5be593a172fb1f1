/* Memory hooks for tests: the k-th allocation from now on fails, once, and blocks that live are counted. Begin and end
 * where no block of the library lives. */
#ifndef MOTE_TESTS_FAILING_MEMORY_H
#define MOTE_TESTS_FAILING_MEMORY_H

#include <stdbool.h>
#include <stdlib.h>

#include "mote/mote.h"

static int failing_countdown, failing_live_blocks;
static bool failing_happened;

static inline void *failing_allocate(void *context, size_t bytes) {
    (void)context;
    if (failing_countdown-- == 0) {
        failing_happened = true;
        return NULL;
    }
    void *block = malloc(bytes);
    failing_live_blocks += block != NULL;
    return block;
}
static inline void failing_release(void *context, void *block) {
    (void)context;
    failing_live_blocks -= block != NULL;
    free(block);
}
static inline void failing_memory_begin(void) {
    failing_live_blocks = 0;
    failing_countdown = -1;
    mote_memory_use(&(mote_memory_hooks){.allocate = failing_allocate, .release = failing_release});
}
static inline void failing_memory_fail_at(int k) {
    failing_countdown = k;
    failing_happened = false;
}
static inline bool failing_memory_failed(void) { return failing_happened; }
static inline int failing_memory_live(void) { return failing_live_blocks; }
static inline void failing_memory_end(void) { mote_memory_use(NULL); }

#endif
