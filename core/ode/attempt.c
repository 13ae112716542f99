/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One attempted step: room for its results, the stepper, and the verdict.
 */
#include <math.h>
#include <string.h>

#include "ode/integrate_internal.h"

bool cst_all_finite(const cst_integrator *i, const void *y) {
  return i->kernels->all_finite[i->config.dtype](i->run.rhs->n, y);
}

cst_status cst_evaluate(cst_integrator *i, double t, const void *y, void *dy, void *residual) {
  cst_rhs *f = i->run.rhs;
  return residual ? f->eval_keep(f, &t, y, dy, residual) : f->eval(f, &t, y, dy);
}

static bool recording(const cst_progress *r) { return r->in->tape && !r->thin; }

/* Room for one more value of the field and its residual: on the tape while records fit, else in the
 * buffer that does not hold f0. */
static void *room_for_f(cst_integrator *i, void **residual) {
  cst_progress *r = &i->run;
  if (recording(r)) {
    unsigned char *dy = cst_tape_push(r->in->tape, cst_block(i, r->rhs->n) * i->size);
    *residual = dy ? cst_tape_push(r->in->tape, r->rhs->residual_bytes) : NULL;
    if (*residual) return dy;
    r->thin = true;
  }
  *residual = NULL;
  return i->f[0] == r->f0 ? i->f[1] : i->f[0];
}

cst_status cst_start_block(cst_integrator *i, cst_rhs *rhs, double t, const void *y, void *f0) {
  if (cst_block(i, 1) == 1) return CST_OK;
  cst_step at = {.struct_size = sizeof at, .rhs = rhs, .t = &t, .y = y};
  return i->config.solver->start(i->solver, &at, f0);
}

cst_status cst_derivative(cst_integrator *i) {
  cst_progress *r = &i->run;
  r->f0 = room_for_f(i, &r->f0_residual);
  cst_status st = cst_evaluate(i, r->t_field, r->y, r->f0, r->f0_residual);
  if (st == CST_RETRY) return cst_explain(i, CST_ESTEPMIN, "the field is not defined here", SIZE_MAX);
  if (st != CST_OK) return cst_fail_note(i->ctx, st, "solve at t = %.9g", r->t);
  if (!cst_all_finite(i, r->f0))
    return cst_explain(i, CST_ENONFINITE, "the field is not finite here",
                       cst_first_nonfinite(i, r->f0));
  r->f0_valid = r->f0_own = true;
  return cst_start_block(i, r->rhs, r->t_field, r->y, r->f0);
}

cst_status cst_derivative_given(cst_integrator *i) {
  cst_progress *r = &i->run;
  if (cst_noted(r)) return cst_fail(i->ctx, CST_EUNSUPPORTED, "a run that goes on from another keeps no record");
  r->f0 = room_for_f(i, &r->f0_residual);
  memcpy(r->f0, r->in->f0, cst_block(i, r->rhs->n) * i->size);
  r->f0_valid = r->f0_own = true;
  return CST_OK;
}

cst_status cst_derivative_after(cst_integrator *i) {
  cst_progress *r = &i->run;
  r->f1 = room_for_f(i, &r->f1_residual);
  cst_status st = cst_evaluate(i, r->t1_field, r->y1, r->f1, r->f1_residual);
  if (st != CST_OK && st != CST_RETRY) return st;
  if (st == CST_RETRY || !cst_all_finite(i, r->f1))
    return cst_explain(i, CST_ENONFINITE, "the field is not finite after this step",
                       cst_first_nonfinite(i, r->f1));
  r->f1_own = true;
  return CST_OK;
}

