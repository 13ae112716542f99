/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Where the time of programs goes: by instruction, those of one text taken together. An instruction's
 * own time is what passed less what its inner instructions took, which are on the same thread.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "autodiff/program_internal.h"
#include "base/context_internal.h"

enum { ROWS = 512, TEXT = 160 };

typedef struct entry {
  char what[TEXT];
  uint64_t calls;
  double seconds;
} entry;

/* Entries are only added; a row never moves. */
struct cst_profile {
  pthread_mutex_t mutex;
  uint32_t n;
  entry row[ROWS]; /* the last one takes what does not fit */
};

static _Thread_local double inner; /* seconds of instructions inside the present one */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint32_t find_row(cst_profile *to, const cst_program *p, const cst_compiled *k) {
  char what[TEXT];
  cst_instruction_format(p, k, what, sizeof what);
  for (uint32_t i = 0; i < to->n; i++)
    if (strcmp(to->row[i].what, what) == 0) return i;
  if (to->n == ROWS) return ROWS - 1;
  memcpy(to->row[to->n].what, to->n == ROWS - 1 ? "others" : what, to->n == ROWS - 1 ? sizeof "others" : TEXT);
  return to->n++;
}

static void book(cst_profile *to, const cst_program *p, cst_compiled *k, double seconds) {
  pthread_mutex_lock(&to->mutex);
  if (!k->profile_row) k->profile_row = find_row(to, p, k) + 1;
  entry *e = &to->row[k->profile_row - 1];
  e->calls++;
  e->seconds += seconds;
  pthread_mutex_unlock(&to->mutex);
}

cst_status cst_profile_kernel(cst_profile *to, const cst_program *p, cst_compiled *k, const cst_call *call) {
  double outside = inner, began = now();
  inner = 0;
  cst_status st = k->q.kernel(call);
  double all = now() - began;
  book(to, p, k, all - inner);
  inner = outside + all;
  return st;
}

cst_status cst_profile_start(cst_context *ctx) {
  if (ctx->profile) return CST_OK;
  cst_profile *p = cst_alloc(ctx, sizeof *p);
  if (!p) return CST_ENOMEM;
  pthread_mutex_init(&p->mutex, NULL);
  ctx->profile = p;
  return CST_OK;
}

void cst_profile_stop(cst_context *ctx) {
  if (!ctx->profile) return;
  pthread_mutex_destroy(&ctx->profile->mutex);
  cst_free(ctx, ctx->profile);
  ctx->profile = NULL;
}

static int longest_first(const void *a, const void *b) {
  double x = ((const cst_profile_row *)a)->seconds, y = ((const cst_profile_row *)b)->seconds;
  return (x < y) - (x > y);
}

size_t cst_profile_rows(const cst_context *ctx, cst_profile_row *rows, size_t n) {
  const cst_profile *p = ctx->profile;
  cst_profile_row all[ROWS];
  if (!p) return 0;
  for (uint32_t i = 0; i < p->n; i++)
    all[i] = (cst_profile_row){p->row[i].what, p->row[i].calls, p->row[i].seconds};
  qsort(all, p->n, sizeof *all, longest_first);
  memcpy(rows, all, (n < p->n ? n : p->n) * sizeof *all);
  return p->n;
}
