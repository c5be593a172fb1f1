/* Gates: what a smaller model may lose at most, or be in size, before anything is written. */
#ifndef MOTE_CLI_GATES_H
#define MOTE_CLI_GATES_H

#include "command.h"

enum gate_kind { GATE_PERPLEXITY, GATE_KL, GATE_TOP1, GATE_BYTES, N_GATE_KINDS };
struct gate {
    enum gate_kind kind;
    double limit; /* ppl: most growth, in %; kl: most nats a token; top1: least agreement, in %; bytes: largest file */
    double value; /* what was measured, in the same unit */
    bool met;
};
enum { MOST_GATES = 32 };
struct gates {
    struct gate list[MOST_GATES];
    int n;
};

/* "ppl=1%,kl=0.01", several of which may stand in the list. */
mote_status gates_parse(const struct string_list *texts, struct gates *gates, mote_error *error);
/* One that only a text can decide. */
bool gates_need_text(const struct gates *gates);
/* Fills value and met; MOTE_GATE, naming all that are not met. */
mote_status gates_check(struct gates *gates, const mote_comparison *lost, uint64_t file_bytes, mote_error *error);
/* [{"gate":"ppl","limit":1,"value":0.4,"met":true}] */
void gates_print_json(const struct gates *gates, mote_buffer *buffer);
void gates_print(const struct gates *gates, mote_buffer *buffer);

#endif
