/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Measured orders of every solver in the registry that steps an ordinary field: of the solution and of
 * the dense output, forward and backward in time, of the error estimate, and of the error against the
 * tolerance. The reference is the classical method in long double with small steps.
 */
#include <CUnit/CUnit.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "problem.h"

int cst_suite_orders(void);

static cst_context *ctx;

static int open(void) { return (ctx = ode_context()) ? 0 : 1; }
static int close(void) {
  cst_context_free(ctx);
  return 0;
}

#define EVERY_SOLVER(t) SOLVERS_THAT(ctx, is_ordinary, t)

/* ---- the problem: a forced oscillator with a hard spring, three of them ------------------------------
 *
 * Methods made to have small coefficients of h^p show higher powers on most problems long before
 * round-off: with this one and from rest they do not. */

enum { ROWS = 3, N = 3 * ROWS, TIMES = 4 };
static const double start[N] = {1, 0, 1.05, 0, 0.95, 0, 0, 0, 0}; /* y of each row, then q */

static void field(long double t, const long double *y, long double *dy) {
  for (int r = 0; r < ROWS; r++) {
    const long double u = y[2 * r];
    dy[2 * r] = y[2 * r + 1];
    dy[2 * r + 1] = -u - u * u * u + 0.5L * cosl(t);
    dy[2 * ROWS + r] = u * u;
  }
}

/* One step of the classical method. */
static void classical(long double t, long double h, long double *y) {
  static const long double at[4] = {0, 0.5L, 0.5L, 1}, b[4] = {1 / 6.L, 1 / 3.L, 1 / 3.L, 1 / 6.L};
  long double k[N] = {0}, sum[N] = {0};
  for (int i = 0; i < 4; i++) {
    long double z[N];
    for (int c = 0; c < N; c++) z[c] = y[c] + h * at[i] * k[c];
    field(t + h * at[i], z, k);
    for (int c = 0; c < N; c++) sum[c] += b[i] * k[c];
  }
  for (int c = 0; c < N; c++) y[c] += h * sum[c];
}

/* The state at the times, exact to the digits of a double: steps of at most 1/4000. */
static void follow(const double *y0, const double *times, double value[TIMES][N]) {
  long double y[N];
  for (int c = 0; c < N; c++) y[c] = y0[c];
  for (int i = 0; i < TIMES; i++) {
    long double from = i ? times[i - 1] : times[0], span = times[i] - from;
    long n = 1 + (long)ceill(4000 * fabsl(span));
    for (long k = 0; k < n && span != 0; k++) classical(from + span * k / n, span / n, y);
    for (int c = 0; c < N; c++) value[i][c] = (double)y[c];
  }
}

/* Root of the mean square over all components of times first .. last. */
static double distance(const solve *s, double value[TIMES][N], int first, int last) {
  double sum = 0;
  for (int i = first; i <= last; i++)
    for (int c = 0; c < N; c++) sum += pow(s->value[i][c] - value[i][c], 2);
  return sqrt(sum / (N * (last - first + 1)));
}

/* ---- orders of fixed steps ------------------------------------------------------------------------- */

/* What is measured: the error at the end of a unit of time; that of outputs inside steps on the way; that
 * of outputs inside the first step, which is local and so of one order more than the dense output. On the
 * way both meet, at changing places in a step: that slope is a bound from below. */
typedef enum what { END, WAY, FIRST } what;

typedef struct measure {
  const cst_solver_type *type;
  what what;
  bool hermite, back;
} measure;

/* A coupled pair errs by its method one way and by the adjoint method the other, which nearly cancels until the
 * two have grown apart, and its constants change over 1/(1 - coupling) steps, in the midst of what is measured.
 * A longer time and the coupling 1 show the order. */
static int span_of(const measure *m) { return m->what != FIRST && ode_has_coupling(m->type) ? 8 : 1; }

