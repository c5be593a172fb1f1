/* mote: the whole life of a tiny transformer. This header is the whole public API (measuring: measure.h).
 *
 * Objects are opaque handles. create/destroy and open/close come in pairs. What can fail returns a mote_status
 * and takes a last mote_error * (may be NULL) that receives one sentence. Options structs begin with struct_bytes:
 * set them with the matching *_default() function, then change what you need.
 * Strings handed out as char ** are the caller's and are released with mote_free. Nothing here prints, exits or
 * reads the environment. A model may be shared by many sessions in many threads; every other object is one thread's.
 * A thread that calls the library needs 128 KiB of stack, as musl gives it; those it starts itself have 1 MiB. */
#ifndef MOTE_H
#define MOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOTE_API __attribute__((visibility("default")))
#define MOTE_VERSION "0.1.0"

/* ---- status ------------------------------------------------------------------------------------------------- */

/* name, exit code of the command, meaning */
#define MOTE_STATUS_LIST(X)                                                                                            \
    X(OK, 0, "ok")                                                                                                     \
    X(FAILED, 1, "failed")                                                                                             \
    X(USAGE, 2, "wrong use")                                                                                           \
    X(BAD_FILE, 3, "bad input file")                                                                                   \
    X(GATE, 4, "a gate was not met")                                                                                   \
    X(DIVERGED, 5, "training diverged")                                                                                \
    X(MEMORY, 6, "does not fit in memory")                                                                             \
    X(IO, 7, "input/output error")                                                                                     \
    X(INTERRUPTED, 8, "interrupted and saved")

typedef enum {
#define X(name, code, text) MOTE_##name = code,
    MOTE_STATUS_LIST(X)
#undef X
} mote_status;

typedef struct {
    mote_status status;
    char message[512]; /* one sentence: what, where, why */
    char hint[256];    /* what to do next, or "" */
} mote_error;

MOTE_API const char *mote_status_text(mote_status status);
MOTE_API const char *mote_version(void);
MOTE_API void mote_free(void *pointer);

/* Memory hooks for the whole process; call before anything else. allocate returns NULL when it cannot. */
typedef struct {
    void *(*allocate)(void *context, size_t bytes); /* aligned as malloc's */
    void (*release)(void *context, void *pointer);
    void *context;
} mote_memory_hooks;
MOTE_API void mote_memory_use(const mote_memory_hooks *hooks);

/* ---- processor ---------------------------------------------------------------------------------------------- */

enum {
    MOTE_CPU_AVX2 = 1,
    MOTE_CPU_AVX512 = 2,
    MOTE_CPU_NEON = 4,
    MOTE_CPU_VNNI = 8,     /* with AVX-512: its VNNI and VBMI */
    MOTE_CPU_DOTPROD = 16, /* with NEON */
    MOTE_CPU_BF16 = 32,    /* with AVX-512: its dot products of bf16 */
    MOTE_CPU_ALL = -1
};
/* What this processor has, as MOTE_CPU_ bits. */
MOTE_API unsigned mote_cpu_detect(void);
/* Restricts the kernels to the given bits (0: the scalar reference). Call before any session or trainer exists. */
MOTE_API void mote_cpu_restrict(unsigned mask);
MOTE_API int mote_cpu_cores(void);
/* Checks every kernel slot in use against the scalar reference; a table, one line a slot, in *report. */
MOTE_API mote_status mote_kernels_selftest(char **report, mote_error *error);

/* ---- tokenizer ---------------------------------------------------------------------------------------------- */

typedef struct mote_tokenizer mote_tokenizer;

/* The first four can be trained; the others come from files of others. */
typedef enum {
    MOTE_TOKENIZER_BYTE,
    MOTE_TOKENIZER_CHAR,
    MOTE_TOKENIZER_WORD,
    MOTE_TOKENIZER_BPE,
    MOTE_TOKENIZER_SENTENCEPIECE, /* pairs joined by the score of the whole, bytes as fallback (llama, llama2.c) */
    MOTE_TOKENIZER_UNIGRAM,       /* the likeliest split (Kudo 2018) */
    MOTE_TOKENIZER_WORDPIECE      /* the longest match from the left (BERT) */
} mote_tokenizer_kind;

/* Trains on a sample of UTF-8 text. vocab_limit bounds word and bpe vocabularies, special tokens included. */
MOTE_API mote_status mote_tokenizer_train(mote_tokenizer_kind kind, int vocab_limit, const char *text, size_t bytes,
                                          mote_tokenizer **tokenizer, mote_error *error);
