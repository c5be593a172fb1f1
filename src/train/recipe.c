/* What to train when the caller did not say: every decision of `mote train book.txt` in one place. The constants stand
 * in the table at the top, the rules below it in the order in which they build on each other: context, size, batch,
 * steps, then what follows from them. What the caller set is never changed, and the later rules reckon with it. */
#include <math.h>
#include <string.h>

#include "base/buffer.h"
#include "models/model.h"
#include "ops/ops.h"
#include "train/options.h"
#include "train/schedule.h"
#include "train/trainer.h"

static const struct {
    double flops_per_second;     /* sustained in training by two cores of our time; not measured here, because the same
                                    text and seed must give the same model on every machine and any threads */
    double minutes;              /* where the caller gave none; epochs and steps alone do not change the size */
    double tokens_per_parameter; /* to be read within the budget: 20 is compute-optimal (Hoffmann et al. 2022); models
                                    that are to run on small machines, and repeated text, want fewer parameters, not
                                    fewer tokens */
    double unique_per_parameter; /* tokens of text for each parameter, so that learning by heart comes late */
    double most_epochs; /* beyond, repeated text gives little (Muennighoff et al. 2023: 16 are worth 4 + a bit) */
    double small_text, small_epochs; /* bytes; a text below is learned by heart sooner */
    double dropout_epochs, dropout; /* from so many epochs on, so much */
    int most_context, windows;   /* context: a power of two that cuts the text into this many windows at least */
    int least_step_tokens, most_step_tokens;
    double steps_wanted;         /* the batch grows once there are more steps than this */
    int step_tokens_per_dim;     /* Muon costs about 1.3 dim / tokens of a step: at 16, a twelfth of the arithmetic */
    double muon_lr, adamw_lr; /* muon_lr / sqrt(dim) and adamw_lr / dim: 0.02 and 0.01 were best for 64 x 2 layers on a
                                 megabyte of text; Muon moves by a fixed spectral norm, so it minds the width less */
    double lr_low, lr_high;
    /* Of a model that has been trained. Both rates over dim: for Muon 0.008 and 0.004 were best at 64 and 96 wide, at
     * 384 0.001 gained and 0.002 lost in 40 steps; for AdamW 0.0025 to 0.005 and 0.0015. Coarse weights: 40 steps of
     * qat in q4_0 at 0.002 and 0.0005 cost 0.46 % and 0.20 % of perplexity. */
    double tuned_epochs, tuned_muon_lr, tuned_adamw_lr, tuned_sgd_lr, tuned_qat;
    int tuned_warmup; /* steps at most */
} recipe = {
    .flops_per_second = 80e9,
    .minutes = 5,
    .tokens_per_parameter = 12,
    .unique_per_parameter = 1,
    .most_epochs = 20,
    .small_text = 1e6,
    .small_epochs = 12,
    .dropout_epochs = 10,
    .dropout = 0.1,
    .most_context = 256,
    .windows = 64,
    .least_step_tokens = 2048,
    .most_step_tokens = 32768,
    .steps_wanted = 2500,
    .step_tokens_per_dim = 16,
    .muon_lr = 0.16,
    .adamw_lr = 0.64,
    .lr_low = 5e-4,
    .lr_high = 2e-2,
    .tuned_epochs = 3,
    .tuned_muon_lr = 0.4,
    .tuned_adamw_lr = 0.16,
    .tuned_sgd_lr = 0.025,
    .tuned_qat = 0.5,
    .tuned_warmup = 20,
};

/* Widths and depths to choose from; 12 dim^2 parameters a layer. */
static const struct {
    int dim, layers;
} sizes[] = {
    {32, 1},  {48, 2},  {64, 2},  {64, 3},  {96, 3},  {96, 4},  {128, 4}, {160, 4}, {160, 6},  {192, 6},
    {256, 6}, {256, 8}, {320, 8}, {384, 8}, {448, 8}, {512, 8}, {512, 12}, {640, 10}, {768, 12},
};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

