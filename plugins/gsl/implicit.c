/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The implicit one-step methods. Their matrices are dense: a state of n numbers costs n^3/3
 * multiplications for each factorisation (twice a step, and (2n)^3/3 for rk4imp).
 *
 * rk1imp (implicit Euler), rk2imp (implicit midpoint) and rk4imp (Gauss, two stages) take each step
 * once whole and once in halves, and propagate the halves without extrapolation. GSL's estimate is
 * four times the error of the halves for all three (measured; also for the explicit rk4). Only
 * rk1imp damps what is infinitely stiff. Their equations are solved by a simplified Newton iteration
 * until the rest is below a hundredth of the tolerance (Hairer, Wanner, Solving Ordinary Differential
 * Equations II, IV.8, advise a tenth to a hundredth). GSL would stop at the tolerance itself, and the
 * error estimate then sees the iteration: with a tenth, rk4imp takes four to six times as many steps
 * through Van der Pol's equation and the Oregonator.
 *
 * bsimp extrapolates the semi-implicit midpoint rule of Bader and Deuflhard with 2, 6, 10, 14, 22,
 * 34 and 50 sub-steps: always seven levels, whatever the tolerance, since GSL chooses the number
 * from the size of a double alone. Seven terms of an expansion in h^2 make order 14, six order 12.
 * Measured on several problems, the error of a step is 8 to 25 times GSL's estimate, which is
 * therefore multiplied by 16. There are no equations to solve, so it reads no tolerance.
 */
#include "stepper.h"

#define STEPPER(nm, p, q, rest, factor, text)                                                   \
  {.struct_size = sizeof(cst_solver_type), .name = #nm, .help = text,                           \
   .method = &(const method){.gsl = &gsl_odeiv2_step_##nm, .newton = rest, .scale = factor},    \
   .order = p, .error_order = q, .dense_order = p,                                              \
   .traits = CST_ADAPTIVE | CST_F64_ONLY | CST_IMPLICIT | CST_SINGLE, .create = stepper_create, \
   .destroy = stepper_destroy, .reset = stepper_reset, .step = stepper_step,                    \
   .dense = stepper_dense}

/* A cubic through slopes would multiply what is left of the error in y1 by h df/dy, which is large
 * here: values inside a step are shorter steps. */
const cst_solver_type implicit_types[] = {
  STEPPER(rk1imp, 1, 1, 0.01, 0, "GSL: implicit Euler, for very stiff problems at low accuracy"),
  STEPPER(rk2imp, 2, 2, 0.01, 0, "GSL: implicit midpoint rule, for stiff and for oscillating problems"),
  STEPPER(rk4imp, 4, 4, 0.01, 0, "GSL: Gauss' implicit Runge-Kutta method of order 4"),
  STEPPER(bsimp, 14, 12, 0, 16, "GSL: Bader-Deuflhard extrapolation, for stiff problems at high accuracy"),
  {.name = NULL},
};
