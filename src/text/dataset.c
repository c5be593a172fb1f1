/* A dataset: the tokens of a corpus in two streams, training and validation, 2 bytes a token (4 above 65536 words), and
 * a bit a token where only some are to be learned. A stream is a list of segments; once those in memory reach the
 * limit, further ones lie in unlinked temporary files. Building it needs memory for one document's megabyte at a time.
 */
#include "text/dataset.h"

#include <string.h>

#include "base/hash.h"
#include "text/corpus.h"

enum { SEGMENT_TOKENS = 1 << 22, PART_BYTES = 1 << 20, HASH_TOKENS = 4096 };

typedef struct {
    uint8_t *bytes; /* tokens, then the bits */
    bool scratch;
} segment;

typedef struct {
    segment *segments;
    size_t n_segments, capacity;
    size_t segment_tokens; /* a multiple of 8 */
    size_t n_tokens;
    uint64_t bytes, unknown; /* of text; tokens that stand for what the vocabulary lacks */
} stream;

struct mote_dataset {
    int vocab;
    size_t width; /* bytes a token */
    bool masked;
    stream streams[2]; /* by mote_split */
    uint64_t hash;
};

typedef struct {
    mote_dataset *dataset;
    const mote_corpus *corpus;
    const mote_tokenizer *tokenizer;
    size_t in_memory; /* bytes of segments */
    int32_t control[3], unknown; /* ids by mote_span_kind; -1: none */
    mote_token_list list;
    mote_error *error;
} builder;

static size_t segment_bytes(const mote_dataset *dataset, const stream *s) {
    return s->segment_tokens * dataset->width + (dataset->masked ? s->segment_tokens / 8 : 0);
}

static mote_status add_segment(builder *b, stream *s) {
    size_t bytes = segment_bytes(b->dataset, s);
    const mote_corpus_options *options = &b->corpus->options;
    segment new = {.scratch = b->in_memory > options->memory_bytes || bytes > options->memory_bytes - b->in_memory};
    if (!mote_grow((void **)&s->segments, &s->capacity, s->n_segments + 1, sizeof *s->segments))
        return mote_fail_memory(b->error, "the list of token segments", 2 * s->n_segments * sizeof *s->segments);
    if (new.scratch) {
        void *mapping;
        mote_status status = mote_scratch_map(options->temporary, bytes, &mapping, b->error);
        if (status) return status;
        new.bytes = mapping;
    } else {
        new.bytes = mote_allocate_zero(bytes, 1);
        if (!new.bytes) return mote_fail_memory(b->error, "tokens", bytes);
        b->in_memory += bytes;
    }
    s->segments[s->n_segments++] = new;
    return MOTE_OK;
}

static void write_tokens(const mote_dataset *dataset, const stream *s, const int32_t *tokens, size_t n, bool target) {
    uint8_t *bytes = s->segments[s->n_segments - 1].bytes;
    size_t at = s->n_tokens % s->segment_tokens;
    if (dataset->width == 2) {
        uint16_t *out = (uint16_t *)(void *)bytes + at;
        for (size_t i = 0; i < n; i++) out[i] = (uint16_t)tokens[i];
    } else {
        memcpy(bytes + at * sizeof(int32_t), tokens, n * sizeof(int32_t));
    }
    if (!dataset->masked || !target) return;
    uint8_t *bits = bytes + s->segment_tokens * dataset->width;
    for (size_t i = at; i < at + n; i++) bits[i / 8] |= (uint8_t)(1u << i % 8);
}

static mote_status append(builder *b, stream *s, const int32_t *tokens, size_t n, bool target) {
    while (n > 0) {
        size_t room = s->n_segments * s->segment_tokens - s->n_tokens;
        if (room == 0) {
            mote_status status = add_segment(b, s);
            if (status) return status;
            continue;
        }
        size_t part = n < room ? n : room;
        write_tokens(b->dataset, s, tokens, part, target);
        s->n_tokens += part;
        tokens += part;
        n -= part;
    }
    return MOTE_OK;
}

