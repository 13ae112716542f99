/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Values at the times asked for: at the start, at the end of a step, and inside a step by the
 * stepper's dense output or else by the cubic Hermite polynomial of y, f0, y1, f1:
 *
 *     y(t + x h) = (1 - v) y + v y1 + h x (1-x)^2 f0 - h x^2 (1-x) f1,   v = x^2 (3 - 2x).
 */
#include <string.h>

#include "ode/integrate_internal.h"

static cst_status give(cst_integrator *i, void *y, bool *jumped) {
  cst_progress *r = &i->run;
  bool jump = false;
  if (cst_noted(r))
    i->output_step[r->next] = i->n_steps ? i->n_steps - 1 : SIZE_MAX;
  cst_status st = r->in->at ? r->in->at(r->in->arg, r->next, y, &jump) : CST_OK;
  r->next++;
  if (jump && jumped) *jumped = true;
  return st;
}

/* Along f at (t, y); nowhere where that is not defined. */
static cst_status slope_of_field(cst_integrator *i, double t, const void *y) {
  cst_progress *r = &i->run;
  cst_status st = cst_evaluate(i, t, y, r->in->slope, NULL);
  if (st == CST_RETRY) memset(r->in->slope, 0, r->rhs->n * i->size);
  return st == CST_RETRY ? CST_OK : st;
}

/* The first time is where the solve starts; one that repeats it would move along f. */
cst_status cst_outputs_start(cst_integrator *i) {
  cst_progress *r = &i->run;
  bool jumped = false;
  if (r->in->slope) memset(r->in->slope, 0, r->rhs->n * i->size);
  for (size_t first = r->next; r->next < r->in->n_times && r->in->times[r->next] == r->t;) {
    if (r->in->slope && r->next == first + 1) CST_TRY(slope_of_field(i, r->t_field, r->y));
    CST_TRY(give(i, r->y, &jumped));
  }
  return CST_OK;
}

static void hermite(const cst_integrator *i, double x, void *y) {
  const cst_progress *r = &i->run;
  double v = x * x * (3 - 2 * x), h = r->used;
  const double c[4] = {-v, v, h * x * (1 - x) * (1 - x), -h * x * x * (1 - x)};
  const void *k[4] = {r->y, r->y1, r->f0, r->f1};
  i->host->combine(i->config.dtype, r->rhs->n, r->y, 4, c, k, y);
}

/* d/dx of hermite. */
static void hermite_slope(const cst_integrator *i, double x, void *slope) {
  const cst_progress *r = &i->run;
  double v = 6 * x * (1 - x), h = r->used;
  const double c[4] = {-v, v, h * (1 - x) * (1 - 3 * x), -h * x * (2 - 3 * x)};
  const void *k[4] = {r->y, r->y1, r->f0, r->f1};
  i->host->combine(i->config.dtype, r->rhs->n, NULL, 4, c, k, slope);
}

cst_status cst_interpolate(cst_integrator *i, double x) {
  cst_progress *r = &i->run;
  void *slope = r->in->slope;
  const double per_step = 1 / r->used;
  if (i->config.solver->dense) {
    CST_TRY(i->config.solver->dense(i->solver, &r->step, x, i->output, slope));
  } else {
    if (!r->f1) CST_TRY(cst_derivative_after(i));
    hermite(i, x, i->output);
    if (slope) hermite_slope(i, x, slope);
  }
  if (slope) i->host->combine(i->config.dtype, r->rhs->n, NULL, 1, &per_step, (const void *[]){slope}, slope);
  return CST_OK;
}

/* At the end of a step the solution goes on along f, but not from the last output. */
static cst_status slope_at_end(cst_integrator *i) {
  cst_progress *r = &i->run;
  if (!r->in->slope) return CST_OK;
  memset(r->in->slope, 0, r->rhs->n * i->size);
  if (r->next + 1 == r->in->n_times) return CST_OK;
  if (r->t1 == r->finish && !r->f1) return slope_of_field(i, r->t1_field, r->y1);
  if (!r->f1) CST_TRY(cst_derivative_after(i));
  memcpy(r->in->slope, r->f1, r->rhs->n * i->size);
  return CST_OK;
}

cst_status cst_outputs_step(cst_integrator *i, bool *jumped) {
  cst_progress *r = &i->run;
  for (; r->next < r->in->n_times;) {
    double time = r->in->times[r->next];
    if ((time - r->t1) * r->direction > 0) break;
    if (time == r->t1) {
      CST_TRY(slope_at_end(i));
      CST_TRY(give(i, r->y1, r->in->stops ? jumped : NULL));
    } else {
      CST_TRY(cst_interpolate(i, (time - r->t) / r->used));
      CST_TRY(give(i, i->output, NULL));
    }
  }
  return CST_OK;
}