MOTE_API void mote_tokenizer_destroy(mote_tokenizer *tokenizer);
MOTE_API const char *mote_tokenizer_name(const mote_tokenizer *tokenizer); /* "byte", "char", "word", "bpe", ... */
MOTE_API int mote_tokenizer_vocab(const mote_tokenizer *tokenizer);
MOTE_API int32_t mote_tokenizer_end(const mote_tokenizer *tokenizer); /* the token between documents, or -1 */
MOTE_API int32_t mote_tokenizer_unknown(const mote_tokenizer *tokenizer); /* for what the vocabulary lacks, or -1 */
MOTE_API int32_t mote_tokenizer_begin(const mote_tokenizer *tokenizer); /* the token before a text, or -1 */
/* Whether a prompt starts with the begin token: mote_tokenizer_encode never adds it. */
MOTE_API bool mote_tokenizer_adds_begin(const mote_tokenizer *tokenizer);
/* The control token of this name, or -1. Tokenizers trained on messages have "<|im_start|>" and "<|im_end|>". */
MOTE_API int32_t mote_tokenizer_control(const mote_tokenizer *tokenizer, const char *name);
/* Ids of the text in *tokens (mote_free), no special tokens added; text never becomes a control token. */
MOTE_API mote_status mote_tokenizer_encode(const mote_tokenizer *tokenizer, const char *text, size_t bytes,
                                           int32_t **tokens, size_t *n_tokens, mote_error *error);
/* The bytes of one token; control tokens give "". Lives as long as the tokenizer. *bytes may be part of a character. */
MOTE_API const char *mote_tokenizer_piece(const mote_tokenizer *tokenizer, int32_t token, size_t *bytes);
/* The text of n tokens, NUL-terminated, in *text (mote_free). */
MOTE_API mote_status mote_tokenizer_decode(const mote_tokenizer *tokenizer, const int32_t *tokens, size_t n_tokens,
                                           char **text, size_t *bytes, mote_error *error);

/* The tokenizer of a file that may hold nothing else: GGUF, llama2.c's tokenizer.bin, or Hugging Face's tokenizer.json,
 * with what the tokenizer_config.json beside it says. Told apart by content; a folder is its tokenizer.json. */
MOTE_API mote_status mote_tokenizer_open(const char *path, mote_tokenizer **tokenizer, mote_error *error);

/* What some tokenizers of others need and the library does not have: regular expressions and Unicode's normal forms.
 * For the whole process, before any tokenizer is opened or copied; the hooks outlive all of them, and are called from
 * the threads that encode. Text given to them is valid UTF-8. */
typedef enum { MOTE_FORM_NFC, MOTE_FORM_NFD, MOTE_FORM_NFKC, MOTE_FORM_NFKD } mote_text_form;
typedef struct {
    void *context;
    /* NULL with a sentence in *problem: not a regular expression (PCRE's syntax; \s, \w, \d, \b as Unicode has
     * them). */
    void *(*compile)(void *context, const char *pattern, size_t bytes, char problem[256]);
    /* The first match in text[from ... bytes): 1 and where it is, 0 none, -1 a limit was hit. What stands before `from`
     * is seen by lookbehind. *scratch is the caller's, NULL at first: working memory kept between calls for `regex`. */
    int (*match)(void *context, const void *regex, void **scratch, const char *text, size_t bytes, size_t from,
                 size_t *begin, size_t *end);
    void (*release_scratch)(void *context, void *scratch); /* NULL is fine */
    void (*release)(void *context, void *regex);
    /* The text in a normal form, appended piece by piece with put (false: stop). False: out of memory or stopped. */
    bool (*normalize)(void *context, mote_text_form form, const char *text, size_t bytes,
                      bool (*put)(void *to, const char *text, size_t bytes), void *to);
    /* General category of a character in two letters ("Lu", "Mn", "Cn") and its lower case in *lower. */
    const char *(*category)(void *context, uint32_t point, uint32_t *lower);
} mote_text_hooks;
MOTE_API void mote_text_use(const mote_text_hooks *hooks); /* NULL: none */

/* ---- corpus and dataset ------------------------------------------------------------------------------------- */

typedef struct mote_corpus mote_corpus;   /* documents in files */
typedef struct mote_dataset mote_dataset; /* their tokens, split into training and validation */

typedef struct {
    size_t struct_bytes;
    double validation;    /* the last part of the text (or of the documents) kept for validation, 0 to 0.5 */
    bool skip_bad;        /* skip bad JSONL lines and count them instead of failing */
    size_t memory_bytes;  /* token streams above this go to an unlinked temporary file */
    const char *temporary; /* folder for it; NULL: beside the first text */
} mote_corpus_options;

