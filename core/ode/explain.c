/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a solve says when it stops: where, after how many steps, and which component is to blame.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>

#include "ode/integrate_internal.h"

static double element(const cst_integrator *i, const void *v, size_t k) {
  return i->config.dtype == CST_F32 ? (double)((const float *)v)[k] : ((const double *)v)[k];
}

size_t cst_first_nonfinite(const cst_integrator *i, const void *v) {
  for (size_t k = 0; k < i->run.rhs->n; k++)
    if (!isfinite(element(i, v, k))) return k;
  return SIZE_MAX;
}

size_t cst_worst_error(cst_integrator *i) {
  cst_progress *r = &i->run;
  cst_step again = r->step;
  again.tape = NULL, again.record = NULL, again.error = i->error, again.error_sum = NULL;
  if (i->config.solver->step(i->solver, &again) != CST_OK) return SIZE_MAX;
  size_t worst = SIZE_MAX;
  double most = -1;
  for (size_t s = 0; s < i->n_controlled; s++)
    for (size_t k = i->controlled[s].first, e = k + i->controlled[s].n; k < e; k++) {
      double size = fmax(fabs(element(i, r->y, k)), fabs(element(i, again.y1, k)));
      double error = fabs(element(i, i->error, k)) / (i->config.atol + i->config.rtol * size);
      if (!isfinite(error)) return k;
      if (error > most) most = error, worst = k;
    }
  return worst;
}

/* "y[1]", or "y[1] of row 3" in a batch. */
static void name_component(cst_rhs *f, size_t k, char *text, size_t size) {
  if (f->name_of && f->name_of(f, k, text, size)) return;
  for (size_t p = 0; p < f->n_parts; p++) {
    const cst_part *part = &f->parts[p];
    size_t at = k - part->offset, rows = part->once ? 1 : f->rows;
    if (k < part->offset || at >= part->n * rows) continue;
    int n = snprintf(text, size, "%s[%zu]", part->name ? part->name : "y", at % part->n + 1);
    if (rows > 1 && n > 0 && (size_t)n < size)
      snprintf(text + n, size - (size_t)n, " of row %zu", at / part->n + 1);
    return;
  }
  snprintf(text, size, "y[%zu]", k + 1);
}

/* What the rate of the field says about steps of the size that was used. */
static void describe_stiffness(cst_integrator *i, char *text, size_t size) {
  /* Rate times step of an explicit method at the border of its stability, which is small for Adams' of high order. */
  const double at_least = i->config.solver->traits & CST_MULTISTEP ? 0.05 : 1, most = 50;
  cst_progress *r = &i->run;
  double h = fabs(r->used), rate = r->stiffness = cst_stiffness(i);
  if (!(rate > 0)) return;
  int n = snprintf(text, size, "; the fastest rate of the field here is about %.2g", rate);
  bool held = rate * h >= at_least && rate * h <= most && rate * fabs(r->finish - r->t) > 1000;
  if (!held || n < 0 || (size_t)n >= size) return;
  snprintf(text + n, size - (size_t)n, ", which alone holds the steps of an explicit method at this size: the problem is "
                                       "stiff, try an implicit solver (kencarp5, gsl.msbdf)");
}

/* Where rounding is as much as the tolerance no step is small enough. */
static const char *asked_too_much(const cst_integrator *i) {
  double unit = i->config.dtype == CST_F32 ? (double)FLT_EPSILON : DBL_EPSILON;
  bool below = i->config.rtol > 0 && i->config.rtol < 4 * unit;
  return below ? "; rtol is below what the float type resolves" : "";
}

cst_status cst_explain(cst_integrator *i, cst_status status, const char *what, size_t component) {
  cst_progress *r = &i->run;
  char name[96] = "", where[128] = "", stiff[256] = "", remark[400] = "";
  if (component != SIZE_MAX) {
    name_component(r->rhs, component, name, sizeof name);
    snprintf(where, sizeof where, "; worst component %s", name);
  }
  bool steps = status == CST_EMAXSTEPS || status == CST_ESTEPMIN;
  if (steps && !(i->config.solver->traits & CST_IMPLICIT)) describe_stiffness(i, stiff, sizeof stiff);
  cst_status last = cst_last_status(i->ctx);
  bool inside = last == CST_ESINGULAR || last == CST_ENOCONVERGENCE; /* of an equation in the field, see rhs.c */
  if (inside && status == CST_ESTEPMIN) status = last;
  if (CST_HAS(i->config.solver, remark)) i->config.solver->remark(i->solver, remark, sizeof remark);
  return cst_fail(i->ctx, status, "solve stopped at t = %.9g (step %llu, h = %.3g, %llu rejected): %s%s%s%s%s%s%s%s",
                  r->t, (unsigned long long)(r->accepted + 1), r->used != 0 ? r->used : r->h,
                  (unsigned long long)r->rejected, what, where, stiff, steps ? asked_too_much(i) : "", remark[0] ? "; " : "", remark,
                  inside ? "; " : "", inside ? cst_message(i->ctx) : "");
}