/* y1 and f1: on the tape, or in the buffers that do not hold y and f0. */
static cst_status room(cst_integrator *i) {
  cst_progress *r = &i->run;
  bool fsal = i->config.solver->traits & CST_FSAL;
  size_t bytes = r->rhs->n * i->size, f_bytes = cst_block(i, r->rhs->n) * i->size;
  r->y1 = i->y[0] == r->y ? i->y[1] : i->y[0];
  r->f1 = fsal ? i->f[0] == r->f0 ? i->f[1] : i->f[0] : NULL;
  r->f1_residual = NULL;
  if (!r->in->tape) return CST_OK;
  r->mark = cst_tape_mark(r->in->tape);
  if (!r->thin) {
    r->y1 = cst_tape_push(r->in->tape, bytes);
    if (fsal && r->y1) r->f1 = cst_tape_push(r->in->tape, f_bytes);
    if (r->y1 && (r->f1 || !fsal)) return CST_OK;
    cst_tape_rewind(r->in->tape, r->mark);
    r->thin = true;
    return room(i);
  }
  return CST_OK;
}

static cst_status take(cst_integrator *i) {
  cst_progress *r = &i->run;
  bool estimate = i->config.step == 0 && !r->in->replay;
  cst_step *s = &r->step;
  s->t = &r->t_field, s->h = &r->used, s->t1 = &r->t1_field;
  s->y = r->y, s->f0 = r->f0_valid ? r->f0 : NULL, s->f0_residual = r->f0_residual;
  s->tape = recording(r) ? r->in->tape : NULL;
  s->dense_wanted = r->in->n_events || r->trajectory || (r->next < r->in->n_times &&
                                        (r->in->times[r->next] - r->t1) * r->direction < 0);
  s->y1 = r->y1, s->f1 = r->f1, s->f1_residual = NULL;
  s->error = estimate ? i->error : NULL;
  s->error_sum = estimate ? &r->sum : NULL;
  s->record = NULL;
  s->error_order = 0;
  s->exact = cst_noted(r) || r->in->exact;
  s->reached = estimate && (i->config.solver->traits & CST_SELF_CONTROLLED) ? &r->reached : NULL;
  r->reached = r->t1_field;
  r->sum = -1;
  return i->config.solver->step(i->solver, s);
}

/* The attempt is as long as a stepper that chooses its own steps made it. */
static cst_status settle(cst_integrator *i) {
  cst_progress *r = &i->run;
  if (r->reached == r->t1_field) return CST_OK;
  if (!((r->reached - r->t) * r->direction > 0 && (r->t1 - r->reached) * r->direction > 0))
    return cst_explain(i, CST_EPLUGIN, "the stepper ended its step outside the step", SIZE_MAX);
  r->t1 = r->t1_field = r->reached, r->used = r->t1 - r->t, r->clip = SIZE_MAX, r->at_break = false;
  return CST_OK;
}

/* The norm of the error, from the sum the stepper gave or from its vector. */
static double error_norm(const cst_integrator *i) {
  const cst_progress *r = &i->run;
  if (r->sum < 0) return cst_spans_norm(i, i->error, r->y, r->y1);
  return sqrt(r->sum * i->share);
}

static cst_verdict judge(cst_integrator *i) {
  cst_progress *r = &i->run;
  if (!cst_all_finite(i, r->y1)) return CST_NOT_FINITE;
  if (!r->step.error_sum) return CST_ACCEPTED;
  r->error = error_norm(i);
  if (!isfinite(r->error)) return CST_NOT_FINITE;
  return r->error <= 1 ? CST_ACCEPTED : CST_TOO_LARGE;
}

cst_status cst_try_step(cst_integrator *i, cst_verdict *verdict) {
  cst_progress *r = &i->run;
  CST_TRY(room(i));
  cst_status st = take(i);
  if (st == CST_ENOMEM && recording(r) && cst_tape_refused(r->in->tape)) {
    cst_tape_rewind(r->in->tape, r->mark);
    r->thin = true;
    CST_TRY(room(i));
    st = take(i);
  }
  if (st != CST_OK && st != CST_RETRY)
    return cst_fail_note(i->ctx, st, "solve at t = %.9g (step %llu, h = %.3g)", r->t,
                         (unsigned long long)(r->accepted + 1), r->used);
  if (st == CST_OK) CST_TRY(settle(i));
  r->f1_residual = r->step.f1_residual;
  *verdict = st == CST_RETRY ? CST_REFUSED : judge(i);
  return CST_OK;
}
