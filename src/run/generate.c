/* Text after a prompt: encode, read the prompt in batches, then sample, read and pass on token by token.
 *
 * Tokens end anywhere, also inside a character or a stop text. So text is passed on from a small buffer that holds back
 * an unfinished character and what may be the beginning of a stop text; the buffer never grows past one token and the
 * longest stop text. */
#include "run/session.h"

#include <string.h>

#include "base/buffer.h"
#include "base/threads.h"
#include "text/tokenizer.h"

typedef struct {
    mote_session *session;
    mote_sampler *sampler;
    const mote_tokenizer *tokenizer;
    const mote_generate_options *options;
    int32_t *tokens, *position; /* [context]: what the sequence holds; 0, 1, 2, ... */
    uint8_t *none;              /* [batch_tokens] zeros: no logits wanted */
    int n_tokens, context;
    bool at_start; /* of a text: nothing but its begin token stands before what comes */
    mote_buffer pending; /* text not passed on yet */
} generation;

mote_generate_options mote_generate_options_default(void) {
    return (mote_generate_options){.struct_bytes = sizeof(mote_generate_options), .n_tokens = 256};
}

/* ---- text */

/* Bytes at the end that are the unfinished beginning of a UTF-8 character, 0 to 3: what one of two ends completes. What
 * may follow E0 and F0 begins above 80, what may follow ED and F4 ends below BF. */
static size_t unfinished_character(const char *text, size_t n) {
    for (size_t back = 1; back <= 3 && back <= n; back++)
        for (int end = 0x80; end <= 0xBF; end += 0x3F) {
            char whole[4];
            memset(whole, end, sizeof whole);
            memcpy(whole, text + (n - back), back);
            if ((size_t)mote_utf8_length(whole, sizeof whole) > back) return back;
        }
    return 0;
}

/* Where the earliest stop text in the pending text begins; its size when there is none. */
static size_t find_stop(const generation *g) {
    size_t earliest = g->pending.size;
    for (int i = 0; i < g->options->n_stop; i++) {
        const char *stop = g->options->stop[i];
        const char *found = memmem(g->pending.bytes, g->pending.size, stop, strlen(stop));
        if (found && (size_t)(found - g->pending.bytes) < earliest) earliest = (size_t)(found - g->pending.bytes);
    }
    return earliest;
}

/* The longest end of the pending text that begins a stop text. */
static size_t begun_stop(const generation *g) {
    size_t longest = 0;
    for (int i = 0; i < g->options->n_stop; i++) {
        const char *stop = g->options->stop[i];
        size_t n = strlen(stop) - 1;
        if (n > g->pending.size) n = g->pending.size;
        for (; n > longest; n--)
            if (!memcmp(g->pending.bytes + g->pending.size - n, stop, n)) longest = n;
    }
    return longest;
}

/* Passes on the first n pending bytes. False: the caller wants no more. */
static bool pass_on(generation *g, size_t n) {
    bool more = true;
    if (n > 0 && g->options->on_text) more = g->options->on_text(g->options->context, g->pending.bytes, n);
    if (n > 0) {
        memmove(g->pending.bytes, g->pending.bytes + n, g->pending.size - n);
        g->pending.size -= n;
    }
    return more;
}

/* Takes off a piece what only parts it from text before it: SentencePiece writes " Once" at the start of a text too. */
static mote_status cut_start(generation *g, int32_t token, const char **piece, size_t *bytes, mote_error *error) {
    char *whole;
    size_t n;
    g->at_start = false;
    mote_status status = mote_tokenizer_decode(g->tokenizer, &token, 1, &whole, &n, error);
    if (status) return status;
    if (n < *bytes && !memcmp(*piece + (*bytes - n), whole, n)) *piece += *bytes - n, *bytes = n;
    mote_free(whole);
    return MOTE_OK;
}

/* Takes a token's text; *stopped_by is set when it ends the run. */
static mote_status take_text(generation *g, int32_t token, const char **stopped_by, mote_error *error) {
    size_t bytes = 0;
    const char *piece = "";
    if (token < mote_tokenizer_vocab(g->tokenizer)) piece = mote_tokenizer_piece(g->tokenizer, token, &bytes);
    if (!bytes) return MOTE_OK;
    if (g->at_start) {
        mote_status status = cut_start(g, token, &piece, &bytes, error);
        if (status) return status;
    }
    mote_buffer_append(&g->pending, piece, bytes);
    if (g->pending.failed) return mote_fail_memory(error, "generated text", g->pending.size + bytes);
    size_t stop = find_stop(g);
    if (stop < g->pending.size) {
        *stopped_by = pass_on(g, stop) ? "stop" : "caller";
        g->pending.size = 0;
        return MOTE_OK;
    }
    size_t ready = g->pending.size - begun_stop(g);
    ready -= unfinished_character(g->pending.bytes, ready);
    if (!pass_on(g, ready)) *stopped_by = "caller";
    return MOTE_OK;
}

