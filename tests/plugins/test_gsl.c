/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Steppers of the plugin gsl, one step at a time: measured orders against declared ones, failures
 * that leave the state and the history alone, GSL's handler of errors. Whole solves are in
 * test_gsl_solve.c.
 */
#include <CUnit/CUnit.h>
#include <gsl/gsl_errno.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "costate/context.h"
#include "costate/registry.h"

static cst_context *ctx;
static double rtol = 1e-6, atol = 1e-9; /* of the steps below */

static int open_gsl(void) {
  ctx = cst_context_new(NULL);
  return !ctx || cst_plugin_load(ctx, "gsl") != CST_OK;
}
static int close_gsl(void) {
  cst_context_free(ctx);
  return 0;
}

/* y' = (z cos t, -y cos t): y = sin(sin t), z = cos(sin t). */
static cst_status circle(cst_rhs *f, const double *t, const void *y, void *dy) {
  f->evaluations++;
  const double *in = y;
  double *out = dy;
  out[0] = in[1] * cos(*t), out[1] = -in[0] * cos(*t);
  return CST_OK;
}

static cst_status circle_jacobian(cst_rhs *f, const double *t, const void *y, void *jac, void *dfdt) {
  (void)f;
  const double *in = y, c = cos(*t), s = sin(*t);
  memcpy(jac, (const double[]){0, c, -c, 0}, 4 * sizeof(double));
  memcpy(dfdt, (const double[]){-in[1] * s, in[0] * s}, 2 * sizeof(double));
  return CST_OK;
}

/* y' = y: implicit steps of size 1 and 2 meet a singular matrix. */
static cst_status growth(cst_rhs *f, const double *t, const void *y, void *dy) {
  (void)f, (void)t;
  memcpy(dy, y, 2 * sizeof(double));
  return CST_OK;
}
static cst_status growth_jacobian(cst_rhs *f, const double *t, const void *y, void *jac, void *dfdt) {
  (void)f, (void)t, (void)y;
  memcpy(jac, (const double[]){1, 0, 0, 1}, 4 * sizeof(double));
  memset(dfdt, 0, 2 * sizeof(double));
  return CST_OK;
}

/* Fails, or gives NaN, beyond t = 0. */
static cst_status broken(cst_rhs *f, const double *t, const void *y, void *dy) {
  cst_status *st = f->self;
  cst_status ok = circle(f, t, y, dy);
  if (*t <= 0) return ok;
  ((double *)dy)[1] = (double)NAN;
  return *st;
}

static cst_rhs field_of(cst_status (*eval)(cst_rhs *, const double *, const void *, void *),
                        void *self) {
  return (cst_rhs){.struct_size = sizeof(cst_rhs),
                   .dtype = CST_F64,
                   .rows = 1,
                   .n = 2,
                   .n_stage = 2,
                   .eval = eval,
                   .jacobian = eval == growth ? growth_jacobian : circle_jacobian,
                   .self = self};
}

/* One step; y is replaced only when it succeeds. */
static cst_status step(const cst_solver_type *type, void *state, cst_rhs *f, double t, double t1,
                       double *y, double *error) {
  double f0[2], y1[2], h = t1 - t;
  CST_TRY(f->eval(f, &t, y, f0));
  cst_step s = {.struct_size = sizeof s, .rhs = f, .t = &t, .h = &h, .t1 = &t1, .y = y, .f0 = f0,
                .y1 = y1, .error = error, .rtol = rtol, .atol = atol};
  CST_TRY(type->step(state, &s));
  memcpy(y, y1, sizeof y1);
  return CST_OK;
}

static void *open_stepper(const cst_solver_type *type, uint8_t dtype) {
  cst_solver_config c = {.struct_size = sizeof c,
                         .host = cst_host_of(ctx),
                         .type = type,
                         .dtype = dtype,
                         .rows = 1,
                         .n = 2,
                         .n_stage = 2};
  void *state = NULL;
  return type->create(&c, &state) == CST_OK ? state : NULL;
}

static bool multistep(const cst_solver_type *t) { return (t->traits & CST_MULTISTEP) != 0; }

/* Over [1/2, 1/2 + span] in n steps: the error at the end and the estimate of the first step. */
static void solve(const cst_solver_type *type, int n, double span, double *error, double *estimate) {
  void *state = open_stepper(type, CST_F64);
  CU_ASSERT_PTR_NOT_NULL_FATAL(state);
  cst_rhs f = field_of(circle, NULL);
  double y[2] = {sin(sin(0.5)), cos(sin(0.5))}, e[2];
  for (int i = 0; i < n; i++) {
    CU_ASSERT_EQUAL(step(type, state, &f, 0.5 + span * i / n, 0.5 + span * (i + 1) / n, y, e), CST_OK);
    if (i == 0) *estimate = hypot(e[0], e[1]);
  }
  *error = hypot(y[0] - sin(sin(0.5 + span)), y[1] - cos(sin(0.5 + span)));
  type->destroy(cst_host_of(ctx), state);
}

