/* Hand-made bad GGUF files: each must end in MOTE_BAD_FILE with a message that names the file and says what is wrong.
 * Cases are named after the fault they keep out; those that befell other readers carry their numbers. */
#include "base/hash.h"
#include "gguf_bytes.h"
#include "test.h"

static gguf_bytes file_bytes;
static int n_cases;
#define B (&file_bytes)
#define DIMS(...) (const uint64_t[]){__VA_ARGS__}

/* Parses an exact copy, so that a read past the end is a read past a heap block. */
static mote_status parse_copy(const gguf_bytes *b, mote_error *error) {
    uint8_t *copy = malloc(b->size ? b->size : 1);
    memcpy(copy, b->bytes, b->size);
    mote_gguf file;
    mote_status status = mote_gguf_parse(copy, b->size, "case.gguf", &file, error);
    mote_gguf_close(&file);
    free(copy);
    return status;
}

static void bad(const char *name, const char *word) {
    mote_error error = {0};
    mote_status status = parse_copy(B, &error);
    n_cases++;
    CHECK(status == MOTE_BAD_FILE && error.status == MOTE_BAD_FILE, "%s: status %d", name, (int)status);
    CHECK(strstr(error.message, word) && strstr(error.message, "case.gguf"), "%s: '%s' lacks '%s'", name, error.message,
          word);
}

static void good(const char *name) {
    mote_error error = {0};
    CHECK(parse_copy(B, &error) == MOTE_OK, "%s: %s", name, error.message);
}

static void header_cases(void) {
    B->size = 0;
    bad("empty file", "not a GGUF");
    put_raw(B, "GGUF", 4);
    bad("4-byte file (CVE-2024-39720)", "ends inside the header");
    begin(B, 3, 0, 0);
    good("the smallest file");
    B->size = 23;
    bad("one byte short of a header", "ends inside the header");
    begin(B, 3, 0, 0);
    B->bytes[0] = 'g';
    bad("wrong magic", "not a GGUF");
    begin(B, 0, 0, 0);
    bad("version 0", "version 0");
    begin(B, 1, 0, 0);
    bad("version 1", "version 1");
    begin(B, 2, 0, 0);
    good("version 2");
    begin(B, 4, 0, 0);
    bad("version 4", "version 4");
    begin(B, 0x03000000, 0, 0);
    bad("big-endian", "big-endian");
    begin(B, 3, 0, 1);
    bad("a key that is not there", "claims 1 keys");
    begin(B, 3, 1, 0);
    bad("a tensor that is not there", "claims 1 tensors");
    begin(B, 3, 0, UINT64_MAX);
    put_data(B, 1, 200);
    bad("n_kv of 2^64 - 1 multiplied unchecked (CVE-2024-23605)", "keys");
    begin(B, 3, UINT64_MAX / 48 + 2, 0);
    put_data(B, 1, 200);
    bad("n_tensors wraps when multiplied (CVE-2024-21836)", "tensors");
    begin(B, 3, (uint64_t)1 << 40, 0);
    bad("43-byte file asks for gigabytes (gguf-py PR #27188)", "tensors");
    begin(B, 3, 0, 65537);
    put_data(B, 1, 100000);
    bad("more keys than are allowed", "keys");
    begin(B, 3, 10, 10);
    put_data(B, 1, 160);
    bad("keys and tensors fit one by one, not together", "tensors");
}

