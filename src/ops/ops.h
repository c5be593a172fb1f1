/* Ops: one file each, one row each in the op table (ops.c). An op is row-wise (each row of its outputs needs only the
 * same row of its inputs: it is run on a tile of rows by one thread, a whole group of ops at a time) or collective (all
 * threads come together and share its parts out among themselves: attention, head). */
#ifndef MOTE_OPS_OPS_H
#define MOTE_OPS_OPS_H

#include "base/threads.h"
#include "kernels/blas.h"
#include "kernels/panels.h"
#include "kernels/tiling.h"
#include "ops/timing.h"
#include "program/program.h"

/* Rows of one sequence in the batch: they stand together, with consecutive positions from `position` on. */
typedef struct {
    int begin, end;
    int slot;     /* which sequence of the state */
    int position; /* of the first row */
} mote_sequence;

/* Maximal runs of row-wise ops, and ops that need all threads, in order */
typedef struct {
    int begin, end; /* ops */
    bool row_wise;
    bool again_before; /* some of them run again before the backward of the group behind */
} mote_group;

/* When an op runs again in the backward pass (recompute.c), a later one being earlier in that: not; with each tile of
 * its group's backward; before the backward of the attention behind its group, which reads what comes of it. */
typedef enum { MOTE_AGAIN_NOT, MOTE_AGAIN_HERE, MOTE_AGAIN_BEFORE } mote_again;

/* The memory plan (plan.c): lives are counted in groups, because the tiles of a group run out of step */
typedef struct {
    size_t *value;    /* by tensor: byte offset of an activation in the arena; SIZE_MAX: not in it */
    size_t *gradient; /* the same for gradients; NULL for inference */
    size_t bytes;     /* of the arena */
    mote_group *groups;
    int n_groups;
    mote_again *again; /* per op */
    uint8_t *adds; /* per op: bit i set when the gradient of in[i] is added, not written (a consumer came before) */
} mote_plan;

/* How threads share an op of few rows (columns.c): each a run of `units` equal units of columns of out[0] (of
 * attention: heads of keys), or thread 0 all of it (0). */
typedef struct {
    int units, unit;
    bool meet; /* before it */
} mote_share;

/* How many parts of a phase that begin with a thread's own are taken. Two phases are told apart, so a thread clears
 * what it counted when a phase ends: nobody counts there again before all have met once more. */
typedef struct {
    _Alignas(64) atomic_int taken[2]; /* 64: threads do not share lines; odd and even phases */
} mote_counter;

/* Everything an op needs to run: the program, where its tensors lie, and the batch. One for a session or trainer. */
typedef struct mote_exec {
    const mote_program *program;
    const mote_kernels *kernels;
    mote_plan plan;
    mote_pool *pool;
    void *const *weight; /* by tensor: row-major, of the tensor's type (f32: mote_real) */
    void *const *packed; /* by tensor: panels for linear and head; f32 copies of vectors stored in another type */
    void **own_packed;   /* NULL, or `packed` with panels of this exec's own in it */
    void **strips;       /* by tensor, in training: W of linear, head in strips of 16 columns, [cols / 16][rows][16] */
    bool bytes;          /* products of training in 8 bits (eight_bits.c) */
    bool pairs;          /* those that are not in 8 bits, in bf16 (sixteen_bits.c) */
    mote_tensor_id head;  /* the weight of the head, or MOTE_NONE */
    mote_tensor_id exact; /* the same if it is small, so that its forward products stay f32 */
    mote_type rounded;   /* weights are rounded to this type, an integer one, for every product; F32: they are not */
    void **columns;      /* by op, with `bytes` or `pairs`: its input packed along the tokens, of the group at work */
    bool *makes_columns; /* by op: its backward does so; others of its group read the same */
    const float *activation_scale; /* by tensor: what integer products read it by; 0, NULL: each block by its own */
    mote_real **value;   /* by tensor: activations [rows, cols], states; NULL for weights */
    mote_real **gradient; /* by tensor: of activations, and of weights when training */
    const mote_real **rope; /* by op: (cos, sin) pairs [context][head_dim / 2][2]; NULL elsewhere */

    /* the batch */
    int n_rows, max_rows;
    const int32_t *token, *position;
    const mote_sequence *sequence;
    int n_sequences;
    int state_context; /* positions a slot of the state holds, a multiple of MOTE_PANEL */
    bool bf16_attention; /* outside training: attention.h */
    bool private_state; /* training, evaluation: sequences are whole, and keys and values serve one op: no state */

    /* inference: rows whose logits are wanted */
    const int32_t *wanted;
    int n_wanted;
    mote_real *logits; /* [n_wanted, vocab] */

    /* training and evaluation: NULL target means inference. target -1: no loss on this row. */
    const int32_t *target;
    double *row_loss;
    bool *row_correct;
    bool training;            /* gradients are wanted */
    mote_real gradient_scale; /* 1 / number of targets of the whole step */
    uint64_t dropout_seed;    /* of this micro-batch */
    /* A micro-batch may go through in parts, with the bits it has as a whole: its row where this part begins, and the
     * number of its rows. token, position of earlier parts stand before those of this one. */
    int first_row, all_rows;
    mote_tensor_id late;      /* the embedding whose table's gradient waits for the last part; MOTE_NONE: none */
    mote_real *late_gradient; /* of its rows, [all_rows, cols] */
    int chunk_rows;           /* the head's logits are whole for this many rows at a time */
    mote_real *chunk;         /* [chunk_rows, vocab] */

    mote_real **scratch; /* by thread */
    mote_counter *next;  /* by thread */
    void *arena;         /* all lists and values of this exec's own lie here */
    mote_share *shares;  /* by op */
    struct mote_call *calls; /* by op */
    const struct mote_blas *blas; /* NULL, or what does some products of training */
    uint8_t *by_blas;    /* by weight: bit of a mote_product_form set: by `blas` */
    bool alone;          /* the calling thread does all by itself, whatever the pool has */
    mote_timing *timing; /* NULL: nothing is timed */
    /* Called before each row-wise op of a tile of rows, by the thread that runs it: what calibration sees inputs with.
     * Columns are not shared out then. NULL: nobody looks. */
    void (*observe)(const struct mote_exec *x, int op, int row_begin, int row_end);
    void *observer;
} mote_exec;

