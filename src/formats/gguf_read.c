/* Reads the structure of a GGUF file. Nothing is believed: counts are held against the bytes left before anything is
 * allocated, products and sums are checked, and time and memory are linear in the file's size. Array data is not
 * copied. Duplicate names are found by hash tables whose probes are bounded, so that no choice of names makes them
 * slow. */
#include <string.h>

#include "base/hash.h"
#include "formats/gguf.h"

enum {
    LEAST_ENTRY_BYTES = 14,  /* key length 8, key 1, kind 4, value 1 */
    LEAST_TENSOR_BYTES = 33, /* name length 8, name 1, n_dims 4, dimension 8, type 4, offset 8 */
    MOST_ENTRIES = 65536,    /* files in use have up to 100 keys and, in large mixtures, a few thousand tensors */
    MOST_TENSORS = 262144,
    MOST_KEY_BYTES = 65535,
    MOST_TENSOR_NAME_BYTES = 63, /* the format says 64, ggml's reader refuses 64 */
    LEAST_ALIGNMENT = 8,
    MOST_ALIGNMENT = 65536,
    MOST_PROBES = 64 /* at a load of 1/4, honest names need more with a probability below 1e-12 */
};

typedef struct {
    mote_gguf *file;
    const uint8_t *at, *end;
    mote_error *error;
} reader;

static size_t bytes_left(const reader *r) { return (size_t)(r->end - r->at); }

static mote_status cut_short(const reader *r, const char *what) {
    return mote_fail(r->error, MOTE_BAD_FILE, "%s: the file ends inside %s (size %zu bytes, %zu left)", r->file->name,
                     what, r->file->map.size, bytes_left(r));
}

static bool take(reader *r, size_t bytes, uint64_t *value) {
    if (bytes_left(r) < bytes) return false;
    *value = mote_load_bytes(r->at, bytes);
    r->at += bytes;
    return true;
}

static bool take_string(reader *r, mote_string *string) {
    uint64_t size;
    if (!take(r, 8, &size) || size > bytes_left(r)) return false;
    *string = (mote_string){(const char *)r->at, (size_t)size};
    r->at += size;
    return true;
}

/* ---- names */

static const mote_string *name_at(const void *elements, size_t stride, size_t i) {
    return (const mote_string *)(const void *)((const char *)elements + i * stride);
}

static size_t first_slot(const mote_gguf_index *index, const char *bytes, size_t size) {
    return (size_t)mote_hash_bytes(bytes, size, index->n_slots) & (index->n_slots - 1);
}

static mote_status build_index(mote_gguf *file, const void *elements, size_t stride, size_t n, const char *what,
                               mote_gguf_index *index, mote_error *error) {
    size_t n_slots = 8;
    while (n_slots < 4 * n) n_slots *= 2;
    index->slots = mote_arena_allocate(&file->arena, n_slots * sizeof *index->slots);
    if (!index->slots) return mote_fail_memory(error, "index of names", n_slots * sizeof *index->slots);
    index->n_slots = n_slots;
    char room[MOTE_SHOWN_BYTES];
    for (size_t i = 0; i < n; i++) {
        const mote_string *name = name_at(elements, stride, i);
        size_t slot = first_slot(index, name->bytes, name->size);
        for (int probes = 0; index->slots[slot]; probes++) {
            if (mote_string_equal(*name_at(elements, stride, index->slots[slot] - 1), *name))
                return mote_fail(error, MOTE_BAD_FILE, "%s: %s '%s' occurs twice", file->name, what,
                                 mote_gguf_shown(*name, room));
            if (probes == MOST_PROBES)
                return mote_fail(error, MOTE_BAD_FILE, "%s: the names of its %zu entries are made to collide",
                                 file->name, n);
            slot = (slot + 1) & (n_slots - 1);
        }
        index->slots[slot] = (uint32_t)i + 1;
    }
    return MOTE_OK;
}

