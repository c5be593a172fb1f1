/* The products of tiny transformers measured one after the other, beside the peak of the machine. */
#include <string.h>

#include "base/buffer.h"
#include "kernels/crossover.h"

static mote_status measure_row(mote_pool *pool, const mote_layer *layer, mote_product_form form, const mote_blas *blas,
                               double seconds, mote_crossover_row *row, mote_error *error) {
    mote_shape shape = mote_shape_of(layer, form, mote_pool_threads(pool));
    mote_rehearsal *rehearsal;
    double took[MOTE_CONTESTANTS];
    mote_status status = mote_rehearsal_create(mote_kernels_get(), pool, &shape, &rehearsal, error);
    if (status) return status;
    mote_rehearsal_time(rehearsal, blas, seconds, took);
    mote_rehearsal_destroy(rehearsal);
    *row = (mote_crossover_row){.group = layer->group,
                                .form = form,
                                .tokens = layer->tokens,
                                .outputs = layer->outputs,
                                .inputs = layer->inputs,
                                .count = layer->count,
                                .operations = mote_shape_operations(&shape),
                                .seconds = took[0],
                                .seconds_packing = took[1],
                                .blas_seconds = took[2]};
    return MOTE_OK;
}

mote_status mote_crossover_measure(const mote_blas *blas, int threads, double seconds, const char *only,
                                   mote_crossover *c, mote_error *error) {
    if (!c) return mote_fail(error, MOTE_USAGE, "measuring products needs a place for the figures");
    if (threads == 0) threads = mote_cpu_cores();
    if (seconds == 0) seconds = 8;
    if (!(seconds >= 0.01 && seconds <= 600))
        return mote_fail(error, MOTE_USAGE, "measuring products for %g seconds was asked for; 0.01 to 600 are possible",
                         seconds);
    mote_roof roof;
    mote_pool *pool = NULL;
    mote_status status = mote_roof_measure(threads, 0.3, &roof, error);
    if (!status) status = mote_pool_create(threads, &pool, error);
    *c = (mote_crossover){.threads = threads};
    if (!status) c->peak_flops = roof.f32_flops[threads > 1];
    double round = seconds / (MOTE_CROSSOVER_ROWS * MOTE_CONTESTANTS * 9); /* seven rounds, and two calls before */
    for (int i = 0; i < MOTE_CROSSOVER_ROWS && !status; i++) {
        const mote_layer *layer = &mote_layers[i / 3];
        if (only && !strstr(layer->group, only)) continue;
        status = measure_row(pool, layer, (mote_product_form)(i % 3), blas, round, &c->rows[c->n_rows], error);
        if (!status) c->n_rows++;
    }
    mote_pool_destroy(pool);
    if (!status && !c->n_rows) {
        mote_fail(error, MOTE_USAGE, "no class of products has \"%.40s\" in its name", only);
        status = mote_hint(error, MOTE_USAGE,
                           "attention tiles; 64 to 128, 256 to 384 wide; 1536 wide or deep; head of 16000");
    }
    return status;
}

static void print_number(mote_buffer *out, const char *key, double value) {
    mote_buffer_print(out, ",\"%s\":", key);
    if (value > 0) mote_buffer_json_number(out, value);
    else mote_buffer_print(out, "null");
}

mote_status mote_crossover_json(const mote_crossover *c, const mote_blas *blas, char **json, mote_error *error) {
    static const char *const forms[] = {"forward", "input gradient", "weight gradient"};
    if (!c || !json) return mote_fail(error, MOTE_USAGE, "JSON of products needs their figures and a place");
    *json = NULL;
    mote_buffer out = {0};
    mote_buffer_print(&out, "{\"threads\":%d,\"blas\":", c->threads);
    if (blas) mote_buffer_json_string(&out, mote_blas_name(blas), strlen(mote_blas_name(blas)));
    else mote_buffer_print(&out, "null");
    print_number(&out, "peak_flops", c->peak_flops);
    mote_buffer_print(&out, ",\"products\":[");
    for (int i = 0; i < c->n_rows; i++) {
        const mote_crossover_row *r = &c->rows[i];
        mote_buffer_print(&out,
                          "%s{\"class\":\"%s\",\"form\":\"%s\",\"tokens\":%d,\"outputs\":%d,\"inputs\":%d,\"count\":%d",
                          i ? "," : "", r->group, forms[r->form], r->tokens, r->outputs, r->inputs, r->count);
        print_number(&out, "operations", r->operations);
        print_number(&out, "seconds", r->seconds);
        print_number(&out, "seconds_with_packing", r->seconds_packing);
        print_number(&out, "blas_seconds", r->blas_seconds);
        mote_buffer_print(&out, "}");
    }
    mote_buffer_print(&out, "]}");
    return mote_buffer_finish(&out, json, error);
}
