/* Logits, loss, every gradient and ten AdamW steps of small models against an independent implementation in PyTorch
 * (tools/make_goldens.py, which also describes the files). */
#include "base/threads.h"
#include "ops/ops.h"
#include "run/session.h"
#include "test.h"

enum { MOST_TENSORS = 64, MOST_ROWS = 64, MOST_SEQUENCES = 8 };

typedef struct {
    char name[64];
    int rows, cols; /* rows 1: a vector */
    bool vector;
    float base;
    const int8_t *stored;
    const float *gradient;
} golden_tensor;

typedef struct {
    char *bytes; /* the file; what follows points into copies after it */
    mote_config config;
    int halves, rows, sequences, steps, n_tensors;
    golden_tensor tensors[MOST_TENSORS];
    const int32_t *lengths, *batches; /* batches: [steps][2][rows] */
    const float *logits;
    const double *losses;
    double loss;
    void *copies[2 * MOST_TENSORS + 8];
    int n_copies;
} golden;

/* ---- the file */

static void *copy(golden *g, const char **at, size_t bytes) {
    void *p = malloc(bytes + 1);
    memcpy(p, *at, bytes);
    *at += bytes;
    return g->copies[g->n_copies++] = p;
}

static bool set_key(golden *g, const char *key, double value) {
    const struct {
        const char *key;
        int *place;
    } integers[] = {{"vocab", &g->config.vocab},
                    {"context", &g->config.context},
                    {"dim", &g->config.dim},
                    {"layers", &g->config.layers},
                    {"heads", &g->config.heads},
                    {"kv_heads", &g->config.kv_heads},
                    {"head_dim", &g->config.head_dim},
                    {"hidden", &g->config.hidden},
                    {"window", &g->config.window},
                    {"halves", &g->halves},
                    {"full_attention_period", &g->config.full_attention_period},
                    {"no_rope_period", &g->config.no_rope_period},
                    {"rope_original_context", &g->config.rope_original_context},
                    {"rows", &g->rows},
                    {"sequences", &g->sequences},
                    {"steps", &g->steps}};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++)
        if (!strcmp(key, integers[i].key)) return *integers[i].place = (int)value, true;
    const struct {
        const char *key;
        float *place;
    } numbers[] = {{"norm_epsilon", &g->config.norm_epsilon},
                   {"rope_base", &g->config.rope_base},
                   {"rope_base_window", &g->config.rope_base_window},
                   {"query_scale", &g->config.query_scale},
                   {"rope_factor", &g->config.rope_factor},
                   {"rope_low", &g->config.rope_low},
                   {"rope_high", &g->config.rope_high},
                   {"rope_attention_factor", &g->config.rope_attention_factor}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!strcmp(key, numbers[i].key)) return *numbers[i].place = (float)value, true;
    if (!strcmp(key, "rope_scaling")) return g->config.rope_scaling = (mote_rope_scaling)value, true;
    if (!strcmp(key, "tied")) return g->config.tied = value != 0, true;
    if (!strcmp(key, "bias")) return g->config.bias = value != 0, true;
    if (!strcmp(key, "qk_norm")) return g->config.qk_norm = value != 0, true;
    return false;
}

static bool set_family(golden *g, const char *name) {
    for (int family = 0; mote_family_get((mote_family)family); family++)
        if (!strcmp(name, mote_family_name((mote_family)family))) return g->config.family = (mote_family)family, true;
    return false;
}

static const char *read_header(golden *g) {
    char key[64], text[64];
    char *line = g->bytes;
    for (;; line = strchr(line, '\n') + 1) {
        golden_tensor *t = &g->tensors[g->n_tensors];
        if (!strncmp(line, "data\n", 5)) return line + 5;
        if (!strncmp(line, "mote-golden 1\n", 14)) continue;
        if (sscanf(line, "tensor %63s %d %d %f\n", t->name, &t->rows, &t->cols, &t->base) == 4) {
            t->vector = t->rows == 0;
            if (t->vector) t->rows = 1;
            g->n_tensors++;
        } else if (sscanf(line, "%63s %63s\n", key, text) == 2) {
            if (!strcmp(key, "family")) CHECK(set_family(g, text), "unknown family %s", text);
            else CHECK(set_key(g, key, strtod(text, NULL)), "unknown key %s", key);
        }
    }
}