static const void *find(const mote_gguf_index *index, const void *elements, size_t stride, const char *name) {
    if (!index->n_slots) return NULL;
    size_t size = strlen(name), slot = first_slot(index, name, size);
    for (int probes = 0; index->slots[slot] && probes <= MOST_PROBES; probes++) {
        const mote_string *found = name_at(elements, stride, index->slots[slot] - 1);
        if (mote_string_is(*found, name)) return found;
        slot = (slot + 1) & (index->n_slots - 1);
    }
    return NULL;
}

const mote_gguf_entry *mote_gguf_find(const mote_gguf *file, const char *key) {
    return find(&file->entry_index, file->entries, sizeof *file->entries, key);
}

const mote_gguf_tensor *mote_gguf_find_tensor(const mote_gguf *file, const char *name) {
    return find(&file->tensor_index, file->tensors, sizeof *file->tensors, name);
}

/* ---- header and keys */

static mote_status read_header(reader *r) {
    mote_gguf *file = r->file;
    uint64_t version, n_tensors, n_entries;
    if (bytes_left(r) < 4 || memcmp(r->at, "GGUF", 4) != 0) {
        mote_status status =
            mote_fail(r->error, MOTE_BAD_FILE, "%s: not a GGUF file: it does not begin with 'GGUF'", file->name);
        return mote_hint(r->error, status, "a GGUF file is needed; mote convert makes one of the other forms");
    }
    r->at += 4;
    if (!take(r, 4, &version)) return cut_short(r, "the header");
    if (version == 0x02000000 || version == 0x03000000)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: a big-endian GGUF file; only little-endian ones are read",
                         file->name);
    if (version != 2 && version != 3)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: GGUF version %llu; versions 2 and 3 are read", file->name,
                         (unsigned long long)version);
    if (!take(r, 8, &n_tensors) || !take(r, 8, &n_entries)) return cut_short(r, "the header");
    if (n_entries > MOST_ENTRIES || n_entries > bytes_left(r) / LEAST_ENTRY_BYTES)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: claims %llu keys; %zu bytes hold at most %zu", file->name,
                         (unsigned long long)n_entries, bytes_left(r), bytes_left(r) / LEAST_ENTRY_BYTES);
    size_t left = bytes_left(r) - (size_t)n_entries * LEAST_ENTRY_BYTES;
    if (n_tensors > MOST_TENSORS || n_tensors > left / LEAST_TENSOR_BYTES)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: claims %llu tensors; %zu bytes hold at most %zu", file->name,
                         (unsigned long long)n_tensors, left, left / LEAST_TENSOR_BYTES);
    file->version = (uint32_t)version;
    file->n_entries = (size_t)n_entries;
    file->n_tensors = (size_t)n_tensors;
    return MOTE_OK;
}

static mote_status check_bools(const reader *r, const mote_gguf_entry *entry) {
    char room[MOTE_SHOWN_BYTES];
    for (size_t i = 0; i < entry->data_bytes; i++)
        if (entry->data[i] > 1)
            return mote_fail(r->error, MOTE_BAD_FILE, "%s: key '%s': a bool of value %d; 0 and 1 are possible",
                             r->file->name, mote_gguf_shown(entry->key, room), entry->data[i]);
    return MOTE_OK;
}

static mote_status read_array(reader *r, mote_gguf_entry *entry, const char *key) {
    uint64_t element, count;
    if (!take(r, 4, &element) || !take(r, 8, &count)) return cut_short(r, "the head of an array");
    if (element == MOTE_GGUF_ARRAY)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: key '%s' is an array of arrays, which is not supported",
                         r->file->name, key);
    if (element >= MOTE_GGUF_N_KINDS)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: key '%s' is an array of unknown kind %llu", r->file->name, key,
                         (unsigned long long)element);
    entry->element = (mote_gguf_kind)element;
    size_t least = element == MOTE_GGUF_STRING ? 8 : mote_gguf_kind_bytes(entry->element);
    if (count > bytes_left(r) / least)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: key '%s' claims an array of %llu; %zu bytes hold at most %zu",
                         r->file->name, key, (unsigned long long)count, bytes_left(r), bytes_left(r) / least);
    entry->count = count;
    entry->data = r->at;
    if (element == MOTE_GGUF_STRING) {
        mote_string string;
        for (uint64_t i = 0; i < count; i++)
            if (!take_string(r, &string))
                return mote_fail(r->error, MOTE_BAD_FILE, "%s: key '%s': string %llu of %llu is longer than the file",
                                 r->file->name, key, (unsigned long long)i, (unsigned long long)count);
    } else {
        r->at += (size_t)count * least;
    }
    entry->data_bytes = (size_t)(r->at - entry->data);
    return element == MOTE_GGUF_BOOL ? check_bools(r, entry) : MOTE_OK;
}

