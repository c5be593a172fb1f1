/* Quantization: every type by every method with rows of any length, what gptq gains, what calibration sums up, mixed
 * types and their target, rules, fallbacks, and the comparison that says what was lost. */
#include <unistd.h>

#include "base/random.h"
#include "compress/compress.h"
#include "kernels/panels.h"
#include "test.h"
#include "text/dataset.h"
#include "train/trainable.h"

#define PATH "build/test_quantize"
static mote_error error;
static mote_corpus *corpus;
static mote_dataset *dataset;
static mote_tokenizer *tokenizer;

/* Sentences of few words: enough for activations that are correlated. */
static void make_text(void) {
    static const char *const words[] = {"the ", "fox ", "saw ", "a ", "house ", "and ", "lost ", "bread.\n"};
    mote_random random;
    mote_random_seed(&random, 3);
    FILE *f = fopen(PATH ".txt", "w");
    for (int i = 0; i < 1500; i++) fputs(words[mote_random_below(&random, 8)], f);
    fclose(f);
    const char *const paths[] = {PATH ".txt"};
    mote_corpus_options options = mote_corpus_options_default();
    options.validation = 0.2;
    CHECK(!mote_corpus_open(paths, 1, &options, &corpus, &error), "%s", error.message);
    CHECK(!mote_corpus_train_tokenizer(corpus, MOTE_TOKENIZER_CHAR, 0, &tokenizer, &error), "%s", error.message);
    CHECK(!mote_dataset_create(corpus, tokenizer, &dataset, &error), "%s", error.message);
}

/* dim 172 and hidden 100 are no multiples of 32, nor 36. */
static mote_model *make_model(mote_family family, int dim, bool tied) {
    mote_config config = mote_config_default(family);
    mote_model *model = NULL;
    config.dim = dim, config.layers = 2, config.heads = 2, config.context = 32, config.hidden = 100;
    config.tied = tied;
    CHECK(!mote_model_create(&config, tokenizer, 5, &model, &error), "%s", error.message);
    return model;
}

static mote_quantize_options options_for(mote_type type, mote_quantize_method method) {
    mote_quantize_options o = mote_quantize_options_default();
    o.type = type, o.method = method, o.calibration = dataset, o.calibration_tokens = 1024, o.threads = 2;
    return o;
}

static bool same_files(const char *a, const char *b) {
    char command[256];
    snprintf(command, sizeof command, "cmp -s %s %s", a, b);
    return system(command) == 0;
}

static double loss_of(const mote_model *model) {
    mote_evaluation e = {0};
    CHECK(!mote_evaluate(model, dataset, MOTE_SPLIT_VALIDATION, 0, 2, &e, &error), "%s", error.message);
    return e.loss;
}

/* ---- every type and method */

static void check_saved(const mote_model *small, const mote_quantize_report *report, mote_type type) {
    uint64_t bytes = 0;
    mote_model *opened = NULL;
    CHECK(!mote_model_file_bytes(small, &bytes, &error), "%s", error.message);
    CHECK(!mote_model_save(small, PATH ".gguf", MOTE_TYPE_KEEP, &error), "%s", error.message);
    FILE *f = fopen(PATH ".gguf", "rb");
    fseek(f, 0, SEEK_END);
    CHECK((uint64_t)ftell(f) == bytes, "%s: %ld bytes, %llu were foretold", mote_type_name(type), ftell(f),
          (unsigned long long)bytes);
    fclose(f);
    CHECK(!mote_model_open(PATH ".gguf", &opened, &error), "%s", error.message);
    if (!opened) return;
    CHECK(loss_of(opened) == loss_of(small), "%s: another loss once saved", mote_type_name(type));
    int n = 0;
    for (int id = 0; id < opened->program->n_tensors; id++) {
        if (opened->program->tensors[id].role != MOTE_ROLE_WEIGHT) continue;
        const mote_quantize_row *row = &report->rows[n++];
        CHECK(!strcmp(row->name, opened->program->tensors[id].name) && mote_model_stored(opened, id).type == row->type,
              "%s", row->name);
    }
    CHECK(n == report->n_rows);
    CHECK(!mote_model_save(opened, PATH ".again", MOTE_TYPE_KEEP, &error) && same_files(PATH ".gguf", PATH ".again"),
          "%s", mote_type_name(type));
    mote_model_close(opened);
}

static void check_type(const mote_model *model, mote_type type, mote_quantize_method method, double most_error) {
    mote_quantize_options o = options_for(type, method);
    mote_model *small = NULL;
    mote_quantize_report *report = NULL;
    CHECK(!mote_model_quantize(model, &o, &small, &report, &error), "%s", error.message);
    if (!small) return;
    for (int i = 0; i < report->n_rows; i++) {
        const mote_quantize_row *row = &report->rows[i];
        const bool gain = strstr(row->name, "norm") != NULL;
        CHECK(row->type == (gain ? MOTE_TYPE_F32 : type) && !row->fallback, "%s is %s", row->name,
              mote_type_name(row->type));
        CHECK(row->error <= (gain ? 0 : most_error), "%s %s %s: error %.4f", mote_type_name(type),
              mote_quantize_method_name(method), row->name, row->error);
    }
    check_saved(small, report, type);
    mote_quantize_report_destroy(report);
    mote_model_close(small);
}

static void types_and_methods(void) {
    static const struct { mote_type type; double error; } all[] = {
        {MOTE_TYPE_F32, 0}, {MOTE_TYPE_F16, 3e-4}, {MOTE_TYPE_BF16, 3e-3}, {MOTE_TYPE_Q8_0, 0.008},
        {MOTE_TYPE_Q4_0, 0.13}, {MOTE_TYPE_Q3H, 0.2}, {MOTE_TYPE_Q43, 0.23}, {MOTE_TYPE_I8, 0.016},
        {MOTE_TYPE_Q3_K, 0.24}, {MOTE_TYPE_Q4_K, 0.12}, {MOTE_TYPE_IQ4_NL, 0.12}, {MOTE_TYPE_Q5_0, 0.07},
        {MOTE_TYPE_Q6_K, 0.03}, {MOTE_TYPE_Q2_K, 0.5}, {MOTE_TYPE_Q4_1, 0.13}};
    static const mote_quantize_method methods[] = {MOTE_QUANTIZE_RTN, MOTE_QUANTIZE_SEARCH, MOTE_QUANTIZE_GPTQ};
    mote_model *model = make_model(MOTE_FAMILY_LLAMA, 172, true);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (int m = 0; m < 3; m++) check_type(model, all[i].type, methods[m], all[i].error);
    mote_model_close(model);
    remove(PATH ".gguf"), remove(PATH ".again");
}