/* Small texts of a few hundred distinct characters are learned best by character: a vocabulary of words would be mostly
 * rare. Pure ASCII is taken for such a text. Larger ones: Heaps' law, a vocabulary that grows as the root of the text.
 */
static const struct {
    double char_bytes, char_ascii; /* at most so many bytes, at least this part of them characters */
    int least_vocab, most_vocab, multiple;
} tokenizer_recipe = {.char_bytes = 3e6, .char_ascii = 0.97, .least_vocab = 1024, .most_vocab = 16384, .multiple = 256};

void mote_recipe_tokenizer(const mote_corpus_info *info, mote_tokenizer_kind *kind, int *vocab_limit) {
    double bytes = (double)info->bytes;
    if (bytes < tokenizer_recipe.char_bytes && (double)info->characters >= tokenizer_recipe.char_ascii * bytes) {
        *kind = MOTE_TOKENIZER_CHAR;
        *vocab_limit = tokenizer_recipe.least_vocab;
        return;
    }
    int vocab = (int)(sqrt(fmin(bytes, 1e12)) / tokenizer_recipe.multiple) * tokenizer_recipe.multiple;
    *kind = MOTE_TOKENIZER_BPE;
    *vocab_limit = vocab < tokenizer_recipe.least_vocab  ? tokenizer_recipe.least_vocab
                   : vocab > tokenizer_recipe.most_vocab ? tokenizer_recipe.most_vocab
                                                         : vocab;
}

typedef struct {
    const mote_recipe_facts *facts;
    mote_config *config;
    mote_train_options *options;
    mote_buffer reasons;
    double budget; /* FLOPs */
    double flops_per_token, train_tokens, step_tokens;
} cook;

static void choose_context(cook *c) {
    if (c->config->context > 0) return;
    double text = c->train_tokens;
    if (c->facts->validation_tokens > 0) text = fmin(text, 8 * (double)c->facts->validation_tokens);
    int context = recipe.most_context;
    while (context > 16 && (double)context * recipe.windows > text) context /= 2;
    c->config->context = context;
    mote_buffer_print(&c->reasons, "context %d: %.0f training tokens are %.0f windows\n", context, c->train_tokens,
                      c->train_tokens / context);
}

/* The shape with its open fields filled from a row of the table. */
static mote_config sized(const mote_config *config, int row) {
    mote_config shape = *config;
    if (shape.dim <= 0) shape.dim = mote_config_fit_dim(config, sizes[row].dim);
    if (shape.layers <= 0) shape.layers = sizes[row].layers;
    return shape;
}

static mote_status choose_size(cook *c, mote_error *error) {
    if (c->config->dim > 0 && c->config->layers > 0) return MOTE_OK;
    double by_budget = sqrt(c->budget / (6 * recipe.tokens_per_parameter));
    double by_text = c->train_tokens / recipe.unique_per_parameter, target = fmin(by_budget, by_text);
    int best = 0;
    for (int row = 0; row < N_SIZES; row++) {
        mote_config shape = sized(c->config, row);
        mote_error problem;
        uint64_t parameters;
        mote_status status = mote_config_count(&shape, &parameters, &problem);
        if (status == MOTE_MEMORY) {
            if (error) *error = problem;
            return status;
        }
        if (status == MOTE_OK && (double)parameters <= target * 1.15) best = row;
    }
    *c->config = sized(c->config, best);
    mote_buffer_print(
        &c->reasons, "size %d x %d layers: about %.2g parameters suit %s (%.2g for the time, %.2g for the text)\n",
        c->config->dim, c->config->layers, target, by_budget < by_text ? "the time" : "the text", by_budget, by_text);
    return MOTE_OK;
}

