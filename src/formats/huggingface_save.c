/* Writes a model's folder. Every file is written under another name first and all of them are renamed at the end,
 * config.json last: without it nobody takes the folder for a model, so a kill or a full disk leaves none that is half
 * the old and half the new. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/gguf.h"
#include "formats/huggingface.h"

/* In the order in which they take their places. */
enum { WEIGHTS, TOKENIZER, TOKENIZER_CONFIG, GENERATION, CONFIG, N_FILES };
static const char *const names[N_FILES] = {"model.safetensors", "tokenizer.json", "tokenizer_config.json",
                                           "generation_config.json", "config.json"};
/* What would speak of another model, or be read before what is written here. */
static const char *const stale[] = {"model.safetensors.index.json", "chat_template.jinja", "special_tokens_map.json",
                                    "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model"};

static mote_status make_folder(const char *folder, mote_error *error) {
    struct stat about;
    if (mkdir(folder, 0777) == 0) return MOTE_OK;
    int code = errno;
    if (code == EEXIST && stat(folder, &about) == 0 && S_ISDIR(about.st_mode)) return MOTE_OK;
    if (code == EEXIST) return mote_fail(error, MOTE_IO, "cannot write %s: it is there and not a folder", folder);
    errno = code;
    return mote_fail_io(error, "cannot make the folder", folder);
}

static mote_status remove_file(const char *folder, const char *name, mote_error *error) {
    char *path = NULL;
    mote_status status = mote_huggingface_path(folder, name, &path, error);
    if (status == MOTE_OK && unlink(path) != 0 && errno != ENOENT) status = mote_fail_io(error, "cannot remove", path);
    mote_release(path);
    return status;
}

static mote_status put_file(const char *folder, int which, mote_buffer *text, mote_writer **writer, mote_error *error) {
    char *path = NULL;
    mote_status status = text->failed ? mote_fail_memory(error, names[which], text->size) : MOTE_OK;
    if (status == MOTE_OK && text->size == 0) return MOTE_OK; /* the model has no such thing */
    if (status == MOTE_OK) status = mote_huggingface_path(folder, names[which], &path, error);
    if (status == MOTE_OK) status = mote_writer_open(path, writer, error);
    if (status == MOTE_OK) mote_writer_write(*writer, text->bytes, text->size);
    mote_release(path);
    return status;
}

static mote_status write_all(const mote_model *model, const mote_huggingface_shape *shape, const char *folder,
                             mote_type type, mote_writer *writers[N_FILES], mote_error *error) {
    mote_buffer texts[N_FILES] = {{0}};
    char *path = NULL;
    mote_huggingface_put_config(shape, model, type, &texts[CONFIG]);
    mote_huggingface_put_hints(model, &texts[GENERATION]);
    mote_status status =
        mote_huggingface_put_tokenizer(model, &texts[TOKENIZER], &texts[TOKENIZER_CONFIG], error);
    for (int i = TOKENIZER; i < N_FILES && status == MOTE_OK; i++)
        status = put_file(folder, i, &texts[i], &writers[i], error);
    if (status == MOTE_OK) status = mote_huggingface_path(folder, names[WEIGHTS], &path, error);
    if (status == MOTE_OK) status = mote_huggingface_write_weights(model, shape, path, type, &writers[WEIGHTS], error);
    for (int i = 0; i < N_FILES; i++) mote_buffer_deinit(&texts[i]);
    mote_release(path);
    return status;
}

mote_status mote_huggingface_save(const mote_model *model, const char *folder, mote_type type, mote_error *error) {
    mote_huggingface_shape shape;
    mote_writer *writers[N_FILES] = {NULL};
    mote_status status = mote_weights_are_of_files(error);
    if (status != MOTE_OK) return status;
    if (type != MOTE_TYPE_F32 && type != MOTE_TYPE_F16 && type != MOTE_TYPE_BF16) {
        mote_fail(error, MOTE_USAGE, "safetensors of transformers are f32, f16 or bf16, not %s", mote_type_name(type));
        return mote_hint(error, MOTE_USAGE, "GGUF holds it: give the path the ending .gguf");
    }
    status = mote_huggingface_shape_of(model, &shape, error);
    if (status == MOTE_OK) status = make_folder(folder, error);
    if (status == MOTE_OK) status = write_all(model, &shape, folder, type, writers, error);
    if (status == MOTE_OK) status = remove_file(folder, names[CONFIG], error);
    for (size_t i = 0; i < sizeof stale / sizeof *stale && status == MOTE_OK; i++)
        status = remove_file(folder, stale[i], error);
    for (int i = 0; i < N_FILES && status == MOTE_OK; i++) {
        if (writers[i]) status = mote_writer_commit(writers[i], error);
        else status = remove_file(folder, names[i], error);
        writers[i] = NULL;
    }
    for (int i = 0; i < N_FILES; i++) mote_writer_abort(writers[i]);
    return status;
}