/* High orders leave few step sizes before round-off. */
static void orders_are_as_declared(void) {
  size_t n = cst_entry_count(ctx, CST_KIND_SOLVER), seen = 0;
  rtol = 1e-13, atol = 1e-15;
  for (size_t i = 0; i < n; i++) {
    const cst_entry *e = cst_entry_at(ctx, CST_KIND_SOLVER, i);
    const cst_solver_type *type = e->type;
    if (strcmp(e->plugin, "gsl") != 0 || multistep(type)) continue;
    double coarse, fine, first, second, span = type->order > 8 ? 12 : 1;
    int steps = type->order > 8 ? 3 : type->order > 6 ? 4 : 32;
    solve(type, steps, span, &coarse, &first);
    solve(type, 2 * steps, span, &fine, &second);
    CU_ASSERT_DOUBLE_EQUAL(log2(coarse / fine), type->order, 0.35);
    CU_ASSERT_DOUBLE_EQUAL(log2(first / second), type->error_order + 1, 0.35);
    CU_ASSERT_EQUAL(type->dense_order, type->order);
    seen++;
  }
  CU_ASSERT_EQUAL(seen, 9);
  rtol = 1e-6, atol = 1e-9;
}

/* y(t + theta h) and its slope agree with a step of that size, and with the field. */
static void values_inside_a_step_are_as_good(void) {
  for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_SOLVER); i++) {
    const cst_solver_type *type = cst_entry_at(ctx, CST_KIND_SOLVER, i)->type;
    if (multistep(type)) continue;
    void *state = open_stepper(type, CST_F64);
    cst_rhs f = field_of(circle, NULL);
    double t = 0.5, h = 0.25, t1 = 0.75, middle = t + 0.3 * h,
           start[2] = {sin(sin(0.5)), cos(sin(0.5))};
    double f0[2], y1[2], y[2] = {start[0], start[1]}, inside[2], slope[2], rate[2];
    circle(&f, &t, start, f0);
    cst_step s = {.struct_size = sizeof s,
                  .rhs = &f,
                  .t = &t,
                  .h = &h,
                  .t1 = &t1,
                  .y = start,
                  .f0 = f0,
                  .y1 = y1,
                  .rtol = rtol,
                  .atol = atol,
                  .dense_wanted = true};
    CU_ASSERT_EQUAL(type->step(state, &s), CST_OK);
    CU_ASSERT_EQUAL(type->dense(state, &s, 0.3, inside, slope), CST_OK);
    CU_ASSERT_EQUAL(step(type, state, &f, t, middle, y, NULL), CST_OK);
    circle(&f, &middle, y, rate);
    for (int k = 0; k < 2; k++) {
      CU_ASSERT_DOUBLE_EQUAL(inside[k], y[k], 1e-15);
      CU_ASSERT_DOUBLE_EQUAL(slope[k], h * rate[k], 1e-15);
    }
    type->destroy(cst_host_of(ctx), state);
  }
}

static void failures_leave_the_state(void) {
  for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_SOLVER); i++) {
    const cst_solver_type *type = cst_entry_at(ctx, CST_KIND_SOLVER, i)->type;
    const cst_status outcome[] = {CST_OK, CST_RETRY, CST_ECALLBACK}; /* OK: with NaN, so a retry */
    for (int k = 0; k < 3; k++) {
      cst_status st = outcome[k];
      void *state = open_stepper(type, CST_F64);
      cst_rhs f = field_of(broken, &st);
      double y[2] = {0.25, 0.75}, e[2];
      CU_ASSERT_EQUAL(step(type, state, &f, 0, 0.1, y, e), k == 2 ? CST_ECALLBACK : CST_RETRY);
      CU_ASSERT(y[0] == 0.25 && y[1] == 0.75);
      type->destroy(cst_host_of(ctx), state);
    }
  }
}

/* ---- multistep methods ---- */

enum { RUN = 200 };

/* RUN equal steps over [0, 2]. Before each, as `upset` says: nothing; a larger step that is thrown
 * away, as the driver does with one that is too inexact; a step whose field fails (`outcome`, OK: NaN)
 * or, with `singular`, one of y' = y whose matrix has no inverse. */
typedef enum upset { NOTHING, THROWN_AWAY, FAILED } upset;

