/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The gradients along a stored forward solution, interpolating and quadrature, with every registered
 * solver, against `discrete` at a tolerance near round-off (test_adjoint.c compares that with complex
 * steps).
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gradients.h"

int cst_suite_continuous(void);

static cst_context *ctx;
static const char *const methods[2] = {"adjoint.interpolating", "gauss.quadrature"};
static int n_methods; /* without GSL there is one */
static const double STEP = 0.005; /* of solvers without error control */

static int open(void) {
  if (!(ctx = gradient_context())) return 1;
  n_methods = method_type(ctx, methods[1]) ? 2 : 1;
  return 0;
}
static int close(void) {
  cst_context_free(ctx);
  return 0;
}

/* ---- a case ------------------------------------------------------------------------------------ */

typedef struct test_case {
  field_fn *field;
  const double *start, *times;
  size_t rows, n;
  const double *theta; /* MAX_THETA of them; NULL: the problem's */
} test_case;

static const double robertson_times[4] = {0, 0.4, 4, 40}, robertson_start[3] = {1, 0, 0};

static test_case case_of(field_fn *field, size_t rows, bool back) {
  return field == field_robertson
             ? (test_case){field, robertson_start, robertson_times, 1, 4, NULL}
             : (test_case){field, gradient_start, back ? gradient_back : gradient_forth, rows, back ? 6 : 9, NULL};
}

static void case_new(const test_case *c, taped *t, const char *solver, cst_dtype d) {
  taped_new(t, ctx, c->rows, c->field, d, solver, false, 0);
  if (c->theta) memcpy(t->p.theta, c->theta, sizeof t->p.theta);
}

/* With a tolerance near round-off, and outputs at ends of steps, which are as exact; but an output where the
 * field jumps moves along its value after the jump. */
static void exact(const test_case *c, gradient *g) {
  taped t;
  bool stiff = c->field == field_robertson;
  case_new(c, &t, stiff ? "kencarp5" : "dop853", CST_F64);
  t.config.rtol = stiff ? 1e-10 : 1e-13, t.config.atol = stiff ? 1e-14 : 1e-13;
  CU_ASSERT_EQUAL(taped_solve(&t, c->start, c->times, c->n, c->field != field_stepped), CST_OK);
  method_of(&t, "adjoint.discrete", g, NULL);
  taped_free(&t);
}

typedef struct setting {
  const char *solver, *method;
  const cst_options *options;
  cst_dtype dtype;
  double tol, small; /* rtol; atol in parts of it */
} setting;

/* How far the gradient of a setting is off; HUGE_VAL: it failed. */
static double error_of(const test_case *c, setting s, const gradient *truth) {
  const cst_gradient_type *m = method_type(ctx, s.method);
  taped t;
  gradient found;
  case_new(c, &t, s.solver, s.dtype);
  taped_follow(&t, 0);
  t.config.rtol = s.tol, t.config.atol = s.tol * s.small;
  if (t.config.step > 0) t.config.step = STEP;
  CU_ASSERT_EQUAL_FATAL(taped_solve(&t, c->start, c->times, c->n, false), CST_OK);
  void *state = method_new(&t, m, s.options);
  cst_status st = method_run(&t, m, state, &found, NULL);
  m->destroy(cst_host_of(ctx), state);
  taped_free(&t);
  return st == CST_OK ? gradient_distance(&found, truth) : HUGE_VAL;
}

/* With tolerances of local errors, h^(q+1) ~ tol, a method of order p is off by h^p, and its dense output of
 * degree d by h^(d+1). A multistep method estimates the error of order p itself. With fixed steps only h counts,
 * but where another solver, with steps of its own choice, goes backwards. */
static double bound(const cst_solver_type *t, double tol) {
  double dense = t->dense_order ? t->dense_order : 3, order = fmin(t->order, dense + 1);
  if (!(t->traits & CST_ADAPTIVE)) return 30 * pow(STEP, order) + (t->traits & CST_REVERSIBLE ? 200 * tol : 0);
  double rate = order / (t->traits & CST_MULTISTEP ? order + 1 : t->error_order + 1);
  return rate < 1 ? 60 * pow(tol, rate) : 200 * tol;
}

static void within(const test_case *c, setting s, const gradient *truth) {
  const cst_solver_type *t = ode_solver(ctx, s.solver);
  double d = error_of(c, s, truth), most = bound(t, s.tol);
  if (!(d < most)) printf("%s, %s, %zu rows, tol %g: %g > %g\n", s.solver, s.method, c->rows, s.tol, d, most);
  CU_ASSERT(d < most && d > 0);
}

static bool usable(const cst_solver_type *t) { return !(t->traits & CST_STOCHASTIC); }

#define EACH_SOLVER(e, t)                                                               \
  for (size_t i_ = 0; i_ < cst_entry_count(ctx, CST_KIND_SOLVER); i_++)                 \
    for (const cst_entry *e = cst_entry_at(ctx, CST_KIND_SOLVER, i_); e; e = NULL)      \
      for (const cst_solver_type *t = e->type; t && usable(t); t = NULL)

/* ---- with every solver --------------------------------------------------------------------------- */

