/* Checkpoints: a GGUF file with the weights, "<prefix>.<weight>" tensors of optimizer state and averages, and the keys
 * mote.training.*. Options, shape and data stand in it to be compared, not to be taken over: a run goes on bit for bit
 * only when they are equal, and a difference is named. Reading checks everything before it changes the trainer.
 *
 * Free to differ: threads, and steps where the learning rates of the steps done are the same for both lengths
 * (constant; wsd before its decay; any schedule during its warm-up). */
#include <stdio.h>
#include <string.h>

#include "formats/gguf.h"
#include "train/options.h"
#include "train/schedule.h"
#include "train/trainer.h"

enum { FORMAT = 1, KEY_BYTES = 96 };

static const char average_prefix[] = "average";

/* ---- writing */

static void put_fields(mote_gguf_writer *w, const char *group, const mote_field *fields, size_t n, const void *object) {
    for (size_t i = 0; i < n; i++) {
        char key[KEY_BYTES];
        snprintf(key, sizeof key, "mote.training.%s.%s", group, fields[i].name);
        uint64_t bits = mote_field_bits(&fields[i], object);
        if (mote_field_is_real(&fields[i])) {
            double value;
            memcpy(&value, &bits, sizeof value);
            mote_gguf_put_f64(w, key, value);
        } else {
            mote_gguf_put_u64(w, key, bits);
        }
    }
}

/* The arrays of a weight: 0: itself, then its states, then its average. False: no more. */
static bool array_of(const mote_trainer *t, const mote_learned *learned, int i, const char **prefix,
                     mote_real **values) {
    if (i == 0) {
        *prefix = "";
        *values = learned->value;
    } else if (i <= learned->n_states) {
        *prefix = t->updater->info->state_prefix[i - 1];
        *values = learned->state[i - 1];
    } else if (i == learned->n_states + 1 && learned->average) {
        *prefix = average_prefix;
        *values = learned->average;
    } else {
        return false;
    }
    return true;
}

static bool array_name(char name[MOTE_NAME_BYTES], const char *prefix, const char *weight) {
    size_t a = strlen(prefix), b = strlen(weight), dot = a ? 1 : 0;
    name[0] = 0;
    if (a + dot + b >= MOTE_NAME_BYTES) return false;
    memcpy(name, prefix, a);
    if (dot) name[a] = '.';
    memcpy(name + a + dot, weight, b + 1);
    return true;
}

static void write_values(mote_gguf_writer *w, const mote_real *values, size_t n) {
    if (sizeof(mote_real) == sizeof(float)) {
        mote_gguf_write_tensor(w, values, n * sizeof *values);
        return;
    }
    float piece[256];
    for (size_t at = 0; at < n;) {
        size_t m = n - at < 256 ? n - at : 256;
        for (size_t i = 0; i < m; i++) piece[i] = (float)values[at + i];
        mote_gguf_write_tensor(w, piece, m * sizeof *piece);
        at += m;
    }
}

static void put_position(mote_gguf_writer *w, const mote_trainer *t) {
    mote_gguf_put_u64(w, "mote.training.step", (uint64_t)t->step);
    mote_gguf_put_u64(w, "mote.training.total_tokens", t->total_tokens);
    mote_gguf_put_u64(w, "mote.training.data.tokens", t->order.n_tokens);
    mote_gguf_put_u64(w, "mote.training.data.hash", mote_trainer_data_hash(t));
    mote_gguf_put_u64(w, "mote.training.data.epoch", t->order.epoch);
    mote_gguf_put_u64(w, "mote.training.data.index", t->order.index);
}

mote_status mote_trainer_save(const mote_trainer *t, const char *path, mote_error *error) {
    if (!t || !path) return mote_fail(error, MOTE_USAGE, "saving needs a trainer and a path");
    const mote_updater *u = t->updater;
    const char *prefix;
    mote_real *values;
    char name[MOTE_NAME_BYTES];
    for (int i = 0; i < u->n_learned; i++)
        for (int k = 0; array_of(t, &u->learned[i], k, &prefix, &values); k++)
            if (!array_name(name, prefix, u->learned[i].tensor->name))
                return mote_fail(error, MOTE_USAGE, "the tensor name '%s' is too long for a checkpoint",
                                 u->learned[i].tensor->name);
    mote_gguf_writer *w = NULL;
    mote_status status = mote_gguf_writer_open(path, &w, error);
    if (status) return status;
    mote_gguf_put_string(w, "general.architecture", "mote.checkpoint", strlen("mote.checkpoint"));
    mote_gguf_put_u32(w, "mote.training.format", FORMAT);
    put_position(w, t);
    put_fields(w, "model", mote_config_fields, mote_n_config_fields, &t->model->config);
    put_fields(w, "option", mote_train_fields, mote_n_train_fields, &t->options);
    for (int i = 0; i < u->n_learned; i++) {
        const mote_tensor *tensor = u->learned[i].tensor;
        for (int k = 0; array_of(t, &u->learned[i], k, &prefix, &values); k++) {
            array_name(name, prefix, tensor->name);
            mote_gguf_put_tensor(w, name, MOTE_TYPE_F32, (uint64_t)tensor->rows, (uint64_t)tensor->cols);
        }
    }
    mote_gguf_begin_data(w);
    for (int i = 0; i < u->n_learned; i++)
        for (int k = 0; array_of(t, &u->learned[i], k, &prefix, &values); k++) write_values(w, values, u->learned[i].n);
    return mote_gguf_finish(w, error);
}

