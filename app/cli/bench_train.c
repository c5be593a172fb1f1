/* mote bench train: speed and memory of training steps on random tokens, with any shape and batch. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "command.h"
#include "conflicts.h"
#include "console.h"
#include "setup.h"

static const struct option_group *const groups[] = {&group_vocab,     &group_shape,   &group_batch, &group_optimizer,
                                                    &group_numbers,   &group_seed,    &group_threads, &group_memory,
                                                    &group_json,      &group_common,  NULL};
enum { DEFAULT_STEPS = 10 };

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static mote_status print_result(const mote_config *config, const mote_train_options *options, double *seconds, int n,
                                mote_error *error) {
    mote_memory_plan plan;
    struct rusage usage;
    mote_status status = setup_plan_memory(config, options, NULL, &plan, error);
    if (status) return status;
    getrusage(RUSAGE_SELF, &usage);
    double tokens = (double)options->batch * options->accumulate * config->context;
    qsort(seconds, (size_t)n, sizeof *seconds, compare);
    double median = n % 2 ? seconds[n / 2] : (seconds[n / 2 - 1] + seconds[n / 2]) / 2;
    double speed = tokens / median, gflops = speed * plan.flops_per_token / 1e9;
    mote_buffer buffer = {0};
    if (option_json) {
        mote_buffer_print(&buffer,
                          "{\"tokens_per_second\":%.2f,\"ms_per_step\":%.4f,\"gflops\":%.3f,\"peak_rss_bytes\":%llu,"
                          "\"planned_bytes\":%llu,\"parameters\":%llu,\"steps\":%d,\"tokens_per_step\":%.0f,"
                          "\"precision\":\"%s\",\"qat\":\"%s\"}\n",
                          speed, 1e3 * median, gflops, (unsigned long long)usage.ru_maxrss * 1024,
                          (unsigned long long)plan.total_bytes, (unsigned long long)plan.parameters, n, tokens,
                          setup_precision_name(options->precision),
                          options->qat == MOTE_TYPE_F32 ? "off" : mote_type_name(options->qat));
    } else {
        char text[SHORT_TEXT];
        mote_buffer_print(&buffer, "parameters   %s\n", text_count((double)plan.parameters, text));
        mote_buffer_print(&buffer, "tokens/s     %.0f\n", speed);
        mote_buffer_print(&buffer, "step         %.2f ms (median of %d; %.0f tokens)\n", 1e3 * median, n, tokens);
        mote_buffer_print(&buffer, "speed        %.1f GFLOP/s\n", gflops);
        mote_buffer_print(&buffer, "peak memory  %s", text_bytes((double)usage.ru_maxrss * 1024, text));
        mote_buffer_print(&buffer, " (planned %s)\n", text_bytes((double)plan.total_bytes, text));
    }
    return out_buffer(&buffer, error);
}

static mote_status run_bench_train(int n_arguments, const char *const *arguments, mote_error *error) {
    (void)arguments;
    mote_status status = conflicts_check(&command_bench_train, n_arguments, error);
    if (status) return status;
    int n = setup.steps == UNSET_INTEGER ? DEFAULT_STEPS : (int)(setup.steps < 100000 ? setup.steps : 100000);
    enum { WARM = 2 }; /* first steps touch memory for the first time */
    setup.steps = n + WARM;
    if (setup.context == UNSET_INTEGER) setup.context = 256;
    if (setup.batch == UNSET_INTEGER) setup.batch = 8;
    mote_config config = setup_config();
    mote_train_options options = setup_train_options();
    config.vocab = setup.vocab == UNSET_INTEGER ? 256 : (int)setup.vocab;
    mote_recipe_facts facts = {.train_tokens = 10000000, .validation_tokens = 1000000, .train_bytes = 10000000,
                               .vocab = config.vocab};
    char *reasons = NULL;
    mote_model *model = NULL;
    mote_trainer *trainer = NULL;
    double *seconds = malloc((size_t)n * sizeof *seconds);
    if (!seconds) status = mote_fail(error, MOTE_MEMORY, "no memory for %d timings", n);
    if (!status) status = mote_config_complete(&config, error);
    if (!status) status = mote_recipe_complete(&facts, &config, &options, &reasons, error);
    if (!status) status = mote_model_create(&config, NULL, options.seed, &model, error);
    if (!status) status = mote_trainer_create(model, NULL, &options, &trainer, error);
    for (int i = 0; !status && i < n + WARM; i++) {
        mote_step_report report;
        double start = now_seconds();
        status = mote_trainer_step(trainer, &report, error);
        if (i >= WARM) seconds[i - WARM] = now_seconds() - start;
    }
    if (!status) status = print_result(&config, &options, seconds, n, error);
    mote_trainer_destroy(trainer);
    mote_model_close(model);
    mote_free(reasons);
    free(seconds);
    return status;
}

const struct command command_bench_train = {
    .name = "bench train",
    .arguments = "",
    .summary = "measure the speed and memory of training",
    .details = "Runs --steps optimizer steps (10 when not given) on random tokens, after two unmeasured ones.",
    .example = "mote bench train --dim 128 --layers 4 --batch 16 --context 256 --vocab 512 --json",
    .least = 0,
    .most = 0,
    .groups = groups,
    .run = run_bench_train,
};
