/* What mote quantize says: one JSON object, or lines and a table of the tensors. */
#ifndef MOTE_CLI_QUANTIZE_PRINT_H
#define MOTE_CLI_QUANTIZE_PRINT_H

#include "gates.h"

struct quantize_result {
    const char *type, *method;
    mote_quantize_report *report;
    bool has_loss; /* `lost` was measured */
    bool own_text; /* on --evaluate, else on the end of --calibrate */
    mote_comparison lost;
    mote_speed_comparison speed;
    uint64_t file_bytes_before, file_bytes;
    double quantize_seconds;
    bool written;
    char warnings[2][320]; /* of texts too short to go by */
    int n_warnings;
};

/* Warns of texts that are too short, and keeps what was said for the report. */
void quantize_warn_short(struct quantize_result *result);

/* A note of the rows that are padded: they take more than their type's bits a weight. */
void quantize_note_padding(const mote_quantize_report *report);
void quantize_print(const struct quantize_result *result, const struct gates *gates, const char *input,
                    const char *output, mote_buffer *buffer);

#endif
