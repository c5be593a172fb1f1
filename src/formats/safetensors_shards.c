/* A model in several safetensors files, and the index that says which file has which tensor. Names of files come from
 * outside, so they are names in the index' own folder or nothing. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"

enum { MOST_SHARDS = 1024, MOST_PLACES = 1 << 20, MOST_FILE_NAME = 255 };
static const char single_name[] = "model.safetensors", index_name[] = "model.safetensors.index.json";

static int by_tensor(const void *a, const void *b) {
    const mote_safetensors_place *x = a, *y = b;
    return mote_string_compare(&x->tensor, &y->tensor);
}

static int by_file(const void *a, const void *b) {
    int order = strcmp(((const mote_safetensors_place *)a)->file, ((const mote_safetensors_place *)b)->file);
    return order ? order : by_tensor(a, b);
}

/* ---- the index */

typedef struct {
    mote_safetensors_index *index;
    mote_json json;
    size_t capacity;
    const char *name;
    mote_error *error;
} reader;

static mote_status unexpected(reader *r, mote_json_kind kind, const char *what) {
    if (kind != MOTE_JSON_ERROR) return mote_fail(r->error, MOTE_BAD_FILE, "%s: %s", r->name, what);
    if (r->json.string.failed) return mote_fail_memory(r->error, "an index of shards", r->json.size);
    return mote_fail(r->error, MOTE_BAD_FILE, "%s: not JSON: %s (byte %zu)", r->name, r->json.problem, r->json.at);
}

static bool is_plain_name(const mote_buffer *name) {
    return name->size > 0 && name->size <= MOST_FILE_NAME && name->bytes[0] != '.' &&
           !memchr(name->bytes, '/', name->size) && !memchr(name->bytes, '\\', name->size) &&
           !memchr(name->bytes, '\0', name->size);
}

static mote_status read_place(reader *r) {
    mote_safetensors_index *index = r->index;
    char room[MOTE_SHOWN_BYTES];
    void *grown = index->places;
    if (index->n_places == MOST_PLACES) return unexpected(r, MOTE_JSON_KEY, "it names more than 1048576 tensors");
    if (!mote_grow(&grown, &r->capacity, index->n_places + 1, sizeof *index->places))
        return mote_fail_memory(r->error, "an index of shards", (index->n_places + 1) * sizeof *index->places);
    index->places = grown;
    mote_safetensors_place *place = &index->places[index->n_places];
    place->tensor.size = r->json.string.size;
    place->tensor.bytes = mote_arena_string(&index->arena, r->json.string.bytes, r->json.string.size);
    if (!place->tensor.bytes) return mote_fail_memory(r->error, "a tensor's name", r->json.string.size);
    mote_json_kind kind = mote_json_next(&r->json);
    if (kind != MOTE_JSON_STRING) return unexpected(r, kind, "its weight_map does not give each tensor a file name");
    if (!is_plain_name(&r->json.string))
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: '%s' is not the name of a file in the same folder", r->name,
                         mote_gguf_shown((mote_string){r->json.string.bytes, r->json.string.size}, room));
    /* neighbours are mostly in one file: its name is kept once */
    const char *before = index->n_places ? place[-1].file : "";
    bool same = strcmp(before, r->json.string.bytes) == 0;
    place->file = same ? before : mote_arena_string(&index->arena, r->json.string.bytes, r->json.string.size);
    if (!place->file) return mote_fail_memory(r->error, "a file's name", r->json.string.size);
    index->n_places++;
    return MOTE_OK;
}

static mote_status read_weight_map(reader *r) {
    mote_json_kind kind = mote_json_next(&r->json);
    if (kind != MOTE_JSON_OBJECT) return unexpected(r, kind, "its weight_map is not an object");
    while ((kind = mote_json_next(&r->json)) == MOTE_JSON_KEY) {
        mote_status status = read_place(r);
        if (status != MOTE_OK) return status;
    }
    return kind == MOTE_JSON_OBJECT_END ? MOTE_OK : unexpected(r, kind, "");
}

static mote_status read_index(reader *r) {
    mote_status status = MOTE_OK;
    bool seen = false;
    mote_json_kind kind = mote_json_next(&r->json);
    if (kind != MOTE_JSON_OBJECT) return unexpected(r, kind, "it is not a JSON object");
    while ((kind = mote_json_next(&r->json)) == MOTE_JSON_KEY && status == MOTE_OK) {
        bool map = mote_string_is(mote_buffer_string(&r->json.string), "weight_map");
        if (map && seen) return unexpected(r, kind, "it has a weight_map twice");
        seen = seen || map;
        if (map) status = read_weight_map(r);
        else if (!mote_json_skip(&r->json, mote_json_next(&r->json))) status = unexpected(r, MOTE_JSON_ERROR, "");
        if (status != MOTE_OK) return status;
    }
    if (kind == MOTE_JSON_OBJECT_END) kind = mote_json_next(&r->json);
    if (kind != MOTE_JSON_END) return unexpected(r, kind, "it is not one JSON object");
    if (!seen || r->index->n_places == 0) return unexpected(r, kind, "it names no tensors in a weight_map");
    return MOTE_OK;
}

