/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Gradients of a solve. The reference of `discrete` takes the same steps with the same tableau in
 * complex numbers and differentiates them by the complex step: nothing of the solver is in it.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gradients.h"
#include "implicit.h"
#include "ode/checkpoint.h"

int cst_suite_adjoint(void);

static cst_context *ctx;
static const double STEP = 1e-30;

static int open(void) { return (ctx = ode_context_with("esdirk")) ? 0 : 1; }
static int close(void) {
  cst_context_free(ctx);
  return 0;
}

/* ---- the same steps in complex numbers ------------------------------------------------------ */

typedef struct complex_step {
  number t, h, y[MAX_N], y1[MAX_N], k[24][MAX_N], f1[MAX_N];
  bool goes_on; /* f1 is of y */
} complex_step;

static int all_stages(const cst_tableau *tab) { return tab->stages + tab->dense_stages; }
/* Where a step ends at a break, the field is asked for what it is inside the step. */
static number inner(const taped *s, const complex_step *c, number time) {
  double t = creal(c->t), h = creal(c->h), x = (creal(time) - t) / h;
  if (s->field != field_stepped || (x > 1e-9 && x < 1 - 1e-9)) return time;
  for (size_t k = 0; k < N_BREAKS; k++)
    if (fabs(creal(time) - problem_breaks[k]) < 1e-12) return time + (x < 0.5 ? 1e-14 : -1e-14) * (h < 0 ? -1 : 1);
  return time;
}

/* f1 is the last slope: the field at y1 would magnify rounding errors by the stiffness. */
static void take_implicit(const taped *s, const number *theta, complex_step *c) {
  const esdirk_tableau *tab = s->type.method;
  if (c->goes_on) memcpy(c->k[0], c->f1, sizeof c->f1);
  else problem_slope(&s->p, c->t, c->y, theta, c->k[0]);
  implicit_step(&s->p, tab, c->t, c->h, c->y, theta, c->k, c->y1);
  memcpy(c->f1, c->k[tab->stages - 1], sizeof c->f1);
  c->goes_on = true;
}

static void take(const taped *s, const number *theta, complex_step *c) {
  if (s->type.traits & CST_IMPLICIT) {
    take_implicit(s, theta, c);
    return;
  }
  const cst_tableau *tab = s->type.method;
  const cst_rhs *f = &s->p.rhs;
  const double *row = tab->a;
  for (int i = 0; i < all_stages(tab); row += i++) {
    number z[MAX_N], time = c->t;
    if (i == tab->stages) row = tab->a_dense;
    memcpy(z, c->y, sizeof z);
    for (int j = 0; j < i; j++) {
      double a = row[j];
      time += a * c->h;
      for (size_t k = 0; k < f->n; k++) z[k] += c->h * a * c->k[j][k];
    }
    problem_slope(&s->p, inner(s, c, time), z, theta, c->k[i]);
  }
  memcpy(c->y1, c->y, sizeof c->y1);
  for (int i = 0; i < tab->stages; i++)
    for (size_t k = 0; k < f->n; k++) c->y1[k] += c->h * tab->b[i] * c->k[i][k];
  problem_slope(&s->p, inner(s, c, c->t + c->h), c->y1, theta, c->f1);
}

static number inside(const taped *s, const complex_step *c, number x, size_t k) {
  const cst_tableau *tab = s->type.method;
  if (!s->type.dense) {
    number v = x * x * (3 - 2 * x);
    return (1 - v) * c->y[k] + v * c->y1[k] + c->h * x * (1 - x) * (1 - x) * c->k[0][k] -
           c->h * x * x * (1 - x) * c->f1[k];
  }
  number y = c->y[k];
  for (int i = 0; i < all_stages(tab); i++) {
    number w = 0, power = x;
    for (int j = 0; j < tab->dense_degree; j++, power *= x)
      w += tab->p[i * tab->dense_degree + j] * power;
    y += c->h * w * c->k[i][k];
  }
  return y;
}