typedef struct {
    uint64_t bytes, documents, characters, skipped_lines;
    int files, skipped_files; /* skipped: in folders, what is binary, a model, a checkpoint or a run folder */
    uint64_t invalid_bytes, invalid_at; /* in text files: bytes that are not UTF-8; where the first of them is */
    const char *invalid_file;           /* and in which file: lives as long as the corpus; NULL: there is none */
} mote_corpus_info;

MOTE_API mote_corpus_options mote_corpus_options_default(void);
/* Paths: UTF-8 text files, folders (their regular files, sorted by name, recursively; hidden ones, models,
 * checkpoints, run folders and what is binary skipped), *.jsonl with {"text"}, {"prompt","completion"} or
 * {"messages"}. Files are mapped, not read. */
MOTE_API mote_status mote_corpus_open(const char *const *paths, int n_paths, const mote_corpus_options *options,
                                      mote_corpus **corpus, mote_error *error);
MOTE_API void mote_corpus_close(mote_corpus *corpus);
MOTE_API mote_corpus_info mote_corpus_describe(const mote_corpus *corpus);
/* Trains a tokenizer on the corpus' training part, or a spread sample of it when it is large. A corpus with messages
 * gives it control tokens for their markup; the dataset has those where turns begin and end, and never from content. */
MOTE_API mote_status mote_corpus_train_tokenizer(const mote_corpus *corpus, mote_tokenizer_kind kind, int vocab_limit,
                                                 mote_tokenizer **tokenizer, mote_error *error);
MOTE_API mote_status mote_dataset_create(const mote_corpus *corpus, const mote_tokenizer *tokenizer,
                                         mote_dataset **dataset, mote_error *error);
MOTE_API void mote_dataset_destroy(mote_dataset *dataset);

typedef enum { MOTE_SPLIT_TRAIN, MOTE_SPLIT_VALIDATION } mote_split;
MOTE_API size_t mote_dataset_tokens(const mote_dataset *dataset, mote_split split);
MOTE_API uint64_t mote_dataset_bytes(const mote_dataset *dataset, mote_split split); /* bytes of text they stand for */
/* Tokens that stand for what the vocabulary lacks. */
MOTE_API uint64_t mote_dataset_unknown(const mote_dataset *dataset, mote_split split);

/* ---- model -------------------------------------------------------------------------------------------------- */

typedef struct mote_model mote_model;

typedef enum {
    MOTE_FAMILY_LLAMA,
    MOTE_FAMILY_GPT2,
    MOTE_FAMILY_QWEN2,
    MOTE_FAMILY_QWEN3,
    MOTE_FAMILY_GEMMA3, /* text only */
    MOTE_FAMILY_SMOLLM3
} mote_family;
/* How rotary frequencies are stretched for contexts beyond those a model was trained on. */
typedef enum {
    MOTE_ROPE_PLAIN,
    MOTE_ROPE_LINEAR, /* positions / factor */
    MOTE_ROPE_LLAMA3, /* low frequencies / factor, with a smooth step between (Llama 3.1) */
    MOTE_ROPE_YARN    /* Peng et al. 2023 */
} mote_rope_scaling;
/* Floats; blocks that run against 8-bit activations; blocks that are made f32 when a model is opened. */
typedef enum {
    MOTE_TYPE_F32,
    MOTE_TYPE_F16,
    MOTE_TYPE_BF16,
    MOTE_TYPE_Q8_0, /* ggml's, 8.5 bits a weight */
    MOTE_TYPE_Q4_0, /* ggml's, 4.5 bits */
    MOTE_TYPE_Q3H,  /* mote's: two weights in a code of 7 bits, points fitted in the plane; 3.63 bits with scales */
    MOTE_TYPE_Q43,  /* the same container with 16 levels times 8: what q3h is measured against */
    MOTE_TYPE_I8,   /* mote's: 8 bits and one scale a row */
    MOTE_TYPE_Q4_1, /* ggml's, as all that follow */
    MOTE_TYPE_Q5_0,
    MOTE_TYPE_Q5_1,
    MOTE_TYPE_Q2_K,
    MOTE_TYPE_Q3_K,
    MOTE_TYPE_Q4_K,
    MOTE_TYPE_Q5_K,
    MOTE_TYPE_Q6_K,
    MOTE_TYPE_IQ4_NL,
    MOTE_N_TYPES
} mote_type;

