/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * finite, times. Value i moves with its own time, with times[0], by which all steps are shifted, and with the last
 * time, to which the last step is cut.
 *
 *  - Times between are moved together, each inside the step it lies in (from one step to the next the dense
 *    output may bend), and each value gives the product that is its own. At the end of a step it moves along the
 *    field, dL/dt_i = g_i . f(z_i, t_i), as it does when it repeats an end of the solve.
 *  - With times[0] go the times before the first break of the field, so that they stay where they are among the
 *    steps; with the last time those that would be passed. What these move by themselves is taken off:
 *    dL/dt_0 = (L(t_0 + h, t_i + h, ..) - L(t_0 - h, t_i - h, ..)) / 2h - sum_i dL/dt_i.
 *
 * h is relative to max(1, |t|), and at most a quarter of the step that an end makes longer or shorter: the last one
 * or, of the start, the first that ends at a break. At a break of the field an end is moved inwards alone. Where that step is so short that no
 * difference is left of it, the derivatives in times are those of the solution (finite_solution.c).
 *
 * A solver that carries a slope of its own (REVERSIBLE with FSAL) moves the ends of its steps along that: they are
 * differenced as well, inwards.
 */
#include "finite.h"

#include <math.h>

static double *own(const adjoint_sweep *s) { return s->times + s->p->n_times; }       /* dL/dt_i, t_i alone */
static double *shift(const adjoint_sweep *s) { return s->times + 2 * s->p->n_times; } /* of every time */
static size_t *order(const adjoint_sweep *s) { return (size_t *)(void *)(s->times + 3 * s->p->n_times); }

static double time_increment(const adjoint_sweep *s, size_t i) {
  return finite_increment(s, s->p->times[i], fmax(1, fabs(s->p->times[i])));
}

static bool at_break(const cst_solve_pullback *p, double t) {
  for (size_t i = 0; i < p->n_breaks; i++)
    if (p->breaks[i] == t) return true;
  return false;
}

/* ---- moved times ------------------------------------------------------------------------------------------------ */

/* s->times = times + c shift in the order of the solve; order[k] is the value that stands k-th there. */
static void moved_times(adjoint_sweep *s, double c) {
  const cst_solve_pullback *p = s->p;
  double way = p->times[p->n_times - 1] < p->times[0] ? -1 : 1;
  for (size_t i = 0; i < p->n_times; i++) {
    double t = p->times[i] + c * shift(s)[i];
    size_t k = i;
    for (; k > 0 && (s->times[k - 1] - t) * way > 0; k--) s->times[k] = s->times[k - 1], order(s)[k] = order(s)[k - 1];
    s->times[k] = t, order(s)[k] = i;
  }
}

static cst_status collect(void *arg, size_t k, const void *z) {
  adjoint_sweep *s = arg;
  return adjoint_sweep_collect(s, order(s)[k], z);
}

static cst_status collect_own(void *arg, size_t k, const void *z) {
  adjoint_sweep *s = arg;
  size_t i = order(s)[k];
  if (shift(s)[i] == 0 || !s->p->value_bar(s->p->self, i, s->bar)) return CST_OK;
  own(s)[i] += s->weight / shift(s)[i] * s->host->dot(s->p->rhs->dtype, s->p->rhs->n, s->bar, z);
  return CST_OK;
}

static cst_status follow(adjoint_sweep *s, const finite_stencil *of, cst_value_fn *at) {
  cst_status st = CST_OK;
  for (int k = 0; k < of->n && st == CST_OK; k++) {
    moved_times(s, of->at[k]);
    s->weight = of->weight[k];
    st = s->p->again(s->p->directions, s->y0, NULL, s->times, at, s);
  }
  s->weight = 1;
  return st;
}

/* ---- between the ends ----------------------------------------------------------------------------------------- */

static double start_of(const cst_solve_pullback *p, size_t k) {
  double t, h;
  p->taken(p->directions, k, &t, &h);
  return t;
}

static double size_of(const cst_solve_pullback *p, size_t k) {
  double t, h;
  p->taken(p->directions, k, &t, &h);
  return fabs(h);
}

/* The step in which t lies, and the end of a step. */
static size_t step_of(const cst_solve_pullback *p, double t) {
  double way = p->times[p->n_times - 1] < p->times[0] ? -1 : 1;
  size_t low = 0, high = p->n_taken; /* start of low <= t < start of high along the way */
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if ((start_of(p, middle) - t) * way <= 0) low = middle;
    else high = middle;
  }
  return low;
}
static double end_of(const cst_solve_pullback *p, size_t k) {
  return k + 1 < p->n_taken ? start_of(p, k + 1) : p->times[p->n_times - 1];
}

/* How far t lies from the start and the end of its step; both zero: it is one. */
static void room(const cst_solve_pullback *p, double t, double *before, double *after) {
  *before = *after = 0;
  if (p->n_taken == 0) return;
  size_t k = step_of(p, t);
  double from = fabs(t - start_of(p, k)), to = fabs(end_of(p, k) - t);
  if (from > 0 && to > 0) *before = from, *after = to;
}

/* Whether the end of a step, where t lies, moves along what the solver carries instead of along the field. */
static bool carried(const cst_solve_pullback *p, double t) {
  uint32_t both = CST_FSAL | CST_REVERSIBLE;
  return (p->solver->traits & both) == both && p->n_taken > 0 && t != p->times[0];
}

