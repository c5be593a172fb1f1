/* A finished model trained further: its context made shorter, any type of weights made f32, the same bits after a
 * resume with another file's weights, and what the recipe does differently. */
#include <unistd.h>

#include "training.h"

static char folder[] = "/tmp/mote_tune_XXXXXX";
static char text_path[160], model_path[160], small_path[160], checkpoint_path[160];
static mote_tokenizer *tokenizer;
static mote_corpus *corpus;
static mote_dataset *dataset;

static bool prepare(void) {
    if (!mkdtemp(folder)) return false;
    snprintf(text_path, sizeof text_path, "%s/text.txt", folder);
    snprintf(model_path, sizeof model_path, "%s/model.gguf", folder);
    snprintf(small_path, sizeof small_path, "%s/small.gguf", folder);
    snprintf(checkpoint_path, sizeof checkpoint_path, "%s/run.checkpoint", folder);
    write_text(text_path, 1, 2500);
    return open_text(text_path, &corpus, &tokenizer, &dataset);
}

static mote_config shape(mote_family family) {
    mote_config c = mote_config_default(family);
    c.vocab = mote_tokenizer_vocab(tokenizer);
    c.context = 48, c.dim = 64, c.layers = 2, c.heads = 4;
    return c;
}

static mote_train_options brief(void) {
    mote_train_options o = mote_train_options_default();
    o.batch = 4, o.steps = 40, o.warmup = 2, o.lr = 3e-3, o.threads = 1, o.seed = 3;
    return o;
}

/* Logits of the last of n tokens; false: it could not be run. */
enum { N_TOKENS = 20 };
static bool logits_of(const mote_model *model, float *logits) {
    int32_t token[N_TOKENS], position[N_TOKENS];
    mote_session_options options = mote_session_options_default();
    mote_session *session = NULL;
    mote_error error = {0};
    for (int i = 0; i < N_TOKENS; i++) token[i] = (i * 5 + 1) % mote_model_config(model).vocab, position[i] = i;
    const mote_batch batch = {.n_tokens = N_TOKENS, .token = token, .position = position};
    bool ok = mote_session_create(model, &options, &session, &error) == MOTE_OK &&
              mote_session_run(session, &batch, &error) == MOTE_OK;
    if (ok) memcpy(logits, mote_session_logits(session, 0), (size_t)mote_model_config(model).vocab * sizeof *logits);
    CHECK(ok, "%s", error.message);
    mote_session_destroy(session);
    return ok;
}

/* What a model computes does not depend on how much more it could have read. */
static void a_shorter_context_changes_no_bit(void) {
    for (int family = MOTE_FAMILY_LLAMA; family <= MOTE_FAMILY_SMOLLM3; family++)
        for (int kept = 0; kept < 2; kept++) {
            mote_config c = shape((mote_family)family);
            mote_model *model = NULL, *opened = NULL, *again = NULL;
            float logits[3][256] = {{0}};
            mote_error error = {0};
            const mote_type type = kept ? MOTE_TYPE_Q8_0 : MOTE_TYPE_F32;
            bool ok = c.vocab <= 256 && mote_model_create(&c, tokenizer, 7, &model, &error) == MOTE_OK &&
                      mote_model_save(model, model_path, type, &error) == MOTE_OK &&
                      mote_model_open(model_path, &opened, &error) == MOTE_OK &&
                      mote_model_open(model_path, &again, &error) == MOTE_OK && logits_of(again, logits[0]);
            CHECK(ok, "%s: %s", mote_family_name((mote_family)family), error.message);
            if (!ok) return;
            CHECK(mote_model_shorten(opened, 49, &error) == MOTE_USAGE && strstr(error.message, "49"), "%s",
                  error.message);
            CHECK(mote_model_shorten(opened, 0, &error) == MOTE_USAGE, "%s", error.message);
            CHECK(mote_model_shorten(again, 24, &error) == MOTE_USAGE, "a model in use");
            CHECK(mote_model_shorten(opened, 24, &error) == MOTE_OK, "%s", error.message);
            CHECK(mote_model_save(opened, small_path, MOTE_TYPE_KEEP, &error) == MOTE_OK, "%s", error.message);
            CHECK(logits_of(opened, logits[1]), "the shortened model");
            mote_model_close(again);
            again = NULL;
            CHECK(mote_model_open(small_path, &again, &error) == MOTE_OK, "%s", error.message);
            if (!again) return;
            CHECK(mote_model_config(again).context == 24 && logits_of(again, logits[2]), "the saved model");
            CHECK(!memcmp(logits[0], logits[1], sizeof logits[0]) && !memcmp(logits[0], logits[2], sizeof logits[0]),
                  "%s, %s: other logits", mote_family_name((mote_family)family), mote_type_name(type));
            mote_model_close(model);
            mote_model_close(opened);
            mote_model_close(again);
        }
}

