/* Hints of last resort, in one place for all commands. An error of the library names a file; only the command knows
 * what was typed, so a name that is not there is compared with those that are. */
#include "hints.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "console.h"
#include "paths.h"

/* The name in a folder that is nearest to the wanted one; false: none is near. */
static bool nearest_file(const char *folder, const char *wanted, char *found, size_t size) {
    enum { MOST = 4096 }; /* of names that are looked at */
    DIR *entries = opendir(folder);
    struct nearest nearest = {0};
    int n = 0;
    for (const struct dirent *entry; entries && n < MOST && (entry = readdir(entries)); n++) {
        const int before = nearest.distance;
        const bool had = nearest.best != NULL;
        if (entry->d_name[0] == '.') continue;
        nearest_try(&nearest, wanted, entry->d_name);
        /* the entry does not outlive the next */
        if (nearest.best && (!had || nearest.distance < before)) snprintf(found, size, "%s", entry->d_name);
    }
    if (entries) closedir(entries);
    return nearest.best != NULL;
}

/* Of a path that is not there. */
static void hint_missing(const char *path, mote_error *error) {
    char folder[1024], found[256], here[1024];
    if (!path_folder(path, folder, sizeof folder)) return;
    const bool plain = !strcmp(folder, ".") && strncmp(path, "./", 2) != 0;
    if (access(folder, F_OK)) {
        mote_hint(error, error->status, "there is no folder %.200s", folder);
    } else if (nearest_file(folder, path + (plain ? 0 : strlen(folder)), found, sizeof found)) {
        mote_hint(error, error->status, "did you mean %.100s%.120s?", plain ? "" : folder, found);
    } else if (*path == '/' || !getcwd(here, sizeof here)) {
        const char *list = shell_command("ls", folder);
        if (list) mote_hint(error, error->status, "%s lists what is there", list);
        else mote_hint(error, error->status, "its folder is there");
    } else {
        mote_hint(error, error->status, "it was looked for in %.220s", here);
    }
}

/* Of a path that names something in a file, as in a folder. */
static void hint_no_folder(const char *path, mote_error *error) {
    char file[1024];
    struct stat info;
    for (const char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
        if (snprintf(file, sizeof file, "%.*s", (int)(at - path), path) >= (int)sizeof file) return;
        if (stat(file, &info)) return;
        if (S_ISDIR(info.st_mode)) continue;
        mote_hint(error, error->status, "%.200s is a file and no folder", file);
        return;
    }
}

/* What a word of the command line names: itself, or what follows the = of an option. */
static const char *named(const char *word) {
    const char *equals = word[0] == '-' && word[1] == '-' ? strchr(word, '=') : NULL;
    return equals ? equals + 1 : word;
}

/* A GGUF file that cannot be read: its first bytes are right, so it was one. */
static bool is_gguf(const char *path, const mote_error *error) {
    const size_t n = strlen(path);
    return n && !strncmp(error->message, path, n) && error->message[n] == ':' && path_is_gguf(path);
}

/* Others that mote does not run are whole. */
static void hint_gguf(mote_error *error) {
    if (strstr(error->message, "the file is damaged") || strstr(error->message, "the file ends inside"))
        mote_hint(error, MOTE_BAD_FILE, "the file is damaged or not complete: fetch it or make it again");
    else mote_hint(error, MOTE_BAD_FILE, "mote does not run such a file, or it is damaged: use another one");
}

void hint_complete(const struct command *command, int n_words, char *const *words, mote_error *error) {
    if (error->hint[0]) return;
    const bool missing = strstr(error->message, strerror(ENOENT)) != NULL;
    const bool in_file = strstr(error->message, strerror(ENOTDIR)) != NULL;
    const char *longest = ""; /* -p a may stand in any message */
    for (int i = 0; i < n_words; i++) {
        const char *path = named(words[i]);
        char shown[320]; /* as mote_fail_path cuts it */
        if (error->status == MOTE_BAD_FILE && is_gguf(path, error)) {
            hint_gguf(error);
            return;
        }
        if ((missing || in_file) && strlen(path) > strlen(longest) && access(path, F_OK) &&
            strstr(error->message, mote_short_path(path, shown, sizeof shown)))
            longest = path;
    }
    if (*longest && missing) hint_missing(longest, error);
    else if (*longest) hint_no_folder(longest, error);
    if (error->hint[0]) return;
    if (strstr(error->message, strerror(ENAMETOOLONG)))
        mote_hint(error, error->status, "a name in a folder has 255 bytes at most");
    if (error->status == MOTE_USAGE)
        mote_hint(error, MOTE_USAGE, "mote help %s says what its options mean and how it is used", command->name);
}