static mote_status read_entry(reader *r, mote_gguf_entry *entry) {
    char room[MOTE_SHOWN_BYTES];
    uint64_t kind;
    if (!take_string(r, &entry->key)) return cut_short(r, "a key");
    if (entry->key.size == 0 || entry->key.size > MOST_KEY_BYTES)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: a key of %zu bytes; 1 to %d are possible", r->file->name,
                         entry->key.size, MOST_KEY_BYTES);
    const char *key = mote_gguf_shown(entry->key, room);
    if (!take(r, 4, &kind)) return cut_short(r, "the kind of a value");
    if (kind >= MOTE_GGUF_N_KINDS)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: key '%s' is of unknown kind %llu", r->file->name, key,
                         (unsigned long long)kind);
    entry->kind = (mote_gguf_kind)kind;
    entry->count = 1;
    if (kind == MOTE_GGUF_ARRAY) return read_array(r, entry, key);
    if (kind == MOTE_GGUF_STRING) {
        mote_string string;
        if (!take_string(r, &string))
            return mote_fail(r->error, MOTE_BAD_FILE, "%s: key '%s': its string is longer than the file", r->file->name,
                             key);
        entry->data = (const uint8_t *)string.bytes;
        entry->data_bytes = string.size;
        return MOTE_OK;
    }
    entry->data = r->at;
    entry->data_bytes = mote_gguf_kind_bytes(entry->kind);
    if (bytes_left(r) < entry->data_bytes) return cut_short(r, "a value");
    r->at += entry->data_bytes;
    return kind == MOTE_GGUF_BOOL ? check_bools(r, entry) : MOTE_OK;
}

static mote_status read_alignment(mote_gguf *file, mote_error *error) {
    file->alignment = 32;
    const mote_gguf_entry *entry = mote_gguf_find(file, "general.alignment");
    if (!entry) return MOTE_OK;
    if (entry->kind != MOTE_GGUF_U32)
        return mote_fail(error, MOTE_BAD_FILE, "%s: general.alignment is of kind %s; u32 is needed", file->name,
                         mote_gguf_kind_name(entry->kind));
    uint64_t value = mote_load_bytes(entry->data, 4);
    if (value < LEAST_ALIGNMENT || value > MOST_ALIGNMENT || (value & (value - 1)) != 0)
        return mote_fail(error, MOTE_BAD_FILE,
                         "%s: general.alignment is %llu; a power of two from %d to %d is possible", file->name,
                         (unsigned long long)value, LEAST_ALIGNMENT, MOST_ALIGNMENT);
    file->alignment = (uint32_t)value;
    return MOTE_OK;
}

/* ---- tensors */

