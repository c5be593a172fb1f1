/* Newton-Schulz iterations x <- (a + b R + c R^2) x with R = x x^T (Jordan 2024), by fewer products. R and the product
 * of all factors are symmetric and commute: iterated by themselves, half of each product is enough, and x is multiplied
 * once, at the end. Each step has coefficients of its own, the best for what it gets (Amsel et al. 2025, "The Polar
 * Express"). And x begins by sigma^8 <= trace(R^4): an even spectrum of n at n^-1/8, where the Frobenius norm leaves it
 * at n^-1/2. So three steps reach what five of Jordan's do, 384 x 1536 with a third of the arithmetic. R has twice the
 * digits of x to lose: a result of norm 1 is off by 1e-4 in f32 (by x itself 1e-5); in bf16 it would be by 0.2 to 1. */
#include "train/orthogonalize.h"

#include <math.h>

/* Each is the odd polynomial of degree 5 that is nearest to 1 where the one before leaves what was in [0.009, 1]. What
 * ends within 30 % of 1 is scaled by 0.89, to the mean square of Jordan's five: learning rates keep their meaning. What
 * was far below 0.009 grows by 73. */
typedef struct {
    double a, b, c;
} quintic;
static const quintic steps[] = {
    {8.130621, -23.767347, 17.562960},
    {3.684092, -2.756205, 0.540445},
    {2.431190, -1.810731, 0.408410},
};
enum { STEPS = sizeof steps / sizeof *steps };

static size_t whole_panels(int columns) {
    return (size_t)(columns + MOTE_PANEL - 1) / MOTE_PANEL * MOTE_PANEL;
}

static size_t matrix_bytes(int rows, size_t row) {
    return ((size_t)rows * row * sizeof(mote_real) + 63) & ~(size_t)63;
}

size_t mote_orthogonal_lay(mote_orthogonal *o, int rows, int cols, const mote_team *team, uint8_t *memory) {
    int small = rows < cols ? rows : cols;
    *o = (mote_orthogonal){
        .rows = rows, .cols = cols, .small = small, .x_row = whole_panels(cols), .square_row = whole_panels(small)};
    size_t x = matrix_bytes(rows, o->x_row), square = matrix_bytes(small, o->square_row),
           part = matrix_bytes(MOTE_ORTHOGONAL_ROWS, o->x_row),
           sums = ((size_t)rows * sizeof(double) + 63) & ~(size_t)63;
    if (memory) {
        o->x = (mote_real *)(void *)memory;
        o->sums = (double *)(void *)(memory + x);
        memory += x + sums;
        for (int i = 0; i < MOTE_ORTHOGONAL_SQUARES; i++, memory += square)
            o->square[i] = (mote_real *)(void *)memory;
        o->part = (mote_real *)(void *)(memory + (size_t)team->thread * part);
    }
    return x + sums + MOTE_ORTHOGONAL_SQUARES * square + (size_t)team->n_threads * part;
}

/* ---- a square symmetric matrix is made in strips: a panel of columns from the diagonal down, then mirrored */

typedef struct {
    const mote_kernels *k;
    const mote_orthogonal *o;
    const mote_team *team;
} job;

/* Strips are dealt out there and back again, 0 1 1 0 0 1 1 0, since each is shorter than the one before. */
static bool is_mine(const mote_team *team, int strip) {
    int n = team->n_threads, place = strip % (2 * n);
    return team->thread == (place < n ? place : 2 * n - 1 - place);
}

/* The first column of the calling thread's next strip after `column`; small: there is none. */
static int next_strip(const job *j, int column) {
    do column += MOTE_PANEL;
    while (column < j->o->small && !is_mine(j->team, column / MOTE_PANEL));
    return column < j->o->small ? column : j->o->small;
}

#define EACH_STRIP(j, column)                                                                                          \
    int column = next_strip(j, -MOTE_PANEL);                                                                           \
    column < (j)->o->small;                                                                                            \
    column = next_strip(j, column)

static int strip_width(const job *j, int column) {
    return j->o->small - column < MOTE_PANEL ? j->o->small - column : MOTE_PANEL;
}

