/* The yardstick of the interpreter: decoding written by hand for one shape of llama, calling the same kernels in the
 * same order with nothing in between, against mote_session_run on one thread. Both must give the same bits. The figure
 * is the median over rounds of (session - by hand) / by hand, the two in turns within a round. Usage:
 * bench_decode [rounds, default 41] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "kernels/kernels.h"
#include "models/model.h"

enum {
    DIM = 128, LAYERS = 4, HEADS = 4, HEAD = DIM / HEADS, HIDDEN = 352, VOCAB = 512, CONTEXT = 256, TOKENS = 128,
    MOST_ROUNDS = 999,
};

typedef struct {
    const float *attention_norm, *feed_norm, *q, *k, *v, *output, *gate, *up, *down; /* matrices: panels */
    float keys[HEADS][CONTEXT * HEAD], values[HEADS][CONTEXT * HEAD];
} layer;

static layer layers[LAYERS];
static const float *table, *output_norm, *head;
static float epsilon, turns[CONTEXT][HEAD], logits[VOCAB];
static const mote_kernels *kernels;

/* y = residual + x W^T with W in panels */
static inline void linear(const float *x, const float *w, int depth, int columns, const float *residual, float *y) {
    mote_gemm g = {
        .rows = 1, .columns = columns, .depth = depth, .a = x, .a_row = (size_t)depth, .a_depth = 1, .b = w,
        .b_panel = (size_t)depth * MOTE_PANEL, .b_depth = MOTE_PANEL, .b_padded = true, .c = y,
        .c_row = (size_t)columns, .start = residual, .start_row = (size_t)columns,
    };
    kernels->gemm[MOTE_TYPE_F32](&g);
}

static void attend(layer *l, const float *q, const float *k, const float *v, int position, float *y) {
    static float scores[MOTE_ATTEND_ROWS * CONTEXT];
    for (int h = 0; h < HEADS; h++) {
        float *panel = l->keys[h] + position / MOTE_PANEL * MOTE_PANEL * HEAD + position % MOTE_PANEL;
        for (int i = 0; i < HEAD; i++) panel[i * MOTE_PANEL] = k[h * HEAD + i];
        memcpy(l->values[h] + position * HEAD, v + h * HEAD, HEAD * sizeof *v);
    }
    mote_attend a = {
        .heads = HEADS, .group = 1, .columns = HEAD, .high = position + 1, .scale = 1 / sqrtf(HEAD), .q = q,
        .keys = l->keys[0], .values = l->values[0], .keys_head = CONTEXT * HEAD, .values_head = CONTEXT * HEAD,
        .value_row = HEAD, .scores = scores, .y = y,
    };
    kernels->attend(&a);
}

static void decode_by_hand(int token, int position) {
    float x[DIM], n[DIM], q[DIM], k[DIM], v[DIM], y[DIM], gate[HIDDEN], up[HIDDEN];
    memcpy(x, table + token * DIM, sizeof x);
    for (layer *l = layers; l < layers + LAYERS; l++) {
        kernels->rms_norm(x, l->attention_norm, DIM, epsilon, n);
        linear(n, l->q, DIM, DIM, NULL, q);
        linear(n, l->k, DIM, DIM, NULL, k);
        linear(n, l->v, DIM, DIM, NULL, v);
        for (int h = 0; h < DIM; h += HEAD) kernels->rope(q + h, turns[position], HEAD, false, false, false, q + h);
        for (int h = 0; h < DIM; h += HEAD) kernels->rope(k + h, turns[position], HEAD, false, false, false, k + h);
        attend(l, q, k, v, position, y);
        linear(y, l->output, DIM, DIM, x, x);
        kernels->rms_norm(x, l->feed_norm, DIM, epsilon, n);
        linear(n, l->gate, DIM, HIDDEN, NULL, gate);
        linear(n, l->up, DIM, HIDDEN, NULL, up);
        kernels->gate[MOTE_ACTIVATION_SILU](gate, up, gate, HIDDEN);
        linear(gate, l->down, HIDDEN, DIM, x, x);
    }
    kernels->rms_norm(x, output_norm, DIM, epsilon, n);
    linear(n, head, DIM, VOCAB, NULL, logits);
}

/* ---- the same model, by hand and by session */

static const float *weight(const mote_model *m, const char *name, int i, bool panels) {
    char full[64];
    if (i < 0) snprintf(full, sizeof full, "%s.weight", name);
    else snprintf(full, sizeof full, "blk.%d.%s.weight", i, name);
    mote_tensor_id id = mote_program_find(m->program, full);
    if (id == MOTE_NONE) {
        fprintf(stderr, "bench_decode: no tensor %s\n", full);
        exit(1);
    }
    return panels ? m->packed[id] : m->weight[id];
}

