/* safetensors: what is written reads back and is the reference's bytes; shards are joined and held against their index;
 * a failed write leaves the old file; memory that runs out is an error and leaks nothing. */
#include <sys/stat.h>
#include <unistd.h>

#include "failing_memory.h"
#include "safetensors_bytes.h"
#include "test.h"

#define FOLDER "build/test_safetensors"
#define PATH FOLDER "/model.safetensors"
#define INDEX FOLDER "/model.safetensors.index.json"

static void put(const char *path, const void *bytes, size_t n) {
    FILE *file = fopen(path, "wb");
    CHECK(file && fwrite(bytes, 1, n, file) == n && fclose(file) == 0, "%s", path);
}

static void put_text(const char *path, const char *text) { put(path, text, strlen(text)); }

static void clear(void) {
    char **names = NULL, path[512];
    size_t n = 0;
    mkdir("build", 0777);
    if (mkdir(FOLDER, 0777) != 0 && mote_folder_list(FOLDER, &names, &n, NULL) == MOTE_OK)
        for (size_t i = 0; i < n; i++) {
            snprintf(path, sizeof path, "%s/%s", FOLDER, names[i]);
            unlink(path);
        }
    mote_release(names);
}

/* Byte i of item k is 16 k + i; in pieces of 5. */
static mote_status source(void *context, const mote_safetensors_item *item, mote_writer *w, mote_error *error) {
    int missing = *(int *)context;
    size_t bytes = mote_safetensors_dtype_bytes(item->dtype);
    for (int i = 0; i < item->n_dims; i++) bytes *= (size_t)item->dims[i];
    if (item->id == missing) return mote_fail(error, MOTE_IO, "%s cannot be had", item->name);
    if (item->id == missing - 100) bytes--;
    for (size_t i = 0; i < bytes;) {
        uint8_t piece[5];
        size_t n = 0;
        while (n < sizeof piece && i < bytes) piece[n++] = (uint8_t)(16 * item->id + (int)i++);
        mote_writer_write(w, piece, n);
    }
    return MOTE_OK;
}

static mote_status write_items(int missing, mote_error *error) {
    mote_safetensors_item items[] = {
        {.name = "b", .dtype = MOTE_SAFETENSORS_U8, .n_dims = 1, .dims = {3}, .id = 0},
        {.name = "a", .dtype = MOTE_SAFETENSORS_I8, .n_dims = 2, .dims = {1, 2}, .id = 1},
        {.name = "z", .dtype = MOTE_SAFETENSORS_F32, .n_dims = 1, .dims = {1}, .id = 2},
        {.name = "y\"", .dtype = MOTE_SAFETENSORS_F32, .n_dims = 0, .id = 3},
        {.name = "h", .dtype = MOTE_SAFETENSORS_F16, .n_dims = 2, .dims = {0, 4}, .id = 4},
        {.name = "g", .dtype = MOTE_SAFETENSORS_BF16, .n_dims = 1, .dims = {2}, .id = 5},
    };
    return mote_safetensors_write(PATH, items, sizeof items / sizeof *items, source, &missing, error);
}

