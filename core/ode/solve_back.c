/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The pullback of a solve: hands the finished solve to the plan's gradient method.
 *   inputs    record, times, y0, captures, values, cotangents of the values that have one
 *   outputs   y0_bar, times_bar, capture_bar
 * Attributes: number of parts, mask of the parts whose values have a cotangent.
 */
#include <string.h>

#include "ode/plan.h"
#include "ode/tape.h"

static cst_status back_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                             cst_type *out, size_t *n_out) {
  (void)h, (void)n;
  const cst_solve_plan *p = cst_solve_plan_of(a);
  uint32_t n_parts = p->n_parts, n_caps = p->field->n_captures;
  uint8_t sums = in[2].space == CST_ROW ? CST_PARTIAL : CST_SHARED;
  for (uint32_t i = 0; i < n_parts; i++) out[i] = in[2 + i];
  out[n_parts] = in[1];
  if (in[1].space != CST_ROW) out[n_parts].space = sums;
  for (uint32_t i = 0; i < n_caps; i++) {
    out[n_parts + 1 + i] = in[2 + n_parts + i];
    if (out[n_parts + 1 + i].space != CST_ROW) out[n_parts + 1 + i].space = sums;
  }
  *n_out = (size_t)n_parts + 1 + n_caps;
  return CST_OK;
}

/* ---- pullback at run time --------------------------------------------------------------------------------------- */

typedef struct back_state {
  void *gradient; /* the method's state */
  const cst_gradient_type *type;
  void *y0_bar;      /* a state vector */
  double *times_bar;
  void **pointer;    /* values, value bars, capture bars, those of the run under way */
  size_t *capture_count;
  cst_solve_state *solve; /* of the present run */
  void **value_bar;
  cst_directions *directions; /* NULL unless the method goes by them */
} back_state;

static void back_state_free(cst_context *ctx, void *state) {
  back_state *b = state;
  if (b->gradient) b->type->destroy(cst_host_of(ctx), b->gradient);
  cst_directions_free(b->directions);
  cst_free(ctx, b->y0_bar);
  cst_free(ctx, b->times_bar);
  cst_free(ctx, b->pointer);
  cst_free(ctx, b->capture_count);
  cst_free(ctx, b);
}

/* What the gradient method is created with; a short-lived rhs tells the sizes. */
static cst_status create_method(cst_context *ctx, cst_solve_plan *p, back_state *b, size_t *n) {
  cst_field_rhs *r;
  CST_TRY(cst_field_rhs_new(p->field, cst_solve_rows(p), p->flags, (const char *const *)p->names, cst_solve_plan_programs(p, true), &r));
  cst_rhs *f = cst_field_rhs_base(r);
  cst_integrator_config c = cst_solve_config(p, f);
  *n = f->n;
  cst_gradient_config g = {.struct_size = sizeof g, .host = cst_host_of(ctx), .options = p->gradient_options,
                           .forward = &c, .n_captures_scalars = f->n_captures};
  cst_status st = p->gradient->accepts(cst_host_of(ctx), p->solver);
  if (st == CST_OK) st = p->gradient->create(&g, &b->gradient);
  if (st != CST_OK) b->gradient = NULL; /* nothing was made: nothing to destroy */
  cst_field_rhs_free(r);
  return st;
}

/* Whether each run has a part of its own of the capture. */
static bool moves(const cst_solve_plan *p, uint32_t c) {
  return p->per_row && p->field->rows > 1 && cst_field_capture(p->field, c)->space == CST_ROW;
}

/* For a method that goes by directions; moves nothing on which no derivative depends. */
static cst_status make_directions(const cst_instruction *q, back_state *b) {
  cst_solve_plan *p = (cst_solve_plan *)q->attrs->object;
  bool wanted[MOST_VALUES] = {false};
  if (!(p->gradient->needs & (CST_NEEDS_AGAIN | CST_NEEDS_TANGENT))) return CST_OK;
  for (uint32_t c = 0; c < p->field->n_captures; c++)
    wanted[c] = q->operand[q->n_in + p->n_parts + 1 + c].read && b->capture_count[c];
  return cst_directions_new(p, wanted, q->operand[q->n_in + p->n_parts].read, cst_times_count(&q->operand[1].type),
                            &b->directions);
}

/* Scalars of captures in a run of so many rows; one of another type has no cotangent, nor room in theta. */
static void count_captures(const cst_solve_plan *p, size_t rows, back_state *b) {
  for (uint32_t c = 0; c < p->field->n_captures; c++) {
    const cst_type *t = cst_field_capture(p->field, c);
    cst_operand o = cst_operand_of(t);
    size_t count = t->space == CST_ROW ? o.inner * rows : o.inner;
    b->capture_count[c] = t->dtype == p->field->f->graph->real ? count : 0;
  }
}