/* Encodes a part of a document whose tokens are all learned or all context. */
static mote_status append_text(builder *b, stream *s, const char *text, size_t n, bool target) {
    mote_status status = MOTE_OK;
    for (size_t at = 0; at < n && !status;) {
        b->list.n = 0;
        status = mote_tokenizer_encode_part(b->tokenizer, text, n, &at, PART_BYTES, &b->list, b->error);
        for (size_t i = 0; i < b->list.n && b->unknown >= 0; i++) s->unknown += b->list.tokens[i] == b->unknown;
        if (!status) status = append(b, s, b->list.tokens, b->list.n, target);
    }
    s->bytes += n;
    return status;
}

/* The bytes [begin, end) of a document. */
static mote_status append_range(builder *b, stream *s, const mote_cursor *cursor, size_t begin, size_t end) {
    mote_status status = MOTE_OK;
    for (size_t i = 0; i < cursor->n_spans && !status; i++) {
        const mote_span *span = &cursor->spans[i];
        size_t from = span->begin > begin ? span->begin : begin, to = span->end < end ? span->end : end;
        if (from >= to) continue;
        if (b->control[span->kind] < 0) {
            status = append_text(b, s, cursor->text + from, to - from, span->target);
        } else { /* the split tears no markup */
            status = append(b, s, &b->control[span->kind], 1, span->target);
            s->bytes += to - from;
        }
    }
    return status;
}

static mote_status append_documents(builder *b) {
    mote_cursor cursor;
    mote_cursor_init(&cursor, b->corpus);
    stream *train = &b->dataset->streams[MOTE_SPLIT_TRAIN], *validation = &b->dataset->streams[MOTE_SPLIT_VALIDATION];
    int32_t end = mote_tokenizer_end(b->tokenizer);
    mote_status status = MOTE_OK;
    for (size_t i = 0; i < b->corpus->n_documents && !status; i++) {
        status = mote_cursor_read(&cursor, i, b->error);
        if (status) break;
        size_t cut = i < b->corpus->cut_document ? cursor.size : 0;
        if (i == b->corpus->cut_document) cut = (size_t)b->corpus->cut_byte;
        stream *last = i < b->corpus->cut_document ? train : validation;
        status = append_range(b, train, &cursor, 0, cut);
        if (!status) status = append_range(b, validation, &cursor, cut, cursor.size);
        if (!status && end >= 0) status = append(b, last, &end, 1, cursor.end_is_target);
    }
    mote_cursor_deinit(&cursor);
    return status;
}

/* Over tokens and bits in a form that does not depend on where they are kept. */
static uint64_t hash_streams(const mote_dataset *dataset) {
    uint64_t hash = 0;
    int32_t tokens[HASH_TOKENS];
    uint8_t is_target[HASH_TOKENS];
    for (int split = 0; split < 2; split++) {
        uint64_t n_tokens = dataset->streams[split].n_tokens;
        hash = mote_hash_bytes(&n_tokens, sizeof n_tokens, hash);
        for (size_t at = 0; at < n_tokens; at += HASH_TOKENS) {
            size_t n = n_tokens - at < HASH_TOKENS ? (size_t)n_tokens - at : HASH_TOKENS;
            mote_dataset_read(dataset, (mote_split)split, at, n, tokens, is_target);
            hash = mote_hash_bytes(tokens, n * sizeof *tokens, hash);
            if (dataset->masked) hash = mote_hash_bytes(is_target, n, hash);
        }
    }
    return hash;
}

static void set_segment_tokens(stream *s, uint64_t most) {
    s->segment_tokens = most < SEGMENT_TOKENS ? ((size_t)most + 8) / 8 * 8 : SEGMENT_TOKENS;
}