static golden *open_golden(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "tests/data/golden_%s.bin", name);
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL, "%s cannot be opened; run from the project's root", path);
    if (!file) return NULL;
    golden *g = calloc(1, sizeof *g);
    size_t capacity = 1 << 18;
    g->bytes = calloc(1, capacity);
    size_t size = fread(g->bytes, 1, capacity - 1, file);
    fclose(file);
    g->config = mote_config_default(MOTE_FAMILY_LLAMA);
    const char *at = read_header(g);
    for (int i = 0; i < g->n_tensors; i++) {
        size_t n = (size_t)g->tensors[i].rows * (size_t)g->tensors[i].cols;
        g->tensors[i].stored = copy(g, &at, n);
    }
    g->lengths = copy(g, &at, (size_t)g->sequences * 4);
    g->batches = copy(g, &at, (size_t)g->steps * 2 * (size_t)g->rows * 4);
    g->logits = copy(g, &at, (size_t)g->rows * (size_t)g->config.vocab * 4);
    memcpy(&g->loss, at, 8);
    at += 8;
    for (int i = 0; i < g->n_tensors; i++) {
        size_t n = (size_t)g->tensors[i].rows * (size_t)g->tensors[i].cols;
        g->tensors[i].gradient = copy(g, &at, n * 4);
    }
    g->losses = copy(g, &at, (size_t)g->steps * 8);
    CHECK((size_t)(at - g->bytes) == size, "%s has %zu bytes, %zu were read", path, size, (size_t)(at - g->bytes));
    return g;
}

static void close_golden(golden *g) {
    for (int i = 0; i < g->n_copies; i++) free(g->copies[i]);
    free(g->bytes);
    free(g);
}

static mote_model *build_model(const golden *g) {
    mote_model *model = NULL;
    mote_error error = {0};
    mote_status status = mote_model_allocate(&g->config, true, &model, &error);
    CHECK(status == MOTE_OK, "%s", error.message);
    if (status) return NULL;
    const mote_program *p = model->program;
    int weights = 0;
    for (int i = 0; i < p->n_tensors; i++) weights += p->tensors[i].role == MOTE_ROLE_WEIGHT;
    CHECK(weights == g->n_tensors, "the program has %d weights, the golden %d", weights, g->n_tensors);
    for (int i = 0; i < g->n_tensors; i++) {
        const golden_tensor *t = &g->tensors[i];
        mote_tensor_id id = mote_program_find(p, t->name);
        bool fits = id != MOTE_NONE && p->tensors[id].rows == t->rows && p->tensors[id].cols == t->cols;
        CHECK(fits, "%s [%d, %d] is not in the program", t->name, t->rows, t->cols);
        if (!fits) continue;
        mote_real *w = model->weight[id];
        for (int j = 0; j < t->rows * t->cols; j++) w[j] = (mote_real)(t->base + (float)t->stored[j] / 256);
    }
    for (int i = 0; i < p->n_ops; i++)
        if (p->ops[i].kind == MOTE_OP_ROPE) CHECK(p->ops[i].as.rope.halves == (g->halves != 0), "pairing of RoPE");
    return model;
}

/* Rows of a ragged batch: sequence ids and positions. */
static void lay_rows(const golden *g, int32_t *sequence, int32_t *position, mote_sequence *parts) {
    int row = 0;
    for (int s = 0; s < g->sequences; s++) {
        if (parts) parts[s] = (mote_sequence){.begin = row, .end = row + g->lengths[s], .slot = s};
        for (int i = 0; i < g->lengths[s]; i++, row++) sequence[row] = s, position[row] = i;
    }
}

