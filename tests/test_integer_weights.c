/* Models of integer weight types: close to the same model in f32, and the same bits for any number of threads, alone or
 * in a batch, however a prompt is split. */
#include "ops/ops.h"
#include "run/session.h"
#include "test.h"
#include "train/trainable.h"

#define PATH "build/test_integer_weights.gguf"
enum { TOKENS = 40, VOCAB = 83 };

/* Rows of whole blocks; or rows that end within one, and a table that is read in several parts. */
static mote_config config_of(bool whole) {
    mote_config c = mote_config_default(MOTE_FAMILY_LLAMA);
    c.vocab = VOCAB;
    c.context = 64;
    c.dim = whole ? 64 : 280;
    c.layers = 2;
    c.heads = whole ? 4 : 7;
    c.kv_heads = whole ? 2 : 7;
    c.hidden = whole ? 160 : 77;
    c.tied = !whole;
    return c;
}

/* Weights as if trained: a deviation of 1 / sqrt(inputs), so that no layer's outputs vanish against the residual. */
static mote_model *random_model(mote_config config) {
    mote_model *model = NULL;
    mote_error error = {0};
    CHECK(mote_model_create(&config, NULL, 5, &model, &error) == MOTE_OK, "%s", error.message);
    for (int i = 0; model && i < model->program->n_tensors; i++) {
        const mote_tensor *t = &model->program->tensors[i];
        if (t->role != MOTE_ROLE_WEIGHT || !t->matrix || t->start.deviation <= 0) continue;
        mote_real scale = (mote_real)(1 / (sqrt(t->cols) * (double)t->start.deviation)), *w = model->weight[i];
        for (size_t j = 0; j < (size_t)t->rows * (size_t)t->cols; j++) w[j] *= scale;
    }
    return model;
}

