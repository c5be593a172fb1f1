/* What saves memory in training changes no bit: micro-batches that go through in parts, and values that the backward
 * pass computes again. And that it saves memory, as planned. */
#include <unistd.h>

#include "test.h"

#include "train/trainer.h"

enum { MODES = MOTE_RECOMPUTE_LAYER + 1 };
static const char *const mode_names[MODES] = {"cheap", "none", "layer"};

typedef struct {
    mote_model *model;
    mote_trainer *trainer;
    double loss[2]; /* of the first step and the last */
} run;

static mote_config shape(mote_family family) {
    mote_config c = mote_config_default(family);
    c.vocab = 61, c.context = 20, c.dim = 32, c.layers = 3, c.heads = 2;
    c.window = family == MOTE_FAMILY_GEMMA3 ? 7 : 0;
    if (family == MOTE_FAMILY_SMOLLM3) c.layers = 5; /* the fourth does not turn */
    return c;
}

static mote_train_options brief(int batch) {
    mote_train_options o = mote_train_options_default();
    o.batch = batch, o.steps = 10, o.warmup = 1, o.threads = 1, o.seed = 5, o.lr = 3e-3, o.dropout = 0.1;
    return o;
}

static bool run_steps(run *r, int steps) {
    for (int i = 0; i < steps; i++) {
        mote_step_report report = {0};
        mote_error error = {0};
        mote_status status = mote_trainer_step(r->trainer, &report, &error);
        CHECK(status == MOTE_OK, "%s", error.message);
        if (status) return false;
        r->loss[i > 0] = report.loss;
    }
    return true;
}

/* Random tokens, so that there is no end of them. */
static bool run_create(run *r, const mote_config *config, const mote_train_options *options) {
    mote_error error = {0};
    memset(r, 0, sizeof *r);
    bool ok = mote_model_create(config, NULL, 7, &r->model, &error) == MOTE_OK &&
              mote_trainer_create(r->model, NULL, options, &r->trainer, &error) == MOTE_OK;
    CHECK(ok, "%s", error.message);
    return ok;
}

static void run_destroy(run *r) {
    mote_trainer_destroy(r->trainer);
    mote_model_close(r->model);
}

/* Losses, weights and gradients. */
static bool same_bits(const run *a, const run *b) {
    const mote_updater *u = a->trainer->updater, *v = b->trainer->updater;
    if (memcmp(a->loss, b->loss, sizeof a->loss) != 0) return false;
    for (int i = 0; i < u->n_learned; i++) {
        const mote_learned *x = &u->learned[i], *y = &v->learned[i];
        if (memcmp(x->value, y->value, x->n * sizeof(mote_real)) != 0) return false;
        if (memcmp(x->gradient, y->gradient, x->n * sizeof(mote_real)) != 0) return false;
    }
    return true;
}

/* 2300 rows are two parts for one thread, the second of fewer windows, and one for six threads. */
static void parts_are_the_whole(void) {
    for (int family = 0; family <= MOTE_FAMILY_SMOLLM3; family++)
        for (int kind = 0; kind < 5; kind++) {
            mote_config c = shape((mote_family)family);
            mote_train_options o = brief(115);
            run parts, whole;
            c.tied = kind != 1;
            if (kind == 2) o.precision = MOTE_PRECISION_INT8;
            if (kind == 3) o.accumulate = 2, o.qat = MOTE_TYPE_Q8_0;
            if (kind == 4) o.precision = MOTE_PRECISION_BF16;
            if (!run_create(&parts, &c, &o)) return;
            o.threads = 6;
            if (!run_create(&whole, &c, &o)) return;
            CHECK(parts.trainer->exec->max_rows == 64 * 20 && whole.trainer->exec->max_rows == 115 * 20,
                  "rows at once: %d, %d", parts.trainer->exec->max_rows, whole.trainer->exec->max_rows);
            if (!run_steps(&parts, 2) || !run_steps(&whole, 2)) return;
            CHECK(same_bits(&parts, &whole), "family %d, kind %d: losses %.17g and %.17g", family, kind, parts.loss[1],
                  whole.loss[1]);
            run_destroy(&parts);
            run_destroy(&whole);
        }
}

