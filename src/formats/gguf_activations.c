/* Scales of activations in a model's file: `mote.activation_scales`, an array of f32, one for each distinct input of
 * the program's products in the order in which they are first read. A positive one is what products read that input
 * by, and all of them are of i8; 0: each block of 32 values by its own. Without the key all are 0. Scales of a wrong
 * number, that are no ordinary number, or that stand where a product is not of i8, are a damaged file's. */
#include "formats/gguf.h"
#include "formats/gguf_config.h"
#include "models/model.h"

/* The distinct inputs of products; list: room for as many as there are ops. */
static int list_inputs(const mote_program *p, mote_tensor_id *list) {
    int n = 0;
    for (int i = 0; i < p->n_ops; i++) {
        if (p->ops[i].kind != MOTE_OP_LINEAR && p->ops[i].kind != MOTE_OP_HEAD) continue;
        int j = 0;
        while (j < n && list[j] != p->ops[i].in[0]) j++;
        if (j == n) list[n++] = p->ops[i].in[0];
    }
    return n;
}

/* A weight that reads this input and is not of i8; NULL: there is none. `types`: by tensor id. */
static const mote_tensor *other_reader(const mote_program *p, mote_tensor_id input, const mote_type *types) {
    for (int i = 0; i < p->n_ops; i++) {
        if (p->ops[i].kind != MOTE_OP_LINEAR && p->ops[i].kind != MOTE_OP_HEAD) continue;
        if (p->ops[i].in[0] == input && types[p->ops[i].in[1]] != MOTE_TYPE_I8) return &p->tensors[p->ops[i].in[1]];
    }
    return NULL;
}

typedef struct {
    mote_tensor_id *inputs;
    mote_type *types; /* by tensor id, as in the file */
    float *scales;    /* by input */
    int n;
} listing;

static mote_status list(const mote_model *model, listing *l, mote_error *error) {
    const mote_program *p = model->program;
    l->inputs = mote_allocate((size_t)p->n_ops * sizeof *l->inputs + 1);
    l->types = mote_allocate_zero((size_t)p->n_tensors + 1, sizeof *l->types);
    l->scales = mote_allocate_zero((size_t)p->n_ops + 1, sizeof *l->scales);
    if (!l->inputs || !l->types || !l->scales) return mote_fail_memory(error, "scales", (size_t)p->n_tensors);
    l->n = list_inputs(p, l->inputs);
    return MOTE_OK;
}

static void release(listing *l) {
    mote_release(l->inputs);
    mote_release(l->types);
    mote_release(l->scales);
}

mote_status mote_gguf_put_activation_scales(mote_gguf_writer *w, const mote_model *model, mote_type type,
                                            mote_error *error) {
    const mote_program *p = model->program;
    listing l = {0};
    bool any = false;
    if (!model->activation_scale) return MOTE_OK;
    mote_status status = list(model, &l, error);
    for (int id = 0; id < p->n_tensors && status == MOTE_OK; id++)
        if (p->tensors[id].role == MOTE_ROLE_WEIGHT)
            l.types[id] = type == MOTE_TYPE_KEEP ? mote_model_stored(model, id).type : type;
    for (int i = 0; i < l.n && status == MOTE_OK; i++) {
        if (!other_reader(p, l.inputs[i], l.types)) l.scales[i] = model->activation_scale[l.inputs[i]];
        any = any || l.scales[i] > 0;
    }
    if (status == MOTE_OK && any) mote_gguf_put_f32s(w, MOTE_KEY_ACTIVATION_SCALES, l.scales, (size_t)l.n);
    release(&l);
    return status;
}

mote_status mote_gguf_get_activation_scales(const mote_gguf *file, mote_model *model, mote_error *error) {
    const mote_program *p = model->program;
    mote_status status = MOTE_OK;
    const mote_gguf_entry *found = mote_gguf_array(file, MOTE_KEY_ACTIVATION_SCALES, MOTE_GGUF_F32, &status, error);
    listing l = {0};
    if (!found) return status;
    status = list(model, &l, error);
    if (status != MOTE_OK) goto done;
    if (found->count != (uint64_t)l.n) {
        status = mote_fail(error, MOTE_BAD_FILE, "%s: '%s' has %llu scales; the products of this model have %d inputs",
                           file->name, MOTE_KEY_ACTIVATION_SCALES, (unsigned long long)found->count, l.n);
        goto done;
    }
    model->activation_scale = mote_allocate_zero((size_t)p->n_tensors + 1, sizeof *model->activation_scale);
    if (!model->activation_scale) status = mote_fail_memory(error, "scales", (size_t)p->n_tensors * sizeof(float));
    for (int id = 0; id < p->n_tensors; id++) l.types[id] = p->tensors[id].type;
    for (int i = 0; i < l.n && status == MOTE_OK; i++) {
        const float scale = (float)mote_gguf_load_number(found->data + 4 * (size_t)i, MOTE_GGUF_F32);
        const char *name = p->tensors[l.inputs[i]].name;
        const mote_tensor *other = other_reader(p, l.inputs[i], l.types);
        if (scale == 0) continue;
        if (!mote_activation_scale_is_usable(scale))
            status = mote_fail(error, MOTE_BAD_FILE, "%s: '%s' has the scale %g for '%s'; 1e-30 to 1e30 are possible",
                               file->name, MOTE_KEY_ACTIVATION_SCALES, (double)scale, name);
        else if (other)
            status =
                mote_fail(error, MOTE_BAD_FILE, "%s: '%s' has a scale for '%s', which '%s' of %s reads: it is for i8",
                          file->name, MOTE_KEY_ACTIVATION_SCALES, name, other->name, mote_type_name(other->type));
        else model->activation_scale[l.inputs[i]] = scale;
    }
done:
    release(&l);
    return status;
}
