/* Opens the tokenizer of any file that holds one, told apart by its first bytes: one row for each format. */
#include <string.h>

#include "formats/gguf.h"

static bool is_gguf(const char *path, const uint8_t *bytes, size_t size) {
    (void)path;
    return size >= 4 && memcmp(bytes, "GGUF", 4) == 0;
}

static mote_status open_gguf(const char *path, mote_tokenizer **tokenizer, mote_error *error) {
    mote_gguf file;
    mote_status status = mote_gguf_open(path, &file, error);
    if (status == MOTE_OK) status = mote_gguf_get_tokenizer(&file, tokenizer, error);
    if (status == MOTE_OK && !*tokenizer) status = mote_fail(error, MOTE_BAD_FILE, "%s: holds no tokenizer", path);
    mote_gguf_close(&file);
    return status;
}

static const struct {
    bool (*is)(const char *path, const uint8_t *bytes, size_t size);
    mote_status (*open)(const char *path, mote_tokenizer **tokenizer, mote_error *error);
} formats[] = {
    {is_gguf, open_gguf},
};

mote_status mote_tokenizer_open(const char *path, mote_tokenizer **tokenizer, mote_error *error) {
    *tokenizer = NULL;
    mote_map map;
    mote_status status = mote_map_open(path, &map, error);
    if (status) return status;
    size_t i = 0, n = sizeof formats / sizeof *formats;
    while (i < n && !formats[i].is(path, map.bytes, map.size)) i++;
    mote_map_close(&map);
    if (i < n) return formats[i].open(path, tokenizer, error);
    return mote_fail(error, MOTE_BAD_FILE, "%s: no file with a tokenizer that mote knows (GGUF)", path);
}