static void written_as_the_reference_does(void) {
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"y\\\"\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
        "\"z\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]},"
        "\"g\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[8,12]},"
        "\"h\":{\"dtype\":\"F16\",\"shape\":[0,4],\"data_offsets\":[12,12]},"
        "\"a\":{\"dtype\":\"I8\",\"shape\":[1,2],\"data_offsets\":[12,14]},"
        "\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[14,17]}}";
    static const uint8_t data[] = {48, 49, 50, 51, 32, 33, 34, 35, 80, 81, 82, 83, 16, 17, 0, 1, 2};
    mote_error error = {0};
    mote_safetensors file;
    clear();
    CHECK(write_items(-1, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_safetensors_open(PATH, &file, &error) == MOTE_OK, "%s", error.message);
    size_t padded = (sizeof header - 1 + 7) / 8 * 8;
    CHECK(file.map.size == 8 + padded + sizeof data && file.map.bytes[0] == (padded & 255), "%zu", file.map.size);
    CHECK(memcmp(file.map.bytes + 8, header, sizeof header - 1) == 0, "%.*s", (int)padded,
          (const char *)file.map.bytes + 8);
    for (size_t i = sizeof header - 1; i < padded; i++) CHECK(file.map.bytes[8 + i] == ' ');
    CHECK(memcmp(file.map.bytes + 8 + padded, data, sizeof data) == 0);
    const mote_safetensor *g = mote_safetensors_find(&file, "g");
    CHECK(g && g->dtype == MOTE_SAFETENSORS_BF16 && g->n_dims == 1 && g->dims[0] == 2 && g->data[0] == 80);
    CHECK(mote_safetensors_find(&file, "y\"") && !mote_safetensors_find(&file, "y") &&
          !mote_safetensors_find(&file, ""));
    mote_safetensors_close(&file);
}

static void failed_write_leaves_the_old_file(void) {
    mote_error error = {0};
    clear();
    put_text(PATH, "old");
    CHECK(write_items(2, &error) == MOTE_IO && strstr(error.message, "cannot be had"), "%s", error.message);
    CHECK(write_items(102, &error) == MOTE_FAILED && strstr(error.message, "'z' has 3 bytes"), "%s", error.message);
    struct stat about;
    char **names = NULL;
    size_t n = 0;
    CHECK(stat(PATH, &about) == 0 && about.st_size == 3);
    CHECK(mote_folder_list(FOLDER, &names, &n, NULL) == MOTE_OK && n == 1, "a temporary file is left");
    mote_release(names);
    mote_safetensors_item large = {.name = "x", .dtype = MOTE_SAFETENSORS_F64, .n_dims = 2, .dims = {1ull << 62, 2}};
    CHECK(mote_safetensors_write(PATH, &large, 1, source, &n, &error) == MOTE_USAGE, "%s", error.message);
}

/* ---- shards */

#define ONE(name, size, end) "{\"" name "\":{\"dtype\":\"U8\",\"shape\":[" size "],\"data_offsets\":[0," end "]}}"

static void put_shard(const char *name, const char *header, size_t data) {
    char path[128];
    file_bytes b = file_of(header, data);
    snprintf(path, sizeof path, "%s/%s", FOLDER, name);
    put(path, b.bytes, b.size);
    free(b.bytes);
}

static mote_status open_set(mote_safetensors_set *set, mote_error *error) {
    mote_status status = mote_safetensors_set_open(FOLDER, set, error);
    if (status != MOTE_OK) mote_safetensors_set_close(set);
    return status;
}

static void shards_are_joined(void) {
    mote_safetensors_set set;
    mote_error error = {0};
    clear();
    put_shard("m-1.safetensors", ONE("a", "2", "2"), 2);
    put_shard("m-2.safetensors", ONE("b", "3", "3"), 3);
    put_text(INDEX, "{\"metadata\":{\"total_size\":99,\"deep\":[{}]},"
                    "\"weight_map\":{\"b\":\"m-2.safetensors\",\"a\":\"m-1.safetensors\"}}");
    CHECK(open_set(&set, &error) == MOTE_OK && set.n_files == 2, "%s", error.message);
    const mote_safetensors *file = NULL;
    const mote_safetensor *b = mote_safetensors_set_find(&set, "b", &file);
    CHECK(b && b->dims[0] == 3 && b->data[2] == 3 && file == &set.files[1]);
    CHECK(!mote_safetensors_set_find(&set, "c", NULL));
    mote_safetensors_set_close(&set);
    put_shard("model.safetensors", ONE("whole", "1", "1"), 1); /* goes before the index, as in transformers */
    CHECK(open_set(&set, &error) == MOTE_OK && set.n_files == 1 && mote_safetensors_set_find(&set, "whole", NULL));
    mote_safetensors_set_close(&set);
}

static void shards_are_what_the_index_says(void) {
    static const struct { const char *map, *word; } cases[] = {
        {"{\"a\":\"m-1.safetensors\"}", NULL},
        {"{\"a\":\"m-1.safetensors\",\"c\":\"m-1.safetensors\"}", "'c'"},
        {"{\"c\":\"m-1.safetensors\"}", "'a' is not one"},
        {"{\"b\":\"m-1.safetensors\",\"a\":\"m-2.safetensors\"}", "'a' is not one"},
        {"{\"a\":\"gone.safetensors\"}", "gone.safetensors"},
        {"{\"a\":\"bad.safetensors\"}", "bad.safetensors"},
    };
    char text[256];
    clear();
    put_shard("m-1.safetensors", ONE("a", "2", "2"), 2);
    put_shard("m-2.safetensors", ONE("b", "3", "3"), 3);
    put_text(FOLDER "/bad.safetensors", "not one");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mote_safetensors_set set;
        mote_error error = {0};
        snprintf(text, sizeof text, "{\"weight_map\":%s}", cases[i].map);
        put_text(INDEX, text);
        mote_status status = open_set(&set, &error);
        if (!cases[i].word) {
            CHECK(status == MOTE_OK, "%s", error.message);
            mote_safetensors_set_close(&set);
        } else {
            CHECK(status == MOTE_BAD_FILE && strstr(error.message, cases[i].word), "%zu: %d %s", i, (int)status,
                  error.message);
        }
    }
    clear();
    mote_safetensors_set set;
    mote_error error = {0};
    CHECK(open_set(&set, &error) == MOTE_BAD_FILE && strstr(error.message, "neither") && error.hint[0]);
}

static void memory_runs_out(void) {
    clear();
    put_shard("m-1.safetensors", ONE("a", "2", "2"), 2);
    put_shard("m-2.safetensors", ONE("b", "3", "3"), 3);
    put_text(INDEX, "{\"weight_map\":{\"b\":\"m-2.safetensors\",\"a\":\"m-1.safetensors\"}}");
    failing_memory_begin();
    bool failed = true;
    for (int k = 0; failed && k < 1000; k++) {
        mote_safetensors_set set;
        mote_error error = {0};
        failing_memory_fail_at(k);
        mote_status status = mote_safetensors_set_open(FOLDER, &set, &error);
        failed = failing_memory_failed();
        CHECK(status == (failed ? MOTE_MEMORY : MOTE_OK), "reading, allocation %d: %d %s", k, (int)status,
              error.message);
        mote_safetensors_set_close(&set);
        CHECK(failing_memory_live() == 0, "reading, allocation %d leaks", k);
    }
    failed = true;
    for (int k = 0; failed && k < 1000; k++) {
        mote_error error = {0};
        failing_memory_fail_at(k);
        mote_status status = write_items(-1, &error);
        failed = failing_memory_failed();
        CHECK(status == (failed ? MOTE_MEMORY : MOTE_OK), "writing, allocation %d: %d %s", k, (int)status,
              error.message);
        CHECK(failing_memory_live() == 0, "writing, allocation %d leaks", k);
    }
    failing_memory_end();
}

int main(void) {
    RUN(written_as_the_reference_does);
    RUN(failed_write_leaves_the_old_file);
    RUN(shards_are_joined);
    RUN(shards_are_what_the_index_says);
    RUN(memory_runs_out);
    clear();
    rmdir(FOLDER);
    return test_finish();
}
