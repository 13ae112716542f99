/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "problem.h"

#include <math.h>
#include <string.h>

static const double STEP = 1e-30;

void field_rotation(number t, const number *y, const number *theta, number *dy, number *dq) {
  (void)t, (void)dq;
  dy[0] = theta[0] * y[1];
  dy[1] = -theta[0] * y[0];
}

void field_lotka(number t, const number *y, const number *theta, number *dy, number *dq) {
  dy[0] = theta[0] * y[0] - theta[1] * y[0] * y[1];
  dy[1] = -theta[2] * y[1] + theta[3] * y[0] * y[1] + 0.1 * csin(t);
  dq[0] = y[0] * y[1] + t * theta[0];
}

void field_forced(number t, const number *y, const number *theta, number *dy, number *dq) {
  (void)dq;
  dy[0] = -theta[0] * y[0] + theta[1] * csin(theta[2] * t);
}

void field_blow_up(number t, const number *y, const number *theta, number *dy, number *dq) {
  (void)t, (void)theta, (void)dq;
  dy[0] = y[0] * y[0];
}

void field_pair(number t, const number *y, const number *theta, number *dy, number *dq) {
  field_rotation(t, y, theta, dy, dq);
  dy[2] = -y[2];
  dq[0] = y[0];
}

void field_duffing(number t, const number *y, const number *theta, number *dy, number *dq) {
  (void)theta;
  dy[0] = y[1];
  dy[1] = -y[0] - y[0] * y[0] * y[0] + 0.5 * ccos(t);
  dq[0] = y[0] * y[0];
}

const double problem_breaks[N_BREAKS] = {-1, -0.2, 0, 0.2, 0.9, 1, 1.3, 2};
double problem_level(size_t k) { return cos(7 * (double)k); }

void field_stepped(number t, const number *y, const number *theta, number *dy, number *dq) {
  size_t k = 0;
  while (k < N_BREAKS && problem_breaks[k] <= creal(t)) k++;
  dy[0] = -theta[0] * y[0] + problem_level(k);
  dy[1] = theta[1] * y[0] * problem_level(k) - theta[2] * y[1] + 0.1 * csin(t);
  dq[0] = y[0] * y[1] + t * theta[0] * problem_level(k);
}

void field_van_der_pol(number t, const number *y, const number *theta, number *dy, number *dq) {
  (void)t, (void)theta, (void)dq;
  dy[0] = y[1];
  dy[1] = 1000 * (1 - y[0] * y[0]) * y[1] - y[0];
}

void field_oregonator(number t, const number *y, const number *theta, number *dy, number *dq) {
  (void)t, (void)theta, (void)dq;
  dy[0] = 77.27 * (y[1] + y[0] * (1 - 8.375e-6 * y[0] - y[1]));
  dy[1] = (y[2] - (1 + y[0]) * y[1]) / 77.27;
  dy[2] = 0.161 * (y[0] - y[2]);
}

void field_hires(number t, const number *y, const number *theta, number *dy, number *dq) {
  (void)t, (void)theta, (void)dq;
  number r = 280 * y[5] * y[7];
  dy[0] = -1.71 * y[0] + 0.43 * y[1] + 8.32 * y[2] + 0.0007;
  dy[1] = 1.71 * y[0] - 8.75 * y[1];
  dy[2] = -10.03 * y[2] + 0.43 * y[3] + 0.035 * y[4];
  dy[3] = 8.32 * y[1] + 1.71 * y[2] - 1.12 * y[3];
  dy[4] = -1.745 * y[4] + 0.43 * y[5] + 0.43 * y[6];
  dy[5] = -r + 0.69 * y[3] + 1.71 * y[4] - 0.43 * y[5] + 0.69 * y[6];
  dy[6] = r - 1.81 * y[6];
  dy[7] = -r + 1.81 * y[6];
}

void field_robertson(number t, const number *y, const number *theta, number *dy, number *dq) {
  (void)t, (void)dq;
  number a = 0.04 * theta[0] * y[0], b = 1e4 * theta[1] * y[1] * y[2];
  number c = 3e7 * theta[2] * y[1] * y[1];
  dy[0] = -a + b, dy[1] = a - b - c, dy[2] = c;
}

void field_fast(number t, const number *y, const number *theta, number *dy, number *dq) {
  (void)theta;
  dy[0] = -1e-3 * y[0];
  dq[0] = y[0] * csin(20 * t);
}

