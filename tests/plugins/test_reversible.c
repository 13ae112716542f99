/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Reversible steppers, by trait from the registry: their steps are undone to round-off; what their options say.
 */
#include <CUnit/CUnit.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "reversible.h"

int cst_suite_reversible(void);

/* ---- one step ------------------------------------------------------------------------------------------------- */

enum { CHAIN = 4 };
static const double beginning = 0.3;

static double apart(const problem *p, const void *a, const void *b, size_t n) {
  double most = 0, size = 1;
  for (size_t k = 0; k < n; k++) {
    most = fmax(most, fabs(problem_get(p, a, k) - problem_get(p, b, k)));
    size = fmax(size, fabs(problem_get(p, a, k)));
  }
  return most / size;
}

/* Some steps and back again, each from what the last left: how far y and the block are off at most. */
static double there_and_back(const cst_solver_type *t, cst_dtype d, double h) {
  problem p;
  void *state;
  double y[CHAIN + 1][MAX_N] = {{0}}, f[CHAIN + 1][2 * MAX_N] = {{0}}, y_back[2][MAX_N], f_back[2][2 * MAX_N], off = 0;
  problem_init(&p, field_lotka, d, 2, 2, 1);
  size_t block = ode_block(t, &p);
  for (size_t k = 0; k < p.rhs.n; k++) problem_set(&p, y[0], k, gradient_start[k]);
  CU_ASSERT_EQUAL_FATAL(ode_create(ctx, t, &p, &state), CST_OK);
  CU_ASSERT_EQUAL(ode_begin(t, state, &p, beginning, y[0], f[0]), CST_OK);
  for (int i = 0; i < CHAIN; i++) {
    double time = beginning + i * h, end = beginning + (i + 1) * h;
    cst_step s = {.struct_size = sizeof s, .rhs = &p.rhs, .t = &time, .h = &h, .t1 = &end, .y = y[i], .f0 = f[i],
                  .y1 = y[i + 1], .f1 = f[i + 1]};
    CU_ASSERT_EQUAL(t->step(state, &s), CST_OK);
  }
  memcpy(y_back[0], y[CHAIN], sizeof y_back[0]), memcpy(f_back[0], f[CHAIN], sizeof f_back[0]);
  for (int i = CHAIN; i-- > 0;) {
    double time = beginning + i * h, end = beginning + (i + 1) * h;
    cst_step s = {.struct_size = sizeof s, .rhs = &p.rhs, .t = &time, .h = &h, .t1 = &end, .y = y_back[0],
                  .f0 = f_back[0], .y1 = y_back[1], .f1 = f_back[1]};
    CU_ASSERT_EQUAL(t->reverse(state, &s), CST_OK);
    off = fmax(off, fmax(apart(&p, y[i], y_back[1], p.rhs.n), apart(&p, f[i], f_back[1], block)));
    memcpy(y_back[0], y_back[1], sizeof y_back[0]), memcpy(f_back[0], f_back[1], sizeof f_back[0]);
  }
  t->destroy(cst_host_of(ctx), state);
  return off;
}

static void test_steps_undone(void) {
  size_t n = 0;
  EVERY_SOLVER(t) {
    for (cst_dtype d = CST_F32; d <= CST_F64; d++)
      for (int sign = -1; sign <= 1; sign += 2) {
        double off = there_and_back(t, d, 0.1 * sign), unit = d == CST_F64 ? DBL_EPSILON : (double)FLT_EPSILON;
        if (!(off < 20 * unit)) printf("%s, %s: off by %g\n", t->name, d == CST_F64 ? "f64" : "f32", off);
        CU_ASSERT(off < 20 * unit);
      }
    n++;
  }
  CU_ASSERT(n >= 5);
}

/* Whatever is carried, what a step gives has to differ from what it was given: nothing is undone by standing still. */
static void test_steps_move(void) {
  EVERY_SOLVER(t) {
    problem p;
    void *state;
    double y1[MAX_N], f0[2 * MAX_N], f1[2 * MAX_N], time = beginning, h = 0.1, end = time + h;
    problem_init(&p, field_lotka, CST_F64, 2, 2, 1);
    CU_ASSERT_EQUAL_FATAL(ode_create(ctx, t, &p, &state), CST_OK);
    CU_ASSERT_EQUAL(ode_begin(t, state, &p, time, gradient_start, f0), CST_OK);
    cst_step s = {.struct_size = sizeof s, .rhs = &p.rhs, .t = &time, .h = &h, .t1 = &end, .y = gradient_start,
                  .f0 = f0, .y1 = y1, .f1 = f1};
    CU_ASSERT_EQUAL(t->step(state, &s), CST_OK);
    CU_ASSERT(apart(&p, y1, gradient_start, p.rhs.n) > 0.01 && apart(&p, f1, f0, ode_block(t, &p)) > 0.01);
    t->destroy(cst_host_of(ctx), state);
  }
}

/* ---- what is said of the options ---------------------------------------------------------------------------------- */

/* With damping below 1 the order of alf is 1; the error at the end of a unit of time of a rotation. */
static double rotation_error(double damping, double step) {
  static const double times[2] = {0, 1};
  taped t;
  taped_new(&t, ctx, 1, field_rotation, CST_F64, "reversible.alf", false, 0);
  t.p.theta[0] = 1, t.config.step = step;
  taped_option(&t, "damping", damping);
  CU_ASSERT_EQUAL(taped_solve(&t, (double[]){1, 0}, times, 2, false), CST_OK);
  double error = hypot(t.s.value[1][0] - cos(1), t.s.value[1][1] + sin(1));
  taped_free(&t);
  return error;
}

static void test_damping(void) {
  double order = log2(rotation_error(0.8, 1 / 256.) / rotation_error(0.8, 1 / 512.));
  double full = log2(rotation_error(1, 1 / 256.) / rotation_error(1, 1 / 512.));
  CU_ASSERT_DOUBLE_EQUAL(order, 1, 0.05);
  CU_ASSERT_DOUBLE_EQUAL(full, 2, 0.05);
}

int cst_suite_reversible(void) {
  static CU_TestInfo tests[] = {{"steps undone to round-off", test_steps_undone},
                                {"steps move", test_steps_move},
                                {"damping and order", test_damping},
                                CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"reversible", open, close, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(suites) != CUE_SUCCESS;
}
