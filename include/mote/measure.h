/* mote: measuring a machine, and where the time of a model goes on it. A part of mote.h, which includes it; what runs,
 * trains and compresses models needs nothing of it. */
#ifndef MOTE_MEASURE_H
#define MOTE_MEASURE_H

#include "mote/mote.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Peaks of this machine, of one thread [0] and of all [1]; 0: this processor cannot, or there is no such cache. */
typedef enum { MOTE_MEMORY_L1, MOTE_MEMORY_L2, MOTE_MEMORY_L3, MOTE_MEMORY_DRAM, MOTE_N_MEMORIES } mote_memory_level;
typedef struct {
    int threads;
    char instruction_set[16];          /* of the f32 figure: the widest this processor has */
    double f32_flops[2], f16_flops[2]; /* multiply-adds per second, times two */
    double bf16_flops[2], int8_ops[2]; /* dot products with sums in f32, in int32 */
    size_t cache_bytes[3];             /* L1 data and L2 of a core; L3 as shared */
    int l3_cores;                      /* that share one L3 */
    size_t read_bytes[MOTE_N_MEMORIES][2];                 /* what each reading went over, of all threads together */
    double read_bandwidth[MOTE_N_MEMORIES][2];             /* bytes per second */
    double write_bandwidth[2], stream_write_bandwidth[2];  /* to DRAM; stream: past the caches */
    double barrier_seconds;            /* all threads of a pool meet once */
    double seconds;                    /* all of this took */
} mote_roof;
/* Takes about `seconds` (0: 2; from 0.01 to 60) on `threads` threads (0: all cores), and memory of four times the L3,
 * 64 to 512 MiB. Each figure is the best of seven repeats, of three where they are slow. */
MOTE_API mote_status mote_roof_measure(int threads, double seconds, mote_roof *roof, mote_error *error);
MOTE_API mote_status mote_roof_json(const mote_roof *roof, char **json, mote_error *error);

/* The product of a q4_0 matrix [rows, cols] and a normalised vector, y = W (x / rms(x) gain), in ever faster ways:
 * what each step of an integer kernel is worth on this machine. */
enum { MOTE_LADDER_RUNGS = 8 };
typedef struct {
    const char *name, *what; /* of static storage */
    int threads;
    double seconds;              /* of one product: the median of repeats */
    double weight_bytes;         /* that it reads */
    double roof_share;           /* of the least time that the peaks allow: 1 is the roof */
    const char *bound;           /* what sets that: "integers", "L1", "L2", "L3", "DRAM" */
} mote_ladder_rung;
typedef struct {
    int rows, cols;
    uint64_t integers;      /* dot products of 32 weights that were compared between rungs: all were equal */
    double largest_error;   /* of y between rungs, against the largest of y */
    mote_ladder_rung rung[MOTE_LADDER_RUNGS];
} mote_ladder;
/* `roof` (mote_roof_measure) says the threads of the last rung and the peaks. seconds: for each rung, about, but three
 * products at least; 0: 0.3. Fails where rungs disagree (MOTE_FAILED) or memory is short. */
MOTE_API mote_status mote_ladder_run(int rows, int cols, const mote_roof *roof, double seconds, mote_ladder *ladder,
                                     mote_error *error);
MOTE_API mote_status mote_ladder_json(const mote_ladder *ladder, char **json, mote_error *error);

/* Decoding with a model too large for this machine: all layers read the weights of one layer, which are random and of
 * an integer type or f32. A layer that fits a cache is read from there after the first. */
typedef struct {
    int threads, tokens;
    size_t layer_bytes, head_bytes, table_bytes, session_bytes; /* weights of one layer as read, ... */
    double layer_seconds, token_seconds; /* median; a token: all layers, the head and the rest */
    double bytes_per_second;             /* weights read in a token, over its seconds */
} mote_layers_report;
MOTE_API mote_status mote_layers_run(const mote_config *config, mote_type type, int tokens, int threads,
                                     mote_layers_report *report, mote_error *error);

