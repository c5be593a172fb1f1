/* mote bench: prefill and decode speed of a model, in the manner of llama-bench: pp512 reads 512 tokens in batches,
 * tg128 decodes 128 tokens one at a time from an empty context. Each test runs once unmeasured, then -r times. No
 * test is longer than the model's context: positions that it was not made for would be measured. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "console.h"
#include "source.h"

static int64_t n_prompt = 512, n_generate = 128, repetitions = 5;
static int format;
static const struct option rows[] = {
    {"prompt", 'p', OPTION_INTEGER, &n_prompt, "N", 0, 1048576, "512",
     "tokens to read, up to the context; 0: leave this test out"},
    {"generate", 'n', OPTION_INTEGER, &n_generate, "N", 0, 1048576, "128",
     "tokens to decode, up to the context; 0: leave this test out"},
    {"repetitions", 'r', OPTION_INTEGER, &repetitions, "N", 1, 1000, "5", "times each test is measured"},
    {"output", 'o', OPTION_CHOICE, &format, "md|csv|json", 0, 0, "md", "form of the table; json is what --json prints"},
    {0},
};
static const struct option_group group = {"Tests", rows};
static const struct option_group *const groups[] = {&group,      &group_source, &group_threads,
                                                    &group_json, &group_common, NULL};

struct bench {
    mote_session *session;
    int batch, vocab;
    int32_t *token, *position;
    uint8_t *none; /* zeros: reading a prompt wants the logits of its last token alone */
    uint64_t random;
};

/* Runs n tokens of `step` at a time. */
static mote_status run_tokens(struct bench *bench, int64_t n, int step, mote_error *error) {
    mote_session_truncate(bench->session, 0, 0);
    for (int64_t done = 0; done < n;) {
        const int count = step < n - done ? step : (int)(n - done);
        for (int i = 0; i < count; i++) {
            bench->random = bench->random * 6364136223846793005u + 1442695040888963407u;
            bench->token[i] = (int32_t)((bench->random >> 33) % (uint64_t)bench->vocab);
            bench->position[i] = (int32_t)done + i;
        }
        mote_batch batch = {.n_tokens = count, .token = bench->token, .position = bench->position};
        if (step > 1 && done + count < n) batch.want_logits = bench->none;
        mote_status status = mote_session_run(bench->session, &batch, error);
        if (status) return status;
        done += count;
    }
    return MOTE_OK;
}

struct row {
    const char *kind; /* pp, tg */
    int64_t n;
    double mean, deviation; /* tokens per second */
};

static mote_status measure(struct bench *bench, struct row *row, int step, mote_error *error) {
    double sum = 0, squares = 0;
    mote_status status = run_tokens(bench, row->n, step, error);
    for (int i = 0; !status && i < repetitions; i++) {
        double start = now_seconds();
        status = run_tokens(bench, row->n, step, error);
        double speed = (double)row->n / fmax(now_seconds() - start, 1e-9);
        sum += speed;
        squares += speed * speed;
    }
    double count = (double)repetitions;
    row->mean = sum / count;
    row->deviation = repetitions > 1 ? sqrt(fmax(0, (squares - sum * sum / count) / (count - 1))) : 0;
    return status;
}

/* A row of n tokens, or of as many as the model has positions for. */
static struct row row_of(const char *kind, int64_t n, int context) {
    if (n > context)
        note("note       the model's context is %d tokens: %s%lld becomes %s%d", context, kind, (long long)n, kind,
             context);
    return (struct row){kind, n > context ? context : n, 0, 0};
}

