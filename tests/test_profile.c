/* The roof of this machine, and profiles: their parts add up, their counts are those of the op table, their JSON is
 * JSON, and timing a run changes no bit of it. */
#include <locale.h>

#include "base/json.h"
#include "failing_memory.h"
#include "run/session.h"
#include "test.h"
#include "train/trainer.h"

static mote_model *make_model(int dim, int layers) {
    mote_config c = mote_config_default(MOTE_FAMILY_LLAMA);
    c.vocab = 100, c.context = 64, c.dim = dim, c.layers = layers, c.heads = 4, c.kv_heads = 2, c.hidden = 2 * dim;
    mote_model *model = NULL;
    mote_error error = {0};
    CHECK(mote_model_create(&c, NULL, 1, &model, &error) == MOTE_OK, "%s", error.message);
    return model;
}

static mote_recompute recompute;
static mote_precision precision;

static mote_train_options training(void) {
    mote_train_options o = mote_train_options_default();
    o.batch = 3, o.accumulate = 2, o.steps = 4, o.lr = 0.01, o.optimizer = MOTE_OPTIMIZER_ADAMW;
    o.recompute = recompute, o.precision = precision;
    return o;
}

static mote_profile *profile_of(mote_model *model, mote_profile_kind kind, int n, int threads) {
    mote_profile_options o = mote_profile_options_default(kind);
    mote_train_options train = training();
    o.n = n, o.threads = threads, o.roof_seconds = 0.02, o.train = &train;
    mote_profile *profile = NULL;
    mote_error error = {0};
    CHECK(mote_profile_run(model, &o, &profile, &error) == MOTE_OK, "%s", error.message);
    return profile;
}

/* One value and nothing after it. */
static bool is_json(const char *text, int *n_values) {
    mote_json reader;
    mote_json_init(&reader, text, strlen(text));
    mote_json_kind kind = mote_json_next(&reader);
    bool ok = kind == MOTE_JSON_OBJECT;
    for (*n_values = 0; kind != MOTE_JSON_END && kind != MOTE_JSON_ERROR; kind = mote_json_next(&reader)) ++*n_values;
    ok = ok && kind == MOTE_JSON_END;
    mote_json_deinit(&reader);
    return ok;
}

static void roof_is_plausible(void) {
    mote_roof roof;
    mote_error error = {0};
    CHECK(mote_roof_measure(2, 0.1, &roof, &error) == MOTE_OK, "%s", error.message);
    CHECK(roof.threads == 2 && roof.instruction_set[0] != 0, "who was measured");
    for (int i = 0; i < 2; i++) {
        CHECK(roof.f32_flops[i] > 1e6 && roof.f32_flops[i] < 1e14, "f32 %g", roof.f32_flops[i]);
        for (int level = 0; level < MOTE_N_MEMORIES; level++) {
            bool there = level == MOTE_MEMORY_DRAM || roof.cache_bytes[level] > 0;
            double speed = roof.read_bandwidth[level][i];
            CHECK(there ? speed > 1e6 && speed < 1e14 : speed == 0, "level %d: %g", level, speed);
        }
        CHECK(roof.write_bandwidth[i] > 1e6, "writes %g", roof.write_bandwidth[i]);
    }
    CHECK(roof.cache_bytes[0] >= 4096 && roof.l3_cores >= 1, "L1 of %zu", roof.cache_bytes[0]);
    CHECK(roof.barrier_seconds > 0 && roof.barrier_seconds < 1, "barrier %g", roof.barrier_seconds);
#ifndef MOTE_SANITIZED
    CHECK(roof.read_bandwidth[0][0] > roof.read_bandwidth[3][0], "L1 is faster than DRAM");
    if (roof.bf16_flops[0] > 0) CHECK(roof.bf16_flops[0] > roof.f32_flops[0] / 2, "bf16 %g", roof.bf16_flops[0]);
#endif
    char *json = NULL;
    int n = 0;
    CHECK(mote_roof_json(&roof, &json, &error) == MOTE_OK && is_json(json, &n) && n > 40, "%s", json ? json : "none");
    /* A locale with a decimal comma changes nothing. */
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *again = NULL;
        if (!setlocale(LC_NUMERIC, names[i])) continue;
        CHECK(mote_roof_json(&roof, &again, &error) == MOTE_OK && !strcmp(again, json), "%s: %s", names[i], again);
        mote_free(again);
    }
    setlocale(LC_NUMERIC, "C");
    mote_free(json);
}