static void key_cases(void) {
    begin(B, 3, 0, 1);
    put_le(B, 0, 8), put_data(B, 1, 40);
    bad("key of no bytes", "a key of 0 bytes");
    begin(B, 3, 0, 1);
    put_le(B, UINT64_MAX, 8), put_data(B, 1, 40);
    bad("key length of 2^64 - 1: +1 makes calloc(0) (CVE-2024-23496)", "ends inside a key");
    begin(B, 3, 0, 1);
    put_le(B, 42, 8), put_data(B, 1, 41);
    bad("key one byte longer than the file", "ends inside a key");
    begin(B, 3, 0, 1);
    put_le(B, 65536, 8), put_data(B, 1, 65536 + 8);
    bad("key of 65536 bytes", "a key of 65536 bytes");
    begin(B, 3, 0, 1);
    put_le(B, 65535, 8), put_data(B, 1, 65535), put_le(B, 0, 4), put_le(B, 0, 1);
    good("key of 65535 bytes");
    begin(B, 3, 0, 1);
    put_key(B, "k", 13), put_data(B, 1, 40);
    bad("kind 13", "unknown kind 13");
    begin(B, 3, 0, 1);
    put_key(B, "k", UINT32_MAX), put_data(B, 1, 40);
    bad("kind 2^32 - 1", "unknown kind 4294967295");
    begin(B, 3, 0, 1);
    put_key(B, "long enough", MOTE_GGUF_U64), put_le(B, 0, 7);
    bad("value one byte short", "ends inside a value");
    begin(B, 3, 0, 1);
    put_le(B, 20, 8), put_data(B, 1, 20), put_le(B, 0, 3);
    bad("kind one byte short", "ends inside the kind");
    begin(B, 3, 0, 1);
    put_key(B, "flag", MOTE_GGUF_BOOL), put_le(B, 2, 1);
    bad("bool of 2", "bool of value 2");
    begin(B, 3, 0, 1);
    key_array(B, "flags", MOTE_GGUF_BOOL, 3), put_raw(B, "\0\1\xff", 3);
    bad("bool of 255 in an array", "bool of value 255");
    begin(B, 3, 0, 1);
    put_key(B, "s", MOTE_GGUF_STRING), put_le(B, UINT64_MAX, 8), put_data(B, 1, 40);
    bad("string length of 2^64 - 1 (CVE-2024-23496)", "string is longer");
    begin(B, 3, 0, 1);
    put_key(B, "s", MOTE_GGUF_STRING), put_le(B, 41, 8), put_data(B, 1, 40);
    bad("string one byte longer than the file", "string is longer");
    begin(B, 3, 0, 1);
    put_key(B, "some string", MOTE_GGUF_STRING), put_le(B, 0, 7);
    bad("string length one byte short", "string is longer");
    begin(B, 3, 0, 2);
    key_u32(B, "twice", 1), key_u32(B, "twice", 1);
    bad("duplicate key", "'twice' occurs twice");
    begin(B, 3, 0, 1);
    put_key(B, "\x1b[2J\n", 99), put_data(B, 1, 40);
    bad("control characters in a key do not reach the message", "'?[2J?'");
}

static void array_cases(void) {
    begin(B, 3, 0, 1);
    put_key(B, "a", MOTE_GGUF_ARRAY), put_le(B, 0, 4), put_le(B, 0, 7);
    bad("array head one byte short", "head of an array");
    begin(B, 3, 0, 1);
    key_array(B, "a", MOTE_GGUF_ARRAY, 1), put_data(B, 1, 40);
    bad("nested array", "array of arrays");
    begin(B, 3, 0, 1);
    key_array(B, "a", 13, 1), put_data(B, 1, 40);
    bad("array of unknown kind", "unknown kind 13");
    begin(B, 3, 0, 1);
    key_array(B, "a", MOTE_GGUF_U64, UINT64_MAX / 8 + 2), put_data(B, 1, 40);
    bad("array count wraps when multiplied (CVE-2024-21825)", "claims an array");
    begin(B, 3, 0, 1);
    key_array(B, "a", MOTE_GGUF_U32, 11), put_data(B, 1, 40);
    bad("array one element longer than the file", "claims an array of 11");
    begin(B, 3, 0, 1);
    key_array(B, "a", MOTE_GGUF_U32, 10), put_data(B, 1, 40);
    good("array up to the last byte");
    begin(B, 3, 0, 1);
    key_array(B, "a", MOTE_GGUF_STRING, UINT64_MAX), put_data(B, 1, 40);
    bad("2^64 - 1 strings (gguf-py: endless loop)", "claims an array");
    begin(B, 3, 0, 1);
    key_array(B, "a", MOTE_GGUF_STRING, 2), put_text(B, "one"), put_le(B, UINT64_MAX - 7, 8), put_data(B, 1, 40);
    bad("string in an array wraps the position", "string 1 of 2");
    begin(B, 3, 0, 1);
    key_array(B, "a", MOTE_GGUF_STRING, 3), put_text(B, "one"), put_text(B, "two"), put_le(B, 0, 7);
    bad("string in an array cut off", "string 2 of 3");
    begin(B, 3, 0, 1);
    key_array(B, "a", MOTE_GGUF_U8, 0);
    good("empty array");
}