/* The shape of a model: all that is needed to build its program. It is read whole, unlike options. */
typedef struct {
    size_t struct_bytes; /* sizeof(mote_config), or 0: not said; mote_config_complete refuses another */
    mote_family family;
    int vocab, context, dim, layers, heads, kv_heads; /* kv_heads divides heads */
    int head_dim;                                     /* usually dim / heads */
    int hidden;                                       /* width of the feed-forward part */
    int window;                                       /* sliding window in tokens; 0: none; < 0: the family's */
    bool tied;                                        /* output head shares the token embedding */
    bool bias;                                        /* biases: gpt2 everywhere, others on q, k, v */
    bool qk_norm;                                     /* RMSNorm on each head of q and k; makes llama qwen3 */
    float norm_epsilon, rope_base;
    /* What only some families have; 0: as the family has it, or not at all. */
    int full_attention_period; /* with a window: each layer of this period looks at the whole context (gemma3: 6) */
    int no_rope_period;        /* each layer of this period has no rotary positions (smollm3: 4) */
    float rope_base_window;    /* rotary base of the layers with a window (gemma3: 10000) */
    float query_scale;         /* attention's scores are multiplied by it; 0: 1 / sqrt(head_dim) */
    mote_rope_scaling rope_scaling;
    float rope_factor;            /* context length over that of training */
    int rope_original_context;    /* llama3, yarn: context of training */
    float rope_low, rope_high;    /* llama3: low and high frequency factor; yarn: beta_slow and beta_fast */
    float rope_attention_factor;  /* yarn: 0: 0.1 ln(factor) + 1 */
} mote_config;

/* Defaults of a family for a width: what is left 0 or negative is filled in. Fails where values contradict. */
MOTE_API mote_config mote_config_default(mote_family family);
MOTE_API mote_status mote_config_complete(mote_config *config, mote_error *error);
MOTE_API uint64_t mote_config_parameters(const mote_config *config);
MOTE_API const char *mote_family_name(mote_family family);
MOTE_API const char *mote_type_name(mote_type type);
/* Weights in a block of the type, to whole numbers of which rows are padded (1: floats), and bits a weight in rows of
 * whole blocks, without what stands once a row; 0: no such type. */
MOTE_API int mote_type_block(mote_type type);
MOTE_API double mote_type_bits(mote_type type);

/* A model with random weights. The tokenizer may be NULL; it is copied. */
MOTE_API mote_status mote_model_create(const mote_config *config, const mote_tokenizer *tokenizer, uint64_t seed,
                                       mote_model **model, mote_error *error);
/* Opens a model of any form, told by content: GGUF, llama2.c's .bin, a Hugging Face folder. Everything is checked,
 * checksums too where the file carries them; those of tensors in files above 64 MiB when the tensors are first used. */
MOTE_API mote_status mote_model_open(const char *path, mote_model **model, mote_error *error);
typedef struct {
    size_t struct_bytes;
    const char *tokenizer;   /* file of a tokenizer to use in place of the model's own; NULL: its own */
    const char *const *lora; /* adapters that are merged into the weights: PEFT folders, GGUF adapters */
    int n_lora;
    float lora_scale;        /* of what they add; 1: as they were trained */
} mote_open_options;
MOTE_API mote_open_options mote_open_options_default(void);
MOTE_API mote_status mote_model_open_with(const char *path, const mote_open_options *options, mote_model **model,
                                          mote_error *error);
MOTE_API void mote_model_close(mote_model *model);
/* Writes GGUF: to a temporary file that replaces `path` only when it is complete. Vectors stay f32. */
MOTE_API mote_status mote_model_save(const mote_model *model, const char *path, mote_type type, mote_error *error);
/* Stands for a weight type: each tensor keeps its own where the form can hold it, else takes the smallest that holds
 * its values exactly. */
#define MOTE_TYPE_KEEP ((mote_type)255)
/* Writes the form that the path's ending names, in letters of any case: .gguf, .bin (llama2.c, f32), none or a slash (a
 * Hugging Face folder). MOTE_USAGE: another ending. */
MOTE_API mote_status mote_model_export(const mote_model *model, const char *path, mote_type type, mote_error *error);
typedef struct {
    const char *form;          /* "GGUF", "llama2.c", "Hugging Face"; "memory": it was not opened from a file */
    int tensors;
    uint64_t parameters, bytes; /* of the weights */
    mote_type type;             /* of most of its weights */
} mote_model_info;
MOTE_API mote_model_info mote_model_describe(const mote_model *model);
/* The form that mote_model_export gives a path: "GGUF", "llama2.c", "Hugging Face". *form is static, and NULL after an
 * error. MOTE_USAGE: the path has the ending of no form, or an argument is NULL. */
