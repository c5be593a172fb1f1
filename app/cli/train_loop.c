/* The training loop: step, log, and at their times evaluate, sample and save. A failed periodic save is reported and
 * tried again later, so that a full disk does not cost the hours already trained; only the last save must succeed. */
#include "train_loop.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "console.h"

static volatile sig_atomic_t signal_seen;

static void on_signal(int number) {
    if (signal_seen) _exit(128 + number);
    signal_seen = number;
}

void train_catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct sigaction before;
    if (!sigaction(SIGHUP, NULL, &before) && before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, NULL);
}

static void field(mote_buffer *buffer, const char *key, double value) {
    mote_buffer_print(buffer, ",\"%s\":", key);
    mote_buffer_json_number(buffer, value);
}

static mote_buffer event(const char *name, int64_t step) {
    mote_buffer buffer = {0};
    mote_buffer_print(&buffer, "{\"event\":\"%s\",\"step\":%lld", name, (long long)step);
    return buffer;
}

static void close_event(struct training *training, mote_buffer *buffer) {
    mote_buffer_print(buffer, "}");
    run_event(&training->run, buffer);
}

static void show(struct training *training, const mote_step_report *report, bool always) {
    struct progress_state state = {report->step, training->history.smoothed_loss, report->lr, training->speed};
    progress_show(&training->progress, &state, always);
}

static void write_report(struct training *training, const char *status) {
    mote_error problem = {0};
    training->report.status = status;
    training->report.tokens_per_second =
        training->history.seconds > 0 ? (double)training->history.tokens / training->history.seconds : 0;
    training->report.final = training->have_final ? &training->final : NULL;
    if (report_write(run_path(&training->run, "report.html"), &training->report, &problem)) {
        progress_clear(&training->progress);
        warn("%s", problem.message);
    }
}

/* Of the whole run, so that a resumed one goes on from them although not every step is logged. */
static void print_totals(const struct training *training, mote_buffer *buffer) {
    mote_buffer_print(buffer, ",\"total_tokens\":%llu", (unsigned long long)training->history.tokens);
    field(buffer, "total_seconds", training->history.seconds);
}

static void log_step(struct training *training, const mote_step_report *report) {
    history_add_step(&training->history, report);
    double speed = report->seconds > 0 ? (double)report->tokens / report->seconds : 0;
    training->speed = training->speed > 0 ? 0.9 * training->speed + 0.1 * speed : speed;
    if (report->step % training->log_every) return;
    mote_buffer buffer = event("step", report->step);
    field(&buffer, "loss", report->loss);
    field(&buffer, "gradient_norm", report->gradient_norm);
    field(&buffer, "lr", report->lr);
    field(&buffer, "seconds", report->seconds);
    field(&buffer, "tokens_per_second", speed);
    mote_buffer_print(&buffer, ",\"tokens\":%llu", (unsigned long long)report->tokens);
    print_totals(training, &buffer);
    close_event(training, &buffer);
}

static void log_evaluation(struct training *training, const char *name, int64_t step, const mote_evaluation *result) {
    mote_buffer buffer = event(name, step);
    field(&buffer, "loss", result->loss);
    field(&buffer, "perplexity", result->perplexity);
    field(&buffer, "bits_per_byte", result->bits_per_byte);
    field(&buffer, "top1", result->top1);
    mote_buffer_print(&buffer, ",\"tokens\":%llu", (unsigned long long)result->tokens);
    close_event(training, &buffer);
}

/* The whole split where that costs less than a fiftieth of the run (forward is a third of a training step), so that
 * the numbers on the way and at the end agree; else so much that twenty evaluations cost about a twentieth. */
uint64_t train_evaluation_tokens(const struct training *training) {
    const mote_train_options *options = &training->prepared->options;
    double context = training->prepared->config.context, whole = (double)training->prepared->facts.validation_tokens;
    double total = (double)options->steps * options->batch * options->accumulate * context;
    double times = (double)(options->steps / training->evaluate_every);
    if (times * whole / 3 < 0.02 * total) return training->prepared->facts.validation_tokens;
    return (uint64_t)fmin(whole, fmin(fmax(total / 150, 4 * context), 65536));
}

