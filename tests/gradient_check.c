/* Proves every gradient: finite differences in double against backward. Built in the variant whose mote_real is double,
 * where the scalar kernels are the only ones. Each op is driven by the examples of its own row in the op table, so a
 * new op is checked without a line here; then whole models of all families, weight by weight. */
#include "base/random.h"
#include "models/model.h"
#include "ops/ops.h"
#include "test.h"

enum { MOST_ROWS = 93, SEQUENCES = 3 };
/* Ragged; the last ones start elsewhere in the table of positions. Attention alone has long ones too, which its
 * backward cuts into blocks. */
static const int short_lengths[SEQUENCES] = {9, 1, 13}, long_lengths[SEQUENCES] = {70, 1, 22};
static const int *lengths = short_lengths;
static mote_recompute recompute = MOTE_RECOMPUTE_NONE;

static int rows_of(const int *length) {
    int rows = 0;
    for (int i = 0; i < SEQUENCES; i++) rows += length[i];
    return rows;
}

typedef struct {
    mote_program *program;
    mote_exec *x;
    mote_pool *pool;
    void **weight, **packed;
    mote_real *cotangent; /* of the program's result, for programs without a loss */
    mote_tensor_id result;
    int32_t token[MOST_ROWS], position[MOST_ROWS], target[MOST_ROWS];
    mote_sequence sequence[SEQUENCES];
    mote_random random;
} bench;

static size_t values_of(const mote_program *p, int id) {
    int rows = p->tensors[id].rows == MOTE_PER_TOKEN ? rows_of(lengths) : p->tensors[id].rows;
    return (size_t)rows * (size_t)p->tensors[id].cols;
}

/* The activation that no op reads, if there is one. */
static mote_tensor_id find_result(const mote_program *p) {
    for (int i = p->n_ops - 1; i >= 0; i--) {
        bool read = false;
        for (int j = i + 1; j < p->n_ops; j++)
            for (int k = 0; k < MOTE_OP_INPUTS; k++) read = read || p->ops[j].in[k] == p->ops[i].out[0];
        if (!read && p->ops[i].out[0] != MOTE_NONE) return p->ops[i].out[0];
    }
    return MOTE_NONE;
}

static void fill_batch(bench *b) {
    int row = 0, context = b->program->context > 0 ? b->program->context : 64,
        vocab = b->program->vocab > 0 ? b->program->vocab : 2;
    for (int i = 0; i < SEQUENCES; i++) {
        b->sequence[i] = (mote_sequence){row, row + lengths[i], i, 0};
        for (int j = 0; j < lengths[i]; j++, row++) {
            b->position[row] = j % context;
            b->token[row] = (int32_t)mote_random_below(&b->random, (uint64_t)vocab);
            b->target[row] =
                mote_random_below(&b->random, 5) ? (int32_t)mote_random_below(&b->random, (uint64_t)vocab) : -1;
        }
    }
}

static void attach_batch(bench *b) {
    b->x->n_rows = rows_of(lengths);
    b->x->token = b->token;
    b->x->position = b->position;
    b->x->sequence = b->sequence;
    b->x->n_sequences = SEQUENCES;
    b->x->target = b->target;
    b->x->training = true;
    b->x->gradient_scale = (mote_real)1 / 17;
    b->x->dropout_seed = 5;
}

static void pack_all(bench *b) {
    for (int i = 0; i < b->program->n_ops; i++) {
        const mote_op *op = &b->program->ops[i];
        if (op->kind != MOTE_OP_LINEAR && op->kind != MOTE_OP_HEAD) continue;
        const mote_tensor *t = &b->program->tensors[op->in[1]];
        if (!b->packed[op->in[1]]) b->packed[op->in[1]] = mote_allocate(mote_packed_bytes(t->type, t->rows, t->cols));
        mote_exec_pack(b->x, op->in[1], 0, t->rows, 0);
    }
}