/* L of the steps the solve took. */
static number loss(const taped *s, const number *y0, const number *theta, const number *times) {
  size_t n_steps = cst_integrator_n_steps(s->s.integrator);
  cst_taped_step step = cst_integrator_step(s->s.integrator, 0);
  complex_step c = {.t = times[0]};
  number sum = 0, f0[MAX_N] = {0};
  memcpy(c.y, y0, sizeof c.y);
  problem_slope(&s->p, c.t, c.y, theta, f0);
  for (size_t i = 0; i < (n_steps ? step.first_output : s->n); i++)
    for (size_t k = 0; k < s->p.rhs.n; k++)
      sum += gradient_weight(i, k) * (c.y[k] + (times[i] - times[0]) * f0[k]);
  for (size_t j = 0; j < n_steps; j++) {
    step = cst_integrator_step(s->s.integrator, j);
    c.h = step.clip != SIZE_MAX ? times[step.clip] - c.t : step.at_break ? step.t1 - c.t : step.h;
    take(s, theta, &c);
    for (size_t i = step.first_output; i < step.first_output + step.n_outputs; i++)
      for (size_t k = 0; k < s->p.rhs.n; k++)
        sum += gradient_weight(i, k) * (creal(times[i]) == step.t1
                                   ? c.y1[k] + (times[i] - c.t - c.h) * c.f1[k]
                                   : inside(s, &c, (times[i] - c.t) / c.h, k));
    memcpy(c.y, c.y1, sizeof c.y);
    c.t += c.h;
  }
  return sum;
}

static void complex_gradient(const taped *s, const double *start, gradient *g) {
  number y0[MAX_N] = {0}, theta[MAX_THETA], times[MAX_T];
  number *input[3] = {y0, theta, times};
  double *output[3] = {g->y0, g->theta, g->times};
  const size_t n[3] = {s->p.rhs.n, 4, s->n};
  memset(g, 0, sizeof *g);
  for (size_t k = 0; k < n[0]; k++) y0[k] = start[k];
  for (size_t k = 0; k < n[1]; k++) theta[k] = s->p.theta[k];
  for (size_t k = 0; k < n[2]; k++) times[k] = s->times[k];
  for (int v = 0; v < 3; v++)
    for (size_t k = 0; k < n[v]; k++) {
      number keep = input[v][k];
      input[v][k] += (number)I * STEP;
      output[v][k] = cimag(loss(s, y0, theta, times)) / STEP;
      input[v][k] = keep;
    }
}

/* ---- discrete ---------------------------------------------------------------------------------- */


/* The distance of the two gradients. */
static double compare(field_fn *field, const char *solver, bool hermite, bool stops, const double *y0,
                      const double *times, size_t n, size_t budget) {
  taped t;
  gradient exact, found;
  taped_new(&t, ctx, 2, field, CST_F64, solver, hermite, budget);
  CU_ASSERT_EQUAL(taped_solve(&t, y0, times, n, stops), CST_OK);
  complex_gradient(&t, y0, &exact);
  method_of(&t, "adjoint.discrete", &found, NULL);
  double d = gradient_distance(&found, &exact);
  if (!(d < 1e-12)) printf("%s hermite %d stops %d: %g\n", solver, hermite, stops, d);
  CU_ASSERT(fabs(exact.theta[1]) > 5e-3 && fabs(exact.times[0]) > 1e-2);
  taped_free(&t);
  return d;
}

static void test_discrete(void) {
  size_t n = 0;
  for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_SOLVER); i++) {
    const cst_entry *e = cst_entry_at(ctx, CST_KIND_SOLVER, i);
    if (strcmp(e->plugin, "rk") != 0 && strcmp(e->plugin, "esdirk") != 0) continue;
    for (int hermite = 0; hermite < 2; hermite++)
      for (int stops = 0; stops < 2; stops++) {
        bool jumps = strcmp(e->plugin, "rk") == 0; /* the reference of the others knows no jumps */
        CU_ASSERT(compare(field_lotka, e->name, hermite, stops, gradient_start, gradient_forth, 9, 0) < 1e-12);
        CU_ASSERT(compare(field_lotka, e->name, hermite, stops, gradient_start, gradient_back, 6, 0) < 1e-12);
        CU_ASSERT(!jumps || compare(field_stepped, e->name, hermite, stops, gradient_start, gradient_forth, 9, 0) < 1e-12);
        CU_ASSERT(!jumps || compare(field_stepped, e->name, hermite, stops, gradient_start, gradient_back, 6, 0) < 1e-12);
        n++;
      }
  }
  CU_ASSERT(n >= 48);
}