/* Products of the sizes of tiny transformers, by mote and by a BLAS library on the same threads, in turns; medians. */
typedef enum { MOTE_PRODUCT_FORWARD, MOTE_PRODUCT_INPUT, MOTE_PRODUCT_WEIGHT } mote_product_form;
typedef struct {
    const char *group;           /* "attention", "64 to 128 wide", ... */
    mote_product_form form;      /* y = x W^T, dx = dy W, dW += dy^T x */
    int tokens, outputs, inputs; /* rows of x; rows and columns of W */
    int count;                   /* so many products, a thread each: tiles of attention; else 1 */
    double operations;           /* of all */
    double seconds, seconds_packing, blas_seconds; /* mote; with packing W each time; 0: no library */
} mote_crossover_row;
enum { MOTE_CROSSOVER_ROWS = 42 };
typedef struct {
    int threads, n_rows;
    double peak_flops; /* f32, measured, of all threads */
    mote_crossover_row rows[MOTE_CROSSOVER_ROWS];
} mote_crossover;
/* blas NULL: mote alone. threads 0: all cores. seconds: about (0: 8), but at least what three rounds take. only: part
 * of a group's name, NULL: all. */
MOTE_API mote_status mote_crossover_measure(const mote_blas *blas, int threads, double seconds, const char *only,
                                            mote_crossover *crossover, mote_error *error);
MOTE_API mote_status mote_crossover_json(const mote_crossover *crossover, const mote_blas *blas, char **json,
                                         mote_error *error);

/* Where the time of training, of reading a prompt or of decoding goes, op by op. */
typedef enum { MOTE_PROFILE_TRAIN, MOTE_PROFILE_PREFILL, MOTE_PROFILE_DECODE } mote_profile_kind;
typedef struct {
    size_t struct_bytes;
    mote_profile_kind kind;
    int n;                           /* train: steps; else tokens; 0: chosen */
    int threads;                     /* 0: chosen, as a session or a trainer chooses */
    const mote_train_options *train; /* train: complete (mote_recipe_complete); random tokens are trained on */
    double roof_seconds;             /* for mote_roof_measure, before the run; 0: 0.5 */
} mote_profile_options;

/* Times are wall time: seconds of all threads divided by their number, so rows and rests add up to the whole run. */
typedef struct {
    char op[16], name[64]; /* kind; what it writes ("head": its weight) */
    int layer;             /* -1: before or after the layers */
    uint64_t calls;        /* by all threads: for a tile of rows, a share of the columns, or a part of a weight */
    double forward_seconds, backward_seconds;
    double weights_seconds; /* of the gradients of its weights, where the op makes them apart */
    double again_seconds;   /* of running it again in the backward pass, where what it gave is not kept */
    double waiting_seconds; /* for other threads inside the op: attention, head */
    double seconds;         /* sum of the five */
    double flops, weight_bytes, state_bytes, activation_bytes; /* of the whole run, from the op's cost */
    double int8_part, bf16_part; /* of its FLOPs, against those peaks; the rest is in f32 */
    double roof_seconds;    /* the least time that the measured peaks allow */
    char bound[16];         /* what sets it: "f32", "bf16", "int8", "int8+f32", ..., or "L1", "L2", "L3", "DRAM" */
} mote_profile_row;
typedef struct {
    mote_profile_kind kind;
    int n, threads; /* steps or tokens; threads that ran */
    double seconds; /* the whole run, wall time */
    uint64_t tokens;
    const mote_profile_row *rows; /* by op, in the order of the program */
    int n_rows;
    double barrier_seconds;  /* between ops: waiting for other threads */
    double walking_seconds;  /* between ops: taking tiles, finding the next op */
    double starting_seconds; /* threads that wake up or are done; what a session does around a run */
    double optimizer_seconds, packing_seconds, data_seconds; /* training; data: windows, zeroed gradients, losses */
    size_t held_bytes;               /* what one step goes through: weights, states; training: the activations too */
    mote_memory_level held_level;    /* the fastest memory that holds it */
    mote_roof roof;
} mote_profile;

MOTE_API mote_profile_options mote_profile_options_default(mote_profile_kind kind);
/* Training changes the model; the others leave it as it is. Runs once unmeasured first. */
MOTE_API mote_status mote_profile_run(mote_model *model, const mote_profile_options *options, mote_profile **profile,
                                      mote_error *error);
MOTE_API void mote_profile_destroy(mote_profile *profile);
MOTE_API mote_status mote_profile_json(const mote_profile *profile, char **json, mote_error *error);

#ifdef __cplusplus
}
#endif
#endif
