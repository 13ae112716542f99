/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * CVODE: the backward differentiation formulas of orders 1 to 5, and the Adams-Moulton formulas of
 * orders 1 to 12, in Nordsieck form with variable step and order. Inside a step the solution is its
 * Nordsieck polynomial, of the order in use.
 */
#include <cvode/cvode.h>

#include "sundials.h"

enum { FAILURES = 20 }; /* in one step; a factor of 1e-12 in its size, and more */

static int attach(engine *e) {
  if (e->nonlinear) return CVodeSetNonlinearSolver(e->memory, e->nonlinear);
  SUN_TRY(CVodeSetLinearSolver(e->memory, e->linear, e->matrix));
  if (e->matrix) return CVodeSetJacFn(e->memory, sun_jacobian);
  return e->has_jvp ? CVodeSetJacTimes(e->memory, NULL, sun_product) : CV_SUCCESS;
}

static int make(engine *e, double t) {
  e->memory = CVodeCreate(e->of->method->family, e->context);
  if (!e->memory) return CV_MEM_FAIL;
  SUN_TRY(CVodeSetErrHandlerFn(e->memory, sun_keep_text, e));
  SUN_TRY(CVodeInit(e->memory, sun_field, t, e->y));
  SUN_TRY(CVodeSetUserData(e->memory, e));
  SUN_TRY(CVodeWFtolerances(e->memory, sun_weights));
  SUN_TRY(CVodeSetMaxOrd(e->memory, e->of->order));
  SUN_TRY(CVodeSetMaxErrTestFails(e->memory, FAILURES));
  SUN_TRY(CVodeSetMaxConvFails(e->memory, FAILURES));
  SUN_TRY(CVodeSetMaxHnilWarns(e->memory, -1));
  return attach(e);
}

static void release(engine *e) { CVodeFree(&e->memory); }

static int restart(engine *e, double t, double h) {
  SUN_TRY(CVodeSetInitStep(e->memory, h));
  return CVodeReInit(e->memory, t, e->y);
}

/* CVODE goes on with steps that no longer move t; the least step makes it report them. */
static int advance(engine *e, double t1, double *end) {
  SUN_TRY(CVodeSetMinStep(e->memory, sun_least(e)));
  SUN_TRY(CVodeSetStopTime(e->memory, t1));
  int flag = CVode(e->memory, t1, e->y, end, CV_ONE_STEP);
  if (flag == CV_TSTOP_RETURN) *end = t1;
  return flag < 0 ? flag : CV_SUCCESS;
}

static int inside(engine *e, double t, int derivative, N_Vector out) {
  double last;
  SUN_TRY(CVodeGetLastStep(e->memory, &last));
  if ((t - (e->t - last)) * e->direction < -8 * DBL_EPSILON * fabs(t)) return CV_BAD_T;
  return CVodeGetDky(e->memory, t, derivative, out);
}

static void counts(engine *e, sun_counts *c) {
  CVodeGetNumSteps(e->memory, &c->steps);
  CVodeGetNumErrTestFails(e->memory, &c->error_failures);
  CVodeGetNumNonlinSolvConvFails(e->memory, &c->convergence_failures);
  CVodeGetLastOrder(e->memory, &c->order);
  CVodeGetLastStep(e->memory, &c->last_h);
}

static int errors(engine *e, N_Vector error, N_Vector weight) {
  SUN_TRY(CVodeGetEstLocalErrors(e->memory, error));
  return CVodeGetErrWeights(e->memory, weight);
}

#define CALLS                                                                                       \
  .make = make, .free = release, .restart = restart, .advance = advance, .inside = inside, .counts = counts, \
  .errors = errors

const sun_method sun_cvode_bdf = {
  .family = CV_BDF, .hint = "the field may be discontinuous or singular here", CALLS,
};
const sun_method sun_cvode_adams = {
  .family = CV_ADAMS, .hint = "the problem may be stiff here, try sundials.cvode_bdf", CALLS,
};
