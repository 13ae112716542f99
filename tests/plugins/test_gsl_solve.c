/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whole solves with every stepper of the plugin gsl: closed forms under tolerances, values inside
 * steps, jumps, stiff problems against reference values, and a clear end where there is no way on.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <string.h>

#include "costate/context.h"
#include "problem.h"

static cst_context *ctx;

static int open_gsl(void) { return (ctx = ode_context_with("gsl")) ? 0 : 1; }
static int close_gsl(void) {
  cst_context_free(ctx);
  return 0;
}

/* y = (sin(sin t), cos(sin t)), and q' = y1 cos t, so that q = y0 from the start at t = 0. */
static void circle(number t, const number *y, const number *theta, number *dy, number *dq) {
  (void)theta;
  dy[0] = y[1] * ccos(t), dy[1] = -y[0] * ccos(t);
  dq[0] = y[1] * ccos(t);
}

static cst_integrator_config config(const cst_solver_type *type, const problem *p, double tolerance) {
  cst_integrator_config c = ode_config(ctx, "rk.dopri5", p);
  c.solver = type, c.rtol = c.atol = tolerance;
  return c;
}

static const cst_solver_type *gsl_solver(size_t i) {
  const cst_entry *e = cst_entry_at(ctx, CST_KIND_SOLVER, i);
  return strcmp(e->plugin, "gsl") == 0 ? e->type : NULL;
}

/* The largest error of the values at n times; those strictly inside are inside steps mostly. */
static double circle_error(const cst_solver_type *type, double tolerance, const double *times, size_t n) {
  problem p;
  solve s;
  double most = 0, t0 = times[0];
  problem_init(&p, circle, CST_F64, 1, 2, 1);
  cst_integrator_config c = config(type, &p, tolerance);
  solve_init(&s, ctx, &c, &p);
  CU_ASSERT_PTR_NOT_NULL_FATAL(s.integrator);
  CU_ASSERT_EQUAL(solve_run(&s, (const double[]){sin(sin(t0)), cos(sin(t0)), sin(sin(t0))}, times, n), CST_OK);
  for (size_t i = 0; i < n; i++) {
    most = fmax(most, fabs(s.value[i][0] - sin(sin(times[i]))));
    most = fmax(most, fabs(s.value[i][1] - cos(sin(times[i]))));
    most = fmax(most, fabs(s.value[i][2] - sin(sin(times[i]))));
  }
  CU_ASSERT(p.low >= fmin(times[0], times[n - 1]) && p.high <= fmax(times[0], times[n - 1]));
  solve_free(&s, ctx);
  return most;
}

/* With the error of a step held at the tolerance, that of a solve goes with its p/(p + 1)th power. */
static void errors_follow_tolerances(void) {
  double times[41], back[41];
  size_t seen = 0;
  for (int i = 0; i < 41; i++) times[i] = i / 8., back[40 - i] = times[i];
  for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_SOLVER); i++) {
    const cst_solver_type *type = gsl_solver(i);
    if (!type) continue;
    seen++;
    for (double tolerance = 1e-3; tolerance > 0.5e-10; tolerance /= 10) {
      double bound = 30 * pow(tolerance, type->order / (type->order + 1.0));
      if (type->order == 1 && tolerance < 0.5e-6) break; /* a step of 1e-4 and less */
      CU_ASSERT(circle_error(type, tolerance, times, 41) < bound);
    }
    CU_ASSERT(circle_error(type, 1e-5, back, 41) < 30 * pow(1e-5, type->order / (type->order + 1.0)));
  }
  CU_ASSERT_EQUAL(seen, 11);
}

/* Everything doubles at t = 2. */
static cst_status doubled(void *arg, size_t i, void *y, bool *jumped) {
  solve *s = arg;
  double *v = y;
  for (int k = 0; k < 3 && i == 1; k++) v[k] *= 2;
  *jumped = i == 1;
  memcpy(s->value[i], y, 3 * sizeof *v);
  return CST_OK;
}

static void jumps_are_starts(void) {
  for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_SOLVER); i++) {
    const cst_solver_type *type = gsl_solver(i);
    if (!type) continue;
    problem p;
    solve s;
    problem_init(&p, circle, CST_F64, 1, 2, 1);
    cst_integrator_config c = config(type, &p, 1e-6);
    solve_init(&s, ctx, &c, &p);
    s.run.stops = true, s.run.at = doubled;
    CU_ASSERT_EQUAL(solve_run(&s, (const double[]){0, 1, 0}, (const double[]){0, 2, 3}, 3), CST_OK);
    double bound = 60 * pow(1e-6, type->order / (type->order + 1.0));
    CU_ASSERT_DOUBLE_EQUAL(s.value[2][0], 2 * sin(sin(3.)), bound);
    CU_ASSERT_DOUBLE_EQUAL(s.value[2][2], 2 * sin(sin(3.)), bound);
    solve_free(&s, ctx);
  }
}

