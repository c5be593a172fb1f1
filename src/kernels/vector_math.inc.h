/* exp and sigmoid over the words of a vector_*.h, and the loop that every row and elementwise kernel runs in. */

/* Runs the statements for whole vectors (count is then a constant) and once more for the values that are left. */
#define EACH_VECTOR(type, n, ...)                                                                                      \
    do {                                                                                                               \
        type i = 0;                                                                                                    \
        for (; i + VECTOR <= (n); i += VECTOR) {                                                                       \
            const int count = VECTOR;                                                                                  \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
        if (i < (n)) {                                                                                                 \
            const int count = (int)((n) - i);                                                                          \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    } while (0)

/* exp(x) = 2^n exp(r) with |r| <= ln(2)/2, ln(2) in two parts and a polynomial of degree 7 for exp(r) (Cephes, expf).
 * Largest error of a sweep of the whole range: 1.01 ulp; 0 below ln(FLT_MIN), infinity from ln(FLT_MAX) on. */
INLINE vf v_exp(vf x) {
    vf n = v_round(v_mul(x, v_set(1.44269504088896341f)));
    vf r = v_fma(n, v_set(-0.693359375f), x);
    r = v_fma(n, v_set(2.12194440e-4f), r);
    vf p = v_fma(v_set(1.9875691500e-4f), r, v_set(1.3981999507e-3f));
    p = v_fma(p, r, v_set(8.3334519073e-3f));
    p = v_fma(p, r, v_set(4.1665795894e-2f));
    p = v_fma(p, r, v_set(1.6666665459e-1f));
    p = v_fma(p, r, v_set(5.0000001201e-1f));
    p = v_add(v_fma(p, v_mul(r, r), r), v_set(1));
    vf y = v_choose_less(x, v_set(-87.3365f), v_set(0), v_scale_exponent(p, n));
    return v_choose_less(v_set(88.7228f), x, v_set(INFINITY), y);
}

INLINE vf v_sigmoid(vf z) { return v_div(v_set(1), v_add(v_set(1), v_exp(v_sub(v_set(0), z)))); }
