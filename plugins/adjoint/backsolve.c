/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * backsolve: the adjoint differential equation, in memory that does not grow with the steps.
 *
 *     dz/dt = f(z, t, theta)                      z reset to the stored value at every output
 *     dlambda/dt = -lambda^T df/dz                lambda += g_i at t_i
 *     dG/dt = -lambda^T df/dtheta                 G(t1) = 0, G(t0) = dL/dtheta
 *
 * are solved as one state [z, lambda | G] from the last time to the first in one integration that
 * stops at the outputs and keeps its step size there. Then dL/dy0 = lambda(t0), and
 *
 *     dL/dt_i = g_i . f(z_i, t_i)  (i > 0),       dL/dt_0 = -lambda(t0) . f(z_0, t0)
 *
 * with lambda(t0) before g_0 is added. G is a quadrature part, and with `seminorm` it does not count
 * in the error norm (Kidger, Chen, Lyons, "Hey, that's not an ODE", 2021): it feeds back on nothing.
 * Quadrature parts of the forward state have a lambda that only jumps: it is held beside the state.
 *
 * The gradient is that of the exact solution up to the tolerances of both solves, not that of the
 * steps taken: it is wrong where z cannot be solved backwards (stiff or chaotic fields).
 */
#include "adjoint.h"

typedef struct backsolve {
  const cst_host *host;
  const cst_options *options;
  cst_integrator *integrator;
  size_t size, n_theta; /* of a scalar; capacity of G */
  cst_part *part;
  size_t part_capacity;
  unsigned char *vectors;
  unsigned char *y;      /* the augmented state */
  unsigned char *lambda; /* -lambda for the field; its tail, the quadrature parts, lives here only */
  unsigned char *value, *bar, *slope;
  const cst_solve_pullback *p; /* of the present call */
  cst_rhs rhs;           /* augmented */
  double *times;         /* backwards */
  size_t times_capacity;
} backsolve;

static size_t stage_bytes(const backsolve *b) { return b->p->rhs->n_stage * b->size; }
static size_t tail_count(const backsolve *b) { return b->p->rhs->n - b->p->rhs->n_stage; }

static void add(const backsolve *b, size_t n, double c, const void *v, void *to) {
  b->host->combine(b->p->rhs->dtype, n, to, 1, &c, &v, to);
}

static cst_status slope(cst_rhs *self, const double *t, const void *y, void *dy) {
  backsolve *b = self->self;
  cst_rhs *f = b->p->rhs;
  const void *lambda = (const unsigned char *)y + stage_bytes(b);
  unsigned char *out = dy, *dz = tail_count(b) ? b->slope : out;
  void *theta = self->n > self->n_stage ? out + 2 * stage_bytes(b) : NULL;
  self->evaluations++;
  b->host->combine(f->dtype, f->n_stage, NULL, 1, (const double[]){-1}, &lambda, b->lambda);
  CST_TRY(f->vector_jacobian(f, t, y, b->lambda, dz, out + stage_bytes(b), NULL, theta));
  if (dz != out) memcpy(out, dz, stage_bytes(b));
  return CST_OK;
}

/* a . f(z_k, t_k), the tail of a given apart. */
static cst_status along(backsolve *b, size_t k, const void *a, const void *tail, double *sum) {
  cst_rhs *f = b->p->rhs;
  double t = adjoint_side(b->p, k);
  CST_TRY(f->eval(f, &t, b->value, b->slope));
  *sum = b->host->dot(f->dtype, f->n_stage, a, b->slope);
  if (tail_count(b))
    *sum += b->host->dot(f->dtype, tail_count(b), tail, b->slope + stage_bytes(b));
  return CST_OK;
}

