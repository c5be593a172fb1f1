/* The forms that a model comes in and goes out as: one row each. What a file is, its content says; what is written, the
 * ending of the path. A new form is a file that defines its two or three functions and a row in formats.c. */
#ifndef MOTE_FORMATS_FORMATS_H
#define MOTE_FORMATS_FORMATS_H

#include "models/model.h"
#include "text/tokenizer.h"

/* What was found at a path. Files are mapped once, because a pipe can be read only once. */
typedef struct {
    const char *path;
    bool folder;
    mote_map map; /* of a file; open may take it over */
} mote_source;

typedef struct {
    const char *name;   /* "GGUF" */
    const char *ending; /* of paths that are written in this form, in letters of any case; "": of names without one */
    bool (*matches)(const mote_source *source);
    mote_status (*open)(mote_source *source, mote_model **model, mote_error *error);
    mote_status (*save)(const mote_model *model, const char *path, mote_type type, mote_error *error);
} mote_format;

/* ---- llama2.c's files (llama2c.c) */
bool mote_llama2c_matches(const uint8_t *bytes, size_t size);
/* Weights of versions 0 and 1 lie in the mapping, which the model then owns; those of version 2 (int8) become f32. */
mote_status mote_llama2c_open(mote_map *map, mote_model **model, mote_error *error);
/* The same from memory that outlives the model. */
mote_status mote_llama2c_parse(const uint8_t *bytes, size_t size, const char *name, mote_model **model,
                               mote_error *error);
/* Version 0. MOTE_USAGE where the form cannot say what the model is. type: f32 or MOTE_TYPE_KEEP. */
mote_status mote_llama2c_save(const mote_model *model, const char *path, mote_type type, mote_error *error);

/* ---- llama2.c's tokenizer.bin (tokenizer_bin.c) */
bool mote_tokenizer_bin_matches(const uint8_t *bytes, size_t size);
mote_status mote_tokenizer_bin_parse(const uint8_t *bytes, size_t size, const char *name, mote_tokenizer **tokenizer,
                                     mote_error *error);

/* ---- adapters (lora.c) */

/* W += scale * alpha / rank * B A for each weight that the adapter at `path` names: a PEFT folder or a GGUF adapter. */
mote_status mote_lora_merge(mote_model *model, const char *path, float scale, mote_error *error);

#endif
