/* mote bench layers: decoding with the shape of a model that need not fit: its layers share one layer's weights. */
#include <stdio.h>

#include "command.h"
#include "console.h"

static int64_t dim = 8192, hidden = 28672, heads = 64, kv_heads = 8, layers = 80, vocab = 32000, tokens = 4;
static int type;
static const mote_type types[] = {MOTE_TYPE_Q4_0, MOTE_TYPE_Q3H, MOTE_TYPE_Q8_0, MOTE_TYPE_F32};
static const struct option rows[] = {
    {"dim", 0, OPTION_INTEGER, &dim, "N", 1, 65536, "8192", "width of the model"},
    {"hidden", 0, OPTION_INTEGER, &hidden, "N", 1, 262144, "28672", "width of the feed-forward part"},
    {"heads", 0, OPTION_INTEGER, &heads, "N", 1, 65536, "64", "attention heads"},
    {"kv-heads", 0, OPTION_INTEGER, &kv_heads, "N", 1, 65536, "8", "heads of keys and values; divides the heads"},
    {"layers", 0, OPTION_INTEGER, &layers, "N", 1, 512, "80", "number of layers"},
    {"vocab", 0, OPTION_INTEGER, &vocab, "N", 2, 4194304, "32000", "tokens in the vocabulary"},
    {"type", 0, OPTION_CHOICE, &type, "q4_0|q3h|q8_0|f32", 0, 0, "q4_0", "type of the weights"},
    {"tokens", 'n', OPTION_INTEGER, &tokens, "N", 1, 4096, "4", "tokens to decode"},
    {0},
};
static const struct option_group group = {"Shape", rows};
static const struct option_group *const groups[] = {&group, &group_threads, &group_json, &group_common, NULL};

static mote_status run_bench_layers(int n_arguments, const char *const *arguments, mote_error *error) {
    (void)n_arguments, (void)arguments;
    mote_config config = mote_config_default(MOTE_FAMILY_LLAMA);
    config.dim = (int)dim, config.hidden = (int)hidden, config.layers = (int)layers;
    config.heads = (int)heads, config.kv_heads = (int)kv_heads, config.vocab = (int)vocab;
    config.context = (int)tokens + 1;
    config.tied = false;
    mote_layers_report r;
    mote_status status = mote_layers_run(&config, types[type], (int)tokens, (int)option_threads, &r, error);
    if (status) return status;
    const unsigned long long parameters = mote_config_parameters(&config);
    const double held = (double)r.layer_bytes + (double)r.head_bytes + (double)r.table_bytes;
    if (option_json) {
        out_print("{\"type\":\"%s\",\"parameters\":%llu,\"layers\":%d,\"threads\":%d,\"tokens\":%d,"
                  "\"ms_per_layer\":%.4f,\"ms_per_token\":%.3f,\"bytes_per_second\":%.0f,\"layer_bytes\":%zu,"
                  "\"head_bytes\":%zu,\"table_bytes\":%zu,\"session_bytes\":%zu}\n",
                  mote_type_name(types[type]), parameters, config.layers, r.threads, r.tokens, 1e3 * r.layer_seconds,
                  1e3 * r.token_seconds, r.bytes_per_second, r.layer_bytes, r.head_bytes, r.table_bytes,
                  r.session_bytes);
        return MOTE_OK;
    }
    char text[SHORT_TEXT], more[SHORT_TEXT];
    out_print("model         %s parameters in %d layer%s, %s\n", text_count((double)parameters, text), config.layers,
              plural((uint64_t)config.layers),
              mote_type_name(types[type]));
    out_print("weights held  %s: a layer %s, which all share\n", text_bytes(held, text),
              text_bytes((double)r.layer_bytes, more));
    out_print("session       %s\n", text_bytes((double)r.session_bytes, text));
    out_print("a layer       %.3f ms\n", 1e3 * r.layer_seconds);
    out_print("a token       %.2f ms (median of %d; %d thread%s)\n", 1e3 * r.token_seconds, r.tokens, r.threads,
              r.threads == 1 ? "" : "s");
    out_print("weights read  %.1f GB/s\n", 1e-9 * r.bytes_per_second);
    return MOTE_OK;
}

const struct command command_bench_layers = {
    .name = "bench layers",
    .arguments = "",
    .summary = "measure decoding with the shape of a model that need not fit",
    .details = "All layers read the random weights of one, so that 80 layers of a model of 70 billion parameters run "
               "in the memory of one layer, the table and the head. The defaults are that model. A layer that fits a "
               "cache is read from there after the first: take layers larger than the caches.",
    .example = "mote bench layers --type q3h --tokens 8",
    .least = 0,
    .most = 0,
    .groups = groups,
    .run = run_bench_layers,
};