double problem_get(const problem *p, const void *v, size_t i) {
  return p->rhs.dtype == CST_F32 ? (double)((const float *)v)[i] : ((const double *)v)[i];
}
void problem_set(const problem *p, void *v, size_t i, double x) {
  if (p->rhs.dtype == CST_F32) ((float *)v)[i] = (float)x;
  else ((double *)v)[i] = x;
}

void problem_slope(const problem *p, number t, const number *y, const number *theta, number *dy) {
  number unused[1];
  size_t stage = p->rhs.rows * p->d;
  for (size_t r = 0; r < p->rhs.rows; r++)
    p->field(t, y + r * p->d, theta, dy + r * p->d, p->q ? dy + stage + r * p->q : unused);
}

static void load(const problem *p, const void *y, number *out) {
  for (size_t i = 0; i < p->rhs.n_stage; i++) out[i] = problem_get(p, y, i);
}

static cst_status eval(cst_rhs *f, const double *t, const void *y, void *dy) {
  problem *p = f->self;
  number in[MAX_N] = {0}, out[MAX_N] = {0}, theta[MAX_THETA];
  for (size_t i = 0; i < p->n_theta; i++) theta[i] = p->theta[i];
  load(p, y, in);
  problem_slope(p, *t, in, theta, out);
  for (size_t i = 0; i < f->n; i++) problem_set(p, dy, i, *t > p->bad_after ? nan("") : creal(out[i]));
  p->low = fmin(p->low, *t), p->high = fmax(p->high, *t);
  f->evaluations++;
  return CST_OK;
}

/* The residual is the state: MAX_N doubles. */
static cst_status eval_keep(cst_rhs *f, const double *t, const void *y, void *dy, void *residual) {
  if (residual) {
    memset(residual, 0, MAX_N * sizeof(double));
    memcpy(residual, y, f->n_stage * cst_dtype_size((cst_dtype)f->dtype));
  }
  return eval(f, t, y, dy);
}

/* lambda . df for one input moved by i STEP. */
static double moved(const problem *p, number t, const number *y, const number *theta,
                    const void *lambda) {
  number dy[MAX_N] = {0};
  double sum = 0;
  problem_slope(p, t, y, theta, dy);
  for (size_t i = 0; i < p->rhs.n; i++) sum += problem_get(p, lambda, i) * cimag(dy[i]) / STEP;
  return sum;
}

static void transpose(problem *p, double t, const void *y, const void *lambda, double *y_bar,
                      double *t_bar, double *theta_bar) {
  number in[MAX_N] = {0}, theta[MAX_THETA];
  for (size_t i = 0; i < p->n_theta; i++) theta[i] = p->theta[i];
  load(p, y, in);
  for (size_t i = 0; i < p->rhs.n_stage; i++) {
    in[i] += (number)I * STEP;
    y_bar[i] = moved(p, t, in, theta, lambda);
    in[i] -= (number)I * STEP;
  }
  for (size_t i = 0; i < p->n_theta; i++) {
    theta[i] += (number)I * STEP;
    theta_bar[i] = moved(p, t, in, theta, lambda);
    theta[i] -= (number)I * STEP;
  }
  *t_bar = moved(p, t + (number)I * STEP, in, theta, lambda);
}

static cst_status pullback(cst_rhs *f, const double *t, const void *residual, const void *lambda,
                           void *y_bar, double *t_bar) {
  problem *p = f->self;
  double y[MAX_N], time, theta[MAX_THETA];
  transpose(p, *t, residual, lambda, y, &time, theta);
  for (size_t i = 0; i < f->n_stage; i++)
    problem_set(p, y_bar, i, problem_get(p, y_bar, i) + y[i]);
  for (size_t i = 0; i < p->n_theta; i++) p->theta_bar[i] += theta[i];
  if (t_bar) *t_bar += time;
  f->pullbacks++;
  return CST_OK;
}

static cst_status vector_jacobian(cst_rhs *f, const double *t, const void *y, const void *lambda,
                                  void *dy, void *y_bar, double *t_bar, void *capture_bar) {
  problem *p = f->self;
  double bar[MAX_N], time, theta[MAX_THETA];
  transpose(p, *t, y, lambda, bar, &time, theta);
  for (size_t i = 0; y_bar && i < f->n_stage; i++) problem_set(p, y_bar, i, bar[i]);
  for (size_t i = 0; capture_bar && i < p->n_theta; i++) problem_set(p, capture_bar, i, theta[i]);
  if (t_bar) *t_bar = time;
  return dy ? eval(f, t, y, dy) : CST_OK;
}

