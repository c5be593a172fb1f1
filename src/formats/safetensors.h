/* safetensors files (Hugging Face's format of tensors), one or in shards, and how they are written. A file is a u64
 * length N, N bytes of JSON with a name, dtype, shape and byte range for each tensor, then the data. Ranges must tile
 * the data exactly: no overlap, no hole, nothing behind the last (what is in no tensor could be another file). */
#ifndef MOTE_FORMATS_SAFETENSORS_H
#define MOTE_FORMATS_SAFETENSORS_H

#include "base/files.h"
#include "base/memory.h"
#include "text/tokenizer.h"

/* In the reference's order, which the writer sorts by, largest first; name and bytes of one value. */
#define MOTE_SAFETENSORS_DTYPES(X)                                                                                     \
    X(BOOL, 1)                                                                                                         \
    X(U8, 1)                                                                                                           \
    X(I8, 1)                                                                                                           \
    X(F8_E5M2, 1)                                                                                                      \
    X(F8_E4M3, 1)                                                                                                      \
    X(I16, 2)                                                                                                          \
    X(U16, 2)                                                                                                          \
    X(F16, 2)                                                                                                          \
    X(BF16, 2)                                                                                                         \
    X(I32, 4)                                                                                                          \
    X(U32, 4)                                                                                                          \
    X(F32, 4)                                                                                                          \
    X(F64, 8)                                                                                                          \
    X(I64, 8)                                                                                                          \
    X(U64, 8)

typedef enum {
#define X(name, bytes) MOTE_SAFETENSORS_##name,
    MOTE_SAFETENSORS_DTYPES(X)
#undef X
    MOTE_SAFETENSORS_N_DTYPES
} mote_safetensors_dtype;

enum { MOTE_SAFETENSORS_MOST_DIMS = 8 };

typedef struct {
    mote_string name;
    mote_safetensors_dtype dtype;
    int n_dims;
    uint64_t dims[MOTE_SAFETENSORS_MOST_DIMS]; /* slowest first, as PyTorch has them */
    uint64_t begin, end;                       /* in the data */
    const uint8_t *data;                       /* in the mapping; its alignment is what the file makes of it */
} mote_safetensor;

typedef struct {
    mote_map map;
    bool owns_map;
    const char *name; /* for messages */
    mote_safetensor *tensors; /* sorted by name */
    size_t n_tensors;
    mote_arena arena;
} mote_safetensors;

const char *mote_safetensors_dtype_name(mote_safetensors_dtype dtype);
size_t mote_safetensors_dtype_bytes(mote_safetensors_dtype dtype);

/* ---- reading (safetensors_read.c): time n log n in the header, memory linear in it */
mote_status mote_safetensors_open(const char *path, mote_safetensors *file, mote_error *error);
/* The same from memory that outlives `file`. `name` is for messages. */
mote_status mote_safetensors_parse(const uint8_t *bytes, size_t size, const char *name, mote_safetensors *file,
                                   mote_error *error);
void mote_safetensors_close(mote_safetensors *file); /* also after a failed open */
const mote_safetensor *mote_safetensors_find(const mote_safetensors *file, const char *name); /* NULL: not there */

/* ---- shards (safetensors_shards.c) */

/* What model.safetensors.index.json says: which file of its folder has which tensor. */
typedef struct {
    mote_string tensor;
    const char *file;
} mote_safetensors_place;
typedef struct {
    mote_safetensors_place *places; /* sorted by file, then tensor */
    size_t n_places;
    mote_arena arena;
} mote_safetensors_index;
mote_status mote_safetensors_index_parse(const uint8_t *bytes, size_t size, const char *name,
                                         mote_safetensors_index *index, mote_error *error);
void mote_safetensors_index_close(mote_safetensors_index *index); /* also after a failed parse */

/* The tensors of a folder: model.safetensors, or the shards that its index names, which have what it says and no
 * more. */
typedef struct {
    mote_safetensors *files;
    size_t n_files;
} mote_safetensors_set;
mote_status mote_safetensors_set_open(const char *folder, mote_safetensors_set *set, mote_error *error);
void mote_safetensors_set_close(mote_safetensors_set *set); /* also after a failed open */
/* *file (may be NULL): the one that has it. */
const mote_safetensor *mote_safetensors_set_find(const mote_safetensors_set *set, const char *name,
                                                 const mote_safetensors **file);

/* ---- writing (safetensors_write.c) */

typedef struct {
    const char *name;
    mote_safetensors_dtype dtype;
    int n_dims;
    uint64_t dims[MOTE_SAFETENSORS_MOST_DIMS];
    int id; /* the caller's */
} mote_safetensors_item;
/* Writes the bytes of one item, in any number of pieces. */
typedef mote_status (*mote_safetensors_source)(void *context, const mote_safetensors_item *item, mote_writer *writer,
                                               mote_error *error);
/* Sorts the items as the reference does (dtype, then name) and writes the file, which is replaced when it is complete:
 * the same bytes as the reference's writer gives with metadata {"format": "pt"}. */
mote_status mote_safetensors_write(const char *path, mote_safetensors_item *items, size_t n_items,
                                   mote_safetensors_source source, void *context, mote_error *error);
/* The same up to the commit, which is the caller's: files that belong together are replaced together. */
mote_status mote_safetensors_prepare(const char *path, mote_safetensors_item *items, size_t n_items,
                                     mote_safetensors_source source, void *context, mote_writer **writer,
                                     mote_error *error);

#endif
