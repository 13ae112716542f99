/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * reversible: the exact derivative of the steps that were taken, each of them undone from its end and taken
 * again on the way back. The memory is that of one step, however many there are.
 *
 * What is undone is right to round-off, which the way back magnifies: by 1/coupling or 1/(2 damping - 1) a
 * step, and by what the field itself magnifies. So at the start the state that was come back to is compared
 * with the true one, over the parts that the field reads; the gradient is refused when it is not found again.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "adjoint.h"

static cst_status accepts(const cst_host *host, const cst_solver_type *s) {
  if (s->traits & CST_REVERSIBLE) return adjoint_walk_accepts(host, "reversible", s);
  return host->fail(host, CST_EUNSUPPORTED,
                    "gradient 'reversible' undoes steps, which solver '%s' does not do: use reversible.alf, "
                    "reversible.heun, reversible.rk3, reversible.rk4 or reversible.dopri5, or gradient = \"discrete\"",
                    s->name);
}

static double norm(const adjoint_walk *d, const cst_rhs *f, size_t first, size_t n, const void *v) {
  const char *x = (const char *)v + first * d->size;
  return sqrt(d->host->dot(f->dtype, n, x, x));
}

/* Of one part of one row: |found - y0| / |y0|, or relative to the last output where y0 is zero. The vectors are where
 * `distance` puts them. */
static double share_off(const adjoint_walk *d, const cst_rhs *f, size_t first, size_t n) {
  double off = norm(d, f, first, n, d->slope), scale = norm(d, f, first, n, d->out_bar);
  if (off == 0) return 0;
  if (scale == 0) scale = norm(d, f, first, n, d->f_bar[0]);
  return isnan(off) ? HUGE_VAL : off / scale;
}

/* The largest of all, so that no large row hides a small one. */
static double distance(const adjoint_walk *d, const cst_solve_pullback *p, const void *found) {
  const cst_rhs *f = p->rhs;
  double most = 0;
  p->value(p->self, 0, d->out_bar);
  p->value(p->self, p->n_times - 1, d->f_bar[0]);
  d->host->combine(f->dtype, f->n, d->out_bar, 1, (const double[]){-1}, &found, d->slope);
  for (size_t k = 0; k < f->n_parts; k++) {
    const cst_part *part = &f->parts[k];
    if (part->flags & CST_PART_QUADRATURE) continue;
    for (size_t row = 0; row < f->rows; row++)
      most = fmax(most, share_off(d, f, part->offset + row * part->n, part->n));
  }
  return most;
}

/* The option of a solver that says how much its way back magnifies, unless that is 1 already: nothing. */
static const char *remedy(const adjoint_walk *d, const cst_solver_type *s) {
  for (const cst_option *o = s->options; o && o->kind != CST_OPTION_END; o++) {
    bool coupling = strcmp(o->name, "coupling") == 0, damping = strcmp(o->name, "damping") == 0;
    if ((coupling || damping) && cst_option_number(d->solver_options, o->name) < 1)
      return coupling ? "a coupling nearer 1, " : "a damping nearer 1, ";
  }
  return "";
}

/* off: as `distance` has it; not finite when the way back did not come to the start. */
static cst_status lost(const adjoint_walk *d, const cst_solve_pullback *p, double off) {
  char found[48] = "not finite any more";
  if (isfinite(off)) snprintf(found, sizeof found, "off by %.2g of its size", off);
  return d->host->fail(d->host, CST_ELOST,
                       "gradient 'reversible' lost its way back over %zu steps to t = %.9g, the state is %s: "
                       "rounding was magnified (most where the field damps); try fewer steps, %sor "
                       "gradient = \"discrete\"",
                       p->n_steps, p->times[0], found, remedy(d, p->solver));
}

static cst_status pullback(void *state, const cst_solve_pullback *p) {
  const adjoint_walk *d = state;
  const void *y0;
  cst_status st = adjoint_walk_back(d, p, &y0);
  if (st == CST_ENONFINITE) return lost(d, p, HUGE_VAL);
  if (st != CST_OK || !y0) return st;
  double off = distance(d, p, y0), most = p->rhs->dtype == CST_F32 ? 1e-2 : 1e-6;
  return off <= most ? CST_OK : lost(d, p, off);
}

const cst_gradient_type adjoint_reversible = {
  .struct_size = sizeof adjoint_reversible,
  .name = "reversible",
  .help = "the exact derivative of the steps taken, which a reversible solver undoes: memory of one step",
  .needs = CST_NEEDS_FINAL,
  .accepts = accepts,
  .create = adjoint_walk_new,
  .destroy = adjoint_walk_free,
  .pullback = pullback,
  .traits = CST_EXACT,
};
