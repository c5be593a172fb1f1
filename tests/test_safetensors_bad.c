/* Hand-made bad safetensors files and indexes of shards: each must end in MOTE_BAD_FILE with a message that names the
 * file and says what is wrong; then every prefix and every single flipped bit of a good one. Cases that befell other
 * readers name what they are the regression of. */
#include <unistd.h>

#include "safetensors_bytes.h"
#include "test.h"

static int n_cases;

static void bad_bytes(const char *name, file_bytes b, const char *word) {
    mote_error error = {0};
    mote_safetensors file;
    mote_status status = mote_safetensors_parse(b.bytes, b.size, "case.safetensors", &file, &error);
    n_cases++;
    CHECK(status == MOTE_BAD_FILE && error.status == MOTE_BAD_FILE, "%s: status %d", name, (int)status);
    CHECK(strstr(error.message, word) && strstr(error.message, "case.safetensors"), "%s: '%s' lacks '%s'", name,
          error.message, word);
    mote_safetensors_close(&file);
    free(b.bytes);
}

static void bad(const char *name, const char *header, size_t data_bytes, const char *word) {
    bad_bytes(name, file_of(header, data_bytes), word);
}

static void good(const char *name, file_bytes b, size_t n_tensors) {
    mote_error error = {0};
    mote_safetensors file;
    CHECK(mote_safetensors_parse(b.bytes, b.size, "case.safetensors", &file, &error) == MOTE_OK, "%s: %s", name,
          error.message);
    CHECK(file.n_tensors == n_tensors, "%s", name);
    mote_safetensors_close(&file);
    free(b.bytes);
}

#define TENSOR(name, dtype, shape, begin, end)                                                                         \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static void lengths(void) {
    bad_bytes("empty file", (file_bytes){calloc(1, 1), 0}, "0 bytes");
    bad_bytes("4-byte file (CVE-2024-39720)", (file_bytes){calloc(1, 4), 4}, "takes 8");
    bad_bytes("7-byte file", (file_bytes){calloc(1, 7), 7}, "takes 8");
    bad_bytes("8-byte file (tensorflow #115308)", (file_bytes){calloc(1, 8), 8}, "begin with '{'");
    bad_bytes("no header", raw_file(0, "", 0, 16), "begin with '{'");
    bad_bytes("a header of 2^64 - 1 bytes (CVE-2024-23496)", raw_file(UINT64_MAX, "{}", 2, 0), "header of");
    bad_bytes("a length that wraps with its own 8 bytes (CVE-2025-53630)", raw_file(UINT64_MAX - 7, "{}", 2, 16),
              "header of");
    bad_bytes("a header above the reference's limit", raw_file(100000001, "{}", 2, 0), "header of");
    bad_bytes("a 43-byte file asks for 100 MB (gguf-py PR #27188)", raw_file(100000000, "{}", 2, 33), "ends inside");
    bad_bytes("a header one byte longer than the file", raw_file(3, "{}", 2, 0), "ends inside");
    bad_bytes("a header cut by one byte", raw_file(1, "{}", 2, 0), "not JSON");
    bad_bytes("a length of 2^32 + 2 (mlx #4244: 32 bits kept)", raw_file(((uint64_t)1 << 32) + 2, "{}", 2, 0),
              "header of");
    good("no tensors", file_of("{}", 0), 0);
    good("padded with spaces", file_of("{}      ", 0), 0);
}

static void json(void) {
    bad("a space first", " {}", 0, "begin with '{'");
    bad("an array", "[]", 0, "begin with '{'");
    bad("not closed", "{", 0, "not JSON");
    bad("two objects", "{}{}", 0, "not JSON");
    bad("a NUL behind the object", "{}\001", 0, "not JSON");
    bad_bytes("padded with zeros", raw_file(4, "{}\0\0", 4, 0), "not JSON");
    bad("a comma too many", "{" TENSOR("a", "U8", "[1]", "0", "1") ",}", 1, "not JSON");
    bad("a key without quotes", "{a:1}", 0, "not JSON");
    bad("single quotes", "{'a':{}}", 0, "not JSON");
    bad("a comment", "{/* */}", 0, "not JSON");
    bad("not UTF-8 in a name", "{" TENSOR("\xff", "U8", "[1]", "0", "1") "}", 1, "UTF-8");
    bad("an overlong form in a name", "{" TENSOR("\xc0\xaf", "U8", "[1]", "0", "1") "}", 1, "UTF-8");
    bad("half a surrogate pair", "{" TENSOR("\\ud800", "U8", "[1]", "0", "1") "}", 1, "surrogate");
    bad("a control character in a name", "{" TENSOR("a\001", "U8", "[1]", "0", "1") "}", 1, "control");
    char deep[4096] = "{\"a\":";
    for (size_t i = 0; i < 2000; i++) strcat(deep, "[");
    bad("60k nested groups (llama.cpp #26600)", deep, 0, "not described by an object");
    strcpy(deep, "{\"a\":{\"shape\":");
    for (size_t i = 0; i < 2000; i++) strcat(deep, "[");
    bad("nested in a shape", deep, 0, "shape");
    bad("an unknown escape", "{\"\\x\":1}", 0, "escape");
    bad("ends in a string", "{\"a", 0, "string");
}

