/* GGUF's tokenizer.ggml.pre: the names llama.cpp writes, and the expressions they stand for, as its llama-vocab.cpp has
 * them. Where that spells a category out for its own engine, the category stands here. */
#include <string.h>

#include "text/staged.h"

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"
#define TRY "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define WORDS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define OTHERS "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+"
#define SPACES "|\\s+(?!\\S)|\\s+"
#define LLAMA3 TRY WORDS "|\\p{N}{1,3}" OTHERS SPACES
#define QWEN2 TRY WORDS "|\\p{N}" OTHERS SPACES
#define CASED_ONE "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
#define CASED_TWO "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
#define SLASHED "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+"
#define GPT4O CASED_ONE TRY "?" CASED_TWO TRY "?|\\p{N}{1,3}" SLASHED SPACES
#define DEEPSEEK3                                                                                                      \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "              \
    "?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+" SPACES
#define BLOOM " ?[^(\\s|.,!?\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C)]+"
/* The letters with case that DeepSeek's tokenizer.json lists, which leaves out modifiers and others. */
#define CASED_LETTERS                                                                                                  \
    "A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF\u0370-\u0373\u0376"    \
    "\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F"           \
    "\u0531-\u0556\u10A0-\u10C5\u13A0-\u13F5\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77"         \
    "\u1D79-\u1D9A\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D"    \
    "\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4"   \
    "\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139"      \
    "\u213C-\u213F\u2145-\u2149\u214E\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D"     \
    "\uA680-\uA69B\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A"         \
    "\uFF41-\uFF5A\U00010400-\U0001044F\U000104B0-\U000104D3\U000104D8-\U000104FB\U00010C80-\U00010CB2"                \
    "\U00010CC0-\U00010CF2\U000118A0-\U000118DF\U0001E900-\U0001E943"
#define CJK "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+"
#define PATTERNS(name, ...) static const char *const name[] = {__VA_ARGS__, NULL}
PATTERNS(by_default, "[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]");
PATTERNS(gpt2, GPT2);
PATTERNS(llama3, LLAMA3);
PATTERNS(qwen2, QWEN2);
PATTERNS(qwen35,
         TRY "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+" SPACES);
PATTERNS(jais2, TRY WORDS
         "|\\p{N}{1,3}" OTHERS
         "|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)|"
         "\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}");
PATTERNS(deepseek_llm, "[\\r\\n]", "\\s?[" CASED_LETTERS "]+",
         "\\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+", "\\s+$", CJK, "\\p{N}+");