typedef struct {
    int thread, threads;
    int phase;      /* odd or even */
    int part;       /* the next of the present phase, where there is one thread */
    int helped;     /* where there are more: this and so many threads have no part left to take */
    mote_tiling tiling; /* of the rows: row-wise groups are done in tiles */
    bool few;       /* the batch has so few rows that columns are shared: x->shares */
    int op;         /* for timing: the collective op that runs; the number of ops: between ops */
    mote_pass pass; /* and what it does */
    mote_tensor_id blocks_of; /* the activation whose rows lie in this thread's scratch, rounded; MOTE_NONE: none */
    bool blocks_in_pairs;     /* to bf16, not to 8 bits */
    int blocks_begin, blocks_rows;
} mote_worker;

/* Everything since this thread's last lap was one call of this op. */
static inline void mote_lap(const mote_exec *x, const mote_worker *w, int op, mote_pass pass) {
    if (__builtin_expect(x->timing != NULL, 0)) mote_timing_lap(x->timing, w->thread, op, pass, 1);
}

/* Hands out the parts of the present phase: 0, 1, 2, ... until `n` (then -1); a thread's own parts ascend. */
static inline int mote_part(const mote_exec *x, mote_worker *w, int n) {
    int part = w->threads == 1 ? w->part++ : mote_take(&x->next[0].taken[w->phase]);
    return part < n ? part : -1;
}
/* The same in another order: neighbouring tiles of rows for each thread, the same in every phase with as many, because
 * its caches hold what it wrote in the phase before; then those that others have not begun. */
static inline int mote_tile(const mote_exec *x, mote_worker *w, int n) {
    const int threads = w->threads;
    if (threads == 1) return mote_part(x, w, n);
    for (; w->helped < threads; w->helped++) {
        int of = w->thread + w->helped;
        if (of >= threads) of -= threads;
        int begin = (int)((int64_t)n * of / threads), end = (int)((int64_t)n * (of + 1) / threads);
        int tile = begin < end ? begin + mote_take(&x->next[of].taken[w->phase]) : end;
        if (tile < end) return tile;
    }
    return -1;
}
/* All threads meet; what was written before is seen by all after. */
static inline void mote_barrier(const mote_exec *x, const mote_worker *w) {
    if (__builtin_expect(x->timing != NULL, 0)) mote_timing_lap(x->timing, w->thread, w->op, w->pass, 0);
    if (w->threads > 1) mote_pool_barrier(x->pool);
    if (__builtin_expect(x->timing != NULL, 0)) mote_timing_lap(x->timing, w->thread, w->op, MOTE_PASS_WAITING, 0);
}
static inline void mote_phase_end(const mote_exec *x, mote_worker *w) {
    mote_barrier(x, w);
    if (w->threads > 1) atomic_store_explicit(&x->next[w->thread].taken[w->phase], 0, memory_order_relaxed);
    w->phase ^= 1;
    w->part = w->helped = 0;
}

