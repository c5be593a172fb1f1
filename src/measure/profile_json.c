/* A profile as one JSON object: totals, what lies between the ops, the roof, and a row for each op. */
#include <inttypes.h>
#include <string.h>

#include "base/buffer.h"
#include "mote/mote.h"

static void print_number(mote_buffer *out, const char *key, double value) {
    mote_buffer_print(out, ",\"%s\":", key);
    mote_buffer_json_number(out, value);
}

static void print_row(mote_buffer *out, const mote_profile *p, const mote_profile_row *row) {
    double bytes = row->weight_bytes + row->state_bytes + row->activation_bytes;
    double seconds = row->seconds > 0 ? row->seconds : 1e-12;
    mote_buffer_print(out, "{\"op\":\"%s\",\"name\":", row->op);
    mote_buffer_json_string(out, row->name, strlen(row->name));
    if (row->layer < 0) mote_buffer_print(out, ",\"layer\":null");
    else mote_buffer_print(out, ",\"layer\":%d", row->layer);
    mote_buffer_print(out, ",\"calls\":%" PRIu64, row->calls);
    print_number(out, "seconds", row->seconds);
    print_number(out, "forward_seconds", row->forward_seconds);
    if (p->kind == MOTE_PROFILE_TRAIN) {
        print_number(out, "backward_seconds", row->backward_seconds);
        print_number(out, "weights_seconds", row->weights_seconds);
        print_number(out, "again_seconds", row->again_seconds);
    }
    print_number(out, "waiting_seconds", row->waiting_seconds);
    print_number(out, "share", p->seconds > 0 ? row->seconds / p->seconds : 0);
    mote_buffer_print(out, ",\"flops\":%.0f,\"weight_bytes\":%.0f,\"state_bytes\":%.0f,\"activation_bytes\":%.0f",
                      row->flops, row->weight_bytes, row->state_bytes, row->activation_bytes);
    print_number(out, "gflops", row->flops / seconds * 1e-9);
    print_number(out, "gbytes", bytes / seconds * 1e-9);
    print_number(out, "int8_part", row->int8_part);
    print_number(out, "bf16_part", row->bf16_part);
    print_number(out, "roof_seconds", row->roof_seconds);
    print_number(out, "of_roof", row->roof_seconds / seconds);
    mote_buffer_print(out, ",\"bound\":\"%s\"}", row->bound);
}

mote_status mote_profile_json(const mote_profile *p, char **json, mote_error *error) {
    static const char *const kinds[] = {"train", "prefill", "decode"};
    static const char *const levels[] = {"L1", "L2", "L3", "DRAM"};
    if (!p || !json) return mote_fail(error, MOTE_USAGE, "JSON of a profile needs the profile and a place");
    *json = NULL;
    char *roof = NULL;
    mote_status status = mote_roof_json(&p->roof, &roof, error);
    if (status) return status;
    mote_buffer out = {0};
    mote_buffer_print(&out, "{\"kind\":\"%s\",\"%s\":%d,\"threads\":%d,\"tokens\":%" PRIu64, kinds[p->kind],
                      p->kind == MOTE_PROFILE_TRAIN ? "steps" : "n", p->n, p->threads, p->tokens);
    print_number(&out, "seconds", p->seconds);
    print_number(&out, "tokens_per_second", p->seconds > 0 ? (double)p->tokens / p->seconds : 0);
    double ops = 0, flops = 0;
    for (int i = 0; i < p->n_rows; i++) {
        ops += p->rows[i].seconds;
        flops += p->rows[i].flops;
    }
    print_number(&out, "flops", flops);
    print_number(&out, "ops_seconds", ops);
    print_number(&out, "barrier_seconds", p->barrier_seconds);
    print_number(&out, "walking_seconds", p->walking_seconds);
    print_number(&out, "starting_seconds", p->starting_seconds);
    if (p->kind == MOTE_PROFILE_TRAIN) {
        print_number(&out, "optimizer_seconds", p->optimizer_seconds);
        print_number(&out, "packing_seconds", p->packing_seconds);
        print_number(&out, "data_seconds", p->data_seconds);
    }
    mote_buffer_print(&out, ",\"held_bytes\":%zu,\"held_in\":\"%s\",\"roof\":%s,\"ops\":[", p->held_bytes,
                      levels[p->held_level], roof);
    for (int i = 0; i < p->n_rows; i++) {
        mote_buffer_print(&out, i ? ",\n" : "\n");
        print_row(&out, p, &p->rows[i]);
    }
    mote_buffer_print(&out, "]}");
    mote_free(roof);
    return mote_buffer_finish(&out, json, error);
}
