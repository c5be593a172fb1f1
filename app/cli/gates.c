/* Reading, checking and printing gates. A value is read whole or refused, and a share needs its unit where a number
 * alone could mean two things: top1=0.95 is 95 %, top1=95 is 95 %, but top1=0.5% is refused as no share anybody means.
 */
#include "gates.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"

static const struct {
    const char *name, *unit, *example;
} kinds[N_GATE_KINDS] = {{"ppl", " %", "ppl=1%"}, {"kl", " nats", "kl=0.01"}, {"top1", " %", "top1=95%"},
                         {"bytes", " bytes", "bytes=4MB"}};

/* The factor that what follows a number stands for; 0: nothing that is known. */
static double unit_of(enum gate_kind kind, double value, const char *unit) {
    static const struct {
        const char *name;
        double bytes;
    } sizes[] = {{"", 1},      {"B", 1},      {"k", 1e3},     {"K", 1e3},      {"kB", 1e3},       {"KB", 1e3},
                 {"M", 1e6},   {"MB", 1e6},   {"G", 1e9},     {"GB", 1e9},     {"KiB", 1024},     {"MiB", 1048576},
                 {"GiB", 1073741824}};
    const bool percent = !strcmp(unit, "%");
    if (kind == GATE_PERPLEXITY) return percent || !*unit ? 1 : 0;
    if (kind == GATE_KL) return *unit ? 0 : 1;
    if (kind == GATE_TOP1) return percent ? value > 1 : *unit ? 0 : value <= 1 ? 100 : 1;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (!strcmp(unit, sizes[i].name)) return sizes[i].bytes;
    return 0;
}

static mote_status parse_one(const char *text, struct gate *gate, mote_error *error) {
    const char *equals = strchr(text, '=');
    for (int kind = 0; equals && kind < N_GATE_KINDS; kind++) {
        if (strlen(kinds[kind].name) != (size_t)(equals - text) ||
            strncmp(text, kinds[kind].name, (size_t)(equals - text)))
            continue;
        char *end;
        const double value = strtod(equals + 1, &end);
        const bool number = end != equals + 1 && equals[1] != ' ' && isfinite(value) && value >= 0;
        const double unit = number ? unit_of((enum gate_kind)kind, value, end) : 0;
        if (!number || unit == 0 || (kind == GATE_TOP1 && value * unit > 100)) {
            mote_fail(error, MOTE_USAGE, "--gate %.80s: \"%.60s\" is no limit of %s", text, equals + 1,
                      kinds[kind].name);
            return mote_hint(error, MOTE_USAGE, "for example --gate %s", kinds[kind].example);
        }
        *gate = (struct gate){.kind = (enum gate_kind)kind, .limit = value * unit};
        return MOTE_OK;
    }
    if (!*text) mote_fail(error, MOTE_USAGE, "--gate: a gate is missing before or after a comma, or all of them are");
    else mote_fail(error, MOTE_USAGE, "--gate %.80s: a gate is ppl=X%%, kl=X, top1=X%% or bytes=X", text);
    return mote_hint(error, MOTE_USAGE, "for example --gate ppl=1%%,bytes=4MB");
}

mote_status gates_parse(const struct string_list *texts, struct gates *gates, mote_error *error) {
    gates->n = 0;
    for (int i = 0; i < texts->n; i++) {
        const char *at = texts->items[i];
        do {
            char one[128];
            const size_t length = strcspn(at, ",");
            if (length >= sizeof one || gates->n == MOST_GATES)
                return mote_fail(error, MOTE_USAGE, "--gate %.80s: too long, or more than %d gates", at, MOST_GATES);
            snprintf(one, sizeof one, "%.*s", (int)length, at);
            mote_status status = parse_one(one, &gates->list[gates->n++], error);
            if (status) return status;
            at += length;
        } while (*at++ == ',');
    }
    return MOTE_OK;
}

bool gates_need_text(const struct gates *gates) {
    for (int i = 0; i < gates->n; i++)
        if (gates->list[i].kind != GATE_BYTES) return true;
    return false;
}

