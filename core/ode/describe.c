/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the driver knows of a step after a run, from the schedule of the run, its times and its breaks: what
 * it stored beyond that is in record.c.
 */
#include "ode/integrate_internal.h"

/* How many of the times do not lie behind t. */
static size_t outputs_until(const cst_integrator *i, double t) {
  size_t low = 0, high = i->kept.n_times;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if ((i->kept.times[middle] - t) * i->run.direction <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/* Where the driver evaluated f at the end of a step, to interpolate in it. */
static bool owns_f1(const cst_integrator *i, const cst_taped_step *s) {
  const cst_solver_type *type = i->config.solver;
  return !(type->traits & CST_FSAL) && !type->dense && s->n_outputs && i->kept.times[s->first_output] != s->t1;
}

static void place(const cst_integrator *i, size_t k, cst_taped_step *s) {
  const cst_progress *r = &i->run;
  const cst_schedule *steps = i->schedule;
  s->t = cst_schedule_t(steps, k), s->h = cst_schedule_h(steps, k);
  s->t1 = k + 1 < steps->n ? cst_schedule_t(steps, k + 1) : r->finish;
  s->first_output = outputs_until(i, s->t);
  s->n_outputs = outputs_until(i, s->t1) - s->first_output;
  s->t_field = cst_breaks_side(r, s->t, r->finish), s->t1_field = cst_breaks_side(r, s->t1, s->t);
  s->at_break = cst_breaks_has(r, s->t1);
  size_t target = i->kept.stops ? s->first_output : i->kept.n_times - 1;
  s->clip = s->n_outputs && i->kept.times[target] == s->t1 ? target : SIZE_MAX;
  s->f1_own = owns_f1(i, s);
}

void cst_describe_step(const cst_integrator *i, size_t k, cst_taped_step *out) {
  cst_taped_step before = {0};
  *out = (cst_taped_step){0};
  place(i, k, out);
  if (k) place(i, k - 1, &before);
  out->f0_own = k == 0 || before.at_break || !(before.f1_own || i->config.solver->traits & CST_FSAL);
}
