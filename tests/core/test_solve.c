/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The solve node: cotangents against tangents of the same steps and against replayed finite
 * differences, with captures of each kind, for every registered gradient.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>

#include "costate/registry.h"
#include "costate/solve.h"
#include "evaluate.h"

enum { B = 6, D = 2, H = 5, T = 4, N_IN = 7 };

/* dy = tanh([y, u] W1 + b1) W2 - k y + sin(t): W1, b1, W2 shared captures, u and k row captures. */
static cst_function *field(cst_context *ctx, int64_t rows) {
  cst_graph *g;
  cst_function *f = NULL;
  cst_graph_new(ctx, CST_F64, rows, &g);
  cst_type t = {.dtype = CST_F64}, y = {.dtype = CST_F64, .space = CST_ROW, .rank = 2, .dim = {rows, D}};
  cst_type u = {.dtype = CST_F64, .space = CST_ROW, .rank = 2, .dim = {rows, 1}};
  cst_type k = {.dtype = CST_F64, .space = CST_ROW, .rank = 1, .dim = {rows}};
  cst_type w1 = {.dtype = CST_F64, .rank = 2, .dim = {D + 1, H}}, b1 = {.dtype = CST_F64, .rank = 1, .dim = {H}};
  cst_type w2 = {.dtype = CST_F64, .rank = 2, .dim = {H, D}};
  cst_value in[7] = {cst_graph_input(g, &t, "t"), cst_graph_input(g, &y, "y"), cst_graph_input(g, &w1, "w1"),
                     cst_graph_input(g, &b1, "b1"), cst_graph_input(g, &w2, "w2"), cst_graph_input(g, &u, "u"),
                     cst_graph_input(g, &k, "k")};
  cst_value z = cst_concat(g, (cst_value[]){in[1], in[5]}, 2, 1);
  cst_value h = cst_tanh(g, cst_add(g, cst_matmul(g, z, in[2], false), in[3]));
  cst_value dy = cst_sub(g, cst_matmul(g, h, in[4], false), cst_mul(g, in[6], in[1]));
  dy = cst_add(g, dy, cst_sin(g, in[0]));
  cst_function_new(g, in, 7, &dy, 1, &f);
  cst_graph_release(g);
  return f;
}

/* loss = sum of w * values, w fixed; inputs y0, times, captures. */
typedef struct setup {
  cst_context *ctx;
  cst_graph *g;
  cst_solve_plan *plan;
  cst_value in[N_IN], values, loss, weight;
  double *at[N_IN], *w;
  size_t n[N_IN];
} setup;

static void release(setup *s) {
  for (int i = 0; i < N_IN; i++) free(s->at[i]);
  free(s->w);
  cst_object_release(s->plan);
  cst_graph_release(s->g);
  cst_context_free(s->ctx);
}

