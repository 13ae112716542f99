/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ode/integrate_internal.h"

cst_status cst_schedule_push(cst_context *ctx, cst_schedule *s, double t, double h) {
  size_t capacity = s->capacity; /* of both arrays, so neither is counted before both have grown */
  CST_TRY(cst_grow(ctx, &s->t, &capacity, s->n + 1, sizeof *s->t));
  CST_TRY(cst_grow(ctx, &s->h, &s->capacity, s->n + 1, sizeof *s->h));
  s->t[s->n] = t;
  s->h[s->n++] = h;
  return CST_OK;
}
