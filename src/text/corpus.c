/* Finds the documents in files and folders and says where training text ends and validation text begins. Only places
 * are kept (32 bytes a document); files are mapped while they are read, so their number and size are not limited by
 * memory. */
#include "text/corpus.h"

#include <string.h>
#include <strings.h>
#include <sys/stat.h>


enum { FOLDER_DEPTH = 32, LOOK_FOR_NUL = 4096, SPLIT_WHOLE = 20 };

mote_corpus_options mote_corpus_options_default(void) {
    return (mote_corpus_options){
        .struct_bytes = sizeof(mote_corpus_options), .validation = 0.1, .memory_bytes = (size_t)1 << 30};
}

/* ---- documents of one file ------------------------------------------------------------------------------------ */

static uint64_t count_characters(const char *text, size_t n) {
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++) count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

static mote_status add_document(mote_corpus *corpus, mote_document document, const char *text, mote_error *error) {
    if (!mote_grow((void **)&corpus->documents, &corpus->documents_capacity, corpus->n_documents + 1,
                   sizeof *corpus->documents))
        return mote_fail_memory(error, "the list of documents", 2 * corpus->n_documents * sizeof *corpus->documents);
    corpus->documents[corpus->n_documents++] = document;
    corpus->info.documents++;
    corpus->info.bytes += document.bytes;
    corpus->info.characters += count_characters(text, document.bytes);
    return MOTE_OK;
}

static bool is_blank(const char *line, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r') return false;
    return true;
}

static mote_status scan_lines(mote_corpus *corpus, const mote_map *map, size_t from, mote_error *error) {
    const char *text = (const char *)map->bytes;
    mote_record record = {0};
    mote_status status = MOTE_OK;
    uint64_t line = 1;
    for (size_t at = from, end; at < map->size && !status; at = end + 1, line++) {
        const char *newline = memchr(text + at, '\n', map->size - at), *problem;
        size_t column;
        end = newline ? (size_t)(newline - text) : map->size;
        if (is_blank(text + at, end - at)) continue;
        status = mote_record_read(&record, text + at, end - at, &problem, &column);
        if (status == MOTE_MEMORY) {
            mote_fail_memory(error, "a line of text", end - at);
        } else if (status && corpus->options.skip_bad) {
            corpus->info.skipped_lines++;
            status = MOTE_OK;
        } else if (status) {
            mote_fail(error, status, "%s:%llu:%zu: %s", map->path, (unsigned long long)line,
                      column + (line == 1 ? from : 0), problem);
            mote_hint(error, status, "mend the line, or leave bad lines out with --skip-bad");
        } else {
            mote_document document = {at, end - at, record.text.size, (uint32_t)corpus->n_files - 1, true};
            corpus->masked |= record.masked;
            corpus->messages |= record.messages;
            status = add_document(corpus, document, record.text.bytes, error);
        }
    }
    mote_record_deinit(&record);
    return status;
}

static bool ends_in(const char *path, const char *ending) {
    size_t n = strlen(path), length = strlen(ending);
    return n > length && strcasecmp(path + n - length, ending) == 0;
}

