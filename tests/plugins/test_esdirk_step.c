/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Single steps of plugin esdirk and what surrounds them: the transpose against the complex step,
 * failures, rows, parts, both float types.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "implicit.h"
#include "problem.h"

int cst_suite_esdirk_step(void);

static cst_context *ctx;

static int open(void) { return (ctx = ode_context_with("esdirk")) ? 0 : 1; }
static int close(void) {
  cst_context_free(ctx);
  return 0;
}

#define EVERY_SOLVER(t) SOLVERS_THAT(ctx, is_esdirk, t)

/* ---- one step by hand -------------------------------------------------------------------------- */

typedef struct single {
  problem p;
  const cst_solver_type *type;
  void *state;
  cst_tape *tape;
  double t, t1, h, y[MAX_N], f0[MAX_N], y1[MAX_N], f1[MAX_N], error[MAX_N]; /* of doubles or floats */
  cst_step step;
} single;

static const double lotka_start[6] = {1, 0.6, 1.4, 1.1, 0.2, -0.1};
/* The second scalars such that their slopes nearly vanish: past the transient. */
static const double robertson_start[6] = {0.99, 2.5143e-5, 0.01, 0.7, 1.0618e-5, 0.3};

static void single_new(single *s, const cst_solver_type *type, field_fn *field, cst_dtype d) {
  *s = (single){.type = type, .t = 0.3};
  bool lotka = field == field_lotka;
  problem_init(&s->p, field, d, 2, lotka ? 2 : 3, lotka);
  s->p.rhs.self = &s->p, s->p.rhs.parts = s->p.part;
  cst_solver_config c = {.struct_size = sizeof c, .host = cst_host_of(ctx), .type = type,
                         .dtype = (uint8_t)d, .rows = 2, .n = 6, .n_stage = s->p.rhs.n_stage};
  CU_ASSERT_EQUAL_FATAL(type->create(&c, &s->state), CST_OK);
  for (size_t k = 0; k < 6; k++)
    problem_set(&s->p, s->y, k, lotka ? lotka_start[k] : robertson_start[k]);
  CU_ASSERT_EQUAL(s->p.rhs.eval(&s->p.rhs, &s->t, s->y, s->f0), CST_OK);
  s->tape = cst_tape_new(ctx, 0);
  s->step = (cst_step){.struct_size = sizeof(cst_step), .rhs = &s->p.rhs, .t = &s->t, .h = &s->h,
                       .t1 = &s->t1, .y = s->y, .f0 = s->f0, .y1 = s->y1, .f1 = s->f1,
                       .tape = s->tape, .error = s->error, .rtol = 1e-6, .atol = 1e-9};
}
static cst_status single_step(single *s, double h) {
  s->h = h, s->t1 = s->t + h;
  return s->type->step(s->state, &s->step);
}
static void single_free(single *s) {
  s->type->destroy(cst_host_of(ctx), s->state);
  cst_tape_free(s->tape);
}

/* ---- the transpose ------------------------------------------------------------------------------- */

enum { INPUTS = 6 + 6 + 4 + 2 }; /* y, f0, theta, t, h */

static double weight(size_t k) { return cos(3.0 * (double)k) + 0.2; }

/* weights . (y1, f1) as a function of all inputs, f0 being one of its own */
static number loss(const single *s, const number *in) {
  const esdirk_tableau *tab = s->type->method;
  number k[ESDIRK_STAGES][MAX_N], y[MAX_N] = {0}, y1[MAX_N], sum = 0;
  memcpy(y, in, 6 * sizeof *y);
  memcpy(k[0], in + 6, 6 * sizeof *y);
  implicit_step(&s->p, tab, in[16], in[17], y, in + 12, k, y1);
  for (size_t i = 0; i < 6; i++)
    sum += weight(i) * y1[i] + weight(i + 6) * k[tab->stages - 1][i];
  return sum;
}