/* "ppl 3.214 % (at most 1 %)", with as many digits as tell the two apart. */
static int print_missed(const struct gate *gate, char *text, size_t bytes) {
    char value[32], limit[32];
    int digits = gate->kind == GATE_BYTES ? 15 : 4;
    do {
        snprintf(value, sizeof value, "%.*g", digits, gate->value);
        snprintf(limit, sizeof limit, "%.*g", digits, gate->limit);
    } while (!strcmp(value, limit) && digits++ < 17);
    return snprintf(text, bytes, "%s %s%s (at %s %s%s)", kinds[gate->kind].name, value, kinds[gate->kind].unit,
                    gate->kind == GATE_TOP1 ? "least" : "most", limit, kinds[gate->kind].unit);
}

/* Names all `n` gates that are not met, while a message has room: then how many more there are. */
static mote_status fail_missed(const struct gates *gates, int n, mote_error *error) {
    char list[400] = "";
    size_t used = 0;
    int named = 0;
    bool large = false, lossy = false;
    for (int i = 0; i < gates->n; i++) {
        const struct gate *gate = &gates->list[i];
        char one[120];
        if (gate->met) continue;
        if (gate->kind == GATE_BYTES) large = true;
        else lossy = true;
        const size_t length = (size_t)print_missed(gate, one, sizeof one);
        if (used + length + sizeof ", " + sizeof " and 32 more" > sizeof list) continue;
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", named++ ? ", " : "", one);
    }
    if (named < n) snprintf(list + used, sizeof list - used, " and %d more", n - named);
    mote_fail(error, MOTE_GATE, "%s not met: %s", n == 1 ? "a gate is" : "these gates are", list);
    return mote_hint(error, MOTE_GATE, "nothing was written; %s",
                     large && lossy ? "it is too large and loses too much: --calibrate, or --target-bits with it"
                     : large        ? "choose a smaller type"
                                    : "choose a larger type, or --calibrate");
}

mote_status gates_check(struct gates *gates, const mote_comparison *lost, uint64_t file_bytes, mote_error *error) {
    int missed = 0;
    for (int i = 0; i < gates->n; i++) {
        struct gate *gate = &gates->list[i];
        switch (gate->kind) {
        case GATE_PERPLEXITY: gate->value = 100 * (lost->perplexity_after / lost->perplexity_before - 1); break;
        case GATE_KL: gate->value = lost->kl_mean; break;
        case GATE_TOP1: gate->value = 100 * lost->top1_agreement; break;
        default: gate->value = (double)file_bytes; break;
        }
        /* what is not a number meets no gate */
        gate->met = gate->kind == GATE_TOP1 ? gate->value >= gate->limit : gate->value <= gate->limit;
        if (!gate->met) missed++;
    }
    return missed ? fail_missed(gates, missed, error) : MOTE_OK;
}

void gates_print_json(const struct gates *gates, mote_buffer *buffer) {
    mote_buffer_print(buffer, "[");
    for (int i = 0; i < gates->n; i++) {
        const struct gate *gate = &gates->list[i];
        mote_buffer_print(buffer, "%s{\"gate\":\"%s\",\"limit\":", i ? "," : "", kinds[gate->kind].name);
        mote_buffer_json_number(buffer, gate->limit);
        mote_buffer_print(buffer, ",\"value\":");
        mote_buffer_json_number(buffer, gate->value);
        mote_buffer_print(buffer, ",\"met\":%s}", gate->met ? "true" : "false");
    }
    mote_buffer_print(buffer, "]");
}

void gates_print(const struct gates *gates, mote_buffer *buffer) {
    for (int i = 0; i < gates->n; i++) {
        const struct gate *gate = &gates->list[i];
        char value[48], limit[48];
        const int digits = gate->kind == GATE_BYTES ? 15 : 4;
        snprintf(value, sizeof value, "%.*g%s", digits, gate->value, kinds[gate->kind].unit);
        snprintf(limit, sizeof limit, "%.*g%s", digits, gate->limit, kinds[gate->kind].unit);
        mote_buffer_print(buffer, "%-14s %-5s %15s, at %-5s %15s: %s\n", i ? "" : "gates", kinds[gate->kind].name,
                          value, gate->kind == GATE_TOP1 ? "least" : "most", limit, gate->met ? "met" : "NOT met");
    }
}
