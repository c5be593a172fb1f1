/* The ladder of the integer product and models whose layers share their weights: integers agree on every rung and every
 * set of instructions, figures are positive, 80 layers run in integer types and stay near f32. */
#include <unistd.h>

#include "mote/mote.h"
#include "test.h"

static mote_error error;

static mote_roof some_roof(void) {
    mote_roof roof = {.threads = 2, .l3_cores = 2, .cache_bytes = {32 << 10, 1 << 20, 0}};
    for (int i = 0; i < 2; i++) {
        roof.int8_ops[i] = 1e11;
        for (int level = 0; level < MOTE_N_MEMORIES; level++)
            roof.read_bandwidth[level][i] = level == MOTE_MEMORY_L3 ? 0 : 1e10;
    }
    return roof;
}

static void rungs_agree(void) {
    static const int shapes[][2] = {{1, 1}, {5, 33}, {16, 32}, {67, 172}, {130, 512}, {512, 100}};
    const mote_roof roof = some_roof();
    static const unsigned masks[] = {0, MOTE_CPU_AVX2 | MOTE_CPU_NEON, (unsigned)MOTE_CPU_ALL};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (size_t j = 0; j < sizeof masks / sizeof *masks; j++) {
            const int rows = shapes[i][0], cols = shapes[i][1];
            mote_ladder ladder;
            mote_cpu_restrict(masks[j]);
            CHECK(mote_ladder_run(rows, cols, &roof, 0.001, &ladder, &error) == MOTE_OK, "%s", error.message);
            CHECK(ladder.rows == rows && ladder.cols == cols, "shape");
            CHECK(ladder.integers == (uint64_t)rows * (uint64_t)((cols + 31) / 32), "%d x %d: %llu integers", rows,
                  cols, (unsigned long long)ladder.integers);
            CHECK(ladder.largest_error < 1e-4, "error %g", ladder.largest_error);
            for (int r = 0; r < MOTE_LADDER_RUNGS; r++) {
                const mote_ladder_rung *rung = &ladder.rung[r];
                CHECK(rung->name && rung->what && rung->bound, "rung %d has its words", r);
                CHECK(rung->seconds > 0 && rung->roof_share > 0 && rung->weight_bytes > 0, "rung %d: %g s", r,
                      rung->seconds);
                CHECK(rung->threads == (r == MOTE_LADDER_RUNGS - 1 ? 2 : 1), "rung %d: threads", r);
            }
        }
    }
}

static void ladder_has_json(void) {
    const mote_roof roof = some_roof();
    mote_ladder ladder;
    char *json = NULL;
    CHECK(mote_ladder_run(64, 64, &roof, 0.001, &ladder, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_ladder_json(&ladder, &json, &error) == MOTE_OK, "%s", error.message);
    CHECK(json && strstr(json, "\"integers_compared\":128") && strstr(json, "\"speed_up\":"), "%s", json);
    mote_free(json);
}

static void bad_requests_are_refused(void) {
    const mote_roof roof = some_roof();
    mote_ladder ladder;
    mote_layers_report report;
    mote_config config = mote_config_default(MOTE_FAMILY_LLAMA);
    config.dim = 64, config.layers = 2, config.vocab = 32;
    CHECK(mote_ladder_run(0, 64, &roof, 0, &ladder, &error) == MOTE_USAGE, "no rows");
    CHECK(mote_ladder_run(64, 1 << 20, &roof, 0, &ladder, &error) == MOTE_USAGE, "too many columns");
    CHECK(mote_ladder_run(64, 64, NULL, 0, &ladder, &error) == MOTE_USAGE, "no roof");
    CHECK(mote_ladder_run(64, 64, &roof, NAN, &ladder, &error) == MOTE_USAGE, "no number");
    CHECK(mote_layers_run(&config, MOTE_TYPE_Q4_K, 4, 1, &report, &error) == MOTE_USAGE, "a type without kernels");
    CHECK(mote_layers_run(&config, MOTE_TYPE_Q4_0, 0, 1, &report, &error) == MOTE_USAGE, "no tokens");
}

static void layers_share_weights(void) {
    static const mote_type types[] = {MOTE_TYPE_F32, MOTE_TYPE_Q8_0, MOTE_TYPE_Q4_0, MOTE_TYPE_Q3H};
    size_t before = (size_t)-1;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        mote_config config = mote_config_default(MOTE_FAMILY_LLAMA);
        mote_layers_report report;
        config.dim = 64, config.layers = 80, config.heads = 4, config.kv_heads = 2, config.hidden = 172;
        config.vocab = 97;
        CHECK(mote_layers_run(&config, types[i], 3, 2, &report, &error) == MOTE_OK, "%s", error.message);
        CHECK(report.layer_seconds > 0 && report.token_seconds > 0 && report.bytes_per_second > 0, "figures");
        CHECK(report.layer_bytes < before && report.layer_bytes > 0, "%zu bytes of a layer", report.layer_bytes);
        CHECK(report.head_bytes > 0 && report.table_bytes > 0 && report.session_bytes > 0, "bytes");
        before = report.layer_bytes;
    }
}

