/* The memory of an exec: one block for all it needs, laid out once. The same walk measures the block, for the plan that
 * is made before anything is allocated, and hands out its parts, so that the two cannot disagree. */
#include <math.h>
#include <string.h>

#include "kernels/bytes.h"
#include "ops/attention.h"
#include "ops/rope.h"

enum {
    /* The least vocabulary whose head is worth 8 bits in forward: a smaller one costs little, and errors of the logits
     * are in every gradient. */
    LEAST_HEAD = 1024,
    CHUNK_BYTES = 32 << 20, /* logits of a chunk of the head */
    LINE = 64,              /* of a cache: every part begins with one */
};

static size_t aligned(size_t bytes) { return (bytes + LINE - 1) / LINE * LINE; }

/* a * b * c values in bytes, added to *sum; SIZE_MAX once it does not fit. */
static size_t count(size_t *sum, size_t a, size_t b, size_t c) {
    size_t bytes;
    if (*sum == SIZE_MAX || !mote_multiply(a, b, &bytes) || !mote_multiply(bytes, c, &bytes) ||
        !mote_multiply(bytes, sizeof(mote_real), &bytes) || bytes > SIZE_MAX / 8) {
        *sum = SIZE_MAX;
        return 0;
    }
    *sum += aligned(bytes);
    return aligned(bytes);
}

/* Where in the one block of an exec each part lies; the same walk measures and hands out. */
typedef struct {
    char *base; /* NULL: only measure */
    size_t at;
    mote_exec_bytes bytes;
} layout;

static void *take(layout *l, size_t bytes) {
    void *p = l->base ? l->base + l->at : NULL;
    l->at += aligned(bytes);
    return p;
}

/* The lists of an exec, by tensor, op and thread. They come first: what follows writes to them. */
static void lay_lists(mote_exec *x, layout *l, int threads) {
    const size_t n = (size_t)x->program->n_tensors, n_ops = (size_t)x->program->n_ops;
    x->value = take(l, n * sizeof *x->value);
    x->gradient = take(l, n * sizeof *x->gradient);
    x->strips = take(l, n * sizeof *x->strips);
    x->by_blas = take(l, n);
    x->columns = take(l, n_ops * sizeof *x->columns);
    x->makes_columns = take(l, n_ops * sizeof *x->makes_columns);
    x->rope = take(l, n_ops * sizeof *x->rope);
    x->shares = take(l, n_ops * sizeof *x->shares);
    x->calls = take(l, n_ops * sizeof *x->calls);
    x->scratch = take(l, (size_t)threads * sizeof *x->scratch);
    x->next = take(l, (size_t)threads * sizeof *x->next);
    if (x->bytes || x->pairs || x->rounded != MOTE_TYPE_F32) x->own_packed = take(l, n * sizeof *x->own_packed);
    l->bytes.lists = l->at;
    if (!l->base || !x->own_packed) return;
    memcpy(x->own_packed, x->packed, n * sizeof *x->packed);
    x->packed = x->own_packed;
}

static bool shares_table(const mote_op *a, const mote_op *b) {
    return b->kind == MOTE_OP_ROPE && memcmp(&a->as.rope.turns, &b->as.rope.turns, sizeof(mote_turns)) == 0;
}

/* Rope tables: one for all ops of the same turns. */
static void lay_tables(mote_exec *x, layout *l, const mote_exec_options *options) {
    size_t begin = l->at;
    for (int i = 0; i < x->program->n_ops; i++) {
        const mote_op *op = &x->program->ops[i];
        if (op->kind != MOTE_OP_ROPE) continue;
        int other = 0;
        while (other < i && !shares_table(op, &x->program->ops[other])) other++;
        if (other < i) {
            if (l->base) x->rope[i] = x->rope[other];
            continue;
        }
        const mote_turns *turns = &op->as.rope.turns;
        size_t pairs = (size_t)turns->head_dim / 2;
        mote_real *table = take(l, (size_t)options->context * pairs * 2 * sizeof *table);
        if (!l->base) continue;
        x->rope[i] = table;
        for (size_t j = 0; j < pairs; j++) {
            double frequency = mote_turns_frequency(turns, (int)j);
            double length = turns->scaling == MOTE_ROPE_YARN ? (double)turns->attention : 1;
            for (int position = 0; position < options->context; position++) {
                table[((size_t)position * pairs + j) * 2] = (mote_real)(length * cos(position * frequency));
                table[((size_t)position * pairs + j) * 2 + 1] = (mote_real)(length * sin(position * frequency));
            }
        }
    }
    l->bytes.tables = l->at - begin;
}