static void expected(const single *s, double *bar) {
  number in[INPUTS];
  for (size_t i = 0; i < 6; i++) in[i] = problem_get(&s->p, s->y, i);
  for (size_t i = 0; i < 6; i++) in[6 + i] = problem_get(&s->p, s->f0, i);
  for (size_t i = 0; i < 4; i++) in[12 + i] = s->p.theta[i];
  in[16] = s->t, in[17] = s->h;
  for (size_t i = 0; i < INPUTS; i++) {
    number keep = in[i];
    in[i] += (number)I * 1e-30;
    bar[i] = cimag(loss(s, in)) / 1e-30;
    in[i] = keep;
  }
}

static void found(single *s, double *bar) {
  double v[MAX_N], f[MAX_N], y_bar[MAX_N] = {0}, f0_bar[MAX_N] = {0};
  for (size_t k = 0; k < 6; k++) problem_set(&s->p, v, k, weight(k)), problem_set(&s->p, f, k, weight(k + 6));
  memset(s->p.theta_bar, 0, sizeof s->p.theta_bar);
  bar[16] = bar[17] = 0;
  cst_step_vjp p = {.struct_size = sizeof p, .rhs = &s->p.rhs, .t = s->t, .h = s->h, .t1 = s->t1,
                    .record = s->step.record, .y = s->y, .y1 = s->y1, .f0 = s->f0, .f1 = s->f1,
                    .y1_bar = v, .f1_bar = f, .y_bar = y_bar, .f0_bar = f0_bar, .t_bar = &bar[16],
                    .h_bar = &bar[17]};
  CU_ASSERT_EQUAL(s->type->vjp(s->state, &p), CST_OK);
  for (size_t k = 0; k < 6; k++) bar[k] = problem_get(&s->p, y_bar, k);
  for (size_t k = 0; k < 6; k++) bar[6 + k] = problem_get(&s->p, f0_bar, k);
  for (size_t k = 0; k < 4; k++) bar[12 + k] = s->p.theta_bar[k];
}

static void check_transpose(const cst_solver_type *t, field_fn *field, cst_dtype d, double h, double tol) {
  single s;
  double a[INPUTS], b[INPUTS];
  single_new(&s, t, field, d);
  s.step.error = NULL; /* h is given: it takes what it takes */
  CU_ASSERT_EQUAL(single_step(&s, h), CST_OK);
  expected(&s, a), found(&s, b);
  for (int i = 0; i < INPUTS; i++) {
    bool ok = fabs(a[i] - b[i]) < tol * (1 + fabs(a[i]));
    if (!ok) printf("%s, input %d, h %g: %.15g is not %.15g\n", t->name, i, h, b[i], a[i]);
    CU_ASSERT(ok);
  }
  single_free(&s);
}

static void test_transpose(void) {
  EVERY_SOLVER(t) {
    check_transpose(t, field_lotka, CST_F64, 0.2, 1e-13);
    check_transpose(t, field_lotka, CST_F64, -0.1, 1e-13);
    check_transpose(t, field_robertson, CST_F64, 0.5, 1e-10);
    check_transpose(t, field_robertson, CST_F64, 5, 1e-10);
    check_transpose(t, field_lotka, CST_F32, 0.2, 3e-6);
  }
}

/* ---- failures -------------------------------------------------------------------------------------- */

static int calls_left;
static cst_status outcome;
static cst_status (*good_eval)(cst_rhs *f, const double *t, const void *y, void *dy);
static cst_status failing_eval(cst_rhs *f, const double *t, const void *y, void *dy) {
  cst_status st = good_eval(f, t, y, dy);
  if (calls_left-- > 0) return st;
  if (outcome == CST_OK) ((double *)dy)[1] = (double)NAN;
  return outcome;
}

/* Whichever evaluation fails, y and f0 are as before and the next step is as if nothing happened. A
 * NaN shows in y1, in its place. */
