/* Files above 64 MiB open without their weights being read; what is damaged in them is found when a weight is first
 * used, by whoever uses it, and never run. */
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "formats/gguf.h"
#include "models/model.h"
#include "run/session.h"
#include "test.h"
#include "train/trainable.h"

#define PATH "build/test_large_file.gguf"
#define OUT "build/test_large_file_out.gguf"

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* 80 MiB of zeros as weights, 20 of them in each row of a page that the file system need not keep. */
static void write_model(mote_type type, int vocab) {
    mote_config c = mote_config_default(MOTE_FAMILY_LLAMA);
    mote_model *model = NULL;
    mote_error error = {0};
    c.vocab = vocab, c.dim = 256, c.layers = 1, c.heads = 4, c.hidden = 256, c.context = 16;
    CHECK(mote_model_allocate(&c, true, &model, &error) == MOTE_OK, "%s", error.message);
    CHECK(mote_model_save(model, PATH, type, &error) == MOTE_OK, "%s", error.message);
    mote_model_close(model);
}

static long place_of(const char *tensor) {
    mote_gguf file;
    mote_map map;
    mote_error error = {0};
    CHECK(mote_map_open(PATH, &map, &error) == MOTE_OK && mote_gguf_take(&map, &file, &error) == MOTE_OK, "%s",
          error.message);
    CHECK(file.checks_put_off, "the file is large");
    const mote_gguf_tensor *found = mote_gguf_find_tensor(&file, tensor);
    CHECK(found, "%s", tensor);
    long place = found ? (long)(found->data - file.map.bytes) : 0;
    mote_gguf_close(&file);
    return place;
}

static void set_bytes(long at, const void *bytes, size_t n) {
    FILE *file = fopen(PATH, "r+b");
    CHECK(file && !fseek(file, at, SEEK_SET) && fwrite(bytes, 1, n, file) == n && !fclose(file), "%ld", at);
}

static mote_model *open_model(void) {
    mote_model *model = NULL;
    mote_error error = {0};
    CHECK(mote_model_open(PATH, &model, &error) == MOTE_OK, "%s", error.message);
    return model;
}

/* Each way to the bytes of a weight, with a file of which one tensor is damaged. */
static void expect_found(const char *tensor, const char *message) {
    for (int way = 0; way < 5; way++) {
        mote_model *model = open_model();
        mote_session *session = NULL;
        mote_error error = {0};
        mote_status status = MOTE_OK;
        if (way == 0) status = mote_session_create(model, NULL, &session, &error);
        if (way == 1) status = mote_model_save(model, OUT, MOTE_TYPE_KEEP, &error);
        if (way == 2) status = mote_model_export(model, OUT ".bin", MOTE_TYPE_KEEP, &error);
        if (way == 3) status = mote_model_export(model, OUT "-folder", MOTE_TYPE_KEEP, &error);
        if (way == 4) status = mote_model_make_trainable(model, &error);
        CHECK(status == MOTE_BAD_FILE && !session && strstr(error.message, message) && strstr(error.message, tensor) &&
                  strstr(error.message, PATH),
              "%s, way %d: %d \"%s\"", tensor, way, (int)status, error.message);
        CHECK(access(OUT, F_OK) && access(OUT ".bin", F_OK) && access(OUT "-folder/config.json", F_OK),
              "way %d wrote a file", way);
        mote_session_destroy(session);
        mote_model_close(model);
    }
}

static void a_flipped_bit_is_found_when_the_weight_is_used(void) {
    static const char *const tensors[] = {"token_embd.weight", "blk.0.attn_norm.weight", "blk.0.ffn_down.weight"};
    static const float wrong = 1e-3f, zero = 0;
    write_model(MOTE_TYPE_F32, 80000);
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        long at = place_of(tensors[i]) + 4 * 100;
        set_bytes(at, &wrong, sizeof wrong);
        expect_found(tensors[i], "the checksum of tensor");
        mote_gguf file;
        mote_error error = {0};
        CHECK(mote_gguf_open(PATH, &file, &error) == MOTE_BAD_FILE && strstr(error.message, tensors[i]),
              "who reads everything is told at once: %s", error.message);
        set_bytes(at, &zero, sizeof zero);
    }
    mote_model *model = open_model();
    mote_session *session = NULL;
    mote_error error = {0};
    CHECK(mote_session_create(model, NULL, &session, &error) == MOTE_OK, "whole again: %s", error.message);
    mote_session_destroy(session);
    mote_model_close(model);
}

static void a_flipped_bit_of_the_header_is_found_at_once(void) {
    mote_model *model = NULL;
    mote_error error = {0};
    FILE *file = fopen(PATH, "rb");
    char head[2] = {0};
    CHECK(file && !fseek(file, 64, SEEK_SET) && fread(head, 1, 1, file) == 1 && !fclose(file), "read");
    head[1] = (char)(head[0] ^ 1);
    set_bytes(64, head + 1, 1);
    CHECK(mote_model_open(PATH, &model, &error) == MOTE_BAD_FILE && !model, "%s", error.message);
    set_bytes(64, head, 1);
}

static void opening_reads_no_weights(void) {
    double least = 1;
    for (int i = 0; i < 5; i++) {
        double start = cpu_seconds();
        mote_model *model = open_model();
        double took = cpu_seconds() - start;
        if (took < least) least = took;
        mote_model_close(model);
    }
    /* Hashing the 80 MiB alone takes 10 ms and more, faulting its pages in as much again. */
    printf("     %.2f ms\n", 1e3 * least);
#ifndef MOTE_SANITIZED
    CHECK(least < 0.005, "%.1f ms", 1e3 * least);
#endif
}

static void scales_of_blocks_are_checked_with_the_weight(void) {
    static const uint16_t infinite = 0x7c00;
    write_model(MOTE_TYPE_Q8_0, 300000);
    long at = place_of("token_embd.weight") + 34 * 8;
    set_bytes(at, &infinite, sizeof infinite);
    expect_found("token_embd.weight", "the checksum of tensor");
    /* The same in a file without checksums, whose keys are of other names. */
    FILE *file = fopen(PATH, "rb");
    static char head[1 << 16];
    size_t n = file ? fread(head, 1, sizeof head, file) : 0;
    if (file) fclose(file);
    for (int i = 0; i < 2; i++) {
        const char *key = i ? MOTE_KEY_HEADER_SUM : MOTE_KEY_TENSOR_SUMS;
        char *found = memmem(head, n, key, strlen(key));
        CHECK(found, "%s", key);
        if (found) found[0] = 'n';
    }
    set_bytes(0, head, n);
    expect_found("token_embd.weight", "a scale of NaN or infinity");
}

int main(void) {
    mkdir("build", 0777);
    RUN(a_flipped_bit_is_found_when_the_weight_is_used);
    RUN(a_flipped_bit_of_the_header_is_found_at_once);
    RUN(opening_reads_no_weights);
    RUN(scales_of_blocks_are_checked_with_the_weight);
    unlink(PATH);
    return test_finish();
}
