/* mote doctor: what this machine has and which kernels mote uses on it, and a check of those kernels. */
#include <string.h>

#include "command.h"
#include "console.h"

static const struct option_group *const groups[] = {&group_json, &group_common, NULL};

static const struct {
    unsigned bit;
    const char *name, *needs;
} sets[] = {
    {MOTE_CPU_AVX2, "avx2", "AVX2 and FMA"},
    {MOTE_CPU_AVX512, "avx512", "AVX-512 F, BW, DQ and VL"},
    {MOTE_CPU_VNNI, "vnni", "AVX-512 VNNI and VBMI"},
    {MOTE_CPU_BF16, "bf16", "AVX-512 BF16"},
    {MOTE_CPU_NEON, "neon", "NEON"},
    {MOTE_CPU_DOTPROD, "dotprod", "NEON's dot products"},
};

/* Why an instruction set is or is not used. */
static const char *why(unsigned bit, unsigned has) {
#if defined(__x86_64__) || defined(__i386__)
    if (bit & (MOTE_CPU_NEON | MOTE_CPU_DOTPROD)) return "not used: this is not an ARM processor";
#elif defined(__aarch64__) || defined(__arm__)
    if (!(bit & (MOTE_CPU_NEON | MOTE_CPU_DOTPROD))) return "not used: this is not an x86 processor";
#endif
    if (bit == MOTE_CPU_AVX2 && has & MOTE_CPU_AVX512) return "there; avx512 goes first, --cpu avx2 takes it";
    return has & bit ? "used unless --cpu forbids it" : "not used: this processor does not have it";
}

static mote_status run_doctor(int n_arguments, const char *const *arguments, mote_error *error) {
    (void)n_arguments, (void)arguments;
    unsigned has = mote_cpu_detect();
    char *table = NULL, total[SHORT_TEXT], available[SHORT_TEXT];
    mote_error found = {0};
    mote_status status = mote_kernels_selftest(&table, &found);
    const char *report = table ? table : "";
    if (option_json) {
        mote_buffer buffer = {0};
        mote_buffer_print(&buffer,
                          "{\"version\":\"%s\",\"cores\":%d,\"memory_bytes\":%llu,\"memory_available_bytes\":%llu",
                          mote_version(), mote_cpu_cores(), (unsigned long long)memory_total_bytes(),
                          (unsigned long long)memory_available_bytes());
        for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
            mote_buffer_print(&buffer, ",\"%s\":%s", sets[i].name, has & sets[i].bit ? "true" : "false");
        mote_buffer_print(&buffer, ",\"kernels_ok\":%s,\"kernels\":", status ? "false" : "true");
        mote_buffer_json_string(&buffer, report, strlen(report));
        mote_buffer_print(&buffer, "}\n");
        mote_status printed = out_buffer(&buffer, error);
        if (printed && !status) status = printed;
    } else {
        out_print("mote %s\n\n", mote_version());
        out_print("cores    %d\n", mote_cpu_cores());
        if (memory_total_bytes())
            out_print("memory   %s, %s of it available\n", text_bytes((double)memory_total_bytes(), total),
                      text_bytes((double)memory_available_bytes(), available));
        out_print("\ninstruction sets\n  %-8s always there: the reference the others are checked against\n", "scalar");
        for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
            out_print("  %-8s %s (%s)\n", sets[i].name, why(sets[i].bit, has), sets[i].needs);
        out_print("\nkernels in use, checked against the reference\n%s", report);
        if (*report && report[strlen(report) - 1] != '\n') out_print("\n");
        out_print("\n%s\n", status ? "FAILED: do not trust results of this machine or this build" : "all well");
    }
    mote_free(table);
    if (status && error && !error->message[0]) *error = found;
    return status;
}

const struct command command_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary = "report the processor, the kernels in use, memory, and test the kernels",
    .details = "Every kernel in use is compared with the plain C reference on random shapes.",
    .example = "mote doctor --cpu avx2",
    .least = 0,
    .most = 0,
    .groups = groups,
    .run = run_doctor,
};