static void print_rows(const char *path, const mote_config *config, uint64_t file_bytes, int threads,
                       const struct row *table, int n, mote_buffer *buffer) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    unsigned long long parameters = mote_config_parameters(config);
    char model[80], size[SHORT_TEXT], count[SHORT_TEXT];
    snprintf(model, sizeof model, "%.40s %s", name, mote_family_name(config->family));
    if (format == 0) {
        mote_buffer_print(buffer, "| %-30s | %10s | %10s | %7s | %8s | %20s |\n", "model", "size", "params", "threads",
                          "test", "t/s");
        mote_buffer_print(buffer, "| ------------------------------ | ---------: | ---------: | ------: | -------: | "
                                  "-------------------: |\n");
    } else if (format == 1) {
        mote_buffer_print(buffer, "model,size_bytes,params,threads,test,tokens_per_second,deviation\n");
    } else {
        mote_buffer_print(buffer, "{\"model\":");
        mote_buffer_json_string(buffer, path, strlen(path));
        mote_buffer_print(buffer,
                          ",\"family\":\"%s\",\"size_bytes\":%llu,\"params\":%llu,\"threads\":%d,\"repetitions\":%d,"
                          "\"tests\":[",
                          mote_family_name(config->family), (unsigned long long)file_bytes, parameters, threads,
                          (int)repetitions);
    }
    for (int i = 0; i < n; i++) {
        char test[32], speed[64];
        snprintf(test, sizeof test, "%s%lld", table[i].kind, (long long)table[i].n);
        snprintf(speed, sizeof speed, "%.2f ± %.2f", table[i].mean, table[i].deviation);
        if (format == 0) /* the sign is two bytes wide and one column */
            mote_buffer_print(buffer, "| %-30s | %10s | %10s | %7d | %8s | %21s |\n", model,
                              text_bytes((double)file_bytes, size), text_count((double)parameters, count), threads,
                              test, speed);
        else if (format == 1)
            mote_buffer_print(buffer, "\"%s\",%llu,%llu,%d,%s,%.3f,%.3f\n", model, (unsigned long long)file_bytes,
                              parameters, threads, test, table[i].mean, table[i].deviation);
        else
            mote_buffer_print(buffer,
                              "%s{\"test\":\"%s\",\"tokens\":%lld,\"tokens_per_second\":%.3f,\"deviation\":%.3f}",
                              i ? "," : "", test, (long long)table[i].n, table[i].mean, table[i].deviation);
    }
    if (format == 2) mote_buffer_print(buffer, "]}\n");
}

static mote_status run_bench(int n_arguments, const char *const *arguments, mote_error *error) {
    (void)n_arguments;
    if (option_json) format = 2;
    if (!n_prompt && !n_generate) return mote_fail(error, MOTE_USAGE, "-p 0 and -n 0 leave nothing to measure");
    mote_model *model = NULL;
    struct bench bench = {.random = 1};
    mote_status status = source_open(arguments[0], &model, error);
    if (status) return status;
    mote_config config = mote_model_config(model);
    mote_session_options options = mote_session_options_default();
    options.threads = (int)option_threads;
    bench.vocab = config.vocab;
    status = mote_session_create(model, &options, &bench.session, error);
    if (!status) {
        bench.batch = mote_session_batch_tokens(bench.session);
        bench.token = malloc((size_t)bench.batch * sizeof *bench.token);
        bench.position = malloc((size_t)bench.batch * sizeof *bench.position);
        bench.none = calloc((size_t)bench.batch, 1);
        if (!bench.token || !bench.position || !bench.none)
            status = mote_fail(error, MOTE_MEMORY, "no memory for a batch");
    }
    struct row table[2];
    int n = 0;
    if (!status && n_prompt) {
        table[n] = row_of("pp", n_prompt, config.context);
        status = measure(&bench, &table[n++], bench.batch, error);
    }
    if (!status && n_generate) {
        table[n] = row_of("tg", n_generate, config.context);
        status = measure(&bench, &table[n++], 1, error);
    }
    if (!status) {
        struct stat info = {0};
        mote_buffer buffer = {0};
        uint64_t file_bytes = mote_model_describe(model).bytes; /* of a folder: its weights */
        if (!stat(arguments[0], &info) && S_ISREG(info.st_mode)) file_bytes = (uint64_t)info.st_size;
        print_rows(arguments[0], &config, file_bytes, mote_session_threads(bench.session), table, n, &buffer);
        status = out_buffer(&buffer, error);
    }
    free(bench.token);
    free(bench.position);
    free(bench.none);
    mote_session_destroy(bench.session);
    mote_model_close(model);
    return status;
}

const struct command command_bench = {
    .name = "bench",
    .arguments = "MODEL",
    .summary = "measure the speed of reading and of generating",
    .details = "In the manner of llama-bench: pp512 reads 512 tokens, tg128 generates 128 one at a time from an empty "
               "context; mean and standard deviation of tokens per second over the repetitions, after one unmeasured "
               "run. Without -t, or with -t 0, the threads are chosen for the model: small ones run on one, because "
               "waking others costs more than it saves. mote bench train measures training.",
    .example = "mote bench model.gguf -p 512 -n 128 -r 5",
    .least = 1,
    .most = 1,
    .groups = groups,
    .run = run_bench,
};
