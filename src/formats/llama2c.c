/* Models in llama2.c's files (its export.py): a header of seven numbers, then the weights of one kind after another,
 * each kind for all layers. Version 0 has no magic and f32 weights; version 1 a header of 256 bytes; version 2 matrices
 * of int8 in groups with an f32 scale. Queries and keys are rotated in adjacent pairs, as in GGUF's llama, so rows keep
 * their order. Sizes follow from the header and must be the file's to the byte. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "formats/formats.h"
#include "formats/gguf.h"

#define MAGIC 0x616b3432u /* "ak42" */
enum { HEADER_BYTES = 28, PADDED_HEADER_BYTES = 256, GROUP_AT = 37, SHARED_AT = 36 };

/* Kinds of weights; ROTATIONS are two tables that nobody reads any more. */
enum { TABLE, ATTENTION_NORM, Q, K, V, OUTPUT, FEED_NORM, GATE, DOWN, UP, NORM, ROTATIONS, HEAD, END };
static const struct {
    const char *name;
    bool layered, matrix;
} kinds[END] = {
    [TABLE] = {"token_embd", false, true},         [ATTENTION_NORM] = {"attn_norm", true, false},
    [Q] = {"attn_q", true, true},                  [K] = {"attn_k", true, true},
    [V] = {"attn_v", true, true},                  [OUTPUT] = {"attn_output", true, true},
    [FEED_NORM] = {"ffn_norm", true, false},       [GATE] = {"ffn_gate", true, true},
    [DOWN] = {"ffn_down", true, true},             [UP] = {"ffn_up", true, true},
    [NORM] = {"output_norm", false, false},        [HEAD] = {"output", false, true},
};
static const uint8_t order_0[] = {TABLE, ATTENTION_NORM, Q,  K,    V,         OUTPUT, FEED_NORM,
                                  GATE,  DOWN,           UP, NORM, ROTATIONS, HEAD,   END};
static const uint8_t order_1[] = {ATTENTION_NORM, FEED_NORM, NORM, TABLE, Q,    K,  V,
                                  OUTPUT,         GATE,      DOWN, UP,    HEAD, END};

typedef struct {
    const char *name; /* for messages */
    const uint8_t *bytes;
    size_t size;
    int version, group;
    mote_config config;
    size_t at; /* bytes read */
} reader;

/* ---- the header */

enum { DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, CONTEXT, N_FIELDS };

static int version_of(const uint8_t *bytes, size_t size) {
    if (size < 8 || mote_load_u32(bytes) != MAGIC) return 0;
    uint32_t version = mote_load_u32(bytes + 4);
    return version <= INT32_MAX && version > 0 ? (int)version : -1;
}

static bool is_possible(const int32_t field[N_FIELDS]) {
    const int32_t most[N_FIELDS] = {MOTE_MOST_DIM, 8 * MOTE_MOST_DIM, MOTE_MOST_LAYERS, MOTE_MOST_DIM,
                                    MOTE_MOST_DIM, MOTE_MOST_VOCAB,   MOTE_MOST_CONTEXT};
    for (int i = 0; i < N_FIELDS; i++) {
        int64_t value = i == VOCAB && field[i] < 0 ? -(int64_t)field[i] : field[i];
        if (value < 1 || value > most[i]) return false;
    }
    return true;
}

static void load_fields(const uint8_t *bytes, int32_t field[N_FIELDS]) {
    for (int i = 0; i < N_FIELDS; i++) field[i] = (int32_t)mote_load_u32(bytes + 4 * i);
}

bool mote_llama2c_matches(const uint8_t *bytes, size_t size) {
    int32_t field[N_FIELDS];
    if (size >= 4 && mote_load_u32(bytes) == MAGIC) return true;
    if (size < HEADER_BYTES) return false;
    load_fields(bytes, field);
    return is_possible(field);
}

static mote_status set_config(reader *r, const int32_t field[N_FIELDS], bool tied, mote_error *error) {
    mote_config *c = &r->config;
    *c = mote_config_default(MOTE_FAMILY_LLAMA);
    c->dim = field[DIM];
    c->hidden = field[HIDDEN];
    c->layers = field[LAYERS];
    c->heads = field[HEADS];
    c->kv_heads = field[KV_HEADS];
    c->vocab = field[VOCAB] < 0 ? -field[VOCAB] : field[VOCAB];
    c->context = field[CONTEXT];
    c->tied = tied;
    c->norm_epsilon = 1e-5f;
    c->rope_base = 10000;
    if (c->dim % c->heads)
        return mote_fail(error, MOTE_BAD_FILE, "%s: a width of %d for %d heads", r->name, c->dim, c->heads);
    c->head_dim = c->dim / c->heads;
    mote_error problem = {0};
    mote_status status = mote_config_check(c, &problem);
    return status == MOTE_OK ? status : mote_fail(error, MOTE_BAD_FILE, "%s: %.400s", r->name, problem.message);
}

