/* A BLAS library by dlopen. It must do a call on the calling thread alone, since the pool has split the work already;
 * OpenBLAS, BLIS and MKL are told so by their own functions, where they have them. The library is never unloaded: some
 * leave threads behind. */
#include "kernels/blas.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 }; /* CBLAS_ORDER, CBLAS_TRANSPOSE */

#ifdef MOTE_REAL_DOUBLE
static const char gemm_name[] = "cblas_dgemm";
#else
static const char gemm_name[] = "cblas_sgemm";
#endif

/* POSIX makes a function of what dlsym returns; C does not. */
static void find(void *library, const char *name, void *function) {
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
}

static void use_one_thread(void *library) {
    static const char *const by_int[] = {"openblas_set_num_threads", "MKL_Set_Num_Threads"};
    for (size_t i = 0; i < sizeof by_int / sizeof *by_int; i++) {
        void (*set)(int) = NULL;
        find(library, by_int[i], &set);
        if (set) set(1);
    }
    void (*set_long)(long) = NULL;
    find(library, "bli_thread_set_num_threads", &set_long);
    if (set_long) set_long(1);
}

/* "libopenblas.so.0 (OpenBLAS 0.3.21 ... Zen)"; false: its integers are of 64 bits. */
static bool describe(mote_blas *blas, const char *path) {
    char *(*config)(void) = NULL, *(*core)(void) = NULL;
    find(blas->library, "openblas_get_config", &config);
    find(blas->library, "openblas_get_corename", &core);
    const char *what = config ? config() : NULL;
    char version[48] = "";
    if (what) sscanf(what, "%31s %15s", version, version + 32);
    if (what && core) snprintf(blas->name, sizeof blas->name, "%.60s (%.31s %.15s, %.31s)", path, version,
                               version + 32, core());
    else snprintf(blas->name, sizeof blas->name, "%.150s", path);
    return !what || !strstr(what, "USE64BITINT");
}

static mote_status open_one(const char *path, mote_blas *blas, mote_error *error) {
    blas->library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const char *problem = blas->library ? NULL : dlerror();
    if (!blas->library) {
        mote_fail(error, MOTE_IO, "cannot load %s as a BLAS library: %.300s", path,
                  problem ? problem : "no reason given");
        return mote_hint(error, MOTE_IO,
                         "Debian, Ubuntu: apt install libopenblas0-pthread; or name the file of another");
    }
    find(blas->library, gemm_name, &blas->gemm);
    if (!blas->gemm) return mote_fail(error, MOTE_USAGE, "%s is no BLAS library: it has no %s", path, gemm_name);
    if (!describe(blas, path))
        return mote_fail(error, MOTE_USAGE, "%s has integers of 64 bits; one with 32 bits is needed", path);
    use_one_thread(blas->library);
    return MOTE_OK;
}

mote_status mote_blas_open(const char *path, mote_blas **out, mote_error *error) {
    static const char *const usual[] = {"libopenblas.so.0", "libblis.so.4", "libmkl_rt.so.2", "libopenblas.dylib"};
    enum { N_USUAL = sizeof usual / sizeof *usual };
    if (out) *out = NULL;
    if (!out) return mote_fail(error, MOTE_USAGE, "opening a BLAS library needs a place for its handle");
    mote_blas *blas = mote_allocate_zero(1, sizeof *blas);
    if (!blas) return mote_fail_memory(error, "a BLAS library", sizeof *blas);
    mote_status status = path ? open_one(path, blas, error) : MOTE_IO;
    for (int i = 0; !path && status && i < N_USUAL; i++) {
        mote_blas_close(blas);
        blas = mote_allocate_zero(1, sizeof *blas);
        if (!blas) return mote_fail_memory(error, "a BLAS library", sizeof *blas);
        status = open_one(usual[i], blas, NULL);
    }
    if (status && !path) {
        mote_fail(error, MOTE_IO, "no BLAS library is installed: tried libopenblas.so.0, libblis.so.4, libmkl_rt.so.2");
        mote_hint(error, MOTE_IO, "Debian, Ubuntu: apt install libopenblas0-pthread; or name the file of one");
    }
    if (status) mote_blas_close(blas);
    else *out = blas;
    return status;
}

void mote_blas_close(mote_blas *blas) {
    if (!blas) return;
    if (blas->library) dlclose(blas->library);
    mote_release(blas);
}

const char *mote_blas_name(const mote_blas *blas) { return blas->name; }

/* What C holds before the sum; true when that is more than zeros. */
static bool start_rows(const mote_gemm *g) {
    if (!g->start && !g->bias) return false;
    for (int row = 0; row < g->rows; row++) {
        mote_real *c = g->c + (size_t)row * g->c_row;
        const mote_real *start = g->start ? g->start + (size_t)row * g->start_row : NULL;
        if (start && start != c) memcpy(c, start, (size_t)g->columns * sizeof *c);
        if (start && g->bias)
            for (int i = 0; i < g->columns; i++) c[i] += g->bias[i];
        else if (g->bias) memcpy(c, g->bias, (size_t)g->columns * sizeof *c);
    }
    return true;
}

void mote_blas_product(const mote_blas *blas, const mote_gemm *g, const mote_blas_matrix *b) {
    if (g->rows <= 0 || g->columns <= 0) return;
    mote_real beta = start_rows(g) ? 1 : 0;
    bool transposed = g->a_depth != 1;
    blas->gemm(ROW_MAJOR, transposed ? TRANSPOSED : PLAIN, b->transposed ? TRANSPOSED : PLAIN, g->rows, g->columns,
               g->depth, 1, g->a, (int)(transposed ? g->a_depth : g->a_row), b->values, (int)b->row, beta, g->c,
               (int)g->c_row);
}
