/* The stack that a thread needs to call mote: 128 KiB, which musl gives a thread. The shapes are those whose products
 * want most memory; the page below the stack ends the process when it is touched. */
#include <pthread.h>

#include "mote/mote.h"
#include "test.h"

#if defined(MOTE_SANITIZED) || !defined(__OPTIMIZE__)
#define FRAMES_ARE_LARGE 1
#else
#define FRAMES_ARE_LARGE 0
#endif

enum { STACK_BYTES = 128 << 10, TOKENS = 96 };

static void run_session(const mote_model *model) {
    mote_error error = {0};
    mote_session *session = NULL;
    mote_session_options o = mote_session_options_default();
    int32_t token[TOKENS], position[TOKENS];
    for (int i = 0; i < TOKENS; i++) token[i] = i * 7, position[i] = i;
    o.threads = 1;
    o.batch_tokens = TOKENS;
    CHECK(mote_session_create(model, &o, &session, &error) == MOTE_OK, "%s", error.message);
    if (!session) return;
    const mote_batch prompt = {.n_tokens = TOKENS, .token = token, .position = position},
                     next = {.n_tokens = 1, .token = token, .position = (int32_t[]){TOKENS}};
    CHECK(mote_session_run(session, &prompt, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_session_run(session, &next, &error) == MOTE_OK, "%s", error.message);
    mote_session_destroy(session);
}

static void train(mote_model *model, mote_optimizer optimizer, mote_precision precision) {
    mote_error error = {0};
    mote_trainer *trainer = NULL;
    mote_step_report report;
    mote_train_options o = mote_train_options_default();
    o.batch = 1;
    o.steps = 1;
    o.lr = 1e-3;
    o.threads = 1;
    o.optimizer = optimizer;
    o.precision = precision;
    CHECK(mote_trainer_create(model, NULL, &o, &trainer, &error) == MOTE_OK, "%s", error.message);
    if (trainer) CHECK(mote_trainer_step(trainer, &report, &error) == MOTE_OK, "%s", error.message);
    mote_trainer_destroy(trainer);
}

static void *use_mote(void *nothing) {
    mote_config config = mote_config_default(MOTE_FAMILY_LLAMA);
    mote_error error = {0};
    mote_model *model = NULL;
    config.vocab = 1100;
    config.context = 640;
    config.dim = 128;
    config.layers = 1;
    config.heads = 2;
    config.kv_heads = 1;
    config.hidden = 1040;
    for (mote_precision p = MOTE_PRECISION_F32; p <= MOTE_PRECISION_INT8; p++) {
        if (p == MOTE_PRECISION_F16) continue; /* trainers have none */
        CHECK(mote_model_create(&config, NULL, 1, &model, &error) == MOTE_OK, "%s", error.message);
        if (!model) return nothing;
        train(model, p == MOTE_PRECISION_F32 ? MOTE_OPTIMIZER_MUON : MOTE_OPTIMIZER_ADAMW, p);
        run_session(model);
        mote_model_close(model);
    }
    static const mote_type types[] = {MOTE_TYPE_F32, MOTE_TYPE_F16, MOTE_TYPE_BF16, MOTE_TYPE_Q8_0, MOTE_TYPE_Q4_0,
                                      MOTE_TYPE_Q3H, MOTE_TYPE_I8};
    const char *path = "build/test_stack.gguf";
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        CHECK(mote_model_create(&config, NULL, 1, &model, &error) == MOTE_OK, "%s", error.message);
        CHECK(mote_model_save(model, path, types[i], &error) == MOTE_OK, "%s", error.message);
        mote_model_close(model);
        model = NULL;
        CHECK(mote_model_open(path, &model, &error) == MOTE_OK, "%s", error.message);
        if (model) run_session(model);
        mote_model_close(model);
    }
    remove(path);
    return nothing;
}

static void small_stacks_are_enough(void) {
    if (FRAMES_ARE_LARGE) {
        test_skip("frames are larger in this build");
        return;
    }
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    int code = pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (!code) code = pthread_create(&thread, &attributes, use_mote, NULL);
    CHECK(code == 0, "no thread: %s", strerror(code));
    if (!code) pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
}

int main(void) {
    RUN(small_stacks_are_enough);
    return test_finish();
}