/* The memory of this thread's own, for the op that runs now. */
static inline mote_real *mote_take_scratch(const mote_exec *x, mote_worker *w) {
    w->blocks_of = MOTE_NONE;
    return x->scratch[w->thread];
}

/* What a row-wise op is asked to do. Columns of out[0]: all, except forward of ops that columns.c shares out. */
typedef struct {
    int row_begin, row_end, column_begin, column_end;
} mote_slice;

typedef struct {
    double flops;         /* multiply and add count as two */
    double weight_bytes;  /* read, whatever the number of tokens */
    double state_bytes;   /* keys and values read */
} mote_cost;

typedef struct {
    const char *name;
    bool row_wise;
    uint8_t backward_in, backward_out; /* values of inputs, outputs (bit i) that backward reads */
    uint8_t can_add;                   /* inputs to whose gradient backward can add */
    bool gradient_in_place;            /* that of in[0] may lie where that of out[0] does */
    mote_status (*check)(const mote_program *program, const mote_op *op, mote_error *error);
    void (*forward)(const mote_exec *x, const mote_op *op, const mote_slice *slice, mote_worker *w);
    /* Gradients of the inputs from that of out[0]; adds: bit i set: add to that of in[i], else write it. */
    void (*backward)(const mote_exec *x, const mote_op *op, uint8_t adds, const mote_slice *slice, mote_worker *w);
    /* Gradients of the weights, always added, in parts that split the weights and never the tokens. NULL: none. */
    int (*weight_parts)(const mote_exec *x, const mote_op *op);
    void (*backward_weights)(const mote_exec *x, const mote_op *op, int part, mote_worker *w);
    mote_cost (*cost)(const mote_program *program, const mote_op *op, int position); /* of one token there */
    size_t (*scratch)(const mote_exec *x, const mote_op *op); /* values for each thread; NULL: none */
    int n_examples;
    /* Small programs around the op: its gradient checks. */
    void (*example)(mote_builder *b, int example);
} mote_op_info;

/* What a thread that walks forward needs of an op, side by side: decoding streams all weights through the caches, so
 * whatever describes an op comes from L2 at best, and what hangs on pointers comes late. */
typedef struct mote_call {
    void (*forward)(const mote_exec *x, const mote_op *op, const mote_slice *slice, mote_worker *w);
    int cols, depth;   /* of out[0], 0: there is none; of in[0] */
    mote_real *y;      /* row 0 of out[0] */
    const mote_real *x; /* row 0 of in[0], where it is an activation */
    const void *weight; /* in[1]: row 0 of what activate multiplies with; in sessions panels of linear, gain of norm */
    const mote_real *bias, *residual; /* of linear and norm in sessions: the vector in[2]; of linear row 0 of in[3] */
    void (*multiply)(const mote_gemm *g); /* of linear with a float weight as it is; NULL: see mote_product */
} mote_call;
_Static_assert(sizeof(mote_call) <= 64, "one line of a cache");

extern const mote_op_info *const mote_op_table[MOTE_N_OPS];
static inline const mote_op_info *mote_op_get(mote_op_kind kind) { return mote_op_table[kind]; }
mote_status mote_program_check(const mote_program *program,
                               mote_error *error); /* every op's check, single assignment, order */
mote_cost mote_program_cost(const mote_program *program, int position);

#define X(upper, lower) extern const mote_op_info mote_op_##lower;
MOTE_OP_LIST(X)
#undef X

/* ---- shared by op files */
static inline const mote_tensor *mote_tensor_of(const mote_program *program, mote_tensor_id id) {
    return &program->tensors[id];
}
static inline int mote_cols(const mote_exec *x, mote_tensor_id id) { return x->program->tensors[id].cols; }
static inline mote_real *mote_value(const mote_exec *x, mote_tensor_id id, int row) {
    return x->value[id] + (size_t)row * (size_t)x->program->tensors[id].cols;
}
static inline mote_real *mote_gradient(const mote_exec *x, mote_tensor_id id, int row) {
    return x->gradient[id] + (size_t)row * (size_t)x->program->tensors[id].cols;
}
static inline const mote_call *mote_call_of(const mote_exec *x, const mote_op *op) {
    return &x->calls[op - x->program->ops];
}
/* A gradient that goes on as it is, to an input that was added. */
static inline void mote_pass_gradient(const mote_exec *x, const mote_real *dy, mote_real *dx, size_t n, bool add) {
    if (add) x->kernels->add(dy, dx, n);
    else memcpy(dx, dy, n * sizeof *dx);
}
/* A gain or bias; NULL for MOTE_NONE. */
static inline const mote_real *mote_vector(const mote_exec *x, mote_tensor_id id) {
    return id == MOTE_NONE ? NULL : x->packed[id] ? x->packed[id] : x->weight[id];
}
/* Bytes of the panels of the first n (a multiple of MOTE_PANEL, or all) outputs of a packed weight; f32 is mote_real.
 */
