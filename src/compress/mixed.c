/* A type for each tensor, so that the whole takes at most so many bits a weight and loses little. What a tensor costs
 * is its error (weighed by its inputs' squares) times how much the outputs mind: the KL that q3h in the tensors of one
 * input alone brings, measured on the calibration text, since KL grows with the square of a small error. Then steps to
 * larger types are taken, the one that gains most for its bits first. */
#include <math.h>
#include <string.h>

#include "compress/compress.h"

enum { N_CANDIDATES = 4 };
static const mote_type candidates[N_CANDIDATES] = {MOTE_TYPE_Q3H, MOTE_TYPE_Q4_0, MOTE_TYPE_Q8_0, MOTE_TYPE_F16};

typedef struct {
    double cost[N_CANDIDATES]; /* error, then KL; INFINITY: its weights do not fit */
    double bits[N_CANDIDATES];
    int chosen;
} tensor_choice;

typedef struct {
    const mote_model *model;
    const mote_quantize_options *options;
    const mote_calibration *calibration;
    mote_pool *pool;
    const bool *open;
    tensor_choice *of;  /* by tensor id */
    mote_model *work;   /* f32, to try types in */
    mote_real *values;  /* of one tensor */
    float *row;
    char *out;
} choice;

static size_t values_of(const mote_tensor *t) { return (size_t)t->rows * (size_t)t->cols; }

static mote_status round_as(choice *k, int id, int candidate, mote_rounding *r, mote_error *error) {
    const mote_tensor *t = &k->model->program->tensors[id];
    const mote_moments *m = mote_moments_of(k->calibration, id);
    *r = (mote_rounding){.name = t->name, .values = k->values, .rows = t->rows, .cols = t->cols,
                         .type = candidates[candidate], .method = MOTE_QUANTIZE_SEARCH,
                         .importance = m ? m->diagonal : NULL, .out = k->out};
    return mote_round_matrix(r, k->pool, error);
}

/* The error of every open tensor in every candidate. */
static mote_status measure_errors(choice *k, mote_error *error) {
    const mote_program *p = k->model->program;
    for (int id = 0; id < p->n_tensors; id++) {
        const mote_tensor *t = &p->tensors[id];
        if (!k->open[id]) continue;
        mote_weight_to_real(k->model, id, k->values, k->row);
        for (int c = 0; c < N_CANDIDATES; c++) {
            mote_rounding r;
            mote_status status = round_as(k, id, c, &r, error);
            if (status != MOTE_OK) return status;
            const bool weighed = mote_moments_of(k->calibration, id) != NULL;
            const double relative = r.squared_values > 0 ? r.squared_error / r.squared_values : 0;
            k->of[id].cost[c] = r.misfit >= 0 ? (double)INFINITY : weighed ? r.weighted_error : relative;
            k->of[id].bits[c] = 8.0 * (double)t->rows * (double)mote_row_bytes(candidates[c], (size_t)t->cols);
        }
    }
    return MOTE_OK;
}

static void forget_panels(mote_model *model, int id) {
    mote_release(model->packed[id]);
    model->packed[id] = NULL;
}

/* Puts the tensors of one input into q3h, or back to what they were. */
static mote_status set_group(choice *k, int first, bool rounded, mote_error *error) {
    const mote_program *p = k->model->program;
    const int group = k->calibration->of_weight[first];
    for (int id = first; id < p->n_tensors; id++) {
        if (!k->open[id] || (group < 0 ? id != first : k->calibration->of_weight[id] != group)) continue;
        const mote_tensor *t = &p->tensors[id];
        mote_real *to = k->work->weight[id];
        mote_weight_to_real(k->model, id, k->values, k->row);
        memcpy(to, k->values, values_of(t) * sizeof *to);
        forget_panels(k->work, id);
        if (!rounded || !(k->of[id].cost[0] < (double)INFINITY)) continue;
        mote_rounding r;
        mote_status status = round_as(k, id, 0, &r, error);
        if (status != MOTE_OK) return status;
        const size_t cols = (size_t)t->cols, row_bytes = mote_row_bytes(candidates[0], cols);
        for (int i = 0; i < t->rows; i++, to += cols) {
            mote_type_get(candidates[0])->to_f32(k->out + (size_t)i * row_bytes, k->row, cols);
            for (size_t c = 0; c < cols; c++) to[c] = (mote_real)k->row[c];
        }
    }
    return MOTE_OK;
}