static void wrong_use_is_refused(void) {
    mote_roof roof;
    mote_error error = {0};
    CHECK(mote_roof_measure(-1, 0.1, &roof, &error) == MOTE_USAGE && strstr(error.message, "-1 threads"), "threads");
    CHECK(mote_roof_measure(1, 1e9, &roof, &error) == MOTE_USAGE && strstr(error.message, "1e+09"), "seconds");
    CHECK(mote_roof_measure(1, NAN, &roof, &error) == MOTE_USAGE, "not a number");
    mote_model *model = make_model(16, 1);
    mote_profile *profile = NULL;
    mote_profile_options o = mote_profile_options_default(MOTE_PROFILE_DECODE);
    o.n = -3;
    CHECK(mote_profile_run(model, &o, &profile, &error) == MOTE_USAGE && strstr(error.message, "-3"), "n");
    o = mote_profile_options_default((mote_profile_kind)9);
    CHECK(mote_profile_run(model, &o, &profile, &error) == MOTE_USAGE && !profile, "kind");
    o.struct_bytes = 0;
    CHECK(mote_profile_run(model, &o, &profile, &error) == MOTE_USAGE, "struct_bytes");
    CHECK(mote_profile_run(NULL, &o, &profile, &error) == MOTE_USAGE, "no model");
    mote_profile_destroy(NULL);
    mote_model_close(model);
}

typedef struct {
    double seconds, flops, weight_bytes, state_bytes;
} sums;

static sums add_rows(const mote_profile *p) {
    sums s = {0};
    for (int i = 0; i < p->n_rows; i++) {
        const mote_profile_row *row = &p->rows[i];
        double parts = row->forward_seconds + row->backward_seconds + row->weights_seconds + row->again_seconds +
                       row->waiting_seconds;
        CHECK(fabs(parts - row->seconds) <= 1e-9 + 1e-9 * row->seconds, "%s: %g is not %g", row->name, parts,
              row->seconds);
        CHECK(row->calls > 0 && row->op[0] && row->name[0] && row->bound[0], "row %d", i);
        s.seconds += row->seconds;
        s.flops += row->flops;
        s.weight_bytes += row->weight_bytes;
        s.state_bytes += row->state_bytes;
    }
    return s;
}

/* The part of the wall clock that ops and what is measured between them account for. */
static double accounted(const mote_profile *p) {
    double rest = p->barrier_seconds + p->walking_seconds + p->optimizer_seconds + p->packing_seconds + p->data_seconds;
    double all = add_rows(p).seconds + rest;
    CHECK(fabs(all + p->starting_seconds - p->seconds) < 1e-3 * p->seconds + 1e-4, "%g of %g",
          all + p->starting_seconds, p->seconds);
    return all / p->seconds;
}

/* `open` may be what nothing measures: threads that wake up, and a process that takes the core between two clocks; so
 * the best of five counts. */
static void check_sums(mote_model *model, mote_profile_kind kind, int n, int threads, double open) {
    double part = 0;
    for (int i = 0; i < 5 && !(part > 1 - open); i++) {
        mote_profile *p = profile_of(model, kind, n, threads);
        if (p) part = accounted(p);
        mote_profile_destroy(p);
    }
    CHECK(part > 1 - open && part < 1.001, "%.4f of the time is accounted for", part);
}

static void check_json(const mote_profile *p) {
    char *json = NULL;
    int n = 0;
    mote_error error = {0};
    CHECK(mote_profile_json(p, &json, &error) == MOTE_OK && is_json(json, &n) && n > 20 * p->n_rows, "%d values", n);
    mote_free(json);
}