/* With steps of 1/n. n is a power of two: the inner times are at 1/3 and 2/3 of a step. */
static double error_with(const measure *m, int n) {
  static const double way[TIMES] = {0, 1 / 3., 2 / 3., 1}, first[TIMES] = {0, 0.3, 0.8, 1};
  double times[TIMES], value[TIMES][N], sign = m->back ? -1 : 1;
  int span = span_of(m);
  problem p;
  solve s;
  cst_solver_type t = *m->type;
  problem_init(&p, field_duffing, CST_F64, ROWS, 2, 1);
  cst_integrator_config c = ode_config(ctx, "dopri5", &p);
  if (m->hermite) t.dense = NULL, t.dense_vjp = NULL;
  cst_options *o;
  CU_ASSERT_EQUAL_FATAL(ode_coupled(ctx, &t, 1, &o), CST_OK);
  c.solver = &t, c.solver_options = o, c.step = 1.0 / n;
  for (int i = 0; i < TIMES; i++) times[i] = 0.25 + sign * (m->what == FIRST ? first[i] / n : span * way[i]);
  follow(start, times, value);
  solve_init(&s, ctx, &c, &p);
  CU_ASSERT_EQUAL(solve_run(&s, start, times, TIMES), CST_OK);
  CU_ASSERT_EQUAL(s.stats.accepted, (uint64_t)(m->what == FIRST ? 1 : span * n));
  double e = m->what == END ? distance(&s, value, 3, 3) : distance(&s, value, 1, 2);
  solve_free(&s, ctx);
  cst_options_free(ctx, o);
  return e;
}

/* The slope of log error against log h over the last two halvings before round-off counts. */
static double slope(const measure *m) {
  double e[3] = {0};
  for (int n = 1; n <= 2048; n *= 2) {
    double now = error_with(m, n), round_off = 1e-15 * sqrt(m->what == FIRST ? 1 : n);
    if (now < 30 * round_off && e[2] > 0) break;
    e[2] = e[1], e[1] = e[0], e[0] = now;
  }
  return log2(e[2] / e[0]) / 2;
}

static void expect(const measure *m, int order) {
  static const char *const names[] = {"end", "way", "first"};
  double found = slope(m), tolerance = order <= 5 ? 0.1 : 0.3;
  bool good = m->what == WAY ? found >= order - 0.5 : fabs(found - order) <= tolerance;
  if (!good)
    printf("%s, %s%s%s: order %.3f instead of %d\n", m->type->name, names[m->what],
           m->hermite ? ", Hermite" : "", m->back ? ", backward" : "", found, order);
  CU_ASSERT(good);
}

static int least(int a, int b) { return a < b ? a : b; }

static void test_order(void) {
  size_t n = 0;
  EVERY_SOLVER(t) {
    for (int back = 0; back < 2; back++) expect(&(measure){t, END, false, back}, t->order);
    n++;
  }
  CU_ASSERT(n >= 12);
}

static void test_dense_order(void) {
  EVERY_SOLVER(t) {
    int dense = t->dense || t->dense_order ? t->dense_order : 3;
    CU_ASSERT(dense >= least(t->order - 1, 3) && (!t->dense || dense >= t->order - 1));
    for (int back = 0; back < 2; back++) {
      expect(&(measure){t, WAY, false, back}, least(t->order, dense + 1));
      expect(&(measure){t, FIRST, false, back}, dense + 1);
    }
    expect(&(measure){t, WAY, true, false}, least(t->order, 4));
  }
}

/* ---- the error estimate -------------------------------------------------------------------------------- */

/* The size of the estimate for one step, as a vector and as a sum. */
static void estimate(const cst_solver_type *type, double h, double *vector, double *sum) {
  problem p;
  problem_init(&p, field_duffing, CST_F64, ROWS, 2, 1);
  const cst_span span[2] = {{0, 2 * ROWS}, {2 * ROWS, ROWS}};
  double t = 0.3, t1 = t + h, f0[MAX_N], y1[MAX_N], f1[MAX_N], error[MAX_N] = {0};
  void *state;
  CU_ASSERT_EQUAL_FATAL(ode_create(ctx, type, &p, &state), CST_OK);
  CU_ASSERT_EQUAL(ode_begin(type, state, &p, t, start, f0), CST_OK);
  cst_step s = {.struct_size = sizeof s, .rhs = &p.rhs, .t = &t, .h = &h, .t1 = &t1, .y = start, .f0 = f0,
                .y1 = y1, .f1 = f1, .error = error, .controlled = span, .n_controlled = 2, .atol = 1};
  CU_ASSERT_EQUAL(type->step(state, &s), CST_OK);
  *vector = *sum = 0;
  for (int i = 0; i < N; i++) *vector += error[i] * error[i];
  *vector = sqrt(*vector);
  s.error_sum = sum, *sum = -1;
  CU_ASSERT_EQUAL(type->step(state, &s), CST_OK);
  type->destroy(cst_host_of(ctx), state);
}