static mote_status read_padded_header(reader *r, const int32_t field[N_FIELDS], mote_error *error) {
    uint8_t shared = r->bytes[SHARED_AT];
    if (field[VOCAB] < 0)
        return mote_fail(error, MOTE_BAD_FILE, "%s: a vocabulary of %d", r->name, (int)field[VOCAB]);
    if (shared > 1)
        return mote_fail(error, MOTE_BAD_FILE, "%s: the mark of a shared head is %d, not 0 or 1", r->name, shared);
    size_t end = r->version == 2 ? GROUP_AT + 4 : GROUP_AT;
    for (size_t i = end; i < PADDED_HEADER_BYTES; i++)
        if (r->bytes[i])
            return mote_fail(error, MOTE_BAD_FILE, "%s: byte %zu of the header is padding and not zero", r->name, i);
    mote_status status = set_config(r, field, shared, error);
    if (status != MOTE_OK || r->version == 1) return status;
    uint32_t group = mote_load_u32(r->bytes + GROUP_AT);
    if (group < 1 || group > (uint32_t)r->config.dim || r->config.dim % (int)group)
        return mote_fail(error, MOTE_BAD_FILE, "%s: groups of %u values do not share out a width of %d", r->name, group,
                         r->config.dim);
    if (r->config.hidden % (int)group) { /* its exporter looks at the width alone */
        status = mote_fail(error, MOTE_BAD_FILE,
                           "%s: groups of %u values reach over the ends of rows of %d, where their scales are wrong",
                           r->name, group, r->config.hidden);
        return mote_hint(error, status, "export it again with a group size that divides both widths, or as version 0");
    }
    r->group = (int)group;
    return MOTE_OK;
}

static mote_status read_header(reader *r, mote_error *error) {
    int32_t field[N_FIELDS];
    r->version = version_of(r->bytes, r->size);
    if (r->version < 0 || r->version > 2)
        return mote_fail(error, MOTE_BAD_FILE, "%s: version %u of llama2.c's format; 0, 1 and 2 are known", r->name,
                         mote_load_u32(r->bytes + 4));
    size_t header = r->version ? PADDED_HEADER_BYTES : HEADER_BYTES;
    if (r->size < header)
        return mote_fail(error, MOTE_BAD_FILE, "%s: %zu bytes are less than the header's %zu", r->name, r->size,
                         header);
    load_fields(r->bytes + (r->version ? 8 : 0), field);
    if (!is_possible(field))
        return mote_fail(error, MOTE_BAD_FILE,
                         "%s: dim %d, hidden %d, layers %d, heads %d, kv heads %d, vocabulary %d, context %d are no "
                         "shape of a model",
                         r->name, (int)field[DIM], (int)field[HIDDEN], (int)field[LAYERS], (int)field[HEADS],
                         (int)field[KV_HEADS], (int)field[VOCAB], (int)field[CONTEXT]);
    r->at = header;
    return r->version ? read_padded_header(r, field, error) : set_config(r, field, field[VOCAB] > 0, error);
}

/* ---- the weights */

/* Values of all weights and, of version 0, the tables. The shape is within mote_config_check, so nothing overflows 64
 * bits: at most 512 layers of seven matrices of 2^35 values. */
static uint64_t count_bytes(const reader *r) {
    const mote_config *c = &r->config;
    uint64_t dim = (uint64_t)c->dim, hidden = (uint64_t)c->hidden, kv = (uint64_t)c->kv_heads * (uint64_t)c->head_dim;
    uint64_t norms = (2 * (uint64_t)c->layers + 1) * dim;
    uint64_t matrices = (uint64_t)c->layers * (2 * dim * dim + 2 * kv * dim + 3 * hidden * dim) +
                        (c->tied ? 1u : 2u) * (uint64_t)c->vocab * dim;
    if (r->version == 2) return 4 * norms + matrices + 4 * (matrices / (uint64_t)r->group);
    return 4 * (norms + matrices + (r->version ? 0 : (uint64_t)c->context * (uint64_t)c->head_dim));
}

static mote_tensor_id weight_id(const mote_model *model, int kind, int layer) {
    char name[MOTE_NAME_BYTES];
    if (kinds[kind].layered) snprintf(name, sizeof name, "blk.%d.%s.weight", layer, kinds[kind].name);
    else snprintf(name, sizeof name, "%s.weight", kinds[kind].name);
    return mote_program_find(model->program, name);
}

