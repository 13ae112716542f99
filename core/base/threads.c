/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A pool of threads that fork and join. The caller publishes a job, takes part in it, closes it and
 * waits until nobody is inside; indices are handed out by one atomic counter. A worker that is late
 * finds the job closed and stays out, so a sleeping worker never delays the caller.
 *
 * Invariants:
 *  - `job` changes only while `open` is false and after `inside` was seen 0;
 *  - a worker reads `job` only after it has raised `inside` and then seen `open` true. Both orders
 *    (close, then read inside; raise inside, then read open) are sequentially consistent, so of a
 *    caller that leaves and a worker that comes at least one sees the other;
 *  - the mutex is taken only to fall asleep and to wake sleepers.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <unistd.h>

#include "base/context_internal.h"

enum { MAX_THREADS = 1024, SPIN = 4000 };

typedef struct job {
  size_t n;
  void (*f)(void *arg, size_t i, unsigned worker);
  void *arg;
} job;

typedef struct worker {
  cst_pool *pool;
  unsigned id; /* 1 .. threads - 1; the caller is 0 */
  pthread_t thread;
} worker;

struct cst_pool {
  alignas(64) atomic_size_t next; /* index of the job to hand out */
  alignas(64) atomic_uint ticket; /* counts jobs: a change wakes spinning workers */
  atomic_bool open, stop;
  job job;
  alignas(64) atomic_uint inside; /* workers that are, or are about to be, in the job */
  atomic_uint sleepers;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  int spin; /* 0 when there are more threads than processors */
  unsigned n_workers;
  worker workers[];
};

/* What this thread is doing: a job started from inside a job runs where it is. */
static _Thread_local const cst_pool *current_pool;
static _Thread_local unsigned current_worker;

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void take_part(cst_pool *p, unsigned id) {
  const cst_pool *outer_pool = current_pool; /* of another context whose job called us, or NULL */
  unsigned outer_worker = current_worker;
  current_pool = p;
  current_worker = id;
  job j = p->job;
  for (size_t i; (i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < j.n;)
    j.f(j.arg, i, id);
  current_pool = outer_pool;
  current_worker = outer_worker;
}

static void sleep_until(cst_pool *p, unsigned seen) {
  pthread_mutex_lock(&p->mutex);
  atomic_fetch_add(&p->sleepers, 1);
  while (atomic_load(&p->ticket) == seen) pthread_cond_wait(&p->wake, &p->mutex);
  atomic_fetch_sub(&p->sleepers, 1);
  pthread_mutex_unlock(&p->mutex);
}

static unsigned await_ticket(cst_pool *p, unsigned seen) {
  for (int i = 0; i < p->spin && atomic_load(&p->ticket) == seen; i++) relax();
  if (atomic_load(&p->ticket) == seen) sleep_until(p, seen);
  return atomic_load(&p->ticket);
}

static void *worker_main(void *arg) {
  worker *w = arg;
  cst_pool *p = w->pool;
  for (unsigned seen = 0; !atomic_load(&p->stop);) {
    seen = await_ticket(p, seen);
    atomic_fetch_add(&p->inside, 1);
    if (atomic_load(&p->open)) take_part(p, w->id);
    atomic_fetch_sub(&p->inside, 1);
  }
  return NULL;
}

/* Tells the workers that something is new. */
static void ring(cst_pool *p) {
  atomic_fetch_add(&p->ticket, 1);
  if (!atomic_load(&p->sleepers)) return;
  pthread_mutex_lock(&p->mutex);
  pthread_cond_broadcast(&p->wake);
  pthread_mutex_unlock(&p->mutex);
}

static void run_in_pool(cst_pool *p, job j) {
  p->job = j;
  atomic_store(&p->next, 0);
  atomic_store(&p->open, true);
  ring(p);
  take_part(p, 0);
  atomic_store(&p->open, false);
  for (int i = 0; atomic_load(&p->inside); i++)
    if (i < p->spin) relax();
    else sched_yield();
}

void cst_parallel(cst_context *ctx, size_t n, void (*f)(void *arg, size_t i, unsigned worker),
                  void *arg) {
  cst_pool *p = ctx->pool;
  bool nested = p && current_pool == p;
  if (n > 1 && p && !nested) {
    run_in_pool(p, (job){n, f, arg});
    return;
  }
  unsigned id = nested ? current_worker : 0;
  for (size_t i = 0; i < n; i++) f(arg, i, id);
}

/* ---- making and stopping ------------------------------------------------------------------------ */

static void stop_pool(cst_context *ctx, cst_pool *p, unsigned started) {
  atomic_store(&p->stop, true);
  ring(p);
  for (unsigned i = 0; i < started; i++) pthread_join(p->workers[i].thread, NULL);
  pthread_cond_destroy(&p->wake);
  pthread_mutex_destroy(&p->mutex);
  cst_free(ctx, p);
}

/* Signals are for the program's own threads: workers are born with all of them blocked. */
static unsigned start_workers(cst_pool *p) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  unsigned started = 0;
  for (; started < p->n_workers; started++) {
    worker *w = &p->workers[started];
    w->pool = p;
    w->id = started + 1;
    if (pthread_create(&w->thread, NULL, worker_main, w) != 0) break;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return started;
}

static cst_status start_pool(cst_context *ctx, unsigned n, cst_pool **out) {
  cst_pool *p = cst_alloc(ctx, sizeof *p + (n - 1) * sizeof p->workers[0]);
  if (!p) return CST_ENOMEM;
  long processors = sysconf(_SC_NPROCESSORS_ONLN);
  p->spin = (long)n <= processors ? SPIN : 0;
  p->n_workers = n - 1;
  pthread_mutex_init(&p->mutex, NULL);
  pthread_cond_init(&p->wake, NULL);
  unsigned started = start_workers(p);
  if (started < p->n_workers) {
    stop_pool(ctx, p, started);
    return cst_fail(ctx, CST_ENOMEM, "could not start %u threads: the system allows %u", n,
                    started + 1);
  }
  *out = p;
  return CST_OK;
}

void cst_pool_stop(cst_context *ctx) {
  if (ctx->pool) stop_pool(ctx, ctx->pool, ctx->pool->n_workers);
  ctx->pool = NULL;
  ctx->threads = 1;
}

cst_status cst_set_threads(cst_context *ctx, unsigned n) {
  if (n < 1 || n > MAX_THREADS)
    return cst_fail(ctx, CST_EINVAL, "threads = %u is not within 1 .. %d", n, MAX_THREADS);
  if (n == ctx->threads) return CST_OK;
  if (ctx->busy || (ctx->pool && atomic_load(&ctx->pool->open)))
    return cst_fail(ctx, CST_EBUSY, "the number of threads cannot change while a solve runs");
  cst_pool *p = NULL;
  if (n > 1) CST_TRY(start_pool(ctx, n, &p));
  cst_pool_stop(ctx);
  ctx->pool = p;
  ctx->threads = n;
  return CST_OK;
}

unsigned cst_threads(const cst_context *ctx) { return ctx->threads; }