static void test_failure(void) {
  const cst_status outcomes[] = {CST_RETRY, CST_ECALLBACK, CST_OK};
  EVERY_SOLVER(t)
  for (int o = 0; o < 3; o++) {
    single s;
    double good[6], y[6], f0[6];
    single_new(&s, t, field_lotka, CST_F64);
    s.step.tape = NULL;
    good_eval = s.p.rhs.eval, outcome = outcomes[o];
    CU_ASSERT_EQUAL(single_step(&s, 0.1), CST_OK);
    memcpy(good, s.y1, sizeof good), memcpy(y, s.y, sizeof y), memcpy(f0, s.f0, sizeof f0);
    for (int k = 0; k < 6; k++) {
      calls_left = k, s.p.rhs.eval = failing_eval;
      CU_ASSERT_EQUAL(single_step(&s, 0.3), outcome);
      if (outcome == CST_OK) CU_ASSERT(isfinite(s.y1[0]) && !isfinite(s.y1[1]) && isfinite(s.y1[2]));
      s.p.rhs.eval = good_eval;
      CU_ASSERT(memcmp(y, s.y, sizeof y) == 0 && memcmp(f0, s.f0, sizeof f0) == 0);
      CU_ASSERT_EQUAL(single_step(&s, 0.1), CST_OK);
      CU_ASSERT_EQUAL(memcmp(good, s.y1, sizeof good), 0);
    }
    single_free(&s);
  }
}

/* The driver steps up to where the field ends, and says what is wrong there. */
static void test_end_of_field(void) {
  EVERY_SOLVER(t) {
    problem p;
    solve s;
    problem_init(&p, field_lotka, CST_F64, 2, 2, 1);
    p.bad_after = 0.7;
    cst_integrator_config c = ode_config(ctx, "dopri5", &p);
    c.solver = t;
    solve_init(&s, ctx, &c, &p);
    CU_ASSERT_EQUAL(solve_run(&s, lotka_start, (double[]){0, 1}, 2), CST_ENONFINITE);
    CU_ASSERT(s.stats.t > 0.6 && s.stats.t < 0.7001);
    CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "not finite; worst component y["));
    solve_free(&s, ctx);
  }
}

static void test_no_jacobian(void) {
  single s;
  single_new(&s, ode_solver(ctx, "kencarp4"), field_lotka, CST_F64);
  s.p.rhs.jacobian = NULL;
  CU_ASSERT_EQUAL(single_step(&s, 0.1), CST_EUNSUPPORTED);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "'esdirk.kencarp4' needs the Jacobian"));
  single_free(&s);
}

/* ---- rows and parts --------------------------------------------------------------------------------- */

/* Every row brings its own stiffness y1: y0 goes to cos t. */
static void field_rows(number t, const number *y, const number *theta, number *dy, number *dq) {
  (void)theta;
  dy[0] = -y[1] * (y[0] - ccos(t)) - csin(t);
  dy[1] = 0;
  dq[0] = y[0];
}

static void test_rows(void) {
  const double y0[15] = {1, 1, 1.5, 100, 1, 1e4, 2, 1e6, 1, 0};
  EVERY_SOLVER(t) {
    problem p;
    solve s;
    problem_init(&p, field_rows, CST_F64, 5, 2, 1);
    cst_integrator_config c = ode_config(ctx, "dopri5", &p);
    c.solver = t, c.rtol = 1e-7;
    solve_init(&s, ctx, &c, &p);
    CU_ASSERT_EQUAL(solve_run(&s, y0, (double[]){0, 3, 6}, 3), CST_OK);
    for (size_t r = 0; r < 5; r++) {
      double late = (y0[2 * r] - 1) * exp(-6 * y0[2 * r + 1]); /* what is left of the start */
      double fast = y0[2 * r + 1] > 0 ? (y0[2 * r] - 1) / y0[2 * r + 1] : 0;
      CU_ASSERT_DOUBLE_EQUAL(s.value[2][2 * r], cos(6) + late, 2e-5);
      CU_ASSERT_DOUBLE_EQUAL(s.value[2][10 + r], sin(6) + fast, 5e-5);
    }
    CU_ASSERT(s.stats.accepted < (t->order > 3 ? 500 : 6000));
    solve_free(&s, ctx);
  }
}

