/* Tokenizers: exact on any bytes, the same as GPT-2's where there is a file of it, the same through GGUF's form,
 * bounded on hostile text, and strict with the files of others. */
#include "base/files.h"
#include "base/random.h"
#include "base/threads.h"
#include "formats/gguf.h"
#include "text/tokenizer_core.h"
#include "text/char_kinds.h"

#include "failing_memory.h"
#include "test.h"

static const char sample[] = "The cat sat on the mat. The cat didn't see the naïve dog; the dog saw the cat!\n"
                             "Größe 10, größe 20: ¿qué? 日本語と日本 \U0001F642\U0001F642 \t the end.\n";

static mote_tokenizer *train(mote_tokenizer_kind kind, int limit, const char *text, size_t n) {
    mote_tokenizer *t = NULL;
    mote_error error = {0};
    mote_status status = mote_tokenizer_train(kind, limit, text, n, &t, &error);
    CHECK(status == MOTE_OK, "%s", error.message);
    return t;
}

typedef struct {
    int32_t *ids;
    size_t n;
} tokens;

static tokens encode(const mote_tokenizer *t, const char *text, size_t n) {
    tokens out = {0};
    mote_error error = {0};
    mote_status status = mote_tokenizer_encode(t, text, n, &out.ids, &out.n, &error);
    CHECK(status == MOTE_OK, "%s", error.message);
    return out;
}

static bool same_tokens(tokens a, tokens b) {
    return a.n == b.n && (a.n == 0 || !memcmp(a.ids, b.ids, a.n * sizeof(int32_t)));
}

/* Whether decoding gives the text back. */
static bool returns(const mote_tokenizer *t, const char *text, size_t n) {
    tokens ids = encode(t, text, n);
    char *back = NULL;
    size_t size = 0;
    bool ok = mote_tokenizer_decode(t, ids.ids, ids.n, &back, &size, NULL) == MOTE_OK && size == n &&
              memcmp(back, text, n) == 0 && back[size] == 0;
    for (size_t i = 0; i < ids.n; i++) ok = ok && ids.ids[i] != mote_tokenizer_end(t);
    mote_free(back);
    mote_free(ids.ids);
    return ok;
}

static size_t random_unicode(mote_random *random, char *text, size_t n_points) {
    size_t at = 0;
    while (n_points-- > 0) {
        static const uint32_t top[] = {0x80, 0x80, 0x80, 0x800, 0x3100, 0x110000};
        at +=
            (size_t)mote_utf8_encode((uint32_t)mote_random_below(random, top[mote_random_below(random, 6)]), text + at);
    }
    return at;
}