MOTE_API mote_status mote_model_form_of(const char *path, const char **form, mote_error *error);
/* How large the GGUF file is that keeps each tensor in the type it has. */
MOTE_API mote_status mote_model_file_bytes(const mote_model *model, uint64_t *bytes, mote_error *error);
MOTE_API mote_config mote_model_config(const mote_model *model);
MOTE_API const mote_tokenizer *mote_model_tokenizer(const mote_model *model); /* NULL: none */
/* Why the tokenizer that the model's file holds is not used; NULL: it is, or there is none. Lives as long as the model.
 */
MOTE_API const char *mote_model_tokenizer_problem(const mote_model *model);
MOTE_API mote_status mote_model_set_name(mote_model *model, const char *name, mote_error *error);
/* Makes the context shorter, before any session or trainer has the model: what is trained and saved then has it. A
 * table of positions loses its last rows. */
MOTE_API mote_status mote_model_shorten(mote_model *model, int context, mote_error *error);

/* The op list with shapes, types, FLOPs and bytes for one token at `position`; JSON or aligned text. */
MOTE_API mote_status mote_model_show(const mote_model *model, int position, bool json, char **text, mote_error *error);
/* Keys and tensors of any GGUF file, without building a model. */
MOTE_API mote_status mote_gguf_inspect(const char *path, bool json, char **text, mote_error *error);

/* ---- session: running a model ------------------------------------------------------------------------------- */

typedef struct mote_session mote_session;

typedef struct {
    size_t struct_bytes;
    int context;      /* positions each sequence can hold; 0: the model's */
    int sequences;    /* independent sequences; 0: 1 */
    int batch_tokens; /* most tokens of one run; 0: chosen */
    int threads;      /* 0: chosen for the model's size */
    int logits;       /* most tokens of one run that want logits; 0: batch_tokens, or chosen where that is 0 too */
} mote_session_options;

/* Tokens to run. Those of one sequence stand together, with positions that continue what the sequence holds. */
typedef struct {
    int n_tokens;
    const int32_t *token, *position, *sequence; /* sequence may be NULL: all of sequence 0 */
    const uint8_t *want_logits;                 /* may be NULL: only the last token */
} mote_batch;

MOTE_API mote_session_options mote_session_options_default(void);
MOTE_API mote_status mote_session_create(const mote_model *model, const mote_session_options *options,
                                         mote_session **session, mote_error *error);
MOTE_API void mote_session_destroy(mote_session *session);
MOTE_API size_t mote_session_bytes(const mote_session *session);
MOTE_API int mote_session_batch_tokens(const mote_session *session);
MOTE_API int mote_session_most_logits(const mote_session *session);
MOTE_API int mote_session_threads(const mote_session *session); /* those it runs on, chosen or given */
MOTE_API mote_status mote_session_run(mote_session *session, const mote_batch *batch, mote_error *error);
/* Logits [vocab] of the i-th wanted token of the last run; valid until the next run. */
MOTE_API const float *mote_session_logits(const mote_session *session, int i);
/* Forgets what a sequence holds from `position` on. */
MOTE_API void mote_session_truncate(mote_session *session, int sequence, int position);

/* ---- sampling ----------------------------------------------------------------------------------------------- */

typedef struct {
    size_t struct_bytes;
    float temperature; /* 0: greedy */
    int top_k;         /* 0: off */
    float top_p;       /* 1: off */
    float min_p;       /* 0: off */
    float repetition_penalty; /* 1: off; over the last repetition_window tokens */
    int repetition_window;
    uint64_t seed;
} mote_sampler_options;
typedef struct mote_sampler mote_sampler;

MOTE_API mote_sampler_options mote_sampler_options_default(void);
MOTE_API mote_status mote_sampler_create(const mote_sampler_options *options, int vocab, mote_sampler **sampler,
                                         mote_error *error);
MOTE_API void mote_sampler_destroy(mote_sampler *sampler);
MOTE_API void mote_sampler_accept(mote_sampler *sampler, int32_t token); /* a prompt token, for the penalty */
MOTE_API int32_t mote_sampler_next(mote_sampler *sampler, const float *logits);

