/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The solve node at run time: all rows in one integration, or every row in one of its own, with its own
 * steps, times and schedule.
 */
#include <stdio.h>
#include <string.h>

#include "autodiff/strided.h"
#include "base/context_internal.h"
#include "ode/plan.h"
#include "ode/tape.h"
#include "ode/trajectory.h"

void cst_solve_state_free(cst_context *ctx, void *state) {
  cst_solve_state *s = state;
  cst_integrator_free(s->integrator);
  cst_field_rhs_free(s->rhs);
  cst_tape_free(s->tape);
  cst_trajectory_free(s->trajectory);
  for (size_t i = 0; s->schedules && i < s->most_runs; i++)
    cst_schedule_free(ctx, &s->schedules[i]);
  cst_free(ctx, s->schedules);
  cst_free(ctx, s->breaks);
  cst_free(ctx, s->attempts.list);
  cst_free(ctx, s->y);
  cst_free(ctx, s->timed_room);
  cst_free(ctx, s->capture);
  cst_free(ctx, s);
}

cst_integrator_config cst_solve_config(const cst_solve_plan *p, const cst_rhs *f) {
  const cst_solve_options *o = &p->o;
  return (cst_integrator_config){
      .struct_size = sizeof(cst_integrator_config), .solver = p->solver, .solver_options = p->solver_options,
      .controller = p->controller, .controller_options = p->controller_options, .dtype = f->dtype,
      .rows = f->rows, .n = f->n, .n_stage = f->n_stage, .rtol = o->rtol, .atol = o->atol, .step = o->step,
      .first_step = o->first_step, .min_step = o->min_step, .max_step = o->max_step, .max_steps = o->max_steps};
}

cst_status cst_field_refuse_coupled(cst_field *f, const char *what) {
  cst_value mixes;
  if (f->rows <= 1 || f->callback) return CST_OK;
  CST_TRY(cst_field_compile(f, FIELD_EVAL));
  if (cst_program_separable(f->program[FIELD_EVAL], &mixes)) return CST_OK;
  cst_value_info q = cst_graph_info(f->f->graph, mixes);
  return cst_fail(f->ctx, CST_EUNSUPPORTED, "%s whose rows depend on each other: '%s' (%s:%d) mixes them", what, q.op,
                  q.source ? q.source : "?", q.line);
}

/* For what the gradient needs of the steps. */
static cst_status make_memory(cst_solve_state *s) {
  const cst_solve_plan *p = s->plan;
  size_t budget = p->o.memory ? p->o.memory : (size_t)1 << 30;
  if (p->gradient->needs & CST_NEEDS_TRAJECTORY) CST_TRY(cst_trajectory_new(s->ctx, budget, &s->trajectory));
  if (!(p->gradient->needs & CST_NEEDS_TAPE)) return CST_OK;
  s->tape = cst_tape_new(s->ctx, budget);
  return s->tape ? CST_OK : CST_ENOMEM;
}

cst_status cst_solve_state_make(cst_context *ctx, cst_solve_plan *p, bool recorded, cst_solve_state **out) {
  cst_solve_state *s = *out = cst_alloc(ctx, sizeof *s);
  if (!s) return CST_ENOMEM;
  s->ctx = ctx, s->plan = p, s->n_runs = s->most_runs = p->per_row ? p->field->rows : 1;
  s->exact = p->o.exact || p->tangent || (recorded && p->gradient->needs & (CST_NEEDS_TAPE | CST_NEEDS_FINAL | CST_NEEDS_AGAIN | CST_NEEDS_TANGENT));
  if (p->per_row) CST_TRY(cst_field_refuse_coupled(p->field, "steps of each row's own for a field"));
  s->schedules = s->followed = s->schedule = cst_alloc(ctx, (s->n_runs + 1) * sizeof *s->schedules);
  if (!s->schedules) return CST_ENOMEM;
  CST_TRY(cst_field_rhs_new(p->field, cst_solve_rows(p), p->flags, (const char *const *)p->names, cst_solve_plan_programs(p, recorded), &s->rhs));
  cst_rhs *f = cst_field_rhs_base(s->rhs);
  f->lower = p->o.lower, f->upper = p->o.upper;
  cst_integrator_config c = cst_solve_config(p, f);
  CST_TRY(cst_integrator_new(cst_host_of(ctx), &c, &s->integrator));
  if (recorded) CST_TRY(make_memory(s));
  s->undoable = recorded && (p->gradient->needs & CST_NEEDS_FINAL);
  s->y = cst_alloc(ctx, 2 * (f->n + 1) * cst_dtype_size((cst_dtype)f->dtype));
  if (p->timed && s->y) s->slope = (char *)s->y + (f->n + 1) * cst_dtype_size((cst_dtype)f->dtype);
  s->capture = cst_alloc(ctx, (p->field->n_captures + p->n_parts + 1) * sizeof *s->capture);
  if (!s->y || !s->capture) return CST_ENOMEM;
  s->values = s->capture + p->field->n_captures;
  return CST_OK;
}