mote_status mote_safetensors_index_parse(const uint8_t *bytes, size_t size, const char *name,
                                         mote_safetensors_index *index, mote_error *error) {
    *index = (mote_safetensors_index){0};
    reader r = {.index = index, .name = name, .error = error};
    char room[MOTE_SHOWN_BYTES];
    mote_json_init(&r.json, (const char *)bytes, size);
    mote_status status = read_index(&r);
    mote_json_deinit(&r.json);
    if (status != MOTE_OK) return status;
    qsort(index->places, index->n_places, sizeof *index->places, by_tensor);
    for (size_t i = 1; i < index->n_places; i++)
        if (by_tensor(&index->places[i - 1], &index->places[i]) == 0)
            return mote_fail(error, MOTE_BAD_FILE, "%s: tensor '%s' occurs twice", name,
                             mote_gguf_shown(index->places[i].tensor, room));
    qsort(index->places, index->n_places, sizeof *index->places, by_file);
    return MOTE_OK;
}

void mote_safetensors_index_close(mote_safetensors_index *index) {
    mote_release(index->places);
    mote_arena_deinit(&index->arena);
    *index = (mote_safetensors_index){0};
}

/* ---- the files */

static mote_status path_of(const char *folder, const char *name, char **path, mote_error *error) {
    mote_buffer buffer = {0};
    mote_buffer_print(&buffer, "%s/%s", folder, name);
    return mote_buffer_finish(&buffer, path, error);
}

static mote_status add_file(const char *folder, const char *name, size_t *capacity, mote_safetensors_set *set,
                            mote_error *error) {
    char *path = NULL;
    void *grown = set->files;
    if (set->n_files == MOST_SHARDS)
        return mote_fail(error, MOTE_BAD_FILE, "%s: the index names more than %d files", folder, MOST_SHARDS);
    if (!mote_grow(&grown, capacity, set->n_files + 1, sizeof *set->files))
        return mote_fail_memory(error, "a list of shards", (set->n_files + 1) * sizeof *set->files);
    set->files = grown;
    mote_status status = path_of(folder, name, &path, error);
    if (status == MOTE_OK) status = mote_safetensors_open(path, &set->files[set->n_files++], error);
    mote_release(path);
    return status;
}

/* The places of one file are its tensors: both are sorted by name. */
static mote_status check_shard(const mote_safetensors *file, const mote_safetensors_place *places, size_t n,
                               mote_error *error) {
    char room[MOTE_SHOWN_BYTES];
    for (size_t i = 0; i < n || i < file->n_tensors; i++) {
        int order = i == n ? 1 : -1;
        if (i < n && i < file->n_tensors) order = mote_string_compare(&places[i].tensor, &file->tensors[i].name);
        if (order < 0)
            return mote_fail(error, MOTE_BAD_FILE, "%s: tensor '%s', which the index places here, is missing",
                             file->name, mote_gguf_shown(places[i].tensor, room));
        if (order > 0)
            return mote_fail(error, MOTE_BAD_FILE, "%s: tensor '%s' is not one that the index places here", file->name,
                             mote_gguf_shown(file->tensors[i].name, room));
    }
    return MOTE_OK;
}

static mote_status open_shards(const char *folder, const char *path, mote_safetensors_set *set, mote_error *error) {
    mote_map map;
    mote_safetensors_index index = {0};
    size_t capacity = 0;
    mote_status status = mote_map_open(path, &map, error);
    if (status != MOTE_OK) return status;
    status = mote_safetensors_index_parse(map.bytes, map.size, path, &index, error);
    for (size_t i = 0, n; i < index.n_places && status == MOTE_OK; i += n) {
        for (n = 1; i + n < index.n_places && strcmp(index.places[i].file, index.places[i + n].file) == 0;) n++;
        status = add_file(folder, index.places[i].file, &capacity, set, error);
        if (status == MOTE_OK) status = check_shard(&set->files[set->n_files - 1], &index.places[i], n, error);
    }
    mote_safetensors_index_close(&index);
    mote_map_close(&map);
    return status;
}

mote_status mote_safetensors_set_open(const char *folder, mote_safetensors_set *set, mote_error *error) {
    char *single = NULL, *index = NULL;
    struct stat about;
    size_t capacity = 0;
    *set = (mote_safetensors_set){0};
    mote_status status = path_of(folder, single_name, &single, error);
    if (status == MOTE_OK) status = path_of(folder, index_name, &index, error);
    if (status != MOTE_OK) goto done;
    if (stat(single, &about) == 0) {
        status = add_file(folder, single_name, &capacity, set, error);
    } else if (stat(index, &about) == 0) {
        status = open_shards(folder, index, set, error);
    } else {
        status = mote_fail(error, MOTE_BAD_FILE, "%s has neither %s nor %s", folder, single_name, index_name);
        status =
            mote_hint(error, status, "weights in PyTorch's pickle files run code when read: save them as safetensors");
    }
done:
    mote_release(single);
    mote_release(index);
    return status;
}

void mote_safetensors_set_close(mote_safetensors_set *set) {
    for (size_t i = 0; i < set->n_files; i++) mote_safetensors_close(&set->files[i]);
    mote_release(set->files);
    *set = (mote_safetensors_set){0};
}

const mote_safetensor *mote_safetensors_set_find(const mote_safetensors_set *set, const char *name,
                                                 const mote_safetensors **file) {
    for (size_t i = 0; i < set->n_files; i++) {
        const mote_safetensor *found = mote_safetensors_find(&set->files[i], name);
        if (!found) continue;
        if (file) *file = &set->files[i];
        return found;
    }
    return NULL;
}