static void threads_give_the_same_bits(void) {
    mote_model *model = make_model(MOTE_FAMILY_GPT2, 36, false), *small = NULL;
    for (int threads = 1; threads < 4; threads++) {
        mote_quantize_options o = options_for(MOTE_TYPE_Q3H, MOTE_QUANTIZE_BEST);
        o.threads = threads;
        CHECK(!mote_model_quantize(model, &o, &small, NULL, &error), "%s", error.message);
        CHECK(!mote_model_save(small, threads == 1 ? PATH ".gguf" : PATH ".again", MOTE_TYPE_KEEP, &error));
        CHECK(threads == 1 || same_files(PATH ".gguf", PATH ".again"), "%d threads", threads);
        mote_model_close(small);
    }
    mote_model_close(model);
    remove(PATH ".gguf"), remove(PATH ".again");
}

/* ---- gptq */

enum { ROWS = 40, COLS = 150, SEEN = 600 };

/* Gram of inputs that are sums of a few common directions and some noise. */
static void make_gram(mote_real *gram, float *diagonal) {
    enum { COMMON = 12 };
    mote_random random;
    mote_random_seed(&random, 11);
    double *mix = malloc(COMMON * COLS * sizeof *mix), *x = malloc(COLS * sizeof *x);
    for (int i = 0; i < COMMON * COLS; i++) mix[i] = mote_random_normal(&random);
    memset(gram, 0, COLS * COLS * sizeof *gram);
    for (int t = 0; t < SEEN; t++) {
        for (int i = 0; i < COLS; i++) x[i] = 0.5 * mote_random_normal(&random);
        for (int c = 0; c < COMMON; c++) {
            double size = mote_random_normal(&random);
            for (int i = 0; i < COLS; i++) x[i] += size * mix[c * COLS + i];
        }
        for (int i = 0; i < COLS; i++)
            for (int j = 0; j < COLS; j++) gram[i * COLS + j] += (mote_real)(x[i] * x[j] / SEEN);
    }
    for (int i = 0; i < COLS; i++) diagonal[i] = (float)gram[i * COLS + i];
    free(mix), free(x);
}

/* tr(E H E^T) / tr(W H W^T) */
static double output_error(const mote_real *gram, const mote_real *w, mote_type type, const char *out) {
    double lost = 0, all = 0;
    float row[COLS];
    for (int r = 0; r < ROWS; r++) {
        mote_type_get(type)->to_f32(out + (size_t)r * mote_row_bytes(type, COLS), row, COLS);
        const mote_real *v = w + r * COLS;
        for (int i = 0; i < COLS; i++)
            for (int j = 0; j < COLS; j++) {
                double h = (double)gram[i * COLS + j];
                lost += ((double)v[i] - (double)row[i]) * h * ((double)v[j] - (double)row[j]);
                all += (double)v[i] * h * (double)v[j];
            }
    }
    return sqrt(lost / all);
}

static void factor_is_that_of_the_inverse(void) {
    static mote_real gram[COLS * COLS], factor[COLS * COLS], room[COLS];
    static float diagonal[COLS];
    make_gram(gram, diagonal);
    double mean = 0, worst = 0;
    for (int i = 0; i < COLS; i++) mean += (double)diagonal[i] / COLS;
    memcpy(factor, gram, sizeof gram);
    CHECK(mote_gptq_factor(factor, diagonal, COLS, 0.01, room));
    for (int i = 0; i < COLS; i++) { /* U (H + d) U^T = 1 */
        for (int j = 0; j < COLS; j++) {
            double sum = 0;
            for (int a = i; a < COLS; a++)
                for (int b = j; b < COLS; b++)
                    sum += (double)factor[i * COLS + a] * (double)factor[j * COLS + b] *
                           ((double)gram[a * COLS + b] + (a == b ? 0.01 * mean : 0));
            worst = fmax(worst, fabs(sum - (i == j)));
            if (j < i) CHECK(factor[i * COLS + j] == 0);
        }
    }
    CHECK(worst < 1e-3, "%g", worst);
    diagonal[3] = NAN;
    CHECK(!mote_gptq_factor(gram, diagonal, COLS, 0.01, room), "NaN in a gram");
}

static void gptq_loses_less_at_the_outputs(void) {
    static const mote_type types[] = {MOTE_TYPE_Q8_0, MOTE_TYPE_Q4_0,  MOTE_TYPE_Q3H,  MOTE_TYPE_Q43, MOTE_TYPE_I8,
                                      MOTE_TYPE_Q3_K, MOTE_TYPE_Q4_K, MOTE_TYPE_IQ4_NL, MOTE_TYPE_Q4_1};
    static mote_real gram[COLS * COLS], factor[COLS * COLS], room[COLS], w[ROWS * COLS];
    static float diagonal[COLS], paid[COLS];
    static char out[ROWS * 1024];
    double q3h = 0, q43 = 0;
    mote_random random;
    mote_pool *pool = NULL;
    mote_random_seed(&random, 2);
    CHECK(!mote_pool_create(2, &pool, &error));
    for (int i = 0; i < ROWS * COLS; i++) w[i] = (mote_real)(0.1 * mote_random_normal(&random));
    make_gram(gram, diagonal);
    memcpy(factor, gram, sizeof gram);
    CHECK(mote_gptq_factor(factor, diagonal, COLS, 0.01, room));
    for (int i = 0; i < COLS; i++) paid[i] = (float)(1 / (factor[i * COLS + i] * factor[i * COLS + i]));
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        double lost[4];
        for (int m = MOTE_QUANTIZE_RTN; m <= MOTE_QUANTIZE_GPTQ; m++) {
            mote_rounding k = {.name = "w", .values = w, .rows = ROWS, .cols = COLS, .type = types[t],
                               .method = (mote_quantize_method)m, .importance = diagonal, .factor = factor,
                               .paid = paid, .out = out};
            CHECK(!mote_round_matrix(&k, pool, &error) && k.misfit < 0, "%s", error.message);
            lost[m] = output_error(gram, w, types[t], out);
        }
        printf("     %-6s rtn %.4f  search %.4f  gptq %.4f\n", mote_type_name(types[t]), lost[1], lost[2], lost[3]);
        CHECK(lost[3] < 0.6 * lost[1] && lost[3] < 0.7 * lost[2], "%s", mote_type_name(types[t]));
        if (types[t] == MOTE_TYPE_Q3H) q3h = lost[3];
        if (types[t] == MOTE_TYPE_Q43) q43 = lost[3];
    }
    CHECK(q3h < 0.9 * q43, "q3h %g, q43 %g", q3h, q43);
    mote_pool_destroy(pool);
}