/* ---- reading */

/* A 64-bit scalar of exactly this kind, as its bits. */
static mote_status read_bits(const mote_gguf *file, const char *key, mote_gguf_kind kind, uint64_t *bits,
                             mote_error *error) {
    const mote_gguf_entry *entry = mote_gguf_find(file, key);
    if (!entry || entry->kind != kind || entry->data_bytes != sizeof *bits)
        return mote_fail(error, MOTE_BAD_FILE, "%s: the checkpoint has no %s", file->map.path, key);
    *bits = mote_load_bytes(entry->data, sizeof *bits);
    return MOTE_OK;
}

/* Whether this run may have another number of steps than the checkpoint's, given all else is equal. */
static bool steps_may_differ(const mote_train_options *own, int64_t their_steps, uint64_t done) {
    mote_train_options theirs = *own;
    theirs.steps = their_steps;
    return done <= (uint64_t)mote_schedule_common_steps(own) && done <= (uint64_t)mote_schedule_common_steps(&theirs);
}

/* Fields that checkpoints of before did not have are left as they are in *object: unset. */
static mote_status read_fields(const mote_gguf *file, const char *group, const mote_field *fields, size_t n,
                               void *object, mote_error *error) {
    for (size_t i = 0; i < n; i++) {
        char key[KEY_BYTES];
        uint64_t bits = 0;
        snprintf(key, sizeof key, "mote.training.%s.%s", group, fields[i].name);
        if (fields[i].later && !mote_gguf_find(file, key)) continue;
        mote_status status =
            read_bits(file, key, mote_field_is_real(&fields[i]) ? MOTE_GGUF_F64 : MOTE_GGUF_U64, &bits, error);
        if (status) return status;
        mote_field_set(&fields[i], object, bits);
        if (mote_field_bits(&fields[i], object) != bits)
            return mote_fail(error, MOTE_BAD_FILE, "%s: the key '%s' has a value that is not possible", file->map.path,
                             key);
    }
    return MOTE_OK;
}

static mote_status compare_fields(const mote_gguf *file, const mote_trainer *t, const char *group,
                                  const mote_field *fields, size_t n, const void *theirs, const void *own,
                                  uint64_t done, mote_error *error) {
    for (size_t i = 0; i < n; i++) {
        char theirs_text[40], own_text[40];
        uint64_t theirs_bits = mote_field_bits(&fields[i], theirs), own_bits = mote_field_bits(&fields[i], own);
        if (theirs_bits == own_bits || fields[i].free) continue;
        bool steps = own == &t->options && fields[i].offset == offsetof(mote_train_options, steps);
        if (steps && theirs_bits > 0 && theirs_bits <= (uint64_t)fields[i].high &&
            steps_may_differ(&t->options, (int64_t)theirs_bits, done))
            continue;
        mote_field_print(&fields[i], theirs_bits, theirs_text, sizeof theirs_text);
        mote_field_print(&fields[i], own_bits, own_text, sizeof own_text);
        mote_fail(error, MOTE_USAGE, "%s: the checkpoint was written with %s %s %s, this run has %s", file->map.path,
                  group, fields[i].name, theirs_text, own_text);
        return mote_hint(error, MOTE_USAGE, "continue with the %s of the checkpoint, or start anew without it",
                         fields[i].name);
    }
    return MOTE_OK;
}

/* The run is the one that the checkpoint is of. A shape of before is completed, which gives it today's family. */
static mote_status compare_run(const mote_gguf *file, const mote_trainer *t, uint64_t done, mote_error *error) {
    mote_config config = {0};
    mote_train_options options = {0};
    mote_status status = read_fields(file, "model", mote_config_fields, mote_n_config_fields, &config, error);
    if (status == MOTE_OK)
        status = read_fields(file, "option", mote_train_fields, mote_n_train_fields, &options, error);
    if (status != MOTE_OK) return status;
    mote_config_complete(&config, NULL); /* a shape that is not possible differs from the run's below */
    status = compare_fields(file, t, "model", mote_config_fields, mote_n_config_fields, &config, &t->model->config,
                            done, error);
    if (status != MOTE_OK) return status;
    return compare_fields(file, t, "option", mote_train_fields, mote_n_train_fields, &options, &t->options, done,
                          error);
}

