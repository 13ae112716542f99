/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * backsolve: the adjoint differential equation, in memory that does not grow with the steps.
 *
 *     dz/dt = f(z, t, theta)                      z reset to the stored value at every output
 *     dlambda/dt = -lambda^T df/dz                dG/dt = -lambda^T df/dtheta
 *
 * as in continuous.h, with the state [z, lambda | G]. With `seminorm` G does not count in the error norm
 * (Kidger, Chen, Lyons, "Hey, that's not an ODE", 2021): it feeds back on nothing.
 *
 * The gradient is that of the exact solution up to the tolerances of both solves, not that of the
 * steps taken: it is wrong where z cannot be solved backwards (stiff or chaotic fields).
 */
#include "continuous.h"

static cst_status slope(cst_rhs *self, const double *t, const void *y, void *dy) {
  continuous *b = self->self;
  size_t stage = continuous_stage_bytes(b);
  const void *lambda = (const unsigned char *)y + stage;
  unsigned char *out = dy, *dz = b->p->rhs->n > b->p->rhs->n_stage ? b->slope : out;
  void *theta = self->n > self->n_stage ? out + 2 * stage : NULL;
  self->evaluations++;
  CST_TRY(continuous_pull(b, *t, y, lambda, true, dz, out + stage, theta));
  if (dz != out) memcpy(out, dz, stage);
  return CST_OK;
}

static const continuous_kind kind = {.name = "backsolve", .bytes = sizeof(continuous), .z = true, .theta = true,
                                     .seminorm = true, .eval = slope};

static cst_status accepts(const cst_host *host, const cst_solver_type *s) {
  if (s->traits & CST_STOCHASTIC)
    return host->fail(host, CST_EUNSUPPORTED, "backsolve does not reverse a stochastic solver");
  if (adjoint_needs_jacobian(s))
    return host->fail(host, CST_EUNSUPPORTED,
                      "solver '%s' needs a Jacobian, which the adjoint equation of backsolve does not give (and a stiff "
                      "field is not to be solved backwards): use gradient = \"interpolating\", or \"discrete\" with trbdf2, "
                      "kencarp4 or kencarp5",
                      s->name);
  return CST_OK;
}

static cst_status create(const cst_gradient_config *c, void **state) { return continuous_create(c, &kind, state); }

const cst_gradient_type adjoint_backsolve = {
  .struct_size = sizeof adjoint_backsolve,
  .name = "backsolve",
  .help = "the adjoint equation solved backwards with z beside it: memory does not grow with steps",
  .options = CST_OPTIONS(
    CONTINUOUS_TOLERANCES,
    {"seminorm", CST_BOOLEAN, .number = 1,
     .help = "leave the gradient of captures out of the error norm"}),
  .accepts = accepts,
  .create = create,
  .destroy = continuous_destroy,
  .pullback = continuous_pullback,
  .traits = CST_CONTINUOUS,
};