static bool bench_open(bench *b, mote_program *program, uint64_t seed, int threads) {
    mote_error error = {0};
    memset(b, 0, sizeof *b);
    mote_random_seed(&b->random, seed);
    b->program = program;
    b->result = find_result(program);
    b->weight = mote_allocate_zero((size_t)program->n_tensors, sizeof *b->weight);
    b->packed = mote_allocate_zero((size_t)program->n_tensors, sizeof *b->packed);
    for (int i = 0; i < program->n_tensors; i++) {
        const mote_tensor *t = &program->tensors[i];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        mote_real *w = b->weight[i] = mote_allocate(values_of(program, i) * sizeof *w);
        for (size_t j = 0; j < values_of(program, i); j++)
            w[j] =
                t->start.mean + (t->start.deviation > 0 ? t->start.deviation : 0.1f) * mote_random_normal(&b->random);
    }
    mote_exec_options options = {.max_rows = rows_of(lengths),
                                 .max_sequences = SEQUENCES,
                                 .slots = SEQUENCES,
                                 .context = lengths == long_lengths ? 80 : 16,
                                 .training = true,
                                 .recompute = recompute,
                                 .loss = true};
    mote_status status = mote_pool_create(threads, &b->pool, &error);
    if (status == MOTE_OK) status = mote_exec_create(program, b->weight, b->packed, b->pool, &options, &b->x, &error);
    CHECK(status == MOTE_OK, "%s", error.message);
    if (status != MOTE_OK) return false;
    fill_batch(b);
    attach_batch(b);
    for (int i = 0; i < program->n_tensors; i++)
        for (size_t j = 0; program->tensors[i].role == MOTE_ROLE_INPUT && j < values_of(program, i); j++)
            b->x->value[i][j] = mote_random_normal(&b->random);
    if (b->result != MOTE_NONE) {
        b->cotangent = mote_allocate(values_of(program, b->result) * sizeof *b->cotangent);
        for (size_t j = 0; j < values_of(program, b->result); j++) b->cotangent[j] = mote_random_normal(&b->random);
    }
    return true;
}

static void bench_close(bench *b) {
    for (int i = 0; i < b->program->n_tensors; i++) {
        mote_release(b->weight[i]);
        mote_release(b->packed[i]);
    }
    mote_release(b->weight);
    mote_release(b->packed);
    mote_release(b->cotangent);
    mote_exec_destroy(b->x);
    mote_pool_destroy(b->pool);
    mote_program_destroy(b->program);
}

/* The scalar whose gradient is checked: the loss, or the result's product with its cotangent. */
static double value_of(bench *b, bool backward) {
    double sum = 0;
    pack_all(b);
    mote_exec_forward(b->x);
    if (b->result != MOTE_NONE) {
        size_t n = values_of(b->program, b->result);
        for (size_t j = 0; j < n; j++) sum += b->x->value[b->result][j] * b->cotangent[j];
        if (!backward) return sum;
        memcpy(b->x->gradient[b->result], b->cotangent, n * sizeof *b->cotangent);
    }
    mote_exec_zero_gradients(b->x);
    mote_exec_backward(b->x);
    for (int r = 0; r < rows_of(lengths) && b->result == MOTE_NONE; r++) sum += b->x->row_loss[r] / 17;
    return sum;
}

/* Along a random direction, and at three elements, of one tensor. */
static void check_tensor(bench *b, int id, mote_real *values, const mote_real *gradient, double *worst) {
    size_t n = values_of(b->program, id);
    mote_real *direction = mote_allocate_zero(n, sizeof *direction);
    mote_real *before = mote_allocate(n * sizeof *before);
    memcpy(before, values, n * sizeof *before);
    for (int trial = 0; trial < 4; trial++) {
        double expected = 0, scale = 0, step = 1e-5;
        memset(direction, 0, n * sizeof *direction);
        if (trial == 0) for (size_t j = 0; j < n; j++) direction[j] = mote_random_normal(&b->random);
        else direction[mote_random_below(&b->random, n)] = 1;
        for (size_t j = 0; j < n; j++)
            expected += gradient[j] * direction[j], scale += fabs(gradient[j] * direction[j]);
        double sum[2];
        for (int side = 0; side < 2; side++) {
            for (size_t j = 0; j < n; j++) values[j] = before[j] + (side ? step : -step) * direction[j];
            sum[side] = value_of(b, false);
        }
        memcpy(values, before, n * sizeof *before);
        double measured = (sum[1] - sum[0]) / (2 * step);
        double error = fabs(measured - expected) / (scale + 1e-3);
        if (!(error <= *worst)) *worst = error;
        CHECK(error < 1e-6, "%s trial %d: backward %.12g, differences %.12g", b->program->tensors[id].name, trial,
              expected, measured);
    }
    mote_release(direction);
    mote_release(before);
}

static double check_program(mote_program *program, uint64_t seed, int threads) {
    bench b;
    double worst = 0;
    if (bench_open(&b, program, seed, threads)) {
        value_of(&b, true);
        mote_real **gradient = mote_allocate_zero((size_t)program->n_tensors, sizeof *gradient);
        for (int i = 0; i < program->n_tensors; i++) {
            mote_role role = program->tensors[i].role;
            if (role != MOTE_ROLE_WEIGHT && role != MOTE_ROLE_INPUT) continue;
            gradient[i] = mote_allocate(values_of(program, i) * sizeof **gradient);
            memcpy(gradient[i], b.x->gradient[i], values_of(program, i) * sizeof **gradient);
        }
        for (int i = 0; i < program->n_tensors; i++)
            if (gradient[i])
                check_tensor(&b, i, program->tensors[i].role == MOTE_ROLE_WEIGHT ? b.weight[i] : b.x->value[i],
                             gradient[i], &worst);
        for (int i = 0; i < program->n_tensors; i++) mote_release(gradient[i]);
        mote_release(gradient);
    }
    bench_close(&b);
    return worst;
}