/* ---- calibration: the first sum by hand */

static void calibration_sums_what_products_read(void) {
    mote_model *model = make_model(MOTE_FAMILY_LLAMA, 36, true);
    mote_calibration with = {0}, without = {0};
    mote_pool *pool = NULL;
    const size_t n = mote_dataset_tokens(dataset, MOTE_SPLIT_VALIDATION), dim = 36;
    int32_t *tokens = malloc(n * sizeof *tokens);
    uint8_t *targets = malloc(n);
    double *sum = calloc(dim * dim, sizeof *sum);
    CHECK(!mote_pool_create(3, &pool, &error));
    mote_calibration_request request = {.dataset = dataset, .split = MOTE_SPLIT_VALIDATION, .grams = true};
    CHECK(!mote_calibrate(model, &request, pool, &with, &error), "%s", error.message);
    request.grams = false;
    CHECK(!mote_calibrate(model, &request, pool, &without, &error), "%s", error.message);
    mote_dataset_read(dataset, MOTE_SPLIT_VALIDATION, 0, n, tokens, targets);
    const mote_real *table = model->weight[mote_program_find(model->program, "token_embd.weight")];
    for (size_t t = 0; t < n; t++) {
        const mote_real *x = table + (size_t)tokens[t] * dim;
        double squares = 0;
        for (size_t i = 0; i < dim; i++) squares += (double)x[i] * (double)x[i];
        double scale = 1 / (squares / (double)dim + (double)model->config.norm_epsilon) / (double)n;
        for (size_t i = 0; i < dim * dim; i++) sum[i] += scale * (double)x[i / dim] * (double)x[i % dim];
    }
    const mote_moments *m = mote_moments_of(&with, mote_program_find(model->program, "blk.0.attn_k.weight"));
    CHECK(with.tokens == n && m && m->cols == 36 && with.n == 9, "%d sums", with.n);
    for (size_t i = 0; m && i < dim * dim; i++)
        CHECK(fabs((double)m->gram[i] - sum[i]) < 1e-4, "%zu: %g %g", i, (double)m->gram[i], sum[i]);
    for (int j = 0; j < with.n; j++)
        for (int i = 0; i < with.moments[j].cols; i++)
            CHECK(fabsf(with.moments[j].diagonal[i] - without.moments[j].diagonal[i]) <
                  1e-4f * (1 + with.moments[j].diagonal[i]));
    CHECK(mote_moments_of(&with, mote_program_find(model->program, "token_embd.weight"))->gram, "a tied head");
    mote_calibration_deinit(&with), mote_calibration_deinit(&without);
    mote_pool_destroy(pool), mote_model_close(model);
    free(tokens), free(targets), free(sum);
}

/* How many tokens a calibration wants: of gptq as many as its widest input has values, here the 172 of dim. */
static void short_calibrations_are_told(void) {
    static const struct { mote_quantize_method method; double bits; uint64_t least; } cases[] = {
        {MOTE_QUANTIZE_BEST, 0, 172}, {MOTE_QUANTIZE_GPTQ, 0, 172}, {MOTE_QUANTIZE_SEARCH, 0, 64},
        {MOTE_QUANTIZE_SEARCH, 5, 512}, {MOTE_QUANTIZE_RTN, 0, 0}};
    mote_model *model = make_model(MOTE_FAMILY_LLAMA, 172, true);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mote_model *small = NULL;
        mote_quantize_report *report = NULL;
        mote_quantize_options o = options_for(MOTE_TYPE_Q8_0, cases[i].method);
        o.target_bits = cases[i].bits;
        o.calibration_tokens = 33; /* two windows of 32 */
        CHECK(!mote_model_quantize(model, &o, &small, &report, &error), "%s", error.message);
        CHECK(report && report->calibration_least == cases[i].least &&
                  report->calibration_tokens == (cases[i].least ? 64 : 0), "case %zu: %llu of %llu", i,
              report ? (unsigned long long)report->calibration_tokens : 0,
              report ? (unsigned long long)report->calibration_least : 0);
        mote_quantize_report_destroy(report), mote_model_close(small);
    }
    mote_model_close(model);
}

/* With fewer rows than threads would share, too, whole rows are shown, and the sums are the same. */
static void calibration_does_not_depend_on_threads(void) {
    mote_model *model = make_model(MOTE_FAMILY_LLAMA, 36, true);
    mote_calibration_request request = {.dataset = dataset, .split = MOTE_SPLIT_TRAIN, .grams = true};
    for (uint64_t tokens = 32; tokens <= 256; tokens += 32) {
        mote_calibration sums[2] = {{0}};
        request.max_tokens = tokens;
        for (int several = 0; several < 2; several++) {
            mote_pool *pool = NULL;
            CHECK(!mote_pool_create(several ? 5 : 1, &pool, &error));
            CHECK(!mote_calibrate(model, &request, pool, &sums[several], &error), "%s", error.message);
            mote_pool_destroy(pool);
        }
        for (int j = 0; j < sums[0].n; j++) {
            const size_t cols = (size_t)sums[0].moments[j].cols;
            CHECK(!memcmp(sums[0].moments[j].gram, sums[1].moments[j].gram, cols * cols * sizeof(mote_real)),
                  "%llu tokens: sum %d", (unsigned long long)tokens, j);
        }
        mote_calibration_deinit(&sums[0]), mote_calibration_deinit(&sums[1]);
    }
    mote_model_close(model);
}

