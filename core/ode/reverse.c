/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The steps of an undoable run, from the last to the first. A REVERSIBLE stepper gives the start (y, f0)
 * of a step from its end (y1, f1) to round-off; the step is then taken again from there with a record,
 * which lives until the next call. So a gradient needs one step in memory, however many were taken.
 *
 * What a step begins with is what the one before ended with, save where f was evaluated anew: there
 * the end of the stretch before was dropped, and with it what the solver carried. These ends are kept,
 * that of the whole run as the last. Where a stretch begins, f0 is a function of (t, y) once more.
 */
#include <string.h>

#include "ode/integrate_internal.h"

/* Of one (y, f), with room for the most rows there can be: f begins at a multiple of 64 bytes. */
static size_t f_offset(const cst_integrator *i) { return (i->config.n * i->size + 63) & ~(size_t)63; }
static size_t pair_bytes(const cst_integrator *i) {
  return f_offset(i) + ((cst_block(i, i->config.n) * i->size + 63) & ~(size_t)63);
}

void cst_undo_begin(cst_integrator *i) { i->ends.n = 0; }

cst_status cst_undo_note(cst_integrator *i) {
  const cst_progress *r = &i->run;
  size_t n = r->rhs->n, bytes = pair_bytes(i);
  CST_TRY(cst_grow(i->ctx, &i->ends.end, &i->ends.capacity, i->ends.n + 1, bytes));
  unsigned char *end = i->ends.end + i->ends.n * bytes;
  memcpy(end, r->y1, n * i->size);
  if (cst_carries(i)) memcpy(end + f_offset(i), r->f1, cst_block(i, n) * i->size);
  return CST_OK;
}

void cst_undo_keep(cst_integrator *i) { i->ends.n++; }

static cst_status room(cst_integrator *i) {
  for (int k = 0; k < 2; k++) {
    if (!i->undone[k]) i->undone[k] = cst_alloc(i->ctx, pair_bytes(i));
    if (!i->undone[k]) return CST_ENOMEM;
  }
  return CST_OK;
}

/* Where a stretch ends with step k, at a break or with the run, undone[0] = that end. */
static void enter(cst_integrator *i, size_t k, const cst_taped_step *s) {
  size_t bytes = pair_bytes(i);
  if (k + 1 == i->n_steps) i->ends_left = i->ends.n;
  else if (!s->at_break) return;
  memcpy(i->undone[0], i->ends.end + --i->ends_left * bytes, bytes);
}

/* undone[1] = the start of the step of which undone[0] is the end. */
static cst_status reverse(cst_integrator *i, cst_rhs *rhs, const cst_taped_step *s) {
  size_t f = f_offset(i);
  bool carries = cst_carries(i);
  cst_step step = {.struct_size = sizeof step, .rhs = rhs, .t = &s->t_field, .h = &s->h, .t1 = &s->t1_field,
                   .y = i->undone[0], .f0 = carries ? i->undone[0] + f : NULL, .y1 = i->undone[1],
                   .f1 = carries ? i->undone[1] + f : NULL, .exact = true};
  return i->config.solver->reverse(i->solver, &step);
}

cst_status cst_integrator_undo(cst_integrator *i, cst_rhs *rhs, size_t k, cst_taped_step *out) {
  cst_describe_step(i, k, out);
  CST_TRY(room(i));
  enter(i, k, out);
  cst_status st = reverse(i, rhs, out);
  if (st == CST_RETRY)
    return cst_fail(i->ctx, CST_ENONFINITE, "the field is not defined on the way back from t = %.9g", out->t1);
  if (st != CST_OK) return st;
  unsigned char *start = i->undone[1];
  i->undone[1] = i->undone[0], i->undone[0] = start;
  out->y = start;
  out->f0 = start + f_offset(i);
  st = cst_take_again(i, rhs, out);
  return st == CST_RETRY ? cst_fail(i->ctx, CST_ENONFINITE, "the field is not defined where the way back came to, "
                                                             "at t = %.9g", out->t) : st;
}

size_t cst_integrator_undo_bytes(const cst_integrator *i) {
  return (i->ends.n + 2) * pair_bytes(i) + (i->scratch ? cst_tape_bytes(i->scratch) : 0);
}
