/* Inside a corpus, for the dataset: its documents one after the other, and where it is split. */
#ifndef MOTE_TEXT_CORPUS_H
#define MOTE_TEXT_CORPUS_H

#include "base/files.h"
#include "text/jsonl.h"
#include "text/learner.h"

typedef struct {
    char *path;
    mote_map map; /* of what cannot be opened twice (a pipe); else opened when needed */
    size_t size;
    bool kept, jsonl;
} mote_corpus_file;

typedef struct {
    uint64_t at, size; /* in the file: a whole text, or one line */
    uint64_t bytes;    /* of its text */
    uint32_t file;
    bool jsonl;
} mote_document;

struct mote_corpus {
    mote_corpus_options options; /* temporary: a copy, never NULL */
    mote_corpus_info info;
    mote_corpus_file *files;
    size_t n_files, files_capacity;
    mote_document *documents;
    size_t n_documents, documents_capacity;
    bool masked;         /* some text is only context */
    bool messages;       /* some documents are turns */
    size_t cut_document; /* training: the documents before it, and its first cut_byte bytes */
    uint64_t cut_byte;
    uint64_t train_bytes;
};

/* Reads documents, best in their order: a file stays mapped while it is the same. */
typedef struct {
    const mote_corpus *corpus;
    mote_map map;
    uint32_t file;
    bool open;
    mote_record record;
    mote_span whole;
    /* the document read last */
    const char *text;
    size_t size;
    const mote_span *spans;
    size_t n_spans;
    bool end_is_target;
} mote_cursor;

void mote_cursor_init(mote_cursor *cursor, const mote_corpus *corpus);
mote_status mote_cursor_read(mote_cursor *cursor, size_t document, mote_error *error);
void mote_cursor_deinit(mote_cursor *cursor);

/* Shows the learner the training part; if that is longer than sample_bytes, 64 or more parts of it that lie evenly
 * spread. Characters are all shown, those of the validation part too. */
mote_status mote_corpus_learn(const mote_corpus *corpus, mote_learner *learner, uint64_t sample_bytes,
                              mote_error *error);

#endif
