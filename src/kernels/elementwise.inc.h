/* Activations, sums and optimizers over the words of a vector_*.h. Where no exp is involved the operations and their
 * order are those of elementwise_scalar.c, so the results are too, bit for bit. */

typedef struct {
    vf value, slope;
} curve;

/* f(x) = x sigmoid(z(x)) and its slope s + x s (1 - s) z'. */
INLINE curve silu(vf x) {
    vf one = v_set(1), s = v_sigmoid(x);
    return (curve){v_mul(x, s), v_mul(s, v_fma(x, v_sub(one, s), one))};
}

INLINE curve gelu(vf x) {
    vf one = v_set(1), square = v_mul(x, x);
    vf s = v_sigmoid(v_mul(x, v_fma(v_set(MOTE_GELU_CUBIC), square, v_set(MOTE_GELU_LINEAR))));
    vf slope = v_fma(v_set(3 * MOTE_GELU_CUBIC), square, v_set(MOTE_GELU_LINEAR));
    return (curve){v_mul(x, s), v_mul(s, v_fma(v_mul(x, v_sub(one, s)), slope, one))};
}

#define DEFINE_ACTIVATION(f)                                                                                           \
    static void f##_forward(const float *x, float *y, size_t n) {                                                      \
        EACH_VECTOR(size_t, n, v_store(y + i, f(v_load(x + i, count)).value, count););                                 \
    }                                                                                                                  \
    static void f##_backward(const float *x, const float *dy, float *dx, size_t n, bool add) {                         \
        EACH_VECTOR(size_t, n, vf d = v_mul(v_load(dy + i, count), f(v_load(x + i, count)).slope);                     \
                    v_store(dx + i, add ? v_add(v_load(dx + i, count), d) : d, count););                               \
    }                                                                                                                  \
    static void f##_gate(const float *gate, const float *up, float *y, size_t n) {                                     \
        EACH_VECTOR(size_t, n,                                                                                         \
                    v_store(y + i, v_mul(f(v_load(gate + i, count)).value, v_load(up + i, count)), count););           \
    }                                                                                                                  \
    static void f##_gate_backward(const float *gate, const float *up, const float *dy, float *dgate, float *dup,       \
                                  size_t n) {                                                                          \
        EACH_VECTOR(size_t, n, curve at = f(v_load(gate + i, count)); vf d = v_load(dy + i, count);                    \
                    vf from_gate = v_mul(v_mul(d, v_load(up + i, count)), at.slope);                                   \
                    v_store(dgate + i, from_gate, count); v_store(dup + i, v_mul(d, at.value), count););               \
    }

DEFINE_ACTIVATION(silu)
DEFINE_ACTIVATION(gelu)

static void add(const float *x, float *y, size_t n) {
    EACH_VECTOR(size_t, n, v_store(y + i, v_add(v_load(y + i, count), v_load(x + i, count)), count););
}

static void add_scaled(float scale, const float *x, float *y, size_t n) {
    vf factor = v_set(scale);
    EACH_VECTOR(size_t, n, v_store(y + i, v_fma(factor, v_load(x + i, count), v_load(y + i, count)), count););
}

static void scale(float factor, float *x, size_t n) {
    vf by = v_set(factor);
    EACH_VECTOR(size_t, n, v_store(x + i, v_mul(v_load(x + i, count), by), count););
}

/* Two sums, taken in turn: one would wait for itself. */
static double dot(const float *x, const float *y, size_t n) {
    vd even = d_zero(), odd = d_zero();
    size_t pairs = n / (2 * VECTOR) * (2 * VECTOR);
    for (size_t i = 0; i < pairs; i += 2 * VECTOR) {
        even = d_fma(v_load(x + i, VECTOR), v_load(y + i, VECTOR), even);
        odd = d_fma(v_load(x + i + VECTOR, VECTOR), v_load(y + i + VECTOR, VECTOR), odd);
    }
    x += pairs, y += pairs, n -= pairs;
    EACH_VECTOR(size_t, n, even = d_fma(v_load(x + i, count), v_load(y + i, count), even););
    return d_sum(d_add(even, odd));
}

static void adamw(const mote_adamw *o, const float *gradient, float *m, float *v, float *weight, size_t n) {
    vf keep = v_set(1 - o->lr * o->weight_decay), rest1 = v_set(1 - o->beta1), rest2 = v_set(1 - o->beta2);
    vf beta1 = v_set(o->beta1), beta2 = v_set(o->beta2), epsilon = v_set(o->epsilon);
    vf rate = v_set(-o->lr), clip = v_set(o->gradient_scale), correct1 = v_set(o->correction1),
       correct2 = v_set(o->correction2);
    EACH_VECTOR(size_t, n, vf g = v_mul(v_load(gradient + i, count), clip);
                vf first = v_fma(beta1, v_load(m + i, count), v_mul(rest1, g));
                vf second = v_fma(beta2, v_load(v + i, count), v_mul(rest2, v_mul(g, g)));
                vf deviation = v_add(v_sqrt(v_mul(second, correct2)), epsilon);
                vf step = v_div(v_mul(rate, v_mul(first, correct1)), deviation);
                v_store(m + i, first, count); v_store(v + i, second, count);
                v_store(weight + i, v_fma(v_load(weight + i, count), keep, step), count););
}

static void sgd(float lr, float beta, float factor, float weight_decay, const float *gradient, float *momentum,
                float *weight, size_t n) {
    vf rate = v_set(-lr), keep = v_set(beta), by = v_set(factor), decay = v_set(weight_decay);
    EACH_VECTOR(size_t, n, vf step = v_fma(keep, v_load(momentum + i, count), v_mul(by, v_load(gradient + i, count)));
                vf w = v_load(weight + i, count); v_store(momentum + i, step, count);
                v_store(weight + i, v_fma(rate, v_fma(decay, w, step), w), count););
}

static void fill_elementwise(mote_kernels *table) {
    table->activate[MOTE_ACTIVATION_SILU] = silu_forward;
    table->activate[MOTE_ACTIVATION_GELU] = gelu_forward;
    table->activate_backward[MOTE_ACTIVATION_SILU] = silu_backward;
    table->activate_backward[MOTE_ACTIVATION_GELU] = gelu_backward;
    table->gate[MOTE_ACTIVATION_SILU] = silu_gate;
    table->gate[MOTE_ACTIVATION_GELU] = gelu_gate;
    table->gate_backward[MOTE_ACTIVATION_SILU] = silu_gate_backward;
    table->gate_backward[MOTE_ACTIVATION_GELU] = gelu_gate_backward;
    table->add = add;
    table->add_scaled = add_scaled;
    table->scale = scale;
    table->dot = dot;
    table->adamw = adamw;
    table->sgd = sgd;
}
