/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "gradients.h"

#include <CUnit/CUnit.h>
#include <math.h>
#include <string.h>

const double gradient_start[6] = {1, 0.6, 1.4, 1.1, 0.2, -0.1};
const double gradient_forth[9] = {0, 0, 0.3, 0.31, 0.9, 1.7, 1.7, 2, 2};
const double gradient_back[6] = {1, 0.8, 0.8, 0.11, -0.4, -1};

double gradient_weight(size_t i, size_t k) { return i == 2 ? 0 : cos((double)(3 * i + k)) + 0.2; }

/* Plugins over other libraries may be missing. */
cst_context *gradient_context(void) {
  cst_context *ctx = ode_context_with("esdirk");
  if (ctx) cst_plugin_load(ctx, "gsl"), cst_plugin_load(ctx, "sundials");
  return ctx;
}

double gradient_distance(const gradient *a, const gradient *b) {
  const double *x = (const double *)a, *y = (const double *)b;
  double most = 0, size = 1;
  for (size_t k = 0; k < sizeof *a / sizeof(double); k++) {
    most = fmax(most, fabs(x[k] - y[k]));
    size = fmax(size, fabs(y[k]));
  }
  return most / size;
}

static void value(void *self, size_t i, void *y) {
  taped *t = self;
  for (size_t k = 0; k < t->p.rhs.n; k++) problem_set(&t->p, y, k, t->s.value[i][k]);
}
static bool value_bar(void *self, size_t i, void *bar) {
  taped *t = self;
  for (size_t k = 0; k < t->p.rhs.n; k++) problem_set(&t->p, bar, k, gradient_weight(i, k));
  return i != 2;
}

void taped_new(taped *t, cst_context *ctx, size_t rows, field_fn *field, cst_dtype d, const char *solver,
               bool hermite, size_t budget) {
  memset(t, 0, sizeof *t);
  bool stiff = field == field_robertson, lotka = field != field_forced && field != field_van_der_pol && !stiff;
  bool one = field == field_forced;
  problem_init(&t->p, field, d, rows, stiff ? 3 : one ? 1 : 2, lotka);
  t->ctx = ctx;
  t->config = ode_config(ctx, solver, &t->p);
  t->type = *t->config.solver;
  if (hermite) t->type.dense = NULL, t->type.dense_vjp = NULL;
  t->config.solver = &t->type;
  t->config.rtol = t->config.atol = 1e-5;
  t->config.step = t->type.traits & CST_ADAPTIVE ? 0 : 0.17;
  t->tape = cst_tape_new(ctx, budget);
  t->field = field;
}

void taped_follow(taped *t, size_t budget) {
  cst_tape_free(t->tape);
  t->tape = NULL;
  CU_ASSERT_EQUAL_FATAL(cst_trajectory_new(t->ctx, budget, &t->trajectory), CST_OK);
}

cst_status taped_solve(taped *t, const double *y0, const double *times, size_t n, bool stops) {
  if (!t->s.integrator) solve_init(&t->s, t->ctx, &t->config, &t->p);
  if (t->tape) cst_tape_clear(t->tape);
  t->s.run.tape = t->tape, t->s.run.trajectory = t->trajectory, t->s.run.stops = stops;
  if (t->field == field_stepped) t->s.run.breaks = problem_breaks, t->s.run.n_breaks = N_BREAKS;
  t->times = times, t->n = n;
  return solve_run(&t->s, y0, times, n);
}

void taped_free(taped *t) {
  solve_free(&t->s, t->ctx);
  if (t->tape) cst_tape_free(t->tape);
  cst_trajectory_free(t->trajectory);
}

const cst_gradient_type *method_type(cst_context *ctx, const char *name) {
  const cst_entry *e = cst_find(ctx, CST_KIND_GRADIENT, name);
  return e ? e->type : NULL;
}

cst_options *options_of(cst_context *ctx, const cst_gradient_type *m, const char *name, cst_option_kind kind,
                        double value, const char *string) {
  cst_options *o = NULL;
  cst_given given = {.name = name, .kind = kind, .number = value, .string = string};
  CU_ASSERT_EQUAL_FATAL(cst_options_new(ctx, m->name, m->options, &given, 1, &o), CST_OK);
  return o;
}

void *method_new(taped *t, const cst_gradient_type *m, const cst_options *o) {
  void *state = NULL;
  cst_gradient_config c = {.struct_size = sizeof c, .host = cst_host_of(t->ctx), .options = o,
                           .forward = &t->config, .n_captures_scalars = 4};
  CU_ASSERT_EQUAL(m->accepts(c.host, &t->type), CST_OK);
  CU_ASSERT_EQUAL(m->create(&c, &state), CST_OK);
  return state;
}

cst_status method_run(taped *t, const cst_gradient_type *m, void *state, gradient *g,
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
    .breaks = t->s.run.breaks, .n_breaks = t->s.run.n_breaks, .trajectory = t->trajectory};
  p.n_steps = cst_integrator_n_steps(t->s.integrator);
  memset(t->p.theta_bar, 0, sizeof t->p.theta_bar);
  memset(g, 0, sizeof *g);
  cst_status st = m->pullback(state, &p);
  for (size_t k = 0; k < t->p.rhs.n; k++) g->y0[k] = problem_get(&t->p, y0, k);
  for (size_t k = 0; k < 4; k++) g->theta[k] = problem_get(&t->p, theta, k) + t->p.theta_bar[k];
  return st;
}

void method_of(taped *t, const char *name, gradient *g, cst_solve_stats *stats) {
  const cst_gradient_type *m = cst_find(t->ctx, CST_KIND_GRADIENT, name)->type;
  void *state = method_new(t, m, NULL);
  CU_ASSERT_EQUAL(method_run(t, m, state, g, stats), CST_OK);
  m->destroy(cst_host_of(t->ctx), state);
}
