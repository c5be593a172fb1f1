/* Reads a safetensors file from a mapping. Nothing is believed: the header's length is held against the file before a
 * byte of it is read, sizes are multiplied with checks, names and ranges are sorted (a hash table could be made slow by
 * chosen names), so that duplicates, overlaps and holes are found in n log n. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"

enum {
    LENGTH_BYTES = 8,
    MOST_HEADER_BYTES = 100000000, /* the reference's */
    MOST_TENSORS = 65536           /* large models have a few thousand in a shard */
};

static const struct {
    const char *name;
    size_t bytes;
} dtypes[MOTE_SAFETENSORS_N_DTYPES] = {
#define X(name, bytes) {#name, bytes},
    MOTE_SAFETENSORS_DTYPES(X)
#undef X
};

const char *mote_safetensors_dtype_name(mote_safetensors_dtype dtype) { return dtypes[dtype].name; }
size_t mote_safetensors_dtype_bytes(mote_safetensors_dtype dtype) { return dtypes[dtype].bytes; }

typedef struct {
    mote_safetensors *file;
    mote_json json;
    mote_safetensor *tensor; /* being read */
    mote_string *metadata;   /* its keys */
    size_t n_metadata, metadata_capacity, tensor_capacity;
    mote_error *error;
} reader;

/* What the JSON reader or a wrong kind of value ends in. */
static mote_status unexpected(reader *r, mote_json_kind kind, const char *wanted) {
    const char *name = r->file->name;
    char room[MOTE_SHOWN_BYTES];
    if (kind == MOTE_JSON_ERROR && r->json.string.failed)
        return mote_fail_memory(r->error, "a safetensors header", r->json.size);
    if (kind == MOTE_JSON_ERROR)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: its header is not JSON: %s (byte %zu)", name, r->json.problem,
                         LENGTH_BYTES + r->json.at);
    if (!r->tensor) return mote_fail(r->error, MOTE_BAD_FILE, "%s: %s", name, wanted);
    return mote_fail(r->error, MOTE_BAD_FILE, "%s: tensor '%s': %s", name, mote_gguf_shown(r->tensor->name, room),
                     wanted);
}

static bool is(const reader *r, const char *text) {
    return mote_string_is(mote_buffer_string(&r->json.string), text);
}

static mote_status copy_string(reader *r, mote_string *copy) {
    copy->bytes = mote_arena_string(&r->file->arena, r->json.string.bytes, r->json.string.size);
    copy->size = r->json.string.size;
    return copy->bytes ? MOTE_OK : mote_fail_memory(r->error, "a tensor's name", copy->size);
}

/* ---- the header */

static mote_status read_dtype(reader *r) {
    mote_json_kind kind = mote_json_next(&r->json);
    if (kind != MOTE_JSON_STRING) return unexpected(r, kind, "its dtype is not a string");
    for (int i = 0; i < MOTE_SAFETENSORS_N_DTYPES; i++) {
        r->tensor->dtype = (mote_safetensors_dtype)i;
        if (is(r, dtypes[i].name)) return MOTE_OK;
    }
    char room[MOTE_SHOWN_BYTES], dtype[MOTE_SHOWN_BYTES];
    return mote_fail(r->error, MOTE_BAD_FILE, "%s: tensor '%s' is of dtype %s, which mote does not know", r->file->name,
                     mote_gguf_shown(r->tensor->name, room),
                     mote_gguf_shown((mote_string){r->json.string.bytes, r->json.string.size}, dtype));
}

/* An array of at most `most` whole numbers; *n says how many. */
static mote_status read_numbers(reader *r, uint64_t *values, int most, int *n, const char *wanted,
                                const char *too_many) {
    mote_json_kind kind = mote_json_next(&r->json);
    if (kind != MOTE_JSON_ARRAY) return unexpected(r, kind, wanted);
    for (*n = 0; (kind = mote_json_next(&r->json)) != MOTE_JSON_ARRAY_END; (*n)++) {
        if (kind != MOTE_JSON_NUMBER || !r->json.is_integer || r->json.integer < 0) return unexpected(r, kind, wanted);
        if (*n == most) return unexpected(r, kind, too_many);
        values[*n] = (uint64_t)r->json.integer;
    }
    return MOTE_OK;
}

static mote_status read_field(reader *r, unsigned *seen) {
    enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4 };
    static const char twice[] = "one of its keys stands there twice";
    mote_safetensor *t = r->tensor;
    uint64_t offsets[2] = {0};
    int n = 0;
    unsigned key = is(r, "dtype") ? DTYPE : is(r, "shape") ? SHAPE : is(r, "data_offsets") ? OFFSETS : 0;
    if (!key) return unexpected(r, MOTE_JSON_KEY, "it has a key other than dtype, shape and data_offsets");
    if (*seen & key) return unexpected(r, MOTE_JSON_KEY, twice);
    *seen |= key;
    if (key == DTYPE) return read_dtype(r);
    if (key == SHAPE)
        return read_numbers(r, t->dims, MOTE_SAFETENSORS_MOST_DIMS, &t->n_dims, "its shape is not an array of sizes",
                            "its shape has more than 8 dimensions");
    mote_status status = read_numbers(r, offsets, 2, &n, "its data_offsets are not two places in the data",
                                      "its data_offsets are more than two");
    if (status == MOTE_OK && n != 2) status = unexpected(r, MOTE_JSON_ARRAY_END, "its data_offsets are not two");
    t->begin = offsets[0];
    t->end = offsets[1];
    return status;
}

