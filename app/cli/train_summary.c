/* The end of a training run, told to people and to programs. */
#include <math.h>
#include <string.h>

#include "console.h"
#include "setup.h"
#include "train_output.h"

static void print_next(const struct training *training, const char *text) {
    char words[FIRST_WORDS];
    enum text_kind kind = find_first_words(text, words);
    mote_buffer line = {0};
    mote_buffer_print(&line, "mote %s ", kind == TEXT_CHAT ? "chat" : "generate");
    shell_path(&line, training->output);
    if (kind != TEXT_CHAT) {
        if (*words) {
            mote_buffer_print(&line, " -p ");
            shell_word(&line, words);
        }
        mote_buffer_print(&line, " -n 200");
    }
    if (!line.failed) note("next: %s", line.bytes);
    mote_buffer_deinit(&line);
}

/* The lowest loss on the way, against the last measured in the same way. */
static void print_overfitting(const struct training *training) {
    const struct history *history = &training->history;
    const struct history_evaluation *best = NULL;
    int64_t step = mote_trainer_steps_done(training->trainer);
    for (int i = 0; i < history->n_evaluations; i++)
        if (history->evaluations[i].step < step && (!best || history->evaluations[i].loss < best->loss))
            best = &history->evaluations[i];
    if (!best || !(best->loss < 0.99 * training->last_part_loss)) return;
    /* On a part these are other numbers than the result's, which is of the whole. */
    const uint64_t part = train_evaluation_tokens(training);
    char where[80] = "";
    if (part < training->prepared->facts.validation_tokens)
        snprintf(where, sizeof where, "over the %llu tokens measured on the way, ", (unsigned long long)part);
    note(
        "overfit    %svalidation loss was lower at step %lld (%.4f) than at the end (%.4f): fewer --steps or --epochs, "
        "or a higher --dropout (now %g), would do better",
        where, (long long)best->step, best->loss, training->last_part_loss, training->prepared->options.dropout);
}

static double tokens_per_second(const struct history *history) {
    return history->seconds > 0 ? (double)history->tokens / history->seconds : 0;
}

void train_print_summary(const struct training *training, const char *text) {
    const struct history *history = &training->history;
    const mote_evaluation *final = &training->final;
    char time[SHORT_TEXT], count[SHORT_TEXT];
    if (training->have_final)
        note("result     validation loss %.4f, perplexity %.3f, %.4f bits per byte, top-1 %.1f %%", final->loss,
             final->perplexity, final->bits_per_byte, 100 * final->top1);
    else
        note("result     training loss %.4f (%s)", history->smoothed_loss,
             training->prepared->facts.validation_tokens ? "the part kept for validation has nothing to measure"
                                                         : "no part of the text was kept for validation");
    if (training->have_final) print_overfitting(training);
    if (training->out_of_time)
        note("time       was over at step %lld of %lld, before the learning rate had come down: a step was measured to "
             "be "
             "faster, or evaluations and saves took long; --steps %lld would end with the lowest",
             (long long)mote_trainer_steps_done(training->trainer), (long long)training->prepared->options.steps,
             (long long)mote_trainer_steps_done(training->trainer));
    note("speed      %s tokens in %s, %.0f tokens/s", text_count((double)history->tokens, count),
         text_seconds(history->seconds, time), tokens_per_second(history));
    note("files      %s, %s", training->output, run_path(&training->run, "report.html"));
    print_next(training, text);
}

mote_status train_print_json(const struct training *training, const char *status, mote_error *error) {
    const struct history *history = &training->history;
    const mote_evaluation *final = &training->final;
    mote_buffer buffer = {0};
    mote_buffer_print(&buffer, "{\"status\":\"%s\",\"model\":", status);
    mote_buffer_json_string(&buffer, training->output, strlen(training->output));
    mote_buffer_print(&buffer, ",\"precision\":\"%s\",\"type\":\"%s\"",
                      setup_precision_name(training->prepared->options.precision), mote_type_name(training->type));
    mote_buffer_print(&buffer, ",\"run_folder\":");
    mote_buffer_json_string(&buffer, training->run.path, strlen(training->run.path));
    const struct {
        const char *key;
        double value;
    } numbers[] = {{"loss", training->have_final ? final->loss : NAN},
                   {"perplexity", training->have_final ? final->perplexity : NAN},
                   {"bits_per_byte", training->have_final ? final->bits_per_byte : NAN},
                   {"top1", training->have_final ? final->top1 : NAN},
                   {"train_loss", history->last_step ? history->smoothed_loss : NAN},
                   {"seconds", history->seconds},
                   {"tokens_per_second", tokens_per_second(history)}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        mote_buffer_print(&buffer, ",\"%s\":", numbers[i].key);
        mote_buffer_json_number(&buffer, numbers[i].value);
    }
    if (*training->blas_used) {
        mote_buffer_print(&buffer, ",\"blas\":");
        mote_buffer_json_string(&buffer, training->blas_used, strlen(training->blas_used));
    }
    mote_buffer_print(&buffer,
                      ",\"steps\":%lld,\"tokens\":%llu,\"validation_tokens\":%llu,\"parameters\":%llu,"
                      "\"out_of_time\":%s}\n",
                      (long long)mote_trainer_steps_done(training->trainer), (unsigned long long)history->tokens,
                      (unsigned long long)training->prepared->facts.validation_tokens,
                      (unsigned long long)training->prepared->plan.parameters,
                      training->out_of_time ? "true" : "false");
    return out_buffer(&buffer, error);
}