/* Rates over nine orders of magnitude, two rows, the whole record and next to none of it. */
static void test_stiff(void) {
  const double y0[6] = {1, 0, 0, 0.9, 1e-5, 0.1}, times[7] = {0, 1e-3, 0.4, 4, 4, 40, 400};
  for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_SOLVER); i++) {
    const cst_entry *e = cst_entry_at(ctx, CST_KIND_SOLVER, i);
    if (strcmp(e->plugin, "esdirk") != 0) continue;
    for (int stops = 0; stops < 2; stops++)
      for (size_t budget = 0; budget < 2 << 15; budget += 1 << 15)
        CU_ASSERT(compare(field_robertson, e->name, true, stops, y0, times, 7, budget) < 1e-11);
  }
}

/* One time, equal times: nothing moves. */
static void test_no_steps(void) {
  const double times[2] = {3, 3};
  taped t;
  gradient g;
  taped_new(&t, ctx, 2, field_lotka, CST_F64, "dopri5", false, 0);
  CU_ASSERT_EQUAL(taped_solve(&t, gradient_start, times, 2, false), CST_OK);
  for (int m = 0; m < 2; m++) {
    method_of(&t, m ? "adjoint.backsolve" : "adjoint.discrete", &g, NULL);
    for (size_t k = 0; k < 6; k++)
      CU_ASSERT_DOUBLE_EQUAL(g.y0[k], gradient_weight(0, k) + gradient_weight(1, k), 1e-15);
    CU_ASSERT(g.theta[0] == 0);
  }
  taped_free(&t);
}

/* The gradient with so much memory, or so many states and no records; *records: steps that have one. */
static gradient thinned(field_fn *field, const char *solver, bool hermite, size_t budget, size_t checkpoints,
                        size_t *records, size_t *n) {
  taped t;
  gradient g;
  taped_new(&t, ctx, 2, field, CST_F64, solver, hermite, budget);
  if (checkpoints) t.config.step = t.config.step > 0 ? 0.05 : 0, t.config.rtol = t.config.atol = t.type.order < 4 ? 1e-4 : t.type.order < 8 ? 1e-7 : 1e-12;
  size_t most = checkpoints == SIZE_MAX ? 0 : checkpoints;
  solve_init(&t.s, ctx, &t.config, &t.p);
  t.s.run.checkpoints = most;
  CU_ASSERT_EQUAL(taped_solve(&t, gradient_start, gradient_forth, 9, false), CST_OK);
  *n = cst_integrator_n_steps(t.s.integrator), *records = 0;
  for (size_t k = 0; k < *n; k++) *records += cst_integrator_step(t.s.integrator, k).record != NULL;
  method_of(&t, "adjoint.discrete", &g, NULL);
  CU_ASSERT(!budget || cst_tape_bytes(t.tape) <= budget);
  CU_ASSERT(!most || cst_integrator_checkpoints(t.s.integrator) <= most);
  taped_free(&t);
  return g;
}

/* With little memory, steps are taken again: the same bits. With next to none, it says so. */
static void test_budget(void) {
  const char *solvers[] = {"dopri5", "rk4", "bosh3"};
  for (int i = 0; i < 6; i++)
    for (int hermite = 0; hermite < 2; hermite++) {
      size_t n, records;
      field_fn *field = i < 3 ? field_lotka : field_stepped;
      gradient full = thinned(field, solvers[i % 3], hermite, 0, 0, &records, &n);
      CU_ASSERT_EQUAL(records, n);
      gradient thin = thinned(field, solvers[i % 3], hermite, 16384, 0, &records, &n);
      CU_ASSERT(records > 0 && records < n);
      CU_ASSERT_EQUAL(memcmp(&full, &thin, sizeof full), 0);
      thin = thinned(field, solvers[i % 3], hermite, 640, 0, &records, &n); /* two or three states in all */
      CU_ASSERT(records == 0);
      CU_ASSERT_EQUAL(memcmp(&full, &thin, sizeof full), 0);
    }
  taped t;
  taped_new(&t, ctx, 2, field_lotka, CST_F64, "dopri5", false, 128);
  CU_ASSERT_EQUAL(taped_solve(&t, gradient_start, gradient_forth, 9, false), CST_ENOMEM);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "memory budget"));
  taped_free(&t);
}

