/* LoRA (Hu et al. 2021) between a file that holds an adapter and the weights of a model: W += scale * B A. */
#ifndef MOTE_FORMATS_LORA_H
#define MOTE_FORMATS_LORA_H

#include "formats/gguf.h"
#include "models/model.h"
#include "text/tokenizer.h"

enum { MOTE_LORA_MOST_RANK = 4096 };

/* A matrix of a file: rows as they lie there. */
typedef struct {
    const char *name; /* for messages */
    const uint8_t *data;
    mote_type type;
    uint64_t rows, cols;
} mote_lora_matrix;

typedef struct {
    mote_lora_matrix up, down; /* B [rows of W, rank] and A [rank, columns of W]; each may be transposed */
    bool up_transposed, down_transposed;
    bool halves; /* rows of B: halves of each head of `head_dim`, where W has adjacent pairs */
    int head_dim;
    float scale;
} mote_lora_pair;

/* An adapter on its way into a model: weights are made aside and take their places together, or none does. */
typedef struct {
    mote_model *model;
    const char *path; /* for messages */
    float **made;     /* by tensor id; NULL: unchanged */
} mote_lora_merger;
mote_status mote_lora_begin(mote_lora_merger *merger, mote_model *model, const char *path, mote_error *error);
/* Checks the pair, and that every weight it makes is finite. */
mote_status mote_lora_add(mote_lora_merger *merger, mote_tensor_id id, const mote_lora_pair *pair, mote_error *error);
/* status MOTE_OK: the weights that were made, f32, are the model's from now on; else they are forgotten. */
void mote_lora_end(mote_lora_merger *merger, mote_status status);
/* A folder with adapter_config.json and adapter_model.safetensors (peft.c). */
mote_status mote_peft_merge(mote_model *model, const char *folder, float scale, mote_error *error);
/* The same of the two files' bytes; their paths are for messages. */
mote_status mote_peft_merge_bytes(mote_model *model, const mote_map *config, const mote_map *weights, float scale,
                                  mote_error *error);
/* An adapter in a GGUF file (lora.c). */
mote_status mote_lora_merge_gguf(mote_model *model, const mote_gguf *file, float scale, mote_error *error);

/* What adapter_config.json says. */
typedef struct {
    mote_string pattern; /* the end of a module's name */
    double value;
} mote_peft_exception;
typedef struct {
    double rank, alpha;
    bool rank_stabilized;
    mote_peft_exception *ranks, *alphas;
    size_t n_ranks, n_alphas, ranks_capacity, alphas_capacity;
    mote_string *targets; /* ends of the names of adapted modules; none: not said by name */
    size_t n_targets, targets_capacity;
    mote_arena arena;
} mote_peft_config;
mote_status mote_peft_config_parse(const uint8_t *bytes, size_t size, const char *name, mote_peft_config *config,
                                   mote_error *error);
void mote_peft_config_close(mote_peft_config *config); /* also after a failed parse */
/* Rank, and scale of B A, of a module; false: the config does not name it. */
bool mote_peft_config_module(const mote_peft_config *config, const char *module, double *rank, double *scale);

#endif
