/* Goes through the documents of a corpus: for the dataset, and to show them to a tokenizer that learns. */
#include <string.h>

#include "text/corpus.h"

void mote_cursor_init(mote_cursor *cursor, const mote_corpus *corpus) { *cursor = (mote_cursor){.corpus = corpus}; }

static void close_file(mote_cursor *cursor) {
    if (cursor->open && !cursor->corpus->files[cursor->file].kept) mote_map_close(&cursor->map);
    cursor->open = false;
}

void mote_cursor_deinit(mote_cursor *cursor) {
    close_file(cursor);
    mote_record_deinit(&cursor->record);
}

static mote_status open_file(mote_cursor *cursor, uint32_t index, mote_error *error) {
    const mote_corpus_file *file = &cursor->corpus->files[index];
    if (cursor->open && cursor->file == index) return MOTE_OK;
    close_file(cursor);
    if (file->kept) cursor->map = file->map;
    else {
        mote_status status = mote_map_open(file->path, &cursor->map, error);
        if (status) return status;
    }
    cursor->file = index;
    cursor->open = true;
    return MOTE_OK;
}

mote_status mote_cursor_read(mote_cursor *cursor, size_t document, mote_error *error) {
    const mote_document *d = &cursor->corpus->documents[document];
    const mote_corpus_file *file = &cursor->corpus->files[d->file];
    mote_status status = open_file(cursor, d->file, error);
    if (status) return status;
    if (cursor->map.size != file->size) goto changed;
    cursor->text = (const char *)cursor->map.bytes + d->at;
    cursor->size = d->size;
    if (!d->jsonl) {
        cursor->whole = (mote_span){0, d->size, true, MOTE_SPAN_TEXT};
        cursor->spans = &cursor->whole;
        cursor->n_spans = 1;
        cursor->end_is_target = true;
        return MOTE_OK;
    }
    mote_record *record = &cursor->record;
    const char *problem;
    size_t column;
    status = mote_record_read(record, cursor->text, cursor->size, &problem, &column);
    if (status == MOTE_MEMORY) return mote_fail_memory(error, "a line of text", d->size);
    if (status || record->text.size != d->bytes) goto changed;
    cursor->text = record->text.size ? record->text.bytes : "";
    cursor->size = record->text.size;
    cursor->spans = record->spans;
    cursor->n_spans = record->n_spans;
    cursor->end_is_target = record->end_is_target;
    return MOTE_OK;
changed:
    return mote_fail(error, MOTE_BAD_FILE, "%s was changed while it was in use", file->path);
}

/* Shows the learner the parts of a document that lie in every stride-th block; the document starts at `place` of the
 * training text. */
static mote_status learn_blocks(mote_learner *learner, const char *text, size_t size, uint64_t place, uint64_t block,
                                uint64_t stride, mote_error *error) {
    mote_status status = MOTE_OK;
    uint64_t end = place + size;
    for (uint64_t at = place; at < end && !status;) {
        uint64_t index = at / block, next = (index + 1) * block;
        if (index % stride != 0) {
            at = (index + stride - index % stride) * block;
            continue;
        }
        if (next > end) next = end;
        size_t from = mote_utf8_ceiling(text, size, (size_t)(at - place));
        size_t to = mote_utf8_ceiling(text, size, (size_t)(next - place));
        status = mote_learner_add(learner, text + from, to - from, error);
        at = next;
    }
    return status;
}

/* Shows the learner the first `size` bytes of a document. Of turns, each text as it will be encoded, without markup. */
static mote_status learn_document(mote_learner *learner, const mote_cursor *cursor, size_t size, uint64_t place,
                                  uint64_t block, uint64_t stride, mote_error *error) {
    const mote_span whole = {0, size, true, MOTE_SPAN_TEXT};
    bool turns = cursor->n_spans > 0 && cursor->spans[0].kind == MOTE_SPAN_TURN_START;
    const mote_span *spans = turns ? cursor->spans : &whole;
    size_t n_spans = turns ? cursor->n_spans : 1;
    mote_status status = MOTE_OK;
    for (size_t i = 0; i < n_spans && spans[i].begin < size && !status; i++) {
        const char *text = cursor->text + spans[i].begin;
        size_t n = (spans[i].end < size ? spans[i].end : size) - spans[i].begin;
        if (spans[i].kind != MOTE_SPAN_TEXT) continue;
        if (stride == 1) status = mote_learner_add(learner, text, n, error);
        else status = learn_blocks(learner, text, n, place + spans[i].begin, block, stride, error);
    }
    return status;
}

/* Whether any of the bytes [begin, end) is in a block that is shown. */
static bool in_blocks(uint64_t begin, uint64_t end, uint64_t block, uint64_t stride) {
    uint64_t first = begin / block, shown = (first + stride - 1) / stride * stride;
    return begin < end && shown * block < end;
}

mote_status mote_corpus_learn(const mote_corpus *corpus, mote_learner *learner, uint64_t sample_bytes,
                              mote_error *error) {
    bool all = learner->kind == MOTE_TOKENIZER_CHAR;
    uint64_t limit = all ? corpus->info.bytes : corpus->train_bytes, block = sample_bytes / 64 + 1, place = 0;
    uint64_t stride = all ? 1 : corpus->train_bytes / (sample_bytes + 1) + 1;
    if (learner->kind == MOTE_TOKENIZER_BYTE) return MOTE_OK;
    mote_cursor cursor;
    mote_cursor_init(&cursor, corpus);
    mote_status status = MOTE_OK;
    for (size_t i = 0; i < corpus->n_documents && place < limit && !status; i++) {
        uint64_t bytes = corpus->documents[i].bytes, end = place + bytes < limit ? place + bytes : limit;
        if (stride == 1 || in_blocks(place, end, block, stride)) status = mote_cursor_read(&cursor, i, error);
        else cursor.size = 0;
        size_t size = cursor.size < end - place ? cursor.size : (size_t)(end - place);
        if (!status && size) status = learn_document(learner, &cursor, size, place, block, stride, error);
        place += bytes;
    }
    mote_cursor_deinit(&cursor);
    return status;
}

mote_status mote_corpus_train_tokenizer(const mote_corpus *corpus, mote_tokenizer_kind kind, int vocab_limit,
                                        mote_tokenizer **tokenizer, mote_error *error) {
    mote_learner learner;
    *tokenizer = NULL;
    mote_status status = mote_learner_init(&learner, kind, vocab_limit, corpus->messages, error);
    if (!status) status = mote_corpus_learn(corpus, &learner, (uint64_t)64 << 20, error);
    if (!status) status = mote_learner_finish(&learner, tokenizer, error);
    mote_learner_deinit(&learner);
    return status;
}
