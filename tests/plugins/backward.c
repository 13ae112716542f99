/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backward.h"

#include <CUnit/CUnit.h>
#include <math.h>
#include <string.h>

double backward_weight(size_t i, size_t k) { return i == 2 ? 0 : cos((double)(3 * i + k)) + 0.2; }

void backward_new(backward *b, cst_context *ctx, field_fn *field, cst_dtype d, const cst_solver_type *solver) {
  memset(b, 0, sizeof *b);
  b->ctx = ctx, b->type = *solver;
  problem_init(&b->p, field, d, 2, 2, 1);
  b->config = ode_config(ctx, "dopri5", &b->p);
  b->config.solver = &b->type;
  b->config.rtol = b->config.atol = 1e-5;
  b->config.step = b->type.traits & CST_ADAPTIVE ? 0 : 0.17;
}

void backward_option(backward *b, const char *name, double value) {
  const cst_given given = {.name = name, .kind = CST_NUMBER, .number = value};
  CU_ASSERT_EQUAL_FATAL(cst_options_new(b->ctx, b->type.name, b->type.options, &given, 1, &b->options), CST_OK);
  b->config.solver_options = b->options;
}

cst_status backward_solve(backward *b, const double *y0, const double *times, size_t n) {
  if (!b->s.integrator) solve_init(&b->s, b->ctx, &b->config, &b->p);
  if (!b->tape) b->tape = cst_tape_new(b->ctx, b->budget);
  CU_ASSERT_FATAL(b->s.integrator && b->tape);
  cst_tape_clear(b->tape);
  b->s.run.tape = b->undoable ? NULL : b->tape, b->s.run.undoable = b->undoable;
  if (b->p.field == field_stepped) b->s.run.breaks = problem_breaks, b->s.run.n_breaks = N_BREAKS;
  b->times = times, b->n = n;
  return solve_run(&b->s, y0, times, n);
}

static void value(void *self, size_t i, void *y) {
  backward *b = self;
  for (size_t k = 0; k < b->p.rhs.n; k++) problem_set(&b->p, y, k, b->s.value[i][k]);
}
static bool value_bar(void *self, size_t i, void *bar) {
  backward *b = self;
  for (size_t k = 0; k < b->p.rhs.n; k++) problem_set(&b->p, bar, k, backward_weight(i, k));
  return i != 2;
}

static cst_status pull(backward *b, const cst_gradient_type *m, void *state, backward_gradient *g) {
  double y0[MAX_N] = {0}, theta[MAX_THETA] = {0}; /* of doubles or floats */
  void *bars[1] = {theta};
  size_t counts[1] = {4};
  cst_integrator *i = b->s.integrator;
  cst_solve_pullback p = {
    .struct_size = sizeof p, .rhs = &b->p.rhs, .times = b->times, .n_times = b->n,
    .solver_state = cst_integrator_solver_state(i), .solver = &b->type, .integrator = i,
    .redo = b->undoable ? cst_integrator_undo : cst_integrator_redo, .self = b, .value = value, .value_bar = value_bar,
    .y0_bar = y0, .times_bar = g->times, .capture_bar = bars, .capture_count = counts, .n_captures = 1,
    .breaks = b->s.run.breaks, .n_breaks = b->s.run.n_breaks};
  p.n_steps = cst_integrator_n_steps(i);
  memset(b->p.theta_bar, 0, sizeof b->p.theta_bar);
  cst_status st = m->pullback(state, &p);
  for (size_t k = 0; k < b->p.rhs.n; k++) g->y0[k] = problem_get(&b->p, y0, k);
  for (size_t k = 0; k < 4; k++) g->theta[k] = problem_get(&b->p, theta, k) + b->p.theta_bar[k];
  return st;
}

cst_status backward_pull(backward *b, const char *method, backward_gradient *g) {
  const cst_gradient_type *m = cst_find(b->ctx, CST_KIND_GRADIENT, method)->type;
  cst_gradient_config c = {.struct_size = sizeof c, .host = cst_host_of(b->ctx), .forward = &b->config,
                           .n_captures_scalars = 4};
  void *state = NULL;
  memset(g, 0, sizeof *g);
  CST_TRY(m->accepts(c.host, &b->type));
  CST_TRY(m->create(&c, &state));
  cst_status st = pull(b, m, state, g);
  m->destroy(c.host, state);
  return st;
}

double backward_loss(const backward *b) {
  double sum = 0;
  for (size_t i = 0; i < b->n; i++)
    for (size_t k = 0; k < b->p.rhs.n; k++) sum += backward_weight(i, k) * b->s.value[i][k];
  return sum;
}

/* The loss with one of the inputs moved by d. */
static double moved(backward *b, const double *y0, const double *times, double *input, double d) {
  double keep = *input;
  *input += d;
  CU_ASSERT_EQUAL(solve_run(&b->s, y0, times, b->n), CST_OK);
  *input = keep;
  return backward_loss(b);
}

void backward_differences(backward *b, const double *start, backward_gradient *g) {
  const double eps = 1e-4;
  double y0[MAX_N], times[BACKWARD_TIMES];
  memcpy(y0, start, b->p.rhs.n * sizeof *y0);
  memcpy(times, b->times, b->n * sizeof *times);
  double *input[3] = {y0, b->p.theta, times}, *output[3] = {g->y0, g->theta, g->times};
  const size_t n[3] = {b->p.rhs.n, 4, b->s.run.stops ? 0 : b->n};
  memset(g, 0, sizeof *g);
  b->s.run.tape = NULL, b->s.run.undoable = false;
  b->s.run.schedule = &b->s.schedule;
  CU_ASSERT_EQUAL(solve_run(&b->s, y0, times, b->n), CST_OK);
  b->s.run.replay = true;
  for (int v = 0; v < 3; v++)
    for (size_t k = 0; k < n[v]; k++) {
      double near = moved(b, y0, times, input[v] + k, eps) - moved(b, y0, times, input[v] + k, -eps);
      double far = moved(b, y0, times, input[v] + k, 2 * eps) - moved(b, y0, times, input[v] + k, -2 * eps);
      output[v][k] = (8 * near - far) / (12 * eps);
    }
  b->s.run.replay = false, b->s.run.schedule = NULL;
}

double backward_distance(const backward_gradient *a, const backward_gradient *b) {
  const double *x = (const double *)a, *y = (const double *)b;
  double most = 0, size = 1;
  for (size_t k = 0; k < sizeof *a / sizeof(double); k++) {
    if (!(fabs(x[k] - y[k]) <= most)) most = fabs(x[k] - y[k]); /* a NaN too */
    size = fmax(size, fabs(y[k]));
  }
  return most / size;
}

void backward_free(backward *b) {
  solve_free(&b->s, b->ctx);
  cst_tape_free(b->tape);
  cst_options_free(b->ctx, b->options);
}