/* Of so many tokens, 0: all. With prompts longer than the context, none of them may be a target: that ends no run, it
 * is passed over with one warning and *measured is false. */
static mote_status measure(struct training *training, uint64_t tokens, mote_evaluation *result, bool *measured,
                           mote_error *error) {
    mote_status status = training->prepared->facts.validation_tokens < 2
                             ? mote_fail(error, MOTE_BAD_FILE, "the validation part has a single token")
                             : mote_trainer_evaluate(training->trainer, tokens, result, error);
    *measured = !status;
    if (status != MOTE_BAD_FILE) return status;
    if (!training->warned_nothing) {
        progress_clear(&training->progress);
        warn("no validation loss at step %lld: %s", (long long)mote_trainer_steps_done(training->trainer),
             error->message);
    }
    training->warned_nothing = true;
    *error = (mote_error){0};
    return MOTE_OK;
}

static mote_status measure_part(struct training *training, mote_evaluation *result, bool *measured,
                                mote_error *error) {
    uint64_t part = train_evaluation_tokens(training);
    if (part == training->prepared->facts.validation_tokens) part = 0; /* all */
    return measure(training, part, result, measured, error);
}

mote_status train_evaluate_first(struct training *training, mote_error *error) {
    mote_evaluation result;
    bool measured = false;
    mote_status status =
        training->prepared->facts.validation_tokens ? measure_part(training, &result, &measured, error) : MOTE_OK;
    if (status || !measured) return status;
    note("before     val %.4f, perplexity %.3f", result.loss, result.perplexity);
    log_evaluation(training, "evaluation", 0, &result);
    history_add_evaluation(&training->history, 0, &result);
    return MOTE_OK;
}

static mote_status evaluate(struct training *training, const mote_step_report *report, mote_error *error) {
    if (!training->prepared->facts.validation_tokens) {
        write_report(training, "running");
        return MOTE_OK;
    }
    mote_evaluation result;
    bool measured;
    mote_status status = measure_part(training, &result, &measured, error);
    if (status) return status;
    if (measured) {
        log_evaluation(training, "evaluation", report->step, &result);
        history_add_evaluation(&training->history, report->step, &result);
        training->progress.validation = result.loss;
    }
    write_report(training, "running");
    return MOTE_OK;
}

/* ---- samples */

static bool take_text(void *context, const char *text, size_t bytes) {
    mote_buffer *sample = context;
    mote_buffer_append(sample, text, bytes);
    return sample->size < 2000 && !signal_seen;
}

static mote_status generate_sample(struct training *training, bool ignore_end, mote_buffer *sample, mote_error *error) {
    const mote_model *model = mote_trainer_model(training->trainer);
    mote_session *session = NULL;
    mote_sampler *sampler = NULL;
    mote_session_options session_options = mote_session_options_default();
    session_options.threads = training->prepared->options.threads;
    mote_sampler_options sampler_options = mote_sampler_options_default();
    sampler_options.temperature = 0.8f;
    sampler_options.seed = 1; /* the same draw each time: what changes is the model */
    mote_generate_options options = mote_generate_options_default();
    options.n_tokens = 96;
    options.ignore_end = ignore_end;
    options.on_text = take_text;
    options.context = sample;
    const char *prompt = training->sample_prompt;
    mote_buffer_append(sample, prompt, strlen(prompt));
    mote_generate_report report;
    mote_status status = mote_session_create(model, &session_options, &session, error);
    if (!status) status = mote_sampler_create(&sampler_options, training->prepared->config.vocab, &sampler, error);
    if (!status)
        status = mote_generate(session, sampler, mote_model_tokenizer(model), prompt, strlen(prompt), &options, &report,
                               error);
    mote_sampler_destroy(sampler);
    mote_session_destroy(session);
    return status;
}

/* Bytes of the character that the text begins with; 0: a blank, a control character (U+0080 to U+009F are some too, and
 * a terminal may take the bare bytes 0x80 to 0x9f for them), or no UTF-8. */
static size_t visible_length(const char *text, size_t n) {
    unsigned char first = (unsigned char)text[0];
    int length = mote_utf8_length(text, n);
    bool control = first <= 0x20 || first == 0x7f || (first == 0xc2 && length == 2 && (unsigned char)text[1] < 0xa0);
    return control ? 0 : (size_t)length;
}