/* Generates up to n_tokens after the prompt. `on_text` receives whole UTF-8 characters as they come (bytes that can
 * never become one are passed on as they are) and stops the run by returning false. Stops at the end token, at the
 * control token <|im_end|> and at any stop text, which is not passed on. A sequence that reaches its context keeps
 * going with a re-read second half. mote_generate puts the begin token before the prompt where the tokenizer adds one;
 * that token, made up, ends a text too. */
typedef struct {
    size_t struct_bytes;
    int n_tokens;
    const char *const *stop;
    int n_stop;
    bool ignore_end; /* go on after the end token and <|im_end|> */
    bool (*on_text)(void *context, const char *text, size_t bytes);
    void *context;
} mote_generate_options;
typedef struct {
    int prompt_tokens, generated_tokens;
    double prompt_seconds, generate_seconds;
    const char *stopped_by; /* "length", "end", "stop", "caller" */
} mote_generate_report;
MOTE_API mote_generate_options mote_generate_options_default(void);
MOTE_API mote_status mote_generate(mote_session *session, mote_sampler *sampler, const mote_tokenizer *tokenizer,
                                   const char *prompt, size_t prompt_bytes, const mote_generate_options *options,
                                   mote_generate_report *report, mote_error *error);
/* The same after a prompt of tokens, which may be control tokens. */
MOTE_API mote_status mote_generate_tokens(mote_session *session, mote_sampler *sampler, const mote_tokenizer *tokenizer,
                                          const int32_t *prompt, size_t n_prompt, const mote_generate_options *options,
                                          mote_generate_report *report, mote_error *error);

/* ---- evaluation --------------------------------------------------------------------------------------------- */

typedef struct {
    double loss, perplexity, bits_per_byte, top1; /* loss: nats per token */
    uint64_t tokens, bytes;
    double seconds;
} mote_evaluation;
/* Loss over one split of the dataset in windows of the context. max_tokens bounds the work (0: all, else evenly
 * spread). Where the tokenizer adds a begin token it stands before each window, in its first position. */
MOTE_API mote_status mote_evaluate(const mote_model *model, const mote_dataset *dataset, mote_split split,
                                   uint64_t max_tokens, int threads, mote_evaluation *result, mote_error *error);

/* ---- training ----------------------------------------------------------------------------------------------- */

typedef struct mote_trainer mote_trainer;
typedef enum { MOTE_OPTIMIZER_ADAMW, MOTE_OPTIMIZER_MUON, MOTE_OPTIMIZER_SGD } mote_optimizer;
typedef enum {
    MOTE_SCHEDULE_CONSTANT,
    MOTE_SCHEDULE_LINEAR,
    MOTE_SCHEDULE_COSINE,
    MOTE_SCHEDULE_COSINE_RESTARTS,
    MOTE_SCHEDULE_WSD
} mote_schedule;

/* How matrices are multiplied in training; weights, sums and the optimizer are f32 in each. bf16: operands are rounded
 * to 8 significant bits, all alike; faster only with MOTE_CPU_BF16. int8: to 8 bits in blocks of 32, and where that
 * would spoil gradients to bf16 with MOTE_CPU_BF16, else not at all. */
typedef enum { MOTE_PRECISION_F32, MOTE_PRECISION_F16, MOTE_PRECISION_BF16, MOTE_PRECISION_INT8 } mote_precision;

/* What the backward pass computes again instead of keeping it; never a bit of the results depends on it. CHEAP: norms
 * and activations, by which a step is 1 to 2 % longer. LAYER: all of a layer but the output of its attention and its
 * sum, by 20 %: a layer keeps an eighth. */
typedef enum { MOTE_RECOMPUTE_CHEAP, MOTE_RECOMPUTE_NONE, MOTE_RECOMPUTE_LAYER } mote_recompute;

typedef struct {
    size_t struct_bytes;
    int batch, accumulate; /* sequences of the context's length in a micro-batch; micro-batches in a step */
    int64_t steps;
    mote_optimizer optimizer;
    double lr, min_lr; /* peak and final learning rate; for Muon of its matrices */
    double adam_lr;    /* Muon: of everything that is not a hidden matrix; 0: derived from lr */
    double beta1, beta2, epsilon, weight_decay;
    mote_schedule schedule;
    int64_t warmup;
    int restarts;       /* cosine-restarts: number of cycles */
    double decay_part;  /* wsd: the last part of the steps that decays */
    double clip;        /* largest norm of the gradient; 0: off */
    double dropout;
    double average;     /* decay of the averaged weights that evaluation and saving use; 0: off */
    uint64_t seed;
    int threads;        /* 0: all cores */
    mote_precision precision;
    mote_type qat; /* q8_0, q4_0, q3h, q43, i8: quantization-aware training, for a model that is saved so; f32: off */
    mote_recompute recompute;
} mote_train_options;

