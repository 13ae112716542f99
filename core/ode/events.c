/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Events: where a function g(t, y) first passes zero along the solve. Every accepted step is looked at in a
 * few places of its dense output, so that a function that passes zero twice within a step is seen; between
 * two places with different signs the zero is found by the Illinois method (Dowell and Jarratt, 1971), kept
 * in its bracket by bisection.
 *
 * A function that is zero at the start has sign 0 until it is seen elsewhere, and only then can pass zero:
 * a ball that has just bounced does not bounce again at once.
 */
#include <float.h>
#include <math.h>

#include "ode/integrate_internal.h"

enum { MOST_TRIES = 100 };

static int8_t sign_of(double x) { return (int8_t)((x > 0) - (x < 0)); }

/* g at fraction x of the step just accepted, into i->event_value. */
static cst_status look(cst_integrator *i, double x) {
  cst_progress *r = &i->run;
  double t = x == 1 ? r->t1 : r->t + x * r->used;
  const void *y = r->y1;
  if (x != 1) {
    CST_TRY(cst_interpolate(i, x));
    y = i->output;
  }
  CST_TRY(r->in->event(r->in->event_arg, t, y, i->event_value));
  for (size_t e = 0; e < r->in->n_events; e++)
    if (!isfinite(i->event_value[e]))
      return cst_fail(i->ctx, CST_ENONFINITE, "event %zu of %zu is not finite at t = %.9g", e + 1, r->in->n_events, t);
  return CST_OK;
}

cst_status cst_events_start(cst_integrator *i) {
  cst_progress *r = &i->run;
  size_t n = r->in->n_events;
  CST_TRY(cst_grow(i->ctx, &i->event_value, &i->event_capacity, n, sizeof *i->event_value));
  CST_TRY(cst_grow(i->ctx, &i->event_sign, &i->sign_capacity, n, sizeof *i->event_sign));
  *r->in->event_found = (cst_event){SIZE_MAX, r->t};
  CST_TRY(r->in->event(r->in->event_arg, r->t, r->y, i->event_value));
  for (size_t e = 0; e < n; e++) i->event_sign[e] = sign_of(i->event_value[e]);
  if (r->in->event_skip) i->event_sign[r->in->event_skip - 1] = 0;
  return CST_OK;
}

/* Whether event e happened between the last look and this one. */
static bool happened(const cst_integrator *i, size_t e) {
  int8_t before = i->event_sign[e], now = sign_of(i->event_value[e]), way = i->run.in->event_direction[e];
  return before != 0 && now != before && (way == 0 || way == -before);
}

/* The zero of event e between fractions a, where its sign is the one before, and b, where it is another. */
static cst_status find_zero(cst_integrator *i, size_t e, double a, double b, double *zero) {
  const cst_progress *r = &i->run;
  double resolution = 4 * DBL_EPSILON * fmax(fabs(r->t), fabs(r->used)) / fabs(r->used), ga, gb;
  int8_t before = i->event_sign[e], side = 0;
  CST_TRY(look(i, b));
  gb = i->event_value[e];
  if (a > 0) CST_TRY(look(i, a));
  ga = a > 0 ? i->event_value[e] : -gb; /* at the start the sign is what counts: halve first */
  for (int n = 0; n < MOST_TRIES && b - a > resolution && gb != 0; n++) {
    double x = n % 4 == 3 ? (a + b) / 2 : (a * gb - b * ga) / (gb - ga);
    if (!(x > a && x < b)) x = (a + b) / 2;
    CST_TRY(look(i, x));
    double g = i->event_value[e];
    if (sign_of(g) == before) {
      a = x, ga = g;
      if (side == 1) gb /= 2;
      side = 1;
    } else {
      b = x, gb = g;
      if (side == -1) ga /= 2;
      side = -1;
    }
  }
  *zero = b;
  return CST_OK;
}

/* The first of the events that happened between a and b. */
static cst_status first_of(cst_integrator *i, double a, double b, size_t *which, double *where) {
  size_t n = i->run.in->n_events;
  uint64_t seen = 0;
  for (size_t e = 0; e < n; e++) seen |= (uint64_t)happened(i, e) << e;
  *which = SIZE_MAX, *where = b;
  for (size_t e = 0; e < n; e++) {
    double zero = b;
    if (!(seen >> e & 1)) continue;
    CST_TRY(find_zero(i, e, a, b, &zero));
    if (*which == SIZE_MAX || zero < *where) *which = e, *where = zero;
  }
  return CST_OK;
}

static cst_status end_there(cst_integrator *i, size_t which, double x) {
  cst_progress *r = &i->run;
  double t = x == 1 ? r->t1 : r->t + x * r->used;
  if (x != 1) CST_TRY(cst_interpolate(i, x));
  r->y = x != 1 ? i->output : r->y1;
  r->t = t, r->ended = true;
  *r->in->event_found = (cst_event){which, t};
  return CST_OK;
}

cst_status cst_events_step(cst_integrator *i) {
  static const double places[] = {1e-3, 1 / 4., 1 / 2., 3 / 4., 1};
  cst_progress *r = &i->run;
  bool at_zero = false;
  double last = 0;
  for (size_t e = 0; e < r->in->n_events; e++) at_zero |= i->event_sign[e] == 0;
  for (size_t k = at_zero ? 0 : 1; k < sizeof places / sizeof *places; k++) {
    size_t which;
    double where;
    CST_TRY(look(i, places[k]));
    CST_TRY(first_of(i, last, places[k], &which, &where));
    if (which != SIZE_MAX) return end_there(i, which, where);
    for (size_t e = 0; e < r->in->n_events; e++)
      if (i->event_value[e] != 0) i->event_sign[e] = sign_of(i->event_value[e]);
    last = places[k];
  }
  return CST_OK;
}
