/* The text of every token, as the decoders make it: worked out once, so that a token of a stream is one look-up. What
 * decoders do to the ends of a whole text is left to mote_tokenizer_decode. */
#include <string.h>

#include "text/staged.h"

typedef struct {
    mote_buffer *text, *spare;
} pair;

static void replace(pair *p, mote_string what, mote_string content) {
    mote_buffer *out = p->spare, *in = p->text;
    out->size = 0;
    for (size_t at = 0; at < in->size;) {
        const char *found = memmem(in->bytes + at, in->size - at, what.bytes, what.size);
        size_t end = found ? (size_t)(found - in->bytes) : in->size;
        mote_buffer_append(out, in->bytes + at, end - at);
        if (found) mote_buffer_append(out, content.bytes, content.size);
        at = found ? end + what.size : end;
    }
    p->text = out;
    p->spare = in;
}

static bool begins(const mote_buffer *text, mote_string what) {
    return text->size >= what.size && memcmp(text->bytes ? text->bytes : "", what.bytes, what.size) == 0;
}

static bool ends(const mote_buffer *text, mote_string what) {
    return text->size >= what.size && what.size &&
           memcmp(text->bytes + text->size - what.size, what.bytes, what.size) == 0;
}

/* English spacing as Hugging Face's WordPiece decoder has it. */
static void clean_up(pair *p) {
    static const char *const pairs[][2] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                           {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                           {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        replace(p, (mote_string){pairs[i][0], strlen(pairs[i][0])}, (mote_string){pairs[i][1], strlen(pairs[i][1])});
}

/* A part of a word has no space before it; every other token has, and the text loses the first one. */
static void wordpiece(pair *p, const mote_step *step) {
    mote_buffer *out = p->spare;
    out->size = 0;
    if (begins(p->text, step->text) && step->text.size)
        mote_buffer_append(out, p->text->bytes + step->text.size, p->text->size - step->text.size);
    else {
        mote_buffer_append(out, " ", 1);
        mote_buffer_append(out, p->text->bytes, p->text->size);
    }
    p->spare = p->text;
    p->text = out;
    if (step->cleanup) clean_up(p);
}

static void decode_step(pair *p, const mote_step *step, bool is_byte, bool *fused) {
    switch (step->kind) {
    case MOTE_STEP_REPLACE_TEXT: replace(p, step->text, step->content); break;
    case MOTE_STEP_METASPACE_TEXT:
        replace(p, step->text, MOTE_STRING(" "));
        if (step->cleanup) clean_up(p);
        break;
    case MOTE_STEP_WORDPIECE_TEXT: wordpiece(p, step); break;
    case MOTE_STEP_SUFFIX_TEXT:
        if (ends(p->text, step->text)) {
            p->text->size -= step->text.size;
            mote_buffer_append(p->text, " ", 1);
        }
        break;
    case MOTE_STEP_BYTE_FALLBACK_TEXT:
        if (is_byte && mote_byte_of_name(mote_buffer_string(p->text)) >= 0) {
            char byte = (char)mote_byte_of_name(mote_buffer_string(p->text));
            p->text->size = 0;
            mote_buffer_append(p->text, &byte, 1);
        }
        break;
    case MOTE_STEP_FUSE: *fused = true; break;
    case MOTE_STEP_STRIP_TEXT:
        for (uint32_t i = 0; !*fused && i < step->start && begins(p->text, step->text); i++) {
            memmove(p->text->bytes, p->text->bytes + 1, p->text->size - 1);
            p->text->size--;
        }
        for (uint32_t i = 0; !*fused && i < step->stop && ends(p->text, step->text); i++) p->text->size--;
        break;
    default: break;
    }
}

/* What the steps after FUSE, and those that treat the first token otherwise, take from the ends. */
static void find_ends(mote_staged *s) {
    bool fused = false;
    s->end_byte = ' ';
    for (size_t i = s->n_normalizers + s->n_pretokenizers; i < s->pipeline.n_steps; i++) {
        const mote_step *step = &s->pipeline.steps[i];
        fused = fused || step->kind == MOTE_STEP_FUSE;
        if (step->kind == MOTE_STEP_STRIP_TEXT && fused) {
            s->end_byte = *step->text.bytes;
            s->begin_strip = step->start;
            s->end_strip = step->stop;
        } else if (step->kind == MOTE_STEP_WORDPIECE_TEXT ||
                   (step->kind == MOTE_STEP_METASPACE_TEXT && step->prepend != MOTE_PREPEND_NEVER)) {
            s->begin_strip = 1;
        } else if (step->kind == MOTE_STEP_SUFFIX_TEXT) s->end_strip = 1;
    }
}

/* A chain of replacements could make gigabytes of a byte. */
enum { MOST_TEXT = 1 << 16, MOST_TEXTS = 1 << 26 };

mote_status mote_staged_texts(mote_tokenizer *t, mote_error *error) {
    mote_staged *s = t->staged;
    size_t n = t->n_tokens;
    mote_buffer all = {0}, rooms[2] = {{0}, {0}};
    find_ends(s);
    s->text_at = mote_allocate((n + 1) * sizeof *s->text_at);
    bool ok = s->text_at != NULL, endless = false;
    for (size_t i = 0; i < n && ok; i++) {
        size_t size;
        const char *text = mote_string_set_get(&t->symbols, (uint32_t)i, &size);
        pair p = {&rooms[0], &rooms[1]};
        bool fused = false, is_byte = t->types[i] == MOTE_TOKEN_BYTE;
        p.text->size = 0;
        if (t->types[i] == MOTE_TOKEN_UNKNOWN) mote_buffer_append(p.text, MOTE_REPLACEMENT, strlen(MOTE_REPLACEMENT));
        else if (t->types[i] != MOTE_TOKEN_CONTROL && t->types[i] != MOTE_TOKEN_UNUSED)
            mote_buffer_append(p.text, text, size);
        if (t->types[i] == MOTE_TOKEN_NORMAL || t->types[i] == MOTE_TOKEN_USER_DEFINED || is_byte)
            for (size_t k = s->n_normalizers + s->n_pretokenizers; k < s->pipeline.n_steps && !endless; k++) {
                decode_step(&p, &s->pipeline.steps[k], is_byte, &fused);
                endless = p.text->size > MOST_TEXT;
            }
        s->text_at[i] = all.size;
        mote_buffer_append(&all, p.text->bytes, p.text->size);
        endless = endless || all.size > MOST_TEXTS;
        ok = !rooms[0].failed && !rooms[1].failed && !all.failed && !endless;
    }
    mote_buffer_deinit(&rooms[0]);
    mote_buffer_deinit(&rooms[1]);
    if (!ok) {
        mote_buffer_deinit(&all);
        if (endless) return mote_fail(error, MOTE_BAD_FILE, "a tokenizer's decoders make endless texts of its tokens");
        return mote_fail_memory(error, "the texts of tokens", all.size);
    }
    s->text_at[n] = all.size;
    s->texts = all.bytes;
    return MOTE_OK;
}