/* ---- rules, mixed types, fallbacks */

static const mote_quantize_row *row_of(const mote_quantize_report *report, const char *name) {
    for (int i = 0; i < report->n_rows; i++)
        if (!strcmp(report->rows[i].name, name)) return &report->rows[i];
    return NULL;
}

static void rules(void) {
    mote_model *model = make_model(MOTE_FAMILY_GPT2, 64, false), *small = NULL;
    mote_quantize_report *report = NULL;
    const mote_quantize_rule list[] = {{"embedding", MOTE_TYPE_F16}, {"head", MOTE_TYPE_Q8_0},
                                       {"attention", MOTE_TYPE_IQ4_NL}, {"*attn_qkv*", MOTE_TYPE_BF16},
                                       {"feed_forward", MOTE_TYPE_Q4_0}, {"blk.1.ffn_up.weight", MOTE_TYPE_F32}};
    static const struct { const char *name; mote_type type; } wanted[] = {
        {"token_embd.weight", MOTE_TYPE_F16}, {"output.weight", MOTE_TYPE_Q8_0},
        {"position_embd.weight", MOTE_TYPE_F32}, {"blk.0.attn_qkv.weight", MOTE_TYPE_BF16},
        {"blk.0.attn_output.weight", MOTE_TYPE_IQ4_NL}, {"blk.0.ffn_up.weight", MOTE_TYPE_Q4_0},
        {"blk.1.ffn_up.weight", MOTE_TYPE_F32}, {"blk.1.ffn_down.weight", MOTE_TYPE_Q4_0},
        {"blk.1.attn_norm.weight", MOTE_TYPE_F32}, {"blk.1.attn_qkv.bias", MOTE_TYPE_F32}};
    mote_quantize_options o = options_for(MOTE_TYPE_Q3H, MOTE_QUANTIZE_SEARCH);
    o.rules = list, o.n_rules = 6;
    CHECK(!mote_model_quantize(model, &o, &small, &report, &error), "%s", error.message);
    for (size_t i = 0; report && i < sizeof wanted / sizeof *wanted; i++) {
        const mote_quantize_row *row = row_of(report, wanted[i].name);
        CHECK(row && row->type == wanted[i].type, "%s", wanted[i].name);
    }
    mote_quantize_report_destroy(report), mote_model_close(small);
    const mote_quantize_rule none = {"*attn_norm*", MOTE_TYPE_Q8_0};
    o.rules = &none, o.n_rules = 1;
    CHECK(mote_model_quantize(model, &o, &small, &report, &error) == MOTE_USAGE && !small && !report &&
              strstr(error.message, "attn_norm"), "%s", error.message);
    mote_model_close(model);
}

/* One tensor cannot have two types: the message names both rules, and where the head is the embedding it says so. */
static void rules_in_vain_are_refused(void) {
    static const struct { mote_quantize_rule rules[2]; bool tied, apart; } cases[] = {
        {{{"head", MOTE_TYPE_F16}, {"embedding", MOTE_TYPE_Q8_0}}, false, true},
        {{{"embedding", MOTE_TYPE_Q8_0}, {"head", MOTE_TYPE_F16}}, false, true},
        {{{"token_embd*", MOTE_TYPE_Q8_0}, {"head", MOTE_TYPE_F16}}, false, true},
        {{{"*attn_v*", MOTE_TYPE_F16}, {"attention", MOTE_TYPE_Q8_0}}, false, false},
        {{{"attention", MOTE_TYPE_Q8_0}, {"*attn_v*", MOTE_TYPE_F16}}, true, true},
        {{{"head", MOTE_TYPE_F16}, {"embedding", MOTE_TYPE_F16}}, true, true}};
    for (int tied = 0; tied < 2; tied++) {
        mote_model *model = make_model(MOTE_FAMILY_LLAMA, 64, tied);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            mote_model *small = NULL;
            mote_error problem = {0};
            mote_quantize_options o = options_for(MOTE_TYPE_Q4_0, MOTE_QUANTIZE_SEARCH);
            o.rules = cases[i].rules, o.n_rules = 2;
            const bool fine = tied ? cases[i].tied : cases[i].apart;
            const mote_status status = mote_model_quantize(model, &o, &small, NULL, &problem);
            CHECK(status == (fine ? MOTE_OK : MOTE_USAGE), "%zu, tied %d: %s", i, tied, problem.message);
            CHECK(fine || (strstr(problem.message, cases[i].rules[0].pattern) &&
                           strstr(problem.message, cases[i].rules[1].pattern)), "%s", problem.message);
            CHECK(fine || i == 3 || strstr(problem.hint, "one tensor, 'token_embd.weight'"), "%s", problem.hint);
            mote_model_close(small);
        }
        mote_model_close(model);
    }
}

static void mixed_meets_its_target(void) {
    mote_model *model = make_model(MOTE_FAMILY_LLAMA, 64, true), *small = NULL;
    static const double targets[] = {5, 6.5, 9, 20};
    double before = 0;
    for (int calibrated = 0; calibrated < 2; calibrated++) {
        for (int i = 0; i < 4; i++) {
            mote_quantize_report *report = NULL;
            mote_quantize_options o = options_for(MOTE_TYPE_F32, MOTE_QUANTIZE_BEST);
            o.target_bits = targets[i];
            if (!calibrated) o.calibration = NULL;
            CHECK(!mote_model_quantize(model, &o, &small, &report, &error), "%s", error.message);
            if (!report) continue;
            CHECK(report->bits_per_weight <= targets[i] && (i == 3 || report->bits_per_weight > targets[i] - 1),
                  "%g of %g bits", report->bits_per_weight, targets[i]);
            CHECK(i == 0 || report->bits_per_weight > before);
            before = report->bits_per_weight;
            mote_quantize_report_destroy(report), mote_model_close(small);
        }
    }
    mote_quantize_options o = options_for(MOTE_TYPE_F32, MOTE_QUANTIZE_BEST);
    const mote_quantize_rule keep = {"embedding", MOTE_TYPE_Q8_0};
    mote_quantize_report *report = NULL;
    o.target_bits = 6.5, o.rules = &keep, o.n_rules = 1;
    CHECK(!mote_model_quantize(model, &o, &small, &report, &error), "%s", error.message);
    CHECK(report && report->rows[0].type == MOTE_TYPE_Q8_0 && report->bits_per_weight <= 6.5);
    mote_quantize_report_destroy(report), mote_model_close(small);
    o.target_bits = 2;
    CHECK(mote_model_quantize(model, &o, &small, NULL, &error) == MOTE_USAGE && strstr(error.message, "least"), "%s",
          error.message);
    mote_model_close(model);
}