static void run(const cst_solver_type *type, upset u, cst_status outcome, double *y, int *highest) {
  void *state = open_stepper(type, CST_F64);
  CU_ASSERT_PTR_NOT_NULL_FATAL(state);
  cst_rhs good = field_of(circle, NULL), bad = field_of(broken, &outcome);
  y[0] = 0, y[1] = 1;
  for (int i = 0; i < RUN; i++) {
    double t = 2. * i / RUN, t1 = 2. * (i + 1) / RUN, f0[2], y1[2], e[2], big = 1.5 * (t1 - t), end = t + big;
    circle(&good, &t, y, f0);
    cst_step s = {.struct_size = sizeof s, .rhs = u == FAILED ? &bad : &good, .t = &t, .h = &big,
                  .t1 = &end, .y = y, .f0 = f0, .y1 = y1, .error = e, .rtol = rtol, .atol = atol};
    if (u == THROWN_AWAY && i % 9 == 8) CU_ASSERT_EQUAL(type->step(state, &s), CST_OK);
    if (u == FAILED && i % 9 == 8)
      CU_ASSERT_EQUAL(type->step(state, &s), outcome == CST_OK ? CST_RETRY : outcome);
    double h = t1 - t;
    s.rhs = &good, s.h = &h, s.t1 = &t1;
    CU_ASSERT_EQUAL(type->step(state, &s), CST_OK);
    CU_ASSERT(s.error_order >= 1 && s.error_order <= type->order);
    if (s.error_order > *highest) *highest = s.error_order;
    memcpy(y, y1, sizeof y1);
  }
  type->destroy(cst_host_of(ctx), state);
}

/* GSL goes on from its own history: an attempt that came to nothing must not be in it. What may be
 * left of it is less than the tolerance: GSL puts off a higher order, and makes its matrix anew. With
 * half a step in the history the end is off by 0.09. */
static void attempts_leave_no_trace(void) {
  rtol = atol = 1e-5;
  for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_SOLVER); i++) {
    const cst_solver_type *type = cst_entry_at(ctx, CST_KIND_SOLVER, i)->type;
    if (!multistep(type)) continue;
    const cst_status outcome[] = {CST_OK, CST_RETRY, CST_ECALLBACK};
    double plain[2], upset_run[2];
    int highest = 0, again = 0;
    run(type, NOTHING, CST_OK, plain, &highest);
    CU_ASSERT(highest >= 3);
    CU_ASSERT_DOUBLE_EQUAL(plain[0], sin(sin(2.)), 1e-2);
    run(type, THROWN_AWAY, CST_OK, upset_run, &again);
    CU_ASSERT_DOUBLE_EQUAL(upset_run[0], sin(sin(2.)), 1e-2);
    for (int k = 0; k < 3; k++) {
      run(type, FAILED, outcome[k], upset_run, &again);
      CU_ASSERT_DOUBLE_EQUAL(upset_run[0], plain[0], 1e-6);
      CU_ASSERT_DOUBLE_EQUAL(upset_run[1], plain[1], 1e-6);
    }
  }
  rtol = 1e-6, atol = 1e-9;
}

/* A step from where the last one did not end begins anew, also without `reset`. */
static void another_state_is_another_start(void) {
  for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_SOLVER); i++) {
    const cst_solver_type *type = cst_entry_at(ctx, CST_KIND_SOLVER, i)->type;
    if (!multistep(type)) continue;
    void *state = open_stepper(type, CST_F64), *fresh = open_stepper(type, CST_F64);
    cst_rhs f = field_of(circle, NULL);
    double y[2] = {0, 1}, z[2] = {5, 7}, e[2];
    for (int k = 0; k < 5; k++)
      CU_ASSERT_EQUAL(step(type, state, &f, k / 1024., (k + 1) / 1024., y, e), CST_OK);
    memcpy(y, z, sizeof y);
    CU_ASSERT_EQUAL(step(type, state, &f, 5 / 1024., 6 / 1024., y, e), CST_OK);
    CU_ASSERT_EQUAL(step(type, fresh, &f, 5 / 1024., 6 / 1024., z, e), CST_OK);
    CU_ASSERT(memcmp(y, z, sizeof y) == 0);
    type->destroy(cst_host_of(ctx), state);
    type->destroy(cst_host_of(ctx), fresh);
  }
}

/* ---- GSL's handler of errors ---- */

static int heard;
static void listen(const char *reason, const char *file, int line, int code) {
  (void)reason, (void)file, (void)line, (void)code;
  heard++;
}

/* A matrix without an inverse: h df/dy is 1, 2 at a stage. GSL takes that to its handler, and bsimp
 * calls the step a success all the same. */
