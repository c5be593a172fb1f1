/* How a text begins: a prompt out of it is one that the model has seen the like of. */
#include "train_output.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/json.h"

/* Words of one line; so that a shell takes them and a terminal shows them, control characters end them. */
static void take_words(const char *text, size_t n, char words[FIRST_WORDS]) {
    enum { MOST = 20 };
    size_t at = 0, end = 0, word = 0;
    *words = 0;
    if (n >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3)) at = 3;
    while (at < n && strchr(" \t\r\n", text[at]) && text[at]) at++;
    const char *from = text + at;
    size_t left = n - at;
    for (int i = 0; i < MOST + 1; i++) {
        int length = end < left ? mote_utf8_length(from + end, left - end) : 0;
        if (length == 0 || (length == 1 && ((unsigned char)from[end] < 0x20 || from[end] == 0x7f))) {
            word = end;
            break;
        }
        if (from[end] == ' ' && end && from[end - 1] != ' ') word = end;
        if (i == MOST) break; /* the 21st only tells whether the 20th ended a word */
        end += (size_t)length;
    }
    if (!word) word = end;
    while (word && from[word - 1] == ' ') word--;
    snprintf(words, FIRST_WORDS, "%.*s", (int)word, from);
}

static enum text_kind read_record(const char *line, size_t n, char words[FIRST_WORDS]) {
    enum text_kind found = TEXT_DOCUMENTS;
    char key[16];
    mote_json json;
    mote_json_kind kind;
    mote_json_init(&json, line, n);
    bool ok = mote_json_next(&json) == MOTE_JSON_OBJECT;
    while (ok && (kind = mote_json_next(&json)) == MOTE_JSON_KEY) {
        snprintf(key, sizeof key, "%s", json.string.bytes ? json.string.bytes : "");
        if (!strcmp(key, "messages")) found = TEXT_CHAT;
        kind = mote_json_next(&json);
        if (kind == MOTE_JSON_STRING && (!strcmp(key, "text") || !strcmp(key, "prompt"))) {
            if (json.string.size) take_words(json.string.bytes, json.string.size, words);
        } else ok = mote_json_skip(&json, kind);
    }
    mote_json_deinit(&json);
    return found;
}

/* Bytes of the beginning of a text; 0 for what the corpus passes over in a folder. */
static size_t read_begin(const char *path, char *begin, size_t most) {
    const char *dot = strrchr(path, '.');
    struct stat info;
    if (dot && (!strcasecmp(dot, ".gguf") || !strcasecmp(dot, ".checkpoint"))) return 0;
    FILE *file = stat(path, &info) || !S_ISREG(info.st_mode) ? NULL : fopen(path, "rb");
    if (!file) return 0;
    size_t n = fread(begin, 1, most, file);
    fclose(file);
    return memchr(begin, 0, n) ? 0 : n;
}

static int is_visible(const struct dirent *entry) { return entry->d_name[0] != '.'; }

/* The first text of a folder, in the order of the corpus; false: none lies in it directly. */
static bool find_in_folder(const char *folder, char *path, size_t size) {
    struct dirent **entries;
    int n = scandir(folder, &entries, is_visible, alphasort);
    char begin[4096];
    bool found = false;
    for (int i = 0; i < n; i++) {
        if (!found && snprintf(path, size, "%s/%s", folder, entries[i]->d_name) < (int)size)
            found = read_begin(path, begin, sizeof begin) > 0;
        free(entries[i]);
    }
    if (n >= 0) free(entries);
    return found;
}

enum text_kind find_first_words(const char *path, char words[FIRST_WORDS]) {
    char inside[1024], begin[1 << 14];
    struct stat info;
    enum text_kind kind = TEXT_PLAIN;
    *words = 0;
    if (!strcmp(path, "-")) path = "/dev/stdin"; /* a file behind it opens from its beginning; a pipe is read */
    if (!stat(path, &info) && S_ISDIR(info.st_mode)) {
        kind = TEXT_DOCUMENTS;
        if (!find_in_folder(path, inside, sizeof inside)) return kind;
        path = inside;
    }
    size_t n = read_begin(path, begin, sizeof begin), length = strlen(path);
    if (length <= 6 || strcasecmp(path + length - 6, ".jsonl")) {
        take_words(begin, n, words);
        return kind;
    }
    size_t from = n >= 3 && !memcmp(begin, "\xEF\xBB\xBF", 3) ? 3 : 0;
    while (from < n && strchr(" \t\r\n", begin[from])) from++;
    const char *newline = memchr(begin + from, '\n', n - from);
    return read_record(begin + from, newline ? (size_t)(newline - begin) - from : n - from, words);
}