static cst_status back_state_new(cst_context *ctx, const cst_instruction *q, size_t rows, void **state) {
  (void)rows;
  cst_solve_plan *p = (cst_solve_plan *)q->attrs->object;
  uint32_t n_caps = p->field->n_captures;
  size_t n = 0;
  back_state *b = *state = cst_alloc(ctx, sizeof *b);
  if (!b) return CST_ENOMEM;
  b->type = p->gradient;
  CST_TRY(create_method(ctx, p, b, &n));
  b->y0_bar = cst_alloc(ctx, (n + 1) * 8);
  b->times_bar = cst_alloc(ctx, (cst_times_count(&q->operand[1].type) + 1) * sizeof *b->times_bar);
  b->pointer = cst_alloc(ctx, (2 * p->n_parts + 2 * (size_t)n_caps + 1) * sizeof *b->pointer);
  b->capture_count = cst_alloc(ctx, (n_caps + 1) * sizeof *b->capture_count);
  if (!b->y0_bar || !b->times_bar || !b->pointer || !b->capture_count) return CST_ENOMEM;
  b->value_bar = b->pointer + p->n_parts;
  count_captures(p, cst_solve_rows(p), b);
  return make_directions(q, b);
}

static void value_at(void *self, size_t i, void *y) {
  const back_state *b = self;
  cst_solve_gather(b->solve, b->pointer, i, y);
}

static bool all_zero(const cst_rhs *f, const void *x) {
  size_t n = f->n * cst_dtype_size((cst_dtype)f->dtype);
  const unsigned char *c = x;
  for (size_t i = 0; i < n; i++)
    if (c[i]) return false;
  return true;
}

static bool value_bar_at(void *self, size_t i, void *bar) {
  const back_state *b = self;
  const cst_rhs *f = cst_field_rhs_base(b->solve->rhs);
  memset(bar, 0, f->n * cst_dtype_size((cst_dtype)f->dtype));
  cst_solve_gather(b->solve, b->value_bar, i, bar);
  return !all_zero(f, bar);
}

/* Outputs accumulate when the instruction says so, otherwise they start from zero. */
static void clear_outputs(const cst_call *c) {
  for (uint32_t o = 0; o < c->q->n_out; o++) {
    const cst_operand *t = &c->q->operand[c->q->n_in + o];
    void *p = c->p[c->q->n_in + o];
    if (p && t->read && !(o < 32 && (c->add >> o & 1)))
      memset(p, 0, (t->type.space == CST_ROW ? c->rows * t->inner : t->inner) * cst_dtype_size(t->type.dtype));
  }
}

static void *output(const cst_call *c, uint32_t o) {
  return c->q->operand[c->q->n_in + o].read ? c->p[c->q->n_in + o] : NULL;
}

/* y0_bar += the vector's parts. */
static void hand_out_y0(const cst_call *c, const back_state *b) {
  const cst_rhs *f = cst_field_rhs_base(b->solve->rhs);
  const double one = 1;
  size_t size = cst_dtype_size((cst_dtype)f->dtype);
  for (uint32_t p = 0; p < b->solve->plan->n_parts; p++) {
    const cst_part *part = cst_solve_part(b->solve, p);
    char *to = output(c, p);
    const void *from = (const char *)b->y0_bar + part->offset * size;
    if (to) to += b->solve->row * part->n * size;
    if (to) cst_kernels_get()->combine[f->dtype == CST_F64](part->n * f->rows, to, 1, &one, &from, to);
  }
}

/* The cotangents of captures of the run under way. */
static void **capture_bars(const back_state *b) {
  const cst_solve_plan *p = b->solve->plan;
  uint32_t n_caps = p->field->n_captures;
  void **all = b->value_bar + p->n_parts, **own = all + n_caps;
  for (uint32_t i = 0; i < n_caps; i++) {
    size_t bytes = b->capture_count[i] * cst_dtype_size((cst_dtype)cst_field_capture(p->field, i)->dtype);
    own[i] = all[i] && moves(p, i) ? (char *)all[i] + b->solve->row * bytes : all[i];
  }
  return own;
}

/* Takes the steps of a row again, this time with a record: rows one after another need room for one. */
static cst_status record_again(cst_solve_state *s, void *const *y0) {
  if (s->tape) cst_tape_clear(s->tape);
  cst_solve_load(s, y0);
  cst_integration run = cst_solve_way(s);
  run.tape = s->tape, run.undoable = s->undoable, run.replay = true, run.stats = &s->report.backward;
  return cst_integrate(s->integrator, &run);
}

/* The same for a trajectory. Steppers with equations to solve, a history or steps of their own choice take the
 * steps they took, from the same state under the same control; the others are given them. */