static int kind_under_test;
static void op_examples(void) {
    const mote_op_info *info = mote_op_get((mote_op_kind)kind_under_test);
    CHECK(info->n_examples > 0, "op %s has no example", info->name);
    for (int example = 0; example < info->n_examples; example++) {
        mote_builder builder;
        mote_program *program;
        mote_error error = {0};
        lengths = kind_under_test == MOTE_OP_ATTENTION && example % 2 ? long_lengths : short_lengths;
        mote_builder_init(&builder);
        info->example(&builder, example);
        mote_status status = mote_builder_finish(&builder, &program, &error);
        CHECK(status == MOTE_OK && mote_program_check(program, &error) == MOTE_OK, "%s", error.message);
        if (status != MOTE_OK) return;
        double worst = check_program(program, 100 + (uint64_t)example, 1 + example % 3);
        printf("     %s example %d: worst relative error %.1e\n", info->name, example, worst);
    }
    lengths = short_lengths;
}

static const struct variant {
    const char *name;
    mote_family family;
    int heads, kv_heads, window;
    bool tied, bias, qk_norm;
    float dropout;
    mote_rope_scaling scaling;
} variants[] = {
    {"llama tied", MOTE_FAMILY_LLAMA, 4, 4, 0, true, false, false, 0, 0},
    {"llama untied, grouped, bias", MOTE_FAMILY_LLAMA, 4, 2, 0, false, true, false, 0, 0},
    {"llama one key head, norms, window", MOTE_FAMILY_LLAMA, 4, 1, 5, true, false, true, 0, 0},
    {"llama dropout", MOTE_FAMILY_LLAMA, 2, 2, 0, true, false, false, 0.2f, 0},
    {"gpt2 tied", MOTE_FAMILY_GPT2, 4, 4, 0, true, true, false, 0, 0},
    {"gpt2 untied, no bias", MOTE_FAMILY_GPT2, 2, 2, 0, false, false, false, 0, 0},
    {"gpt2 dropout, window", MOTE_FAMILY_GPT2, 4, 4, 4, true, true, false, 0.1f, 0},
    {"llama scaled as in llama 3", MOTE_FAMILY_LLAMA, 4, 2, 0, true, false, false, 0, MOTE_ROPE_LLAMA3},
    {"qwen2 scaled by yarn", MOTE_FAMILY_QWEN2, 4, 2, 0, true, true, false, 0, MOTE_ROPE_YARN},
    {"qwen3 untied", MOTE_FAMILY_QWEN3, 4, 2, 0, false, false, true, 0, 0},
    {"gemma3, its wide layer scaled", MOTE_FAMILY_GEMMA3, 4, 1, 5, true, false, true, 0, MOTE_ROPE_LINEAR},
    {"gemma3 dropout", MOTE_FAMILY_GEMMA3, 2, 2, 3, true, false, true, 0.1f, 0},
    {"smollm3", MOTE_FAMILY_SMOLLM3, 4, 2, 0, true, false, false, 0, 0},
};

static const struct variant *variant_under_test;
static void family_variant(void) {
    const struct variant *v = variant_under_test;
    mote_config c = mote_config_default(v->family);
    c.vocab = 31, c.context = 16, c.dim = 24, c.layers = 2, c.heads = v->heads, c.kv_heads = v->kv_heads, c.hidden = 40;
    if (v->family == MOTE_FAMILY_SMOLLM3) c.layers = 4; /* the last does not turn */
    c.rope_scaling = v->scaling, c.rope_factor = 4, c.rope_original_context = 8;
    c.window = v->window, c.tied = v->tied, c.bias = v->bias, c.qk_norm = v->qk_norm;
    mote_error error = {0};
    mote_program *program;
    mote_status status = mote_config_complete(&c, &error);
    if (status == MOTE_OK) status = mote_program_build_training(&c, v->dropout, &program, &error);
    CHECK(status == MOTE_OK, "%s", error.message);
    if (status != MOTE_OK) return;
    const char *kept = recompute == MOTE_RECOMPUTE_LAYER ? "layers computed again" : "cheap ops computed again";
    printf("     %s, %s: worst relative error %.1e\n", v->name, kept, check_program(program, 7, 2));
}

int main(void) {
    _Static_assert(sizeof(mote_real) == sizeof(double), "build this in the variant of doubles");
    for (kind_under_test = 0; kind_under_test < MOTE_N_OPS; kind_under_test++)
        test_run(mote_op_get((mote_op_kind)kind_under_test)->name, op_examples);
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        variant_under_test = &variants[i];
        recompute = i % 2 ? MOTE_RECOMPUTE_CHEAP : MOTE_RECOMPUTE_LAYER; /* test_train_memory: the bits are the same */
        test_run(variants[i].name, family_variant);
    }
    return test_finish();
}
