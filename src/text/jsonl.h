/* One line of a JSONL file as a document: its text, and which parts of it are to be learned. */
#ifndef MOTE_TEXT_JSONL_H
#define MOTE_TEXT_JSONL_H

#include "base/json.h"
#include "base/memory.h"

typedef enum { MOTE_SPAN_TEXT, MOTE_SPAN_TURN_START, MOTE_SPAN_TURN_END } mote_span_kind;

typedef struct {
    size_t begin, end;   /* bytes of the text */
    bool target;         /* to be learned; else only context */
    mote_span_kind kind; /* markup of turns is a control token, if the tokenizer has it; else the text it is here */
} mote_span;

typedef struct { /* zeroed: empty; reused line after line */
    mote_buffer text;
    mote_span *spans; /* of the text from begin to end, without holes; each is encoded by itself */
    size_t n_spans, spans_capacity;
    bool end_is_target; /* the end token is to be learned */
    bool masked;        /* something is only context */
    bool messages;      /* it was {"messages"} */
    /* private */
    mote_buffer prompt, completion, role, content;
} mote_record;

/* Reads {"text"}, {"prompt","completion"} or {"messages":[{"role","content"}]}; other keys are passed over. Messages
 * become ChatML: <|im_start|>role\ncontent<|im_end|>\n, of which the assistant's content and <|im_end|> are learned;
 * only spans say what is markup, for content may hold the same text.
 * MOTE_BAD_FILE: *problem says what is wrong, at byte *column (from 1) of the line. MOTE_MEMORY is the other failure.
 */
mote_status mote_record_read(mote_record *record, const char *line, size_t size, const char **problem, size_t *column);
void mote_record_deinit(mote_record *record);

#endif