static mote_status weigh(cook *c, mote_error *error) {
    mote_program *program = NULL;
    mote_status status = mote_config_complete(c->config, error);
    if (status) return status;
    status = mote_program_build(c->config, &program, error);
    if (status) return status;
    c->flops_per_token = 3 * mote_program_cost(program, c->config->context / 2).flops;
    mote_program_destroy(program);
    return MOTE_OK;
}

/* Tokens to read in the whole run, before they are rounded to steps. */
static double tokens_wanted(const cook *c) {
    double most = (double)c->facts->train_bytes < recipe.small_text ? recipe.small_epochs : recipe.most_epochs;
    if (c->facts->fine_tuning) most = recipe.tuned_epochs;
    double by_epochs = (c->facts->epochs > 0 ? c->facts->epochs : most) * c->train_tokens;
    if (c->facts->epochs > 0 && c->facts->minutes <= 0) return by_epochs;
    return fmin(by_epochs, c->budget / c->flops_per_token);
}

static void choose_batch(cook *c) {
    mote_train_options *o = c->options;
    int context = c->config->context;
    mote_train_options_fill(o, "accumulate", 1);
    if (o->batch <= 0) {
        double tokens = recipe.least_step_tokens, wanted = tokens_wanted(c);
        double least = fmin((double)recipe.step_tokens_per_dim * c->config->dim, wanted / 200);
        while (tokens < recipe.most_step_tokens && (tokens < least || wanted / tokens > recipe.steps_wanted))
            tokens *= 2;
        const double unbounded = tokens;
        while (tokens > context && tokens > c->train_tokens / 4) tokens /= 2;
        double batch = tokens / context / o->accumulate;
        mote_train_options_fill(o, "batch", batch < 1 ? 1 : floor(batch));
        mote_buffer_print(&c->reasons, "batch %d: %d tokens a step%s\n", o->batch, o->batch * context * o->accumulate,
                          tokens < unbounded ? ", at most a quarter of the text" : "");
    }
    c->step_tokens = (double)o->batch * context * o->accumulate;
}

static void choose_steps(cook *c) {
    mote_train_options *o = c->options;
    double steps = fmax(1, fmin(1e12, ceil(tokens_wanted(c) / c->step_tokens)));
    if (mote_train_options_fill(o, "steps", steps)) {
        const char *why = c->facts->epochs > 0 && c->facts->minutes <= 0 ? "as asked for"
                          : c->budget / c->flops_per_token <= tokens_wanted(c) * 1.0001 ? "what fits the time"
                          : c->facts->fine_tuning ? "a trained model soon learns a text by heart"
                                                  : "more of the same text would give little";
        mote_buffer_print(&c->reasons, "steps %lld: %.1f epochs, %s\n", (long long)o->steps,
                          (double)o->steps * c->step_tokens / c->train_tokens, why);
    }
}

static double new_lr(const mote_train_options *o, double dim) {
    if (o->optimizer == MOTE_OPTIMIZER_SGD) return mote_train_default_lr(o->optimizer);
    double lr = o->optimizer == MOTE_OPTIMIZER_MUON ? recipe.muon_lr / sqrt(dim) : recipe.adamw_lr / dim;
    return fmin(fmax(lr, recipe.lr_low), recipe.lr_high);
}

static double tuned_lr(const mote_train_options *o, double dim) {
    double lr = o->optimizer == MOTE_OPTIMIZER_MUON    ? recipe.tuned_muon_lr / dim
                : o->optimizer == MOTE_OPTIMIZER_ADAMW ? recipe.tuned_adamw_lr / dim
                                                       : recipe.tuned_sgd_lr;
    return fmin(lr, recipe.lr_high) * (o->qat != MOTE_TYPE_F32 ? recipe.tuned_qat : 1);
}