cst_status cst_solve_state_new(cst_context *ctx, const cst_instruction *q, size_t rows, void **state) {
  (void)rows;
  cst_solve_plan *p = (cst_solve_plan *)q->attrs->object;
  cst_solve_state *s = NULL;
  const cst_operand *handles = &q->operand[q->n_in + p->n_parts]; /* record, schedule */
  cst_status st = cst_solve_state_make(ctx, p, handles[0].read, &s);
  if (s) s->exact |= handles[1].read; /* the tangent that follows is */
  return *state = s, st;
}

/* Part p of a state vector: its offset and scalars a row. The field's order differs from the order of
 * the vector when quadrature parts stand between others. */
const cst_part *cst_solve_plan_part(const cst_solve_plan *plan, const cst_rhs *f, uint32_t p) {
  uint32_t k = 0;
  bool late = plan->flags[p] & CST_PART_QUADRATURE;
  for (uint32_t i = 0; i < plan->n_parts; i++) {
    bool q = plan->flags[i] & CST_PART_QUADRATURE;
    if (i != p && ((q == late && i < p) || (late && !q))) k++;
  }
  return &f->parts[k];
}
const cst_part *cst_solve_part(const cst_solve_state *s, uint32_t p) {
  return cst_solve_plan_part(s->plan, cst_field_rhs_base(s->rhs), p);
}

/* The n scalars of each row under way move between [B, T, n] and the vector. */
static void move(const cst_solve_state *s, void *const *parts, size_t i, void *y, bool out) {
  const cst_rhs *f = cst_field_rhs_base(s->rhs);
  size_t size = cst_dtype_size((cst_dtype)f->dtype);
  for (uint32_t p = 0; p < s->plan->n_parts; p++) {
    const cst_part *part = cst_solve_part(s, p);
    size_t bytes = part->n * size;
    char *in_vector = (char *)y + part->offset * size, *in_stack = parts[p];
    if (!in_stack) continue;
    char *in_rows = in_stack + (s->row * s->n_times + i) * bytes;
    if (out) cst_copy_rows(bytes, f->rows, in_vector, bytes, in_rows, s->n_times * bytes);
    else cst_copy_rows(bytes, f->rows, in_rows, s->n_times * bytes, in_vector, bytes);
  }
}
void cst_solve_gather(const cst_solve_state *s, void *const *parts, size_t i, void *y) { move(s, parts, i, y, false); }
void cst_solve_scatter(const cst_solve_state *s, void *const *parts, size_t i, const void *y) {
  move(s, parts, i, (void *)(uintptr_t)y, true);
}

cst_status cst_solve_keep(void *arg, size_t i, void *y, bool *jumped) {
  (void)jumped;
  const cst_solve_state *s = arg;
  cst_solve_scatter(s, s->values, i, y);
  return CST_OK;
}

void cst_solve_load(cst_solve_state *s, void *const *y0) {
  const cst_rhs *f = cst_field_rhs_base(s->rhs);
  size_t size = cst_dtype_size((cst_dtype)f->dtype);
  for (uint32_t p = 0; p < s->plan->n_parts; p++) {
    const cst_part *part = cst_solve_part(s, p);
    memcpy((char *)s->y + part->offset * size, (const char *)y0[p] + s->row * part->n * size, part->n * f->rows * size);
  }
}

/* Adds where a NaN was born to the driver's message. */
static cst_status explain(cst_solve_state *s, cst_status st) {
  char text[160], said[CST_MESSAGE_SIZE];
  if (st != CST_ENONFINITE) return st;
  snprintf(said, sizeof said, "%s", cst_message(s->ctx)); /* the search may fail, and then says so */
  bool found = cst_field_rhs_find_nonfinite(s->rhs, s->report.t, s->times[s->n_times - 1], s->report.forward.last_h, s->y, text, sizeof text);
  cst_fail(s->ctx, st, "%s", said);
  return found ? cst_fail_note(s->ctx, st, "a value stopped being finite in %s", text) : st;
}

void cst_solve_note_memory(cst_solve_state *s) {
  cst_solve_report *r = &s->report;
  size_t tape = (s->tape ? cst_tape_bytes(s->tape) : 0) + (s->trajectory ? cst_trajectory_peak(s->trajectory) : 0);
  if (s->undoable) tape = cst_integrator_undo_bytes(s->integrator);
  size_t states = s->tape ? cst_integrator_checkpoints(s->integrator) : 0;
  if (r->tape_bytes < tape) r->tape_bytes = tape;
  if (r->checkpoints < states) r->checkpoints = states;
  r->schedule_bytes = 0;
  for (size_t i = 0; i < s->n_runs; i++) r->schedule_bytes += cst_schedule_bytes(&s->schedules[i]);
}

static void count(cst_run *run, const cst_solve_state *s) {
  run->nfe_forward += s->report.forward.evaluations;
  run->steps_accepted += s->report.forward.accepted;
  run->steps_rejected += s->report.forward.rejected;
}

