/* Files: mapped for reading, replaced atomically when written. */
#ifndef MOTE_BASE_FILES_H
#define MOTE_BASE_FILES_H

#include "base/status.h"

typedef struct {
    const uint8_t *bytes; /* never NULL after a successful open, even for an empty file */
    size_t size;
    char *path;
    bool mapped;
} mote_map;

/* Regular files are mapped read-only; pipes and the like are read into memory (up to 4 GiB). */
mote_status mote_map_open(const char *path, mote_map *map, mote_error *error);
void mote_map_close(mote_map *map);
bool mote_is_folder(const char *path);

/* Writes `path` through a temporary file beside it. Nothing is replaced until commit: flush, fsync, rename, fsync of
 * the folder. After a failed write, further writes do nothing and commit reports the first failure. */
typedef struct mote_writer mote_writer;
mote_status mote_writer_open(const char *path, mote_writer **writer, mote_error *error);
void mote_writer_write(mote_writer *writer, const void *bytes, size_t n);
uint64_t mote_writer_position(const mote_writer *writer);
bool mote_writer_ok(const mote_writer *writer); /* nothing has failed so far */
/* Overwrites bytes already written; a no for pipes and devices, which cannot be gone back into. */
bool mote_writer_can_patch(const mote_writer *writer);
void mote_writer_patch(mote_writer *writer, uint64_t offset, const void *bytes, size_t n);
mote_status mote_writer_commit(mote_writer *writer, mote_error *error); /* frees the writer, always */
void mote_writer_abort(mote_writer *writer);                            /* removes the temporary file; NULL is fine */

/* Anonymous disk space: an unlinked temporary file of `bytes` in `folder`, mapped read-write and zeroed. */
mote_status mote_scratch_map(const char *folder, size_t bytes, void **mapping, mote_error *error);
void mote_scratch_unmap(void *mapping, size_t bytes);

/* Sorted names in a folder, "." and ".." and hidden ones left out. The array and its strings lie in one block. */
mote_status mote_folder_list(const char *path, char ***names, size_t *n_names, mote_error *error);

#endif
