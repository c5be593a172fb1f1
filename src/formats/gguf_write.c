/* Writes GGUF v3. Keys and tensor descriptions gather in memory; the data is streamed behind them and summed on its
 * way; at the end the sums are put into the header, which has kept room for them. A pipe cannot be gone back into, so
 * the data for one gathers in memory too. The first failure is kept and makes every later call do nothing: callers
 * check at finish. */
#include <string.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "formats/gguf.h"

enum { ALIGNMENT = 32, MOST_KEY_BYTES = 65535, MOST_TENSOR_NAME_BYTES = 63 };

typedef struct {
    uint64_t bytes, sum;
} tensor_record;

struct mote_gguf_writer {
    mote_writer *file;
    mote_buffer entries, tensors; /* their bytes in the file */
    mote_buffer header;           /* the whole header from begin_data on */
    mote_buffer data;             /* everything behind the header, where `file` cannot be patched */
    uint64_t position;            /* in the file */
    uint64_t n_entries, offset;   /* offset: where the next tensor described begins */
    tensor_record *record;
    size_t n_tensors, capacity;
    size_t current;               /* tensor whose bytes are being written */
    uint64_t current_bytes;       /* of it, so far */
    mote_hash_state hash;
    size_t sums_at, header_sum_at; /* in the header */
    bool data_begun, padded_rows;
    bool own_type[MOTE_N_TYPES]; /* of mote's own, in the file */
    mote_status status;
    mote_error error;
};

mote_status mote_gguf_writer_open(const char *path, mote_gguf_writer **writer, mote_error *error) {
    *writer = NULL;
    mote_gguf_writer *w = mote_allocate_zero(1, sizeof *w);
    if (!w) return mote_fail_memory(error, "a GGUF writer", sizeof *w);
    mote_status status = path ? mote_writer_open(path, &w->file, error) : MOTE_OK;
    if (status != MOTE_OK) {
        mote_release(w);
        return status;
    }
    *writer = w;
    return MOTE_OK;
}

static bool usable(mote_gguf_writer *w, bool data_begun) {
    if (w->status == MOTE_OK && w->data_begun != data_begun)
        w->status =
            mote_fail(&w->error, MOTE_USAGE, "a GGUF file is written in order: keys, tensor descriptions, data");
    return w->status == MOTE_OK;
}

/* ---- keys */

static void append_number(mote_buffer *buffer, uint64_t value, size_t bytes) {
    uint8_t little[8];
    for (size_t i = 0; i < bytes; i++) little[i] = (uint8_t)(value >> (8 * i));
    mote_buffer_append(buffer, little, bytes);
}

static void append_string(mote_buffer *buffer, const char *bytes, size_t size) {
    append_number(buffer, size, 8);
    mote_buffer_append(buffer, bytes, size);
}

/* Begins an entry: its key and kind. False: nothing may follow. */
static bool put_key(mote_gguf_writer *w, const char *key, mote_gguf_kind kind) {
    if (!usable(w, false)) return false;
    size_t size = strlen(key);
    if (size == 0 || size > MOST_KEY_BYTES) {
        w->status = mote_fail(&w->error, MOTE_USAGE, "a key of %zu bytes; 1 to %d are possible", size, MOST_KEY_BYTES);
        return false;
    }
    append_string(&w->entries, key, size);
    append_number(&w->entries, kind, 4);
    w->n_entries++;
    return true;
}

static void put_number(mote_gguf_writer *w, const char *key, mote_gguf_kind kind, uint64_t bits) {
    if (put_key(w, key, kind)) append_number(&w->entries, bits, mote_gguf_kind_bytes(kind));
}

static bool put_array(mote_gguf_writer *w, const char *key, mote_gguf_kind element, size_t n) {
    if (!put_key(w, key, MOTE_GGUF_ARRAY)) return false;
    append_number(&w->entries, element, 4);
    append_number(&w->entries, n, 8);
    return true;
}

void mote_gguf_put_u32(mote_gguf_writer *w, const char *key, uint32_t value) {
    put_number(w, key, MOTE_GGUF_U32, value);
}

void mote_gguf_put_u64(mote_gguf_writer *w, const char *key, uint64_t value) {
    put_number(w, key, MOTE_GGUF_U64, value);
}

void mote_gguf_put_f32(mote_gguf_writer *w, const char *key, float value) {
    union { float value; uint32_t bits; } u = {.value = value};
    put_number(w, key, MOTE_GGUF_F32, u.bits);
}

void mote_gguf_put_f64(mote_gguf_writer *w, const char *key, double value) {
    union { double value; uint64_t bits; } u = {.value = value};
    put_number(w, key, MOTE_GGUF_F64, u.bits);
}

