/* The loss report in its two forms. What was not measured is null, or left out. */
#include "quantize_print.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "console.h"

/* Where KL is k, the losses of one token by the two models differ by about sqrt(2 k): 0.1 nats at 0.006, of which the
 * mean over 1000 tokens is uncertain by 0.003. That is 0.3 % of perplexity, as much as gates ask for. */
enum { LEAST_MEASURED = 1000 };

static void print_json(const struct quantize_result *r, const struct gates *gates, const char *input,
                       const char *output, mote_buffer *buffer) {
    const mote_quantize_report *report = r->report;
    const double none = (double)NAN;
    const struct {
        const char *key;
        double value;
    } numbers[] = {
        {"bits_per_weight_before", report->bits_per_weight_before},
        {"bits_per_weight", report->bits_per_weight},
        {"perplexity_before", r->has_loss ? r->lost.perplexity_before : none},
        {"perplexity_after", r->has_loss ? r->lost.perplexity_after : none},
        {"kl_mean", r->has_loss ? r->lost.kl_mean : none},
        {"kl_p99", r->has_loss ? r->lost.kl_p99 : none},
        {"top1_agreement", r->has_loss ? r->lost.top1_agreement : none},
        {"tokens_per_second_before", r->speed.tokens_per_second_before},
        {"tokens_per_second_after", r->speed.tokens_per_second_after},
        {"quantize_seconds", r->quantize_seconds},
    };
    const struct {
        const char *key;
        uint64_t value;
    } counts[] = {
        {"file_bytes_before", r->file_bytes_before}, {"file_bytes", r->file_bytes},
        {"ram_bytes_before", r->speed.ram_bytes_before}, {"ram_bytes", r->speed.ram_bytes_after},
        {"weights", report->weights}, {"calibration_tokens", report->calibration_tokens},
        {"calibration_tokens_least", report->calibration_least},
        {"calibration_bytes", report->calibration_bytes},
        {"calibration_passes", (uint64_t)report->calibration_passes},
        {"evaluated_tokens", r->lost.tokens},
    };
    mote_buffer_print(buffer, "{\"input\":");
    mote_buffer_json_string(buffer, input, strlen(input));
    mote_buffer_print(buffer, ",\"output\":");
    mote_buffer_json_string(buffer, output, strlen(output));
    mote_buffer_print(buffer, ",\"written\":%s,\"type\":\"%s\",\"method\":\"%s\"", r->written ? "true" : "false",
                      r->type, r->method);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        mote_buffer_print(buffer, ",\"%s\":", numbers[i].key);
        mote_buffer_json_number(buffer, numbers[i].value);
    }
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        mote_buffer_print(buffer, ",\"%s\":%llu", counts[i].key, (unsigned long long)counts[i].value);
    mote_buffer_print(buffer, ",\"warnings\":[");
    for (int i = 0; i < r->n_warnings; i++) {
        if (i) mote_buffer_print(buffer, ",");
        mote_buffer_json_string(buffer, r->warnings[i], strlen(r->warnings[i]));
    }
    mote_buffer_print(buffer, "],\"gates\":");
    gates_print_json(gates, buffer);
    mote_buffer_print(buffer, ",\"tensors\":[");
    for (int i = 0; i < report->n_rows; i++) {
        const mote_quantize_row *row = &report->rows[i];
        mote_buffer_print(buffer, "%s{\"name\":", i ? "," : "");
        mote_buffer_json_string(buffer, row->name, strlen(row->name));
        mote_buffer_print(buffer, ",\"type\":\"%s\",\"bits\":", mote_type_name(row->type));
        mote_buffer_json_number(buffer, row->bits);
        mote_buffer_print(buffer, ",\"error\":");
        mote_buffer_json_number(buffer, row->error);
        mote_buffer_print(buffer, ",\"method\":\"%s\",\"weights\":%llu,\"fallback\":%s,\"padded\":%s}",
                          mote_quantize_method_name(row->method), (unsigned long long)row->weights,
                          row->fallback ? "true" : "false", row->padded ? "true" : "false");
    }
    mote_buffer_print(buffer, "]}\n");
}

void quantize_warn_short(struct quantize_result *r) {
    const mote_quantize_report *report = r->report;
    r->n_warnings = 0;
    if (report->calibration_tokens < report->calibration_least)
        snprintf(r->warnings[r->n_warnings++], sizeof r->warnings[0],
                 "calibrated with %llu token%s, fewer than %llu%s: which weights matter is hardly known; give "
                 "--calibrate a longer text, or --calibrate-tokens more",
                 (unsigned long long)report->calibration_tokens, plural(report->calibration_tokens),
                 (unsigned long long)report->calibration_least,
                 strcmp(r->method, "gptq") ? "" : ", which the sums of gptq need to be of full rank");
    if (r->has_loss && r->lost.tokens < LEAST_MEASURED)
        snprintf(r->warnings[r->n_warnings++], sizeof r->warnings[0],
                 "the loss was measured over %llu token%s, fewer than %d: a few of them decide what perplexity and KL "
                 "are; give --evaluate a longer text", (unsigned long long)r->lost.tokens, plural(r->lost.tokens),
                 LEAST_MEASURED);
    for (int i = 0; i < r->n_warnings; i++) warn("%s", r->warnings[i]);
}