static inline size_t mote_packed_bytes(mote_type type, int n, int depth) {
    if (n == 0) return 0;
    if (!mote_type_is_float(type))
        return (size_t)((n + MOTE_PANEL - 1) / MOTE_PANEL) * mote_panel_bytes(type, (size_t)mote_blocks_of(depth));
    size_t value = type == MOTE_TYPE_F32 ? sizeof(mote_real) : (size_t)mote_type_get(type)->block_bytes;
    return mote_packed_values(n, depth) * value;
}
/* g->c = g->start + g->bias + input[begin ..] weight^T for g->rows rows and g->columns of the outputs, whose panels are
 * g->b; the caller sets those, c_row and start_row (product.c). */
void mote_product(const mote_exec *x, mote_worker *w, mote_tensor_id input, int begin, mote_tensor_id weight,
                  mote_gemm *g);
/* Which parts of an op's arithmetic are products of integers, and of bf16. */
void mote_rounded_parts(const mote_exec *x, const mote_op *op, bool training, double *integers, double *pairs);
/* A product of floats, whose weight is `weight` or gets its gradient: by mote, or by a BLAS library where the exec says
 * so. It reads b, which is what g's panels were made of. */
void mote_run_product(const mote_exec *x, mote_tensor_id weight, mote_product_form form, const mote_gemm *g,
                      const mote_blas_matrix *b);
size_t mote_product_scratch(const mote_exec *x, mote_tensor_id weight); /* values that it needs for each thread */
/* Check helpers: fill error with the op and tensor by name. */
mote_status mote_op_expect(const mote_program *program, const mote_op *op, bool condition, const char *what,
                           mote_error *error);
bool mote_is_activation(const mote_program *program, mote_tensor_id id); /* role ACTIVATION or INPUT */
bool mote_is_weight(const mote_program *program, mote_tensor_id id, int rows, int cols); /* rows or cols -1: any */

/* ---- few rows (ops/columns.c) */
mote_status mote_share_columns(const mote_program *program, int threads, mote_share *shares, mote_error *error);
/* The first unit of a thread; that of thread + 1 is where its run ends. */
static inline int mote_share_begin(const mote_share *share, int thread, int threads) {
    return (int)((int64_t)share->units * thread / threads);
}

/* ---- planning and executing (ops/plan.c, ops/recompute.c, ops/execute_memory.c, ops/execute.c) */
/* elsewhere: an activation whose gradient has memory of its own, or MOTE_NONE. */
mote_status mote_plan_create(const mote_program *program, int max_rows, bool training, mote_recompute recompute,
                             mote_tensor_id elsewhere, mote_plan *plan, mote_error *error);
/* Sets plan->again and again_before of a plan that has its groups. */
mote_status mote_plan_recompute(const mote_program *program, mote_recompute how, mote_plan *plan, mote_error *error);
void mote_plan_deinit(mote_plan *plan);

typedef struct {
    int max_rows, max_sequences; /* most rows, and most sequences, of a batch */
    int all_rows;                /* training: most rows of a micro-batch that comes in parts; 0: none does */
    int slots, context;          /* of the state; training: slots = max_sequences */
    bool training;               /* with gradients */
    mote_recompute recompute;    /* training */
    bool bytes, pairs;           /* training: products in 8 bits; the others in bf16 */
    mote_type rounded;           /* training: see mote_exec */
    bool loss;                   /* targets will be given (evaluation, training): chunk memory instead of logits */
    int max_wanted;              /* rows of logits; 0 with `loss` */
    const float *activation_scale; /* see mote_exec; outlives it */
} mote_exec_options;

typedef struct {
    size_t lists, activations, gradients_of_weights, strips, states, logits, scratch, tables, total;
} mote_exec_bytes;

/* What mote_exec_create allocates, but for the plan and the exec itself. */
mote_status mote_exec_measure(const mote_program *program, const mote_exec_options *options, int threads,
                              mote_exec_bytes *bytes, mote_error *error);
/* weight and packed are the model's arrays, and outlive x; pool too. */
mote_status mote_exec_create(const mote_program *program, void *const *weight, void *const *packed, mote_pool *pool,
                             const mote_exec_options *options, mote_exec **x, mote_error *error);