/* ---- serving */

static mote_session *open_session(const mote_model *model, int sequences, int batch_tokens, int threads) {
    mote_session_options o = mote_session_options_default();
    o.sequences = sequences;
    o.batch_tokens = batch_tokens;
    o.threads = threads;
    mote_session *session = NULL;
    mote_error error = {0};
    CHECK(mote_session_create(model, &o, &session, &error) == MOTE_OK, "%s", error.message);
    return session;
}

static void check_logits(const golden *g, const mote_model *model) {
    int32_t sequence[MOST_ROWS], position[MOST_ROWS];
    uint8_t all[MOST_ROWS];
    lay_rows(g, sequence, position, NULL);
    memset(all, 1, sizeof all);
    mote_session *session = open_session(model, g->sequences, g->rows, 1);
    mote_batch batch = {g->rows, g->batches, position, sequence, all};
    mote_error error = {0};
    CHECK(mote_session_run(session, &batch, &error) == MOTE_OK, "%s", error.message);
    double largest = 0, worst = 0;
    for (int r = 0; r < g->rows; r++) {
        const float *logits = mote_session_logits(session, r),
                    *expected = g->logits + (size_t)r * (size_t)g->config.vocab;
        for (int i = 0; i < g->config.vocab; i++) {
            largest = fmax(largest, fabs((double)expected[i]));
            worst = fmax(worst, fabs((double)logits[i] - (double)expected[i]));
        }
    }
    CHECK(worst <= 1e-5 * largest, "logits differ by %.2e of %.2f", worst, largest);
    mote_session_destroy(session);
}

/* The last: more than there are cores, nearly all of which find nothing to do. */
static const int thread_numbers[] = {1, 2, 3, 24};
enum { N_THREAD_NUMBERS = sizeof thread_numbers / sizeof *thread_numbers };

/* One sequence read `step` tokens at a time: the same bits as at once, with any number of threads. */
static void check_splits(const golden *g, const mote_model *model) {
    size_t vocab = (size_t)g->config.vocab;
    int n = g->lengths[0];
    int32_t position[MOST_ROWS];
    uint8_t all[MOST_ROWS];
    float *first = malloc((size_t)n * vocab * sizeof *first);
    memset(all, 1, sizeof all);
    for (int i = 0; i < n; i++) position[i] = i;
    static const int steps[] = {1000, 1, 5, 7, 23};
    for (int t = 0; t < N_THREAD_NUMBERS; t++)
        for (int k = 0; k < 5; k++) {
            int step = steps[k] < n ? steps[k] : n;
            mote_session *session = open_session(model, 1, step, thread_numbers[t]);
            for (int begin = 0; begin < n; begin += step) {
                int count = n - begin < step ? n - begin : step;
                mote_batch batch = {count, g->batches + begin, position + begin, NULL, all};
                mote_error error = {0};
                CHECK(mote_session_run(session, &batch, &error) == MOTE_OK, "%s", error.message);
                float *rows = first + (size_t)begin * vocab;
                if (t == 0 && k == 0)
                    memcpy(rows, mote_session_logits(session, 0), (size_t)count * vocab * sizeof *rows);
                else
                    CHECK(!memcmp(rows, mote_session_logits(session, 0), (size_t)count * vocab * sizeof *rows),
                          "%d tokens at a time with %d threads differ from position %d on", step, thread_numbers[t],
                          begin);
            }
            mote_session_destroy(session);
        }
    free(first);
}

/* ---- training */

typedef struct {
    mote_pool *pool;
    mote_exec *exec;
    int32_t sequence[MOST_ROWS], position[MOST_ROWS];
    mote_sequence parts[MOST_SEQUENCES];
} training;

static void repack(const training *t, const mote_model *model) {
    for (int i = 0; i < model->program->n_tensors; i++)
        if (t->exec->strips[i]) mote_exec_pack(t->exec, (mote_tensor_id)i, 0, model->program->tensors[i].rows, 0);
}