/* At output k: z starts again from the stored value, lambda jumps by g_k. */
static cst_status at(void *arg, size_t i, void *y, bool *jumped) {
  backsolve *b = arg;
  const cst_solve_pullback *p = b->p;
  size_t k = p->n_times - 1 - i, tail = stage_bytes(b);
  unsigned char *lambda = (unsigned char *)y + stage_bytes(b);
  double sum;
  p->value(p->self, k, b->value);
  memcpy(y, b->value, stage_bytes(b));
  *jumped = true;
  if (k == 0 && p->times_bar) {
    /* b->lambda holds the negative of the tail of lambda; make all of it lambda for the product */
    add(b, tail_count(b), -2, b->lambda + tail, b->lambda + tail);
    CST_TRY(along(b, 0, lambda, b->lambda + tail, &sum));
    add(b, tail_count(b), -2, b->lambda + tail, b->lambda + tail);
    p->times_bar[0] -= sum;
  }
  if (!p->value_bar(p->self, k, b->bar)) return CST_OK;
  if (k > 0 && p->times_bar) {
    CST_TRY(along(b, k, b->bar, b->bar + tail, &sum));
    p->times_bar[k] += sum;
  }
  add(b, p->rhs->n_stage, 1, b->bar, lambda);
  add(b, tail_count(b), -1, b->bar + tail, b->lambda + tail);
  return CST_OK;
}

static cst_status grow(backsolve *b, void *array, size_t *capacity, size_t n, size_t size) {
  void *old, *new;
  if (n <= *capacity) return CST_OK;
  memcpy(&old, array, sizeof old);
  if (!(new = b->host->alloc(b->host, n * size))) return CST_ENOMEM;
  if (old) b->host->free(b->host, old);
  memcpy(array, &new, sizeof new);
  *capacity = n;
  return CST_OK;
}

static bool wants_theta(const cst_solve_pullback *p) {
  for (size_t j = 0; j < p->n_captures; j++)
    if (p->capture_bar[j] && p->capture_count[j]) return true;
  return false;
}

/* The parts of z, the same for lambda, then G. */
static cst_status parts(backsolve *b, size_t n_theta) {
  const cst_rhs *f = b->p->rhs;
  size_t n = 0;
  CST_TRY(grow(b, &b->part, &b->part_capacity, 2 * f->n_parts + 1, sizeof *b->part));
  for (int copy = 0; copy < 2; copy++)
    for (size_t p = 0; p < f->n_parts; p++) {
      if (f->parts[p].flags & CST_PART_QUADRATURE) continue;
      b->part[n] = f->parts[p];
      b->part[n].offset += copy ? f->n_stage : 0;
      if (copy) b->part[n].name = "lambda";
      n++;
    }
  bool seminorm = !b->options || cst_option_boolean(b->options, "seminorm");
  if (n_theta)
    b->part[n++] = (cst_part){.name = "theta_bar", .n = n_theta, .once = true,
                              .offset = 2 * f->n_stage,
                              .flags = CST_PART_QUADRATURE |
                                       (seminorm ? CST_PART_UNCONTROLLED : 0)};
  b->rhs = (cst_rhs){.struct_size = sizeof b->rhs, .dtype = f->dtype, .rows = f->rows,
                     .n = 2 * f->n_stage + n_theta, .n_stage = 2 * f->n_stage, .parts = b->part,
                     .n_parts = n, .self = b, .eval = slope};
  return CST_OK;
}

static void give(backsolve *b) {
  const cst_solve_pullback *p = b->p;
  const unsigned char *lambda = b->y + stage_bytes(b), *theta = lambda + stage_bytes(b);
  if (p->y0_bar) {
    add(b, p->rhs->n_stage, 1, lambda, p->y0_bar);
    add(b, tail_count(b), -1, b->lambda + stage_bytes(b), (char *)p->y0_bar + stage_bytes(b));
  }
  if (b->rhs.n == b->rhs.n_stage) return;
  for (size_t j = 0; j < p->n_captures; theta += p->capture_count[j++] * b->size)
    if (p->capture_bar[j]) add(b, p->capture_count[j], 1, theta, p->capture_bar[j]);
}