/* A given number of states, from a single one on: the same bits for every solver, implicit ones included. */
static void test_checkpoints(void) {
  size_t tried = 0;
  for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_SOLVER); i++) {
    const cst_entry *e = cst_entry_at(ctx, CST_KIND_SOLVER, i);
    if (!CST_HAS((const cst_solver_type *)e->type, vjp)) continue;
    size_t n, records;
    field_fn *field = tried % 2 ? field_stepped : field_lotka;
    gradient full = thinned(field, e->name, false, 0, SIZE_MAX, &records, &n);
    for (size_t k = 1; k < 20; k += 1 + k / 2) {
      gradient thin = thinned(field, e->name, false, 0, k, &records, &n);
      CU_ASSERT(records == 0 && n > 12);
      bool same = memcmp(&full, &thin, sizeof full) == 0;
      if (!same) printf("%s with %zu states of %zu steps: off by %g\n", e->name, k, n, gradient_distance(&full, &thin));
      CU_ASSERT(same);
    }
    tried++;
  }
  CU_ASSERT(tried >= 17);
}

/* Least number of steps taken again to reverse n steps with s states of room, by trying every split. */
static size_t least_cost(size_t n, size_t s, size_t table[][6]) {
  if (n < 2) return 0;
  if (s == 0) return n * (n - 1) / 2;
  if (table[n][s]) return table[n][s];
  size_t least = SIZE_MAX;
  for (size_t m = 1; m < n; m++) {
    size_t c = m + least_cost(n - m, s - 1, table) + least_cost(m, s, table);
    if (c < least) least = c;
  }
  return table[n][s] = least;
}

static void test_binomial(void) {
  static size_t table[80][6];
  for (size_t n = 2; n < 80; n++)
    for (size_t s = 1; s < 6; s++) {
      size_t range[2];
      cst_checkpoints_split(n, s, &range[0], &range[1]);
      CU_ASSERT(range[0] >= 1 && range[0] <= range[1] && range[1] < n);
      for (int k = 0; k < 2; k++)
        CU_ASSERT_EQUAL(range[k] + least_cost(n - range[k], s - 1, table) + least_cost(range[k], s, table),
                        least_cost(n, s, table));
    }
}

static void test_single_precision(void) {
  const char *methods[] = {"adjoint.discrete", "adjoint.backsolve"};
  for (int m = 0; m < 2; m++) {
    taped t;
    gradient exact, found;
    taped_new(&t, ctx, 2, field_lotka, CST_F32, "dopri5", false, 0);
    CU_ASSERT_EQUAL(taped_solve(&t, gradient_start, gradient_forth, 9, false), CST_OK);
    complex_gradient(&t, gradient_start, &exact);
    method_of(&t, methods[m], &found, NULL);
    CU_ASSERT(gradient_distance(&found, &exact) < (m ? 2e-3 : 2e-5));
    taped_free(&t);
  }
}

/* ---- backsolve ----------------------------------------------------------------------------------- */

static double backsolve_error(field_fn *field, const char *solver, const double *times, size_t n,
                              const gradient *exact, double tol, bool seminorm) {
  const cst_gradient_type *m = cst_find(ctx, CST_KIND_GRADIENT, "adjoint.backsolve")->type;
  cst_options *o;
  cst_given given[] = {{.name = "seminorm", .kind = CST_BOOLEAN, .number = seminorm}};
  CU_ASSERT_EQUAL_FATAL(cst_options_new(ctx, "backsolve", m->options, given, 1, &o), CST_OK);
  taped t;
  gradient found;
  taped_new(&t, ctx, 2, field, CST_F64, solver, false, 0);
  t.config.rtol = t.config.atol = tol;
  if (t.config.step > 0) t.config.step = 0.01;
  CU_ASSERT_EQUAL(taped_solve(&t, gradient_start, times, n, false), CST_OK);
  void *state = method_new(&t, m, o);
  CU_ASSERT_EQUAL(method_run(&t, m, state, &found, NULL), CST_OK);
  m->destroy(cst_host_of(ctx), state);
  cst_options_free(ctx, o);
  taped_free(&t);
  return gradient_distance(&found, exact);
}