void mote_gguf_put_bool(mote_gguf_writer *w, const char *key, bool value) { put_number(w, key, MOTE_GGUF_BOOL, value); }

void mote_gguf_put_string(mote_gguf_writer *w, const char *key, const char *bytes, size_t size) {
    if (put_key(w, key, MOTE_GGUF_STRING)) append_string(&w->entries, bytes, size);
}

void mote_gguf_put_strings(mote_gguf_writer *w, const char *key, const mote_string *strings, size_t n) {
    if (!put_array(w, key, MOTE_GGUF_STRING, n)) return;
    for (size_t i = 0; i < n; i++) append_string(&w->entries, strings[i].bytes, strings[i].size);
}

void mote_gguf_put_i32s(mote_gguf_writer *w, const char *key, const int32_t *values, size_t n) {
    if (!put_array(w, key, MOTE_GGUF_I32, n)) return;
    for (size_t i = 0; i < n; i++) append_number(&w->entries, (uint32_t)values[i], 4);
}

void mote_gguf_put_f32s(mote_gguf_writer *w, const char *key, const float *values, size_t n) {
    if (!put_array(w, key, MOTE_GGUF_F32, n)) return;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        append_number(&w->entries, bits, 4);
    }
}

void mote_gguf_put_u8s(mote_gguf_writer *w, const char *key, const uint8_t *values, size_t n) {
    if (!put_array(w, key, MOTE_GGUF_U8, n)) return;
    for (size_t i = 0; i < n; i++) append_number(&w->entries, values[i], 1);
}

void mote_gguf_put_u64s(mote_gguf_writer *w, const char *key, const uint64_t *values, size_t n) {
    if (!put_array(w, key, MOTE_GGUF_U64, n)) return;
    for (size_t i = 0; i < n; i++) append_number(&w->entries, values[i], 8);
}

/* ---- tensors */