void mote_exec_destroy(mote_exec *x);
/* The batch must be set in x (n_rows, token, position, sequence, and wanted or target). */
void mote_exec_forward(mote_exec *x);
/* Training: the batch to be set is rows [first_row, first_row + n_rows) of all_rows of a micro-batch. */
void mote_exec_part(mote_exec *x, int first_row, int n_rows, int all_rows);
/* After forward with training set: adds to the weights' gradients. The forward of a training batch leaves the head (the
 * loss and its gradient) to backward, so losses stand in row_loss after it. */
void mote_exec_backward(mote_exec *x);
void mote_exec_zero_gradients(mote_exec *x); /* of the weights */

/* ---- training on integers (ops/eight_bits.c) */
/* After a weight that has panels changed in training: makes the panels and strips of rows [row, row + rows) again. row
 * is a multiple of MOTE_BLOCK_VALUES. Rows of one weight may be packed by several threads. */
void mote_exec_pack(const mote_exec *x, mote_tensor_id id, int row, int rows, int thread);
/* f32 panels of the weights that products read. */
void mote_exec_unpack(const mote_exec *x, mote_tensor_id id, mote_real *panels);
bool mote_is_rounded(const mote_exec *x, mote_tensor_id id);
/* Not the head: its dy is p, and -1 at the target, and a block with a large one rounds the many small p. Their sum is
 * zero, so what all rows of W or all x have in common cancels, but not what rounding leaves: gradients were 6 % off. */
static inline bool mote_backward_in_bytes(const mote_exec *x, mote_tensor_id weight) {
    return x->bytes && weight != x->head;
}
static inline bool mote_in_bytes(const mote_exec *x, mote_tensor_id weight) { return x->bytes && weight != x->exact; }
static inline bool mote_in_pairs(const mote_exec *x, mote_tensor_id weight) {
    return x->pairs && x->rounded == MOTE_TYPE_F32 && !mote_in_bytes(x, weight);
}
static inline bool mote_backward_in_pairs(const mote_exec *x, mote_tensor_id weight) {
    return x->pairs && !mote_backward_in_bytes(x, weight);
}
/* The gradient of a weight: as that of the input, which has the same operand dy. */
static inline bool mote_weights_in_bytes(const mote_exec *x, mote_tensor_id weight) {
    return mote_backward_in_bytes(x, weight);
}
/* One block of a row of a rounded weight, as floats. */
void mote_rounded_block(const mote_exec *x, mote_tensor_id id, int row, int block, float values[MOTE_BLOCK_VALUES]);
size_t mote_panels_bytes(const mote_exec *x, mote_tensor_id id, int n); /* of the first n outputs, as in `packed` */
size_t mote_strips_bytes(const mote_exec *x, mote_tensor_id id);
/* Values of scratch that packing needs; with the backward products below: tokens are those of a weight gradient. */
size_t mote_rounding_scratch(const mote_exec *x, mote_tensor_id weight);
size_t mote_training_scratch(const mote_exec *x, mote_tensor_id weight, int tokens);
/* dx = dy W, or added. */
void mote_product_input(const mote_exec *x, mote_worker *w, mote_tensor_id weight, const mote_real *dy, int rows,
                        mote_real *dx, bool add);
/* For the weight gradient of an op: rows [begin, begin + rows) of its input are ready, which are its tokens `at` and on
 * of `tokens`. */
void mote_product_columns(const mote_exec *x, const mote_op *op, int begin, int rows, int at, int tokens);
/* Rows [begin, begin + rows) of dW += dy^T x; dy [tokens, outputs], x from row `chunk` on. */
void mote_product_weights(const mote_exec *x, mote_worker *w, const mote_op *op, const mote_real *dy, int chunk,
                          int tokens, int begin, int rows);

/* ---- training in bf16 (ops/sixteen_bits.c): the same, for weights whose product is in pairs */
size_t mote_pairs_forward_scratch(const mote_exec *x, mote_tensor_id weight);
size_t mote_pairs_backward_scratch(const mote_exec *x, mote_tensor_id weight, int tokens);
void mote_pairs_product(const mote_exec *x, mote_worker *w, mote_tensor_id input, int begin, const mote_gemm *g);
void mote_pairs_input(const mote_exec *x, mote_worker *w, mote_tensor_id weight, const mote_real *dy, int rows,
                      mote_real *dx, bool add);
void mote_pairs_columns(const mote_exec *x, const mote_op *op, int begin, int rows, int at, int tokens);
void mote_pairs_weights(const mote_exec *x, mote_worker *w, const mote_op *op, const mote_real *dy, int tokens,
                        int begin, int rows);

#endif