/* `named`: by the caller, not found in a folder. */
static mote_status add_file(mote_corpus *corpus, const char *path, bool named, mote_error *error) {
    mote_map map;
    mote_status status = mote_map_open(path, &map, error);
    if (status) return status;
    size_t looked_at = map.size < LOOK_FOR_NUL ? map.size : LOOK_FOR_NUL;
    bool kept = false, binary = memchr(map.bytes, 0, looked_at) != NULL;
    if (binary && !named) {
        corpus->info.skipped_files++;
        goto done;
    }
    if (binary) {
        mote_fail(error, MOTE_BAD_FILE, "%s is not text: it has zero bytes in its first %zu", path, looked_at);
        status = mote_hint(error, MOTE_BAD_FILE, "if it is UTF-16, convert it: iconv -f UTF-16 -t UTF-8");
        goto done;
    }
    char *copy = mote_copy_string(path);
    if (corpus->n_files >= UINT32_MAX || !copy ||
        !mote_grow((void **)&corpus->files, &corpus->files_capacity, corpus->n_files + 1, sizeof *corpus->files)) {
        mote_release(copy);
        status = mote_fail_memory(error, "the list of files", 2 * corpus->n_files * sizeof *corpus->files);
        goto done;
    }
    kept = !map.mapped;
    mote_corpus_file *file = &corpus->files[corpus->n_files++];
    *file = (mote_corpus_file){.path = copy, .size = map.size, .kept = kept, .jsonl = ends_in(path, ".jsonl")};
    if (kept) file->map = map;
    corpus->info.files++;
    size_t from = map.size >= 3 && memcmp(map.bytes, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0; /* byte order mark */
    if (file->jsonl) {
        status = scan_lines(corpus, &map, from, error);
    } else if (map.size > from) {
        size_t size = map.size - from;
        size_t first;
        uint64_t invalid = mote_utf8_count_invalid((const char *)map.bytes + from, size, &first);
        if (invalid && !corpus->info.invalid_bytes) {
            corpus->info.invalid_file = copy;
            corpus->info.invalid_at = from + first;
        }
        corpus->info.invalid_bytes += invalid;
        mote_document document = {from, size, size, (uint32_t)corpus->n_files - 1, false};
        status = add_document(corpus, document, (const char *)map.bytes + from, error);
    }
done:
    if (!kept) mote_map_close(&map);
    return status;
}

/* ---- folders -------------------------------------------------------------------------------------------------- */

static mote_status add_path(mote_corpus *corpus, const char *path, int depth, mote_error *error);

static mote_status add_folder(mote_corpus *corpus, const char *path, int depth, mote_error *error) {
    char **names;
    size_t n_names;
    if (depth >= FOLDER_DEPTH) return mote_fail(error, MOTE_BAD_FILE, "%s: folders deeper than %d", path, FOLDER_DEPTH);
    mote_status status = mote_folder_list(path, &names, &n_names, error);
    if (status) return status;
    for (size_t i = 0; i < n_names && !status; i++) {
        mote_buffer inside = {0};
        size_t n = strlen(path);
        mote_buffer_print(&inside, "%s%s%s", path, n && path[n - 1] == '/' ? "" : "/", names[i]);
        if (inside.failed) status = mote_fail_memory(error, "a path", n + strlen(names[i]) + 2);
        else status = add_path(corpus, inside.bytes, depth + 1, error);
        mote_buffer_deinit(&inside);
    }
    mote_release(names);
    return status;
}

/* What training leaves behind beside a text. */
static bool is_of_run(const char *path, bool folder) {
    return folder ? ends_in(path, ".run") : ends_in(path, ".gguf") || ends_in(path, ".checkpoint");
}

/* Inside folders, links to folders are not followed: they could lead in a circle. */
static mote_status add_path(mote_corpus *corpus, const char *path, int depth, mote_error *error) {
    struct stat target, itself;
    if (stat(path, &target) != 0) /* in a folder: a link to nothing, or just removed */
        return depth > 0 ? MOTE_OK : add_file(corpus, path, true, error);
    if (depth > 0 && is_of_run(path, S_ISDIR(target.st_mode))) {
        corpus->info.skipped_files++;
        return MOTE_OK;
    }
    if (!S_ISDIR(target.st_mode)) {
        if (depth > 0 && !S_ISREG(target.st_mode)) return MOTE_OK;
        return add_file(corpus, path, depth == 0, error);
    }
    if (depth > 0 && lstat(path, &itself) == 0 && S_ISLNK(itself.st_mode)) return MOTE_OK;
    return add_folder(corpus, path, depth, error);
}

/* ---- the split ------------------------------------------------------------------------------------------------ */

static mote_status cut_in_document(mote_corpus *corpus, size_t document, uint64_t byte, mote_error *error) {
    mote_cursor cursor;
    mote_cursor_init(&cursor, corpus);
    mote_status status = mote_cursor_read(&cursor, document, error);
    if (!status) {
        size_t at = (size_t)byte;
        while (mote_utf8_ceiling(cursor.text, cursor.size, at) != at) at--;
        for (size_t i = 0; i < cursor.n_spans; i++) { /* markup is not torn */
            const mote_span *span = &cursor.spans[i];
            if (span->kind != MOTE_SPAN_TEXT && span->begin < at && at < span->end) at = span->begin;
        }
        corpus->cut_document = document;
        corpus->cut_byte = at;
        corpus->train_bytes -= byte - at;
    }
    mote_cursor_deinit(&cursor);
    return status;
}

/* Validation is the end of the text: whole documents where there are enough, so that none is torn. */
static mote_status split(mote_corpus *corpus, mote_error *error) {
    uint64_t total = corpus->info.bytes, before = 0;
    /* rounded down, but 10 * (1 - 0.1) is 9: with 0.1 on one text, the split of nanoGPT to the byte */
    uint64_t cut = (uint64_t)((double)total * (1 - corpus->options.validation) + 1e-6);
    if (cut > total) cut = total;
    size_t i = 0;
    while (i < corpus->n_documents && before + corpus->documents[i].bytes <= cut)
        before += corpus->documents[i++].bytes;
    corpus->cut_document = i;
    corpus->train_bytes = before;
    if (before == cut || i == corpus->n_documents) return MOTE_OK;
    uint64_t after = before + corpus->documents[i].bytes;
    bool later = after - cut < cut - before;
    if (corpus->n_documents >= SPLIT_WHOLE && (later ? after < total : before > 0)) {
        corpus->cut_document = i + later;
        corpus->train_bytes = later ? after : before;
        return MOTE_OK;
    }
    corpus->train_bytes = cut;
    return cut_in_document(corpus, i, cut - before, error);
}

/* ---- corpus --------------------------------------------------------------------------------------------------- */

static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return mote_copy_string(".");
    return mote_copy_bytes(path, slash == path ? 1 : (size_t)(slash - path));
}

