/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Properties of every solver in the registry that steps an ordinary field: its dense output, failures
 * without a trace, fields that are not defined or not finite somewhere, parts, element types.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ode/tableau.h"
#include "problem.h"

int cst_suite_rk(void);

static cst_context *ctx;

static int open(void) { return (ctx = ode_context()) ? 0 : 1; }
static int close(void) {
  cst_context_free(ctx);
  return 0;
}

static const double start[3] = {3, 2, 0};

static const double grid[4] = {0, 1 / 3., 2 / 3., 1};

#define EVERY_SOLVER(t) SOLVERS_THAT(ctx, is_ordinary, t)

/* ---- tableaus -------------------------------------------------------------------------------------- */

/* Whether the tableau is refused with one coefficient of a list a little off. `list` is that member. */
static bool refused(cst_tableau *t, const double **list, int n, int k) {
  double changed[24 * 24];
  const double *whole = *list;
  CU_ASSERT_FATAL(n <= 24 * 24);
  memcpy(changed, whole, (size_t)n * sizeof *whole);
  changed[k] *= 1 + 1e-5;
  *list = changed;
  cst_status st = cst_tableau_check(ctx, t);
  *list = whole;
  return st == CST_EPLUGIN && strstr(cst_message(ctx), t->name) != NULL;
}

/* Every mistake in a coefficient other than 0 is found, whichever it is. */
static void test_mistakes(void) {
  size_t tried = 0;
  SOLVERS_THAT(ctx, is_rk, type) {
    cst_tableau t = *(const cst_tableau *)type->method;
    int s = t.stages, extra = t.dense_stages;
    struct { const double **list; int n; } member[] = {
      {&t.a, s * (s - 1) / 2}, {&t.b, s}, {&t.e, s}, {&t.e_low, s}, {&t.p, (s + extra) * t.dense_degree},
      {&t.a_dense, extra * s + extra * (extra - 1) / 2}};
    CU_ASSERT_EQUAL(cst_tableau_check(ctx, &t), CST_OK);
    for (size_t m = 0; m < sizeof member / sizeof *member; m++)
      for (int k = 0; *member[m].list && k < member[m].n; k++) {
        if ((*member[m].list)[k] == 0) continue;
        bool found = refused(&t, member[m].list, member[m].n, k);
        if (!found) printf("%s: a mistake in number %d of list %zu is not found\n", t.name, k, m);
        CU_ASSERT(found);
        tried++;
      }
  }
  CU_ASSERT(tried > 400);
}

/* One step of size h by hand. */
typedef struct single {
  problem p;
  const cst_solver_type *type;
  void *state;
  double t, t1, h, y[MAX_N], f0[MAX_N], y1[MAX_N], f1[MAX_N], sum;
  cst_step step;
  cst_span span[2];
} single;

static void single_new(single *s, const cst_solver_type *type) {
  *s = (single){.type = type, .t = 0.3, .span = {{0, 2}, {2, 1}}};
  problem_init(&s->p, field_lotka, CST_F64, 1, 2, 1);
  CU_ASSERT_EQUAL_FATAL(ode_create(ctx, type, &s->p, &s->state), CST_OK);
  s->p.rhs.self = &s->p, s->p.rhs.parts = s->p.part;
  memcpy(s->y, start, sizeof start);
  CU_ASSERT_EQUAL(ode_begin(type, s->state, &s->p, s->t, s->y, s->f0), CST_OK);
  s->step = (cst_step){.struct_size = sizeof(cst_step), .rhs = &s->p.rhs, .t = &s->t, .h = &s->h,
                       .t1 = &s->t1, .y = s->y, .f0 = s->f0, .y1 = s->y1, .f1 = s->f1,
                       .error_sum = &s->sum, .dense_wanted = true, .controlled = s->span,
                       .n_controlled = 2, .rtol = 0, .atol = 1};
}
static cst_status single_step(single *s, double h) {
  s->h = h, s->t1 = s->t + h;
  return s->type->step(s->state, &s->step);
}
static void single_free(single *s) { s->type->destroy(cst_host_of(ctx), s->state); }