/* int8 values of a whole matrix, then a scale for each group of them; rows are whole groups. */
static mote_status dequantize(reader *r, const mote_tensor *t, float *to, mote_error *error) {
    size_t n = (size_t)t->rows * (size_t)t->cols, group = (size_t)r->group;
    const uint8_t *codes = r->bytes + r->at, *scales = codes + n;
    for (size_t g = 0; g < n / group; g++) {
        union { uint32_t bits; float value; } scale = {.bits = mote_load_u32(scales + 4 * g)};
        if (!isfinite(scale.value))
            return mote_fail(error, MOTE_BAD_FILE, "%s: tensor '%s' has a scale that is not finite", r->name, t->name);
        for (size_t i = 0; i < group; i++) to[g * group + i] = scale.value * (float)(int8_t)codes[g * group + i];
    }
    r->at += n + 4 * (n / group);
    return MOTE_OK;
}

static mote_status take_weight(reader *r, mote_model *model, int kind, int layer, mote_error *error) {
    mote_tensor_id id = weight_id(model, kind, layer);
    if (id == MOTE_NONE) return mote_fail(error, MOTE_FAILED, "the program has no weight '%s'", kinds[kind].name);
    const mote_tensor *t = &model->program->tensors[id];
    size_t bytes = (size_t)t->rows * (size_t)t->cols * sizeof(float);
    if (r->version == 2 && kinds[kind].matrix) return dequantize(r, t, model->weight[id], error);
    if (r->version == 2) memcpy(model->weight[id], r->bytes + r->at, bytes);
    else model->weight[id] = (void *)(uintptr_t)(r->bytes + r->at); /* read-only, as an opened model is */
    r->at += bytes;
    return MOTE_OK;
}

static mote_status take_weights(reader *r, mote_model *model, mote_error *error) {
    mote_status status = MOTE_OK;
    for (const uint8_t *kind = r->version ? order_1 : order_0; *kind != END && status == MOTE_OK; kind++) {
        if (*kind == ROTATIONS) {
            r->at += 4 * (size_t)r->config.context * (size_t)r->config.head_dim;
            continue;
        }
        if (*kind == HEAD && r->config.tied) continue;
        for (int layer = 0; layer < (kinds[*kind].layered ? r->config.layers : 1) && status == MOTE_OK; layer++)
            status = take_weight(r, model, *kind, layer, error);
    }
    return status;
}

mote_status mote_llama2c_parse(const uint8_t *bytes, size_t size, const char *name, mote_model **model,
                               mote_error *error) {
    reader r = {.name = name, .bytes = bytes, .size = size};
    mote_model *made = NULL;
    *model = NULL;
    mote_status status = mote_weights_are_of_files(error);
    if (status != MOTE_OK) return status;
    if (!mote_llama2c_matches(bytes, size)) return mote_fail(error, MOTE_BAD_FILE, "%s: no file of llama2.c", name);
    if (size < 8) return mote_fail(error, MOTE_BAD_FILE, "%s: ends inside the header", name);
    status = read_header(&r, error);
    if (status != MOTE_OK) return status;
    uint64_t needed = count_bytes(&r) + r.at;
    if (needed != size)
        return mote_fail(error, MOTE_BAD_FILE, "%s: has %zu bytes where its header tells of %llu", name, size,
                         (unsigned long long)needed);
    if ((uintptr_t)bytes % sizeof(float))
        return mote_fail(error, MOTE_USAGE, "%s: the bytes of a model lie at a multiple of 4", name);
    status = mote_model_allocate(&r.config, r.version == 2, &made, error);
    if (status == MOTE_OK) status = take_weights(&r, made, error);
    if (status == MOTE_OK) *model = made;
    else mote_model_close(made);
    return status;
}

mote_status mote_llama2c_open(mote_map *map, mote_model **model, mote_error *error) {
    mote_status status = mote_llama2c_parse(map->bytes, map->size, map->path, model, error);
    if (status != MOTE_OK || (*model)->arena) return status;
    (*model)->map = *map;
    *map = (mote_map){0};
    return status;
}

/* ---- writing */

