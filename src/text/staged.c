/* Builds what a tokenizer of others works with: a checked copy of the pipeline, compiled expressions, and the tables
 * that are made of the vocabulary once it is in. */
#include "text/staged.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/hooks.h"

enum { MOST_MARK = 64 }; /* what is put into every token or piece is no longer */

static bool keep(mote_arena *arena, mote_string *string) {
    const char *copy = mote_arena_string(arena, string->bytes, string->size);
    string->bytes = copy;
    return copy != NULL;
}

static bool keep_pipeline(mote_arena *arena, const mote_pipeline *given, mote_pipeline *kept) {
    *kept = *given;
    mote_step *steps = mote_arena_allocate(arena, (given->n_steps + 1) * sizeof *steps);
    bool ok = steps && keep(arena, &kept->continuing_prefix) && keep(arena, &kept->word_prefix) &&
              keep(arena, &kept->end_of_word);
    for (size_t i = 0; i < given->n_steps && ok; i++) {
        steps[i] = given->steps[i];
        ok = keep(arena, &steps[i].text) && keep(arena, &steps[i].content);
    }
    kept->steps = steps;
    return ok;
}

static mote_status check_step(const mote_staged *s, size_t i, const char *name, mote_error *error) {
    const mote_step *step = &s->pipeline.steps[i];
    const char *what = mote_step_name(step->kind);
    bool hooks = mote_text_hooks_now() != NULL;
    switch (step->kind) {
    case MOTE_STEP_NFC:
    case MOTE_STEP_NFD:
    case MOTE_STEP_NFKC:
    case MOTE_STEP_NFKD:
    case MOTE_STEP_LOWERCASE:
    case MOTE_STEP_STRIP_ACCENTS:
    case MOTE_STEP_BERT:
    case MOTE_STEP_WHITESPACE:
    case MOTE_STEP_PUNCTUATION:
    case MOTE_STEP_BERT_SPLIT:
        if (!hooks) return mote_text_hooks_missing(error, name, "Unicode's normal forms and categories");
        break;
    case MOTE_STEP_PRECOMPILED: return mote_charsmap_check(step->text, name, error);
    case MOTE_STEP_BYTE_LEVEL:
        if (i + 1 < s->n_normalizers + s->n_pretokenizers)
            return mote_fail(error, MOTE_BAD_FILE, "%s: the pre-tokenizer ByteLevel is not the last one", name);
        if (!s->pipeline.byte_level)
            return mote_fail(error, MOTE_BAD_FILE, "%s: the pre-tokenizer ByteLevel before a model that is not BPE",
                             name);
        break;
    case MOTE_STEP_METASPACE:
    case MOTE_STEP_METASPACE_TEXT:
    case MOTE_STEP_REPLACE_TEXT:
        if (step->kind == MOTE_STEP_METASPACE && step->text.size > 4)
            return mote_fail(error, MOTE_BAD_FILE, "%s: the mark of Metaspace is more than one character", name);
        if (step->text.size > MOST_MARK || step->content.size > MOST_MARK)
            return mote_fail(error, MOTE_BAD_FILE, "%s: the step %s of a tokenizer has more than %d bytes", name, what,
                             MOST_MARK);
        if (step->text.size == 0 || step->regex)
            return mote_fail(error, MOTE_BAD_FILE, "%s: the step %s of a tokenizer replaces %s", name, what,
                             step->regex ? "what an expression finds" : "nothing");
        break;
    case MOTE_STEP_STRIP_TEXT:
        if (step->text.size != 1)
            return mote_fail(error, MOTE_BAD_FILE, "%s: the decoder Strip takes away '%.*s', which is not one byte",
                             name, step->text.size < 40 ? (int)step->text.size : 40, step->text.bytes);
        break;
    default: break;
    }
    if (step->behavior >= MOTE_N_SPLITS || step->prepend >= MOTE_N_PREPENDS)
        return mote_fail(error, MOTE_BAD_FILE, "%s: the step %s of a tokenizer has the behavior %d, which is not known",
                         name, what, step->behavior);
    return MOTE_OK;
}

