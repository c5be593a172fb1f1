/* Writes a safetensors file as the reference does, byte for byte: tensors by dtype (its own order, largest first), then
 * by name; the header padded with spaces to a multiple of 8, so that all data is aligned to its values. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "formats/safetensors.h"

static int by_dtype_and_name(const void *a, const void *b) {
    const mote_safetensors_item *x = a, *y = b;
    if (x->dtype != y->dtype) return x->dtype > y->dtype ? -1 : 1;
    return strcmp(x->name, y->name);
}

static mote_status item_bytes(const mote_safetensors_item *item, uint64_t *bytes, mote_error *error) {
    *bytes = mote_safetensors_dtype_bytes(item->dtype);
    for (int i = 0; i < item->n_dims; i++)
        if (__builtin_mul_overflow(*bytes, item->dims[i], bytes))
            return mote_fail(error, MOTE_USAGE, "tensor '%s' is larger than any file", item->name);
    return MOTE_OK;
}

static mote_status put_header(mote_buffer *header, const mote_safetensors_item *items, size_t n_items,
                              mote_error *error) {
    uint64_t begin = 0, bytes = 0;
    mote_buffer_print(header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < n_items; i++, begin += bytes) {
        const mote_safetensors_item *item = &items[i];
        mote_status status = item_bytes(item, &bytes, error);
        if (status != MOTE_OK) return status;
        if (begin > UINT64_MAX - bytes)
            return mote_fail(error, MOTE_USAGE, "tensor '%s' makes the file larger than any", item->name);
        mote_buffer_print(header, ",");
        mote_buffer_json_string(header, item->name, strlen(item->name));
        mote_buffer_print(header, ":{\"dtype\":\"%s\",\"shape\":[", mote_safetensors_dtype_name(item->dtype));
        for (int j = 0; j < item->n_dims; j++)
            mote_buffer_print(header, "%s%llu", j ? "," : "", (unsigned long long)item->dims[j]);
        mote_buffer_print(header, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)begin,
                          (unsigned long long)(begin + bytes));
    }
    mote_buffer_print(header, "}");
    while (header->size % 8 && !header->failed) mote_buffer_append(header, " ", 1);
    return header->failed ? mote_fail_memory(error, "a safetensors header", header->size) : MOTE_OK;
}

static mote_status write_items(mote_writer *w, const mote_buffer *header, const mote_safetensors_item *items,
                               size_t n_items, mote_safetensors_source source, void *context, mote_error *error) {
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)header->size >> (8 * i));
    mote_writer_write(w, length, sizeof length);
    mote_writer_write(w, header->bytes, header->size);
    for (size_t i = 0; i < n_items; i++) {
        uint64_t bytes = 0, before = mote_writer_position(w);
        mote_status status = item_bytes(&items[i], &bytes, error);
        if (status == MOTE_OK) status = source(context, &items[i], w, error);
        if (status != MOTE_OK) return status;
        uint64_t written = mote_writer_position(w) - before;
        if (written != bytes && mote_writer_ok(w))
            return mote_fail(error, MOTE_FAILED, "tensor '%s' has %llu bytes where its shape has %llu", items[i].name,
                             (unsigned long long)written, (unsigned long long)bytes);
    }
    return MOTE_OK;
}

mote_status mote_safetensors_prepare(const char *path, mote_safetensors_item *items, size_t n_items,
                                     mote_safetensors_source source, void *context, mote_writer **writer,
                                     mote_error *error) {
    mote_buffer header = {0};
    *writer = NULL;
    if (n_items > 1) qsort(items, n_items, sizeof *items, by_dtype_and_name);
    mote_status status = put_header(&header, items, n_items, error);
    if (status == MOTE_OK) status = mote_writer_open(path, writer, error);
    if (status == MOTE_OK) status = write_items(*writer, &header, items, n_items, source, context, error);
    if (status != MOTE_OK) {
        mote_writer_abort(*writer);
        *writer = NULL;
    }
    mote_buffer_deinit(&header);
    return status;
}

mote_status mote_safetensors_write(const char *path, mote_safetensors_item *items, size_t n_items,
                                   mote_safetensors_source source, void *context, mote_error *error) {
    mote_writer *writer;
    mote_status status = mote_safetensors_prepare(path, items, n_items, source, context, &writer, error);
    return status == MOTE_OK ? mote_writer_commit(writer, error) : status;
}
