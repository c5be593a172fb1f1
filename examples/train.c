/* Trains a tiny model on a text and saves it as GGUF. The loop is the caller's: stop, save or look whenever you like.
 *     cc -O2 train.c -o train $(pkg-config --cflags --libs mote)
 *     ./train text.txt model.gguf 500 */
#include <mote/mote.h>
#include <stdio.h>
#include <stdlib.h>

int main(int n_arguments, char **arguments) {
    if (n_arguments < 3) {
        fprintf(stderr, "usage: %s TEXT MODEL.gguf [STEPS]\n", arguments[0]);
        return MOTE_USAGE;
    }
    mote_error error;
    mote_corpus *corpus = NULL;
    mote_tokenizer *tokenizer = NULL;
    mote_dataset *dataset = NULL;
    mote_model *model = NULL;
    mote_trainer *trainer = NULL;

    /* Text, its tokenizer, and its tokens in two parts: one to learn from, one to measure with. */
    mote_corpus_options corpus_options = mote_corpus_options_default();
    const char *path = arguments[1];
    mote_status status = mote_corpus_open(&path, 1, &corpus_options, &corpus, &error);
    if (status) goto done;
    status = mote_corpus_train_tokenizer(corpus, MOTE_TOKENIZER_BYTE, 0, &tokenizer, &error);
    if (status) goto done;
    status = mote_dataset_create(corpus, tokenizer, &dataset, &error);
    if (status) goto done;

    /* 64 wide, 2 layers; what is not set here is derived. */
    mote_config config = mote_config_default(MOTE_FAMILY_LLAMA);
    config.vocab = mote_tokenizer_vocab(tokenizer);
    config.dim = 64;
    config.layers = 2;
    config.heads = 4;
    config.context = 64;
    status = mote_config_complete(&config, &error);
    if (status) goto done;
    status = mote_model_create(&config, tokenizer, 1, &model, &error);
    if (status) goto done;

    mote_train_options options = mote_train_options_default();
    options.steps = n_arguments > 3 ? atoll(arguments[3]) : 500;
    options.batch = 8;
    options.accumulate = 1;
    options.lr = 3e-3;
    options.warmup = options.steps / 20;
    status = mote_trainer_create(model, dataset, &options, &trainer, &error);
    if (status) goto done;
    for (int64_t i = 0; i < options.steps; i++) {
        mote_step_report step;
        status = mote_trainer_step(trainer, &step, &error);
        if (status) goto done;
        if (i % 50 == 0 || i + 1 == options.steps)
            printf("step %5lld  loss %.4f nats per token\n", (long long)step.step, step.loss);
    }
    mote_evaluation evaluation;
    status = mote_trainer_evaluate(trainer, 0, &evaluation, &error);
    if (status) goto done;
    printf("validation  %.4f nats per token, %.3f bits per byte\n", evaluation.loss, evaluation.bits_per_byte);
    status = mote_trainer_save_model(trainer, arguments[2], MOTE_TYPE_F32, &error);

done:
    if (status) fprintf(stderr, "error: %s\n%s\n", error.message, error.hint);
    mote_trainer_destroy(trainer);
    mote_model_close(model);
    mote_dataset_destroy(dataset);
    mote_tokenizer_destroy(tokenizer);
    mote_corpus_close(corpus);
    return status;
}
