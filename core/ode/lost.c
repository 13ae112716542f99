/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What is said of a pullback whose cotangents came finite and are so no more at the start of the solve.
 *
 * The derivative of the steps is a product of one factor a step. Where a field contracts fast and only the
 * stability of an explicit method holds its steps, these end a little beyond the border now and then: the state
 * swings about the solution by what the tolerances allow, and being bent the field keeps it there. The values
 * are right to the tolerance, but the factors are those of the swing, up to R(h lambda) > 1 where the solution
 * has exp(h lambda) < 1, and nothing bounds their product. Tighter tolerances leave no room to swing.
 */
#include "ode/integrate_internal.h"
#include "ode/plan.h"

static bool finite(const cst_rhs *f, const void *x) { return cst_kernels_get()->all_finite[f->dtype == CST_F64](f->n, x); }

/* Whether all cotangents of the values were finite. */
static cst_status came_finite(cst_context *ctx, const cst_solve_pullback *p, bool *came) {
  void *bar = cst_alloc(ctx, (p->rhs->n + 1) * cst_dtype_size((cst_dtype)p->rhs->dtype));
  if (!bar) return CST_ENOMEM;
  *came = true;
  for (size_t i = 0; i < p->n_times && *came; i++) *came = !p->value_bar(p->self, i, bar) || finite(p->rhs, bar);
  cst_free(ctx, bar);
  return CST_OK;
}

static cst_status say(cst_context *ctx, cst_integrator *i, const cst_solve_pullback *p) {
  char name[96];
  double t = 0, hold = cst_integrator_hold(i, p->rhs, &t);
  const char *part = p->rhs->name_of(p->rhs, cst_first_nonfinite(i, p->y0_bar), name, sizeof name);
  if (hold > 2)
    return cst_fail(ctx, CST_ENONFINITE,
                    "the gradient by %s is not finite: stability alone held the steps, at t = %.6g the step times the "
                    "fastest rate of the field is %.2g, and the derivative of such steps can grow without bound where "
                    "that of the solution does not; try a smaller rtol, gradient = \"interpolating\", or an implicit "
                    "solver (kencarp5)", part, t, hold);
  return cst_fail(ctx, CST_ENONFINITE,
                  "the gradient by %s is not finite, though the solution is: it grew beyond the range of %s, or the "
                  "field has no finite derivative somewhere (a root or a norm at 0); try a shorter span, or f64", part,
                  p->rhs->dtype == CST_F64 ? "f64" : "f32");
}

cst_status cst_solve_back_finite(cst_context *ctx, cst_integrator *i, const cst_solve_pullback *p) {
  bool came;
  if (finite(p->rhs, p->y0_bar)) return CST_OK;
  CST_TRY(came_finite(ctx, p, &came));
  return came ? say(ctx, i, p) : CST_OK;
}