static bool prepare(setup *s, const char *solver, const char *gradient, double tolerance, unsigned threads) {
  memset(s, 0, sizeof *s);
  s->ctx = cst_context_new(NULL);
  cst_set_threads(s->ctx, threads);
  cst_solve_options o;
  cst_solve_defaults(&o);
  o.solver = solver, o.gradient = gradient, o.rtol = tolerance, o.atol = tolerance;
  const cst_entry *e = cst_find(s->ctx, CST_KIND_SOLVER, solver);
  if (e && !(((const cst_solver_type *)e->type)->traits & CST_ADAPTIVE)) o.step = 0.05;
  cst_function *f = field(s->ctx, B);
  cst_status st = cst_solve_plan_new(s->ctx, f, 1, NULL, NULL, &o, &s->plan);
  cst_object_release(f);
  CHECK(st == CST_OK, "%s/%s: %s", solver, gradient, cst_message(s->ctx));
  if (st != CST_OK) return false;
  cst_graph_new(s->ctx, CST_F64, B, &s->g);
  const cst_type type[N_IN] = {{CST_F64, CST_ROW, 2, {B, D}}, {CST_F64, 0, 1, {T}}, {CST_F64, 0, 2, {D + 1, H}},
                               {CST_F64, 0, 1, {H}}, {CST_F64, 0, 2, {H, D}}, {CST_F64, CST_ROW, 2, {B, 1}},
                               {CST_F64, CST_ROW, 1, {B}}};
  cst_rng r = {3, 4, 0};
  for (int i = 0; i < N_IN; i++) {
    s->in[i] = cst_graph_input(s->g, &type[i], "x");
    s->n[i] = cst_type_count(&type[i]);
    s->at[i] = calloc(s->n[i], sizeof(double));
    for (size_t k = 0; k < s->n[i]; k++) s->at[i][k] = random_number(&r, -1, 1);
  }
  const double times[T] = {0.1, 0.47, 0.93, 1.61};
  memcpy(s->at[1], times, sizeof times);
  s->values = cst_graph_solve(s->g, s->plan, s->in, s->in[1], s->in + 2);
  cst_type w = {CST_F64, CST_ROW, 3, {B, T, D}};
  s->weight = cst_graph_input(s->g, &w, "weight");
  s->w = calloc(B * T * D, sizeof(double));
  for (size_t k = 0; k < B * T * D; k++) s->w[k] = random_number(&r, -1, 1);
  s->loss = cst_sum(s->g, cst_mul(s->g, s->values, s->weight), ~(uint64_t)0, false);
  CHECK(s->loss != CST_NONE, "%s/%s: %s", solver, gradient, cst_message(s->ctx));
  return s->loss != CST_NONE;
}

static bool gradient_of(setup *s, double *const *bar, double *loss) {
  cst_value one = cst_scalar(s->g, 1), out[N_IN + 1], inputs[N_IN + 1];
  const void *in[N_IN + 1];
  void *to[N_IN + 1];
  cst_status st = cst_graph_vjp(s->g, &s->loss, &one, 1, s->in, N_IN, out + 1);
  out[0] = s->loss, to[0] = loss;
  for (int i = 0; i < N_IN; i++) inputs[i] = s->in[i], in[i] = s->at[i], to[i + 1] = bar[i];
  inputs[N_IN] = s->weight, in[N_IN] = s->w;
  if (st == CST_OK) st = evaluate(s->g, inputs, N_IN + 1, out, N_IN + 1, in, to);
  CHECK(st == CST_OK, "gradient: %s", cst_message(s->ctx));
  return st == CST_OK;
}

/* d loss along a random direction of input i by tangents. */
static double tangent_of(setup *s, int which, const double *dx) {
  cst_value dots[N_IN] = {0}, dloss, inputs[N_IN + 2];
  cst_type t = *cst_type_of(s->g, s->in[which]);
  const void *in[N_IN + 2];
  double result = NAN;
  void *to = &result;
  dots[which] = cst_graph_input(s->g, &t, "dx");
  cst_status st = cst_graph_jvp(s->g, s->in, dots, N_IN, &s->loss, 1, &dloss);
  for (int i = 0; i < N_IN; i++) inputs[i] = s->in[i], in[i] = s->at[i];
  inputs[N_IN] = s->weight, in[N_IN] = s->w;
  inputs[N_IN + 1] = dots[which], in[N_IN + 1] = dx;
  if (st == CST_OK) st = evaluate(s->g, inputs, N_IN + 2, &dloss, 1, in, &to);
  CHECK(st == CST_OK, "tangent: %s", cst_message(s->ctx));
  return result;
}

