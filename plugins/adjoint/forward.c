/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * forward: sensitivities along the solve, one direction after another.
 *
 * Moved by a direction (y0_dot, theta_dot, dots of the times), z has the tangent S,
 *
 *     dS/dt = df/dz S + df/dtheta theta_dot,      S(t0) = y0_dot,
 *
 * solved beside z along the very steps that were taken, by the same method: z and S together are a solve of the
 * tangent field, whose S is the derivative of the steps. Then dL = sum_i g_i . S(t_i). It costs a solve of twice
 * the size for every scalar of y0 (rows together where they do not meet) and of theta: right for few of them, and
 * for fields or solvers without a reverse derivative.
 *
 * Times. Value i moves with its own time, along the dense output, with times[0], from which the steps are counted,
 * and with the last time, to which the last step is cut. So all times between are one direction, of which each
 * value has the product that is its own; the first and the last are one each.
 *
 * A multistep solver chooses its order, and one with control of its own its steps, within the steps that are
 * repeated: with them S is the derivative of another solve as good, exact up to the tolerances, and the derivatives
 * in times are those of the solution.
 */
#include "sweep.h"

static double unit(const adjoint_sweep *s, double x, double scale) {
  (void)s, (void)x, (void)scale;
  return 1;
}

static cst_status along(adjoint_sweep *s, size_t capture) {
  const cst_solve_pullback *p = s->p;
  if (capture == SIZE_MAX) return p->tangent(p->directions, s->y0_dot, NULL, NULL, adjoint_sweep_collect, s);
  s->captures[capture] = s->capture_dot;
  cst_status st = p->tangent(p->directions, NULL, s->captures, NULL, adjoint_sweep_collect, s);
  s->captures[capture] = NULL;
  return st;
}

/* ---- times -------------------------------------------------------------------------------------------------- */

/* The product of every value goes to its own time. */
static cst_status own(void *arg, size_t i, const void *z) {
  adjoint_sweep *s = arg;
  if (!s->p->value_bar(s->p->self, i, s->bar)) return CST_OK;
  s->p->times_bar[i] += s->host->dot(s->p->rhs->dtype, s->p->rhs->n, s->bar, z);
  return CST_OK;
}

/* Times i to j - 1 move. */
static cst_status times_along(adjoint_sweep *s, size_t i, size_t j, cst_value_fn *at) {
  memset(s->times, 0, s->p->n_times * sizeof *s->times);
  for (size_t k = i; k < j; k++) s->times[k] = 1;
  return i < j ? s->p->tangent(s->p->directions, NULL, NULL, s->times, at, s) : CST_OK;
}

static cst_status ends(adjoint_sweep *s) {
  double *bar = s->p->times_bar;
  CST_TRY(times_along(s, 0, 1, adjoint_sweep_collect));
  bar[0] += adjoint_sweep_take(s);
  CST_TRY(times_along(s, s->p->n_times - 1, s->p->n_times, adjoint_sweep_collect));
  bar[s->p->n_times - 1] += adjoint_sweep_take(s);
  return CST_OK;
}

static cst_status times(adjoint_sweep *s) {
  const cst_solve_pullback *p = s->p;
  if (!p->times_bar || p->n_times < 2) return CST_OK;
  CST_TRY(times_along(s, 1, p->n_times - 1, own));
  return ends(s);
}

/* ---- the type ------------------------------------------------------------------------------------------------ */

static cst_status pullback(void *state, const cst_solve_pullback *p) {
  adjoint_sweep *s = state;
  if (!CST_HAS(p, tangent))
    return s->host->fail(s->host, CST_EUNSUPPORTED, "gradient 'forward' needs a solve that gives tangents");
  CST_TRY(adjoint_sweep_enter(s, p));
  CST_TRY(adjoint_sweep_inputs(s));
  return times(s);
}

static cst_status create(const cst_gradient_config *c, void **state) {
  return adjoint_sweep_new(c, unit, along, state);
}

const cst_gradient_type adjoint_forward = {
  .struct_size = sizeof adjoint_forward,
  .name = "forward",
  .help = "sensitivities along the steps taken: a solve of the tangent field for every scalar",
  .needs = CST_NEEDS_TANGENT,
  .accepts = adjoint_sweep_accepts,
  .create = create,
  .destroy = adjoint_sweep_free,
  .pullback = pullback,
  .traits = CST_EXACT,
};
