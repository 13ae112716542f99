/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Steppers of the plugin gsl, one step at a time: measured orders against declared ones, failures
 * that leave the state alone.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <string.h>

#include "costate/context.h"
#include "costate/registry.h"

static cst_context *ctx;

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
                   .self = self};
}

/* One step; y is replaced only when it succeeds. */
static cst_status step(const cst_solver_type *type, void *state, cst_rhs *f, double t, double t1,
                       double *y, double *error) {
  double f0[2], y1[2], h = t1 - t;
  CST_TRY(f->eval(f, &t, y, f0));
  cst_step s = {.struct_size = sizeof s, .rhs = f, .t = &t, .h = &h, .t1 = &t1, .y = y, .f0 = f0,
                .y1 = y1, .error = error, .rtol = 1e-6, .atol = 1e-9};
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

/* Over [1/2, 3/2] in n steps: the error at the end and the estimate of the first step. */
static void solve(const cst_solver_type *type, int n, double *error, double *estimate) {
  void *state = open_stepper(type, CST_F64);
  CU_ASSERT_PTR_NOT_NULL_FATAL(state);
  cst_rhs f = field_of(circle, NULL);
  double y[2] = {sin(sin(0.5)), cos(sin(0.5))}, e[2];
  for (int i = 0; i < n; i++) {
    CU_ASSERT_EQUAL(step(type, state, &f, 0.5 + i / (double)n, 0.5 + (i + 1) / (double)n, y, e),
                    CST_OK);
    if (i == 0) *estimate = hypot(e[0], e[1]);
  }
  *error = hypot(y[0] - sin(sin(1.5)), y[1] - cos(sin(1.5)));
  type->destroy(cst_host_of(ctx), state);
}

static void orders_are_as_declared(void) {
  size_t n = cst_entry_count(ctx, CST_KIND_SOLVER), seen = 0;
  for (size_t i = 0; i < n; i++) {
    const cst_entry *e = cst_entry_at(ctx, CST_KIND_SOLVER, i);
    if (strcmp(e->plugin, "gsl") != 0) continue;
    const cst_solver_type *type = e->type;
    double coarse, fine, first, second;
    int steps = type->order > 6 ? 4 : 32;
    solve(type, steps, &coarse, &first);
    solve(type, 2 * steps, &fine, &second);
    CU_ASSERT_DOUBLE_EQUAL(log2(coarse / fine), type->order, 0.35);
    CU_ASSERT_DOUBLE_EQUAL(log2(first / second), type->error_order + 1, 0.35);
    seen++;
  }
  CU_ASSERT_EQUAL(seen, 5);
}

/* y(t + theta h) and its slope agree with a step of that size, and with the field. */
static void values_inside_a_step_are_as_good(void) {
  for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_SOLVER); i++) {
    const cst_solver_type *type = cst_entry_at(ctx, CST_KIND_SOLVER, i)->type;
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
    {"single precision is refused", single_precision_is_refused},
    CU_TEST_INFO_NULL,
};

int cst_suite_gsl(void);
int cst_suite_gsl(void) {
  CU_SuiteInfo info[] = {{"gsl", open_gsl, close_gsl, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(info) != CUE_SUCCESS;
}
