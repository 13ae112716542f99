/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * interpolating: the adjoint differential equation along the forward solution, which is kept.
 *
 *     dlambda/dt = -lambda^T df/dz(z(t), t)       dG/dt = -lambda^T df/dtheta(z(t), t)
 *
 * as in continuous.h, with the state [lambda | G]: z(t) is the polynomial of each forward step, of the
 * accuracy of its dense output (core/ode/trajectory.h). z is never solved backwards, so that stiff and
 * chaotic fields do no harm: where f contracts forwards, lambda contracts backwards, and an implicit
 * stepper is given the Jacobian, -(df/dz)^T.
 *
 * Here G counts in the error norm by default. Without z in the state nothing else sees how fast the
 * integrand of G varies: along a linear f with a forcing term, lambda knows nothing of the forcing.
 *
 * The gradient is that of the exact solution up to the tolerances of both solves and the error of the
 * dense output; it is not that of the steps taken. Memory grows with the steps, by d vectors each.
 */
#include "continuous.h"

static const continuous_kind kind = {
  .name = "interpolating", .bytes = sizeof(continuous), .theta = true, .eval = continuous_equation,
  .jacobian = continuous_jacobian, .jvp = continuous_jvp,
};

static cst_status create(const cst_gradient_config *c, void **state) { return continuous_create(c, &kind, state); }

const cst_gradient_type adjoint_interpolating = {
  .struct_size = sizeof adjoint_interpolating,
  .name = "interpolating",
  .help = "the adjoint equation along the stored forward solution: with any solver, right for stiff fields",
  .options = CST_OPTIONS(
    CONTINUOUS_TOLERANCES, CONTINUOUS_SOLVER,
    {"seminorm", CST_BOOLEAN, .help = "leave the gradient of captures out of the error norm"}),
  .needs = CST_NEEDS_TRAJECTORY,
  .accepts = continuous_accepts,
  .create = create,
  .destroy = continuous_destroy,
  .pullback = continuous_pullback,
  .traits = CST_CONTINUOUS,
};
