/* Shows what a GGUF file holds, whether mote can run it or not: an aligned table for people, everything as JSON for
 * programs. Strings of the file are never sent to a terminal as they are: control characters are written as escapes. */
#include <inttypes.h>
#include <string.h>

#include "base/buffer.h"
#include "formats/gguf.h"

enum { SHOWN_ELEMENTS = 6, SHOWN_STRING_BYTES = 72, WIDEST_COLUMN = 44 };

/* ---- values */

static void append_scalar(mote_buffer *out, mote_gguf_kind kind, const uint8_t *data, bool json) {
    size_t bytes = mote_gguf_kind_bytes(kind);
    uint64_t bits = mote_load_bytes(data, bytes);
    switch (kind) {
    case MOTE_GGUF_BOOL: mote_buffer_print(out, bits ? "true" : "false"); break;
    case MOTE_GGUF_U8:
    case MOTE_GGUF_U16:
    case MOTE_GGUF_U32:
    case MOTE_GGUF_U64: mote_buffer_print(out, "%" PRIu64, bits); break;
    case MOTE_GGUF_I8: mote_buffer_print(out, "%d", (int8_t)bits); break;
    case MOTE_GGUF_I16: mote_buffer_print(out, "%d", (int16_t)bits); break;
    case MOTE_GGUF_I32: mote_buffer_print(out, "%" PRId32, (int32_t)bits); break;
    case MOTE_GGUF_I64: mote_buffer_print(out, "%" PRId64, (int64_t)bits); break;
    default:
        if (json) mote_buffer_json_number(out, mote_gguf_load_number(data, kind));
        else mote_buffer_print(out, "%.*g", kind == MOTE_GGUF_F32 ? 7 : 15, mote_gguf_load_number(data, kind));
    }
}

/* Quoted; what is not a printable character of UTF-8 becomes \xNN, also the control characters U+0080 to U+009F. */
static void append_quoted(mote_buffer *out, mote_string string) {
    mote_buffer_append(out, "'", 1);
    size_t at = 0;
    while (at < string.size && at < SHOWN_STRING_BYTES) {
        const char *p = string.bytes + at;
        unsigned char first = (unsigned char)p[0];
        int length = mote_utf8_length(p, string.size - at);
        bool control = first < 0x20 || first == 0x7f || (first == 0xc2 && length == 2 && (unsigned char)p[1] < 0xa0);
        if (first == '\n') mote_buffer_append(out, "\\n", 2);
        else if (first == '\\') mote_buffer_append(out, "\\\\", 2);
        else if (length == 0 || control) mote_buffer_print(out, "\\x%02x", first);
        else mote_buffer_append(out, p, (size_t)length);
        at += length == 0 || control ? 1 : (size_t)length;
    }
    mote_buffer_append(out, "'", 1);
    if (at < string.size) mote_buffer_print(out, "... (%zu bytes)", string.size);
}

static void append_array(mote_buffer *out, const mote_gguf_entry *entry, bool json) {
    uint64_t shown = json || entry->count <= SHOWN_ELEMENTS ? entry->count : SHOWN_ELEMENTS;
    const uint8_t *at = entry->data;
    mote_buffer_append(out, "[", 1);
    for (uint64_t i = 0; i < shown && !out->failed; i++) {
        if (i) mote_buffer_append(out, ", ", 2);
        if (entry->element == MOTE_GGUF_STRING) {
            mote_string string = mote_gguf_next_string(&at);
            if (json) mote_buffer_json_string(out, string.bytes, string.size);
            else append_quoted(out, string);
        } else {
            append_scalar(out, entry->element, at, json);
            at += mote_gguf_kind_bytes(entry->element);
        }
    }
    mote_buffer_print(out, "%s]", shown < entry->count ? ", ..." : "");
}

static void append_value(mote_buffer *out, const mote_gguf_entry *entry, bool json) {
    mote_string string = {(const char *)entry->data, entry->data_bytes};
    if (entry->kind == MOTE_GGUF_ARRAY) append_array(out, entry, json);
    else if (entry->kind != MOTE_GGUF_STRING) append_scalar(out, entry->kind, entry->data, json);
    else if (json) mote_buffer_json_string(out, string.bytes, string.size);
    else append_quoted(out, string);
}

static void append_kind(mote_buffer *out, const mote_gguf_entry *entry) {
    if (entry->kind == MOTE_GGUF_ARRAY)
        mote_buffer_print(out, "%s[%" PRIu64 "]", mote_gguf_kind_name(entry->element), entry->count);
    else mote_buffer_print(out, "%s", mote_gguf_kind_name(entry->kind));
}

/* ---- tensors */

typedef struct {
    uint64_t parameters, bytes;
    size_t unknown;
} totals;

static uint64_t parameters(const mote_gguf_tensor *tensor) { /* checked not to overflow when it was read */
    return tensor->dims[0] * tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
}

static totals count(const mote_gguf *file) {
    totals sum = {0};
    for (size_t i = 0; i < file->n_tensors; i++) {
        sum.parameters += parameters(&file->tensors[i]);
        sum.bytes += file->tensors[i].bytes;
        sum.unknown += file->tensors[i].bytes == 0;
    }
    return sum;
}

static void append_dims(mote_buffer *out, const mote_gguf_tensor *tensor) {
    mote_buffer_append(out, "[", 1);
    for (int i = 0; i < tensor->n_dims; i++) mote_buffer_print(out, "%s%" PRIu64, i ? ", " : "", tensor->dims[i]);
    mote_buffer_append(out, "]", 1);
}

static void append_type(mote_buffer *out, uint32_t id) {
    const mote_ggml_type *type = mote_ggml_type_get(id);
    if (type) mote_buffer_print(out, "%s", type->name);
    else mote_buffer_print(out, "unknown-%" PRIu32, id);
}