/* Keys and values of sessions; training and evaluation keep theirs in attention's scratch. */
static void lay_states(mote_exec *x, layout *l, const mote_exec_options *options) {
    size_t begin = l->at;
    for (int i = 0; i < x->program->n_tensors && !x->private_state; i++) {
        if (x->program->tensors[i].role != MOTE_ROLE_STATE) continue;
        mote_real *state = take(l, (size_t)options->slots * mote_attention_state_bytes(x, (mote_tensor_id)i));
        if (l->base) x->value[i] = state;
    }
    l->bytes.states = l->at - begin;
}

static void lay_weight_gradients(mote_exec *x, layout *l, const mote_exec_options *options) {
    size_t begin = l->at;
    for (int i = 0; i < x->program->n_tensors && options->training; i++) {
        const mote_tensor *t = &x->program->tensors[i];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        mote_real *gradient = take(l, (size_t)t->rows * (size_t)t->cols * sizeof *gradient);
        if (l->base) x->gradient[i] = gradient;
    }
    l->bytes.gradients_of_weights = l->at - begin;
}

static bool is_product(const mote_program *program, mote_tensor_id id) {
    for (int i = 0; i < program->n_ops; i++) {
        const mote_op *op = &program->ops[i];
        if ((op->kind == MOTE_OP_LINEAR || op->kind == MOTE_OP_HEAD) && op->in[1] == id) return true;
    }
    return false;
}

/* What products read of the weights, beside panels that are the model's. */
static void lay_strips(mote_exec *x, layout *l, const mote_exec_options *options) {
    size_t begin = l->at;
    for (int i = 0; i < x->program->n_ops && options->training; i++) {
        const mote_op *op = &x->program->ops[i];
        if (op->kind != MOTE_OP_LINEAR && op->kind != MOTE_OP_HEAD) continue;
        void *strips = take(l, mote_strips_bytes(x, op->in[1]));
        if (l->base) x->strips[op->in[1]] = strips;
    }
    for (int i = 0; i < x->program->n_tensors && options->training; i++) {
        bool product = (x->bytes || x->pairs) && is_product(x->program, (mote_tensor_id)i);
        if (!product && !mote_is_rounded(x, (mote_tensor_id)i)) continue;
        void *panels = take(l, mote_panels_bytes(x, (mote_tensor_id)i, x->program->tensors[i].rows));
        if (l->base) x->own_packed[i] = panels;
    }
    l->bytes.strips = l->at - begin;
}

/* Of an op's input packed along the tokens, for the gradient of its weight; 0: it is read as it lies. */
static size_t columns_bytes(const mote_exec *x, const mote_op *op) {
    if (op->kind != MOTE_OP_LINEAR && op->kind != MOTE_OP_HEAD) return 0;
    const int cols = x->program->tensors[op->in[0]].cols;
    if (mote_weights_in_bytes(x, op->in[1])) return aligned(mote_bytes_size(cols, x->max_rows));
    return x->pairs ? aligned(mote_bf16_bytes(cols, op->kind == MOTE_OP_HEAD ? x->chunk_rows : x->max_rows)) : 0;
}

/* Inputs packed along the tokens: one memory for all groups, since only one is at work. */
static void lay_columns(mote_exec *x, layout *l) {
    size_t most = 0;
    for (int pass = 0; pass < 2; pass++) {
        char *base = pass ? take(l, most) : NULL;
        for (int g = 0; g < x->plan.n_groups; g++) {
            const mote_group *group = &x->plan.groups[g];
            size_t at = 0;
            for (int i = group->end - 1; i >= group->begin; i--) {
                const mote_op *op = &x->program->ops[i];
                if (!columns_bytes(x, op)) continue;
                int other = group->end - 1;
                while (other > i && (x->program->ops[other].kind != op->kind ||
                                     x->program->ops[other].in[0] != op->in[0]))
                    other--;
                if (base && l->base) {
                    x->columns[i] = other > i ? x->columns[other] : base + at;
                    x->makes_columns[i] = other == i;
                }
                if (other == i) at += columns_bytes(x, op);
            }
            if (at > most) most = at;
        }
    }
}

