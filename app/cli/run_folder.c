/* The run folder: created, locked, logged to. The lock is the kernel's (flock), so a killed trainer leaves none behind.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "console.h"
#include "history.h"
#include "output.h"

/* The name of the folder follows from that of the output, so that is what to change. */
static mote_status fail_folder(mote_error *error, const char *what, const char *path, const struct run_folder *run) {
    char name[160];
    mote_fail_io(error, what, path);
    if (error->hint[0]) return MOTE_IO;
    return mote_hint(error, MOTE_IO, "give another -o FILE: its run is in the folder %s beside it",
                     mote_short_path(run->path, name, sizeof name));
}

mote_status run_open(const char *model_path, int keep, struct run_folder *run, mote_error *error) {
    const size_t length = output_stem(model_path);
    *run = (struct run_folder){.lock = -1, .keep = keep};
    if (length + 40 > sizeof run->path)
        return mote_fail(error, MOTE_USAGE, "the name of the output is longer than %zu bytes", sizeof run->path - 40);
    snprintf(run->path, sizeof run->path, "%.*s.run", (int)length, model_path);
    run->made = !mkdir(run->path, 0777);
    if (!run->made && errno != EEXIST) return fail_folder(error, "cannot make the folder", run->path, run);
    const char *lock = run_path(run, "lock");
    run->lock = open(lock, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (run->lock < 0) return fail_folder(error, "cannot write", lock, run);
    if (flock(run->lock, LOCK_EX | LOCK_NB)) {
        if (errno != EWOULDBLOCK) return mote_fail_io(error, "cannot lock", lock);
        mote_fail(error, MOTE_FAILED, "another mote train is writing into %s", run->path);
        return mote_hint(error, MOTE_FAILED, "wait for it, or give another -o FILE");
    }
    return MOTE_OK;
}

void run_close(struct run_folder *run) {
    if (run->log) fclose(run->log);
    else if (run->made) { /* nothing came of it; a folder that holds something stays */
        unlink(run_path(run, "lock"));
        rmdir(run->path);
    }
    if (run->lock >= 0) close(run->lock);
    run->log = NULL;
    run->made = false;
    run->lock = -1;
}

const char *run_path(const struct run_folder *run, const char *name) {
    static char paths[4][sizeof run->path + 64];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%.60s", run->path, name);
    return path;
}

const char *run_checkpoint_path(const struct run_folder *run, int64_t step) {
    char name[48];
    snprintf(name, sizeof name, "step-%09lld.checkpoint", (long long)step);
    return run_path(run, name);
}

static int newest_first(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

int run_checkpoints(const struct run_folder *run, int64_t *steps, int limit) {
    DIR *folder = opendir(run->path);
    if (!folder) return 0;
    int n = 0;
    for (const struct dirent *entry; n < limit && (entry = readdir(folder));) {
        char *end;
        if (strncmp(entry->d_name, "step-", 5)) continue;
        long long step = strtoll(entry->d_name + 5, &end, 10);
        if (!strcmp(end, ".checkpoint") && end >= entry->d_name + 14 && step >= 0) steps[n++] = step;
    }
    closedir(folder);
    qsort(steps, (size_t)n, sizeof *steps, newest_first);
    return n;
}

enum { MOST_CHECKPOINTS = 4096 };

/* All but the newest `kept` and that of step `spared`. */
static void remove_after(const struct run_folder *run, int kept, int64_t spared) {
    int64_t *steps = malloc(MOST_CHECKPOINTS * sizeof *steps);
    if (!steps) return;
    int n = run_checkpoints(run, steps, MOST_CHECKPOINTS);
    for (int i = kept; i < n; i++)
        if (steps[i] != spared) unlink(run_checkpoint_path(run, steps[i]));
    free(steps);
}

void run_prune(const struct run_folder *run) { remove_after(run, run->keep, -1); }
void run_prune_others(const struct run_folder *run, int64_t step) { remove_after(run, 0, step); }

mote_status run_begin(struct run_folder *run, bool append, mote_error *error) {
    const char *path = run_path(run, "run.jsonl");
    run->log = fopen(path, append ? "a+" : "w");
    if (!run->log) return mote_fail_io(error, "cannot write", path);
    /* A torn last line is ended, so that it spoils no other. */
    if (append && !fseek(run->log, -1, SEEK_END) && fgetc(run->log) != '\n') {
        fseek(run->log, 0, SEEK_END);
        fputc('\n', run->log);
    }
    return MOTE_OK;
}

void run_event(struct run_folder *run, mote_buffer *event) {
    mote_buffer_print(event, "\n");
    bool failed = event->failed || !run->log || fwrite(event->bytes, 1, event->size, run->log) != event->size ||
                  fflush(run->log);
    if (failed && !run->log_warned) {
        warn("cannot write %s: %s; training goes on without it", run_path(run, "run.jsonl"), strerror(errno));
        run->log_warned = true;
    }
    if (failed && run->log) clearerr(run->log);
    mote_buffer_deinit(event);
}

mote_status run_write(const char *path, mote_buffer *buffer, mote_error *error) {
    char temporary[1200], *text = NULL;
    size_t size = buffer->size;
    mote_status status = mote_buffer_finish(buffer, &text, error);
    if (status) return status;
    snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid());
    FILE *file = fopen(temporary, "wb");
    if (!file) status = mote_fail_io(error, "cannot write", temporary);
    bool written = file && fwrite(text, 1, size, file) == size && !fflush(file);
    if (file && (fclose(file) || !written)) status = mote_fail_io(error, "cannot write", temporary);
    if (!status && rename(temporary, path)) status = mote_fail_io(error, "cannot replace", path);
    if (status) unlink(temporary);
    mote_free(text);
    return status;
}
