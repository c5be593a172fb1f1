/* Integer weights into panels and back, for every instruction set alike. Packing runs once when a model is opened. */
#include "kernels/panels.h"

#include <string.h>

/* Which weight of a block stands at position p of its codes: the even ones, then the odd ones. */
static int weight_at(int position) { return position < 16 ? 2 * position : 2 * (position - 16) + 1; }

static void put_bytes(const uint8_t *codes, int column, uint8_t *to) {
    for (int p = 0; p < MOTE_BLOCK_VALUES; p++)
        to[p / 4 * MOTE_BLOCK_VECTOR + column * 4 + p % 4] = codes[weight_at(p)] ^ 0x80;
}

/* ggml's nibbles: weight j below 16 is the low one of byte j, weight j + 16 the high one. */
static int nibble(const uint8_t *codes, int weight) {
    return weight < 16 ? codes[weight] & 15 : codes[weight - 16] >> 4;
}
static void put_nibbles(const uint8_t *codes, int column, uint8_t *to) {
    for (int p = 0; p < 16; p++)
        to[p / 4 * MOTE_BLOCK_VECTOR + column * 4 + p % 4] =
            (uint8_t)(nibble(codes, weight_at(p)) | nibble(codes, weight_at(p + 16)) << 4);
}

static void put_pairs(const uint8_t *source, int column, uint8_t *to, uint8_t *rest) {
    for (int j = 0; j < 4; j++) {
        int at = column * 4 + j, last = mote_pair_code(source, 12 + j);
        for (int g = 0; g < 3; g++)
            to[g * MOTE_BLOCK_VECTOR + at] = (uint8_t)(mote_pair_code(source, 4 * g + j) | (last >> (4 + g) & 1) << 7);
        uint8_t *byte = &rest[at % MOTE_PAIR_PANEL_REST];
        *byte = (uint8_t)(*byte | (last & 15) << (at < MOTE_PAIR_PANEL_REST ? 0 : 4)); /* zeroed before */
    }
}

/* One row as column `column` of a panel that was zeroed. */
static void put_column(mote_type type, const uint8_t *row, int n_blocks, int column, uint8_t *panel) {
    const mote_type_info *info = mote_type_get(type);
    const uint8_t *block = row + info->row_header_bytes; /* of types of one scale; pairs lie two by two */
    const size_t n = (size_t)n_blocks, code_bytes = mote_panel_code_bytes(type),
                 scale_bytes = mote_panel_scale_bytes(type);
    uint8_t *scales = panel + n * code_bytes;
    if (type == MOTE_TYPE_I8) memcpy(scales + (size_t)column * sizeof(float), row, sizeof(float));
    for (size_t i = 0; i < n; i++, block += info->block_bytes) {
        uint8_t *scale = scales + i * scale_bytes;
        switch (type) {
        case MOTE_TYPE_I8: put_bytes(block, column, panel + i * code_bytes); break;
        case MOTE_TYPE_Q8_0:
            put_bytes(block + 2, column, panel + i * code_bytes);
            memcpy(scale + 2 * column, block, 2);
            break;
        case MOTE_TYPE_Q4_0:
            put_nibbles(block + 2, column, panel + i * code_bytes);
            memcpy(scale + 2 * column, block, 2);
            break;
        default:
            put_pairs(row + mote_pair_codes_at(i), column, panel + i * MOTE_PAIR_PANEL_CODES,
                      panel + n * MOTE_PAIR_PANEL_CODES + i * MOTE_PAIR_PANEL_REST);
            scale[column] = mote_pair_scale_of(row, i);
        }
    }
}

void mote_blocks_pack(mote_type type, const void *w, size_t w_row_bytes, int n, int k, void *panels) {
    int n_blocks = mote_blocks_of(k);
    size_t bytes = mote_panel_bytes(type, (size_t)n_blocks);
    memset(panels, 0, bytes * (size_t)((n + MOTE_PANEL - 1) / MOTE_PANEL));
    for (int i = 0; i < n; i++)
        put_column(type, (const uint8_t *)w + (size_t)i * w_row_bytes, n_blocks, i % MOTE_PANEL,
                   (uint8_t *)panels + (size_t)(i / MOTE_PANEL) * bytes);
}

