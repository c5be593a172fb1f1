/* mote bench roof: the peaks of this machine, which mote profile and mote bench are read against. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "console.h"

static double seconds = 3;
static const struct option rows[] = {
    {"seconds", 0, OPTION_NUMBER, &seconds, "X", 0.01, 60, "3", "time to spend, about"},
    {0},
};
static const struct option_group group = {"Measurement", rows};
static const struct option_group *const groups[] = {&group, &group_threads, &group_json, &group_common, NULL};

static void print_figure(const char *name, const double pair[2], int threads, const char *unit, const char *what) {
    if (!(pair[0] > 0)) {
        out_print("%-22s %10s   %s\n", name, "-", what);
        return;
    }
    char all[32] = "";
    if (threads > 1) snprintf(all, sizeof all, "%10.1f", pair[1] * 1e-9);
    out_print("%-22s %10.1f %10s  %s  %s\n", name, pair[0] * 1e-9, all, unit, what);
}

/* Caches come in powers of two. */
static const char *size_text(size_t bytes, char out[32]) {
    if (bytes >= (size_t)1 << 20) snprintf(out, 32, "%.3g MiB", (double)bytes / (1 << 20));
    else snprintf(out, 32, "%.3g KiB", (double)bytes / 1024);
    return out;
}

static void print_roof(const mote_roof *roof) {
    static const char *const names[] = {"L1", "L2", "L3", "DRAM"};
    char title[32] = "", text[SHORT_TEXT], one[32], all[32], name[32], what[96];
    int n = roof->threads;
    if (n > 1) snprintf(title, sizeof title, "%d threads", n);
    out_print("%-22s %10s %10s\n", "", "1 thread", title);
    print_figure("f32 multiply-add", roof->f32_flops, n, "GFLOP/s", roof->instruction_set);
    print_figure("f16 multiply-add", roof->f16_flops, n, "GFLOP/s", roof->f16_flops[0] > 0 ? "" : "no AVX512-FP16");
    print_figure("bf16 dot product", roof->bf16_flops, n, "GFLOP/s", roof->bf16_flops[0] > 0 ? "" : "no AVX512-BF16");
    print_figure("int8 dot product", roof->int8_ops, n, "GOP/s  ", roof->int8_ops[0] > 0 ? "" : "no AVX512-VNNI");
    for (int i = 0; i < MOTE_N_MEMORIES; i++) {
        if (!(roof->read_bandwidth[i][0] > 0)) continue;
        snprintf(name, sizeof name, "read %s", names[i]);
        size_text(roof->read_bytes[i][0], one);
        size_text(roof->read_bytes[i][1], all);
        snprintf(what, sizeof what, "   a buffer of %s%s%s", one, n > 1 && strcmp(one, all) ? ", " : "",
                 n > 1 && strcmp(one, all) ? all : "");
        print_figure(name, roof->read_bandwidth[i], n, "GB/s", what);
    }
    print_figure("write DRAM", roof->write_bandwidth, n, "GB/s", "");
    print_figure("write DRAM, streaming", roof->stream_write_bandwidth, n, "GB/s", "   past the caches");
    if (n > 1) out_print("%-22s %10s %10.2f  us\n", "barrier", "", roof->barrier_seconds * 1e6);
    out_print("\ncaches: L1 %s", size_text(roof->cache_bytes[0], one));
    if (roof->cache_bytes[1]) out_print(", L2 %s", size_text(roof->cache_bytes[1], one));
    if (roof->cache_bytes[2])
        out_print(", L3 %s for %d core%s", size_text(roof->cache_bytes[2], one), roof->l3_cores,
                  roof->l3_cores == 1 ? "" : "s");
    out_print("; measured in %s\n", text_seconds(roof->seconds, text));
}

static mote_status run_bench_roof(int n_arguments, const char *const *arguments, mote_error *error) {
    (void)n_arguments, (void)arguments;
    mote_roof roof;
    mote_status status = mote_roof_measure((int)option_threads, seconds, &roof, error);
    if (status) return status;
    if (!option_json) {
        print_roof(&roof);
        return MOTE_OK;
    }
    char *json = NULL;
    status = mote_roof_json(&roof, &json, error);
    if (!status) out_print("%s\n", json);
    mote_free(json);
    return status;
}

const struct command command_bench_roof = {
    .name = "bench roof",
    .arguments = "",
    .summary = "measure the peaks of this machine: arithmetic, caches, memory",
    .details = "Multiply-adds in registers, reads of buffers that fit each cache, writes to DRAM, and the meeting of "
               "threads, for one thread and for all; the best of seven repeats each. --cpu does not change it.",
    .example = "mote bench roof --json",
    .least = 0,
    .most = 0,
    .groups = groups,
    .run = run_bench_roof,
};