static mote_real *strip_of(const job *j, mote_real *square, int column) {
    return square + (size_t)column * (j->o->square_row + 1);
}

/* Writes what lies below the strip's first rows beside them. */
static void mirror(const job *j, int column, mote_real *square) {
    const int width = strip_width(j, column), small = j->o->small;
    const size_t row = j->o->square_row;
    mote_real turned[MOTE_PANEL * MOTE_PANEL] __attribute__((aligned(64)));
    for (int r = column + MOTE_PANEL; r < small; r += MOTE_PANEL) {
        int n = small - r < MOTE_PANEL ? small - r : MOTE_PANEL;
        j->k->pack[MOTE_TYPE_F32](square + (size_t)r * row + (size_t)column, row, n, width, turned);
        for (int i = 0; i < width; i++)
            memcpy(square + (size_t)(column + i) * row + (size_t)r, turned + i * MOTE_PANEL,
                   MOTE_PANEL * sizeof *turned);
    }
}

/* A strip of x x^T, or of x^T x where x is tall. */
static void gram_strip(const job *j, int column, mote_real *gram) {
    const mote_orthogonal *o = j->o;
    mote_gemm g = {.rows = o->small - column, .columns = strip_width(j, column), .b_padded = true,
                   .c = strip_of(j, gram, column), .c_row = o->square_row};
    if (o->rows > o->cols) {
        g.depth = o->rows;
        g.a = o->x + column;
        g.a_row = 1;
        g.a_depth = o->x_row;
        g.b = g.a;
        g.b_panel = MOTE_PANEL;
        g.b_depth = o->x_row;
    } else {
        g.depth = o->cols;
        g.a = o->x + (size_t)column * o->x_row;
        g.a_row = o->x_row;
        g.a_depth = 1;
        g.b = o->part;
        g.b_depth = MOTE_PANEL;
        j->k->pack[MOTE_TYPE_F32](g.a, o->x_row, g.columns, o->cols, o->part);
    }
    j->k->gemm[MOTE_TYPE_F32](&g);
    mirror(j, column, gram);
}

/* A strip of c = a b, for matrices that commute. */
static void product_strip(const job *j, int column, const mote_real *a, const mote_real *b, mote_real *c) {
    const size_t row = j->o->square_row;
    mote_gemm g = {.rows = j->o->small - column, .columns = strip_width(j, column), .depth = j->o->small,
                   .a = a + (size_t)column * row, .a_row = row, .a_depth = 1, .b = b + column,
                   .b_panel = MOTE_PANEL, .b_depth = row, .b_padded = true, .c = strip_of(j, c, column), .c_row = row};
    j->k->gemm[MOTE_TYPE_F32](&g);
}

/* The strip's share of the sum of squares of the whole square. */
static double strip_sum(const job *j, int column, mote_real *square) {
    const int width = strip_width(j, column);
    const mote_real *row = strip_of(j, square, column);
    double sum = 0;
    for (int r = column; r < j->o->small; r++, row += j->o->square_row)
        sum += (r < column + width ? 1 : 2) * j->k->dot(row, row, (size_t)width);
    return sum;
}

static void scale_strip(const job *j, int column, mote_real scale, mote_real *square) {
    mote_real *row = strip_of(j, square, column);
    for (int r = column; r < j->o->small; r++, row += j->o->square_row)
        j->k->scale(scale, row, (size_t)strip_width(j, column));
}

/* poly, which holds gram^2, becomes a + b gram + c gram^2. */
static void polynomial_strip(const job *j, int column, quintic step, mote_real *gram, mote_real *poly) {
    const mote_real a = (mote_real)step.a, b = (mote_real)step.b, c = (mote_real)step.c;
    const int width = strip_width(j, column);
    mote_real *to = strip_of(j, poly, column);
    const mote_real *from = strip_of(j, gram, column);
    for (int r = column; r < j->o->small; r++, to += j->o->square_row, from += j->o->square_row) {
        for (int i = 0; i < width; i++) to[i] = c * to[i] + b * from[i];
        if (r < column + width) to[r - column] += a;
    }
    mirror(j, column, poly);
}

