/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The loop of a solve. Bottom-up: where a step ends (plan), what follows a rejection, what follows
 * an acceptance, and the run.
 */
#include <float.h>
#include <math.h>

#include "base/context_internal.h"
#include "ode/integrate_internal.h"

static bool fixed(const cst_integrator *i) { return i->config.step > 0 || i->run.in->replay; }

/* Where the next step must not step past: *clip is the number of the time that this is, SIZE_MAX when it
 * is a break before the next time. */
static double barrier(const cst_progress *r, size_t *clip) {
  double time = r->in->times[*clip = r->in->stops ? r->next : r->in->n_times - 1], b = cst_breaks_next(r, time);
  if ((time - b) * r->direction <= 0) return time;
  *clip = SIZE_MAX;
  return b;
}

/* Sets the size of the attempt and its end. A step that would end within a few ulp of where it must
 * not step past, or beyond, is cut or stretched to end there exactly. */
static void plan(cst_integrator *i) {
  cst_progress *r = &i->run;
  size_t clip;
  double target = barrier(r, &clip), left = (target - r->t) * r->direction;
  double here = fabs(r->t), there = fabs(target), slack = 8 * DBL_EPSILON * (here > there ? here : there);
  if (i->config.max_step > 0 && i->config.step == 0)
    r->h = r->direction * fmin(fabs(r->h), i->config.max_step);
  r->used = r->h;
  r->clip = SIZE_MAX, r->at_break = false;
  if (left <= fabs(r->h) + slack) {
    r->used = target - r->t, r->t1 = target, r->clip = clip;
    r->at_break = cst_breaks_has(r, target);
  } else if (i->config.step > 0) {
    r->t1 = r->anchor + (double)(r->count + 1) * r->h;
  } else {
    r->t1 = r->t + r->h;
  }
  r->t1_field = r->at_break ? cst_breaks_side(r, r->t1, r->t) : r->t1;
}

/* The same from the schedule, which moves with times[0] up to the first break: breaks stay. */
static cst_status plan_replay(cst_integrator *i) {
  cst_progress *r = &i->run;
  const cst_schedule *s = r->in->schedule;
  if (r->replayed >= s->n)
    return cst_explain(i, CST_EINVAL, "the schedule to replay ends before the times do", SIZE_MAX);
  size_t k = r->replayed, clip = r->in->stops ? r->next : r->in->n_times - 1;
  double target = r->in->times[clip], end = k + 1 < s->n ? cst_schedule_t(s, k + 1) : target;
  if (k == 0) r->shift = r->start - cst_schedule_t(s, 0);
  r->used = cst_schedule_h(s, k);
  r->t1 = k + 1 < s->n ? end + r->shift : target;
  r->at_break = cst_breaks_has(r, end);
  if (r->at_break && k + 1 < s->n) r->t1 = end, r->used = r->t1 - r->t, r->shift = 0;
  r->clip = r->t1 == target ? clip : SIZE_MAX;
  if (k + 1 == s->n) r->used = target - r->t;
  r->t1_field = r->at_break ? cst_breaks_side(r, r->t1, r->t) : r->t1;
  if ((r->t1 - target) * r->direction > 0)
    return cst_explain(i, CST_EINVAL, "the schedule to replay steps past a time", SIZE_MAX);
  return CST_OK;
}

static cst_status give_up(cst_integrator *i, cst_verdict v) {
  if (v == CST_NOT_FINITE)
    return cst_explain(i, CST_ENONFINITE, "the state after the step is not finite",
                       cst_first_nonfinite(i, i->run.y1));
  if (v == CST_REFUSED)
    return cst_explain(i, CST_ESTEPMIN,
                       i->config.solver->traits & (CST_IMPLICIT | CST_MULTISTEP)
                           ? "the equations of the step have no solution within reach, or the field is not "
                             "defined within it"
                           : "the field is not defined within the step", SIZE_MAX);
  return cst_explain(i, CST_ESTEPMIN, "the error stays above the tolerance however small the step",
                     cst_worst_error(i));
}

/* A solver whose order varies says so with each step. */
static int error_order(const cst_integrator *i) {
  int order = i->run.step.error_order;
  return order > 0 ? order : i->config.solver->error_order;
}

enum { PATIENCE = 60 }; /* 0.2^60 = 1e-42: no scale of a problem is that small */