/* The size of the step that ends at t. */
static double step_before(const cst_solve_pullback *p, double t) {
  size_t k = step_of(p, t);
  return size_of(p, start_of(p, k) == t && k > 0 ? k - 1 : k);
}

/* Sets the shift of every time between that is to be differenced so; returns how many. */
static size_t choose(adjoint_sweep *s, bool one_sided) {
  const cst_solve_pullback *p = s->p;
  size_t n = 0;
  double way = p->times[p->n_times - 1] < p->times[0] ? -1 : 1;
  for (size_t i = 0; i < p->n_times; i++) {
    double before, after, h = time_increment(s, i);
    room(p, p->times[i], &before, &after);
    if (before == 0 && carried(p, p->times[i])) before = step_before(p, p->times[i]);
    bool between = i > 0 && i + 1 < p->n_times && before > 0, near = before < h || after < h;
    double side = after < before ? -way * fmin(h, before / 2) : way * fmin(h, after / 2);
    shift(s)[i] = !between || near != one_sided ? 0 : near ? side : h;
    n += shift(s)[i] != 0;
  }
  return n;
}

/* Times that are the end of a step or of the solve, but for these two themselves. */
static cst_status along_the_field(adjoint_sweep *s) {
  const cst_solve_pullback *p = s->p;
  size_t n = p->n_taken ? p->n_times - 1 : p->n_times; /* with no step all times are one */
  for (size_t i = 1; i < n; i++) {
    double before, after;
    room(p, p->times[i], &before, &after);
    if (before == 0 && !carried(p, p->times[i])) CST_TRY(adjoint_sweep_field(s, i, &own(s)[i]));
  }
  return CST_OK;
}

static cst_status between(adjoint_sweep *s) {
  const cst_solve_pullback *p = s->p;
  for (size_t i = 0; i < p->n_times; i++) own(s)[i] = 0;
  CST_TRY(along_the_field(s));
  if (choose(s, false)) CST_TRY(follow(s, &finite_central, collect_own));
  if (choose(s, true)) CST_TRY(follow(s, &finite_one_sided, collect_own));
  for (size_t i = 1; i < p->n_times; i++) p->times_bar[i] += own(s)[i];
  return CST_OK;
}

/* ---- the ends -------------------------------------------------------------------------------------------------- */

/* The step that the start makes longer or shorter: the first that ends at a break, or the last. */
static size_t changing(const cst_solve_pullback *p) {
  for (size_t k = 0; k + 1 < p->n_taken; k++)
    if (at_break(p, end_of(p, k))) return k;
  return p->n_taken - 1;
}

/* Difference along shift, of size h inwards at the end e; what moved times do by themselves is taken off. */
static cst_status end(adjoint_sweep *s, size_t e, double h) {
  const cst_solve_pullback *p = s->p;
  double taken = 0;
  for (size_t i = 0; i < p->n_times; i++)
    if (shift(s)[i] != 0) taken += own(s)[i];
  CST_TRY(follow(s, at_break(p, p->times[e]) ? &finite_one_sided : &finite_central, collect));
  p->times_bar[e] += adjoint_sweep_take(s) / h - taken;
  return CST_OK;
}

static double increment_at(const adjoint_sweep *s, size_t e, size_t step) {
  return fmin(time_increment(s, e), size_of(s->p, step) / 4);
}

/* Whether a difference in the time of an end means something. */
static bool too_short(const adjoint_sweep *s) {
  const cst_solve_pullback *p = s->p;
  size_t last = p->n_times - 1;
  return increment_at(s, 0, changing(p)) < 1e-3 * time_increment(s, 0) ||
         increment_at(s, last, p->n_taken - 1) < 1e-3 * time_increment(s, last);
}

static cst_status start(adjoint_sweep *s, double way) {
  const cst_solve_pullback *p = s->p;
  size_t step = changing(p);
  double h = increment_at(s, 0, step), stands = end_of(p, step);
  for (size_t i = 0; i < p->n_times; i++) shift(s)[i] = (stands - p->times[i]) * way > 2 * h ? way * h : 0;
  return end(s, 0, way * h);
}

static cst_status finish(adjoint_sweep *s, double way) {
  const cst_solve_pullback *p = s->p;
  size_t last = p->n_times - 1;
  double h = increment_at(s, last, p->n_taken - 1);
  for (size_t i = 0; i <= last; i++) shift(s)[i] = (p->times[last] - p->times[i]) * way <= 2 * h ? -way * h : 0;
  return end(s, last, -way * h);
}

cst_status finite_times(adjoint_sweep *s) {
  const cst_solve_pullback *p = s->p;
  if (!p->times_bar || p->n_times < 2) return CST_OK;
  if (adjoint_sweep_decides(p->solver) || (p->n_taken && too_short(s))) return finite_times_of_solution(s);
  CST_TRY(between(s));
  if (p->n_taken == 0) { /* all values are one */
    for (size_t i = 1; i < p->n_times; i++) p->times_bar[0] -= own(s)[i];
    return CST_OK;
  }
  double way = p->times[p->n_times - 1] < p->times[0] ? -1 : 1;
  CST_TRY(start(s, way));
  return finish(s, way);
}