static void what_does_not_fit(void) {
    mote_model *model = make_model(MOTE_FAMILY_LLAMA, 64, true), *small = NULL;
    mote_quantize_report *report = NULL;
    mote_quantize_options o = options_for(MOTE_TYPE_Q3H, MOTE_QUANTIZE_SEARCH);
    const char *const name = "blk.1.ffn_gate.weight";
    mote_real *w = model->weight[mote_program_find(model->program, name)];
    o.calibration = NULL;
    w[100] = 20; /* q3h reaches 15 */
    CHECK(mote_model_quantize(model, &o, &small, &report, &error) == MOTE_FAILED && strstr(error.message, name), "%s",
          error.message);
    o.allow_fallback = true;
    CHECK(!mote_model_quantize(model, &o, &small, &report, &error), "%s", error.message);
    CHECK(report && row_of(report, name)->type == MOTE_TYPE_Q8_0 && row_of(report, name)->fallback);
    CHECK(report && row_of(report, "blk.0.ffn_gate.weight")->type == MOTE_TYPE_Q3H);
    mote_quantize_report_destroy(report), mote_model_close(small);
    w[100] = NAN;
    o.type = MOTE_TYPE_F16;
    CHECK(!mote_model_quantize(model, &o, &small, &report, &error), "%s", error.message);
    CHECK(report && row_of(report, name)->type == MOTE_TYPE_F32 && row_of(report, name)->fallback);
    mote_quantize_report_destroy(report), mote_model_close(small);
    o.allow_fallback = false, o.type = MOTE_TYPE_Q8_0;
    CHECK(mote_model_quantize(model, &o, &small, NULL, &error) == MOTE_FAILED && strstr(error.message, name));
    o.calibration = dataset, o.method = MOTE_QUANTIZE_GPTQ;
    CHECK(mote_model_quantize(model, &o, &small, NULL, &error) == MOTE_FAILED && strstr(error.message, "finite"), "%s",
          error.message);
    mote_model_close(model);
}

/* ---- memory: passes, and tries that leave nothing */

static void sums_fit_into_what_is_allowed(void) {
    mote_model *model = make_model(MOTE_FAMILY_LLAMA, 64, true), *small = NULL;
    const mote_calibration_request all = {.dataset = dataset, .grams = true};
    size_t bytes = 0;
    CHECK(!mote_calibration_bytes(model, &all, &bytes, &error) && bytes > 100000, "%zu", bytes);
    for (int mixed = 0; mixed < 2; mixed++) {
        for (int parts = 1; parts <= 3; parts++) {
            mote_quantize_options o = options_for(MOTE_TYPE_Q4_0, MOTE_QUANTIZE_BEST);
            mote_quantize_report *report = NULL;
            o.calibration_bytes = bytes / (uint64_t)parts;
            o.target_bits = mixed ? 6.5 : 0;
            CHECK(!mote_model_quantize(model, &o, &small, &report, &error), "%s", error.message);
            if (!report) continue;
            CHECK((mixed || report->calibration_bytes <= o.calibration_bytes) && report->n_rows > 10 &&
                      (parts == 1 ? report->calibration_passes == 1 : report->calibration_passes > parts - 1),
                  "%d passes of %llu of %llu bytes", report->calibration_passes,
                  (unsigned long long)report->calibration_bytes, (unsigned long long)bytes);
            CHECK(!mixed || report->bits_per_weight <= 6.5);
            CHECK(!mote_model_save(small, parts == 1 ? PATH ".gguf" : PATH ".again", MOTE_TYPE_KEEP, &error));
            CHECK(parts == 1 || mixed || same_files(PATH ".gguf", PATH ".again"), "%d parts: other bits", parts);
            mote_quantize_report_destroy(report), mote_model_close(small);
        }
    }
    mote_quantize_options o = options_for(MOTE_TYPE_Q4_0, MOTE_QUANTIZE_BEST);
    o.calibration_bytes = 20000;
    CHECK(mote_model_quantize(model, &o, &small, NULL, &error) == MOTE_MEMORY && !small &&
              strstr(error.message, "20000 are allowed"), "%s", error.message);
    o.method = MOTE_QUANTIZE_GPTQ, o.calibration_bytes = 0;
    mote_config large = mote_config_default(MOTE_FAMILY_LLAMA);
    large.vocab = mote_dataset_vocab(dataset);
    large.dim = 65536, large.layers = 1, large.heads = large.kv_heads = 512, large.head_dim = 128, large.hidden = 65536,
    large.context = 32;
    mote_program *program = NULL;
    CHECK(!mote_config_complete(&large, &error) && !mote_program_build(&large, &program, &error), "%s", error.message);
    const mote_model described = {.program = program};
    CHECK(program && !mote_calibration_bytes(&described, &all, &bytes, &error) && bytes > (size_t)60 << 30, "%zu",
          bytes); /* four grams of 16 GiB */
    mote_program_destroy(program);
    mote_model_close(model);
    remove(PATH ".gguf"), remove(PATH ".again");
}

static void tries_leave_nothing_behind(void) {
    mote_model *model = make_model(MOTE_FAMILY_LLAMA, 64, true), *plain = NULL, *small = NULL;
    mote_quantize_options o = options_for(MOTE_TYPE_Q8_0, MOTE_QUANTIZE_SEARCH);
    o.calibration = NULL, o.allow_fallback = true;
    CHECK(!mote_model_quantize(model, &o, &plain, NULL, &error), "%s", error.message);
    for (int id = 0; id < model->program->n_tensors; id++) /* every matrix is tried in q3h, and becomes q8_0 */
        if (model->program->tensors[id].role == MOTE_ROLE_WEIGHT &&
            !mote_weight_stays_f32(&model->program->tensors[id]))
            ((mote_real *)model->weight[id])[3] = 20;
    o.type = MOTE_TYPE_Q3H;
    CHECK(!mote_model_quantize(model, &o, &small, NULL, &error), "%s", error.message);
    CHECK(plain && small && plain->made.total == small->made.total, "%zu bytes of rows, %zu with tries",
          plain ? plain->made.total : 0, small ? small->made.total : 0);
    mote_model_close(plain), mote_model_close(small), mote_model_close(model);
}