static void *singular_steps(void *arg) {
  const cst_solver_type *type = arg;
  cst_rhs f = field_of(growth, NULL);
  for (int k = 1; k <= 2; k++) {
    void *state = open_stepper(type, CST_F64);
    double y[2] = {1, 2}, e[2];
    cst_status st = step(type, state, &f, 0, k, y, e);
    bool met = strcmp(type->name, "rk4imp") != 0 && (strcmp(type->name, "rk2imp") == 0 ||
                                                     strcmp(type->name, "bsimp") == 0) == (k == 2);
    if (met) CU_ASSERT_EQUAL(st, CST_RETRY);
    CU_ASSERT(st == CST_OK || st == CST_RETRY);
    /* and it goes on */
    if (st == CST_RETRY) {
      CU_ASSERT(y[0] == 1 && y[1] == 2);
      CU_ASSERT_EQUAL(step(type, state, &f, 0, 1 / 64., y, e), CST_OK);
      CU_ASSERT_DOUBLE_EQUAL(y[0], exp(1 / 64.), 1e-3);
    }
    type->destroy(cst_host_of(ctx), state);
  }
  return NULL;
}

static void errors_of_steps_are_ours_and_others_are_not(void) {
  gsl_error_handler_t *before = gsl_set_error_handler(listen);
  heard = 0;
  for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_SOLVER); i++) {
    const cst_solver_type *type = cst_entry_at(ctx, CST_KIND_SOLVER, i)->type;
    if (!(type->traits & CST_IMPLICIT)) continue;
    union { const cst_solver_type *in; void *out; } arg = {type};
    pthread_t thread[2];
    for (int k = 0; k < 2; k++) CU_ASSERT_EQUAL(pthread_create(&thread[k], NULL, singular_steps, arg.out), 0);
    for (int k = 0; k < 2; k++) pthread_join(thread[k], NULL);
    CU_ASSERT_EQUAL(heard, 0);
  }
  const cst_solver_type *type = cst_find(ctx, CST_KIND_SOLVER, "gsl.msbdf")->type;
  void *state = open_stepper(type, CST_F64);
  gsl_error("someone else's", __FILE__, __LINE__, GSL_EFAILED);
  CU_ASSERT_EQUAL(heard, 1);
  type->destroy(cst_host_of(ctx), state);
  CU_ASSERT(gsl_set_error_handler(before) == listen);
}

static void what_is_impossible_is_refused(void) {
  const cst_solver_type *type = cst_find(ctx, CST_KIND_SOLVER, "gsl.bsimp")->type;
  cst_solver_config c = {.struct_size = sizeof c, .host = cst_host_of(ctx), .type = type, .dtype = CST_F64,
                         .rows = 1, .n = 5000, .n_stage = 5000};
  void *state = NULL;
  CU_ASSERT_EQUAL(type->create(&c, &state), CST_EUNSUPPORTED);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "dense matrix"));
  cst_rhs f = field_of(circle, NULL);
  double y[2] = {0, 1}, e[2];
  f.jacobian = NULL;
  state = open_stepper(type, CST_F64);
  CU_ASSERT_EQUAL(step(type, state, &f, 0, 1, y, e), CST_EUNSUPPORTED);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "gsl.bsimp needs the derivative of the field"));
  f.jacobian = circle_jacobian, f.rows = 2;
  CU_ASSERT_EQUAL(step(type, state, &f, 0, 1, y, e), CST_EUNSUPPORTED);
  type->destroy(cst_host_of(ctx), state);
}

static void single_precision_is_refused(void) {
  const cst_entry *e = cst_find(ctx, CST_KIND_SOLVER, "gsl.rk8pd");
  CU_ASSERT_PTR_NOT_NULL_FATAL(e);
  CU_ASSERT_PTR_NULL(open_stepper(e->type, CST_F32));
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "gsl.rk8pd computes in f64 only"));
}

static CU_TestInfo tests[] = {
    {"orders are as declared", orders_are_as_declared},
    {"values inside a step are as good", values_inside_a_step_are_as_good},
    {"failures leave the state", failures_leave_the_state},
    {"attempts leave no trace", attempts_leave_no_trace},
    {"another state is another start", another_state_is_another_start},
    {"errors of steps are ours, others are not", errors_of_steps_are_ours_and_others_are_not},
    {"what is impossible is refused", what_is_impossible_is_refused},
    {"single precision is refused", single_precision_is_refused},
    CU_TEST_INFO_NULL,
};

int cst_suite_gsl(void);
int cst_suite_gsl(void) {
  CU_SuiteInfo info[] = {{"gsl", open_gsl, close_gsl, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(info) != CUE_SUCCESS;
}
