/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The stiff solvers of plugin esdirk: what theory says of the methods. How they do on stiff problems is in
 * test_stiff.c.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../plugins/esdirk/esdirk.h"
#include "problem.h"

int cst_suite_esdirk(void);

static cst_context *ctx;

static int open(void) { return (ctx = ode_context_with("esdirk")) ? 0 : 1; }
static int close(void) {
  cst_context_free(ctx);
  return 0;
}

#define EVERY_SOLVER(t) SOLVERS_THAT(ctx, is_esdirk, t)

/* ---- the tableaus ---------------------------------------------------------------------------- */

static double a_of(const esdirk_tableau *t, int i, int j) {
  return i == j ? (i ? t->gamma : 0) : i < j ? 0 : t->a[i * (i - 1) / 2 + j];
}

/* Rooted trees of up to five nodes, children before parents, as in core/ode/tableau.c. */
static const struct {
  int n, child[4];
} trees[17] = {{0, {0}},       {1, {0}},    {2, {0, 0}}, {1, {1}},    {3, {0, 0, 0}}, {2, {0, 1}},
               {1, {2}},       {1, {3}},    {4, {0}},    {3, {0, 0, 1}}, {2, {0, 2}}, {2, {0, 3}},
               {2, {1, 1}},    {1, {4}},    {1, {5}},    {1, {6}},    {1, {7}}};

/* Largest violation of the order conditions of weights w up to the order. */
static double violation(const esdirk_tableau *t, const double *w, int order) {
  double phi[17][ESDIRK_STAGES], worst = 0;
  int nodes[17], gamma[17];
  for (int k = 0; k < 17; k++) {
    nodes[k] = 1, gamma[k] = 1;
    for (int i = 0; i < t->stages; i++) phi[k][i] = 1;
    for (int m = 0; m < trees[k].n; m++) {
      int c = trees[k].child[m];
      nodes[k] += nodes[c], gamma[k] *= gamma[c];
      for (int i = 0; i < t->stages; i++) {
        double sum = 0;
        for (int j = 0; j <= i; j++) sum += a_of(t, i, j) * phi[c][j];
        phi[k][i] *= sum;
      }
    }
    gamma[k] *= nodes[k];
    double sum = -1.0 / gamma[k];
    for (int i = 0; i < t->stages; i++) sum += w[i] * phi[k][i];
    if (nodes[k] <= order) worst = fmax(worst, fabs(sum));
  }
  return worst;
}

/* The stability function 1 + z w (I - z A)^-1 1 on the imaginary axis and at -infinity. */
static number stability(const esdirk_tableau *t, number z) {
  number stage[ESDIRK_STAGES], sum = 1;
  for (int i = 0; i < t->stages; i++) {
    stage[i] = 1;
    for (int j = 0; j < i; j++) stage[i] += z * a_of(t, i, j) * stage[j];
    stage[i] /= 1 - z * a_of(t, i, i);
    sum += z * a_of(t, t->stages - 1, i) * stage[i];
  }
  return sum;
}

static void test_tableaus(void) {
  size_t seen = 0;
  EVERY_SOLVER(t) {
    const esdirk_tableau *tab = t->method;
    double b[ESDIRK_STAGES], b_hat[ESDIRK_STAGES];
    for (int i = 0; i < tab->stages; i++) {
      b[i] = a_of(tab, tab->stages - 1, i), b_hat[i] = b[i] - tab->e[i];
      double c = 0, stage = 0;
      for (int j = 0; j <= i; j++) {
        double cj = 0;
        for (int l = 0; l <= j; l++) cj += a_of(tab, j, l);
        c += a_of(tab, i, j), stage += a_of(tab, i, j) * cj;
      }
      CU_ASSERT_DOUBLE_EQUAL(stage, c * c / 2, 1e-15);
      if (i == tab->stages - 1) CU_ASSERT_DOUBLE_EQUAL(c, 1, 1e-15);
    }
    CU_ASSERT(violation(tab, b, t->order) < 1e-15);
    CU_ASSERT(violation(tab, b, t->order + 1) > 1e-4 || t->order == 5);
    CU_ASSERT(violation(tab, b_hat, t->error_order) < 1e-15);
    for (double y = 1e-2; y < 1e5; y *= 1.1) CU_ASSERT(cabs(stability(tab, I * y)) < 1 + 1e-9);
    CU_ASSERT(cabs(stability(tab, -1e9)) < 1e-7);
    seen++;
  }
  CU_ASSERT_EQUAL(seen, 5);
}

/* ---- measured orders --------------------------------------------------------------------------- */

static const double start[3] = {3, 2, 0}, grid[4] = {0, 1 / 3., 2 / 3., 1};
static double reference[4][3];

