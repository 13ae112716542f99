/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One step of any of GSL's methods: the field, its Jacobian and the tolerances as GSL asks for them,
 * and the verdict on what it returns.
 */
#include "stepper.h"

#include <math.h>

static bool all_finite(const double *x, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!isfinite(x[i])) return false;
  return true;
}

/* ---- what GSL calls ---- */

/* GSL's sums for the end of a step may be off by a rounding: the end is the driver's. */
static double time_of(const stepper *s, double t) {
  double h = *s->in->h, t1 = *s->in->t1;
  return t == *s->in->t + h || (t - t1) * h > 0 ? t1 : t;
}

/* Every failure is GSL_FAILURE, at which a step ends at once. For the bad function of GSL's own
 * terms, GSL_EBADFUNC, multistep methods would not note that the step failed, and take the next
 * attempt for a step that follows an accepted one, with half of this one in their history. For the
 * same reason nothing that is not finite is let in. */
static int verdict(stepper *s, cst_status st, const double *x, size_t n) {
  s->status = st == CST_OK && !all_finite(x, n) ? CST_RETRY : st;
  return s->status == CST_OK ? GSL_SUCCESS : GSL_FAILURE;
}

static int evaluate(double t, const double y[], double dydt[], void *arg) {
  stepper *s = arg;
  cst_rhs *f = s->in->rhs;
  t = time_of(s, t);
  s->evaluations++;
  bool *ours = quiet_listen(NULL); /* the field may do with GSL what it likes */
  cst_status st = f->eval(f, &t, y, dydt);
  quiet_listen(ours);
  return verdict(s, st, dydt, f->n);
}

/* The field gives [d, d], d the scalars of the stage parts; GSL wants [n, n]. The rows of quadrature
 * parts stay zero: nothing depends on these parts, so that the iteration settles without their
 * derivatives, one round after y has; and bsimp's expansion holds for any matrix. */
static void spread(double *jac, size_t d, size_t n) {
  for (size_t i = d; i-- > 0;) {
    memmove(jac + i * n, jac + i * d, d * sizeof *jac);
    memset(jac + i * n + d, 0, (n - d) * sizeof *jac);
  }
  memset(jac + d * n, 0, (n - d) * n * sizeof *jac);
}

static int jacobian(double t, const double y[], double *dfdy, double dfdt[], void *arg) {
  stepper *s = arg;
  cst_rhs *f = s->in->rhs;
  size_t d = f->n_stage;
  t = time_of(s, t);
  bool *ours = quiet_listen(NULL);
  cst_status st = f->jacobian(f, &t, y, dfdy, dfdt);
  quiet_listen(ours);
  memset(dfdt + d, 0, (f->n - d) * sizeof *dfdt);
  if (st == CST_OK && !all_finite(dfdt, d)) st = CST_RETRY;
  int code = verdict(s, st, dfdy, d * d);
  if (f->n > d) spread(dfdy, d, f->n);
  return code;
}

/* The tolerance of component i as the driver has it, atol + rtol |y|, with the y at hand; where that
 * is nothing, of its change. A component that the driver's norm leaves out is not left out here: the
 * iteration that ends by these levels is its only equation. */
static int error_level(void *arg, const double y, const double dydt, const double h, const size_t i,
                       double *level) {
  const stepper *s = arg;
  double tolerance = s->atol + s->rtol * fabs(y);
  if (tolerance == 0) tolerance = s->rtol * fabs(h * dydt);
  *level = tolerance > 0 ? s->weight * tolerance : HUGE_VAL;
  (void)i;
  return GSL_SUCCESS;
}

static const gsl_odeiv2_control_type tolerances = {.name = "costate", .errlevel = error_level};

/* The driver's norm is the root mean square; GSL's is that too, or the root of the sum. Fixed steps may
 * come without a tolerance. */
static void set_levels(stepper *s, const cst_step *in) {
  const method *m = s->type->method;
  s->weight = m->newton * (m->mean ? 1 : sqrt((double)in->rhs->n));
  s->rtol = in->rtol, s->atol = in->atol;
  if (in->rtol + in->atol == 0) s->rtol = 1e-12;
}

/* ---- making ---- */

/* GSL's matrices lie row after row without gaps only if they are made for this very n. */
static cst_status size(stepper *s, size_t n) {
  if (s->step) gsl_odeiv2_step_free(s->step);
  s->host->free(s->host, s->error);
  s->n = n;
  s->error = s->host->alloc(s->host, 3 * n * sizeof *s->error);
  if (s->error) s->part = s->error + n, s->part_slope = s->part + n;
  bool raised = false, *outer = quiet_listen(&raised);
  s->step = gsl_odeiv2_step_alloc(*((const method *)s->type->method)->gsl, n);
  quiet_listen(outer);
  if (!s->step || !s->error)
    return s->host->fail(s->host, CST_ENOMEM, "gsl.%s: no memory for a state of %zu numbers",
                         s->type->name, n);
  if (((const method *)s->type->method)->newton > 0) gsl_odeiv2_step_set_driver(s->step, &s->driver);
  return CST_OK;
}

enum { MATRIX = 4096 }; /* 128 MB each; GSL makes several, and for bsimp does not look whether it got them */