/* ---- activations by scales that stand */

/* The scale with least error, by trying many over all values. */
static void ranges_lose_least(void) {
    enum { N = 20000 };
    static mote_real values[N];
    static mote_range_bin bins[MOTE_RANGE_BINS];
    mote_random random;
    mote_random_seed(&random, 11);
    for (int kind = 0; kind < 3; kind++) { /* normal, with outliers, all within a step of each other */
        double least = INFINITY, got = 0, plain = 0;
        float largest = 0;
        memset(bins, 0, sizeof bins);
        for (int i = 0; i < N; i++) {
            values[i] = (mote_real)mote_random_normal(&random);
            if (kind == 1 && i % 1000 == 0) values[i] *= 40;
            if (kind == 2) values[i] = (mote_real)(0.5 + 0.001 * (i % 7));
            largest = fmaxf(largest, fabsf((float)values[i]));
        }
        mote_range_add(bins, values, N / 3), mote_range_add(bins, values + N / 3, N - N / 3);
        const double found = (double)mote_range_scale(bins);
        for (int t = 0; t <= 302; t++) {
            const double scale = t == 301   ? found
                                 : t == 302 ? (double)largest / 127
                                            : exp(-t / 100.0) * (double)largest / 127;
            double lost = 0;
            for (int i = 0; i < N; i++) {
                double code = nearbyint((double)values[i] / scale);
                code = code > 127 ? 127 : code < -127 ? -127 : code;
                lost += ((double)values[i] - scale * code) * ((double)values[i] - scale * code);
            }
            least = t < 301 && lost < least ? lost : least;
            got = t == 301 ? lost : got, plain = t == 302 ? lost : plain;
        }
        CHECK(kind == 2 ? got < N * found * found / 4 : got < 1.1 * least + 1e-9, "kind %d: %g, %g is possible", kind,
              got, least);
        CHECK(kind != 1 || got < 0.95 * plain, "outliers: %g, by the largest %g", got, plain);
    }
    memset(bins, 0, sizeof bins);
    CHECK(mote_range_scale(bins) == 0);
    mote_range_add(bins, (const mote_real[]){0, 0}, 2);
    CHECK(mote_range_scale(bins) == 0);
    mote_range_add(bins, (const mote_real[]){1, INFINITY, NAN}, 3);
    CHECK(mote_range_scale(bins) == 0);
}

/* One product of an i8 model by hand: codes by the saved scale, integer sums, one chain of additions. */
static void check_product_by_hand(const mote_model *small) {
    const mote_program *p = small->program;
    const mote_op *op = NULL;
    for (int i = 0; i < p->n_ops && !op; i++)
        if (p->ops[i].kind == MOTE_OP_LINEAR) op = &p->ops[i];
    const mote_tensor *t = &p->tensors[op->in[1]];
    const float scale = small->activation_scale[op->in[0]];
    const int cols = t->cols, blocks = mote_blocks_of(cols);
    mote_real *x = calloc((size_t)cols, sizeof *x), *y = calloc((size_t)t->rows, sizeof *y);
    mote_block8 *codes = calloc((size_t)blocks, sizeof *codes);
    void *panels = malloc(mote_panel_bytes(MOTE_TYPE_I8, (size_t)blocks) * (size_t)((t->rows + 15) / 16));
    for (int i = 0; i < cols; i++) x[i] = (mote_real)(sin(i) * 140 * (double)scale); /* some are cut off */
    mote_blocks_pack(MOTE_TYPE_I8, small->weight[op->in[1]], mote_row_bytes(MOTE_TYPE_I8, (size_t)cols), t->rows, cols,
                     panels);
    mote_kernels_get()->quantize_by(x, cols, scale, codes);
    mote_gemm_blocks g = {.rows = 1, .columns = t->rows, .blocks = blocks, .a = codes, .a_row = (size_t)blocks,
                          .b = panels, .c = y, .c_row = (size_t)t->rows};
    mote_kernels_get()->gemm_blocks[mote_integer_slot(MOTE_TYPE_I8)](&g);
    int cut = 0;
    for (int r = 0; r < t->rows; r++) {
        const char *row =
            (const char *)small->weight[op->in[1]] + (size_t)r * mote_row_bytes(MOTE_TYPE_I8, (size_t)cols);
        float weight_scale, sum = 0;
        memcpy(&weight_scale, row, sizeof weight_scale);
        for (int from = 0; from < cols; from += 32) {
            int32_t dot = 0;
            for (int i = from; i < from + 32 && i < cols; i++) {
                float code = nearbyintf((float)x[i] * (1 / scale));
                cut += code > 127 || code < -127;
                code = code > 127 ? 127 : code < -127 ? -127 : code;
                dot += (int32_t)code * (int8_t)row[4 + i];
            }
            sum = fmaf((float)dot, weight_scale * scale, sum);
        }
        CHECK((float)y[r] == sum, "row %d: %.9g, by hand %.9g", r, (double)y[r], (double)sum);
    }
    CHECK(cut > 0, "nothing was cut off");
    free(x), free(y), free(codes), free(panels);
}