/* ---- tokens */

/* Runs tokens [from, n_tokens) of the sequence, in batches; only the last gives logits. */
static mote_status read_from(generation *g, int from, mote_error *error) {
    int most = mote_session_batch_tokens(g->session);
    mote_session_truncate(g->session, 0, from);
    for (int begin = from; begin < g->n_tokens;) {
        int n = g->n_tokens - begin < most ? g->n_tokens - begin : most;
        mote_batch batch = {.n_tokens = n, .token = g->tokens + begin, .position = g->position + begin};
        if (begin + n < g->n_tokens) batch.want_logits = g->none;
        mote_status status = mote_session_run(g->session, &batch, error);
        if (status) return status;
        begin += n;
    }
    return MOTE_OK;
}

/* Reads one more token. When the context is full the last half of it is read again from position 0. */
static mote_status read_token(generation *g, int32_t token, mote_error *error) {
    int from = g->n_tokens;
    if (g->n_tokens == g->context) {
        int keep = g->context / 2;
        memmove(g->tokens, g->tokens + (g->context - keep), (size_t)keep * sizeof *g->tokens);
        g->n_tokens = keep;
        from = 0;
    }
    g->tokens[g->n_tokens++] = token;
    return read_from(g, from, error);
}

/* Reads the prompt. Of one longer than the context it reads what the same tokens would have left one by one. */
static mote_status read_prompt(generation *g, const int32_t *tokens, size_t n, int *prompt_tokens, mote_error *error) {
    if (n > INT32_MAX)
        return mote_fail(error, MOTE_USAGE, "the prompt has %zu tokens; at most %d can be read", n, INT32_MAX);
    int vocab = mote_session_model(g->session)->program->vocab;
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= vocab)
            return mote_fail(error, MOTE_USAGE, "token %d at place %zu of the prompt is outside the vocabulary of %d",
                             (int)tokens[i], i, vocab);
    if (n == 0) {
        int32_t end = mote_tokenizer_begin(g->tokenizer);
        if (end < 0) end = mote_tokenizer_end(g->tokenizer);
        if (end < 0) {
            mote_fail(error, MOTE_USAGE, "the prompt is empty and the tokenizer has no token to start from");
            return mote_hint(error, MOTE_USAGE, "give a prompt of at least one character");
        }
        g->tokens[0] = end;
        g->n_tokens = 1;
    } else {
        size_t context = (size_t)g->context, step = context - context / 2, skip = 0;
        if (n > context) skip = (n - context + step - 1) / step * step;
        memcpy(g->tokens, tokens + skip, (n - skip) * sizeof *tokens);
        g->n_tokens = (int)(n - skip);
        for (size_t i = 0; i < n; i++) mote_sampler_accept(g->sampler, tokens[i]);
    }
    int32_t begin = mote_tokenizer_adds_begin(g->tokenizer) ? mote_tokenizer_begin(g->tokenizer) : -1;
    g->at_start = begin >= 0 && g->tokens[g->n_tokens - 1] == begin;
    *prompt_tokens = (int)n;
    return read_from(g, 0, error);
}

/* ---- the run */

static mote_status check_options(const mote_session *session, const mote_sampler *sampler,
                                 const mote_generate_options *o, mote_error *error) {
    int vocab = mote_session_model(session)->program->vocab;
    if (mote_sampler_vocab(sampler) != vocab)
        return mote_fail(error, MOTE_USAGE, "the sampler was made for a vocabulary of %d, the model has %d",
                         mote_sampler_vocab(sampler), vocab);
    if (o->n_tokens < 0) return mote_fail(error, MOTE_USAGE, "n_tokens is %d; it must be 0 or more", o->n_tokens);
    if (o->n_stop < 0 || (o->n_stop > 0 && !o->stop))
        return mote_fail(error, MOTE_USAGE, "n_stop is %d but there are no stop texts", o->n_stop);
    for (int i = 0; i < o->n_stop; i++)
        if (!o->stop[i] || !o->stop[i][0]) return mote_fail(error, MOTE_USAGE, "stop text %d is empty", i);
    return MOTE_OK;
}

static mote_status allocate(generation *g, mote_error *error) {
    size_t context = (size_t)g->context, batch = (size_t)mote_session_batch_tokens(g->session);
    g->tokens = mote_allocate_zero(context, sizeof *g->tokens);
    g->position = mote_allocate_zero(context, sizeof *g->position);
    g->none = mote_allocate_zero(batch, 1);
    if (!g->tokens || !g->position || !g->none)
        return mote_fail_memory(error, "generation", context * 2 * sizeof *g->tokens + batch);
    for (int i = 0; i < g->context; i++) g->position[i] = i;
    return MOTE_OK;
}