static mote_status check_range(reader *r, size_t data_bytes) {
    const mote_safetensor *t = r->tensor;
    uint64_t bytes = dtypes[t->dtype].bytes;
    for (int i = 0; i < t->n_dims; i++)
        if (__builtin_mul_overflow(bytes, t->dims[i], &bytes))
            return unexpected(r, MOTE_JSON_KEY, "its shape is larger than any file");
    if (t->begin > t->end) return unexpected(r, MOTE_JSON_KEY, "its data ends before it begins");
    if (t->end > data_bytes) return unexpected(r, MOTE_JSON_KEY, "its data reaches beyond the end of the file");
    if (t->end - t->begin != bytes)
        return unexpected(r, MOTE_JSON_KEY, "its data_offsets do not hold what its dtype and shape ask for");
    return MOTE_OK;
}

static mote_status read_tensor(reader *r, size_t data_bytes) {
    mote_safetensors *file = r->file;
    void *grown = file->tensors;
    r->tensor = NULL;
    if (file->n_tensors == MOST_TENSORS) return unexpected(r, MOTE_JSON_KEY, "it has more than 65536 tensors");
    if (!mote_grow(&grown, &r->tensor_capacity, file->n_tensors + 1, sizeof *file->tensors))
        return mote_fail_memory(r->error, "a list of tensors", (file->n_tensors + 1) * sizeof *file->tensors);
    file->tensors = grown;
    mote_safetensor *t = &file->tensors[file->n_tensors++];
    *t = (mote_safetensor){0};
    mote_status status = copy_string(r, &t->name);
    if (status != MOTE_OK) return status;
    r->tensor = t;
    unsigned seen = 0;
    mote_json_kind kind = mote_json_next(&r->json);
    if (kind != MOTE_JSON_OBJECT) return unexpected(r, kind, "it is not described by an object");
    while ((kind = mote_json_next(&r->json)) == MOTE_JSON_KEY)
        if ((status = read_field(r, &seen)) != MOTE_OK) return status;
    if (kind != MOTE_JSON_OBJECT_END) return unexpected(r, kind, "it is not described by an object");
    if (seen != 7) return unexpected(r, kind, "it lacks one of dtype, shape and data_offsets");
    status = check_range(r, data_bytes);
    r->tensor = NULL;
    return status;
}

static mote_status read_metadata(reader *r) {
    static const char wanted[] = "its __metadata__ is not an object of strings";
    if (r->metadata) return unexpected(r, MOTE_JSON_KEY, "it has __metadata__ twice");
    mote_json_kind kind = mote_json_next(&r->json);
    if (kind != MOTE_JSON_OBJECT) return unexpected(r, kind, wanted);
    do {
        void *grown = r->metadata;
        if (!mote_grow(&grown, &r->metadata_capacity, r->n_metadata + 1, sizeof *r->metadata))
            return mote_fail_memory(r->error, "metadata", (r->n_metadata + 1) * sizeof *r->metadata);
        r->metadata = grown;
        if ((kind = mote_json_next(&r->json)) != MOTE_JSON_KEY) break;
        mote_status status = copy_string(r, &r->metadata[r->n_metadata]);
        if (status != MOTE_OK) return status;
        r->n_metadata++;
        kind = mote_json_next(&r->json);
    } while (kind == MOTE_JSON_STRING);
    return kind == MOTE_JSON_OBJECT_END ? MOTE_OK : unexpected(r, kind, wanted);
}

static mote_status read_header(reader *r, size_t data_bytes) {
    mote_json_kind kind = mote_json_next(&r->json);
    mote_status status = MOTE_OK;
    if (kind != MOTE_JSON_OBJECT) return unexpected(r, kind, "its header is not a JSON object");
    while (status == MOTE_OK && (kind = mote_json_next(&r->json)) == MOTE_JSON_KEY)
        status = is(r, "__metadata__") ? read_metadata(r) : read_tensor(r, data_bytes);
    if (status != MOTE_OK) return status;
    if (kind == MOTE_JSON_OBJECT_END) kind = mote_json_next(&r->json);
    return kind == MOTE_JSON_END ? MOTE_OK : unexpected(r, kind, "its header is not one JSON object");
}

/* ---- the whole */