/* Both directions, with and without jumps of the field, repeated outputs, quadrature parts. */
static void test_every_solver(void) {
  size_t n = 0;
  for (int k = 0; k < 8; k++) {
    size_t rows = 1 + (k > 3);
    test_case c = case_of(k & 1 ? field_stepped : field_lotka, rows, k & 2);
    gradient truth;
    exact(&c, &truth);
    EACH_SOLVER(e, t)
      for (int m = 0; m < n_methods && !(rows > 1 && t->traits & CST_SINGLE); m++, n++)
        within(&c, (setting){e->name, methods[m], NULL, CST_F64, 1e-6, 1}, &truth);
  }
  CU_ASSERT(n >= (size_t)(8 * 16 * n_methods));
}

/* Of first order, steps for 1e-10 are too many. */
static void test_convergence(void) {
  for (int k = 0; k < 2; k++) {
    test_case c = case_of(k ? field_stepped : field_lotka, 1, k);
    gradient truth;
    exact(&c, &truth);
    EACH_SOLVER(e, t)
      for (int m = 0; m < n_methods && t->traits & CST_ADAPTIVE && t->order > 2; m++)
        for (double tol = 1e-4; tol > 1e-11; tol /= 100)
          within(&c, (setting){e->name, methods[m], NULL, CST_F64, tol, 1}, &truth);
  }
}

static void test_single_precision(void) {
  test_case c = case_of(field_lotka, 2, false);
  gradient truth;
  exact(&c, &truth);
  const char *solvers[] = {"dopri5", "bosh3", "dop853", "kencarp4"};
  for (int i = 0; i < 4; i++)
    for (int m = 0; m < n_methods; m++) {
      double d = error_of(&c, (setting){solvers[i], methods[m], NULL, CST_F32, 1e-5, 1}, &truth);
      CU_ASSERT(d < 1e-3 && d > 0);
    }
}

/* ---- stiff fields ---------------------------------------------------------------------------------- */

/* Robertson's reaction cannot be followed backwards. */
static void test_stiff(void) {
  test_case c = case_of(field_robertson, 1, false);
  gradient truth;
  size_t n = 0;
  exact(&c, &truth);
  EACH_SOLVER(e, t)
    for (int m = 0; m < n_methods && t->traits & CST_IMPLICIT && !strstr(e->name, "adams"); m++, n++)
      within(&c, (setting){e->name, methods[m], NULL, CST_F64, 1e-6, 1e-4}, &truth);
  CU_ASSERT(n >= (size_t)(5 * n_methods));
  double d = error_of(&c, (setting){"dopri5", "adjoint.backsolve", NULL, CST_F64, 1e-6, 1e-4}, &truth);
  CU_ASSERT(d > 1);
}

/* ---- the solver backwards ---------------------------------------------------------------------------- */

/* Any one, whatever solves forwards. */
static void test_solver_option(void) {
  for (int stiff = 0; stiff < 2; stiff++) {
    test_case c = case_of(stiff ? field_robertson : field_lotka, 1, false);
    gradient truth;
    exact(&c, &truth);
    EACH_SOLVER(e, t)
      for (int m = 0; m < n_methods && t->traits & CST_ADAPTIVE; m++) {
        if (stiff && (!(t->traits & CST_IMPLICIT) || strstr(e->name, "adams"))) continue;
        cst_options *o = options_of(ctx, method_type(ctx, methods[m]), "solver", CST_STRING, 0, e->name);
        setting s = {stiff ? "kvaerno3" : "tsit5", methods[m], o, CST_F64, 1e-6, stiff ? 1e-4 : 1};
        double d = error_of(&c, s, &truth), most = bound(t, 1e-6);
        if (!(d < most)) printf("%s backwards, %s: %g > %g\n", e->name, methods[m], d, most);
        CU_ASSERT(d < most && d > 0);
        cst_options_free(ctx, o);
      }
  }
}

/* ---- the seminorm -------------------------------------------------------------------------------------- */

/* Along a linear field lambda knows nothing of the forcing, whose share only G sees: there it has to count. */
static void test_seminorm(void) {
  static const double times[3] = {0, 4, 8}, theta[MAX_THETA] = {0.01, 1, 20};
  const test_case c = {field_forced, gradient_start, times, 1, 3, theta};
  gradient truth;
  exact(&c, &truth);
  cst_options *o = options_of(ctx, method_type(ctx, methods[0]), "seminorm", CST_BOOLEAN, 1, NULL);
  double without = error_of(&c, (setting){"dopri5", methods[0], o, CST_F64, 1e-7, 1}, &truth);
  double with = error_of(&c, (setting){"dopri5", methods[0], NULL, CST_F64, 1e-7, 1}, &truth);
  double rules = error_of(&c, (setting){"dopri5", methods[n_methods - 1], NULL, CST_F64, 1e-7, 1}, &truth);
  CU_ASSERT(with < 200e-7 && rules < 200e-7 && without > 1e-3 && isfinite(without));
  cst_options_free(ctx, o);
}

int cst_suite_continuous(void) {
  static CU_TestInfo tests[] = {{"every solver", test_every_solver},
                                {"convergence with the tolerance", test_convergence},
                                {"single precision", test_single_precision},
                                {"a stiff field", test_stiff},
                                {"a solver of its own backwards", test_solver_option},
                                {"seminorm", test_seminorm},
                                CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"continuous", open, close, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(suites) != CUE_SUCCESS;
}