static void alignment_case(uint32_t alignment) {
    begin(B, 3, 1, 1);
    key_u32(B, "general.alignment", alignment);
    put_tensor(B, "t", 1, DIMS(4), 0, 0);
    put_data(B, 64, 64);
    char name[64];
    snprintf(name, sizeof name, "alignment %u (L.cpp #24997, #26318)", alignment);
    bad(name, "general.alignment");
}

static void alignment_cases(void) {
    static const uint32_t wrong[] = {0, 1, 4, 7, 24, 33, 131072, 1u << 30, 1u << 31, UINT32_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) alignment_case(wrong[i]);
    begin(B, 3, 0, 1);
    put_key(B, "general.alignment", MOTE_GGUF_U64), put_le(B, 32, 8);
    bad("alignment of kind u64 (ggml PR #1516)", "kind u64");
    begin(B, 3, 0, 1);
    key_text(B, "general.alignment", "32");
    bad("alignment of kind string", "kind string");
    begin(B, 3, 1, 1);
    key_u32(B, "general.alignment", 8), put_tensor(B, "t", 1, DIMS(4), 0, 0), put_data(B, 8, 16);
    good("alignment 8");
}

/* One tensor of `n_dims` dims and `bytes` of data. */
static void one_tensor(const char *name, uint32_t n_dims, const uint64_t *dims, uint32_t type, uint64_t offset,
                       size_t bytes) {
    begin(B, 3, 1, 0);
    put_tensor(B, name, n_dims, dims, type, offset);
    put_data(B, 32, bytes);
}

/* Two dimensions in a file whose rows may end within a block, or with the key that says they do not. */
static void padded_tensor(int allowed, uint64_t cols, uint64_t rows, uint32_t type, size_t data) {
    begin(B, 3, 1, 1);
    put_key(B, MOTE_KEY_PADDED_ROWS, MOTE_GGUF_BOOL);
    put_le(B, (uint64_t)allowed, 1);
    put_tensor(B, "t", 2, DIMS(cols, rows), type, 0);
    put_data(B, 32, data);
}