/* It shrinks as h^(error_order + 1), and its sum is that of the vector. */
static void test_estimate(void) {
  EVERY_SOLVER(t) {
    double first = 0, last = 0, size, sum;
    int halvings = -1;
    if (!(t->traits & CST_ADAPTIVE)) continue;
    for (double h = t->order <= 5 ? 1 / 16. : 1 / 4.; halvings < 3; h /= 2) {
      estimate(t, h, &size, &sum);
      if (sum >= 0) CU_ASSERT_DOUBLE_EQUAL(sqrt(sum), size, 1e-6 * size);
      if (size < 1e-13) break;
      if (halvings++ < 0) first = size;
      last = size;
    }
    double found = log2(first / last) / halvings, tolerance = t->order <= 5 ? 0.2 : 0.5;
    if (!(fabs(found - t->error_order - 1) < tolerance))
      printf("%s: the estimate has order %.3f\n", t->name, found);
    CU_ASSERT(fabs(found - t->error_order - 1) < tolerance);
  }
}

/* ---- tolerances ----------------------------------------------------------------------------------------- */

/* The error at the end; 0 when it took too many steps. */
static double error_at_tolerance(const cst_solver_type *type, double tolerance, double value[TIMES][N],
                                 const double *times) {
  problem p;
  solve s;
  problem_init(&p, field_duffing, CST_F64, ROWS, 2, 1);
  cst_integrator_config c = ode_config(ctx, "dopri5", &p);
  c.solver = type, c.rtol = c.atol = tolerance, c.max_steps = 100000;
  solve_init(&s, ctx, &c, &p);
  cst_status st = solve_run(&s, start, times, TIMES);
  CU_ASSERT(st == CST_OK || st == CST_EMAXSTEPS);
  double e = st == CST_OK ? distance(&s, value, 1, 3) : 0;
  solve_free(&s, ctx);
  return e;
}

/* The slope of log error against log tolerance by least squares. */
static double proportion(size_t n, const double *tolerance, const double *error) {
  double sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (size_t i = 0; i < n; i++) {
    double x = log(tolerance[i]), y = log(error[i]);
    sx += x, sy += y, sxx += x * x, sxy += x * y;
  }
  return ((double)n * sxy - sx * sy) / ((double)n * sxx - sx * sx);
}

/* From 1e-3 to 1e-12, for low orders as far as 100000 steps go: the error is proportional to the tolerance
 * and within a factor of it. */
static void test_tolerance(void) {
  static const double times[TIMES] = {0, 0.7, 1.9, 3};
  double value[TIMES][N];
  follow(start, times, value);
  EVERY_SOLVER(t) {
    double tolerance[10], error[10], now = 1e-3;
    size_t n = 0;
    if (!(t->traits & CST_ADAPTIVE)) continue;
    for (; n < 10; n++, now /= 10) {
      tolerance[n] = now, error[n] = error_at_tolerance(t, now, value, times);
      if (error[n] == 0) break;
    }
    double found = proportion(n, tolerance, error);
    if (!(fabs(found - 1) < 0.2)) printf("%s: error as tolerance^%.3f\n", t->name, found);
    CU_ASSERT(n == 10 || (t->order <= 2 && n >= 6));
    CU_ASSERT(fabs(found - 1) < 0.2);
    for (size_t i = 0; i < n; i++) CU_ASSERT(error[i] < 20 * tolerance[i] && error[i] > tolerance[i] / 50);
  }
}

int cst_suite_orders(void) {
  static CU_TestInfo tests[] = {{"measured order is the declared order", test_order},
                                {"order of the dense output", test_dense_order},
                                {"order of the error estimate", test_estimate},
                                {"the error is proportional to the tolerance", test_tolerance},
                                CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"orders", open, close, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(suites) != CUE_SUCCESS;
}
