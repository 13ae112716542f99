/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The context from inside. Only the core's own rooms include this.
 */
#pragma once
#include <stdarg.h>
#include <stdatomic.h>

#include "costate/context.h"
#include "costate/plugin.h"

enum { CST_MESSAGE_SIZE = 1024 };

typedef struct cst_registry cst_registry; /* core/plugin/registry.c */
typedef struct cst_pool cst_pool;         /* core/base/threads.c */
typedef struct cst_profile cst_profile;   /* core/autodiff/profile.c */

struct cst_context {
  cst_allocator allocator;
  cst_memory memory;
  cst_log_fn *log;
  void *log_user;
  unsigned threads; /* counting the caller; pool is NULL when 1 */
  cst_pool *pool;
  const volatile sig_atomic_t *stop; /* asks solves to end; NULL: nobody does */
  atomic_uint busy; /* solves and programs that are running now, on any thread */
  cst_registry *registry;
  cst_profile *profile; /* NULL: times are not kept */
  cst_host host;
  cst_status status;       /* of the last failure */
  atomic_flag writing;     /* held while the message changes: workers may fail at the same time */
  char message[CST_MESSAGE_SIZE];
};

/* Every solve and program run stands between these two; while one runs, no new plugin is loaded and
 * the number of threads does not change. They nest. */
static inline void cst_context_enter(cst_context *ctx) {
  atomic_fetch_add_explicit(&ctx->busy, 1, memory_order_relaxed);
}
static inline void cst_context_leave(cst_context *ctx) {
  atomic_fetch_sub_explicit(&ctx->busy, 1, memory_order_relaxed);
}

/* cst_alloc whose bytes are not set: for large buffers that are written before they are read. */
void *cst_alloc_raw(cst_context *ctx, size_t size);
/* Advice for such a buffer: it will be walked through from end to end. */
void cst_prefer_huge_pages(void *p, size_t size);

/* cst_fail with the arguments already collected. */
cst_status cst_fail_args(cst_context *ctx, cst_status status, const char *format, va_list args);
/* While a task of several runs, what fails on its thread is told here instead of in the context, so that the message
 * that is told in the end does not depend on who was last. NULL: in the context again. Returns what was there. */
char *cst_message_divert(char text[CST_MESSAGE_SIZE]);
/* Forgets the message, so that a later look finds out whether anything was said. */
void cst_message_clear(cst_context *ctx);
void cst_log_args(cst_context *ctx, cst_level level, const char *format, va_list args);

/* Stops the workers. */
void cst_pool_stop(cst_context *ctx);

/* Frees what cst_profile_start made. */
void cst_profile_stop(cst_context *ctx);

/* Makes the registry, fills the host table and registers the core's own ops and controllers. */
cst_status cst_registry_open(cst_context *ctx);
/* Calls every fini, last loaded first, and frees the registry. */
void cst_registry_close(cst_context *ctx);
