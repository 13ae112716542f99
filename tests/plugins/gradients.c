/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "gradients.h"

#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>
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
    double off = fabs(x[k] - y[k]);
    if (off > most || isnan(off)) most = off; /* nothing is larger than NaN */
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

void taped_with(taped *t, cst_context *ctx, size_t rows, field_fn *field, cst_dtype d, const cst_solver_type *solver,
                size_t budget) {
  memset(t, 0, sizeof *t);
  bool stiff = field == field_robertson, one = field == field_forced;
  problem_init(&t->p, field, d, rows, stiff ? 3 : one ? 1 : 2, field == field_lotka || field == field_stepped);
  t->ctx = ctx, t->type = *solver;
  t->config = ode_config(ctx, solver->name, &t->p);
  t->config.solver = &t->type;
  t->config.rtol = t->config.atol = 1e-5;
  t->config.step = t->type.traits & CST_ADAPTIVE ? 0 : 0.17;
  t->tape = cst_tape_new(ctx, budget);
  t->field = field;
}

void taped_new(taped *t, cst_context *ctx, size_t rows, field_fn *field, cst_dtype d, const char *solver,
               bool hermite, size_t budget) {
  taped_with(t, ctx, rows, field, d, ode_solver(ctx, solver), budget);
  if (hermite) t->type.dense = NULL, t->type.dense_vjp = NULL;
}

void taped_option(taped *t, const char *name, double value) {
  const cst_given given = {.name = name, .kind = CST_NUMBER, .number = value};
  CU_ASSERT_EQUAL_FATAL(cst_options_new(t->ctx, t->type.name, t->type.options, &given, 1, &t->options), CST_OK);
  t->config.solver_options = t->options;
}

void taped_follow(taped *t, size_t budget) {
  cst_tape_free(t->tape);
  t->tape = NULL;
  CU_ASSERT_EQUAL_FATAL(cst_trajectory_new(t->ctx, budget, &t->trajectory), CST_OK);
}

cst_status taped_solve(taped *t, const double *y0, const double *times, size_t n, bool stops) {
  if (!t->s.integrator) solve_init(&t->s, t->ctx, &t->config, &t->p);
  CU_ASSERT_FATAL(t->s.integrator && (t->tape || t->trajectory));
  if (t->tape) cst_tape_clear(t->tape);
  t->s.run.tape = t->undoable ? NULL : t->tape, t->s.run.undoable = t->undoable;
  t->s.run.trajectory = t->trajectory, t->s.run.stops = stops;
  if (t->field == field_stepped) t->s.run.breaks = problem_breaks, t->s.run.n_breaks = N_BREAKS;
  t->times = times, t->n = n;
  return solve_run(&t->s, y0, times, n);
}

void taped_free(taped *t) {
  solve_free(&t->s, t->ctx);
  cst_tape_free(t->tape);
  cst_trajectory_free(t->trajectory);
  cst_options_free(t->ctx, t->options);
}

double taped_loss(const taped *t) {
  double sum = 0;
  for (size_t i = 0; i < t->n; i++)
    for (size_t k = 0; k < t->p.rhs.n; k++) sum += gradient_weight(i, k) * t->s.value[i][k];
  return sum;
}

/* The loss with one of the inputs moved by d. */
static double moved(taped *t, const double *y0, const double *times, double *input, double d) {
  double keep = *input;
  *input += d;
  CU_ASSERT_EQUAL(solve_run(&t->s, y0, times, t->n), CST_OK);
  *input = keep;
  return taped_loss(t);
}

void taped_differences(taped *t, const double *start, gradient *g) {
  const double eps = 1e-4;
  double y0[MAX_N], times[MAX_T];
  memcpy(y0, start, t->p.rhs.n * sizeof *y0);
  memcpy(times, t->times, t->n * sizeof *times);
  double *input[3] = {y0, t->p.theta, times}, *output[3] = {g->y0, g->theta, g->times};
  const size_t n[3] = {t->p.rhs.n, 4, t->s.run.stops ? 0 : t->n};
  memset(g, 0, sizeof *g);
  t->s.run.tape = NULL, t->s.run.trajectory = NULL, t->s.run.undoable = false;
  t->s.run.schedule = &t->s.schedule;
  CU_ASSERT_EQUAL(solve_run(&t->s, y0, times, t->n), CST_OK);
  t->s.run.replay = true;
  for (int v = 0; v < 3; v++)
    for (size_t k = 0; k < n[v]; k++) {
      double near = moved(t, y0, times, input[v] + k, eps) - moved(t, y0, times, input[v] + k, -eps);
      double far = moved(t, y0, times, input[v] + k, 2 * eps) - moved(t, y0, times, input[v] + k, -2 * eps);
      output[v][k] = (8 * near - far) / (12 * eps);
    }
  t->s.run.replay = false, t->s.run.schedule = NULL;
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

static cst_gradient_config config_of(const taped *t, const cst_options *o) {
  return (cst_gradient_config){.struct_size = sizeof(cst_gradient_config), .host = cst_host_of(t->ctx), .options = o,
                               .forward = &t->config, .n_captures_scalars = 4};
}

void *method_new(taped *t, const cst_gradient_type *m, const cst_options *o) {
  void *state = NULL;
  cst_gradient_config c = config_of(t, o);
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
    .integrator = t->s.integrator, .redo = t->undoable ? cst_integrator_undo : cst_integrator_redo, .self = t,
    .value = value, .value_bar = value_bar, .y0_bar = y0, .times_bar = g->times, .capture_bar = bars,
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

cst_status method_pull(taped *t, const char *name, gradient *g, cst_solve_stats *stats) {
  const cst_gradient_type *m = method_type(t->ctx, name);
  cst_gradient_config c = config_of(t, NULL);
  void *state = NULL;
  memset(g, 0, sizeof *g);
  CST_TRY(m->accepts(c.host, &t->type));
  CST_TRY(m->create(&c, &state));
  cst_status st = method_run(t, m, state, g, stats);
  m->destroy(c.host, state);
  return st;
}

void method_of(taped *t, const char *name, gradient *g, cst_solve_stats *stats) {
  const cst_gradient_type *m = method_type(t->ctx, name);
  void *state = method_new(t, m, NULL);
  cst_status st = method_run(t, m, state, g, stats);
  if (st != CST_OK) printf("%s, %s: %s\n", t->type.name, name, cst_message(t->ctx));
  CU_ASSERT_EQUAL(st, CST_OK);
  m->destroy(cst_host_of(t->ctx), state);
}