static uint64_t offset_of(const mote_gguf *file, const mote_gguf_tensor *tensor) {
    return (uint64_t)(tensor->data - file->map.bytes) - file->data_offset;
}

/* ---- text */

static void pad_to(mote_buffer *out, size_t line_start, size_t column) {
    size_t written = out->size - line_start;
    do mote_buffer_append(out, " ", 1);
    while (++written < column && !out->failed);
}

static size_t widest(const void *elements, size_t stride, size_t n) {
    size_t width = 0;
    for (size_t i = 0; i < n; i++) { /* entries and tensors begin with their name */
        const mote_string *name = (const void *)((const char *)elements + i * stride);
        if (name->size > width) width = name->size;
    }
    return width < WIDEST_COLUMN ? width : WIDEST_COLUMN;
}

static void show_text(const mote_gguf *file, mote_buffer *out) {
    char room[MOTE_SHOWN_BYTES];
    totals sum = count(file);
    mote_buffer_print(out, "%s: GGUF version %" PRIu32 ", %zu bytes, alignment %" PRIu32 ", checksums %s\n", file->name,
                      file->version, file->map.size, file->alignment, file->checksums ? "verified" : "none");
    size_t width = widest(file->entries, sizeof *file->entries, file->n_entries) + 4;
    mote_buffer_print(out, "\n%zu keys\n", file->n_entries);
    for (size_t i = 0; i < file->n_entries && !out->failed; i++) {
        size_t line = out->size;
        mote_buffer_print(out, "  %s", mote_gguf_shown(file->entries[i].key, room));
        pad_to(out, line, width);
        append_kind(out, &file->entries[i]);
        pad_to(out, line, width + 16);
        append_value(out, &file->entries[i], false);
        mote_buffer_append(out, "\n", 1);
    }
    width = widest(file->tensors, sizeof *file->tensors, file->n_tensors) + 4;
    mote_buffer_print(out, "\n%zu tensors, %" PRIu64 " parameters, %" PRIu64 " bytes of data", file->n_tensors,
                      sum.parameters, sum.bytes);
    if (sum.unknown) mote_buffer_print(out, " and %zu tensors of unknown types", sum.unknown);
    mote_buffer_append(out, "\n", 1);
    for (size_t i = 0; i < file->n_tensors && !out->failed; i++) {
        const mote_gguf_tensor *tensor = &file->tensors[i];
        size_t line = out->size;
        mote_buffer_print(out, "  %s", mote_gguf_shown(tensor->name, room));
        pad_to(out, line, width);
        append_type(out, tensor->ggml_type);
        pad_to(out, line, width + 10);
        append_dims(out, tensor);
        pad_to(out, line, width + 30);
        mote_buffer_print(out, "%12zu bytes at %" PRIu64 "\n", tensor->bytes, offset_of(file, tensor));
    }
}

/* ---- JSON */

static void show_json(const mote_gguf *file, mote_buffer *out) {
    totals sum = count(file);
    mote_buffer_print(out, "{\"file\": ");
    mote_buffer_json_string(out, file->name, strlen(file->name));
    mote_buffer_print(out, ", \"bytes\": %zu, \"version\": %" PRIu32 ", \"alignment\": %" PRIu32, file->map.size,
                      file->version, file->alignment);
    mote_buffer_print(out, ", \"header_bytes\": %zu, \"data_offset\": %zu, \"checksums\": \"%s\"", file->header_bytes,
                      file->data_offset, file->checksums ? "verified" : "none");
    mote_buffer_print(out, ",\n \"parameters\": %" PRIu64 ", \"tensor_bytes\": %" PRIu64 ",\n \"keys\": [",
                      sum.parameters, sum.bytes);
    for (size_t i = 0; i < file->n_entries && !out->failed; i++) {
        const mote_gguf_entry *entry = &file->entries[i];
        mote_buffer_print(out, "%s\n  {\"key\": ", i ? "," : "");
        mote_buffer_json_string(out, entry->key.bytes, entry->key.size);
        mote_buffer_print(out, ", \"kind\": \"%s\", \"value\": ",
                          mote_gguf_kind_name(entry->kind == MOTE_GGUF_ARRAY ? entry->element : entry->kind));
        append_value(out, entry, true);
        mote_buffer_append(out, "}", 1);
    }
    mote_buffer_print(out, "],\n \"tensors\": [");
    for (size_t i = 0; i < file->n_tensors && !out->failed; i++) {
        const mote_gguf_tensor *tensor = &file->tensors[i];
        mote_buffer_print(out, "%s\n  {\"name\": ", i ? "," : "");
        mote_buffer_json_string(out, tensor->name.bytes, tensor->name.size);
        mote_buffer_print(out, ", \"type\": \"");
        append_type(out, tensor->ggml_type);
        mote_buffer_print(out, "\", \"dims\": ");
        append_dims(out, tensor);
        mote_buffer_print(out, ", \"bytes\": %zu, \"offset\": %" PRIu64 "}", tensor->bytes, offset_of(file, tensor));
    }
    mote_buffer_print(out, "]}\n");
}

mote_status mote_gguf_show(const mote_gguf *file, bool json, char **text, mote_error *error) {
    mote_buffer out = {0};
    *text = NULL;
    if (json) show_json(file, &out);
    else show_text(file, &out);
    return mote_buffer_finish(&out, text, error);
}

mote_status mote_gguf_inspect(const char *path, bool json, char **text, mote_error *error) {
    *text = NULL;
    mote_gguf file;
    mote_status status = mote_gguf_open(path, &file, error);
    if (status != MOTE_OK) return status;
    status = mote_gguf_show(&file, json, text, error);
    mote_gguf_close(&file);
    return status;
}