static void bind(const mote_model *m) {
    table = weight(m, "token_embd", -1, false);
    output_norm = weight(m, "output_norm", -1, false);
    head = weight(m, "token_embd", -1, true);
    epsilon = m->config.norm_epsilon;
    for (int p = 0; p < CONTEXT; p++)
        for (int i = 0; i < HEAD / 2; i++) {
            double angle = p * pow((double)m->config.rope_base, -2.0 * i / HEAD);
            turns[p][2 * i] = (float)cos(angle);
            turns[p][2 * i + 1] = (float)sin(angle);
        }
    for (int i = 0; i < LAYERS; i++) {
        layer *l = &layers[i];
        l->attention_norm = weight(m, "attn_norm", i, false);
        l->feed_norm = weight(m, "ffn_norm", i, false);
        l->q = weight(m, "attn_q", i, true);
        l->k = weight(m, "attn_k", i, true);
        l->v = weight(m, "attn_v", i, true);
        l->output = weight(m, "attn_output", i, true);
        l->gate = weight(m, "ffn_gate", i, true);
        l->up = weight(m, "ffn_up", i, true);
        l->down = weight(m, "ffn_down", i, true);
    }
}

static int token_at(int position) { return position * 37 % VOCAB; }

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double time_by_hand(void) {
    double begin = now();
    for (int i = 0; i < TOKENS; i++) decode_by_hand(token_at(i), i);
    return now() - begin;
}

static double time_session(mote_session *session) {
    double begin = now();
    mote_session_truncate(session, 0, 0);
    for (int i = 0; i < TOKENS; i++) {
        int32_t token = token_at(i), position = i;
        mote_batch batch = {.n_tokens = 1, .token = &token, .position = &position};
        if (mote_session_run(session, &batch, NULL)) exit(1);
    }
    return now() - begin;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int n) {
    qsort(x, (size_t)n, sizeof *x, ascending);
    return x[n / 2];
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 41;
    if (rounds < 1 || rounds > MOST_ROUNDS) return 2;
    mote_config config = mote_config_default(MOTE_FAMILY_LLAMA);
    config.vocab = VOCAB, config.context = CONTEXT, config.dim = DIM, config.layers = LAYERS;
    config.heads = config.kv_heads = HEADS, config.hidden = HIDDEN;
    mote_session_options options = mote_session_options_default();
    options.threads = 1;
    mote_model *model = NULL;
    mote_session *session = NULL;
    mote_error error = {0};
    if (mote_model_create(&config, NULL, 1, &model, &error) || mote_session_create(model, &options, &session, &error)) {
        fprintf(stderr, "bench_decode: %s\n", error.message);
        return 1;
    }
    kernels = mote_kernels_get();
    bind(model);
    time_by_hand(); /* both once unmeasured */
    time_session(session);
    bool same = memcmp(logits, mote_session_logits(session, 0), sizeof logits) == 0;
    double by_hand[MOST_ROUNDS], by_session[MOST_ROUNDS], overhead[MOST_ROUNDS];
    for (int i = 0; i < rounds; i++) {
        by_hand[i] = time_by_hand();
        by_session[i] = time_session(session);
        overhead[i] = by_session[i] / by_hand[i] - 1;
    }
    qsort(by_hand, (size_t)rounds, sizeof *by_hand, ascending);
    qsort(by_session, (size_t)rounds, sizeof *by_session, ascending);
    double least = by_session[0] / by_hand[0] - 1; /* what tells where other processes disturb */
    double hand = median(by_hand, rounds), run = median(by_session, rounds), more = median(overhead, rounds);
    printf("decode %d wide, %d layers, f32, one thread: by hand %.2f us a token, session %.2f us, overhead %.2f %% "
           "(quartiles %.2f to %.2f), of the least times %.2f and %.2f us %.2f %%, bits %s\n",
           DIM, LAYERS, 1e6 * hand / TOKENS, 1e6 * run / TOKENS, 100 * more, 100 * overhead[rounds / 4],
           100 * overhead[rounds * 3 / 4], 1e6 * by_hand[0] / TOKENS, 1e6 * by_session[0] / TOKENS, 100 * least,
           same ? "equal" : "DIFFER");
    mote_session_destroy(session);
    mote_model_close(model);
    return same ? 0 : 1;
}