static void tensor_cases(void) {
    one_tensor("t", 1, DIMS(4), 0, 0, 16);
    good("one tensor");
    one_tensor("", 1, DIMS(4), 0, 0, 16);
    bad("tensor without a name", "name of 0 bytes");
    one_tensor("0123456789012345678901234567890123456789012345678901234567890123", 1, DIMS(4), 0, 0, 16);
    bad("name of 64 bytes", "name of 64 bytes");
    one_tensor("012345678901234567890123456789012345678901234567890123456789012", 1, DIMS(4), 0, 0, 16);
    good("name of 63 bytes");
    one_tensor("t", 0, DIMS(0), 0, 0, 64);
    bad("no dimensions", "0 dimensions");
    one_tensor("t", 5, DIMS(1, 1, 1, 1, 1), 0, 0, 64);
    bad("five dimensions written over ne[4] (CVE-2024-21802)", "5 dimensions");
    one_tensor("t", UINT32_MAX, DIMS(1, 1, 1, 1, 1, 1, 1, 1), 0, 0, 64);
    bad("2^32 - 1 dimensions (CVE-2024-21802)", "4294967295 dimensions");
    one_tensor("t", 2, DIMS(4, 0), 0, 0, 64);
    bad("dimension of 0 (L.cpp #18586)", "dimension of 0");
    one_tensor("t", 1, DIMS(UINT64_MAX), 0, 0, 64);
    bad("dimension of 2^64 - 1", "2^63");
    one_tensor("t", 2, DIMS((uint64_t)1 << 32, (uint64_t)1 << 32), 0, 0, 64);
    bad("elements wrap to 0 (CVE-2026-33298)", "2^63");
    one_tensor("t", 4, DIMS(65536, 65536, 65536, 65536), 0, 0, 64);
    bad("elements wrap in the fourth dimension (CVE-2025-53630)", "2^63");
    one_tensor("t", 2, DIMS((uint64_t)1 << 31, (uint64_t)1 << 31), 0, 0, 64);
    bad("bytes wrap, elements do not (L.cpp #27200)", "larger than any file");
    one_tensor("t", 2, DIMS((uint64_t)1 << 62, 1), 8, 0, 64);
    bad("blocks are divided off before bytes are multiplied (L.cpp #27203)", "past the end");
    one_tensor("t", 1, DIMS(31), 8, 0, 64);
    bad("row of a part of a block", "whole blocks of 32");
    one_tensor("t", 2, DIMS(128, 2), 12, 0, 288);
    bad("row of half a block of 256", "whole blocks of 256");
    padded_tensor(1, 31, 2, 8, 68);
    good("rows of a part of a block in a file that says so");
    padded_tensor(1, 31, 2, 8, 67);
    bad("padded rows, the last byte missing", "past the end");
    padded_tensor(0, 31, 2, 8, 68);
    bad("rows of a part of a block in a file that denies it", "whole blocks of 32");
    padded_tensor(1, 33, 2, 1000, 2 * (4 + 64));
    good("rows with a header");
    padded_tensor(1, 33, 2, 1000, 2 * (4 + 64) - 1);
    bad("rows with a header, the last byte missing", "past the end");
    padded_tensor(1, INT64_MAX, 1, 2, 64);
    bad("blocks of the longest row", "past the end");
    one_tensor("t", 1, DIMS(4), 0, 0, 15);
    bad("data one byte short (CVE-2026-7482)", "past the end");
    one_tensor("t", 1, DIMS(4), 0, 0, 0);
    bad("no data", "past the end");
    one_tensor("t", 1, DIMS(4), 0, 32, 64);
    bad("first offset is not 0", "where 0 follows");
    one_tensor("t", 1, DIMS(4), 0, 8, 64);
    bad("offset is not aligned", "multiple of the alignment");
    one_tensor("t", 1, DIMS(4), 0, UINT64_MAX - 31, 64);
    bad("offset near 2^64 wraps with the size (ollama PR #16183)", "where 0 follows");
    one_tensor("t", 1, DIMS(4), 999, (uint64_t)1 << 40, 64);
    bad("offset past the end, type not known", "where 0 follows");
    begin(B, 3, 1, 0);
    put_text(B, "a longer name"), put_le(B, 2, 4), put_le(B, 1, 8), put_le(B, 1, 7);
    bad("description cut off", "ends inside a tensor's description");
    begin(B, 3, 1, 0);
    put_le(B, (uint64_t)1 << 63, 8), put_data(B, 1, 64);
    bad("name of 2^63 bytes", "name of a tensor");
    one_tensor("t", 1, DIMS(4), 999, 0, 16);
    good("a type that is not known");
    one_tensor("t", 1, DIMS(4), 999, 0, 0);
    good("a type that is not known, no byte of data");
    B->size--;
    bad("a type that is not known, the file ends in the padding before its data", "past the end");
}

static void two_tensors(const char *a, const char *b, uint32_t type, uint64_t second) {
    begin(B, 3, 2, 0);
    put_tensor(B, a, 1, DIMS(4), type, 0);
    put_tensor(B, b, 1, DIMS(4), 0, second);
    put_data(B, 32, 128);
}