static void test_dense_ends(void) {
  EVERY_SOLVER(t) {
    single s;
    double y[MAX_N], d[MAX_N], a[MAX_N], b[MAX_N];
    if (!t->dense) continue;
    single_new(&s, t);
    CU_ASSERT_EQUAL(single_step(&s, 0.1), CST_OK);
    CU_ASSERT_EQUAL(t->dense(s.state, &s.step, 0, y, d), CST_OK);
    for (size_t k = 0; k < 3; k++) {
      CU_ASSERT_EQUAL(y[k], s.y[k]);
      CU_ASSERT_DOUBLE_EQUAL(d[k], 0.1 * s.f0[k], 1e-14);
    }
    CU_ASSERT_EQUAL(t->dense(s.state, &s.step, 1, y, NULL), CST_OK);
    double tol = t->dense_order <= 4 ? 1e-14 : 2e-13; /* larger weights of alternating sign */
    for (size_t k = 0; k < 3; k++) CU_ASSERT_DOUBLE_EQUAL(y[k], s.y1[k], tol);
    CU_ASSERT_EQUAL(t->dense(s.state, &s.step, 0.6, y, d), CST_OK);
    CU_ASSERT_EQUAL(t->dense(s.state, &s.step, 0.6 + 1e-5, a, NULL), CST_OK);
    CU_ASSERT_EQUAL(t->dense(s.state, &s.step, 0.6 - 1e-5, b, NULL), CST_OK);
    for (size_t k = 0; k < 3; k++) CU_ASSERT_DOUBLE_EQUAL((a[k] - b[k]) / 2e-5, d[k], 1e-9);
    single_free(&s);
  }
}

static int calls_left;
static cst_status (*good_eval)(cst_rhs *f, const double *t, const void *y, void *dy);
static cst_status failing_eval(cst_rhs *f, const double *t, const void *y, void *dy) {
  return calls_left-- > 0 ? good_eval(f, t, y, dy) : CST_RETRY;
}

/* Whichever evaluation fails, y and f0 are as before and the next step is as if nothing happened. */
static void test_failure(void) {
  EVERY_SOLVER(t) {
    single s;
    double good[3];
    single_new(&s, t);
    good_eval = s.p.rhs.eval;
    CU_ASSERT_EQUAL(single_step(&s, 0.1), CST_OK);
    memcpy(good, s.y1, sizeof good);
    uint64_t each = s.p.rhs.evaluations - 1;
    for (int k = 0; k < (int)each; k++) {
      double y[3], f0[3];
      memcpy(y, s.y, sizeof y), memcpy(f0, s.f0, sizeof f0);
      calls_left = k, s.p.rhs.eval = failing_eval;
      CU_ASSERT_EQUAL(single_step(&s, 0.3), CST_RETRY);
      s.p.rhs.eval = good_eval;
      CU_ASSERT(memcmp(y, s.y, sizeof y) == 0 && memcmp(f0, s.f0, sizeof f0) == 0);
      CU_ASSERT_EQUAL(single_step(&s, 0.1), CST_OK);
      CU_ASSERT_EQUAL(memcmp(good, s.y1, sizeof good), 0);
    }
    single_free(&s);
  }
}

/* Not finite at whichever evaluation: it is seen in y1, in the error, or the stepper says so. */
static int calls_left_nan;
static cst_status nan_eval(cst_rhs *f, const double *t, const void *y, void *dy) {
  cst_status st = good_eval(f, t, y, dy);
  if (calls_left_nan-- == 0) ((double *)dy)[1] = nan("");
  return st;
}

static bool finite_result(const single *s) {
  bool finite = isfinite(s->sum);
  for (int k = 0; k < 3; k++) finite = finite && isfinite(s->y1[k]);
  return finite;
}

static void test_nan_stage(void) {
  EVERY_SOLVER(t) {
    single s;
    single_new(&s, t);
    good_eval = s.p.rhs.eval;
    CU_ASSERT_EQUAL(single_step(&s, 0.1), CST_OK);
    int each = (int)s.p.rhs.evaluations - 1;
    for (int fixed = 0; fixed < 2; fixed++)
      for (int k = 0; k < each; k++) {
        calls_left_nan = k, s.p.rhs.eval = nan_eval, s.sum = 0;
        s.step.error_sum = fixed || !(t->traits & CST_ADAPTIVE) ? NULL : &s.sum;
        cst_status st = single_step(&s, 0.1);
        bool last = (t->traits & CST_FSAL) && !isfinite(s.f1[1]);
        if (!(st == CST_ENONFINITE || !finite_result(&s) || (!s.step.error_sum && last)))
          printf("%s: NaN at evaluation %d of %d is unseen\n", t->name, k, each);
        CU_ASSERT(st == CST_ENONFINITE || !finite_result(&s) || (!s.step.error_sum && last));
      }
    s.p.rhs.eval = good_eval;
    single_free(&s);
  }
}

/* The driver stops with a finite state when the field is not finite from some time on. */
static void test_nan_field(void) {
  EVERY_SOLVER(t) {
    for (int fixed = !(t->traits & CST_ADAPTIVE); fixed < 2; fixed++) {
      problem p;
      solve s;
      problem_init(&p, field_lotka, CST_F64, 1, 2, 1);
      p.bad_after = 0.61;
      cst_integrator_config c = ode_config(ctx, "dopri5", &p);
      c.solver = t, c.step = fixed ? 0.125 : 0, c.rtol = c.atol = 1e-4;
      solve_init(&s, ctx, &c, &p);
      CU_ASSERT_EQUAL(solve_run(&s, start, grid, 4), CST_ENONFINITE);
      CU_ASSERT(isfinite(s.y[0]) && isfinite(s.y[1]) && isfinite(s.y[2]));
      CU_ASSERT(s.stats.t > 0.3 && s.stats.t < 0.76 && s.stats.evaluations < 3000);
      CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "finite"));
      solve_free(&s, ctx);
    }
  }
}

