/* Training: the same bits for any number of threads and after a resume, accumulation, divergence, checkpoints that are
 * refused, recipes and the memory plan. */
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "training.h"

#include "formats/gguf.h"
#include "kernels/kernels.h"

static char folder[] = "/tmp/mote_train_XXXXXX";
static mote_tokenizer *tokenizer;
static mote_corpus *corpus, *other_corpus;
static mote_dataset *dataset, *other_dataset;

static const char *in_folder(const char *name) {
    static char path[4][160];
    static int n;
    char *p = path[n++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static bool prepare(void) {
    mote_error error = {0};
    mote_corpus_options o = mote_corpus_options_default();
    o.validation = 0.2;
    const char *path = in_folder("text.txt"), *other = in_folder("other.txt");
    if (!mkdtemp(folder)) return false;
    path = in_folder("text.txt");
    other = in_folder("other.txt");
    write_text(path, 1, 1500);
    write_text(other, 1, 1500);
    FILE *f = fopen(other, "r+"); /* as long as the first, with one letter changed */
    int letter = f ? fgetc(f) : EOF;
    if (f) rewind(f), fputc(letter == 't' ? 'm' : 't', f), fclose(f);
    bool ok = mote_corpus_open(&path, 1, &o, &corpus, &error) == MOTE_OK &&
              mote_corpus_open(&other, 1, &o, &other_corpus, &error) == MOTE_OK &&
              mote_corpus_train_tokenizer(corpus, MOTE_TOKENIZER_CHAR, 256, &tokenizer, &error) == MOTE_OK &&
              mote_dataset_create(corpus, tokenizer, &dataset, &error) == MOTE_OK &&
              mote_dataset_create(other_corpus, tokenizer, &other_dataset, &error) == MOTE_OK;
    if (!ok) printf("%s\n", error.message);
    return ok;
}

static mote_config tiny(mote_family family) {
    mote_config c = mote_config_default(family);
    c.vocab = mote_tokenizer_vocab(tokenizer);
    c.context = 24;
    c.dim = 32;
    c.layers = 2;
    c.heads = 2;
    return c;
}

static mote_train_options brief(mote_optimizer optimizer) {
    mote_train_options o = mote_train_options_default();
    o.optimizer = optimizer;
    o.batch = 4;
    o.accumulate = 1;
    o.steps = 20;
    o.warmup = 2;
    o.threads = 1;
    o.seed = 3;
    if (optimizer == MOTE_OPTIMIZER_SGD) o.lr = 0.05;
    return o;
}

/* Weights, panels, state and averages of two trainers are the same bits. */
static bool same_bits(const run *a, const run *b) {
    const mote_updater *u = a->trainer->updater, *v = b->trainer->updater;
    for (int i = 0; i < u->n_learned; i++) {
        const mote_learned *x = &u->learned[i], *y = &v->learned[i];
        size_t bytes = x->n * sizeof(mote_real);
        if (memcmp(x->value, y->value, bytes) != 0) return false;
        for (int k = 0; k < x->n_states; k++)
            if (memcmp(x->state[k], y->state[k], bytes) != 0) return false;
        if (x->average && memcmp(x->average, y->average, bytes) != 0) return false;
        const void *p = a->trainer->packed[x->id], *q = b->trainer->packed[x->id];
        if (p && memcmp(p, q, mote_packed_values(x->tensor->rows, x->tensor->cols) * sizeof(mote_real)) != 0)
            return false;
    }
    return a->trainer->step == b->trainer->step && a->trainer->order.epoch == b->trainer->order.epoch &&
           a->trainer->order.index == b->trainer->order.index;
}

static double largest_difference(const run *a, const run *b) {
    double worst = 0;
    for (int i = 0; i < a->trainer->updater->n_learned; i++) {
        const mote_learned *x = &a->trainer->updater->learned[i], *y = &b->trainer->updater->learned[i];
        for (size_t k = 0; k < x->n; k++) worst = fmax(worst, fabs((double)x->value[k] - (double)y->value[k]));
    }
    return worst;
}

static void threads_do_not_change_bits(void) {
    for (int family = 0; family <= MOTE_FAMILY_SMOLLM3; family++)
        for (int optimizer = 0; optimizer <= MOTE_OPTIMIZER_SGD; optimizer++) {
            mote_config c = tiny((mote_family)family);
            mote_train_options o = brief((mote_optimizer)optimizer);
            o.dropout = 0.1;
            o.average = 0.99;
            run one;
            if (!run_create(&one, &c, NULL, dataset, &o)) return;
            run_steps(&one, 4);
            for (o.threads = 2; o.threads <= 4; o.threads++) {
                run many;
                if (!run_create(&many, &c, NULL, dataset, &o)) return;
                run_steps(&many, 4);
                CHECK(same_bits(&one, &many), "family %d optimizer %d threads %d: off by %g", family, optimizer,
                      o.threads, largest_difference(&one, &many));
                run_destroy(&many);
            }
            run_destroy(&one);
        }
}

static void resume_is_exact(void) {
    for (int optimizer = 0; optimizer <= MOTE_OPTIMIZER_SGD; optimizer++) {
        mote_config c = tiny(optimizer == MOTE_OPTIMIZER_ADAMW ? MOTE_FAMILY_GPT2 : MOTE_FAMILY_LLAMA);
        mote_train_options o = brief((mote_optimizer)optimizer);
        o.accumulate = 2;
        o.dropout = 0.1;
        o.average = 0.99;
        run straight;
        if (!run_create(&straight, &c, NULL, dataset, &o)) return;
        run_steps(&straight, 20);
        for (o.threads = 1; o.threads <= 3; o.threads++) {
            mote_error error = {0};
            run first, second;
            const char *path = in_folder("run.checkpoint");
            if (!run_create(&first, &c, NULL, dataset, &o)) return;
            run_steps(&first, 10);
            CHECK(mote_trainer_save(first.trainer, path, &error) == MOTE_OK, "%s", error.message);
            run_destroy(&first);
            if (!run_create(&second, &c, NULL, dataset, &o)) return;
            run_steps(&second, 3); /* resuming replaces whatever there was */
            CHECK(mote_trainer_resume(second.trainer, path, &error) == MOTE_OK, "%s", error.message);
            CHECK(mote_trainer_steps_done(second.trainer) == 10, "steps");
            run_steps(&second, 10);
            CHECK(same_bits(&straight, &second), "optimizer %d threads %d: off by %g", optimizer, o.threads,
                  largest_difference(&straight, &second));
            run_destroy(&second);
        }
        run_destroy(&straight);
    }
}

/* Bit for bit, because a weight gradient is one chain of sums over the rows, wherever it is cut; except for a tied
 * embedding, which head and embedding add to in turns. */
static void accumulation_is_one_large_batch(void) {
    for (int tied = 0; tied < 2; tied++) {
        mote_config c = tiny(MOTE_FAMILY_LLAMA);
        mote_train_options o = brief(MOTE_OPTIMIZER_MUON);
        run whole, parts;
        c.tied = tied;
        if (!run_create(&whole, &c, NULL, dataset, &o)) return;
        o.batch = 1;
        o.accumulate = 4;
        if (!run_create(&parts, &c, NULL, dataset, &o)) return;
        run_steps(&whole, 1);
        run_steps(&parts, 1);
        double difference = largest_difference(&whole, &parts);
        CHECK(tied ? difference < 1e-5 : difference == 0, "tied %d: weights off by %g", tied, difference);
        run_destroy(&whole);
        run_destroy(&parts);
    }
}

/* A split of exactly one batch of windows, over and over. */
static void one_batch_is_learned_by_heart(void) {
    const mote_optimizer optimizers[] = {MOTE_OPTIMIZER_ADAMW, MOTE_OPTIMIZER_MUON};
    for (int i = 0; i < 2; i++) {
        mote_config c = tiny(MOTE_FAMILY_LLAMA);
        c.dim = 64;
        mote_train_options o = brief(optimizers[i]);
        o.steps = 300;
        o.lr = 5e-3;
        o.weight_decay = 0;
        run r;
        if (!run_create(&r, &c, NULL, dataset, &o)) return;
        double first = run_steps(&r, 1), last = first;
        for (int step = 1; step < 300 && last > 0.04; step++) {
            r.trainer->order.epoch = r.trainer->order.index = 0;
            last = run_steps(&r, 1);
        }
        CHECK(first > 2 && last < 0.05, "optimizer %d: loss %g -> %g", optimizers[i], first, last);
        run_destroy(&r);
    }
}

static void divergence_leaves_the_weights(void) {
    for (int optimizer = 0; optimizer <= MOTE_OPTIMIZER_SGD; optimizer++) {
        mote_config c = tiny(MOTE_FAMILY_LLAMA);
        mote_train_options o = brief((mote_optimizer)optimizer);
        o.lr = 1e30;
        o.warmup = 0;
        o.weight_decay = 0;
        run r;
        if (!run_create(&r, &c, NULL, dataset, &o)) return;
        mote_status status = MOTE_OK;
        mote_error error = {0};
        mote_real *before = NULL;
        size_t bytes = 0;
        int done = 0;
        for (; done < 20 && status == MOTE_OK; done++) {
            bytes = 0;
            free(before);
            for (int i = 0; i < r.trainer->updater->n_learned; i++)
                bytes += r.trainer->updater->learned[i].n * sizeof(mote_real);
            before = malloc(bytes);
            char *at = (char *)before;
            for (int i = 0; i < r.trainer->updater->n_learned; i++) {
                const mote_learned *l = &r.trainer->updater->learned[i];
                memcpy(at, l->value, l->n * sizeof(mote_real));
                at += l->n * sizeof(mote_real);
            }
            status = mote_trainer_step(r.trainer, NULL, &error);
        }
        CHECK(status == MOTE_DIVERGED, "status %d after %d steps", (int)status, done);
        char want[32];
        snprintf(want, sizeof want, "step %d ", done);
        CHECK(strstr(error.message, want), "%s", error.message);
        CHECK(mote_trainer_steps_done(r.trainer) == done - 1, "steps");
        const char *at = (const char *)before;
        for (int i = 0; i < r.trainer->updater->n_learned; i++) {
            const mote_learned *l = &r.trainer->updater->learned[i];
            CHECK(memcmp(at, l->value, l->n * sizeof(mote_real)) == 0, "%s changed", l->tensor->name);
            bool finite = true;
            for (size_t k = 0; k < l->n; k++) finite = finite && isfinite((double)l->value[k]);
            CHECK(finite, "%s is not finite", l->tensor->name);
            at += l->n * sizeof(mote_real);
        }
        CHECK(mote_trainer_step(r.trainer, NULL, &error) == MOTE_DIVERGED, "the same step again");
        free(before);
        run_destroy(&r);
    }
}

static void refused(mote_config c, mote_train_options o, const mote_dataset *data, const char *path, mote_status want,
                    const char *word) {
    run r;
    mote_error error = {0};
    if (!run_create(&r, &c, NULL, data, &o)) return;
    run_steps(&r, 1);
    mote_status status = mote_trainer_resume(r.trainer, path, &error);
    CHECK(status == want, "%s: status %d: %s", word, (int)status, error.message);
    CHECK(want == MOTE_OK || strstr(error.message, word), "%s is not in: %s", word, error.message);
    if (want != MOTE_OK) { /* and nothing of it was taken over */
        run twin;
        if (run_create(&twin, &c, NULL, data, &o)) {
            run_steps(&twin, 1);
            CHECK(same_bits(&r, &twin), "%s: a refused checkpoint changed the trainer", word);
            run_destroy(&twin);
        }
    }
    run_destroy(&r);
}

static void differences_are_named(void) {
    mote_config c = tiny(MOTE_FAMILY_LLAMA);
    mote_train_options o = brief(MOTE_OPTIMIZER_ADAMW);
    const char *path = in_folder("named.checkpoint");
    mote_error error = {0};
    run r;
    if (!run_create(&r, &c, NULL, dataset, &o)) return;
    run_steps(&r, 5);
    CHECK(mote_trainer_save(r.trainer, path, &error) == MOTE_OK, "%s", error.message);
    run_destroy(&r);
#define OPTION(field, value)                                                                                           \
    do {                                                                                                               \
        mote_train_options changed = o;                                                                                \
        changed.field = value;                                                                                         \
        refused(c, changed, dataset, path, MOTE_USAGE, #field);                                                        \
    } while (0)
    OPTION(batch, 5);
    OPTION(accumulate, 2);
    OPTION(steps, 30);
    OPTION(optimizer, MOTE_OPTIMIZER_MUON);
    OPTION(lr, 2e-3);
    OPTION(min_lr, 1e-5);
    OPTION(beta2, 0.9);
    OPTION(weight_decay, 0);
    OPTION(schedule, MOTE_SCHEDULE_LINEAR);
    OPTION(warmup, 3);
    OPTION(dropout, 0.1);
    OPTION(average, 0.9);
    OPTION(seed, 4);
    OPTION(precision, MOTE_PRECISION_INT8);
    OPTION(qat, MOTE_TYPE_Q4_0);
#undef OPTION
    mote_config changed = c;
    changed.layers = 3;
    refused(changed, o, dataset, path, MOTE_USAGE, "layers");
    refused(c, o, other_dataset, path, MOTE_USAGE, "other data");
    refused(c, o, NULL, path, MOTE_USAGE, "training tokens");
    o.threads = 2;
    refused(c, o, dataset, path, MOTE_OK, "threads");
    refused(c, o, dataset, in_folder("none"), MOTE_BAD_FILE, "none");
}

static void steps_may_grow_before_they_matter(void) {
    mote_config c = tiny(MOTE_FAMILY_LLAMA);
    mote_train_options o = brief(MOTE_OPTIMIZER_ADAMW);
    const char *path = in_folder("steps.checkpoint");
    o.schedule = MOTE_SCHEDULE_WSD;
    o.decay_part = 0.5; /* of 20: from step 10 on */
    for (int steps = 10; steps <= 11; steps++) {
        run r;
        if (!run_create(&r, &c, NULL, dataset, &o)) return;
        run_steps(&r, steps);
        CHECK(mote_trainer_save(r.trainer, path, NULL) == MOTE_OK, "save");
        run_destroy(&r);
        mote_train_options longer = o;
        longer.steps = 40;
        refused(c, longer, dataset, path, steps == 10 ? MOTE_OK : MOTE_USAGE, "steps");
    }
}

/* Copies `from` with its last bytes cut off or one bit changed. */
static void damage(const char *from, const char *to, long keep, long flip) {
    FILE *f = fopen(from, "rb"), *g = fopen(to, "wb");
    for (long i = 0; f && g && (keep < 0 || i < keep); i++) {
        int byte = fgetc(f);
        if (byte == EOF) break;
        fputc(i == flip ? byte ^ 4 : byte, g);
    }
    if (f) fclose(f);
    if (g) fclose(g);
}

/* Qwen3's block was llama with norms on q and k, and there were no fields for other families. */
static void checkpoints_of_before_resume(void) {
    static const char *const later[] = {"full_attention_period", "no_rope_period", "rope_base_window", "query_scale",
        "rope_scaling", "rope_factor", "rope_original_context", "rope_low", "rope_high", "rope_attention_factor"};
    mote_config c = tiny(MOTE_FAMILY_QWEN3);
    mote_train_options o = brief(MOTE_OPTIMIZER_ADAMW);
    mote_error error = {0};
    run r, twin;
    const char *path = in_folder("today.checkpoint"), *before = in_folder("before.checkpoint");
    if (!run_create(&r, &c, NULL, dataset, &o) || !run_create(&twin, &c, NULL, dataset, &o)) return;
    run_steps(&r, 3);
    CHECK(mote_trainer_save(r.trainer, path, &error) == MOTE_OK, "%s", error.message);
    mote_gguf file = {0};
    mote_gguf_writer *w = NULL;
    CHECK(mote_gguf_open(path, &file, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_gguf_writer_open(before, &w, &error) == MOTE_OK, "%s", error.message);
    int left_out = 0;
    for (size_t i = 0; i < file.n_entries; i++) {
        const mote_gguf_entry *e = &file.entries[i];
        char key[96];
        bool skip = e->key.size >= 13 && !memcmp(e->key.bytes, "mote.checksum", 13);
        snprintf(key, sizeof key, "%.*s", (int)e->key.size, e->key.bytes);
        for (size_t j = 0; j < sizeof later / sizeof *later; j++)
            if (!strncmp(key, "mote.training.model.", 20) && !strcmp(key + 20, later[j])) skip = true, left_out++;
        if (skip) continue;
        uint64_t bits = e->kind == MOTE_GGUF_STRING ? 0 : mote_load_bytes(e->data, e->data_bytes);
        if (!strcmp(key, "mote.training.model.family")) bits = MOTE_FAMILY_LLAMA;
        if (e->kind == MOTE_GGUF_STRING) mote_gguf_put_string(w, key, (const char *)e->data, e->data_bytes);
        else if (e->kind == MOTE_GGUF_U32) mote_gguf_put_u32(w, key, (uint32_t)bits);
        else if (e->kind == MOTE_GGUF_F64) mote_gguf_put_f64(w, key, mote_gguf_load_number(e->data, e->kind));
        else mote_gguf_put_u64(w, key, bits);
    }
    CHECK(left_out == 10, "%d fields left out", left_out);
    for (size_t i = 0; i < file.n_tensors; i++) {
        char name[96];
        snprintf(name, sizeof name, "%.*s", (int)file.tensors[i].name.size, file.tensors[i].name.bytes);
        mote_gguf_put_tensor(w, name, MOTE_TYPE_F32, file.tensors[i].dims[1], file.tensors[i].dims[0]);
    }
    mote_gguf_begin_data(w);
    for (size_t i = 0; i < file.n_tensors; i++)
        mote_gguf_write_tensor(w, file.tensors[i].data, file.tensors[i].bytes);
    CHECK(mote_gguf_finish(w, &error) == MOTE_OK, "%s", error.message);
    mote_gguf_close(&file);
    CHECK(mote_trainer_resume(twin.trainer, before, &error) == MOTE_OK, "%s", error.message);
    run_steps(&r, 2);
    run_steps(&twin, 2);
    CHECK(same_bits(&r, &twin), "resumed from a checkpoint of before, it goes on otherwise");
    run_destroy(&r);
    run_destroy(&twin);
}

static void damaged_checkpoints_are_bad_files(void) {
    mote_config c = tiny(MOTE_FAMILY_LLAMA);
    c.dim = 16;
    c.layers = 1;
    mote_train_options o = brief(MOTE_OPTIMIZER_ADAMW);
    const char *path = in_folder("good.checkpoint"), *bad = in_folder("bad.checkpoint");
    struct stat info;
    run r, twin;
    if (!run_create(&r, &c, NULL, dataset, &o) || !run_create(&twin, &c, NULL, dataset, &o)) return;
    run_steps(&r, 2);
    run_steps(&twin, 2);
    CHECK(mote_trainer_save(r.trainer, path, NULL) == MOTE_OK && stat(path, &info) == 0, "save");
    for (int i = 0; i < 120; i++) {
        mote_error error = {0};
        long at = (long)((double)info.st_size * i / 120);
        bool cut = i % 3 == 0;
        damage(path, bad, cut ? at : -1, cut ? -1 : at);
        mote_status status = mote_trainer_resume(r.trainer, bad, &error);
        /* the checksums do not cover padding between tensors, where a change is harmless */
        CHECK(status == MOTE_BAD_FILE || (status == MOTE_OK && !cut), "%s at %ld of %ld: status %d %s",
              cut ? "cut" : "flip", at, (long)info.st_size, (int)status, error.message);
        CHECK(same_bits(&r, &twin), "%s at %ld", cut ? "cut" : "flip", at);
    }
    mote_error error = {0};
    CHECK(mote_model_save(r.model, bad, MOTE_TYPE_F32, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_trainer_resume(r.trainer, bad, &error) == MOTE_BAD_FILE && strstr(error.message, "not a checkpoint"),
          "%s", error.message);
    mote_gguf_writer *w = NULL;
    CHECK(mote_gguf_writer_open(bad, &w, &error) == MOTE_OK, "%s", error.message);
    mote_gguf_put_string(w, "general.architecture", "mote.checkpoint", strlen("mote.checkpoint"));
    mote_gguf_put_u32(w, "mote.training.format", 257); /* 1 in its low byte */
    mote_gguf_begin_data(w);
    CHECK(mote_gguf_finish(w, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_trainer_resume(r.trainer, bad, &error) == MOTE_BAD_FILE && strstr(error.message, "not a checkpoint"),
          "%s", error.message);
    run_destroy(&r);
    run_destroy(&twin);
}

static void short_text_is_refused(void) {
    mote_config c = tiny(MOTE_FAMILY_LLAMA);
    mote_train_options o = brief(MOTE_OPTIMIZER_ADAMW);
    mote_error error = {0};
    mote_model *model = NULL;
    mote_trainer *trainer = NULL;
    c.context = 100000;
    CHECK(mote_model_create(&c, NULL, 1, &model, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_trainer_create(model, dataset, &o, &trainer, &error) == MOTE_USAGE && strstr(error.message, "100001"),
          "%s", error.message);
    CHECK(trainer == NULL, "handle");
    mote_model_close(model);
}

static void random_tokens_train(void) {
    mote_config c = tiny(MOTE_FAMILY_GPT2);
    mote_train_options o = brief(MOTE_OPTIMIZER_MUON);
    mote_evaluation evaluation;
    run r;
    if (!run_create(&r, &c, NULL, NULL, &o)) return;
    double loss = run_steps(&r, 2), uniform = log(c.vocab);
    CHECK(fabs(loss - uniform) < 0.5, "loss %g, ln(vocab) %g", loss, uniform);
    CHECK(mote_trainer_evaluate(r.trainer, 0, &evaluation, NULL) == MOTE_USAGE, "no validation text");
    run_destroy(&r);
}

/* The averaged weights are evaluated and saved, and training goes on as if they had not been. */
static void averages_are_evaluated_and_saved(void) {
    mote_config c = tiny(MOTE_FAMILY_LLAMA);
    mote_train_options o = brief(MOTE_OPTIMIZER_MUON);
    o.average = 0.9;
    mote_error error = {0};
    mote_evaluation in_training, of_file;
    run r, twin;
    mote_model *saved = NULL;
    const char *path = in_folder("model.gguf");
    if (!run_create(&r, &c, NULL, dataset, &o) || !run_create(&twin, &c, NULL, dataset, &o)) return;
    run_steps(&r, 10);
    run_steps(&twin, 12);
    CHECK(mote_trainer_evaluate(r.trainer, 0, &in_training, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_trainer_save_model(r.trainer, path, MOTE_TYPE_F32, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_model_open(path, &saved, &error) == MOTE_OK, "%s", error.message);
    if (saved) {
        CHECK(mote_evaluate(saved, dataset, MOTE_SPLIT_VALIDATION, 0, 1, &of_file, &error) == MOTE_OK, "%s",
              error.message);
        CHECK(in_training.loss == of_file.loss, "%.17g in training, %.17g of the file", in_training.loss, of_file.loss);
    }
    run_steps(&r, 2);
    CHECK(same_bits(&r, &twin), "evaluating changed the training");
    mote_model_close(saved);
    run_destroy(&r);
    run_destroy(&twin);
}

/* A model of a file lies in a mapping, in 16 bits or in blocks here; training it takes a copy. */
static void models_of_files_are_trained(void) {
    mote_config c = tiny(MOTE_FAMILY_LLAMA);
    mote_train_options o = brief(MOTE_OPTIMIZER_ADAMW);
    mote_error error = {0};
    const char *path = in_folder("half.gguf");
    static const mote_type types[] = {MOTE_TYPE_F32, MOTE_TYPE_F16, MOTE_TYPE_BF16, MOTE_TYPE_Q8_0, MOTE_TYPE_Q6_K};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        const mote_type type = types[t];
        run r, again = {0};
        if (!run_create(&r, &c, NULL, dataset, &o)) return;
        run_steps(&r, 20);
        CHECK(mote_trainer_save_model(r.trainer, path, type, &error) == MOTE_OK, "%s", error.message);
        CHECK(mote_model_open(path, &again.model, &error) == MOTE_OK, "%s", error.message);
        CHECK(again.model && mote_trainer_create(again.model, dataset, &o, &again.trainer, &error) == MOTE_OK, "%s",
              error.message);
        if (again.trainer) {
            mote_evaluation before, after;
            CHECK(mote_trainer_evaluate(r.trainer, 0, &before, &error) == MOTE_OK, "%s", error.message);
            CHECK(mote_trainer_evaluate(again.trainer, 0, &after, &error) == MOTE_OK, "%s", error.message);
            CHECK(fabs(before.loss - after.loss) < (type == MOTE_TYPE_F32 ? 1e-12 : 0.02), "%g and %g", before.loss,
                  after.loss);
            run_steps(&again, 20);
            CHECK(mote_trainer_evaluate(again.trainer, 0, &after, &error) == MOTE_OK && after.loss < before.loss - 0.05,
                  "%g -> %g", before.loss, after.loss);
        }
        run_destroy(&r);
        run_destroy(&again);
    }
}

typedef struct {
    long left, live; /* allocations until one fails; blocks held */
} scarce;

static void *scarce_allocate(void *context, size_t bytes) {
    scarce *s = context;
    if (s->left-- <= 0) return NULL;
    void *block = malloc(bytes);
    s->live += block != NULL;
    return block;
}

static void scarce_release(void *context, void *block) {
    ((scarce *)context)->live -= block != NULL;
    free(block);
}

/* The k-th allocation fails, for every k: an error, no leak, and no file under the final name. */
static void every_allocation_may_fail(void) {
    mote_config c = tiny(MOTE_FAMILY_GPT2);
    mote_train_options o = brief(MOTE_OPTIMIZER_MUON);
    o.average = 0.9;
    const char *path = in_folder("scarce.checkpoint");
    bool done = false;
    long k = 0;
    for (; !done && k < 1000; k++) {
        scarce s = {k, 0};
        run r = {0};
        mote_error error = {0};
        unlink(path);
        mote_memory_use(&(mote_memory_hooks){scarce_allocate, scarce_release, &s});
        mote_status status = mote_model_create(&c, NULL, 7, &r.model, &error);
        if (!status) status = mote_trainer_create(r.model, dataset, &o, &r.trainer, &error);
        if (!status) status = mote_trainer_step(r.trainer, NULL, &error);
        bool saving = !status;
        if (!status) status = mote_trainer_save(r.trainer, path, &error);
        bool saved = saving && !status;
        if (!status) status = mote_trainer_resume(r.trainer, path, &error);
        run_destroy(&r);
        mote_memory_use(NULL);
        done = !status;
        CHECK(done || status == MOTE_MEMORY, "allocation %ld: status %d %s", k, (int)status, error.message);
        CHECK(saved == (access(path, F_OK) == 0), "allocation %ld: a file was left", k);
        CHECK(s.live == 0, "allocation %ld: %ld blocks leak", k, s.live);
    }
    CHECK(done && k > 20, "%ld allocations", k);
    unlink(path);
}

/* ---- recipes and the memory plan */

static void recipes_are_complete_and_respectful(void) {
    const uint64_t tokens[] = {100, 3000, 100000, 1000000, 30000000, 3000000000u};
    const int vocabs[] = {65, 2048, 16384};
    const double minutes[] = {0, 1, 60};
    double parameters_before = 0;
    for (int v = 0; v < 3; v++)
        for (int m = 0; m < 3; m++) {
            parameters_before = 0;
            for (int i = 0; i < 6; i++) {
                mote_recipe_facts facts = {.train_tokens = tokens[i],
                                           .validation_tokens = tokens[i] / 10,
                                           .train_bytes = tokens[i] * 3,
                                           .vocab = vocabs[v],
                                           .minutes = minutes[m]};
                mote_config c = mote_config_default(MOTE_FAMILY_LLAMA), again;
                mote_train_options o = mote_train_options_default();
                char *reasons = NULL;
                mote_error error = {0};
                CHECK(mote_recipe_complete(&facts, &c, &o, &reasons, &error) == MOTE_OK, "%s", error.message);
                CHECK(reasons && strstr(reasons, "context") && strstr(reasons, "steps"), "reasons");
                CHECK((uint64_t)c.context < tokens[i] && c.vocab == vocabs[v], "context %d", c.context);
                CHECK(o.steps > 0 && o.batch > 0 && o.lr > 0 && o.optimizer == MOTE_OPTIMIZER_MUON, "options");
                double parameters = (double)mote_config_parameters(&c);
                CHECK(parameters >= parameters_before, "fewer parameters for more text");
                parameters_before = parameters;
                double epochs = (double)o.steps * o.batch * c.context / (double)tokens[i];
                double most = facts.train_bytes < 1000000 ? 12 : 20; /* small texts are learned by heart sooner */
                CHECK(epochs < most + (double)o.batch * c.context / (double)tokens[i] + 1e-9, "%g epochs", epochs);
                if (getenv("MOTE_TEST_SHOW"))
                    printf("%g tokens, vocab %d, %g min: %g parameters\n%s", (double)tokens[i], vocabs[v], minutes[m],
                           parameters, reasons);
                mote_free(reasons);
                again = c;
                again.layers = 0;
                mote_train_options set = mote_train_options_default();
                set.batch = 3, set.lr = 0.125, set.optimizer = MOTE_OPTIMIZER_SGD, set.clip = 0, set.warmup = 0,
                set.dropout = 0;
                CHECK(mote_recipe_complete(&facts, &again, &set, NULL, &error) == MOTE_OK, "%s", error.message);
                CHECK(set.batch == 3 && set.lr == 0.125 && set.optimizer == MOTE_OPTIMIZER_SGD && set.clip == 0 &&
                          set.warmup == 0 && set.dropout == 0 && again.dim == c.dim && again.context == c.context &&
                          again.layers > 0,
                      "what was set has changed");
            }
        }
    static const struct { mote_family family; int heads, kv_heads, head_dim; } given[] = {
        {MOTE_FAMILY_LLAMA, 5, 0, 0}, {MOTE_FAMILY_LLAMA, 6, 3, 0},  {MOTE_FAMILY_LLAMA, 0, 3, 0},
        {MOTE_FAMILY_GPT2, 7, 0, 0},  {MOTE_FAMILY_GPT2, 3, 0, 20},  {MOTE_FAMILY_LLAMA, 0, 0, 24},
    };
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        for (int recipe = 0; recipe < 2; recipe++) {
            mote_config c = mote_config_default(given[i].family);
            mote_train_options o = mote_train_options_default();
            mote_error error = {0};
            const mote_recipe_facts facts = {.train_tokens = 300000, .train_bytes = 900000, .vocab = 300};
            c.heads = given[i].heads, c.kv_heads = given[i].kv_heads, c.head_dim = given[i].head_dim, c.vocab = 300;
            mote_status status = recipe ? mote_recipe_complete(&facts, &c, &o, NULL, &error)
                                        : mote_config_complete(&c, &error);
            CHECK(status == MOTE_OK && c.dim == c.heads * c.head_dim, "width %d for %d heads: %s", c.dim,
                  given[i].heads, error.message);
        }
    mote_config other = mote_config_default(MOTE_FAMILY_LLAMA);
    mote_error refused = {0};
    other.vocab = 300, other.struct_bytes--;
    CHECK(mote_config_complete(&other, &refused) == MOTE_USAGE && strstr(refused.message, "another version"), "%s",
          refused.message);
    mote_tokenizer_kind kind;
    int limit;
    mote_recipe_tokenizer(&(mote_corpus_info){.bytes = 1115394, .characters = 1115394}, &kind, &limit);
    CHECK(kind == MOTE_TOKENIZER_CHAR, "small ASCII");
    mote_recipe_tokenizer(&(mote_corpus_info){.bytes = 1000000, .characters = 400000}, &kind, &limit);
    CHECK(kind == MOTE_TOKENIZER_BPE && limit == 1024, "small, not ASCII: %d", limit);
    mote_recipe_tokenizer(&(mote_corpus_info){.bytes = 100000000, .characters = 100000000}, &kind, &limit);
    CHECK(kind == MOTE_TOKENIZER_BPE && limit == 9984, "large: %d", limit);
}

/* Run as a process of its own: prints planned and measured bytes. */
static int measure_memory(int size) {
    static const struct {
        int family, dim, layers, context, batch, vocab, threads, optimizer, precision, qat, recompute;
    } shapes[] = {
        {MOTE_FAMILY_LLAMA, 32, 1, 32, 2, 60, 1, MOTE_OPTIMIZER_ADAMW, 0, 0, 0},
        {MOTE_FAMILY_LLAMA, 64, 2, 64, 8, 300, 2, MOTE_OPTIMIZER_MUON, 0, 0, 0},
        {MOTE_FAMILY_GPT2, 128, 2, 64, 8, 2000, 2, MOTE_OPTIMIZER_ADAMW, 0, 0, 0},
        {MOTE_FAMILY_LLAMA, 256, 2, 32, 4, 5000, 3, MOTE_OPTIMIZER_MUON, 0, 0, 0},
        {MOTE_FAMILY_LLAMA, 128, 2, 64, 8, 300, 2, MOTE_OPTIMIZER_ADAMW, MOTE_PRECISION_INT8, 0, 0},
        {MOTE_FAMILY_GPT2, 256, 2, 64, 8, 3000, 2, MOTE_OPTIMIZER_ADAMW, MOTE_PRECISION_INT8, 0, 0},
        {MOTE_FAMILY_LLAMA, 256, 2, 64, 8, 3000, 2, MOTE_OPTIMIZER_MUON, MOTE_PRECISION_INT8, MOTE_TYPE_Q4_0, 0},
        {MOTE_FAMILY_GPT2, 256, 2, 64, 8, 3000, 1, MOTE_OPTIMIZER_ADAMW, MOTE_PRECISION_F32, MOTE_TYPE_Q8_0, 0},
        {MOTE_FAMILY_LLAMA, 128, 2, 64, 8, 300, 2, MOTE_OPTIMIZER_ADAMW, MOTE_PRECISION_BF16, 0, 0},
        {MOTE_FAMILY_GPT2, 256, 2, 64, 8, 3000, 2, MOTE_OPTIMIZER_ADAMW, MOTE_PRECISION_BF16, 0, 0},
        {MOTE_FAMILY_LLAMA, 32, 2, 32, 4, 60, 2, MOTE_OPTIMIZER_ADAMW, 0, 0, MOTE_RECOMPUTE_LAYER},
        {MOTE_FAMILY_LLAMA, 64, 1, 32, 12, 600, 4, MOTE_OPTIMIZER_ADAMW, 0, 0, MOTE_RECOMPUTE_LAYER}, /* copies */
    };
    mote_config c = mote_config_default((mote_family)shapes[size].family);
    c.dim = shapes[size].dim, c.layers = shapes[size].layers, c.context = shapes[size].context,
    c.vocab = shapes[size].vocab;
    mote_train_options o = mote_train_options_default();
    o.batch = shapes[size].batch, o.threads = shapes[size].threads,
    o.optimizer = (mote_optimizer)shapes[size].optimizer;
    o.average = size % 2 ? 0.9 : 0;
    o.recompute = (mote_recompute)shapes[size].recompute;
    o.precision = (mote_precision)shapes[size].precision, o.qat = (mote_type)shapes[size].qat;
    mote_memory_plan plan;
    mote_model *model = NULL;
    mote_trainer *trainer = NULL;
    if (mote_plan_memory(&c, &o, NULL, &plan, NULL) || mote_model_create(&c, NULL, 1, &model, NULL) ||
        mote_trainer_create(model, NULL, &o, &trainer, NULL))
        return 1;
    for (int i = 0; i < 2; i++)
        if (mote_trainer_step(trainer, NULL, NULL)) return 1;
    mote_trainer_destroy(trainer);
    mote_model_close(model);
    char line[256];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f)) sscanf(line, "VmHWM: %ld", &kib);
    if (f) fclose(f);
    printf("%llu %ld\n", (unsigned long long)plan.total_bytes, kib * 1024);
    return 0;
}

static void planned_memory_is_the_peak(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(MOTE_SANITIZED)
    test_skip("a sanitizer needs memory of its own");
#else
    for (int size = 0; size < 12; size++) {
        char command[64];
        unsigned long long planned = 0;
        long peak = 0;
        snprintf(command, sizeof command, "/proc/%d/exe memory %d", (int)getpid(), size);
        FILE *f = popen(command, "r");
        bool read = f && fscanf(f, "%llu %ld", &planned, &peak) == 2;
        if (f) pclose(f);
        if (!read || peak == 0) {
            test_skip("this system does not tell the peak memory of a process");
            return;
        }
        /* how many pages of code are resident differs by up to 256 KiB from run to run */
        double off = fabs((double)planned - (double)peak), allowed = fmax(0.05 * (double)peak, 256 << 10);
        CHECK(off <= allowed, "shape %d: planned %llu, peak %ld", size, planned, peak);
    }
#endif
}

int main(int n_arguments, char **arguments) {
    if (n_arguments == 3 && strcmp(arguments[1], "memory") == 0) return measure_memory(atoi(arguments[2]) % 10);
    bool ok = prepare();
    if (ok) {
        RUN(threads_do_not_change_bits);
        RUN(resume_is_exact);
        RUN(accumulation_is_one_large_batch);
        RUN(one_batch_is_learned_by_heart);
        RUN(divergence_leaves_the_weights);
        RUN(differences_are_named);
        RUN(steps_may_grow_before_they_matter);
        RUN(checkpoints_of_before_resume);
    RUN(damaged_checkpoints_are_bad_files);
        RUN(short_text_is_refused);
        RUN(random_tokens_train);
        RUN(averages_are_evaluated_and_saved);
        RUN(models_of_files_are_trained);
        RUN(every_allocation_may_fail);
        RUN(recipes_are_complete_and_respectful);
        RUN(planned_memory_is_the_peak);
    }
    mote_dataset_destroy(dataset);
    mote_dataset_destroy(other_dataset);
    mote_corpus_close(corpus);
    mote_corpus_close(other_corpus);
    mote_tokenizer_destroy(tokenizer);
    const char *const files[] = {"text.txt", "other.txt", "run.checkpoint", "named.checkpoint", "steps.checkpoint",
                                 "good.checkpoint", "bad.checkpoint", "model.gguf", "half.gguf"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) unlink(in_folder(files[i]));
    rmdir(folder);
    return ok ? test_finish() : 1;
}