static mote_status check_shape(const mote_config *c, const char *path, mote_error *error) {
    const char *what = NULL;
    if (c->family != MOTE_FAMILY_LLAMA) what = "another architecture than llama";
    else if (c->bias) what = "biases";
    else if (c->qk_norm) what = "norms of queries and keys";
    else if (c->head_dim * c->heads != c->dim) what = "heads that are not the width together";
    else if (c->rope_base != 10000) what = "a rotary base other than 10000";
    else if (c->rope_scaling != MOTE_ROPE_PLAIN) what = "scaled rotary positions";
    else if (c->no_rope_period) what = "layers without rotary positions";
    else if (c->query_scale != 0 && c->query_scale != 1 / sqrtf((float)c->head_dim)) what = "scaled queries";
    else if (c->window > 0 && c->window < c->context) what = "a sliding window";
    else if (c->norm_epsilon != 1e-5f) what = "an epsilon of its norms other than 1e-5";
    if (!what) return MOTE_OK;
    mote_status status =
        mote_fail(error, MOTE_USAGE, "%s: the model has %s, for which llama2.c's format has no place", path, what);
    return mote_hint(error, status, "GGUF holds it: give the path the ending .gguf");
}

static mote_status write_weight(mote_writer *writer, const mote_model *model, int kind, int layer, mote_error *error) {
    mote_tensor_id id = weight_id(model, kind, layer);
    const mote_tensor *t = id == MOTE_NONE ? NULL : &model->program->tensors[id];
    if (!t || !model->weight[id])
        return mote_fail(error, MOTE_USAGE, "the model has no weights '%s' to save", kinds[kind].name);
    mote_status status = mote_model_check_weight(model, id, error);
    if (status != MOTE_OK) return status;
    const char *data = model->weight[id];
    size_t cols = (size_t)t->cols, row_bytes = mote_row_bytes(t->type, cols);
    if (t->type == MOTE_TYPE_F32) {
        mote_writer_write(writer, data, row_bytes * (size_t)t->rows);
        return MOTE_OK;
    }
    float *row = mote_allocate(cols * sizeof *row);
    if (!row) return mote_fail_memory(error, "a row of weights", cols * sizeof *row);
    for (int i = 0; i < t->rows; i++, data += row_bytes) {
        mote_type_get(t->type)->to_f32(data, row, cols);
        mote_writer_write(writer, row, cols * sizeof *row);
    }
    mote_release(row);
    return MOTE_OK;
}

/* Cosines, then sines, of position times base^(-2i / head_dim): in f32, as the exporter computes them. */
static mote_status write_rotations(mote_writer *writer, const mote_config *c, mote_error *error) {
    size_t half = (size_t)c->head_dim / 2;
    float *row = mote_allocate(half * sizeof *row);
    if (!row) return mote_fail_memory(error, "a row of rotations", half * sizeof *row);
    for (int table = 0; table < 2; table++)
        for (int position = 0; position < c->context; position++) {
            for (size_t i = 0; i < half; i++) {
                float frequency = 1 / powf(c->rope_base, (float)(2 * i) / (float)c->head_dim);
                float angle = (float)position * frequency;
                row[i] = table ? sinf(angle) : cosf(angle);
            }
            mote_writer_write(writer, row, half * sizeof *row);
        }
    mote_release(row);
    return MOTE_OK;
}

mote_status mote_llama2c_save(const mote_model *model, const char *path, mote_type type, mote_error *error) {
    const mote_config *c = &model->config;
    mote_writer *writer = NULL;
    mote_status status = mote_weights_are_of_files(error);
    if (status == MOTE_OK) status = check_shape(c, path, error);
    if (status != MOTE_OK) return status;
    if (type != MOTE_TYPE_F32 && type != MOTE_TYPE_KEEP) {
        status = mote_fail(error, MOTE_USAGE, "%s: llama2.c's files hold f32 weights, not %s", path,
                           mote_type_name(type));
        return mote_hint(error, status, "GGUF holds it: give the path the ending .gguf");
    }
    if ((status = mote_writer_open(path, &writer, error)) != MOTE_OK) return status;
    const int32_t header[N_FIELDS] = {c->dim,      c->hidden, c->layers, c->heads,
                                      c->kv_heads, c->tied ? c->vocab : -c->vocab, c->context};
    mote_writer_write(writer, header, sizeof header);
    for (const uint8_t *kind = order_0; *kind != END && status == MOTE_OK; kind++) {
        if (*kind == HEAD && c->tied) continue;
        if (*kind == ROTATIONS) status = write_rotations(writer, c, error);
        for (int i = 0; *kind != ROTATIONS && i < (kinds[*kind].layered ? c->layers : 1) && status == MOTE_OK; i++)
            status = write_weight(writer, model, *kind, i, error);
    }
    if (status == MOTE_OK) return mote_writer_commit(writer, error);
    mote_writer_abort(writer);
    return status;
}
