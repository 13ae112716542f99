/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "continuous.h"

static size_t tail_count(const continuous *b) { return b->p->rhs->n - b->p->rhs->n_stage; }

static void add(const continuous *b, size_t n, double c, const void *v, void *to) {
  b->host->combine(b->p->rhs->dtype, n, to, 1, &c, &v, to);
}

static unsigned char *lambda_of(const continuous *b, void *y) {
  return (unsigned char *)y + (b->kind->z ? continuous_stage_bytes(b) : 0);
}

cst_status continuous_pull(continuous *b, double t, const void *z, const void *lambda, bool tail, void *dz,
                           void *z_bar, void *theta_bar) {
  cst_rhs *f = b->p->rhs;
  unsigned char *negative = tail ? b->lambda : b->probe;
  b->host->combine(f->dtype, f->n_stage, NULL, 1, (const double[]){-1}, &lambda, negative);
  return f->vector_jacobian(f, &t, z, negative, dz, z_bar, NULL, theta_bar);
}

/* ---- at an output -------------------------------------------------------------------------- */

/* a . f(z_k, t_k), the tail of a given apart. */
static cst_status along(continuous *b, size_t k, const void *a, const void *tail, double *sum) {
  cst_rhs *f = b->p->rhs;
  double t = adjoint_side(b->p, k);
  CST_TRY(f->eval(f, &t, b->value, b->slope));
  *sum = b->host->dot(f->dtype, f->n_stage, a, b->slope);
  if (tail_count(b))
    *sum += b->host->dot(f->dtype, tail_count(b), tail, b->slope + continuous_stage_bytes(b));
  return CST_OK;
}

/* dL/dt_0, b->value being z_0. */
static cst_status start(continuous *b, const void *lambda) {
  unsigned char *tail = b->lambda + continuous_stage_bytes(b);
  double sum;
  /* b->lambda holds the negative of the tail of lambda; make all of it lambda for the product */
  add(b, tail_count(b), -2, tail, tail);
  CST_TRY(along(b, 0, lambda, tail, &sum));
  add(b, tail_count(b), -2, tail, tail);
  b->p->times_bar[0] -= sum;
  return CST_OK;
}

/* At output k z, where it is carried, starts again from the stored value, and lambda jumps by g_k. */
static cst_status at(void *arg, size_t i, void *y, bool *jumped) {
  continuous *b = arg;
  const cst_solve_pullback *p = b->p;
  size_t k = p->n_times - 1 - i, tail = continuous_stage_bytes(b);
  double sum;
  if (b->kind->reached) CST_TRY(b->kind->reached(b));
  p->value(p->self, k, b->value);
  if (b->kind->z) memcpy(y, b->value, continuous_stage_bytes(b)), *jumped = true;
  if (k == 0 && p->times_bar) CST_TRY(start(b, lambda_of(b, y)));
  if (!p->value_bar(p->self, k, b->bar)) return CST_OK;
  *jumped = true;
  if (k > 0 && p->times_bar) {
    CST_TRY(along(b, k, b->bar, b->bar + tail, &sum));
    p->times_bar[k] += sum;
  }
  add(b, p->rhs->n_stage, 1, b->bar, lambda_of(b, y));
  add(b, tail_count(b), -1, b->bar + tail, b->lambda + tail);
  return CST_OK;
}

/* ---- a pullback ------------------------------------------------------------------------------ */

bool continuous_wants_theta(const cst_solve_pullback *p) {
  for (size_t j = 0; j < p->n_captures; j++)
    if (p->capture_bar[j] && p->capture_count[j]) return true;
  return false;
}

/* The stage parts of the forward state from scalar `first` on. */
static size_t add_parts(continuous *b, size_t n, size_t first, const char *name) {
  const cst_rhs *f = b->p->rhs;
  for (size_t p = 0; p < f->n_parts; p++) {
    if (f->parts[p].flags & CST_PART_QUADRATURE) continue;
    b->part[n] = f->parts[p];
    b->part[n].offset += first;
    if (name) b->part[n].name = name;
    n++;
  }
  return n;
}

static cst_status lay_out(continuous *b) {
  const cst_rhs *f = b->p->rhs;
  b->n_theta = f->n_captures; /* fewer than there is room for in a run of fewer rows */
  size_t n_theta = b->kind->theta && continuous_wants_theta(b->p) ? b->n_theta : 0;
  size_t n_stage = (1 + b->kind->z) * f->n_stage, n = 0;
  bool seminorm = b->options ? cst_option_boolean(b->options, "seminorm") : b->kind->seminorm;
  CST_TRY(adjoint_grow(b->host, &b->part, &b->part_capacity, 2 * f->n_parts + 1, sizeof *b->part));
  if (b->kind->z) n = add_parts(b, n, 0, NULL);
  n = add_parts(b, n, n_stage - f->n_stage, "lambda");
  if (n_theta)
    b->part[n++] = (cst_part){.name = "theta_bar", .n = n_theta, .once = true, .offset = n_stage,
                              .flags = CST_PART_QUADRATURE | (seminorm ? CST_PART_UNCONTROLLED : 0)};
  b->rhs = (cst_rhs){.struct_size = sizeof b->rhs, .dtype = f->dtype, .rows = f->rows, .n = n_stage + n_theta,
                     .n_stage = n_stage, .parts = b->part, .n_parts = n, .self = b, .eval = b->kind->eval,
                     .lower = SIZE_MAX, .upper = SIZE_MAX};
  if (f->jacobian) b->rhs.jacobian = b->kind->jacobian;
  if (f->jacobian) b->rhs.jvp = b->kind->jvp;
  if (b->rhs.jacobian) b->rhs.lower = f->upper, b->rhs.upper = f->lower; /* it is the transpose */
  return CST_OK;
}

