/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The field as SUNDIALS calls it, and the weights of its error norms.
 */
#include <stdio.h>

#include "sundials.h"

/* The end of a step is the driver's to the last bit, whatever sums SUNDIALS makes of it. */
double sun_clamp(const engine *e, double t) {
  if ((t - e->end) * e->direction > 0) return e->end;
  return (t - e->start) * e->direction < 0 ? e->start : t;
}

static int troubled(engine *e, cst_status st, double t, size_t at, const char *of) {
  e->trouble = st, e->trouble_t = t, e->trouble_at = at, e->trouble_of = of;
  return 1;
}

/* SUNDIALS does not look for NaN: with one it halves its steps for thousands of calls and names
 * something else. A value that is not finite is an answer of its own here, like "not defined": the
 * step is retried with a smaller size a number of times, then the first one found is reported. */
int sun_answer(engine *e, cst_status st, double t, const double *values, size_t n, const char *of) {
  if (st == CST_RETRY) return troubled(e, CST_RETRY, t, SIZE_MAX, of);
  if (st != CST_OK) {
    e->status = st;
    return -1;
  }
  for (size_t i = 0; i < n; i++)
    if (!isfinite(values[i])) return troubled(e, CST_ENONFINITE, t, i, of);
  return 0;
}

int sun_field(sunrealtype t, N_Vector y, N_Vector dy, void *engine_) {
  engine *e = engine_;
  t = sun_clamp(e, t);
  cst_status st = e->rhs->eval(e->rhs, &t, sun_data(y), sun_data(dy));
  return sun_answer(e, st, t, sun_data(dy), e->n, "the field");
}

static int weigh(engine *e, const double *y, double *w, size_t first, size_t n, double scale) {
  for (size_t i = first; i < first + n; i++) {
    double tolerance = e->atol + e->rtol * fabs(y[i]);
    if (!(tolerance > 0)) {
      e->no_weight = i;
      return -1;
    }
    w[i] = scale / tolerance;
  }
  return 0;
}

/* The driver's norm: root mean square over the controlled scalars, where SUNDIALS divides by all of
 * them. GMRES scales its equations by these weights: with it they must not be 0, and everything counts. */
int sun_weights(N_Vector y, N_Vector weight, void *engine_) {
  engine *e = engine_;
  double *w = sun_data(weight);
  size_t count = 0;
  for (size_t k = 0; k < e->n_controlled; k++) count += e->controlled[k].n;
  if (count == 0 || (e->linear && !e->matrix)) return weigh(e, sun_data(y), w, 0, e->n, 1);
  memset(w, 0, e->n * sizeof *w);
  double scale = sqrt((double)e->n / (double)count);
  for (size_t k = 0; k < e->n_controlled; k++)
    if (weigh(e, sun_data(y), w, e->controlled[k].first, e->controlled[k].n, scale)) return -1;
  return 0;
}

/* In place of SUNDIALS' printing. Warnings have a positive code. */
void sun_keep_text(int code, const char *module, const char *function, char *text, void *engine_) {
  engine *e = engine_;
  if (code < 0) snprintf(e->text, sizeof e->text, "%s (%s): %s", module, function, text);
}
