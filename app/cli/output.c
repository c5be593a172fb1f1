/* The checks of output.h. They look and change nothing, so a run that is refused has left no trace. */
#include "output.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "console.h"
#include "paths.h"

int output_force;

size_t output_stem(const char *path) {
    const size_t n = strlen(path);
    return n > 5 && !strcasecmp(path + n - 5, ".gguf") ? n - 5 : n;
}

/* What a name asks for. */
enum form { FORM_GGUF, FORM_FILE, FORM_FOLDER }; /* FORM_FILE: of another kind */
static enum form form_named(const char *name) {
    return !strcmp(name, "GGUF") ? FORM_GGUF : !strcmp(name, "Hugging Face") ? FORM_FOLDER : FORM_FILE;
}

static bool is_same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool join(const char *folder, const char *name, char *path, size_t size) {
    const size_t n = strlen(folder);
    return snprintf(path, size, "%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/", name) < (int)size;
}

/* The file in a folder of output that is the input, or lies in it under the same name: a link is written through. Only
 * files with the endings of those that a model has there are replaced. */
static bool find_inside(const char *output, const char *input, const struct stat *in, char *found, size_t size) {
    DIR *folder = opendir(output);
    bool same = false;
    for (const struct dirent *entry; folder && !same && (entry = readdir(folder));) {
        struct stat info, its;
        char path[1024];
        const char *dot = strrchr(entry->d_name, '.');
        if (!dot || (strcmp(dot, ".json") != 0 && strcmp(dot, ".safetensors") != 0)) continue;
        if (!join(output, entry->d_name, found, size) || stat(found, &info)) continue;
        same = is_same(&info, in) || (S_ISDIR(in->st_mode) && join(input, entry->d_name, path, sizeof path) &&
                                      !stat(path, &its) && is_same(&info, &its));
    }
    if (folder) closedir(folder);
    return same;
}

mote_status output_spare(const char *input, const char *output, const char *what, mote_error *error) {
    struct stat in, out;
    char inside[1024];
    const char *same = NULL;
    if (stat(output, &out) || !(S_ISREG(out.st_mode) || S_ISDIR(out.st_mode))) return MOTE_OK;
    if (strcmp(input, "-") ? stat(input, &in) : fstat(STDIN_FILENO, &in)) return MOTE_OK;
    if (is_same(&in, &out)) same = output;
    else if (S_ISDIR(out.st_mode) && find_inside(output, input, &in, inside, sizeof inside)) same = inside;
    if (!same) return MOTE_OK;
    if (same == output || !S_ISDIR(in.st_mode))
        mote_fail(error, MOTE_USAGE, "%s is the %s itself: it would be replaced", same, what);
    else mote_fail(error, MOTE_USAGE, "%s is a file of the %s: it would be replaced", same, what);
    return mote_hint(error, MOTE_USAGE, "give the output another name");
}

/* The folder that a name lies in, or the folder that it is when it is there. */
static mote_status check_folder(const char *path, bool itself, mote_error *error) {
    enum { SHOWN = 190 }; /* two names and a reason are one message */
    char folder[1024], names[2][SHOWN];
    struct stat info;
    if (!(itself ? snprintf(folder, sizeof folder, "%s", path) < (int)sizeof folder
                 : path_folder(path, folder, sizeof folder)))
        return mote_fail(error, MOTE_USAGE, "the name of the output is longer than %zu bytes", sizeof folder - 1);
    for (size_t n = strlen(folder); itself && n > 1 && folder[n - 1] == '/';) folder[--n] = '\0';
    if (stat(folder, &info)) { /* of a file too, as the folder's name ends with a slash */
        const bool missing = errno == ENOENT;
        const char *reason = strerror(errno);
        mote_fail(error, MOTE_IO, "cannot write %s: there is no folder %s: %s", mote_short_path(path, names[0], SHOWN),
                  mote_short_path(folder, names[1], SHOWN), reason);
        const char *make = missing ? shell_command("mkdir -p", folder) : NULL;
        if (make) return mote_hint(error, MOTE_IO, "make it first: %s", make);
        return mote_hint(error, MOTE_IO, missing ? "make it first" : "give a name in a folder of yours");
    }
    if (!access(folder, W_OK | X_OK)) return MOTE_OK;
    const char *reason = strerror(errno);
    mote_fail(error, MOTE_IO, "cannot write %s into the folder %s: %s", mote_short_path(path, names[0], SHOWN),
              mote_short_path(folder, names[1], SHOWN), reason);
    return mote_hint(error, MOTE_IO, "give a name in a folder of yours");
}

