/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>

#include "ode/integrate_internal.h"

void cst_schedule_clear(cst_schedule *s) { s->n = s->n_runs = s->from = 0; }

void cst_schedule_free(cst_context *ctx, cst_schedule *s) {
  cst_free(ctx, s->t);
  cst_free(ctx, s->h);
  cst_free(ctx, s->first);
  *s = (cst_schedule){0};
}

size_t cst_schedule_bytes(const cst_schedule *s) {
  return s->n_runs * (sizeof *s->t + sizeof *s->h + (s->first ? sizeof *s->first : 0));
}

/* The run that holds step k of all. */
static size_t run_of(const cst_schedule *s, size_t k) {
  size_t low = 0, high = s->n_runs;
  if (!s->first) return k;
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (s->first[middle] <= k) low = middle;
    else high = middle;
  }
  return low;
}

double cst_schedule_t(const cst_schedule *s, size_t k) {
  size_t run = run_of(s, s->from + k);
  return s->first ? s->t[run] + (double)(s->from + k - s->first[run]) * s->h[run] : s->t[run];
}
double cst_schedule_h(const cst_schedule *s, size_t k) { return s->h[run_of(s, s->from + k)]; }

/* All arrays have the capacity, which is counted when all have grown. */
static cst_status grow(cst_context *ctx, cst_schedule *s, bool counted) {
  size_t capacity[3] = {s->capacity, s->capacity, s->first ? s->capacity : 0};
  CST_TRY(cst_grow(ctx, &s->t, &capacity[0], s->n_runs + 1, sizeof *s->t));
  if (counted) CST_TRY(cst_grow(ctx, &s->first, &capacity[2], capacity[0], sizeof *s->first));
  return cst_grow(ctx, &s->h, &s->capacity, s->n_runs + 1, sizeof *s->h);
}

cst_status cst_schedule_push(cst_context *ctx, cst_schedule *s, double t, double h, bool counted) {
  size_t last = s->n_runs - 1;
  if (counted && s->n && s->h[last] == h && t == s->t[last] + (double)(s->n - s->first[last]) * h) return s->n++, CST_OK;
  CST_TRY(grow(ctx, s, counted));
  s->t[s->n_runs] = t, s->h[s->n_runs] = h;
  if (counted) s->first[s->n_runs] = s->n;
  s->n_runs++, s->n++;
  return CST_OK;
}

cst_status cst_note_attempt(cst_integrator *i, bool accepted) {
  const cst_progress *r = &i->run;
  cst_attempts *to = r->in->attempts;
  if (!to) return CST_OK;
  CST_TRY(cst_grow(i->ctx, &to->list, &to->capacity, to->n + 1, sizeof *to->list));
  to->list[to->n++] = (cst_attempt){r->t, r->used, r->step.error_sum ? r->error : (double)NAN, accepted};
  return CST_OK;
}
