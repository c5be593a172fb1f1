/* Training whose products run on integers and on bf16: gradients beside those of f32, the same bits for any number of
 * threads and after a resume, and quantization-aware training that evaluates exactly the model it saves. */
#include <unistd.h>

#include "training.h"

#include "kernels/bytes.h"

static char folder[] = "/tmp/mote_integers_XXXXXX";
static mote_tokenizer *tokenizer;
static mote_corpus *corpus;
static mote_dataset *dataset;
static char text_path[160], model_path[160], checkpoint_path[160];

static bool prepare(void) {
    if (!mkdtemp(folder)) return false;
    snprintf(text_path, sizeof text_path, "%s/text.txt", folder);
    snprintf(model_path, sizeof model_path, "%s/model.gguf", folder);
    snprintf(checkpoint_path, sizeof checkpoint_path, "%s/run.checkpoint", folder);
    write_text(text_path, 1, 2500);
    return open_text(text_path, &corpus, &tokenizer, &dataset);
}

/* Widths that are not whole blocks, and 4 x 44 rows that are not either. */
static mote_config shape(mote_family family) {
    mote_config c = mote_config_default(family);
    c.vocab = mote_tokenizer_vocab(tokenizer);
    c.context = 44, c.dim = 72, c.layers = 2, c.heads = 4;
    return c;
}

/* A vocabulary whose head is in 8 bits too, most of whose tokens the text does not have. */
enum { LARGE_VOCAB = 1100 };

static mote_train_options brief(mote_precision precision, mote_type qat) {
    mote_train_options o = mote_train_options_default();
    o.optimizer = MOTE_OPTIMIZER_ADAMW;
    o.batch = 4, o.steps = 40, o.warmup = 2, o.lr = 3e-3, o.threads = 1, o.seed = 3;
    o.precision = precision;
    o.qat = qat;
    return o;
}

/* With the tokenizer where the vocabulary is its own. */
static bool create(run *r, const mote_config *config, const mote_train_options *options) {
    bool own = config->vocab == mote_tokenizer_vocab(tokenizer);
    return run_create(r, config, own ? tokenizer : NULL, dataset, options);
}

static bool same_weights(const run *a, const run *b) {
    for (int i = 0; i < a->trainer->updater->n_learned; i++) {
        const mote_learned *x = &a->trainer->updater->learned[i], *y = &b->trainer->updater->learned[i];
        if (memcmp(x->value, y->value, x->n * sizeof *x->value) != 0) return false;
    }
    return true;
}

/* The weights that `from` multiplies by become those of `to`, which then stands at the same window. */
static void copy_weights(const run *from, run *to) {
    const mote_exec *x = from->trainer->exec;
    for (int i = 0; i < from->trainer->updater->n_learned; i++) {
        const mote_learned *a = &from->trainer->updater->learned[i], *b = &to->trainer->updater->learned[i];
        memcpy(b->value, a->value, a->n * sizeof *a->value);
        for (size_t at = 0; mote_is_rounded(x, a->id) && at < a->n; at++) {
            size_t column = at % (size_t)a->tensor->cols;
            float values[MOTE_BLOCK_VALUES];
            mote_rounded_block(x, a->id, (int)(at / (size_t)a->tensor->cols), (int)column / MOTE_BLOCK_VALUES, values);
            b->value[at] = (mote_real)values[column % MOTE_BLOCK_VALUES];
        }
    }
    to->trainer->order = from->trainer->order;
    mote_trainer_repack(to->trainer);
}

/* How far gradients may be apart: that of any weight, and all of them; the least cosine of a weight's. */
typedef struct {
    double weight, whole, cosine;
} bounds;
static const bounds int8_bounds = {0.05, 0.025, 0.999}, bf16_bounds = {0.02, 0.0125, 0.9998};

/* One step of both from the same weights. Most of the distance comes from the forward pass: the rounded model has
 * another loss, and this is that one's gradient. Those of queries and keys, small differences of large terms, have
 * twice the error of the others. */