static cst_status pullback(void *state, const cst_solve_pullback *p) {
  backsolve *b = state;
  size_t n_theta = wants_theta(p) ? b->n_theta : 0;
  if (!p->rhs->vector_jacobian)
    return b->host->fail(b->host, CST_EUNSUPPORTED, "backsolve needs the field's vector-Jacobian product");
  b->p = p;
  CST_TRY(parts(b, n_theta));
  CST_TRY(grow(b, &b->times, &b->times_capacity, p->n_times, sizeof *b->times));
  for (size_t i = 0; i < p->n_times; i++) b->times[i] = p->times[p->n_times - 1 - i];
  memset(b->y, 0, b->rhs.n * b->size);
  memset(b->lambda, 0, p->rhs->n * b->size);
  cst_integration run = {.struct_size = sizeof run, .rhs = &b->rhs, .times = b->times,
                         .n_times = p->n_times, .y = b->y, .at = at, .arg = b, .stops = true,
                         .stats = p->stats};
  if (CST_HAS(p, breaks)) run.breaks = p->breaks, run.n_breaks = p->n_breaks;
  CST_TRY(b->host->integrate(b->integrator, &run));
  give(b);
  return CST_OK;
}

static cst_status accepts(const cst_host *host, const cst_solver_type *s) {
  if (s->traits & CST_STOCHASTIC)
    return host->fail(host, CST_EUNSUPPORTED, "backsolve does not reverse a stochastic solver");
  if (adjoint_needs_jacobian(s))
    return host->fail(host, CST_EUNSUPPORTED,
                      "solver '%s' needs a Jacobian, which the adjoint equation of backsolve does not give (and a stiff "
                      "field is not to be solved backwards): use gradient = \"discrete\" with trbdf2, kencarp4 or kencarp5",
                      s->name);
  return CST_OK;
}

static void destroy(const cst_host *host, void *state) {
  backsolve *b = state;
  if (b->integrator) host->integrator_free(b->integrator);
  void *all[] = {b->part, b->times, b->vectors, b};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i]) host->free(host, all[i]);
}

static cst_status vectors(backsolve *b, const cst_integrator_config *f) {
  size_t state = ((2 * f->n_stage + b->n_theta) * b->size + 63) & ~(size_t)63;
  size_t plain = (f->n * b->size + 63) & ~(size_t)63;
  b->vectors = b->host->alloc(b->host, state + 4 * plain + 64);
  if (!b->vectors) return CST_ENOMEM;
  b->y = b->vectors;
  b->lambda = b->y + state;
  b->value = b->lambda + plain, b->bar = b->value + plain, b->slope = b->bar + plain;
  return CST_OK;
}

static cst_status create(const cst_gradient_config *c, void **state) {
  backsolve *b = c->host->alloc(c->host, sizeof *b);
  if (!b) return CST_ENOMEM;
  *b = (backsolve){.host = c->host, .options = c->options, .n_theta = c->n_captures_scalars,
                   .size = cst_dtype_size((cst_dtype)c->forward->dtype)};
  cst_integrator_config f = *c->forward;
  double rtol = cst_option_number(c->options, "rtol"), atol = cst_option_number(c->options, "atol");
  f.rtol = rtol > 0 ? rtol : f.rtol, f.atol = atol > 0 ? atol : f.atol;
  f.n_stage = 2 * c->forward->n_stage, f.n = f.n_stage + b->n_theta, f.first_step = 0;
  cst_status st = vectors(b, c->forward);
  if (st == CST_OK) st = c->host->integrator_new(c->host, &f, &b->integrator);
  if (st == CST_OK) *state = b;
  else destroy(c->host, b);
  return st;
}

const cst_gradient_type adjoint_backsolve = {
  .struct_size = sizeof adjoint_backsolve,
  .name = "backsolve",
  .help = "the adjoint equation solved backwards with z beside it: memory does not grow with steps",
  .options = CST_OPTIONS(
    {"rtol", CST_NUMBER, .range = {0, 1}, .help = "relative tolerance backwards; 0: as forwards"},
    {"atol", CST_NUMBER, .range = {0, 1e9}, .help = "absolute tolerance backwards; 0: as forwards"},
    {"seminorm", CST_BOOLEAN, .number = 1,
     .help = "leave the gradient of captures out of the error norm"}),
  .accepts = accepts,
  .create = create,
  .destroy = destroy,
  .pullback = pullback,
  .traits = CST_CONTINUOUS,
};
