/* The keys of a model's shape in GGUF files, read and written: gguf_config.c, and gguf_rope.c for scaled rotations. */
#ifndef MOTE_FORMATS_GGUF_CONFIG_H
#define MOTE_FORMATS_GGUF_CONFIG_H

#include "formats/gguf.h"

/* llama.cpp's gpt2 has no form without biases: such a model is written with biases of zero and this key, false. */
#define MOTE_KEY_GPT2_BIAS "mote.gpt2.bias"
#define MOTE_ROPE_DIVISORS "rope_freqs.weight"

/* Reads keys "architecture.key"; the first failure is kept and makes the later reads do nothing. */
typedef struct {
    const mote_gguf *file;
    const char *architecture;
    mote_status status;
    mote_error *error;
} mote_gguf_keys;

enum { MOTE_KEY_BYTES = 96 };
const char *mote_gguf_full_key(const char *architecture, const char *key, char room[MOTE_KEY_BYTES]);
/* What is not in the file leaves the value as it is. */
void mote_gguf_read_integer(mote_gguf_keys *k, const char *key, int low, int high, int *value);
void mote_gguf_read_number(mote_gguf_keys *k, const char *key, double low, double high, float *value);
/* "FILE: WHAT, which mote cannot compute" */
void mote_gguf_refuse(mote_gguf_keys *k, const char *what, ...) __attribute__((format(printf, 2, 3)));

/* Everything in the file that says what is computed, its tensors' names included; not yet completed. */
mote_status mote_gguf_get_config(const mote_gguf *file, mote_config *config, mote_error *error);
void mote_gguf_put_config(mote_gguf_writer *w, const mote_config *config);

/* Rotary scaling: keys, and the divisors of Llama 3.1's kind as a tensor. The shape must have been read. */
void mote_gguf_read_scaling(mote_gguf_keys *k, mote_config *config);
void mote_gguf_put_scaling(mote_gguf_writer *w, const mote_config *config);
/* Values of the tensor MOTE_ROPE_DIVISORS that a file of this config has; 0: none. */
int mote_gguf_divisors(const mote_config *config);
void mote_gguf_write_divisors(mote_gguf_writer *w, const mote_config *config);


/* Scales of activations, under a key of mote's own (gguf_activations.c); type: what the weights are saved in. */
#define MOTE_KEY_ACTIVATION_SCALES "mote.activation_scales"
mote_status mote_gguf_put_activation_scales(mote_gguf_writer *w, const mote_model *model, mote_type type,
                                            mote_error *error);
mote_status mote_gguf_get_activation_scales(const mote_gguf *file, mote_model *model, mote_error *error);

#endif
