/* What GGUF values say: kinds, little-endian loads, typed reads by key, names made safe to print, and ggml's table of
 * types. Everything here works on bytes that gguf_read.c has checked. */
#include <string.h>

#include "formats/gguf.h"

static const struct {
    const char *name;
    size_t bytes;
} kinds[MOTE_GGUF_N_KINDS] = {
    [MOTE_GGUF_U8] = {"u8", 1},          [MOTE_GGUF_I8] = {"i8", 1},       [MOTE_GGUF_U16] = {"u16", 2},
    [MOTE_GGUF_I16] = {"i16", 2},        [MOTE_GGUF_U32] = {"u32", 4},     [MOTE_GGUF_I32] = {"i32", 4},
    [MOTE_GGUF_F32] = {"f32", 4},        [MOTE_GGUF_BOOL] = {"bool", 1},   [MOTE_GGUF_STRING] = {"string", 0},
    [MOTE_GGUF_ARRAY] = {"array", 0},    [MOTE_GGUF_U64] = {"u64", 8},     [MOTE_GGUF_I64] = {"i64", 8},
    [MOTE_GGUF_F64] = {"f64", 8},
};

const char *mote_gguf_kind_name(mote_gguf_kind kind) { return kinds[kind].name; }

size_t mote_gguf_kind_bytes(mote_gguf_kind kind) { return kinds[kind].bytes; }

bool mote_gguf_is_integer(mote_gguf_kind kind) {
    return kind <= MOTE_GGUF_I32 || kind == MOTE_GGUF_U64 || kind == MOTE_GGUF_I64;
}

static bool is_number(mote_gguf_kind kind) {
    return mote_gguf_is_integer(kind) || kind == MOTE_GGUF_F32 || kind == MOTE_GGUF_F64;
}

static bool is_signed(mote_gguf_kind kind) {
    return kind == MOTE_GGUF_I8 || kind == MOTE_GGUF_I16 || kind == MOTE_GGUF_I32 || kind == MOTE_GGUF_I64;
}

static int64_t load_signed(const uint8_t *data, size_t bytes) {
    uint64_t value = mote_load_bytes(data, bytes), sign = (uint64_t)1 << (8 * bytes - 1);
    return (int64_t)((value ^ sign) - sign);
}

double mote_gguf_load_number(const uint8_t *data, mote_gguf_kind kind) {
    size_t bytes = mote_gguf_kind_bytes(kind);
    uint64_t bits = mote_load_bytes(data, bytes);
    if (kind == MOTE_GGUF_F32) {
        union { uint32_t bits; float value; } u = {.bits = (uint32_t)bits};
        return (double)u.value;
    }
    if (kind == MOTE_GGUF_F64) {
        union { uint64_t bits; double value; } u = {.bits = bits};
        return u.value;
    }
    return is_signed(kind) ? (double)load_signed(data, bytes) : (double)bits;
}

mote_string mote_gguf_next_string(const uint8_t **at) {
    mote_string string = {(const char *)*at + 8, (size_t)mote_load_bytes(*at, 8)};
    *at += 8 + string.size;
    return string;
}

const char *mote_gguf_shown(mote_string name, char room[MOTE_SHOWN_BYTES]) {
    size_t n = name.size < MOTE_SHOWN_BYTES - 1 ? name.size : MOTE_SHOWN_BYTES - 4;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)name.bytes[i];
        room[i] = c >= 0x20 && c < 0x7f ? (char)c : '?';
    }
    memcpy(room + n, n < name.size ? "..." : "", n < name.size ? 4 : 1);
    return room;
}

/* ---- typed reads */

static mote_status wrong_kind(const mote_gguf *file, const mote_gguf_entry *entry, const char *wanted,
                              mote_error *error) {
    char room[MOTE_SHOWN_BYTES];
    return mote_fail(error, MOTE_BAD_FILE, "%s: key '%s' is of kind %s where %s is needed", file->name,
                     mote_gguf_shown(entry->key, room), mote_gguf_kind_name(entry->kind), wanted);
}

bool mote_gguf_integer(const mote_gguf *file, const char *key, int64_t low, int64_t high, int64_t *value,
                       mote_status *status, mote_error *error) {
    const mote_gguf_entry *entry = mote_gguf_find(file, key);
    if (!entry) return false;
    if (!mote_gguf_is_integer(entry->kind)) {
        *status = wrong_kind(file, entry, "an integer", error);
        return false;
    }
    bool negative_possible = is_signed(entry->kind);
    uint64_t bits = mote_load_bytes(entry->data, entry->data_bytes);
    int64_t read = negative_possible ? load_signed(entry->data, entry->data_bytes) : (int64_t)bits;
    if ((!negative_possible && bits > INT64_MAX) || read < low || read > high) {
        *status = mote_fail(error, MOTE_BAD_FILE, "%s: key '%s' is %s%llu; from %lld to %lld is possible", file->name,
                            key, negative_possible && read < 0 ? "-" : "",
                            (unsigned long long)(negative_possible && read < 0 ? 0 - (uint64_t)read : bits),
                            (long long)low, (long long)high);
        return false;
    }
    *value = read;
    return true;
}