/* A problem of two rows with its two scalars as parts of their own: [y0 of both rows, y1 of both]. */
static problem *inner;
static const size_t place[6] = {0, 2, 1, 3, 4, 5};

static void permute(const void *from, void *to, size_t n) {
  for (size_t k = 0; k < n; k++) ((double *)to)[place[k]] = ((const double *)from)[k];
}
static cst_status split_eval(cst_rhs *f, const double *t, const void *y, void *dy) {
  double in[6], out[6];
  permute(y, in, f->n_stage);
  CST_TRY(inner->rhs.eval(&inner->rhs, t, in, out));
  permute(out, dy, f->n);
  return CST_OK;
}
static cst_status split_jacobian(cst_rhs *f, const double *t, const void *y, void *jac, void *dfdt) {
  double in[6];
  permute(y, in, f->n_stage);
  return inner->rhs.jacobian(&inner->rhs, t, in, jac, dfdt);
}

static void test_parts(void) {
  EVERY_SOLVER(t) {
    problem plain, split;
    solve a, b;
    double y0[6];
    problem_init(&plain, field_lotka, CST_F64, 2, 2, 1);
    problem_init(&split, field_lotka, CST_F64, 2, 2, 1);
    const cst_part parts[] = {{.name = "a", .n = 1}, {.name = "b", .n = 1, .offset = 2},
                              {.name = "q", .n = 1, .offset = 4, .flags = CST_PART_QUADRATURE}};
    inner = &plain;
    split.rhs.parts = parts, split.rhs.n_parts = 3;
    split.rhs.eval = split_eval, split.rhs.jacobian = split_jacobian;
    cst_integrator_config c = ode_config(ctx, "dopri5", &plain);
    c.solver = t;
    solve_init(&a, ctx, &c, &plain), solve_init(&b, ctx, &c, &split);
    permute(lotka_start, y0, 6);
    CU_ASSERT_EQUAL(solve_run(&a, lotka_start, (double[]){0, 0.7, 2}, 3), CST_OK);
    CU_ASSERT_EQUAL(solve_run(&b, y0, (double[]){0, 0.7, 2}, 3), CST_OK);
    for (size_t i = 1; i < 3; i++)
      for (size_t k = 0; k < 6; k++) CU_ASSERT_DOUBLE_EQUAL(b.value[i][place[k]], a.value[i][k], 1e-11);
    solve_free(&a, ctx), solve_free(&b, ctx);
  }
}

/* The same with its quadrature as a scalar that has stages. */
static void lotka_whole(number t, const number *y, const number *theta, number *dy, number *dq) {
  (void)dq;
  field_lotka(t, y, theta, dy, dy + 2);
}

static void end_of(const cst_solver_type *t, bool whole, double *end) {
  problem p;
  solve s;
  problem_init(&p, whole ? lotka_whole : field_lotka, CST_F64, 1, whole ? 3 : 2, !whole);
  cst_integrator_config c = ode_config(ctx, "dopri5", &p);
  c.solver = t, c.rtol = 1e-7;
  solve_init(&s, ctx, &c, &p);
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0.6, 0}, (double[]){0, 1}, 2), CST_OK);
  memcpy(end, s.value[1], 3 * sizeof(double));
  solve_free(&s, ctx);
}

/* A quadrature part is what it would be as a part with stages, to the tolerance. */
static void test_quadrature(void) {
  EVERY_SOLVER(t) {
    double part[3], whole[3];
    end_of(t, false, part), end_of(t, true, whole);
    for (size_t k = 0; k < 3; k++) CU_ASSERT_DOUBLE_EQUAL(part[k], whole[k], 2e-6);
  }
}

