/* A model is a flat program: a list of tensors and a list of ops. It says what is computed, never how; executing,
 * training, planning, counting, printing and exporting are loops over it.
 *
 * Every activation is written by one op (single assignment) and has one row for each token of the batch. */
#ifndef MOTE_PROGRAM_PROGRAM_H
#define MOTE_PROGRAM_PROGRAM_H

#include "base/buffer.h"
#include "base/memory.h"
#include "quant/types.h"

typedef int16_t mote_tensor_id;
enum { MOTE_NONE = -1, MOTE_PER_TOKEN = -1, MOTE_OP_INPUTS = 6, MOTE_OP_OUTPUTS = 2, MOTE_NAME_BYTES = 64 };

typedef enum {
    MOTE_ROLE_WEIGHT,     /* learned; in the file */
    MOTE_ROLE_ACTIVATION, /* [tokens, cols], written by one op */
    MOTE_ROLE_STATE,      /* a layer's keys or values; the session's */
    MOTE_ROLE_INPUT       /* [tokens, cols], given from outside (op tests) */
} mote_role;

/* How a weight begins: a constant, or normal with this deviation. */
typedef struct {
    float mean, deviation;
} mote_start;

typedef struct {
    char name[MOTE_NAME_BYTES]; /* "blk.2.attn_q.weight": the same name in file, program, trace and export */
    mote_role role;
    mote_type type;     /* of a weight in memory; activations are f32 */
    int32_t rows, cols; /* row-major; rows == MOTE_PER_TOKEN for activations */
    mote_start start;   /* weights */
    bool matrix;        /* weights: a matrix of a linear op (decays, Muon), not a table, gain or bias */
    bool in_place;      /* activations: may share its op's first input's memory */
} mote_tensor;

#define MOTE_OP_LIST(X)                                                                                                \
    X(EMBEDDING, embedding)                                                                                            \
    X(NORM, norm)                                                                                                      \
    X(LINEAR, linear)                                                                                                  \
    X(ROPE, rope)                                                                                                      \
    X(ATTENTION, attention)                                                                                            \
    X(ACTIVATE, activate)                                                                                              \
    X(DROPOUT, dropout)                                                                                                \
    X(HEAD, head)

typedef enum {
#define X(upper, lower) MOTE_OP_##upper,
    MOTE_OP_LIST(X)
#undef X
    MOTE_N_OPS
} mote_op_kind;

/* How fast each pair of a head turns with the position. Bits that are the same are the same turns. */
typedef struct {
    float base;
    int32_t head_dim;
    int32_t scaling; /* mote_rope_scaling; what it does not use is 0 */
    float factor, low, high;
    int32_t original_context;
    float attention; /* yarn: the turned pairs are longer by this */
} mote_turns;

/* Inputs and outputs by op, those in brackets may be MOTE_NONE:
 *   embedding  table [position table]                      -> x
 *   norm       x gain [bias] [residual]                    -> y = residual + norm(x), statistics
 *   linear     x weight [bias] [residual]                  -> y = residual + bias + x weight^T
 *   rope       x                                           -> y
 *   attention  q k v, key state, value state               -> y, log sums
 *   activate   x [up]                                      -> f(x), or f(x) * up
 *   dropout    x [residual]                                -> residual + mask x / (1 - p)
 *   head       x weight                                    -> logits of the wanted rows, or the loss and its gradient
 */
typedef struct {
    mote_op_kind kind;
    mote_tensor_id in[MOTE_OP_INPUTS], out[MOTE_OP_OUTPUTS];
    int16_t layer; /* -1: before or after the layers */
    union {
        struct { float scale; } embedding;
        struct {
            float epsilon;
            int32_t group;
            bool center;
        } norm; /* group: columns normalised together; center: LayerNorm */
        struct { mote_turns turns; bool halves; } rope; /* halves: pairs are (i, i + n/2), not (2i, 2i + 1) */
        struct { int32_t heads, kv_heads, head_dim, window, q_column, k_column, v_column; float scale; } attention;
        struct { int32_t function; } activate;
        struct { float probability; } dropout;
    } as;
} mote_op;

typedef struct {
    mote_tensor *tensors;
    int n_tensors;
    mote_op *ops;
    int n_ops;
    int context, vocab;
} mote_program;

/* ---- building (program/builder.c): a failed step makes every later one do nothing; finish reports it */
typedef struct {
    mote_program *program;
    size_t tensor_capacity, op_capacity;
    int16_t layer; /* given to the ops that follow */
    mote_status status;
    mote_error error;
} mote_builder;

void mote_builder_init(mote_builder *b);
void mote_builder_fail(mote_builder *b, mote_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
mote_tensor_id mote_builder_weight(mote_builder *b, int rows, int cols, mote_start start, bool matrix, const char *name,
                                   ...) __attribute__((format(printf, 6, 7)));
mote_tensor_id mote_builder_activation(mote_builder *b, int cols, const char *name, ...)
    __attribute__((format(printf, 3, 4)));
mote_tensor_id mote_builder_state(mote_builder *b, int cols, const char *name, ...)
    __attribute__((format(printf, 3, 4)));
mote_tensor_id mote_builder_input(mote_builder *b, int cols, const char *name, ...)
    __attribute__((format(printf, 3, 4)));
/* Zeroed, ids MOTE_NONE; never NULL (a dummy after failure). */
mote_op *mote_builder_op(mote_builder *b, mote_op_kind kind);
/* Hands the program over; the caller destroys it. */
mote_status mote_builder_finish(mote_builder *b, mote_program **program, mote_error *error);
void mote_program_destroy(mote_program *program);

mote_tensor_id mote_program_find(const mote_program *program, const char *name); /* MOTE_NONE: no such tensor */

#endif