/* ---- stiff problems, of E. Hairer, G. Wanner, Solving Ordinary Differential Equations II, and of
 * the Test Set for Initial Value Problem Solvers ----
 *
 * Ends by scipy 1.17.1, agreeing to the digits given for rtol 1e-11 and 1e-12:
 *   solve_ivp(f, (0, T), y0, method="Radau", rtol=1e-12, atol=A).y[:, -1]
 * with A = 1e-22 (Robertson), 1e-16 (Van der Pol, HIRES), 1e-14 (OREGO). */

static void robertson(number t, const number *y, const number *theta, number *dy, number *dq) {
  (void)t, (void)theta, (void)dq;
  number a = 0.04 * y[0], b = 1e4 * y[1] * y[2], c = 3e7 * y[1] * y[1];
  dy[0] = b - a, dy[1] = a - b - c, dy[2] = c;
}

/* The same, and q' = y1 beside it: q = y0 - 2. */
static void van_der_pol_twice(number t, const number *y, const number *theta, number *dy, number *dq) {
  field_van_der_pol(t, y, theta, dy, dq);
  dq[0] = y[1];
}

/* `weight` scales atol to the size of the smaller components. */
typedef struct stiff {
  const char *name;
  field_fn *field;
  size_t d;
  double end, weight, start[MAX_D], value[MAX_D];
} stiff;

static const stiff stiff_problems[] = {
  {"robertson", robertson, 3, 1e11, 1e-6, {1, 0, 0},
   {2.083340149700e-08, 8.333360770330e-14, 9.999999791665e-01}},
  {"van der pol", field_van_der_pol, 2, 2000, 1, {2, 0}, {1.706167732170, -8.928097010248e-04}},
  {"hires", field_hires, 8, 321.8122, 1e-2, {1, 0, 0, 0, 0, 0, 0, 0.0057},
   {7.371312573326e-04, 1.442485726316e-04, 5.888729740968e-05, 1.175651343283e-03,
    2.386356198832e-03, 6.238968252744e-03, 2.849998395186e-03, 2.850001604814e-03}},
  {"orego", field_oregonator, 3, 360, 1, {1, 2, 3}, {1.000814870319, 1.228178521550e+03, 1.320554942847e+02}},
};

/* What each is for: the tolerance, and the largest error of a component relative to its size and, where
 * that is small, to a thousandth of the problem's weight; several times what was seen. Robertson's
 * problem is left out for the two that do not damp what is infinitely stiff. */
typedef struct stiff_case {
  const char *solver, *problem;
  double tolerance, error;
} stiff_case;

static const stiff_case stiff_cases[] = {
  {"gsl.rk1imp", "robertson", 1e-4, 0.03},   {"gsl.bsimp", "robertson", 1e-6, 1e-9},
  {"gsl.msbdf", "robertson", 1e-6, 2e-3},    {"gsl.rk1imp", "van der pol", 1e-4, 5e-2},
  {"gsl.rk2imp", "van der pol", 1e-6, 2e-3}, {"gsl.rk4imp", "van der pol", 1e-6, 1e-2},
  {"gsl.bsimp", "van der pol", 1e-6, 1e-5},  {"gsl.msbdf", "van der pol", 1e-6, 2e-3},
  {"gsl.rk1imp", "hires", 1e-5, 2e-2},       {"gsl.rk2imp", "hires", 1e-5, 2e-4},
  {"gsl.rk4imp", "hires", 1e-5, 1e-4},       {"gsl.bsimp", "hires", 1e-6, 5e-5},
  {"gsl.msbdf", "hires", 1e-6, 3e-3},        {"gsl.rk1imp", "orego", 1e-4, 0.2},
  {"gsl.rk2imp", "orego", 1e-5, 2e-4},       {"gsl.rk4imp", "orego", 1e-5, 5e-4},
  {"gsl.bsimp", "orego", 1e-6, 1e-5},        {"gsl.msbdf", "orego", 1e-6, 1e-3},
};

static const stiff *stiff_problem(const char *name) {
  const stiff *p = stiff_problems;
  while (strcmp(p->name, name) != 0) p++;
  return p;
}

static double stiff_error(const stiff_case *c) {
  const stiff *b = stiff_problem(c->problem);
  problem p;
  solve s;
  double most = 0;
  problem_init(&p, b->field, CST_F64, 1, b->d, 0);
  cst_integrator_config k = config(ode_solver(ctx, c->solver), &p, c->tolerance);
  k.atol *= b->weight;
  solve_init(&s, ctx, &k, &p);
  CU_ASSERT_PTR_NOT_NULL_FATAL(s.integrator);
  CU_ASSERT_EQUAL(solve_run(&s, b->start, (const double[]){0, b->end}, 2), CST_OK);
  for (size_t i = 0; i < b->d; i++)
    most = fmax(most, fabs(s.value[1][i] - b->value[i]) / (fabs(b->value[i]) + b->weight * 1e-3));
  solve_free(&s, ctx);
  return most;
}