/* The scales are used, saved, found again, and given up where a type does without. */
static void static_activations(void) {
    mote_model *model = make_model(MOTE_FAMILY_LLAMA, 172, true), *small = NULL, *plain = NULL, *opened = NULL;
    mote_quantize_options o = options_for(MOTE_TYPE_I8, MOTE_QUANTIZE_BEST);
    const mote_quantize_rule keep = {"blk.0.attn_k.weight", MOTE_TYPE_Q8_0};
    CHECK(!mote_model_quantize(model, &o, &plain, NULL, &error), "%s", error.message);
    CHECK(plain && !plain->activation_scale);
    o.static_activations = true, o.rules = &keep, o.n_rules = 1;
    CHECK(!mote_model_quantize(model, &o, &small, NULL, &error), "%s", error.message);
    if (!small || !plain) return;
    int with = 0, without = 0;
    for (int i = 0; i < small->program->n_ops; i++) {
        const mote_op *op = &small->program->ops[i];
        if (op->kind != MOTE_OP_LINEAR && op->kind != MOTE_OP_HEAD) continue;
        const float scale = small->activation_scale[op->in[0]];
        with += scale > 0, without += scale == 0;
    }
    CHECK(with == 12 && without == 3, "%d with a scale, %d without", with, without); /* q, k, v of layer 0 */
    const double float_loss = loss_of(model), static_loss = loss_of(small), dynamic_loss = loss_of(plain);
    CHECK(static_loss != dynamic_loss && fabs(static_loss - float_loss) < 0.01 * float_loss, "%g, %g, %g", float_loss,
          static_loss, dynamic_loss);
    CHECK(!mote_model_save(small, PATH ".gguf", MOTE_TYPE_KEEP, &error) &&
              !mote_model_open(PATH ".gguf", &opened, &error),
          "%s", error.message);
    CHECK(opened && opened->activation_scale && loss_of(opened) == static_loss, "another loss once saved");
    CHECK(opened && !mote_model_save(opened, PATH ".again", MOTE_TYPE_KEEP, &error) &&
              same_files(PATH ".gguf", PATH ".again"), "another file once opened");
    mote_model_close(opened), opened = NULL;
    CHECK(!mote_model_open(PATH ".gguf", &opened, &error) && !mote_model_make_trainable(opened, &error) &&
              !opened->activation_scale, "training changes the activations");
    mote_model_close(opened), opened = NULL;
    CHECK(!mote_model_save(small, PATH ".again", MOTE_TYPE_F32, &error) &&
          !mote_model_open(PATH ".again", &opened, &error));
    CHECK(opened && !opened->activation_scale, "f32 weights have no use for scales");
    mote_model_close(opened), mote_model_close(small), small = NULL;
    o.n_rules = 0;
    CHECK(!mote_model_quantize(model, &o, &small, NULL, &error), "%s", error.message);
    if (small) check_product_by_hand(small);
    mote_model_close(small), mote_model_close(plain), small = NULL;
    o.type = MOTE_TYPE_Q4_0;
    CHECK(mote_model_quantize(model, &o, &small, NULL, &error) == MOTE_USAGE && strstr(error.message, "q4_0"));
    o.type = MOTE_TYPE_I8, o.calibration = NULL;
    CHECK(mote_model_quantize(model, &o, &small, NULL, &error) == MOTE_USAGE && strstr(error.message, "calibration"));
    mote_model_close(model);
}

/* Scales in a file that no model can have. */
static void damaged_scales_are_refused(void) {
    static const float bad[] = {NAN, INFINITY, -1, 1e-35f, 1e35f};
    mote_model *model = make_model(MOTE_FAMILY_LLAMA, 64, true), *small = NULL, *opened = NULL;
    mote_quantize_options o = options_for(MOTE_TYPE_I8, MOTE_QUANTIZE_SEARCH);
    o.static_activations = true;
    CHECK(!mote_model_quantize(model, &o, &small, NULL, &error), "%s", error.message);
    mote_model_close(model);
    if (!small) return;
    const mote_op *op = NULL;
    for (int i = 0; i < small->program->n_ops && !op; i++)
        if (small->program->ops[i].kind == MOTE_OP_LINEAR) op = &small->program->ops[i];
    float *scale = &small->activation_scale[op->in[0]];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        *scale = bad[i];
        CHECK(!mote_model_save(small, PATH ".gguf", MOTE_TYPE_KEEP, &error), "%s", error.message);
        CHECK(mote_model_open(PATH ".gguf", &opened, &error) == MOTE_BAD_FILE && !opened &&
                  strstr(error.message, "mote.activation_scales"), "%g: %s", (double)bad[i], error.message);
    }
    *scale = 0.01f;
    CHECK(!mote_model_save(small, PATH ".gguf", MOTE_TYPE_KEEP, &error), "%s", error.message);
    /* one scale too few; and scales of a model of another type: by hand in the file, whose sums are taken away */
    static char bytes[1 << 20];
    for (int kind = 0; kind < 3; kind++) {
        FILE *f = fopen(PATH ".gguf", "rb");
        const size_t n = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        char *key = memmem(bytes, n, "mote.activation_scales", 22);
        CHECK(key && n < sizeof bytes, "the key");
        if (!key) break;
        for (char *sum = bytes; (sum = memmem(sum, n - (size_t)(sum - bytes), "mote.checksum", 13)); sum += 13)
            sum[5] = 'x';
        uint32_t word;
        memcpy(&word, key + 22 + 8, 4); /* kind, element, count */
        CHECK(word == 9, "%u scales", word);
        if (kind == 0) word = 6, memcpy(key + 22 + 4, &(uint32_t){4}, 4); /* u32 */
        if (kind == 1) memcpy(key + 22 + 16, &(float){-3}, 4);
        f = fopen(PATH ".again", "wb");
        fwrite(bytes, 1, n, f);
        fclose(f);
        const mote_status status = mote_model_open(PATH ".again", &opened, &error);
        CHECK(kind == 2 ? status == MOTE_OK
                        : status == MOTE_BAD_FILE && strstr(error.message, "mote.activation_scales"),
              "%d: %s", kind, error.message);
        mote_model_close(opened), opened = NULL;
    }
    mote_model_close(small);
    remove(PATH ".gguf"), remove(PATH ".again");
}

/* ---- what was lost */