static cst_status rejected(cst_integrator *i, cst_verdict v) {
  cst_progress *r = &i->run;
  double factor = 0.2, least = fmax(i->config.min_step, 10 * DBL_EPSILON * fabs(r->t));
  if (r->in->tape) cst_tape_rewind(r->in->tape, r->mark);
  r->rejected++;
  CST_TRY(cst_note_attempt(i, false));
  r->bad = v == CST_TOO_LARGE ? 0 : r->bad + 1;
  if (fixed(i) || fabs(r->used) <= least || r->bad > PATIENCE) return give_up(i, v);
  if (v == CST_TOO_LARGE) {
    r->control.error[0] = r->error;
    factor = i->config.controller->factor(i->controller_options, &r->control, error_order(i));
  }
  r->control.rejected = true;
  r->h = r->used * fmin(factor, 0.9);
  if (fabs(r->h) < least) r->h = r->direction * least;
  return CST_OK;
}

/* A multistep method keeps its step size for as long as it will do: with each new one its history is
 * scaled and the matrix of its iteration is off, for little gain (all codes of this kind have such a
 * zone; GSL's and LSODE's are about this one). */
static double worth_it(const cst_integrator *i, double factor) {
  return i->config.solver->traits & CST_MULTISTEP && factor > 0.9 && factor < 1.2 ? 1 : factor;
}

/* The step size to go on with. A step cut short says little about the next: the size from before
 * the cut is kept if it is larger. */
static void control(cst_integrator *i) {
  cst_progress *r = &i->run;
  cst_controller_state *c = &r->control;
  c->error[0] = r->error;
  double h = r->used * worth_it(i, i->config.controller->factor(i->controller_options, c, error_order(i)));
  bool cut = r->clip != SIZE_MAX || r->at_break;
  if (!cut || fabs(h) > fabs(r->h)) r->h = h;
  if (fabs(r->h) < i->config.min_step) r->h = r->direction * i->config.min_step;
  c->error[2] = c->error[1], c->error[1] = r->error;
  c->rejected = false;
}

/* Outputs of the accepted step, then (t, y, f0) are those of its end. */
static cst_status accepted(cst_integrator *i) {
  cst_progress *r = &i->run;
  bool jumped = false, landed = r->clip != SIZE_MAX || r->at_break;
  r->accepted++, r->replayed++, r->count++, r->bad = 0;
  r->f1_own = false;
  CST_TRY(cst_note_attempt(i, true));
  if (r->in->n_events) CST_TRY(cst_events_step(i));
  if (r->ended) return CST_OK;
  if (r->in->tape) CST_TRY(cst_record_step(i));
  if (i->schedule) CST_TRY(cst_schedule_push(i->ctx, i->schedule, r->t, r->used, i->config.step > 0));
  if (r->in->undoable && landed) CST_TRY(cst_undo_note(i));
  CST_TRY(cst_follow_step(i));
  CST_TRY(cst_outputs_step(i, &jumped));
  if (jumped) cst_follow_jump(i);
  if (r->in->tape) cst_record_outputs(i);
  i->n_steps++;
  if (!fixed(i)) control(i);
  r->t = r->t_field = r->t1, r->y = r->y1;
  if (landed) r->anchor = r->t, r->count = 0;
  if (r->at_break) {
    cst_breaks_pass(r);
    r->t_field = cst_breaks_side(r, r->t, r->finish);
    jumped = true;
  }
  if (r->in->undoable && (jumped || r->next == r->in->n_times)) cst_undo_keep(i);
  r->f0_valid = r->f1 && !jumped;
  if (r->f0_valid) r->f0 = r->f1, r->f0_residual = r->f1_residual, r->f0_own = false;
  if (jumped && i->config.solver->reset) return i->config.solver->reset(i->solver);
  return CST_OK;
}

/* A record holds f0 whoever steps. */
static bool needs_f0(const cst_integrator *i) {
  return !(i->config.solver->traits & CST_SELF_CONTROLLED) || i->run.in->tape;
}

static cst_status step(cst_integrator *i) {
  cst_progress *r = &i->run;
  if (!r->f0_valid && needs_f0(i)) CST_TRY(cst_derivative(i));
  for (;;) {
    cst_verdict verdict;
    if (i->config.max_steps && r->accepted + r->rejected >= i->config.max_steps)
      return cst_explain(i, CST_EMAXSTEPS, "this is the last step allowed by max_steps", SIZE_MAX);
    if (i->ctx->stop && *i->ctx->stop) return cst_explain(i, CST_EBREAK, "it was interrupted", SIZE_MAX);
    if (r->in->replay) CST_TRY(plan_replay(i));
    else plan(i);
    CST_TRY(cst_try_step(i, &verdict));
    if (verdict == CST_ACCEPTED) return accepted(i);
    CST_TRY(rejected(i, verdict));
  }
}

/* The step size to begin with, its sign from the direction of the times. */
static cst_status begin(cst_integrator *i) {
  cst_progress *r = &i->run;
  r->direction = r->finish < r->t ? -1 : 1;
  CST_TRY(r->in->f0 ? cst_derivative_given(i) : cst_derivative(i));
  if (i->config.step > 0) r->h = r->direction * i->config.step;
  else if (i->config.first_step > 0) r->h = r->direction * i->config.first_step;
  else if (!r->in->replay) CST_TRY(cst_first_step(i, &r->h));
  if (i->config.step == 0 && fabs(r->h) < i->config.min_step)
    r->h = r->direction * i->config.min_step;
  return CST_OK;
}

