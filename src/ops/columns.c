/* Few rows: the threads share the columns of each op instead of its rows. What an op reads is often what the same
 * thread has just written (the activation of its own columns, the attention of its own heads), so the threads meet only
 * before an op that reads columns of others: five times a layer of a llama, where meeting after each op is fifteen
 * times. Worked out once for a program and a number of threads. */
#include "ops/ops.h"

/* Who has written a tensor since the threads last met. `units` is FIRST_THREAD, or how many equal units of columns the
 * threads shared; a note of an earlier `epoch` says nothing: everybody sees the tensor. */
enum { FIRST_THREAD = 0 };
typedef struct {
    int epoch, units, unit;
} note;

typedef struct {
    const mote_program *program;
    int threads, epoch;
    note *written; /* by tensor */
} sharing;

static bool is_fresh(const sharing *s, mote_tensor_id id) {
    return id != MOTE_NONE && s->written[id].epoch == s->epoch;
}

static int cols_of(const sharing *s, mote_tensor_id id) { return s->program->tensors[id].cols; }

/* Whether every thread's columns begin at a multiple of `step`. */
static bool fits(const sharing *s, int units, int unit, int step) {
    for (int t = 1; t < s->threads; t++)
        if ((int64_t)units * t / s->threads * unit % step) return false;
    return true;
}

/* The attention that alone reads what op i makes, perhaps after a rotation or a norm of each head; NULL: none. */
static const mote_op *attention_after(const sharing *s, int i) {
    const mote_program *p = s->program;
    mote_tensor_id id = p->ops[i].out[0];
    for (int next = i + 1; next < p->n_ops; next++) {
        const mote_op *op = &p->ops[next];
        int reads = 0;
        for (int j = 0; j < MOTE_OP_INPUTS; j++) reads += op->in[j] == id;
        if (op->kind == MOTE_OP_ATTENTION) return reads == 1 ? op : NULL; /* none where q, k and v are one tensor */
        if (!reads) continue;
        if (op->kind != MOTE_OP_ROPE && (op->kind != MOTE_OP_NORM || op->as.norm.group == cols_of(s, id))) return NULL;
        id = op->out[0];
    }
    return NULL;
}

/* Whole panels for a product; where attention reads it, whole heads of keys and what belongs to them. */
static mote_share share_linear(const sharing *s, int i) {
    int cols = cols_of(s, s->program->ops[i].out[0]), panels = (cols + MOTE_PANEL - 1) / MOTE_PANEL;
    const mote_op *attention = attention_after(s, i);
    int kv_heads = attention ? attention->as.attention.kv_heads : 0;
    if (kv_heads >= s->threads && fits(s, kv_heads, cols / kv_heads, MOTE_PANEL))
        return (mote_share){kv_heads, cols / kv_heads, false};
    return panels >= 2 ? (mote_share){panels, MOTE_PANEL, false} : (mote_share){0};
}

/* What works on the columns of its first input, `step` of them together: as that is shared. */
static mote_share share_columns(const sharing *s, const mote_op *op, int step) {
    if (!is_fresh(s, op->in[0])) return (mote_share){0};
    note from = s->written[op->in[0]];
    return fits(s, from.units, from.unit, step) ? (mote_share){from.units, from.unit, false} : (mote_share){0};
}

static mote_share share(const sharing *s, int i) {
    const mote_op *op = &s->program->ops[i];
    int kv_heads = op->as.attention.kv_heads;
    switch (op->kind) {
    case MOTE_OP_LINEAR: return share_linear(s, i);
    case MOTE_OP_ACTIVATE: return share_columns(s, op, 1);
    case MOTE_OP_ROPE: return share_columns(s, op, op->as.rope.turns.head_dim);
    case MOTE_OP_NORM:
        return op->as.norm.group < cols_of(s, op->in[0]) ? share_columns(s, op, op->as.norm.group) : (mote_share){0};
    case MOTE_OP_ATTENTION:
        return kv_heads >= s->threads ? (mote_share){kv_heads, op->as.attention.head_dim, false} : (mote_share){0};
    default: return (mote_share){0};
    }
}

/* Whether each thread reads of input j what it wrote itself. */
static bool reads_own(const sharing *s, const mote_op *op, const mote_share *to, int j) {
    note from = s->written[op->in[j]];
    if (to->units == 0) return from.units == FIRST_THREAD && mote_op_get(op->kind)->row_wise;
    if (from.units != to->units) return false;
    if (op->kind == MOTE_OP_ATTENTION)
        return op->in[0] != op->in[1] && from.unit * from.units == cols_of(s, op->in[j]); /* whole heads, no columns of
                                                                                            a wider tensor */
    return from.unit == to->unit && (op->kind != MOTE_OP_LINEAR || j == 3); /* of a product only the residual */
}

mote_status mote_share_columns(const mote_program *p, int threads, mote_share *shares, mote_error *error) {
    sharing s = {p, threads, 1, mote_allocate_zero((size_t)p->n_tensors + 1, sizeof *s.written)};
    if (!s.written) return mote_fail_memory(error, "sharing out a program", (size_t)p->n_tensors * sizeof *s.written);
    for (int i = 0; i < p->n_ops; i++) {
        const mote_op *op = &p->ops[i];
        bool collective = !mote_op_get(op->kind)->row_wise;
        shares[i] = share(&s, i);
        for (int j = 0; j < MOTE_OP_INPUTS; j++)
            if (is_fresh(&s, op->in[j]) && !reads_own(&s, op, &shares[i], j)) shares[i].meet = true;
        /* collective ops end with the threads together */
        if (shares[i].meet || collective) s.epoch++;
        for (int j = 0; j < MOTE_OP_OUTPUTS && !collective; j++)
            if (op->out[j] != MOTE_NONE) s.written[op->out[j]] = (note){s.epoch, shares[i].units, shares[i].unit};
    }
    mote_release(s.written);
    return MOTE_OK;
}