typedef struct {
    int64_t step;
    double loss, gradient_norm, lr, seconds; /* loss: of this step's batch, nats per target token */
    uint64_t tokens;                         /* trained on in this step */
    uint64_t total_tokens;
} mote_step_report;

typedef struct {
    uint64_t parameters, weights_bytes, gradients_bytes, optimizer_bytes, activations_bytes, scratch_bytes, data_bytes;
    uint64_t total_bytes; /* peak resident memory of a process that does little else */
    double flops_per_token;
} mote_memory_plan;

MOTE_API mote_train_options mote_train_options_default(void);

/* Fills every field of config and options that is still unset (0, or negative where 0 means something) for this amount
 * of text: model size, context, batch, steps, learning rate. *reasons says why, one line a choice. minutes: budget, 0:
 * none. */
typedef struct {
    uint64_t train_tokens, validation_tokens, train_bytes;
    int vocab;
    double minutes, epochs;
    bool fine_tuning; /* the model has been trained: a lower learning rate, fewer epochs */
} mote_recipe_facts;
MOTE_API mote_status mote_recipe_complete(const mote_recipe_facts *facts, mote_config *config,
                                          mote_train_options *options, char **reasons, mote_error *error);
/* Which tokenizer and vocabulary suit a corpus of this size. */
MOTE_API void mote_recipe_tokenizer(const mote_corpus_info *info, mote_tokenizer_kind *kind, int *vocab_limit);

/* Exact memory of training or (options NULL) of inference, before anything is allocated. Not in it: the text's token
 * stream, 2 or 4 bytes a token, and a session beside the training, as one that writes samples. */
MOTE_API mote_status mote_plan_memory(const mote_config *config, const mote_train_options *options,
                                      const mote_session_options *session, mote_memory_plan *plan, mote_error *error);

/* The trainer changes the model's weights in place; model and dataset must outlive it. A NULL dataset trains on random
 * tokens (benchmarks). */
MOTE_API mote_status mote_trainer_create(mote_model *model, const mote_dataset *dataset,
                                         const mote_train_options *options, mote_trainer **trainer, mote_error *error);
MOTE_API void mote_trainer_destroy(mote_trainer *trainer);
/* One optimizer step. MOTE_DIVERGED when loss or gradient is not finite: the weights are then those before the step. */
MOTE_API mote_status mote_trainer_step(mote_trainer *trainer, mote_step_report *report, mote_error *error);
/* Validation loss in windows of the context; max_tokens as mote_evaluate. Uses the averaged weights when there are
 * some. */
MOTE_API mote_status mote_trainer_evaluate(mote_trainer *trainer, uint64_t max_tokens, mote_evaluation *result,
                                           mote_error *error);
/* Saves the model in training (the averaged weights when there are some) as GGUF. */
MOTE_API mote_status mote_trainer_save_model(mote_trainer *trainer, const char *path, mote_type type,
                                             mote_error *error);
/* All that is needed to go on bit for bit. Written atomically, with checksums. */
MOTE_API mote_status mote_trainer_save(const mote_trainer *trainer, const char *path, mote_error *error);
/* Continues from a checkpoint written with the same shape, options and data; a difference is named and refused. */
MOTE_API mote_status mote_trainer_resume(mote_trainer *trainer, const char *path, mote_error *error);
MOTE_API int64_t mote_trainer_steps_done(const mote_trainer *trainer);
MOTE_API const mote_model *mote_trainer_model(mote_trainer *trainer); /* current weights, for a session
    that is made now: with int8 or qat, one of before may go on with the weights it began with */

/* ---- compression -------------------------------------------------------------------------------------------- */

typedef enum {
    MOTE_QUANTIZE_BEST,   /* gptq with a calibration text, else search */
    MOTE_QUANTIZE_RTN,    /* to nearest, with scales by a plain rule */
    MOTE_QUANTIZE_SEARCH, /* scales that lose least, weighed by the calibration's activations where there are some */
    MOTE_QUANTIZE_GPTQ    /* each error is moved onto the weights to come (Frantar 2022); needs a calibration text */
} mote_quantize_method;
MOTE_API const char *mote_quantize_method_name(mote_quantize_method method);

/* A glob on tensor names, or "head", "embedding", "attention", "feed_forward". Of several that match the last counts;
 * one of which that leaves nothing, as of head and embedding where they are one tensor, is refused. */
