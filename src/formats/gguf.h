/* GGUF v2 and v3 files: keys and tensors, read from a mapping with every length checked, written in one pass.
 * Format: ggml's docs/gguf.md. A file of mote carries two checksum keys: mote.checksum.tensors (array of u64: XXH64 of
 * each tensor's bytes, in order) and mote.checksum.header (u64: XXH64 of everything up to the end of the tensor
 * descriptions, its own eight bytes taken as zero). With padding checked to be zero, no byte of such a file is
 * uncovered. */
#ifndef MOTE_FORMATS_GGUF_H
#define MOTE_FORMATS_GGUF_H

#include "base/files.h"
#include "base/memory.h"
#include "quant/types.h"
#include "text/pipeline.h"

#define MOTE_KEY_TENSOR_SUMS "mote.checksum.tensors"
#define MOTE_KEY_HEADER_SUM "mote.checksum.header"
/* Written by itself where it is so: the names of types in the file that ggml does not have (array of strings), and
 * true where rows are not whole blocks, so that the last block of each is padded. */
#define MOTE_KEY_TYPES "mote.types"
#define MOTE_KEY_PADDED_ROWS "mote.padded_rows"

typedef enum {
    MOTE_GGUF_U8,
    MOTE_GGUF_I8,
    MOTE_GGUF_U16,
    MOTE_GGUF_I16,
    MOTE_GGUF_U32,
    MOTE_GGUF_I32,
    MOTE_GGUF_F32,
    MOTE_GGUF_BOOL,
    MOTE_GGUF_STRING,
    MOTE_GGUF_ARRAY,
    MOTE_GGUF_U64,
    MOTE_GGUF_I64,
    MOTE_GGUF_F64,
    MOTE_GGUF_N_KINDS
} mote_gguf_kind;

typedef struct {
    mote_string key; /* first: the index of names relies on it */
    mote_gguf_kind kind, element; /* element: of an array */
    uint64_t count;               /* of an array, else 1 */
    const uint8_t *data; /* in the mapping: scalars and array elements little-endian; a string without its length */
    size_t data_bytes;
} mote_gguf_entry;

typedef struct {
    mote_string name; /* first, as above */
    int n_dims;
    uint32_t ggml_type;
    uint64_t dims[4]; /* dims[0]: row length; 1 beyond n_dims */
    const uint8_t *data;
    size_t bytes; /* 0 where the type is not known */
} mote_gguf_tensor;

/* Open addressing over an array of structs that begin with their name. */
typedef struct {
    uint32_t *slots; /* element + 1; 0: free */
    size_t n_slots;  /* a power of two, at least 4 n */
} mote_gguf_index;

typedef struct {
    mote_map map;
    bool owns_map;
    const char *name; /* for messages */
    uint32_t version, alignment;
    size_t header_bytes, data_offset; /* end of the tensor descriptions; where tensor data begins */
    bool padded_rows;                 /* its rows may end within a block */
    bool checksums;                   /* carried; the header's is verified, and so are the tensors' unless: */
    bool checks_put_off;              /* the tensors' bytes are checked by who uses them (mote_model_check_weight) */
    const uint8_t *sums;              /* u64 for each tensor; NULL: not carried */
    mote_gguf_entry *entries;
    size_t n_entries;
    mote_gguf_tensor *tensors;
    size_t n_tensors;
    mote_gguf_index entry_index, tensor_index;
    mote_arena arena;
} mote_gguf;

/* ---- reading (formats/gguf_read.c; typed reads in gguf_values.c) */

/* Opens and checks the structure; verifies mote.checksum.* when the file has them. */
mote_status mote_gguf_open(const char *path, mote_gguf *file, mote_error *error);
/* The same of a map, which is taken over, also by a failure. The tensors of a large file are not read: their checksums
 * are put off, so that a file of any size opens at once and its pages come as they are needed. */
mote_status mote_gguf_take(mote_map *map, mote_gguf *file, mote_error *error);
enum { MOTE_GGUF_READ_AT_ONCE = 64 << 20 }; /* bytes of a file that is checked whole when it is opened: 20 ms */
/* The same from memory that outlives `file` (fuzzing). `name` is for messages. */
mote_status mote_gguf_parse(const uint8_t *bytes, size_t size, const char *name, mote_gguf *file, mote_error *error);
void mote_gguf_close(mote_gguf *file); /* also after a failed open */

const mote_gguf_entry *mote_gguf_find(const mote_gguf *file, const char *key);
const mote_gguf_tensor *mote_gguf_find_tensor(const mote_gguf *file, const char *name);
/* Typed reads of scalars: any integer kind for integers, any number for floats. False with nothing written: no such
 * key; a key of a wrong kind or out of [low, high] is an error in *status (already filled), message in *error. */
bool mote_gguf_integer(const mote_gguf *file, const char *key, int64_t low, int64_t high, int64_t *value,
                       mote_status *status, mote_error *error);
bool mote_gguf_number(const mote_gguf *file, const char *key, double low, double high, double *value,
                      mote_status *status, mote_error *error);
bool mote_gguf_bool(const mote_gguf *file, const char *key, bool *value, mote_status *status, mote_error *error);
bool mote_gguf_string(const mote_gguf *file, const char *key, mote_string *value, mote_status *status,
                      mote_error *error);
/* An array of one kind of element; NULL: no such key, or a wrong kind (*status). */
const mote_gguf_entry *mote_gguf_array(const mote_gguf *file, const char *key, mote_gguf_kind element,
                                       mote_status *status, mote_error *error);

