/* Attention: a row has the bits that it has without what it does not see, also where that is no number. A model may
 * overflow in one token of a batch; the tokens before it, and those behind its window, must not know. */
#include "base/random.h"
#include "ops/ops.h"
#include "test.h"

enum { CONTEXT = 64, ROWS = 61, BAD = 37 };

typedef enum { SESSION, SESSION_BF16, EVALUATION, EVALUATION_BF16, TRAINING, KINDS } exec_kind;
static const char *const kind_names[KINDS] = {"session", "session, bf16", "evaluation", "evaluation, bf16", "training"};

typedef struct {
    mote_program *program;
    mote_pool *pool;
    mote_exec *x;
    void **none; /* by tensor: there are no weights */
    int32_t position[CONTEXT];
    mote_sequence sequence;
} bench;

static bool bench_open(bench *b, int example, int window, exec_kind kind, int threads) {
    mote_builder builder;
    mote_error error = {0};
    memset(b, 0, sizeof *b);
    mote_builder_init(&builder);
    mote_op_get(MOTE_OP_ATTENTION)->example(&builder, example);
    mote_status status = mote_builder_finish(&builder, &b->program, &error);
    if (status == MOTE_OK) {
        b->program->ops[0].as.attention.window = window;
        b->none = mote_allocate_zero((size_t)b->program->n_tensors, sizeof *b->none);
        mote_exec_options o = {.max_rows = ROWS, .max_sequences = 1, .slots = 1, .context = CONTEXT,
                               .loss = kind >= EVALUATION, .training = kind == TRAINING};
        if (kind == SESSION_BF16 || kind == EVALUATION_BF16) o.rounded = MOTE_TYPE_Q8_0;
        status = mote_pool_create(threads, &b->pool, &error);
        if (status == MOTE_OK) status = mote_exec_create(b->program, b->none, b->none, b->pool, &o, &b->x, &error);
    }
    CHECK(status == MOTE_OK, "%s", error.message);
    for (int i = 0; i < CONTEXT; i++) b->position[i] = i;
    return status == MOTE_OK;
}

static void bench_close(bench *b) {
    mote_exec_destroy(b->x);
    mote_pool_destroy(b->pool);
    mote_release(b->none);
    mote_program_destroy(b->program);
}

/* Queries, keys and values; those of row `bad` are the value given. */
static void fill(bench *b, int bad, mote_real value) {
    for (int i = 0; i < b->program->n_tensors; i++) {
        if (b->program->tensors[i].role != MOTE_ROLE_INPUT) continue;
        mote_random random;
        mote_random_seed(&random, (uint64_t)i + 1);
        for (int row = 0; row < ROWS; row++)
            for (int j = 0; j < b->program->tensors[i].cols; j++) {
                const mote_real normal = (mote_real)mote_random_normal(&random);
                mote_value(b->x, (mote_tensor_id)i, row)[j] = row == bad ? value : normal;
            }
    }
}

/* Rows from `begin` on, as one batch. */
static const mote_real *run(bench *b, int begin, int end) {
    mote_exec *x = b->x;
    b->sequence = (mote_sequence){.begin = 0, .end = end - begin, .position = begin};
    x->n_rows = end - begin;
    x->position = b->position + begin;
    x->sequence = &b->sequence;
    x->n_sequences = 1;
    mote_exec_forward(x);
    return mote_value(x, b->program->ops[0].out[0], 0);
}

static void check_rows(const char *what, exec_kind kind, int example, const mote_real *expected, const mote_real *got,
                       int begin, int end, size_t cols) {
    for (int row = begin; row < end; row++)
        CHECK(!memcmp(expected + (size_t)row * cols, got + (size_t)row * cols, cols * sizeof *got),
              "%s: example %d, %s: row %d differs", kind_names[kind], example, what, row);
}

static void check_unseen(exec_kind kind, int example, int window, mote_real value, int threads) {
    bench b;
    if (!bench_open(&b, example, window, kind, threads)) return;
    const size_t cols = (size_t)mote_cols(b.x, b.program->ops[0].out[0]), all = ROWS * cols;
    mote_real *good = mote_allocate(all * sizeof *good);
    fill(&b, -1, 0);
    memcpy(good, run(&b, 0, ROWS), all * sizeof *good);
    fill(&b, BAD, value);
    const mote_real *got = run(&b, 0, ROWS);
    const int behind = window && BAD + window < ROWS ? BAD + window : ROWS;
    check_rows("before it", kind, example, good, got, 0, BAD, cols);
    check_rows("behind its window", kind, example, good, got, behind, ROWS, cols);
    int numbers = 0;
    for (size_t i = BAD * cols; i < (BAD + 1) * cols; i++) numbers += isfinite((double)got[i]) != 0;
    CHECK(numbers == 0, "%s: what sees no number is one", kind_names[kind]);
    fill(&b, -1, 0); /* over what the state still holds of it */
    check_rows("again", kind, example, good, run(&b, 0, BAD), 0, BAD, cols);
    mote_release(good);
    bench_close(&b);
}

static void what_is_not_seen_does_not_matter(void) {
    const unsigned sets[] = {0, MOTE_CPU_AVX2, MOTE_CPU_AVX2 | MOTE_CPU_AVX512, (unsigned)MOTE_CPU_ALL};
    for (size_t set = 0; set < sizeof sets / sizeof *sets; set++) {
        mote_cpu_restrict(sets[set]);
        for (exec_kind kind = 0; kind < KINDS; kind++)
            for (int example = 0; example < mote_op_get(MOTE_OP_ATTENTION)->n_examples; example++)
                for (int window = 0; window <= 17; window += 17)
                    for (int threads = 1; threads <= 2; threads++)
                        check_unseen(kind, example, window, (mote_real)(example % 2 ? NAN : INFINITY), threads);
    }
    mote_cpu_restrict((unsigned)MOTE_CPU_ALL);
}

int main(void) {
    RUN(what_is_not_seen_does_not_matter);
    return test_finish();
}