typedef struct {
    const char *pattern;
    mote_type type;
} mote_quantize_rule;

typedef struct {
    size_t struct_bytes;
    mote_type type; /* of every matrix and table; gains, biases and the table of positions stay f32 */
    double target_bits; /* not 0: q3h, q4_0, q8_0 or f16 for each tensor, so that a weight takes at most so many bits */
    mote_quantize_method method;
    const mote_quantize_rule *rules;
    int n_rules;
    const mote_dataset *calibration; /* NULL: none */
    mote_split calibration_split;
    uint64_t calibration_tokens; /* most that are read, evenly spread */
    bool allow_fallback; /* what does not fit its type goes to q8_0 or f32; else it is refused by name */
    int threads;         /* 0: all cores */
    uint64_t calibration_bytes; /* most that gptq's sums of one pass over the text may take; 0: half of the memory */
    bool static_activations; /* i8: each input by one scale, found in the calibration text and saved with the model */
} mote_quantize_options;

typedef struct {
    char name[64];
    mote_type type;
    mote_quantize_method method;
    uint64_t weights;
    double bits;   /* in the file, a weight */
    double error;  /* root of the mean square, relative to that of the weights */
    bool fallback; /* not of the type asked for */
    bool padded;   /* its rows are no whole blocks of the type */
    bool fixed;    /* f32 whatever is asked for: gains, biases, the table of positions */
} mote_quantize_row;
typedef struct {
    const mote_quantize_row *rows; /* in the order of the file */
    int n_rows;
    double bits_per_weight_before, bits_per_weight; /* of all that is in the file */
    uint64_t weights, calibration_tokens;
    uint64_t calibration_bytes; /* that the largest of its passes took */
    int calibration_passes;
    uint64_t calibration_least; /* tokens below which the sums tell little; 0: nothing was calibrated */
} mote_quantize_report;

MOTE_API mote_quantize_options mote_quantize_options_default(void);
/* A new model with the weights of `model` in smaller types, to run, and to save with MOTE_TYPE_KEEP. *report may
 * be NULL. The same bits for any number of threads. */
MOTE_API mote_status mote_model_quantize(const mote_model *model, const mote_quantize_options *options,
                                         mote_model **quantized, mote_quantize_report **report, mote_error *error);
MOTE_API void mote_quantize_report_destroy(mote_quantize_report *report);

typedef struct {
    double perplexity_before, perplexity_after;
    double kl_mean, kl_p99; /* nats a token: of the distribution after from that before */
    double top1_agreement;  /* part of the tokens whose likeliest successor is the same */
    uint64_t tokens;
} mote_comparison;
/* Two models of one vocabulary over one split, as mote_evaluate. */
MOTE_API mote_status mote_model_compare(const mote_model *before, const mote_model *after, const mote_dataset *dataset,
                                        mote_split split, uint64_t max_tokens, int threads, mote_comparison *result,
                                        mote_error *error);
typedef struct {
    double tokens_per_second_before, tokens_per_second_after; /* decoding one sequence; the best of turns */
    uint64_t ram_bytes_before, ram_bytes_after; /* weights as they run, with their panels, and a session */
} mote_speed_comparison;
MOTE_API mote_status mote_model_compare_speed(const mote_model *before, const mote_model *after, int threads,
                                              mote_speed_comparison *result, mote_error *error);

/* Products by a BLAS library: optional, found at run time (path NULL: the usual names), never used unless a trainer is
 * told to. It sums in another order than mote, so a run with it has other bits, and other bits again with another
 * number of threads. OpenBLAS takes its kernels from OPENBLAS_CORETYPE in the environment, which must stand there
 * before. */
typedef struct mote_blas mote_blas;
MOTE_API mote_status mote_blas_open(const char *path, mote_blas **blas, mote_error *error);
MOTE_API void mote_blas_close(mote_blas *blas);
MOTE_API const char *mote_blas_name(const mote_blas *blas); /* its file and what it says of itself */
/* Hands products of the linear and head ops to `blas` (which outlives the trainer): those that it does more than
 * `least_gain` times faster by a measurement of a few milliseconds a shape, or with 0 all, unmeasured. *report
 * (mote_free) names them, one line a shape. Call it right after creation. */
MOTE_API mote_status mote_trainer_use_blas(mote_trainer *trainer, const mote_blas *blas, double least_gain,
                                           char **report, mote_error *error);

#ifdef __cplusplus
}
#endif

#include "mote/measure.h"

#endif
