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
static const char *const methods[2] = {"adjoint.interpolating", "adjoint.quadrature"};

static int open(void) { return (ctx = gradient_context()) ? 0 : 1; }
static int close(void) {
  cst_context_free(ctx);
  return 0;
}

static const cst_gradient_type *method_type(const char *name) {
  const cst_entry *e = cst_find(ctx, CST_KIND_GRADIENT, name);
  return e ? e->type : NULL;
}

/* ---- a case ------------------------------------------------------------------------------------ */

typedef struct test_case {
  field_fn *field;
  const double *start, *times;
  size_t rows, n;
} test_case;

static const double robertson_times[4] = {0, 0.4, 4, 40}, robertson_start[3] = {1, 0, 0};

static test_case case_of(field_fn *field, size_t rows, bool back) {
  return field == field_robertson
             ? (test_case){field, robertson_start, robertson_times, 1, 4}
             : (test_case){field, gradient_start, back ? gradient_back : gradient_forth, rows, back ? 6 : 9};
}

/* With a tolerance near round-off, and outputs at ends of steps, which are as exact; but an output where the
 * field jumps moves along its value after the jump. */
static void exact(const test_case *c, gradient *g) {
  taped t;
  bool stiff = c->field == field_robertson;
  taped_new(&t, ctx, c->rows, c->field, CST_F64, stiff ? "kencarp5" : "dop853", false, 0);
  t.config.rtol = stiff ? 1e-10 : 1e-13, t.config.atol = stiff ? 1e-14 : 1e-13;
  CU_ASSERT_EQUAL(taped_solve(&t, c->start, c->times, c->n, c->field != field_stepped), CST_OK);
  method_of(&t, "adjoint.discrete", g, NULL);
  taped_free(&t);
}

/* The error of a gradient, absolute tolerances being `small` times the relative ones. */
static double error_of(const test_case *c, const char *solver, const char *method, const cst_options *o, cst_dtype d,
                       double tol, double small, const gradient *truth) {
  const cst_gradient_type *m = method_type(method);
  taped t;
  gradient found;
  taped_new(&t, ctx, c->rows, c->field, d, solver, false, 0);
  taped_follow(&t, 0);
  t.config.rtol = tol, t.config.atol = tol * small;
  if (t.config.step > 0) t.config.step = 0.005;
  cst_status st = taped_solve(&t, c->start, c->times, c->n, false);
  if (st != CST_OK) printf("%s: %d %s\n", solver, st, cst_message(ctx));
  CU_ASSERT_EQUAL_FATAL(st, CST_OK);
  void *state = method_new(&t, m, o);
  st = method_run(&t, m, state, &found, NULL);
  if (st != CST_OK) printf("%s, %s: %s\n", solver, method, cst_message(ctx));
  m->destroy(cst_host_of(ctx), state);
  taped_free(&t);
  return st == CST_OK ? gradient_distance(&found, truth) : HUGE_VAL;
}

static void test_every_solver(void) {
  for (int k = 0; k < 4; k++) {
    for (size_t rows = 1; rows < 3; rows++) {
    test_case c = case_of(k % 2 ? field_stepped : field_lotka, rows, k > 1);
    gradient truth;
    exact(&c, &truth);
    for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_SOLVER); i++) {
      const cst_entry *e = cst_entry_at(ctx, CST_KIND_SOLVER, i);
      const cst_solver_type *type = e->type;
      if (rows == 2 && type->traits & CST_SINGLE) continue;
      for (int m = 0; m < 2; m++) {
        double d = error_of(&c, e->name, methods[m], NULL, CST_F64, 1e-6, 1, &truth);
        printf("%d %zu %-24s %-24s %.2e\n", k, rows, e->name, methods[m], d);
      }
    }
    }
  }
}

int cst_suite_continuous(void) {
  static CU_TestInfo tests[] = {{"every solver", test_every_solver},
                                CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"continuous", open, close, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(suites) != CUE_SUCCESS;
}