/* What a value's bytes say. `data` points to checked bytes of that kind. */
bool mote_gguf_is_integer(mote_gguf_kind kind);
size_t mote_gguf_kind_bytes(mote_gguf_kind kind); /* of a scalar; 0 for strings and arrays */
const char *mote_gguf_kind_name(mote_gguf_kind kind);
double mote_gguf_load_number(const uint8_t *data, mote_gguf_kind kind); /* any number kind */
mote_string mote_gguf_next_string(const uint8_t **at);                /* of an array of strings */

/* What mote_gguf_inspect says of a file that is open. */
mote_status mote_gguf_show(const mote_gguf *file, bool json, char **text, mote_error *error);

/* A name from a file, cut to the room and safe to print: control bytes and what is not ASCII become '?'. */
enum { MOTE_SHOWN_BYTES = 80 };
const char *mote_gguf_shown(mote_string name, char room[MOTE_SHOWN_BYTES]);

/* The types ggml has, whether mote computes with them or not. */
typedef struct {
    uint32_t id;
    const char *name;
    uint32_t block_values, block_bytes, row_header_bytes, half_block_bytes; /* as in mote_type_info */
} mote_ggml_type;
const mote_ggml_type *mote_ggml_type_get(uint32_t id); /* NULL: not known */

/* ---- writing: keys first, then the tensors' descriptions, then begin_data, then each tensor's bytes in the same
 * order. Checksums of every tensor and of the header are added by itself (two passes over the data are avoided: the
 * sums stand in the header as an array that is filled in before commit). Failures are kept; finish reports the first.
 * The bytes depend on what was put and on nothing else: no date, no path. */
typedef struct mote_gguf_writer mote_gguf_writer;
/* path NULL: nothing is written, only measured. */
mote_status mote_gguf_writer_open(const char *path, mote_gguf_writer **writer, mote_error *error);
void mote_gguf_put_u32(mote_gguf_writer *w, const char *key, uint32_t value);
void mote_gguf_put_u64(mote_gguf_writer *w, const char *key, uint64_t value);
void mote_gguf_put_f32(mote_gguf_writer *w, const char *key, float value);
void mote_gguf_put_f64(mote_gguf_writer *w, const char *key, double value);
void mote_gguf_put_bool(mote_gguf_writer *w, const char *key, bool value);
void mote_gguf_put_string(mote_gguf_writer *w, const char *key, const char *bytes, size_t size);
void mote_gguf_put_strings(mote_gguf_writer *w, const char *key, const mote_string *strings, size_t n);
void mote_gguf_put_i32s(mote_gguf_writer *w, const char *key, const int32_t *values, size_t n);
void mote_gguf_put_f32s(mote_gguf_writer *w, const char *key, const float *values, size_t n);
void mote_gguf_put_u8s(mote_gguf_writer *w, const char *key, const uint8_t *values, size_t n);
void mote_gguf_put_u64s(mote_gguf_writer *w, const char *key, const uint64_t *values, size_t n);
/* rows 0: a vector of cols values */
void mote_gguf_put_tensor(mote_gguf_writer *w, const char *name, mote_type type, uint64_t rows, uint64_t cols);
void mote_gguf_begin_data(mote_gguf_writer *w);
/* After begin_data: the bytes of the whole file. */
mote_status mote_gguf_measure(const mote_gguf_writer *w, uint64_t *bytes, mote_error *error);
void mote_gguf_write_tensor(mote_gguf_writer *w, const void *bytes,
                            size_t size);                             /* may come in pieces; padded when whole */
mote_status mote_gguf_finish(mote_gguf_writer *w, mote_error *error); /* commits; frees the writer, always */
void mote_gguf_abort(mote_gguf_writer *w);                            /* NULL is fine */

/* ---- models in GGUF (formats/gguf_model.c, gguf_tokenizer.c) */

/* MOTE_OK where weights lie in memory as they do in files: little-endian, f32. */
mote_status mote_weights_are_of_files(mote_error *error);
/* Builds the model a parsed file describes. The mapping goes over to the model where the file owns it; else the bytes
 * must outlive the model. */
mote_status mote_gguf_build_model(mote_gguf *file, mote_model **model, mote_error *error);
mote_status mote_gguf_open_model(mote_map *map, mote_model **model, mote_error *error); /* takes the map over */
/* Puts a tokenizer's keys; reads them back (NULL tokenizer where the file has none). */
mote_status mote_gguf_put_tokenizer(mote_gguf_writer *w, const mote_tokenizer *tokenizer, mote_error *error);
mote_status mote_gguf_get_tokenizer(const mote_gguf *file, mote_tokenizer **tokenizer, mote_error *error);
/* A pipeline that GGUF's own keys cannot say, as strings: for each step its name, flags, text and content, and the
 * model's flags first. What they point to lives in the arena. */
bool mote_pipeline_to_strings(const mote_pipeline *pipeline, mote_arena *arena, mote_string **strings, size_t *n);
mote_status mote_pipeline_from_strings(const mote_string *strings, size_t n, mote_string charsmap, const char *name,
                                       mote_arena *arena, mote_pipeline *pipeline, mote_error *error);
/* Turns the parts of tokenizers that came from elsewhere into what GGUF's readers take. False: out of memory. */
bool mote_gguf_fit_tokenizer(mote_tokenizer_parts *parts, mote_arena *arena);
/* How other programs write the model's turns: its own template, or ChatML's where its tokenizer has these tokens; NULL:
 * none. */
const char *mote_chat_template_of(const mote_model *model);

#endif
