/* Norms, attention rows and the loss over the words of a vector_*.h; rows_scalar.c has the formulas and their sources.
 * Sums run in VECTOR lanes that are added in a fixed order at the end: the result depends on the row's length only. */

static float rms_norm(const float *x, const float *gain, int n, float epsilon, float *y) {
    vf squares = v_set(0);
    EACH_VECTOR(int, n, vf v = v_load(x + i, count); squares = v_fma(v, v, squares););
    float inverse = 1 / sqrtf(v_sum(squares) / (float)n + epsilon);
    vf scale = v_set(inverse);
    EACH_VECTOR(int, n, v_store(y + i, v_mul(v_mul(v_load(x + i, count), scale), v_load(gain + i, count)), count););
    return inverse;
}

/* dx = value, or dx += value. */
INLINE void put(float *dx, vf value, int count, bool add) {
    v_store(dx, add ? v_add(v_load(dx, count), value) : value, count);
}

static void rms_norm_backward(const float *dy, const float *x, const float *gain, float rms_inverse, int n, float *dx,
                              bool add) {
    vf along = v_set(0);
    EACH_VECTOR(int, n, vf g = v_mul(v_load(dy + i, count), v_load(gain + i, count));
                along = v_fma(g, v_load(x + i, count), along););
    vf inverse = v_set(rms_inverse), shift = v_set(-(rms_inverse * rms_inverse * v_sum(along) / (float)n));
    EACH_VECTOR(int, n, vf g = v_mul(v_load(dy + i, count), v_load(gain + i, count));
                put(dx + i, v_mul(inverse, v_fma(v_load(x + i, count), shift, g)), count, add););
}

static void layer_norm(const float *x, const float *gain, const float *bias, int n, float epsilon, float *y,
                       float stats[2]) {
    vf sum = v_set(0), squares = v_set(0);
    EACH_VECTOR(int, n, sum = v_add(sum, v_load(x + i, count)););
    stats[0] = v_sum(sum) / (float)n;
    vf mean = v_set(stats[0]);
    EACH_VECTOR(int, n, vf v = v_keep(v_sub(v_load(x + i, count), mean), 0, count); squares = v_fma(v, v, squares););
    stats[1] = 1 / sqrtf(v_sum(squares) / (float)n + epsilon);
    vf scale = v_set(stats[1]);
    EACH_VECTOR(int, n, vf v = v_mul(v_sub(v_load(x + i, count), mean), scale); vf g = v_load(gain + i, count);
                v_store(y + i, bias ? v_fma(v, g, v_load(bias + i, count)) : v_mul(v, g), count););
}

static void layer_norm_backward(const float *dy, const float *x, const float *gain, const float stats[2], int n,
                                float *dx, bool add) {
    vf mean = v_set(stats[0]), inverse = v_set(stats[1]), sum = v_set(0), along = v_set(0);
    /* Lanes beyond the row hold g = 0, so that their normal value does not count. */
    EACH_VECTOR(int, n, vf g = v_mul(v_load(dy + i, count), v_load(gain + i, count)); sum = v_add(sum, g);
                along = v_fma(g, v_mul(v_sub(v_load(x + i, count), mean), inverse), along););
    vf g_mean = v_set(v_sum(sum) / (float)n), slope = v_set(-(v_sum(along) / (float)n));
    EACH_VECTOR(int, n, vf g = v_mul(v_load(dy + i, count), v_load(gain + i, count));
                vf normal = v_mul(v_sub(v_load(x + i, count), mean), inverse);
                put(dx + i, v_mul(inverse, v_fma(normal, slope, v_sub(g, g_mean))), count, add););
}

static void norm_gain_backward(const float *dy, const float *x, float mean, float inverse, int n, float *dgain) {
    vf center = v_set(mean), scale = v_set(inverse);
    EACH_VECTOR(int, n, vf normal = v_mul(v_sub(v_load(x + i, count), center), scale);
                v_store(dgain + i, v_fma(v_load(dy + i, count), normal, v_load(dgain + i, count)), count););
}

enum { SOFTMAX_ROWS = 16 }; /* go through each pass together: a short row alone would wait for its own sums */