mote_status mote_dataset_create(const mote_corpus *corpus, const mote_tokenizer *tokenizer, mote_dataset **dataset,
                                mote_error *error) {
    *dataset = NULL;
    mote_dataset *d = mote_allocate_zero(1, sizeof *d);
    if (!d) return mote_fail_memory(error, "a dataset", sizeof *d);
    d->vocab = mote_tokenizer_vocab(tokenizer);
    d->width = d->vocab <= 65536 ? sizeof(uint16_t) : sizeof(int32_t);
    d->masked = corpus->masked;
    stream *train = &d->streams[MOTE_SPLIT_TRAIN];
    /* few tokenizers make more tokens than bytes, and those get more segments */
    set_segment_tokens(train, corpus->train_bytes + corpus->n_documents);
    set_segment_tokens(&d->streams[MOTE_SPLIT_VALIDATION],
                       corpus->info.bytes - corpus->train_bytes + corpus->n_documents - corpus->cut_document);
    builder b = {.dataset = d, .corpus = corpus, .tokenizer = tokenizer, .error = error};
    b.control[MOTE_SPAN_TEXT] = -1;
    b.control[MOTE_SPAN_TURN_START] = mote_tokenizer_control(tokenizer, MOTE_TURN_START);
    b.control[MOTE_SPAN_TURN_END] = mote_tokenizer_control(tokenizer, MOTE_TURN_END);
    b.unknown = mote_tokenizer_unknown(tokenizer);
    mote_status status = append_documents(&b);
    if (!status && train->n_tokens < 2) {
        status = mote_fail(error, MOTE_BAD_FILE,
                           "too little text in %s: %zu token%s from %llu byte%s to train on, at least 2 are needed",
                           corpus->files[0].path, train->n_tokens, train->n_tokens == 1 ? "" : "s",
                           (unsigned long long)train->bytes, train->bytes == 1 ? "" : "s");
        mote_hint(error, status, "name more text, or keep a smaller part for validation");
    }
    mote_release(b.list.tokens);
    if (status) {
        mote_dataset_destroy(d);
        return status;
    }
    d->hash = hash_streams(d);
    *dataset = d;
    return MOTE_OK;
}

void mote_dataset_destroy(mote_dataset *dataset) {
    if (!dataset) return;
    for (int split = 0; split < 2; split++) {
        stream *s = &dataset->streams[split];
        for (size_t i = 0; i < s->n_segments; i++) {
            if (s->segments[i].scratch) mote_scratch_unmap(s->segments[i].bytes, segment_bytes(dataset, s));
            else mote_release(s->segments[i].bytes);
        }
        mote_release(s->segments);
    }
    mote_release(dataset);
}

size_t mote_dataset_tokens(const mote_dataset *dataset, mote_split split) { return dataset->streams[split].n_tokens; }
uint64_t mote_dataset_bytes(const mote_dataset *dataset, mote_split split) { return dataset->streams[split].bytes; }
uint64_t mote_dataset_unknown(const mote_dataset *dataset, mote_split split) { return dataset->streams[split].unknown; }
int mote_dataset_vocab(const mote_dataset *dataset) { return dataset->vocab; }
uint64_t mote_dataset_hash(const mote_dataset *dataset) { return dataset->hash; }

static void read_segment(const mote_dataset *dataset, const stream *s, size_t begin, size_t n, int32_t *tokens,
                         uint8_t *is_target) {
    const uint8_t *bytes = s->segments[begin / s->segment_tokens].bytes;
    size_t at = begin % s->segment_tokens;
    if (dataset->width == 2) {
        const uint16_t *from = (const uint16_t *)(const void *)bytes + at;
        for (size_t i = 0; i < n; i++) tokens[i] = from[i];
    } else {
        memcpy(tokens, bytes + at * sizeof(int32_t), n * sizeof(int32_t));
    }
    if (!dataset->masked) {
        memset(is_target, 1, n);
        return;
    }
    const uint8_t *bits = bytes + s->segment_tokens * dataset->width;
    for (size_t i = 0; i < n; i++) is_target[i] = bits[(at + i) / 8] >> (at + i) % 8 & 1;
}

void mote_dataset_read(const mote_dataset *dataset, mote_split split, size_t begin, size_t n, int32_t *tokens,
                       uint8_t *is_target) {
    const stream *s = &dataset->streams[split];
    while (n > 0) {
        size_t room = s->segment_tokens - begin % s->segment_tokens, part = n < room ? n : room;
        read_segment(dataset, s, begin, part, tokens, is_target);
        begin += part;
        tokens += part;
        is_target += part;
        n -= part;
    }
}
