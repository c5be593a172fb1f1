/* Lines of JSONL, from any bytes: read or refused with a place inside the line; the spans of a document that is read
 * cover its text from begin to end, in turns learned and context; and it reads the same a second time. */
#include <stdlib.h>
#include <string.h>

#include "text/jsonl.h"
#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int condition) {
    if (!condition) abort();
}

static void check_record(const mote_record *record) {
    size_t at = 0;
    bool masked = !record->end_is_target;
    for (size_t i = 0; i < record->n_spans; i++) {
        const mote_span *span = &record->spans[i];
        check(span->begin == at && span->end > at);
        check(record->messages || i == 0 || span->target != record->spans[i - 1].target);
        if (span->kind != MOTE_SPAN_TEXT) {
            const char *markup = span->kind == MOTE_SPAN_TURN_START ? MOTE_TURN_START : MOTE_TURN_END;
            check(record->messages && span->end - at == strlen(markup));
            check(memcmp(record->text.bytes + at, markup, strlen(markup)) == 0);
        }
        masked = masked || !span->target;
        at = span->end;
    }
    check(at == record->text.size && masked == record->masked);
    check(at == 0 || mote_utf8_valid(record->text.bytes, at));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mote_record record = {0}, again = {0};
    const char *text = (const char *)data;
    for (size_t at = 0, end; at < size; at = end + 1) {
        const char *newline = memchr(text + at, '\n', size - at), *problem = NULL;
        size_t column = 0;
        end = newline ? (size_t)(newline - text) : size;
        mote_status status = mote_record_read(&record, text + at, end - at, &problem, &column);
        check(status == MOTE_OK || status == MOTE_BAD_FILE);
        if (status) {
            check(problem && problem[0] && column >= 1 && column <= end - at + 1);
            continue;
        }
        check_record(&record);
        check(mote_record_read(&again, text + at, end - at, &problem, &column) == MOTE_OK);
        check(again.text.size == record.text.size && again.n_spans == record.n_spans &&
              record.text.size <= 2 * (end - at));
        check(record.text.size == 0 || memcmp(again.text.bytes, record.text.bytes, record.text.size) == 0);
    }
    mote_record_deinit(&record);
    mote_record_deinit(&again);
    return 0;
}