/* Runs of what is not visible become one blank, so that much of a sample fits a line; control characters of a young
 * model must not reach the terminal. */
static size_t to_one_line(char *text, size_t n) {
    size_t to = 0;
    for (size_t i = 0, length; i < n; i += length ? length : 1) {
        length = visible_length(text + i, n - i);
        if (length) memmove(text + to, text + i, length), to += length;
        else if (to && text[to - 1] != ' ') text[to++] = ' ';
    }
    return to && text[to - 1] == ' ' ? to - 1 : to;
}

static bool is_blank(const char *text, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (visible_length(text + i, n - i)) return false;
    return true;
}

/* A sample is an ornament: when it fails, training goes on without more of them. */
static void write_sample(struct training *training, int64_t step) {
    mote_buffer sample = {0};
    mote_error problem = {0};
    progress_clear(&training->progress);
    size_t prompt_size = strlen(training->sample_prompt);
    mote_status status = generate_sample(training, false, &sample, &problem);
    if (!status && sample.size == prompt_size) { /* it drew the end token first: nothing to read */
        sample.size = 0;
        status = generate_sample(training, true, &sample, &problem);
    }
    if (status) {
        warn("no samples from here on: %s", problem.message);
        training->sample_every = 0;
    } else if (!sample.failed && !is_blank(sample.bytes, sample.size)) {
        mote_buffer buffer = event("sample", step);
        mote_buffer_print(&buffer, ",\"text\":");
        mote_buffer_json_string(&buffer, sample.bytes, sample.size);
        close_event(training, &buffer);
        history_add_sample(&training->history, step, sample.bytes, sample.size);
        bool empty = sample.size >= prompt_size && is_blank(sample.bytes + prompt_size, sample.size - prompt_size);
        size_t size = to_one_line(sample.bytes, sample.size), shown = size < 100 ? size : 100;
        while (shown < size && shown && (sample.bytes[shown] & 0xc0) == 0x80) shown--;
        if (!empty) note("sample     %.*s%s", (int)shown, sample.bytes, shown < size ? "..." : "");
    }
    mote_buffer_deinit(&sample);
}

/* ---- saving */

static void log_checkpoint(struct training *training, int64_t step) {
    const char *path = run_checkpoint_path(&training->run, step);
    mote_buffer buffer = event("checkpoint", step);
    mote_buffer_print(&buffer, ",\"path\":");
    mote_buffer_json_string(&buffer, path, strlen(path));
    print_totals(training, &buffer);
    close_event(training, &buffer);
}

mote_status train_save_first(struct training *training, mote_error *error) {
    mote_status status = MOTE_OK;
    if (!training->keeps_model)
        status = mote_trainer_save_model(training->trainer, training->output, training->type, error);
    if (!status) status = mote_trainer_save(training->trainer, run_checkpoint_path(&training->run, 0), error);
    if (status) return status;
    training->saved_step = 0;
    run_prune_others(&training->run, 0);
    return MOTE_OK;
}

mote_status train_save(struct training *training, mote_error *error) {
    int64_t step = mote_trainer_steps_done(training->trainer);
    const char *path = run_checkpoint_path(&training->run, step);
    mote_status status = mote_trainer_save_model(training->trainer, training->output, training->type, error);
    if (!status) training->keeps_model = false;
    if (!status) status = mote_trainer_save(training->trainer, path, error);
    training->saved_at = now_seconds();
    if (status) return status;
    training->saved_step = step;
    log_checkpoint(training, step);
    run_prune(&training->run);
    return MOTE_OK;
}

static void save_on_the_way(struct training *training) {
    mote_error problem = {0};
    if (!train_save(training, &problem)) return;
    progress_clear(&training->progress);
    warn("%s; training goes on and will try again", problem.message);
}