PATTERNS(deepseek_coder, "[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK, "\\p{N}");
PATTERNS(deepseek_v3, "\\p{N}{1,3}", "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+", DEEPSEEK3);
PATTERNS(youtu,
         "[\uAC00-\uD7A3\u3131-\u318E]+|[\uFF01\u2026\u201C\u201D\u2018\u2019\u2014\uFF1A\uFF1B\uFF0C\u3001-\u303F"
         "\uFE30-\uFE4F]+|[\u3105-\u312F]+|[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+",
         CASED_ONE TRY "?" CASED_TWO TRY "?|\\p{N}" SLASHED SPACES);
PATTERNS(falcon, "[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]");
PATTERNS(starcoder, "\\p{N}", GPT2);
PATTERNS(bloom, BLOOM);
PATTERNS(viking, BLOOM, "\\p{N}");
PATTERNS(tekken, CASED_ONE CASED_TWO "|\\p{N}" SLASHED SPACES);
PATTERNS(chameleon, "<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )", "\\p{N}",
         "[\\p{P}!-/:-@\\[-`{-~]", GPT2);
PATTERNS(gpt4o, GPT4O);
PATTERNS(tiny_aya, "\\d{1,3}(?=(?:\\d{3})*\\b)", GPT4O);
PATTERNS(superbpe, "\\p{N}+", "(?=(\\d{3})+(?!\\d))");
PATTERNS(bailing, "'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])" WORDS
                  "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]" SPACES);
PATTERNS(seed_coder, TRY WORDS "|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+" SPACES);
PATTERNS(exaone_moe, TRY "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| "
                         "?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]" SPACES);
PATTERNS(kimi, "\\p{Han}+",
         "[^\\r\\n\\p{L}\\p{N}]?(?:(?!\\p{Han})[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}])*"
         "(?:(?!\\p{Han})[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}])+" TRY
         "?|[^\\r\\n\\p{L}\\p{N}]?(?:(?!\\p{Han})[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}])+"
         "(?:(?!\\p{Han})[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}])*" TRY "?|\\p{N}{1,3}" OTHERS SPACES);

/* The first row with some patterns is the one that is written. */
static const mote_pre_tokenizer rows[] = {
    {"gpt-2", gpt2, false, false},
    {"llama-bpe", llama3, true, true},
    {"qwen2", qwen2, false, false},
    {"default", by_default, false, false},
    {"llama3", llama3, true, true},
    {"llama-v3", llama3, true, true},
    {"falcon3", llama3, true, true},
    {"falcon-h1", llama3, true, true},
    {"pixtral", llama3, true, true},
    {"midm-2.0", llama3, true, true},
    {"lfm2", llama3, true, true},
    {"jina-v5-nano", llama3, true, true},
    {"deepseek-llm", deepseek_llm, false, false},
    {"deepseek-coder", deepseek_coder, false, false},
    {"deepseek-v3", deepseek_v3, false, false},
    {"hunyuan-dense", deepseek_v3, false, false},
    {"joyai-llm", deepseek_v3, false, false},
    {"youtu", youtu, true, false},
    {"falcon", falcon, false, false},
    {"mpt", gpt2, false, false},
    {"starcoder", starcoder, false, false},
    {"refact", starcoder, false, false},
    {"command-r", starcoder, false, false},
    {"smollm", starcoder, false, false},
    {"codeshell", starcoder, false, false},
    {"exaone", starcoder, false, false},
    {"minerva-7b", starcoder, false, false},
    {"phi-2", gpt2, false, false},
    {"jina-es", gpt2, false, false},
    {"jina-de", gpt2, false, false},
    {"jina-v1-en", gpt2, false, false},
    {"jina-v2-es", gpt2, false, false},
    {"jina-v2-de", gpt2, false, false},
    {"jina-v2-code", gpt2, false, false},
    {"gigachat", gpt2, false, false},
    {"a.x-4.0", gpt2, false, false},
    {"mellum", gpt2, false, false},
    {"modern-bert", gpt2, false, false},
    {"roberta-bpe", gpt2, false, false},
    {"olmo", gpt2, false, false},
    {"jais", gpt2, false, false},
    {"jais-2", jais2, false, false},
    {"trillion", gpt2, false, false},
    {"granite-docling", gpt2, false, false},
    {"exaone4", gpt2, false, false},
    {"stablelm2", qwen2, false, false},
    {"deepseek-r1-qwen", qwen2, false, false},
    {"kormo", qwen2, false, false},
    {"f2llmv2", qwen2, false, false},
    {"megrez", qwen2, false, false},
    {"hunyuan", qwen2, false, false},
    {"solar-open", qwen2, false, false},
    {"grok-2", qwen2, false, false},
    {"laguna", qwen2, false, false},
    {"qwen35", qwen35, false, false},
    {"dbrx", llama3, false, false},
    {"smaug-bpe", llama3, false, false},
    {"chatglm-bpe", llama3, false, false},
    {"glm4", llama3, false, false},
    {"poro-chat", bloom, false, false},
    {"bloom", bloom, false, false},
    {"gpt3-finnish", bloom, false, false},
    {"viking", viking, false, false},
    {"tekken", tekken, true, true},
    {"chameleon", chameleon, false, true},
    {"gpt-4o", gpt4o, false, false},
    {"llama4", gpt4o, false, false},
    {"kanana2", gpt4o, false, false},
    {"minimax-m2", gpt4o, false, false},
    {"tiny_aya", tiny_aya, false, false},
    {"superbpe", superbpe, false, false},
    {"bailingmoe", bailing, false, false},
    {"bailingmoe2", bailing, false, false},
    {"llada-moe", bailing, false, false},
    {"seed-coder", seed_coder, false, false},
    {"exaone-moe", exaone_moe, false, false},
    {"kimi-k2", kimi, false, false},
};

const mote_pre_tokenizer *mote_pre_tokenizer_find(mote_string name) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (mote_string_is(name, rows[i].name)) return &rows[i];
    return NULL;
}

/* Whether a step is a split at this pattern; two spellings of a famous one are the same. */
static bool is_pattern(const mote_step *step, const char *pattern) {
    mote_matcher a, b;
    bool isolated = step->behavior == MOTE_SPLIT_ISOLATED || (step->behavior == MOTE_SPLIT_REMOVED && step->invert);
    if (step->kind == MOTE_STEP_DIGITS) return strcmp(pattern, step->individual ? "\\p{N}" : "\\p{N}+") == 0;
    if (step->kind != MOTE_STEP_SPLIT || !step->regex || !isolated) return false;
    if (mote_match_native(step->text.bytes, step->text.size, &a) && mote_match_native(pattern, strlen(pattern), &b))
        return a.match == b.match && a.digits == b.digits;
    return mote_string_is(step->text, pattern);
}

const char *mote_pre_tokenizer_name(const mote_pipeline *pipeline) {
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        const char *const *patterns = rows[row].patterns;
        bool same = pipeline->byte_level && pipeline->ignore_merges == rows[row].ignore_merges;
        for (size_t i = 0; i < pipeline->n_steps && same; i++) {
            const mote_step *step = &pipeline->steps[i];
            if (mote_step_stage(step->kind) == MOTE_STAGE_DECODER) break;
            if (step->kind == MOTE_STEP_NFC) continue; /* llama.cpp takes text to be in it */
            if (step->kind == MOTE_STEP_BYTE_LEVEL && !step->add_prefix_space) {
                if (step->use_regex) same = *patterns && strcmp(*patterns, GPT2) == 0 && patterns++;
                continue;
            }
            same = *patterns && is_pattern(step, *patterns) && patterns++;
        }
        if (same && !*patterns) return rows[row].name;
    }
    return "";
}