static void values_of(const cst_solver_type *type, double step, bool stops, double value[4][3]) {
  problem p;
  solve s;
  problem_init(&p, field_lotka, CST_F64, 1, 2, 1);
  cst_integrator_config c = ode_config(ctx, "dopri5", &p);
  if (type) c.solver = type, c.step = step;
  else c.rtol = c.atol = 1e-13;
  solve_init(&s, ctx, &c, &p);
  s.run.stops = stops;
  CU_ASSERT_EQUAL(solve_run(&s, start, grid, 4), CST_OK);
  for (size_t i = 0; i < 4; i++) memcpy(value[i], s.value[i], 3 * sizeof(double));
  solve_free(&s, ctx);
}

static double error_with(const cst_solver_type *type, int n, bool stops) {
  double value[4][3], worst = 0;
  values_of(type, 1.0 / n, stops, value);
  for (size_t i = stops ? 3 : 1; i < 4; i++)
    for (size_t k = 0; k < 3; k++) worst = fmax(worst, fabs(value[i][k] - reference[i][k]));
  return worst;
}

/* The tail is a quadrature part; without stops values inside come from the cubic. */
static void test_orders(void) {
  values_of(NULL, 0, true, reference);
  EVERY_SOLVER(t) {
    int n = t->order == 5 ? 32 : t->order == 4 ? 64 : 256;
    double end = log2(error_with(t, n, true) / error_with(t, 2 * n, true));
    double inside = log2(error_with(t, n, false) / error_with(t, 2 * n, false));
    if (fabs(end - t->order) > 0.35) printf("%s: order %g, inside %g\n", t->name, end, inside);
    CU_ASSERT_DOUBLE_EQUAL(end, t->order, 0.35);
    CU_ASSERT(inside > (t->order < 4 ? t->order : 4) - 0.35);
  }
}

/* ---- stiffness --------------------------------------------------------------------------------- */

/* Prothero and Robinson: y' = -theta0 (y - sin t) + cos t, where y = sin t whatever theta0. */
static void prothero(number t, const number *y, const number *theta, number *dy, number *dq) {
  (void)dq;
  dy[0] = -theta[0] * (y[0] - csin(t)) + ccos(t);
}

static double prothero_error(const cst_solver_type *type, double lambda, double step) {
  problem p;
  solve s;
  problem_init(&p, prothero, CST_F64, 1, 1, 0);
  p.theta[0] = lambda;
  cst_integrator_config c = ode_config(ctx, "dopri5", &p);
  c.solver = type, c.step = step;
  solve_init(&s, ctx, &c, &p);
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){0}, (double[]){0, 1}, 2), CST_OK);
  double e = fabs(s.value[1][0] - sin(1));
  solve_free(&s, ctx);
  return e;
}

/* Stiffly accurate with stages of order q = 2: the error is O(h^q / lambda), and vanishes with
 * 1/lambda where that of other implicit methods stays. */
static void test_stiff_accuracy(void) {
  EVERY_SOLVER(t) {
    double coarse = prothero_error(t, 1e4, 1 / 8.), fine = prothero_error(t, 1e4, 1 / 16.);
    double stiffer = prothero_error(t, 1e6, 1 / 8.);
    CU_ASSERT(coarse < 2e-6);
    CU_ASSERT(log2(coarse / fine) > 1.6);
    CU_ASSERT(stiffer < coarse / 50);
  }
}

/* y' = -lambda y with one step of 1: R(-lambda), 0 in the limit; its estimate does not stay behind. */
static void decay(number t, const number *y, const number *theta, number *dy, number *dq) {
  (void)t, (void)dq;
  dy[0] = -theta[0] * y[0];
}

static void test_stability(void) {
  EVERY_SOLVER(t)
  for (double lambda = 1; lambda < 2e6; lambda *= 10) {
    problem p;
    solve s;
    problem_init(&p, decay, CST_F64, 1, 1, 0);
    p.theta[0] = lambda;
    cst_integrator_config c = ode_config(ctx, "dopri5", &p);
    c.solver = t, c.step = 1;
    solve_init(&s, ctx, &c, &p);
    CU_ASSERT_EQUAL(solve_run(&s, (double[]){1}, (double[]){0, 1}, 2), CST_OK);
    CU_ASSERT_DOUBLE_EQUAL(s.value[1][0], creal(stability(t->method, -lambda)), 1e-15 * lambda + 1e-14);
    CU_ASSERT(lambda < 1e5 || fabs(s.value[1][0]) < 1e-3);
    solve_free(&s, ctx);
  }
}

int cst_suite_esdirk(void) {
  static CU_TestInfo tests[] = {{"order conditions and stability functions", test_tableaus},
                                {"measured orders", test_orders},
                                {"stiff accuracy", test_stiff_accuracy},
                                {"stability", test_stability},
                                CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"esdirk", open, close, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(suites) != CUE_SUCCESS;
}
