/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The accepted steps of a run as a gradient method sees them. While records fit the budget, a step
 * has everything; after that the states of some steps are kept (checkpoint.h), from which the others are
 * taken again, on memory of their own, when the gradient asks for them.
 *
 * A kept state is y and, where the solver gives f1, f (or the block that it carries) as it came from the step
 * before: the field at y is that only up to rounding, if at all. So a step taken again is the same to the bit.
 */
#include <stdio.h>
#include <string.h>

#include "ode/integrate_internal.h"

static size_t bytes_of(const cst_integrator *i, size_t n) { return (n * i->size + 63) & ~(size_t)63; }
static bool gives_f(const cst_integrator *i) { return i->config.solver->traits & CST_FSAL; }
static size_t f_bytes(const cst_integrator *i, const cst_rhs *f) { return cst_block(i, f->n) * i->size; }

/* Not even one state fits behind what was recorded so far. */
static cst_status no_room(cst_integrator *i, size_t bytes) {
  char text[200];
  const cst_tape *tape = i->run.in->tape;
  snprintf(text, sizeof text,
           "the memory budget of the gradient, memory = %zu bytes, has no room for one state: %zu are in use, and "
           "it takes %zu: raise the option memory", cst_tape_limit(tape), cst_tape_bytes(tape), bytes);
  return cst_explain(i, CST_ENOMEM, cst_tape_refused(tape) ? text : "no memory is left to keep a state", SIZE_MAX);
}

cst_status cst_record_start(cst_integrator *i) {
  cst_progress *r = &i->run;
  size_t bytes = bytes_of(i, r->rhs->n);
  cst_checkpoints_start(&i->checkpoints, i->ctx, r->in->tape, r->in->checkpoints, bytes + (gives_f(i) ? bytes_of(i, cst_block(i, r->rhs->n)) : 0));
  r->thin = r->in->checkpoints > 0;
  if (r->thin) return CST_OK;
  void *y = cst_tape_push_reserve(r->in->tape, r->rhs->n * i->size);
  if (!y) return no_room(i, bytes);
  memcpy(y, r->y, r->rhs->n * i->size);
  r->y = y;
  return CST_OK;
}

static void put_state(const cst_integrator *i, void *state, const void *y, const void *f) {
  const cst_rhs *rhs = i->run.rhs;
  memcpy(state, y, rhs->n * i->size);
  if (gives_f(i)) memcpy((char *)state + bytes_of(i, rhs->n), f, f_bytes(i, rhs));
}

static cst_status keep_state(cst_integrator *i) {
  void *state;
  cst_status st = cst_checkpoints_offer(&i->checkpoints, i->n_steps, &state);
  if (st != CST_OK) return no_room(i, i->checkpoints.bytes);
  if (state) put_state(i, state, i->run.y, i->run.f0);
  return CST_OK;
}

cst_status cst_record_step(cst_integrator *i) {
  cst_progress *r = &i->run;
  if (!r->step.tape) return keep_state(i);
  CST_TRY(cst_grow(i->ctx, &i->steps, &i->step_capacity, i->n_recorded + 1, sizeof *i->steps));
  i->steps[i->n_recorded++] =
      (cst_taped_step){.t = r->t, .h = r->used, .t1 = r->t1, .y = r->y, .y1 = r->y1, .record = r->step.record,
                       .f0 = r->f0, .f0_residual = r->f0_residual, .f1 = r->f1, .f1_residual = r->f1_residual,
                       .f0_own = r->f0_own, .clip = r->clip, .first_output = r->next, .t_field = r->t_field,
                       .t1_field = r->t1_field, .at_break = r->at_break};
  return CST_OK;
}

/* After the outputs of the step were given; interpolation may have asked for f1. */
void cst_record_outputs(cst_integrator *i) {
  cst_progress *r = &i->run;
  if (!r->step.tape) return;
  cst_taped_step *s = &i->steps[i->n_recorded - 1];
  s->n_outputs = r->next - s->first_output;
  if (!r->f1_own) return;
  s->f1_own = true;
  if (!r->thin) s->f1 = r->f1, s->f1_residual = r->f1_residual;
}

/* ---- steps again ----------------------------------------------------------------------------------------- */

static void *room(cst_integrator *i, size_t bytes) { return cst_tape_push(i->scratch, bytes); }

/* A value of the field with its residual on the scratch tape, with room for what the solver carries. */
static cst_status again(cst_integrator *i, cst_rhs *rhs, double t, const void *y, void **dy,
                        void **residual) {
  *dy = room(i, f_bytes(i, rhs));
  *residual = room(i, rhs->residual_bytes);
  if (!*dy || !*residual) return cst_fail(i->ctx, CST_ENOMEM, "no memory to take a step again");
  return rhs->eval_keep(rhs, &t, y, *dy, *residual);
}

/* The step s from its y and f0, keeping a record or not, to y1 and f1. */
static cst_status take(cst_integrator *i, cst_rhs *rhs, const cst_taped_step *s, cst_tape *tape, cst_step *step) {
  *step = (cst_step){.struct_size = sizeof *step, .rhs = rhs, .t = &s->t_field, .h = &s->h, .t1 = &s->t1_field,
                     .y = s->y, .f0 = s->f0, .f0_residual = s->f0_residual, .tape = tape,
                     .dense_wanted = s->n_outputs > 0, .y1 = s->y1, .f1 = gives_f(i) ? s->f1 : NULL,
                     .rtol = i->config.rtol, .atol = i->config.atol, .exact = true};
  return i->config.solver->step(i->solver, step);
}

