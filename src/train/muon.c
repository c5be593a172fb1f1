/* Muon (Jordan 2024): momentum on hidden matrices, made nearly orthogonal (train/orthogonalize.h), so that every
 * direction moves equally far; AdamW with adam_lr for embeddings, head, gains and biases. The update is scaled by
 * 0.2 sqrt(max(rows, cols)), which gives it the root mean square of a typical AdamW update (Liu et al. 2025, "Muon is
 * scalable"): so lr and weight_decay mean for Muon what they mean for AdamW. Large matrices are shared by all threads,
 * small ones go to one thread each. */
#include <math.h>

#include "train/optimizer.h"
#include "train/orthogonalize.h"

/* Bytes for the largest of the blocks that are shared, or of those that are not, by a team of this size. */
static size_t most_bytes(const mote_block *blocks, int n_blocks, bool shared, int threads) {
    const mote_team team = {NULL, 0, threads};
    size_t most = 0;
    for (int i = 0; i < n_blocks; i++) {
        if (blocks[i].shared != shared) continue;
        mote_orthogonal o;
        size_t bytes = mote_orthogonal_lay(&o, blocks[i].rows, blocks[i].cols, &team, NULL);
        if (bytes > most) most = bytes;
    }
    return most;
}

static size_t scratch(const mote_block *blocks, int n_blocks, int threads) {
    return most_bytes(blocks, n_blocks, true, threads) + most_bytes(blocks, n_blocks, false, 1) * (size_t)threads;
}

/* momentum = beta momentum + g; x = beta momentum + g (Nesterov). Rows [begin, end). */
static void start_rows(const mote_updater *updater, const mote_update *update, const mote_block *block, int begin,
                       int end, const mote_orthogonal *o) {
    const mote_learned *learned = &updater->learned[block->learned];
    const mote_real beta = (mote_real)updater->options.beta1, scale = (mote_real)update->gradient_scale;
    for (int r = begin; r < end; r++) {
        size_t at = (size_t)(block->row + r) * (size_t)block->cols;
        const mote_real *restrict gradient = learned->gradient + at;
        mote_real *restrict momentum = learned->state[0] + at, *restrict x = o->x + (size_t)r * o->x_row;
        for (int c = 0; c < block->cols; c++) {
            mote_real g = scale * gradient[c], m = beta * momentum[c] + g;
            momentum[c] = m;
            x[c] = beta * m + g;
        }
        o->sums[r] = updater->kernels->dot(x, x, (size_t)block->cols);
    }
}

static void finish_rows(const mote_updater *updater, const mote_update *update, const mote_block *block, int begin,
                        int end, const mote_orthogonal *o) {
    const mote_kernels *k = updater->kernels;
    const int longer = block->rows > block->cols ? block->rows : block->cols;
    const mote_real keep = (mote_real)(1.0 - update->lr * updater->options.weight_decay),
                    step = (mote_real)(-update->lr * 0.2 * sqrt((double)longer) * o->scale);
    const size_t cols = (size_t)block->cols;
    mote_real *weight = updater->learned[block->learned].value + (size_t)(block->row + begin) * cols;
    mote_orthogonal_rows(k, o, begin, end);
    for (int r = 0; r < end - begin; r++, weight += cols) {
        k->scale(keep, weight, cols);
        k->add_scaled(step, o->part + (size_t)r * o->x_row, weight, cols);
    }
}

static void update_block(const mote_updater *updater, const mote_update *update, const mote_block *block,
                         uint8_t *memory, const mote_team *team) {
    mote_orthogonal o;
    mote_orthogonal_lay(&o, block->rows, block->cols, team, memory);
    const int first = team->thread * MOTE_ORTHOGONAL_ROWS, stride = team->n_threads * MOTE_ORTHOGONAL_ROWS;
    for (int begin = first; begin < block->rows; begin += stride) {
        int end = begin + MOTE_ORTHOGONAL_ROWS < block->rows ? begin + MOTE_ORTHOGONAL_ROWS : block->rows;
        start_rows(updater, update, block, begin, end, &o);
    }
    mote_orthogonal_solve(updater->kernels, &o, team);
    for (int begin = first; begin < block->rows; begin += stride) {
        int end = begin + MOTE_ORTHOGONAL_ROWS < block->rows ? begin + MOTE_ORTHOGONAL_ROWS : block->rows;
        finish_rows(updater, update, block, begin, end, &o);
    }
    mote_team_meet(team); /* the next shared matrix uses the same memory */
}

static int states(const mote_learned *learned) {
    return learned->hidden ? 1 : 2;
}

static void update_weights(mote_updater *updater, const mote_update *update, atomic_int *next, int thread,
                           int n_threads) {
    const mote_team all = {updater->pool, thread, n_threads}, alone = {NULL, 0, 1};
    const mote_block *blocks = updater->blocks;
    for (int i = 0; i < updater->n_blocks; i++)
        if (blocks[i].shared) update_block(updater, update, &blocks[i], updater->scratch, &all);
    uint8_t *own = updater->scratch ? updater->scratch + most_bytes(blocks, updater->n_blocks, true, n_threads) +
                                          most_bytes(blocks, updater->n_blocks, false, 1) * (size_t)thread
                                    : NULL;
    for (int i; (i = mote_take(&next[0])) < updater->n_blocks;)
        if (!blocks[i].shared) update_block(updater, update, &blocks[i], own, &alone);
    for (int i; (i = mote_take(&next[1])) < updater->n_chunks;)
        if (!updater->learned[updater->chunks[i].learned].hidden)
            mote_adamw_chunk(updater, update, update->adam_lr, &updater->chunks[i]);
}

const mote_optimizer_info mote_optimizer_muon = {
    .name = "muon",
    .state_prefix = {"m", "v"},
    .states = states,
    .scratch = scratch,
    .update = update_weights,
};