static mote_status fail_diverged(struct training *training, mote_error *error) {
    char message[256];
    const char *numbers = strstr(error->message, "diverged: "); /* without the step, which stands here */
    snprintf(message, sizeof message, "%.250s", numbers ? numbers + strlen("diverged: ") : error->message);
    int64_t step = mote_trainer_steps_done(training->trainer) + 1;
    mote_fail(error, MOTE_DIVERGED, "training diverged at step %lld: %s; the %s of step %lld are kept", (long long)step,
              message, training->keeps_model ? "model of before and the checkpoint" : "model and checkpoint",
              (long long)training->saved_step);
    return mote_hint(error, MOTE_DIVERGED,
                     "start again with --force and a lower --lr (now %g), a longer --warmup (now %lld) "
                     "or a --clip (now %g)",
                     training->prepared->options.lr, (long long)training->prepared->options.warmup,
                     training->prepared->options.clip);
}

static mote_status fail_interrupted(const struct training *training, mote_error *error) {
    int64_t step = mote_trainer_steps_done(training->trainer);
    mote_fail(error, MOTE_INTERRUPTED, "step %lld of %lld is saved in %s", (long long)step,
              (long long)training->prepared->options.steps, training->run.path);
    return mote_hint(error, MOTE_INTERRUPTED, "the same command with --resume goes on");
}

static mote_status interrupted(struct training *training, mote_error *error) {
    progress_leave(&training->progress);
    mote_status status = train_save(training, error);
    return status ? status : fail_interrupted(training, error);
}

mote_status train_loop(struct training *training, mote_error *error) {
    int64_t steps = training->prepared->options.steps, done = mote_trainer_steps_done(training->trainer);
    training->progress.deadline = training->deadline;
    progress_begin(&training->progress, done, steps, training->quiet);
    training->saved_at = now_seconds();
    if (done == 0 && training->saved_step == 0) log_checkpoint(training, 0); /* written before there was a log */
    while (done < steps) {
        mote_step_report report;
        if (signal_seen) return interrupted(training, error);
        if (training->deadline > 0 && now_seconds() > training->deadline) {
            training->out_of_time = true;
            break;
        }
        mote_status status = mote_trainer_step(training->trainer, &report, error);
        if (status) progress_clear(&training->progress);
        if (status == MOTE_DIVERGED) return fail_diverged(training, error);
        if (status) return status;
        done = mote_trainer_steps_done(training->trainer);
        report.step = done;
        log_step(training, &report);
        /* not just before the end, which has an evaluation and a sample of its own */
        bool evaluated = steps - done > training->evaluate_every / 2 && done % training->evaluate_every == 0;
        if (evaluated) status = evaluate(training, &report, error);
        if (status) return status;
        show(training, &report, evaluated);
        if (done == steps) break;
        bool sample = training->sample_every && steps - done > training->sample_every / 2;
        if (sample && done % training->sample_every == 0) write_sample(training, done);
        if (done % training->save_every == 0 || now_seconds() - training->saved_at > 600) save_on_the_way(training);
    }
    progress_clear(&training->progress);
    return MOTE_OK;
}

mote_status train_evaluate_all(struct training *training, mote_error *error) {
    int64_t step = mote_trainer_steps_done(training->trainer);
    if (!signal_seen && training->sample_every) write_sample(training, step);
    if (signal_seen) return fail_interrupted(training, error);
    if (!training->prepared->facts.validation_tokens) return MOTE_OK;
    mote_status status = measure(training, 0, &training->final, &training->have_final, error);
    if (status) return status;
    if (signal_seen) return fail_interrupted(training, error);
    if (!training->have_final) return MOTE_OK;
    mote_evaluation part = training->final;
    bool measured = true;
    if (train_evaluation_tokens(training) < training->prepared->facts.validation_tokens)
        status = measure_part(training, &part, &measured, error);
    if (status) return status;
    training->last_part_loss = measured ? part.loss : training->final.loss;
    log_evaluation(training, "evaluation", step, &training->final);
    struct history *history = &training->history;
    if (!history->n_evaluations || history->evaluations[history->n_evaluations - 1].step < step)
        history_add_evaluation(history, step, &training->final);
    return MOTE_OK;
}

void train_end(struct training *training, const char *status, const char *message) {
    mote_buffer buffer = event("end", mote_trainer_steps_done(training->trainer));
    mote_buffer_print(&buffer, ",\"status\":\"%s\"", status);
    if (message) {
        mote_buffer_print(&buffer, ",\"message\":");
        mote_buffer_json_string(&buffer, message, strlen(message));
    }
    close_event(training, &buffer);
    write_report(training, status);
}