/* The field at a point that moves along (t_dot, y_dot): real parts are dy, imaginary ones over STEP the tangent. */
static void push(const problem *p, double t, const void *y, const double *y_dot, double t_dot, number *out) {
  number in[MAX_N] = {0}, theta[MAX_THETA];
  for (size_t i = 0; i < p->n_theta; i++) theta[i] = p->theta[i];
  load(p, y, in);
  for (size_t i = 0; i < p->rhs.n_stage; i++) in[i] += (number)I * STEP * y_dot[i];
  problem_slope(p, t + (number)I * STEP * t_dot, in, theta, out);
}

static cst_status jvp(cst_rhs *f, const double *t, const void *y, const void *y_dot, double t_dot, void *dy,
                      void *dy_dot) {
  problem *p = f->self;
  double v[MAX_N];
  number out[MAX_N] = {0};
  for (size_t i = 0; i < f->n_stage; i++) v[i] = problem_get(p, y_dot, i);
  push(p, *t, y, v, t_dot, out);
  for (size_t i = 0; i < f->n; i++) problem_set(p, dy_dot, i, cimag(out[i]) / STEP);
  return dy ? eval(f, t, y, dy) : CST_OK;
}

static cst_status jacobian(cst_rhs *f, const double *t, const void *y, void *jac, void *dfdt) {
  problem *p = f->self;
  size_t d = p->d;
  number out[MAX_N] = {0};
  for (size_t k = 0; k <= d; k++) { /* column d is that of t */
    double v[MAX_N] = {0};
    for (size_t r = 0; k < d && r < f->rows; r++) v[r * d + k] = 1;
    push(p, *t, y, v, k == d, out);
    for (size_t i = 0; i < f->rows * d; i++) {
      if (k < d && jac) problem_set(p, jac, i * d + k, cimag(out[i]) / STEP);
      if (k == d && dfdt) problem_set(p, dfdt, i, cimag(out[i]) / STEP);
    }
  }
  f->evaluations += d + (dfdt != NULL);
  return CST_OK;
}

void problem_init(problem *p, field_fn *field, cst_dtype dtype, size_t rows, size_t d, size_t q) {
  *p = (problem){.field = field, .d = d, .q = q, .theta = {1.5, 1, 3, 0.8}, .n_theta = 4,
                 .low = HUGE_VAL, .high = -HUGE_VAL, .bad_after = HUGE_VAL};
  p->part[0] = (cst_part){.name = "y", .n = d};
  p->part[1] = (cst_part){.name = "q", .n = q, .flags = CST_PART_QUADRATURE, .offset = rows * d};
  p->rhs = (cst_rhs){.struct_size = sizeof(cst_rhs), .dtype = (uint8_t)dtype, .rows = rows,
                     .n = rows * (d + q), .n_stage = rows * d, .parts = p->part,
                     .n_parts = q ? 2 : 1, .residual_bytes = (MAX_N * sizeof(double) + 63) & ~63u,
                     .self = p, .eval = eval, .eval_keep = eval_keep, .pullback = pullback,
                     .vector_jacobian = vector_jacobian, .n_captures = 4, .jvp = jvp,
                     .jacobian = jacobian, .lower = SIZE_MAX, .upper = SIZE_MAX};
}

cst_context *ode_context(void) {
  cst_context *ctx = cst_context_new(NULL);
  if (ctx && (cst_plugin_load(ctx, "rk") || cst_plugin_load(ctx, "reversible") || cst_plugin_load(ctx, "adjoint"))) {
    cst_context_free(ctx);
    return NULL;
  }
  return ctx;
}

cst_context *ode_context_with(const char *plugin) {
  cst_context *ctx = ode_context();
  if (!ctx || cst_plugin_load(ctx, plugin) == CST_OK) return ctx;
  cst_context_free(ctx);
  return NULL;
}