static cst_status take_with_record(cst_integrator *i, cst_rhs *rhs, cst_taped_step *s) {
  cst_step step;
  s->y1 = room(i, rhs->n * i->size), s->f1 = room(i, f_bytes(i, rhs));
  if (!s->y1 || !s->f1) return cst_fail(i->ctx, CST_ENOMEM, "no memory to take a step again");
  CST_TRY(take(i, rhs, s, i->scratch, &step));
  s->record = step.record, s->f1_residual = step.f1_residual;
  if (!gives_f(i)) s->f1 = NULL;
  return CST_OK;
}

/* Whether the driver evaluated f at the start of a step. */
static bool begins(const cst_integrator *i, const cst_taped_step *s) { return s->f0_own || !gives_f(i); }

cst_status cst_take_again(cst_integrator *i, cst_rhs *rhs, cst_taped_step *s) {
  if (!i->scratch) i->scratch = cst_tape_new(i->ctx, 0);
  if (!i->scratch) return CST_ENOMEM;
  cst_tape_clear(i->scratch);
  if (begins(i, s)) {
    CST_TRY(again(i, rhs, s->t_field, s->y, &s->f0, &s->f0_residual));
    CST_TRY(cst_start_block(i, rhs, s->t_field, s->y, s->f0));
  }
  CST_TRY(take_with_record(i, rhs, s));
  return s->f1_own ? again(i, rhs, s->t1_field, s->y1, &s->f1, &s->f1_residual) : CST_OK;
}

/* From the state at step `from` in i->y[0], i->f[0] to that at step `to`, there again. */
static cst_status advance(cst_integrator *i, cst_rhs *rhs, size_t from, size_t to) {
  cst_step step;
  for (size_t k = from; k < to; k++) {
    cst_taped_step s;
    cst_describe_step(i, k, &s);
    s.y = i->y[0], s.y1 = i->y[1], s.f0 = i->f[0], s.f1 = i->f[1];
    if (begins(i, &s)) {
      CST_TRY(rhs->eval(rhs, &s.t_field, s.y, s.f0));
      CST_TRY(cst_start_block(i, rhs, s.t_field, s.y, s.f0));
    }
    CST_TRY(take(i, rhs, &s, NULL, &step));
    i->y[0] = s.y1, i->y[1] = s.y;
    if (gives_f(i)) i->f[0] = s.f1, i->f[1] = s.f0;
  }
  return CST_OK;
}

/* The state at step k into i->y[0], i->f[0], by way of states to come back to. */
static cst_status reach(cst_integrator *i, cst_rhs *rhs, size_t k) {
  const cst_checkpoint *from = cst_checkpoints_before(&i->checkpoints, k);
  if (!from) return cst_fail(i->ctx, CST_EINTERNAL, "steps are taken again from the last to the first");
  size_t at = from->step;
  memcpy(i->y[0], from->state, rhs->n * i->size);
  if (gives_f(i)) memcpy(i->f[0], (char *)from->state + bytes_of(i, rhs->n), f_bytes(i, rhs));
  for (;;) {
    cst_checkpoint *next;
    CST_TRY(cst_checkpoints_place(&i->checkpoints, at, k, &next));
    if (!next) return advance(i, rhs, at, k);
    size_t to = next->step;
    CST_TRY(advance(i, rhs, at, to));
    put_state(i, next->state, i->y[0], i->f[0]);
    at = to;
  }
}

static cst_status redo_from_states(cst_integrator *i, cst_rhs *rhs, size_t k, cst_taped_step *out) {
  if (!i->checkpoints.turned) cst_checkpoints_turn(&i->checkpoints, i->n_steps);
  cst_describe_step(i, k, out);
  CST_TRY(reach(i, rhs, k));
  out->y = i->y[0], out->f0 = i->f[0];
  return cst_take_again(i, rhs, out);
}

/* The record before this one, which the gradient will ask for next, most often lies just below it. */
static void fetch_earlier(const cst_integrator *i, size_t k) {
  enum { LINE = 64, MOST = 12288 };
  const char *here = i->steps[k].record, *before = k ? i->steps[k - 1].record : NULL;
  if (!here || !before || (uintptr_t)here - (uintptr_t)before > MOST) return;
  for (const char *p = before; p < here; p += LINE) __builtin_prefetch(p);
}

/* The value of the field after a recorded step that did not fit beside it. */
static cst_status complete(cst_integrator *i, cst_rhs *rhs, cst_taped_step *s) {
  if (!i->scratch) i->scratch = cst_tape_new(i->ctx, 0);
  if (!i->scratch) return CST_ENOMEM;
  cst_tape_clear(i->scratch);
  return again(i, rhs, s->t1_field, s->y1, &s->f1, &s->f1_residual);
}

cst_status cst_integrator_redo(cst_integrator *i, cst_rhs *rhs, size_t k, cst_taped_step *out) {
  if (k >= i->n_recorded) return redo_from_states(i, rhs, k, out);
  *out = i->steps[k];
  fetch_earlier(i, k);
  return out->f1_own && !out->f1_residual ? complete(i, rhs, out) : CST_OK;
}

/* ---- the last run ---------------------------------------------------------------------------------------- */

size_t cst_integrator_n_steps(const cst_integrator *i) { return i->n_steps; }
size_t cst_integrator_checkpoints(const cst_integrator *i) { return i->checkpoints.peak; }

cst_taped_step cst_integrator_step(const cst_integrator *i, size_t k) {
  cst_taped_step s;
  if (k < i->n_recorded) return i->steps[k];
  cst_describe_step(i, k, &s);
  return s;
}

void cst_integrator_bind(cst_integrator *i, const double *times, const double *breaks) {
  i->kept.times = times, i->kept.breaks = breaks;
  i->run.in = &i->kept;
  cst_breaks_enter(i);
}