static void descriptions(void) {
    bad("a tensor that is a number", "{\"a\":1}", 0, "tensor 'a'");
    bad("a tensor that is null", "{\"a\":null}", 0, "tensor 'a'");
    bad("an empty description", "{\"a\":{}}", 0, "lacks one of");
    bad("no dtype", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "lacks one of");
    bad("no shape", "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "lacks one of");
    bad("no data_offsets", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "lacks one of");
    bad("a key of its own", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"strides\":[1]}}", 1,
        "other than");
    bad("dtype twice", "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "twice");
    bad("shape twice", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "twice");
    bad("data_offsets twice", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"data_offsets\":[0,1]}}",
        1, "twice");
    bad("a dtype that is a number", "{\"a\":{\"dtype\":1,\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "dtype is not");
    bad("an unknown dtype", "{" TENSOR("a", "F12", "[1]", "0", "1") "}", 1, "F12");
    bad("F4, half a byte", "{" TENSOR("a", "F4", "[2]", "0", "1") "}", 1, "F4");
    bad("F6_E2M3", "{" TENSOR("a", "F6_E2M3", "[4]", "0", "3") "}", 3, "F6_E2M3");
    bad("F8_E8M0", "{" TENSOR("a", "F8_E8M0", "[1]", "0", "1") "}", 1, "F8_E8M0");
    bad("C64", "{" TENSOR("a", "C64", "[1]", "0", "8") "}", 8, "C64");
    bad("a dtype in small letters", "{" TENSOR("a", "f32", "[1]", "0", "4") "}", 4, "f32");
    bad("a dtype with a NUL byte", "{" TENSOR("a", "U8\\u0000", "[1]", "0", "1") "}", 1, "U8?");
    good("every dtype that has whole bytes",
         file_of("{" TENSOR("a", "BOOL", "[1]", "0", "1") "," TENSOR("b", "I64", "[1]", "1", "9") ","
                 TENSOR("c", "F8_E4M3", "[1]", "9", "10") "," TENSOR("d", "F64", "[]", "10", "18") "}", 18), 4);
}

static void shapes(void) {
    bad("a shape that is a number", "{" TENSOR("a", "U8", "1", "0", "1") "}", 1, "shape is not");
    bad("a negative size (llama.cpp PR #25969)", "{" TENSOR("a", "U8", "[-1]", "0", "1") "}", 1, "shape is not");
    bad("a size that is no whole number", "{" TENSOR("a", "U8", "[1.5]", "0", "1") "}", 1, "shape is not");
    bad("a size with an exponent", "{" TENSOR("a", "U8", "[1e0]", "0", "1") "}", 1, "shape is not");
    bad("a size that is a string", "{" TENSOR("a", "U8", "[\"1\"]", "0", "1") "}", 1, "shape is not");
    bad("a size of 2^64", "{" TENSOR("a", "U8", "[18446744073709551616]", "0", "1") "}", 1, "shape is not");
    bad("nine dimensions (CVE-2024-21802)", "{" TENSOR("a", "U8", "[1,1,1,1,1,1,1,1,1]", "0", "1") "}", 1,
        "8 dimensions");
    bad("sizes that wrap to 0 (CVE-2026-33298)", "{" TENSOR("a", "F32", "[4294967296,4294967296]", "0", "0") "}", 0,
        "larger than any");
    bad("bytes that wrap (CVE-2026-27940)", "{" TENSOR("a", "F64", "[2305843009213693952]", "0", "0") "}", 0,
        "larger than any");
    bad("wraps although a size is 0 (CVE-2026-7482)",
        "{" TENSOR("a", "F32", "[9223372036854775807,4,0]", "0", "0") "}", 0, "larger than any");
    bad("a size truncated to 32 bits fits (CVE-2026-53923)", "{" TENSOR("a", "U8", "[4294967297]", "0", "1") "}", 1,
        "do not hold");
    bad("data larger than the shape", "{" TENSOR("a", "F32", "[1]", "0", "8") "}", 8, "do not hold");
    bad("data smaller than the shape", "{" TENSOR("a", "F32", "[2]", "0", "4") "}", 4, "do not hold");
    bad("a scalar of two values", "{" TENSOR("a", "F32", "[]", "0", "8") "}", 8, "do not hold");
    bad("no values, some bytes", "{" TENSOR("a", "F32", "[0]", "0", "4") "}", 4, "do not hold");
    good("a scalar", file_of("{" TENSOR("a", "F32", "[]", "0", "4") "}", 4), 1);
    good("no values", file_of("{" TENSOR("a", "F32", "[3,0]", "0", "0") "," TENSOR("b", "U8", "[1]", "0", "1") "}", 1),
         2);
}

static void ranges(void) {
    bad("one offset", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, "not two");
    bad("three offsets", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,1]}}", 1, "more than two");
    bad("a negative offset", "{" TENSOR("a", "U8", "[1]", "-1", "0") "}", 1, "data_offsets");
    bad("offsets backwards", "{" TENSOR("a", "U8", "[1]", "1", "0") "}", 1, "before it begins");
    bad("beyond the end of the file (CVE-2026-7482: heap read)", "{" TENSOR("a", "U8", "[2]", "0", "2") "}", 1,
        "beyond the end");
    bad("far beyond the end", "{" TENSOR("a", "U8", "[1]", "9223372036854775806", "9223372036854775807") "}", 1,
        "beyond the end");
    bad("the same bytes twice", "{" TENSOR("a", "U8", "[1]", "0", "1") "," TENSOR("b", "U8", "[1]", "0", "1") "}", 1,
        "overlap");
    bad("overlap by a byte", "{" TENSOR("a", "U8", "[2]", "0", "2") "," TENSOR("b", "U8", "[2]", "1", "3") "}", 3,
        "overlap");
    bad("one inside the other", "{" TENSOR("a", "U8", "[4]", "0", "4") "," TENSOR("b", "U8", "[1]", "1", "2") "}", 4,
        "overlap");
    bad("a hole (polyglot files)", "{" TENSOR("a", "U8", "[1]", "0", "1") "," TENSOR("b", "U8", "[1]", "2", "3") "}", 3,
        "bytes 1 to 2");
    bad("a hole at the start", "{" TENSOR("a", "U8", "[1]", "1", "2") "}", 2, "bytes 0 to 1");
    bad("bytes behind the last tensor (polyglot files)", "{" TENSOR("a", "U8", "[1]", "0", "1") "}", 2, "last 1 bytes");
    bad("data and no tensors", "{}", 5, "last 5 bytes");
    good("in any order", file_of("{" TENSOR("b", "U8", "[1]", "1", "2") "," TENSOR("a", "U8", "[1]", "0", "1") "}", 2),
         2);
}

static void names(void) {
    bad("a name twice", "{" TENSOR("a", "U8", "[1]", "0", "1") "," TENSOR("a", "U8", "[1]", "1", "2") "}", 2, "twice");
    bad("a name twice, once escaped",
        "{" TENSOR("a", "U8", "[1]", "0", "1") "," TENSOR("\\u0061", "U8", "[1]", "1", "2") "}", 2, "twice");
    bad("a name twice, without values", "{" TENSOR("a", "U8", "[0]", "0", "0") "," TENSOR("a", "U8", "[0]", "0", "0")
        "}", 0, "twice");
    bad("metadata that is a string", "{\"__metadata__\":\"x\"}", 0, "__metadata__");
    bad("metadata with a number", "{\"__metadata__\":{\"a\":1}}", 0, "__metadata__");
    bad("metadata with an object", "{\"__metadata__\":{\"a\":{}}}", 0, "__metadata__");
    bad("metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__ twice");
    bad("a metadata key twice", "{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "occurs twice");
    good("names that only look alike",
         file_of("{" TENSOR("a", "U8", "[1]", "0", "1") "," TENSOR("a\\u0000", "U8", "[1]", "1", "2") ","
                 TENSOR("", "U8", "[1]", "2", "3") "}", 3), 3);
    good("metadata", file_of("{\"__metadata__\":{\"format\":\"pt\",\"b\":\"\"}}", 0), 0);
}

/* A hundred thousand tensors in a header (Trail of Bits' audit): refused before more is read. */
static void too_many_tensors(void) {
    size_t n = 100000, at = 0, capacity = n * 80;
    char *header = malloc(capacity);
    header[at++] = '{';
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(header + at, capacity - at, "%s\"%zu\":{\"dtype\":\"U8\",\"shape\":[0],"
                               "\"data_offsets\":[0,0]}", i ? "," : "", i);
    header[at++] = '}';
    bad_bytes("100000 tensors", raw_file(at, header, at, 0), "65536");
    free(header);
}

/* ---- shards */

static void bad_index(const char *name, const char *text, const char *word) {
    mote_error error = {0};
    mote_safetensors_index index;
    mote_status status =
        mote_safetensors_index_parse((const uint8_t *)text, strlen(text), "case.index.json", &index, &error);
    n_cases++;
    CHECK(status == MOTE_BAD_FILE && strstr(error.message, word) && strstr(error.message, "case.index.json"),
          "%s: %d '%s' lacks '%s'", name, (int)status, error.message, word);
    mote_safetensors_index_close(&index);
}

static void indexes(void) {
    bad_index("empty", "", "not JSON");
    bad_index("an array", "[]", "not a JSON object");
    bad_index("no weight_map", "{\"metadata\":{\"total_size\":1}}", "no tensors");
    bad_index("an empty weight_map", "{\"weight_map\":{}}", "no tensors");
    bad_index("two weight_maps", "{\"weight_map\":{\"a\":\"b\"},\"weight_map\":{\"a\":\"b\"}}", "twice");
    bad_index("a weight_map that is an array", "{\"weight_map\":[]}", "not an object");
    bad_index("a file that is a number", "{\"weight_map\":{\"a\":1}}", "file name");
    bad_index("a tensor twice", "{\"weight_map\":{\"a\":\"b\",\"a\":\"c\"}}", "twice");
    bad_index("an absolute path", "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "same folder");
    bad_index("a path upwards", "{\"weight_map\":{\"a\":\"../b.safetensors\"}}", "same folder");
    bad_index("a path downwards", "{\"weight_map\":{\"a\":\"b/c.safetensors\"}}", "same folder");
    bad_index("a path of Windows", "{\"weight_map\":{\"a\":\"..\\\\b\"}}", "same folder");
    bad_index("the folder itself", "{\"weight_map\":{\"a\":\".\"}}", "same folder");
    bad_index("no name", "{\"weight_map\":{\"a\":\"\"}}", "same folder");
    bad_index("a name cut by a NUL byte", "{\"weight_map\":{\"a\":\"b\\u0000/../c\"}}", "same folder");
    bad_index("cut short", "{\"weight_map\":{\"a\":\"b\"", "not JSON");
    bad_index("more behind it", "{\"weight_map\":{\"a\":\"b\"}} {}", "not JSON");
}

/* ---- every prefix, every bit */

static file_bytes small_file(void) {
    return file_of("{\"__metadata__\":{\"format\":\"pt\"}," TENSOR("a.weight", "F32", "[2,3]", "0", "24") ","
                   TENSOR("b", "BF16", "[4]", "24", "32") "," TENSOR("c", "I8", "[]", "32", "33") "}   ", 33);
}

static void prefixes_and_flips(void) {
    file_bytes whole = small_file();
    int wrong = 0, read = 0;
    mote_safetensors file;
    for (size_t n = 0; n < whole.size; n++) {
        uint8_t *cut = malloc(n ? n : 1); /* exact, so that a read past the end is a read past a heap block */
        memcpy(cut, whole.bytes, n);
        mote_error error = {0};
        if (mote_safetensors_parse(cut, n, "cut", &file, &error) != MOTE_BAD_FILE || !error.message[0]) wrong++;
        mote_safetensors_close(&file);
        free(cut);
    }
    CHECK(wrong == 0, "%d prefixes", wrong);
    for (size_t bit = 0; bit < 8 * whole.size; bit++) {
        whole.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        mote_error error = {0};
        mote_status status = mote_safetensors_parse(whole.bytes, whole.size, "flipped", &file, &error);
        wrong += status != MOTE_OK && (status != MOTE_BAD_FILE || !error.message[0]);
        read += status == MOTE_OK;
        for (size_t i = 0; status == MOTE_OK && i < file.n_tensors; i++)
            wrong += file.tensors[i].data + (file.tensors[i].end - file.tensors[i].begin) > whole.bytes + whole.size;
        mote_safetensors_close(&file);
        whole.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    CHECK(wrong == 0, "%d flips", wrong);
    /* a flip in the data or in a name is still a file of this format: it has no checksums */
    CHECK(read >= 33 * 8 && read < 33 * 8 + 200, "%d flips still read", read);
    free(whole.bytes);
}

static void there_are_enough_cases(void) { CHECK(n_cases >= 70, "%d", n_cases); }

int main(void) {
    RUN(lengths);
    RUN(json);
    RUN(descriptions);
    RUN(shapes);
    RUN(ranges);
    RUN(names);
    RUN(too_many_tensors);
    RUN(indexes);
    RUN(prefixes_and_flips);
    RUN(there_are_enough_cases);
    return test_finish();
}
