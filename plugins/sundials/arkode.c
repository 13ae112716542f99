/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ARKODE: diagonally implicit Runge-Kutta methods of orders 2 to 5 with an embedded error estimate.
 * Its interpolants are of a lower order than the methods (a line for order 2), and the ones through
 * slopes multiply the error of Newton's iteration by the stiffness: values inside a step are shorter
 * steps from its start instead (step.c).
 */
#include <arkode/arkode_arkstep.h>
#include <float.h>
#include <math.h>

#include "sundials.h"

enum { FAILURES = 20 };

static int attach(engine *e) {
  SUN_TRY(ARKStepSetLinearSolver(e->memory, e->linear, e->matrix));
  if (e->matrix) return ARKStepSetJacFn(e->memory, sun_jacobian);
  return e->has_jvp ? ARKStepSetJacTimes(e->memory, NULL, sun_product) : ARK_SUCCESS;
}

static int make(engine *e, double t) {
  e->memory = ARKStepCreate(NULL, sun_field, t, e->y, e->context);
  if (!e->memory) return ARK_MEM_FAIL;
  SUN_TRY(ARKStepSetErrHandlerFn(e->memory, sun_keep_text, e));
  SUN_TRY(ARKStepSetUserData(e->memory, e));
  SUN_TRY(ARKStepSetOrder(e->memory, e->of->order));
  SUN_TRY(ARKStepSetInterpolantType(e->memory, ARK_INTERP_LAGRANGE)); /* asks for no slopes */
  SUN_TRY(ARKStepWFtolerances(e->memory, sun_weights));
  SUN_TRY(ARKStepSetMaxErrTestFails(e->memory, FAILURES));
  SUN_TRY(ARKStepSetMaxConvFails(e->memory, FAILURES));
  SUN_TRY(ARKStepSetMaxHnilWarns(e->memory, -1));
  return attach(e);
}

static void release(engine *e) { ARKStepFree(&e->memory); }

static int restart(engine *e, double t, double h) {
  SUN_TRY(ARKStepSetInitStep(e->memory, h));
  return ARKStepReInit(e->memory, NULL, sun_field, t, e->y);
}

static int advance(engine *e, double t1, double *end) {
  SUN_TRY(ARKStepSetMinStep(e->memory, 4 * DBL_EPSILON * fabs(e->t)));
  SUN_TRY(ARKStepSetStopTime(e->memory, t1));
  int flag = ARKStepEvolve(e->memory, t1, e->y, end, ARK_ONE_STEP);
  if (flag == ARK_TSTOP_RETURN) *end = t1;
  return flag < 0 ? flag : ARK_SUCCESS;
}

static void counts(engine *e, sun_counts *c) {
  ARKStepGetNumSteps(e->memory, &c->steps);
  ARKStepGetNumErrTestFails(e->memory, &c->error_failures);
  ARKStepGetNumNonlinSolvConvFails(e->memory, &c->convergence_failures);
  ARKStepGetLastStep(e->memory, &c->last_h);
  c->order = e->of->order;
}

static int errors(engine *e, N_Vector error, N_Vector weight) {
  SUN_TRY(ARKStepGetEstLocalErrors(e->memory, error));
  return ARKStepGetErrWeights(e->memory, weight);
}

const sun_method sun_ark_dirk = {.hint = "the field may be discontinuous or singular here",
                                 .make = make, .free = release, .restart = restart, .advance = advance, .counts = counts,
                                 .errors = errors};