typedef struct {
    uint64_t step, total_tokens, tokens, hash, epoch, index;
} position;

static mote_status read_position(const mote_gguf *file, const mote_trainer *t, position *p, mote_error *error) {
    const char *path = file->map.path;
    const mote_gguf_entry *format = mote_gguf_find(file, "mote.training.format");
    if (!format || format->kind != MOTE_GGUF_U32 || format->data_bytes != 4 || mote_load_u32(format->data) != FORMAT)
        return mote_fail(error, MOTE_BAD_FILE, "%s is not a checkpoint of this version of mote", path);
    struct {
        const char *key;
        uint64_t *value;
    } keys[] = {
        {"mote.training.step", &p->step},         {"mote.training.total_tokens", &p->total_tokens},
        {"mote.training.data.tokens", &p->tokens}, {"mote.training.data.hash", &p->hash},
        {"mote.training.data.epoch", &p->epoch},   {"mote.training.data.index", &p->index},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        mote_status status = read_bits(file, keys[i].key, MOTE_GGUF_U64, keys[i].value, error);
        if (status) return status;
    }
    if (p->step > 1000000000000u)
        return mote_fail(error, MOTE_BAD_FILE, "%s: step %llu is not possible", path, (unsigned long long)p->step);
    if (p->tokens != t->order.n_tokens)
        return mote_fail(error, MOTE_USAGE,
                         "%s: the checkpoint was written with %llu training tokens, this run has %zu", path,
                         (unsigned long long)p->tokens, t->order.n_tokens);
    if (p->hash != mote_trainer_data_hash(t))
        return mote_fail(error, MOTE_USAGE,
                         "%s: the checkpoint was written with other data (%zu tokens as now, but different)", path,
                         t->order.n_tokens);
    return MOTE_OK;
}

static const mote_gguf_tensor *find_array(const mote_gguf *file, const char *prefix, const mote_learned *learned,
                                          mote_error *error) {
    char name[MOTE_NAME_BYTES];
    const mote_gguf_tensor *tensor =
        array_name(name, prefix, learned->tensor->name) ? mote_gguf_find_tensor(file, name) : NULL;
    if (!tensor) {
        mote_fail(error, MOTE_BAD_FILE, "%s: the checkpoint has no tensor '%s'", file->map.path, name);
        return NULL;
    }
    if (tensor->ggml_type != (uint32_t)mote_type_get(MOTE_TYPE_F32)->ggml_id ||
        tensor->bytes != learned->n * sizeof(float) || tensor->dims[0] != (uint64_t)learned->tensor->cols) {
        mote_fail(error, MOTE_BAD_FILE, "%s: the tensor '%s' is not f32 [%d, %d]", file->map.path, name,
                  learned->tensor->rows, learned->tensor->cols);
        return NULL;
    }
    return tensor;
}

/* Twice over all arrays: to check, then to copy. */
static mote_status read_arrays(const mote_gguf *file, mote_trainer *t, bool copy, mote_error *error) {
    for (int i = 0; i < t->updater->n_learned; i++) {
        const mote_learned *learned = &t->updater->learned[i];
        const char *prefix;
        mote_real *values;
        for (int k = 0; array_of(t, learned, k, &prefix, &values); k++) {
            const mote_gguf_tensor *tensor = find_array(file, prefix, learned, error);
            if (!tensor) return MOTE_BAD_FILE;
            for (size_t j = 0; copy && j < learned->n; j++) {
                float value;
                memcpy(&value, tensor->data + j * sizeof value, sizeof value);
                values[j] = (mote_real)value;
            }
        }
    }
    return MOTE_OK;
}

mote_status mote_trainer_resume(mote_trainer *t, const char *path, mote_error *error) {
    if (!t || !path) return mote_fail(error, MOTE_USAGE, "resuming needs a trainer and a path");
    mote_gguf file;
    mote_status status = mote_gguf_open(path, &file, error);
    if (status) return status;
    position p = {0};
    status = read_position(&file, t, &p, error);
    if (status) goto done;
    status = compare_run(&file, t, p.step, error);
    if (status) goto done;
    if (p.index > mote_data_order_windows(&t->order, p.epoch)) {
        status = mote_fail(error, MOTE_BAD_FILE, "%s: window %llu is past the end of its epoch", path,
                           (unsigned long long)p.index);
        goto done;
    }
    status = read_arrays(&file, t, false, error);
    if (status) goto done;
    read_arrays(&file, t, true, error);
    t->step = (int64_t)p.step;
    t->total_tokens = p.total_tokens;
    t->order.epoch = p.epoch;
    t->order.index = p.index;
    mote_trainer_repack(t);
done:
    mote_gguf_close(&file);
    return status;
}