bool mote_gguf_number(const mote_gguf *file, const char *key, double low, double high, double *value,
                      mote_status *status, mote_error *error) {
    const mote_gguf_entry *entry = mote_gguf_find(file, key);
    if (!entry) return false;
    if (!is_number(entry->kind)) {
        *status = wrong_kind(file, entry, "a number", error);
        return false;
    }
    double read = mote_gguf_load_number(entry->data, entry->kind);
    if (!(read >= low && read <= high)) { /* written so that NaN is out of range */
        *status = mote_fail(error, MOTE_BAD_FILE, "%s: key '%s' is %g; from %g to %g is possible", file->name, key,
                            read, low, high);
        return false;
    }
    *value = read;
    return true;
}

bool mote_gguf_bool(const mote_gguf *file, const char *key, bool *value, mote_status *status, mote_error *error) {
    const mote_gguf_entry *entry = mote_gguf_find(file, key);
    if (!entry) return false;
    if (entry->kind != MOTE_GGUF_BOOL) {
        *status = wrong_kind(file, entry, "a bool", error);
        return false;
    }
    *value = entry->data[0] != 0;
    return true;
}

bool mote_gguf_string(const mote_gguf *file, const char *key, mote_string *value, mote_status *status,
                      mote_error *error) {
    const mote_gguf_entry *entry = mote_gguf_find(file, key);
    if (!entry) return false;
    if (entry->kind != MOTE_GGUF_STRING) {
        *status = wrong_kind(file, entry, "a string", error);
        return false;
    }
    *value = (mote_string){(const char *)entry->data, entry->data_bytes};
    return true;
}

const mote_gguf_entry *mote_gguf_array(const mote_gguf *file, const char *key, mote_gguf_kind element,
                                       mote_status *status, mote_error *error) {
    const mote_gguf_entry *entry = mote_gguf_find(file, key);
    if (!entry) return NULL;
    if (entry->kind == MOTE_GGUF_ARRAY && entry->element == element) return entry;
    bool is_array = entry->kind == MOTE_GGUF_ARRAY;
    *status = mote_fail(error, MOTE_BAD_FILE, "%s: key '%s' is %s%s where an array of %s is needed", file->name, key,
                        is_array ? "an array of " : "of kind ",
                        mote_gguf_kind_name(is_array ? entry->element : entry->kind), mote_gguf_kind_name(element));
    return NULL;
}

/* ---- types of ggml (ggml.h, ggml-common.h) */

const mote_ggml_type *mote_ggml_type_get(uint32_t id) {
    static const mote_ggml_type types[] = {
        {0, "f32", 1, 4, 0, 0}, {1, "f16", 1, 2, 0, 0}, {2, "q4_0", 32, 18, 0, 0}, {3, "q4_1", 32, 20, 0, 0},
        {6, "q5_0", 32, 22, 0, 0}, {7, "q5_1", 32, 24, 0, 0}, {8, "q8_0", 32, 34, 0, 0}, {9, "q8_1", 32, 36, 0, 0},
        {10, "q2_k", 256, 84, 0, 0}, {11, "q3_k", 256, 110, 0, 0}, {12, "q4_k", 256, 144, 0, 0},
        {13, "q5_k", 256, 176, 0, 0}, {14, "q6_k", 256, 210, 0, 0}, {15, "q8_k", 256, 292, 0, 0},
        {16, "iq2_xxs", 256, 66, 0, 0}, {17, "iq2_xs", 256, 74, 0, 0}, {18, "iq3_xxs", 256, 98, 0, 0},
        {19, "iq1_s", 256, 50, 0, 0}, {20, "iq4_nl", 32, 18, 0, 0}, {21, "iq3_s", 256, 110, 0, 0},
        {22, "iq2_s", 256, 82, 0, 0}, {23, "iq4_xs", 256, 136, 0, 0}, {24, "i8", 1, 1, 0, 0}, {25, "i16", 1, 2, 0, 0},
        {26, "i32", 1, 4, 0, 0}, {27, "i64", 1, 8, 0, 0}, {28, "f64", 1, 8, 0, 0}, {29, "iq1_m", 256, 56, 0, 0},
        {30, "bf16", 1, 2, 0, 0}, {34, "tq1_0", 256, 54, 0, 0}, {35, "tq2_0", 256, 66, 0, 0},
        {39, "mxfp4", 32, 17, 0, 0},
        /* mote's own; two are named, but not read any more */
        {1000, "i8", 32, 32, 4, 0}, {1001, "old_q3h", 32, 15, 0, 0}, {1002, "old_q43", 32, 15, 0, 0},
        {1003, "q3h", 64, 29, 1, 15}, {1004, "q43", 64, 29, 1, 15},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].id == id) return &types[i];
    return NULL;
}