static cst_status begin(continuous *b, const cst_solve_pullback *p) {
  if (!p->rhs->vector_jacobian)
    return b->host->fail(b->host, CST_EUNSUPPORTED, "gradient '%s' needs the field's vector-Jacobian product",
                         b->kind->name);
  if (!b->kind->z && !CST_HAS(p, trajectory))
    return b->host->fail(b->host, CST_EINTERNAL, "gradient '%s' was not given the forward solution", b->kind->name);
  b->p = p, b->hint = 0;
  CST_TRY(lay_out(b));
  CST_TRY(adjoint_grow(b->host, &b->times, &b->times_capacity, p->n_times, sizeof *b->times));
  for (size_t i = 0; i < p->n_times; i++) b->times[i] = p->times[p->n_times - 1 - i];
  memset(b->y, 0, b->rhs.n * b->size);
  memset(b->lambda, 0, p->rhs->n * b->size);
  return CST_OK;
}

static void give(continuous *b) {
  const cst_solve_pullback *p = b->p;
  unsigned char *lambda = lambda_of(b, b->y);
  size_t tail = continuous_stage_bytes(b);
  if (p->y0_bar) {
    add(b, p->rhs->n_stage, 1, lambda, p->y0_bar);
    add(b, tail_count(b), -1, b->lambda + tail, (char *)p->y0_bar + tail);
  }
  if (b->rhs.n > b->rhs.n_stage) continuous_give_theta(b, lambda + tail);
}

void continuous_give_theta(continuous *b, const void *theta) {
  const cst_solve_pullback *p = b->p;
  const unsigned char *from = theta;
  for (size_t j = 0; j < p->n_captures; from += p->capture_count[j++] * b->size)
    if (p->capture_bar[j]) add(b, p->capture_count[j], 1, from, p->capture_bar[j]);
}

cst_status continuous_run(continuous *b, const cst_solve_pullback *p, cst_trajectory *lambda) {
  CST_TRY(begin(b, p));
  cst_integration run = {.struct_size = sizeof run, .rhs = &b->rhs, .times = b->times,
                         .n_times = p->n_times, .y = b->y, .at = at, .arg = b, .stops = true,
                         .stats = p->stats, .trajectory = lambda};
  if (CST_HAS(p, breaks)) run.breaks = p->breaks, run.n_breaks = p->n_breaks;
  CST_TRY(b->host->integrate(b->integrator, &run));
  give(b);
  return CST_OK;
}

cst_status continuous_pullback(void *state, const cst_solve_pullback *p) { return continuous_run(state, p, NULL); }

/* ---- making ------------------------------------------------------------------------------------ */

static cst_status vectors(continuous *b, const cst_integrator_config *f) {
  size_t state = ((2 * f->n_stage + b->n_theta) * b->size + 63) & ~(size_t)63;
  size_t plain = (f->n * b->size + 63) & ~(size_t)63;
  b->vectors = b->host->alloc(b->host, state + 5 * plain + 64);
  if (!b->vectors) return CST_ENOMEM;
  b->y = b->vectors;
  b->lambda = b->y + state;
  b->value = b->lambda + plain, b->bar = b->value + plain, b->slope = b->bar + plain, b->probe = b->slope + plain;
  return CST_OK;
}

/* The stepper backwards. With steps of given size it takes the same; where it has to choose them instead,
 * it does. */
static cst_status make_integrator(continuous *b, const cst_integrator_config *forward) {
  cst_integrator_config f = *forward;
  double rtol = cst_option_number(b->options, "rtol"), atol = cst_option_number(b->options, "atol");
  f.rtol = rtol > 0 ? rtol : f.rtol, f.atol = atol > 0 ? atol : f.atol, f.first_step = 0;
  f.n_stage = (1 + b->kind->z) * forward->n_stage;
  f.n = f.n_stage + (b->kind->theta ? b->n_theta : 0);
  if (!b->kind->z)
    f.solver = continuous_solver(b->host, cst_option_string(b->options, "solver"), forward->solver, b->kind->theta);
  if (!f.solver) return CST_EUNSUPPORTED;
  if (f.solver != forward->solver) {
    f.solver_options = NULL;
    if (f.solver->traits & CST_ADAPTIVE) f.step = 0;
  }
  b->solver = f.solver, b->rtol = f.rtol, b->atol = f.atol, b->step = f.step;
  return b->host->integrator_new(b->host, &f, &b->integrator);
}

cst_status continuous_create(const cst_gradient_config *c, const continuous_kind *kind, void **state) {
  continuous *b = c->host->alloc(c->host, kind->bytes);
  if (!b) return CST_ENOMEM;
  *b = (continuous){.kind = kind, .host = c->host, .options = c->options, .n_theta = c->n_captures_scalars,
                    .size = cst_dtype_size((cst_dtype)c->forward->dtype)};
  cst_status st = vectors(b, c->forward);
  if (st == CST_OK) st = make_integrator(b, c->forward);
  if (st == CST_OK) *state = b;
  else continuous_destroy(c->host, b);
  return st;
}

void continuous_destroy(const cst_host *host, void *state) {
  continuous *b = state;
  if (b->integrator) host->integrator_free(b->integrator);
  void *all[] = {b->part, b->times, b->vectors, b->moved[0], b->moved[1], b};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i]) host->free(host, all[i]);
}
