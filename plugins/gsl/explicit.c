/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The explicit Runge-Kutta methods. They take a batch as one vector: one step size for all rows.
 * Orders are those measured for the propagated solution; they differ from the names where GSL
 * propagates the better of two results (rk2).
 */
#include "stepper.h"

/* A value inside a step is a shorter step from the same start: a cubic would spoil order 8. */
#define STEPPER(nm, p, q, text)                                                       \
  {.struct_size = sizeof(cst_solver_type), .name = #nm, .help = text,                 \
   .method = &(const method){.gsl = &gsl_odeiv2_step_##nm}, .order = p,               \
   .error_order = q, .dense_order = p, .traits = CST_ADAPTIVE | CST_F64_ONLY,         \
   .create = stepper_create, .destroy = stepper_destroy, .reset = stepper_reset,      \
   .step = stepper_step, .dense = stepper_dense}

const cst_solver_type explicit_types[] = {
  STEPPER(rk2, 3, 2, "GSL: Runge-Kutta (2, 3), propagates the third order"),
  STEPPER(rk4, 4, 4, "GSL: the classical Runge-Kutta method, error by step doubling"),
  STEPPER(rkf45, 5, 4, "GSL: Runge-Kutta-Fehlberg (4, 5)"),
  STEPPER(rkck, 5, 4, "GSL: Runge-Kutta-Cash-Karp (4, 5)"),
  STEPPER(rk8pd, 8, 7, "GSL: Runge-Kutta-Prince-Dormand (8, 9)"),
  {.name = NULL},
};
