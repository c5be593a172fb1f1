/* Opens the tokenizer of any file that holds one, told apart by its first bytes: one row for each format. A folder is
 * that of its tokenizer.json. */
#include <string.h>
#include <sys/stat.h>

#include "base/files.h"
#include "formats/formats.h"
#include "formats/gguf.h"
#include "formats/huggingface.h"
#include "formats/tokenizer_json.h"

static const char known[] = "a tokenizer is in a GGUF file, tokenizer.json or the Hugging Face folder with it, or "
                            "tokenizer.bin of llama2.c";

static bool is_gguf(const char *path, const uint8_t *bytes, size_t size) {
    (void)path;
    return size >= 4 && memcmp(bytes, "GGUF", 4) == 0;
}

static mote_status open_gguf(const char *path, mote_tokenizer **tokenizer, mote_error *error) {
    mote_gguf file;
    mote_status status = mote_gguf_open(path, &file, error);
    if (status == MOTE_OK) status = mote_gguf_get_tokenizer(&file, tokenizer, error);
    if (status == MOTE_OK && !*tokenizer) {
        mote_fail(error, MOTE_BAD_FILE, "%s: holds no tokenizer", path);
        status = mote_hint(error, MOTE_BAD_FILE, "%s", known);
    }
    mote_gguf_close(&file);
    return status;
}

static bool is_json(const char *path, const uint8_t *bytes, size_t size) {
    (void)path;
    size_t at = 0;
    while (at < size && (bytes[at] == ' ' || (bytes[at] >= '\t' && bytes[at] <= '\r'))) at++;
    return at < size && bytes[at] == '{';
}

/* Hugging Face's tokenizer.json, and what tokenizer_config.json beside it adds, where there is one. */
static mote_status open_json(const char *path, mote_tokenizer **tokenizer, mote_error *error) {
    static const char beside[] = "tokenizer_config.json";
    mote_map map, more;
    mote_arena arena = {0};
    mote_tokenizer_config config = mote_tokenizer_config_none();
    mote_status status = mote_map_open(path, &map, error);
    if (status) return status;
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
    char *other = mote_allocate(folder + sizeof beside);
    if (!other) status = mote_fail_memory(error, path, folder + sizeof beside);
    else {
        memcpy(other, path, folder);
        memcpy(other + folder, beside, sizeof beside);
        if (mote_map_open(other, &more, NULL) == MOTE_OK) {
            status = mote_tokenizer_config_read(more.bytes, more.size, other, &arena, &config, error);
            mote_map_close(&more);
        }
    }
    if (!status) status = mote_tokenizer_json_read_with(map.bytes, map.size, path, &config, tokenizer, error);
    mote_release(other);
    mote_arena_deinit(&arena);
    mote_map_close(&map);
    return status;
}

static bool is_bin(const char *path, const uint8_t *bytes, size_t size) {
    (void)path;
    return mote_tokenizer_bin_matches(bytes, size);
}

static mote_status open_bin(const char *path, mote_tokenizer **tokenizer, mote_error *error) {
    mote_map map;
    mote_status status = mote_map_open(path, &map, error);
    if (status == MOTE_OK) status = mote_tokenizer_bin_parse(map.bytes, map.size, path, tokenizer, error);
    mote_map_close(&map);
    return status;
}

static const struct {
    bool (*is)(const char *path, const uint8_t *bytes, size_t size);
    mote_status (*open)(const char *path, mote_tokenizer **tokenizer, mote_error *error);
    bool sure; /* what begins so is nothing else: one that cannot be read is damaged */
} formats[] = {
    {is_gguf, open_gguf, true},
    {is_json, open_json, false},
    {is_bin, open_bin, false},
};

static mote_status open_file(const char *path, mote_tokenizer **tokenizer, mote_error *error) {
    mote_map map;
    mote_status status = mote_map_open(path, &map, error);
    if (status) return status;
    size_t i = 0, n = sizeof formats / sizeof *formats;
    while (i < n && !formats[i].is(path, map.bytes, map.size)) i++;
    mote_map_close(&map);
    if (i < n) {
        status = formats[i].open(path, tokenizer, error);
        const bool other = status == MOTE_BAD_FILE && !formats[i].sure;
        return other && error && !*error->hint ? mote_hint(error, status, "%s", known) : status;
    }
    mote_fail(error, MOTE_BAD_FILE, "%s holds no tokenizer that mote knows", path);
    return mote_hint(error, MOTE_BAD_FILE, "%s", known);
}

mote_status mote_tokenizer_open(const char *path, mote_tokenizer **tokenizer, mote_error *error) {
    char *inside = NULL;
    *tokenizer = NULL;
    if (!mote_is_folder(path)) return open_file(path, tokenizer, error);
    mote_status status = mote_huggingface_path(path, "tokenizer.json", &inside, error);
    if (status) return status;
    struct stat about;
    if (!stat(inside, &about)) status = open_file(inside, tokenizer, error);
    else {
        mote_fail(error, MOTE_BAD_FILE, "%s is a folder without a tokenizer.json", path);
        status = mote_hint(error, MOTE_BAD_FILE, "%s", known);
    }
    mote_release(inside);
    return status;
}
