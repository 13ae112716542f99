/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * An initial value problem as a solver sees it, its reference values, and one solve of it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detest.h"

static const double STEP = 1e-30;

/* The field at a point that moves along (t_dot, y_dot): real parts are the field, imaginary ones over
 * STEP the tangent. */
static void push(cst_rhs *f, double t, const double *y, const double *y_dot, double t_dot,
                 number *out) {
  const ivp *p = ((ivp_rhs *)f->self)->problem;
  number in[IVP_MAX_N];
  for (size_t i = 0; i < p->n; i++) in[i] = y[i] + (y_dot ? (number)I * STEP * y_dot[i] : 0);
  p->field(p->n, t + (number)I * STEP * t_dot, in, out);
}

static cst_status eval(cst_rhs *f, const double *t, const void *y, void *dy) {
  number out[IVP_MAX_N];
  push(f, *t, y, NULL, 0, out);
  for (size_t i = 0; i < f->n; i++) ((double *)dy)[i] = creal(out[i]);
  f->evaluations++;
  return CST_OK;
}

static cst_status jvp(cst_rhs *f, const double *t, const void *y, const void *y_dot, double t_dot,
                      void *dy, void *dy_dot) {
  number out[IVP_MAX_N];
  push(f, *t, y, y_dot, t_dot, out);
  for (size_t i = 0; i < f->n; i++) {
    if (dy) ((double *)dy)[i] = creal(out[i]);
    ((double *)dy_dot)[i] = cimag(out[i]) / STEP;
  }
  f->evaluations++;
  return CST_OK;
}

static cst_status jacobian(cst_rhs *f, const double *t, const void *y, void *jac, void *dfdt) {
  size_t n = f->n;
  number out[IVP_MAX_N];
  for (size_t k = 0; jac && k < n; k++) {
    double unit[IVP_MAX_N] = {0};
    unit[k] = 1;
    push(f, *t, y, unit, 0, out);
    for (size_t i = 0; i < n; i++) ((double *)jac)[i * n + k] = cimag(out[i]) / STEP;
  }
  if (dfdt) push(f, *t, y, NULL, 1, out);
  for (size_t i = 0; dfdt && i < n; i++) ((double *)dfdt)[i] = cimag(out[i]) / STEP;
  f->evaluations += (jac ? n : 0) + (dfdt != NULL);
  return CST_OK;
}

void ivp_rhs_init(ivp_rhs *f, const ivp *p) {
  size_t band = p->band ? p->band : SIZE_MAX;
  *f = (ivp_rhs){.part = {.name = "y", .n = p->n}, .problem = p};
  f->rhs = (cst_rhs){.struct_size = sizeof(cst_rhs), .dtype = CST_F64, .rows = 1, .n = p->n,
                     .n_stage = p->n, .parts = &f->part, .n_parts = 1, .self = f, .eval = eval,
                     .jvp = jvp, .jacobian = jacobian, .lower = band, .upper = band};
}

void ivp_start(const ivp *p, double *y) {
  memset(y, 0, p->n * sizeof *y);
  if (p->start) p->start(y);
  else memcpy(y, p->y0, p->given * sizeof *y);
}

/* Numbers up to the end of the line; SIZE_MAX when one cannot be read or they are too many. */
static size_t read_numbers(FILE *f, double *out, size_t most) {
  size_t n = 0;
  for (int c; (c = fgetc(f)) != '\n' && c != EOF;) {
    if (c == ' ') continue;
    ungetc(c, f);
    if (n == most || fscanf(f, "%lf", &out[n++]) != 1) return SIZE_MAX;
  }
  return n;
}

bool ivp_reference(const ivp *p, const char *file, double *end) {
  char path[1024], name[32];
  const char *data = getenv("COSTATE_TEST_DATA");
  snprintf(path, sizeof path, "%s/%s", data ? data : "", file);
  FILE *f = fopen(path, "r");
  bool found = false;
  while (f && !found && fscanf(f, "%31s", name) == 1) {
    size_t n;
    if (strcmp(name, p->name) == 0)
      found = fscanf(f, "%zu", &n) == 1 && n == p->n && read_numbers(f, end, IVP_MAX_N) == n;
    else for (int c = 0; c != '\n' && c != EOF;) c = fgetc(f);
  }
  if (f) fclose(f);
  return found;
}

/* ---- solves ------------------------------------------------------------------------------------ */

enum { MOST_PLUGINS = 64 };
typedef struct plugins {
  char name[MOST_PLUGINS][64];
  size_t n;
} plugins;

static void note(void *arg, const char *name, const char *path) {
  plugins *p = arg;
  (void)path;
  if (p->n < MOST_PLUGINS) snprintf(p->name[p->n++], sizeof p->name[0], "%s", name);
}

bool ivp_load_all(cst_context *ctx) {
  plugins p = {.n = 0};
  cst_plugin_available(ctx, note, &p);
  for (size_t i = 0; i < p.n; i++)
    if (cst_plugin_load(ctx, p.name[i]) != CST_OK) {
      printf("%s: %s\n", p.name[i], cst_message(ctx));
      return false;
    }
  return p.n > 0 && p.n < MOST_PLUGINS;
}

cst_status ivp_solve(cst_context *ctx, const cst_solver_type *solver, const ivp *p, double rtol,
                     double atol, double *y, cst_solve_stats *stats) {
  ivp_rhs f;
  cst_integrator *integrator;
  cst_options *o;
  const double times[2] = {0, p->t1};
  ivp_rhs_init(&f, p);
  ivp_start(p, y);
  cst_integrator_config c = {
    .struct_size = sizeof c, .solver = solver, .dtype = CST_F64, .rows = 1, .n = p->n,
    .controller = cst_find(ctx, CST_KIND_CONTROLLER, "core.pi")->type, .n_stage = p->n,
    .rtol = rtol, .atol = atol, .max_steps = 20000000};
  cst_integration run = {.struct_size = sizeof run, .rhs = &f.rhs, .times = times, .n_times = 2,
                         .y = y, .stats = stats};
  CST_TRY(ode_coupled(ctx, solver, 0.9, &o));
  c.solver_options = o;
  cst_status st = cst_integrator_new(cst_host_of(ctx), &c, &integrator);
  if (st == CST_OK) st = cst_integrate(integrator, &run);
  cst_integrator_free(integrator);
  cst_options_free(ctx, o);
  return st;
}
