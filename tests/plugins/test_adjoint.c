/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Gradients of a solve. The reference of `discrete` takes the same steps with the same tableau in
 * complex numbers and differentiates them by the complex step: nothing of the solver is in it.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "implicit.h"
#include "problem.h"

int cst_suite_adjoint(void);

enum { MAX_T = 12 };
static cst_context *ctx;
static const double STEP = 1e-30;

static int open(void) { return (ctx = ode_context_with("esdirk")) ? 0 : 1; }
static int close(void) {
  cst_context_free(ctx);
  return 0;
}

/* L = sum over outputs i >= 0 and components k of weight(i, k) y_k(times[i]); output 2 has none. */
static double weight(size_t i, size_t k) { return i == 2 ? 0 : cos((double)(3 * i + k)) + 0.2; }

typedef struct gradient {
  double y0[MAX_N], theta[MAX_THETA], times[MAX_T];
} gradient;

/* ---- a solve and its pullback ------------------------------------------------------------- */

typedef struct taped {
  problem p;
  solve s;
  cst_tape *tape;
  cst_solver_type type;
  cst_integrator_config config;
  const double *times;
  size_t n;
  field_fn *field;
} taped;

static void value(void *self, size_t i, void *y) {
  taped *t = self;
  for (size_t k = 0; k < t->p.rhs.n; k++) problem_set(&t->p, y, k, t->s.value[i][k]);
}
static bool value_bar(void *self, size_t i, void *bar) {
  taped *t = self;
  for (size_t k = 0; k < t->p.rhs.n; k++) problem_set(&t->p, bar, k, weight(i, k));
  return i != 2;
}

static void taped_new(taped *t, field_fn *field, cst_dtype d, const char *solver, bool hermite,
                      size_t budget) {
  memset(t, 0, sizeof *t);
  bool stiff = field == field_robertson, lotka = !stiff && field != field_forced;
  problem_init(&t->p, field, d, 2, stiff ? 3 : lotka ? 2 : 1, lotka);
  t->config = ode_config(ctx, solver, &t->p);
  t->type = *t->config.solver;
  if (hermite) t->type.dense = NULL, t->type.dense_vjp = NULL;
  t->config.solver = &t->type;
  t->config.rtol = t->config.atol = 1e-5;
  t->config.step = t->type.traits & CST_ADAPTIVE ? 0 : 0.17;
  t->tape = cst_tape_new(ctx, budget);
  t->field = field;
}
static cst_status taped_solve(taped *t, const double *y0, const double *times, size_t n, bool stops) {
  if (!t->s.integrator) solve_init(&t->s, ctx, &t->config, &t->p);
  cst_tape_clear(t->tape);
  t->s.run.tape = t->tape, t->s.run.stops = stops;
  if (t->field == field_stepped) t->s.run.breaks = problem_breaks, t->s.run.n_breaks = N_BREAKS;
  t->times = times, t->n = n;
  return solve_run(&t->s, y0, times, n);
}
static void taped_free(taped *t) {
  solve_free(&t->s, ctx);
  cst_tape_free(t->tape);
}

static void *method_new(taped *t, const cst_gradient_type *m, const cst_options *o) {
  void *state = NULL;
  cst_gradient_config c = {.struct_size = sizeof c, .host = cst_host_of(ctx), .options = o,
                           .forward = &t->config, .n_captures_scalars = 4};
  CU_ASSERT_EQUAL(m->accepts(c.host, &t->type), CST_OK);
  CU_ASSERT_EQUAL(m->create(&c, &state), CST_OK);
  return state;
}

static cst_status method_run(taped *t, const cst_gradient_type *m, void *state, gradient *g,
                             cst_solve_stats *stats) {
  double y0[MAX_N] = {0}, theta[MAX_THETA] = {0}; /* of doubles or floats */
  void *bars[1] = {theta};
  size_t counts[1] = {4};
  cst_solve_pullback p = {
    .struct_size = sizeof p, .rhs = &t->p.rhs, .times = t->times, .n_times = t->n,
    .solver_state = cst_integrator_solver_state(t->s.integrator), .solver = &t->type,
    .integrator = t->s.integrator, .redo = cst_integrator_redo, .self = t, .value = value,
    .value_bar = value_bar, .y0_bar = y0, .times_bar = g->times, .capture_bar = bars,
    .capture_count = counts, .n_captures = 1, .stats = stats,
    .breaks = t->s.run.breaks, .n_breaks = t->s.run.n_breaks};
  p.steps = cst_integrator_steps(t->s.integrator, &p.n_steps);
  p.output_step = cst_integrator_output_steps(t->s.integrator);
  memset(t->p.theta_bar, 0, sizeof t->p.theta_bar);
  memset(g, 0, sizeof *g);
  cst_status st = m->pullback(state, &p);
  for (size_t k = 0; k < t->p.rhs.n; k++) g->y0[k] = problem_get(&t->p, y0, k);
  for (size_t k = 0; k < 4; k++) g->theta[k] = problem_get(&t->p, theta, k) + t->p.theta_bar[k];
  return st;
}

