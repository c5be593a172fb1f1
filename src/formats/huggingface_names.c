/* Names of tensors, GGUF's and transformers', one row a tensor of a layer: the only place that knows both. */
#include <stdio.h>
#include <string.h>

#include "formats/huggingface.h"

enum {
    GPT2 = 1 << MOTE_FAMILY_GPT2,
    GEMMA = 1 << MOTE_FAMILY_GEMMA3,
    TWO_NORMS = 1 << MOTE_FAMILY_LLAMA | 1 << MOTE_FAMILY_QWEN2 | 1 << MOTE_FAMILY_QWEN3 | 1 << MOTE_FAMILY_SMOLLM3,
    LLAMA_LIKE = TWO_NORMS | GEMMA
};

/* Without ".weight" and ".bias". %d: the layer. */
static const struct {
    unsigned families;
    const char *here, *there;
    mote_huggingface_change change; /* of the weight; PAIRS: where the program turns adjacent pairs, bias too */
} rows[] = {
    {LLAMA_LIKE, "token_embd", "model.embed_tokens", MOTE_CHANGE_NONE},
    {TWO_NORMS, "output_norm", "model.norm", MOTE_CHANGE_NONE},
    {GEMMA, "output_norm", "model.norm", MOTE_CHANGE_ONE},
    {LLAMA_LIKE | GPT2, "output", "lm_head", MOTE_CHANGE_NONE},
    {TWO_NORMS, "blk.%d.attn_norm", "model.layers.%d.input_layernorm", MOTE_CHANGE_NONE},
    {GEMMA, "blk.%d.attn_norm", "model.layers.%d.input_layernorm", MOTE_CHANGE_ONE},
    {LLAMA_LIKE, "blk.%d.attn_q", "model.layers.%d.self_attn.q_proj", MOTE_CHANGE_PAIRS},
    {LLAMA_LIKE, "blk.%d.attn_k", "model.layers.%d.self_attn.k_proj", MOTE_CHANGE_PAIRS},
    {LLAMA_LIKE, "blk.%d.attn_v", "model.layers.%d.self_attn.v_proj", MOTE_CHANGE_NONE},
    {TWO_NORMS, "blk.%d.attn_q_norm", "model.layers.%d.self_attn.q_norm", MOTE_CHANGE_NONE},
    {TWO_NORMS, "blk.%d.attn_k_norm", "model.layers.%d.self_attn.k_norm", MOTE_CHANGE_NONE},
    {GEMMA, "blk.%d.attn_q_norm", "model.layers.%d.self_attn.q_norm", MOTE_CHANGE_ONE},
    {GEMMA, "blk.%d.attn_k_norm", "model.layers.%d.self_attn.k_norm", MOTE_CHANGE_ONE},
    {LLAMA_LIKE, "blk.%d.attn_output", "model.layers.%d.self_attn.o_proj", MOTE_CHANGE_NONE},
    {GEMMA, "blk.%d.post_attention_norm", "model.layers.%d.post_attention_layernorm", MOTE_CHANGE_ONE},
    {TWO_NORMS, "blk.%d.ffn_norm", "model.layers.%d.post_attention_layernorm", MOTE_CHANGE_NONE},
    {GEMMA, "blk.%d.ffn_norm", "model.layers.%d.pre_feedforward_layernorm", MOTE_CHANGE_ONE},
    {LLAMA_LIKE, "blk.%d.ffn_gate", "model.layers.%d.mlp.gate_proj", MOTE_CHANGE_NONE},
    {LLAMA_LIKE, "blk.%d.ffn_up", "model.layers.%d.mlp.up_proj", MOTE_CHANGE_NONE},
    {LLAMA_LIKE, "blk.%d.ffn_down", "model.layers.%d.mlp.down_proj", MOTE_CHANGE_NONE},
    {GEMMA, "blk.%d.post_ffw_norm", "model.layers.%d.post_feedforward_layernorm", MOTE_CHANGE_ONE},
    {GPT2, "token_embd", "transformer.wte", MOTE_CHANGE_NONE},
    {GPT2, "position_embd", "transformer.wpe", MOTE_CHANGE_NONE},
    {GPT2, "blk.%d.attn_norm", "transformer.h.%d.ln_1", MOTE_CHANGE_NONE},
    {GPT2, "blk.%d.attn_qkv", "transformer.h.%d.attn.c_attn", MOTE_CHANGE_TRANSPOSE},
    {GPT2, "blk.%d.attn_output", "transformer.h.%d.attn.c_proj", MOTE_CHANGE_TRANSPOSE},
    {GPT2, "blk.%d.ffn_norm", "transformer.h.%d.ln_2", MOTE_CHANGE_NONE},
    {GPT2, "blk.%d.ffn_up", "transformer.h.%d.mlp.c_fc", MOTE_CHANGE_TRANSPOSE},
    {GPT2, "blk.%d.ffn_down", "transformer.h.%d.mlp.c_proj", MOTE_CHANGE_TRANSPOSE},
    {GPT2, "output_norm", "transformer.ln_f", MOTE_CHANGE_NONE},
};
enum { N_ROWS = sizeof rows / sizeof rows[0] };

