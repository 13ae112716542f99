/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Plugin gauss. quadrature: lambda alone is solved backwards, and the gradient of captures is an integral over it,
 *
 *     dL/dtheta = integral over [t0, t1] of lambda(t)^T df/dtheta(z(t), t) dt,
 *
 * with z(t) from the forward solve and lambda(t) from the backward one, both kept (core/ode/trajectory.h).
 * Every step of the backward solve is integrated by Gauss-Legendre rules with n and 2n + 1 points,
 *
 *     integral from a to b = (b - a) sum_i w_i g(a + x_i (b - a)),     exact to degree 2n - 1,
 *
 * and is halved until the two agree within the tolerances, weighed like the error of a step (Davis,
 * Rabinowitz, "Methods of Numerical Integration", 1984, ch. 6). n is such that the rule is as exact as the
 * solver is. With steps of a given size the first rule is taken as it is. Points and weights are GSL's.
 *
 * An interval that the last halving leaves in doubt is taken as it is.
 *
 * Against `interpolating` the parameters cost neither stages nor a place in the error norm, and implicit
 * steppers do not see them: it is for many parameters and few, stiff states. But what counts is lambda
 * inside the steps. An implicit stepper that at loose tolerances leaps over a transient of lambda has no
 * value of it there, and a cubic through slopes magnifies what the step left of it by its stiffness; the
 * steps of `interpolating` carry the integral across. lambda is kept from one
 * output to the next only, behind the forward solution, under the same budget.
 */
#include "continuous.h"

#include <float.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_integration.h>
#include <math.h>

enum { HALVINGS = 8, MOST_POINTS = 7 };

typedef struct quadrature {
  continuous base;
  cst_trajectory *lambda;
  gsl_integration_glfixed_table *rule[2];
  bool fixed;        /* the steps have a given size: there is no tolerance */
  bool wanted;       /* the integral, in the present call */
  unsigned char *at; /* lambda at a point */
  unsigned char *sum, *integrand, *estimate[2]; /* of theta */
} quadrature;

/* Of the interval from x0 to x1 of step k (in parts of it). */
static cst_status apply(quadrature *q, size_t k, double x0, double x1, int which) {
  continuous *b = &q->base;
  const gsl_integration_glfixed_table *rule = q->rule[which];
  const void *g = q->integrand;
  double t, h;
  b->host->trajectory_step(q->lambda, k, &t, &h);
  memset(q->estimate[which], 0, b->n_theta * b->size);
  for (size_t i = 0; i < rule->n; i++) {
    double x, w;
    gsl_integration_glfixed_point(x0, x1, i, &x, &w, rule);
    b->host->trajectory_value(q->lambda, k, x, q->at);
    CST_TRY(continuous_pull(b, t + x * h, continuous_state(b, t + x * h), q->at, true, NULL, NULL, q->integrand));
    b->rhs.evaluations++;
    w *= h;
    b->host->combine(b->rhs.dtype, b->n_theta, q->estimate[which], 1, &w, &g, q->estimate[which]);
  }
  return CST_OK;
}

/* Whether both estimates agree, as far as the float type can tell. */
static bool agree(const quadrature *q) {
  const continuous *b = &q->base;
  double least = 32 * (b->rhs.dtype == CST_F32 ? (double)FLT_EPSILON : DBL_EPSILON);
  const void *both[2] = {q->estimate[1], q->estimate[0]};
  double sum = b->host->error_sum(b->rhs.dtype, b->n_theta, 2, (const double[]){1, -1}, both, q->sum, q->estimate[1],
                                  fmax(b->rtol, least), fmax(b->atol, 1e-150));
  return sum <= (double)b->n_theta;
}

static cst_status integrate(quadrature *q, size_t k, double x0, double x1, int halvings) {
  const continuous *b = &q->base;
  CST_TRY(apply(q, k, x0, x1, 0));
  if (!q->fixed) CST_TRY(apply(q, k, x0, x1, 1));
  if (!q->fixed && !agree(q) && halvings < HALVINGS) {
    double mid = x0 + (x1 - x0) / 2;
    CST_TRY(integrate(q, k, x0, mid, halvings + 1));
    return integrate(q, k, mid, x1, halvings + 1);
  }
  const void *found = q->estimate[!q->fixed];
  b->host->combine(b->rhs.dtype, b->n_theta, q->sum, 1, (const double[]){1}, &found, q->sum);
  return CST_OK;
}