static bool steps(mote_trainer *trainer, int n, double *first, double *last) {
    for (int i = 0; i < n; i++) {
        mote_step_report report;
        mote_error error = {0};
        mote_status status = mote_trainer_step(trainer, &report, &error);
        CHECK(status == MOTE_OK, "%s", error.message);
        if (status) return false;
        if (i == 0) *first = report.loss;
        *last = report.loss;
    }
    return true;
}

/* A model that has learned something, in model_path. */
static bool save_trained(mote_family family) {
    mote_config c = shape(family);
    mote_train_options o = brief();
    mote_model *model = NULL;
    mote_trainer *trainer = NULL;
    mote_error error = {0};
    double first = 0, last = 0;
    bool ok = mote_model_create(&c, tokenizer, 7, &model, &error) == MOTE_OK &&
              mote_trainer_create(model, dataset, &o, &trainer, &error) == MOTE_OK &&
              steps(trainer, 40, &first, &last) &&
              mote_trainer_save_model(trainer, model_path, MOTE_TYPE_F32, &error) == MOTE_OK;
    CHECK(ok && last < 0.8 * first, "%g -> %g: %s", first, last, error.message);
    mote_trainer_destroy(trainer);
    mote_model_close(model);
    return ok;
}

static bool quantize(mote_type type) {
    mote_quantize_options options = mote_quantize_options_default();
    mote_model *model = NULL, *small = NULL;
    mote_error error = {0};
    options.type = type;
    options.allow_fallback = true;
    bool ok = mote_model_open(model_path, &model, &error) == MOTE_OK &&
              mote_model_quantize(model, &options, &small, NULL, &error) == MOTE_OK &&
              mote_model_save(small, small_path, MOTE_TYPE_KEEP, &error) == MOTE_OK;
    CHECK(ok, "%s", error.message);
    mote_model_close(small);
    mote_model_close(model);
    return ok;
}

/* Weights of any type become the f32 values that they stand for; training goes down from there. */
static void any_type_is_trained_further(void) {
    if (!save_trained(MOTE_FAMILY_LLAMA)) return;
    for (int i = 0; i < MOTE_N_TYPES; i++) {
        const mote_type type = (mote_type)i;
        mote_train_options o = brief();
        mote_model *model = NULL;
        mote_trainer *trainer = NULL;
        mote_evaluation stored = {0}, before = {0}, after = {0};
        mote_error error = {0};
        double first, last;
        o.lr = 1e-3, o.steps = 30;
        if (!quantize(type)) return;
        CHECK(mote_model_open(small_path, &model, &error) == MOTE_OK, "%s", error.message);
        CHECK(mote_evaluate(model, dataset, MOTE_SPLIT_VALIDATION, 0, 1, &stored, &error) == MOTE_OK, "evaluate");
        mote_model_close(model);
        CHECK(mote_model_open(small_path, &model, &error) == MOTE_OK && /* a session has used the other */
                  mote_trainer_create(model, dataset, &o, &trainer, &error) == MOTE_OK,
              "%s: %s", mote_type_name(type), error.message);
        if (!trainer) return;
        CHECK(mote_trainer_evaluate(trainer, 0, &before, &error) == MOTE_OK, "%s", error.message);
        CHECK(fabs(before.loss - stored.loss) < 0.01 * stored.loss, "%s: %g stored, %g as f32",
              mote_type_name(type), stored.loss, before.loss); /* activations of 8 bits make the difference */
        CHECK(steps(trainer, 30, &first, &last), "%s", mote_type_name(type));
        CHECK(mote_trainer_evaluate(trainer, 0, &after, &error) == MOTE_OK && after.loss < 0.97 * before.loss,
              "%s: %g -> %g", mote_type_name(type), before.loss, after.loss);
        mote_trainer_destroy(trainer);
        mote_model_close(model);
    }
}