/* Small batches are shared out by columns in forward, and by rows in backward. */
static void recomputing_changes_no_bit(void) {
    for (int family = 0; family <= MOTE_FAMILY_SMOLLM3; family++)
        for (int kind = 0; kind < 12; kind++) {
            mote_config c = shape((mote_family)family);
            mote_train_options o = brief(kind & 1 ? 1 : 7);
            run kept;
            if (kind & 2) o.dropout = 0;
            if (kind & 4) o.precision = MOTE_PRECISION_INT8;
            if (kind & 8) o.precision = MOTE_PRECISION_BF16;
            if (family != MOTE_FAMILY_GPT2) c.kv_heads = 1;
            c.qk_norm = family == MOTE_FAMILY_QWEN3 || family == MOTE_FAMILY_GEMMA3 ||
                        (family == MOTE_FAMILY_LLAMA && kind & 2);
            o.recompute = MOTE_RECOMPUTE_NONE;
            if (!run_create(&kept, &c, &o) || !run_steps(&kept, 3)) return;
            for (int mode = 0; mode < MODES; mode++)
                for (o.threads = 1; o.threads <= 4; o.threads += 3) {
                    run again;
                    o.recompute = (mote_recompute)mode;
                    if (!run_create(&again, &c, &o) || !run_steps(&again, 3)) return;
                    CHECK(same_bits(&kept, &again), "family %d, kind %d, %s, %d threads: losses %.17g and %.17g",
                          family, kind, mode_names[mode], o.threads, kept.loss[1], again.loss[1]);
                    run_destroy(&again);
                }
            run_destroy(&kept);
        }
}

static void a_run_may_go_on_otherwise(void) {
    char path[] = "/tmp/mote_memory_XXXXXX";
    int file = mkstemp(path);
    if (file >= 0) close(file);
    mote_config c = shape(MOTE_FAMILY_QWEN3);
    mote_train_options o = brief(6);
    run straight;
    if (!run_create(&straight, &c, &o) || !run_steps(&straight, 2) || !run_steps(&straight, 3)) return;
    for (int mode = 0; mode < MODES; mode++) {
        run first, second;
        mote_error error = {0};
        o.recompute = (mote_recompute)mode;
        if (!run_create(&first, &c, &o) || !run_steps(&first, 2)) return;
        CHECK(mote_trainer_save(first.trainer, path, &error) == MOTE_OK, "%s", error.message);
        run_destroy(&first);
        o.recompute = (mote_recompute)((mode + 1) % MODES);
        if (!run_create(&second, &c, &o)) return;
        CHECK(mote_trainer_resume(second.trainer, path, &error) == MOTE_OK, "%s", error.message);
        if (!run_steps(&second, 3)) return;
        CHECK(same_bits(&straight, &second), "%s after %s", mode_names[(mode + 1) % MODES], mode_names[mode]);
        run_destroy(&second);
    }
    run_destroy(&straight);
    unlink(path);
}

static void an_unknown_way_is_refused(void) {
    mote_config c = shape(MOTE_FAMILY_LLAMA);
    mote_train_options o = brief(1);
    mote_memory_plan plan;
    mote_error error = {0};
    o.recompute = (mote_recompute)MODES;
    CHECK(mote_plan_memory(&c, &o, NULL, &plan, &error) == MOTE_USAGE && strstr(error.message, "recompute"), "%s",
          error.message);
}

/* What lives at once, from a header before each block. */
static size_t live, peak;
enum { HEADER = 64 };

static void *counting_allocate(void *context, size_t bytes) {
    (void)context;
    char *block = malloc(bytes + HEADER);
    if (!block) return NULL;
    memcpy(block, &bytes, sizeof bytes);
    live += bytes;
    if (live > peak) peak = live;
    return block + HEADER;
}