static void compare_gradients(run *exact, run *rounded, const char *what, bounds most) {
    double worst = 0, least = 1, all = 0, all_apart = 0;
    run_steps(exact, 1);
    run_steps(rounded, 1);
    for (int i = 0; i < exact->trainer->updater->n_learned; i++) {
        const mote_learned *a = &exact->trainer->updater->learned[i], *b = &rounded->trainer->updater->learned[i];
        double aa = 0, bb = 0, ab = 0, apart = 0;
        for (size_t k = 0; k < a->n; k++) {
            double x = (double)a->gradient[k], y = (double)b->gradient[k];
            aa += x * x, bb += y * y, ab += x * y, apart += (x - y) * (x - y);
        }
        double error = sqrt(apart / aa), cosine = ab / sqrt(aa * bb);
        worst = fmax(worst, error);
        least = fmin(least, cosine);
        all += aa, all_apart += apart;
        CHECK(aa > 0 && error < most.weight && cosine > most.cosine, "%s, %s: off by %.2f %%, cosine %.5f", what,
              a->tensor->name, 100 * error, cosine);
    }
    double whole = sqrt(all_apart / all);
    CHECK(whole > 0 && whole < most.whole, "%s: the whole is off by %.2f %%, a weight's by %.2f %%, cosine %.5f", what,
          100 * whole, 100 * worst, least);
}

static void gradients_are_those_of_f32(void) {
    const mote_family families[] = {MOTE_FAMILY_GPT2, MOTE_FAMILY_LLAMA, MOTE_FAMILY_QWEN3, MOTE_FAMILY_GPT2};
    for (int i = 0; i < 4; i++) {
        mote_config c = shape(families[i]);
        if (i == 3) c.vocab = LARGE_VOCAB;
        mote_train_options f32 = brief(MOTE_PRECISION_F32, MOTE_TYPE_F32);
        if (i == 1) c.context = 43, f32.batch = 3; /* the last of 129 tokens has no other for a pair */
        for (int j = 0; j < 2; j++) {
            mote_train_options o = brief(j ? MOTE_PRECISION_BF16 : MOTE_PRECISION_INT8, MOTE_TYPE_F32);
            o.batch = f32.batch;
            run exact, rounded;
            char what[64];
            if (!create(&exact, &c, &f32) || !create(&rounded, &c, &o)) return;
            run_steps(&exact, 20); /* gradients of a beginning model are of another kind */
            copy_weights(&exact, &rounded);
            snprintf(what, sizeof what, "%s %s", mote_family_name(families[i]), j ? "bf16" : "int8");
            compare_gradients(&exact, &rounded, what, j ? bf16_bounds : int8_bounds);
            run_destroy(&exact);
            run_destroy(&rounded);
        }
    }
}

/* Straight through: those of a model in f32 that has the rounded weights, but for the activations in 8 bits. */
static void gradients_pass_through_the_rounding(void) {
    const mote_type types[] = {MOTE_TYPE_Q8_0, MOTE_TYPE_Q4_0, MOTE_TYPE_Q3H, MOTE_TYPE_I8};
    for (int i = 0; i < 4; i++) {
        mote_config c = shape(i % 2 ? MOTE_FAMILY_GPT2 : MOTE_FAMILY_LLAMA);
        mote_train_options f32 = brief(MOTE_PRECISION_F32, MOTE_TYPE_F32), qat = brief(MOTE_PRECISION_F32, types[i]);
        run exact, rounded;
        if (!create(&exact, &c, &f32) || !create(&rounded, &c, &qat)) return;
        run_steps(&rounded, 20);
        copy_weights(&rounded, &exact);
        compare_gradients(&exact, &rounded, mote_type_name(types[i]), int8_bounds);
        run_destroy(&exact);
        run_destroy(&rounded);
    }
}