/* There and back again, in both float types; a second run allocates nothing. */
static void test_there_and_back(void) {
  EVERY_SOLVER(t)
  for (cst_dtype d = CST_F32; d <= CST_F64; d++) {
    problem p;
    solve s;
    problem_init(&p, field_lotka, d, 1, 2, 1);
    cst_integrator_config c = ode_config(ctx, "dopri5", &p);
    c.solver = t, c.rtol = d == CST_F32 ? 1e-5 : 1e-7, c.atol = c.rtol;
    solve_init(&s, ctx, &c, &p);
    CU_ASSERT_EQUAL(solve_run(&s, lotka_start, (double[]){0, 1}, 2), CST_OK);
    double back[3] = {s.value[1][0], s.value[1][1], s.value[1][2]};
    uint64_t before = cst_memory_of(ctx).allocations;
    CU_ASSERT_EQUAL(solve_run(&s, back, (double[]){1, 0}, 2), CST_OK);
    CU_ASSERT_EQUAL(cst_memory_of(ctx).allocations, before);
    for (size_t k = 0; k < 3; k++)
      CU_ASSERT_DOUBLE_EQUAL(s.value[1][k], lotka_start[k], d == CST_F32 ? 2e-3 : 2e-5);
    solve_free(&s, ctx);
  }
}

/* Single precision on a stiff problem: as far as its tolerance. */
static void test_single_precision(void) {
  EVERY_SOLVER(t) {
    double end[2];
    for (cst_dtype d = CST_F32; d <= CST_F64; d++) {
      problem p;
      solve s;
      problem_init(&p, field_robertson, d, 1, 3, 0);
      cst_integrator_config c = ode_config(ctx, "dopri5", &p);
      c.solver = t, c.rtol = d == CST_F32 ? 1e-4 : 1e-7, c.atol = c.rtol * 1e-4;
      solve_init(&s, ctx, &c, &p);
      CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0, 0}, (double[]){0, 400}, 2), CST_OK);
      end[d] = s.value[1][0];
      solve_free(&s, ctx);
    }
    CU_ASSERT_DOUBLE_EQUAL(end[CST_F32], end[CST_F64], 1e-3);
  }
}

/* A constant Jacobian is asked for once. */
static int jacobians;
static cst_status (*good_jacobian)(cst_rhs *f, const double *t, const void *y, void *jac, void *dfdt);
static cst_status counting(cst_rhs *f, const double *t, const void *y, void *jac, void *dfdt) {
  jacobians++;
  return good_jacobian(f, t, y, jac, dfdt);
}

static void test_jacobian_is_kept(void) {
  EVERY_SOLVER(t) {
    problem p;
    solve s;
    problem_init(&p, field_forced, CST_F64, 1, 1, 0);
    good_jacobian = p.rhs.jacobian, p.rhs.jacobian = counting, jacobians = 0;
    cst_integrator_config c = ode_config(ctx, "dopri5", &p);
    c.solver = t;
    solve_init(&s, ctx, &c, &p);
    CU_ASSERT_EQUAL(solve_run(&s, (double[]){1}, (double[]){0, 1}, 2), CST_OK);
    CU_ASSERT(jacobians >= 1 && (uint64_t)jacobians <= 1 + s.stats.rejected);
    CU_ASSERT(s.stats.accepted > 5);
    solve_free(&s, ctx);
  }
}

int cst_suite_esdirk_step(void) {
  static CU_TestInfo tests[] = {{"transpose of a step", test_transpose},
                                {"a failed step leaves no trace", test_failure},
                                {"where the field ends", test_end_of_field},
                                {"a field without a Jacobian", test_no_jacobian},
                                {"rows of different stiffness", test_rows},
                                {"several parts", test_parts},
                                {"quadrature parts", test_quadrature},
                                {"there and back again", test_there_and_back},
                                {"single precision", test_single_precision},
                                {"a Jacobian is kept", test_jacobian_is_kept},
                                CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"esdirk_step", open, close, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(suites) != CUE_SUCCESS;
}
