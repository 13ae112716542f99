/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * finite: central differences of the solve.
 *
 *     dL/dx = (L(x + h) - L(x - h)) / 2h + O(h^2),      h = step max(|x|, least),
 *
 * for every scalar of y0 (rows together where they do not meet) and of the captures. Both solves repeat the steps
 * of the forward solve, so L is a smooth function and not what a controller makes of it: the error is h^2/6 of its
 * third derivative and eps |L| / h by rounding, together least near h = eps^(1/3). What it is for: a check that
 * shares no line with a derivative of the field, and fields that have none.
 *
 * A scalar that is zero beside others of size one may matter at a size of its own, as what is between two stages of a
 * stiff reaction does: least is step^(1/2) of their root mean square, so that its h is eps^(1/2) of theirs, where
 * rounding still leaves half of the digits. Where all are zero it is 1.
 *
 * Solvers that decide within a step what they do (multistep ones their order, those with control of their own
 * their steps) decide anew in each solve. Where they decide otherwise, L jumps by its error, of the size of the
 * tolerance; so with them h is near rtol^(1/3), least their root mean square itself, and the difference is good to
 * about rtol^(2/3).
 *
 * What the field has no derivative in stays: the knot times of controls.
 */
#include "finite.h"

#include <math.h>

const finite_stencil finite_central = {2, {1, -1}, {0.5, -0.5}};
const finite_stencil finite_one_sided = {3, {0, 1, 2}, {-1.5, 2, -0.5}};

static double step_of(const adjoint_sweep *s) {
  double step = cst_option_number(s->options, "step");
  return step > 0 ? step : cbrt(s->noise);
}

/* x + h is a number of the type, so that it is moved by h exactly. */
double finite_increment(const adjoint_sweep *s, double x, double size) {
  bool wide = s->size == sizeof(double);
  volatile double up = x + step_of(s) * size;
  volatile float narrow = (float)up;
  return wide ? up - x : (double)narrow - x;
}

static double increment(const adjoint_sweep *s, double x, double scale) {
  double least = scale > 0 ? scale : 1;
  if (scale > 0 && !adjoint_sweep_decides(s->p->solver)) least *= sqrt(step_of(s));
  return finite_increment(s, x, fmax(fabs(x), least));
}

/* moved = x + c dot */
static const void *move(adjoint_sweep *s, size_t n, const void *x, double c, const void *dot) {
  s->host->combine(s->p->rhs->dtype, n, x, 1, &c, &dot, s->moved);
  return s->moved;
}

static cst_status follow(adjoint_sweep *s, size_t capture, double c) {
  const cst_solve_pullback *p = s->p;
  const void *y0 = s->y0;
  if (capture == SIZE_MAX) y0 = move(s, p->rhs->n, s->y0, c, s->y0_dot);
  else s->captures[capture] = move(s, p->capture_count[capture], p->capture[capture], c, s->capture_dot);
  cst_status st = p->again(p->directions, y0, s->captures, NULL, adjoint_sweep_collect, s);
  if (capture != SIZE_MAX) s->captures[capture] = NULL;
  return st;
}

static cst_status along(adjoint_sweep *s, size_t capture) {
  cst_status st = CST_OK;
  for (int k = 0; k < finite_central.n && st == CST_OK; k++) {
    s->weight = finite_central.weight[k];
    st = follow(s, capture, finite_central.at[k]);
  }
  s->weight = 1;
  return st;
}

static cst_status pullback(void *state, const cst_solve_pullback *p) {
  adjoint_sweep *s = state;
  if (!CST_HAS(p, again))
    return s->host->fail(s->host, CST_EUNSUPPORTED, "gradient 'finite' needs a solve that can be followed again");
  CST_TRY(adjoint_sweep_enter(s, p));
  CST_TRY(adjoint_sweep_inputs(s));
  return finite_times(s);
}

static cst_status create(const cst_gradient_config *c, void **state) {
  return adjoint_sweep_new(c, increment, along, state);
}

const cst_gradient_type adjoint_finite = {
  .struct_size = sizeof adjoint_finite,
  .name = "finite",
  .help = "central differences along the steps taken: two solves for every scalar",
  .options = CST_OPTIONS(
    {"step", CST_NUMBER, .range = {0, 1},
     .help = "relative increment, of |x| or what is large enough to its kind; 0: the cube root of the resolution of the float type, or of rtol (gsl.ms*, sundials)"}),
  .needs = CST_NEEDS_AGAIN,
  .accepts = adjoint_sweep_accepts,
  .create = create,
  .destroy = adjoint_sweep_free,
  .pullback = pullback,
  .traits = CST_APPROXIMATE,
};
