/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The fastest rate of the field, where a solve gave up or along its steps: the spectral radius of df/dy at (t, y)
 * by the power method on differences of f (Sommeijer, Shampine, Verwer, RKC, 1997, estimate it so). An explicit
 * method is stable only for steps up to a few over this rate; one that is held there by nothing else is at a loss.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "ode/integrate_internal.h"

enum { ROUNDS = 24, LATE = 12, LOOKED_AT = 64 };

typedef struct power {
  cst_integrator *i;
  cst_rhs *rhs;
  double t;
  const void *y, *f0;
  size_t n;             /* scalars of the stage parts */
  void *v, *moved, *w;  /* direction; y + eps v; f there, with its quadrature parts */
  double eps;
} power;

static double norm(const power *p, const void *x) { return sqrt(p->i->host->dot(p->i->config.dtype, p->n, x, x)); }

static void scale(const power *p, double c, const void *x, void *out) {
  p->i->host->combine(p->i->config.dtype, p->n, NULL, 1, &c, &x, out);
}

/* v = df/dy v / |df/dy v|; the factor by which v grew, 0 when there is none to be had. */
static double round_once(power *p) {
  const void *direction = p->v, *difference[2] = {p->w, p->f0};
  const double c[2] = {1 / p->eps, -1 / p->eps};
  p->i->host->combine(p->i->config.dtype, p->n, p->y, 1, &p->eps, &direction, p->moved);
  if (p->rhs->eval(p->rhs, &p->t, p->moved, p->w) != CST_OK) return 0;
  p->i->host->combine(p->i->config.dtype, p->n, NULL, 2, c, difference, p->v);
  double grown = norm(p, p->v);
  if (!(grown > 0) || !isfinite(grown)) return 0;
  scale(p, 1 / grown, p->v, p->v);
  return grown;
}

static double fastest(cst_integrator *i, cst_rhs *rhs, double t, const void *y, const void *f0) {
  power p = {.i = i, .rhs = rhs, .t = t, .y = y, .f0 = f0, .n = rhs->n_stage, .v = i->error, .w = i->output,
             .moved = i->y[0] == y ? i->y[1] : i->y[0]};
  double unit = i->config.dtype == CST_F32 ? (double)FLT_EPSILON : DBL_EPSILON, start = norm(&p, f0), sum = 0;
  if (!(start > 0) || !isfinite(start)) return 0;
  scale(&p, 1 / start, f0, p.v);
  p.eps = sqrt(unit) * fmax(norm(&p, y), sqrt(unit));
  for (int k = 0; k < ROUNDS; k++) {
    double grown = round_once(&p);
    if (grown == 0) return 0;
    if (k >= ROUNDS - LATE) sum += log(grown); /* a pair of complex eigenvalues makes single factors vary */
  }
  return exp(sum / LATE);
}

double cst_stiffness(cst_integrator *i) {
  const cst_progress *r = &i->run;
  return r->f0_valid ? fastest(i, r->rhs, r->t, r->y, r->f0) : 0;
}

double cst_integrator_hold(cst_integrator *i, cst_rhs *rhs, double *t) {
  double most = 0;
  if (i->config.solver->traits & CST_IMPLICIT) return 0;
  for (size_t k = 0; k < i->n_recorded; k += 1 + i->n_recorded / LOOKED_AT) {
    const cst_taped_step *s = &i->steps[k];
    double hold = fabs(s->h) * fastest(i, rhs, s->t_field, s->y, s->f0);
    if (hold > most) most = hold, *t = s->t;
  }
  return most;
}