static void comparison_by_hand(void) {
    mote_model *model = make_model(MOTE_FAMILY_LLAMA, 64, true), *small = NULL;
    mote_quantize_options o = options_for(MOTE_TYPE_Q3_K, MOTE_QUANTIZE_RTN);
    mote_comparison same = {0}, all = {0}, first = {0};
    CHECK(!mote_model_quantize(model, &o, &small, NULL, &error), "%s", error.message);
    CHECK(!mote_model_compare(model, model, dataset, MOTE_SPLIT_VALIDATION, 0, 1, &same, &error), "%s", error.message);
    CHECK(!mote_model_compare(model, small, dataset, MOTE_SPLIT_VALIDATION, 0, 3, &all, &error), "%s", error.message);
    CHECK(same.kl_mean == 0 && same.kl_p99 == 0 && same.top1_agreement == 1 &&
          same.perplexity_before == same.perplexity_after && same.tokens == all.tokens);
    CHECK(fabs(log(all.perplexity_before) - loss_of(model)) < 1e-6 &&
              fabs(log(all.perplexity_after) - loss_of(small)) < 1e-6, "%g %g", all.perplexity_before,
          all.perplexity_after);
    CHECK(all.kl_mean > 0 && all.kl_p99 > all.kl_mean);
    /* One window of a text of its own, in double. */
    enum { N = 32 };
    int32_t tokens[N + 1], positions[N];
    uint8_t targets[N + 1], wanted[N];
    mote_corpus *short_corpus = NULL;
    mote_dataset *one = NULL;
    const char *const paths[] = {PATH ".short"};
    mote_corpus_options whole = mote_corpus_options_default();
    whole.validation = 0;
    FILE *f = fopen(PATH ".short", "w");
    fputs("the fox saw a house and lost bread.", f);
    CHECK(fseek(f, 0, SEEK_SET) == 0 && ftruncate(fileno(f), N) == 0);
    fclose(f);
    CHECK(!mote_corpus_open(paths, 1, &whole, &short_corpus, &error) &&
              !mote_dataset_create(short_corpus, tokenizer, &one, &error), "%s", error.message);
    mote_dataset_read(one, MOTE_SPLIT_TRAIN, 0, N + 1, tokens, targets);
    for (int i = 0; i < N; i++) positions[i] = i, wanted[i] = 1;
    const mote_batch batch = {N, tokens, positions, NULL, wanted};
    const mote_model *models[2] = {model, small};
    mote_session *session[2];
    for (int m = 0; m < 2; m++) {
        const mote_session_options plain = mote_session_options_default();
        CHECK(!mote_session_create(models[m], &plain, &session[m], &error), "%s", error.message);
        CHECK(!mote_session_run(session[m], &batch, &error), "%s", error.message);
    }
    double kl = 0;
    const int vocab = model->config.vocab;
    for (int i = 0; i < N; i++) {
        const float *a = mote_session_logits(session[0], i), *b = mote_session_logits(session[1], i);
        double sums[2] = {0, 0};
        for (int v = 0; v < vocab; v++) sums[0] += exp((double)a[v]), sums[1] += exp((double)b[v]);
        for (int v = 0; v < vocab; v++)
            kl += exp((double)a[v]) / sums[0] * ((double)a[v] - (double)b[v] + log(sums[1]) - log(sums[0])) / N;
    }
    CHECK(!mote_model_compare(model, small, one, MOTE_SPLIT_TRAIN, 0, 2, &first, &error), "%s", error.message);
    for (int m = 0; m < 2; m++) mote_session_destroy(session[m]);
    mote_model_close(model), mote_model_close(small);
    CHECK(first.tokens == N && fabs(first.kl_mean - kl) < 1e-5 * kl + 1e-7, "%llu tokens, %g, by hand %g",
          (unsigned long long)first.tokens, first.kl_mean, kl);
    mote_dataset_destroy(one), mote_corpus_close(short_corpus);
}

static void speeds(void) {
    mote_model *model = make_model(MOTE_FAMILY_LLAMA, 64, true), *small = NULL;
    mote_quantize_options o = options_for(MOTE_TYPE_Q4_0, MOTE_QUANTIZE_RTN);
    mote_speed_comparison speed = {0};
    CHECK(!mote_model_quantize(model, &o, &small, NULL, &error), "%s", error.message);
    CHECK(!mote_model_compare_speed(model, small, 1, &speed, &error), "%s", error.message);
    CHECK(speed.tokens_per_second_before > 0 && speed.tokens_per_second_after > 0);
    CHECK(speed.ram_bytes_after < speed.ram_bytes_before);
    mote_model_close(model), mote_model_close(small);
}

static void wrong_options(void) {
    mote_model *model = make_model(MOTE_FAMILY_LLAMA, 64, true), *small = NULL;
    mote_quantize_options o = options_for(MOTE_TYPE_Q8_0, MOTE_QUANTIZE_GPTQ);
    o.calibration = NULL;
    CHECK(mote_model_quantize(model, &o, &small, NULL, &error) == MOTE_USAGE && strstr(error.message, "calibration"));
    o.method = (mote_quantize_method)9;
    CHECK(mote_model_quantize(model, &o, &small, NULL, &error) == MOTE_USAGE);
    o.method = MOTE_QUANTIZE_BEST, o.type = MOTE_N_TYPES;
    CHECK(mote_model_quantize(model, &o, &small, NULL, &error) == MOTE_USAGE);
    o.type = MOTE_TYPE_Q8_0, o.threads = 1000;
    CHECK(mote_model_quantize(model, &o, &small, NULL, &error) == MOTE_USAGE);
    o.struct_bytes = 0;
    CHECK(mote_model_quantize(model, &o, &small, NULL, &error) == MOTE_USAGE && !small);
    CHECK(mote_model_compare(model, NULL, dataset, MOTE_SPLIT_TRAIN, 0, 1, &(mote_comparison){0}, &error) ==
          MOTE_USAGE);
    mote_model_close(model);
}

int main(void) {
    test_name = "text", test_ok = 1;
    make_text();
    RUN(types_and_methods);
    RUN(threads_give_the_same_bits);
    RUN(factor_is_that_of_the_inverse);
    RUN(gptq_loses_less_at_the_outputs);
    RUN(calibration_sums_what_products_read);
    RUN(short_calibrations_are_told);
    RUN(calibration_does_not_depend_on_threads);
    RUN(rules);
    RUN(rules_in_vain_are_refused);
    RUN(mixed_meets_its_target);
    RUN(what_does_not_fit);
    RUN(sums_fit_into_what_is_allowed);
    RUN(tries_leave_nothing_behind);
    RUN(ranges_lose_least);
    RUN(static_activations);
    RUN(damaged_scales_are_refused);
    RUN(comparison_by_hand);
    RUN(speeds);
    RUN(wrong_options);
    mote_dataset_destroy(dataset);
    mote_tokenizer_destroy(tokenizer);
    mote_corpus_close(corpus);
    remove(PATH ".txt"), remove(PATH ".short");
    return test_finish();
}
