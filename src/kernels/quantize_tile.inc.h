/* The body of quantize_tile for every instruction set: 16 columns beside each other in vectors of the compiler, which
 * splits them where registers are narrower. Each step is one rounding of one value, so all sets agree bit for bit. */
typedef float tile_floats __attribute__((vector_size(64)));
typedef int32_t tile_ints __attribute__((vector_size(64)));
typedef uint32_t tile_words __attribute__((vector_size(64)));

static void quantize_tile(const mote_real *x, size_t x_row, uint8_t *codes, float *scales, int32_t *sums) {
    tile_floats value[MOTE_BLOCK_VALUES], largest, inverse;
    tile_ints most = {0}, sum = {0}, valid;
    const tile_floats round = (tile_floats){0} + 0x1.8p23f; /* x + this: to nearest even in the lowest bits */
    for (int r = 0; r < MOTE_BLOCK_VALUES; r++) {
        const mote_real *row = x + (size_t)r * x_row;
        if (sizeof(mote_real) == sizeof(float)) memcpy(&value[r], row, sizeof value[r]);
        else
            for (int c = 0; c < MOTE_PANEL; c++) value[r][c] = (float)row[c];
        tile_ints magnitude = (tile_ints)value[r] & 0x7fffffff, more = magnitude > most;
        most = (magnitude & more) | (most & ~more);
    }
    largest = (tile_floats)most;
    tile_ints finite = most < (int32_t)MOTE_INFINITE_BITS;
    valid = (largest >= MOTE_SMALLEST_LARGEST) & finite;
    inverse = 127 / largest; /* of blocks that are not valid: not used */
    tile_floats scale = largest / 127;
    scale = (tile_floats)(((tile_ints)scale & valid) | (~finite & (int32_t)MOTE_NAN_BITS));
    memcpy(scales, &scale, sizeof scale);
    for (int g = 0; g < 8; g++) { /* the even values stand first */
        tile_words four = {0};
        for (int j = 0; j < 4; j++) {
            tile_floats rounded = value[g < 4 ? 8 * g + 2 * j : 8 * (g - 4) + 2 * j + 1] * inverse + round;
            tile_ints code = ((tile_ints)rounded - (tile_ints)round) & valid;
            sum += code;
            four |= ((tile_words)code & 255) << (8 * j);
        }
        four ^= 0x80808080u;
        memcpy(codes + g * MOTE_BLOCK_VECTOR, &four, sizeof four);
    }
    memcpy(sums, &sum, sizeof sum);
}
