/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The accepted steps of a run as a gradient method sees them. While records fit the budget, a step
 * has everything; after that only its state, and cst_integrator_redo takes the step again, on a
 * tape of its own, when the gradient asks for it.
 */
#include "ode/integrate_internal.h"

cst_status cst_record_start(cst_integrator *i) {
  cst_progress *r = &i->run;
  i->n_steps = 0;
  i->n_outputs = r->in->n_times;
  CST_TRY(cst_grow(i->ctx, &i->output_step, &i->output_capacity, r->in->n_times,
                   sizeof *i->output_step));
  if (!r->in->tape) return CST_OK;
  void *y = cst_tape_push_reserve(r->in->tape, r->rhs->n * i->size);
  if (!y) return cst_explain(i, CST_ENOMEM, "the memory budget of the record is used up", SIZE_MAX);
  memcpy(y, r->y, r->rhs->n * i->size);
  r->y = y;
  return CST_OK;
}

cst_status cst_record_step(cst_integrator *i) {
  cst_progress *r = &i->run;
  CST_TRY(cst_grow(i->ctx, &i->steps, &i->step_capacity, i->n_steps + 1, sizeof *i->steps));
  cst_taped_step *s = &i->steps[i->n_steps++];
  *s = (cst_taped_step){.t = r->t, .h = r->used, .t1 = r->t1, .y = r->y, .y1 = r->y1,
                        .f0_own = r->f0_own, .clip = r->clip, .first_output = r->next,
                        .t_field = r->t_field, .t1_field = r->t1_field, .at_break = r->at_break};
  if (!r->in->tape) s->y = s->y1 = NULL;
  else if (cst_carries(i)) s->f0 = r->f0_own ? NULL : r->f0, s->f1 = r->f1;
  if (!r->step.tape) return CST_OK;
  s->record = r->step.record;
  s->f0 = r->f0, s->f0_residual = r->f0_residual;
  s->f1 = r->f1, s->f1_residual = r->f1_residual;
  return CST_OK;
}

/* After the outputs of the step were given; interpolation may have asked for f1. */
void cst_record_outputs(cst_integrator *i) {
  cst_progress *r = &i->run;
  cst_taped_step *s = &i->steps[i->n_steps - 1];
  s->n_outputs = r->next - s->first_output;
  if (!r->f1_own) return;
  s->f1_own = true;
  if (!r->thin) s->f1 = r->f1, s->f1_residual = r->f1_residual;
}

static void *room(cst_integrator *i, size_t bytes) { return cst_tape_push(i->scratch, bytes); }

/* A value of the field with its residual on the scratch tape, as the solver carries it. */
static cst_status again(cst_integrator *i, cst_rhs *rhs, double t, const void *y, void **dy,
                        void **residual) {
  *dy = room(i, cst_block(i, rhs->n) * i->size);
  *residual = room(i, rhs->residual_bytes);
  if (!*dy || !*residual) return cst_fail(i->ctx, CST_ENOMEM, "no memory to take a step again");
  return rhs->eval_keep(rhs, &t, y, *dy, *residual);
}

static cst_status take_again(cst_integrator *i, cst_rhs *rhs, cst_taped_step *s) {
  bool fsal = i->config.solver->traits & CST_FSAL;
  void *y1 = room(i, rhs->n * i->size), *f1 = room(i, cst_block(i, rhs->n) * i->size);
  if (!y1 || !f1) return cst_fail(i->ctx, CST_ENOMEM, "no memory to take a step again");
  cst_step step = {.struct_size = sizeof step, .rhs = rhs, .t = &s->t_field, .h = &s->h, .t1 = &s->t1_field,
                   .y = s->y, .f0 = s->f0, .f0_residual = s->f0_residual, .tape = i->scratch,
                   .dense_wanted = s->n_outputs > 0, .y1 = y1, .f1 = fsal ? f1 : NULL,
                   .rtol = i->config.rtol, .atol = i->config.atol, .exact = true};
  CST_TRY(i->config.solver->step(i->solver, &step));
  s->record = step.record, s->y1 = y1;
  if (fsal) s->f1 = f1, s->f1_residual = step.f1_residual;
  return CST_OK;
}

static bool wants_f1(const cst_taped_step *s) { return s->f1_own && !s->f1_residual; }

cst_status cst_take_again(cst_integrator *i, cst_rhs *rhs, cst_taped_step *s) {
  bool want_f1 = wants_f1(s);
  if (!i->scratch) i->scratch = cst_tape_new(i->ctx, 0);
  if (!i->scratch) return CST_ENOMEM;
  cst_tape_clear(i->scratch);
  if (!s->record) {
    if (!s->f0) {
      CST_TRY(again(i, rhs, s->t_field, s->y, &s->f0, &s->f0_residual));
      CST_TRY(cst_start_block(i, rhs, s->t_field, s->y, s->f0));
    }
    CST_TRY(take_again(i, rhs, s));
  }
  return want_f1 ? again(i, rhs, s->t1_field, s->y1, &s->f1, &s->f1_residual) : CST_OK;
}

/* The record before this one, which the gradient will ask for next, most often lies just below it. */
static void fetch_earlier(const cst_integrator *i, size_t k) {
  enum { LINE = 64, MOST = 12288 };
  const char *here = i->steps[k].record, *before = k ? i->steps[k - 1].record : NULL;
  if (!here || !before || (uintptr_t)here - (uintptr_t)before > MOST) return;
  for (const char *p = before; p < here; p += LINE) __builtin_prefetch(p);
}

cst_status cst_integrator_redo(cst_integrator *i, cst_rhs *rhs, size_t k, cst_taped_step *out) {
  *out = i->steps[k];
  fetch_earlier(i, k);
  return out->record && !wants_f1(out) ? CST_OK : cst_take_again(i, rhs, out);
}
