/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Trajectories of every registered solver: against the dense output they were made from, across steps,
 * jumps and breaks, and under a memory budget.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gradients.h"

int cst_suite_trajectory(void);

static cst_context *ctx;

static int open(void) { return (ctx = gradient_context()) ? 0 : 1; }
static int close(void) {
  cst_context_free(ctx);
  return 0;
}

/* The largest difference between the stage part of the trajectory at t and y, over 1 + |y|. */
static double off(const taped *t, double time, const double *y, size_t *hint) {
  const cst_trajectory *z = t->trajectory;
  double at[MAX_N], start, h, most = 0;
  *hint = cst_trajectory_find(z, time, *hint);
  cst_trajectory_step_at(z, *hint, &start, &h);
  cst_trajectory_value(z, *hint, (time - start) / h, at);
  for (size_t k = 0; k < t->p.rhs.n_stage; k++)
    most = fmax(most, fabs(problem_get(&t->p, at, k) - y[k]) / (1 + fabs(y[k])));
  return most;
}

/* ---- dense output ------------------------------------------------------------------------------ */

enum { OUTPUTS = 41 };

static double dense_error(const char *solver, field_fn *field, cst_dtype d, bool backwards) {
  taped t;
  double times[OUTPUTS], most = 0;
  size_t hint = 0;
  for (int i = 0; i < OUTPUTS; i++) times[i] = 2.5 * (double)(backwards ? OUTPUTS - 1 - i : i) / (OUTPUTS - 1) - 0.3;
  taped_new(&t, ctx, 1, field, d, solver, false, 0);
  taped_follow(&t, 0);
  CU_ASSERT_EQUAL_FATAL(taped_solve(&t, gradient_start, times, OUTPUTS, false), CST_OK);
  for (int i = 0; i < OUTPUTS; i++) most = fmax(most, off(&t, times[i], t.s.value[i], &hint));
  CU_ASSERT(cst_trajectory_steps(t.trajectory) == t.s.stats.accepted);
  taped_free(&t);
  return most;
}

/* Where a value inside a step is a shorter step it is no polynomial in its place: then to the tolerance. */
static double bound(const cst_entry *e, cst_dtype d) {
  const cst_solver_type *t = e->type;
  bool shorter = (strcmp(e->plugin, "gsl") == 0 && !(t->traits & CST_MULTISTEP)) || strstr(e->name, "ark_dirk");
  return shorter ? 1e-4 : d == CST_F32 ? 3e-6 : 3e-13;
}

static void test_dense(void) {
  size_t n = 0;
  for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_SOLVER); i++) {
    const cst_entry *e = cst_entry_at(ctx, CST_KIND_SOLVER, i);
    const cst_solver_type *type = e->type;
    if (type->traits & (CST_STOCHASTIC | CST_SYMPLECTIC)) continue;
    for (cst_dtype d = CST_F32; d <= CST_F64; d++)
      for (int back = 0; back < 2 && !(d == CST_F32 && type->traits & CST_F64_ONLY); back++, n++) {
        field_fn *fields[2] = {field_lotka, field_stepped};
        for (int k = 0; k < 2; k++) {
          double error = dense_error(e->name, fields[k], d, back);
          if (!(error < bound(e, d))) printf("%s, f%d, field %d: %g\n", e->name, d == CST_F32 ? 32 : 64, k, error);
          CU_ASSERT(error < bound(e, d));
        }
      }
  }
  CU_ASSERT(n >= 60);
}

/* ---- between steps ----------------------------------------------------------------------------- */

static cst_status leap(void *arg, size_t i, void *y, bool *jumped) {
  taped *t = arg;
  if (i == 2) {
    problem_set(&t->p, y, 0, problem_get(&t->p, y, 0) + 1);
    *jumped = true;
  }
  return CST_OK;
}