static bool open_training(const golden *g, mote_model *model, int threads, training *t) {
    mote_error error = {0};
    *t = (training){0};
    mote_exec_options how = {.max_rows = g->rows, .max_sequences = g->sequences, .slots = g->sequences,
                             .context = g->config.context, .training = true, .loss = true};
    bool ok =
        mote_model_pack(model, &error) == MOTE_OK && mote_pool_create(threads, &t->pool, &error) == MOTE_OK &&
        mote_exec_create(model->program, model->weight, model->packed, t->pool, &how, &t->exec, &error) == MOTE_OK;
    CHECK(ok, "%s", error.message);
    if (ok) repack(t, model);
    lay_rows(g, t->sequence, t->position, t->parts);
    return ok;
}

static void close_training(training *t) {
    mote_exec_destroy(t->exec);
    mote_pool_destroy(t->pool);
}

/* Mean loss of a batch, and its gradients when training. */
static double batch_loss(const golden *g, training *t, int step, bool train) {
    mote_exec *x = t->exec;
    const int32_t *target = g->batches + (size_t)(2 * step + 1) * (size_t)g->rows;
    int targets = 0;
    for (int i = 0; i < g->rows; i++) targets += target[i] >= 0;
    x->n_rows = g->rows;
    x->token = g->batches + (size_t)(2 * step) * (size_t)g->rows;
    x->position = t->position;
    x->sequence = t->parts;
    x->n_sequences = g->sequences;
    x->target = target;
    x->training = train;
    x->gradient_scale = (mote_real)(1.0 / targets);
    if (train) mote_exec_zero_gradients(x);
    mote_exec_forward(x);
    if (train) mote_exec_backward(x);
    double sum = 0;
    for (int i = 0; i < g->rows; i++)
        if (target[i] >= 0) sum += x->row_loss[i];
    return sum / targets;
}

static void check_gradients(const golden *g, mote_model *model) {
    training t;
    mote_real *first[MOST_TENSORS] = {0};
    for (int k = 0; k < N_THREAD_NUMBERS; k++) {
        const int threads = thread_numbers[k];
        if (!open_training(g, model, threads, &t)) return;
        double evaluated = batch_loss(g, &t, 0, false), trained = batch_loss(g, &t, 0, true);
        CHECK(fabs(trained - g->loss) <= 1e-6 * g->loss, "loss %.9f, not %.9f", trained, g->loss);
        CHECK(fabs(evaluated - g->loss) <= 1e-6 * g->loss, "loss without gradients %.9f, not %.9f", evaluated, g->loss);
        for (int i = 0; i < g->n_tensors; i++) {
            const golden_tensor *tensor = &g->tensors[i];
            const mote_real *gradient = t.exec->gradient[mote_program_find(model->program, tensor->name)];
            size_t n = (size_t)tensor->rows * (size_t)tensor->cols;
            double norm = 0, difference = 0;
            for (size_t j = 0; j < n; j++) {
                double d = (double)gradient[j] - (double)tensor->gradient[j];
                norm += (double)tensor->gradient[j] * (double)tensor->gradient[j];
                difference += d * d;
            }
            CHECK(sqrt(difference) <= 1e-4 * sqrt(norm), "gradient of %s is off by %.2e of %.2e", tensor->name,
                  sqrt(difference), sqrt(norm));
            if (threads == 1) first[i] = memcpy(malloc(n * sizeof *gradient), gradient, n * sizeof *gradient);
            else
                CHECK(!memcmp(first[i], gradient, n * sizeof *gradient), "gradient of %s with %d threads", tensor->name,
                      threads);
        }
        close_training(&t);
    }
    for (int i = 0; i < g->n_tensors; i++) free(first[i]);
}

