/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * finite, times. Value i moves with its own time, with times[0], by which all steps are shifted, and with the last
 * time, to which the last step is cut. Times stay in order whatever moves:
 *
 *  - those between are moved together, each by no more than its distance to an end or to a break of the field, and
 *    each value gives the product that is its own. At an end or a break there is no such distance; there the value
 *    moves along the field, dL/dt_i = g_i . f(z_i, t_i);
 *  - with an end go the times that lie as near as its increment h. What these move by themselves is taken off:
 *    dL/dt_0 = (L(t_0 + h, t_i + h, ..) - L(t_0 - h, t_i - h, ..)) / 2h - sum_i dL/dt_i.
 *
 * h is at most a quarter of the step that an end makes longer or shorter: the last one or, of the start, the first
 * that ends at a break. At a break of the field an end is moved inwards alone.
 */
#include "finite.h"

#include <math.h>

static double *own(const adjoint_sweep *s) { return s->times + s->p->n_times; }         /* dL/dt_i, t_i alone */
static double *shift(const adjoint_sweep *s) { return s->times + 2 * s->p->n_times; }   /* of every time */

static bool at_break(const cst_solve_pullback *p, double t) {
  for (size_t i = 0; i < p->n_breaks; i++)
    if (p->breaks[i] == t) return true;
  return false;
}

/* From t to the nearest end or break. */
static double distance(const cst_solve_pullback *p, double t) {
  double d = fmin(fabs(t - p->times[0]), fabs(t - p->times[p->n_times - 1]));
  for (size_t i = 0; i < p->n_breaks; i++) d = fmin(d, fabs(t - p->breaks[i]));
  return d;
}

/* ---- between the ends ----------------------------------------------------------------------------------------- */

static cst_status collect_own(void *arg, size_t i, const void *z) {
  adjoint_sweep *s = arg;
  if (shift(s)[i] == 0 || !s->p->value_bar(s->p->self, i, s->bar)) return CST_OK;
  double product = s->host->dot(s->p->rhs->dtype, s->p->rhs->n, s->bar, z);
  own(s)[i] += s->weight * product / shift(s)[i];
  return CST_OK;
}

/* times + c shift, in order whatever rounding does. */
static cst_status follow(adjoint_sweep *s, double c, double weight, cst_value_fn *at) {
  const cst_solve_pullback *p = s->p;
  double way = p->times[p->n_times - 1] < p->times[0] ? -1 : 1;
  for (size_t i = 0; i < p->n_times; i++) {
    s->times[i] = p->times[i] + c * shift(s)[i];
    if (i && (s->times[i] - s->times[i - 1]) * way < 0) s->times[i] = s->times[i - 1];
  }
  s->weight = weight;
  cst_status st = p->again(p->directions, s->y0, NULL, s->times, at, s);
  s->weight = 1;
  return st;
}

static cst_status between(adjoint_sweep *s) {
  const cst_solve_pullback *p = s->p;
  size_t n = p->n_times, moving = 0;
  bool still = p->times[0] == p->times[n - 1]; /* the last time is one of them then */
  for (size_t i = 0; i < n; i++) own(s)[i] = shift(s)[i] = 0;
  for (size_t i = 1; i < (still ? n : n - 1); i++) {
    shift(s)[i] = fmin(finite_increment(s, p->times[i]), distance(p, p->times[i]) / 2);
    if (shift(s)[i] > 0) moving++;
    else CST_TRY(adjoint_sweep_field(s, i, &own(s)[i]));
  }
  for (int k = 0; moving && k < finite_central.n; k++)
    CST_TRY(follow(s, finite_central.at[k], finite_central.weight[k], collect_own));
  for (size_t i = 1; i < n; i++) p->times_bar[i] += own(s)[i];
  return CST_OK;
}

/* ---- the ends -------------------------------------------------------------------------------------------------- */

/* The step whose size changes with an end. */
static double changing(const cst_solve_pullback *p, bool start) {
  const cst_schedule *steps = p->schedule;
  for (size_t k = 0; start && k + 1 < steps->n; k++)
    if (at_break(p, steps->t[k + 1])) return fabs(steps->h[k]);
  return fabs(steps->h[steps->n - 1]);
}

static cst_status end(adjoint_sweep *s, size_t e) {
  const cst_solve_pullback *p = s->p;
  double t = p->times[e], h = fmin(finite_increment(s, t), changing(p, e == 0) / 4), taken = 0;
  double inward = (e == 0) == (p->times[0] < p->times[p->n_times - 1]) ? 1 : -1;
  const finite_stencil *of = at_break(p, t) ? &finite_one_sided : &finite_central;
  for (size_t i = 0; i < p->n_times; i++) {
    bool along = i == e || fabs(p->times[i] - t) <= 2 * h;
    shift(s)[i] = along ? inward * h : 0;
    if (along) taken += own(s)[i];
  }
  for (int k = 0; k < of->n; k++) CST_TRY(follow(s, of->at[k], of->weight[k], adjoint_sweep_collect));
  p->times_bar[e] += adjoint_sweep_take(s) / (inward * h) - taken;
  return CST_OK;
}

cst_status finite_times(adjoint_sweep *s) {
  const cst_solve_pullback *p = s->p;
  if (!p->times_bar || p->n_times < 2) return CST_OK;
  CST_TRY(between(s));
  if (p->schedule->n == 0) { /* all times are one, and so are all values */
    for (size_t i = 1; i < p->n_times; i++) p->times_bar[0] -= own(s)[i];
    return CST_OK;
  }
  CST_TRY(end(s, 0));
  return end(s, p->n_times - 1);
}