static mote_status check_pipeline(mote_staged *s, const char *name, mote_error *error) {
    const mote_pipeline *p = &s->pipeline;
    mote_stage stage = MOTE_STAGE_NORMALIZER;
    if (p->n_steps > MOTE_MOST_STEPS)
        return mote_fail(error, MOTE_BAD_FILE, "%s: a tokenizer of %zu steps; up to %d are possible", name, p->n_steps,
                         MOTE_MOST_STEPS);
    if (p->continuing_prefix.size > MOTE_TOKEN_BYTES || p->end_of_word.size > MOTE_TOKEN_BYTES ||
        p->word_prefix.size > MOTE_TOKEN_BYTES)
        return mote_fail(error, MOTE_BAD_FILE, "%s: the mark of a tokenizer's word parts has more than %d bytes", name,
                         MOTE_TOKEN_BYTES);
    size_t n_metaspaces = 0;
    for (size_t i = 0; i < p->n_steps; i++) {
        if ((unsigned)p->steps[i].kind >= MOTE_N_STEPS || mote_step_stage(p->steps[i].kind) < stage)
            return mote_fail(error, MOTE_BAD_FILE, "%s: step %zu of the tokenizer is out of order", name, i);
        stage = mote_step_stage(p->steps[i].kind);
        if (stage == MOTE_STAGE_NORMALIZER) s->n_normalizers++;
        else if (stage == MOTE_STAGE_PRETOKENIZER) s->n_pretokenizers++;
        n_metaspaces += p->steps[i].kind == MOTE_STEP_METASPACE;
    }
    /* One makes at most 8 bytes of one: a mark of 4 for it and one before it. Each further one may do that
     * again with what splits have parted in between. */
    if (n_metaspaces > 2)
        return mote_fail(error, MOTE_BAD_FILE, "%s: the pre-tokenizer Metaspace stands there %zu times", name,
                         n_metaspaces);
    for (size_t i = 0; i < p->n_steps; i++) {
        mote_status status = check_step(s, i, name, error);
        if (status) return status;
    }
    return MOTE_OK;
}

static mote_status compile(mote_staged *s, const char *name, mote_error *error) {
    const mote_text_hooks *hooks = mote_text_hooks_now();
    for (size_t i = 0; i < s->n_normalizers + s->n_pretokenizers; i++) {
        const mote_step *step = &s->pipeline.steps[i];
        mote_matcher *matcher = &s->matchers[i];
        if ((step->kind != MOTE_STEP_SPLIT && step->kind != MOTE_STEP_REPLACE) || !step->regex) continue;
        if (mote_match_native(step->text.bytes, step->text.size, matcher)) continue;
        if (!hooks) return mote_text_hooks_missing(error, name, "regular expressions");
        char problem[256] = "";
        matcher->match = MOTE_MATCH_REGEX;
        matcher->regex = hooks->compile(hooks->context, step->text.bytes, step->text.size, problem);
        if (!matcher->regex)
            return mote_fail(error, MOTE_BAD_FILE, "%s: the tokenizer's expression '%.*s': %.200s", name,
                             step->text.size < 80 ? (int)step->text.size : 80, step->text.bytes, problem);
    }
    return MOTE_OK;
}

static mote_status keep_lists(mote_staged *s, const mote_tokenizer_parts *parts, const char *name, mote_error *error) {
    size_t n = parts->n_tokens;
    if (parts->scores) {
        s->scores = mote_allocate(n * sizeof *s->scores);
        if (!s->scores) return mote_fail_memory(error, "the scores of tokens", n * sizeof *s->scores);
        memcpy(s->scores, parts->scores, n * sizeof *s->scores);
    }
    if (parts->added) {
        s->added = mote_allocate(n);
        if (!s->added) return mote_fail_memory(error, "the flags of tokens", n);
        memcpy(s->added, parts->added, n);
    }
    for (size_t i = 0; i < n && s->scores; i++)
        if (!isfinite(s->scores[i]))
            return mote_fail(error, MOTE_BAD_FILE, "%s: the score of token %zu is not a number", name, i);
    return MOTE_OK;
}

mote_status mote_staged_create(const mote_tokenizer_parts *parts, const char *name, mote_staged **staged,
                               mote_error *error) {
    mote_staged *s = mote_allocate_zero(1, sizeof *s);
    *staged = s;
    if (!s) return mote_fail_memory(error, "a tokenizer", sizeof *s);
    mote_pipeline derived;
    s->derived = !parts->pipeline;
    s->model = parts->model;
    s->pre = parts->pre;
    s->charsmap = parts->charsmap;
    s->add_space_prefix = parts->add_space_prefix;
    s->remove_extra_whitespaces = parts->remove_extra_whitespaces;
    s->treat_whitespace_as_suffix = parts->treat_whitespace_as_suffix;
    s->escape_whitespaces = parts->escape_whitespaces;
    mote_status status = MOTE_OK;
    if (s->derived) status = mote_pipeline_derive(parts, name, &s->arena, &derived, error);
    if (status) goto done;
    const mote_pipeline *given = s->derived ? &derived : parts->pipeline;
    if (given->n_steps > MOTE_MOST_STEPS) s->pipeline = *given; /* refused by the check */
    else if (!keep_pipeline(&s->arena, given, &s->pipeline) || !keep(&s->arena, &s->model) ||
             !keep(&s->arena, &s->pre) || !keep(&s->arena, &s->charsmap)) {
        status = mote_fail_memory(error, "the steps of a tokenizer", s->arena.total);
        goto done;
    }
    status = check_pipeline(s, name, error);
    if (!status) status = compile(s, name, error);
    if (!status) status = keep_lists(s, parts, name, error);
done:
    if (status) {
        mote_staged_destroy(s);
        *staged = NULL;
    }
    return status;
}

