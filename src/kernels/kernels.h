/* The kernel table: every inner loop of mote behind one struct of function pointers. The scalar reference fills every
 * slot first; each instruction set then overwrites the slots it has, by a CPU mask the tests can set.
 *
 * One summation order: a product sums its depth in ascending order in one chain of fused multiply-adds per output,
 * started from the initial value, for any number of rows and in every instruction set; all gemm slots agree bit for
 * bit. Reductions along a row (norms, softmax, cross-entropy) keep one order per instruction set that depends on the
 * row's length only. Pointers need no alignment beyond their element's. Inputs and outputs overlap only where a comment
 * allows. */
#ifndef MOTE_KERNELS_KERNELS_H
#define MOTE_KERNELS_KERNELS_H

#include <string.h>

#include "base/real.h"
#include "base/status.h"
#include "quant/types.h"

enum { MOTE_PANEL = 16 }; /* columns of a packed panel, in every instruction set */

/* C[rows, columns] = start + bias + A[rows, depth] B[depth, columns], all strides in elements.
 * B comes in panels of 16 columns: element (k, n) is b[(n / 16) * b_panel + k * b_depth + n % 16]. A packed weight has
 * b_panel = depth * 16 and b_depth = 16; a plain row-major B has b_panel = 16 and b_depth = its row length.
 * Only A and B that exist are read: a last panel of fewer than 16 columns is not read past `columns` unless b_padded.
 */
typedef struct {
    int rows, columns, depth;
    const mote_real *a;
    size_t a_row, a_depth; /* A^T is a matter of exchanging them */
    const void *b;         /* of the slot's weight type */
    size_t b_panel, b_depth;
    bool b_padded; /* the last panel is 16 values wide in memory too, whatever they are */
    mote_real *c;
    size_t c_row;
    const mote_real *start; /* [rows, columns] with stride start_row, may equal c; NULL: zero */
    size_t start_row;
    const mote_real *bias; /* [columns], added to start before the sum; NULL: none */
    const mote_real *next; /* what is read after this product, fetched on the way; NULL: not known */
    size_t next_floats;
    mote_real *copy; /* aligned to 64: what is copied here of a transposed A whose rows lie far apart; NULL: nothing */
} mote_gemm;
/* How many values `copy` has, 385 KiB, where such rows begin `a_depth` values apart; 0: nearer, nothing is copied. */
enum { MOTE_GEMM_FAR = 512, MOTE_GEMM_COPY = 98560 };
static inline size_t mote_gemm_copy(size_t a_depth) { return a_depth >= MOTE_GEMM_FAR ? MOTE_GEMM_COPY : 0; }

/* 8-bit activations: 32 of a row, x[i] = scale * its code, |code| <= 127. The even ones stand first: code[j] is that of
 * x[2j], code[16 + j] that of x[2j + 1], because a 7-bit code of two weights unpacks to an even and an odd one. */
enum { MOTE_BLOCK_VALUES = 32 };
typedef struct {
    int8_t code[MOTE_BLOCK_VALUES];
    float scale;
    int32_t sum; /* of the codes */
} mote_block8;
static inline int mote_blocks_of(int n) { return (n + MOTE_BLOCK_VALUES - 1) / MOTE_BLOCK_VALUES; }

/* C = start + bias + A B with A in 8-bit blocks and B an integer type's panels (kernels/panels.h). A block's dot
 * product is exact in int32 (weights are at most 255 above their zero point: 32 * 255 * 127 < 2^21, which a float holds
 * too); then sum = fused(dot, weight scale * activation scale, sum), blocks ascending, from start + bias on. */
typedef struct {
    int rows, columns, blocks; /* blocks: the depth, in whole blocks */
    const mote_block8 *a;
    size_t a_row; /* in blocks */
    const void *b;
    mote_real *c;
    size_t c_row;
    const mote_real *start; /* as in mote_gemm */
    size_t start_row;
    const mote_real *bias;
} mote_gemm_blocks;

/* C = start + bias + A B of bf16 in pairs along the depth: a uint32_t holds element 2k in its lower half, 2k + 1 in its
 * upper. B lies in panels: pair k of column n is b[(n / 16) * b_panel + k * 16 + n % 16], the last panel whole in
 * memory. A lies in rows, a[row * a_row + k], or with a_row 0 in panels as B does: a[(row / 16) * a_panel + k * 16 +
 * row % 16]. Sums are f32, pairs ascending, in one chain per output for any number of rows. vdpbf16ps has a rounding of
 * its own inside a pair and no denormals: instruction sets agree within depth * 2^-22 of the sum of |terms|. */