const cst_solver_type *ode_solver_at(cst_context *ctx, size_t i, bool (*is)(const cst_entry *e)) {
  const cst_entry *e = cst_entry_at(ctx, CST_KIND_SOLVER, i);
  return is(e) ? e->type : NULL;
}
bool is_ordinary(const cst_entry *e) {
  const cst_solver_type *t = e->type;
  return !(t->traits & (CST_STOCHASTIC | CST_IMPLICIT | CST_SYMPLECTIC | CST_SINGLE));
}
bool is_reversible(const cst_entry *e) { return ((const cst_solver_type *)e->type)->traits & CST_REVERSIBLE; }
bool is_rk(const cst_entry *e) { return strcmp(e->plugin, "rk") == 0; }
bool is_esdirk(const cst_entry *e) { return strcmp(e->plugin, "esdirk") == 0; }

const cst_solver_type *ode_solver(cst_context *ctx, const char *name) {
  const cst_entry *e = cst_find(ctx, CST_KIND_SOLVER, name);
  return e ? e->type : NULL;
}

cst_status ode_create(cst_context *ctx, const cst_solver_type *t, const problem *p, void **state) {
  cst_options *o = NULL;
  cst_solver_config c = {.struct_size = sizeof c, .host = cst_host_of(ctx), .type = t, .dtype = p->rhs.dtype,
                         .rows = p->rhs.rows, .n = p->rhs.n, .n_stage = p->rhs.n_stage};
  if (t->options) CST_TRY(cst_options_new(ctx, t->name, t->options, NULL, 0, &o));
  c.options = o;
  cst_status st = t->create(&c, state);
  cst_options_free(ctx, o);
  return st;
}

cst_status ode_coupled(cst_context *ctx, const cst_solver_type *t, double coupling, cst_options **o) {
  const cst_given given = {.name = "coupling", .kind = CST_NUMBER, .number = coupling};
  return cst_options_new(ctx, t->name, t->options, &given, ode_has_coupling(t), o);
}
bool ode_has_coupling(const cst_solver_type *t) { return t->options && strcmp(t->options[0].name, "coupling") == 0; }

size_t ode_block(const cst_solver_type *t, const problem *p) {
  return (1 + (CST_HAS(t, carry) ? t->carry : 0)) * p->rhs.n;
}

cst_status ode_begin(const cst_solver_type *t, void *state, problem *p, double time, const void *y, void *f0) {
  const cst_step at = {.struct_size = sizeof at, .rhs = &p->rhs, .t = &time, .y = y};
  CST_TRY(p->rhs.eval(&p->rhs, &time, y, f0));
  return CST_HAS(t, carry) ? t->start(state, &at, f0) : CST_OK;
}

cst_integrator_config ode_config(cst_context *ctx, const char *solver, const problem *p) {
  return (cst_integrator_config){
    .struct_size = sizeof(cst_integrator_config), .solver = ode_solver(ctx, solver),
    .controller = cst_find(ctx, CST_KIND_CONTROLLER, "core.pi")->type, .dtype = p->rhs.dtype,
    .rows = p->rhs.rows, .n = p->rhs.n, .n_stage = p->rhs.n_stage, .rtol = 1e-6, .atol = 1e-9,
    .max_steps = 100000};
}

static cst_status gather(void *arg, size_t i, void *y, bool *jumped) {
  solve *s = arg;
  (void)jumped;
  for (size_t k = 0; i < 64 && k < s->p->rhs.n; k++) s->value[i][k] = problem_get(s->p, y, k);
  if (i != s->given++) return CST_EINTERNAL; /* out of order */
  return CST_OK;
}

void solve_init(solve *s, cst_context *ctx, const cst_integrator_config *c, problem *p) {
  *s = (solve){.p = p};
  s->run = (cst_integration){.struct_size = sizeof s->run, .rhs = &p->rhs, .y = s->y, .at = gather,
                             .arg = s, .stats = &s->stats};
  if (cst_integrator_new(cst_host_of(ctx), c, &s->integrator)) s->integrator = NULL;
}

cst_status solve_run(solve *s, const double *y0, const double *times, size_t n) {
  for (size_t i = 0; i < s->p->rhs.n; i++) problem_set(s->p, s->y, i, y0[i]);
  s->run.times = times, s->run.n_times = n;
  s->given = 0, s->stats = (cst_solve_stats){0};
  s->p->low = HUGE_VAL, s->p->high = -HUGE_VAL;
  return cst_integrate(s->integrator, &s->run);
}

void solve_free(solve *s, cst_context *ctx) {
  cst_integrator_free(s->integrator);
  cst_schedule_free(ctx, &s->schedule);
}