/* Replayed central differences. */
static double difference_of(setup *s, int which, const double *dx, double h) {
  cst_value inputs[N_IN + 1];
  const void *in[N_IN + 1];
  double up = NAN, down = NAN, base, *moved = calloc(s->n[which], sizeof(double));
  cst_function *f = NULL;
  cst_program *p = NULL;
  cst_workspace *w = NULL;
  for (int i = 0; i < N_IN; i++) inputs[i] = s->in[i], in[i] = s->at[i];
  inputs[N_IN] = s->weight, in[N_IN] = s->w;
  cst_status st = cst_function_new(s->g, inputs, N_IN + 1, &s->loss, 1, &f);
  if (st == CST_OK) st = cst_program_new(f, NULL, &p);
  if (st == CST_OK) st = cst_workspace_new(p, &w);
  if (st == CST_OK) st = cst_program_run(w, B, in, (void *[]){&base});
  if (st == CST_OK) cst_workspace_run(w)->replay = true;
  in[which] = moved;
  for (size_t k = 0; k < s->n[which]; k++) moved[k] = s->at[which][k] + h * dx[k];
  if (st == CST_OK) st = cst_program_run(w, B, in, (void *[]){&up});
  for (size_t k = 0; k < s->n[which]; k++) moved[k] = s->at[which][k] - h * dx[k];
  if (st == CST_OK) st = cst_program_run(w, B, in, (void *[]){&down});
  CHECK(st == CST_OK, "difference: %s", cst_message(s->ctx));
  cst_workspace_free(w), cst_program_release(p), cst_object_release(f), free(moved);
  return (up - down) / (2 * h);
}

static double dot(size_t n, const double *a, const double *b) {
  double s = 0;
  for (size_t i = 0; i < n; i++) s += a[i] * b[i];
  return s;
}

static void compare(const char *solver, const char *gradient, double tolerance, double agree) {
  setup s;
  double *bar[N_IN], loss;
  cst_rng r = {5, 6, 0};
  if (!prepare(&s, solver, gradient, tolerance, 1)) {
    release(&s);
    return;
  }
  for (int i = 0; i < N_IN; i++) bar[i] = calloc(s.n[i], sizeof(double));
  if (gradient_of(&s, bar, &loss)) {
    for (int i = 0; i < N_IN; i++) {
      double *dx = calloc(s.n[i], sizeof(double));
      for (size_t k = 0; k < s.n[i]; k++) dx[k] = random_number(&r, -1, 1);
      double reverse = dot(s.n[i], bar[i], dx);
      double fd = difference_of(&s, i, dx, 1e-6);
      double forward = tangent_of(&s, i, dx);
      CHECK(fabs(reverse - forward) <= agree * (1 + fabs(forward)), "%s/%s input %d: reverse %.15g forward %.15g",
            solver, gradient, i, reverse, forward);
      CHECK(fabs(forward - fd) <= 1e-7 * (1 + fabs(fd)), "%s/%s input %d: forward %.15g difference %.15g", solver,
            gradient, i, forward, fd);
      free(dx);
    }
  }
  for (int i = 0; i < N_IN; i++) free(bar[i]);
  release(&s);
}

static void discrete_is_exact(void) {
  static const char *const solver[] = {"euler", "midpoint", "heun", "rk4", "bosh3", "dopri5", "tsit5"};
  for (size_t i = 0; i < 7; i++) compare(solver[i], "discrete", 1e-5, 1e-12);
}

static void backsolve_converges(void) {
  compare("dopri5", "backsolve", 1e-7, 2e-5);
  compare("tsit5", "backsolve", 1e-10, 1e-7);
}

static void along_the_solution(void) {
  static const char *const gradient[] = {"interpolating", "quadrature"};
#ifdef CST_TEST_GSL
  const int n = 2;
#else
  const int n = 1;
#endif
  for (int i = 0; i < n; i++) {
    compare("dopri5", gradient[i], 1e-7, 2e-5);
    compare("tsit5", gradient[i], 1e-10, 1e-7);
    compare("kencarp4", gradient[i], 1e-9, 1e-6);
  }
}

