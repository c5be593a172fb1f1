/* A pool of threads that run one task together. The caller is thread 0, so a pool of one starts no thread. Waiting
 * spins a bounded time, then sleeps: a spinning pool collapses when another process takes a core. */
#ifndef MOTE_BASE_THREADS_H
#define MOTE_BASE_THREADS_H

#include <stdatomic.h>

#include "base/status.h"

typedef struct mote_pool mote_pool;
typedef void (*mote_task)(void *context, int thread, int n_threads);

mote_status mote_pool_create(int n_threads, mote_pool **pool, mote_error *error); /* 1 to 256 */
void mote_pool_destroy(mote_pool *pool);
int mote_pool_threads(const mote_pool *pool);
/* Runs task on every thread and returns when all have returned. */
void mote_pool_run(mote_pool *pool, mote_task task, void *context);
/* Where a task does the same with any number of threads: lets the caller run it alone (one thread of one) for a while
 * after runs in which it mostly waited for a thread that another process kept from its core. Each call forgets what was
 * learned of other processes. */
void mote_pool_may_run_alone(mote_pool *pool, bool may);
bool mote_pool_runs_alone(const mote_pool *pool); /* the next run */
/* Inside a task: waits until every thread has come here. All threads must call it equally often. */
void mote_pool_barrier(mote_pool *pool);
/* Inside a task: hands out 0, 1, 2, ... to whoever asks first. */
static inline int mote_take(atomic_int *next) { return atomic_fetch_add_explicit(next, 1, memory_order_relaxed); }

double mote_seconds(void); /* monotonic clock */
/* Bytes of memory that this process may use: the machine's, or less where its cgroups say so. */
size_t mote_machine_memory(void);

#endif
