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
    float *diagonal; /* [cols] sum of x^2 / tokens */
    mote_real *gram; /* [cols, cols] sum of x x^T / tokens; NULL where only the diagonal was asked for */
    float *paid;     /* [cols], once the gram is a factor: see mote_rounding */
    mote_real *rows; /* [rows of a batch, cols]: what the present batch has of it */
} mote_moments;

typedef struct {
    mote_moments *moments;
    int n;
    int16_t *of_weight; /* by tensor id: which moments; -1: no product reads it */
    uint64_t tokens;
} mote_calibration;

/* A pool of so many threads; 0: all cores. */
mote_status mote_pool_for(int threads, mote_pool **pool, mote_error *error);

/* Runs the model over max_tokens of the split (evenly spread) and sums up. */
mote_status mote_calibrate(const mote_model *model, const mote_dataset *dataset, mote_split split, uint64_t max_tokens,
                           bool grams, mote_pool *pool, mote_calibration *calibration, mote_error *error);
void mote_calibration_deinit(mote_calibration *calibration);
static inline const mote_moments *mote_moments_of(const mote_calibration *calibration, int id) {
    int which = calibration && calibration->of_weight ? calibration->of_weight[id] : -1;
    return which < 0 ? NULL : &calibration->moments[which];
}

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