/* Reads one description; *offset is from the start of the data. Bytes stay 0 for a type that is not known. */
static mote_status read_tensor(reader *r, mote_gguf_tensor *tensor, uint64_t *offset) {
    char room[MOTE_SHOWN_BYTES];
    const char *path = r->file->name;
    uint64_t n_dims, type;
    if (!take_string(r, &tensor->name)) return cut_short(r, "the name of a tensor");
    if (tensor->name.size == 0 || tensor->name.size > MOST_TENSOR_NAME_BYTES)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: a tensor's name of %zu bytes; 1 to %d are possible", path,
                         tensor->name.size, MOST_TENSOR_NAME_BYTES);
    const char *name = mote_gguf_shown(tensor->name, room);
    if (!take(r, 4, &n_dims)) return cut_short(r, "a tensor's description");
    if (n_dims < 1 || n_dims > 4)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: tensor '%s' has %llu dimensions; 1 to 4 are possible", path,
                         name, (unsigned long long)n_dims);
    tensor->n_dims = (int)n_dims;
    uint64_t elements = 1;
    for (int i = 0; i < 4; i++) {
        tensor->dims[i] = 1;
        if (i >= tensor->n_dims) continue;
        if (!take(r, 8, &tensor->dims[i])) return cut_short(r, "a tensor's description");
        if (tensor->dims[i] == 0)
            return mote_fail(r->error, MOTE_BAD_FILE, "%s: tensor '%s' has a dimension of 0", path, name);
        if (__builtin_mul_overflow(elements, tensor->dims[i], &elements) || elements > INT64_MAX)
            return mote_fail(r->error, MOTE_BAD_FILE, "%s: tensor '%s' has more than 2^63 elements", path, name);
    }
    if (!take(r, 4, &type) || !take(r, 8, offset)) return cut_short(r, "a tensor's description");
    tensor->ggml_type = (uint32_t)type;
    const mote_ggml_type *info = mote_ggml_type_get(tensor->ggml_type);
    if (!info) return MOTE_OK;
    const uint32_t unit = info->half_block_bytes ? info->block_values / 2 : info->block_values;
    if (tensor->dims[0] % unit != 0 && !r->file->padded_rows)
        return mote_fail(r->error, MOTE_BAD_FILE,
                         "%s: tensor '%s' has rows of %llu values, not whole blocks of %u as %s needs", path, name,
                         (unsigned long long)tensor->dims[0], unit, info->name);
    size_t row_bytes;
    const uint64_t rest = tensor->dims[0] % info->block_values; /* dims are below 2^63 */
    const bool half = info->half_block_bytes && rest <= unit;
    const uint32_t last = !rest ? 0 : half ? info->half_block_bytes : info->block_bytes;
    if (__builtin_mul_overflow(tensor->dims[0] / info->block_values, info->block_bytes, &row_bytes) ||
        __builtin_add_overflow(row_bytes, info->row_header_bytes + last, &row_bytes) ||
        __builtin_mul_overflow(elements / tensor->dims[0], row_bytes, &tensor->bytes))
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: tensor '%s' is larger than any file", path, name);
    return MOTE_OK;
}

static size_t padded(size_t n, size_t alignment) { return (n + alignment - 1) & ~(alignment - 1); }

/* Offsets must follow one another without holes, as ggml's reader demands; what follows a tensor of a type that is not
 * known can only be held against the order. Returns through `next` where the following tensor has to begin. */
static mote_status place_tensor(reader *r, mote_gguf_tensor *tensor, uint64_t offset, size_t *next, bool exact) {
    char room[MOTE_SHOWN_BYTES];
    const mote_gguf *file = r->file;
    const char *name = mote_gguf_shown(tensor->name, room);
    if (file->map.size < file->data_offset) /* the end may lie in the padding before the data */
        return mote_fail(r->error, MOTE_BAD_FILE,
                         "%s: tensor '%s': the data begins at %zu, past the end of the file (%zu)", file->name, name,
                         file->data_offset, file->map.size);
    size_t room_bytes = file->map.size - file->data_offset;
    if (offset % file->alignment != 0)
        return mote_fail(r->error, MOTE_BAD_FILE, "%s: tensor '%s': offset %llu is not a multiple of the alignment %u",
                         file->name, name, (unsigned long long)offset, file->alignment);
    if (exact ? offset != *next : offset < *next)
        return mote_fail(r->error, MOTE_BAD_FILE,
                         "%s: tensor '%s': offset %llu where %zu follows from the tensors before it", file->name, name,
                         (unsigned long long)offset, *next);
    if (offset > room_bytes || tensor->bytes > room_bytes - (size_t)offset)
        return mote_fail(r->error, MOTE_BAD_FILE,
                         "%s: tensor '%s': %zu bytes at offset %llu reach past the end of the data (%zu)", file->name,
                         name, tensor->bytes, (unsigned long long)offset, room_bytes);
    tensor->data = file->map.bytes + file->data_offset + (size_t)offset;
    *next = padded((size_t)offset + (tensor->bytes ? tensor->bytes : 1), file->alignment);
    return MOTE_OK;
}