/* Changes the model's weights. */
static void check_steps(const golden *g, mote_model *model) {
    training t;
    mote_real *m[MOST_TENSORS], *v[MOST_TENSORS];
    if (!open_training(g, model, 2, &t)) return;
    for (int i = 0; i < g->n_tensors; i++) {
        m[i] = calloc((size_t)g->tensors[i].rows * (size_t)g->tensors[i].cols, sizeof(mote_real));
        v[i] = calloc((size_t)g->tensors[i].rows * (size_t)g->tensors[i].cols, sizeof(mote_real));
    }
    double worst = 0;
    for (int step = 0; step < g->steps; step++) {
        double loss = batch_loss(g, &t, step, true), off = fabs(loss - g->losses[step]) / g->losses[step];
        worst = fmax(worst, off);
        CHECK(off <= 1e-4, "loss before step %d is %.7f, not %.7f", step, loss, g->losses[step]);
        for (int i = 0; i < g->n_tensors; i++) {
            mote_tensor_id id = mote_program_find(model->program, g->tensors[i].name);
            mote_adamw o = {.lr = (mote_real)1e-3,
                            .beta1 = (mote_real)0.9,
                            .beta2 = (mote_real)0.95,
                            .epsilon = (mote_real)1e-8,
                            .weight_decay = (mote_real)(g->tensors[i].vector ? 0 : 0.1),
                            .correction1 = (mote_real)(1 / (1 - pow(0.9, step + 1))),
                            .correction2 = (mote_real)(1 / (1 - pow(0.95, step + 1))),
                            .gradient_scale = 1};
            mote_kernels_get()->adamw(&o, t.exec->gradient[id], m[i], v[i], model->weight[id],
                                      (size_t)g->tensors[i].rows * (size_t)g->tensors[i].cols);
        }
        repack(&t, model);
    }
    CHECK(g->losses[g->steps - 1] != g->losses[0], "the losses change");
    for (int i = 0; i < g->n_tensors; i++) free(m[i]), free(v[i]);
    close_training(&t);
}

static void check_case(const char *name) {
    golden *g = open_golden(name);
    if (!g) return;
    const unsigned masks[] = {0, MOTE_CPU_AVX2 | MOTE_CPU_NEON, (unsigned)MOTE_CPU_ALL};
    for (int i = 0; i < 3; i++) {
        mote_cpu_restrict(masks[i]);
        mote_model *model = build_model(g);
        if (model && g->rows <= MOST_ROWS && g->sequences <= MOST_SEQUENCES) {
            check_logits(g, model);
            check_splits(g, model);
            check_gradients(g, model);
            check_steps(g, model);
        }
        mote_model_close(model);
    }
    close_golden(g);
}

static void llama_mha_tied(void) { check_case("llama_mha_tied"); }
static void llama_gqa_bias(void) { check_case("llama_gqa_bias"); }
static void llama_mqa_qk_norm(void) { check_case("llama_mqa_qk_norm"); }
static void llama_window(void) { check_case("llama_window"); }
static void gpt2(void) { check_case("gpt2"); }
static void qwen2(void) { check_case("qwen2"); }
static void qwen3(void) { check_case("qwen3"); }
static void gemma3(void) { check_case("gemma3"); }
static void smollm3(void) { check_case("smollm3"); }
static void llama_linear(void) { check_case("llama_linear"); }
static void llama_llama3(void) { check_case("llama_llama3"); }
static void llama_yarn(void) { check_case("llama_yarn"); }
static void qwen2_yarn_attention(void) { check_case("qwen2_yarn_attention"); }

int main(void) {
    RUN(llama_mha_tied);
    RUN(llama_gqa_bias);
    RUN(llama_mqa_qk_norm);
    RUN(llama_window);
    RUN(gpt2);
    RUN(qwen2);
    RUN(qwen3);
    RUN(gemma3);
    RUN(smollm3);
    RUN(llama_linear);
    RUN(llama_llama3);
    RUN(llama_yarn);
    RUN(qwen2_yarn_attention);
    return test_finish();
}