static void lay_activations(mote_exec *x, layout *l, const mote_exec_options *options) {
    size_t begin = l->at;
    char *arena = take(l, x->plan.bytes);
    if (x->late != MOTE_NONE)
        x->late_gradient = take(l, (size_t)options->all_rows * (size_t)mote_cols(x, x->late) * sizeof(mote_real));
    l->bytes.activations = l->at - begin;
    if (!l->base) return;
    for (int i = 0; i < x->program->n_tensors; i++) {
        if (x->plan.value[i] != SIZE_MAX) x->value[i] = (mote_real *)(void *)(arena + x->plan.value[i]);
        if (x->plan.gradient && x->plan.gradient[i] != SIZE_MAX)
            x->gradient[i] = (mote_real *)(void *)(arena + x->plan.gradient[i]);
    }
    if (x->late != MOTE_NONE) x->gradient[x->late] = x->late_gradient;
}

static void lay_rest(mote_exec *x, layout *l, const mote_exec_options *options, int threads) {
    size_t begin = l->at, vocab = (size_t)x->program->vocab, scratch = 0;
    if (options->loss) {
        x->chunk = take(l, (size_t)x->chunk_rows * vocab * sizeof *x->chunk);
        x->row_loss = take(l, (size_t)options->max_rows * sizeof *x->row_loss);
        x->row_correct = take(l, (size_t)options->max_rows * sizeof *x->row_correct);
    }
    x->logits = take(l, (size_t)options->max_wanted * vocab * sizeof *x->logits);
    l->bytes.logits = l->at - begin;
    begin = l->at;
    if (x->bytes || x->pairs) lay_columns(x, l);
    for (int i = 0; i < x->program->n_ops; i++) {
        const mote_op_info *info = mote_op_get(x->program->ops[i].kind);
        size_t needed = info->scratch ? info->scratch(x, &x->program->ops[i]) : 0;
        if (needed > scratch) scratch = needed;
    }
    for (int i = 0; i < threads; i++) {
        mote_real *p = take(l, scratch * sizeof *p);
        if (l->base) x->scratch[i] = p;
    }
    l->bytes.scratch = l->at - begin;
}

/* Refuses sizes whose products do not fit before any are computed without checks. */
static mote_status check_sizes(const mote_program *program, const mote_exec_options *o, int threads,
                               mote_error *error) {
    if (o->max_rows < 1 || o->max_sequences < 1 || o->slots < 1 || o->context < 1 || o->max_wanted < 0 || threads < 1)
        return mote_fail(error, MOTE_USAGE, "rows %d, sequences %d, slots %d and context %d must be at least 1",
                         o->max_rows, o->max_sequences, o->slots, o->context);
    size_t sum = 0, context = (size_t)o->context + MOTE_PANEL;
    for (int i = 0; i < program->n_tensors; i++) {
        const mote_tensor *t = &program->tensors[i];
        if (t->role == MOTE_ROLE_STATE) count(&sum, context, (size_t)o->slots, (size_t)t->cols);
        else if (t->role == MOTE_ROLE_WEIGHT) count(&sum, (size_t)t->rows, (size_t)t->cols + MOTE_PANEL, 2);
        else count(&sum, (size_t)(o->all_rows > o->max_rows ? o->all_rows : o->max_rows), (size_t)t->cols, 2);
        count(&sum, context, (size_t)t->cols, (size_t)threads * 2);
    }
    count(&sum, (size_t)o->max_rows + (size_t)o->max_wanted, (size_t)program->vocab, 1);
    if (sum == SIZE_MAX) return mote_fail_memory(error, "running this model", SIZE_MAX);
    return MOTE_OK;
}

/* The embedding whose table is the head's too. */
static mote_tensor_id find_late(const mote_program *program, const mote_exec_options *o, mote_tensor_id head) {
    for (int i = 0; i < program->n_ops && o->all_rows > o->max_rows; i++)
        if (program->ops[i].kind == MOTE_OP_EMBEDDING && program->ops[i].in[0] == head) return program->ops[i].out[0];
    return MOTE_NONE;
}

static void configure(mote_exec *x, const mote_program *program, const mote_exec_options *o) {
    x->program = program;
    x->max_rows = o->max_rows;
    x->state_context = (o->context + MOTE_PANEL - 1) / MOTE_PANEL * MOTE_PANEL;
    x->private_state = o->loss || o->training;
    x->bf16_attention = mote_attends_in_bf16(program, o->rounded);
    x->training = o->training;
    x->bytes = o->bytes;
    x->pairs = o->pairs;
    x->rounded = o->rounded;
    x->head = MOTE_NONE;
    for (int i = 0; i < program->n_ops; i++)
        if (program->ops[i].kind == MOTE_OP_HEAD) x->head = program->ops[i].in[1];
    x->late = find_late(program, o, x->head);
    x->exact = program->vocab < LEAST_HEAD ? x->head : MOTE_NONE;
    size_t row = (size_t)(program->vocab > 0 ? program->vocab : 1) * sizeof(mote_real), rows = CHUNK_BYTES / row;
    if (rows < 48) rows = 48;
    size_t all = (size_t)o->max_rows, whole = (all + rows / 2) / rows; /* even chunks of about CHUNK_BYTES */
    x->chunk_rows = whole > 1 ? (int)((all + 2 * whole - 1) / (2 * whole) * 2) : o->max_rows; /* pairs of bf16 */
}