void mote_blocks_clear(mote_type type, int k, void *panel) {
    memset(panel, 0, mote_panel_bytes(type, (size_t)mote_blocks_of(k)));
}

void mote_blocks_pack_row(mote_type type, const float *w, int k, int column, void *row, void *panel) {
    mote_type_get(type)->from_f32(w, row, (size_t)k);
    put_column(type, row, mote_blocks_of(k), column, panel);
}

void mote_blocks_pack_f32(mote_type type, const float *w, size_t w_row, int n, int k, void *row, void *panels) {
    const size_t bytes = mote_panel_bytes(type, (size_t)mote_blocks_of(k));
    for (int i = 0; i < n; i++) {
        void *panel = (uint8_t *)panels + (size_t)(i / MOTE_PANEL) * bytes;
        if (i % MOTE_PANEL == 0) mote_blocks_clear(type, k, panel);
        mote_blocks_pack_row(type, w + (size_t)i * w_row, k, i % MOTE_PANEL, row, panel);
    }
}

static void take_pairs(mote_type type, const uint8_t *codes, const uint8_t *rest, int column, int8_t *weights) {
    const mote_pair_table *pairs = mote_pair_tables(type);
    for (int i = 0; i < 16; i++) {
        int at = column * 4 + i % 4, code;
        if (i < 12) {
            code = codes[i / 4 * MOTE_BLOCK_VECTOR + at] & 127;
        } else {
            code = rest[at % MOTE_PAIR_PANEL_REST] >> (at < MOTE_PAIR_PANEL_REST ? 0 : 4) & 15;
            for (int g = 0; g < 3; g++) code |= codes[g * MOTE_BLOCK_VECTOR + at] >> 7 << (4 + g);
        }
        weights[i] = pairs->even[code];
        weights[16 + i] = pairs->odd[code];
    }
}

float mote_blocks_unpack(mote_type type, const void *panel, int n_blocks, int block, int column,
                         int8_t weights[MOTE_BLOCK_VALUES]) {
    const size_t n = (size_t)n_blocks, i = (size_t)block, code_bytes = mote_panel_code_bytes(type);
    const uint8_t *codes = (const uint8_t *)panel + i * code_bytes;
    const uint8_t *scale = (const uint8_t *)panel + n * code_bytes + i * mote_panel_scale_bytes(type);
    if (type == MOTE_TYPE_Q3H || type == MOTE_TYPE_Q43) {
        take_pairs(type, (const uint8_t *)panel + i * MOTE_PAIR_PANEL_CODES,
                   (const uint8_t *)panel + n * MOTE_PAIR_PANEL_CODES + i * MOTE_PAIR_PANEL_REST, column, weights);
        return mote_pair_scale(scale[column]);
    }
    for (int p = 0; p < MOTE_BLOCK_VALUES; p++) {
        int at = p / 4 * MOTE_BLOCK_VECTOR + column * 4 + p % 4;
        if (type != MOTE_TYPE_Q4_0) weights[p] = (int8_t)(codes[at] - 128);
        else weights[p] = (int8_t)((p < 16 ? codes[at] & 15 : codes[at - 4 * MOTE_BLOCK_VECTOR] >> 4) - 8);
    }
    if (type == MOTE_TYPE_I8) {
        float value;
        memcpy(&value, scale + (size_t)column * sizeof value, sizeof value);
        return value;
    }
    uint16_t half;
    memcpy(&half, scale + 2 * column, sizeof half);
    return mote_f16_to_f32(half);
}

void mote_blocks_values(mote_type type, const void *panel, int n_blocks, int block, int column,
                        float values[MOTE_BLOCK_VALUES]) {
    int8_t weights[MOTE_BLOCK_VALUES];
    const float scale = mote_blocks_unpack(type, panel, n_blocks, block, column, weights);
    for (int p = 0; p < MOTE_BLOCK_VALUES; p++) values[weight_at(p)] = (float)weights[p] * scale;
}
