/* Allocation: 64-byte blocks over hooks that align as malloc does. Each block is preceded by where the hook's block
 * begins and how large ours is. Zeroed arrays come from calloc where no hook is set, so that the pages of a large array
 * are taken by first use only, and large blocks grow by realloc, which moves pages instead of copying them: both keep
 * the peak of the process at what the plan says. */
#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mote/mote.h"

enum { ALIGNMENT = 64, ARENA_ALIGNMENT = 16, ARENA_FIRST_BYTES = 4096, ARENA_LARGEST_BYTES = 1 << 20 };

typedef struct {
    void *origin; /* what the hook returned */
    size_t bytes; /* what was asked for */
} block_head;

enum { OVERHEAD = sizeof(block_head) + ALIGNMENT - 1 };
enum { LARGE_PAGE = 2 << 20, LARGE_BYTES = 4 * LARGE_PAGE };

static mote_memory_hooks hooks; /* allocate == NULL: the C library */

void mote_memory_use(const mote_memory_hooks *wanted) {
    if (wanted && wanted->allocate && wanted->release) hooks = *wanted;
    else hooks = (mote_memory_hooks){0};
}

static block_head *head_of(void *pointer) { return (block_head *)pointer - 1; }

static void *align_block(void *origin) {
    size_t address = (size_t)(uintptr_t)origin + sizeof(block_head);
    size_t padding = (size_t)-address % ALIGNMENT;
    return (char *)origin + sizeof(block_head) + padding;
}

static bool fits(size_t bytes) { return bytes <= (size_t)PTRDIFF_MAX - OVERHEAD; }

static void *set_head(void *origin, size_t bytes) {
    if (!origin) return NULL;
    void *pointer = align_block(origin);
    *head_of(pointer) = (block_head){origin, bytes};
    return pointer;
}

void *mote_allocate(size_t bytes) {
    if (!fits(bytes)) return NULL;
    size_t total = bytes + OVERHEAD;
    return set_head(hooks.allocate ? hooks.allocate(hooks.context, total) : malloc(total), bytes);
}

/* Asks for 2 MiB pages inside a large array: what a training step walks through, every address once, misses the table
 * of 4 KiB pages at most of its rows. A system without them ignores it. */
static void *use_large_pages(void *origin, size_t bytes) {
#ifdef MADV_HUGEPAGE
    size_t skip = (size_t)-(uintptr_t)origin % LARGE_PAGE;
    if (origin && bytes >= LARGE_BYTES)
        (void)madvise((char *)origin + skip, (bytes - skip) / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE);
#else
    (void)bytes;
#endif
    return origin;
}

void *mote_allocate_zero(size_t count, size_t element_bytes) {
    size_t bytes;
    if (!mote_multiply(count, element_bytes, &bytes) || !fits(bytes)) return NULL;
    if (!hooks.allocate) return set_head(use_large_pages(calloc(1, bytes + OVERHEAD), bytes), bytes);
    void *pointer = mote_allocate(bytes);
    if (pointer) memset(pointer, 0, bytes);
    return pointer;
}

static void *resize_by_copy(void *pointer, size_t bytes) {
    void *moved = mote_allocate(bytes);
    if (!moved) return NULL;
    size_t kept = head_of(pointer)->bytes;
    memcpy(moved, pointer, kept < bytes ? kept : bytes);
    mote_release(pointer);
    return moved;
}

void *mote_resize(void *pointer, size_t bytes) {
    if (!pointer) return mote_allocate(bytes);
    if (!fits(bytes)) return NULL;
    if (hooks.allocate) return resize_by_copy(pointer, bytes);
    block_head old = *head_of(pointer);
    size_t offset = (size_t)((char *)pointer - (char *)old.origin);
    char *origin = realloc(old.origin, bytes + OVERHEAD);
    if (!origin) return NULL;
    /* The block may now begin elsewhere within its 64 bytes; large ones, whole pages, never do. */
    char *moved = align_block(origin);
    if (moved != origin + offset) memmove(moved, origin + offset, old.bytes < bytes ? old.bytes : bytes);
    return set_head(origin, bytes);
}

void mote_release(void *pointer) {
    if (!pointer) return;
    void *origin = head_of(pointer)->origin;
    if (hooks.allocate) hooks.release(hooks.context, origin);
    else free(origin);
}

void mote_free(void *pointer) { mote_release(pointer); }

char *mote_copy_bytes(const char *bytes, size_t n) {
    size_t total;
    if (!mote_add(n, 1, &total)) return NULL;
    char *copy = mote_allocate(total);
    if (!copy) return NULL;
    if (n) memcpy(copy, bytes, n);
    copy[n] = '\0';
    return copy;
}

char *mote_copy_string(const char *string) { return mote_copy_bytes(string, strlen(string)); }

bool mote_grow(void **array, size_t *capacity, size_t needed, size_t element_bytes) {
    if (needed <= *capacity) return true;
    size_t wanted = *capacity < 8 ? 8 : *capacity, bytes;
    while (wanted < needed)
        if (!mote_multiply(wanted, 2, &wanted)) return false;
    if (!mote_multiply(wanted, element_bytes, &bytes)) return false;
    /* `array` is some T ** in the caller, so the pointer is read and written as bytes. */
    void *old;
    memcpy(&old, (void *)array, sizeof old);
    void *grown = mote_resize(old, bytes);
    if (!grown) return false;
    memcpy((void *)array, &grown, sizeof grown);
    *capacity = wanted;
    return true;
}

/* ---- arena: blocks of 4 KiB, doubling to 1 MiB, or as large as one request -------------------------------------- */

struct mote_arena_block {
    mote_arena_block *previous;
    size_t capacity;
};
enum { ARENA_HEAD = 16 }; /* the block head's bytes, rounded up to the alignment */
_Static_assert(sizeof(mote_arena_block) <= ARENA_HEAD, "an arena block's head must keep the data aligned");

void *mote_arena_allocate(mote_arena *arena, size_t bytes) {
    size_t rounded;
    if (!mote_add(bytes, ARENA_ALIGNMENT - 1, &rounded)) return NULL;
    rounded &= ~(size_t)(ARENA_ALIGNMENT - 1);
    if (!arena->last || rounded > arena->last->capacity - arena->used) {
        size_t capacity = arena->last ? arena->last->capacity : ARENA_FIRST_BYTES / 2, total;
        capacity = capacity >= ARENA_LARGEST_BYTES / 2 ? ARENA_LARGEST_BYTES : capacity * 2;
        if (capacity < rounded) capacity = rounded;
        if (!mote_add(capacity, ARENA_HEAD, &total)) return NULL;
        mote_arena_block *block = mote_allocate_zero(total, 1);
        if (!block) return NULL;
        *block = (mote_arena_block){arena->last, capacity};
        arena->last = block;
        arena->used = 0;
        arena->total += total;
    }
    char *data = (char *)arena->last + ARENA_HEAD + arena->used;
    arena->used += rounded;
    return data;
}

char *mote_arena_string(mote_arena *arena, const char *bytes, size_t n) {
    size_t total;
    char *copy = mote_add(n, 1, &total) ? mote_arena_allocate(arena, total) : NULL;
    if (copy && n) memcpy(copy, bytes, n);
    return copy;
}

void mote_arena_deinit(mote_arena *arena) {
    for (mote_arena_block *block = arena->last, *previous; block; block = previous) {
        previous = block->previous;
        mote_release(block);
    }
    *arena = (mote_arena){0};
}
