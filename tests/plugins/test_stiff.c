/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Every implicit adaptive solver on stiff problems with known end values, at two tolerances: it gets
 * there in a number of steps that an explicit method could not, with an error that is a moderate
 * multiple of the tolerance and shrinks with it. The problems themselves are checked by an explicit
 * method that takes its time, their Jacobians by differences.
 */
#include <CUnit/CUnit.h>
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "detest.h"

int cst_suite_stiff(void);

static cst_context *ctx;

static int open(void) { return (ctx = cst_context_new(NULL)) && ivp_load_all(ctx) ? 0 : 1; }
static int close(void) {
  cst_context_free(ctx);
  return 0;
}

/* What to expect of a problem. An error counts relative to |y| + floor, and atol is floor rtol: the
 * floor is below the values that matter. `growth` is how much later times magnify errors: they move
 * the jumps of an oscillator. The Oregonator may lose a spike at loose tolerances: its are tighter. */
static const struct demand {
  const char *problem;
  double floor, growth, loose, tight;
} demands[] = {{"robertson*", 1e-8, 1, 1e-4, 1e-7},   {"vanderpol", 1e-3, 20, 1e-4, 1e-7},
               {"oregonator", 1e-3, 100, 1e-6, 1e-8}, {"hires", 1e-4, 3, 1e-4, 1e-7},
               {"brusselator", 1, 1, 1e-4, 1e-7}};

/* What is not asked of a solver, separated by spaces, and how many steps it may take in units of
 * tolerance^(-1/(error_order + 1)). The first row that matches holds. */
static const struct licence {
  const char *solver, *spared;
  double effort;
} licences[] = {
  {"gsl.rk1imp", "", 2000},
  /* Gauss' methods do not damp: on the slow manifold of Robertson's problem gsl.rk2imp takes 1e6
   * steps to 4e5, and 1e7 to 5e9. */
  {"gsl.rk[24]imp", "robertson4e5 robertson1e11", 1000},
  /* Functional iteration, or Adams formulas: not for stiff problems though implicit. */
  {"*adams", "robertson40 robertson4e5 robertson1e11 vanderpol oregonator hires", 500},
  {"*", "", 500}};

static const struct demand *demand_of(const ivp *p) {
  const struct demand *d = demands;
  while (fnmatch(d->problem, p->name, 0) != 0) d++;
  return d;
}
static const struct licence *licence_of(const char *solver) {
  const struct licence *l = licences;
  while (fnmatch(l->solver, solver, 0) != 0) l++;
  return l;
}
static bool spared(const struct licence *l, const ivp *p) {
  size_t n = strlen(p->name);
  for (const char *s = l->spared; (s = strstr(s, p->name)) != NULL; s += n)
    if (s[n] == ' ' || s[n] == 0) return true;
  return false;
}

static double error_at_end(const ivp *p, const double *y, const double *end) {
  double worst = 0, floor = demand_of(p)->floor;
  for (size_t i = 0; i < p->n; i++)
    worst = fmax(worst, fabs(y[i] - end[i]) / (floor + fabs(end[i])));
  return worst;
}

/* One solve: the error at the end, HUGE_VAL when it did not get there. */
static double reach(const cst_solver_type *t, const ivp *p, double tolerance, cst_solve_stats *s) {
  double y[IVP_MAX_N], end[IVP_MAX_N];
  CU_ASSERT_FATAL(ivp_reference(p, "stiff.txt", end));
  *s = (cst_solve_stats){0};
  cst_status st = ivp_solve(ctx, t, p, tolerance, tolerance * demand_of(p)->floor, y, s);
  return st == CST_OK ? error_at_end(p, y, end) : HUGE_VAL;
}

/* ---- the problems ------------------------------------------------------------------------------ */

static void test_ends(void) {
  const cst_solver_type *tsit5 = ode_solver(ctx, "rk.tsit5");
  for (const ivp *p = ivp_stiff; p->name; p++) {
    if (p->t1 > 1e4) continue; /* 20 million steps reach t = 8800 */
    cst_solve_stats stats;
    double error = reach(tsit5, p, 1e-6, &stats);
    if (!(error < 1e-6)) printf("%s by rk.tsit5: error %.3g\n", p->name, error);
    CU_ASSERT(error < 1e-6);
  }
}

/* Columns of the Jacobian against central differences, and jvp against the Jacobian, at a point that
 * no component of which is zero. */
