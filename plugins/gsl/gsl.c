/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * gsl: the explicit steppers of the GNU Scientific Library (gsl_odeiv2). The driver keeps the loop:
 * only single steps are GSL's. Orders are those measured for the propagated solution; they differ
 * from the names where GSL propagates the better of two results (rk2).
 */
#include <costate/plugin.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_odeiv2.h>
#include <math.h>
#include <pthread.h>

typedef struct stepper {
  const cst_host *host;
  gsl_odeiv2_step *step;
  const cst_step *in; /* the step under way */
  cst_status status;  /* of its last evaluation */
  double *error;      /* for a caller who wants none */
} stepper;

/* GSL's handler of errors is one for the whole process and aborts by default. Only allocation calls
 * it here: single steps report by their result. */
static pthread_mutex_t handler_lock = PTHREAD_MUTEX_INITIALIZER;

static gsl_odeiv2_step *alloc_quietly(const gsl_odeiv2_step_type *type, size_t n) {
  pthread_mutex_lock(&handler_lock);
  gsl_error_handler_t *before = gsl_set_error_handler_off();
  gsl_odeiv2_step *s = gsl_odeiv2_step_alloc(type, n);
  gsl_set_error_handler(before);
  pthread_mutex_unlock(&handler_lock);
  return s;
}

static void stepper_destroy(const cst_host *host, void *state) {
  stepper *s = state;
  if (!s) return;
  if (s->step) gsl_odeiv2_step_free(s->step);
  host->free(host, s->error);
  host->free(host, s);
}

static cst_status stepper_create(const cst_solver_config *c, void **state) {
  const cst_host *host = c->host;
  if (c->dtype != CST_F64)
    return host->fail(host, CST_EUNSUPPORTED,
                      "gsl.%s computes in f64 only: set dtype f64, or choose a solver of rk",
                      c->type->name);
  size_t n = c->n ? c->n : 1;
  stepper *s = host->alloc(host, sizeof *s);
  if (!s) return host->fail(host, CST_ENOMEM, "gsl.%s: no memory", c->type->name);
  s->host = host;
  s->error = host->alloc(host, n * sizeof *s->error);
  s->step = alloc_quietly(*(const gsl_odeiv2_step_type *const *)c->type->method, n);
  if (!s->step || !s->error) {
    stepper_destroy(host, s);
    return host->fail(host, CST_ENOMEM, "gsl.%s: no memory for a state of %zu numbers",
                      c->type->name, n);
  }
  *state = s;
  return CST_OK;
}

/* The field as GSL calls it. GSL stops the step at any result but success and hands it back. Its
 * sums for the end of the step may be off by a rounding: the end is the driver's. */
static int evaluate(double t, const double y[], double dydt[], void *arg) {
  stepper *s = arg;
  double h = *s->in->h, t1 = *s->in->t1;
  if (t == *s->in->t + h || (t - t1) * h > 0) t = t1;
  s->status = s->in->rhs->eval(s->in->rhs, &t, y, dydt);
  return s->status == CST_OK ? GSL_SUCCESS : GSL_EBADFUNC;
}

static bool all_finite(const double *x, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!isfinite(x[i])) return false;
  return true;
}

/* GSL overwrites y with y1, and is given a copy. It calls NaN a success; we do not. */
static cst_status stepper_step(void *state, cst_step *in) {
  stepper *s = state;
  size_t n = in->rhs->n;
  if (in->rhs->per_row && in->rhs->rows > 1)
    return s->host->fail(s->host, CST_EUNSUPPORTED,
                         "GSL's steppers take one step size for all rows");
  double *error = in->error ? in->error : s->error;
  gsl_odeiv2_system system = {evaluate, NULL, n, s};
  s->in = in, s->status = CST_OK;
  s->step->dimension = n; /* at most what was allocated */
  memcpy(in->y1, in->y, n * sizeof(double));
  int code = gsl_odeiv2_step_apply(s->step, *in->t, *in->h, in->y1, error, in->f0, NULL, &system);
  if (s->status != CST_OK) return s->status;
  return code == GSL_SUCCESS && all_finite(in->y1, n) && all_finite(error, n) ? CST_OK : CST_RETRY;
}

/* GSL has no dense output, and a cubic would spoil order 8: a value inside a step is a shorter step
 * from the same start. */
static cst_status stepper_dense(void *state, const cst_step *in, double theta, void *y,
                                void *slope) {
  double h = theta * *in->h, t1 = *in->t + h;
  cst_step shorter = *in;
  shorter.h = &h, shorter.t1 = &t1, shorter.y1 = y, shorter.error = NULL, shorter.error_sum = NULL;
  CST_TRY(stepper_step(state, &shorter));
  if (!slope) return CST_OK;
  CST_TRY(in->rhs->eval(in->rhs, &t1, y, slope));
  for (size_t i = 0; i < in->rhs->n; i++) ((double *)slope)[i] *= *in->h;
  return CST_OK;
}

static cst_status stepper_reset(void *state) {
  gsl_odeiv2_step_reset(((stepper *)state)->step);
  return CST_OK;
}

/* `method` is the address of GSL's variable, which is not a constant at compile time. */
#define STEPPER(nm, p, q, text)                                                             \
  {.struct_size = sizeof(cst_solver_type), .name = #nm, .help = text,                       \
   .method = &gsl_odeiv2_step_##nm, .order = p, .error_order = q, .dense_order = p,         \
   .traits = CST_ADAPTIVE | CST_F64_ONLY, .create = stepper_create,                         \
   .destroy = stepper_destroy, .reset = stepper_reset, .step = stepper_step,                \
   .dense = stepper_dense}

static const cst_solver_type types[] = {
    STEPPER(rk2, 3, 2, "GSL: Runge-Kutta (2, 3), propagates the third order"),
    STEPPER(rk4, 4, 4, "GSL: the classical Runge-Kutta method, error by step doubling"),
    STEPPER(rkf45, 5, 4, "GSL: Runge-Kutta-Fehlberg (4, 5)"),
    STEPPER(rkck, 5, 4, "GSL: Runge-Kutta-Cash-Karp (4, 5)"),
    STEPPER(rk8pd, 8, 7, "GSL: Runge-Kutta-Prince-Dormand (8, 9)"),
};

static cst_status init(const cst_host *host) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    CST_TRY(host->register_solver(host, &types[i]));
  return CST_OK;
}

CST_PLUGIN{.abi_version = CST_ABI,
           .struct_size = sizeof(cst_plugin),
           .name = "gsl",
           .version = "1.0",
           .license = "GPL-3.0-or-later",
           .init = init};