static cst_status solve(cst_integrator *i) {
  cst_progress *r = &i->run;
  if (r->in->tape) CST_TRY(cst_record_start(i));
  if (r->in->undoable) cst_undo_begin(i);
  cst_follow_start(i);
  if (i->config.solver->reset) CST_TRY(i->config.solver->reset(i->solver));
  CST_TRY(cst_outputs_start(i));
  if (r->next == r->in->n_times) return CST_OK;
  if (r->in->n_events) CST_TRY(cst_events_start(i));
  CST_TRY(begin(i));
  while (r->next < r->in->n_times && !r->ended) CST_TRY(step(i));
  return CST_OK;
}

static cst_status check(const cst_integrator *i, const cst_integration *in) {
  const cst_rhs *f = in->rhs;
  if (f->n > i->config.n || f->n_stage > i->config.n_stage || f->dtype != i->config.dtype)
    return cst_fail(i->ctx, CST_ESHAPE, "the field does not fit the integrator it was given to");
  if (f->per_row) return cst_fail(i->ctx, CST_EUNSUPPORTED, "control per row is not available");
  if (in->tape && !f->eval_keep)
    return cst_fail(i->ctx, CST_EUNSUPPORTED, "a record was asked of a field without derivatives");
  if (in->undoable && (in->tape || in->n_events || !(i->config.solver->traits & CST_REVERSIBLE)))
    return cst_fail(i->ctx, CST_EUNSUPPORTED, "a run to be undone has a reversible solver, no tape and no events");
  if (in->n_times == 0) return cst_fail(i->ctx, CST_EINVAL, "a solve needs at least one time");
  if (in->replay && (!in->schedule || (in->schedule->n == 0 &&
                                       in->times[0] != in->times[in->n_times - 1])))
    return cst_fail(i->ctx, CST_EINVAL, "there is no schedule to replay");
  double direction = in->times[in->n_times - 1] - in->times[0];
  for (size_t k = 0; k < in->n_times; k++)
    if (!isfinite(in->times[k]) ||
        (k && !((in->times[k] - in->times[k - 1]) * (direction < 0 ? -1 : 1) >= 0)))
      return cst_fail(i->ctx, CST_EINVAL, "time %zu of %zu, %.9g, is out of order or not finite", k + 1,
                      in->n_times, in->times[k]);
  return CST_OK;
}

static void enter(cst_integrator *i, const cst_integration *in) {
  cst_rhs *f = in->rhs;
  i->run = (cst_progress){.in = in, .rhs = f, .start = in->times[0], .finish = in->times[in->n_times - 1],
                     .t = in->times[0], .anchor = in->times[0], .clip = SIZE_MAX, .y = i->y[0],
                     .evaluations_before = f->evaluations,
                     .trajectory = CST_HAS(in, trajectory) ? in->trajectory : NULL};
  i->run.step = (cst_step){.struct_size = sizeof(cst_step), .rhs = f, .noise = in->noise,
                           .controlled = i->controlled, .n_controlled = i->n_controlled,
                           .rtol = i->config.rtol, .atol = i->config.atol};
  memcpy(i->y[0], in->y, f->n * i->size);
  cst_breaks_enter(i);
  i->kept = *in;
  i->n_steps = i->n_recorded = 0;
  i->schedule = in->replay || !in->schedule ? cst_noted(&i->run) ? &i->own : NULL : in->schedule;
  if (i->schedule) cst_schedule_clear(i->schedule);
}

static void leave(cst_integrator *i, const cst_integration *in) {
  cst_progress *r = &i->run;
  memcpy(in->y, r->y, r->rhs->n * i->size);
  if (!in->stats) return;
  in->stats->evaluations += r->rhs->evaluations - r->evaluations_before;
  in->stats->accepted += r->accepted;
  in->stats->rejected += r->rejected;
  in->stats->last_h = r->h;
  in->stats->t = r->t;
  in->stats->stiffness = r->stiffness;
}

cst_status cst_integrate(cst_integrator *i, const cst_integration *in) {
  CST_TRY(check(i, in));
  i->run.rhs = in->rhs;
  CST_TRY(cst_spans_find(i, in->rhs));
  enter(i, in);
  cst_context_enter(i->ctx);
  if (cst_last_status(i->ctx) != CST_OK) cst_message_clear(i->ctx); /* what is told is of this run */
  cst_status st = solve(i);
  cst_context_leave(i->ctx);
  leave(i, in);
  return st;
}