/* The form is not the one that the command writes. */
static mote_status fail_form(const struct command *command, const char *path, const char *form, mote_error *error) {
    struct stat info;
    const size_t n = strlen(path);
    if (form_named(form) == FORM_FOLDER) {
        const bool folder = (n && path[n - 1] == '/') || (!stat(path, &info) && S_ISDIR(info.st_mode));
        mote_fail(error, MOTE_USAGE, "mote %s writes a GGUF file, and %s is %s", command->name, path,
                  folder ? "a folder" : "a name without an ending, as a folder has");
        return mote_hint(error, MOTE_USAGE, folder ? "name the file in it: %s%smodel.gguf" : "name it %s%s.gguf", path,
                         folder && n && path[n - 1] != '/' ? "/" : "");
    }
    mote_fail(error, MOTE_USAGE, "mote %s writes GGUF, and %s has the ending of %s", command->name, path, form);
    return mote_hint(error, MOTE_USAGE, "let the name end with .gguf; mote convert writes the other forms");
}

static bool is_empty_folder(const char *path) {
    DIR *folder = opendir(path);
    bool empty = folder != NULL;
    for (const struct dirent *entry; empty && (entry = readdir(folder));)
        empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
    if (folder) closedir(folder);
    return empty;
}

/* By its first bytes or files, so that a model that was damaged can be replaced too; a form without is opened. */
static bool is_model(const char *path, bool folder) {
    mote_model *model = NULL;
    if (folder) return path_is_model_folder(path);
    if (path_is_gguf(path)) return true;
    const bool opened = !mote_model_open(path, &model, NULL);
    mote_model_close(model);
    return opened;
}

/* What is there is not for --force either. */
static mote_status fail_no_model(const char *path, bool folder, mote_error *error) {
    if (!folder) {
        mote_fail(error, MOTE_USAGE, "%s is there already and no model: it would be replaced", path);
        return mote_hint(error, MOTE_USAGE, "give another name, or remove that file first");
    }
    mote_fail(error, MOTE_USAGE, "%s is a folder that holds files and no model: some of them would be replaced", path);
    return mote_hint(error, MOTE_USAGE, "give the name of a folder that is new or empty");
}

mote_status output_look(const struct command *command, const char *path, bool any_form, bool *there,
                        mote_error *error) {
    struct stat info;
    const char *form;
    *there = false;
    if (!*path || !strcmp(path, "-")) {
        mote_fail(error, MOTE_USAGE, "mote %s needs a %s to write its model to, not %s", command->name,
                  any_form ? "file or a folder" : "file", *path ? "standard output" : "an empty name");
        return mote_hint(error, MOTE_USAGE, "for example %s", command->example);
    }
    mote_status status = mote_model_form_of(path, &form, error);
    if (status) return status;
    const bool folder = form_named(form) == FORM_FOLDER;
    if (!any_form && form_named(form) != FORM_GGUF) return fail_form(command, path, form, error);
    if (stat(path, &info)) return check_folder(path, false, error);
    if (folder != (S_ISDIR(info.st_mode) != 0)) {
        mote_fail(error, MOTE_USAGE, "%s is %s, but its name asks for %s", path,
                  folder ? "there already and no folder" : "a folder", folder ? "a Hugging Face folder" : "a file");
        return mote_hint(error, MOTE_USAGE, "give another name%s%s", folder ? ", a file as " : "",
                         folder ? "model.gguf" : "");
    }
    *there = folder ? !is_empty_folder(path) : S_ISREG(info.st_mode) && info.st_size > 0;
    if (*there && access(path, R_OK)) {
        mote_fail(error, MOTE_IO, "%s is there already and cannot be opened: %s", path, strerror(errno));
        return mote_hint(error, MOTE_IO, "give another name");
    }
    if (*there && !is_model(path, folder)) return fail_no_model(path, folder, error);
    /* A link stays and what it points to is replaced, so that is where a file is made. */
    char *target = !folder && !lstat(path, &info) && S_ISLNK(info.st_mode) ? realpath(path, NULL) : NULL;
    status = check_folder(target ? target : path, folder, error);
    free(target);
    return status;
}

mote_status output_keep(const char *path, mote_error *error) {
    struct stat info;
    const bool folder = !stat(path, &info) && S_ISDIR(info.st_mode);
    mote_fail(error, MOTE_USAGE,
              folder ? "%s is a folder that holds a model: it would be replaced"
                     : "%s is there already: the model would be replaced", path);
    return mote_hint(error, MOTE_USAGE, "give another name, or --force to replace it");
}

mote_status output_check(const struct command *command, const char *path, bool any_form, mote_error *error) {
    bool there;
    mote_status status = output_look(command, path, any_form, &there, error);
    return status || !there || output_force ? status : output_keep(path, error);
}

mote_status output_check_page(const struct command *command, const char *path, mote_error *error) {
    const char *dot = strrchr(path, '.');
    struct stat info;
    if (!dot || strcasecmp(dot, ".html") != 0) {
        mote_fail(error, MOTE_USAGE, "the page of mote %s is HTML, and %s does not say so", command->name, path);
        return mote_hint(error, MOTE_USAGE, "let the name end with .html");
    }
    if (stat(path, &info) || !S_ISDIR(info.st_mode)) return check_folder(path, false, error);
    mote_fail(error, MOTE_USAGE, "%s is a folder", path);
    return mote_hint(error, MOTE_USAGE, "name the file in it: %s/profile.html", path);
}
