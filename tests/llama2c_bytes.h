/* Files of llama2.c written by hand: models of all three versions and tokenizers, with any field wrong. */
#ifndef MOTE_TESTS_LLAMA2C_BYTES_H
#define MOTE_TESTS_LLAMA2C_BYTES_H

#include <stdint.h>
#include <string.h>

typedef struct {
    _Alignas(64) uint8_t bytes[1 << 14];
    size_t size;
} llama2c_bytes;

/* dim, hidden, layers, heads, kv heads, vocabulary (negative: a head of its own), context */
typedef struct {
    int32_t dim, hidden, layers, heads, kv_heads, vocab, context;
} llama2c_shape;

static inline void llama2c_put(llama2c_bytes *b, const void *bytes, size_t n) {
    if (n > sizeof b->bytes - b->size) n = sizeof b->bytes - b->size;
    memcpy(b->bytes + b->size, bytes, n);
    b->size += n;
}
static inline void llama2c_u32(llama2c_bytes *b, uint32_t value) { llama2c_put(b, &value, sizeof value); }
static inline void llama2c_f32(llama2c_bytes *b, float value) { llama2c_put(b, &value, sizeof value); }
static inline void llama2c_zeros(llama2c_bytes *b, size_t n) {
    for (size_t i = 0; i < n; i++) llama2c_put(b, "", 1);
}

/* Value i of weight `kind` of a layer: exact in f32, different for all. */
static inline float llama2c_value(int kind, int layer, size_t i) {
    return (float)((int)(i * 7 + (size_t)(kind * 13 + layer * 5)) % 61 - 30) / 32;
}
/* The same as version 2 has it: a code times the scale of its group. */
static inline int llama2c_code(int kind, int layer, size_t i) {
    return (int)(i * 7 + (size_t)(kind * 13 + layer * 5)) % 61 - 30;
}
static inline float llama2c_scale(size_t group) { return 1.0f / (float)(8 << group % 4); }

/* In the order of version 0: embedding, attention norm, q, k, v, output, feed norm, gate, down, up, norm, head. */
enum { L2_TABLE, L2_NORM1, L2_Q, L2_K, L2_V, L2_O, L2_NORM2, L2_W1, L2_W2, L2_W3, L2_NORM, L2_HEAD, L2_KINDS };
static const char *const llama2c_names[L2_KINDS] = {"token_embd", "attn_norm", "attn_q",   "attn_k", "attn_v",
                                                    "attn_output", "ffn_norm", "ffn_gate", "ffn_down", "ffn_up",
                                                    "output_norm", "output"};
static inline int llama2c_is_layered(int kind) { return kind >= L2_NORM1 && kind <= L2_W3; }
static inline int llama2c_is_matrix(int kind) { return kind != L2_NORM1 && kind != L2_NORM2 && kind != L2_NORM; }

static inline size_t llama2c_count(const llama2c_shape *s, int kind) {
    size_t dim = (size_t)s->dim, kv = dim / (size_t)s->heads * (size_t)s->kv_heads, hidden = (size_t)s->hidden;
    size_t vocab = (size_t)(s->vocab < 0 ? -s->vocab : s->vocab);
    switch (kind) {
    case L2_TABLE: case L2_HEAD: return vocab * dim;
    case L2_Q: case L2_O: return dim * dim;
    case L2_K: case L2_V: return kv * dim;
    case L2_W1: case L2_W2: case L2_W3: return hidden * dim;
    default: return dim;
    }
}

static inline void llama2c_kind(llama2c_bytes *b, const llama2c_shape *s, int kind, int group) {
    for (int layer = 0; layer < (llama2c_is_layered(kind) ? s->layers : 1); layer++) {
        size_t n = llama2c_count(s, kind);
        for (size_t i = 0; i < n; i++) {
            int8_t code = (int8_t)llama2c_code(kind, layer, i);
            if (group) llama2c_put(b, &code, 1);
            else llama2c_f32(b, llama2c_value(kind, layer, i));
        }
        for (size_t g = 0; group && g < n / (size_t)group; g++) llama2c_f32(b, llama2c_scale(g));
    }
}

static inline void llama2c_fields(llama2c_bytes *b, const llama2c_shape *s, int version) {
    int32_t field[7] = {s->dim, s->hidden, s->layers, s->heads, s->kv_heads, s->vocab, s->context};
    if (version && field[5] < 0) field[5] = -field[5];
    llama2c_put(b, field, sizeof field);
}

static inline void llama2c_write(llama2c_bytes *b, const llama2c_shape *s, int version, int group) {
    static const int order_1[] = {L2_NORM1, L2_NORM2, L2_NORM, L2_TABLE, L2_Q, L2_K, L2_V, L2_O, L2_W1, L2_W2, L2_W3};
    b->size = 0;
    if (version) llama2c_u32(b, 0x616b3432), llama2c_u32(b, (uint32_t)version);
    llama2c_fields(b, s, version);
    if (version) {
        llama2c_put(b, &(uint8_t){s->vocab > 0}, 1);
        if (version == 2) llama2c_u32(b, (uint32_t)group);
        llama2c_zeros(b, 256 - b->size);
        for (size_t i = 0; i < sizeof order_1 / sizeof *order_1; i++)
            llama2c_kind(b, s, order_1[i], version == 2 && llama2c_is_matrix(order_1[i]) ? group : 0);
    } else {
        for (int kind = L2_TABLE; kind <= L2_NORM; kind++) llama2c_kind(b, s, kind, 0);
        llama2c_zeros(b, 4 * (size_t)s->context * (size_t)(s->dim / s->heads));
    }
    if (s->vocab < 0) llama2c_kind(b, s, L2_HEAD, version == 2 ? group : 0);
}

/* A tokenizer of 259 tokens and a few pieces. */
static inline void llama2c_token(llama2c_bytes *b, float score, const char *text) {
    llama2c_f32(b, score);
    llama2c_u32(b, (uint32_t)strlen(text));
    llama2c_put(b, text, strlen(text));
}
static inline void llama2c_write_tokenizer(llama2c_bytes *b) {
    static const char digits[] = "0123456789ABCDEF";
    static const char *const pieces[] = {" ", "a", "b", "ab", " a", " ab", "\xc3\xa9"};
    b->size = 0;
    llama2c_u32(b, 6);
    llama2c_token(b, 0, "<unk>");
    llama2c_token(b, 0, "\n<s>\n");
    llama2c_token(b, 0, "\n</s>\n");
    for (int i = 0; i < 256; i++) {
        char text[8] = {'<', '0', 'x', digits[i / 16], digits[i % 16], '>', 0};
        llama2c_token(b, 0, text);
    }
    for (int i = 0; i < 7; i++) llama2c_token(b, (float)-i, pieces[i]);
}

#endif
