/* Inside compression: what calibration gathers, and how one matrix is rounded. */
#ifndef MOTE_COMPRESS_COMPRESS_H
#define MOTE_COMPRESS_COMPRESS_H

#include "base/threads.h"
#include "models/model.h"

/* ---- what goes into the products (compress/calibrate.c) */

/* Second moments of one activation over the calibration's tokens. Products that read one activation share them. */
typedef struct {
    mote_tensor_id activation;
    int first_op; /* that reads it */
    int cols;
    float *diagonal; /* [cols] sum of x^2 / tokens; NULL: not of this pass */
    mote_real *gram; /* [cols, cols] sum of x x^T / tokens; NULL where only the diagonal was asked for */
    float *paid;     /* [cols], once the gram is a factor: see mote_rounding */
    mote_real *rows; /* [rows of a batch, cols]: what the present batch has of it */
    struct mote_range_bin *bins; /* how its magnitudes are spread; NULL: not asked for */
} mote_moments;

typedef struct {
    mote_moments *moments;
    int n;
    int *of_weight;     /* by tensor id: which moments; -1: no product reads it */
    int first, end;     /* the moments of this pass; the others were of earlier ones, or are to come */
    uint64_t tokens;
    size_t bytes;       /* that this pass took */
} mote_calibration;

typedef struct {
    const mote_dataset *dataset;
    mote_split split;
    uint64_t max_tokens; /* most that are read, evenly spread; 0: all */
    bool grams;          /* else only the squares */
    bool ranges;         /* magnitudes too, for mote_range_scale */
    int first;           /* moments before this one are left out */
    size_t most_bytes;   /* of what a pass may take; 0: anything */
} mote_calibration_request;

/* A pool of so many threads; 0: all cores. */
mote_status mote_pool_for(int threads, mote_pool **pool, mote_error *error);

/* Runs the model over the text and sums up, for as many activations from `first` on as fit into most_bytes. Grams are
 * the same bits however they are parted. One that does not fit alone is MOTE_MEMORY, before anything large is
 * allocated. */
mote_status mote_calibrate(const mote_model *model, const mote_calibration_request *request, mote_pool *pool,
                           mote_calibration *calibration, mote_error *error);
/* Bytes of one pass over all activations; SIZE_MAX: more than can be said. */
mote_status mote_calibration_bytes(const mote_model *model, const mote_calibration_request *request, size_t *bytes,
                                   mote_error *error);
void mote_calibration_deinit(mote_calibration *calibration);
static inline const mote_moments *mote_moments_of(const mote_calibration *calibration, int id) {
    int which = calibration && calibration->of_weight ? calibration->of_weight[id] : -1;
    return which < 0 || !calibration->moments[which].diagonal ? NULL : &calibration->moments[which];
}

/* Inputs that were never seen still count a little: another text may have them. */
mote_status mote_calibration_damp(mote_calibration *calibration, const mote_program *program, mote_error *error);
/* Grams -> factors, where damping[j] of moments j is not 0 (compress/factors.c). */
mote_status mote_calibration_factor(mote_calibration *calibration, const mote_program *program, const double *damping,
                                    mote_pool *pool, mote_error *error);

/* ---- the range of an activation (compress/ranges.c) */

/* Magnitudes in sixteenths of octaves. */
enum { MOTE_RANGE_BINS = 16 * 64 };
typedef struct mote_range_bin {
    uint64_t n;
    double sum, squares;
} mote_range_bin;
void mote_range_add(mote_range_bin *bins, const mote_real *values, size_t n);
/* The scale of 8-bit codes that loses least in squares over what was added, beyond which values are cut off; 0: there
 * were only zeros, or what is not finite. */
float mote_range_scale(const mote_range_bin *bins);

/* ---- rounding one matrix (compress/rounding.c, compress/gptq.c) */

typedef struct {
    const char *name;      /* for messages */
    const mote_real *values; /* [rows, cols] */
    int rows, cols;
    mote_type type;
    mote_quantize_method method; /* not BEST */
    const float *importance;     /* [cols]; NULL: all 1 */
    const mote_real *factor;     /* gptq: of mote_gptq_factor */
    const float *paid;           /* [cols] gptq: what an error costs that those to come take up: 1 / factor[i][i]^2 */
    char *out;                   /* rows of the type */
    double squared_error, squared_values; /* filled; the error weighed by importance in weighted_error */
    double weighted_error;
    int misfit;                  /* first row that does not fit the type, or -1 */
} mote_rounding;

/* Fills out and the sums. Not fitting is no failure: see misfit. */
mote_status mote_round_matrix(mote_rounding *rounding, mote_pool *pool, mote_error *error);

/* gram [n, n] -> in its place the upper triangular U with U^T U = (gram + damping)^-1; damping: of the mean diagonal,
 * on the diagonal. `room`: n values. False: it holds what is not finite. */
bool mote_gptq_factor(mote_real *gram, const float *diagonal, int n, double damping, mote_real *room);
enum { MOTE_GPTQ_ROWS = 48, MOTE_GPTQ_BLOCK = 256 };
/* Rows [begin, begin + n) of the matrix, n <= MOTE_GPTQ_ROWS; room: n x (cols + MOTE_GPTQ_BLOCK) values. */
void mote_gptq_rows(const mote_rounding *rounding, int begin, int n, mote_real *room);

/* ---- which tensor gets which type (compress/mixed.c) */

enum { MOTE_MIXED_TOKENS = 512 }; /* of the calibration text that losses are measured on */

/* Types of the tensors that are open, so that all weights together take at most target_bits each. types[] says what the
 * others have. */
mote_status mote_choose_types(const mote_model *model, const mote_quantize_options *options,
                              const mote_calibration *calibration, mote_pool *pool, const bool *open,
                              mote_type *types, mote_error *error);

/* Bits of all weights in a file, if tensor i were of types[i]; *weights: how many there are. */
double mote_file_bits(const mote_program *program, const mote_type *types, double *weights);
/* Weight `id` in f32, [rows, cols], from what is stored. */
void mote_weight_to_real(const mote_model *model, int id, mote_real *values, float *row);

#endif
