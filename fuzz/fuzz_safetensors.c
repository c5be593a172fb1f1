/* safetensors, and the index of shards: any bytes end in a status; what parses tiles its data with tensors that have
 * the bytes their shapes ask for, sorted and found by name. An index names files of its folder only. */
#include <string.h>

#include "formats/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) __builtin_trap();
}

static void check_file(const mote_safetensors *file, const uint8_t *data, size_t size) {
    size_t total = 8;
    for (int i = 0; i < 8; i++) total += (size_t)data[i] << (8 * i);
    for (size_t i = 0; i < file->n_tensors; i++) {
        const mote_safetensor *t = &file->tensors[i];
        uint64_t bytes = mote_safetensors_dtype_bytes(t->dtype);
        require(t->n_dims >= 0 && t->n_dims <= MOTE_SAFETENSORS_MOST_DIMS && t->begin <= t->end);
        for (int j = 0; j < t->n_dims; j++) bytes *= t->dims[j];
        require(bytes == t->end - t->begin);
        require(t->data >= data && t->data <= data + size && bytes <= (uint64_t)(data + size - t->data));
        total += bytes;
        if (i == 0) continue;
        const mote_string *a = &t[-1].name, *b = &t->name;
        int order = memcmp(a->bytes, b->bytes, a->size < b->size ? a->size : b->size);
        require(order < 0 || (order == 0 && a->size < b->size));
    }
    require(total == size);
    for (size_t i = 0; i < file->n_tensors; i++) {
        const mote_safetensor *t = &file->tensors[i];
        if (!memchr(t->name.bytes, 0, t->name.size)) require(mote_safetensors_find(file, t->name.bytes) == t);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mote_safetensors file;
    mote_safetensors_index index;
    mote_error error = {0};
    mote_status status = mote_safetensors_parse(data, size, "input", &file, &error);
    require(status == MOTE_OK || status == MOTE_BAD_FILE || status == MOTE_MEMORY);
    require(status == MOTE_OK || (error.status == status && error.message[0]));
    if (status == MOTE_OK) check_file(&file, data, size);
    mote_safetensors_close(&file);
    status = mote_safetensors_index_parse(data, size, "input", &index, &error);
    require(status == MOTE_OK || status == MOTE_BAD_FILE || status == MOTE_MEMORY);
    for (size_t i = 0; status == MOTE_OK && i < index.n_places; i++) {
        const char *name = index.places[i].file;
        require(name[0] && name[0] != '.' && !strchr(name, '/') && !strchr(name, '\\'));
        require(i == 0 || strcmp(index.places[i - 1].file, name) <= 0);
    }
    mote_safetensors_index_close(&index);
    return 0;
}