void mote_staged_destroy(mote_staged *s) {
    if (!s) return;
    const mote_text_hooks *hooks = mote_text_hooks_now();
    for (size_t i = 0; i < MOTE_MOST_STEPS; i++)
        if (s->matchers[i].regex && hooks) hooks->release(hooks->context, s->matchers[i].regex);
    mote_release(s->scores);
    mote_release(s->added);
    mote_string_set_deinit(&s->literals);
    mote_release(s->literal_ids);
    mote_release(s->order);
    mote_token_index_deinit(&s->vocabulary);
    mote_token_index_deinit(&s->added_raw);
    mote_token_index_deinit(&s->added_normalized);
    mote_release(s->texts);
    mote_release(s->text_at);
    mote_arena_deinit(&s->arena);
    mote_release(s);
}

/* ---- tables of the vocabulary --------------------------------------------------------------------------------- */

typedef struct {
    float score;
    uint32_t id;
} scored;

static int compare_scores(const void *a, const void *b) {
    const scored *x = a, *y = b;
    return x->score > y->score ? -1 : x->score < y->score;
}

/* Equal scores share a place: the leftmost pair is joined first then. */
static bool rank_scores(mote_tokenizer *t) {
    mote_staged *s = t->staged;
    size_t n = t->n_tokens;
    scored *list = mote_allocate(n * sizeof *list);
    s->order = mote_allocate(n * sizeof *s->order);
    if (list && s->order) {
        for (size_t i = 0; i < n; i++) list[i] = (scored){s->scores[i], (uint32_t)i};
        qsort(list, n, sizeof *list, compare_scores);
        uint32_t place = 0;
        for (size_t i = 0; i < n; i++) {
            if (i && list[i].score < list[i - 1].score) place++;
            s->order[list[i].id] = place;
        }
    }
    mote_release(list);
    return list && s->order;
}

/* Digits in upper case only: llama.cpp and Hugging Face's tokenizers print a byte so and look that name up, so a token
 * "<0x0a>" is never found for a byte there; it is text like any other. */
int mote_byte_of_name(mote_string name) {
    static const char digits[] = "0123456789ABCDEF";
    if (name.size != 6 || memcmp(name.bytes, "<0x", 3) != 0 || name.bytes[5] != '>') return -1;
    const char *high = memchr(digits, name.bytes[3], 16), *low = memchr(digits, name.bytes[4], 16);
    return high && low ? (int)(high - digits) * 16 + (int)(low - digits) : -1;
}

static mote_status find_bytes(mote_tokenizer *t, const char *name, mote_error *error) {
    mote_staged *s = t->staged;
    for (int i = 0; i < 256; i++) s->byte_token[i] = MOTE_NO_INDEX;
    for (size_t i = 0, n; i < t->n_tokens; i++) {
        const char *text = mote_string_set_get(&t->symbols, (uint32_t)i, &n);
        if (t->types[i] != MOTE_TOKEN_BYTE) continue;
        int byte = mote_byte_of_name((mote_string){text, n});
        if (byte < 0)
            return mote_fail(error, MOTE_BAD_FILE, "%s: token %zu '%.*s' is no byte; they are <0x00> to <0xFF>", name,
                             i, n < 40 ? (int)n : 40, text);
        s->byte_token[byte] = (uint32_t)i;
    }
    return MOTE_OK;
}

/* Whether a mark of a space stands in the token after something else. */
static bool crosses_words(const char *text, size_t n) {
    size_t at = 0;
    while (n - at >= MOTE_SPACE_MARK_BYTES && memcmp(text + at, MOTE_SPACE_MARK, MOTE_SPACE_MARK_BYTES) == 0)
        at += MOTE_SPACE_MARK_BYTES;
    return memmem(text + at, n - at, MOTE_SPACE_MARK, MOTE_SPACE_MARK_BYTES) != NULL;
}