static void decoding_counts_every_token(void) {
    mote_model *model = make_model(96, 2);
    mote_profile *p = profile_of(model, MOTE_PROFILE_DECODE, 100, 1); /* 64 positions, then 36 from the start */
    mote_cost all = {0};
    for (int i = 0; i < 100; i++) {
        mote_cost cost = mote_program_cost(model->program, i % 64);
        all.flops += cost.flops, all.weight_bytes += cost.weight_bytes, all.state_bytes += cost.state_bytes;
    }
    if (p) {
        sums s = add_rows(p);
        CHECK(s.flops == all.flops, "%g FLOPs, wanted %g", s.flops, all.flops);
        CHECK(s.weight_bytes == all.weight_bytes, "%g bytes of weights, wanted %g", s.weight_bytes, all.weight_bytes);
        CHECK(s.state_bytes == all.state_bytes, "%g bytes of states, wanted %g", s.state_bytes, all.state_bytes);
        CHECK(p->threads == 1 && p->tokens == 100 && p->n_rows == model->program->n_ops, "what was run");
        CHECK(p->rows[1].calls == 100, "%d calls", (int)p->rows[1].calls);
        check_json(p);
    }
    mote_profile_destroy(p);
    p = profile_of(model, MOTE_PROFILE_DECODE, 50, 2);
    if (p) CHECK(p->threads == 2, "two threads");
    mote_profile_destroy(p);
    check_sums(model, MOTE_PROFILE_DECODE, 50, 1, 0.02);
    check_sums(model, MOTE_PROFILE_DECODE, 50, 2, 0.5);
    mote_model_close(model);
}

static void reading_counts_every_token(void) {
    mote_model *model = make_model(96, 2);
    mote_profile *p = profile_of(model, MOTE_PROFILE_PREFILL, 64, 1); /* one batch: logits of the last token only */
    double flops = 0, head = 2.0 * 100 * 96;
    for (int i = 0; i < 64; i++) flops += mote_program_cost(model->program, i).flops;
    if (p) {
        sums s = add_rows(p);
        CHECK(s.flops == flops - 63 * head, "%g FLOPs, wanted %g", s.flops, flops - 63 * head);
        check_json(p);
    }
    mote_profile_destroy(p);
    check_sums(model, MOTE_PROFILE_PREFILL, 64, 1, 0.02);
    mote_model_close(model);
}

/* FLOPs of four steps, of each op that is run or is run again. */
static double work_of(const mote_program *program, const mote_plan *plan, bool again) {
    double flops = 0;
    for (int i = 0; i < program->n_ops; i++)
        for (int position = 0; position < 64 && (!again || plan->again[i]); position++)
            flops += mote_op_get(program->ops[i].kind)->cost(program, &program->ops[i], position).flops;
    return flops * 3 * 2 * 4; /* batch, accumulate, steps */
}

/* Backward is twice forward, and what it runs again to spare memory is a forward once more, in time and in work. */
static void check_training(int threads) {
    mote_model *model = make_model(32, 2);
    mote_profile *p = profile_of(model, MOTE_PROFILE_TRAIN, 4, threads);
    mote_train_options o = training();
    mote_trainer *trainer = NULL;
    mote_error error = {0};
    CHECK(mote_trainer_create(model, NULL, &o, &trainer, &error) == MOTE_OK, "%s", error.message);
    if (p && trainer) {
        const mote_plan *plan = &trainer->exec->plan;
        const double flops = work_of(trainer->program, plan, false), more = work_of(trainer->program, plan, true);
        double backward = 0, weights = 0;
        int n_again = 0;
        sums s = add_rows(p);
        CHECK(s.flops == 3 * flops + more, "%g FLOPs, wanted %g", s.flops, 3 * flops + more);
        CHECK(p->tokens == 64 * 3 * 2 * 4 && p->n == 4, "%d tokens", (int)p->tokens);
        CHECK(p->optimizer_seconds > 0 && p->packing_seconds > 0 && p->data_seconds > 0, "the parts of a step");
        for (int i = 0; i < p->n_rows; i++) {
            const mote_profile_row *row = &p->rows[i];
            backward += row->backward_seconds, weights += row->weights_seconds;
            CHECK((row->again_seconds > 0) == (plan->again[i] != MOTE_AGAIN_NOT), "%s: %g s again", row->name,
                  row->again_seconds);
            CHECK(!row->again_seconds || row->backward_seconds > 0, "%s has a backward of its own", row->name);
            n_again += row->again_seconds > 0;
        }
        CHECK(backward > 0 && weights > 0, "both halves of backward");
        CHECK(recompute == MOTE_RECOMPUTE_NONE ? n_again == 0 : recompute == MOTE_RECOMPUTE_CHEAP ? n_again == 4
                                                                                                  : n_again > 8,
              "%d ops run again", n_again);
        check_json(p);
    }
    mote_trainer_destroy(trainer);
    mote_profile_destroy(p);
    check_sums(model, MOTE_PROFILE_TRAIN, 4, threads, threads == 1 ? 0.02 : 0.5);
    mote_model_close(model);
}

