/* Names of files as seen from a folder. */
#ifndef MOTE_CLI_PATHS_H
#define MOTE_CLI_PATHS_H

#include <stdbool.h>
#include <stddef.h>

/* What `path` is called from `folder`: "base.gguf" from "m.run" is "../base.gguf". Links of folders are followed, not
 * that of the file: what lies beside it counts too. An absolute path stays as it is, and so does one whose folder is
 * not there; the file itself need not be. NULL: no memory; freed by the caller with free(). */
char *path_from(const char *folder, const char *path);
/* The absolute name with all links followed, by which two paths can be compared; the rest as path_from. */
char *path_absolute(const char *path);
/* The path that a file in the same folder as `beside` means by `path`. */
char *path_beside(const char *beside, const char *path);
/* The folder that a name lies in, with its slash at the end, "." for none; false: too long for `size` bytes. */
bool path_folder(const char *path, char *folder, size_t size);
/* Whether a file begins as GGUF, be it whole or damaged. */
bool path_is_gguf(const char *path);
/* Whether a folder holds a model of Hugging Face, whole or damaged: config.json beside *.safetensors. */
bool path_is_model_folder(const char *folder);

#endif