static mote_status read_tensors(reader *r) {
    mote_gguf *file = r->file;
    size_t n = file->n_tensors, bytes = n * sizeof(uint64_t);
    file->tensors = mote_arena_allocate(&file->arena, n * sizeof *file->tensors);
    uint64_t *offsets = mote_allocate(bytes);
    mote_status status = MOTE_OK;
    if (!file->tensors || !offsets) status = mote_fail_memory(r->error, "list of tensors", n * sizeof *file->tensors);
    for (size_t i = 0; i < n && status == MOTE_OK; i++) status = read_tensor(r, &file->tensors[i], &offsets[i]);
    if (status == MOTE_OK) {
        file->header_bytes = (size_t)(r->at - file->map.bytes);
        file->data_offset = padded(file->header_bytes, file->alignment);
        status = build_index(file, file->tensors, sizeof *file->tensors, n, "tensor", &file->tensor_index, r->error);
    }
    size_t next = 0;
    bool exact = true;
    for (size_t i = 0; i < n && status == MOTE_OK; i++) {
        status = place_tensor(r, &file->tensors[i], offsets[i], &next, exact);
        exact = file->tensors[i].bytes != 0;
    }
    mote_release(offsets);
    return status;
}

/* ---- checksums */

static mote_status check_zeros(const mote_gguf *file, size_t begin, size_t end, mote_error *error) {
    for (size_t i = begin; i < end; i++)
        if (file->map.bytes[i])
            return mote_fail(error, MOTE_BAD_FILE, "%s: byte %zu is padding and not zero: the file is damaged",
                             file->name, i);
    return MOTE_OK;
}

static mote_status verify_padding(const mote_gguf *file, mote_error *error) {
    size_t at = file->header_bytes, size = file->map.size;
    mote_status status = MOTE_OK;
    for (size_t i = 0; i < file->n_tensors && status == MOTE_OK; i++) {
        size_t begin = (size_t)(file->tensors[i].data - file->map.bytes);
        if (i == 0 || file->tensors[i - 1].bytes) status = check_zeros(file, at, begin, error);
        at = begin + file->tensors[i].bytes;
    }
    if (status != MOTE_OK || (file->n_tensors && !file->tensors[file->n_tensors - 1].bytes)) return status;
    if (size > padded(at, file->alignment))
        return mote_fail(error, MOTE_BAD_FILE, "%s: %zu bytes follow the last tensor: the file is damaged", file->name,
                         size - at);
    return check_zeros(file, at, size, error);
}

static mote_status verify_header(const mote_gguf *file, const mote_gguf_entry *sum, mote_error *error) {
    static const uint8_t zeros[8];
    const uint8_t *after = sum->data + 8;
    mote_hash_state state;
    mote_hash_init(&state, 0);
    mote_hash_update(&state, file->map.bytes, (size_t)(sum->data - file->map.bytes));
    mote_hash_update(&state, zeros, sizeof zeros);
    mote_hash_update(&state, after, file->header_bytes - (size_t)(after - file->map.bytes));
    if (mote_hash_value(&state) != mote_load_bytes(sum->data, 8))
        return mote_fail(error, MOTE_BAD_FILE, "%s: the header's checksum is wrong: the file is damaged", file->name);
    return MOTE_OK;
}