/* Errors -> KL, one group after the other. */
static mote_status measure_groups(choice *k, mote_error *error) {
    const mote_program *p = k->model->program;
    const mote_quantize_options *o = k->options;
    for (int id = 0; id < p->n_tensors; id++) {
        if (!k->open[id]) continue;
        const int group = k->calibration->of_weight[id];
        int first = id;
        for (int i = 0; i < id && group >= 0; i++)
            if (k->open[i] && k->calibration->of_weight[i] == group) first = i;
        if (first < id) continue; /* measured with an earlier one */
        mote_comparison lost;
        mote_status status = set_group(k, id, true, error);
        if (status == MOTE_OK)
            status = mote_model_compare(k->model, k->work, o->calibration, o->calibration_split, MOTE_MIXED_TOKENS,
                                        mote_pool_threads(k->pool), &lost, error);
        if (status == MOTE_OK) status = set_group(k, id, false, error);
        if (status != MOTE_OK) return status;
        double sum = 0;
        for (int i = id; i < p->n_tensors; i++)
            if (k->open[i] && (i == id || (group >= 0 && k->calibration->of_weight[i] == group)) &&
                k->of[i].cost[0] < (double)INFINITY)
                sum += k->of[i].cost[0];
        for (int i = id; i < p->n_tensors; i++) {
            if (!k->open[i] || (i != id && (group < 0 || k->calibration->of_weight[i] != group))) continue;
            for (int c = 0; c < N_CANDIDATES; c++)
                if (k->of[i].cost[c] < (double)INFINITY) k->of[i].cost[c] *= sum > 0 ? lost.kl_mean / sum : 0;
        }
    }
    return MOTE_OK;
}

/* The step up that takes most off the cost for each bit and still fits; false: there is none. */
static bool step_up(choice *k, double *left) {
    int best = -1, best_c = 0;
    double best_gain = 0;
    for (int id = 0; id < k->model->program->n_tensors; id++) {
        const tensor_choice *t = &k->of[id];
        for (int c = t->chosen + 1; k->open[id] && c < N_CANDIDATES; c++) {
            const double bits = t->bits[c] - t->bits[t->chosen], gain = t->cost[t->chosen] - t->cost[c];
            if (bits > *left || !(gain > 0) || !(gain / (bits > 0 ? bits : 1) > best_gain))
                continue;
            best = id, best_c = c, best_gain = gain / (bits > 0 ? bits : 1);
        }
    }
    if (best < 0) return false;
    *left -= k->of[best].bits[best_c] - k->of[best].bits[k->of[best].chosen];
    k->of[best].chosen = best_c;
    return true;
}

static mote_status choose(choice *k, mote_type *types, mote_error *error) {
    const mote_program *p = k->model->program;
    double weights, bits;
    for (int id = 0; id < p->n_tensors; id++) {
        if (!k->open[id]) continue;
        tensor_choice *t = &k->of[id];
        while (t->chosen + 1 < N_CANDIDATES && !(t->cost[t->chosen] < (double)INFINITY)) t->chosen++;
        types[id] = candidates[t->chosen];
    }
    bits = mote_file_bits(p, types, &weights);
    double left = k->options->target_bits * weights - bits;
    if (left < 0) {
        mote_status status = mote_fail(error, MOTE_USAGE, "%g bits a weight cannot be reached: the least is %.3f",
                                       k->options->target_bits, bits / weights);
        return mote_hint(error, status, "gains, biases and positions stay f32; --keep takes bits, too");
    }
    while (step_up(k, &left)) {}
    for (int id = 0; id < p->n_tensors; id++)
        if (k->open[id]) types[id] = candidates[k->of[id].chosen];
    return MOTE_OK;
}

/* The model in f32, in memory of its own. */
static mote_status copy_model(choice *k, mote_error *error) {
    mote_status status = mote_model_allocate(&k->model->config, true, &k->work, error);
    for (int id = 0; id < k->model->program->n_tensors && status == MOTE_OK; id++)
        if (k->model->program->tensors[id].role == MOTE_ROLE_WEIGHT)
            mote_weight_to_real(k->model, id, k->work->weight[id], k->row);
    return status;
}

mote_status mote_choose_types(const mote_model *model, const mote_quantize_options *options,
                              const mote_calibration *calibration, mote_pool *pool, const bool *open,
                              mote_type *types, mote_error *error) {
    const mote_program *p = model->program;
    choice k = {.model = model, .options = options, .calibration = calibration, .pool = pool, .open = open};
    size_t most = 1, widest = 1, bytes = 1;
    for (int id = 0; id < p->n_tensors; id++) {
        const mote_tensor *t = &p->tensors[id];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        if (values_of(t) > most) most = values_of(t);
        if ((size_t)t->cols > widest) widest = (size_t)t->cols;
        for (int c = 0; c < N_CANDIDATES; c++) {
            size_t out = (size_t)t->rows * mote_row_bytes(candidates[c], (size_t)t->cols);
            if (out > bytes) bytes = out;
        }
    }
    k.of = mote_allocate_zero((size_t)p->n_tensors + 1, sizeof *k.of);
    k.values = mote_allocate(most * sizeof *k.values);
    k.row = mote_allocate(widest * sizeof *k.row);
    k.out = mote_allocate(bytes);
    mote_status status = k.of && k.values && k.row && k.out
                             ? MOTE_OK
                             : mote_fail_memory(error, "choosing types", most * sizeof *k.values + bytes);
    if (status == MOTE_OK) status = measure_errors(&k, error);
    if (status == MOTE_OK && calibration) status = copy_model(&k, error);
    if (status == MOTE_OK && calibration) status = measure_groups(&k, error);
    if (status == MOTE_OK) status = choose(&k, types, error);
    mote_model_close(k.work);
    mote_release(k.of);
    mote_release(k.values);
    mote_release(k.row);
    mote_release(k.out);
    return status;
}