static mote_status index_vocabulary(mote_tokenizer *t, const char *name, mote_error *error) {
    mote_staged *s = t->staged;
    bool walked = t->kind == MOTE_TOKENIZER_UNIGRAM || t->kind == MOTE_TOKENIZER_WORDPIECE;
    double worst = 0;
    bool any = false;
    s->words_apart = !s->pipeline.byte_level && !s->pipeline.continuing_prefix.size && !s->pipeline.end_of_word.size;
    for (size_t i = 0, n; i < t->symbols.n; i++) {
        const char *text = mote_string_set_get(&t->symbols, (uint32_t)i, &n);
        bool is_text = mote_token_is_text(t, (uint32_t)i);
        if (i < t->n_tokens && !is_text) continue;
        if (s->words_apart && crosses_words(text, n)) s->words_apart = false;
        if (is_text && n > s->longest) s->longest = n;
        if (is_text && !s->pipeline.byte_level && n > MOTE_TOKEN_BYTES)
            return mote_fail(error, MOTE_BAD_FILE, "%s: token %zu has %zu bytes; up to %d are possible", name, i, n,
                             MOTE_TOKEN_BYTES);
        if (walked && is_text && n && !mote_token_index_add(&s->vocabulary, text, n, (uint32_t)i))
            return mote_fail_memory(error, "an index of tokens", t->n_tokens * sizeof(mote_index_entry));
        if (s->scores && is_text && t->types[i] == MOTE_TOKEN_NORMAL && (!any || (double)s->scores[i] < worst)) {
            worst = (double)s->scores[i];
            any = true;
        }
    }
    s->unknown_score = worst - 10;
    mote_token_index_sort(&s->vocabulary);
    return MOTE_OK;
}

/* Added tokens as they are looked for; those that are found in normalized text are normalized first. */
static mote_status index_added(mote_tokenizer *t, const char *name, mote_error *error) {
    mote_staged *s = t->staged;
    for (size_t i = 0, n; i < t->n_tokens; i++) {
        if (t->types[i] != MOTE_TOKEN_USER_DEFINED) continue;
        const char *text = mote_string_set_get(&t->symbols, (uint32_t)i, &n);
        bool normalized = s->n_normalizers && s->added && (s->added[i] & MOTE_ADDED_NORMALIZED);
        if (normalized) {
            mote_encoder e = {.tokenizer = t, .staged = s};
            bool ok = mote_normalize(&e, &text, &n);
            text = ok ? mote_arena_string(&s->arena, text, n) : NULL;
            mote_encoder_close(&e);
            if (!text && e.what) return mote_fail(error, MOTE_BAD_FILE, "%s: added token %zu: %s", name, i, e.what);
            if (!text) return mote_fail_memory(error, "an added token", n);
        }
        if (n == 0) continue;
        if (n > MOTE_TOKEN_BYTES)
            return mote_fail(error, MOTE_BAD_FILE, "%s: added token %zu has %zu bytes; up to %d are possible", name, i,
                             n, MOTE_TOKEN_BYTES);
        if (!mote_token_index_add(normalized ? &s->added_normalized : &s->added_raw, text, n, (uint32_t)i))
            return mote_fail_memory(error, "an index of tokens", t->n_tokens * sizeof(mote_index_entry));
        s->added_first[normalized][(unsigned char)*text] = true;
    }
    mote_token_index_sort(&s->added_raw);
    mote_token_index_sort(&s->added_normalized);
    return MOTE_OK;
}

mote_status mote_staged_finish(mote_tokenizer *t, const char *name, mote_error *error) {
    bool by_score = t->kind == MOTE_TOKENIZER_SENTENCEPIECE || t->kind == MOTE_TOKENIZER_UNIGRAM;
    if (by_score && !t->staged->scores)
        return mote_fail(error, MOTE_BAD_FILE, "%s: a %s tokenizer without scores", name, mote_tokenizer_name(t));
    if ((t->kind == MOTE_TOKENIZER_WORDPIECE || t->kind == MOTE_TOKENIZER_UNIGRAM) && t->unknown < 0)
        return mote_fail(error, MOTE_BAD_FILE, "%s: a %s tokenizer without an unknown token", name,
                         mote_tokenizer_name(t));
    if (t->kind == MOTE_TOKENIZER_SENTENCEPIECE && !rank_scores(t))
        return mote_fail_memory(error, "the order of tokens", t->n_tokens * (sizeof(scored) + sizeof(uint32_t)));
    mote_status status = find_bytes(t, name, error);
    if (!status) status = index_vocabulary(t, name, error);
    if (!status) status = index_added(t, name, error);
    if (!status) status = mote_staged_texts(t, error);
    return status;
}
