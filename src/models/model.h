/* A model: a config, the program built from it, its weights and its tokenizer. Immutable once shared with sessions. */
#ifndef MOTE_MODELS_MODEL_H
#define MOTE_MODELS_MODEL_H

#include "base/files.h"
#include "program/program.h"

/* How a model's authors run it (generation_config.json); n_end 0 and values below 0: not said. */
enum { MOTE_MOST_ENDS = 16 };
typedef struct {
    int32_t end[MOTE_MOST_ENDS]; /* tokens that end a text */
    int n_end, sample, top_k;    /* sample: 0 is greedy, 1 not */
    float temperature, top_p, repetition_penalty;
} mote_generation_hints;
#define MOTE_NO_HINTS ((mote_generation_hints){.sample = -1, .top_k = -1, .temperature = -1, .top_p = -1, \
                                               .repetition_penalty = -1})

/* Rows as a file has them. */
typedef struct {
    const void *rows;
    mote_type type;
} mote_stored;

struct mote_model {
    mote_config config;
    mote_program *program;
    void **weight;  /* by tensor id: row-major data of the tensor's type; NULL for what is not a weight */
    void **packed;  /* by tensor id: panels of a linear op's weight, made by mote_model_pack; NULL: none yet */
    bool *unchecked; /* by tensor id: the bytes of a weight in `map` are not checked yet; NULL: all are */
    uint64_t *sum;   /* by tensor id: the checksum they must have; NULL: the file carries none */
    void **merged;   /* by tensor id: f32 weights that an adapter changed; owned; NULL: none */
    float *activation_scale; /* by tensor id: of an activation that products of i8 read (mote_exec); NULL: none */
    void *arena;    /* memory the weights lie in when they are the model's own; NULL: in `map` */
    mote_arena made; /* rows that quantization made */
    mote_stored *stored; /* by tensor id: what weights were made f32 from; rows NULL: weight[] is what is stored */
    mote_map map;
    mote_map *shards;          /* further mappings that weights lie in; owned */
    size_t n_shards;
    void *copies; /* weights of a file whose order, alignment or type is not what runs; beside the mapping, owned */
    mote_tokenizer *tokenizer; /* owned; NULL: none */
    char *tokenizer_problem;   /* why a tokenizer of others is not used; owned; NULL: it is, or there is none */
    char *name;                /* general.name; NULL: none */
    char *chat_template;       /* Jinja, as its file has it: kept as text, never run; owned; NULL: none */
    mote_generation_hints hints;
    const char *form;          /* of the file it comes from; NULL: none */
};

/* One architecture: a config -> a program. A new one is one file and one line in the list in config.c. */
typedef struct {
    const char *name; /* "llama" */
    void (*complete)(mote_config *config); /* fills what is 0 or negative */
    mote_status (*check)(const mote_config *config, mote_error *error); /* what only this family asks for */
    void (*build)(const mote_config *config, float dropout, mote_builder *b);
    bool free_heads; /* heads x head size need not be the width */
} mote_family_info;
extern const mote_family_info mote_family_llama, mote_family_gpt2, mote_family_qwen2, mote_family_qwen3,
    mote_family_gemma3, mote_family_smollm3;
const mote_family_info *mote_family_get(mote_family family); /* NULL: no such family */
const char *mote_rope_scaling_name(mote_rope_scaling scaling);

/* Ranges and divisibility, overflow-safe. */
mote_status mote_config_check(const mote_config *config, mote_error *error);
/* The width nearest to `dim` that the given heads, key-value heads and head size divide, with an even head size. */
int mote_config_fit_dim(const mote_config *config, int dim);
/* mote_config_parameters, where out of memory is to be told from a shape that is not possible. */
mote_status mote_config_count(const mote_config *config, uint64_t *parameters, mote_error *error);
mote_status mote_program_build(const mote_config *config, mote_program **program, mote_error *error);
/* With dropout ops where dropout > 0. Its weights have the ids of the plain program's. */
mote_status mote_program_build_training(const mote_config *config, float dropout, mote_program **program,
                                        mote_error *error);

/* A model with its program and, if `own`, zeroed f32 weights in one arena; without, weight[] is NULL for the caller to
 * set. The config is completed and checked. */
mote_status mote_model_allocate(const mote_config *config, bool own, mote_model **model, mote_error *error);
/* One zeroed arena for the f32 weights of a program, each at a multiple of 64 bytes; weight[] says where each lies. */
mote_status mote_weights_allocate(const mote_program *program, void **arena, void **weight, mote_error *error);
/* Every scale of a weight of a block type is finite. `path` is for the message. */
mote_status mote_weight_check_scales(const mote_tensor *weight, const void *data, const char *path, mote_error *error);
/* Room for checks that are put off: none yet. */
mote_status mote_model_put_off_checks(mote_model *model, bool sums, mote_error *error);
/* Checks a weight's checksum and scales where that was put off: to be called before its bytes are used. Any thread
 * may, at any time. */
mote_status mote_model_check_weight(const mote_model *model, mote_tensor_id id, mote_error *error);
/* Weights of types that no kernel runs on become f32; what they were stays in `stored`. */
mote_status mote_model_unpack(mote_model *model, mote_error *error);
/* A weight as it is saved when nobody asks for another type. */
static inline mote_stored mote_model_stored(const mote_model *model, int id) {
    return model->stored[id].rows ? model->stored[id]
                                  : (mote_stored){model->weight[id], model->program->tensors[id].type};
}
/* Gains, biases and the table of positions are f32 in every file, as other programs expect. */
bool mote_weight_is_vector(const mote_tensor *tensor);
bool mote_weight_stays_f32(const mote_tensor *tensor);
/* Whether one may read an activation by this scale: its codes and their inverse are ordinary numbers. */
static inline bool mote_activation_scale_is_usable(float scale) { return scale >= 1e-30f && scale <= 1e30f; }
/* Packs the weights of linear and head ops into panels where that is not done; called by sessions and trainers. */
mote_status mote_model_pack(mote_model *model, mote_error *error);

/* Largest values accepted from outside. */
enum { MOTE_MOST_LAYERS = 512, MOTE_MOST_DIM = 65536, MOTE_MOST_VOCAB = 4194304, MOTE_MOST_CONTEXT = 1048576 };

#endif
