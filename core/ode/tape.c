/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ode/tape.h"

#include "base/context_internal.h"

enum { ALIGN = 64, FIRST_SLAB = 1 << 16 };

typedef struct slab {
  struct slab *next;
  size_t size, used; /* of the data, which starts ALIGN bytes after the slab */
} slab;

struct cst_tape {
  cst_context *ctx;
  slab *first, *current;
  size_t budget, held; /* held: bytes of all slabs */
  size_t bytes, peak;  /* in blocks now; the most since it was cleared */
  bool refused;
};

cst_tape *cst_tape_new(cst_context *ctx, size_t budget) {
  cst_tape *t = cst_alloc(ctx, sizeof *t);
  if (t) *t = (cst_tape){.ctx = ctx, .budget = budget ? budget : SIZE_MAX};
  return t;
}

void cst_tape_free(cst_tape *t) {
  if (!t) return;
  for (slab *s = t->first, *next; s; s = next) {
    next = s->next;
    cst_free(t->ctx, s);
  }
  cst_free(t->ctx, t);
}

/* A slab as large as all the others together, less where the budget ends, but at least `bytes`. */
static slab *grow(cst_tape *t, size_t bytes) {
  size_t size = t->held > FIRST_SLAB ? t->held : FIRST_SLAB;
  if (size > t->budget - t->held) size = t->budget - t->held;
  if (size < bytes) size = bytes;
  if (size > t->budget - t->held || size > SIZE_MAX - ALIGN) return NULL;
  slab *s = cst_alloc_raw(t->ctx, size + ALIGN);
  if (!s) return NULL;
  cst_prefer_huge_pages(s, size + ALIGN);
  *s = (slab){.size = size};
  t->held += size;
  return s;
}

/* Goes to a slab with room: the next one that has it, else a new one put after the present. */
static bool advance(cst_tape *t, size_t bytes) {
  for (slab *s = t->current ? t->current->next : t->first; s; s = s->next)
    if (s->size >= bytes) {
      s->used = 0;
      t->current = s;
      return true;
    }
  slab *s = grow(t, bytes);
  if (!s) return false;
  slab **link = t->current ? &t->current->next : &t->first;
  s->next = *link;
  *link = t->current = s;
  return true;
}

/* The next block is likely of this size: its lines are fetched while this one is filled. */
static void fetch_for_writing(const unsigned char *p, size_t bytes) {
  enum { LINE = 64, MOST = 12288 };
  for (size_t i = 0; bytes <= MOST && i < bytes; i += LINE) __builtin_prefetch(p + i, 1);
}

static void *push(cst_tape *t, size_t bytes, size_t limit) {
  size_t size = (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
  t->refused = size < bytes || t->bytes > limit || size > limit - t->bytes;
  if (t->refused) return NULL;
  if ((!t->current || size > t->current->size - t->current->used) && !advance(t, size)) {
    t->refused = true;
    return NULL;
  }
  slab *s = t->current;
  unsigned char *block = (unsigned char *)s + ALIGN + s->used;
  s->used += size;
  t->bytes += size;
  if (t->bytes > t->peak) t->peak = t->bytes;
  fetch_for_writing(block + size, s->size - s->used < size ? s->size - s->used : size);
  return block;
}

void *cst_tape_push(cst_tape *t, size_t bytes) { return push(t, bytes, t->budget - t->budget / 4); }
void *cst_tape_push_reserve(cst_tape *t, size_t bytes) { return push(t, bytes, t->budget); }
bool cst_tape_refused(const cst_tape *t) { return t->refused; }
size_t cst_tape_limit(const cst_tape *t) { return t->budget; }

cst_tape_place cst_tape_mark(const cst_tape *t) {
  return (cst_tape_place){t->current, t->current ? t->current->used : 0, t->bytes};
}

void cst_tape_rewind(cst_tape *t, cst_tape_place mark) {
  t->current = mark.slab;
  if (t->current) t->current->used = mark.used;
  t->bytes = mark.bytes;
}

void cst_tape_clear(cst_tape *t) {
  cst_tape_rewind(t, (cst_tape_place){0});
  t->peak = 0;
}

size_t cst_tape_bytes(const cst_tape *t) { return t->bytes; }
size_t cst_tape_peak(const cst_tape *t) { return t->peak; }
