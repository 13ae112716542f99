/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The size of the first step (Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I,
 * II.4): small enough that an explicit Euler step changes y by about a hundredth, and that the
 * second derivative, seen by a trial Euler step, allows the order of the method. Costs one
 * evaluation, which never lies outside the span.
 */
#include <float.h>
#include <math.h>

#include "ode/integrate_internal.h"

/* A trial step in whose end the field is finite; *slope is left there. h -> 0 always succeeds. */
static cst_status trial(cst_integrator *i, double *h, void *slope) {
  cst_progress *r = &i->run;
  double c, t = r->t, end = cst_breaks_next(r, r->finish);
  const void *k = r->f0;
  for (int tries = 0; tries < 20; tries++, *h /= 10) {
    c = r->direction * *h;
    t = fabs(end - r->t) <= *h ? cst_breaks_side(r, end, r->t) : r->t + c;
    i->host->combine(i->config.dtype, r->rhs->n_stage, r->y, 1, &c, &k, i->output);
    cst_status st = cst_evaluate(i, t, i->output, slope, NULL);
    if (st == CST_OK && cst_all_finite(i, slope)) return CST_OK;
    if (st != CST_OK && st != CST_RETRY) return st;
  }
  memcpy(slope, r->f0, r->rhs->n * i->size);
  return CST_OK;
}

cst_status cst_first_step(cst_integrator *i, double *h) {
  cst_progress *r = &i->run;
  double span = fabs(cst_breaks_next(r, r->finish) - r->t), order = i->config.solver->error_order + 1;
  double d0 = cst_spans_norm(i, r->y, r->y, r->y), d1 = cst_spans_norm(i, r->f0, r->y, r->y);
  double h0 = d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * d0 / d1;
  h0 = fmin(h0, span);
  void *slope = i->f[0] == r->f0 ? i->f[1] : i->f[0];
  const void *slopes[2] = {slope, r->f0};
  CST_TRY(trial(i, &h0, slope));
  i->host->combine(i->config.dtype, r->rhs->n, NULL, 2, (const double[]){1, -1}, slopes, slope);
  double d2 = cst_spans_norm(i, slope, r->y, r->y) / h0, d = fmax(d1, d2);
  double h1 = d <= 1e-15 ? fmax(1e-6, h0 * 1e-3) : pow(0.01 / d, 1 / order);
  double least = DBL_EPSILON * fmax(10 * fabs(r->t), 1e-10 * span); /* never 0, whatever overflowed */
  *h = r->direction * fmin(span, fmax(least, fmin(100 * h0, h1)));
  return CST_OK;
}