/* What follows the pattern in the name, its layer in *layer; NULL: another name. */
static const char *match(const char *pattern, const char *name, int *layer) {
    *layer = 0;
    while (*pattern) {
        if (pattern[0] == '%' && pattern[1] == 'd') {
            if (*name < '0' || *name > '9') return NULL;
            for (; *name >= '0' && *name <= '9' && *layer < MOTE_MOST_LAYERS; name++)
                *layer = *layer * 10 + (*name - '0');
            pattern += 2;
        } else if (*pattern++ != *name++) {
            return NULL;
        }
    }
    return name;
}

static bool turns_adjacent(const mote_program *program) {
    for (int i = 0; i < program->n_ops; i++)
        if (program->ops[i].kind == MOTE_OP_ROPE) return !program->ops[i].as.rope.halves;
    return false;
}

static void join(const char *pattern, int layer, bool weight, char name[MOTE_NAME_BYTES]) {
    const char *number = strstr(pattern, "%d"), *suffix = weight ? ".weight" : ".bias";
    if (number)
        snprintf(name, MOTE_NAME_BYTES, "%.*s%d%s%s", (int)(number - pattern), pattern, layer, number + 2, suffix);
    else snprintf(name, MOTE_NAME_BYTES, "%s%s", pattern, suffix);
}

bool mote_huggingface_name(const mote_program *program, const mote_config *config, int id, char name[MOTE_NAME_BYTES],
                           mote_huggingface_change *change) {
    for (int i = 0; i < N_ROWS; i++) {
        int layer;
        if (!(rows[i].families >> config->family & 1)) continue;
        const char *suffix = match(rows[i].here, program->tensors[id].name, &layer);
        bool weight = suffix && strcmp(suffix, ".weight") == 0;
        if (!weight && !(suffix && strcmp(suffix, ".bias") == 0)) continue;
        join(rows[i].there, layer, weight, name);
        *change = weight || rows[i].change == MOTE_CHANGE_PAIRS ? rows[i].change : MOTE_CHANGE_NONE;
        if (*change == MOTE_CHANGE_PAIRS && !turns_adjacent(program)) *change = MOTE_CHANGE_NONE;
        return true;
    }
    return false;
}

int mote_huggingface_zero_bias(const mote_huggingface_shape *shape, const mote_program *program, int id,
                               char name[MOTE_NAME_BYTES]) {
    static const char suffix[] = ".weight";
    const mote_tensor *weight = &program->tensors[id];
    mote_huggingface_change change;
    bool gpt2 = shape->config.family == MOTE_FAMILY_GPT2, gain = weight->rows == 1 && !weight->matrix;
    if (!shape->zero_biases || weight->role != MOTE_ROLE_WEIGHT) return 0;
    if (!gpt2 && !strstr(weight->name, ".attn_output")) return 0;
    if (!gain && !weight->matrix) return 0;
    if (!mote_huggingface_name(program, &shape->config, id, name, &change)) return 0;
    char *end = name + strlen(name) - (sizeof suffix - 1);
    if (strcmp(end, suffix) != 0 || strcmp(name, "lm_head.weight") == 0) return 0;
    memcpy(end, ".bias", sizeof ".bias");
    return gain ? weight->cols : weight->rows;
}

static bool ends_with(mote_string name, const char *end) {
    size_t n = strlen(end);
    return name.size >= n && memcmp(name.bytes + name.size - n, end, n) == 0;
}

bool mote_huggingface_ignores(mote_family family, mote_string name) {
    if (family == MOTE_FAMILY_GPT2) return ends_with(name, ".attn.bias") || ends_with(name, ".attn.masked_bias");
    return ends_with(name, ".rotary_emb.inv_freq");
}
