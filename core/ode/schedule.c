/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>

#include "ode/integrate_internal.h"

cst_status cst_schedule_push(cst_context *ctx, cst_schedule *s, double t, double h) {
  size_t capacity = s->capacity; /* of both arrays, so neither is counted before both have grown */
  CST_TRY(cst_grow(ctx, &s->t, &capacity, s->n + 1, sizeof *s->t));
  CST_TRY(cst_grow(ctx, &s->h, &s->capacity, s->n + 1, sizeof *s->h));
  s->t[s->n] = t;
  s->h[s->n++] = h;
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
