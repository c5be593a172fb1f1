/* Reads records by pulling JSON tokens, strictly: a known key twice, of a wrong type or beside another form's is an
 * error, because a line that is half understood would train on what its author did not mean. */
#include "text/jsonl.h"

#include <string.h>

#include "text/tokenizer.h"

typedef struct {
    mote_json json;
    mote_record *record;
    size_t start; /* of the token read last */
    const char *problem;
    size_t problem_at;
    bool has_text, has_prompt, has_completion, has_messages;
} parser;

/* Reads a token and remembers where it starts. A problem of the JSON itself becomes the parser's. */
static mote_json_kind next(parser *p) {
    const mote_json *json = &p->json;
    p->start = json->at;
    while (p->start < json->size && strchr(" \t\r\n,:", json->text[p->start]) && json->text[p->start]) p->start++;
    mote_json_kind kind = mote_json_next(&p->json);
    if (kind == MOTE_JSON_ERROR) {
        p->problem = json->problem;
        p->problem_at = json->at;
    }
    return kind;
}

static bool fail(parser *p, const char *problem) {
    if (!p->problem) {
        p->problem = problem;
        p->problem_at = p->start;
    }
    return false;
}

static bool key_is(const parser *p, const char *name) {
    return mote_string_is(mote_buffer_string(&p->json.string), name);
}

static void set(mote_buffer *buffer, const mote_buffer *from) {
    buffer->size = 0;
    mote_buffer_append(buffer, from->bytes, from->size);
}

/* The value of a known key, which must be a string that is not there yet. */
static bool read_string(parser *p, mote_buffer *into, bool *has, const char *twice, const char *wrong_type) {
    if (*has) return fail(p, twice);
    if (next(p) != MOTE_JSON_STRING) return fail(p, wrong_type);
    set(into, &p->json.string);
    *has = true;
    return true;
}

static bool skip_value(parser *p) {
    mote_json_kind first = next(p);
    if (first == MOTE_JSON_ERROR) return false;
    if (mote_json_skip(&p->json, first)) return true;
    p->problem = p->json.problem;
    p->problem_at = p->json.at;
    return false;
}

/* Appends a span to the document. */
static bool append(parser *p, const char *bytes, size_t n, bool target, mote_span_kind kind) {
    mote_record *r = p->record;
    if (n == 0) return true;
    if (!mote_grow((void **)&r->spans, &r->spans_capacity, r->n_spans + 1, sizeof *r->spans)) return false;
    r->spans[r->n_spans++] = (mote_span){r->text.size, r->text.size + n, target, kind};
    mote_buffer_append(&r->text, bytes, n);
    return !r->text.failed;
}

static bool append_text(parser *p, const mote_buffer *text, bool target) {
    return append(p, text->bytes, text->size, target, MOTE_SPAN_TEXT);
}

static bool append_message(parser *p) {
    mote_record *r = p->record;
    bool assistant = mote_string_is(mote_buffer_string(&r->role), "assistant");
    mote_buffer_append(&r->role, "\n", 1);
    return append(p, MOTE_TURN_START, strlen(MOTE_TURN_START), false, MOTE_SPAN_TURN_START) &&
           append_text(p, &r->role, false) && append_text(p, &r->content, assistant) &&
           append(p, MOTE_TURN_END, strlen(MOTE_TURN_END), assistant, MOTE_SPAN_TURN_END) &&
           append(p, "\n", 1, false, MOTE_SPAN_TEXT);
}

static bool read_message(parser *p) {
    mote_record *r = p->record;
    bool has_role = false, has_content = false;
    mote_json_kind kind;
    while ((kind = next(p)) == MOTE_JSON_KEY) {
        bool ok;
        if (key_is(p, "role")) {
            ok = read_string(p, &r->role, &has_role, "\"role\" comes twice", "\"role\" must be a string");
            if (ok && (r->role.size == 0 || memchr(r->role.bytes, '\n', r->role.size)))
                ok = fail(p, "\"role\" must be one line of text");
        } else if (key_is(p, "content")) {
            ok = read_string(p, &r->content, &has_content, "\"content\" comes twice", "\"content\" must be a string");
        } else {
            ok = skip_value(p);
        }
        if (!ok) return false;
    }
    if (kind != MOTE_JSON_OBJECT_END) return false;
    if (!has_role || !has_content) return fail(p, "a message needs \"role\" and \"content\"");
    return append_message(p);
}