typedef struct {
    int rows, columns, depth; /* depth: in pairs */
    const uint32_t *a;
    size_t a_row, a_panel;
    const uint32_t *b;
    size_t b_panel;
    mote_real *c;
    size_t c_row;
    const mote_real *start; /* as in mote_gemm */
    size_t start_row;
    const mote_real *bias;
} mote_gemm_bf16;

/* The slot of an integer type. */
enum { MOTE_N_INTEGER_TYPES = MOTE_TYPE_I8 + 1 - MOTE_N_FLOAT_TYPES };
static inline int mote_integer_slot(mote_type type) { return (int)type - MOTE_N_FLOAT_TYPES; }

typedef enum {
    MOTE_ACTIVATION_SILU,
    MOTE_ACTIVATION_GELU,
    MOTE_N_ACTIVATIONS
} mote_activation; /* GELU: the tanh form */

typedef struct {
    mote_real lr, beta1, beta2, epsilon, weight_decay;
    mote_real correction1, correction2; /* 1 / (1 - beta^t) */
    mote_real gradient_scale;           /* clipping */
} mote_adamw;

/* Scores of some queries, in place. Row r has keys from max(0, low + r step) to high + r step (not included, at least
 * one); everything else of its `width` values becomes 0. */
typedef struct {
    mote_real *scores;
    size_t scores_row;
    int rows, width, low, high, step;
    mote_real scale;
    mote_real *log_sum; /* of row r at r log_sum_row: log(sum(exp(scale scores))), written; NULL: not wanted */
    size_t log_sum_row;
} mote_softmax;

/* The probabilities once more, exp(scale scores - log_sum), and in dp the gradient of the unscaled scores:
 * scale p (dp - dy y), where y [rows, columns] is attention's output. */
typedef struct {
    mote_softmax of; /* its log_sum is read */
    mote_real *dp;   /* rows of scores_row values too */
    const mote_real *y, *dy;
    size_t y_row;
    int columns;
} mote_softmax_backward;

/* Attention of one position, as decoding does it: `heads` times `group` queries, a head's group sharing its keys and
 * values. For each query what gemm, softmax and gemm make of it, bit for bit, in one call: small models would spend
 * more on calls, and a head of 8 columns is one chain of additions, too few to keep the units busy. Rows of values are
 * whole panels wide in memory. */
typedef struct {
    int heads, group, columns; /* columns: of a head */
    int low, high;             /* keys from low to high, not included, count; low < MOTE_PANEL */
    mote_real scale;
    const mote_real *q;              /* [heads, group, columns] */
    const mote_real *keys, *values;  /* of the first head: panels; rows of value_row values */
    size_t keys_head, values_head, value_row; /* values from one head to the next */
    mote_real *scores;               /* memory for MOTE_ATTEND_ROWS rows of `high` in whole panels */
    mote_real *y;                    /* [heads, group, columns] */
} mote_attend;
enum { MOTE_ATTEND_ROWS = 8 };

/* Keys and values in bf16, two to a uint32_t, the first in its lower half: keys in panels [position / 16][pair of
 * head_dim][16], values [pair of positions][head_dim in whole panels]. Rounded to nearest even. */
typedef struct {
    const mote_real *k, *v; /* `rows` positions from `position` on, of one head */
    size_t k_row, v_row;
    int rows, position, head_dim;
    uint32_t *keys, *values; /* of position 0; the later half of a last pair of positions becomes zero */
} mote_bf16_store;

/* Attention of some queries of one head over those: y = softmax(scale q k) v. Row r sees keys from max(0, low + r step)
 * to high + r step (not included, at least one). Queries and exp(scale (q k - largest)) are rounded to bf16 too, sums
 * are f32, in an order that depends on the positions of the keys alone: a row has the same bits in any tile. */
typedef struct {
    const mote_real *q;
    size_t q_row;
    int rows, head_dim, low, high, step;
    const uint32_t *keys, *values;
    mote_real scale, *y;
    size_t y_row;
    void *scratch; /* mote_bf16_attend_bytes */
} mote_bf16_attend;

enum { MOTE_BF16_ATTEND_ROWS = 12, MOTE_BF16_ATTEND_KEYS = 32 }; /* rows at work at a time; keys come in multiples of */

/* Bytes of scratch where rows see `keys` keys at most, from a first one of any position: of each row at work the query
 * in pairs, the scores and the rounded exponentials. */
static inline size_t mote_bf16_attend_bytes(int head_dim, int keys) {
    size_t pairs = (size_t)(head_dim + 2 * MOTE_PANEL - 1) / (2 * MOTE_PANEL) * MOTE_PANEL,
           most = (size_t)keys / MOTE_BF16_ATTEND_KEYS * MOTE_BF16_ATTEND_KEYS + 2 * MOTE_BF16_ATTEND_KEYS;
    return MOTE_BF16_ATTEND_ROWS * ((pairs + most / 2) * sizeof(uint32_t) + most * sizeof(mote_real));
}