static mote_status make_plan(mote_exec *x, const mote_exec_options *o, mote_error *error) {
    return mote_plan_create(x->program, o->max_rows, o->training, o->recompute, x->late, &x->plan, error);
}

static void lay(mote_exec *x, layout *l, const mote_exec_options *options, int threads) {
    lay_lists(x, l, threads);
    lay_activations(x, l, options);
    lay_weight_gradients(x, l, options);
    lay_strips(x, l, options);
    lay_states(x, l, options);
    lay_tables(x, l, options);
    lay_rest(x, l, options, threads);
    l->bytes.total = l->at;
}

mote_status mote_exec_measure(const mote_program *program, const mote_exec_options *options, int threads,
                              mote_exec_bytes *bytes, mote_error *error) {
    mote_exec x = {0};
    layout l = {0};
    mote_status status = check_sizes(program, options, threads, error);
    if (status != MOTE_OK) return status;
    configure(&x, program, options);
    status = make_plan(&x, options, error);
    if (status != MOTE_OK) return status;
    lay(&x, &l, options, threads);
    *bytes = l.bytes;
    mote_plan_deinit(&x.plan);
    return MOTE_OK;
}

/* Weights only of sessions: a trainer exchanges its own for their averages. */
static mote_call call_of(const mote_exec *x, const mote_op *op) {
    const mote_tensor *tensors = x->program->tensors;
    mote_call call = {.forward = mote_op_get(op->kind)->forward};
    if (op->out[0] != MOTE_NONE) {
        call.cols = tensors[op->out[0]].cols;
        call.y = x->value[op->out[0]];
    }
    if (mote_is_activation(x->program, op->in[0])) {
        call.depth = tensors[op->in[0]].cols;
        call.x = x->value[op->in[0]];
    }
    if (op->kind == MOTE_OP_ACTIVATE && op->in[1] != MOTE_NONE) call.weight = x->value[op->in[1]];
    if (x->private_state || (op->kind != MOTE_OP_LINEAR && op->kind != MOTE_OP_NORM)) return call;
    call.bias = mote_vector(x, op->in[2]);
    call.residual = op->in[3] == MOTE_NONE ? NULL : x->value[op->in[3]];
    call.weight = op->kind == MOTE_OP_NORM ? (const void *)mote_vector(x, op->in[1]) : x->packed[op->in[1]];
    mote_type type = tensors[op->in[1]].type;
    if (op->kind == MOTE_OP_LINEAR && mote_type_is_float(type) && !x->bytes && !x->pairs && x->rounded == MOTE_TYPE_F32)
        call.multiply = x->kernels->gemm[type];
    return call;
}

mote_status mote_exec_create(const mote_program *program, void *const *weight, void *const *packed, mote_pool *pool,
                             const mote_exec_options *options, mote_exec **out, mote_error *error) {
    *out = NULL;
    const int threads = mote_pool_threads(pool);
    mote_status status = check_sizes(program, options, threads, error);
    if (status != MOTE_OK) return status;
    mote_exec *x = mote_allocate_zero(1, sizeof *x);
    if (!x) return mote_fail_memory(error, "running a model", sizeof *x);
    layout l = {0};
    configure(x, program, options);
    status = make_plan(x, options, error);
    if (status != MOTE_OK) goto done;
    x->kernels = mote_kernels_get();
    x->weight = weight;
    x->packed = packed;
    x->pool = pool;
    x->activation_scale = options->activation_scale;
    lay(x, &l, options, threads);
    x->arena = mote_allocate_zero(1, l.at);
    if (!x->arena) {
        status = mote_fail_memory(error, "running this model", l.at);
        goto done;
    }
    l = (layout){.base = x->arena};
    lay(x, &l, options, threads);
    for (int i = 0; i < program->n_ops; i++) x->calls[i] = call_of(x, &program->ops[i]);
    status = mote_share_columns(program, threads, x->shares, error);
done:
    if (status != MOTE_OK) mote_exec_destroy(x);
    else *out = x;
    return status;
}

void mote_exec_destroy(mote_exec *x) {
    if (!x) return;
    mote_plan_deinit(&x->plan);
    mote_release(x->arena);
    mote_release(x);
}
