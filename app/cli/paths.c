/* Relative names by the real names of two folders: what differs behind their common beginning, and ".." for the rest.
 */
#include "paths.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

static char *finish(mote_buffer *buffer) { /* for free(), as realpath's */
    char *copy = buffer->failed || !buffer->bytes ? NULL : strdup(buffer->bytes);
    mote_buffer_deinit(buffer);
    return copy;
}

/* The absolute name: that of its folder and its own; with `follow` what a link itself names, where that is there. NULL:
 * the folder is not there. */
static char *real_name(const char *path, bool follow) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const bool own = *name && strcmp(name, ".") && strcmp(name, "..");
    char *whole = follow || !own ? realpath(path, NULL) : NULL;
    if (whole) return whole;
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    char *real = folder ? realpath(folder, NULL) : NULL;
    mote_buffer joined = {0};
    if (real) mote_buffer_print(&joined, "%s%s%s", real, strcmp(real, "/") ? "/" : "", name);
    free(folder);
    free(real);
    return finish(&joined);
}

char *path_from(const char *folder, const char *path) {
    if (*path == '/') return strdup(path);
    char *from = realpath(folder, NULL), *to = from ? real_name(path, false) : NULL, *result = NULL;
    if (!to) {
        free(from);
        return strdup(path);
    }
    /* Whole names that both begin with; the root is none. */
    size_t common = 0, same = 0;
    while (from[same] && from[same] == to[same]) {
        same++;
        if ((!from[same] || from[same] == '/') && (!to[same] || to[same] == '/')) common = same;
    }
    mote_buffer name = {0};
    for (const char *at = from + common; *at; at++)
        if (*at == '/' && at[1]) mote_buffer_print(&name, "../");
    if (to[common]) mote_buffer_print(&name, "%s", to + common + (to[common] == '/'));
    if (!name.size) mote_buffer_print(&name, ".");
    result = finish(&name);
    free(from);
    free(to);
    return result;
}

char *path_absolute(const char *path) {
    char *name = real_name(path, true);
    return name ? name : strdup(path);
}

char *path_beside(const char *beside, const char *path) {
    const char *slash = strrchr(beside, '/');
    if (*path == '/' || !slash) return strdup(path);
    mote_buffer joined = {0};
    mote_buffer_print(&joined, "%.*s%s", (int)(slash - beside) + 1, beside, path);
    char *name = finish(&joined), *here = name ? path_from(".", name) : NULL;
    free(name);
    return here;
}

bool path_folder(const char *path, char *folder, size_t size) {
    const char *end = path + strlen(path);
    while (end > path + 1 && end[-1] == '/') end--;
    while (end > path && end[-1] != '/') end--;
    const int n = (int)(end - path);
    return snprintf(folder, size, "%.*s", n ? n : 1, n ? path : ".") < (int)size;
}

bool path_is_gguf(const char *path) {
    char magic[4] = "";
    FILE *file = fopen(path, "rb");
    const bool gguf = file && fread(magic, 1, 4, file) == 4 && !memcmp(magic, "GGUF", 4);
    if (file) fclose(file);
    return gguf;
}

bool path_is_model_folder(const char *folder) {
    static const char ending[] = ".safetensors";
    const size_t least = sizeof ending - 1;
    DIR *entries = opendir(folder);
    bool config = false, weights = false;
    for (const struct dirent *entry; entries && !(config && weights) && (entry = readdir(entries));) {
        const size_t n = strlen(entry->d_name);
        config |= !strcmp(entry->d_name, "config.json");
        weights |= n > least && !strcmp(entry->d_name + n - least, ending);
    }
    if (entries) closedir(entries);
    return config && weights;
}