typedef struct {
    const char *name; /* "scalar", "avx2", "avx512", "vnni", "bf16", "neon", "dotprod": the last in it */
    bool fast_bf16;   /* products in bf16 are faster than in f32 */

    /* ---- products */
    void (*gemm[MOTE_N_FLOAT_TYPES])(const mote_gemm *g); /* by type of B */
    /* Row-major W[n, k] (row stride in elements) -> panels [ceil(n / 16)][k][16], missing columns zero. */
    void (*pack[MOTE_N_FLOAT_TYPES])(const void *w, size_t w_row, int n, int k, void *panels);

    /* n activations -> mote_blocks_of(n) blocks; scale = largest / 127, codes x * (127 / largest) to nearest even.
     * Below 1e-30 all is zero; a block with an infinity or a NaN gets the scale NaN. Values beyond n are zero. */
    void (*quantize)(const mote_real *x, int n, mote_block8 *blocks);
    /* The same by a scale that stands: codes x / scale to nearest even, at most 127. */
    void (*quantize_by)(const mote_real *x, int n, float scale, mote_block8 *blocks);
    void (*gemm_blocks[MOTE_N_INTEGER_TYPES])(const mote_gemm_blocks *g); /* by mote_integer_slot(type of B) */
    /* Training in 8 bits (kernels/bytes.h): B in panels of bytes with f32 scales. */
    void (*gemm_bytes)(const mote_gemm_blocks *g);
    /* 32 rows of 16 columns -> a block down each column, as quantize would: codes + 128 as they lie in a panel (512
     * bytes), 16 scales, 16 sums of codes. */
    void (*quantize_tile)(const mote_real *x, size_t x_row, uint8_t *codes, float *scales, int32_t *sums);

    /* Training in bf16. Values go to the nearest even, denormals to a zero of their sign, NaN to a quiet one; what is
     * missing of the last pair or panel is zero. */
    void (*bf16_gemm)(const mote_gemm_bf16 *g);
    void (*bf16_row)(const mote_real *x, int n, uint32_t *pairs); /* -> (n + 1) / 2 pairs */
    /* Rows of W[n, depth] as columns of panels (depth + 1) / 2 * 16 apart. */
    void (*bf16_pack)(const mote_real *w, size_t w_row, int n, int depth, uint32_t *panels);
    /* Rows of X as the depth, two a pair, into panels of 16 columns that are `panel` apart. */
    void (*bf16_turn)(const mote_real *x, size_t x_row, int rows, int columns, uint32_t *panels, size_t panel);

    /* ---- norms, one row of n; y may equal x. eps inside the root. */
    mote_real (*rms_norm)(const mote_real *x, const mote_real *gain, int n, mote_real epsilon,
                          mote_real *y); /* -> 1/rms */
    /* dx (+)= gradient for y = x * rms_inverse * gain (Zhang, Sennrich 2019). add: accumulate into dx. */
    void (*rms_norm_backward)(const mote_real *dy, const mote_real *x, const mote_real *gain, mote_real rms_inverse,
                              int n, mote_real *dx, bool add);
    /* bias may be NULL. stats receives mean and 1/deviation. */
    void (*layer_norm)(const mote_real *x, const mote_real *gain, const mote_real *bias, int n, mote_real epsilon,
                       mote_real *y, mote_real stats[2]);
    void (*layer_norm_backward)(const mote_real *dy, const mote_real *x, const mote_real *gain,
                                const mote_real stats[2], int n, mote_real *dx, bool add);
    /* dgain[i] += dy[i] * (x[i] - mean) * inverse; one row's share of a gain's gradient (mean 0 for RMSNorm). */
    void (*norm_gain_backward)(const mote_real *dy, const mote_real *x, mote_real mean, mote_real inverse, int n,
                               mote_real *dgain);

    /* ---- attention */
    void (*softmax)(const mote_softmax *s);                   /* scores -> probabilities */
    void (*softmax_backward)(const mote_softmax_backward *s); /* scores and dp -> probabilities and their gradient */
    void (*attend)(const mote_attend *a);
    /* Rotates pairs of one head: y[a], y[b] = x[a] cos - x[b] sin, x[a] sin + x[b] cos; y may equal x. Pairs are (2i,
     * 2i+1), or (i, i + head_dim/2) when halves. cosine_sine: [head_dim/2] pairs (cos, sin). backward: the inverse
     * rotation. */
    void (*rope)(const mote_real *x, const mote_real *cosine_sine, int head_dim, bool halves, bool backward, bool add,
                 mote_real *y);

    void (*bf16_store)(const mote_bf16_store *s);
    void (*bf16_attend)(const mote_bf16_attend *a);

    /* ---- elementwise, n values; outputs may equal inputs */
    void (*activate[MOTE_N_ACTIVATIONS])(const mote_real *x, mote_real *y, size_t n);
    void (*activate_backward[MOTE_N_ACTIVATIONS])(const mote_real *x, const mote_real *dy, mote_real *dx, size_t n,
                                                  bool add);
    /* f(gate) * up */
    void (*gate[MOTE_N_ACTIVATIONS])(const mote_real *gate, const mote_real *up, mote_real *y, size_t n);
    void (*gate_backward[MOTE_N_ACTIVATIONS])(const mote_real *gate, const mote_real *up, const mote_real *dy,
                                              mote_real *dgate, mote_real *dup, size_t n); /* written, not added */
    void (*add)(const mote_real *x, mote_real *y, size_t n);                       /* y += x */
    void (*add_scaled)(mote_real scale, const mote_real *x, mote_real *y, size_t n); /* y += scale x, fused */
    void (*scale)(mote_real scale, mote_real *x, size_t n);
    double (*dot)(const mote_real *x, const mote_real *y, size_t n);               /* in double, fixed order */

    /* ---- loss: one row of n logits. Returns -log softmax(logits)[target]; with gradient, logits become
     * scale * (softmax - onehot). *correct: the target is the first of the largest. */
    double (*cross_entropy)(mote_real *logits, int n, int target, mote_real scale, bool gradient, bool *correct);

    /* ---- optimizers, one pass over n weights */
    /* AdamW (Loshchilov, Hutter 2019): decay applies to the weight before the step, as in PyTorch. */
    void (*adamw)(const mote_adamw *o, const mote_real *gradient, mote_real *m, mote_real *v, mote_real *weight,
                  size_t n);
    /* momentum = beta momentum + scale g; weight -= lr (momentum + decay weight) */
    void (*sgd)(mote_real lr, mote_real beta, mote_real scale, mote_real weight_decay, const mote_real *gradient,
                mote_real *momentum, mote_real *weight, size_t n);
} mote_kernels;