static cst_status check(const stepper *s, const cst_solver_config *c) {
  if (c->dtype != CST_F64)
    return s->host->fail(s->host, CST_EUNSUPPORTED,
                         "gsl.%s computes in f64 only: set dtype f64, or choose a solver of rk",
                         c->type->name);
  if ((c->type->traits & CST_IMPLICIT) && c->n > MATRIX)
    return s->host->fail(s->host, CST_EUNSUPPORTED,
                         "gsl.%s factorises a dense matrix of the state's size, and %zu numbers are too "
                         "many (at most %d): choose a solver without one",
                         c->type->name, c->n, MATRIX);
  return CST_OK;
}

cst_status stepper_open(stepper *s, const cst_solver_config *c) {
  *s = (stepper){.host = c->host, .type = c->type, .control = {&tolerances, s}};
  s->driver.c = &s->control;
  CST_TRY(check(s, c));
  quiet_acquire();
  cst_status st = size(s, c->n ? c->n : 1);
  if (st != CST_OK) stepper_close(s);
  return st;
}

void stepper_close(stepper *s) {
  if (s->step) gsl_odeiv2_step_free(s->step);
  s->host->free(s->host, s->error);
  quiet_release();
}

/* ---- a step ---- */

static cst_status fit(stepper *s, const cst_rhs *f) {
  uint32_t traits = s->type->traits;
  if (f->rows > 1 && (f->per_row || (traits & CST_SINGLE)))
    return s->host->fail(s->host, CST_EUNSUPPORTED, "gsl.%s takes one step size for all rows",
                         s->type->name);
  if ((traits & CST_IMPLICIT) && !f->jacobian)
    return s->host->fail(s->host, CST_EUNSUPPORTED,
                         "gsl.%s needs the derivative of the field, and this field has none: choose an "
                         "explicit solver", s->type->name);
  if ((traits & CST_SINGLE) && f->n != s->n) return size(s, f->n);
  s->step->dimension = f->n; /* at most what it was made for */
  return CST_OK;
}

/* GSL overwrites y with y1, and is given a copy. It calls NaN a success, and a singular matrix in
 * bsimp; we do not. */
cst_status stepper_apply(stepper *s, cst_step *in) {
  size_t n = in->rhs->n;
  CST_TRY(fit(s, in->rhs));
  double *error = in->error ? in->error : s->error;
  gsl_odeiv2_system system = {evaluate, jacobian, n, s};
  s->in = in, s->status = CST_OK, s->evaluations = 0;
  set_levels(s, in);
  memcpy(in->y1, in->y, n * sizeof(double));
  bool raised = false, *outer = quiet_listen(&raised);
  s->code = gsl_odeiv2_step_apply(s->step, *in->t, *in->h, in->y1, error, in->f0, NULL, &system);
  quiet_listen(outer);
  double scale = ((const method *)s->type->method)->scale;
  for (size_t i = 0; scale > 0 && i < n; i++) error[i] *= scale;
  if (s->status != CST_OK) return s->status;
  bool sound = s->code == GSL_SUCCESS && !raised;
  return sound && all_finite(in->y1, n) && all_finite(error, n) ? CST_OK : CST_RETRY;
}

/* ---- the slots of one-step methods ---- */

cst_status stepper_create(const cst_solver_config *c, void **state) {
  stepper *s = c->host->alloc(c->host, sizeof *s);
  if (!s) return c->host->fail(c->host, CST_ENOMEM, "gsl.%s: no memory", c->type->name);
  cst_status st = stepper_open(s, c);
  if (st == CST_OK) *state = s;
  else c->host->free(c->host, s);
  return st;
}

void stepper_destroy(const cst_host *host, void *state) {
  if (!state) return;
  stepper_close(state);
  host->free(host, state);
}

cst_status stepper_reset(void *state) {
  quiet_renew();
  gsl_odeiv2_step_reset(((stepper *)state)->step);
  return CST_OK;
}

cst_status stepper_step(void *state, cst_step *in) { return stepper_apply(state, in); }

/* From the start of a step to t + theta h, in this many steps. */
static cst_status advance(stepper *s, const cst_step *in, double theta, int parts, double *y) {
  double t = *in->t, h = theta * *in->h / parts, t1;
  cst_step part = *in;
  part.t = &t, part.h = &h, part.t1 = &t1, part.y1 = y, part.error = NULL, part.error_sum = NULL;
  for (int k = 1; k <= parts; k++, t = t1) {
    t1 = *in->t + theta * *in->h * k / parts;
    CST_TRY(stepper_apply(s, &part));
    if (k == parts) break;
    memcpy(s->part, y, in->rhs->n * sizeof *y);
    CST_TRY(in->rhs->eval(in->rhs, &t1, s->part, s->part_slope));
    part.y = s->part, part.f0 = s->part_slope;
  }
  return CST_OK;
}

/* A shorter step from the same start. That the whole step succeeded is no promise for it: the matrix of an
 * implicit one may be singular for one size alone. Then it is several. */
cst_status stepper_dense(void *state, const cst_step *in, double theta, void *y, void *slope) {
  enum { MOST_PARTS = 16 };
  double t1 = *in->t + theta * *in->h;
  cst_status st = CST_RETRY;
  for (int parts = 1; st == CST_RETRY && parts <= MOST_PARTS; parts *= 2) st = advance(state, in, theta, parts, y);
  if (st != CST_OK || !slope) return st;
  CST_TRY(in->rhs->eval(in->rhs, &t1, y, slope));
  for (size_t i = 0; i < in->rhs->n; i++) ((double *)slope)[i] *= *in->h;
  return CST_OK;
}