/* Logits of four tokens, relative to the largest: mean square difference from `right`, or into `right`. */
static double run_model(const mote_model *model, float *right, bool first) {
    const int32_t token[4] = {1, 5, 9, 2}, position[4] = {0, 1, 2, 3};
    const uint8_t wanted[4] = {1, 1, 1, 1};
    const mote_batch batch = {.n_tokens = 4, .token = token, .position = position, .want_logits = wanted};
    const int vocab = mote_model_config(model).vocab;
    mote_session *session = NULL;
    double off = 0, all = 0;
    CHECK(mote_session_create(model, NULL, &session, &error) == MOTE_OK, "%s", error.message);
    CHECK(session && mote_session_run(session, &batch, &error) == MOTE_OK, "%s", error.message);
    for (int i = 0; session && i < 4; i++) {
        const float *logits = mote_session_logits(session, i);
        for (int j = 0; j < vocab; j++) {
            if (first) right[i * vocab + j] = logits[j];
            const double value = (double)right[i * vocab + j], difference = (double)logits[j] - value;
            off += difference * difference;
            all += value * value;
        }
    }
    mote_session_destroy(session);
    return sqrt(off / all);
}

static void eighty_layers_run_quantized(void) {
    static const struct { mote_type type; double most; } types[] = {
        {MOTE_TYPE_Q8_0, 0.05}, {MOTE_TYPE_Q4_0, 0.5}, {MOTE_TYPE_Q3H, 0.6}};
    enum { VOCAB = 97 };
    float right[4 * VOCAB];
    char path[64];
    mote_model *model = NULL;
    mote_config config = mote_config_default(MOTE_FAMILY_LLAMA);
    config.dim = 64, config.layers = 80, config.heads = 4, config.hidden = 172, config.vocab = VOCAB;
    config.context = 32;
    snprintf(path, sizeof path, "/tmp/mote-test-layers-%ld.gguf", (long)getpid());
    CHECK(mote_model_create(&config, NULL, 7, &model, &error) == MOTE_OK, "%s", error.message);
    if (!model) return;
    run_model(model, right, true);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        mote_model *quantized = NULL;
        CHECK(mote_model_save(model, path, types[i].type, &error) == MOTE_OK, "%s", error.message);
        CHECK(mote_model_open(path, &quantized, &error) == MOTE_OK, "%s", error.message);
        if (!quantized) continue;
        const double off = run_model(quantized, right, false);
        CHECK(off > 0 && off < types[i].most, "%s: %g", mote_type_name(types[i].type), off);
        mote_model_close(quantized);
    }
    unlink(path);
    mote_model_close(model);
}

int main(void) {
    RUN(rungs_agree);
    RUN(ladder_has_json);
    RUN(bad_requests_are_refused);
    RUN(layers_share_weights);
    RUN(eighty_layers_run_quantized);
    return test_finish();
}