static void converges(field_fn *field, const double *times, size_t n) {
  taped t;
  gradient exact;
  taped_new(&t, ctx, 2, field, CST_F64, "tsit5", false, 0);
  t.config.rtol = t.config.atol = 1e-13;
  CU_ASSERT_EQUAL(taped_solve(&t, gradient_start, times, n, field == field_lotka), CST_OK);
  complex_gradient(&t, gradient_start, &exact);
  taped_free(&t);
  for (int seminorm = 0; seminorm < 2; seminorm++)
    for (double tol = 1e-4; tol > 1e-11; tol /= 100) {
      double d = backsolve_error(field, "tsit5", times, n, &exact, tol, seminorm);
      if (!(d < 200 * tol && d > 0)) printf("backsolve at %g: %g\n", tol, d);
      CU_ASSERT(d < 200 * tol && d > 0);
    }
  CU_ASSERT(backsolve_error(field, "rk4", times, n, &exact, 1, true) < 1e-6); /* no error control hides a jump */
}

static void test_backsolve(void) {
  converges(field_lotka, gradient_forth, 9);
  converges(field_stepped, gradient_forth, 9);
  converges(field_stepped, gradient_back, 6);
}

/* No new solve at each output: within 3 times the forward evaluations for 30 outputs; a second run
 * allocates nothing. */
static void test_cost(void) {
  const cst_gradient_type *m[2] = {cst_find(ctx, CST_KIND_GRADIENT, "adjoint.backsolve")->type,
                                   cst_find(ctx, CST_KIND_GRADIENT, "adjoint.discrete")->type};
  double times[MAX_T];
  for (size_t i = 0; i < MAX_T; i++) times[i] = 8 * (double)i / (MAX_T - 1);
  taped t;
  gradient g;
  taped_new(&t, ctx, 2, field_forced, CST_F64, "dopri5", false, 0);
  t.config.rtol = t.config.atol = 1e-9;
  CU_ASSERT_EQUAL(taped_solve(&t, gradient_start, times, MAX_T, false), CST_OK);
  for (int i = 0; i < 2; i++) {
    void *state = method_new(&t, m[i], NULL);
    cst_solve_stats s = {0};
    CU_ASSERT_EQUAL(method_run(&t, m[i], state, &g, &s), CST_OK);
    CU_ASSERT(s.evaluations > 0 && s.evaluations < 3 * t.s.stats.evaluations);
    uint64_t before = cst_memory_of(ctx).allocations;
    CU_ASSERT_EQUAL(taped_solve(&t, gradient_start, times, MAX_T, false), CST_OK);
    CU_ASSERT_EQUAL(method_run(&t, m[i], state, &g, &s), CST_OK);
    CU_ASSERT_EQUAL(cst_memory_of(ctx).allocations, before);
    m[i]->destroy(cst_host_of(ctx), state);
  }
  taped_free(&t);
}

/* ---- by directions ------------------------------------------------------------------------------ */

/* Their derivatives are compared by tests/lua/every_gradient_spec.lua; here nobody offers to follow the solve. */
static void test_without_services(void) {
  const char *methods[] = {"adjoint.forward", "adjoint.finite"}, *said[] = {"tangents", "followed again"};
  taped t;
  gradient g;
  taped_new(&t, ctx, 2, field_lotka, CST_F64, "dopri5", false, 0);
  CU_ASSERT_EQUAL(taped_solve(&t, gradient_start, gradient_forth, 9, true), CST_OK);
  for (int i = 0; i < 2; i++) {
    const cst_gradient_type *m = cst_find(ctx, CST_KIND_GRADIENT, methods[i])->type;
    cst_options *o = NULL;
    CU_ASSERT_EQUAL_FATAL(cst_options_new(ctx, methods[i], m->options, NULL, 0, &o), CST_OK);
    void *state = method_new(&t, m, o);
    CU_ASSERT_EQUAL(method_run(&t, m, state, &g, NULL), CST_EUNSUPPORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), said[i]));
    m->destroy(cst_host_of(ctx), state);
    cst_options_free(ctx, o);
  }
  taped_free(&t);
}

int cst_suite_adjoint(void) {
  static CU_TestInfo tests[] = {{"discrete is the derivative of the steps", test_discrete},
                                {"discrete on a stiff problem", test_stiff},
                                {"no steps at all", test_no_steps},
                                {"a small memory budget", test_budget},
                                {"a number of states", test_checkpoints},
                                {"the binomial schedule", test_binomial},
                                {"single precision", test_single_precision},
                                {"backsolve converges with the tolerance", test_backsolve},
                                {"cost", test_cost},
                                {"a solve that cannot be followed again", test_without_services},
                                CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"adjoint", open, close, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(suites) != CUE_SUCCESS;
}