static const struct {
    mote_precision precision;
    mote_type qat;
} kinds[] = {{MOTE_PRECISION_INT8, MOTE_TYPE_F32},
             {MOTE_PRECISION_F32, MOTE_TYPE_Q4_0},
             {MOTE_PRECISION_INT8, MOTE_TYPE_Q3H},
             {MOTE_PRECISION_BF16, MOTE_TYPE_F32},
             {MOTE_PRECISION_BF16, MOTE_TYPE_Q4_0},
             {MOTE_PRECISION_INT8, MOTE_TYPE_I8}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void threads_and_resuming_do_not_change_bits(void) {
    for (int i = 0; i < KINDS; i++) {
        mote_config c = shape(i % 2 ? MOTE_FAMILY_LLAMA : MOTE_FAMILY_GPT2);
        if (i % 3 == 0) c.vocab = LARGE_VOCAB;
        mote_train_options o = brief(kinds[i].precision, kinds[i].qat);
        o.accumulate = 2, o.dropout = 0.1, o.average = 0.9;
        run one;
        if (!create(&one, &c, &o)) return;
        run_steps(&one, 6);
        for (o.threads = 1; o.threads <= 4; o.threads++) {
            mote_error error = {0};
            run first, second;
            if (!create(&first, &c, &o)) return;
            run_steps(&first, 3);
            CHECK(mote_trainer_save(first.trainer, checkpoint_path, &error) == MOTE_OK, "%s", error.message);
            run_destroy(&first);
            if (!create(&second, &c, &o)) return;
            CHECK(mote_trainer_resume(second.trainer, checkpoint_path, &error) == MOTE_OK, "%s", error.message);
            run_steps(&second, 3);
            CHECK(same_weights(&one, &second), "kind %d, %d threads", i, o.threads);
            run_destroy(&second);
        }
        run_destroy(&one);
    }
}

/* Two micro-batches of an even number of tokens are one batch; a tied table would add in turns. */
static void micro_batches_in_bf16_are_one(void) {
    mote_config c = shape(MOTE_FAMILY_LLAMA);
    c.tied = false;
    mote_train_options o = brief(MOTE_PRECISION_BF16, MOTE_TYPE_F32);
    run two, one;
    o.accumulate = 2;
    if (!create(&two, &c, &o)) return;
    o.accumulate = 1, o.batch *= 2;
    if (!create(&one, &c, &o)) return;
    run_steps(&two, 4);
    run_steps(&one, 4);
    CHECK(same_weights(&two, &one), "2 x 4 and 1 x 8 sequences");
    run_destroy(&two);
    run_destroy(&one);
}

static void checkpoints_refuse_another_precision(void) {
    mote_config c = shape(MOTE_FAMILY_LLAMA);
    mote_train_options o = brief(MOTE_PRECISION_INT8, MOTE_TYPE_F32);
    mote_error error = {0};
    run r;
    if (!create(&r, &c, &o)) return;
    CHECK(mote_trainer_save(r.trainer, checkpoint_path, &error) == MOTE_OK, "%s", error.message);
    run_destroy(&r);
    const mote_train_options others[] = {brief(MOTE_PRECISION_F32, MOTE_TYPE_F32),
                                         brief(MOTE_PRECISION_INT8, MOTE_TYPE_Q4_0)};
    for (int i = 0; i < 2; i++) {
        if (!create(&r, &c, &others[i])) return;
        mote_status status = mote_trainer_resume(r.trainer, checkpoint_path, &error);
        CHECK(status == MOTE_USAGE && strstr(error.message, i ? "qat" : "precision"), "%d: %s", status, error.message);
        run_destroy(&r);
    }
}

static void what_is_not_possible_is_refused(void) {
    mote_config c = shape(MOTE_FAMILY_LLAMA);
    const mote_train_options wrong[] = {
        brief(MOTE_PRECISION_F16, MOTE_TYPE_F32), brief(MOTE_PRECISION_F32, MOTE_TYPE_Q4_K),
        brief(MOTE_PRECISION_F32, MOTE_TYPE_BF16)};
    for (int i = 0; i < 3; i++) {
        mote_model *model = NULL;
        mote_trainer *trainer = NULL;
        mote_error error = {0};
        if (mote_model_create(&c, tokenizer, 7, &model, &error)) return;
        mote_status status = mote_trainer_create(model, dataset, &wrong[i], &trainer, &error);
        CHECK(status == MOTE_USAGE && !trainer && error.hint[0], "%d: %s", i, error.message);
        mote_model_close(model);
    }
}

/* The model that is saved has the codes that were trained with, and so the same loss to the last bit. */
static void the_saved_model_is_the_trained_one(void) {
    const mote_type types[] = {MOTE_TYPE_Q8_0, MOTE_TYPE_Q4_0, MOTE_TYPE_Q3H, MOTE_TYPE_Q43, MOTE_TYPE_I8};
    for (int i = 0; i < 10; i++) {
        mote_config c = shape(i % 2 ? MOTE_FAMILY_LLAMA : MOTE_FAMILY_GPT2);
        c.tied = i % 3 == 0;
        mote_train_options o = brief(i < 5 ? MOTE_PRECISION_F32 : MOTE_PRECISION_INT8, types[i % 5]);
        mote_evaluation trained = {0}, saved = {0}, shared = {0};
        mote_model *model = NULL;
        mote_error error = {0};
        run r;
        if (!create(&r, &c, &o)) return;
        double first = run_steps(&r, 1), last = run_steps(&r, 29);
        CHECK(last < 0.8 * first, "%s: loss %g -> %g", mote_type_name(o.qat), first, last);
        CHECK(mote_trainer_evaluate(r.trainer, 0, &trained, &error) == MOTE_OK, "%s", error.message);
        CHECK(mote_trainer_save_model(r.trainer, model_path, o.qat, &error) == MOTE_OK, "%s", error.message);
        CHECK(mote_model_open(model_path, &model, &error) == MOTE_OK, "%s", error.message);
        if (!model) return;
        CHECK(mote_evaluate(model, dataset, MOTE_SPLIT_VALIDATION, 0, 1, &saved, &error) == MOTE_OK, "%s",
              error.message);
        CHECK(trained.loss == saved.loss, "%s: %.17g in training, %.17g from the file", mote_type_name(o.qat),
              trained.loss, saved.loss);
        /* a session of the model in training has panels of its own, which follow */
        const mote_model *own = mote_trainer_model(r.trainer);
        CHECK(mote_evaluate(own, dataset, MOTE_SPLIT_VALIDATION, 0, 1, &shared, &error) == MOTE_OK, "%s",
              error.message);
        run_steps(&r, 1);
        CHECK(mote_trainer_evaluate(r.trainer, 0, &trained, &error) == MOTE_OK, "%s", error.message);
        CHECK(mote_evaluate(mote_trainer_model(r.trainer), dataset, MOTE_SPLIT_VALIDATION, 0, 1, &shared, &error) ==
                  MOTE_OK, "%s", error.message);
        CHECK(fabs(shared.loss - trained.loss) < 0.03 * trained.loss, "%s: %g in training, %g beside it",
              mote_type_name(o.qat), trained.loss, shared.loss);
        mote_model_close(model);
        run_destroy(&r);
    }
}

static void losses_follow_those_of_f32(void) {
    mote_config c = shape(MOTE_FAMILY_GPT2);
    static const mote_precision precisions[] = {MOTE_PRECISION_F32, MOTE_PRECISION_INT8, MOTE_PRECISION_BF16};
    double loss[3] = {0, 0, 0};
    for (int i = 0; i < 3; i++) {
        mote_train_options o = brief(precisions[i], MOTE_TYPE_F32);
        mote_evaluation result = {0};
        mote_error error = {0};
        run r;
        if (!create(&r, &c, &o)) return;
        run_steps(&r, 40);
        CHECK(mote_trainer_evaluate(r.trainer, 0, &result, &error) == MOTE_OK, "%s", error.message);
        loss[i] = result.loss;
        run_destroy(&r);
    }
    CHECK(fabs(loss[1] - loss[0]) < 0.005 * loss[0] && loss[0] != loss[1], "f32 %.5f, int8 %.5f", loss[0], loss[1]);
    CHECK(fabs(loss[2] - loss[0]) < 0.002 * loss[0] && loss[0] != loss[2], "f32 %.5f, bf16 %.5f", loss[0], loss[2]);
}

int main(void) {
    if (prepare()) {
        RUN(gradients_are_those_of_f32);
        RUN(gradients_pass_through_the_rounding);
        RUN(threads_and_resuming_do_not_change_bits);
        RUN(micro_batches_in_bf16_are_one);
        RUN(checkpoints_refuse_another_precision);
        RUN(what_is_not_possible_is_refused);
        RUN(the_saved_model_is_the_trained_one);
        RUN(losses_follow_those_of_f32);
    } else {
        test_failed++;
    }
    mote_dataset_destroy(dataset);
    mote_tokenizer_destroy(tokenizer);
    mote_corpus_close(corpus);
    unlink(text_path);
    unlink(model_path);
    unlink(checkpoint_path);
    rmdir(folder);
    return test_finish();
}
