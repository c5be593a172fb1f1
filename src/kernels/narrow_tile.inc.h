/* The edge of a product, over the file that includes this: `tile`, with c, c_row, start and start_row; tile_function;
 * NARROW_VALUES, the most values of a tile. */

/* A tile whose columns end inside its last panel: computed in whole panels of its own. */
static void run_narrow_tile(const tile *t, tile_function run, int rows, int panels, int columns) {
    float whole[NARROW_VALUES];
    size_t width = (size_t)panels * MOTE_PANEL, bytes = (size_t)columns * sizeof(float);
    tile inside = *t;
    inside.c = whole;
    inside.c_row = width;
    if (t->start) {
        for (int r = 0; r < rows; r++) {
            memcpy(whole + (size_t)r * width, t->start + (size_t)r * t->start_row, bytes);
            memset(whole + (size_t)r * width + columns, 0, width * sizeof(float) - bytes);
        }
        inside.start = whole;
        inside.start_row = width;
    }
    run(&inside);
    for (int r = 0; r < rows; r++) memcpy(t->c + (size_t)r * t->c_row, whole + (size_t)r * width, bytes);
}