/* ---- the iterations */

/* x of norm 1, or less where next to nothing is there. */
static void normalize(const job *j) {
    const mote_orthogonal *o = j->o;
    double sum = 0;
    for (int r = 0; r < o->rows; r++) sum += o->sums[r];
    const mote_real inverse = (mote_real)(1 / (sqrt(sum) + 1e-7));
    const int step = j->team->n_threads * MOTE_ORTHOGONAL_ROWS;
    for (int begin = j->team->thread * MOTE_ORTHOGONAL_ROWS; begin < o->rows; begin += step)
        for (int r = begin; r < o->rows && r < begin + MOTE_ORTHOGONAL_ROWS; r++)
            j->k->scale(inverse, o->x + (size_t)r * o->x_row, (size_t)o->cols);
}

/* The factor that takes the largest eigenvalue of gram to at most 1, from the sums of squares of gram^2. With all
 * singular values equal, an x of norm 1 has a gram^2 of norm small^-1.5; where it has less, x had next to nothing. */
static double gram_scale(const mote_orthogonal *o) {
    double sum = 0, least = pow((double)o->small, -3);
    for (int strip = 0; strip * MOTE_PANEL < o->small; strip++) sum += o->sums[strip];
    return 1 / sqrt(sqrt(sum < least ? least : sum));
}

/* c = scale a b */
static void multiply(const job *j, const mote_real *a, const mote_real *b, double scale, mote_real *c) {
    for (EACH_STRIP(j, column)) {
        product_strip(j, column, a, b, c);
        if (scale != 1) scale_strip(j, column, (mote_real)scale, c);
        mirror(j, column, c);
    }
}

void mote_orthogonal_solve(const mote_kernels *k, mote_orthogonal *o, const mote_team *team) {
    const job all = {k, o, team}, *j = &all;
    mote_real *gram = o->square[0], *poly = o->square[1], *half = o->square[2], *q = o->square[3], *next = o->square[4];
    mote_team_meet(team); /* x is whole */
    normalize(j);
    mote_team_meet(team);
    for (EACH_STRIP(j, column)) gram_strip(j, column, gram);
    double scale = 1;
    for (int i = 0; i < STEPS; i++) {
        const bool first = i == 0, last = i + 1 == STEPS;
        quintic step = steps[i];
        mote_team_meet(team); /* gram is whole */
        for (EACH_STRIP(j, column)) {
            product_strip(j, column, gram, gram, poly);
            if (first) o->sums[column / MOTE_PANEL] = strip_sum(j, column, poly);
        }
        if (first) {
            mote_team_meet(team);
            scale = gram_scale(o);
            step.b *= scale;
            step.c *= scale * scale;
        }
        for (EACH_STRIP(j, column)) polynomial_strip(j, column, step, gram, poly);
        mote_team_meet(team);
        if (!first) multiply(j, q, poly, 1, next);
        if (!last) {
            multiply(j, gram, poly, first ? scale : 1, half);
            mote_team_meet(team);
            multiply(j, half, poly, 1, gram);
        }
        mote_real **newest = first ? &poly : &next, *old = q; /* the first product of factors is one factor */
        q = *newest;
        *newest = old;
    }
    mote_team_meet(team);
    o->factor = q;
    o->scale = sqrt(scale);
}

void mote_orthogonal_rows(const mote_kernels *k, const mote_orthogonal *o, int begin, int end) {
    const bool tall = o->rows > o->cols;
    mote_gemm g = {.rows = end - begin, .columns = o->cols, .depth = o->small, .a_depth = 1, .b_panel = MOTE_PANEL,
                   .b_padded = true, .c = o->part, .c_row = o->x_row};
    g.a_row = tall ? o->x_row : o->square_row;
    g.a = (tall ? o->x : o->factor) + (size_t)begin * g.a_row;
    g.b = tall ? o->factor : o->x;
    g.b_depth = tall ? o->square_row : o->x_row;
    k->gemm[MOTE_TYPE_F32](&g);
}