static void layout_cases(void) {
    two_tensors("a", "b", 0, 32);
    good("two tensors");
    two_tensors("a", "a", 0, 32);
    bad("duplicate tensor", "'a' occurs twice");
    two_tensors("a", "b", 0, 0);
    bad("tensors overlap", "where 32 follows");
    two_tensors("a", "b", 0, 64);
    bad("a hole between tensors", "where 32 follows");
    two_tensors("a", "b", 999, 64);
    good("any aligned offset after a type that is not known");
    two_tensors("a", "b", 999, 0);
    bad("overlaps a type that is not known", "where 32 follows");
    two_tensors("a", "b", 999, 160);
    bad("past the end after a type that is not known", "past the end");
}

static void checksum_cases(void) {
    begin(B, 3, 0, 1);
    put_key(B, MOTE_KEY_HEADER_SUM, MOTE_GGUF_U64), put_le(B, 0, 8);
    bad("header sum alone", "without the other");
    begin(B, 3, 0, 1);
    key_array(B, MOTE_KEY_TENSOR_SUMS, MOTE_GGUF_U64, 0);
    bad("tensor sums alone", "without the other");
    begin(B, 3, 0, 2);
    key_array(B, MOTE_KEY_TENSOR_SUMS, MOTE_GGUF_U64, 0);
    put_key(B, MOTE_KEY_HEADER_SUM, MOTE_GGUF_U64), put_le(B, 1, 8);
    bad("wrong header sum", "header's checksum");
    begin(B, 3, 0, 2);
    key_array(B, MOTE_KEY_TENSOR_SUMS, MOTE_GGUF_U64, 0), key_u32(B, MOTE_KEY_HEADER_SUM, 1);
    bad("header sum of kind u32", "kind u32");
}

/* A tensor's sum and the padding are wrong under a right header sum. */
static void checksum_data_cases(void) {
    for (int which = 0; which < 4; which++) {
        begin(B, 3, 1, 2);
        key_array(B, MOTE_KEY_TENSOR_SUMS, MOTE_GGUF_U64, which == 3 ? 2 : 1);
        put_le(B, which == 0 ? 1 : 0xdc28390af58a1d15u, 8); /* replaced below where it must be right */
        if (which == 3) put_le(B, 0, 8);
        size_t sum_at = B->size - 8;
        put_key(B, MOTE_KEY_HEADER_SUM, MOTE_GGUF_U64), put_le(B, 0, 8);
        size_t header_sum_at = B->size - 8;
        put_tensor(B, "damaged.weight", 1, DIMS(4), 0, 0);
        size_t header = B->size, end;
        put_data(B, 32, 16);
        end = B->size;
        put_data(B, 32, which == 2 ? 1 : 0);
        if (which == 1 || which == 2) {
            uint64_t sum = mote_hash_bytes(B->bytes + end - 16, 16, 0);
            for (int i = 0; i < 8; i++) B->bytes[sum_at + (size_t)i] = (uint8_t)(sum >> (8 * i));
        }
        uint64_t sum = mote_hash_bytes(B->bytes, header, 0);
        for (int i = 0; i < 8; i++) B->bytes[header_sum_at + (size_t)i] = (uint8_t)(sum >> (8 * i));
        if (which == 1) good("right sums");
        else if (which == 0) bad("wrong tensor sum", "tensor 'damaged.weight'");
        else if (which == 2) bad("bytes behind the last tensor", "follow the last tensor");
        else bad("more sums than tensors", "one u64 for each");
        if (which != 1) continue;
        B->bytes[header] = 1;
        bad("padding behind the header is not zero", "padding");
    }
}

int main(void) {
    RUN(header_cases);
    RUN(key_cases);
    RUN(array_cases);
    RUN(alignment_cases);
    RUN(tensor_cases);
    RUN(layout_cases);
    RUN(checksum_cases);
    RUN(checksum_data_cases);
    printf("%d bad files\n", n_cases);
    return test_finish();
}