static void counting_release(void *context, void *pointer) {
    (void)context;
    if (!pointer) return;
    size_t bytes;
    char *block = (char *)pointer - HEADER;
    memcpy(&bytes, block, sizeof bytes);
    live -= bytes;
    free(block);
}

static uint64_t sum_of(const mote_memory_plan *p) {
    return p->weights_bytes + p->gradients_bytes + p->optimizer_bytes + p->activations_bytes + p->scratch_bytes +
           p->data_bytes;
}

/* Every array is in the plan; lists of tensors and ops, which do not grow with any size, are not. */
static void what_is_planned_is_allocated(void) {
    const mote_memory_hooks hooks = {.allocate = counting_allocate, .release = counting_release};
    enum { LISTS = 96 << 10 };
    mote_memory_use(&hooks);
    for (int kind = 0; kind < 4 * MODES; kind++) {
        mote_config c = shape(kind / MODES % 2 ? MOTE_FAMILY_GPT2 : MOTE_FAMILY_LLAMA);
        mote_train_options o = brief(kind / MODES < 2 ? 8 : 160);
        mote_memory_plan plan = {0};
        mote_error error = {0};
        run r;
        o.recompute = (mote_recompute)(kind % MODES);
        o.threads = 2;
        CHECK(mote_plan_memory(&c, &o, NULL, &plan, &error) == MOTE_OK, "%s", error.message);
        peak = live;
        if (!run_create(&r, &c, &o) || !run_steps(&r, 2)) return;
        uint64_t planned = sum_of(&plan);
        CHECK(peak >= planned && peak - planned < LISTS, "kind %d: %zu of %llu", kind, peak,
              (unsigned long long)planned);
        run_destroy(&r);
        CHECK(live == 0, "%zu bytes are left", live);
    }
    mote_memory_use(NULL);
}

/* The embedding's gradient, where it waits for the last part of a micro-batch. */
static void what_lies_elsewhere_is_not_placed(void) {
    mote_config c = shape(MOTE_FAMILY_LLAMA);
    mote_program *program = NULL;
    mote_error error = {0};
    c.tied = true;
    CHECK(mote_config_complete(&c, &error) == MOTE_OK &&
              mote_program_build_training(&c, 0, &program, &error) == MOTE_OK, "%s", error.message);
    if (!program) return;
    const mote_tensor_id id = program->ops[0].out[0];
    for (int elsewhere = 0; elsewhere <= 1; elsewhere++) {
        mote_plan plan;
        CHECK(mote_plan_create(program, 8, true, MOTE_RECOMPUTE_CHEAP, elsewhere ? id : MOTE_NONE, &plan, &error) ==
                  MOTE_OK, "%s", error.message);
        CHECK((plan.gradient[id] == SIZE_MAX) == elsewhere && plan.value[id] != SIZE_MAX);
        mote_plan_deinit(&plan);
    }
    mote_program_destroy(program);
}

/* The gradient of a weight whose dy has rows of MOTE_GEMM_FAR values or more copies them to each thread's scratch. */
static void copies_for_gradients_are_planned(void) {
    for (int far = 0; far <= 1; far++) {
        mote_config c = shape(MOTE_FAMILY_LLAMA);
        mote_program *program = NULL;
        mote_exec_bytes bytes = {0};
        mote_error error = {0};
        const mote_exec_options how = {.max_rows = 8, .max_sequences = 1, .slots = 1, .context = 8, .all_rows = 8,
                                       .loss = true, .training = true};
        c.vocab = far ? MOTE_GEMM_FAR : MOTE_GEMM_FAR - 1;
        CHECK(mote_config_complete(&c, &error) == MOTE_OK &&
                  mote_program_build_training(&c, 0, &program, &error) == MOTE_OK &&
                  mote_exec_measure(program, &how, 3, &bytes, &error) == MOTE_OK, "%s", error.message);
        CHECK((bytes.scratch >= 3 * MOTE_GEMM_COPY * sizeof(mote_real)) == far, "%zu bytes of scratch", bytes.scratch);
        mote_program_destroy(program);
    }
}