static void training_counts_every_pass(void) {
    for (int mode = 0; mode <= MOTE_RECOMPUTE_LAYER; mode++) {
        recompute = (mote_recompute)mode;
        for (int threads = 1; threads <= 2; threads++) check_training(threads);
    }
    recompute = MOTE_RECOMPUTE_CHEAP;
}

/* What each op of one kind is held against: all of them the same. */
static const mote_profile_row *row_of(const mote_profile *p, const char *op) {
    for (int i = 0; i < p->n_rows; i++)
        if (!strcmp(p->rows[i].op, op)) return &p->rows[i];
    return NULL;
}

static double measured(const mote_profile *p, double part, const double *peaks) {
    return peaks[p->threads > 1] > p->roof.f32_flops[p->threads > 1] ? part : 0;
}

/* Products of integers are held against the peak of integers, and where backward is in another type against both. */
static void ops_have_the_roof_of_their_type(void) {
    mote_model *model = make_model(64, 1), *small = NULL;
    mote_quantize_options o = mote_quantize_options_default();
    mote_error error = {0};
    CHECK(mote_model_quantize(model, &o, &small, NULL, &error) == MOTE_OK, "%s", error.message);
    mote_profile *p = profile_of(model, MOTE_PROFILE_PREFILL, 64, 1);
    mote_profile *q = profile_of(small, MOTE_PROFILE_PREFILL, 64, 1);
    if (p && q) {
        const mote_profile_row *x = row_of(p, "linear"), *y = row_of(q, "linear");
        CHECK(x && x->int8_part == 0 && x->bf16_part == 0 && !strstr(x->bound, "int8"), "f32: %s", x ? x->bound : "");
        CHECK(y && y->int8_part == measured(q, 1, q->roof.int8_ops), "q8_0: %g", y ? y->int8_part : 0);
        CHECK(y && !strstr(y->bound, y->int8_part > 0 ? "f32" : "int8"), "q8_0: %s", y ? y->bound : "");
        y = row_of(q, "attention");
        const double pairs = measured(q, 4 * 16 / (4.0 * 16 + 5), q->roof.bf16_flops); /* heads of 16 */
        CHECK(y && y->int8_part == 0 && fabs(y->bf16_part - pairs) < 1e-12, "attends in bf16: %g",
              y ? y->bf16_part : 0);
    }
    mote_profile_destroy(p), mote_profile_destroy(q);
    precision = MOTE_PRECISION_INT8, recompute = MOTE_RECOMPUTE_LAYER;
    mote_model_close(model);
    model = make_model(64, 2); /* of the last layer only some ops run again */
    p = profile_of(model, MOTE_PROFILE_TRAIN, 1, 1);
    for (int i = 0; p && i < p->n_rows; i++) {
        const mote_profile_row *row = &p->rows[i];
        if (strcmp(row->op, "linear")) continue;
        /* forward, perhaps again, and what of backward is in 8 bits */
        const double least = measured(p, row->again_seconds > 0 ? 0.5 : 1.0 / 3, p->roof.int8_ops);
        CHECK(row->int8_part >= least - 1e-12 && row->int8_part + row->bf16_part < 1 + 1e-12, "%s: %g in 8 bits",
              row->name, row->int8_part);
    }
    precision = MOTE_PRECISION_F32, recompute = MOTE_RECOMPUTE_CHEAP;
    mote_profile_destroy(p);
    mote_model_close(small);
    mote_model_close(model);
}