/* The checkpoint holds the weights: a run goes on in a trainer of any model of this shape. */
static void a_resumed_run_needs_no_weights_of_before(void) {
    if (!save_trained(MOTE_FAMILY_GPT2) || !quantize(MOTE_TYPE_Q4_0)) return;
    mote_train_options o = brief();
    mote_evaluation whole = {0}, resumed = {0};
    double first, last, ends[2] = {0};
    o.qat = MOTE_TYPE_Q4_0;
    for (int again = 0; again < 2; again++) {
        mote_model *model = NULL;
        mote_trainer *trainer = NULL;
        mote_error error = {0};
        bool ok = mote_model_open(again ? small_path : model_path, &model, &error) == MOTE_OK &&
                  mote_model_shorten(model, 32, &error) == MOTE_OK &&
                  mote_trainer_create(model, dataset, &o, &trainer, &error) == MOTE_OK &&
                  (again || (steps(trainer, 5, &first, &last) &&
                             mote_trainer_save(trainer, checkpoint_path, &error) == MOTE_OK)) &&
                  (!again || mote_trainer_resume(trainer, checkpoint_path, &error) == MOTE_OK) &&
                  steps(trainer, 5, &first, &ends[again]) &&
                  mote_trainer_evaluate(trainer, 0, again ? &resumed : &whole, &error) == MOTE_OK;
        CHECK(ok, "%s", error.message);
        mote_trainer_destroy(trainer);
        mote_model_close(model);
    }
    CHECK(ends[0] == ends[1] && whole.loss == resumed.loss, "%.17g and %.17g", whole.loss, resumed.loss);
}

static void the_recipe_is_gentler(void) {
    const mote_optimizer optimizers[] = {MOTE_OPTIMIZER_ADAMW, MOTE_OPTIMIZER_MUON, MOTE_OPTIMIZER_SGD};
    for (int i = 0; i < 3; i++) {
        mote_recipe_facts facts = {
            .train_tokens = 300000, .validation_tokens = 30000, .train_bytes = 300000, .vocab = 65};
        mote_train_options o[3];
        char *reasons[3] = {NULL};
        for (int tuned = 0; tuned < 3; tuned++) {
            mote_config c = shape(MOTE_FAMILY_LLAMA);
            mote_error error = {0};
            o[tuned] = mote_train_options_default();
            o[tuned].optimizer = optimizers[i];
            if (tuned == 2) o[tuned].qat = MOTE_TYPE_Q4_0;
            facts.fine_tuning = tuned > 0;
            CHECK(mote_recipe_complete(&facts, &c, &o[tuned], &reasons[tuned], &error) == MOTE_OK, "%s", error.message);
        }
        const double epochs = (double)o[1].steps * o[1].batch * o[1].accumulate * 48 / 300000;
        CHECK(o[1].lr < 0.5 * o[0].lr && o[1].lr > 0.02 * o[0].lr, "%g, tuned %g", o[0].lr, o[1].lr);
        CHECK(o[2].lr == 0.5 * o[1].lr, "%g, with qat %g", o[1].lr, o[2].lr);
        CHECK(epochs > 1 && epochs < 4 && o[1].steps < o[0].steps / 2, "%g epochs", epochs);
        CHECK(o[1].warmup <= 20 && o[1].warmup >= 1, "%lld", (long long)o[1].warmup);
        CHECK(strstr(reasons[1], "trained model") && !strstr(reasons[0], "trained model"), "%s", reasons[1]);
        for (int k = 0; k < 3; k++) mote_free(reasons[k]);
    }
}

int main(void) {
    if (prepare()) {
        RUN(a_shorter_context_changes_no_bit);
        RUN(any_type_is_trained_further);
        RUN(a_resumed_run_needs_no_weights_of_before);
        RUN(the_recipe_is_gentler);
    } else {
        test_failed++;
    }
    mote_dataset_destroy(dataset);
    mote_tokenizer_destroy(tokenizer);
    mote_corpus_close(corpus);
    unlink(text_path);
    unlink(model_path);
    unlink(small_path);
    unlink(checkpoint_path);
    rmdir(folder);
    return test_finish();
}