INLINE void clear(float *x, int n) { EACH_VECTOR(int, n, v_store(x + i, v_set(0), count);); }

/* Where the keys of row r begin, and how many they are. */
INLINE float *keys_of(const mote_softmax *s, int r, int *low, int *n) {
    *low = s->low + r * s->step > 0 ? s->low + r * s->step : 0;
    *n = s->high + r * s->step - *low;
    return s->scores + (size_t)r * s->scores_row + *low;
}

/* largest + log(total). The bits of a float are nearly its logarithm (within 0.03); each step of Halley's method
 * against v_exp then cubes the error, down to that of v_exp. A call of log for each row took 15 % of the softmax of
 * short rows. */
static void put_log_sums(const mote_softmax *s, int from, int rows, const float *largest, const float *total) {
    float guess[SOFTMAX_ROWS];
    for (int r = 0; r < rows; r++) {
        int32_t bits;
        memcpy(&bits, &total[r], sizeof bits);
        guess[r] = (float)(bits - 0x3f7a3bea) * 8.26295829e-8f;
    }
    EACH_VECTOR(int, rows, vf t = v_load(total + i, count); vf y = v_load(guess + i, count);
                for (int step = 0; step < 2; step++) {
                    vf e = v_exp(y);
                    y = v_add(y, v_div(v_mul(v_set(2), v_sub(t, e)), v_add(t, e)));
                }
                v_store(guess + i, v_add(y, v_load(largest + i, count)), count););
    for (int r = 0; r < rows; r++) s->log_sum[(size_t)(from + r) * s->log_sum_row] = guess[r];
}

static void softmax(const mote_softmax *s) {
    float largest[SOFTMAX_ROWS], total[SOFTMAX_ROWS];
    vf factor = v_set(s->scale);
    for (int from = 0, low, n; from < s->rows; from += SOFTMAX_ROWS) {
        int rows = s->rows - from < SOFTMAX_ROWS ? s->rows - from : SOFTMAX_ROWS;
        for (int r = 0; r < rows; r++) {
            const float *x = keys_of(s, from + r, &low, &n);
            vf most = v_set(-INFINITY);
            EACH_VECTOR(int, n, most = v_max(most, v_keep(v_mul(factor, v_load(x + i, count)), -INFINITY, count)););
            largest[r] = v_largest(most);
        }
        for (int r = 0; r < rows; r++) {
            float *x = keys_of(s, from + r, &low, &n);
            vf shift = v_set(-largest[r]), sum = v_set(0);
            EACH_VECTOR(int, n, vf e = v_keep(v_exp(v_fma(factor, v_load(x + i, count), shift)), 0, count);
                        sum = v_add(sum, e); v_store(x + i, e, count););
            total[r] = v_sum(sum);
        }
        if (s->log_sum) put_log_sums(s, from, rows, largest, total);
        for (int r = 0; r < rows; r++) {
            float *x = keys_of(s, from + r, &low, &n);
            vf scale = v_set(1 / total[r]);
            clear(x - low, low);
            EACH_VECTOR(int, n, v_store(x + i, v_mul(v_load(x + i, count), scale), count););
            clear(x + n, s->width - low - n);
        }
    }
}

static void softmax_backward(const mote_softmax_backward *b) {
    const mote_softmax *s = &b->of;
    float delta[SOFTMAX_ROWS];
    vf factor = v_set(s->scale);
    for (int from = 0, low, n; from < s->rows; from += SOFTMAX_ROWS) {
        int rows = s->rows - from < SOFTMAX_ROWS ? s->rows - from : SOFTMAX_ROWS;
        for (int r = 0; r < rows; r++) {
            const float *y = b->y + (size_t)(from + r) * b->y_row, *dy = b->dy + (size_t)(from + r) * b->y_row;
            vf sum = v_set(0);
            EACH_VECTOR(int, b->columns, sum = v_fma(v_load(y + i, count), v_load(dy + i, count), sum););
            delta[r] = v_sum(sum);
        }
        for (int r = 0; r < rows; r++) {
            float *p = keys_of(s, from + r, &low, &n), *dp = b->dp + (p - s->scores);
            vf shift = v_set(-s->log_sum[(size_t)(from + r) * s->log_sum_row]), less = v_set(delta[r]);
            clear(p - low, low);
            clear(dp - low, low);
            EACH_VECTOR(int, n, vf e = v_exp(v_fma(factor, v_load(p + i, count), shift));
                        vf d = v_sub(v_load(dp + i, count), less); v_store(p + i, e, count);
                        v_store(dp + i, v_mul(v_mul(factor, e), d), count););
            clear(p + n, s->width - low - n);
            clear(dp + n, s->width - low - n);
        }
    }
}