static mote_model *opened_as(const mote_model *model, mote_type type) {
    mote_model *opened = NULL;
    mote_error error = {0};
    CHECK(mote_model_save(model, PATH, type, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_model_open(PATH, &opened, &error) == MOTE_OK, "%s", error.message);
    remove(PATH);
    return opened;
}

static mote_session *open_session(const mote_model *model, int threads) {
    mote_session_options o = mote_session_options_default();
    o.context = 64;
    o.sequences = 3;
    o.batch_tokens = 128;
    o.threads = threads;
    mote_session *session = NULL;
    mote_error error = {0};
    CHECK(mote_session_create(model, &o, &session, &error) == MOTE_OK, "%s", error.message);
    return session;
}

static int32_t token_at(int sequence, int i) { return (int32_t)((i * 31 + i * i * 7 + sequence * 11) % VOCAB); }

/* Tokens [from, from + n) of `sequences` sequences in one batch; the logits of the first go to out. */
static void run(mote_session *session, int sequences, int from, int n, float *out) {
    int32_t token[128], position[128], sequence[128];
    uint8_t want[128];
    for (int s = 0; s < sequences; s++) {
        for (int i = 0; i < n; i++) {
            int row = s * n + i;
            token[row] = token_at(sequences - 1 - s, from + i); /* the last is the one that is compared */
            position[row] = from + i;
            sequence[row] = s;
            want[row] = 1;
        }
    }
    mote_batch batch = {sequences * n, token, position, sequence, want};
    mote_error error = {0};
    CHECK(mote_session_run(session, &batch, &error) == MOTE_OK, "%s", error.message);
    for (int i = 0; i < n; i++)
        memcpy(out + (size_t)(from + i) * VOCAB, mote_session_logits(session, (sequences - 1) * n + i),
               VOCAB * sizeof *out);
}

/* The logits of TOKENS tokens, `step` of them at a time. */
static void logits_of(const mote_model *model, int threads, int sequences, int step, float *out) {
    mote_session *session = open_session(model, threads);
    for (int from = 0; from < TOKENS; from += step)
        run(session, sequences, from, TOKENS - from < step ? TOKENS - from : step, out);
    mote_session_destroy(session);
}

static double distance(const float *a, const float *b) {
    double square = 0, size = 0;
    for (int i = 0; i < TOKENS * VOCAB; i++) {
        double apart = (double)a[i] - (double)b[i];
        square += apart * apart;
        size += (double)a[i] * (double)a[i];
    }
    return sqrt(square / size);
}

static float expected[TOKENS * VOCAB], got[TOKENS * VOCAB];

/* What rounding costs the logits of these models, relative to their size, and no more than 1.3 times what was measured:
 * that of the weights, which random weights make much of, and that of the activations alone. */
static const struct {
    mote_type type;
    double most;
} types[] = {{MOTE_TYPE_Q8_0, 0.042}, {MOTE_TYPE_I8, 0.05}, {MOTE_TYPE_Q4_0, 0.55}, {MOTE_TYPE_Q3H, 0.7},
             {MOTE_TYPE_Q43, 0.85}};
enum { N_TYPES = sizeof types / sizeof *types };
static const double most_of_activations = 0.03;

/* The weights of an opened model as floats. */
static void copy_weights(const mote_model *from, mote_model *to) {
    for (int i = 0; i < from->program->n_tensors; i++) {
        const mote_tensor *t = &from->program->tensors[i];
        if (t->role != MOTE_ROLE_WEIGHT) continue;
        for (int r = 0; r < t->rows; r++)
            mote_type_get(t->type)->to_f32(
                (const char *)from->weight[i] + (size_t)r * mote_row_bytes(t->type, (size_t)t->cols),
                (float *)to->weight[i] + (size_t)r * (size_t)t->cols, (size_t)t->cols);
    }
}

static void logits_are_close_to_those_in_f32(void) {
    for (int i = 0; i < 2 * N_TYPES; i++) {
        mote_type type = types[i / 2].type;
        mote_model *model = random_model(config_of(i % 2)), *opened = opened_as(model, type);
        for (int j = 0; j < opened->program->n_ops; j++) {
            const mote_op *op = &opened->program->ops[j];
            if (op->kind != MOTE_OP_LINEAR && op->kind != MOTE_OP_HEAD) continue;
            const mote_tensor *t = &opened->program->tensors[op->in[1]];
            CHECK(t->type == type, "%s runs as %s", t->name, mote_type_name(t->type));
        }
        logits_of(model, 1, 1, TOKENS, expected);
        logits_of(opened, 1, 1, TOKENS, got);
        double apart = distance(expected, got);
        CHECK(apart > 0 && apart <= types[i / 2].most, "%s: %.4f of the logits' size", mote_type_name(type), apart);
        mote_model_close(model);
        model = random_model(config_of(i % 2));
        copy_weights(opened, model);
        logits_of(model, 1, 1, TOKENS, expected);
        apart = distance(expected, got);
        CHECK(apart > 0 && apart <= most_of_activations, "%s: activations cost %.4f", mote_type_name(type), apart);
        mote_model_close(opened);
        mote_model_close(model);
    }
}

static void a_token_has_the_same_bits_however_it_is_run(void) {
    static const struct {
        int threads, sequences, step;
        const char *how;
    } ways[] = {{2, 1, TOKENS, "two threads"},        {1, 1, 1, "one token at a time"},
                {2, 1, 1, "one token, two threads"}, {1, 1, 7, "seven at a time"},
                {2, 1, 13, "thirteen at a time"},    {1, 3, 17, "three sequences"},
                {2, 3, TOKENS, "three sequences, two threads"}};
    for (int i = 0; i < N_TYPES; i++) {
        mote_model *model = random_model(config_of(i % 2)), *opened = opened_as(model, types[i].type);
        logits_of(opened, 1, 1, TOKENS, expected);
        for (size_t j = 0; j < sizeof ways / sizeof *ways; j++) {
            logits_of(opened, ways[j].threads, ways[j].sequences, ways[j].step, got);
            CHECK(memcmp(expected, got, sizeof got) == 0, "%s: %s", mote_type_name(types[i].type), ways[j].how);
        }
        mote_model_close(opened);
        mote_model_close(model);
    }
}

/* More wanted rows in a row than product.c makes blocks of at a time. */
static void long_batches_agree_with_short_ones(void) {
    mote_model *model = random_model(config_of(true)), *opened = opened_as(model, MOTE_TYPE_Q8_0);
    for (int threads = 1; threads <= 2; threads++) {
        logits_of(opened, threads, 3, 1, expected);
        logits_of(opened, threads, 3, TOKENS, got); /* 120 rows */
        CHECK(memcmp(expected, got, sizeof got) == 0, "%d threads", threads);
    }
    mote_model_close(opened);
    mote_model_close(model);
}

static void costs_and_memory_are_those_of_the_type(void) {
    mote_model *model = random_model(config_of(true)), *opened = opened_as(model, MOTE_TYPE_Q4_0);
    mote_cost floats = mote_program_cost(model->program, 0), nibbles = mote_program_cost(opened->program, 0);
    CHECK(nibbles.flops == floats.flops && nibbles.weight_bytes < floats.weight_bytes / 6, "%g and %g bytes",
          floats.weight_bytes, nibbles.weight_bytes);
    mote_exec_options o = {.max_rows = 50, .max_sequences = 1, .slots = 1, .context = 50, .max_wanted = 1};
    mote_exec_bytes plain, blocks;
    mote_error error = {0};
    CHECK(mote_exec_measure(model->program, &o, 1, &plain, &error) == MOTE_OK &&
              mote_exec_measure(opened->program, &o, 1, &blocks, &error) == MOTE_OK, "%s", error.message);
    size_t of_hidden = 50 * (size_t)mote_blocks_of(160) * sizeof(mote_block8);
    CHECK(blocks.scratch >= of_hidden && blocks.scratch <= plain.scratch + of_hidden + 64, "%zu, %zu", plain.scratch,
          blocks.scratch);
    mote_model_close(opened);
    mote_model_close(model);
}

static void packing_floats_is_packing_their_rows(void) {
    enum { ROWS = 37, COLUMNS = 75 };
    float w[ROWS * COLUMNS];
    for (int i = 0; i < ROWS * COLUMNS; i++) w[i] = (float)sin(i * 0.37) * (float)(i % 11);
    for (int i = 0; i < N_TYPES; i++) {
        static char rows[ROWS * 256], row[256], once[4 << 12], parts[4 << 12];
        size_t row_bytes = mote_row_bytes(types[i].type, COLUMNS);
        size_t panel = mote_packed_bytes(types[i].type, MOTE_PANEL, COLUMNS);
        for (int r = 0; r < ROWS; r++)
            mote_type_get(types[i].type)->from_f32(w + r * COLUMNS, rows + (size_t)r * row_bytes, COLUMNS);
        memset(once, 1, sizeof once);
        memset(parts, 1, sizeof parts);
        mote_blocks_pack(types[i].type, rows, row_bytes, ROWS, COLUMNS, once);
        for (int r = 0; r < ROWS; r += MOTE_PANEL)
            mote_blocks_pack_f32(types[i].type, w + r * COLUMNS, COLUMNS, ROWS - r < MOTE_PANEL ? ROWS - r : MOTE_PANEL,
                                 COLUMNS, row, parts + (size_t)(r / MOTE_PANEL) * panel);
        CHECK(memcmp(once, parts, sizeof once) == 0, "%s", mote_type_name(types[i].type));
    }
}

int main(void) {
    RUN(logits_are_close_to_those_in_f32);
    RUN(a_token_has_the_same_bits_however_it_is_run);
    RUN(long_batches_agree_with_short_ones);
    RUN(costs_and_memory_are_those_of_the_type);
    RUN(packing_floats_is_packing_their_rows);
    return test_finish();
}