static void method_of(taped *t, const char *name, gradient *g, cst_solve_stats *stats) {
  const cst_gradient_type *m = cst_find(ctx, CST_KIND_GRADIENT, name)->type;
  void *state = method_new(t, m, NULL);
  CU_ASSERT_EQUAL(method_run(t, m, state, g, stats), CST_OK);
  m->destroy(cst_host_of(ctx), state);
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
  size_t n_steps;
  const cst_taped_step *step = cst_integrator_steps(s->s.integrator, &n_steps);
  complex_step c = {.t = times[0]};
  number sum = 0, f0[MAX_N] = {0};
  memcpy(c.y, y0, sizeof c.y);
  problem_slope(&s->p, c.t, c.y, theta, f0);
  for (size_t i = 0; i < (n_steps ? step[0].first_output : s->n); i++)
    for (size_t k = 0; k < s->p.rhs.n; k++)
      sum += weight(i, k) * (c.y[k] + (times[i] - times[0]) * f0[k]);
  for (size_t j = 0; j < n_steps; j++) {
    c.h = step[j].clip != SIZE_MAX ? times[step[j].clip] - c.t : step[j].at_break ? step[j].t1 - c.t : step[j].h;
    take(s, theta, &c);
    for (size_t i = step[j].first_output; i < step[j].first_output + step[j].n_outputs; i++)
      for (size_t k = 0; k < s->p.rhs.n; k++)
        sum += weight(i, k) * (creal(times[i]) == step[j].t1
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

static double distance(const gradient *a, const gradient *b) {
  const double *x = (const double *)a, *y = (const double *)b;
  double most = 0, size = 1;
  for (size_t k = 0; k < sizeof *a / sizeof(double); k++) {
    most = fmax(most, fabs(x[k] - y[k]));
    size = fmax(size, fabs(y[k]));
  }
  return most / size;
}

/* ---- discrete ---------------------------------------------------------------------------------- */

static const double start[6] = {1, 0.6, 1.4, 1.1, 0.2, -0.1};
static const double forth[9] = {0, 0, 0.3, 0.31, 0.9, 1.7, 1.7, 2, 2};
static const double back[6] = {1, 0.8, 0.8, 0.11, -0.4, -1};

/* The distance of the two gradients. */
static double compare(field_fn *field, const char *solver, bool hermite, bool stops, const double *y0,
                      const double *times, size_t n, size_t budget) {
  taped t;
  gradient exact, found;
  taped_new(&t, field, CST_F64, solver, hermite, budget);
  CU_ASSERT_EQUAL(taped_solve(&t, y0, times, n, stops), CST_OK);
  complex_gradient(&t, y0, &exact);
  method_of(&t, "adjoint.discrete", &found, NULL);
  double d = distance(&found, &exact);
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
        CU_ASSERT(compare(field_lotka, e->name, hermite, stops, start, forth, 9, 0) < 1e-12);
        CU_ASSERT(compare(field_lotka, e->name, hermite, stops, start, back, 6, 0) < 1e-12);
        CU_ASSERT(!jumps || compare(field_stepped, e->name, hermite, stops, start, forth, 9, 0) < 1e-12);
        CU_ASSERT(!jumps || compare(field_stepped, e->name, hermite, stops, start, back, 6, 0) < 1e-12);
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
  taped_new(&t, field_lotka, CST_F64, "dopri5", false, 0);
  CU_ASSERT_EQUAL(taped_solve(&t, start, times, 2, false), CST_OK);
  for (int m = 0; m < 2; m++) {
    method_of(&t, m ? "adjoint.backsolve" : "adjoint.discrete", &g, NULL);
    for (size_t k = 0; k < 6; k++)
      CU_ASSERT_DOUBLE_EQUAL(g.y0[k], weight(0, k) + weight(1, k), 1e-15);
    CU_ASSERT(g.theta[0] == 0);
  }
  taped_free(&t);
}

/* With little memory, steps are taken again: the same bits. With next to none, it says so. */
static void test_budget(void) {
  const char *solvers[] = {"dopri5", "rk4", "bosh3"};
  for (int i = 0; i < 6; i++)
    for (int hermite = 0; hermite < 2; hermite++) {
      gradient full, thin;
      size_t n, records = 0;
      for (int small = 0; small < 2; small++) {
        taped t;
        taped_new(&t, i < 3 ? field_lotka : field_stepped, CST_F64, solvers[i % 3], hermite, small ? 16384 : 0);
        CU_ASSERT_EQUAL(taped_solve(&t, start, forth, 9, false), CST_OK);
        const cst_taped_step *step = cst_integrator_steps(t.s.integrator, &n);
        for (size_t k = 0; small && k < n; k++) records += step[k].record != NULL;
        CU_ASSERT(!small || cst_tape_bytes(t.tape) <= 16384);
        method_of(&t, "adjoint.discrete", small ? &thin : &full, NULL);
        taped_free(&t);
      }
      CU_ASSERT(records > 0 && records < n);
      CU_ASSERT_EQUAL(memcmp(&full, &thin, sizeof full), 0);
    }
  taped t;
  taped_new(&t, field_lotka, CST_F64, "dopri5", false, 640);
  CU_ASSERT_EQUAL(taped_solve(&t, start, forth, 9, false), CST_ENOMEM);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "memory budget"));
  taped_free(&t);
}

static void test_single_precision(void) {
  const char *methods[] = {"adjoint.discrete", "adjoint.backsolve"};
  for (int m = 0; m < 2; m++) {
    taped t;
    gradient exact, found;
    taped_new(&t, field_lotka, CST_F32, "dopri5", false, 0);
    CU_ASSERT_EQUAL(taped_solve(&t, start, forth, 9, false), CST_OK);
    complex_gradient(&t, start, &exact);
    method_of(&t, methods[m], &found, NULL);
    CU_ASSERT(distance(&found, &exact) < (m ? 2e-3 : 2e-5));
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
  taped_new(&t, field, CST_F64, solver, false, 0);
  t.config.rtol = t.config.atol = tol;
  if (t.config.step > 0) t.config.step = 0.01;
  CU_ASSERT_EQUAL(taped_solve(&t, start, times, n, false), CST_OK);
  void *state = method_new(&t, m, o);
  CU_ASSERT_EQUAL(method_run(&t, m, state, &found, NULL), CST_OK);
  m->destroy(cst_host_of(ctx), state);
  cst_options_free(ctx, o);
  taped_free(&t);
  return distance(&found, exact);
}

static void converges(field_fn *field, const double *times, size_t n) {
  taped t;
  gradient exact;
  taped_new(&t, field, CST_F64, "tsit5", false, 0);
  t.config.rtol = t.config.atol = 1e-13;
  CU_ASSERT_EQUAL(taped_solve(&t, start, times, n, field == field_lotka), CST_OK);
  complex_gradient(&t, start, &exact);
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
  converges(field_lotka, forth, 9);
  converges(field_stepped, forth, 9);
  converges(field_stepped, back, 6);
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
  taped_new(&t, field_forced, CST_F64, "dopri5", false, 0);
  t.config.rtol = t.config.atol = 1e-9;
  CU_ASSERT_EQUAL(taped_solve(&t, start, times, MAX_T, false), CST_OK);
  for (int i = 0; i < 2; i++) {
    void *state = method_new(&t, m[i], NULL);
    cst_solve_stats s = {0};
    CU_ASSERT_EQUAL(method_run(&t, m[i], state, &g, &s), CST_OK);
    CU_ASSERT(s.evaluations > 0 && s.evaluations < 3 * t.s.stats.evaluations);
    uint64_t before = cst_memory_of(ctx).allocations;
    CU_ASSERT_EQUAL(taped_solve(&t, start, times, MAX_T, false), CST_OK);
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
  taped_new(&t, field_lotka, CST_F64, "dopri5", false, 0);
  CU_ASSERT_EQUAL(taped_solve(&t, start, forth, 9, true), CST_OK);
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
                                {"single precision", test_single_precision},
                                {"backsolve converges with the tolerance", test_backsolve},
                                {"cost", test_cost},
                                {"a solve that cannot be followed again", test_without_services},
                                CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"adjoint", open, close, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(suites) != CUE_SUCCESS;
}