static void test_jacobian(void) {
  for (const ivp *p = ivp_stiff; p->name; p++) {
    static double jac[IVP_MAX_N * IVP_MAX_N];
    double y[IVP_MAX_N], unit[IVP_MAX_N] = {0}, dy[IVP_MAX_N], dot[IVP_MAX_N], t = 1;
    double up[IVP_MAX_N], down[IVP_MAX_N];
    ivp_rhs f;
    ivp_rhs_init(&f, p);
    ivp_start(p, y);
    for (size_t i = 0; i < p->n; i++) y[i] += 0.5 + 0.25 * sin((double)i);
    CU_ASSERT_EQUAL(f.rhs.jacobian(&f.rhs, &t, y, jac, NULL), CST_OK);
    for (size_t k = 0; k < p->n; k++) {
      unit[k] = 1;
      CU_ASSERT_EQUAL(f.rhs.jvp(&f.rhs, &t, y, unit, 0, dy, dot), CST_OK);
      unit[k] = 0;
      double at = y[k], h = 1e-5;
      y[k] = at + h, f.rhs.eval(&f.rhs, &t, y, up);
      y[k] = at - h, f.rhs.eval(&f.rhs, &t, y, down);
      y[k] = at;
      for (size_t i = 0; i < p->n; i++) {
        double j = jac[i * p->n + k], size = fabs(up[i]) + fabs(down[i]) + fabs(j);
        bool inside = p->band == 0 || (i <= k + p->band && k <= i + p->band);
        CU_ASSERT_EQUAL(j, dot[i]);
        CU_ASSERT_DOUBLE_EQUAL(j, (up[i] - down[i]) / (2 * h), 1e-9 * size);
        CU_ASSERT(inside || j == 0);
      }
    }
  }
}

/* ---- the solvers ------------------------------------------------------------------------------- */

/* Errors in tolerances that a solver may have. Without local extrapolation those of its steps add up. */
static double bound_of(const cst_solver_type *t, const ivp *p, uint64_t steps) {
  bool adds_up = t->order <= t->error_order || (t->traits & CST_MULTISTEP);
  return demand_of(p)->growth * (adds_up ? fmax(100, (double)steps) : 100);
}

/* Whether the error and the steps at one tolerance are within bounds; the error in *error when it is larger. */
static bool within(const cst_entry *e, const ivp *p, double tolerance, double *error) {
  const cst_solver_type *t = e->type;
  cst_solve_stats s;
  double most = licence_of(e->name)->effort * pow(tolerance, -1.0 / (t->error_order + 1));
  double found = reach(t, p, tolerance, &s), multiple = found / tolerance, bound = bound_of(t, p, s.accepted);
  bool good = multiple <= bound && (double)(s.accepted + s.rejected) <= most;
  if (!good)
    printf("%s on %s at %.2g: error %.3g tolerances (at most %.3g), %llu + %llu steps (at most %.3g)%s%s\n",
           e->name, p->name, tolerance, multiple, bound, (unsigned long long)s.accepted,
           (unsigned long long)s.rejected, most, found < HUGE_VAL ? "" : ": ",
           found < HUGE_VAL ? "" : cst_message(ctx));
  *error = fmax(*error, found);
  return good;
}

/* The error at the end of an oscillation passes through zero as the tolerance moves: one solve may be lucky. So
 * the error at a tolerance is the worst of three close to it, each within bounds. */
static void test_problem(const cst_entry *e, const ivp *p) {
  const cst_solver_type *t = e->type;
  const struct demand *d = demand_of(p);
  double error[2] = {0}, first = t->order == 1 ? 10 * d->loose : d->loose;
  for (int k = 0; k < 2; k++) {
    double tolerance = k == 0 ? first : t->order == 1 ? 1e-2 * first : d->tight;
    for (int near = 0; near < 3; near++) CU_ASSERT(within(e, p, tolerance * (1 - 0.1 * near), &error[k]));
    bool shrinks = k == 0 || error[1] < fmax(error[0], first); /* less than first is luck */
    if (!shrinks) printf("%s on %s: errors %.3g, %.3g\n", e->name, p->name, error[0], error[1]);
    CU_ASSERT(shrinks);
  }
}

static void test_every_solver(void) {
  for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_SOLVER); i++) {
    const cst_entry *e = cst_entry_at(ctx, CST_KIND_SOLVER, i);
    const cst_solver_type *t = e->type;
    if (!(t->traits & CST_IMPLICIT) || !(t->traits & CST_ADAPTIVE)) continue;
    if (t->traits & (CST_STOCHASTIC | CST_SYMPLECTIC)) continue;
    for (const ivp *p = ivp_stiff; p->name; p++)
      if (!spared(licence_of(e->name), p)) test_problem(e, p);
  }
}

int cst_suite_stiff(void) {
  static CU_TestInfo tests[] = {{"an explicit method finds the same ends", test_ends},
                                {"Jacobians", test_jacobian},
                                {"every implicit solver", test_every_solver},
                                CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"stiff", open, close, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(suites) != CUE_SUCCESS;
}
