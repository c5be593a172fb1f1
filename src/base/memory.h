/* The only place that allocates. Blocks are 64-byte aligned; sizes that overflow fail like memory that is not there. */
#ifndef MOTE_BASE_MEMORY_H
#define MOTE_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

void *mote_allocate(size_t bytes);                           /* uninitialised; NULL on failure; 0 bytes gives a block */
void *mote_allocate_zero(size_t count, size_t element_bytes); /* zeroed array */
void *mote_resize(void *pointer, size_t bytes);              /* as realloc; the old block stays on failure */
void mote_release(void *pointer);                            /* NULL is fine */
char *mote_copy_string(const char *string);
char *mote_copy_bytes(const char *bytes, size_t n); /* NUL-terminated copy */

/* False when the result does not fit. */
static inline bool mote_multiply(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool mote_add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }

/* Grows an array to hold at least `needed` elements, doubling. False: out of memory, array unchanged. */
bool mote_grow(void **array, size_t *capacity, size_t needed, size_t element_bytes);

/* Many small blocks with one end: strings and lists of a program or a file. */
typedef struct mote_arena_block mote_arena_block;
typedef struct {
    mote_arena_block *last;
    size_t used, total;
} mote_arena;
void *mote_arena_allocate(mote_arena *arena, size_t bytes); /* zeroed, 16-byte aligned; NULL on failure */
char *mote_arena_string(mote_arena *arena, const char *bytes, size_t n); /* NUL-terminated copy */
void mote_arena_deinit(mote_arena *arena);

#endif
