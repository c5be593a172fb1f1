/* What Muon's orthogonalization should give, in double and in the direct form: each step multiplies x itself. */
#ifndef MOTE_TESTS_ORTHOGONAL_H
#define MOTE_TESTS_ORTHOGONAL_H

#include <math.h>
#include <stdlib.h>

/* c = a b or a b^T */
static double *product(const double *a, const double *b, int rows, int depth, int cols, bool transposed) {
    double *c = calloc((size_t)rows * (size_t)cols, 8);
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < depth; k++)
            for (int j = 0; j < cols; j++)
                c[i * cols + j] += a[i * depth + k] * (transposed ? b[j * depth + k] : b[k * cols + j]);
    return c;
}

static double sum_of_squares(const double *x, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i] * x[i];
    return sum;
}

/* On a matrix with at most as many rows as columns. */
static inline void orthogonal_flat(double *x, int rows, int cols) {
    static const double steps[3][3] = {{8.130621, -23.767347, 17.562960},
                                       {3.684092, -2.756205, 0.540445},
                                       {2.431190, -1.810731, 0.408410}};
    double norm = sqrt(sum_of_squares(x, rows * cols)) + 1e-7;
    for (int i = 0; i < rows * cols; i++) x[i] /= norm;
    for (int n = 0; n < 3; n++) {
        double *gram = product(x, x, rows, cols, rows, true), *square = product(gram, gram, rows, rows, rows, false);
        double by = 1;
        if (n == 0) by = 1 / sqrt(fmax(sqrt(sum_of_squares(square, rows * rows)), pow(rows, -1.5)));
        const double a = steps[n][0], b = steps[n][1] * by, c = steps[n][2] * by * by;
        for (int i = 0; i < rows * rows; i++) square[i] = b * gram[i] + c * square[i];
        for (int i = 0; i < rows; i++) square[i * rows + i] += a;
        double *y = product(square, x, rows, rows, cols, false);
        for (int i = 0; i < rows * cols; i++) x[i] = sqrt(by) * y[i];
        free(gram), free(square), free(y);
    }
}

static inline void orthogonal_reference(double *x, int rows, int cols) {
    if (rows <= cols) {
        orthogonal_flat(x, rows, cols);
        return;
    }
    double *turned = malloc(sizeof(double) * (size_t)rows * (size_t)cols);
    for (int i = 0; i < rows * cols; i++) turned[i % cols * rows + i / cols] = x[i];
    orthogonal_flat(turned, cols, rows);
    for (int i = 0; i < rows * cols; i++) x[i] = turned[i % cols * rows + i / cols];
    free(turned);
}

#endif