/* A tensor of a type that is not known has no known end and so no checksum that could be held against it. */
static mote_status verify_checksums(mote_gguf *file, mote_error *error) {
    const mote_gguf_entry *sums = mote_gguf_find(file, MOTE_KEY_TENSOR_SUMS),
                          *header = mote_gguf_find(file, MOTE_KEY_HEADER_SUM);
    if (!sums && !header) return MOTE_OK;
    if (!sums || !header)
        return mote_fail(error, MOTE_BAD_FILE,
                         "%s: has one of the keys %s and %s without the other: the file is damaged", file->name,
                         MOTE_KEY_TENSOR_SUMS, MOTE_KEY_HEADER_SUM);
    if (header->kind != MOTE_GGUF_U64)
        return mote_fail(error, MOTE_BAD_FILE, "%s: checksum key %s is of kind %s; u64 is needed", file->name,
                         MOTE_KEY_HEADER_SUM, mote_gguf_kind_name(header->kind));
    mote_status status = verify_header(file, header, error);
    if (status != MOTE_OK) return status;
    if (sums->kind != MOTE_GGUF_ARRAY || sums->element != MOTE_GGUF_U64 || sums->count != file->n_tensors)
        return mote_fail(error, MOTE_BAD_FILE, "%s: checksum key %s is not one u64 for each of the %zu tensors",
                         file->name, MOTE_KEY_TENSOR_SUMS, file->n_tensors);
    char room[MOTE_SHOWN_BYTES];
    file->sums = sums->data;
    for (size_t i = 0; i < file->n_tensors && !file->checks_put_off; i++) {
        const mote_gguf_tensor *tensor = &file->tensors[i];
        if (tensor->bytes && mote_hash_bytes(tensor->data, tensor->bytes, 0) != mote_load_bytes(sums->data + 8 * i, 8))
            return mote_fail(error, MOTE_BAD_FILE, "%s: the checksum of tensor '%s' is wrong: the file is damaged",
                             file->name, mote_gguf_shown(tensor->name, room));
    }
    file->checksums = true;
    return verify_padding(file, error);
}

/* ---- whole files */

static mote_status parse(mote_gguf *file, const char *name, mote_error *error) {
    file->name = mote_arena_string(&file->arena, name, strlen(name));
    if (!file->name) return mote_fail_memory(error, "name of a file", strlen(name) + 1);
    reader r = {file, file->map.bytes, file->map.bytes + file->map.size, error};
    mote_status status = read_header(&r);
    if (status != MOTE_OK) return status;
    size_t bytes = file->n_entries * sizeof *file->entries;
    file->entries = mote_arena_allocate(&file->arena, bytes);
    if (!file->entries) return mote_fail_memory(error, "list of keys", bytes);
    for (size_t i = 0; i < file->n_entries && status == MOTE_OK; i++) status = read_entry(&r, &file->entries[i]);
    if (status == MOTE_OK)
        status =
            build_index(file, file->entries, sizeof *file->entries, file->n_entries, "key", &file->entry_index, error);
    if (status == MOTE_OK) status = read_alignment(file, error);
    if (status == MOTE_OK) mote_gguf_bool(file, MOTE_KEY_PADDED_ROWS, &file->padded_rows, &status, error);
    if (status == MOTE_OK) status = read_tensors(&r);
    if (status == MOTE_OK) status = verify_checksums(file, error);
    return status;
}

mote_status mote_gguf_open(const char *path, mote_gguf *file, mote_error *error) {
    *file = (mote_gguf){0};
    mote_status status = mote_map_open(path, &file->map, error);
    if (status != MOTE_OK) return status;
    file->owns_map = true;
    status = parse(file, path, error);
    if (status != MOTE_OK) mote_gguf_close(file);
    return status;
}

mote_status mote_gguf_take(mote_map *map, mote_gguf *file, mote_error *error) {
    *file = (mote_gguf){.map = *map, .owns_map = true, .checks_put_off = map->size > MOTE_GGUF_READ_AT_ONCE};
    *map = (mote_map){0};
    mote_status status = parse(file, file->map.path, error);
    if (status != MOTE_OK) mote_gguf_close(file);
    return status;
}

mote_status mote_gguf_parse(const uint8_t *bytes, size_t size, const char *name, mote_gguf *file, mote_error *error) {
    *file = (mote_gguf){.map = {.bytes = bytes, .size = size}};
    mote_status status = parse(file, name, error);
    if (status != MOTE_OK) mote_gguf_close(file);
    return status;
}

void mote_gguf_close(mote_gguf *file) {
    if (file->owns_map) mote_map_close(&file->map);
    mote_arena_deinit(&file->arena);
    *file = (mote_gguf){0};
}