static void timing_changes_no_bit(void) {
    mote_model *model = make_model(32, 2);
    mote_error error = {0};
    mote_timing *timing = NULL;
    CHECK(mote_timing_create(model->program->n_ops, 2, &timing, &error) == MOTE_OK, "%s", error.message);
    float logits[2][3 * 100];
    int32_t token[20], position[20];
    for (int i = 0; i < 20; i++) token[i] = i * 7 % 100, position[i] = i;
    for (int timed = 0; timed < 2; timed++) {
        mote_session_options o = mote_session_options_default();
        o.threads = 2;
        mote_session *session = NULL;
        CHECK(mote_session_create(model, &o, &session, &error) == MOTE_OK, "%s", error.message);
        if (timed) mote_session_exec(session)->timing = timing;
        for (int run = 0; run < 3; run++) { /* 18 tokens, then one, then one */
            int from = run ? 17 + run : 0, n = run ? 1 : 18;
            mote_batch batch = {.n_tokens = n, .token = token + from, .position = position + from};
            CHECK(mote_session_run(session, &batch, &error) == MOTE_OK, "%s", error.message);
            memcpy(logits[timed] + run * 100, mote_session_logits(session, 0), 100 * sizeof(float));
        }
        mote_session_destroy(session);
    }
    CHECK(!memcmp(logits[0], logits[1], sizeof logits[0]), "logits with and without timing differ");
    CHECK(timing->entry[0].calls[MOTE_PASS_FORWARD] > 0, "the timed session was timed");
    mote_timing_destroy(timing);
    mote_model_close(model);

    double losses[2][3];
    for (int timed = 0; timed < 2; timed++) {
        model = make_model(32, 2);
        mote_train_options o = training();
        o.threads = 2;
        mote_trainer *trainer = NULL;
        CHECK(mote_trainer_create(model, NULL, &o, &trainer, &error) == MOTE_OK, "%s", error.message);
        timing = NULL;
        if (timed) mote_timing_create(trainer->program->n_ops, 2, &timing, &error);
        trainer->exec->timing = timing;
        for (int i = 0; i < 3; i++) {
            mote_step_report report;
            CHECK(mote_trainer_step(trainer, &report, &error) == MOTE_OK, "%s", error.message);
            losses[timed][i] = report.loss;
        }
        mote_trainer_destroy(trainer);
        mote_timing_destroy(timing);
        mote_model_close(model);
    }
    CHECK(!memcmp(losses[0], losses[1], sizeof losses[0]), "losses with and without timing differ");
}

static void memory_that_ends_is_reported(void) {
    static const mote_profile_kind kinds[] = {MOTE_PROFILE_DECODE, MOTE_PROFILE_TRAIN};
    failing_memory_begin();
    for (int i = 0; i < 2; i++) {
        bool failed = true;
        int k = 0;
        for (; failed && k < 2000; k++) {
            mote_error error = {0};
            mote_model *model = make_model(8, 1);
            mote_profile_options o = mote_profile_options_default(kinds[i]);
            mote_train_options train = training();
            o.n = 1, o.threads = 1, o.roof_seconds = 0.01, o.train = &train;
            mote_profile *profile = NULL;
            failing_memory_fail_at(k);
            mote_status status = mote_profile_run(model, &o, &profile, &error);
            failed = failing_memory_failed();
            failing_memory_fail_at(-1);
            /* the roof goes on with a smaller buffer when it cannot have the one it wants */
            CHECK(status == MOTE_OK || (failed && status == MOTE_MEMORY), "allocation %d: %d %s", k, (int)status,
                  error.message);
            CHECK(!profile == (status != MOTE_OK), "allocation %d: a profile and a failure", k);
            mote_profile_destroy(profile);
            mote_model_close(model);
            CHECK(failing_memory_live() == 0, "allocation %d leaves %d blocks", k, failing_memory_live());
        }
        CHECK(!failed && k > 20, "%d allocations failed", k - 1);
    }
    failing_memory_end();
}

int main(void) {
    RUN(roof_is_plausible);
    RUN(wrong_use_is_refused);
    RUN(decoding_counts_every_token);
    RUN(reading_counts_every_token);
    RUN(training_counts_every_pass);
    RUN(ops_have_the_roof_of_their_type);
    RUN(timing_changes_no_bit);
    RUN(memory_that_ends_is_reported);
    return test_finish();
}