/* The steps since the output before, with the tail as it was on the way. */
static cst_status reached(continuous *b) {
  quadrature *q = (quadrature *)b;
  size_t n = b->host->trajectory_steps(q->lambda);
  for (size_t k = 0; q->wanted && k < n; k++) CST_TRY(integrate(q, k, 0, 1, 0));
  b->host->trajectory_clear(q->lambda, b->p->trajectory);
  return CST_OK;
}

static const continuous_kind kind = {
  .name = "quadrature", .bytes = sizeof(quadrature), .eval = continuous_equation, .jacobian = continuous_jacobian,
  .jvp = continuous_jvp, .reached = reached,
};

static cst_status pullback(void *state, const cst_solve_pullback *p) {
  quadrature *q = state;
  q->wanted = continuous_wants_theta(p);
  memset(q->sum, 0, q->base.n_theta * q->base.size);
  if (CST_HAS(p, trajectory)) q->base.host->trajectory_clear(q->lambda, p->trajectory);
  CST_TRY(continuous_run(&q->base, p, q->lambda));
  if (q->wanted) continuous_give_theta(&q->base, q->sum);
  return CST_OK;
}

/* ---- making ------------------------------------------------------------------------------------ */

static void destroy(const cst_host *host, void *state) {
  quadrature *q = state;
  for (int i = 0; i < 2; i++)
    if (q->rule[i]) gsl_integration_glfixed_table_free(q->rule[i]);
  if (q->lambda) host->trajectory_free(q->lambda);
  if (q->at) host->free(host, q->at);
  continuous_destroy(host, q);
}

/* GSL's handler of errors, which aborts by default, is out of the way while memory may be short. */
static cst_status make_rules(quadrature *q) {
  size_t n = (size_t)q->base.solver->order / 2 + 1;
  if (n > MOST_POINTS) n = MOST_POINTS;
  gsl_error_handler_t *before = gsl_set_error_handler_off();
  q->rule[0] = gsl_integration_glfixed_table_alloc(n);
  q->rule[1] = gsl_integration_glfixed_table_alloc(2 * n + 1);
  gsl_set_error_handler(before);
  return q->rule[0] && q->rule[1] ? CST_OK : CST_ENOMEM;
}

static cst_status make(quadrature *q, const cst_gradient_config *c) {
  const cst_host *host = c->host;
  size_t lambda = (c->forward->n_stage * q->base.size + 127) & ~(size_t)63;
  size_t theta = (q->base.n_theta * q->base.size + 127) & ~(size_t)63;
  q->fixed = q->base.step > 0;
  CST_TRY(make_rules(q));
  CST_TRY(host->trajectory_new(host, 0, &q->lambda));
  q->at = host->alloc(host, lambda + 4 * theta);
  if (!q->at) return CST_ENOMEM;
  q->sum = q->at + lambda, q->integrand = q->sum + theta;
  q->estimate[0] = q->integrand + theta, q->estimate[1] = q->estimate[0] + theta;
  return CST_OK;
}

static cst_status create(const cst_gradient_config *c, void **state) {
  void *q;
  CST_TRY(continuous_create(c, &kind, &q));
  cst_status st = make(q, c);
  if (st == CST_OK) *state = q;
  else destroy(c->host, q);
  return st;
}

static const cst_gradient_type type = {
  .struct_size = sizeof type,
  .name = "quadrature",
  .help = "the adjoint equation along the stored forward solution, the gradient of captures by Gauss-Legendre rules",
  .options = CST_OPTIONS(CONTINUOUS_TOLERANCES, CONTINUOUS_SOLVER),
  .needs = CST_NEEDS_TRAJECTORY,
  .accepts = continuous_accepts,
  .create = create,
  .destroy = destroy,
  .pullback = pullback,
  .traits = CST_CONTINUOUS,
};

static cst_status init(const cst_host *host) { return host->register_gradient(host, &type); }

CST_PLUGIN {
  .abi_version = CST_ABI,
  .struct_size = sizeof(cst_plugin),
  .name = "gauss",
  .version = "0.1.0",
  .license = "GPL-3.0-or-later",
  .init = init,
};