static bool read_messages(parser *p) {
    if (p->has_messages) return fail(p, "\"messages\" comes twice");
    p->has_messages = true;
    if (next(p) != MOTE_JSON_ARRAY) return fail(p, "\"messages\" must be an array");
    mote_json_kind kind;
    size_t n = 0;
    for (; (kind = next(p)) != MOTE_JSON_ARRAY_END; n++) {
        if (kind != MOTE_JSON_OBJECT) return fail(p, "a message must be an object");
        if (!read_message(p)) return false;
    }
    return n > 0 || fail(p, "\"messages\" is empty");
}

static bool read_keys(parser *p) {
    mote_record *r = p->record;
    mote_json_kind kind;
    if (next(p) != MOTE_JSON_OBJECT) return fail(p, "a line must be an object");
    while ((kind = next(p)) == MOTE_JSON_KEY) {
        bool ok;
        size_t key_at = p->start;
        if (key_is(p, "text"))
            ok = read_string(p, &r->content, &p->has_text, "\"text\" comes twice", "\"text\" must be a string");
        else if (key_is(p, "prompt"))
            ok = read_string(p, &r->prompt, &p->has_prompt, "\"prompt\" comes twice", "\"prompt\" must be a string");
        else if (key_is(p, "completion"))
            ok = read_string(p, &r->completion, &p->has_completion, "\"completion\" comes twice",
                             "\"completion\" must be a string");
        else if (key_is(p, "messages")) ok = read_messages(p);
        else ok = skip_value(p);
        if (!ok) return false;
        if (p->has_text + (p->has_prompt || p->has_completion) + p->has_messages > 1) {
            p->start = key_at;
            return fail(p, "only one of \"text\", \"prompt\" with \"completion\", and \"messages\" can be given");
        }
    }
    return kind == MOTE_JSON_OBJECT_END && (next(p) == MOTE_JSON_END || fail(p, "something follows the object"));
}

static bool compose(parser *p) {
    mote_record *r = p->record;
    p->start = 0;
    if (p->has_text) return append_text(p, &r->content, true);
    if (p->has_prompt != p->has_completion)
        return fail(p, p->has_prompt ? "\"prompt\" without \"completion\"" : "\"completion\" without \"prompt\"");
    if (p->has_prompt)
        return append_text(p, &r->prompt, false) && append_text(p, &r->completion, true);
    return p->has_messages || fail(p, "none of \"text\", \"prompt\" with \"completion\", and \"messages\" is there");
}

mote_status mote_record_read(mote_record *record, const char *line, size_t size, const char **problem, size_t *column) {
    parser p = {.record = record};
    record->text.size = record->n_spans = 0;
    mote_json_init(&p.json, line, size);
    bool ok = read_keys(&p) && compose(&p);
    record->end_is_target = !p.has_messages;
    record->masked = record->messages = p.has_messages;
    for (size_t i = 0; i < record->n_spans; i++) record->masked |= !record->spans[i].target;
    bool failed = p.json.string.failed || record->text.failed || record->prompt.failed || record->completion.failed ||
                  record->role.failed || record->content.failed;
    mote_json_deinit(&p.json);
    if (failed || (!ok && !p.problem)) return MOTE_MEMORY;
    *problem = p.problem;
    *column = p.problem_at + 1;
    return ok ? MOTE_OK : MOTE_BAD_FILE;
}

void mote_record_deinit(mote_record *record) {
    mote_buffer_deinit(&record->text);
    mote_release(record->spans);
    mote_buffer_deinit(&record->prompt);
    mote_buffer_deinit(&record->completion);
    mote_buffer_deinit(&record->role);
    mote_buffer_deinit(&record->content);
    *record = (mote_record){0};
}