static cst_status follow_again(cst_solve_state *s, void *const *y0) {
  bool given = !(s->plan->solver->traits & (CST_IMPLICIT | CST_MULTISTEP | CST_SELF_CONTROLLED));
  cst_solve_load(s, y0);
  cst_integration run = cst_solve_way(s);
  run.trajectory = s->trajectory, run.replay = given, run.exact = s->exact, run.stats = &s->report.backward;
  if (!given) run.schedule = NULL;
  return cst_integrate(s->integrator, &run);
}

static cst_status pull_run(const cst_call *c, back_state *b, const cst_operand *times) {
  cst_solve_state *s = b->solve;
  cst_rhs *f = cst_field_rhs_base(s->rhs);
  double *times_bar = output(c, s->plan->n_parts);
  if (times_bar) times_bar += cst_times_of_row(&times->type, s->row);
  bool recorded = s->tape || s->undoable;
  if (recorded && s->plan->per_row) CST_TRY(record_again(s, c->p + 2));
  if (s->trajectory && s->n_runs > 1) CST_TRY(follow_again(s, c->p + 2));
  memset(b->y0_bar, 0, f->n * cst_dtype_size((cst_dtype)f->dtype));
  cst_solve_pullback back = {
      .struct_size = sizeof back, .rhs = f, .times = s->times, .n_times = s->n_times,
      .solver_state = cst_integrator_solver_state(s->integrator), .solver = s->plan->solver,
      .integrator = s->integrator, .redo = s->undoable ? cst_integrator_undo : cst_integrator_redo, .self = b, .value = value_at, .value_bar = value_bar_at,
      .y0_bar = b->y0_bar, .times_bar = times_bar, .capture_bar = capture_bars(b),
      .capture_count = b->capture_count, .n_captures = s->plan->field->n_captures, .stats = &s->report.backward,
      .breaks = s->breaks, .n_breaks = s->n_breaks, .trajectory = s->trajectory};
  if (recorded) {
    cst_integrator_bind(s->integrator, s->times, s->breaks);
    back.n_steps = cst_integrator_n_steps(s->integrator);
  }
  if (b->directions) cst_directions_offer(b->directions, s, c, &back);
  CST_TRY(b->type->pullback(b->gradient, &back));
  CST_TRY(cst_solve_back_finite(s->ctx, s->integrator, &back));
  cst_solve_note_memory(s);
  hand_out_y0(c, b);
  return CST_OK;
}

/* A message of the way back does not pass for one of the solve. */
static cst_status note(const cst_solve_state *s, cst_status st, size_t row) {
  if (st == CST_OK) return st;
  if (s->n_runs == 1) return cst_fail_note(s->ctx, st, "on the way back, gradient '%s'", s->plan->gradient->name);
  return cst_fail_note(s->ctx, st, "on the way back in row %zu, gradient '%s'", row + 1, s->plan->gradient->name);
}

static cst_status back_run(const cst_call *c) {
  back_state *b = c->state;
  cst_solve_state *s = b->solve = *(cst_solve_state *const *)c->p[0];
  const cst_solve_plan *p = s->plan;
  uint32_t n_parts = p->n_parts, n_caps = p->field->n_captures, given = 2 + n_parts + n_caps;
  for (uint32_t i = 0; i < n_parts; i++) b->pointer[i] = c->p[given + i];
  for (uint32_t i = 0, at = given + n_parts; i < n_parts; i++)
    b->value_bar[i] = (uint64_t)c->q->attrs->i[1] >> i & 1 ? c->p[at++] : NULL;
  void **capture_bar = b->value_bar + n_parts;
  count_captures(p, cst_solve_rows_now(s), b);
  clear_outputs(c);
  for (uint32_t i = 0; i < n_caps; i++)
    capture_bar[i] = cst_field_capture(p->field, i)->dtype == p->field->f->graph->real ? output(c, n_parts + 1 + i) : NULL;
  for (uint32_t i = 0; i < n_caps; i++) s->capture[i] = c->p[2 + n_parts + i];
  cst_field_rhs_bind(s->rhs, (const void *const *)s->capture, c->run);
  cst_field_rhs_bind_bars(s->rhs, capture_bar);
  s->report.backward = (cst_solve_stats){0};
  cst_status st = CST_OK;
  for (size_t row = 0; row < s->n_runs && st == CST_OK; row++) {
    st = cst_solve_choose(s, &c->q->operand[1], c->p[1], row);
    if (st == CST_OK) st = note(s, pull_run(c, b, &c->q->operand[1]), row);
  }
  c->run->nfe_backward += s->report.backward.evaluations;
  return st;
}

static const cst_op solve_back = {
  .struct_size = sizeof(cst_op), .name = "solve_back", .n_in_min = 4, .n_in_max = 4 * MOST_VALUES, .infer = back_infer,
  .accumulates = UINT32_MAX, .kernel = {back_run, back_run}, .state_new = back_state_new, .state_free = back_state_free,
};

cst_status cst_register_solve_back(const cst_host *h) { return h->register_op(h, &solve_back); }