static void stiff_problems_end_where_they_should(void) {
  for (size_t i = 0; i < sizeof stiff_cases / sizeof *stiff_cases; i++)
    CU_ASSERT(stiff_error(&stiff_cases[i]) < stiff_cases[i].error);
}

/* A quadrature part widens the matrix. One-step methods carry it as well when it is outside the norm. */
static void quadratures_keep_up(void) {
  for (size_t i = 0; i < 2 * cst_entry_count(ctx, CST_KIND_SOLVER); i++) {
    const cst_solver_type *type = gsl_solver(i / 2);
    if (!type || !(type->traits & CST_IMPLICIT) || (i % 2 && type->traits & CST_MULTISTEP)) continue;
    problem p;
    solve s;
    problem_init(&p, van_der_pol_twice, CST_F64, 1, 2, 1);
    if (i % 2) p.part[1].flags |= CST_PART_UNCONTROLLED;
    cst_integrator_config c = config(type, &p, 1e-5);
    c.max_steps = 30000;
    solve_init(&s, ctx, &c, &p);
    CU_ASSERT_EQUAL(solve_run(&s, (const double[]){2, 0, 0}, (const double[]){0, 1000, 2000}, 3), CST_OK);
    for (int k = 1; k < 3; k++) CU_ASSERT_DOUBLE_EQUAL(s.value[k][2], s.value[k][0] - 2, 1e-2);
    solve_free(&s, ctx);
  }
}

/* On the way of Van der Pol's oscillator y1 is slaved to y0: y1 = y0/(1000 (1 - y0^2)) but for
 * O(1e-9). A cubic through slopes, whose errors are 3000 h times those of y1, would not see that. */
static void values_inside_stiff_steps_are_smooth(void) {
  for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_SOLVER); i++) {
    const cst_solver_type *type = gsl_solver(i);
    if (!type || !(type->traits & CST_IMPLICIT) || type->order == 2 || type->order == 4) continue;
    problem p;
    solve s;
    double times[50];
    problem_init(&p, field_van_der_pol, CST_F64, 1, 2, 0);
    cst_integrator_config c = config(type, &p, 1e-5);
    c.atol = 1e-9;
    solve_init(&s, ctx, &c, &p);
    for (int k = 0; k < 50; k++) times[k] = 10.01 * k;
    CU_ASSERT_EQUAL(solve_run(&s, (const double[]){2, 0}, times, 50), CST_OK);
    for (int k = 1; k < 50; k++) {
      double y = s.value[k][0], slaved = y / (1000 * (1 - y * y));
      CU_ASSERT_DOUBLE_EQUAL(s.value[k][1] / slaved, 1, 1e-3);
    }
    solve_free(&s, ctx);
  }
}

/* ---- no way on ---- */

static cst_status ends(const char *solver, const stiff *b, double bad_after, uint64_t max_steps) {
  problem p;
  solve s;
  problem_init(&p, b->field, CST_F64, 1, b->d, 0);
  p.bad_after = bad_after;
  cst_integrator_config c = config(ode_solver(ctx, solver), &p, 1e-5);
  c.max_steps = max_steps;
  solve_init(&s, ctx, &c, &p);
  cst_status st = solve_run(&s, b->start, (const double[]){0, b->end}, 2);
  solve_free(&s, ctx);
  return st;
}

static void adams_names_stiffness(void) {
  CU_ASSERT_EQUAL(ends("gsl.msadams", stiff_problem("van der pol"), HUGE_VAL, 5000), CST_EMAXSTEPS);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "stiff, try an implicit solver"));
}

static void a_field_that_ends_ends_the_solve(void) {
  for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_SOLVER); i++) {
    const cst_solver_type *type = gsl_solver(i);
    if (!type) continue;
    char name[32] = "gsl.";
    strcat(name, type->name);
    cst_status st = ends(name, stiff_problem("hires"), 3, 20000);
    CU_ASSERT(st == CST_ESTEPMIN || st == CST_ENONFINITE);
    CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "solve stopped at t = "));
  }
}

static CU_TestInfo tests[] = {
    {"errors follow tolerances", errors_follow_tolerances},
    {"jumps are starts", jumps_are_starts},
    {"stiff problems end where they should", stiff_problems_end_where_they_should},
    {"quadratures keep up", quadratures_keep_up},
    {"values inside stiff steps are smooth", values_inside_stiff_steps_are_smooth},
    {"Adams names stiffness", adams_names_stiffness},
    {"a field that ends ends the solve", a_field_that_ends_ends_the_solve},
    CU_TEST_INFO_NULL,
};

int cst_suite_gsl_solve(void);
int cst_suite_gsl_solve(void) {
  CU_SuiteInfo info[] = {{"gsl_solve", open_gsl, close_gsl, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(info) != CUE_SUCCESS;
}
