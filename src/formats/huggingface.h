/* Models as folders that Hugging Face's transformers reads and writes: config.json, generation_config.json,
 * model.safetensors (or shards), tokenizer.json, tokenizer_config.json. */
#ifndef MOTE_FORMATS_HUGGINGFACE_H
#define MOTE_FORMATS_HUGGINGFACE_H

#include "formats/json_fields.h"
#include "formats/safetensors.h"
#include "models/model.h"

/* ---- the format's ends (huggingface.c, huggingface_save.c) */

/* A folder with config.json. */
bool mote_huggingface_matches(const char *path);
mote_status mote_huggingface_open(const char *folder, mote_model **model, mote_error *error);
/* Makes the folder where it is not there. All files are written under other names first; config.json, without which it
 * is no model, is removed before the first is renamed and comes last. Files there that would speak of another model
 * (shards' index, chat template, tokenizer) are removed. type: f32, f16 or bf16, of all weights. */
mote_status mote_huggingface_save(const mote_model *model, const char *folder, mote_type type, mote_error *error);

/* ---- the parts */

mote_status mote_huggingface_path(const char *folder, const char *name, char **path, mote_error *error);
/* The files of the tokenizer, both ways; buffers stay empty where the model has none. */
mote_status mote_huggingface_read_tokenizer(const char *folder, mote_model *model, mote_error *error);
mote_status mote_huggingface_put_tokenizer(const mote_model *model, mote_buffer *json, mote_buffer *config,
                                           mote_error *error);

typedef struct {
    const char *model_type, *architecture;
    mote_family family;
} mote_huggingface_kind;

typedef struct {
    const mote_huggingface_kind *kind;
    mote_config config;
    bool tied_said;    /* config.tied is what the file says; else the presence of a head says it */
    bool zero_biases;  /* the file has biases where the program has none: they must be zeros */
} mote_huggingface_shape;

const mote_huggingface_kind *mote_huggingface_kind_named(const char *model_type); /* NULL: there is none */
/* config.json's fields -> config; all but `tied` where that is not said. What mote does not compute is refused by name.
 */
mote_status mote_huggingface_read_shape(mote_json_fields *fields, mote_huggingface_shape *shape, mote_error *error);
/* The kind that a model is written as; MOTE_USAGE: none computes the same. */
mote_status mote_huggingface_shape_of(const mote_model *model, mote_huggingface_shape *shape, mote_error *error);
void mote_huggingface_put_config(const mote_huggingface_shape *shape, const mote_model *model, mote_type type,
                                 mote_buffer *json);

/* What is said of generation, of config.json first, then of generation_config.json, whose word counts. */
void mote_huggingface_read_hints(mote_json_fields *fields, mote_generation_hints *hints);
void mote_huggingface_put_hints(const mote_model *model, mote_buffer *json);

/* ---- weights (huggingface_weights.c, huggingface_names.c) */

typedef enum {
    MOTE_CHANGE_NONE,
    MOTE_CHANGE_PAIRS,     /* rows of each head: halves there, adjacent pairs here */
    MOTE_CHANGE_TRANSPOSE, /* [in, out] there */
    MOTE_CHANGE_ONE        /* there without the 1 that the norm adds */
} mote_huggingface_change;

/* Where MOTE_CHANGE_PAIRS has a row there: pair i of a head is rows i and i + head_dim / 2, here 2 i and 2 i + 1. */
static inline size_t mote_row_in_halves(size_t row, size_t head_dim) {
    size_t within = row % head_dim;
    return row - within + within % 2 * (head_dim / 2) + within / 2;
}

/* The name of a program's tensor there, with what is to be done to it; false: it has none. */
bool mote_huggingface_name(const mote_program *program, const mote_config *config, int id, char name[MOTE_NAME_BYTES],
                           mote_huggingface_change *change);
/* The bias that stands beside a weight there and is not in the program: its length; 0: none. */
int mote_huggingface_zero_bias(const mote_huggingface_shape *shape, const mote_program *program, int id,
                               char name[MOTE_NAME_BYTES]);
/* Tensors that are no weights: masks and frequencies that older versions saved. */
bool mote_huggingface_ignores(mote_family family, mote_string name);

/* Lets the model's weights point into the files, or into copies where their order, alignment or values differ. */
mote_status mote_huggingface_bind(const mote_safetensors_set *set, const mote_huggingface_shape *shape,
                                  const char *folder, mote_model *model, mote_error *error);
mote_status mote_huggingface_write_weights(const mote_model *model, const mote_huggingface_shape *shape,
                                           const char *path, mote_type type, mote_writer **writer, mote_error *error);

#endif
