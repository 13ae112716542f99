/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ARKODE: diagonally implicit Runge-Kutta methods of orders 2 to 5 with an embedded error estimate.
 *
 * Its defaults are not for very stiff problems. Stages are given by Newton's iteration up to an error
 * d, and evaluating f there makes it L d, L the stiffness: slopes are taken from the stage equation,
 * which they solve, instead. The default methods of orders 4 and 5 have error estimates that vanish or
 * do not see stiff components. On Robertson's problem to 1e11, Van der Pol's with mu = 1000, the
 * Oregonator and HIRES, with rtol 1e-4 and 1e-7, the defaults of order 4 take 1400 to 300000 steps or
 * fail; what is set here takes 60 to 1600, and errors stay below 100 rtol.
 *
 * The interpolants are of a lower order than the methods (a line for order 2), and the ones through
 * slopes multiply by L again: values inside a step are shorter steps from its start (step.c).
 */
#include <arkode/arkode_arkstep.h>

#include "sundials.h"

enum { FAILURES = 20 };

/* By order: Billington's pair (thesis, Manchester, 1983); ARK3(2)4L[2]SA of Kennedy, Carpenter, Applied
 * Numerical Mathematics 44 (2003); ESDIRK4(3)6L[2]SA and ESDIRK5(4)7L[2]SA of the same authors, ibid. 136
 * (2019). But for the first, which is for coarse tolerances, they are L-stable and stiffly accurate. */
static const ARKODE_DIRKTableID tables[] = {[2] = ARKODE_BILLINGTON_3_3_2, [3] = ARKODE_ARK324L2SA_DIRK_4_2_3,
                                            [4] = ARKODE_ESDIRK43I6L2SA_6_3_4, [5] = ARKODE_ESDIRK547L2SA_7_4_5};

/* The first guess of a stage: the highest extrapolation of the steps before, which halves the work. */
enum { EXTRAPOLATE = 1 };

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
  SUN_TRY(ARKStepSetTableNum(e->memory, tables[e->of->order], ARKODE_ERK_NONE));
  SUN_TRY(ARKStepSetDeduceImplicitRhs(e->memory, SUNTRUE));
  SUN_TRY(ARKStepSetInterpolantType(e->memory, ARK_INTERP_LAGRANGE)); /* through values alone */
  SUN_TRY(ARKStepSetPredictorMethod(e->memory, EXTRAPOLATE));
  SUN_TRY(ARKStepWFtolerances(e->memory, sun_weights));
  SUN_TRY(ARKStepSetMaxErrTestFails(e->memory, FAILURES));
  SUN_TRY(ARKStepSetMaxConvFails(e->memory, FAILURES));
  SUN_TRY(ARKStepSetMaxHnilWarns(e->memory, -1));
  return attach(e);
}

static void release(engine *e) { ARKStepFree(&e->memory); }

/* ARKStepReInit keeps the sign of the last step, and a stop time on the other side is then refused: to turn
 * round takes new memory. */
static int restart(engine *e, double t, double h) {
  if (e->heading != 0 && e->heading != e->direction) {
    release(e);
    SUN_TRY(make(e, t));
  }
  e->heading = e->direction;
  SUN_TRY(ARKStepSetInitStep(e->memory, h));
  return ARKStepReInit(e->memory, NULL, sun_field, t, e->y);
}

static int advance(engine *e, double t1, double *end) {
  SUN_TRY(ARKStepSetMinStep(e->memory, sun_least(e)));
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
                                 .make = make, .free = release, .restart = restart, .advance = advance,
                                 .counts = counts, .errors = errors};
