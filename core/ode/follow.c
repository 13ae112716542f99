/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How a run fills its trajectory: after every accepted step with values of the step's dense output.
 */
#include <stdio.h>

#include "ode/integrate_internal.h"
#include "ode/trajectory.h"

/* A cubic (of the driver) at least. */
void cst_follow_start(cst_integrator *i) {
  const cst_solver_type *s = i->config.solver;
  cst_trajectory *y = i->run.trajectory;
  int degree = s->dense && s->dense_order > 3 ? s->dense_order : 3;
  if (y) cst_trajectory_begin(y, i->config.dtype, i->run.rhs->n_stage, degree);
}

/* Of a tape three quarters are for what is not its reserve. */
static cst_status no_room(cst_integrator *i, const cst_trajectory *y) {
  char text[320];
  snprintf(text, sizeof text,
           "no memory is left to keep the solution, which took %zu bytes up to here and takes %zu with each step: raise the "
           "budget (option memory, %zu bytes, of which a quarter is spare), or use gradient = \"discrete\", which keeps to "
           "its budget", cst_trajectory_bytes(y), ((size_t)y->degree + 1) * y->bytes, cst_tape_limit(y->tape));
  return cst_explain(i, CST_ENOMEM, text, SIZE_MAX);
}

cst_status cst_follow_step(cst_integrator *i) {
  cst_progress *r = &i->run;
  cst_trajectory *y = r->trajectory;
  unsigned char *rest;
  if (!y) return CST_OK;
  cst_status st = cst_trajectory_push(y, r->t, r->used, r->y, &rest);
  if (st != CST_OK) return no_room(i, y);
  for (int j = 1; j < y->degree; j++, rest += y->bytes) {
    CST_TRY(cst_sample(i, y->node[j], i->output, NULL));
    memcpy(rest, i->output, y->bytes);
  }
  memcpy(rest, r->y1, y->bytes);
  return CST_OK;
}

void cst_follow_jump(cst_integrator *i) {
  cst_trajectory *y = i->run.trajectory;
  if (y) cst_trajectory_part(y);
}