/* Not defined for a while: adaptive steps get smaller and go on, fixed ones stop where they are. */
static int calls_before, calls_bad;
static cst_status undefined_eval(cst_rhs *f, const double *t, const void *y, void *dy) {
  if (calls_before-- > 0) return good_eval(f, t, y, dy);
  return calls_bad-- > 0 ? CST_RETRY : good_eval(f, t, y, dy);
}

static void test_retry(void) {
  EVERY_SOLVER(t) {
    for (int fixed = !(t->traits & CST_ADAPTIVE); fixed < 2; fixed++) {
      problem p;
      solve s;
      double good[3];
      problem_init(&p, field_lotka, CST_F64, 1, 2, 1);
      cst_integrator_config c = ode_config(ctx, "dopri5", &p);
      c.solver = t, c.step = fixed ? 0.125 : 0, c.first_step = 0.5;
      solve_init(&s, ctx, &c, &p);
      CU_ASSERT_EQUAL(solve_run(&s, start, grid, 4), CST_OK);
      memcpy(good, s.y, sizeof good);
      good_eval = p.rhs.eval, p.rhs.eval = undefined_eval;
      calls_before = t->order == 1 ? 0 : 1, calls_bad = 3;
      cst_status st = solve_run(&s, start, grid, 4);
      CU_ASSERT_EQUAL(st, fixed ? CST_ESTEPMIN : CST_OK);
      for (size_t k = 0; k < 3; k++)
        CU_ASSERT_DOUBLE_EQUAL(s.y[k], fixed ? start[k] : good[k], fixed ? 0 : 1e-4);
      CU_ASSERT(fixed || s.stats.rejected >= 3);
      solve_free(&s, ctx);
    }
  }
}

/* There and back again, and in single precision. */
static void test_there_and_back(void) {
  EVERY_SOLVER(t) {
    for (cst_dtype d = CST_F32; d <= CST_F64; d++) {
      problem p;
      solve s;
      problem_init(&p, field_lotka, d, 1, 2, 1);
      cst_integrator_config c = ode_config(ctx, "dopri5", &p);
      c.solver = t, c.step = t->order == 1 ? 1e-4 : 2e-3;
      solve_init(&s, ctx, &c, &p);
      CU_ASSERT_EQUAL(solve_run(&s, start, (double[]){0, 1}, 2), CST_OK);
      double back[3] = {s.value[1][0], s.value[1][1], s.value[1][2]};
      CU_ASSERT_EQUAL(solve_run(&s, back, (double[]){1, 0}, 2), CST_OK);
      double tol = t->order == 1 ? 2e-3 : 1e-4;
      for (size_t k = 0; k < 3; k++) CU_ASSERT_DOUBLE_EQUAL(s.value[1][k], start[k], tol);
      solve_free(&s, ctx);
    }
  }
}

/* A quadrature part is what it would be as a part with stages. */
static void test_quadrature(void) {
  EVERY_SOLVER(t) {
    double value[2][4][MAX_N];
    for (int plain = 0; plain < 2; plain++) {
      problem p;
      solve s;
      problem_init(&p, field_lotka, CST_F64, 2, 2, 1);
      if (plain) p.part[1].flags = 0, p.rhs.n_stage = p.rhs.n;
      cst_integrator_config c = ode_config(ctx, "dopri5", &p);
      c.solver = t, c.step = t->traits & CST_ADAPTIVE ? 0 : 0.01;
      solve_init(&s, ctx, &c, &p);
      CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0.6, 2, 1, 0, 0}, grid, 4), CST_OK);
      memcpy(value[plain], s.value, sizeof value[plain]);
      solve_free(&s, ctx);
    }
    for (size_t i = 0; i < 4; i++)
      for (size_t k = 0; k < 6; k++)
        CU_ASSERT_DOUBLE_EQUAL(value[0][i][k], value[1][i][k], 1e-12);
  }
}

int cst_suite_rk(void) {
  static CU_TestInfo tests[] = {{"mistaken coefficients are found", test_mistakes},
                                {"ends and slope of the dense output", test_dense_ends},
                                {"a failed step leaves no trace", test_failure},
                                {"NaN in any stage is seen", test_nan_stage},
                                {"a field with NaN", test_nan_field},
                                {"a field that is not defined", test_retry},
                                {"there and back again", test_there_and_back},
                                {"quadrature parts", test_quadrature},
                                CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"rk", open, close, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(suites) != CUE_SUCCESS;
}