/* The table in use: that of mote_cpu_detect() unless mote_cpu_restrict said less. */
const mote_kernels *mote_kernels_get(void);
/* Fills a table for any mask; bits that this processor lacks are left out. Tests compare tables so. */
void mote_kernels_fill(mote_kernels *table, unsigned mask);

/* One function per instruction set; each overwrites the slots it has. */
void mote_kernels_fill_scalar(mote_kernels *table);
void mote_kernels_fill_avx2(mote_kernels *table);
void mote_kernels_fill_avx512(mote_kernels *table);
void mote_kernels_fill_neon(mote_kernels *table);
void mote_kernels_fill_vnni(mote_kernels *table);    /* after avx512: AVX-512 VNNI and VBMI */
void mote_kernels_fill_bf16(mote_kernels *table);    /* after avx512 and vnni: AVX-512 BF16 */
void mote_kernels_fill_dotprod(mote_kernels *table); /* after neon */
void mote_kernels_fill_bf16_attention_dot(mote_kernels *table); /* after avx512: its dot products of bf16 */

/* Whether products run on weights of this type as they lie in a file; weights of other types are made f32 when a model
 * is opened. */
static inline bool mote_kernels_run_type(mote_type type) {
    return mote_type_is_float(type) || mote_type_get(type)->integer;
}

/* Rows of W [n, k] as their part of strips: column (c, r) of W^T is strips[c / 16 * panel + r * 16 + c % 16]. A last
 * strip keeps whatever stands in columns that W lacks. */
static inline void mote_pack_strips(const mote_real *w, size_t w_row, int n, int k, mote_real *strips, size_t panel) {
    for (int c = 0; c < k; c += MOTE_PANEL, strips += panel) {
        mote_real *strip = strips;
        size_t width = k - c < MOTE_PANEL ? (size_t)(k - c) : MOTE_PANEL;
        for (int r = 0; r < n; r++, strip += MOTE_PANEL) {
            const mote_real *from = w + (size_t)r * w_row + c;
            if (width == MOTE_PANEL) memcpy(strip, from, MOTE_PANEL * sizeof *strip); /* one register, not a call */
            else memcpy(strip, from, width * sizeof *strip);
        }
    }
}

/* Bytes of panels of bf16 pairs. */
static inline size_t mote_bf16_bytes(int columns, int depth) {
    return (size_t)((columns + MOTE_PANEL - 1) / MOTE_PANEL) * MOTE_PANEL * (size_t)((depth + 1) / 2) *
           sizeof(uint32_t);
}

static inline size_t mote_packed_values(int n, int k) {
    return (size_t)((n + MOTE_PANEL - 1) / MOTE_PANEL) * MOTE_PANEL * (size_t)k;
}

#endif