void quantize_note_padding(const mote_quantize_report *report) {
    for (int type = 0; type < MOTE_N_TYPES; type++) {
        const double bits = mote_type_bits((mote_type)type);
        const int block = mote_type_block((mote_type)type);
        double most = 0;
        int n = 0;
        for (int i = 0; i < report->n_rows; i++) {
            const mote_quantize_row *row = &report->rows[i];
            if ((int)row->type != type || !row->padded) continue;
            most = fmax(most, row->bits);
            n++;
        }
        if (n)
            note("note       %s takes up to %.1f bits a weight, not %.4g, in %d tensor%s: their rows are no whole "
                 "blocks of %d and are padded%s", mote_type_name((mote_type)type), most, bits, n, plural((uint64_t)n),
                 block, block > 32 ? "; q4_0 and q3h have blocks of 32" : "");
    }
}

static void print_tensors(const mote_quantize_report *report, mote_buffer *buffer) {
    int width = 6, n_fixed = 0;
    bool compensated = false, padded = false;
    uint64_t fixed = 0;
    for (int i = 0; i < report->n_rows; i++) {
        const mote_quantize_row *row = &report->rows[i];
        if (row->fixed) n_fixed++, fixed += row->weights;
        else if ((int)strlen(row->name) > width) width = (int)strlen(row->name);
    }
    mote_buffer_print(buffer, "%-*s  %-6s  %-6s  %11s  %9s\n", width, "tensor", "type", "method", "bits/weight",
                      "error");
    for (int i = 0; i < report->n_rows; i++) {
        const mote_quantize_row *row = &report->rows[i];
        if (row->fixed) continue;
        mote_buffer_print(buffer, "%-*s  %-6s  %-6s  %11.3f  %7.3f %%%s%s\n", width, row->name,
                          mote_type_name(row->type), mote_quantize_method_name(row->method), row->bits,
                          100 * row->error, row->padded ? "  padded" : "",
                          row->fallback ? "  FALLBACK: does not fit the type asked for" : "");
        compensated |= row->method == MOTE_QUANTIZE_GPTQ;
        padded |= row->padded;
    }
    if (n_fixed)
        mote_buffer_print(buffer, "and %d gains, biases or positions in f32, %llu weights\n", n_fixed,
                          (unsigned long long)fixed);
    mote_buffer_print(buffer, "error: of the weights, root mean square in %% of theirs%s\n",
                      compensated ? "; gptq takes more of it for less in what the products give" : "");
    if (padded) mote_buffer_print(buffer, "padded: rows are filled up to whole blocks, which takes the bits beyond the "
                                          "type's own\n");
}

static void print_losses(const struct quantize_result *r, mote_buffer *buffer) {
    if (!r->has_loss) {
        mote_buffer_print(buffer, "loss           not measured: no text was given\n");
        return;
    }
    mote_buffer_print(buffer, "perplexity     %.4f -> %.4f (%+.3f %%), over %llu token%s of %s\n",
                      r->lost.perplexity_before, r->lost.perplexity_after,
                      100 * (r->lost.perplexity_after / r->lost.perplexity_before - 1),
                      (unsigned long long)r->lost.tokens, plural(r->lost.tokens),
                      r->own_text ? "--evaluate" : "the last tenth of --calibrate");
    mote_buffer_print(buffer, "KL             %.3g nats a token, 99 %% of the tokens below %.3g\n", r->lost.kl_mean,
                      r->lost.kl_p99);
    mote_buffer_print(buffer, "top-1          %.2f %% of the tokens have the same likeliest successor\n",
                      100 * r->lost.top1_agreement);
}

static void print_text(const struct quantize_result *r, const struct gates *gates, const char *input,
                       const char *output, mote_buffer *buffer) {
    const mote_quantize_report *report = r->report;
    char before[SHORT_TEXT], after[SHORT_TEXT];
    print_tensors(report, buffer);
    mote_buffer_print(buffer, "\nbits           %.3f -> %.3f a weight, of all that is in the file\n",
                      report->bits_per_weight_before, report->bits_per_weight);
    if (report->calibration_passes)
        mote_buffer_print(buffer, "calibration    %llu tokens, sums of %s, %d pass%s\n",
                          (unsigned long long)report->calibration_tokens,
                          text_bytes((double)report->calibration_bytes, before), report->calibration_passes,
                          report->calibration_passes > 1 ? "es" : "");
    mote_buffer_print(buffer, "file           %s -> %s\n", text_bytes((double)r->file_bytes_before, before),
                      text_bytes((double)r->file_bytes, after));
    mote_buffer_print(buffer, "RAM            %s -> %s, weights as they run and a session\n",
                      text_bytes((double)r->speed.ram_bytes_before, before),
                      text_bytes((double)r->speed.ram_bytes_after, after));
    mote_buffer_print(buffer, "speed          %.0f -> %.0f tokens/s, decoding one sequence\n",
                      r->speed.tokens_per_second_before, r->speed.tokens_per_second_after);
    print_losses(r, buffer);
    gates_print(gates, buffer);
    if (r->written) mote_buffer_print(buffer, "written        %s, from %s\n", output, input);
    else mote_buffer_print(buffer, "written        nothing\n");
}

void quantize_print(const struct quantize_result *result, const struct gates *gates, const char *input,
                    const char *output, mote_buffer *buffer) {
    if (option_json) print_json(result, gates, input, output, buffer);
    else print_text(result, gates, input, output, buffer);
}