mote_status mote_corpus_open(const char *const *paths, int n_paths, const mote_corpus_options *options,
                             mote_corpus **corpus, mote_error *error) {
    mote_corpus_options chosen = mote_corpus_options_default();
    *corpus = NULL;
    if (!mote_options_read(&chosen, sizeof chosen, options))
        return mote_fail(error, MOTE_USAGE,
                         "corpus options have no struct_bytes: start from mote_corpus_options_default");
    if (n_paths < 1) return mote_fail(error, MOTE_USAGE, "no text was named");
    if (!(chosen.validation >= 0 && chosen.validation <= 0.5))
        return mote_fail(error, MOTE_USAGE, "the part for validation is %g; it must be 0 to 0.5", chosen.validation);
    mote_corpus *c = mote_allocate_zero(1, sizeof *c);
    if (!c) return mote_fail_memory(error, "a corpus", sizeof *c);
    c->options = chosen;
    c->options.temporary = NULL;
    mote_status status = MOTE_OK;
    for (int i = 0; i < n_paths && !status; i++) status = add_path(c, paths[i], 0, error);
    if (!status && c->n_documents == 0) {
        const char *why = c->info.skipped_lines ? "every line is bad" : "there is no text in it";
        status = mote_fail(error, MOTE_BAD_FILE, "%s%s: %s", paths[0], n_paths > 1 ? " and the others" : "", why);
    }
    if (!status) {
        c->options.temporary = chosen.temporary ? mote_copy_string(chosen.temporary) : folder_of(c->files[0].path);
        if (!c->options.temporary) status = mote_fail_memory(error, "a path", 1);
    }
    if (!status) status = split(c, error);
    if (status) mote_corpus_close(c);
    else *corpus = c;
    return status;
}

void mote_corpus_close(mote_corpus *corpus) {
    if (!corpus) return;
    for (size_t i = 0; i < corpus->n_files; i++) {
        mote_release(corpus->files[i].path);
        if (corpus->files[i].kept) mote_map_close(&corpus->files[i].map);
    }
    char *temporary;
    memcpy(&temporary, &corpus->options.temporary, sizeof temporary); /* ours, though the options say const */
    mote_release(temporary);
    mote_release(corpus->files);
    mote_release(corpus->documents);
    mote_release(corpus);
}

mote_corpus_info mote_corpus_describe(const mote_corpus *corpus) { return corpus->info; }