/* One step ends with the bits the next begins with, except where the state jumps, here by 1. */
static void test_jump(void) {
  const double times[4] = {0, 0.5, 1, 2};
  taped t;
  double a[MAX_N], b[MAX_N], start, h;
  size_t jumps = 0;
  taped_new(&t, ctx, 2, field_lotka, CST_F64, "tsit5", false, 0);
  taped_follow(&t, 0);
  solve_init(&t.s, ctx, &t.config, &t.p);
  t.s.run.at = leap, t.s.run.arg = &t;
  CU_ASSERT_EQUAL_FATAL(taped_solve(&t, gradient_start, times, 4, true), CST_OK);
  for (size_t k = 0; k + 1 < cst_trajectory_steps(t.trajectory); k++) {
    cst_trajectory_value(t.trajectory, k, 1, a);
    cst_trajectory_value(t.trajectory, k + 1, 0, b);
    cst_trajectory_step_at(t.trajectory, k + 1, &start, &h);
    bool here = start == 1;
    jumps += here;
    CU_ASSERT(b[0] == a[0] + here && memcmp(a + 1, b + 1, 3 * sizeof *a) == 0);
  }
  CU_ASSERT_EQUAL(jumps, 1);
  taped_free(&t);
}

/* Whatever the hint, the step found holds the time, or is the nearest. */
static void test_find(void) {
  for (int back = 0; back < 2; back++) {
    const double forth[2] = {0, 3}, reverse[2] = {3, 0};
    taped t;
    double start, h;
    taped_new(&t, ctx, 2, field_lotka, CST_F64, "bosh3", false, 0);
    taped_follow(&t, 0);
    CU_ASSERT_EQUAL_FATAL(taped_solve(&t, gradient_start, back ? reverse : forth, 2, false), CST_OK);
    size_t n = cst_trajectory_steps(t.trajectory);
    for (size_t hint = 0; hint < n; hint++)
      for (double time = -0.05; time < 3.1; time += 0.0371) {
        size_t k = cst_trajectory_find(t.trajectory, time, hint);
        cst_trajectory_step_at(t.trajectory, k, &start, &h);
        double x = (time - start) / h;
        CU_ASSERT((x >= 0 || k == 0) && (x <= 1 || k == n - 1));
      }
    taped_free(&t);
  }
}

/* ---- memory -------------------------------------------------------------------------------------- */

static void test_budget(void) {
  const double times[2] = {0, 20};
  taped t;
  taped_new(&t, ctx, 2, field_lotka, CST_F64, "dopri5", false, 0);
  taped_follow(&t, 4000);
  CU_ASSERT_EQUAL(taped_solve(&t, gradient_start, times, 2, false), CST_ENOMEM);
  const char *wanted[] = {"bytes", "memory", "gradient = \"discrete\"", "t = "};
  for (int i = 0; i < 4; i++) CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), wanted[i]));
  CU_ASSERT(cst_trajectory_bytes(t.trajectory) <= 4000 && cst_trajectory_steps(t.trajectory) > 5);
  taped_free(&t);
}

static void test_again(void) {
  const double times[2] = {0, 20};
  taped t;
  taped_new(&t, ctx, 2, field_lotka, CST_F64, "dopri5", false, 0);
  taped_follow(&t, 0);
  CU_ASSERT_EQUAL(taped_solve(&t, gradient_start, times, 2, false), CST_OK);
  uint64_t before = cst_memory_of(ctx).allocations;
  size_t bytes = cst_trajectory_bytes(t.trajectory);
  CU_ASSERT_EQUAL(taped_solve(&t, gradient_start, times, 2, false), CST_OK);
  CU_ASSERT_EQUAL(cst_memory_of(ctx).allocations, before);
  CU_ASSERT_EQUAL(cst_trajectory_bytes(t.trajectory), bytes);
  taped_free(&t);
}

int cst_suite_trajectory(void) {
  static CU_TestInfo tests[] = {{"the dense output of every solver", test_dense},
                                {"jumps", test_jump},
                                {"steps found by time", test_find},
                                {"a small memory budget", test_budget},
                                {"a second run allocates nothing", test_again},
                                CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"trajectory", open, close, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(suites) != CUE_SUCCESS;
}