cst_status cst_solve_choose(cst_solve_state *s, const cst_operand *times, const double *all, size_t row) {
  if (s->plan->per_row) cst_field_rhs_select(s->rhs, row);
  s->row = row;
  s->schedule = &s->followed[row];
  s->n_times = cst_times_count(&times->type);
  s->times = all + cst_times_of_row(&times->type, row);
  return cst_knots_merge(s, row, cst_solve_rows_now(s));
}

void cst_solve_resize(cst_solve_state *s, size_t rows) {
  if (s->plan->per_row) s->n_runs = rows;
  else cst_field_rhs_resize(s->rhs, rows);
}

size_t cst_solve_rows_now(const cst_solve_state *s) { return cst_field_rhs_base(s->rhs)->rows; }

cst_integration cst_solve_way(cst_solve_state *s) {
  return (cst_integration){
      .struct_size = sizeof(cst_integration), .rhs = cst_field_rhs_base(s->rhs), .times = s->times, .n_times = s->n_times,
      .y = s->y, .schedule = s->schedule, .breaks = s->breaks, .n_breaks = s->n_breaks, .checkpoints = s->plan->o.checkpoints};
}

/* The rows under way. What a gradient needs of each row's own steps is kept when its cotangents come
 * (solve_back.c), but for the trajectory of an only row. */
static cst_status run_one(cst_solve_state *s, bool replay, const double *times_dot) {
  cst_integration run = cst_solve_way(s);
  run.at = cst_solve_keep, run.arg = s, run.replay = replay, run.stats = &s->report.forward;
  run.tape = s->plan->per_row ? NULL : s->tape, run.exact = s->exact;
  run.undoable = s->undoable && !s->plan->per_row;
  run.trajectory = s->n_runs == 1 ? s->trajectory : NULL;
  run.attempts = s->plan->o.trace ? &s->attempts : NULL;
  return s->plan->timed ? cst_solve_timed(s, &run, times_dot) : cst_integrate(s->integrator, &run);
}

static cst_status run_all(cst_solve_state *s, const cst_call *c, const double *times_dot) {
  const cst_operand *times = &c->q->operand[s->plan->n_parts];
  bool replay = s->plan->follows || (c->run->replay && s->replayed);
  for (size_t row = 0; row < s->n_runs; row++) {
    CST_TRY(cst_solve_choose(s, times, c->p[s->plan->n_parts], row));
    cst_solve_load(s, c->p);
    cst_status st = run_one(s, replay, times_dot ? times_dot + cst_times_of_row(&times->type, row) : NULL);
    if (st != CST_OK && s->plan->per_row && s->n_runs > 1) return cst_fail_note(s->ctx, st, "in row %zu", row + 1);
    CST_TRY(st);
  }
  return CST_OK;
}

/* Outputs that were not reached are NaN: those beyond t of the rows under way, all of the rows after them. */
static void forget(cst_solve_state *s) {
  const cst_rhs *f = cst_field_rhs_base(s->rhs);
  double t = s->report.forward.t, way = s->times[s->n_times - 1] - s->times[0];
  size_t first = 0;
  memset(s->y, 0xff, f->n * cst_dtype_size((cst_dtype)f->dtype));
  while (first < s->n_times && (s->times[first] - t) * way <= 0) first++;
  for (; s->row < s->n_runs; s->row++, first = 0)
    for (size_t i = first; i < s->n_times; i++) cst_solve_scatter(s, s->values, i, s->y);
}

cst_status cst_solve_run(const cst_call *c) {
  cst_solve_state *s = c->state;
  const cst_solve_plan *p = s->plan;
  cst_solve_resize(s, c->q->operand[0].type.space == CST_ROW ? c->rows : p->field->rows);
  for (uint32_t i = 0; i < p->n_parts; i++) s->values[i] = c->p[c->q->n_in + i];
  for (uint32_t i = 0; i < p->field->n_captures; i++) s->capture[i] = c->p[p->n_parts + 1 + i];
  if (p->timed) s->capture[p->field->n_captures - 1] = s->clock;
  if (p->follows) s->followed = (*(const cst_solve_state *const *)c->p[c->q->n_in - 1])->followed;
  cst_field_rhs_bind(s->rhs, (const void *const *)s->capture, c->run);
  if (s->tape) cst_tape_clear(s->tape);
  s->report = (cst_solve_report){.solves = 1};
  s->attempts.n = 0;
  cst_status st = run_all(s, c, p->timed ? c->p[p->n_parts + p->field->n_captures] : NULL);
  s->replayed = st == CST_OK;
  cst_solve_note_memory(s);
  s->report.status = st;
  s->report.t = s->report.forward.t;
  count(c->run, s);
  for (uint32_t i = 0; i < 2; i++) { /* record, schedule */
    void **handle = (void **)c->p[c->q->n_in + p->n_parts + i];
    if (handle) *handle = s;
  }
  if (st == CST_OK) return CST_OK;
  st = explain(s, st);
  forget(s);
  return st;
}
