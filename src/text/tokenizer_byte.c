/* Tokenizers without pieces: a token for each byte, or for each character of the training text. */
#include "text/tokenizer_core.h"

void mote_byte_encode(const mote_tokenizer *tokenizer, const char *text, size_t n, mote_token_list *list) {
    int32_t *out = list->tokens + list->n;
    for (size_t i = 0; i < n; i++) out[i] = (int32_t)tokenizer->byte_symbol[(unsigned char)text[i]];
    list->n += n;
}

/* What the vocabulary lacks, and each byte that is not UTF-8, becomes <unk>. */
void mote_char_encode(const mote_tokenizer *tokenizer, const char *text, size_t n, mote_token_list *list) {
    for (size_t at = 0; at < n;) {
        uint32_t point, symbol;
        int length = mote_utf8_decode(text + at, n - at, &point);
        if (length == 0) symbol = MOTE_NO_INDEX, length = 1;
        else if (length == 1) symbol = tokenizer->byte_symbol[point];
        else symbol = mote_string_set_find(&tokenizer->symbols, text + at, (size_t)length);
        list->tokens[list->n++] = mote_token_is_text(tokenizer, symbol) ? (int32_t)symbol : tokenizer->unknown;
        at += (size_t)length;
    }
}