static uint64_t padded(uint64_t n) { return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

void mote_gguf_put_tensor(mote_gguf_writer *w, const char *name, mote_type type, uint64_t rows, uint64_t cols) {
    if (!usable(w, false)) return;
    const mote_type_info *info = mote_type_get(type);
    size_t name_bytes = strlen(name);
    uint64_t bytes = 0, n_rows = rows ? rows : 1;
    if (name_bytes == 0 || name_bytes > MOST_TENSOR_NAME_BYTES) {
        w->status = mote_fail(&w->error, MOTE_USAGE, "tensor '%.80s': GGUF names have 1 to %d bytes", name,
                              MOST_TENSOR_NAME_BYTES);
        return;
    }
    if (cols == 0 || cols > INT64_MAX / 8 ||
        __builtin_mul_overflow((uint64_t)mote_row_bytes(type, cols), n_rows, &bytes) ||
        bytes > INT64_MAX - w->offset - ALIGNMENT) {
        w->status = mote_fail(&w->error, MOTE_USAGE, "tensor '%s': %llu x %llu values of %s cannot be stored", name,
                              (unsigned long long)n_rows, (unsigned long long)cols, info->name);
        return;
    }
    void *record = w->record;
    if (!mote_grow(&record, &w->capacity, w->n_tensors + 1, sizeof *w->record)) {
        w->status = mote_fail_memory(&w->error, "a list of tensors", sizeof *w->record);
        return;
    }
    w->padded_rows |= cols % mote_row_unit(type) != 0;
    w->own_type[type] |= info->ggml_id >= MOTE_FIRST_OWN_TYPE_ID;
    w->record = record;
    w->record[w->n_tensors++] = (tensor_record){.bytes = bytes};
    append_string(&w->tensors, name, name_bytes);
    append_number(&w->tensors, rows ? 2 : 1, 4);
    append_number(&w->tensors, cols, 8);
    if (rows) append_number(&w->tensors, rows, 8);
    append_number(&w->tensors, (uint32_t)info->ggml_id, 4);
    append_number(&w->tensors, w->offset, 8);
    w->offset = padded(w->offset + bytes);
}

static void emit(mote_gguf_writer *w, const void *bytes, size_t n) {
    w->position += n;
    if (mote_writer_can_patch(w->file)) mote_writer_write(w->file, bytes, n);
    else mote_buffer_append(&w->data, bytes, n);
}

static void emit_padding(mote_gguf_writer *w) {
    static const uint8_t zeros[ALIGNMENT];
    emit(w, zeros, (size_t)(padded(w->position) - w->position));
}

/* What only mote reads is said in the file. */
static void put_own_forms(mote_gguf_writer *w) {
    mote_string names[MOTE_N_TYPES];
    size_t n = 0;
    for (int type = 0; type < MOTE_N_TYPES; type++) {
        const char *name = mote_type_get((mote_type)type)->name;
        if (w->own_type[type]) names[n++] = (mote_string){name, strlen(name)};
    }
    if (n) mote_gguf_put_strings(w, MOTE_KEY_TYPES, names, n);
    if (w->padded_rows) mote_gguf_put_bool(w, MOTE_KEY_PADDED_ROWS, true);
}

void mote_gguf_begin_data(mote_gguf_writer *w) {
    if (!usable(w, false)) return;
    put_own_forms(w);
    if (put_array(w, MOTE_KEY_TENSOR_SUMS, MOTE_GGUF_U64, w->n_tensors)) {
        w->sums_at = w->entries.size;
        for (size_t i = 0; i < w->n_tensors; i++) append_number(&w->entries, 0, 8);
    }
    mote_gguf_put_u64(w, MOTE_KEY_HEADER_SUM, 0);
    mote_buffer_append(&w->header, "GGUF", 4);
    append_number(&w->header, 3, 4);
    append_number(&w->header, w->n_tensors, 8);
    append_number(&w->header, w->n_entries, 8);
    w->sums_at += w->header.size;
    w->header_sum_at = w->header.size + w->entries.size - 8;
    mote_buffer_append(&w->header, w->entries.bytes, w->entries.size);
    mote_buffer_append(&w->header, w->tensors.bytes, w->tensors.size);
    if (w->entries.failed || w->tensors.failed || w->header.failed) {
        w->status = mote_fail_memory(&w->error, "the header of a GGUF file", 2 * (w->entries.size + w->tensors.size));
        return;
    }
    w->data_begun = true;
    if (!w->file) return;
    if (mote_writer_can_patch(w->file)) mote_writer_write(w->file, w->header.bytes, w->header.size);
    w->position = w->header.size;
    emit_padding(w);
    mote_hash_init(&w->hash, 0);
}

void mote_gguf_write_tensor(mote_gguf_writer *w, const void *bytes, size_t size) {
    if (!usable(w, true)) return;
    if (w->current == w->n_tensors || size > w->record[w->current].bytes - w->current_bytes) {
        w->status = mote_fail(&w->error, MOTE_USAGE, "more tensor data than the %zu tensors described", w->n_tensors);
        return;
    }
    mote_hash_update(&w->hash, bytes, size);
    emit(w, bytes, size);
    w->current_bytes += size;
    if (w->current_bytes < w->record[w->current].bytes) return;
    w->record[w->current++].sum = mote_hash_value(&w->hash);
    w->current_bytes = 0;
    mote_hash_init(&w->hash, 0);
    emit_padding(w);
}

mote_status mote_gguf_measure(const mote_gguf_writer *w, uint64_t *bytes, mote_error *error) {
    if (w->status == MOTE_OK) *bytes = padded(w->header.size) + w->offset;
    else if (error) *error = w->error;
    return w->status;
}

/* ---- the end */

static void store_number(uint8_t *at, uint64_t value) {
    for (int i = 0; i < 8; i++) at[i] = (uint8_t)(value >> (8 * i));
}

static void fill_in_sums(mote_gguf_writer *w) {
    uint8_t *header = (uint8_t *)w->header.bytes;
    for (size_t i = 0; i < w->n_tensors; i++) store_number(header + w->sums_at + 8 * i, w->record[i].sum);
    store_number(header + w->header_sum_at, mote_hash_bytes(header, w->header.size, 0));
    if (mote_writer_can_patch(w->file)) {
        mote_writer_patch(w->file, w->sums_at, header + w->sums_at, w->header_sum_at + 8 - w->sums_at);
    } else {
        mote_writer_write(w->file, header, w->header.size);
        mote_writer_write(w->file, w->data.bytes, w->data.size);
    }
}

void mote_gguf_abort(mote_gguf_writer *w) {
    if (!w) return;
    mote_writer_abort(w->file);
    mote_buffer_deinit(&w->entries);
    mote_buffer_deinit(&w->tensors);
    mote_buffer_deinit(&w->header);
    mote_buffer_deinit(&w->data);
    mote_release(w->record);
    mote_release(w);
}

mote_status mote_gguf_finish(mote_gguf_writer *w, mote_error *error) {
    if (usable(w, true) && w->current != w->n_tensors)
        w->status = mote_fail(&w->error, MOTE_USAGE, "the data of %zu of %zu tensors was not written",
                              w->n_tensors - w->current, w->n_tensors);
    if (w->status == MOTE_OK && w->data.failed)
        w->status = mote_fail_memory(&w->error, "a model for a pipe", w->data.size);
    mote_status status = w->status;
    if (status == MOTE_OK) {
        fill_in_sums(w);
        status = mote_writer_commit(w->file, error);
        w->file = NULL;
    } else if (error) {
        *error = w->error;
    }
    mote_gguf_abort(w);
    return status;
}