static void threads_change_nothing(void) {
  double loss[3];
  double *bar[3][N_IN];
  size_t n[N_IN];
  for (unsigned k = 0; k < 3; k++) {
    setup s;
    if (!prepare(&s, "dopri5", "discrete", 1e-6, 1u << k)) {
      release(&s);
      return;
    }
    for (int i = 0; i < N_IN; i++) n[i] = s.n[i], bar[k][i] = calloc(n[i], sizeof(double));
    gradient_of(&s, bar[k], &loss[k]);
    release(&s);
  }
  for (int k = 1; k < 3; k++) {
    CU_ASSERT(memcmp(&loss[0], &loss[k], sizeof loss[0]) == 0);
    for (int i = 0; i < N_IN; i++) CU_ASSERT(memcmp(bar[0][i], bar[k][i], n[i] * sizeof(double)) == 0);
  }
  for (int k = 0; k < 3; k++)
    for (int i = 0; i < N_IN; i++) free(bar[k][i]);
}

/* ---- captures ------------------------------------------------------------------------------------------------ */

enum { MANY = 40 };

/* dy = -y + the sum of n captured scalars of a dtype; NULL when it has no plan. */
static cst_solve_plan *sum_plan(cst_context *ctx, cst_dtype real, cst_type capture, int n, int64_t rows) {
  cst_graph *g;
  cst_function *f = NULL;
  cst_solve_plan *plan = NULL;
  cst_solve_options o;
  cst_solve_defaults(&o);
  cst_type t = {.dtype = CST_F64}, y = {(uint8_t)real, CST_ROW, 2, {rows, 1}};
  cst_graph_new(ctx, real, rows, &g);
  cst_value in[MANY + 2] = {cst_graph_input(g, &t, "t"), cst_graph_input(g, &y, "y")}, dy = cst_neg(g, in[1]);
  for (int i = 0; i < n; i++) in[2 + i] = cst_graph_input(g, &capture, "c"), dy = cst_add(g, dy, in[2 + i]);
  cst_function_new(g, in, (size_t)n + 2, &dy, 1, &f);
  cst_status st = cst_solve_plan_new(ctx, f, 1, NULL, NULL, &o, &plan);
  CHECK(st == CST_OK, "%s", cst_message(ctx));
  cst_object_release(f), cst_graph_release(g);
  return plan;
}

/* Inputs y0, times [2] and n captures in a new graph, and the values of the solve. */
static cst_value sum_solve(cst_context *ctx, cst_solve_plan *plan, cst_dtype real, cst_type capture, int n, int64_t rows,
                           cst_graph **g, cst_value *in) {
  cst_type y = {(uint8_t)real, CST_ROW, 2, {rows, 1}}, times = {CST_F64, 0, 1, {2}};
  cst_graph_new(ctx, real, rows, g);
  in[0] = cst_graph_input(*g, &y, "y0"), in[1] = cst_graph_input(*g, &times, "times");
  for (int i = 0; i < n; i++) in[2 + i] = cst_graph_input(*g, &capture, "c");
  return cst_graph_solve(*g, plan, in, in[1], in + 2);
}

static void many_captures_accumulate(void) {
  const cst_type scalar = {.dtype = CST_F64};
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g;
  cst_function *f = NULL;
  cst_program *p = NULL;
  cst_workspace *w = NULL;
  cst_solve_plan *plan = sum_plan(ctx, CST_F64, scalar, MANY, 1);
  cst_value in[MANY + 2], bar[MANY + 2], v = sum_solve(ctx, plan, CST_F64, scalar, MANY, 1, &g, in), one = cst_scalar(g, 1);
  cst_value loss = cst_sum(g, v, ~(uint64_t)0, false);
  CU_ASSERT(cst_graph_vjp(g, &loss, &one, 1, in, MANY + 2, bar) == CST_OK);
  double y0 = 1, times[2] = {0, 1}, c[MANY], c_bar[MANY], want = 1 - exp(-1);
  const void *at[MANY + 2] = {&y0, times};
  void *to[MANY];
  bool add[MANY];
  for (int i = 0; i < MANY; i++) at[2 + i] = &c[i], to[i] = &c_bar[i], c[i] = 0.1, c_bar[i] = 1000, add[i] = true;
  CU_ASSERT_FATAL(cst_function_new(g, in, MANY + 2, bar + 2, MANY, &f) == CST_OK);
  CU_ASSERT_FATAL(cst_program_new(f, add, &p) == CST_OK && cst_workspace_new(p, &w) == CST_OK);
  for (int k = 1; k <= 2; k++) {
    CU_ASSERT(cst_program_run(w, 1, at, to) == CST_OK);
    for (int i = 0; i < MANY; i++) CHECK(fabs(c_bar[i] - 1000 - k * want) < 1e-5, "capture %d: %.9g", i, c_bar[i]);
  }
  cst_workspace_free(w), cst_program_release(p), cst_object_release(f), cst_object_release(plan), cst_graph_release(g);
  cst_context_free(ctx);
}

