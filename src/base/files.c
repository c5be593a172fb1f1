/* Files. What can be mapped is mapped; the rest (pipes, /proc, empty files) is read. A file is written beside its
 * target and renamed over it, so a crash, a full disk or a kill leaves the old file whole; the first failure is kept,
 * so a writer of many parts checks once, at commit. */
#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/memory.h"

#define LARGEST_READ ((uint64_t)4 << 30)
enum { WRITE_BUFFER_BYTES = 1 << 20, LARGEST_CALL_BYTES = 1 << 30, TEMPORARY_TRIES = 100 };

/* A path that is wrong is a bad input file; a device or a limit that fails is an input/output error. */
static mote_status fail_open(mote_error *error, const char *path) {
    switch (errno) {
    case ENOENT: case ENOTDIR: case EISDIR: case EACCES: case EPERM: case ELOOP: case ENAMETOOLONG: case ENXIO:
        return mote_fail_path(error, MOTE_BAD_FILE, "cannot open", path);
    default: return mote_fail_io(error, "cannot open", path);
    }
}

static int open_again(const char *path, int flags, mode_t mode) {
    int file;
    do file = open(path, flags | O_CLOEXEC, mode);
    while (file < 0 && errno == EINTR);
    return file;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static mote_status read_all(int file, mote_map *map, mote_error *error) {
    size_t capacity = 0, size = 0;
    void *bytes = NULL;
    mote_status status = MOTE_OK;
    for (;;) {
        if (!mote_grow(&bytes, &capacity, size + 65536, 1)) {
            status = mote_fail_memory(error, map->path, size + 65536);
            goto done;
        }
        size_t room = capacity - size;
        ssize_t n = read(file, (char *)bytes + size, room < LARGEST_CALL_BYTES ? room : LARGEST_CALL_BYTES);
        if (n == 0) break;
        if (n < 0) {
            if (errno == EINTR) continue;
            struct pollfd ready = {.fd = file, .events = POLLIN};
            if (errno == EAGAIN && (poll(&ready, 1, -1) >= 0 || errno == EINTR)) continue;
            status = mote_fail_io(error, "cannot read", map->path);
            goto done;
        }
        size += (size_t)n;
        if (size > LARGEST_READ) {
            status = mote_fail(error, MOTE_BAD_FILE, "%s is not a regular file and gives more than 4 GiB", map->path);
            goto done;
        }
    }
    map->bytes = bytes;
    map->size = size;
    bytes = NULL;
done:
    mote_release(bytes);
    return status;
}

mote_status mote_map_open(const char *path, mote_map *map, mote_error *error) {
    *map = (mote_map){0};
    struct stat about;
    mote_status status = MOTE_OK;
    int file = open_again(path, O_RDONLY, 0);
    if (file < 0) return fail_open(error, path);
    map->path = mote_copy_string(path);
    if (!map->path) {
        status = mote_fail_memory(error, "a path", strlen(path) + 1);
        goto done;
    }
    if (fstat(file, &about) != 0) {
        status = mote_fail_io(error, "cannot examine", path);
        goto done;
    }
    if (S_ISDIR(about.st_mode)) {
        mote_fail(error, MOTE_BAD_FILE, "cannot open %s: it is a folder", path);
        status = mote_hint(error, MOTE_BAD_FILE, "name a file in it");
        goto done;
    }
    if (S_ISREG(about.st_mode) && about.st_size > 0) {
        size_t size = (size_t)about.st_size;
        void *bytes = MAP_FAILED;
        if ((uint64_t)size == (uint64_t)about.st_size) bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
        if (bytes != MAP_FAILED) {
            map->bytes = bytes;
            map->size = size;
            map->mapped = true;
            goto done;
        }
    }
    status = read_all(file, map, error); /* also where a file system cannot map */
done:
    close(file);
    if (status != MOTE_OK) mote_map_close(map);
    return status;
}

bool mote_is_folder(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

void mote_map_close(mote_map *map) {
    /* munmap and mote_release take the address they gave; the const is for the readers. */
    void *bytes = (void *)(uintptr_t)map->bytes;
    if (map->mapped) munmap(bytes, map->size);
    else mote_release(bytes);
    mote_release(map->path);
    *map = (mote_map){0};
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

struct mote_writer {
    char *path, *temporary; /* temporary is NULL where the bytes go straight to a pipe or device */
    uint8_t *buffer;
    size_t used;
    uint64_t position;
    int file, failure; /* failure: the first errno, 0 so far */
};

static void writer_free(mote_writer *writer) {
    if (writer->file >= 0) close(writer->file);
    if (writer->temporary && writer->file >= 0) unlink(writer->temporary);
    mote_release(writer->path);
    mote_release(writer->temporary);
    mote_release(writer->buffer);
    mote_release(writer);
}

/* The descriptor that /dev/stdout and its like stand for, or -1. Opened by name, a regular file would start at 0. */
static int standard_descriptor(const char *path) {
    if (strcmp(path, "/dev/stdout") == 0) return STDOUT_FILENO;
    if (strcmp(path, "/dev/stderr") == 0) return STDERR_FILENO;
    if (strncmp(path, "/dev/fd/", 8) != 0 || path[8] < '0' || path[8] > '9') return -1;
    char *end;
    long descriptor = strtol(path + 8, &end, 10);
    return *end || descriptor > INT_MAX ? -1 : (int)descriptor;
}

/* Creates <path>.tmp.<pid>, with a number added when it exists: another writer's, or left by a kill. */
static mote_status create_temporary(mote_writer *writer, mote_error *error) {
    for (int try = 0; try < TEMPORARY_TRIES; try++) {
        mote_buffer name = {0};
        mote_buffer_print(&name, "%s.tmp.%ld", writer->path, (long)getpid());
        if (try > 0) mote_buffer_print(&name, ".%d", try);
        mote_release(writer->temporary);
        if (mote_buffer_finish(&name, &writer->temporary, error) != MOTE_OK) return MOTE_MEMORY;
        writer->file = open_again(writer->temporary, O_WRONLY | O_CREAT | O_EXCL, 0666);
        if (writer->file >= 0) return MOTE_OK;
        if (errno != EEXIST) break;
    }
    return mote_fail_io(error, "cannot write", writer->path);
}

static mote_status open_target(mote_writer *writer, const char *path, mote_error *error) {
    struct stat about;
    char resolved[PATH_MAX];
    int standard = standard_descriptor(path);
    bool exists = standard < 0 && stat(path, &about) == 0;
    if (exists && S_ISDIR(about.st_mode)) return mote_fail(error, MOTE_IO, "cannot write %s: it is a folder", path);
    bool direct = standard >= 0 || (exists && !S_ISREG(about.st_mode));
    /* A link stays: what it points to is replaced. */
    struct stat link;
    bool is_link = exists && !direct && lstat(path, &link) == 0 && S_ISLNK(link.st_mode);
    const char *target = is_link && realpath(path, resolved) ? resolved : path;
    writer->path = mote_copy_string(target);
    writer->buffer = mote_allocate(WRITE_BUFFER_BYTES);
    if (!writer->path || !writer->buffer) return mote_fail_memory(error, "a file's buffer", WRITE_BUFFER_BYTES);
    if (direct) {
        writer->file = standard >= 0 ? fcntl(standard, F_DUPFD_CLOEXEC, 0) : open_again(path, O_WRONLY, 0);
        return writer->file < 0 ? mote_fail_io(error, "cannot write", path) : MOTE_OK;
    }
    mote_status status = create_temporary(writer, error);
    /* Some file systems have no modes; the new file's own is then right. */
    if (status == MOTE_OK && exists && fchmod(writer->file, about.st_mode & 07777) != 0) errno = 0;
    return status;
}

mote_status mote_writer_open(const char *path, mote_writer **writer, mote_error *error) {
    *writer = NULL;
    mote_writer *made = mote_allocate_zero(1, sizeof *made);
    if (!made) return mote_fail_memory(error, "a file writer", sizeof *made);
    made->file = -1;
    mote_status status = open_target(made, path, error);
    if (status == MOTE_OK) *writer = made;
    else writer_free(made);
    return status;
}

static void write_through(mote_writer *writer, const uint8_t *bytes, size_t n) {
    while (n > 0 && !writer->failure) {
        ssize_t written = write(writer->file, bytes, n < LARGEST_CALL_BYTES ? n : LARGEST_CALL_BYTES);
        if (written > 0) {
            bytes += written;
            n -= (size_t)written;
        } else if (written == 0) {
            writer->failure = EIO;
        } else if (errno == EAGAIN) {
            struct pollfd ready = {.fd = writer->file, .events = POLLOUT};
            if (poll(&ready, 1, -1) < 0 && errno != EINTR) writer->failure = errno;
        } else if (errno != EINTR) {
            writer->failure = errno;
        }
    }
}

static void flush(mote_writer *writer) {
    write_through(writer, writer->buffer, writer->used);
    writer->used = 0;
}

void mote_writer_write(mote_writer *writer, const void *bytes, size_t n) {
    if (writer->failure || n == 0) return;
    writer->position += n;
    if (n > WRITE_BUFFER_BYTES - writer->used) flush(writer);
    if (n >= WRITE_BUFFER_BYTES) {
        write_through(writer, bytes, n);
    } else {
        memcpy(writer->buffer + writer->used, bytes, n);
        writer->used += n;
    }
}

uint64_t mote_writer_position(const mote_writer *writer) { return writer->position; }

bool mote_writer_ok(const mote_writer *writer) { return writer->failure == 0; }

bool mote_writer_can_patch(const mote_writer *writer) { return writer->temporary != NULL; }

void mote_writer_patch(mote_writer *writer, uint64_t offset, const void *bytes, size_t n) {
    const uint8_t *at = bytes;
    flush(writer);
    bool within = n <= writer->position && offset <= writer->position - n;
    if (!writer->failure && !(writer->temporary && within)) writer->failure = EINVAL;
    while (n > 0 && !writer->failure) {
        ssize_t written = pwrite(writer->file, at, n < LARGEST_CALL_BYTES ? n : LARGEST_CALL_BYTES, (off_t)offset);
        if (written > 0) {
            at += written;
            offset += (uint64_t)written;
            n -= (size_t)written;
        } else if (written == 0) {
            writer->failure = EIO;
        } else if (errno != EINTR) {
            writer->failure = errno;
        }
    }
}

/* Makes the rename last. File systems without fsync of folders say EINVAL. */
static int sync_folder(const char *path) {
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof folder) return ENAMETOOLONG;
    memcpy(folder, path, n);
    folder[n] = '\0';
    int file = open_again(n ? folder : slash ? "/" : ".", O_RDONLY | O_DIRECTORY, 0);
    if (file < 0) return errno == EACCES ? 0 : errno; /* writable, not readable: a drop box */
    int code = fsync(file) == 0 || errno == EINVAL || errno == EROFS ? 0 : errno;
    close(file);
    return code;
}

mote_status mote_writer_commit(mote_writer *writer, mote_error *error) {
    flush(writer);
    int code = writer->failure;
    if (!code && writer->temporary && fsync(writer->file) != 0 && errno != EINVAL) code = errno;
    /* Network file systems tell some failures only here. */
    if (close(writer->file) != 0 && errno != EINTR && !code) code = errno;
    writer->file = -1;
    bool renamed = false;
    if (!code && writer->temporary) {
        renamed = rename(writer->temporary, writer->path) == 0;
        code = renamed ? sync_folder(writer->path) : errno;
    }
    mote_status status = MOTE_OK;
    if (code) {
        if (writer->temporary && !renamed) unlink(writer->temporary);
        errno = code;
        status = mote_fail_io(error, "cannot write", writer->path);
    }
    writer_free(writer);
    return status;
}

void mote_writer_abort(mote_writer *writer) {
    if (writer) writer_free(writer);
}

/* ---- disk space and folders ------------------------------------------------------------------------------------- */

static int open_scratch(const char *folder, mote_error *error) {
    int file = -1;
#ifdef O_TMPFILE
    file = open_again(folder, O_TMPFILE | O_RDWR | O_EXCL, 0600);
    if (file >= 0) return file;
#endif
    mote_buffer name = {0};
    mote_buffer_print(&name, "%s/.mote.XXXXXX", folder);
    if (name.failed) {
        mote_fail_memory(error, "a path", strlen(folder) + 16);
    } else {
        file = mkostemp(name.bytes, O_CLOEXEC);
        if (file >= 0) unlink(name.bytes);
        else mote_fail_io(error, "cannot create a temporary file in", folder);
    }
    mote_buffer_deinit(&name);
    return file;
}

mote_status mote_scratch_map(const char *folder, size_t bytes, void **mapping, mote_error *error) {
    *mapping = NULL;
    size_t size = bytes ? bytes : 1;
    if (size > (size_t)PTRDIFF_MAX) return mote_fail_memory(error, "temporary disk space", bytes);
    mote_error reason = {.status = MOTE_IO};
    int code, file = open_scratch(folder, &reason);
    if (file < 0) {
        if (error) *error = reason;
        return reason.status;
    }
    /* Blocks are taken now: a full disk found by a page fault would be a SIGBUS. */
    do code = posix_fallocate(file, 0, (off_t)size);
    while (code == EINTR);
    void *mapped = MAP_FAILED;
    if (!code && (mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)) == MAP_FAILED) code = errno;
    close(file);
    if (code) {
        mote_fail(error, MOTE_IO, "cannot get %zu bytes of disk space in %s: %s", bytes, folder, strerror(code));
        return mote_hint(error, MOTE_IO, "free some space there or use another folder");
    }
    *mapping = mapped;
    return MOTE_OK;
}

void mote_scratch_unmap(void *mapping, size_t bytes) {
    if (mapping) munmap(mapping, bytes ? bytes : 1);
}

static int compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

mote_status mote_folder_list(const char *path, char ***names, size_t *n_names, mote_error *error) {
    *names = NULL;
    *n_names = 0;
    mote_buffer strings = {0}; /* one after another, each with its NUL */
    size_t count = 0, bytes;
    mote_status status = MOTE_OK;
    DIR *folder = opendir(path);
    if (!folder) return fail_open(error, path);
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.') continue;
        mote_buffer_append(&strings, entry->d_name, strlen(entry->d_name) + 1);
        count++;
    }
    if (errno) {
        status = mote_fail_io(error, "cannot read", path);
        goto done;
    }
    bool fits = mote_multiply(count, sizeof(char *), &bytes) && mote_add(bytes, strings.size, &bytes);
    char **list = fits && !strings.failed ? mote_allocate(bytes) : NULL;
    if (!list) {
        status = mote_fail_memory(error, "a list of files", strings.size);
        goto done;
    }
    char *at = (char *)(list + count);
    if (strings.size) memcpy(at, strings.bytes, strings.size);
    for (size_t i = 0; i < count; i++, at += strlen(at) + 1) list[i] = at;
    if (count) qsort(list, count, sizeof *list, compare_names);
    *names = list;
    *n_names = count;
done:
    closedir(folder);
    mote_buffer_deinit(&strings);
    return status;
}