static void choose_optimizer(cook *c) {
    mote_train_options *o = c->options;
    double dim = c->config->dim, epochs = (double)o->steps * c->step_tokens / c->train_tokens;
    if (mote_train_options_fill(o, "optimizer", MOTE_OPTIMIZER_MUON))
        mote_buffer_print(&c->reasons, "optimizer muon: reaches the same loss in fewer steps than adamw\n");
    mote_train_options_fill(o, "precision", MOTE_PRECISION_F32);
    mote_train_options_fill(o, "qat", MOTE_TYPE_F32);
    if (mote_train_options_fill(o, "lr", c->facts->fine_tuning ? tuned_lr(o, dim) : new_lr(o, dim)))
        mote_buffer_print(&c->reasons, "learning rate %.3g: falls with the width %d%s\n", o->lr, c->config->dim,
                          c->facts->fine_tuning ? ", lower than for a new model" : "");
    if (mote_train_options_fill(o, "schedule", MOTE_SCHEDULE_LINEAR))
        mote_buffer_print(&c->reasons, "schedule linear: to zero at step %lld, when the length is known beforehand\n",
                          (long long)o->steps);
    mote_train_options_fill(o, "min_lr", 0);
    mote_train_options_fill(o, "adam_lr", o->lr);
    const double most_warmup = c->facts->fine_tuning ? recipe.tuned_warmup : 100;
    mote_train_options_fill(o, "warmup", fmin((double)(o->steps / 20), most_warmup));
    mote_train_options_fill(o, "beta1", 0.9); /* for Muon too: 1.83 against 1.88 with 0.95, after 300 steps */
    mote_train_options_fill(o, "beta2", o->steps > 5000 ? 0.98 : 0.95);
    mote_train_options_fill(o, "epsilon", 1e-8);
    mote_train_options_fill(o, "weight_decay", 0.1);
    mote_train_options_fill(o, "restarts", 1);
    mote_train_options_fill(o, "decay_part", 0.2);
    mote_train_options_fill(o, "clip", 1);
    mote_train_options_fill(o, "average", 0);
    bool repeated = epochs >= recipe.dropout_epochs;
    if (mote_train_options_fill(o, "dropout", repeated ? recipe.dropout : 0) && repeated)
        mote_buffer_print(&c->reasons, "dropout %.2g: the text is read %.0f times\n", o->dropout, epochs);
}

mote_status mote_recipe_complete(const mote_recipe_facts *facts, mote_config *config, mote_train_options *options,
                                 char **reasons, mote_error *error) {
    if (reasons) *reasons = NULL;
    if (!facts || !config || !options) return mote_fail(error, MOTE_USAGE, "a recipe needs facts, a shape and options");
    if (!(facts->minutes >= 0 && facts->minutes <= 1e9) || !(facts->epochs >= 0 && facts->epochs <= 1e9))
        return mote_fail(error, MOTE_USAGE, "%g minutes and %g epochs are not possible", facts->minutes, facts->epochs);
    if (facts->train_tokens < 2)
        return mote_fail(error, MOTE_USAGE, "the training text has %llu token%s; training needs 2 at least",
                         (unsigned long long)facts->train_tokens, facts->train_tokens == 1 ? "" : "s");
    if (config->vocab <= 0) config->vocab = facts->vocab;
    cook c = {.facts = facts,
              .config = config,
              .options = options,
              .train_tokens = (double)facts->train_tokens};
    c.budget = (facts->minutes > 0 ? facts->minutes : recipe.minutes) * 60 * recipe.flops_per_second;
    choose_context(&c);
    mote_train_options complete;
    mote_status status = choose_size(&c, error);
    if (status == MOTE_OK) status = weigh(&c, error);
    if (status) goto done;
    choose_batch(&c);
    choose_steps(&c);
    choose_optimizer(&c);
    status = mote_train_options_complete(options, &complete, error);
    if (status) goto done;
    *options = complete;
    if (reasons) status = mote_buffer_finish(&c.reasons, reasons, error);
done:
    mote_buffer_deinit(&c.reasons);
    return status;
}