static void utf8_is_strict(void) {
    static const char *const bad[] = {"\x80",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xE2\x82",
                                      "\xFF"};
    uint32_t point;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(mote_utf8_decode(bad[i], strlen(bad[i]), &point) == 0, "bad %zu is taken", i);
    int n_wrong = 0;
    for (uint32_t p = 0; p < 0x110000; p++) {
        char bytes[4];
        int n = mote_utf8_encode(p, bytes);
        bool surrogate = p >= 0xD800 && p <= 0xDFFF;
        if (surrogate ? n != 0 : n == 0 || mote_utf8_decode(bytes, (size_t)n, &point) != n || point != p) n_wrong++;
    }
    CHECK(n_wrong == 0, "%d code points", n_wrong);
    static const struct {
        uint32_t point;
        mote_char_kind kind;
    } kinds[] = {{'a', 1},    {'Z', 1},    {'0', 2},     {'9', 2},    {' ', 3},    {'\n', 3},
                 {0x1C, 0},   {'\'', 0},   {'@', 0},     {'[', 0},    {0x85, 3},   {0xA0, 3},
                 {0xE9, 1},   {0xB2, 2},   {0x2028, 3},  {0x200B, 0}, {0x3000, 3}, {0x65E5, 1},
                 {0x4E00, 1}, {0x9FFF, 1}, {0x1F642, 0}, {0x0660, 2}, {0x0301, 0}, {0x10FFFF, 0}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        CHECK(mote_char_kind_of(kinds[i].point) == kinds[i].kind, "U+%04X", (unsigned)kinds[i].point);
    CHECK(mote_utf8_ceiling("a\xC3\xA9z", 4, 2) == 3 && mote_utf8_ceiling("a\xC3\xA9z", 4, 1) == 1 &&
              mote_utf8_ceiling("\xF0\x9F\x99\x82", 4, 1) == 4 && mote_utf8_ceiling("\x80\x80\x80\x80", 4, 2) == 2 &&
              mote_utf8_ceiling("abc", 3, 9) == 3,
          "");
}

/* Pieces, joined by '|'. */
static void pieces_are(const char *text, const char *expected) {
    char joined[512];
    size_t n = strlen(text), out = 0;
    for (size_t at = 0; at < n;) {
        size_t end = mote_piece_end(text, n, at);
        if (at) joined[out++] = '|';
        memcpy(joined + out, text + at, end - at);
        out += end - at;
        at = end;
    }
    joined[out] = 0;
    CHECK(strcmp(joined, expected) == 0, "'%s' became '%s'", text, joined);
}

static void pieces_are_gpt2s(void) {
    pieces_are("Hello world", "Hello| world");
    pieces_are("don't we'll they've I'D x'sy", "don|'t| we|'ll| they|'ve| I|'|D| x|'s|y");
    pieces_are("a  b   c \n\n d ", "a| | b|  | c| \n\n| d| ");
    pieces_are("\n\nfoo", "\n|\n|foo");
    pieces_are("x=3.14, 42km 'twas", "x|=|3|.|14|,| 42|km| '|twas");
    pieces_are("!'s '", "!'|s| '");
    pieces_are("caf\u00e9\u00a0\u00a0ok \u0661\u0662", "caf\u00e9|\u00a0|\u00a0|ok| \u0661\u0662");
    pieces_are("a\xFF\xFE z\x80", "a|\xFF\xFE| z|\x80");
    pieces_are("  ", "  ");
    size_t n = 3u << 20;
    char *run = malloc(n);
    memset(run, 'a', n);
    CHECK(mote_piece_end(run, n, 5) == 5 + (1u << 20), "a piece is bounded");
    free(run);
}

static void kinds_return_text(void) {
    enum { MOST = 2048 };
    static const int limits[] = {0, 0, 200, 400};
    char text[MOST * 4];
    mote_random random;
    mote_random_seed(&random, 1);
    for (int kind = MOTE_TOKENIZER_BYTE; kind <= MOTE_TOKENIZER_BPE; kind++) {
        mote_tokenizer *t = train((mote_tokenizer_kind)kind, limits[kind], sample, strlen(sample));
        if (!t) continue;
        CHECK(returns(t, sample, strlen(sample)), "%s", mote_tokenizer_name(t));
        CHECK(mote_tokenizer_end(t) == 0, "");
        bool exact = kind == MOTE_TOKENIZER_BYTE || kind == MOTE_TOKENIZER_BPE;
        for (int i = 0; i < 300; i++) {
            size_t n = mote_random_below(&random, MOST);
            if (i % 2) n = random_unicode(&random, text, n / 4);
            else
                for (size_t j = 0; j < n; j++) text[j] = (char)mote_random_next(&random);
            if (exact) CHECK(returns(t, text, n), "%s, text %d", mote_tokenizer_name(t), i);
            tokens ids = encode(t, text, n);
            for (size_t j = 0; j < ids.n; j++)
                if (ids.ids[j] <= 0 || ids.ids[j] >= mote_tokenizer_vocab(t)) CHECK(false, "token %d", ids.ids[j]);
            CHECK(ids.n <= n, "more tokens than bytes");
            mote_free(ids.ids);
        }
        int32_t outside = mote_tokenizer_vocab(t);
        char *back;
        size_t size;
        CHECK(mote_tokenizer_decode(t, &outside, 1, &back, &size, NULL) == MOTE_USAGE && !back, "");
        CHECK(mote_tokenizer_piece(t, 0, &size)[0] == 0 && size == 0 && mote_tokenizer_piece(t, -1, &size)[0] == 0, "");
        tokens none = encode(t, "", 0), control = encode(t, "<|endoftext|>", 13);
        CHECK(none.n == 0 && none.ids, "an empty text");
        for (size_t j = 0; j < control.n; j++) CHECK(control.ids[j] != 0, "text became the end token");
        mote_free(none.ids);
        mote_free(control.ids);
        mote_tokenizer_destroy(t);
    }
}

static void goldens(void) {
    mote_tokenizer *t = train(MOTE_TOKENIZER_CHAR, 0, "ba\xC3\xA9 ", 5);
    tokens ids = encode(t, "b\xC3\xA9zz\xFF \xC3", 8);
    static const int32_t expected[] = {4, 5, 1, 1, 1, 2, 1}; /* end, unk, ' ', a, b, é */
    CHECK(mote_tokenizer_vocab(t) == 6 && same_tokens(ids, (tokens){(int32_t *)(uintptr_t)expected, 7}), "char: %zu",
          ids.n);
    char *back;
    size_t n;
    CHECK(mote_tokenizer_decode(t, ids.ids, ids.n, &back, &n, NULL) == MOTE_OK, "");
    CHECK(strcmp(back, "b\xC3\xA9\uFFFD\uFFFD\uFFFD \uFFFD") == 0, "%s", back);
    mote_free(back);
    mote_free(ids.ids);
    mote_tokenizer_destroy(t);

    t = train(MOTE_TOKENIZER_BYTE, 0, "", 0);
    ids = encode(t, "A\xFF", 2);
    CHECK(mote_tokenizer_vocab(t) == 257 && ids.n == 2 && ids.ids[0] == 66 && ids.ids[1] == 256, "byte");
    mote_free(ids.ids);
    mote_tokenizer_destroy(t);

    /* " the" is most frequent, then "the"; pairs tie between (t,h) and (h,e), and h's id is lower */
    t = train(MOTE_TOKENIZER_BPE, 1000, "the the the the", 15);
    static const char *const pieces[] = {"he", "the", " the"};
    CHECK(mote_tokenizer_vocab(t) == 260, "bpe: %d tokens", mote_tokenizer_vocab(t));
    for (int i = 0; i < 3 && mote_tokenizer_vocab(t) == 260; i++)
        CHECK(strcmp(mote_tokenizer_piece(t, 257 + i, &n), pieces[i]) == 0, "%s", mote_tokenizer_piece(t, 257 + i, &n));
    mote_tokenizer_destroy(t);

    t = train(MOTE_TOKENIZER_WORD, 12, "to be or not to be to", 21);
    ids = encode(t, "to be tob\x01", 10);
    CHECK(mote_tokenizer_vocab(t) == 11, "word: %d tokens", mote_tokenizer_vocab(t));
    /* t|o| be| |t|o|b|<unk>: "to" without a space was seen once only */
    CHECK(ids.n == 8 && ids.ids[7] == 1, "word: %zu tokens", ids.n);
    mote_free(ids.ids);
    mote_tokenizer_destroy(t);
}

static void gpt2_vocabulary(void) {
    static const char path[] = "../shared/data/ggml-vocab-gpt-2.gguf", split[] = "\n__ggml_vocab_test__\n";
    mote_gguf file;
    mote_map inputs, outputs;
    mote_error error = {0};
    FILE *there = fopen(path, "rb");
    if (!there) {
        test_skip("no ../shared/data here: an optional folder of extra texts");
        return;
    }
    fclose(there);
    mote_tokenizer *t = NULL;
    CHECK(mote_gguf_open(path, &file, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_gguf_get_tokenizer(&file, &t, &error) == MOTE_OK, "%s", error.message);
    mote_gguf_close(&file);
    if (!t) return;
    CHECK(mote_tokenizer_vocab(t) == 50257 && mote_tokenizer_end(t) == 50256, "");
    CHECK(mote_map_open("../shared/data/ggml-vocab-gpt-2.gguf.inp", &inputs, &error) == MOTE_OK, "");
    CHECK(mote_map_open("../shared/data/ggml-vocab-gpt-2.gguf.out", &outputs, &error) == MOTE_OK, "");
    char *lines = calloc(outputs.size + 1, 1), *line = lines;
    memcpy(lines, outputs.bytes, outputs.size);
    const char *text = (const char *)inputs.bytes, *end = text + inputs.size;
    int n_texts = 0;
    while (*line || text < end) {
        const char *stop = memmem(text, (size_t)(end - text), split, strlen(split));
        size_t n = (size_t)((stop ? stop : end) - text);
        tokens ids = encode(t, text, n);
        char *line_end = strchr(line, '\n');
        bool ok = true;
        for (size_t i = 0; i < ids.n; i++) ok = ok && strtol(line, &line, 10) == ids.ids[i];
        while (*line == ' ') line++;
        CHECK(ok && line == line_end, "text %d '%.*s'", n_texts, (int)n, text);
        CHECK(returns(t, text, n), "text %d", n_texts);
        mote_free(ids.ids);
        n_texts++;
        if (!stop || !line_end) break;
        text = stop + strlen(split);
        line = line_end + 1;
    }
    CHECK(n_texts > 40, "%d texts", n_texts);
    free(lines);
    mote_map_close(&inputs);
    mote_map_close(&outputs);
    mote_tokenizer_destroy(t);
}

/* The tokenizer through its parts, with another kind than its own if `kind` is given. */
static mote_tokenizer *through_parts(const mote_tokenizer *t, const char *kind) {
    mote_arena arena = {0};
    mote_tokenizer_parts parts;
    mote_tokenizer *back = NULL;
    mote_error error = {0};
    CHECK(mote_tokenizer_to_parts(t, &arena, &parts, &error) == MOTE_OK, "%s", error.message);
    if (kind) parts.kind = (mote_string){kind, strlen(kind)};
    CHECK(mote_tokenizer_from_parts(&parts, "parts", &back, &error) == MOTE_OK, "%s", error.message);
    mote_arena_deinit(&arena);
    return back;
}

static void parts_keep_everything(void) {
    static const int limits[] = {0, 0, 200, 400};
    char text[4000];
    mote_random random;
    mote_random_seed(&random, 2);
    for (int kind = MOTE_TOKENIZER_BYTE; kind <= MOTE_TOKENIZER_BPE; kind++) {
        mote_tokenizer *t = train((mote_tokenizer_kind)kind, limits[kind], sample, strlen(sample)), *copy = NULL;
        mote_tokenizer *back = through_parts(t, NULL);
        /* readers that know nothing of kinds must see a plain GPT-2 BPE with the same ids */
        mote_tokenizer *plain = kind == MOTE_TOKENIZER_WORD ? through_parts(t, NULL) : through_parts(t, "");
        CHECK(mote_tokenizer_copy(t, &copy, NULL) == MOTE_OK, "");
        if (!back || !plain || !copy) return;
        CHECK(strcmp(mote_tokenizer_name(back), mote_tokenizer_name(t)) == 0, "");
        CHECK(back->end == t->end && back->unknown == t->unknown && back->n_tokens == t->n_tokens, "");
        tokens expected = encode(t, sample, strlen(sample)), others = encode(plain, sample, strlen(sample));
        CHECK(same_tokens(expected, others), "%s read as plain BPE: %zu and %zu tokens", mote_tokenizer_name(t),
              expected.n, others.n);
        mote_free(expected.ids);
        mote_free(others.ids);
        for (int i = 0; i < 50; i++) {
            size_t n = random_unicode(&random, text, 500);
            expected = encode(t, text, n);
            tokens b = encode(back, text, n), c = encode(copy, text, n);
            CHECK(same_tokens(expected, b) && same_tokens(expected, c), "%s, text %d", mote_tokenizer_name(t), i);
            mote_free(expected.ids);
            mote_free(b.ids);
            mote_free(c.ids);
        }
        mote_tokenizer_destroy(t);
        mote_tokenizer_destroy(back);
        mote_tokenizer_destroy(plain);
        mote_tokenizer_destroy(copy);
    }
}

/* ---- encoding: two ways, in parts, and hostile texts ------------------------------------------------------------ */

/* BPE as it is defined, without tricks. */
static size_t slow_bpe(const mote_tokenizer *t, const unsigned char *piece, size_t n, int32_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = (int32_t)t->byte_symbol[piece[i]];
    for (;;) {
        uint32_t best = MOTE_NO_INDEX;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            uint32_t rank = mote_pair_map_find(&t->ranks, (uint32_t)out[i], (uint32_t)out[i + 1]);
            if (rank < best) best = rank, at = i;
        }
        if (best == MOTE_NO_INDEX) return n;
        out[at] = (int32_t)t->merges[best].result;
        memmove(out + at + 1, out + at + 2, (n - at - 2) * sizeof *out);
        n--;
    }
}

static void long_and_short_pieces_agree(void) {
    mote_random random;
    mote_random_seed(&random, 3);
    enum { N = 4000 };
    char text[N];
    for (int i = 0; i < N; i++) text[i] = "aaabbc"[mote_random_below(&random, 6)];
    mote_tokenizer *t = train(MOTE_TOKENIZER_BPE, 400, text, N);
    for (size_t n = 1; n < 700; n += n < 130 ? 1 : 37) {
        int32_t slow[N];
        size_t n_slow = slow_bpe(t, (const unsigned char *)text + n, n, slow);
        tokens ids = encode(t, text + n, n);
        CHECK(same_tokens(ids, (tokens){slow, n_slow}), "%zu letters", n);
        mote_free(ids.ids);
    }
    mote_tokenizer_destroy(t);
}

static void parts_of_text_are_as_the_whole(void) {
    mote_random random;
    mote_random_seed(&random, 4);
    char text[8000];
    for (int kind = MOTE_TOKENIZER_BYTE; kind <= MOTE_TOKENIZER_BPE; kind++) {
        mote_tokenizer *t =
            train((mote_tokenizer_kind)kind, kind == MOTE_TOKENIZER_WORD ? 100 : 500, sample, strlen(sample));
        for (int i = 0; i < 60; i++) {
            size_t n = 0, at = 0;
            while (n < 2000) {
                size_t from = mote_random_below(&random, strlen(sample) - 40), some = mote_random_below(&random, 40);
                if (i % 3 == 0) n += random_unicode(&random, text + n, 10);
                memcpy(text + n, sample + from, some);
                n += some;
            }
            tokens whole = encode(t, text, n);
            mote_token_list list = {0};
            while (at < n) {
                size_t before = at;
                CHECK(mote_tokenizer_encode_part(t, text, n, &at, 1 + mote_random_below(&random, 50), &list, NULL) ==
                          MOTE_OK,
                      "");
                CHECK(at > before, "stands still");
            }
            CHECK(same_tokens(whole, (tokens){list.tokens, list.n}), "%s, text %d", mote_tokenizer_name(t), i);
            mote_free(whole.ids);
            mote_release(list.tokens);
        }
        mote_tokenizer_destroy(t);
    }
}

static void hostile_texts(void) {
    enum { N = 1000000 };
    char *text = malloc(N);
    static const char *const names[] = {"one letter", "spaces", "one-letter words", "zero bytes", "no word twice"};
    for (int which = 0; which < 5; which++) {
        size_t n = N;
        if (which == 0) memset(text, 'a', n);
        else if (which == 1) memset(text, ' ', n);
        else if (which == 3) memset(text, 0, n);
        else {
            n = 0;
            for (uint32_t i = 0; i < 100000; i++) {
                if (which == 2) n += (size_t)mote_utf8_encode(0x4E00 + i % 20000, text + n);
                else n += (size_t)snprintf(text + n, 8, "%05x", (unsigned)i);
                text[n++] = ' ';
            }
        }
        for (int kind = MOTE_TOKENIZER_CHAR; kind <= MOTE_TOKENIZER_BPE; kind++) {
            double start = mote_seconds();
            mote_tokenizer *t = train((mote_tokenizer_kind)kind, 2000, text, n);
            double trained = mote_seconds();
            CHECK(returns(t, text, n) || kind == MOTE_TOKENIZER_WORD, "%s, %s", names[which], mote_tokenizer_name(t));
            printf("     %s, %s: learned %.2f s, encoded %.2f s, %d tokens\n", names[which], mote_tokenizer_name(t),
                   trained - start, mote_seconds() - trained, mote_tokenizer_vocab(t));
            mote_tokenizer_destroy(t);
        }
    }
    free(text);
}

static void bpe_learns_the_same_and_fast(void) {
    mote_map map;
    mote_error error;
    if (mote_map_open("../shared/data/tinyshakespeare.txt", &map, &error)) {
        test_skip("no ../shared/data here: an optional folder of extra texts");
        return;
    }
    const char *text = (const char *)map.bytes;
    double start = mote_seconds();
    mote_tokenizer *a = train(MOTE_TOKENIZER_BPE, 4096, text, map.size);
    double learned = mote_seconds();
    tokens ids = encode(a, text, map.size);
    double encoded = mote_seconds();
    printf("     1.1 MB: 4096 tokens learned in %.2f s, encoded in %.3f s (%.1f MB/s), %.2f bytes a token\n",
           learned - start, encoded - learned, (double)map.size / 1e6 / (encoded - learned),
           (double)map.size / (double)ids.n);
    CHECK(mote_tokenizer_vocab(a) == 4096, "%d", mote_tokenizer_vocab(a));
    CHECK((double)map.size / (double)ids.n > 3, "%zu tokens", ids.n);
    CHECK(returns(a, text, map.size), "");
    mote_free(ids.ids);
    mote_tokenizer *b = train(MOTE_TOKENIZER_BPE, 4096, text, map.size);
    bool same = a->symbols.pool_size == b->symbols.pool_size && a->n_merges == b->n_merges &&
                !memcmp(a->symbols.pool, b->symbols.pool, a->symbols.pool_size) &&
                !memcmp(a->merges, b->merges, a->n_merges * sizeof *a->merges);
    CHECK(same, "two trainings differ");
    mote_tokenizer_destroy(a);
    mote_tokenizer_destroy(b);
    mote_map_close(&map);
}

/* The most frequent pair of all pieces by counting everything anew for every merge: what the fast learner must agree
 * with. */
static void bpe_agrees_with_counting(void) {
    enum { N = 600, MERGES = 60 };
    mote_random random;
    mote_random_seed(&random, 5);
    for (int round = 0; round < 20; round++) {
        char text[N];
        int32_t symbols[N + 1];
        size_t n = 0;
        for (int i = 0; i < N; i++) text[i] = "aab c"[mote_random_below(&random, 5)];
        mote_tokenizer *t = train(MOTE_TOKENIZER_BPE, 257 + MERGES, text, N);
        int32_t breaks[N] = {0}; /* 1: a piece begins with this symbol */
        for (size_t at = 0; at < N; at = mote_piece_end(text, N, at)) breaks[at] = 1;
        for (int i = 0; i < N; i++) symbols[n++] = 1 + (unsigned char)text[i];
        for (size_t m = 0; m < t->n_merges; m++) {
            int32_t best_left = -1, best_right = -1;
            int best = 1;
            for (size_t i = 0; i + 1 < n; i++) {
                int count = 0;
                if (breaks[i + 1]) continue;
                for (size_t j = 0; j + 1 < n; j++)
                    count += !breaks[j + 1] && symbols[j] == symbols[i] && symbols[j + 1] == symbols[i + 1];
                bool lower = symbols[i] < best_left || (symbols[i] == best_left && symbols[i + 1] < best_right);
                if (count > best || (count == best && best > 1 && lower))
                    best = count, best_left = symbols[i], best_right = symbols[i + 1];
            }
            CHECK((int32_t)t->merges[m].left == best_left && (int32_t)t->merges[m].right == best_right,
                  "round %d, merge %zu: %u %u instead of %d %d", round, m, t->merges[m].left, t->merges[m].right,
                  best_left, best_right);
            if (!test_ok) break;
            size_t kept = 0;
            for (size_t i = 0; i < n; kept++) {
                bool here = i + 1 < n && !breaks[i + 1] && symbols[i] == best_left && symbols[i + 1] == best_right;
                breaks[kept] = breaks[i];
                symbols[kept] = here ? (int32_t)t->merges[m].result : symbols[i];
                i += here ? 2 : 1;
            }
            n = kept;
        }
        mote_tokenizer_destroy(t);
    }
}

/* ---- files of others ------------------------------------------------------------------------------------------ */

#define STRING(text) ((mote_string){text, sizeof(text) - 1})

static mote_tokenizer_parts good_parts;
static mote_string good_tokens[300], good_merges[4];
static int32_t good_types[300];
static char good_text[256][4];

static void make_good_parts(void) {
    size_t n = 0;
    for (int i = 0, next = 256; i < 256; i++) {
        bool printable = (i >= 33 && i <= 126) || (i >= 161 && i <= 172) || i >= 174;
        int size = mote_utf8_encode((uint32_t)(printable ? i : next++), good_text[i]);
        good_types[n] = MOTE_TOKEN_NORMAL;
        good_tokens[n++] = (mote_string){good_text[i], (size_t)size};
    }
    good_tokens[n++] = STRING("th");
    good_tokens[n++] = STRING("\u0120the");
    good_tokens[n] = STRING("<|endoftext|>");
    good_types[256] = good_types[257] = MOTE_TOKEN_NORMAL;
    good_types[n++] = MOTE_TOKEN_CONTROL;
    good_merges[0] = STRING("t h");
    good_merges[1] = STRING("\u0120 th");
    good_merges[2] = STRING("\u0120th e");
    good_parts = mote_tokenizer_parts_none();
    good_parts.model = STRING("gpt2");
    good_parts.tokens = good_tokens;
    good_parts.types = good_types;
    good_parts.n_tokens = n;
    good_parts.merges = good_merges;
    good_parts.n_merges = 3;
    good_parts.end = 258;
}

static void refused(const char *what, const char *expected) {
    mote_tokenizer *t = NULL;
    mote_error error = {0};
    mote_status status = mote_tokenizer_from_parts(&good_parts, "bad.gguf", &t, &error);
    CHECK(status == MOTE_BAD_FILE && !t, "%s is taken", what);
    CHECK(strstr(error.message, expected) && strstr(error.message, "bad.gguf"), "%s: %s", what, error.message);
    mote_tokenizer_destroy(t);
    make_good_parts();
}

static void bad_parts_are_refused(void) {
    make_good_parts();
    mote_tokenizer *t = NULL;
    mote_error error = {0};
    CHECK(mote_tokenizer_from_parts(&good_parts, "good", &t, &error) == MOTE_OK, "%s", error.message);
    tokens ids = encode(t, "the the", 7);
    CHECK(ids.n == 3 && ids.ids[0] == 256 && ids.ids[2] == 257, "%zu tokens", ids.n);
    mote_free(ids.ids);
    mote_tokenizer_destroy(t);
#define REFUSED(change, expected)                                                                                      \
    do {                                                                                                               \
        change;                                                                                                        \
        refused(#change, expected);                                                                                    \
    } while (0)
    REFUSED(good_parts.model = STRING("llamas"), "'llamas' is not supported");
    REFUSED(good_parts.pre = STRING("llama-bpx"), "'llama-bpx' is not supported");
    REFUSED(good_parts.kind = STRING("unigram"), "'unigram'");
    REFUSED(good_parts.kind = STRING("word"), "'word'");
    REFUSED(good_parts.model = STRING("mote.word"); good_parts.kind = STRING("bpe"), "'bpe'");
    REFUSED(good_parts.model = STRING("mote.word"), "merges");
    REFUSED(good_parts.model = STRING("mote.word"); good_parts.n_merges = 0, "without an unknown token");
    REFUSED(good_parts.kind = STRING("byte"), "merges");
    REFUSED(good_parts.kind = STRING("char"), "not one character");
    REFUSED(good_parts.n_tokens = 0, "0 tokens");
    REFUSED(good_parts.end = 259, "end token 259");
    REFUSED(good_parts.end = -2, "end token -2");
    REFUSED(good_parts.unknown = 259, "unknown token 259");
    REFUSED(good_types[3] = 0, "type 0");
    REFUSED(good_types[3] = 6, "type 6");
    REFUSED(good_types[3] = -1, "type -1");
    REFUSED(good_types[3] = MOTE_TOKEN_CONTROL, "no token for the byte 0x03");
    REFUSED(good_tokens[256] = STRING("\xFF"), "not UTF-8");
    REFUSED(good_tokens[256] = STRING(""), "is empty");
    REFUSED(good_tokens[256] = STRING("a b"), "byte-to-unicode");
    REFUSED(good_tokens[256] = STRING("\u0144"), "byte-to-unicode");
    REFUSED(good_tokens[256] = STRING("a"), "are the same");
    REFUSED(good_tokens[65] = STRING("zz"), "no token for the byte 0x41");
    REFUSED(good_merges[0] = STRING(""), "two parts");
    REFUSED(good_merges[0] = STRING("th"), "two parts");
    REFUSED(good_merges[0] = STRING(" th"), "two parts");
    REFUSED(good_merges[0] = STRING("th "), "two parts");
    REFUSED(good_merges[0] = STRING("t h e"), "byte-to-unicode");
    REFUSED(good_merges[0] = STRING("t \xFF"), "byte-to-unicode");
    REFUSED(good_merges[0] = STRING("\n h"), "byte-to-unicode");
    REFUSED(good_merges[2] = STRING("t h"), "are the same");
    REFUSED(good_merges[2] = STRING("\u0120th x"), "neither a token nor merged later");
    REFUSED(good_parts.n_merges = 2, "neither a token nor merged later");
    REFUSED(good_merges[2] = STRING("<|endof text|>"), "not text");
    REFUSED(good_merges[2] = STRING("a <|endoftext|>"), "not text");
    /* the end is no text, whatever the types say */
    good_parts.types = NULL;
    CHECK(mote_tokenizer_from_parts(&good_parts, "good", &t, &error) == MOTE_OK, "%s", error.message);
    CHECK(t->types[258] == MOTE_TOKEN_CONTROL, "");
    mote_tokenizer_destroy(t);
    /* an unknown token that is the end token would let text end a document */
    make_good_parts();
    good_parts.unknown = 258;
    CHECK(mote_tokenizer_from_parts(&good_parts, "good", &t, &error) == MOTE_OK && t->unknown == -1, "");
    mote_tokenizer_destroy(t);
    good_tokens[65] = STRING("zz");
    refused("the end as unknown", "0x41");
}

static void bad_use_is_refused(void) {
    mote_tokenizer *t;
    CHECK(mote_tokenizer_train(MOTE_TOKENIZER_BPE, 256, "a", 1, &t, NULL) == MOTE_USAGE && !t, "");
    CHECK(mote_tokenizer_train(MOTE_TOKENIZER_WORD, 2, "a", 1, &t, NULL) == MOTE_USAGE && !t, "");
    CHECK(mote_tokenizer_train((mote_tokenizer_kind)7, 500, "a", 1, &t, NULL) == MOTE_USAGE && !t, "");
}

static mote_status whole_life(mote_tokenizer_kind kind, mote_error *error) {
    mote_tokenizer *t = NULL, *back = NULL, *copy = NULL;
    mote_arena arena = {0};
    mote_tokenizer_parts parts;
    int32_t *ids = NULL;
    char *text = NULL, run[200];
    size_t n, size;
    memset(run, 'a', sizeof run);
    mote_status status = mote_tokenizer_train(kind, 300, sample, strlen(sample), &t, error);
    if (!status) status = mote_tokenizer_to_parts(t, &arena, &parts, error);
    if (!status) status = mote_tokenizer_from_parts(&parts, "parts", &back, error);
    if (!status) status = mote_tokenizer_copy(back, &copy, error);
    if (!status) status = mote_tokenizer_encode(copy, run, sizeof run, &ids, &n, error);
    if (!status) status = mote_tokenizer_decode(copy, ids, n, &text, &size, error);
    mote_free(text);
    mote_free(ids);
    mote_arena_deinit(&arena);
    mote_tokenizer_destroy(t);
    mote_tokenizer_destroy(back);
    mote_tokenizer_destroy(copy);
    return status;
}

static void memory_that_fails(void) {
    for (int kind = MOTE_TOKENIZER_BYTE; kind <= MOTE_TOKENIZER_BPE; kind++) {
        bool failed = true;
        int k = 0;
        for (; k < 5000 && failed; k++) {
            mote_error error = {0};
            failing_memory_begin();
            failing_memory_fail_at(k);
            mote_status status = whole_life((mote_tokenizer_kind)kind, &error);
            failed = failing_memory_failed();
            CHECK(status == (failed ? MOTE_MEMORY : MOTE_OK), "allocation %d: status %d %s", k, (int)status,
                  error.message);
            CHECK(failing_memory_live() == 0, "allocation %d: %d blocks leak", k, failing_memory_live());
            failing_memory_end();
        }
        CHECK(!failed && k > 10, "%d allocations", k);
    }
}

int main(void) {
    RUN(utf8_is_strict);
    RUN(pieces_are_gpt2s);
    RUN(kinds_return_text);
    RUN(goldens);
    RUN(gpt2_vocabulary);
    RUN(parts_keep_everything);
    RUN(long_and_short_pieces_agree);
    RUN(parts_of_text_are_as_the_whole);
    RUN(hostile_texts);
    RUN(bpe_learns_the_same_and_fast);
    RUN(bpe_agrees_with_counting);
    RUN(bad_parts_are_refused);
    RUN(bad_use_is_refused);
    RUN(memory_that_fails);
    return test_finish();
}
