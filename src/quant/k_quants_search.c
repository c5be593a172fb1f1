/* Scales and codes of blocks in parts. First each part by itself, then the block's scale from the largest of them,
 * then, for that scale as f16 keeps it, the whole scale (and offset) of each part anew. */
#include "quant/k_quants.h"

typedef struct {
    const float *values, *importance; /* of one part; importance may be NULL */
    int n, low, high;
} part;

static part part_at(const mote_k_form *form, const float *values, const float *importance, int p) {
    int at = p * form->part_values;
    return (part){values + at, importance ? importance + at : NULL, form->part_values, form->low, form->high};
}

static float error_of(const part *p, float scale, float offset) {
    const float inverse = mote_inverse(scale);
    float error = 0;
    for (int i = 0; i < p->n; i++) {
        float code = (float)mote_nearest((p->values[i] + offset) * inverse, p->low, p->high);
        float difference = p->values[i] + offset - scale * code;
        error += (p->importance ? p->importance[i] : 1) * difference * difference;
    }
    return error;
}

static float half_of(float value) { return mote_f16_to_f32(mote_f32_to_f16(value)); }

/* The signed value that is largest by magnitude. */
static float extreme_of(const float *values, int n) {
    float most = 0, extreme = 0;
    for (int i = 0; i < n; i++)
        if (fabsf(values[i]) > most) most = fabsf(values[i]), extreme = values[i];
    return extreme;
}

static void range_of(const part *p, float *d, float *m) {
    float low = 0, high = 0;
    for (int i = 0; i < p->n; i++) {
        low = p->values[i] < low ? p->values[i] : low;
        high = p->values[i] > high ? p->values[i] : high;
    }
    *m = low;
    *d = (high - low) / (float)p->high;
}

/* Tries the whole numbers around those that were rounded to. */
static void refine(const mote_k_form *form, const part *p, const mote_k_block *k, int16_t *scale, int16_t *offset) {
    const int first_scale = *scale, first_offset = *offset, reach = form->offsets ? 1 : 0;
    float least = INFINITY;
    for (int s = first_scale - 1; s <= first_scale + 1; s++) {
        for (int o = first_offset - reach; o <= first_offset + reach; o++) {
            if (s < form->scale_low || s > form->scale_high || o < 0 || o > form->scale_high) continue;
            float error = error_of(p, k->d * (float)s, k->dmin * (float)o);
            if (error < least) least = error, *scale = (int16_t)s, *offset = (int16_t)o;
        }
    }
}

void mote_k_encode(const mote_k_form *form, const float *values, const float *importance, bool search,
                   mote_k_block *k) {
    const int parts = MOTE_K_VALUES / form->part_values;
    float scale[MOTE_K_MOST_PARTS], offset[MOTE_K_MOST_PARTS] = {0};
    for (int i = 0; i < parts; i++) {
        part p = part_at(form, values, importance, i);
        if (!form->offsets)
            scale[i] = search ? mote_search_scale(p.values, p.importance, p.n, p.low, p.high)
                              : extreme_of(p.values, p.n) / (float)p.low;
        else if (search) mote_search_affine(p.values, p.importance, p.n, p.high, 0, &scale[i], &offset[i]);
        else range_of(&p, &scale[i], &offset[i]);
    }
    /* The extreme scale falls on the end of the range that reaches farther. */
    k->d = half_of(extreme_of(scale, parts) / (float)(form->offsets ? form->scale_high : form->scale_low));
    k->dmin = half_of(-extreme_of(offset, parts) / (float)form->scale_high);
    const float inverse = mote_inverse(k->d), inverse_min = mote_inverse(k->dmin);
    for (int i = 0; i < parts; i++) {
        part p = part_at(form, values, importance, i);
        k->scale[i] = (int16_t)mote_nearest(scale[i] * inverse, form->scale_low, form->scale_high);
        k->offset[i] = (int16_t)mote_nearest(-offset[i] * inverse_min, 0, form->scale_high);
        if (search) refine(form, &p, k, &k->scale[i], &k->offset[i]);
        const float d = mote_inverse(k->d * (float)k->scale[i]), m = k->dmin * (float)k->offset[i];
        for (int j = 0; j < p.n; j++)
            k->code[i * p.n + j] = (int8_t)mote_nearest((p.values[j] + m) * d, p.low, p.high);
    }
}