static int by_range(const void *a, const void *b) {
    const mote_safetensor *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static int by_name(const void *a, const void *b) {
    return mote_string_compare(&((const mote_safetensor *)a)->name, &((const mote_safetensor *)b)->name);
}

static void sort(void *elements, size_t n, size_t bytes, int (*compare)(const void *, const void *)) {
    if (n > 1) qsort(elements, n, bytes, compare);
}

static mote_status check_tiling(mote_safetensors *file, const uint8_t *data, size_t data_bytes, mote_error *error) {
    char room[MOTE_SHOWN_BYTES], other[MOTE_SHOWN_BYTES];
    uint64_t end = 0;
    sort(file->tensors, file->n_tensors, sizeof *file->tensors, by_range);
    for (size_t i = 0; i < file->n_tensors; i++) {
        mote_safetensor *t = &file->tensors[i];
        if (t->begin < end)
            return mote_fail(error, MOTE_BAD_FILE, "%s: tensors '%s' and '%s' overlap", file->name,
                             mote_gguf_shown(t[-1].name, other), mote_gguf_shown(t->name, room));
        if (t->begin > end)
            return mote_fail(error, MOTE_BAD_FILE, "%s: bytes %llu to %llu of its data belong to no tensor", file->name,
                             (unsigned long long)end, (unsigned long long)t->begin);
        end = t->end;
        t->data = data + t->begin;
    }
    if (end != data_bytes)
        return mote_fail(error, MOTE_BAD_FILE, "%s: the last %llu bytes of its data belong to no tensor", file->name,
                         (unsigned long long)(data_bytes - end));
    return MOTE_OK;
}

static mote_status check_names(const reader *r) {
    const mote_safetensors *file = r->file;
    char room[MOTE_SHOWN_BYTES];
    sort(file->tensors, file->n_tensors, sizeof *file->tensors, by_name);
    for (size_t i = 1; i < file->n_tensors; i++)
        if (by_name(&file->tensors[i - 1], &file->tensors[i]) == 0)
            return mote_fail(r->error, MOTE_BAD_FILE, "%s: tensor '%s' occurs twice", file->name,
                             mote_gguf_shown(file->tensors[i].name, room));
    sort(r->metadata, r->n_metadata, sizeof *r->metadata, mote_string_compare);
    for (size_t i = 1; i < r->n_metadata; i++)
        if (mote_string_compare(&r->metadata[i - 1], &r->metadata[i]) == 0)
            return mote_fail(r->error, MOTE_BAD_FILE, "%s: the key '%s' of its __metadata__ occurs twice", file->name,
                             mote_gguf_shown(r->metadata[i], room));
    return MOTE_OK;
}

static mote_status parse(mote_safetensors *file, mote_error *error) {
    const uint8_t *bytes = file->map.bytes;
    size_t size = file->map.size;
    if (size < LENGTH_BYTES)
        return mote_fail(error, MOTE_BAD_FILE, "%s: not a safetensors file (%zu bytes; its header's length takes 8)",
                         file->name, size);
    uint64_t length = mote_load_bytes(bytes, LENGTH_BYTES);
    if (length > MOST_HEADER_BYTES)
        return mote_fail(error, MOTE_BAD_FILE, "%s: not a safetensors file (a header of %llu bytes; up to %d are read)",
                         file->name, (unsigned long long)length, MOST_HEADER_BYTES);
    if (length > size - LENGTH_BYTES)
        return mote_fail(error, MOTE_BAD_FILE, "%s: the file ends inside its header (%zu of %llu bytes are there)",
                         file->name, size - LENGTH_BYTES, (unsigned long long)length);
    if (length == 0 || bytes[LENGTH_BYTES] != '{')
        return mote_fail(error, MOTE_BAD_FILE, "%s: not a safetensors file (its header does not begin with '{')",
                         file->name);
    reader r = {.file = file, .error = error};
    size_t data_bytes = size - LENGTH_BYTES - (size_t)length;
    mote_json_init(&r.json, (const char *)bytes + LENGTH_BYTES, (size_t)length);
    mote_status status = read_header(&r, data_bytes);
    if (status == MOTE_OK) status = check_tiling(file, bytes + LENGTH_BYTES + length, data_bytes, error);
    if (status == MOTE_OK) status = check_names(&r);
    mote_json_deinit(&r.json);
    mote_release(r.metadata);
    return status;
}

mote_status mote_safetensors_open(const char *path, mote_safetensors *file, mote_error *error) {
    *file = (mote_safetensors){.name = path};
    mote_status status = mote_map_open(path, &file->map, error);
    if (status != MOTE_OK) return status;
    file->owns_map = true;
    file->name = file->map.path;
    return parse(file, error);
}

mote_status mote_safetensors_parse(const uint8_t *bytes, size_t size, const char *name, mote_safetensors *file,
                                   mote_error *error) {
    *file = (mote_safetensors){.map = {.bytes = bytes, .size = size}, .name = name};
    return parse(file, error);
}

void mote_safetensors_close(mote_safetensors *file) {
    if (file->owns_map) mote_map_close(&file->map);
    mote_release(file->tensors);
    mote_arena_deinit(&file->arena);
    *file = (mote_safetensors){0};
}

const mote_safetensor *mote_safetensors_find(const mote_safetensors *file, const char *name) {
    mote_safetensor wanted = {.name = {name, strlen(name)}};
    if (file->n_tensors == 0) return NULL;
    return bsearch(&wanted, file->tensors, file->n_tensors, sizeof wanted, by_name);
}
