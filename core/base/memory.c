/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Memory of a context: zeroed, 64-byte aligned whatever the allocator below returns, and counted.
 *
 * A block from the allocator is   [.. pad .. | header | bytes of the caller ..]
 * with the header just before the aligned address that the caller gets.
 */
#define _DEFAULT_SOURCE /* madvise */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/context_internal.h"

enum { ALIGNMENT = 64 };

typedef struct header {
  unsigned char *raw; /* as the allocator returned it */
  size_t size;        /* as the caller asked */
} header;

enum { OVERHEAD = sizeof(header) + ALIGNMENT }; /* reaches the first aligned address, always */

static header read_header(const void *ptr) {
  header h;
  memcpy(&h, (const unsigned char *)ptr - sizeof h, sizeof h);
  return h;
}

/* From a raw block to the first aligned byte that leaves room for the header. */
static size_t offset_in(const unsigned char *raw) {
  uintptr_t first = (uintptr_t)raw + sizeof(header);
  uintptr_t aligned = (first + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1);
  return (size_t)(aligned - (uintptr_t)raw);
}

/* The caller's address in a raw block, its header written. */
static unsigned char *place(unsigned char *raw, size_t size) {
  unsigned char *user = raw + offset_in(raw);
  header h = {raw, size};
  memcpy(user - sizeof h, &h, sizeof h);
  return user;
}

static void *exhausted(cst_context *ctx, size_t size) {
  cst_fail(ctx, CST_ENOMEM, "out of memory: %zu bytes were asked for while %zu are in use", size,
           ctx->memory.live_bytes);
  return NULL;
}

static void count(cst_context *ctx, size_t added, size_t removed) {
  cst_memory *m = &ctx->memory;
  m->live_bytes += added - removed;
  if (m->live_bytes > m->peak_bytes) m->peak_bytes = m->live_bytes;
}

void *cst_alloc_raw(cst_context *ctx, size_t size) {
  ctx->memory.allocations++;
  if (size > PTRDIFF_MAX - (size_t)OVERHEAD) return exhausted(ctx, size);
  unsigned char *raw = ctx->allocator.resize(ctx->allocator.user, NULL, 0, size + OVERHEAD);
  if (!raw) return exhausted(ctx, size);
  ctx->memory.live_blocks++;
  count(ctx, size, 0);
  return place(raw, size);
}

void *cst_alloc(cst_context *ctx, size_t size) {
  void *p = cst_alloc_raw(ctx, size);
  return p ? memset(p, 0, size) : NULL;
}

/* What is streamed through once costs a page fault and a TLB miss every 4 KiB otherwise. */
void cst_prefer_huge_pages(void *p, size_t size) {
#ifdef MADV_HUGEPAGE
  enum { HUGE = 1 << 21 };
  uintptr_t first = ((uintptr_t)p + HUGE - 1) & ~(uintptr_t)(HUGE - 1), end = (uintptr_t)p + size;
  end &= ~(uintptr_t)(HUGE - 1);
  if (first < end) (void)madvise((void *)first, end - first, MADV_HUGEPAGE);
#else
  (void)p, (void)size;
#endif
}

void *cst_realloc(cst_context *ctx, void *ptr, size_t size) {
  if (!ptr) return cst_alloc(ctx, size);
  ctx->memory.allocations++;
  if (size > PTRDIFF_MAX - (size_t)OVERHEAD) return exhausted(ctx, size);
  header old = read_header(ptr);
  size_t offset = (size_t)((unsigned char *)ptr - old.raw);
  unsigned char *raw = ctx->allocator.resize(ctx->allocator.user, old.raw, old.size + OVERHEAD,
                                             size + OVERHEAD);
  if (!raw) return exhausted(ctx, size);
  /* The bytes lie at the old offset, the aligned address may be another now. The header is written
   * last, because it may overlap where they were. */
  size_t moved = offset_in(raw);
  if (moved != offset) memmove(raw + moved, raw + offset, size < old.size ? size : old.size);
  count(ctx, size, old.size);
  return place(raw, size);
}

void cst_free(cst_context *ctx, void *ptr) {
  if (!ptr) return;
  header h = read_header(ptr);
  ctx->memory.live_blocks--;
  count(ctx, 0, h.size);
  ctx->allocator.resize(ctx->allocator.user, h.raw, h.size + OVERHEAD, 0);
}

char *cst_strdup(cst_context *ctx, const char *text) {
  size_t n = strlen(text) + 1;
  char *copy = cst_alloc(ctx, n);
  return copy ? memcpy(copy, text, n) : NULL;
}

void cst_memory_forget_peak(cst_context *ctx) { ctx->memory.peak_bytes = ctx->memory.live_bytes; }

cst_memory cst_memory_of(const cst_context *ctx) { return ctx->memory; }