/* A solve takes one step for all rows, so its batch is a full one. */
static void a_short_batch_is_refused(void) {
  const cst_type scalar = {.dtype = CST_F64};
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g;
  cst_function *f = NULL;
  cst_program *p = NULL;
  cst_workspace *w = NULL;
  cst_solve_plan *plan = sum_plan(ctx, CST_F64, scalar, 0, 8);
  cst_value in[2], v = sum_solve(ctx, plan, CST_F64, scalar, 0, 8, &g, in);
  double y0[3] = {1, 2, 3}, times[2] = {0, 1}, out[6];
  CU_ASSERT_FATAL(cst_function_new(g, in, 2, &v, 1, &f) == CST_OK && cst_program_new(f, NULL, &p) == CST_OK);
  CU_ASSERT_FATAL(cst_workspace_new(p, &w) == CST_OK);
  CU_ASSERT(cst_program_run(w, 3, (const void *[]){y0, times}, (void *[]){out}) == CST_ESHAPE);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "solve"));
  cst_workspace_free(w), cst_program_release(p), cst_object_release(f), cst_object_release(plan), cst_graph_release(g);
  cst_context_free(ctx);
}

/* A derivative that is not computed is refused, not zero; elements that are not there are not read. */
static void captures_that_do_not_fit_are_refused(void) {
  const cst_type one = {CST_F64, 0, 1, {1}}, two = {CST_F64, 0, 1, {2}};
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g;
  cst_solve_plan *plan = sum_plan(ctx, CST_F32, one, 1, 2);
  cst_value in[3], bar[3], v = sum_solve(ctx, plan, CST_F32, one, 1, 2, &g, in);
  cst_value loss = cst_sum(g, v, ~(uint64_t)0, false), seed = cst_scalar(g, 1);
  CU_ASSERT(cst_graph_vjp(g, &loss, &seed, 1, in, 2, bar) == CST_OK);
  CU_ASSERT(cst_graph_vjp(g, &loss, &seed, 1, in, 3, bar) == CST_EUNSUPPORTED);
  cst_graph_release(g);
  CU_ASSERT_EQUAL(sum_solve(ctx, plan, CST_F32, two, 1, 2, &g, in), CST_NONE);
  CU_ASSERT_EQUAL(g->status, CST_ESHAPE);
  cst_graph_release(g), cst_object_release(plan), cst_context_free(ctx);
}

int cst_suite_solve(void);
int cst_suite_solve(void) {
  CU_pSuite s = CU_add_suite("solve", NULL, NULL);
  return s && CU_add_test(s, "discrete gradients are exact", discrete_is_exact) &&
         CU_add_test(s, "backsolve converges", backsolve_converges) &&
         CU_add_test(s, "interpolating and quadrature converge", along_the_solution) &&
         CU_add_test(s, "threads change nothing", threads_change_nothing) &&
         CU_add_test(s, "many captures accumulate", many_captures_accumulate) &&
         CU_add_test(s, "a short batch is refused", a_short_batch_is_refused) &&
         CU_add_test(s, "captures that do not fit are refused", captures_that_do_not_fit_are_refused) ? 0 : 1;
}