/* Neighbours: with s = (-sin, sin) in each pair, y = x cos + swapped(x) s. */
static void rope_neighbours(const float *x, const float *cosine_sine, int head_dim, bool backward, bool add, float *y) {
    vf sign = backward ? v_set_pair(1, -1) : v_set_pair(-1, 1);
    EACH_VECTOR(int, head_dim, vf turn = v_load(cosine_sine + i, count); vf v = v_load(x + i, count);
                vf side = v_mul(v_swap_pairs(v), v_mul(v_odds_twice(turn), sign));
                put(y + i, v_fma(v, v_evens_twice(turn), side), count, add););
}

static void rope_halves(const float *x, const float *cosine_sine, int half, bool backward, bool add, float *y) {
    vf sign = v_set(backward ? -1.0f : 1.0f), minus = v_set(-1);
    EACH_VECTOR(int, half, int beyond = 2 * count - VECTOR; vf cosine; vf sine; vf a = v_load(x + i, count);
                vf b = v_load(x + half + i, count);
                vf low = v_load(cosine_sine + 2 * i, beyond >= 0 ? VECTOR : 2 * count);
                vf high = beyond > 0 ? v_load(cosine_sine + 2 * i + VECTOR, beyond) : minus;
                v_split_pairs(low, high, &cosine, &sine); sine = v_mul(sine, sign);
                put(y + i, v_fma(a, cosine, v_mul(b, v_mul(sine, minus))), count, add);
                put(y + half + i, v_fma(b, cosine, v_mul(a, sine)), count, add););
}

static void rope(const float *x, const float *cosine_sine, int head_dim, bool halves, bool backward, bool add,
                 float *y) {
    if (halves) rope_halves(x, cosine_sine, head_dim / 2, backward, add, y);
    else rope_neighbours(x, cosine_sine, head_dim / 2 * 2, backward, add, y);
}

static float largest_of(const float *x, int n) {
    vf most = v_set(-INFINITY);
    EACH_VECTOR(int, n, most = v_max(most, v_keep(v_load(x + i, count), -INFINITY, count)););
    return v_largest(most);
}

static double cross_entropy(float *logits, int n, int target, float scale, bool gradient, bool *correct) {
    float wanted = logits[target], before = largest_of(logits, target), after = largest_of(logits + target, n - target);
    float largest = before > after ? before : after;
    *correct = wanted >= after && (target == 0 || wanted > before);
    vf shift = v_set(largest), sum = v_set(0);
    if (gradient) {
        EACH_VECTOR(int, n, vf e = v_keep(v_exp(v_sub(v_load(logits + i, count), shift)), 0, count);
                    sum = v_add(sum, e); v_store(logits + i, e, count););
    } else {
        EACH_VECTOR(int, n, sum = v_add(sum, v_keep(v_exp(v_sub(v_load(logits + i, count), shift)), 0, count)););
    }
    double total = (double)v_sum(sum);
    if (gradient) {
        vf share = v_set((float)((double)scale / total));
        EACH_VECTOR(int, n, v_store(logits + i, v_mul(v_load(logits + i, count), share), count););
        logits[target] -= scale;
    }
    return log(total) + (double)largest - (double)wanted;
}

static void fill_rows(mote_kernels *table) {
    table->rms_norm = rms_norm;
    table->rms_norm_backward = rms_norm_backward;
    table->layer_norm = layer_norm;
    table->layer_norm_backward = layer_norm_backward;
    table->norm_gain_backward = norm_gain_backward;
    table->softmax = softmax;
    table->softmax_backward = softmax_backward;
    table->rope = rope;
    table->cross_entropy = cross_entropy;
}
