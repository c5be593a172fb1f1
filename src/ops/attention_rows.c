/* Attention of a batch of which each sequence has one row: decoding. A thread has some heads of keys of one sequence,
 * from storing to the sums, and the kernel takes them all at once. */
#include "ops/attention.h"

#include <string.h>

/* Heads of keys [first, end) of one sequence. */
static void attend(const mote_exec *x, const mote_op *op, mote_worker *w, const mote_sequence *s, int first, int end) {
    int n = op->as.attention.head_dim, group = op->as.attention.heads / op->as.attention.kv_heads;
    size_t context = (size_t)x->state_context, width = (size_t)mote_attention_value_width(n), at = (size_t)s->position;
    const mote_attention_memory m = mote_attention_state(x, op, s, first);
    mote_real *keys = m.keys, *values = m.values;
    const mote_real *k = mote_value(x, op->in[1], s->begin) + op->as.attention.k_column + first * n;
    const mote_real *v = mote_value(x, op->in[2], s->begin) + op->as.attention.v_column + first * n;
    mote_real *key = keys + at / MOTE_PANEL * (size_t)n * MOTE_PANEL + at % MOTE_PANEL, *value = values + at * width;
    for (int head = first; head < end; head++) {
        for (int i = 0; i < n; i++) key[i * MOTE_PANEL] = k[i];
        for (int i = 0; i < n; i++) value[i] = v[i];
        key += context * (size_t)n, value += context * width, k += n, v += n;
    }
    size_t seen = (size_t)mote_first_key(op, s->position) / MOTE_PANEL * MOTE_PANEL,
           query = (size_t)(first * group * n);
    mote_attend a = {
        .heads = end - first, .group = group, .columns = n,
        .low = mote_first_key(op, s->position) - (int)seen, .high = s->position + 1 - (int)seen,
        .scale = op->as.attention.scale,
        .q = mote_value(x, op->in[0], s->begin) + op->as.attention.q_column + query,
        .keys = keys + seen * (size_t)n, .values = values + seen * width,
        .keys_head = context * (size_t)n, .values_head = context * width, .value_row = width,
        .scores = mote_take_scratch(x, w), .y = mote_value(x, op->out[0], s->begin) + query,
    };
    x->kernels->attend(&a);
}

void mote_attend_rows(const mote_exec *x, const mote_op *op, mote_worker *w) {
    const mote_share *share = &x->shares[op - x->program->ops];
    int kv_heads = op->as.attention.kv_heads;
    if (w->few && share->units) { /* each thread the heads that it has made itself */
        int first = mote_share_begin(share, w->thread, w->threads),
            end = mote_share_begin(share, w->thread + 1, w->threads);
        for (int i = 0; i < x->n_sequences && first < end; i++) attend(x, op, w, &x->sequence[i], first, end);
    } else {
        int parts = x->n_sequences < w->threads ? kv_heads : 1; /* of a sequence */
        for (int part; (part = mote_part(x, w, x->n_sequences * parts)) >= 0;) {
            int first = part % parts, end = parts == 1 ? kv_heads : first + 1;
            attend(x, op, w, &x->sequence[part / parts], first, end);
        }
    }
    mote_phase_end(x, w);
}
