/* Activations, sums and optimizers in plain C. */
#include "kernels/formulas.h"
#include "kernels/scalar.h"

static mote_real sigmoid(mote_real z) { return 1 / (1 + mote_exp(-z)); }

/* f(x) and f'(x) for f(x) = x sigmoid(z(x)): f' = s + x s (1 - s) z'. */
typedef struct {
    mote_real value, slope;
} curve;

static curve silu(mote_real x) {
    mote_real s = sigmoid(x);
    return (curve){x * s, s * (1 + x * (1 - s))};
}

static curve gelu(mote_real x) {
    mote_real square = x * x, s = sigmoid(x * (MOTE_GELU_LINEAR + MOTE_GELU_CUBIC * square));
    return (curve){x * s, s * (1 + x * (1 - s) * (MOTE_GELU_LINEAR + 3 * MOTE_GELU_CUBIC * square))};
}

#define DEFINE_ACTIVATION(f)                                                                                           \
    static void f##_scalar(const mote_real *x, mote_real *y, size_t n) {                                               \
        for (size_t i = 0; i < n; i++) y[i] = f(x[i]).value;                                                           \
    }                                                                                                                  \
    static void f##_backward_scalar(const mote_real *x, const mote_real *dy, mote_real *dx, size_t n, bool add) {      \
        for (size_t i = 0; i < n; i++) {                                                                               \
            mote_real gradient = dy[i] * f(x[i]).slope;                                                                \
            dx[i] = add ? dx[i] + gradient : gradient;                                                                 \
        }                                                                                                              \
    }                                                                                                                  \
    static void f##_gate_scalar(const mote_real *gate, const mote_real *up, mote_real *y, size_t n) {                  \
        for (size_t i = 0; i < n; i++) y[i] = f(gate[i]).value * up[i];                                                \
    }                                                                                                                  \
    static void f##_gate_backward_scalar(const mote_real *gate, const mote_real *up, const mote_real *dy,              \
                                         mote_real *dgate, mote_real *dup, size_t n) {                                 \
        for (size_t i = 0; i < n; i++) {                                                                               \
            curve at = f(gate[i]);                                                                                     \
            mote_real from_gate = dy[i] * up[i] * at.slope, from_up = dy[i] * at.value;                                \
            dgate[i] = from_gate;                                                                                      \
            dup[i] = from_up;                                                                                          \
        }                                                                                                              \
    }

DEFINE_ACTIVATION(silu)
DEFINE_ACTIVATION(gelu)

static void add_scalar(const mote_real *x, mote_real *y, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += x[i];
}

static void add_scaled_scalar(mote_real scale, const mote_real *x, mote_real *y, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = mote_fused(scale, x[i], y[i]);
}

static void scale_scalar(mote_real scale, mote_real *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] *= scale;
}

static double dot_scalar(const mote_real *x, const mote_real *y, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

static void adamw_scalar(const mote_adamw *o, const mote_real *gradient, mote_real *m, mote_real *v, mote_real *weight,
                         size_t n) {
    const mote_real keep = 1 - o->lr * o->weight_decay, rest1 = 1 - o->beta1, rest2 = 1 - o->beta2;
    for (size_t i = 0; i < n; i++) {
        mote_real g = gradient[i] * o->gradient_scale;
        m[i] = mote_fused(o->beta1, m[i], rest1 * g);
        v[i] = mote_fused(o->beta2, v[i], rest2 * (g * g));
        mote_real deviation = mote_sqrt(v[i] * o->correction2) + o->epsilon;
        mote_real step = o->lr * (m[i] * o->correction1) / deviation;
        weight[i] = mote_fused(weight[i], keep, -step);
    }
}

static void sgd_scalar(mote_real lr, mote_real beta, mote_real scale, mote_real weight_decay, const mote_real *gradient,
                       mote_real *momentum, mote_real *weight, size_t n) {
    for (size_t i = 0; i < n; i++) {
        momentum[i] = mote_fused(beta, momentum[i], scale * gradient[i]);
        weight[i] = mote_fused(-lr, mote_fused(weight_decay, weight[i], momentum[i]), weight[i]);
    }
}

void mote_kernels_fill_elementwise_scalar(mote_kernels *table) {
    table->activate[MOTE_ACTIVATION_SILU] = silu_scalar;
    table->activate[MOTE_ACTIVATION_GELU] = gelu_scalar;
    table->activate_backward[MOTE_ACTIVATION_SILU] = silu_backward_scalar;
    table->activate_backward[MOTE_ACTIVATION_GELU] = gelu_backward_scalar;
    table->gate[MOTE_ACTIVATION_SILU] = silu_gate_scalar;
    table->gate[MOTE_ACTIVATION_GELU] = gelu_gate_scalar;
    table->gate_backward[MOTE_ACTIVATION_SILU] = silu_gate_backward_scalar;
    table->gate_backward[MOTE_ACTIVATION_GELU] = gelu_gate_backward_scalar;
    table->add = add_scalar;
    table->add_scaled = add_scaled_scalar;
    table->scale = scale_scalar;
    table->dot = dot_scalar;
    table->adamw = adamw_scalar;
    table->sgd = sgd_scalar;
}