/* A norm runs again for the attention behind it, but not where an op behind that reads its statistics. */
static void any_output_may_have_to_be_kept(void) {
    for (int reads_statistics = 0; reads_statistics <= 1; reads_statistics++) {
        mote_builder b;
        mote_program *program = NULL;
        mote_plan plan;
        mote_error error = {0};
        mote_builder_init(&b);
        mote_op_get(MOTE_OP_NORM)->example(&b, 0);
        mote_op *op = mote_builder_op(&b, MOTE_OP_ATTENTION);
        const mote_op *norm = b.program->ops;
        for (int i = 0; i < 3; i++) op->in[i] = norm->out[0];
        op->out[0] = mote_builder_activation(&b, 37, "attended");
        mote_tensor_id function = mote_builder_activation(&b, reads_statistics ? 2 : 37, "function");
        mote_tensor_id before = reads_statistics ? b.program->ops[0].out[1] : b.program->ops[1].out[0];
        op = mote_builder_op(&b, MOTE_OP_ACTIVATE);
        op->in[0] = before;
        op->out[0] = function;
        CHECK(mote_builder_finish(&b, &program, &error) == MOTE_OK, "%s", error.message);
        CHECK(mote_plan_create(program, 8, true, MOTE_RECOMPUTE_LAYER, MOTE_NONE, &plan, &error) == MOTE_OK, "%s",
              error.message);
        CHECK(plan.again[0] == (reads_statistics ? MOTE_AGAIN_NOT : MOTE_AGAIN_BEFORE), "%d", (int)plan.again[0]);
        mote_plan_deinit(&plan);
        mote_program_destroy(program);
    }
}

static uint64_t activations(const mote_config *c, int batch, mote_recompute how) {
    mote_train_options o = brief(batch);
    mote_memory_plan plan = {0};
    mote_error error = {0};
    o.recompute = how;
    o.dropout = 0;
    CHECK(mote_plan_memory(c, &o, NULL, &plan, &error) == MOTE_OK, "%s", error.message);
    return plan.activations_bytes;
}

/* What a layer keeps, in rows of the width: gpt2 norms 2, q k v 3, attention 1, sums 2, up 4, active 4; the cheap are
 * norms and active. */
static void recomputing_saves_memory(void) {
    mote_config few = shape(MOTE_FAMILY_GPT2), many = few;
    few.dim = many.dim = 64, few.layers = 10, many.layers = 20;
    const uint64_t row = 16 * 20 * 64 * sizeof(mote_real);
    static const double most[MODES] = {10.3, 16.3, 2.1}; /* and statistics */
    for (int mode = 0; mode < MODES; mode++) {
        mote_recompute how = (mote_recompute)mode;
        uint64_t layer = (activations(&many, 16, how) - activations(&few, 16, how)) / 10;
        CHECK((double)layer <= most[mode] * (double)row, "%s: a layer keeps %.2f rows", mode_names[mode],
              (double)layer / (double)row);
    }
    /* parts: a batch of any size needs little more than one of 1024 rows */
    CHECK(activations(&few, 1024, MOTE_RECOMPUTE_NONE) < 2 * activations(&few, 64, MOTE_RECOMPUTE_NONE), "grows");
}

int main(void) {
    RUN(parts_are_the_whole);
    RUN(recomputing_changes_no_bit);
    RUN(a_run_may_go_on_otherwise);
    RUN(an_unknown_way_is_refused);
    RUN(what_is_planned_is_allocated);
    RUN(recomputing_saves_memory);
    RUN(what_lies_elsewhere_is_not_placed);
    RUN(copies_for_gradients_are_planned);
    RUN(any_output_may_have_to_be_kept);
    return test_finish();
}
