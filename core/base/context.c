/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A context begins and ends here.
 */
#include <stdlib.h>

#include "base/context_internal.h"

static void *resize_malloc(void *user, void *ptr, size_t old_size, size_t new_size) {
  (void)user, (void)old_size;
  if (new_size) return realloc(ptr, new_size);
  free(ptr);
  return NULL;
}

/* The context lies in memory of its own allocator, found through one on the stack. It does not
 * count itself. */
static cst_context *allocate(const cst_allocator *allocator) {
  cst_context first = {.threads = 1, .writing = ATOMIC_FLAG_INIT};
  first.allocator = allocator ? *allocator : (cst_allocator){.resize = resize_malloc};
  cst_context *ctx = cst_alloc(&first, sizeof *ctx);
  if (!ctx) return NULL;
  ctx->allocator = first.allocator;
  ctx->threads = 1;
  atomic_flag_clear(&ctx->writing);
  return ctx;
}

static void deallocate(cst_context *ctx) {
  cst_context last = {.allocator = ctx->allocator};
  cst_free(&last, ctx);
}

cst_context *cst_context_new(const cst_allocator *allocator) {
  cst_context *ctx = allocate(allocator);
  if (!ctx) return NULL;
  if (cst_registry_open(ctx) == CST_ENOMEM) {
    cst_context_free(ctx);
    return NULL;
  }
  return ctx;
}

void cst_context_free(cst_context *ctx) {
  if (!ctx) return;
  cst_registry_close(ctx);
  cst_pool_stop(ctx);
  cst_profile_stop(ctx);
  deallocate(ctx);
}

void cst_set_stop(cst_context *ctx, const volatile sig_atomic_t *flag) { ctx->stop = flag; }

const cst_host *cst_host_of(const cst_context *ctx) { return &ctx->host; }