static mote_status sample_tokens(generation *g, mote_generate_report *r, mote_error *error) {
    int32_t end = mote_tokenizer_end(g->tokenizer), turn_end = mote_tokenizer_control(g->tokenizer, MOTE_TURN_END);
    /* Where texts are told apart by what begins them, the next one's beginning is the end of this one (llama2.c). */
    int32_t next = mote_tokenizer_adds_begin(g->tokenizer) ? mote_tokenizer_begin(g->tokenizer) : -1;
    while (r->generated_tokens < g->options->n_tokens) {
        int32_t token = mote_sampler_next(g->sampler, mote_session_logits(g->session, 0));
        if ((token == end || token == turn_end || token == next) && !g->options->ignore_end) {
            r->stopped_by = "end";
            break;
        }
        r->generated_tokens++;
        const char *stopped_by = NULL;
        mote_status status = take_text(g, token, &stopped_by, error);
        if (status) return status;
        if (stopped_by) {
            r->stopped_by = stopped_by;
            return MOTE_OK;
        }
        if (r->generated_tokens == g->options->n_tokens) break; /* its logits would not be used */
        status = read_token(g, token, error);
        if (status) return status;
    }
    if (!pass_on(g, g->pending.size)) r->stopped_by = "caller";
    return MOTE_OK;
}

/* The begin token before the prompt's tokens. */
static mote_status put_begin(const mote_tokenizer *tokenizer, int32_t **tokens, size_t *n, mote_error *error) {
    int32_t *longer = mote_resize(*tokens, (*n + 1) * sizeof *longer);
    if (!longer) return mote_fail_memory(error, "the prompt's tokens", (*n + 1) * sizeof *longer);
    if (*n) memmove(longer + 1, longer, *n * sizeof *longer);
    longer[0] = mote_tokenizer_begin(tokenizer);
    *tokens = longer;
    ++*n;
    return MOTE_OK;
}

mote_status mote_generate(mote_session *session, mote_sampler *sampler, const mote_tokenizer *tokenizer,
                          const char *prompt, size_t prompt_bytes, const mote_generate_options *options,
                          mote_generate_report *report, mote_error *error) {
    if (report) *report = (mote_generate_report){.stopped_by = "length"};
    int32_t *tokens = NULL;
    size_t n = 0;
    double start = mote_seconds();
    if (!tokenizer || (!prompt && prompt_bytes > 0))
        return mote_fail(error, MOTE_USAGE, "generation needs a session, a sampler, a tokenizer and a prompt");
    mote_status status =
        prompt_bytes > 0 ? mote_tokenizer_encode(tokenizer, prompt, prompt_bytes, &tokens, &n, error) : MOTE_OK;
    if (!status && mote_tokenizer_adds_begin(tokenizer)) status = put_begin(tokenizer, &tokens, &n, error);
    double encoded = mote_seconds();
    if (!status) status = mote_generate_tokens(session, sampler, tokenizer, tokens, n, options, report, error);
    if (report) report->prompt_seconds += encoded - start;
    mote_free(tokens);
    return status;
}

mote_status mote_generate_tokens(mote_session *session, mote_sampler *sampler, const mote_tokenizer *tokenizer,
                                 const int32_t *prompt, size_t n_prompt, const mote_generate_options *options,
                                 mote_generate_report *report, mote_error *error) {
    mote_generate_report r = {.stopped_by = "length"};
    mote_generate_options o = mote_generate_options_default();
    if (report) *report = r;
    if (!session || !sampler || !tokenizer || (!prompt && n_prompt > 0))
        return mote_fail(error, MOTE_USAGE, "generation needs a session, a sampler, a tokenizer and a prompt");
    if (!mote_options_read(&o, sizeof o, options))
        return mote_fail(error, MOTE_USAGE,
                         "generate options have no struct_bytes: start from mote_generate_options_default");
    mote_status status = check_options(session, sampler, &o, error);
    if (status) return status;

    generation g = {.session = session,
                    .sampler = sampler,
                    .tokenizer = tokenizer,
                    .options = &o,
                    .context = mote_session_context(session)};
    status = allocate(&g, error);
    if (status) goto done;
    double start = mote_seconds();
    status = read_prompt(&g, prompt, n_prompt, &r.prompt_tokens, error);
    double read = mote_seconds();
    r.prompt_seconds = read - start;
    if (status) goto done;
    status = sample_tokens(&g, &r, error);
    r.generate_seconds = mote_seconds() - read;
done:
    mote_release(g.tokens);
    mote_release(g.position);
    mote_release(g.none);
    mote_buffer_deinit(&g.pending);
    if (report) *report = r;
    return status;
}
